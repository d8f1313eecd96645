// SPDX-License-Identifier: Apache-2.0
// The store from the shell: get, put, delete, flush, stats.
#include "connection.hpp"
#include "program.hpp"
#include "statistics.hpp"

#include <cstdio>
#include <iostream>
#include <iterator>
#include <memory>

namespace kvs::cli {
namespace {

struct Options {
    Connection connection;
    std::string key;
    std::string value;
    std::uint32_t flags = 0;
    double ttl = 0;
    std::uint64_t version = 0;
    std::string only_if = "always";
    bool json = false;
};

// What did not happen, because of a condition, is exit status 1 and a word.
int tell(const elisa::Result<Status> &result)
{
    if (!result) {
        return apps::fail("kvs", result.error());
    }
    constexpr const char *words[] = {"", "not found", "exists", "changed"};
    if (*result != Status::done) {
        std::printf("%s\n", words[static_cast<unsigned>(*result)]);
        return 1;
    }
    return 0;
}

int get(Client &client, const Options &options)
{
    const auto value = client.get(options.key);
    if (!value) {
        return apps::fail("kvs", value.error());
    }
    if (!*value) {
        std::fprintf(stderr, "not found\n");
        return 1;
    }
    if (options.json) {
        std::printf("{\"bytes\": %zu, \"flags\": %u, \"version\": %llu}\n", (*value)->bytes.size(),
                    (*value)->flags, static_cast<unsigned long long>((*value)->version));
        return 0;
    }
    std::fwrite((*value)->bytes.data(), 1, (*value)->bytes.size(), stdout);
    return 0;
}

int put(Client &client, const Options &options)
{
    PutOptions how;
    how.flags = options.flags;
    how.version = options.version;
    how.ttl = std::chrono::milliseconds{static_cast<long>(options.ttl * 1e3)};
    how.only_if = options.version != 0           ? PutOptions::If::version
                  : options.only_if == "absent"  ? PutOptions::If::absent
                  : options.only_if == "present" ? PutOptions::If::present
                                                 : PutOptions::If::always;
    std::string value = options.value;
    if (value == "-") {
        value.assign(std::istreambuf_iterator<char>{std::cin}, {});
    }
    return tell(client.put(options.key, value, how));
}

int stats(Client &client)
{
    const auto stats = client.stats();
    if (!stats) {
        return apps::fail("kvs", stats.error());
    }
    std::printf("%s\n", to_json(*stats).dump(2).c_str());
    return 0;
}

} // namespace

void add_access(CLI::App &app, int &status)
{
    const auto options = std::make_shared<Options>();
    const auto add = [&](const char *name, const char *what, auto run) {
        auto *const command = app.add_subcommand(name, what);
        options->connection.add_to(*command);
        command->callback([options, &status, run] {
            auto client = options->connection.open();
            status = client ? run(*client, *options) : apps::fail("kvs", client.error());
        });
        return command;
    };
    auto *const get_command = add("get", "Print a value", get);
    get_command->add_option("KEY", options->key)->required();
    get_command->add_flag("--json", options->json, "Its length, flags and version instead");
    auto *const put_command = add("put", "Put a value", put);
    put_command->add_option("KEY", options->key)->required();
    put_command->add_option("VALUE", options->value, "-: from standard input")->required();
    put_command->add_option("--flags", options->flags, "A number that is kept with it");
    put_command->add_option("--ttl", options->ttl, "Seconds; 0: for ever");
    put_command->add_option("--if", options->only_if, "Only if it is absent, or present")
        ->check(CLI::IsMember({"always", "absent", "present"}));
    put_command->add_option("--version", options->version, "Only if this is its version");
    auto *const delete_command =
        add("delete", "Delete a key",
            [](Client &client, const Options &o) { return tell(client.erase(o.key, o.version)); });
    delete_command->add_option("KEY", options->key)->required();
    delete_command->add_option("--version", options->version, "Only if this is its version");
    add("flush", "Forget all keys of the namespace", [](Client &client, const Options &) {
        const auto done = client.flush();
        return done ? 0 : apps::fail("kvs", done.error());
    });
    add("stats", "Counters of this session, as JSON",
        [](Client &client, const Options &) { return stats(client); });
}

} // namespace kvs::cli

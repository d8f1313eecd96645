// SPDX-License-Identifier: Apache-2.0
// `kvs exercise`: uses the store and checks every answer. For tests, and to see that an
// installation works.
#include "connection.hpp"
#include "program.hpp"
#include "random.hpp"

#include <cstdio>
#include <cstring>
#include <memory>

namespace kvs::cli {
namespace {

struct Options {
    Connection connection;
    std::uint64_t operations = 1000;
    std::uint32_t keys = 100;
    std::uint32_t largest = 2000;
    std::uint32_t percent_get = 50;
    std::uint64_t counts = 0;
    std::uint64_t total = 0;
    std::uint64_t seed = 1;
    bool for_ever = false;
};

// A value tells which key it is of, and all of it follows from its first bytes.
void compose(std::span<char> to, std::uint32_t key, std::uint64_t tag)
{
    Random random{tag ^ key};
    std::size_t at = 0;
    const auto add = [&](std::uint64_t word) {
        const std::size_t n = std::min<std::size_t>(8, to.size() - at);
        std::memcpy(to.data() + at, &word, n);
        at += n;
    };
    add(tag);
    add(key);
    while (at < to.size()) {
        add(random());
    }
}

bool is_sound(std::string_view value, std::uint32_t key, std::string &scratch)
{
    if (value.size() < 16) {
        return false;
    }
    std::uint64_t tag = 0;
    std::memcpy(&tag, value.data(), 8);
    scratch.resize(value.size());
    compose(scratch, key, tag);
    return scratch == value;
}

struct Tally {
    std::uint64_t gets = 0, hits = 0, puts = 0, deletes = 0, wrong = 0;
};

elisa::Result<void> mix(Client &client, const Options &options, Random &random, Tally &tally)
{
    std::string scratch;
    for (std::uint64_t n = 0; n < options.operations; ++n) {
        const auto number = static_cast<std::uint32_t>(random() % options.keys);
        const std::string key = "exercise-" + std::to_string(number); // nobody else's
        if (random() % 100 < options.percent_get) {
            const auto value = client.get(key);
            if (!value) {
                return value.error();
            }
            ++tally.gets;
            if (*value) {
                ++tally.hits;
                tally.wrong += is_sound((*value)->bytes, number, scratch) ? 0 : 1;
            }
            continue;
        }
        if (random() % 20 == 0) {
            if (const auto erased = client.erase(key); !erased) {
                return erased.error();
            }
            ++tally.deletes;
            continue;
        }
        const auto value = client.room().first(16 + random() % (options.largest - 15));
        compose(value, number, random());
        if (const auto put = client.put(key, {value.data(), value.size()}); !put) {
            return put.error();
        }
        ++tally.puts;
    }
    return {};
}

// Adds one to a number that everybody adds to.
elisa::Result<std::uint64_t> count(Client &client)
{
    constexpr std::string_view key = "counter";
    for (;;) {
        const auto value = client.get(key);
        if (!value) {
            return value.error();
        }
        std::uint64_t number = 0;
        PutOptions how{.only_if = PutOptions::If::absent};
        if (*value) {
            std::memcpy(&number, (*value)->bytes.data(),
                        std::min<std::size_t>(8, (*value)->bytes.size()));
            how = {.only_if = PutOptions::If::version, .version = (*value)->version};
        }
        ++number;
        const auto put = client.put(key, {reinterpret_cast<const char *>(&number), 8}, how);
        if (!put) {
            return put.error();
        }
        if (*put == Status::done) {
            return number;
        }
    }
}

elisa::Result<std::uint64_t> counter(Client &client)
{
    const auto value = client.get("counter");
    if (!value) {
        return value.error();
    }
    std::uint64_t number = 0;
    if (*value && (*value)->bytes.size() == 8) {
        std::memcpy(&number, (*value)->bytes.data(), 8);
    }
    return number;
}

int exercise(const Options &options)
{
    auto client = options.connection.open();
    if (!client) {
        return apps::fail("kvs", client.error());
    }
    std::printf("port %u\n", client->port());
    std::fflush(stdout);
    Random random{options.seed ^ (std::uint64_t{client->port()} << 32)};
    Tally tally;
    do {
        if (const auto mixed = mix(*client, options, random, tally); !mixed) {
            return apps::fail("kvs", mixed.error());
        }
        if (options.for_ever) {
            std::printf("%llu operations, %llu wrong\n",
                        static_cast<unsigned long long>(tally.gets + tally.puts + tally.deletes),
                        static_cast<unsigned long long>(tally.wrong));
            std::fflush(stdout);
        }
    } while (options.for_ever && tally.wrong == 0);
    std::uint64_t last = 0;
    for (std::uint64_t n = 0; n < options.counts; ++n) {
        const auto counted = count(*client);
        if (!counted) {
            return apps::fail("kvs", counted.error());
        }
        tally.wrong += *counted > last ? 0 : 1;
        last = *counted;
    }
    while (options.total != 0 && last < options.total) {
        const auto seen = counter(*client);
        if (!seen) {
            return apps::fail("kvs", seen.error());
        }
        last = *seen;
    }
    const std::uint64_t operations = tally.gets + tally.puts + tally.deletes;
    apps::print_result({{"program", "kvs exercise"},
                        {"operations", operations},
                        {"gets", tally.gets},
                        {"hits", tally.hits},
                        {"puts", tally.puts},
                        {"deletes", tally.deletes},
                        {"wrong", tally.wrong},
                        {"counter", last}});
    if (tally.wrong != 0 || (options.total != 0 && last != options.total)) {
        std::fprintf(stderr, "kvs: %llu answers were wrong; the counter is at %llu of %llu\n",
                     static_cast<unsigned long long>(tally.wrong),
                     static_cast<unsigned long long>(last),
                     static_cast<unsigned long long>(options.total));
        return 1;
    }
    return 0;
}

} // namespace

void add_exercise(CLI::App &app, int &status)
{
    const auto options = std::make_shared<Options>();
    auto *const command = app.add_subcommand("exercise", "Use the store and check every answer");
    options->connection.add_to(*command);
    command->add_option("--operations", options->operations, "GET, PUT, DELETE at random")
        ->capture_default_str();
    command->add_option("--keys", options->keys, "Keys that they are about")->capture_default_str();
    command->add_option("--largest", options->largest, "Bytes of a value")
        ->check(CLI::Range(16u, KVS_MAX_VALUE))
        ->capture_default_str();
    command->add_option("--get", options->percent_get, "GETs in 100 operations")
        ->capture_default_str();
    command->add_option("--count", options->counts, "Then add so many ones to a common counter");
    command->add_option("--total", options->total, "Then wait until the counter is at this");
    command->add_option("--seed", options->seed)->capture_default_str();
    command->add_flag("--for-ever", options->for_ever, "Until a wrong answer");
    command->callback([options, &status] { status = exercise(*options); });
}

} // namespace kvs::cli

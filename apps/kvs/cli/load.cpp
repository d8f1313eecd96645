// SPDX-License-Identifier: Apache-2.0
// `kvs load`: GETs and PUTs without a pause, to be measured; in the store, or over TCP in whatever
// speaks memcached's text protocol. bench/README.md says how the figures are made.
//
// Several guests take part, and the store itself is how they meet: in stage S those with a number
// below S put keys that say "ready" and "done", and look for each other's. Each is at work with all
// others of the stage all the time: warm-up, the measured part, then more of it until everybody has
// measured. Before that and after it is a mark.
#include "connection.hpp"
#include "program.hpp"
#include "random.hpp"
#include "text_client.hpp"
#include "tsc.hpp"

#include <algorithm>
#include <cstdio>
#include <memory>
#include <thread>
#include <variant>
#include <vector>
#include <x86intrin.h>

namespace kvs::cli {
namespace {

using Clock = std::chrono::steady_clock;

struct Options {
    Connection connection;
    std::string memcached;
    std::uint32_t number = 0;
    std::vector<std::uint32_t> stages{1};
    std::vector<std::uint32_t> gets{90, 50};
    std::uint32_t keys = 1000;
    std::uint32_t value = 100;
    std::uint32_t ms = 200;
    std::uint32_t warm_ms = 60;
    bool vmcall = false;
};

// Either way to a store.
class Store {
  public:
    static elisa::Result<Store> open(const Options &options)
    {
        if (!options.memcached.empty()) {
            auto client = TextClient::connect(options.memcached, options.connection.timeout);
            return client ? elisa::Result<Store>{Store{std::move(*client), options.vmcall}}
                          : client.error();
        }
        auto client = options.connection.open();
        return client ? elisa::Result<Store>{Store{std::move(*client), options.vmcall}}
                      : client.error();
    }

    elisa::Result<bool> get(std::string_view key)
    {
        ask_host();
        if (auto *const text = std::get_if<TextClient>(&client_)) {
            return text->get(key);
        }
        const auto value = std::get<Client>(client_).get(key);
        return value ? elisa::Result<bool>{value->has_value()} : value.error();
    }

    elisa::Result<void> put(std::string_view key, std::string_view value)
    {
        ask_host();
        if (auto *const text = std::get_if<TextClient>(&client_)) {
            return text->put(key, value);
        }
        for (;;) {
            const auto done = std::get<Client>(client_).put(key, value);
            if (done) {
                return {};
            }
            // It may have happened; it does no harm twice.
            if (done.error().code != elisa::Errc::interrupted) {
                return done.error();
            }
        }
    }

  private:
    Store(std::variant<Client, TextClient> client, bool vmcall)
        : client_{std::move(client)}, vmcall_{vmcall}
    {
    }
    // The least that a store behind the host would cost. KVM refuses any number from user space: an
    // exit and back.
    void ask_host() const
    {
        if (vmcall_) {
            std::uint64_t rax = 0;
            __asm__ volatile("vmcall" : "+a"(rax) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
        }
    }

    std::variant<Client, TextClient> client_;
    bool vmcall_;
};

struct Measured {
    std::uint64_t operations = 0, gets = 0, hits = 0, ticks = 0;
};

// Whoever reads counters at a mark has the machine for a while.
void mark(std::size_t part, const char *what)
{
    std::printf("ELISA-MARK case-%zu-%s\n", part, what);
    std::fflush(stdout);
    std::this_thread::sleep_for(std::chrono::milliseconds{150});
}

class Load {
  public:
    Load(const Options &options, Store store)
        : options_{options}, store_{std::move(store)}, random_{options.number + 1}
    {
        for (std::uint32_t n = 0; n < options.keys; ++n) {
            keys_.push_back("key-" + std::to_string(n));
        }
        value_.assign(options.value, 'v');
    }

    elisa::Result<apps::Json> run();

  private:
    static std::string sign(const char *what, std::size_t part, std::uint32_t number)
    {
        return std::string{what} + "-" + std::to_string(part) + "-" + std::to_string(number);
    }
    // Whether all of the stage have put their sign.
    elisa::Result<bool> all(const char *what, std::size_t part, std::uint32_t stage);
    elisa::Result<void> wait_for_all(const char *what, std::size_t part, std::uint32_t stage,
                                     std::chrono::milliseconds between_looks);
    elisa::Result<void> work(std::uint32_t percent, Measured &tally);
    elisa::Result<void> work_for(std::uint32_t percent, std::uint32_t ms, Measured &tally);
    elisa::Result<apps::Json> play(std::size_t part, std::uint32_t stage, std::uint32_t percent);

    const Options &options_;
    Store store_;
    Random random_;
    std::vector<std::string> keys_;
    std::string value_;
};

elisa::Result<bool> Load::all(const char *what, std::size_t part, std::uint32_t stage)
{
    for (std::uint32_t number = 0; number < stage; ++number) {
        const auto there = store_.get(sign(what, part, number));
        if (!there || !*there) {
            return there;
        }
    }
    return true;
}

elisa::Result<void> Load::wait_for_all(const char *what, std::size_t part, std::uint32_t stage,
                                       std::chrono::milliseconds between_looks)
{
    for (;;) {
        const auto there = all(what, part, stage);
        if (!there) {
            return there.error();
        }
        if (*there) {
            return {};
        }
        std::this_thread::sleep_for(between_looks);
    }
}

elisa::Result<void> Load::work(std::uint32_t percent, Measured &tally)
{
    constexpr int between_looks_at_the_clock = 16;
    for (int n = 0; n < between_looks_at_the_clock; ++n) {
        const std::string &key = keys_[random_() % keys_.size()];
        ++tally.operations;
        if (random_() % 100 >= percent) {
            if (const auto put = store_.put(key, value_); !put) {
                return put.error();
            }
            continue;
        }
        const auto hit = store_.get(key);
        if (!hit) {
            return hit.error();
        }
        ++tally.gets;
        tally.hits += *hit ? 1 : 0;
    }
    return {};
}

elisa::Result<void> Load::work_for(std::uint32_t percent, std::uint32_t ms, Measured &tally)
{
    const auto end = Clock::now() + std::chrono::milliseconds{ms};
    while (Clock::now() < end) {
        if (const auto worked = work(percent, tally); !worked) {
            return worked.error();
        }
    }
    return {};
}

elisa::Result<apps::Json> Load::play(std::size_t part, std::uint32_t stage, std::uint32_t percent)
{
    if (const auto ready = store_.put(sign("ready", part, options_.number), "1"); !ready) {
        return ready.error();
    }
    if (const auto ready = wait_for_all("ready", part, stage, std::chrono::milliseconds{5});
        !ready) {
        return ready.error();
    }
    Measured other;
    Measured measured;
    mark(part, "begin");
    if (const auto warm = work_for(percent, options_.warm_ms, other); !warm) {
        return warm.error();
    }
    const std::uint64_t began = __rdtsc();
    if (const auto worked = work_for(percent, options_.ms, measured); !worked) {
        return worked.error();
    }
    measured.ticks = __rdtsc() - began;
    if (const auto done = store_.put(sign("done", part, options_.number), "1"); !done) {
        return done.error();
    }
    for (;;) {
        const auto there = all("done", part, stage);
        if (!there) {
            return there.error();
        }
        if (*there) {
            break;
        }
        if (const auto worked = work(percent, other); !worked) {
            return worked.error();
        }
    }
    mark(part, "end");
    return apps::Json{{"case", part},
                      {"guests", stage},
                      {"get_percent", percent},
                      {"operations", measured.operations},
                      {"gets", measured.gets},
                      {"hits", measured.hits},
                      {"ticks", measured.ticks},
                      {"marked_operations", measured.operations + other.operations}};
}

elisa::Result<apps::Json> Load::run()
{
    // What is found has been put before; the first guest is in each stage.
    if (options_.number == 0) {
        for (const std::string &key : keys_) {
            if (const auto put = store_.put(key, value_); !put) {
                return put.error();
            }
        }
    }
    constexpr std::chrono::milliseconds while_others_measure{
        150}; // a look costs the machine, which is theirs
    // A guest that boots costs it even more.
    if (const auto here = store_.put(sign("here", 0, options_.number), "1"); !here) {
        return here.error();
    }
    if (const auto here =
            wait_for_all("here", 0, std::ranges::max(options_.stages), while_others_measure);
        !here) {
        return here.error();
    }
    apps::Json cases = apps::Json::array();
    std::size_t part = 0;
    for (const std::uint32_t stage : options_.stages) {
        for (const std::uint32_t percent : options_.gets) {
            if (options_.number < stage) {
                auto played = play(part, stage, percent);
                if (!played) {
                    return played.error();
                }
                cases.push_back(std::move(*played));
            } else if (const auto over = wait_for_all("done", part, stage, while_others_measure);
                       !over) {
                return over.error();
            }
            ++part;
        }
    }
    return cases;
}

int load(const Options &options)
{
    auto store = Store::open(options);
    if (!store) {
        return apps::fail("kvs", store.error());
    }
    Load one{options, std::move(*store)};
    auto cases = one.run();
    if (!cases) {
        return apps::fail("kvs", cases.error());
    }
    apps::print_result({{"program", "kvs load"},
                        {"number", options.number},
                        {"tsc_hz", apps::tsc_hz()},
                        {"kvs_cases", std::move(*cases)}});
    return 0;
}

} // namespace

void add_load(CLI::App &app, int &status)
{
    const auto options = std::make_shared<Options>();
    auto *const command = app.add_subcommand("load", "GETs and PUTs at random, to be measured");
    options->connection.add_to(*command);
    command->add_option(
        "--memcached", options->memcached,
        "ADDRESS:PORT of a server of memcached's text protocol, instead of the store");
    command->add_option("--number", options->number, "Of this guest, from 0")
        ->capture_default_str();
    command->add_option("--stages", options->stages, "How many guests are at work, stage by stage")
        ->delimiter(',')
        ->check(CLI::Range(1u, 64u))
        ->capture_default_str();
    command->add_option("--get", options->gets, "GETs in 100 operations; all in each stage")
        ->delimiter(',')
        ->check(CLI::Range(0u, 100u))
        ->capture_default_str();
    command->add_option("--keys", options->keys, "Keys that they are about")
        ->check(CLI::Range(1u, 1u << 20))
        ->capture_default_str();
    command->add_option("--value", options->value, "Bytes of a value")
        ->check(CLI::Range(1u, 1u << 20))
        ->capture_default_str();
    command->add_option("--ms", options->ms, "Measured, each")->capture_default_str();
    command->add_option("--warm-ms", options->warm_ms, "Before that")->capture_default_str();
    command->add_flag("--vmcall", options->vmcall, "A hypercall before each operation; in a VM");
    command->callback([options, &status] { status = load(*options); });
}

} // namespace kvs::cli

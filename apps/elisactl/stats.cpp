// SPDX-License-Identifier: Apache-2.0
// stats: the ports' counters, once or as rates.
#include "context.hpp"
#include "host.hpp"
#include "manager.hpp"

#include <CLI/CLI.hpp>
#include <algorithm>
#include <chrono>
#include <fmt/format.h>
#include <map>
#include <memory>
#include <optional>
#include <thread>
#include <unistd.h>

namespace elisactl {
namespace {

constexpr const char *counters[] = {"tx_frames", "tx_bytes",  "rx_frames",
                                    "rx_bytes",  "crossings", "flooded"};

std::string short_number(double value)
{
    constexpr const char *units[] = {"", "k", "M", "G", "T"};
    std::size_t unit = 0;
    while (value >= 1000 && unit + 1 < std::size(units)) {
        value /= 1000;
        ++unit;
    }
    return unit == 0 ? fmt::format("{:.0f}", value) : fmt::format("{:.2f}{}", value, units[unit]);
}

std::string drops_text(const Json &drops, const char *unit)
{
    std::string text;
    for (const auto &[reason, count] : drops.items()) {
        text += (text.empty() ? "" : " ") + reason + "=" + short_number(count.get<double>()) + unit;
    }
    return text.empty() ? "none" : text;
}

// What the host's module has counted, where this is the host.
std::optional<Json> host_counters()
{
    const auto host = Host::open();
    if (!host) {
        return std::nullopt;
    }
    const auto stats = host->stats();
    if (!stats) {
        return std::nullopt;
    }
    return Json{{"crossings", stats->crossings},
                {"aborts", stats->aborts},
                {"off_default_exits", stats->off_default_exits},
                {"throttled", stats->throttled}};
}

// A port that was closed and opened again begins at 0: then what it has is what is new.
double more(const Json &now, const Json &before, const char *key)
{
    const auto a = before.is_object() ? before.value(key, std::uint64_t{0}) : 0;
    const auto b = now.value(key, std::uint64_t{0});
    return static_cast<double>(b >= a ? b - a : b);
}

Json rates(const Json &now, const Json &before, double seconds)
{
    std::map<unsigned, Json> old;
    for (const Json &port : before["ports"]) {
        if (port["open"] == true) {
            old[port["port"].get<unsigned>()] = port;
        }
    }
    Json out = Json::array();
    for (const Json &port : now["ports"]) {
        if (port["open"] != true) {
            continue;
        }
        const Json &last = old[port["port"].get<unsigned>()];
        Json rate{{"port", port["port"]},
                  {"label", port["label"]},
                  {"link", port.value("link", std::string{})}};
        for (const char *const key : counters) {
            rate[std::string{key} + "_per_s"] = more(port, last, key) / seconds;
        }
        const double crossings = more(port, last, "crossings");
        rate["frames_per_crossing"] = crossings > 0 ? more(port, last, "tx_frames") / crossings : 0;
        Json drops = Json::object();
        for (const auto &[reason, count] : port["drops"].items()) {
            const double n =
                more(port["drops"], last.is_object() ? last["drops"] : Json{}, reason.c_str());
            if (n > 0) {
                drops[reason] = n / seconds;
            }
        }
        rate["drops_per_s"] = std::move(drops);
        out.push_back(std::move(rate));
    }
    return out;
}

void print_totals(const Json &answer)
{
    fmt::print("{:>4} {:20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6}  {}\n", "PORT", "LABEL", "SENT",
               "BYTES", "RECEIVED", "BYTES", "CROSSINGS", "FR/CR", "DROPS");
    for (const Json &port : answer["ports"]) {
        const auto number = [&](const char *key) { return port[key].get<double>(); };
        const double crossings = number("crossings");
        fmt::print("{:>4} {:20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6.1f}  {}{}\n",
                   port["port"].get<unsigned>(), port["label"].get<std::string>(),
                   short_number(number("tx_frames")), short_number(number("tx_bytes")),
                   short_number(number("rx_frames")), short_number(number("rx_bytes")),
                   short_number(crossings), crossings > 0 ? number("tx_frames") / crossings : 0.0,
                   drops_text(port["drops"], ""), port["open"] == true ? "" : "  (gone)");
    }
}

void print_rates(const Json &rates)
{
    fmt::print("{:>4} {:20} {:4} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6}  {}\n", "PORT", "LABEL",
               "LINK", "SENT/s", "bit/s", "RECEIVED/s", "bit/s", "CROSS./s", "FR/CR", "DROPS/s");
    for (const Json &port : rates) {
        const auto number = [&](const char *key) { return port[key].get<double>(); };
        fmt::print(
            "{:>4} {:20} {:4} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6.1f}  {}\n",
            port["port"].get<unsigned>(), port["label"].get<std::string>(),
            port["link"].get<std::string>(), short_number(number("tx_frames_per_s")),
            short_number(number("tx_bytes_per_s") * 8), short_number(number("rx_frames_per_s")),
            short_number(number("rx_bytes_per_s") * 8), short_number(number("crossings_per_s")),
            number("frames_per_crossing"), drops_text(port["drops_per_s"], ""));
    }
}

int stats(const Context &context)
{
    auto answer = ask(context, {{"cmd", "ports"}});
    if (!answer) {
        return context.fail(answer.error());
    }
    const auto host = host_counters();
    if (host) {
        (*answer)["host"] = *host;
    }
    if (context.json) {
        Context::print(*answer);
        return 0;
    }
    print_totals(*answer);
    if (host) {
        fmt::print("host: {} crossings, {} aborted, {} exits off the default context\n",
                   (*host)["crossings"].dump(), (*host)["aborts"].dump(),
                   (*host)["off_default_exits"].dump());
    }
    return 0;
}

int watch(const Context &context, double interval, std::uint64_t count)
{
    auto manager = Manager::connect(context);
    if (!manager) {
        return context.fail(manager.error());
    }
    auto before = manager->ask({{"cmd", "ports"}});
    auto host_before = host_counters();
    const bool terminal = !context.json && ::isatty(STDOUT_FILENO) != 0;
    for (std::uint64_t i = 0; before && (count == 0 || i < count); ++i) {
        std::this_thread::sleep_for(std::chrono::duration<double>{interval});
        auto now = manager->ask({{"cmd", "ports"}});
        if (!now) {
            return context.fail(now.error());
        }
        const double seconds = static_cast<double>((*now)["time_ns"].get<std::uint64_t>() -
                                                   (*before)["time_ns"].get<std::uint64_t>()) /
                               1e9;
        Json shown{{"seconds", seconds}, {"ports", rates(*now, *before, std::max(seconds, 1e-3))}};
        auto host_now = host_counters();
        if (host_now && host_before) {
            Json &host = shown["host"] = Json::object();
            for (const auto &[key, value] : host_now->items()) {
                host[key + "_per_s"] = more(*host_now, *host_before, key.c_str()) / seconds;
            }
        }
        if (context.json) {
            Context::print(shown);
        } else {
            fmt::print("{}", terminal ? "\033[H\033[2J" : i != 0 ? "\n" : "");
            print_rates(shown["ports"]);
            if (shown.contains("host")) {
                fmt::print(
                    "host: {} crossings/s, {} aborts/s, {} exits/s off the default context\n",
                    short_number(shown["host"]["crossings_per_s"].get<double>()),
                    short_number(shown["host"]["aborts_per_s"].get<double>()),
                    short_number(shown["host"]["off_default_exits_per_s"].get<double>()));
            }
            std::fflush(stdout);
        }
        before = std::move(now);
        host_before = std::move(host_now);
    }
    return before ? 0 : context.fail(before.error());
}

} // namespace

void add_stats(CLI::App &app, Context &context)
{
    auto *const command =
        app.add_subcommand("stats", "What the ports have sent, received and dropped, and why");
    struct Options {
        bool watch = false;
        double interval = 1;
        std::uint64_t count = 0;
    };
    const auto options = std::make_shared<Options>();
    command->add_flag("--watch,-w", options->watch, "Rates, again and again");
    command->add_option("--interval", options->interval, "Seconds between two looks")
        ->check(CLI::Range(0.05, 3600.0))
        ->capture_default_str();
    command->add_option("--count", options->count, "End after so many looks; 0: never")
        ->capture_default_str();
    command->callback([&context, options] {
        context.action = [&context, options] {
            return options->watch ? watch(context, options->interval, options->count)
                                  : stats(context);
        };
    });
}

} // namespace elisactl

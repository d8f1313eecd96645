// SPDX-License-Identifier: Apache-2.0
// stats: the ports' counters, once or as rates.
//
// Two may have something to say: the manager, where it runs, and the host's module, where that is.
// At the elisa backend they are on different machines, at the direct one there is no module.
#include "counters.hpp"
#include "host_counters.hpp"
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

std::string drops_text(const Json &drops, const char *unit)
{
    std::string text;
    for (const auto &[reason, count] : drops.items()) {
        text += (text.empty() ? "" : " ") + reason + "=" + short_number(count.get<double>()) + unit;
    }
    return text.empty() ? "none" : text;
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
        rate["cycles_per_frame"] =
            ratio(more(port, last, "timed_cycles"), more(port, last, "timed_frames"));
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

void print_totals(const Json &ports)
{
    fmt::print("{:>4} {:20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>8}  {}\n", "PORT", "LABEL",
               "SENT", "BYTES", "RECEIVED", "BYTES", "CROSSINGS", "FR/CR", "CYC/FR", "DROPS");
    for (const Json &port : ports) {
        const auto number = [&](const char *key) { return port[key].get<double>(); };
        fmt::print("{:>4} {:20} {:>9} {:>9} {:>9} {:>9} {:>9} {:>6} {:>8}  {}{}\n",
                   port["port"].get<unsigned>(), port["label"].get<std::string>(),
                   short_number(number("tx_frames")), short_number(number("tx_bytes")),
                   short_number(number("rx_frames")), short_number(number("rx_bytes")),
                   short_number(number("crossings")),
                   ratio_text(ratio(number("tx_frames"), number("crossings"))),
                   ratio_text(port["cycles_per_frame"]), drops_text(port["drops"], ""),
                   port["open"] == true ? "" : "  (gone)");
    }
}

void print_rates(const Json &rates)
{
    fmt::print("{:>4} {:20} {:4} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6} {:>8}  {}\n", "PORT",
               "LABEL", "LINK", "SENT/s", "bit/s", "RECEIVED/s", "bit/s", "CROSS./s", "FR/CR",
               "CYC/FR", "DROPS/s");
    for (const Json &port : rates) {
        const auto number = [&](const char *key) { return port[key].get<double>(); };
        fmt::print("{:>4} {:20} {:4} {:>10} {:>10} {:>10} {:>10} {:>10} {:>6.1f} {:>8}  {}\n",
                   port["port"].get<unsigned>(), port["label"].get<std::string>(),
                   port["link"].get<std::string>(), short_number(number("tx_frames_per_s")),
                   short_number(number("tx_bytes_per_s") * 8),
                   short_number(number("rx_frames_per_s")),
                   short_number(number("rx_bytes_per_s") * 8),
                   short_number(number("crossings_per_s")), number("frames_per_crossing"),
                   ratio_text(port["cycles_per_frame"]), drops_text(port["drops_per_s"], ""));
    }
}

// One look at all that can be asked here.
class Sources {
  public:
    // An error: there is nobody to ask. Where no manager is, and nobody named its socket, the
    // host's module will do.
    static elisa::Result<Sources> open(const Context &context)
    {
        auto manager = Manager::connect(context);
        if (!manager) {
            const bool expected = is_socket_named(context) ||
                                  manager.error().code != std::errc::no_such_file_or_directory;
            if (expected || host_counters().is_null()) {
                return manager.error();
            }
        }
        return Sources{manager ? std::optional{std::move(*manager)} : std::nullopt};
    }

    // "ports", and the rest of the manager's answer; "host"; what there is of them.
    elisa::Result<Json> look()
    {
        Json out = Json::object();
        if (manager_) {
            auto answer = manager_->ask({{"cmd", "ports"}});
            if (!answer) {
                return answer;
            }
            out = std::move(*answer);
        }
        if (Json host = host_counters(); !host.is_null()) {
            out["host"] = std::move(host);
        } else if (!manager_) {
            return elisa::make_error(elisa::Errc::inconsistent,
                                     "/dev/elisa has gone: was elisa.ko unloaded?");
        }
        return out;
    }

  private:
    explicit Sources(std::optional<Manager> manager) : manager_{std::move(manager)} {}

    std::optional<Manager> manager_;
};

int stats(const Context &context)
{
    auto sources = Sources::open(context);
    if (!sources) {
        return context.fail(sources.error());
    }
    auto found = sources->look();
    if (!found) {
        return context.fail(found.error());
    }
    if (found->contains("ports")) {
        for (Json &port : (*found)["ports"]) {
            port["cycles_per_frame"] =
                ratio(more(port, nullptr, "timed_cycles"), more(port, nullptr, "timed_frames"));
        }
    }
    if (context.json) {
        Context::print(*found);
        return 0;
    }
    if (found->contains("ports")) {
        print_totals((*found)["ports"]);
    }
    if (found->contains("host")) {
        print_host_totals((*found)["host"]);
    }
    return 0;
}

int watch(const Context &context, double interval, std::uint64_t count)
{
    using Clock = std::chrono::steady_clock;
    auto sources = Sources::open(context);
    if (!sources) {
        return context.fail(sources.error());
    }
    auto before = sources->look();
    auto looked = Clock::now();
    const bool terminal = !context.json && ::isatty(STDOUT_FILENO) != 0;
    for (std::uint64_t i = 0; before && (count == 0 || i < count); ++i) {
        std::this_thread::sleep_for(std::chrono::duration<double>{interval});
        auto now = sources->look();
        if (!now) {
            return context.fail(now.error());
        }
        const auto looking = Clock::now();
        const double host_seconds = std::chrono::duration<double>{looking - looked}.count();
        Json shown{{"seconds", host_seconds}};
        if (now->contains("ports") && before->contains("ports")) {
            // The manager's clock: when it answered, however late we are.
            const double seconds = static_cast<double>((*now)["time_ns"].get<std::uint64_t>() -
                                                       (*before)["time_ns"].get<std::uint64_t>()) /
                                   1e9;
            shown["seconds"] = seconds;
            shown["ports"] = rates(*now, *before, std::max(seconds, 1e-3));
        }
        if (now->contains("host") && before->contains("host")) {
            shown["host"] = host_rates((*now)["host"], (*before)["host"], host_seconds);
        }
        if (context.json) {
            Context::print(shown);
        } else {
            fmt::print("{}", terminal ? "\033[H\033[2J" : i != 0 ? "\n" : "");
            if (shown.contains("ports")) {
                print_rates(shown["ports"]);
            }
            if (shown.contains("host")) {
                print_host_rates(shown["host"]);
            }
            std::fflush(stdout);
        }
        before = std::move(now);
        looked = looking;
    }
    return before ? 0 : context.fail(before.error());
}

} // namespace

void add_stats(CLI::App &app, Context &context)
{
    auto *const command = app.add_subcommand(
        "stats",
        "What the ports have sent, received and dropped, and why; on the host, what VMs did");
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

// SPDX-License-Identifier: Apache-2.0
// capture: what a port sends and is sent, as a pcapng file or as lines.
#include "context.hpp"
#include "control/stream.hpp"
#include "filter.hpp"
#include "manager.hpp"
#include "pcapng.hpp"

#include <CLI/CLI.hpp>
#include <atomic>
#include <chrono>
#include <csignal>
#include <fmt/format.h>
#include <memory>
#include <poll.h>

namespace elisactl {
namespace {

using vmnet::control::Record;
using vmnet::control::RecordKind;

std::atomic<bool> stop{false};

void on_signal(int)
{
    stop.store(true);
}

std::string address(const std::uint8_t *mac)
{
    return fmt::format("{:02x}:{:02x}:{:02x}:{:02x}:{:02x}:{:02x}", mac[0], mac[1], mac[2], mac[3],
                       mac[4], mac[5]);
}

void print_frame(const Context &context, const Record &record, std::span<const std::uint8_t> frame)
{
    const bool whole = frame.size() >= 14;
    const std::string to = whole ? address(frame.data()) : "?";
    const std::string from = whole ? address(frame.data() + 6) : "?";
    const unsigned type = whole ? static_cast<unsigned>(frame[12] << 8 | frame[13]) : 0;
    if (context.json) {
        Context::print({{"time_ns", record.time_ns},
                        {"sent", record.a != 0},
                        {"from_port", record.b},
                        {"length", frame.size()},
                        {"source", from},
                        {"destination", to},
                        {"ethertype", type}});
        return;
    }
    fmt::print("{}.{:09} {} {} > {} type {:#06x} length {}\n", record.time_ns / 1'000'000'000,
               record.time_ns % 1'000'000'000, record.a != 0 ? "out" : "in ", from, to, type,
               frame.size());
    std::fflush(stdout);
}

struct Options {
    std::string port;
    std::string file;
    std::uint64_t count = 0;
    double seconds = 0;
    std::vector<std::string> filter;
};

std::string joined(const std::vector<std::string> &words)
{
    std::string text;
    for (const std::string &word : words) {
        text += (text.empty() ? "" : " ") + word;
    }
    return text;
}

int capture(const Context &context, const Options &options)
{
    const auto filter = Filter::compile(joined(options.filter));
    if (!filter) {
        return context.fail(filter.error());
    }
    auto manager = Manager::connect(context);
    if (!manager) {
        return context.fail(manager.error());
    }
    std::optional<Pcapng> file;
    if (!options.file.empty()) {
        auto created = Pcapng::create(options.file, "port " + options.port);
        if (!created) {
            return context.fail(created.error());
        }
        file.emplace(std::move(*created));
    }
    const auto answer = manager->ask({{"cmd", "capture"}, {"port", port_json(options.port)}});
    if (!answer) {
        return context.fail(answer.error());
    }
    if ((*answer)["record"] != sizeof(Record)) {
        return context.fail("elisactl and vmnet are of different versions");
    }
    struct sigaction action {};
    action.sa_handler = on_signal;
    ::sigaction(SIGINT, &action, nullptr);
    ::sigaction(SIGTERM, &action, nullptr);

    using Clock = std::chrono::steady_clock;
    const auto deadline = Clock::now() + std::chrono::duration_cast<Clock::duration>(
                                             std::chrono::duration<double>{options.seconds});
    fmt::print(stderr, "elisactl: capturing port {}; end with Ctrl-C\n", options.port);
    std::uint64_t taken = 0;
    std::uint64_t seen = 0;
    Record last{};
    std::vector<std::uint8_t> frame;
    while (!stop.load() && (options.count == 0 || taken < options.count) &&
           (options.seconds == 0 || Clock::now() < deadline)) {
        pollfd fd{.fd = manager->fd(), .events = POLLIN, .revents = 0};
        if (!manager->buffered() && ::poll(&fd, 1, 100) <= 0) {
            // Nothing comes: who looks on (a pipe to tshark) is to see the last frames, too.
            if (const auto written = file ? file->flush() : elisa::Result<void>{}; !written) {
                return context.fail(written.error());
            }
            continue;
        }
        Record record{};
        auto there = manager->read_bytes(&record, sizeof(record));
        if (there && *there && record.kind == RecordKind::frame) {
            frame.resize(record.length);
            there = manager->read_bytes(frame.data(), frame.size());
        }
        if (!there) {
            return context.fail(there.error());
        }
        if (!*there) {
            fmt::print(stderr, "elisactl: the port was closed, or the manager has ended\n");
            break;
        }
        if (record.kind == RecordKind::counts) {
            last = record;
            continue;
        }
        ++seen;
        if (!filter->passes(frame)) {
            continue;
        }
        ++taken;
        if (!file) {
            print_frame(context, record, frame);
        } else if (const auto written = file->frame(record.time_ns, record.a != 0, frame);
                   !written) {
            return context.fail(written.error());
        }
    }
    const std::uint64_t lost = last.a + last.b;
    if (file) {
        const auto now = std::chrono::duration_cast<std::chrono::nanoseconds>(
                             std::chrono::system_clock::now().time_since_epoch())
                             .count();
        if (const auto done = file->finish(static_cast<std::uint64_t>(now), seen + lost, lost);
            !done) {
            return context.fail(done.error());
        }
    }
    fmt::print(
        stderr,
        "elisactl: {} frame(s) captured of {} seen; lost: {} by the switch, {} by this program\n",
        taken, seen, last.a, last.b);
    if (context.json && options.file != "-") {
        Context::print({{"captured", taken},
                        {"seen", seen},
                        {"lost_by_switch", last.a},
                        {"lost_by_reader", last.b}});
    }
    return 0;
}

} // namespace

void add_capture(CLI::App &app, Context &context)
{
    auto *const command = app.add_subcommand("capture", "Copies of what a port sends and is sent");
    const auto options = std::make_shared<Options>();
    command->add_option("PORT", options->port, "Its number, or its label")->required();
    command->add_option("-w,--write", options->file,
                        "To this file, as pcapng; -: to standard output");
    command->add_option("--count,-c", options->count, "End after so many frames");
    command->add_option("--seconds", options->seconds, "End after so long")
        ->check(CLI::NonNegativeNumber);
    // A filter's words are not taken for commands of this program ("port", "host").
    command->fallthrough(false);
    command->add_flag("--json", context.json, "For programs");
    command->add_option("--socket", context.socket, "The manager's control socket");
    command->add_option("FILTER", options->filter, "As for tcpdump: man pcap-filter");
    command->callback([&context, options] {
        context.action = [&context, options] { return capture(context, *options); };
    });
}

} // namespace elisactl

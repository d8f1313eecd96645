// SPDX-License-Identifier: Apache-2.0
// Calls that are long enough for something to happen in their middle.
#include "elisa/guest.hpp"
#include "nop.h"
#include "probes.hpp"
#include "program.hpp"

#include <chrono>
#include <csignal>
#include <cstdio>
#include <fstream>
#include <map>
#include <sstream>

namespace probes {
namespace {

// Some milliseconds on the emulated machine; the budget of a crossing is 50.
constexpr std::uint64_t spins = 600'000;

struct Outcome {
    std::uint64_t calls = 0;
    std::map<std::int64_t, std::uint64_t> statuses; // that are not 0
    bool broken = false;                            // a short call after it failed
};

template <class Done>
Outcome call_until(const elisa::Attachment &attachment, Done &&done)
{
    std::printf("calling\n");
    std::fflush(stdout);
    Outcome outcome;
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (!outcome.broken && !done(outcome) && std::chrono::steady_clock::now() < deadline) {
        const auto result = attachment.call(NOP_SPIN, spins);
        ++outcome.calls;
        if (!result.ok()) {
            ++outcome.statuses[result.status];
            const auto next = attachment.call(NOP_NOTHING, outcome.calls);
            outcome.broken = !next.ok() || next.value != static_cast<std::int64_t>(outcome.calls);
        }
    }
    return outcome;
}

apps::Json to_json(const Outcome &outcome)
{
    apps::Json seen = apps::Json::object();
    for (const auto &[status, count] : outcome.statuses) {
        const auto name = elisa::abi_error_name(status);
        seen[name.empty() ? std::to_string(status) : std::string{name}] = count;
    }
    return seen;
}

// As this guest's kernel has counted them, over all CPUs.
std::uint64_t nmi_count()
{
    std::ifstream interrupts{"/proc/interrupts"};
    for (std::string line; std::getline(interrupts, line);) {
        std::istringstream words{line};
        std::string name;
        if (words >> name && name == "NMI:") {
            std::uint64_t sum = 0;
            for (std::uint64_t n = 0; words >> n;) {
                sum += n;
            }
            return sum;
        }
    }
    return 0;
}

} // namespace

int paused(const std::string &export_name, double seconds)
{
    const auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    const auto end = std::chrono::steady_clock::now() +
                     std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)};
    const auto outcome = call_until(
        *attachment, [&](const Outcome &) { return std::chrono::steady_clock::now() >= end; });
    const bool closed = sub_is_closed(*attachment);
    const bool ok = outcome.calls > 0 && outcome.statuses.empty() && closed;
    apps::print_result({{"probe", "paused"},
                        {"calls", outcome.calls},
                        {"errors", to_json(outcome)},
                        {"sub_closed", closed},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

int preempted(const std::string &export_name)
{
    const auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    const auto outcome =
        call_until(*attachment, [](const Outcome &so_far) { return !so_far.statuses.empty(); });
    const bool ok = !outcome.broken && outcome.statuses.size() == 1 &&
                    outcome.statuses.contains(-ELISA_E_INTERRUPTED);
    apps::print_result({{"probe", "preempted"},
                        {"calls", outcome.calls},
                        {"errors", to_json(outcome)},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

int nmis(const std::string &export_name, std::uint64_t wanted)
{
    const auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    const std::uint64_t before = nmi_count();
    const auto outcome =
        call_until(*attachment, [&](const Outcome &) { return nmi_count() - before >= wanted; });
    const std::uint64_t seen = nmi_count() - before;
    const auto stats = attachment->stats();
    const bool ok = outcome.statuses.empty() && seen >= wanted && stats && stats->return_traps > 0;
    apps::print_result({{"probe", "nmis"},
                        {"calls", outcome.calls},
                        {"nmis", seen},
                        {"return_traps", stats ? stats->return_traps : 0},
                        {"errors", to_json(outcome)},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes

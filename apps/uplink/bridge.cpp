// SPDX-License-Identifier: Apache-2.0
#include "bridge.hpp"

#include <ctime>
#include <poll.h>
#include <rte_cycles.h>
#include <rte_pause.h>

namespace uplink {
namespace {

constexpr unsigned polls_before_sleep = 64;

bool pump(End &from, End &to, Counters &counters)
{
    std::array<rte_mbuf *, max_burst> frames;
    const std::uint16_t count = from.receive(frames, counters);
    if (count == 0) {
        return false;
    }
    to.send(std::span{frames}.first(count), counters);
    return true;
}

void sleep_for(std::chrono::microseconds bound, const End &rvif, const End &other)
{
    // poll() passes over an fd of -1.
    std::array<pollfd, 2> watched{pollfd{.fd = rvif.wait_fd(), .events = POLLIN, .revents = 0},
                                  pollfd{.fd = other.wait_fd(), .events = POLLIN, .revents = 0}};
    const timespec time{.tv_sec = static_cast<time_t>(bound.count() / 1'000'000),
                        .tv_nsec = static_cast<long>(bound.count() % 1'000'000 * 1000)};
    ::ppoll(watched.data(), watched.size(), &time, nullptr);
}

} // namespace

elisa::Result<void> run(End &rvif, End &other, Traffic &traffic, const BridgeOptions &options,
                        const std::atomic<bool> &stop,
                        const std::function<elisa::Result<void>()> &look)
{
    const std::uint64_t interval =
        rte_get_tsc_hz() / 1000 * static_cast<std::uint64_t>(options.look.count());
    std::uint64_t next = 0;
    unsigned idle = 0;
    while (!stop.load(std::memory_order_relaxed)) {
        const bool out = pump(rvif, other, traffic.directions[outward]);
        const bool in = pump(other, rvif, traffic.directions[inward]);
        idle = out || in ? 0 : idle + 1;
        if (const std::uint64_t now = rte_rdtsc(); now >= next) {
            if (auto seen = look(); !seen) {
                return seen;
            }
            other.count_overrun(traffic.directions[inward]);
            next = now + interval;
        }
        if (idle >= polls_before_sleep) {
            if (options.idle.count() > 0) {
                sleep_for(options.idle, rvif, other);
            } else {
                rte_pause();
            }
        }
    }
    return {};
}

} // namespace uplink

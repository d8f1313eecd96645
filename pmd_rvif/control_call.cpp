// SPDX-License-Identifier: Apache-2.0
#include "control_call.hpp"

#include "elisa/pinned.hpp"
#include "rvs/rvif.h"

#include <chrono>
#include <thread>

namespace rvif {
// What a call that was cut short had claimed stays claimed by its vCPU. Only from there can it be
// done again.

CallResult call_from_each(std::span<const int> cpus, Backend &backend, std::uint64_t op,
                          std::uint64_t a1, std::uint64_t a2) noexcept
{
    CallResult result{.status = 0, .value = -RVIF_E_BUSY};
    for (auto cpu = cpus.begin(); cpu != cpus.end() && is_busy(result); ++cpu) {
        if (const auto pinned = elisa::Pinned::to(*cpu)) { // it may be offline
            result = backend.call(op, a1, a2, 0);
        }
    }
    return result;
}

CallResult control_call(Backend &backend, std::uint64_t op, std::uint64_t a1,
                        std::uint64_t a2) noexcept
{
    constexpr int tries = 16;
    const auto pinned = elisa::Pinned::here();
    CallResult result = backend.call(op, a1, a2, 0);
    for (int i = 1; i < tries && result.status != 0 && backend.alive(); ++i) {
        result = backend.call(op, a1, a2, 0);
        // It had been through when it was cut short.
        if (op == RVIF_OP_START && result.status == 0 && result.value == -RVIF_E_STATE) {
            result.value = 0;
        }
    }
    return result;
}

Stopped stop_port(Backend &backend) noexcept
{
    constexpr int tries = 2000;
    constexpr int elsewhere = 128; // every so many of them also from the other CPUs
    constexpr std::chrono::milliseconds pause{1};
    const auto cpus = elisa::allowed_cpus();
    const auto pinned = elisa::Pinned::here();
    for (int left = tries - 1;; --left) {
        const CallResult result = cpus && left % elsewhere == 0
                                      ? call_from_each(*cpus, backend, RVIF_OP_STOP)
                                      : backend.call(RVIF_OP_STOP, 0, 0, 0);
        const bool answered = result.status == 0 && !is_busy(result);
        if (answered || !backend.alive() || left == 0) {
            return {.quiet = answered || !backend.alive(), .last = result};
        }
        std::this_thread::sleep_for(pause);
    }
}

} // namespace rvif

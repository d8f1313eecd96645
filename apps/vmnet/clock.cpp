// SPDX-License-Identifier: Apache-2.0
#include "clock.hpp"

#include <chrono>
#include <thread>

namespace vmnet {

std::uint64_t measure_tsc_hz()
{
    using Clock = std::chrono::steady_clock;
    constexpr std::chrono::milliseconds span{50};
    const auto begin = Clock::now();
    const std::uint64_t from = __builtin_ia32_rdtsc();
    std::this_thread::sleep_for(span);
    const std::uint64_t ticks = __builtin_ia32_rdtsc() - from;
    const std::chrono::duration<double> passed = Clock::now() - begin;
    return static_cast<std::uint64_t>(static_cast<double>(ticks) / passed.count());
}

} // namespace vmnet

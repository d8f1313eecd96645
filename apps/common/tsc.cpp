// SPDX-License-Identifier: Apache-2.0
#include "tsc.hpp"

#include <chrono>
#include <cmath>
#include <thread>
#include <x86intrin.h>

namespace apps {

std::uint64_t tsc_hz()
{
    using Clock = std::chrono::steady_clock;
    struct Moment {
        Clock::time_point time;
        std::uint64_t ticks;
    };
    // The clock is read between two reads of the counter; of several, the one that was not held up.
    const auto now = [] {
        Moment best{};
        std::uint64_t least = ~std::uint64_t{0};
        for (int i = 0; i < 20; ++i) {
            const std::uint64_t before = __rdtsc();
            const Clock::time_point time = Clock::now();
            const std::uint64_t took = __rdtsc() - before;
            if (took < least) {
                least = took;
                best = {time, before + took / 2};
            }
        }
        return best;
    };
    const Moment begin = now();
    std::this_thread::sleep_for(std::chrono::milliseconds{50});
    const Moment end = now();
    const double seconds = std::chrono::duration<double>(end.time - begin.time).count();
    const double rate = static_cast<double>(end.ticks - begin.ticks) / seconds;
    const double unit = std::pow(10.0, std::floor(std::log10(rate)) - 4);
    return static_cast<std::uint64_t>(std::llround(rate / unit) * std::llround(unit));
}

} // namespace apps

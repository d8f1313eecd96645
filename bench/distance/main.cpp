// SPDX-License-Identifier: Apache-2.0
// distance: how far two CPUs are from each other just now: the round trip of one cache line, as two
// threads see it that answer each other. Takes a few milliseconds, if need be from what else wants
// the CPUs.
//
//   distance CPU CPU                      -> {"round_trip_ns"}
#include <algorithm>
#include <array>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <latch>
#include <sched.h>
#include <thread>
#include <unistd.h>

namespace {

constexpr unsigned batches = 64; // the median of them: some are interrupted
constexpr unsigned trips = 64;   // of a batch

// Odd numbers are questions, the next even one is the answer.
alignas(128) std::atomic<unsigned> shared_line{0};

// Ends the process if that cannot be: the other thread would wait for ever.
void take_cpu(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (::sched_setaffinity(0, sizeof(set), &set) != 0) {
        std::fprintf(stderr, "distance: cannot run on CPU %d\n", cpu);
        std::_Exit(1);
    }
    // Before a switch that polls there. Without the right to, it takes turns with that and the
    // median stands less firmly.
    sched_param first{};
    first.sched_priority = 1;
    (void)::sched_setscheduler(0, SCHED_FIFO, &first);
}

void until(unsigned number)
{
    while (shared_line.load(std::memory_order_acquire) != number) {
    }
}

void answer()
{
    for (unsigned number = 1; number < 2 * batches * trips; number += 2) {
        until(number);
        shared_line.store(number + 1, std::memory_order_release);
    }
}

double ask()
{
    using Clock = std::chrono::steady_clock;
    std::array<double, batches> times{};
    unsigned number = 0;
    for (double &time : times) {
        const Clock::time_point begin = Clock::now();
        for (unsigned trip = 0; trip < trips; ++trip) {
            shared_line.store(number + 1, std::memory_order_release);
            number += 2;
            until(number);
        }
        time = std::chrono::duration<double, std::nano>(Clock::now() - begin).count() / trips;
    }
    std::nth_element(times.begin(), times.begin() + batches / 2, times.end());
    return times[batches / 2];
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 3) {
        std::fputs("usage: distance CPU CPU\n", stderr);
        return 2;
    }
    ::alarm(10); // at this priority it must not spin for ever, whatever happens
    // Both have their CPU before one of them begins to wait for the other by spinning.
    std::latch placed{2};
    std::thread other{[&placed, cpu = std::atoi(argv[2])] {
        take_cpu(cpu);
        placed.arrive_and_wait();
        answer();
    }};
    take_cpu(std::atoi(argv[1]));
    placed.arrive_and_wait();
    std::printf("{\"round_trip_ns\": %.1f}\n", ask());
    other.join();
    return 0;
}

// SPDX-License-Identifier: Apache-2.0
#include "bench.hpp"

#include "elisa/doorbell.hpp"
#include "nop.h"
#include "tsc.hpp"

#include <algorithm>
#include <chrono>
#include <cmath>
#include <cstdio>
#include <sys/syscall.h>
#include <thread>
#include <unistd.h>
#include <vector>
#include <x86intrin.h>

namespace nop {
namespace {

constexpr std::size_t samples = 1001;

struct Ticks {
    std::uint64_t median;
    std::uint64_t least;
};

// Ticks of one `operation`, less those of reading the counter.
template <class Operation>
Ticks measure(Operation &&operation)
{
    std::vector<std::uint64_t> empty(samples);
    std::vector<std::uint64_t> full(samples);
    for (std::size_t i = 0; i < samples; ++i) {
        const std::uint64_t begin = __rdtsc();
        __asm__ volatile("" ::: "memory");
        const std::uint64_t middle = __rdtsc();
        operation();
        __asm__ volatile("" ::: "memory");
        const std::uint64_t end = __rdtsc();
        empty[i] = middle - begin;
        full[i] = end - middle;
    }
    std::ranges::sort(empty);
    std::ranges::sort(full);
    const auto less = [&](std::uint64_t ticks) {
        return ticks > empty[samples / 2] ? ticks - empty[samples / 2] : 0;
    };
    return {less(full[samples / 2]), less(full.front())};
}

void hypercall()
{
    // Not a number that KVM knows, and not from CPL0: it refuses, which is all we want.
    std::uint64_t rax = 0x454c4953;
    __asm__ volatile("vmcall" : "+a"(rax) : "b"(0), "c"(0), "d"(0), "S"(0) : "memory");
}

void ring()
{
    elisa::doorbell::Registers regs;
    static_cast<void>(elisa::doorbell::ring(ELISA_CALL_VERSION, regs));
}

// The least that its kernel can be asked for.
void system_call()
{
    static_cast<void>(::syscall(SYS_getppid));
}

template <class Operation>
void repeat(std::uint64_t times, Operation &&operation)
{
    for (std::uint64_t i = 0; i < times; ++i) {
        operation();
    }
}

// Tells the lab to keep KVM's counters now, and gives it the time to do so.
void mark(const char *name)
{
    std::printf("ELISA-MARK %s\n", name);
    std::fflush(stdout);
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
}

} // namespace

apps::Json bench(const elisa::Attachment &attachment, std::uint64_t count)
{
    std::uint64_t failures = 0;
    const auto cross = [&] {
        const auto result = attachment.call(NOP_NOTHING, 7);
        failures += result.status != 0 || result.value != 7 ? 1 : 0;
    };
    const auto bare_cross = [&] { static_cast<void>(attachment.call(NOP_NOTHING, 7)); };

    static_cast<void>(measure(cross));
    const Ticks crossing = measure(bare_cross);
    const Ticks vmcall = measure(hypercall);
    const Ticks doorbell = measure(ring);
    const Ticks kernel = measure(system_call);

    // Exits, between marks: the same time without and with crossings, then a tenth of the others
    // each.
    const auto before = attachment.stats();
    mark("bench-idle");
    const std::uint64_t idle_end = __rdtsc() + count * crossing.median;
    while (__rdtsc() < idle_end) {
    }
    mark("bench-crossings");
    const std::uint64_t begin = __rdtsc();
    repeat(count, cross);
    const std::uint64_t ticks = __rdtsc() - begin;
    mark("bench-vmcalls");
    repeat(count / 10, hypercall);
    mark("bench-doorbells");
    repeat(count / 10, ring);
    mark("bench-syscalls");
    repeat(count / 10, system_call);
    mark("bench-end");
    const auto after = attachment.stats();

    // To three places, so that the timer's few interrupts in a hundred thousand calls do not show.
    const auto per_call = [&](std::uint64_t events) -> apps::Json {
        const auto thousandths = static_cast<std::uint64_t>(
            std::llround(1e3 * static_cast<double>(events) /
                         static_cast<double>(std::max<std::uint64_t>(count, 1))));
        return thousandths == 0 ? apps::Json(0)
                                : apps::Json(static_cast<double>(thousandths) / 1e3);
    };
    apps::Json result{{"count", count},
                      {"tsc_hz", apps::tsc_hz()},
                      {"failures", failures},
                      {"crossing",
                       {{"instructions", crossing.median},
                        {"least", crossing.least},
                        {"in_a_loop", count != 0 ? ticks / count : 0}}},
                      {"vmcall", {{"instructions", vmcall.median}, {"least", vmcall.least}}},
                      {"doorbell", {{"instructions", doorbell.median}, {"least", doorbell.least}}},
                      {"syscall", {{"instructions", kernel.median}, {"least", kernel.least}}}};
    if (before && after) {
        result["crossing"]["exits"] =
            per_call(after->off_default_exits - before->off_default_exits);
        result["crossing"]["off_default_exits"] =
            after->off_default_exits - before->off_default_exits;
        result["crossing"]["counted"] = after->crossings - before->crossings;
        result["crossing"]["aborts"] = after->aborts - before->aborts;
        result["crossing"]["return_traps"] = after->return_traps - before->return_traps;
    }
    return result;
}

} // namespace nop

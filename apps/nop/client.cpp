// SPDX-License-Identifier: Apache-2.0
#include "client.hpp"

#include "bench.hpp"
#include "elisa/guest.hpp"
#include "faults.hpp"
#include "nop.h"
#include "program.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <sched.h>
#include <thread>
#include <vector>

namespace nop {
namespace {

using apps::Json;
using elisa::Attachment;
using std::chrono::milliseconds;
using std::chrono::steady_clock;

// Arguments and results arrive, on every vCPU, and each knows its number.
bool check(const Attachment &attachment)
{
    cpu_set_t before;
    if (::sched_getaffinity(0, sizeof(before), &before) != 0) {
        return false;
    }
    std::vector<bool> seen(attachment.vcpus());
    bool good = true;
    for (std::size_t cpu = 0, found = 0; cpu < CPU_SETSIZE && found < seen.size(); ++cpu) {
        cpu_set_t one;
        CPU_ZERO(&one);
        CPU_SET(cpu, &one);
        if (::sched_setaffinity(0, sizeof(one), &one) != 0) {
            continue;
        }
        ++found;
        for (std::uint64_t i = 0; i < 100; ++i) {
            const auto mixed = attachment.call(NOP_MIX, i, ~i, i << 32);
            good &= mixed.ok() && mixed.value == static_cast<std::int64_t>(nop_mix(i, ~i, i << 32));
        }
        const auto who = attachment.call(NOP_WHO);
        const auto vcpu = static_cast<std::uint64_t>(who.value) & 0xffffffff;
        good &= who.ok() && vcpu < seen.size() && !seen[vcpu];
        if (good) {
            seen[vcpu] = true;
        }
    }
    ::sched_setaffinity(0, sizeof(before), &before);
    return good;
}

std::uint64_t read_counter(const Attachment &attachment)
{
    return static_cast<std::uint64_t>(attachment.call(NOP_READ).value);
}

// Returns the number of calls that failed.
std::uint64_t add(const Attachment &attachment, const ClientOptions &options)
{
    std::atomic<std::uint64_t> failures{0};
    const auto work = [&] {
        std::uint64_t failed = 0;
        for (std::uint64_t i = 0; i < options.add; ++i) {
            failed += attachment.call(NOP_ADD, 1).ok() ? 0 : 1;
        }
        failures += failed;
    };
    std::vector<std::jthread> threads;
    for (unsigned i = 1; i < options.threads; ++i) {
        threads.emplace_back(work);
    }
    work();
    threads.clear();
    return failures;
}

// The counter once nobody adds any more: when it has reached `total` and a while later.
std::uint64_t settled_counter(const Attachment &attachment, const ClientOptions &options)
{
    const auto deadline =
        steady_clock::now() + milliseconds{static_cast<long>(options.timeout * 1e3)};
    while (read_counter(attachment) < options.total && steady_clock::now() < deadline) {
        std::this_thread::sleep_for(milliseconds{20});
    }
    std::this_thread::sleep_for(milliseconds{200});
    return read_counter(attachment);
}

// The image reads and writes this process's memory, and what is not in the region is refused.
elisa::Result<bool> check_region(Attachment &attachment)
{
    auto memory = elisa::HugeMemory::allocate(2 * elisa::huge_page_size);
    if (!memory) {
        return memory.error();
    }
    auto region = attachment.register_region(memory->range());
    if (!region) {
        return region.error();
    }
    auto *const words = reinterpret_cast<volatile std::uint64_t *>(memory->data());
    const std::uint64_t id = region->id().value();
    const std::uint64_t length = region->length();
    bool good = true;
    for (std::uint64_t offset = 0; offset < length; offset += length / 64) {
        words[offset / 8] = offset ^ 0x1234;
        good &= attachment.call(NOP_PEEK, id, offset).value ==
                static_cast<std::int64_t>(offset ^ 0x1234);
        good &= attachment.call(NOP_POKE, id, offset + 8, offset ^ 0x5678).value == 0;
        good &= words[offset / 8 + 1] == (offset ^ 0x5678);
    }
    good &= attachment.call(NOP_PEEK, id, length).value == NOP_E_REGION;
    if (auto removed = region->remove(); !removed) {
        return removed.error();
    }
    words[0] = 1;
    good &= attachment.call(NOP_POKE, id, 0, 2).ok() && words[0] == 1;
    return good;
}

} // namespace

int attach_and_run(const ClientOptions &options)
{
    auto attached = Attachment::attach(
        options.export_name, {.instance = options.instance,
                              .timeout = milliseconds{static_cast<long>(options.timeout * 1e3)}});
    if (!attached) {
        apps::print_result(
            {{"program", "nop client"}, {"ok", false}, {"error", attached.error().code.message()}});
        return apps::fail("nop", attached.error());
    }
    std::printf("nop client: attached to '%s', armed on %u vCPU(s)\n", options.export_name.c_str(),
                attached->vcpus());
    std::fflush(stdout);

    Json result{{"program", "nop client"}, {"vcpus", attached->vcpus()}};
    bool ok = check(*attached);
    result["arguments"] = ok;

    if (options.region) {
        const auto good = check_region(*attached);
        if (!good) {
            return apps::fail("nop", good.error());
        }
        result["region"] = *good;
        ok &= *good;
    }
    if (options.bench != 0) {
        const Json measured = bench(*attached, options.bench);
        apps::print_result(measured);
        ok &= measured["failures"] == 0;
        const std::uint64_t ticks = measured["crossing"]["instructions"];
        if (options.at_most != 0 && ticks > options.at_most) {
            std::fprintf(stderr, "nop: a crossing takes %lu ticks, more than %lu\n", ticks,
                         options.at_most);
            ok = false;
        }
    }
    if (options.add != 0) {
        const auto failures = add(*attached, options);
        result["add"] = {{"failures", failures}, {"added", options.add * options.threads}};
        ok &= failures == 0;
    }
    if (options.total != 0) {
        const auto counter = settled_counter(*attached, options);
        result["counter"] = counter;
        ok &= counter == options.total;
    }
    if (options.faults) {
        result.update(faults(*attached));
        ok &= result["failed"].empty();
    }
    if (options.hold > 0) {
        std::this_thread::sleep_for(milliseconds{static_cast<long>(options.hold * 1e3)});
    }
    if (const auto stats = attached->stats()) {
        result["stats"] = {{"crossings", stats->crossings},
                           {"aborts", stats->aborts},
                           {"off_default_exits", stats->off_default_exits},
                           {"return_traps", stats->return_traps}};
    }
    if (const auto detached = attached->detach(); !detached) {
        ok = false;
        apps::fail("nop", detached.error());
    }
    result["ok"] = ok;
    apps::print_result(result);
    return ok ? 0 : 1;
}

} // namespace nop

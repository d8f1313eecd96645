// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "ivshmem.hpp"
#include "probes.hpp"
#include "program.hpp"

#include <atomic>
#include <cstdio>
#include <thread>

namespace probes {
int bar_toggle(const BarToggle &options)
{
    const auto devices = Ivshmem::all();
    if (!devices) {
        return apps::fail("lab-probe", devices.error());
    }
    auto attachment = elisa::Attachment::attach(options.export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    // Calls before, while and after: on the same vCPU, and where there are more, on another one
    // meanwhile.
    std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> failures{0};
    std::atomic<std::uint64_t> meanwhile{0};
    std::jthread other{[&] {
        while (!stop.load(std::memory_order_relaxed)) {
            const auto result = attachment->call(0, 3);
            failures += result.ok() && result.value == 3 ? 0 : 1;
            meanwhile.fetch_add(1, std::memory_order_relaxed);
        }
    }};
    std::uint64_t toggles = 0;
    for (std::uint64_t round = 0; round < options.rounds; ++round) {
        for (const bool on : {false, true}) {
            if (devices->front().set_memory_space(on)) {
                ++toggles;
            }
            for (std::uint64_t i = 0; i < options.crossings; ++i) {
                const auto result = attachment->call(0, i);
                failures += result.ok() && result.value == static_cast<std::int64_t>(i) ? 0 : 1;
            }
        }
    }
    stop = true;
    other.join();
    const bool ok = failures == 0 && toggles == 2 * options.rounds;
    apps::print_result({{"probe", "bar_toggle"},
                        {"toggles", toggles},
                        {"crossings", 2 * options.rounds * options.crossings + meanwhile},
                        {"failures", failures.load()},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes

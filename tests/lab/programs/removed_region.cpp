// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "nop.h"
#include "probes.hpp"
#include "program.hpp"

#include <chrono>
#include <cstdio>

namespace probes {
namespace {

// Nobody answers any more: not the next attachment either.
bool manager_stops(const std::string &export_name)
{
    const auto deadline = std::chrono::steady_clock::now() + std::chrono::seconds{60};
    while (std::chrono::steady_clock::now() < deadline) {
        if (!elisa::Attachment::attach(export_name,
                                       {.instance = 1, .timeout = std::chrono::seconds{2}})) {
            return true;
        }
    }
    return false;
}

} // namespace

int removed_region(const std::string &export_name)
{
    auto attachment = elisa::Attachment::attach(export_name);
    const auto memory = elisa::HugeMemory::allocate(elisa::huge_page_size);
    if (!attachment || !memory) {
        return apps::fail("lab-probe", !attachment ? attachment.error() : memory.error());
    }
    auto region = attachment->register_region(memory->range());
    if (!region) {
        return apps::fail("lab-probe", region.error());
    }
    const std::uint64_t id = region->id().value();
    auto *const word = reinterpret_cast<volatile std::uint64_t *>(memory->data());
    *word = 1;
    const bool reached = attachment->call(NOP_POKE, id, 0, 2).value == 0 && *word == 2;

    std::printf("the manager may stop\n");
    std::fflush(stdout);
    const bool stopped = manager_stops(export_name);
    const auto removed = region->remove();
    // The image does not know yet: it writes, and reads it again, on a page that is nobody's.
    const bool written = attachment->call(NOP_POKE, id, 0, 3).value == 0;
    const bool kept = *word == 2;
    const bool ok = reached && stopped && removed && written && kept;
    apps::print_result({{"probe", "removed-region"},
                        {"reached_before", reached},
                        {"manager_stopped", stopped},
                        {"removed", removed.has_value()},
                        {"image_had_the_address", written},
                        {"memory_kept", kept},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes

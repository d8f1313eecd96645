// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "nop.h"
#include "probes.hpp"
#include "program.hpp"

#include <chrono>
#include <cstdio>
#include <thread>

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

constexpr std::chrono::milliseconds rest{2 * ELISA_CROSSING_MS};

} // namespace

int rested_region(const std::string &export_name)
{
    auto attachment = elisa::Attachment::attach(export_name);
    const auto memory = elisa::HugeMemory::allocate(elisa::huge_page_size);
    if (!attachment || !memory) {
        return apps::fail("lab-probe", !attachment ? attachment.error() : memory.error());
    }
    // Where the memory is in the sub context, registered and removed again.
    const auto place = [&]() -> std::int64_t {
        const auto region = attachment->register_region(memory->range());
        return region ? attachment->call(NOP_WHERE, region->id().value()).value : NOP_E_REGION;
    };
    using Clock = std::chrono::steady_clock;
    std::int64_t first = 0;
    std::int64_t second = 0;
    std::int64_t third = 0;
    Clock::duration between{};
    int tries = 0;
    do { // the machine may be slow
        std::this_thread::sleep_for(rest);
        const auto before = Clock::now();
        first = place();
        second = place();
        // By now the manager, which answers in order, has answered the end of the first.
        third = place();
        between = Clock::now() - before;
    } while (between >= rest && ++tries < 10);
    std::this_thread::sleep_for(rest + rest / 4);
    const std::int64_t fourth = place();
    const bool in_use = first > 0 && second > 0 && third > 0;
    const bool apart = second != first && third != first && third != second;
    const bool ok = in_use && apart && between < rest && fourth == first;
    apps::print_result(
        {{"probe", "rested-region"},
         {"places", {first, second, third, fourth}},
         {"ms", std::chrono::duration_cast<std::chrono::milliseconds>(between).count()},
         {"ok", ok}});
    return ok ? 0 : 1;
}

int removed_region(const std::string &export_name)
{
    auto attachment = elisa::Attachment::attach(export_name);
    const auto memory = elisa::HugeMemory::allocate(elisa::huge_page_size);
    const auto others = elisa::HugeMemory::allocate(elisa::huge_page_size);
    if (!attachment || !memory || !others) {
        return apps::fail("lab-probe", !attachment ? attachment.error()
                                       : !memory   ? memory.error()
                                                   : others.error());
    }
    auto region = attachment->register_region(memory->range());
    auto other = attachment->register_region(others->range());
    if (!region || !other) {
        return apps::fail("lab-probe", !region ? region.error() : other.error());
    }
    const std::uint64_t id = region->id().value();
    const std::uint64_t other_id = other->id().value();
    auto *const word = reinterpret_cast<volatile std::uint64_t *>(memory->data());
    *word = 1;
    const bool reached = attachment->call(NOP_POKE, id, 0, 2).value == 0 && *word == 2;

    std::printf("the manager may stop\n");
    std::fflush(stdout);
    const bool stopped = manager_stops(export_name);
    const auto removed = region->remove();
    const auto both = other->remove();
    // The image does not know yet: it writes, and reads it again, on a page that is nobody's.
    const bool written = attachment->call(NOP_POKE, id, 0, 3).value == 0;
    const bool kept = *word == 2;
    const bool apart = attachment->call(NOP_PEEK, id, 0).value == 3 &&
                       attachment->call(NOP_PEEK, other_id, 0).value == 0;
    const int refused = crowd(*attachment, export_name);
    const bool ok =
        reached && stopped && removed && both && written && kept && apart && refused == 0;
    apps::print_result({{"probe", "removed-region"},
                        {"reached_before", reached},
                        {"manager_stopped", stopped},
                        {"removed", removed.has_value()},
                        {"image_had_the_address", written},
                        {"memory_kept", kept},
                        {"regions_apart", apart},
                        {"refused", refused},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes

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

// Is a region that this manager has admitted usable?
bool region_works(const elisa::Attachment &attachment, const elisa::Region &region,
                  const elisa::HugeMemory &memory)
{
    *reinterpret_cast<volatile std::uint64_t *>(memory.data()) = 0x1234;
    const auto peeked = attachment.call(NOP_PEEK, region.id().value(), 0);
    return peeked.ok() && peeked.value == 0x1234;
}

} // namespace

int survivor(const std::string &export_name, double seconds)
{
    auto attachment = elisa::Attachment::attach(export_name);
    const auto memory = elisa::HugeMemory::allocate(elisa::huge_page_size);
    const auto more = elisa::HugeMemory::allocate(elisa::huge_page_size);
    if (!attachment || !memory || !more) {
        return apps::fail("lab-probe", !attachment ? attachment.error()
                                       : !memory   ? memory.error()
                                                   : more.error());
    }
    const auto before = attachment->register_region(memory->range());
    if (!before) {
        return apps::fail("lab-probe", before.error());
    }
    std::printf("calling\n");
    std::fflush(stdout);

    std::uint64_t calls = 0;
    std::uint64_t bad = 0;
    std::int64_t last = 0;
    const auto deadline = std::chrono::steady_clock::now() +
                          std::chrono::milliseconds{static_cast<std::int64_t>(seconds * 1000)};
    do {
        // A crossing is slow to emulate.
        std::this_thread::sleep_for(std::chrono::milliseconds{5});
        for (int i = 0; i < 50; ++i) {
            const auto result = attachment->call(NOP_ADD, 1);
            bad += result.ok() && result.value == last + 1 ? 0 : 1;
            last = result.value;
            ++calls;
        }
    } while (std::chrono::steady_clock::now() < deadline);

    // These need the successor.
    const auto after = attachment->register_region(more->range());
    const bool regions = after && region_works(*attachment, *after, *more) &&
                         region_works(*attachment, *before, *memory);
    const auto second = elisa::Attachment::attach(export_name, {.instance = 1});
    const auto counted = second ? second->call(NOP_READ, 0) : elisa::CallResult{-1, 0};
    const bool kept = counted.ok() && counted.value == last;
    const bool ok = bad == 0 && regions && kept;
    apps::print_result({{"probe", "survivor"},
                        {"calls", calls},
                        {"bad", bad},
                        {"regions_work", regions},
                        {"counter_kept", kept},
                        {"message", !after    ? after.error().message
                                    : !second ? second.error().message
                                              : ""},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes

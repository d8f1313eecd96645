// SPDX-License-Identifier: Apache-2.0
// The VM next door: it crosses into the same export all along, checks what comes back, and counts
// on at a place where those that it watches see it. Ends when one of them says that the campaign is
// over.
//
//   attack-witness            attached once
//   attack-witness --region   with memory of its own in the sub context, and leaves word where
//   attack-witness --anew     attaches again and again: it goes with the export to a successor
#include "witness.hpp"

#include "elisa/guest.hpp"
#include "elisa/memory.hpp"
#include "nop.h"
#include "program.hpp"

#include <chrono>
#include <cstdio>
#include <exception>
#include <optional>
#include <string_view>
#include <thread>

namespace {

constexpr std::uint64_t burst = 32;
constexpr int bursts_of_an_attachment = 256; // with --anew
constexpr int tries = 60;                    // to attach, of a second each

struct Seen {
    std::uint64_t crossings = 0;
    std::uint64_t wrong = 0;
    std::uint64_t aborts = 0;
    bool over = false;
};

elisa::Result<elisa::Attachment> attach(bool anew)
{
    if (!anew) {
        return elisa::Attachment::attach(NOP_EXPORT);
    }
    for (int left = tries;; --left) {
        auto attached = elisa::Attachment::attach(NOP_EXPORT, {.timeout = std::chrono::seconds{1}});
        if (attached || left == 0) {
            return attached;
        }
    }
}

// Memory of this VM's in the sub context, and word of it to whom it may concern.
class Stake {
  public:
    static elisa::Result<Stake> take(elisa::Attachment &attached)
    {
        auto memory = elisa::HugeMemory::allocate(elisa::huge_page_size);
        if (!memory) {
            return memory.error();
        }
        auto region = attached.register_region(memory->range());
        if (!region) {
            return region.error();
        }
        const auto at = attached.call(NOP_WHERE, region->id().value());
        const auto noted =
            attached.call(NOP_NOTE, witness_region_note, static_cast<std::uint64_t>(at.value));
        if (at.value <= 0 || noted.value != 0) {
            return elisa::make_error(elisa::Errc::invalid, "the image does not know the region");
        }
        return Stake{std::move(*memory), std::move(*region)};
    }

    // Nobody but the owner has any business there.
    bool untouched() const
    {
        for (std::size_t i = 0; i < memory_.size(); ++i) {
            if (memory_.data()[i] != std::byte{0}) {
                return false;
            }
        }
        return true;
    }

  private:
    Stake(elisa::HugeMemory memory, elisa::Region region)
        : memory_{std::move(memory)}, region_{std::move(region)}
    {
    }
    elisa::HugeMemory memory_;
    elisa::Region region_;
};

// For so many bursts, or until it is over.
void cross(const elisa::Attachment &attached, int bursts, Seen &seen)
{
    const auto call = [&](std::uint64_t op, std::uint64_t a1, std::uint64_t a2, std::uint64_t a3) {
        const auto result = attached.call(op, a1, a2, a3);
        ++seen.crossings;
        seen.wrong += result.ok() ? 0 : 1;
        return result.value;
    };
    std::uint64_t counter = 0;
    for (int done = 0; !seen.over && done != bursts; ++done) {
        for (std::uint64_t i = 0; i < burst; ++i) {
            const std::uint64_t a = seen.crossings;
            const auto expected = static_cast<std::int64_t>(nop_mix(a, ~a, a << 7));
            seen.wrong += call(NOP_MIX, a, ~a, a << 7) == expected ? 0 : 1;
        }
        call(NOP_NOTE, witness_handle_note, attached.handle(), 0);
        const auto now = static_cast<std::uint64_t>(call(NOP_ADD, 1, 0, 0));
        seen.wrong += now > counter ? 0 : 1;
        counter = now;
        seen.over = counter >= end_of_campaign;
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    const auto stats = attached.stats();
    seen.aborts += stats ? stats->aborts : 1;
}

} // namespace

int main(int argc, char **argv)
try {
    const std::string_view how = argc > 1 ? argv[1] : "";
    const bool anew = how == "--anew";
    Seen seen;
    bool detached = true;
    for (bool first = true; !seen.over; first = false) {
        auto attached = attach(anew);
        if (!attached) {
            return apps::fail("attack-witness", attached.error());
        }
        std::optional<Stake> stake;
        if (how == "--region") {
            auto taken = Stake::take(*attached);
            if (!taken) {
                return apps::fail("attack-witness", taken.error());
            }
            stake.emplace(std::move(*taken));
        }
        if (first) {
            std::printf("witness: crosses\n");
            std::fflush(stdout);
        }
        cross(*attached, anew ? bursts_of_an_attachment : -1, seen);
        seen.wrong += stake && !stake->untouched() ? 1 : 0;
        stake.reset();
        detached &= attached->detach().has_value() || anew;
    }
    apps::print_result({{"program", "witness"},
                        {"crossings", seen.crossings},
                        {"wrong", seen.wrong},
                        {"aborts", seen.aborts}});
    return seen.wrong == 0 && seen.aborts == 0 && detached ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "attack-witness: %s\n", error.what());
    return 1;
}

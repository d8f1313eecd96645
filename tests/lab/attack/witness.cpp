// SPDX-License-Identifier: Apache-2.0
// The VM next door: it crosses into the same export all along, checks what comes back, and counts
// on at a place where the attacker sees it. Ends when the attacker says that its campaign is over.
#include "elisa/guest.hpp"
#include "nop.h"
#include "program.hpp"

#include <chrono>
#include <cstdio>
#include <exception>
#include <thread>

namespace {

constexpr std::uint64_t end_of_campaign = std::uint64_t{1} << 56;
constexpr std::uint64_t burst = 32;

} // namespace

int main()
try {
    auto attached = elisa::Attachment::attach(NOP_EXPORT);
    if (!attached) {
        return apps::fail("attack-witness", attached.error());
    }
    std::printf("witness: crosses\n");
    std::fflush(stdout);
    std::uint64_t crossings = 0;
    std::uint64_t wrong = 0;
    for (std::uint64_t counter = 0; counter < end_of_campaign; crossings += burst + 1) {
        for (std::uint64_t i = 0; i < burst; ++i) {
            const std::uint64_t a = crossings + i;
            const auto mixed = attached->call(NOP_MIX, a, ~a, a << 7);
            const auto expected = static_cast<std::int64_t>(nop_mix(a, ~a, a << 7));
            wrong += mixed.ok() && mixed.value == expected ? 0 : 1;
        }
        const auto counted = attached->call(NOP_ADD, 1);
        const auto now = static_cast<std::uint64_t>(counted.value);
        wrong += counted.ok() && now > counter ? 0 : 1;
        counter = now;
        std::this_thread::sleep_for(std::chrono::milliseconds{2});
    }
    const auto stats = attached->stats();
    const std::uint64_t aborts = stats ? stats->aborts : 1;
    apps::print_result(
        {{"program", "witness"}, {"crossings", crossings}, {"wrong", wrong}, {"aborts", aborts}});
    return wrong == 0 && aborts == 0 && attached->detach() ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "attack-witness: %s\n", error.what());
    return 1;
}

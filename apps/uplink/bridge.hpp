// SPDX-License-Identifier: Apache-2.0
// The loop: what comes in at one end goes out at the other, both ways, on one lcore.
#pragma once

#include "end.hpp"

#include <array>
#include <atomic>
#include <chrono>
#include <functional>

namespace uplink {

// From the switch to the other end, and back.
enum Direction : std::size_t { outward = 0, inward = 1 };

struct Traffic {
    std::array<Counters, 2> directions;
};

struct BridgeOptions {
    // With nothing to do it sleeps as long, or until a kernel interface has something; 0: it never
    // sleeps.
    std::chrono::microseconds idle{50};
    std::chrono::milliseconds look{100};
};

// Until stop, or until look, which is called every options.look, has an error.
[[nodiscard]] elisa::Result<void> run(End &rvif, End &other, Traffic &traffic,
                                      const BridgeOptions &options, const std::atomic<bool> &stop,
                                      const std::function<elisa::Result<void>()> &look);

} // namespace uplink

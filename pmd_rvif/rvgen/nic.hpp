// SPDX-License-Identifier: Apache-2.0
// The rvif port that the application forwards to and from: its counters, by way of the public API.
#pragma once

#include "tally.hpp"

#include <cstdint>

namespace rvgen {

struct NicCounters {
    Drops drops{};
    std::uint64_t crossings = 0;
};

// Of all net_rvif ports of this process together.
NicCounters nic_counters();

} // namespace rvgen

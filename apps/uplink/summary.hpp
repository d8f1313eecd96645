// SPDX-License-Identifier: Apache-2.0
// What became of the traffic, for people, for programs and for dpdk-telemetry.
#pragma once

#include "bridge.hpp"

#include <string>

namespace uplink {

struct Names {
    std::string rvif;
    std::string other;
};

// {"directions": [{from, to, received, received_bytes, sent, sent_bytes, drops: {reason: n},
// overrun}]}
[[nodiscard]] Json to_json(const Traffic &traffic, const Names &names);
[[nodiscard]] std::string to_table(const Json &summary);

// Command /uplink/traffic; both have to outlive EAL.
void publish(const Traffic &traffic);

} // namespace uplink

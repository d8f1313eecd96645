// SPDX-License-Identifier: Apache-2.0
// The ports' counters, for people and for programs.
#pragma once

#include "program.hpp"
#include "rvs/switch.hpp"

#include <string>
#include <vector>

namespace vmnet {

// The last that was heard of a port.
struct PortRecord {
    rvs::PortInfo info{};
    rvs::PortStats stats{};
    bool open = false;
};

// Nullopt-like: false if the port is closed.
[[nodiscard]] bool read_port(const rvs::Switch &rvs_switch, rvs::PortId port, PortRecord &record);

void add(rvs::PortStats &to, const rvs::PortStats &more);

[[nodiscard]] apps::Json to_json(const std::vector<PortRecord> &ports);
[[nodiscard]] std::string to_table(const std::vector<PortRecord> &ports);

} // namespace vmnet

// SPDX-License-Identifier: Apache-2.0
// The ports' counters, for people and for programs.
#pragma once

#include "program.hpp"
#include "rvs/switch.hpp"

#include <map>
#include <string>
#include <vector>

namespace vmnet {

// What a port sent, by tx queue: of those that made calls.
using QueueStats = std::map<std::uint32_t, rvs::PortStats>;

// The last that was heard of a port.
struct PortRecord {
    rvs::PortInfo info{};
    rvs::PortStats stats{};
    QueueStats queues;
    bool open = false;
};

// Nullopt-like: false if the port is closed.
[[nodiscard]] bool read_port(const rvs::Switch &rvs_switch, rvs::PortId port, PortRecord &record);

void add(rvs::PortStats &to, const rvs::PortStats &more);
void add(QueueStats &to, const QueueStats &more);

[[nodiscard]] apps::Json to_json(const std::vector<PortRecord> &ports);
[[nodiscard]] std::string to_table(const std::vector<PortRecord> &ports);

} // namespace vmnet

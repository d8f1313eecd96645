// SPDX-License-Identifier: Apache-2.0
#include "nic.hpp"

#include <cstring>
#include <rte_ethdev.h>
#include <string_view>
#include <vector>

namespace rvgen {

NicCounters nic_counters()
{
    NicCounters counters;
    for (std::uint16_t port = 0; port < RTE_MAX_ETHPORTS; ++port) {
        if (rte_eth_dev_is_valid_port(port) == 0) {
            continue;
        }
        rte_eth_dev_info info;
        if (rte_eth_dev_info_get(port, &info) != 0 ||
            std::strcmp(info.driver_name, "net_rvif") != 0) {
            continue;
        }
        const int count = rte_eth_xstats_get_names(port, nullptr, 0);
        if (count <= 0) {
            continue;
        }
        std::vector<rte_eth_xstat_name> names(static_cast<std::size_t>(count));
        std::vector<rte_eth_xstat> values(static_cast<std::size_t>(count));
        const auto room = static_cast<unsigned>(count);
        if (rte_eth_xstats_get_names(port, names.data(), room) != count ||
            rte_eth_xstats_get(port, values.data(), room) != count) {
            continue;
        }
        for (const rte_eth_xstat &stat : values) {
            std::string_view name = names[stat.id].name;
            if (name == "switch_crossings") {
                counters.crossings += stat.value;
                continue;
            }
            if (name.starts_with("drop_")) {
                name.remove_prefix(5);
            }
            for (std::size_t kind = 0; kind < drop_kinds; ++kind) {
                if (name == drop_name(kind)) {
                    counters.drops[kind] += stat.value;
                }
            }
        }
    }
    return counters;
}

} // namespace rvgen

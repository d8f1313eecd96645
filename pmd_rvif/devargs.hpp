// SPDX-License-Identifier: Apache-2.0
// The part of --vdev net_rvif0,... behind the comma.
#pragma once

#include <cstdint>
#include <optional>
#include <rte_ether.h>
#include <string>

namespace rvif {

enum class BackendKind { elisa, direct };

struct Config {
    BackendKind backend = BackendKind::elisa;
    std::string device;                // net_rvif0
    std::string export_name;           // elisa: which switch
    std::string socket;                // direct: where its manager listens
    std::string label;                 // direct: what the manager's configuration calls it
    std::uint64_t instance = 0;        // names the port within its VM
    std::optional<rte_ether_addr> mac; // a random local one otherwise
};

// `why` says what is wrong and what would be right.
std::optional<Config> parse_devargs(const char *device, const char *args, std::string &why);

// For --help of applications and the doc page.
extern const char *const devargs_help;

} // namespace rvif

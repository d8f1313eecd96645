// SPDX-License-Identifier: Apache-2.0
// The command line.
#pragma once

#include "elisa/error.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <vector>

namespace uplink {

enum class Kind { tap, interface, port };

struct Options {
    std::string rvif; // devargs of net_rvif
    Kind kind = Kind::tap;
    std::string other; // interface's name, or a DPDK device
    std::optional<std::uint16_t> mtu;
    std::uint16_t depth = 2048;
    unsigned mbufs = 16384;
    unsigned idle_us = 50;
    bool offloads = true;
    bool json = false;
    std::string driver; // the plugin net_rvif; empty: beside this program, else DPDK's own folder
    std::string name;   // telemetry's and EAL's file prefix
    std::vector<std::string> eal;
};

// nullopt: it has been answered (help, a mistake), with that exit status.
[[nodiscard]] std::optional<Options> parse_options(int argc, char **argv, int &status);

} // namespace uplink

// SPDX-License-Identifier: Apache-2.0
// The part of --vdev net_rvgen0,... behind the comma.
#pragma once

#include <cstdint>
#include <optional>
#include <rte_ether.h>
#include <string>
#include <vector>

namespace rvgen {

struct FlowOptions {
    std::uint32_t size;
    std::uint64_t count;
};

struct Options {
    bool echo = false;
    std::vector<FlowOptions> flows;  // generate
    std::string name;                // in reports
    rte_ether_addr mac{};            // frames come from it
    rte_ether_addr peer{};           // and go to it
    std::uint64_t window = 256;      // frames on their way at most
    std::uint64_t lost_ms = 2000;    // without an answer so long: those on their way are lost
    std::uint64_t start_ms = 60'000; // for the peer to appear
    std::uint64_t peers = 1;         // echo: generators to wait for before it ends
    std::string report;              // file; empty: none
    bool exit = true;                // end the application when done
    bool tsc = false;                // report RDTSC ticks as instructions (the emulated host)
};

std::optional<Options> parse_options(const char *device, const char *args, std::string &why);

} // namespace rvgen

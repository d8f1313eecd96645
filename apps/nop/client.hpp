// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>
#include <string>

namespace nop {

struct ClientOptions {
    std::string export_name = "nop";
    std::uint64_t instance = 0;
    double timeout = 30;       // seconds, for the export to appear and the manager to answer
    std::uint64_t bench = 0;   // crossings to measure
    std::uint64_t at_most = 0; // ticks of one; 0: however many
    std::uint64_t add = 0;     // times to add 1 to the shared counter
    std::uint64_t total = 0;   // wait until the counter is this; it must be exact
    unsigned threads = 1;      // that add, wherever the scheduler puts them
    bool faults = false;
    bool region = false;
    double hold = 0; // seconds to stay attached at the end
};

int attach_and_run(const ClientOptions &options);

} // namespace nop

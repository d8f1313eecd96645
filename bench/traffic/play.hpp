// SPDX-License-Identifier: Apache-2.0
// A list of loads, one after the other, between two machines that have nothing but the measured
// path in common: each frame says which load it belongs to and whether that is being measured. The
// source keeps the time, the sink follows.
//
// Both print ELISA-MARK case-N-begin and -end around the measured part of load N, and one
// ELISA-RESULT at the end. Times are ticks of the TSC. Frames are counted from a while after the
// first mark to the second.
#pragma once

#include "ports.hpp"

#include <cstdint>
#include <string>
#include <vector>

namespace traffic {

struct PlayCase {
    std::uint32_t size;
    std::uint16_t burst;
};

struct PlaySettings {
    std::vector<PlayCase> cases;
    std::uint64_t warm_ms = 60;
    std::uint64_t ms = 300;
    bool vmcall = false; // see Load
};

// "64:32,1518:32": size and burst. Throws std::runtime_error.
std::vector<PlayCase> parse_cases(const std::string &text);

void play_source(const Ports &ports, const PlaySettings &settings);
void play_sink(const Ports &ports, const PlaySettings &settings);

} // namespace traffic

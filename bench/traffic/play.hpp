// SPDX-License-Identifier: Apache-2.0
// A list of loads, one after the other, between two machines that have nothing but the measured
// path in common: each frame says which load it belongs to and whether that is being measured. The
// source keeps the time, the sink follows.
//
// With several pairs at one switch, none begins before each has heard all others (meet.hpp); each
// keeps its own time, so what is before and after the measured part must be longer than they
// differ.
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
    std::uint64_t tail_ms = 20; // after it, when others may still be measuring
    unsigned pair = 0;          // which one this is of `pairs` that play at the same time
    unsigned pairs = 1;
    bool vmcall = false; // see Load
};

// "64:32,1518:32": size and burst; the list `repeat` times. Throws std::runtime_error.
std::vector<PlayCase> parse_cases(const std::string &text, unsigned repeat = 1);

void play_source(const Ports &ports, const PlaySettings &settings);
void play_sink(const Ports &ports, const PlaySettings &settings);

} // namespace traffic

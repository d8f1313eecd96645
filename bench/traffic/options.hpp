// SPDX-License-Identifier: Apache-2.0
// The command line behind EAL's.
#pragma once

#include "play.hpp"
#include "ports.hpp"

#include <optional>
#include <string>
#include <vector>

namespace traffic {

struct Options {
    std::vector<std::string> sources;
    std::vector<std::string> sinks;
    PortSettings ports;
    PlaySettings play; // without cases: commands
};

// Nothing where the program is to end, with `status`: its help was asked for, or the arguments make
// no sense (told on stderr). Throws std::runtime_error for cases of --play that make none.
std::optional<Options> parse_options(int argc, char **argv, int &status);

} // namespace traffic

// SPDX-License-Identifier: Apache-2.0
// So that several pairs that share a switch begin together, without anything else that joins them.
#pragma once

#include "ports.hpp"

namespace traffic {

inline constexpr unsigned most_pairs = 32;

// For the source of pair `pair` of `pairs`: returns when broadcasts of all sinks and of all other
// sources have been heard, and they can be expected to have heard this one. Sinks announce
// themselves until their source sends. Throws std::runtime_error if that takes too long.
void meet(const Ports &ports, unsigned pair, unsigned pairs);

} // namespace traffic

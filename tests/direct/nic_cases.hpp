// SPDX-License-Identifier: Apache-2.0
// What an application expects of a NIC, by file.
#pragma once

#include "nic_bed.hpp"

#include <span>
#include <string>

namespace direct {

std::span<const Case> port_cases();
std::span<const Case> offload_cases();

// Of the switch, for ports that are plugged in.
inline std::string socket_path;

} // namespace direct

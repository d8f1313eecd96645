// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elisa/error.hpp"

#include <string_view>
#include <vector>

namespace elisa::detail {

inline constexpr int max_cpus = 1024; // cpu_set_t

// "0-3,5" as in /sys/devices/system/cpu/online.
[[nodiscard]] Result<std::vector<int>> parse_cpu_list(std::string_view text);
[[nodiscard]] Result<std::vector<int>> online_cpus();
// That may ever come online.
[[nodiscard]] Result<std::vector<int>> possible_cpus();

} // namespace elisa::detail

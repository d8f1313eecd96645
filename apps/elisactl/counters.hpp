// SPDX-License-Identifier: Apache-2.0
// Counters in JSON, and what became of them between two looks.
#pragma once

#include "context.hpp"

#include <string>

namespace elisactl {

// 12300 -> 12.30k
[[nodiscard]] std::string short_number(double value);

// What `key` went up by. A counter that began again (a port that was closed and opened, a context
// that was torn down) counts from 0. before: null if it was not there.
[[nodiscard]] double more(const Json &now, const Json &before, const std::string &key);

// The quotient of what two counters went up by; null if there is nothing to divide by.
[[nodiscard]] Json ratio(double counted, double by);
// For a table; "-" for null.
[[nodiscard]] std::string ratio_text(const Json &ratio);

} // namespace elisactl

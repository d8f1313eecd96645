// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace apps {

// Ticks of the time stamp counter in a second, by the system's clock; takes 50 ms. To five digits:
// neither end of that is exact.
[[nodiscard]] std::uint64_t tsc_hz();

} // namespace apps

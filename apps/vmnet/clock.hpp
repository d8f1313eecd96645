// SPDX-License-Identifier: Apache-2.0
#pragma once

#include <cstdint>

namespace vmnet {

// Ticks a second of the time-stamp counter, measured against the system's clock for a few
// hundredths of a second. Guests of one host see the same rate, unless QEMU was told to scale it.
[[nodiscard]] std::uint64_t measure_tsc_hz();

} // namespace vmnet

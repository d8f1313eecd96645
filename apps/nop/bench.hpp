// SPDX-License-Identifier: Apache-2.0
// What one round trip costs, by the time stamp counter. In the emulated lab one tick is one
// instruction, which is what the results call it; on hardware it is time.
#pragma once

#include "elisa/guest.hpp"
#include "program.hpp"

namespace nop {

[[nodiscard]] apps::Json bench(const elisa::Attachment &attachment, std::uint64_t count);

} // namespace nop

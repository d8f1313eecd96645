// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "nop.h"

#include <cstdint>

namespace nop {

// Everything of enum nop_op but NOP_NOTHING.
std::int64_t ops(std::uint64_t arg, std::uint64_t op, std::uint64_t a1, std::uint64_t vcpu,
                 std::uint64_t a2, std::uint64_t a3);

} // namespace nop

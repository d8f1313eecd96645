// SPDX-License-Identifier: Apache-2.0
// The smallest useful image: what it costs to come here and go back.
#include "elisa/image_main.h"
#include "nop_ops.hpp"

std::int64_t elisa_image_main(std::uint64_t arg, std::uint64_t a0, std::uint64_t a1,
                              std::uint64_t vcpu, std::uint64_t a2, std::uint64_t a3)
{
    if (a0 == NOP_NOTHING) [[likely]] {
        return static_cast<std::int64_t>(a1);
    }
    return nop::ops(arg, a0, a1, vcpu, a2, a3);
}

// SPDX-License-Identifier: Apache-2.0
// Where the two meet that do not know each other: a crossing (libelisa) becomes a call of the
// switch (rvs).
#include "elisa/image_main.h"
#include "rvs/switch.hpp"

// The manager laid the switch out at the start of the heap before it published the export, and gave
// this attachment its port as `arg`; the caller can choose neither.
std::int64_t elisa_image_main(std::uint64_t arg, std::uint64_t a0, std::uint64_t a1,
                              std::uint64_t vcpu, std::uint64_t a2, std::uint64_t a3)
{
    auto *const rvs_switch = static_cast<rvs::Switch *>(elisa_heap());
    return rvs_switch->call(static_cast<rvs::PortId>(arg), a0, a1, a2, a3,
                            static_cast<std::uint32_t>(vcpu));
}

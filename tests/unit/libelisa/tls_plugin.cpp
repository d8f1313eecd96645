// SPDX-License-Identifier: Apache-2.0
#include "entry_page.hpp"

extern "C" __attribute__((visibility("default"))) std::int64_t elisa_test_rsp_slot_offset()
{
    const auto offset = elisa::detail::rsp_slot_offset();
    return offset ? *offset : 0;
}

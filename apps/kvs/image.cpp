// SPDX-License-Identifier: Apache-2.0
// Where the two meet that do not know each other: a crossing (libelisa) becomes a call of the
// store.
#include "elisa/image_main.h"
#include "kvs/store.hpp"

// The manager laid the store out at the start of the heap before it published the export, and gave
// this attachment its port as `arg`; the caller can choose neither.
std::int64_t elisa_image_main(std::uint64_t arg, std::uint64_t a0, std::uint64_t a1,
                              std::uint64_t vcpu, std::uint64_t, std::uint64_t)
{
    auto *const store = static_cast<kvs::Store *>(elisa_heap());
    return store->call(static_cast<kvs::PortId>(arg), a0, a1, static_cast<std::uint32_t>(vcpu));
}

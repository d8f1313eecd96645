// SPDX-License-Identifier: Apache-2.0
// The page at ELISA_GATE_VA in the default context.
#pragma once

#include "elisa/error.hpp"
#include "elisa/types.hpp"
#include "elisa_abi.h"

#include <cstddef>
#include <cstdint>
#include <memory>
#include <span>

namespace elisa::detail {

// Fills a page with the stub of crossing.S: its VMFUNC ends at ELISA_ENTRY_OFF, its landing
// begins at ELISA_LANDING_OFF, the rest is int3. `tpoff` is the offset from FS of the slot
// that keeps RSP.
void lay_stub(std::span<std::byte, page_size> page, std::int32_t tpoff);

// Offset from FS, the same on every thread, of this library's slot.
[[nodiscard]] Result<std::int32_t> rsp_slot_offset();

// One a process; it knows nothing of any attachment, so that all of them share it.
class EntryPage {
  public:
    [[nodiscard]] static Result<std::shared_ptr<EntryPage>> get();

    EntryPage(const EntryPage &) = delete;
    EntryPage &operator=(const EntryPage &) = delete;
    ~EntryPage();

  private:
    explicit EntryPage(void *page) noexcept : page_{page} {}

    void *page_;
};

} // namespace elisa::detail

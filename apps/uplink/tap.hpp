// SPDX-License-Identifier: Apache-2.0
// A TAP interface of the kernel's, made by this program: what the kernel sends there goes to the
// switch, and the other way round.
#pragma once

#include "kernel_end.hpp"

#include <memory>

namespace uplink {

class Tap final : public KernelEnd {
  public:
    // offloads: the kernel may leave checksums, and the cutting of TCP frames, to the switch.
    [[nodiscard]] static elisa::Result<std::unique_ptr<Tap>> open(std::string name,
                                                                  rte_mempool &pool, bool offloads);

    // Up as long as the administrator has it up.
    [[nodiscard]] elisa::Result<bool> link() override;
    // Takes the carrier away.
    elisa::Result<void> hold_down(bool down) override;

  private:
    using KernelEnd::KernelEnd;
    [[nodiscard]] ssize_t read(std::span<iovec> pieces, Note &note) override;
};

} // namespace uplink

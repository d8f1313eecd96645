// SPDX-License-Identifier: Apache-2.0
// An interface that the kernel has already, by a packet socket: veth, or a NIC that stays the
// kernel's.
#pragma once

#include "kernel_end.hpp"

#include <memory>

namespace uplink {

class Packet final : public KernelEnd {
  public:
    [[nodiscard]] static elisa::Result<std::unique_ptr<Packet>> open(std::string name,
                                                                     rte_mempool &pool);
    ~Packet() override;

    // Is up, and has a carrier.
    [[nodiscard]] elisa::Result<bool> link() override;
    // Sets the interface down, and up again: a peer sees that.
    elisa::Result<void> hold_down(bool down) override;
    void count_overrun(Counters &counters) override;

  private:
    Packet(Interface interface, elisa::UniqueFd fd, rte_mempool &pool, std::size_t room, int index)
        : KernelEnd{"interface", std::move(interface), std::move(fd), pool, room}, index_{index}
    {
    }
    [[nodiscard]] ssize_t read(std::span<iovec> pieces, Note &note) override;

    int index_;
    bool held_down_ = false;
};

} // namespace uplink

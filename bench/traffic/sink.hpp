// SPDX-License-Identifier: Apache-2.0
// Receives on every port, and looks at what it gets.
#pragma once

#include "ports.hpp"

#include <cstdint>

namespace traffic {

struct SinkCounts {
    std::uint64_t frames = 0;
    std::uint64_t wrong = 0;   // dirty: a payload that is not what its sender wrote
    std::uint64_t foreign = 0; // not a frame of ours: not in `frames`
};

class Sink {
  public:
    static constexpr std::uint32_t any_size = 0;

    Sink(const Ports &ports, std::uint16_t burst, std::uint32_t size, bool dirty)
        : ports_{ports}, burst_{burst}, size_{size}, dirty_{dirty}
    {
    }

    // One burst from each port; how many frames that were.
    std::uint32_t step();
    [[nodiscard]] const SinkCounts &counts() const { return counts_; }
    // Phase that the last frame was sent in. Only known when the payload is dirty.
    [[nodiscard]] std::uint8_t phase() const { return phase_; }

  private:
    void look_at(const rte_mbuf *mbuf);

    const Ports &ports_;
    std::uint16_t burst_;
    std::uint32_t size_;
    bool dirty_;
    std::uint8_t phase_ = 0;
    SinkCounts counts_;
};

} // namespace traffic

// SPDX-License-Identifier: Apache-2.0
// Receives on every port, and looks at what it gets.
#pragma once

#include "ports.hpp"

#include <cstdint>

namespace traffic {

struct SinkCounts {
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    std::uint64_t wrong = 0;   // dirty: a payload that is not what its sender wrote
    std::uint64_t foreign = 0; // not a frame of ours: not in `frames`
    std::uint64_t empty_polls = 0;
};

class Sink {
  public:
    Sink(const Ports &ports, std::uint16_t burst, std::uint32_t size, bool dirty)
        : ports_{ports}, burst_{burst}, size_{size}, dirty_{dirty}
    {
    }

    // One burst from each port; how many frames that were.
    std::uint32_t step();
    [[nodiscard]] const SinkCounts &counts() const { return counts_; }
    // Phase that the last frame was sent in. Only known when frames are looked at.
    [[nodiscard]] std::uint8_t phase() const { return phase_; }
    // Look at the first line of one frame of each burst even if the payload is clean.
    void watch_phase() { watch_ = true; }

  private:
    void look_at(const rte_mbuf *mbuf);

    const Ports &ports_;
    std::uint16_t burst_;
    std::uint32_t size_;
    bool dirty_;
    bool watch_ = false;
    std::uint8_t phase_ = 0;
    SinkCounts counts_;
};

} // namespace traffic

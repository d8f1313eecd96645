// SPDX-License-Identifier: Apache-2.0
// Counters with one writer each; a read-out sums them. No locked instructions.
#ifndef RVS_COUNTERS_HPP
#define RVS_COUNTERS_HPP

#include "rvs/rvif.h"

#include <atomic>
#include <cstdint>

namespace rvs {

class Counter {
  public:
    void add(std::uint64_t n)
    {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    void clear() { value_.store(0, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

// Drop reasons that are counted at the receiver come first in enum rvif_drop.
inline constexpr std::uint32_t receiver_reasons = RVIF_DROP_RX_BAD_BUFFER + 1;
static_assert(RVIF_DROP_NO_BUFFER == 0 && receiver_reasons == RVIF_DROP_NO_DESTINATION);

// Behind those come the well-formed frames that went nowhere, and then, from here on, what was not
// accepted.
inline constexpr std::uint32_t first_rejected = RVIF_DROP_BAD_SOURCE_MAC;

// What one source did to one receiving port. Written by the source, never reset: a port
// that opens remembers what it found (Port::received_before).
struct alignas(64) PairCounters {
    Counter frames;
    Counter bytes;
    Counter drops[receiver_reasons];
};

// Of how many calls of a transmit queue one is timed: two readings of the time-stamp counter in
// each would cost a small frame more than its counters do. A power of two.
inline constexpr std::uint64_t calls_for_a_timed_one = 16;

// What came of the frames of one transmit queue. Written by the call that holds the queue.
struct TxCounters {
    Counter frames;
    Counter bytes;
    Counter copies;
    Counter flooded;
    Counter cuts;
    // Of the calls that are timed.
    Counter timed_frames;
    Counter timed_cycles;
    Counter drops[RVIF_DROP_REASONS]; // the sender's reasons

    // A call that began at `begun` with this many frames before it. One without frames says nothing
    // of a frame's cost; a counter that went back was not the same one (the vCPU has moved).
    void time(std::uint64_t frames_before, std::uint64_t begun, std::uint64_t now)
    {
        const std::uint64_t more = frames.get() - frames_before;
        if (more == 0 || static_cast<std::int64_t>(now - begun) <= 0)
            return;
        timed_frames.add(more);
        timed_cycles.add(now - begun);
    }
};

} // namespace rvs

#endif // RVS_COUNTERS_HPP

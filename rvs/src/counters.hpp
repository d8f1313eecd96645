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

// What came of the frames of one transmit queue. Written by the call that holds the queue.
struct TxCounters {
    Counter frames;
    Counter bytes;
    Counter copies;
    Counter flooded;
    Counter cuts;
    Counter drops[RVIF_DROP_REASONS]; // the sender's reasons
};

} // namespace rvs

#endif // RVS_COUNTERS_HPP

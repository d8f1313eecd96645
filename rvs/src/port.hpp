// SPDX-License-Identifier: Apache-2.0
// What the switch knows of a port. All of it trusted: guests cannot reach this memory but
// through call().
#ifndef RVS_PORT_HPP
#define RVS_PORT_HPP

#include "claim.hpp"
#include "counters.hpp"
#include "descriptor.hpp"
#include "journal.hpp"
#include "learned.hpp"
#include "policy.hpp"
#include "region.hpp"
#include "rvs/switch.hpp"

#include <atomic>
#include <cstdint>

namespace rvs {

// A receive queue, as every source must know it. The fields change only while the queue is not
// live; a reader takes state before and after, and has nothing if they differ or it is not live.
struct alignas(64) RxQueue {
    // Bit 0: live. Above: a generation, which any change moves and which never repeats, so that
    // a source tells by one load that what it cached still holds (Lane::seen).
    //
    // Two sides move it. The port's control calls: SETUP stores the fields, START checks that
    // their regions are still the ones and then exchanges the word it had loaded *before* that
    // check. The manager's region_remove(): clears the region, then kill()s. In every order
    // either START sees that the region is gone, or its exchange fails, or the kill comes after
    // it: no queue is live on a removed region once region_remove() has returned.
    std::atomic<std::uint64_t> state;

    std::atomic<Address> lanes;   // lane of source 0
    std::atomic<Address> buffers; // start of the buffers' region
    std::atomic<std::uint32_t> depth;
    std::atomic<std::uint32_t> buf_len;
    std::atomic<std::uint32_t> last_unit; // highest buffer offset that fits, in RVIF_BUF_UNIT
    std::atomic<std::uint32_t> flags;     // RVIF_RXQ_*

    // For START and region_remove().
    std::atomic<bool> set_up;
    std::atomic<std::uint8_t> lanes_index;
    std::atomic<std::uint8_t> buffers_index;
    std::atomic<std::uint64_t> lanes_region; // Region::word() that was checked
    std::atomic<std::uint64_t> buffers_region;

    static constexpr std::uint64_t live_bit = 1;
    static constexpr std::uint64_t generation = 2;

    [[nodiscard]] bool live() const { return (state.load() & live_bit) != 0; }

    // Wait-free, and right whoever else is at it or has been cut short at it: after the addition no
    // START that looked at the regions before it succeeds, and what an earlier one has made live
    // ends here, whatever became of the word in between.
    void kill()
    {
        state.fetch_add(generation);
        state.fetch_and(~live_bit);
    }
};

inline constexpr std::uint32_t no_source = ~std::uint32_t{0};

// A transmit queue. Whoever has claimed it has it to itself; a second CPU gets RVIF_E_BUSY.
struct alignas(128) TxQueue {
    Claim busy;
    std::atomic<std::uint32_t> source; // or no_source
    std::atomic<std::uint64_t> source_generation;
    std::atomic<std::uint64_t> descs; // rvif_addr_t; resolved anew by every call
    std::atomic<std::uint32_t> flags; // RVIF_TXQ_*
    std::atomic<bool> scattered; // its last frames went many ways: the next ones likely do, too
    // Calls that ended. Moves before busy is cleared: see Grace.
    std::atomic<std::uint64_t> calls;
    Journal journal;
    TxCounters counters;
};

struct alignas(128) Port {
    std::atomic<bool> open;
    std::atomic<bool> started;
    std::atomic<bool> pinned_mac;
    Claim control_busy; // SETUP, START, STOP, SET_MAC, RSS: one at a time
    std::atomic<std::uint32_t> max_tx_queues;
    // Byte t: the receive queue for frames of anybody's transmit queue t; no_queue: none. Where
    // frames are not spread by their hash.
    std::atomic<std::uint64_t> rx_map;
    std::atomic<std::uint32_t> rss_types; // RVIF_RSS_*
    std::atomic<std::uint8_t> rss_queue[RVIF_RETA_SIZE];
    Policy policy;
    std::atomic<std::uint64_t> mac;
    std::atomic<std::uint64_t> cookie;
    std::atomic<std::uint64_t> mirror_to; // bit of PortOptions::mirror_to in policy.mirrors
    std::atomic<std::uint64_t> label[label_size / 8];
    std::atomic<std::uint64_t> control_calls; // all operations but RVIF_OP_TX
    RegionTable regions;
    RxQueue rx[RVIF_MAX_QUEUES];
    TxQueue tx[RVIF_MAX_QUEUES];

    // Totals of Pair counters towards this port when it opened.
    std::atomic<std::uint64_t> received_before[2 + receiver_reasons];

    LearnedCount learned; // roughly

    // STOP waits for calls that may still fill this port's buffers.
    bool draining;
    Switch::Grace drain;

    // The manager's, or 0: then a driver may announce one.
    [[nodiscard]] std::uint64_t mac_given() const { return pinned_mac.load() ? mac.load() : 0; }

    static constexpr std::uint64_t no_queue = 0xff;
    static constexpr std::uint64_t no_queues = ~std::uint64_t{0};

    [[nodiscard]] std::uint32_t rx_queue_for(std::uint32_t tx_queue) const
    {
        return static_cast<std::uint32_t>(
            (rx_map.load(std::memory_order_acquire) >> (8 * tx_queue)) & no_queue);
    }
};

// A source's owner, one word, so that a claim is whole or has not happened.
//
//   63          16 15 14      8 7      0
//   [ generation  |1 |  port   | queue  ]      bit 15 clear: free
class Owner {
  public:
    explicit constexpr Owner(std::uint64_t word) : word_{word} {}

    [[nodiscard]] constexpr bool taken() const { return (word_ & taken_bit) != 0; }
    [[nodiscard]] constexpr std::uint32_t port() const
    {
        return static_cast<std::uint32_t>(word_ >> 8) & (RVIF_MAX_PORTS - 1);
    }
    [[nodiscard]] constexpr std::uint32_t queue() const
    {
        return static_cast<std::uint32_t>(word_) & (RVIF_MAX_QUEUES - 1);
    }
    [[nodiscard]] constexpr std::uint64_t generation() const { return word_ >> 16; }
    [[nodiscard]] constexpr Owner claimed(std::uint32_t port, std::uint32_t queue) const
    {
        return Owner{(generation() + 1) << 16 | taken_bit | std::uint64_t{port} << 8 | queue};
    }
    [[nodiscard]] constexpr Owner released() const { return Owner{generation() << 16}; }
    [[nodiscard]] constexpr std::uint64_t word() const { return word_; }

  private:
    static constexpr std::uint64_t taken_bit = 0x8000;
    std::uint64_t word_;
};

} // namespace rvs

#endif // RVS_PORT_HPP

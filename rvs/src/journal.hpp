// SPDX-License-Identifier: Apache-2.0
// How far a call has come, for the next one from the same CPU if it is cut short: an interrupt that
// the host cannot hold back ends a crossing wherever it is.
//
// Frames are delivered when a lane's batch becomes visible, by one store; all that comes before it
// leaves no trace but in memory that nobody looks at. So the journal says, before each such store,
// what is consumed if it has happened and if it has not; whether it has is seen in the lane.
#ifndef RVS_JOURNAL_HPP
#define RVS_JOURNAL_HPP

#include <atomic>
#include <cstdint>

namespace rvs {

struct Journal {
    std::atomic<std::uint64_t> call; // the caller's number for it
    // Descriptors consumed, and copies that are then lost: held back in other lanes.
    std::atomic<std::uint32_t> consumed;
    std::atomic<std::uint32_t> lost;
    // The same, once the batch that begins at `first` of `lane` is visible.
    std::atomic<std::uint32_t> consumed_then;
    std::atomic<std::uint32_t> lost_then;
    std::atomic<std::uint32_t> first;
    std::atomic<std::uint32_t> lane; // 1 + port * RVIF_MAX_QUEUES + queue; 0: none

    // Stores stay in this order: the reader comes after whatever stopped us.
    void begin(std::uint64_t number)
    {
        lane.store(0, release);
        consumed.store(0, release);
        lost.store(0, release);
        call.store(number, release);
    }
    void will_publish(std::uint32_t in_lane, std::uint32_t at, std::uint32_t then,
                      std::uint32_t lost_by_then)
    {
        consumed_then.store(then, release);
        lost_then.store(lost_by_then, release);
        first.store(at, release);
        lane.store(in_lane + 1, release);
    }
    void published()
    {
        consumed.store(consumed_then.load(std::memory_order_relaxed), release);
        lost.store(lost_then.load(std::memory_order_relaxed), release);
        lane.store(0, release);
    }
    void end(std::uint32_t all)
    {
        lane.store(0, release);
        consumed.store(all, release);
        lost.store(0, release);
    }

  private:
    static constexpr auto release = std::memory_order_release;
};

// Of the call that is under way: for the journal.
struct Progress {
    Journal *journal;
    std::uint32_t at = 0;   // descriptors that are consumed if all that is held back is published
    std::uint32_t held = 0; // copies that are held back, in all lanes
};

} // namespace rvs

#endif // RVS_JOURNAL_HPP

// SPDX-License-Identifier: Apache-2.0
// How far a call has come, for the next one from the same CPU if it is cut short: an interrupt that
// the host cannot hold back ends a crossing wherever it is.
//
// Frames are delivered when a lane's batch becomes visible, by one store; all that comes before it
// leaves no trace but in memory that nobody looks at. So the journal says, before each such store,
// what is consumed if it has happened and if it has not; whether it has is seen in the lane.
// A batch to many lanes (scatter.hpp) is written down whole before the first such store, and what
// was not done of it is done later.
#ifndef RVS_JOURNAL_HPP
#define RVS_JOURNAL_HPP

#include <atomic>
#include <cstdint>

namespace rvs {

struct Journal {
    // Frames that are copied, in order: each fills the next entry of a lane, whose last one is in
    // front of Lane::fill.
    struct Plan {
        static constexpr std::uint32_t capacity = 64;
        std::atomic<std::uint64_t> value[capacity]; // completion
        std::atomic<std::uint32_t> lane[capacity];  // how far into the source's lanes it is
    };

    std::atomic<std::uint64_t> call; // the caller's number for it
    // Bits 0..31: descriptors consumed. 32..63: frames of the plan that is being carried out.
    std::atomic<std::uint64_t> reached;
    // Copies that are lost with what is consumed: held back in other lanes.
    std::atomic<std::uint32_t> lost;
    // The same, once the batch that begins at `first` of `lane` is visible.
    std::atomic<std::uint32_t> consumed_then;
    std::atomic<std::uint32_t> lost_then;
    std::atomic<std::uint32_t> first;
    std::atomic<std::uint32_t> lane; // 1 + port * RVIF_MAX_QUEUES + queue; 0: none
    Plan plan;

    [[nodiscard]] std::uint32_t consumed() const
    {
        return static_cast<std::uint32_t>(reached.load());
    }
    [[nodiscard]] std::uint32_t planned() const
    {
        return static_cast<std::uint32_t>(reached.load() >> 32);
    }

    // Stores stay in this order: the reader comes after whatever stopped us.
    void begin(std::uint64_t number)
    {
        lane.store(0, release);
        reached.store(0, release);
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
        reached.store(consumed_then.load(std::memory_order_relaxed), release);
        lost.store(lost_then.load(std::memory_order_relaxed), release);
        lane.store(0, release);
    }
    void end(std::uint32_t all)
    {
        lane.store(0, release);
        reached.store(all, release);
        lost.store(0, release);
    }
    // No lane holds anything back but by the plan.
    void commit(std::uint32_t then, std::uint32_t frames)
    {
        reached.store(std::uint64_t{frames} << 32 | then, release);
    }
    void fulfilled(std::uint32_t then) { reached.store(then, release); }

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

// SPDX-License-Identifier: Apache-2.0
//
// Lanes: how a frame gets into a receiver's posted buffers. See rvif.h for the format.
//
//   posted   [ b b b b b b . . ]   the receiver's: empty buffers, valid by phase
//              |   |     |
//          Lane::pos     OpenLane::pos
//              |   |
//   comp     [ c c c . . . . . ]   ours: how much each buffer holds
//              published | filled, held back until publish()
//
// A lane has one writer, the call that holds the source's transmit queue. If that caller is
// killed, the source's next owner finds the lane as it was at the last step, and recover()s it.
#ifndef RVS_LANES_HPP
#define RVS_LANES_HPP

#include "copy.hpp"
#include "counters.hpp"
#include "descriptor.hpp"
#include "frame.hpp"
#include "port.hpp"
#include "rvs/rvif.h"

#include <atomic>
#include <cstdint>

namespace rvs {

// Completions are published in batches of at most this many, and a frame is published whole, so
// a frame fills at most this many buffers.
inline constexpr std::uint32_t lane_batch = 64;
static_assert(lane_batch <= RVIF_MIN_DEPTH && lane_batch <= Journal::Plan::capacity);

// So that a frame's header is in its first buffer.
inline constexpr std::uint32_t min_buf_len = 64;
static_assert(min_buf_len >= Header::size);

// One source's side of one receive queue.
struct alignas(64) Lane {
    // The RxQueue::state that the fields below were taken from; 0: none. Stored last.
    std::atomic<std::uint64_t> seen;
    std::atomic<std::uint64_t> generation; // of the source when it last recovered
    Address posted;
    Address buffers;
    std::atomic<std::uint32_t> pos; // free-running; the next entry to publish
    std::uint32_t depth;
    std::uint32_t buf_len;
    std::uint32_t last_unit;
    std::uint32_t flags;             // RVIF_RXQ_*
    std::atomic<std::uint32_t> fill; // scatter()'s: the next entry to fill

    [[nodiscard]] Address posted_entry(std::uint32_t at) const
    {
        return posted + 4ull * (at & (depth - 1));
    }
    [[nodiscard]] Address comp_entry(std::uint32_t at) const
    {
        return posted + RVIF_LANE_COMP(depth) + 8ull * (at & (depth - 1));
    }
    [[nodiscard]] Address meta_entry(std::uint32_t at) const
    {
        return posted + RVIF_LANE_META(depth) + 4ull * (at & (depth - 1));
    }
    // What bit 31 of a valid entry is in this round: 1 in the first, then by turns.
    [[nodiscard]] std::uint32_t phase(std::uint32_t at) const
    {
        return (at & depth) == 0 ? RVIF_PHASE : 0;
    }
    [[nodiscard]] Address buffer(std::uint32_t unit) const
    {
        return buffers + std::uint64_t{unit} * RVIF_BUF_UNIT;
    }

    // Makes the lane fit to be used in this call. False: the queue is not live.
    bool ready(const RxQueue &queue, std::uint32_t source, std::uint64_t source_generation)
    {
        const std::uint64_t state = queue.state.load(); // seq_cst, see RxQueue::state and Grace
        if ((state & RxQueue::live_bit) == 0)
            return false;
        if (seen.load(std::memory_order_relaxed) != state) [[unlikely]]
            return take(queue, state, source, source_generation);
        if (generation.load(std::memory_order_relaxed) != source_generation) [[unlikely]]
            recover(source_generation);
        return true;
    }

    // Whether a batch that began at `first` has become visible.
    [[nodiscard]] bool has_published(const RxQueue &queue, std::uint32_t first) const
    {
        if (pos.load(std::memory_order_relaxed) != first)
            return true;
        // Memory of a queue that is not the same any more is out of bounds, and gone.
        return seen.load(std::memory_order_relaxed) != queue.state.load() || !queue.live() ||
               completed(first);
    }

  private:
    bool take(const RxQueue &queue, std::uint64_t state, std::uint32_t source,
              std::uint64_t source_generation)
    {
        constexpr auto acquire = std::memory_order_acquire; // keeps the second look behind them
        const Address q_lanes = queue.lanes.load(acquire);
        const Address q_buffers = queue.buffers.load(acquire);
        const std::uint32_t q_depth = queue.depth.load(acquire);
        const std::uint32_t q_buf_len = queue.buf_len.load(acquire);
        const std::uint32_t q_last_unit = queue.last_unit.load(acquire);
        const std::uint32_t q_flags = queue.flags.load(acquire);
        if (queue.state.load() != state)
            return false;
        seen.store(0, std::memory_order_release);
        posted = q_lanes + source * RVIF_LANE_STRIDE(q_depth);
        buffers = q_buffers;
        depth = q_depth;
        buf_len = q_buf_len;
        last_unit = q_last_unit;
        flags = q_flags;
        pos.store(0, std::memory_order_relaxed);
        generation.store(source_generation, std::memory_order_relaxed);
        seen.store(state, std::memory_order_release);
        return true;
    }

    // The source has a new owner; the old one may have been killed in publish(), which stores a
    // batch from its last entry to its first and then pos. If the first is there, so is the
    // batch, and pos goes behind it. If it is not, what there is of the rest must go: it would
    // be taken for the continuation of what we publish next. comp is the receiver's memory; if
    // it writes there, it only harms itself: both walks are bounded.
    void recover(std::uint64_t source_generation)
    {
        const std::uint32_t first = pos.load(std::memory_order_relaxed);
        std::uint32_t n = 0;
        while (n < lane_batch && completed(first + n))
            ++n;
        for (std::uint32_t i = n; i < lane_batch; ++i) {
            if (completed(first + i))
                guest::publish64(comp_entry(first + i), phase(first + i) ^ RVIF_PHASE);
        }
        pos.store(first + n, std::memory_order_relaxed);
        generation.store(source_generation, std::memory_order_relaxed);
    }
    [[nodiscard]] bool completed(std::uint32_t at) const
    {
        return (guest::load64(comp_entry(at)) & RVIF_PHASE) == phase(at);
    }
};
static_assert(sizeof(Lane) == 64);

// A lane during a call: filled entries whose completions are held back, counts not yet added.
struct OpenLane {
    Lane *lane;
    PairCounters *pair;
    Progress *progress;
    std::uint32_t port;
    std::uint32_t queue;
    std::uint32_t pos; // the next entry to fill
    std::uint32_t held;
    std::uint64_t values[lane_batch]; // not last: sanitizers do not check a last array's bounds
    std::uint32_t frames;
    std::uint32_t shown; // of them, published
    std::uint64_t bytes;
    std::uint32_t drops[receiver_reasons];

    void begin(Lane &l, PairCounters &p, Progress &of, std::uint32_t to, std::uint32_t rx_queue)
    {
        lane = &l;
        pair = &p;
        progress = &of;
        shown = 0;
        port = to;
        queue = rx_queue;
        pos = l.pos.load(std::memory_order_relaxed);
        held = 0;
        frames = 0;
        bytes = 0;
        for (auto &n : drops)
            n = 0;
    }

    // Backwards, so that the receiver, which looks at the first, sees the batch at once and
    // never a part of a frame; then pos. recover() rests on this order.
    [[gnu::noinline]] void publish()
    {
        if (held == 0)
            return;
        const std::uint32_t first = pos - held;
        progress->held -= frames - shown;
        shown = frames;
        progress->journal->will_publish(port * RVIF_MAX_QUEUES + queue, first, progress->at,
                                        progress->held);
        const std::uint32_t before = lane->depth - (first & (lane->depth - 1)); // the wrap
        std::uint32_t n = held;
        if (n > before) [[unlikely]] {
            store_back(values + before, lane->comp_entry(first + before), n - before);
            n = before;
        }
        store_back(values, lane->comp_entry(first), n);
        lane->pos.store(pos, std::memory_order_release);
        progress->journal->published();
        held = 0;
    }
    static void store_back(const std::uint64_t *from, Address to, std::uint32_t n)
    {
        std::uint64_t i = n;
        for (; i >= 4; i -= 4) {
            guest::publish64(to + 8 * i - 8, from[i - 1]);
            guest::publish64(to + 8 * i - 16, from[i - 2]);
            guest::publish64(to + 8 * i - 24, from[i - 3]);
            guest::publish64(to + 8 * i - 32, from[i - 4]);
        }
        for (; i != 0; --i)
            guest::publish64(to + 8 * i - 8, from[i - 1]);
    }

    void end()
    {
        publish();
        if (frames != 0) {
            pair->frames.add(frames);
            pair->bytes.add(bytes);
        }
        for (std::uint32_t r = 0; r < receiver_reasons; ++r) {
            if (drops[r] != 0)
                pair->drops[r].add(drops[r]);
        }
    }

    // Any frame, into as many buffers as it takes. What becomes of it is counted here.
    void deliver(const Segment *segments, std::uint32_t count, std::uint32_t total,
                 const Notes &notes, bool avx2);

  private:
    std::uint32_t put(const Segment *segments, std::uint32_t count, std::uint32_t total,
                      const Notes &notes, bool avx2);
};

} // namespace rvs

#endif // RVS_LANES_HPP

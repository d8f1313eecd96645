// SPDX-License-Identifier: Apache-2.0
//
// The way of most calls: all of their frames are one run, from a port that nothing is asked of to a
// known receiver that takes them as they are. What is done once a call is done here with as little
// as that takes; a call of one frame, of which a round trip consists, is nothing else.
#ifndef RVS_STRAIGHT_HPP
#define RVS_STRAIGHT_HPP

#include "policy.hpp"
#include "runs.hpp"

namespace rvs {

class Straight : public Runs {
  public:
    explicit Straight(const Sending &sending) : Runs{sending} {}

    // Returns how many frames, from the first on, are done. If not all, the others are a
    // Transmission's, and so is what is counted here.
    std::uint32_t run(Address descs, std::uint32_t count)
    {
        constexpr auto relaxed = std::memory_order_relaxed;
        if (policy_ != 0 || count == 0 || tx_.scattered.load(relaxed) || !look_at(descs))
            return 0;
        const std::uint64_t source = fdb_key(last_.source(), 0);
        const std::uint64_t destination = last_.destination();
        if ((destination & mac_group_bit) != 0)
            return 0;
        const Fdb fdb = core_.fdb();
        // An address that is in the table for this port is none that must not be.
        if (!fdb.fresh(source, self_, stamp_))
            return 0;
        const std::uint32_t port = fdb.lookup(fdb_key(destination, 0));
        if (port == Fdb::nowhere || port == self_ ||
            ((core_.down_ports.load(relaxed) | core_.capture_ports.load(relaxed)) >> port & 1) != 0)
            return 0;
        const Port &receiver = core_.ports[port];
        if (receiver.policy.has(policy::mirror | policy::vlan) != 0 ||
            receiver.rss_types.load(relaxed) != 0)
            return 0;
        const std::uint32_t queue = receiver.rx_queue_for(queue_);
        if (queue >= RVIF_MAX_QUEUES)
            return 0;
        Lane &lane = core_.lanes[source_][port][queue];
        if (!lane.ready(receiver.rx[queue], source_, generation_) ||
            (lane.flags & (RVIF_RXQ_HASH | RVIF_RXQ_VLAN)) != 0)
            return 0;
        learned_ = source;
        if (count == 1)
            return one(lane, core_.pairs[source_][port], port * RVIF_MAX_QUEUES + queue);

        Progress progress{&tx_.journal};
        OpenLane open; // NOLINT(cppcoreguidelines-pro-type-member-init): begin() does
        open.begin(lane, core_.pairs[source_][port], progress, port, queue);
        const std::uint32_t done = follow<false>(open, descs, 0, count);
        progress.at = done;
        open.end();
        if (done == count)
            count_all();
        return done;
    }

  private:
    // The frame that look_at() has checked, and nothing else in this call: what follow() and
    // OpenLane do, in the same order, without what many frames need.
    std::uint32_t one(Lane &lane, PairCounters &pair, std::uint32_t lane_index)
    {
        constexpr auto relaxed = std::memory_order_relaxed;
        const std::uint32_t length = last_length_;
        const std::uint32_t pos = lane.pos.load(relaxed);
        const std::uint32_t phase = lane.phase(pos);
        const std::uint32_t unit = guest::load32(lane.posted_entry(pos)) ^ phase;
        if (unit > lane.last_unit || length > lane.buf_len)
            return 0;
        std::uint8_t *to = pointer(lane.buffer(unit));
        store_8(to, last_.low);
        store_8(to + 8, last_.high);
        copy_bytes(to + Header::size, last_from_ + Header::size, length - Header::size, avx2_);
        Journal &journal = tx_.journal;
        journal.will_publish(lane_index, pos, 1, 0);
        guest::publish64(lane.comp_entry(pos), length | phase);
        lane.pos.store(pos + 1, std::memory_order_release);
        journal.published();
        pair.frames.add(1);
        pair.bytes.add(length);
        tally_.frames = tally_.copies = 1;
        tally_.bytes = length;
        count_all();
        // For a later call; the receiver has this one's frame by now.
        const std::uint32_t ahead = pos + frames_ahead(length);
        prefetch(lane.posted_entry(ahead), lane.phase(ahead), lane.last_unit, lane.buffers, length);
        return 1;
    }
};

} // namespace rvs

#endif // RVS_STRAIGHT_HPP

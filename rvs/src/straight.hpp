// SPDX-License-Identifier: Apache-2.0
//
// The way of most calls: all of their frames are one run, from a port that nothing is asked of to a
// known receiver that takes them as they are. What is done once a call is done here with as little
// as that takes; a burst of one frame is nothing else.
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
};

} // namespace rvs

#endif // RVS_STRAIGHT_HPP

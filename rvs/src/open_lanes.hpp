// SPDX-License-Identifier: Apache-2.0
// The lanes that a call is filling.
#ifndef RVS_OPEN_LANES_HPP
#define RVS_OPEN_LANES_HPP

#include "core.hpp"

namespace rvs {

// Few slots, found by port and queue: two lanes that share one take turns, which costs a publish
// each time but is right.
class OpenLanes {
  public:
    OpenLanes(Core &core, std::uint32_t source, std::uint64_t generation, std::uint32_t tx_queue,
              Journal &journal)
        : progress{&journal}, core_{core}, source_{source}, generation_{generation}, tx_queue_{
                                                                                         tx_queue}
    {
    }

    Progress progress;

    // Null: nobody can receive there.
    OpenLane *to(std::uint32_t port, std::uint32_t queue)
    {
        if (queue >= RVIF_MAX_QUEUES)
            return nullptr;
        // The queues of one port, and the first queues of several, are in different slots.
        const std::uint32_t s = (port * 5 + queue) % slots;
        OpenLane &slot = slots_[s];
        if ((used_ >> s & 1) != 0) {
            if (slot.port == port && slot.queue == queue)
                return &slot;
            slot.end();
            used_ &= ~(1u << s);
        }
        Lane &lane = core_.lanes[source_][port][queue];
        if (!lane.ready(core_.ports[port].rx[queue], source_, generation_))
            return nullptr;
        slot.begin(lane, core_.pairs[source_][port], progress, port, queue);
        used_ |= 1u << s;
        return &slot;
    }

    void not_ready(std::uint32_t port)
    {
        core_.pairs[source_][port].drops[RVIF_DROP_NOT_READY].add(1);
    }

    void end()
    {
        for (; used_ != 0; used_ &= used_ - 1)
            slots_[__builtin_ctz(used_)].end();
    }

    [[nodiscard]] std::uint32_t tx_queue() const { return tx_queue_; }

  private:
    static constexpr std::uint32_t slots = 16;

    Core &core_;
    std::uint32_t source_;
    std::uint64_t generation_;
    std::uint32_t tx_queue_;
    std::uint32_t used_ = 0; // bitmap
    OpenLane slots_[slots];
};

} // namespace rvs

#endif // RVS_OPEN_LANES_HPP

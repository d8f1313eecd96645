// SPDX-License-Identifier: Apache-2.0
// What a call knows of its sender, whichever way its frames take.
#ifndef RVS_SENDING_HPP
#define RVS_SENDING_HPP

#include "core.hpp"
#include "frame.hpp"

namespace rvs {

// Counts of one call, added to the queue's counters at its end.
struct Tally {
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    std::uint64_t copies = 0;
    std::uint64_t flooded = 0;
    std::uint64_t cuts = 0;
};

// A call stops after the frame with which it has copied this much, so that a flood of jumbo
// frames to all ports takes one call no longer than a frame of it.
inline constexpr std::uint64_t call_bytes = 4 << 20;

class Sending {
  public:
    Sending(Core &core, std::uint32_t self, std::uint32_t queue, std::uint32_t source,
            std::uint64_t generation, bool avx2)
        : core_{core}, port_{core.ports[self]}, tx_{core.ports[self].tx[queue]}, self_{self},
          queue_{queue}, source_{source}, generation_{generation}, policy_{port_.policy.has(~0u)},
          stamp_{core.stamp.load(std::memory_order_relaxed)}, avx2_{avx2}
    {
    }

  protected:
    // At a call's end.
    void count_all()
    {
        if (tally_.frames == 0)
            return;
        TxCounters &counters = tx_.counters;
        counters.frames.add(tally_.frames);
        counters.bytes.add(tally_.bytes);
        counters.copies.add(tally_.copies);
        if (tally_.flooded != 0)
            counters.flooded.add(tally_.flooded);
        if (tally_.cuts != 0)
            counters.cuts.add(tally_.cuts);
    }

    // Where the last frame came from: the next ones are likely from there, too.
    void remember_region(rvif_addr_t address)
    {
        const std::uint64_t index = RVIF_ADDR_REGION(address);
        const Region region = index < RVIF_MAX_REGIONS
                                  ? port_.regions.get(static_cast<std::uint32_t>(index))
                                  : Region{};
        region_tag_ = address - RVIF_ADDR_OFFSET(address);
        region_base_ = region.base();
        region_len_ = region.valid() ? region.len() : 0;
    }

    // Takes note of a frame's source, once a call. Returns no_drop, or why its frames are not
    // accepted.
    std::uint32_t meet(std::uint64_t source, std::uint32_t vlan)
    {
        const std::uint64_t key = fdb_key(source, vlan);
        if (key == learned_)
            return no_drop;
        const Learned learned = core_.fdb().learn(key, self_, stamp_, core_.ports);
        if (learned != Learned::yes)
            return learned == Learned::full ? RVIF_DROP_MAC_LIMIT : RVIF_DROP_BAD_SOURCE_MAC;
        learned_ = key;
        return no_drop;
    }

    Core &core_;
    Port &port_;
    TxQueue &tx_;
    std::uint32_t self_;
    std::uint32_t queue_;
    std::uint32_t source_;
    std::uint64_t generation_; // of the source
    std::uint32_t policy_;
    std::uint32_t stamp_;
    bool avx2_;
    std::uint64_t copied_ = 0;
    std::uint64_t learned_ = 0;
    std::uint64_t region_tag_ = 0;
    std::uint64_t region_base_ = 0;
    std::uint64_t region_len_ = 0;
    Tally tally_;
};

} // namespace rvs

#endif // RVS_SENDING_HPP

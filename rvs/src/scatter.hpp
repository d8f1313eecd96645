// SPDX-License-Identifier: Apache-2.0
//
// The way of frames whose destinations change all the time: what a frame costs does not depend on
// how many receivers a burst has.
//
//   descriptor -> header -> MAC table -> lane -> buffer       frame by frame
//   copied                                                    the batch: its buffers were
//                                                             asked for meanwhile
//   commit -> completions, last to first -> lane ends         once a batch
//
// A batch is up to lane_batch plain frames to any lanes. Nothing of it is visible before it is
// committed; from then on it is a plan in the journal, which whoever finds it half done goes on
// with. So a call that is cut short loses nothing here.
#ifndef RVS_SCATTER_HPP
#define RVS_SCATTER_HPP

#include "runs.hpp"

namespace rvs {

class Scatter : protected Runs {
  protected:
    explicit Scatter(const Runs &so_far)
        : Runs{so_far}, lanes_{&core_.lanes[source_][0][0]},
          untagged_{(policy_ & policy::vlan) != 0
                        ? port_.policy.native.load(std::memory_order_relaxed)
                        : 0}
    {
    }

    // Whether what the sender may do can be told from MAC table and bitmaps alone.
    [[nodiscard]] bool may_scatter() const
    {
        return (policy_ & policy::each_frame) == 0 &&
               ((policy_ & policy::vlan) == 0 || untagged_ != 0);
    }

    // Frames from i on, as far as they are plain ones to known receivers that take them as they
    // are: returns the first that is not. No lane is open. one_run: they all
    // went to one lane, and runs may go on so.
    [[gnu::noinline]] std::uint32_t scatter(Address descs, std::uint32_t i, std::uint32_t count,
                                            bool &one_run);

  private:
    // Of one of scatter(), for all its frames.
    struct Scope {
        std::uint32_t vlan;
        std::uint64_t known = 0;   // ports that target[] is valid for
        std::uint64_t by_hash = 0; // of them, those with no lane of their own there
    };

    // note: hash and flags, for comp.
    struct Choice {
        Lane *lane = nullptr;
        std::uint64_t note = 0;
    };

    // A frame that is accepted and not yet copied; the header is ours.
    struct Copy {
        std::uint8_t *to;
        const std::uint8_t *from;
        std::uint64_t low;
        std::uint64_t high;
    };
    static constexpr std::uint32_t posted_ahead = 32; // entries, of those that are asked for early

    [[nodiscard]] std::uint64_t unchecked_below() const;
    bool in_region(rvif_addr_t address, std::uint64_t len);
    bool welcome(std::uint64_t source, std::uint32_t vlan);
    bool open(Scope &scope, std::uint32_t port);
    Choice pick(std::uint32_t port, Header header, const std::uint8_t *rest, std::uint64_t len);
    bool begin(Lane &lane, const RxQueue &queue);
    void not_posted(std::uint32_t port, std::uint32_t unit);
    void publish(std::uint32_t consumed, std::uint32_t n);

    Lane *lanes_; // of the source: by port, then by queue
    // VLAN of its frames without a tag. Looked at once a call: what may_scatter() has found to be
    // one must not have become 0, the VLAN of ports that know none, when it is used.
    std::uint32_t untagged_;
    Lane *target_[RVIF_MAX_PORTS];         // null: pick() tells
    std::uint64_t begun_[RVIF_MAX_QUEUES]; // by receive queue: ports whose lane pick() has met
    Copy copies_[lane_batch];
    Address comp_[lane_batch]; // of the batch: where its completions go
};

} // namespace rvs

#endif // RVS_SCATTER_HPP

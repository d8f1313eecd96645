// SPDX-License-Identifier: Apache-2.0
// A capture port of the manager's own: the switch mirrors a port to it, as to any other, and never
// waits. What is not fetched in time is dropped by the switch and counted there.
#pragma once

#include "elisa/error.hpp"
#include "rvs/switch.hpp"

#include <cstddef>
#include <cstdint>
#include <functional>
#include <span>
#include <vector>

namespace vmnet {

class Capture {
  public:
    // memory: nobody else's, 4096-aligned, and at this very address wherever calls of the switch
    // run. Empty: there will be no captures.
    Capture(rvs::Switch &rvs_switch, std::span<std::byte> memory);

    // Frames of `watched` come to port `own`, which is free. One at a time.
    elisa::Result<void> start(rvs::PortId watched, rvs::PortId own);
    void stop();
    [[nodiscard]] bool active() const { return active_; }
    [[nodiscard]] rvs::PortId watched() const { return watched_; }

    struct Frame {
        std::span<const std::byte> bytes; // until the function returns
        bool sent;                        // by the watched port; else sent to it
        rvs::PortId from;
    };
    // Hands on what has come, a bounded amount; how many frames. The frames of one transmit queue
    // are in order.
    std::size_t drain(const std::function<void(const Frame &)> &each);
    // Frames that the switch could not deliver here, since start().
    [[nodiscard]] std::uint64_t lost() const;

    // What start() needs at least.
    static constexpr std::size_t least_memory = std::size_t{1} << 20;

  private:
    // As the receiver of one source.
    struct Lane {
        std::vector<std::uint32_t>
            units;                // its buffers, a ring in the order in which they are posted
        std::uint32_t filled = 0; // free-running: entries taken
        std::uint32_t posted = 0; // free-running: entries posted
    };

    void look_for_sources();
    void post(std::uint32_t source, std::uint32_t unit);
    std::size_t drain_lane(std::uint32_t source, const std::function<void(const Frame &)> &each);
    [[nodiscard]] std::byte *lane_at(std::uint32_t source) const;

    rvs::Switch &switch_;
    std::span<std::byte> memory_;
    std::uint32_t depth_ = 0;
    bool active_ = false;
    bool used_ = false; // callers may still be in the memory: grace_
    rvs::Switch::Grace grace_{};
    rvs::PortId watched_{};
    rvs::PortId own_{};
    std::vector<Lane> lanes_;
    std::vector<std::uint32_t> spare_; // units that no lane has
    std::uint32_t share_ = 0;          // buffers of a lane
    std::vector<std::byte> whole_;     // a frame of several buffers
    unsigned rounds_ = 0;
};

} // namespace vmnet

// SPDX-License-Identifier: Apache-2.0
// The export's events as acts upon the switch: an attachment is a port.
#pragma once

#include "config.hpp"
#include "rvs/switch.hpp"
#include "serve.hpp"
#include "statistics.hpp"

#include <chrono>
#include <deque>
#include <map>
#include <span>
#include <vector>

namespace vmnet {

class PortService final : public apps::Service {
  public:
    PortService(rvs::Switch &rvs_switch, const Config &config)
        : switch_{rvs_switch}, config_{config}
    {
    }

    elisa::Result<std::uint64_t> attach(elisa::AttachmentId id,
                                        const elisa::AttachEvent &event) override;
    void detach(elisa::AttachmentId id) override;
    elisa::Result<void> region_add(elisa::AttachmentId id,
                                   const elisa::RegionAddEvent &event) override;
    void region_del(elisa::AttachmentId id, const elisa::RegionDelEvent &event) override;
    void recover(std::span<const elisa::Attached> attached) override;
    void tick() override;

    // Ports that were, then those that are.
    [[nodiscard]] std::vector<PortRecord> ports() const;

  private:
    struct Port {
        rvs::PortId id;
        const GuestConfig *guest;
    };

    [[nodiscard]] const Port *find(elisa::AttachmentId id) const;

    rvs::Switch &switch_;
    const Config &config_;
    std::map<elisa::AttachmentId, Port> ports_;
    std::deque<GuestConfig> former_; // who is attached, but in the configuration no more
    std::vector<PortRecord> gone_;
    std::uint64_t ticks_ = 0;
};

} // namespace vmnet

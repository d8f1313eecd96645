// SPDX-License-Identifier: Apache-2.0
// The export's events as acts upon the switch: an attachment is a port.
#pragma once

#include "console.hpp"
#include "ports.hpp"
#include "rvs/switch.hpp"
#include "serve.hpp"

#include <map>
#include <span>
#include <vector>

namespace vmnet {

class PortService final : public apps::Service {
  public:
    // again: set when the configuration is to be read again.
    PortService(rvs::Switch &rvs_switch, Ports &ports, Console &console, std::atomic<bool> &again)
        : switch_{rvs_switch}, ports_{ports}, console_{console}, again_{again}
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
    void pause(std::chrono::microseconds most) override;

  private:
    [[nodiscard]] std::optional<rvs::PortId> find(elisa::AttachmentId id) const;

    rvs::Switch &switch_;
    Ports &ports_;
    Console &console_;
    std::atomic<bool> &again_;
    std::map<elisa::AttachmentId, rvs::PortId> attached_;
    std::uint64_t ticks_ = 0;
};

} // namespace vmnet

// SPDX-License-Identifier: Apache-2.0
// The export's events as acts upon the store: an attachment is a port.
#pragma once

#include "guests.hpp"
#include "serve.hpp"

#include <map>

namespace kvs {

class PortService final : public apps::Service {
  public:
    PortService(Store &store, const Guests &guests) : store_{store}, guests_{guests} {}

    elisa::Result<std::uint64_t> attach(elisa::AttachmentId id,
                                        const elisa::AttachEvent &event) override;
    void detach(elisa::AttachmentId id) override;
    elisa::Result<void> region_add(elisa::AttachmentId id,
                                   const elisa::RegionAddEvent &event) override;
    void region_del(elisa::AttachmentId id, const elisa::RegionDelEvent &event) override;
    void recover(std::span<const elisa::Attached> attached) override;
    void tick() override;

  private:
    Store &store_;
    const Guests &guests_;
    std::map<elisa::AttachmentId, PortId> ports_;
};

// Milliseconds that do not jump when somebody sets the clock.
[[nodiscard]] std::uint64_t now_ms();

} // namespace kvs

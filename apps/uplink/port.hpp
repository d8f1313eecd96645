// SPDX-License-Identifier: Apache-2.0
// A port of DPDK's: the switch's (net_rvif), or any other.
#pragma once

#include "end.hpp"

#include <cstdint>
#include <memory>
#include <rte_mempool.h>

namespace uplink {

struct PortOptions {
    std::uint16_t depth = 1024; // descriptors of a queue
    std::uint16_t mtu = 1500;
    bool promiscuous = true;
    // What it may leave to whoever gets its frames.
    bool leave_checksums = false;
    bool leave_segmentation = false;
};

class Port final : public End {
  public:
    // Configures and starts it.
    [[nodiscard]] static elisa::Result<std::unique_ptr<Port>>
    open(std::uint16_t id, rte_mempool &pool, const PortOptions &options);
    ~Port() override;

    [[nodiscard]] std::string name() const override { return name_; }
    std::uint16_t receive(std::span<rte_mbuf *> room, Counters &counters) override;
    void send(std::span<rte_mbuf *> frames, Counters &counters) override;
    [[nodiscard]] elisa::Result<bool> link() override;
    // Link down where the driver can, else stops the port.
    elisa::Result<void> hold_down(bool down) override;
    [[nodiscard]] Json details() const override;

    [[nodiscard]] rte_ether_addr mac() const noexcept;
    // Each of these that is another than before.
    elisa::Result<void> follow(const Settings &settings);

  private:
    explicit Port(std::uint16_t id);
    [[nodiscard]] elisa::Result<void> configure(rte_mempool &pool, const PortOptions &options);
    [[nodiscard]] elisa::Error error(const char *what, int code) const;
    [[nodiscard]] bool prepare(rte_mbuf *&frame) const noexcept;

    std::uint16_t id_;
    std::string name_;
    bool completes_ = false; // it leaves checksums to us
    bool inserts_tags_ = false;
    bool stopped_ = false;
};

// Can it compute checksums of TCP and UDP, and cut TCP's frames?
struct Abilities {
    bool checksums = false;
    bool segmentation = false;
};
[[nodiscard]] Abilities abilities(std::uint16_t id);

} // namespace uplink

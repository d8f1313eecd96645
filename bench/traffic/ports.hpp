// SPDX-License-Identifier: Apache-2.0
// Ethernet ports with one queue each way, whatever driver is below.
#pragma once

#include <cstdint>
#include <rte_mbuf.h>
#include <string>
#include <vector>

namespace traffic {

struct PortSettings {
    std::uint16_t descriptors = 512;
    std::uint32_t mbufs = 16384;  // of all ports together
    std::uint16_t buffer = 2048;  // bytes of a frame that fit in one mbuf
    std::uint16_t largest = 1518; // frame
};

class Ports {
  public:
    // By name, from EAL's command line. Throws std::runtime_error.
    Ports(const std::vector<std::string> &names, const PortSettings &settings);
    ~Ports();
    Ports(const Ports &) = delete;
    Ports &operator=(const Ports &) = delete;

    // Throws when a link is not up after so long.
    void wait_for_links(std::uint64_t milliseconds) const;
    // Throws away what has arrived.
    void drain() const;

    [[nodiscard]] const std::vector<std::uint16_t> &ids() const { return ids_; }
    [[nodiscard]] rte_mempool *pool() const { return pool_; }

  private:
    std::vector<std::uint16_t> ids_;
    rte_mempool *pool_ = nullptr;
};

} // namespace traffic

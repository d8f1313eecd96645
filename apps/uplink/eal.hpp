// SPDX-License-Identifier: Apache-2.0
// DPDK's environment, and which of its ports is which.
#pragma once

#include "elisa/error.hpp"
#include "options.hpp"

#include <cstdint>
#include <optional>
#include <rte_mempool.h>

namespace uplink {

class Eal {
  public:
    // What EAL has to say goes to stderr.
    [[nodiscard]] static elisa::Result<Eal> start(const Options &options);
    Eal(Eal &&from) noexcept : started_{std::exchange(from.started_, false)}, ports_{from.ports_} {}
    Eal(const Eal &) = delete;
    ~Eal();

    struct Ports {
        std::uint16_t rvif = 0;
        std::optional<std::uint16_t> other;
    };
    [[nodiscard]] const Ports &ports() const noexcept { return ports_; }

    [[nodiscard]] static elisa::Result<rte_mempool *> pool(const char *name, unsigned count);

  private:
    Eal() = default;
    [[nodiscard]] elisa::Result<void> find_ports(const Options &options);

    bool started_ = true;
    Ports ports_;
};

} // namespace uplink

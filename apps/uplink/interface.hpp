// SPDX-License-Identifier: Apache-2.0
// An interface of the kernel in this network namespace, by its name: what `ip link` shows and sets.
#pragma once

#include "elisa/error.hpp"
#include "elisa/unique_fd.hpp"
#include "end.hpp"

#include <cstdint>
#include <string>

struct ifreq;

namespace uplink {

class Interface {
  public:
    [[nodiscard]] static elisa::Result<Interface> named(std::string name);

    [[nodiscard]] const std::string &name() const noexcept { return name_; }
    [[nodiscard]] elisa::Result<int> index() const;
    [[nodiscard]] elisa::Result<Settings> settings() const;
    elisa::Result<void> set_mac(const rte_ether_addr &mac);
    elisa::Result<void> set_mtu(std::uint16_t mtu);

    // As the administrator has it, and whether somebody is at the other end of the wire.
    struct State {
        bool up = false;
        bool running = false;
    };
    [[nodiscard]] elisa::Result<State> state() const;
    elisa::Result<void> set_up(bool up);

  private:
    Interface(std::string name, elisa::UniqueFd socket)
        : name_{std::move(name)}, socket_{std::move(socket)}
    {
    }
    [[nodiscard]] elisa::Result<void> control(unsigned long request, ifreq &arg,
                                              const char *what) const;

    std::string name_;
    elisa::UniqueFd socket_;
};

} // namespace uplink

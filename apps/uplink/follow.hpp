// SPDX-License-Identifier: Apache-2.0
// What has to be the same at both ends: link state both ways, and where the other end is an
// interface of the kernel's for this machine's own sockets, its address, MTU and receive mode.
#pragma once

#include "end.hpp"
#include "interface.hpp"
#include "port.hpp"

#include <array>
#include <optional>
#include <string>

namespace uplink {

// Each end's link is shown at the other. An end that is held down for the sake of the other says
// nothing about its own link, or two ends would keep each other down for ever.
class Links {
  public:
    Links(End &rvif, End &other) : ends_{&rvif, &other} {}
    elisa::Result<void> look();

    [[nodiscard]] std::uint64_t changes() const noexcept { return changes_; }

  private:
    void complain(const std::string &message);

    std::array<End *, 2> ends_;
    std::array<bool, 2> up_{true, true};
    std::array<bool, 2> held_{false, false};
    std::uint64_t changes_ = 0;
    std::string complaint_; // said already
};

// The switch's port is set as the interface is. A change that the port refuses is taken back.
class Follower {
  public:
    Follower(Interface &interface, Port &port) : interface_{interface}, port_{port} {}
    elisa::Result<void> look();

  private:
    void take_back(const Settings &wanted);

    Interface &interface_;
    Port &port_;
    std::optional<Settings> last_;
};

} // namespace uplink

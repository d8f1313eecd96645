// SPDX-License-Identifier: Apache-2.0
// Who may use the store, and with what.
#pragma once

#include "elisa/error.hpp"
#include "kvs/store.hpp"

#include <cstdint>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace kvs {

// LABEL[,namespace=NAME][,memory=MIB][,sessions=N]: each session is a port with `memory` of its
// own.
struct GuestSpec {
    std::string label;
    std::string space;         // default: the label; guests with the same one share its keys
    std::uint32_t memory = 64; // MiB for what a session puts; 0: it may only read
    std::uint32_t sessions = 1;
};

constexpr std::uint32_t most_memory = 1u << 17;

[[nodiscard]] elisa::Result<GuestSpec> parse_guest(std::string_view text);

class Guests {
  public:
    [[nodiscard]] static elisa::Result<Guests> create(const std::vector<GuestSpec> &specs,
                                                      std::uint64_t keys);

    [[nodiscard]] const Layout &layout() const noexcept { return layout_; }
    // The port of a label's session; the message says why there is none.
    [[nodiscard]] elisa::Result<PortId> port(std::string_view label, std::uint64_t session) const;
    [[nodiscard]] const std::string &label(std::uint32_t port) const { return owners_[port]; }
    [[nodiscard]] const std::string &space(std::uint32_t port) const
    {
        return spaces_[layout_.port[port].space];
    }

  private:
    Layout layout_;
    std::vector<std::string> owners_; // by port
    std::vector<std::string> spaces_;
};

} // namespace kvs

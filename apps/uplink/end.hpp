// SPDX-License-Identifier: Apache-2.0
// One of the two ends that are joined: a DPDK port, or an interface of the kernel.
//
// Between the ends a frame is an mbuf that says what is still to be done to it as DPDK's tx path
// does (RTE_MBUF_F_TX_*, l2_len, l3_len, l4_len, tso_segsz, vlan_tci); see offload.hpp.
#pragma once

#include "counters.hpp"
#include "elisa/error.hpp"

#include <cstdint>
#include <nlohmann/json.hpp>
#include <rte_ether.h>
#include <rte_mbuf.h>
#include <span>
#include <string>

namespace uplink {

using Json = nlohmann::ordered_json;

// What an interface of the kernel is set to, and the switch's port has to follow.
struct Settings {
    rte_ether_addr mac{};
    std::uint16_t mtu = 0;
    bool promiscuous = false;
    bool allmulticast = false;

    bool operator==(const Settings &other) const noexcept
    {
        return rte_is_same_ether_addr(&mac, &other.mac) != 0 && mtu == other.mtu &&
               promiscuous == other.promiscuous && allmulticast == other.allmulticast;
    }
};

// Frames that are handed on at a time.
constexpr std::size_t max_burst = 32;

class End {
  public:
    End() = default;
    End(const End &) = delete;
    End &operator=(const End &) = delete;
    virtual ~End() = default;

    [[nodiscard]] virtual std::string name() const = 0;

    // Frames that have come, the caller's from now on; counts them.
    virtual std::uint16_t receive(std::span<rte_mbuf *> room, Counters &counters) = 0;
    // Takes all of them: what cannot be sent is freed, and counted by reason.
    virtual void send(std::span<rte_mbuf *> frames, Counters &counters) = 0;
    // Readable when something has come; -1: has to be polled.
    [[nodiscard]] virtual int wait_fd() const noexcept { return -1; }

    // Has it a link? An error: it has gone for good.
    [[nodiscard]] virtual elisa::Result<bool> link() = 0;
    // Shows whoever is at the other side of this end that there is no link, until it is called with
    // false.
    virtual elisa::Result<void> hold_down(bool down) = 0;

    // What was lost on its way to receive() since the last call.
    virtual void count_overrun(Counters &) {}

    // More of it for the summary.
    [[nodiscard]] virtual Json details() const { return Json::object(); }
};

} // namespace uplink

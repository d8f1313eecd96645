// SPDX-License-Identifier: Apache-2.0
// What the manager lets a port do. Written by the manager alone, read by everybody's calls.
#ifndef RVS_POLICY_HPP
#define RVS_POLICY_HPP

#include "rvs/switch.hpp"

#include <atomic>
#include <cstdint>

namespace rvs {

// Bits of Policy::flags: one load tells a call that nothing is to be done.
namespace policy {
inline constexpr std::uint32_t vlan = 1u << 0;     // knows VLANs; else tags are payload
inline constexpr std::uint32_t isolated = 1u << 1; // not among isolated ports
inline constexpr std::uint32_t own_macs = 1u << 2; // sends from its own addresses only
inline constexpr std::uint32_t rate = 1u << 3;     // Policy::rate
inline constexpr std::uint32_t storm = 1u << 4;    // Policy::storm
inline constexpr std::uint32_t mirror = 1u << 5;   // Policy::mirrors
inline constexpr std::uint32_t link_down = 1u << 6;
inline constexpr std::uint32_t mute = 1u << 7; // may not send

// Those that concern every frame, not only the first of a run with the same addresses.
inline constexpr std::uint32_t each_frame = rate | mirror | link_down | mute;
} // namespace policy

inline constexpr std::uint32_t vlan_ids = 4096;

// Token bucket in one word: the time at which all that was sent would have been paid for (GCRA).
struct Bucket {
    static constexpr unsigned cost_bits = 24;

    std::atomic<std::uint64_t> paid;      // in clock ticks
    std::atomic<std::uint64_t> cost;      // ticks a unit, 40.24 fixed point
    std::atomic<std::uint64_t> tolerance; // ticks

    // Takes `units` at time now, or changes nothing: the queues of a port share the bucket, and
    // what one of them added only to take it back would look to the others like a clock that went
    // back.
    bool take(std::uint64_t units, std::uint64_t now)
    {
        const auto price = static_cast<std::uint64_t>(
            (static_cast<unsigned __int128>(units) * cost.load(std::memory_order_relaxed)) >>
            cost_bits);
        const std::uint64_t most = tolerance.load(std::memory_order_relaxed);
        std::uint64_t old = paid.load(std::memory_order_relaxed);
        for (int attempt = 0; attempt < attempts; ++attempt) {
            // Idle time is not saved up. Nobody pays further ahead than the tolerance, so this is a
            // clock that went back (another CPU's), which must not lock us out.
            const std::uint64_t from = old < now || old - now > most * 2 ? now : old;
            if (from + price > now + most)
                return false;
            if (paid.compare_exchange_strong(old, from + price, std::memory_order_relaxed))
                return true;
        }
        return false;
    }

  private:
    // Each that fails is a frame of another queue that was let through meanwhile. After so many in
    // a row this one is refused rather than let through unpaid: the limit holds, the port sends all
    // that it may, and nothing that its other CPUs do keeps a call for longer.
    static constexpr int attempts = 64;
};

struct Policy {
    std::atomic<std::uint32_t> flags;
    std::atomic<std::uint32_t> native;                  // VLAN of untagged frames, 0: none
    std::atomic<std::uint32_t> mac_limit;               // 0: none
    std::atomic<std::uint64_t> mirrors;                 // bitmap of ports
    std::atomic<std::uint64_t> macs[max_port_macs + 1]; // 0: none
    std::atomic<std::uint64_t> vlans[vlan_ids / 64];    // bitmap: tagged ones
    alignas(64) Bucket rate;                            // of bytes
    alignas(64) Bucket storm;                           // of frames

    [[nodiscard]] std::uint32_t has(std::uint32_t bits) const
    {
        return flags.load(std::memory_order_relaxed) & bits;
    }
    [[nodiscard]] bool tagged_member(std::uint32_t vlan) const
    {
        return (vlans[vlan / 64].load(std::memory_order_relaxed) >> (vlan % 64) & 1) != 0;
    }
    // Whether frames of this VLAN may leave here; 0 is the VLAN of ports that know none.
    [[nodiscard]] bool member(std::uint32_t vlan) const
    {
        if (has(policy::vlan) == 0)
            return vlan == 0;
        return vlan != 0 && (vlan == native.load(std::memory_order_relaxed) || tagged_member(vlan));
    }
    // Whether an address that the port's driver says is learned, in VLAN `untagged` (native). Who
    // may not send draws no frames of others. Nor does who has tagged VLANs alone: its driver does
    // not say in which of them, and 0 is that of ports that know none.
    [[nodiscard]] bool learns_announced(std::uint32_t untagged) const
    {
        const std::uint32_t now = has(policy::mute | policy::link_down | policy::vlan);
        return now == 0 || (now == policy::vlan && untagged != 0);
    }
    [[nodiscard]] bool owns(std::uint64_t mac) const
    {
        for (const auto &own : macs) {
            if (own.load(std::memory_order_relaxed) == mac)
                return true;
        }
        return false;
    }
};

} // namespace rvs

#endif // RVS_POLICY_HPP

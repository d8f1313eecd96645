// SPDX-License-Identifier: Apache-2.0
// What a frame carries: where its IP and TCP or UDP headers are, and the hash that tells flows
// apart.
#ifndef RVS_FLOW_HPP
#define RVS_FLOW_HPP

#include "frame.hpp"

#include <cstdint>

namespace rvs {

// A copy of a frame's first bytes, as far as its headers can reach: an Ethernet header, two tags,
// an IPv4 header of 60 bytes or an IPv6 one, a TCP header of 60.
struct Headers {
    static constexpr std::uint32_t capacity = 160;

    std::uint8_t bytes[capacity];
    std::uint32_t have; // of them

    [[nodiscard]] std::uint32_t u16(std::uint32_t at) const
    {
        return std::uint32_t{bytes[at]} << 8 | bytes[at + 1];
    }
    [[nodiscard]] std::uint32_t u32(std::uint32_t at) const { return u16(at) << 16 | u16(at + 2); }
    void put16(std::uint32_t at, std::uint32_t v)
    {
        bytes[at] = static_cast<std::uint8_t>(v >> 8);
        bytes[at + 1] = static_cast<std::uint8_t>(v);
    }
    void put32(std::uint32_t at, std::uint32_t v)
    {
        put16(at, v >> 16);
        put16(at + 2, v & 0xffff);
    }

    // The first `most` bytes of the frame, or all.
    void take(const Frame &frame, std::uint32_t most);
};

struct Layers {
    enum class Ip : std::uint8_t { none, v4, v6 };
    enum class L4 : std::uint8_t { none, tcp, udp };

    Ip ip = Ip::none;
    L4 l4 = L4::none;        // none for fragments, too
    std::uint32_t ip_at = 0; // offsets in the frame; what they name is within `have` bytes
    std::uint32_t l4_at = 0;
};

// Finds them; none: not there, cut off, or not understood (IPv6 extension headers).
Layers find_layers(const Headers &headers);

// types: RVIF_RSS_*. 0 for a frame that they do not cover. The same for both directions of a flow.
std::uint32_t flow_hash(const Frame &frame, std::uint32_t types);
// Of a frame whose bytes behind the header are in one place.
std::uint32_t flow_hash(const Header &header, const std::uint8_t *rest, std::uint32_t len,
                        std::uint32_t types);

} // namespace rvs

#endif // RVS_FLOW_HPP

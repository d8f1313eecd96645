// SPDX-License-Identifier: Apache-2.0
// A frame on its way through the switch. Its header is a copy of ours, taken once, and that is
// what is delivered: a sender cannot change a header between its check and its delivery.
#ifndef RVS_FRAME_HPP
#define RVS_FRAME_HPP

#include "descriptor.hpp"

#include <cstdint>

namespace rvs {

inline constexpr std::uint64_t mac_mask = 0x0000ffffffffffff;
inline constexpr std::uint64_t mac_group_bit = 1; // of the first byte
inline constexpr std::uint64_t mac_broadcast = mac_mask;

// As they appear in memory that is read as a little endian number.
inline constexpr std::uint16_t ethertype_vlan = 0x0081; // 0x8100
inline constexpr std::uint16_t ethertype_ipv4 = 0x0008;
inline constexpr std::uint16_t ethertype_ipv6 = 0xdd86;

constexpr std::uint16_t swap16(std::uint16_t v)
{
    return static_cast<std::uint16_t>(v << 8 | v >> 8);
}

// The first 16 bytes; those behind a short frame's end are zero.
struct Header {
    static constexpr std::uint32_t size = 16;
    static constexpr std::uint32_t ethernet = 14;
    static constexpr std::uint32_t addresses = 12;

    std::uint64_t low;  // bytes 0..7
    std::uint64_t high; // bytes 8..15

    [[nodiscard]] std::uint64_t destination() const { return low & mac_mask; }
    [[nodiscard]] std::uint64_t source() const { return low >> 48 | (high & 0xffffffff) << 16; }
    [[nodiscard]] std::uint16_t ethertype() const { return static_cast<std::uint16_t>(high >> 32); }
    // If the EtherType is VLAN's.
    [[nodiscard]] std::uint16_t tci() const
    {
        return swap16(static_cast<std::uint16_t>(high >> 48));
    }
};

// Of a guest's memory, once.
inline std::uint64_t read_8(const std::uint8_t *from)
{
    return reinterpret_cast<const volatile detail::Bytes8 *>(from)->value;
}

// Two of these are cheaper than one of 16 bytes for what is in two registers anyway.
inline void store_8(std::uint8_t *to, std::uint64_t value)
{
    reinterpret_cast<volatile detail::Bytes8 *>(to)->value = value;
}

// From one segment of at least Header::size bytes.
inline Header read_header(const std::uint8_t *data)
{
    return Header{read_8(data), read_8(data + 8)};
}

// Segments at the start of a chain of which nothing is left. False: nothing is left of the chain.
inline bool drop_empty(Segment *&segment, std::uint32_t &count)
{
    for (; count != 0 && segment->len == 0; --count)
        ++segment;
    return count != 0;
}

// The next byte of a chain, and moves its start behind it; 0 behind its end.
inline std::uint8_t take_byte(Segment *&segment, std::uint32_t &count)
{
    if (!drop_empty(segment, count))
        return 0;
    --segment->len;
    return *static_cast<const volatile std::uint8_t *>(segment->data++);
}

// From the start of a chain, as many of Header::size bytes as it has, and moves the chain's
// start behind them. Returns how many those were.
inline std::uint32_t take_header(Segment *&segment, std::uint32_t &count, Header &header)
{
    if (segment->len >= Header::size) [[likely]] {
        header = read_header(segment->data);
        segment->data += Header::size;
        segment->len -= Header::size;
        return Header::size;
    }
    header = Header{0, 0};
    auto *bytes = reinterpret_cast<std::uint8_t *>(&header);
    std::uint32_t have = 0;
    while (have < Header::size && drop_empty(segment, count))
        bytes[have++] = take_byte(segment, count);
    return have;
}

struct Frame {
    Header header;
    std::uint32_t total; // bytes
    std::uint32_t count; // segments, the header's included
    Segment *segment;    // segment[0] is the header, nothing else
    std::uint16_t flags; // RVIF_TX_* that are asked for
    std::uint16_t vlan;
    std::uint16_t segsz;
    bool nested; // another tag is behind its tag; told where the sender knows VLANs
};

// What becomes of a frame's tag on the way to one receiver.
struct Tagging {
    enum class Change : std::uint8_t { none, insert, remove, replace };

    Change change = Change::none;
    std::uint16_t tci = 0; // insert, replace
};

// The first bytes of a frame with its tag changed.
struct Retagged {
    std::uint8_t bytes[Header::size + 4];
    std::uint32_t len;

    // have: bytes of the frame that are in its header.
    Retagged(const Header &header, std::uint32_t have, const Tagging &tagging)
    {
        using Change = Tagging::Change;
        const auto *from = reinterpret_cast<const std::uint8_t *>(&header);
        std::uint32_t rest = Header::addresses;
        __builtin_memcpy(bytes, from, Header::addresses);
        len = Header::addresses;
        if (tagging.change != Change::insert)
            rest += 4;
        if (tagging.change != Change::remove) {
            bytes[len++] = 0x81;
            bytes[len++] = 0x00;
            bytes[len++] = static_cast<std::uint8_t>(tagging.tci >> 8);
            bytes[len++] = static_cast<std::uint8_t>(tagging.tci);
        }
        for (; rest < have && rest < Header::size; ++rest)
            bytes[len++] = from[rest];
    }
};

// What the receiver is told besides the bytes: completion flags and hash as in comp, and meta.
struct Notes {
    std::uint64_t comp = 0;
    std::uint32_t meta = 0;
};

} // namespace rvs

#endif // RVS_FRAME_HPP

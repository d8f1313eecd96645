// SPDX-License-Identifier: Apache-2.0
// IP packets for the tests, made and checked by code that the switch does not share.
#ifndef TESTS_RVS_PACKETS_HPP
#define TESTS_RVS_PACKETS_HPP

#include "world.hpp"

namespace rvs::test {

struct Packet {
    bool v6 = false;
    bool tcp = false;
    std::uint32_t options = 0; // bytes of IPv4 options, or of TCP's (multiple of 4)
    std::uint32_t payload = 100;
    std::uint32_t from = 1; // last byte of the addresses
    std::uint32_t to = 2;
    std::uint16_t from_port = 1000;
    std::uint16_t to_port = 2000;
    std::uint32_t padding = 0; // bytes behind the IP packet
    std::uint8_t tcp_flags = 0x18;
    std::uint32_t sequence = 0x11223344;
    std::array<std::uint8_t, 6> to_mac = mac(2);
    std::array<std::uint8_t, 6> from_mac = mac(1);
};

inline void put16(Bytes &b, std::size_t at, std::uint32_t v)
{
    b[at] = static_cast<std::uint8_t>(v >> 8);
    b[at + 1] = static_cast<std::uint8_t>(v);
}
inline std::uint32_t get16(const Bytes &b, std::size_t at)
{
    return std::uint32_t{b[at]} << 8 | b[at + 1];
}
inline std::uint32_t get32(const Bytes &b, std::size_t at)
{
    return get16(b, at) << 16 | get16(b, at + 2);
}

// RFC 1071, the slow way; 0xffff: right, if the checksum is among the bytes.
inline std::uint32_t ones_sum(const Bytes &b, std::size_t from, std::size_t to,
                              std::uint32_t sum = 0)
{
    for (std::size_t i = from; i < to; i += 2)
        sum += std::uint32_t{b[i]} << 8 | (i + 1 < to ? b[i + 1] : 0u);
    while (sum > 0xffff)
        sum = (sum & 0xffff) + (sum >> 16);
    return sum;
}

// Where things are in a packet that packet() made, or that came out of a cut.
struct Shape {
    std::size_t ip = 14;
    std::size_t l4 = 0;
    std::size_t end = 0; // of the IP packet
    bool v6 = false;
    bool tcp = false;
    std::size_t payload = 0;

    explicit Shape(const Bytes &b)
    {
        while (get16(b, ip - 2) == 0x8100)
            ip += 4;
        v6 = get16(b, ip - 2) == 0x86dd;
        l4 = ip + (v6 ? 40u : (b[ip] & 15u) * 4u);
        end = v6 ? l4 + get16(b, ip + 4) : ip + get16(b, ip + 2);
        tcp = b[v6 ? ip + 6 : ip + 9] == 6;
        payload = l4 + (tcp ? (b[l4 + 12] >> 4) * 4u : 8u);
    }
};

inline bool ip_checksum_right(const Bytes &b)
{
    const Shape s{b};
    return s.v6 || ones_sum(b, s.ip, s.l4) == 0xffff;
}
inline bool l4_checksum_right(const Bytes &b)
{
    const Shape s{b};
    const std::size_t at = s.v6 ? s.ip + 8 : s.ip + 12;
    std::uint32_t sum = ones_sum(b, at, at + (s.v6 ? 32 : 8));
    sum += s.tcp ? 6 : 17;
    sum += static_cast<std::uint32_t>(s.end - s.l4);
    return ones_sum(b, s.l4, s.end, sum) == 0xffff && get16(b, s.l4 + (s.tcp ? 16 : 6)) != 0;
}

// With wrong checksums, as an application leaves them that asks for them.
inline Bytes packet(const Packet &p)
{
    const std::uint32_t ip_options = p.tcp ? 0 : p.options;
    const std::uint32_t l4 = p.tcp ? 20 + p.options : 8;
    const std::uint32_t ip = p.v6 ? 40 : 20 + ip_options;
    Bytes b = frame(p.to_mac, p.from_mac, 14 + ip + l4 + p.payload + p.padding, p.payload);
    std::fill(b.begin() + 14, b.begin() + 14 + static_cast<std::ptrdiff_t>(ip + l4),
              std::uint8_t{0});
    put16(b, 12, p.v6 ? 0x86dd : 0x0800);
    if (p.v6) {
        b[14] = 0x60;
        put16(b, 18, l4 + p.payload);
        b[20] = p.tcp ? 6 : 17;
        b[21] = 64;
        b[14 + 8] = 0xfd;
        b[14 + 23] = static_cast<std::uint8_t>(p.from);
        b[14 + 24] = 0xfd;
        b[14 + 39] = static_cast<std::uint8_t>(p.to);
    } else {
        b[14] = static_cast<std::uint8_t>(0x40 | (ip / 4));
        put16(b, 16, ip + l4 + p.payload);
        put16(b, 18, 0x4321);
        b[22] = 64;
        b[23] = p.tcp ? 6 : 17;
        put16(b, 24, 0xdead);
        put16(b, 26, 0x0a00);
        put16(b, 28, p.from);
        put16(b, 30, 0x0a00);
        put16(b, 32, p.to);
        for (std::uint32_t i = 0; i < ip_options; ++i)
            b[34 + i] = 1; // NOP
    }
    const std::size_t at = 14 + ip;
    put16(b, at, p.from_port);
    put16(b, at + 2, p.to_port);
    if (p.tcp) {
        put16(b, at + 4, p.sequence >> 16);
        put16(b, at + 6, p.sequence & 0xffff);
        b[at + 12] = static_cast<std::uint8_t>(l4 / 4 << 4);
        b[at + 13] = p.tcp_flags;
        put16(b, at + 16, 0xbeef);
        for (std::uint32_t i = 0; i < p.options; ++i)
            b[at + 20 + i] = 1;
    } else {
        put16(b, at + 4, l4 + p.payload);
        put16(b, at + 6, 0xbeef);
    }
    return b;
}

// The frame with a tag put in.
inline Bytes tagged(const Bytes &frame, std::uint16_t tci)
{
    Bytes out = frame;
    out.insert(out.begin() + 12,
               {0x81, 0x00, static_cast<std::uint8_t>(tci >> 8), static_cast<std::uint8_t>(tci)});
    return out;
}

} // namespace rvs::test

#endif // TESTS_RVS_PACKETS_HPP

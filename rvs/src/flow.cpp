// SPDX-License-Identifier: Apache-2.0
#include "flow.hpp"

namespace rvs {

namespace {

constexpr std::uint32_t protocol_tcp = 6;
constexpr std::uint32_t protocol_udp = 17;

Layers::L4 transport(std::uint32_t protocol)
{
    return protocol == protocol_tcp   ? Layers::L4::tcp
           : protocol == protocol_udp ? Layers::L4::udp
                                      : Layers::L4::none;
}

// The sum, so that the two ends may change places.
std::uint64_t pair_of(std::uint32_t a, std::uint32_t b)
{
    return std::uint64_t{a} * 0x9e3779b97f4a7c15 + std::uint64_t{b} * 0x9e3779b97f4a7c15;
}

std::uint64_t blend(std::uint64_t hash, std::uint64_t more)
{
    hash = (hash ^ more) * 0xd6e8feb86659fd93;
    return hash ^ hash >> 32;
}

} // namespace

void Headers::take(const Frame &frame, std::uint32_t most)
{
    most = most < capacity ? most : capacity;
    have = 0;
    for (std::uint32_t i = 0; i < frame.count && have < most; ++i) {
        const Segment &segment = frame.segment[i];
        const std::uint32_t n = segment.len < most - have ? segment.len : most - have;
        copy_bytes(bytes + have, segment.data, n);
        have += n;
    }
}

Layers find_layers(const Headers &headers)
{
    Layers out;
    std::uint32_t at = 12;
    for (int tags = 0; tags < 2 && at + 6 <= headers.have; ++tags) {
        const std::uint32_t type = headers.u16(at);
        if (type != 0x8100 && type != 0x88a8)
            break;
        at += 4;
    }
    if (at + 2 > headers.have)
        return out;
    const std::uint32_t type = headers.u16(at);
    at += 2;
    if (type == 0x0800 && at + 20 <= headers.have && headers.bytes[at] >> 4 == 4) {
        const std::uint32_t len = (headers.bytes[at] & 15u) * 4;
        if (len < 20 || at + len > headers.have)
            return out;
        out.ip = Layers::Ip::v4;
        out.ip_at = at;
        out.l4_at = at + len;
        if ((headers.u16(at + 6) & 0x3fff) == 0) // neither offset nor more fragments
            out.l4 = transport(headers.bytes[at + 9]);
    } else if (type == 0x86dd && at + 40 <= headers.have && headers.bytes[at] >> 4 == 6) {
        out.ip = Layers::Ip::v6;
        out.ip_at = at;
        out.l4_at = at + 40;
        out.l4 = transport(headers.bytes[at + 6]);
    }
    const std::uint32_t need = out.l4 == Layers::L4::tcp ? 20 : 8;
    if (out.l4 != Layers::L4::none && out.l4_at + need > headers.have)
        out.l4 = Layers::L4::none;
    return out;
}

namespace {

std::uint32_t hash_of_any(const Frame &frame, std::uint32_t types)
{
    Headers headers; // NOLINT(cppcoreguidelines-pro-type-member-init): take() fills what is used
    headers.take(frame, 96);
    const Layers layers = find_layers(headers);
    std::uint64_t hash = 0;
    if (layers.ip == Layers::Ip::none) {
        if ((types & RVIF_RSS_L2) == 0)
            return 0;
        hash = frame.header.source() + frame.header.destination();
        return static_cast<std::uint32_t>(blend(blend(0, hash), frame.header.ethertype()));
    }
    const bool tcp = layers.l4 == Layers::L4::tcp && (types & RVIF_RSS_TCP) != 0;
    const bool udp = layers.l4 == Layers::L4::udp && (types & RVIF_RSS_UDP) != 0;
    if ((types & RVIF_RSS_IP) == 0 && !tcp && !udp)
        return 0;
    if (layers.ip == Layers::Ip::v4) {
        hash = blend(0, pair_of(headers.u32(layers.ip_at + 12), headers.u32(layers.ip_at + 16)));
    } else {
        for (std::uint32_t i = 0; i < 16; i += 4) {
            hash = blend(hash, pair_of(headers.u32(layers.ip_at + 8 + i),
                                       headers.u32(layers.ip_at + 24 + i)));
        }
    }
    if (tcp || udp)
        hash = blend(hash, pair_of(headers.u16(layers.l4_at), headers.u16(layers.l4_at + 2)) + 1);
    return static_cast<std::uint32_t>(hash);
}

} // namespace

std::uint32_t flow_hash(const Frame &frame, std::uint32_t types)
{
    if (frame.count == 2 && frame.segment[0].len == Header::size)
        return flow_hash(frame.header, frame.segment[1].data, frame.segment[1].len, types);
    return hash_of_any(frame, types);
}

// What nearly all frames are is told by a few words: IPv4 without options.
std::uint32_t flow_hash(const Header &header, const std::uint8_t *rest, std::uint32_t len,
                        std::uint32_t types)
{
    constexpr std::uint32_t passed = Header::size; // offsets in the frame are so much more
    constexpr std::uint32_t l4_at = 34 - passed;
    constexpr std::uint64_t ipv4 = std::uint64_t{0x45} << 16 | ethertype_ipv4;
    if (len >= l4_at + 20 && (header.high >> 32 & 0xffffff) == ipv4 && (types & RVIF_RSS_IP) != 0)
        [[likely]] {
        const std::uint64_t middle = read_8(rest + 20 - passed); // bytes 20..27
        const std::uint64_t ends = read_8(rest + 26 - passed);
        const auto number = [](std::uint64_t word) {
            return __builtin_bswap32(static_cast<std::uint32_t>(word));
        };
        const std::uint64_t hash = blend(0, pair_of(number(ends), number(ends >> 32)));
        const auto protocol = static_cast<std::uint8_t>(middle >> 24);
        const std::uint32_t covers = protocol == protocol_tcp   ? RVIF_RSS_TCP
                                     : protocol == protocol_udp ? RVIF_RSS_UDP
                                                                : 0;
        if ((types & covers) == 0 || (middle & 0xff3f) != 0) // or a fragment
            return static_cast<std::uint32_t>(hash);
        const std::uint64_t ports = read_8(rest + l4_at);
        const auto port = [](std::uint64_t word) {
            return swap16(static_cast<std::uint16_t>(word));
        };
        return static_cast<std::uint32_t>(blend(hash, pair_of(port(ports), port(ports >> 16)) + 1));
    }
    Segment segments[2] = {{reinterpret_cast<const std::uint8_t *>(&header), Header::size},
                           {rest, len}};
    Frame frame{};
    frame.header = header;
    frame.total = Header::size + len;
    frame.count = 2;
    frame.segment = segments;
    return hash_of_any(frame, types);
}

} // namespace rvs

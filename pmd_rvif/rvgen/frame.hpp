// SPDX-License-Identifier: Apache-2.0
// The test frame: what the generator writes and everybody checks.
//
//   0      6      12     14                                    38
//   | dst  | src  | 88b5 | magic kind flags stream size seq crc | payload, made from seq ... |
//
// The CRC covers all from magic to the end (itself as 0), not the addresses: an answer is the same
// frame with the addresses swapped, so testpmd's macswap can answer too.
#pragma once

#include <cstddef>
#include <cstdint>
#include <cstring>
#include <rte_byteorder.h>
#include <rte_ether.h>

namespace rvgen {

inline constexpr std::uint16_t ether_type = 0x88b5; // IEEE: local experiments
inline constexpr std::uint32_t magic = 0x31475652;  // "RVG1"

enum class Kind : std::uint8_t {
    hello = 1, // a flow begins: sequence holds the number of frames; answered until data comes
    data,
    bye,        // a flow has ended; flag 1: the last one
    bye_report, // the answer of an echo: payload is a Tally
};
inline constexpr std::uint8_t last_flow = 1;

struct [[gnu::packed]] Header {
    std::uint32_t magic;
    Kind kind;
    std::uint8_t flags;
    std::uint16_t stream;
    std::uint32_t size; // of the frame
    std::uint64_t sequence;
    std::uint32_t crc;
};
static_assert(sizeof(Header) == 24);

inline constexpr std::size_t header_at = sizeof(rte_ether_hdr);
inline constexpr std::size_t payload_at = header_at + sizeof(Header);
inline constexpr std::size_t min_size = 60;
inline constexpr std::size_t max_size = 65535;

// CRC32C; DPDK itself needs SSE4.2 on x86.
inline std::uint32_t crc32c(const std::byte *data, std::size_t length, std::uint64_t crc)
{
    for (; length >= 8; data += 8, length -= 8) {
        std::uint64_t word;
        std::memcpy(&word, data, 8);
        crc = __builtin_ia32_crc32di(crc, word);
    }
    auto small = static_cast<std::uint32_t>(crc);
    for (; length > 0; ++data, --length) {
        small = __builtin_ia32_crc32qi(small, static_cast<std::uint8_t>(*data));
    }
    return small;
}

inline std::uint32_t frame_crc(const std::byte *frame, std::size_t size)
{
    Header header;
    std::memcpy(&header, frame + header_at, sizeof(header));
    header.crc = 0;
    const std::uint32_t first =
        crc32c(reinterpret_cast<const std::byte *>(&header), sizeof(header), 0xffffffff);
    return crc32c(frame + payload_at, size - payload_at, first);
}

inline void fill_payload(std::byte *payload, std::size_t length, std::uint64_t sequence)
{
    std::uint64_t word = (sequence + 1) * 0x9e3779b97f4a7c15u;
    for (; length >= 8; payload += 8, length -= 8) {
        std::memcpy(payload, &word, 8);
        word += 0xd1b54a32d192ed03u;
    }
    std::memcpy(payload, &word, length);
}

// All but the payload.
inline void write_headers(std::byte *frame, std::size_t size, const rte_ether_addr &to,
                          const rte_ether_addr &from, Kind kind, std::uint8_t flags,
                          std::uint16_t stream, std::uint64_t sequence)
{
    rte_ether_hdr ether;
    ether.dst_addr = to;
    ether.src_addr = from;
    ether.ether_type = rte_cpu_to_be_16(ether_type);
    std::memcpy(frame, &ether, sizeof(ether));
    const Header header{.magic = magic,
                        .kind = kind,
                        .flags = flags,
                        .stream = stream,
                        .size = static_cast<std::uint32_t>(size),
                        .sequence = sequence,
                        .crc = 0};
    std::memcpy(frame + header_at, &header, sizeof(header));
}

inline void seal(std::byte *frame, std::size_t size)
{
    const std::uint32_t crc = frame_crc(frame, size);
    std::memcpy(frame + header_at + offsetof(Header, crc), &crc, sizeof(crc));
}

inline void swap_addresses(std::byte *frame)
{
    rte_ether_addr dst;
    rte_ether_addr src;
    std::memcpy(&dst, frame, sizeof(dst));
    std::memcpy(&src, frame + sizeof(dst), sizeof(src));
    std::memcpy(frame, &src, sizeof(src));
    std::memcpy(frame + sizeof(src), &dst, sizeof(dst));
}

} // namespace rvgen

// SPDX-License-Identifier: Apache-2.0
// The frame that is measured with.
//
//   0      6      12     14     15      16         24
//   | dst  | src  | 88b5 | port | phase | sequence | the sequence again and again ... |
//
// Dirty: the sender writes every byte, the receiver looks at a word of every cache line and checks
// it. Clean: the sender writes the first 16 bytes, the receiver looks at nothing.
#pragma once

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstring>
#include <rte_byteorder.h>
#include <rte_ether.h>
#include <vector>

namespace traffic {

inline constexpr std::size_t line = 64;
inline constexpr std::size_t phase_at = 15;
inline constexpr std::size_t sequence_at = 16;
inline constexpr std::size_t min_size = 60;
inline constexpr std::size_t max_size = 9216;

struct Header {
    rte_ether_addr to;
    rte_ether_addr from;
    std::uint16_t ether_type = rte_cpu_to_be_16(0x88b5); // IEEE: local experiments
    std::uint8_t port = 0;
    std::uint8_t phase = 0;
};
static_assert(sizeof(Header) == sequence_at);

// Station `number` of port `port`, on the side of the sources or of the sinks.
inline rte_ether_addr station(bool of_sink, unsigned port, unsigned number)
{
    return {{0x02, of_sink ? std::uint8_t{0xd0} : std::uint8_t{0x50}, 0,
             static_cast<std::uint8_t>(port), static_cast<std::uint8_t>(number >> 8),
             static_cast<std::uint8_t>(number)}};
}

inline bool is_sink(const rte_ether_addr &address)
{
    return address.addr_bytes[1] == 0xd0;
}

// Half of the MACs are stations of the sink, half of the source. Flow after flow, both ends of
// the frame change; `flows` distinct pairs when macs * macs / 4 allows.
inline std::vector<Header> headers(unsigned port, unsigned flows, unsigned macs)
{
    const unsigned half = macs < 2 ? 1 : macs / 2;
    std::vector<Header> all(flows);
    for (unsigned flow = 0; flow < flows; ++flow) {
        all[flow].to = station(true, port, flow % half);
        all[flow].from = station(false, port, (flow + flow / half) % half);
        all[flow].port = static_cast<std::uint8_t>(port);
    }
    return all;
}

using Line [[gnu::vector_size(64)]] = std::uint64_t;

using Quarter [[gnu::vector_size(16)]] = std::uint64_t;

// From `at` on, which is a whole number of words from sequence_at.
template <typename Vector>
[[gnu::always_inline]] inline void fill_words(std::byte *frame, std::size_t at, std::size_t size,
                                              std::uint64_t sequence)
{
    const Vector words = sequence - Vector{};
    for (; at + sizeof(Vector) <= size; at += sizeof(Vector)) {
        std::memcpy(frame + at, &words, sizeof(words));
    }
    // Not a second store over the last line: words must stay where the receiver looks for them.
    for (; at + 8 <= size; at += 8) {
        std::memcpy(frame + at, &sequence, 8);
    }
    if (at < size) {
        std::memcpy(frame + at, &sequence, size - at);
    }
}

[[gnu::target_clones("avx512f", "avx2", "default")]] inline void
write_long_payload(std::byte *frame, std::size_t size, std::uint64_t sequence)
{
    fill_words<Line>(frame, sequence_at, size, sequence);
}

// All of the frame behind the header.
inline void write_payload(std::byte *frame, std::size_t size, std::uint64_t sequence)
{
    if (size <= 128) { // the call would cost more than the stores
        fill_words<Quarter>(frame, sequence_at, size, sequence);
    } else {
        write_long_payload(frame, size, sequence);
    }
}

// Whether the word at the beginning of every line but the first is the sequence number.
inline bool payload_is(const std::byte *data, std::size_t length, std::size_t first,
                       std::uint64_t sequence)
{
    std::uint64_t wrong = 0;
    for (std::size_t at = first; at + 8 <= length; at += line) {
        std::uint64_t word;
        std::memcpy(&word, data + at, 8);
        wrong |= word ^ sequence;
    }
    return wrong == 0;
}

} // namespace traffic

// SPDX-License-Identifier: Apache-2.0
//
// The only place that reads what guests wrote, apart from the payload copy.
//
// Guest memory changes under our feet. So each field is loaded exactly once, into a local
// that the compiler may not load again; what is checked is that local, and what is used is
// what was checked. Addresses are region + offset and are resolved against the port's trusted
// region table; no sum can overflow: offset < 2^56 and len <= 2^32 against a length < 2^40.
#ifndef RVS_DESCRIPTOR_HPP
#define RVS_DESCRIPTOR_HPP

#include "copy.hpp"
#include "region.hpp"
#include "rvs/rvif.h"

#include <cstdint>

namespace rvs {

// An address that was checked: valid where call() runs.
using Address = std::uint64_t;

inline std::uint8_t *pointer(Address address)
{
    return reinterpret_cast<std::uint8_t *>(address);
}

namespace guest {

inline std::uint32_t load32(Address address)
{
    return __atomic_load_n(reinterpret_cast<const std::uint32_t *>(address), __ATOMIC_ACQUIRE);
}
inline std::uint64_t load64(Address address)
{
    return __atomic_load_n(reinterpret_cast<const std::uint64_t *>(address), __ATOMIC_ACQUIRE);
}
inline void publish32(Address address, std::uint32_t value)
{
    __atomic_store_n(reinterpret_cast<std::uint32_t *>(address), value, __ATOMIC_RELEASE);
}

} // namespace guest

// ------------------------------------------------------------------ addresses

enum class Resolved { ok, bad_region, bad_range };

// The len bytes at a, inside one region.
inline Resolved resolve(const RegionTable &regions, rvif_addr_t a, std::uint64_t len, Address &out)
{
    const std::uint64_t index = RVIF_ADDR_REGION(a);
    const std::uint64_t offset = RVIF_ADDR_OFFSET(a);
    if (index >= RVIF_MAX_REGIONS)
        return Resolved::bad_region;
    const Region region = regions.get(static_cast<std::uint32_t>(index));
    if (!region.valid())
        return Resolved::bad_region;
    if (offset > region.len() || len > region.len() - offset)
        return Resolved::bad_range;
    out = region.base() + offset;
    return Resolved::ok;
}

// The same, aligned, for a structure that a control operation names.
template <typename T>
inline bool resolve_struct(const RegionTable &regions, rvif_addr_t a, std::uint64_t align,
                           Address &out)
{
    return (RVIF_ADDR_OFFSET(a) & (align - 1)) == 0 &&
           resolve(regions, a, sizeof(T), out) == Resolved::ok;
}

// ------------------------------------------------------- set-up and statistics

inline rvif_tx_setup read_tx_setup(Address address)
{
    return rvif_tx_setup{guest::load64(address)};
}

inline rvif_rx_setup read_rx_setup(Address address)
{
    const std::uint64_t lanes = guest::load64(address);
    const std::uint64_t depth_len = guest::load64(address + 8);
    const std::uint64_t region_reserved = guest::load64(address + 16);
    return rvif_rx_setup{lanes, static_cast<std::uint32_t>(depth_len),
                         static_cast<std::uint32_t>(depth_len >> 32),
                         static_cast<std::uint32_t>(region_reserved),
                         static_cast<std::uint32_t>(region_reserved >> 32)};
}

inline void write_stats(Address address, const rvif_port_stats &stats)
{
    copy_bytes(pointer(address), reinterpret_cast<const std::uint8_t *>(&stats), sizeof stats);
}

// ------------------------------------------------------------ transmit descriptors

inline rvif_tx_desc read_tx_desc(Address address)
{
    const std::uint64_t addr = guest::load64(address);
    const std::uint64_t len_flags = guest::load64(address + 8);
    return rvif_tx_desc{addr, static_cast<std::uint32_t>(len_flags),
                        static_cast<std::uint32_t>(len_flags >> 32)};
}

struct Segment {
    const std::uint8_t *data;
    std::uint32_t len;
};

inline constexpr std::uint32_t no_drop = RVIF_DROP_REASONS;

// Returns no_drop and the segment, or why the descriptor is rejected.
inline std::uint32_t check_tx_desc(const rvif_tx_desc &desc, const RegionTable &regions,
                                   Segment &segment)
{
    if ((desc.flags & ~RVIF_TX_MORE) != 0)
        return RVIF_DROP_BAD_FLAGS;
    if (desc.len == 0)
        return RVIF_DROP_ZERO_LENGTH;
    if (desc.len > RVIF_MAX_FRAME)
        return RVIF_DROP_TX_TOO_BIG;
    Address address = 0;
    switch (resolve(regions, desc.addr, desc.len, address)) {
    case Resolved::bad_region:
        return RVIF_DROP_BAD_REGION;
    case Resolved::bad_range:
        return RVIF_DROP_BAD_RANGE;
    case Resolved::ok:
        break;
    }
    segment = Segment{pointer(address), desc.len};
    return no_drop;
}

// -------------------------------------------------------------------- headers

inline constexpr std::uint64_t mac_mask = 0x0000ffffffffffff;
inline constexpr std::uint64_t mac_group_bit = 1; // of the first byte

// The first bytes of a frame, loaded once. What is forwarded is this copy, so a sender cannot
// change a header between its check and its delivery.
struct Header {
    static constexpr std::uint32_t size = 16;
    static constexpr std::uint32_t ethernet = 14;

    std::uint64_t low;  // bytes 0..7
    std::uint64_t high; // bytes 8..15

    [[nodiscard]] std::uint64_t destination() const { return low & mac_mask; }
    [[nodiscard]] std::uint64_t source() const { return low >> 48 | (high & 0xffffffff) << 16; }
    [[nodiscard]] bool same_addresses(const Header &other) const
    {
        return ((low ^ other.low) | ((high ^ other.high) & 0xffffffff)) == 0;
    }
};

// From one segment of at least Header::size bytes.
inline Header read_header(const std::uint8_t *data)
{
    const auto load = [](const std::uint8_t *p) {
        return reinterpret_cast<const volatile detail::Bytes8 *>(p)->value;
    };
    return Header{load(data), load(data + 8)};
}

// From the start of a chain, as many of Header::size bytes as it has, and moves the chain's
// start behind them. Returns how many those were.
inline std::uint32_t take_header(Segment *&segment, std::uint32_t &count, Header &header)
{
    header = Header{0, 0};
    auto *bytes = reinterpret_cast<std::uint8_t *>(&header);
    std::uint32_t have = 0;
    while (have < Header::size && count != 0) {
        if (segment->len == 0) {
            ++segment;
            --count;
            continue;
        }
        bytes[have++] = *static_cast<const volatile std::uint8_t *>(segment->data);
        ++segment->data;
        --segment->len;
    }
    return have;
}

} // namespace rvs

#endif // RVS_DESCRIPTOR_HPP

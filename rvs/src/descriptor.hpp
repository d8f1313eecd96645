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
inline void publish64(Address address, std::uint64_t value)
{
    __atomic_store_n(reinterpret_cast<std::uint64_t *>(address), value, __ATOMIC_RELEASE);
}
// Not seen before what is published after it.
inline void store32(Address address, std::uint32_t value)
{
    __atomic_store_n(reinterpret_cast<std::uint32_t *>(address), value, __ATOMIC_RELAXED);
}

} // namespace guest

// ------------------------------------------------------------------ addresses

enum class Resolved { ok, bad_region, bad_range };

// The len bytes at an offset of a region.
inline Resolved resolve(Region region, std::uint64_t offset, std::uint64_t len, Address &out)
{
    if (!region.valid())
        return Resolved::bad_region;
    if (offset > region.len() || len > region.len() - offset)
        return Resolved::bad_range;
    out = region.base() + offset;
    return Resolved::ok;
}

// The len bytes at a, inside one region.
inline Resolved resolve(const RegionTable &regions, rvif_addr_t a, std::uint64_t len, Address &out)
{
    const std::uint64_t index = RVIF_ADDR_REGION(a);
    if (index >= RVIF_MAX_REGIONS)
        return Resolved::bad_region;
    return resolve(regions.get(static_cast<std::uint32_t>(index)), RVIF_ADDR_OFFSET(a), len, out);
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
    const std::uint64_t descs = guest::load64(address);
    const std::uint64_t flags_reserved = guest::load64(address + 8);
    return rvif_tx_setup{descs, static_cast<std::uint32_t>(flags_reserved),
                         static_cast<std::uint32_t>(flags_reserved >> 32)};
}

inline rvif_rx_setup read_rx_setup(Address address)
{
    const std::uint64_t lanes = guest::load64(address);
    const std::uint64_t depth_len = guest::load64(address + 8);
    const std::uint64_t region_flags = guest::load64(address + 16);
    return rvif_rx_setup{
        lanes, static_cast<std::uint32_t>(depth_len), static_cast<std::uint32_t>(depth_len >> 32),
        static_cast<std::uint32_t>(region_flags), static_cast<std::uint32_t>(region_flags >> 32)};
}

// 8-aligned.
inline rvif_rss read_rss(Address address)
{
    static_assert(sizeof(rvif_rss) % 8 == 0);
    std::uint64_t words[sizeof(rvif_rss) / 8];
    for (std::size_t i = 0; i < sizeof(rvif_rss) / 8; ++i)
        words[i] = guest::load64(address + 8 * i);
    rvif_rss rss;
    __builtin_memcpy(&rss, words, sizeof rss);
    return rss;
}

inline void write_sources(Address address, const rvif_sources &sources)
{
    copy_bytes(pointer(address), reinterpret_cast<const std::uint8_t *>(&sources), sizeof sources);
}

inline void write_stats(Address address, const rvif_port_stats &stats)
{
    copy_bytes(pointer(address), reinterpret_cast<const std::uint8_t *>(&stats), sizeof stats);
}

// ------------------------------------------------------------ transmit descriptors

// Two words, each loaded once. A plain frame, one segment and nothing asked for, is one whose
// second word is its length.
struct TxDesc {
    std::uint64_t addr;
    std::uint64_t word; // len, flags, vlan, segsz

    [[nodiscard]] std::uint32_t len() const { return static_cast<std::uint16_t>(word); }
    [[nodiscard]] std::uint32_t flags() const { return static_cast<std::uint16_t>(word >> 16); }
    [[nodiscard]] std::uint16_t vlan() const { return static_cast<std::uint16_t>(word >> 32); }
    [[nodiscard]] std::uint16_t segsz() const { return static_cast<std::uint16_t>(word >> 48); }
    [[nodiscard]] bool plain() const { return word <= RVIF_MAX_FRAME; }
};

inline TxDesc read_tx_desc(Address address)
{
    return TxDesc{guest::load64(address), guest::load64(address + 8)};
}

// Why a posted entry, its expected phase taken out, is no buffer.
inline std::uint32_t no_buffer_reason(std::uint32_t unit)
{
    return (unit & RVIF_PHASE) != 0 ? RVIF_DROP_NO_BUFFER : RVIF_DROP_RX_BAD_BUFFER;
}

struct Segment {
    const std::uint8_t *data;
    std::uint32_t len;
};

inline constexpr std::uint32_t no_drop = RVIF_DROP_REASONS;

// Returns no_drop and the segment, or why the descriptor is rejected. Only the first of a chain
// may ask for something.
inline std::uint32_t check_tx_desc(const TxDesc &desc, bool first, const RegionTable &regions,
                                   Segment &segment)
{
    const std::uint32_t known = first ? RVIF_TX_FLAGS : RVIF_TX_MORE;
    if ((desc.flags() & ~known) != 0)
        return RVIF_DROP_BAD_FLAGS;
    if (desc.len() == 0)
        return RVIF_DROP_ZERO_LENGTH;
    Address address = 0;
    switch (resolve(regions, desc.addr, desc.len(), address)) {
    case Resolved::bad_region:
        return RVIF_DROP_BAD_REGION;
    case Resolved::bad_range:
        return RVIF_DROP_BAD_RANGE;
    case Resolved::ok:
        break;
    }
    segment = Segment{pointer(address), desc.len()};
    return no_drop;
}

} // namespace rvs

#endif // RVS_DESCRIPTOR_HPP

// SPDX-License-Identifier: Apache-2.0
// An input's bytes as addresses, buffers and descriptors, of which many are good ones.
#include "guests.hpp"

namespace rvs::fuzz {

rvif_addr_t Guests::address(Input &in)
{
    const std::uint8_t how = in.byte();
    switch (how % 8) {
    case 0:
    case 1:
    case 2:
        return RVIF_ADDR(1ull, how / 8 % frames * frame_stride);
    case 3: // room for the longest
        return RVIF_ADDR(0ull, how / 8 * 64ull);
    case 4:
        return RVIF_ADDR(how / 8 % 3ull, in.take<std::uint16_t>() * 8ull);
    case 5: {
        const std::uint32_t r = how / 8 % regions;
        return RVIF_ADDR(std::uint64_t{r}, region_len[r] - in.take<std::uint16_t>() % 0x800u);
    }
    case 6:
        // Just outside, in many ways.
        return RVIF_ADDR(how / 8ull, region_len[how / 8 % regions] + in.byte() - 16ull);
    default:
        return in.take<std::uint64_t>();
    }
}

std::uint32_t Guests::unit(Input &in)
{
    const std::uint8_t how = in.byte();
    if (how < 0xc0)
        return usual_unit(how % buffers);
    if (how < 0xe0) // at the region's end
        return static_cast<std::uint32_t>(region_len[0] / RVIF_BUF_UNIT) - 24 + how % 32u;
    if (how < 0xf0)
        return in.take<std::uint16_t>() & 0x3ff;
    return in.take<std::uint32_t>() & RVIF_POSTED_MASK;
}

rvif_tx_desc Guests::descriptor(Input &in)
{
    rvif_tx_desc d{};
    const std::uint8_t how = in.byte();
    d.addr = address(in);
    switch (how % 4) {
    case 0:
        d.len = static_cast<std::uint16_t>(60 + in.byte());
        break;
    case 1:
        d.len = in.byte();
        break;
    case 2:
        d.len = in.take<std::uint16_t>() % 0x1000;
        break;
    default:
        d.len = in.take<std::uint16_t>();
        if (d.len % 4 == 0)
            d.len = static_cast<std::uint16_t>(RVIF_MAX_FRAME - d.len / 64);
    }
    if (how / 4 % 4 == 1)
        d.flags = RVIF_TX_MORE;
    if (how / 4 % 8 == 7) {
        d.flags = in.take<std::uint16_t>();
        if (how / 32 % 2 == 0)
            d.flags &= RVIF_TX_FLAGS;
        d.vlan = in.take<std::uint16_t>();
        d.segsz = in.take<std::uint16_t>();
    }
    return d;
}

} // namespace rvs::fuzz

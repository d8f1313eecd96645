// SPDX-License-Identifier: Apache-2.0
//
// Frames and what is asked for them: parsers of tags, IP and TCP, checksums, segmentation, hashes.
// Six ports with VLANs, a mirror, and receivers that take different things. The input is a list of
// frames: how it is asked for, how it is cut into segments, its bytes.
#include "guests.hpp"

#include <algorithm>
#include <iterator>

namespace {

using namespace rvs::fuzz;

constexpr std::uint32_t ports = 6;

class Frames {
  public:
    Frames()
    {
        const std::uint16_t trunk[] = {10, 20};
        rvs::PortOptions options[ports]{};
        rvif_rx_setup rx[ports];
        std::fill(std::begin(rx), std::end(rx), usual_rx);
        for (const std::uint32_t p : {0, 2, 3}) {
            options[p].trunk = trunk;
            options[p].trunk_count = std::size(trunk);
        }
        options[0].native_vlan = 30;
        rx[2].flags = RVIF_RXQ_FLAGS;
        options[3].native_vlan = 10;
        rx[3].flags = RVIF_RXQ_HASH;
        options[1].mirror_to = rvs::PortId{5};
        rx[4].flags = RVIF_RXQ_L4_NONE;
        options[5].capture = true;
        rx[5].flags = RVIF_RXQ_HASH | RVIF_RXQ_VLAN;
        for (std::uint32_t p = 0; p < ports; ++p) {
            guests_.join(p, options[p], rx[p]);
            guests_.furnish(p);
        }
        // Port 3 spreads; all of it to its one queue.
        rvif_rss rss{RVIF_RSS_TYPES, 0, {}};
        guests_.poke(3, 1, scratch_at, &rss, sizeof rss);
        guests_.ask(3, RVIF_OP_RSS, RVIF_ADDR(1ull, scratch_at), 0);
        for (std::uint32_t p = 0; p < ports; ++p) {
            for (std::uint32_t source = 0; source < ports; ++source) {
                for (std::uint32_t i = 0; i < depth; ++i)
                    guests_.post(p, source, i, Guests::usual_unit(i) | RVIF_PHASE);
            }
            guests_.desc(p, 0, {RVIF_ADDR(1ull, 0), 60, 0, 0, 0});
            guests_.transmit(p, 0, 1); // addresses are known
        }
        guests_.keep();
    }

    void run(Input in)
    {
        const std::size_t size = in.left();
        guests_.begin();
        const std::uint32_t p = in.byte() % (ports - 1);
        descs_ = 0;
        std::uint64_t at = scratch_at;
        for (std::uint32_t n = 0; n < 3 && !in.empty(); ++n)
            frame(in, p, at);
        guests_.transmit(p, 0, descs_);
        guests_.finish(size);
    }

  private:
    // One frame of port p, its bytes at `at` and behind.
    void frame(Input &in, std::uint32_t p, std::uint64_t &at)
    {
        const std::uint8_t how = in.byte();
        const std::uint8_t cut = in.byte();
        rvif_tx_desc first{};
        first.flags = how & RVIF_TX_FLAGS & ~RVIF_TX_MORE;
        if ((first.flags & RVIF_TX_VLAN) != 0)
            first.vlan = in.take<std::uint16_t>();
        if ((first.flags & RVIF_TX_TSO) != 0)
            first.segsz = static_cast<std::uint16_t>(RVIF_MIN_SEGSZ - 8u + in.byte());

        // The addresses are chosen; what is behind them is the input's.
        std::uint8_t bytes[addresses + 2 + 128]{};
        const std::uint8_t to = how / 32;
        std::memset(bytes, to == 6 ? 0xff : 0, 6);
        if (to != 6) {
            bytes[0] = 2;
            bytes[5] = static_cast<std::uint8_t>(to + 1);
        }
        bytes[6] = 2;
        bytes[11] = static_cast<std::uint8_t>(p + 1);
        const std::size_t len =
            addresses + std::max<std::size_t>(2, in.bytes(bytes + addresses, 2 + cut / 2));
        if (at + len > region_len[1])
            return;
        guests_.poke(p, 1, at, bytes, len);

        // It in pieces, and sometimes more behind it.
        std::uint32_t pieces = 0;
        const auto piece = [&](std::uint64_t from, std::size_t n) {
            rvif_tx_desc d = pieces++ == 0 ? first : rvif_tx_desc{};
            d.addr = RVIF_ADDR(1ull, from);
            d.len = static_cast<std::uint16_t>(n);
            last_ = d;
            d.flags |= RVIF_TX_MORE;
            guests_.desc(p, descs_++, d);
        };
        for (std::size_t from = 0; from < len;) {
            const std::size_t n =
                cut % 2 == 0 ? len : std::min<std::size_t>(1u + in.byte() % 64u, len - from);
            piece(at + from, n);
            from += n;
        }
        const std::uint8_t more = (how & 1) != 0 ? in.byte() : std::uint8_t{0};
        for (std::uint32_t n = 0; n < more / 64u; ++n)
            piece(n * frame_stride, 1u + more % 64u * 16u);
        guests_.desc(p, descs_ - 1, last_);
        at += (len + 15) / 16 * 16;
    }

    static constexpr std::size_t addresses = 12;

    Guests guests_{ports};
    std::uint32_t descs_ = 0;
    rvif_tx_desc last_{}; // without MORE
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static Frames frames;
    frames.run(Input{data, size});
    return 0;
}

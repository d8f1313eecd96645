// SPDX-License-Identifier: Apache-2.0
//
// The transmit path: descriptors, chains, headers, posted buffers, and all of them changing while
// the switch reads them. Three ports that are up all the time.
#include "three_ports.hpp"

namespace {

using namespace rvs::fuzz;

class Transmit : private ThreePorts {
  public:
    void run(Input in)
    {
        execute(in, 24, [&] { step(in); });
    }

  private:
    void step(Input &in)
    {
        const std::uint8_t what = in.byte();
        const std::uint32_t p = what / 16 % ports;
        switch (what % 16) {
        case 0:
        case 1:
        case 2:
            guests_.transmit(p, 0, in.byte() % 6u);
            break;
        case 3: {
            const std::uint8_t how = in.byte();
            guests_.transmit(p, how < 0xe0 ? 0 : how % 16u,
                             how % 32 == 0 ? in.take<std::uint16_t>() % 300u : how / 4 % 24u);
            break;
        }
        case 4:
        case 5:
        case 6:
        case 7: {
            const std::uint32_t i = in.byte() % 32u;
            guests_.desc(p, i, Guests::descriptor(in));
            break;
        }
        case 8:
        case 9: {
            const std::uint32_t source = in.byte() % 4u;
            const std::uint8_t i = in.byte();
            guests_.post(p, source, i, Guests::unit(in) | (i < 0x40 ? RVIF_PHASE : 0));
            break;
        }
        case 10: {
            const std::uint64_t at = in.byte() % frames * frame_stride;
            std::uint8_t bytes[16];
            const std::size_t from = what / 64 * 4u;
            guests_.poke(p, 1, at + from, bytes, in.bytes(bytes, sizeof bytes));
            break;
        }
        case 11: {
            std::uint8_t bytes[16];
            const std::uint32_t r = what / 64 % regions;
            const std::uint64_t at = in.take<std::uint16_t>() * 8ull % region_len[r];
            const std::size_t len = 1 + in.byte() % sizeof bytes;
            guests_.poke(p, r, at, bytes, in.bytes(bytes, len));
            break;
        }
        case 12:
        case 13:
        case 14:
            race(in, p);
            break;
        default: {
            // It does not change what is set up.
            constexpr std::uint64_t ops[] = {RVIF_OP_INFO,   RVIF_OP_SOURCES, RVIF_OP_SET_MAC,
                                             RVIF_OP_STATS,  RVIF_OP_RX_MODE, RVIF_OP_RSS,
                                             RVIF_OP_RECOVER};
            const std::uint64_t op = ops[in.byte() % std::size(ops)];
            const std::uint64_t a1 = op == RVIF_OP_RECOVER ? in.byte() : Guests::address(in);
            guests_.ask(p, op, a1, in.byte());
            break;
        }
        }
    }

    // For the next call, whoever makes it.
    void race(Input &in, std::uint32_t p)
    {
        Bed::Race race{};
        const std::uint8_t when = in.byte();
        race.load = 1u + (when < 0xe0 ? when % 16u : when);
        race.port = p;
        race.len = 8;
        const std::uint8_t how = in.byte();
        const std::uint64_t desc = descs_at + sizeof(rvif_tx_desc) * (how / 4 % 8);
        switch (how % 4) {
        case 0:
            race.offset = desc;
            race.value = Guests::address(in);
            break;
        case 1:
            race.offset = desc + 8;
            race.value = in.take<std::uint16_t>() | (how < 0x80 ? 0u : in.byte() << 16);
            break;
        case 2:
            race.offset = lanes_at + how / 4 % 4 * lane_stride + how / 16 * 4u;
            race.value = Guests::unit(in) | (in.byte() % 2 == 0 ? RVIF_PHASE : 0);
            race.len = 4;
            break;
        default:
            race.region = 1;
            race.offset = how / 4 % frames * frame_stride + in.byte() % 16u;
            race.value = in.take<std::uint64_t>();
        }
        guests_.race(race);
    }
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static Transmit transmit;
    transmit.run(Input{data, size});
    return 0;
}

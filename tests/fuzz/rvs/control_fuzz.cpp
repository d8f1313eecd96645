// SPDX-License-Identifier: Apache-2.0
//
// What is set up, taken down and taken away, by guests' control calls and by the manager, in any
// order, with any arguments, and traffic in between.
#include "three_ports.hpp"

namespace {

using namespace rvs::fuzz;

class Control : private ThreePorts {
  public:
    void run(Input in)
    {
        scans_ = in.left() % 2;
        execute(in, 32, [&] { step(in); });
    }

  private:
    void step(Input &in)
    {
        const std::uint8_t what = in.byte();
        const std::uint32_t p = what / 16 % ports;
        switch (what % 16) {
        case 0:
        case 1:
            guests_.transmit(p, 0, in.byte() % 6u);
            break;
        case 2: {
            const std::uint8_t how = in.byte();
            guests_.transmit(p, how % 9u, how == 0xff ? in.take<std::uint64_t>() : how / 9 % 8u);
            break;
        }
        case 3:
            if (what < 0x80)
                guests_.start(p);
            else
                guests_.stop(p);
            break;
        case 4:
            guests_.set_up_tx(p, what < 0x80 ? 0 : in.byte() % 9u, descs(in));
            break;
        case 5:
            guests_.set_up_rx(p, what < 0x80 ? 0 : in.byte() % 9u, rx(in));
            break;
        case 6:
        case 7:
            // Once more from the start, often a little different.
            guests_.stop(p);
            guests_.set_up_tx(p, 0, what < 0xc0 ? usual_descs : descs(in));
            guests_.set_up_rx(p, 0, rx(in));
            guests_.start(p);
            if (what < 0x80)
                guests_.furnish(p);
            break;
        case 8: {
            const std::uint32_t r = what / 64 % regions;
            if (what < 0x80)
                guests_.remove_region(p, r);
            else
                guests_.add_region(p, r);
            break;
        }
        case 9:
            // Open or not.
            if (what < 0x80)
                guests_.open(p);
            else if (scan())
                guests_.close(p);
            break;
        case 10:
            if (!scan())
                break;
            guests_.close(p);
            guests_.join(p, what < 0xc0 ? rvs::PortOptions{} : limited());
            guests_.furnish(p);
            break;
        case 11: {
            const std::uint32_t i = in.byte() % 8u;
            guests_.desc(p, i, Guests::descriptor(in));
            break;
        }
        case 12: {
            const std::uint8_t i = in.byte();
            guests_.post(p, what / 64, i, Guests::unit(in) | (i < 0x80 ? RVIF_PHASE : 0));
            break;
        }
        case 13: {
            // The set-up changes while it is read.
            guests_.stop(p);
            Bed::Race race{};
            const std::uint8_t how = in.byte();
            race.load = 1u + how % 8;
            race.port = p;
            race.offset = (how < 0x80 ? tx_setup_at : rx_setup_at) + what / 64 * 8u;
            race.value = in.take<std::uint64_t>();
            // Whether the CPU has AVX2 is not for the guest to change.
            if (race.offset == tx_setup_at + 8)
                race.value &= ~std::uint64_t{RVIF_TXQ_AVX2};
            race.len = 8;
            guests_.race(race);
            if (how < 0x80)
                guests_.set_up_tx(p, 0, usual_descs);
            else
                guests_.set_up_rx(p, 0, rx(in));
            break;
        }
        case 14:
            if (what < 0x80)
                guests_.ask(p, RVIF_OP_RECOVER, in.byte(), in.byte());
            else if (what < 0xc0)
                guests_.link(p, in.byte() % 2 != 0);
            else if (scan())
                guests_.bed->tick();
            break;
        default: {
            const std::uint64_t op = in.byte() % 16;
            if (op != RVIF_OP_TX && op != RVIF_OP_TX_SETUP && op != RVIF_OP_RX_SETUP &&
                op != RVIF_OP_START && op != RVIF_OP_STOP)
                guests_.ask(p, op, Guests::address(in), in.byte());
        }
        }
    }

    // Operations that walk through the whole MAC table, and take as long as all others together:
    // one in every second execution.
    bool scan() { return scans_ != 0 && scans_-- != 0; }

    // So little that an execution reaches it, and no time passes in one.
    static rvs::PortOptions limited()
    {
        rvs::PortOptions options;
        options.storm_frames = 2;
        options.rate_bytes = 10;
        return options;
    }

    static rvif_addr_t descs(Input &in)
    {
        const std::uint8_t how = in.byte();
        return how < 0x80 ? usual_descs : Guests::address(in) & ~(how < 0xf0 ? 0xfull : 0ull);
    }

    static std::uint32_t depths(Input &in)
    {
        const std::uint8_t how = in.byte();
        if (how < 0x80)
            return 1u << (how % 14);
        return how < 0xf0 ? RVIF_MIN_DEPTH - 16u + how % 64u : in.take<std::uint32_t>();
    }

    static rvif_rx_setup rx(Input &in)
    {
        rvif_rx_setup s = usual_rx;
        const std::uint8_t how = in.byte();
        if ((how & 1) != 0)
            s.lanes = Guests::address(in) & ~0x7full;
        if ((how & 2) != 0)
            s.depth = depths(in);
        if ((how & 4) != 0)
            s.buf_len = in.take<std::uint16_t>();
        if ((how & 8) != 0)
            s.buf_region = in.byte() % 4;
        if ((how & 16) != 0)
            s.flags = in.byte() % 32;
        return s;
    }

    static constexpr rvif_addr_t usual_descs = RVIF_ADDR(0ull, descs_at);

    std::uint32_t scans_ = 0;
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static Control control;
    control.run(Input{data, size});
    return 0;
}

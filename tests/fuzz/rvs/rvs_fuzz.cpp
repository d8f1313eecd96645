// SPDX-License-Identifier: Apache-2.0
//
// Fuzzes everything that a guest can do to the switch: what it writes to its regions and which
// operations it calls with what arguments; and region and port changes by the manager.
//
// The input is a program: one byte says what to do, the next ones are its operands. It starts on
// three joined ports. After every transmit the world is compared with what a correct switch may
// have done:
//   - no access outside the regions (inaccessible pages around them, ASan)
//   - of the regions' bytes only completions and posted buffers of the lanes in question changed
//   - every frame consumed is in exactly one counter; every copy has one outcome
#include "world.hpp"

#include <cstdio>
#include <cstdlib>

namespace {

using namespace rvs;
using rvs::test::Bytes;
using rvs::test::Memory;
using rvs::test::World;

#define CHECK(condition)                                                                           \
    do {                                                                                           \
        if (!(condition)) {                                                                        \
            std::fprintf(stderr, "%s:%d: not true: %s\n", __FILE__, __LINE__, #condition);         \
            std::abort();                                                                          \
        }                                                                                          \
    } while (false)

class Input {
  public:
    Input(const std::uint8_t *data, std::size_t size) : data_{data}, left_{size} {}

    [[nodiscard]] bool empty() const { return left_ == 0; }
    template <typename T>
    T take()
    {
        T value{};
        const std::size_t n = left_ < sizeof(T) ? left_ : sizeof(T);
        std::memcpy(&value, data_, n);
        data_ += n;
        left_ -= n;
        return value;
    }
    std::uint8_t byte() { return take<std::uint8_t>(); }

  private:
    const std::uint8_t *data_;
    std::size_t left_;
};

constexpr std::uint32_t ports = 3;
constexpr std::uint32_t regions = 2;
constexpr std::uint64_t region_len[regions] = {0x34000, 0x4000};

// Offsets in region 0.
constexpr std::uint64_t tx_setup_at = 0x0;
constexpr std::uint64_t rx_setup_at = 0x100;
constexpr std::uint64_t descs_at = 0x1000;
constexpr std::uint64_t lanes_at = 0x4000; // depth 64: 144 KiB
constexpr std::uint64_t buffers_at = 0x2c000;
static_assert(lanes_at + RVIF_MAX_SOURCES * RVIF_LANE_STRIDE(64) <= buffers_at);

struct Port {
    bool open = false;
    bool registered[regions] = {};
    std::uint32_t registrations[regions] = {};
    bool started = false;
    // As the last successful set-up of each receive queue found it.
    struct Rx {
        bool set_up = false;
        rvif_rx_setup setup{};
        std::uint32_t registrations[2] = {}; // of the regions of lanes and buffers
    } rx[RVIF_MAX_QUEUES];
    struct Tx {
        std::int64_t source = -1;
        rvif_addr_t descs = 0;
    } tx[RVIF_MAX_QUEUES];
};

class Fuzz {
  public:
    Fuzz() : world_{limits()}
    {
        for (std::uint32_t p = 0; p < ports; ++p) {
            for (std::uint32_t r = 0; r < regions; ++r) {
                memory_[p].emplace_back(region_len[r]);
                old_[p][r].resize(region_len[r]);
            }
        }
    }

    void run(Input in)
    {
        begin();
        for (std::uint32_t steps = 0; !in.empty() && steps < 400; ++steps)
            step(in);
        check_copies();
        for (std::uint32_t p = 0; p < ports; ++p)
            close(p);
    }

  private:
    static Limits limits()
    {
        Limits limits;
        limits.fdb_entries = 64;
        return limits;
    }
    std::uint8_t *at(std::uint32_t port, std::uint32_t region, std::uint64_t offset)
    {
        return memory_[port][region].data() + offset;
    }

    // ------------------------------------------------------------------ the world

    void begin()
    {
        closed_one_ = false;
        for (std::uint32_t p = 0; p < ports; ++p) {
            for (std::uint32_t r = 0; r < regions; ++r)
                std::memset(at(p, r, 0), 0, region_len[r]);
            open(p);
            for (std::uint32_t r = 0; r < regions; ++r)
                add_region(p, r);
            set_up_tx(p, 0, RVIF_ADDR(0ull, descs_at));
            set_up_rx(p, 0, {RVIF_ADDR(0ull, lanes_at), 64, 512, 0, 0});
            start(p);
        }
        for (std::uint32_t p = 0; p < ports; ++p) {
            for (std::uint32_t source = 0; source < ports; ++source) {
                for (std::uint32_t i = 0; i < 10; ++i) {
                    const std::uint64_t unit = buffers_at / 64 + (source * 10 + i) * 8;
                    post(p, source, i, static_cast<std::uint32_t>(unit) | RVIF_PHASE);
                }
            }
            const Bytes f = test::frame(test::mac(p), test::mac(p + 1), 600, p);
            std::memcpy(at(p, 0, buffers_at + 0x4000), f.data(), f.size());
            for (std::uint32_t i = 0; i < RVIF_MAX_BURST; ++i)
                desc(p, i, {RVIF_ADDR(0ull, buffers_at + 0x4000), 60 + i, 0});
        }
    }
    void open(std::uint32_t p)
    {
        if (port_[p].open)
            return;
        CHECK(world_->port_open(PortId{p}, {}) == Error::none);
        port_[p] = Port{};
        port_[p].open = true;
    }
    void close(std::uint32_t p)
    {
        if (!port_[p].open)
            return;
        CHECK(world_->port_close(PortId{p}) == Error::none);
        port_[p].open = false;
        closed_one_ = true;
    }
    void add_region(std::uint32_t p, std::uint32_t r)
    {
        const Error error = world_->region_add(PortId{p}, r, memory_[p][r].base(), region_len[r]);
        if (!port_[p].open || port_[p].registered[r]) {
            CHECK(error == Error::state);
            return;
        }
        CHECK(error == Error::none);
        port_[p].registered[r] = true;
        ++port_[p].registrations[r];
    }
    void remove_region(std::uint32_t p, std::uint32_t r)
    {
        const Error error = world_->region_remove(PortId{p}, r);
        if (!port_[p].open || !port_[p].registered[r]) {
            CHECK(error == Error::state);
            return;
        }
        CHECK(error == Error::none);
        port_[p].registered[r] = false;
        ++port_[p].registrations[r];
    }

    // ------------------------------------------------------------ guests' operations

    std::int64_t call(std::uint32_t p, std::uint64_t op, std::uint64_t a1 = 0, std::uint64_t a2 = 0)
    {
        const std::int64_t result = world_->call(PortId{p}, op, a1, a2, 0);
        CHECK(result >= -RVIF_E_BUSY);
        CHECK(result != -RVIF_E_BUSY); // nobody else is there
        return result;
    }
    void set_up_tx(std::uint32_t p, std::uint32_t queue, rvif_addr_t descs)
    {
        const rvif_tx_setup setup{descs, 0, 0};
        std::memcpy(at(p, 0, tx_setup_at), &setup, sizeof setup);
        const std::int64_t source = call(p, RVIF_OP_TX_SETUP, queue, RVIF_ADDR(0ull, tx_setup_at));
        if (source < 0)
            return;
        CHECK(queue < RVIF_MAX_QUEUES && source < RVIF_MAX_SOURCES);
        port_[p].tx[queue] = {source, descs};
    }
    void set_up_rx(std::uint32_t p, std::uint32_t queue, const rvif_rx_setup &setup)
    {
        std::memcpy(at(p, 0, rx_setup_at), &setup, sizeof setup);
        if (call(p, RVIF_OP_RX_SETUP, queue, RVIF_ADDR(0ull, rx_setup_at)) != 0)
            return;
        const std::uint64_t r = RVIF_ADDR_REGION(setup.lanes);
        CHECK(queue < RVIF_MAX_QUEUES && r < regions && setup.buf_region < regions);
        port_[p].rx[queue] = {
            true, setup, {port_[p].registrations[r], port_[p].registrations[setup.buf_region]}};
    }
    void start(std::uint32_t p)
    {
        if (call(p, RVIF_OP_START) == 0)
            port_[p].started = true;
    }
    void stop(std::uint32_t p)
    {
        if (call(p, RVIF_OP_STOP) != 0)
            return;
        port_[p].started = false;
        for (Port::Rx &rx : port_[p].rx)
            rx.set_up = false;
        for (Port::Tx &tx : port_[p].tx)
            tx.source = -1;
    }
    void desc(std::uint32_t p, std::uint32_t i, const test::Desc &d)
    {
        const rvif_tx_desc wire = d.wire();
        std::memcpy(at(p, 0, descs_at + sizeof wire * (i % RVIF_MAX_BURST)), &wire, sizeof wire);
    }
    void post(std::uint32_t p, std::uint32_t source, std::uint32_t i, std::uint32_t entry)
    {
        std::memcpy(at(p, 0, lanes_at + (source % RVIF_MAX_SOURCES) * RVIF_LANE_STRIDE(64) + 4 * (i % 64)),
                    &entry, 4);
    }

    // ------------------------------------------------------------------ transmit

    // Takes over into the old picture of a receiver what the switch may have changed there for
    // this source: comp and the buffers that were posted. False: a buffer lay on the lane itself,
    // which could then name any other.
    bool accept(std::uint32_t p, std::int64_t source)
    {
        bool sound = true;
        for (const Port::Rx &rx : port_[p].rx) {
            if (!rx.set_up)
                continue;
            const auto r = static_cast<std::uint32_t>(RVIF_ADDR_REGION(rx.setup.lanes));
            const std::uint32_t b = rx.setup.buf_region;
            if (rx.registrations[0] != port_[p].registrations[r] ||
                rx.registrations[1] != port_[p].registrations[b])
                continue;
            const auto accept_range = [&](std::uint32_t region, std::uint64_t offset,
                                          std::uint64_t len) {
                std::memcpy(old_[p][region].data() + offset, at(p, region, offset), len);
            };
            const std::uint64_t depth = rx.setup.depth;
            const std::uint64_t lane = RVIF_ADDR_OFFSET(rx.setup.lanes) +
                                       static_cast<std::uint64_t>(source) * RVIF_LANE_STRIDE(depth);
            std::vector<std::uint32_t> posted(depth);
            std::memcpy(posted.data(), old_[p][r].data() + lane, 4 * depth);
            for (const std::uint32_t entry : posted) {
                const std::uint64_t offset = std::uint64_t{entry & RVIF_POSTED_MASK} * 64;
                if (offset + rx.setup.buf_len > region_len[b])
                    continue;
                accept_range(b, offset, rx.setup.buf_len);
                sound &= b != r || offset >= lane + 4 * depth || offset + rx.setup.buf_len <= lane;
            }
            accept_range(r, lane + RVIF_LANE_COMP(depth), 12 * depth); // meta, too
        }
        return sound;
    }

    void transmit(std::uint32_t p, std::uint64_t queue, std::uint64_t count)
    {
        if (!port_[p].open || queue >= RVIF_MAX_QUEUES || port_[p].tx[queue].source < 0 ||
            !port_[p].started || count > RVIF_MAX_BURST) {
            CHECK(call(p, RVIF_OP_TX, queue, count) < 0);
            return;
        }
        const Port::Tx &tx = port_[p].tx[queue];
        PortStats before{};
        CHECK(world_->port_stats(PortId{p}, before));
        const std::uint64_t r = RVIF_ADDR_REGION(tx.descs);
        CHECK(r < regions);
        std::vector<rvif_tx_desc> descs(count);
        if (count != 0) {
            std::memcpy(descs.data(),
                        at(p, static_cast<std::uint32_t>(r), RVIF_ADDR_OFFSET(tx.descs)),
                        sizeof(rvif_tx_desc) * count);
        }
        for (std::uint32_t o = 0; o < ports; ++o) {
            for (std::uint32_t i = 0; i < regions; ++i)
                std::memcpy(old_[o][i].data(), at(o, i, 0), region_len[i]);
        }

        const std::int64_t result = call(p, RVIF_OP_TX, queue, count);

        if (!port_[p].registered[r]) {
            CHECK(result == -RVIF_E_ADDR);
            return;
        }
        CHECK(result >= (count != 0 ? 1 : 0) && result <= static_cast<std::int64_t>(count));

        std::uint64_t frames = 0;
        bool more = false;
        for (std::int64_t i = 0; i < result; ++i) {
            frames += more ? 0 : 1;
            more = (descs[static_cast<std::size_t>(i)].flags & RVIF_TX_MORE) != 0;
        }
        PortStats after{};
        CHECK(world_->port_stats(PortId{p}, after));
        std::uint64_t counted = after.frames.tx_frames - before.frames.tx_frames;
        for (std::uint32_t d = RVIF_DROP_BAD_SOURCE_MAC; d < RVIF_DROP_REASONS; ++d)
            counted += after.frames.drops[d] - before.frames.drops[d];
        CHECK(counted == frames);

        // A sender's own memory is never written.
        for (std::uint32_t o = 0; o < ports; ++o) {
            const bool sound = o == p || accept(o, tx.source);
            for (std::uint32_t i = 0; sound && i < regions; ++i)
                CHECK(std::memcmp(old_[o][i].data(), at(o, i, 0), region_len[i]) == 0);
        }
    }

    // Ports that were closed took their counts along.
    void check_copies()
    {
        std::uint64_t copies = 0;
        std::uint64_t outcomes = 0;
        for (std::uint32_t p = 0; p < ports; ++p) {
            PortStats s{};
            if (!world_->port_stats(PortId{p}, s))
                continue;
            copies += s.copies + s.cuts;
            outcomes += s.frames.rx_frames;
            for (std::uint32_t d = 0; d <= RVIF_DROP_RX_BAD_BUFFER; ++d)
                outcomes += s.frames.drops[d];
        }
        CHECK(closed_one_ || copies == outcomes);
    }

    // ---------------------------------------------------------------------- input

    // Often a good address.
    rvif_addr_t address(Input &in)
    {
        const std::uint8_t how = in.byte();
        switch (how % 4) {
        case 0:
            return RVIF_ADDR(0ull, buffers_at + 0x4000 + how);
        case 1:
            return RVIF_ADDR(how / 4 % 3ull, in.take<std::uint16_t>() * 8ull);
        case 2:
            return RVIF_ADDR(how / 4 % 2ull, region_len[how / 4 % 2] - in.byte());
        default:
            return in.take<std::uint64_t>();
        }
    }

    void step(Input &in)
    {
        const std::uint8_t what = in.byte();
        const std::uint32_t p = what / 16 % ports;
        switch (what % 16) {
        case 0:
        case 1:
        case 2:
            transmit(p, 0, in.byte() % 40u);
            break;
        case 3:
            transmit(p, in.byte() % 9, in.take<std::uint16_t>() % 300u);
            break;
        case 4:
        case 5: {
            const std::uint8_t i = in.byte();
            const rvif_addr_t a = address(in);
            const std::uint8_t how = in.byte();
            const std::uint32_t len =
                how % 8 == 0 ? in.take<std::uint32_t>() : in.take<std::uint16_t>() % 0x800u;
            const std::uint32_t flags = how % 16 == 15 ? in.byte() : how / 16 & RVIF_TX_MORE;
            const std::uint32_t vlan = (flags & RVIF_TX_VLAN) != 0 ? in.byte() : 0u;
            const std::uint32_t segsz = (flags & RVIF_TX_TSO) != 0 ? 80u + in.byte() : 0u;
            desc(p, i, {a, len, flags, vlan, segsz});
            break;
        }
        case 6:
        case 7: {
            const std::uint8_t source = in.byte();
            const std::uint8_t i = in.byte();
            std::uint32_t entry = in.take<std::uint32_t>();
            if (source % 8 != 7)
                entry = (entry & RVIF_PHASE) | (entry & 0x3ff);
            post(p, source / 8, i, entry);
            break;
        }
        case 8: {
            const std::uint32_t r = in.byte() % regions;
            std::uint64_t offset = in.take<std::uint16_t>() * 8ull % region_len[r];
            for (std::uint32_t n = in.byte() % 32u; n != 0 && offset < region_len[r]; --n)
                *at(p, r, offset++) = in.byte();
            break;
        }
        case 9: {
            rvif_rx_setup s{RVIF_ADDR(0ull, lanes_at), 64, 512, 0, 0};
            const std::uint8_t how = in.byte();
            if ((how & 1) != 0)
                s.lanes = address(in) & ~0x7full;
            if ((how & 2) != 0)
                s.depth = 1u << (in.byte() % 14);
            if ((how & 4) != 0)
                s.buf_len = in.take<std::uint16_t>();
            if ((how & 8) != 0)
                s.buf_region = in.byte() % 4;
            if ((how & 16) != 0)
                s.flags = in.byte();
            stop(p);
            set_up_tx(p, 0, RVIF_ADDR(0ull, descs_at));
            set_up_rx(p, how >> 6, s);
            start(p);
            break;
        }
        case 10:
            set_up_tx(p, in.byte() % 9, address(in));
            break;
        case 11:
            (in.byte() % 2 == 0 ? stop(p) : start(p));
            break;
        case 12: {
            const std::uint8_t r = in.byte();
            r % 2 == 0 ? remove_region(p, r / 2 % regions) : add_region(p, r / 2 % regions);
            break;
        }
        case 13: {
            const std::uint8_t how = in.byte();
            how % 4 == 0 ? close(p) : open(p);
            if (how % 4 == 1) {
                for (std::uint32_t r = 0; r < regions; ++r)
                    add_region(p, r);
                set_up_tx(p, 0, RVIF_ADDR(0ull, descs_at));
                set_up_rx(p, 0, {RVIF_ADDR(0ull, lanes_at), 64, 512, 0, 0});
                start(p);
            }
            break;
        }
        case 14:
            world_->tick();
            break;
        default: {
            // Operations without a model, with any arguments.
            const std::uint64_t op = in.byte() % 16;
            if (op == RVIF_OP_SET_MAC || op == RVIF_OP_STATS || op == RVIF_OP_SOURCES ||
                op == RVIF_OP_INFO ||
                op == RVIF_OP_RX_MODE || op == RVIF_OP_RSS || op >= RVIF_OPS)
                call(p, op, in.byte() % 2 == 0 ? address(in) : in.take<std::uint64_t>());
            break;
        }
        }
    }

    World world_;
    std::vector<Memory> memory_[ports];
    Port port_[ports];
    bool closed_one_ = false;
    Bytes old_[ports][regions];
};

} // namespace

extern "C" int LLVMFuzzerTestOneInput(const std::uint8_t *data, std::size_t size)
{
    static Fuzz fuzz; // a switch that lives on, as the real one does
    fuzz.run(Input{data, size});
    return 0;
}

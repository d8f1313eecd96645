// SPDX-License-Identifier: Apache-2.0
// What guests and the manager do.
#include "guests.hpp"

#include <algorithm>

namespace rvs::fuzz {

namespace {

constexpr std::uint32_t desc_len = sizeof(rvif_tx_desc);

} // namespace

// ------------------------------------------------------------------------ an execution

void Guests::keep()
{
    bed.keep();
    kept_ = now_;
}

void Guests::begin()
{
    bed.reset();
    now_ = kept_;
}

void Guests::finish(std::size_t input)
{
    // By what the input is, so that a finding can be repeated.
    if (contents_ && input % 8 == 0)
        probe();
    if (input % 32 == 0)
        check_totals(); // slow
}

// ------------------------------------------------------------------------- the manager

void Guests::open(std::uint32_t p, const PortOptions &options)
{
    PortStats before{};
    const Error error = bed->port_open(PortId{p}, options, &before);
    CHECK(error == (now_.port[p].open ? Error::state : Error::none));
    if (error != Error::none)
        return;
    count(before, now_.gone);
    now_.port[p] = Port{};
    now_.port[p].open = true;
    now_.port[p].limited = options.rate_bytes != 0 || options.storm_frames != 0;
}

void Guests::close(std::uint32_t p)
{
    CHECK(bed->port_close(PortId{p}) == (now_.port[p].open ? Error::none : Error::state));
    now_.port[p] = Port{};
}

void Guests::link(std::uint32_t p, bool up)
{
    CHECK(bed->port_link(PortId{p}, up) == (now_.port[p].open ? Error::none : Error::state));
    now_.port[p].down = now_.port[p].open && !up;
}

void Guests::add_region(std::uint32_t p, std::uint32_t r)
{
    Port &port = now_.port[p];
    const bool can = port.open && (port.registered >> r & 1) == 0;
    CHECK(bed->region_add(PortId{p}, r, bed.base(p, r), region_len[r]) ==
          (can ? Error::none : Error::state));
    if (can)
        port.registered |= 1u << r;
}

void Guests::remove_region(std::uint32_t p, std::uint32_t r)
{
    Port &port = now_.port[p];
    const bool can = port.open && (port.registered >> r & 1) != 0;
    CHECK(bed->region_remove(PortId{p}, r) == (can ? Error::none : Error::state));
    if (!can)
        return;
    port.registered &= ~(1u << r);
    for (RxQueue &rx : port.rx) {
        if (RVIF_ADDR_REGION(rx.setup.lanes) == r || rx.setup.buf_region == r)
            rx.live = false;
    }
}

// -------------------------------------------------------------------------------- calls

std::int64_t Guests::call(std::uint32_t p, std::uint64_t op, std::uint64_t a1, std::uint64_t a2,
                          std::uint64_t a3)
{
    bed.enter(p, now_.port[p].registered);
    const std::int64_t result = bed->call(PortId{p}, op, a1, a2, a3);
    bed.leave();
    CHECK(result > -RVIF_E_BUSY); // nobody else is there
    CHECK(now_.port[p].open || result == -RVIF_E_STATE);
    return result;
}

void Guests::ask(std::uint32_t p, std::uint64_t op, std::uint64_t a1, std::uint64_t a2)
{
    Port &port = now_.port[p];
    const bool of_queue = op == RVIF_OP_QUEUE_STATS;
    const std::uint64_t len = op == RVIF_OP_STATS || of_queue ? sizeof(rvif_port_stats)
                              : op == RVIF_OP_SOURCES         ? sizeof(rvif_sources)
                                                              : 0;
    const std::uint64_t offset = RVIF_ADDR_OFFSET(a1);
    const bool no_queue = of_queue && a2 >= RVIF_MAX_QUEUES;
    const bool named = len != 0 && !no_queue && offset % 8 == 0 && registered(p, a1, len);
    if (named) {
        const auto r = static_cast<std::uint32_t>(RVIF_ADDR_REGION(a1));
        bed.allow_write(p, r, offset, len);
        spoilt(p, r, offset, len);
    }
    const std::int64_t result = call(p, op, a1, a2);
    if (len != 0 && port.open)
        CHECK(result == (named ? 0 : no_queue ? -RVIF_E_QUEUE : -RVIF_E_ADDR));
    port.spreads |= op == RVIF_OP_RSS && result == 0;
    if (op == RVIF_OP_RECOVER && result >= 0) {
        CHECK(a1 < RVIF_MAX_QUEUES);
        const TxQueue &tx = port.tx[a1];
        CHECK(!tx.called || tx.number != a2 || static_cast<std::uint64_t>(result) == tx.consumed);
    }
}

// Afterwards `setup` is as the switch read it.
template <typename Setup>
std::int64_t Guests::set_up(std::uint32_t p, std::uint64_t op, std::uint32_t queue,
                            std::uint64_t at, Setup &setup)
{
    bed.write(p, 0, at, &setup, sizeof setup);
    caller_ = p;
    setup_ = reinterpret_cast<std::uint8_t *>(&setup);
    setup_at_ = at;
    setup_len_ = sizeof setup;
    const std::int64_t result = call(p, op, queue, RVIF_ADDR(0ull, at));
    setup_ = nullptr;
    return result;
}

void Guests::set_up_tx(std::uint32_t p, std::uint32_t queue, rvif_addr_t descs)
{
    rvif_tx_setup setup{descs, 0, 0};
    if (__builtin_cpu_supports("avx2") != 0 && p % 2 == 1)
        setup.flags = RVIF_TXQ_AVX2;
    const std::int64_t source = set_up(p, RVIF_OP_TX_SETUP, queue, tx_setup_at, setup);
    if (source < 0)
        return;
    CHECK(queue < RVIF_MAX_QUEUES && source < sources);
    CHECK((setup.flags & ~RVIF_TXQ_FLAGS) == 0 && setup.reserved == 0);
    CHECK(RVIF_ADDR_OFFSET(setup.descs) % desc_len == 0 &&
          registered(p, setup.descs, std::uint64_t{desc_len} * RVIF_MAX_BURST));
    TxQueue &tx = now_.port[p].tx[queue];
    tx.set_up = true;
    tx.source = static_cast<std::uint32_t>(source);
    tx.descs = setup.descs;
}

void Guests::set_up_rx(std::uint32_t p, std::uint32_t queue, const rvif_rx_setup &asked)
{
    Port &port = now_.port[p];
    rvif_rx_setup setup = asked;
    if (set_up(p, RVIF_OP_RX_SETUP, queue, rx_setup_at, setup) != 0)
        return;
    CHECK(queue < RVIF_MAX_QUEUES);
    CHECK(setup.depth >= RVIF_MIN_DEPTH && setup.depth <= RVIF_MAX_DEPTH &&
          (setup.depth & (setup.depth - 1)) == 0);
    CHECK(setup.buf_len >= 64 && setup.buf_len <= RVIF_COMP_LEN_MASK);
    CHECK((setup.flags & ~RVIF_RXQ_FLAGS) == 0);
    CHECK(RVIF_ADDR_OFFSET(setup.lanes) % RVIF_LINE == 0 &&
          registered(p, setup.lanes, RVIF_MAX_SOURCES * RVIF_LANE_STRIDE(setup.depth)));
    CHECK(setup.buf_region < regions &&
          registered(p, RVIF_ADDR(std::uint64_t{setup.buf_region}, 0), setup.buf_len));
    RxQueue &rx = port.rx[queue];
    rx = RxQueue{};
    rx.set_up = true;
    rx.setup = setup;
    // Queues may share their lanes; those that lie elsewhere have been used for other things.
    port.broken |= queue != 0 || setup.lanes != usual_rx.lanes || setup.depth != depth;
    if (!port.broken) {
        static const std::uint8_t zeros[8 * lane_stride]{};
        bed.write(p, 0, lanes_at, zeros, sizeof zeros);
    }
}

void Guests::start(std::uint32_t p)
{
    Port &port = now_.port[p];
    const std::int64_t result = call(p, RVIF_OP_START);
    if (port.started) {
        CHECK(result < 0);
        return;
    }
    for (RxQueue &rx : port.rx) {
        rx.live = result == 0 && rx.set_up;
        std::fill(std::begin(rx.cursor), std::end(rx.cursor), 0);
    }
    port.started = result == 0;
}

void Guests::stop(std::uint32_t p)
{
    Port &port = now_.port[p];
    if (call(p, RVIF_OP_STOP) != 0)
        return;
    port.started = false;
    for (RxQueue &rx : port.rx)
        rx.set_up = rx.live = false;
    for (TxQueue &tx : port.tx)
        tx.set_up = false;
}

void Guests::join(std::uint32_t p, const PortOptions &options, const rvif_rx_setup &rx)
{
    open(p, options);
    for (std::uint32_t r = 0; r < regions; ++r)
        add_region(p, r);
    set_up_tx(p, 0, RVIF_ADDR(0ull, descs_at));
    set_up_rx(p, 0, rx);
    start(p);
}

// --------------------------------------------------------------------------- transmit

void Guests::transmit(std::uint32_t p, std::uint64_t queue, std::uint64_t count)
{
    Port &port = now_.port[p];
    ++number_;
    if (!port.open || queue >= RVIF_MAX_QUEUES || !port.tx[queue].set_up || !port.started ||
        count > RVIF_MAX_BURST) {
        CHECK(call(p, RVIF_OP_TX, queue, count, number_) < 0);
        if (queue < RVIF_MAX_QUEUES)
            port.tx[queue].called = false;
        return;
    }
    TxQueue &tx = port.tx[queue];
    tx.called = true;
    tx.number = number_;
    tx.consumed = 0;
    const auto r = static_cast<std::uint32_t>(RVIF_ADDR_REGION(tx.descs));
    CHECK(r < regions);
    if ((port.registered >> r & 1) == 0) {
        CHECK(call(p, RVIF_OP_TX, queue, count, number_) == -RVIF_E_ADDR);
        return;
    }

    caller_ = p;
    source_ = tx.source;
    raced_ = false;
    descs_.resize(count);
    if (count != 0)
        std::memcpy(descs_.data(), bed.at(p, r, RVIF_ADDR_OFFSET(tx.descs)), desc_len * count);
    Counts before;
    Counts after;
    read_counts(p, static_cast<std::uint32_t>(queue), before);
    for (std::uint32_t o = 0; o < ports_; ++o) {
        if (o != p)
            allow(o);
    }

    const std::int64_t result = call(p, RVIF_OP_TX, queue, count, number_);

    CHECK(result >= (count != 0 ? 1 : 0) && result <= static_cast<std::int64_t>(count));
    tx.consumed = static_cast<std::uint64_t>(result);
    descs_.resize(static_cast<std::size_t>(result));
    std::uint64_t offered = 0;
    bool more = false;
    plain_ = contents_ && !raced_;
    for (const rvif_tx_desc &d : descs_) {
        offered += more ? 0 : 1;
        more = (d.flags & RVIF_TX_MORE) != 0;
        plain_ = plain_ && (d.flags & ~RVIF_TX_MORE) == 0;
    }
    read_counts(p, static_cast<std::uint32_t>(queue), after);
    const std::uint64_t counted = after.frames - before.frames + (after.rejected - before.rejected);
    CHECK(raced_ ? counted <= static_cast<std::uint64_t>(result) : counted == offered);
    std::uint64_t faults[RVIF_DROP_REASONS]{};
    malformed(faults);
    for (std::uint32_t d = RVIF_DROP_SHORT; d <= RVIF_DROP_BAD_CHAIN; ++d)
        CHECK(raced_ || after.malformed[d] - before.malformed[d] == faults[d]);
    port.frames_offered += counted;

    std::uint64_t outcomes = 0;
    for (std::uint32_t o = 0; o < ports_; ++o) {
        outcomes += after.to[o].frames - before.to[o].frames;
        outcomes += after.to[o].dropped - before.to[o].dropped;
        CHECK(!now_.port[o].down || (after.to[o].frames == before.to[o].frames &&
                                     after.to[o].dropped == before.to[o].dropped));
        if (o != p)
            look(o, after.to[o].frames - before.to[o].frames,
                 after.to[o].bytes - before.to[o].bytes);
    }
    CHECK(outcomes == after.copies - before.copies);
    CHECK(!port.down || outcomes == 0);
    CHECK(after.to[p].frames == before.to[p].frames);
}

// -------------------------------------------------------------------------- guests' memory

void Guests::poke(std::uint32_t p, std::uint32_t region, std::uint64_t offset, const void *from,
                  std::size_t len)
{
    bed.write(p, region, offset, from, len);
    spoilt(p, region, offset, len);
}

void Guests::desc(std::uint32_t p, std::uint32_t i, const rvif_tx_desc &d)
{
    bed.write(p, 0, descs_at + desc_len * (i % RVIF_MAX_BURST), &d, sizeof d);
}

void Guests::post(std::uint32_t p, std::uint32_t source, std::uint32_t i, std::uint32_t entry)
{
    bed.write(p, 0, lanes_at + source % RVIF_MAX_SOURCES * lane_stride + 4 * (i % depth), &entry,
              sizeof entry);
}

void Guests::furnish(std::uint32_t p)
{
    for (std::uint32_t source = 0; source < ports_; ++source) {
        for (std::uint32_t i = 0; i < 8; ++i)
            post(p, source, i, usual_unit(source * 8 + i) | RVIF_PHASE);
    }
    std::uint8_t bytes[frame_stride];
    for (std::uint32_t f = 0; f < frames; ++f) {
        for (std::uint32_t i = 0; i < sizeof bytes; ++i)
            bytes[i] = static_cast<std::uint8_t>((i * 31 + f * 7 + p) ^ (i >> 3));
        // To the next ports, to nobody known, to a group, to all.
        const std::uint8_t to = static_cast<std::uint8_t>((p + f % (ports_ + 1)) % ports_ + 1);
        const std::uint8_t header[14] = {
            static_cast<std::uint8_t>(f == 9 || f == 10 ? (f == 9 ? 0xff : 0x01) : 0x02),
            static_cast<std::uint8_t>(f == 9 ? 0xff : 0),
            static_cast<std::uint8_t>(f == 9 ? 0xff : 0),
            static_cast<std::uint8_t>(f == 9 ? 0xff : 0),
            static_cast<std::uint8_t>(f == 9 ? 0xff : 0),
            static_cast<std::uint8_t>(f == 9    ? 0xff
                                      : f == 11 ? 0x99
                                                : to),
            2,
            0,
            0,
            0,
            0,
            static_cast<std::uint8_t>(p + 1),
            8,
            0};
        std::memcpy(bytes, header, sizeof header);
        bed.write(p, 1, f * frame_stride, bytes, sizeof bytes);
    }
    for (std::uint32_t i = 0; i < RVIF_MAX_BURST; ++i)
        desc(p, i,
             {RVIF_ADDR(1ull, (1 + i / 4 % (frames - 1)) * frame_stride),
              static_cast<std::uint16_t>(60 + i), 0, 0, 0});
}

std::uint32_t Guests::usual_unit(std::uint32_t i)
{
    return static_cast<std::uint32_t>((buffers_at + i % buffers * buf_len) / RVIF_BUF_UNIT);
}

} // namespace rvs::fuzz

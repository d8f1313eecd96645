// SPDX-License-Identifier: Apache-2.0
#include "guests.hpp"

#include "core.hpp"

#include <algorithm>

namespace rvs::fuzz {

namespace {

constexpr std::uint32_t desc_len = sizeof(rvif_tx_desc);

std::uint32_t phase(std::uint32_t i, std::uint32_t lane_depth)
{
    return (i & lane_depth) == 0 ? RVIF_PHASE : 0;
}

template <typename T>
T load(const std::uint8_t *from)
{
    T value;
    std::memcpy(&value, from, sizeof value);
    return value;
}

bool overlap(std::uint64_t a, std::uint64_t a_len, std::uint64_t b, std::uint64_t b_len)
{
    return a < b + b_len && b < a + a_len;
}

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
    closed_ = false;
}

void Guests::finish(std::size_t input)
{
    // By what the input is, so that a finding can be repeated.
    if (contents_ && input % 8 == 0)
        probe();
    if (input % 32 == 0)
        check_totals(); // slow
}

bool Guests::can_send(std::uint32_t p) const
{
    const Port &port = now_.port[p];
    return port.started && port.tx[0].set_up && port.registered == (1u << regions) - 1 &&
           port.tx[0].descs == RVIF_ADDR(0ull, descs_at);
}

bool Guests::can_receive(std::uint32_t p) const
{
    const Port &port = now_.port[p];
    const rvif_rx_setup &rx = port.rx[0].setup;
    return port.rx[0].live && !port.broken && !port.spreads && rx.lanes == usual_rx.lanes &&
           rx.depth == depth && rx.buf_region == 0 && rx.buf_len <= buf_len;
}

// Whatever was done before, two ports that are set up as they should be can talk.
void Guests::probe()
{
    bed.leave(); // no race that is left over
    static constexpr std::uint8_t frame[60] = {0xff, 0xff, 0xff, 0xff, 0xff, 0xff, 2,
                                               0,    0,    0,    0,    0xee, 8,    0};
    for (std::uint32_t p = 0; p < ports_; ++p) {
        if (!can_send(p))
            continue;
        const std::uint32_t source = now_.port[p].tx[0].source;
        bed.write(p, 1, scratch_at, frame, sizeof frame);
        desc(p, 0, {RVIF_ADDR(1ull, scratch_at), sizeof frame, 0, 0, 0});
        std::uint32_t cursor[most_ports];
        for (std::uint32_t o = 0; o < ports_; ++o) {
            cursor[o] = now_.port[o].rx[0].cursor[source];
            if (o != p && can_receive(o))
                post(o, source, cursor[o], usual_unit(source) | phase(cursor[o], depth));
        }
        transmit(p, 0, 1);
        for (std::uint32_t o = 0; o < ports_; ++o)
            CHECK(o == p || !can_receive(o) || now_.port[o].rx[0].cursor[source] == cursor[o] + 1);
    }
}

void Guests::check_totals()
{
    std::uint64_t copies = 0;
    std::uint64_t outcomes = 0;
    for (std::uint32_t p = 0; p < ports_; ++p) {
        PortStats s{};
        CHECK(bed->port_stats(PortId{p}, s) == now_.port[p].open);
        std::uint64_t counted = s.frames.tx_frames;
        for (std::uint32_t d = first_rejected; d < RVIF_DROP_REASONS; ++d)
            counted += s.frames.drops[d];
        CHECK(!now_.port[p].open || counted == now_.port[p].frames_offered);
        copies += s.copies + s.cuts;
        outcomes += s.frames.rx_frames;
        for (std::uint32_t d = 0; d < receiver_reasons; ++d)
            outcomes += s.frames.drops[d];
    }
    // A port that was closed took its counts along.
    CHECK(closed_ || copies == outcomes);
}

// ------------------------------------------------------------------------- the manager

void Guests::open(std::uint32_t p, const PortOptions &options)
{
    const Error error = bed->port_open(PortId{p}, options);
    CHECK(error == (now_.port[p].open ? Error::state : Error::none));
    if (error != Error::none)
        return;
    now_.port[p] = Port{};
    now_.port[p].open = true;
}

void Guests::close(std::uint32_t p)
{
    CHECK(bed->port_close(PortId{p}) == (now_.port[p].open ? Error::none : Error::state));
    now_.port[p] = Port{};
    closed_ = true;
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
    const std::uint64_t len = op == RVIF_OP_STATS     ? sizeof(rvif_port_stats)
                              : op == RVIF_OP_SOURCES ? sizeof(rvif_sources)
                                                      : 0;
    const std::uint64_t offset = RVIF_ADDR_OFFSET(a1);
    const bool named = len != 0 && offset % 8 == 0 && registered(p, a1, len);
    if (named) {
        const auto r = static_cast<std::uint32_t>(RVIF_ADDR_REGION(a1));
        bed.allow_write(p, r, offset, len);
        spoilt(p, r, offset, len);
    }
    const std::int64_t result = call(p, op, a1, a2);
    if (len != 0 && port.open)
        CHECK(result == (named ? 0 : -RVIF_E_ADDR));
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

void Guests::read_counts(std::uint32_t p, std::uint32_t queue, Counts &counts) const
{
    const Core &core = bed.core();
    const TxCounters &tx = core.ports[p].tx[queue].counters;
    counts.frames = tx.frames.get();
    counts.copies = tx.copies.get() + tx.cuts.get();
    counts.rejected = 0;
    for (std::uint32_t d = first_rejected; d < RVIF_DROP_REASONS; ++d)
        counts.rejected += counts.malformed[d] = tx.drops[d].get();
    for (std::uint32_t o = 0; o < ports_; ++o) {
        const PairCounters &pair = core.pairs[source_][o];
        Counts::To &to = counts.to[o];
        to = {pair.frames.get(), pair.bytes.get(), 0};
        for (const Counter &drops : pair.drops)
            to.dropped += drops.get();
    }
}

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
        if (o != p)
            look(o, after.to[o].frames - before.to[o].frames,
                 after.to[o].bytes - before.to[o].bytes);
    }
    CHECK(outcomes == after.copies - before.copies);
    CHECK(after.to[p].frames == before.to[p].frames);
}

bool Guests::registered(std::uint32_t p, rvif_addr_t at, std::uint64_t len) const
{
    const std::uint64_t r = RVIF_ADDR_REGION(at);
    const std::uint64_t offset = RVIF_ADDR_OFFSET(at);
    return r < regions && (now_.port[p].registered >> r & 1) != 0 && offset <= region_len[r] &&
           len <= region_len[r] - offset;
}

std::uint32_t Guests::fault(const rvif_tx_desc &d, bool first) const
{
    const std::uint64_t r = RVIF_ADDR_REGION(d.addr);
    if ((d.flags & ~(first ? RVIF_TX_FLAGS : RVIF_TX_MORE)) != 0)
        return RVIF_DROP_BAD_FLAGS;
    if (d.len == 0)
        return RVIF_DROP_ZERO_LENGTH;
    if (r >= regions || (now_.port[caller_].registered >> r & 1) == 0)
        return RVIF_DROP_BAD_REGION;
    return registered(caller_, d.addr, d.len) ? RVIF_DROP_REASONS : RVIF_DROP_BAD_RANGE;
}

// Of descs_, the frames that rvif.h does not allow, by what is wrong with each first.
void Guests::malformed(std::uint64_t (&faults)[RVIF_DROP_REASONS]) const
{
    std::uint64_t total = 0;
    std::uint32_t reason = RVIF_DROP_REASONS;
    bool more = false;
    for (const rvif_tx_desc &d : descs_) {
        if (reason == RVIF_DROP_REASONS)
            reason = fault(d, !more);
        total += d.len;
        more = (d.flags & RVIF_TX_MORE) != 0;
        if (more && &d != &descs_.back())
            continue;
        if (reason == RVIF_DROP_REASONS) {
            reason = more                     ? RVIF_DROP_BAD_CHAIN
                     : total > RVIF_MAX_FRAME ? RVIF_DROP_TX_TOO_BIG
                     : total < 14             ? RVIF_DROP_SHORT
                                              : RVIF_DROP_REASONS;
        }
        if (reason != RVIF_DROP_REASONS)
            ++faults[reason];
        reason = RVIF_DROP_REASONS;
        total = 0;
    }
}

// What a call of source_ may touch of o's memory: its lanes there, and the buffers that are posted
// in them and come next.
void Guests::allow(std::uint32_t o)
{
    for (RxQueue &rx : now_.port[o].rx) {
        if (rx.live)
            allow_queue(o, rx);
    }
}

void Guests::allow_queue(std::uint32_t o, RxQueue &rx)
{
    Port &port = now_.port[o];
    const auto r = static_cast<std::uint32_t>(RVIF_ADDR_REGION(rx.setup.lanes));
    const std::uint32_t b = rx.setup.buf_region;
    const std::uint64_t d = rx.setup.depth;
    const std::uint64_t lanes = RVIF_ADDR_OFFSET(rx.setup.lanes);
    const std::uint64_t lane = lanes + source_ * RVIF_LANE_STRIDE(d);
    bed.allow_read(o, r, lane, RVIF_LANE_META(d));
    bed.allow_write(o, r, lane + RVIF_LANE_COMP(d), 12 * d);
    const std::uint8_t *posted = bed.at(o, r, lane);
    const std::uint32_t from = rx.cursor[source_];
    for (std::uint32_t i = 0; i < d; ++i) {
        const auto entry = load<std::uint32_t>(posted + 4 * ((from + i) % d));
        const std::uint64_t offset = std::uint64_t{entry & RVIF_POSTED_MASK} * RVIF_BUF_UNIT;
        const bool next = (entry & RVIF_PHASE) == phase(from + i, rx.setup.depth) &&
                          offset + rx.setup.buf_len <= region_len[b];
        if (!next && !port.broken && !raced_)
            break; // it stands until it is replaced
        if (offset + rx.setup.buf_len > region_len[b])
            continue;
        bed.allow_write(o, b, offset, rx.setup.buf_len);
        if (overlap_lanes(port, b, offset, rx.setup.buf_len)) {
            // What is written there may post any other buffer.
            port.broken = true;
            for (std::uint32_t all = 0; all < regions; ++all) {
                if ((port.registered >> all & 1) != 0) {
                    bed.allow_read(o, all, 0, region_len[all]);
                    bed.allow_write(o, all, 0, region_len[all]);
                }
            }
            return;
        }
    }
}

bool Guests::overlap_lanes(const Port &port, std::uint32_t region, std::uint64_t offset,
                           std::uint64_t len)
{
    for (const RxQueue &rx : port.rx) {
        if (rx.live && RVIF_ADDR_REGION(rx.setup.lanes) == region &&
            overlap(offset, len, RVIF_ADDR_OFFSET(rx.setup.lanes),
                    RVIF_MAX_SOURCES * RVIF_LANE_STRIDE(rx.setup.depth)))
            return true;
    }
    return false;
}

// Guests wrote to their memory during the call: buffers that are posted now may be filled, too.
void Guests::raced(const Bed::Race &race)
{
    if (setup_ != nullptr) {
        // Its words are the first that the call loads, each once: what comes later is not seen.
        if (race.port == caller_ && race.region == 0 && race.offset >= setup_at_ &&
            race.offset + race.len <= setup_at_ + setup_len_ &&
            race.load <= (race.offset - setup_at_) / 8 + 1)
            std::memcpy(setup_ + (race.offset - setup_at_), &race.value, race.len);
        return;
    }
    raced_ = true;
    for (std::uint32_t o = 0; o < ports_; ++o) {
        if (o != caller_)
            allow(o);
    }
}

// ------------------------------------------------------------------------- what arrived

namespace {

// A frame's bytes, piece by piece.
struct Pieces {
    struct Piece {
        const std::uint8_t *data;
        std::uint32_t len;
    };
    std::vector<Piece> pieces;
    std::uint32_t total = 0;

    void clear()
    {
        pieces.clear();
        total = 0;
    }
    void add(const std::uint8_t *data, std::uint32_t len)
    {
        pieces.push_back({data, len});
        total += len;
    }
    bool operator==(const Pieces &other) const
    {
        if (total != other.total)
            return false;
        std::size_t a = 0;
        std::size_t b = 0;
        std::uint32_t a_done = 0;
        std::uint32_t b_done = 0;
        for (std::uint32_t left = total; left != 0;) {
            const Piece &x = pieces[a];
            const Piece &y = other.pieces[b];
            const std::uint32_t n = std::min(x.len - a_done, y.len - b_done);
            if (std::memcmp(x.data + a_done, y.data + b_done, n) != 0)
                return false;
            left -= n;
            if ((a_done += n) == x.len) {
                ++a;
                a_done = 0;
            }
            if ((b_done += n) == y.len) {
                ++b;
                b_done = 0;
            }
        }
        return true;
    }
};

} // namespace

// o finds in its lanes what the counters say; and it is what was sent, in its order.
void Guests::look(std::uint32_t o, std::uint64_t frames, std::uint64_t bytes)
{
    static Pieces sent;
    static Pieces got;
    Port &port = now_.port[o];
    if (port.broken)
        return;
    RxQueue &rx = port.rx[0]; // others: broken
    if (!rx.live) {
        CHECK(frames == 0);
        return;
    }
    const std::uint8_t *posted = bed.at(o, 0, lanes_at + source_ * lane_stride);
    const std::uint8_t *comp = posted + RVIF_LANE_COMP(depth);
    std::uint32_t &at = rx.cursor[source_];

    // A buffer that is posted twice holds what came last.
    ++marks_;
    bool whole = plain_;
    bool middle = false;
    std::uint64_t found_frames = 0;
    std::uint64_t found_bytes = 0;
    std::size_t next = 0; // of descs_
    got.clear();
    const std::uint32_t first = at;
    for (; at - first < depth; ++at) {
        const auto entry = load<std::uint64_t>(comp + 8 * (at % depth));
        if ((entry & RVIF_PHASE) != phase(at, depth))
            break;
        const std::uint32_t len = entry & RVIF_COMP_LEN_MASK;
        const std::uint64_t known = RVIF_PHASE | RVIF_COMP_LEN_MASK | RVIF_COMP_MORE;
        CHECK(len != 0 && len <= rx.setup.buf_len);
        CHECK((entry & ~(middle ? known : known | RVIF_COMP_FLAGS | ~0ull << 32)) == 0);
        const bool more = (entry & RVIF_COMP_MORE) != 0;
        CHECK(!more || len == rx.setup.buf_len);
        found_bytes += len;
        found_frames += more ? 0 : 1;
        middle = more;
        if (!whole)
            continue;
        const std::uint64_t offset =
            std::uint64_t{load<std::uint32_t>(posted + 4 * (at % depth)) & RVIF_POSTED_MASK} *
            RVIF_BUF_UNIT;
        for (std::uint64_t m = offset / RVIF_BUF_UNIT; m * RVIF_BUF_UNIT < offset + len; ++m) {
            whole = whole && marked_[m] != marks_;
            marked_[m] = marks_;
        }
        got.add(bed.at(o, rx.setup.buf_region, offset), len);
    }
    CHECK(!middle); // no part of a frame is ever seen
    CHECK(found_frames == frames);
    CHECK(found_bytes == bytes);
    if (!whole || frames == 0)
        return;

    // Each in turn is one of those that were sent behind the one before.
    std::size_t piece = 0;
    static Pieces one;
    for (std::uint32_t i = first; i != at; ++i) {
        one.clear();
        for (bool more = true; more; ++piece) {
            one.add(got.pieces[piece].data, got.pieces[piece].len);
            more = (load<std::uint64_t>(comp + 8 * (i % depth)) & RVIF_COMP_MORE) != 0;
            i += more ? 1 : 0;
        }
        const std::uint8_t *source = one.pieces[0].data + 6;
        CHECK((source[0] & 1) == 0);
        bool found = false;
        while (!found) {
            CHECK(next < descs_.size());
            sent.clear();
            bool good = true;
            for (bool more = true; more && next < descs_.size(); ++next) {
                const rvif_tx_desc &d = descs_[next];
                more = (d.flags & RVIF_TX_MORE) != 0;
                good = good && d.len != 0 && registered(caller_, d.addr, d.len);
                if (good)
                    sent.add(bed.at(caller_, static_cast<std::uint32_t>(RVIF_ADDR_REGION(d.addr)),
                                    RVIF_ADDR_OFFSET(d.addr)),
                             d.len);
            }
            found = good && sent == one;
        }
    }
}

// -------------------------------------------------------------------------- guests' memory

// The guest, or the switch for it, writes there.
void Guests::spoilt(std::uint32_t p, std::uint32_t region, std::uint64_t offset, std::uint64_t len)
{
    now_.port[p].broken |= overlap_lanes(now_.port[p], region, offset, len);
}

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

// ---------------------------------------------------------------------------------- input

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

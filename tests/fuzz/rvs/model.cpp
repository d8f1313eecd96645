// SPDX-License-Identifier: Apache-2.0
// What a correct switch may then do.
#include "core.hpp"
#include "guests.hpp"

#include <algorithm>

namespace rvs::fuzz {

namespace {

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

bool Guests::can_send(std::uint32_t p) const
{
    const Port &port = now_.port[p];
    return port.started && !port.down && !port.limited && port.tx[0].set_up &&
           port.registered == (1u << regions) - 1 && port.tx[0].descs == RVIF_ADDR(0ull, descs_at);
}

bool Guests::can_receive(std::uint32_t p) const
{
    const Port &port = now_.port[p];
    const rvif_rx_setup &rx = port.rx[0].setup;
    return port.rx[0].live && !port.down && !port.broken && !port.spreads &&
           rx.lanes == usual_rx.lanes && rx.depth == depth && rx.buf_region == 0 &&
           rx.buf_len <= buf_len;
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

void Guests::count(const PortStats &stats, Totals &totals)
{
    totals.copies += stats.copies + stats.cuts;
    totals.outcomes += stats.frames.rx_frames;
    for (std::uint32_t d = 0; d < receiver_reasons; ++d)
        totals.outcomes += stats.frames.drops[d];
}

void Guests::check_totals()
{
    Totals totals = now_.gone;
    for (std::uint32_t p = 0; p < ports_; ++p) {
        PortStats s{};
        CHECK(bed->port_stats(PortId{p}, s));
        std::uint64_t counted = s.frames.tx_frames;
        for (std::uint32_t d = first_rejected; d < RVIF_DROP_REASONS; ++d)
            counted += s.frames.drops[d];
        CHECK(!now_.port[p].open || counted == now_.port[p].frames_offered);
        count(s, totals);
    }
    CHECK(totals.copies == totals.outcomes);
}

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

// The guest, or the switch for it, writes there.
void Guests::spoilt(std::uint32_t p, std::uint32_t region, std::uint64_t offset, std::uint64_t len)
{
    now_.port[p].broken |= overlap_lanes(now_.port[p], region, offset, len);
}

} // namespace rvs::fuzz

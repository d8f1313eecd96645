// SPDX-License-Identifier: Apache-2.0
//
// RVIF_OP_TX: from the sender's descriptors to the receivers' posted buffers.
//
//   descriptor(s) -> Frame (checked, header in our hands) -> Decision -> OpenLane(s) -> publish
//
// A decision holds for a run of frames with the same addresses: one look at the MAC table, one at
// the receiver's queue, for the run (runs.hpp). Most calls are one run and no more: straight.hpp.
// Where destinations change from frame to frame, scatter() takes them: see scatter.hpp. What is
// left, frames in pieces, requests, floods, drops, goes through one().
#include "core.hpp"
#include "flow.hpp"
#include "offload.hpp"
#include "open_lanes.hpp"
#include "scatter.hpp"
#include "straight.hpp"

namespace rvs {

namespace {

// What to do with the frames of a run.
struct Decision {
    enum class Kind : std::uint8_t { none, unicast, flood, drop };

    Kind kind = Kind::none;
    bool fast = false;              // unicast, to `lane`, as they are
    std::uint32_t reason = no_drop; // drop
    std::uint32_t vlan = 0;
    std::uint32_t port = 0;   // unicast
    std::uint64_t ports = 0;  // flood: to these
    OpenLane *lane = nullptr; // fast
};

constexpr std::uint64_t bit(std::uint32_t n)
{
    return std::uint64_t{1} << n;
}

class Transmission : private Scatter {
  public:
    explicit Transmission(const Runs &so_far)
        : Scatter{so_far}, exact_{(policy_ & policy::vlan) != 0}, may_scatter_{may_scatter()},
          scattered_{may_scatter_ && tx_.scattered.load(std::memory_order_relaxed)},
          open_{core_, source_, generation_, queue_, tx_.journal}
    {
    }

    // From frame i on. Those before it, if any, were a run.
    std::uint32_t run(Address descs, std::uint32_t i, std::uint32_t count)
    {
        bool after_run = i != 0;
        // Once for each frame: its sender may be changing it all the time.
        std::uint32_t looked_at = ~0u;
        while (i < count && copied_ < call_bytes) {
            open_.progress.at = i;
            if (scattered_) {
                i = scatter_from(descs, i, count);
                if (i == count || copied_ >= call_bytes)
                    break;
                if (!scattered_)
                    continue;
                open_.progress.at = i;
                i = one(descs, i, count);
                continue;
            }
            if (decision_.fast) {
                const std::uint32_t before = i;
                i = fast(descs, i, count);
                open_.progress.at = i;
                if (i == count)
                    break;
                if (i != before || scattered_)
                    continue;
            }
            if ((decision_.fast || decision_.kind == Decision::Kind::none) && looked_at != i) {
                looked_at = i;
                const bool was_fast = decision_.fast || after_run;
                after_run = false;
                const Header old = last_;
                try_run(descs + sizeof(rvif_tx_desc) * i);
                if (decision_.kind == Decision::Kind::unicast && may_scatter_) {
                    // Addresses that change more than fast() follows, or a receiver that spreads.
                    scattered_ = decision_.fast ? was_fast && !same(old) : tries_ != 0;
                }
                if (decision_.fast || scattered_)
                    continue;
            }
            i = one(descs, i, count);
            scattered_ = may_scatter_ && tries_ != 0 && !decision_.fast &&
                         decision_.kind == Decision::Kind::unicast;
        }
        open_.progress.at = i;
        open_.end();
        tx_.scattered.store(scattered_, std::memory_order_relaxed);
        count_all();
        return i;
    }

  private:
    void drop(std::uint32_t reason) { tx_.counters.drops[reason].add(1); }

    // From frame i on, as far as it goes. scattered_: whether to go on like this.
    std::uint32_t scatter_from(Address descs, std::uint32_t i, std::uint32_t count)
    {
        open_.end();
        decision_.fast = false; // its lane
        bool one_run = false;
        const std::uint32_t at = scatter(descs, i, count, one_run);
        if (at == i) {
            --tries_;
            scattered_ = false;
        } else if (one_run && at - i > 1) {
            scattered_ = false;
            decision_.kind = Decision::Kind::none;
        }
        return at;
    }

    // ------------------------------------------------------------------ the common case

    // Decides for a frame, if a run may begin with it.
    void try_run(Address desc)
    {
        if (!look_at(desc))
            return;
        tagged_ = false;
        decide(last_, last_length_, 0, 0);
    }

    std::uint32_t fast(Address descs, std::uint32_t i, std::uint32_t count)
    {
        return exact_ ? follow<true>(*decision_.lane, descs, i, count)
                      : follow<false>(*decision_.lane, descs, i, count);
    }

    // ---------------------------------------------------------------------- any frame

    // The frame whose first descriptor is i. Returns the index behind its last.
    [[gnu::noinline]] std::uint32_t one(Address descs, std::uint32_t i, std::uint32_t count)
    {
        TxDesc desc = read_tx_desc(descs + sizeof(rvif_tx_desc) * i);
        const TxDesc first = desc;
        std::uint32_t segments = 0;
        std::uint32_t total = 0; // at most RVIF_MAX_BURST * RVIF_MAX_FRAME
        std::uint32_t reason = no_drop;
        Segment *const chain = segments_ + 2;
        // To the end of the chain, good or bad.
        for (bool head = true;; head = false) {
            if (reason == no_drop) {
                reason = check_tx_desc(desc, head, port_.regions, chain[segments]);
                if (reason == no_drop)
                    total += chain[segments++].len;
            }
            ++i;
            if ((desc.flags() & RVIF_TX_MORE) == 0)
                break;
            if (i == count) {
                if (reason == no_drop)
                    reason = RVIF_DROP_BAD_CHAIN;
                break;
            }
            desc = read_tx_desc(descs + sizeof(rvif_tx_desc) * i);
        }
        if (reason == no_drop && total > RVIF_MAX_FRAME)
            reason = RVIF_DROP_TX_TOO_BIG;
        if (reason == no_drop && total < Header::ethernet)
            reason = RVIF_DROP_SHORT;
        if (reason != no_drop) {
            drop(reason);
            return i;
        }
        remember_region(first.addr);

        Frame frame;
        frame.total = total;
        frame.flags = static_cast<std::uint16_t>(first.flags() & ~RVIF_TX_MORE);
        frame.vlan = first.vlan();
        frame.segsz = first.segsz();
        Segment *rest = chain;
        const std::uint32_t header_len = take_header(rest, segments, frame.header);
        frame.nested = false;
        // The slots in front of what is left of the chain are free.
        if (exact_ && frame.header.ethertype() == ethertype_vlan)
            look_behind_tag(frame, rest, segments);
        frame.segment = rest - 1;
        frame.count = segments + 1;
        frame.segment[0] =
            Segment{reinterpret_cast<const std::uint8_t *>(&frame.header), header_len};
        behind_ = i;
        forward(frame);
        return i;
    }

    // Whether a second tag shows where the first is taken off. Behind a tag that is asked for it is
    // in the header; otherwise in the bytes that follow, which are copied, too.
    void look_behind_tag(Frame &frame, Segment *&rest, std::uint32_t &segments)
    {
        frame.nested = (frame.flags & RVIF_TX_VLAN) != 0;
        if (frame.nested || frame.total < Header::size + sizeof behind_tag_)
            return;
        for (std::uint8_t &byte : behind_tag_)
            byte = take_byte(rest, segments);
        std::uint16_t type = 0;
        __builtin_memcpy(&type, behind_tag_, sizeof type);
        frame.nested = type == ethertype_vlan;
        *--rest = Segment{behind_tag_, sizeof behind_tag_};
        ++segments;
    }

    void forward(const Frame &frame)
    {
        if ((frame.flags & Offload::requests) != 0 && !offload_.take(frame))
            return drop(RVIF_DROP_BAD_OFFLOAD);
        // A tag that is asked for decides as one that is there; it is no part of `last_`.
        const bool tagged = (frame.flags & RVIF_TX_VLAN) != 0;
        if (decision_.kind == Decision::Kind::none || tagged || tagged_ || !same(frame.header)) {
            last_ = frame.header;
            tagged_ = tagged;
            decide(frame.header, frame.total, frame.flags, frame.vlan);
        }
        if ((policy_ & policy::rate) != 0) {
            const bool rejected =
                decision_.kind == Decision::Kind::drop && decision_.reason >= first_rejected;
            if (!rejected && !port_.policy.rate.take(frame.total, __builtin_ia32_rdtsc()))
                return drop(RVIF_DROP_RATE);
        }
        switch_on(frame);
    }

    [[nodiscard]] bool same(const Header &header) const
    {
        const std::uint64_t mask = exact_ ? ~std::uint64_t{0} : 0xffffffff;
        return header.low == last_.low && ((header.high ^ last_.high) & mask) == 0;
    }

    void switch_on(const Frame &frame)
    {
        using Kind = Decision::Kind;
        if (decision_.kind == Kind::drop) {
            drop(decision_.reason);
            if (decision_.reason >= first_rejected)
                return;
            ++tally_.frames;
            tally_.bytes += frame.total;
            return;
        }
        ++tally_.frames;
        tally_.bytes += frame.total;
        std::uint64_t to = decision_.kind == Kind::unicast ? bit(decision_.port) : decision_.ports;
        if (frame.nested) {
            to &= ~untagged_at(to);
            if (to == 0)
                return drop(RVIF_DROP_VLAN_EGRESS);
        }
        if (decision_.kind == Kind::flood) {
            if ((policy_ & policy::storm) != 0) {
                const bool cut = (frame.flags & RVIF_TX_TSO) != 0;
                if (!port_.policy.storm.take(cut ? offload_.pieces() : 1, __builtin_ia32_rdtsc()))
                    return drop(RVIF_DROP_STORM);
            }
            ++tally_.flooded;
        }
        std::uint64_t mirrors = mirror_of(port_);
        // What becomes several frames counts as consumed from the first on: rather lost than twice.
        if (decision_.kind == Decision::Kind::flood || (frame.flags & RVIF_TX_TSO) != 0 ||
            mirrors != 0 || core_.ports[decision_.port].policy.has(policy::mirror) != 0)
            open_.progress.at = behind_;
        for (std::uint64_t left = to; left != 0; left &= left - 1) {
            const auto port = static_cast<std::uint32_t>(__builtin_ctzll(left));
            send(port, frame, false);
            mirrors |= mirror_of(core_.ports[port]);
        }
        // Once, not to whom it goes anyway, and to nobody who is held down.
        mirrors &= ~(to | bit(self_) | core_.down_ports.load(std::memory_order_relaxed));
        if (mirrors != 0)
            decision_.fast = false; // its lane may have to give way
        for (; mirrors != 0; mirrors &= mirrors - 1)
            send(static_cast<std::uint32_t>(__builtin_ctzll(mirrors)), frame, true);
    }

    // Of these ports, those that the frame reaches without its tag. To show what is behind it there
    // would be a way from one VLAN into another.
    [[nodiscard]] std::uint64_t untagged_at(std::uint64_t ports) const
    {
        std::uint64_t out = 0;
        for (; ports != 0; ports &= ports - 1) {
            const auto port = static_cast<std::uint32_t>(__builtin_ctzll(ports));
            if (core_.ports[port].policy.native.load(std::memory_order_relaxed) == decision_.vlan)
                out |= bit(port);
        }
        return out;
    }

    static std::uint64_t mirror_of(const Port &port)
    {
        if (port.policy.has(policy::mirror) == 0)
            return 0;
        return port.policy.mirrors.load(std::memory_order_relaxed);
    }

    // ------------------------------------------------------------------------- one receiver

    // A mirrored frame keeps its tag as it came.
    void send(std::uint32_t port, const Frame &frame, bool mirrored)
    {
        ++tally_.copies;
        const Port &receiver = core_.ports[port];
        const std::uint32_t types = receiver.rss_types.load(std::memory_order_relaxed);
        std::uint32_t hash = 0;
        std::uint32_t queue = 0;
        if (types != 0) {
            hash = flow_hash(frame, types);
            queue = receiver.rss_queue[hash % RVIF_RETA_SIZE].load(std::memory_order_relaxed);
        } else {
            queue = receiver.rx_queue_for(open_.tx_queue());
        }
        OpenLane *lane = open_.to(port, queue);
        if (lane == nullptr)
            return open_.not_ready(port);
        copied_ += frame.total;
        Notes notes;
        if ((lane->lane->flags & RVIF_RXQ_HASH) != 0) {
            if (types == 0)
                hash = flow_hash(frame, RVIF_RSS_TYPES);
            notes.comp = RVIF_COMP_HASH | std::uint64_t{hash} << 32;
        }
        const Tagging tagging = retag(receiver.policy, frame, lane->lane->flags, mirrored, notes);
        if ((frame.flags & Offload::requests) != 0) {
            tally_.cuts += offload_.deliver(*lane, tagging, notes, avx2_) - 1;
        } else if (tagging.change == Tagging::Change::none) {
            lane->deliver(frame.segment, frame.count, frame.total, notes, avx2_);
        } else {
            const Retagged head{frame.header, frame.segment[0].len, tagging};
            const Segment saved = frame.segment[0];
            frame.segment[0] = Segment{head.bytes, head.len};
            lane->deliver(frame.segment, frame.count, frame.total - saved.len + head.len, notes,
                          avx2_);
            frame.segment[0] = saved;
        }
    }

    // How the frame's tag must change for this receiver, and what it is told of it.
    [[nodiscard]] Tagging retag(const Policy &receiver, const Frame &frame, std::uint32_t takes,
                                bool mirrored, Notes &notes) const
    {
        using Change = Tagging::Change;
        const bool asked = (frame.flags & RVIF_TX_VLAN) != 0;
        // A tag needs its four bytes and an EtherType behind them.
        const bool inside = !asked && frame.header.ethertype() == ethertype_vlan &&
                            frame.total >= Header::ethernet + 4;
        bool tagged = asked || inside;
        std::uint16_t tci = asked ? frame.vlan : inside ? frame.header.tci() : std::uint16_t{0};
        if (!mirrored && receiver.has(policy::vlan) != 0) {
            const auto vlan = static_cast<std::uint16_t>(decision_.vlan);
            tagged = vlan != receiver.native.load(std::memory_order_relaxed);
            tci = static_cast<std::uint16_t>((tci & 0xf000) | vlan);
        }
        if (tagged && (takes & RVIF_RXQ_VLAN) != 0) {
            notes.comp |= RVIF_COMP_VLAN;
            notes.meta |= tci;
            tagged = false;
        }
        if (tagged == inside)
            return !inside || tci == frame.header.tci() ? Tagging{} : Tagging{Change::replace, tci};
        return tagged ? Tagging{Change::insert, tci} : Tagging{Change::remove, 0};
    }

    // ----------------------------------------------------------------------------- decisions

    void decide_to_drop(std::uint32_t reason)
    {
        decision_.kind = Decision::Kind::drop;
        decision_.reason = reason;
    }

    // Sets decision_. flags: RVIF_TX_* of the frame; tci: of the tag if they ask for one.
    [[gnu::noinline]] void decide(const Header &header, std::uint32_t total, std::uint32_t flags,
                                  std::uint16_t tci)
    {
        const std::uint64_t source = header.source();
        const std::uint64_t destination = header.destination();
        Decision &d = decision_;
        d.fast = false;
        d.vlan = 0;
        if (source == 0 || (source & mac_group_bit) != 0)
            return decide_to_drop(RVIF_DROP_BAD_SOURCE_MAC);
        if (policy_ != 0) {
            // Before its address is learned: who may not send must not draw another's frames
            // either.
            if ((policy_ & (policy::link_down | policy::mute)) != 0)
                return decide_to_drop(RVIF_DROP_LINK_DOWN);
            if ((policy_ & policy::own_macs) != 0 && !port_.policy.owns(source))
                return decide_to_drop(RVIF_DROP_SPOOFED);
            if ((policy_ & policy::vlan) != 0 && !classify(header, total, flags, tci, d.vlan))
                return decide_to_drop(RVIF_DROP_VLAN_INGRESS);
        }

        const std::uint32_t refused = meet(source, d.vlan);
        if (refused != no_drop)
            return decide_to_drop(refused);

        std::uint32_t port = Fdb::nowhere;
        if ((destination & mac_group_bit) == 0)
            port = core_.fdb().lookup(fdb_key(destination, d.vlan));
        if (port == self_)
            return decide_to_drop(RVIF_DROP_SAME_PORT);
        if (port == Fdb::nowhere)
            return flood(destination);

        const std::uint64_t to = bit(port);
        if (!core_.ports[port].policy.member(d.vlan))
            return decide_to_drop(RVIF_DROP_VLAN_EGRESS);
        if ((policy_ & policy::isolated) != 0 &&
            (core_.isolated_ports.load(std::memory_order_relaxed) & to) != 0)
            return decide_to_drop(RVIF_DROP_ISOLATED);
        if (((core_.down_ports.load(std::memory_order_relaxed) |
              core_.capture_ports.load(std::memory_order_relaxed)) &
             to) != 0)
            return decide_to_drop(RVIF_DROP_NO_DESTINATION);
        d.kind = Decision::Kind::unicast;
        d.port = port;
        find_fast(header, flags, d);
    }

    // Whether the run's frames can go straight to one lane as they are.
    void find_fast(const Header &header, std::uint32_t flags, Decision &d)
    {
        const Port &receiver = core_.ports[d.port];
        if ((policy_ & policy::each_frame) != 0 || (flags & RVIF_TX_VLAN) != 0 ||
            receiver.policy.has(policy::mirror) != 0 ||
            receiver.rss_types.load(std::memory_order_relaxed) != 0)
            return;
        OpenLane *lane = open_.to(d.port, receiver.rx_queue_for(open_.tx_queue()));
        if (lane == nullptr || (lane->lane->flags & (RVIF_RXQ_HASH | RVIF_RXQ_VLAN)) != 0)
            return;
        receiver_knows_vlans_ = receiver.policy.has(policy::vlan) != 0;
        if (!receiver_knows_vlans_ || retag_free(receiver.policy, header, d.vlan)) {
            d.fast = true;
            d.lane = lane;
        }
    }

    [[nodiscard]] static bool retag_free(const Policy &receiver, const Header &header,
                                         std::uint32_t vlan)
    {
        const bool inside = header.ethertype() == ethertype_vlan;
        return inside == (vlan != receiver.native.load(std::memory_order_relaxed)) &&
               (!inside || (header.tci() & 0xfff) == vlan);
    }

    // The VLAN of a frame from a port that knows VLANs. False: it is not in that one.
    [[nodiscard]] bool classify(const Header &header, std::uint32_t total, std::uint32_t flags,
                                std::uint16_t tci, std::uint32_t &vlan) const
    {
        std::uint32_t id = 0;
        if ((flags & RVIF_TX_VLAN) != 0)
            id = tci & 0xfff;
        else if (header.ethertype() == ethertype_vlan && total >= Header::ethernet + 4)
            id = header.tci() & 0xfff;
        if (id != 0) {
            vlan = id;
            return port_.policy.tagged_member(id);
        }
        vlan = port_.policy.native.load(std::memory_order_relaxed); // a tag of 0 is priority alone
        return vlan != 0;
    }

    void flood(std::uint64_t destination)
    {
        std::uint64_t to = core_.live_ports.load(std::memory_order_acquire) & ~bit(self_) &
                           core_.vlan_ports[decision_.vlan].load(std::memory_order_relaxed) &
                           ~core_.capture_ports.load(std::memory_order_relaxed) &
                           ~core_.down_ports.load(std::memory_order_relaxed);
        if ((destination & mac_group_bit) == 0)
            to &= core_.promisc_ports.load(std::memory_order_relaxed);
        else if (destination != mac_broadcast)
            to &= core_.multicast_ports.load(std::memory_order_relaxed);
        if ((policy_ & policy::isolated) != 0)
            to &= ~core_.isolated_ports.load(std::memory_order_relaxed);
        if (to == 0)
            return decide_to_drop(RVIF_DROP_NO_DESTINATION);
        decision_.kind = Decision::Kind::flood;
        decision_.ports = to;
    }

    bool exact_; // the header's bytes 12..15 are part of a run
    bool may_scatter_;
    bool scattered_;           // destinations change all the time
    std::uint32_t tries_ = 4;  // of scatter() that come to nothing
    bool tagged_ = false;      // decision_ is for a frame whose tag is not in its header
    std::uint32_t behind_ = 0; // index behind the descriptors of the frame that one() has
    Decision decision_;
    OpenLanes open_;
    Offload offload_;
    std::uint8_t behind_tag_[2];
    // A chain; in front of it slots for its header and what is behind its tag.
    Segment segments_[RVIF_MAX_BURST + 3];
};

// What a Transmission needs is set up, and is on the stack, for those alone who need it.
[[gnu::noinline]] std::uint32_t the_rest(const Straight &so_far, Address descs, std::uint32_t i,
                                         std::uint32_t count)
{
    return Transmission{so_far}.run(descs, i, count);
}

} // namespace

std::int64_t Core::transmit(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                            std::uint64_t count, std::uint64_t number)
{
    if (queue >= RVIF_MAX_QUEUES)
        return -RVIF_E_QUEUE;
    if (count > RVIF_MAX_BURST)
        return -RVIF_E_ARG;
    Port &port = ports[self];
    TxQueue &tx = port.tx[queue];
    const Claim::Result claim = tx.busy.take(cpu);
    if (claim != Claim::Result::taken) [[unlikely]] {
        if (claim == Claim::Result::busy)
            return -RVIF_E_BUSY;
        after_cut(tx);
    }

    const bool timed = tx.calls.load(std::memory_order_relaxed) % calls_for_a_timed_one == 0;
    const std::uint64_t begun = timed ? __builtin_ia32_rdtsc() : 0;
    const std::uint64_t frames_before = timed ? tx.counters.frames.get() : 0;

    std::int64_t result = 0;
    Address descs = 0;
    const std::uint32_t source = tx.source.load(std::memory_order_acquire);
    tx.journal.begin(number);
    if (source >= RVIF_MAX_SOURCES) {
        result = -RVIF_E_QUEUE;
    } else if (!port.started.load(std::memory_order_acquire)) {
        result = -RVIF_E_STATE;
    } else if (resolve(port.regions, tx.descs.load(std::memory_order_relaxed),
                       sizeof(rvif_tx_desc) * RVIF_MAX_BURST, descs) != Resolved::ok) {
        result = -RVIF_E_ADDR; // its region was removed
    } else {
        Straight straight{Sending{*this, self, static_cast<std::uint32_t>(queue), source,
                                  tx.source_generation.load(std::memory_order_relaxed),
                                  (tx.flags.load(std::memory_order_relaxed) & RVIF_TXQ_AVX2) != 0}};
        const auto all = static_cast<std::uint32_t>(count);
        std::uint32_t done = straight.run(descs, all);
        if (done != all)
            done = the_rest(straight, descs, done, all);
        result = done;
        tx.journal.end(static_cast<std::uint32_t>(result));
        if (timed) [[unlikely]]
            tx.counters.time(frames_before, begun, __builtin_ia32_rdtsc());
    }
    tx.calls.store(tx.calls.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    tx.busy.release();
    return result;
}

std::uint32_t Core::after_cut(TxQueue &tx)
{
    Journal &journal = tx.journal;
    const std::uint32_t source = tx.source.load();
    const std::uint32_t lane = journal.lane.load();
    if (journal.planned() != 0 && source < RVIF_MAX_SOURCES)
        fulfil(journal, source);
    journal.fulfilled(journal.consumed());
    if (lane != 0 && source < RVIF_MAX_SOURCES) {
        const std::uint32_t port = (lane - 1) / RVIF_MAX_QUEUES % RVIF_MAX_PORTS;
        const std::uint32_t queue = (lane - 1) % RVIF_MAX_QUEUES;
        // Once decided, it stays so, should this call be cut short, too.
        if (lanes[source][port][queue].has_published(ports[port].rx[queue], journal.first.load()))
            journal.published();
        else
            journal.lane.store(0);
    }
    // Each lane recovers when it is used next. (Claims count in the low bits.)
    tx.source_generation.fetch_add(std::uint64_t{1} << 40);
    const std::uint32_t lost = journal.lost.exchange(0);
    if (lost != 0)
        tx.counters.drops[RVIF_DROP_INTERRUPTED].add(lost);
    // seq_cst: the claim stays as it is, so nothing else would order this before what a call that
    // follows looks at. See Grace.
    tx.calls.store(tx.calls.load(std::memory_order_relaxed) + 1);
    return journal.consumed();
}

std::int64_t Core::recover(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                           std::uint64_t number)
{
    if (queue >= RVIF_MAX_QUEUES)
        return -RVIF_E_QUEUE;
    TxQueue &tx = ports[self].tx[queue];
    const Claim::Result claim = tx.busy.take(cpu);
    if (claim == Claim::Result::busy)
        return -RVIF_E_BUSY;
    if (claim == Claim::Result::again)
        after_cut(tx);
    // Of another number: that call had not begun.
    const std::uint32_t consumed = tx.journal.call.load() == number ? tx.journal.consumed() : 0;
    tx.busy.release();
    return consumed;
}

} // namespace rvs

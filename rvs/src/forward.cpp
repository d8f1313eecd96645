// SPDX-License-Identifier: Apache-2.0
//
// RVIF_OP_TX: from the sender's descriptors to the receivers' posted buffers.
//
//   descriptor(s) -> Frame (checked, header in our hands) -> Decision -> OpenLane(s) -> publish
//
// A decision holds for a run of frames with the same two addresses: one look at the MAC table,
// one at the receiver's queue, for the run.
#include "core.hpp"

namespace rvs {

// Frames of several segments, or too long for one buffer.
std::uint32_t OpenLane::put_chain(Frame frame)
{
    // All buffers must be there before a byte is written. Each entry is read once.
    std::uint32_t units[lane_batch];
    std::uint32_t need = 0;
    for (std::uint32_t room = 0; room < frame.total; room += lane->buf_len) {
        if (need == lane_batch)
            return RVIF_DROP_RX_TOO_BIG;
        const std::uint32_t posted = guest::load32(lane->posted_entry(pos + need));
        if ((posted & RVIF_PHASE) != lane->phase(pos + need))
            return RVIF_DROP_NO_BUFFER;
        units[need] = posted & RVIF_POSTED_MASK;
        if (units[need] > lane->last_unit)
            return RVIF_DROP_RX_BAD_BUFFER;
        ++need;
    }
    if (held + need > lane_batch)
        publish();

    std::uint32_t buffer = 0;
    std::uint32_t used = 0; // bytes of that buffer
    const auto put = [&](const std::uint8_t *data, std::uint32_t len) {
        while (len != 0) {
            if (used == lane->buf_len) {
                ++buffer;
                used = 0;
            }
            const std::uint32_t room = lane->buf_len - used;
            const std::uint32_t n = len < room ? len : room;
            // buffer < need: room for all of the frame was counted above.
            // NOLINTNEXTLINE(clang-analyzer-core.CallAndMessage)
            copy_bytes(pointer(lane->buffer(units[buffer])) + used, data, n);
            used += n;
            data += n;
            len -= n;
        }
    };
    put(reinterpret_cast<const std::uint8_t *>(&frame.header), frame.header_len);
    for (std::uint32_t i = 0; i < frame.count; ++i)
        put(frame.rest[i].data, frame.rest[i].len);

    for (std::uint32_t i = 0; i + 1 < need; ++i)
        values[held++] = lane->phase(pos + i) | RVIF_COMP_MORE | lane->buf_len;
    values[held++] = lane->phase(pos + need - 1) | used;
    pos += need;
    return no_drop;
}

namespace {

// The lanes that a call is filling. Few slots, found by the port's low bits: two ports that
// share one take turns, which costs a publish each time but is right.
class OpenLanes {
  public:
    OpenLanes(Core &core, std::uint32_t source, std::uint64_t generation, std::uint32_t tx_queue)
        : core_{core}, source_{source}, generation_{generation}, tx_queue_{tx_queue}
    {
    }

    // Null: nobody can receive there; counted.
    OpenLane *to(std::uint32_t port)
    {
        const std::uint32_t s = port % slots;
        OpenLane &slot = slots_[s];
        if ((used_ >> s & 1) != 0) {
            if (slot.port == port)
                return &slot;
            slot.end();
            used_ &= ~(1u << s);
        }
        PairCounters &pair = core_.pairs[source_][port];
        Port &receiver = core_.ports[port];
        const std::uint32_t queue = receiver.rx_queue_for(tx_queue_);
        if (queue >= RVIF_MAX_QUEUES ||
            !core_.lanes[source_][port][queue].ready(receiver.rx[queue], source_, generation_)) {
            return nullptr;
        }
        slot.begin(core_.lanes[source_][port][queue], pair, port);
        used_ |= 1u << s;
        return &slot;
    }

    void not_ready(std::uint32_t port)
    {
        core_.pairs[source_][port].drops[RVIF_DROP_NOT_READY].add(1);
    }

    void end()
    {
        for (; used_ != 0; used_ &= used_ - 1)
            slots_[__builtin_ctz(used_)].end();
    }

  private:
    static constexpr std::uint32_t slots = 8;

    Core &core_;
    std::uint32_t source_;
    std::uint64_t generation_;
    std::uint32_t tx_queue_;
    std::uint32_t used_ = 0; // bitmap
    OpenLane slots_[slots];
};

// What to do with the frames of a run.
struct Decision {
    enum class Kind : std::uint8_t { none, deliver, not_ready, flood, drop };

    Kind kind = Kind::none;
    std::uint32_t reason = no_drop; // drop
    std::uint32_t port = 0;         // deliver, not_ready
    OpenLane *lane = nullptr;       // deliver
};

// Counts of one call, added to the queue's counters at its end.
struct Tally {
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    std::uint64_t copies = 0;
    std::uint64_t flooded = 0;
};

// A call stops after the frame with which it has copied this much, so that a flood of jumbo
// frames to all ports takes one call no longer than a frame of it.
constexpr std::uint64_t call_bytes = 4 << 20;

class Transmission {
  public:
    Transmission(Core &core, std::uint32_t self, std::uint32_t queue, std::uint32_t source,
                 std::uint64_t generation)
        : core_{core}, port_{core.ports[self]}, counters_{core.ports[self].tx[queue].counters},
          self_{self}, stamp_{core.stamp.load(std::memory_order_relaxed)},
          flood_{core.live_ports.load(std::memory_order_acquire) & ~(std::uint64_t{1} << self)},
          lanes_{core, source, generation, queue}
    {
    }

    std::uint32_t run(Address descs, std::uint32_t count)
    {
        std::uint32_t i = 0;
        while (i < count && copied_ < call_bytes) {
            const rvif_tx_desc desc = read_tx_desc(descs + sizeof(rvif_tx_desc) * i);
            if (desc.flags == 0) [[likely]] {
                ++i;
                single(desc);
            } else {
                i = chain(desc, descs, i, count);
            }
        }
        lanes_.end();
        if (tally_.frames != 0) {
            counters_.frames.add(tally_.frames);
            counters_.bytes.add(tally_.bytes);
            counters_.copies.add(tally_.copies);
            if (tally_.flooded != 0)
                counters_.flooded.add(tally_.flooded);
        }
        return i;
    }

  private:
    void drop(std::uint32_t reason) { counters_.drops[reason].add(1); }

    [[gnu::always_inline]] void single(const rvif_tx_desc &desc)
    {
        Segment segment;
        const std::uint32_t reason = check_tx_desc(desc, port_.regions, segment);
        if (reason != no_drop) [[unlikely]]
            return drop(reason);
        Frame frame;
        if (segment.len > Header::size) [[likely]] {
            frame.header = read_header(segment.data);
            frame.header_len = Header::size;
            frame.total = segment.len;
            segment.data += Header::size;
            segment.len -= Header::size;
            frame.count = 1;
            frame.rest = &segment;
            forward(frame);
        } else {
            gather(&segment, 1, segment.len);
        }
    }

    // Reads the chain that starts with desc, which is descriptor i, to its end, good or bad.
    // Returns the index behind it.
    [[gnu::noinline]] std::uint32_t chain(rvif_tx_desc desc, Address descs, std::uint32_t i,
                                          std::uint32_t count)
    {
        std::uint32_t segments = 0;
        std::uint32_t total = 0; // at most RVIF_MAX_BURST * RVIF_MAX_FRAME
        std::uint32_t reason = no_drop;
        for (;;) {
            if (reason == no_drop) {
                reason = check_tx_desc(desc, port_.regions, segments_[segments]);
                if (reason == no_drop) {
                    total += segments_[segments].len;
                    ++segments;
                }
            }
            ++i;
            if ((desc.flags & RVIF_TX_MORE) == 0)
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
        if (reason == no_drop)
            gather(segments_, segments, total);
        else
            drop(reason);
        return i;
    }

    // The header may be split over any number of segments.
    [[gnu::noinline]] void gather(Segment *segments, std::uint32_t count, std::uint32_t total)
    {
        if (total < Header::ethernet)
            return drop(RVIF_DROP_SHORT);
        Frame frame;
        frame.total = total;
        frame.header_len = take_header(segments, count, frame.header);
        frame.rest = segments;
        frame.count = count;
        forward(frame);
    }

    [[gnu::always_inline]] void forward(const Frame &frame)
    {
        if (decision_.kind == Decision::Kind::none || !frame.header.same_addresses(last_))
            [[unlikely]] {
            last_ = frame.header;
            decision_ = decide(frame.header);
        }
        switch_on(frame);
    }

    [[gnu::always_inline]] void switch_on(const Frame &frame)
    {
        using Kind = Decision::Kind;
        if (decision_.kind == Kind::deliver) [[likely]] {
            ++tally_.frames;
            ++tally_.copies;
            copied_ += frame.total;
            tally_.bytes += frame.total;
            decision_.lane->deliver(frame);
        } else {
            other(frame);
        }
    }

    [[gnu::noinline]] void other(Frame frame)
    {
        using Kind = Decision::Kind;
        if (decision_.kind == Kind::drop && decision_.reason == RVIF_DROP_BAD_SOURCE_MAC)
            return drop(RVIF_DROP_BAD_SOURCE_MAC);
        ++tally_.frames;
        tally_.bytes += frame.total;
        if (decision_.kind == Kind::flood) {
            ++tally_.flooded;
            for (std::uint64_t left = flood_; left != 0; left &= left - 1)
                one_of_flood(static_cast<std::uint32_t>(__builtin_ctzll(left)), frame);
        } else if (decision_.kind == Kind::not_ready) {
            ++tally_.copies;
            lanes_.not_ready(decision_.port);
        } else {
            drop(decision_.reason);
        }
    }

    void one_of_flood(std::uint32_t port, const Frame &frame)
    {
        ++tally_.copies;
        OpenLane *lane = lanes_.to(port);
        if (lane == nullptr)
            return lanes_.not_ready(port);
        copied_ += frame.total;
        lane->deliver(frame);
    }

    [[gnu::noinline]] Decision decide(Header header)
    {
        using Kind = Decision::Kind;
        const std::uint64_t source = header.source();
        const std::uint64_t destination = header.destination();
        Fdb fdb = core_.fdb();

        if (source == 0 || (source & mac_group_bit) != 0 || !fdb.learn(source, self_, stamp_))
            return {Kind::drop, RVIF_DROP_BAD_SOURCE_MAC, 0, nullptr};
        std::uint32_t port = Fdb::nowhere;
        if ((destination & mac_group_bit) == 0)
            port = fdb.lookup(destination);
        if (port == self_)
            return {Kind::drop, RVIF_DROP_SAME_PORT, 0, nullptr};
        if (port == Fdb::nowhere) {
            if (flood_ == 0)
                return {Kind::drop, RVIF_DROP_NO_DESTINATION, 0, nullptr};
            return {Kind::flood, no_drop, 0, nullptr};
        }
        OpenLane *lane = lanes_.to(port);
        return {lane != nullptr ? Kind::deliver : Kind::not_ready, no_drop, port, lane};
    }

    Core &core_;
    const Port &port_;
    TxCounters &counters_;
    std::uint32_t self_;
    std::uint32_t stamp_;
    std::uint64_t flood_; // ports that a flood goes to
    std::uint64_t copied_ = 0;
    Tally tally_;
    Header last_{0, 0};
    Decision decision_;
    OpenLanes lanes_;
    Segment segments_[RVIF_MAX_BURST];
};

} // namespace

std::int64_t Core::transmit(std::uint32_t self, std::uint64_t queue, std::uint64_t count)
{
    if (queue >= RVIF_MAX_QUEUES)
        return -RVIF_E_QUEUE;
    if (count > RVIF_MAX_BURST)
        return -RVIF_E_ARG;
    Port &port = ports[self];
    TxQueue &tx = port.tx[queue];
    if (tx.busy.exchange(1) != 0)
        return -RVIF_E_BUSY;

    std::int64_t result = 0;
    Address descs = 0;
    const std::uint32_t source = tx.source.load(std::memory_order_acquire);
    if (source >= RVIF_MAX_SOURCES) {
        result = -RVIF_E_QUEUE;
    } else if (!port.started.load(std::memory_order_acquire)) {
        result = -RVIF_E_STATE;
    } else if (resolve(port.regions, tx.descs.load(std::memory_order_relaxed),
                       sizeof(rvif_tx_desc) * RVIF_MAX_BURST, descs) != Resolved::ok) {
        result = -RVIF_E_ADDR; // its region was removed
    } else {
        Transmission transmission{*this, self, static_cast<std::uint32_t>(queue), source,
                                  tx.source_generation.load(std::memory_order_relaxed)};
        result = transmission.run(descs, static_cast<std::uint32_t>(count));
    }
    tx.calls.store(tx.calls.load(std::memory_order_relaxed) + 1, std::memory_order_release);
    tx.busy.store(0, std::memory_order_release);
    return result;
}

} // namespace rvs

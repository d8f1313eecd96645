// SPDX-License-Identifier: Apache-2.0
#include "scatter.hpp"

#include "flow.hpp"
#include "prefetch.hpp"

namespace rvs {

namespace {

constexpr auto relaxed = std::memory_order_relaxed;

constexpr std::uint64_t bit(std::uint32_t n)
{
    return std::uint64_t{1} << n;
}

// A lane of a source, as the journal names it.
std::uint32_t offset_of(const Lane *first, const Lane *lane)
{
    return static_cast<std::uint32_t>(reinterpret_cast<std::uintptr_t>(lane) -
                                      reinterpret_cast<std::uintptr_t>(first));
}
Lane &lane_at(Lane *first, std::uint32_t offset)
{
    return *reinterpret_cast<Lane *>(reinterpret_cast<std::uintptr_t>(first) + offset);
}

} // namespace

std::uint32_t Scatter::scatter(Address descs, std::uint32_t i, std::uint32_t count, bool &one_run)
{
    Scope scope{};
    const bool tags = (policy_ & policy::vlan) != 0;
    scope.vlan = untagged_;
    std::uint64_t eligible = core_.vlan_ports[scope.vlan].load(relaxed) & ~bit(self_) &
                             ~core_.down_ports.load(relaxed) & ~core_.capture_ports.load(relaxed);
    if ((policy_ & policy::isolated) != 0)
        eligible &= ~core_.isolated_ports.load(relaxed);

    const Fdb fdb = core_.fdb();
    std::atomic<std::uint64_t> *const values = tx_.journal.plan.value;
    std::atomic<std::uint32_t> *const offsets = tx_.journal.plan.lane;
    Lane *const lanes = lanes_;
    constexpr std::uint32_t shortest = Header::size + 1;
    constexpr std::uint64_t nothing = std::uint64_t{1} << 32; // no 32 bits of a frame
    // The last source that was found welcome.
    std::uint64_t met_low = 0;
    std::uint64_t met_high = nothing;
    std::uint64_t sources = 0;
    const bool owned = (policy_ & policy::own_macs) != 0;
    const std::uint32_t self = self_;
    const std::uint32_t stamp = stamp_;
    const bool avx2 = avx2_;
    const std::uint64_t vlan_key = fdb_key(0, scope.vlan);
    bool more = true;

    while (more && i < count && copied_ < call_bytes) {
        std::uint64_t n = 0;
        std::uint64_t bytes = 0;
        const std::uint32_t begin = i;
        const std::uint32_t end = count - i < lane_batch ? count : i + lane_batch;
        // Guests' memory that is written may be anything, for all that a compiler knows: so no
        // members in here.
        std::uint64_t tag = region_tag_;
        std::uint64_t base = region_base_;
        std::uint64_t safe = unchecked_below();
        Address desc = descs + sizeof(rvif_tx_desc) * i;
        more = false;
        for (;; ++i, desc += sizeof(rvif_tx_desc)) {
            if (i == end) {
                more = true;
                break;
            }
            const TxDesc d = read_tx_desc(desc);
            if (d.word - shortest > RVIF_MAX_FRAME - shortest) // asks for something, or its size
                break;
            if (d.addr - tag >= safe) [[unlikely]] { // of another region: huge
                if (!in_region(d.addr, d.word))
                    break;
                tag = region_tag_;
                base = region_base_;
                safe = unchecked_below();
            }
            const std::uint8_t *from = pointer(base + (d.addr - tag));
            const std::uint64_t low = read_8(from);
            const std::uint64_t high = read_8(from + 8);
            if ((low & mac_group_bit) != 0)
                break;
            // Of another VLAN, perhaps. To a port that knows none a tag is payload.
            if (tags && Header{low, high}.ethertype() == ethertype_vlan) [[unlikely]]
                break;
            const std::uint64_t source_high = static_cast<std::uint32_t>(high);
            if (((low ^ met_low) >> 48) != 0 || source_high != met_high) [[unlikely]] {
                const std::uint64_t source = low >> 48 | source_high << 16;
                if ((owned || !fdb.fresh(source | vlan_key, self, stamp)) &&
                    !welcome(source, scope.vlan))
                    break;
                ++sources;
                met_low = low;
                met_high = source_high;
            }
            const std::uint32_t port = fdb.lookup((low & mac_mask) | vlan_key);
            if (port == Fdb::nowhere)
                break;
            if ((scope.known >> port & 1) == 0) [[unlikely]] {
                if ((eligible >> port & 1) == 0 || !open(scope, port))
                    break;
            }
            std::uint64_t value = d.word;
            Lane *lane = target_[port];
            if (lane == nullptr) [[unlikely]] {
                const Choice choice = pick(port, Header{low, high}, from + Header::size, d.word);
                if (choice.lane == nullptr)
                    break;
                lane = choice.lane;
                value |= choice.note;
            }
            if (d.word > lane->buf_len) [[unlikely]]
                break;
            bytes += d.word;
            const std::uint32_t pos = lane->fill.load(relaxed);
            const std::uint32_t depth = lane->depth;
            const std::uint64_t at = pos & (depth - 1);
            const Address posted = lane->posted;
            const std::uint32_t phase = (pos & depth) == 0 ? RVIF_PHASE : 0;
            const std::uint32_t unit = guest::load32(posted + 4 * at) ^ phase;
            if (unit > lane->last_unit) [[unlikely]] {
                not_posted(port, unit);
                continue;
            }
            std::uint8_t *to = pointer(lane->buffers + std::uint64_t{unit} * RVIF_BUF_UNIT);
            const Address comp = posted + RVIF_LANE_COMP(std::uint64_t{depth}) + 8 * at;
            prefetch_to_write(pointer(comp));
            prefetch_buffer(to, d.word);
            prefetch_to_read(pointer(posted + 4 * ((pos + posted_ahead) & (depth - 1))));
            lane->fill.store(pos + 1, relaxed);
            values[n].store(value | phase, relaxed);
            offsets[n].store(offset_of(lanes, lane), relaxed);
            comp_[n] = comp;
            copies_[n] = {to, from, low, high};
            ++n;
        }
        // By now the buffers' lines are here, or on their way.
        for (std::uint64_t k = 0; k != n; ++k) {
            const Copy &copy = copies_[k];
            const std::uint64_t len = values[k].load(relaxed) & RVIF_COMP_LEN_MASK;
            store_8(copy.to, copy.low);
            store_8(copy.to + 8, copy.high);
            copy_bytes(copy.to + Header::size, copy.from + Header::size, len - Header::size, avx2);
        }
        tally_.frames += i - begin;
        tally_.copies += i - begin;
        tally_.bytes += bytes;
        copied_ += bytes;
        if (n != 0)
            publish(i, static_cast<std::uint32_t>(n));
    }
    one_run = (scope.known & (scope.known - 1)) == 0 && scope.by_hash == 0 &&
              (policy_ == 0 || sources < 2);
    return i;
}

// A frame of any length whose offset is below this is in the region. 0: there is no such frame.
std::uint64_t Scatter::unchecked_below() const
{
    return region_len_ > RVIF_MAX_FRAME ? region_len_ - RVIF_MAX_FRAME : 0;
}

// Near a region's end, or of another one: the next frames are likely from there, too.
[[gnu::noinline]] bool Scatter::in_region(rvif_addr_t address, std::uint64_t len)
{
    const auto inside = [&] {
        const std::uint64_t offset = address - region_tag_;
        return offset <= region_len_ && len <= region_len_ - offset;
    };
    if (inside())
        return true;
    remember_region(address);
    return inside();
}

// A source that this call has not met yet.
[[gnu::noinline]] bool Scatter::welcome(std::uint64_t source, std::uint32_t vlan)
{
    return source != 0 && (source & mac_group_bit) == 0 &&
           ((policy_ & policy::own_macs) == 0 || port_.policy.owns(source)) &&
           meet(source, vlan) == no_drop;
}

// A receiver that this call of scatter() has not met yet. False: its frames need a closer look.
[[gnu::always_inline]] inline bool Scatter::open(Scope &scope, std::uint32_t port)
{
    const Port &receiver = core_.ports[port];
    const std::uint32_t flags = receiver.policy.has(policy::mirror | policy::vlan);
    if (flags != 0) [[unlikely]] {
        // Untagged as it came only where the VLAN is the receiver's native one.
        if (flags != policy::vlan || receiver.policy.native.load(relaxed) != scope.vlan)
            return false;
    }
    if (receiver.rss_types.load(relaxed) == 0) {
        const std::uint32_t queue = receiver.rx_queue_for(queue_);
        if (queue >= RVIF_MAX_QUEUES)
            return false;
        Lane &lane = lanes_[port * RVIF_MAX_QUEUES + queue];
        if (!begin(lane, receiver.rx[queue]))
            return false;
        if ((lane.flags & (RVIF_RXQ_HASH | RVIF_RXQ_VLAN)) == 0) [[likely]] {
            target_[port] = &lane;
            scope.known |= bit(port);
            return true;
        }
    }
    target_[port] = nullptr;
    if (scope.by_hash == 0) {
        for (std::uint64_t &ports : begun_)
            ports = 0;
    }
    scope.by_hash |= bit(port);
    scope.known |= bit(port);
    return true;
}

[[gnu::always_inline]] inline bool Scatter::begin(Lane &lane, const RxQueue &queue)
{
    if (!lane.ready(queue, source_, generation_))
        return false;
    lane.fill.store(lane.pos.load(relaxed), relaxed);
    return true;
}

// The lane of a frame to a receiver that spreads frames, or wants to be told of them. Null: it
// needs a closer look.
[[gnu::noinline]] Scatter::Choice Scatter::pick(std::uint32_t port, Header header,
                                                const std::uint8_t *rest, std::uint64_t len)
{
    const Port &receiver = core_.ports[port];
    const std::uint32_t types = receiver.rss_types.load(relaxed);
    const auto bytes = static_cast<std::uint32_t>(len) - Header::size;
    std::uint32_t hash = 0;
    std::uint32_t queue = 0;
    if (types != 0) {
        hash = flow_hash(header, rest, bytes, types);
        queue = receiver.rss_queue[hash % RVIF_RETA_SIZE].load(relaxed);
    } else {
        queue = receiver.rx_queue_for(queue_);
    }
    if (queue >= RVIF_MAX_QUEUES)
        return {};
    Lane &lane = lanes_[port * RVIF_MAX_QUEUES + queue];
    if ((begun_[queue] >> port & 1) == 0) {
        if (!begin(lane, receiver.rx[queue]))
            return {};
        begun_[queue] |= bit(port);
    }
    if ((lane.flags & RVIF_RXQ_VLAN) != 0 && header.ethertype() == ethertype_vlan)
        return {};
    Choice choice{&lane, 0};
    if ((lane.flags & RVIF_RXQ_HASH) != 0) {
        if (types == 0)
            hash = flow_hash(header, rest, bytes, RVIF_RSS_TYPES);
        choice.note = RVIF_COMP_HASH | std::uint64_t{hash} << 32;
    }
    return choice;
}

// unit: what is posted, its phase taken out.
[[gnu::noinline]] void Scatter::not_posted(std::uint32_t port, std::uint32_t unit)
{
    core_.pairs[source_][port].drops[no_buffer_reason(unit)].add(1);
}

// Shows a batch of n frames; with it so many descriptors are consumed. Completions go backwards, so
// that a receiver, which looks at its first, sees all of its own at once: Lane::recover() rests on
// this, as it does on the lanes' ends coming last.
inline void Scatter::publish(std::uint32_t consumed, std::uint32_t n)
{
    Journal::Plan &plan = tx_.journal.plan;
    tx_.journal.commit(consumed, n);
    for (std::uint64_t k = n; k-- != 0;)
        guest::publish64(comp_[k], plan.value[k].load(relaxed));
    PairCounters *const pairs = core_.pairs[source_];
    Lane *const lanes = lanes_;
    for (std::uint64_t k = 0; k != n; ++k) {
        const std::uint32_t offset = plan.lane[k].load(relaxed);
        Lane &lane = lane_at(lanes, offset);
        lane.pos.store(lane.fill.load(relaxed), std::memory_order_release);
        PairCounters &pair = pairs[offset / sizeof(Lane) / RVIF_MAX_QUEUES];
        pair.frames.add(1);
        pair.bytes.add(plan.value[k].load(relaxed) & RVIF_COMP_LEN_MASK);
    }
    tx_.journal.fulfilled(consumed);
}

// ------------------------------------------------------------------ after a cut

// What is left of a plan. Doing what was done again changes nothing, so this may be cut short, too.
void Core::fulfil(const Journal &journal, std::uint32_t source)
{
    const std::uint32_t planned = journal.planned();
    const std::uint32_t n = planned < lane_batch ? planned : lane_batch;
    for (std::uint32_t k = n; k-- != 0;) {
        const std::uint32_t offset = journal.plan.lane[k].load();
        const std::uint32_t index = offset / sizeof(Lane) % (RVIF_MAX_PORTS * RVIF_MAX_QUEUES);
        Lane &lane = (&lanes[source][0][0])[index];
        const RxQueue &rx = ports[index / RVIF_MAX_QUEUES].rx[index % RVIF_MAX_QUEUES];
        std::uint32_t at = lane.fill.load();
        // It has its end already; or its memory is out of bounds, and gone.
        if (lane.pos.load() == at || !rx.live() || lane.seen.load() != rx.state.load())
            continue;
        for (std::uint32_t j = k + 1; j-- != 0;) {
            if (journal.plan.lane[j].load() == offset)
                guest::publish64(lane.comp_entry(--at), journal.plan.value[j].load());
        }
        lane.pos.store(lane.fill.load());
    }
}

} // namespace rvs

// SPDX-License-Identifier: Apache-2.0
// A port's own control operations. None of them waits for anybody.
#include "core.hpp"
#include "frame.hpp"

namespace rvs {

namespace {

// SETUP, START, STOP, SET_MAC and RSS of one port exclude each other, and nobody else. One that was
// cut short is simply done again: each of them may be repeated. A hostile guest chooses where it is
// cut and what it does instead, so each leaves at any instruction what any other may begin with.
class ControlFlag {
  public:
    ControlFlag(Claim &claim, std::uint32_t cpu) : claim_{claim}, taken_{claim.take(cpu)} {}
    ~ControlFlag()
    {
        if (held())
            claim_.release();
    }
    ControlFlag(const ControlFlag &) = delete;
    ControlFlag &operator=(const ControlFlag &) = delete;

    [[nodiscard]] bool held() const { return taken_ != Claim::Result::busy; }
    // The one before it was cut short.
    [[nodiscard]] bool again() const { return taken_ == Claim::Result::again; }

  private:
    Claim &claim_;
    Claim::Result taken_;
};

constexpr std::uint64_t bit(std::uint32_t n)
{
    return std::uint64_t{1} << n;
}

// One pass over the sources that may be taken; each is claimed by one exchange or left.
template <typename MayTake>
std::uint32_t claim_source_if(Core &core, std::uint32_t port, std::uint32_t queue, Owner &claim,
                              MayTake may_take)
{
    for (std::uint32_t s = 0; s < RVIF_MAX_SOURCES; ++s) {
        std::uint64_t word = core.owners[s].load();
        if (!may_take(Owner{word}))
            continue;
        claim = Owner{word}.claimed(port, queue);
        if (core.owners[s].compare_exchange_strong(word, claim.word()))
            return s;
    }
    return no_source;
}

// For a queue that has none.
std::uint32_t claim_source(Core &core, std::uint32_t port, std::uint32_t queue, Owner &claim)
{
    // One is this queue's nevertheless if a TX_SETUP or a STOP was cut short.
    const std::uint32_t left = claim_source_if(core, port, queue, claim, [&](const Owner &owner) {
        return owner.taken() && owner.port() == port && owner.queue() == queue;
    });
    if (left != no_source)
        return left;
    return claim_source_if(core, port, queue, claim,
                           [](const Owner &owner) { return !owner.taken(); });
}

void release_source(Core &core, TxQueue &tx, std::uint32_t source)
{
    core.source_live(source, false);
    tx.source.store(no_source);
    core.owners[source].store(Owner{core.owners[source].load()}.released().word());
}

bool regions_hold(const Port &port, const RxQueue &queue)
{
    return port.regions.get(queue.lanes_index).word() == queue.lanes_region &&
           port.regions.get(queue.buffers_index).word() == queue.buffers_region;
}

} // namespace

std::int64_t Core::tx_setup(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                            rvif_addr_t address)
{
    Port &port = ports[self];
    if (queue >= RVIF_MAX_QUEUES || queue >= port.max_tx_queues.load())
        return -RVIF_E_QUEUE;
    const ControlFlag control{port.control_busy, cpu};
    if (!control.held())
        return -RVIF_E_BUSY;
    if (port.started.load())
        return -RVIF_E_STATE;

    Address at = 0;
    if (!resolve_struct<rvif_tx_setup>(port.regions, address, 8, at))
        return -RVIF_E_ADDR;
    const rvif_tx_setup setup = read_tx_setup(at);
    if ((setup.flags & ~RVIF_TXQ_FLAGS) != 0 || setup.reserved != 0)
        return -RVIF_E_ARG;
    struct Descriptors {
        rvif_tx_desc desc[RVIF_MAX_BURST];
    };
    if (!resolve_struct<Descriptors>(port.regions, setup.descs, sizeof(rvif_tx_desc), at))
        return -RVIF_E_ADDR;

    TxQueue &tx = port.tx[queue];
    const Claim::Result entry = tx.busy.take(cpu);
    if (entry == Claim::Result::busy)
        return -RVIF_E_BUSY;
    if (entry == Claim::Result::again)
        after_cut(tx);
    std::uint32_t source = tx.source.load();
    if (source == no_source) {
        Owner claim{0};
        source = claim_source(*this, self, static_cast<std::uint32_t>(queue), claim);
        if (source != no_source) {
            tx.source_generation.store(claim.generation());
            tx.source.store(source);
        }
    }
    tx.descs.store(setup.descs);
    tx.flags.store(setup.flags);
    tx.busy.release();
    return source == no_source ? -RVIF_E_FULL : static_cast<std::int64_t>(source);
}

std::int64_t Core::rx_setup(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                            rvif_addr_t address)
{
    if (queue >= RVIF_MAX_QUEUES)
        return -RVIF_E_QUEUE;
    Port &port = ports[self];
    const ControlFlag control{port.control_busy, cpu};
    if (!control.held())
        return -RVIF_E_BUSY;
    if (port.started.load())
        return -RVIF_E_STATE;

    Address at = 0;
    if (!resolve_struct<rvif_rx_setup>(port.regions, address, 8, at))
        return -RVIF_E_ADDR;
    const rvif_rx_setup setup = read_rx_setup(at);
    if (setup.depth < RVIF_MIN_DEPTH || setup.depth > RVIF_MAX_DEPTH ||
        (setup.depth & (setup.depth - 1)) != 0 || setup.buf_len < min_buf_len ||
        setup.buf_len > RVIF_COMP_LEN_MASK || (setup.flags & ~RVIF_RXQ_FLAGS) != 0 ||
        (setup.flags & (RVIF_RXQ_TSO | RVIF_RXQ_L4_NONE)) == RVIF_RXQ_TSO) {
        return -RVIF_E_ARG;
    }
    const std::uint64_t lanes_index = RVIF_ADDR_REGION(setup.lanes);
    if (lanes_index >= RVIF_MAX_REGIONS || setup.buf_region >= RVIF_MAX_REGIONS)
        return -RVIF_E_ADDR;
    // Looked at once: START compares the very words that the addresses are made of. The manager may
    // take a region away, or put another in its place, at any time.
    const Region lanes_region = port.regions.get(static_cast<std::uint32_t>(lanes_index));
    const Region buffers_region = port.regions.get(setup.buf_region);
    const std::uint64_t lanes_offset = RVIF_ADDR_OFFSET(setup.lanes);
    Address lanes_at = 0;
    Address buffers_at = 0;
    if ((lanes_offset & (RVIF_LINE - 1)) != 0 ||
        resolve(lanes_region, lanes_offset, RVIF_MAX_SOURCES * RVIF_LANE_STRIDE(setup.depth),
                lanes_at) != Resolved::ok ||
        resolve(buffers_region, 0, setup.buf_len, buffers_at) != Resolved::ok) {
        return -RVIF_E_ADDR;
    }
    const std::uint64_t last = (buffers_region.len() - setup.buf_len) / RVIF_BUF_UNIT;

    RxQueue &rx = port.rx[queue];
    // START finds it whole or not at all; and it is live if a START was cut short.
    rx.set_up = false;
    rx.kill();
    rx.lanes = lanes_at;
    rx.buffers = buffers_at;
    rx.depth = setup.depth;
    rx.buf_len = setup.buf_len;
    rx.flags = setup.flags;
    rx.last_unit = static_cast<std::uint32_t>(last < RVIF_POSTED_MASK ? last : RVIF_POSTED_MASK);
    rx.lanes_index = static_cast<std::uint8_t>(lanes_index);
    rx.buffers_index = static_cast<std::uint8_t>(setup.buf_region);
    rx.lanes_region = lanes_region.word();
    rx.buffers_region = buffers_region.word();
    rx.set_up = true;
    return 0;
}

std::int64_t Core::start(std::uint32_t cpu, std::uint32_t self)
{
    Port &port = ports[self];
    const ControlFlag control{port.control_busy, cpu};
    if (!control.held())
        return -RVIF_E_BUSY;
    // A START that was cut short may have come that far: then the rest of it is to be done.
    if (port.started.load() && !control.again())
        return -RVIF_E_STATE;

    std::uint32_t queues = 0;
    while (queues < RVIF_MAX_QUEUES && port.rx[queues].set_up.load())
        ++queues;
    for (std::uint32_t q = queues; q < RVIF_MAX_QUEUES; ++q) {
        if (port.rx[q].set_up.load())
            return -RVIF_E_QUEUE; // a gap below it
    }

    for (std::uint32_t q = 0; q < queues; ++q) {
        RxQueue &rx = port.rx[q];
        std::uint64_t state = rx.state.load(); // before the regions: see RxQueue::state
        if ((state & RxQueue::live_bit) != 0)
            continue; // since a START that was cut short
        const std::uint64_t live = (state + RxQueue::generation) | RxQueue::live_bit;
        if (!regions_hold(port, rx) || !rx.state.compare_exchange_strong(state, live)) {
            while (q-- != 0)
                port.rx[q].kill();
            return -RVIF_E_ADDR;
        }
    }

    std::uint64_t map = Port::no_queues;
    if (queues != 0) {
        map = 0;
        for (std::uint32_t t = 0; t < RVIF_MAX_QUEUES; ++t)
            map |= std::uint64_t{t % queues} << (8 * t);
    }
    port.rx_map.store(map);
    port.started.store(true);
    for (const TxQueue &tx : port.tx) {
        const std::uint32_t source = tx.source.load();
        if (source != no_source)
            source_live(source, true);
    }
    if (queues != 0)
        live_ports.fetch_or(bit(self));
    return 0;
}

std::int64_t Core::stop(std::uint32_t cpu, std::uint32_t self)
{
    Port &port = ports[self];
    const ControlFlag control{port.control_busy, cpu};
    if (!control.held())
        return -RVIF_E_BUSY;

    bool live = port.started.load();
    for (const RxQueue &rx : port.rx)
        live = live || rx.live(); // by a START that was cut short
    if (live) {
        live_ports.fetch_and(~bit(self));
        port.rx_map.store(Port::no_queues);
        // What makes this branch be taken goes last, should it be cut short.
        port.started.store(true);
        for (RxQueue &rx : port.rx)
            rx.kill();
        // Calls that began before this line may still hold lanes of ours.
        grace_begin(port.drain);
        port.draining = true;
        port.started.store(false);
    }
    for (RxQueue &rx : port.rx)
        rx.set_up = false;

    bool busy = false;
    for (TxQueue &tx : port.tx) {
        const std::uint32_t source = tx.source.load();
        if (source != no_source)
            source_live(source, false);
        const Claim::Result entry = tx.busy.take(cpu);
        if (entry == Claim::Result::busy) { // another CPU of this port is sending
            busy = busy || source != no_source;
            continue;
        }
        // What a call that was cut short has still to do is for this source's lanes.
        if (entry == Claim::Result::again)
            after_cut(tx);
        if (source != no_source)
            release_source(*this, tx, source);
        tx.busy.release();
    }
    // A TX_SETUP or a STOP that was cut short left one that no queue knows of.
    for (std::uint32_t s = 0; s < RVIF_MAX_SOURCES; ++s) {
        const Owner owner{owners[s].load()};
        if (owner.taken() && owner.port() == self && port.tx[owner.queue()].source.load() != s)
            owners[s].store(owner.released().word());
    }
    if (port.draining)
        port.draining = !grace_over(port.drain);
    return busy || port.draining ? -RVIF_E_BUSY : 0;
}

std::int64_t Core::set_mac(std::uint32_t cpu, std::uint32_t self, std::uint64_t mac)
{
    if (mac == 0 || mac > mac_mask || (mac & mac_group_bit) != 0)
        return -RVIF_E_ARG;
    Port &port = ports[self];
    const ControlFlag control{port.control_busy, cpu};
    if (!control.held())
        return -RVIF_E_BUSY;
    if (port.policy.has(policy::own_macs) != 0 && !port.policy.owns(mac))
        return -RVIF_E_STATE;
    if (port.pinned_mac.load())
        return mac == port.mac.load() ? 0 : -RVIF_E_STATE;
    const std::uint32_t vlan = port.policy.native.load();
    if (!port.policy.learns_announced(vlan)) { // port_link() or port_policy() does, later
        port.mac.store(mac);
        return 0;
    }
    switch (fdb().learn(fdb_key(mac, vlan), self, stamp.load(), ports)) {
    case Learned::yes:
        break;
    case Learned::foreign:
        return -RVIF_E_STATE;
    case Learned::full:
        return -RVIF_E_FULL;
    }
    port.mac.store(mac);
    return 0;
}

std::int64_t Core::stats(std::uint32_t self, rvif_addr_t address)
{
    Address at = 0;
    if (!resolve_struct<rvif_port_stats>(ports[self].regions, address, 8, at))
        return -RVIF_E_ADDR;
    PortStats all;
    collect(self, all);
    write_stats(at, all.frames);
    return 0;
}

std::int64_t Core::queue_stats(std::uint32_t self, rvif_addr_t address, std::uint64_t queue)
{
    if (queue >= RVIF_MAX_QUEUES)
        return -RVIF_E_QUEUE;
    Address at = 0;
    if (!resolve_struct<rvif_port_stats>(ports[self].regions, address, 8, at))
        return -RVIF_E_ADDR;
    PortStats sent{};
    add_sent(&ports[self].tx[queue], 1, sent);
    write_stats(at, sent.frames);
    return 0;
}

void Core::source_live(std::uint32_t source, bool live)
{
    std::atomic<std::uint64_t> &word = live_sources[source / 64];
    if (live)
        word.fetch_or(bit(source % 64));
    else
        word.fetch_and(~bit(source % 64));
}

std::int64_t Core::sources(std::uint32_t self, rvif_addr_t address) const
{
    Address at = 0;
    if (!resolve_struct<rvif_sources>(ports[self].regions, address, 8, at))
        return -RVIF_E_ADDR;
    rvif_sources out{};
    for (std::uint32_t i = 0; i < RVIF_MAX_SOURCES / 64; ++i)
        out.live[i] = live_sources[i].load();
    for (const TxQueue &tx : ports[self].tx) {
        const std::uint32_t own = tx.source.load();
        if (own < RVIF_MAX_SOURCES)
            out.live[own / 64] &= ~bit(own % 64);
    }
    out.link = (down_ports.load() & bit(self)) == 0 ? 1 : 0;
    write_sources(at, out);
    return 0;
}

std::int64_t Core::rx_mode(std::uint32_t self, std::uint64_t mode)
{
    if ((mode & ~std::uint64_t{RVIF_RX_MODES}) != 0)
        return -RVIF_E_ARG;
    const auto set = [&](std::atomic<std::uint64_t> &ports_that, bool want) {
        if (want)
            ports_that.fetch_or(bit(self));
        else
            ports_that.fetch_and(~bit(self));
    };
    set(promisc_ports, (mode & RVIF_RX_MODE_PROMISC) != 0);
    set(multicast_ports, mode != 0);
    return 0;
}

std::int64_t Core::rss(std::uint32_t cpu, std::uint32_t self, rvif_addr_t address)
{
    Port &port = ports[self];
    const ControlFlag control{port.control_busy, cpu};
    if (!control.held())
        return -RVIF_E_BUSY;
    Address at = 0;
    if (!resolve_struct<rvif_rss>(port.regions, address, 8, at))
        return -RVIF_E_ADDR;
    const rvif_rss rss = read_rss(at);
    if ((rss.types & ~RVIF_RSS_TYPES) != 0 || rss.reserved != 0)
        return -RVIF_E_ARG;
    for (const std::uint8_t queue : rss.queue) {
        if (queue >= RVIF_MAX_QUEUES)
            return -RVIF_E_QUEUE;
    }
    // One by one: a frame on its way goes by the old table or by the new one.
    for (std::uint32_t i = 0; i < RVIF_RETA_SIZE; ++i)
        port.rss_queue[i].store(rss.queue[i], std::memory_order_relaxed);
    port.rss_types.store(rss.types);
    return 0;
}

} // namespace rvs

// SPDX-License-Identifier: Apache-2.0
// The manager's side: where the switch lives, ports, regions, time, read-out.
#include "core.hpp"
#include "frame.hpp"

#include <new>

namespace rvs {

namespace {

constexpr std::uint64_t bit(std::uint32_t n)
{
    return std::uint64_t{1} << n;
}

std::uint32_t number(PortId id)
{
    return static_cast<std::uint32_t>(id);
}

// 0: a limit is out of range.
std::uint32_t buckets_for(const Limits &limits)
{
    if (limits.fdb_entries > 1u << 24 || limits.fdb_age_ticks == 0 || limits.fdb_age_ticks > 200)
        return 0;
    std::uint32_t entries = fdb_min_buckets * fdb_ways;
    while (entries < limits.fdb_entries)
        entries *= 2;
    return entries / fdb_ways;
}

std::size_t size_for(std::uint32_t buckets)
{
    return sizeof(Core) + std::size_t{buckets} * sizeof(FdbBucket);
}

Core &core_of(Switch *self)
{
    return static_cast<Core &>(*self);
}
const Core &core_of(const Switch *self)
{
    return static_cast<const Core &>(*self);
}

} // namespace

// ---------------------------------------------------------------- where it lives

std::size_t Switch::footprint(const Limits &limits)
{
    return size_for(buckets_for(limits));
}

Switch *Switch::create(void *mem, std::size_t len, const Limits &limits)
{
    const std::uint32_t buckets = buckets_for(limits);
    if (mem == nullptr || reinterpret_cast<std::uintptr_t>(mem) % 4096 != 0 || buckets == 0 ||
        len < size_for(buckets)) {
        return nullptr;
    }
    __builtin_memset(mem, 0, size_for(buckets));
    Core *core = new (mem) Core;
    new (static_cast<std::uint8_t *>(mem) + sizeof(Core)) FdbBucket[buckets];
    core->version = Core::layout_version;
    core->fdb_buckets = buckets;
    core->size = size_for(buckets);
    core->seed = __builtin_ia32_rdtsc() * 0xd6e8feb86659fd93;
    core->age_limit = limits.fdb_age_ticks;
    core->stamp = 1;
    core->clock_hz = limits.clock_hz;
    core->call_ticks = limits.clock_hz / 1000 * limits.call_ms;
    for (Port &port : core->ports) {
        port.rx_map = Port::no_queues;
        for (TxQueue &tx : port.tx)
            tx.source = no_source;
    }
    core->magic.store(Core::magic_value, std::memory_order_release);
    return core;
}

Switch *Switch::open(void *mem, std::size_t len)
{
    if (mem == nullptr || reinterpret_cast<std::uintptr_t>(mem) % 4096 != 0 || len < sizeof(Core))
        return nullptr;
    Core *core = std::launder(static_cast<Core *>(mem));
    if (core->magic.load(std::memory_order_acquire) != Core::magic_value ||
        core->version != Core::layout_version || core->size > len ||
        core->size != size_for(core->fdb_buckets)) {
        return nullptr;
    }
    return core;
}

// ------------------------------------------------------------------------ ports

namespace {

// A number of units a second; burst: how many at once.
void set_bucket(Bucket &bucket, std::uint64_t clock_hz, std::uint64_t rate, std::uint64_t burst)
{
    const double ticks = static_cast<double>(clock_hz) / static_cast<double>(rate);
    bucket.paid.store(0);
    bucket.cost.store(static_cast<std::uint64_t>(ticks * (1u << Bucket::cost_bits)));
    bucket.tolerance.store(static_cast<std::uint64_t>(ticks * static_cast<double>(burst)));
}

bool vlan_id(std::uint32_t vlan)
{
    return vlan != 0 && vlan < vlan_ids - 1;
}

bool sound(const Core &core, std::uint32_t index, const PortOptions &options)
{
    const auto station = [](std::uint64_t mac) {
        return mac <= mac_mask && (mac & mac_group_bit) == 0;
    };
    for (const std::uint64_t mac : options.macs) {
        if (!station(mac))
            return false;
    }
    for (std::size_t i = 0; i < options.trunk_count; ++i) {
        if (!vlan_id(options.trunk[i]))
            return false;
    }
    const bool timed = options.rate_bytes != 0 || options.storm_frames != 0;
    const std::uint32_t mirror = number(options.mirror_to);
    return options.max_tx_queues != 0 && options.max_tx_queues <= RVIF_MAX_QUEUES &&
           station(options.mac) && (options.native_vlan == 0 || vlan_id(options.native_vlan)) &&
           (!timed || core.clock_hz != 0) &&
           (options.mirror_to == no_port || (mirror < RVIF_MAX_PORTS && mirror != index));
}

std::uint32_t flags_for(const PortOptions &options)
{
    std::uint32_t flags = 0;
    const auto flag = [&](std::uint32_t bits, bool on) { flags |= on ? bits : 0; };
    flag(policy::vlan, options.native_vlan != 0 || options.trunk_count != 0);
    flag(policy::isolated, options.isolated);
    flag(policy::own_macs, options.own_macs_only);
    flag(policy::rate, options.rate_bytes != 0);
    flag(policy::storm, options.storm_frames != 0);
    return flags;
}

void set_member(std::atomic<std::uint64_t> &ports, std::uint32_t index, bool in)
{
    if (in)
        ports.fetch_or(bit(index));
    else
        ports.fetch_and(~bit(index));
}

// True: they are others than before. What is new comes before what goes, so that a frame of a VLAN
// that stays finds it at any time.
bool set_vlans(Core &core, std::uint32_t index, const PortOptions &options)
{
    Policy &to = core.ports[index].policy;
    std::uint64_t tagged[vlan_ids / 64] = {};
    for (std::size_t i = 0; i < options.trunk_count; ++i)
        tagged[options.trunk[i] / 64] |= bit(options.trunk[i] % 64);
    const bool knows = options.native_vlan != 0 || options.trunk_count != 0;
    const std::uint32_t old_native = to.native.load();

    // 0 is the VLAN of ports that know none; a closed port may not be in any yet.
    std::uint64_t member[vlan_ids / 64];
    for (std::uint32_t i = 0; i < vlan_ids / 64; ++i)
        member[i] = tagged[i];
    member[options.native_vlan / 64] |=
        options.native_vlan != 0 || !knows ? bit(options.native_vlan % 64) : 0;

    bool changed = old_native != options.native_vlan;
    for (std::uint32_t vlan = 0; vlan < vlan_ids; ++vlan) {
        if ((member[vlan / 64] >> (vlan % 64) & 1) != 0 &&
            (core.vlan_ports[vlan].load() & bit(index)) == 0) {
            set_member(core.vlan_ports[vlan], index, true);
            changed = true;
        }
    }
    for (std::uint32_t i = 0; i < vlan_ids / 64; ++i) {
        if (to.vlans[i].load() != tagged[i]) {
            to.vlans[i].store(tagged[i]);
            changed = true;
        }
    }
    to.native.store(options.native_vlan);
    if (knows)
        to.flags.fetch_or(policy::vlan);
    else
        to.flags.fetch_and(~policy::vlan);
    for (std::uint32_t vlan = 0; vlan < vlan_ids; ++vlan) {
        if ((member[vlan / 64] >> (vlan % 64) & 1) == 0 &&
            (core.vlan_ports[vlan].load() & bit(index)) != 0)
            set_member(core.vlan_ports[vlan], index, false);
    }
    return changed;
}

// All but what a driver has said, and what the manager says by other calls (link, taps).
// True: the VLANs are others than before.
bool set_policy(Core &core, std::uint32_t index, const PortOptions &options)
{
    Policy &to = core.ports[index].policy;
    const bool revlan = set_vlans(core, index, options);
    std::size_t n = 0;
    for (const std::uint64_t mac : options.macs)
        to.macs[n++].store(mac);
    to.macs[n].store(core.ports[index].mac_given());
    to.mac_limit.store(options.mac_limit);
    if (options.rate_bytes != 0) {
        // At least one frame of any size.
        const std::uint64_t burst =
            options.rate_burst > RVIF_MAX_FRAME ? options.rate_burst : RVIF_MAX_FRAME;
        set_bucket(to.rate, core.clock_hz, options.rate_bytes, burst);
    }
    if (options.storm_frames != 0)
        set_bucket(to.storm, core.clock_hz, options.storm_frames, options.storm_frames);
    set_member(core.isolated_ports, index, options.isolated);
    const std::uint32_t flags = flags_for(options);
    constexpr std::uint32_t ours =
        policy::isolated | policy::own_macs | policy::rate | policy::storm;
    to.flags.fetch_or(flags & ours);
    to.flags.fetch_and(~ours | flags);
    return revlan;
}

void set_mirrors(Policy &policy, std::uint64_t mirrors)
{
    policy.mirrors.store(mirrors);
    if (mirrors != 0)
        policy.flags.fetch_or(policy::mirror);
    else
        policy.flags.fetch_and(~policy::mirror);
}

std::uint64_t mirror_bit(const PortOptions &options)
{
    return options.mirror_to == no_port ? 0 : bit(number(options.mirror_to));
}

// mirror_to stays: it names who is to have this port.
void end_taps(Core &core, std::uint32_t to)
{
    for (Port &port : core.ports) {
        const std::uint64_t mirrors = port.policy.mirrors.load();
        if ((mirrors & ~port.mirror_to.load() & bit(to)) != 0)
            set_mirrors(port.policy, mirrors & ~bit(to));
    }
}

} // namespace

Error Switch::port_open(PortId id, const PortOptions &options, PortStats *before)
{
    Core &core = core_of(this);
    const std::uint32_t index = number(id);
    if (index >= RVIF_MAX_PORTS || !sound(core, index, options))
        return Error::arg;
    Port &port = core.ports[index];
    if (port.open.load())
        return Error::state;
    // Bit of open_ports first: a manager that dies in here leaves a port that can be closed.
    core.open_ports.fetch_or(bit(index));
    if (options.mac != 0) {
        const Error error = core.fdb().set_static(fdb_key(options.mac, options.native_vlan), index);
        if (error != Error::none) {
            core.open_ports.fetch_and(~bit(index));
            return error;
        }
    }
    // Closed: no call of the port runs, so all of it is ours.
    end_taps(core, index); // of a capture whose manager died
    port.mac.store(options.mac);
    port.pinned_mac.store(options.mac != 0);
    port.policy.flags.store(options.capture ? policy::mute : 0);
    set_policy(core, index, options);
    port.mirror_to.store(mirror_bit(options));
    set_mirrors(port.policy, mirror_bit(options));
    set_member(core.capture_ports, index, options.capture);
    set_member(core.promisc_ports, index, true);
    set_member(core.multicast_ports, index, true);
    set_member(core.down_ports, index, false);

    std::uint64_t label[label_size / 8] = {};
    auto *text = reinterpret_cast<char *>(label);
    for (std::size_t i = 0; options.label != nullptr && i + 1 < label_size && options.label[i] != 0;
         ++i)
        text[i] = options.label[i];
    for (std::size_t i = 0; i < label_size / 8; ++i)
        port.label[i].store(label[i]);
    port.max_tx_queues.store(options.max_tx_queues);
    // Others may count towards it at any time: what is after begins where what was before ends.
    PortStats had;
    core.collect(index, had);
    if (before != nullptr)
        *before = had;
    port.received_before[0].fetch_add(had.frames.rx_frames);
    port.received_before[1].fetch_add(had.frames.rx_bytes);
    for (std::uint32_t r = 0; r < receiver_reasons; ++r)
        port.received_before[2 + r].fetch_add(had.frames.drops[r]);
    port.control_calls.store(0);
    port.cookie.store(options.cookie);
    port.rss_types.store(0);
    port.learned.clear();
    for (TxQueue &tx : port.tx) {
        tx.calls.store(0);
        tx.journal.begin(0); // of a call that was killed
        tx.counters.frames.clear();
        tx.counters.bytes.clear();
        tx.counters.copies.clear();
        tx.counters.flooded.clear();
        tx.counters.cuts.clear();
        tx.counters.timed_frames.clear();
        tx.counters.timed_cycles.clear();
        for (Counter &drops : tx.counters.drops)
            drops.clear();
    }

    port.open.store(true);
    return Error::none;
}

Error Switch::port_close(PortId id)
{
    Core &core = core_of(this);
    const std::uint32_t index = number(id);
    if (index >= RVIF_MAX_PORTS)
        return Error::arg;
    Port &port = core.ports[index];
    // Bit of open_ports last: a manager that dies in here leaves the port to be closed again.
    if (!port.open.load() && (core.open_ports.load() & bit(index)) == 0)
        return Error::state;
    port.open.store(false);

    core.live_ports.fetch_and(~bit(index));
    port.rx_map.store(Port::no_queues);
    for (std::uint32_t i = 0; i < RVIF_MAX_REGIONS; ++i)
        port.regions.set(i, Region{});
    for (RxQueue &rx : port.rx) {
        rx.kill();
        rx.set_up = false;
    }

    // By owner, not by queue: a caller may have been killed between claim and note.
    for (std::uint32_t s = 0; s < RVIF_MAX_SOURCES; ++s) {
        const Owner owner{core.owners[s].load()};
        if (!owner.taken() || owner.port() != index)
            continue;
        core.source_live(s, false);
        port.tx[owner.queue()].source.store(no_source);
        core.owners[s].store(owner.released().word());
    }
    for (TxQueue &tx : port.tx) {
        tx.source.store(no_source);
        tx.busy.release();
    }
    core.fdb().forget_port(index);
    port.draining = false;
    port.started.store(false);
    port.control_busy.release();
    core.open_ports.fetch_and(~bit(index));
    return Error::none;
}

namespace {

// What the port's driver said is its address, as long as it may be: what it may have was perhaps
// changed since it said so.
void learn_announced(Core &core, std::uint32_t index)
{
    const Port &port = core.ports[index];
    const Policy &may = port.policy;
    const std::uint64_t mac = port.mac.load();
    const std::uint32_t vlan = may.native.load();
    if (mac == 0 || !port.open.load() || !may.learns_announced(vlan))
        return;
    if (may.has(policy::own_macs) == 0 || may.owns(mac))
        core.fdb().learn(fdb_key(mac, vlan), index, core.stamp.load(), core.ports);
}

} // namespace

Error Switch::port_link(PortId id, bool up)
{
    Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS)
        return Error::arg;
    Port &port = core.ports[number(id)];
    Policy &to = port.policy;
    if (!port.open.load())
        return Error::state;
    if (up) {
        to.flags.fetch_and(~policy::link_down);
        core.down_ports.fetch_and(~bit(number(id)));
        learn_announced(core, number(id)); // its driver may have said it in vain (see set_mac())
    } else {
        to.flags.fetch_or(policy::link_down);
        core.down_ports.fetch_or(bit(number(id)));
    }
    return Error::none;
}

Error Switch::port_policy(PortId id, const PortOptions &options)
{
    Core &core = core_of(this);
    const std::uint32_t index = number(id);
    PortOptions sound_options = options;
    sound_options.mac = 0; // not looked at
    sound_options.max_tx_queues = 1;
    if (index >= RVIF_MAX_PORTS || !sound(core, index, sound_options))
        return Error::arg;
    Port &port = core.ports[index];
    if (!port.open.load())
        return Error::state;
    // Its own address is in the table under the VLAN of frames without a tag.
    const std::uint64_t mac = port.mac_given();
    const std::uint32_t old_native = port.policy.native.load();
    if (mac != 0 && old_native != options.native_vlan) {
        const Error error = core.fdb().set_static(fdb_key(mac, options.native_vlan), index);
        if (error != Error::none)
            return error;
    }
    if (set_policy(core, index, options)) {
        core.fdb().forget_learned(index);
        port.learned.clear();
        learn_announced(core, index);
        if (mac != 0 && old_native != options.native_vlan)
            core.fdb().remove(fdb_key(mac, old_native));
    }
    const std::uint64_t taps = port.policy.mirrors.load() & ~port.mirror_to.load();
    port.mirror_to.store(mirror_bit(options));
    set_mirrors(port.policy, taps | mirror_bit(options));
    return Error::none;
}

Error Switch::port_tap(PortId id, PortId to, bool on)
{
    Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS || number(to) >= RVIF_MAX_PORTS || id == to)
        return Error::arg;
    Port &port = core.ports[number(id)];
    if (!port.open.load())
        return Error::state;
    const std::uint64_t taps = port.policy.mirrors.load() & ~bit(number(to));
    set_mirrors(port.policy,
                taps | (on ? bit(number(to)) : port.mirror_to.load() & bit(number(to))));
    return Error::none;
}

// ------------------------------------------------------------------- MAC table

namespace {

bool station_of_vlan(std::uint64_t mac, std::uint32_t vlan)
{
    return mac != 0 && mac <= mac_mask && (mac & mac_group_bit) == 0 &&
           (vlan == 0 || vlan_id(vlan));
}

} // namespace

Error Switch::mac_add(PortId id, std::uint64_t mac, std::uint32_t vlan)
{
    Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS || !station_of_vlan(mac, vlan))
        return Error::arg;
    if (!core.ports[number(id)].open.load())
        return Error::state;
    return core.fdb().set_static(fdb_key(mac, vlan), number(id));
}

Error Switch::mac_remove(std::uint64_t mac, std::uint32_t vlan)
{
    Core &core = core_of(this);
    if (!station_of_vlan(mac, vlan))
        return Error::arg;
    const std::uint32_t at = core.fdb().lookup(fdb_key(mac, vlan));
    if (at == Fdb::nowhere)
        return Error::state;
    const Port &port = core.ports[at];
    if (port.mac_given() == mac && port.policy.native.load() == vlan)
        return Error::state;
    core.fdb().remove(fdb_key(mac, vlan));
    return Error::none;
}

Error Switch::mac_flush(PortId id)
{
    Core &core = core_of(this);
    if (id != no_port && number(id) >= RVIF_MAX_PORTS)
        return Error::arg;
    for (std::uint32_t port = 0; port < RVIF_MAX_PORTS; ++port) {
        if (id == no_port || number(id) == port) {
            core.fdb().forget_learned(port);
            core.ports[port].learned.clear();
            learn_announced(core, port);
        }
    }
    return Error::none;
}

// ---------------------------------------------------------------------- regions

Error Switch::region_add(PortId id, std::uint32_t index, std::uint64_t base, std::uint64_t len)
{
    Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS || index >= RVIF_MAX_REGIONS ||
        !Region::representable(base, len))
        return Error::arg;
    Port &port = core.ports[number(id)];
    if (!port.open.load() || port.regions.get(index).valid())
        return Error::state;
    port.regions.set(index, Region::of(base, len));
    return Error::none;
}

Error Switch::region_remove(PortId id, std::uint32_t index)
{
    Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS || index >= RVIF_MAX_REGIONS)
        return Error::arg;
    Port &port = core.ports[number(id)];
    if (!port.open.load() || !port.regions.get(index).valid())
        return Error::state;
    port.regions.set(index, Region{});
    // A queue that is set up meanwhile fails to START: see RxQueue::state.
    for (RxQueue &rx : port.rx) {
        if (rx.lanes_index.load() == index || rx.buffers_index.load() == index)
            rx.kill();
    }
    return Error::none;
}

// ------------------------------------------------------------------------- time

void Switch::tick()
{
    Core &core = core_of(this);
    const std::uint32_t now = core.stamp.load() % fdb_stamps + 1;
    core.stamp.store(now);
    core.fdb().age(now, core.age_limit, core.ports);
}

void Switch::grace_begin(Grace &grace) const
{
    const Core &core = core_of(this);
    grace.begun = __builtin_ia32_rdtsc();
    for (std::uint32_t s = 0; s < RVIF_MAX_SOURCES; ++s) {
        grace.owner[s] = 0;
        const Owner owner{core.owners[s].load()};
        if (!owner.taken())
            continue;
        const TxQueue &tx = core.ports[owner.port()].tx[owner.queue()];
        // busy is claimed before a call looks at regions and queues (all seq_cst): a call that
        // we do not see here will see what was taken back.
        if (!tx.busy.held())
            continue;
        grace.calls[s] = tx.calls.load();
        grace.owner[s] = owner.word();
    }
}

bool Switch::grace_over(const Grace &grace) const
{
    const Core &core = core_of(this);
    // A claim that nobody comes back for looks like a call that is under way. Signed: the counters
    // of two CPUs may differ a little.
    const auto ago = static_cast<std::int64_t>(__builtin_ia32_rdtsc() - grace.begun);
    if (core.call_ticks != 0 && ago > static_cast<std::int64_t>(core.call_ticks))
        return true;
    for (std::uint32_t s = 0; s < RVIF_MAX_SOURCES; ++s) {
        if (grace.owner[s] == 0 || core.owners[s].load() != grace.owner[s])
            continue;
        const Owner owner{grace.owner[s]};
        const TxQueue &tx = core.ports[owner.port()].tx[owner.queue()];
        if (tx.busy.held() && tx.calls.load() == grace.calls[s])
            return false;
    }
    return true;
}

// --------------------------------------------------------------------- read-out

void Core::sum_received(std::uint32_t port, std::uint64_t (&out)[2 + receiver_reasons]) const
{
    for (std::uint64_t &sum : out)
        sum = 0;
    for (const auto &source : pairs) {
        const PairCounters &pair = source[port];
        out[0] += pair.frames.get();
        out[1] += pair.bytes.get();
        for (std::uint32_t r = 0; r < receiver_reasons; ++r)
            out[2 + r] += pair.drops[r].get();
    }
}

void Core::collect(std::uint32_t index, PortStats &out) const
{
    const Port &port = ports[index];
    out = PortStats{};

    std::uint64_t received[2 + receiver_reasons];
    sum_received(index, received);
    for (std::size_t i = 0; i < 2 + receiver_reasons; ++i)
        received[i] -= port.received_before[i].load();
    out.frames.rx_frames = received[0];
    out.frames.rx_bytes = received[1];
    for (std::uint32_t r = 0; r < receiver_reasons; ++r)
        out.frames.drops[r] = received[2 + r];

    out.frames.crossings = port.control_calls.load();
    add_sent(port.tx, RVIF_MAX_QUEUES, out);
}

void Core::add_sent(const TxQueue *queues, std::uint32_t count, PortStats &out)
{
    for (std::uint32_t q = 0; q < count; ++q) {
        const TxQueue &tx = queues[q];
        out.frames.tx_frames += tx.counters.frames.get();
        out.frames.tx_bytes += tx.counters.bytes.get();
        out.frames.crossings += tx.calls.load();
        out.copies += tx.counters.copies.get();
        out.flooded += tx.counters.flooded.get();
        out.cuts += tx.counters.cuts.get();
        out.timed_frames += tx.counters.timed_frames.get();
        out.timed_cycles += tx.counters.timed_cycles.get();
        out.inside += tx.busy.held() ? 1 : 0;
        for (std::uint32_t r = receiver_reasons; r < RVIF_DROP_REASONS; ++r)
            out.frames.drops[r] += tx.counters.drops[r].get();
    }
}

bool Switch::port_info(PortId id, PortInfo &info) const
{
    const Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS || !core.ports[number(id)].open.load())
        return false;
    const Port &port = core.ports[number(id)];
    info = PortInfo{};
    info.id = id;
    for (std::size_t i = 0; i < label_size / 8; ++i) {
        const std::uint64_t word = port.label[i].load();
        __builtin_memcpy(info.label + 8 * i, &word, 8);
    }
    info.mac = port.mac.load();
    info.cookie = port.cookie.load();
    info.started = port.started.load();
    info.link = port.policy.has(policy::link_down) == 0;
    for (std::uint32_t q = 0; q < RVIF_MAX_QUEUES; ++q) {
        info.rx_queues += port.rx[q].live() ? 1 : 0;
        info.tx_queues += port.tx[q].source.load() != no_source ? 1 : 0;
    }
    for (std::uint32_t i = 0; i < RVIF_MAX_REGIONS; ++i)
        info.regions |= port.regions.get(i).valid() ? 1u << i : 0;
    return true;
}

bool Switch::port_stats(PortId id, PortStats &stats) const
{
    const Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS)
        return false;
    core.collect(number(id), stats);
    return true;
}

bool Switch::queue_stats(PortId id, std::uint32_t tx_queue, PortStats &stats) const
{
    const Core &core = core_of(this);
    if (number(id) >= RVIF_MAX_PORTS || tx_queue >= RVIF_MAX_QUEUES ||
        !core.ports[number(id)].open.load())
        return false;
    stats = PortStats{};
    Core::add_sent(&core.ports[number(id)].tx[tx_queue], 1, stats);
    return true;
}

std::uint64_t Switch::ports() const
{
    return core_of(this).open_ports.load();
}

PortId Switch::source_port(std::uint32_t source) const
{
    if (source >= RVIF_MAX_SOURCES)
        return no_port;
    const Owner owner{core_of(this).owners[source].load()};
    return owner.taken() ? PortId{owner.port()} : no_port;
}

std::size_t Switch::size() const
{
    return core_of(this).size;
}

std::size_t Switch::fdb_read(std::size_t &cursor, FdbEntry *out, std::size_t max) const
{
    const Core &core = core_of(this);
    const std::size_t n = core.fdb().read(cursor, core.stamp.load(), out, max);
    if (n == 0)
        cursor = 0;
    return n;
}

} // namespace rvs

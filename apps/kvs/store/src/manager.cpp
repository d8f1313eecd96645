// SPDX-License-Identifier: Apache-2.0
// The manager's side: where the store lives, ports, regions, time, read-out.
#include "core.hpp"

#include <new>

namespace kvs {

namespace {

constexpr std::uint64_t page = 4096;

constexpr std::uint64_t up(std::uint64_t bytes)
{
    return (bytes + page - 1) & ~(page - 1);
}

// Two keys a bucket when it is as full as it was made for: of those with more than six there is one
// in two hundred.
std::uint64_t buckets_for(std::uint64_t keys)
{
    std::uint64_t buckets = 16;
    while (buckets * 2 < keys)
        buckets *= 2;
    return buckets;
}

bool is_used(const Layout &layout, std::uint32_t space)
{
    for (std::uint32_t p = 0; p < layout.ports; ++p) {
        if (layout.port[p].space == space)
            return true;
    }
    return false;
}

bool sound(const Layout &layout)
{
    if (layout.ports == 0 || layout.ports > KVS_MAX_PORTS)
        return false;
    for (std::uint32_t p = 0; p < layout.ports; ++p) {
        const Layout::Port &port = layout.port[p];
        if (port.space >= KVS_MAX_PORTS || port.memory >> 38 != 0 ||
            (port.memory != 0 && port.memory < Layout::min_memory) ||
            layout.keys[port.space] >> 32 != 0)
            return false;
    }
    return true;
}

Core &core_of(Store *self)
{
    return static_cast<Core &>(*self);
}
const Core &core_of(const Store *self)
{
    return static_cast<const Core &>(*self);
}

Port *port_of(Store *self, PortId id)
{
    Core &core = core_of(self);
    const auto index = static_cast<std::uint32_t>(id);
    return index < core.ports ? &core.port[index] : nullptr;
}

} // namespace

std::size_t Store::footprint(const Layout &layout)
{
    if (!sound(layout))
        return 0;
    std::uint64_t bytes = up(sizeof(Core));
    for (std::uint32_t s = 0; s < KVS_MAX_PORTS; ++s) {
        if (is_used(layout, s))
            bytes += up(buckets_for(layout.keys[s]) * sizeof(Bucket));
    }
    for (std::uint32_t p = 0; p < layout.ports; ++p)
        bytes += up(layout.port[p].memory);
    return bytes;
}

Store *Store::create(void *memory, std::size_t length, const Layout &layout)
{
    const std::size_t size = footprint(layout);
    if (memory == nullptr || reinterpret_cast<std::uintptr_t>(memory) % page != 0 || size == 0 ||
        length < size)
        return nullptr;
    std::size_t logs = 0;
    for (std::uint32_t p = 0; p < layout.ports; ++p)
        logs += up(layout.port[p].memory);
    __builtin_memset(memory, 0, size - logs);
    Core *const core = new (memory) Core;
    core->size = size;
    core->version = Core::layout_version;
    core->ports = layout.ports;
    core->seed[0] = layout.seed[0];
    core->seed[1] = layout.seed[1];
    std::uint64_t at = up(sizeof(Core));
    for (std::uint32_t s = 0; s < KVS_MAX_PORTS; ++s) {
        core->keys[s] = layout.keys[s];
        core->spaces[s] = {at, 0};
        if (is_used(layout, s)) {
            const std::uint64_t buckets = buckets_for(layout.keys[s]);
            core->spaces[s].mask = buckets - 1;
            at += up(buckets * sizeof(Bucket));
        }
    }
    for (std::uint32_t p = 0; p < layout.ports; ++p) {
        Log &log = core->logs[p];
        core->port[p].space = layout.port[p].space;
        log.lines = up(layout.port[p].memory) / line;
        log.data = at;
        // Position 0 is none.
        log.begin.store(log.lines);
        log.tail.store(log.lines);
        at += up(layout.port[p].memory);
    }
    core->magic.store(Core::magic_value, std::memory_order_release);
    return core;
}

Store *Store::open(void *memory, std::size_t length)
{
    if (memory == nullptr || reinterpret_cast<std::uintptr_t>(memory) % page != 0 ||
        length < sizeof(Core))
        return nullptr;
    Core *const core = std::launder(static_cast<Core *>(memory));
    if (core->magic.load(std::memory_order_acquire) != Core::magic_value ||
        core->version != Core::layout_version || core->size > length)
        return nullptr;
    return core;
}

bool Store::is_of(const Layout &layout) const
{
    const Core &core = core_of(this);
    if (core.ports != layout.ports || core.size != footprint(layout))
        return false;
    for (std::uint32_t p = 0; p < core.ports; ++p) {
        if (core.port[p].space != layout.port[p].space ||
            core.logs[p].lines != up(layout.port[p].memory) / line)
            return false;
    }
    for (std::uint32_t s = 0; s < KVS_MAX_PORTS; ++s) {
        if (core.keys[s] != layout.keys[s])
            return false;
    }
    return true;
}

Error Store::port_open(PortId id, std::uint64_t cookie)
{
    Port *const port = port_of(this, id);
    if (port == nullptr)
        return Error::arg;
    if (port->open.load() != 0)
        return Error::state;
    port->cookie.store(cookie);
    // What the last holder left half done.
    port->writer.request.store(0);
    for (Reader &reader : port->readers)
        reader.request.store(0);
    port->open.store(1);
    return Error::none;
}

Error Store::port_close(PortId id)
{
    Port *const port = port_of(this, id);
    if (port == nullptr)
        return Error::arg;
    if (port->open.load() == 0)
        return Error::state;
    port->open.store(0);
    for (std::uint32_t r = 0; r < KVS_MAX_REGIONS; ++r)
        static_cast<void>(port->regions.clear(r));
    return Error::none;
}

bool Store::is_open(PortId id) const
{
    const auto index = static_cast<std::uint32_t>(id);
    return index < core_of(this).ports && core_of(this).port[index].open.load() != 0;
}

std::uint64_t Store::cookie(PortId id) const
{
    const auto index = static_cast<std::uint32_t>(id);
    return index < core_of(this).ports ? core_of(this).port[index].cookie.load() : 0;
}

Error Store::region_add(PortId id, std::uint32_t index, std::uint64_t base, std::uint64_t length)
{
    Port *const port = port_of(this, id);
    return port != nullptr && port->regions.set(index, base, length) ? Error::none : Error::arg;
}

Error Store::region_remove(PortId id, std::uint32_t index)
{
    Port *const port = port_of(this, id);
    return port != nullptr && port->regions.clear(index) ? Error::none : Error::arg;
}

void Store::tick(std::uint64_t now_ms)
{
    std::atomic<std::uint64_t> &clock = core_of(this).clock_ms;
    if (now_ms > clock.load())
        clock.store(now_ms);
}

bool Store::stats(PortId id, kvs_stats &out) const
{
    const Core &core = core_of(this);
    const auto index = static_cast<std::uint32_t>(id);
    if (index >= core.ports)
        return false;
    out = {};
    for (const Counters &c : core.port[index].counters) {
        out.gets += c.gets.get();
        out.hits += c.hits.get();
        out.misses += c.misses.get();
        out.expired += c.expired.get();
        out.puts += c.puts.get();
        out.deletes += c.deletes.get();
        out.refused += c.refused.get();
        out.bytes_in += c.bytes_in.get();
        out.bytes_out += c.bytes_out.get();
        out.evicted += c.evicted.get();
        out.evicted_bytes += c.evicted_bytes.get();
        out.displaced += c.displaced.get();
        out.moved_bytes += c.moved_bytes.get();
        out.helped += c.helped.get();
        out.retries += c.retries.get();
        for (std::uint32_t e = 0; e < KVS_ERRORS; ++e)
            out.rejected[e] += c.rejected[e].get();
    }
    const Log &log = core.logs[index];
    out.memory_bytes = log.lines * line;
    const std::uint64_t begin = log.begin.load();
    out.used_bytes = (log.tail.load() - begin) * line;
    out.clock_ms = core.clock_ms.load();
    return true;
}

} // namespace kvs

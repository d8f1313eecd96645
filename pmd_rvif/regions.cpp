// SPDX-License-Identifier: Apache-2.0
// EAL's memory as regions of the port, and where in them a pool is.
#include "control.hpp"

#include <algorithm>
#include <rte_mempool.h>
#include <utility>

namespace rvif {

// Only memory that is given back can hurt, because what comes to that address next is not what the
// switch has mapped. Runs with EAL's memory lock held.
void memory_event(rte_mem_event event, const void *address, std::size_t length, void *arg)
{
    auto &port = *static_cast<Port *>(arg);
    if (event != RTE_MEM_EVENT_FREE) {
        return;
    }
    const std::lock_guard lock{port.control};
    ++port.given_back;
    if (!port.addresses.forget(reinterpret_cast<std::uintptr_t>(address), length)) {
        return;
    }
    for (Port::Registered &registered : port.regions) {
        for (const Segment &segment : registered.block) {
            const auto *from = static_cast<const std::byte *>(address);
            if (segment.va < from + length && from < segment.va + segment.length) {
                registered.stale = true;
            }
        }
    }
}

namespace {

// One attempt; changed: memory was given back meanwhile.
bool register_once(Port &port, std::string &why, bool &changed)
{
    const std::uint64_t before = port.given_back;
    std::vector<Block> blocks = joined(dpdk_memory(), RVIF_MAX_REGIONS);
    std::vector<Port::Registered> regions;
    {
        const std::lock_guard lock{port.control};
        regions = std::exchange(port.regions, {});
        port.addresses.assign({});
    }
    std::erase_if(regions, [&](const Port::Registered &registered) {
        const bool keep =
            !registered.stale && std::ranges::find(blocks, registered.block) != blocks.end();
        if (!keep) {
            port.backend->remove_region(registered.region);
        }
        return !keep;
    });
    bool all = true;
    for (Block &block : blocks) {
        const bool known =
            std::ranges::any_of(regions, [&](const auto &r) { return r.block == block; });
        if (known) {
            continue;
        }
        const int region = port.backend->add_region(block, why);
        if (region < 0) {
            all = false;
            break;
        }
        regions.push_back({.block = std::move(block), .region = region});
    }
    std::vector<AddressMap::Placed> placed;
    for (const Port::Registered &registered : regions) {
        placed.push_back({.block = registered.block, .region = registered.region});
    }
    const std::lock_guard lock{port.control};
    port.addresses.assign(placed);
    port.regions = std::move(regions);
    changed = port.given_back != before;
    return all;
}

} // namespace

bool register_memory(Port &port, std::string &why)
{
    constexpr int tries = 8; // against an application that never rests
    bool changed = true;
    for (int i = 0; i < tries && changed; ++i) {
        if (!register_once(port, why, changed)) {
            return false;
        }
    }
    if (changed) {
        why = "memory is given back all the time: start the port when that is over";
    }
    return !changed;
}

void forget_memory(Port &port)
{
    std::vector<Port::Registered> regions;
    {
        const std::lock_guard lock{port.control};
        regions = std::exchange(port.regions, {});
        port.addresses.assign({});
    }
    for (const Port::Registered &registered : regions) {
        port.backend->remove_region(registered.region);
    }
}

bool pool_region(const Port &port, rte_mempool *pool, std::uint32_t &region, std::string &why)
{
    struct Visit {
        const AddressMap &addresses;
        int region = -1;
        bool outside = false;
        bool several = false;
        bool far = false;
    } visit{.addresses = port.addresses};
    rte_mempool_mem_iter(
        pool,
        [](rte_mempool *, void *arg, rte_mempool_memhdr *chunk, unsigned) {
            auto &v = *static_cast<Visit *>(arg);
            const auto address = v.addresses.address(chunk->addr, chunk->len);
            if (!address) {
                v.outside = true;
                return;
            }
            const int in = static_cast<int>(RVIF_ADDR_REGION(*address));
            v.several = v.several || (v.region >= 0 && v.region != in);
            constexpr std::uint64_t last = std::uint64_t{RVIF_POSTED_MASK} * RVIF_BUF_UNIT;
            v.far = v.far || RVIF_ADDR_OFFSET(*address) + chunk->len > last;
            v.region = in;
        },
        &visit);
    if (visit.outside || visit.region < 0) {
        why = std::string{"pool "} + pool->name +
              " is not in EAL's memory: make it with rte_pktmbuf_pool_create (testpmd: "
              "--mp-alloc=native)";
        return false;
    }
    if (visit.several) {
        why =
            std::string{"pool "} + pool->name +
            " is spread over memory of several kinds: make it smaller or use one size of hugepages";
        return false;
    }
    if (visit.far) {
        why = std::string{"pool "} + pool->name +
              " is beyond the first 128 GB of memory: give DPDK less (--socket-mem)";
        return false;
    }
    region = static_cast<std::uint32_t>(visit.region);
    return true;
}

const AddressMap::Run *pool_run(const Port &port, rte_mempool *pool)
{
    struct Visit {
        const AddressMap &addresses;
        const AddressMap::Run *run = nullptr;
        bool one = true;
    } visit{.addresses = port.addresses};
    rte_mempool_mem_iter(
        pool,
        [](rte_mempool *, void *arg, rte_mempool_memhdr *chunk, unsigned) {
            auto &v = *static_cast<Visit *>(arg);
            const AddressMap::Run *run = v.addresses.find(chunk->addr, chunk->len, nullptr);
            v.one = v.one && run != nullptr && (v.run == nullptr || v.run == run);
            v.run = run;
        },
        &visit);
    return visit.one ? visit.run : nullptr;
}

} // namespace rvif

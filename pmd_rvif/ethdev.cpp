// SPDX-License-Identifier: Apache-2.0
// The control path: from --vdev to a port that moves frames, and back.
#include "control.hpp"
#include "port.hpp"
#include "rvs/names.h"

#include <algorithm>
#include <bit>
#include <bus_vdev_driver.h>
#include <cstring>
#include <ethdev_vdev.h>
#include <rte_cpuflags.h>
#include <rte_cycles.h>
#include <rte_malloc.h>
#include <rte_mempool.h>
#include <rte_version.h>
#include <utility>

namespace rvif {

int log_type;

void EalDelete::operator()(void *memory) const noexcept
{
    rte_free(memory);
}

void *eal_alloc(std::size_t bytes, int socket)
{
    return rte_zmalloc_socket("rvif", bytes, RVIF_LINE, socket);
}

std::string call_error(const Port &port, const char *what, const CallResult &result)
{
    std::string text = what;
    text += ": ";
    if (result.status != 0) {
        text += port.backend->explain(result.status);
    } else {
        text += rvif_error_text(static_cast<long>(result.value));
    }
    return text;
}

bool Port::switch_stats(rvif_port_stats &out, bool since_reset)
{
    const std::lock_guard lock{control};
    out = {};
    const auto address = addresses.address(stats_area.get(), sizeof(rvif_port_stats));
    if (!address || !backend->call(RVIF_OP_STATS, *address, 0, 0).ok()) {
        return false;
    }
    out = *stats_area;
    if (since_reset) {
        out.rx_frames -= stats_base.rx_frames;
        out.rx_bytes -= stats_base.rx_bytes;
        out.tx_frames -= stats_base.tx_frames;
        out.tx_bytes -= stats_base.tx_bytes;
        out.crossings -= stats_base.crossings;
        for (std::size_t i = 0; i < std::size(out.drops); ++i) {
            out.drops[i] -= stats_base.drops[i];
        }
    }
    return true;
}

bool Port::sources(const RxQueue &queue, rvif_sources &out)
{
    const CallResult result = backend->call(RVIF_OP_SOURCES, queue.sources_addr, 0, 0);
    if (!result.ok()) {
        return false;
    }
    out = *queue.sources;
    link.store(out.link != 0, std::memory_order_relaxed);
    return true;
}

bool call_ok(Port &port, const char *what, std::string &why, std::uint64_t op, std::uint64_t a1,
             std::uint64_t a2, std::int64_t *value)
{
    const CallResult result = port.backend->call(op, a1, a2, 0);
    if (!result.ok()) {
        why = call_error(port, what, result);
        return false;
    }
    if (value != nullptr) {
        *value = result.value;
    }
    return true;
}

bool where(const Port &port, const void *memory, std::size_t bytes, rvif_addr_t &out,
           std::string &why)
{
    const auto address = port.addresses.address(memory, bytes);
    if (!address) {
        why = "EAL's heap is not in memory that can be shared: run without --no-shconf, or with "
              "memfd support";
        return false;
    }
    out = *address;
    return true;
}

namespace {

constexpr std::uint32_t frame_overhead = RTE_ETHER_HDR_LEN + 4; // and one VLAN tag
constexpr std::uint16_t default_depth = 512;

// ------------------------------------------------------------------ memory

// The application gave memory back, or got some: only the first can hurt, because what comes to
// that address next is not what the switch has mapped. Runs with EAL's memory lock held.
void memory_event(rte_mem_event event, const void *address, std::size_t length, void *arg)
{
    auto &port = *static_cast<Port *>(arg);
    if (event != RTE_MEM_EVENT_FREE ||
        !port.addresses.forget(reinterpret_cast<std::uintptr_t>(address), length)) {
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

// Registers EAL's memory as it is now; keeps what has not changed.
bool register_memory(Port &port, std::string &why)
{
    std::vector<Block> blocks = dpdk_memory();
    std::erase_if(port.regions, [&](const Port::Registered &registered) {
        const bool keep =
            !registered.stale && std::ranges::find(blocks, registered.block) != blocks.end();
        if (!keep) {
            port.addresses.remove(registered.region);
            port.backend->remove_region(registered.region);
        }
        return !keep;
    });
    for (Block &block : blocks) {
        const bool known =
            std::ranges::any_of(port.regions, [&](const auto &r) { return r.block == block; });
        if (known) {
            continue;
        }
        if (port.regions.size() == RVIF_MAX_REGIONS) {
            RVIF_LOG(WARNING,
                     "more than %d kinds of memory: the rest is copied before it is sent\n",
                     RVIF_MAX_REGIONS);
            break;
        }
        const int region = port.backend->add_region(block, why);
        if (region < 0) {
            return false;
        }
        if (!port.addresses.add(block, region)) {
            RVIF_LOG(WARNING,
                     "memory is in too many pieces: some of it is copied before it is sent\n");
        }
        port.regions.push_back({.block = std::move(block), .region = region});
    }
    return true;
}

// The one region that all of a pool's buffers are in.
bool pool_region(const Port &port, rte_mempool *pool, std::uint32_t &region, std::string &why)
{
    struct Visit {
        const AddressMap &addresses;
        int region = -1;
        bool outside = false;
        bool several = false;
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
    region = static_cast<std::uint32_t>(visit.region);
    return true;
}

// The one run that all of a pool is in, or nullptr.
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

// --------------------------------------------------------------- start, stop

bool set_mac(Port &port, std::string &why)
{
    std::uint64_t mac = 0;
    std::memcpy(&mac, port.dev->data->mac_addrs[0].addr_bytes, RTE_ETHER_ADDR_LEN);
    return call_ok(port, "set MAC", why, RVIF_OP_SET_MAC, mac);
}

bool start_tx(Port &port, TxQueue &queue, std::string &why)
{
    rvif_addr_t setup = 0;
    if (!where(port, queue.ring.get(), sizeof(rvif_tx_desc) * RVIF_MAX_BURST, queue.setup->descs,
               why) ||
        !where(port, queue.bounce_memory.get(), bounce_bytes, queue.bounce_addr, why) ||
        !where(port, queue.setup.get(), sizeof(rvif_tx_setup), setup, why)) {
        return false;
    }
    queue.run = nullptr;
    queue.stopped = queue.deferred;
    queue.setup->flags = rte_cpu_get_flag_enabled(RTE_CPUFLAG_AVX2) > 0 ? RVIF_TXQ_AVX2 : 0;
    queue.setup->reserved = 0;
    return call_ok(port, "tx queue setup", why, RVIF_OP_TX_SETUP, queue.index, setup);
}

// What the receiver takes, by what the application asked for.
std::uint32_t rx_flags(std::uint64_t offloads)
{
    std::uint32_t flags = 0;
    if ((offloads & RTE_ETH_RX_OFFLOAD_RSS_HASH) != 0) {
        flags |= RVIF_RXQ_HASH;
    }
    if ((offloads & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0) {
        flags |= RVIF_RXQ_VLAN;
    }
    // It looks at the checksums' state, so it may be told that they are not computed.
    constexpr std::uint64_t both = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM;
    if ((offloads & both) == both) {
        flags |= RVIF_RXQ_L4_NONE;
        if ((offloads & RTE_ETH_RX_OFFLOAD_TCP_LRO) != 0) {
            flags |= RVIF_RXQ_TSO;
        }
    }
    return flags;
}

bool start_rx(Port &port, RxQueue &queue, std::string &why)
{
    rvif_addr_t setup = 0;
    if (!pool_region(port, queue.pool, queue.region, why) ||
        !where(port, queue.ring.get(), RVIF_LANE_STRIDE(queue.depth) * RVIF_MAX_SOURCES,
               queue.setup->lanes, why) ||
        !where(port, queue.sources.get(), sizeof(rvif_sources), queue.sources_addr, why) ||
        !where(port, queue.setup.get(), sizeof(rvif_rx_setup), setup, why)) {
        return false;
    }
    queue.stopped = queue.deferred;
    queue.plain_length = std::min(queue.buf_len, queue.max_frame);
    queue.run = pool_run(port, queue.pool);
    queue.setup->depth = queue.depth;
    queue.setup->buf_len = queue.buf_len;
    queue.setup->buf_region = queue.region;
    queue.setup->flags = rx_flags(port.dev->data->dev_conf.rxmode.offloads);
    rx_reset_lanes(queue);
    return call_ok(port, "rx queue setup", why, RVIF_OP_RX_SETUP, queue.index, setup);
}

bool mtu_fits(const Port &port, std::uint32_t mtu, std::string &why)
{
    for (const auto &queue : port.rx) {
        if (queue != nullptr && !queue->scattered && mtu + frame_overhead > queue->buf_len) {
            why = "MTU " + std::to_string(mtu) + " needs buffers of " +
                  std::to_string(mtu + frame_overhead) + " bytes, those of pool " +
                  queue->pool->name + " hold " + std::to_string(queue->buf_len) +
                  ": make them bigger (testpmd: --mbuf-size) or allow scattered rx (testpmd: "
                  "--enable-scatter)";
            return false;
        }
    }
    return true;
}

// Asks the switch to stop until no call of a peer can be filling buffers of ours any more, and
// takes those back. A peer that has stopped inside the switch (frozen, not killed) can keep it
// waiting: then the buffers stay where they are.
bool drain(Port &port)
{
    constexpr int tries = 2000;
    constexpr unsigned pause_us = 1000;
    CallResult result{};
    for (int i = 0; i < tries; ++i) {
        result = port.backend->call(RVIF_OP_STOP, 0, 0, 0);
        if (result.status != 0 || result.value != -RVIF_E_BUSY) {
            break;
        }
        rte_delay_us_sleep(pause_us);
    }
    port.undrained = result.status == 0 && result.value == -RVIF_E_BUSY;
    if (port.undrained) {
        return false;
    }
    if (!result.ok()) {
        RVIF_LOG(WARNING, "%s\n", call_error(port, "stop", result).c_str());
    }
    for (auto &queue : port.rx) {
        if (queue != nullptr) {
            rx_release_buffers(*queue);
        }
    }
    return true;
}

// Buffers that a peer may still write to must not go back to their pool: better lost than written
// to in other hands.
void give_up(std::unique_ptr<RxQueue> &queue)
{
    RVIF_LOG(ERR, "a peer has stopped inside the switch: the buffers of rx queue %u are given up\n",
             queue->index);
    static_cast<void>(queue.release());
}

int start(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    std::string why;
    const auto go = [&] {
        if (port.undrained && !drain(port)) {
            why = "a peer that has stopped inside the switch may still write to buffers of ours: "
                  "resume or kill it";
            return false;
        }
        if (!mtu_fits(port, dev->data->mtu, why) || !register_memory(port, why)) {
            return false;
        }
        for (auto &queue : port.tx) {
            if (!start_tx(port, *queue, why)) {
                return false;
            }
        }
        for (auto &queue : port.rx) {
            queue->max_frame = dev->data->mtu + frame_overhead;
            if (!start_rx(port, *queue, why)) {
                return false;
            }
        }
        return rss_apply(dev, why) && set_mac(port, why) &&
               call_ok(port, "start", why, RVIF_OP_START);
    };
    if (!go()) {
        RVIF_LOG(ERR, "%s does not start: %s\n", dev->data->name, why.c_str());
        port.backend->call(RVIF_OP_STOP, 0, 0, 0);
        return -EIO;
    }
    for (auto &queue : port.rx) {
        dev->data->rx_queue_state[queue->index] =
            queue->deferred ? RTE_ETH_QUEUE_STATE_STOPPED : RTE_ETH_QUEUE_STATE_STARTED;
    }
    for (auto &queue : port.tx) {
        dev->data->tx_queue_state[queue->index] =
            queue->deferred ? RTE_ETH_QUEUE_STATE_STOPPED : RTE_ETH_QUEUE_STATE_STARTED;
    }
    dev->data->dev_link.link_status = RTE_ETH_LINK_UP;
    link_watch(dev, dev->data->dev_conf.intr_conf.lsc != 0);
    return 0;
}

int stop(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    link_watch(dev, false);
    if (!drain(port)) {
        RVIF_LOG(ERR,
                 "%s: a peer has stopped inside the switch and may still write to buffers of ours: "
                 "they stay "
                 "posted until it goes on or is killed\n",
                 dev->data->name);
    }
    for (auto &queue : port.rx) {
        dev->data->rx_queue_state[queue->index] = RTE_ETH_QUEUE_STATE_STOPPED;
    }
    for (auto &queue : port.tx) {
        dev->data->tx_queue_state[queue->index] = RTE_ETH_QUEUE_STATE_STOPPED;
    }
    dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
    dev->data->dev_started = 0;
    return 0;
}

// ------------------------------------------------------------------- queues

int configure(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    port.rx.resize(dev->data->nb_rx_queues);
    port.tx.resize(dev->data->nb_tx_queues);
    return rss_configure(dev);
}

int rx_setup(rte_eth_dev *dev, std::uint16_t index, std::uint16_t depth, unsigned socket,
             const rte_eth_rxconf *conf, rte_mempool *pool)
{
    Port &port = port_of(dev);
    const auto refuse = [&](const std::string &why) {
        RVIF_LOG(ERR, "%s rx queue %u: %s\n", dev->data->name, index, why.c_str());
        return -EINVAL;
    };
    if (depth < RVIF_MIN_DEPTH || depth > RVIF_MAX_DEPTH || !std::has_single_bit(depth)) {
        const unsigned near =
            std::clamp<unsigned>(std::bit_ceil<unsigned>(depth), RVIF_MIN_DEPTH, RVIF_MAX_DEPTH);
        return refuse(std::to_string(depth) + " descriptors: want a power of two from " +
                      std::to_string(RVIF_MIN_DEPTH) + " to " + std::to_string(RVIF_MAX_DEPTH) +
                      ", such as " + std::to_string(near) +
                      " (testpmd: --rxd=" + std::to_string(near) + ")");
    }
    if (pool == nullptr) {
        return refuse("several pools for one queue (buffer split) are not supported: give one");
    }
    if ((rte_pktmbuf_priv_flags(pool) & RTE_PKTMBUF_POOL_F_PINNED_EXT_BUF) != 0) {
        return refuse(std::string{"pool "} + pool->name +
                      " has pinned external buffers: use an ordinary mbuf pool");
    }
    if ((pool->flags & RTE_MEMPOOL_F_NO_CACHE_ALIGN) != 0) {
        return refuse(std::string{"pool "} + pool->name +
                      " does not align its mbufs to cache lines: create it without "
                      "RTE_MEMPOOL_F_NO_CACHE_ALIGN");
    }
    // The data of a posted buffer begins at a multiple of RVIF_BUF_UNIT. An mbuf does too; its
    // private area may not be one.
    const std::uint32_t before =
        static_cast<std::uint32_t>(sizeof(rte_mbuf)) + rte_pktmbuf_priv_size(pool);
    const std::uint32_t data_off =
        RTE_ALIGN_CEIL(before + RTE_PKTMBUF_HEADROOM, RVIF_BUF_UNIT) - before;
    const std::uint32_t room = rte_pktmbuf_data_room_size(pool);
    if (room < data_off + RVIF_BUF_UNIT) {
        return refuse(std::string{"the buffers of pool "} + pool->name + " have room for " +
                      std::to_string(room) + " bytes: want " +
                      std::to_string(data_off + RVIF_BUF_UNIT) + " at least");
    }

    auto queue = std::make_unique<RxQueue>();
    queue->port = &port;
    queue->index = index;
    queue->pool = pool;
    queue->depth = depth;
    queue->deferred = conf->rx_deferred_start != 0;
    queue->data_off = static_cast<std::uint16_t>(data_off);
    queue->data_at = before + data_off;
    queue->buf_len = std::min<std::uint32_t>(room - data_off, RVIF_COMP_LEN_MASK);
    queue->scattered =
        ((dev->data->dev_conf.rxmode.offloads | conf->offloads) & RTE_ETH_RX_OFFLOAD_SCATTER) != 0;
    const int node = static_cast<int>(socket);
    queue->ring.reset(
        static_cast<std::uint32_t *>(eal_alloc(RVIF_LANE_STRIDE(depth) * RVIF_MAX_SOURCES, node)));
    queue->setup.reset(static_cast<rvif_rx_setup *>(eal_alloc(sizeof(rvif_rx_setup), node)));
    queue->sources.reset(static_cast<rvif_sources *>(eal_alloc(sizeof(rvif_sources), node)));
    if (queue->ring == nullptr || queue->setup == nullptr || queue->sources == nullptr) {
        RVIF_LOG(ERR, "%s rx queue %u: EAL's heap is used up: give it more memory (-m)\n",
                 dev->data->name, index);
        return -ENOMEM;
    }
    queue->mbufs = std::make_unique_for_overwrite<rte_mbuf *[]>(
        std::size_t{depth + lane_slack} * RVIF_MAX_SOURCES);
    rx_reset_lanes(*queue);

    rte_mbuf model{};
    model.data_off = queue->data_off;
    rte_mbuf_refcnt_set(&model, 1);
    model.nb_segs = 1;
    model.port = dev->data->port_id;
    std::memcpy(&queue->rearm, &model.rearm_data, sizeof(queue->rearm));

    dev->data->rx_queues[index] = queue.get();
    dev->data->scattered_rx = queue->scattered;
    port.rx[index] = std::move(queue);
    return 0;
}

int tx_setup(rte_eth_dev *dev, std::uint16_t index, std::uint16_t, unsigned socket,
             const rte_eth_txconf *conf)
{
    Port &port = port_of(dev);
    auto queue = std::make_unique<TxQueue>();
    queue->port = &port;
    queue->index = index;
    queue->deferred = conf->tx_deferred_start != 0;
    queue->fast_free = ((dev->data->dev_conf.txmode.offloads | conf->offloads) &
                        RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE) != 0;
    const int node = static_cast<int>(socket);
    queue->ring.reset(
        static_cast<rvif_tx_desc *>(eal_alloc(sizeof(rvif_tx_desc) * RVIF_MAX_BURST, node)));
    queue->setup.reset(static_cast<rvif_tx_setup *>(eal_alloc(sizeof(rvif_tx_setup), node)));
    queue->bounce_memory.reset(static_cast<std::byte *>(eal_alloc(bounce_bytes, node)));
    if (queue->ring == nullptr || queue->setup == nullptr || queue->bounce_memory == nullptr) {
        RVIF_LOG(ERR, "%s tx queue %u: EAL's heap is used up: give it more memory (-m)\n",
                 dev->data->name, index);
        return -ENOMEM;
    }
    queue->descs = queue->ring.get();
    queue->bounce = queue->bounce_memory.get();
    dev->data->tx_queues[index] = queue.get();
    port.tx[index] = std::move(queue);
    return 0;
}

void rx_release(rte_eth_dev *dev, std::uint16_t index)
{
    Port &port = port_of(dev);
    if (index < port.rx.size() && port.rx[index] != nullptr) {
        if (port.undrained && !drain(port)) {
            give_up(port.rx[index]);
        }
        port.rx[index].reset();
    }
    dev->data->rx_queues[index] = nullptr;
}

void tx_release(rte_eth_dev *dev, std::uint16_t index)
{
    Port &port = port_of(dev);
    if (index < port.tx.size()) {
        port.tx[index].reset();
    }
    dev->data->tx_queues[index] = nullptr;
}

void rx_info(rte_eth_dev *dev, std::uint16_t index, rte_eth_rxq_info *out)
{
    const RxQueue &queue = *port_of(dev).rx[index];
    out->mp = queue.pool;
    out->scattered_rx = queue.scattered;
    out->nb_desc = static_cast<std::uint16_t>(queue.depth);
    out->rx_buf_size = static_cast<std::uint16_t>(queue.buf_len);
    out->conf.rx_drop_en = 1;
    out->conf.offloads = dev->data->dev_conf.rxmode.offloads;
}

void tx_info(rte_eth_dev *dev, std::uint16_t, rte_eth_txq_info *out)
{
    out->nb_desc = RVIF_MAX_BURST;
    out->conf.offloads = dev->data->dev_conf.txmode.offloads;
}

// ---------------------------------------------------------------- attributes

int info(rte_eth_dev *, rte_eth_dev_info *out)
{
    out->max_rx_queues = RVIF_MAX_QUEUES;
    out->max_tx_queues = RVIF_MAX_QUEUES;
    out->max_mac_addrs = 1;
    out->min_rx_bufsize = RVIF_BUF_UNIT;
    out->max_rx_pktlen = RVIF_MAX_FRAME;
    out->min_mtu = RTE_ETHER_MIN_MTU;
    out->max_mtu = RVIF_MAX_FRAME - frame_overhead;
    out->max_lro_pkt_size = RVIF_MAX_FRAME;
    out->rx_queue_offload_capa = RTE_ETH_RX_OFFLOAD_SCATTER;
    out->rx_offload_capa = out->rx_queue_offload_capa | RTE_ETH_RX_OFFLOAD_VLAN_STRIP |
                           RTE_ETH_RX_OFFLOAD_IPV4_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
                           RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_TCP_LRO |
                           RTE_ETH_RX_OFFLOAD_RSS_HASH;
    out->tx_offload_capa = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE |
                           RTE_ETH_TX_OFFLOAD_VLAN_INSERT | RTE_ETH_TX_OFFLOAD_IPV4_CKSUM |
                           RTE_ETH_TX_OFFLOAD_UDP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_CKSUM |
                           RTE_ETH_TX_OFFLOAD_TCP_TSO;
    out->tx_queue_offload_capa = out->tx_offload_capa;
    out->flow_type_rss_offloads = rss_offloads;
    out->reta_size = RVIF_RETA_SIZE;
    out->rx_desc_lim = {.nb_max = RVIF_MAX_DEPTH,
                        .nb_min = RVIF_MIN_DEPTH,
                        .nb_align = 1,
                        .nb_seg_max = 0,
                        .nb_mtu_seg_max = 0};
    // There is no tx ring: a burst is one synchronous call.
    out->tx_desc_lim = {.nb_max = RVIF_MAX_DEPTH,
                        .nb_min = 1,
                        .nb_align = 1,
                        .nb_seg_max = RVIF_MAX_BURST,
                        .nb_mtu_seg_max = RVIF_MAX_BURST};
    out->default_rxportconf = {.burst_size = 32, .ring_size = default_depth, .nb_queues = 1};
    out->default_txportconf = {.burst_size = 32, .ring_size = default_depth, .nb_queues = 1};
    out->speed_capa = RTE_ETH_LINK_SPEED_100G;
    out->dev_capa &=
        ~std::uint64_t{RTE_ETH_DEV_CAPA_FLOW_RULE_KEEP | RTE_ETH_DEV_CAPA_FLOW_SHARED_OBJECT_KEEP};
    return 0;
}

int mtu_set(rte_eth_dev *dev, std::uint16_t mtu)
{
    Port &port = port_of(dev);
    std::string why;
    if (!mtu_fits(port, mtu, why)) {
        RVIF_LOG(ERR, "%s: %s\n", dev->data->name, why.c_str());
        return -EINVAL;
    }
    for (auto &queue : port.rx) {
        if (queue != nullptr) {
            queue->max_frame = mtu + frame_overhead;
            queue->plain_length = std::min(queue->buf_len, queue->max_frame);
        }
    }
    return 0;
}

int mac_set(rte_eth_dev *dev, rte_ether_addr *mac)
{
    Port &port = port_of(dev);
    dev->data->mac_addrs[0] = *mac;
    std::string why;
    if (dev->data->dev_started != 0 && !set_mac(port, why)) {
        RVIF_LOG(ERR, "%s: %s\n", dev->data->name, why.c_str());
        return -EIO;
    }
    return 0;
}

// Tags are taken out, or not, from a queue's set-up on.
int vlan_offload_set(rte_eth_dev *dev, int mask)
{
    if ((mask & RTE_ETH_VLAN_STRIP_MASK) != 0 && dev->data->dev_started != 0) {
        RVIF_LOG(ERR, "%s: stop the port to change VLAN stripping\n", dev->data->name);
        return -EBUSY;
    }
    return 0;
}

const std::uint32_t *packet_types(rte_eth_dev *)
{
    static const std::uint32_t types[] = {RTE_PTYPE_L2_ETHER, RTE_PTYPE_UNKNOWN};
    return types;
}

// ------------------------------------------------------------ life and death

int close(rte_eth_dev *dev)
{
    auto *holder = static_cast<Port **>(dev->data->dev_private);
    if (holder == nullptr || *holder == nullptr) {
        return 0;
    }
    if (dev->data->dev_started != 0) {
        stop(dev);
    }
    const std::unique_ptr<Port> port{std::exchange(*holder, nullptr)};
    if (port->memory_events) {
        rte_mem_event_callback_unregister(port->config.device.c_str(), port.get());
    }
    if (port->undrained && !drain(*port)) {
        for (auto &queue : port->rx) {
            if (queue != nullptr) {
                give_up(queue);
            }
        }
    }
    for (const Port::Registered &registered : port->regions) {
        port->addresses.remove(registered.region);
        port->backend->remove_region(registered.region);
    }
    return 0; // the rest goes with the Port, last of all the attachment
}

constinit const eth_dev_ops operations = [] {
    eth_dev_ops ops{};
    ops.dev_configure = configure;
    ops.dev_start = start;
    ops.dev_stop = stop;
    ops.dev_close = close;
    ops.dev_infos_get = info;
    ops.rx_queue_setup = rx_setup;
    ops.rx_queue_release = rx_release;
    ops.tx_queue_setup = tx_setup;
    ops.tx_queue_release = tx_release;
    ops.rxq_info_get = rx_info;
    ops.txq_info_get = tx_info;
    ops.link_update = link_update;
    ops.mtu_set = mtu_set;
    ops.mac_addr_set = mac_set;
    ops.promiscuous_enable = promiscuous_enable;
    ops.promiscuous_disable = promiscuous_disable;
    ops.allmulticast_enable = allmulticast_enable;
    ops.allmulticast_disable = allmulticast_disable;
    ops.vlan_offload_set = vlan_offload_set;
    ops.rx_queue_start = rx_queue_start;
    ops.rx_queue_stop = rx_queue_stop;
    ops.tx_queue_start = tx_queue_start;
    ops.tx_queue_stop = tx_queue_stop;
    ops.tx_done_cleanup = tx_done_cleanup;
    ops.reta_update = reta_update;
    ops.reta_query = reta_query;
    ops.rss_hash_update = rss_hash_update;
    ops.rss_hash_conf_get = rss_hash_conf_get;
    ops.dev_supported_ptypes_get = packet_types;
    ops.stats_get = stats_get;
    ops.stats_reset = stats_reset;
    ops.xstats_get = xstats_get;
    ops.xstats_get_names = xstats_names;
    ops.xstats_reset = stats_reset;
    return ops;
}();

int probe(rte_vdev_device *vdev)
{
    const char *name = rte_vdev_device_name(vdev);
    if (rte_eal_process_type() != RTE_PROC_PRIMARY) {
        RVIF_LOG(ERR,
                 "%s: a secondary process cannot use this port, its queues belong to the primary: "
                 "give the "
                 "process a --vdev net_rvif of its own and run it as a primary (--file-prefix)\n",
                 name);
        return -ENOTSUP;
    }
    if (std::strncmp(rte_version(), "DPDK 22.11.", 11) != 0) {
        RVIF_LOG(ERR,
                 "%s: built for DPDK 22.11 and loaded into %s: build the plugin against that one\n",
                 name, rte_version());
        return -ENOTSUP;
    }
    std::string why;
    std::optional<Config> config = parse_devargs(name, rte_vdev_device_args(vdev), why);
    if (!config) {
        RVIF_LOG(ERR, "%s: %s\n", name, why.c_str());
        return -EINVAL;
    }

    auto port = std::make_unique<Port>();
    port->config = *config;
    port->backend = config->backend == BackendKind::direct ? attach_direct(*config, why)
                                                           : attach_elisa(*config, why);
    if (port->backend == nullptr) {
        RVIF_LOG(ERR, "%s: %s\n", name, why.c_str());
        return -ENODEV;
    }
    const CallResult hello = port->backend->call(RVIF_OP_INFO, 0, 0, 0);
    if (!hello.ok()) {
        RVIF_LOG(ERR, "%s: the switch does not answer: %s\n", name,
                 call_error(*port, "info", hello).c_str());
        return -ENODEV;
    }
    if (const auto version = static_cast<unsigned>(hello.value >> 32); version != RVIF_VERSION) {
        RVIF_LOG(ERR,
                 "%s: the switch speaks rvif version %u, this driver %u: bring both to the same "
                 "release\n",
                 name, version, RVIF_VERSION);
        return -EPROTO;
    }

    rte_eth_dev *dev = rte_eth_vdev_allocate(vdev, sizeof(Port *));
    if (dev == nullptr) {
        RVIF_LOG(ERR, "%s: no room for another Ethernet device\n", name);
        return -ENOMEM;
    }
    const int node = vdev->device.numa_node;
    port->stats_area.reset(
        static_cast<rvif_port_stats *>(eal_alloc(sizeof(rvif_port_stats), node)));
    port->rss_area.reset(static_cast<rvif_rss *>(eal_alloc(sizeof(rvif_rss), node)));
    port->status_area.reset(static_cast<rvif_sources *>(eal_alloc(sizeof(rvif_sources), node)));
    dev->data->mac_addrs = static_cast<rte_ether_addr *>(eal_alloc(sizeof(rte_ether_addr), node));
    if (port->stats_area == nullptr || port->rss_area == nullptr || port->status_area == nullptr ||
        dev->data->mac_addrs == nullptr) {
        RVIF_LOG(ERR, "%s: EAL's heap is used up: give it more memory (-m)\n", name);
        rte_eth_dev_release_port(dev);
        return -ENOMEM;
    }
    if (config->mac) {
        dev->data->mac_addrs[0] = *config->mac;
    } else {
        rte_eth_random_addr(dev->data->mac_addrs[0].addr_bytes);
    }
    port->dev = dev;
    port->memory_events =
        rte_mem_event_callback_register(port->config.device.c_str(), memory_event, port.get()) == 0;
    dev->data->dev_link.link_speed = RTE_ETH_SPEED_NUM_100G;
    dev->data->dev_link.link_duplex = RTE_ETH_LINK_FULL_DUPLEX;
    dev->data->dev_link.link_autoneg = RTE_ETH_LINK_FIXED;
    dev->data->dev_link.link_status = RTE_ETH_LINK_DOWN;
    dev->data->dev_flags |= RTE_ETH_DEV_AUTOFILL_QUEUE_XSTATS | RTE_ETH_DEV_INTR_LSC;
    dev->dev_ops = &operations;
    dev->rx_pkt_burst = rx_burst;
    dev->tx_pkt_burst = tx_burst;
    dev->tx_pkt_prepare = tx_prepare;
    dev->rx_queue_count = rx_queue_count;
    dev->rx_descriptor_status = rx_descriptor_status;
    dev->tx_descriptor_status = tx_descriptor_status;
    *static_cast<Port **>(dev->data->dev_private) = port.release();
    rte_eth_dev_probing_finish(dev);
    RVIF_LOG(NOTICE, "%s is port %u of the switch\n", name,
             static_cast<unsigned>(hello.value & 0xffffffff));
    return 0;
}

int remove(rte_vdev_device *vdev)
{
    rte_eth_dev *dev = rte_eth_dev_allocated(rte_vdev_device_name(vdev));
    return dev == nullptr ? 0 : rte_eth_dev_close(dev->data->port_id);
}

constinit rte_vdev_driver driver = [] {
    rte_vdev_driver d{};
    d.probe = probe;
    d.remove = remove;
    return d;
}();

} // namespace
} // namespace rvif

// The macros of RTE_PMD_REGISTER_VDEV and RTE_LOG_REGISTER, which are C.
namespace {
[[gnu::constructor(65535)]] void register_net_rvif()
{
    rvif::log_type = rte_log_register_type_and_pick_level("pmd.net.rvif", RTE_LOG_NOTICE);
    rvif::driver.driver.name = "net_rvif";
    rte_vdev_register(&rvif::driver);
    rvif::telemetry_register();
}
} // namespace

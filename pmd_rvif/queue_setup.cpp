// SPDX-License-Identifier: Apache-2.0
// Queues come and go, while their port is stopped.
#include "control.hpp"

#include <algorithm>
#include <bit>
#include <cstring>
#include <rte_mempool.h>

namespace rvif {
int dev_configure(rte_eth_dev *dev)
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
    queue->mbufs = std::make_unique_for_overwrite<rte_mbuf *[]>(std::size_t{depth + lane_slack} *
                                                                RVIF_MAX_SOURCES);
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
    // A new queue's counters begin at 0, also those that the switch has of it.
    if (rvif_port_stats now; port.switch_stats_of(index, now, false)) {
        port.queue_base[index] = now;
    }
    dev->data->tx_queues[index] = queue.get();
    port.tx[index] = std::move(queue);
    return 0;
}

void rx_release(rte_eth_dev *dev, std::uint16_t index)
{
    Port &port = port_of(dev);
    if (index < port.rx.size() && port.rx[index] != nullptr) {
        if (std::string why; port.undrained && !drain(port, why)) {
            give_up(port.rx[index], why);
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

} // namespace rvif

// SPDX-License-Identifier: Apache-2.0
// Single queues, stopped and started while their port runs; and how full they are.
#include "control.hpp"

namespace rvif {

// The switch knows nothing of it: a stopped queue's lanes fill up, and then its frames are counted
// as drop_no_buffer.
int rx_queue_stop(rte_eth_dev *dev, std::uint16_t index)
{
    RxQueue &queue = *port_of(dev).rx[index];
    queue.stopped = true;
    queue.polls = 0;
    dev->data->rx_queue_state[index] = RTE_ETH_QUEUE_STATE_STOPPED;
    return 0;
}

int rx_queue_start(rte_eth_dev *dev, std::uint16_t index)
{
    RxQueue &queue = *port_of(dev).rx[index];
    if (queue.stopped) {
        queue.stopped = false;
        // What came meanwhile is old news.
        rte_mbuf *stale[64];
        const std::uint64_t frames = queue.frames;
        const std::uint64_t bytes = queue.bytes;
        std::uint32_t empty = 0; // bursts, one after the other: each looks at some of the lanes
        for (std::uint32_t left = queue.depth * RVIF_MAX_SOURCES;
             left > 0 && empty <= queue.live_count / lanes_per_poll;) {
            const std::uint16_t n = rx_burst(&queue, stale, std::size(stale));
            if (n == 0) {
                ++empty;
                continue;
            }
            empty = 0;
            rte_pktmbuf_free_bulk(stale, n);
            queue.stale += n;
            left -= std::min<std::uint32_t>(left, n);
        }
        queue.frames = frames;
        queue.bytes = bytes;
    }
    dev->data->rx_queue_state[index] = RTE_ETH_QUEUE_STATE_STARTED;
    return 0;
}

int tx_queue_stop(rte_eth_dev *dev, std::uint16_t index)
{
    port_of(dev).tx[index]->stopped = true;
    dev->data->tx_queue_state[index] = RTE_ETH_QUEUE_STATE_STOPPED;
    return 0;
}

int tx_queue_start(rte_eth_dev *dev, std::uint16_t index)
{
    port_of(dev).tx[index]->stopped = false;
    dev->data->tx_queue_state[index] = RTE_ETH_QUEUE_STATE_STARTED;
    return 0;
}

std::uint32_t rx_queue_count(void *opaque)
{
    const RxQueue &queue = *static_cast<const RxQueue *>(opaque);
    return rx_filled(queue, queue.depth);
}

// A queue's descriptors are those of all its lanes; seen from outside there are `depth`.
int rx_descriptor_status(void *opaque, std::uint16_t offset)
{
    const RxQueue &queue = *static_cast<const RxQueue *>(opaque);
    if (offset >= queue.depth) {
        return -EINVAL;
    }
    return rx_filled(queue, offset + 1u) > offset ? RTE_ETH_RX_DESC_DONE : RTE_ETH_RX_DESC_AVAIL;
}

// There is no tx ring: what was sent is done.
int tx_descriptor_status(void *, std::uint16_t)
{
    return RTE_ETH_TX_DESC_DONE;
}

int tx_done_cleanup(void *, std::uint32_t)
{
    return 0;
}

} // namespace rvif

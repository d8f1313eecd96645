// SPDX-License-Identifier: Apache-2.0
// Counters: our queues', and the switch's for this port, drops by the reason's name.
#include "port.hpp"
#include "rvs/names.h"

#include <cstdio>
#include <cstring>

namespace rvif {
namespace {

// Reasons that are counted at the receiver; the others are the sender's.
constexpr bool at_receiver(unsigned reason)
{
    return reason <= RVIF_DROP_RX_BAD_BUFFER;
}

struct SwitchCounter {
    const char *name;
    std::uint64_t rvif_port_stats::*value;
};
constexpr SwitchCounter switch_counters[] = {
    {"switch_rx_frames", &rvif_port_stats::rx_frames},
    {"switch_rx_bytes", &rvif_port_stats::rx_bytes},
    {"switch_tx_frames", &rvif_port_stats::tx_frames},
    {"switch_tx_bytes", &rvif_port_stats::tx_bytes},
    {"switch_crossings", &rvif_port_stats::crossings},
};

template <class Queue>
struct QueueCounter {
    const char *name;
    std::uint64_t Queue::*value;
};
constexpr QueueCounter<RxQueue> rx_counters[] = {
    {"rx_no_mbuf", &RxQueue::no_mbuf},   {"rx_bad_length", &RxQueue::bad_length},
    {"rx_oversize", &RxQueue::oversize}, {"rx_not_scattered", &RxQueue::not_scattered},
    {"rx_stopped", &RxQueue::stale},     {"rx_unregistered", &RxQueue::unregistered},
};
constexpr QueueCounter<TxQueue> tx_counters[] = {
    {"tx_bounced_segments", &TxQueue::bounced},
    {"tx_bad_length", &TxQueue::bad_length},
    {"tx_empty", &TxQueue::empty},
    {"tx_bad_offload", &TxQueue::bad_offload},
    {"tx_calls_resumed", &TxQueue::cut},
    {"tx_call_aborted", &TxQueue::aborted},
    {"tx_call_refused", &TxQueue::refused},
    {"tx_busy_calls", &TxQueue::busy},
};

constexpr unsigned total = std::size(switch_counters) + RVIF_DROP_REASONS + std::size(rx_counters) +
                           std::size(tx_counters);

template <class Queue>
std::uint64_t sum(const std::vector<std::unique_ptr<Queue>> &queues, std::uint64_t Queue::*value)
{
    std::uint64_t all = 0;
    for (const auto &queue : queues) {
        all += queue != nullptr ? (*queue).*value : 0;
    }
    return all;
}

} // namespace

int xstats_names(rte_eth_dev *, rte_eth_xstat_name *out, unsigned count)
{
    if (out == nullptr || count < total) {
        return static_cast<int>(total);
    }
    unsigned at = 0;
    const auto put = [&](const char *prefix, const char *name) {
        std::snprintf(out[at++].name, sizeof(out->name), "%s%s", prefix, name);
    };
    for (const auto &counter : switch_counters) {
        put("", counter.name);
    }
    for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
        put("drop_", rvif_drop_name(reason));
    }
    for (const auto &counter : rx_counters) {
        put("", counter.name);
    }
    for (const auto &counter : tx_counters) {
        put("", counter.name);
    }
    return static_cast<int>(total);
}

int xstats_get(rte_eth_dev *dev, rte_eth_xstat *out, unsigned count)
{
    if (out == nullptr || count < total) {
        return static_cast<int>(total);
    }
    Port &port = port_of(dev);
    rvif_port_stats stats;
    port.switch_stats(stats);
    unsigned at = 0;
    const auto put = [&](std::uint64_t value) {
        out[at].id = at;
        out[at++].value = value;
    };
    for (const auto &counter : switch_counters) {
        put(stats.*counter.value);
    }
    for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
        put(stats.drops[reason]);
    }
    for (const auto &counter : rx_counters) {
        put(sum(port.rx, counter.value));
    }
    for (const auto &counter : tx_counters) {
        put(sum(port.tx, counter.value));
    }
    return static_cast<int>(total);
}

int stats_get(rte_eth_dev *dev, rte_eth_stats *out)
{
    Port &port = port_of(dev);
    for (std::size_t i = 0; i < port.rx.size(); ++i) {
        if (const RxQueue *queue = port.rx[i].get(); queue != nullptr) {
            out->ipackets += queue->frames;
            out->ibytes += queue->bytes;
            out->ierrors += queue->bad_length + queue->oversize + queue->not_scattered;
            if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
                out->q_ipackets[i] = queue->frames;
                out->q_ibytes[i] = queue->bytes;
            }
        }
    }
    for (std::size_t i = 0; i < port.tx.size(); ++i) {
        if (const TxQueue *queue = port.tx[i].get(); queue != nullptr) {
            out->opackets += queue->frames;
            out->obytes += queue->bytes;
            out->oerrors += queue->aborted + queue->refused + queue->bad_length + queue->empty +
                            queue->bad_offload;
            if (i < RTE_ETHDEV_QUEUE_STAT_CNTRS) {
                out->q_opackets[i] = queue->frames;
                out->q_obytes[i] = queue->bytes;
            }
        }
    }
    out->rx_nombuf = dev->data->rx_mbuf_alloc_failed;
    rvif_port_stats stats;
    if (port.switch_stats(stats)) {
        for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
            (at_receiver(reason) ? out->imissed : out->oerrors) += stats.drops[reason];
        }
        // A malformed frame was taken by the switch but not accepted: it is an error, not output.
        std::uint64_t malformed = 0;
        for (unsigned reason = RVIF_DROP_BAD_SOURCE_MAC; reason < RVIF_DROP_REASONS; ++reason) {
            malformed += stats.drops[reason];
        }
        out->opackets -= std::min(out->opackets, malformed);
    }
    return 0;
}

int stats_reset(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    rvif_port_stats now;
    if (port.switch_stats(now, false)) {
        port.stats_base = now;
    }
    for (const auto &queue : port.rx) {
        if (queue != nullptr) {
            queue->frames = queue->bytes = 0;
            for (const auto &counter : rx_counters) {
                (*queue).*counter.value = 0;
            }
        }
    }
    for (const auto &queue : port.tx) {
        if (queue != nullptr) {
            queue->frames = queue->bytes = 0;
            for (const auto &counter : tx_counters) {
                (*queue).*counter.value = 0;
            }
        }
    }
    dev->data->rx_mbuf_alloc_failed = 0;
    return 0;
}

} // namespace rvif

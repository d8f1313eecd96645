// SPDX-License-Identifier: Apache-2.0
// Counters: our queues', and the switch's for this port and its tx queues, drops by the reason's
// name.
#include "port.hpp"
#include "rvs/names.h"

#include <algorithm>
#include <cstdio>
#include <cstring>

namespace rvif {
namespace {

// Reasons that are counted at the receiver; the others are the sender's.
constexpr unsigned first_of_sender = RVIF_DROP_RX_BAD_BUFFER + 1;

struct SwitchCounter {
    const char *name;
    std::uint64_t rvif_port_stats::*value;
};
constexpr SwitchCounter switch_counters[] = {
    {"rx_frames", &rvif_port_stats::rx_frames}, {"rx_bytes", &rvif_port_stats::rx_bytes},
    {"tx_frames", &rvif_port_stats::tx_frames}, {"tx_bytes", &rvif_port_stats::tx_bytes},
    {"crossings", &rvif_port_stats::crossings},
};

template <class Queue>
struct QueueCounter {
    const char *name;
    std::uint64_t Queue::*value;
};
constexpr QueueCounter<RxQueue> rx_counters[] = {
    {"no_mbuf", &RxQueue::no_mbuf},   {"bad_length", &RxQueue::bad_length},
    {"oversize", &RxQueue::oversize}, {"not_scattered", &RxQueue::not_scattered},
    {"stopped", &RxQueue::stale},     {"unregistered", &RxQueue::unregistered},
};
constexpr QueueCounter<TxQueue> tx_counters[] = {
    {"bounced_segments", &TxQueue::bounced},
    {"bad_length", &TxQueue::bad_length},
    {"empty", &TxQueue::empty},
    {"bad_offload", &TxQueue::bad_offload},
    {"calls_resumed", &TxQueue::cut},
    {"call_aborted", &TxQueue::aborted},
    {"call_refused", &TxQueue::refused},
    {"busy_calls", &TxQueue::busy},
};

constexpr std::size_t of_port = std::size(switch_counters) + RVIF_DROP_REASONS +
                                std::size(rx_counters) + std::size(tx_counters);
constexpr std::size_t of_tx_queue = RVIF_DROP_REASONS - first_of_sender + std::size(tx_counters);

// What ethdev has of a queue by itself is not among them: rx_q0_packets, _bytes, _errors.
unsigned total(const Port &port)
{
    return static_cast<unsigned>(of_port + port.rx.size() * std::size(rx_counters) +
                                 port.tx.size() * of_tx_queue);
}

template <class Queue>
std::uint64_t of(const std::unique_ptr<Queue> &queue, std::uint64_t Queue::*value)
{
    return queue != nullptr ? (*queue).*value : 0;
}

template <class Queue>
std::uint64_t sum(const std::vector<std::unique_ptr<Queue>> &queues, std::uint64_t Queue::*value)
{
    std::uint64_t all = 0;
    for (const auto &queue : queues) {
        all += of(queue, value);
    }
    return all;
}

// Received by the driver, and not handed on.
std::uint64_t errors(const RxQueue &queue)
{
    return queue.bad_length + queue.oversize + queue.not_scattered;
}

std::uint64_t errors(const TxQueue &queue)
{
    return queue.aborted + queue.refused + queue.bad_length + queue.empty + queue.bad_offload;
}

// Taken by the switch, but not accepted: errors, not output.
std::uint64_t rejected(const rvif_port_stats &stats)
{
    std::uint64_t all = 0;
    for (unsigned reason = RVIF_DROP_BAD_SOURCE_MAC; reason < RVIF_DROP_REASONS; ++reason) {
        all += stats.drops[reason];
    }
    return all;
}

} // namespace

int xstats_names(rte_eth_dev *dev, rte_eth_xstat_name *out, unsigned count)
{
    const Port &port = port_of(dev);
    if (out == nullptr || count < total(port)) {
        return static_cast<int>(total(port));
    }
    unsigned at = 0;
    const auto put = [&](const char *prefix, const char *name) {
        std::snprintf(out[at++].name, sizeof(out->name), "%s%s", prefix, name);
    };
    for (const auto &counter : switch_counters) {
        put("switch_", counter.name);
    }
    for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
        put("drop_", rvif_drop_name(reason));
    }
    for (const auto &counter : rx_counters) {
        put("rx_", counter.name);
    }
    for (const auto &counter : tx_counters) {
        put("tx_", counter.name);
    }
    char prefix[24];
    for (unsigned queue = 0; queue < port.rx.size(); ++queue) {
        std::snprintf(prefix, sizeof(prefix), "rx_q%u_", queue);
        for (const auto &counter : rx_counters) {
            put(prefix, counter.name);
        }
    }
    for (unsigned queue = 0; queue < port.tx.size(); ++queue) {
        std::snprintf(prefix, sizeof(prefix), "tx_q%u_", queue);
        for (const auto &counter : tx_counters) {
            put(prefix, counter.name);
        }
    }
    // Last: of 8 queues each way there are more than DPDK's telemetry has room for.
    for (unsigned queue = 0; queue < port.tx.size(); ++queue) {
        std::snprintf(prefix, sizeof(prefix), "tx_q%u_drop_", queue);
        for (unsigned reason = first_of_sender; reason < RVIF_DROP_REASONS; ++reason) {
            put(prefix, rvif_drop_name(reason));
        }
    }
    return static_cast<int>(at);
}

int xstats_get(rte_eth_dev *dev, rte_eth_xstat *out, unsigned count)
{
    Port &port = port_of(dev);
    if (out == nullptr || count < total(port)) {
        return static_cast<int>(total(port));
    }
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
    for (const auto &queue : port.rx) {
        for (const auto &counter : rx_counters) {
            put(of(queue, counter.value));
        }
    }
    for (const auto &queue : port.tx) {
        for (const auto &counter : tx_counters) {
            put(of(queue, counter.value));
        }
    }
    for (std::uint16_t i = 0; i < port.tx.size(); ++i) {
        port.switch_stats_of(i, stats);
        for (unsigned reason = first_of_sender; reason < RVIF_DROP_REASONS; ++reason) {
            put(stats.drops[reason]);
        }
    }
    return static_cast<int>(at);
}

int stats_get(rte_eth_dev *dev, rte_eth_stats *out)
{
    static_assert(RVIF_MAX_QUEUES <= RTE_ETHDEV_QUEUE_STAT_CNTRS);
    Port &port = port_of(dev);
    for (std::size_t i = 0; i < port.rx.size(); ++i) {
        if (const RxQueue *queue = port.rx[i].get(); queue != nullptr) {
            out->q_ipackets[i] = queue->frames;
            out->q_ibytes[i] = queue->bytes;
            out->q_errors[i] = errors(*queue);
            out->ipackets += queue->frames;
            out->ibytes += queue->bytes;
            out->ierrors += errors(*queue);
        }
    }
    rvif_port_stats stats;
    for (std::uint16_t i = 0; i < port.tx.size(); ++i) {
        if (const TxQueue *queue = port.tx[i].get(); queue != nullptr) {
            port.switch_stats_of(i, stats);
            out->q_opackets[i] = queue->frames - std::min(queue->frames, rejected(stats));
            out->q_obytes[i] = queue->bytes;
            out->opackets += out->q_opackets[i];
            out->obytes += queue->bytes;
            out->oerrors += errors(*queue);
        }
    }
    out->rx_nombuf = dev->data->rx_mbuf_alloc_failed;
    if (port.switch_stats(stats)) {
        for (unsigned reason = 0; reason < RVIF_DROP_REASONS; ++reason) {
            (reason < first_of_sender ? out->imissed : out->oerrors) += stats.drops[reason];
        }
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
    for (std::uint16_t queue = 0; queue < RVIF_MAX_QUEUES; ++queue) {
        if (port.switch_stats_of(queue, now, false)) {
            port.queue_base[queue] = now;
        }
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

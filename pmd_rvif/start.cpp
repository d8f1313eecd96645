// SPDX-License-Identifier: Apache-2.0
// A port starts and stops.
#include "control.hpp"

#include <algorithm>
#include <array>
#include <cstring>
#include <rte_cpuflags.h>

namespace rvif {

bool set_mac(Port &port, const rte_ether_addr &address, std::string &why)
{
    std::uint64_t mac = 0;
    std::memcpy(&mac, address.addr_bytes, RTE_ETHER_ADDR_LEN);
    if (call_ok(port, "set MAC", why, RVIF_OP_SET_MAC, mac)) {
        return true;
    }
    if (const auto given = given_mac(port); given && !rte_is_same_ether_addr(&*given, &address)) {
        std::array<char, RTE_ETHER_ADDR_FMT_SIZE> text{};
        rte_ether_format_addr(text.data(), text.size(), &*given);
        why += std::string(": the switch gives this port ") + text.data() + " and no other";
    }
    return false;
}

std::optional<rte_ether_addr> given_mac(Port &port)
{
    std::string why;
    std::int64_t mac = 0;
    if (!call_ok(port, "MAC", why, RVIF_OP_MAC, 0, 0, &mac) || mac == 0) {
        return std::nullopt;
    }
    rte_ether_addr address;
    std::memcpy(address.addr_bytes, &mac, RTE_ETHER_ADDR_LEN);
    return address;
}

namespace {

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

} // namespace

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

int dev_start(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    std::string why;
    const auto go = [&] {
        if (port.undrained && !drain(port, why)) {
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
        return rss_apply(dev, why) && set_mac(port, dev->data->mac_addrs[0], why) &&
               call_ok(port, "start", why, RVIF_OP_START);
    };
    if (!go()) {
        RVIF_LOG(ERR, "%s does not start: %s\n", dev->data->name, why.c_str());
        if (!port.undrained && !drain(port, why)) {
            RVIF_LOG(ERR, "%s: %s\n", dev->data->name, why.c_str());
        }
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

int dev_stop(rte_eth_dev *dev)
{
    Port &port = port_of(dev);
    link_watch(dev, false);
    if (std::string why; !drain(port, why)) {
        RVIF_LOG(ERR, "%s: %s; they stay posted\n", dev->data->name, why.c_str());
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

} // namespace rvif

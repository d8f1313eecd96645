// SPDX-License-Identifier: Apache-2.0
// What a port can, and what an application may change about it at any time.
#include "control.hpp"

namespace rvif {
namespace {

constexpr std::uint16_t default_depth = 512;

} // namespace

int dev_info(rte_eth_dev *, rte_eth_dev_info *out)
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
    std::string why;
    if (dev->data->dev_started != 0 && !set_mac(port, *mac, why)) {
        RVIF_LOG(ERR, "%s: %s\n", dev->data->name, why.c_str());
        return -EIO; // the port keeps the one that it has, with which it can start again
    }
    dev->data->mac_addrs[0] = *mac;
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

} // namespace rvif

// SPDX-License-Identifier: Apache-2.0
#include "nic_bed.hpp"

#include <cstring>
#include <rte_mempool.h>
#include <utility>

namespace direct {
namespace {

constexpr unsigned pool_size = 16383;

rte_mempool *pool;

} // namespace

void create_pool()
{
    pool = rte_pktmbuf_pool_create("pool", pool_size, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    CHECK(pool != nullptr);
}

rte_mempool *use_pool(rte_mempool *other)
{
    return std::exchange(pool, other);
}

std::array<std::uint8_t, 6> mac_of(std::uint16_t port)
{
    rte_ether_addr address;
    CHECK_EQ(0, rte_eth_macaddr_get(port, &address));
    std::array<std::uint8_t, 6> out{};
    std::memcpy(out.data(), &address, 6);
    return out;
}

void poll_all(std::uint16_t port)
{
    rte_eth_dev_info info;
    CHECK_EQ(0, rte_eth_dev_info_get(port, &info));
    for (std::uint16_t q = 0; q < info.nb_rx_queues; ++q) {
        rte_mbuf *burst[64];
        for (int i = 0; i < 600; ++i) { // long enough to look for new sources
            const std::uint16_t n = rte_eth_rx_burst(port, q, burst, 64);
            rte_pktmbuf_free_bulk(burst, n);
        }
    }
}

void set_up(std::uint16_t port, const Setup &setup)
{
    rte_eth_conf conf{};
    conf.rxmode.offloads = setup.rx_offloads;
    conf.rxmode.mtu = setup.mtu;
    conf.txmode.offloads = setup.tx_offloads;
    if (setup.rss_hf != 0) {
        conf.rxmode.mq_mode = RTE_ETH_MQ_RX_RSS;
        conf.rx_adv_conf.rss_conf.rss_hf = setup.rss_hf;
    }
    CHECK_EQ(0, rte_eth_dev_configure(port, setup.queues, setup.queues, &conf));
    rte_eth_dev_info info;
    CHECK_EQ(0, rte_eth_dev_info_get(port, &info));
    rte_eth_rxconf rx = info.default_rxconf;
    rx.offloads = setup.rx_offloads;
    rx.rx_deferred_start = setup.deferred;
    rte_eth_txconf tx = info.default_txconf;
    tx.offloads = setup.tx_offloads;
    tx.tx_deferred_start = setup.deferred;
    for (std::uint16_t q = 0; q < setup.queues; ++q) {
        CHECK_EQ(0, rte_eth_rx_queue_setup(port, q, setup.rx_depth, 0, &rx, pool));
        CHECK_EQ(0, rte_eth_tx_queue_setup(port, q, 256, 0, &tx));
    }
}

void start(std::uint16_t port, const Setup &setup)
{
    set_up(port, setup);
    CHECK_EQ(0, rte_eth_dev_start(port));
}

void start_both(const Setup &receiver)
{
    start(0, {.tx_offloads = RTE_ETH_TX_OFFLOAD_MULTI_SEGS | RTE_ETH_TX_OFFLOAD_VLAN_INSERT |
                             RTE_ETH_TX_OFFLOAD_IPV4_CKSUM | RTE_ETH_TX_OFFLOAD_UDP_CKSUM |
                             RTE_ETH_TX_OFFLOAD_TCP_CKSUM | RTE_ETH_TX_OFFLOAD_TCP_TSO});
    start(1, receiver);
    poll_all(0);
    poll_all(1);
}

void stop_both()
{
    CHECK_EQ(0, rte_eth_dev_stop(0));
    CHECK_EQ(0, rte_eth_dev_stop(1));
    CHECK_EQ(pool->size, rte_mempool_avail_count(pool));
}

rte_mbuf *make(const Bytes &bytes, std::size_t segment)
{
    rte_mbuf *head = nullptr;
    for (std::size_t at = 0; at < bytes.size(); at += segment) {
        rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
        const std::size_t part = std::min(segment, bytes.size() - at);
        std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(part)), &bytes[at], part);
        if (head == nullptr) {
            head = mbuf;
        } else {
            CHECK_EQ(0, rte_pktmbuf_chain(head, mbuf));
        }
    }
    return head;
}

Bytes bytes_of(const rte_mbuf *mbuf)
{
    Bytes out;
    for (; mbuf != nullptr; mbuf = mbuf->next) {
        const auto *data = rte_pktmbuf_mtod(mbuf, const std::uint8_t *);
        out.insert(out.end(), data, data + mbuf->data_len);
    }
    return out;
}

void transmit(rte_mbuf *mbuf)
{
    rte_mbuf *pkts[] = {mbuf};
    CHECK_EQ(1, rte_eth_tx_prepare(0, 0, pkts, 1));
    CHECK_EQ(1, rte_eth_tx_burst(0, 0, pkts, 1));
}

std::vector<Got> receive(std::uint16_t port)
{
    rte_eth_dev_info info;
    CHECK_EQ(0, rte_eth_dev_info_get(port, &info));
    std::vector<Got> got;
    for (int tries = 0; tries < 20; ++tries) {
        for (std::uint16_t q = 0; q < info.nb_rx_queues; ++q) {
            rte_mbuf *burst[64];
            const std::uint16_t n = rte_eth_rx_burst(port, q, burst, 64);
            for (std::uint16_t i = 0; i < n; ++i) {
                got.push_back({burst[i], q});
            }
        }
    }
    return got;
}

void drop(std::vector<Got> &got)
{
    for (const Got &g : got) {
        rte_pktmbuf_free(g.mbuf);
    }
    got.clear();
}

Bytes to_port_1(Packet p)
{
    p.to_mac = mac_of(1);
    p.from_mac = mac_of(0);
    return packet(p);
}

} // namespace direct

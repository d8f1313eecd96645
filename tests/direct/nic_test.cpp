// SPDX-License-Identifier: Apache-2.0
// What an application expects of a NIC, through ethdev's API: two net_rvif ports of one process.
// usage: nic_test SOCKET EAL-ARGUMENTS, with two net_rvif ports.
#include "packets.hpp"

#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <rte_net.h>

#include <cstdio>
#include <cstdlib>
#include <map>
#include <set>
#include <string>
#include <vector>

namespace {

using namespace rvs::test;

constexpr unsigned pool_size = 16383;
constexpr std::uint16_t depth = 256;

rte_mempool *pool;
std::string socket_path;
const char *current = "";

#define CHECK_EQ(wanted, seen) check_eq((wanted), (seen), #seen, __LINE__)
#define CHECK(condition) check_eq(true, static_cast<bool>(condition), #condition, __LINE__)

template <class A, class B>
void check_eq(A wanted, B seen, const char *what, int line)
{
    const auto a = static_cast<long long>(wanted);
    const auto b = static_cast<long long>(seen);
    if (a != b) {
        std::fprintf(stderr, "FAILED %s, line %d: %s is %lld, wanted %lld\n", current, line, what,
                     b, a);
        std::exit(1);
    }
}

std::uint64_t xstat(std::uint16_t port, const char *name)
{
    std::uint64_t id = 0;
    std::uint64_t value = 0;
    CHECK_EQ(0, rte_eth_xstats_get_id_by_name(port, name, &id));
    CHECK_EQ(1, rte_eth_xstats_get_by_id(port, &id, &value, 1));
    return value;
}

std::array<std::uint8_t, 6> mac_of(std::uint16_t port)
{
    rte_ether_addr address;
    CHECK_EQ(0, rte_eth_macaddr_get(port, &address));
    std::array<std::uint8_t, 6> out{};
    std::memcpy(out.data(), &address, 6);
    return out;
}

struct Setup {
    std::uint64_t rx_offloads = 0;
    std::uint64_t tx_offloads = 0;
    std::uint16_t queues = 1;
    std::uint64_t rss_hf = 0;
    std::uint16_t mtu = 1500;
    bool deferred = false;
};

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

void start(std::uint16_t port, const Setup &setup)
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
        CHECK_EQ(0, rte_eth_rx_queue_setup(port, q, depth, 0, &rx, pool));
        CHECK_EQ(0, rte_eth_tx_queue_setup(port, q, 256, 0, &tx));
    }
    CHECK_EQ(0, rte_eth_dev_start(port));
}

// Port 0 sends with all offloads; port 1 is as told.
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
    CHECK_EQ(pool_size, rte_mempool_avail_count(pool));
}

rte_mbuf *make(const Bytes &bytes, std::size_t segment = 2000)
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

struct Got {
    rte_mbuf *mbuf;
    std::uint16_t queue;
};

std::vector<Got> receive(std::uint16_t port = 1)
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

void request_l4(rte_mbuf *mbuf, bool tcp)
{
    mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
                      (tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
    mbuf->l2_len = 14;
    mbuf->l3_len = 20;
    mbuf->l4_len = tcp ? 20 : 8;
}

// ------------------------------------------------------------------------- offloads

void checksums_are_computed_for_a_receiver_that_does_not_look()
{
    start_both({});
    for (const bool tcp : {false, true}) {
        rte_mbuf *mbuf = make(to_port_1({.tcp = tcp, .payload = 777}), 100);
        request_l4(mbuf, tcp);
        transmit(mbuf);
        auto got = receive();
        CHECK_EQ(1, got.size());
        CHECK(ip_checksum_right(bytes_of(got[0].mbuf)));
        CHECK(l4_checksum_right(bytes_of(got[0].mbuf)));
        CHECK_EQ(0, got[0].mbuf->ol_flags);
        drop(got);
    }
    stop_both();
}

void checksums_are_left_to_a_receiver_that_looks()
{
    start_both({.rx_offloads = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
                               RTE_ETH_RX_OFFLOAD_IPV4_CKSUM});
    rte_mbuf *mbuf = make(to_port_1({.tcp = true, .payload = 777}));
    request_l4(mbuf, true);
    transmit(mbuf);
    auto got = receive();
    CHECK_EQ(1, got.size());
    CHECK(ip_checksum_right(bytes_of(got[0].mbuf)));
    CHECK(!l4_checksum_right(bytes_of(got[0].mbuf)));
    CHECK_EQ(RTE_MBUF_F_RX_L4_CKSUM_NONE, got[0].mbuf->ol_flags & RTE_MBUF_F_RX_L4_CKSUM_MASK);
    drop(got);
    transmit(make(to_port_1({.tcp = true}))); // nobody asked for anything
    got = receive();
    CHECK_EQ(0, got.at(0).mbuf->ol_flags);
    drop(got);
    stop_both();
}

void super_frames_are_cut_for_a_receiver_without_lro()
{
    start_both({});
    const Bytes whole = to_port_1({.tcp = true, .payload = 8000});
    rte_mbuf *mbuf = make(whole, 1900);
    request_l4(mbuf, true);
    mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    mbuf->tso_segsz = 1448;
    transmit(mbuf);
    auto got = receive();
    CHECK_EQ(6, got.size());
    Bytes stream;
    for (const Got &g : got) {
        const Bytes one = bytes_of(g.mbuf);
        CHECK(ip_checksum_right(one));
        CHECK(l4_checksum_right(one));
        stream.insert(stream.end(), one.begin() + 54, one.end());
    }
    CHECK(stream == Bytes(whole.begin() + 54, whole.end()));
    drop(got);
    stop_both();
}

void super_frames_arrive_whole_with_lro()
{
    start_both({.rx_offloads = RTE_ETH_RX_OFFLOAD_TCP_CKSUM | RTE_ETH_RX_OFFLOAD_UDP_CKSUM |
                               RTE_ETH_RX_OFFLOAD_TCP_LRO | RTE_ETH_RX_OFFLOAD_SCATTER});
    const Bytes whole = to_port_1({.tcp = true, .payload = 30000});
    rte_mbuf *mbuf = make(whole, 1900);
    request_l4(mbuf, true);
    mbuf->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    mbuf->tso_segsz = 1448;
    transmit(mbuf);
    auto got = receive();
    CHECK_EQ(1, got.size());
    CHECK_EQ(whole.size(), got[0].mbuf->pkt_len);
    CHECK((got[0].mbuf->ol_flags & RTE_MBUF_F_RX_LRO) != 0);
    CHECK_EQ(1448, got[0].mbuf->tso_segsz);
    CHECK(got[0].mbuf->nb_segs > 10);
    const Bytes seen = bytes_of(got[0].mbuf);
    CHECK(Bytes(seen.begin() + 34, seen.end()) == Bytes(whole.begin() + 34, whole.end()));
    drop(got);
    stop_both();
}

void tags_go_in_and_come_out()
{
    for (const bool strip : {false, true}) {
        start_both({.rx_offloads = strip ? RTE_ETH_RX_OFFLOAD_VLAN_STRIP : 0});
        const Bytes f = to_port_1({});
        rte_mbuf *mbuf = make(f);
        mbuf->ol_flags |= RTE_MBUF_F_TX_VLAN;
        mbuf->vlan_tci = 0x6123;
        transmit(mbuf);
        transmit(make(tagged(f, 0x0042)));
        transmit(make(f));
        auto got = receive();
        CHECK_EQ(3, got.size());
        constexpr auto both = RTE_MBUF_F_RX_VLAN | RTE_MBUF_F_RX_VLAN_STRIPPED;
        for (std::size_t i = 0; i < 3; ++i) {
            const std::uint16_t tci = i == 0 ? 0x6123 : 0x0042;
            const bool apart = strip && i < 2;
            CHECK_EQ(apart ? both : 0, got[i].mbuf->ol_flags);
            CHECK_EQ(apart ? tci : 0, got[i].mbuf->vlan_tci);
            CHECK(bytes_of(got[i].mbuf) == (apart || i == 2 ? f : tagged(f, tci)));
        }
        drop(got);
        stop_both();
    }
}

void requests_that_no_switch_can_fulfil_are_refused()
{
    start_both({});
    const std::uint64_t impossible[] = {RTE_MBUF_F_TX_SCTP_CKSUM, RTE_MBUF_F_TX_QINQ,
                                        RTE_MBUF_F_TX_OUTER_IP_CKSUM, RTE_MBUF_F_TX_TUNNEL_VXLAN,
                                        RTE_MBUF_F_TX_UDP_SEG};
    std::uint64_t refused = 0;
    for (const std::uint64_t flags : impossible) {
        rte_mbuf *pkts[] = {make(to_port_1({})), make(to_port_1({})), make(to_port_1({}))};
        pkts[1]->ol_flags |= flags;
        CHECK_EQ(1, rte_eth_tx_prepare(0, 0, pkts, 3));
        CHECK_EQ(ENOTSUP, rte_errno);
        CHECK_EQ(3, rte_eth_tx_burst(0, 0, pkts, 3)); // and who does not ask loses that one
        CHECK_EQ(++refused, xstat(0, "tx_bad_offload"));
        auto got = receive();
        CHECK_EQ(2, got.size());
        drop(got);
    }
    rte_mbuf *not_ip[] = {make(frame(mac_of(1), mac_of(0)))};
    request_l4(not_ip[0], true);
    CHECK_EQ(1, rte_eth_tx_burst(0, 0, not_ip, 1));
    CHECK_EQ(1, xstat(0, "drop_bad_offload"));
    stop_both();
}

// ------------------------------------------------------------------------------- RSS

void flows_are_spread_and_their_hash_is_delivered()
{
    start_both({.rx_offloads = RTE_ETH_RX_OFFLOAD_RSS_HASH,
                .queues = 4,
                .rss_hf = RTE_ETH_RSS_IP | RTE_ETH_RSS_TCP});
    const auto spread = [](std::set<std::uint32_t> &hashes) {
        std::map<std::uint16_t, int> load;
        for (std::uint16_t flow = 0; flow < 200; ++flow) {
            for (int again = 0; again < 2; ++again) {
                transmit(make(to_port_1({.tcp = true, .from_port = flow})));
            }
            auto got = receive();
            CHECK_EQ(2, got.size());
            CHECK((got[0].mbuf->ol_flags & RTE_MBUF_F_RX_RSS_HASH) != 0);
            CHECK_EQ(got[0].mbuf->hash.rss, got[1].mbuf->hash.rss);
            CHECK_EQ(got[0].queue, got[1].queue);
            hashes.insert(got[0].mbuf->hash.rss);
            ++load[got[0].queue];
            drop(got);
        }
        return load;
    };
    std::set<std::uint32_t> hashes;
    auto load = spread(hashes);
    CHECK_EQ(4, load.size());
    for (const auto &[queue, flows] : load) {
        CHECK(flows > 25);
    }
    CHECK(hashes.size() > 195);

    // The redirection table decides.
    rte_eth_rss_reta_entry64 table[2] = {};
    for (auto &group : table) {
        group.mask = ~0ull;
        std::fill(std::begin(group.reta), std::end(group.reta), std::uint16_t{2});
    }
    CHECK_EQ(0, rte_eth_dev_rss_reta_update(1, table, RVIF_RETA_SIZE));
    load = spread(hashes);
    CHECK_EQ(1, load.size());
    CHECK_EQ(200, load[2]);
    rte_eth_rss_reta_entry64 seen[2] = {};
    seen[1].mask = 1;
    CHECK_EQ(0, rte_eth_dev_rss_reta_query(1, seen, RVIF_RETA_SIZE));
    CHECK_EQ(2, seen[1].reta[0]);
    table[0].reta[0] = 4; // there is no such queue
    CHECK(rte_eth_dev_rss_reta_update(1, table, RVIF_RETA_SIZE) != 0);

    // And what is hashed.
    rte_eth_rss_conf conf{};
    conf.rss_hf = RTE_ETH_RSS_IP;
    CHECK_EQ(0, rte_eth_dev_rss_hash_update(1, &conf));
    hashes.clear();
    spread(hashes);
    CHECK_EQ(1, hashes.size()); // ports do not count any more
    rte_eth_rss_conf now{};
    CHECK_EQ(0, rte_eth_dev_rss_hash_conf_get(1, &now));
    CHECK_EQ(RTE_ETH_RSS_IP, now.rss_hf);
    stop_both();
}

// ------------------------------------------------------------------------ addresses

void unknown_addresses_reach_promiscuous_ports_only()
{
    start_both({});
    const auto arrives = [](const std::array<std::uint8_t, 6> &to) {
        transmit(make(frame(to, mac_of(0))));
        auto got = receive();
        const std::size_t n = got.size();
        drop(got);
        return n;
    };
    const std::array<std::uint8_t, 6> unknown{2, 9, 9, 9, 9, 9};
    CHECK_EQ(0, rte_eth_promiscuous_get(1));
    CHECK_EQ(0, arrives(unknown));
    CHECK_EQ(0, arrives(multicast));
    CHECK_EQ(1, arrives(broadcast));
    CHECK_EQ(1, arrives(mac_of(1)));
    CHECK_EQ(0, rte_eth_allmulticast_enable(1));
    CHECK_EQ(0, arrives(unknown));
    CHECK_EQ(1, arrives(multicast));
    CHECK_EQ(0, rte_eth_promiscuous_enable(1));
    CHECK_EQ(0, rte_eth_allmulticast_disable(1));
    CHECK_EQ(1, arrives(unknown));
    CHECK_EQ(1, arrives(multicast));
    CHECK_EQ(0, rte_eth_promiscuous_disable(1));
    CHECK_EQ(0, arrives(unknown));

    rte_ether_addr other = {{2, 0, 0, 0, 0x77, 1}};
    CHECK_EQ(0, rte_eth_dev_default_mac_addr_set(1, &other));
    CHECK_EQ(1, arrives({2, 0, 0, 0, 0x77, 1}));
    stop_both();
}

// ----------------------------------------------------------------- MTU, jumbo frames

void jumbo_frames_need_the_mtu()
{
    start_both({.rx_offloads = RTE_ETH_RX_OFFLOAD_SCATTER, .mtu = 9000});
    const auto arrives = [](std::size_t size) {
        transmit(make(frame(mac_of(1), mac_of(0), size)));
        auto got = receive();
        const std::size_t n = got.empty() ? 0 : got[0].mbuf->pkt_len;
        drop(got);
        return n;
    };
    CHECK_EQ(9014, arrives(9014));
    CHECK_EQ(9018, arrives(9018)); // with a tag
    CHECK_EQ(0, arrives(9019));
    CHECK_EQ(1, xstat(1, "rx_oversize"));
    CHECK_EQ(0, rte_eth_dev_set_mtu(1, 1500));
    CHECK_EQ(0, arrives(2000));
    CHECK_EQ(1514, arrives(1514));
    CHECK_EQ(0, rte_eth_dev_set_mtu(1, 65000));
    CHECK_EQ(65014, arrives(65014));
    CHECK(rte_eth_dev_set_mtu(1, 67) != 0);
    stop_both();
}

// ----------------------------------------------------------------- queues one by one

void queues_stop_and_start_alone()
{
    start_both({.queues = 2});
    const Bytes f = frame(mac_of(1), mac_of(0));
    CHECK_EQ(0, rte_eth_dev_rx_queue_stop(1, 0));
    transmit(make(f));
    auto got = receive();
    CHECK_EQ(0, got.size());
    CHECK_EQ(0, rte_eth_dev_rx_queue_start(1, 0));
    CHECK_EQ(0, receive().size()); // what came meanwhile is gone, and counted
    CHECK_EQ(1, xstat(1, "rx_stopped"));
    transmit(make(f));
    got = receive();
    CHECK_EQ(1, got.size());
    drop(got);
    CHECK_EQ(0, rte_eth_dev_tx_queue_stop(0, 0));
    rte_mbuf *mbuf = make(f);
    CHECK_EQ(0, rte_eth_tx_burst(0, 0, &mbuf, 1));
    CHECK_EQ(0, rte_eth_dev_tx_queue_start(0, 0));
    CHECK_EQ(1, rte_eth_tx_burst(0, 0, &mbuf, 1));
    got = receive();
    CHECK_EQ(1, got.size());
    drop(got);
    stop_both();
}

void queues_may_start_later_than_their_port()
{
    start(0, {});
    start(1, {.deferred = true});
    poll_all(0);
    rte_eth_rxq_info info;
    CHECK_EQ(0, rte_eth_rx_queue_info_get(1, 0, &info));
    CHECK_EQ(RTE_ETH_QUEUE_STATE_STOPPED, info.queue_state);
    CHECK_EQ(0, receive().size());
    CHECK_EQ(0, rte_eth_dev_rx_queue_start(1, 0));
    poll_all(1);
    transmit(make(frame(mac_of(1), mac_of(0))));
    auto got = receive();
    CHECK_EQ(1, got.size());
    drop(got);
    rte_mbuf *mbuf = make(frame(mac_of(0), mac_of(1)));
    CHECK_EQ(0, rte_eth_tx_burst(1, 0, &mbuf, 1));
    CHECK_EQ(0, rte_eth_dev_tx_queue_start(1, 0));
    CHECK_EQ(1, rte_eth_tx_burst(1, 0, &mbuf, 1));
    got = receive(0);
    CHECK_EQ(1, got.size());
    drop(got);
    stop_both();
}

void descriptors_tell_how_full_a_queue_is()
{
    start_both({});
    CHECK_EQ(0, rte_eth_rx_queue_count(1, 0));
    CHECK_EQ(RTE_ETH_RX_DESC_AVAIL, rte_eth_rx_descriptor_status(1, 0, 0));
    for (int i = 0; i < 5; ++i) {
        transmit(make(frame(mac_of(1), mac_of(0))));
    }
    CHECK_EQ(5, rte_eth_rx_queue_count(1, 0));
    CHECK_EQ(RTE_ETH_RX_DESC_DONE, rte_eth_rx_descriptor_status(1, 0, 4));
    CHECK_EQ(RTE_ETH_RX_DESC_AVAIL, rte_eth_rx_descriptor_status(1, 0, 5));
    CHECK(rte_eth_rx_descriptor_status(1, 0, depth) < 0);
    CHECK_EQ(RTE_ETH_TX_DESC_DONE, rte_eth_tx_descriptor_status(0, 0, 0));
    auto got = receive();
    CHECK_EQ(5, got.size());
    drop(got);
    CHECK_EQ(0, rte_eth_rx_queue_count(1, 0));
    stop_both();
}

void a_port_is_reconfigured_without_a_restart()
{
    for (const std::uint16_t queues : std::initializer_list<std::uint16_t>{1, 4, 8, 2}) {
        start_both({.queues = queues});
        const Bytes f = frame(mac_of(1), mac_of(0));
        transmit(make(f));
        auto got = receive();
        CHECK_EQ(1, got.size());
        drop(got);
        rte_eth_stats stats;
        CHECK_EQ(0, rte_eth_stats_get(1, &stats));
        CHECK_EQ(0, stats.imissed);
        stop_both();
    }
}

void links_are_up_while_the_port_runs()
{
    rte_eth_link link;
    CHECK_EQ(0, rte_eth_link_get_nowait(1, &link));
    CHECK_EQ(RTE_ETH_LINK_DOWN, link.link_status);
    start_both({});
    CHECK_EQ(0, rte_eth_link_get_nowait(1, &link));
    CHECK_EQ(RTE_ETH_LINK_UP, link.link_status);
    CHECK_EQ(RTE_ETH_SPEED_NUM_100G, link.link_speed);
    stop_both();
    CHECK_EQ(0, rte_eth_link_get_nowait(1, &link));
    CHECK_EQ(RTE_ETH_LINK_DOWN, link.link_status);
}

void ports_are_plugged_in_and_out()
{
    start_both({});
    const std::string arguments = "backend=direct,socket=" + socket_path;
    for (int round = 0; round < 3; ++round) {
        CHECK_EQ(0, rte_eal_hotplug_add("vdev", "net_rvif7", arguments.c_str()));
        std::uint16_t port = 0;
        CHECK_EQ(0, rte_eth_dev_get_port_by_name("net_rvif7", &port));
        start(port, {});
        poll_all(port);
        transmit(make(frame(mac_of(port), mac_of(0))));
        auto got = receive(port);
        CHECK_EQ(1, got.size());
        drop(got);
        CHECK_EQ(0, rte_eth_dev_stop(port));
        CHECK_EQ(0, rte_eal_hotplug_remove("vdev", "net_rvif7"));
        CHECK(rte_eth_dev_is_valid_port(port) == 0);
    }
    transmit(make(frame(mac_of(1), mac_of(0))));
    auto got = receive();
    CHECK_EQ(1, got.size());
    drop(got);
    stop_both();
}

void the_driver_says_what_it_can()
{
    rte_eth_dev_info info;
    CHECK_EQ(0, rte_eth_dev_info_get(0, &info));
    CHECK_EQ(RVIF_RETA_SIZE, info.reta_size);
    CHECK_EQ(8, info.max_rx_queues);
    CHECK_EQ(64, info.rx_desc_lim.nb_min);
    CHECK((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0);
    CHECK((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0);
    rte_eth_conf conf{};
    conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SECURITY; // what it cannot is refused by ethdev
    CHECK(rte_eth_dev_configure(0, 1, 1, &conf) != 0);
    conf.rxmode.offloads = 0;
    CHECK(rte_eth_dev_configure(0, 9, 1, &conf) != 0);
}

struct Case {
    const char *name;
    void (*run)();
};
#define CASE(name) Case{#name, name}
constexpr Case cases[] = {
    CASE(the_driver_says_what_it_can),
    CASE(checksums_are_computed_for_a_receiver_that_does_not_look),
    CASE(checksums_are_left_to_a_receiver_that_looks),
    CASE(super_frames_are_cut_for_a_receiver_without_lro),
    CASE(super_frames_arrive_whole_with_lro),
    CASE(tags_go_in_and_come_out),
    CASE(requests_that_no_switch_can_fulfil_are_refused),
    CASE(flows_are_spread_and_their_hash_is_delivered),
    CASE(unknown_addresses_reach_promiscuous_ports_only),
    CASE(jumbo_frames_need_the_mtu),
    CASE(queues_stop_and_start_alone),
    CASE(queues_may_start_later_than_their_port),
    CASE(descriptors_tell_how_full_a_queue_is),
    CASE(a_port_is_reconfigured_without_a_restart),
    CASE(links_are_up_while_the_port_runs),
    CASE(ports_are_plugged_in_and_out),
};

} // namespace

int main(int argc, char **argv)
{
    if (argc < 2) {
        std::fprintf(stderr, "usage: nic_test SOCKET EAL-ARGUMENTS\n");
        return 2;
    }
    socket_path = argv[1];
    argv[1] = argv[0];
    if (rte_eal_init(argc - 1, argv + 1) < 0 || rte_eth_dev_count_avail() != 2) {
        std::fprintf(stderr, "nic_test wants two net_rvif ports\n");
        return 2;
    }
    pool = rte_pktmbuf_pool_create("pool", pool_size, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    CHECK(pool != nullptr);
    for (const Case &one : cases) {
        current = one.name;
        rte_eth_stats_reset(0);
        rte_eth_stats_reset(1);
        one.run();
        std::printf("passed %s\n", one.name);
    }
    for (std::uint16_t port = 0; port < 2; ++port) {
        CHECK_EQ(0, rte_eth_dev_close(port));
    }
    CHECK_EQ(0, rte_eal_cleanup());
    std::printf("all passed\n");
    return 0;
}

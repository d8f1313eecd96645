// SPDX-License-Identifier: Apache-2.0
// Checksums, segmentation, VLAN tags, RSS.
#include "nic_cases.hpp"

#include <map>
#include <rte_errno.h>
#include <rte_net.h>
#include <set>

namespace direct {
namespace {

void request_l4(rte_mbuf *mbuf, bool tcp)
{
    mbuf->ol_flags |= RTE_MBUF_F_TX_IPV4 | RTE_MBUF_F_TX_IP_CKSUM |
                      (tcp ? RTE_MBUF_F_TX_TCP_CKSUM : RTE_MBUF_F_TX_UDP_CKSUM);
    mbuf->l2_len = 14;
    mbuf->l3_len = 20;
    mbuf->l4_len = tcp ? 20 : 8;
}

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
    rte_mbuf *tiny[] = {make(to_port_1({.tcp = true, .payload = 777}))};
    request_l4(tiny[0], true);
    tiny[0]->ol_flags |= RTE_MBUF_F_TX_TCP_SEG;
    tiny[0]->tso_segsz = RVIF_MIN_SEGSZ - 1;
    CHECK_EQ(0, rte_eth_tx_prepare(0, 0, tiny, 1));
    tiny[0]->tso_segsz = RVIF_MIN_SEGSZ;
    CHECK_EQ(1, rte_eth_tx_prepare(0, 0, tiny, 1));
    rte_pktmbuf_free(tiny[0]);
    rte_mbuf *not_ip[] = {make(frame(mac_of(1), mac_of(0)))};
    request_l4(not_ip[0], true);
    CHECK_EQ(1, rte_eth_tx_burst(0, 0, not_ip, 1));
    CHECK_EQ(1, xstat(0, "drop_bad_offload"));
    stop_both();
}

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

constexpr Case cases[] = {
    CASE(checksums_are_computed_for_a_receiver_that_does_not_look),
    CASE(checksums_are_left_to_a_receiver_that_looks),
    CASE(super_frames_are_cut_for_a_receiver_without_lro),
    CASE(super_frames_arrive_whole_with_lro),
    CASE(tags_go_in_and_come_out),
    CASE(requests_that_no_switch_can_fulfil_are_refused),
    CASE(flows_are_spread_and_their_hash_is_delivered),
};

} // namespace

std::span<const Case> offload_cases()
{
    return cases;
}

} // namespace direct

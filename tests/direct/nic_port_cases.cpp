// SPDX-License-Identifier: Apache-2.0
// Addresses, sizes, queues, links, hotplug.
#include "nic_cases.hpp"

#include <initializer_list>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_flow.h>

namespace direct {
namespace {

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
    constexpr std::uint16_t most = RVIF_MAX_FRAME - 18; // with Ethernet header and a tag
    CHECK_EQ(65517, most);
    CHECK_EQ(0, rte_eth_dev_set_mtu(1, most - 1));
    CHECK_EQ(0, arrives(65535));
    CHECK_EQ(0, rte_eth_dev_set_mtu(1, most));
    CHECK_EQ(65535, arrives(65535));
    CHECK(rte_eth_dev_set_mtu(1, most + 1) != 0);
    CHECK(rte_eth_dev_set_mtu(1, 67) != 0);
    CHECK_EQ(0, rte_eth_dev_set_mtu(1, 68));
    CHECK_EQ(0, arrives(100));
    CHECK_EQ(82, arrives(82));
    stop_both();
}

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

std::uint64_t queue_xstat(std::uint16_t port, const char *way, std::uint16_t queue,
                          const char *name)
{
    return xstat(port, (std::string{way} + "_q" + std::to_string(queue) + "_" + name).c_str());
}

// As many frames from a queue as its number says, each to the queue of that number; and one of each
// that is counted as an error.
void every_queue_carries_frames_both_ways_and_counts_its_own()
{
    constexpr std::uint16_t queues = RVIF_MAX_QUEUES;
    for (std::uint16_t port = 0; port < 2; ++port) {
        start(port, {.queues = queues, .rx_depth = 64}); // for 64 lanes of each
    }
    poll_all(0);
    poll_all(1);
    for (std::uint16_t from = 0; from < 2; ++from) {
        const auto to = static_cast<std::uint16_t>(1 - from);
        for (std::uint16_t q = 0; q < queues; ++q) {
            const auto send = [&](const Bytes &bytes) {
                rte_mbuf *mbuf = make(bytes);
                CHECK_EQ(1, rte_eth_tx_burst(from, q, &mbuf, 1));
            };
            for (std::uint16_t i = 0; i <= q; ++i) {
                send(frame(mac_of(to), mac_of(from), 100u + q));
            }
            send(frame(mac_of(to), mac_of(from), 1519)); // beyond the MTU of the receiver
            send(frame(mac_of(to), multicast));          // nobody can be that
        }
        auto got = receive(to);
        for (const Got &each : got) {
            CHECK_EQ(100 + each.queue, each.mbuf->pkt_len);
        }
        CHECK_EQ(queues * (queues + 1) / 2, got.size());
        drop(got);

        rte_eth_stats sent;
        rte_eth_stats seen;
        CHECK_EQ(0, rte_eth_stats_get(from, &sent));
        CHECK_EQ(0, rte_eth_stats_get(to, &seen));
        for (std::uint16_t q = 0; q < queues; ++q) {
            CHECK_EQ(q + 1, seen.q_ipackets[q]);
            CHECK_EQ((q + 1) * (100 + q), seen.q_ibytes[q]);
            CHECK_EQ(1, seen.q_errors[q]);
            CHECK_EQ(q + 2, sent.q_opackets[q]); // the receiver's error is none of the sender
            CHECK_EQ(1, queue_xstat(to, "rx", q, "errors"));
            CHECK_EQ(1, queue_xstat(to, "rx", q, "oversize"));
            CHECK_EQ(1, queue_xstat(from, "tx", q, "drop_bad_source_mac"));
            CHECK_EQ(0, queue_xstat(from, "tx", q, "drop_spoofed"));
        }
        CHECK_EQ(queues, xstat(from, "drop_bad_source_mac"));
        CHECK_EQ(queues, seen.ierrors);
        CHECK_EQ(queues, sent.oerrors);
    }
    // A queue that is set up again begins anew, by itself and in the switch.
    stop_both();
    start(0, {.queues = queues, .rx_depth = 64});
    rte_eth_stats again;
    CHECK_EQ(0, rte_eth_stats_get(0, &again));
    CHECK_EQ(0, again.q_opackets[1]);
    CHECK_EQ(0, queue_xstat(0, "tx", 1, "drop_bad_source_mac"));
    poll_all(0);
    rte_mbuf *mbuf = make(frame(mac_of(1), mac_of(0)));
    CHECK_EQ(1, rte_eth_tx_burst(0, 1, &mbuf, 1));
    CHECK_EQ(0, rte_eth_stats_get(0, &again));
    CHECK_EQ(1, again.q_opackets[1]);
    start(1, {});
    stop_both();
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
    CHECK_EQ(8, info.max_tx_queues);
    CHECK_EQ(68, info.min_mtu);
    CHECK_EQ(65517, info.max_mtu);
    CHECK_EQ(RTE_ETH_LINK_SPEED_100G, info.speed_capa);
    CHECK_EQ(64, info.rx_desc_lim.nb_min);
    CHECK((info.rx_offload_capa & RTE_ETH_RX_OFFLOAD_VLAN_STRIP) != 0);
    CHECK((info.tx_offload_capa & RTE_ETH_TX_OFFLOAD_TCP_TSO) != 0);
    rte_eth_conf conf{};
    conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SECURITY; // what it cannot is refused by ethdev
    CHECK(rte_eth_dev_configure(0, 1, 1, &conf) != 0);
    conf.rxmode.offloads = 0;
    CHECK(rte_eth_dev_configure(0, 9, 1, &conf) != 0);
}

void any_number_of_tx_descriptors_will_do()
{
    rte_eth_conf conf{};
    CHECK_EQ(0, rte_eth_dev_configure(0, 1, 4, &conf));
    std::uint16_t queue = 0;
    for (const std::uint16_t count : std::initializer_list<std::uint16_t>{1, 100, 512, 4096}) {
        CHECK_EQ(0, rte_eth_tx_queue_setup(0, queue++, count, 0, nullptr));
    }
    CHECK(rte_eth_tx_queue_setup(0, 0, 4097, 0, nullptr) != 0);
}

void received_frames_have_the_type_that_was_promised()
{
    start_both({});
    std::uint32_t types[4] = {};
    CHECK_EQ(1, rte_eth_dev_get_supported_ptypes(1, RTE_PTYPE_ALL_MASK, types, 4));
    CHECK_EQ(RTE_PTYPE_L2_ETHER, types[0]);
    for (const Bytes &each : {frame(mac_of(1), mac_of(0)), to_port_1(Packet{})}) { // UDP
        transmit(make(each));
        auto got = receive();
        CHECK_EQ(1, got.size());
        CHECK_EQ(RTE_PTYPE_L2_ETHER, got[0].mbuf->packet_type);
        drop(got);
    }
    stop_both();
}

void what_a_port_cannot_is_refused()
{
    start_both({});
    CHECK_EQ(-ENOTSUP, rte_eth_dev_rx_intr_enable(1, 0));
    CHECK(rte_eth_dev_vlan_filter(1, 10, 1) < 0);
    CHECK_EQ(-EBUSY,
             rte_eth_dev_set_vlan_offload(1, RTE_ETH_VLAN_STRIP_OFFLOAD)); // not while it runs
    rte_ether_addr other = {{2, 0, 0, 0, 0x66, 1}};
    CHECK_EQ(-ENOTSUP, rte_eth_dev_mac_addr_add(1, &other, 0));
    const rte_flow_attr attr{.ingress = 1};
    const rte_flow_item end = {.type = RTE_FLOW_ITEM_TYPE_END};
    const rte_flow_action none = {.type = RTE_FLOW_ACTION_TYPE_END};
    rte_flow_error error{};
    CHECK_EQ(-ENOSYS, rte_flow_validate(1, &attr, &end, &none, &error));
    transmit(make(frame(mac_of(1), mac_of(0))));
    auto got = receive();
    CHECK_EQ(1, got.size());
    drop(got);
    stop_both();
}

constexpr Case cases[] = {
    CASE(the_driver_says_what_it_can),
    CASE(any_number_of_tx_descriptors_will_do),
    CASE(received_frames_have_the_type_that_was_promised),
    CASE(what_a_port_cannot_is_refused),
    CASE(unknown_addresses_reach_promiscuous_ports_only),
    CASE(jumbo_frames_need_the_mtu),
    CASE(queues_stop_and_start_alone),
    CASE(queues_may_start_later_than_their_port),
    CASE(descriptors_tell_how_full_a_queue_is),
    CASE(a_port_is_reconfigured_without_a_restart),
    CASE(every_queue_carries_frames_both_ways_and_counts_its_own),
    CASE(links_are_up_while_the_port_runs),
    CASE(ports_are_plugged_in_and_out),
};

} // namespace

std::span<const Case> port_cases()
{
    return cases;
}

} // namespace direct

// SPDX-License-Identifier: Apache-2.0
// What testpmd does not do: every kind of mbuf through two ports of one process, and who owns it.
// usage: driver_test EAL-ARGUMENTS, with two net_rvif ports.
#include "check.hpp"

#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mbuf.h>
#include <string>
#include <unistd.h>
#include <vector>

namespace {

using namespace direct;

constexpr unsigned pool_size = 8191;
constexpr std::uint16_t queues = 2;
constexpr std::uint16_t depth = 512;

rte_mempool *pool;
rte_ether_addr macs[2];

// `size` bytes from port 0 to port 1, in segments of at most `segment`.
rte_mbuf *make(std::size_t size, std::size_t segment = 2048, unsigned char seed = 1)
{
    std::vector<unsigned char> bytes(size);
    for (std::size_t i = 0; i < size; ++i) {
        bytes[i] = static_cast<unsigned char>(seed + i * 7);
    }
    std::memcpy(bytes.data(), &macs[1], 6);
    std::memcpy(bytes.data() + 6, &macs[0], 6);
    rte_mbuf *head = nullptr;
    rte_mbuf *tail = nullptr;
    for (std::size_t at = 0; at < size; at += segment) {
        rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
        const std::size_t part = std::min(segment, size - at);
        std::memcpy(rte_pktmbuf_append(mbuf, static_cast<std::uint16_t>(part)), &bytes[at], part);
        if (head == nullptr) {
            head = tail = mbuf;
            continue;
        }
        tail->next = mbuf;
        tail = mbuf;
        ++head->nb_segs;
        head->pkt_len += static_cast<std::uint32_t>(part);
    }
    return head;
}

std::vector<rte_mbuf *> receive(std::size_t wanted, std::uint16_t queue = 0)
{
    std::vector<rte_mbuf *> got;
    for (int tries = 0; tries < 2000 && got.size() < wanted; ++tries) {
        rte_mbuf *burst[64];
        const std::uint16_t n = rte_eth_rx_burst(1, queue, burst, 64);
        got.insert(got.end(), burst, burst + n);
    }
    return got;
}

void check_content(const rte_mbuf *mbuf, std::size_t size, unsigned char seed = 1)
{
    CHECK_EQ(size, mbuf->pkt_len);
    CHECK_EQ(1, mbuf->port);
    std::vector<unsigned char> copy(size);
    const void *bytes = rte_pktmbuf_read(mbuf, 0, static_cast<std::uint32_t>(size), copy.data());
    const auto *seen = static_cast<const unsigned char *>(bytes);
    CHECK_EQ(0, std::memcmp(seen, &macs[1], 6));
    for (std::size_t i = 12; i < size; ++i) {
        CHECK_EQ(static_cast<unsigned char>(seed + i * 7), seen[i]);
    }
    std::size_t sum = 0;
    unsigned segments = 0;
    for (const rte_mbuf *seg = mbuf; seg != nullptr; seg = seg->next) {
        sum += seg->data_len;
        ++segments;
    }
    CHECK_EQ(size, sum);
    CHECK_EQ(segments, mbuf->nb_segs);
}

void sent_and_received(rte_mbuf *mbuf, std::size_t size)
{
    CHECK_EQ(1, rte_eth_tx_burst(0, 0, &mbuf, 1));
    const auto got = receive(1);
    CHECK_EQ(1, got.size());
    check_content(got[0], size);
    rte_pktmbuf_free(got[0]);
}

void start(std::uint64_t tx_offloads)
{
    for (std::uint16_t port = 0; port < 2; ++port) {
        rte_eth_conf conf{};
        conf.rxmode.offloads = RTE_ETH_RX_OFFLOAD_SCATTER;
        conf.rxmode.mtu = 9000;
        conf.txmode.offloads = tx_offloads;
        CHECK_EQ(0, rte_eth_dev_configure(port, queues, queues, &conf));
        for (std::uint16_t q = 0; q < queues; ++q) {
            CHECK_EQ(0, rte_eth_rx_queue_setup(port, q, depth, 0, nullptr, pool));
            CHECK_EQ(0, rte_eth_tx_queue_setup(port, q, 256, 0, nullptr));
        }
        CHECK_EQ(0, rte_eth_dev_start(port));
        CHECK_EQ(0, rte_eth_macaddr_get(port, &macs[port]));
    }
    for (std::uint16_t q = 0; q < queues; ++q) {
        CHECK_EQ(0, receive(1, q).size()); // buffers for port 0's queues
    }
}

void stop()
{
    for (std::uint16_t port = 0; port < 2; ++port) {
        CHECK_EQ(0, rte_eth_dev_stop(port));
    }
    CHECK_EQ(pool_size, rte_mempool_avail_count(pool));
}

// ------------------------------------------------------------------- cases

void tx_gives_up_its_reference_to_what_it_reports_as_sent()
{
    rte_mbuf *pkts[32];
    for (rte_mbuf *&mbuf : pkts) {
        mbuf = make(100);
        rte_mbuf_refcnt_update(mbuf, 1);
    }
    CHECK_EQ(32, rte_eth_tx_burst(0, 0, pkts, 32));
    for (rte_mbuf *mbuf : pkts) {
        CHECK_EQ(1, rte_mbuf_refcnt_read(mbuf));
        rte_pktmbuf_free(mbuf);
    }
    for (rte_mbuf *mbuf : receive(32)) {
        check_content(mbuf, 100);
        rte_pktmbuf_free(mbuf);
    }
}

void bursts_longer_than_a_call_are_sent_whole()
{
    std::vector<rte_mbuf *> pkts;
    for (int i = 0; i < 450; ++i) {
        pkts.push_back(make(64, 2048, static_cast<unsigned char>(i)));
    }
    CHECK_EQ(450, rte_eth_tx_burst(0, 0, pkts.data(), 450));
    const auto got = receive(450);
    CHECK_EQ(450, got.size());
    for (std::size_t i = 0; i < got.size(); ++i) {
        check_content(got[i], 64, static_cast<unsigned char>(i)); // in order
        rte_pktmbuf_free(got[i]);
    }
}

void frames_are_whole_however_they_are_cut()
{
    sent_and_received(make(64, 14), 64);
    sent_and_received(make(1500, 1), 1500); // 1500 segments: more than a call has descriptors
    sent_and_received(make(6000, 20), 6000);
    sent_and_received(make(9000, 2048), 9000);
}

void empty_segments_are_skipped()
{
    rte_mbuf *mbuf = make(200, 100);
    rte_mbuf *empty = rte_pktmbuf_alloc(pool);
    empty->next = mbuf->next;
    mbuf->next = empty;
    ++mbuf->nb_segs;
    sent_and_received(mbuf, 200);
}

int external_frees;

void external_buffers_are_copied_and_released()
{
    static unsigned char memory[4096];
    static rte_mbuf_ext_shared_info shared;
    const auto before = xstat(0, "tx_bounced_segments");
    rte_mbuf *model = make(700);
    std::memcpy(memory, rte_pktmbuf_mtod(model, const void *), 700);
    rte_pktmbuf_free(model);
    shared.free_cb = [](void *, void *) { ++external_frees; };
    rte_mbuf_ext_refcnt_set(&shared, 1);
    rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
    rte_pktmbuf_attach_extbuf(mbuf, memory, RTE_BAD_IOVA, sizeof(memory), &shared);
    mbuf->data_len = 700;
    mbuf->pkt_len = 700;
    sent_and_received(mbuf, 700);
    CHECK_EQ(1, external_frees);
    CHECK_EQ(before + 1, xstat(0, "tx_bounced_segments"));
}

void frames_that_cannot_be_sent_are_freed_and_counted()
{
    rte_mbuf *pkts[3] = {make(64), rte_pktmbuf_alloc(pool), make(300, 100)};
    pkts[2]->pkt_len = 5000; // its segments say 300
    CHECK_EQ(3, rte_eth_tx_burst(0, 0, pkts, 3));
    CHECK_EQ(1, xstat(0, "tx_empty"));
    CHECK_EQ(1, xstat(0, "tx_bad_length"));
    rte_eth_stats stats;
    CHECK_EQ(0, rte_eth_stats_get(0, &stats));
    CHECK_EQ(2, stats.oerrors);
    for (rte_mbuf *mbuf : receive(1)) {
        rte_pktmbuf_free(mbuf);
    }
}

void a_queue_reaches_the_queue_of_its_number()
{
    rte_mbuf *mbuf = make(128);
    CHECK_EQ(1, rte_eth_tx_burst(0, 1, &mbuf, 1));
    CHECK_EQ(0, receive(1, 0).size());
    const auto got = receive(1, 1);
    CHECK_EQ(1, got.size());
    check_content(got[0], 128);
    rte_pktmbuf_free(got[0]);
    rte_eth_stats stats;
    CHECK_EQ(0, rte_eth_stats_get(1, &stats));
    CHECK_EQ(1, stats.q_ipackets[1]);
}

void a_full_receiver_costs_the_sender_nothing_but_frames()
{
    const auto dropped = xstat(1, "drop_no_buffer");
    for (int i = 0; i < 20; ++i) {
        rte_mbuf *pkts[64];
        for (rte_mbuf *&mbuf : pkts) {
            mbuf = make(64);
        }
        CHECK_EQ(64, rte_eth_tx_burst(0, 0, pkts, 64));
    }
    CHECK_EQ(20 * 64 - depth, xstat(1, "drop_no_buffer") - dropped);
    for (rte_mbuf *mbuf : receive(20 * 64)) {
        check_content(mbuf, 64);
        rte_pktmbuf_free(mbuf);
    }
}

void sending_to_a_stopped_port_is_counted()
{
    rte_mbuf *got[4] = {make(64), make(64), make(64), make(64)};
    CHECK_EQ(4, rte_eth_tx_burst(0, 0, got, 4)); // stay in the lane while it stops
    CHECK_EQ(0, rte_eth_dev_stop(1));
    rte_mbuf *pkts[8];
    for (rte_mbuf *&mbuf : pkts) {
        mbuf = make(64);
    }
    CHECK_EQ(8, rte_eth_tx_burst(0, 0, pkts, 8));
    rte_eth_stats sender;
    rte_eth_stats receiver;
    CHECK_EQ(0, rte_eth_stats_get(0, &sender));
    CHECK_EQ(0, rte_eth_stats_get(1, &receiver));
    CHECK_EQ(8, xstat(0, "drop_no_destination") + xstat(1, "drop_not_ready"));
    CHECK_EQ(0, rte_eth_dev_start(1));
    CHECK_EQ(0, receive(1).size()); // none of the four came back from the dead
    sent_and_received(make(64), 64);
}

constexpr Case cases[] = {
    CASE(tx_gives_up_its_reference_to_what_it_reports_as_sent),
    CASE(bursts_longer_than_a_call_are_sent_whole),
    CASE(frames_are_whole_however_they_are_cut),
    CASE(empty_segments_are_skipped),
    CASE(external_buffers_are_copied_and_released),
    CASE(frames_that_cannot_be_sent_are_freed_and_counted),
    CASE(a_queue_reaches_the_queue_of_its_number),
    CASE(a_full_receiver_costs_the_sender_nothing_but_frames),
    CASE(sending_to_a_stopped_port_is_counted),
};

} // namespace

int main(int argc, char **argv)
{
    if (rte_eal_init(argc, argv) < 0 || rte_eth_dev_count_avail() != 2) {
        std::fprintf(stderr, "driver_test wants two net_rvif ports\n");
        return 2;
    }
    // A private area that is no multiple of 64: the driver has to align the data itself.
    pool = rte_pktmbuf_pool_create("pool", pool_size, 0, 24, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    CHECK_EQ(true, pool != nullptr);
    for (const Case &one : cases) {
        current = one.name;
        start(RTE_ETH_TX_OFFLOAD_MULTI_SEGS);
        rte_eth_stats_reset(0);
        rte_eth_stats_reset(1);
        one.run();
        stop(); // ... and all mbufs are back
        std::printf("passed %s\n", one.name);
    }
    // The short way of freeing must come to the same.
    current = "fast_free_mbufs_go_back_to_their_pool";
    start(RTE_ETH_TX_OFFLOAD_MBUF_FAST_FREE);
    bursts_longer_than_a_call_are_sent_whole();
    stop();
    std::printf("passed %s\n", current);
    for (std::uint16_t port = 0; port < 2; ++port) {
        CHECK_EQ(0, rte_eth_dev_close(port));
    }
    CHECK_EQ(0, rte_eal_cleanup());
    std::printf("all passed\n");
    return 0;
}

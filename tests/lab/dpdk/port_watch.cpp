// SPDX-License-Identifier: Apache-2.0
// A port as its application sees it while the switch goes for ever under its traffic, and
// afterwards. usage: port-watch EAL-ARGUMENTS, with net_rvif0
#include "check.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstring>
#include <rte_cycles.h>
#include <rte_dev.h>
#include <rte_eal.h>
#include <rte_ethdev.h>
#include <rte_mempool.h>

using namespace direct;

namespace {

constexpr const char *name = "net_rvif0";
constexpr unsigned pool_size = 4095;
constexpr std::uint16_t depth = 256;

rte_mempool *pool;
std::atomic<unsigned> events;

int changed(std::uint16_t, rte_eth_event_type, void *, void *)
{
    ++events;
    return 0;
}

bool is_up(std::uint16_t port)
{
    rte_eth_link link{};
    CHECK_EQ(0, rte_eth_link_get_nowait(port, &link));
    return link.link_status == RTE_ETH_LINK_UP;
}

std::uint16_t start()
{
    std::uint16_t port = 0;
    CHECK_EQ(0, rte_eth_dev_get_port_by_name(name, &port));
    rte_eth_conf conf{};
    conf.intr_conf.lsc = 1;
    CHECK_EQ(0, rte_eth_dev_configure(port, 1, 1, &conf));
    CHECK_EQ(0, rte_eth_rx_queue_setup(port, 0, depth, 0, nullptr, pool));
    CHECK_EQ(0, rte_eth_tx_queue_setup(port, 0, depth, 0, nullptr));
    CHECK_EQ(0, rte_eth_dev_callback_register(port, RTE_ETH_EVENT_INTR_LSC, changed, nullptr));
    CHECK_EQ(0, rte_eth_dev_start(port));
    CHECK(is_up(port));
    return port;
}

// One frame to all, and what comes. Returns the ticks that it took.
std::uint64_t turn(std::uint16_t port)
{
    rte_mbuf *mbuf = rte_pktmbuf_alloc(pool);
    CHECK(mbuf != nullptr);
    char *frame = rte_pktmbuf_append(mbuf, 60);
    CHECK(frame != nullptr);
    std::memset(frame, 0xff, 6);
    std::memset(frame + 6, 0, 54);
    frame[6] = 2;
    frame[12] = '\x88';
    frame[13] = '\xb5';
    const std::uint64_t begin = rte_rdtsc();
    CHECK_EQ(1, rte_eth_tx_burst(port, 0, &mbuf, 1)); // sent or lost: it is not ours any more
    rte_mbuf *got[32];
    rte_pktmbuf_free_bulk(got, rte_eth_rx_burst(port, 0, got, 32));
    return rte_rdtsc() - begin;
}

void say(const char *what)
{
    std::printf("port-watch: %s\n", what);
    std::fflush(stdout);
}

} // namespace

int main(int argc, char **argv)
{
    if (rte_eal_init(argc, argv) < 0 || rte_eth_dev_count_avail() != 1) {
        std::fprintf(stderr, "port-watch wants one port, net_rvif0\n");
        return 2;
    }
    current = "traffic until the link goes";
    pool = rte_pktmbuf_pool_create("pool", pool_size, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
    CHECK(pool != nullptr);
    std::uint16_t port = start();
    say("up");
    const std::uint64_t patience = rte_rdtsc() + 60 * rte_get_tsc_hz();
    while (events == 0 && rte_rdtsc() < patience) {
        turn(port);
        rte_delay_us_sleep(1000);
    }
    CHECK_EQ(1u, events.load());
    CHECK(!is_up(port));
    say("down");

    current = "a port without a switch";
    constexpr std::uint64_t frames = 2000;
    const std::uint64_t lost = xstat(port, "tx_call_aborted");
    const unsigned left = rte_mempool_avail_count(pool);
    std::uint64_t slowest = 0;
    std::uint64_t ticks = 0;
    for (std::uint64_t i = 0; i < frames; ++i) {
        const std::uint64_t took = turn(port);
        slowest = std::max(slowest, took);
        ticks += took;
    }
    CHECK_EQ(lost + frames, xstat(port, "tx_call_aborted"));
    CHECK_EQ(left, rte_mempool_avail_count(pool));
    rte_eth_stats stats;
    CHECK_EQ(0, rte_eth_stats_get(port, &stats));
    CHECK(stats.oerrors >= frames);
    CHECK(!is_up(port));
    CHECK_EQ(1u, events.load()); // once, not every half second

    current = "the end of a port without a switch";
    CHECK_EQ(0, rte_eth_dev_stop(port));
    CHECK_EQ(pool_size, rte_mempool_avail_count(pool));
    CHECK(rte_eth_dev_start(port) != 0);
    CHECK_EQ(pool_size, rte_mempool_avail_count(pool));
    CHECK_EQ(0, rte_eal_hotplug_remove("vdev", name));
    say("gone");

    current = "the next switch";
    CHECK_EQ(0, rte_eal_hotplug_add("vdev", name, ""));
    port = start();
    for (int i = 0; i < 10; ++i) {
        turn(port);
    }
    CHECK_EQ(0u, xstat(port, "tx_call_aborted"));
    CHECK_EQ(10u, xstat(port, "switch_tx_frames"));
    CHECK_EQ(0, rte_eth_dev_stop(port));
    CHECK_EQ(0, rte_eth_dev_close(port));
    CHECK_EQ(pool_size, rte_mempool_avail_count(pool));
    std::printf("ELISA-RESULT {\"program\": \"port-watch\", \"lost\": %lu, \"ticks_a_frame\": %lu, "
                "\"slowest\": %lu}\n",
                lost + frames, ticks / frames, slowest);
    return 0;
}

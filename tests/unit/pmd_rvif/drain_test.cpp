// SPDX-License-Identifier: Apache-2.0
// Ports with mbufs of a real pool, at a switch that is none.
#include "control.hpp"
#include "fake_switch.hpp"

#include <gtest/gtest.h>
#include <rte_eal.h>
#include <sched.h>

namespace rvif::test {
namespace {

constexpr unsigned pool_size = 255;
constexpr std::uint32_t posted = 20;

class Drain : public testing::Test {
  protected:
    static void SetUpTestSuite()
    {
        const std::string cpu = "0@" + std::to_string(::sched_getcpu());
        const char *arguments[] = {
            "drain", "--lcores", cpu.c_str(),   "--no-huge",      "-m",
            "64",    "--no-pci", "--no-shconf", "--no-telemetry", "--log-level=lib.eal:error"};
        ASSERT_GE(rte_eal_init(std::size(arguments), const_cast<char **>(arguments)), 0);
        pool = rte_pktmbuf_pool_create("pool", pool_size, 0, 0, RTE_MBUF_DEFAULT_BUF_SIZE, 0);
        ASSERT_NE(pool, nullptr);
    }
    static void TearDownTestSuite()
    {
        rte_mempool_free(pool);
        rte_eal_cleanup();
    }

    Drain()
    {
        auto owned = std::make_unique<FakeSwitch>();
        fake = owned.get();
        port.backend = std::move(owned);
    }
    // A queue with buffers in one of its lanes.
    void post()
    {
        auto queue = std::make_unique<RxQueue>();
        queue->port = &port;
        queue->pool = pool;
        queue->depth = 64;
        queue->ring.reset(static_cast<std::uint32_t *>(
            eal_alloc(RVIF_LANE_STRIDE(queue->depth) * RVIF_MAX_SOURCES, 0)));
        queue->mbufs =
            std::make_unique<rte_mbuf *[]>((queue->depth + lane_slack) * RVIF_MAX_SOURCES);
        rx_reset_lanes(*queue);
        RxLane &lane = queue->lanes[3];
        ASSERT_EQ(rte_pktmbuf_alloc_bulk(pool, lane.mbufs, posted), 0);
        lane.vacant = queue->depth - posted;
        port.rx.push_back(std::move(queue));
    }
    [[nodiscard]] static unsigned at_home() { return rte_mempool_avail_count(pool); }

    static inline rte_mempool *pool;
    FakeSwitch *fake;
    Port port;
};

TEST_F(Drain, NoBufferIsBackBeforeTheSwitchHasStoppedThePort)
{
    post();
    std::vector<unsigned> seen;
    fake->at_each_call = [&] { seen.push_back(at_home()); };
    fake->answers[RVIF_OP_STOP] = {cut, busy, cut};
    std::string why;
    EXPECT_TRUE(drain(port, why));
    EXPECT_EQ(seen, std::vector<unsigned>(4, pool_size - posted));
    EXPECT_EQ(at_home(), pool_size);
    EXPECT_FALSE(port.undrained);
}

TEST_F(Drain, BuffersStayWhereTheyAreIfEachStopIsCutShort)
{
    post();
    fake->answers[RVIF_OP_STOP].assign(100'000, cut);
    std::string why;
    EXPECT_FALSE(drain(port, why));
    EXPECT_TRUE(port.undrained);
    EXPECT_EQ(at_home(), pool_size - posted);
    EXPECT_NE(why.find(fake->explain(cut.status)), std::string::npos) << why;
    // And come back as soon as one is not.
    fake->answers.clear();
    EXPECT_TRUE(drain(port, why));
    EXPECT_FALSE(port.undrained);
    EXPECT_EQ(at_home(), pool_size);
}

TEST_F(Drain, BuffersComeBackFromASwitchThatHasGone)
{
    post();
    fake->is_alive = false;
    fake->answers[RVIF_OP_STOP] = {{.status = -ELISA_E_DEAD, .value = 0}};
    std::string why;
    EXPECT_TRUE(drain(port, why));
    EXPECT_EQ(at_home(), pool_size);
}

// Whatever it had come to: the port is stopped when it has not started.
TEST_F(Drain, AStartThatFailsIsTakenBack)
{
    rte_ether_addr mac{{2, 0, 0, 0, 0, 1}};
    rte_eth_dev_data data{};
    rte_eth_dev dev{};
    Port *holder = &port;
    data.dev_private = &holder;
    data.mac_addrs = &mac;
    data.mtu = 1500;
    dev.data = &data;
    port.dev = &dev;
    port.rss_area.reset(static_cast<rvif_rss *>(eal_alloc(sizeof(rvif_rss), 0)));
    fake->answers[RVIF_OP_START].assign(100, cut);
    fake->answers[RVIF_OP_STOP] = {cut, busy, cut};
    EXPECT_EQ(dev_start(&dev), -EIO);
    EXPECT_EQ(fake->count(RVIF_OP_STOP), 4u);
    EXPECT_EQ(fake->calls.back(), std::uint64_t{RVIF_OP_STOP});
    EXPECT_FALSE(port.undrained);
}

} // namespace
} // namespace rvif::test

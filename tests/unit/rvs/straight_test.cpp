// SPDX-License-Identifier: Apache-2.0
// Calls that are one run between addresses that are known: what is not asked any more must not be
// missed.
#include "net.hpp"
#include "packets.hpp"

#include <gtest/gtest.h>

namespace rvs::test {
namespace {

struct RvsStraight : testing::Test {
    // Of port 0, which has mac(1), to port 1, which has mac(2): the switch has seen both.
    static Bytes known(std::uint32_t size = 64) { return frame(mac(2), mac(1), size); }
    void add(const PortOptions &options = {}, std::uint32_t rx_flags = 0, std::uint32_t queues = 1)
    {
        net.add();
        net.add(options, {.rx_queues = queues, .buffers = 700, .rx_flags = rx_flags});
    }
    void introduce()
    {
        net.introduce(0, 1);
        net.introduce(1, 2);
    }
    Net net;
};

TEST_F(RvsStraight, SourcesAreLearnedAndMove)
{
    add();
    net.add();
    net.introduce(1, 2);
    EXPECT_EQ(net.reached(0, known()), Ports{1});
    EXPECT_EQ(net.reached(1, frame(mac(1), mac(2))), Ports{0})
        << "from a frame to a known receiver";
    EXPECT_EQ(net.reached(2, known()), Ports{1});
    EXPECT_EQ(net.reached(1, frame(mac(1), mac(2))), Ports{2}) << "it has moved";
}

TEST_F(RvsStraight, SourcesThatNobodyMayHaveAreDropped)
{
    add();
    introduce();
    std::uint64_t dropped = 0;
    for (const auto &source : {broadcast, decltype(broadcast){}}) {
        EXPECT_EQ(net.reached(0, frame(mac(2), source)), Ports{});
        EXPECT_EQ(net.drops(0, RVIF_DROP_BAD_SOURCE_MAC), ++dropped);
    }
    // In a run, too.
    EXPECT_EQ(net[0].send({known(), frame(mac(2), broadcast), known()}), 3);
    EXPECT_EQ(net[1].receive_all(net[0].source()), (std::vector<Bytes>{known(), known()}));
    EXPECT_EQ(net.drops(0, RVIF_DROP_BAD_SOURCE_MAC), ++dropped);
}

TEST_F(RvsStraight, ReceiversThatAreWatchedAreCopied)
{
    PortOptions watched;
    watched.mirror_to = PortId{2};
    PortOptions capture;
    capture.capture = true;
    add(watched);
    net.add(capture);
    introduce();
    for (int i = 0; i < 3; ++i)
        EXPECT_EQ(net.reached(0, known()), (Ports{1, 2}));
}

TEST_F(RvsStraight, ReceiversGetTheHashesThatTheyWant)
{
    add({}, RVIF_RXQ_HASH);
    introduce();
    for (int i = 0; i < 3; ++i) {
        const std::vector<Out> out = net.send(0, packet({.to_mac = mac(2), .from_mac = mac(1)}));
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(out[0].notes.flags, RVIF_COMP_HASH);
    }
}

TEST_F(RvsStraight, ReceiversGetNoTagThatTheyWantTakenOut)
{
    add({}, RVIF_RXQ_VLAN);
    introduce();
    for (int i = 0; i < 3; ++i) {
        const std::vector<Out> out = net.send(0, tagged(known(), 7));
        ASSERT_EQ(out.size(), 1u);
        EXPECT_EQ(out[0].notes.flags, RVIF_COMP_VLAN);
        EXPECT_EQ(out[0].notes.vlan, 7);
        EXPECT_EQ(out[0].frame, known());
    }
}

TEST_F(RvsStraight, FlowsAreSpread)
{
    add({}, 0, 2);
    rvif_rss rss{RVIF_RSS_TYPES, 0, {}};
    for (std::uint8_t &queue : rss.queue)
        queue = 1;
    net[1].put(Guest::rss_at, rss);
    ASSERT_EQ(net[1].call(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at)), 0);
    introduce();
    for (int i = 0; i < 3; ++i) {
        const Bytes f = packet({.to_mac = mac(2), .from_mac = mac(1)});
        ASSERT_EQ(net[0].send({f}), 1);
        EXPECT_EQ(net[1].receive_all(net[0].source(), 1), std::vector<Bytes>{f}) << "queue 1";
    }
}

TEST_F(RvsStraight, FramesWithoutABufferAreCountedAndTheNextOnesArrive)
{
    add();
    introduce();
    const std::vector<Bytes> burst(80, known()); // more than a lane has entries
    EXPECT_EQ(net[0].send(burst), 80);
    EXPECT_EQ(net[1].receive_all(net[0].source()).size(), 64u);
    EXPECT_EQ(net.drops(1, RVIF_DROP_NO_BUFFER), 16u);
    net.post();
    EXPECT_EQ(net.reached(0, known()), Ports{1});
    EXPECT_EQ(net[0].stats().frames.tx_frames, 1 + 80 + 1u);
}

TEST_F(RvsStraight, FramesThatAreAloneInTheirCallsAreCountedAndArriveAsTheyAre)
{
    add();
    introduce();
    std::uint64_t bytes = 0;
    std::vector<Bytes> sent;
    for (std::uint32_t i = 0; i < 200; ++i) { // round the lane a few times
        sent.push_back(frame(mac(2), mac(1), 60 + i, i));
        bytes += 60 + i;
        net.post();
        ASSERT_EQ(net[0].send(sent.back()), 1);
        ASSERT_EQ(net[1].receive_all(net[0].source()), std::vector<Bytes>{sent.back()}) << i;
    }
    const auto counted = net[0].stats().frames;
    EXPECT_EQ(counted.tx_frames, 1 + 200u);
    EXPECT_EQ(counted.tx_bytes, 64 + bytes);
    EXPECT_EQ(net[1].stats().frames.rx_frames, 1 + 200u);
    EXPECT_EQ(net[1].stats().frames.rx_bytes, 64 + bytes);
}

TEST_F(RvsStraight, FramesThatAreAloneInTheirCallsNeedABufferLargeEnough)
{
    add();
    introduce();
    EXPECT_EQ(net.reached(0, known(net[1].options().buf_len)), Ports{1});
    EXPECT_EQ(net.reached(0, known(net[1].options().buf_len + 1)), Ports{1}) << "in two buffers";
    for (std::uint32_t i = 0; i < 70; ++i) // as many as the lane has entries, and more
        EXPECT_EQ(net[0].send(known()), 1);
    EXPECT_EQ(net[1].receive_all(net[0].source()).size(), 64u);
    EXPECT_EQ(net.drops(1, RVIF_DROP_NO_BUFFER), 6u);
}

} // namespace
} // namespace rvs::test

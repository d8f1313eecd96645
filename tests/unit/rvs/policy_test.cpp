// SPDX-License-Identifier: Apache-2.0
// What the manager may forbid a port, or have copied.
#include "net.hpp"

#include <gtest/gtest.h>
#include <unistd.h>

namespace rvs::test {
namespace {

Limits timed()
{
    Limits limits = World::small();
    // A clock that passes slowly: a second of it is minutes of ours, so nothing is refilled
    // meanwhile.
    limits.clock_hz = std::uint64_t{1} << 40;
    return limits;
}

// ---------------------------------------------------------------------- isolation

TEST(Isolation, IsolatedPortsReachOnlyOthers)
{
    Net net;
    PortOptions isolated;
    isolated.isolated = true;
    net.add(isolated); // 0
    net.add(isolated); // 1
    net.add();         // 2
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{2});
    EXPECT_EQ(net.reached(2, frame(broadcast, mac(3))), (Ports{0, 1}));
    net.introduce(1, 2);
    EXPECT_TRUE(net.send(0, frame(mac(2), mac(1))).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_ISOLATED), 1u);
    EXPECT_EQ(net.reached(2, frame(mac(2), mac(3))), Ports{1});
    EXPECT_EQ(net.reached(0, frame(mac(3), mac(1))), Ports{2});
}

// ------------------------------------------------------------------ anti-spoofing

TEST(Spoofing, OnlyOwnAddressesMaySend)
{
    Net net;
    PortOptions own;
    own.own_macs_only = true;
    own.mac = word(mac(1));
    own.macs[0] = word(mac(5));
    own.macs[3] = word(mac(6));
    net.add(own);
    net.add();
    for (const std::uint32_t n : {1u, 5u, 6u})
        EXPECT_EQ(net.reached(0, frame(broadcast, mac(n))), Ports{1}) << n;
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(7))).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_SPOOFED), 1u);
    EXPECT_EQ(net[0].stats().frames.tx_frames, 3u);
    // Nor may it claim another address.
    EXPECT_EQ(net[0].call(RVIF_OP_SET_MAC, word(mac(7))), -RVIF_E_STATE);
    // What it tried to claim was not learned.
    EXPECT_EQ(net.send(1, frame(mac(7), mac(2))).size(), 1u);
    EXPECT_EQ(net[1].stats().flooded, 1u);
}

TEST(Spoofing, OneBurstIsJudgedFrameByFrame)
{
    Net net;
    PortOptions own;
    own.own_macs_only = true;
    own.macs[0] = word(mac(1));
    net.add(own);
    net.add();
    std::vector<Bytes> burst;
    for (std::uint32_t i = 0; i < 30; ++i)
        burst.push_back(frame(broadcast, mac(1 + i % 3)));
    EXPECT_EQ(net[0].send(burst), 30);
    EXPECT_EQ(net.take().size(), 10u);
    EXPECT_EQ(net.drops(0, RVIF_DROP_SPOOFED), 20u);
}

// ---------------------------------------------------------------------- MAC limit

TEST(MacLimit, OneMoreIsDroppedUntilOneIsForgotten)
{
    Limits limits = World::small();
    limits.fdb_age_ticks = 5;
    Net net{limits};
    PortOptions few;
    few.mac_limit = 3;
    net.add(few);
    net.add();
    for (std::uint32_t n = 1; n <= 3; ++n)
        EXPECT_EQ(net.reached(0, frame(broadcast, mac(n))), Ports{1});
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(4))).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_MAC_LIMIT), 1u);
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(2))), Ports{1}) << "known ones go on";
    for (int t = 0; t < 6; ++t) {
        net.world->tick();
        EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{1});
    }
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(4))), Ports{1});
}

TEST(MacLimit, AddressThatMovesAwayMakesRoom)
{
    Net net;
    PortOptions one;
    one.mac_limit = 1;
    net.add(one);
    net.add();
    net.introduce(0, 1);
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(2))).empty());
    net.introduce(1, 1);
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(2))), Ports{1});
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(1))).empty()) << "it cannot take it back";
}

TEST(MacLimit, NeighbourThatUsesItsAddressDoesNotSilenceAPort)
{
    Net net;
    PortOptions one;
    one.mac_limit = 1;
    net.add(one);
    net.add();
    for (int i = 0; i < 10; ++i) {
        EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{1});
        net.introduce(1, 1);
        if (i % 3 == 0)
            net.world->tick();
    }
    EXPECT_EQ(net.drops(0, RVIF_DROP_MAC_LIMIT), 0u);
    // It is its only one, however often it came back.
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{1});
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(2))).empty());
}

TEST(MacLimit, TicksKeepTheCount)
{
    Limits limits = World::small();
    limits.fdb_age_ticks = 2;
    Net net{limits};
    PortOptions few;
    few.mac_limit = 2;
    net.add(few);
    net.add();
    for (std::uint32_t round = 0; round < 5; ++round) {
        for (std::uint32_t n = 0; n < 3; ++n)
            EXPECT_EQ(net.send(0, frame(broadcast, mac(10 * round + n))).size(), n < 2 ? 1u : 0u);
        for (std::uint32_t t = 0; t <= limits.fdb_age_ticks; ++t)
            net.world->tick();
    }
}

// ----------------------------------------------------------------- rate and storm

TEST(Rate, WhatIsAboveTheBurstIsDroppedAndCounted)
{
    Net net{timed()};
    PortOptions slow;
    slow.rate_bytes = 1'000'000;
    slow.rate_burst = 100'000;
    net.add(slow);
    net.add();
    for (int i = 0; i < 120; ++i)
        net.send(0, frame(broadcast, mac(1), 1000));
    EXPECT_EQ(net[1].stats().frames.rx_frames, 100u);
    EXPECT_EQ(net.drops(0, RVIF_DROP_RATE), 20u);
    EXPECT_EQ(net[0].stats().frames.tx_frames, 100u);
    // The other port is not limited.
    for (int i = 0; i < 120; ++i)
        EXPECT_EQ(net.send(1, frame(broadcast, mac(2), 1000)).size(), 1u);
}

TEST(Rate, IsRefilledAsTimePasses)
{
    Limits limits = World::small();
    limits.clock_hz = 1'000'000'000; // about right anywhere
    Net net{limits};
    PortOptions slow;
    slow.rate_bytes = 1'000'000; // 60 ms a frame: however slow this machine is, it sends faster
    slow.rate_burst = 1;         // a frame of any size at least
    net.add(slow);
    net.add();
    std::uint64_t refused = 0;
    for (int i = 0; i < 2000 && refused == 0; ++i) {
        net.send(0, frame(broadcast, mac(1), 60000));
        refused = net.drops(0, RVIF_DROP_RATE);
    }
    EXPECT_GT(refused, 0u);
    const std::uint64_t before = net[1].stats().frames.rx_frames;
    bool again = false;
    for (int i = 0; i < 1000 && !again; ++i) {
        usleep(2000);
        net.send(0, frame(broadcast, mac(1), 60000));
        again = net[1].stats().frames.rx_frames > before;
    }
    EXPECT_TRUE(again);
}

TEST(Rate, OfAllTransmitQueuesTogether)
{
    Net net{timed()};
    PortOptions slow;
    slow.rate_bytes = 1'000'000;
    slow.rate_burst = 100'000;
    net.add(slow, {.tx_queues = 4, .buffers = 700});
    net.add();
    for (std::uint32_t i = 0; i < 120; ++i) {
        EXPECT_EQ(net[0].send(frame(broadcast, mac(1), 1000), i % 4), 1);
        net.take();
    }
    EXPECT_EQ(net.drops(0, RVIF_DROP_RATE), 20u);
}

TEST(Storm, FloodsAreLimitedAndUnicastIsNot)
{
    Net net{timed()};
    PortOptions calm;
    calm.storm_frames = 10;
    net.add(calm);
    net.add();
    net.introduce(1, 2);
    for (int i = 0; i < 8; ++i)
        net.send(0, frame(i % 2 == 0 ? broadcast : multicast, mac(1)));
    for (int i = 0; i < 7; ++i)
        net.send(0, frame(mac(99), mac(1))); // unknown
    EXPECT_EQ(net.drops(0, RVIF_DROP_STORM), 5u);
    EXPECT_EQ(net[0].stats().flooded, 10u);
    for (int i = 0; i < 30; ++i)
        EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), Ports{1});
}

TEST(Storm, SuperFrameCountsAsTheFramesThatItBecomes)
{
    Net net{timed()};
    PortOptions calm;
    calm.storm_frames = 10;
    net.add(calm);
    net.add();
    constexpr std::uint32_t segsz = 100;
    const auto super = [&](std::uint32_t payload, const std::array<std::uint8_t, 6> &to) {
        const Bytes f = packet({.tcp = true, .payload = payload, .to_mac = to});
        return net.send(0, f, RVIF_TX_TSO, 0, segsz).size();
    };
    EXPECT_EQ(super(5 * segsz + 1, broadcast), 6u);
    EXPECT_EQ(super(5 * segsz, broadcast), 0u) << "one more than is left";
    EXPECT_EQ(net.drops(0, RVIF_DROP_STORM), 1u);
    EXPECT_EQ(super(segsz, broadcast), 1u);
    EXPECT_EQ(super(2 * segsz, mac(99)), 2u); // unknown
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{1});
    EXPECT_EQ(super(1, broadcast), 0u);
    EXPECT_EQ(net.drops(0, RVIF_DROP_STORM), 2u);
    net.introduce(1, 2);
    EXPECT_EQ(super(9 * segsz, mac(2)), 9u) << "unicast is no storm";
}

TEST(Rate, WithoutAClockIsRefused)
{
    World world;
    PortOptions options;
    options.rate_bytes = 1000;
    EXPECT_EQ(world->port_open(PortId{0}, options), Error::arg);
    options = {};
    options.storm_frames = 1000;
    EXPECT_EQ(world->port_open(PortId{0}, options), Error::arg);
}

// -------------------------------------------------------------- mirror and capture

struct Mirror : testing::Test {
    Mirror()
    {
        PortOptions watched;
        watched.mirror_to = PortId{2};
        PortOptions capture;
        capture.capture = true;
        net.add(watched); // 0
        net.add();        // 1
        net.add(capture); // 2
        net.add();        // 3
    }
    Net net;
};

TEST_F(Mirror, BothDirectionsOfAPortAreCopied)
{
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), (Ports{1, 2, 3}));
    EXPECT_EQ(net.reached(1, frame(mac(1), mac(2))), (Ports{0, 2}));
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), (Ports{1, 2}));
    EXPECT_EQ(net.reached(3, frame(mac(2), mac(4))), Ports{1}) << "not what concerns others";
}

TEST_F(Mirror, CapturePortGetsNoFloodsOfItsOwn)
{
    EXPECT_EQ(net.reached(1, frame(broadcast, mac(2))), (Ports{0, 2, 3})) << "as port 0's copy";
    net[0].leave();
    EXPECT_EQ(net.reached(1, frame(broadcast, mac(2))), Ports{3});
}

TEST_F(Mirror, OneCopyAlthoughBothEndsAreWatched)
{
    PortOptions watched;
    watched.mirror_to = PortId{2};
    net.add(watched); // 4
    net.introduce(4, 5);
    EXPECT_EQ(net.reached(0, frame(mac(5), mac(1))), (Ports{2, 4}));
}

TEST_F(Mirror, BurstsArriveWholeAndInOrder)
{
    net.introduce(1, 2);
    std::vector<Bytes> burst;
    for (std::uint32_t i = 0; i < 30; ++i)
        burst.push_back(frame(i % 4 == 3 ? broadcast : mac(2), mac(1), 70 + i, i));
    EXPECT_EQ(net[0].send(burst), 30);
    EXPECT_EQ(net[1].receive_all(net[0].source()), burst);
    EXPECT_EQ(net[2].receive_all(net[0].source()), burst);
}

TEST_F(Mirror, FullCapturePortHoldsNobodyUp)
{
    net.introduce(1, 2);
    for (int i = 0; i < 100; ++i) {
        EXPECT_EQ(net[0].send(frame(mac(2), mac(1))), 1);
        net[1].receive_all(net[0].source());
        net[1].post(net[0].source(), 40);
    }
    EXPECT_EQ(net[1].stats().frames.rx_frames, 100u);
    EXPECT_GT(net.drops(2, RVIF_DROP_NO_BUFFER), 0u);
}

TEST_F(Mirror, CapturePortThatIsHeldDownGetsNothing)
{
    net.introduce(1, 2);
    EXPECT_EQ(net.world->port_link(PortId{2}, false), Error::none);
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), (Ports{1, 3}));
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), Ports{1});
    EXPECT_EQ(net.reached(1, frame(mac(1), mac(2))), Ports{0});
    EXPECT_EQ(net.world->port_link(PortId{2}, true), Error::none);
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), (Ports{1, 2}));
}

TEST_F(Mirror, CapturePortMayNotSend)
{
    EXPECT_TRUE(net.send(2, frame(broadcast, mac(9))).empty());
    EXPECT_EQ(net.drops(2, RVIF_DROP_LINK_DOWN), 1u);
}

TEST_F(Mirror, CapturePortDrawsNoFramesOfOthers)
{
    net.introduce(1, 2);
    net.send(2, frame(broadcast, mac(2)));
    EXPECT_EQ(net[2].call(RVIF_OP_SET_MAC, word(mac(2))), 0);
    EXPECT_EQ(net.reached(3, frame(mac(2), mac(4))), Ports{1});
}

TEST(MirrorOptions, AreChecked)
{
    World world;
    PortOptions self;
    self.mirror_to = PortId{0};
    EXPECT_EQ(world->port_open(PortId{0}, self), Error::arg);
    self.mirror_to = PortId{64};
    EXPECT_EQ(world->port_open(PortId{0}, self), Error::arg);
}

// --------------------------------------------------------------------- link, modes

TEST(Link, PortThatIsHeldDownNeitherSendsNorReceives)
{
    Net net;
    net.add();
    net.add();
    net.add();
    net.introduce(0, 1);
    net.introduce(1, 2);
    EXPECT_EQ(net.world->port_link(PortId{1}, false), Error::none);
    EXPECT_TRUE(net.send(1, frame(mac(1), mac(2))).empty());
    EXPECT_EQ(net.drops(1, RVIF_DROP_LINK_DOWN), 1u);
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{2});
    EXPECT_TRUE(net.send(0, frame(mac(2), mac(1))).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_NO_DESTINATION), 1u);
    net[1].sources();
    EXPECT_EQ(net[1].get<rvif_sources>(Guest::sources_at).link, 0u);
    PortInfo info;
    ASSERT_TRUE(net.world->port_info(PortId{1}, info));
    EXPECT_FALSE(info.link);

    EXPECT_EQ(net.world->port_link(PortId{1}, true), Error::none);
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), Ports{1});
    EXPECT_EQ(net.reached(1, frame(mac(1), mac(2))), Ports{0});
    net[1].sources();
    EXPECT_EQ(net[1].get<rvif_sources>(Guest::sources_at).link, 1u);
    EXPECT_EQ(net.world->port_link(PortId{9}, true), Error::state);
    EXPECT_EQ(net.world->port_link(PortId{64}, true), Error::arg);
}

TEST(Link, PortThatIsHeldDownDrawsNoFramesOfOthers)
{
    Net net;
    net.add();
    net.add();
    net.add();
    net.introduce(1, 2);
    EXPECT_EQ(net.world->port_link(PortId{2}, false), Error::none);
    net.send(2, frame(broadcast, mac(2)));
    EXPECT_EQ(net.drops(2, RVIF_DROP_LINK_DOWN), 1u);
    EXPECT_EQ(net[2].call(RVIF_OP_SET_MAC, word(mac(2))), 0);
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), Ports{1});
}

TEST(Link, AddressThatWasSetWhileDownIsKnownOnceUp)
{
    Net net;
    net.add();
    net.add();
    EXPECT_EQ(net[0].call(RVIF_OP_RX_MODE, 0), 0);
    EXPECT_EQ(net[1].call(RVIF_OP_RX_MODE, 0), 0); // what is unknown does not reach it
    EXPECT_EQ(net.world->port_link(PortId{1}, false), Error::none);
    EXPECT_EQ(net[1].call(RVIF_OP_SET_MAC, word(mac(5))), 0);
    EXPECT_TRUE(net.send(0, frame(mac(5), mac(1))).empty());
    EXPECT_EQ(net.world->port_link(PortId{1}, true), Error::none);
    EXPECT_EQ(net.reached(0, frame(mac(5), mac(1))), Ports{1});
}

TEST(RxMode, PortGetsWhatItWants)
{
    Net net;
    net.add();
    net.add();
    const Bytes unknown = frame(mac(99), mac(1));
    const Bytes group = frame(multicast, mac(1));
    const Bytes all = frame(broadcast, mac(1));
    const struct {
        std::uint64_t mode;
        bool unknown, group;
    } cases[] = {{RVIF_RX_MODES, true, true},
                 {RVIF_RX_MODE_PROMISC, true, true},
                 {RVIF_RX_MODE_ALLMULTI, false, true},
                 {0, false, false}};
    for (const auto &c : cases) {
        EXPECT_EQ(net[1].call(RVIF_OP_RX_MODE, c.mode), 0);
        EXPECT_EQ(net.send(0, unknown).size(), c.unknown ? 1u : 0u) << c.mode;
        EXPECT_EQ(net.send(0, group).size(), c.group ? 1u : 0u) << c.mode;
        EXPECT_EQ(net.send(0, all).size(), 1u) << c.mode;
    }
    EXPECT_EQ(net[1].call(RVIF_OP_RX_MODE, 4), -RVIF_E_ARG);
    EXPECT_EQ(net[1].call(RVIF_OP_RX_MODE, ~0ull), -RVIF_E_ARG);
    // The next one at this port has said nothing yet.
    net[1].leave();
    net[1].join();
    net.post();
    EXPECT_EQ(net.send(0, unknown).size(), 1u);
}

TEST(Takeover, PortTellsWhoseItIs)
{
    World world;
    PortOptions options;
    options.cookie = 0x1234567890;
    ASSERT_EQ(world->port_open(PortId{3}, options), Error::none);
    PortInfo info;
    ASSERT_TRUE(world->port_info(PortId{3}, info));
    EXPECT_EQ(info.cookie, options.cookie);
}

} // namespace
} // namespace rvs::test

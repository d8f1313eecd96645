// SPDX-License-Identifier: Apache-2.0
// What the manager changes of ports that are in use, and the addresses that it knows better.
#include "net.hpp"

#include <gtest/gtest.h>

namespace rvs::test {
namespace {

Limits timed()
{
    Limits limits = World::small();
    limits.clock_hz = std::uint64_t{1} << 40;
    return limits;
}

std::vector<FdbEntry> table(const Switch &of)
{
    std::vector<FdbEntry> all;
    FdbEntry some[16];
    std::size_t cursor = 0;
    while (const std::size_t n = of.fdb_read(cursor, some, std::size(some)))
        all.insert(all.end(), some, some + n);
    return all;
}

std::size_t entries(const Switch &of, std::uint32_t port)
{
    std::size_t n = 0;
    for (const FdbEntry &entry : table(of))
        n += entry.port == PortId{port} ? 1 : 0;
    return n;
}

TEST(Repolicy, VlanOfAPortInUseChanges)
{
    Net net;
    PortOptions ten;
    ten.native_vlan = 10;
    PortOptions twenty;
    twenty.native_vlan = 20;
    net.add(ten);    // 0
    net.add(ten);    // 1
    net.add(twenty); // 2
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{1});
    EXPECT_EQ(net.world->port_policy(PortId{0}, twenty), Error::none);
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{2});
    EXPECT_TRUE(net.send(1, frame(broadcast, mac(2))).empty());
    EXPECT_EQ(net.world->port_policy(PortId{0}, {}), Error::none);
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(1))).empty());
    net.add(); // 3
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{3});
}

TEST(Repolicy, TrunkLosesOneVlanAndKeepsTheOthers)
{
    Net net;
    const std::uint16_t both[] = {10, 20};
    PortOptions trunk;
    trunk.trunk = both;
    trunk.trunk_count = 2;
    PortOptions ten;
    ten.native_vlan = 10;
    PortOptions twenty;
    twenty.native_vlan = 20;
    net.add(trunk);
    net.add(ten);
    net.add(twenty);
    EXPECT_EQ(net.send(1, frame(broadcast, mac(2))).size(), 1u);
    EXPECT_EQ(net.send(2, frame(broadcast, mac(3))).size(), 1u);
    trunk.trunk_count = 1;
    EXPECT_EQ(net.world->port_policy(PortId{0}, trunk), Error::none);
    EXPECT_EQ(net.send(1, frame(broadcast, mac(2))).size(), 1u);
    EXPECT_TRUE(net.send(2, frame(broadcast, mac(3))).empty());
}

TEST(Repolicy, WhatWasLearnedGoesWithTheVlansAndStaysOtherwise)
{
    Net net{timed()};
    net.add();
    net.add();
    net.introduce(0, 1);
    PortOptions limited;
    limited.rate_bytes = 1'000'000;
    limited.isolated = true;
    EXPECT_EQ(net.world->port_policy(PortId{0}, limited), Error::none);
    EXPECT_EQ(entries(*net.world, 0), 1u);
    limited.native_vlan = 7;
    EXPECT_EQ(net.world->port_policy(PortId{0}, limited), Error::none);
    EXPECT_EQ(entries(*net.world, 0), 0u);
}

TEST(Repolicy, AddressThatTheDriverSaidMovesToTheNewVlanAndOutlivesAFlush)
{
    Net net;
    net.add();
    EXPECT_EQ(net[0].call(RVIF_OP_SET_MAC, word(mac(1))), 0);
    PortOptions ten;
    ten.native_vlan = 10;
    EXPECT_EQ(net.world->port_policy(PortId{0}, ten), Error::none);
    EXPECT_EQ(net.world->mac_flush(no_port), Error::none);
    const auto all = table(*net.world);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].mac, word(mac(1)));
    EXPECT_EQ(all[0].vlan, 10u);
}

TEST(Repolicy, AddressSaidWhileDownIsOnlyLearnedIfThePortMayStillHaveIt)
{
    Net net;
    net.add();
    EXPECT_EQ(net.world->port_link(PortId{0}, false), Error::none);
    EXPECT_EQ(net[0].call(RVIF_OP_SET_MAC, word(mac(1))), 0);
    PortOptions own;
    own.own_macs_only = true;
    own.macs[0] = word(mac(2));
    EXPECT_EQ(net.world->port_policy(PortId{0}, own), Error::none);
    EXPECT_EQ(net.world->port_link(PortId{0}, true), Error::none);
    EXPECT_TRUE(table(*net.world).empty());
    // As it was: it is learned.
    EXPECT_EQ(net.world->port_link(PortId{0}, false), Error::none);
    EXPECT_EQ(net.world->port_policy(PortId{0}, {}), Error::none);
    EXPECT_EQ(net.world->port_link(PortId{0}, true), Error::none);
    EXPECT_EQ(table(*net.world).size(), 1u);
}

TEST(Repolicy, OwnAddressMovesToTheNewVlan)
{
    Net net;
    PortOptions own;
    own.mac = word(mac(1));
    own.native_vlan = 10;
    net.add(own);
    own.native_vlan = 20;
    EXPECT_EQ(net.world->port_policy(PortId{0}, own), Error::none);
    const auto all = table(*net.world);
    ASSERT_EQ(all.size(), 1u);
    EXPECT_EQ(all[0].vlan, 20u);
    EXPECT_TRUE(all[0].is_static);
}

TEST(Repolicy, RateComesAndGoes)
{
    Net net{timed()};
    net.add();
    net.add();
    net.introduce(1, 2);
    PortOptions slow;
    slow.rate_bytes = 1000;
    slow.rate_burst = 65535;
    EXPECT_EQ(net.world->port_policy(PortId{0}, slow), Error::none);
    for (int i = 0; i < 100; ++i)
        net.send(0, frame(mac(2), mac(1), 1400));
    EXPECT_GT(net.drops(0, RVIF_DROP_RATE), 40u);
    const std::uint64_t before = net.drops(0, RVIF_DROP_RATE);
    EXPECT_EQ(net.world->port_policy(PortId{0}, {}), Error::none);
    for (int i = 0; i < 100; ++i)
        EXPECT_EQ(net.reached(0, frame(mac(2), mac(1), 1400)), Ports{1});
    EXPECT_EQ(net.drops(0, RVIF_DROP_RATE), before);
}

TEST(Repolicy, IsolationAndOwnAddressesTakeEffect)
{
    Net net;
    net.add();
    PortOptions isolated;
    isolated.isolated = true;
    net.add(isolated);
    EXPECT_EQ(net.reached(0, frame(broadcast, mac(1))), Ports{1});
    isolated.own_macs_only = true;
    isolated.macs[0] = word(mac(1));
    EXPECT_EQ(net.world->port_policy(PortId{0}, isolated), Error::none);
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(1))).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_NO_DESTINATION), 1u);
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(9))).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_SPOOFED), 1u);
}

TEST(Repolicy, LinkAndReceiveModesStay)
{
    Net net{timed()};
    net.add();
    net.add();
    EXPECT_EQ(net[1].call(RVIF_OP_RX_MODE, 0), 0);
    EXPECT_EQ(net.world->port_link(PortId{0}, false), Error::none);
    PortOptions limited;
    limited.rate_bytes = 1'000'000'000;
    EXPECT_EQ(net.world->port_policy(PortId{0}, limited), Error::none);
    EXPECT_EQ(net.world->port_policy(PortId{1}, limited), Error::none);
    PortInfo info;
    ASSERT_TRUE(net.world->port_info(PortId{0}, info));
    EXPECT_FALSE(info.link);
    EXPECT_EQ(net.world->port_link(PortId{0}, true), Error::none);
    EXPECT_TRUE(net.send(0, frame(mac(9), mac(1))).empty()) << "not promiscuous any more";
}

TEST(Repolicy, CapturePortStaysMute)
{
    Net net;
    PortOptions capture;
    capture.capture = true;
    net.add(capture);
    net.add();
    EXPECT_EQ(net.world->port_policy(PortId{0}, {}), Error::none);
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(1))).empty());
    EXPECT_TRUE(net.send(1, frame(broadcast, mac(2))).empty());
}

TEST(Repolicy, BadOptionsAndClosedPortsAreRefused)
{
    Net net;
    net.add();
    PortOptions bad;
    bad.native_vlan = 4095;
    EXPECT_EQ(net.world->port_policy(PortId{0}, bad), Error::arg);
    bad = {};
    bad.rate_bytes = 1; // no clock
    EXPECT_EQ(net.world->port_policy(PortId{0}, bad), Error::arg);
    EXPECT_EQ(net.world->port_policy(PortId{64}, {}), Error::arg);
    EXPECT_EQ(net.world->port_policy(PortId{1}, {}), Error::state);
}

TEST(Tap, CopiesGoThereBesideTheMirror)
{
    Net net;
    PortOptions watched;
    watched.mirror_to = PortId{2};
    PortOptions capture;
    capture.capture = true;
    net.add(watched);
    net.add();
    net.add(capture); // 2
    net.add(capture); // 3
    net.introduce(1, 2);
    EXPECT_EQ(net.world->port_tap(PortId{0}, PortId{3}, true), Error::none);
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), (Ports{1, 2, 3}));
    EXPECT_EQ(net.world->port_policy(PortId{0}, watched), Error::none) << "keeps the tap";
    EXPECT_EQ(net.reached(1, frame(mac(1), mac(2))), (Ports{0, 2, 3}));
    EXPECT_EQ(net.world->port_tap(PortId{0}, PortId{3}, false), Error::none);
    EXPECT_EQ(net.world->port_tap(PortId{0}, PortId{2}, false), Error::none) << "was no tap";
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), (Ports{1, 2}));
    EXPECT_EQ(net.world->port_policy(PortId{0}, {}), Error::none);
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), Ports{1});
    EXPECT_EQ(net.world->port_tap(PortId{0}, PortId{0}, true), Error::arg);
    EXPECT_EQ(net.world->port_tap(PortId{9}, PortId{2}, true), Error::state);
}

TEST(Tap, IsGoneWhenThePortIsOpenedAgain)
{
    Net net;
    net.add();
    EXPECT_EQ(net.world->port_tap(PortId{0}, PortId{5}, true), Error::none);
    net[0].leave();
    EXPECT_EQ(net.world->port_open(PortId{0}, {}), Error::none);
    EXPECT_EQ(net.world->port_policy(PortId{0}, {}), Error::none);
    EXPECT_EQ(net.world->source_port(0), no_port);
}

TEST(Tap, IsNotInheritedByWhoeverOpensTheCapturesPortNext)
{
    Net net;
    PortOptions watched;
    watched.mirror_to = PortId{3};
    PortOptions capture;
    capture.capture = true;
    net.add(watched); // 0
    net.add();        // 1
    net.add(capture); // 2
    net.add(capture); // 3
    net.introduce(1, 2);
    EXPECT_EQ(net.world->port_tap(PortId{0}, PortId{2}, true), Error::none);
    EXPECT_EQ(net.world->port_tap(PortId{1}, PortId{2}, true), Error::none);
    // The manager dies: the next one closes the port, and applies its configuration.
    net[2].leave();
    EXPECT_EQ(net.world->port_policy(PortId{0}, watched), Error::none);
    net[2].join();
    EXPECT_EQ(net.world->port_policy(PortId{0}, watched), Error::none);
    net.post();
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), (Ports{1, 3}));
    EXPECT_EQ(net.reached(1, frame(mac(1), mac(2))), (Ports{0, 3}));
    // A mirror names the port whoever has it.
    net[3].leave();
    net[3].join(capture);
    net.post();
    EXPECT_EQ(net.reached(0, frame(mac(2), mac(1))), (Ports{1, 3}));
}

TEST(MacTable, StaticEntriesStayAndBelongToOnePort)
{
    Net net;
    net.add();
    net.add();
    net.add();
    EXPECT_EQ(net.world->mac_add(PortId{1}, word(mac(9)), 0), Error::none);
    EXPECT_EQ(net.reached(0, frame(mac(9), mac(1))), Ports{1}) << "before it has ever sent";
    EXPECT_TRUE(net.send(2, frame(broadcast, mac(9))).empty());
    EXPECT_EQ(net.drops(2, RVIF_DROP_BAD_SOURCE_MAC), 1u);
    EXPECT_EQ(net.world->mac_add(PortId{2}, word(mac(9)), 0), Error::state);
    EXPECT_EQ(net.world->mac_flush(no_port), Error::none);
    EXPECT_EQ(entries(*net.world, 1), 1u);
    EXPECT_EQ(net.world->mac_remove(word(mac(9)), 0), Error::none);
    EXPECT_EQ(net.world->mac_remove(word(mac(9)), 0), Error::state);
    EXPECT_EQ(net.reached(2, frame(broadcast, mac(9))), (Ports{0, 1}));
}

TEST(MacTable, FlushForgetsWhatWasLearnedAtOnePortOrAll)
{
    Net net;
    net.add();
    net.add();
    net.introduce(0, 1);
    net.introduce(1, 2);
    EXPECT_EQ(net.world->mac_flush(PortId{0}), Error::none);
    EXPECT_EQ(entries(*net.world, 0), 0u);
    EXPECT_EQ(entries(*net.world, 1), 1u);
    EXPECT_EQ(net.world->mac_flush(no_port), Error::none);
    EXPECT_EQ(entries(*net.world, 1), 0u);
}

TEST(MacTable, BadAddressesAndOwnOnesAreRefused)
{
    Net net;
    PortOptions own;
    own.mac = word(mac(1));
    net.add(own);
    EXPECT_EQ(net.world->mac_add(PortId{0}, 0, 0), Error::arg);
    EXPECT_EQ(net.world->mac_add(PortId{0}, word(broadcast), 0), Error::arg);
    EXPECT_EQ(net.world->mac_add(PortId{0}, word(mac(2)), 4095), Error::arg);
    EXPECT_EQ(net.world->mac_add(PortId{64}, word(mac(2)), 0), Error::arg);
    EXPECT_EQ(net.world->mac_add(PortId{3}, word(mac(2)), 0), Error::state);
    EXPECT_EQ(net.world->mac_remove(word(mac(1)), 0), Error::state) << "the port's own";
    EXPECT_EQ(net.world->mac_flush(PortId{64}), Error::arg);
}

TEST(Sources, TellTheirPort)
{
    Net net;
    net.add();
    net.add();
    EXPECT_EQ(net.world->source_port(static_cast<std::uint32_t>(net[1].source())), PortId{1});
    EXPECT_EQ(net.world->source_port(RVIF_MAX_SOURCES), no_port);
}

} // namespace
} // namespace rvs::test

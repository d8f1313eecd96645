// SPDX-License-Identifier: Apache-2.0
// Access and trunk ports, native VLANs, tags that are asked for and tags that are taken out.
#include "net.hpp"

#include <gtest/gtest.h>
#include <set>
#include <span>

namespace rvs::test {
namespace {

constexpr std::uint16_t both[] = {10, 20};
constexpr std::uint16_t ten[] = {10};

PortOptions access(std::uint32_t vlan)
{
    PortOptions options;
    options.native_vlan = vlan;
    return options;
}
PortOptions trunk(std::span<const std::uint16_t> vlans, std::uint32_t native = 0)
{
    PortOptions options;
    options.native_vlan = native;
    options.trunk = vlans.data();
    options.trunk_count = vlans.size();
    return options;
}

struct Vlan : testing::Test {
    Vlan()
    {
        net.add(access(10));     // 0
        net.add(access(10));     // 1
        net.add(access(20));     // 2
        net.add(trunk(both));    // 3
        net.add(trunk(ten, 20)); // 4: 20 without a tag
        net.add();               // 5 knows no VLANs
        net.add();               // 6 neither
    }
    const Bytes hello = frame(broadcast, mac(1), 80);
    Net net;
};

TEST_F(Vlan, FloodStaysInItsVlanAndHasATagWhereThePortHasOne)
{
    EXPECT_EQ(
        net.send(0, hello),
        (std::vector<Out>{{1, hello, {}}, {3, tagged(hello, 10), {}}, {4, tagged(hello, 10), {}}}));
    EXPECT_EQ(net.send(2, hello), (std::vector<Out>{{3, tagged(hello, 20), {}}, {4, hello, {}}}));
    EXPECT_EQ(net.send(4, hello), (std::vector<Out>{{2, hello, {}}, {3, tagged(hello, 20), {}}}));
    EXPECT_EQ(net.send(3, tagged(hello, 10)),
              (std::vector<Out>{{0, hello, {}}, {1, hello, {}}, {4, tagged(hello, 10), {}}}));
}

// A tag behind a tag is the receiver's own affair, where the first one stays; where it would be
// taken off, the second would be a way into another VLAN.
TEST_F(Vlan, TagBehindATagIsShownToNobody)
{
    const Bytes inner = tagged(hello, 20);
    const Bytes priority = tagged(inner, 0);
    // 4 is in VLAN 20 without a tag, and in 10 with one. 0 is in VLAN 10 alone.
    const std::vector<Out> with_tag{{3, tagged(inner, 10), {}}, {4, tagged(inner, 10), {}}};
    EXPECT_EQ(net.send(0, priority), with_tag);
    EXPECT_EQ(net.send(0, inner, RVIF_TX_VLAN, 0), with_tag);
    EXPECT_EQ(net.send(3, tagged(inner, 10)), (std::vector<Out>{{4, tagged(inner, 10), {}}}));
    EXPECT_EQ(net.send(3, inner, RVIF_TX_VLAN, 10), (std::vector<Out>{{4, tagged(inner, 10), {}}}));

    net.introduce(1, 7); // in VLAN 10, without a tag
    const Bytes to_1 = tagged(frame(mac(7), mac(1), 80), 20);
    EXPECT_EQ(net.drops(0, RVIF_DROP_VLAN_EGRESS), 0u);
    EXPECT_TRUE(net.send(0, tagged(to_1, 0)).empty());
    EXPECT_TRUE(net.send(0, to_1, RVIF_TX_VLAN, 0).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_VLAN_EGRESS), 2u);
    // Wherever the sender cuts it, and whatever is behind: another EtherType travels as it came.
    for (const std::uint32_t cut : {13u, 14u, 15u, 16u, 17u, 18u, 19u}) {
        const Bytes doubly = tagged(to_1, 0);
        EXPECT_EQ(net[0].send_chain(doubly, {cut, static_cast<std::uint32_t>(doubly.size()) - cut}),
                  2);
        EXPECT_TRUE(net.take().empty()) << cut;
        const Bytes once = tagged(frame(mac(7), mac(1), 80), 0);
        EXPECT_EQ(net[0].send_chain(once, {cut, static_cast<std::uint32_t>(once.size()) - cut}), 2);
        EXPECT_EQ(net.take(), (std::vector<Out>{{1, frame(mac(7), mac(1), 80), {}}})) << cut;
    }
}

TEST_F(Vlan, PriorityTravelsWithTheTag)
{
    EXPECT_EQ(net.send(3, tagged(hello, 0xa00a)),
              (std::vector<Out>{{0, hello, {}}, {1, hello, {}}, {4, tagged(hello, 0xa00a), {}}}));
    // A tag of VLAN 0 says nothing but the priority.
    EXPECT_EQ(net.send(0, tagged(hello, 0xe000)),
              (std::vector<Out>{
                  {1, hello, {}}, {3, tagged(hello, 0xe00a), {}}, {4, tagged(hello, 0xe00a), {}}}));
}

TEST_F(Vlan, PortsThatKnowNoVlansShareOneAndCarryTagsAsPayload)
{
    EXPECT_EQ(net.reached(5, hello), Ports{6});
    EXPECT_EQ(net.reached(5, tagged(hello, 10)), Ports{6});
}

TEST_F(Vlan, FramesOfForeignVlansAreDroppedAndCounted)
{
    EXPECT_TRUE(net.send(0, tagged(hello, 20)).empty()); // an access port takes no tags
    EXPECT_TRUE(net.send(0, tagged(hello, 10)).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_VLAN_INGRESS), 2u);
    EXPECT_TRUE(net.send(3, tagged(hello, 30)).empty());
    EXPECT_TRUE(net.send(3, hello).empty()); // a trunk without a native VLAN, no untagged ones
    EXPECT_TRUE(net.send(3, tagged(hello, 0xfff)).empty());
    EXPECT_EQ(net.drops(3, RVIF_DROP_VLAN_INGRESS), 3u);
    EXPECT_EQ(net[3].stats().frames.tx_frames, 0u);
}

TEST_F(Vlan, SameMacInTwoVlansIsTwoStations)
{
    net.introduce(1, 7);
    net.introduce(2, 7);
    const Bytes f = frame(mac(7), mac(1), 90);
    EXPECT_EQ(net.reached(0, f), Ports{1});
    EXPECT_EQ(net.send(3, tagged(f, 10)), (std::vector<Out>{{1, f, {}}}));
    EXPECT_EQ(net.send(3, tagged(f, 20)), (std::vector<Out>{{2, f, {}}}));
    FdbEntry entries[16];
    std::size_t cursor = 0;
    std::multiset<std::uint32_t> vlans;
    for (std::size_t n = net.world->fdb_read(cursor, entries, 16); n-- != 0;) {
        if (entries[n].mac == word(mac(7)))
            vlans.insert(entries[n].vlan);
    }
    EXPECT_EQ(vlans, (std::multiset<std::uint32_t>{10, 20}));
}

TEST_F(Vlan, BurstThatMixesVlansIsSortedFrameByFrame)
{
    net.introduce(1, 7);
    net.introduce(2, 7);
    const Bytes f = frame(mac(7), mac(1), 90);
    std::vector<Bytes> burst;
    for (int i = 0; i < 24; ++i)
        burst.push_back(i % 3 == 2 ? f : tagged(f, i % 3 == 0 ? 10 : 20));
    EXPECT_EQ(net[3].send(burst), 24);
    std::map<std::uint32_t, int> got;
    for (const Out &o : net.take()) {
        EXPECT_EQ(o.frame, f);
        ++got[o.port];
    }
    EXPECT_EQ(got, (std::map<std::uint32_t, int>{{1, 8}, {2, 8}}));
    EXPECT_EQ(net.drops(3, RVIF_DROP_VLAN_INGRESS), 8u);
}

TEST_F(Vlan, TagThatIsAskedForIsAsGoodAsOneInTheFrame)
{
    EXPECT_EQ(net.send(3, hello, RVIF_TX_VLAN, 0x200a),
              (std::vector<Out>{{0, hello, {}}, {1, hello, {}}, {4, tagged(hello, 0x200a), {}}}));
    EXPECT_EQ(net.send(5, hello, RVIF_TX_VLAN, 0x300a),
              (std::vector<Out>{{6, tagged(hello, 0x300a), {}}}));
    EXPECT_TRUE(net.send(0, hello, RVIF_TX_VLAN, 20).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_VLAN_INGRESS), 1u);
}

TEST_F(Vlan, ReceiverThatWantsTagsApartGetsThemApart)
{
    net.add(trunk(both), {.buffers = 700, .rx_flags = RVIF_RXQ_VLAN}); // 7
    net.add({}, {.buffers = 700, .rx_flags = RVIF_RXQ_VLAN});          // 8
    const Received note{RVIF_COMP_VLAN, 0, 20, 0};
    EXPECT_EQ(net.send(2, hello),
              (std::vector<Out>{{3, tagged(hello, 20), {}}, {4, hello, {}}, {7, hello, note}}));
    auto got = net.send(5, tagged(hello, 20));
    EXPECT_EQ(got, (std::vector<Out>{{6, tagged(hello, 20), {}}, {8, hello, note}}));
    got = net.send(5, hello, RVIF_TX_VLAN, 20);
    EXPECT_EQ(got, (std::vector<Out>{{6, tagged(hello, 20), {}}, {8, hello, note}}));
    got = net.send(5, hello); // nothing to take out
    EXPECT_EQ(got, (std::vector<Out>{{6, hello, {}}, {8, hello, {}}}));
}

TEST_F(Vlan, ShortestFramesKeepTheirBytes)
{
    for (const std::size_t size : {14u, 15u, 16u, 17u, 18u, 20u, 60u}) {
        const Bytes f = frame(broadcast, mac(1), size);
        const auto got = net.send(0, f);
        ASSERT_EQ(got.size(), 3u) << size;
        EXPECT_EQ(got[0].frame, f) << size;
        EXPECT_EQ(got[1].frame, tagged(f, 10)) << size;
        if (size >= 14) {
            EXPECT_EQ(net.send(3, tagged(f, 10))[0].frame, f) << size;
        }
    }
}

TEST_F(Vlan, UnicastToAPortOutsideOfTheVlanIsDropped)
{
    // Learned there, then the port came back in another VLAN: the table is per VLAN, so only a
    // static address can point outside.
    PortOptions options = access(20);
    options.mac = word(mac(9));
    net.add(options); // 7
    EXPECT_EQ(net.send(2, frame(mac(9), mac(1))).size(), 1u);
    EXPECT_EQ(net.send(0, frame(mac(9), mac(1))).size(), 3u) << "unknown in VLAN 10: flooded there";
}

// Where it is in the table.
std::set<std::pair<std::uint32_t, std::uint32_t>> vlans_and_ports(const Switch &of, std::uint32_t n)
{
    std::set<std::pair<std::uint32_t, std::uint32_t>> found;
    FdbEntry entry;
    std::size_t cursor = 0;
    while (of.fdb_read(cursor, &entry, 1) != 0) {
        if (entry.mac == word(mac(n)))
            found.emplace(entry.vlan, static_cast<std::uint32_t>(entry.port));
    }
    return found;
}

TEST_F(Vlan, AddressSaidAtAPortWithoutUntaggedFramesIsLearnedInNoVlan)
{
    using Found = std::set<std::pair<std::uint32_t, std::uint32_t>>;
    const PortId trunk_only{3};
    const Bytes f = frame(mac(9), mac(1), 90);
    net.introduce(5, 9);
    ASSERT_EQ(net[3].call(RVIF_OP_SET_MAC, word(mac(9))), 0);
    EXPECT_EQ(net.reached(6, f), Ports{5}) << "it is still where it was";
    PortInfo info;
    ASSERT_TRUE(net.world->port_info(trunk_only, info));
    EXPECT_EQ(info.mac, word(mac(9)));

    // Nor is it learned when the manager would make up for it.
    EXPECT_EQ(net.world->port_link(trunk_only, false), Error::none);
    EXPECT_EQ(net.world->port_link(trunk_only, true), Error::none);
    EXPECT_EQ(vlans_and_ports(*net.world, 9), (Found{{0, 5}}));
    EXPECT_EQ(net.world->mac_flush(no_port), Error::none);
    EXPECT_EQ(vlans_and_ports(*net.world, 9), Found{});
    EXPECT_EQ(net.world->port_policy(trunk_only, trunk(ten)), Error::none);
    EXPECT_EQ(vlans_and_ports(*net.world, 9), Found{});
    // Until the port has a VLAN for it.
    EXPECT_EQ(net.world->port_policy(trunk_only, trunk(ten, 20)), Error::none);
    EXPECT_EQ(vlans_and_ports(*net.world, 9), (Found{{20, 3}}));
}

TEST(VlanOptions, AreChecked)
{
    World world;
    for (const std::uint32_t vlan : {4095u, 4096u, ~0u})
        EXPECT_EQ(world->port_open(PortId{0}, access(vlan)), Error::arg) << vlan;
    for (const std::uint16_t vlan : {std::uint16_t{0}, std::uint16_t{4095}, std::uint16_t{65535}}) {
        const std::uint16_t list[] = {10, vlan};
        EXPECT_EQ(world->port_open(PortId{0}, trunk(list)), Error::arg) << vlan;
    }
    const std::uint16_t edges[] = {1, 4094};
    EXPECT_EQ(world->port_open(PortId{0}, trunk(edges, 4094)), Error::none);
}

TEST(VlanOptions, GoWithThePort)
{
    Net net;
    net.add(access(10));
    net.add(access(10));
    net[1].leave();
    net[1].join();
    net.post();
    EXPECT_TRUE(net.send(0, frame(broadcast, mac(1))).empty());
    EXPECT_EQ(net.drops(0, RVIF_DROP_NO_DESTINATION), 1u);
}

} // namespace
} // namespace rvs::test

// SPDX-License-Identifier: Apache-2.0
// The MAC table, seen from outside.
#include "learned.hpp"
#include "world.hpp"

#include <gtest/gtest.h>
#include <map>

namespace rvs::test {
namespace {

std::map<std::uint64_t, FdbEntry> table(World &world)
{
    std::map<std::uint64_t, FdbEntry> all;
    FdbEntry some[7];
    std::size_t cursor = 0;
    while (const std::size_t n = world->fdb_read(cursor, some, 7)) {
        for (std::size_t i = 0; i < n; ++i)
            EXPECT_TRUE(all.emplace(some[i].mac, some[i]).second) << "twice in the table";
    }
    return all;
}

Bytes hello(std::uint32_t n)
{
    return frame(broadcast, mac(n));
}

TEST(RvsFdb, EntryThatIsNotSeenAgesAndGoes)
{
    Limits limits = World::small();
    limits.fdb_age_ticks = 10;
    World world{limits};
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    EXPECT_EQ(a.send(hello(1)), 1);
    EXPECT_EQ(b.send(hello(2)), 1);
    for (std::uint32_t t = 1; t <= 10; ++t) {
        world->tick();
        EXPECT_EQ(b.send(hello(2)), 1); // stays young
        ASSERT_EQ(table(world).at(word(mac(1))).age, t);
        ASSERT_EQ(table(world).at(word(mac(2))).age, 0u);
    }
    world->tick();
    EXPECT_EQ(table(world).count(word(mac(1))), 0u);
    EXPECT_EQ(table(world).count(word(mac(2))), 1u);
}

TEST(RvsFdb, AgeingIsRightOverManyTurnsOfTheStamp)
{
    Limits limits;
    limits.fdb_entries = 1 << 17; // no five of them in one bucket
    limits.fdb_age_ticks = 200;
    World world{limits};
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    for (std::uint32_t t = 0; t < 600; ++t) {
        ASSERT_EQ(a.send(hello(1000 + t)), 1);
        const auto all = table(world);
        for (std::uint32_t age = 0; age <= 200 && age <= t; ++age)
            ASSERT_EQ(all.at(word(mac(1000 + t - age))).age, age) << "tick " << t;
        ASSERT_EQ(all.size(), std::min(t + 1, 201u)) << "tick " << t;
        world->tick();
    }
}

TEST(RvsFdb, PortThatMakesUpAddressesCannotKeepOthersFromBeingLearned)
{
    World world;
    Guest noisy{world, 0};
    Guest quiet{world, 1};
    noisy.join();
    quiet.join();
    std::vector<Bytes> burst;
    for (std::uint32_t i = 0; i < 100000; ++i) {
        burst.push_back(hello(100000 + i));
        if (burst.size() == 200) {
            ASSERT_EQ(noisy.send(burst), 200);
            burst.clear();
        }
    }
    const std::size_t filled = table(world).size();
    EXPECT_LE(filled, 8192u); // half of the table
    EXPECT_GE(filled, 8000u);
    for (std::uint32_t i = 1; i <= 100; ++i)
        ASSERT_EQ(quiet.send(hello(i)), 1);
    for (const auto &[m, entry] : table(world)) {
        if (entry.port == quiet.id()) {
            EXPECT_LE(m >> 40, 100u);
        }
    }
    std::size_t learned = 0;
    for (std::uint32_t i = 1; i <= 100; ++i)
        learned += table(world).count(word(mac(i)));
    EXPECT_GE(learned, 95u); // a bucket may have five of the hundred
}

TEST(RvsFdb, PortKeepsLearningWhenItsShareIsFull)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    for (std::uint32_t i = 0; i < 3000; ++i) {
        ASSERT_EQ(a.send(hello(i + 1)), 1);
        ASSERT_EQ(table(world).count(word(mac(i + 1))), 1u) << i;
    }
}

TEST(RvsFdb, ClosedPortsAddressesAreForgotten)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    for (std::uint32_t i = 1; i <= 10; ++i) {
        EXPECT_EQ(a.send(hello(i)), 1);
        EXPECT_EQ(b.send(hello(100 + i)), 1);
    }
    a.leave();
    const auto all = table(world);
    EXPECT_EQ(all.size(), 10u);
    for (const auto &[m, entry] : all)
        EXPECT_EQ(entry.port, b.id());
}

TEST(RvsFdb, StaticEntryNeitherAgesNorMovesAndGoesWithItsPort)
{
    World world;
    Guest a{world, 0, {.mac = word(mac(1))}};
    Guest b{world, 1};
    a.join();
    b.join();
    for (int i = 0; i < 600; ++i)
        world->tick();
    EXPECT_EQ(b.send(hello(1)), 1);
    ASSERT_EQ(table(world).count(word(mac(1))), 1u);
    EXPECT_TRUE(table(world).at(word(mac(1))).is_static);
    EXPECT_EQ(table(world).at(word(mac(1))).port, a.id());
    EXPECT_EQ(a.send(hello(1)), 1); // its owner may use it
    EXPECT_EQ(a.drops(RVIF_DROP_BAD_SOURCE_MAC), 0u);

    PortOptions same;
    same.mac = word(mac(1));
    EXPECT_EQ(world->port_open(PortId{5}, same), Error::state);
    a.leave();
    EXPECT_EQ(world->port_open(PortId{5}, same), Error::none);
}

TEST(RvsFdb, StaticEntryTakesOverWhatWasLearned)
{
    World world;
    Guest thief{world, 0};
    Guest peer{world, 1};
    thief.join();
    peer.join();
    EXPECT_EQ(thief.send(hello(1)), 1);
    Guest owner{world, 2, {.mac = word(mac(1))}};
    owner.join();
    const auto all = table(world);
    ASSERT_EQ(all.count(word(mac(1))), 1u);
    EXPECT_EQ(all.at(word(mac(1))).port, owner.id());
}

TEST(RvsFdb, CountOfLearnedAddressesIsNeverBelowZero)
{
    LearnedCount count{};
    count.less();
    EXPECT_EQ(count.number(), 0u);
    count.more();
    count.more();
    count.less();
    EXPECT_EQ(count.number(), 1u);
}

TEST(RvsFdb, CountOfTheTableIsVoidIfAnAddressMovedMeanwhile)
{
    LearnedCount count{};
    count.more();
    std::uint64_t before = count.snapshot();
    count.less();
    count.more(); // as many as before
    count.counted(before, 0);
    EXPECT_EQ(count.number(), 1u);
    before = count.snapshot();
    count.counted(before, 7);
    EXPECT_EQ(count.number(), 7u);
}

// The manager may be kept from the CPU between two instructions of its count.
TEST(RvsFdb, CountOfTheTableThatEndsAfterAnAddressMovedAwayIsVoid)
{
    LearnedCount count{};
    count.more();
    const LearnedCount::Less less = count.less();
    const std::uint64_t before = count.snapshot(); // and finds the entry; then it goes
    EXPECT_FALSE(count.settle(less));
    count.counted(before, 1);
    EXPECT_EQ(count.number(), 0u);
}

TEST(RvsFdb, CountOfTheTableThatEndedBeforeAnAddressMovedAwayIsTold)
{
    LearnedCount count{};
    count.more();
    const LearnedCount::Less less = count.less();
    count.counted(count.snapshot(), 1);
    EXPECT_TRUE(count.settle(less));
}

TEST(RvsFdb, KeysComeBackAsTheyWereLearned)
{
    World world;
    Guest a{world, 0};
    a.join();
    Random random{3};
    std::map<std::uint64_t, bool> sent;
    for (int i = 0; i < 2000; ++i) {
        std::array<std::uint8_t, 6> m{};
        for (auto &byte : m)
            byte = static_cast<std::uint8_t>(random() >> 9);
        m[0] &= 0xfe;
        EXPECT_EQ(a.send(frame(broadcast, m)), 1);
        sent[word(m)] = true;
    }
    std::size_t found = 0;
    for (const auto &[m, entry] : table(world)) {
        EXPECT_EQ(entry.vlan, 0u);
        EXPECT_TRUE(sent[m]) << std::hex << m;
        ++found;
    }
    EXPECT_GT(found, 1900u); // five of one port in a bucket of 2048 are rare
}

TEST(RvsFdb, LargerTablesKeepTheirKeysToo)
{
    for (const std::uint32_t entries : {1u << 15, 1u << 18, 1u << 20}) {
        Limits limits;
        limits.fdb_entries = entries;
        World world{limits};
        Guest a{world, 0};
        a.join();
        for (std::uint32_t i = 1; i <= 500; ++i)
            EXPECT_EQ(a.send(hello(i * 977)), 1);
        const auto all = table(world);
        EXPECT_EQ(all.size(), 500u);
        for (std::uint32_t i = 1; i <= 500; ++i)
            EXPECT_EQ(all.count(word(mac(i * 977))), 1u);
    }
}

} // namespace
} // namespace rvs::test

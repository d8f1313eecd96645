// SPDX-License-Identifier: Apache-2.0
// Ports, regions and queues come and go.
#include "core.hpp"
#include "world.hpp"

#include <gtest/gtest.h>
#include <memory>

namespace rvs::test {
namespace {

using Frames = std::vector<Bytes>;

TEST(RvsSwitch, CreateRefusesMemoryThatDoesNotFit)
{
    const Limits limits = World::small();
    const std::size_t need = Switch::footprint(limits);
    Memory memory{need + 4096};
    EXPECT_EQ(Switch::create(nullptr, need, limits), nullptr);
    EXPECT_EQ(Switch::create(memory.data(), need - 1, limits), nullptr);
    EXPECT_EQ(Switch::create(memory.data() + 64, need, limits), nullptr);
    Limits bad = limits;
    bad.fdb_age_ticks = 0;
    EXPECT_EQ(Switch::create(memory.data(), need, bad), nullptr);
    bad.fdb_age_ticks = 201;
    EXPECT_EQ(Switch::create(memory.data(), need, bad), nullptr);
    EXPECT_NE(Switch::create(memory.data(), need, limits), nullptr);
}

TEST(RvsSwitch, OpenFindsWhatCreateLeftAndNothingElse)
{
    const Limits limits = World::small();
    const std::size_t need = Switch::footprint(limits);
    Memory memory{need};
    EXPECT_EQ(Switch::open(memory.data(), need), nullptr);
    Switch *created = Switch::create(memory.data(), need, limits);
    EXPECT_EQ(Switch::open(memory.data(), need), created);
    EXPECT_EQ(Switch::open(memory.data(), need - 1), nullptr);
    EXPECT_EQ(Switch::open(nullptr, need), nullptr);
    memory.data()[0] ^= 1;
    EXPECT_EQ(Switch::open(memory.data(), need), nullptr);
}

TEST(RvsSwitch, WorksFromAnotherMappingAndForARestartedManager)
{
    const Limits limits = World::small();
    World world{limits};
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    b.post(a.source(), 4);

    void *other = mremap(world.memory().data(), 0, world.memory().size(), MREMAP_MAYMOVE);
    ASSERT_NE(other, MAP_FAILED);
    Switch *again = Switch::open(other, world.memory().size());
    ASSERT_NE(again, nullptr);
    EXPECT_EQ(again->ports(), 3u);
    const Bytes f = frame(mac(2), mac(1));
    a.desc(0, {a.stage(f), 64, 0});
    EXPECT_EQ(again->call(a.id(), RVIF_OP_TX, 0, 1, 0), 1);
    EXPECT_EQ(b.receive_all(a.source()), Frames{f});
    EXPECT_EQ(again->port_close(a.id()), Error::none);
    EXPECT_EQ(world->ports(), 2u);
    munmap(other, world.memory().size());
}

TEST(RvsPorts, OpenAndCloseCheckTheirArguments)
{
    World world;
    EXPECT_EQ(world->port_open(PortId{64}, {}), Error::arg);
    EXPECT_EQ(world->port_close(PortId{64}), Error::arg);
    EXPECT_EQ(world->port_close(PortId{3}), Error::state);
    PortOptions options;
    options.mac = word(broadcast);
    EXPECT_EQ(world->port_open(PortId{3}, options), Error::arg);
    options.mac = 0;
    options.max_tx_queues = 9;
    EXPECT_EQ(world->port_open(PortId{3}, options), Error::arg);
    options.max_tx_queues = 0;
    EXPECT_EQ(world->port_open(PortId{3}, options), Error::arg);
    EXPECT_EQ(world->port_open(PortId{3}, {}), Error::none);
    EXPECT_EQ(world->port_open(PortId{3}, {}), Error::state);
    EXPECT_EQ(world->ports(), 8u);
    EXPECT_EQ(world->port_close(PortId{3}), Error::none);
    EXPECT_EQ(world->ports(), 0u);
}

TEST(RvsPorts, InfoSaysWhatThePortIs)
{
    World world;
    PortInfo info;
    EXPECT_FALSE(world->port_info(PortId{0}, info));
    PortOptions options;
    options.label = "a label that is much longer than there is room for";
    ASSERT_EQ(world->port_open(PortId{9}, options), Error::none);
    ASSERT_TRUE(world->port_info(PortId{9}, info));
    EXPECT_EQ(std::string(info.label), std::string(options.label).substr(0, label_size - 1));
    EXPECT_FALSE(info.started);

    Guest guest{world, 1, {.rx_queues = 2, .tx_queues = 3}};
    guest.join();
    EXPECT_EQ(guest.call(RVIF_OP_SET_MAC, word(mac(5))), 0);
    ASSERT_TRUE(world->port_info(PortId{1}, info));
    EXPECT_TRUE(info.started);
    EXPECT_EQ(info.rx_queues, 2u);
    EXPECT_EQ(info.tx_queues, 3u);
    EXPECT_EQ(info.regions, 1u);
    EXPECT_EQ(info.mac, word(mac(5)));
}

TEST(RvsPorts, ClosedPortMayNotCall)
{
    World world;
    for (std::uint64_t op = 0; op < RVIF_OPS; ++op)
        EXPECT_EQ(world->call(PortId{0}, op, 0, 0, 0), -RVIF_E_STATE) << op;
}

TEST(RvsPorts, InfoOperationTellsVersionAndPort)
{
    World world;
    Guest guest{world, 17};
    guest.open();
    EXPECT_EQ(guest.call(RVIF_OP_INFO), (std::int64_t{RVIF_VERSION} << 32 | 17));
}

TEST(RvsPorts, StatesAreEnforced)
{
    World world;
    Guest guest{world, 0, {.tx_queues = 2}};
    guest.open();
    EXPECT_EQ(guest.transmit(1), -RVIF_E_QUEUE);
    ASSERT_EQ(guest.setup_tx(0), 0);
    EXPECT_EQ(guest.transmit(1), -RVIF_E_STATE); // not started
    EXPECT_EQ(guest.setup_rx(1, guest.rx_setup(0)), 0);
    EXPECT_EQ(guest.call(RVIF_OP_START), -RVIF_E_QUEUE); // receive queue 0 is missing
    EXPECT_EQ(guest.setup_rx(0, guest.rx_setup(0)), 0);
    EXPECT_EQ(guest.call(RVIF_OP_START), 0);
    EXPECT_EQ(guest.call(RVIF_OP_START), -RVIF_E_STATE);
    EXPECT_EQ(guest.setup_tx(1), -RVIF_E_STATE);
    EXPECT_EQ(guest.setup_rx(0, guest.rx_setup(0)), -RVIF_E_STATE);
    EXPECT_EQ(guest.call(RVIF_OP_STOP), 0);
    EXPECT_EQ(guest.call(RVIF_OP_STOP), 0);
    EXPECT_EQ(guest.transmit(1), -RVIF_E_QUEUE); // must be set up again
    EXPECT_EQ(guest.call(RVIF_OP_START), 0);     // with no queues at all
}

// A set-up that ended between claiming a source and noting it, or a stop between forgetting and
// releasing it.
TEST(RvsPorts, SourceOfACallThatWasCutShortIsFoundAgain)
{
    World world;
    Guest guest{world, 3, {.tx_queues = 2}};
    guest.open();
    std::atomic<std::uint64_t> &owner = static_cast<Core &>(*world).owners[5];
    owner.store(Owner{owner.load()}.claimed(3, 1).word());
    const std::uint64_t generation = Owner{owner.load()}.generation();
    EXPECT_EQ(guest.setup_tx(0), 0);
    EXPECT_EQ(guest.setup_tx(1), 5);
    // Lanes that the call left are made good before they are used.
    EXPECT_GT(Owner{owner.load()}.generation(), generation);
    EXPECT_EQ(guest.call(RVIF_OP_STOP), 0);
    EXPECT_FALSE(Owner{owner.load()}.taken());
}

TEST(RvsPorts, SourcesTellOfOthersThatStarted)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1, {.tx_queues = 2}};
    a.open();
    using Sources = std::vector<std::uint32_t>;
    const auto number = [](std::int64_t source) { return static_cast<std::uint32_t>(source); };
    EXPECT_EQ(a.sources(), Sources{});
    a.set_up();
    b.open();
    b.set_up();
    EXPECT_EQ(a.sources(), Sources{}); // set up is not started
    EXPECT_EQ(b.call(RVIF_OP_START), 0);
    EXPECT_EQ(a.sources(), (Sources{number(b.source(0)), number(b.source(1))}));
    EXPECT_EQ(b.sources(), Sources{});
    EXPECT_EQ(a.call(RVIF_OP_START), 0);
    EXPECT_EQ(b.sources(), Sources{number(a.source())});
    EXPECT_EQ(b.call(RVIF_OP_STOP), 0);
    EXPECT_EQ(a.sources(), Sources{});
    a.leave();
    EXPECT_EQ(b.sources(), Sources{});
}

TEST(RvsPorts, SourcesRunOutAndComeBack)
{
    World world;
    std::vector<std::unique_ptr<Guest>> guests;
    for (std::uint32_t p = 0; p < 17; ++p) {
        guests.push_back(std::make_unique<Guest>(world, p, GuestOptions{.tx_queues = 8}));
        guests.back()->open();
        for (std::uint32_t q = 0; q < 8 && p < 16; ++q)
            ASSERT_EQ(guests.back()->setup_tx(q), p * 8 + q);
    }
    EXPECT_EQ(guests[16]->setup_tx(0), -RVIF_E_FULL);
    EXPECT_EQ(guests[7]->setup_tx(0), 56); // again: keeps its source
    guests[2]->leave();
    EXPECT_EQ(guests[16]->setup_tx(0), 16);
    for (std::uint32_t p = 3; p < 7; ++p)
        EXPECT_EQ(guests[p]->call(RVIF_OP_START), 0);
    EXPECT_EQ(guests[16]->sources().size(), 32u);
    EXPECT_EQ(guests[3]->sources().size(), 24u);
}

TEST(RvsPorts, ManagerLimitsTransmitQueues)
{
    World world;
    Guest guest{world, 0};
    PortOptions options;
    options.max_tx_queues = 2;
    ASSERT_EQ(world->port_open(guest.id(), options), Error::none);
    ASSERT_EQ(guest.add_region(), Error::none);
    EXPECT_EQ(guest.setup_tx(0), 0);
    EXPECT_EQ(guest.setup_tx(1), 1);
    EXPECT_EQ(guest.setup_tx(2), -RVIF_E_QUEUE);
}

TEST(RvsPorts, StoppedPortGetsNothingAndItsFramesAreCounted)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    Guest c{world, 2};
    for (Guest *g : {&a, &b, &c})
        g->join();
    b.post(a.source(), 8);
    c.post(a.source(), 8);
    EXPECT_EQ(b.send(frame(broadcast, mac(2))), 1);
    EXPECT_EQ(b.call(RVIF_OP_STOP), 0);
    const Bytes before = b.memory().snapshot();
    EXPECT_EQ(a.send({frame(mac(2), mac(1)), frame(broadcast, mac(1))}), 2);
    EXPECT_TRUE(b.memory().snapshot() == before);
    EXPECT_EQ(b.drops(RVIF_DROP_NOT_READY), 1u); // a flood goes to live ports only
    EXPECT_EQ(a.stats().copies, 2u);
    EXPECT_EQ(c.receive_all(a.source()).size(), 1u);
}

TEST(RvsPorts, RestartedPortBeginsWithFreshLanes)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    for (std::uint32_t round = 0; round < 10; ++round) {
        b.post(a.source(), 7);
        Frames sent;
        for (std::uint32_t i = 0; i < 7; ++i)
            sent.push_back(frame(mac(2), mac(1), 64, round * 10 + i));
        EXPECT_EQ(a.send(sent), 7);
        EXPECT_EQ(b.receive_all(a.source()), sent);
        EXPECT_EQ(b.call(RVIF_OP_STOP), 0);
        b.set_up();
        EXPECT_EQ(b.call(RVIF_OP_START), 0);
    }
}

TEST(RvsPorts, ReopenedPortBeginsAtZero)
{
    World world;
    Guest a{world, 0};
    a.join();
    {
        Guest b{world, 1};
        b.join();
        EXPECT_EQ(a.send(frame(mac(2), mac(1))), 1);
        EXPECT_EQ(b.send(frame(mac(1), mac(2))), 1);
        EXPECT_NE(b.stats().frames.drops[RVIF_DROP_NO_BUFFER], 0u);
        EXPECT_NE(b.stats().frames.tx_frames, 0u);
        b.leave();
    }
    Guest b{world, 1};
    b.open();
    const PortStats stats = b.stats();
    EXPECT_EQ(stats.frames.tx_frames, 0u);
    EXPECT_EQ(stats.frames.rx_frames, 0u);
    EXPECT_EQ(stats.frames.crossings, 0u);
    for (const std::uint64_t n : stats.frames.drops)
        EXPECT_EQ(n, 0u);
    PortInfo info;
    ASSERT_TRUE(world->port_info(b.id(), info));
    EXPECT_EQ(info.rx_queues, 0u);
    EXPECT_EQ(info.tx_queues, 0u);
    EXPECT_EQ(info.regions, 1u);
    EXPECT_FALSE(info.started);
}

// ---------------------------------------------------------------------- regions

TEST(RvsRegions, AreCheckedWhenAdded)
{
    World world;
    EXPECT_EQ(world->region_add(PortId{0}, 0, 0x10000, 0x1000), Error::state); // closed
    ASSERT_EQ(world->port_open(PortId{0}, {}), Error::none);
    const struct {
        std::uint32_t index;
        std::uint64_t base, len;
    } bad[] = {
        {8, 0x10000, 0x1000},      {0, 0x10001, 0x1000},     {0, 0x10800, 0x1000},
        {0, 0x10000, 0x800},       {0, 0x10000, 0},          {0, 0, 0x1000},
        {0, 0x10000, 1ull << 40},  {0, 1ull << 48, 0x1000},  {0, (1ull << 48) - 0x1000, 0x2000},
        {0, 0x10000, ~0ull << 12}, {0, ~0ull << 12, 0x1000},
    };
    for (const auto &b : bad) {
        EXPECT_EQ(world->region_add(PortId{0}, b.index, b.base, b.len), Error::arg)
            << std::hex << b.index << " " << b.base << " " << b.len;
    }
    EXPECT_EQ(world->region_add(PortId{64}, 0, 0x10000, 0x1000), Error::arg);
    EXPECT_EQ(world->region_add(PortId{0}, 7, (1ull << 48) - 0x1000, 0x1000), Error::none);
    EXPECT_EQ(world->region_add(PortId{0}, 7, 0x10000, 0x1000), Error::state); // in use
    EXPECT_EQ(world->region_remove(PortId{0}, 7), Error::none);
    EXPECT_EQ(world->region_remove(PortId{0}, 7), Error::state);
    EXPECT_EQ(world->region_remove(PortId{0}, 8), Error::arg);
    EXPECT_EQ(world->region_add(PortId{0}, 7, 0x10000, (1ull << 40) - 0x1000), Error::none);
}

TEST(RvsRegions, RemovedRegionIsNeitherReadNorWritten)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    b.post(a.source(), 8);
    EXPECT_EQ(b.send(frame(broadcast, mac(2))), 1);
    ASSERT_EQ(world->region_remove(b.id(), 0), Error::none);
    // An access would be a fault.
    ASSERT_EQ(mprotect(b.memory().data(), b.memory().size(), PROT_NONE), 0);
    EXPECT_EQ(a.send({frame(mac(2), mac(1)), frame(broadcast, mac(1))}), 2);
    EXPECT_EQ(b.transmit(1), -RVIF_E_ADDR);
    EXPECT_EQ(b.drops(RVIF_DROP_NOT_READY), 2u);

    // With the region back at the same place, the queue stays dead until it is set up again.
    ASSERT_EQ(mprotect(b.memory().data(), b.memory().size(), PROT_READ | PROT_WRITE), 0);
    ASSERT_EQ(b.add_region(), Error::none);
    EXPECT_EQ(a.send(frame(mac(2), mac(1))), 1);
    EXPECT_EQ(b.drops(RVIF_DROP_NOT_READY), 3u);
    EXPECT_EQ(b.call(RVIF_OP_STOP), 0);
    b.set_up();
    EXPECT_EQ(b.call(RVIF_OP_START), 0);
    b.post(a.source(), 1);
    const Bytes f = frame(mac(2), mac(1), 90);
    EXPECT_EQ(a.send(f), 1);
    EXPECT_EQ(b.receive_all(a.source()), Frames{f});
}

TEST(RvsRegions, QueueDoesNotStartOnARegionThatWentAfterItsSetUp)
{
    World world;
    Guest guest{world, 0};
    guest.open();
    guest.set_up();
    ASSERT_EQ(world->region_remove(guest.id(), 0), Error::none);
    EXPECT_EQ(guest.call(RVIF_OP_START), -RVIF_E_ADDR);
    Memory other{guest.memory().size()};
    ASSERT_EQ(world->region_add(guest.id(), 0, other.base(), other.size()), Error::none);
    EXPECT_EQ(guest.call(RVIF_OP_START), -RVIF_E_ADDR); // another memory of the same length
}

TEST(RvsRegions, RemovalOfAnUnusedRegionDisturbsNobody)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    Memory extra{0x10000};
    ASSERT_EQ(world->region_add(b.id(), 3, extra.base(), extra.size()), Error::none);
    b.post(a.source(), 2);
    const Bytes f = frame(mac(2), mac(1));
    EXPECT_EQ(a.send(f), 1);
    ASSERT_EQ(world->region_remove(b.id(), 3), Error::none);
    EXPECT_EQ(a.send(f), 1);
    EXPECT_EQ(b.receive_all(a.source()), (Frames{f, f}));
}

TEST(RvsRegions, FramesAndBuffersMayLieInDifferentRegions)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.open();
    Memory buffers{0x20000};
    ASSERT_EQ(world->region_add(b.id(), 5, buffers.base(), buffers.size()), Error::none);
    rvif_rx_setup setup = b.rx_setup(0);
    setup.buf_region = 5;
    ASSERT_EQ(b.setup_tx(0), 1);
    ASSERT_EQ(b.setup_rx(0, setup), 0);
    ASSERT_EQ(b.call(RVIF_OP_START), 0);
    b.post_raw(a.source(), 0, 0x10000 / RVIF_BUF_UNIT);
    const Bytes f = frame(mac(2), mac(1), 500);
    EXPECT_EQ(a.send(f), 1);
    EXPECT_EQ(std::memcmp(buffers.data() + 0x10000, f.data(), f.size()), 0);
    // One of two regions of the queue is enough to end it.
    ASSERT_EQ(world->region_remove(b.id(), 5), Error::none);
    EXPECT_EQ(a.send(f), 1);
    EXPECT_EQ(b.drops(RVIF_DROP_NOT_READY), 1u);
}

TEST(RvsRegions, LanesOfARemovedRegionAreLeftAlone)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.open();
    Memory lanes{b.lanes_len()};
    ASSERT_EQ(world->region_add(b.id(), 5, lanes.base(), lanes.size()), Error::none);
    rvif_rx_setup setup = b.rx_setup(0);
    setup.lanes = RVIF_ADDR(5ull, 0);
    ASSERT_EQ(b.setup_rx(0, setup), 0);
    ASSERT_EQ(b.call(RVIF_OP_START), 0);
    EXPECT_EQ(a.send(frame(mac(2), mac(1))), 1);
    EXPECT_EQ(b.drops(RVIF_DROP_NO_BUFFER), 1u);
    ASSERT_EQ(world->region_remove(b.id(), 5), Error::none);
    ASSERT_EQ(mprotect(lanes.data(), lanes.size(), PROT_NONE), 0);
    EXPECT_EQ(a.send(frame(mac(2), mac(1))), 1);
    EXPECT_EQ(b.drops(RVIF_DROP_NOT_READY), 1u);
}

} // namespace
} // namespace rvs::test

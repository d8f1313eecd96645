// SPDX-License-Identifier: Apache-2.0
// Each way that a call's frames can take: a source that is frozen at any instruction of it stops
// nobody. Another one makes the same calls to the same receivers, a third port joins and leaves,
// the manager reads on and lets time pass. (The way of frames that are asked something of, one by
// one, with all policies: RvsStepped.FrozenAtAnyInstructionItStopsNobody.)
#include "core.hpp"
#include "net.hpp"
#include "stepped.hpp"

#include <gtest/gtest.h>

namespace rvs::test {
namespace {

struct RvsFrozen : testing::Test {
    // A frame, and what is asked for it.
    struct Sent {
        Bytes bytes;
        std::uint32_t flags = 0;
        std::uint32_t vlan = 0;
    };
    using Burst = std::vector<Sent>;

    static constexpr std::uint32_t other_mac = 30;
    static constexpr std::uint32_t victim_mac = 40;

    // Receiver i has mac(i + 1).
    Guest &receiver(const PortOptions &options = {}, GuestOptions guest = {})
    {
        guest.buffers = 700 * guest.rx_queues;
        guest.depth = 128;
        Guest &g = net.add(options, guest);
        receivers.push_back(&g);
        return g;
    }
    void senders(const PortOptions &options = {})
    {
        as_senders = options;
        other = &net.add(options);
        victim = &net.add(options);
        for (std::uint32_t i = 0; i < receivers.size(); ++i)
            net.introduce(receivers[i]->port(), i + 1);
    }
    static void load(Guest &sender, const Burst &burst)
    {
        std::uint32_t n = 0;
        for (const Sent &s : burst)
            sender.desc(n++, {sender.stage(s.bytes), s.bytes.size(), s.flags, s.vlan});
    }
    // What the receivers got of this sender since the last look, by receiver and queue.
    std::vector<Out> arrived(const Guest &from)
    {
        std::vector<Out> all;
        for (Guest *to : receivers) {
            for (std::uint32_t q = 0; q < to->options().rx_queues; ++q) {
                Out out{to->port(), {}, {}};
                while (to->receive(from.source(), out.frame, q, &out.notes)) {
                    if ((out.notes.flags & RVIF_COMP_VLAN) == 0)
                        out.notes.vlan = 0; // of the frame that was there before
                    all.push_back(out);
                    to->post(from.source(), 1, q);
                }
            }
        }
        return all;
    }

    // burst(n): its frames, from mac(n). look(): after each instruction.
    template <typename Make, typename Look>
    void freeze(Make burst, Look look)
    {
        load(*other, burst(other_mac));
        load(*victim, burst(victim_mac));
        const auto n = static_cast<std::int64_t>(burst(0).size());
        const auto send = [&](Guest &g) { return g.transmit(static_cast<std::uint64_t>(n)); };
        // As it is when nobody is frozen; the second time all that can be known is known.
        for (int i = 0; i < 2; ++i) {
            ASSERT_EQ(send(*other), n);
            of_other = arrived(*other);
            ASSERT_EQ(send(*victim), n);
            of_victim = arrived(*victim);
        }
        ASSERT_EQ(of_other.size(), burst(0).size());
        ASSERT_EQ(of_victim.size(), burst(0).size());

        std::uint32_t steps = 0;
        std::uint32_t inside = 0;
        {
            Stepped call{[&] { send(*victim); }};
            const std::uint64_t top = call.stack();
            for (; call.alive() && !HasFailure(); ++steps) {
                call.step();
                if (call.alive())
                    deepest = std::max(deepest, top - std::min(top, call.stack()));
                look();
                ASSERT_EQ(send(*other), n) << "after " << steps << " instructions";
                ASSERT_EQ(arrived(*other), of_other) << "after " << steps << " instructions";
                if (steps % 16 == 0)
                    visit();
                if (steps % 1024 == 1000) // not so often that addresses are forgotten
                    net.world->tick();
                if (steps % 16 != 0)
                    continue;
                const bool busy = victim->transmit(0) == -RVIF_E_BUSY;
                inside += busy ? 1 : 0;
                ASSERT_EQ(victim->stats().inside, busy ? 1u : 0u);
            }
        }
        EXPECT_GT(steps, 100u) << "it was not stepped";
        EXPECT_GT(inside, 5u) << "it was not inside the call";
        RecordProperty("instructions", static_cast<int>(steps));
        ASSERT_EQ(arrived(*victim), of_victim) << "of the one that was frozen";
    }
    template <typename Make>
    void freeze(Make burst)
    {
        freeze(burst, [] {});
    }
    // Somebody comes, sends to the first receiver, and goes.
    void visit()
    {
        Guest visitor{net.world, 20};
        visitor.join(as_senders);
        receivers[0]->post(visitor.source(), 1);
        const Bytes hello = frame(mac(1), mac(50));
        ASSERT_EQ(visitor.send(hello), 1);
        ASSERT_EQ(receivers[0]->receive_all(visitor.source()), std::vector<Bytes>{hello});
        PortStats stats;
        ASSERT_TRUE(net.world->port_stats(victim->id(), stats));
        visitor.leave();
    }

    // What a call has on its stack that does not go straight to one lane: OpenLanes, at least.
    static constexpr std::uint64_t all_lanes = 16 * sizeof(OpenLane);
    [[nodiscard]] const Journal &journal() const
    {
        return static_cast<const Core &>(*net.world).ports[victim->port()].tx[0].journal;
    }

    Net net;
    std::vector<Guest *> receivers;
    Guest *other = nullptr;
    Guest *victim = nullptr;
    PortOptions as_senders;
    std::vector<Out> of_other;
    std::vector<Out> of_victim;
    std::uint64_t deepest = 0; // on the victim's stack
};

// What `bench switch` measures: bursts of 32 to one known receiver, nothing asked of the ports.
TEST_F(RvsFrozen, RunOfFramesToOneReceiver)
{
    receiver();
    senders();
    bool publishing = false;
    freeze(
        [](std::uint32_t from) {
            Burst burst;
            for (std::uint32_t i = 0; i < 32; ++i)
                burst.push_back({frame(mac(1), mac(from), i % 8 == 7 ? 1518 : 64, i)});
            return burst;
        },
        [&] { publishing = publishing || journal().lane.load() != 0; });
    EXPECT_TRUE(publishing);
    EXPECT_LT(deepest, all_lanes) << "it did not go straight";
}

TEST_F(RvsFrozen, FrameThatIsAloneInItsCall)
{
    receiver();
    senders();
    freeze([](std::uint32_t from) { return Burst{{frame(mac(1), mac(from), 64, 1)}}; });
    EXPECT_LT(deepest, all_lanes) << "it did not go straight";
}

TEST_F(RvsFrozen, FramesToManyReceiversByTurns)
{
    for (int i = 0; i < 3; ++i)
        receiver();
    senders();
    bool planned = false;
    freeze(
        [](std::uint32_t from) {
            Burst burst;
            for (std::uint32_t i = 0; i < 24; ++i)
                burst.push_back({frame(mac(1 + i % 3), mac(from), 64 + i, i)});
            return burst;
        },
        [&] { planned = planned || journal().planned() != 0; });
    EXPECT_TRUE(planned) << "it was not scattered";
    EXPECT_GT(deepest, all_lanes);
}

// Flows to the queues of receivers that spread them, with their hashes.
TEST_F(RvsFrozen, FlowsThatAreSpreadOverQueues)
{
    for (std::uint32_t i = 0; i < 2; ++i) {
        Guest &to = receiver({}, {.rx_queues = 4, .rx_flags = RVIF_RXQ_HASH});
        rvif_rss rss{};
        rss.types = RVIF_RSS_IP | RVIF_RSS_UDP;
        for (std::uint32_t k = 0; k < RVIF_RETA_SIZE; ++k)
            rss.queue[k] = static_cast<std::uint8_t>(k % 4);
        to.put(Guest::rss_at, rss);
        ASSERT_EQ(to.call(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at)), 0);
    }
    senders();
    bool planned = false;
    freeze(
        [](std::uint32_t from) {
            Burst burst;
            for (std::uint32_t i = 0; i < 24; ++i) {
                burst.push_back({packet({.from_port = static_cast<std::uint16_t>(1000 + i / 2),
                                         .to_mac = mac(1 + i % 2),
                                         .from_mac = mac(from)})});
            }
            return burst;
        },
        [&] { planned = planned || journal().planned() != 0; });
    EXPECT_TRUE(planned) << "it was not scattered";
    std::uint32_t hashed = 0;
    for (const Out &out : of_victim)
        hashed += (out.notes.flags & RVIF_COMP_HASH) != 0 ? 1 : 0;
    EXPECT_EQ(hashed, of_victim.size());
}

// A trunk: frames as they are in its native VLAN, and tags that are taken off, told of instead,
// changed and put in, to queues that frames are spread over.
TEST_F(RvsFrozen, FramesThatChangeTheirTags)
{
    const std::uint16_t ten[] = {10};
    PortOptions trunk;
    trunk.trunk = ten;
    trunk.trunk_count = 1;
    trunk.native_vlan = 20;
    PortOptions access;
    access.native_vlan = 10;
    PortOptions native;
    native.native_vlan = 20;
    receiver(native);
    receiver(access);
    Guest &spread = receiver(trunk, {.rx_queues = 2, .rx_flags = RVIF_RXQ_VLAN | RVIF_RXQ_HASH});
    rvif_rss rss{};
    rss.types = RVIF_RSS_TYPES;
    for (std::uint32_t k = 0; k < RVIF_RETA_SIZE; ++k)
        rss.queue[k] = static_cast<std::uint8_t>(k % 2);
    spread.put(Guest::rss_at, rss);
    ASSERT_EQ(spread.call(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at)), 0);
    senders(trunk);
    net.send(spread.port(), frame(broadcast, mac(3)), RVIF_TX_VLAN, 10); // there, too
    freeze([](std::uint32_t from) {
        const auto to = [&](std::uint32_t n) {
            return packet({.from_port = static_cast<std::uint16_t>(n),
                           .to_mac = mac(n),
                           .from_mac = mac(from)});
        };
        Burst burst;
        for (std::uint32_t i = 0; i < 3; ++i)
            burst.push_back({to(1)});
        burst.push_back({tagged(to(2), 10)});
        burst.push_back({to(2), RVIF_TX_VLAN, 10});
        burst.push_back({tagged(to(3), 10)});
        burst.push_back({to(3), RVIF_TX_VLAN, 10});
        burst.push_back({to(3)});
        return burst;
    });
    EXPECT_GT(deepest, all_lanes);
    std::uint32_t told = 0;
    for (const Out &out : of_victim) {
        told += (out.notes.flags & RVIF_COMP_VLAN) != 0 ? 1 : 0;
        EXPECT_NE(get16(out.frame, 12), 0x8100u) << "port " << out.port;
    }
    EXPECT_EQ(told, 2u);
}

} // namespace
} // namespace rvs::test

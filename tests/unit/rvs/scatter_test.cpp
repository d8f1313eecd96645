// SPDX-License-Identifier: Apache-2.0
// Bursts whose destinations change from frame to frame.
#include "packets.hpp"
#include "world.hpp"

#include <gtest/gtest.h>
#include <memory>

namespace rvs::test {
namespace {

using Frames = std::vector<Bytes>;

struct RvsScatter : testing::Test {
    static constexpr std::uint32_t receivers = 6;

    // Port 0 sends; port p has mac(p).
    explicit RvsScatter(const PortOptions &all = {}, const GuestOptions &receiver = {})
    {
        for (std::uint32_t p = 0; p <= receivers; ++p) {
            guests.push_back(std::make_unique<Guest>(world, p, p == 0 ? GuestOptions{} : receiver));
            guests[p]->join(all);
        }
        for (std::uint32_t p = 1; p <= receivers; ++p)
            EXPECT_EQ(guests[p]->send(frame(broadcast, mac(p))), 1);
        post(64);
    }
    Guest &sender() { return *guests[0]; }
    Guest &at(std::uint32_t port) { return *guests[port]; }
    void post(std::uint32_t n)
    {
        for (std::uint32_t p = 1; p <= receivers; ++p)
            at(p).post(sender().source(), n);
    }
    // Frame i goes to port 1 + i % receivers.
    static Frames by_turns(std::uint32_t n, std::uint32_t size = 64)
    {
        Frames frames;
        for (std::uint32_t i = 0; i < n; ++i)
            frames.push_back(frame(mac(1 + i % receivers), mac(10), size + i % 40, i));
        return frames;
    }
    void expect_by_turns(const Frames &frames, const std::vector<std::uint32_t> &left_out = {})
    {
        for (std::uint32_t p = 1; p <= receivers; ++p) {
            Frames expected;
            for (std::uint32_t i = p - 1; i < frames.size(); i += receivers) {
                if (std::find(left_out.begin(), left_out.end(), i) == left_out.end())
                    expected.push_back(frames[i]);
            }
            EXPECT_EQ(at(p).receive_all(sender().source()), expected) << "port " << p;
        }
    }

    World world;
    std::vector<std::unique_ptr<Guest>> guests;
};

TEST_F(RvsScatter, EachFrameArrivesOnceInOrderAndIsCounted)
{
    const std::uint32_t sizes[] = {17, 64, 200, 1500};
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    for (int round = 0; round < 5; ++round) {
        for (const std::uint32_t size : sizes) {
            const Frames burst = by_turns(100, size);
            ASSERT_EQ(sender().send(burst), 100);
            expect_by_turns(burst);
            post(64);
            frames += burst.size();
            for (const Bytes &f : burst)
                bytes += f.size();
        }
    }
    const PortStats sent = sender().stats();
    EXPECT_EQ(sent.frames.tx_frames, frames);
    EXPECT_EQ(sent.frames.tx_bytes, bytes);
    EXPECT_EQ(sent.copies, frames);
    std::uint64_t got = 0;
    std::uint64_t got_bytes = 0;
    for (std::uint32_t p = 1; p <= receivers; ++p) {
        got += at(p).stats().frames.rx_frames;
        got_bytes += at(p).stats().frames.rx_bytes;
    }
    constexpr std::uint64_t announced = receivers * (receivers - 1);
    EXPECT_EQ(
        got +
            [&] {
                std::uint64_t dropped = 0;
                for (std::uint32_t p = 1; p <= receivers; ++p)
                    dropped += at(p).drops(RVIF_DROP_NO_BUFFER);
                return dropped;
            }(),
        frames + announced);
    EXPECT_EQ(got_bytes, bytes);
}

TEST_F(RvsScatter, OtherFramesAmongThemKeepTheirPlace)
{
    // A chain, a broadcast, a frame to nobody known, one back to the sender, a run.
    Guest &s = sender();
    ASSERT_EQ(s.send(frame(broadcast, mac(20))), 1); // mac(20) is at the sender's
    for (std::uint32_t p = 1; p <= receivers; ++p)
        at(p).receive_all(s.source());
    for (int round = 0; round < 3; ++round) {
        std::uint32_t n = 0;
        Frames to_one;
        std::uint32_t to_two = 0;
        const auto add = [&](const Bytes &f) { s.desc(n++, {s.stage(f), f.size()}); };
        const auto both = [&](std::uint32_t seed) {
            to_one.push_back(frame(mac(1), mac(10), 70, seed));
            add(to_one.back());
            add(frame(mac(2), mac(10), 71, seed));
            ++to_two;
        };
        both(1);
        both(2);
        to_one.push_back(frame(broadcast, mac(10), 80, 3));
        add(to_one.back());
        ++to_two;
        both(4);
        const Bytes whole = frame(mac(1), mac(10), 150, 5);
        const rvif_addr_t staged = s.stage(whole);
        s.desc(n++, {staged, 100, RVIF_TX_MORE});
        s.desc(n++, {staged + 100, 50});
        to_one.push_back(whole);
        both(6);
        add(frame(mac(20), mac(10), 90, 7));
        both(8);
        for (std::uint32_t i = 0; i < 5; ++i) {
            to_one.push_back(frame(mac(1), mac(10), 100, 9 + i));
            add(to_one.back());
        }
        both(20);
        const std::uint64_t same = s.drops(RVIF_DROP_SAME_PORT);
        ASSERT_EQ(s.transmit(n), n);
        EXPECT_EQ(at(1).receive_all(s.source()), to_one) << round;
        EXPECT_EQ(at(2).receive_all(s.source()).size(), to_two) << round;
        EXPECT_EQ(s.drops(RVIF_DROP_SAME_PORT), same + 1);
        post(64);
    }
}

TEST_F(RvsScatter, ReceiverWithoutBuffersLosesItsOwnFramesOnly)
{
    // Port 3 takes its 64 and posts no more.
    const Frames burst = by_turns(240);
    std::uint32_t delivered = 0;
    for (int round = 0; round < 3; ++round) {
        ASSERT_EQ(sender().send(burst), 240);
        for (std::uint32_t p = 1; p <= receivers; ++p) {
            const std::size_t got = at(p).receive_all(sender().source()).size();
            if (p == 3)
                delivered += static_cast<std::uint32_t>(got);
            else
                EXPECT_EQ(got, 40u);
        }
        for (std::uint32_t p = 1; p <= receivers; ++p) {
            if (p != 3)
                at(p).post(sender().source(), 64);
        }
    }
    EXPECT_EQ(delivered, 64u);
    EXPECT_EQ(at(3).drops(RVIF_DROP_NO_BUFFER), 120u - 64 + receivers - 1);
}

TEST_F(RvsScatter, PostedBufferOutsideTheRegionIsCountedAndNotWritten)
{
    ASSERT_EQ(sender().send(by_turns(24)), 24);
    expect_by_turns(by_turns(24));
    // Lane entry 4 of port 2 is the next it fills.
    const auto last = static_cast<std::uint32_t>(at(2).memory().size() / RVIF_BUF_UNIT);
    for (const std::uint32_t unit : {last, last - 1, RVIF_POSTED_MASK}) {
        at(2).post_raw(sender().source(), 4, unit);
        const Bytes before = at(2).memory().snapshot();
        const std::uint64_t bad = at(2).drops(RVIF_DROP_RX_BAD_BUFFER);
        ASSERT_EQ(sender().send(by_turns(3)), 3);
        EXPECT_EQ(at(2).drops(RVIF_DROP_RX_BAD_BUFFER), bad + 1) << unit;
        EXPECT_EQ(at(2).memory().snapshot(), before) << unit;
        EXPECT_EQ(at(1).receive_all(sender().source()).size(), 1u);
        EXPECT_EQ(at(3).receive_all(sender().source()).size(), 1u);
    }
}

TEST_F(RvsScatter, DescriptorsThatLieAreRejectedAmongGoodOnes)
{
    struct Case {
        Desc desc;
        rvif_drop reason;
    };
    const std::uint64_t len = sender().memory().size();
    const Case cases[] = {
        {{RVIF_ADDR(1ull, 0x20000), 64}, RVIF_DROP_BAD_REGION},
        {{RVIF_ADDR(0xffull, 0x20000), 64}, RVIF_DROP_BAD_REGION},
        {{RVIF_ADDR(0ull, len - 63), 64}, RVIF_DROP_BAD_RANGE},
        {{RVIF_ADDR(0ull, len), 64}, RVIF_DROP_BAD_RANGE},
        {{RVIF_ADDR(0ull, 0x00ffffffffffffff), 64}, RVIF_DROP_BAD_RANGE},
        {{RVIF_ADDR(0ull, 0x20000), 0}, RVIF_DROP_ZERO_LENGTH},
        {{RVIF_ADDR(0ull, 0x20000), 64, 0x8000}, RVIF_DROP_BAD_FLAGS},
        {{RVIF_ADDR(0ull, 0x20000), 13}, RVIF_DROP_SHORT},
    };
    for (const Case &c : cases) {
        const Frames good = by_turns(12);
        for (std::uint32_t i = 0; i < 12; ++i) {
            const std::uint32_t place = i < 7 ? i : i + 1;
            sender().desc(place, {sender().stage(good[i]), good[i].size()});
        }
        sender().desc(7, c.desc);
        const std::uint64_t before = sender().drops(c.reason);
        ASSERT_EQ(sender().transmit(13), 13);
        EXPECT_EQ(sender().drops(c.reason), before + 1);
        expect_by_turns(good);
        post(64);
    }
}

TEST_F(RvsScatter, FrameAtTheVeryEndOfTheRegionIsTaken)
{
    Frames good = by_turns(12);
    for (std::uint32_t i = 0; i < 12; ++i)
        sender().desc(i, {sender().stage(good[i]), good[i].size()});
    const std::uint64_t at_end = sender().memory().size() - good[5].size();
    std::memcpy(sender().memory().data() + at_end, good[5].data(), good[5].size());
    sender().desc(5, {RVIF_ADDR(0ull, at_end), good[5].size()});
    ASSERT_EQ(sender().transmit(12), 12);
    expect_by_turns(good);
}

// The first frame of a call, when no region is known yet.
TEST_F(RvsScatter, FirstFrameAtTheStartOfARegion)
{
    Frames good = by_turns(12);
    ASSERT_EQ(sender().send(good), 12); // from now on it knows that they scatter
    expect_by_turns(good);
    for (std::uint32_t i = 0; i < 12; ++i)
        sender().desc(i, {sender().stage(good[i]), good[i].size()});
    std::memcpy(sender().memory().data(), good[0].data(), good[0].size());
    sender().desc(0, {RVIF_ADDR(0ull, 0), good[0].size()});
    ASSERT_EQ(sender().transmit(12), 12);
    expect_by_turns(good);
    // A small region: the frame is longer.
    Memory page{4096};
    ASSERT_EQ(world->region_add(sender().id(), 3, page.base(), 4096), Error::none);
    const Bytes f = frame(mac(1), mac(10), 64);
    std::memcpy(page.data(), f.data(), f.size());
    sender().desc(0, {RVIF_ADDR(3ull, 0), 4097});
    sender().desc(1, {sender().stage(good[1]), good[1].size()});
    ASSERT_EQ(sender().transmit(2), 2);
    EXPECT_EQ(sender().drops(RVIF_DROP_BAD_RANGE), 1u);
    EXPECT_TRUE(at(1).receive_all(sender().source()).empty());
}

TEST_F(RvsScatter, SourcesAreLearnedAndChecked)
{
    Frames frames;
    for (std::uint32_t i = 0; i < 24; ++i)
        frames.push_back(frame(mac(1 + i % receivers), mac(30 + i), 64, i));
    frames[5] = frame(mac(6), broadcast, 64, 5);
    frames[8] = frame(mac(3), {0, 0, 0, 0, 0, 0}, 64, 8);
    ASSERT_EQ(sender().send(frames), 24);
    expect_by_turns(frames, {5, 8});
    EXPECT_EQ(sender().drops(RVIF_DROP_BAD_SOURCE_MAC), 2u);
    at(1).receive_all(at(2).source());
    ASSERT_EQ(at(1).send(frame(mac(47), mac(1))), 1);
    EXPECT_EQ(at(1).stats().flooded, 1u) << "the sender's address is known";
}

TEST_F(RvsScatter, MovedDownAndStoppedReceivers)
{
    const Frames burst = by_turns(24);
    ASSERT_EQ(sender().send(burst), 24);
    expect_by_turns(burst);
    ASSERT_EQ(world->port_link(PortId{2}, false), Error::none);
    ASSERT_EQ(sender().send(burst), 24);
    EXPECT_EQ(sender().drops(RVIF_DROP_NO_DESTINATION), 4u);
    ASSERT_EQ(world->port_link(PortId{2}, true), Error::none);
    ASSERT_EQ(at(3).call(RVIF_OP_STOP), 0);
    const std::uint64_t before = at(3).drops(RVIF_DROP_NOT_READY);
    ASSERT_EQ(sender().send(burst), 24);
    EXPECT_EQ(at(3).drops(RVIF_DROP_NOT_READY), before + 4);
    at(4).leave(); // its addresses go with it, and its frames to all
    ASSERT_EQ(sender().send(burst), 24);
    EXPECT_EQ(at(1).receive_all(sender().source()).size(), 4u * 3 + 4);
}

struct RvsScatterSpoof : RvsScatter {
    RvsScatterSpoof() : RvsScatter{options()} {}
    static PortOptions options()
    {
        PortOptions o;
        o.own_macs_only = true;
        for (std::uint32_t i = 0; i < 6; ++i)
            o.macs[i] = number(mac(1 + i));
        o.macs[6] = number(mac(10));
        return o;
    }
    static std::uint64_t number(const std::array<std::uint8_t, 6> &mac)
    {
        std::uint64_t n = 0;
        std::memcpy(&n, mac.data(), 6);
        return n;
    }
};

TEST_F(RvsScatterSpoof, ForeignSourcesAreDropped)
{
    Frames frames = by_turns(24);
    frames[7] = frame(mac(2), mac(11), 64, 7);
    frames[20] = frame(mac(3), mac(12), 64, 20);
    ASSERT_EQ(sender().send(frames), 24);
    expect_by_turns(frames, {7, 20});
    EXPECT_EQ(sender().drops(RVIF_DROP_SPOOFED), 2u);
}

struct RvsScatterVlan : RvsScatter {
    RvsScatterVlan() : RvsScatter{options()} {}
    static PortOptions options()
    {
        PortOptions o;
        o.native_vlan = 7;
        return o;
    }
};

TEST_F(RvsScatterVlan, AccessPortsOfOneVlan)
{
    Frames frames = by_turns(24);
    ASSERT_EQ(sender().send(frames), 24);
    expect_by_turns(frames);
    // A tag of another VLAN is not let in.
    frames[9][12] = 0x81;
    frames[9][13] = 0x00;
    frames[9][14] = 0;
    frames[9][15] = 9;
    ASSERT_EQ(sender().send(frames), 24);
    expect_by_turns(frames, {9});
    EXPECT_EQ(sender().drops(RVIF_DROP_VLAN_INGRESS), 1u);
    // Nor is its sender learned in this one.
    post(64);
    ASSERT_EQ(sender().send(by_turns(6)), 6);
    Bytes tagged = frames[9];
    tagged[11] = 99;
    ASSERT_EQ(sender().send(Frames{frames[0], tagged, frames[1]}), 3);
    FdbEntry entries[64];
    std::size_t cursor = 0;
    for (std::size_t n = world->fdb_read(cursor, entries, 64); n != 0;
         n = world->fdb_read(cursor, entries, 64)) {
        for (std::size_t i = 0; i < n; ++i)
            EXPECT_NE(entries[i].mac >> 40, 99u);
    }
}

struct RvsScatterSpread : RvsScatter {
    static constexpr std::uint32_t queues = 4;
    RvsScatterSpread()
        : RvsScatter{{}, {.rx_queues = queues, .buffers = 300, .rx_flags = RVIF_RXQ_HASH}}
    {
        for (std::uint32_t p = 1; p <= receivers; ++p) {
            rvif_rss setup{RVIF_RSS_TYPES, 0, {}};
            for (std::uint32_t i = 0; i < RVIF_RETA_SIZE; ++i)
                setup.queue[i] = static_cast<std::uint8_t>(i % queues);
            at(p).put(Guest::rss_at, setup);
            EXPECT_EQ(at(p).call(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at)), 0);
            for (std::uint32_t q = 0; q < queues; ++q)
                at(p).post(sender().source(), 64, q);
        }
    }
};

TEST_F(RvsScatterSpread, FlowsKeepTheirQueueAndTheirHash)
{
    // The same frames, whole and as chains, which take the other way.
    std::vector<Bytes> frames;
    for (std::uint32_t i = 0; i < 60; ++i) {
        frames.push_back(packet({.v6 = i % 5 == 4,
                                 .tcp = i % 2 == 0,
                                 .options = i % 7 == 3 ? 8u : 0u,
                                 .payload = 20 + i % 3,
                                 .from = 1 + i % 9,
                                 .from_port = static_cast<std::uint16_t>(1000 + i % 11),
                                 .to_mac = mac(1 + i % receivers),
                                 .from_mac = mac(10)}));
    }
    using Seen = std::map<std::pair<std::uint32_t, std::uint32_t>,
                          std::vector<std::pair<Bytes, std::uint32_t>>>;
    const auto collect = [&] {
        Seen seen;
        for (std::uint32_t p = 1; p <= receivers; ++p) {
            for (std::uint32_t q = 0; q < queues; ++q) {
                Received notes;
                for (Bytes f; at(p).receive(sender().source(), f, q, &notes);) {
                    EXPECT_EQ(notes.flags, RVIF_COMP_HASH);
                    EXPECT_EQ(notes.hash % RVIF_RETA_SIZE % queues, q);
                    seen[{p, q}].emplace_back(f, notes.hash);
                }
                at(p).post(sender().source(), 64, q);
            }
        }
        return seen;
    };
    ASSERT_EQ(sender().send(frames), 60);
    const Seen whole = collect();
    std::uint32_t n = 0;
    for (const Bytes &f : frames) {
        const rvif_addr_t staged = sender().stage(f);
        sender().desc(n++, {staged, 30, RVIF_TX_MORE});
        sender().desc(n++, {staged + 30, f.size() - 30});
    }
    ASSERT_EQ(sender().transmit(n), n);
    EXPECT_EQ(collect(), whole);
    std::size_t total = 0;
    for (const auto &[where, what] : whole)
        total += what.size();
    EXPECT_EQ(total, 60u);
    EXPECT_GT(whole.size(), 12u) << "they were not spread";
}

} // namespace
} // namespace rvs::test

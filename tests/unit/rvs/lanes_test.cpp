// SPDX-License-Identifier: Apache-2.0
// Lanes, buffers and chains.
#include "world.hpp"

#include <gtest/gtest.h>

namespace rvs::test {
namespace {

using Frames = std::vector<Bytes>;

struct Pair {
    explicit Pair(GuestOptions to = {}, GuestOptions from = {})
        : sender{world, 0, from}, receiver{world, 1, to}
    {
        sender.join();
        receiver.join();
    }
    std::uint32_t post(std::uint32_t n) { return receiver.post(sender.source(), n); }
    Frames take() { return receiver.receive_all(sender.source()); }

    World world;
    Guest sender;
    Guest receiver;
};

TEST(RvsLanes, FrameWithoutAPostedBufferIsDroppedAndCountedAtTheReceiver)
{
    Pair p;
    EXPECT_EQ(p.sender.send(frame(mac(2), mac(1))), 1);
    EXPECT_EQ(p.receiver.drops(RVIF_DROP_NO_BUFFER), 1u);
    EXPECT_EQ(p.receiver.stats().frames.rx_frames, 0u);
    EXPECT_TRUE(p.take().empty());
}

TEST(RvsLanes, WhenBuffersRunOutTheFirstFramesArriveAndTheRestIsCounted)
{
    Pair p;
    p.post(5);
    Frames burst;
    for (std::uint32_t i = 0; i < 8; ++i)
        burst.push_back(frame(mac(2), mac(1), 64, i));
    EXPECT_EQ(p.sender.send(burst), 8);
    burst.resize(5);
    EXPECT_EQ(p.take(), burst);
    EXPECT_EQ(p.receiver.drops(RVIF_DROP_NO_BUFFER), 3u);
    EXPECT_EQ(p.receiver.stats().frames.rx_frames, 5u);
}

// Against a model: two free-running counts and a queue of frames.
class LaneRounds : public testing::TestWithParam<std::uint32_t> {};

TEST_P(LaneRounds, FollowTheModelOverManyWraps)
{
    GuestOptions to;
    to.depth = GetParam();
    to.buf_len = 256;
    to.buffers = GetParam() + 32;
    Pair p{to};
    Random random{GetParam()};
    std::deque<Bytes> model; // delivered, not yet taken
    std::uint64_t room = 0;  // posted, not yet filled
    std::uint64_t delivered = 0;
    std::uint64_t dropped = 0;
    std::uint32_t seed = 0;
    for (std::uint32_t round = 0; delivered < 20ull * GetParam(); ++round) {
        // A full lane now and then, else too little.
        room += p.post(round % 64 == 0 ? GetParam() : random() % 90);
        Frames burst;
        for (std::uint32_t n = random() % 80; n != 0; --n) {
            burst.push_back(frame(mac(2), mac(1), 14 + random() % 900, ++seed));
            const std::uint64_t need = (burst.back().size() + 255) / 256;
            if (need <= room) {
                room -= need;
                ++delivered;
                model.push_back(burst.back());
            } else {
                ++dropped;
            }
        }
        ASSERT_EQ(p.sender.send(burst), static_cast<std::int64_t>(burst.size()));
        for (std::uint32_t n = random() % 100; n != 0 && !model.empty(); --n) {
            Bytes got;
            ASSERT_TRUE(p.receiver.receive(p.sender.source(), got));
            ASSERT_EQ(got, model.front());
            model.pop_front();
        }
        if (model.empty()) {
            Bytes got;
            ASSERT_FALSE(p.receiver.receive(p.sender.source(), got));
        }
    }
    EXPECT_EQ(p.receiver.stats().frames.rx_frames, delivered);
    EXPECT_EQ(p.receiver.drops(RVIF_DROP_NO_BUFFER), dropped);
    EXPECT_GT(dropped, 0u) << "the test did not come to the end of the buffers";
}

INSTANTIATE_TEST_SUITE_P(RvsLanes, LaneRounds, testing::Values(64, 128, 512, 4096));

TEST(RvsLanes, AWholeLaneOfFramesInOneBurst)
{
    GuestOptions to;
    to.depth = 256;
    to.buffers = 300;
    Pair p{to};
    for (int round = 0; round < 5; ++round) {
        EXPECT_EQ(p.post(256), 256u);
        Frames burst;
        for (std::uint32_t i = 0; i < 256; ++i)
            burst.push_back(frame(mac(2), mac(1), 70, i));
        EXPECT_EQ(p.sender.send(burst), 256);
        EXPECT_EQ(p.take(), burst);
    }
}

TEST(RvsLanes, FrameOfManySegmentsArrivesWhole)
{
    Pair p;
    const Bytes f = frame(mac(2), mac(1), 1000);
    const std::vector<std::vector<std::uint32_t>> cuts{
        {500, 500},
        {14, 986},
        {1, 999},
        {6, 6, 2, 986},
        {999, 1},
        {16, 984},
        {15, 1, 984},
        {100, 200, 300, 400},
        {1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 1, 983}};
    for (const auto &cut : cuts) {
        p.post(1);
        EXPECT_EQ(p.sender.send_chain(f, cut), static_cast<std::int64_t>(cut.size()));
        EXPECT_EQ(p.take(), Frames{f}) << cut.size() << " segments, first " << cut[0];
    }
}

TEST(RvsLanes, ChainOfAWholeBurst)
{
    Pair p;
    const Bytes f = frame(mac(2), mac(1), 256);
    p.post(1);
    EXPECT_EQ(p.sender.send_chain(f, std::vector<std::uint32_t>(256, 1)), 256);
    EXPECT_EQ(p.take(), Frames{f});
}

TEST(RvsLanes, ChainsAndSingleFramesMixInOneBurst)
{
    Pair p;
    p.post(3);
    const Bytes a = frame(mac(2), mac(1), 100, 1);
    const Bytes b = frame(mac(2), mac(1), 300, 2);
    const Bytes c = frame(mac(2), mac(1), 64, 3);
    p.sender.desc(0, {p.sender.stage(a), 100, 0});
    p.sender.desc(1, {p.sender.stage(Bytes(b.begin(), b.begin() + 50)), 50, RVIF_TX_MORE});
    p.sender.desc(2, {p.sender.stage(Bytes(b.begin() + 50, b.end())), 250, 0});
    p.sender.desc(3, {p.sender.stage(c), 64, 0});
    EXPECT_EQ(p.sender.transmit(4), 4);
    EXPECT_EQ(p.take(), (Frames{a, b, c}));
}

TEST(RvsLanes, JumboFramesFillSeveralBuffers)
{
    for (const std::uint32_t buf_len : {1024u, 2048u, 9000u}) {
        GuestOptions to;
        to.buf_len = buf_len;
        to.buffers = 64;
        Pair p{to};
        for (const std::size_t size :
             {std::size_t{buf_len}, std::size_t{buf_len} + 1, std::size_t{buf_len} * 2,
              std::size_t{9018}, std::size_t{65535}}) {
            p.post(64);
            const Bytes f = frame(mac(2), mac(1), size);
            EXPECT_EQ(p.sender.send(f), 1);
            EXPECT_EQ(p.take(), Frames{f}) << size << " bytes in buffers of " << buf_len;
        }
    }
}

TEST(RvsLanes, ChainThatEndsFarInOneLargeBuffer)
{
    GuestOptions to;
    to.buf_len = 65535;
    to.buffers = 64;
    Pair p{to};
    p.post(2);
    const Bytes f = frame(mac(2), mac(1), 65535);
    EXPECT_EQ(p.sender.send_chain(f, {30000, 30000, 5535}), 3);
    EXPECT_EQ(p.take(), Frames{f});
}

TEST(RvsLanes, JumboFrameThatDoesNotFitTheBatchIsPublishedWithTheNext)
{
    GuestOptions to;
    to.buf_len = 512;
    to.depth = 128;
    Pair p{to};
    for (std::uint32_t before = 55; before < 70; ++before) {
        p.post(128);
        Frames sent;
        for (std::uint32_t i = 0; i < before; ++i)
            sent.push_back(frame(mac(2), mac(1), 64, i));
        sent.push_back(frame(mac(2), mac(1), 512 * 9, 100));
        sent.push_back(frame(mac(2), mac(1), 70, 101));
        EXPECT_EQ(p.sender.send(sent), static_cast<std::int64_t>(sent.size()));
        EXPECT_EQ(p.take(), sent) << before << " frames before";
    }
}

TEST(RvsLanes, JumboFrameIsNotBegunWithoutAllItsBuffers)
{
    GuestOptions to;
    to.buf_len = 1000;
    Pair p{to};
    p.post(3);
    const Bytes big = frame(mac(2), mac(1), 3001);
    const Bytes fits = frame(mac(2), mac(1), 3000);
    EXPECT_EQ(p.sender.send({big, fits}), 2);
    EXPECT_EQ(p.receiver.drops(RVIF_DROP_NO_BUFFER), 1u);
    EXPECT_EQ(p.take(), Frames{fits});
}

TEST(RvsLanes, FrameThatNeedsMoreBuffersThanAFrameMayHaveIsTooBig)
{
    GuestOptions to;
    to.buf_len = 64;
    to.depth = 128;
    Pair p{to};
    p.post(128);
    EXPECT_EQ(p.sender.send(frame(mac(2), mac(1), 64 * 64 + 1)), 1);
    EXPECT_EQ(p.receiver.drops(RVIF_DROP_RX_TOO_BIG), 1u);
    const Bytes f = frame(mac(2), mac(1), 64 * 64);
    EXPECT_EQ(p.sender.send(f), 1);
    EXPECT_EQ(p.take(), Frames{f});
}

TEST(RvsLanes, ACallStopsEarlyRatherThanCopyForever)
{
    GuestOptions to;
    to.buf_len = 65535;
    to.depth = 128;
    to.buffers = 128;
    Pair p{to};
    p.post(128);
    const Bytes f = frame(mac(2), mac(1), 65535);
    const rvif_addr_t at = p.sender.stage(f);
    for (std::uint32_t i = 0; i < 100; ++i)
        p.sender.desc(i, {at, 65535, 0});
    const std::int64_t sent = p.sender.transmit(100);
    EXPECT_GE(sent, 1);
    EXPECT_LT(sent, 100);
    EXPECT_EQ(p.take().size(), static_cast<std::size_t>(sent));
    EXPECT_EQ(p.sender.transmit(1), 1); // the next call goes on
}

TEST(RvsLanes, LaneGoesOnWhereItStoodWhenItsSourceGetsANewOwner)
{
    World world;
    Guest receiver{world, 1};
    receiver.join();
    std::uint32_t seed = 0;
    for (std::uint32_t owner = 2; owner < 30; ++owner) {
        Guest sender{world, owner};
        sender.join();
        ASSERT_EQ(sender.source(), 1) << "the freed source is given out again";
        receiver.post(sender.source(), 5);
        Frames sent;
        for (int i = 0; i < 5; ++i)
            sent.push_back(frame(mac(1000), mac(owner), 64, ++seed));
        EXPECT_EQ(sender.send(sent), 5);
        EXPECT_EQ(receiver.receive_all(sender.source()), sent);
        sender.leave();
    }
}

// A caller killed inside publish(), and then the next owner of its source.
struct Killed {
    const char *what;
    std::vector<std::uint32_t> stored; // entries of the lane that it had stored, from 3 on
    std::uint32_t next;                // where the next frame must go
};

class KilledPublisher : public testing::TestWithParam<Killed> {};

TEST_P(KilledPublisher, LeavesALaneThatTheNextOwnerCanUse)
{
    World world;
    Guest receiver{world, 1};
    receiver.join();
    Guest victim{world, 2};
    victim.join();
    const std::int64_t source = victim.source();
    receiver.post(source, 20);
    for (std::uint32_t i = 0; i < 3; ++i)
        EXPECT_EQ(victim.send(frame(mac(2), mac(1), 64, i)), 1);
    EXPECT_EQ(receiver.receive_all(source).size(), 3u);
    for (const std::uint32_t i : GetParam().stored)
        receiver.set_comp(source, i, receiver.phase(i) | 60);
    victim.leave();

    Guest heir{world, 3};
    heir.join();
    ASSERT_EQ(heir.source(), source);
    const Bytes f = frame(mac(2), mac(1), 77, 9);
    EXPECT_EQ(heir.send(f), 1);
    EXPECT_EQ(receiver.comp(source, GetParam().next), receiver.phase(GetParam().next) | 77u);
    EXPECT_NE(receiver.comp(source, GetParam().next + 1) & RVIF_PHASE,
              receiver.phase(GetParam().next + 1));
    const Frames got = receiver.receive_all(source);
    ASSERT_EQ(got.size(), GetParam().next - 3 + 1);
    EXPECT_EQ(got.back(), f);
}

INSTANTIATE_TEST_SUITE_P(RvsLanes, KilledPublisher,
                         testing::Values(Killed{"NothingStored", {}, 3},
                                         Killed{"OnlyTheLastStored", {7}, 3},
                                         Killed{"AllButTheFirstStored", {4, 5, 6, 7}, 3},
                                         Killed{"AllStoredButNotNoted", {3, 4, 5, 6, 7}, 8},
                                         Killed{"OneStoredButNotNoted", {3}, 4}),
                         [](const auto &tested) { return tested.param.what; });

} // namespace
} // namespace rvs::test

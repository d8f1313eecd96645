// SPDX-License-Identifier: Apache-2.0
// What an L2 switch does with a frame.
#include "world.hpp"

#include <gtest/gtest.h>
#include <memory>

namespace rvs::test {
namespace {

// A switch with n joined guests at ports 0, 1, ...; guest i has mac(i + 1), and every guest has
// posted 32 buffers for every other.
class Lan {
  public:
    explicit Lan(std::uint32_t n, GuestOptions options = {.buffers = 400})
    {
        for (std::uint32_t i = 0; i < n; ++i) {
            guests_.push_back(std::make_unique<Guest>(world, i, options));
            guests_.back()->join();
        }
        for (auto &to : guests_) {
            for (auto &from : guests_) {
                if (to != from)
                    to->post(from->source(), 32);
            }
        }
    }
    Guest &operator[](std::size_t i) { return *guests_[i]; }
    [[nodiscard]] std::vector<Bytes> at(std::size_t to, std::size_t from)
    {
        return guests_[to]->receive_all(guests_[from]->source());
    }
    // So that the switch knows where mac(i + 1) is; the flood is taken away.
    void introduce(std::size_t i)
    {
        ASSERT_EQ(guests_[i]->send(frame(broadcast, mac(static_cast<std::uint32_t>(i) + 1))), 1);
        for (std::size_t to = 0; to < guests_.size(); ++to) {
            if (to != i) {
                EXPECT_EQ(at(to, i).size(), 1u);
            }
        }
    }

    World world;

  private:
    std::vector<std::unique_ptr<Guest>> guests_;
};

using Frames = std::vector<Bytes>;

TEST(Rvs, UnknownUnicastIsFloodedToEveryOtherPort)
{
    Lan lan{4};
    const Bytes f = frame(mac(99), mac(1), 100);
    EXPECT_EQ(lan[0].send(f), 1);
    for (std::size_t i = 1; i < 4; ++i)
        EXPECT_EQ(lan.at(i, 0), Frames{f}) << "port " << i;
    EXPECT_EQ(lan[0].stats().flooded, 1u);
    EXPECT_EQ(lan[0].stats().copies, 3u);
}

TEST(Rvs, LearnedUnicastGoesToItsPortOnly)
{
    Lan lan{3};
    lan.introduce(1);
    const Bytes f = frame(mac(2), mac(1), 300);
    EXPECT_EQ(lan[0].send(f), 1);
    EXPECT_EQ(lan.at(1, 0), Frames{f});
    EXPECT_TRUE(lan.at(2, 0).empty());
}

TEST(Rvs, BroadcastReachesEveryOtherPort)
{
    Lan lan{3};
    const Bytes f = frame(broadcast, mac(1));
    EXPECT_EQ(lan[0].send(f), 1);
    EXPECT_EQ(lan.at(1, 0), Frames{f});
    EXPECT_EQ(lan.at(2, 0), Frames{f});
}

TEST(Rvs, MulticastReachesEveryOtherPort)
{
    Lan lan{3};
    const Bytes f = frame(multicast, mac(1));
    EXPECT_EQ(lan[0].send(f), 1);
    EXPECT_EQ(lan.at(1, 0), Frames{f});
    EXPECT_EQ(lan.at(2, 0), Frames{f});
}

TEST(Rvs, FloodReachesEachOfAllPorts)
{
    GuestOptions options;
    options.buffers = 64;
    Lan lan{RVIF_MAX_PORTS, options};
    for (std::size_t i = 1; i < RVIF_MAX_PORTS; ++i)
        (void)lan.at(i, 0);
    const Bytes f = frame(broadcast, mac(1), 200);
    for (std::size_t i = 1; i < RVIF_MAX_PORTS; ++i)
        lan[i].post(lan[0].source(), 1);
    EXPECT_EQ(lan[0].send(f), 1);
    for (std::size_t i = 1; i < RVIF_MAX_PORTS; ++i)
        EXPECT_EQ(lan.at(i, 0), Frames{f}) << "port " << i;
}

TEST(Rvs, FrameToItsOwnPortIsDropped)
{
    Lan lan{2};
    lan.introduce(0);
    EXPECT_EQ(lan[0].send(frame(mac(1), mac(1))), 1);
    EXPECT_EQ(lan[0].drops(RVIF_DROP_SAME_PORT), 1u);
    EXPECT_TRUE(lan.at(1, 0).empty());
}

TEST(Rvs, AloneOnTheSwitchAFrameHasNoDestination)
{
    Lan lan{1};
    EXPECT_EQ(lan[0].send(frame(mac(2), mac(1))), 1);
    EXPECT_EQ(lan[0].drops(RVIF_DROP_NO_DESTINATION), 1u);
    EXPECT_EQ(lan[0].stats().frames.tx_frames, 1u);
}

TEST(Rvs, GroupAndZeroSourceAddressesAreDroppedAndNotLearned)
{
    Lan lan{3};
    EXPECT_EQ(lan[0].send({frame(mac(2), broadcast), frame(mac(2), multicast), frame(mac(2), {})}),
              3);
    EXPECT_EQ(lan[0].drops(RVIF_DROP_BAD_SOURCE_MAC), 3u);
    // A captured broadcast address would send this to port 0.
    const Bytes f = frame(broadcast, mac(2));
    EXPECT_EQ(lan[1].send(f), 1);
    EXPECT_EQ(lan.at(0, 1), Frames{f});
    EXPECT_EQ(lan.at(2, 1), Frames{f});
}

TEST(Rvs, HostThatMovesIsFollowed)
{
    Lan lan{3};
    lan.introduce(1);
    EXPECT_EQ(lan[2].send(frame(broadcast, mac(2))), 1); // mac(2) is at port 2 now
    (void)lan.at(0, 2);
    (void)lan.at(1, 2);
    const Bytes f = frame(mac(2), mac(1));
    EXPECT_EQ(lan[0].send(f), 1);
    EXPECT_TRUE(lan.at(1, 0).empty());
    EXPECT_EQ(lan.at(2, 0), Frames{f});
}

TEST(Rvs, PinnedMacCannotBeTakenByAnotherPort)
{
    World world;
    GuestOptions options;
    options.mac = word(mac(7));
    Guest owner{world, 0, options};
    Guest thief{world, 1};
    Guest peer{world, 2};
    for (Guest *g : {&owner, &thief, &peer})
        g->join();
    owner.post(peer.source(), 4);
    thief.post(peer.source(), 4);

    EXPECT_EQ(thief.send(frame(broadcast, mac(7))), 1);
    EXPECT_EQ(thief.drops(RVIF_DROP_BAD_SOURCE_MAC), 1u);
    EXPECT_EQ(thief.call(RVIF_OP_SET_MAC, word(mac(7))), -RVIF_E_STATE);
    EXPECT_EQ(owner.call(RVIF_OP_SET_MAC, word(mac(8))), -RVIF_E_STATE);
    EXPECT_EQ(owner.call(RVIF_OP_SET_MAC, word(mac(7))), 0);
    EXPECT_EQ(owner.call(RVIF_OP_MAC), static_cast<std::int64_t>(word(mac(7))));
    EXPECT_EQ(thief.call(RVIF_OP_MAC), 0); // chose its own

    const Bytes f = frame(mac(7), mac(3));
    EXPECT_EQ(peer.send(f), 1); // before the owner has sent anything
    EXPECT_EQ(owner.receive_all(peer.source()), Frames{f});
    EXPECT_TRUE(thief.receive_all(peer.source()).empty());
}

TEST(Rvs, AnnouncedMacIsKnownBeforeItSends)
{
    Lan lan{3};
    EXPECT_EQ(lan[1].call(RVIF_OP_SET_MAC, word(mac(2))), 0);
    EXPECT_EQ(lan[1].call(RVIF_OP_SET_MAC, 0), -RVIF_E_ARG);
    EXPECT_EQ(lan[1].call(RVIF_OP_SET_MAC, word(broadcast)), -RVIF_E_ARG);
    EXPECT_EQ(lan[1].call(RVIF_OP_SET_MAC, std::uint64_t{2} << 48), -RVIF_E_ARG);
    const Bytes f = frame(mac(2), mac(1));
    EXPECT_EQ(lan[0].send(f), 1);
    EXPECT_EQ(lan.at(1, 0), Frames{f});
    EXPECT_TRUE(lan.at(2, 0).empty());
}

TEST(Rvs, UnicastAndFloodOfOneBurstArriveInOrder)
{
    Lan lan{3};
    lan.introduce(1);
    Frames sent;
    for (std::uint32_t i = 0; i < 24; ++i) {
        const auto to = i % 3 == 0 ? broadcast : i % 3 == 1 ? mac(2) : mac(77);
        sent.push_back(frame(to, mac(1), 64 + i, i));
    }
    EXPECT_EQ(lan[0].send(sent), 24);
    EXPECT_EQ(lan.at(1, 0), sent); // all of them are for port 1, too
}

TEST(Rvs, BurstsOfManyFlowsAndPortsLoseAndMixNothing)
{
    // More receivers than a call keeps lanes open for.
    Lan lan{12};
    for (std::size_t i = 1; i < 12; ++i)
        lan.introduce(i);
    std::vector<Frames> sent(12);
    Frames burst;
    for (std::uint32_t i = 0; i < 220; ++i) {
        const std::uint32_t to = 1 + (i * 7) % 11;
        const Bytes f = frame(mac(to + 1), mac(1), 60 + i, i);
        sent[to].push_back(f);
        burst.push_back(f);
    }
    EXPECT_EQ(lan[0].send(burst), 220);
    for (std::size_t to = 1; to < 12; ++to)
        EXPECT_EQ(lan.at(to, 0), sent[to]) << "port " << to;
}

TEST(Rvs, TransmitQueueChoosesTheReceiveQueue)
{
    World world;
    GuestOptions four;
    four.tx_queues = 4;
    GuestOptions two;
    two.rx_queues = 2;
    Guest sender{world, 0, four};
    Guest receiver{world, 1, two};
    sender.join();
    receiver.join();
    for (std::uint32_t t = 0; t < 4; ++t) {
        receiver.post(sender.source(t), 4, t % 2);
        const Bytes f = frame(mac(9), mac(1), 64, t);
        EXPECT_EQ(sender.send(f, t), 1);
        EXPECT_EQ(receiver.receive_all(sender.source(t), t % 2), Frames{f}) << "queue " << t;
    }
}

class FrameSizes : public testing::TestWithParam<std::size_t> {};

TEST_P(FrameSizes, ArriveByteForByteAndNothingBeyond)
{
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
    sender.join();
    receiver.join();
    const Bytes f = frame(mac(2), mac(1), GetParam());
    // Fill every buffer with a mark, to see what was written.
    std::memset(receiver.memory().data() + receiver.buffers_at(), 0xc5,
                receiver.memory().size() - receiver.buffers_at());
    receiver.post(sender.source(), 1);
    const Bytes before = receiver.memory().snapshot();
    EXPECT_EQ(sender.send(f), 1);
    const Bytes after = receiver.memory().snapshot();

    const std::size_t comp = receiver.comp_at(sender.source());
    for (std::size_t i = 0; i < after.size(); ++i) {
        const bool in_frame = i >= receiver.buffers_at() && i < receiver.buffers_at() + f.size();
        const bool in_comp = i >= comp && i < comp + 4;
        if (!in_frame && !in_comp) {
            ASSERT_EQ(after[i], before[i]) << "at " << i;
        }
    }
    EXPECT_EQ(receiver.receive_all(sender.source()), Frames{f});
}

INSTANTIATE_TEST_SUITE_P(Rvs, FrameSizes,
                         testing::Values(14, 15, 16, 17, 18, 19, 20, 23, 24, 31, 32, 33, 47, 48, 59,
                                         60, 63, 64, 65, 79, 80, 81, 127, 128, 129, 512, 1500, 1514,
                                         1518, 2047, 2048));

} // namespace
} // namespace rvs::test

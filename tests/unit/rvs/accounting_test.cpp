// SPDX-License-Identifier: Apache-2.0
// Every frame is in a counter, and in one.
#include "world.hpp"

#include <gtest/gtest.h>
#include <memory>

namespace rvs::test {
namespace {

constexpr std::uint32_t first_rejected = RVIF_DROP_BAD_SOURCE_MAC;

TEST(RvsAccounting, RandomTrafficAddsUpToTheLastFrame)
{
    World world;
    Random random{1};
    std::vector<std::unique_ptr<Guest>> guests;
    for (std::uint32_t p = 0; p < 5; ++p) {
        guests.push_back(
            std::make_unique<Guest>(world, p, GuestOptions{.buf_len = 512, .tx_queues = 2}));
        guests.back()->join();
    }
    std::uint64_t offered[5][2] = {}; // by queue
    std::uint64_t delivered[5] = {};
    std::uint64_t delivered_bytes[5] = {};
    std::uint64_t calls[5] = {};
    for (int round = 0; round < 3000; ++round) {
        const std::uint32_t from = random() % 5;
        const std::uint32_t queue = random() % 2;
        const std::uint32_t count = random() % 40;
        bool more = false;
        for (std::uint32_t i = 0; i < count; ++i) {
            const auto dst = random() % 4 == 0 ? broadcast : mac(1 + random() % 7);
            const auto src = random() % 16 == 0 ? multicast : mac(1 + from);
            const Bytes f = frame(dst, src, 10 + random() % 1000, random());
            Desc d{guests[from]->stage(f), f.size()};
            switch (random() % 40) {
            case 0:
                d.addr = RVIF_ADDR(2ull, 0);
                break;
            case 1:
                d.addr = RVIF_ADDR(0ull, guests[from]->memory().size());
                break;
            case 2:
                d.len = 0;
                break;
            case 3:
                d.flags = RVIF_TX_L4_CSUM; // it has no IP header
                break;
            case 4:
                d.flags = 0x40;
                break;
            case 5:
                d.flags = RVIF_TX_MORE;
                break;
            default:
                break;
            }
            if (!more)
                ++offered[from][queue];
            more = (d.flags & RVIF_TX_MORE) != 0;
            guests[from]->desc(i, d, queue);
        }
        ASSERT_EQ(guests[from]->transmit(count, queue), count);
        ++calls[from];
        const std::uint32_t to = random() % 5;
        for (std::uint32_t p = 0; p < 5; ++p) {
            for (std::uint32_t q = 0; q < 2 && p != to; ++q) {
                for (const Bytes &f : guests[to]->receive_all(guests[p]->source(q))) {
                    ++delivered[to];
                    delivered_bytes[to] += f.size();
                }
                guests[to]->post(guests[p]->source(q), random() % 20);
            }
        }
    }
    std::uint64_t copies = 0;
    std::uint64_t outcomes = 0;
    for (std::uint32_t p = 0; p < 5; ++p) {
        for (std::uint32_t o = 0; o < 5; ++o) {
            for (std::uint32_t q = 0; q < 2 && o != p; ++q) {
                for (const Bytes &f : guests[p]->receive_all(guests[o]->source(q))) {
                    ++delivered[p];
                    delivered_bytes[p] += f.size();
                }
            }
        }
        const PortStats s = guests[p]->stats();
        std::uint64_t sum = s.frames.tx_frames;
        for (std::uint32_t r = first_rejected; r < RVIF_DROP_REASONS; ++r)
            sum += s.frames.drops[r];
        EXPECT_GT(s.frames.drops[RVIF_DROP_BAD_OFFLOAD], 0u);
        EXPECT_EQ(sum, offered[p][0] + offered[p][1]) << "port " << p;
        for (std::uint32_t q = 0; q < RVIF_MAX_QUEUES; ++q) {
            PortStats sent{};
            ASSERT_TRUE(world->queue_stats(PortId{p}, q, sent));
            std::uint64_t of_queue = sent.frames.tx_frames;
            for (std::uint32_t r = first_rejected; r < RVIF_DROP_REASONS; ++r)
                of_queue += sent.frames.drops[r];
            EXPECT_EQ(of_queue, q < 2 ? offered[p][q] : 0) << "port " << p << " queue " << q;
        }
        EXPECT_EQ(s.frames.rx_frames, delivered[p]) << "port " << p;
        EXPECT_EQ(s.frames.rx_bytes, delivered_bytes[p]) << "port " << p;
        EXPECT_EQ(s.frames.crossings, calls[p] + 4) << "port " << p; // and 3 set-ups, START
        copies += s.copies;
        outcomes += s.frames.rx_frames + s.frames.drops[RVIF_DROP_NO_BUFFER] +
                    s.frames.drops[RVIF_DROP_NOT_READY] + s.frames.drops[RVIF_DROP_RX_TOO_BIG] +
                    s.frames.drops[RVIF_DROP_RX_BAD_BUFFER];
        EXPECT_GT(s.frames.drops[RVIF_DROP_NO_BUFFER], 0u);
        EXPECT_GT(s.frames.drops[RVIF_DROP_SAME_PORT], 0u);
    }
    EXPECT_EQ(copies, outcomes);
}

TEST(RvsAccounting, UnicastFramesAreInExactlyOneOutcome)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    b.post(a.source(), 10);
    EXPECT_EQ(b.send(frame(broadcast, mac(2))), 1);
    for (int i = 0; i < 30; ++i)
        EXPECT_EQ(a.send(frame(mac(2), mac(1), 100)), 1);
    const PortStats sa = a.stats();
    const PortStats sb = b.stats();
    EXPECT_EQ(sa.frames.tx_frames, 30u);
    EXPECT_EQ(sa.frames.tx_bytes, 3000u);
    EXPECT_EQ(sb.frames.rx_frames, 10u);
    EXPECT_EQ(sb.frames.rx_bytes, 1000u);
    EXPECT_EQ(sb.frames.drops[RVIF_DROP_NO_BUFFER], 20u);
}

TEST(RvsAccounting, OneCallInSixteenIsTimed)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    const std::vector<Bytes> burst(3, frame(mac(2), mac(1), 100));
    const std::uint64_t begun = __builtin_ia32_rdtsc();
    for (int i = 0; i < 64; ++i)
        EXPECT_EQ(a.send(burst), 3);
    const std::uint64_t all = __builtin_ia32_rdtsc() - begun;
    const PortStats s = a.stats();
    EXPECT_EQ(s.timed_frames, 4 * 3u);
    EXPECT_GT(s.timed_cycles, 0u);
    EXPECT_LT(s.timed_cycles, all);
    EXPECT_EQ(b.stats().timed_frames, 0u);
    // What had no frame has no cost of one.
    for (int i = 0; i < 32; ++i)
        EXPECT_EQ(a.send(frame(mac(2), multicast, 100)), 1);
    EXPECT_EQ(a.stats().timed_cycles, s.timed_cycles);
    EXPECT_EQ(a.stats().timed_frames, s.timed_frames);
}

TEST(RvsAccounting, GuestReadsTheSameNumbersAsTheManager)
{
    World world;
    Guest a{world, 0};
    Guest b{world, 1};
    a.join();
    b.join();
    b.post(a.source(), 3);
    EXPECT_EQ(a.send(std::vector<Bytes>(5, frame(mac(2), mac(1), 64))), 5);
    EXPECT_EQ(a.send(frame(mac(1), mac(1))), 1);
    for (Guest *g : {&a, &b}) {
        EXPECT_EQ(g->call(RVIF_OP_STATS, RVIF_ADDR(0ull, Guest::stats_at)), 0);
        const auto seen = g->get<rvif_port_stats>(Guest::stats_at);
        const PortStats all = g->stats();
        EXPECT_EQ(std::memcmp(&seen, &all.frames, sizeof seen), 0);
        EXPECT_GT(seen.crossings, 3u);
    }
    EXPECT_EQ(a.stats().frames.drops[RVIF_DROP_SAME_PORT], 1u);
    EXPECT_EQ(b.stats().frames.drops[RVIF_DROP_NO_BUFFER], 2u);
}

TEST(RvsAccounting, EachTxQueueHasItsOwnNumbers)
{
    World world;
    Guest a{world, 0, GuestOptions{.tx_queues = 3}};
    Guest b{world, 1};
    a.join();
    b.join();
    b.post(a.source(0), 4);
    EXPECT_EQ(a.send(std::vector<Bytes>(4, frame(mac(2), mac(1), 64)), 0), 4);
    EXPECT_EQ(a.send(frame(mac(1), mac(1)), 1), 1);
    EXPECT_EQ(a.send(frame(mac(2), multicast), 1), 1);
    const auto read = [&](std::uint64_t queue) {
        EXPECT_EQ(a.call(RVIF_OP_QUEUE_STATS, RVIF_ADDR(0ull, Guest::stats_at), queue), 0);
        const auto seen = a.get<rvif_port_stats>(Guest::stats_at);
        PortStats told{};
        EXPECT_TRUE(world->queue_stats(a.id(), static_cast<std::uint32_t>(queue), told));
        EXPECT_EQ(std::memcmp(&seen, &told.frames, sizeof seen), 0);
        return seen;
    };
    const rvif_port_stats first = read(0);
    EXPECT_EQ(first.tx_frames, 4u);
    EXPECT_EQ(first.tx_bytes, 4 * 64u);
    EXPECT_EQ(first.crossings, 1u);
    EXPECT_EQ(first.drops[RVIF_DROP_SAME_PORT], 0u);
    const rvif_port_stats second = read(1);
    EXPECT_EQ(second.tx_frames, 1u);
    EXPECT_EQ(second.crossings, 2u);
    EXPECT_EQ(second.drops[RVIF_DROP_SAME_PORT], 1u);
    EXPECT_EQ(second.drops[RVIF_DROP_BAD_SOURCE_MAC], 1u);
    EXPECT_EQ(read(2).crossings, 0u);
    PortStats none{};
    EXPECT_FALSE(world->queue_stats(a.id(), RVIF_MAX_QUEUES, none));
    EXPECT_FALSE(world->queue_stats(PortId{5}, 0, none));
}

} // namespace
} // namespace rvs::test

// SPDX-License-Identifier: Apache-2.0
// Many CPUs inside the switch at once. Also built with the thread sanitizer.
#include "world.hpp"

#include <atomic>
#include <chrono>
#include <gtest/gtest.h>
#include <memory>
#include <thread>

namespace rvs::test {
namespace {

using namespace std::chrono_literals;
using Clock = std::chrono::steady_clock;
using Frames = std::vector<Bytes>;

// Bytes 14..21: sender and number; the rest follows from them.
Bytes numbered(const std::array<std::uint8_t, 6> &to, std::uint32_t from, std::uint32_t number,
               std::size_t size)
{
    Bytes f = frame(to, mac(from + 1), size, from * 1000003 + number);
    std::memcpy(f.data() + 14, &from, 4);
    std::memcpy(f.data() + 18, &number, 4);
    return f;
}

std::size_t size_of(std::uint32_t number)
{
    return 64 + number * 13 % 900;
}

// Checks one flow at one receiver: whole, in order, nothing twice. Counts.
struct Flow {
    std::uint32_t from;
    std::array<std::uint8_t, 6> to;
    std::uint64_t next = 0; // at least
    std::uint64_t count = 0;

    void check(const Bytes &f)
    {
        ASSERT_GE(f.size(), 22u);
        std::uint32_t number = 0;
        std::memcpy(&number, f.data() + 18, 4);
        ASSERT_GE(number, next) << "out of order or twice";
        ASSERT_EQ(f, numbered(to, from, number, size_of(number)));
        next = std::uint64_t{number} + 1;
        ++count;
    }
};

GuestOptions small_buffers()
{
    return {.depth = 64, .buf_len = 512, .buffers = 400};
}

TEST(RvsConcurrent, ManySendersOneReceiverNothingLostUncountedOrOutOfOrder)
{
    constexpr std::uint32_t senders = 4;
    constexpr std::uint32_t per_sender = 4000;
    World world;
    Guest receiver{world, 0, small_buffers()};
    receiver.join();
    std::vector<std::unique_ptr<Guest>> guests;
    for (std::uint32_t s = 1; s <= senders; ++s) {
        guests.push_back(std::make_unique<Guest>(world, s, small_buffers()));
        guests.back()->join();
    }
    ASSERT_EQ(receiver.call(RVIF_OP_SET_MAC, word(mac(100))), 0);

    std::atomic<std::uint32_t> running{senders};
    std::vector<std::thread> threads;
    for (std::uint32_t s = 1; s <= senders; ++s) {
        threads.emplace_back([&, s] {
            for (std::uint32_t n = 0; n < per_sender;) {
                Frames burst;
                for (std::uint32_t i = 0; i < 1 + n % 32 && n < per_sender; ++i, ++n)
                    burst.push_back(numbered(mac(100), s, n, size_of(n)));
                EXPECT_EQ(guests[s - 1]->send(burst), static_cast<std::int64_t>(burst.size()));
                std::this_thread::yield();
            }
            --running;
        });
    }
    std::vector<Flow> flows;
    for (std::uint32_t s = 0; s <= senders; ++s)
        flows.push_back(Flow{s, mac(100)});
    const auto drain = [&] {
        bool any = false;
        for (std::uint32_t s = 1; s <= senders; ++s) {
            const std::int64_t source = guests[s - 1]->source();
            for (Bytes f; receiver.receive(source, f); any = true)
                flows[s].check(f);
            receiver.post(source, 64);
        }
        return any;
    };
    while (running != 0 || drain())
        drain();
    for (auto &t : threads)
        t.join();
    drain();

    std::uint64_t received = 0;
    for (const Flow &flow : flows)
        received += flow.count;
    const PortStats stats = receiver.stats();
    EXPECT_EQ(stats.frames.rx_frames, received);
    EXPECT_EQ(received + stats.frames.drops[RVIF_DROP_NO_BUFFER],
              std::uint64_t{senders} * per_sender);
    EXPECT_GT(received, 1000u);
}

TEST(RvsConcurrent, EverybodyFloodsEverybody)
{
    constexpr std::uint32_t n = 4;
    World world;
    std::vector<std::unique_ptr<Guest>> guests;
    for (std::uint32_t p = 0; p < n; ++p) {
        guests.push_back(std::make_unique<Guest>(world, p, small_buffers()));
        guests.back()->join();
    }
    std::atomic<std::uint32_t> finished{0};
    std::vector<std::thread> threads;
    std::atomic<std::uint64_t> received{0};
    for (std::uint32_t me = 0; me < n; ++me) {
        threads.emplace_back([&, me] {
            std::vector<Flow> flows;
            for (std::uint32_t p = 0; p < n; ++p)
                flows.push_back(Flow{p, broadcast});
            const auto drain = [&] {
                bool any = false;
                for (std::uint32_t p = 0; p < n; ++p) {
                    if (p == me)
                        continue;
                    for (Bytes f; guests[me]->receive(guests[p]->source(), f); any = true) {
                        flows[p].check(f);
                        ++received;
                    }
                    guests[me]->post(guests[p]->source(), 64);
                }
                return any;
            };
            drain();
            for (std::uint32_t i = 0; i < 1500; i += 5) {
                Frames burst;
                for (std::uint32_t k = 0; k < 5; ++k)
                    burst.push_back(numbered(broadcast, me, i + k, size_of(i + k)));
                EXPECT_EQ(guests[me]->send(burst), 5);
                drain();
                std::this_thread::yield();
            }
            ++finished;
            while (finished != n || drain())
                std::this_thread::yield();
            drain();
        });
    }
    for (auto &t : threads)
        t.join();
    std::uint64_t counted = 0;
    for (const auto &g : guests)
        counted += g->stats().frames.rx_frames + g->stats().frames.drops[RVIF_DROP_NO_BUFFER];
    EXPECT_EQ(counted, 1500u * n * (n - 1));
    EXPECT_GT(received, 1000u);
}

// While body runs, guests 1..3 send unicast and floods without a pause.
template <typename Body>
void under_traffic(World &world, Body body)
{
    std::vector<std::unique_ptr<Guest>> guests;
    for (std::uint32_t p = 1; p <= 3; ++p) {
        guests.push_back(std::make_unique<Guest>(world, p, small_buffers()));
        guests.back()->join();
    }
    std::atomic<bool> stop{false};
    std::vector<std::thread> threads;
    for (std::uint32_t p = 1; p <= 3; ++p) {
        threads.emplace_back([&, p] {
            Frames burst;
            for (std::uint32_t i = 0; i < 16; ++i)
                burst.push_back(numbered(i % 2 == 0 ? mac(100) : broadcast, p, i, size_of(i)));
            while (!stop) {
                EXPECT_EQ(guests[p - 1]->send(burst), 16);
                std::this_thread::yield();
            }
        });
    }
    body();
    stop = true;
    for (auto &t : threads)
        t.join();
}

void wait_for_grace(const World &world)
{
    Switch::Grace grace;
    world->grace_begin(grace);
    const auto end = Clock::now() + 10s;
    while (!world->grace_over(grace)) {
        ASSERT_LT(Clock::now(), end);
        std::this_thread::yield();
    }
}

TEST(RvsConcurrent, MemoryOfAClosedPortIsLeftAloneAfterItsGrace)
{
    World world;
    std::uint64_t delivered = 0;
    under_traffic(world, [&] {
        const auto end = Clock::now() + 1500ms;
        while (Clock::now() < end) {
            Guest guest{world, 9, small_buffers()};
            guest.join();
            ASSERT_EQ(guest.call(RVIF_OP_SET_MAC, word(mac(100))), 0);
            for (std::int64_t source = 0; source < 3; ++source)
                guest.post(source, 64);
            std::this_thread::sleep_for(500us);
            delivered += guest.stats().frames.rx_frames;
            guest.leave();
            wait_for_grace(world);
            ASSERT_EQ(mprotect(guest.memory().data(), guest.memory().size(), PROT_NONE), 0);
            std::this_thread::sleep_for(500us);
        }
    });
    EXPECT_GT(delivered, 100u);
}

// The table is counted all the time, so also while an address is at one port and when it is at the
// other.
TEST(RvsConcurrent, AddressThatANeighbourUsesComesBackToAPortThatMayHaveNoOther)
{
    World world;
    Guest owner{world, 0, small_buffers()};
    Guest neighbour{world, 1, small_buffers()};
    PortOptions one;
    one.mac_limit = 1;
    owner.join(one);
    neighbour.join();
    const Bytes f = frame(broadcast, mac(7));
    std::atomic<bool> stop{false};
    std::thread manager{[&] {
        while (!stop)
            world->tick();
    }};
    const auto end = Clock::now() + 1500ms;
    std::uint64_t times = 0;
    for (; Clock::now() < end; ++times) {
        EXPECT_EQ(owner.send(f), 1);
        EXPECT_EQ(neighbour.send(f), 1);
    }
    stop = true;
    manager.join();
    EXPECT_EQ(owner.drops(RVIF_DROP_MAC_LIMIT), 0u);
    EXPECT_GT(times, 100u);
}

TEST(RvsConcurrent, RemovedRegionIsLeftAloneAfterItsGrace)
{
    World world;
    Guest guest{world, 9, small_buffers()};
    guest.join();
    std::uint64_t delivered = 0;
    under_traffic(world, [&] {
        const auto end = Clock::now() + 1500ms;
        while (Clock::now() < end) {
            for (std::int64_t source = 0; source < 64; ++source)
                guest.post(source, 8);
            std::this_thread::sleep_for(300us);
            delivered = guest.stats().frames.rx_frames;
            ASSERT_EQ(world->region_remove(guest.id(), 0), Error::none);
            wait_for_grace(world);
            ASSERT_EQ(mprotect(guest.memory().data(), guest.memory().size(), PROT_NONE), 0);
            std::this_thread::sleep_for(300us);
            ASSERT_EQ(
                mprotect(guest.memory().data(), guest.memory().size(), PROT_READ | PROT_WRITE), 0);
            ASSERT_EQ(guest.add_region(), Error::none);
            while (guest.call(RVIF_OP_STOP) == -RVIF_E_BUSY)
                std::this_thread::yield();
            guest.set_up();
            ASSERT_EQ(guest.call(RVIF_OP_START), 0);
        }
    });
    EXPECT_GT(delivered, 100u);
}

TEST(RvsConcurrent, StartNeverRevivesARegionThatIsBeingRemoved)
{
    World world;
    Guest guest{world, 9, small_buffers()};
    guest.open();
    guest.put(Guest::tx_setup_at, rvif_tx_setup{RVIF_ADDR(0ull, Guest::descs_at), 0, 0});
    guest.put(Guest::rx_setup_at, guest.rx_setup(0));
    std::atomic<bool> stop{false};
    under_traffic(world, [&] {
        std::thread control{[&] {
            while (!stop) {
                // Each step may meet a removed region.
                guest.call(RVIF_OP_STOP);
                guest.call(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, Guest::tx_setup_at));
                guest.call(RVIF_OP_RX_SETUP, 0, RVIF_ADDR(0ull, Guest::rx_setup_at));
                guest.call(RVIF_OP_START);
                std::this_thread::yield();
            }
        }};
        std::uint64_t was_live = 0;
        const auto soon = Clock::now() + 1500ms;
        const auto end = Clock::now() + 20s;
        while (Clock::now() < soon || (was_live == 0 && Clock::now() < end)) {
            ASSERT_EQ(world->region_remove(guest.id(), 0), Error::none);
            PortInfo info;
            ASSERT_TRUE(world->port_info(guest.id(), info));
            EXPECT_EQ(info.rx_queues, 0u) << "a live queue on a removed region";
            ASSERT_EQ(guest.add_region(), Error::none);
            std::this_thread::yield();
            ASSERT_TRUE(world->port_info(guest.id(), info));
            was_live += info.rx_queues;
        }
        stop = true;
        control.join();
        EXPECT_GT(was_live, 0u);
    });
}

TEST(RvsConcurrent, NothingIsWrittenToAReceiverAfterItsStopReturned)
{
    World world;
    Guest guest{world, 9, small_buffers()};
    guest.join();
    std::uint64_t delivered = 0;
    std::uint64_t waited = 0;
    under_traffic(world, [&] {
        const auto end = Clock::now() + 1500ms;
        while (Clock::now() < end) {
            for (std::int64_t source = 0; source < 3; ++source)
                guest.post(source, 64);
            std::this_thread::sleep_for(300us);
            while (guest.call(RVIF_OP_STOP) == -RVIF_E_BUSY) {
                ++waited;
                std::this_thread::yield();
            }
            delivered = guest.stats().frames.rx_frames;
            std::memset(guest.memory().data(), 0xa5, guest.memory().size());
            std::this_thread::sleep_for(300us);
            const Bytes now = guest.memory().snapshot();
            for (std::size_t i = 0; i < now.size(); ++i)
                ASSERT_EQ(now[i], 0xa5) << "at " << i;
            guest.set_up();
            ASSERT_EQ(guest.call(RVIF_OP_START), 0);
        }
    });
    EXPECT_GT(delivered, 100u);
    RecordProperty("stops_that_waited", static_cast<int>(waited));
}

TEST(RvsConcurrent, FrameOfManyBuffersIsSeenWholeOrNotAtAll)
{
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1, {.depth = 64, .buf_len = 64, .buffers = 64}};
    sender.join();
    receiver.join();
    const Bytes f = frame(mac(2), mac(1), 64 * 64); // 64 buffers: the lane at once
    sender.desc(0, {sender.stage(f), 64 * 64, 0});
    std::atomic<bool> stop{false};
    std::thread thread{[&] {
        while (!stop) {
            EXPECT_EQ(sender.transmit(1), 1);
            std::this_thread::yield();
        }
    }};
    std::uint64_t seen = 0;
    const auto end = Clock::now() + 1500ms;
    for (std::uint32_t first = 0; Clock::now() < end; first += 64) {
        for (std::uint32_t i = 0; i < 64; ++i)
            receiver.post_raw(sender.source(), first + i,
                              static_cast<std::uint32_t>(receiver.buffers_at() / 64) + i * 2);
        const std::uint32_t phase = receiver.phase(first);
        bool there = false;
        while (!there && Clock::now() < end) {
            for (int spin = 0; spin < 1000 && !there; ++spin)
                there = (receiver.comp(sender.source(), first) & RVIF_PHASE) == phase;
        }
        if (there) {
            // The last entry of the frame, as soon as the first can be seen.
            ASSERT_EQ(receiver.comp(sender.source(), first + 63), phase | 64u);
            ++seen;
        }
    }
    stop = true;
    thread.join();
    EXPECT_GT(seen, 10u);
}

TEST(RvsConcurrent, TwoCpusInOneQueueOneIsToldBusyAndNothingIsSentTwice)
{
    World world;
    Guest sender{world, 0, small_buffers()};
    Guest receiver{world, 1, small_buffers()};
    sender.join();
    receiver.join();
    const Bytes f = frame(mac(2), mac(1), 300);
    for (std::uint32_t i = 0; i < 32; ++i)
        sender.desc(i, {sender.stage(f), 300, 0});
    std::atomic<std::uint64_t> sent{0};
    std::atomic<std::uint64_t> busy{0};
    std::atomic<std::uint32_t> running{2};
    std::vector<std::thread> threads;
    for (int t = 0; t < 2; ++t) {
        threads.emplace_back([&] {
            const auto end = Clock::now() + 1s;
            while (Clock::now() < end) {
                const std::int64_t n = sender.transmit(32);
                if (n == -RVIF_E_BUSY) {
                    ++busy;
                } else {
                    EXPECT_EQ(n, 32);
                    sent += 32;
                }
            }
            --running;
        });
    }
    std::uint64_t received = 0;
    while (running != 0) {
        receiver.post(sender.source(), 64);
        for (Bytes got; receiver.receive(sender.source(), got); ++received)
            ASSERT_EQ(got, f);
    }
    for (auto &t : threads)
        t.join();
    for (Bytes got; receiver.receive(sender.source(), got); ++received)
        ASSERT_EQ(got, f);
    const PortStats s = receiver.stats();
    EXPECT_EQ(s.frames.rx_frames, received);
    EXPECT_EQ(s.frames.rx_frames + s.frames.drops[RVIF_DROP_NO_BUFFER], sent.load());
    EXPECT_GT(busy, 0u) << "the two never met";
}

TEST(RvsConcurrent, ManagerReadsAndAgesWhilePortsTalk)
{
    World world;
    std::uint64_t frames = 0;
    under_traffic(world, [&] {
        const auto end = Clock::now() + 1s;
        while (Clock::now() < end) {
            world->tick();
            FdbEntry entries[16];
            std::size_t cursor = 0;
            while (const std::size_t n = world->fdb_read(cursor, entries, 16)) {
                for (std::size_t i = 0; i < n; ++i)
                    EXPECT_LE(static_cast<std::uint32_t>(entries[i].port), 3u);
            }
            PortStats stats;
            PortInfo info;
            frames = 0;
            for (std::uint32_t p = 1; p <= 3; ++p) {
                EXPECT_TRUE(world->port_stats(PortId{p}, stats));
                EXPECT_TRUE(world->port_info(PortId{p}, info));
                frames += stats.frames.tx_frames;
            }
        }
    });
    EXPECT_GT(frames, 100u);
}

} // namespace
} // namespace rvs::test

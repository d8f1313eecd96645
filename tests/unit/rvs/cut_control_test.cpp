// SPDX-License-Identifier: Apache-2.0
// Control calls that are cut short at an instruction of a hostile guest's choice, and what it does
// then instead of doing them again. Stepped, so without sanitizers: canaries and guard pages look.
#include "port.hpp"
#include "stepped.hpp"
#include "world.hpp"

#include <algorithm>
#include <chrono>
#include <functional>
#include <gtest/gtest.h>

namespace rvs::test {
namespace {

using Frames = std::vector<Bytes>;

constexpr std::uint32_t cpu = 5;

struct CutControl : testing::Test {
    static constexpr std::uint32_t depth = 64;
    static constexpr std::uint32_t buf_len = 128;

    CutControl() { sender.join(); }

    std::int64_t hostile(std::uint64_t op, std::uint64_t a1 = 0, std::uint64_t a2 = 0,
                         std::uint64_t a3 = 0)
    {
        return world->call(attacker.id(), op, a1, a2, a3, cpu);
    }
    // Stopped after so many instructions; false: it was through before.
    bool cut(std::uint32_t after, const std::function<void()> &body)
    {
        Stepped stepped{body};
        for (std::uint32_t i = 0; i < after && stepped.alive(); ++i)
            stepped.step();
        return stepped.alive();
    }
    std::int64_t rx_setup(const rvif_rx_setup &setup)
    {
        attacker.put(Guest::rx_setup_at, setup);
        return hostile(RVIF_OP_RX_SETUP, 0, RVIF_ADDR(0ull, Guest::rx_setup_at));
    }
    // A stopped port, set up with region 0.
    void reset()
    {
        ASSERT_EQ(hostile(RVIF_OP_STOP), 0);
        std::memset(attacker.memory().data() + Guest::lanes_at, 0, attacker.lanes_len());
        ASSERT_GE(hostile(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, Guest::tx_setup_at)), 0);
        ASSERT_EQ(rx_setup(attacker.rx_setup(0)), 0);
    }
    [[nodiscard]] std::uint32_t sources_of(const Guest &guest) const
    {
        std::uint32_t n = 0;
        for (std::uint32_t s = 0; s < RVIF_MAX_SOURCES; ++s)
            n += world->source_port(s) == guest.id() ? 1 : 0;
        return n;
    }

    World world;
    Guest sender{world, 0};
    Guest attacker{world, 1, {.depth = depth, .buf_len = buf_len, .buffers = 400}};
};

// START finds what RX_SETUP stored, or nothing: never the buffers of one region with the bounds of
// another.
TEST_F(CutControl, SetUpIsThereWholeOrNotAtAll)
{
    attacker.join();
    Memory wide{1 << 20};
    constexpr std::uint64_t small = 8192;
    ASSERT_EQ(world->region_add(attacker.id(), 1, wide.base(), small), Error::none);
    rvif_rx_setup second = attacker.rx_setup(0);
    second.buf_region = 1;
    // In region 0, and behind the end of region 1.
    const std::uint32_t unit = 4 * small / RVIF_BUF_UNIT;
    ASSERT_LT(unit * RVIF_BUF_UNIT + buf_len, attacker.memory().size());

    std::uint32_t steps = 0;
    std::uint32_t through = 0;
    for (bool was_cut = true; was_cut && !HasFailure(); steps += 3) {
        reset();
        attacker.put(Guest::rx_setup_at, second);
        was_cut =
            cut(steps, [&] { hostile(RVIF_OP_RX_SETUP, 0, RVIF_ADDR(0ull, Guest::rx_setup_at)); });
        ASSERT_EQ(hostile(RVIF_OP_START), 0) << steps;
        for (std::uint32_t i = 0; i < depth; ++i)
            attacker.post_raw(sender.source(), i, unit);
        ASSERT_EQ(sender.send(frame(broadcast, mac(1), 100, 7)), 1);
        through += (attacker.comp(sender.source(), 0) & RVIF_PHASE) != 0 ? 1 : 0;
        const Bytes all = wide.snapshot();
        ASSERT_TRUE(std::all_of(all.begin() + small, all.end(), [](auto b) { return b == 0; }))
            << "cut after " << steps;
    }
    EXPECT_GT(steps, 100u) << "it was not stepped";
    EXPECT_GT(through, 20u) << "no frame ever went to region 0";
}

// Regions that come and go in the middle of RX_SETUP, before any of its instructions: the queue
// that START finds is of the regions that there are.
TEST_F(CutControl, SetUpIsOfTheRegionsThatThereAre)
{
    attacker.join();
    Memory here{2 << 20};
    Memory there{2 << 20};
    rvif_rx_setup second = attacker.rx_setup(0);
    second.lanes = RVIF_ADDR(1ull, 0);
    second.buf_region = 1;
    const auto put = [&](const Memory *memory) {
        if (memory != nullptr) {
            ASSERT_EQ(world->region_add(attacker.id(), 1, memory->base(), memory->size()),
                      Error::none);
        }
    };
    struct {
        const Memory *before, *within;
    } const cases[] = {{nullptr, &here}, {&here, &there}, {&here, nullptr}};
    std::uint32_t live = 0;
    for (const auto &[before, within] : cases) {
        std::uint32_t steps = 0;
        for (bool was_within = true; was_within && !HasFailure(); ++steps) {
            reset();
            put(before);
            attacker.put(Guest::rx_setup_at, second);
            {
                Stepped stepped{
                    [&] { hostile(RVIF_OP_RX_SETUP, 0, RVIF_ADDR(0ull, Guest::rx_setup_at)); }};
                for (std::uint32_t i = 0; i < steps && stepped.alive(); ++i)
                    stepped.step();
                was_within = stepped.alive();
                world->region_remove(attacker.id(), 1);
                put(within);
                stepped.finish();
            }
            world->region_remove(attacker.id(), 1);
            put(before);
            const bool started = hostile(RVIF_OP_START) == 0;
            for (const Memory *memory : {&here, &there}) { // all posted, in either
                const std::uint64_t lane =
                    static_cast<std::uint64_t>(sender.source()) * RVIF_LANE_STRIDE(depth);
                std::memset(memory->data() + lane, 0, RVIF_LANE_STRIDE(depth));
                for (std::uint32_t i = 0; i < depth; ++i) {
                    const std::uint32_t entry =
                        static_cast<std::uint32_t>(memory->size() - 4096) / RVIF_BUF_UNIT |
                        RVIF_PHASE;
                    std::memcpy(memory->data() + lane + 4 * i, &entry, sizeof entry);
                }
            }
            const Bytes in_here = here.snapshot();
            const Bytes in_there = there.snapshot();
            ASSERT_EQ(sender.send(frame(broadcast, mac(1), 100, 7)), 1);
            ASSERT_TRUE(there.snapshot() == in_there) << "after " << steps;
            const bool written = here.snapshot() != in_here;
            ASSERT_TRUE(!written || before == &here) << "after " << steps;
            live += started && written ? 1 : 0;
            world->region_remove(attacker.id(), 1);
        }
        EXPECT_GT(steps, 100u) << "it was not stepped";
    }
    EXPECT_GT(live, 20u) << "no frame ever went to region 1";
}

// Of two that end a queue, the port and the manager, either may be cut short anywhere: once the
// other has returned it has ended.
TEST(RvsRxQueue, EndsWhoeverIsCutShortAtIt)
{
    struct Shared {
        RxQueue queue;
        std::atomic<std::uint32_t> through;
    };
    const Memory memory{sizeof(Shared)};
    auto &shared = *reinterpret_cast<Shared *>(memory.data());
    const auto end = [&] {
        shared.through = 0;
        shared.queue.kill();
        shared.through = 1;
    };
    constexpr std::uint32_t most = 200;
    std::uint32_t first = 0; // its instructions
    {
        Stepped all{end};
        for (; shared.through == 0 && all.alive(); ++first)
            all.step();
    }
    ASSERT_LT(first, most);
    // Those that count are the last.
    for (std::uint32_t i = first - std::min(first, 40u); i < first; ++i) {
        for (std::uint32_t k = first - std::min(first, 40u); k < first; ++k) {
            shared.queue.state = 2 * RxQueue::generation | RxQueue::live_bit;
            Stepped whole{end};
            for (std::uint32_t n = 0; n < i; ++n)
                whole.step();
            {
                Stepped cut_short{end};
                for (std::uint32_t n = 0; n < k; ++n)
                    cut_short.step();
                whole.finish();
            }
            ASSERT_FALSE(shared.queue.live()) << i << " " << k;
        }
    }
}

// A queue that a START has made live, before it was cut short, is none of a region that goes.
TEST_F(CutControl, NoQueueIsLiveOnARegionThatIsGone)
{
    attacker.join();
    Memory other{1 << 20};
    ASSERT_EQ(world->region_add(attacker.id(), 1, other.base(), other.size()), Error::none);
    rvif_rx_setup second = attacker.rx_setup(0);
    second.lanes = RVIF_ADDR(1ull, 0);
    second.buf_region = 1;
    // Where frames are spread by their hash, a queue is used before the port is started.
    rvif_rss rss{};
    rss.types = RVIF_RSS_TYPES;
    attacker.put(Guest::rss_at, rss);
    ASSERT_EQ(hostile(RVIF_OP_RSS, RVIF_ADDR(0ull, Guest::rss_at)), 0);
    const Bytes teach = frame(broadcast, mac(2), 100, 1);
    ASSERT_EQ(attacker.send(teach), 1);
    const Bytes to_attacker = frame(mac(2), mac(1), 100, 7);

    std::uint32_t steps = 0;
    std::uint32_t early = 0; // it was live, and not started
    for (bool was_cut = true; was_cut && !HasFailure(); steps += 3) {
        reset();
        was_cut = cut(steps, [&] { hostile(RVIF_OP_START); });
        const std::uint32_t unit =
            static_cast<std::uint32_t>(attacker.buffers_at() / RVIF_BUF_UNIT);
        for (std::uint32_t i = 0; i < depth; ++i)
            attacker.post_raw(sender.source(), i, unit);
        ASSERT_EQ(sender.send(to_attacker), 1);
        const bool live = (attacker.comp(sender.source(), 0) & RVIF_PHASE) != 0;
        early += was_cut && live ? 1 : 0;
        if (rx_setup(second) != 0) // it is started
            continue;
        ASSERT_EQ(world->region_remove(attacker.id(), 0), Error::none);
        const Bytes before = attacker.memory().snapshot();
        ASSERT_EQ(sender.send(to_attacker), 1);
        ASSERT_EQ(attacker.memory().snapshot(), before) << "cut after " << steps;
        ASSERT_EQ(attacker.add_region(), Error::none);
    }
    EXPECT_GT(steps, 100u) << "it was not stepped";
    EXPECT_GT(early, 3u) << "it was never live before it was started";
}

// Not even by cutting them again and again does a port get more sources than it has queues.
TEST_F(CutControl, NoSourceIsLost)
{
    attacker.join();
    const auto tx_setup = [&] {
        return hostile(RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, Guest::tx_setup_at));
    };
    for (const bool of_stop : {false, true}) {
        const auto prepare = [&] {
            ASSERT_EQ(hostile(RVIF_OP_STOP), 0);
            if (of_stop) {
                ASSERT_GE(tx_setup(), 0);
            }
        };
        const auto body = [&] { of_stop ? hostile(RVIF_OP_STOP) : tx_setup(); };
        const auto queue_has_one = [&] {
            PortInfo info;
            return world->port_info(attacker.id(), info) && info.tx_queues != 0;
        };
        // Where the source changes hands.
        std::uint32_t at = 0;
        prepare();
        {
            Stepped stepped{body};
            for (const bool before = queue_has_one(); queue_has_one() == before; ++at) {
                ASSERT_TRUE(stepped.alive());
                stepped.step();
            }
        }
        for (std::uint32_t after = at - 40; after < at + 40 && !HasFailure(); ++after) {
            prepare();
            ASSERT_TRUE(cut(after, body));
            if (hostile(RVIF_OP_START) == 0) {
                ASSERT_EQ(hostile(RVIF_OP_STOP), 0);
            }
            ASSERT_LE(sources_of(attacker), 1u) << "cut after " << after;
            ASSERT_GE(tx_setup(), 0);
            ASSERT_EQ(sources_of(attacker), 1u) << "cut after " << after;
        }
    }
}

// What a call has left to do is for the lanes of the source that it had. The port may stop and set
// its queues up in another order meanwhile: nobody's lanes move.
TEST_F(CutControl, PlanOfAnotherSourceIsNotCarriedOut)
{
    // Longer than what recover() looks at.
    constexpr std::uint32_t lane = 256;
    Guest receivers[] = {{world, 2, {.depth = lane, .buf_len = buf_len, .buffers = 100}},
                         {world, 3, {.depth = lane, .buf_len = buf_len, .buffers = 100}}};
    Guest twin{world, 4, {.tx_queues = 2}};
    for (std::uint32_t i = 0; i < 2; ++i) {
        receivers[i].join();
        ASSERT_EQ(receivers[i].send(frame(broadcast, mac(20 + i))), 1);
    }
    twin.open();
    const auto call = [&](std::uint64_t op, std::uint64_t a1, std::uint64_t a2 = 0,
                          std::uint64_t a3 = 0) {
        return world->call(twin.id(), op, a1, a2, a3, cpu);
    };
    const auto tx_setup = [&](std::uint32_t queue) {
        twin.put(Guest::tx_setup_at + 16 * queue,
                 rvif_tx_setup{RVIF_ADDR(0ull, Guest::descs_at + 0x1000 * queue), 0, 0});
        return call(RVIF_OP_TX_SETUP, queue, RVIF_ADDR(0ull, Guest::tx_setup_at + 16 * queue));
    };
    Frames scattered;
    for (std::uint32_t i = 0; i < 12; ++i)
        scattered.push_back(frame(mac(20 + i % 2), mac(30), 60 + i, i));
    const auto load = [&](std::uint32_t queue) {
        for (std::uint32_t i = 0; i < scattered.size(); ++i)
            twin.desc(i, {twin.stage(scattered[i]), scattered[i].size()}, queue);
    };

    std::uint32_t steps = 0;
    for (bool was_cut = true; was_cut && !HasFailure(); steps += 41) {
        ASSERT_EQ(call(RVIF_OP_STOP, 0), 0);
        std::int64_t source[2] = {tx_setup(0), tx_setup(1)};
        ASSERT_EQ(call(RVIF_OP_START, 0), 0);
        for (Guest &r : receivers) {
            ASSERT_EQ(r.call(RVIF_OP_STOP), 0);
            r.set_up();
            ASSERT_EQ(r.call(RVIF_OP_START), 0);
            for (const std::int64_t s : source)
                r.post(s, 40);
        }
        load(0);
        ASSERT_EQ(call(RVIF_OP_TX, 0, 12, 1), 12); // they scatter; and the lanes of source[0] move
        // Those of source[1] by a run.
        twin.desc(0, {twin.stage(scattered[0]), scattered[0].size()}, 1);
        ASSERT_EQ(call(RVIF_OP_TX, 1, 1, 1), 1);
        load(0);
        was_cut = cut(steps, [&] { call(RVIF_OP_TX, 0, 12, 2); });
        ASSERT_EQ(call(RVIF_OP_STOP, 0), 0);
        ASSERT_EQ(tx_setup(1), source[0]);
        {
            Stepped stepped{[&] { tx_setup(0); }};
            const auto queues = [&] {
                PortInfo info;
                return world->port_info(twin.id(), info) ? info.tx_queues : 0;
            };
            while (queues() != 2 && stepped.alive())
                stepped.step();
            ASSERT_TRUE(stepped.alive()) << "it holds the queue, and the other's source";
        }
        call(RVIF_OP_RECOVER, 0, 2);
        ASSERT_EQ(call(RVIF_OP_STOP, 0), 0);

        // The heir of that source finds lanes on which each frame arrives.
        ASSERT_EQ(receivers[0].receive_all(source[1]).size(), 1u) << "cut after " << steps;
        ASSERT_EQ(receivers[1].receive_all(source[1]).size(), 0u) << "cut after " << steps;
        Guest first{world, 5};
        Guest heir{world, 6};
        first.join();
        heir.join();
        ASSERT_EQ(heir.source(), source[1]);
        for (std::uint32_t n = 0; n < 2 * (lane + 10); ++n) {
            const Bytes f = frame(mac(20 + n % 2), mac(40), 90, n);
            ASSERT_EQ(heir.send(f), 1);
            ASSERT_EQ(receivers[n % 2].receive_all(source[1]), Frames{f}) << "cut after " << steps;
            receivers[n % 2].post(source[1], 1);
        }
        first.leave();
        heir.leave();
    }
    EXPECT_GT(steps, 1000u) << "it was not stepped";
}

// A claim that its guest never comes back for keeps nobody waiting longer than a call can last.
TEST(RvsGrace, EndsWhereCallsDo)
{
    Limits limits = World::small();
    limits.clock_hz = 1'000'000'000;
    limits.call_ms = 20;
    World world{limits};
    Guest receiver{world, 0};
    Guest attacker{world, 1};
    receiver.join();
    attacker.join();
    attacker.desc(0, {attacker.stage(frame(broadcast, mac(2))), 64});
    {
        Stepped stepped{[&] { world->call(attacker.id(), RVIF_OP_TX, 0, 1, 0, cpu); }};
        for (int i = 0; i < 100 && stepped.alive(); ++i)
            stepped.step();
        ASSERT_TRUE(stepped.alive());
    }
    ASSERT_EQ(receiver.call(RVIF_OP_STOP), -RVIF_E_BUSY) << "it may still be under way";
    const auto limit = std::chrono::steady_clock::now() + std::chrono::seconds{5};
    std::int64_t answer = -RVIF_E_BUSY;
    while (answer == -RVIF_E_BUSY && std::chrono::steady_clock::now() < limit)
        answer = receiver.call(RVIF_OP_STOP);
    EXPECT_EQ(answer, 0);
}

} // namespace
} // namespace rvs::test

// SPDX-License-Identifier: Apache-2.0
// Calls that are stopped at an instruction: killed there, frozen there, or cut short there. These
// are the objects that go into a sub context; with sanitizers there would be fifty times the
// instructions.
#include "net.hpp"
#include "policy.hpp"
#include "stepped.hpp"
#include "world.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <iterator>

namespace rvs::test {
namespace {

using Frames = std::vector<Bytes>;

// What the receiver sees after each instruction is a row of whole frames; and killed there, the
// sender leaves a lane on which its heir goes on.
TEST(RvsStepped, AtEveryInstructionThereAreWholeFramesOnly)
{
    World world;
    Guest receiver{world, 0, {.depth = 64, .buf_len = 64, .buffers = 64}};
    receiver.join();
    // 5 + 1 + 3 buffers.
    const Frames burst{frame(mac(9), mac(2), 300, 1), frame(mac(9), mac(2), 60, 2),
                       frame(mac(9), mac(2), 170, 3)};
    constexpr std::uint32_t entries = 9;
    const std::uint32_t ends[] = {0, 5, 6, 9};

    std::uint32_t steps = 0;
    std::uint32_t first_inside = 0; // something is stored
    std::uint32_t last_inside = 0;  // all is
    const auto run = [&](std::uint32_t stop_at) {
        Guest victim{world, 1};
        victim.join();
        const std::int64_t source = victim.source();
        receiver.call(RVIF_OP_STOP);
        receiver.set_up();
        ASSERT_EQ(receiver.call(RVIF_OP_START), 0);
        receiver.post(source, 40);
        for (std::uint32_t i = 0; i < 3; ++i) {
            const auto len = static_cast<std::uint32_t>(burst[i].size());
            victim.desc(i, {victim.stage(burst[i]), len, 0});
        }
        std::uint32_t shown = 0;
        {
            Stepped stepped{[&] { victim.transmit(3); }};
            for (steps = 0; stepped.alive() && steps < stop_at; ++steps) {
                stepped.step();
                shown = 0;
                while (shown < entries &&
                       (receiver.comp(source, shown) & RVIF_PHASE) == receiver.phase(shown))
                    ++shown;
                ASSERT_TRUE(std::find(std::begin(ends), std::end(ends), shown) != std::end(ends))
                    << shown << " entries after " << steps << " instructions";
                const bool last = (receiver.comp(source, entries - 1) & RVIF_PHASE) != 0;
                if (last && shown < entries && first_inside == 0)
                    first_inside = steps;
                if (shown == entries && last_inside == 0)
                    last_inside = steps;
            }
        }
        victim.leave();
        Guest heir{world, 2};
        heir.join();
        ASSERT_EQ(heir.source(), source);
        const Bytes f = frame(mac(9), mac(3), 150, steps);
        ASSERT_EQ(heir.send(f), 1);
        Frames expected;
        for (std::size_t i = 0; ends[i] < shown; ++i)
            expected.push_back(burst[i]);
        expected.push_back(f);
        ASSERT_EQ(receiver.receive_all(source), expected) << "killed after " << steps;
        heir.leave();
    };
    run(~0u);
    const std::uint32_t whole = steps;
    ASSERT_GT(whole, 500u) << "it was not stepped";
    ASSERT_GT(first_inside, 0u);
    ASSERT_GT(last_inside, first_inside);
    RecordProperty("instructions", static_cast<int>(whole));
    for (std::uint32_t i = 0; i < 10 && !HasFailure(); ++i)
        run(whole * i / 10);
    // Closer where the completions are stored.
    for (std::uint32_t i = 0; i < 25 && !HasFailure(); ++i)
        run(first_inside + (last_inside - first_inside + 60) * i / 25);
}

// Frozen at every single instruction of a call that does a bit of everything, a source stops
// nobody: another one sends to the same receivers, a third port joins and leaves, the manager reads
// on.
TEST(RvsStepped, FrozenAtAnyInstructionItStopsNobody)
{
    Limits limits = World::small();
    limits.clock_hz = 1'000'000'000;
    World world{limits};
    Guest receiver{world, 0, {.depth = 256, .buf_len = 256, .buffers = 300}};
    Guest tapped{world, 1, {.depth = 256, .buf_len = 256, .buffers = 300}};
    Guest other{world, 2};
    Guest victim{world, 3};
    receiver.join();
    PortOptions watched;
    watched.mirror_to = PortId{0};
    tapped.join(watched);
    other.join();
    PortOptions limited;
    limited.rate_bytes = 1'000'000'000'000;
    limited.storm_frames = 1'000'000'000;
    limited.mac_limit = 10;
    victim.join(limited);
    EXPECT_EQ(receiver.send(frame(broadcast, mac(1))), 1);
    EXPECT_EQ(tapped.send(frame(broadcast, mac(2))), 1);
    for (Guest *g : {&receiver, &tapped})
        g->post(victim.source(), 120);

    // Known and unknown unicast, broadcast, a chain, a super frame, a bad one.
    const Bytes small = frame(mac(1), mac(4), 64);
    const Bytes big = packet({.tcp = true, .payload = 600, .to_mac = mac(2), .from_mac = mac(4)});
    std::uint32_t n = 0;
    for (int i = 0; i < 3; ++i)
        victim.desc(n++, {victim.stage(small), small.size()});
    victim.desc(n++, {victim.stage(frame(mac(2), mac(4), 400)), 400});
    victim.desc(n++, {victim.stage(frame(broadcast, mac(4), 300)), 300});
    victim.desc(n++, {victim.stage(frame(mac(99), mac(5), 80)), 80});
    victim.desc(n++, {victim.stage(small), 20, RVIF_TX_MORE});
    victim.desc(n++, {victim.stage(small), 44});
    victim.desc(n++, {victim.stage(big), big.size(), RVIF_TX_TSO, 0, 100});
    victim.desc(n++, {RVIF_ADDR(7ull, 0), 64});

    Stepped stepped{[&] { victim.transmit(n); }};
    std::uint32_t steps = 0;
    std::uint32_t inside = 0;
    for (; stepped.alive() && !HasFailure(); ++steps) {
        stepped.step();
        const Bytes ping = frame(broadcast, mac(3), 90, steps);
        for (Guest *g : {&receiver, &tapped})
            g->post(other.source(), 2);
        ASSERT_EQ(other.send(ping), 1);
        // The receiver is also the tapped port's mirror, but gets a broadcast once.
        ASSERT_EQ(receiver.receive_all(other.source()), Frames{ping}) << "after " << steps;
        ASSERT_EQ(tapped.receive_all(other.source()), Frames{ping}) << "after " << steps;
        if (steps % 64 == 0) {
            Guest visitor{world, 4};
            visitor.join();
            receiver.post(visitor.source(), 1);
            ASSERT_EQ(visitor.send(frame(mac(1), mac(6))), 1);
            ASSERT_EQ(receiver.receive_all(visitor.source()).size(), 1u);
            visitor.leave();
            if (steps % 1024 == 0)
                world->tick(); // not so often that addresses are forgotten
            PortStats stats;
            ASSERT_TRUE(world->port_stats(victim.id(), stats));
            inside += victim.transmit(0) == -RVIF_E_BUSY ? 1 : 0;
        }
    }
    EXPECT_GT(steps, 3000u) << "it was not stepped";
    EXPECT_GT(inside, 20u) << "it was not inside the call";
    RecordProperty("instructions", static_cast<int>(steps));
    // And all that it sent is there: 3, the chain and the copies of broadcast, unknown unicast, and
    // what port 1 got. The super frame was cut into six.
    const auto at_receiver = receiver.receive_all(victim.source());
    const auto at_tapped = tapped.receive_all(victim.source());
    EXPECT_EQ(at_tapped.size(), 1u + 1 + 1 + 6);
    EXPECT_EQ(at_receiver.size(), 4u + 1 + 1 + 1 + 6);
}

// A burst that scatters, from an access port that is made one of tagged VLANs alone before any of
// the call's instructions: it reaches its old VLAN or nobody, not the ports that know no VLANs.
TEST(RvsStepped, PortWhoseVlanChangesUnderACallReachesNobodyOutsideOfIt)
{
    World world;
    const std::uint16_t ten[] = {10};
    PortOptions access;
    access.native_vlan = 10;
    PortOptions tagged_alone;
    tagged_alone.trunk = ten;
    tagged_alone.trunk_count = 1;
    Guest sender{world, 0};
    Guest inside[] = {{world, 1}, {world, 2}};
    Guest outside[] = {{world, 3}, {world, 4}};
    sender.join(access);
    for (std::uint32_t i = 0; i < 2; ++i) { // the same two addresses in both VLANs
        inside[i].join(access);
        outside[i].join();
        ASSERT_EQ(inside[i].send(frame(broadcast, mac(i))), 1);
        ASSERT_EQ(outside[i].send(frame(broadcast, mac(i))), 1);
        outside[i].post(sender.source(), 64);
    }
    constexpr std::uint32_t n = 12;
    for (std::uint32_t i = 0; i < n; ++i)
        sender.desc(i, {sender.stage(frame(mac(i % 2), mac(5), 60 + i, i)), 60 + i});
    const auto arrived = [&](Guest *guests) {
        return guests[0].stats().frames.rx_frames + guests[1].stats().frames.rx_frames;
    };
    const auto send = [&] { sender.transmit(n); };
    // Whether the call whose port is changed after so many instructions goes on with the old VLAN.
    const auto goes_on = [&](std::uint32_t after) {
        send(); // so it knows that they scatter
        for (Guest &g : inside) {
            g.receive_all(sender.source());
            g.post(sender.source(), 64);
        }
        const std::uint64_t before = arrived(inside);
        {
            Stepped call{send};
            for (std::uint32_t i = 0; i < after && call.alive(); ++i)
                call.step();
            EXPECT_EQ(world->port_policy(sender.id(), tagged_alone), Error::none);
            call.finish();
        }
        EXPECT_EQ(arrived(outside), 0u) << "after " << after << " instructions";
        EXPECT_EQ(world->port_policy(sender.id(), access), Error::none);
        return arrived(inside) != before;
    };
    std::uint32_t not_yet = 0;
    std::uint32_t looked = 1 << 14;
    EXPECT_FALSE(goes_on(not_yet));
    EXPECT_TRUE(goes_on(looked));
    while (looked - not_yet > 1) {
        const std::uint32_t middle = (not_yet + looked) / 2;
        (goes_on(middle) ? looked : not_yet) = middle;
    }
    // It looks at its VLAN there, for the last time.
    ASSERT_GT(looked, 60u) << "it was not stepped";
    for (std::uint32_t after = looked - 60; after < looked + 10 && !HasFailure(); ++after)
        goes_on(after);
}

// An address that is being learned when the manager gives it to another port, before any of the
// call's instructions: from the next tick on, that port alone has it.
TEST(RvsStepped, AddressThatIsGivenAwayWhileItIsLearnedIsItsOwnersAlone)
{
    World world;
    Guest thief{world, 0};
    Guest owner{world, 1};
    thief.join();
    owner.join();
    const std::uint64_t address = word(mac(7));
    const Bytes stolen = frame(broadcast, mac(7));
    thief.desc(0, {thief.stage(stolen), stolen.size()});
    const auto send = [&] { thief.transmit(1); };
    const auto entries = [&] {
        std::vector<FdbEntry> found;
        FdbEntry some[64];
        std::size_t cursor = 0;
        while (const std::size_t n = world->fdb_read(cursor, some, std::size(some))) {
            std::copy_if(some, some + n, std::back_inserter(found),
                         [&](const FdbEntry &entry) { return entry.mac == address; });
        }
        return found;
    };

    std::uint32_t learned = 0; // after so many instructions
    {
        Stepped call{send};
        for (; call.alive() && entries().empty(); ++learned)
            call.step();
    }
    ASSERT_GT(learned, 100u) << "it was not stepped";
    ASSERT_EQ(world->mac_remove(address, 0), Error::none);
    thief.leave(); // that call was killed
    thief.join();
    std::uint32_t twice = 0;
    for (std::uint32_t after = learned - 100; after < learned + 3 && !HasFailure(); ++after) {
        {
            Stepped call{send};
            for (std::uint32_t i = 0; i < after; ++i)
                call.step();
            ASSERT_EQ(world->mac_add(owner.id(), address, 0), Error::none);
            call.finish();
        }
        twice += entries().size() > 1 ? 1 : 0;
        world->tick();
        const auto left = entries();
        ASSERT_EQ(left.size(), 1u) << "after " << after << " instructions";
        ASSERT_TRUE(left[0].is_static && left[0].port == owner.id());
        ASSERT_EQ(world->mac_remove(address, 0), Error::none);
    }
    EXPECT_GT(twice, 0u) << "the manager never came between look and exchange";
}

// A neighbour whose call takes an address, and is cut short before any of the instructions that do:
// whose it was can go on, with as many addresses as it may have.
TEST(RvsStepped, NeighbourThatIsCutShortFillsNobodysLimit)
{
    World world;
    Guest victim{world, 0};
    Guest thief{world, 1};
    PortOptions one;
    one.mac_limit = 1;
    victim.join(one);
    thief.join();
    const Bytes own = frame(broadcast, mac(7));
    thief.desc(0, {thief.stage(own), own.size()});
    ASSERT_EQ(victim.send(own), 1);
    const auto at_thief = [&] {
        FdbEntry some[16];
        std::size_t cursor = 0;
        const std::size_t n = world->fdb_read(cursor, some, std::size(some));
        return std::any_of(some, some + n,
                           [&](const FdbEntry &entry) { return entry.port == thief.id(); });
    };
    std::uint32_t moved = 0; // after so many instructions
    {
        Stepped call{[&] { thief.transmit(1); }};
        for (; call.alive() && !at_thief(); ++moved)
            call.step();
    }
    ASSERT_GT(moved, 100u) << "it was not stepped";
    for (std::uint32_t after = moved - 60; after < moved + 60; ++after) {
        thief.leave(); // that call was killed
        thief.join();
        ASSERT_EQ(victim.send(own), 1);
        {
            Stepped call{[&] { thief.transmit(1); }};
            for (std::uint32_t i = 0; i < after && call.alive(); ++i)
                call.step();
        }
        ASSERT_EQ(victim.send(own), 1);
        ASSERT_EQ(victim.drops(RVIF_DROP_MAC_LIMIT), 0u) << "after " << after << " instructions";
    }
}

// What a call counts for a port that is closed under it, and perhaps opened for somebody else, is
// in one of the two's counters.
TEST(RvsStepped, NothingThatIsCountedForAPortWhichClosesIsLost)
{
    World world;
    Guest sender{world, 0};
    Guest receiver{world, 1};
    sender.join();
    constexpr std::uint32_t n = 8;
    for (std::uint32_t i = 0; i < n; ++i)
        sender.desc(i, {sender.stage(frame(broadcast, mac(5), 60 + i, i)), 60 + i});
    const auto outcomes = [](const PortStats &stats) {
        std::uint64_t sum = stats.frames.rx_frames;
        for (const rvif_drop reason : {RVIF_DROP_NO_BUFFER, RVIF_DROP_NOT_READY,
                                       RVIF_DROP_RX_TOO_BIG, RVIF_DROP_RX_BAD_BUFFER})
            sum += stats.frames.drops[reason];
        return sum;
    };
    std::uint32_t late[2] = {};
    bool alive = true;
    for (std::uint32_t after = 0; alive; after += 97) {
        for (const bool opened_again : {false, true}) {
            receiver.join();
            receiver.post(sender.source(), 64);
            const std::uint64_t copies = sender.stats().copies;
            PortStats first{};
            std::uint64_t at_its_end = 0;
            {
                Stepped call{[&] { sender.transmit(n); }};
                for (std::uint32_t i = 0; i < after && call.alive(); ++i)
                    call.step();
                alive = call.alive();
                at_its_end = outcomes(receiver.stats());
                receiver.leave();
                if (opened_again) {
                    ASSERT_EQ(world->port_open(receiver.id(), {}, &first), Error::none);
                }
                call.finish();
            }
            const std::uint64_t counted = outcomes(first) + outcomes(receiver.stats());
            ASSERT_EQ(counted, sender.stats().copies - copies)
                << "after " << after << " instructions";
            late[opened_again ? 1 : 0] += counted != at_its_end ? 1 : 0;
            if (opened_again)
                receiver.leave();
        }
    }
    EXPECT_GT(late[0], 5u) << "it was not closed under a call";
    EXPECT_GT(late[1], 5u) << "it was not closed under a call";
}

// The manager dies while it opens a port: its successor can close it, if it is there, and open it.
TEST(RvsStepped, PortThatWasBeingOpenedIsNotLost)
{
    const auto usable = [](World &world, PortId id) {
        if ((world->ports() >> 3 & 1) != 0 && world->port_close(id) != Error::none)
            return false;
        PortOptions options;
        options.mac = word(mac(7));
        return world->port_open(PortId{9}, options) == Error::none && // the address is free
               world->port_close(PortId{9}) == Error::none &&
               world->port_open(id, options) == Error::none && world->port_close(id) == Error::none;
    };
    constexpr PortId id{3};
    World world;
    const auto open = [&] {
        PortOptions options;
        options.mac = word(mac(7));
        static_cast<void>(world->port_open(id, options));
    };
    std::uint32_t all = 0; // its instructions
    for (Stepped stepped{open}; stepped.alive(); ++all)
        stepped.step();
    ASSERT_GT(all, 1000u) << "it was not stepped";
    ASSERT_TRUE(usable(world, id));
    // That it can be used is said at the end; behind that is what a process does when it ends.
    const std::uint32_t last = all - 60;
    for (std::uint32_t steps = 0; steps < all; steps += steps < last ? last / 8 : 1) {
        {
            Stepped stepped{open};
            for (std::uint32_t i = 0; i < steps && stepped.alive(); ++i)
                stepped.step();
        }
        ASSERT_TRUE(usable(world, id)) << "killed after " << steps;
    }
}

// A mirror is switched on in the middle of a call: what is on its way to one port goes there.
TEST(RvsStepped, MirrorThatIsSwitchedOnUnderACallTakesNobodysFrames)
{
    Net net;
    for (int port = 0; port < 2; ++port)
        net.add();
    // Its lane has the same place among those that a call fills as port 1's.
    Guest tap{net.world, 17, {.buffers = 700}};
    PortOptions capture;
    capture.capture = true;
    tap.join(capture);
    net.introduce(1, 2);
    std::vector<Bytes> frames;
    for (std::uint32_t i = 0; i < 6; ++i)
        frames.push_back(frame(mac(2), mac(1), 80, i));
    Guest &sender = net[0];
    std::uint32_t steps = 0;
    std::uint32_t mirrored = 0;
    for (bool cut = true; cut && !HasFailure(); steps += 5) {
        tap.post(sender.source(), 40);
        std::uint32_t n = 0;
        for (const Bytes &f : frames) {
            const rvif_addr_t at = sender.stage(f);
            if (n == 2) { // in pieces: it is looked at on its own
                sender.desc(n++, {at, 40, RVIF_TX_MORE});
                sender.desc(n++, {at + 40, f.size() - 40});
            } else {
                sender.desc(n++, {at, f.size()});
            }
        }
        {
            Stepped call{[&] { sender.transmit(n); }};
            for (std::uint32_t i = 0; i < steps && call.alive(); ++i)
                call.step();
            cut = call.alive();
            ASSERT_EQ(net.world->port_tap(sender.id(), tap.id(), true), Error::none);
            call.finish();
        }
        ASSERT_EQ(net.world->port_tap(sender.id(), tap.id(), false), Error::none);
        std::vector<Bytes> got;
        for (const Out &out : net.take())
            got.push_back(out.frame);
        ASSERT_EQ(got, frames) << "after " << steps << " instructions";
        mirrored += tap.receive_all(sender.source()).empty() ? 0 : 1;
    }
    EXPECT_GT(steps, 200u) << "it was not stepped";
    EXPECT_GT(mirrored, 5u);
}

// Frozen at any instruction where it looks whether its port may still send, a queue changes nothing
// for the port's others: not even two of them that are about to be refused.
TEST(RvsStepped, QueuesThatAreBeingRefusedLetNobodyThrough)
{
    constexpr std::uint64_t now = std::uint64_t{1} << 40;
    struct Shared {
        Bucket bucket;
        std::atomic<std::uint32_t> refused;
    };
    const Memory memory{sizeof(Shared)};
    auto &shared = *reinterpret_cast<Shared *>(memory.data());
    Bucket &bucket = shared.bucket;
    bucket.cost = std::uint64_t{1} << Bucket::cost_bits;
    bucket.tolerance = 125'000;
    std::uint32_t steps = 0;
    for (; shared.refused != 2 && !HasFailure(); ++steps) {
        shared.refused = 0;
        bucket.paid = now + 125'000; // used up
        const auto large = [&] { shared.refused += bucket.take(RVIF_MAX_FRAME, now) ? 0 : 1; };
        Stepped one{large};
        Stepped other{large};
        for (std::uint32_t i = 0; i < steps; ++i) {
            one.step();
            other.step();
        }
        ASSERT_FALSE(bucket.take(64, now)) << "after " << steps << " instructions";
    }
    EXPECT_GT(steps, 20u) << "it was not stepped";
}

// ------------------------------------------------------- calls that are cut short

// A crossing that is cut short at an instruction, then RVIF_OP_RECOVER and the rest of the burst
// from the same vCPU: each frame arrives once.
struct Cut : testing::Test {
    static constexpr std::uint32_t cpu = 5;

    Cut()
    {
        receiver.join();
        second.join();
        victim.join();
        EXPECT_EQ(receiver.send(frame(broadcast, mac(1))), 1);
        EXPECT_EQ(second.send(frame(broadcast, mac(2))), 1);
    }
    void load(const Frames &frames)
    {
        for (std::uint32_t i = 0; i < frames.size(); ++i)
            victim.desc(i, {victim.stage(frames[i]), frames[i].size()});
    }
    std::int64_t call(std::uint64_t op, std::uint64_t a2, std::uint64_t a3 = 0,
                      std::uint32_t from = cpu)
    {
        return world->call(victim.id(), op, 0, a2, a3, from);
    }
    // A call that is stopped after so many instructions; false: it was through.
    template <typename Body>
    static bool cut_after(std::uint32_t after, Body body)
    {
        Stepped stepped{body};
        for (std::uint32_t i = 0; i < after && stepped.alive(); ++i)
            stepped.step();
        return stepped.alive();
    }
    // One of n frames.
    bool cut(std::uint32_t n, std::uint64_t number, std::uint32_t after)
    {
        return cut_after(after, [&] { call(RVIF_OP_TX, n, number); });
    }
    void post()
    {
        receiver.post(victim.source(), 64);
        second.post(victim.source(), 64);
    }

    // Frames of one buffer that a receiver had before, if the test counts them.
    [[nodiscard]] std::uint32_t taken(const Guest &g) const
    {
        return frames_taken[&g == &receiver ? 0 : 1];
    }
    std::uint32_t frames_taken[2] = {};

    World world;
    Guest receiver{world, 0, {.buf_len = 128, .buffers = 100}};
    Guest second{world, 1, {.buf_len = 128, .buffers = 100}};
    Guest victim{world, 2};
};

TEST_F(Cut, BurstToOneReceiverArrivesOnceAndInOrder)
{
    // Some take two buffers, one is longer than a copy in place.
    Frames frames;
    for (std::uint32_t i = 0; i < 12; ++i)
        frames.push_back(frame(mac(1), mac(3), i % 4 == 3 ? 200 : 60 + i, i));
    std::uint64_t number = 0;
    std::uint32_t resumed[13] = {};
    const auto run = [&](std::uint32_t after) {
        post();
        load(frames);
        const bool was_cut = cut(12, ++number, after);
        const std::int64_t consumed = call(RVIF_OP_RECOVER, number);
        ASSERT_GE(consumed, 0);
        ASSERT_LE(consumed, 12);
        ASSERT_EQ(call(RVIF_OP_RECOVER, number), consumed) << "any number of times";
        ++resumed[consumed];
        load(Frames(frames.begin() + consumed, frames.end()));
        ASSERT_EQ(call(RVIF_OP_TX, 12 - static_cast<std::uint64_t>(consumed), ++number),
                  12 - consumed);
        ASSERT_EQ(receiver.receive_all(victim.source()), frames)
            << "cut after " << after << ", consumed " << consumed;
        if (!was_cut) {
            ASSERT_EQ(consumed, 12);
        }
    };
    // How many instructions are there?
    post();
    load(frames);
    std::uint32_t whole = 0;
    {
        Stepped stepped{[&] { call(RVIF_OP_TX, 12, ++number); }};
        for (; stepped.alive(); ++whole)
            stepped.step();
    }
    ASSERT_EQ(receiver.receive_all(victim.source()), frames);
    number = 100; // the child counted for itself
    constexpr std::uint32_t points = 20;
    for (std::uint32_t i = 0; i <= points && !HasFailure(); ++i)
        run(whole / points * i);
    // The end of the call, where it publishes, at each instruction.
    for (std::uint32_t i = whole > 900 ? whole - 900 : 0; i < whole && !HasFailure(); i += 11)
        run(i);
    EXPECT_GT(resumed[0], 2u);
    EXPECT_GT(resumed[3], 10u); // a run ends, and is shown, before the first that takes two buffers
    EXPECT_GT(resumed[12], 10u);
    EXPECT_EQ(victim.drops(RVIF_DROP_INTERRUPTED), 0u);
}

// The shortest way through the switch, at each of its instructions.
TEST_F(Cut, FrameThatIsAloneInItsCallArrivesOnce)
{
    const Frames known{frame(mac(1), mac(3), 70)};
    post();
    ASSERT_EQ(victim.send(frame(mac(1), mac(3))), 1);
    ASSERT_EQ(receiver.receive_all(victim.source()).size(), 1u);
    std::uint64_t number = 0;
    std::uint32_t resumed[2] = {};
    bool was_cut = true;
    for (std::uint32_t after = 0; was_cut && !HasFailure(); ++after) {
        post();
        load(known);
        was_cut = cut(1, ++number, after);
        const std::int64_t consumed = call(RVIF_OP_RECOVER, number);
        ASSERT_TRUE(consumed == 0 || consumed == 1) << consumed;
        ++resumed[consumed];
        if (consumed == 0) {
            ASSERT_EQ(call(RVIF_OP_TX, 1, ++number), 1);
        }
        ASSERT_EQ(receiver.receive_all(victim.source()), known)
            << "cut after " << after << ", consumed " << consumed;
    }
    EXPECT_GT(resumed[0], 100u);
    EXPECT_GT(resumed[1], 20u);
    EXPECT_EQ(victim.drops(RVIF_DROP_INTERRUPTED), 0u);
}

TEST_F(Cut, BurstToSeveralReceiversNeverArrivesTwiceAndWhatIsLostIsCounted)
{
    Frames frames;
    for (std::uint32_t i = 0; i < 12; ++i) {
        const auto to = i % 4 == 0 ? mac(1) : i % 4 == 1 ? mac(2) : i % 4 == 2 ? broadcast : mac(9);
        frames.push_back(frame(to, mac(3), 60 + i, i));
    }
    Frames at_first;
    Frames at_second;
    for (std::uint32_t i = 0; i < 12; ++i) {
        if (i % 4 != 1)
            at_first.push_back(frames[i]);
        if (i % 4 != 0)
            at_second.push_back(frames[i]);
    }
    std::uint64_t number = 0;
    std::uint32_t whole = 0;
    post();
    load(frames);
    {
        Stepped stepped{[&] { call(RVIF_OP_TX, 12, ++number); }};
        for (; stepped.alive(); ++whole)
            stepped.step();
    }
    ASSERT_EQ(receiver.receive_all(victim.source()), at_first);
    ASSERT_EQ(second.receive_all(victim.source()), at_second);
    number = 100; // the child counted for itself
    std::uint64_t lost_before = 0;
    std::uint64_t lossy = 0;
    const auto run = [&](std::uint32_t after) {
        post();
        load(frames);
        cut(12, ++number, after);
        const std::int64_t consumed = call(RVIF_OP_RECOVER, number);
        ASSERT_GE(consumed, 0);
        load(Frames(frames.begin() + consumed, frames.end()));
        ASSERT_EQ(call(RVIF_OP_TX, 12 - static_cast<std::uint64_t>(consumed), ++number),
                  12 - consumed);
        const Frames first = receiver.receive_all(victim.source());
        const Frames other = second.receive_all(victim.source());
        const std::uint64_t lost = victim.drops(RVIF_DROP_INTERRUPTED) - lost_before;
        lost_before += lost;
        lossy += lost != 0 ? 1 : 0;
        ASSERT_EQ(first.size() + other.size() + lost, at_first.size() + at_second.size())
            << "cut after " << after << ", consumed " << consumed;
        if (lost == 0) {
            ASSERT_EQ(first, at_first) << after;
            ASSERT_EQ(other, at_second) << after;
        }
    };
    constexpr std::uint32_t points = 20;
    for (std::uint32_t i = 0; i <= points && !HasFailure(); ++i)
        run(whole / points * i);
    // Its end, closer. The later calls are shorter than the first one: lanes and addresses are
    // known.
    for (std::uint32_t i = whole > 3000 ? whole - 3000 : 0; i < whole && !HasFailure(); i += 29)
        run(i);
    EXPECT_GT(lossy, 0u) << "it was never between two receivers";
}

// Single buffers to known receivers, by turns: whatever was copied when the first became visible is
// there in the end.
TEST_F(Cut, BurstThatIsScatteredLosesNothing)
{
    Frames frames;
    Frames at_first;
    Frames at_second;
    for (std::uint32_t i = 0; i < 12; ++i) {
        // Completions go backwards: long before the second receiver's first, the first one's is
        // there.
        const bool to_second = i < 5 || i % 3 == 0;
        frames.push_back(frame(to_second ? mac(2) : mac(1), mac(3), 60 + i, i));
        (to_second ? at_second : at_first).push_back(frames.back());
    }
    std::uint64_t number = 100;
    std::uint32_t within = 0; // one receiver had its frames, the other had not
    const auto shown = [&](Guest &g) {
        return (g.comp(victim.source(), taken(g)) & RVIF_PHASE) == g.phase(taken(g));
    };
    const auto run = [&](std::uint32_t after) {
        post();
        load(frames);
        const bool was_cut = cut(12, ++number, after);
        within += shown(receiver) != shown(second) ? 1 : 0;
        const std::int64_t consumed = call(RVIF_OP_RECOVER, number);
        ASSERT_TRUE(consumed == 0 || consumed == 12) << consumed;
        ASSERT_EQ(call(RVIF_OP_RECOVER, number), consumed) << "any number of times";
        load(Frames(frames.begin() + consumed, frames.end()));
        ASSERT_EQ(call(RVIF_OP_TX, 12 - static_cast<std::uint64_t>(consumed), ++number),
                  12 - consumed);
        ASSERT_EQ(receiver.receive_all(victim.source()), at_first) << "cut after " << after;
        ASSERT_EQ(second.receive_all(victim.source()), at_second) << "cut after " << after;
        frames_taken[0] += static_cast<std::uint32_t>(at_first.size());
        frames_taken[1] += static_cast<std::uint32_t>(at_second.size());
        if (!was_cut) {
            ASSERT_EQ(consumed, 12);
        }
    };
    run(~0u); // from now on it knows that they scatter
    std::uint32_t whole = 0;
    std::uint32_t first_shown = 0;
    std::uint32_t all_shown = 0;
    post();
    load(frames);
    {
        Stepped stepped{[&] { call(RVIF_OP_TX, 12, ++number); }};
        for (; stepped.alive(); ++whole) {
            stepped.step();
            first_shown += shown(receiver) ? 0 : 1;
            all_shown += shown(receiver) && shown(second) ? 0 : 1;
        }
    }
    ASSERT_EQ(receiver.receive_all(victim.source()), at_first);
    ASSERT_EQ(second.receive_all(victim.source()), at_second);
    frames_taken[0] += static_cast<std::uint32_t>(at_first.size());
    frames_taken[1] += static_cast<std::uint32_t>(at_second.size());
    number += 10; // the child counted for itself
    for (std::uint32_t i = 0; i < 30 && !HasFailure(); ++i)
        run(whole / 30 * i);
    // And closely where the batch becomes visible, and where the lanes get their ends.
    for (std::uint32_t i = first_shown - 60; i < all_shown + 100 && !HasFailure(); i += 2)
        run(i);
    EXPECT_GT(within, 3u) << "it was never between two receivers";
    EXPECT_EQ(victim.drops(RVIF_DROP_INTERRUPTED), 0u);
}

TEST_F(Cut, OnlyTheSameCpuGoesOn)
{
    post();
    load({frame(mac(1), mac(3))});
    ASSERT_TRUE(cut(1, 1, 300));
    EXPECT_EQ(call(RVIF_OP_TX, 1, 2, cpu + 1), -RVIF_E_BUSY);
    EXPECT_EQ(call(RVIF_OP_TX, 1, 2, cpu + 0x10000), -RVIF_E_BUSY);
    EXPECT_EQ(call(RVIF_OP_RECOVER, 1, 0, cpu + 1), -RVIF_E_BUSY);
    EXPECT_EQ(call(RVIF_OP_RECOVER, 1, 0, Switch::any_cpu), -RVIF_E_BUSY);
    EXPECT_EQ(call(RVIF_OP_TX, 1, 2), 1) << "without asking how far it was, too";
    EXPECT_EQ(receiver.receive_all(victim.source()).size(), 1u);
    EXPECT_EQ(call(RVIF_OP_RECOVER, 77), 0) << "a call that never was";
    EXPECT_EQ(world->call(victim.id(), RVIF_OP_RECOVER, 8, 0, 0, cpu), -RVIF_E_QUEUE);
}

// Stopped and started again with one of the calls cut short, and done again: the port has its
// source, sends and is sent to.
TEST_F(Cut, EachControlCallCanBeDoneAgain)
{
    struct Step {
        rvif_op op;
        std::uint64_t setup;
        std::uint32_t stride;
    };
    const Step steps[] = {{RVIF_OP_STOP, 0, 37},
                          {RVIF_OP_TX_SETUP, RVIF_ADDR(0ull, Guest::tx_setup_at), 23},
                          {RVIF_OP_RX_SETUP, RVIF_ADDR(0ull, Guest::rx_setup_at), 17},
                          {RVIF_OP_START, 0, 11}};
    const std::int64_t source = victim.source();
    const Frames hello{frame(mac(1), mac(3), 70)};
    std::uint64_t number = 0;
    for (const Step &which : steps) {
        std::uint32_t cuts = 0;
        bool was_cut = true;
        for (std::uint32_t after = 0; was_cut && !HasFailure(); after += which.stride) {
            for (const Step &step : steps) {
                if (&step == &which) {
                    was_cut = cut_after(after, [&] { call(step.op, step.setup); });
                    cuts += was_cut ? 1 : 0;
                }
                const std::int64_t answer = call(step.op, step.setup);
                // Its last instructions come behind the claim's end: then it is through.
                const bool through =
                    &step == &which && step.op == RVIF_OP_START && answer == -RVIF_E_STATE;
                ASSERT_TRUE(through || answer == (step.op == RVIF_OP_TX_SETUP ? source : 0))
                    << step.op << " answers " << answer << ", " << which.op << " cut after "
                    << after;
            }
            const std::vector<std::uint32_t> live = receiver.sources();
            ASSERT_TRUE(std::find(live.begin(), live.end(), source) != live.end())
                << which.op << " cut after " << after;
            receiver.post(source, 1);
            load(hello);
            ASSERT_EQ(call(RVIF_OP_TX, 1, ++number), 1) << which.op << " cut after " << after;
            ASSERT_EQ(receiver.receive_all(source), hello) << which.op << " cut after " << after;
            const std::uint64_t missed = victim.drops(RVIF_DROP_NO_BUFFER);
            ASSERT_EQ(second.send(frame(broadcast, mac(2))), 1);
            ASSERT_EQ(victim.drops(RVIF_DROP_NO_BUFFER), missed + 1)
                << which.op << " cut after " << after;
        }
        EXPECT_GT(cuts, 20u) << which.op << " was not stepped";
    }
}

TEST_F(Cut, ControlCallsAreDoneAgain)
{
    for (std::uint32_t after = 0; after < 4000; after += 197) {
        {
            Stepped stepped{[&] {
                world->call(victim.id(), RVIF_OP_STOP, 0, 0, 0, cpu);
                world->call(victim.id(), RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, Guest::tx_setup_at),
                            0, cpu);
                world->call(victim.id(), RVIF_OP_RX_SETUP, 0, RVIF_ADDR(0ull, Guest::rx_setup_at),
                            0, cpu);
                world->call(victim.id(), RVIF_OP_START, 0, 0, 0, cpu);
            }};
            for (std::uint32_t i = 0; i < after && stepped.alive(); ++i)
                stepped.step();
        }
        ASSERT_EQ(world->call(victim.id(), RVIF_OP_STOP, 0, 0, 0, cpu), 0) << after;
        victim.put(Guest::rx_setup_at, victim.rx_setup(0));
        ASSERT_GE(world->call(victim.id(), RVIF_OP_TX_SETUP, 0, RVIF_ADDR(0ull, Guest::tx_setup_at),
                              0, cpu),
                  0);
        ASSERT_EQ(world->call(victim.id(), RVIF_OP_RX_SETUP, 0, RVIF_ADDR(0ull, Guest::rx_setup_at),
                              0, cpu),
                  0);
        ASSERT_EQ(world->call(victim.id(), RVIF_OP_START, 0, 0, 0, cpu), 0);
    }
}

} // namespace
} // namespace rvs::test

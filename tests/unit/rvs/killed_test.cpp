// SPDX-License-Identifier: Apache-2.0
// A caller that is killed, at any instruction, harms nobody.
#include "packets.hpp"
#include "world.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>

namespace rvs::test {
namespace {

using Clock = std::chrono::steady_clock;
using Frames = std::vector<Bytes>;

constexpr std::uint32_t rounds = 60;

// A process that calls for ever, until it is killed after some microseconds.
template <typename Body>
void run_and_kill(std::uint32_t microseconds, Body body)
{
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        for (;;)
            body();
    }
    usleep(microseconds);
    ASSERT_EQ(kill(pid, SIGKILL), 0);
    int status = 0;
    ASSERT_EQ(waitpid(pid, &status, 0), pid);
    ASSERT_TRUE(WIFSIGNALED(status) && WTERMSIG(status) == SIGKILL)
        << "it ended by itself, status " << status;
}

TEST(RvsKilled, SenderLeavesReceiversThatAnybodyCanSendTo)
{
    World world;
    Guest receiver{world, 0, {.depth = 64, .buf_len = 256, .buffers = 200}};
    Guest other{world, 1};
    receiver.join();
    other.join();
    Random random{7};
    std::uint64_t whole = 0;
    std::uint64_t busy = 0;
    for (std::uint32_t round = 0; round < rounds; ++round) {
        Guest victim{world, 2};
        victim.join();
        const std::int64_t source = victim.source();
        ASSERT_EQ(source, 2);
        receiver.post(source, 64);
        // Frames of one and of three buffers, whose bytes all follow from their first.
        Frames burst;
        for (std::uint32_t i = 0; i < 24; ++i) {
            burst.push_back(frame(mac(9), mac(2), i % 3 == 0 ? 700 : 64 + i, i));
        }
        for (std::uint32_t i = 0; i < 24; ++i) {
            const auto len = static_cast<std::uint32_t>(burst[i].size());
            victim.desc(i, {victim.stage(burst[i]), len, 0});
        }
        const std::uint32_t n = 1 + random() % 24;
        std::uint32_t sent = 0;
        run_and_kill(200 + random() % 1500, [&] {
            // Empties the lane, so that all of publish() runs all the time.
            victim.transmit(n);
            if (++sent % 2 == 0)
                for (Bytes f; receiver.receive(source, f);) {
                }
            receiver.post(source, 64);
        });
        // The child's bookkeeping is lost with it: the receiver begins anew, too.
        const bool was_busy = victim.transmit(1) == -RVIF_E_BUSY;
        busy += was_busy ? 1 : 0;
        // In its death throes or not, others get through.
        const std::int64_t from_other = other.source();
        receiver.post(from_other, 4);
        const Bytes ping = frame(broadcast, mac(1), 99, round);
        ASSERT_EQ(other.send(ping), 1);
        victim.leave();

        Guest heir{world, 3};
        heir.join();
        ASSERT_EQ(heir.source(), source);
        const std::int64_t stopped = receiver.call(RVIF_OP_STOP);
        ASSERT_EQ(stopped, 0) << "the dead sender is gone";
        receiver.set_up();
        ASSERT_EQ(receiver.call(RVIF_OP_START), 0);
        receiver.post(source, 10);
        const Bytes f = frame(mac(9), mac(3), 500, round);
        ASSERT_EQ(heir.send(f), 1);
        ASSERT_EQ(receiver.receive_all(source), Frames{f});
        ++whole;
        heir.leave();
    }
    EXPECT_EQ(whole, rounds);
    RecordProperty("killed_inside_a_call", static_cast<int>(busy));
    EXPECT_GT(busy, 0u) << "no round killed it inside a call";
}

// The same with a receiver that does not restart: its lane must go on.
TEST(RvsKilled, LaneOfAKilledSenderGoesOnWithWholeFrames)
{
    World world;
    constexpr std::uint32_t depth = 64;
    Guest receiver{world, 0, {.depth = depth, .buf_len = 256, .buffers = 8}};
    receiver.join();
    Random random{8};
    const std::uint64_t payload = receiver.payload_at(); // unused by a receiver: 96 buffers
    const auto unit = [&](std::uint32_t i) {
        return static_cast<std::uint32_t>(payload / RVIF_BUF_UNIT) + (i % depth) * 4;
    };
    std::uint32_t next = 0;   // next completion to look at
    std::uint32_t posted = 0; // entries posted
    std::uint64_t busy = 0;
    std::uint64_t taken = 0;
    std::int64_t source = -1;
    const auto post = [&] {
        for (; posted - next < depth; ++posted)
            receiver.post_raw(source, posted, unit(posted));
    };
    // Reads one frame; checks that it is one that was sent, whole.
    const auto take = [&]() -> bool {
        if ((receiver.comp(source, next) & RVIF_PHASE) != receiver.phase(next))
            return false;
        Bytes bytes;
        for (bool more = true; more; ++next) {
            const std::uint64_t entry = receiver.comp(source, next);
            if ((entry & RVIF_PHASE) != receiver.phase(next)) {
                ADD_FAILURE() << "partial frame";
                return false;
            }
            more = (entry & RVIF_COMP_MORE) != 0;
            const std::uint8_t *data = receiver.memory().data() + std::uint64_t{unit(next)} * 64;
            bytes.insert(bytes.end(), data, data + (entry & RVIF_COMP_LEN_MASK));
        }
        if (bytes.size() < 64) {
            ADD_FAILURE() << "frame of " << bytes.size();
            return false;
        }
        const std::uint32_t seed = bytes[16];
        for (std::size_t i = 14; i < bytes.size(); ++i) {
            if (bytes[i] != static_cast<std::uint8_t>(seed)) {
                ADD_FAILURE() << "corrupt at " << i << " of " << bytes.size();
                return false;
            }
        }
        ++taken;
        return true;
    };
    for (std::uint32_t round = 0; round < rounds && !HasFailure(); ++round) {
        Guest victim{world, 1};
        victim.join();
        source = victim.source();
        ASSERT_EQ(source, 1);
        post();
        for (std::uint32_t i = 0; i < 24; ++i) {
            Bytes f = frame(mac(9), mac(2), i % 3 == 0 ? 700 : 64 + i);
            std::fill(f.begin() + 14, f.end(), static_cast<std::uint8_t>(round + i));
            victim.desc(i, {victim.stage(f), static_cast<std::uint32_t>(f.size()), 0});
        }
        const std::uint32_t n = 1 + random() % 24;
        const pid_t pid = fork();
        ASSERT_GE(pid, 0);
        if (pid == 0) {
            for (;;)
                victim.transmit(n);
        }
        // Receives while it sends, then kills it.
        const auto end = Clock::now() + std::chrono::microseconds(1000 + random() % 4000);
        while (Clock::now() < end) {
            if (take())
                post();
            else
                sched_yield();
        }
        ASSERT_EQ(kill(pid, SIGKILL), 0);
        ASSERT_EQ(waitpid(pid, nullptr, 0), pid);
        busy += victim.transmit(0) == -RVIF_E_BUSY ? 1 : 0;
        victim.leave();

        // The heir's first call makes the lane good again; everything in it is whole.
        Guest heir{world, 2};
        heir.join();
        ASSERT_EQ(heir.source(), source);
        const std::uint64_t before = receiver.stats().frames.rx_frames;
        std::uint32_t tries = 0;
        Bytes f = frame(mac(9), mac(3), 300);
        std::fill(f.begin() + 14, f.end(), 0xee);
        do {
            while (take()) {
            }
            post();
            ASSERT_EQ(heir.send(f), 1);
        } while (receiver.stats().frames.rx_frames == before && ++tries < 10);
        ASSERT_LT(tries, 10u) << "the lane is stuck";
        bool saw = false;
        while (take())
            saw = true;
        EXPECT_TRUE(saw) << "delivered, and not to be seen";
        heir.leave();
    }
    RecordProperty("killed_inside_a_call", static_cast<int>(busy));
    RecordProperty("frames", static_cast<int>(taken));
    EXPECT_GT(busy, 0u) << "no round killed it inside a call";
    EXPECT_GT(taken, rounds);
}

// A process that sends for ever; pause() stops it inside a call.
class Sending {
  public:
    Sending(Guest &guest, std::uint32_t frames) : guest_{guest}, pid_{fork()}
    {
        if (pid_ == 0) {
            for (;;)
                guest.transmit(frames);
        }
    }
    ~Sending() { end(); }
    void end()
    {
        if (pid_ > 0) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
        pid_ = -1;
    }
    Sending(const Sending &) = delete;
    Sending &operator=(const Sending &) = delete;

    bool pause()
    {
        for (int attempt = 0; attempt < 1000; ++attempt) {
            usleep(300);
            int status = 0;
            kill(pid_, SIGSTOP);
            waitpid(pid_, &status, WUNTRACED);
            if (guest_.transmit(0) == -RVIF_E_BUSY)
                return true;
            resume();
        }
        return false;
    }
    void resume() const { kill(pid_, SIGCONT); }

  private:
    Guest &guest_;
    pid_t pid_;
};

TEST(RvsPaused, SenderInsideACallStopsNobodyAndItsReceiversKnowThatItIsThere)
{
    World world;
    Guest receiver{world, 0, {.depth = 64, .buf_len = 65535, .buffers = 70}};
    Guest other{world, 1};
    Guest paused{world, 2};
    for (Guest *g : {&receiver, &other, &paused})
        g->join();
    for (std::uint32_t i = 0; i < 256; ++i)
        paused.desc(i, {paused.stage(frame(mac(9), mac(3), 1500)), 1500, 0});
    for (int round = 0; round < 10; ++round) {
        Sending sending{paused, 256};
        ASSERT_TRUE(sending.pause());

        // The others go on, to every destination.
        receiver.post(other.source(), 1);
        const Bytes f = frame(mac(9), mac(2), 200, static_cast<std::uint32_t>(round));
        ASSERT_EQ(other.send(f), 1);
        ASSERT_EQ(receiver.receive_all(other.source()), Frames{f});

        // It may be about to write to the receiver: memory must not be freed yet.
        Switch::Grace grace;
        world->grace_begin(grace);
        ASSERT_FALSE(world->grace_over(grace));
        ASSERT_EQ(receiver.call(RVIF_OP_STOP), -RVIF_E_BUSY);
        ASSERT_EQ(receiver.call(RVIF_OP_STOP), -RVIF_E_BUSY);

        if (round % 2 == 0) {
            // Once it has left that call it has gone, though it is soon in the next.
            sending.resume();
            const auto end = Clock::now() + std::chrono::seconds(10);
            while (receiver.call(RVIF_OP_STOP) != 0)
                ASSERT_LT(Clock::now(), end);
            ASSERT_TRUE(world->grace_over(grace));
        } else {
            sending.end();
            paused.leave();
            ASSERT_TRUE(world->grace_over(grace));
            ASSERT_EQ(receiver.call(RVIF_OP_STOP), 0);
            paused.join();
        }
        sending.end();
        paused.leave();
        paused.join();
        receiver.set_up();
        ASSERT_EQ(receiver.call(RVIF_OP_START), 0);
    }
}

// One call, instruction by instruction.
class Stepped {
  public:
    template <typename Body>
    explicit Stepped(Body body) : pid_{fork()}
    {
        if (pid_ == 0) {
            if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
                _exit(1);
            raise(SIGSTOP);
            body();
            _exit(0);
        }
        alive_ = waited();
    }
    ~Stepped()
    {
        if (alive_) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
    }
    Stepped(const Stepped &) = delete;
    Stepped &operator=(const Stepped &) = delete;

    [[nodiscard]] bool alive() const { return alive_; }
    void step()
    {
        ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
        alive_ = waited();
    }

  private:
    bool waited()
    {
        int status = 0;
        waitpid(pid_, &status, 0);
        return WIFSTOPPED(status);
    }
    pid_t pid_;
    bool alive_ = false;
};

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

// Frozen at every single instruction of a call that does a bit of everything, a source stops nobody:
// another one sends to the same receivers, a third port joins and leaves, the manager reads on.
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

// A control call that is killed: the port can be closed and everything is back.
TEST(RvsKilled, ControlCallsLeaveNothingBehindOnceThePortIsClosed)
{
    World world;
    Guest bystander{world, 0};
    bystander.join();
    Random random{9};
    std::uint64_t busy = 0;
    for (std::uint32_t round = 0; round < rounds; ++round) {
        Guest victim{world, 1, {.tx_queues = 8}};
        victim.open();
        run_and_kill(100 + random() % 700, [&] {
            for (std::uint32_t q = 0; q < 8; ++q)
                victim.setup_tx(q);
            victim.setup_rx(0, victim.rx_setup(0));
            victim.call(RVIF_OP_START);
            victim.call(RVIF_OP_STOP);
        });
        busy += victim.call(RVIF_OP_STOP) == -RVIF_E_BUSY ? 1 : 0;
        victim.leave();
        EXPECT_TRUE(bystander.sources().empty());
        Guest heir{world, 1, {.tx_queues = 8}}; // the same port: its flags are free again
        heir.join();
        for (std::uint32_t q = 0; q < 8; ++q)
            ASSERT_EQ(heir.source(q), q + 1) << "a source is lost";
        heir.leave();
    }
    RecordProperty("killed_inside_a_call", static_cast<int>(busy));
    EXPECT_GT(busy, 0u) << "no round killed it inside a call";
}

} // namespace
} // namespace rvs::test

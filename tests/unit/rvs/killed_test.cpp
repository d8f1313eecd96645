// SPDX-License-Identifier: Apache-2.0
// A caller that is killed, at any instruction, harms nobody.
#include "world.hpp"

#include <chrono>
#include <gtest/gtest.h>
#include <sched.h>
#include <signal.h>
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
    int begun[2];
    ASSERT_EQ(pipe(begun), 0);
    const pid_t pid = fork();
    ASSERT_GE(pid, 0);
    if (pid == 0) {
        if (write(begun[1], "", 1) != 1)
            _exit(1);
        for (;;)
            body();
    }
    close(begun[1]);
    // A busy machine may take longer than that to start it.
    char byte = 0;
    ASSERT_EQ(read(begun[0], &byte, 1), 1);
    close(begun[0]);
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

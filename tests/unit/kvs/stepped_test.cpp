// SPDX-License-Identifier: Apache-2.0
// Callers that are stopped at an instruction: frozen there, or killed there. These are the objects
// that go into a sub context.
#include "world.hpp"

#include <atomic>
#include <gtest/gtest.h>
#include <memory>
#include <signal.h>
#include <sys/ptrace.h>
#include <sys/wait.h>
#include <unistd.h>
#include <vector>

namespace kvs::test {
namespace {

// A process that is run one instruction at a time.
class Victim {
  public:
    template <typename Body>
    explicit Victim(Body body) : pid_{fork()}
    {
        if (pid_ == 0) {
            if (ptrace(PTRACE_TRACEME, 0, nullptr, nullptr) != 0)
                _exit(1);
            raise(SIGSTOP);
            body();
            _exit(0);
        }
        wait();
    }
    ~Victim()
    {
        if (alive_) {
            kill(pid_, SIGKILL);
            waitpid(pid_, nullptr, 0);
        }
    }
    Victim(const Victim &) = delete;
    Victim &operator=(const Victim &) = delete;

    [[nodiscard]] bool alive() const { return alive_; }
    void step()
    {
        ptrace(PTRACE_SINGLESTEP, pid_, nullptr, nullptr);
        wait();
    }

    // In full run, to its end.
    void finish()
    {
        ptrace(PTRACE_CONT, pid_, nullptr, nullptr);
        wait();
    }

  private:
    void wait()
    {
        int status = 0;
        waitpid(pid_, &status, 0);
        alive_ = WIFSTOPPED(status);
    }
    pid_t pid_;
    bool alive_ = false;
};

struct KvsStepped : testing::Test {
    World world{layout(2)};
    Guest victim{world, 0};
    Guest other{world, 1};

    // With a log that has come round, so that a PUT must first move things.
    void fill()
    {
        EXPECT_EQ(victim.put("first", "alive"), 0);
        EXPECT_EQ(victim.put("second", "alive too"), 0);
        // An eighth is kept free, so it never gets nearer to that than a small item.
        for (const std::uint64_t left : {2000, 150}) {
            while (victim.stats().used_bytes < Layout::min_memory * 7 / 8 - left)
                EXPECT_EQ(victim.put("filler", std::string(left == 2000 ? 1000 : 8, 'f')), 0);
        }
    }
};

// Whatever instruction of a PUT it sleeps at, others read what was or what will be, and change the
// same bucket, without waiting.
TEST_F(KvsStepped, FrozenAtAnyInstructionItStopsNobody)
{
    fill();
    ASSERT_EQ(other.put("key", "old"), 0);
    victim.stage("key", 100);
    std::memset(victim.bytes(), 'n', 100);
    const std::string fresh(100, 'n');
    Victim stepped{[&] { victim.run(KVS_OP_PUT); }};
    std::uint32_t steps = 0;
    bool is_new = false;
    for (; stepped.alive() && !HasFailure(); ++steps) {
        stepped.step();
        ASSERT_LT(steps, 100'000u);
        const auto seen = other.get("key");
        ASSERT_TRUE(seen) << "after " << steps;
        ASSERT_EQ(*seen, is_new || *seen == fresh ? fresh : "old") << "after " << steps;
        is_new = *seen == fresh;
        ASSERT_EQ(other.get("second"), "alive too") << "after " << steps;
        // Not more often than an attempt takes: who is overtaken each time begins again each time.
        if (steps % 997 == 0) {
            const std::string name = "o" + std::to_string(steps % 11); // some in its bucket
            ASSERT_EQ(other.put(name, name), 0);
            ASSERT_LE(other.calls, 2u);
            ASSERT_EQ(other.get(name), name);
            ASSERT_EQ(other.erase(name), 0);
        }
    }
    EXPECT_TRUE(is_new);
    EXPECT_GT(steps, 500u) << "it was not stepped";
    EXPECT_GT(victim.stats().moved_bytes, 0u);
    std::printf("%u instructions\n", steps);
}

// Killed at an instruction of PUT, CAS or DELETE: it has happened or not, and another takes its
// port over.
TEST_F(KvsStepped, KilledAtAnyInstructionItHasHappenedOrNot)
{
    fill();
    const std::string fresh(100, 'n');
    for (const std::uint64_t op : {KVS_OP_PUT, KVS_OP_CAS, KVS_OP_DELETE}) {
        std::uint32_t whole = 0;
        std::uint32_t before = 0;
        std::uint32_t after = 0;
        const auto run = [&](std::uint32_t stop_at) {
            ASSERT_EQ(other.put("key", "old"), 0);
            const std::uint64_t version = other.request().out_version;
            victim.stage("key", 100);
            victim.request().version = op == KVS_OP_PUT ? 0 : version;
            std::memset(victim.bytes(), 'n', 100);
            std::uint32_t steps = 0;
            {
                Victim stepped{[&] { victim.run(op); }};
                for (; stepped.alive() && steps < stop_at; ++steps)
                    stepped.step();
            }
            whole = std::max(whole, steps);
            victim.leave();
            const auto seen = other.get("key");
            const bool happened = op == KVS_OP_DELETE ? !seen : seen == fresh;
            ASSERT_TRUE(happened || seen == "old") << "killed after " << steps;
            ++(happened ? after : before);
            victim.join();
            ASSERT_EQ(victim.get("second"), "alive too") << "killed after " << steps;
            ASSERT_EQ(victim.put("key", "heir"), 0) << "killed after " << steps;
            ASSERT_EQ(other.get("key"), "heir");
            ASSERT_EQ(other.put("key", "other", KVS_OP_CAS, other.request().out_version), 0);
        };
        run(~0u);
        ASSERT_GT(whole, 200u) << "it was not stepped";
        const std::uint32_t all = whole;
        constexpr std::uint32_t kills = 50;
        for (std::uint32_t i = 0; i < kills && !HasFailure(); ++i)
            run(all * i / kills);
        std::printf("%u instructions, killed before it happened %u times, after it %u times\n", all,
                    before, after);
        EXPECT_GT(before, kills / 10);
        EXPECT_GT(after, 1u);
    }
}

// A reader sleeps in the middle of a copy until its item's memory has been used again, by items
// that lie as it lay: what it returns is one value, whole.
TEST(KvsOvertaken, AReaderWhoseItemIsOverwrittenStartsAgain)
{
    constexpr std::uint32_t length = 50'000;
    World world{layout(2)};
    Guest owner{world, 0};
    Guest reader{world, 1};
    const auto come_round = [&] {
        const std::uint64_t before = owner.stats().bytes_in;
        while (owner.stats().bytes_in - before < 2 * Layout::min_memory)
            ASSERT_EQ(owner.put("key", std::string(length, 'n')), 0);
    };
    auto &answer = *reinterpret_cast<std::atomic<std::int64_t> *>(reader.memory().data() + 2048);
    std::uint32_t began_again = 0;
    for (std::uint32_t i = 0; i < 12 && !HasFatalFailure(); ++i) {
        ASSERT_EQ(owner.put("key", std::string(length, 'o')), 0);
        answer = 0;
        {
            Victim stepped{[&] { answer = reader.get_into_room("key"); }};
            const std::uint64_t retries = reader.stats().retries;
            for (std::uint32_t steps = 0; steps < 300 + i * 400 && stepped.alive(); ++steps)
                stepped.step();
            ASSERT_TRUE(stepped.alive()) << "it was through too soon";
            come_round();
            stepped.finish();
            began_again += reader.stats().retries != retries ? 1 : 0;
        }
        ASSERT_EQ(answer, length);
        const std::string_view got{reinterpret_cast<const char *>(reader.bytes()), length};
        EXPECT_EQ(got.find_first_not_of(got.front()), std::string_view::npos)
            << "two values in one";
    }
    EXPECT_GT(began_again, 5u);
}

// ------------------------------------------------------------------ in full run

// A value tells its key, and all of it follows from its first bytes.
std::size_t compose(std::uint8_t *to, std::uint32_t key, std::uint32_t tag)
{
    const std::size_t length = 8 + tag % 900;
    std::memset(to, static_cast<int>(tag * 31 + key), length);
    std::memcpy(to, &key, 4);
    std::memcpy(to + 4, &tag, 4);
    return length;
}

bool is_sound(const std::uint8_t *at, std::size_t length, std::uint32_t key)
{
    std::uint32_t of = 0;
    std::uint32_t tag = 0;
    std::memcpy(&of, at, 4);
    std::memcpy(&tag, at + 4, 4);
    if (of != key || length != 8 + tag % 900)
        return false;
    for (std::size_t i = 8; i < length; ++i) {
        if (at[i] != static_cast<std::uint8_t>(tag * 31 + key))
            return false;
    }
    return true;
}

// Three processes use thirty keys in memory that is too small for them; each is killed now and then
// at no particular moment, and another takes its place. What the survivors read is whole and
// theirs.
TEST(KvsKilled, ProcessesThatAreKilledInFullRunHarmNobody)
{
    constexpr std::uint32_t processes = 3;
    constexpr std::uint32_t kills = 120;
    World world{layout(processes + 1)};
    std::vector<std::unique_ptr<Guest>> guests;
    for (std::uint32_t p = 0; p <= processes; ++p)
        guests.push_back(std::make_unique<Guest>(world, p));
    struct Shared {
        std::atomic<std::uint64_t> wrong;
        std::atomic<std::uint64_t> reads;
    };
    const Memory memory{sizeof(Shared)};
    auto &shared = *new (memory.data()) Shared{};

    const auto work = [&](Guest &guest, std::uint64_t seed) {
        Random random{seed};
        for (;;) {
            const std::uint32_t key = random() % 30;
            const std::string name = "key" + std::to_string(key);
            if (random() % 2 != 0) {
                const std::int64_t answer = guest.get_into_room(name);
                if (answer >= 0) {
                    ++shared.reads;
                    if (!is_sound(guest.bytes(), static_cast<std::size_t>(answer), key))
                        ++shared.wrong;
                }
            } else {
                guest.stage(name, 0);
                guest.request().value_len =
                    static_cast<std::uint32_t>(compose(guest.bytes(), key, random()));
                guest.run(KVS_OP_PUT);
            }
        }
    };
    pid_t pids[processes] = {};
    const auto start = [&](std::uint32_t p, std::uint64_t seed) {
        pids[p] = fork();
        ASSERT_GE(pids[p], 0);
        if (pids[p] == 0)
            work(*guests[p], seed);
    };
    for (std::uint32_t p = 0; p < processes; ++p)
        start(p, p + 1);
    Random random{5};
    for (std::uint32_t k = 0; k < kills; ++k) {
        usleep(500 + random() % 3000);
        const std::uint32_t p = random() % processes;
        ASSERT_EQ(kill(pids[p], SIGKILL), 0);
        ASSERT_EQ(waitpid(pids[p], nullptr, 0), pids[p]);
        guests[p]->leave();
        // Whatever it was doing, a bystander is served at once.
        Guest &bystander = *guests[processes];
        ASSERT_EQ(bystander.put("mine", "is here"), 0);
        ASSERT_EQ(bystander.get("mine"), "is here");
        guests[p]->join();
        start(p, k + 100);
    }
    for (const pid_t pid : pids) {
        kill(pid, SIGKILL);
        waitpid(pid, nullptr, 0);
    }
    EXPECT_EQ(shared.wrong, 0u);
    EXPECT_GT(shared.reads, 1000u);
}

} // namespace
} // namespace kvs::test

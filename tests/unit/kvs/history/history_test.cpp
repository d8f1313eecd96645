// SPDX-License-Identifier: Apache-2.0
// Guests that use the same keys at the same time and are killed anywhere: what they saw is what one
// after the other would have seen.
#include "checker.hpp"
#include "core.hpp"
#include "fibers.hpp"

#include <gtest/gtest.h>
#include <map>

namespace kvs::test {
namespace {

using Kind = Operation::Kind;
using Answer = Operation::Answer;

// ------------------------------------------------------------------ the checker itself

Operation op(Kind kind, Answer answer, std::int32_t value, std::uint64_t begins, std::uint64_t ends,
             std::int32_t expected = absent)
{
    return {kind, answer, value, expected, begins, ends};
}

TEST(KvsChecker, TellsGoodHistoriesFromBadOnes)
{
    constexpr std::uint64_t never = UINT64_MAX;
    const Operation put1 = op(Kind::put, Answer::done, 1, 1, 2);
    const Operation put2 = op(Kind::put, Answer::done, 2, 3, 4);
    const auto good = [](std::vector<Operation> all) {
        return Checker{std::move(all)}.linearizable();
    };
    EXPECT_TRUE(good({put1, put2, op(Kind::get, Answer::done, 2, 5, 6)}));
    EXPECT_FALSE(good({put1, put2, op(Kind::get, Answer::done, 1, 5, 6)})) << "stale";
    EXPECT_TRUE(good({put1, put2, op(Kind::get, Answer::done, 1, 2, 6)})) << "at the same time";
    EXPECT_FALSE(good({put1, op(Kind::get, Answer::not_found, 0, 3, 4)})) << "lost";
    EXPECT_FALSE(good({op(Kind::get, Answer::done, 7, 1, 2)})) << "out of thin air";
    const Operation killed = op(Kind::put, Answer::none, 3, 3, never);
    EXPECT_TRUE(good({put1, killed, op(Kind::get, Answer::done, 1, 5, 6),
                      op(Kind::get, Answer::done, 3, 7, 8)}));
    EXPECT_TRUE(good({put1, killed, op(Kind::get, Answer::done, 1, 5, 6),
                      op(Kind::get, Answer::done, 1, 7, 8)}));
    EXPECT_FALSE(good(
        {put1, killed, op(Kind::get, Answer::done, 3, 5, 6), op(Kind::get, Answer::done, 1, 7, 8)}))
        << "undone";
    const Operation cas_a = op(Kind::cas, Answer::done, 4, 3, 9, 1);
    const Operation cas_b = op(Kind::cas, Answer::done, 5, 3, 9, 1);
    EXPECT_FALSE(good({put1, cas_a, cas_b})) << "both";
    EXPECT_TRUE(good({put1, cas_a, op(Kind::cas, Answer::changed, 5, 3, 9, 1)}));
    EXPECT_FALSE(
        good({op(Kind::add, Answer::done, 1, 1, 2), op(Kind::add, Answer::done, 2, 3, 4)}));
    EXPECT_TRUE(good({op(Kind::add, Answer::done, 1, 1, 2), op(Kind::erase, Answer::done, 0, 1, 4),
                      op(Kind::add, Answer::done, 2, 3, 4)}));
}

// ------------------------------------------------------------------ histories

constexpr std::uint32_t guests = 3;
constexpr std::uint32_t lives = 2; // of each guest: a killed one begins anew
constexpr std::uint32_t keys = 3;
constexpr std::uint32_t operations = 6;
static_assert(guests <= keys);

struct Recorder {
    std::vector<Operation> of[keys];
    std::int32_t next = 0;
    std::map<std::int32_t, std::uint64_t> versions; // by number of the put
};

// Its content follows from its number, so half of one and half of another is noticed.
std::string content(std::int32_t number)
{
    const auto n = static_cast<std::size_t>(number);
    // Some are as large as the room that a log keeps free: their memory is soon used again.
    const std::size_t length = n % 4 == 3 ? 20'000 + n : 4 + n * 37 % 120;
    std::string all(length, static_cast<char>('a' + number % 26));
    std::memcpy(all.data(), &number, 4);
    return all;
}

class Bed {
  public:
    explicit Bed(bool full) : world_{layout(guests)}
    {
        for (std::uint32_t g = 0; g < guests; ++g)
            guests_.push_back(std::make_unique<Guest>(world_, g));
        choose_keys();
        if (full) {
            // At the beginning of each log is what the guests are about, then what is dead, and
            // hardly any room is left: puts move it.
            for (std::uint32_t g = 0; g < guests; ++g) {
                const auto number = static_cast<std::int32_t>(g);
                const std::uint64_t begins = now();
                guests_[g]->put(keys_[g], content(number));
                first_.versions[number] = guests_[g]->request().out_version;
                first_.of[g].push_back({.kind = Kind::put,
                                        .answer = Answer::done,
                                        .value = number,
                                        .begins = begins,
                                        .ends = now()});
                ++first_.next;
                for (const std::uint64_t left : {1000, 150}) {
                    while (guests_[g]->stats().used_bytes < Layout::min_memory * 7 / 8 - left)
                        guests_[g]->put("filler" + std::to_string(g),
                                        std::string(left == 1000 ? 500 : 8, 'f'));
                }
            }
        }
        kept_.assign(world_.memory.data(), world_.memory.data() + world_.memory.size());
    }

    // True: linearizable.
    bool play(std::uint64_t seed)
    {
        std::memcpy(world_.memory.data(), kept_.data(), kept_.size());
        recorder_ = first_;
        Random random{seed};
        Fibers fibers{seed};
        fibers.share(world_.memory.data(), world_.memory.size());
        for (std::uint32_t g = 0; g < guests; ++g)
            fibers.allow(guests_[g]->memory().data(), guests_[g]->memory().size());
        constexpr std::uint32_t switches[] = {2, 7, 30, 200};
        const std::uint32_t switch_of = switches[random() % 4];
        const bool kills = random() % 4 != 0;
        std::uint64_t seeds[guests];
        for (std::uint64_t &s : seeds)
            s = random() | std::uint64_t{random()} << 32;
        dead_ = 0;
        for (std::uint32_t life = 0; life < lives; ++life) {
            Fibers again{seed + life * 7919};
            Fibers &now = life == 0 ? fibers : again;
            if (life != 0) {
                // All who were killed are detached, and others take their places.
                now.share(world_.memory.data(), world_.memory.size());
                for (std::uint32_t g = 0; g < guests; ++g)
                    now.allow(guests_[g]->memory().data(), guests_[g]->memory().size());
            }
            for (std::uint32_t g = 0; g < guests; ++g) {
                guests_[g]->leave();
                guests_[g]->join();
                now.add([this, g, s = seeds[g] + life] { live(*guests_[g], Random{s}); });
            }
            now.run(switch_of, kills && life == 0 ? 300 + random() % 2000 : 0, guests);
            dead_ += now.kills();
            accesses_ += now.accesses();
        }
        // What is there in the end was there for all to see.
        for (std::uint32_t k = 0; k < keys; ++k)
            get(*guests_[0], k);
        for (std::uint32_t k = 0; k < keys; ++k) {
            if (!Checker{recorder_.of[k]}.linearizable())
                return false;
        }
        return true;
    }
    [[nodiscard]] std::uint32_t dead() const { return dead_; }
    [[nodiscard]] std::uint64_t accesses() const { return accesses_; }
    [[nodiscard]] const Recorder &recorder() const { return recorder_; }
    [[nodiscard]] kvs_stats stats() const
    {
        kvs_stats sum{};
        for (const auto &guest : guests_) {
            const kvs_stats one = guest->stats();
            sum.helped += one.helped;
            sum.retries += one.retries;
            sum.moved_bytes += one.moved_bytes;
            sum.displaced += one.displaced;
            sum.evicted += one.evicted;
        }
        return sum;
    }

  private:
    // Keys that share a bucket, in which none of the others is: six slots are enough for them.
    void choose_keys()
    {
        const auto bucket = [&](const std::string &name) {
            Key key{};
            key.length = static_cast<std::uint32_t>(name.size());
            std::memcpy(key.words, name.data(), name.size());
            auto &core = static_cast<Core &>(*world_.store);
            return &core.bucket(core.spaces[0], keyed_hash(core.seed, key));
        };
        std::vector<Bucket *> others;
        for (std::uint32_t g = 0; g < guests; ++g) {
            others.push_back(bucket("filler" + std::to_string(g)));
        }
        Bucket *common = nullptr;
        std::uint32_t found = 0;
        for (std::uint32_t i = 0; found < keys; ++i) {
            const std::string name = "key" + std::to_string(i);
            Bucket *const its = bucket(name);
            if (std::ranges::find(others, its) != others.end() ||
                (common != nullptr && its != common))
                continue;
            common = its;
            keys_[found++] = name;
        }
    }
    std::uint64_t now() { return ++clock_; }

    void get(Guest &guest, std::uint32_t k)
    {
        const std::size_t at = begin(k, {.kind = Kind::get});
        guest.stage(keys_[k], KVS_MAX_VALUE);
        const std::int64_t answer = guest.run(KVS_OP_GET);
        std::int32_t number = absent;
        if (answer >= 4) {
            std::memcpy(&number, guest.bytes(), 4);
            if (number < 0 ||
                content(number) != std::string{reinterpret_cast<char *>(guest.bytes()),
                                               static_cast<std::size_t>(answer)})
                number = -2; // nobody put that
            recorder_.versions[number] = guest.request().out_version;
        }
        end(k, at, answer >= 0 ? Answer::done : answer_of(answer), number);
    }

    void live(Guest &guest, Random random)
    {
        std::int32_t seen[keys];
        std::fill_n(seen, keys, absent);
        for (std::uint32_t n = 0; n < operations; ++n) {
            const std::uint32_t k = random() % keys;
            const std::uint32_t what = random() % 10;
            if (what < 4) {
                get(guest, k);
                seen[k] = last_seen_;
                continue;
            }
            constexpr Kind kinds[] = {Kind::put, Kind::add,   Kind::replace,
                                      Kind::cas, Kind::erase, Kind::erase_if};
            Kind kind = kinds[what - 4];
            if (seen[k] < 0 && (kind == Kind::cas || kind == Kind::erase_if))
                kind = Kind::put;
            const std::int32_t number = recorder_.next++;
            const std::size_t at = begin(k, {.kind = kind, .value = number, .expected = seen[k]});
            const std::uint64_t version =
                kind == Kind::cas || kind == Kind::erase_if ? recorder_.versions[seen[k]] : 0;
            std::int64_t answer = 0;
            if (kind == Kind::erase || kind == Kind::erase_if) {
                guest.stage(keys_[k], 0);
                guest.request().version = version;
                answer = guest.run(KVS_OP_DELETE);
            } else {
                constexpr std::uint64_t ops[] = {0, KVS_OP_PUT, KVS_OP_ADD, KVS_OP_REPLACE,
                                                 KVS_OP_CAS};
                answer =
                    guest.put(keys_[k], content(number), ops[static_cast<unsigned>(kind)], version);
            }
            if (answer == -KVS_E_BUSY) {
                // Told that it did not happen: it was never asked for.
                recorder_.of[k].erase(recorder_.of[k].begin() +
                                      static_cast<std::ptrdiff_t>(index_of(k, at)));
                continue;
            }
            end(k, at, answer == 0 ? Answer::done : answer_of(answer), number);
        }
    }

    // Operations are named by their first moment, because others are taken out.
    std::size_t begin(std::uint32_t k, Operation operation)
    {
        operation.begins = now();
        recorder_.of[k].push_back(operation);
        return operation.begins;
    }
    std::size_t index_of(std::uint32_t k, std::size_t begins)
    {
        const auto found = std::ranges::find(recorder_.of[k], begins, &Operation::begins);
        return static_cast<std::size_t>(found - recorder_.of[k].begin());
    }
    void end(std::uint32_t k, std::size_t begins, Answer answer, std::int32_t value)
    {
        Operation &operation = recorder_.of[k][index_of(k, begins)];
        operation.answer = answer;
        operation.value = value;
        operation.ends = now();
        last_seen_ = value;
    }
    static Answer answer_of(std::int64_t answer)
    {
        switch (-answer) {
        case KVS_E_NOENT:
            return Answer::not_found;
        case KVS_E_EXISTS:
            return Answer::exists;
        case KVS_E_CHANGED:
            return Answer::changed;
        default:
            ADD_FAILURE() << "answer " << answer;
            return Answer::none;
        }
    }

    World world_;
    std::vector<std::unique_ptr<Guest>> guests_;
    std::string keys_[keys];
    std::vector<std::uint8_t> kept_;
    Recorder recorder_;
    std::uint64_t clock_ = 0;
    Recorder first_;
    std::int32_t last_seen_ = absent;
    std::uint32_t dead_ = 0;
    std::uint64_t accesses_ = 0;
};

void play_all(bool full, std::uint32_t histories)
{
    Bed bed{full};
    std::uint32_t with_kills = 0;
    std::uint64_t helped = 0;
    std::uint64_t moved = 0;
    std::uint64_t retries = 0;
    const std::uint64_t moved_before = bed.stats().moved_bytes;
    for (std::uint32_t seed = 1; seed <= histories; ++seed) {
        const bool good = bed.play(seed);
        const kvs_stats stats = bed.stats();
        if (!good) {
            for (std::uint32_t k = 0; k < keys; ++k) {
                for (const Operation &o : bed.recorder().of[k])
                    std::printf("key %u: %llu..%lld kind %d answer %d value %d expected %d\n", k,
                                static_cast<unsigned long long>(o.begins),
                                static_cast<long long>(o.ends), static_cast<int>(o.kind),
                                static_cast<int>(o.answer), o.value, o.expected);
            }
        }
        ASSERT_TRUE(good) << "seed " << seed << (bed.dead() != 0 ? ", with kills" : "");
        ASSERT_EQ(stats.displaced + stats.evicted, 0u)
            << "the model knows no eviction; seed " << seed;
        with_kills += bed.dead() != 0 ? 1 : 0;
        helped += stats.helped;
        retries += stats.retries;
        moved += stats.moved_bytes - moved_before;
    }
    testing::Test::RecordProperty("with_kills", static_cast<int>(with_kills));
    std::printf(
        "%u histories, %u with kills; %llu accesses, helped %llu times, %llu retries, %llu bytes moved\n",
        histories, with_kills, static_cast<unsigned long long>(bed.accesses()),
        static_cast<unsigned long long>(helped), static_cast<unsigned long long>(retries),
        static_cast<unsigned long long>(moved));
    // It is about callers that meet.
    EXPECT_GT(with_kills, histories / 4);
    EXPECT_GT(helped, histories / 20);
    EXPECT_EQ(moved != 0, full);
}

TEST(KvsHistory, GuestsThatAreKilledAnywhereLeaveALinearizableStore)
{
    play_all(false, 4000);
}

TEST(KvsHistory, AndSoItIsWhenItemsAreMovedMeanwhile)
{
    play_all(true, 3000);
}

} // namespace
} // namespace kvs::test

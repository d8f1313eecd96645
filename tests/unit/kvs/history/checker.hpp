// SPDX-License-Identifier: Apache-2.0
// Is a recorded history of one key linearizable? (Wing and Gong, 1993, with the memory of Lowe,
// 2017.) Keys are independent of each other, so each is checked alone.
#ifndef TESTS_KVS_CHECKER_HPP
#define TESTS_KVS_CHECKER_HPP

#include <algorithm>
#include <cstdint>
#include <set>
#include <utility>
#include <vector>

namespace kvs::test {

inline constexpr std::int32_t absent = -1;

// What a guest did to the key. Each put has a number of its own, which is the value's content.
struct Operation {
    enum class Kind : std::uint8_t { get, put, add, replace, cas, erase, erase_if } kind;
    enum class Answer : std::uint8_t {
        none,
        done,
        not_found,
        exists,
        changed
    } answer = Answer::none;
    std::int32_t value = absent;    // puts: their number; get: the number it saw
    std::int32_t expected = absent; // cas, erase_if: the number of the put whose version it names
    std::uint64_t begins = 0;
    std::uint64_t ends = UINT64_MAX; // never: it was killed, and may have happened or not

    [[nodiscard]] bool killed() const { return ends == UINT64_MAX; }
};

class Checker {
  public:
    explicit Checker(std::vector<Operation> operations) : all_{std::move(operations)}
    {
        std::ranges::sort(all_, {}, &Operation::begins);
    }
    // At most 64 operations.
    [[nodiscard]] bool linearizable() { return from(0, absent); }

  private:
    using Kind = Operation::Kind;
    using Answer = Operation::Answer;

    // Whether the operation can happen to a key in this state, and what it leaves.
    [[nodiscard]] static bool apply(const Operation &op, std::int32_t &state)
    {
        const auto answers = [&](Answer answer) { return op.killed() || op.answer == answer; };
        const bool there = state != absent;
        switch (op.kind) {
        case Kind::get:
            return op.killed() || (there ? op.answer == Answer::done && op.value == state
                                         : op.answer == Answer::not_found);
        case Kind::put:
            state = op.value;
            return answers(Answer::done);
        case Kind::add:
            if (there)
                return answers(Answer::exists);
            state = op.value;
            return answers(Answer::done);
        case Kind::replace:
            if (!there)
                return answers(Answer::not_found);
            state = op.value;
            return answers(Answer::done);
        case Kind::cas:
            if (!there || state != op.expected)
                return answers(there ? Answer::changed : Answer::not_found);
            state = op.value;
            return answers(Answer::done);
        case Kind::erase:
            if (!there)
                return answers(Answer::not_found);
            state = absent;
            return answers(Answer::done);
        case Kind::erase_if:
            if (!there || state != op.expected)
                return answers(there ? Answer::changed : Answer::not_found);
            state = absent;
            return answers(Answer::done);
        }
        return false;
    }

    bool from(std::uint64_t done, std::int32_t state)
    {
        std::uint64_t first_end = UINT64_MAX;
        bool complete = true;
        for (std::size_t i = 0; i < all_.size(); ++i) {
            if ((done >> i & 1) == 0) {
                first_end = std::min(first_end, all_[i].ends);
                complete = complete && all_[i].killed();
            }
        }
        if (complete)
            return true;
        if (!seen_.insert({done, state}).second)
            return false;
        for (std::size_t i = 0; i < all_.size() && all_[i].begins < first_end; ++i) {
            std::int32_t next = state;
            if ((done >> i & 1) == 0 && apply(all_[i], next) &&
                from(done | std::uint64_t{1} << i, next))
                return true;
        }
        return false;
    }

    std::vector<Operation> all_;
    std::set<std::pair<std::uint64_t, std::int32_t>> seen_;
};

} // namespace kvs::test

#endif // TESTS_KVS_CHECKER_HPP

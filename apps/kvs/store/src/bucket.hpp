// SPDX-License-Identifier: Apache-2.0
// A line of the index: six slots, and the operation that is changing one of them.
//
// Changes take turns, but nobody waits: a change is *installed* by one 16-byte compare-and-swap of
// {what, new word}, and from then on anybody who comes along can, and does, carry it out. One that
// is not installed has not happened. Readers look at the slots alone.
#ifndef KVS_BUCKET_HPP
#define KVS_BUCKET_HPP

#include "word.hpp"

#include <atomic>
#include <cstdint>

namespace kvs {

// `what` of an operation:  [ number : 60 | slot : 3 | pending : 1 ]
class Turn {
  public:
    constexpr Turn() = default;
    explicit constexpr Turn(std::uint64_t what, std::uint64_t word = 0) : what_{what}, word_{word}
    {
    }
    // The one after this, which puts `word` into `slot`.
    [[nodiscard]] constexpr Turn next(std::uint32_t slot, Word word) const
    {
        return Turn{next_number() << 4 | std::uint64_t{slot & 7} << 1 | 1, word.raw()};
    }
    [[nodiscard]] constexpr Turn done() const { return Turn{what_ & ~std::uint64_t{1}, word_}; }

    [[nodiscard]] constexpr bool pending() const { return (what_ & 1) != 0; }
    [[nodiscard]] constexpr std::uint32_t slot() const { return what_ >> 1 & 7; }
    [[nodiscard]] constexpr std::uint64_t next_number() const { return (what_ >> 4) + 1; }
    [[nodiscard]] constexpr Word word() const { return Word{word_}; }
    [[nodiscard]] constexpr std::uint64_t what() const { return what_; }
    [[nodiscard]] constexpr std::uint64_t raw_word() const { return word_; }

  private:
    std::uint64_t what_ = 0;
    std::uint64_t word_ = 0;
};

struct alignas(64) Bucket {
    static constexpr std::uint32_t slots = 6;

    std::atomic<std::uint64_t> what;
    std::atomic<std::uint64_t> word;
    std::atomic<std::uint64_t> slot[slots];

    // Nothing is pending in it; false: others were faster, again and again. `helped` counts.
    [[nodiscard]] bool settle(Turn &turn, std::uint64_t &helped);
    // `turn` as settle() gave it. False: somebody else's came first, and this one has not happened.
    [[nodiscard]] bool change(const Turn &turn, std::uint32_t index, Word to);

    [[nodiscard]] Word get(std::uint32_t index) const
    {
        return Word{slot[index].load(std::memory_order_acquire)};
    }
    // For the log's second chance. Does no harm at any later time: `word` does not come back.
    void note_read(std::uint32_t index, Word seen)
    {
        std::uint64_t expected = seen.raw();
        slot[index].compare_exchange_strong(expected, seen.with_read().raw(),
                                            std::memory_order_relaxed);
    }

  private:
    [[nodiscard]] bool exchange(const Turn &from, const Turn &to);
    void carry_out(const Turn &turn);
};
static_assert(sizeof(Bucket) == 64);

} // namespace kvs

#endif // KVS_BUCKET_HPP

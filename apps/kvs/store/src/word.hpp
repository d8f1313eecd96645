// SPDX-License-Identifier: Apache-2.0
// What a slot of the index holds, in one word:
//
//   63  62  61      56 55      50 49                 0
//  [ 1 | R |  port   |   tag    | position           ]    an item in that port's log
//  [ 0 |           number of the operation           ]    nothing, since then
//
// No word but for R ever comes back to a slot: positions only grow, and so do the numbers. All that
// is said about late helpers and stopped callers rests on that.
#ifndef KVS_WORD_HPP
#define KVS_WORD_HPP

#include <cstdint>

namespace kvs {

class Word {
  public:
    static constexpr unsigned position_bits = 50;
    static constexpr std::uint64_t max_position = (std::uint64_t{1} << position_bits) - 1;

    constexpr Word() = default;
    explicit constexpr Word(std::uint64_t raw) : raw_{raw} {}
    [[nodiscard]] static constexpr Word item(std::uint32_t port, std::uint64_t hash,
                                             std::uint64_t position)
    {
        return Word{item_bit | std::uint64_t{port & 63} << 56 | tag_of(hash) << position_bits |
                    (position & max_position)};
    }
    [[nodiscard]] static constexpr Word nothing(std::uint64_t number)
    {
        return Word{number & ~item_bit};
    }

    [[nodiscard]] constexpr std::uint64_t raw() const { return raw_; }
    [[nodiscard]] constexpr bool is_item() const { return (raw_ & item_bit) != 0; }
    [[nodiscard]] constexpr bool read_since() const { return (raw_ & read_bit) != 0; }
    [[nodiscard]] constexpr Word with_read() const { return Word{raw_ | read_bit}; }
    [[nodiscard]] constexpr std::uint32_t port() const { return raw_ >> 56 & 63; }
    [[nodiscard]] constexpr std::uint64_t position() const { return raw_ & max_position; }
    [[nodiscard]] constexpr bool may_be(std::uint64_t hash) const
    {
        return is_item() && (raw_ >> position_bits & 63) == tag_of(hash);
    }
    // The same but for R, which says nothing if it is no item.
    [[nodiscard]] constexpr bool same(Word other) const
    {
        return raw_ == other.raw_ ||
               (is_item() && other.is_item() && (raw_ | read_bit) == (other.raw_ | read_bit));
    }

  private:
    static constexpr std::uint64_t item_bit = std::uint64_t{1} << 63;
    static constexpr std::uint64_t read_bit = std::uint64_t{1} << 62;
    // Buckets take the low bits of the hash.
    static constexpr std::uint64_t tag_of(std::uint64_t hash) { return hash >> 58; }

    std::uint64_t raw_ = 0;
};

} // namespace kvs

#endif // KVS_WORD_HPP

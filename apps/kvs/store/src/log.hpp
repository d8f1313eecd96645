// SPDX-License-Identifier: Apache-2.0
// A port's memory: a ring of items that its own calls alone write. Positions count lines of 64
// bytes and never wrap; the ring is a window over them:
//
//        begin                        tail
//   ......|  item  | item |   item  |..........
//         what is there              what has been given out
//
// An item at a position below `begin` is no more. Whoever reads one looks at `begin` afterwards.
#ifndef KVS_LOG_HPP
#define KVS_LOG_HPP

#include "bytes.hpp"
#include "kvs/kvs_abi.h"
#include "word.hpp"

#include <atomic>
#include <cstdint>

namespace kvs {

inline constexpr std::uint64_t line = 64;

constexpr std::uint64_t padded(std::uint64_t bytes)
{
    return (bytes + 7) & ~std::uint64_t{7};
}

// As it lies in the log; key and value follow, each padded to words. Read by others while it may be
// overwritten: each field by one load, and believed only within what is checked.
class Item {
  public:
    static constexpr std::uint64_t header = 48;

    explicit Item(std::uint8_t *at) : at_{at} {}

    struct Header {
        std::uint64_t position;
        std::uint32_t lines; // to the next item
        std::uint32_t key_length;
        std::uint64_t hash;
        std::uint64_t version;
        std::uint32_t value_length;
        std::uint32_t flags;
        std::uint64_t expires; // 0: never
    };
    [[nodiscard]] Header read() const
    {
        const std::uint64_t sizes = field(1);
        const std::uint64_t value = field(4);
        return {field(0),
                static_cast<std::uint32_t>(sizes),
                static_cast<std::uint32_t>(sizes >> 32),
                field(2),
                field(3),
                static_cast<std::uint32_t>(value),
                static_cast<std::uint32_t>(value >> 32),
                field(5)};
    }
    void write(const Header &h)
    {
        set(0, h.position);
        set(1, std::uint64_t{h.key_length} << 32 | h.lines);
        set(2, h.hash);
        set(3, h.version);
        set(4, std::uint64_t{h.flags} << 32 | h.value_length);
        set(5, h.expires);
    }
    [[nodiscard]] std::uint8_t *key() const { return at_ + header; }
    [[nodiscard]] std::uint8_t *value(std::uint32_t key_length) const
    {
        return at_ + header + padded(key_length);
    }
    [[nodiscard]] bool has_key(const Key &key) const
    {
        for (std::uint32_t i = 0; i < key.word_count(); ++i) {
            if (load_word(this->key() + 8 * i) != key.words[i])
                return false;
        }
        return true;
    }
    [[nodiscard]] static constexpr std::uint64_t lines_for(std::uint32_t key, std::uint32_t value)
    {
        return (header + padded(key) + padded(value) + line - 1) / line;
    }

  private:
    [[nodiscard]] std::uint64_t field(std::uint32_t i) const { return load_word(at_ + 8 * i); }
    void set(std::uint32_t i, std::uint64_t word) { store_word(at_ + 8 * i, word); }

    std::uint8_t *at_;
};

struct alignas(64) Log {
    // Written by the port's own calls; `begin` also by a flush.
    std::atomic<std::uint64_t> begin;
    std::atomic<std::uint64_t> tail;
    // The item at `begin` when it is being moved (make_room()); moving_to: 0 if none is.
    std::atomic<std::uint64_t> moving_from;
    std::atomic<std::uint64_t> moving_to;
    std::atomic<std::uint64_t> moved_bytes;
    std::atomic<std::uint64_t> full; // so much is alive that it cannot all be kept
    // Fixed.
    std::uint64_t lines;
    std::uint64_t data; // offset in the store

    // Where an operation's item begins: lines of padding in front of it, so that it does not wrap.
    [[nodiscard]] std::uint64_t padding(std::uint64_t position, std::uint64_t count) const
    {
        const std::uint64_t at = position % lines;
        return at + count > lines ? lines - at : 0;
    }
    [[nodiscard]] std::uint64_t free() const
    {
        const std::uint64_t used =
            tail.load(std::memory_order_relaxed) - begin.load(std::memory_order_relaxed);
        return used < lines ? lines - used : 0;
    }
    // Kept free, so that what is moved has somewhere to go.
    [[nodiscard]] std::uint64_t slack() const { return lines / 8; }
    [[nodiscard]] std::uint64_t max_item() const { return lines / 4; }

    [[nodiscard]] bool has(std::uint64_t position) const
    {
        return position >= begin.load(std::memory_order_acquire);
    }
    // What was read of an item before was it, and not what came after.
    [[nodiscard]] bool intact(std::uint64_t position) const
    {
        std::atomic_thread_fence(std::memory_order_acquire);
        return position >= begin.load(std::memory_order_relaxed);
    }
    // Whether an item at `position` with so much in it would lie within the memory.
    [[nodiscard]] bool holds(std::uint64_t position, std::uint32_t key, std::uint32_t value) const
    {
        return key <= KVS_MAX_KEY && value <= KVS_MAX_VALUE &&
               position % lines + Item::lines_for(key, value) <= lines;
    }
    // Everything below is no more; not for the memory's next use before this is seen.
    void forget(std::uint64_t below)
    {
        std::uint64_t now = begin.load(std::memory_order_relaxed);
        while (now < below && !begin.compare_exchange_weak(now, below)) {
        }
    }
};

} // namespace kvs

#endif // KVS_LOG_HPP

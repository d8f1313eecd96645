// SPDX-License-Identifier: Apache-2.0
// Which port a MAC of a VLAN is at. Read and written by all ports' calls at once, without a lock.
#ifndef RVS_FDB_HPP
#define RVS_FDB_HPP

#include "rvs/switch.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rvs {

// What is looked up: 60 bits, VLAN above MAC (first byte in bits 0..7).
constexpr std::uint64_t fdb_key(std::uint64_t mac, std::uint32_t vlan)
{
    return std::uint64_t{vlan} << 48 | mac;
}

// One entry is one word, changed by one compare-exchange, tried once: who loses a race learns
// with its next frame.
//
//   63     56 55   50 49 48               0
//   [ stamp  | port  | 0 |      tag         ]     0: empty
//
// stamp: the tick that the MAC was last seen in, 1..fdb_stamps; fdb_static: never ages or moves.
// tag: the key's low bits. Its others follow from them and from the bucket's number, see
// Fdb::index(). So a word has room for MAC and VLAN, and no two keys share one.
inline constexpr std::uint32_t fdb_stamps = 250;
inline constexpr std::uint32_t fdb_static = 255;

// A bucket is one cache line. One port's learning fills at most half of it, so no port can
// crowd out the others with made-up addresses.
inline constexpr std::uint32_t fdb_ways = 8;
inline constexpr std::uint32_t fdb_ways_per_port = 4;

inline constexpr std::uint32_t fdb_tag_bits = 49;
inline constexpr std::uint32_t fdb_min_buckets = 1u << (60 - fdb_tag_bits);

struct alignas(64) FdbBucket {
    std::atomic<std::uint64_t> way[fdb_ways];
};

struct Port;

enum class Learned : std::uint8_t {
    yes,
    foreign, // another port's static MAC
    full,    // the port has as many as it may
};

// A view of the table; cheap to make.
class Fdb {
  public:
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    // count: a power of two, at least fdb_min_buckets.
    Fdb(FdbBucket *buckets, std::uint64_t count, std::uint64_t seed)
        : buckets_{buckets}, count_{count},
          shift_{static_cast<std::uint32_t>(__builtin_clzll(count - 1))}, multiplier_{seed | 1}
    {
    }

    // The port, or nowhere. Once a frame, in place.
    [[nodiscard]] std::uint32_t lookup(std::uint64_t key) const
    {
        const FdbBucket &bucket = buckets_[index(key)];
#pragma GCC unroll 8
        for (const auto &way : bucket.way) {
            const std::uint64_t word = way.load(std::memory_order_relaxed);
            if ((word ^ key) << (64 - fdb_tag_bits) == 0 && word != 0)
                return port_of(word);
        }
        return nowhere;
    }
    // Whether learn() would have nothing to do.
    [[nodiscard]] bool fresh(std::uint64_t key, std::uint32_t port, std::uint32_t stamp) const
    {
        const std::uint64_t want = entry(key & tag_mask, port, stamp);
        const FdbBucket &bucket = buckets_[index(key)];
#pragma GCC unroll 8
        for (const auto &way : bucket.way) {
            const std::uint64_t word = way.load(std::memory_order_relaxed);
            if ((word ^ want) << 8 == 0)
                return word == want || word >> 56 == fdb_static;
        }
        return false;
    }
    [[nodiscard]] static constexpr std::uint64_t entry(std::uint64_t tag, std::uint32_t port,
                                                       std::uint32_t stamp)
    {
        return std::uint64_t{stamp} << 56 | std::uint64_t{port} << 50 | tag;
    }
    [[nodiscard]] static constexpr std::uint32_t port_of(std::uint64_t word)
    {
        return static_cast<std::uint32_t>(word >> 50) & (RVIF_MAX_PORTS - 1);
    }

    // key was seen at port. ports: all of them, for their limits and counts. Writes only what
    // changed.
    Learned learn(std::uint64_t key, std::uint32_t port, std::uint32_t stamp, Port *ports);

    // Error: state (another port's static MAC), full.
    Error set_static(std::uint64_t key, std::uint32_t port);

    void forget_port(std::uint32_t port);
    void forget_learned(std::uint32_t port); // all but static ones
    void remove(std::uint64_t key);          // static or not
    // Also counts each port's dynamic entries, and forgets what is beside a static one.
    void age(std::uint32_t now, std::uint32_t limit, Port *ports);

    std::size_t read(std::size_t &cursor, std::uint32_t now, FdbEntry *out, std::size_t max) const;

  private:
    struct Place {
        FdbBucket &bucket;
        std::uint64_t tag;
    };
    static constexpr std::uint64_t tag_mask = (std::uint64_t{1} << fdb_tag_bits) - 1;

    // The bucket's number: the top bits of the tag times a secret number, so that guests cannot
    // choose addresses that share a bucket; and in the low ones of these, the rest of the key.
    [[nodiscard]] std::uint64_t index(std::uint64_t key) const
    {
        return ((key << (64 - fdb_tag_bits)) * multiplier_ >> shift_) ^ key >> fdb_tag_bits;
    }
    [[nodiscard]] Place place(std::uint64_t key) const
    {
        return {buckets_[index(key)], key & tag_mask};
    }
    [[nodiscard]] std::uint64_t key_of(std::uint64_t bucket, std::uint64_t word) const
    {
        const std::uint64_t tag = word & tag_mask;
        return (index(tag) ^ bucket) << fdb_tag_bits | tag;
    }

    FdbBucket *buckets_;
    std::uint64_t count_;
    std::uint32_t shift_;
    std::uint64_t multiplier_;
};

} // namespace rvs

#endif // RVS_FDB_HPP

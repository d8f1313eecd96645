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
// tag: key and bucket number are two views of one 60-bit number, see Fdb::mix(); what the bucket
// number says the tag need not. So a word has room for MAC and VLAN, and no two keys share one.
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
        : buckets_{buckets}, mask_{count - 1}, seed_{seed & key_mask}
    {
    }

    // The port, or nowhere.
    [[nodiscard]] std::uint32_t lookup(std::uint64_t key) const;

    // key was seen at port, which has `learned` dynamic entries (kept up to date here, roughly:
    // age() counts anew) of `limit`, 0: any number. Writes only what changed.
    Learned learn(std::uint64_t key, std::uint32_t port, std::uint32_t stamp,
                  std::atomic<std::uint32_t> *learned, std::uint32_t limit);

    // Error: state (another port's static MAC), full.
    Error set_static(std::uint64_t key, std::uint32_t port);

    void forget_port(std::uint32_t port);
    // Also counts each port's dynamic entries.
    void age(std::uint32_t now, std::uint32_t limit, std::uint32_t (&learned)[RVIF_MAX_PORTS]);

    std::size_t read(std::size_t &cursor, std::uint32_t now, FdbEntry *out, std::size_t max) const;

  private:
    struct Place {
        FdbBucket &bucket;
        std::uint64_t tag;
    };
    static constexpr std::uint64_t key_mask = (std::uint64_t{1} << 60) - 1;
    static constexpr std::uint64_t tag_mask = (std::uint64_t{1} << fdb_tag_bits) - 1;
    static constexpr std::uint64_t a = 0x0e3779b97f4a7c15; // odd
    static constexpr std::uint64_t b = 0x06e8feb86659fd93;

    // A permutation of the 60-bit numbers: each step can be undone. The seed keeps guests from
    // choosing addresses that share a bucket.
    [[nodiscard]] std::uint64_t mix(std::uint64_t key) const
    {
        std::uint64_t k = key ^ seed_;
        k = (k * a) & key_mask;
        k ^= k >> 30; // its own inverse
        k = (k * b) & key_mask;
        return k ^ k >> 30;
    }
    [[nodiscard]] std::uint64_t unmix(std::uint64_t k) const;

    [[nodiscard]] Place place(std::uint64_t key) const
    {
        const std::uint64_t k = mix(key);
        // Small tables are told by the top bits; larger ones also use some of the tag's.
        const std::uint64_t index = k >> fdb_tag_bits | k << (60 - fdb_tag_bits);
        return {buckets_[index & mask_], k & tag_mask};
    }
    [[nodiscard]] std::uint64_t key_of(std::uint64_t bucket, std::uint64_t word) const
    {
        return unmix((bucket & (fdb_min_buckets - 1)) << fdb_tag_bits | (word & tag_mask));
    }

    FdbBucket *buckets_;
    std::uint64_t mask_;
    std::uint64_t seed_;
};

} // namespace rvs

#endif // RVS_FDB_HPP

// SPDX-License-Identifier: Apache-2.0
// Which port a MAC is at. Read and written by all ports' calls at once, without a lock.
#ifndef RVS_FDB_HPP
#define RVS_FDB_HPP

#include "rvs/switch.hpp"

#include <atomic>
#include <cstddef>
#include <cstdint>

namespace rvs {

// One entry is one word, changed by one compare-exchange, tried once: who loses a race learns
// with its next frame.
//
//   63     56 55     48 47              0
//   [ stamp  |  port   |      MAC       ]     0: empty
//
// stamp: the tick that the MAC was last seen in, 1..fdb_stamps; fdb_static: never ages or moves.
inline constexpr std::uint32_t fdb_stamps = 250;
inline constexpr std::uint32_t fdb_static = 255;

// A bucket is one cache line. One port's learning fills at most half of it, so no port can
// crowd out the others with made-up addresses.
inline constexpr std::uint32_t fdb_ways = 8;
inline constexpr std::uint32_t fdb_ways_per_port = 4;

struct alignas(64) FdbBucket {
    std::atomic<std::uint64_t> way[fdb_ways];
};

// A view of the table; cheap to make.
class Fdb {
  public:
    static constexpr std::uint32_t nowhere = ~std::uint32_t{0};

    Fdb(FdbBucket *buckets, std::uint64_t count, std::uint64_t seed)
        : buckets_{buckets}, mask_{count - 1}, seed_{seed}
    {
    }

    // The port, or nowhere.
    [[nodiscard]] std::uint32_t lookup(std::uint64_t mac) const;

    // mac was seen at port. False: it is another port's static MAC. Writes only what changed.
    bool learn(std::uint64_t mac, std::uint32_t port, std::uint32_t stamp);

    // Error: state (another port's static MAC), full.
    Error set_static(std::uint64_t mac, std::uint32_t port);

    void forget_port(std::uint32_t port);
    void age(std::uint32_t now, std::uint32_t limit);

    std::size_t read(std::size_t &cursor, std::uint32_t now, FdbEntry *out, std::size_t max) const;

  private:
    [[nodiscard]] FdbBucket &bucket(std::uint64_t mac) const
    {
        // The seed keeps guests from choosing addresses that share a bucket. MACs differ in their
        // last bytes, which are the high bits here: hence the fold and the second round.
        std::uint64_t hash = (mac ^ seed_) * 0x9e3779b97f4a7c15;
        hash = (hash ^ hash >> 32) * 0xd6e8feb86659fd93;
        return buckets_[(hash >> 40) & mask_];
    }

    FdbBucket *buckets_;
    std::uint64_t mask_;
    std::uint64_t seed_;
};

} // namespace rvs

#endif // RVS_FDB_HPP

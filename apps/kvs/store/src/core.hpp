// SPDX-License-Identifier: Apache-2.0
// The store as it lies in memory: this, the buckets of all namespaces, the logs of all ports.
// Processes may see it at different addresses: it holds offsets.
#ifndef KVS_CORE_HPP
#define KVS_CORE_HPP

#include "bucket.hpp"
#include "kvs/store.hpp"
#include "log.hpp"
#include "region.hpp"
#include "request.hpp"

#include <atomic>
#include <cstdint>

namespace kvs {

// Written by one CPU of one port (several of more than Port::cpus share one; then a count may be
// lost), read by anybody.
class Counter {
  public:
    void add(std::uint64_t n = 1)
    {
        value_.store(value_.load(std::memory_order_relaxed) + n, std::memory_order_relaxed);
    }
    [[nodiscard]] std::uint64_t get() const { return value_.load(std::memory_order_relaxed); }

  private:
    std::atomic<std::uint64_t> value_{0};
};

struct alignas(64) Counters {
    Counter gets, hits, misses, expired, puts, deletes, refused, bytes_in, bytes_out, evicted,
        evicted_bytes, displaced, moved_bytes, helped, retries;
    Counter rejected[KVS_ERRORS];
};

// A GET that has not copied all of its value. One for each CPU: two threads of a guest that meet
// here, because they changed CPUs, notice it by `request` and begin again.
struct Reader {
    std::atomic<std::uint64_t> request; // its address + 1; 0: none
    std::atomic<std::uint64_t> word;
    std::atomic<std::uint64_t> copied;
};

// The PUT of a port that is under way: one at a time (who does two at once spoils his own items).
struct Writer {
    std::atomic<std::uint64_t> request; // its address + 1; 0: none
    std::atomic<std::uint64_t> op;
    std::atomic<std::uint64_t> position;
    std::atomic<std::uint64_t> copied;
    std::atomic<std::uint64_t> version; // that CAS asks for
    // What was done to make room for it, in lines.
    std::atomic<std::uint64_t> moved;
    std::atomic<std::uint64_t> dead;
};

struct alignas(64) Port {
    static constexpr std::uint32_t cpus = 8;

    std::atomic<std::uint32_t> open;
    std::uint32_t space;
    std::atomic<std::uint64_t> cookie;
    Regions regions;
    Writer writer;
    Reader readers[cpus];
    Counters counters[cpus];
};

struct Space {
    std::uint64_t buckets; // offset in the store
    std::uint64_t mask;
};

class Core final : public Store {
  public:
    static constexpr std::uint64_t magic_value = 0x3130'5453'5356'4bff; // "KVSST01"
    static constexpr std::uint32_t layout_version = 1;

    std::atomic<std::uint64_t> magic; // stored last by create()
    std::uint64_t size;
    std::uint32_t version;
    std::uint32_t ports;
    std::uint64_t seed[2];
    std::uint64_t keys[KVS_MAX_PORTS];
    Space spaces[KVS_MAX_PORTS];
    alignas(64) std::atomic<std::uint64_t> clock_ms;
    Log logs[KVS_MAX_PORTS];
    Port port[KVS_MAX_PORTS];

    [[nodiscard]] std::uint8_t *at(std::uint64_t offset)
    {
        return reinterpret_cast<std::uint8_t *>(this) + offset;
    }
    [[nodiscard]] Bucket &bucket(const Space &space, std::uint64_t hash)
    {
        return reinterpret_cast<Bucket *>(at(space.buckets))[hash & space.mask];
    }
    [[nodiscard]] Item item(const Log &log, std::uint64_t position)
    {
        return Item{at(log.data) + position % log.lines * line};
    }
    [[nodiscard]] bool expired(std::uint64_t expires) const
    {
        return expires != 0 && clock_ms.load(std::memory_order_relaxed) >= expires;
    }
    // As a guest is told: 0 is for ever.
    [[nodiscard]] std::uint64_t left(std::uint64_t expires) const
    {
        const std::uint64_t now = clock_ms.load(std::memory_order_relaxed);
        return expires == 0 ? 0 : expires > now ? expires - now : 1;
    }
};

// One call: who it is for, and what it has done.
struct Call {
    Core &core;
    Port &port;
    std::uint32_t index; // of the port
    Log &log;
    const Space &space;
    Reader &reader;
    Counters &counters;
    std::uint64_t helped = 0;
};

// ---- the index (find.cpp)

enum class Match : std::uint8_t { none, found, busy };
struct Found {
    Match match;
    std::uint32_t slot;
    Word word;
    Item::Header header;
};
// Without writing anything. `found`: it was there at some moment of this call; `none`: it was not
// there at some moment; `busy`: others moved it too often.
Found find(Call &call, Bucket &bucket, const Key &key);
// Of the bucket in which `key` is not: where it may go. `displaces`: another that is alive must
// leave.
std::uint32_t place_for(Call &call, Bucket &bucket, const Turn &turn, bool &displaces);
// Whether the item is the one that the index knows of.
bool is_listed(Call &call, const Bucket &bucket, Word word, std::uint32_t &slot);

// ---- operations
std::int64_t get(Call &call, kvs_addr_t request, bool resume);                   // get.cpp
std::int64_t put(Call &call, std::uint64_t op, kvs_addr_t request, bool resume); // put.cpp
std::int64_t erase(Call &call, kvs_addr_t request);                              // put.cpp
// Room for `count` lines and the padding in front of them: 0, KVS_MORE or an error.     room.cpp
std::int64_t make_room(Call &call, std::uint64_t count);
// Gives out `count` lines; there is room. Headers of padding and item make the log readable to
// itself.
std::uint64_t take(Core &core, Log &log, Item::Header header, std::uint64_t count);

static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

} // namespace kvs

#endif // KVS_CORE_HPP

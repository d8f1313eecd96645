// SPDX-License-Identifier: Apache-2.0
// The store: how a manager makes one, and the way in for guests. Freestanding: the same objects run
// in a sub context, in a process and under tests. How it works: ../../README.md.
#ifndef KVS_STORE_HPP
#define KVS_STORE_HPP

#include "kvs/kvs_abi.h"

#include <cstddef>
#include <cstdint>

namespace kvs {

enum class PortId : std::uint32_t {};
enum class Error : std::uint8_t { none, arg, state };

// What a store consists of. It cannot be changed later.
struct Layout {
    struct Port {
        std::uint32_t space;  // its namespace, 0..KVS_MAX_PORTS-1
        std::uint64_t memory; // bytes for what it puts; 0: it may only read. At least min_memory.
    };
    static constexpr std::uint64_t min_memory = std::uint64_t{256} << 10;

    std::uint32_t ports = 0;
    Port port[KVS_MAX_PORTS]{};
    // Keys that a namespace is made for. More can be kept, but then more are displaced.
    std::uint64_t keys[KVS_MAX_PORTS]{};
    // Secret: who knows it can choose keys that displace each other.
    std::uint64_t seed[2]{};
};

class Store {
  public:
    // Bytes; 0: the layout is not sound.
    [[nodiscard]] static std::size_t footprint(const Layout &layout);
    // `memory` is 4096-aligned. nullptr: the layout is not sound, or there is too little room.
    [[nodiscard]] static Store *create(void *memory, std::size_t length, const Layout &layout);
    // One that is there: for a manager that takes over, and for processes that share it.
    [[nodiscard]] static Store *open(void *memory, std::size_t length);
    // Whether it was made of this layout; seeds are not compared.
    [[nodiscard]] bool is_of(const Layout &layout) const;

    // ---- the manager's
    // `cookie` is the manager's own, to know it again after a restart.
    Error port_open(PortId port, std::uint64_t cookie = 0);
    // Nobody of that port is inside, and nobody will be. What it has put stays.
    Error port_close(PortId port);
    [[nodiscard]] bool is_open(PortId port) const;
    [[nodiscard]] std::uint64_t cookie(PortId port) const;
    // Memory of the port, as it is seen where call() runs. Multiples of 4096; length < 2^40.
    Error region_add(PortId port, std::uint32_t index, std::uint64_t base, std::uint64_t length);
    Error region_remove(PortId port, std::uint32_t index);
    // Time for the TTLs, never back. Without ticks time stands still.
    void tick(std::uint64_t now_ms);
    bool stats(PortId port, kvs_stats &out) const;

    // ---- a guest's; what it passes is hostile. cpu: any number, the same for no two calls of a
    // port that are under way.
    std::int64_t call(PortId port, std::uint64_t op, std::uint64_t request, std::uint32_t cpu);

  protected:
    Store() = default;
};

} // namespace kvs

#endif // KVS_STORE_HPP

// SPDX-License-Identifier: Apache-2.0
// The switch as it lies in memory.
#ifndef RVS_CORE_HPP
#define RVS_CORE_HPP

#include "counters.hpp"
#include "fdb.hpp"
#include "lanes.hpp"
#include "port.hpp"
#include "rvs/switch.hpp"

#include <atomic>
#include <cstdint>

namespace rvs {

class Core final : public Switch {
  public:
    static constexpr std::uint64_t magic_value = 0x3130'5357'5356'52ff; // "RVSWS01"
    static constexpr std::uint32_t layout_version = 6;

    std::atomic<std::uint64_t> magic; // stored last by create()
    std::uint32_t version;
    std::uint32_t fdb_buckets;
    std::uint64_t size; // bytes of all of it
    std::uint64_t seed;
    std::uint32_t age_limit;
    std::atomic<std::uint32_t> stamp; // now, 1..fdb_stamps

    std::uint64_t clock_hz;   // of the time-stamp counter; 0: unknown
    std::uint64_t call_ticks; // Limits::call_ms; 0: a call may go on at any time

    // Bitmaps of ports. Changed by control operations and the manager only.
    alignas(64) std::atomic<std::uint64_t> live_ports; // receive
    std::atomic<std::uint64_t> promisc_ports;          // want unknown unicast
    std::atomic<std::uint64_t> multicast_ports;        // want all multicast
    std::atomic<std::uint64_t> isolated_ports;
    std::atomic<std::uint64_t> capture_ports; // get copies, and nothing else
    std::atomic<std::uint64_t> down_ports;    // held down by the manager
    std::atomic<std::uint64_t> open_ports;
    // Sources that RVIF_OP_SOURCES tells of.
    alignas(64) std::atomic<std::uint64_t> live_sources[RVIF_MAX_SOURCES / 64];

    std::atomic<std::uint64_t> vlan_ports[vlan_ids]; // members of each VLAN

    alignas(64) std::atomic<std::uint64_t> owners[RVIF_MAX_SOURCES]; // class Owner

    Port ports[RVIF_MAX_PORTS];
    PairCounters pairs[RVIF_MAX_SOURCES][RVIF_MAX_PORTS];
    Lane lanes[RVIF_MAX_SOURCES][RVIF_MAX_PORTS][RVIF_MAX_QUEUES];

    [[nodiscard]] Fdb fdb() const
    {
        // The buckets follow this object; create() has made room for them.
        auto *end = reinterpret_cast<std::uint8_t *>(const_cast<Core *>(this)) + sizeof(Core);
        return Fdb{reinterpret_cast<FdbBucket *>(end), fdb_buckets, seed};
    }

    // ---- guest operations (call.cpp dispatches)
    std::int64_t transmit(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                          std::uint64_t count, std::uint64_t number);
    std::int64_t recover(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                         std::uint64_t number);
    std::int64_t tx_setup(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                          rvif_addr_t address);
    std::int64_t rx_setup(std::uint32_t cpu, std::uint32_t self, std::uint64_t queue,
                          rvif_addr_t address);
    std::int64_t start(std::uint32_t cpu, std::uint32_t self);
    std::int64_t stop(std::uint32_t cpu, std::uint32_t self);
    std::int64_t set_mac(std::uint32_t cpu, std::uint32_t self, std::uint64_t mac);
    std::int64_t stats(std::uint32_t self, rvif_addr_t address);
    std::int64_t queue_stats(std::uint32_t self, rvif_addr_t address, std::uint64_t queue);
    std::int64_t sources(std::uint32_t self, rvif_addr_t address) const;
    std::int64_t rx_mode(std::uint32_t self, std::uint64_t mode);
    std::int64_t rss(std::uint32_t cpu, std::uint32_t self, rvif_addr_t address);

    // ---- shared by both sides
    // A call that held tx was cut short: lanes must be looked after, and what it did is in the
    // journal. Returns the descriptors that it consumed. Whoever calls holds tx.
    std::uint32_t after_cut(TxQueue &tx);
    void fulfil(const Journal &journal, std::uint32_t source);
    void source_live(std::uint32_t source, bool live);
    void collect(std::uint32_t port, PortStats &out) const;
    static void add_sent(const TxQueue *queues, std::uint32_t count, PortStats &out);
    void sum_received(std::uint32_t port, std::uint64_t (&out)[2 + receiver_reasons]) const;
};

static_assert(alignof(Core) <= 4096);
static_assert(sizeof(Core) % alignof(FdbBucket) == 0);
static_assert(std::atomic<std::uint64_t>::is_always_lock_free);

} // namespace rvs

#endif // RVS_CORE_HPP

// SPDX-License-Identifier: Apache-2.0
// A port and its queues, as control path (control.hpp) and data path (rxtx.cpp) share them.
#pragma once

#include "backend.hpp"
#include "devargs.hpp"
#include "memory.hpp"
#include "rvs/rvif.h"

#include <atomic>
#include <cstdint>
#include <ethdev_driver.h>
#include <memory>
#include <mutex>
#include <rte_mbuf.h>
#include <string>
#include <vector>

namespace rvif {

extern int log_type;
#define RVIF_LOG(level, ...) rte_log(RTE_LOG_##level, ::rvif::log_type, "net_rvif: " __VA_ARGS__)

class Port;

// Memory that the switch sees: EAL heap, so that it is in a region once the port has started.
struct EalDelete {
    void operator()(void *memory) const noexcept;
};
template <class T>
using EalPtr = std::unique_ptr<T, EalDelete>;
void *eal_alloc(std::size_t bytes, int socket);

// The buffers that one source may fill.
struct RxLane {
    std::uint32_t *posted = nullptr;     // ours to write
    const std::uint64_t *comp = nullptr; // the source's
    const std::uint32_t *meta = nullptr; // likewise
    rte_mbuf **mbufs = nullptr;          // posted[i] is the data of mbufs[i]
    std::uint32_t next = 0;              // comp[next] is read next
    std::uint32_t next_phase = RVIF_PHASE;
    std::uint32_t post = 0; // posted[post] is written next
    std::uint32_t post_phase = RVIF_PHASE;
    std::uint32_t vacant = 0; // entries without a buffer
    // A frame of several buffers whose end has not come yet.
    rte_mbuf *head = nullptr;
    rte_mbuf *tail = nullptr;
    bool spoilt = false; // ... and which is to be dropped when it has
};

struct alignas(RVIF_LINE) RxQueue {
    Port *port = nullptr;
    rte_mempool *pool = nullptr;
    std::uint64_t rearm = 0; // data_off, refcnt, nb_segs, port of a posted mbuf
    std::uint32_t depth = 0;
    std::uint32_t buf_len = 0;
    std::uint32_t max_frame = 0;
    std::uint32_t plain_length = 0; // a frame of one buffer has at most this much
    std::uint16_t data_off = 0;
    std::uint32_t data_at = 0; // from an mbuf to where its buffer is filled
    std::uint16_t index = 0;
    bool scattered = false;
    bool stopped = false;
    bool deferred = false;
    std::uint32_t region = 0; // all posted buffers are in it

    std::uint32_t polls = 0; // until the next look for new sources
    std::uint64_t live[RVIF_MAX_SOURCES / 64] = {};
    std::uint32_t live_count = 0;
    std::uint32_t turn = 0;
    RxLane *order[RVIF_MAX_SOURCES] = {};
    RxLane *awaited = nullptr;            // from which frames came last
    const AddressMap::Run *run = nullptr; // that all of the pool is in; nullptr: it is in several
    RxLane lanes[RVIF_MAX_SOURCES];

    EalPtr<std::uint32_t> ring;
    EalPtr<rvif_rx_setup> setup;
    EalPtr<rvif_sources> sources;
    rvif_addr_t sources_addr = 0;
    std::unique_ptr<rte_mbuf *[]> mbufs;

    // Written by the polling thread only.
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    std::uint64_t no_mbuf = 0;
    std::uint64_t bad_length = 0; // the switch claims what cannot be
    std::uint64_t oversize = 0;   // longer than the MTU
    std::uint64_t not_scattered = 0;
    std::uint64_t stale = 0;        // came while the queue was stopped
    std::uint64_t unregistered = 0; // pool buffers outside the regions
};

struct alignas(RVIF_LINE) TxQueue {
    Port *port = nullptr;
    std::uint16_t index = 0;
    bool fast_free = false;
    bool stopped = false;
    bool deferred = false;
    const AddressMap::Run *run = nullptr;
    rvif_tx_desc *descs = nullptr;
    std::byte *bounce = nullptr; // for mbufs outside the regions
    rvif_addr_t bounce_addr = 0;
    std::uint16_t ends[RVIF_MAX_BURST] = {}; // descriptors up to and with frame i of the call

    EalPtr<rvif_tx_desc> ring;
    EalPtr<rvif_tx_setup> setup;
    EalPtr<std::byte> bounce_memory;

    // Written by the sending thread only.
    std::uint64_t frames = 0;
    std::uint64_t bytes = 0;
    std::uint64_t bounced = 0;    // segments copied because they are in no region
    std::uint64_t bad_length = 0; // too long, or not as long as its segments
    std::uint64_t empty = 0;
    std::uint64_t bad_offload = 0; // asks for what the switch cannot do
    std::uint64_t calls = 0;       // numbers them, for the switch
    std::uint64_t cut = 0;         // calls that were cut short, and gone on with
    std::uint64_t aborted = 0;     // frames of calls that were cut short for good
    std::uint64_t refused = 0;     // frames of calls that the switch refused
    std::uint64_t busy = 0;        // calls refused because another thread is in this queue
};

constexpr std::uint32_t bounce_bytes = 2 * (RVIF_MAX_FRAME + 1);
constexpr std::uint32_t source_poll_interval = 256; // rx bursts
constexpr std::uint32_t refill_batch = 32;
// A queue has a lane for each source that there is, and most of them are silent. So many are looked
// at in one rx burst, and the one that spoke last; the others have their turn in the next ones.
constexpr std::uint32_t lanes_per_poll = 8;
constexpr std::uint32_t lane_slack = 2; // entries of RxLane::mbufs behind the last

class Port {
  public:
    Config config;
    std::unique_ptr<Backend> backend;
    rte_eth_dev *dev = nullptr;
    AddressMap addresses;
    std::vector<std::unique_ptr<RxQueue>> rx;
    std::vector<std::unique_ptr<TxQueue>> tx;
    EalPtr<rvif_port_stats> stats_area;
    EalPtr<rvif_rss> rss_area;
    EalPtr<rvif_sources> status_area;
    rvif_rss rss{};                                   // as configured
    std::atomic<bool> link = true;                    // the manager does not hold the port down
    rvif_port_stats stats_base{};                     // what a reset takes away
    rvif_port_stats queue_base[RVIF_MAX_QUEUES] = {}; // likewise, of tx queues
    std::mutex control;                               // one user of the areas at a time
    bool memory_events = false;
    bool undrained =
        false; // it should have stopped, but peers may still be filling buffers of ours

    struct Registered {
        Block block;
        int region;
        bool stale = false;
    };
    std::vector<Registered> regions;
    std::atomic<std::uint64_t> given_back = 0; // times that EAL gave memory back

    // The switch's counters since the last reset; false before the first start or when out of
    // reach.
    bool switch_stats(rvif_port_stats &out, bool since_reset = true);
    // Those of a tx queue.
    bool switch_stats_of(std::uint16_t queue, rvif_port_stats &out, bool since_reset = true);
    // From the queue's own thread. False: out of reach.
    bool sources(const RxQueue &queue, rvif_sources &out);

  private:
    bool read_stats(std::uint64_t op, std::uint64_t queue, const rvif_port_stats *base,
                    rvif_port_stats &out);
};

// "tx setup of queue 0: no source left (RVIF_E_FULL)"
std::string call_error(const Port &port, const char *what, const CallResult &result);

std::uint16_t rx_burst(void *queue, rte_mbuf **pkts, std::uint16_t count);
std::uint16_t tx_burst(void *queue, rte_mbuf **pkts, std::uint16_t count);
std::uint16_t tx_prepare(void *queue, rte_mbuf **pkts, std::uint16_t count);
// Buffers that are filled and not yet received, counted up to `most`.
std::uint32_t rx_filled(const RxQueue &queue, std::uint32_t most) noexcept;
// While stopped: everything posted or half received goes back to its pool.
void rx_release_buffers(RxQueue &queue);
// After a START: first buffers for the sources that are there.
void rx_look_for_sources(RxQueue &queue);
void rx_reset_lanes(RxQueue &queue);

int xstats_get(rte_eth_dev *dev, rte_eth_xstat *out, unsigned count);
int xstats_names(rte_eth_dev *dev, rte_eth_xstat_name *out, unsigned count);
int stats_get(rte_eth_dev *dev, rte_eth_stats *out);
int stats_reset(rte_eth_dev *dev);

inline Port &port_of(rte_eth_dev *dev)
{
    return **static_cast<Port **>(dev->data->dev_private);
}

} // namespace rvif

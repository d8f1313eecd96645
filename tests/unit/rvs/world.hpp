// SPDX-License-Identifier: Apache-2.0
// A switch and guests in plain memory: each guest has a region between guard pages, posts
// buffers, sends, and reads its lanes as a driver would.
#ifndef TESTS_RVS_WORLD_HPP
#define TESTS_RVS_WORLD_HPP

#include "rvs/rvif.h"
#include "rvs/switch.hpp"

#include <algorithm>
#include <array>
#include <cstdint>
#include <cstring>
#include <deque>
#include <map>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <utility>
#include <vector>

namespace rvs::test {

using Bytes = std::vector<std::uint8_t>;

// Shared (it survives fork), with an inaccessible page before and after.
class Memory {
  public:
    explicit Memory(std::size_t len) : len_{(len + page - 1) / page * page}
    {
        map_ = mmap(nullptr, len_ + 2 * page, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (map_ == MAP_FAILED || mprotect(data(), len_, PROT_READ | PROT_WRITE) != 0)
            throw std::runtime_error("mmap");
    }
    Memory(Memory &&other) noexcept : map_{std::exchange(other.map_, MAP_FAILED)}, len_{other.len_}
    {
    }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory()
    {
        if (map_ != MAP_FAILED)
            munmap(map_, len_ + 2 * page);
    }

    [[nodiscard]] std::uint8_t *data() const { return static_cast<std::uint8_t *>(map_) + page; }
    [[nodiscard]] std::size_t size() const { return len_; }
    [[nodiscard]] std::uint64_t base() const { return reinterpret_cast<std::uint64_t>(data()); }
    [[nodiscard]] Bytes snapshot() const { return Bytes(data(), data() + len_); }

    static constexpr std::size_t page = 4096;

  private:
    void *map_;
    std::size_t len_;
};

// xorshift; the same everywhere for the same seed.
class Random {
  public:
    explicit Random(std::uint32_t seed) : state_{seed * 2654435761u | 1} {}
    std::uint32_t operator()()
    {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 17;
        state_ ^= state_ << 5;
        return state_;
    }

  private:
    std::uint32_t state_;
};

class World {
  public:
    explicit World(Limits limits = small())
        : memory_{Switch::footprint(limits)}, switch_{Switch::create(memory_.data(), memory_.size(),
                                                                     limits)}
    {
        if (switch_ == nullptr)
            throw std::runtime_error("Switch::create");
    }

    static Limits small()
    {
        Limits limits;
        limits.fdb_entries = 1024;
        return limits;
    }

    Switch *operator->() const { return switch_; }
    Switch &operator*() const { return *switch_; }
    [[nodiscard]] const Memory &memory() const { return memory_; }

  private:
    Memory memory_;
    Switch *switch_;
};

struct GuestOptions {
    std::uint32_t depth = 64;
    std::uint32_t buf_len = 2048;
    std::uint32_t rx_queues = 1;
    std::uint32_t tx_queues = 1;
    std::uint32_t buffers = 160;
    std::uint64_t mac = 0; // pinned
    std::uint32_t rx_flags = 0;
};

// A transmit descriptor, in numbers that need no casts.
struct Desc {
    rvif_addr_t addr;
    std::size_t len;
    std::uint32_t flags = 0;
    std::uint32_t vlan = 0;
    std::uint32_t segsz = 0;

    [[nodiscard]] rvif_tx_desc wire() const
    {
        return {addr, static_cast<std::uint16_t>(len), static_cast<std::uint16_t>(flags),
                static_cast<std::uint16_t>(vlan), static_cast<std::uint16_t>(segsz)};
    }
};

// What a receiver is told of a frame.
struct Received {
    std::uint32_t flags = 0; // RVIF_COMP_*
    std::uint32_t hash = 0;
    std::uint16_t vlan = 0;
    std::uint16_t segsz = 0;

    bool operator==(const Received &) const = default;
};

// The guest at a port, with one region, number 0.
class Guest {
  public:
    // Offsets in the region.
    static constexpr std::uint64_t tx_setup_at = 0x0; // 16 bytes a queue
    static constexpr std::uint64_t rx_setup_at = 0x100;
    static constexpr std::uint64_t stats_at = 0x400;
    static constexpr std::uint64_t sources_at = 0x600;
    static constexpr std::uint64_t rss_at = 0x700;
    static constexpr std::uint64_t descs_at = 0x1000; // 4 KiB a queue
    static constexpr std::uint64_t lanes_at = 0x10000;
    static constexpr std::uint64_t payload_len = 0x60000;

    Guest(World &world, std::uint32_t port, GuestOptions options = {})
        : world_{world}, port_{port}, options_{options}, payload_at_{lanes_at + options.rx_queues *
                                                                                    lanes_len()},
          buffers_at_{payload_at_ + payload_len}, buffer_stride_{(options.buf_len + 63) / 64 * 64 +
                                                                 64},
          memory_{buffers_at_ + std::uint64_t{options.buffers} * buffer_stride_}
    {
        reset_buffers();
    }

    // Opens the port, registers the region, sets all queues up and starts.
    void join()
    {
        open();
        set_up();
        must(call(RVIF_OP_START) == 0, "START");
    }
    void open()
    {
        PortOptions options;
        options.mac = options_.mac;
        open(options);
    }
    void open(const PortOptions &options)
    {
        must(world_->port_open(id(), options) == Error::none, "port_open");
        must(add_region() == Error::none, "region_add");
    }
    // As join(), with a policy.
    void join(const PortOptions &options)
    {
        open(options);
        set_up();
        must(call(RVIF_OP_START) == 0, "START");
    }
    Error add_region() { return world_->region_add(id(), 0, memory_.base(), memory_.size()); }

    // With fresh lanes.
    void set_up()
    {
        std::memset(memory_.data() + lanes_at, 0, options_.rx_queues * lanes_len());
        cursors_.clear();
        reset_buffers();
        for (std::uint32_t q = 0; q < options_.tx_queues; ++q)
            must((sources_[q] = setup_tx(q)) >= 0, "TX_SETUP");
        for (std::uint32_t q = 0; q < options_.rx_queues; ++q)
            must(setup_rx(q, rx_setup(q)) == 0, "RX_SETUP");
    }
    std::int64_t setup_tx(std::uint32_t queue)
    {
        put(tx_setup_at + 16 * queue,
            rvif_tx_setup{RVIF_ADDR(0ull, descs_at + 0x1000 * queue), tx_flags(), 0});
        return call(RVIF_OP_TX_SETUP, queue, RVIF_ADDR(0ull, tx_setup_at + 16 * queue));
    }
    [[nodiscard]] rvif_rx_setup rx_setup(std::uint32_t queue) const
    {
        return rvif_rx_setup{RVIF_ADDR(0ull, lanes_at + queue * lanes_len()), options_.depth,
                             options_.buf_len, 0, options_.rx_flags};
    }
    [[nodiscard]] static std::uint32_t tx_flags()
    {
        return __builtin_cpu_supports("avx2") != 0 ? RVIF_TXQ_AVX2 : 0u;
    }
    std::int64_t setup_rx(std::uint32_t queue, const rvif_rx_setup &setup)
    {
        put(rx_setup_at + 24 * queue, setup);
        return call(RVIF_OP_RX_SETUP, queue, RVIF_ADDR(0ull, rx_setup_at + 24 * queue));
    }
    void leave() { must(world_->port_close(id()) == Error::none, "port_close"); }

    std::int64_t call(std::uint64_t op, std::uint64_t a1 = 0, std::uint64_t a2 = 0)
    {
        return world_->call(id(), op, a1, a2, 0);
    }

    // ------------------------------------------------------------------ sending

    // Puts the bytes into payload memory, one frame after the other, 64-aligned.
    rvif_addr_t stage(const Bytes &bytes)
    {
        if (staged_ + bytes.size() > payload_len)
            staged_ = 0;
        const std::uint64_t at = payload_at_ + staged_;
        std::memcpy(memory_.data() + at, bytes.data(), bytes.size());
        staged_ += (bytes.size() + 63) / 64 * 64;
        return RVIF_ADDR(0ull, at);
    }
    void desc(std::uint32_t index, const Desc &d, std::uint32_t queue = 0)
    {
        put(descs_at + 0x1000 * queue + sizeof(rvif_tx_desc) * index, d.wire());
    }
    std::int64_t transmit(std::uint64_t count, std::uint64_t queue = 0)
    {
        return call(RVIF_OP_TX, queue, count);
    }
    std::int64_t send(const std::vector<Bytes> &frames, std::uint32_t queue = 0)
    {
        std::uint32_t n = 0;
        for (const Bytes &frame : frames)
            desc(n++, {stage(frame), frame.size()}, queue);
        return transmit(n, queue);
    }
    std::int64_t send(const Bytes &frame, std::uint32_t queue = 0)
    {
        return send(std::vector<Bytes>{frame}, queue);
    }
    // One frame in segments of these lengths.
    std::int64_t send_chain(const Bytes &frame, const std::vector<std::uint32_t> &lens)
    {
        std::uint32_t n = 0;
        std::size_t at = 0;
        for (const std::uint32_t len : lens) {
            const auto begin = frame.begin() + static_cast<std::ptrdiff_t>(at);
            const Bytes part(begin, begin + len);
            at += len;
            desc(n, {stage(part), len, n + 1 < lens.size() ? RVIF_TX_MORE : 0});
            ++n;
        }
        return transmit(n);
    }

    // ---------------------------------------------------------------- receiving

    // The live sources of other ports.
    std::vector<std::uint32_t> sources()
    {
        must(call(RVIF_OP_SOURCES, RVIF_ADDR(0ull, sources_at)) == 0, "SOURCES");
        const auto found = get<rvif_sources>(sources_at);
        std::vector<std::uint32_t> all;
        for (std::uint32_t s = 0; s < RVIF_MAX_SOURCES; ++s) {
            if ((found.live[s / 64] >> (s % 64) & 1) != 0)
                all.push_back(s);
        }
        return all;
    }

    // Posts up to count buffers to a lane; returns how many there was room for.
    std::uint32_t post(std::int64_t source, std::uint32_t count, std::uint32_t queue = 0)
    {
        Cursor &c = cursor(source, queue);
        std::uint32_t n = 0;
        for (; n < count && c.posted - c.taken < options_.depth && !free_.empty(); ++n) {
            const std::uint64_t buffer = free_.front();
            free_.pop_front();
            c.buffers.push_back(buffer);
            post_raw(source, c.posted++, static_cast<std::uint32_t>(buffer / RVIF_BUF_UNIT), queue);
        }
        return n;
    }
    // Entry i of the lane (free-running), with the right phase.
    void post_raw(std::int64_t source, std::uint32_t i, std::uint32_t unit, std::uint32_t queue = 0)
    {
        store32(posted_at(source, queue) + 4 * (i % options_.depth), unit | phase(i));
    }

    // Takes the next whole frame from a lane. False: none.
    bool receive(std::int64_t source, Bytes &frame, std::uint32_t queue = 0,
                 Received *notes = nullptr)
    {
        Cursor &c = cursor(source, queue);
        if ((comp(source, c.taken, queue) & RVIF_PHASE) != phase(c.taken))
            return false;
        frame.clear();
        if (notes != nullptr) {
            const std::uint64_t first = comp(source, c.taken, queue);
            const std::uint32_t meta =
                load32(meta_at(source, queue) + 4 * (c.taken % options_.depth));
            *notes = {static_cast<std::uint32_t>(first) & RVIF_COMP_FLAGS & ~RVIF_COMP_MORE,
                      static_cast<std::uint32_t>(first >> 32), static_cast<std::uint16_t>(meta),
                      static_cast<std::uint16_t>(meta >> 16)};
        }
        bool more = true;
        for (bool head = true; more; head = false) {
            const std::uint64_t entry = comp(source, c.taken, queue);
            // The switch shows a frame whole or not at all.
            must((entry & RVIF_PHASE) == phase(c.taken), "partial frame");
            const std::uint64_t known = RVIF_PHASE | RVIF_COMP_LEN_MASK |
                                        (head ? RVIF_COMP_FLAGS | ~0ull << 32 : RVIF_COMP_MORE);
            must((entry & ~known) == 0, "comp bits");
            must(!c.buffers.empty(), "completion without a posted buffer");
            const std::uint32_t len = entry & RVIF_COMP_LEN_MASK;
            must(len <= options_.buf_len, "comp length");
            const std::uint8_t *data = memory_.data() + c.buffers.front();
            frame.insert(frame.end(), data, data + len);
            free_.push_back(c.buffers.front());
            c.buffers.pop_front();
            ++c.taken;
            more = (entry & RVIF_COMP_MORE) != 0;
        }
        return true;
    }
    std::vector<Bytes> receive_all(std::int64_t source, std::uint32_t queue = 0)
    {
        std::vector<Bytes> frames;
        for (Bytes frame; receive(source, frame, queue);)
            frames.push_back(frame);
        return frames;
    }

    // ------------------------------------------------------------------- looking

    [[nodiscard]] PortStats stats() const
    {
        PortStats stats{};
        must(world_->port_stats(id(), stats), "port_stats");
        return stats;
    }
    [[nodiscard]] std::uint64_t drops(rvif_drop reason) const
    {
        return stats().frames.drops[reason];
    }
    [[nodiscard]] std::uint64_t comp(std::int64_t source, std::uint32_t i, std::uint32_t queue = 0)
    {
        return load64(comp_at(source, queue) + 8 * (i % options_.depth));
    }
    void set_comp(std::int64_t source, std::uint32_t i, std::uint32_t value,
                  std::uint32_t queue = 0)
    {
        put<std::uint64_t>(comp_at(source, queue) + 8 * (i % options_.depth), value);
    }
    [[nodiscard]] std::uint32_t phase(std::uint32_t i) const
    {
        return (i / options_.depth) % 2 == 0 ? RVIF_PHASE : 0;
    }

    [[nodiscard]] PortId id() const { return PortId{port_}; }
    [[nodiscard]] std::uint32_t port() const { return port_; }
    [[nodiscard]] std::int64_t source(std::uint32_t queue = 0) const { return sources_.at(queue); }
    [[nodiscard]] const Memory &memory() const { return memory_; }
    [[nodiscard]] const GuestOptions &options() const { return options_; }
    [[nodiscard]] std::uint64_t payload_at() const { return payload_at_; }
    [[nodiscard]] std::uint64_t buffers_at() const { return buffers_at_; }
    [[nodiscard]] std::uint64_t posted_at(std::int64_t source, std::uint32_t queue = 0) const
    {
        return lanes_at + queue * lanes_len() +
               static_cast<std::uint64_t>(source) * RVIF_LANE_STRIDE(options_.depth);
    }
    [[nodiscard]] std::uint64_t comp_at(std::int64_t source, std::uint32_t queue = 0) const
    {
        return posted_at(source, queue) + RVIF_LANE_COMP(options_.depth);
    }
    [[nodiscard]] std::uint64_t meta_at(std::int64_t source, std::uint32_t queue = 0) const
    {
        return posted_at(source, queue) + RVIF_LANE_META(options_.depth);
    }
    [[nodiscard]] std::uint64_t lanes_len() const
    {
        return RVIF_MAX_SOURCES * RVIF_LANE_STRIDE(options_.depth);
    }

    template <typename T>
    void put(std::uint64_t offset, const T &value)
    {
        std::memcpy(memory_.data() + offset, &value, sizeof(value));
    }
    template <typename T>
    [[nodiscard]] T get(std::uint64_t offset) const
    {
        T value;
        std::memcpy(&value, memory_.data() + offset, sizeof(value));
        return value;
    }
    void store32(std::uint64_t offset, std::uint32_t value)
    {
        __atomic_store_n(reinterpret_cast<std::uint32_t *>(memory_.data() + offset), value,
                         __ATOMIC_RELEASE);
    }
    [[nodiscard]] std::uint32_t load32(std::uint64_t offset) const
    {
        return __atomic_load_n(reinterpret_cast<const std::uint32_t *>(memory_.data() + offset),
                               __ATOMIC_ACQUIRE);
    }
    [[nodiscard]] std::uint64_t load64(std::uint64_t offset) const
    {
        return __atomic_load_n(reinterpret_cast<const std::uint64_t *>(memory_.data() + offset),
                               __ATOMIC_ACQUIRE);
    }
    static void must(bool condition, const char *what)
    {
        if (!condition)
            throw std::logic_error(what);
    }

  private:
    struct Cursor {
        std::uint32_t posted = 0;
        std::uint32_t taken = 0;
        std::deque<std::uint64_t> buffers;
    };
    Cursor &cursor(std::int64_t source, std::uint32_t queue)
    {
        return cursors_[static_cast<std::uint32_t>(source) * RVIF_MAX_QUEUES + queue];
    }
    void reset_buffers()
    {
        free_.clear();
        for (std::uint32_t i = 0; i < options_.buffers; ++i)
            free_.push_back(buffers_at_ + std::uint64_t{i} * buffer_stride_);
    }

    World &world_;
    std::uint32_t port_;
    GuestOptions options_;
    std::uint64_t payload_at_;
    std::uint64_t buffers_at_;
    std::uint64_t buffer_stride_;
    Memory memory_;
    std::uint64_t staged_ = 0;
    std::array<std::int64_t, RVIF_MAX_QUEUES> sources_{};
    std::map<std::uint32_t, Cursor> cursors_;
    std::deque<std::uint64_t> free_;
};

// 02:00:00:00:hh:ll
inline std::array<std::uint8_t, 6> mac(std::uint32_t n)
{
    return {2,
            0,
            0,
            static_cast<std::uint8_t>(n >> 16),
            static_cast<std::uint8_t>(n >> 8),
            static_cast<std::uint8_t>(n)};
}
inline std::uint64_t word(const std::array<std::uint8_t, 6> &m)
{
    std::uint64_t w = 0;
    std::memcpy(&w, m.data(), m.size());
    return w;
}
inline constexpr std::array<std::uint8_t, 6> broadcast{0xff, 0xff, 0xff, 0xff, 0xff, 0xff};
inline constexpr std::array<std::uint8_t, 6> multicast{0x01, 0x00, 0x5e, 0, 0, 1};

// A frame whose every payload byte depends on seed.
inline Bytes frame(const std::array<std::uint8_t, 6> &to, const std::array<std::uint8_t, 6> &from,
                   std::size_t size = 64, std::uint32_t seed = 1)
{
    Bytes bytes(size);
    std::uint32_t x = seed * 2654435761u + 1;
    for (std::uint8_t &b : bytes) {
        x = x * 1664525u + 1013904223u;
        b = static_cast<std::uint8_t>(x >> 24);
    }
    const Bytes header{to[0],   to[1],   to[2],   to[3],   to[4],   to[5], from[0],
                       from[1], from[2], from[3], from[4], from[5], 0x08,  0x00};
    std::copy(header.begin(),
              header.begin() + static_cast<std::ptrdiff_t>(std::min(size, header.size())),
              bytes.begin());
    return bytes;
}

} // namespace rvs::test

#endif // TESTS_RVS_WORLD_HPP

// SPDX-License-Identifier: Apache-2.0
// A store and guests in plain memory that survives fork: each guest has a region between guard
// pages, and asks as a client does.
#ifndef TESTS_KVS_WORLD_HPP
#define TESTS_KVS_WORLD_HPP

#include "kvs/store.hpp"

#include <cstdint>
#include <cstring>
#include <optional>
#include <stdexcept>
#include <string>
#include <string_view>
#include <sys/mman.h>

namespace kvs::test {

class Memory {
  public:
    explicit Memory(std::size_t length) : length_{(length + page - 1) / page * page}
    {
        map_ = mmap(nullptr, length_ + 2 * page, PROT_NONE, MAP_SHARED | MAP_ANONYMOUS, -1, 0);
        if (map_ == MAP_FAILED || mprotect(data(), length_, PROT_READ | PROT_WRITE) != 0)
            throw std::runtime_error("mmap");
    }
    Memory(const Memory &) = delete;
    Memory &operator=(const Memory &) = delete;
    ~Memory() { munmap(map_, length_ + 2 * page); }

    [[nodiscard]] std::uint8_t *data() const { return static_cast<std::uint8_t *>(map_) + page; }
    [[nodiscard]] std::size_t size() const { return length_; }

    static constexpr std::size_t page = 4096;

  private:
    void *map_;
    std::size_t length_;
};

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_{seed * 0x9e3779b97f4a7c15 | 1} {}
    std::uint32_t operator()()
    {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return static_cast<std::uint32_t>(state_ >> 16);
    }

  private:
    std::uint64_t state_;
};

inline Layout layout(std::uint32_t ports, std::uint64_t memory = Layout::min_memory,
                     std::uint64_t keys = 16)
{
    Layout all;
    all.ports = ports;
    for (std::uint32_t p = 0; p < ports; ++p)
        all.port[p] = {0, memory};
    all.keys[0] = keys;
    all.seed[0] = 1;
    all.seed[1] = 2;
    return all;
}

struct World {
    explicit World(const Layout &made_of)
        : memory{Store::footprint(made_of)}, store{Store::create(memory.data(), memory.size(),
                                                                 made_of)}
    {
        if (store == nullptr)
            throw std::runtime_error("no store");
    }
    Store *operator->() const { return store; }

    Memory memory;
    Store *store;
};

class Guest {
  public:
    static constexpr std::uint64_t request_at = 0;
    static constexpr std::uint64_t key_at = 512;
    static constexpr std::uint64_t value_at = 4096;
    static constexpr std::uint64_t size = value_at + KVS_MAX_VALUE;

    Guest(World &world, std::uint32_t port, std::uint32_t cpu = 0)
        : world_{world}, port_{port}, cpu_{cpu}, memory_{size}
    {
        join();
    }
    void join()
    {
        if (world_->port_open(PortId{port_}) != Error::none ||
            world_->region_add(PortId{port_}, 0, reinterpret_cast<std::uintptr_t>(memory_.data()),
                               memory_.size()) != Error::none)
            throw std::runtime_error("the port cannot be opened");
    }
    void leave() { world_->port_close(PortId{port_}); }

    [[nodiscard]] kvs_request &request() const
    {
        return *reinterpret_cast<kvs_request *>(memory_.data() + request_at);
    }
    [[nodiscard]] std::uint8_t *bytes() const { return memory_.data() + value_at; }
    [[nodiscard]] const Memory &memory() const { return memory_; }
    [[nodiscard]] std::uint32_t port() const { return port_; }

    void stage(std::string_view key, std::uint32_t value_length)
    {
        request() = {};
        std::memcpy(memory_.data() + key_at, key.data(), key.size());
        request().key = KVS_ADDR(0, key_at);
        request().value = KVS_ADDR(0, value_at);
        request().key_len = static_cast<std::uint32_t>(key.size());
        request().value_len = value_length;
    }
    std::int64_t call(std::uint64_t op, kvs_addr_t address = KVS_ADDR(0, request_at)) const
    {
        return world_->call(PortId{port_}, op, address, cpu_);
    }
    // To the end; `calls` counts.
    std::int64_t run(std::uint64_t op)
    {
        std::int64_t answer = call(op);
        for (calls = 1; answer == KVS_MORE; ++calls)
            answer = call(op | KVS_RESUME);
        return answer;
    }
    std::int64_t put(std::string_view key, std::string_view value, std::uint64_t op = KVS_OP_PUT,
                     std::uint64_t version = 0, std::uint64_t ttl = 0)
    {
        stage(key, static_cast<std::uint32_t>(value.size()));
        std::memcpy(bytes(), value.data(), value.size());
        request().version = version;
        request().ttl_ms = ttl;
        request().flags = static_cast<std::uint32_t>(value.size()) * 3;
        return run(op);
    }
    std::int64_t get_into_room(std::string_view key, std::uint32_t room = KVS_MAX_VALUE)
    {
        stage(key, room);
        return run(KVS_OP_GET);
    }
    std::optional<std::string> get(std::string_view key)
    {
        const std::int64_t answer = get_into_room(key);
        if (answer < 0)
            return std::nullopt;
        return std::string{reinterpret_cast<const char *>(bytes()),
                           static_cast<std::size_t>(answer)};
    }
    std::int64_t erase(std::string_view key, std::uint64_t version = 0)
    {
        stage(key, 0);
        request().version = version;
        return run(KVS_OP_DELETE);
    }
    [[nodiscard]] kvs_stats stats() const
    {
        kvs_stats all;
        world_->stats(PortId{port_}, all);
        return all;
    }

    std::uint32_t calls = 0;

  private:
    World &world_;
    std::uint32_t port_;
    std::uint32_t cpu_;
    Memory memory_;
};

} // namespace kvs::test

#endif // TESTS_KVS_WORLD_HPP

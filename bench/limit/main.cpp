// SPDX-License-Identifier: Apache-2.0
// limit: how fast one CPU can hand frames to another at best. The payload is written, copied once,
// and read: no descriptors, no buffers to manage, no switch, slots in order, published 32 at a
// time.
//
//   limit CPU CPU SIZE MILLISECONDS       -> {"size", "mpps"}
#include "../traffic/frame.hpp"

#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <memory>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <thread>

namespace {

using traffic::Line;
using traffic::line;

constexpr std::size_t slots = 512;
constexpr std::size_t batch = 32;

// An odd number of lines: slots would otherwise share a few cache sets.
constexpr std::size_t stride_for(std::size_t size)
{
    return size <= 2048 ? 2112 : 9280;
}

[[gnu::target_clones("avx512f", "avx2", "default")]] void
copy_frame(std::byte *to, const std::byte *from, std::size_t size)
{
    std::size_t at = 0;
    for (; at + line <= size; at += line) {
        Line words;
        std::memcpy(&words, from + at, line);
        std::memcpy(to + at, &words, line);
    }
    std::memcpy(to + at, from + at, size - at);
}

void pin(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    if (::sched_setaffinity(0, sizeof(set), &set) != 0) {
        throw std::runtime_error{"cannot run on CPU " + std::to_string(cpu)};
    }
}

struct Shared {
    alignas(128) std::atomic<std::uint64_t> head{0};
    alignas(128) std::atomic<std::uint64_t> tail{0};
    alignas(128) std::atomic<bool> stop{false};
    std::atomic<std::uint64_t> wrong{0};
    std::byte *ring = nullptr;
    std::size_t size = 0;
    std::size_t stride = 0;
};

void write(Shared &shared, std::byte *own)
{
    std::uint64_t head = 0;
    std::uint64_t tail = 0;
    while (!shared.stop.load(std::memory_order_relaxed)) {
        if (head + batch - tail > slots) {
            tail = shared.tail.load(std::memory_order_acquire);
            continue;
        }
        for (std::size_t i = 0; i < batch; ++i, ++head) {
            std::byte *frame = own + i * shared.stride;
            std::memcpy(frame + 8, &head, 8);
            traffic::write_payload(frame, shared.size, head);
            copy_frame(shared.ring + head % slots * shared.stride, frame, shared.size);
        }
        shared.head.store(head, std::memory_order_release);
    }
}

void read(Shared &shared)
{
    std::uint64_t tail = 0;
    std::uint64_t wrong = 0;
    while (!shared.stop.load(std::memory_order_relaxed)) {
        const std::uint64_t head = shared.head.load(std::memory_order_acquire);
        while (tail < head) {
            for (std::size_t i = 0; i < batch; ++i, ++tail) {
                const std::byte *frame = shared.ring + tail % slots * shared.stride;
                std::uint64_t sequence;
                std::memcpy(&sequence, frame + traffic::sequence_at, 8);
                wrong += sequence == tail && traffic::payload_is(frame, shared.size, line, sequence)
                             ? 0
                             : 1;
            }
            shared.tail.store(tail, std::memory_order_release);
        }
    }
    shared.wrong = wrong;
}

std::byte *memory(std::size_t bytes)
{
    void *at = ::mmap(nullptr, bytes, PROT_READ | PROT_WRITE,
                      MAP_PRIVATE | MAP_ANONYMOUS | MAP_HUGETLB | MAP_POPULATE, -1, 0);
    if (at == MAP_FAILED) {
        throw std::runtime_error{"no huge pages"};
    }
    return static_cast<std::byte *>(at);
}

int run(char **arguments)
{
    Shared shared;
    shared.size = std::strtoul(arguments[3], nullptr, 10);
    if (shared.size < traffic::min_size || shared.size > traffic::max_size) {
        throw std::runtime_error{"a frame has 60 to 9216 bytes"};
    }
    shared.stride = stride_for(shared.size);
    shared.ring = memory(8u << 20);
    std::byte *own = memory(2u << 20);
    std::thread reader{[&] {
        pin(std::atoi(arguments[2]));
        read(shared);
    }};
    std::thread writer{[&] {
        pin(std::atoi(arguments[1]));
        write(shared, own);
    }};
    using Clock = std::chrono::steady_clock;
    std::this_thread::sleep_for(std::chrono::milliseconds{100});
    const std::uint64_t before = shared.tail.load();
    const Clock::time_point begin = Clock::now();
    std::this_thread::sleep_for(std::chrono::milliseconds{std::atol(arguments[4])});
    const std::uint64_t after = shared.tail.load();
    const std::chrono::duration<double> time = Clock::now() - begin;
    shared.stop = true;
    reader.join();
    writer.join();
    if (shared.wrong != 0) {
        throw std::runtime_error{"frames were not what was written"};
    }
    std::printf("{\"size\": %zu, \"mpps\": %.3f}\n", shared.size,
                static_cast<double>(after - before) / time.count() / 1e6);
    return 0;
}

} // namespace

int main(int argc, char **argv)
{
    if (argc != 5) {
        std::fputs("usage: limit CPU CPU SIZE MILLISECONDS\n", stderr);
        return 2;
    }
    try {
        return run(argv);
    } catch (const std::exception &error) {
        std::fprintf(stderr, "limit: %s\n", error.what());
        return 1;
    }
}

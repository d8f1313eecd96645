// SPDX-License-Identifier: Apache-2.0
// limit: how fast one CPU can hand frames to another at best. The payload is written, copied once,
// and read: no descriptors, no buffers to manage, no switch, slots in order, published 32 at a
// time. Which way of copying is the fastest differs from CPU to CPU, with the size, and with how
// far the two are from each other: each is tried, and the best one measured.
//
//   limit CPU CPU SIZE MILLISECONDS
//
// Says {"event": "begin"} and {"event": "end", "size", "mpps", "way"} on standard output, and stays
// until standard input ends, so that what it used of the CPUs can be looked up.
#include "../traffic/frame.hpp"

#include <algorithm>
#include <atomic>
#include <chrono>
#include <cstdio>
#include <cstdlib>
#include <immintrin.h>
#include <iterator>
#include <sched.h>
#include <stdexcept>
#include <string>
#include <sys/mman.h>
#include <thread>

namespace {

using traffic::Line;
using traffic::line;

constexpr std::size_t batch = 32;
constexpr std::size_t most_slots = 512;

enum class Copying { vectors, string, streaming };

struct Way {
    const char *name;
    Copying copying;
    bool ahead; // the lines of slots to come are asked for: by the writer to write, by the reader
    std::size_t slots;
};
constexpr Way ways[] = {
    {"vectors, 512 slots", Copying::vectors, false, most_slots},
    {"vectors, 64 slots", Copying::vectors, false, 64},
    {"vectors, prefetch, 512 slots", Copying::vectors, true, most_slots},
    {"vectors, prefetch, 128 slots", Copying::vectors, true, 128},
    {"vectors, prefetch, 64 slots", Copying::vectors, true, 64},
    {"rep movsb, 512 slots", Copying::string, false, most_slots},
    {"rep movsb, 64 slots", Copying::string, false, 64},
    {"rep movsb, prefetch, 128 slots", Copying::string, true, 128},
    {"non-temporal stores, 512 slots", Copying::streaming, false, most_slots},
};

// An odd number of lines: slots would otherwise share a few cache sets.
constexpr std::size_t stride_for(std::size_t size)
{
    return size <= 2048 ? 2112 : 9280;
}

// How many frames ahead of the copy: as many lines as a core can have on their way.
constexpr std::size_t frames_ahead(std::size_t size)
{
    return size <= 128 ? 16 : size <= 256 ? 8 : size <= 1024 ? 4 : 2;
}
constexpr std::size_t most_lines = 32;

[[gnu::target_clones("avx512f", "avx2", "default")]] void
copy_vectors(std::byte *to, const std::byte *from, std::size_t size)
{
    std::size_t at = 0;
    for (; at + line <= size; at += line) {
        Line words;
        std::memcpy(&words, from + at, line);
        std::memcpy(to + at, &words, line);
    }
    std::memcpy(to + at, from + at, size - at);
}

void copy_string(std::byte *to, const std::byte *from, std::size_t size)
{
    asm volatile("rep movsb" : "+D"(to), "+S"(from), "+c"(size) : : "memory");
}

// Past the caches. Both ends are aligned to lines.
void copy_streaming(std::byte *to, const std::byte *from, std::size_t size)
{
    std::size_t at = 0;
    for (; at + sizeof(__m128i) <= size; at += sizeof(__m128i)) {
        _mm_stream_si128(reinterpret_cast<__m128i *>(to + at),
                         _mm_load_si128(reinterpret_cast<const __m128i *>(from + at)));
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
    std::size_t slots = 0;

    [[nodiscard]] std::byte *slot(std::uint64_t number) const
    {
        return ring + (number & (slots - 1)) * stride;
    }
    [[nodiscard]] std::size_t lines() const
    {
        return std::min(most_lines, (size + line - 1) / line);
    }
};

template <Copying How, bool Ahead>
void write(Shared &shared, std::byte *own)
{
    std::uint64_t head = 0;
    std::uint64_t tail = 0;
    const std::size_t ahead = frames_ahead(shared.size);
    while (!shared.stop.load(std::memory_order_relaxed)) {
        if (head + batch - tail > shared.slots) {
            tail = shared.tail.load(std::memory_order_acquire);
            continue;
        }
        for (std::size_t i = 0; i < batch; ++i, ++head) {
            if constexpr (Ahead) {
                const std::byte *soon = shared.slot(head + ahead);
                for (std::size_t n = shared.lines(); n != 0; --n, soon += line) {
                    __builtin_prefetch(soon, 1);
                }
            }
            std::byte *frame = own + i * shared.stride;
            std::memcpy(frame + 8, &head, 8);
            traffic::write_payload(frame, shared.size, head);
            std::byte *to = shared.slot(head);
            if constexpr (How == Copying::vectors) {
                copy_vectors(to, frame, shared.size);
            } else if constexpr (How == Copying::string) {
                copy_string(to, frame, shared.size);
            } else {
                copy_streaming(to, frame, shared.size);
            }
        }
        if constexpr (How == Copying::streaming) {
            _mm_sfence();
        }
        shared.head.store(head, std::memory_order_release);
    }
}

template <bool Ahead>
void read(Shared &shared)
{
    std::uint64_t tail = 0;
    std::uint64_t wrong = 0;
    const std::size_t ahead = frames_ahead(shared.size);
    while (!shared.stop.load(std::memory_order_relaxed)) {
        const std::uint64_t head = shared.head.load(std::memory_order_acquire);
        while (tail < head) {
            for (std::size_t i = 0; i < batch; ++i, ++tail) {
                if (Ahead && tail + ahead < head) {
                    const std::byte *soon = shared.slot(tail + ahead);
                    for (std::size_t n = shared.lines(); n != 0; --n, soon += line) {
                        __builtin_prefetch(soon, 0);
                    }
                }
                const std::byte *frame = shared.slot(tail);
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

void write(const Way &way, Shared &shared, std::byte *own)
{
    switch (way.copying) {
    case Copying::vectors:
        return way.ahead ? write<Copying::vectors, true>(shared, own)
                         : write<Copying::vectors, false>(shared, own);
    case Copying::string:
        return way.ahead ? write<Copying::string, true>(shared, own)
                         : write<Copying::string, false>(shared, own);
    case Copying::streaming:
        return write<Copying::streaming, false>(shared, own);
    }
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

struct Place {
    int writer;
    int reader;
    std::size_t size;
    std::byte *ring;
    std::byte *own;
};

using Milliseconds = std::chrono::milliseconds;

// Million frames a second, one way. between() is called when it has warmed up, and at the end.
template <typename Between>
double measure(const Place &place, const Way &way, Milliseconds warm, Milliseconds window,
               Between between)
{
    Shared shared;
    shared.size = place.size;
    shared.stride = stride_for(place.size);
    shared.slots = way.slots;
    shared.ring = place.ring;
    std::thread reader{[&] {
        pin(place.reader);
        way.ahead ? read<true>(shared) : read<false>(shared);
    }};
    std::thread writer{[&] {
        pin(place.writer);
        write(way, shared, place.own);
    }};
    using Clock = std::chrono::steady_clock;
    std::this_thread::sleep_for(warm);
    between(0.0);
    const std::uint64_t before = shared.tail.load();
    const Clock::time_point begin = Clock::now();
    std::this_thread::sleep_for(window);
    const std::uint64_t after = shared.tail.load();
    const std::chrono::duration<double> time = Clock::now() - begin;
    const double mpps = static_cast<double>(after - before) / time.count() / 1e6;
    between(mpps);
    shared.stop = true;
    reader.join();
    writer.join();
    if (shared.wrong != 0) {
        throw std::runtime_error{"frames were not what was written"};
    }
    return mpps;
}

const Way &best(const Place &place)
{
    // Twice, by turns: something else may have run the first time.
    double most[std::size(ways)] = {};
    for (int round = 0; round < 2; ++round) {
        for (std::size_t i = 0; i < std::size(ways); ++i) {
            const double mpps =
                measure(place, ways[i], Milliseconds{3}, Milliseconds{12}, [](double) {});
            most[i] = std::max(most[i], mpps);
        }
    }
    return ways[std::max_element(std::begin(most), std::end(most)) - std::begin(most)];
}

int run(char **arguments)
{
    Place place{};
    place.writer = std::atoi(arguments[1]);
    place.reader = std::atoi(arguments[2]);
    place.size = std::strtoul(arguments[3], nullptr, 10);
    if (place.size < traffic::min_size || place.size > traffic::max_size) {
        throw std::runtime_error{"a frame has 60 to 9216 bytes"};
    }
    place.ring = memory(8u << 20);
    place.own = memory(2u << 20);
    const Way &way = best(place);
    bool begun = false;
    measure(place, way, Milliseconds{100}, Milliseconds{std::atol(arguments[4])}, [&](double mpps) {
        if (!begun) {
            std::puts(R"({"event": "begin"})");
        } else {
            std::printf(R"({"event": "end", "size": %zu, "mpps": %.3f, "way": "%s"})"
                        "\n",
                        place.size, mpps, way.name);
        }
        begun = true;
        std::fflush(stdout);
    });
    while (std::getchar() != EOF) {
    }
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

// SPDX-License-Identifier: Apache-2.0
// Hints: lines that will be needed soon. None of them is an access that can fail.
#ifndef RVS_PREFETCH_HPP
#define RVS_PREFETCH_HPP

#include <cstdint>

namespace rvs {

inline constexpr std::uint64_t cache_line = 64;

inline void prefetch_to_read(const std::uint8_t *at)
{
    asm volatile("prefetcht0 %0" : : "m"(*at));
}
inline void prefetch_to_write(const std::uint8_t *at)
{
    asm volatile("prefetchw %0" : : "m"(*at));
}

// A receiver's buffer is in the receiver's cache. Its lines come one after the other if the copy
// has to wait for each, all at once if they are asked for. More than a core can have on their way
// is in vain.
inline constexpr std::uint64_t most_lines = 32;

// The first n bytes of a buffer.
[[gnu::always_inline]] inline void prefetch_buffer(const std::uint8_t *at, std::uint64_t n)
{
    prefetch_to_write(at);
    if (n > cache_line) {
        const std::uint8_t *const end =
            at + (n < most_lines * cache_line ? n : most_lines * cache_line);
        for (at += cache_line; at < end; at += cache_line)
            prefetch_to_write(at);
    }
}

// How many frames of so many bytes those lines are.
constexpr std::uint32_t frames_ahead(std::uint64_t n)
{
    return n <= 128 ? 16 : n <= 256 ? 8 : n <= 1024 ? 4 : 2;
}

} // namespace rvs

#endif // RVS_PREFETCH_HPP

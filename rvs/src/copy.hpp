// SPDX-License-Identifier: Apache-2.0
// The payload copy. Touches exactly [src, src + n) and [dst, dst + n).
#ifndef RVS_COPY_HPP
#define RVS_COPY_HPP

#include <cstddef>
#include <cstdint>

namespace rvs {

namespace detail {

// Unaligned accesses of any type; SSE2 is all that every x86-64 has.
using Bytes16 [[gnu::vector_size(16), gnu::aligned(1), gnu::may_alias]] = long long;
using Bytes8 [[gnu::aligned(1), gnu::may_alias]] = std::uint64_t;
using Bytes4 [[gnu::aligned(1), gnu::may_alias]] = std::uint32_t;
using Bytes2 [[gnu::aligned(1), gnu::may_alias]] = std::uint16_t;

template <typename T>
inline void copy_as(std::uint8_t *dst, const std::uint8_t *src)
{
    *reinterpret_cast<T *>(dst) = *reinterpret_cast<const T *>(src);
}

// sizeof(T) <= n <= 2 * sizeof(T): two copies that overlap.
template <typename T>
inline void copy_ends(std::uint8_t *dst, const std::uint8_t *src, std::size_t n)
{
    const T head = *reinterpret_cast<const T *>(src);
    const T tail = *reinterpret_cast<const T *>(src + n - sizeof(T));
    *reinterpret_cast<T *>(dst) = head;
    *reinterpret_cast<T *>(dst + n - sizeof(T)) = tail;
}

} // namespace detail

inline void copy_bytes(std::uint8_t *dst, const std::uint8_t *src, std::size_t n)
{
    using namespace detail;
    if (n >= 16) {
        std::size_t i = 0;
        for (; n - i >= 64; i += 64) {
            const Bytes16 a = *reinterpret_cast<const Bytes16 *>(src + i);
            const Bytes16 b = *reinterpret_cast<const Bytes16 *>(src + i + 16);
            const Bytes16 c = *reinterpret_cast<const Bytes16 *>(src + i + 32);
            const Bytes16 d = *reinterpret_cast<const Bytes16 *>(src + i + 48);
            *reinterpret_cast<Bytes16 *>(dst + i) = a;
            *reinterpret_cast<Bytes16 *>(dst + i + 16) = b;
            *reinterpret_cast<Bytes16 *>(dst + i + 32) = c;
            *reinterpret_cast<Bytes16 *>(dst + i + 48) = d;
        }
        for (; n - i >= 16; i += 16)
            copy_as<Bytes16>(dst + i, src + i);
        if (i != n)
            copy_as<Bytes16>(dst + n - 16, src + n - 16);
    } else if (n >= 8) {
        copy_ends<Bytes8>(dst, src, n);
    } else if (n >= 4) {
        copy_ends<Bytes4>(dst, src, n);
    } else if (n >= 2) {
        copy_ends<Bytes2>(dst, src, n);
    } else if (n == 1) {
        *dst = *src;
    }
}

} // namespace rvs

#endif // RVS_COPY_HPP

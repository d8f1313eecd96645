// SPDX-License-Identifier: Apache-2.0
#include "copy.hpp"

namespace rvs {

namespace {

// To be named where it is used: `auto` would lose the attributes, and with them that it may be
// unaligned.
using Vector32 [[gnu::vector_size(32), gnu::may_alias, gnu::aligned(1)]] = long long;

// n > 128. The start, whole lines of the destination, and an end that overlaps: a store across two
// lines costs two. Plain stores: what is copied is read next, by a CPU that shares a cache with
// this one.
[[gnu::target("avx2"), gnu::noinline]] void copy_avx2(std::uint8_t *dst, const std::uint8_t *src,
                                                      std::size_t n)
{
    const std::uint8_t *const src_end = src + n;
    std::uint8_t *const end = dst + n;
    const Vector32 *from = reinterpret_cast<const Vector32 *>(src);
    Vector32 *to = reinterpret_cast<Vector32 *>(dst);
    Vector32 a = from[0];
    Vector32 b = from[1];
    to[0] = a;
    to[1] = b;
    const std::size_t skip = 64 - (reinterpret_cast<std::uintptr_t>(dst) & 63);
    from = reinterpret_cast<const Vector32 *>(src + skip);
    to = reinterpret_cast<Vector32 *>(dst + skip);
    Vector32 *const to_last = reinterpret_cast<Vector32 *>(end - 64);
    for (; to < to_last; to += 2, from += 2) {
        a = from[0];
        b = from[1];
        to[0] = a;
        to[1] = b;
    }
    from = reinterpret_cast<const Vector32 *>(src_end - 64);
    a = from[0];
    b = from[1];
    to_last[0] = a;
    to_last[1] = b;
    __builtin_ia32_vzeroupper(); // what follows is SSE
}

} // namespace

void copy_large(std::uint8_t *dst, const std::uint8_t *src, std::size_t n, bool avx2)
{
    if (n <= 128)
        return copy_bytes(dst, src, n);
    if (avx2)
        return copy_avx2(dst, src, n);
    std::size_t i = 0;
    for (; n - i > 64; i += 64)
        detail::copy_64(dst + i, src + i);
    detail::copy_64(dst + n - 64, src + n - 64);
}

} // namespace rvs

// SPDX-License-Identifier: Apache-2.0
#include "copy.hpp"

namespace rvs {

namespace {

struct [[gnu::packed, gnu::may_alias]] Bytes32v
{
    long long value __attribute__((vector_size(32)));
};

// 128 bytes a turn, and an end that overlaps. Plain stores: what is copied is read next, by a CPU
// that shares a cache with this one.
[[gnu::target("avx2"), gnu::noinline]] void copy_avx2(std::uint8_t *dst, const std::uint8_t *src,
                                                      std::size_t n)
{
    const std::uint8_t *const last = src + n - 128;
    std::uint8_t *const dst_last = dst + n - 128;
    for (bool more = true; more;) {
        more = src < last;
        if (!more) {
            src = last;
            dst = dst_last;
        }
        const auto *from = reinterpret_cast<const Bytes32v *>(src);
        auto *to = reinterpret_cast<Bytes32v *>(dst);
        const Bytes32v a = from[0];
        const Bytes32v b = from[1];
        const Bytes32v c = from[2];
        const Bytes32v d = from[3];
        to[0] = a;
        to[1] = b;
        to[2] = c;
        to[3] = d;
        src += 128;
        dst += 128;
    }
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

// SPDX-License-Identifier: Apache-2.0
// The payload copy. Touches exactly [src, src + n) and [dst, dst + n).
#ifndef RVS_COPY_HPP
#define RVS_COPY_HPP

#include <cstddef>
#include <cstdint>

namespace rvs {

namespace detail {

// Whatever alignment and type the memory has. (Structures: a template argument would lose the
// attributes of a plain type.) 16 bytes: SSE2 is all that every x86-64 has.
template <typename T>
struct [[gnu::packed, gnu::may_alias]] Unaligned
{
    T value;
};
using Vector16 [[gnu::vector_size(16)]] = long long;
struct [[gnu::packed, gnu::may_alias]] Bytes16
{
    Vector16 value;
};
using Bytes8 = Unaligned<std::uint64_t>;
using Bytes4 = Unaligned<std::uint32_t>;
using Bytes2 = Unaligned<std::uint16_t>;

template <typename T>
inline T load(const std::uint8_t *from)
{
    return *reinterpret_cast<const T *>(from);
}
template <typename T>
inline void store(std::uint8_t *to, T bytes)
{
    *reinterpret_cast<T *>(to) = bytes;
}

// sizeof(T) <= n <= 2 * sizeof(T): two copies that overlap.
template <typename T>
inline void copy_ends(std::uint8_t *dst, const std::uint8_t *src, std::size_t n)
{
    const T head = load<T>(src);
    const T tail = load<T>(src + n - sizeof(T));
    store(dst, head);
    store(dst + n - sizeof(T), tail);
}

// 32 bytes at the start of dst, and 32 more at its end; all is loaded before it is stored.
inline void copy_32_32(std::uint8_t *dst, const std::uint8_t *src, std::size_t end)
{
    const auto a = load<Bytes16>(src);
    const auto b = load<Bytes16>(src + 16);
    const auto c = load<Bytes16>(src + end);
    const auto d = load<Bytes16>(src + end + 16);
    store(dst, a);
    store(dst + 16, b);
    store(dst + end, c);
    store(dst + end + 16, d);
}

inline void copy_64(std::uint8_t *dst, const std::uint8_t *src)
{
    copy_32_32(dst, src, 32);
}

} // namespace detail

// For any length; large ones take the widest registers that the caller may use.
void copy_large(std::uint8_t *dst, const std::uint8_t *src, std::size_t n, bool avx2);

// Up to 128 bytes in place: a call would cost more than the copy.
[[gnu::always_inline]] inline void copy_bytes(std::uint8_t *dst, const std::uint8_t *src,
                                              std::size_t n, bool avx2 = false)
{
    using namespace detail;
    if (n - 32 <= 32) [[likely]] { // with wrap: the smallest frames' length
        copy_32_32(dst, src, n - 32);
    } else if (n > 128) {
        copy_large(dst, src, n, avx2);
    } else if (n > 64) {
        copy_64(dst, src);
        copy_64(dst + n - 64, src + n - 64);
    } else if (n >= 16) {
        copy_ends<Bytes16>(dst, src, n);
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

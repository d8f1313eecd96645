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
struct Bytes32 {
    Bytes16 low;
    Bytes16 high;
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

inline void copy_64(std::uint8_t *dst, const std::uint8_t *src)
{
    const auto low = load<Bytes32>(src);
    const auto high = load<Bytes32>(src + 32);
    store(dst, low);
    store(dst + 32, high);
}

} // namespace detail

inline void copy_bytes(std::uint8_t *dst, const std::uint8_t *src, std::size_t n)
{
    using namespace detail;
    if (n > 64) {
        std::size_t i = 0;
        for (; n - i > 64; i += 64)
            copy_64(dst + i, src + i);
        copy_64(dst + n - 64, src + n - 64);
    } else if (n > 32) {
        copy_ends<Bytes32>(dst, src, n);
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

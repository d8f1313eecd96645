// SPDX-License-Identifier: Apache-2.0
// Copies between guests' memory and the log, and the hash of keys.
//
// A reader may copy what its writer is overwriting; it finds out afterwards (Log::intact()). Tools
// that watch for races take it word by word, in accesses that are atomic; all others in vectors.
#ifndef KVS_BYTES_HPP
#define KVS_BYTES_HPP

#include <cstddef>
#include <cstdint>

namespace kvs {

template <typename T>
struct [[gnu::packed, gnu::may_alias]] Unaligned
{
    T value;
};
struct [[gnu::packed, gnu::may_alias]] Bytes16
{
    long long value __attribute__((vector_size(16)));
};

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

// T's size up to twice of it: two copies that overlap.
template <typename T>
inline void copy_ends(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    const T head = load<T>(from);
    const T tail = load<T>(from + n - sizeof(T));
    store(to, head);
    store(to + n - sizeof(T), tail);
}

// Touches exactly [from, from + n) and [to, to + n).
inline void copy(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    if (n >= 16) {
        const std::uint8_t *const last = from + n - 16;
        std::uint8_t *const to_last = to + n - 16;
        for (; from + 64 <= last; from += 64, to += 64) {
            const auto a = load<Bytes16>(from);
            const auto b = load<Bytes16>(from + 16);
            const auto c = load<Bytes16>(from + 32);
            const auto d = load<Bytes16>(from + 48);
            store(to, a);
            store(to + 16, b);
            store(to + 32, c);
            store(to + 48, d);
        }
        for (; from < last; from += 16, to += 16)
            store(to, load<Bytes16>(from));
        store(to_last, load<Bytes16>(last));
    } else if (n >= 8) {
        copy_ends<Unaligned<std::uint64_t>>(to, from, n);
    } else if (n >= 4) {
        copy_ends<Unaligned<std::uint32_t>>(to, from, n);
    } else if (n >= 2) {
        copy_ends<Unaligned<std::uint16_t>>(to, from, n);
    } else if (n == 1) {
        *to = *from;
    }
}

inline std::uint64_t load_word(const std::uint8_t *from)
{
    return __atomic_load_n(reinterpret_cast<const std::uint64_t *>(from), __ATOMIC_RELAXED);
}
inline void store_word(std::uint8_t *to, std::uint64_t word)
{
    __atomic_store_n(reinterpret_cast<std::uint64_t *>(to), word, __ATOMIC_RELAXED);
}

#if defined(__SANITIZE_THREAD__)
// `to` is 8-aligned and has room for whole words.
inline void copy_into_log(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    for (std::size_t i = 0; i < n; i += 8) {
        std::uint64_t word = 0;
        for (std::size_t k = 0; k < 8 && i + k < n; ++k)
            word |= std::uint64_t{from[i + k]} << (8 * k);
        store_word(to + i, word);
    }
}
inline void copy_out_of_log(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    for (std::size_t i = 0; i < n; i += 8) {
        const std::uint64_t word = load_word(from + i);
        for (std::size_t k = 0; k < 8 && i + k < n; ++k)
            to[i + k] = static_cast<std::uint8_t>(word >> (8 * k));
    }
}
inline void copy_in_log(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    for (std::size_t i = 0; i < n; i += 8)
        store_word(to + i, load_word(from + i));
}
#else
inline void copy_into_log(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    copy(to, from, n);
}
inline void copy_out_of_log(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    copy(to, from, n);
}
inline void copy_in_log(std::uint8_t *to, const std::uint8_t *from, std::size_t n)
{
    copy(to, from, n);
}
#endif

// A key, taken out of guest memory once, padded with zeros to whole words.
struct Key {
    static constexpr std::uint32_t max_words = 32;
    std::uint64_t words[max_words];
    std::uint32_t length;
    std::uint64_t hash;

    [[nodiscard]] std::uint32_t word_count() const { return (length + 7) / 8; }
};

// SipHash-1-3 (Aumasson, Bernstein, 2012) over the words and the length.
std::uint64_t keyed_hash(const std::uint64_t (&seed)[2], const Key &key);

} // namespace kvs

#endif // KVS_BYTES_HPP

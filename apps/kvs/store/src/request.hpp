// SPDX-License-Identifier: Apache-2.0
// The only place, but for the copy of a value, that reads what guests wrote. Their memory changes
// at any time: each word is loaded once, and what was loaded is what is checked and used.
#ifndef KVS_REQUEST_HPP
#define KVS_REQUEST_HPP

#include "bytes.hpp"
#include "region.hpp"

namespace kvs {

// The part that a guest writes, as it was at one moment per word.
struct Request {
    kvs_addr_t key;
    kvs_addr_t value;
    std::uint32_t key_length;
    std::uint32_t value_length;
    std::uint32_t flags;
    std::uint64_t ttl_ms;
    std::uint64_t version;
};

// Answers go to `reply`.
inline std::int64_t read_request(const Regions &regions, kvs_addr_t address, Request &out,
                                 std::uint8_t *&reply)
{
    constexpr std::uint64_t reply_at = 48;
    const std::uint8_t *const at =
        (address & 7) == 0 ? regions.resolve(address, sizeof(kvs_request)) : nullptr;
    if (at == nullptr)
        return -KVS_E_ADDR;
    out.key = load_word(at);
    out.value = load_word(at + 8);
    const std::uint64_t lengths = load_word(at + 16);
    out.key_length = static_cast<std::uint32_t>(lengths);
    out.value_length = static_cast<std::uint32_t>(lengths >> 32);
    out.flags = static_cast<std::uint32_t>(load_word(at + 24));
    out.ttl_ms = load_word(at + 32);
    out.version = load_word(at + 40);
    reply = const_cast<std::uint8_t *>(at) + reply_at;
    return 0;
}

inline void write_reply(std::uint8_t *reply, std::uint64_t version, std::uint32_t flags,
                        std::uint32_t length, std::uint64_t ttl_ms)
{
    store_word(reply, version);
    store_word(reply + 8, std::uint64_t{length} << 32 | flags);
    store_word(reply + 16, ttl_ms);
}

inline std::int64_t read_key(const Regions &regions, const Request &request, Key &key)
{
    const std::uint32_t length = request.key_length;
    if (length == 0 || length > KVS_MAX_KEY)
        return -KVS_E_KEY;
    const std::uint8_t *const at = regions.resolve(request.key, length);
    if (at == nullptr)
        return -KVS_E_ADDR;
    key.length = length;
    key.words[(length - 1) / 8] = 0; // the last one's padding
    copy(reinterpret_cast<std::uint8_t *>(key.words), at, length);
    return 0;
}

} // namespace kvs

#endif // KVS_REQUEST_HPP

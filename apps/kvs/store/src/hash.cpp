// SPDX-License-Identifier: Apache-2.0
#include "bytes.hpp"

namespace kvs {

namespace {

struct State {
    std::uint64_t v0, v1, v2, v3;

    static std::uint64_t rotate(std::uint64_t x, unsigned n) { return x << n | x >> (64 - n); }
    void round()
    {
        v0 += v1;
        v1 = rotate(v1, 13) ^ v0;
        v0 = rotate(v0, 32);
        v2 += v3;
        v3 = rotate(v3, 16) ^ v2;
        v0 += v3;
        v3 = rotate(v3, 21) ^ v0;
        v2 += v1;
        v1 = rotate(v1, 17) ^ v2;
        v2 = rotate(v2, 32);
    }
    void absorb(std::uint64_t word)
    {
        v3 ^= word;
        round();
        v0 ^= word;
    }
};

} // namespace

std::uint64_t keyed_hash(const std::uint64_t (&seed)[2], const Key &key)
{
    State s{seed[0] ^ 0x736f6d6570736575, seed[1] ^ 0x646f72616e646f6d,
            seed[0] ^ 0x6c7967656e657261, seed[1] ^ 0x7465646279746573};
    for (std::uint32_t i = 0; i < key.word_count(); ++i)
        s.absorb(key.words[i]);
    s.absorb(std::uint64_t{key.length} << 56);
    s.v2 ^= 0xff;
    for (int i = 0; i < 3; ++i)
        s.round();
    return s.v0 ^ s.v1 ^ s.v2 ^ s.v3;
}

} // namespace kvs

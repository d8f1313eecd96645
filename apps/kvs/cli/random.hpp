// SPDX-License-Identifier: Apache-2.0
// What a load is made of: cheap, and the same for the same seed (Marsaglia's xorshift64).
#pragma once

#include <cstdint>

namespace kvs::cli {

class Random {
  public:
    explicit Random(std::uint64_t seed) : state_{seed * 0x9e3779b97f4a7c15 + 1} {}
    std::uint64_t operator()()
    {
        state_ ^= state_ << 13;
        state_ ^= state_ >> 7;
        state_ ^= state_ << 17;
        return state_;
    }

  private:
    std::uint64_t state_;
};

} // namespace kvs::cli

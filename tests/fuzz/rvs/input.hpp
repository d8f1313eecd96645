// SPDX-License-Identifier: Apache-2.0
// The fuzzer's bytes, taken from the front; zeros once they are used up.
#ifndef TESTS_FUZZ_RVS_INPUT_HPP
#define TESTS_FUZZ_RVS_INPUT_HPP

#include <cstddef>
#include <cstdint>
#include <cstring>

namespace rvs::fuzz {

class Input {
  public:
    Input(const std::uint8_t *data, std::size_t size) : data_{data}, left_{size} {}

    [[nodiscard]] bool empty() const { return left_ == 0; }
    [[nodiscard]] std::size_t left() const { return left_; }
    template <typename T>
    T take()
    {
        T value{};
        bytes(&value, sizeof value);
        return value;
    }
    std::uint8_t byte() { return take<std::uint8_t>(); }
    // Returns how many there were.
    std::size_t bytes(void *to, std::size_t len)
    {
        const std::size_t n = left_ < len ? left_ : len;
        if (n != 0)
            std::memcpy(to, data_, n);
        data_ += n;
        left_ -= n;
        return n;
    }

  private:
    const std::uint8_t *data_;
    std::size_t left_;
};

} // namespace rvs::fuzz

#endif // TESTS_FUZZ_RVS_INPUT_HPP

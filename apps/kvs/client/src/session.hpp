// SPDX-License-Identifier: Apache-2.0
// What the two backends have in common: memory that the store may use, and a call.
#pragma once

#include "elisa/error.hpp"
#include "kvs/client.hpp"

#include <cstddef>
#include <cstdint>

namespace kvs::detail {

class Session {
  public:
    // In the memory.
    static constexpr std::size_t request_at = 0;
    static constexpr std::size_t key_at = 4096;
    static constexpr std::size_t value_at = 8192;
    static constexpr std::size_t memory_size = std::size_t{2} << 20;
    static_assert(value_at + KVS_MAX_VALUE <= memory_size);

    Session() = default;
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;
    virtual ~Session() = default;

    // Error: the call did not come to its end.
    [[nodiscard]] virtual elisa::Result<std::int64_t> call(std::uint64_t op,
                                                           kvs_addr_t request) = 0;
    [[nodiscard]] virtual std::byte *memory() noexcept = 0;
    // The number by which the store knows the memory.
    [[nodiscard]] virtual std::uint64_t region() const noexcept = 0;

    [[nodiscard]] kvs_addr_t address(std::size_t offset) const noexcept
    {
        return KVS_ADDR(region(), offset);
    }
};

} // namespace kvs::detail

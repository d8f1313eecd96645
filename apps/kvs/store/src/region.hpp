// SPDX-License-Identifier: Apache-2.0
// A port's memory as the manager told of it: the only addresses of guests that are ever used.
#ifndef KVS_REGION_HPP
#define KVS_REGION_HPP

#include "kvs/kvs_abi.h"

#include <atomic>
#include <cstdint>

namespace kvs {

class Regions {
  public:
    // One word each, so that nobody sees half of a change:
    //     [ base / 4096 : 36 | length / 4096 : 28 ]
    [[nodiscard]] bool set(std::uint32_t index, std::uint64_t base, std::uint64_t length)
    {
        if (index >= KVS_MAX_REGIONS || base % page != 0 || length % page != 0 || base == 0 ||
            length == 0 || length >= page << length_bits || base >= page << base_bits ||
            length > (page << base_bits) - base) {
            return false;
        }
        words_[index].store(base / page << length_bits | length / page);
        return true;
    }
    [[nodiscard]] bool clear(std::uint32_t index)
    {
        if (index >= KVS_MAX_REGIONS)
            return false;
        words_[index].store(0);
        return true;
    }
    // `length` bytes at `address`, in one region; nullptr: they are not.
    [[nodiscard]] std::uint8_t *resolve(kvs_addr_t address, std::uint64_t length) const
    {
        const std::uint64_t index = KVS_ADDR_REGION(address);
        const std::uint64_t offset = KVS_ADDR_OFFSET(address);
        if (index >= KVS_MAX_REGIONS)
            return nullptr;
        const std::uint64_t word = words_[index].load();
        const std::uint64_t size = (word & ((std::uint64_t{1} << length_bits) - 1)) * page;
        if (offset > size || length > size - offset || word == 0)
            return nullptr;
        return reinterpret_cast<std::uint8_t *>((word >> length_bits) * page + offset);
    }

  private:
    static constexpr std::uint64_t page = 4096;
    static constexpr unsigned length_bits = 28;
    static constexpr unsigned base_bits = 36;

    std::atomic<std::uint64_t> words_[KVS_MAX_REGIONS]{};
};

} // namespace kvs

#endif // KVS_REGION_HPP

// SPDX-License-Identifier: Apache-2.0
// The trusted table of a port's memory.
#ifndef RVS_REGION_HPP
#define RVS_REGION_HPP

#include "rvs/rvif.h"

#include <atomic>
#include <cstdint>

namespace rvs {

// Base and length of a region in one word, so that no reader can ever see half of a change:
//
//   63            28 27           0
//   [ base / 4096   | len / 4096  ]      0: no region
class Region {
  public:
    constexpr Region() = default;
    explicit constexpr Region(std::uint64_t word) : word_{word} {}

    [[nodiscard]] static constexpr bool representable(std::uint64_t base, std::uint64_t len)
    {
        return base % page == 0 && len % page == 0 && len != 0 && base != 0 &&
               len < (page << len_bits) && base < (page << base_bits) &&
               len <= (page << base_bits) - base;
    }
    [[nodiscard]] static constexpr Region of(std::uint64_t base, std::uint64_t len)
    {
        return Region{(base / page) << len_bits | len / page};
    }

    [[nodiscard]] constexpr bool valid() const { return word_ != 0; }
    [[nodiscard]] constexpr std::uint64_t base() const { return (word_ >> len_bits) * page; }
    [[nodiscard]] constexpr std::uint64_t len() const
    {
        return (word_ & ((std::uint64_t{1} << len_bits) - 1)) * page;
    }
    [[nodiscard]] constexpr std::uint64_t word() const { return word_; }

  private:
    static constexpr std::uint64_t page = 4096;
    static constexpr unsigned len_bits = 28;
    static constexpr unsigned base_bits = 36;

    std::uint64_t word_ = 0;
};

class RegionTable {
  public:
    [[nodiscard]] Region get(std::uint32_t index) const
    {
        // seq_cst: pairs with the manager's set() and the state of a receive queue, see
        // RxQueue::state.
        return Region{words_[index & (RVIF_MAX_REGIONS - 1)].load(std::memory_order_seq_cst)};
    }
    void set(std::uint32_t index, Region region)
    {
        words_[index & (RVIF_MAX_REGIONS - 1)].store(region.word(), std::memory_order_seq_cst);
    }

  private:
    static_assert((RVIF_MAX_REGIONS & (RVIF_MAX_REGIONS - 1)) == 0);
    std::atomic<std::uint64_t> words_[RVIF_MAX_REGIONS]{};
};

} // namespace rvs

#endif // RVS_REGION_HPP

// SPDX-License-Identifier: Apache-2.0
// The packet memory of this process: what DPDK has, and where it is in the port's regions.
#pragma once

#include "rvs/rvif.h"

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <optional>
#include <vector>

namespace rvif {

// A piece of virtual memory, contiguous in its file if it has one.
struct Segment {
    std::byte *va = nullptr;
    std::uint64_t length = 0;
    int fd = -1; // of the file that backs it; -1: none
    std::uint64_t fd_offset = 0;

    bool operator==(const Segment &) const = default;
};

// Memory of one kind, which becomes one region.
using Block = std::vector<Segment>;

// All memory that EAL holds, a block for each of its segment lists.
std::vector<Block> dpdk_memory();

// Where registered memory is, in rvif addresses. Changed while the port is stopped, but for
// forget().
class AddressMap {
  public:
    struct Run {
        std::uintptr_t va = 0;
        std::atomic<std::uint64_t> length = 0;
        rvif_addr_t addr = 0;

        [[nodiscard]] bool holds(std::uintptr_t at, std::uint64_t bytes) const noexcept
        {
            const std::uint64_t all = length.load(std::memory_order_relaxed);
            const std::uint64_t offset = at - va;
            return offset < all && bytes <= all - offset;
        }
        [[nodiscard]] rvif_addr_t at(std::uintptr_t where) const noexcept
        {
            return addr + (where - va);
        }
    };

    // False: the table is full; such memory is then copied before it is sent.
    bool add(const Block &block, int region) noexcept;
    void remove(int region) noexcept;
    // The application gave memory back: whatever comes there next is not what was registered.
    // Returns whether that was ours.
    bool forget(std::uintptr_t va, std::uint64_t length) noexcept;

    // nullptr: not in any region. `hint`, the run found last, makes the common case one comparison.
    [[nodiscard]] const Run *find(const void *where, std::uint64_t bytes,
                                  const Run *hint) const noexcept
    {
        const auto at = reinterpret_cast<std::uintptr_t>(where);
        if (hint != nullptr && hint->holds(at, bytes)) [[likely]] {
            return hint;
        }
        return search(at, bytes);
    }
    [[nodiscard]] std::optional<rvif_addr_t> address(const void *where,
                                                     std::uint64_t bytes) const noexcept
    {
        const Run *run = find(where, bytes, nullptr);
        return run == nullptr ? std::nullopt
                              : std::optional{run->at(reinterpret_cast<std::uintptr_t>(where))};
    }

  private:
    [[nodiscard]] const Run *search(std::uintptr_t at, std::uint64_t bytes) const noexcept;

    std::array<Run, 64> runs_{};
};

} // namespace rvif

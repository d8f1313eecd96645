// SPDX-License-Identifier: Apache-2.0
// The packet memory of this process: what DPDK has, and where it is in the port's regions.
#pragma once

#include "rvs/rvif.h"

#include <atomic>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <span>
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
// As many blocks as there may be regions: those that are too many lie end to end in the last.
std::vector<Block> joined(std::vector<Block> blocks, std::size_t most);

// Where registered memory is, in rvif addresses. As many runs as there are: memory can be in as
// many pieces as it has pages (--legacy-mem).
//
// assign() while the port is stopped: nobody looks meanwhile, and runs that find() returned are
// gone. forget() at any time: queues go on with what is left.
class AddressMap {
  public:
    struct Placed {
        const Block &block;
        int region;
    };
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

    // What there is from now on.
    void assign(std::span<const Placed> all);
    // The application gave memory back: whatever comes there next is not what was registered.
    // Returns whether that was ours. A run of which a part goes is none any more, its rest is
    // others.
    bool forget(std::uintptr_t va, std::uint64_t length);

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
    struct Piece {
        std::uintptr_t va;
        std::uint64_t length;
        rvif_addr_t addr;
    };
    struct Runs {
        explicit Runs(const std::vector<Piece> &pieces);
        std::unique_ptr<Run[]> run; // in the order of their addresses
        std::size_t count;
    };
    [[nodiscard]] const Run *search(std::uintptr_t at, std::uint64_t bytes) const noexcept;
    void publish(const std::vector<Piece> &pieces);

    std::atomic<const Runs *> now_ = nullptr;
    std::vector<std::unique_ptr<Runs>> kept_; // queues may hold runs of those before
};

} // namespace rvif

// SPDX-License-Identifier: Apache-2.0
// Memory that may be shown to the module: 2 MB hugetlb pages, which the guest kernel
// does not move, and where they are in guest-physical space.
#pragma once

#include "elisa/error.hpp"
#include "elisa/types.hpp"

#include <cstddef>
#include <cstdint>
#include <optional>
#include <span>
#include <string>
#include <utility>
#include <vector>

namespace elisa {

// Virtual memory of this process. `gpa` is where it begins if the caller knows (DPDK:
// the IOVA of a segment in PA mode) and the range is contiguous there; libelisa asks
// the kernel otherwise.
struct MemoryRange {
    const void *va = nullptr;
    std::size_t length = 0;
    std::optional<Gpa> gpa = std::nullopt;
};

// A contiguous piece of guest-physical memory.
struct GpaRun {
    Gpa gpa;
    std::uint64_t length = 0;

    bool operator==(const GpaRun &) const = default;
};

// Appends `run`, joining it to the last one where they touch in this order.
void append_run(std::vector<GpaRun> &runs, GpaRun run);

// What /proc/self/pagemap says of one page; nullopt: not present.
[[nodiscard]] Result<std::optional<Gpa>> pagemap_entry_to_gpa(std::uint64_t entry);

// Checks that all of it is 2 MB (or larger) hugetlb memory, aligned, present, and returns
// its guest-physical runs in order.
[[nodiscard]] Result<std::vector<GpaRun>> resolve(std::span<const MemoryRange> ranges);

// The page size of the mapping of `va` in text of the form of /proc/self/smaps; 0 if unmapped
// in [va, va + length).
[[nodiscard]] std::size_t smaps_page_size(std::string_view smaps, std::uint64_t va,
                                          std::uint64_t length);

// Shared (a fork must not move them), populated 2 MB pages: anonymous, or of a file.
class HugeMemory {
  public:
    HugeMemory() noexcept = default;
    // `length` is rounded up to 2 MB. `address`: there and nowhere else.
    [[nodiscard]] static Result<HugeMemory> allocate(std::size_t length, void *address = nullptr);
    // Of a file in a hugetlbfs, of at least that length.
    [[nodiscard]] static Result<HugeMemory> map(int file, std::size_t length,
                                                void *address = nullptr);

    HugeMemory(HugeMemory &&other) noexcept
        : data_{std::exchange(other.data_, nullptr)}, size_{std::exchange(other.size_, 0)}
    {
    }
    HugeMemory &operator=(HugeMemory &&other) noexcept
    {
        std::swap(data_, other.data_);
        std::swap(size_, other.size_);
        return *this;
    }
    HugeMemory(const HugeMemory &) = delete;
    HugeMemory &operator=(const HugeMemory &) = delete;
    ~HugeMemory();

    [[nodiscard]] std::byte *data() const noexcept { return data_; }
    [[nodiscard]] std::size_t size() const noexcept { return size_; }
    [[nodiscard]] MemoryRange range() const noexcept { return {data_, size_, std::nullopt}; }

  private:
    [[nodiscard]] static Result<HugeMemory> make(std::size_t length, void *address, int flags,
                                                 int file);
    HugeMemory(std::byte *data, std::size_t size) noexcept : data_{data}, size_{size} {}

    std::byte *data_ = nullptr;
    std::size_t size_ = 0;
};

// Where a hugetlbfs with 2 MB pages is mounted; nullopt: nowhere.
[[nodiscard]] std::optional<std::string> hugetlbfs();

} // namespace elisa

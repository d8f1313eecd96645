// SPDX-License-Identifier: Apache-2.0
// Numbers that must not be mixed up: each has a type of its own.
#pragma once

#include <compare>
#include <cstddef>
#include <cstdint>

namespace elisa {

template <class Tag, class T>
class Strong {
  public:
    using value_type = T;

    constexpr Strong() noexcept = default;
    constexpr explicit Strong(T value) noexcept : value_{value} {}

    [[nodiscard]] constexpr T value() const noexcept { return value_; }
    constexpr auto
    operator<=>(const Strong &) const noexcept = default; // NOLINT(modernize-use-nullptr)

  private:
    T value_{};
};

using Gpa = Strong<struct GpaTag, std::uint64_t>;     // guest-physical, in the caller's own VM
using SubVa = Strong<struct SubVaTag, std::uint64_t>; // virtual, in the sub context
using ExportId = Strong<struct ExportTag, std::uint64_t>;
using AttachmentId = Strong<struct AttachmentTag, std::uint64_t>;
using RegionId = Strong<struct RegionTag, std::uint64_t>;
using VcpuId = Strong<struct VcpuTag, std::uint32_t>;

inline constexpr std::size_t page_size = 4096;
inline constexpr std::size_t huge_page_size = std::size_t{2} << 20;

} // namespace elisa

// SPDX-License-Identifier: Apache-2.0
// A program for the sub context: a static ELF64 linked at ELISA_OBJECT_VA, made by
// elisa_add_image(). The reader trusts nothing in the file.
#pragma once

#include "elisa/error.hpp"
#include "elisa/image_abi.h"
#include "elisa/types.hpp"
#include "elisa_abi.h"

#include <cstddef>
#include <cstdint>
#include <filesystem>
#include <span>
#include <string_view>
#include <vector>

namespace elisa {

class Image {
  public:
    // Page-aligned, in ascending order, disjoint; the last one is the only DATA.
    struct Segment {
        elisa_map kind;
        std::uint64_t offset;      // in the object, of its first page
        std::uint64_t size;        // in memory, whole pages
        std::uint64_t file_offset; // of its bytes in the file
        std::uint64_t file_size;   // the rest is zero
    };

    // `origin` begins the messages: a file name.
    [[nodiscard]] static Result<Image> parse(std::vector<std::byte> file,
                                             std::string_view origin = "image");
    [[nodiscard]] static Result<Image> load(const std::filesystem::path &path);

    [[nodiscard]] std::span<const Segment> segments() const noexcept { return segments_; }
    [[nodiscard]] std::span<const std::byte> bytes(const Segment &segment) const noexcept
    {
        return std::span{file_}.subspan(segment.file_offset, segment.file_size);
    }
    [[nodiscard]] const Segment &data() const noexcept { return segments_.back(); }
    // Of the entry, in the object.
    [[nodiscard]] std::uint64_t entry() const noexcept { return entry_; }
    // Where the image ends and a heap may begin.
    [[nodiscard]] std::uint64_t end() const noexcept { return data().offset + data().size; }

  private:
    Image() = default;

    std::vector<std::byte> file_;
    std::vector<Segment> segments_;
    std::uint64_t entry_ = 0;
};

} // namespace elisa

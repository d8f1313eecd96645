// SPDX-License-Identifier: Apache-2.0
#include "elisa/image.hpp"

#include <algorithm>
#include <cerrno>
#include <cstdio>
#include <cstring>
#include <elf.h>
#include <fstream>
#include <optional>
#include <string>
#include <type_traits>

namespace elisa {
namespace {

constexpr std::size_t max_file = std::size_t{256} << 20;
constexpr std::uint64_t max_image = std::uint64_t{1} << 30;
constexpr std::size_t max_program_headers = 32;

// A copy of a T at `offset`, if the file has one: the file is neither aligned nor trusted.
template <class T>
std::optional<T> read_at(std::span<const std::byte> file, std::uint64_t offset)
{
    static_assert(std::is_trivially_copyable_v<T>);
    if (offset > file.size() || file.size() - offset < sizeof(T)) {
        return std::nullopt;
    }
    T value;
    std::memcpy(&value, file.data() + offset, sizeof(T));
    return value;
}

constexpr std::uint64_t round_up_page(std::uint64_t value)
{
    return (value + page_size - 1) & ~std::uint64_t{page_size - 1};
}

Error bad(std::string_view origin, std::string why)
{
    return make_error(Errc::bad_image, std::string{origin} + ": " + std::move(why));
}

std::string number(std::uint64_t value)
{
    char text[24];
    std::snprintf(text, sizeof(text), "0x%llx", static_cast<unsigned long long>(value));
    return text;
}

// nullptr: it is what we run.
const char *header_complaint(const Elf64_Ehdr &header)
{
    if (std::memcmp(header.e_ident, ELFMAG, SELFMAG) != 0) {
        return "not an ELF file";
    }
    if (header.e_ident[EI_CLASS] != ELFCLASS64 || header.e_ident[EI_DATA] != ELFDATA2LSB ||
        header.e_ident[EI_VERSION] != EV_CURRENT || header.e_machine != EM_X86_64 ||
        header.e_version != EV_CURRENT) {
        return "not a 64-bit x86 ELF file";
    }
    if (header.e_type != ET_EXEC) {
        return "not linked statically at the object's address (ELF type is not EXEC)";
    }
    if (header.e_ehsize != sizeof(Elf64_Ehdr) || header.e_phentsize != sizeof(Elf64_Phdr)) {
        return "header sizes are wrong";
    }
    if (header.e_phnum == 0 || header.e_phnum > max_program_headers) {
        return "no program headers, or too many";
    }
    return nullptr;
}

Result<Image::Segment> segment_of(const Elf64_Phdr &header, std::size_t file_size,
                                  std::string_view origin)
{
    const std::string at = "segment at " + number(header.p_vaddr);
    if (header.p_vaddr % page_size != 0) {
        return bad(origin, at + " does not begin on a page");
    }
    if (header.p_vaddr < ELISA_OBJECT_VA || header.p_vaddr - ELISA_OBJECT_VA >= max_image) {
        return bad(origin,
                   at + " is outside the object (" + number(ELISA_OBJECT_VA) + " and 1 GB on)");
    }
    const std::uint64_t offset = header.p_vaddr - ELISA_OBJECT_VA;
    if (header.p_memsz > max_image - offset) {
        return bad(origin, at + " reaches beyond 1 GB");
    }
    if (header.p_filesz > header.p_memsz) {
        return bad(origin, at + " has more bytes in the file than in memory");
    }
    if (header.p_offset > file_size || header.p_filesz > file_size - header.p_offset) {
        return bad(origin, at + " has bytes beyond the end of the file");
    }
    elisa_map kind{};
    switch (header.p_flags & (PF_R | PF_W | PF_X)) {
    case PF_R | PF_X:
        kind = ELISA_MAP_TEXT;
        break;
    case PF_R:
        kind = ELISA_MAP_RODATA;
        break;
    case PF_R | PF_W:
        kind = ELISA_MAP_DATA;
        break;
    default:
        return bad(origin, at + " is neither r-x nor r-- nor rw-");
    }
    return Image::Segment{kind, offset, round_up_page(header.p_memsz), header.p_offset,
                          header.p_filesz};
}

} // namespace

Result<Image> Image::parse(std::vector<std::byte> file, std::string_view origin)
{
    const auto header = read_at<Elf64_Ehdr>(file, 0);
    if (!header) {
        return bad(origin, "too short for an ELF file");
    }
    if (const char *complaint = header_complaint(*header); complaint != nullptr) {
        return bad(origin, complaint);
    }

    Image image;
    for (std::size_t i = 0; i < header->e_phnum; ++i) {
        // No overflow that matters: read_at bounds the sum, and a wrapped one is not near.
        const std::uint64_t step = i * sizeof(Elf64_Phdr);
        if (header->e_phoff > file.size()) {
            return bad(origin, "program headers beyond the end of the file");
        }
        const auto program = read_at<Elf64_Phdr>(file, header->e_phoff + step);
        if (!program) {
            return bad(origin, "program headers beyond the end of the file");
        }
        switch (program->p_type) {
        case PT_INTERP:
        case PT_DYNAMIC:
            return bad(origin, "dynamically linked");
        case PT_TLS:
            return bad(origin, "uses thread-local storage, which a sub context has not");
        case PT_LOAD:
            break;
        default:
            continue;
        }
        if (program->p_memsz == 0) {
            continue;
        }
        const auto segment = segment_of(*program, file.size(), origin);
        if (!segment) {
            return segment.error();
        }
        image.segments_.push_back(*segment);
    }

    auto &segments = image.segments_;
    std::sort(segments.begin(), segments.end(),
              [](const Segment &a, const Segment &b) { return a.offset < b.offset; });
    for (std::size_t i = 1; i < segments.size(); ++i) {
        if (segments[i - 1].offset + segments[i - 1].size > segments[i].offset) {
            return bad(origin, "two segments share the page at " +
                                   number(ELISA_OBJECT_VA + segments[i].offset));
        }
    }
    if (segments.empty() || segments.back().kind != ELISA_MAP_DATA ||
        std::any_of(segments.begin(), segments.end() - 1,
                    [](const Segment &s) { return s.kind == ELISA_MAP_DATA; })) {
        return bad(origin, "must have one writable segment, behind all others");
    }
    const auto image_header = read_at<elisa_image_header>(file, segments.back().file_offset);
    if (segments.back().file_size < sizeof(elisa_image_header) || !image_header ||
        image_header->magic != ELISA_IMAGE_MAGIC) {
        return bad(origin, "the writable segment does not begin with the image header");
    }

    const auto runs = [&](const Segment &s) {
        return s.kind == ELISA_MAP_TEXT && header->e_entry >= ELISA_OBJECT_VA + s.offset &&
               header->e_entry - (ELISA_OBJECT_VA + s.offset) < s.file_size;
    };
    if (std::none_of(segments.begin(), segments.end(), runs)) {
        return bad(origin, "the entry " + number(header->e_entry) + " is not in its text");
    }
    image.entry_ = header->e_entry - ELISA_OBJECT_VA;
    image.file_ = std::move(file);
    return image;
}

Result<Image> Image::load(const std::filesystem::path &path)
{
    std::ifstream stream{path, std::ios::binary};
    if (!stream) {
        return errno_error(errno, "opening image " + path.string());
    }
    std::vector<std::byte> file;
    char buffer[65536];
    while (stream.read(buffer, sizeof(buffer)) || stream.gcount() > 0) {
        const auto n = static_cast<std::size_t>(stream.gcount());
        if (file.size() + n > max_file) {
            return bad(path.string(), "larger than 256 MB");
        }
        const auto *const bytes = reinterpret_cast<const std::byte *>(buffer);
        file.insert(file.end(), bytes, bytes + n);
    }
    if (stream.bad()) {
        return errno_error(errno, "reading image " + path.string());
    }
    return parse(std::move(file), path.string());
}

} // namespace elisa

// SPDX-License-Identifier: Apache-2.0
#include "elisa/image.hpp"

#include <cstring>
#include <elf.h>
#include <functional>
#include <gtest/gtest.h>
#include <sstream>

namespace {

using elisa::Image;

constexpr std::uint64_t page = 4096;
constexpr std::uint64_t base = ELISA_OBJECT_VA;

// A good image, in pieces that a test can spoil.
struct File {
    Elf64_Ehdr header{};
    std::vector<Elf64_Phdr> programs;
    std::vector<std::byte> rest =
        std::vector<std::byte>(3 * page); // from the file's offset 4096 on
    std::size_t cut = SIZE_MAX;

    File()
    {
        std::memcpy(header.e_ident, ELFMAG, SELFMAG);
        header.e_ident[EI_CLASS] = ELFCLASS64;
        header.e_ident[EI_DATA] = ELFDATA2LSB;
        header.e_ident[EI_VERSION] = EV_CURRENT;
        header.e_type = ET_EXEC;
        header.e_machine = EM_X86_64;
        header.e_version = EV_CURRENT;
        header.e_entry = base + 16;
        header.e_phoff = sizeof(header);
        header.e_ehsize = sizeof(header);
        header.e_phentsize = sizeof(Elf64_Phdr);
        programs = {
            {PT_LOAD, PF_R | PF_X, page, base, base, 100, 100, page},
            {PT_LOAD, PF_R, 2 * page, base + page, base + page, 200, 200, page},
            {PT_LOAD, PF_R | PF_W, 3 * page, base + 2 * page, base + 2 * page, 64, 5000, page},
        };
        header.e_phnum = static_cast<Elf64_Half>(programs.size());
        const elisa_image_header data{ELISA_IMAGE_MAGIC, 0, 0, 0};
        std::memcpy(rest.data() + 2 * page, &data, sizeof(data));
    }

    Elf64_Phdr &text() { return programs[0]; }
    Elf64_Phdr &rodata() { return programs[1]; }
    Elf64_Phdr &data() { return programs[2]; }

    [[nodiscard]] std::vector<std::byte> bytes() const
    {
        std::vector<std::byte> all(page);
        std::memcpy(all.data(), &header, sizeof(header));
        std::memcpy(all.data() + sizeof(header), programs.data(),
                    std::min(programs.size() * sizeof(Elf64_Phdr), page - sizeof(header)));
        all.insert(all.end(), rest.begin(), rest.end());
        all.resize(std::min(all.size(), cut));
        return all;
    }
};

TEST(Image, AGoodOneIsRead)
{
    const auto image = Image::parse(File{}.bytes());
    ASSERT_TRUE(image) << image.error().message;
    ASSERT_EQ(image->segments().size(), 3u);
    EXPECT_EQ(image->entry(), 16u);
    EXPECT_EQ(image->data().offset, 2 * page);
    EXPECT_EQ(image->data().size, 2 * page); // 5000 bytes
    EXPECT_EQ(image->end(), 4 * page);
    EXPECT_EQ(image->bytes(image->data()).size(), 64u);
}

TEST(Image, OrderAndUselessHeadersDoNotMatter)
{
    File file;
    std::swap(file.programs[0], file.programs[2]);
    file.programs.push_back({PT_NOTE, PF_R, 1ull << 60, 1, 1, 1ull << 60, 5, 3});
    file.programs.push_back({PT_LOAD, PF_R | PF_W | PF_X, 0, 5, 0, 0, 0, 0}); // empty
    file.header.e_phnum = 5;
    EXPECT_TRUE(Image::parse(file.bytes()));
}

struct Hostile {
    const char *name;
    std::function<void(File &)> spoil;
    const char *complaint;
};

void PrintTo(const Hostile &hostile, std::ostream *out)
{
    *out << hostile.name;
}

class HostileImage : public testing::TestWithParam<Hostile> {};

TEST_P(HostileImage, IsRefusedWithAReason)
{
    File file;
    GetParam().spoil(file);
    const auto image = Image::parse(file.bytes(), "x.elf");
    ASSERT_FALSE(image);
    EXPECT_EQ(image.error().code, elisa::Errc::bad_image);
    EXPECT_NE(image.error().message.find(GetParam().complaint), std::string::npos)
        << image.error().message;
    EXPECT_TRUE(image.error().message.starts_with("x.elf: "));
}

constexpr std::uint64_t huge = ~0ull;

INSTANTIATE_TEST_SUITE_P(
    Table, HostileImage,
    testing::Values(
        Hostile{"Empty", [](File &f) { f.cut = 0; }, "too short"},
        Hostile{"HalfAHeader", [](File &f) { f.cut = 63; }, "too short"},
        Hostile{"NoMagic", [](File &f) { f.header.e_ident[0] = 0; }, "not an ELF"},
        Hostile{"ThirtyTwoBit", [](File &f) { f.header.e_ident[EI_CLASS] = ELFCLASS32; }, "64-bit x86"},
        Hostile{"BigEndian", [](File &f) { f.header.e_ident[EI_DATA] = ELFDATA2MSB; }, "64-bit x86"},
        Hostile{"OtherMachine", [](File &f) { f.header.e_machine = EM_AARCH64; }, "64-bit x86"},
        Hostile{"Relocatable", [](File &f) { f.header.e_type = ET_REL; }, "not linked statically"},
        Hostile{"SharedObject", [](File &f) { f.header.e_type = ET_DYN; }, "not linked statically"},
        Hostile{"OddProgramHeaderSize", [](File &f) { f.header.e_phentsize = 55; }, "header sizes"},
        Hostile{"NoProgramHeaders", [](File &f) { f.header.e_phnum = 0; }, "no program headers"},
        Hostile{"TooManyProgramHeaders", [](File &f) { f.header.e_phnum = 0xffff; }, "too many"},
        Hostile{"ProgramHeadersBeyondTheEnd", [](File &f) { f.header.e_phoff = 5 * page; }, "beyond the end"},
        Hostile{"ProgramHeadersAcrossTheEnd", [](File &f) { f.header.e_phoff = 4 * page - 100; }, "beyond the end"},
        Hostile{"ProgramHeaderOffsetWraps", [](File &f) { f.header.e_phoff = huge - 55; }, "beyond the end"},
        Hostile{"Interpreter", [](File &f) { f.rodata().p_type = PT_INTERP; }, "dynamically linked"},
        Hostile{"Dynamic", [](File &f) { f.rodata().p_type = PT_DYNAMIC; }, "dynamically linked"},
        Hostile{"ThreadLocal", [](File &f) { f.rodata().p_type = PT_TLS; }, "thread-local"},
        Hostile{"WritableText", [](File &f) { f.text().p_flags = PF_R | PF_W | PF_X; }, "neither r-x"},
        Hostile{"ExecuteOnly", [](File &f) { f.text().p_flags = PF_X; }, "neither r-x"},
        Hostile{"NoAccess", [](File &f) { f.rodata().p_flags = 0; }, "neither r-x"},
        Hostile{"WriteOnlyData", [](File &f) { f.data().p_flags = PF_W; }, "neither r-x"},
        Hostile{"UnalignedSegment", [](File &f) { f.rodata().p_vaddr += 8; }, "on a page"},
        Hostile{"BelowTheObject", [](File &f) { f.text().p_vaddr = base - page; }, "outside the object"},
        Hostile{"AtZero", [](File &f) { f.text().p_vaddr = 0; }, "outside the object"},
        Hostile{"OverTheGatePage", [](File &f) { f.text().p_vaddr = ELISA_GATE_VA; }, "outside the object"},
        Hostile{"InTheWindow", [](File &f) { f.data().p_vaddr = ELISA_WINDOW_VA; }, "outside the object"},
        Hostile{"KernelHalf", [](File &f) { f.data().p_vaddr = 0xffff800000000000; }, "outside the object"},
        Hostile{"MemorySizeWraps", [](File &f) { f.data().p_memsz = huge; }, "beyond 1 GB"},
        Hostile{"MemorySizeOverOneGigabyte", [](File &f) { f.data().p_memsz = 1ull << 30; }, "beyond 1 GB"},
        Hostile{"MoreInTheFileThanInMemory", [](File &f) { f.text().p_memsz = 99; }, "more bytes in the file"},
        Hostile{"BytesBeyondTheFile", [](File &f) { f.text().p_offset = 4 * page - 99; }, "beyond the end"},
        Hostile{"FileOffsetBeyondTheFile", [](File &f) { f.text().p_offset = 5 * page; }, "beyond the end"},
        Hostile{"FileOffsetWraps", [](File &f) { f.text().p_offset = huge - 10; }, "beyond the end"},
        Hostile{"FileSizeWraps",
                [](File &f) {
                    f.data().p_filesz = huge - 2 * page;
                    f.data().p_memsz = huge - page;
                },
                "beyond 1 GB"},
        Hostile{"SameSegmentTwice", [](File &f) { f.rodata().p_vaddr = base; }, "share the page"},
        Hostile{"SegmentsShareAPage",
                [](File &f) {
                    f.text().p_memsz = page + 1;
                    f.text().p_filesz = 100;
                },
                "share the page"},
        Hostile{"NoData", [](File &f) { f.data().p_flags = PF_R; }, "one writable segment"},
        Hostile{"TwoData", [](File &f) { f.rodata().p_flags = PF_R | PF_W; }, "one writable segment"},
        Hostile{"DataBeforeText", [](File &f) { f.text().p_vaddr = base + 16 * page; }, "one writable segment"},
        Hostile{"NoSegments", [](File &f) { for (auto &p : f.programs) { p.p_type = PT_NULL; } }, "one writable segment"},
        Hostile{"NoImageHeader", [](File &f) { f.rest[2 * page] = std::byte{0}; }, "image header"},
        Hostile{"ImageHeaderOnlyInMemory", [](File &f) { f.data().p_filesz = 31; }, "image header"},
        Hostile{"EntryInData", [](File &f) { f.header.e_entry = base + 2 * page; }, "not in its text"},
        Hostile{"EntryBehindTheText", [](File &f) { f.header.e_entry = base + 100; }, "not in its text"},
        Hostile{"EntryAtZero", [](File &f) { f.header.e_entry = 0; }, "not in its text"},
        Hostile{"EntryFarAway", [](File &f) { f.header.e_entry = huge; }, "not in its text"}),
    [](const auto &each) { return each.param.name; });

// What must hold of anything that is accepted: the loader copies by it.
void expect_sound(const Image &image, std::size_t file_size)
{
    std::uint64_t end = 0;
    for (const Image::Segment &segment : image.segments()) {
        EXPECT_GE(segment.offset, end);
        EXPECT_EQ(segment.offset % page, 0u);
        EXPECT_EQ(segment.size % page, 0u);
        EXPECT_LE(segment.file_size, segment.size);
        EXPECT_LE(segment.file_offset + segment.file_size, file_size);
        end = segment.offset + segment.size;
    }
    EXPECT_LE(end, 1ull << 30);
    EXPECT_LT(image.entry(), end);
}

TEST(Image, WhateverAByteOfItsHeadersBecomesItIsRefusedOrSound)
{
    const std::vector<std::byte> good = File{}.bytes();
    const std::size_t headers = sizeof(Elf64_Ehdr) + 3 * sizeof(Elf64_Phdr);
    for (std::size_t i = 0; i < headers; ++i) {
        for (const unsigned value : {0u, 1u, 2u, 4u, 0x10u, 0x7fu, 0x80u, 0xfeu, 0xffu}) {
            auto bytes = good;
            bytes[i] = static_cast<std::byte>(value);
            const auto image = Image::parse(bytes);
            if (image) {
                expect_sound(*image, bytes.size());
            }
        }
    }
}

TEST(Image, WhereverItIsCutItIsRefusedOrSound)
{
    for (std::size_t cut = 0; cut <= 4 * page; cut += 7) {
        File file;
        file.cut = cut;
        const auto bytes = file.bytes();
        if (const auto image = Image::parse(bytes)) {
            expect_sound(*image, bytes.size());
        }
    }
}

TEST(Image, ThoseWeBuildAreGood)
{
    std::istringstream paths{ELISA_TEST_IMAGES};
    for (std::string path; std::getline(paths, path, ':');) {
        const auto image = Image::load(path);
        ASSERT_TRUE(image) << image.error().message;
        EXPECT_EQ(image->data().offset % elisa::huge_page_size, 0u) << path;
    }
}

TEST(Image, AFileThatIsNotThereIsNamed)
{
    const auto image = Image::load("/nowhere/x.elf");
    ASSERT_FALSE(image);
    EXPECT_NE(image.error().message.find("/nowhere/x.elf"), std::string::npos);
}

} // namespace

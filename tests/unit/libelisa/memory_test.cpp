// SPDX-License-Identifier: Apache-2.0
#include "elisa/memory.hpp"

#include <gtest/gtest.h>
#include <sys/mman.h>

namespace {

using elisa::Gpa;
using elisa::GpaRun;

constexpr std::uint64_t mb = 1 << 20;

std::vector<GpaRun> joined(std::initializer_list<GpaRun> runs)
{
    std::vector<GpaRun> result;
    for (const GpaRun &run : runs) {
        elisa::append_run(result, run);
    }
    return result;
}

TEST(GpaRuns, JoinWhereTheyTouchInOrder)
{
    EXPECT_EQ(joined({{Gpa{4 * mb}, 2 * mb}, {Gpa{6 * mb}, 2 * mb}, {Gpa{8 * mb}, 4 * mb}}),
              (std::vector<GpaRun>{{Gpa{4 * mb}, 8 * mb}}));
}

TEST(GpaRuns, KeepTheOrderOfTheirAddresses)
{
    // Neighbours the wrong way round are not one run: the region's offsets would change.
    EXPECT_EQ(joined({{Gpa{6 * mb}, 2 * mb}, {Gpa{4 * mb}, 2 * mb}}),
              (std::vector<GpaRun>{{Gpa{6 * mb}, 2 * mb}, {Gpa{4 * mb}, 2 * mb}}));
    EXPECT_EQ(joined({{Gpa{2 * mb}, 2 * mb}, {Gpa{8 * mb}, 2 * mb}}),
              (std::vector<GpaRun>{{Gpa{2 * mb}, 2 * mb}, {Gpa{8 * mb}, 2 * mb}}));
}

TEST(Pagemap, GivesTheFrameOfAPresentPage)
{
    constexpr std::uint64_t present = 1ull << 63;
    constexpr std::uint64_t soft_dirty = 1ull << 55;
    EXPECT_EQ(elisa::pagemap_entry_to_gpa(present | soft_dirty | 0x1234).value(), Gpa{0x1234000});
    EXPECT_EQ(elisa::pagemap_entry_to_gpa(0x1234).value(), std::nullopt);
    EXPECT_EQ(elisa::pagemap_entry_to_gpa(1ull << 62 | 7).value(), std::nullopt); // swapped
}

TEST(Pagemap, AHiddenFrameMeansMissingPrivilege)
{
    const auto hidden = elisa::pagemap_entry_to_gpa(1ull << 63);
    ASSERT_FALSE(hidden);
    EXPECT_EQ(hidden.error().code, elisa::Errc::not_permitted);
}

constexpr std::string_view smaps = R"(00400000-00452000 r-xp 00000000 08:02 173521 /usr/bin/x
Size:                328 kB
KernelPageSize:        4 kB
MMUPageSize:           4 kB
VmFlags: rd ex mr mw me dw
10000000-10200000 rw-s 00000000 00:0f 1 /dev/hugepages/a
Size:               2048 kB
KernelPageSize:     2048 kB
10200000-10400000 rw-s 00000000 00:0f 2 /dev/hugepages/b
Size:               2048 kB
KernelPageSize:     2048 kB
10400000-10401000 rw-p 00000000 00:00 0
KernelPageSize:        4 kB
40000000-80000000 rw-s 00000000 00:0f 3 /dev/hugepages1G/c
KernelPageSize:  1048576 kB
)";

TEST(Smaps, TellsThePageSizeOfARange)
{
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x400000, 0x1000), 4096u);
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x10000000, 2 * mb), 2 * mb);
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x40000000, 2 * mb), 1024 * mb);
}

TEST(Smaps, ARangeMayLieInSeveralMappings)
{
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x10000000, 4 * mb), 2 * mb);
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x10200000, 2 * mb + 1), 4096u); // the smallest
}

TEST(Smaps, WhatIsNotMappedInFullHasNone)
{
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x452000, 0x1000), 0u);
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x10000000, 6 * mb), 0u);
    EXPECT_EQ(elisa::smaps_page_size(smaps, 0x90000000, 1), 0u);
    EXPECT_EQ(elisa::smaps_page_size("", 0x10000000, 1), 0u);
    EXPECT_EQ(elisa::smaps_page_size("garbage\n-\n10000000-\n", 0x10000000, 1), 0u);
    EXPECT_EQ(elisa::smaps_page_size("10000000-10200000 rw\nKernelPageSize: kB\n", 0x10000000, 1),
              0u);
}

TEST(Resolve, RefusesMemoryThatTheKernelMayMove)
{
    void *const memory =
        ::mmap(nullptr, 4 * mb, PROT_READ | PROT_WRITE, MAP_PRIVATE | MAP_ANONYMOUS, -1, 0);
    ASSERT_NE(memory, MAP_FAILED);
    const auto aligned =
        (reinterpret_cast<std::uintptr_t>(memory) + 2 * mb - 1) / (2 * mb) * (2 * mb);
    const elisa::MemoryRange range{reinterpret_cast<void *>(aligned), 2 * mb, std::nullopt};
    const auto runs = elisa::resolve({&range, 1});
    ASSERT_FALSE(runs);
    EXPECT_EQ(runs.error().code, elisa::Errc::not_hugetlb);
    EXPECT_NE(runs.error().message.find("hugetlb"), std::string::npos) << runs.error().message;

    // Also when somebody claims to know where it is.
    const elisa::MemoryRange claimed{reinterpret_cast<void *>(aligned), 2 * mb, Gpa{2 * mb}};
    EXPECT_FALSE(elisa::resolve({&claimed, 1}));
    ::munmap(memory, 4 * mb);
}

TEST(Resolve, RefusesWhatDoesNotBeginOrEndOnAHugePage)
{
    for (const elisa::MemoryRange range :
         {elisa::MemoryRange{reinterpret_cast<void *>(0x10001000), 2 * mb, std::nullopt},
          elisa::MemoryRange{reinterpret_cast<void *>(0x10000000), 4096, std::nullopt},
          elisa::MemoryRange{reinterpret_cast<void *>(0x10000000), 0, std::nullopt}}) {
        const auto runs = elisa::resolve({&range, 1});
        ASSERT_FALSE(runs);
        EXPECT_EQ(runs.error().code, elisa::Errc::invalid);
    }
    EXPECT_FALSE(elisa::resolve({}));
}

TEST(HugeMemory, SaysHowToReservePagesIfThereAreNone)
{
    const auto memory =
        elisa::HugeMemory::allocate(std::size_t{1} << 44); // more than any machine has
    ASSERT_FALSE(memory);
    EXPECT_NE(memory.error().message.find("nr_hugepages"), std::string::npos)
        << memory.error().message;
    EXPECT_FALSE(elisa::HugeMemory::allocate(0));
}

} // namespace

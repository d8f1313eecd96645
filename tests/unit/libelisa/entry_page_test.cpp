// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "entry_page.hpp"

#include <array>
#include <cstring>
#include <dlfcn.h>
#include <gtest/gtest.h>
#include <sys/mman.h>
#include <thread>

namespace {

using Page = std::array<std::byte, elisa::page_size>;

Page laid(std::int32_t tpoff)
{
    Page page{};
    elisa::detail::lay_stub(page, tpoff);
    return page;
}

bool bytes_at(const Page &page, std::size_t offset, std::initializer_list<int> wanted)
{
    for (const int byte : wanted) {
        if (page[offset++] != static_cast<std::byte>(byte)) {
            return false;
        }
    }
    return true;
}

TEST(EntryPage, VmfuncEndsAtTheEntryOffset)
{
    EXPECT_TRUE(bytes_at(laid(-8), ELISA_ENTRY_OFF - 3, {0x0f, 0x01, 0xd4}));
}

TEST(EntryPage, HasOneVmfunc)
{
    const Page page = laid(-8);
    int found = 0;
    for (std::size_t i = 0; i + 3 <= page.size(); ++i) {
        found += bytes_at(page, i, {0x0f, 0x01, 0xd4}) ? 1 : 0;
    }
    EXPECT_EQ(found, 1);
}

TEST(EntryPage, BeginsWhereCallersJumpTo)
{
    // push %rbx, push %rbp
    EXPECT_TRUE(bytes_at(laid(-8), elisa::detail::stub_offset, {0x53, 0x55}));
}

TEST(EntryPage, LandingTakesRspFromTheThread)
{
    // mov %fs:-0x12345678, %rsp
    EXPECT_TRUE(bytes_at(laid(-0x12345678), ELISA_LANDING_OFF,
                         {0x64, 0x48, 0x8b, 0x24, 0x25, 0x88, 0xa9, 0xcb, 0xed}));
}

TEST(EntryPage, IsInt3Elsewhere)
{
    const Page page = laid(-8);
    for (std::size_t i = 0; i < page.size(); ++i) {
        const bool entry = i >= elisa::detail::stub_offset && i < ELISA_ENTRY_OFF;
        const bool landing = i >= ELISA_LANDING_OFF && i < ELISA_LANDING_OFF + 32;
        if (!entry && !landing) {
            ASSERT_EQ(page[i], std::byte{0xcc}) << i;
        }
    }
}

TEST(EntryPage, RspSlotIsAtOneOffsetOnEveryThread)
{
    const auto here = elisa::detail::rsp_slot_offset();
    ASSERT_TRUE(here);
    std::int32_t there = 0;
    std::thread{[&] { there = elisa::detail::rsp_slot_offset().value_or(0); }}.join();
    EXPECT_EQ(*here, there);
    EXPECT_LT(*here, 0); // static TLS lies below the thread pointer
}

TEST(EntryPage, RspSlotIsStaticInAPluginToo)
{
    void *const plugin = ::dlopen(ELISA_TEST_PLUGIN, RTLD_NOW | RTLD_LOCAL);
    ASSERT_NE(plugin, nullptr) << ::dlerror();
    auto *const offset =
        reinterpret_cast<std::int64_t (*)()>(::dlsym(plugin, "elisa_test_rsp_slot_offset"));
    ASSERT_NE(offset, nullptr);
    const std::int64_t here = offset();
    std::int64_t there = 0;
    std::thread{[&] { there = offset(); }}.join();
    EXPECT_EQ(here, there);
    EXPECT_LT(here, 0);
    ::dlclose(plugin);
}

TEST(EntryPage, IsSharedAndGoesWithItsLastUser)
{
    const auto in_use = [] {
        unsigned char present = 0;
        return ::mincore(reinterpret_cast<void *>(ELISA_GATE_VA), elisa::page_size, &present) == 0;
    };
    {
        const auto first = elisa::detail::EntryPage::get();
        const auto second = elisa::detail::EntryPage::get();
        ASSERT_TRUE(first && second);
        EXPECT_EQ(first->get(), second->get());
        EXPECT_TRUE(in_use());
    }
    EXPECT_FALSE(in_use());
}

TEST(EntryPage, DoesNotTakeAnAddressThatIsInUse)
{
    void *const wanted = reinterpret_cast<void *>(ELISA_GATE_VA);
    ASSERT_EQ(::mmap(wanted, elisa::page_size, PROT_READ,
                     MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0),
              wanted);
    const auto page = elisa::detail::EntryPage::get();
    ASSERT_FALSE(page);
    EXPECT_EQ(page.error().code, elisa::Errc::busy);
    ::munmap(wanted, elisa::page_size);
}

} // namespace

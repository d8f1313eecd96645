// SPDX-License-Identifier: Apache-2.0
// The tables that elisa.ko makes for a crossing, walked as the CPU walks them, for guests with
// 4-level and with 5-level paging: no emulator at hand has the latter.
#include "walker.hpp"

#include <array>
#include <cstdlib>
#include <cstring>
#include <gtest/gtest.h>
#include <memory>
#include <random>
#include <tuple>
#include <vector>

extern "C" {
#include "tables.h"
}

extern "C" {
std::uint64_t elisa_window_gpa;

void elisa_pages_init(elisa_pages *, elisa_vm *) {}
void elisa_pages_free(elisa_pages *) {}
}

namespace {

using End = Walked::End;

std::vector<std::unique_ptr<void, decltype(&std::free)>> pages;

void *new_page()
{
    void *page = std::aligned_alloc(4096, 4096);
    std::memset(page, 0, 4096);
    pages.emplace_back(page, &std::free);
    return page;
}

} // namespace

extern "C" void *elisa_page_alloc(elisa_pages *)
{
    return new_page();
}

namespace {

std::uint64_t address_of(const void *page)
{
    return reinterpret_cast<std::uint64_t>(page);
}

/// A guest's contexts as context.c makes them, on a CPU with so many physical address bits.
class Tables : public testing::TestWithParam<std::tuple<bool, int>> {
  protected:
    void SetUp() override
    {
        elisa_window_gpa = std::uint64_t{1} << (std::get<1>(GetParam()) - 1);
        ASSERT_EQ(elisa_guest_pt_init(), 0);
        ASSERT_EQ(elisa_ept_init(), 0);

        std::uint64_t *window = nullptr;
        ASSERT_EQ(elisa_ept_create(&mine_, ELISA_EPT_GATE, la57_, &gate_, &window), 0);
        map(window, ELISA_GATE_X, gate_page_, EPT_X);
        map(window, ELISA_LIST_X, list_, EPT_RW);
        ASSERT_EQ(elisa_ept_create(&mine_, ELISA_EPT_SUB, la57_, &sub_, &window), 0);
        map(window, ELISA_GATE_X, stub_, EPT_X);
        map(window, ELISA_COUNTERS_X, counters_, EPT_RW);
        map(window, ELISA_STACK_X, stack_, EPT_RW);
        map(window, ELISA_OBJECT_X, object_, EPT_RW);
        map(window, ELISA_WINDOW_X, region_, EPT_RW);
        map(window, ELISA_SLOT_SIZE - 4096, last_, EPT_R);

        // What the vCPU's EPTP list looks like to a page walk: EPTPs, with their low bytes (I3).
        list_[0] = address_of(new_page()) | 0x5e;
        list_[1] = gate_;
        list_[2] = sub_ & ~0xffull;
    }
    void TearDown() override
    {
        elisa_ept_exit();
        elisa_guest_pt_exit();
        pages.clear();
    }

    void map(std::uint64_t *window, std::uint64_t x, void *page, std::uint64_t prot)
    {
        ASSERT_EQ(elisa_ept_map(&mine_, window, x, page, prot), 0);
    }
    [[nodiscard]] GuestState at(std::uint64_t cr3) const { return {.cr3 = cr3, .la57 = la57_}; }

    /// Guest-physical addresses that are not the window's: its edges, those of each level, and some
    /// more.
    [[nodiscard]] std::vector<std::uint64_t> outside() const
    {
        const std::uint64_t end = elisa_window_gpa + ELISA_SLOT_SIZE;
        std::vector<std::uint64_t> gpas{
            0, 0x1000, 0x1fff000, elisa_window_gpa - 4096, end, end + (1ull << 30)};
        for (unsigned bit = 12; bit < 48; ++bit)
            gpas.push_back(std::uint64_t{1} << bit);
        std::mt19937_64 random(1);
        for (int i = 0; i < 1000; ++i)
            gpas.push_back(random() & 0xfffffffff000);
        std::erase_if(
            gpas, [&](std::uint64_t g) { return (g >= elisa_window_gpa && g < end) || g >> 48; });
        return gpas;
    }

    const bool la57_ = std::get<0>(GetParam());
    elisa_pages mine_{};
    std::uint64_t gate_ = 0, sub_ = 0;
    void *const gate_page_ = new_page(), *const stub_ = new_page(), *const counters_ = new_page(),
                *const stack_ = new_page(), *const object_ = new_page(),
                *const region_ = new_page(), *const last_ = new_page();
    std::uint64_t *const list_ = static_cast<std::uint64_t *>(new_page());
};

TEST_P(Tables, TheGateIsFoundWhateverAddressCr3Holds)
{
    for (const std::uint64_t cr3 : outside()) {
        const Walked code = walk(gate_, at(cr3), ELISA_GATE_VA);
        ASSERT_EQ(code.end, End::page) << std::hex << cr3;
        ASSERT_EQ(code.host, address_of(gate_page_));
        ASSERT_EQ(code.prot, EPT_X) << "to be read or written it is not";
        const Walked list = walk(gate_, at(cr3), ELISA_SLOT_BASE + ELISA_LIST_X);
        ASSERT_EQ(list.host, address_of(list_));
        ASSERT_EQ(list.prot, EPT_RW);
    }
}

TEST_P(Tables, EachPageOfTheSubIsAtItsOffsetInTheSlot)
{
    const std::array<std::pair<std::uint64_t, void *>, 6> expected{
        {{ELISA_GATE_X, stub_},
         {ELISA_COUNTERS_X, counters_},
         {ELISA_STACK_X, stack_},
         {ELISA_OBJECT_X, object_},
         {ELISA_WINDOW_X, region_},
         {ELISA_SLOT_SIZE - 4096, last_}}};
    for (const std::uint64_t cr3 : outside())
        for (const auto &[x, page] : expected) {
            const Walked w = walk(sub_, at(cr3), ELISA_SLOT_BASE + x);
            ASSERT_EQ(w.end, End::page) << std::hex << cr3 << ' ' << x;
            ASSERT_EQ(w.host, address_of(page));
            ASSERT_EQ(w.gpa, elisa_window_gpa + x);
        }
}

TEST_P(Tables, EverywhereElseThereIsAHoleAndNoPageFault)
{
    std::vector<std::uint64_t> addresses;
    for (unsigned bit = 12; bit < (la57_ ? 57 : 48); ++bit) {
        addresses.push_back(std::uint64_t{1} << bit);
        addresses.push_back(ELISA_GATE_VA ^ (std::uint64_t{1} << bit));
    }
    std::mt19937_64 random(2);
    for (int i = 0; i < 2000; ++i)
        addresses.push_back(random() & (la57_ ? 0x1fffffffffff000 : 0xfffffffff000));
    for (std::uint64_t x = ELISA_GATE_X - 0x40000; x < ELISA_GATE_X + 0x40000; x += 4096)
        addresses.push_back(ELISA_SLOT_BASE + x);
    for (const std::uint64_t a : addresses)
        for (const std::uint64_t eptp : {gate_, sub_}) {
            const Walked w = walk(eptp, at(0x1000), a);
            ASSERT_NE(w.end, End::page_fault) << std::hex << a;
            if (w.end != End::page)
                continue;
            EXPECT_EQ(w.gpa - elisa_window_gpa, a - ELISA_SLOT_BASE) << std::hex << a;
            EXPECT_EQ(w.prot & EPT_W,
                      (w.host == address_of(list_) || w.host == address_of(counters_) ||
                       w.host == address_of(stack_))
                          ? EPT_W
                          : 0)
                << std::hex << a << ": a table that can be written";
        }
}

TEST_P(Tables, NoPageOfTheWindowServesAsARoot)
{
    for (std::uint64_t x = 0; x < ELISA_OBJECT_X; x += 4096) {
        if (x == ELISA_LIST_X)
            continue; // below
        const Walked w = walk(gate_, at(elisa_window_gpa + x), ELISA_GATE_VA);
        ASSERT_EQ(w.end, End::ept_violation) << std::hex << x;
    }
    const Walked by_list = walk(gate_, at(elisa_window_gpa + ELISA_LIST_X), ELISA_GATE_VA);
    EXPECT_NE(by_list.end, End::page) << "the list's entries are no page-table entries";
}

TEST_P(Tables, WalkedWithTheOtherDepthThereIsNothing)
{
    for (const std::uint64_t cr3 : outside())
        for (const std::uint64_t eptp : {gate_, sub_}) {
            const Walked w = walk(eptp, {.cr3 = cr3, .la57 = !la57_}, ELISA_GATE_VA);
            ASSERT_EQ(w.end, End::ept_violation) << std::hex << cr3;
        }
}

INSTANTIATE_TEST_SUITE_P(Paging, Tables,
                         testing::Combine(testing::Bool(), testing::Values(39, 46, 48)),
                         [](const auto &made) {
                             return std::string(std::get<0>(made.param) ? "FiveLevels"
                                                                        : "FourLevels") +
                                    "At" + std::to_string(std::get<1>(made.param)) + "Bits";
                         });

} // namespace

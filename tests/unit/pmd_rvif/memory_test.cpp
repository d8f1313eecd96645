// SPDX-License-Identifier: Apache-2.0
#include "memory.hpp"

#include <gtest/gtest.h>

namespace {

using namespace rvif;

constexpr std::uint64_t page = 2 << 20;

std::byte *at(std::uint64_t pages)
{
    return reinterpret_cast<std::byte *>(0x100000000 + pages * page);
}

Segment segment(std::uint64_t first, std::uint64_t pages = 1)
{
    return {.va = at(first), .length = pages * page};
}

std::optional<rvif_addr_t> place(const AddressMap &map, std::uint64_t pages)
{
    return map.address(at(pages), page);
}

TEST(Joined, AsManyAsThereMayBe)
{
    const std::vector<Block> three{{segment(0)}, {segment(10), segment(12)}, {segment(20)}};
    EXPECT_EQ(joined(three, 8), three);
    EXPECT_EQ(joined(three, 3), three);
    const std::vector<Block> two = joined(three, 2);
    ASSERT_EQ(two.size(), 2u);
    EXPECT_EQ(two[0], three[0]);
    EXPECT_EQ(two[1], (Block{segment(10), segment(12), segment(20)}));
    EXPECT_EQ(joined(three, 1),
              (std::vector<Block>{{segment(0), segment(10), segment(12), segment(20)}}));
}

TEST(AddressMap, OffsetsCountThroughAllPiecesOfABlock)
{
    AddressMap map;
    EXPECT_FALSE(place(map, 0));
    const Block up{segment(0), segment(1), segment(5)};
    const Block down{segment(30), segment(20), segment(10)};
    const AddressMap::Placed all[] = {{up, 2}, {down, 3}};
    map.assign(all);
    EXPECT_EQ(place(map, 1), RVIF_ADDR(2ull, page));
    EXPECT_EQ(place(map, 5), RVIF_ADDR(2ull, 2 * page));
    EXPECT_EQ(place(map, 10), RVIF_ADDR(3ull, 2 * page));
    EXPECT_EQ(place(map, 30), RVIF_ADDR(3ull, 0ull));
    EXPECT_EQ(map.address(at(0), 2 * page), RVIF_ADDR(2ull, 0ull)) << "neighbours are one run";
    for (const std::uint64_t nowhere : {2, 4, 6, 9, 11, 40})
        EXPECT_FALSE(place(map, nowhere)) << nowhere;
    EXPECT_FALSE(map.address(at(1), page + 1));
}

TEST(AddressMap, AThousandPiecesAreAllFound)
{
    AddressMap map;
    Block block;
    for (std::uint64_t i = 0; i < 1000; ++i)
        block.push_back(segment(2 * (999 - i)));
    const AddressMap::Placed all[] = {{block, 0}};
    map.assign(all);
    for (std::uint64_t i = 0; i < 1000; ++i) {
        EXPECT_EQ(place(map, 2 * i), RVIF_ADDR(0ull, (999 - i) * page));
        EXPECT_FALSE(place(map, 2 * i + 1));
    }
}

TEST(AddressMap, WhatIsForgottenLeavesTheRest)
{
    AddressMap map;
    const Block block{segment(0, 10)};
    const AddressMap::Placed all[] = {{block, 1}};
    map.assign(all);
    const AddressMap::Run *const hint = map.find(at(0), 1, nullptr);
    ASSERT_NE(hint, nullptr);
    EXPECT_FALSE(map.forget(reinterpret_cast<std::uintptr_t>(at(10)), page));
    EXPECT_EQ(map.find(at(3), page, hint), hint);
    EXPECT_TRUE(map.forget(reinterpret_cast<std::uintptr_t>(at(4)), 2 * page));
    EXPECT_FALSE(hint->holds(reinterpret_cast<std::uintptr_t>(at(0)), 1))
        << "whoever had it looks again";
    EXPECT_EQ(place(map, 3), RVIF_ADDR(1ull, 3 * page));
    EXPECT_FALSE(place(map, 4));
    EXPECT_FALSE(place(map, 5));
    EXPECT_EQ(place(map, 6), RVIF_ADDR(1ull, 6 * page));
    EXPECT_FALSE(map.address(at(3), 2 * page));
    const AddressMap::Run *const rest = map.find(at(6), page, hint);
    ASSERT_NE(rest, nullptr);
    // Another part, which an older map has, too.
    EXPECT_TRUE(map.forget(reinterpret_cast<std::uintptr_t>(at(0)), page));
    EXPECT_EQ(map.find(at(9), page, rest), rest);
    EXPECT_FALSE(place(map, 0));
    EXPECT_TRUE(place(map, 1));
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
#include "elisa/doorbell.hpp"

#include <gtest/gtest.h>

namespace {

using elisa::doorbell::pack_name;
using elisa::doorbell::unpack_name;

TEST(Doorbell, NamesTravelInFourRegistersLittleEndian)
{
    const auto packed = pack_name("rvs");
    ASSERT_TRUE(packed);
    EXPECT_EQ((*packed)[0], 0x737672u);
    EXPECT_EQ((*packed)[1], 0u);
    EXPECT_EQ(unpack_name(*packed), "rvs");

    const std::string longest(31, 'x');
    EXPECT_EQ(unpack_name(*pack_name(longest)), longest);
}

TEST(Doorbell, WhatIsNoNameIsRefused)
{
    for (const std::string_view name : {"", "a b", "../x", "a/b", "a\n", "\xff"}) {
        EXPECT_FALSE(pack_name(name)) << name;
    }
    EXPECT_FALSE(pack_name(std::string(32, 'x')));
    EXPECT_FALSE(pack_name(std::string_view{"a\0b", 3}));
}

TEST(Doorbell, ALabelWithoutAnEndIsCut)
{
    const elisa::doorbell::PackedName full{~0ull, ~0ull, ~0ull, ~0ull};
    EXPECT_EQ(unpack_name(full).size(), 31u);
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
#include "cpus.hpp"

#include <gtest/gtest.h>

namespace {

using elisa::detail::parse_cpu_list;

TEST(CpuList, IsReadAsTheKernelWritesIt)
{
    EXPECT_EQ(parse_cpu_list("0\n").value(), (std::vector{0}));
    EXPECT_EQ(parse_cpu_list("0-3\n").value(), (std::vector{0, 1, 2, 3}));
    EXPECT_EQ(parse_cpu_list("0,2-3,7").value(), (std::vector{0, 2, 3, 7}));
}

TEST(CpuList, NonsenseIsRefused)
{
    for (const char *text : {"", "\n", "a", "1-", "-1", "3-1", "0,,1", "0-99999", "1 2", "0x1"}) {
        EXPECT_FALSE(parse_cpu_list(text)) << text;
    }
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
#include "cpus.hpp"
#include "elisa/pinned.hpp"

#include <gtest/gtest.h>
#include <vector>

namespace {

using elisa::allowed_cpus;
using elisa::Pinned;

TEST(Pinned, StaysWhereItIsUntilItGoes)
{
    const auto before = allowed_cpus().value();
    {
        const auto pinned = Pinned::here();
        ASSERT_TRUE(pinned) << pinned.error().message;
        EXPECT_EQ(pinned->cpu(), ::sched_getcpu());
        EXPECT_EQ(allowed_cpus().value(), std::vector{pinned->cpu()});
    }
    EXPECT_EQ(allowed_cpus().value(), before);
}

TEST(Pinned, GoesToEachCpuThatItMayRunOn)
{
    const auto before = allowed_cpus().value();
    const auto first = Pinned::to(before.front());
    ASSERT_TRUE(first) << first.error().message;
    for (const int cpu : before) {
        const auto pinned = Pinned::to(cpu);
        ASSERT_TRUE(pinned) << pinned.error().message;
        EXPECT_EQ(::sched_getcpu(), cpu);
    }
    EXPECT_EQ(allowed_cpus().value(), std::vector{first->cpu()}) << "one in the other";
}

TEST(Pinned, ACpuThatIsNotThereIsNamed)
{
    const auto before = allowed_cpus().value();
    const auto pinned = Pinned::to(elisa::detail::max_cpus - 1);
    ASSERT_FALSE(pinned);
    EXPECT_NE(pinned.error().message.find("CPU 1023"), std::string::npos) << pinned.error().message;
    EXPECT_EQ(allowed_cpus().value(), before);
}

} // namespace

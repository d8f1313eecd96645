// SPDX-License-Identifier: Apache-2.0
#include "rvs/names.h"

#include <gtest/gtest.h>
#include <set>
#include <string>

namespace {

TEST(RvsNames, EveryDropReasonHasItsOwnName)
{
    std::set<std::string> names;
    for (unsigned r = 0; r < RVIF_DROP_REASONS; ++r)
        names.insert(rvif_drop_name(r));
    EXPECT_EQ(names.size(), static_cast<std::size_t>(RVIF_DROP_REASONS));
    EXPECT_EQ(names.count("unknown"), 0u);
    EXPECT_STREQ(rvif_drop_name(RVIF_DROP_NO_BUFFER), "no_buffer");
    EXPECT_STREQ(rvif_drop_name(RVIF_DROP_BAD_CHAIN), "bad_chain");
    EXPECT_STREQ(rvif_drop_name(RVIF_DROP_REASONS), "unknown");
    EXPECT_STREQ(rvif_drop_name(~0u), "unknown");
}

TEST(RvsNames, EveryErrorHasItsOwnText)
{
    std::set<std::string> texts;
    for (long e = RVIF_E_OP; e <= RVIF_E_BUSY; ++e) {
        texts.insert(rvif_error_text(e));
        EXPECT_STREQ(rvif_error_text(e), rvif_error_text(-e));
    }
    EXPECT_EQ(texts.size(), static_cast<std::size_t>(RVIF_E_BUSY));
    EXPECT_EQ(texts.count("unknown error"), 0u);
    EXPECT_STREQ(rvif_error_text(-1000), "unknown error");
}

} // namespace

// SPDX-License-Identifier: Apache-2.0
// The sizes in docs/operations.md are the switch's.
#include "rvs/switch.hpp"

#include <cstdio>
#include <fstream>
#include <gtest/gtest.h>
#include <sstream>
#include <string>

namespace {

std::string mib(std::size_t bytes, int digits)
{
    char text[32];
    std::snprintf(text, sizeof(text), "%.*f MiB", digits,
                  static_cast<double>(bytes) / (1024.0 * 1024.0));
    return text;
}

TEST(Operations, SizesAreTheSwitchs)
{
    std::ifstream in{ELISA_DOC_OPERATIONS};
    std::ostringstream text;
    text << in.rdbuf();
    rvs::Limits large;
    large.fdb_entries = 1048576;
    const std::string said[] = {
        "The switch takes " + mib(rvs::Switch::footprint({}), 1) + " (16,384 addresses; " +
            mib(rvs::Switch::footprint(large), 1) + " with `fdb_entries = 1048576`)",
        mib(RVIF_LANE_STRIDE(512) * RVIF_MAX_SOURCES, 0) + " for each queue of 512, " +
            mib(RVIF_LANE_STRIDE(4096) * RVIF_MAX_SOURCES, 0) + " for one of 4096",
        std::to_string(RVIF_MAX_PORTS) + " ports, " + std::to_string(RVIF_MAX_QUEUES) +
            " queues each way, " + std::to_string(RVIF_MAX_SOURCES) + " transmit queues"};
    for (const std::string &one : said)
        EXPECT_NE(text.str().find(one), std::string::npos) << one;
}

} // namespace

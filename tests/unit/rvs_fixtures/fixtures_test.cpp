// SPDX-License-Identifier: Apache-2.0
// Frames in, frames out, as captures that any tool can show.
#include "fixture.hpp"
#include "rvs/names.h"

#include <gtest/gtest.h>

namespace rvs::test {
namespace {

namespace fs = std::filesystem;

std::vector<fs::path> folders()
{
    std::vector<fs::path> all;
    for (const fs::directory_entry &entry : fs::directory_iterator{FIXTURES}) {
        if (entry.is_directory())
            all.push_back(entry.path());
    }
    std::sort(all.begin(), all.end());
    return all;
}

// Before frame `number` is sent.
void hold_down(Net &net, const Fixture &fixture, std::uint32_t number)
{
    for (std::uint32_t p = 0; p < fixture.ports.size(); ++p) {
        const FixturePort &port = fixture.ports[p];
        if (port.down_from == number) {
            EXPECT_EQ(net.world->port_link(PortId{p}, false), Error::none);
        }
        if (port.down_to + 1 == number && port.down_to != 0) {
            EXPECT_EQ(net.world->port_link(PortId{p}, true), Error::none);
        }
    }
}

class RvsFixture : public testing::TestWithParam<fs::path> {};

TEST_P(RvsFixture, WhatComesOutIsWhatTheCapturesSay)
{
    const Fixture fixture = read_fixture(GetParam());
    SCOPED_TRACE(fixture.what);
    Limits limits = World::small();
    limits.clock_hz = std::uint64_t{1} << 40; // minutes for a second of it: nothing is refilled
    Net net{limits};
    for (const FixturePort &port : fixture.ports)
        net.add(port.options, {.buffers = 700, .rx_flags = port.takes});

    std::vector<std::vector<Bytes>> out(fixture.ports.size());
    std::uint32_t number = 0;
    for (const FixtureFrame &frame : fixture.in) {
        hold_down(net, fixture, ++number);
        const FixturePort &from = fixture.ports[frame.port];
        for (const Out &o : net.send(frame.port, frame.bytes, from.requests, from.vlan, from.segsz))
            out[o.port].push_back(o.frame);
    }

    for (std::uint32_t p = 0; p < fixture.ports.size(); ++p) {
        SCOPED_TRACE("port " + std::to_string(p));
        const FixturePort &port = fixture.ports[p];
        EXPECT_EQ(out[p].size(), port.out.size());
        for (std::size_t i = 0; i < std::min(out[p].size(), port.out.size()); ++i)
            EXPECT_EQ(out[p][i], port.out[i]) << "frame " << i;
        for (std::uint32_t r = 0; r < RVIF_DROP_REASONS; ++r) {
            const auto wanted = port.drops.find(rvif_drop_name(r));
            EXPECT_EQ(net[p].stats().frames.drops[r],
                      wanted == port.drops.end() ? 0 : wanted->second)
                << rvif_drop_name(r);
        }
    }
}

INSTANTIATE_TEST_SUITE_P(Rvs, RvsFixture, testing::ValuesIn(folders()), [](const auto &tested) {
    std::string name = tested.param.filename();
    std::replace(name.begin(), name.end(), '-', '_');
    return name;
});

} // namespace
} // namespace rvs::test

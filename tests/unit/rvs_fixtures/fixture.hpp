// SPDX-License-Identifier: Apache-2.0
// A fixture: a folder with ports.toml, what goes in and what comes out where. See README.md.
#ifndef TESTS_RVS_FIXTURES_FIXTURE_HPP
#define TESTS_RVS_FIXTURES_FIXTURE_HPP

#include "net.hpp"

#include <filesystem>
#include <map>
#include <string>
#include <vector>

namespace rvs::test {

struct FixturePort {
    PortOptions options;
    std::vector<std::uint16_t> trunk; // that options point at
    std::uint32_t takes = 0;          // RVIF_RXQ_*
    std::uint32_t requests = 0;       // RVIF_TX_*, for each frame that it sends
    std::uint32_t vlan = 0;
    std::uint32_t segsz = 0;
    // The manager holds it down while the frames from one number to the other are sent, counted
    // from 1 over all ports; 0: never.
    std::uint32_t down_from = 0;
    std::uint32_t down_to = 0;
    std::map<std::string, std::uint64_t> drops; // by rvif_drop_name(), all that there are
    std::vector<Bytes> out;
};

struct FixtureFrame {
    std::uint64_t at; // of the capture, ns
    std::uint32_t port;
    Bytes bytes;
};

struct Fixture {
    std::string what;
    std::vector<FixturePort> ports;
    std::vector<FixtureFrame> in; // of all ports, in order of time
};

// Throws std::runtime_error with the file's name and what is wrong with it.
Fixture read_fixture(const std::filesystem::path &folder);

} // namespace rvs::test

#endif // TESTS_RVS_FIXTURES_FIXTURE_HPP

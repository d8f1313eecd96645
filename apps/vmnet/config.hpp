// SPDX-License-Identifier: Apache-2.0
// vmnet's TOML file: who is admitted, and with what.
//
//     [switch]
//     export = "rvs"          # name that drivers attach to
//     fdb_entries = 16384     # learned MACs
//     fdb_age = 120           # seconds until a silent MAC is forgotten
//     statistics = 10         # seconds between two tables of counters; 0: at the end only
//
//     [[guest]]               # one for each label that may attach; all others are refused
//     label = "web"           # as given by the host's administrator (elisactl host add --label)
//     mac = "02:00:00:00:00:01"   # optional: this one and no other
//     ports = 1               # attachments at the same time
//     tx_queues = 8           # of each
#pragma once

#include "elisa/error.hpp"
#include "rvs/switch.hpp"

#include <cstdint>
#include <filesystem>
#include <optional>
#include <string>
#include <string_view>
#include <vector>

namespace vmnet {

struct GuestConfig {
    std::string label;
    std::uint64_t mac = 0; // first byte in bits 0..7; 0: any
    std::uint32_t ports = 1;
    std::uint32_t tx_queues = RVIF_MAX_QUEUES;
};

struct Config {
    std::string export_name = RVIF_EXPORT_NAME;
    rvs::Limits limits;
    std::uint32_t statistics_seconds = 0;
    std::vector<GuestConfig> guests;

    [[nodiscard]] const GuestConfig *find(std::string_view label) const noexcept;
};

// Messages begin with "origin:line:".
[[nodiscard]] elisa::Result<Config> parse_config(std::string_view text, std::string_view origin);
[[nodiscard]] elisa::Result<Config> load_config(const std::filesystem::path &path);

// "02:00:00:00:00:01"; nullopt unless it is the address of one station.
[[nodiscard]] std::optional<std::uint64_t> parse_mac(std::string_view text);
[[nodiscard]] std::string format_mac(std::uint64_t mac);

} // namespace vmnet

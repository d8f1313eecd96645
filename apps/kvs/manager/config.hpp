// SPDX-License-Identifier: Apache-2.0
// kvs manager's TOML file: who may use the store, and with what.
//
//     [store]
//     export = "kvs"          # the name that clients attach to
//     keys = 65536            # that each namespace's index is made for
//
//     [[guest]]               # one for each label that may attach; all others are refused
//     label = "web"           # as given by the host's administrator (elisactl host add --label)
//     namespace = "shop"      # guests of one namespace share its keys; without: its own
//     memory = 64             # MiB for what one session puts; 0: it may only read
//     sessions = 1            # processes that may use the store at the same time
#pragma once

#include "guests.hpp"

#include <filesystem>
#include <optional>

namespace kvs {

constexpr std::uint32_t least_keys = 16;
constexpr std::uint32_t most_keys = 1u << 31;

struct Config {
    std::optional<std::string> export_name;
    std::optional<std::uint32_t> keys;
    std::vector<GuestSpec> guests;
};

// Messages begin with "origin:line:".
[[nodiscard]] elisa::Result<Config> parse_config(std::string_view text, std::string_view origin);
[[nodiscard]] elisa::Result<Config> load_config(const std::filesystem::path &path);

} // namespace kvs

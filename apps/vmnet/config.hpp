// SPDX-License-Identifier: Apache-2.0
// vmnet's TOML file: who is admitted, and with what.
//
//     [switch]
//     export = "rvs"          # name that drivers attach to
//     fdb_entries = 16384     # learned MACs
//     fdb_age = 120           # seconds until a silent MAC is forgotten
//     tsc_hz = 0              # of the guests' time-stamp counters; 0: as measured here
//     statistics = 10         # seconds between two tables of counters; 0: at the end only
//     capture_memory = 2      # MiB for `elisactl capture`; 0: none
//
//     [log]
//     level = "info"          # debug, info, warning, error
//     format = "text"         # or "json": one object a line
//
//     [metrics]
//     listen = "127.0.0.1:9560"   # or "unix:/run/elisa/metrics"; without it there are none
//
//     [[guest]]               # one for each label that may attach; all others are refused
//     label = "web"           # as given by the host's administrator (elisactl host add --label)
//     mac = "02:00:00:00:00:01"   # optional: this one and no other
//     ports = 1               # attachments at the same time
//     tx_queues = 8           # of each
//     vlan = 10               # access port: this VLAN, without tags; or
//     trunk = [10, 20]        # these, with tags, and
//     native = 30             # this one without
//     isolated = true         # reaches no other isolated port
//     macs = ["02:...", ...]  # anti-spoofing: sends from these (and mac) alone; up to 8
//     mac_limit = 16          # addresses that may be seen at the port
//     rate = 1000             # Mbit/s that it may send, ...
//     burst = 256             # ... and KiB at once
//     storm = 1000            # frames a second of it that are flooded
//     mirror = "tap"          # the guest (capture = true) that gets copies of all its frames
//     capture = false         # true: gets copies and nothing else
//     down = false            # true: its ports are held down
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

    std::uint32_t native = 0; // VLAN without tags: vlan's or native's
    std::vector<std::uint16_t> trunk{};
    bool isolated = false;
    std::vector<std::uint64_t> macs{};
    std::uint32_t mac_limit = 0;
    std::uint32_t rate_mbit = 0;
    std::uint32_t burst_kib = 0;
    std::uint32_t storm = 0;
    std::string mirror{};
    bool capture = false;
    bool down = false;
};

struct Config {
    std::string export_name = RVIF_EXPORT_NAME;
    rvs::Limits limits; // but for clock_hz, which is known when the switch is made
    std::uint64_t tsc_hz = 0;
    std::uint32_t statistics_seconds = 0;
    std::optional<std::uint32_t> capture_mib; // nullopt: as the backend likes
    std::optional<std::string> log_level;     // one that parse_level() knows
    std::optional<std::string> log_format;    // likewise
    std::string metrics;                      // empty: none; or an address
    std::vector<GuestConfig> guests;

    [[nodiscard]] const GuestConfig *find(std::string_view label) const noexcept;
    // Somebody's rate is limited: the switch needs to know the clock.
    [[nodiscard]] bool needs_clock() const noexcept;
    // Captures have ports of their own, from the last one down, so that a mirror can be set up
    // before its capture attaches; nullopt: any port that is free.
    [[nodiscard]] std::optional<rvs::PortId> fixed_port(const GuestConfig &guest) const noexcept;
    // The first port that is free for this guest, of those whose bit in `open` is 0.
    [[nodiscard]] std::optional<rvs::PortId> free_port(const GuestConfig &guest,
                                                       std::uint64_t open) const noexcept;
    // For the manager's own capture: from the last one down.
    [[nodiscard]] std::optional<rvs::PortId> capture_port(std::uint64_t open) const noexcept;
    // Points into guest, which must outlive it.
    [[nodiscard]] rvs::PortOptions options(const GuestConfig &guest) const;
};

// Messages begin with "origin:line:".
[[nodiscard]] elisa::Result<Config> parse_config(std::string_view text, std::string_view origin);
[[nodiscard]] elisa::Result<Config> load_config(const std::filesystem::path &path);

// What vmnet was told on its command line, for each time that it reads its configuration.
struct ConfigSource {
    std::string file{};               // empty: none
    std::vector<std::string> admit{}; // labels that are admitted whatever the file says
};
[[nodiscard]] elisa::Result<Config> load_config(const ConfigSource &source);

// base with other settings: assignments are lines of TOML as in a [[guest]], of what can change
// while a port is open; defaults: keys that go back to what they are without a word.
[[nodiscard]] elisa::Result<GuestConfig> change_guest(const Config &config, const GuestConfig &base,
                                                      std::string_view assignments,
                                                      const std::vector<std::string> &defaults);

// "02:00:00:00:00:01"; nullopt unless it is the address of one station.
[[nodiscard]] std::optional<std::uint64_t> parse_mac(std::string_view text);
[[nodiscard]] std::string format_mac(std::uint64_t mac);

} // namespace vmnet

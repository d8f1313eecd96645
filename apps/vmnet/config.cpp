// SPDX-License-Identifier: Apache-2.0
#include "config.hpp"

#include "elisa/doorbell.hpp"
#include "toml_reader.hpp"

#include <algorithm>
#include <array>
#include <charconv>
#include <span>

namespace vmnet {
namespace {

using elisa::Error;
using elisa::Result;
using Reader = apps::TomlReader;

std::optional<Error> read_switch(const toml::table &table, std::string_view origin, Config &config)
{
    Reader reader{table, origin, "[switch]"};
    reader.allow_only(
        {"export", "fdb_entries", "fdb_age", "statistics", "tsc_hz", "capture_memory"});
    if (auto name = reader.text("export")) {
        if (const auto packed = elisa::doorbell::pack_name(*name); !packed) {
            reader.complain_at("export", "is not a name (1 to 31 letters, digits, '-', '_', '.')");
        }
        config.export_name = std::move(*name);
    }
    reader.number("fdb_entries", config.limits.fdb_entries, 64, 1 << 20);
    reader.number("fdb_age", config.limits.fdb_age_ticks, 1, 200);
    if (reader.has("tsc_hz")) {
        if (const auto *const hz = table.get("tsc_hz")->as_integer();
            hz != nullptr && hz->get() >= 0 && hz->get() <= 100'000'000'000) {
            config.tsc_hz = static_cast<std::uint64_t>(hz->get());
        } else {
            reader.complain_at("tsc_hz", "must be ticks a second, such as 2400000000");
        }
    }
    reader.number("statistics", config.statistics_seconds, 0, 86400);
    if (reader.has("capture_memory")) {
        reader.number("capture_memory", config.capture_mib.emplace(0), 0, 256);
    }
    return reader.error();
}

std::optional<Error> read_log(const toml::table &table, std::string_view origin, Config &config)
{
    Reader reader{table, origin, "[log]"};
    reader.allow_only({"level", "format"});
    config.log_level = reader.one_of("level", {"debug", "info", "warning", "error"});
    config.log_format = reader.one_of("format", {"text", "json"});
    return reader.error();
}

// Counters are no secret of the machine's administrator alone, but nobody's outside.
bool is_local(std::string_view address)
{
    constexpr std::string_view unix_socket = "unix:/";
    if (address.starts_with(unix_socket)) {
        return address.size() > unix_socket.size();
    }
    const std::size_t colon = address.rfind(':');
    if (colon == std::string_view::npos) {
        return false;
    }
    const std::string_view host = address.substr(0, colon);
    const std::string_view digits = address.substr(colon + 1);
    unsigned port = 0;
    const auto parsed = std::from_chars(digits.data(), digits.data() + digits.size(), port);
    return (host == "127.0.0.1" || host == "[::1]") && parsed.ec == std::errc{} &&
           parsed.ptr == digits.data() + digits.size() && port != 0 && port <= 65535;
}

std::optional<Error> read_metrics(const toml::table &table, std::string_view origin, Config &config)
{
    Reader reader{table, origin, "[metrics]"};
    reader.allow_only({"listen"});
    if (auto listen = reader.text("listen")) {
        if (!is_local(*listen)) {
            reader.complain_at("listen", "must be \"127.0.0.1:PORT\", \"[::1]:PORT\" or "
                                         "\"unix:/PATH\": it is for this machine only");
        }
        config.metrics = std::move(*listen);
    } else {
        reader.complain_at("listen", "must be given");
    }
    return reader.error();
}

// What concerns the port's place in the network.
void read_policy(Reader &reader, GuestConfig &guest)
{
    constexpr std::int64_t last_vlan = 4094;
    if (reader.has("vlan") && (reader.has("trunk") || reader.has("native"))) {
        reader.complain_at("vlan", "is of an access port; a trunk has 'trunk' and 'native'");
    }
    reader.number("vlan", guest.native, 1, last_vlan);
    reader.number("native", guest.native, 1, last_vlan);
    if (reader.has("native") && !reader.has("trunk")) {
        reader.complain_at("native", "is of a trunk: give 'trunk', too, or 'vlan' instead");
    }
    reader.list("trunk", static_cast<std::size_t>(last_vlan), "VLANs from 1 to 4094",
                [&](const toml::node &node) {
                    const auto *const vlan = node.as_integer();
                    if (vlan == nullptr || vlan->get() < 1 || vlan->get() > last_vlan) {
                        return false;
                    }
                    guest.trunk.push_back(static_cast<std::uint16_t>(vlan->get()));
                    return true;
                });
    reader.flag("isolated", guest.isolated);
    reader.list("macs", rvs::max_port_macs, "addresses of stations", [&](const toml::node &node) {
        const auto *const text = node.as_string();
        const auto mac = text != nullptr ? parse_mac(text->get()) : std::nullopt;
        if (mac) {
            guest.macs.push_back(*mac);
        }
        return mac.has_value();
    });
    reader.number("mac_limit", guest.mac_limit, 0, 1 << 20);
    reader.number("rate", guest.rate_mbit, 0, 1'000'000);
    reader.number("burst", guest.burst_kib, 0, 1 << 20);
    if (reader.has("burst") && guest.rate_mbit == 0) {
        reader.complain_at("burst", "is of a rate: give 'rate', too");
    }
    reader.number("storm", guest.storm, 0, 100'000'000);
    if (auto mirror = reader.text("mirror")) {
        guest.mirror = std::move(*mirror);
    }
    reader.flag("down", guest.down);
    reader.flag("capture", guest.capture);
    if (guest.capture && guest.ports != 1) {
        reader.complain_at("capture",
                           "is of one port, but there are " + std::to_string(guest.ports));
    }
    if (guest.capture && !guest.mirror.empty()) {
        reader.complain_at("mirror", "makes no sense for a capture");
    }
}

std::optional<Error> read_guest(const toml::table &table, std::string_view origin, Config &config)
{
    Reader reader{table, origin, "[[guest]]"};
    reader.allow_only({"label", "mac", "ports", "tx_queues", "vlan", "trunk", "native", "isolated",
                       "macs", "mac_limit", "rate", "burst", "storm", "mirror", "capture", "down"});
    GuestConfig guest;
    if (auto label = reader.text("label")) {
        guest.label = std::move(*label);
    }
    if (const auto packed = elisa::doorbell::pack_name(guest.label); !packed) {
        reader.complain_at("label", "must be given: 1 to 31 letters, digits, '-', '_' or '.'");
    }
    if (config.find(guest.label) != nullptr) {
        reader.complain_at("label", "names '" + guest.label + "' a second time");
    }
    reader.number("ports", guest.ports, 1, RVIF_MAX_PORTS);
    reader.number("tx_queues", guest.tx_queues, 1, RVIF_MAX_QUEUES);
    if (const auto mac = reader.text("mac")) {
        if (const auto parsed = parse_mac(*mac)) {
            guest.mac = *parsed;
        } else {
            reader.complain_at("mac", "is not the address of one station, such as "
                                      "\"02:00:00:00:00:01\"");
        }
        if (guest.ports != 1) {
            reader.complain_at("mac",
                               "belongs to one port, but there are " + std::to_string(guest.ports));
        }
        const auto same = [&](const GuestConfig &other) {
            return guest.mac != 0 && other.mac == guest.mac;
        };
        if (std::ranges::any_of(config.guests, same)) {
            reader.complain_at("mac", "is another guest's already");
        }
    }
    read_policy(reader, guest);
    config.guests.push_back(std::move(guest));
    return reader.error();
}

// Once all guests are known.
std::optional<Error> check_mirrors(const toml::table &root, std::string_view origin,
                                   const Config &config)
{
    const toml::array *const guests = root["guest"].as_array();
    for (std::size_t i = 0; i < config.guests.size(); ++i) {
        const std::string &mirror = config.guests[i].mirror;
        const GuestConfig *const to = mirror.empty() ? nullptr : config.find(mirror);
        if (!mirror.empty() && (to == nullptr || !to->capture)) {
            Reader reader{*guests->get(i)->as_table(), origin, "[[guest]]"};
            reader.complain_at("mirror", "'" + mirror + "' is no [[guest]] with capture = true");
            return reader.error();
        }
    }
    return std::nullopt;
}

} // namespace

bool Config::needs_clock() const noexcept
{
    return std::ranges::any_of(
        guests, [](const GuestConfig &guest) { return guest.rate_mbit != 0 || guest.storm != 0; });
}

std::optional<rvs::PortId> Config::fixed_port(const GuestConfig &guest) const noexcept
{
    std::uint32_t port = RVIF_MAX_PORTS;
    for (const GuestConfig &other : guests) {
        port -= other.capture ? 1 : 0;
        if (&other == &guest) {
            return guest.capture ? std::optional{rvs::PortId{port}} : std::nullopt;
        }
    }
    return std::nullopt;
}

std::optional<rvs::PortId> Config::free_port(const GuestConfig &guest,
                                             std::uint64_t open) const noexcept
{
    const auto is_free = [&](std::uint32_t port) { return (open >> port & 1) == 0; };
    if (const auto fixed = fixed_port(guest)) {
        return is_free(static_cast<std::uint32_t>(*fixed)) ? fixed : std::nullopt;
    }
    const auto captures =
        static_cast<std::uint32_t>(std::ranges::count(guests, true, &GuestConfig::capture));
    for (std::uint32_t port = 0; port + captures < RVIF_MAX_PORTS; ++port) {
        if (is_free(port)) {
            return rvs::PortId{port};
        }
    }
    return std::nullopt;
}

std::optional<rvs::PortId> Config::capture_port(std::uint64_t open) const noexcept
{
    const auto captures =
        static_cast<std::uint32_t>(std::ranges::count(guests, true, &GuestConfig::capture));
    for (std::uint32_t port = RVIF_MAX_PORTS - captures; port-- != 0;) {
        if ((open >> port & 1) == 0) {
            return rvs::PortId{port};
        }
    }
    return std::nullopt;
}

rvs::PortOptions Config::options(const GuestConfig &guest) const
{
    constexpr std::uint64_t bytes_per_mbit = 125'000;
    rvs::PortOptions out;
    out.label = guest.label.c_str();
    out.mac = guest.mac;
    out.max_tx_queues = guest.tx_queues;
    out.native_vlan = guest.native;
    out.trunk = guest.trunk.data();
    out.trunk_count = guest.trunk.size();
    out.isolated = guest.isolated;
    out.own_macs_only = !guest.macs.empty();
    std::ranges::copy(guest.macs, out.macs);
    out.mac_limit = guest.mac_limit;
    out.rate_bytes = guest.rate_mbit * bytes_per_mbit;
    // Without a word on bursts: what comes in 10 ms.
    out.rate_burst =
        guest.burst_kib != 0 ? std::uint64_t{guest.burst_kib} << 10 : out.rate_bytes / 100;
    out.storm_frames = guest.storm;
    out.capture = guest.capture;
    if (const GuestConfig *const to = find(guest.mirror); to != nullptr) {
        out.mirror_to = fixed_port(*to).value_or(rvs::no_port);
    }
    return out;
}

const GuestConfig *Config::find(std::string_view label) const noexcept
{
    const auto found = std::ranges::find(guests, label, &GuestConfig::label);
    return found != guests.end() ? &*found : nullptr;
}

std::optional<std::uint64_t> parse_mac(std::string_view text)
{
    constexpr std::size_t length = 17; // 6 times two digits, 5 colons
    if (text.size() != length) {
        return std::nullopt;
    }
    std::uint64_t mac = 0;
    for (std::size_t i = 0; i < 6; ++i) {
        unsigned byte = 0;
        const char *const digits = text.data() + i * 3;
        const auto parsed = std::from_chars(digits, digits + 2, byte, 16);
        if (parsed.ec != std::errc{} || parsed.ptr != digits + 2 || (i < 5 && digits[2] != ':')) {
            return std::nullopt;
        }
        mac |= std::uint64_t{byte} << (i * 8);
    }
    return mac != 0 && (mac & 1) == 0 ? std::optional{mac} : std::nullopt;
}

std::string format_mac(std::uint64_t mac)
{
    std::string text;
    for (std::size_t i = 0; i < 6; ++i) {
        constexpr std::string_view digits = "0123456789abcdef";
        const std::uint64_t byte = mac >> (i * 8) & 0xff;
        text += i != 0 ? ":" : "";
        text += digits[byte >> 4];
        text += digits[byte & 15];
    }
    return text;
}

Result<Config> parse_config(std::string_view text, std::string_view origin)
{
    const auto parsed = apps::parse_toml(text, origin);
    if (!parsed) {
        return parsed.error();
    }
    const toml::table &root = *parsed;

    Config config;
    Reader reader{root, origin, "top level"};
    reader.allow_only({"switch", "log", "metrics", "guest"});
    using Read = std::optional<Error> (*)(const toml::table &, std::string_view, Config &);
    for (const auto &[key, read] : {std::pair<const char *, Read>{"switch", read_switch},
                                    {"log", read_log},
                                    {"metrics", read_metrics}}) {
        if (auto error = reader.table(
                key, [&](const toml::table &table) { return read(table, origin, config); })) {
            return std::move(*error);
        }
    }
    if (auto error = reader.tables(
            "guest", [&](const toml::table &table) { return read_guest(table, origin, config); })) {
        return std::move(*error);
    }
    if (reader.error()) {
        return *reader.error();
    }
    if (auto error = check_mirrors(root, origin, config)) {
        return std::move(*error);
    }
    if (config.guests.empty()) {
        return Error{elisa::make_error_code(elisa::Errc::invalid),
                     std::string{origin} + ":1: nobody is admitted: add a [[guest]] with a label"};
    }
    return config;
}

Result<GuestConfig> change_guest(const Config &config, const GuestConfig &base,
                                 std::string_view assignments,
                                 const std::vector<std::string> &defaults)
{
    constexpr std::string_view origin = "settings";
    const std::initializer_list<std::string_view> keys{"vlan",  "trunk",     "native", "isolated",
                                                       "macs",  "mac_limit", "rate",   "burst",
                                                       "storm", "mirror"};
    toml::table table;
    try {
        table = toml::parse(assignments, origin);
    } catch (const toml::parse_error &error) {
        return Error{elisa::make_error_code(elisa::Errc::invalid),
                     "settings: " + std::string{error.description()}};
    }
    for (const std::string &key : defaults) {
        if (std::ranges::find(keys, key) == keys.end()) {
            return Error{elisa::make_error_code(elisa::Errc::invalid),
                         "settings: '" + key + "' cannot be changed" +
                             apps::suggestion(key, std::span{keys.begin(), keys.size()})};
        }
    }
    Reader reader{table, origin, "port"};
    reader.allow_only(keys);
    const auto reset = [&](std::string_view key) {
        return reader.has(key) || std::ranges::find(defaults, key) != defaults.end();
    };
    GuestConfig guest = base;
    const GuestConfig none;
    if (reset("vlan") || reset("trunk")) {
        guest.native = none.native;
        guest.trunk.clear();
    }
    if (reset("native")) {
        guest.native = none.native;
    }
    if (reset("isolated")) {
        guest.isolated = none.isolated;
    }
    if (reset("macs")) {
        guest.macs.clear();
    }
    if (reset("mac_limit")) {
        guest.mac_limit = none.mac_limit;
    }
    if (reset("rate")) {
        guest.rate_mbit = none.rate_mbit;
    }
    if (reset("burst") || guest.rate_mbit == 0) {
        guest.burst_kib = none.burst_kib;
    }
    if (reset("storm")) {
        guest.storm = none.storm;
    }
    if (reset("mirror")) {
        guest.mirror.clear();
    }
    read_policy(reader, guest);
    if (const GuestConfig *const to = guest.mirror.empty() ? nullptr : config.find(guest.mirror);
        !guest.mirror.empty() && (to == nullptr || !to->capture)) {
        reader.complain_at("mirror", "'" + guest.mirror + "' is no [[guest]] with capture = true");
    }
    if (reader.error()) {
        return *reader.error();
    }
    return guest;
}

Result<Config> load_config(const std::filesystem::path &path)
{
    const auto text = apps::read_file(path);
    if (!text) {
        return text.error();
    }
    return parse_config(*text, path.string());
}

Result<Config> load_config(const ConfigSource &source)
{
    Config config;
    if (!source.file.empty()) {
        auto loaded = load_config(std::filesystem::path{source.file});
        if (!loaded) {
            return loaded;
        }
        config = std::move(*loaded);
    }
    for (const std::string &label : source.admit) {
        if (config.find(label) == nullptr) {
            config.guests.push_back({.label = label});
        }
    }
    return config;
}

} // namespace vmnet

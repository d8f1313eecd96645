// SPDX-License-Identifier: Apache-2.0
#include "config.hpp"

#include "elisa/doorbell.hpp"

#include <algorithm>
#include <array>
#include <cerrno>
#include <charconv>
#include <fstream>
#include <sstream>
#include <toml++/toml.h>

namespace vmnet {
namespace {

using elisa::Error;
using elisa::Result;

// Reads one table and remembers the first thing that is wrong with it.
class Reader {
  public:
    Reader(const toml::table &table, std::string_view origin, std::string_view where)
        : table_{table}, origin_{origin}, where_{where}
    {
    }

    void allow_only(std::initializer_list<std::string_view> keys)
    {
        for (const auto &[key, node] : table_) {
            if (std::ranges::find(keys, key.str()) == keys.end()) {
                complain(node.source(), where_ + ": unknown key '" + std::string{key.str()} + "'");
            }
        }
    }

    [[nodiscard]] std::optional<std::string> text(std::string_view key)
    {
        const toml::node *const node = table_.get(key);
        if (node == nullptr) {
            return std::nullopt;
        }
        const auto *const value = node->as_string();
        if (value == nullptr) {
            complain(node->source(), name(key) + " must be a string");
            return std::nullopt;
        }
        return value->get();
    }

    void number(std::string_view key, std::uint32_t &value, std::int64_t least, std::int64_t most)
    {
        const toml::node *const node = table_.get(key);
        if (node == nullptr) {
            return;
        }
        const auto *const given = node->as_integer();
        if (given == nullptr || given->get() < least || given->get() > most) {
            complain(node->source(), name(key) + " must be a number from " + std::to_string(least) +
                                         " to " + std::to_string(most));
            return;
        }
        value = static_cast<std::uint32_t>(given->get());
    }

    void complain_at(std::string_view key, const std::string &what)
    {
        const toml::node *const node = table_.get(key);
        complain(node != nullptr ? node->source() : table_.source(), name(key) + " " + what);
    }

    [[nodiscard]] const std::optional<Error> &error() const noexcept { return error_; }

  private:
    [[nodiscard]] std::string name(std::string_view key) const
    {
        return where_ + ": '" + std::string{key} + "'";
    }

    void complain(const toml::source_region &source, const std::string &what)
    {
        if (!error_) {
            error_ = Error{elisa::make_error_code(elisa::Errc::invalid),
                           origin_ + ":" + std::to_string(source.begin.line) + ": " + what};
        }
    }

    const toml::table &table_;
    std::string origin_;
    std::string where_;
    std::optional<Error> error_;
};

std::optional<Error> read_switch(const toml::table &table, std::string_view origin, Config &config)
{
    Reader reader{table, origin, "[switch]"};
    reader.allow_only({"export", "fdb_entries", "fdb_age", "statistics"});
    if (auto name = reader.text("export")) {
        if (const auto packed = elisa::doorbell::pack_name(*name); !packed) {
            reader.complain_at("export", "is not a name (1 to 31 letters, digits, '-', '_', '.')");
        }
        config.export_name = std::move(*name);
    }
    reader.number("fdb_entries", config.limits.fdb_entries, 64, 1 << 20);
    reader.number("fdb_age", config.limits.fdb_age_ticks, 1, 200);
    reader.number("statistics", config.statistics_seconds, 0, 86400);
    return reader.error();
}

std::optional<Error> read_guest(const toml::table &table, std::string_view origin, Config &config)
{
    Reader reader{table, origin, "[[guest]]"};
    reader.allow_only({"label", "mac", "ports", "tx_queues"});
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
    config.guests.push_back(std::move(guest));
    return reader.error();
}

} // namespace

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
    toml::table root;
    try {
        root = toml::parse(text, origin);
    } catch (const toml::parse_error &error) {
        return Error{elisa::make_error_code(elisa::Errc::invalid),
                     std::string{origin} + ":" + std::to_string(error.source().begin.line) + ": " +
                         std::string{error.description()}};
    }

    Config config;
    Reader reader{root, origin, "top level"};
    reader.allow_only({"switch", "guest"});
    if (const toml::node *const node = root.get("switch"); node != nullptr) {
        if (const auto *const table = node->as_table(); table != nullptr) {
            if (auto error = read_switch(*table, origin, config)) {
                return std::move(*error);
            }
        } else {
            reader.complain_at("switch", "must be a table: [switch]");
        }
    }
    if (const toml::node *const node = root.get("guest"); node != nullptr) {
        const auto *const guests = node->as_array();
        if (guests == nullptr || !guests->is_homogeneous<toml::table>()) {
            reader.complain_at("guest", "must be tables: [[guest]]");
        } else {
            for (const toml::node &guest : *guests) {
                if (auto error = read_guest(*guest.as_table(), origin, config)) {
                    return std::move(*error);
                }
            }
        }
    }
    if (reader.error()) {
        return *reader.error();
    }
    if (config.guests.empty()) {
        return Error{elisa::make_error_code(elisa::Errc::invalid),
                     std::string{origin} + ":1: nobody is admitted: add a [[guest]] with a label"};
    }
    return config;
}

Result<Config> load_config(const std::filesystem::path &path)
{
    std::ifstream file{path};
    if (!file) {
        return elisa::errno_error(errno, path.string());
    }
    std::ostringstream text;
    text << file.rdbuf();
    if (file.bad() || text.bad()) {
        return elisa::errno_error(EIO, path.string());
    }
    return parse_config(text.str(), path.string());
}

} // namespace vmnet

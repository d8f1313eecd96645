// SPDX-License-Identifier: Apache-2.0
#include "config.hpp"

#include "elisa/doorbell.hpp"
#include "toml_reader.hpp"

namespace kvs {
namespace {

using apps::TomlReader;
using elisa::Error;
using elisa::Result;

std::optional<Error> read_store(const toml::table &table, std::string_view origin, Config &config)
{
    TomlReader reader{table, origin, "[store]"};
    reader.allow_only({"export", "keys"});
    if (auto name = reader.text("export")) {
        if (!elisa::doorbell::pack_name(*name)) {
            reader.complain_at("export", "is not a name (1 to 31 letters, digits, '-', '_', '.')");
        }
        config.export_name = std::move(*name);
    }
    if (reader.has("keys")) {
        reader.number("keys", config.keys.emplace(0), least_keys, most_keys);
    }
    return reader.error();
}

std::optional<Error> read_guest(const toml::table &table, std::string_view origin, Config &config)
{
    TomlReader reader{table, origin, "[[guest]]"};
    reader.allow_only({"label", "namespace", "memory", "sessions"});
    GuestSpec guest;
    if (auto label = reader.text("label")) {
        guest.label = std::move(*label);
    }
    if (!elisa::doorbell::pack_name(guest.label)) {
        reader.complain_at("label", "must be given: 1 to 31 letters, digits, '-', '_' or '.'");
    }
    guest.space = reader.text("namespace").value_or(guest.label);
    if (guest.space.empty() && reader.has("namespace")) {
        reader.complain_at("namespace", "is empty: without it the guest has one of its own");
    }
    reader.number("memory", guest.memory, 0, most_memory);
    reader.number("sessions", guest.sessions, 1, KVS_MAX_PORTS);
    config.guests.push_back(std::move(guest));
    return reader.error();
}

} // namespace

Result<Config> parse_config(std::string_view text, std::string_view origin)
{
    const auto root = apps::parse_toml(text, origin);
    if (!root) {
        return root.error();
    }
    Config config;
    TomlReader reader{*root, origin, "top level"};
    reader.allow_only({"store", "guest"});
    const auto store = [&](const toml::table &table) { return read_store(table, origin, config); };
    const auto guest = [&](const toml::table &table) { return read_guest(table, origin, config); };
    if (auto error = reader.table("store", store)) {
        return std::move(*error);
    }
    if (auto error = reader.tables("guest", guest)) {
        return std::move(*error);
    }
    if (reader.error()) {
        return *reader.error();
    }
    return config;
}

Result<Config> load_config(const std::filesystem::path &path)
{
    const auto text = apps::read_file(path);
    if (!text) {
        return text.error();
    }
    return parse_config(*text, path.string());
}

} // namespace kvs

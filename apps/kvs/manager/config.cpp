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
    if (const toml::node *const node = root->get("store"); node != nullptr) {
        if (const auto *const table = node->as_table(); table == nullptr) {
            reader.complain_at("store", "must be a table: [store]");
        } else if (auto error = read_store(*table, origin, config)) {
            return std::move(*error);
        }
    }
    if (const toml::node *const node = root->get("guest"); node != nullptr) {
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

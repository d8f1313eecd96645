// SPDX-License-Identifier: Apache-2.0
// TOML files whose mistakes are named with file and line, and unknown keys with what may have been
// meant.
#pragma once

#include "elisa/error.hpp"

#include <cstdint>
#include <filesystem>
#include <initializer_list>
#include <optional>
#include <span>
#include <string>
#include <string_view>
#include <toml++/toml.h>

namespace apps {

// What somebody may have meant who wrote `key`, as the end of a sentence.
[[nodiscard]] std::string suggestion(std::string_view key, std::span<const std::string_view> known);

// Messages begin with "origin:line: ".
[[nodiscard]] elisa::Result<toml::table> parse_toml(std::string_view text, std::string_view origin);

[[nodiscard]] elisa::Result<std::string> read_file(const std::filesystem::path &path);

// Reads one table and remembers the first thing that is wrong with it.
class TomlReader {
  public:
    // origin: the file; where: the table, as in "[switch]".
    TomlReader(const toml::table &table, std::string_view origin, std::string_view where)
        : table_{table}, origin_{origin}, where_{where}
    {
    }

    void allow_only(std::initializer_list<std::string_view> keys);

    [[nodiscard]] std::optional<std::string> text(std::string_view key);
    [[nodiscard]] std::optional<std::string> one_of(std::string_view key,
                                                    std::initializer_list<std::string_view> values);
    // These leave `value` as it is if the key is not there.
    void number(std::string_view key, std::uint32_t &value, std::int64_t least, std::int64_t most);
    void flag(std::string_view key, bool &value);

    // Calls each(node) for the elements of an array.
    template <class Each>
    void list(std::string_view key, std::size_t most, const std::string &what, Each each)
    {
        const toml::node *const node = table_.get(key);
        if (node == nullptr) {
            return;
        }
        const auto *const array = node->as_array();
        if (array == nullptr || array->empty() || array->size() > most) {
            complain(node->source(),
                     name(key) + " must be a list of 1 to " + std::to_string(most) + " " + what);
            return;
        }
        for (const toml::node &element : *array) {
            if (!each(element)) {
                complain(element.source(), name(key) + " has an element that is none of " + what);
                return;
            }
        }
    }

    // [key], given to read(table), which returns an error or nothing; so does this.
    template <class Read>
    std::optional<elisa::Error> table(std::string_view key, Read read)
    {
        const toml::node *const node = table_.get(key);
        if (node == nullptr) {
            return std::nullopt;
        }
        if (const auto *const table = node->as_table(); table != nullptr) {
            return read(*table);
        }
        complain_at(key, "must be a table: [" + std::string{key} + "]");
        return std::nullopt;
    }

    // Each [[key]], likewise.
    template <class Read>
    std::optional<elisa::Error> tables(std::string_view key, Read read)
    {
        const toml::node *const node = table_.get(key);
        if (node == nullptr) {
            return std::nullopt;
        }
        const auto *const all = node->as_array();
        if (all == nullptr || !all->is_homogeneous<toml::table>()) {
            complain_at(key, "must be tables: [[" + std::string{key} + "]]");
            return std::nullopt;
        }
        for (const toml::node &one : *all) {
            if (auto error = read(*one.as_table())) {
                return error;
            }
        }
        return std::nullopt;
    }

    [[nodiscard]] bool has(std::string_view key) const { return table_.get(key) != nullptr; }

    void complain_at(std::string_view key, const std::string &what);

    [[nodiscard]] const std::optional<elisa::Error> &error() const noexcept { return error_; }

  private:
    [[nodiscard]] std::string name(std::string_view key) const;
    void complain(const toml::source_region &source, const std::string &what);

    const toml::table &table_;
    std::string origin_;
    std::string where_;
    std::optional<elisa::Error> error_;
};

} // namespace apps

// SPDX-License-Identifier: Apache-2.0
#include "toml_reader.hpp"

#include <algorithm>
#include <cerrno>
#include <fstream>
#include <numeric>
#include <sstream>
#include <vector>

namespace apps {

using elisa::Error;
using elisa::Result;

namespace {

// How many letters must be changed, added or taken away to make one of the other.
std::size_t distance(std::string_view a, std::string_view b)
{
    std::vector<std::size_t> row(b.size() + 1);
    std::iota(row.begin(), row.end(), std::size_t{0});
    for (std::size_t i = 1; i <= a.size(); ++i) {
        std::size_t before = row[0];
        row[0] = i;
        for (std::size_t j = 1; j <= b.size(); ++j) {
            const std::size_t replaced = before + (a[i - 1] != b[j - 1] ? 1 : 0);
            before = row[j];
            row[j] = std::min({row[j] + 1, row[j - 1] + 1, replaced});
        }
    }
    return row.back();
}

} // namespace

std::string suggestion(std::string_view key, std::span<const std::string_view> known)
{
    const auto nearest = std::ranges::min_element(
        known, {}, [&](std::string_view one) { return distance(key, one); });
    if (nearest != known.end() && distance(key, *nearest) <= 1 + key.size() / 4) {
        return ": did you mean '" + std::string{*nearest} + "'?";
    }
    std::string all = " (there are: ";
    for (const std::string_view one : known) {
        all += (all.back() == ' ' ? "" : ", ") + std::string{one};
    }
    return all + ")";
}

Result<toml::table> parse_toml(std::string_view text, std::string_view origin)
{
    try {
        return toml::parse(text, origin);
    } catch (const toml::parse_error &error) {
        return Error{elisa::make_error_code(elisa::Errc::invalid),
                     std::string{origin} + ":" + std::to_string(error.source().begin.line) + ": " +
                         std::string{error.description()}};
    }
}

Result<std::string> read_file(const std::filesystem::path &path)
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
    return text.str();
}

void TomlReader::allow_only(std::initializer_list<std::string_view> keys)
{
    for (const auto &[key, node] : table_) {
        if (std::ranges::find(keys, key.str()) == keys.end()) {
            complain(key.source().begin.line != 0 ? key.source() : node.source(),
                     where_ + ": unknown key '" + std::string{key.str()} + "'" +
                         suggestion(key.str(), std::span{keys.begin(), keys.size()}));
        }
    }
}

std::optional<std::string> TomlReader::text(std::string_view key)
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

std::optional<std::string> TomlReader::one_of(std::string_view key,
                                              std::initializer_list<std::string_view> values)
{
    auto given = text(key);
    if (given && std::ranges::find(values, *given) == values.end()) {
        complain_at(key, "does not know '" + *given + "'" +
                             suggestion(*given, std::span{values.begin(), values.size()}));
    }
    return given;
}

void TomlReader::number(std::string_view key, std::uint32_t &value, std::int64_t least,
                        std::int64_t most)
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

void TomlReader::flag(std::string_view key, bool &value)
{
    const toml::node *const node = table_.get(key);
    if (node == nullptr) {
        return;
    }
    if (const auto *const given = node->as_boolean(); given != nullptr) {
        value = given->get();
    } else {
        complain(node->source(), name(key) + " must be true or false");
    }
}

void TomlReader::complain_at(std::string_view key, const std::string &what)
{
    const toml::node *const node = table_.get(key);
    complain(node != nullptr ? node->source() : table_.source(), name(key) + " " + what);
}

std::string TomlReader::name(std::string_view key) const
{
    return where_ + ": '" + std::string{key} + "'";
}

void TomlReader::complain(const toml::source_region &source, const std::string &what)
{
    if (!error_) {
        error_ = Error{elisa::make_error_code(elisa::Errc::invalid),
                       origin_ + ":" + std::to_string(source.begin.line) + ": " + what};
    }
}

} // namespace apps

// SPDX-License-Identifier: Apache-2.0
// What happens in a manager: lines for people or for log collectors, and a memory of the last of
// them for whoever asks later.
#pragma once

#include "program.hpp"

#include <cstdint>
#include <deque>
#include <memory>
#include <optional>
#include <string>
#include <string_view>

namespace spdlog {
class logger;
}

namespace vmnet {

enum class Level { debug, info, warning, error };
enum class LogFormat { text, json };

[[nodiscard]] std::optional<Level> parse_level(std::string_view name);
[[nodiscard]] std::optional<LogFormat> parse_log_format(std::string_view name);

// Not thread-safe: a manager has one thread.
class Journal {
  public:
    struct Entry {
        std::uint64_t number; // from 1 on
        std::int64_t time_ms; // since 1970
        Level level;
        std::string event; // "port-opened" and the like, for programs
        std::string text;  // for people
        apps::Json fields;
    };

    Journal();
    ~Journal();

    // Lines of at least this level go to standard output; text: "vmnet: ...", json: one object.
    void configure(Level least, LogFormat format);

    // Kept whatever its level is.
    void tell(Level level, std::string_view event, std::string text,
              apps::Json fields = apps::Json::object());

    // Those that are remembered with numbers above `after`, the oldest first.
    [[nodiscard]] std::vector<const Entry *> since(std::uint64_t after) const;
    [[nodiscard]] std::uint64_t last() const { return next_ - 1; }
    [[nodiscard]] static apps::Json to_json(const Entry &entry);

    static constexpr std::size_t remembered = 1024;

  private:
    std::unique_ptr<spdlog::logger> logger_;
    LogFormat format_ = LogFormat::text;
    std::deque<Entry> entries_;
    std::uint64_t next_ = 1;
};

} // namespace vmnet

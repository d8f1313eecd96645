// SPDX-License-Identifier: Apache-2.0
#include "journal.hpp"

#include <array>
#include <chrono>
#include <cstdio>
#include <spdlog/logger.h>
#include <spdlog/sinks/stdout_sinks.h>

namespace vmnet {
namespace {

constexpr std::array<std::string_view, 4> level_names{"debug", "info", "warning", "error"};

std::string_view name(Level level)
{
    return level_names[static_cast<std::size_t>(level)];
}

spdlog::level::level_enum spd(Level level)
{
    switch (level) {
    case Level::debug:
        return spdlog::level::debug;
    case Level::info:
        return spdlog::level::info;
    case Level::warning:
        return spdlog::level::warn;
    case Level::error:
        break;
    }
    return spdlog::level::err;
}

} // namespace

std::optional<Level> parse_level(std::string_view text)
{
    for (std::size_t i = 0; i < level_names.size(); ++i) {
        if (level_names[i] == text) {
            return static_cast<Level>(i);
        }
    }
    return std::nullopt;
}

std::optional<LogFormat> parse_log_format(std::string_view text)
{
    return text == "text"   ? std::optional{LogFormat::text}
           : text == "json" ? std::optional{LogFormat::json}
                            : std::nullopt;
}

Journal::Journal()
    : logger_{std::make_unique<spdlog::logger>("vmnet",
                                               std::make_shared<spdlog::sinks::stdout_sink_st>())}
{
    logger_->flush_on(spdlog::level::trace);
    configure(Level::info, LogFormat::text);
}

Journal::~Journal() = default;

void Journal::configure(Level least, LogFormat format)
{
    format_ = format;
    logger_->set_level(spd(least));
    logger_->set_pattern("%v");
}

void Journal::tell(Level level, std::string_view event, std::string text, apps::Json fields)
{
    using namespace std::chrono;
    const auto now = duration_cast<milliseconds>(system_clock::now().time_since_epoch()).count();
    entries_.push_back(
        Entry{next_++, now, level, std::string{event}, std::move(text), std::move(fields)});
    if (entries_.size() > remembered) {
        entries_.pop_front();
    }
    const Entry &entry = entries_.back();
    if (!logger_->should_log(spd(level))) {
        return;
    }
    if (format_ == LogFormat::json) {
        logger_->log(spd(level), "{}",
                     to_json(entry).dump(-1, ' ', false, apps::Json::error_handler_t::replace));
    } else if (level == Level::info || level == Level::debug) {
        logger_->log(spd(level), "vmnet: {}", entry.text);
    } else {
        logger_->log(spd(level), "vmnet: {}: {}", name(level), entry.text);
    }
}

std::vector<const Journal::Entry *> Journal::since(std::uint64_t after) const
{
    std::vector<const Entry *> found;
    for (const Entry &entry : entries_) {
        if (entry.number > after) {
            found.push_back(&entry);
        }
    }
    return found;
}

apps::Json Journal::to_json(const Entry &entry)
{
    apps::Json out{{"number", entry.number},
                   {"time_ms", entry.time_ms},
                   {"level", name(entry.level)},
                   {"event", entry.event},
                   {"message", entry.text}};
    for (const auto &[key, value] : entry.fields.items()) {
        out[key] = value;
    }
    return out;
}

} // namespace vmnet

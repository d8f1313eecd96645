// SPDX-License-Identifier: Apache-2.0
#include "control.hpp"

#include <charconv>
#include <cstdarg>
#include <cstdio>
#include <iostream>
#include <sstream>
#include <stdexcept>

namespace traffic {

std::uint64_t Command::get(const std::string &key, std::uint64_t otherwise, std::uint64_t low,
                           std::uint64_t high) const
{
    const auto found = values.find(key);
    const std::uint64_t value = found == values.end() ? otherwise : found->second;
    if (value < low || value > high) {
        throw std::runtime_error{key + "=" + std::to_string(value) + ": want " +
                                 std::to_string(low) + " to " + std::to_string(high)};
    }
    return value;
}

Command parse_command(const std::string &text)
{
    std::istringstream words{text};
    Command command;
    words >> command.verb;
    for (std::string word; words >> word;) {
        const std::size_t equals = word.find('=');
        std::uint64_t value = 0;
        const char *end = word.data() + word.size();
        if (equals == std::string::npos ||
            std::from_chars(word.data() + equals + 1, end, value).ptr != end) {
            throw std::runtime_error{"'" + word + "': want key=number"};
        }
        command.values[word.substr(0, equals)] = value;
    }
    return command;
}

Control::Control() : reader_{[this] { read(); }} {}

Control::~Control()
{
    reader_.join();
}

void Control::read()
{
    for (std::string text; std::getline(std::cin, text);) {
        const std::lock_guard lock{mutex_};
        if (text == "stop") {
            stop_ = true;
        } else {
            lines_.push_back(text);
        }
        arrived_.notify_one();
    }
    const std::lock_guard lock{mutex_};
    ended_ = true;
    stop_ = true;
    arrived_.notify_one();
}

std::optional<Command> Control::next()
{
    std::unique_lock lock{mutex_};
    arrived_.wait(lock, [this] { return ended_ || !lines_.empty(); });
    if (lines_.empty()) {
        return std::nullopt;
    }
    Command command = parse_command(lines_.front());
    lines_.pop_front();
    // A `stop` that came after this command is for it.
    stop_ = ended_;
    return command;
}

void answer(const char *format, ...)
{
    std::va_list arguments;
    va_start(arguments, format);
    std::vprintf(format, arguments);
    va_end(arguments);
    std::putchar('\n');
    std::fflush(stdout);
}

} // namespace traffic

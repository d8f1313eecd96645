// SPDX-License-Identifier: Apache-2.0
// Commands from standard input, one a line: a verb and key=value pairs. `stop` ends what is going
// on, the end of the input ends the program. Answers are JSON, one object a line.
#pragma once

#include <atomic>
#include <condition_variable>
#include <cstdint>
#include <deque>
#include <map>
#include <mutex>
#include <optional>
#include <string>
#include <thread>

namespace traffic {

struct Command {
    std::string verb;
    std::map<std::string, std::uint64_t> values;

    // Throws std::runtime_error outside [low, high].
    [[nodiscard]] std::uint64_t get(const std::string &key, std::uint64_t otherwise,
                                    std::uint64_t low, std::uint64_t high) const;
};

// Throws std::runtime_error with what is wrong.
Command parse_command(const std::string &text);

class Control {
  public:
    Control();
    ~Control();
    Control(const Control &) = delete;
    Control &operator=(const Control &) = delete;

    // Sleeps until there is one; nothing when the input has ended.
    std::optional<Command> next();
    // To be looked at by a loop that runs.
    [[nodiscard]] bool stopped() const { return stop_.load(std::memory_order_relaxed); }

  private:
    void read();

    std::mutex mutex_;
    std::condition_variable arrived_;
    std::deque<std::string> lines_;
    bool ended_ = false;
    std::atomic<bool> stop_{false};
    std::thread reader_;
};

// One line of JSON, flushed.
[[gnu::format(printf, 1, 2)]] void answer(const char *format, ...);

} // namespace traffic

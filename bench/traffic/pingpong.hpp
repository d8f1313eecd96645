// SPDX-License-Identifier: Apache-2.0
// One frame there and back, again and again.
#pragma once

#include "ports.hpp"

#include <cstdint>
#include <vector>

namespace traffic {

// Sends a frame, waits for its answer, keeps the time.
class Ping {
  public:
    Ping(const Ports &ports, std::uint32_t size);
    ~Ping();
    Ping(const Ping &) = delete;
    Ping &operator=(const Ping &) = delete;

    void step();
    void forget(); // the times so far
    // Sorted, nanoseconds.
    [[nodiscard]] std::vector<std::uint32_t> times() const;
    [[nodiscard]] std::uint64_t lost() const { return lost_; }

  private:
    void send();

    const Ports &ports_;
    std::uint32_t size_;
    std::uint64_t sequence_ = 0;
    std::uint64_t sent_at_ = 0; // 0: none is on its way
    std::uint64_t patience_;
    std::uint64_t lost_ = 0;
    std::vector<std::uint32_t> ticks_;
};

// Sends back what comes, addresses swapped.
void pong(const Ports &ports, std::uint32_t size);

} // namespace traffic

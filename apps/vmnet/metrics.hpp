// SPDX-License-Identifier: Apache-2.0
// Counters for Prometheus: its text format over HTTP, GET /metrics, on this machine only.
#pragma once

#include "capture.hpp"
#include "control/listener.hpp"
#include "ports.hpp"

#include <chrono>
#include <list>
#include <string>

namespace vmnet {

[[nodiscard]] std::string prometheus_text(const std::string &backend, const Ports &ports,
                                          const Capture &capture);

class Metrics {
  public:
    Metrics(control::Listener listener, std::string backend, const Ports &ports,
            const Capture &capture)
        : listener_{std::move(listener)}, backend_{std::move(backend)}, ports_{ports}, capture_{
                                                                                           capture}
    {
    }

    using Clock = std::chrono::steady_clock;

    void wait_for(std::vector<pollfd> &fds) const;
    void work(Clock::time_point now = Clock::now());

    static constexpr std::size_t most_requests = 16;
    static constexpr std::chrono::seconds patience{10}; // for a request and who reads the answer

  private:
    struct Request {
        control::Peer peer;
        Clock::time_point deadline;
        bool answered = false;
    };

    void move_on(Clock::time_point now);
    [[nodiscard]] std::string answer(const std::string &head) const;

    control::Listener listener_;
    std::string backend_;
    const Ports &ports_;
    const Capture &capture_;
    std::list<Request> requests_;
};

} // namespace vmnet

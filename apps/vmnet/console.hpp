// SPDX-License-Identifier: Apache-2.0
// Where a manager is looked at and told what to do while it runs: its journal, the control socket,
// the counters for Prometheus, the configuration read again. Both backends' loops have one.
#pragma once

#include "capture.hpp"
#include "control/server.hpp"
#include "journal.hpp"
#include "metrics.hpp"
#include "ports.hpp"
#include "reload.hpp"

#include <chrono>
#include <memory>
#include <optional>
#include <span>
#include <vector>

struct pollfd;

namespace vmnet {

class Console {
  public:
    explicit Console(Journal &to) : journal{to} {}

    // control: path of the Unix socket; "none": there is none.
    elisa::Result<void> open(const std::string &control, control::About about,
                             rvs::Switch &rvs_switch, Ports &ports,
                             std::span<std::byte> capture_memory);

    // Sleeps until somebody asks something, one of `others` is ready (which is in their revents),
    // or `most` has passed.
    void wait(std::span<pollfd> others, std::chrono::microseconds most);
    void work();
    // As SIGHUP asks for.
    void reload();

    Journal &journal;

  private:
    std::optional<Capture> capture_;
    std::optional<Reloader> reloader_;
    std::unique_ptr<control::Server> control_;
    std::unique_ptr<Metrics> metrics_;
};

} // namespace vmnet

// SPDX-License-Identifier: Apache-2.0
// The calling thread, kept on one CPU for a while.
#pragma once

#include "elisa/error.hpp"

#include <sched.h>
#include <utility>
#include <vector>

namespace elisa {

// Where the calling thread may run, be it online at the moment or not.
[[nodiscard]] Result<std::vector<int>> allowed_cpus();

// When it goes, on the same thread, that one may run where it could before.
class Pinned {
  public:
    [[nodiscard]] static Result<Pinned> to(int cpu);
    // To the one that it is on.
    [[nodiscard]] static Result<Pinned> here();

    Pinned(Pinned &&other) noexcept : before_{other.before_}, cpu_{std::exchange(other.cpu_, none)}
    {
    }
    Pinned &operator=(Pinned &&) = delete;
    ~Pinned();

    [[nodiscard]] int cpu() const noexcept { return cpu_; }

  private:
    static constexpr int none = -1;
    Pinned(const cpu_set_t &before, int cpu) noexcept : before_{before}, cpu_{cpu} {}

    cpu_set_t before_;
    int cpu_;
};

} // namespace elisa

// SPDX-License-Identifier: Apache-2.0
// A switch that answers what a test has told it to.
#pragma once

#include "backend.hpp"
#include "elisa_abi.h"
#include "rvs/rvif.h"

#include <algorithm>
#include <deque>
#include <functional>
#include <map>
#include <sched.h>
#include <vector>

namespace rvif::test {

class FakeSwitch final : public Backend {
  public:
    std::map<std::uint64_t, std::deque<CallResult>> answers; // by operation; then: 0
    std::vector<std::uint64_t> calls;                        // operations, in order
    std::function<void()> at_each_call = [] {};
    bool is_alive = true;
    int owner = -1; // the CPU that has claimed all; -1: nobody

    int add_region(std::span<const Segment>, std::string &) override { return regions_++; }
    void remove_region(int) override {}
    CallResult call(std::uint64_t op, std::uint64_t, std::uint64_t, std::uint64_t) noexcept override
    {
        at_each_call();
        calls.push_back(op);
        if (owner != -1 && ::sched_getcpu() != owner) {
            return {.status = 0, .value = -RVIF_E_BUSY};
        }
        std::deque<CallResult> &left = answers[op];
        if (left.empty()) {
            return {.status = 0, .value = 0};
        }
        const CallResult answer = left.front();
        left.pop_front();
        return answer;
    }
    [[nodiscard]] bool alive() const noexcept override { return is_alive; }
    [[nodiscard]] std::string explain(std::int64_t status) const override
    {
        return "cut short: " + std::to_string(status);
    }

    [[nodiscard]] std::size_t count(std::uint64_t op) const
    {
        return static_cast<std::size_t>(std::count(calls.begin(), calls.end(), op));
    }

  private:
    int regions_ = 0;
};

inline constexpr CallResult cut{.status = -ELISA_E_INTERRUPTED, .value = 0};
inline constexpr CallResult busy{.status = 0, .value = -RVIF_E_BUSY};

} // namespace rvif::test

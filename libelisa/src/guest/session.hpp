// SPDX-License-Identifier: Apache-2.0
// What an attachment and its regions share: the handle, and what must outlive the last crossing.
#pragma once

#include "elisa/error.hpp"
#include "elisa/unique_fd.hpp"
#include "entry_page.hpp"

#include <algorithm>
#include <chrono>
#include <cstddef>
#include <cstdint>
#include <memory>
#include <optional>
#include <string>
#include <sys/types.h>
#include <thread>

namespace elisa::detail {

// The stack at which a vCPU arrives after an abort. The landing replaces it with its first
// instruction; it is there for a signal that comes in between.
class AbortStacks {
  public:
    [[nodiscard]] static Result<AbortStacks> allocate(std::size_t count);

    AbortStacks() noexcept = default;
    AbortStacks(AbortStacks &&other) noexcept
        : base_{std::exchange(other.base_, nullptr)}, count_{std::exchange(other.count_, 0)}
    {
    }
    AbortStacks &operator=(AbortStacks &&other) noexcept
    {
        std::swap(base_, other.base_);
        std::swap(count_, other.count_);
        return *this;
    }
    ~AbortStacks();

    [[nodiscard]] std::size_t count() const noexcept { return count_; }
    [[nodiscard]] std::uint64_t top(std::size_t index) const noexcept;

  private:
    static constexpr std::size_t stack_size = std::size_t{64} * 1024;

    std::byte *base_ = nullptr;
    std::size_t count_ = 0;
};

class Session {
  public:
    Session() noexcept;
    Session(const Session &) = delete;
    Session &operator=(const Session &) = delete;
    ~Session();

    // False after a detach, and in a fork's child, whose parent the attachment belongs to.
    [[nodiscard]] bool live() const noexcept;
    Result<void> detach();

    UniqueFd lock;
    std::shared_ptr<EntryPage> entry_page;
    AbortStacks abort_stacks;
    std::string export_name;
    std::optional<std::uint64_t> handle;
    std::chrono::milliseconds timeout{};

  private:
    pid_t owner_;
};

// Why the manager refused: its verdict, an ELISA_E*.
[[nodiscard]] inline Error refusal(std::uint64_t verdict, const std::string &what)
{
    const auto code = static_cast<std::int64_t>(verdict);
    return abi_error(code > 0 && code < 256 ? -code : -std::int64_t{ELISA_E_REFUSED}, what);
}

// Asks again, at growing intervals up to 10 ms, until `done` says so or the time is up.
template <class Done>
[[nodiscard]] bool poll_until(std::chrono::steady_clock::time_point deadline, Done &&done)
{
    auto pause = std::chrono::microseconds{50};
    while (!done()) {
        if (std::chrono::steady_clock::now() >= deadline) {
            return false;
        }
        std::this_thread::sleep_for(pause);
        pause = std::min(pause * 2, std::chrono::microseconds{10'000});
    }
    return true;
}

} // namespace elisa::detail

// SPDX-License-Identifier: Apache-2.0
// What became of the frames of one direction.
#pragma once

#include <array>
#include <atomic>
#include <cstddef>
#include <cstdint>
#include <string_view>

namespace uplink {

// Written by the loop alone; read by telemetry meanwhile.
class Counter {
  public:
    void add(std::uint64_t n) noexcept { value_.store(get() + n, std::memory_order_relaxed); }
    [[nodiscard]] std::uint64_t get() const noexcept
    {
        return value_.load(std::memory_order_relaxed);
    }

  private:
    std::atomic<std::uint64_t> value_{0};
};

enum class Drop : std::size_t {
    link_down,   // the other side has no link
    no_room,     // the other side's queue is full
    too_long,    // for the other side's MTU
    bad_offload, // headers do not fit what is to be done to the frame
    refused,     // the kernel or the driver does not take it
    truncated,   // longer than what was there to read it into
    service_tag, // 802.1ad, which the switch does not know
    count
};

constexpr std::array<std::string_view, static_cast<std::size_t>(Drop::count)> drop_names{
    "link_down", "no_room", "too_long", "bad_offload", "refused", "truncated", "service_tag"};

// received = sent + drops: each frame that is read is in exactly one of them.
struct Counters {
    Counter received;
    Counter received_bytes;
    Counter sent;
    Counter sent_bytes;
    std::array<Counter, static_cast<std::size_t>(Drop::count)> drops;
    // Frames that never came to be read: the kernel's queue was full.
    Counter overrun;

    void drop(Drop why, std::uint64_t n = 1) noexcept
    {
        drops[static_cast<std::size_t>(why)].add(n);
    }
};

} // namespace uplink

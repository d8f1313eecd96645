// SPDX-License-Identifier: Apache-2.0
// What follows the answer to a "capture" request on the control socket: records, little endian.
#pragma once

#include <cstdint>

namespace vmnet::control {

enum class RecordKind : std::uint32_t {
    frame = 1, // `length` bytes of a frame follow
    counts = 2,
};

struct Record {
    RecordKind kind;
    std::uint32_t length;  // bytes that follow
    std::uint64_t time_ns; // since 1970, when the manager fetched it
    std::uint64_t
        a; // frame: 1 if the port sent it, 0 if it was sent to the port; counts: lost by the switch
    std::uint64_t b; // frame: the port whose frame it is; counts: lost because the reader was slow
};
static_assert(sizeof(Record) == 32);

// A request, and an answer, is one line of JSON of at most so many bytes.
inline constexpr std::uint32_t longest_request = 65536;

} // namespace vmnet::control

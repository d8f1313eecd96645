// SPDX-License-Identifier: Apache-2.0
// What the witness next door and those that it watches say to each other, by the nop export.
#pragma once

#include <cstdint>

// Added to the image's counter when a campaign is over: the witness may go.
inline constexpr std::uint64_t end_of_campaign = std::uint64_t{1} << 56;

// The note in which the witness leaves the handle of its attachment, for others to try.
inline constexpr std::uint64_t witness_handle_note = 0;
// And the address of its region in the sub context.
inline constexpr std::uint64_t witness_region_note = 1;

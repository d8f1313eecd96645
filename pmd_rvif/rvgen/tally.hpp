// SPDX-License-Identifier: Apache-2.0
// What one side counts of one flow, and what the NIC next to it dropped meanwhile.
#pragma once

#include "rvs/names.h"
#include "rvs/rvif.h"

#include <array>
#include <cstddef>
#include <cstdint>
#include <cstdlib>
#include <cstring>
#include <memory>

namespace rvgen {

// Drops by name: the switch's reasons, then those of the driver and of ourselves.
inline constexpr const char *local_drops[] = {"rx_bad_length",   "rx_oversize", "rx_not_scattered",
                                              "tx_bad_length",   "tx_empty",    "tx_call_aborted",
                                              "tx_call_refused", "echo_full"};
inline constexpr std::size_t echo_full = RVIF_DROP_REASONS + std::size(local_drops) - 1;
inline constexpr std::size_t drop_kinds = RVIF_DROP_REASONS + std::size(local_drops);

inline const char *drop_name(std::size_t kind)
{
    return kind < RVIF_DROP_REASONS ? rvif_drop_name(static_cast<unsigned>(kind))
                                    : local_drops[kind - RVIF_DROP_REASONS];
}
// Whether the frames it counts were on their way to the port (rather than from it).
inline bool drop_of_receiver(std::size_t kind)
{
    return kind <= RVIF_DROP_RX_BAD_BUFFER ||
           (kind >= RVIF_DROP_REASONS && std::strncmp(drop_name(kind), "rx_", 3) == 0);
}

using Drops = std::array<std::uint64_t, drop_kinds>;

// Travels in a bye_report.
struct Tally {
    char name[24];
    std::uint64_t received;
    std::uint64_t verified;
    std::uint64_t corrupted;
    std::uint64_t duplicated;
    std::uint64_t answered;
    Drops drops;
};

// Which sequence numbers have been seen.
class Seen {
  public:
    void reset(std::uint64_t count)
    {
        count_ = count;
        bits_.reset(static_cast<std::uint64_t *>(std::calloc(count / 64 + 1, 8)));
    }
    [[nodiscard]] bool in_range(std::uint64_t sequence) const
    {
        return bits_ != nullptr && sequence < count_;
    }
    // False: it was there before.
    bool insert(std::uint64_t sequence)
    {
        std::uint64_t &word = bits_.get()[sequence / 64];
        const std::uint64_t bit = std::uint64_t{1} << (sequence % 64);
        const bool fresh = (word & bit) == 0;
        word |= bit;
        return fresh;
    }

  private:
    struct Free {
        void operator()(std::uint64_t *bits) const { std::free(bits); }
    };
    std::uint64_t count_ = 0;
    std::unique_ptr<std::uint64_t, Free> bits_;
};

} // namespace rvgen

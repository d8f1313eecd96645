// SPDX-License-Identifier: Apache-2.0
// The control path's calls of the switch: one that is cut short is done again. Each of the switch's
// operations but RVIF_OP_TX may be.
#pragma once

#include "backend.hpp"
#include "rvs/rvif.h"

#include <cstdint>
#include <span>

namespace rvif {

// status != 0: it was cut short again and again, or the switch is out of reach for good.
CallResult control_call(Backend &backend, std::uint64_t op, std::uint64_t a1 = 0,
                        std::uint64_t a2 = 0) noexcept;

[[nodiscard]] inline bool is_busy(const CallResult &result)
{
    return result.status == 0 && result.value == -RVIF_E_BUSY;
}
// From one of these CPUs after the other, while it is busy: what a call that was cut short has
// claimed is its CPU's, and the thread may have been moved since.
CallResult call_from_each(std::span<const int> cpus, Backend &backend, std::uint64_t op,
                          std::uint64_t a1 = 0, std::uint64_t a2 = 0) noexcept;

struct Stopped {
    // No call of a peer can be filling the port's buffers any more: the switch has said so, or it
    // is gone and with it its view of this memory.
    bool quiet;
    CallResult last;
};
// Asks the switch to stop the port until it has. Gives up after some seconds: a peer has stopped
// inside the switch (frozen, not killed), or each call is cut short.
Stopped stop_port(Backend &backend) noexcept;

} // namespace rvif

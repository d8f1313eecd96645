// SPDX-License-Identifier: Apache-2.0
// The control path's calls of the switch: one that is cut short is done again. Each of the switch's
// operations but RVIF_OP_TX may be.
#pragma once

#include "backend.hpp"

#include <cstdint>
#include <sched.h>

namespace rvif {

// status != 0: it was cut short again and again, or the switch is out of reach for good.
CallResult control_call(Backend &backend, std::uint64_t op, std::uint64_t a1 = 0,
                        std::uint64_t a2 = 0) noexcept;

// Where the calling thread may run.
struct Cpus {
    cpu_set_t set;
};
[[nodiscard]] Cpus allowed_cpus() noexcept;
// Once from here, and while it is busy once from each of these: what a call that was cut short has
// claimed is its CPU's, and the thread may have been moved since.
CallResult call_from_any(const Cpus &cpus, Backend &backend, std::uint64_t op, std::uint64_t a1 = 0,
                         std::uint64_t a2 = 0) noexcept;

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

// SPDX-License-Identifier: Apache-2.0
// A gate that is closed (the export ended, the VM was revoked, this vCPU was never armed) answers
// VMFUNC with #UD, and the kernel answers that with SIGILL. At the entry page's VMFUNC, and nowhere
// else, that is made into what it means: a call that returns -ELISA_E_DEAD.
#pragma once

#include "elisa/error.hpp"

namespace elisa::detail {

class ClosedGate {
  public:
    // Puts itself before whoever handles SIGILL.
    [[nodiscard]] static Result<void> watch();
    // Leaves, unless somebody has come before it meanwhile.
    static void leave() noexcept;
};

} // namespace elisa::detail

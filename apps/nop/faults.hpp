// SPDX-License-Identifier: Apache-2.0
#pragma once

#include "elisa/guest.hpp"
#include "program.hpp"

namespace nop {

// Every misbehaviour of the faults image, each followed by a call that must work. "failed" names
// those that did not come back as they should.
[[nodiscard]] apps::Json faults(const elisa::Attachment &attachment);

} // namespace nop

// SPDX-License-Identifier: Apache-2.0
// What the host has counted: elisa.ko in all and of each VM, KVM of each VM.
#pragma once

#include "context.hpp"

namespace elisactl {

// Null where there is no /dev/elisa, or it may not be read. Of each VM "exits" are KVM's, whatever
// their reason; null where debugfs does not say.
[[nodiscard]] Json host_counters();

// Of two looks at them.
[[nodiscard]] Json host_rates(const Json &now, const Json &before, double seconds);

void print_host_totals(const Json &host);
void print_host_rates(const Json &host);

} // namespace elisactl

// SPDX-License-Identifier: Apache-2.0
#include "elisa/pinned.hpp"

#include <cerrno>
#include <string>

namespace elisa {

Result<Pinned> Pinned::to(int cpu)
{
    // Those that are offline, too: put back without them, the thread would stay away when they have
    // come back.
    const auto allowed = allowed_cpus();
    if (!allowed) {
        return allowed.error();
    }
    cpu_set_t before;
    CPU_ZERO(&before);
    for (const int each : *allowed) {
        CPU_SET(static_cast<std::size_t>(each), &before);
    }
    cpu_set_t one;
    CPU_ZERO(&one);
    CPU_SET(static_cast<std::size_t>(cpu), &one);
    if (::sched_setaffinity(0, sizeof(one), &one) != 0) {
        return errno_error(errno, "this thread may not run on CPU " + std::to_string(cpu) +
                                      " (is it offline, or outside of a cpuset?)");
    }
    return Pinned{before, cpu};
}

Result<Pinned> Pinned::here()
{
    constexpr int tries = 4; // it may go offline in between
    for (int left = tries - 1;; --left) {
        auto pinned = to(::sched_getcpu());
        if (pinned || left == 0) {
            return pinned;
        }
    }
}

Pinned::~Pinned()
{
    if (cpu_ != none) {
        ::sched_setaffinity(0, sizeof(before_), &before_);
    }
}

} // namespace elisa

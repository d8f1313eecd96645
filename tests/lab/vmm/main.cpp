// SPDX-License-Identifier: Apache-2.0
// lab-vmm [CASE...]: on the host of the VMs, as root. Exit status 0 if nothing failed.
#include "cases.hpp"

#include <algorithm>
#include <cstdio>
#include <exception>
#include <string_view>
#include <vector>

namespace vmm {
namespace {

struct Case {
    const char *name;
    void (*play)(Report &report);
};

constexpr Case cases[] = {
    {"window", window},
    {"pins", pins},
    {"locked-limit", locked_limit},
    {"slow-memory", slow_memory},
    {"smm", smm},
    {"init-in-sub", init_in_sub},
    {"legacy-modes", legacy_modes},
    {"reset-outside", reset_outside},
    {"control-bits", control_bits},
    {"tracing", tracing},
    {"root-in-window", root_in_window},
    {"nested-state", nested_state},
    {"vector-state", vector_state},
    {"quotas", quotas},
    {"event-queue", event_queue},
};

} // namespace

void Report::expect(const char *what, bool good, const std::string &seen)
{
    failed_ += good ? 0 : 1;
    std::printf("%s %s: %s%s%s\n", good ? "ok" : "FAILED", name_, what, seen.empty() ? "" : ": ",
                seen.c_str());
    std::fflush(stdout);
}

} // namespace vmm

int main(int argc, char **argv)
{
    const std::vector<std::string_view> wanted{argv + 1, argv + argc};
    vmm::Report report;
    std::size_t played = 0;
    for (const vmm::Case &one : vmm::cases) {
        if (!wanted.empty() && std::ranges::find(wanted, one.name) == wanted.end()) {
            continue;
        }
        ++played;
        report.begin(one.name);
        try {
            one.play(report);
        } catch (const std::exception &error) {
            report.expect(error.what(), false);
        }
    }
    if (played < std::max<std::size_t>(wanted.size(), 1)) {
        std::fprintf(stderr, "lab-vmm: there is no such case; there are:");
        for (const vmm::Case &one : vmm::cases) {
            std::fprintf(stderr, " %s", one.name);
        }
        std::fprintf(stderr, "\n");
        return 2;
    }
    return report.failed() == 0 ? 0 : 1;
}

// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "probes.hpp"

#include <csignal>
#include <cstdio>
#include <sched.h>
#include <sys/wait.h>
#include <unistd.h>

namespace probes {

int signal_of(const std::function<bool()> &action)
{
    std::fflush(stdout);
    const pid_t child = ::fork();
    if (child == 0) {
        ::_exit(action() ? 0 : 1);
    }
    int status = 0;
    if (child < 0 || ::waitpid(child, &status, 0) != child) {
        return -1;
    }
    return WIFSIGNALED(status) ? WTERMSIG(status) : WEXITSTATUS(status) == 0 ? 0 : -1;
}

void vmfunc(std::uint32_t leaf, std::uint32_t index)
{
    __asm__ volatile("vmfunc" ::"a"(leaf), "c"(index) : "memory");
}

bool stay_on(int cpu)
{
    cpu_set_t set;
    CPU_ZERO(&set);
    CPU_SET(cpu, &set);
    return ::sched_setaffinity(0, sizeof(set), &set) == 0;
}

bool sub_is_closed(const elisa::Attachment &attachment)
{
    const auto before = attachment.stats();
    const int signal = signal_of([&] {
        vmfunc(0, static_cast<std::uint32_t>(attachment.sub_index()));
        return true;
    });
    const auto after = attachment.stats();
    return signal == SIGILL && before && after && before->aborts == after->aborts;
}

} // namespace probes

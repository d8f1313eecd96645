// SPDX-License-Identifier: Apache-2.0
#include "probes.hpp"

#include <cstdio>
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

} // namespace probes

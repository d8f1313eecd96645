// SPDX-License-Identifier: Apache-2.0
#include "closed_gate.hpp"

#include "elisa_abi.h"

#include <cerrno>
#include <signal.h>
#include <ucontext.h>

namespace elisa::detail {
namespace {

constexpr greg_t vmfunc_rip = static_cast<greg_t>(ELISA_GATE_VA + ELISA_ENTRY_OFF - 3);
constexpr greg_t landing_rip = static_cast<greg_t>(ELISA_GATE_VA + ELISA_LANDING_OFF);

struct sigaction previous;

// Async-signal-safe: touches the interrupted registers and nothing else.
void on_sigill(int number, siginfo_t *info, void *context)
{
    auto *const registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
    if (registers[REG_RIP] == vmfunc_rip) {
        registers[REG_RAX] = -ELISA_E_DEAD;
        registers[REG_RDX] = 0;
        registers[REG_RIP] = landing_rip;
    } else if ((previous.sa_flags & SA_SIGINFO) != 0) {
        previous.sa_sigaction(number, info, context);
    } else if (previous.sa_handler != SIG_DFL && previous.sa_handler != SIG_IGN) {
        previous.sa_handler(number);
    } else {
        // The instruction runs again, and the signal takes its usual course.
        ::sigaction(SIGILL, &previous, nullptr);
    }
}

} // namespace

Result<void> ClosedGate::watch()
{
    struct sigaction action = {};
    action.sa_sigaction = on_sigill;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    if (::sigaction(SIGILL, &action, &previous) != 0) {
        return errno_error(errno, "watching for SIGILL");
    }
    return {};
}

void ClosedGate::leave() noexcept
{
    struct sigaction now = {};
    if (::sigaction(SIGILL, nullptr, &now) == 0 && (now.sa_flags & SA_SIGINFO) != 0 &&
        now.sa_sigaction == on_sigill) {
        ::sigaction(SIGILL, &previous, nullptr);
    }
}

} // namespace elisa::detail

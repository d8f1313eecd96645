// SPDX-License-Identifier: Apache-2.0
#include "faults.hpp"

#include "nop.h"

#include <array>
#include <cstdio>
#include <string>

namespace nop {
namespace {

constexpr std::uint64_t triple_fault = 2; // basic exit reason, SDM appendix C

struct Fault {
    nop_fault how;
    const char *name;
};

constexpr std::array all{
    Fault{FAULT_STRAY_READ, "stray_read"},
    Fault{FAULT_STRAY_WRITE, "stray_write"},
    Fault{FAULT_NULL_READ, "null_read"},
    Fault{FAULT_WRITE_TEXT, "write_text"},
    Fault{FAULT_WRITE_RODATA, "write_rodata"},
    Fault{FAULT_EXECUTE_DATA, "execute_data"},
    Fault{FAULT_WILD_JUMP, "wild_jump"},
    Fault{FAULT_LOW_JUMP, "low_jump"},
    Fault{FAULT_NON_CANONICAL_READ, "non_canonical_read"},
    Fault{FAULT_NON_CANONICAL_JUMP, "non_canonical_jump"},
    Fault{FAULT_UD2, "ud2"},
    Fault{FAULT_INT3, "int3"},
    Fault{FAULT_INT80, "int80"},
    Fault{FAULT_DIVIDE, "divide"},
    Fault{FAULT_HLT, "hlt"},
    Fault{FAULT_CPUID, "cpuid"},
    Fault{FAULT_SYSCALL, "syscall"},
    Fault{FAULT_DOORBELL, "doorbell"},
    Fault{FAULT_VMCALL, "vmcall"},
    Fault{FAULT_VMFUNC_DEFAULT, "vmfunc_default"},
    Fault{FAULT_VMFUNC_GATE, "vmfunc_gate"},
    Fault{FAULT_OTHER_GATE, "other_gate"},
    Fault{FAULT_VMFUNC_LEAF, "vmfunc_leaf"},
    Fault{FAULT_STACK_OVERFLOW, "stack_overflow"},
    Fault{FAULT_LOST_STACK, "lost_stack"},
    Fault{FAULT_ENDLESS_LOOP, "endless_loop"},
    Fault{FAULT_FORGED_COUNT, "forged_count"},
    Fault{FAULT_SINGLE_STEP, "single_step"},
    Fault{FAULT_READ_GATE, "read_gate"},
    Fault{FAULT_READ_LIST, "read_list"},
};
static_assert(all.size() == std::size_t{FAULT_END} - std::size_t{NOP_FAULT});

} // namespace

apps::Json faults(const elisa::Attachment &attachment)
{
    apps::Json seen = apps::Json::object();
    apps::Json failed = apps::Json::array();
    for (const Fault &fault : all) {
        std::printf("ELISA-PROGRESS fault %s\n", fault.name);
        std::fflush(stdout);
        // One's own gate is the way back; that of an attachment which is not there is closed.
        const std::uint64_t gate =
            attachment.gate_index() + (fault.how == FAULT_OTHER_GATE ? 2 : 0);
        const auto result = attachment.call(fault.how, gate);
        const auto name = elisa::abi_error_name(result.status);
        apps::Json &entry = seen[fault.name];
        entry["status"] = name.empty() ? std::to_string(result.status) : std::string{name};
        // A triple fault is a shutdown that was only just caught: nothing may come that far (I3).
        bool near_shutdown = true;
        if (const auto info = attachment.abort_info()) {
            entry["exit_reason"] = info->exit_reason;
            entry["qualification"] = info->qualification;
            near_shutdown = info->exit_reason == triple_fault;
        }
        const auto next = attachment.call(NOP_MIX, 1, 2, 3);
        // Long before the bound on wall time, which is for threads without a CPU.
        const bool endless = fault.how == FAULT_ENDLESS_LOOP || fault.how == FAULT_FORGED_COUNT;
        if (result.status >= 0 || name.empty() || near_shutdown || !next.ok() ||
            (endless && result.status != -ELISA_E_BUDGET) ||
            next.value != static_cast<std::int64_t>(nop_mix(1, 2, 3))) {
            failed.push_back(fault.name);
        }
    }
    // The ABI broken, but the call returns: the stub puts everything right.
    const auto trashed = attachment.call(NOP_TRASH);
    seen["trashed_registers"]["status"] = trashed.ok() ? "returned" : "aborted";
    if (!trashed.ok() || trashed.value != 0x7ea5) {
        failed.push_back("trashed_registers");
    }
    return {{"faults", seen}, {"failed", failed}};
}

} // namespace nop

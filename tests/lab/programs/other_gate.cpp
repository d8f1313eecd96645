// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "nop.h"
#include "probes.hpp"
#include "program.hpp"

#include <csignal>

namespace probes {

int other_gate(const std::string &export_name)
{
    const auto first = elisa::Attachment::attach(export_name, {.instance = 1});
    if (!first) {
        return apps::fail("lab-probe", first.error());
    }
    auto second = elisa::Attachment::attach(export_name, {.instance = 2});
    if (!second) {
        return apps::fail("lab-probe", second.error());
    }
    const auto works = [](const elisa::Attachment &attachment) {
        const auto result = attachment.call(NOP_NOTHING, 7);
        return result.ok() && result.value == 7;
    };
    const auto strayed = first->call(FAULT_OTHER_GATE, second->gate_index());
    const bool first_closed = sub_is_closed(*first);
    const bool second_closed = sub_is_closed(*second);
    const bool both_work = works(*first) && works(*second);
    // VMFUNC is still there, for the first one.
    const auto gate = static_cast<std::uint32_t>(second->gate_index());
    const bool detached = second->detach().has_value();
    const int gate_after_detach = signal_of([&] {
        vmfunc(0, gate);
        return true;
    });
    const bool ok = strayed.status == -ELISA_E_GATE && first_closed && second_closed && both_work &&
                    detached && gate_after_detach == SIGILL && works(*first);
    apps::print_result({{"probe", "other_gate"},
                        {"status", elisa::abi_error_name(strayed.status)},
                        {"first_closed", first_closed},
                        {"second_closed", second_closed},
                        {"signal_at_gate_of_detached", gate_after_detach},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes

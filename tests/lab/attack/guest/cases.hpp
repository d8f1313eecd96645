// SPDX-License-Identifier: Apache-2.0
// The case classes. Each plays its cases through the book.
#pragma once

#include "port.hpp"

namespace attack {

struct Scale {
    bool whole = true; // or the short subset for every day
    u64 random_calls = 1'000'000;
};

void entry_gate(const Scale &scale);       // every offset of the gate
void entry_gate_slots(const Scale &scale); // ... of a VM's other attachments
void entry_sub(const Scale &scale);        // VMFUNC(sub) before every offset of the stub
void entry_compat(const Scale &scale);     // the same from compatibility mode
void entry_index(const Scale &scale);      // every EAX and ECX
void entry_flags(const Scale &scale);      // RFLAGS, and instructions that hold events back
void entry_breakpoints(const Scale &scale);
void entry_interrupts(const Scale &scale); // the guest's timer, at each instruction
void entry_modes(const Scale &scale);      // real mode, protected mode, PAE

void space_cr3(const Scale &scale);
void space_control(const Scale &scale);  // CR0, CR4, EFER, XCR0, MSRs
void tables_in_slot(const Scale &scale); // IDT, GDT, LDT, TSS
void calls_table(const Scale &scale);
void calls_random(const Scale &scale);
void nested(const Scale &scale);
void race(const Scale &scale); // two vCPUs of one VM

} // namespace attack

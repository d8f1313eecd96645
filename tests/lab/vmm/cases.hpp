// SPDX-License-Identifier: Apache-2.0
// What a hostile VMM, or a guest with more than a guest's means, tries.
#pragma once

#include <string>

namespace vmm {

class Report {
  public:
    void begin(const char *name) { name_ = name; }
    void expect(const char *what, bool good, const std::string &seen = "");
    [[nodiscard]] int failed() const { return failed_; }

  private:
    const char *name_ = "";
    int failed_ = 0;
};

// memory.cpp
void window(Report &report);       // memory where the sub context's regions appear (I4)
void pins(Report &report);         // memory that may not be pinned
void locked_limit(Report &report); // RLIMIT_MEMLOCK
void slow_memory(Report &report);  // that takes for ever to be faulted in

// vcpu.cpp
void smm(Report &report);            // VMFUNC in system management mode; SMI in the sub
void init_in_sub(Report &report);    // INIT in the sub
void legacy_modes(Report &report);   // the guest leaves long mode
void reset_outside(Report &report);  // the VMM resets the VM
void control_bits(Report &report);   // the VMM sets CR4
void tracing(Report &report);        // PT and PEBS write wherever they are told to (I8)
void root_in_window(Report &report); // the VMM sets CR3 (I4)
void nested_state(Report &report);   // the VMM puts the vCPU into VMX operation
void vector_state(Report &report);   // XCR0 changes

// quotas.cpp
void quotas(Report &report);
void event_queue(Report &report);

} // namespace vmm

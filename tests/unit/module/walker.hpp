// SPDX-License-Identifier: Apache-2.0
// Translates an address as a CPU does that is in an EPT context: each step of the guest's page
// tables through the EPT (SDM 4.5, 29.3).
#pragma once

#include <cstdint>

struct Walked {
    enum class End : std::uint8_t {
        page,          // there is one
        ept_violation, // a VM exit: the crossing is aborted
        page_fault,    // #PF, which nobody can deliver in there
    } end;
    std::uint64_t gpa;  // of the page
    std::uint64_t host; // its address
    std::uint64_t prot; // EPT_R and so on, in the last step
};

struct GuestState {
    std::uint64_t cr3;
    bool la57;
};

[[nodiscard]] Walked walk(std::uint64_t eptp, GuestState guest, std::uint64_t address);

// SPDX-License-Identifier: Apache-2.0
// What runs in the VM, and where it lies in its memory.
#pragma once

#include <cstdint>
#include <span>

namespace vmm {

using Code = std::span<const std::uint8_t>;

// A guest-physical address below 16 MiB is also the virtual one.
namespace at {
inline constexpr std::uint64_t vectors = 0x0;       // real mode's, from INIT on
inline constexpr std::uint64_t smi_vectors = 0x400; // those that the SMI handler loads
inline constexpr std::uint64_t smi_idtr = 0x600;
inline constexpr std::uint64_t smi_count = 0x700; // SMIs in which VMFUNC was #UD
inline constexpr std::uint64_t gate = 0x710;      // the gate's index
inline constexpr std::uint64_t smi_ud = 0x800;
inline constexpr std::uint64_t reset = 0x900;
inline constexpr std::uint64_t reset_ud = 0xa00;
inline constexpr std::uint64_t legacy = 0xb00;
inline constexpr std::uint64_t tables = 0x1000; // PML4, PDPT, PD; PDPT, PD, PT of the slot
inline constexpr std::uint64_t entry_page = 0x7000;
inline constexpr std::uint64_t call = 0x8000;
inline constexpr std::uint64_t stack = 0xa000; // its top
inline constexpr std::uint64_t image = 0xb000;
inline constexpr std::uint64_t smi = 0x3'8000;   // SMBASE is 0x30000
inline constexpr std::uint64_t data = 0x20'0000; // 2 MiB to be registered
inline constexpr std::uint64_t end = 0x80'0000;
} // namespace at

inline constexpr std::uint16_t done_port =
    0x42; // an OUT there ends a stub; to the next one: VMFUNC was none

Code call_code();   // rings the doorbell
Code image_code();  // the export's: a0 rounds of nothing, then a1
Code smi_code();    // VMFUNC(gate) in SMM
Code smi_ud_code(); // it was #UD: counts, and goes back
Code reset_code();  // VMFUNC(gate) in real mode
Code reset_ud_code();
Code legacy_code(); // leaves long mode (compatibility mode, CPL 0), VMFUNC(ECX)

} // namespace vmm

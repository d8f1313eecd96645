// SPDX-License-Identifier: Apache-2.0
// The bare machine: console, page tables, descriptor tables, the second vCPU.
#pragma once

#include "cpu.hpp"
#include "elisa_abi.h"

namespace attack {

// --- console

void print(const char *text);
void print(u64 number, unsigned base = 10);
template <class... More>
void say(const More &...parts)
{
    (print(parts), ...);
    print("\n");
}
struct Hex {
    u64 value;
};
void print(Hex number);

// Ends the VM: the lab reads the status.
[[noreturn]] void finish(unsigned status);

// --- memory

namespace pte {
inline constexpr u64 present = 1, write = 2, user = 4, accessed = 0x20, dirty = 0x40, large = 0x80,
                     global = 0x100, nx = 1ull << 63;
inline constexpr u64 kernel = present | write | accessed | dirty;
inline constexpr u64 anyone = kernel | user;
} // namespace pte

inline constexpr u64 page_size = 4096;
inline constexpr u64 huge = 2ull << 20;

// Where things are in guest-physical memory; the program itself begins at 1 MiB.
inline constexpr u64 book_gpa = 0x0200'0000;   // what must outlive a reset
inline constexpr u64 tables_gpa = 0x0240'0000; // page tables and other pages given out
inline constexpr u64 region_gpa = 0x0400'0000; // registered with the export: 2 MiB
inline constexpr u64 region_len = huge;
// The ordinary pages of a user process, U=1, below 4 GiB also for compatibility mode.
inline constexpr u64 user_va = 0xc000'0000;

u64 new_page(); // zeroed; its GPA is its address
void map(u64 va, u64 gpa, u64 flags);
void unmap(u64 va);
u64 kernel_root();
// A second root with the same content; tables below are shared.
u64 copy_root();

// --- what a process has

inline constexpr u64 user_code = user_va;            // see user_code_bytes in machine.cpp
inline constexpr u64 user_doorbell = user_va;        // in (%dx), %eax; int3
inline constexpr u64 user_vmfunc = user_va + 0x10;   // vmfunc; int3
inline constexpr u64 user_compat = user_va + 0x1000; // a copy of the entry page
inline constexpr u64 user_stack = user_va + 0x4000;  // its top

namespace selector {
inline constexpr u16 kernel_code = 0x08, kernel_data = 0x10, user_data = 0x1b, user_code = 0x23,
                     compat_code = 0x2b, kernel_code32 = 0x30, kernel_code16 = 0x38, tss = 0x40,
                     ldt = 0x60;
}

// Registers as enter() takes and gives them; offsets are known to boot.S.
struct Frame {
    u64 rax, rbx, rcx, rdx, rsi, rdi, rbp, r8, r9, r10, r11, r12, r13, r14, r15;
    u64 rip, cs, rflags, rsp, ss;
    u64 vector, error; // of the exception that ended it
    u64 began;         // RIP at the start, for whoever judges; boot.S does not know it
};

struct Cpu {
    Frame *frame = nullptr; // not nullptr while a trial runs
    u64 saved_rsp = 0;
    u32 number = 0;
    u64 *gdt = nullptr;
    u64 idt = 0; // its address
    u64 tss = 0;
};

extern Cpu cpus[2];

// Descriptor tables as they should be, on this CPU.
void load_tables(Cpu &cpu);
void machine_init(Cpu &cpu);
// Runs `main` on the second vCPU.
void start_second_cpu(void (*main)());
// INIT, wherever it is; start_it_again() lets it begin with that `main` anew.
void init_second_cpu();
void start_it_again();
void send_second_cpu(u32 interrupt); // the low half of the APIC's ICR
inline constexpr u32 icr_nmi = 0x4400, icr_init = 0x4500, icr_startup = 0x4600;
extern "C" volatile u64 nmis_taken; // by whichever vCPU

extern "C" void enter(Cpu *cpu, Frame *frame);

} // namespace attack

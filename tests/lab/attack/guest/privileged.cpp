// SPDX-License-Identifier: Apache-2.0
#include "privileged.hpp"

#include "machine.hpp"

// Each ends with INT3: any other exception is a refusal.
__asm__(R"(
    .pushsection .text
attack_cr0:   mov %rbx, %cr0
    int3
attack_cr4:   mov %rbx, %cr4
    int3
attack_wrmsr: wrmsr
    int3
attack_rdmsr: rdmsr
    int3
attack_lidt:  lidt (%rbx)
    int3
attack_lgdt:  lgdt (%rbx)
    int3
attack_lldt:  lldt %bx
    int3
attack_ltr:   ltr %bx
    int3
    .popsection
)");
extern "C" const attack::u8 attack_cr0[], attack_cr4[], attack_wrmsr[], attack_rdmsr[],
    attack_lidt[], attack_lgdt[], attack_lldt[], attack_ltr[];

namespace attack::privileged {
namespace {

bool run(const u8 *code, Frame &f)
{
    alignas(16) u8 stack[64];
    f.rip = reinterpret_cast<u64>(code);
    f.cs = selector::kernel_code;
    f.ss = selector::kernel_data;
    f.rflags = flag::fixed;
    f.rsp = reinterpret_cast<u64>(stack + sizeof(stack));
    enter(&cpus[0], &f);
    return f.vector == 3;
}

bool run(const u8 *code, u64 rbx)
{
    Frame f{};
    f.rbx = rbx;
    return run(code, f);
}

} // namespace

bool cr0(u64 value)
{
    return run(attack_cr0, value);
}

bool cr4(u64 value)
{
    return run(attack_cr4, value);
}

bool wrmsr(u32 msr, u64 value)
{
    Frame f{};
    f.rcx = msr;
    f.rax = value & 0xffff'ffff;
    f.rdx = value >> 32;
    return run(attack_wrmsr, f);
}

bool rdmsr(u32 msr, u64 &value)
{
    Frame f{};
    f.rcx = msr;
    const bool good = run(attack_rdmsr, f);
    value = f.rdx << 32 | f.rax;
    return good;
}

bool lidt(const TablePointer &table)
{
    return run(attack_lidt, reinterpret_cast<u64>(&table));
}

bool lgdt(const TablePointer &table)
{
    return run(attack_lgdt, reinterpret_cast<u64>(&table));
}

bool lldt(u16 number)
{
    return run(attack_lldt, number);
}

bool ltr(u16 number)
{
    return run(attack_ltr, number);
}

} // namespace attack::privileged

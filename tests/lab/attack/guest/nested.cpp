// SPDX-License-Identifier: Apache-2.0
// From a guest of the guest: the doorbell is not answered there, VMFUNC leads nowhere; and what is
// armed and VMX do not go together (I8).
#include "cases.hpp"
#include "privileged.hpp"

extern "C" attack::u64 run_l2(attack::Frame *frame);
extern "C" const attack::u8 l2_doorbell[], l2_vmfunc[];

namespace attack {
namespace {

constexpr u64 cr4_vmxe = 1 << 13;
constexpr u32 feature_control = 0x3a, vmx_basic = 0x480;

void vmwrite(u64 field, u64 value)
{
    __asm__ volatile("vmwrite %0, %1" ::"r"(value), "r"(field) : "cc");
}

u64 vmread(u64 field)
{
    u64 value = 0;
    __asm__ volatile("vmread %1, %0" : "=r"(value) : "r"(field) : "cc");
    return value;
}

void set_control(u64 field, u32 msr, u64 wanted)
{
    const u64 allowed = cpu::rdmsr(msr);
    vmwrite(field, (wanted | (allowed & 0xffff'ffff)) & allowed >> 32);
}

// VMX on, and a VMCS whose guest is this very program, without EPT. False if something refuses.
bool vmx_on()
{
    cpu::cr0(cpu::cr0() | cr0::ne);
    if ((cpu::rdmsr(feature_control) & 5) != 5 && !privileged::wrmsr(feature_control, 5)) {
        return false;
    }
    if (!privileged::cr4(cpu::cr4() | cr4_vmxe)) {
        return false;
    }
    const u64 on = new_page();
    *reinterpret_cast<u32 *>(on) = static_cast<u32>(cpu::rdmsr(vmx_basic));
    u8 failed = 0;
    __asm__ volatile("vmxon %1; setna %0" : "=qm"(failed) : "m"(on) : "cc", "memory");
    return failed == 0;
}

void vmx_off()
{
    __asm__ volatile("vmxoff" ::: "cc", "memory");
    cpu::cr4(cpu::cr4() & ~cr4_vmxe);
}

struct Segment {
    u64 number; // of its fields
    u64 selector, access, limit, base;
};

bool enter_l2(Frame &f, const u8 *code)
{
    const u64 vmcs = new_page();
    *reinterpret_cast<u32 *>(vmcs) = static_cast<u32>(cpu::rdmsr(vmx_basic));
    __asm__ volatile("vmclear %0; vmptrld %0" ::"m"(vmcs) : "cc", "memory");
    set_control(0x4000, 0x481, 0);      // pin-based
    set_control(0x4002, 0x482, 0);      // processor-based: no I/O exiting
    set_control(0x400c, 0x483, 1 << 9); // exit: 64-bit host
    set_control(0x4012, 0x484, 1 << 9); // entry: IA-32e mode guest
    vmwrite(0x4004, 1u << 6);           // #UD exits
    vmwrite(0x2800, ~u64{0});           // no shadow VMCS
    const u64 cr0 = cpu::cr0(), cr3 = cpu::cr3(), cr4 = cpu::cr4();
    for (const u64 at : {u64{0x6800}, u64{0x6c00}}) { // guest's, host's
        vmwrite(at, cr0);
        vmwrite(at + 2, cr3);
        vmwrite(at + 4, cr4);
    }
    vmwrite(0x6004, cr0);
    vmwrite(0x6006, cr4);
    const u64 tss = cpus[0].tss, gdt = reinterpret_cast<u64>(cpus[0].gdt), idt = cpus[0].idt;
    const Segment segments[] = {
        {0, selector::kernel_data, 0xc093, ~u32{0}, 0},
        {1, selector::kernel_code, 0xa09b, ~u32{0}, 0},
        {2, selector::kernel_data, 0xc093, ~u32{0}, 0},
        {3, selector::kernel_data, 0xc093, ~u32{0}, 0},
        {4, selector::kernel_data, 0xc093, ~u32{0}, 0},
        {5, selector::kernel_data, 0xc093, ~u32{0}, 0},
        {6, 0, 0x10000, 0, 0},
        {7, selector::tss, 0x8b, 103, tss},
    };
    for (const Segment &s : segments) {
        vmwrite(0x0800 + 2 * s.number, s.selector);
        vmwrite(0x4800 + 2 * s.number, s.limit);
        vmwrite(0x4814 + 2 * s.number, s.access);
        vmwrite(0x6806 + 2 * s.number, s.base);
        if (s.number < 6) {
            vmwrite(0x0c00 + 2 * s.number, s.selector);
        }
    }
    vmwrite(0x0c0c, selector::tss);
    vmwrite(0x6c0a, tss);
    vmwrite(0x4810, 127);
    vmwrite(0x4812, 4095);
    vmwrite(0x6816, gdt);
    vmwrite(0x6818, idt);
    vmwrite(0x6c0c, gdt);
    vmwrite(0x6c0e, idt);
    vmwrite(0x681a, 0x400); // DR7
    vmwrite(0x681c, user_stack);
    vmwrite(0x681e, reinterpret_cast<u64>(code));
    vmwrite(0x6820, flag::fixed);
    return run_l2(&f) == 0;
}

Outcome complain(const char *what, u64 value)
{
    if (book.may_complain()) {
        say("FAILED ", book.class_name(), " ", book.case_number(), ": ", what, " ", Hex{value});
    }
    return Outcome::failed;
}

} // namespace

void nested(const Scale &)
{
    if ((cpu::cpuid(1).c & 1 << 5) == 0) {
        say("not run: this VM has no VMX (kvm_intel nested=1 is needed)");
        return;
    }
    // VMX while armed: refused, or the contexts are shut; a crossing afterwards is an error at
    // most.
    if (book.begin_case()) {
        Trial trial{port};
        const bool on = vmx_on();
        Frame f = port.at_offset(ELISA_ENTRY_OFF, false);
        put_vmfunc(f.rip);
        port.run(f);
        if (on) {
            vmx_off();
        }
        trial.judge(!on || aborted(f), 1, "VMXON while armed: accepted, vector", on ? 1 : 0,
                    f.vector);
    }
    // Each call, from the L2 of a VM that holds an attachment but is not armed.
    port.detach();
    Call attach{.number = ELISA_CALL_ATTACH, .r9 = own_instance};
    set_name(attach, "nop");
    ring(attach);
    const u64 handle = attach.rbx;
    if (!vmx_on()) {
        say("not run: VMX cannot be switched on");
    } else {
        for (u32 number = 0; number < 32; ++number) {
            if (!book.begin_case()) {
                continue;
            }
            Frame f{};
            f.rax = ELISA_MAGIC;
            f.rdx = ELISA_PORT;
            f.rcx = number;
            f.rbx = handle;
            f.rsi = huge;
            if (!enter_l2(f, l2_doorbell)) {
                book.end_case(complain("the L2 cannot be entered: VMX error", vmread(0x4400)));
            } else if (f.rax != 0xffff'ffff || f.rbx != handle) {
                book.end_case(complain("an L2's call was answered", f.rax));
            } else {
                book.end_case(Outcome::refused);
            }
        }
        for (u64 index = 0; index < 16; ++index) {
            if (!book.begin_case()) {
                continue;
            }
            Frame f{};
            f.rcx = index;
            if (!enter_l2(f, l2_vmfunc)) {
                book.end_case(complain("the L2 cannot be entered: VMX error", vmread(0x4400)));
            } else if (vmread(0x4402) == 18) { // it came to the VMCALL
                book.end_case(complain("an L2's VMFUNC went through", index));
            } else {
                book.end_case(Outcome::refused);
            }
        }
        vmx_off();
    }
    if (!port.attach(cpus[0], own_instance)) {
        say("FAILED ", book.class_name(), ": cannot attach again");
        finish(8);
    }
}

} // namespace attack

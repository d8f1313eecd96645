// SPDX-License-Identifier: Apache-2.0
// What a guest's kernel says about its own address space: CR3, CR0, CR4, EFER, XCR0, MSRs.
#include "cases.hpp"
#include "privileged.hpp"

namespace attack {
namespace {

u64 window_gpa()
{
    return 1ull << ((cpu::cpuid(0x8000'0008).a & 0xff) - 1);
}

// Page tables in memory that appears in the sub context, if the region lies at x of the slot: they
// lead to what the sub's own lead to, but for the counters' page, which is the region's. A crossing
// that walks them leaves evidence.
constexpr u64 forged = 0x10'0000; // in the region
u64 forge(u64 x)
{
    const u64 window = window_gpa();
    const auto page = [&](u64 number) {
        return reinterpret_cast<u64 *>(region_gpa + forged + number * page_size);
    };
    const auto sub_gpa = [&](u64 number) { return window + x + forged + number * page_size; };
    u64 *const pml4 = page(0), *const pdpt = page(1), *const pd = page(2), *const pt = page(3);
    memset(pml4, 0, 5 * page_size);
    pml4[ELISA_SLOT_PML4] = sub_gpa(1) | pte::anyone;
    for (u64 gib = 0; gib < 256; ++gib) {
        pdpt[gib] = (window + (gib << 30)) | pte::anyone | pte::large;
    }
    pdpt[ELISA_GATE_X >> 30] = sub_gpa(2) | pte::anyone;
    pd[ELISA_GATE_X >> 21 & 511] = sub_gpa(3) | pte::anyone;
    for (u64 i = 0; i < 512; ++i) {
        pt[i] = (window + (ELISA_GATE_X & ~(huge - 1)) + i * page_size) | pte::anyone;
    }
    pt[ELISA_COUNTERS_X >> 12 & 511] = sub_gpa(4) | pte::anyone;
    book.watch(region_gpa + forged + 4 * page_size);
    return sub_gpa(0);
}

// MOV to CR3 and, right after it, the VMFUNC. Nothing is fetched in the default context in between
// if its translation is global.
void cross_with_cr3(u64 root, bool lasts)
{
    constexpr u8 code[] = {0x0f, 0x22, 0xdb, 0x0f, 0x01, 0xd4}; // mov %rbx, %cr3; vmfunc
    Trial trial{port};
    lay(entry_page + ELISA_ENTRY_OFF - sizeof(code), code, sizeof(code));
    Frame f = port.at_offset(ELISA_ENTRY_OFF, true);
    f.rip = entry_page + ELISA_ENTRY_OFF - sizeof(code);
    f.rbx = root;
    port.run(f);
    cpu::cr3(kernel_root());
    // A root in the window does not last to here, unless something is very wrong.
    trial.judge(f, lasts);
}

// In the slot: where the image says, in answer to the operation, that a region is.
u64 place_of(u64 operation, u64 a1)
{
    u64 va = 0;
    if (!port.cross(operation, a1, va) || va - ELISA_WINDOW_VA >= ELISA_WINDOW_SIZE) {
        say("FAILED: the image does not tell where a region is");
        finish(11);
    }
    return va - ELISA_SLOT_BASE;
}

struct Bits {
    u64 cr0, cr4, efer;
};

// Flips the bits, crosses, flips them back.
void cross_with(const Bits &flipped, bool kernel)
{
    Trial trial{port};
    put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
    Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
    f.rsi = NOP_MIX;
    const u64 old_cr0 = cpu::cr0(), old_cr4 = cpu::cr4(), old_efer = cpu::rdmsr(msr::efer);
    // SMEP: what CPL 0 executes must not be a user's; what it comes to in the gate is.
    if (kernel && (flipped.cr4 & cr4::smep) != 0) {
        entry_page_is(pte::kernel);
    }
    bool accepted = privileged::cr4(old_cr4 ^ flipped.cr4);
    const bool pcid = (cpu::cr4() & cr4::pcide) != 0;
    accepted &= flipped.efer == 0 || privileged::wrmsr(msr::efer, old_efer ^ flipped.efer);
    accepted &= flipped.cr0 == 0 || privileged::cr0(old_cr0 ^ flipped.cr0);
    port.run(f);
    cpu::cr0(old_cr0);
    cpu::cr4(old_cr4);
    cpu::wrmsr(msr::efer, old_efer);
    entry_page_is(pte::anyone);
    if (pcid) {
        // I4 rests on it.
        trial.fail("PCID could be switched on although this vCPU is armed");
    } else {
        trial.judge(!accepted || aborted(f), 1, "flipped CR0, CR4", flipped.cr0, flipped.cr4);
    }
}

} // namespace

void space_cr3(const Scale &scale)
{
    const u64 window = window_gpa();
    entry_page_is(pte::anyone | pte::global);
    const u64 copy = copy_root();
    const auto play = [](u64 root, bool lasts) {
        if (book.begin_case()) {
            cross_with_cr3(root, lasts);
        }
    };

    // Roots that are as good as the kernel's own: flags, and every place in memory.
    for (const u64 bits : {0x0ull, 0x8ull, 0x10ull, 0x18ull, 0x1ull, 0x7ull, 0xfe7ull, 0xfffull}) {
        play(copy | bits, true);
    }
    for (u64 gpa = region_gpa; gpa < region_gpa + (scale.whole ? huge : 16 * page_size);
         gpa += page_size) {
        if (book.begin_case()) {
            memcpy(reinterpret_cast<void *>(gpa), reinterpret_cast<void *>(kernel_root()),
                   page_size);
            cross_with_cr3(gpa, true);
        }
    }
    // Bits that no CPU takes.
    for (unsigned bit = cpu::cpuid(0x8000'0008).a & 0xff; bit < 64; ++bit) {
        play(copy | 1ull << bit, false);
    }
    // The window. The default context has nothing there: the VM does not survive these.
    const auto in_window = [&](u64 x) { play(window + x, false); };
    for (const u64 x : {ELISA_GATE_PDPT_X, ELISA_SUB_PDPT_X, ELISA_LIST_X, ELISA_GATE_X}) {
        in_window(x);
    }
    const u64 own = place_of(NOP_WHERE, port.region); // another one after each reset
    if (book.begin_case()) {
        cross_with_cr3(forge(own), false);
    }
    if (scale.whole) {
        // With those above, each page of the contexts' own: gate, list, both tables, counters,
        // stack.
        in_window(ELISA_COUNTERS_X);
        for (u64 at = 0; at < ELISA_STACK_SIZE; at += page_size) {
            in_window(ELISA_STACK_X + at);
        }
        // A sample of the object's 512 pages, all of the image's first 16; of this VM's region and
        // of the witness's, 512 pages each; of what nothing is at.
        for (u64 page = 0; page < huge / page_size; page += page < 16 ? 1 : 31) {
            in_window(ELISA_OBJECT_X + page * page_size);
        }
        for (const u64 x : {own, place_of(NOP_NOTED, witness_region_note)}) {
            for (u64 page = 0; page < huge / page_size; page += 31) {
                in_window(x + page * page_size);
            }
        }
        in_window(0);
        in_window(ELISA_SLOT_SIZE - page_size);
        for (u64 gib = 1; gib < 256; gib += 16) {
            in_window(gib << 30);
        }
    }
}

void space_control(const Scale &scale)
{
    constexpr u64 cr0_bits[] = {0,       cr0::wp, cr0::am,           cr0::ne, cr0::ts,
                                cr0::mp, cr0::em, cr0::mp | cr0::ts, cr0::cd, cr0::cd | cr0::nw};
    for (const bool kernel : {false, true}) {
        for (const u64 bits0 : cr0_bits) {
            for (unsigned bit = 0; bit < 25; ++bit) {
                if (!scale.whole && bits0 != 0 && bit != 0) {
                    continue;
                }
                const u64 bits4 = bit == 24 ? 0 : 1ull << bit; // 24: none
                if (bits4 != cr4::pae && book.begin_case()) {
                    cross_with({bits0, bits4, 0}, kernel);
                }
            }
        }
        for (const u64 bits : {efer::nxe, efer::sce, efer::nxe | efer::sce, efer::lme, efer::lma}) {
            for (const u64 bits4 : {u64{0}, cr4::smep, cr4::smap, cr4::smep | cr4::smap}) {
                if (book.begin_case()) {
                    cross_with({cr0::wp, bits4, bits}, kernel);
                }
            }
        }
        for (const u32 xcr0 : {1u, 3u}) {
            if (book.begin_case()) {
                Trial trial{port};
                put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
                Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
                cpu::xsetbv(xcr0);
                port.run(f);
                cpu::xsetbv(7);
                trial.judge(f, true);
            }
        }
        struct Register {
            u32 msr;
            u64 value;
        };
        const Register registers[] = {
            {msr::pat, 0},
            {msr::pat, 0x0101'0101'0101'0101},
            {msr::pat, 0x0404'0404'0404'0404},
            {msr::pat, 0x0505'0505'0505'0505},
            {msr::pat, 0x0007'0406'0007'0406},
            {msr::debugctl, 1},
            {msr::debugctl, 2},
            {msr::debugctl, 3},
            {msr::star, 0x0023'0008'0000'0000},
            {msr::lstar, ELISA_GATE_VA + 0x107},
            {0xc000'0084 /* SFMASK */, ~u64{0} >> 32},
            {0xc000'0100 /* FS */, ELISA_SLOT_BASE + ELISA_LIST_X},
            {0xc000'0101 /* GS */, ELISA_SLOT_BASE + ELISA_LIST_X},
            {0xc000'0102 /* KERNEL_GS */, ELISA_SLOT_BASE + ELISA_LIST_X},
            {0x174 /* SYSENTER_CS */, selector::kernel_code},
            {0x175 /* SYSENTER_ESP */, ELISA_SLOT_BASE + ELISA_STACK_X},
            {0x176 /* SYSENTER_EIP */, ELISA_GATE_VA + 0x107},
            {0x600 /* DS_AREA */, ELISA_SLOT_BASE + ELISA_WINDOW_X},
            {0xda0 /* XSS */, 0x100},
            {0x38f /* PERF_GLOBAL_CTRL */, ~u64{0}},
        };
        for (const Register &r : registers) {
            if (!book.begin_case()) {
                continue;
            }
            Trial trial{port};
            put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
            Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
            f.rflags |= (r.msr == msr::debugctl ? flag::tf : 0);
            u64 old = 0;
            const bool readable = privileged::rdmsr(r.msr, old);
            const bool accepted = readable && privileged::wrmsr(r.msr, r.value);
            port.run(f);
            if (accepted) {
                cpu::wrmsr(r.msr, old);
            }
            trial.judge(!accepted || aborted(f), 1, "MSR, value", r.msr, r.value);
        }
    }
}

} // namespace attack

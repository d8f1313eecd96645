// SPDX-License-Identifier: Apache-2.0
// The CPU's descriptor tables where the slot is: whatever event comes in gate or sub must not be
// delivered through a table of the guest's (I5).
#include "cases.hpp"
#include "privileged.hpp"

namespace attack {
namespace {

enum Table : u64 { idt = 1, gdt = 2, ldt = 4, tss = 8 };

// Each is raised by the crossing itself, in the gate or in the sub, and no handler can make it
// pass: a crossing that returns as if nothing had happened ran a handler of the guest's choice.
enum class Event { device_not_available, no_xsave, single_step, smep, smap, interrupt };
constexpr Event events[] = {Event::device_not_available,
                            Event::no_xsave,
                            Event::single_step,
                            Event::smep,
                            Event::smap,
                            Event::interrupt};

// In the stub: what it returns by, RAX 0. The handler that an attacker would choose.
constexpr u64 stub_way_out = ELISA_GATE_VA + gate_exit - 10;

constexpr u64 idt_at = 0, gdt_at = 0x400, tss_at = 0x600, ldt_at = 0x700; // in a table page
constexpr u64 vectors = 32;

// A page that holds all four tables. In the default context they work as the kernel's own do.
u64 table_page(const Cpu &cpu)
{
    const u64 page = new_page();
    memcpy(reinterpret_cast<void *>(page + idt_at), reinterpret_cast<void *>(cpu.idt),
           vectors * 16);
    memcpy(reinterpret_cast<void *>(page + gdt_at), cpu.gdt, u64{16} * 8);
    memcpy(reinterpret_cast<void *>(page + tss_at), reinterpret_cast<void *>(cpu.tss), 104);
    return page;
}

// Gates for the events that do not happen in the default context: no IST, straight to the way out.
void forge(u64 page)
{
    auto *const gates = reinterpret_cast<u64 *>(page + idt_at);
    for (const u64 vector : {u64{6}, u64{7}, u64{13}, u64{14}, u64{31}}) {
        gates[2 * vector] = (stub_way_out & 0xffff) | u64{selector::kernel_code} << 16 |
                            u64{0x8e} << 40 | (stub_way_out >> 16 & 0xffff) << 48;
        gates[2 * vector + 1] = stub_way_out >> 32;
    }
}

void set_system_descriptor(u64 *entry, u64 base, u64 type, u64 limit)
{
    entry[0] = limit | (base & 0xff'ffff) << 16 | type << 40 | (base >> 24 & 0xff) << 56;
    entry[1] = base >> 32;
}

bool load(u64 which, u64 va)
{
    auto &g = cpus[0].gdt;
    bool accepted = true;
    if ((which & ldt) != 0) {
        set_system_descriptor(g + 12, va + ldt_at, 0x82, 0x7f);
        accepted &= privileged::lldt(selector::ldt);
    }
    if ((which & tss) != 0) {
        set_system_descriptor(g + 8, va + tss_at, 0x89, 103);
        accepted &= privileged::ltr(selector::tss);
    }
    if ((which & gdt) != 0) {
        accepted &= privileged::lgdt({16 * 8 - 1, va + gdt_at});
    }
    if ((which & idt) != 0) {
        accepted &= privileged::lidt({vectors * 16 - 1, va + idt_at});
    }
    return accepted;
}

void play(u64 which, u64 va, Event event, bool kernel)
{
    Trial trial{port};
    put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
    Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
    f.rsi = NOP_MIX;
    const u64 old_cr0 = cpu::cr0(), old_cr4 = cpu::cr4();
    const bool accepted = load(which, va);
    bool must_fail = true;
    switch (event) {
    case Event::device_not_available:
        cpu::cr0(old_cr0 | cr0::ts);
        break;
    case Event::no_xsave:
        cpu::cr4(old_cr4 & ~cr4::osxsave);
        break;
    case Event::single_step:
        f.rflags |= flag::tf;
        break;
    case Event::smep:
        if (kernel) {
            entry_page_is(pte::kernel);
        }
        must_fail = kernel && privileged::cr4(old_cr4 | cr4::smep);
        break;
    case Event::smap:
        must_fail = kernel && privileged::cr4(old_cr4 | cr4::smap);
        break;
    case Event::interrupt:
        must_fail = false;
        f.rflags |= flag::intr;
        f.rsi = NOP_SPIN;
        f.rdx = 400;
        cpu::wrmsr(0x80f, 0x1ff);
        cpu::wrmsr(0x832, 2 << 17 | 31);
        cpu::wrmsr(0x6e0, cpu::rdtsc() + 1500);
        break;
    }
    port.run(f);
    const u64 way_back = f.rip;
    cpu::cr4(old_cr4);
    cpu::cr0(old_cr0);
    load_tables(cpus[0]);
    entry_page_is(pte::anyone);
    if (event == Event::interrupt) {
        cpu::wrmsr(0x6e0, 0);
        drain_interrupt(f, 31);
        cpu::wrmsr(0x832, 1 << 16);
    }
    if (must_fail && landed(f) && f.rax == 0) {
        trial.fail("a handler of the guest's choice ran in the sub context");
    } else {
        trial.judge(!accepted || aborted(f), 1, "slot address, rip", va, way_back);
    }
}

} // namespace

void tables_in_slot(const Scale &scale)
{
    u64 places[64];
    u64 count = 0;
    const u64 always[] = {ELISA_WINDOW_X,
                          ELISA_GATE_X,
                          ELISA_LIST_X,
                          ELISA_GATE_PDPT_X,
                          ELISA_SUB_PDPT_X,
                          ELISA_COUNTERS_X,
                          0,
                          ELISA_SLOT_SIZE - page_size};
    for (const u64 x : always) {
        places[count++] = x;
    }
    for (u64 at = 0; scale.whole && at < ELISA_STACK_SIZE; at += page_size) {
        places[count++] = ELISA_STACK_X + at;
    }
    for (u64 at = 0; scale.whole && at < 16 * page_size; at += page_size) {
        places[count++] = ELISA_OBJECT_X + at;
    }
    const u64 tables = table_page(cpus[0]);
    memcpy(reinterpret_cast<void *>(region_gpa), reinterpret_cast<void *>(tables), page_size);
    forge(region_gpa);

    for (u64 i = 0; i < count; ++i) {
        const u64 x = places[i], va = ELISA_SLOT_BASE + x;
        if (x == ELISA_GATE_X) {
            // The entry page itself: it keeps its INT3s where there are no tables.
            memcpy(reinterpret_cast<void *>(va), reinterpret_cast<void *>(tables), u64{14} * 16);
        } else {
            map(va, x == ELISA_WINDOW_X ? region_gpa : tables, pte::anyone);
        }
        for (u64 which = 1; which < 16; ++which) {
            // The entry page has room for vectors 0 to 13 only.
            if (x == ELISA_GATE_X && which != idt) {
                continue;
            }
            for (const Event event : events) {
                for (const bool kernel : {false, true}) {
                    if (book.begin_case()) {
                        play(which, va, event, kernel);
                    }
                }
            }
        }
        if (x == ELISA_GATE_X) {
            memset(reinterpret_cast<void *>(va), 0xcc, u64{14} * 16);
        } else {
            unmap(va);
        }
    }
}

} // namespace attack

// SPDX-License-Identifier: Apache-2.0
// Where the gate and the sub context can be entered from, and how.
#include "cases.hpp"

namespace attack {
namespace {

constexpr u64 list_entry(u64 index)
{
    return ELISA_SLOT_BASE + ELISA_LIST_X + 8 * index;
}

// What is in the registers: an honest caller's; or all but RCX point at a list entry, so that a
// store through any of them, in the middle of some instruction, changes it.
enum class Registers { honest, at_gate_entry, at_sub_entry };

void point_at(Frame &f, u64 list_index)
{
    const Frame was = f;
    const u64 at = list_entry(list_index);
    for (u64 *r = &f.rax; r <= &f.r15; ++r) {
        *r = at;
    }
    f.rcx = was.rcx;
    f.rax = 0xffff'ffff'0000'0000; // leaf 0
    f.rsp = at + 8;                // for what pushes
    f.rflags |= flag::cf;          // for what adds or subtracts with carry
}

// In the displacement of the gate's CMPB: EB EE, a jump to the front door, behind which the whole
// path follows.
constexpr u64 jumps_to_front_door = ELISA_ENTRY_OFF + 0x10;

// VMFUNC(index) so that the next instruction is the one at each offset of a page.
void at_every_offset(const Scale &scale, Port &by, u64 index, u64 base, Registers registers)
{
    const bool gate = index == by.gate;
    // The short subset: the path itself, and every 16th offset elsewhere.
    const auto wanted = [&](u64 offset) {
        return scale.whole || (offset >= 0xf0 && offset < 0x1b0) || offset % 16 == 0;
    };
    for (const bool kernel : {false, true}) {
        for (u64 offset = 0; offset < page_size; ++offset) {
            if (!wanted(offset) || !book.begin_case()) {
                continue;
            }
            Trial trial{by};
            Frame f = by.at_offset(offset, kernel);
            f.rip = base + offset - 3;
            f.rcx = index;
            if (base == user_compat) {
                f.cs = kernel ? selector::kernel_code32 : selector::compat_code;
            }
            if (registers != Registers::honest) {
                point_at(f, registers == Registers::at_gate_entry ? by.gate : by.sub);
            }
            put_vmfunc(f.rip);
            by.run(f);
            const bool front_door = gate && base == entry_page &&
                                    (offset == ELISA_ENTRY_OFF || offset == jumps_to_front_door);
            trial.list_is_fixed();
            trial.judge(f, front_door && registers == Registers::honest);
        }
    }
}

// `base`: where the entry page is for the mode that the frame is in.
void at_front_door(Frame f, const u8 *before = nullptr, u64 count = 0, u64 base = entry_page)
{
    u8 code[32];
    memcpy(code, before, count);
    code[count] = 0x0f;
    code[count + 1] = 0x01;
    code[count + 2] = 0xd4;
    f.rip = base + ELISA_ENTRY_OFF - 3 - count;
    Trial trial{port};
    lay(f.rip, code, count + 3);
    port.run(f);
    cpu::dr7(0x400);
    cpu::dr6(0xffff'0ff0);
    trial.judge(f, base == entry_page);
}

// One of DR0-3: enabled, of a type and length, beside those that are set. at_front_door() clears
// them all.
void breakpoint(u64 address, u64 type, u64 length, unsigned number = 0)
{
    switch (number) {
    case 0:
        cpu::dr0(address);
        break;
    case 1:
        cpu::dr1(address);
        break;
    case 2:
        cpu::dr2(address);
        break;
    default:
        cpu::dr3(address);
    }
    cpu::dr7(cpu::dr7() | 0x400 | u64{2} << 2 * number | (type | length << 2) << (16 + 4 * number));
}

} // namespace

void entry_gate(const Scale &scale)
{
    for (const auto registers :
         {Registers::honest, Registers::at_gate_entry, Registers::at_sub_entry}) {
        at_every_offset(scale, port, port.gate, entry_page, registers);
    }
}

void entry_gate_slots(const Scale &scale)
{
    // The bytes of a gate page differ by slot. The campaign's own attachment has the first.
    static Port others[3];
    for (u64 slot = 1; slot <= 3; ++slot) {
        if (!others[slot - 1].attach(cpus[0], own_instance + slot)) {
            say("FAILED: slot ", slot, " cannot be had");
            finish(9);
        }
    }
    for (Port &other : others) {
        at_every_offset(scale, other, other.gate, entry_page, Registers::at_gate_entry);
    }
    for (Port &other : others) {
        other.detach();
    }
}

void entry_sub(const Scale &scale)
{
    at_every_offset(scale, port, port.sub, entry_page, Registers::honest);
    at_every_offset(scale, port, port.sub, entry_page, Registers::at_sub_entry);
}

void entry_compat(const Scale &scale)
{
    at_every_offset(scale, port, port.gate, user_compat, Registers::honest);
    at_every_offset(scale, port, port.gate, user_compat, Registers::at_gate_entry);
    at_every_offset(scale, port, port.sub, user_compat, Registers::honest);
}

void entry_index(const Scale &)
{
    struct Mode {
        u64 base;
        u16 code;
        bool kernel;
    };
    constexpr Mode modes[] = {{entry_page, selector::user_code, false},
                              {entry_page, selector::kernel_code, true},
                              {user_compat, selector::compat_code, false},
                              {user_compat, selector::kernel_code32, true}};
    for (const Mode &mode : modes) {
        const auto play = [&](u64 eax, u64 ecx) {
            if (!book.begin_case()) {
                return;
            }
            Frame f = port.at_offset(ELISA_ENTRY_OFF, mode.kernel);
            f.cs = mode.code;
            f.rax = eax;
            f.rcx = ecx;
            at_front_door(f, nullptr, 0, mode.base);
        };
        for (u64 eax = 0; eax <= 64; ++eax) {
            for (const u64 ecx : {u64{0}, port.gate, port.sub}) {
                play(eax, ecx);
            }
        }
        for (u64 ecx = 0; ecx <= 512; ++ecx) {
            play(0, ecx);
        }
        for (const u64 ecx : {~u64{0}, u64{0xffff'ffff}, u64{0x8000'0000}, u64{1} << 32 | port.gate,
                              u64{1} << 32 | port.sub}) {
            play(0, ecx);
        }
        for (const u64 eax : {u64{0xffff'ffff}, ~u64{0}, u64{0x8000'0000}, u64{1} << 32}) {
            play(eax, port.gate);
        }
    }
}

void entry_flags(const Scale &scale)
{
    constexpr u64 flags[] = {flag::tf,
                             flag::df,
                             flag::ac,
                             flag::nt,
                             flag::rf,
                             flag::intr,
                             flag::iopl3,
                             u64{1} << 21 /* ID */,
                             u64{1} << 19 /* VIF */,
                             u64{1} << 20 /* VIP */};
    constexpr unsigned count = sizeof(flags) / sizeof(flags[0]);
    const u64 normal = cpu::cr0();
    for (const u64 am : {u64{0}, cr0::am}) {
        for (const bool kernel : {false, true}) {
            for (u64 set = 0; set < 1u << count; set += scale.whole ? 1 : 37) {
                if (!book.begin_case()) {
                    continue;
                }
                Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
                f.rflags = flag::fixed;
                for (unsigned i = 0; i < count; ++i) {
                    f.rflags |= (set >> i & 1) != 0 ? flags[i] : 0;
                }
                f.rsi = NOP_MIX;
                cpu::cr0(normal | am);
                at_front_door(f);
                cpu::cr0(normal);
            }
        }
    }

    // What holds back a trap until after the next instruction, which is the VMFUNC.
    struct Sequence {
        u8 bytes[8];
        u8 count;
    };
    constexpr Sequence sequences[] = {
        {{0x41, 0x8e, 0xd3}, 3},                   // mov %r11w, %ss
        {{0x8e, 0x13}, 2},                         // mov (%rbx), %ss
        {{0xfb}, 1},                               // sti
        {{0xfb, 0x41, 0x8e, 0xd3}, 4},             // sti; mov %r11w, %ss
        {{0x41, 0x8e, 0xd3, 0xfb}, 4},             // mov %r11w, %ss; sti
        {{0x41, 0x8e, 0xd3, 0x41, 0x8e, 0xd3}, 6}, // twice
        {{0x8e, 0x13, 0x41, 0x8e, 0xd3}, 5},
        {{0x9c, 0x9d}, 2}, // pushf; popf: TF takes effect after the next instruction
    };
    for (const Sequence &sequence : sequences) {
        for (const bool kernel : {false, true}) {
            for (u64 tf = 0; tf < 2; ++tf) {
                for (u64 type = 0; type < 3; ++type) { // no breakpoint, on the data, on the VMFUNC
                    if (!book.begin_case()) {
                        continue;
                    }
                    Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
                    f.r11 = f.ss;
                    f.rbx = user_stack - 64;
                    *reinterpret_cast<volatile u64 *>(f.rbx) = f.ss;
                    f.rflags |= tf != 0 ? flag::tf : 0;
                    if (type == 1) {
                        breakpoint(f.rbx, 3, 0);
                    } else if (type == 2) {
                        breakpoint(entry_page + ELISA_ENTRY_OFF - 3, 0, 0);
                    }
                    at_front_door(f, sequence.bytes, sequence.count);
                }
            }
        }
    }
}

namespace {

// Every page that a gate or sub context has, and more than one place in some.
template <class Do>
void each_watched_place(Do watch)
{
    const u64 places[] = {
        ELISA_GATE_X,
        ELISA_GATE_X + ELISA_ENTRY_OFF,
        ELISA_LIST_X,
        ELISA_LIST_X + 8 * port.sub,
        ELISA_LIST_X + 8 * port.gate,
        ELISA_GATE_PDPT_X,
        ELISA_SUB_PDPT_X,
        ELISA_COUNTERS_X,
        ELISA_WINDOW_X,
        ELISA_WINDOW_X + region_len,
    };
    for (const u64 x : places) {
        watch(x);
    }
    for (u64 at = ELISA_STACK_X; at < ELISA_STACK_X + ELISA_STACK_SIZE; at += page_size) {
        watch(at + page_size - 16);
    }
    for (u64 at = 0; at < 16 * page_size; at += page_size) {
        watch(ELISA_OBJECT_X + at);
    }
}

} // namespace

void entry_breakpoints(const Scale &scale)
{
    constexpr unsigned registers = 4; // DR0-3
    constexpr u64 execute = 0, write = 1, access = 3;
    u64 armed[registers];
    const auto play = [&](unsigned first, unsigned count, u64 type, u64 length, bool kernel) {
        if (!book.begin_case()) {
            return;
        }
        Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
        f.rsi = NOP_MIX;
        for (unsigned i = 0; i < count; ++i) {
            breakpoint(armed[i], type, length, first + i);
        }
        at_front_door(f);
    };
    for (const bool kernel : {false, true}) {
        for (const u64 type : {execute, write, access}) {
            for (u64 length = 0; length < (type == execute ? 1 : 4); ++length) {
                // Each place by each register alone; then four places at a time.
                unsigned waiting = 0;
                for (unsigned number = 0; number < (scale.whole ? registers : 1); ++number) {
                    each_watched_place([&](u64 x) {
                        armed[0] = ELISA_SLOT_BASE + x;
                        play(number, 1, type, length, kernel);
                    });
                }
                each_watched_place([&](u64 x) {
                    armed[waiting++] = ELISA_SLOT_BASE + x;
                    if (waiting == registers) {
                        waiting = 0;
                        play(0, registers, type, length, kernel);
                    }
                });
            }
        }
        // The pages of the object and of the own region, four at a time.
        for (const u64 begin : {ELISA_OBJECT_X, ELISA_WINDOW_X}) {
            for (u64 at = 0; at < (scale.whole ? huge : 16 * page_size);
                 at += registers * page_size) {
                for (unsigned i = 0; i < registers; ++i) {
                    armed[i] = ELISA_SLOT_BASE + begin + at + i * page_size;
                }
                play(0, registers, access, 2 /* 8 bytes */, kernel);
            }
        }
        // At each byte of the gate and of the stub, and of the image's entry; the registers take
        // turns.
        const u64 last = scale.whole ? page_size : 0x1a0;
        for (u64 offset = scale.whole ? 0 : 0xf0; offset < last; ++offset) {
            armed[0] = entry_page + offset;
            play(offset % registers, 1, execute, 0, kernel);
        }
        for (u64 offset = 0; offset < (scale.whole ? page_size : 64); ++offset) {
            armed[0] = ELISA_OBJECT_VA + offset;
            play(offset % registers, 1, execute, 0, kernel);
        }
    }
}

void entry_interrupts(const Scale &scale)
{
    constexpr u32 lvt_timer = 0x832, tsc_deadline = 0x6e0, spurious = 0x80f;
    constexpr u64 vector = 0x31;
    cpu::wrmsr(spurious, 0x1ff);
    cpu::wrmsr(lvt_timer, 2 << 17 | vector); // TSC-deadline mode
    for (const bool kernel : {false, true}) {
        for (u64 delay = 0; delay < 6000; delay += scale.whole ? 3 : 101) {
            if (!book.begin_case()) {
                continue;
            }
            Trial trial{port};
            put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
            Frame f = port.at_offset(ELISA_ENTRY_OFF, kernel);
            f.rflags |= flag::intr;
            f.rsi = NOP_SPIN;
            f.rdx = 400;
            cpu::wrmsr(tsc_deadline, cpu::rdtsc() + 500 + delay);
            port.run(f);
            const bool error = aborted(f);
            cpu::wrmsr(tsc_deadline, 0);
            drain_interrupt(f, vector);
            trial.judge(error, 1, "vector, rip", f.vector, f.rip);
        }
    }
    cpu::wrmsr(lvt_timer, 1 << 16);
}

} // namespace attack

// SPDX-License-Identifier: Apache-2.0
// Two vCPUs of one VM: one crosses, well and badly, while the other takes away what it crosses
// with, or sends it NMI, INIT, SIPI.
#include "cases.hpp"

namespace attack {
namespace {

constexpr u64 spacing = 16; // of the VMFUNCs in the entry page

constinit Port second;
volatile u32 command; // of the second vCPU
volatile u32 done;
volatile u64 rounds_of_second, open_of_second;

enum Command : u32 { none, arm_it, cross_on, look, stop };
constexpr u64 interrupts = 16; // of a case

bool left_for_last(u64 offset)
{
    return offset + 3 > ELISA_LANDING_OFF - 1 && offset < ELISA_LANDING_OFF + 8;
}

// VMFUNC all over the entry page, so that both vCPUs can enter the gate at many places without
// writing.
void fill_entry_page()
{
    put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
    for (u64 offset = 0; offset + 3 < page_size; offset += spacing) {
        if (!left_for_last(offset) && offset != 0xf0 && offset != 0x100) {
            memcpy(reinterpret_cast<void *>(entry_page + offset), vmfunc_code, 3);
        }
    }
}

void empty_entry_page()
{
    memset(reinterpret_cast<void *>(entry_page), 0xcc, page_size);
}

// One crossing or attempt; false if it got in by VMFUNC(sub).
bool attempt(Port &p, u64 turn)
{
    const u64 offset = turn * 7 * spacing % page_size;
    Frame f = p.at_offset(ELISA_ENTRY_OFF, false);
    switch (turn % 4) {
    case 1: // by the front door, for a while
        f.rsi = NOP_SPIN;
        f.rdx = 16 * (turn & 255);
        [[fallthrough]];
    case 0:
        p.run(f);
        return true;
    case 2: // elsewhere
        f.rip = left_for_last(offset) || offset == 0xf0 || offset == 0x100 ? f.rip
                                                                           : entry_page + offset;
        p.run(f);
        return true;
    default: // past the gate
        f.rcx = p.sub;
        p.run(f);
        return f.vector == 6;
    }
}

void second_main_loop()
{
    for (u64 turn = 0;;) {
        switch (command) {
        case arm_it:
            second = port;
            done = second.arm(cpus[1]) ? 1 : 2;
            command = none;
            break;
        case cross_on:
            if (!attempt(second, turn++)) {
                open_of_second = open_of_second + 1;
            }
            rounds_of_second = rounds_of_second + 1;
            break;
        case look: // after INIT: is anything open?
            command = none;
            done = second.shut() && second.closed() ? 1 : 2;
            break;
        case stop:
            command = none;
            done = 1;
            break;
        default:
            cpu::pause();
        }
    }
}

u32 tell(u32 what)
{
    done = 0;
    command = what;
    while (done == 0) {
        cpu::pause();
    }
    return done;
}

void wait_for_second(u64 some)
{
    for (const u64 from = rounds_of_second; rounds_of_second - from < some;) {
        cpu::pause();
    }
}

// So that what is sent meets it at one place or another.
void let_it_run(u64 ticks)
{
    for (const u64 begin = cpu::rdtsc(); cpu::rdtsc() - begin < ticks;) {
        cpu::pause();
    }
}

// INIT while it crosses. What it was armed with must be gone when it begins anew.
bool open_after_init(u64 round)
{
    let_it_run(round * 7919 % 30'000);
    init_second_cpu();
    command = none;
    done = 0;
    start_it_again();
    return tell(look) != 1;
}

// NMIs, each of which is for its kernel, or SIPIs, which mean nothing to a vCPU that runs. False:
// none of those NMIs has come, or more than were sent.
bool disturb(bool nmi, u64 round)
{
    const u64 before = nmis_taken;
    for (u64 i = 0; i < interrupts; ++i) {
        let_it_run((round * 7919 + i * 104'729) % 30'000);
        if (nmi) {
            send_second_cpu(icr_nmi);
        } else {
            start_it_again();
        }
        wait_for_second(1);
    }
    const u64 taken = nmis_taken - before;
    return nmi ? taken != 0 && taken <= interrupts : taken == 0;
}

// Attached anew and armed on both.
bool start()
{
    return port.attach(cpus[0], own_instance) && tell(arm_it) == 1;
}

} // namespace

void race(const Scale &scale)
{
    static bool started = false;
    if (!started) {
        started = true;
        start_second_cpu(second_main_loop);
    }
    enum Kind { both_cross, detach, take_over, arm_again, regions, nmi, sipi, init, kinds };
    const u64 rounds = scale.whole ? 60 : 4;
    bool fresh = false; // attached, and armed on both
    for (u64 round = 0; round < rounds; ++round) {
        for (unsigned kind = 0; kind < kinds; ++kind) {
            if (!book.begin_case()) {
                continue;
            }
            if (!fresh && !start()) {
                say("FAILED race: cannot attach and arm both vCPUs");
                finish(6);
            }
            fresh = kind != detach && kind != take_over && kind != init;
            fill_entry_page();
            open_of_second = 0;
            command = cross_on;
            wait_for_second(10);
            bool open = false;
            bool lost = false;
            if (kind == nmi || kind == sipi) {
                lost = !disturb(kind == nmi, round);
            }
            for (u64 turn = round; turn < round + 40 && kind < nmi; ++turn) {
                Call call{.rbx = port.handle};
                switch (kind) {
                case both_cross:
                    open |= !attempt(port, turn);
                    continue;
                case detach:
                    call.number = ELISA_CALL_DETACH;
                    break;
                case take_over:
                    call = Call{.number = ELISA_CALL_ATTACH, .r9 = own_instance};
                    set_name(call, "nop");
                    break;
                case arm_again:
                    call.number = ELISA_CALL_ARM;
                    break;
                default:
                    call.number =
                        turn % 2 == 0 ? ELISA_CALL_REGION_CREATE : ELISA_CALL_REGION_REMOVE;
                    call.rsi = turn % 2 == 0 ? huge : 1;
                }
                ring_at_cpl3(call);
                if (kind == detach || kind == take_over) {
                    break;
                }
            }
            if (kind == init) {
                open = open_after_init(round);
            } else {
                wait_for_second(20);
                tell(stop);
            }
            empty_entry_page();
            open |= kind == detach && !port.shut();
            // The second vCPU's verdict counts like ours.
            if (open || open_of_second != 0 || lost) {
                if (book.may_complain()) {
                    say("FAILED race ", book.case_number(), ": ",
                        lost ? "NMIs that were not sent, or did not come" : "a context is open");
                }
                book.end_case(Outcome::failed);
            } else {
                book.end_case(kind == init                          ? Outcome::self_harm
                              : kind == detach || kind == take_over ? Outcome::refused
                                                                    : Outcome::ordinary);
            }
        }
    }
    // Whole again.
    if (!port.attach(cpus[0], own_instance)) {
        finish(7);
    }
}

} // namespace attack

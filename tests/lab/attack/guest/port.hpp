// SPDX-License-Identifier: Apache-2.0
// ELISA as an attacker's kernel uses it: the doorbell, an attachment, and the questions that are
// asked after each case.
#pragma once

#include "book.hpp"
#include "nop.h"
#include "witness.hpp"

namespace attack {

// Registers of a doorbell call, in and out.
struct Call {
    u32 number = 0;
    u64 rbx = 0, rsi = 0, rdi = 0, r8 = 0, r9 = 0, r10 = 0;
    u64 rax = 0; // result
    i64 result() const { return static_cast<i64>(rax); }
};

void ring(Call &call);         // at CPL 0
void ring_at_cpl3(Call &call); // with IOPL 3

// Of the attachment that the cases are watched with; random calls do not guess it.
inline constexpr u64 own_instance = 0x6174'7461'636b;

// The name of an export, for a Call's registers.
void set_name(Call &call, const char *name);

class Port {
  public:
    // Attaches, arms this vCPU, registers the region, maps the entry page. False, with a line on
    // the console, if something refuses.
    bool attach(Cpu &on, u64 as, const char *name = "nop");
    // On another vCPU of the same attachment, or on one whose crossings were stopped.
    bool arm(Cpu &cpu);
    void detach();

    // A crossing as a program would make it. False unless the image was reached and came back.
    bool cross(u64 op, u64 a1, u64 &result, u64 a2 = 0, u64 a3 = 0);
    bool works();
    // VMFUNC(gate) is #UD: not armed, not any more.
    bool shut();
    // VMFUNC(sub), from the default context: must be #UD (I1).
    bool closed();
    // Times that a crossing has gone past the token check.
    u64 crossings();

    // A frame that would cross, were it entered at the right offset: VMFUNC at GATE_VA + offset
    // - 3.
    Frame at_offset(u64 offset, bool kernel) const;
    // Lays the VMFUNC there, and lets the frame run.
    void run(Frame &frame);

    u64 handle = 0, instance = 0, region = 0, gate = 0, sub = 0, token = 0, vcpu = 0;
    Cpu *cpu = nullptr;
};

extern Port port;

// The page at GATE_VA in the default context, and the one before it: INT3 but for what a case puts
// there.
inline constexpr u64 entry_page = ELISA_GATE_VA;
// Code of a case; what was laid before is INT3 again.
// Where the gate's way back begins, and the sub stub ends.
inline constexpr u64 gate_exit = ELISA_LANDING_OFF & ~u64{0x1f};

void lay(u64 va, const u8 *bytes, u64 count);
inline constexpr u8 vmfunc_code[] = {0x0f, 0x01, 0xd4};
void put_vmfunc(u64 va);

// The frame came back by the landing: aborted or returned.
bool landed(const Frame &frame);
inline bool aborted(const Frame &f)
{
    return landed(f) && f.rax > ~u64{0} - 64; // a small negative number: an ELISA_E*
}

inline constexpr u64 marker = 0x6d61'726b'6572'0000; // what NOP_NOTHING returns to a case

// Around one case: was the image reached, is the slot closed, does the VM still cross?
class Trial {
  public:
    explicit Trial(Port &by) : port_{by}, crossings_{by.crossings()} {}
    // may_cross: the front door was used, so the image may have run.
    void judge(const Frame &after, bool may_cross);
    // Whatever the frame did, the next crossing must work: nobody but the module writes the EPTP
    // list.
    void list_is_fixed() { fixed_ = true; }
    // For cases that are not one frame: `error` says whether something refused.
    void judge(bool error, u64 may_cross, const char *what, u64 a = 0, u64 b = 0);

    void fail(const char *why);

  private:
    Port &port_;
    u64 crossings_;
    bool fixed_ = false;
};

// Takes an interrupt of this vector, if one is pending.
void drain_interrupt(const Frame &ended, u64 vector);
// The entry page in the default context: pte::kernel, pte::anyone, and global or not.
void entry_page_is(u64 flags);

// The witness VM must have crossed since the last time this was asked.
bool witness_counts_on();

} // namespace attack

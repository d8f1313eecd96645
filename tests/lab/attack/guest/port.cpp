// SPDX-License-Identifier: Apache-2.0
#include "port.hpp"

namespace attack {

constinit Port port;

namespace {

u64 entry_gpa;
constexpr u8 int3 = 0xcc;
constexpr u64 patience = 20'000'000'000; // TSC ticks

template <class Done>
bool eventually(Done done)
{
    for (const u64 begin = cpu::rdtsc(); cpu::rdtsc() - begin < patience;) {
        if (done()) {
            return true;
        }
        cpu::pause();
    }
    return false;
}

bool complain(const char *what, const Call &call)
{
    say("attack: ", what, ": error ", static_cast<u64>(-call.result()));
    return false;
}

void map_entry_pages()
{
    for (const u64 va : {entry_page - page_size, entry_page, entry_page + page_size}) {
        const u64 page = new_page();
        memset(reinterpret_cast<void *>(page), int3, page_size);
        map(va, page, pte::anyone);
        if (va == entry_page) {
            entry_gpa = page;
        }
    }
}

Frame user_frame()
{
    Frame f{};
    f.cs = selector::user_code;
    f.ss = selector::user_data;
    f.rflags = flag::fixed | flag::iopl3;
    f.rsp = user_stack;
    return f;
}

} // namespace

void ring(Call &call)
{
    register u64 r8 __asm__("r8") = call.r8;
    register u64 r9 __asm__("r9") = call.r9;
    register u64 r10 __asm__("r10") = call.r10;
    u64 rax = ELISA_MAGIC;
    __asm__ volatile("in %%dx, %%eax"
                     : "+a"(rax), "+b"(call.rbx), "+S"(call.rsi), "+D"(call.rdi), "+r"(r8),
                       "+r"(r9), "+r"(r10)
                     : "d"(ELISA_PORT), "c"(call.number)
                     : "memory");
    call.rax = rax;
    call.r8 = r8;
    call.r9 = r9;
    call.r10 = r10;
}

void ring_at_cpl3(Call &call)
{
    Frame f = user_frame();
    f.rip = user_doorbell;
    f.rax = ELISA_MAGIC;
    f.rdx = ELISA_PORT;
    f.rcx = call.number;
    f.rbx = call.rbx;
    f.rsi = call.rsi;
    f.rdi = call.rdi;
    f.r8 = call.r8;
    f.r9 = call.r9;
    f.r10 = call.r10;
    enter(&cpus[0], &f);
    call.rax = f.rax;
    call.rbx = f.rbx;
    call.rsi = f.rsi;
    call.rdi = f.rdi;
    call.r8 = f.r8;
    call.r9 = f.r9;
    call.r10 = f.r10;
}

void set_name(Call &call, const char *name)
{
    u64 words[4] = {};
    auto *const bytes = reinterpret_cast<char *>(words);
    for (unsigned i = 0; name[i] != 0 && i < ELISA_NAME_MAX - 1; ++i) {
        bytes[i] = name[i];
    }
    call.rbx = words[0];
    call.rsi = words[1];
    call.rdi = words[2];
    call.r8 = words[3];
}

bool Port::attach(Cpu &on, u64 as, const char *name)
{
    instance = as;
    Call call;
    const bool answered = eventually([&] {
        call = Call{.number = ELISA_CALL_ATTACH, .r9 = instance};
        set_name(call, name);
        ring(call);
        return call.result() != -ELISA_E_NOENT;
    });
    if (!answered || call.result() != 0) {
        return complain("attach", call);
    }
    handle = call.rbx;
    const bool decided = eventually([&] {
        call = Call{.number = ELISA_CALL_ATTACH_STATUS, .rbx = handle};
        ring(call);
        return call.result() != 0 || call.rbx != ELISA_STATE_PENDING;
    });
    if (!decided || call.result() != 0 || call.rbx != ELISA_STATE_READY) {
        return complain("the manager's answer", call);
    }

    call = Call{.number = ELISA_CALL_REGION_CREATE, .rbx = handle, .rsi = region_len};
    ring(call);
    region = call.rbx;
    if (call.result() == 0) {
        call = Call{.number = ELISA_CALL_REGION_ADD,
                    .rbx = handle,
                    .rsi = region,
                    .rdi = 0,
                    .r8 = region_gpa,
                    .r9 = region_len};
        ring(call);
    }
    if (call.result() == 0) {
        call = Call{.number = ELISA_CALL_REGION_COMMIT, .rbx = handle, .rsi = region};
        ring(call);
    }
    if (call.result() != 0) {
        return complain("registering a region", call);
    }
    return arm(on) || complain("arm", call);
}

bool Port::arm(Cpu &on)
{
    cpu = &on;
    Call call{.number = ELISA_CALL_ARM, .rbx = handle, .rsi = user_stack};
    // The landing takes the CS that the vCPU is armed with.
    Frame f = user_frame();
    f.rip = user_doorbell;
    f.rax = ELISA_MAGIC;
    f.rdx = ELISA_PORT;
    f.rcx = call.number;
    f.rbx = call.rbx;
    f.rsi = call.rsi;
    enter(cpu, &f);
    call.rax = f.rax;
    if (call.result() != 0) {
        return false;
    }
    gate = f.rbx;
    token = f.rsi;
    vcpu = f.rdi;
    sub = f.r8;
    static bool mapped = false;
    if (!mapped) {
        mapped = true;
        map_entry_pages();
    }
    return true;
}

void Port::detach()
{
    Call call{.number = ELISA_CALL_DETACH, .rbx = handle};
    ring(call);
}

Frame Port::at_offset(u64 offset, bool kernel) const
{
    Frame f = user_frame();
    if (kernel) {
        f.cs = selector::kernel_code;
        f.ss = selector::kernel_data;
        f.rflags = flag::fixed;
    }
    f.rip = entry_page + offset - 3;
    f.rcx = gate;
    f.r10 = token;
    f.rsi = NOP_NOTHING;
    f.rdx = marker;
    return f;
}

void Port::run(Frame &frame)
{
    frame.began = frame.rip;
    enter(cpu, &frame);
}

bool Port::cross(u64 op, u64 a1, u64 &result, u64 a2, u64 a3)
{
    put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
    Frame f = at_offset(ELISA_ENTRY_OFF, false);
    f.rsi = op;
    f.rdx = a1;
    f.r8 = a2;
    f.r9 = a3;
    run(f);
    result = f.rdx;
    return landed(f) && f.rax == 0;
}

bool Port::works()
{
    u64 result = 0;
    return cross(NOP_NOTHING, marker + 1, result) && result == marker + 1;
}

bool Port::shut()
{
    put_vmfunc(entry_page + ELISA_ENTRY_OFF - 3);
    Frame f = at_offset(ELISA_ENTRY_OFF, false);
    run(f);
    return f.vector == 6 && f.rip == entry_page + ELISA_ENTRY_OFF - 3;
}

bool Port::closed()
{
    // Where the next instruction would be the stub's first: no better place to get in.
    const u64 at = ELISA_ENTRY_OFF + 0x1f;
    put_vmfunc(entry_page + at - 3);
    Frame f = at_offset(at, false);
    f.rcx = sub;
    run(f);
    return f.vector == 6 && f.rip == entry_page + at - 3;
}

u64 Port::crossings()
{
    Call call{.number = ELISA_CALL_STATS, .rbx = handle};
    ring(call);
    return call.rbx;
}

void lay(u64 va, const u8 *bytes, u64 count)
{
    static u64 last = 0;
    static u64 last_count = 0;
    for (u64 i = 0; i < last_count; ++i) {
        reinterpret_cast<volatile u8 *>(last)[i] = int3;
    }
    for (u64 i = 0; i < count; ++i) {
        reinterpret_cast<volatile u8 *>(va)[i] = bytes[i];
    }
    last = va;
    last_count = count;
}

void put_vmfunc(u64 va)
{
    lay(va, vmfunc_code, sizeof(vmfunc_code));
}

bool landed(const Frame &f)
{
    // INT3 reports the next address; a VMFUNC that a case laid over the landing runs on a little.
    const u64 at = f.rip - (entry_page + ELISA_LANDING_OFF);
    if (f.vector == 6 && f.rip == f.began && f.rcx != 0) {
        return false; // it lay there, and was #UD to begin with
    }
    return (f.cs & 0xffff) != selector::compat_code && at < 8;
}

void Trial::judge(const Frame &after, bool may_cross)
{
    const bool error = aborted(after) || !landed(after);
    if (aborted(after)) {
        if (after.cs != selector::user_code) {
            return fail("after an abort, CS is not the one that the vCPU was armed with");
        }
        for (const u64 *r = &after.rbx; r <= &after.r15; ++r) {
            if (*r != 0) {
                return fail("after an abort, a register is not zero");
            }
        }
    }
    judge(error, may_cross ? 1 : 0, "vector, rip", after.vector, after.rip);
}

void Trial::judge(bool error, u64 may_cross, const char *what, u64 a, u64 b)
{
    const bool closed = port_.closed();
    const u64 crossed = port_.crossings() - crossings_;
    const char *fault = nullptr;
    if (!closed) {
        fault = "the sub context is open";
    } else if (crossed > may_cross) {
        fault = "the image was reached by a side door";
    }
    if (fault != nullptr) {
        if (book.may_complain()) {
            say("FAILED ", book.class_name(), " ", book.case_number(), ": ", fault, "; ", what, " ",
                Hex{a}, " ", Hex{b});
        }
        book.end_case(Outcome::failed);
        return;
    }
    if (port_.works()) {
        book.end_case(error ? Outcome::refused : Outcome::ordinary);
        return;
    }
    if (fixed_) {
        fail("the EPTP list was changed");
        if (!port_.attach(*port_.cpu, port_.instance)) {
            finish(5);
        }
        return;
    }
    // The module may have stopped this vCPU's crossings until it is armed again.
    if (port_.arm(*port_.cpu) && port_.works()) {
        book.end_case(Outcome::refused);
        return;
    }
    book.end_case(Outcome::self_harm);
    if (book.may_complain()) {
        say("harmed itself: ", book.class_name(), " ", book.case_number(), "; ", what, " ", Hex{a},
            " ", Hex{b});
    }
    // As a process that took over would.
    if (!port_.attach(*port_.cpu, port_.instance)) {
        say("FAILED ", book.class_name(), " ", book.case_number(), ": cannot attach again");
        finish(5);
    }
}

void Trial::fail(const char *why)
{
    if (book.may_complain()) {
        say("FAILED ", book.class_name(), " ", book.case_number(), ": ", why);
    }
    book.end_case(Outcome::failed);
}

void drain_interrupt(const Frame &ended, u64 vector)
{
    constexpr u32 eoi = 0x80b;
    Frame idle = user_frame();
    idle.rip = user_vmfunc + 3;
    idle.rflags |= flag::intr;
    if (ended.vector != vector) {
        enter(&cpus[0], &idle);
    }
    if (ended.vector == vector || idle.vector == vector) {
        cpu::wrmsr(eoi, 0);
    }
}

void entry_page_is(u64 flags)
{
    map(entry_page, entry_gpa, flags);
    if ((flags & pte::global) != 0) {
        cpu::cr4(cpu::cr4() | cr4::pge);
    }
}

bool witness_counts_on()
{
    static u64 last = 0;
    u64 now = 0;
    const bool moved = eventually([&] { return port.cross(NOP_READ, 0, now) && now != last; });
    last = now;
    if (!moved) {
        say("FAILED ", book.class_name(), ": the witness no longer crosses");
    }
    return moved;
}

} // namespace attack

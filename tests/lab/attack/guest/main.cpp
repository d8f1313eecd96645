// SPDX-License-Identifier: Apache-2.0
#include "cases.hpp"

namespace attack {
namespace {

struct Class {
    const char *name;
    void (*play)(const Scale &scale);
    bool attached; // plays with an attachment
};

constexpr Class classes[] = {
    {"entry: gate, every offset", entry_gate, true},
    {"entry: gates of other slots", entry_gate_slots, true},
    {"entry: sub stub, every offset", entry_sub, true},
    {"entry: compatibility mode", entry_compat, true},
    {"entry: EAX, ECX", entry_index, true},
    {"entry: RFLAGS, shadows", entry_flags, true},
    {"entry: breakpoints", entry_breakpoints, true},
    {"entry: timer interrupts", entry_interrupts, true},
    {"address space: CR0, CR4, EFER, MSRs", space_control, true},
    {"IDTR, GDTR, LDTR, TR in the slot", tables_in_slot, true},
    {"calls: every kind of argument", calls_table, false},
    {"calls: at random", calls_random, false},
    {"calls: from an L2 of the guest", nested, true},
    {"entry: racing vCPUs", race, true},
    {"address space: CR3", space_cr3, true},
    {"entry: real mode, protected mode, PAE", entry_modes, true},
};

bool starts_with(const char *text, const char *word)
{
    for (; *word != 0; ++word, ++text) {
        if (*text != *word) {
            return false;
        }
    }
    return true;
}

bool contains(const char *text, const char *word)
{
    for (; *text != 0; ++text) {
        if (starts_with(text, word)) {
            return true;
        }
    }
    return false;
}

u64 number_after(const char *text, const char *word, u64 otherwise)
{
    for (; *text != 0; ++text) {
        if (!starts_with(text, word)) {
            continue;
        }
        for (; *word != 0; ++word) {
            ++text;
        }
        u64 value = 0;
        for (; *text >= '0' && *text <= '9'; ++text) {
            value = 10 * value + static_cast<u64>(*text - '0');
        }
        return value;
    }
    return otherwise;
}

// What was armed before the reset is not armed now.
void stale_contexts_are_shut()
{
    for (u64 index = 1; index <= 8; ++index) {
        Frame f{};
        f.rip = user_vmfunc;
        f.cs = selector::user_code;
        f.ss = selector::user_data;
        f.rsp = user_stack;
        f.rflags = flag::fixed;
        f.rcx = index;
        enter(&cpus[0], &f);
        if (f.vector != 6) {
            say("FAILED: after a reset, VMFUNC(", index, ") works still");
            book.end_case(Outcome::failed);
        }
    }
}

// The words of the command line: "guest" if the VM has that role, "short" or all of it, "calls=N".
[[noreturn]] void campaign(const char *line)
{
    Scale scale;
    scale.whole = !contains(line, "short");
    scale.random_calls = number_after(line, "calls=", scale.random_calls);
    const u64 only = number_after(line, "class=", ~u64{0});

    machine_init(cpus[0]);
    if (book.open()) {
        say("attack: goes on after reset ", book.resets());
        stale_contexts_are_shut();
    }
    // A VM with another role has the calls only.
    const bool attached = contains(line, "guest");
    if (attached && (!port.attach(cpus[0], own_instance) || !port.works())) {
        say("attack: no crossing to begin with");
        finish(2);
    }
    u32 number = 0;
    for (const Class &c : classes) {
        const bool wanted = (attached || !c.attached) && (only == ~u64{0} || only == number);
        if (const u32 n = number++; !wanted || !book.begin_class(n, c.name)) {
            continue;
        }
        c.play(scale);
        if (attached && !witness_counts_on()) {
            book.end_case(Outcome::failed);
        }
        book.end_class();
    }
    if (attached) {
        u64 ignored = 0;
        port.cross(NOP_ADD, end_of_campaign, ignored); // the witness may go
        port.detach();
    }
    finish(book.failed() != 0 ? 1 : 0);
}

} // namespace
} // namespace attack

extern "C" void boot_cpu_main(attack::u64 start_info)
{
    // struct hvm_start_info: the command line's address at 24.
    attack::campaign(
        reinterpret_cast<const char *>(*reinterpret_cast<attack::u64 *>(start_info + 24)));
}

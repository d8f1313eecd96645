// SPDX-License-Identifier: Apache-2.0
// The doorbell: every number, with every kind of argument, from each role and CPL; and at random.
#include "cases.hpp"

namespace attack {
namespace {

constexpr u32 last_error = ELISA_E_FAULT - 1; // of a call
constexpr u64 checked_every = 4096;           // random calls

u64 random_state = 0x2545'f491'4f6c'dd1d;
u64 random()
{
    random_state ^= random_state << 13;
    random_state ^= random_state >> 7;
    random_state ^= random_state << 17;
    return random_state;
}

struct Handles {
    u64 live = 0;  // an attachment, or an export, that is not the campaign's own
    u64 stale = 0; // once
    u64 foreign = 0x8000'0000'0000'0000; // of a guest: the witness's attachment, alive
};
Handles handles;

bool guest_role = false;

// What arguments can be, for better or worse.
u64 argument(unsigned kind)
{
    switch (kind) {
    case 0:
        return 0;
    case 1:
        return 1;
    case 2:
        return ~u64{0};
    case 3:
        return page_size;
    case 4:
        return huge;
    case 5:
        return region_gpa; // memory, and in use
    case 6:
        return region_gpa + 8 * huge; // memory
    case 7:
        return region_gpa + 1; // unaligned
    case 8:
        return 1ull << 33; // no memory
    case 9:
        return 0xfee0'0000; // the APIC
    case 10:
        return 0xffe0'0000; // nothing, and firmware at its end
    case 11:
        return handles.live;
    case 12:
        return handles.stale;
    case 13:
        return handles.foreign;
    case 14:
        return 1ull << ((cpu::cpuid(0x8000'0008).a & 0xff) - 1); // the window
    case 15:
        return ~u64{0} - huge + 1; // + 2 MiB is 0
    case 16:
        return ELISA_WINDOW_SIZE + huge; // more than any quota
    case 17:
        return 2;
    case 18:
        return 0x8000'0000'0000'0000;
    default:
        return 0x0070'6f6e; // "nop"
    }
}
constexpr unsigned kinds = 20;

// True if the answer is one that the ABI has.
bool answered(const Call &call)
{
    return call.result() <= 0 && call.result() >= -static_cast<i64>(last_error);
}

void make(Call &call, bool at_cpl3)
{
    const Call before = call;
    if (at_cpl3) {
        ring_at_cpl3(call);
    } else {
        ring(call);
    }
    const bool touched = call.result() != 0 && (call.rbx != before.rbx || call.rsi != before.rsi ||
                                                call.rdi != before.rdi || call.r8 != before.r8 ||
                                                call.r9 != before.r9 || call.r10 != before.r10);
    if (!answered(call) || touched) {
        if (book.may_complain()) {
            say("FAILED ", book.class_name(), " ", book.case_number(), ": call ", u64{call.number},
                touched ? " changed registers with its error " : " answered ", Hex{call.rax});
        }
        book.end_case(Outcome::failed);
        return;
    }
    if (call.result() == 0 &&
        (call.number == ELISA_CALL_ATTACH || call.number == ELISA_CALL_EXPORT_CREATE)) {
        handles.stale = handles.live;
        handles.live = call.rbx;
    }
    book.end_case(call.result() != 0 ? Outcome::refused : Outcome::ordinary);
}

// The attachment that the cases are watched with is whole.
void check_port()
{
    if (!guest_role) {
        return;
    }
    if (book.begin_case()) {
        Trial trial{port};
        trial.judge(false, 0, "after calls");
    }
}

// The handle that the witness has from elisa.ko, in another VM.
void learn_foreign_handle()
{
    if (!port.cross(NOP_NOTED, witness_handle_note, handles.foreign) || handles.foreign == 0 ||
        handles.foreign == port.handle) {
        say("FAILED: the witness does not tell its handle");
        finish(10);
    }
}

// The calls whose answer is known beforehand.
struct Row {
    u32 number;
    u64 rsi, rdi, r8, r9;
    i64 answer;
    const char *what;
};

void expect(const Row *rows, u64 count, u64 handle)
{
    for (u64 i = 0; i < count; ++i) {
        if (!book.begin_case()) {
            continue;
        }
        const Row &row = rows[i];
        Call call{.number = row.number,
                  .rbx = handle,
                  .rsi = row.rsi,
                  .rdi = row.rdi,
                  .r8 = row.r8,
                  .r9 = row.r9};
        ring(call);
        if (call.result() != row.answer) {
            if (book.may_complain()) {
                say("FAILED ", book.class_name(), " ", book.case_number(), ": ", row.what,
                    ": answer ", Hex{call.rax});
            }
            book.end_case(Outcome::failed);
        } else {
            book.end_case(Outcome::refused);
        }
    }
}

void known_refusals_of_a_guest()
{
    Call create{.number = ELISA_CALL_REGION_CREATE, .rbx = port.handle, .rsi = 4 * huge};
    ring(create);
    const u64 region = create.rbx;
    Call add{.number = ELISA_CALL_REGION_ADD,
             .rbx = port.handle,
             .rsi = region,
             .rdi = 0,
             .r8 = region_gpa + huge,
             .r9 = huge};
    ring(add);
    const u64 window = 1ull << ((cpu::cpuid(0x8000'0008).a & 0xff) - 1);
    const Row rows[] = {
        {ELISA_CALL_REGION_CREATE, 0, 0, 0, 0, -ELISA_E_INVAL, "a region of no length"},
        {ELISA_CALL_REGION_CREATE, huge - 1, 0, 0, 0, -ELISA_E_INVAL, "a region of odd length"},
        {ELISA_CALL_REGION_CREATE, ~u64{0}, 0, 0, 0, -ELISA_E_INVAL, "a region of 2^64-1"},
        {ELISA_CALL_REGION_CREATE, ELISA_WINDOW_SIZE, 0, 0, 0, -ELISA_E_QUOTA,
         "a region above the quota"},
        {ELISA_CALL_REGION_ADD, region, huge, region_gpa + 1, huge, -ELISA_E_INVAL,
         "an unaligned address"},
        {ELISA_CALL_REGION_ADD, region, huge, region_gpa + page_size, huge, -ELISA_E_INVAL,
         "a page-aligned address"},
        {ELISA_CALL_REGION_ADD, region, 1, region_gpa, huge, -ELISA_E_INVAL, "an unaligned offset"},
        {ELISA_CALL_REGION_ADD, region, huge, region_gpa, 1, -ELISA_E_INVAL, "an unaligned length"},
        {ELISA_CALL_REGION_ADD, region, huge, region_gpa, 0, -ELISA_E_INVAL, "no length"},
        {ELISA_CALL_REGION_ADD, region, 4 * huge, region_gpa, huge, -ELISA_E_INVAL,
         "beyond the region"},
        {ELISA_CALL_REGION_ADD, region, huge, region_gpa, 4 * huge, -ELISA_E_INVAL,
         "across its end"},
        {ELISA_CALL_REGION_ADD, region, huge, region_gpa, ~u64{0} - huge + 1, -ELISA_E_INVAL,
         "a length that wraps"},
        {ELISA_CALL_REGION_ADD, region, ~u64{0} - huge + 1, region_gpa, huge, -ELISA_E_INVAL,
         "an offset that wraps"},
        {ELISA_CALL_REGION_ADD, region, huge, ~u64{0} - huge + 1, huge, -ELISA_E_INVAL,
         "an address that wraps"},
        {ELISA_CALL_REGION_ADD, region, huge, 1ull << 33, huge, -ELISA_E_MEMORY,
         "where no memory is"},
        {ELISA_CALL_REGION_ADD, region, huge, 0xffe0'0000, huge, -ELISA_E_MEMORY,
         "nothing, and firmware at its end"},
        {ELISA_CALL_REGION_ADD, region, huge, window, huge, -ELISA_E_MEMORY, "the window"},
        {ELISA_CALL_REGION_ADD, region, huge, window + ELISA_WINDOW_X, huge, -ELISA_E_MEMORY,
         "a region in the window"},
        {ELISA_CALL_REGION_ADD, region, 0, region_gpa, huge, -ELISA_E_OVERLAP,
         "over what is there"},
        {ELISA_CALL_REGION_ADD, ~u64{0}, 0, region_gpa, huge, -ELISA_E_NOENT, "region 2^64-1"},
        {ELISA_CALL_REGION_ADD, region + 1000, 0, region_gpa, huge, -ELISA_E_NOENT,
         "no such region"},
        {ELISA_CALL_REGION_COMMIT, region, 0, 0, 0, -ELISA_E_MEMORY, "a region with holes"},
        {ELISA_CALL_REGION_COMMIT, ~u64{0}, 0, 0, 0, -ELISA_E_NOENT, "commit of region 2^64-1"},
        {ELISA_CALL_REGION_REMOVE, ~u64{0}, 0, 0, 0, -ELISA_E_NOENT, "removal of region 2^64-1"},
        {ELISA_CALL_REGION_STATUS, ~u64{0}, 0, 0, 0, -ELISA_E_NOENT, "status of region 2^64-1"},
        {ELISA_CALL_ARM, 0, 0, 0, 0, -ELISA_E_MODE, "arming at CPL 0"},
    };
    expect(rows, sizeof(rows) / sizeof(rows[0]), port.handle);
    // A page that can be pinned, and none after it: the region must not become one with a hole.
    create = Call{.number = ELISA_CALL_REGION_CREATE, .rbx = port.handle, .rsi = huge};
    ring(create);
    const u64 torn = create.rbx;
    const Row torn_rows[] = {
        {ELISA_CALL_REGION_ADD, torn, 0, 0xfee0'0000, huge, -ELISA_E_MEMORY, "the APIC"},
        {ELISA_CALL_REGION_COMMIT, torn, 0, 0, 0, -ELISA_E_MEMORY,
         "a region whose memory could not be added"},
    };
    expect(torn_rows, 2, port.handle);
    Call remove{.number = ELISA_CALL_REGION_REMOVE, .rbx = port.handle, .rsi = torn};
    ring(remove);
    for (const u64 handle :
         {handles.foreign, u64{0}, ~u64{0}, port.handle ^ 1, port.handle + 1, handles.stale}) {
        for (u32 number = ELISA_CALL_ATTACH_STATUS; number <= ELISA_CALL_ABORT_INFO; ++number) {
            const Row row{
                number, region, 0, region_gpa, huge, -ELISA_E_NOENT, "a handle that is not ours"};
            expect(&row, 1, handle);
        }
    }
    for (u32 number = ELISA_CALL_EXPORT_CREATE; number <= ELISA_CALL_ATTACHMENT_NEXT; ++number) {
        const Row row{number, region, 0, region_gpa, huge, -ELISA_E_ROLE, "a manager's call"};
        expect(&row, 1, port.handle);
    }
    // Regions up to the quota, and one more.
    u64 made = 0;
    Call more{.number = ELISA_CALL_REGION_CREATE, .rbx = port.handle, .rsi = huge};
    u64 numbers[64];
    for (ring(more); more.result() == 0 && made < 64; ring(more)) {
        numbers[made++] = more.rbx;
        more.rbx = port.handle;
        more.rsi = huge;
    }
    if (book.begin_case()) {
        book.end_case(more.result() == -ELISA_E_QUOTA ? Outcome::refused : Outcome::failed);
    }
    numbers[made++] = region;
    for (u64 i = 0; i < made; ++i) {
        remove = Call{.number = ELISA_CALL_REGION_REMOVE, .rbx = port.handle, .rsi = numbers[i]};
        ring(remove);
    }
}

void known_refusals_by_role(i64 of_manager_calls, i64 of_guest_calls)
{
    for (u32 number = ELISA_CALL_EXPORT_CREATE; number <= ELISA_CALL_ABORT_INFO; ++number) {
        const bool managers = number <= ELISA_CALL_ATTACHMENT_NEXT;
        const i64 answer = managers ? of_manager_calls : of_guest_calls;
        if (answer == 0 || (!managers && number < ELISA_CALL_ATTACH)) {
            continue;
        }
        const Row row{number, 0, 0, 0, 0, answer, "a call that this role may not make"};
        expect(&row, 1, 0);
    }
}

u32 role()
{
    Call version{.number = ELISA_CALL_VERSION};
    ring(version);
    return static_cast<u32>(version.rdi);
}

} // namespace

void calls_table(const Scale &scale)
{
    const u32 is = role();
    guest_role = is == ELISA_ROLE_GUEST;
    for (const u32 number :
         {10u, 15u, 27u, 28u, 63u, 255u, 0x7fff'ffffu, 0x8000'0000u, 0xffff'ffffu}) {
        const Row row{number, 0, 0, 0, 0, -ELISA_E_BADCALL, "no such call"};
        expect(&row, 1, 0);
    }
    if (guest_role) {
        learn_foreign_handle();
        known_refusals_of_a_guest();
    } else {
        known_refusals_by_role(is == ELISA_ROLE_MANAGER ? 0 : -ELISA_E_ROLE, -ELISA_E_ROLE);
    }
    check_port();

    // Each argument in turn is of each kind, the others are as they should be.
    const unsigned step = scale.whole ? 1 : 5;
    unsigned turn = 0;
    for (u32 number = 0; number < 32; ++number) {
        for (const bool at_cpl3 : {false, true}) {
            for (unsigned position = 0; position < 6; ++position) {
                for (unsigned kind = 0; kind < kinds; ++kind) {
                    if (++turn % step != 0 || !book.begin_case()) {
                        continue;
                    }
                    Call call{.number = number,
                              .rbx = handles.live,
                              .rsi = 0,
                              .rdi = 0,
                              .r8 = region_gpa + 16 * huge,
                              .r9 = huge,
                              .r10 = 0};
                    if (number == ELISA_CALL_EXPORT_ADD) {
                        call.rdi = region_gpa;
                        call.r8 = 4 * page_size;
                        call.r9 = 1 + turn % 3;
                    }
                    u64 *const registers[] = {&call.rbx, &call.rsi, &call.rdi,
                                              &call.r8,  &call.r9,  &call.r10};
                    if (number == ELISA_CALL_ATTACH || number == ELISA_CALL_EXPORT_CREATE) {
                        set_name(call, guest_role ? "nop" : "mine");
                        call.r9 = guest_role ? 77 : huge;
                    }
                    *registers[position] = argument(kind);
                    make(call, at_cpl3);
                }
            }
        }
        check_port();
    }
}

void calls_random(const Scale &scale)
{
    guest_role = role() == ELISA_ROLE_GUEST;
    if (guest_role) {
        learn_foreign_handle();
    }
    for (u64 i = 0; i < scale.random_calls; ++i) {
        if (i % checked_every == 0) {
            check_port();
        }
        if (!book.begin_case()) {
            continue;
        }
        const u64 dice = random();
        Call call;
        call.number =
            (dice & 0xf) == 0 ? static_cast<u32>(random()) : static_cast<u32>(dice >> 8 & 31);
        for (u64 *const r : {&call.rbx, &call.rsi, &call.rdi, &call.r8, &call.r9, &call.r10}) {
            const u64 value = random();
            *r = (value & 3) == 0 ? random() : argument(static_cast<unsigned>(value >> 8) % kinds);
        }
        const bool introduces =
            call.number == ELISA_CALL_ATTACH || call.number == ELISA_CALL_EXPORT_CREATE;
        if (introduces && (dice >> 16 & 31) == 0) {
            set_name(call, guest_role ? "nop" : "mine");
        } else if (!introduces && (dice >> 16 & 1) == 0) {
            call.rbx = handles.live;
        }
        if (guest_role && call.rbx == port.handle) {
            call.rbx = handles.live; // the watch is not for breaking
        }
        // Sealed copies are the host's memory: some, not all of it.
        if (call.number == ELISA_CALL_EXPORT_ADD && call.r8 > huge && call.r8 < 1ull << 36) {
            call.r8 = huge;
        }
        make(call, (dice >> 24 & 7) == 0);
    }
    check_port();
}

} // namespace attack

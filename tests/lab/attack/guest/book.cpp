// SPDX-License-Identifier: Apache-2.0
#include "book.hpp"

namespace attack {

constinit Book book;

namespace {
constexpr u64 magic = 0x4b4f'4f42'4153'4c45;
constexpr u64 too_many_resets = 4000;
constexpr u64 complaints_of_a_class = 12;
constexpr u64 sign_of_life = 100'000'000; // TSC ticks, half a second of the emulated clock
} // namespace

bool Book::open()
{
    Page &p = page();
    if (p.magic != magic) {
        p = Page{};
        p.magic = magic;
        return false;
    }
    ++p.resets;
    if (p.running != 0) {
        p.running = 0;
        count(evidence() ? Outcome::failed : Outcome::self_harm, 1);
    }
    if (p.resets > too_many_resets) {
        say("attack: reset ", p.resets, " times, giving up");
        finish(4);
    }
    return true;
}

bool Book::begin_class(u32 number, const char *name)
{
    Page &p = page();
    if (number < p.current) {
        return false;
    }
    if (number > p.current) {
        p.current = number;
        p.at = 0;
        p.complaints = 0;
    }
    name_ = name;
    next_ = 0;
    say("ELISA-PROGRESS ", name, p.at != 0 ? " goes on after a reset" : "");
    return true;
}

bool Book::begin_case()
{
    Page &p = page();
    if (++next_ <= p.at) {
        return false;
    }
    p.at = next_;
    __atomic_store_n(&p.running, 1, __ATOMIC_SEQ_CST);
    if (const u64 now = cpu::rdtsc(); now - heard_ > sign_of_life) {
        heard_ = now;
        say(name_, " ", p.at);
    }
    return true;
}

void Book::count(Outcome outcome, u64 n)
{
    Record &r = record();
    r.cases += n;
    (outcome == Outcome::refused     ? r.refused
     : outcome == Outcome::ordinary  ? r.ordinary
     : outcome == Outcome::self_harm ? r.self_harm
                                     : r.failed) += n;
}

void Book::watch(u64 gpa)
{
    *reinterpret_cast<volatile u64 *>(gpa) = 0;
    page().watched = gpa;
}

bool Book::evidence()
{
    const u64 gpa = page().watched;
    page().watched = 0;
    if (gpa == 0 || *reinterpret_cast<volatile u64 *>(gpa) == 0) {
        return false;
    }
    say("FAILED class ", page().current, " case ", page().at, ": the sub context wrote to ",
        Hex{gpa});
    return true;
}

void Book::end_case(Outcome outcome)
{
    end_cases(evidence() ? Outcome::failed : outcome, 1);
}

void Book::end_cases(Outcome outcome, u64 n)
{
    __atomic_store_n(&page().running, 0, __ATOMIC_SEQ_CST);
    count(outcome, n);
}

void Book::end_class()
{
    const Record &r = record();
    say("ELISA-RESULT {\"class\": \"", name_, "\", \"cases\": ", r.cases,
        ", \"refused\": ", r.refused, ", \"ordinary\": ", r.ordinary,
        ", \"self_harm\": ", r.self_harm, ", \"failed\": ", r.failed, "}");
    page().current++;
    page().at = 0;
    page().complaints = 0;
}

u64 Book::failed() const
{
    u64 sum = 0;
    for (const Record &r : page().records) {
        sum += r.failed;
    }
    return sum;
}

bool Book::may_complain()
{
    return page().complaints++ < complaints_of_a_class;
}

} // namespace attack

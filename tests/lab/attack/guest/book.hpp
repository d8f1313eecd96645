// SPDX-License-Identifier: Apache-2.0
// The campaign's book: which case runs, and how those before it went. It lies in memory that a
// reset leaves alone, so a case that resets its VM costs that case and nothing else.
#pragma once

#include "machine.hpp"

namespace attack {

enum class Outcome {
    refused,   // an error or an exception; the attacker got nothing
    ordinary,  // what any program of a guest may do, and no more: a crossing by the front door, ...
    self_harm, // the attacker's VM was reset, hung, or can no longer cross
    failed,    // a defence did not hold
};

class Book {
  public:
    static constexpr u32 max_classes = 24;

    // True if this boot goes on with a campaign that a reset interrupted.
    bool open();

    // False if the class was finished before the reset.
    bool begin_class(u32 number, const char *name);
    // False if the case was played before the reset.
    bool begin_case();
    void end_case(Outcome outcome);
    // One case of `count` that all went the same way.
    void end_cases(Outcome outcome, u64 count);
    void end_class(); // prints its result
    // Should these 8 bytes of memory not be 0 after the case, or after the reset that it ends in,
    // it failed.
    void watch(u64 gpa);

    u64 case_number() const { return page().at; }
    u64 failed() const;
    u64 resets() const { return page().resets; }
    const char *class_name() const { return name_; }

    // Where a case says what went wrong, at most so often in a class.
    bool may_complain();

  private:
    struct Record {
        u64 cases, refused, ordinary, self_harm, failed;
    };
    struct Page {
        u64 magic;
        u64 resets;
        u64 current; // class
        u64 at;      // case, from 1
        u64 running; // a case is under way
        u64 complaints;
        u64 watched; // 0: nothing
        Record records[max_classes];
    };
    static Page &page() { return *reinterpret_cast<Page *>(book_gpa); }
    Record &record() { return page().records[page().current]; }
    void count(Outcome outcome, u64 n);
    bool evidence();

    const char *name_ = "";
    u64 next_ = 0;
    u64 heard_ = 0; // TSC of the last line on the console
};

extern Book book;

} // namespace attack

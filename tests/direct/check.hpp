// SPDX-License-Identifier: Apache-2.0
// Checks for programs that are DPDK applications, where GoogleTest's main() has no place: a wrong
// value is said, and ends the program with status 1.
#pragma once

#include <cstdint>

namespace direct {

struct Case {
    const char *name;
    void (*run)();
};
#define CASE(name)                                                                                 \
    direct::Case                                                                                   \
    {                                                                                              \
#name, name                                                                                \
    }

// The case that runs, for messages.
inline const char *current = "";

[[noreturn]] void wrong(const char *what, int line, long long wanted, long long seen);

template <class A, class B>
void check_eq(A wanted, B seen, const char *what, int line)
{
    const auto a = static_cast<long long>(wanted);
    const auto b = static_cast<long long>(seen);
    if (a != b) {
        wrong(what, line, a, b);
    }
}
#define CHECK_EQ(wanted, seen) direct::check_eq((wanted), (seen), #seen, __LINE__)
#define CHECK(condition) direct::check_eq(true, static_cast<bool>(condition), #condition, __LINE__)

// The value of an extended statistic of a port.
std::uint64_t xstat(std::uint16_t port, const char *name);

} // namespace direct

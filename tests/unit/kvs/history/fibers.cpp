// SPDX-License-Identifier: Apache-2.0
#include "fibers.hpp"

#include <algorithm>
#include <atomic>
#include <cstdio>
#include <cstdlib>

namespace kvs::test {

namespace {

constexpr std::size_t stack_size = std::size_t{64} << 10;
// Now and then somebody sleeps for so long that a log comes round.
constexpr std::uint32_t sleep_of = 700;
constexpr std::uint32_t longest_sleep = 30'000;

struct Range {
    std::uintptr_t from;
    std::size_t length;
    [[nodiscard]] bool has(std::uintptr_t at, std::size_t n) const
    {
        return at >= from && at - from <= length && n <= length - (at - from);
    }
};

struct Fiber {
    std::unique_ptr<std::uint8_t[]> stack;
    void *sp = nullptr;
    std::function<void()> body;
    std::uint64_t wakes = 0; // at so many accesses of the others
    bool over = false;
};

Fibers::State *running = nullptr;

} // namespace

struct Fibers::State {
    explicit State(std::uint64_t seed) : random{seed} {}

    Random random;
    std::vector<Fiber> fibers;
    std::size_t current = 0;
    bool inside = false;
    void *main_sp = nullptr;
    std::vector<Range> shared;
    std::vector<Range> allowed;
    std::uint32_t switch_of = 1;
    std::uint32_t kill_of = 0;
    std::uint32_t kills_left = 0;
    std::uint32_t kills = 0;
    std::uint64_t accesses = 0;
};

// Saves what a call must keep, exchanges the stacks, and returns on the other one.
extern "C" void kvs_switch_stack(void **save, void *to);
__asm__(".text\n.globl kvs_switch_stack\nkvs_switch_stack:\n"
        "push %rbp\npush %rbx\npush %r12\npush %r13\npush %r14\npush %r15\n"
        "mov %rsp, (%rdi)\nmov %rsi, %rsp\n"
        "pop %r15\npop %r14\npop %r13\npop %r12\npop %rbx\npop %rbp\nret\n");

namespace {

void back_to_main(bool over)
{
    Fiber &fiber = running->fibers[running->current];
    fiber.over = over;
    running->inside = false;
    kvs_switch_stack(&fiber.sp, running->main_sp);
}

void begin()
{
    running->fibers[running->current].body();
    back_to_main(true);
    std::abort();
}

void turn()
{
    Fibers::State &s = *running;
    ++s.accesses;
    if (s.kill_of != 0 && s.kills_left != 0 && s.random() % s.kill_of == 0) {
        --s.kills_left;
        ++s.kills;
        back_to_main(true);
        std::abort();
    }
    if (s.random() % sleep_of == 0)
        s.fibers[s.current].wakes = s.accesses + s.random() % longest_sleep;
    else if (s.random() % s.switch_of != 0)
        return;
    back_to_main(false);
}

void access(const void *at, std::size_t length, bool writes)
{
    if (running == nullptr || !running->inside)
        return;
    Fibers::State &s = *running;
    const auto address = reinterpret_cast<std::uintptr_t>(at);
    const auto in = [&](const std::vector<Range> &ranges) {
        return std::ranges::any_of(ranges, [&](const Range &r) { return r.has(address, length); });
    };
    if (in(s.shared)) {
        turn();
        return;
    }
    const Range stack{reinterpret_cast<std::uintptr_t>(s.fibers[s.current].stack.get()),
                      stack_size};
    if (writes && !stack.has(address, length) && !in(s.allowed)) {
        std::fprintf(stderr, "the store writes %zu bytes at %p, which are nobody's\n", length, at);
        std::abort();
    }
}

} // namespace

Fibers::Fibers(std::uint64_t seed) : state_{std::make_unique<State>(seed)} {}
Fibers::~Fibers() = default;

void Fibers::add(std::function<void()> body)
{
    Fiber fiber;
    fiber.stack = std::make_unique_for_overwrite<std::uint8_t[]>(stack_size);
    fiber.body = std::move(body);
    auto **sp = reinterpret_cast<void **>(fiber.stack.get() + stack_size);
    *--sp = nullptr; // as if begin() had been called: the stack is 8 off 16
    *--sp = reinterpret_cast<void *>(&begin);
    for (int i = 0; i < 6; ++i)
        *--sp = nullptr;
    fiber.sp = sp;
    state_->fibers.push_back(std::move(fiber));
}

void Fibers::share(const void *from, std::size_t length)
{
    state_->shared.push_back({reinterpret_cast<std::uintptr_t>(from), length});
}

void Fibers::allow(const void *from, std::size_t length)
{
    state_->allowed.push_back({reinterpret_cast<std::uintptr_t>(from), length});
}

void Fibers::run(std::uint32_t switch_of, std::uint32_t kill_of, std::uint32_t most_kills)
{
    State &s = *state_;
    s.switch_of = switch_of;
    s.kill_of = kill_of;
    s.kills_left = most_kills;
    running = &s;
    for (;;) {
        std::vector<std::size_t> ready;
        std::vector<std::size_t> asleep;
        for (std::size_t i = 0; i < s.fibers.size(); ++i) {
            if (!s.fibers[i].over)
                (s.fibers[i].wakes <= s.accesses ? ready : asleep).push_back(i);
        }
        if (ready.empty())
            ready = std::move(asleep);
        if (ready.empty())
            break;
        s.current = ready[s.random() % ready.size()];
        s.inside = true;
        kvs_switch_stack(&s.main_sp, s.fibers[s.current].sp);
    }
    running = nullptr;
}

std::uint32_t Fibers::kills() const
{
    return state_->kills;
}
std::uint64_t Fibers::accesses() const
{
    return state_->accesses;
}

} // namespace kvs::test

// ------------------------------------------------------- what the instrumented code calls

using kvs::test::access;

extern "C" {

void __tsan_init() {}
void __tsan_func_entry(void *) {}
void __tsan_func_exit() {}

#define CALLED(name, size, writes)                                                                 \
    void name##size(void *at)                                                                      \
    {                                                                                              \
        access(at, size, writes);                                                                  \
    }
#define ACCESS(size)                                                                               \
    CALLED(__tsan_read, size, false)                                                               \
    CALLED(__tsan_write, size, true)                                                               \
    CALLED(__tsan_unaligned_read, size, false) CALLED(__tsan_unaligned_write, size, true)
ACCESS(1)
ACCESS(2)
ACCESS(4)
ACCESS(8)
ACCESS(16)
#undef ACCESS
#undef CALLED
void __tsan_read_range(void *at, unsigned long n)
{
    access(at, n, false);
}
void __tsan_write_range(void *at, unsigned long n)
{
    access(at, n, true);
}

#define ATOMIC(bits, type)                                                                         \
    type __tsan_atomic##bits##_load(const volatile type *at, int)                                  \
    {                                                                                              \
        access(const_cast<const type *>(at), sizeof(type), false);                                 \
        return *at;                                                                                \
    }                                                                                              \
    void __tsan_atomic##bits##_store(volatile type *at, type value, int)                           \
    {                                                                                              \
        access(const_cast<const type *>(at), sizeof(type), true);                                  \
        *at = value;                                                                               \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_strong(volatile type *at, type *expected,           \
                                                      type desired, int, int)                      \
    {                                                                                              \
        access(const_cast<const type *>(at), sizeof(type), true);                                  \
        const type before = *at;                                                                   \
        const bool same = before == *expected;                                                     \
        if (same)                                                                                  \
            *at = desired;                                                                         \
        else                                                                                       \
            *expected = before;                                                                    \
        return same;                                                                               \
    }                                                                                              \
    int __tsan_atomic##bits##_compare_exchange_weak(volatile type *at, type *expected,             \
                                                    type desired, int a, int b)                    \
    {                                                                                              \
        return __tsan_atomic##bits##_compare_exchange_strong(at, expected, desired, a, b);         \
    }                                                                                              \
    type __tsan_atomic##bits##_compare_exchange_val(volatile type *at, type expected,              \
                                                    type desired, int, int)                        \
    {                                                                                              \
        access(const_cast<const type *>(at), sizeof(type), true);                                  \
        const type before = *at;                                                                   \
        if (before == expected)                                                                    \
            *at = desired;                                                                         \
        return before;                                                                             \
    }
ATOMIC(32, unsigned)
ATOMIC(64, unsigned long)
__extension__ typedef unsigned __int128 Word128;
ATOMIC(128, Word128)
#undef ATOMIC
void __tsan_atomic_thread_fence(int) {}
}

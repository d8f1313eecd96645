// SPDX-License-Identifier: Apache-2.0
// A process without privileges, in a VM where another process is attached: it lays VMFUNC wherever
// it likes and tries every offset, leaf, index and some tokens. It must never reach the image.
#include "elisa/doorbell.hpp"
#include "elisa/guest.hpp"
#include "nop.h"
#include "program.hpp"

#include <array>
#include <csetjmp>
#include <csignal>
#include <cstdio>
#include <cstdlib>
#include <cstring>
#include <exception>
#include <grp.h>
#include <string>
#include <sys/io.h>
#include <sys/mman.h>
#include <sys/wait.h>
#include <ucontext.h>
#include <unistd.h>

namespace {

constexpr uid_t nobody = 65534;
constexpr std::uint64_t page = 4096;
constexpr std::uint64_t marker = 0x6d61'726b'6572'0000;
// Where the gate's way back begins: in and out again, past no image.
constexpr std::uint64_t gate_exit = ELISA_LANDING_OFF & ~std::uint64_t{0x1f};
constexpr std::uint8_t int3 = 0xcc;
constexpr std::array<std::uint8_t, 3> vmfunc{0x0f, 0x01, 0xd4};

// What the trap said.
struct Seen {
    int signal = 0;
    std::uint64_t rip = 0;
    std::int64_t rax = 0;
    std::uint64_t rdx = 0;
};
Seen seen;
sigjmp_buf back;

void caught(int signal, siginfo_t *, void *context)
{
    const auto &registers = static_cast<ucontext_t *>(context)->uc_mcontext.gregs;
    seen = {signal, static_cast<std::uint64_t>(registers[REG_RIP]), registers[REG_RAX],
            static_cast<std::uint64_t>(registers[REG_RDX])};
    siglongjmp(back, 1);
}

struct Attempt {
    std::uint64_t offset = ELISA_ENTRY_OFF;
    std::uint64_t eax = 0;
    std::uint64_t ecx = 0;
    std::uint64_t token = 0;
};

void attempt(const Attempt &a)
{
    auto *const code = reinterpret_cast<std::uint8_t *>(ELISA_GATE_VA + a.offset - 3);
    std::memcpy(code, vmfunc.data(), vmfunc.size());
    if (sigsetjmp(back, 1) == 0) {
        register std::uint64_t r10 __asm__("r10") = a.token;
        __asm__ volatile("jmp *%[code]"
                         :
                         : [code] "r"(code), "a"(a.eax), "c"(a.ecx), "d"(marker), "S"(NOP_NOTHING),
                           "r"(r10)
                         : "memory");
    }
    std::memset(code, int3, vmfunc.size());
}

struct Tally {
    std::uint64_t cases = 0, refused = 0, ordinary = 0, failed = 0;
};

void judge(Tally &tally, const Attempt &a)
{
    attempt(a);
    ++tally.cases;
    const std::uint64_t landing = seen.rip - (ELISA_GATE_VA + ELISA_LANDING_OFF);
    const bool returned = seen.signal == SIGTRAP && landing < 8 && seen.rax == 0;
    if (returned && seen.rdx == marker && a.offset < gate_exit) {
        if (++tally.failed < 10) {
            std::printf("FAILED: the image was reached: offset %#lx, EAX %#lx, ECX %#lx\n",
                        a.offset, a.eax, a.ecx);
        }
    } else if (returned && seen.rdx != static_cast<std::uint64_t>(elisa::bad_token)) {
        ++tally.ordinary; // in and out by the gate's second half
    } else {
        ++tally.refused;
    }
}

int child(std::uint64_t gate, std::uint64_t sub)
{
    void *const at = reinterpret_cast<void *>(ELISA_GATE_VA - page);
    if (::getuid() != nobody ||
        ::mmap(at, 3 * page, PROT_READ | PROT_WRITE | PROT_EXEC,
               MAP_PRIVATE | MAP_ANONYMOUS | MAP_FIXED_NOREPLACE, -1, 0) != at) {
        return 2;
    }
    std::memset(at, int3, 3 * page);
    static std::uint8_t stack[65536];
    const stack_t alternative{.ss_sp = stack, .ss_flags = 0, .ss_size = sizeof(stack)};
    ::sigaltstack(&alternative, nullptr);
    struct sigaction action {};
    action.sa_sigaction = caught;
    action.sa_flags = SA_SIGINFO | SA_ONSTACK | SA_NODEFER;
    for (const int signal : {SIGILL, SIGTRAP, SIGSEGV, SIGBUS, SIGFPE}) {
        ::sigaction(signal, &action, nullptr);
    }

    Tally tally;
    for (std::uint64_t offset = 0; offset < page; ++offset) {
        judge(tally, {.offset = offset, .ecx = gate});
    }
    for (std::uint64_t offset = 0; offset < page; offset += 5) {
        judge(tally, {.offset = offset, .ecx = sub});
    }
    for (std::uint64_t eax = 0; eax <= 64; ++eax) {
        judge(tally, {.eax = eax, .ecx = gate});
    }
    for (std::uint64_t ecx = 1; ecx <= 512; ++ecx) {
        judge(tally, {.ecx = ecx});
    }
    for (unsigned bit = 0; bit < 64; ++bit) {
        judge(tally, {.ecx = gate, .token = std::uint64_t{1} << bit});
    }
    // The doorbell is not for it.
    ++tally.cases;
    if (sigsetjmp(back, 1) == 0) {
        elisa::doorbell::Registers registers;
        static_cast<void>(elisa::doorbell::ring(ELISA_CALL_VERSION, registers));
        ++tally.failed;
    } else {
        ++tally.refused;
    }
    apps::print_result({{"class", "entry: a process without privileges"},
                        {"cases", tally.cases},
                        {"refused", tally.refused},
                        {"ordinary", tally.ordinary},
                        {"self_harm", 0},
                        {"failed", tally.failed}});
    return tally.failed == 0 ? 0 : 1;
}

bool become_nobody()
{
    return ::ioperm(ELISA_PORT, 4, 0) == 0 && ::setgroups(0, nullptr) == 0 &&
           ::setresgid(nobody, nobody, nobody) == 0 && ::setresuid(nobody, nobody, nobody) == 0;
}

} // namespace

int main(int argc, char **argv)
try {
    if (argc == 3) {
        return child(std::strtoul(argv[1], nullptr, 10), std::strtoul(argv[2], nullptr, 10));
    }
    const auto attachment = elisa::Attachment::attach(NOP_EXPORT);
    if (!attachment) {
        return apps::fail("attack-user", attachment.error());
    }
    const auto before = attachment->stats();
    const pid_t pid = ::fork();
    if (pid == 0) {
        const std::string gate = std::to_string(attachment->gate_index());
        const std::string sub = std::to_string(attachment->sub_index());
        if (become_nobody()) {
            ::execl("/proc/self/exe", "attack-user", gate.c_str(), sub.c_str(), nullptr);
        }
        ::_exit(127);
    }
    int status = 0;
    ::waitpid(pid, &status, 0);
    // Whatever the child believes: nobody came past the token check, and its VM's port works.
    const auto after = attachment->stats();
    const auto result = attachment->call(NOP_NOTHING, 7);
    const bool ok = status == 0 && before && after && before->crossings == after->crossings &&
                    result.ok() && result.value == 7;
    if (!ok) {
        std::printf("FAILED: child's status %d, %lu crossings by it\n", status,
                    before && after ? after->crossings - before->crossings : 0);
    }
    return ok ? 0 : 1;
} catch (const std::exception &error) {
    std::fprintf(stderr, "attack-user: %s\n", error.what());
    return 1;
}

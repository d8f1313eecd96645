// SPDX-License-Identifier: Apache-2.0
#include "elisa/guest.hpp"
#include "nop.h"
#include "probes.hpp"
#include "program.hpp"

#include <array>
#include <string>
#include <utility>

namespace {

struct Registers {
    std::uint64_t rax, rdx, rcx, rsi, rdi, r8, r9, r10, r11;
    std::uint64_t xmm[16][2];
};

} // namespace

// in[0..5]: the stub's arguments, in[6]: the stub. What the caller-saved registers are right after
// it, before anything else can have touched them; the callee-saved ones the stub itself restores.
__asm__(R"(
    .pushsection .text
probe_capture:
    push %rbx
    push %rsi
    mov %rdi, %rax
    mov 0(%rax), %rdi
    mov 8(%rax), %rsi
    mov 16(%rax), %rdx
    mov 24(%rax), %rcx
    mov 32(%rax), %r8
    mov 40(%rax), %r9
    call *48(%rax)
    xchg %r11, (%rsp)
    mov %rax, 0(%r11)
    mov %rdx, 8(%r11)
    mov %rcx, 16(%r11)
    mov %rsi, 24(%r11)
    mov %rdi, 32(%r11)
    mov %r8, 40(%r11)
    mov %r9, 48(%r11)
    mov %r10, 56(%r11)
    pop %rax
    mov %rax, 64(%r11)
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    movdqu %xmm\n, 72+16*\n(%r11)
    .endr
    pop %rbx
    ret
    .popsection
)");
extern "C" void probe_capture(const std::uint64_t in[7], Registers *out);

// The upper halves: those that capture's plain moves leave alone.
[[gnu::target("avx")]] static std::array<std::uint64_t, 64> whole_vectors()
{
    std::array<std::uint64_t, 64> out{};
    __asm__ volatile(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
                     "vmovdqu %%ymm\\n, 32*\\n(%0)\n\t"
                     ".endr" ::"r"(out.data())
                     : "memory");
    return out;
}

namespace probes {
namespace {

// Names of the registers that are not zero after a call with this NOP_TRASH.
apps::Json left_behind(const elisa::Attachment &attachment, std::uint64_t how, std::int64_t status)
{
    const std::uint64_t in[7] = {attachment.token(),
                                 NOP_TRASH,
                                 how,
                                 attachment.gate_index(),
                                 0,
                                 0,
                                 ELISA_GATE_VA + elisa::detail::stub_offset};
    apps::Json left = apps::Json::array();
    Registers seen{};
    probe_capture(in, &seen);
    if ((how & NOP_TRASH_AVX) != 0) {
        const auto upper = whole_vectors();
        for (std::size_t i = 0; i < 16; ++i) {
            if ((upper[4 * i + 2] | upper[4 * i + 3]) != 0) {
                left.push_back("ymm" + std::to_string(i));
            }
        }
    }
    if (static_cast<std::int64_t>(seen.rax) != status) {
        left.push_back("status " + std::to_string(static_cast<std::int64_t>(seen.rax)));
    }
    const std::array<std::pair<const char *, std::uint64_t>, 7> general{{{"rcx", seen.rcx},
                                                                         {"rsi", seen.rsi},
                                                                         {"rdi", seen.rdi},
                                                                         {"r8", seen.r8},
                                                                         {"r9", seen.r9},
                                                                         {"r10", seen.r10},
                                                                         {"r11", seen.r11}}};
    for (const auto &[name, value] : general) {
        if (value != 0) {
            left.push_back(name);
        }
    }
    if (status != 0 && seen.rdx != 0) {
        left.push_back("rdx");
    }
    for (std::size_t i = 0; i < 16; ++i) {
        if ((seen.xmm[i][0] | seen.xmm[i][1]) != 0) {
            left.push_back("xmm" + std::to_string(i));
        }
    }
    return left;
}

} // namespace

int leaks(const std::string &export_name)
{
    const auto attachment = elisa::Attachment::attach(export_name);
    if (!attachment) {
        return apps::fail("lab-probe", attachment.error());
    }
    const bool stays = stay_on(0);
    const std::uint64_t avx = __builtin_cpu_supports("avx") != 0 ? NOP_TRASH_AVX : 0;
    const auto returned = left_behind(*attachment, avx, 0);
    const auto aborted = left_behind(*attachment, avx | NOP_TRASH_FAULT, -ELISA_E_FAULT);
    const bool closed = sub_is_closed(*attachment);
    const bool ok = stays && returned.empty() && aborted.empty() && closed;
    apps::print_result({{"probe", "leaks"},
                        {"avx", avx != 0},
                        {"after_a_return", returned},
                        {"after_an_abort", aborted},
                        {"sub_closed", closed},
                        {"ok", ok}});
    return ok ? 0 : 1;
}

} // namespace probes

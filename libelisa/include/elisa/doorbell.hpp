// SPDX-License-Identifier: Apache-2.0
// Calls from a VM to elisa.ko: one IN instruction, arguments in registers.
#pragma once

#include "elisa/error.hpp"
#include "elisa_abi.h"

#include <array>
#include <cstdint>
#include <string>
#include <string_view>

namespace elisa::doorbell {

// Arguments before the call, results after it.
struct Registers {
    std::uint64_t rbx = 0;
    std::uint64_t rsi = 0;
    std::uint64_t rdi = 0;
    std::uint64_t r8 = 0;
    std::uint64_t r9 = 0;
    std::uint64_t r10 = 0;
};

// The bare instruction. Without ioperm on this thread the CPU answers with #GP
// (SIGSEGV); without a module, RAX is 0x00000000ffffffff.
[[nodiscard]] inline std::int64_t ring(std::uint32_t number, Registers &regs) noexcept
{
    std::uint64_t rax = ELISA_MAGIC;
    std::uint64_t rcx = number;
    register std::uint64_t r8 __asm__("r8") = regs.r8;
    register std::uint64_t r9 __asm__("r9") = regs.r9;
    register std::uint64_t r10 __asm__("r10") = regs.r10;
    __asm__ volatile("inl %%dx, %%eax"
                     : "+a"(rax), "+b"(regs.rbx), "+c"(rcx), "+S"(regs.rsi), "+D"(regs.rdi),
                       "+r"(r8), "+r"(r9), "+r"(r10)
                     : "d"(std::uint64_t{ELISA_PORT})
                     : "memory", "cc");
    regs.r8 = r8;
    regs.r9 = r9;
    regs.r10 = r10;
    return static_cast<std::int64_t>(rax);
}

inline constexpr std::int64_t nobody_answers = 0xffffffff;

// I/O permission for the calling thread (it is the thread's, not the process's);
// cheap when it is there already.
[[nodiscard]] Result<void> enable();

struct Version {
    std::uint64_t abi;
    elisa_role role;
};

// Is there a module, does it speak our ABI, which role has this VM?
[[nodiscard]] Result<Version> probe();

// enable + ring; `what` begins the error message.
[[nodiscard]] Result<Registers> call(elisa_call number, const Registers &arguments,
                                     std::string_view what);

// A name in four registers, little endian, NUL-padded.
using PackedName = std::array<std::uint64_t, 4>;
[[nodiscard]] Result<PackedName> pack_name(std::string_view name);
[[nodiscard]] std::string unpack_name(const PackedName &packed);

} // namespace elisa::doorbell

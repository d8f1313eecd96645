// SPDX-License-Identifier: Apache-2.0
// Instructions that C++ has no words for.
#pragma once

#include <cstddef>
#include <cstdint>
#include <initializer_list>

namespace attack {

using u8 = std::uint8_t;
using u16 = std::uint16_t;
using u32 = std::uint32_t;
using u64 = std::uint64_t;
using i64 = std::int64_t;

struct [[gnu::packed]] TablePointer { // of LGDT, LIDT
    u16 limit;
    u64 base;
};

namespace cpu {

#define ATTACK_CONTROL_REGISTER(name)                                                              \
    inline u64 name()                                                                              \
    {                                                                                              \
        u64 value = 0;                                                                             \
        __asm__ volatile("mov %%" #name ", %0" : "=r"(value));                                     \
        return value;                                                                              \
    }                                                                                              \
    inline void name(u64 value)                                                                    \
    {                                                                                              \
        __asm__ volatile("mov %0, %%" #name ::"r"(value) : "memory");                              \
    }
ATTACK_CONTROL_REGISTER(cr0)
ATTACK_CONTROL_REGISTER(cr2)
ATTACK_CONTROL_REGISTER(cr3)
ATTACK_CONTROL_REGISTER(cr4)
ATTACK_CONTROL_REGISTER(dr0)
ATTACK_CONTROL_REGISTER(dr1)
ATTACK_CONTROL_REGISTER(dr2)
ATTACK_CONTROL_REGISTER(dr3)
ATTACK_CONTROL_REGISTER(dr6)
ATTACK_CONTROL_REGISTER(dr7)
#undef ATTACK_CONTROL_REGISTER

inline u64 rdmsr(u32 msr)
{
    u32 low = 0;
    u32 high = 0;
    __asm__ volatile("rdmsr" : "=a"(low), "=d"(high) : "c"(msr));
    return u64{high} << 32 | low;
}

inline void wrmsr(u32 msr, u64 value)
{
    __asm__ volatile("wrmsr" ::"c"(msr), "a"(static_cast<u32>(value)),
                     "d"(static_cast<u32>(value >> 32))
                     : "memory");
}

inline void out8(u16 port, u8 value)
{
    __asm__ volatile("outb %0, %1" ::"a"(value), "Nd"(port));
}

inline u8 in8(u16 port)
{
    u8 value = 0;
    __asm__ volatile("inb %1, %0" : "=a"(value) : "Nd"(port));
    return value;
}

inline void out32(u16 port, u32 value)
{
    __asm__ volatile("outl %0, %1" ::"a"(value), "Nd"(port));
}

inline u64 rdtsc()
{
    u32 low = 0;
    u32 high = 0;
    __asm__ volatile("rdtsc" : "=a"(low), "=d"(high));
    return u64{high} << 32 | low;
}

struct Id {
    u32 a, b, c, d;
};
inline Id cpuid(u32 leaf, u32 subleaf = 0)
{
    Id id{};
    __asm__ volatile("cpuid"
                     : "=a"(id.a), "=b"(id.b), "=c"(id.c), "=d"(id.d)
                     : "a"(leaf), "c"(subleaf));
    return id;
}

inline void lidt(const TablePointer &table)
{
    __asm__ volatile("lidt %0" ::"m"(table));
}
inline void lgdt(const TablePointer &table)
{
    __asm__ volatile("lgdt %0" ::"m"(table));
}
inline void ltr(u16 selector)
{
    __asm__ volatile("ltr %0" ::"r"(selector) : "memory");
}
inline void lldt(u16 selector)
{
    __asm__ volatile("lldt %0" ::"r"(selector) : "memory");
}
inline void pause()
{
    __asm__ volatile("pause" ::: "memory");
}
inline void xsetbv(u32 low)
{
    __asm__ volatile("xsetbv" ::"c"(0), "a"(low), "d"(0));
}

} // namespace cpu

namespace cr0 {
inline constexpr u64 pe = 1, mp = 2, em = 4, ts = 8, ne = 32, wp = 1 << 16, am = 1 << 18,
                     nw = 1 << 29, cd = 1 << 30, pg = 1u << 31;
}
namespace cr4 {
inline constexpr u64 pae = 1 << 5, pge = 1 << 7, osfxsr = 1 << 9, osxmmexcpt = 1 << 10,
                     umip = 1 << 11, la57 = 1 << 12, fsgsbase = 1 << 16, pcide = 1 << 17,
                     osxsave = 1 << 18, smep = 1 << 20, smap = 1 << 21, pke = 1 << 22;
}
namespace flag {
inline constexpr u64 cf = 1, fixed = 2, tf = 0x100, intr = 0x200, df = 0x400, iopl3 = 0x3000,
                     nt = 0x4000, rf = 0x10000, ac = 0x40000;
}
namespace msr {
inline constexpr u32 apic_base = 0x1b, debugctl = 0x1d9, pat = 0x277, efer = 0xc0000080,
                     star = 0xc0000081, lstar = 0xc0000082, icr = 0x830;
}
namespace efer {
inline constexpr u64 sce = 1, lme = 1 << 8, lma = 1 << 10, nxe = 1 << 11;
}

} // namespace attack

extern "C" {
void *memset(void *to, int value, __SIZE_TYPE__ n);
void *memcpy(void *to, const void *from, __SIZE_TYPE__ n);
}

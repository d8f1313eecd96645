// SPDX-License-Identifier: Apache-2.0
// The nop image, with every way to go wrong that we know of (invariant I6): whatever happens in the
// sub context, the caller gets an error and its VM lives on.
#include "elisa/image_main.h"
#include "elisa_abi.h"
#include "nop_ops.hpp"

namespace {

constexpr std::uint64_t hole = ELISA_SLOT_BASE + ELISA_OBJECT_X - 0x200000;
constexpr std::uint64_t non_canonical = 0x8000'0000'0000'0000;

const std::uint64_t constant = 42;
// ret, should it ever be executed.
unsigned char data_code[16] = {0xc3};

void read(std::uint64_t address)
{
    std::uint64_t value = 0;
    __asm__ volatile("mov (%1), %0" : "=r"(value) : "r"(address) : "memory");
}

void write(std::uint64_t address)
{
    __asm__ volatile("movq $1, (%0)" ::"r"(address) : "memory");
}

void jump(std::uint64_t address)
{
    __asm__ volatile("call *%0" ::"r"(address) : "memory");
}

template <class T>
std::uint64_t address_of(T *object)
{
    return reinterpret_cast<std::uint64_t>(object);
}

void misbehave(std::uint64_t how, std::uint64_t a1)
{
    switch (how) {
    case FAULT_STRAY_READ:
        return read(hole);
    case FAULT_STRAY_WRITE:
        return write(hole);
    case FAULT_NULL_READ:
        return read(0);
    case FAULT_WRITE_TEXT:
        return write(address_of(&misbehave));
    case FAULT_WRITE_RODATA:
        return write(address_of(&constant));
    case FAULT_EXECUTE_DATA:
        return jump(address_of(&data_code[0]));
    case FAULT_WILD_JUMP:
        return jump(hole);
    case FAULT_LOW_JUMP:
        return jump(0x401000);
    case FAULT_NON_CANONICAL_READ:
        return read(non_canonical);
    case FAULT_NON_CANONICAL_JUMP:
        return jump(non_canonical);
    case FAULT_UD2:
        __asm__ volatile("ud2");
        return;
    case FAULT_INT3:
        __asm__ volatile("int3");
        return;
    case FAULT_INT80:
        __asm__ volatile("int $0x80" ::"a"(20) : "memory");
        return;
    case FAULT_DIVIDE:
        __asm__ volatile("div %%ecx" ::"a"(1), "d"(0), "c"(0) : "cc");
        return;
    case FAULT_HLT:
        __asm__ volatile("hlt");
        return;
    case FAULT_CPUID: {
        std::uint32_t a = 0;
        std::uint32_t b = 0;
        std::uint32_t c = 0;
        std::uint32_t d = 0;
        __asm__ volatile("cpuid" : "+a"(a), "=b"(b), "+c"(c), "=d"(d));
        return;
    }
    case FAULT_SYSCALL:
        __asm__ volatile("syscall" ::"a"(39) : "rcx", "r11", "memory");
        return;
    case FAULT_DOORBELL:
        __asm__ volatile("inl %%dx, %%eax" ::"a"(ELISA_MAGIC), "d"(ELISA_PORT), "c"(0)
                         : "rbx", "rsi", "rdi", "memory");
        return;
    case FAULT_VMCALL:
        __asm__ volatile("vmcall" ::"a"(100) : "rbx", "memory");
        return;
    case FAULT_VMFUNC_DEFAULT:
        __asm__ volatile("vmfunc" ::"a"(0), "c"(0) : "memory");
        return;
    case FAULT_VMFUNC_GATE:
        __asm__ volatile("vmfunc" ::"a"(0), "c"(a1) : "memory");
        return;
    case FAULT_OTHER_GATE: {
        constexpr std::uint64_t stub_vmfunc = ELISA_GATE_VA + ELISA_GATE_EXIT_OFF - 3;
        __asm__ volatile("jmp *%2" ::"a"(0), "c"(a1), "r"(stub_vmfunc) : "memory");
        return;
    }
    case FAULT_VMFUNC_LEAF:
        __asm__ volatile("vmfunc" ::"a"(1), "c"(0) : "memory");
        return;
    case FAULT_STACK_OVERFLOW:
        __asm__ volatile("1: push %%rax\n\tjmp 1b" ::: "memory");
        return;
    case FAULT_LOST_STACK:
        __asm__ volatile("mov %0, %%rsp\n\tpush %%rax" ::"r"(hole) : "memory");
        return;
    case FAULT_ENDLESS_LOOP:
        for (;;) {
            __asm__ volatile("");
        }
    case FAULT_FORGED_COUNT:
        for (auto *const count =
                 reinterpret_cast<volatile std::uint64_t *>(ELISA_SLOT_BASE + ELISA_COUNTERS_X);
             ;) {
            *count = *count + 1;
        }
    case FAULT_SINGLE_STEP:
        __asm__ volatile("pushf\n\torq $0x100, (%%rsp)\n\tpopf\n\tnop" ::: "memory", "cc");
        return;
    case FAULT_READ_GATE:
        return read(ELISA_GATE_VA);
    case FAULT_READ_LIST:
        return read(ELISA_SLOT_BASE + ELISA_LIST_X);
    default:
        return;
    }
}

} // namespace

// Keeps none of the promises of the C ABI, and leaves something in every register.
__asm__(R"(
    .pushsection .text.nop_trash, "ax", @progbits
nop_trash:
    mov %rdi, %rax
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    pcmpeqb %xmm\n, %xmm\n
    .endr
    test $2, %al
    jz 1f
    .irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15
    vcmptrueps %ymm\n, %ymm\n, %ymm\n
    .endr
1:  fld1
    std
    mov $-1, %rbx
    mov $-2, %rbp
    mov $-3, %r12
    mov $-4, %r13
    mov $-5, %r14
    mov $-6, %r15
    mov $-7, %rcx
    mov $-8, %rdx
    mov $-9, %rsi
    mov $-10, %rdi
    mov $-11, %r8
    mov $-12, %r9
    mov $-13, %r10
    mov $-14, %r11
    test $1, %al
    jz 2f
    ud2
2:  mov $0x7ea5, %eax
    ret
    .popsection
)");
extern "C" std::int64_t nop_trash(std::uint64_t how);

std::int64_t elisa_image_main(std::uint64_t arg, std::uint64_t a0, std::uint64_t a1,
                              std::uint64_t vcpu, std::uint64_t a2, std::uint64_t a3)
{
    if (a0 == NOP_NOTHING) {
        return static_cast<std::int64_t>(a1);
    }
    if (a0 == NOP_TRASH) {
        return nop_trash(a1); // a jump: what it does to the registers reaches the caller's stub
    }
    if (a0 >= NOP_FAULT) {
        misbehave(a0, a1);
        return NOP_E_OP;
    }
    return nop::ops(arg, a0, a1, vcpu, a2, a3);
}

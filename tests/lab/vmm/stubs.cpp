// SPDX-License-Identifier: Apache-2.0
#include "stubs.hpp"

// The addresses are those of stubs.hpp.
__asm__(R"(
    .pushsection .rodata
vmm_call:     in (%dx), %eax
    out %al, $0x42
vmm_call_end:

vmm_image:    mov %rdx, %rax
    test %rsi, %rsi
    jz 2f
1:  dec %rsi
    jnz 1b
2:  ret
vmm_image_end:

    .code16
vmm_smi:      lidtw 0x600
    mov 0x710, %ecx
    xor %eax, %eax
    vmfunc
    out %al, $0x43
vmm_smi_end:
vmm_smi_ud:   incb 0x700
    rsm
vmm_smi_ud_end:
vmm_reset:    mov 0x710, %ecx
    xor %eax, %eax
    vmfunc
    out %al, $0x43
vmm_reset_end:
vmm_reset_ud: out %al, $0x42
vmm_reset_ud_end:

    .code32
vmm_legacy:   mov %cr0, %eax
    btr $31, %eax
    mov %eax, %cr0
    xor %eax, %eax
    vmfunc
    out %al, $0x43
vmm_legacy_end:
    .code64
    .popsection
)");

#define VMM_STUB(name)                                                                             \
    extern "C" const std::uint8_t vmm_##name[], vmm_##name##_end[];                                \
    namespace vmm {                                                                                \
    Code name##_code()                                                                             \
    {                                                                                              \
        return {vmm_##name, vmm_##name##_end};                                                     \
    }                                                                                              \
    }

VMM_STUB(call)
VMM_STUB(image)
VMM_STUB(smi)
VMM_STUB(smi_ud)
VMM_STUB(reset)
VMM_STUB(reset_ud)
VMM_STUB(legacy)

#undef VMM_STUB

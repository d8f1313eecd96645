/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The gate page and the sub stub: templates, copied and patched per context.
 * Both are mapped at GATE_VA, each in its own EPT context and execute-only, as is
 * the driver's entry page in the default context:
 *
 *   offset       default            gate                 sub
 *   ENTRY-3      vmfunc(gate)
 *   ENTRY                           close default
 *                                   open sub
 *                                   check, vmfunc(sub)
 *   entry_end                                            token, stack, image,
 *                                                        scrub, vmfunc(gate)
 *   exit                            check sub, close it
 *                                   reopen default
 *                                   vmfunc(default)
 *   LANDING      landing
 *
 * A guest can enter the gate at any of its 4096 offsets, with any registers
 * (I2). So no instruction here trusts one: every store is an immediate at a fixed
 * place, and everything that is not an instruction is ICEBP, whose #DB KVM always
 * intercepts. The check that the default entry is closed comes after the store
 * that opens the sub entry: whoever jumps past the close cannot pass it. The exit's
 * check is against an image that went astray and left by another attachment's gate,
 * which would leave its own sub entry open.
 *
 * "Any offset" is also the middle of an instruction, where other instructions begin. None of them
 * may store through a register that the guest chose (RAX and RCX it can choose by halves only, and
 * no half names the list), so:
 *   - the list page lies such that the upper bytes of a displacement to it are 0xee or 0xef (OUT, which
 *     exits; as a ModRM byte, registers), 0x06 and 0x06 (#UD). With 0x1e and two zeros in their place,
 *     "mov %ebx, (%rsi)" and "add %bl, (%rsi)" were in there: a guest could write the list;
 *   - the first byte of the displacement, which differs by slot, is no PUSH, CALL or string store;
 *   - a byte of 0 at the end of an instruction is followed by one that, as its ModRM byte, names a
 *     register: hence CLD and ENDBR64 (a NOP here) where they are.
 */
#include "gate.h"

#define VMFUNC .byte 0x0f, 0x01, 0xd4
#define ICEBP  0xf1

	.section .rodata, "a"

	/* What replaces elisa_sub_scrub for a guest whose XCR0 lacks AVX. */
	.globl elisa_sub_scrub_sse
elisa_sub_scrub_sse:
	.byte	0xe9
	.long	.Lscrub_sse - .Lscrubbed

	.balign 4096
	.globl elisa_gate_page
elisa_gate_page:
.Lgate:
#define LIST (.Lgate + GATE_LIST_DELTA)(%rip)

	.org .Lgate + GATE_ENTRY_OFF, ICEBP
	movb	$0, LIST		/* list[default] */
	.globl elisa_gate_open
elisa_gate_open:
	movb	$GATE_EPTP_LOW, LIST	/* list[sub]; displacement patched */
	cmpb	$0, LIST
	cld
	jne	.Lgate + GATE_ENTRY_OFF - 1
	.globl elisa_gate_sub_index
elisa_gate_sub_index:
	mov	$0, %ecx
	endbr64
	VMFUNC
	.globl elisa_gate_entry_end
elisa_gate_entry_end:

	/* Ends at LANDING. */
	.org .Lgate + GATE_EXIT_OFF, ICEBP
	.globl elisa_gate_exit
elisa_gate_exit:
.Lgate_exit:
	.globl elisa_gate_check
elisa_gate_check:
	cmpb	$GATE_EPTP_LOW, LIST	/* list[sub]; displacement patched */
	jne	.Lgate_exit - 1
	.globl elisa_gate_close
elisa_gate_close:
	movb	$0, LIST		/* list[sub]; displacement patched */
	.globl elisa_gate_reopen
elisa_gate_reopen:
	movb	$0, LIST		/* list[default]; immediate patched */
	xor	%ecx, %ecx
	VMFUNC
	.org .Lgate + GATE_LANDING_OFF, ICEBP

	.org .Lgate + 4096, ICEBP

	.balign 4096
	.globl elisa_sub_page
elisa_sub_page:
.Lsub:
#define SAVED_RSP (.Lsub + GATE_STACK_DELTA - 16)(%rip)

	.org .Lsub + (elisa_gate_entry_end - elisa_gate_page), ICEBP
	lfence
	movabs	$0x1122334455667788, %rcx
	.globl elisa_sub_token
	.set elisa_sub_token, . - 8
	cmp	%rcx, %r10
	jne	.Lbad_token
	mov	%rsp, SAVED_RSP
	lea	SAVED_RSP, %rsp
	incq	(.Lsub + GATE_COUNTERS_DELTA)(%rip)
	movabs	$0x1122334455667788, %rdi
	.globl elisa_sub_arg
	.set elisa_sub_arg, . - 8
	mov	$0, %ecx
	.globl elisa_sub_vcpu
	.set elisa_sub_vcpu, . - 4
	.byte	0xe8			/* call the image's entry */
	.long	0
	.globl elisa_sub_call
	.set elisa_sub_call, . - 4
	mov	%rax, %rdx
	.globl elisa_sub_scrub		/* 5 bytes: a jump to .Lscrub_sse without AVX */
elisa_sub_scrub:
	vzeroall
	xor	%esi, %esi
.Lscrubbed:
	xor	%edi, %edi
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r11d, %r11d
	pop	%rsp
.Lout:
	mov	$0, %ecx
	.globl elisa_sub_gate_index
	.set elisa_sub_gate_index, . - 4
	xor	%eax, %eax
	/* GATE_LANDING_OFF is such that this ends where the gate's exit begins;
	 * elisa_init() refuses to load otherwise. */
	.globl elisa_sub_vmfunc
elisa_sub_vmfunc:
	VMFUNC
	.globl elisa_sub_end
elisa_sub_end:

.Lbad_token:
	movabs	$0x8000000000000001, %rdx	/* ELISA_RESULT_BAD_TOKEN */
	jmp	.Lout
.Lscrub_sse:
	.irp n, 0, 1, 2, 3, 4, 5, 6, 7, 8, 9, 10, 11, 12, 13, 14, 15
	pxor	%xmm\n, %xmm\n
	.endr
	xor	%esi, %esi
	jmp	.Lscrubbed
	.org .Lsub + 4096, ICEBP

	.section .note.GNU-stack, "", @progbits

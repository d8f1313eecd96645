/* SPDX-License-Identifier: Apache-2.0 */
/*
 * u64 run_l2(Frame *frame): VMLAUNCH with the frame's general registers; returns, with the L2's in the
 * frame, 0 at a VM exit, 1 if the entry failed.
 */
	.text
	.globl	run_l2
run_l2:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rdi
	mov	$0x6c14, %eax		/* host RSP */
	vmwrite	%rsp, %rax
	mov	$0x6c16, %eax		/* host RIP */
	lea	1f(%rip), %rdx
	vmwrite	%rdx, %rax
	mov	0(%rdi), %rax
	mov	8(%rdi), %rbx
	mov	16(%rdi), %rcx
	mov	24(%rdi), %rdx
	mov	32(%rdi), %rsi
	mov	56(%rdi), %r8
	mov	64(%rdi), %r9
	mov	72(%rdi), %r10
	mov	40(%rdi), %rdi
	vmlaunch
	pop	%rdi
	mov	$1, %eax
	jmp	2f
1:	xchg	%rdi, (%rsp)
	mov	%rax, 0(%rdi)
	mov	%rbx, 8(%rdi)
	mov	%rcx, 16(%rdi)
	mov	%rdx, 24(%rdi)
	mov	%rsi, 32(%rdi)
	mov	%r8, 56(%rdi)
	mov	%r9, 64(%rdi)
	mov	%r10, 72(%rdi)
	pop	%rax
	mov	%rax, 40(%rdi)
	xor	%eax, %eax
2:	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	/* What the L2 executes. */
	.globl	l2_doorbell, l2_vmfunc
l2_doorbell:
	in	%dx, %eax
	vmcall
l2_vmfunc:
	.byte	0x0f, 0x01, 0xd4
	vmcall
	.section .note.GNU-stack, "", @progbits

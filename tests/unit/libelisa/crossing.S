/* SPDX-License-Identifier: Apache-2.0 */
/* What is on the other side of the VMFUNC in the crossing tests, and a caller that notices everything. */


	.data
	.globl	fake_landing			/* where it comes back; set by the test */
	.balign	8
fake_landing:
	.quad	0

	.text

/* As after a return: RAX 0, RDX the result (here a sum of all that came in), nothing else worth having.
 * The worst image that still returns: every callee-saved register broken, DF set. */
	.globl	fake_return
fake_return:
	lea	(%rsi,%rdx,2), %rdx
	lea	(%rdx,%r8,4), %rdx
	lea	(%rdx,%r9,8), %rdx
	shl	$32, %rcx
	add	%rcx, %rdx
	shl	$40, %r10
	add	%r10, %rdx
	mov	%rax, %r11			/* what RAX was at the VMFUNC: must be 0 */
	shl	$60, %r11
	add	%r11, %rdx
	mov	$-1, %rbx
	mov	$-2, %rbp
	mov	$-3, %r12
	mov	$-4, %r13
	mov	$-5, %r14
	mov	$-6, %r15
	xor	%eax, %eax
	xor	%edi, %edi
	xor	%esi, %esi
	movabs	$0x1000, %rsp			/* nobody may rest on it */
	std
	jmp	*fake_landing(%rip)

/* As after an abort: everything zero but RAX. */
	.globl	fake_abort
fake_abort:
	mov	$-32, %rax
	xor	%ebx, %ebx
	xor	%ecx, %ecx
	xor	%edx, %edx
	xor	%esi, %esi
	xor	%edi, %edi
	xor	%ebp, %ebp
	xor	%esp, %esp
	xor	%r8d, %r8d
	xor	%r9d, %r9d
	xor	%r10d, %r10d
	xor	%r12d, %r12d
	xor	%r13d, %r13d
	xor	%r14d, %r14d
	xor	%r15d, %r15d
	jmp	*fake_landing(%rip)

/* void careful_call(const uint64_t in[7], uint64_t out[9]): in[0..5] the six arguments, in[6] the function;
 * out: RAX, RDX, RBX, RBP, R12-R15, RFLAGS after it. */
	.globl	careful_call
careful_call:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	push	%rsi
	mov	%rdi, %rax
	mov	0(%rax), %rdi
	mov	8(%rax), %rsi
	mov	16(%rax), %rdx
	mov	24(%rax), %rcx
	mov	32(%rax), %r8
	mov	40(%rax), %r9
	mov	$0xb, %ebx
	mov	$0xbb, %ebp
	mov	$12, %r12d
	mov	$13, %r13d
	mov	$14, %r14d
	mov	$15, %r15d
	call	*48(%rax)
	pop	%r11
	mov	%rax, 0(%r11)
	mov	%rdx, 8(%r11)
	mov	%rbx, 16(%r11)
	mov	%rbp, 24(%r11)
	mov	%r12, 32(%r11)
	mov	%r13, 40(%r11)
	mov	%r14, 48(%r11)
	mov	%r15, 56(%r11)
	pushf
	pop	%r10
	mov	%r10, 64(%r11)
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	.section .note.GNU-stack, "", @progbits

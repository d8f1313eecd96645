/* SPDX-License-Identifier: Apache-2.0 */
/*
 * The crossing, default context's side. Everything between these labels is copied to
 * ELISA_GATE_VA; nothing of it runs where it is linked. It is position-independent but
 * for one constant, patched when it is laid down: the offset from FS of the thread's slot
 * for RSP, which is the only thing that survives an abort (invariant I6: what the caller
 * needs afterwards is kept where only the default context writes it).
 *
 * CallResult stub(token, a0, a1, gate_index, a2, a3): the C ABI's argument registers are
 * RDI, RSI, RDX, RCX, R8, R9, so that all but the token are in their place already.
 * 20 instructions with the return. The callee-saved registers are restored and DF is cleared
 * although an image that keeps the ABI leaves them alone: one that does not (or was aborted, which
 * zeroes them) must not be able to misdirect its caller.
 */
	.section .rodata.elisa_stub, "a", @progbits
	.balign	16

	.globl	elisa_stub_entry
	.globl	elisa_stub_entry_tpoff
	.globl	elisa_stub_vmfunc
	.globl	elisa_stub_entry_end
	.hidden	elisa_stub_entry
	.hidden	elisa_stub_entry_tpoff
	.hidden	elisa_stub_vmfunc
	.hidden	elisa_stub_entry_end
elisa_stub_entry:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, %fs:0x7fffffff
elisa_stub_entry_tpoff:
	mov	%rdi, %r10
	xor	%eax, %eax
elisa_stub_vmfunc:
	.byte	0x0f, 0x01, 0xd4
elisa_stub_entry_end:

	/* elisa::detail::stub_offset: callers jump to ENTRY_OFF - 27. */
	.if	(elisa_stub_entry_end - elisa_stub_entry) - 27
	.error	"stub_offset in elisa/guest.hpp does not fit the stub"
	.endif

	.globl	elisa_stub_landing
	.globl	elisa_stub_landing_tpoff
	.globl	elisa_stub_landing_end
	.hidden	elisa_stub_landing
	.hidden	elisa_stub_landing_tpoff
	.hidden	elisa_stub_landing_end
elisa_stub_landing:
	mov	%fs:0x7fffffff, %rsp
elisa_stub_landing_tpoff:
	cld
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret
elisa_stub_landing_end:

	.section .note.GNU-stack, "", @progbits

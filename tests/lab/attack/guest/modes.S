/* SPDX-License-Identifier: Apache-2.0 */
/*
 * Ways out of long mode that end with a VMFUNC. Copied, entered in compatibility mode at CPL 0.
 *   EBX bit 0: paging on again; EDI: CR3, ESI: CR4 for that; ECX: the VMFUNC's index
 */
	.section .rodata
	.code32
	.globl	mode_legacy, mode_legacy_end
mode_legacy:
	mov	%ecx, %ebp
	mov	%cr0, %eax
	btr	$31, %eax
	mov	%eax, %cr0
	mov	$0xc0000080, %ecx
	rdmsr
	btr	$8, %eax
	wrmsr
	mov	%esi, %cr4
	mov	%edi, %cr3
	test	$1, %ebx
	jz	1f
	mov	%cr0, %eax
	bts	$31, %eax
	mov	%eax, %cr0
1:	mov	%ebp, %ecx
	xor	%eax, %eax
	.byte	0x0f, 0x01, 0xd4
mode_legacy_end:

	/* At 0x9000. */
	.globl	mode_real, mode_real_end
mode_real:
	mov	%ecx, %ebp
	mov	%cr0, %eax
	btr	$31, %eax
	mov	%eax, %cr0
	ljmp	$0x38, $(0x9000 + (1f - mode_real))
	.code16
1:	mov	%cr0, %eax
	and	$-2, %eax
	mov	%eax, %cr0
	ljmpl	$0, $(0x9000 + (2f - mode_real))
2:	mov	%ebp, %ecx
	xor	%eax, %eax
	.byte	0x0f, 0x01, 0xd4
mode_real_end:
	.section .note.GNU-stack, "", @progbits

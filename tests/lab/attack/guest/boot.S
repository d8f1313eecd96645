/* SPDX-License-Identifier: Apache-2.0 */
/*
 * From PVH (32-bit, paging off, EBX: start info) and from SIPI to 64-bit C++; the trap entries; and
 * enter(), by which a trial gives the CPU away and gets it back.
 */
#define STACK_SIZE 0x8000

	.section .note.pvh, "a", @note
	.balign	4
	.long	4, 4, 18		/* XEN_ELFNOTE_PHYS32_ENTRY */
	.asciz	"Xen"
	.long	pvh_start

	.section .boot, "ax", @progbits
	.code32
	.globl	pvh_start
pvh_start:
	cli
	cld
	mov	%ebx, %ebp
	mov	$__bss_start, %edi	/* a reset VM finds what it left */
	mov	$__bss_end, %ecx
	sub	%edi, %ecx
	xor	%eax, %eax
	rep stosb
	mov	$boot_stack + STACK_SIZE, %esp
	call	long_mode
	ljmp	$0x08, $1f
	.code64
1:	mov	%ebp, %edi
	call	boot_cpu_main
2:	hlt
	jmp	2b

	.code32
long_mode:
	lgdt	boot_gdt_pointer
	mov	%cr4, %eax
	or	$0x20, %eax		/* PAE */
	mov	%eax, %cr4
	mov	$boot_pml4, %eax
	mov	%eax, %cr3
	mov	$0xc0000080, %ecx	/* EFER.LME */
	rdmsr
	or	$0x100, %eax
	wrmsr
	mov	%cr0, %eax
	or	$0x80000000, %eax
	mov	%eax, %cr0
	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %es
	mov	%eax, %ss
	ret

	/* The second vCPU, copied to 0x8000. */
	.code16
	.globl	ap_start, ap_end
ap_start:
	cli
	lgdtl	%cs:(ap_gdt_pointer - ap_start)
	mov	%cr0, %eax
	or	$1, %eax
	mov	%eax, %cr0
	ljmpl	$0x30, $ap_32
ap_gdt_pointer:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt
ap_end:
	.code32
ap_32:	mov	$0x10, %eax
	mov	%eax, %ds
	mov	%eax, %ss
	mov	$ap_stack + STACK_SIZE, %esp
	call	long_mode
	ljmp	$0x08, $1f
	.code64
1:	call	second_cpu_main
2:	hlt
	jmp	2b

	.balign	16
boot_gdt:
	.quad	0
	.quad	0x00af9b000000ffff	/* 08 code, 64 bit */
	.quad	0x00cf93000000ffff	/* 10 data */
	.quad	0, 0, 0
	.quad	0x00cf9b000000ffff	/* 30 code, 32 bit */
boot_gdt_end:
boot_gdt_pointer:
	.word	boot_gdt_end - boot_gdt - 1
	.long	boot_gdt

	.section .boot.tables, "aw", @progbits
	.balign	4096
boot_pml4:
	.quad	boot_pdpt + 3
	.fill	511, 8, 0
boot_pdpt:
	.quad	0x83, 0x40000083, 0x80000083, 0xc0000083
	.fill	508, 8, 0

	.text
	/*
	 * void enter(Cpu *cpu, Frame *frame): the CPU goes on as the frame says, and returns here, with the
	 * frame as it was then, at the next exception or interrupt.
	 */
	.globl	enter
enter:
	push	%rbx
	push	%rbp
	push	%r12
	push	%r13
	push	%r14
	push	%r15
	mov	%rsp, 8(%rdi)
	mov	%rsi, (%rdi)
	pushq	152(%rsi)
	pushq	144(%rsi)
	pushq	136(%rsi)
	pushq	128(%rsi)
	pushq	120(%rsi)
	mov	0(%rsi), %rax
	mov	8(%rsi), %rbx
	mov	16(%rsi), %rcx
	mov	24(%rsi), %rdx
	mov	40(%rsi), %rdi
	mov	48(%rsi), %rbp
	mov	56(%rsi), %r8
	mov	64(%rsi), %r9
	mov	72(%rsi), %r10
	mov	80(%rsi), %r11
	mov	88(%rsi), %r12
	mov	96(%rsi), %r13
	mov	104(%rsi), %r14
	mov	112(%rsi), %r15
	mov	32(%rsi), %rsi
	iretq

	/* All vectors run on the CPU's one trap stack; above the frame lies the Cpu's address. */
trapped:
	cld
	push	%rax
	mov	64(%rsp), %rax		/* Cpu */
	mov	(%rax), %rax		/* Frame */
	test	%rax, %rax
	jz	unexpected
	mov	%rbx, 8(%rax)
	mov	%rcx, 16(%rax)
	mov	%rdx, 24(%rax)
	mov	%rsi, 32(%rax)
	mov	%rdi, 40(%rax)
	mov	%rbp, 48(%rax)
	mov	%r8, 56(%rax)
	mov	%r9, 64(%rax)
	mov	%r10, 72(%rax)
	mov	%r11, 80(%rax)
	mov	%r12, 88(%rax)
	mov	%r13, 96(%rax)
	mov	%r14, 104(%rax)
	mov	%r15, 112(%rax)
	popq	0(%rax)
	popq	160(%rax)
	popq	168(%rax)
	popq	120(%rax)
	popq	128(%rax)
	popq	136(%rax)
	popq	144(%rax)
	popq	152(%rax)
	mov	(%rsp), %rdi
	movq	$0, (%rdi)
	mov	8(%rdi), %rsp
	pushq	$2
	popfq
	pop	%r15
	pop	%r14
	pop	%r13
	pop	%r12
	pop	%rbp
	pop	%rbx
	ret

	/* An NMI is counted, wherever it comes, and that is all. */
	.globl	nmi_entry
nmi_entry:
	lock incq nmis_taken
	iretq

unexpected:
	pop	%rax
	pop	%rdi			/* vector */
	pop	%rsi			/* error code */
	pop	%rdx			/* RIP */
	mov	%cr2, %rcx
	call	unexpected_trap
1:	hlt
	jmp	1b

	.altmacro
	.macro trap_entry number
	.balign	16
	.if	(\number == 8) || ((\number >= 10) && (\number <= 14)) || (\number == 17) || (\number == 21)
	.else
	pushq	$0
	.endif
	pushq	$\number
	jmp	trapped
	.endm
	.balign	16
	.globl	trap_entries
trap_entries:
	.set	n, 0
	.rept	64
	trap_entry %n
	.set	n, n + 1
	.endr

	.bss
	.balign	16
	.globl	nmis_taken
nmis_taken:
	.skip	16
boot_stack:
	.skip	STACK_SIZE
ap_stack:
	.skip	STACK_SIZE
	.section .note.GNU-stack, "", @progbits

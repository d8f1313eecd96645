// SPDX-License-Identifier: GPL-2.0-only
/* No translation outlives the tables that it came from. */
#include <linux/smp.h>

#include <asm/asm.h>
#include <asm/tlbflush.h>

#include "elisa.h"

static void invept_global(void *unused)
{
	struct { u64 eptp, zero; } operand = {};

	/* A CPU that is not in VMX operation needs none: KVM flushes before it runs a vCPU
	 * there. As it comes or goes CR4 may say VMX although it is not: then this is #UD. */
	if (cr4_read_shadow() & X86_CR4_VMXE)
		asm volatile("1: invept %0, %1\n"
			     "2:\n"
			     _ASM_EXTABLE(1b, 2b)
			     :: "m"(operand), "r"(2ul) : "cc", "memory");
}

/*
 * Drops every translation of every context on every CPU. As it is an IPI, each
 * vCPU that was running has left guest mode, too, when this returns, and will
 * pass before_entry() before it runs again.
 */
void elisa_invept_all(void)
{
	on_each_cpu(invept_global, NULL, 1);
}

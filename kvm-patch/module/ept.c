// SPDX-License-Identifier: GPL-2.0-only
/*
 * EPT contexts. Every guest-physical address outside the window leads to the
 * context's page-table root, read-only: the Anywhere Page Table, found at
 * whatever address the guest's CR3 holds. In the window there is nothing but what
 * is mapped (I4: a CR3 that names the window cannot be walked in the gate).
 *
 *   root[512] --+-- fill PDPT[512] -- fill PD[512] -- fill PT[512] -- root page
 *               |
 *               +-- [window] own PDPT --+-- fill PD (below and above the window)
 *                                       +-- own PDs: gate page, stack, ...
 *                                       +-- the export's PDs (sub only)
 */
#include <linux/smp.h>

#include <asm/asm.h>
#include <asm/tlbflush.h>

#include "elisa.h"
#include "gate.h"

static struct elisa_pages fill_pages;
static u64 fill_pd[2], fill_pdpt[2]; /* entries, by enum elisa_ept_kind */

static unsigned int index_of(u64 gpa, int level)
{
	return gpa >> (12 + 9 * level) & 511;
}

u64 elisa_ept_table(const void *page)
{
	return __pa(page) | EPT_RWX;
}

static u64 *fill_table(u64 entry)
{
	u64 *t = elisa_page_alloc(&fill_pages);
	int i;

	for (i = 0; t && i < 512; i++)
		t[i] = entry;
	return t;
}

static int fill(enum elisa_ept_kind kind, const void *root)
{
	u64 *pt, *pd, *pdpt;

	pt = fill_table(__pa(root) | EPT_R | EPT_WB);
	if (!pt)
		return -ENOMEM;
	pd = fill_table(elisa_ept_table(pt));
	if (!pd)
		return -ENOMEM;
	pdpt = fill_table(elisa_ept_table(pd));
	if (!pdpt)
		return -ENOMEM;
	fill_pd[kind] = elisa_ept_table(pd);
	fill_pdpt[kind] = elisa_ept_table(pdpt);
	return 0;
}

int elisa_ept_init(void)
{
	elisa_pages_init(&fill_pages, NULL);
	if (fill(ELISA_EPT_GATE, elisa_gate_root) || fill(ELISA_EPT_SUB, elisa_sub_root)) {
		elisa_ept_exit();
		return -ENOMEM;
	}
	return 0;
}

void elisa_ept_exit(void)
{
	elisa_pages_free(&fill_pages);
}

/* An empty context. *pdpt is where the window begins: [i] is its i-th GiB. */
int elisa_ept_create(struct elisa_pages *pages, enum elisa_ept_kind kind, u64 *eptp, u64 **pdpt)
{
	u64 *root = elisa_page_alloc(pages);
	u64 *own = elisa_page_alloc(pages);
	unsigned int first = index_of(elisa_window_gpa, 2);
	unsigned int i;

	if (!root || !own)
		return -ELISA_E_NOMEM;
	for (i = 0; i < 512; i++)
		root[i] = fill_pdpt[kind];
	root[index_of(elisa_window_gpa, 3)] = elisa_ept_table(own);
	for (i = 0; i < 512; i++)
		if (i < first || i >= first + ELISA_SLOT_GIGS)
			own[i] = fill_pd[kind];
	*pdpt = own + first;
	*eptp = __pa(root) | GATE_EPTP_LOW;
	return 0;
}

static u64 *descend(struct elisa_pages *pages, u64 *entry)
{
	if (!*entry) {
		void *page = elisa_page_alloc(pages);

		if (!page)
			return NULL;
		WRITE_ONCE(*entry, elisa_ept_table(page));
	}
	return __va(*entry & PAGE_MASK & ~(1ull << 63));
}

/* The entry of the 2 MiB at x, given the entry of its GiB. NULL: no memory. */
u64 *elisa_ept_pde(struct elisa_pages *pages, u64 *pdpte, u64 x)
{
	u64 *pd = descend(pages, pdpte);

	return pd ? &pd[index_of(x, 1)] : NULL;
}

/* Maps one page of the module's at x. */
int elisa_ept_map(struct elisa_pages *pages, u64 *pdpt, u64 x, void *page, u64 prot)
{
	u64 *pde = elisa_ept_pde(pages, &pdpt[x >> 30], x);
	u64 *pt = pde ? descend(pages, pde) : NULL;

	if (!pt)
		return -ELISA_E_NOMEM;
	WRITE_ONCE(pt[index_of(x, 0)], __pa(page) | EPT_WB | prot);
	return 0;
}

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

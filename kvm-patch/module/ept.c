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

#include <linux/errno.h>
#include <linux/mm.h>

#include "tables.h"
#include "gate.h"

static struct elisa_pages fill_pages;
static struct { u64 pd, pdpt; } fills[2][2]; /* entries, by enum elisa_ept_kind and LA57 */

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

static int fill(enum elisa_ept_kind kind, bool la57, const void *root)
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
	fills[kind][la57].pd = elisa_ept_table(pd);
	fills[kind][la57].pdpt = elisa_ept_table(pdpt);
	return 0;
}

int elisa_ept_init(void)
{
	int la57;

	elisa_pages_init(&fill_pages, NULL);
	for (la57 = 0; la57 < 2; la57++)
		if (fill(ELISA_EPT_GATE, la57, elisa_gate_pt.root[la57]) ||
		    fill(ELISA_EPT_SUB, la57, elisa_sub_pt.root[la57])) {
			elisa_ept_exit();
			return -ENOMEM;
		}
	return 0;
}

void elisa_ept_exit(void)
{
	elisa_pages_free(&fill_pages);
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

/*
 * A context that has nothing but its guest page tables. *pdpt is where the window begins:
 * [i] is its i-th GiB.
 */
int elisa_ept_create(struct elisa_pages *pages, enum elisa_ept_kind kind, bool la57, u64 *eptp,
		     u64 **pdpt)
{
	const struct elisa_guest_pt *pt = kind == ELISA_EPT_GATE ? &elisa_gate_pt : &elisa_sub_pt;
	u64 pml4_x = kind == ELISA_EPT_GATE ? ELISA_GATE_PML4_X : ELISA_SUB_PML4_X;
	u64 pdpt_x = kind == ELISA_EPT_GATE ? ELISA_GATE_PDPT_X : ELISA_SUB_PDPT_X;
	u64 *root = elisa_page_alloc(pages);
	u64 *own = elisa_page_alloc(pages);
	unsigned int first = index_of(elisa_window_gpa, 2);
	unsigned int i;
	int err;

	if (!root || !own)
		return -ELISA_E_NOMEM;
	for (i = 0; i < 512; i++)
		root[i] = fills[kind][la57].pdpt;
	root[index_of(elisa_window_gpa, 3)] = elisa_ept_table(own);
	for (i = 0; i < 512; i++)
		if (i < first || i >= first + ELISA_SLOT_GIGS)
			own[i] = fills[kind][la57].pd;
	*pdpt = own + first;
	*eptp = __pa(root) | GATE_EPTP_LOW;
	err = elisa_ept_map(pages, *pdpt, pdpt_x, pt->pdpt, EPT_R);
	if (!err && la57)
		err = elisa_ept_map(pages, *pdpt, pml4_x, pt->root[0], EPT_R);
	return err;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest page tables of the gate and of the sub contexts: the same few
 * pages for everybody, read-only in every EPT.
 *
 *   CR3 (any GPA, by the EPT's fill) -> root[96] -> PDPT -> 1 GiB pages
 *
 *   gate PDPT    [1] window + 1 GiB            the rest: hole
 *   sub PDPT     [i] window + i GiB, i < 256   the rest: hole
 *
 * A guest with 5-level paging finds one more above: root5[0] -> root, the rest: hole. The
 * slot is in the lower half, so [0] it is. A context is made for one depth; walked with
 * the other one, by a guest that has changed it, [0] and [96] are holes.
 *
 * No entry is absent (I3): the others are present and lead to a GPA that no
 * EPT maps, so that a stray access is an EPT violation and never a #PF. Accessed
 * and dirty are preset because the tables cannot be written.
 */
#include <linux/errno.h>

#include "tables.h"

#define PT_PRESENT_RW_US_A 0x27ull
#define PT_D               0x40ull
#define PT_PS              0x80ull

struct elisa_guest_pt elisa_gate_pt, elisa_sub_pt;

static struct elisa_pages pages;

static u64 *table(void)
{
	u64 *t = elisa_page_alloc(&pages);
	int i;

	/* The first GiB of the window is never mapped: the hole. */
	for (i = 0; t && i < 512; i++)
		t[i] = elisa_window_gpa | PT_PRESENT_RW_US_A;
	return t;
}

static int create(struct elisa_guest_pt *pt, u64 pml4_x, u64 pdpt_x)
{
	pt->root[0] = table();
	pt->root[1] = table();
	pt->pdpt = table();
	if (!pt->root[0] || !pt->root[1] || !pt->pdpt)
		return -ENOMEM;
	pt->root[1][0] = (elisa_window_gpa + pml4_x) | PT_PRESENT_RW_US_A;
	pt->root[0][ELISA_SLOT_PML4] = (elisa_window_gpa + pdpt_x) | PT_PRESENT_RW_US_A;
	return 0;
}

static void map_gig(u64 *pdpt, unsigned int i)
{
	pdpt[i] = (elisa_window_gpa + ((u64)i << 30)) | PT_PRESENT_RW_US_A | PT_D | PT_PS;
}

int elisa_guest_pt_init(void)
{
	unsigned int i;

	elisa_pages_init(&pages, NULL);
	if (create(&elisa_gate_pt, ELISA_GATE_PML4_X, ELISA_GATE_PDPT_X) ||
	    create(&elisa_sub_pt, ELISA_SUB_PML4_X, ELISA_SUB_PDPT_X)) {
		elisa_guest_pt_exit();
		return -ENOMEM;
	}
	map_gig(elisa_gate_pt.pdpt, ELISA_GATE_X >> 30);
	for (i = 0; i < ELISA_SLOT_GIGS; i++)
		map_gig(elisa_sub_pt.pdpt, i);
	return 0;
}

void elisa_guest_pt_exit(void)
{
	elisa_pages_free(&pages);
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * The guest page tables of the gate and of the sub contexts: the same two pairs
 * of pages for everybody, read-only in every EPT.
 *
 *   CR3 (any GPA, by the EPT's fill) -> root[96] -> PDPT -> 1 GiB pages
 *
 *   gate PDPT    [1] window + 1 GiB            the rest: hole
 *   sub PDPT     [i] window + i GiB, i < 256   the rest: hole
 *
 * No entry is absent (I3): the others are present and lead to a GPA that no
 * EPT maps, so that a stray access is an EPT violation and never a #PF. Accessed
 * and dirty are preset because the tables cannot be written.
 */
#include "elisa.h"

#define PT_PRESENT_RW_US_A 0x27ull
#define PT_D               0x40ull
#define PT_PS              0x80ull

u64 *elisa_gate_root, *elisa_gate_pdpt, *elisa_sub_root, *elisa_sub_pdpt;

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

int elisa_guest_pt_init(void)
{
	int i;

	elisa_pages_init(&pages, NULL);
	elisa_gate_root = table();
	elisa_gate_pdpt = table();
	elisa_sub_root = table();
	elisa_sub_pdpt = table();
	if (!elisa_gate_root || !elisa_gate_pdpt || !elisa_sub_root || !elisa_sub_pdpt) {
		elisa_guest_pt_exit();
		return -ENOMEM;
	}

	elisa_gate_root[ELISA_SLOT_PML4] = (elisa_window_gpa + ELISA_GATE_PDPT_X) | PT_PRESENT_RW_US_A;
	elisa_sub_root[ELISA_SLOT_PML4] = (elisa_window_gpa + ELISA_SUB_PDPT_X) | PT_PRESENT_RW_US_A;

	elisa_gate_pdpt[ELISA_GATE_X >> 30] = (elisa_window_gpa + (ELISA_GATE_X & ~0x3fffffffull)) |
					      PT_PRESENT_RW_US_A | PT_D | PT_PS;
	for (i = 0; i < ELISA_SLOT_GIGS; i++)
		elisa_sub_pdpt[i] = (elisa_window_gpa + ((u64)i << 30)) |
				    PT_PRESENT_RW_US_A | PT_D | PT_PS;
	return 0;
}

void elisa_guest_pt_exit(void)
{
	elisa_pages_free(&pages);
}

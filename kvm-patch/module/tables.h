/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The tables that the CPU follows: EPT contexts (ept.c) and the guest page tables in
 * them (guest_pt.c), made of pages of the module's own (pages.c). Apart from the rest of
 * the module, so that a test can walk them as the CPU does.
 */
#ifndef ELISA_TABLES_H
#define ELISA_TABLES_H

#include <linux/list.h>
#include <linux/types.h>

#include "elisa_abi.h"

#define ELISA_SLOT_GIGS 256

struct elisa_vm;

/* Where the window begins, in guest-physical space. */
extern u64 elisa_window_gpa;

/* pages.c: tables, stacks, sealed copies. */
struct elisa_pages {
	struct list_head list; /* by page->lru */
	struct elisa_vm *vm;   /* whose quota they count on, or NULL */
};

void elisa_pages_init(struct elisa_pages *pages, struct elisa_vm *vm);
void elisa_pages_disown(struct elisa_pages *pages);
void *elisa_page_alloc(struct elisa_pages *pages);
void elisa_pages_free(struct elisa_pages *pages);

/* guest_pt.c: a context's page tables, by how many levels its guest walks (CR4.LA57). */
struct elisa_guest_pt {
	u64 *root[2]; /* PML4, and for LA57 the PML5 above it */
	u64 *pdpt;
};
extern struct elisa_guest_pt elisa_gate_pt, elisa_sub_pt;
int elisa_guest_pt_init(void);
void elisa_guest_pt_exit(void);

/* ept.c */
#define EPT_R   1ull
#define EPT_W   2ull
#define EPT_X   4ull
#define EPT_RWX 7ull
#define EPT_RW  (EPT_R | EPT_W)
/* Write-back, and bit 6: whatever the guest's PAT says (SDM 29.3.7.2). It could make its
 * own accesses uncacheable while others' go through the cache. */
#define EPT_WB  ((6ull << 3) | (1ull << 6))
#define EPT_PS  (1ull << 7)
enum elisa_ept_kind { ELISA_EPT_GATE, ELISA_EPT_SUB };
int elisa_ept_init(void);
void elisa_ept_exit(void);
int elisa_ept_create(struct elisa_pages *pages, enum elisa_ept_kind kind, bool la57, u64 *eptp,
		     u64 **pdpt);
int elisa_ept_map(struct elisa_pages *pages, u64 *pdpt, u64 x, void *page, u64 prot);
u64 *elisa_ept_pde(struct elisa_pages *pages, u64 *pdpte, u64 x);
u64 elisa_ept_table(const void *page);

#endif

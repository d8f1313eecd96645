// SPDX-License-Identifier: GPL-2.0-only
/* The module's own pages, counted: on a VM's quota, and so that a leak shows in the
 * statistics. */
#include "elisa.h"

void elisa_pages_init(struct elisa_pages *pages, struct elisa_vm *vm)
{
	INIT_LIST_HEAD(&pages->list);
	pages->vm = vm;
}

/* NULL: no memory, or the VM's quota is used up. */
void *elisa_page_alloc(struct elisa_pages *pages)
{
	struct elisa_vm *vm = pages->vm;
	struct page *page;

	if (vm && vm->table_pages >= vm->quota.table_pages)
		return NULL;
	page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);
	if (!page)
		return NULL;
	list_add(&page->lru, &pages->list);
	elisa_stats.table_pages++;
	if (vm)
		vm->table_pages++;
	return page_address(page);
}

void elisa_pages_free(struct elisa_pages *pages)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &pages->list, lru) {
		list_del(&page->lru);
		__free_page(page);
		elisa_stats.table_pages--;
		if (pages->vm)
			pages->vm->table_pages--;
	}
}

/* Off its VM's quota, which may go; they stay. */
void elisa_pages_disown(struct elisa_pages *pages)
{
	struct page *page;

	if (pages->vm)
		list_for_each_entry(page, &pages->list, lru)
			pages->vm->table_pages--;
	pages->vm = NULL;
}

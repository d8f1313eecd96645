// SPDX-License-Identifier: GPL-2.0-only
/* The module's own pages, counted so that a leak shows in the statistics. */
#include "elisa.h"

void elisa_pages_init(struct elisa_pages *pages)
{
	INIT_LIST_HEAD(&pages->list);
}

void *elisa_page_alloc(struct elisa_pages *pages)
{
	struct page *page = alloc_page(GFP_KERNEL_ACCOUNT | __GFP_ZERO);

	if (!page)
		return NULL;
	list_add(&page->lru, &pages->list);
	elisa_stats.table_pages++;
	return page_address(page);
}

void elisa_pages_free(struct elisa_pages *pages)
{
	struct page *page, *next;

	list_for_each_entry_safe(page, next, &pages->list, lru) {
		list_del(&page->lru);
		__free_page(page);
		elisa_stats.table_pages--;
	}
}

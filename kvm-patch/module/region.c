// SPDX-License-Identifier: GPL-2.0-only
/*
 * Regions: memory of a guest that the image may reach, at one place in the window
 * for everybody attached to the export.
 *
 * When a region goes, its addresses lead to a scratch page of its own at once, so that its
 * pages can be unpinned while others' crossings, which may be in the middle of a
 * copy, go on undisturbed. They become a hole, and may be given out again, when the
 * manager has answered the event, so that its image hands them out no more, and no
 * crossing can be under way that began before: twice ELISA_CROSSING_MS later.
 */
#include <linux/mm.h>
#include <linux/slab.h>
#include <linux/timekeeping.h>
#include <linux/workqueue.h>

#include "elisa.h"

struct elisa_region *elisa_region_of(struct elisa_export *export, u32 attachment, u64 number)
{
	struct elisa_region *region;

	list_for_each_entry(region, &export->regions, link)
		if (region->attachment == attachment && region->number == number &&
		    !region->answered)
			return region;
	return NULL;
}

static struct elisa_region *live_region(struct elisa_attachment *att, u64 number)
{
	struct elisa_region *region = elisa_region_of(att->export, att->number, number);

	return region && region->owner ? region : NULL;
}

static void dig_later(struct work_struct *work);
static DECLARE_DELAYED_WORK(digging, dig_later);

/* From scratch to hole: what has rested long enough. */
static void dig(struct elisa_export *export, u64 now)
{
	struct elisa_region *region, *next;
	LIST_HEAD(dug);
	u64 off;

	list_for_each_entry_safe(region, next, &export->regions, link) {
		if (!region->answered)
			continue;
		if (region->rests_until > now) {
			schedule_delayed_work(&digging, msecs_to_jiffies(2 * ELISA_CROSSING_MS));
			continue;
		}
		for (off = 0; off < region->len; off += ELISA_CHUNK) {
			u64 *pde = elisa_export_pde(export, region->x + off);

			if (pde)
				WRITE_ONCE(*pde, 0);
		}
		list_move(&region->link, &dug);
	}
	if (list_empty(&dug))
		return;
	elisa_invept_all();
	list_for_each_entry_safe(region, next, &dug, link) {
		elisa_pages_free(&region->scratch);
		kfree(region);
	}
}

static void dig_later(struct work_struct *work)
{
	struct elisa_export *export;

	mutex_lock(&elisa_lock);
	list_for_each_entry(export, &elisa_exports, link)
		dig(export, ktime_get_ns());
	elisa_unlock();
}

/* There is no export any more. */
void elisa_region_exit(void)
{
	cancel_delayed_work_sync(&digging);
}

static int scratch_create(struct elisa_region *region)
{
	void *page = elisa_page_alloc(&region->scratch);
	u64 *pt = elisa_page_alloc(&region->scratch);
	int i;

	if (!page || !pt)
		return -ELISA_E_NOMEM;
	for (i = 0; i < 512; i++)
		pt[i] = __pa(page) | EPT_WB | EPT_RW;
	region->scratch_pde = elisa_ept_table(pt);
	return 0;
}

/* First fit; leaves *at where the region belongs in the sorted list. */
static u64 find_space(struct elisa_export *export, u64 len, struct list_head **at)
{
	u64 x = ELISA_WINDOW_X;
	struct elisa_region *region;

	*at = &export->regions;
	list_for_each_entry(region, &export->regions, link) {
		/* A chunk between regions stays a hole. */
		if (region->x >= x + len + ELISA_CHUNK) {
			*at = &region->link;
			return x;
		}
		x = region->x + region->len + ELISA_CHUNK;
	}
	return x < ELISA_SLOT_SIZE && len <= ELISA_SLOT_SIZE - x ? x : 0;
}

int elisa_region_create(struct elisa_attachment *att, u64 len, u64 *number)
{
	struct elisa_export *export = att->export;
	struct elisa_region *region;
	struct list_head *at;
	u64 x;

	/* Without a manager nobody would answer. */
	if (att->state != ELISA_STATE_READY || !export->owner)
		return -ELISA_E_STATE;
	if (!len || (len & (ELISA_CHUNK - 1)) || len > ELISA_WINDOW_SIZE)
		return -ELISA_E_INVAL;
	if (att->region_count >= ELISA_MAX_REGIONS ||
	    len >> PAGE_SHIFT > att->vm->quota.pinned_pages ||
	    att->vm->reserved > att->vm->quota.pinned_pages - (len >> PAGE_SHIFT))
		return -ELISA_E_QUOTA;
	dig(export, ktime_get_ns());
	x = find_space(export, len, &at);
	if (!x)
		return -ELISA_E_QUOTA;

	region = kzalloc(sizeof(*region), GFP_KERNEL_ACCOUNT);
	if (!region)
		return -ELISA_E_NOMEM;
	INIT_LIST_HEAD(&region->pins);
	elisa_pages_init(&region->tables, att->vm);
	elisa_pages_init(&region->scratch, att->vm);
	if (scratch_create(region)) {
		elisa_pages_free(&region->scratch);
		kfree(region);
		return -ELISA_E_NOMEM;
	}
	region->owner = att;
	region->attachment = att->number;
	region->x = x;
	region->len = len;
	region->state = ELISA_STATE_DEAD; /* until COMMIT */
	while (elisa_region_of(export, att->number, region->number))
		region->number++;
	list_add_tail(&region->link, at);
	att->region_count++;
	att->vm->reserved += len >> PAGE_SHIFT;
	elisa_stats.regions++;
	*number = region->number;
	return 0;
}

/* Maps one 2 MiB chunk whose pages are pinned. */
static int map_chunk(struct elisa_export *export, struct elisa_region *region, u64 chunk,
		     struct page **pages)
{
	u64 *pde = elisa_export_pde(export, region->x + chunk * ELISA_CHUNK);
	u64 first = page_to_phys(pages[0]);
	bool contiguous = IS_ALIGNED(first, ELISA_CHUNK);
	u64 *pt;
	int i;

	if (!pde)
		return -ELISA_E_NOMEM;
	for (i = 1; contiguous && i < ELISA_CHUNK_PAGES; i++)
		contiguous = page_to_phys(pages[i]) == first + ((u64)i << PAGE_SHIFT);
	if (contiguous) {
		WRITE_ONCE(*pde, first | EPT_WB | EPT_PS | EPT_RW);
		return 0;
	}
	pt = elisa_page_alloc(&region->tables);
	if (!pt)
		return -ELISA_E_NOMEM;
	for (i = 0; i < ELISA_CHUNK_PAGES; i++)
		pt[i] = page_to_phys(pages[i]) | EPT_WB | EPT_RW;
	WRITE_ONCE(*pde, elisa_ept_table(pt));
	return 0;
}

/* Is there anything in chunks [first, first + n)? */
static bool is_taken(struct elisa_export *export, struct elisa_region *region, u64 first, u64 n)
{
	u64 chunk;

	for (chunk = first; chunk < first + n; chunk++) {
		u64 *pde = elisa_export_pde(export, region->x + chunk * ELISA_CHUNK);

		if (pde && *pde)
			return true;
	}
	return false;
}

/* The region that pins are for, unless it went while the lock was not held. */
static struct elisa_region *still_adding(struct kvm *kvm, const struct elisa_pins *pins)
{
	struct elisa_vm *vm = elisa_vm_of(kvm);
	struct elisa_attachment *att;
	struct elisa_region *region;

	if (!vm)
		return NULL;
	list_for_each_entry(att, &vm->attachments, vm_link) {
		list_for_each_entry(region, &att->export->regions, link) {
			if (region->adding == pins) {
				region->adding = NULL;
				return region;
			}
		}
	}
	return NULL;
}

int elisa_region_add(struct elisa_attachment *att, u64 number, u64 offset, u64 gpa, u64 len)
{
	struct elisa_region *region = live_region(att, number);
	u64 first = offset / ELISA_CHUNK, n = len / ELISA_CHUNK;
	struct kvm *kvm = att->vm->kvm;
	struct elisa_pins *pins;
	u64 i;
	int err;

	if (!region)
		return -ELISA_E_NOENT;
	if (region->state != ELISA_STATE_DEAD || region->adding)
		return -ELISA_E_STATE;
	if (!len || len > ELISA_ADD_MAX || ((offset | gpa | len) & (ELISA_CHUNK - 1)) ||
	    offset >= region->len || len > region->len - offset || gpa + len < gpa)
		return -ELISA_E_INVAL;
	if (is_taken(att->export, region, first, n))
		return -ELISA_E_OVERLAP;
	pins = elisa_pins_create(att->vm, len >> PAGE_SHIFT);
	if (IS_ERR(pins))
		return PTR_ERR(pins);

	region->adding = pins;
	elisa_unlock();
	err = elisa_pin(kvm, pins, gpa);
	mutex_lock(&elisa_lock);
	region = still_adding(kvm, pins);
	if (!region && !err)
		err = -ELISA_E_NOENT;
	if (err) {
		elisa_unpin(pins);
		return err;
	}

	list_add(&pins->link, &region->pins);
	for (i = 0; i < n; i++) {
		err = map_chunk(region->owner->export, region, first + i,
				pins->pages + i * ELISA_CHUNK_PAGES);
		if (err)
			return err; /* what is pinned goes with the region */
		region->chunks++;
	}
	return 0;
}

int elisa_region_commit(struct elisa_attachment *att, u64 number)
{
	struct elisa_region *region = live_region(att, number);
	int err;

	if (!region)
		return -ELISA_E_NOENT;
	if (region->state != ELISA_STATE_DEAD || region->adding || !att->export->owner)
		return -ELISA_E_STATE;
	/* The image may use all of it, on others' vCPUs, so all of it must be there. */
	if (region->chunks != region->len / ELISA_CHUNK)
		return -ELISA_E_MEMORY;
	err = elisa_event_add(att->export, ELISA_EVENT_REGION_ADD, att->number, number,
			      ELISA_SLOT_BASE + region->x, region->len);
	if (!err)
		region->state = ELISA_STATE_PENDING;
	return err;
}

static bool selects(u64 number, const struct elisa_region *region)
{
	return number == ELISA_ALL_REGIONS || number == region->number;
}

/* Takes a region, or all of att's, away from the guest: to scratch, and unpinned. */
void elisa_region_unmap(struct elisa_export *export, struct elisa_attachment *att, u64 number)
{
	struct elisa_pins *pins, *next;
	struct elisa_region *region;
	bool any = false;
	u64 off, now;

	list_for_each_entry(region, &export->regions, link) {
		if (region->owner != att || !selects(number, region))
			continue;
		any = true;
		for (off = 0; off < region->len; off += ELISA_CHUNK) {
			u64 *pde = elisa_export_pde(export, region->x + off);

			if (pde && *pde)
				WRITE_ONCE(*pde, region->scratch_pde);
		}
	}
	if (!any)
		return;
	elisa_invept_all();
	now = ktime_get_ns();
	list_for_each_entry(region, &export->regions, link) {
		if (region->owner != att || !selects(number, region))
			continue;
		/* No image has been told of one that was not committed. */
		if (region->state != ELISA_STATE_DEAD)
			region->rests_until =
				now + 2 * ELISA_CROSSING_MS * (u64)NSEC_PER_MSEC;
		list_for_each_entry_safe(pins, next, &region->pins, link) {
			list_del(&pins->link);
			elisa_unpin(pins);
		}
		region->adding = NULL;
		elisa_pages_free(&region->tables);
		elisa_pages_disown(&region->scratch);
		att->vm->reserved -= region->len >> PAGE_SHIFT;
		region->owner = NULL;
		region->state = ELISA_STATE_DEAD;
		att->region_count--;
	}
}

/* The image hands their addresses out no more. */
void elisa_region_release(struct elisa_export *export, u32 attachment, u64 number)
{
	struct elisa_region *region;

	list_for_each_entry(region, &export->regions, link) {
		if (region->owner || region->answered || region->attachment != attachment ||
		    !selects(number, region))
			continue;
		region->answered = true;
		elisa_stats.regions--;
	}
	dig(export, ktime_get_ns());
}

int elisa_region_remove(struct elisa_attachment *att, u64 number)
{
	struct elisa_region *region = elisa_region_of(att->export, att->number, number);
	bool told;
	int err;

	if (!region || region->owner != att)
		return -ELISA_E_NOENT;
	/* Has the image been told of it, or may it have been? */
	told = region->state != ELISA_STATE_DEAD &&
	       !elisa_event_withdraw(att->export, ELISA_EVENT_REGION_ADD, att->number, number);
	/* Without a manager it stays scratch, which no image can mind. */
	if (told && att->export->owner) {
		err = elisa_event_add(att->export, ELISA_EVENT_REGION_DEL, att->number, number, 0, 0);
		if (err)
			return err;
	}
	elisa_region_unmap(att->export, att, number);
	if (!told)
		elisa_region_release(att->export, att->number, number);
	return 0;
}

/* Of an export that ends: nobody is in there. */
void elisa_regions_free(struct elisa_export *export)
{
	struct elisa_region *region;

	list_for_each_entry(region, &export->regions, link) {
		if (!region->answered)
			elisa_stats.regions--;
		region->answered = true;
	}
	dig(export, U64_MAX);
}

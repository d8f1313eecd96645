// SPDX-License-Identifier: GPL-2.0-only
/*
 * Exports: an image (sealed copies) and memory (the manager's own pages), and the
 * part of the sub EPT that every context of the export shares.
 *
 * An export outlives the process that manages it: another one of the same VM takes it
 * over. It outlives its manager's VM, too: attached guests go on, nobody new gets in, and
 * it is freed with its last attachment. When it is destroyed or revoked, all that it
 * held goes at once; handles of its attachments answer DEAD.
 */
#include <linux/random.h>
#include <linux/slab.h>

#include "elisa.h"

struct elisa_export *elisa_export_of(struct elisa_vm *vm, u64 handle)
{
	struct elisa_export *export;

	list_for_each_entry(export, &vm->exports, vm_link)
		if (export->handle == handle)
			return export;
	return NULL;
}

struct elisa_export *elisa_export_named(const char *name)
{
	struct elisa_export *export;

	list_for_each_entry(export, &elisa_exports, link)
		if (export->owner && !export->dead && !strcmp(export->name, name))
			return export;
	return NULL;
}

/* The entry of the 2 MiB at x in the shared part. New directories reach the
 * contexts that exist already. */
u64 *elisa_export_pde(struct elisa_export *export, u64 x)
{
	u64 *pdpte = &export->pdpte[x >> 30];
	bool was_empty = !*pdpte;
	u64 *pde = elisa_ept_pde(&export->tables, pdpte, x);
	struct elisa_context *ctx;

	if (pde && was_empty)
		list_for_each_entry(ctx, &export->contexts, export_link)
			WRITE_ONCE(ctx->sub_pdpt[x >> 30], *pdpte);
	return pde;
}

/* No context of it is left: what it holds goes (I9). */
static void strip(struct elisa_export *export)
{
	struct elisa_pins *pins, *next;

	elisa_regions_free(export);
	elisa_events_free(export);
	elisa_invept_all();
	memset(export->pdpte, 0, sizeof(export->pdpte));
	elisa_pages_free(&export->tables);
	elisa_pages_free(&export->sealed);
	list_for_each_entry_safe(pins, next, &export->pins, link) {
		list_del(&pins->link);
		elisa_unpin(pins);
	}
}

static void leave_owner(struct elisa_export *export)
{
	list_del(&export->vm_link);
	export->owner->export_count--;
	export->owner = NULL;
	elisa_pages_disown(&export->tables);
	elisa_pages_disown(&export->sealed);
}

void elisa_export_put_if_unused(struct elisa_export *export)
{
	if (export->owner || !list_empty(&export->attachments))
		return;
	strip(export);
	list_del(&export->link);
	elisa_stats.exports--;
	kvfree(export);
}

/* Its manager's VM is gone. */
void elisa_export_orphan(struct elisa_export *export)
{
	elisa_events_free(export); /* nobody will answer them */
	leave_owner(export);
	elisa_export_put_if_unused(export);
}

/* Destroyed by its manager, or revoked. */
void elisa_export_end(struct elisa_export *export)
{
	struct elisa_attachment *att;

	export->dead = true;
	list_for_each_entry(att, &export->attachments, export_link)
		elisa_attachment_kill(att);
	strip(export);
	if (export->owner)
		leave_owner(export);
	elisa_export_put_if_unused(export);
}

int elisa_export_create(struct elisa_vm *vm, const char *name, u64 size, u64 *handle, u64 *id)
{
	struct elisa_export *export;

	if (!name[0] || !size || size > ELISA_OBJECT_MAX || (size & (PAGE_SIZE - 1)))
		return -ELISA_E_INVAL;
	if (elisa_export_named(name))
		return -ELISA_E_EXIST;
	if (vm->export_count >= vm->quota.exports)
		return -ELISA_E_QUOTA;

	export = kvzalloc(sizeof(*export), GFP_KERNEL_ACCOUNT);
	if (!export)
		return -ELISA_E_NOMEM;
	strscpy(export->name, name, sizeof(export->name));
	export->owner = vm;
	memcpy(export->owner_label, vm->label, sizeof(export->owner_label));
	export->handle = get_random_u64();
	export->id = get_random_u64();
	export->size = size;
	export->next_number = 1;
	INIT_LIST_HEAD(&export->attachments);
	INIT_LIST_HEAD(&export->regions);
	INIT_LIST_HEAD(&export->events);
	INIT_LIST_HEAD(&export->contexts);
	INIT_LIST_HEAD(&export->pins);
	elisa_pages_init(&export->tables, vm);
	elisa_pages_init(&export->sealed, vm);
	list_add(&export->link, &elisa_exports);
	list_add(&export->vm_link, &vm->exports);
	elisa_stats.exports++;
	vm->export_count++;
	*handle = export->handle;
	*id = export->id;
	return 0;
}

/* For a process of the same VM whose predecessor was killed: who held the handle
 * before cannot use it any more. Events that were not answered come again. */
int elisa_export_take_over(struct elisa_vm *vm, const char *name, u64 out[6])
{
	struct elisa_export *export;

	list_for_each_entry(export, &vm->exports, vm_link) {
		if (strcmp(export->name, name))
			continue;
		export->handle = get_random_u64();
		export->adding = NULL;
		out[0] = export->handle;
		out[1] = export->size;
		out[2] = export->id;
		out[3] = export->published;
		return 0;
	}
	return -ELISA_E_NOENT;
}

static int map_page(struct elisa_export *export, u64 x, const void *page, u64 prot)
{
	u64 *pde = elisa_export_pde(export, x);
	u64 *pt;

	if (!pde)
		return -ELISA_E_NOMEM;
	if (!*pde) {
		pt = elisa_page_alloc(&export->tables);
		if (!pt)
			return -ELISA_E_NOMEM;
		WRITE_ONCE(*pde, elisa_ept_table(pt));
	}
	pt = __va(*pde & PAGE_MASK);
	pt += x >> PAGE_SHIFT & 511;
	if (*pt)
		return -ELISA_E_OVERLAP;
	WRITE_ONCE(*pt, __pa(page) | EPT_WB | prot);
	return 0;
}

/* The export that is being added to, unless it went, or another process took it over, while
 * the lock was not held. */
static struct elisa_export *still_adding(struct kvm *kvm, const void *what)
{
	struct elisa_vm *vm = elisa_vm_of(kvm);
	struct elisa_export *export;

	if (!vm)
		return NULL;
	list_for_each_entry(export, &vm->exports, vm_link) {
		if (export->adding == what) {
			export->adding = NULL;
			return export;
		}
	}
	return NULL;
}

static int read_guest(struct kvm *kvm, u64 gpa, struct elisa_pages *pages)
{
	struct page *page;

	list_for_each_entry(page, &pages->list, lru) {
		if (kvm_read_guest(kvm, gpa, page_address(page), PAGE_SIZE))
			return -ELISA_E_MEMORY;
		gpa += PAGE_SIZE;
		cond_resched();
	}
	return 0;
}

static int add_sealed(struct elisa_export *export, u64 x, u64 gpa, u64 len, u64 prot)
{
	struct kvm *kvm = export->owner->kvm;
	u64 done, vm_id = export->owner->id;
	struct page *page, *next;
	struct elisa_pages copy;
	int err;

	elisa_pages_init(&copy, export->owner);
	for (done = 0; done < len; done += PAGE_SIZE) {
		if (!elisa_page_alloc(&copy)) {
			elisa_pages_free(&copy);
			return -ELISA_E_NOMEM;
		}
	}

	export->adding = &copy;
	elisa_unlock();
	err = read_guest(kvm, gpa, &copy);
	mutex_lock(&elisa_lock);
	export = still_adding(kvm, &copy);
	copy.vm = elisa_vm_by_id(vm_id);
	if (!export && !err)
		err = -ELISA_E_NOENT;
	if (err) {
		elisa_pages_free(&copy);
		return err;
	}

	list_for_each_entry_safe(page, next, &copy.list, lru) {
		list_move(&page->lru, &export->sealed.list);
		/* On error what is left of them is not mapped, and goes with the export. */
		if (!err)
			err = map_page(export, x, page_address(page), prot);
		x += PAGE_SIZE;
		cond_resched();
	}
	return err;
}

static int add_data(struct elisa_export *export, u64 x, u64 gpa, u64 len)
{
	struct kvm *kvm = export->owner->kvm;
	struct elisa_pins *pins;
	u64 i;
	int err;

	pins = elisa_pins_create(export->owner, len >> PAGE_SHIFT);
	if (IS_ERR(pins))
		return PTR_ERR(pins);

	export->adding = pins;
	elisa_unlock();
	err = elisa_pin(kvm, pins, gpa);
	mutex_lock(&elisa_lock);
	export = still_adding(kvm, pins);
	if (!export && !err)
		err = -ELISA_E_NOENT;
	if (err) {
		elisa_unpin(pins);
		return err;
	}

	list_add(&pins->link, &export->pins);
	for (i = 0; !err && i < pins->count; i++)
		err = map_page(export, x + (i << PAGE_SHIFT), page_address(pins->pages[i]), EPT_RW);
	/* On error they stay pinned, some of them mapped, until the export goes. */
	return err;
}

int elisa_export_add(struct elisa_vm *vm, u64 handle, u64 offset, u64 gpa, u64 len, u64 kind)
{
	struct elisa_export *export = elisa_export_of(vm, handle);

	if (!export)
		return -ELISA_E_NOENT;
	if (export->published || export->adding)
		return -ELISA_E_STATE;
	if (!len || len > ELISA_ADD_MAX || ((offset | gpa | len) & (PAGE_SIZE - 1)) ||
	    offset >= export->size || len > export->size - offset || gpa + len < gpa)
		return -ELISA_E_INVAL;

	switch (kind) {
	case ELISA_MAP_TEXT:
		return add_sealed(export, ELISA_OBJECT_X + offset, gpa, len, EPT_R | EPT_X);
	case ELISA_MAP_RODATA:
		return add_sealed(export, ELISA_OBJECT_X + offset, gpa, len, EPT_R);
	case ELISA_MAP_DATA:
		return add_data(export, ELISA_OBJECT_X + offset, gpa, len);
	default:
		return -ELISA_E_INVAL;
	}
}

int elisa_export_publish(struct elisa_vm *vm, u64 handle, u64 entry)
{
	struct elisa_export *export = elisa_export_of(vm, handle);

	if (!export)
		return -ELISA_E_NOENT;
	/* The stub calls it with a 32-bit displacement. */
	if (entry >= export->size || entry >= 1ull << 30)
		return -ELISA_E_INVAL;
	if (export->published || export->adding)
		return -ELISA_E_STATE;
	export->entry = entry;
	export->published = true;
	return 0;
}

int elisa_export_destroy(struct elisa_vm *vm, u64 handle)
{
	struct elisa_export *export = elisa_export_of(vm, handle);

	if (!export)
		return -ELISA_E_NOENT;
	elisa_export_end(export);
	return 0;
}

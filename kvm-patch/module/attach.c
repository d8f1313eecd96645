// SPDX-License-Identifier: GPL-2.0-only
/* Attachments: a guest VM's tie to an export, admitted by the manager. */
#include <linux/random.h>
#include <linux/slab.h>

#include "elisa.h"

struct elisa_attachment *elisa_attachment_of(struct elisa_vm *vm, u64 handle)
{
	struct elisa_attachment *att;

	list_for_each_entry(att, &vm->attachments, vm_link)
		if (att->handle == handle)
			return att;
	return NULL;
}

/* The next one after a number, for a manager that takes over. */
int elisa_attachment_after(struct elisa_export *export, u64 number, u64 out[6])
{
	struct elisa_attachment *att;

	memset(out, 0, 6 * sizeof(*out));
	list_for_each_entry(att, &export->attachments, export_link) {
		if (att->number <= number)
			continue;
		out[0] = att->number;
		out[1] = att->state;
		out[2] = att->instance;
		out[3] = att->arg;
		break;
	}
	return 0;
}

/* I4: no memory of the VM lies where regions appear. */
static bool window_is_free(struct kvm *kvm)
{
	struct kvm_memory_slot *slot;
	int bkt;

	kvm_for_each_memslot(slot, bkt, kvm_memslots(kvm))
		if (((slot->base_gfn + slot->npages) << PAGE_SHIFT) > elisa_window_gpa &&
		    (slot->base_gfn << PAGE_SHIFT) < elisa_window_gpa + ELISA_SLOT_SIZE)
			return false;
	return true;
}

int elisa_attach(struct elisa_vm *vm, const char *name, u64 instance, u64 *handle)
{
	struct elisa_export *export = elisa_export_named(name);
	struct elisa_attachment *att;
	int err;

	if (!export || !export->published)
		return -ELISA_E_NOENT;
	if (!window_is_free(vm->kvm))
		return -ELISA_E_OVERLAP;

	/* The same instance again: its process was killed, take over. */
	list_for_each_entry(att, &vm->attachments, vm_link) {
		if (att->export == export && att->instance == instance) {
			elisa_detach(att);
			break;
		}
	}
	if (vm->slots == (1u << ELISA_SLOTS) - 1 ||
	    hweight32(vm->slots) >= vm->quota.attachments)
		return -ELISA_E_QUOTA;

	if (export->next_number == U32_MAX)
		return -ELISA_E_QUOTA;
	att = kzalloc(sizeof(*att), GFP_KERNEL_ACCOUNT);
	if (!att)
		return -ELISA_E_NOMEM;
	att->number = export->next_number++;
	err = elisa_event_add(export, ELISA_EVENT_ATTACH, att->number, instance, 0, 0);
	if (err) {
		kfree(att);
		return err;
	}
	att->vm = vm;
	att->export = export;
	att->instance = instance;
	att->handle = get_random_u64();
	att->token = get_random_u64();
	att->slot = ffz(vm->slots);
	vm->slots |= 1u << att->slot;
	list_add(&att->vm_link, &vm->attachments);
	list_add_tail(&att->export_link, &export->attachments);
	elisa_stats.attachments++;
	*handle = att->handle;
	return 0;
}

/* Its export ends: nothing is left but the handle, which answers DEAD. */
void elisa_attachment_kill(struct elisa_attachment *att)
{
	elisa_contexts_kill(att);
	elisa_region_unmap(att->export, att, ELISA_ALL_REGIONS);
	att->state = ELISA_STATE_DEAD;
}

void elisa_detach(struct elisa_attachment *att)
{
	struct elisa_export *export = att->export;

	elisa_attachment_kill(att);
	att->vm->slots &= ~(1u << att->slot);
	att->vm->crossings += att->crossings;
	att->vm->aborts += att->aborts;
	list_del(&att->vm_link);
	list_del(&att->export_link);
	elisa_stats.attachments--;
	/* Without memory for the event its regions stay scratch for good. */
	if (export->owner &&
	    !elisa_event_withdraw(export, ELISA_EVENT_ATTACH, att->number, att->instance))
		elisa_event_add(export, ELISA_EVENT_DETACH, att->number, 0, 0, 0);
	kfree(att);
	elisa_export_put_if_unused(export);
}

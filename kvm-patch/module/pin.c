// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory that a VM names by GPA in its own address space. Runs in the vCPU's
 * thread, where current->mm is the VM's and KVM holds its srcu.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>

#include "elisa.h"

int elisa_pins_init(struct elisa_pins *pins, struct elisa_vm *vm, u64 npages)
{
	pins->pages = kvcalloc(npages, sizeof(*pins->pages), GFP_KERNEL_ACCOUNT);
	if (!pins->pages)
		return -ELISA_E_NOMEM;
	pins->mm = vm->mm;
	mmgrab(pins->mm);
	pins->count = npages;
	pins->pinned = 0;
	return 0;
}

/* Pins npages from gpa into pages[first..]. All or, on error, some: the caller
 * unpins the whole. PFNMAP memory, read-only slots and KVM's own (the APIC
 * access page) are refused. */
int elisa_pin(struct elisa_vm *vm, struct elisa_pins *pins, u64 first, u64 gpa, u64 npages)
{
	u64 done;
	long n;

	if (current->mm != vm->mm)
		return -ELISA_E_STATE;
	if (first > pins->count || npages > pins->count - first)
		return -ELISA_E_INVAL;
	if (npages > vm->quota.pinned_pages || vm->pinned > vm->quota.pinned_pages - npages)
		return -ELISA_E_QUOTA;
	for (done = 0; done < npages; done++)
		if (pins->pages[first + done])
			return -ELISA_E_OVERLAP;

	for (done = 0; done < npages; done += n) {
		gfn_t gfn = (gpa >> PAGE_SHIFT) + done;
		struct kvm_memory_slot *slot = gfn_to_memslot(vm->kvm, gfn);
		unsigned long hva = gfn_to_hva(vm->kvm, gfn);
		u64 want;

		/* Dirty logging would not see what is written from a sub context. */
		if (!slot || slot->id >= KVM_USER_MEM_SLOTS || kvm_is_error_hva(hva) ||
		    (slot->flags & (KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES)))
			return -ELISA_E_MEMORY;
		want = min3(npages - done, (u64)(slot->base_gfn + slot->npages - gfn), 512ull);
		if (account_locked_vm(pins->mm, want, true))
			return -ELISA_E_QUOTA;
		n = pin_user_pages_fast(hva, want, FOLL_WRITE | FOLL_LONGTERM,
					pins->pages + first + done);
		if (n < (long)want)
			account_locked_vm(pins->mm, want - max(n, 0l), false);
		if (n <= 0)
			return -ELISA_E_MEMORY;
		pins->pinned += n;
		vm->pinned += n;
		elisa_stats.pinned_pages += n;
		cond_resched();
	}
	return 0;
}

/* vm: NULL when it is gone. */
void elisa_unpin(struct elisa_pins *pins, struct elisa_vm *vm)
{
	u64 i;

	if (!pins->pages)
		return;
	for (i = 0; i < pins->count; i++) {
		if (pins->pages[i])
			unpin_user_pages_dirty_lock(&pins->pages[i], 1, true);
		if (!(i & 4095))
			cond_resched();
	}
	if (pins->pinned)
		account_locked_vm(pins->mm, pins->pinned, false);
	if (vm)
		vm->pinned -= pins->pinned;
	elisa_stats.pinned_pages -= pins->pinned;
	kvfree(pins->pages);
	mmdrop(pins->mm);
	pins->pages = NULL;
	pins->pinned = 0;
}

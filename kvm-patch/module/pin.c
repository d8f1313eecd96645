// SPDX-License-Identifier: GPL-2.0-only
/*
 * Guest memory that a VM names by GPA in its own address space.
 *
 * Whoever backs that memory (a FUSE server, a userfaultfd) decides how long it takes to
 * fault it in, and whoever has the address space may hold its mmap_lock as long. So no
 * memory is pinned and none is unpinned under elisa_lock, or in another VM's thread: a
 * call that adds memory lets go of the lock meanwhile, and what was pinned through
 * another address space is unpinned by a work.
 */
#include <linux/mm.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/wait.h>

#include "elisa.h"

static struct workqueue_struct *unpin_queue;
static LIST_HEAD(unpinned); /* under elisa_lock: until it is let go of */
static atomic_t unpinning = ATOMIC_INIT(0);
static DECLARE_WAIT_QUEUE_HEAD(unpinning_done);
static atomic64_t pinned_pages = ATOMIC64_INIT(0);

static void release(struct elisa_pins *pins)
{
	u64 i;

	for (i = 0; i < pins->pinned; i++) {
		unpin_user_pages_dirty_lock(&pins->pages[i], 1, true);
		if (!(i & 4095))
			cond_resched();
	}
	account_locked_vm(pins->mm, pins->pinned, false);
	atomic64_sub(pins->pinned, &pinned_pages);
	mmdrop(pins->mm);
	kvfree(pins->pages);
	kfree(pins);
	if (atomic_dec_and_test(&unpinning))
		wake_up_all(&unpinning_done);
}

/* With all that go with it, of the same address space: one may wait for another. */
static void release_all(struct elisa_pins *pins)
{
	struct elisa_pins *other, *next;

	list_for_each_entry_safe(other, next, &pins->link, link)
		release(other);
	release(pins);
}

static void release_work(struct work_struct *work)
{
	release_all(container_of(work, struct elisa_pins, work));
}

/* For npages, which the VM has to its quota now; in the thread of one of its vCPUs. */
struct elisa_pins *elisa_pins_create(struct elisa_vm *vm, u64 npages)
{
	struct elisa_pins *pins;

	if (current->mm != vm->mm)
		return ERR_PTR(-ELISA_E_STATE);
	if (npages > vm->quota.pinned_pages || vm->pinned > vm->quota.pinned_pages - npages)
		return ERR_PTR(-ELISA_E_QUOTA);
	pins = kzalloc(sizeof(*pins), GFP_KERNEL_ACCOUNT);
	if (!pins)
		return ERR_PTR(-ELISA_E_NOMEM);
	pins->pages = kvcalloc(npages, sizeof(*pins->pages), GFP_KERNEL_ACCOUNT);
	if (!pins->pages) {
		kfree(pins);
		return ERR_PTR(-ELISA_E_NOMEM);
	}
	INIT_LIST_HEAD(&pins->link);
	INIT_WORK(&pins->work, release_work);
	pins->vm_id = vm->id;
	pins->mm = vm->mm;
	mmgrab(pins->mm);
	pins->count = npages;
	vm->pinned += npages;
	return pins;
}

/*
 * Pins the pages from gpa. Without elisa_lock, in a vCPU's thread: KVM holds its srcu.
 * All or, on error, some: the caller gives them all back. PFNMAP memory, read-only slots
 * and KVM's own (the APIC access page) are refused.
 */
int elisa_pin(struct kvm *kvm, struct elisa_pins *pins, u64 gpa)
{
	long n;

	while (pins->pinned < pins->count) {
		gfn_t gfn = (gpa >> PAGE_SHIFT) + pins->pinned;
		struct kvm_memory_slot *slot = gfn_to_memslot(kvm, gfn);
		unsigned long hva;
		u64 want;

		/* Dirty logging would not see what is written from a sub context. */
		if (!slot || slot->id >= KVM_USER_MEM_SLOTS ||
		    (slot->flags &
		     (KVM_MEMSLOT_INVALID | KVM_MEM_READONLY | KVM_MEM_LOG_DIRTY_PAGES)))
			return -ELISA_E_MEMORY;
		hva = __gfn_to_hva_memslot(slot, gfn);
		want = min3(pins->count - pins->pinned,
			    (u64)(slot->base_gfn + slot->npages - gfn), 512ull);
		if (account_locked_vm(pins->mm, want, true))
			return -ELISA_E_QUOTA;
		n = pin_user_pages_fast(hva, want, FOLL_WRITE | FOLL_LONGTERM,
					pins->pages + pins->pinned);
		if (n < (long)want)
			account_locked_vm(pins->mm, want - max(n, 0l), false);
		if (n <= 0)
			return -ELISA_E_MEMORY;
		pins->pinned += n;
		atomic64_add(n, &pinned_pages);
		cond_resched();
	}
	return 0;
}

/* Off the VM's quota, if it is still there; elisa_unlock() sees to the rest. */
void elisa_unpin(struct elisa_pins *pins)
{
	struct elisa_vm *vm = elisa_vm_by_id(pins->vm_id);

	if (vm)
		vm->pinned -= pins->count;
	atomic_inc(&unpinning);
	list_add(&pins->link, &unpinned);
}

/* Lets go of elisa_lock, and of what was unpinned under it. */
void elisa_unlock(void)
{
	struct elisa_pins *own = NULL;

	while (!list_empty(&unpinned)) {
		struct elisa_pins *first, *pins, *next;

		first = list_first_entry(&unpinned, struct elisa_pins, link);
		list_del_init(&first->link);
		list_for_each_entry_safe(pins, next, &unpinned, link)
			if (pins->mm == first->mm)
				list_move(&pins->link, &first->link);
		if (first->mm == current->mm)
			own = first;
		else
			queue_work(unpin_queue, &first->work);
	}
	mutex_unlock(&elisa_lock);
	if (own)
		release_all(own);
}

/* Statistics are asked for right after something has ended: what is on its way out has a
 * moment's time. Without elisa_lock. */
void elisa_unpin_settle(void)
{
	wait_event_killable_timeout(unpinning_done, !atomic_read(&unpinning), HZ);
}

u64 elisa_pinned_pages(void)
{
	return atomic64_read(&pinned_pages);
}

int elisa_pin_init(void)
{
	unpin_queue = alloc_workqueue("elisa_unpin", WQ_UNBOUND, 0);
	return unpin_queue ? 0 : -ENOMEM;
}

void elisa_pin_exit(void)
{
	destroy_workqueue(unpin_queue);
}

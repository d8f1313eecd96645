/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * elisa.ko's own objects.
 *
 *   vm ----------- exports (manager) --- regions, events, shared sub-EPT tables
 *    |                 |
 *    +--- attachments (guest) --- one context per armed vCPU
 *                                     gate EPT, sub EPT, stack, counters
 *   vcpu (armed) --- EPTP list, up to ELISA_SLOTS contexts
 *
 * Locking: elisa_lock covers all of it but what the exit path touches. No memory of a VM
 * is faulted in, and none unpinned, under it (pin.c); hence elisa_unlock(). The exit
 * path (exit.c) runs in the vCPU's own thread and uses only that vCPU's struct
 * elisa_armed_vcpu and its contexts; another thread that takes a context away sets
 * context.dead, sends every CPU an IPI (INVEPT), and may then free its pages:
 * before_entry() has seen the flag, or will see it before the guest runs. What both
 * touch in the host - the list entries, and a context's pages - is under armed.lock.
 * Contexts of other vCPUs are found by their export's list, never by KVM's list of
 * vCPUs: 6.12 frees a vCPU before it takes it off that.
 */
#ifndef ELISA_H
#define ELISA_H

#include <linux/kvm_host.h>
#include <linux/list.h>
#include <linux/mutex.h>
#include <linux/workqueue.h>

#include "elisa_abi.h"
#include "elisa_hooks.h"
#include "tables.h"

#define ELISA_SLOTS         4  /* attachments of one VM */
#define ELISA_MAX_REGIONS   16 /* of one attachment */
#define ELISA_MAX_EVENTS    256 /* unanswered, of one export; a DETACH always fits */
#define ELISA_CHUNK         (2ull << 20)
#define ELISA_CHUNK_PAGES   512

/* What may happen so often a second; more of it makes the vCPU wait. */
struct elisa_rate {
	unsigned long since; /* jiffies */
	u32 count, limit;
};

struct elisa_vm {
	struct list_head link;
	struct kvm *kvm;
	struct mm_struct *mm;
	u64 id;
	u32 role;
	pid_t pid;
	char label[ELISA_NAME_MAX];
	struct rcu_head rcu;
	struct list_head attachments;
	struct list_head exports;
	struct elisa_vm_quota quota;
	u32 export_count;
	u32 slots;             /* bitmap of taken slots */
	u64 pinned;            /* pages */
	u64 reserved;          /* pages of its regions, pinned or not yet */
	u64 table_pages;
	u64 aborts;            /* of contexts that are gone */
	u64 crossings;
	struct elisa_rate rate;
	u64 refusals[ELISA_REFUSALS]; /* calls, and attachments by their manager, by error */
};

/* Guest pages held by the module, charged to the mm they were pinned through. */
struct elisa_pins {
	struct list_head link;
	struct work_struct work;
	struct mm_struct *mm;
	u64 vm_id;             /* whose quota they count on */
	struct page **pages;
	u64 count;             /* to be pinned */
	u64 pinned;
};

struct elisa_export {
	struct list_head link; /* all exports */
	struct list_head vm_link;
	struct elisa_vm *owner;         /* NULL once its VM is gone, or it was ended */
	char owner_label[ELISA_NAME_MAX];
	u64 id;                         /* stays what it is; the handle changes hands */
	char name[ELISA_NAME_MAX];
	u64 handle;
	u64 size;
	u64 entry;
	bool published;
	bool dead;
	struct list_head attachments;
	struct list_head regions;       /* sorted by x */
	struct list_head events;
	u64 event_seq;
	u32 event_count;
	u32 next_number;
	struct list_head contexts;      /* unlinked before their vCPU is freed */
	/* The part of the sub EPT that all contexts of the export share: one
	 * EPT page directory per GiB of the slot, 0 where there is none. */
	u64 pdpte[ELISA_SLOT_GIGS];
	struct elisa_pages tables;
	struct elisa_pages sealed;
	struct list_head pins;          /* of the object's memory */
	const void *adding;             /* the call that has let go of the lock, or NULL */
};

struct elisa_attachment {
	struct list_head vm_link;
	struct list_head export_link;   /* by number, ascending */
	struct elisa_vm *vm;
	struct elisa_export *export;
	u64 handle;
	u64 instance;
	u64 token;
	u64 arg;
	u32 number;            /* names it to the manager */
	u32 slot;              /* of the VM; fixes the list indexes */
	enum elisa_state state;
	u32 refusal;
	u32 region_count;
	/* of contexts that are gone */
	u64 crossings, aborts, off_default_exits, return_traps;
};

struct elisa_region {
	struct list_head link;
	u32 number;
	u32 attachment;                 /* number */
	struct elisa_attachment *owner; /* NULL once unmapped: waits for the manager */
	bool answered;                  /* which has forgotten it; its addresses rest, see region.c */
	u64 rests_until;                /* ns */
	u64 x, len;
	u64 chunks;                     /* mapped so far */
	enum elisa_state state;
	u32 refusal;
	struct list_head pins;
	const struct elisa_pins *adding; /* of a call that has let go of the lock, or NULL */
	struct elisa_pages tables;
	/* Where its addresses lead once it is unmapped: to a page of its own, since what others
	 * write there is theirs. */
	struct elisa_pages scratch;
	u64 scratch_pde;
};

/* One gate and one sub EPT context: an attachment on a vCPU. */
struct elisa_context {
	struct elisa_armed_vcpu *av;
	struct elisa_attachment *attachment; /* NULL: free */
	struct list_head export_link;
	bool dead;
	bool closed;           /* its vCPU was stopped: ARM builds it anew */
	bool la57;             /* its guest's page tables have five levels */
	u64 gate_eptp, sub_eptp;
	u64 abort_rsp;
	u64 *sub_pdpt;         /* EPT, [window] */
	u64 *counters;         /* [0] crossings */
	u8 *reopen;            /* immediate of the gate's last store */
	struct elisa_pages pages;
	u64 aborts, off_default_exits, return_traps;
};

struct elisa_armed_vcpu {
	struct elisa_vcpu hook;
	struct kvm_vcpu *vcpu;
	struct work_struct release;
	raw_spinlock_t lock;
	u64 *list;                      /* the EPTP list */
	struct elisa_context context[ELISA_SLOTS];
	struct elisa_context *current_context; /* while off default */
	bool in_gate;
	bool trap;                      /* list[gate] of current_context is closed */
	bool in_smm;                    /* VMFUNC is off until it leaves SMM */
	bool unused;                    /* no contexts left: release at next entry */
	bool signal_held;               /* a signal that waits for it, too */
	int kept_vector;                /* an interrupt that waits for the default context, or -1 */
	bool registers_hidden;
	unsigned long hidden[VCPU_REGS_R15 + 1]; /* the image's, while the vCPU is out of the guest */
	u64 xcr0;                       /* when it was armed */
	struct elisa_rate abort_rate;
	struct elisa_landing landing;
	struct elisa_exit last_abort;
	/* of the current crossing, when it was first seen in the sub: CPU time (0: not yet), and
	 * wall time */
	u64 budget_since, first_seen;
};

#define ELISA_PML4_SIZE (1ull << 39) /* of guest-virtual space, by one PML4 entry */

#define LIST_DEFAULT          0
#define LIST_GATE(slot)       (1 + 2 * (slot))
#define LIST_SUB(slot)        (2 + 2 * (slot))

extern struct mutex elisa_lock;
extern struct list_head elisa_vms, elisa_exports;
extern struct elisa_host_stats elisa_stats; /* counts kept as things change */
extern unsigned int elisa_budget_us;
extern atomic64_t elisa_abort_reasons[8]; /* by ELISA_E_FAULT and up */
extern atomic64_t elisa_throttled;
extern struct elisa_vm_quota elisa_default_quota;

/* admin.c */
int elisa_admin_init(void);
void elisa_admin_exit(void);
/* Under elisa_lock, or RCU and then only to know whether there is one. */
struct elisa_vm *elisa_vm_of(struct kvm *kvm);
bool elisa_vm_registered(struct kvm *kvm);
struct elisa_vm *elisa_vm_by_id(u64 id);
void elisa_vm_end(struct elisa_vm *vm);
void elisa_from_user(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);

/* calls.c */
bool elisa_doorbell(struct kvm_vcpu *vcpu);

/* pin.c */
int elisa_pin_init(void);
void elisa_pin_exit(void);
struct elisa_pins *elisa_pins_create(struct elisa_vm *vm, u64 npages);
int elisa_pin(struct kvm *kvm, struct elisa_pins *pins, u64 gpa);
void elisa_unpin(struct elisa_pins *pins);
void elisa_unlock(void);
void elisa_unpin_settle(void);
u64 elisa_pinned_pages(void);

/* invept.c */
void elisa_invept_all(void);

/* export.c */
int elisa_export_create(struct elisa_vm *vm, const char *name, u64 size, u64 *handle, u64 *id);
int elisa_export_take_over(struct elisa_vm *vm, const char *name, u64 out[6]);
int elisa_export_add(struct elisa_vm *vm, u64 handle, u64 offset, u64 gpa, u64 len, u64 kind);
int elisa_export_publish(struct elisa_vm *vm, u64 handle, u64 entry);
int elisa_export_destroy(struct elisa_vm *vm, u64 handle);
struct elisa_export *elisa_export_of(struct elisa_vm *vm, u64 handle);
struct elisa_export *elisa_export_named(const char *name);
void elisa_export_orphan(struct elisa_export *export);
void elisa_export_end(struct elisa_export *export);
void elisa_export_put_if_unused(struct elisa_export *export);
u64 *elisa_export_pde(struct elisa_export *export, u64 x);

/* events.c */
int elisa_event_add(struct elisa_export *export, enum elisa_event kind, u32 attachment,
		    u64 a, u64 b, u64 c);
bool elisa_event_withdraw(struct elisa_export *export, enum elisa_event kind, u32 attachment, u64 a);
int elisa_event_poll(struct elisa_export *export, u64 out[6]);
int elisa_event_reply(struct elisa_export *export, u64 seq, s64 verdict, u64 arg);
void elisa_events_free(struct elisa_export *export);

/* attach.c */
int elisa_attach(struct elisa_vm *vm, const char *name, u64 instance, u64 *handle);
struct elisa_attachment *elisa_attachment_of(struct elisa_vm *vm, u64 handle);
void elisa_detach(struct elisa_attachment *att);
int elisa_attachment_after(struct elisa_export *export, u64 number, u64 out[6]);
void elisa_attachment_kill(struct elisa_attachment *att);

/* region.c */
int elisa_region_create(struct elisa_attachment *att, u64 len, u64 *number);
int elisa_region_add(struct elisa_attachment *att, u64 number, u64 offset, u64 gpa, u64 len);
int elisa_region_commit(struct elisa_attachment *att, u64 number);
struct elisa_region *elisa_region_of(struct elisa_export *export, u32 attachment, u64 number);
int elisa_region_remove(struct elisa_attachment *att, u64 number);
void elisa_region_unmap(struct elisa_export *export, struct elisa_attachment *att, u64 number);
void elisa_region_release(struct elisa_export *export, u32 attachment, u64 number);
void elisa_regions_free(struct elisa_export *export);
void elisa_region_exit(void);
#define ELISA_ALL_REGIONS (~0ull)

/* context.c */
int elisa_arm(struct kvm_vcpu *vcpu, struct elisa_attachment *att, u64 abort_rsp, u64 *vcpu_nr);
void elisa_contexts_kill(struct elisa_attachment *att);
int elisa_context_init(void);
void elisa_context_exit(void);
void elisa_vcpu_release_later(struct elisa_armed_vcpu *av);
void elisa_context_vcpu_free(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
void elisa_context_end(struct elisa_armed_vcpu *av, unsigned int slot);

/* exit.c */
void elisa_before_entry(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
void elisa_after_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
bool elisa_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
void elisa_defer_event(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
bool elisa_load_eptp(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev, u64 eptp);
void elisa_reset(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
void elisa_sched_in(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
void elisa_to_user(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);

/* rate.c */
unsigned long elisa_rate_wait(struct elisa_rate *rate, u32 cost);
void elisa_wait(unsigned long wait);

static inline struct elisa_armed_vcpu *to_armed(struct elisa_vcpu *ev)
{
	return container_of(ev, struct elisa_armed_vcpu, hook);
}

#endif

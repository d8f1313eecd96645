/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * The contract between kvm-intel and elisa.ko.
 *
 * kvm-intel calls elisa.ko through struct elisa_ops, behind a static key; the
 * hook sites are the one-line calls of the inline functions below. elisa.ko
 * reaches a vCPU's VMCS only through the elisa_kvm_*() primitives, which run in
 * the vCPU's own thread with its VMCS loaded unless said otherwise.
 */
#ifndef ELISA_HOOKS_H
#define ELISA_HOOKS_H

#include <linux/jump_label.h>
#include <linux/kvm_host.h>

/* What kvm-intel reads of an armed vCPU; elisa.ko embeds it in its own state. */
struct elisa_vcpu {
	u64 default_eptp; /* what KVM wants in EPT_POINTER */
	bool off_default; /* as of the last VM exit: in a gate or sub context */
	bool stopped;     /* VMFUNC is #UD until it is armed again */
};

/**
 * struct elisa_ops - what elisa.ko does at the hooks
 * @doorbell:    IN EAX on ELISA_PORT. Any vCPU; may sleep. True: registers are
 *               set, skip the instruction. False: not ours, let KVM handle it.
 * @before_entry: interrupts off, right before registers are loaded for VM entry.
 * @after_exit:  interrupts off, right after a VM exit: sets off_default.
 * @exit:        a VM exit taken off the default context, before KVM looks at it.
 *               True: handled, resume the guest. False: transparent, KVM's own
 *               handler is right for it.
 * @defer_event: KVM has an interrupt, NMI or SMI for a vCPU that is off its
 *               default context: see that it comes back soon.
 * @load_eptp:   KVM has a new root for the default context. True: must not go to
 *               EPT_POINTER now.
 * @reset:       INIT or reset: the vCPU's contexts end here.
 * @sched_in:    the vCPU's thread is back on a CPU, off its default context. Atomic.
 * @from_user:   KVM_RUN begins; may sleep. User space may have set registers. Any vCPU.
 * @to_user:     KVM_RUN is about to return to user space, which may read and set
 *               registers: the vCPU must be in its default context.
 * @vcpu_free:   last call for this vCPU; another thread.
 * @vm_destroy:  last call for this VM, before its vCPUs are freed on 6.1 and
 *               after on 6.12; another thread; no vCPU runs any more.
 *
 * Only @doorbell, @from_user and @vm_destroy are called for vCPUs and VMs that elisa.ko
 * did not mark with elisa_kvm_set(): @from_user with NULL, and outside of long mode.
 */
struct elisa_ops {
	bool (*doorbell)(struct kvm_vcpu *vcpu);
	void (*before_entry)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	void (*after_exit)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	bool (*exit)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	void (*defer_event)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	bool (*load_eptp)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev, u64 eptp);
	void (*reset)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	void (*sched_in)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	void (*from_user)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	void (*to_user)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	void (*vcpu_free)(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
	void (*vm_destroy)(struct kvm *kvm);
};

/* Where a crossing comes back to, as recorded when the vCPU was armed. */
struct elisa_landing {
	u64 rip, rsp, rflags;
	struct kvm_segment cs, ss;
};

/* A VM exit, for the log and for ABORT_INFO. */
struct elisa_exit {
	u32 reason;         /* basic exit reason */
	u32 intr_info;      /* of an exception */
	u32 vectoring_info; /* an event was being delivered */
	u64 qualification;
	u64 gla;
	u64 rip;
};

int elisa_kvm_register(const struct elisa_ops *ops);
void elisa_kvm_unregister(void);

/* Marks a vCPU as armed (or, with NULL, not). */
void elisa_kvm_set(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
struct elisa_vcpu *elisa_kvm_get(struct kvm_vcpu *vcpu);

/* 0, or the negative ELISA_E* that says why this vCPU cannot be armed (I8). */
int elisa_kvm_may_arm(struct kvm_vcpu *vcpu);
/* Is it still as it was then? For each entry, so no more than what can change. */
bool elisa_kvm_may_cross(struct kvm_vcpu *vcpu);
bool elisa_kvm_la57(struct kvm_vcpu *vcpu);   /* 5-level paging */
bool elisa_kvm_nested(struct kvm_vcpu *vcpu); /* an L2 runs */
bool elisa_kvm_in_smm(struct kvm_vcpu *vcpu);
/* In long mode, or in SMM, from which it comes back. */
bool elisa_kvm_long_mode(struct kvm_vcpu *vcpu);
void elisa_kvm_enable_vmfunc(struct kvm_vcpu *vcpu, u64 list_pa);
void elisa_kvm_disable_vmfunc(struct kvm_vcpu *vcpu);
/* Before each entry: KVM recomputes the controls now and then. */
void elisa_kvm_hold_controls(struct kvm_vcpu *vcpu);
/* Does the guest's IDT touch [base, base + size)? Straight from the VMCS. */
bool elisa_kvm_idt_touches(u64 base, u64 size);
u64 elisa_kvm_eptp(void);
void elisa_kvm_set_eptp(u64 eptp);
u64 elisa_kvm_rip(void);
void elisa_kvm_set_rip(struct kvm_vcpu *vcpu, u64 rip);
void elisa_kvm_read_landing(struct kvm_vcpu *vcpu, struct elisa_landing *at);
/* Moves the vCPU there: RIP, RSP, RFLAGS, CS, SS; drops queued exceptions and
 * software interrupts, keeps external interrupts and NMIs. */
void elisa_kvm_land(struct kvm_vcpu *vcpu, const struct elisa_landing *at);
void elisa_kvm_read_exit(struct kvm_vcpu *vcpu, struct elisa_exit *exit);
/* An event is set up to be injected at this entry. */
bool elisa_kvm_injecting(void);
/* An external interrupt whose delivery was cut short, taken from KVM's queue; -1: none. */
int elisa_kvm_take_interrupt(struct kvm_vcpu *vcpu);
void elisa_kvm_queue_interrupt(struct kvm_vcpu *vcpu, u8 vector);
/* At this very entry, for before_entry(): KVM has injected what it had. After elisa_kvm_land(), with IF set. */
void elisa_kvm_inject_interrupt(struct kvm_vcpu *vcpu, u8 vector);
void elisa_kvm_set_if(struct kvm_vcpu *vcpu, bool on);
/* Zeroes the vector registers, wherever KVM has them at the moment. */
void elisa_kvm_scrub_vectors(struct kvm_vcpu *vcpu);

/* ------------------------------------------------------------ the hook sites */

#ifdef ELISA_IN_KVM_INTEL

#include "../kvm_cache_regs.h"
#include "vmx.h"

DECLARE_STATIC_KEY_FALSE(elisa_key);
extern const struct elisa_ops *elisa_ops;

static __always_inline struct elisa_vcpu *elisa_armed(struct kvm_vcpu *vcpu)
{
	return static_branch_unlikely(&elisa_key) ? to_vmx(vcpu)->elisa : NULL;
}

static __always_inline struct elisa_vcpu *elisa_off_default(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = elisa_armed(vcpu);

	return ev && ev->off_default ? ev : NULL;
}

bool __elisa_refuse_vmfunc(struct kvm_vcpu *vcpu);
bool __elisa_doorbell(struct kvm_vcpu *vcpu, unsigned long exit_qualification);
void __elisa_from_user(struct kvm_vcpu *vcpu);
void __elisa_vcpu_free(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev);
void __elisa_vm_destroy(struct kvm *kvm);

static __always_inline bool elisa_doorbell(struct kvm_vcpu *vcpu, unsigned long qual)
{
	return static_branch_unlikely(&elisa_key) && __elisa_doorbell(vcpu, qual);
}

/*
 * For after_exit() and fastpath(), so that all others pay for one static-key branch each
 * time round. Interrupts stay off until then: nobody else arms a vCPU or lets it go.
 */
static __always_inline struct elisa_vcpu *elisa_before_entry(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = elisa_armed(vcpu);

	if (!ev)
		return NULL;
	elisa_ops->before_entry(vcpu, ev);
	return to_vmx(vcpu)->elisa; /* it may have let the vCPU go */
}

/* With what vmx_vcpu_run() returns: exit_handled() wants to see this exit. */
#define ELISA_EXIT 0x100

/* Returns whether the exit fastpaths must be skipped: they emulate. But for the
 * preemption timer's, which only queues an interrupt and has no other handler. */
static __always_inline bool elisa_after_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	u16 reason = to_vmx(vcpu)->exit_reason.basic;

	if (likely(!ev))
		return false;
	elisa_ops->after_exit(vcpu, ev);
	return ev->off_default ? reason != EXIT_REASON_PREEMPTION_TIMER :
				 reason == EXIT_REASON_VMFUNC;
}

/* Off the default context no exit goes straight back to the guest. */
static __always_inline fastpath_t elisa_fastpath(struct elisa_vcpu *ev, fastpath_t fastpath)
{
	if (likely(!ev || !ev->off_default))
		return fastpath;
	return (fastpath == EXIT_FASTPATH_NONE ? EXIT_FASTPATH_NONE : EXIT_FASTPATH_EXIT_HANDLED) |
	       ELISA_EXIT;
}

static __always_inline bool elisa_exit_handled(struct kvm_vcpu *vcpu, fastpath_t *fastpath)
{
	struct elisa_vcpu *ev;

	if (likely(!(*fastpath & ELISA_EXIT)))
		return false;
	*fastpath &= ~ELISA_EXIT;
	ev = to_vmx(vcpu)->elisa;
	return ev->off_default ? elisa_ops->exit(vcpu, ev) : __elisa_refuse_vmfunc(vcpu);
}

/* Returns whether an event must wait. */
static __always_inline bool elisa_defer_event(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = elisa_off_default(vcpu);

	if (ev)
		elisa_ops->defer_event(vcpu, ev);
	return ev;
}

static __always_inline bool elisa_load_eptp(struct kvm_vcpu *vcpu, u64 eptp)
{
	struct elisa_vcpu *ev = elisa_armed(vcpu);

	return ev && elisa_ops->load_eptp(vcpu, ev, eptp);
}

/* Not while armed (I4, I8): PCID, VMX, and what later CPUs add to the delivery of
 * events: CET, UINTR, FRED. Older kernels have no names for those. */
#define ELISA_CR4_FORBIDDEN (X86_CR4_PCIDE | X86_CR4_VMXE | BIT_ULL(23) | BIT_ULL(25) | BIT_ULL(32))

/* They stay off, and the paging depth stays what it was at arm time. */
static __always_inline bool elisa_forbids_cr4(struct kvm_vcpu *vcpu, unsigned long cr4)
{
	struct elisa_vcpu *ev = elisa_armed(vcpu);

	return ev && !ev->stopped &&
	       ((cr4 & ELISA_CR4_FORBIDDEN) || ((cr4 ^ vcpu->arch.cr4) & X86_CR4_LA57));
}

static __always_inline void elisa_reset(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = elisa_armed(vcpu);

	if (ev)
		elisa_ops->reset(vcpu, ev);
}

static __always_inline void elisa_sched_in(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = elisa_off_default(vcpu);

	if (ev)
		elisa_ops->sched_in(vcpu, ev);
}

static __always_inline void elisa_from_user(struct kvm_vcpu *vcpu)
{
	if (static_branch_unlikely(&elisa_key))
		__elisa_from_user(vcpu);
}

static __always_inline void elisa_to_user(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = elisa_armed(vcpu);

	if (ev)
		elisa_ops->to_user(vcpu, ev);
}

/* Armed vCPUs have descriptor-table exiting on, UMIP or not (I5). */
static __always_inline bool elisa_wants_desc_exits(struct kvm_vcpu *vcpu)
{
	return elisa_armed(vcpu);
}

static __always_inline void elisa_vcpu_free(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = elisa_armed(vcpu);

	if (ev)
		__elisa_vcpu_free(vcpu, ev);
}

static __always_inline void elisa_vm_destroy(struct kvm *kvm)
{
	if (static_branch_unlikely(&elisa_key))
		__elisa_vm_destroy(kvm);
}

#endif /* ELISA_IN_KVM_INTEL */
#endif /* ELISA_HOOKS_H */

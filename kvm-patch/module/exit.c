// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM exits taken in a gate or sub context (I6), and what keeps EPT_POINTER and the
 * EPTP list right across KVM's own business (I1, I7). All of it runs in the vCPU's
 * thread.
 *
 * Such an exit is one of three things. *Transparent* (an interrupt of the host's, its
 * timers): KVM handles it and the guest goes on where it was. *An interrupt of the
 * guest's* that the CPU tried to deliver by itself (APICv) and could not: it is kept
 * for the default context. Everything else is an *abort*: the vCPU is put at its
 * landing, in its default context, with an error in RAX. A vCPU found in the gate is
 * never left there: the gate's few instructions are undone, or done, for it.
 *
 * A guest interrupt cannot be delivered off the default context. It waits; list[gate]
 * is closed meanwhile, so that the VMFUNC by which the sub returns exits (the return
 * trap), and the return is completed here.
 *
 * User space never sees a vCPU off its default context: it could set the registers of
 * a vCPU that is in the sub. Signals wait for the return, too; should KVM_RUN end in
 * there nevertheless, the crossing does. The image's general registers are not in KVM's
 * hands meanwhile, either: KVM_CAP_SYNC_REGS shows them ahead of the hook.
 */
#include <asm/vmx.h>
#include <linux/sched.h>
#include <linux/sched/signal.h>
#include <linux/timekeeping.h>

#include "elisa.h"
#include "gate.h"

#define SUB_VMFUNC_RIP (ELISA_GATE_VA + (elisa_sub_vmfunc - elisa_sub_page))
#define ENTRY_VMFUNC_RIP (ELISA_GATE_VA + ELISA_ENTRY_OFF - 3)

static unsigned int slot_of(const struct elisa_armed_vcpu *av, const struct elisa_context *ctx)
{
	return ctx - av->context;
}

static void set_low(u64 *entry, u8 low)
{
	WRITE_ONCE(*(u8 *)entry, low);
}

/*
 * I1, and the default context. All subs are closed, not only the one that was current:
 * an image that went astray may have left by another attachment's gate.
 */
static void to_default(struct elisa_armed_vcpu *av)
{
	struct elisa_context *ctx = av->current_context;
	unsigned long flags;
	unsigned int slot;

	raw_spin_lock_irqsave(&av->lock, flags);
	for (slot = 0; slot < ELISA_SLOTS; slot++)
		set_low(&av->list[LIST_SUB(slot)], 0);
	if (ctx && av->trap && !ctx->dead)
		set_low(&av->list[LIST_GATE(slot_of(av, ctx))], GATE_EPTP_LOW);
	WRITE_ONCE(av->list[LIST_DEFAULT], av->hook.default_eptp);
	raw_spin_unlock_irqrestore(&av->lock, flags);

	elisa_kvm_set_eptp(av->hook.default_eptp);
	av->trap = false;
	av->in_gate = false;
	av->current_context = NULL;
	av->hook.off_default = false;
	av->budget_since = 0;
	av->registers_hidden = false;
	if (av->signal_held) {
		av->signal_held = false;
		set_thread_flag(TIF_SIGPENDING);
	}
	if (av->kept_vector >= 0) {
		elisa_kvm_set_if(av->vcpu, true);
		elisa_kvm_queue_interrupt(av->vcpu, av->kept_vector);
		av->kept_vector = -1;
	}
}

/* RSP and RIP are in the VMCS, and say nothing of anybody's data. */
static void hide_registers(struct elisa_armed_vcpu *av)
{
	unsigned long *regs = av->vcpu->arch.regs;
	int i;

	for (i = VCPU_REGS_RAX; i <= VCPU_REGS_R15; i++) {
		if (i == VCPU_REGS_RSP)
			continue;
		av->hidden[i] = regs[i];
		regs[i] = 0;
	}
	av->registers_hidden = true;
}

static void show_registers(struct elisa_armed_vcpu *av)
{
	int i;

	/* KVM's exit fastpath comes back without a call of elisa_exit(). */
	if (!av->registers_hidden)
		return;
	for (i = VCPU_REGS_RAX; i <= VCPU_REGS_R15; i++)
		if (i != VCPU_REGS_RSP)
			av->vcpu->arch.regs[i] = av->hidden[i];
	av->registers_hidden = false;
}

static void abort_crossing(struct elisa_armed_vcpu *av, enum elisa_error why)
{
	struct elisa_landing at = av->landing;
	struct kvm_vcpu *vcpu = av->vcpu;
	int i;

	if (av->current_context) {
		av->current_context->aborts++;
		at.rsp = av->current_context->abort_rsp;
	}
	to_default(av);
	for (i = VCPU_REGS_RAX; i <= VCPU_REGS_R15; i++)
		if (i != VCPU_REGS_RSP)
			vcpu->arch.regs[i] = 0;
	vcpu->arch.regs[VCPU_REGS_RAX] = -(s64)why;
	/* The image may have been stopped with others' data in them. */
	elisa_kvm_scrub_vectors(vcpu);
	elisa_kvm_land(vcpu, &at);
	atomic64_inc(&elisa_abort_reasons[why - ELISA_E_FAULT]);
}

/* Before an entry. KVM has injected what it had, and at the exit it clears its queue: what
 * to_default() puts there comes too late. */
static void abort_at_entry(struct elisa_armed_vcpu *av, enum elisa_error why)
{
	int vector = av->kept_vector;

	abort_crossing(av, why);
	if (vector >= 0)
		elisa_kvm_inject_interrupt(av->vcpu, vector);
}

/* The rest of a crossing whose image has returned. */
static void complete_return(struct elisa_armed_vcpu *av)
{
	struct kvm_vcpu *vcpu = av->vcpu;

	to_default(av);
	vcpu->arch.regs[VCPU_REGS_RAX] = 0;
	vcpu->arch.regs[VCPU_REGS_RCX] = 0;
	elisa_kvm_set_rip(vcpu, ELISA_GATE_VA + ELISA_LANDING_OFF);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}

/* In the gate: back to the VMFUNC that led here, or on to the landing. */
static bool leave_gate(struct elisa_armed_vcpu *av, u64 rip)
{
	u64 off = rip - ELISA_GATE_VA;
	unsigned int slot;

	if (off >= ELISA_ENTRY_OFF && off < elisa_gate_entry_end - elisa_gate_page) {
		slot = slot_of(av, av->current_context);
		to_default(av);
		av->vcpu->arch.regs[VCPU_REGS_RAX] = 0;
		av->vcpu->arch.regs[VCPU_REGS_RCX] = LIST_GATE(slot);
		elisa_kvm_set_rip(av->vcpu, ENTRY_VMFUNC_RIP);
		kvm_make_request(KVM_REQ_EVENT, av->vcpu);
		return true;
	}
	if (off >= elisa_gate_exit - elisa_gate_page && off < ELISA_LANDING_OFF) {
		complete_return(av);
		return true;
	}
	return false;
}

static bool is_transparent(const struct elisa_exit *x)
{
	u32 type = x->intr_info & INTR_INFO_INTR_TYPE_MASK;

	switch (x->reason) {
	case EXIT_REASON_EXTERNAL_INTERRUPT:
	case EXIT_REASON_PREEMPTION_TIMER:
	case EXIT_REASON_INTERRUPT_WINDOW:
	case EXIT_REASON_NMI_WINDOW:
	case EXIT_REASON_PAUSE_INSTRUCTION:
	case EXIT_REASON_MCE_DURING_VMENTRY:
		return true;
	case EXIT_REASON_EXCEPTION_NMI:
		return type == INTR_TYPE_NMI_INTR ||
		       (type == INTR_TYPE_HARD_EXCEPTION &&
			(x->intr_info & INTR_INFO_VECTOR_MASK) == MC_VECTOR);
	default:
		return false;
	}
}

/* The CPU was delivering an interrupt by itself and found no IDT. */
static bool is_guest_interrupt(const struct elisa_exit *x)
{
	return x->reason == EXIT_REASON_EPT_VIOLATION &&
	       (x->vectoring_info & VECTORING_INFO_VALID_MASK) &&
	       (x->vectoring_info & VECTORING_INFO_TYPE_MASK) == INTR_TYPE_EXT_INTR;
}

static enum elisa_error cause(const struct elisa_exit *x)
{
	switch (x->reason) {
	case EXIT_REASON_EXCEPTION_NMI:
	case EXIT_REASON_EPT_VIOLATION:
	case EXIT_REASON_EPT_MISCONFIG:
	case EXIT_REASON_TRIPLE_FAULT:
	case EXIT_REASON_VMFUNC:
		return ELISA_E_FAULT;
	default:
		return ELISA_E_INTERCEPT;
	}
}

/* Nobody's, or being taken away. */
static bool is_lost(const struct elisa_context *ctx)
{
	return !ctx || READ_ONCE(ctx->dead);
}

/* Closes the way back, so that it exits: an event waits for the default context. */
static void arm_trap(struct elisa_armed_vcpu *av)
{
	if (av->trap)
		return;
	set_low(&av->list[LIST_GATE(slot_of(av, av->current_context))], 0);
	av->trap = true;
	av->current_context->return_traps++;
}

/*
 * Each host tick is a sample. A crossing that takes more CPU time than the budget is one
 * that does not end. CPU time, not wall time: a vCPU thread may be preempted in the middle
 * of a crossing. From the first sample on the trap is armed, so that the next one is of the
 * same crossing: the count of crossings is in memory that the image writes.
 */
static bool over_budget(struct elisa_armed_vcpu *av)
{
	u64 now = current->se.sum_exec_runtime;

	if (!av->budget_since) {
		av->budget_since = now;
		arm_trap(av);
		return false;
	}
	return now - av->budget_since > elisa_budget_us * 1000ull;
}

/*
 * However long its thread had no CPU: a crossing does not go on ELISA_CROSSING_MS of wall
 * time after it was first seen. Others wait for calls under way, until addresses can be used
 * again for one thing, and must not wait for ever; taking those addresses away has sampled
 * whatever was under way (elisa_invept_all()). Signed: this clock may step back a little.
 */
static bool over_time(const struct elisa_armed_vcpu *av, u64 now)
{
	return (s64)(now - av->first_seen) > ELISA_CROSSING_MS * (s64)NSEC_PER_MSEC;
}

/*
 * A signal would take the vCPU to user space, and end the crossing (to_user()). QEMU
 * signals its vCPUs for all kinds of reasons; so it waits for the return, at most for
 * the budget: to_default() shows it again.
 */
static void hold_signal(struct elisa_armed_vcpu *av)
{
	if (!task_sigpending(current) || fatal_signal_pending(current))
		return;
	clear_thread_flag(TIF_SIGPENDING);
	smp_mb__after_atomic();
	if (__fatal_signal_pending(current)) { /* it came in between */
		set_thread_flag(TIF_SIGPENDING);
		return;
	}
	av->signal_held = true;
	arm_trap(av);
}

/* Off the default context for a reason of the host's: the guest need not know. */
static void pass_over(struct elisa_armed_vcpu *av, const struct elisa_exit *x)
{
	if (av->in_gate) {
		if (!leave_gate(av, x->rip))
			abort_crossing(av, ELISA_E_GATE);
	} else if (over_budget(av)) {
		av->last_abort = *x;
		abort_crossing(av, ELISA_E_BUDGET);
	} else if (fatal_signal_pending(current)) {
		abort_crossing(av, ELISA_E_INTERRUPTED);
	} else {
		hold_signal(av);
		hide_registers(av);
	}
}

/* Keeps the interrupt until the crossing has returned. With IF clear the CPU does not
 * try to deliver the next one. */
static bool keep_interrupt(struct elisa_armed_vcpu *av)
{
	int vector;

	if (av->in_gate || av->kept_vector >= 0)
		return false;
	vector = elisa_kvm_take_interrupt(av->vcpu);
	if (vector < 0)
		return false;
	av->kept_vector = vector;
	elisa_kvm_set_if(av->vcpu, false);
	arm_trap(av);
	return true;
}

bool elisa_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	struct elisa_exit x;
	bool transparent;

	elisa_kvm_read_exit(vcpu, &x);
	transparent = is_transparent(&x);
	if (is_lost(av->current_context)) {
		abort_crossing(av, ELISA_E_REVOKED);
		return !transparent;
	}
	/* No event is ever injected off the default context, so none can be cut short
	 * by a transparent exit. */
	if (transparent && !(x.vectoring_info & VECTORING_INFO_VALID_MASK)) {
		pass_over(av, &x);
		/* KVM would go past a PAUSE, which is not where the vCPU is any more. */
		return x.reason == EXIT_REASON_PAUSE_INSTRUCTION && !ev->off_default;
	}
	if (is_guest_interrupt(&x)) {
		if (keep_interrupt(av)) {
			pass_over(av, &x);
			return true;
		}
		/* In the gate: it stays in KVM's queue, for the next entry. */
		if (av->in_gate && leave_gate(av, x.rip))
			return true;
	}
	if (!av->in_gate && av->trap && x.reason == EXIT_REASON_VMFUNC &&
	    x.rip == SUB_VMFUNC_RIP) {
		complete_return(av);
		return true;
	}
	av->last_abort = x;
	abort_crossing(av, av->in_gate ? ELISA_E_GATE : cause(&x));
	elisa_wait(elisa_rate_wait(&av->abort_rate, 1));
	return true;
}

void elisa_after_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	unsigned int slot;
	u64 eptp;

	/* An L2's EPT_POINTER is no business of ours. */
	if (elisa_kvm_nested(vcpu)) {
		ev->off_default = false;
		return;
	}
	eptp = elisa_kvm_eptp();
	ev->off_default = eptp != ev->default_eptp;
	av->current_context = NULL;
	if (likely(!ev->off_default)) {
		av->budget_since = 0;
		return;
	}
	if (!av->budget_since)
		av->first_seen = ktime_get_mono_fast_ns();
	for (slot = 0; slot < ELISA_SLOTS; slot++) {
		struct elisa_context *ctx = &av->context[slot];

		if (eptp == ctx->gate_eptp || eptp == ctx->sub_eptp) {
			av->current_context = ctx;
			av->in_gate = eptp == ctx->gate_eptp;
			ctx->off_default_exits++;
			break;
		}
	}
}

/* Ends all crossings of this vCPU, now and later: it has become one that may not have
 * any. VMFUNC is #UD from now on, until it is armed again. In its default context. */
static void stop_crossing(struct elisa_armed_vcpu *av)
{
	unsigned long flags;
	unsigned int slot;

	raw_spin_lock_irqsave(&av->lock, flags);
	for (slot = 0; slot < ELISA_SLOTS; slot++) {
		WRITE_ONCE(av->list[LIST_GATE(slot)], 0);
		av->context[slot].closed = true;
	}
	raw_spin_unlock_irqrestore(&av->lock, flags);
	elisa_kvm_disable_vmfunc(av->vcpu);
	av->hook.stopped = true;
}

static bool may_cross(const struct elisa_armed_vcpu *av)
{
	return !elisa_kvm_idt_touches(ELISA_SLOT_BASE, ELISA_PML4_SIZE) &&
	       elisa_kvm_may_cross(av->vcpu) && av->vcpu->arch.xcr0 == av->xcr0;
}

/*
 * Interrupts are off. Whatever wrote it - LIDT, which exits, RSM, KVM_SET_SREGS - the
 * guest's IDT is checked here, at each entry (I5). Likewise the mode, CR4 (I4, I8), and
 * XCR0, which decided how the vector registers are scrubbed.
 */
void elisa_before_entry(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	u64 now;

	if (elisa_kvm_nested(vcpu))
		return;
	now = ktime_get_mono_fast_ns();
	if (unlikely(ev->off_default && (is_lost(av->current_context) || elisa_kvm_injecting())))
		abort_at_entry(av, ELISA_E_REVOKED);
	if (unlikely(ev->off_default && over_time(av, now)))
		abort_at_entry(av, ELISA_E_INTERRUPTED);
	if (unlikely(READ_ONCE(av->unused) && !ev->off_default)) {
		elisa_kvm_disable_vmfunc(vcpu);
		elisa_vcpu_release_later(av);
		return;
	}
	if (unlikely(ev->stopped))
		return;
	/* The gate's bytes are safe as 64-bit code only (I2), and SMM runs other code, too. But
	 * it comes back to long mode, so the gates are not lost for good. */
	if (unlikely(elisa_kvm_in_smm(vcpu))) {
		elisa_kvm_disable_vmfunc(vcpu);
		av->in_smm = true;
		return;
	}
	if (unlikely(!may_cross(av))) {
		if (ev->off_default)
			abort_at_entry(av, ELISA_E_RESET);
		stop_crossing(av);
		return;
	}
	if (unlikely(av->in_smm)) {
		elisa_kvm_enable_vmfunc(vcpu, __pa(av->list));
		av->in_smm = false;
	}
	if (ev->off_default)
		show_registers(av);
	elisa_kvm_hold_controls(vcpu);
}

/* Signals come while the thread waits for a CPU, too. */
void elisa_sched_in(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);

	if (av->current_context && !av->in_gate)
		hold_signal(av);
}

void elisa_to_user(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	if (ev->off_default)
		abort_crossing(to_armed(ev), ELISA_E_INTERRUPTED);
}

void elisa_defer_event(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);

	if (av->current_context && !av->in_gate)
		arm_trap(av);
}

/* I7. The default entry follows, open or closed as the gate has it. */
bool elisa_load_eptp(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev, u64 eptp)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	unsigned long flags;
	unsigned int slot;
	bool closed;

	if (elisa_kvm_nested(vcpu))
		return false;
	raw_spin_lock_irqsave(&av->lock, flags);
	closed = !(av->list[LIST_DEFAULT] & 0xff);
	for (slot = 0; slot < ELISA_SLOTS; slot++)
		if (av->context[slot].attachment)
			*av->context[slot].reopen = eptp;
	ev->default_eptp = eptp;
	WRITE_ONCE(av->list[LIST_DEFAULT], closed ? eptp & ~0xffull : eptp);
	raw_spin_unlock_irqrestore(&av->lock, flags);
	return ev->off_default;
}

/* INIT or reset: whatever was armed is stale. KVM sets the other registers. */
void elisa_reset(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);

	if (ev->off_default) {
		/* The APIC that it came from is reset, too. */
		av->kept_vector = -1;
		to_default(av);
		elisa_kvm_scrub_vectors(vcpu);
		atomic64_inc(&elisa_abort_reasons[ELISA_E_RESET - ELISA_E_FAULT]);
	}
	stop_crossing(av);
}

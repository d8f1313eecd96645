// SPDX-License-Identifier: GPL-2.0-only
/*
 * VM exits taken in a gate or sub context (I6), and what keeps EPT_POINTER and the
 * EPTP list right across KVM's own business (I1, I7). All of it runs in the vCPU's
 * thread.
 *
 * Such an exit is one of two things. *Transparent* (an interrupt of the host's, its
 * timers): KVM handles it and the guest goes on where it was. Everything else is
 * an *abort*: the vCPU is put at its landing, in its default context, with an error
 * in RAX. A vCPU found in the gate is never left there: the gate's few instructions
 * are undone, or done, for it.
 *
 * A guest interrupt cannot be delivered off the default context. It waits; list[gate]
 * is closed meanwhile, so that the VMFUNC by which the sub returns exits (the return
 * trap), and the return is completed here.
 */
#include <asm/fpu/api.h>
#include <asm/vmx.h>
#include <linux/sched.h>

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

/* I1, and the default context. */
static void to_default(struct elisa_armed_vcpu *av)
{
	struct elisa_context *ctx = av->current_context;

	if (ctx) {
		unsigned int slot = slot_of(av, ctx);

		set_low(&av->list[LIST_SUB(slot)], 0);
		if (av->trap && !READ_ONCE(ctx->dead))
			set_low(&av->list[LIST_GATE(slot)], GATE_EPTP_LOW);
	}
	WRITE_ONCE(av->list[LIST_DEFAULT], av->hook.default_eptp);
	elisa_kvm_set_eptp(av->hook.default_eptp);
	av->trap = false;
	av->in_gate = false;
	av->current_context = NULL;
	av->hook.off_default = false;
}

/* The image may have been stopped with others' data in vector registers. */
static void scrub_vectors(struct kvm_vcpu *vcpu)
{
	fpregs_lock();
	if (test_thread_flag(TIF_NEED_FPU_LOAD))
		switch_fpu_return();
	if (boot_cpu_has(X86_FEATURE_AVX))
		asm volatile("vzeroall" ::: "memory");
	else
		asm volatile(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
			     "pxor %%xmm\\n, %%xmm\\n\n\t"
			     ".endr" ::: "memory");
	fpregs_unlock();
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
	scrub_vectors(vcpu);
	elisa_kvm_land(vcpu, &at);
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

/*
 * Each host tick is a sample. The same crossing seen over more CPU time than the
 * budget is one that does not end. CPU time, not wall time: a vCPU thread may be
 * preempted in the middle of a crossing.
 */
static bool over_budget(struct elisa_armed_vcpu *av)
{
	u64 crossings = READ_ONCE(av->current_context->counters[0]);
	u64 now = current->se.sum_exec_runtime;

	if (!av->budget_since || crossings != av->budget_crossings) {
		av->budget_since = now;
		av->budget_crossings = crossings;
		return false;
	}
	return now - av->budget_since > elisa_budget_us * 1000ull;
}

bool elisa_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	struct elisa_context *ctx = av->current_context;
	struct elisa_exit x;

	elisa_kvm_read_exit(vcpu, &x);
	if (!ctx) {
		abort_crossing(av, ELISA_E_REVOKED);
		return true;
	}

	if (is_transparent(&x)) {
		if (av->in_gate) {
			if (!leave_gate(av, x.rip))
				abort_crossing(av, ELISA_E_GATE);
		} else if (over_budget(av)) {
			av->last_abort = x;
			abort_crossing(av, ELISA_E_BUDGET);
		}
		return false;
	}
	if (!av->in_gate && av->trap && x.reason == EXIT_REASON_VMFUNC &&
	    x.rip == SUB_VMFUNC_RIP) {
		complete_return(av);
		return true;
	}
	av->last_abort = x;
	abort_crossing(av, av->in_gate ? ELISA_E_GATE : cause(&x));
	return true;
}

void elisa_after_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	unsigned int slot;
	u64 eptp;

	/* An L2's EPT_POINTER is no business of ours. */
	if (vcpu->arch.hflags & HF_GUEST_MASK) {
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

void elisa_before_entry(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);

	if (unlikely(ev->off_default &&
		     (!av->current_context || READ_ONCE(av->current_context->dead))))
		abort_crossing(av, ELISA_E_REVOKED);
	if (unlikely(READ_ONCE(av->unused) && !ev->off_default)) {
		elisa_kvm_disable_vmfunc(vcpu);
		elisa_vcpu_release(av);
	}
}

void elisa_defer_event(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	struct elisa_context *ctx = av->current_context;

	if (av->trap || !ctx || av->in_gate)
		return;
	set_low(&av->list[LIST_GATE(slot_of(av, ctx))], 0);
	av->trap = true;
	ctx->return_traps++;
}

/* I7. The default entry follows, open or closed as the gate has it. */
bool elisa_load_eptp(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev, u64 eptp)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	bool closed = !(av->list[LIST_DEFAULT] & 0xff);
	unsigned int slot;

	if (vcpu->arch.hflags & HF_GUEST_MASK)
		return false;
	if ((eptp ^ ev->default_eptp) & 0xff)
		for (slot = 0; slot < ELISA_SLOTS; slot++)
			if (av->context[slot].attachment)
				*av->context[slot].reopen = eptp;
	ev->default_eptp = eptp;
	WRITE_ONCE(av->list[LIST_DEFAULT], closed ? eptp & ~0xffull : eptp);
	return ev->off_default;
}

/* INIT or reset: whatever was attached is stale. */
void elisa_reset(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	unsigned int slot;

	if (ev->off_default)
		to_default(av);
	for (slot = 0; slot < ELISA_SLOTS; slot++)
		WRITE_ONCE(av->list[LIST_GATE(slot)], 0);
	elisa_kvm_disable_vmfunc(vcpu);
}

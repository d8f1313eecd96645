// SPDX-License-Identifier: GPL-2.0-only
/*
 * The every-instruction sweep: single-steps a crossing and lets an event happen at a chosen instruction of it.
 * By RFLAGS.TF, whose #DB KVM intercepts: the emulated CPU has no monitor trap flag. Linked into elisa.ko for the lab only; stands between kvm-intel's hooks and
 * elisa.ko's answers to them.
 *
 *   ARM       doorbell: the trap flag is on from here
 *   stepping  each instruction exits; neither elisa.ko nor KVM sees those exits
 *   hit       the vCPU is at the chosen place: the flag is off, the event happens, from here on it is on its own
 *   DONE      doorbell: what came of it
 *
 * An event from another CPU reaches a vCPU by an interrupt that takes it out of guest mode. So elisa.ko is shown an
 * external interrupt first, and then what the other CPU had asked for is done.
 */
#include <linux/irq_work.h>
#include <linux/mman.h>
#include <linux/sched/signal.h>
#include <linux/version.h>

#include <asm/nmi.h>

#include "../kvm_cache_regs.h"
#include "../lapic.h"
#include "../x86.h"
#include "../vmx/vmx.h"
#include "elisa.h"
#include "sweep.h"
#include "sweep_abi.h"

#define MAX_PATH 512
/* Of a guest's Linux: it counts them (RES in /proc/interrupts) and does nothing else. */
#define GUEST_VECTOR 0xfd

enum place_context { IN_DEFAULT, IN_GATE, IN_SUB };

struct place {
	enum place_context context;
	u64 rip;
};

enum phase { IDLE, RECORDING, STEPPING, HIT, HAPPENED };

static struct {
	struct kvm_vcpu *vcpu; /* whose crossing it is */
	enum phase phase;
	u64 cr3;               /* of the process that asked */
	bool step;             /* this exit is the trap's */
	bool forced;           /* in the default context, shown to KVM as if off it */
	bool ipi;              /* to be sent right before VM entry */
	bool deliver;          /* GUEST_VECTOR, at the next VM entry */
	enum sweep_event event;
	struct place path[MAX_PATH];
	unsigned int places;
	struct place target;
	u64 next[SWEEP_EVENTS];
	u64 steps, violations, violation_at;
	struct irq_work irq;
	struct elisa_vm_add revoked; /* to be added again; role 0: nothing */
} sweep;

static const struct elisa_ops *real;
static struct elisa_ops wrapped;

/* As vmx.h would, whose inline functions need symbols that kvm-intel does not export. */
static unsigned long vmread(unsigned long field)
{
	unsigned long value;

	asm volatile("vmread %1, %0" : "=rm"(value) : "r"(field) : "cc");
	return value;
}

static void vmwrite(unsigned long field, unsigned long value)
{
	asm volatile("vmwrite %1, %0" :: "r"(field), "rm"(value) : "cc");
}

/* Set between VM entry and the next exit only, in the stepped process only and in its user space only: neither KVM nor
 * the guest's kernel is to see it. */
static void trap_before_entry(struct kvm_vcpu *vcpu)
{
	if ((sweep.phase == RECORDING || sweep.phase == STEPPING) &&
	    (s64)vmread(GUEST_RIP) >= 0 && vmread(GUEST_CR3) == sweep.cr3)
		vmwrite(GUEST_RFLAGS, vmread(GUEST_RFLAGS) | X86_EFLAGS_TF);
}

/* An interrupt or fault that the guest took itself has saved the flag and brings it back, perhaps much later. */
static bool trapped(struct kvm_vcpu *vcpu)
{
	if (vcpu != sweep.vcpu)
		return false;
	if ((s64)vmread(GUEST_RIP) >= 0)
		vmwrite(GUEST_RFLAGS, vmread(GUEST_RFLAGS) & ~X86_EFLAGS_TF);
	return to_vmx(vcpu)->exit_reason.basic == EXIT_REASON_EXCEPTION_NMI &&
	       (vmread(VM_EXIT_INTR_INFO) & ~INTR_INFO_UNBLOCK_NMI) ==
		       (INTR_INFO_VALID_MASK | INTR_TYPE_HARD_EXCEPTION | DB_VECTOR) &&
	       (vmread(EXIT_QUALIFICATION) & DR6_BS);
}

static struct place here(struct elisa_vcpu *ev)
{
	struct place p = { .rip = elisa_kvm_rip() };

	if (ev->off_default)
		p.context = to_armed(ev)->in_gate ? IN_GATE : IN_SUB;
	return p;
}

static bool in_path(struct place p)
{
	return p.context != IN_DEFAULT || (p.rip & PAGE_MASK) == ELISA_GATE_VA;
}

/*
 * Once, however many crossings are recorded, in whichever guest: an interrupt of the host's in the gate makes the vCPU
 * go back and come again, a signal for its thread makes it return past the gate's exit.
 */
static void record(struct place p)
{
	unsigned int i;

	for (i = 0; i < sweep.places; i++)
		if (sweep.path[i].context == p.context && sweep.path[i].rip == p.rip)
			return;
	if (sweep.places < MAX_PATH)
		sweep.path[sweep.places++] = p;
}

static void violated(enum place_context where)
{
	if (!sweep.violations++)
		sweep.violation_at = (u64)sweep.event << 56 | (u64)where << 48 |
				     (sweep.target.rip & (ELISA_SLOT_SIZE - 1));
}

/* I1, of a vCPU in its default context. */
static void check_closed(struct elisa_vcpu *ev, struct place p)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	bool bad = elisa_kvm_eptp() != ev->default_eptp || av->list[LIST_DEFAULT] != ev->default_eptp;
	unsigned int slot;

	for (slot = 0; slot < ELISA_SLOTS; slot++)
		bad |= (av->list[LIST_SUB(slot)] & 0xff) != 0;
	if (bad)
		violated(p.context);
}

static int claim_nmi(unsigned int type, struct pt_regs *regs)
{
	return NMI_HANDLED;
}

static void claim_irq(struct irq_work *work)
{
}

/* ------------------------------------------------------------------ the events */

static void toggle_memslot(struct kvm_vcpu *vcpu)
{
#if LINUX_VERSION_CODE >= KERNEL_VERSION(6, 8, 0)
	struct kvm_userspace_memory_region2 slot = {
#else
	struct kvm_userspace_memory_region slot = {
#endif
		.slot = KVM_USER_MEM_SLOTS - 1,
		.guest_phys_addr = 0x7f00000000ull,
		.memory_size = PAGE_SIZE,
	};

	slot.userspace_addr = vm_mmap(NULL, 0, PAGE_SIZE, PROT_READ | PROT_WRITE,
				      MAP_PRIVATE | MAP_ANONYMOUS, 0);
	/* It waits for every vCPU to come out of the host's handlers. */
	kvm_vcpu_srcu_read_unlock(vcpu);
	mutex_lock(&vcpu->kvm->slots_lock);
	WARN_ON(__kvm_set_memory_region(vcpu->kvm, &slot));
	slot.memory_size = 0;
	WARN_ON(__kvm_set_memory_region(vcpu->kvm, &slot));
	mutex_unlock(&vcpu->kvm->slots_lock);
	kvm_vcpu_srcu_read_lock(vcpu);
	vm_munmap(slot.userspace_addr, PAGE_SIZE);
}

static void migrate(void)
{
	int next = cpumask_next(raw_smp_processor_id(), cpu_online_mask);

	if (next >= nr_cpu_ids)
		next = cpumask_first(cpu_online_mask);
	set_cpus_allowed_ptr(current, cpumask_of(next));
}

/* What the VM had pinned, and some it must have, is unpinned when this returns, as it is for the administrator. */
static void revoke(struct kvm *kvm)
{
	u64 pinned = 0, all = 0;
	struct elisa_vm *vm;

	mutex_lock(&elisa_lock);
	vm = elisa_vm_of(kvm);
	if (vm) {
		pinned = vm->pinned;
		all = elisa_pinned_pages();
		sweep.revoked.role = vm->role;
		memcpy(sweep.revoked.label, vm->label, sizeof(vm->label));
		elisa_vm_end(vm);
	}
	elisa_unlock();
	if (!pinned || elisa_pinned_pages() != all - pinned)
		violated(IN_DEFAULT);
}

static void kill_manager(void)
{
	struct elisa_vm *vm;

	mutex_lock(&elisa_lock);
	list_for_each_entry(vm, &elisa_vms, link) {
		struct pid *pid = vm->role == ELISA_ROLE_MANAGER ? find_get_pid(vm->pid) : NULL;

		if (pid) {
			kill_pid(pid, SIGKILL, 1);
			put_pid(pid);
		}
	}
	mutex_unlock(&elisa_lock);
}

static void happen(struct kvm_vcpu *vcpu)
{
	switch (sweep.event) {
	case SWEEP_GUEST_INTERRUPT:
	case SWEEP_DELIVERY:
		kvm_lapic_set_irr(GUEST_VECTOR, vcpu->arch.apic);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		break;
	case SWEEP_GUEST_NMI:
		atomic_inc(&vcpu->arch.nmi_queued);
		kvm_make_request(KVM_REQ_NMI, vcpu);
		break;
	case SWEEP_ROOT_RELOAD:
		kvm_mmu_reset_context(vcpu);
		break;
	case SWEEP_MEMSLOT:
		toggle_memslot(vcpu);
		break;
	case SWEEP_TLB_FLUSH:
		kvm_flush_remote_tlbs(vcpu->kvm);
		kvm_make_request(KVM_REQ_TLB_FLUSH_CURRENT, vcpu);
		kvm_make_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
		break;
	case SWEEP_MIGRATION:
		migrate();
		break;
	case SWEEP_USER_SPACE:
	case SWEEP_LATE_SIGNAL:
		send_sig(SIGUSR1, current, 1); /* QEMU's own kick */
		break;
	case SWEEP_REVOKE:
		revoke(vcpu->kvm);
		break;
	case SWEEP_INIT:
		set_bit(KVM_APIC_INIT, &vcpu->arch.apic->pending_events);
		kvm_make_request(KVM_REQ_EVENT, vcpu);
		break;
	case SWEEP_RESET:
		kvm_make_request(KVM_REQ_TRIPLE_FAULT, vcpu);
		break;
	case SWEEP_KILL:
		send_sig(SIGKILL, current, 1);
		break;
	case SWEEP_KILL_MANAGER:
		kill_manager();
		break;
	default:
		break;
	}
}

/* ------------------------------------------------------------------- the hooks */

static void after_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);
	bool step = trapped(vcpu);
	struct place p;

	real->after_exit(vcpu, ev);
	if (vcpu != sweep.vcpu)
		return;
	p = here(ev);
	if (p.context == IN_DEFAULT && sweep.phase != IDLE)
		check_closed(ev, p);
	sweep.step = step;
	if (!step)
		return;
	/* So that KVM asks us first, where it may sleep, and does not take the trap for the guest's. */
	sweep.forced = !ev->off_default;
	ev->off_default = true;
	if (!in_path(p))
		return;
	sweep.steps++;
	if (sweep.phase == RECORDING)
		record(p);
	if (sweep.phase != STEPPING || p.context != sweep.target.context || p.rip != sweep.target.rip)
		return;

	sweep.phase = HIT;
	if (sweep.event == SWEEP_HOST_NMI) {
		/* KVM looks at these only from here on, and runs the host's handler. */
		vmx->exit_intr_info = INTR_INFO_VALID_MASK | INTR_TYPE_NMI_INTR | NMI_VECTOR;
		kvm_register_mark_available(vcpu, VCPU_EXREG_EXIT_INFO_2);
	}
}

/*
 * An APIC-virtualizing CPU takes an interrupt from the local APIC and delivers it without an exit; the IDT is not mapped
 * off the default context, and that is what exits. The emulated CPU delivers what is set up at VM entry alike.
 */
static void begin_delivery(struct kvm_vcpu *vcpu)
{
	struct kvm_lapic *apic = vcpu->arch.apic;

	/* In service, by the highest of all vectors: nothing else can be, in user space. */
	kvm_lapic_set_vector(GUEST_VECTOR, apic->regs + APIC_ISR);
	apic->isr_count++;
	apic->highest_isr_cache = GUEST_VECTOR;
	sweep.deliver = true;
}

static void hit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	sweep.phase = HAPPENED;
	if (sweep.event == SWEEP_HOST_INTERRUPT) {
		sweep.ipi = true;
		return;
	}
	if (sweep.event == SWEEP_DELIVERY && !sweep.forced) {
		begin_delivery(vcpu);
		return;
	}
	/* What QEMU's other threads send is there when the kick arrives. */
	if (sweep.event == SWEEP_USER_SPACE || sweep.event == SWEEP_KILL)
		happen(vcpu);
	if (!sweep.forced) {
		if (sweep.event != SWEEP_HOST_NMI)
			to_vmx(vcpu)->exit_reason.full = EXIT_REASON_EXTERNAL_INTERRUPT;
		if (real->exit(vcpu, ev))
			return;
	}
	if (sweep.event != SWEEP_USER_SPACE && sweep.event != SWEEP_KILL)
		happen(vcpu);
}

static bool on_exit(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	if (vcpu != sweep.vcpu || !sweep.step)
		return real->exit(vcpu, ev);
	sweep.step = false;
	if (sweep.forced)
		ev->off_default = false;
	if (sweep.phase == HIT)
		hit(vcpu, ev);
	else if (ev->off_default)
		real->sched_in(vcpu, ev); /* a signal is held, as at any other exit */
	kvm_make_request(KVM_REQ_EVENT, vcpu); /* off default KVM's look at pending events was in vain */
	sweep.forced = false;
	return true;
}

/* I9: what is entered is the default context or one that still is. */
static void check_context(struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	u64 eptp = elisa_kvm_eptp();
	bool known = eptp == ev->default_eptp;
	unsigned int slot;

	for (slot = 0; slot < ELISA_SLOTS; slot++)
		known |= eptp == av->context[slot].gate_eptp || eptp == av->context[slot].sub_eptp;
	if (!known)
		violated(IN_SUB);
}

static void before_entry(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	real->before_entry(vcpu, ev);
	if (vcpu != sweep.vcpu)
		return;
	check_context(ev);
	trap_before_entry(vcpu);
	if (sweep.ipi) {
		sweep.ipi = false;
		irq_work_queue(&sweep.irq);
	}
	if (sweep.deliver) {
		sweep.deliver = false;
		vmwrite(VM_ENTRY_INTR_INFO_FIELD, INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR | GUEST_VECTOR);
	}
}

/*
 * What is pending for the guest waits for the end of the stepping: a stepped crossing takes longer than from one
 * of the guest's ticks to the next, and would each time return by the trap, past the gate's exit.
 */
static void defer_event(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	if (vcpu != sweep.vcpu || (sweep.phase != RECORDING && sweep.phase != STEPPING))
		real->defer_event(vcpu, ev);
}

/* I6: user space may read and set a vCPU's registers, so it must find those of the default context. */
static void to_user(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	real->to_user(vcpu, ev);
	if (vcpu == sweep.vcpu && ev->off_default)
		violated(to_armed(ev)->in_gate ? IN_GATE : IN_SUB);
}

static void forget(struct kvm_vcpu *vcpu)
{
	if (vcpu == sweep.vcpu) {
		sweep.phase = IDLE;
		sweep.vcpu = NULL;
	}
}

static void vcpu_free(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	forget(vcpu);
	real->vcpu_free(vcpu, ev);
}

/* --------------------------------------------------------------- the doorbell */

/* An event for the guest has long had its chance: the way from the landing to here is in the guest's user space. */
static bool is_late(struct kvm_vcpu *vcpu)
{
	switch (sweep.event) {
	case SWEEP_GUEST_INTERRUPT:
	case SWEEP_DELIVERY:
		return test_bit(VEC_POS(GUEST_VECTOR), vcpu->arch.apic->regs + APIC_IRR + REG_POS(GUEST_VECTOR));
	case SWEEP_GUEST_NMI:
		return vcpu->arch.nmi_pending || atomic_read(&vcpu->arch.nmi_queued);
	default:
		return false;
	}
}

static int arm(struct kvm_vcpu *vcpu, u64 event, u64 place, u64 stride)
{
	unsigned long *regs = vcpu->arch.regs;

	if (event >= SWEEP_EVENTS)
		return -ELISA_E_INVAL;
	sweep.vcpu = vcpu;
	sweep.cr3 = vmread(GUEST_CR3);
	sweep.event = event;
	sweep.forced = sweep.step = sweep.ipi = sweep.deliver = false;
	if (place == SWEEP_RECORD) {
		sweep.phase = RECORDING;
	} else {
		if (place == SWEEP_NEXT) {
			place = sweep.next[event];
			sweep.next[event] += stride;
		}
		regs[VCPU_REGS_RSI] = sweep.places;
		regs[VCPU_REGS_RBX] = place < sweep.places ? place : ~0ull;
		if (place >= sweep.places) {
			sweep.phase = IDLE;
			return 0;
		}
		sweep.target = sweep.path[place];
		sweep.phase = STEPPING;
	}
	return 0;
}

static int done(struct kvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;
	struct elisa_vcpu *ev = elisa_kvm_get(vcpu);

	if (ev)
		check_closed(ev, here(ev));
	regs[VCPU_REGS_RBX] = (sweep.phase == HAPPENED ? SWEEP_HAPPENED : 0) | (is_late(vcpu) ? SWEEP_LATE : 0);
	regs[VCPU_REGS_RSI] = sweep.places;
	regs[VCPU_REGS_RDI] = sweep.violations;
	regs[VCPU_REGS_R8] = sweep.violation_at;
	regs[VCPU_REGS_R9] = sweep.steps;
	sweep.phase = IDLE;
	if (sweep.event == SWEEP_MIGRATION)
		set_cpus_allowed_ptr(current, cpu_online_mask);
	if (sweep.revoked.role) {
		WARN_ON(elisa_sweep_vm_add(vcpu->kvm, &sweep.revoked));
		sweep.revoked.role = 0;
	}
	return 0;
}

static int place_of(struct kvm_vcpu *vcpu, u64 number)
{
	unsigned long *regs = vcpu->arch.regs;

	if (number >= sweep.places)
		return -ELISA_E_INVAL;
	regs[VCPU_REGS_RBX] = sweep.path[number].context;
	regs[VCPU_REGS_RSI] = sweep.path[number].rip;
	return 0;
}

static bool doorbell(struct kvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;

	if ((u32)regs[VCPU_REGS_RAX] == ELISA_MAGIC) {
		switch ((u32)regs[VCPU_REGS_RCX]) {
		case SWEEP_CALL_ARM:
			regs[VCPU_REGS_RAX] = (s64)arm(vcpu, regs[VCPU_REGS_RBX], regs[VCPU_REGS_RSI],
						       regs[VCPU_REGS_RDI]);
			return true;
		case SWEEP_CALL_PLACE:
			regs[VCPU_REGS_RAX] = (s64)place_of(vcpu, regs[VCPU_REGS_RBX]);
			return true;
		case SWEEP_CALL_DONE:
			regs[VCPU_REGS_RAX] = (s64)done(vcpu);
			return true;
		}
	}
	return real->doorbell(vcpu);
}

int elisa_sweep_register(const struct elisa_ops *ops)
{
	real = ops;
	wrapped = *ops;
	wrapped.doorbell = doorbell;
	wrapped.before_entry = before_entry;
	wrapped.after_exit = after_exit;
	wrapped.exit = on_exit;
	wrapped.defer_event = defer_event;
	wrapped.to_user = to_user;
	wrapped.vcpu_free = vcpu_free;
	init_irq_work(&sweep.irq, claim_irq);
	register_nmi_handler(NMI_UNKNOWN, claim_nmi, 0, "elisa_sweep");
	return elisa_kvm_register(&wrapped);
}

void elisa_sweep_unregister(void)
{
	elisa_kvm_unregister();
	irq_work_sync(&sweep.irq);
	unregister_nmi_handler(NMI_UNKNOWN, "elisa_sweep");
}

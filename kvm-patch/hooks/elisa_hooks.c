// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-intel's side of ELISA: registration, and the few VMCS primitives that
 * elisa.ko needs. No policy here.
 */
#include <linux/module.h>
#include <linux/rcupdate.h>
#include <linux/srcu.h>
#include <linux/stringify.h>

#include <asm/fpu/api.h>
#include <asm/fpu/types.h>

#define ELISA_IN_KVM_INTEL
#include "elisa_hooks.h"
#include "../cpuid.h"
#include "../x86.h"
#if __has_include("../smm.h")
#include "../smm.h"
#endif
#include "elisa_abi.h"

/* By this, in /sys/module/kvm_intel/version, a patched module is known from the
 * stock one, which has no version. */
MODULE_VERSION("elisa-" __stringify(ELISA_ABI_VERSION));

DEFINE_STATIC_KEY_FALSE(elisa_key);
const struct elisa_ops *elisa_ops;

static DEFINE_MUTEX(elisa_register_lock);
/* Covers the calls that may be under way while elisa.ko is unloaded: three may come
 * for VMs that it knows nothing of, and one may drop its last reference. */
DEFINE_STATIC_SRCU(elisa_srcu);

int elisa_kvm_register(const struct elisa_ops *ops)
{
	int err = -EBUSY;

	mutex_lock(&elisa_register_lock);
	if (!elisa_ops) {
		elisa_ops = ops;
		static_branch_enable(&elisa_key);
		err = 0;
	}
	mutex_unlock(&elisa_register_lock);
	return err;
}
EXPORT_SYMBOL_GPL(elisa_kvm_register);

void elisa_kvm_unregister(void)
{
	mutex_lock(&elisa_register_lock);
	static_branch_disable(&elisa_key);
	synchronize_srcu(&elisa_srcu);
	/* before_entry() may have let its vCPU go; interrupts are off in there. */
	synchronize_rcu();
	elisa_ops = NULL;
	mutex_unlock(&elisa_register_lock);
}
EXPORT_SYMBOL_GPL(elisa_kvm_unregister);

bool __elisa_doorbell(struct kvm_vcpu *vcpu, unsigned long qual)
{
	bool handled = false;
	int idx;

	/* A 32-bit IN from the port, not a string instruction, not from an L2. */
	if (qual >> 16 != ELISA_PORT || (qual & 0x1f) != (8 | 3) ||
	    is_guest_mode(vcpu) || elisa_off_default(vcpu))
		return false;

	idx = srcu_read_lock(&elisa_srcu);
	if (static_key_enabled(&elisa_key))
		handled = elisa_ops->doorbell(vcpu);
	srcu_read_unlock(&elisa_srcu, idx);
	return handled;
}

/*
 * In the default context, into a gate that is closed or that never was. What KVM's own handler makes of it is the same, but on
 * 6.12 it warns, since VMFUNC should be off: a line in the host's log at a guest's command, and on some hosts the end of it.
 */
bool __elisa_refuse_vmfunc(struct kvm_vcpu *vcpu)
{
	if (is_guest_mode(vcpu))
		return false;
	kvm_queue_exception(vcpu, UD_VECTOR);
	return true;
}

void __elisa_from_user(struct kvm_vcpu *vcpu)
{
	struct elisa_vcpu *ev = to_vmx(vcpu)->elisa;
	int idx;

	/* So that strangers, whose vCPUs are here each time they come from user space, pay for no more. */
	if (!ev && elisa_kvm_long_mode(vcpu))
		return;

	idx = srcu_read_lock(&elisa_srcu);
	if (static_key_enabled(&elisa_key))
		elisa_ops->from_user(vcpu, ev);
	srcu_read_unlock(&elisa_srcu, idx);
}

void __elisa_vcpu_free(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	int idx = srcu_read_lock(&elisa_srcu);

	elisa_ops->vcpu_free(vcpu, ev);
	srcu_read_unlock(&elisa_srcu, idx);
}

void __elisa_vm_destroy(struct kvm *kvm)
{
	int idx = srcu_read_lock(&elisa_srcu);

	if (static_key_enabled(&elisa_key))
		elisa_ops->vm_destroy(kvm);
	srcu_read_unlock(&elisa_srcu, idx);
}

void elisa_kvm_set(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	WRITE_ONCE(to_vmx(vcpu)->elisa, ev);
}
EXPORT_SYMBOL_GPL(elisa_kvm_set);

struct elisa_vcpu *elisa_kvm_get(struct kvm_vcpu *vcpu)
{
	return READ_ONCE(to_vmx(vcpu)->elisa);
}
EXPORT_SYMBOL_GPL(elisa_kvm_get);

static bool host_is_capable(void)
{
	u64 ctls, funcs, need = SECONDARY_EXEC_ENABLE_VMFUNC | SECONDARY_EXEC_DESC;

	if (!enable_ept || !enable_unrestricted_guest || !cpu_has_vmx_ept_execute_only())
		return false;
	if (rdmsrl_safe(MSR_IA32_VMX_PROCBASED_CTLS2, &ctls) || (ctls >> 32 & need) != need)
		return false;
	return !rdmsrl_safe(MSR_IA32_VMX_VMFUNC, &funcs) && (funcs & VMX_VMFUNC_EPTP_SWITCHING);
}

/* PEBS and PT write records on their own, at addresses the guest chose, in whatever
 * EPT context the CPU is. */
static bool guest_can_trace(struct kvm_vcpu *vcpu)
{
	return (vcpu->arch.perf_capabilities & PERF_CAP_PEBS_FORMAT) ||
	       (vmx_pt_mode_is_host_guest() && guest_cpuid_has(vcpu, X86_FEATURE_INTEL_PT));
}

int elisa_kvm_may_arm(struct kvm_vcpu *vcpu)
{
	struct kvm_segment cs;

	if (!host_is_capable())
		return -ELISA_E_HOST;
	vmx_get_segment(vcpu, &cs, VCPU_SREG_CS);
	if (is_smm(vcpu) || !(vcpu->arch.efer & EFER_LMA) || !cs.l || cs.dpl != 3)
		return -ELISA_E_MODE;
	if (is_guest_mode(vcpu) || to_vmx(vcpu)->nested.vmxon || (vcpu->arch.cr4 & X86_CR4_VMXE))
		return -ELISA_E_NESTED;
	if (vcpu->arch.cr4 & X86_CR4_PCIDE)
		return -ELISA_E_PCID;
	if ((vcpu->arch.cr4 & ELISA_CR4_FORBIDDEN) || guest_can_trace(vcpu))
		return -ELISA_E_FEATURE;
	return 0;
}
EXPORT_SYMBOL_GPL(elisa_kvm_may_arm);

/*
 * What may_arm() found, again. is_valid_cr4() sees most writes, but KVM_SET_NESTED_STATE and an exit from an L2 set CR4
 * without it, and on 6.1 KVM_SET_MSRS gives a vCPU PEBS at any time. (PT is in CPUID, which is fixed once it has run.)
 */
bool elisa_kvm_may_cross(struct kvm_vcpu *vcpu)
{
	return (vcpu->arch.efer & EFER_LMA) &&
	       !(vcpu->arch.cr4 & ELISA_CR4_FORBIDDEN) &&
	       !to_vmx(vcpu)->nested.vmxon &&
	       !(vcpu->arch.perf_capabilities & PERF_CAP_PEBS_FORMAT);
}
EXPORT_SYMBOL_GPL(elisa_kvm_may_cross);

bool elisa_kvm_la57(struct kvm_vcpu *vcpu)
{
	return vcpu->arch.cr4 & X86_CR4_LA57;
}
EXPORT_SYMBOL_GPL(elisa_kvm_la57);

bool elisa_kvm_nested(struct kvm_vcpu *vcpu)
{
	return is_guest_mode(vcpu);
}
EXPORT_SYMBOL_GPL(elisa_kvm_nested);

bool elisa_kvm_long_mode(struct kvm_vcpu *vcpu)
{
	return (vcpu->arch.efer & EFER_LMA) || is_smm(vcpu);
}
EXPORT_SYMBOL_GPL(elisa_kvm_long_mode);

bool elisa_kvm_in_smm(struct kvm_vcpu *vcpu)
{
	return is_smm(vcpu);
}
EXPORT_SYMBOL_GPL(elisa_kvm_in_smm);

void elisa_kvm_enable_vmfunc(struct kvm_vcpu *vcpu, u64 list_pa)
{
	vmcs_write64(EPTP_LIST_ADDRESS, list_pa);
	vmcs_write64(VM_FUNCTION_CONTROL, VMX_VMFUNC_EPTP_SWITCHING);
	elisa_kvm_hold_controls(vcpu);
}
EXPORT_SYMBOL_GPL(elisa_kvm_enable_vmfunc);

void elisa_kvm_disable_vmfunc(struct kvm_vcpu *vcpu)
{
	vmcs_write64(VM_FUNCTION_CONTROL, 0);
	/* VMFUNC must not exit any more: see __elisa_refuse_vmfunc(), which is for armed vCPUs. */
	secondary_exec_controls_clearbit(to_vmx(vcpu), SECONDARY_EXEC_ENABLE_VMFUNC);
	/* As vmx_set_cr4() has it: on CPUs without UMIP it is how KVM emulates it. */
	if (boot_cpu_has(X86_FEATURE_UMIP) || !(vcpu->arch.cr4 & X86_CR4_UMIP))
		secondary_exec_controls_clearbit(to_vmx(vcpu), SECONDARY_EXEC_DESC);
}
EXPORT_SYMBOL_GPL(elisa_kvm_disable_vmfunc);

/* No VMWRITE when nothing has changed: KVM shadows the controls. */
void elisa_kvm_hold_controls(struct kvm_vcpu *vcpu)
{
	secondary_exec_controls_setbit(to_vmx(vcpu),
				       SECONDARY_EXEC_ENABLE_VMFUNC | SECONDARY_EXEC_DESC);
}
EXPORT_SYMBOL_GPL(elisa_kvm_hold_controls);

bool elisa_kvm_idt_touches(u64 base, u64 size)
{
	u64 idt = vmcs_readl(GUEST_IDTR_BASE);

	return idt < base + size && idt + vmcs_read32(GUEST_IDTR_LIMIT) >= base;
}
EXPORT_SYMBOL_GPL(elisa_kvm_idt_touches);

u64 elisa_kvm_eptp(void)
{
	return vmcs_read64(EPT_POINTER);
}
EXPORT_SYMBOL_GPL(elisa_kvm_eptp);

void elisa_kvm_set_eptp(u64 eptp)
{
	vmcs_write64(EPT_POINTER, eptp);
}
EXPORT_SYMBOL_GPL(elisa_kvm_set_eptp);

/* Straight from the VMCS: after_exit() runs before KVM's register cache is valid. */
u64 elisa_kvm_rip(void)
{
	return vmcs_readl(GUEST_RIP);
}
EXPORT_SYMBOL_GPL(elisa_kvm_rip);

void elisa_kvm_set_rip(struct kvm_vcpu *vcpu, u64 rip)
{
	kvm_rip_write(vcpu, rip);
}
EXPORT_SYMBOL_GPL(elisa_kvm_set_rip);

void elisa_kvm_read_landing(struct kvm_vcpu *vcpu, struct elisa_landing *at)
{
	at->rflags = vmx_get_rflags(vcpu);
	vmx_get_segment(vcpu, &at->cs, VCPU_SREG_CS);
	vmx_get_segment(vcpu, &at->ss, VCPU_SREG_SS);
}
EXPORT_SYMBOL_GPL(elisa_kvm_read_landing);

void elisa_kvm_land(struct kvm_vcpu *vcpu, const struct elisa_landing *at)
{
	struct kvm_segment cs = at->cs, ss = at->ss;

	kvm_clear_exception_queue(vcpu);
	if (vcpu->arch.interrupt.injected && vcpu->arch.interrupt.soft)
		kvm_clear_interrupt_queue(vcpu);

	kvm_rip_write(vcpu, at->rip);
	kvm_rsp_write(vcpu, at->rsp);
	vmx_set_rflags(vcpu, at->rflags);
	__vmx_set_segment(vcpu, &cs, VCPU_SREG_CS);
	__vmx_set_segment(vcpu, &ss, VCPU_SREG_SS);
	vmx_set_interrupt_shadow(vcpu, 0);
	vmcs_writel(GUEST_PENDING_DBG_EXCEPTIONS, 0);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(elisa_kvm_land);

void elisa_kvm_read_exit(struct kvm_vcpu *vcpu, struct elisa_exit *exit)
{
	struct vcpu_vmx *vmx = to_vmx(vcpu);

	exit->reason = vmx->exit_reason.basic;
	exit->intr_info = vmx_get_intr_info(vcpu);
	exit->vectoring_info = vmx->idt_vectoring_info;
	exit->qualification = vmx_get_exit_qual(vcpu);
	exit->gla = vmcs_readl(GUEST_LINEAR_ADDRESS);
	exit->rip = vmcs_readl(GUEST_RIP);
}
EXPORT_SYMBOL_GPL(elisa_kvm_read_exit);

bool elisa_kvm_injecting(void)
{
	return vmcs_read32(VM_ENTRY_INTR_INFO_FIELD) & INTR_INFO_VALID_MASK;
}
EXPORT_SYMBOL_GPL(elisa_kvm_injecting);

int elisa_kvm_take_interrupt(struct kvm_vcpu *vcpu)
{
	if (!vcpu->arch.interrupt.injected || vcpu->arch.interrupt.soft)
		return -1;
	kvm_clear_interrupt_queue(vcpu);
	return vcpu->arch.interrupt.nr;
}
EXPORT_SYMBOL_GPL(elisa_kvm_take_interrupt);

void elisa_kvm_queue_interrupt(struct kvm_vcpu *vcpu, u8 vector)
{
	kvm_queue_interrupt(vcpu, vector, false);
	kvm_make_request(KVM_REQ_EVENT, vcpu);
}
EXPORT_SYMBOL_GPL(elisa_kvm_queue_interrupt);

/* As vmx_inject_irq(): KVM's queue says what is being injected, until the exit says what became of it. */
void elisa_kvm_inject_interrupt(struct kvm_vcpu *vcpu, u8 vector)
{
	kvm_queue_interrupt(vcpu, vector, false);
	vmcs_write32(VM_ENTRY_INTR_INFO_FIELD, vector | INTR_INFO_VALID_MASK | INTR_TYPE_EXT_INTR);
}
EXPORT_SYMBOL_GPL(elisa_kvm_inject_interrupt);

void elisa_kvm_set_if(struct kvm_vcpu *vcpu, bool on)
{
	unsigned long rflags = vmx_get_rflags(vcpu);

	vmx_set_rflags(vcpu, on ? rflags | X86_EFLAGS_IF : rflags & ~X86_EFLAGS_IF);
}
EXPORT_SYMBOL_GPL(elisa_kvm_set_if);

static void scrub_live_vectors(void)
{
	if (boot_cpu_has(X86_FEATURE_AVX))
		asm volatile("vzeroall" ::: "memory");
	else
		asm volatile(".irp n, 0,1,2,3,4,5,6,7,8,9,10,11,12,13,14,15\n\t"
			     "pxor %%xmm\\n, %%xmm\\n\n\t"
			     ".endr" ::: "memory");
}

static void scrub_saved_vectors(struct xregs_state *saved)
{
	memset(saved->i387.xmm_space, 0, sizeof(saved->i387.xmm_space));
	/* What is not in xfeatures is loaded as zero. */
	saved->header.xfeatures &= ~(u64)(XFEATURE_MASK_YMM | XFEATURE_MASK_ZMM_Hi256);
}

void elisa_kvm_scrub_vectors(struct kvm_vcpu *vcpu)
{
	struct fpstate *fps = vcpu->arch.guest_fpu.fpstate;
	bool lock = !irqs_disabled();

	if (lock)
		fpregs_lock();
	if (fps->in_use && !test_thread_flag(TIF_NEED_FPU_LOAD))
		scrub_live_vectors();
	else
		scrub_saved_vectors(&fps->regs.xsave);
	if (lock)
		fpregs_unlock();
}
EXPORT_SYMBOL_GPL(elisa_kvm_scrub_vectors);

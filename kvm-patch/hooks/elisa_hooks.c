// SPDX-License-Identifier: GPL-2.0-only
/*
 * kvm-intel's side of ELISA: registration, and the few VMCS primitives that
 * elisa.ko needs. No policy here.
 */
#include <linux/module.h>
#include <linux/srcu.h>
#include <linux/stringify.h>

#define ELISA_IN_KVM_INTEL
#include "elisa_hooks.h"
#include "../x86.h"
#include "elisa_abi.h"

/* By this, in /sys/module/kvm_intel/version, a patched module is known from the
 * stock one, which has no version. */
MODULE_VERSION("elisa-" __stringify(ELISA_ABI_VERSION));

DEFINE_STATIC_KEY_FALSE(elisa_key);
const struct elisa_ops *elisa_ops;

static DEFINE_MUTEX(elisa_register_lock);
/* Covers the two calls that may come for VMs elisa.ko knows nothing of, and
 * so may be under way while it is unloaded. */
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

void __elisa_vm_destroy(struct kvm *kvm)
{
	int idx = srcu_read_lock(&elisa_srcu);

	if (static_key_enabled(&elisa_key))
		elisa_ops->vm_destroy(kvm);
	srcu_read_unlock(&elisa_srcu, idx);
}

void elisa_kvm_set(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	to_vmx(vcpu)->elisa = ev;
}
EXPORT_SYMBOL_GPL(elisa_kvm_set);

struct elisa_vcpu *elisa_kvm_get(struct kvm_vcpu *vcpu)
{
	return to_vmx(vcpu)->elisa;
}
EXPORT_SYMBOL_GPL(elisa_kvm_get);

bool elisa_kvm_capable(struct kvm_vcpu *vcpu)
{
	u64 ctls, funcs;

	if (!enable_ept || !enable_unrestricted_guest || !cpu_has_vmx_ept_execute_only())
		return false;
	if (rdmsrl_safe(MSR_IA32_VMX_PROCBASED_CTLS2, &ctls) ||
	    !(ctls >> 32 & SECONDARY_EXEC_ENABLE_VMFUNC))
		return false;
	return !rdmsrl_safe(MSR_IA32_VMX_VMFUNC, &funcs) && (funcs & VMX_VMFUNC_EPTP_SWITCHING);
}
EXPORT_SYMBOL_GPL(elisa_kvm_capable);

void elisa_kvm_enable_vmfunc(struct kvm_vcpu *vcpu, u64 list_pa)
{
	vmcs_write64(EPTP_LIST_ADDRESS, list_pa);
	vmcs_write64(VM_FUNCTION_CONTROL, VMX_VMFUNC_EPTP_SWITCHING);
	secondary_exec_controls_setbit(to_vmx(vcpu), SECONDARY_EXEC_ENABLE_VMFUNC);
}
EXPORT_SYMBOL_GPL(elisa_kvm_enable_vmfunc);

void elisa_kvm_disable_vmfunc(struct kvm_vcpu *vcpu)
{
	vmcs_write64(VM_FUNCTION_CONTROL, 0);
}
EXPORT_SYMBOL_GPL(elisa_kvm_disable_vmfunc);

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

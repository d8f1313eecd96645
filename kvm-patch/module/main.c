// SPDX-License-Identifier: GPL-2.0-only
/* elisa.ko: EPT contexts that a guest enters without a VM exit. */
#include <linux/module.h>

#include "elisa.h"
#include "gate.h"

DEFINE_MUTEX(elisa_lock);
LIST_HEAD(elisa_vms);
LIST_HEAD(elisa_exports);
struct elisa_host_stats elisa_stats;
u64 elisa_window_gpa;

unsigned int elisa_budget_us = 50000;
module_param_named(budget_us, elisa_budget_us, uint, 0644);
MODULE_PARM_DESC(budget_us, "CPU time a crossing may take before it is aborted");

/* Of a VM that the administrator gave no others (elisactl host quota). */
struct elisa_vm_quota elisa_default_quota = {
	.pinned_pages = 4ul << (30 - PAGE_SHIFT),
	.table_pages = 64ul << (20 - PAGE_SHIFT),
	.exports = 8,
	.attachments = ELISA_SLOTS,
	.calls_per_s = 1000000,
	.aborts_per_s = 1000,
};
module_param_named(max_pinned_pages, elisa_default_quota.pinned_pages, ullong, 0644);
MODULE_PARM_DESC(max_pinned_pages, "guest pages that a VM may have pinned");
module_param_named(max_table_pages, elisa_default_quota.table_pages, ullong, 0644);
MODULE_PARM_DESC(max_table_pages, "host pages for tables, stacks and sealed copies of a VM");
module_param_named(max_exports, elisa_default_quota.exports, uint, 0644);
MODULE_PARM_DESC(max_exports, "exports of a VM");
module_param_named(max_attachments, elisa_default_quota.attachments, uint, 0644);
MODULE_PARM_DESC(max_attachments, "attachments of a VM, at most 4");
module_param_named(max_calls_per_s, elisa_default_quota.calls_per_s, uint, 0644);
MODULE_PARM_DESC(max_calls_per_s, "calls of a VM, in questions; a call that changes something counts as 1000. More make it wait");
module_param_named(max_aborts_per_s, elisa_default_quota.aborts_per_s, uint, 0644);
MODULE_PARM_DESC(max_aborts_per_s, "aborted crossings of a vCPU; more make it wait");

atomic64_t elisa_abort_reasons[8];
atomic64_t elisa_throttled;

static void vm_destroy(struct kvm *kvm)
{
	struct elisa_vm *vm;

	/* Every VM of the host ends here. One that is not registered is none of ours, and cannot
	 * become it: VM_ADD holds a reference to the VM. */
	if (!elisa_vm_registered(kvm))
		return;
	mutex_lock(&elisa_lock);
	vm = elisa_vm_of(kvm);
	if (vm)
		elisa_vm_end(vm);
	elisa_unlock();
}

static const struct elisa_ops ops = {
	.doorbell = elisa_doorbell,
	.before_entry = elisa_before_entry,
	.after_exit = elisa_after_exit,
	.exit = elisa_exit,
	.defer_event = elisa_defer_event,
	.load_eptp = elisa_load_eptp,
	.reset = elisa_reset,
	.sched_in = elisa_sched_in,
	.from_user = elisa_from_user,
	.to_user = elisa_to_user,
	.vcpu_free = elisa_context_vcpu_free,
	.vm_destroy = vm_destroy,
};

static int __init elisa_init(void)
{
	int err;

	if (elisa_sub_end - elisa_sub_page != elisa_gate_exit - elisa_gate_page) {
		pr_err("elisa: built wrong, the sub stub does not end where the gate's exit begins\n");
		return -EINVAL;
	}

	/* The top half of the guest-physical space that a 4-level EPT covers. */
	elisa_window_gpa = 1ull << (min_t(u32, boot_cpu_data.x86_phys_bits, 48) - 1);

	err = elisa_pin_init();
	if (err)
		return err;
	err = elisa_context_init();
	if (err)
		goto pin;
	err = elisa_guest_pt_init();
	if (err)
		goto context;
	err = elisa_ept_init();
	if (err)
		goto guest_pt;
	err = elisa_admin_init();
	if (err)
		goto ept;
	err = elisa_kvm_register(&ops);
	if (err)
		goto admin;
	return 0;

admin:
	elisa_admin_exit();
ept:
	elisa_ept_exit();
guest_pt:
	elisa_guest_pt_exit();
context:
	elisa_context_exit();
pin:
	elisa_pin_exit();
	return err;
}

static void __exit elisa_exit_module(void)
{
	elisa_kvm_unregister();
	elisa_admin_exit();
	elisa_region_exit();
	elisa_context_exit();
	elisa_pin_exit();
	elisa_ept_exit();
	elisa_guest_pt_exit();
}

module_init(elisa_init);
module_exit(elisa_exit_module);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("ELISA: exit-less, isolated sharing of memory among VMs");

// SPDX-License-Identifier: GPL-2.0-only
/* /dev/elisa: the host administrator gives VMs a role and a label. */
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/rculist.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "elisa.h"

struct elisa_vm *elisa_vm_of(struct kvm *kvm)
{
	struct elisa_vm *vm;

	list_for_each_entry_rcu(vm, &elisa_vms, link, lockdep_is_held(&elisa_lock))
		if (vm->kvm == kvm)
			return vm;
	return NULL;
}

/* For those who do not hold the lock: strangers must not keep it from others, nor wait for it. */
bool elisa_vm_registered(struct kvm *kvm)
{
	bool yes;

	rcu_read_lock();
	yes = elisa_vm_of(kvm);
	rcu_read_unlock();
	return yes;
}

/* A VM ends. Its attachments go; its exports stay for those who are attached. */
void elisa_vm_end(struct elisa_vm *vm)
{
	struct elisa_attachment *att, *next_att;
	struct elisa_export *export, *next;

	list_for_each_entry_safe(att, next_att, &vm->attachments, vm_link)
		elisa_detach(att);
	list_for_each_entry_safe(export, next, &vm->exports, vm_link)
		elisa_export_orphan(export);
	list_del_rcu(&vm->link);
	elisa_stats.vms--;
	mmdrop(vm->mm);
	kfree_rcu(vm, rcu);
	module_put(THIS_MODULE);
}

/* At a glance, since firmware and whoever stays out of long mode come by often. */
static bool shares_memory(struct kvm *kvm)
{
	struct elisa_vm *vm;
	bool yes;

	rcu_read_lock();
	vm = elisa_vm_of(kvm);
	yes = vm && !(list_empty(&vm->attachments) && list_empty(&vm->exports));
	rcu_read_unlock();
	return yes;
}

/*
 * Was the VM reset from outside? Then its first processor starts outside of long mode, or one
 * does that has open gates. (The others wait for INIT and SIPI then, as they do when a guest
 * starts one of them again.)
 */
static bool was_reset(struct kvm_vcpu *vcpu, const struct elisa_vcpu *ev)
{
	return !elisa_kvm_long_mode(vcpu) && !elisa_kvm_nested(vcpu) &&
	       (vcpu->vcpu_id == vcpu->kvm->arch.bsp_vcpu_id || (ev && !ev->stopped)) &&
	       shares_memory(vcpu->kvm);
}

/*
 * The memory of a VM that was reset is about to be used anew, so nothing of it may stay mapped:
 * no region, and no export, whose image would take for its own data what the VM has there now.
 */
void elisa_from_user(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_attachment *att, *next_att;
	struct elisa_export *export, *next;
	struct elisa_vm *vm;

	/* KVM_SET_SREGS may have set CR3, which 6.1 flushes nothing for: the gate's page must not be
	 * in the TLB any more when CR3 names memory of the guest's choice (I4). */
	if (ev)
		kvm_make_request(KVM_REQ_TLB_FLUSH_GUEST, vcpu);
	if (!was_reset(vcpu, ev))
		return;
	mutex_lock(&elisa_lock);
	vm = elisa_vm_of(vcpu->kvm);
	if (vm) {
		list_for_each_entry_safe(att, next_att, &vm->attachments, vm_link)
			elisa_detach(att);
		list_for_each_entry_safe(export, next, &vm->exports, vm_link)
			elisa_export_end(export);
	}
	elisa_unlock();
}

static bool valid_label(const char *label)
{
	int i;

	for (i = 0; i < ELISA_NAME_MAX && label[i]; i++)
		if (label[i] < 0x21 || label[i] > 0x7e)
			return false;
	return i > 0 && i < ELISA_NAME_MAX;
}

static int vm_create(struct kvm *kvm, struct elisa_vm_add *add)
{
	struct elisa_vm *vm;

	if (elisa_vm_of(kvm))
		return -EEXIST;
	vm = kzalloc(sizeof(*vm), GFP_KERNEL_ACCOUNT);
	if (!vm)
		return -ENOMEM;
	__module_get(THIS_MODULE);
	vm->kvm = kvm;
	vm->mm = kvm->mm;
	mmgrab(vm->mm);
	vm->id = get_random_u64();
	vm->role = add->role;
	vm->quota = elisa_default_quota;
	vm->rate.limit = vm->quota.calls_per_s;
	vm->pid = kvm->userspace_pid;
	strscpy(vm->label, add->label, sizeof(vm->label));
	INIT_LIST_HEAD(&vm->attachments);
	INIT_LIST_HEAD(&vm->exports);
	list_add_tail_rcu(&vm->link, &elisa_vms);
	elisa_stats.vms++;
	add->id = vm->id;
	return 0;
}

static int vm_add(void __user *argp)
{
	struct elisa_vm_add add;
	struct file *file;
	int err;

	if (copy_from_user(&add, argp, sizeof(add)))
		return -EFAULT;
	if ((add.role != ELISA_ROLE_GUEST && add.role != ELISA_ROLE_MANAGER) ||
	    !valid_label(add.label))
		return -EINVAL;
	file = fget(add.fd);
	if (!file)
		return -EBADF;
	/* The VM cannot end while its file is held. */
	err = file_is_kvm(file) ? vm_create(file->private_data, &add) : -EINVAL;
	fput(file);
	if (!err && copy_to_user(argp, &add, sizeof(add)))
		err = -EFAULT;
	return err;
}

struct elisa_vm *elisa_vm_by_id(u64 id)
{
	struct elisa_vm *vm;

	list_for_each_entry(vm, &elisa_vms, link)
		if (vm->id == id)
			return vm;
	return NULL;
}

/* Unlike a VM that ends by itself, it takes its exports with it. */
static int vm_remove(void __user *argp)
{
	struct elisa_export *export, *next;
	struct elisa_vm_remove remove;
	struct elisa_vm *vm;

	if (copy_from_user(&remove, argp, sizeof(remove)))
		return -EFAULT;
	vm = elisa_vm_by_id(remove.id);
	if (!vm)
		return -ENOENT;
	list_for_each_entry_safe(export, next, &vm->exports, vm_link)
		elisa_export_end(export);
	elisa_vm_end(vm);
	return 0;
}

#define SET_QUOTA(to, from, field) do {			\
	if ((from).field != (typeof((from).field))-1)	\
		(to)->field = (from).field;		\
} while (0)

static int vm_quota(void __user *argp)
{
	struct elisa_vm_quota quota;
	struct elisa_vm *vm;

	if (copy_from_user(&quota, argp, sizeof(quota)))
		return -EFAULT;
	vm = elisa_vm_by_id(quota.id);
	if (!vm)
		return -ENOENT;
	SET_QUOTA(&vm->quota, quota, pinned_pages);
	SET_QUOTA(&vm->quota, quota, table_pages);
	SET_QUOTA(&vm->quota, quota, exports);
	SET_QUOTA(&vm->quota, quota, attachments);
	SET_QUOTA(&vm->quota, quota, calls_per_s);
	SET_QUOTA(&vm->quota, quota, aborts_per_s);
	vm->rate.limit = vm->quota.calls_per_s;
	return 0;
}

static int export_revoke(void __user *argp)
{
	struct elisa_export_revoke revoke;
	struct elisa_export *export;

	if (copy_from_user(&revoke, argp, sizeof(revoke)))
		return -EFAULT;
	list_for_each_entry(export, &elisa_exports, link) {
		if (export->id == revoke.id && !export->dead) {
			elisa_export_end(export);
			return 0;
		}
	}
	return -ENOENT;
}

static int export_info(void __user *argp)
{
	struct elisa_attachment *att;
	struct elisa_export_info info;
	struct elisa_export *export;
	struct elisa_region *region;
	struct elisa_context *ctx;
	u32 i = 0;

	if (copy_from_user(&info, argp, sizeof(info)))
		return -EFAULT;
	list_for_each_entry(export, &elisa_exports, link) {
		if (i++ != info.index)
			continue;
		memset(&info, 0, sizeof(info));
		info.index = i - 1;
		info.state = export->dead ? ELISA_EXPORT_DEAD :
			     !export->owner ? ELISA_EXPORT_ORPHAN :
			     export->published ? ELISA_EXPORT_LIVE : ELISA_EXPORT_NEW;
		memcpy(info.name, export->name, sizeof(info.name));
		memcpy(info.label, export->owner_label, sizeof(info.label));
		info.id = export->id;
		info.size = export->size;
		list_for_each_entry(att, &export->attachments, export_link)
			info.attachments++;
		list_for_each_entry(region, &export->regions, link)
			info.regions++;
		list_for_each_entry(ctx, &export->contexts, export_link)
			info.contexts++;
		info.events = export->event_count;
		return copy_to_user(argp, &info, sizeof(info)) ? -EFAULT : 0;
	}
	return -ENOENT;
}

static void count_live(struct elisa_vm *vm, u64 *crossings, u64 *aborts)
{
	struct elisa_attachment *att;
	struct elisa_context *ctx;

	*crossings = vm->crossings;
	*aborts = vm->aborts;
	list_for_each_entry(att, &vm->attachments, vm_link) {
		*crossings += att->crossings;
		*aborts += att->aborts;
		list_for_each_entry(ctx, &att->export->contexts, export_link) {
			if (ctx->attachment == att) {
				*crossings += READ_ONCE(ctx->counters[0]);
				*aborts += ctx->aborts;
			}
		}
	}
}

static int host_stats(void __user *argp)
{
	struct elisa_host_stats s = elisa_stats;
	struct elisa_export *export;
	struct elisa_context *ctx;
	struct elisa_vm *vm;
	u64 crossings, aborts;
	unsigned int i;

	s.abi_version = ELISA_ABI_VERSION;
	s.throttled = atomic64_read(&elisa_throttled);
	s.pinned_pages = elisa_pinned_pages();
	for (i = 0; i < ARRAY_SIZE(s.abort_reasons); i++)
		s.abort_reasons[i] = atomic64_read(&elisa_abort_reasons[i]);
	list_for_each_entry(vm, &elisa_vms, link) {
		count_live(vm, &crossings, &aborts);
		s.crossings += crossings;
	}
	list_for_each_entry(export, &elisa_exports, link) {
		list_for_each_entry(ctx, &export->contexts, export_link) {
			s.aborts += ctx->aborts;
			s.off_default_exits += ctx->off_default_exits;
			s.return_traps += ctx->return_traps;
		}
	}
	return copy_to_user(argp, &s, sizeof(s)) ? -EFAULT : 0;
}

static int vm_info(void __user *argp)
{
	struct elisa_vm_info info;
	struct elisa_vm *vm;
	u32 i = 0;

	if (copy_from_user(&info, argp, sizeof(info)))
		return -EFAULT;
	list_for_each_entry(vm, &elisa_vms, link) {
		struct elisa_attachment *att;

		if (i++ != info.index)
			continue;
		memset(&info, 0, sizeof(info));
		info.index = i - 1;
		info.role = vm->role;
		memcpy(info.label, vm->label, sizeof(info.label));
		info.id = vm->id;
		info.pid = vm->pid;
		list_for_each_entry(att, &vm->attachments, vm_link)
			info.attachments++;
		info.exports = vm->export_count;
		info.pinned_pages = vm->pinned;
		info.table_pages = vm->table_pages;
		info.quota = vm->quota;
		info.quota.id = vm->id;
		memcpy(info.refusals, vm->refusals, sizeof(info.refusals));
		count_live(vm, &info.crossings, &info.aborts);
		return copy_to_user(argp, &info, sizeof(info)) ? -EFAULT : 0;
	}
	return -ENOENT;
}

static long admin_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	long err = -ENOTTY;

	if (cmd == ELISA_IOC_STATS)
		elisa_unpin_settle();
	mutex_lock(&elisa_lock);
	switch (cmd) {
	case ELISA_IOC_VM_ADD:
		err = vm_add(argp);
		break;
	case ELISA_IOC_VM_REMOVE:
		err = vm_remove(argp);
		break;
	case ELISA_IOC_STATS:
		err = host_stats(argp);
		break;
	case ELISA_IOC_VM_INFO:
		err = vm_info(argp);
		break;
	case ELISA_IOC_VM_QUOTA:
		err = vm_quota(argp);
		break;
	case ELISA_IOC_EXPORT_INFO:
		err = export_info(argp);
		break;
	case ELISA_IOC_EXPORT_REVOKE:
		err = export_revoke(argp);
		break;
	}
	elisa_unlock();
	return err;
}

static const struct file_operations admin_fops = {
	.owner = THIS_MODULE,
	.unlocked_ioctl = admin_ioctl,
};

static struct miscdevice admin_device = {
	.minor = MISC_DYNAMIC_MINOR,
	.name = "elisa",
	.mode = 0600,
	.fops = &admin_fops,
};

int elisa_admin_init(void)
{
	return misc_register(&admin_device);
}

void elisa_admin_exit(void)
{
	misc_deregister(&admin_device);
}

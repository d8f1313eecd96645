// SPDX-License-Identifier: GPL-2.0-only
/* /dev/elisa: the host administrator gives VMs a role and a label. */
#include <linux/file.h>
#include <linux/miscdevice.h>
#include <linux/module.h>
#include <linux/random.h>
#include <linux/sched/mm.h>
#include <linux/slab.h>
#include <linux/uaccess.h>

#include "elisa.h"

struct elisa_vm *elisa_vm_of(struct kvm *kvm)
{
	struct elisa_vm *vm;

	list_for_each_entry(vm, &elisa_vms, link)
		if (vm->kvm == kvm)
			return vm;
	return NULL;
}

/* Takes everything from a VM: it was removed, or it ends. */
void elisa_vm_end(struct elisa_vm *vm)
{
	struct elisa_attachment *att, *next_att;
	struct elisa_export *export, *next;

	list_for_each_entry_safe(att, next_att, &vm->attachments, vm_link)
		elisa_detach(att);
	list_for_each_entry_safe(export, next, &vm->exports, vm_link)
		elisa_export_orphan(export);
	list_del(&vm->link);
	elisa_stats.vms--;
	mmdrop(vm->mm);
	kfree(vm);
	module_put(THIS_MODULE);
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
	vm->pid = kvm->userspace_pid;
	strscpy(vm->label, add->label, sizeof(vm->label));
	INIT_LIST_HEAD(&vm->attachments);
	INIT_LIST_HEAD(&vm->exports);
	list_add_tail(&vm->link, &elisa_vms);
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

static int vm_remove(void __user *argp)
{
	struct elisa_vm_remove remove;
	struct elisa_vm *vm;

	if (copy_from_user(&remove, argp, sizeof(remove)))
		return -EFAULT;
	list_for_each_entry(vm, &elisa_vms, link) {
		if (vm->id == remove.id) {
			elisa_vm_end(vm);
			return 0;
		}
	}
	return -ENOENT;
}

static void count_live(struct elisa_vm *vm, u64 *crossings, u64 *aborts)
{
	struct elisa_attachment *att;
	struct kvm_vcpu *vcpu;
	unsigned long i;

	*crossings = vm->crossings;
	*aborts = vm->aborts;
	list_for_each_entry(att, &vm->attachments, vm_link) {
		*crossings += att->crossings;
		*aborts += att->aborts;
		kvm_for_each_vcpu(i, vcpu, vm->kvm) {
			struct elisa_vcpu *ev = elisa_kvm_get(vcpu);
			struct elisa_context *ctx = ev ? &to_armed(ev)->context[att->slot] : NULL;

			if (ctx && ctx->attachment == att) {
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

	s.abi_version = ELISA_ABI_VERSION;
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
		info.role = vm->role;
		memcpy(info.label, vm->label, sizeof(info.label));
		info.id = vm->id;
		info.pid = vm->pid;
		info.attachments = 0;
		list_for_each_entry(att, &vm->attachments, vm_link)
			info.attachments++;
		info.pinned_pages = vm->pinned;
		count_live(vm, &info.crossings, &info.aborts);
		return copy_to_user(argp, &info, sizeof(info)) ? -EFAULT : 0;
	}
	return -ENOENT;
}

static long admin_ioctl(struct file *file, unsigned int cmd, unsigned long arg)
{
	void __user *argp = (void __user *)arg;
	long err = -ENOTTY;

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
	}
	mutex_unlock(&elisa_lock);
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

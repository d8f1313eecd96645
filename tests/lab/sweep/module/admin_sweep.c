// SPDX-License-Identifier: GPL-2.0-only
/* admin.c, and what the administrator would do by hand after a revocation. */
#include "admin.c"
#include "sweep.h"

int elisa_sweep_vm_add(struct kvm *kvm, struct elisa_vm_add *add)
{
	int err;

	mutex_lock(&elisa_lock);
	err = vm_create(kvm, add);
	mutex_unlock(&elisa_lock);
	return err;
}

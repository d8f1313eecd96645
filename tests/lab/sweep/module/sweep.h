/* SPDX-License-Identifier: GPL-2.0-only */
/* What elisa.ko's own sources, as the sweep has them, and the sweep know of each other. */
#ifndef SWEEP_H
#define SWEEP_H

struct elisa_ops;
struct elisa_vm_add;
struct kvm;

int elisa_sweep_register(const struct elisa_ops *ops);
void elisa_sweep_unregister(void);
int elisa_sweep_vm_add(struct kvm *kvm, struct elisa_vm_add *add);

#endif

// SPDX-License-Identifier: GPL-2.0-only
/* elisa.ko's own main.c, whose hooks are registered by way of the sweep. */
#include "elisa.h"

#include "sweep.h"

#define elisa_kvm_register elisa_sweep_register
#define elisa_kvm_unregister elisa_sweep_unregister
#include "main.c"

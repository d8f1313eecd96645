/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * What the sweep's guest program says to the sweep build of elisa.ko, by the doorbell (see elisa_abi.h).
 * Such a module is for the lab alone: these calls do whatever a guest asks.
 */
#ifndef SWEEP_ABI_H
#define SWEEP_ABI_H

enum sweep_call {
	/* rbx enum sweep_event, rsi place in the path, or SWEEP_RECORD, or SWEEP_NEXT; rdi what to add to go
	 * from place to place (SWEEP_NEXT). Single-steps the next crossing of this vCPU until that place, and
	 * lets the event happen there. out: rbx the place, ~0: there is none left; rsi places in the path */
	SWEEP_CALL_ARM  = 0x5700,
	/* the crossing is over; out: rbx SWEEP_HAPPENED, SWEEP_LATE, rsi places in the path, rdi violations of I1, I6
	 * and I9 (pins, too) so far, r8 the first: event << 56 | context << 48 | offset of the event's place in the slot, r9
	 * instructions single-stepped so far */
	SWEEP_CALL_DONE = 0x5701,
	/* rbx place; out: rbx context (0 default, 1 gate, 2 sub), rsi RIP */
	SWEEP_CALL_PLACE = 0x5702,
};

#define SWEEP_HAPPENED 1
#define SWEEP_LATE     2 /* an interrupt or NMI for the guest has still not reached it */

#define SWEEP_RECORD (~0ull)      /* no event: learn the path; what was learned before stays */
#define SWEEP_NEXT   (~0ull - 1)  /* go on where this event's last ARM was, in whichever guest it was */

enum sweep_event {
	SWEEP_NOTHING,
	SWEEP_HOST_INTERRUPT, /* an IPI that is pending at VM entry */
	SWEEP_HOST_NMI,       /* an exit that says NMI; the host's handler runs */
	SWEEP_GUEST_INTERRUPT,
	SWEEP_DELIVERY,       /* the CPU delivers one by itself, as with APIC virtualization */
	SWEEP_GUEST_NMI,
	SWEEP_ROOT_RELOAD,    /* KVM drops the default context's EPT root */
	SWEEP_MEMSLOT,        /* a memory slot comes and goes */
	SWEEP_TLB_FLUSH,      /* every flush request that there is */
	SWEEP_MIGRATION,      /* to another CPU of the host */
	SWEEP_USER_SPACE,     /* a signal takes the vCPU thread to QEMU and back */
	SWEEP_LATE_SIGNAL,    /* the same, but it comes when elisa.ko has looked for signals */
	SWEEP_REVOKE,         /* the VM is removed; it is added again at DONE */
	SWEEP_INIT,
	SWEEP_RESET,          /* a triple fault: QEMU resets the machine */
	SWEEP_KILL,           /* SIGKILL of this VM's QEMU */
	SWEEP_KILL_MANAGER,   /* SIGKILL of the manager VM's QEMU */
	SWEEP_EVENTS
};

#endif

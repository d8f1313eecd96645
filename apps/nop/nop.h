/* SPDX-License-Identifier: Apache-2.0 */
/* What the nop and faults images and their client say to each other. */
#ifndef NOP_H
#define NOP_H

#include <stdint.h>

#define NOP_EXPORT       "nop"
#define NOP_MAX_CLIENTS  16
#define NOP_MAX_REGIONS  4
#define NOP_MAX_NOTES    7

enum nop_op {
	NOP_NOTHING = 0, /* -> a1 */
	NOP_ADD,         /* adds a1 to the shared counter -> its new value */
	NOP_READ,        /* -> the shared counter */
	NOP_WHO,         /* -> arg << 32 | vcpu */
	NOP_MIX,         /* -> nop_mix(a1, a2, a3): were the arguments passed? */
	NOP_PEEK,        /* a1 region, a2 offset -> the 8 bytes there */
	NOP_POKE,        /* a1 region, a2 offset, a3 the 8 bytes -> 0 */
	NOP_WHERE,       /* a1 region -> its address in the sub context */
	NOP_SPIN,        /* a1 iterations of nothing -> 0 */
	NOP_NOTE,        /* note a1, for everybody, is a2 -> 0 */
	NOP_NOTED,       /* -> note a1 */
	NOP_TRASH,       /* faults image only: fills every register, breaks the C ABI, as a1 says -> 0x7ea5 */

	NOP_FAULT = 0x100, /* and up: enum nop_fault, in the faults image only */
};

#define NOP_TRASH_FAULT 1 /* ends in a fault, not in a return */
#define NOP_TRASH_AVX   2 /* all of the 256-bit registers */

#define NOP_E_OP     (-1)
#define NOP_E_REGION (-2)
#define NOP_E_NOTE   (-3)

/* How to misbehave. Each call must come back with an error, and the next one work. */
enum nop_fault {
	FAULT_STRAY_READ = NOP_FAULT, /* a hole of the slot */
	FAULT_STRAY_WRITE,
	FAULT_NULL_READ,     /* the guest's own half of the address space */
	FAULT_WRITE_TEXT,
	FAULT_WRITE_RODATA,
	FAULT_EXECUTE_DATA,
	FAULT_WILD_JUMP,     /* to a hole */
	FAULT_LOW_JUMP,      /* to the guest's own half */
	FAULT_NON_CANONICAL_READ,
	FAULT_NON_CANONICAL_JUMP,
	FAULT_UD2,
	FAULT_INT3,
	FAULT_INT80,
	FAULT_DIVIDE,
	FAULT_HLT,
	FAULT_CPUID,
	FAULT_SYSCALL,
	FAULT_DOORBELL,      /* an IN on ELISA's port */
	FAULT_VMCALL,
	FAULT_VMFUNC_DEFAULT, /* straight back, past the gate */
	FAULT_VMFUNC_GATE,   /* a1: the gate's index; arrives there at a wrong offset */
	FAULT_OTHER_GATE,    /* a1: a gate's index; arrives there where the stub would */
	FAULT_VMFUNC_LEAF,   /* a VM function that is not EPTP switching */
	FAULT_STACK_OVERFLOW,
	FAULT_LOST_STACK,    /* RSP in a hole, then a push */
	FAULT_ENDLESS_LOOP,
	FAULT_FORGED_COUNT,  /* endless, and counts crossings meanwhile */
	FAULT_SINGLE_STEP,   /* TF */
	FAULT_READ_GATE,     /* the execute-only page that it was entered through */
	FAULT_READ_LIST,     /* the EPTP list */
	FAULT_END
};

struct nop_region {
	uint64_t address; /* 0: none */
	uint64_t length;
};

/* At the start of the heap. */
struct nop_state {
	uint64_t counter;
	uint64_t notes[NOP_MAX_NOTES];
	struct nop_region regions[NOP_MAX_CLIENTS][NOP_MAX_REGIONS];
};

static inline uint64_t nop_mix(uint64_t a1, uint64_t a2, uint64_t a3)
{
	uint64_t x = a1 * 0x9e3779b97f4a7c15u;

	x = (x ^ (x >> 29) ^ a2) * 0xbf58476d1ce4e5b9u;
	x = (x ^ (x >> 32) ^ a3) * 0x94d049bb133111ebu;
	return x ^ (x >> 31);
}

#endif

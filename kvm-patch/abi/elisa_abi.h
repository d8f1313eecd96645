/* SPDX-License-Identifier: GPL-2.0 OR Apache-2.0 */
/*
 * The ELISA ABI: what a VM, the host administrator and elisa.ko say to each
 * other. Included by the kernel module, libelisa and the tests alike.
 *
 * Three parts:
 *   1. the slot     where gate and sub contexts live in a guest's address space
 *   2. the calls    from a VM, by a 32-bit IN on one I/O port (the doorbell)
 *   3. /dev/elisa   ioctls of the host administrator
 *
 * No host-physical address and no kernel pointer crosses any of them.
 */
#ifndef ELISA_ABI_H
#define ELISA_ABI_H

#ifdef __KERNEL__
#include <linux/types.h>
#include <linux/ioctl.h>
#else
#include <stdint.h>
#include <sys/ioctl.h>
#endif

#ifdef __cplusplus
extern "C" {
#endif

#define ELISA_ABI_VERSION 2

/* ------------------------------------------------------------------ 1. slot
 *
 * One lower-half PML4 entry. In the sub context the offset x of a virtual
 * address in the slot is also the offset of its guest-physical address in the
 * window, so every address below is SLOT_BASE + x there.
 *
 *   x                what                       gate   sub
 *   GATE_X           gate code / sub stub       X      X     default: the process's entry page
 *   LIST_X           EPTP list of this vCPU     RW     hole
 *   STACK_X..        stack of this vCPU         hole   RW
 *   COUNTERS_X       counters of this vCPU      hole   RW
 *   OBJECT_X..       the export: image, memory  hole   as exported
 *   WINDOW_X..       regions of participants    hole   RW
 *   anything else    hole                       (an access is an EPT violation)
 */
#define ELISA_SLOT_PML4      96
#define ELISA_SLOT_BASE      0x300000000000ull
#define ELISA_SLOT_SIZE      (256ull << 30)

/* Distinct PML4/PDPT/PD/PT indices (96/1/2/3): a table that is named as a
 * page-table root is then harmless (invariant I3). */
#define ELISA_GATE_X         ((1ull << 30) + (2ull << 21) + (3ull << 12))
#define ELISA_LIST_X         (ELISA_GATE_X + 0x606f000) /* see gate.S for why there */
#define ELISA_GATE_PDPT_X    (ELISA_GATE_X + 0x4000)
#define ELISA_SUB_PDPT_X     (ELISA_GATE_X + 0x6000)
#define ELISA_GATE_PML4_X    (ELISA_GATE_X + 0xa000) /* for guests with 5-level paging */
#define ELISA_SUB_PML4_X     (ELISA_GATE_X + 0xc000)
#define ELISA_COUNTERS_X     (ELISA_GATE_X + 0x8000)
#define ELISA_STACK_X        (ELISA_GATE_X + 0x10000)
#define ELISA_STACK_SIZE     0x10000ull
#define ELISA_OBJECT_X       (2ull << 30)
#define ELISA_OBJECT_MAX     (30ull << 30)
#define ELISA_WINDOW_X       (64ull << 30)
#define ELISA_WINDOW_SIZE    (ELISA_SLOT_SIZE - ELISA_WINDOW_X)

#define ELISA_GATE_VA        (ELISA_SLOT_BASE + ELISA_GATE_X)
#define ELISA_OBJECT_VA      (ELISA_SLOT_BASE + ELISA_OBJECT_X)
#define ELISA_WINDOW_VA      (ELISA_SLOT_BASE + ELISA_WINDOW_X)

/*
 * The page at GATE_VA in the default context belongs to the attached process.
 * VMFUNC must end at ENTRY_OFF; a crossing comes back, whatever happened, at
 * LANDING_OFF.
 *
 * Registers at the VMFUNC:  RAX 0, RCX gate index, R10 token,
 *                           RSI, RDX, R8, R9 the arguments a0..a3.
 * At the landing:           RAX 0: the image returned, its result is in RDX;
 *                           RAX negative: aborted, an ELISA_E* value.
 * RBX, RBP, R12-R15 are the image's C ABI after a return and zero after an
 * abort. RSP after an abort is the abort stack given to ARM. All other
 * registers, the vector ones too, are zero.
 *
 * The image is called as
 *   int64_t entry(uint64_t arg, uint64_t a0, uint64_t a1, uint64_t vcpu,
 *                 uint64_t a2, uint64_t a3)
 * where arg is what the manager admitted this attachment with and vcpu is KVM's
 * number of the vCPU. Neither can be chosen by the caller.
 */
#define ELISA_ENTRY_OFF      0x100
#define ELISA_LANDING_OFF    0x19c
/* The gate's way back; the sub context's VMFUNC ends here. */
#define ELISA_GATE_EXIT_OFF  0x180

/* Result in RDX of a crossing with a wrong token; the image did not run. */
#define ELISA_RESULT_BAD_TOKEN ((int64_t)0x8000000000000001ull)

/* ----------------------------------------------------------------- 2. calls
 *
 * IN EAX,DX with   DX  ELISA_PORT
 *                  EAX ELISA_MAGIC
 *                  ECX call number
 *                  RBX, RSI, RDI, R8, R9, R10  arguments
 * sets RAX to 0 or a negative ELISA_E*, and the six to the results (others
 * keep their value). An unhooked machine answers 0xffffffff in RAX, which is
 * no ELISA_E*. The CPU checks the I/O bitmap before the exit: a process needs
 * ioperm(ELISA_PORT, 4, 1), that is CAP_SYS_RAWIO.
 */
#define ELISA_PORT           0x0e10
#define ELISA_MAGIC          0x53494c45u /* "ELIS" */

#define ELISA_NAME_MAX       32 /* bytes with the NUL; 4 registers, little endian */
#define ELISA_ADD_MAX        (64ull << 20) /* bytes in one EXPORT_ADD or REGION_ADD */
/* Wall time after which a crossing does not go on, however long its thread had no CPU. A region's
 * addresses are given out again after twice that, so an image need not know who is still at work. */
#define ELISA_CROSSING_MS    500

enum elisa_call {
	/* any VM; out: rbx ABI version, rsi ELISA_MAGIC, rdi role */
	ELISA_CALL_VERSION       = 0,

	/* ---- manager VM ---- */
	/* rbx rsi rdi r8: name, r9: object size; out: rbx export, rsi its id */
	ELISA_CALL_EXPORT_CREATE = 1,
	/* rbx export, rsi offset in the object, rdi gpa, r8 length, r9 enum
	 * elisa_map. All multiples of 4096. TEXT and RODATA are copied (sealed);
	 * DATA stays the manager's memory and is pinned. */
	ELISA_CALL_EXPORT_ADD    = 2,
	/* rbx export, rsi offset of the image's entry in the object */
	ELISA_CALL_EXPORT_PUBLISH = 3,
	/* rbx export; attachments die (their calls return ELISA_E_DEAD), everything
	 * that the export held is unpinned when it returns */
	ELISA_CALL_EXPORT_DESTROY = 4,
	/* rbx export; out: rbx enum elisa_event, rsi sequence number, rdi
	 * attachment number, r8.. by kind. The event stays at the head of the
	 * queue until it is answered. */
	ELISA_CALL_EVENT_POLL    = 5,
	/* rbx export, rsi sequence number, rdi 0 or a negative ELISA_E* verdict,
	 * r8 ATTACH: the image's arg for this attachment */
	ELISA_CALL_EVENT_REPLY   = 6,
	/* rbx export, rsi attachment; out: rbx rsi rdi r8: label of its VM */
	ELISA_CALL_EVENT_LABEL   = 7,
	/* rbx rsi rdi r8: name of an export of this VM; out: rbx a new handle (the old
	 * one is void), rsi object size, rdi its id, r8 whether it is published. For
	 * the successor of a process that was killed: attachments and their calls go
	 * on meanwhile, events that were not answered come again. */
	ELISA_CALL_EXPORT_TAKE_OVER = 8,
	/* rbx export, rsi a number (0 first); out: the next attachment: rbx number
	 * (0: no more), rsi enum elisa_state, rdi instance, r8 arg */
	ELISA_CALL_ATTACHMENT_NEXT = 9,

	/* ---- guest VM ---- */
	/* rbx rsi rdi r8: export name, r9 instance (any number; names this
	 * attachment within the VM: attaching it again takes over a stale one);
	 * out: rbx attachment handle */
	ELISA_CALL_ATTACH        = 16,
	/* rbx handle; out: rbx enum elisa_state, rsi 0 or the refusal */
	ELISA_CALL_ATTACH_STATUS = 17,
	/* on each vCPU that will cross: rbx handle, rsi abort stack (an RSP);
	 * again: the same results, after INIT a new context. out: rbx gate index, rsi token, rdi vCPU number, r8 sub index (for
	 * tests and diagnosis). Records CS and SS for the landing. */
	ELISA_CALL_ARM           = 18,
	/* rbx handle, rsi length (multiple of 2 MiB); out: rbx region */
	ELISA_CALL_REGION_CREATE = 19,
	/* rbx handle, rsi region, rdi offset in it, r8 gpa, r9 length */
	ELISA_CALL_REGION_ADD    = 20,
	/* rbx handle, rsi region; the manager is told */
	ELISA_CALL_REGION_COMMIT = 21,
	/* rbx handle, rsi region; out: rbx enum elisa_state, rsi refusal */
	ELISA_CALL_REGION_STATUS = 22,
	/* rbx handle, rsi region; unmapped and unpinned when it returns */
	ELISA_CALL_REGION_REMOVE = 23,
	/* rbx handle; everything of it is released when it returns */
	ELISA_CALL_DETACH        = 24,
	/* rbx handle; out: rbx crossings, rsi aborts, rdi exits taken off the
	 * default context, r8 return traps */
	ELISA_CALL_STATS         = 25,
	/* rbx handle; of the last abort on this vCPU; out: rbx VM exit reason,
	 * rsi RIP, rdi exit qualification, r8 guest-linear address or the
	 * exception's vector and error code (interruption information) */
	ELISA_CALL_ABORT_INFO    = 26,
};

enum elisa_map {
	ELISA_MAP_TEXT   = 1, /* execute and read, sealed copy */
	ELISA_MAP_RODATA = 2, /* read, sealed copy */
	ELISA_MAP_DATA   = 3, /* read and write, the manager's own pages */
};

enum elisa_state {
	ELISA_STATE_PENDING  = 0, /* waits for the manager */
	ELISA_STATE_READY    = 1,
	ELISA_STATE_REFUSED  = 2,
	ELISA_STATE_DEAD     = 3, /* export destroyed, VM revoked */
};

enum elisa_event {
	ELISA_EVENT_NONE       = 0,
	ELISA_EVENT_ATTACH     = 1, /* r8 instance; label: EVENT_LABEL */
	ELISA_EVENT_DETACH     = 2, /* the attachment and its regions are gone */
	ELISA_EVENT_REGION_ADD = 3, /* r8 region, r9 address in the sub, r10 length */
	ELISA_EVENT_REGION_DEL = 4, /* r8 region; until the answer its addresses
				     * lead to a scratch page, then to a hole */
};

enum elisa_role {
	ELISA_ROLE_NONE    = 0,
	ELISA_ROLE_GUEST   = 1,
	ELISA_ROLE_MANAGER = 2,
};

/* Errors, returned negative. */
enum elisa_error {
	ELISA_E_BADCALL     = 1,  /* no such call */
	ELISA_E_ROLE        = 2,  /* this VM's role may not make this call */
	ELISA_E_INVAL       = 3,  /* malformed argument */
	ELISA_E_NOENT       = 4,  /* no such export, handle, region */
	ELISA_E_EXIST       = 5,  /* the name is taken */
	ELISA_E_REFUSED     = 6,  /* the manager refused */
	ELISA_E_STATE       = 7,  /* not now: pending, not published, dead, ... */
	ELISA_E_NOMEM       = 8,  /* host out of memory */
	ELISA_E_QUOTA       = 9,  /* a quota of this VM is used up */
	ELISA_E_MEMORY      = 10, /* the range is not plain writable guest memory */
	ELISA_E_OVERLAP     = 11, /* a memory slot reaches into the window, or a range is in use */
	ELISA_E_PCID        = 12, /* CR4.PCIDE is set: run QEMU with -cpu ...,-pcid */
	ELISA_E_MODE        = 13, /* not 64-bit user code; of a manager: not a 64-bit kernel */
	ELISA_E_HOST        = 14, /* the host CPU cannot do this */
	ELISA_E_DEAD        = 15, /* export or attachment is gone */
	ELISA_E_NESTED      = 16, /* VMX is on (CR4.VMXE): the VM runs or prepares VMs of its own */
	ELISA_E_FEATURE     = 18, /* PEBS or PT (-cpu ...,pmu=off,-intel-pt), or CET, UINTR, FRED are on */
	ELISA_E_IDT         = 19, /* the interrupt descriptor table lies in the slot */
	/* why a crossing was aborted */
	ELISA_E_FAULT       = 32, /* exception or stray access in the sub context */
	ELISA_E_BUDGET      = 33, /* ran too long */
	ELISA_E_INTERCEPT   = 34, /* an instruction that exits (HLT, CPUID, ...) */
	ELISA_E_GATE        = 35, /* fault in the gate context */
	ELISA_E_REVOKED     = 36, /* the export was revoked meanwhile */
	ELISA_E_RESET       = 37, /* INIT, reset, or the vCPU may not cross any more */
	ELISA_E_INTERRUPTED = 38, /* its vCPU's thread had to go to user space, or had no CPU for long */
};

/* ------------------------------------------------------------ 3. /dev/elisa */

/* Gives a VM a role and a label. fd is an anon_inode:kvm-vm file. */
struct elisa_vm_add {
	int32_t  fd;
	uint32_t role;                  /* enum elisa_role */
	char     label[ELISA_NAME_MAX]; /* NUL-terminated */
	uint64_t id;                    /* out: random, names the VM from now on */
};

/* Everything the VM has is revoked, its exports too. (A manager's VM that ends by
 * itself leaves its exports to those who are attached.) */
struct elisa_vm_remove {
	uint64_t id;
};

/* What the module holds; all of it is back at its old value after a detach. */
struct elisa_host_stats {
	uint32_t abi_version;
	uint32_t vms;
	uint32_t exports;
	uint32_t attachments;
	uint32_t contexts;     /* armed vCPUs */
	uint32_t regions;
	uint64_t pinned_pages; /* guest memory */
	uint64_t table_pages;  /* EPTs, stacks, sealed copies */
	uint64_t crossings;    /* of live contexts */
	uint64_t aborts;       /* since the module was loaded */
	uint64_t off_default_exits;
	uint64_t return_traps;
	uint64_t throttled;    /* calls and aborts that had to wait for their rate */
	uint64_t abort_reasons[8]; /* by error, ELISA_E_FAULT and up */
};

/* What a VM may use; a field of all ones is left as it is. New VMs get elisa.ko's
 * parameters (max_...). What is in use already stays. */
struct elisa_vm_quota {
	uint64_t id;
	uint64_t pinned_pages; /* of its memory; also the sum of its regions */
	uint64_t table_pages;  /* of the host's: EPTs, stacks, sealed copies */
	uint32_t exports;
	uint32_t attachments;
	uint32_t calls_per_s;  /* a call that changes something counts as ELISA_COST_CHANGE */
	uint32_t aborts_per_s; /* of each vCPU, from the next ARM on */
};

#define ELISA_COST_CHANGE 1000
#define ELISA_REFUSALS 32

/* One VM by index, 0 upwards until ENOENT. */
struct elisa_vm_info {
	uint32_t index;
	uint32_t role;
	char     label[ELISA_NAME_MAX];
	uint64_t id;
	int32_t  pid;          /* of the process that holds the VM */
	uint32_t attachments;
	uint32_t exports;
	uint32_t reserved;
	uint64_t pinned_pages;
	uint64_t table_pages;
	uint64_t crossings;
	uint64_t aborts;
	struct elisa_vm_quota quota;
	uint64_t refusals[ELISA_REFUSALS]; /* by ELISA_E*: its calls that failed, and attaches that a manager refused */
};

enum elisa_export_state {
	ELISA_EXPORT_NEW    = 0, /* not published yet */
	ELISA_EXPORT_LIVE   = 1,
	ELISA_EXPORT_ORPHAN = 2, /* its manager's VM has ended */
	ELISA_EXPORT_DEAD   = 3, /* destroyed or revoked; handles of it are left */
};

/* One export by index, 0 upwards until ENOENT. */
struct elisa_export_info {
	uint32_t index;
	uint32_t state;                 /* enum elisa_export_state */
	char     name[ELISA_NAME_MAX];
	char     label[ELISA_NAME_MAX]; /* of its manager's VM */
	uint64_t id;
	uint64_t size;                  /* of the object, bytes */
	uint32_t attachments;
	uint32_t contexts;              /* armed vCPUs */
	uint32_t regions;
	uint32_t events;                /* that its manager has not answered */
};

/* The export ends as by EXPORT_DESTROY. */
struct elisa_export_revoke {
	uint64_t id;
};

#define ELISA_IOC_VM_ADD    _IOWR('E', 1, struct elisa_vm_add)
#define ELISA_IOC_VM_REMOVE _IOW('E', 2, struct elisa_vm_remove)
#define ELISA_IOC_STATS     _IOR('E', 3, struct elisa_host_stats)
#define ELISA_IOC_VM_INFO   _IOWR('E', 4, struct elisa_vm_info)
#define ELISA_IOC_VM_QUOTA  _IOW('E', 5, struct elisa_vm_quota)
#define ELISA_IOC_EXPORT_INFO _IOWR('E', 6, struct elisa_export_info)
#define ELISA_IOC_EXPORT_REVOKE _IOW('E', 7, struct elisa_export_revoke)

#if defined(__cplusplus)
static_assert(sizeof(struct elisa_vm_add) == 48, "elisa_vm_add");
static_assert(sizeof(struct elisa_host_stats) == 144, "elisa_host_stats");
static_assert(sizeof(struct elisa_vm_info) == 392, "elisa_vm_info");
}
#else
_Static_assert(sizeof(struct elisa_vm_add) == 48, "elisa_vm_add");
_Static_assert(sizeof(struct elisa_host_stats) == 144, "elisa_host_stats");
_Static_assert(sizeof(struct elisa_vm_info) == 392, "elisa_vm_info");
#endif

#endif /* ELISA_ABI_H */

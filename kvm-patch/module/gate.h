/* SPDX-License-Identifier: GPL-2.0-only */
/*
 * What gate.S and the C code that patches it must agree on. Plain numbers, for
 * the assembler; context.c asserts that they are the ABI's.
 */
#ifndef ELISA_GATE_H
#define ELISA_GATE_H

#define GATE_ENTRY_OFF      0x100
#define GATE_EXIT_OFF       0x180
#define GATE_LANDING_OFF    0x19c
#define GATE_LIST_DELTA     0x606f000 /* LIST_X - GATE_X */
#define GATE_COUNTERS_DELTA 0x8000  /* COUNTERS_X - GATE_X */
#define GATE_STACK_DELTA    0x20000 /* STACK_X + STACK_SIZE - GATE_X */

#define GATE_EPTP_LOW       0x1e    /* low byte of a gate or sub EPTP: WB, 4 levels, no A/D */

#ifndef __ASSEMBLY__
#include <linux/types.h>

/* The two pages; the rest are addresses in them that are patched per context. */
extern const u8 elisa_gate_page[], elisa_gate_open[], elisa_gate_sub_index[];
extern const u8 elisa_gate_entry_end[], elisa_gate_exit[], elisa_gate_check[];
extern const u8 elisa_gate_close[], elisa_gate_reopen[];
extern const u8 elisa_sub_page[], elisa_sub_token[], elisa_sub_arg[];
extern const u8 elisa_sub_vcpu[], elisa_sub_call[], elisa_sub_scrub[];
extern const u8 elisa_sub_gate_index[], elisa_sub_vmfunc[], elisa_sub_end[];
/* 5 bytes that replace elisa_sub_scrub for a guest whose XCR0 lacks AVX. */
extern const u8 elisa_sub_scrub_sse[];
#endif

#endif

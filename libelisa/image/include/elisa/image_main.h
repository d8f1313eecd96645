/* SPDX-License-Identifier: Apache-2.0 */
/*
 * For programs that run in a sub context (C or C++, freestanding).
 *
 * There is no operating system there: no system calls, no exceptions, no thread-local storage, no
 * static constructors, 64 KB of stack. What a caller passes is hostile. Any instruction may be the
 * last (the caller's VM is paused or killed there), and several vCPUs are inside at the same time.
 */
#ifndef ELISA_IMAGE_MAIN_H
#define ELISA_IMAGE_MAIN_H

#include "elisa/image_abi.h"

#ifdef __cplusplus
extern "C" {
#endif

/*
 * You write this one. arg is what the manager admitted this caller with, vcpu the number of its
 * vCPU in its VM, the same in each call; neither can be chosen by the caller. a0..a3 can.
 */
int64_t elisa_image_main(uint64_t arg, uint64_t a0, uint64_t a1, uint64_t vcpu, uint64_t a2,
			 uint64_t a3);

/* NOLINTBEGIN(modernize-redundant-void-arg,bugprone-dynamic-static-initializers): C too. */
/* Filled in by the manager before the export is published. */
extern struct elisa_image_header elisa_image_header;

/* The export's memory behind the image, zeroed at first; Export::heap() is the same memory. */
static inline void *elisa_heap(void)
{
	return (void *)(uintptr_t)elisa_image_header.heap;
}

static inline uint64_t elisa_heap_size(void)
{
	return elisa_image_header.heap_size;
}
/* NOLINTEND(modernize-redundant-void-arg,bugprone-dynamic-static-initializers) */

#ifdef __cplusplus
}
#endif

#endif

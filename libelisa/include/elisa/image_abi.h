/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What an image and the manager that loads it agree upon. Freestanding C.
 */
#ifndef ELISA_IMAGE_ABI_H
#define ELISA_IMAGE_ABI_H

#include <stddef.h>
#include <stdint.h>

#ifdef __cplusplus
extern "C" {
#endif

#define ELISA_IMAGE_MAGIC   0x31474d4941534c45ull /* "ELSAIMG1" */

/* First thing in an image's data; the manager fills in the heap, which follows the image. */
struct elisa_image_header {
	uint64_t magic;
	uint64_t heap;      /* virtual address in the sub context */
	uint64_t heap_size; /* bytes */
	uint64_t export_id; /* for a manager that takes over: the export that this memory is of */
};

#ifdef __cplusplus
}
static_assert(sizeof(elisa_image_header) == 32, "elisa_image_header");
#endif

#endif

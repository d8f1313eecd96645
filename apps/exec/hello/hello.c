/* SPDX-License-Identifier: Apache-2.0 */
/* hello, sub context: a program that runs where its callers cannot touch it. */
#include "elisa/image_main.h"

static const char greeting[] = "hello, sub context";
static uint64_t visits; /* all callers of all VMs share it */

/* a0: which character of the greeting -> that character, 0 at its end.
 * a0 = -1 -> how often anybody has called. Callers are hostile: check what they pass. */
int64_t elisa_image_main(uint64_t arg, uint64_t a0, uint64_t a1, uint64_t vcpu, uint64_t a2,
			 uint64_t a3)
{
	const uint64_t count = __atomic_add_fetch(&visits, 1, __ATOMIC_RELAXED);

	(void)arg, (void)a1, (void)vcpu, (void)a2, (void)a3;
	if (a0 == UINT64_MAX)
		return (int64_t)count;
	return a0 < sizeof(greeting) ? greeting[a0] : 0;
}

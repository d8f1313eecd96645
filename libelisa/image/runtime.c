/* SPDX-License-Identifier: Apache-2.0 */
/*
 * What a compiler expects of a freestanding environment: memcpy, memmove, memset, memcmp. Compiled
 * with -fno-tree-loop-distribute-patterns, or they would be turned into calls of themselves.
 */
#include "elisa/image_main.h"

typedef unsigned char vec __attribute__((vector_size(16), aligned(1), may_alias));

__attribute__((section(".elisa.header"), used)) struct elisa_image_header elisa_image_header = {
	.magic = ELISA_IMAGE_MAGIC,
};

void *memcpy(void *restrict to, const void *restrict from, size_t n)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	for (; n >= 16; n -= 16, d += 16, s += 16)
		*(vec *)d = *(const vec *)s;
	for (; n != 0; --n)
		*d++ = *s++;
	return to;
}

void *memmove(void *to, const void *from, size_t n)
{
	unsigned char *d = to;
	const unsigned char *s = from;

	if ((uintptr_t)d - (uintptr_t)s >= n)
		return memcpy(to, from, n);
	while (n != 0) {
		--n;
		d[n] = s[n];
	}
	return to;
}

void *memset(void *to, int c, size_t n)
{
	unsigned char *d = to;
	const unsigned char byte = (unsigned char)c;
	const vec v = {byte, byte, byte, byte, byte, byte, byte, byte,
		       byte, byte, byte, byte, byte, byte, byte, byte};

	for (; n >= 16; n -= 16, d += 16)
		*(vec *)d = v;
	for (; n != 0; --n)
		*d++ = byte;
	return to;
}

int memcmp(const void *a, const void *b, size_t n)
{
	const unsigned char *x = a;
	const unsigned char *y = b;

	for (; n != 0; --n, ++x, ++y)
		if (*x != *y)
			return *x < *y ? -1 : 1;
	return 0;
}

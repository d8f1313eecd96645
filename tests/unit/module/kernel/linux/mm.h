/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
#include <linux/types.h>

#define PAGE_MASK        (~0xfffull)
#define __pa(p)          ((u64)(uintptr_t)(p))
#define __va(a)          ((void *)(uintptr_t)(a))
#define WRITE_ONCE(x, v) (*(volatile __typeof__(x) *)&(x) = (v))

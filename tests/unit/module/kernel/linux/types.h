/* SPDX-License-Identifier: Apache-2.0 */
/* As much of a kernel as the module's tables need: addresses are physical ones here. */
#pragma once
#include_next <linux/types.h>
#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

typedef uint64_t u64;
typedef int64_t s64;
typedef uint32_t u32;
typedef uint8_t u8;

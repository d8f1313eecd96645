/* SPDX-License-Identifier: Apache-2.0 */
#pragma once
struct list_head {
	struct list_head *next, *prev;
};

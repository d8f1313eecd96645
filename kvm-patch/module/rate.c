// SPDX-License-Identifier: GPL-2.0-only
/*
 * What one VM does costs others something: an abort its host time, a detach an IPI and
 * a TLB flush on every CPU. Who does it too often waits, in its own vCPU's thread.
 */
#include <linux/jiffies.h>
#include <linux/sched.h>

#include "elisa.h"

/* How long to wait, in jiffies, after something that costs so much. */
unsigned long elisa_rate_wait(struct elisa_rate *rate, u32 cost)
{
	/* Once: a tick between the comparison and the subtraction would make it negative. */
	unsigned long now = READ_ONCE(jiffies);

	if (time_after(now, rate->since + HZ)) {
		rate->since = now;
		rate->count = 0;
	}
	rate->count += cost;
	if (rate->count <= rate->limit)
		return 0;
	/* The second's end comes closer with each wait: never long in one go, and a
	 * signal ends it. */
	return 1 + (rate->since + HZ - now) / 8;
}

void elisa_wait(unsigned long wait)
{
	if (!wait)
		return;
	atomic64_inc(&elisa_throttled);
	schedule_timeout_killable(wait);
}

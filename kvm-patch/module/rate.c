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
	if (time_after(jiffies, rate->since + HZ)) {
		rate->since = jiffies;
		rate->count = 0;
	}
	rate->count += cost;
	if (rate->count <= rate->limit)
		return 0;
	/* The second's end comes closer with each wait: never long in one go, and a
	 * signal ends it. */
	return 1 + (rate->since + HZ - jiffies) / 8;
}

void elisa_wait(unsigned long wait)
{
	if (!wait)
		return;
	atomic64_inc(&elisa_throttled);
	schedule_timeout_killable(wait);
}

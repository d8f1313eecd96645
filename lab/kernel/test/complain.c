// SPDX-License-Identifier: GPL-2.0-only
/*
 * Makes the host's kernel complain, in each of the ways that must fail a scenario:
 * insmod complain.ko what=NAME. For the lab's test of its own eyes; loading always
 * fails with -ECANCELED, so that there is nothing to unload.
 */
#include <linux/list.h>
#include <linux/module.h>
#include <linux/mutex.h>
#include <linux/rcupdate.h>
#include <linux/slab.h>
#include <linux/spinlock.h>

static char *what = "";
module_param(what, charp, 0);

static DEFINE_MUTEX(first);
static DEFINE_MUTEX(second);
static DEFINE_SPINLOCK(spin);

static void warning(void)
{
	WARN(1, "complain: as asked");
}

/* KASAN */
static void use_after_free(void)
{
	volatile u64 *p = kzalloc(64, GFP_KERNEL);

	if (p) {
		kfree((void *)p);
		(void)READ_ONCE(*p);
	}
}

/* UBSAN */
static void shift(void)
{
	volatile int by = 70;
	volatile u64 x = 1;

	x = x << by;
}

/* lockdep: both orders, by one thread, so that nothing ever hangs. */
static void lock_order(void)
{
	mutex_lock(&first);
	mutex_lock(&second);
	mutex_unlock(&second);
	mutex_unlock(&first);
	mutex_lock(&second);
	mutex_lock(&first);
	mutex_unlock(&first);
	mutex_unlock(&second);
}

/* DEBUG_ATOMIC_SLEEP */
static void sleep_in_atomic(void)
{
	spin_lock(&spin);
	might_sleep();
	spin_unlock(&spin);
}

/* DEBUG_LIST */
static void list_corruption(void)
{
	LIST_HEAD(head);
	struct list_head node;

	list_add(&node, &head);
	head.next = &head;
	list_del(&node);
}

static const struct {
	const char *name;
	void (*act)(void);
} complaints[] = {
	{ "warning", warning },
	{ "use_after_free", use_after_free },
	{ "shift", shift },
	{ "lock_order", lock_order },
	{ "sleep_in_atomic", sleep_in_atomic },
	{ "list_corruption", list_corruption },
};

static int __init complain_init(void)
{
	int i;

	for (i = 0; i < ARRAY_SIZE(complaints); i++)
		if (!strcmp(what, complaints[i].name)) {
			complaints[i].act();
			return -ECANCELED;
		}
	return -EINVAL;
}

module_init(complain_init);
MODULE_LICENSE("GPL");
MODULE_DESCRIPTION("Makes the kernel complain, for a test");

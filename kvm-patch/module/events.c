// SPDX-License-Identifier: GPL-2.0-only
/* What a manager is told, in order; the head stays until it is answered. */
#include <linux/slab.h>

#include "elisa.h"

struct event {
	struct list_head link;
	enum elisa_event kind;
	u32 attachment;
	u64 seq;
	u64 data[3];
};

int elisa_event_add(struct elisa_export *export, enum elisa_event kind, u32 attachment,
		    u64 a, u64 b, u64 c)
{
	struct event *ev;

	/* There is one DETACH for each ATTACH at most, so they are bounded, too. */
	if (export->event_count >= ELISA_MAX_EVENTS && kind != ELISA_EVENT_DETACH)
		return -ELISA_E_QUOTA;
	ev = kzalloc(sizeof(*ev), GFP_KERNEL_ACCOUNT);
	if (!ev)
		return -ELISA_E_NOMEM;
	export->event_count++;
	ev->kind = kind;
	ev->attachment = attachment;
	ev->seq = ++export->event_seq;
	ev->data[0] = a;
	ev->data[1] = b;
	ev->data[2] = c;
	list_add_tail(&ev->link, &export->events);
	return 0;
}

/* What a guest asked for and takes back before the manager has been told: it need not be. So a
 * guest that does both all the time does not fill the queue, which is for all. a: as it was added. */
bool elisa_event_withdraw(struct elisa_export *export, enum elisa_event kind, u32 attachment, u64 a)
{
	struct event *ev;

	list_for_each_entry(ev, &export->events, link) {
		if (ev->kind != kind || ev->attachment != attachment || ev->data[0] != a)
			continue;
		if (list_is_first(&ev->link, &export->events)) /* it may have been */
			return false;
		list_del(&ev->link);
		kfree(ev);
		export->event_count--;
		return true;
	}
	return false;
}

int elisa_event_poll(struct elisa_export *export, u64 out[6])
{
	struct event *ev = list_first_entry_or_null(&export->events, struct event, link);

	memset(out, 0, 6 * sizeof(*out));
	if (!ev)
		return 0;
	out[0] = ev->kind;
	out[1] = ev->seq;
	out[2] = ev->attachment;
	memcpy(out + 3, ev->data, sizeof(ev->data));
	return 0;
}

static struct elisa_attachment *find(struct elisa_export *export, u32 number)
{
	struct elisa_attachment *att;

	list_for_each_entry(att, &export->attachments, export_link)
		if (att->number == number)
			return att;
	return NULL;
}

int elisa_event_reply(struct elisa_export *export, u64 seq, s64 verdict, u64 arg)
{
	struct event *ev = list_first_entry_or_null(&export->events, struct event, link);
	enum elisa_state state = verdict ? ELISA_STATE_REFUSED : ELISA_STATE_READY;
	struct elisa_attachment *att;
	struct elisa_region *region;

	if (!ev || ev->seq != seq)
		return -ELISA_E_NOENT;
	if (verdict > 0 || verdict < -255)
		return -ELISA_E_INVAL;

	/* Who asked may be gone by now. */
	switch (ev->kind) {
	case ELISA_EVENT_ATTACH:
		att = find(export, ev->attachment);
		if (att && att->state == ELISA_STATE_PENDING) {
			att->state = state;
			att->refusal = -verdict;
			att->arg = arg;
			if (verdict && -verdict < ELISA_REFUSALS)
				att->vm->refusals[-verdict]++;
		}
		break;
	case ELISA_EVENT_REGION_ADD:
		region = elisa_region_of(export, ev->attachment, ev->data[0]);
		if (region && region->state == ELISA_STATE_PENDING) {
			region->state = state;
			region->refusal = -verdict;
		}
		break;
	case ELISA_EVENT_REGION_DEL:
		elisa_region_release(export, ev->attachment, ev->data[0]);
		break;
	case ELISA_EVENT_DETACH:
		elisa_region_release(export, ev->attachment, ELISA_ALL_REGIONS);
		break;
	case ELISA_EVENT_NONE:
		break;
	}
	list_del(&ev->link);
	kfree(ev);
	export->event_count--;
	return 0;
}

void elisa_events_free(struct elisa_export *export)
{
	struct event *ev, *next;

	list_for_each_entry_safe(ev, next, &export->events, link)
		kfree(ev);
	INIT_LIST_HEAD(&export->events);
	export->event_count = 0;
}

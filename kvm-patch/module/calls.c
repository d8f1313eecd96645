// SPDX-License-Identifier: GPL-2.0-only
/* The doorbell: calls from VMs, arguments and results in registers. */
#include "elisa.h"

/* rbx, rsi, rdi, r8, r9, r10: in, then out. */
struct call {
	struct kvm_vcpu *vcpu;
	struct elisa_vm *vm;
	u64 nr;
	u64 in[6];
	u64 out[6];
};

static const u8 arg_regs[6] = {
	VCPU_REGS_RBX, VCPU_REGS_RSI, VCPU_REGS_RDI,
	VCPU_REGS_R8, VCPU_REGS_R9, VCPU_REGS_R10,
};

static_assert(4 * sizeof(u64) == ELISA_NAME_MAX);

/* A name: NUL-terminated, printable, in in[0..3]. */
static int get_name(const struct call *c, char name[ELISA_NAME_MAX])
{
	int i;

	memcpy(name, c->in, ELISA_NAME_MAX);
	if (name[ELISA_NAME_MAX - 1])
		return -ELISA_E_INVAL;
	for (i = 0; name[i]; i++)
		if (name[i] < 0x21 || name[i] > 0x7e)
			return -ELISA_E_INVAL;
	return i ? 0 : -ELISA_E_INVAL;
}

static int label_of(struct elisa_export *export, u64 number, u64 out[6])
{
	struct elisa_attachment *att;

	list_for_each_entry(att, &export->attachments, export_link) {
		if (att->number == number) {
			memcpy(out, att->vm->label, ELISA_NAME_MAX);
			return 0;
		}
	}
	return -ELISA_E_NOENT;
}

static int manager_call(struct call *c)
{
	struct elisa_export *export;
	char name[ELISA_NAME_MAX];
	int err;

	switch (c->nr) {
	case ELISA_CALL_EXPORT_CREATE:
		err = get_name(c, name);
		return err ?: elisa_export_create(c->vm, name, c->in[4], &c->out[0], &c->out[1]);
	case ELISA_CALL_EXPORT_ADD:
		return elisa_export_add(c->vm, c->in[0], c->in[1], c->in[2], c->in[3], c->in[4]);
	case ELISA_CALL_EXPORT_PUBLISH:
		return elisa_export_publish(c->vm, c->in[0], c->in[1]);
	case ELISA_CALL_EXPORT_DESTROY:
		return elisa_export_destroy(c->vm, c->in[0]);
	case ELISA_CALL_EXPORT_TAKE_OVER:
		err = get_name(c, name);
		return err ?: elisa_export_take_over(c->vm, name, c->out);
	}

	export = elisa_export_of(c->vm, c->in[0]);
	if (!export)
		return -ELISA_E_NOENT;
	switch (c->nr) {
	case ELISA_CALL_EVENT_POLL:
		return elisa_event_poll(export, c->out);
	case ELISA_CALL_EVENT_REPLY:
		return elisa_event_reply(export, c->in[1], c->in[2], c->in[3]);
	case ELISA_CALL_EVENT_LABEL:
		return label_of(export, c->in[1], c->out);
	case ELISA_CALL_ATTACHMENT_NEXT:
		return elisa_attachment_after(export, c->in[1], c->out);
	}
	return -ELISA_E_BADCALL;
}

static int stats(struct elisa_attachment *att, u64 out[6])
{
	struct elisa_context *ctx;

	out[0] = att->crossings;
	out[1] = att->aborts;
	out[2] = att->off_default_exits;
	out[3] = att->return_traps;
	list_for_each_entry(ctx, &att->export->contexts, export_link) {
		if (ctx->attachment != att)
			continue;
		out[0] += READ_ONCE(ctx->counters[0]);
		out[1] += ctx->aborts;
		out[2] += ctx->off_default_exits;
		out[3] += ctx->return_traps;
	}
	return 0;
}

static int arm(struct call *c, struct elisa_attachment *att)
{
	int err = elisa_arm(c->vcpu, att, c->in[1], &c->out[2]);

	if (err)
		return err;
	c->out[0] = LIST_GATE(att->slot);
	c->out[1] = att->token;
	c->out[3] = LIST_SUB(att->slot);
	return 0;
}

static int abort_info(struct call *c)
{
	struct elisa_vcpu *ev = elisa_kvm_get(c->vcpu);
	const struct elisa_exit *x;

	if (!ev)
		return -ELISA_E_STATE;
	x = &to_armed(ev)->last_abort;
	c->out[0] = x->reason;
	c->out[1] = x->rip;
	c->out[2] = x->qualification;
	c->out[3] = x->vectoring_info ? x->vectoring_info : x->intr_info ? x->intr_info : x->gla;
	return 0;
}

static int guest_call(struct call *c)
{
	struct elisa_attachment *att;
	struct elisa_region *region;
	char name[ELISA_NAME_MAX];
	int err;

	if (c->nr == ELISA_CALL_ATTACH) {
		err = get_name(c, name);
		return err ?: elisa_attach(c->vm, name, c->in[4], &c->out[0]);
	}

	att = elisa_attachment_of(c->vm, c->in[0]);
	if (!att)
		return -ELISA_E_NOENT;
	switch (c->nr) {
	case ELISA_CALL_ATTACH_STATUS:
		c->out[0] = att->state;
		c->out[1] = att->refusal;
		return 0;
	case ELISA_CALL_DETACH:
		elisa_detach(att);
		return 0;
	case ELISA_CALL_STATS:
		return stats(att, c->out);
	case ELISA_CALL_ABORT_INFO:
		return abort_info(c);
	}

	if (att->state == ELISA_STATE_DEAD)
		return -ELISA_E_DEAD;
	switch (c->nr) {
	case ELISA_CALL_ARM:
		return arm(c, att);
	case ELISA_CALL_REGION_CREATE:
		return elisa_region_create(att, c->in[1], &c->out[0]);
	case ELISA_CALL_REGION_ADD:
		return elisa_region_add(att, c->in[1], c->in[2], c->in[3], c->in[4]);
	case ELISA_CALL_REGION_COMMIT:
		return elisa_region_commit(att, c->in[1]);
	case ELISA_CALL_REGION_STATUS:
		region = elisa_region_of(att->export, att->number, c->in[1]);
		if (!region)
			return -ELISA_E_NOENT;
		c->out[0] = region->state;
		c->out[1] = region->refusal;
		return 0;
	case ELISA_CALL_REGION_REMOVE:
		return elisa_region_remove(att, c->in[1]);
	}
	return -ELISA_E_BADCALL;
}

static int dispatch(struct call *c)
{
	u32 role = c->vm ? c->vm->role : ELISA_ROLE_NONE;

	if (c->nr == ELISA_CALL_VERSION) {
		c->out[0] = ELISA_ABI_VERSION;
		c->out[1] = ELISA_MAGIC;
		c->out[2] = role;
		return 0;
	}
	if (c->nr >= ELISA_CALL_EXPORT_CREATE && c->nr <= ELISA_CALL_ATTACHMENT_NEXT) {
		if (role != ELISA_ROLE_MANAGER)
			return -ELISA_E_ROLE;
		/* A VM that runs in another mode looks like one that was reset. */
		return elisa_kvm_long_mode(c->vcpu) ? manager_call(c) : -ELISA_E_MODE;
	}
	if (c->nr >= ELISA_CALL_ATTACH && c->nr <= ELISA_CALL_ABORT_INFO)
		return role == ELISA_ROLE_GUEST ? guest_call(c) : -ELISA_E_ROLE;
	return -ELISA_E_BADCALL;
}

/* What a call costs others: those that change something hold the lock for longer, and
 * most flush every CPU's translations. Refused at first sight it is no more than a question. */
static u32 cost_of(u64 nr, int err)
{
	switch (err) {
	case -ELISA_E_BADCALL:
	case -ELISA_E_ROLE:
	case -ELISA_E_INVAL:
	case -ELISA_E_NOENT:
		return 1;
	}
	switch (nr) {
	case ELISA_CALL_VERSION:
	case ELISA_CALL_EVENT_POLL:
	case ELISA_CALL_EVENT_LABEL:
	case ELISA_CALL_ATTACHMENT_NEXT:
	case ELISA_CALL_ATTACH_STATUS:
	case ELISA_CALL_REGION_STATUS:
	case ELISA_CALL_STATS:
	case ELISA_CALL_ABORT_INFO:
		return 1;
	default:
		return ELISA_COST_CHANGE;
	}
}

bool elisa_doorbell(struct kvm_vcpu *vcpu)
{
	unsigned long *regs = vcpu->arch.regs;
	struct call c = { .vcpu = vcpu, .nr = (u32)regs[VCPU_REGS_RCX] };
	unsigned long wait = 0;
	int i, err;

	if ((u32)regs[VCPU_REGS_RAX] != ELISA_MAGIC)
		return false;
	for (i = 0; i < 6; i++)
		c.in[i] = c.out[i] = regs[arg_regs[i]];

	/* A stranger must not be able to keep others waiting for the lock. */
	if (!elisa_vm_registered(vcpu->kvm)) {
		err = dispatch(&c);
	} else {
		mutex_lock(&elisa_lock);
		c.vm = elisa_vm_of(vcpu->kvm);
		err = dispatch(&c);
		/* A call that adds memory lets go of the lock meanwhile. */
		c.vm = elisa_vm_of(vcpu->kvm);
		if (c.vm) {
			if (err < 0 && -err < ELISA_REFUSALS)
				c.vm->refusals[-err]++;
			wait = elisa_rate_wait(&c.vm->rate, cost_of(c.nr, err));
		}
		elisa_unlock();
	}

	regs[VCPU_REGS_RAX] = (s64)err;
	if (!err)
		for (i = 0; i < 6; i++)
			regs[arg_regs[i]] = c.out[i];
	elisa_wait(wait);
	return true;
}

// SPDX-License-Identifier: GPL-2.0-only
/*
 * Contexts: for each attachment on each vCPU one gate and one sub EPT, and the
 * vCPU's EPTP list. Everything the CPU follows is built here, from the module's own
 * pages; what a guest or a manager chose are immediates and leaf mappings only.
 */
#include <linux/module.h>
#include <linux/slab.h>

#include "elisa.h"
#include "gate.h"

static_assert(GATE_ENTRY_OFF == ELISA_ENTRY_OFF);
static_assert(GATE_EXIT_OFF == ELISA_GATE_EXIT_OFF);
static_assert(GATE_LANDING_OFF == ELISA_LANDING_OFF);
static_assert(GATE_LIST_DELTA == ELISA_LIST_X - ELISA_GATE_X);
static_assert(GATE_COUNTERS_DELTA == ELISA_COUNTERS_X - ELISA_GATE_X);
static_assert(GATE_STACK_DELTA == ELISA_STACK_X + ELISA_STACK_SIZE - ELISA_GATE_X);

static void patch(u8 *copy, const u8 *template, const u8 *at, u64 value, size_t size)
{
	memcpy(copy + (at - template), &value, size);
}

/* Moves a RIP-relative list access on to another entry; insn: opcode, ModRM, disp32. */
static void patch_list_entry(u8 *copy, const u8 *insn, u32 index)
{
	u8 *disp = copy + (insn - elisa_gate_page) + 2;
	s32 d;

	memcpy(&d, disp, sizeof(d));
	d += 8 * index;
	memcpy(disp, &d, sizeof(d));
}

static struct workqueue_struct *release_queue;

static u8 *gate_page(struct elisa_context *ctx, u32 slot, u64 default_eptp)
{
	u8 *page = elisa_page_alloc(&ctx->pages);

	if (!page)
		return NULL;
	memcpy(page, elisa_gate_page, PAGE_SIZE);
	patch_list_entry(page, elisa_gate_open, LIST_SUB(slot));
	patch_list_entry(page, elisa_gate_check, LIST_SUB(slot));
	patch_list_entry(page, elisa_gate_close, LIST_SUB(slot));
	patch(page, elisa_gate_page, elisa_gate_sub_index + 1, LIST_SUB(slot), 4);
	ctx->reopen = page + (elisa_gate_reopen - elisa_gate_page) + 6;
	*ctx->reopen = default_eptp;
	return page;
}

static u8 *sub_page(struct elisa_context *ctx, struct kvm_vcpu *vcpu)
{
	const struct elisa_attachment *att = ctx->attachment;
	u64 call_end = ELISA_GATE_VA + (elisa_sub_call + 4 - elisa_sub_page);
	u8 *page = elisa_page_alloc(&ctx->pages);

	if (!page)
		return NULL;
	memcpy(page, elisa_sub_page, PAGE_SIZE);
	patch(page, elisa_sub_page, elisa_sub_token, att->token, 8);
	patch(page, elisa_sub_page, elisa_sub_arg, att->arg, 8);
	patch(page, elisa_sub_page, elisa_sub_vcpu, vcpu->vcpu_idx, 4);
	patch(page, elisa_sub_page, elisa_sub_call,
	      ELISA_OBJECT_VA + att->export->entry - call_end, 4);
	patch(page, elisa_sub_page, elisa_sub_gate_index, LIST_GATE(att->slot), 4);
	if (!(vcpu->arch.xcr0 & XFEATURE_MASK_YMM))
		memcpy(page + (elisa_sub_scrub - elisa_sub_page), elisa_sub_scrub_sse, 5);
	return page;
}

static int build_gate(struct elisa_context *ctx, struct elisa_armed_vcpu *av)
{
	u64 *pdpt;
	u8 *code;
	int err;

	err = elisa_ept_create(&ctx->pages, ELISA_EPT_GATE, ctx->la57, &ctx->gate_eptp, &pdpt);
	if (err)
		return err;
	code = gate_page(ctx, ctx->attachment->slot, av->hook.default_eptp);
	if (!code)
		return -ELISA_E_NOMEM;
	err = elisa_ept_map(&ctx->pages, pdpt, ELISA_GATE_X, code, EPT_X);
	if (!err)
		err = elisa_ept_map(&ctx->pages, pdpt, ELISA_LIST_X, av->list, EPT_RW);
	return err;
}

static int build_sub(struct elisa_context *ctx, struct kvm_vcpu *vcpu)
{
	struct elisa_export *export = ctx->attachment->export;
	u64 *pdpt, off;
	u8 *stub;
	int err, i;

	err = elisa_ept_create(&ctx->pages, ELISA_EPT_SUB, ctx->la57, &ctx->sub_eptp, &pdpt);
	if (err)
		return err;
	ctx->sub_pdpt = pdpt;
	stub = sub_page(ctx, vcpu);
	ctx->counters = elisa_page_alloc(&ctx->pages);
	if (!stub || !ctx->counters)
		return -ELISA_E_NOMEM;
	err = elisa_ept_map(&ctx->pages, pdpt, ELISA_GATE_X, stub, EPT_X);
	if (!err)
		err = elisa_ept_map(&ctx->pages, pdpt, ELISA_COUNTERS_X, ctx->counters, EPT_RW);
	for (off = 0; !err && off < ELISA_STACK_SIZE; off += PAGE_SIZE) {
		void *page = elisa_page_alloc(&ctx->pages);

		err = page ? elisa_ept_map(&ctx->pages, pdpt, ELISA_STACK_X + off, page, EPT_RW) :
			     -ELISA_E_NOMEM;
	}
	for (i = 0; i < ELISA_SLOT_GIGS; i++)
		if (export->pdpte[i])
			pdpt[i] = export->pdpte[i];
	return err;
}

static void armed_free(struct elisa_armed_vcpu *av)
{
	free_page((unsigned long)av->list);
	elisa_stats.table_pages--;
	kfree(av);
	module_put(THIS_MODULE);
}

static void release_work(struct work_struct *work)
{
	struct elisa_armed_vcpu *av = container_of(work, struct elisa_armed_vcpu, release);

	mutex_lock(&elisa_lock);
	armed_free(av);
	elisa_unlock();
}

/* In the vCPU's thread, interrupts off. */
void elisa_vcpu_release_later(struct elisa_armed_vcpu *av)
{
	elisa_kvm_set(av->vcpu, NULL);
	queue_work(release_queue, &av->release);
}

int elisa_context_init(void)
{
	release_queue = alloc_workqueue("elisa", WQ_UNBOUND, 0);
	return release_queue ? 0 : -ENOMEM;
}

void elisa_context_exit(void)
{
	destroy_workqueue(release_queue);
}

static int armed_create(struct kvm_vcpu *vcpu, struct elisa_armed_vcpu **out)
{
	struct elisa_armed_vcpu *av = kzalloc(sizeof(*av), GFP_KERNEL_ACCOUNT);

	if (!av)
		return -ELISA_E_NOMEM;
	av->list = (u64 *)get_zeroed_page(GFP_KERNEL_ACCOUNT);
	if (!av->list) {
		kfree(av);
		return -ELISA_E_NOMEM;
	}
	elisa_stats.table_pages++;
	/* Until armed_free(): VM_REMOVE does not wait for idle vCPUs. */
	__module_get(THIS_MODULE);
	INIT_WORK(&av->release, release_work);
	raw_spin_lock_init(&av->lock);
	av->vcpu = vcpu;
	av->kept_vector = -1;
	av->hook.default_eptp = elisa_kvm_eptp();
	av->list[LIST_DEFAULT] = av->hook.default_eptp;
	elisa_kvm_set(vcpu, &av->hook);
	*out = av;
	return 0;
}

/* Without any context it is let go at its next entry. */
static void check_unused(struct elisa_armed_vcpu *av)
{
	unsigned int i;

	for (i = 0; i < ELISA_SLOTS; i++)
		if (av->context[i].attachment)
			return;
	WRITE_ONCE(av->unused, true);
}

static int may_arm(struct kvm_vcpu *vcpu)
{
	int err = elisa_kvm_may_arm(vcpu);

	if (!err && elisa_kvm_idt_touches(ELISA_SLOT_BASE, ELISA_PML4_SIZE))
		err = -ELISA_E_IDT;
	return err;
}

static int build(struct elisa_context *ctx, struct elisa_armed_vcpu *av,
		 struct elisa_attachment *att)
{
	int err;

	ctx->av = av;
	ctx->attachment = att;
	ctx->dead = ctx->closed = false;
	ctx->la57 = elisa_kvm_la57(av->vcpu);
	ctx->aborts = ctx->off_default_exits = ctx->return_traps = 0;
	elisa_pages_init(&ctx->pages, att->vm);
	err = build_gate(ctx, av);
	if (!err)
		err = build_sub(ctx, av->vcpu);
	if (err) {
		ctx->attachment = NULL;
		ctx->gate_eptp = ctx->sub_eptp = 0;
		elisa_pages_free(&ctx->pages);
		return err;
	}
	list_add(&ctx->export_link, &att->export->contexts);
	elisa_stats.contexts++;
	WRITE_ONCE(av->list[LIST_SUB(att->slot)], ctx->sub_eptp & ~0xffull);
	WRITE_ONCE(av->list[LIST_GATE(att->slot)], ctx->gate_eptp);
	return 0;
}

/* In the vCPU's thread, so it is in its default context. Arming again is fine: the
 * landing is recorded anew. */
int elisa_arm(struct kvm_vcpu *vcpu, struct elisa_attachment *att, u64 abort_rsp, u64 *vcpu_nr)
{
	struct elisa_vcpu *ev = elisa_kvm_get(vcpu);
	struct elisa_armed_vcpu *av = ev ? to_armed(ev) : NULL;
	struct elisa_landing at = { .rip = ELISA_GATE_VA + ELISA_LANDING_OFF };
	struct elisa_context *ctx;
	int err;

	if (att->state != ELISA_STATE_READY)
		return -ELISA_E_STATE;
	err = may_arm(vcpu);
	if (err)
		return err;
	if (!av) {
		err = armed_create(vcpu, &av);
		if (err)
			return err;
	}
	ctx = &av->context[att->slot];
	if (ctx->attachment && ctx->attachment != att)
		return -ELISA_E_STATE;
	if (ctx->attachment && (ctx->closed || ctx->la57 != elisa_kvm_la57(vcpu))) {
		elisa_invept_all();
		elisa_context_end(av, att->slot);
	}
	if (!ctx->attachment) {
		err = build(ctx, av, att);
		if (err) {
			check_unused(av);
			return err;
		}
		/*
		 * Translations are tagged with the address of the root. KVM flushes when it makes
		 * one, not when it frees one: what is ours now may have been KVM's, and have left
		 * translations of that time behind.
		 */
		elisa_invept_all();
	}

	elisa_kvm_read_landing(vcpu, &at);
	/* Only what a 64-bit user process has: no TF, DF, NT, RF, AC. */
	at.rflags = (at.rflags & X86_EFLAGS_IOPL) | X86_EFLAGS_IF | X86_EFLAGS_FIXED;
	av->landing = at;
	ctx->abort_rsp = abort_rsp;
	av->abort_rate.limit = att->vm->quota.aborts_per_s;
	av->xcr0 = vcpu->arch.xcr0;
	av->hook.stopped = false;
	av->unused = false;
	elisa_kvm_enable_vmfunc(vcpu, __pa(av->list));
	*vcpu_nr = vcpu->vcpu_idx;
	return 0;
}

/*
 * Frees a context that no vCPU can be in any more. The list entries go first: the
 * gate's only stores are low bytes, and nobody is in the gate.
 */
void elisa_context_end(struct elisa_armed_vcpu *av, unsigned int slot)
{
	struct elisa_context *ctx = &av->context[slot];
	struct elisa_attachment *att = ctx->attachment;
	unsigned long flags;

	att->crossings += READ_ONCE(ctx->counters[0]);
	att->aborts += ctx->aborts;
	att->off_default_exits += ctx->off_default_exits;
	att->return_traps += ctx->return_traps;
	elisa_stats.aborts += ctx->aborts;
	elisa_stats.off_default_exits += ctx->off_default_exits;
	elisa_stats.return_traps += ctx->return_traps;
	list_del(&ctx->export_link);
	elisa_stats.contexts--;

	raw_spin_lock_irqsave(&av->lock, flags);
	WRITE_ONCE(ctx->dead, true);
	WRITE_ONCE(av->list[LIST_SUB(slot)], 0);
	WRITE_ONCE(av->list[LIST_GATE(slot)], 0);
	ctx->attachment = NULL;
	ctx->sub_eptp = ctx->gate_eptp = 0;
	raw_spin_unlock_irqrestore(&av->lock, flags);

	elisa_pages_free(&ctx->pages);
	check_unused(av);
}

void elisa_contexts_kill(struct elisa_attachment *att)
{
	struct list_head *contexts = &att->export->contexts;
	struct elisa_context *ctx, *next;
	unsigned long flags;
	bool any = false;

	/* Nobody new gets in ... */
	list_for_each_entry(ctx, contexts, export_link) {
		if (ctx->attachment != att)
			continue;
		raw_spin_lock_irqsave(&ctx->av->lock, flags);
		WRITE_ONCE(ctx->av->list[LIST_GATE(att->slot)], 0);
		WRITE_ONCE(ctx->dead, true);
		raw_spin_unlock_irqrestore(&ctx->av->lock, flags);
		any = true;
	}
	if (!any)
		return;
	/* ... whoever is in comes out before it runs again ... */
	elisa_invept_all();
	/* ... and the pages are nobody's. */
	list_for_each_entry_safe(ctx, next, contexts, export_link)
		if (ctx->attachment == att)
			elisa_context_end(ctx->av, att->slot);
	/* No kick: a vCPU that has seen that it is unused may be gone by now. */
}

/* From kvm-intel: this vCPU ends, before or after its VM did. */
void elisa_context_vcpu_free(struct kvm_vcpu *vcpu, struct elisa_vcpu *ev)
{
	struct elisa_armed_vcpu *av = to_armed(ev);
	unsigned int slot;

	mutex_lock(&elisa_lock);
	elisa_invept_all();
	for (slot = 0; slot < ELISA_SLOTS; slot++)
		if (av->context[slot].attachment)
			elisa_context_end(av, slot);
	elisa_kvm_set(vcpu, NULL);
	armed_free(av);
	elisa_unlock();
}

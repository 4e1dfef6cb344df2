/* SPDX-License-Identifier: ISC */
/*
 * What is settled in a pass goes to the writer as one change; an envelope is
 * forgotten, or waits again, when its receipt came.  A change that the full
 * feed refuses is kept and handed in again; meanwhile nothing new is begun.
 */
#include "delivery/carrier_private.h"

enum {
	BATCH_ARENA = 16 * 1024 * 1024,
	BATCH_ITEMS = 512,
	HAND_IN_AGAIN_MS = 10
};

static struct batch *
carrier_batch(struct carrier *c)
{
	struct batch *b = c->batch;

	if (b != NULL && b->count == b->cap) {
		carrier_flush(c, NULL);
		b = c->batch;
	}
	if (b == NULL) {
		b = mem_alloc(sizeof(*b));
		b->carrier = c;
		b->cap = BATCH_ITEMS;
		b->pending = mem_alloc(b->cap * sizeof(*b->pending));
		b->change.items = mem_alloc(b->cap *
		    sizeof(*b->change.items));
		b->change.arena = arena_new(BATCH_ARENA);
		c->batch = b;
	}
	return b;
}

static void
batch_free(struct batch *b)
{
	arena_free(b->change.arena);
	mem_free(b->change.items);
	mem_free(b->pending);
	mem_free(b);
}

static void
carrier_on_receipt(void *batch, void *change)
{
	struct batch   *b = batch;
	struct carrier *c = b->carrier;
	struct pending *p;
	struct change_item *x;
	size_t		i;

	(void)change;
	c->batches_out--;
	c->items_out -= b->count;
	for (i = 0; i < b->count && b->change.result == RECEIPT_OK; i++) {
		p = &b->pending[i];
		x = &b->change.items[i];
		if (x->found && x->event != NULL)
			ledger_count_event(p->page, x->event);
		if (p->due == NULL)
			continue;
		if (x->kind == CHANGE_HOLD && x->found && !c->stopping)
			carrier_check_hold(c, p->due, x);
		if (p->again && x->found && !c->stopping)
			scheduler_again(c, p->due, p->next);
		else
			scheduler_drop(c, p->due);
	}
	batch_free(b);
	scheduler_on_settled(c);
	carrier_check_idle(c);
}

static void
carrier_hand_in(struct carrier *c, struct batch *b)
{
	b->change.from = c->loop;
	b->change.on_receipt = carrier_on_receipt;
	b->change.ctx = b;
	b->change.count = b->count;
	if (spool_change(c->set.spool, &b->change)) {
		c->batches_out++;
		c->items_out += b->count;
		return;
	}
	/* the feed is full: keep it, and take no new work meanwhile */
	b->next = c->refused;
	c->refused = b;
	timer_set(&c->again, HAND_IN_AGAIN_MS);
}

void
carrier_flush(void *carrier, void *unused)
{
	struct carrier *c = carrier;
	struct batch   *b = c->batch;

	(void)unused;
	if (b == NULL || b->count == 0)
		return;
	c->batch = NULL;
	carrier_hand_in(c, b);
}

static void
carrier_on_again(void *carrier, void *unused)
{
	struct carrier *c = carrier;
	struct batch   *b = c->refused, *next;

	(void)unused;
	c->refused = NULL;
	for (; b != NULL; b = next) {
		next = b->next;
		carrier_hand_in(c, b);
	}
	if (c->refused == NULL && !c->stopping) {
		egress_resume_turns(c);
		timer_set(&c->scheduler.wake, 0);
		carrier_post_wake(c);
	}
}

/* The place for one item; what it says is the caller's. */
struct change_item *
carrier_item(struct carrier *c, struct due *d, bool again, struct wall next,
    struct arena **arena)
{
	struct batch   *b = carrier_batch(c);
	struct pending *p = &b->pending[b->count];

	p->due = d;
	p->page = d == NULL ? NULL : ledger_page(c->set.ledger, d->account);
	p->again = again;
	p->next = next;
	*arena = b->change.arena;
	return &b->change.items[b->count++];
}

static void
carrier_on_pass_end(void *carrier, void *unused)
{
	struct carrier *c = carrier;

	c->begun = 0;
	carrier_flush(c, unused);
}

void
carrier_batch_init(struct carrier *c)
{
	timer_init(&c->again, c->loop, carrier_on_again, c);
	loop_on_pass_end(c->loop, carrier_on_pass_end, c);
}

void
carrier_batch_wipe(struct carrier *c)
{
	struct batch *b;

	timer_clear(&c->again);
	if (c->batch != NULL)
		batch_free(c->batch);
	while ((b = c->refused) != NULL) {
		c->refused = b->next;
		batch_free(b);
	}
}

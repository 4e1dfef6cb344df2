/* SPDX-License-Identifier: ISC */
/*
 * The recipients of the simulator: attempts without a network.  Those of one
 * message are settled together, so that its bounces become one event
 * (simulator.md 2, merging).
 */
#include <string.h>

#include "delivery/carrier_private.h"
#include "delivery/simulator.h"

void
carrier_mark_simulated(struct change_item *item, bool is_simulated)
{
	struct event *ev = (struct event *)(uintptr_t)item->event;

	if (ev != NULL && is_simulated)
		ev->simulator = true;
}

static bool
event_is_alike(const struct event *a, const struct event *b)
{
	return a != NULL && b != NULL && a->type == EVENT_BOUNCE &&
	    b->type == EVENT_BOUNCE && a->bounce_type == b->bounce_type &&
	    a->bounce_subtype == b->bounce_subtype;
}

/* One event for all bounces of a kind: the first item has it. */
static void
carrier_merge_bounces(struct change_item **items, unsigned count,
    struct arena *arena)
{
	struct event_recipient *all;
	struct event	       *first;
	unsigned		i, k;

	for (i = 0; i < count; i++) {
		first = (struct event *)(uintptr_t)items[i]->event;
		if (first == NULL || first->type != EVENT_BOUNCE)
			continue;
		all = arena_alloc(arena, (count - i) * sizeof(*all));
		must(all != NULL);
		all[0] = first->recipients[0];
		first->recipients = all;
		for (k = i + 1; k < count; k++) {
			if (!event_is_alike(first, items[k]->event))
				continue;
			all[first->recipient_count++] =
			    items[k]->event->recipients[0];
			items[k]->event = NULL;
		}
	}
}

/* Not before its time; nobody is told. */
static struct change_item *
carrier_simulate_wait(struct carrier *c, struct due *d, int64_t ms)
{
	struct wall	    next = { loop_wall(c->loop).ms + ms };
	struct change_item *item;
	struct arena	   *arena;

	item = carrier_item(c, d, true, next, &arena);
	memset(item, 0, sizeof(*item));
	item->kind = CHANGE_MOVE;
	item->id = d->id;
	item->n = d->n;
	item->next = next;
	return item;
}

/* On a list, whatever the settings: no attempt. */
static struct change_item *
carrier_simulate_list(struct carrier *c, struct due *d,
    const struct attempt_envelope *en, enum suppression_answer list)
{
	struct recipient_row   row;
	struct outcome_context ctx;
	struct change_item    *item;
	struct arena	      *arena;

	memset(&row, 0, sizeof(row));
	row.id = d->id;
	row.n = d->n;
	row.address = en->address;
	row.attempts = en->attempts;
	carrier_context(c, NULL, d->account, &ctx);
	item = carrier_item(c, d, false, d->due, &arena);
	must(outcome_suppress(&ctx, &row, list, arena, item));
	return item;
}

static struct change_item *
carrier_simulate_one(struct carrier *c, struct due *d, struct attempt *a,
    struct attempt_envelope *en)
{
	struct simulator_ask	ask = { .address = en->address,
		   .attempts = en->attempts,
		   .octets = a->message.head_octets + a->message.body_octets,
		   .needs_tls = a->message.tls_policy == MESSAGE_TLS_REQUIRE,
		   .age_ms = loop_wall(c->loop).ms - a->accepted.ms };
	struct simulator_answer s;
	struct outcome_context	ctx;
	struct outcome		o;
	struct change_item     *item;
	struct arena	       *arena;

	simulator_answer(&ask, &s);
	if (s.list != SUPPRESSION_NONE)
		return carrier_simulate_list(c, d, en, s.list);
	if (s.wait_ms > 0)
		return carrier_simulate_wait(c, d, s.wait_ms);
	en->result = s.result;
	if (s.lifetime_ms > 0 &&
	    a->accepted.ms + s.lifetime_ms < en->expires.ms)
		en->expires.ms = a->accepted.ms + s.lifetime_ms;
	carrier_context(c, NULL, a->message.account, &ctx);
	ctx.retry_ms = s.retry_ms;
	outcome_decide(&ctx, a, en, &o);
	item = carrier_item(c, d, o.verdict == OUTCOME_LATER, o.next, &arena);
	must(outcome_fill(&ctx, a, en, &o, arena, item));
	carrier_log(c, NULL, a, en, &o);
	return item;
}

static void
carrier_simulate_message(struct carrier *c, struct due *dues)
{
	struct change_item **items;
	struct attempt	    *a;
	struct due	    *next;
	unsigned	     i;

	a = carrier_make_attempt(c, &dues);
	if (a == NULL)
		return;
	carrier_flush(c, NULL); /* the items of a message lie together */
	items = mem_alloc(a->count * sizeof(*items));
	for (i = 0; i < a->count; i++, dues = next) {
		next = dues->next;
		dues->next = NULL;
		items[i] = carrier_simulate_one(c, dues, a,
		    &a->envelopes[i]);
		carrier_mark_simulated(items[i], true);
	}
	carrier_merge_bounces(items, a->count, c->batch->change.arena);
	mem_free(items);
	attempt_free(a);
}

/* Takes the dues of the first one's message, in the order of RCPT. */
static struct due *
carrier_take_simulated(struct carrier *c)
{
	struct due    **p = &c->simulated.first, *d, *dues = NULL, **at;
	struct msgid	id = (*p)->id;

	while ((d = *p) != NULL) {
		if (msgid_cmp(&d->id, &id) != 0) {
			p = &d->next;
			continue;
		}
		*p = d->next;
		for (at = &dues; *at != NULL && (*at)->n < d->n;)
			at = &(*at)->next;
		d->next = *at;
		*at = d;
	}
	c->simulated.last = p;
	return dues;
}

static void
carrier_run_simulated(void *carrier, void *unused)
{
	struct carrier *c = carrier;

	(void)unused;
	while (c->simulated.first != NULL)
		carrier_simulate_message(c, carrier_take_simulated(c));
}

void
carrier_simulate(struct carrier *c, struct due *d)
{
	if (c->simulated.first == NULL)
		loop_defer(c->loop, carrier_run_simulated, c);
	due_list_add(&c->simulated, d);
}

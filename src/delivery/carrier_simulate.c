/* SPDX-License-Identifier: ISC */
/*
 * The recipients of the simulator: attempts without a network.  Those of one
 * message are settled together, so that its bounces become one event
 * (simulator.md 2, merging).
 */
#include "delivery/carrier_private.h"
#include "delivery/simulator.h"

/* One event for all bounces of a message: the first item has it. */
static void
carrier_merge_bounces(struct change_item **items, unsigned count,
    struct arena *arena)
{
	struct event_recipient *all;
	struct event	       *first = NULL;
	unsigned		i;

	all = arena_alloc(arena, count * sizeof(*all));
	must(all != NULL);
	for (i = 0; i < count; i++) {
		if (items[i]->event == NULL ||
		    items[i]->event->type != EVENT_BOUNCE)
			continue;
		if (first == NULL) {
			first = (struct event *)(uintptr_t)items[i]->event;
			all[0] = first->recipients[0];
			first->recipients = all;
			continue;
		}
		all[first->recipient_count++] =
		    items[i]->event->recipients[0];
		items[i]->event = NULL;
	}
}

static void
carrier_simulate_message(struct carrier *c, struct due *dues)
{
	struct outcome_context ctx;
	struct change_item   **items;
	struct outcome	       o;
	struct attempt	      *a;
	struct event	      *ev;
	struct arena	      *arena = NULL;
	struct due	      *next;
	unsigned	       i;

	a = carrier_make_attempt(c, &dues);
	if (a == NULL)
		return;
	carrier_flush(c, NULL); /* the items of a message lie together */
	items = mem_alloc(a->count * sizeof(*items));
	for (i = 0; i < a->count; i++, dues = next) {
		next = dues->next;
		dues->next = NULL;
		carrier_context(c, NULL, a->message.account, &ctx);
		simulator_answer(a->envelopes[i].address,
		    &a->envelopes[i].result);
		outcome_decide(&ctx, a, &a->envelopes[i], &o);
		items[i] = carrier_item(c, dues, false, o.next, &arena);
		must(outcome_fill(&ctx, a, &a->envelopes[i], &o, arena,
		    items[i]));
		ev = (struct event *)(uintptr_t)items[i]->event;
		if (ev != NULL)
			ev->simulator = true;
		carrier_log(c, NULL, a, &a->envelopes[i], &o);
	}
	carrier_merge_bounces(items, a->count, arena);
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

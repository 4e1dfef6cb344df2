/* SPDX-License-Identifier: ISC */
/* reporting/outlet.h and routes.h: what is taken, what is left for later, what
 * is dropped, and how far a destination is. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdlib.h>
#include <string.h>

#include "reporting/outlet.h"
#include "reporting/routes.h"

enum { MEGA = 1 << 20 };
static const uint64_t no_limit = UINT64_C(1) << 40;

static struct outlet *
outlet_make(void)
{
	struct config_set  s;
	struct destination d;
	struct outlet	  *x = mem_alloc(sizeof(*x));

	config_set_init(&s, "123456789012", "S", (struct wall){ 1000 });
	destination_init(&d, &s, "d", (struct wall){ 1000 });
	d.types = DESTINATION_ALL_TYPES;
	outlet_init(x, &d);
	return x;
}

static void
outlet_unmake(struct outlet *x)
{
	outlet_wipe(x);
	mem_free(x);
}

static struct hit
hit_of(uint64_t sequence, enum event_type type, uint32_t octets)
{
	struct hit h = { .sequence = sequence, .type = type,
		.octets = octets };

	event_id_make((struct wall){ (int64_t)sequence }, &h.event);
	return h;
}

/* NULL = it is not there. */
static struct entry *
find(struct outlet *x, uint64_t sequence, bool is_replay)
{
	struct entry_key k = { .sequence = sequence, .is_replay = is_replay };

	return outlet_find(x, &k);
}

static enum outlet_answer
hear(struct outlet *x, uint64_t sequence)
{
	struct hit h = hit_of(sequence, EVENT_SEND, 100);

	return outlet_hear(x, &h, no_limit);
}

static void
in_step_it_needs_no_row(void **state)
{
	struct outlet *x = outlet_make();

	(void)state;
	assert_true(outlet_is_idle(x));
	assert_int_equal(outlet_done(x, 7), 7);
	assert_int_equal(hear(x, 3), OUTLET_TAKEN);
	assert_int_equal(hear(x, 3), OUTLET_OLD);
	assert_int_equal(hear(x, 5), OUTLET_TAKEN);
	assert_false(outlet_is_idle(x));
	/* up to the first that waits, whatever the walk has passed */
	assert_int_equal(outlet_done(x, 7), 2);
	outlet_drop(x, find(x, 3, false));
	assert_int_equal(outlet_done(x, 7), 4);
	/* written, not synced */
	x->unsynced = 3;
	assert_int_equal(outlet_done(x, 7), 2);
	x->unsynced = 0;
	outlet_drop(x, find(x, 5, false));
	assert_int_equal(outlet_done(x, 7), 7);
	assert_true(outlet_is_idle(x));
	assert_int_equal(x->octets, 0);
	/* the list is whole again */
	assert_int_equal(hear(x, 9), OUTLET_TAKEN);
	assert_int_equal(x->first->key.sequence, 9);
	outlet_unmake(x);
}

static void
beyond_its_room_it_lags(void **state)
{
	struct outlet *x = outlet_make();
	struct hit     h;
	uint64_t       i;

	(void)state;
	for (i = 1; i <= OUTLET_ENTRIES; i++)
		assert_int_equal(hear(x, i), OUTLET_TAKEN);
	assert_int_equal(outlet_room(x), 0);
	assert_false(x->lags);
	for (; i <= OUTLET_ENTRIES + 3; i++)
		assert_int_equal(hear(x, i), OUTLET_LATER);
	assert_true(x->lags && outlet_is_slow(x));
	assert_int_equal(x->backlog, 3);
	assert_int_equal(x->backlog_octets, 300);
	while (x->first != NULL)
		outlet_drop(x, x->first);
	/* nothing comes from the walk before it has caught up */
	assert_int_equal(hear(x, i), OUTLET_LATER);
	assert_int_equal(outlet_done(x, i), OUTLET_ENTRIES);
	h = hit_of(OUTLET_ENTRIES, EVENT_SEND, 100);
	assert_int_equal(outlet_take(x, &h), OUTLET_OLD);
	for (h.sequence = OUTLET_ENTRIES + 1; h.sequence <= i; h.sequence++)
		assert_int_equal(outlet_take(x, &h), OUTLET_TAKEN);
	assert_int_equal(x->backlog, 0);
	outlet_caught_up(x, i - 1, i);
	assert_false(x->lags);
	assert_int_equal(hear(x, i), OUTLET_OLD);
	assert_int_equal(hear(x, i + 1), OUTLET_TAKEN);
	outlet_unmake(x);
}

static struct hit
hit_by(uint64_t sequence, uint8_t via, bool notification)
{
	struct hit h = hit_of(sequence, EVENT_BOUNCE, 100);

	h.way.via.b[0] = via;
	h.way.form.notification = notification;
	return h;
}

/* A subscription has an event by each of its ways, with room or without, from
 * the walk and when it reads for itself. */
static void
every_way_of_an_event_comes(void **state)
{
	struct outlet *x = outlet_make();
	struct hit     a = hit_by(OUTLET_ENTRIES, 1, false);
	struct hit     b = hit_by(OUTLET_ENTRIES, 2, false);
	struct hit     c = hit_by(OUTLET_ENTRIES, 0, true);
	struct hit     later = hit_by(OUTLET_ENTRIES + 1, 1, false);
	struct entry_key k = { OUTLET_ENTRIES, false, b.way };
	uint64_t	 i;

	(void)state;
	for (i = 1; i < OUTLET_ENTRIES; i++)
		assert_int_equal(hear(x, i), OUTLET_TAKEN);
	assert_int_equal(outlet_hear(x, &a, no_limit), OUTLET_TAKEN);
	assert_int_equal(outlet_room(x), 0);
	assert_int_equal(outlet_hear(x, &b, no_limit), OUTLET_TAKEN);
	assert_int_equal(outlet_hear(x, &c, no_limit), OUTLET_TAKEN);
	assert_int_equal(x->count, OUTLET_ENTRIES + 2);
	assert_int_equal(outlet_hear(x, &later, no_limit), OUTLET_LATER);
	later.way = b.way;
	assert_int_equal(outlet_hear(x, &later, no_limit), OUTLET_LATER);
	assert_int_equal(x->backlog, 2);
	/* one that is told leaves the others */
	outlet_drop(x, outlet_find(x, &k));
	assert_null(outlet_find(x, &k));
	k.way = c.way;
	assert_non_null(outlet_find(x, &k));
	while (x->count > 1)
		outlet_drop(x, x->first);
	assert_int_equal(outlet_done(x, i + 1), OUTLET_ENTRIES - 1);
	outlet_drop(x, x->first);
	assert_int_equal(outlet_take(x, &later), OUTLET_TAKEN);
	later.way = a.way;
	assert_int_equal(outlet_take(x, &later), OUTLET_TAKEN);
	/* once more: it has it */
	assert_int_equal(outlet_take(x, &later), OUTLET_OLD);
	outlet_caught_up(x, i + 1, i + 1);
	/* what it has read for itself the walk brings in vain */
	assert_int_equal(outlet_hear(x, &later, no_limit), OUTLET_OLD);
	outlet_unmake(x);
}

/* A replay moves no cursor back. */
static void
the_past_is_not_counted(void **state)
{
	struct outlet *x = outlet_make();
	struct hit     h = hit_of(2, EVENT_SEND, 100);

	(void)state;
	x->read = 8;
	outlet_repeat(x, &h);
	assert_int_equal(outlet_done(x, 10), 10);
	assert_null(find(x, 2, false));
	assert_non_null(find(x, 2, true));
	outlet_repeat(x, &h); /* asked for twice */
	assert_int_equal(x->count, 1);
	assert_false(outlet_is_idle(x));
	outlet_unmake(x);
}

/* events.outbox_max: a Send at the limit, a Bounce at twice that. */
static void
levels_rise_and_fall(void **state)
{
	struct outlet *x = outlet_make();
	struct hit     h;
	uint64_t       i, n = 0;
	unsigned       kept = 0;

	(void)state;
	for (i = 1; i <= 12; i++) {
		h = hit_of(++n, EVENT_SEND, MEGA);
		kept += outlet_hear(x, &h, 10 * MEGA) != OUTLET_DROPPED;
	}
	assert_int_equal(kept, 10);
	for (i = 1; i <= 12; i++) {
		h = hit_of(++n, EVENT_BOUNCE, MEGA);
		kept += outlet_hear(x, &h, 10 * MEGA) != OUTLET_DROPPED;
	}
	assert_int_equal(kept, 20);
	/* one place is not enough: it would flicker */
	while (x->octets > 10 * MEGA - MEGA / 2)
		outlet_drop(x, x->first);
	h = hit_of(++n, EVENT_SEND, MEGA / 4);
	assert_int_equal(outlet_hear(x, &h, 10 * MEGA), OUTLET_DROPPED);
	while (x->octets > 8 * MEGA)
		outlet_drop(x, x->first);
	h = hit_of(++n, EVENT_SEND, MEGA / 4);
	assert_int_equal(outlet_hear(x, &h, 10 * MEGA), OUTLET_TAKEN);
	outlet_unmake(x);
}

/* What was dropped stays dropped when it is read later. */
static void
dropped_is_not_read(void **state)
{
	struct outlet *x = outlet_make();
	struct hit     h;
	uint64_t       i;

	(void)state;
	for (i = 1; i <= OUTLET_ENTRIES; i++)
		assert_int_equal(hear(x, i), OUTLET_TAKEN);
	h = hit_of(i, EVENT_SEND, MEGA);
	assert_int_equal(outlet_hear(x, &h, MEGA + MEGA / 2), OUTLET_LATER);
	h = hit_of(i + 1, EVENT_SEND, MEGA);
	assert_int_equal(outlet_hear(x, &h, MEGA + MEGA / 2),
	    OUTLET_DROPPED);
	h = hit_of(i + 2, EVENT_BOUNCE, MEGA / 8);
	assert_int_equal(outlet_hear(x, &h, MEGA + MEGA / 2), OUTLET_LATER);
	while (x->first != NULL)
		outlet_drop(x, x->first);
	h = hit_of(i, EVENT_SEND, MEGA);
	assert_int_equal(outlet_take(x, &h), OUTLET_TAKEN);
	h = hit_of(i + 1, EVENT_SEND, MEGA);
	assert_int_equal(outlet_take(x, &h), OUTLET_OLD);
	h = hit_of(i + 2, EVENT_BOUNCE, MEGA / 8);
	assert_int_equal(outlet_take(x, &h), OUTLET_TAKEN);
	outlet_unmake(x);
}

static void
levels_are_bounded(void **state)
{
	struct outlet *x = outlet_make();
	struct hit     h;
	uint64_t       n = 0;
	unsigned       i;

	(void)state;
	x->lags = true; /* it reads nothing: no level is forgotten */
	for (i = 0; i < 4 * OUTLET_LEVELS; i++) {
		x->backlog_octets = 0;
		h = hit_of(++n, EVENT_SEND, 100);
		(void)outlet_hear(x, &h, 1000);
		x->backlog_octets = 5000;
		h = hit_of(++n, EVENT_SEND, 100);
		assert_int_equal(outlet_hear(x, &h, 1000), OUTLET_DROPPED);
		assert_true(x->level_count <= OUTLET_LEVELS);
	}
	outlet_unmake(x);
}

static void
routes_by_set(void **state)
{
	struct routes	       *r = routes_new();
	struct config_set	s[3];
	struct destination	d;
	const struct destination *found;
	size_t			n, i;

	(void)state;
	for (i = 0; i < 3; i++)
		config_set_init(&s[i], "123456789012", "S",
		    (struct wall){ 1 });
	for (i = 0; i < 40; i++) {
		destination_init(&d, &s[i % 2], i % 2 == 0 ? "a" : "b",
		    (struct wall){ 1 });
		d.types = 1u << EVENT_BOUNCE;
		memset(d.webhook.key, 1, sizeof(d.webhook.key));
		routes_add(r, &d);
	}
	routes_seal(r);
	assert_true(routes_want(r, EVENT_BOUNCE));
	assert_false(routes_want(r, EVENT_SEND));
	found = routes_of(r, &s[1].id, &n);
	assert_int_equal(n, 20);
	for (i = 0; i < n; i++) {
		assert_string_equal(found[i].name, "b");
		assert_int_equal(found[i].webhook.key[0], 0);
	}
	assert_null(routes_of(r, &s[2].id, &n));
	assert_int_equal(n, 0);
	routes_unref(routes_ref(r));
	routes_unref(r);
}

/* Found by name, for those who may publish; subscriptions ask for no type. */
static void
routes_by_topic(void **state)
{
	struct routes	  *r = routes_new();
	struct topic	   x[3];
	struct destination d;
	struct topic_ref   none = { "123456789012", "C" };
	size_t		   n;
	unsigned	   i;

	(void)state;
	topic_init(&x[0], "888888888888", "A", (struct wall){ 1 });
	topic_init(&x[1], "123456789012", "B", (struct wall){ 1 });
	topic_init(&x[2], "123456789012", "A", (struct wall){ 1 });
	assert_true(topic_add_publisher(&x[1], "444455556666"));
	for (i = 0; i < 3; i++)
		routes_add_topic(r, &x[i]);
	for (i = 0; i < 5; i++) {
		topic_subscription_init(&x[i < 3 ? 1 : 2], (struct wall){ 1 },
		    &d);
		routes_add(r, &d);
	}
	routes_seal(r);
	assert_false(routes_want(r, EVENT_BOUNCE));
	assert_false(routes_notify(r, EVENT_BOUNCE));
	assert_non_null(routes_of_topic(r, &x[1].ref, "123456789012", &n));
	assert_int_equal(n, 3);
	assert_non_null(routes_of_topic(r, &x[1].ref, "444455556666", &n));
	assert_int_equal(n, 3);
	assert_null(routes_of_topic(r, &x[1].ref, "888888888888", &n));
	assert_int_equal(n, 0);
	assert_non_null(routes_of_topic(r, &x[2].ref, "123456789012", &n));
	assert_int_equal(n, 2);
	assert_null(routes_of_topic(r, &x[0].ref, "888888888888", &n));
	assert_null(routes_of_topic(r, &none, "123456789012", &n));
	routes_unref(r);
	/* identities that have topics ask for three types */
	r = routes_new();
	routes_set_notifies(r);
	topic_subscription_init(&x[1], (struct wall){ 1 }, &d);
	routes_add(r, &d);
	routes_seal(r);
	assert_true(routes_want(r, EVENT_DELIVERY));
	assert_false(routes_want(r, EVENT_SEND));
	routes_unref(r);
}

/* event purge: what waits and what is still to be read go, up to the walk. */
static void
purged_it_keeps_pace(void **state)
{
	struct outlet *x = outlet_make();
	struct hit     h;
	uint64_t       i;

	(void)state;
	for (i = 1; i <= OUTLET_ENTRIES + 20; i++)
		(void)hear(x, i);
	assert_true(x->lags);
	assert_int_equal(outlet_purge(x, 300), OUTLET_ENTRIES + 20);
	assert_false(x->lags);
	assert_int_equal(x->octets, 0);
	assert_int_equal(outlet_done(x, 300), 300);
	assert_true(outlet_is_idle(x));
	/* a reading that was under way brings nothing of it back */
	h = hit_of(OUTLET_ENTRIES + 10, EVENT_SEND, 100);
	assert_int_equal(outlet_take(x, &h), OUTLET_OLD);
	assert_int_equal(hear(x, 301), OUTLET_TAKEN);
	/* a replay goes as well */
	x->replay = 5;
	h = hit_of(5, EVENT_SEND, 100);
	outlet_repeat(x, &h);
	assert_int_equal(outlet_purge(x, 301), 2);
	assert_true(outlet_is_idle(x));
	outlet_unmake(x);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(in_step_it_needs_no_row),
		cmocka_unit_test(beyond_its_room_it_lags),
		cmocka_unit_test(every_way_of_an_event_comes),
		cmocka_unit_test(the_past_is_not_counted),
		cmocka_unit_test(levels_rise_and_fall),
		cmocka_unit_test(dropped_is_not_read),
		cmocka_unit_test(levels_are_bounded),
		cmocka_unit_test(purged_it_keeps_pace),
		cmocka_unit_test(routes_by_set),
		cmocka_unit_test(routes_by_topic),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

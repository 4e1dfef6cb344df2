/* SPDX-License-Identifier: ISC */
/* Changes of what is in the spool: deferred, held, moved, settled. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_bed.h"

struct due_list {
	size_t	       n;
	struct arrival a[16];
	uint8_t	       held_by[16];
	struct wall    expires[16];
};

static bool
due_list_add(void *arg, const struct arrival *a)
{
	struct due_list *l = arg;

	assert_true(l->n < 16);
	l->a[l->n++] = *a;
	return true;
}

static bool
held_list_add(void *arg, const struct arrival *a, uint8_t held_by,
    struct wall expires)
{
	struct due_list *l = arg;

	l->held_by[l->n] = held_by;
	l->expires[l->n] = expires;
	return due_list_add(arg, a);
}

static struct due_list
due_rows(struct bed *b)
{
	struct due_list l;
	struct err	e;

	memset(&l, 0, sizeof(l));
	assert_true(spool_scan_due(b->spool, NULL, (struct wall){ INT64_MAX },
	    16, due_list_add, &l, &e) >= 0);
	return l;
}

static struct due_list
held_rows(struct bed *b)
{
	struct due_list l;
	struct err	e;

	memset(&l, 0, sizeof(l));
	assert_true(spool_scan_held(b->spool, NULL, 16, held_list_add, &l,
	    &e) >= 0);
	return l;
}

static struct recipient_row
recipient(struct bed *b, const struct message *m, unsigned n,
    struct arena *a)
{
	struct recipient_row r;
	struct err	     e;

	assert_int_equal(spool_read_recipient(b->spool, &m->id, n, a, &r, &e),
	    1);
	return r;
}

static void
defer_keeps_what_the_attempt_left(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(1, 100, 0);
	struct arena	    *a = arena_new(65536);
	struct event	     ev = { .type = EVENT_DELIVERY_DELAY };
	struct change_item   item;
	struct recipient_row r;
	struct due_list	     l;
	char		     reply[1000];

	memset(reply, 'r', sizeof(reply));
	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	memset(&item, 0, sizeof(item));
	ev.at.ms = m->accepted.ms + 50;
	item.kind = CHANGE_DEFER;
	item.id = m->id;
	item.n = 1;
	item.attempts = 1;
	item.next.ms = m->accepted.ms + 300000;
	item.last_reply = (struct bytes){ reply, sizeof(reply) };
	item.last_source_ip = BYTES("203.0.113.10");
	item.last_stage = BYTES("rcpt");
	item.flags = 5;
	item.event = &ev;
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_true(item.found);
	r = recipient(b, m, 1, a);
	assert_int_equal(r.state, ENVELOPE_DEFERRED);
	assert_int_equal(r.attempts, 1);
	assert_int_equal(r.last_reply.n, 512);
	bed_assert_text(r.last_source_ip, "203.0.113.10");
	assert_int_equal(r.flags, 5);
	assert_true(r.first_attempt.ms == ev.at.ms);
	assert_true(r.expires.ms == m->expires.ms);
	l = due_rows(b);
	assert_int_equal(l.n, 1);
	assert_true(l.a[0].due.ms == item.next.ms);
	assert_int_equal(bed_events_after(b, 1).type[0], EVENT_DELIVERY_DELAY);
	assert_true(bed_figures(b).deferred == 1);
	/* the lifetime may only become shorter */
	item.expires.ms = m->expires.ms + 1;
	bed_change(b, &item, 1);
	assert_true(recipient(b, m, 1, a).expires.ms == m->expires.ms);
	item.expires.ms = m->accepted.ms + 1000000;
	bed_change(b, &item, 1);
	r = recipient(b, m, 1, a);
	assert_true(r.expires.ms == item.expires.ms);
	assert_true(bed_figures(b).deferred == 1);
	arena_free(a);
	message_free(m);
}

static void
change_held(struct bed *b, enum change_kind kind, const struct message *m,
    uint8_t held_by)
{
	struct change_item item;

	memset(&item, 0, sizeof(item));
	item.kind = kind;
	item.id = m->id;
	item.n = 1;
	item.held_by = held_by;
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_true(item.found);
}

/* delivery.md 2.2: HELD while any cause is there, then READY at once */
static void
holds_add_up(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(1, 100, 0);
	struct arena	    *a = arena_new(65536);
	struct wall	     later = { m->accepted.ms + 3600000 };
	struct recipient_row r;
	struct due_list	     l;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	assert_true(bed_change_one(b, CHANGE_DEFER, m, 1, later));
	change_held(b, CHANGE_HOLD, m, HELD_ACCOUNT);
	change_held(b, CHANGE_HOLD, m, HELD_OPERATOR);
	change_held(b, CHANGE_HOLD, m, HELD_OPERATOR);
	assert_int_equal(due_rows(b).n, 0);
	l = held_rows(b);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.held_by[0], HELD_ACCOUNT | HELD_OPERATOR);
	assert_true(l.expires[0].ms == m->expires.ms);
	assert_string_equal(l.a[0].domain, "d0.example");
	assert_true(bed_figures(b).held == 1);
	assert_true(bed_figures(b).deferred == 0);
	/* a running attempt may end meanwhile; retry has no effect */
	assert_true(bed_change_one(b, CHANGE_DEFER, m, 1, later));
	assert_true(bed_change_one(b, CHANGE_RETRY, m, 1, later));
	assert_int_equal(held_rows(b).n, 1);
	change_held(b, CHANGE_RELEASE, m, HELD_ACCOUNT);
	assert_int_equal(held_rows(b).held_by[0], HELD_OPERATOR);
	bed_drain(b);
	bed_forget_arrivals(b);
	change_held(b, CHANGE_RELEASE, m, HELD_OPERATOR);
	bed_drain(b);
	assert_int_equal(held_rows(b).n, 0);
	l = due_rows(b);
	assert_int_equal(l.n, 1);
	assert_true(l.a[0].due.ms < later.ms); /* that time is forgotten */
	r = recipient(b, m, 1, a);
	assert_int_equal(r.state, ENVELOPE_DEFERRED);
	assert_int_equal(r.held_by, 0);
	/* it has become due at once: that is an arrival */
	assert_int_equal(b->arrival_batches, 1);
	assert_true(b->arrivals[0]->v[0].due.ms == l.a[0].due.ms);
	arena_free(a);
	message_free(m);
}

static void
move_and_retry_change_the_time_only(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(1, 100, 0);
	struct arena	    *a = arena_new(65536);
	struct wall	     later = { m->accepted.ms + 3600000 };
	struct recipient_row r;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	bed_drain(b);
	bed_forget_arrivals(b);
	assert_true(bed_change_one(b, CHANGE_MOVE, m, 1, later));
	bed_drain(b);
	r = recipient(b, m, 1, a);
	assert_int_equal(r.state, ENVELOPE_READY);
	assert_int_equal(r.attempts, 0);
	assert_true(due_rows(b).a[0].due.ms == later.ms);
	assert_int_equal(b->arrival_batches, 0);
	assert_true(bed_change_one(b, CHANGE_RETRY, m, 1, later));
	bed_drain(b);
	assert_true(due_rows(b).a[0].due.ms < later.ms);
	assert_int_equal(due_rows(b).n, 1);
	assert_int_equal(b->arrival_batches, 1);
	arena_free(a);
	message_free(m);
}

static void
the_last_envelope_takes_the_content(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(3, 20000, 0);
	struct event	     ev = { .type = EVENT_DELIVERY };
	struct change_item   items[3];
	struct spool_figures f;
	struct arena	    *a = arena_new(65536);
	struct mail_row	     r;
	struct err	     e;
	unsigned	     i;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	memset(items, 0, sizeof(items));
	for (i = 0; i < 3; i++) {
		items[i].kind = CHANGE_DONE;
		items[i].id = m->id;
		items[i].n = i + 1;
		items[i].event = &ev;
	}
	assert_int_equal(bed_change(b, items, 1), RECEIPT_OK);
	f = bed_figures(b);
	assert_true(f.messages == 1 && f.recipients == 2);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 1 + 5);
	/* the first one again: not there, and no second event */
	assert_int_equal(bed_change(b, items, 2), RECEIPT_OK);
	assert_false(items[0].found);
	assert_true(items[1].found);
	assert_true(bed_figures(b).messages == 1);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 1 + 5);
	assert_int_equal(bed_change(b, items + 2, 1), RECEIPT_OK);
	assert_true(items[2].found);
	assert_int_equal(bed_events_after(b, 0).n, 4);
	f = bed_figures(b);
	assert_true(f.messages == 0 && f.recipients == 0 && f.bytes == 0);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 0);
	assert_int_equal(bed_rows(b, SPOOL_MESSAGE), 0);
	assert_int_equal(bed_rows(b, SPOOL_RECIPIENT), 0);
	assert_int_equal(bed_rows(b, SPOOL_DUE), 0);
	/* its record stays */
	assert_int_equal(spool_read_mail(b->spool, &m->id, a, &r, &e), 1);
	bed_assert_text(r.subject, "Hello  there");
	arena_free(a);
	message_free(m);
}

static void
held_ones_settle_too(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 100, 0);

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	change_held(b, CHANGE_HOLD, m, HELD_CONFIG_SET);
	assert_true(bed_change_one(b, CHANGE_DONE, m, 1, m->accepted));
	assert_int_equal(bed_rows(b, SPOOL_HELD), 0);
	assert_true(bed_figures(b).held == 0);
	assert_true(bed_figures(b).messages == 0);
	message_free(m);
}

/* What a recipient's Delivery leaves behind: 1, 0 */
static int
departure_after(struct bed *b, bool has_set, enum event_type type,
    const char *ip, const char *tls, struct departure *out)
{
	struct message	  *m = bed_message(1, 100, 0);
	struct event	   ev = { .type = type,
		     .outgoing_ip = bytes_of(ip),
		     .outgoing_tls = bytes_of(tls) };
	struct change_item item = { .kind = CHANGE_DONE, .id = m->id, .n = 1,
		     .event = &ev };
	struct err	   e;
	int		   rc;

	if (has_set)
		m->config_set_id.b[0] = 1;
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	assert_int_equal(spool_read_departure(b->spool, &m->id, 1, out, &e),
	    0);
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_true(item.found);
	rc = spool_read_departure(b->spool, &m->id, 1, out, &e);
	assert_int_equal(spool_read_departure(b->spool, &m->id, 2, out, &e),
	    0);
	message_free(m);
	return rc;
}

static void
a_delivery_leaves_its_way(void **state)
{
	struct bed	*b = *state;
	struct departure d;

	bed_start(b);
	assert_int_equal(departure_after(b, true, EVENT_DELIVERY,
	    "203.0.113.10", "TLSv1.3", &d), 1);
	assert_string_equal(d.ip, "203.0.113.10");
	assert_string_equal(d.tls, "TLSv1.3");
	assert_int_equal(departure_after(b, true, EVENT_DELIVERY,
	    "2001:db8::5", "", &d), 1);
	assert_string_equal(d.ip, "2001:db8::5");
	assert_string_equal(d.tls, "");
	/* no record shows it */
	assert_int_equal(departure_after(b, false, EVENT_DELIVERY,
	    "203.0.113.10", "TLSv1.3", &d), 0);
	assert_int_equal(departure_after(b, true, EVENT_BOUNCE,
	    "203.0.113.10", "TLSv1.3", &d), 0);
	/* the simulator has none */
	assert_int_equal(departure_after(b, true, EVENT_DELIVERY, "", "",
	    &d), 0);
	assert_int_equal(bed_rows(b, SPOOL_MARK), 2);
}

static void
events_without_envelope(void **state)
{
	struct bed	  *b = *state;
	struct event	   ev = { .type = EVENT_COMPLAINT };
	struct change_item item;

	memset(&item, 0, sizeof(item));
	item.kind = CHANGE_EVENT;
	item.event = &ev;
	bed_start(b);
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_int_equal(bed_events_after(b, 0).type[0], EVENT_COMPLAINT);
	item.kind = CHANGE_DONE;
	assert_int_equal(bed_change(b, &item, 1), RECEIPT_OK);
	assert_false(item.found);
	assert_int_equal(bed_events_after(b, 0).n, 1);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(defer_keeps_what_the_attempt_left),
		test(holds_add_up),
		test(move_and_retry_change_the_time_only),
		test(the_last_envelope_takes_the_content),
		test(held_ones_settle_too),
		test(a_delivery_leaves_its_way),
		test(events_without_envelope),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

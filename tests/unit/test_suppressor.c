/* SPDX-License-Identifier: ISC */
/* suppression.md 2.3 and 4: what comes onto the lists by what happened. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "registry/suppression.h"

static const struct rw_spec to_two = { .header = "Subject: test\r\n",
	.forward = "", .rcpts = { "jane@sink.example", "joe@sink.example",
	"sue@sink.example" } };

static void
put_account(struct db_txn *t, void *reasons)
{
	static const char *const none[] = { NULL };
	struct account		 a;
	struct err		 e;

	rw_put_account(t, (void *)(uintptr_t)none);
	assert_int_equal(account_get(t, rw_account, &a, &e), 1);
	a.suppress_bounce = (*(unsigned *)reasons & SUPPRESS_BOUNCE) != 0;
	a.suppress_complaint =
	    (*(unsigned *)reasons & SUPPRESS_COMPLAINT) != 0;
	assert_int_equal(account_put(t, &a, &e), 0);
}

/* An account with these reasons, and a message of it. */
static struct msgid
begin(struct rw *w, unsigned reasons)
{
	rw_begin(w);
	rw_write(w, put_account, &reasons);
	return rw_submit(w, &to_two);
}

/* -- what the lists hold ------------------------------------------------ */

static unsigned
listed(struct rw *w, const char *address, struct suppression *s)
{
	struct err     e;
	struct db_txn *t = book_read(w->book, &e);
	int found = suppression_get(t, rw_account, bytes_of(address), s, &e);

	book_end(t);
	assert_true(found >= 0);
	return found == 1 ? s->reasons : 0;
}

static unsigned
listed_globally(struct rw *w, const char *address)
{
	struct global_suppression g;
	struct err		  e;
	struct db_txn		 *t = book_read(w->book, &e);
	int found = global_suppression_get(t, bytes_of(address), &g, &e);

	book_end(t);
	assert_true(found >= 0);
	return found == 1 ? g.count : 0;
}

/* How long ago it was, as a report says. */
static int64_t age_ms;

/* An event without change of an envelope, with these recipients. */
static void
happens(struct rw *w, struct event *ev, const struct msgid *id,
    const char *const *to)
{
	struct event_recipient r[3];
	struct change_item     item = { .kind = CHANGE_EVENT };

	memset(r, 0, sizeof(r));
	ev->recipient_count = 0;
	while (to[ev->recipient_count] != NULL) {
		r[ev->recipient_count].address =
		    bytes_of(to[ev->recipient_count]);
		ev->recipient_count++;
	}
	ev->recipients = r;
	ev->at.ms = clock_wall().ms - age_ms;
	ev->message = *id;
	event_id_make(clock_wall(), &ev->id);
	item.id = *id;
	item.event = ev;
	rw_change(w, &item, 1);
}

static const char *const jane[] = { "jane@sink.example", NULL };
static const char *const both[] = { "jane@sink.example", "joe@sink.example",
	NULL };

/* suppression#7 on this level, suppression#4 in part */
static void
a_hard_bounce_adds_to_both(void **state)
{
	struct rw	  *w = *state;
	struct suppression s;
	struct msgid	   id = begin(w, SUPPRESS_ALL);
	char		   text[MSGID_TEXT + 1];

	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(listed(w, "JANE@sink.example", &s), SUPPRESS_BOUNCE);
	assert_int_equal(s.source, SUPPRESSION_AUTO);
	assert_string_equal(s.message_id, msgid_to_text(&id, "0100", 0, text));
	assert_string_equal(s.feedback_id, "fb-1");
	assert_int_equal(s.updated.ms, 1714564800000);
	assert_int_equal(listed_globally(w, "jane@sink.example"), 1);
	assert_int_equal(listed(w, "joe@sink.example", &s), 0);
}

/* Whatever time a report names, the entry has that of the change: two days in
 * the past, the global one would be over before it began. */
static void
a_report_is_late(void **state)
{
	struct event_recipient r = { .address = BYTES("jane@sink.example"),
		.action = BYTES("failed"), .status = BYTES("5.1.1") };
	struct rw	      *w = *state;
	struct suppression     s;
	struct event	       ev;
	struct msgid	       id = begin(w, SUPPRESS_ALL);

	rw_fill_bounce(&ev, &id, &r, 1);
	age_ms = 2 * INT64_C(86400000);
	happens(w, &ev, &id, jane);
	age_ms = 0;
	assert_int_equal(listed(w, "jane@sink.example", &s), SUPPRESS_BOUNCE);
	assert_int_equal(s.updated.ms, clock_wall().ms);
	assert_int_equal(listed_globally(w, "jane@sink.example"), 1);
}

static void
an_account_without_reasons_has_no_list(void **state)
{
	struct rw	  *w = *state;
	struct suppression s;
	struct msgid	   id = begin(w, 0);

	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(listed(w, "jane@sink.example", &s), 0);
	/* whatever the account's own settings */
	assert_int_equal(listed_globally(w, "jane@sink.example"), 1);
}

/* suppression#8, 9 on this level, and the rows of 2.3 that add nothing */
static void
what_is_not_hard_adds_nothing(void **state)
{
	static const struct {
		enum event_type	    type;
		enum bounce_type    bounce;
		enum bounce_subtype sub;
		bool		    simulator;
	} rows[] = {
		{ EVENT_BOUNCE, BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL, false },
		{ EVENT_BOUNCE, BOUNCE_TRANSIENT, BOUNCE_SUB_MAILBOX_FULL,
		    false },
		{ EVENT_BOUNCE, BOUNCE_UNDETERMINED, BOUNCE_SUB_UNDETERMINED,
		    false },
		{ EVENT_BOUNCE, BOUNCE_PERMANENT, BOUNCE_SUB_SUPPRESSED,
		    false },
		{ EVENT_BOUNCE, BOUNCE_PERMANENT,
		    BOUNCE_SUB_ON_ACCOUNT_LIST, false },
		{ EVENT_BOUNCE, BOUNCE_PERMANENT, BOUNCE_SUB_NO_EMAIL,
		    false },
		{ EVENT_BOUNCE, BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL, true },
		{ EVENT_COMPLAINT, 0, 0, true },
		{ EVENT_DELIVERY, 0, 0, false },
		{ EVENT_DELIVERY_DELAY, 0, 0, false },
	};
	struct rw	  *w = *state;
	struct suppression s;
	struct msgid	   id = begin(w, SUPPRESS_ALL);
	struct event	   ev;
	size_t		   i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&ev, 0, sizeof(ev));
		ev.type = rows[i].type;
		ev.bounce_type = rows[i].bounce;
		ev.bounce_subtype = rows[i].sub;
		ev.simulator = rows[i].simulator;
		happens(w, &ev, &id, jane);
		if (listed(w, "jane@sink.example", &s) != 0 ||
		    listed_globally(w, "jane@sink.example") != 0)
			fail_msg("row %zu", i);
	}
}

static void
remove_both(struct db_txn *t, void *unused)
{
	struct err e;

	(void)unused;
	(void)suppression_remove(t, rw_account, bytes_of(both[0]), &e);
	(void)suppression_remove(t, rw_account, bytes_of(both[1]), &e);
}

/* bounces-and-feedback.md 9.4 */
static void
complaints_that_count(void **state)
{
	static const struct {
		const char	  *feedback;
		const char *const *to;
		bool		   all, on_list;
		unsigned	   jane, joe;
	} rows[] = {
		{ "abuse", jane, false, false, SUPPRESS_COMPLAINT, 0 },
		{ "FRAUD", jane, false, false, SUPPRESS_COMPLAINT, 0 },
		{ "", jane, false, false, SUPPRESS_COMPLAINT, 0 },
		{ "not-spam", jane, false, false, 0, 0 },
		{ "virus", jane, false, false, 0, 0 },
		{ "Auth-Failure", jane, false, false, 0, 0 },
		{ "abuse", both, false, false, 0, 0 },
		{ "abuse", both, true, false, SUPPRESS_COMPLAINT,
		    SUPPRESS_COMPLAINT },
		{ "", jane, false, true, 0, 0 },
	};
	struct rw	  *w = *state;
	struct suppression s;
	struct msgid	   id = begin(w, SUPPRESS_ALL);
	struct event	   ev;
	size_t		   i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&ev, 0, sizeof(ev));
		ev.type = EVENT_COMPLAINT;
		ev.feedback_type = bytes_of(rows[i].feedback);
		ev.on_account_list = rows[i].on_list;
		w->conf->suppression.complaint_candidates = rows[i].all ?
		    CONF_CANDIDATES_ALL : CONF_CANDIDATES_ONE;
		happens(w, &ev, &id, rows[i].to);
		if (listed(w, both[0], &s) != rows[i].jane ||
		    listed(w, both[1], &s) != rows[i].joe)
			fail_msg("row %zu", i);
		rw_write(w, remove_both, NULL);
	}
	assert_int_equal(listed_globally(w, both[0]), 0);
}

/* section 4: it counts from 0 again */
static void
a_delivery_ends_what_is_remembered(void **state)
{
	struct rw   *w = *state;
	struct msgid id = begin(w, 0);
	struct event ev = { .type = EVENT_DELIVERY };

	rw_bounce(w, &id, 1, jane[0]);
	assert_int_equal(listed_globally(w, jane[0]), 1);
	happens(w, &ev, &id, jane);
	assert_int_equal(listed_globally(w, jane[0]), 0);
}

static void
the_global_list_can_be_off(void **state)
{
	struct rw	  *w = *state;
	struct suppression s;
	struct msgid	   id;

	w->conf->suppression.global.enabled = false;
	id = begin(w, SUPPRESS_ALL);
	rw_bounce(w, &id, 1, jane[0]);
	assert_int_equal(listed(w, jane[0], &s), SUPPRESS_BOUNCE);
	assert_int_equal(listed_globally(w, jane[0]), 0);
}

/* -- crashes ------------------------------------------------------------ */

/* The bounce is on disk, the entry is not: architecture.md 4 */
static void
a_kill_between_event_and_entry(void **state)
{
	struct rw	  *w = *state;
	struct suppression s;
	struct msgid	   id = begin(w, SUPPRESS_ALL);

	rw_crash(w);
	rw_start(w); /* nobody reads the events */
	rw_start_spool(w);
	rw_bounce(w, &id, 1, jane[0]);
	assert_int_equal(listed(w, jane[0], &s), 0);
	rw_crash(w);
	rw_begin(w);
	assert_int_equal(listed(w, jane[0], &s), SUPPRESS_BOUNCE);
	assert_int_equal(listed_globally(w, jane[0]), 1);
	/* the cursor is moved later: it is brought again */
	rw_crash(w);
	rw_begin(w);
	assert_int_equal(listed_globally(w, jane[0]), 1);
	rw_pass(w, 5000);
	assert_true(spool_cursor(w->spool, "suppression") > 0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(fn) cmocka_unit_test_setup_teardown(fn, rw_make, rw_unmake)
		TEST(a_hard_bounce_adds_to_both),
		TEST(a_report_is_late),
		TEST(an_account_without_reasons_has_no_list),
		TEST(what_is_not_hard_adds_nothing),
		TEST(complaints_that_count),
		TEST(a_delivery_ends_what_is_remembered),
		TEST(the_global_list_can_be_off),
		TEST(a_kill_between_event_and_entry),
	};

	return cmocka_run_group_tests_name("suppressor", tests, NULL, NULL);
}

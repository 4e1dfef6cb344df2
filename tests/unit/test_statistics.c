/* SPDX-License-Identifier: ISC */
/* statistics.md 1 and 2: which event counts for what, once, also across a
 * crash; and the rows that hold it. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "reporting/rates.h"
#include "store/statistic.h"

static const struct rw_spec to_two = { .header = "Subject: test\r\n",
	.forward = "", .identity = "example.com",
	.rcpts = { "jane@sink.example", "joe@sink.example" } };
static const struct rw_spec to_one = { .header = "Subject: test\r\n",
	.forward = "", .identity = "example.com",
	.rcpts = { "jane@sink.example" } };

static void
begin(struct rw *w)
{
	static const char *const none[] = { NULL };

	rw_begin(w);
	rw_write(w, rw_put_account, (void *)(uintptr_t)none);
}

static uint64_t
counted_in(struct rw *w, enum statistic_series series,
    enum statistic_scope scope, const char *name, enum statistic_counter c)
{
	struct statistic_question q;
	struct statistic	  v;
	struct err		  e;

	memset(&q, 0, sizeof(q));
	q.key.series = series;
	q.key.scope = scope;
	q.key.name = bytes_of(name);
	memcpy(q.key.account, rw_account, sizeof(q.key.account));
	assert_int_equal(statistic_read(w->spool, &q, &v, &e), 0);
	return statistic_get(&v, c);
}

static uint64_t
counted(struct rw *w, enum statistic_counter c)
{
	return counted_in(w, STATISTIC_QUARTER, STATISTIC_ACCOUNT, "", c);
}

static void
deliver(struct rw *w, const struct msgid *id, unsigned n, const char *to)
{
	struct event_recipient r = { .address = bytes_of(to) };
	struct event	       ev;

	memset(&ev, 0, sizeof(ev));
	ev.type = EVENT_DELIVERY;
	ev.at = clock_wall();
	ev.message = *id;
	ev.recipients = &r;
	ev.recipient_count = 1;
	ev.attempts = 1;
	ev.outgoing_ip = BYTES("198.51.100.7");
	ev.remote_host = BYTES("mx.sink.example");
	event_id_make(clock_wall(), &ev.id);
	rw_settle_envelope(w, id, n, &ev);
}

/* What a report says, after the envelope has gone. */
static void
report(struct rw *w, const struct msgid *id, enum event_type type,
    const char *kind, const char *to)
{
	struct event_recipient r = { .address = bytes_of(to),
		.action = BYTES("failed"), .status = BYTES("5.1.1") };
	struct change_item     item = { .kind = CHANGE_EVENT };
	struct event	       ev;

	rw_fill_bounce(&ev, id, &r, 1);
	ev.type = type;
	ev.remote_host = BYTES("");
	ev.feedback_type = bytes_of(kind);
	item.id = *id;
	item.event = &ev;
	rw_change(w, &item, 1);
}

static void
events_are_counted_by_scope(void **state)
{
	struct rw   *w = *state;
	struct msgid id;

	begin(w);
	id = rw_submit(w, &to_two);
	deliver(w, &id, 1, "jane@sink.example");
	rw_bounce(w, &id, 2, "joe@sink.example");
	rw_pass(w, 2000);
	assert_int_equal(counted(w, COUNT_SENDS), 2);
	assert_int_equal(counted(w, COUNT_DELIVERIES), 1);
	assert_int_equal(counted(w, COUNT_BOUNCES), 1);
	assert_int_equal(counted_in(w, STATISTIC_QUARTER,
	    STATISTIC_IDENTITY, "example.com", COUNT_SENDS), 2);
	assert_int_equal(counted_in(w, STATISTIC_QUARTER,
	    STATISTIC_PROVIDER, "sink.example", COUNT_DELIVERIES), 1);
	assert_int_equal(counted_in(w, STATISTIC_HOUR,
	    STATISTIC_CREDENTIAL, "app1", COUNT_HARD), 1);
	assert_int_equal(counted_in(w, STATISTIC_HOUR,
	    STATISTIC_SOURCE, "198.51.100.7", COUNT_REACHED), 1);
	assert_int_equal(counted_in(w, STATISTIC_TOTAL,
	    STATISTIC_CREDENTIAL, "app1", COUNT_SENDS), 2);
	/* two recipients: no deliverability */
	assert_int_equal(counted_in(w, STATISTIC_DAY, STATISTIC_ACCOUNT, "",
	    COUNT_SENDS), 0);
	id = rw_submit(w, &to_one);
	deliver(w, &id, 1, "jane@sink.example");
	rw_pass(w, 2000);
	assert_int_equal(counted_in(w, STATISTIC_DAY, STATISTIC_ACCOUNT, "",
	    COUNT_SENDS), 1);
	assert_int_equal(counted_in(w, STATISTIC_DAY,
	    STATISTIC_IDENTITY_PROVIDER, "example.com\001sink.example",
	    COUNT_DELIVERIES), 1);
}

/* statistics#8, bounces-and-feedback#24 in part; statistics#20 */
static void
feedback_counts_once(void **state)
{
	struct rw   *w = *state;
	struct msgid id;

	begin(w);
	id = rw_submit(w, &to_two);
	rw_bounce(w, &id, 1, "jane@sink.example");
	report(w, &id, EVENT_BOUNCE, "", "Jane@Sink.example");
	deliver(w, &id, 2, "joe@sink.example");
	rw_pass(w, 2000);
	assert_int_equal(counted(w, COUNT_BOUNCES), 1);
	report(w, &id, EVENT_BOUNCE, "", "joe@sink.example");
	report(w, &id, EVENT_BOUNCE, "", "joe@sink.example");
	rw_pass(w, 2000);
	assert_int_equal(counted(w, COUNT_BOUNCES), 2);
	/* also when the first one was written down long ago */
	report(w, &id, EVENT_BOUNCE, "", "joe@sink.example");
	report(w, &id, EVENT_COMPLAINT, "abuse", "joe@sink.example");
	report(w, &id, EVENT_COMPLAINT, "abuse", "joe@sink.example");
	report(w, &id, EVENT_COMPLAINT, "not-spam", "jane@sink.example");
	rw_pass(w, 2000);
	assert_int_equal(counted(w, COUNT_BOUNCES), 2);
	assert_int_equal(counted(w, COUNT_COMPLAINTS), 1);
	assert_int_equal(counted(w, COUNT_DELIVERIES), 1);
}

/* What came back without a report, Transient: an automatic reply has no rule,
 * the "552 5.2.2" of an old mailer has. */
static void
returned(struct rw *w, const struct msgid *id, const char *rule)
{
	struct event_recipient r = { .address = BYTES("jane@sink.example") };
	struct change_item     item = { .kind = CHANGE_EVENT };
	struct event	       ev;

	rw_fill_bounce(&ev, id, &r, 1);
	ev.bounce_type = BOUNCE_TRANSIENT;
	ev.bounce_subtype = BOUNCE_SUB_MAILBOX_FULL;
	ev.rule = bytes_of(rule);
	ev.from_report = true;
	item.id = *id;
	item.event = &ev;
	rw_change(w, &item, 1);
}

static void
bounces_without_report_are_counted(void **state)
{
	struct rw   *w = *state;
	struct msgid id;

	begin(w);
	id = rw_submit(w, &to_one);
	returned(w, &id, "");
	rw_pass(w, 2000);
	assert_int_equal(counted(w, COUNT_TRANSIENT), 0);
	returned(w, &id, "M1");
	rw_pass(w, 2000);
	assert_int_equal(counted(w, COUNT_TRANSIENT), 1);
}

/* Hard bounces of sends in that hour. */
static uint64_t
hard_in_hour(struct rw *w, struct wall at)
{
	struct statistic_question q;
	struct statistic	  v;
	struct err		  e;

	memset(&q, 0, sizeof(q));
	q.key.series = STATISTIC_HOUR;
	q.key.scope = STATISTIC_ACCOUNT;
	memcpy(q.key.account, rw_account, sizeof(q.key.account));
	q.from = statistic_floor(STATISTIC_HOUR, at);
	q.until.ms = q.from.ms + 3600 * 1000;
	assert_int_equal(statistic_read(w->spool, &q, &v, &e), 0);
	return statistic_get(&v, COUNT_HARD);
}

/* reputation#7: it is booked in the hour of the send. */
static void
a_late_bounce(void **state)
{
	struct rw   *w = *state;
	struct msgid id;
	struct wall  sent;

	begin(w);
	sent = clock_wall();
	id = rw_submit(w, &to_one);
	deliver(w, &id, 1, "jane@sink.example");
	rw_pass(w, 2 * 86400 * 1000);
	assert_int_equal(hard_in_hour(w, sent), 0);
	report(w, &id, EVENT_BOUNCE, "", "jane@sink.example");
	rw_pass(w, 2000);
	assert_int_equal(hard_in_hour(w, sent), 1);
	assert_int_equal(hard_in_hour(w, clock_wall()), 0);
	assert_int_equal(counted_in(w, STATISTIC_HOUR, STATISTIC_ACCOUNT, "",
	    COUNT_HARD), 1);
}

static uint64_t
counted_of_loop(struct rw *w, const char *group)
{
	struct statistic_question q;
	struct statistic	  v;
	struct err		  e;

	memset(&q, 0, sizeof(q));
	q.key.series = STATISTIC_LOOP;
	q.key.scope = STATISTIC_PROVIDER;
	q.key.name = bytes_of(group);
	assert_int_equal(statistic_read(w->spool, &q, &v, &e), 0);
	return statistic_get(&v, COUNT_COMPLAINTS);
}

/* A message to one of that domain, which is delivered, or complained of. */
static void
mail_to(struct rw *w, const char *domain, bool is_complaint)
{
	struct rw_spec spec = to_one;
	char	       to[64];
	struct msgid   id;

	snprintf(to, sizeof(to), "jane@%s", domain);
	spec.rcpts[0] = to;
	id = rw_submit(w, &spec);
	if (is_complaint)
		report(w, &id, EVENT_COMPLAINT, "abuse", to);
	else
		report(w, &id, EVENT_DELIVERY, "", to);
}

static void
fill_groups(struct rw *w)
{
	char	 domain[32];
	unsigned i;

	for (i = 0; i < STATISTICS_NAMES_MAX + 5; i++) {
		snprintf(domain, sizeof(domain), "d%u.example", i);
		mail_to(w, domain, false);
	}
}

static uint64_t
reached(struct rw *w, const char *group)
{
	return counted_in(w, STATISTIC_QUARTER, STATISTIC_PROVIDER, group,
	    COUNT_DELIVERIES);
}

/* Very many groups: those that matter keep their name, whoever came first,
 * and the rest together is no group that sends reports. */
static void
many_groups(void **state)
{
	static const char *const loops[] = { "d3.fbl.example" };
	struct rw *w = *state;

	begin(w);
	mail_to(w, "learned.example", true);
	rw_pass(w, 2000);
	rw_crash(w);
	w->conf->reputation.fbl_providers.v = loops;
	w->conf->reputation.fbl_providers.n = 1;
	rw_begin(w);
	fill_groups(w);
	mail_to(w, "hotmail.com", false);
	mail_to(w, "d3.fbl.example", false);
	mail_to(w, "learned.example", false);
	mail_to(w, "late.example", true);
	rw_pass(w, 5000);
	assert_int_equal(reached(w, "d0.example"), 1);
	assert_int_equal(reached(w, "_other_"), 5);
	assert_int_equal(reached(w, "Outlook"), 1);
	assert_int_equal(reached(w, "d3.fbl.example"), 1);
	assert_int_equal(reached(w, "learned.example"), 1);
	assert_int_equal(counted_in(w, STATISTIC_QUARTER, STATISTIC_PROVIDER,
	    "_other_", COUNT_COMPLAINTS), 1);
	assert_int_equal(counted_of_loop(w, "learned.example"), 1);
	assert_int_equal(counted_of_loop(w, "_other_"), 0);
	w->conf->reputation.fbl_providers.n = 0;
}

static void
a_crash_loses_nothing_and_counts_nothing_twice(void **state)
{
	struct rw   *w = *state;
	struct msgid id;
	unsigned     i;

	begin(w);
	for (i = 0; i < 3; i++) {
		id = rw_submit(w, &to_two);
		deliver(w, &id, 1, "jane@sink.example");
		if (i == 1)
			rw_pass(w, 5000); /* in the store */
		rw_crash(w);
		rw_begin(w);
		rw_pass(w, i == 2 ? 5000 : 0);
		rw_bounce(w, &id, 2, "joe@sink.example");
	}
	rw_pass(w, 5000);
	assert_int_equal(counted(w, COUNT_SENDS), 6);
	assert_int_equal(counted(w, COUNT_DELIVERIES), 3);
	assert_int_equal(counted(w, COUNT_BOUNCES), 3);
	rw_crash(w);
	rw_begin(w);
	rw_pass(w, 5000);
	assert_int_equal(counted(w, COUNT_SENDS), 6);
	assert_int_equal(counted(w, COUNT_BOUNCES), 3);
}

/* Rows go when their time is over, totals stay. */
static void
old_rows_go(void **state)
{
	struct rw   *w = *state;
	struct msgid id;
	unsigned     day;

	begin(w);
	id = rw_submit(w, &to_one);
	rw_bounce(w, &id, 1, "jane@sink.example");
	rw_pass(w, 2000);
	for (day = 0; day < 95; day++) {
		rw_pass_days(w, 1);
		(void)rw_submit(w, &to_one);
		rw_pass(w, 2000);
		if (day == 12)
			assert_int_equal(counted(w, COUNT_BOUNCES), 1);
		if (day == 15)
			assert_int_equal(counted(w, COUNT_BOUNCES), 0);
		if (day == 70)
			assert_int_equal(counted_in(w, STATISTIC_HOUR,
			    STATISTIC_ACCOUNT, "", COUNT_HARD), 1);
	}
	assert_int_equal(counted_in(w, STATISTIC_HOUR, STATISTIC_ACCOUNT, "",
	    COUNT_HARD), 0);
	assert_int_equal(counted_in(w, STATISTIC_TOTAL, STATISTIC_ACCOUNT,
	    "", COUNT_BOUNCES), 1);
}

static void
keys_and_rows_are_read_as_written(void **state)
{
	struct statistic_key k = { STATISTIC_DAY, STATISTIC_IDENTITY,
		"123456789012", { "example.com", 11 }, { 1714521600000 } };
	struct statistic_key back;
	struct statistic     v, w;
	struct buf	     b;
	struct bytes	     one, two;
	char		     name[STATISTIC_NAME_MAX + 1];
	char		     room[STATISTIC_KEY_MAX];
	size_t		     i;

	(void)state;
	buf_init(&b, 1024);
	assert_true(buf_add_bytes(&b, statistic_key_bytes(&k, room)));
	assert_true(statistic_decode_key(buf_bytes(&b), &back));
	assert_int_equal(back.series, STATISTIC_DAY);
	assert_int_equal(back.scope, STATISTIC_IDENTITY);
	assert_string_equal(back.account, "123456789012");
	assert_true(bytes_eq_text(back.name, "example.com"));
	assert_true(back.time.ms == k.time.ms);
	for (i = 0; i < 23; i++)
		assert_false(statistic_decode_key(bytes_head(buf_bytes(&b),
		    i), &back));
	memset(&v, 0, sizeof(v));
	v.n[COUNT_SENDS] = 7;
	v.n[COUNT_REACHED] = -3;
	buf_clear(&b);
	assert_true(statistic_encode(&v, &b));
	assert_true(statistic_decode(buf_bytes(&b), &w));
	assert_memory_equal(&v, &w, sizeof(v));
	assert_int_equal(statistic_get(&w, COUNT_REACHED), 0);
	assert_false(statistic_decode(BYTES("\xff"), &w));
	buf_wipe(&b);
	assert_true(statistic_name_split(statistic_name_pair(BYTES("a"),
	    BYTES("b"), name), &one, &two));
	assert_true(bytes_eq_text(one, "a") && bytes_eq_text(two, "b"));
	assert_false(statistic_name_split(BYTES("ab"), &one, &two));
}

/* The store has no sums of its own: what is not ours is said to be damaged,
 * and figures stay within their range. */
static void
damaged_rows_are_known(void **state)
{
	static const struct {
		size_t at;
		char   octet;
	} damage[] = { { 0, 0 }, { 0, STATISTIC_COMMANDS + 1 }, { 3, '\0' },
		{ ACCOUNT_ID_SIZE, 0 }, { ACCOUNT_ID_SIZE, 9 },
		{ 25, 'x' }, { 26, '\x80' }, { 26, '\x7f' } };
	struct statistic_key k = { STATISTIC_DAY, STATISTIC_IDENTITY,
		"123456789012", { "example.com", 11 }, { 1714521600000 } };
	struct statistic_key back;
	struct statistic     most = { { INT64_MAX, INT64_MIN } };
	struct statistic     more = { { 1, -1 } };
	struct buf	     b;
	size_t		     i;
	char		     room[STATISTIC_KEY_MAX], was;

	(void)state;
	buf_init(&b, 1024);
	assert_true(buf_add_bytes(&b, statistic_key_bytes(&k, room)));
	for (i = 0; i < sizeof(damage) / sizeof(damage[0]); i++) {
		was = b.p[damage[i].at];
		b.p[damage[i].at] = damage[i].octet;
		assert_false(statistic_decode_key(buf_bytes(&b), &back));
		b.p[damage[i].at] = was;
	}
	assert_true(statistic_decode_key(buf_bytes(&b), &back));
	buf_wipe(&b);
	statistic_sum(&most, &more);
	assert_true(most.n[0] == INT64_MAX && most.n[1] == INT64_MIN);
}

/* A whole message was rejected: statistics#11 on this level, reputation.md
 * 1.1; and opens, which count once in the rate (statistics#13 in part). */
static void
rejects_and_opens(void **state)
{
	struct rw   *w = *state;
	struct msgid id;

	begin(w);
	id = rw_submit(w, &to_two);
	report(w, &id, EVENT_REJECT, "", "jane@sink.example");
	id = rw_submit(w, &to_one);
	deliver(w, &id, 1, "jane@sink.example");
	report(w, &id, EVENT_OPEN, "", "jane@sink.example");
	report(w, &id, EVENT_OPEN, "", "jane@sink.example");
	rw_pass(w, 2000);
	report(w, &id, EVENT_OPEN, "", "jane@sink.example");
	rw_pass(w, 2000);
	assert_int_equal(counted(w, COUNT_REJECTS), 2);
	assert_int_equal(counted_in(w, STATISTIC_HOUR, STATISTIC_ACCOUNT, "",
	    COUNT_BASE), 1);
	assert_int_equal(counted(w, COUNT_OPENS), 3);
	assert_int_equal(counted(w, COUNT_OPENED), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_are_counted_by_scope,
		    rw_make, rw_unmake),
		cmocka_unit_test_setup_teardown(feedback_counts_once, rw_make,
		    rw_unmake),
		cmocka_unit_test_setup_teardown(
		    bounces_without_report_are_counted, rw_make, rw_unmake),
		cmocka_unit_test_setup_teardown(a_late_bounce, rw_make,
		    rw_unmake),
		cmocka_unit_test_setup_teardown(many_groups, rw_make,
		    rw_unmake),
		cmocka_unit_test_setup_teardown(
		    a_crash_loses_nothing_and_counts_nothing_twice, rw_make,
		    rw_unmake),
		cmocka_unit_test_setup_teardown(rejects_and_opens, rw_make,
		    rw_unmake),
		cmocka_unit_test_setup_teardown(old_rows_go, rw_make,
		    rw_unmake),
		cmocka_unit_test(keys_and_rows_are_read_as_written),
		cmocka_unit_test(damaged_rows_are_known),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

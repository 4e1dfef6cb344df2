/* SPDX-License-Identifier: ISC */
/* bounces-and-feedback.md 5: who is told by mail, and that it is once. */
#include "feedback_world.h"

/* -- who is told ------------------------------------------------------- */

/* bounces-and-feedback#6: to the forward address; never to Reply-To */
static void
it_goes_to_the_forward_address(void **state)
{
	static const struct rw_spec spec = {
		.header = "Return-Path: <fb@example.com>\r\n"
			  "From: bob@example.com\r\n"
			  "Reply-To: reply@example.com\r\n",
		.forward = "fb@example.com", .rcpts = { "jane@sink.example" }
	};
	struct rw   *w = *state;
	struct msgid id;

	rw_begin(w);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "fb@example.com");
	assert_true(has(&w->mails[0], "\r\nTo: fb@example.com\r\n"));
	assert_false(has(&w->mails[0], "Return-Path: <fb@example.com>"));
}

static void
put_silent_identity(struct db_txn *t, void *unused)
{
	const char     *none[] = { NULL };
	struct identity i;
	struct err	e;

	(void)unused;
	rw_put_account(t, none);
	identity_init(&i, rw_account, "example.com", clock_wall());
	i.method = METHOD_OVERRIDE;
	i.link.status = IDENTITY_SUCCESS;
	i.forwarding = false;
	if (identity_create(t, &i, &e) != 0)
		fail_msg("%s", e.text);
}

/* bounces-and-feedback#18, first half: forwarding off, no topic, no set */
static void
it_is_never_lost(void **state)
{
	struct rw     *w = *state;
	struct rw_spec spec = to_jane;
	struct msgid   id;

	rw_begin(w);
	rw_write(w, put_silent_identity, NULL);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 1);
}

struct silent {
	struct config_set  set;
	struct destination d;
};

static void
put_silent_set(struct db_txn *t, void *silent)
{
	struct silent *s = silent;
	struct err     e;

	put_silent_identity(t, NULL);
	assert_int_equal(config_set_create(t, &s->set, &e), 0);
	assert_int_equal(destination_create(t, &s->d, &e), 0);
}

static void
put_silent_destination(struct db_txn *t, void *d)
{
	struct err e;

	assert_int_equal(destination_put(t, d, &e), 0);
}

/* events#13: forwarding off and a destination for it; not when that is off,
 * wants other events, or filters this one out */
static void
another_channel_is_enough(void **state)
{
	struct rw     *w = *state;
	struct rw_spec spec = to_jane;
	struct silent  s;
	struct msgid   id;
	struct err     e;

	rw_begin(w);
	config_set_init(&s.set, rw_account, "S", clock_wall());
	destination_init(&s.d, &s.set, "file", clock_wall());
	s.d.types = 1u << EVENT_BOUNCE;
	strcpy(s.d.file.name, "bounces");
	rw_write(w, put_silent_set, &s);
	spec.identity = "example.com";
	spec.set = &s.set;
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 0);
	assert_int_equal(destination_read_filter(
	    BYTES("{\"BounceTypes\":[\"Transient\"]}"), &s.d, &e), 0);
	rw_write(w, put_silent_destination, &s.d);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 1);
	memset(&s.d.filter, 0, sizeof(s.d.filter));
	s.d.types = 1u << EVENT_DELIVERY;
	rw_write(w, put_silent_destination, &s.d);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 2);
	s.d.types = 1u << EVENT_BOUNCE;
	destination_disable(&s.d, "endpoint refused", clock_wall());
	rw_write(w, put_silent_destination, &s.d);
	id = rw_submit(w, &spec);
	rw_bounce(w, &id, 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 3);
}

/* bounces-and-feedback#25: no notice about a notice; null sender: none */
static void
some_are_not_told(void **state)
{
	static const struct rw_spec notice = { .header = header,
		.forward = "bounces@example.com",
		.rcpts = { "gone@example.com" }, .is_system = true };
	static const struct rw_spec silent = { .header = header,
		.forward = "", .rcpts = { "jane@sink.example" } };
	struct rw   *w = *state;
	struct msgid id, unknown;

	rw_begin(w);
	id = rw_submit(w, &notice);
	rw_bounce(w, &id, 1, "gone@example.com");
	id = rw_submit(w, &silent);
	rw_bounce(w, &id, 1, "jane@sink.example");
	msgid_make(clock_wall(), &unknown);
	rw_bounce(w, &unknown, 1, "jane@sink.example");
	assert_int_equal(w->handed_in, 0);
	rw_pass(w, 2000);
	/* Send and Bounce of the second, and the bounce of the first */
	assert_true(spool_cursor(w->spool, FEEDBACK_CURSOR) >= 3);
}

static void
put_contact(struct db_txn *t, void *unused)
{
	const char *one[] = { "owner@example.com", NULL };

	(void)unused;
	rw_put_account(t, one);
}

static void
bounce_with(struct rw *w, const char *identity, const char *rule,
    const char *diagnostic)
{
	struct rw_spec	       spec = to_jane;
	struct event_recipient r = { .address = BYTES("jane@sink.example"),
		.action = BYTES("failed"), .status = BYTES("5.7.26"),
		.diagnostic = bytes_of(diagnostic) };
	struct event	       ev;
	struct msgid	       id;

	spec.identity = identity;
	spec.forward = ""; /* only what the contacts are told is looked at */
	id = rw_submit(w, &spec);
	rw_fill_bounce(&ev, &id, &r, 1);
	ev.bounce_type = BOUNCE_TRANSIENT;
	ev.bounce_subtype = BOUNCE_SUB_CONTENT_REJECTED;
	ev.rule = bytes_of(rule);
	rw_settle_envelope(w, &id, 1, &ev);
	rw_pass(w, 100); /* a busy store tells at the end of a window */
}

/* 3.5: rule P1, one alert for each identity a day */
static void
unauthenticated_mail_alarms_the_contacts(void **state)
{
	static const char dmarc[] = "smtp; 550 5.7.26 Unauthenticated email "
	    "from example.com is not accepted due to domain's DMARC policy";
	struct rw *w = *state;

	rw_begin(w);
	rw_write(w, put_contact, NULL);
	bounce_with(w, "example.com", "C2", "smtp; 550 looks like spam");
	bounce_with(w, "example.com", "", dmarc); /* no rule was asked */
	bounce_with(w, "", "P1", dmarc);
	assert_int_equal(w->mail_count, 0);
	bounce_with(w, "example.com", "P1", dmarc);
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "owner@example.com");
	assert_true(has(&w->mails[0], "Subject: Mail of example.com fails "
	    "authentication checks\r\n"));
	assert_true(has(&w->mails[0], "550 5.7.26 Unauthenticated email"));
	bounce_with(w, "example.com", "P1", dmarc);
	assert_int_equal(w->mail_count, 1);
	bounce_with(w, "b.example.com", "P1",
	    "smtp; 421 4.7.26 not authenticated");
	assert_int_equal(w->mail_count, 2);
	rw_pass(w, 28 * hour);
	bounce_with(w, "example.com", "P1", dmarc);
	assert_int_equal(w->mail_count, 3);
}

static void
complaint_with(struct rw *w, const char *type)
{
	struct rw_spec	       spec = to_jane;
	struct event_recipient r = { .address = BYTES("jane@sink.example") };
	struct event	       ev;
	struct msgid	       id;

	spec.identity = "example.com";
	spec.forward = "";
	id = rw_submit(w, &spec);
	rw_fill_bounce(&ev, &id, &r, 1);
	ev.type = EVENT_COMPLAINT;
	ev.feedback_type = bytes_of(type);
	ev.from_report = true;
	rw_settle_envelope(w, &id, 1, &ev);
	rw_pass(w, 100);
}

/* 9.4: a virus is told to the operator, mail that does not pass to the account;
 * what readers say is passed on by others */
static void
reports_of_trouble_alarm(void **state)
{
	struct rw *w = *state;

	rw_begin(w);
	rw_write(w, put_contact, NULL);
	complaint_with(w, "abuse");
	complaint_with(w, "not-spam");
	complaint_with(w, "");
	assert_int_equal(w->mail_count, 0);
	complaint_with(w, "virus");
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "operator@relay.example");
	assert_true(has(&w->mails[0], "A virus was reported in message "));
	complaint_with(w, "auth-failure");
	assert_int_equal(w->mail_count, 2);
	assert_string_equal(w->mails[1].to, "owner@example.com");
	assert_true(has(&w->mails[1], "Subject: Mail of example.com fails "
	    "authentication checks\r\n"));
	complaint_with(w, "auth-failure");
	complaint_with(w, "virus");
	assert_int_equal(w->mail_count, 2);
}

static void
other_events_make_no_mail(void **state)
{
	struct rw   *w = *state;
	struct event ev;
	struct event_recipient r = { .address = BYTES("jane@sink.example") };
	struct msgid id;

	rw_begin(w);
	id = rw_submit(w, &to_jane);
	rw_fill_bounce(&ev, &id, &r, 1);
	ev.type = EVENT_DELIVERY;
	rw_settle_envelope(w, &id, 1, &ev);
	assert_int_equal(w->handed_in, 0);
}

/* -- once -------------------------------------------------------------- */

static void
bounce_both(struct rw *w, struct msgid ids[2])
{
	rw_bounce(w, &ids[0], 1, "jane@sink.example");
	rw_bounce(w, &ids[1], 1, "jane@sink.example");
}

/* Three lives, two of which end at the worst moment: two mails in all. */
static void
each_event_is_told_once_across_crashes(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->crash_at = RW_BEFORE_COMMIT;
	rw_bounce(w, &ids[0], 1, "jane@sink.example");
	assert_int_equal(w->handed_in, 1);
	assert_int_equal(w->mail_count, 0);
	rw_crash(w);

	rw_begin_with(w, true); /* the first one again */
	assert_int_equal(w->mail_count, 1);
	w->crash_at = RW_AFTER_COMMIT;
	rw_bounce(w, &ids[1], 1, "jane@sink.example");
	assert_int_equal(w->mail_count, 2);
	rw_crash(w);

	rw_begin(w);
	rw_pass(w, minute);
	assert_int_equal(w->mail_count, 2);
	assert_int_equal(w->handed_in, 3);
}

/* The same as one: a crash in the middle of the first of two. */
static void
what_waits_is_told_in_order_after_a_crash(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];
	char	     text[MSGID_TEXT + 1];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->full_feeds = 1000;
	bounce_both(w, ids);
	rw_pass(w, minute);
	assert_int_equal(w->mail_count, 0);
	rw_crash(w);
	w->full_feeds = 0;
	rw_begin(w);
	assert_int_equal(w->mail_count, 2);
	assert_true(has(&w->mails[0], id_text(&ids[0], text)));
	assert_true(has(&w->mails[1], id_text(&ids[1], text)));
}

/* One is under way at a time. */
static void
a_slow_spool_holds_the_rest_back(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->answers[2] = RECEIPT_FULL;
	w->answers[1] = RECEIPT_DOWN;
	w->answers[0] = RECEIPT_BUSY;
	w->answer_count = 3;
	bounce_both(w, ids);
	assert_int_equal(w->handed_in, 1);
	rw_pass(w, 250);
	assert_int_equal(w->handed_in, 2);
	rw_pass(w, 500);
	assert_int_equal(w->handed_in, 3);
	rw_pass(w, 1000);
	assert_int_equal(w->mail_count, 2);
	assert_int_equal(w->handed_in, 5);
	assert_true(rw_logged(w, "feedback-waits"));
}

static void
a_refused_notice_is_dropped(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];
	char	     text[MSGID_TEXT + 1];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->answers[0] = RECEIPT_REFUSED;
	w->answer_count = 1;
	bounce_both(w, ids);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], id_text(&ids[1], text)));
	assert_true(rw_logged(w, "feedback-dropped"));
}

/* Not handed over within 24 h: dropped, and the next one has its day. */
static void
a_notice_is_given_up_after_a_day(void **state)
{
	struct rw   *w = *state;
	struct msgid ids[2];
	char	     text[MSGID_TEXT + 1];

	rw_begin(w);
	ids[0] = rw_submit(w, &to_jane);
	ids[1] = rw_submit(w, &to_jane);
	w->full_feeds = 1000000;
	bounce_both(w, ids);
	rw_pass(w, 23 * hour);
	assert_false(rw_logged(w, "feedback-dropped"));
	rw_pass(w, 2 * hour);
	assert_true(rw_logged(w, "feedback-dropped"));
	w->full_feeds = 0;
	rw_pass(w, 2 * minute);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], id_text(&ids[1], text)));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, rw_make, rw_unmake)
		TEST(it_goes_to_the_forward_address),
		TEST(it_is_never_lost), TEST(another_channel_is_enough),
		TEST(some_are_not_told),
		TEST(unauthenticated_mail_alarms_the_contacts),
		TEST(reports_of_trouble_alarm),
		TEST(other_events_make_no_mail),
		TEST(each_event_is_told_once_across_crashes),
		TEST(what_waits_is_told_in_order_after_a_crash),
		TEST(a_slow_spool_holds_the_rest_back),
		TEST(a_refused_notice_is_dropped),
		TEST(a_notice_is_given_up_after_a_day),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

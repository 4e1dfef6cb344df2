/* SPDX-License-Identifier: ISC */
/*
 * What follows the content: admission and quotas; notices and injections.
 * Over real sockets.  Signatures are in test_posting_signed.c.
 */
#include "desk_bed.h"

#include "dkim_oracle.h"

/* -- admission ------------------------------------------------------------ */

static void
test_refusals_at_end_of_data(void **state)
{
	static const struct {
		const char *head, *reply;
	} cases[] = {
		{ "From: a@nowhere.example", "554 Message rejected: Email "
		  "address is not verified. The following identities failed "
		  "the check in region US-EAST-1: a@nowhere.example" },
		{ "From: sender@example.com\r\nX-SES-CONFIGURATION-SET: prod",
		  "554 Message rejected: Configuration set does not exist: "
		  "prod" },
		{ "From: sender@example.com\r\nSubject: a\r\nSubject: b",
		  "554 Transaction failed: Duplicate header 'Subject'." },
		{ "From: sender@example.com\r\n"
		  "Content-Type: text/plain; name=a.exe", "554 Transaction "
		  "failed: Illegal attachment file name 'a.exe'." },
		{ "no field", "554 Transaction failed: Malformed header "
		  "line." },
	};
	struct client *c;
	size_t	       i;

	(void)state;
	bed_open(&bed, "");
	c = client_in(&bed);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		char text[300];

		snprintf(text, sizeof(text), "%s\r\n\r\nx", cases[i].head);
		post_text(c, "sender@example.com", "r@example.org", text);
		assert_string_equal(c->last, cases[i].reply);
	}
	/* errors of content are none of the session */
	say(c, "NOOP", "250 Ok");
	client_close(c);
	assert_int_equal(stored_count(), 0);
	assert_int_equal(meter_get(&bed_page(&bed)->
	    submissions[LEDGER_SMTP][LEDGER_REFUSED]), 5);
	assert_true(bed_has_logged(&bed, "refused sid="));
}

static void
block_nothing(struct db_txn *t)
{
	struct account a;
	struct err     e;

	assert_int_equal(account_get(t, world_account, &a, &e), 1);
	strcpy(a.attachments, "none");
	a.overrides.received = RECEIVED_FULL;
	assert_true(account_put(t, &a, &e) >= 0);
}

static void
test_overrides_of_the_account(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, block_nothing);
	c = client_in(&bed);
	post_text(c, "sender@example.com", "r@example.org",
	    "From: sender@example.com\r\n"
	    "Content-Type: text/plain; name=a.exe\r\n\r\nx");
	assert_non_null(strstr(stored_message(&bed, c->last),
	    "Received: from app1.example.com ([127.0.0.1])\r\n"));
	client_close(c);
}

/* -- quotas --------------------------------------------------------------- */

static void
limit_day(struct db_txn *t)
{
	struct account a;
	struct err     e;

	assert_int_equal(account_get(t, world_account, &a, &e), 1);
	a.max_24h = 10;
	assert_true(account_put(t, &a, &e) >= 0);
}

static void
limit_rate(struct db_txn *t)
{
	struct account a;
	struct err     e;

	assert_int_equal(account_get(t, world_account, &a, &e), 1);
	a.max_24h = -1;
	a.rate = 0.01;
	a.burst = 5;
	assert_true(account_put(t, &a, &e) >= 0);
}

static double
sent(void)
{
	struct err e;
	double	   n;

	assert_int_equal(quota_sent_24h(bed.spool, world_account,
	    clock_wall(), &n, &e), 0);
	return n;
}

static void
post_to(struct client *c, const char *const *to, const char *reply)
{
	char line[200];

	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	for (; *to != NULL; to++) {
		snprintf(line, sizeof(line), "RCPT TO:<%s>", *to);
		say(c, line, "250 Ok");
	}
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, BED_MESSAGE "\r\n.\r\n");
	expect_line(c, reply);
}

#define TO(...) ((const char *const[]){ __VA_ARGS__, NULL })

/* quotas#2,3,4,8,13,14,26; simulator#5,16 */
static void
test_daily_quota(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, limit_day);
	c = client_in(&bed);
	post_to(c, TO("a@x.example", "b@x.example", "a@X.example",
	    "success@simulator.amazonses.com"), "250 Ok 0100*");
	assert_int_equal(sent(), 2);
	post_text(c, "sender@example.com", "r@example.org",
	    "From: a@nowhere.example\r\n\r\nx");
	assert_int_equal(sent(), 2);
	post_to(c, TO("1@x.example", "2@x.example", "3@x.example",
	    "4@x.example", "5@x.example", "6@x.example", "7@x.example"),
	    "250 Ok 0100*");
	bed_await_log(&bed, "quota-warning account=123456789012");
	assert_int_equal(bed.warnings, 1);
	assert_string_equal(bed.last_warning, "quota-80 80 %: 9 of 10");
	/* nine of ten: two more are refused whole, before their content */
	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	say(c, "RCPT TO:<a@x.example>", "250 Ok");
	say(c, "RCPT TO:<b@x.example>", "250 Ok");
	say(c, "DATA", "454 Throttling failure: Daily message quota exceeded");
	say(c, "RSET", "250 Ok");
	assert_true(bed_has_logged(&bed, "quota-refused sid="));
	assert_true(bed_has_logged(&bed, "account=123456789012 user=app1 "
	    "limit=account-24h max=10 sent=9 rcpts=2"));
	post_to(c, TO("a@x.example"), "250 Ok 0100*");
	assert_int_equal(sent(), 10);
	post_to(c, TO("success@simulator.relay.example"), "250 Ok 0100*");
	assert_int_equal(sent(), 10);
	say(c, "MAIL FROM:<sender@example.com>", "250 Ok");
	say(c, "RCPT TO:<success@simulator.amazonses.com>", "250 Ok");
	say(c, "RCPT TO:<r@example.org>", "250 Ok");
	send_text(c, "BDAT 6\r\nQUIT\r\n");
	expect_line(c, "454 Throttling failure: Daily message quota exceeded");
	say(c, "NOOP", "250 Ok");
	client_close(c);
}

static void
limit_both(struct db_txn *t)
{
	struct account a;
	struct err     e;

	assert_int_equal(account_get(t, world_account, &a, &e), 1);
	a.max_24h = 10;
	a.rate = 0.001;
	a.burst = 11;
	assert_true(account_put(t, &a, &e) >= 0);
}

/* quotas#5: two sessions, one place; who loses gets its tokens back */
static void
test_race_for_the_last_place(void **state)
{
	struct client *c[2];
	int	       i, won = 0;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, limit_both);
	c[0] = client_in(&bed);
	post_to(c[0], TO("1@x.example", "2@x.example", "3@x.example",
	    "4@x.example", "5@x.example", "6@x.example", "7@x.example",
	    "8@x.example", "9@x.example"), "250 Ok 0100*");
	c[1] = client_in(&bed);
	for (i = 0; i < 2; i++) {
		send_envelope(c[i]);
		say(c[i], "DATA", "354 End data with <CR><LF>.<CR><LF>");
	}
	for (i = 0; i < 2; i++)
		send_text(c[i], BED_MESSAGE "\r\n.\r\n");
	for (i = 0; i < 2; i++) {
		assert_true(read_line(c[i]));
		if (strncmp(c[i]->last, "250 Ok 0100", 11) == 0)
			won++;
		else
			assert_string_equal(c[i]->last, "454 Throttling "
			    "failure: Daily message quota exceeded");
		client_close(c[i]);
	}
	assert_int_equal(won, 1);
	assert_int_equal(sent(), 10);
	c[0] = client_in(&bed);
	post_to(c[0], TO("success@simulator.amazonses.com"), "250 Ok 0100*");
	send_envelope(c[0]);
	say(c[0], "DATA", "454 Throttling failure: Daily message quota "
	    "exceeded");
	client_close(c[0]);
}

/* quotas#9,10 */
static void
test_sending_rate(void **state)
{
	struct client *c;
	int	       i;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, limit_rate);
	c = client_in(&bed);
	for (i = 0; i < 5; i++)
		post_to(c, TO("success@simulator.amazonses.com"),
		    "250 Ok 0100*");
	send_envelope(c);
	say(c, "DATA", "454 Throttling failure: Maximum sending rate "
	    "exceeded");
	client_close(c);
	assert_true(bed_has_logged(&bed, "limit=account-rate"));
	assert_int_equal(meter_get(
	    &bed_page(&bed)->throttled[LEDGER_RATE]), 1);
}

/* -- without a session ---------------------------------------------------- */

struct asker {
	struct loop  *loop;
	_Atomic int   done;
	enum receipt_result result;
	struct msgid  id;
	unsigned      code;
	char	      reply[513];
};

static void
on_notice(void *notice, void *unused)
{
	struct notice *n = notice;
	struct asker  *a = n->context;

	(void)unused;
	a->result = n->result;
	a->id = n->id;
	buf_wipe(&n->text);
	mem_free(n);
	a->done = 1;
	loop_stop(a->loop);
}

static const char *
post_notice(struct asker *a, const char *to, const char *text)
{
	static char    reply[100];
	struct notice *n = mem_alloc(sizeof(*n));
	char	       id[MSGID_TEXT + 1];

	a->done = 0;
	n->asker = a->loop;
	n->done = on_notice;
	n->context = a;
	strcpy(n->account, world_account);
	strcpy(n->to, to);
	buf_init(&n->text, 65536);
	buf_add_text(&n->text, text);
	n->cursor = "test";
	n->cursor_to = 7;
	assert_true(desk_post_notice(bed.desk, n));
	loop_run(a->loop);
	assert_int_equal(a->done, 1);
	if (a->result != RECEIPT_OK)
		return NULL;
	snprintf(reply, sizeof(reply), "250 Ok %s",
	    msgid_to_text(&a->id, "0100", 0, id));
	return reply;
}

static void
sign_relay(struct db_txn *t)
{
	bed_add_identity(t, "relay.example");
	bed_add_key(t, "relay.example", "sel9");
}

static void
test_notice(void **state)
{
	struct asker a;
	struct err   e;
	const char  *m;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, limit_day);
	bed_change(&bed, sign_relay);
	a.loop = loop_new("asker", 16, &e);
	m = stored_message(&bed, post_notice(&a, "User@Example.NET",
	    "From: MAILER-DAEMON@bounces.relay.example\r\nTo: x\r\n"
	    "Subject: y\r\n\r\nz\r\n"));
	assert_int_equal(strncmp(m, "DKIM-Signature: ", 16), 0);
	assert_non_null(strstr(m, "d=relay.example;"));
	assert_int_equal(oracle_verify_with(bytes_of(m), keys_double_key), 1);
	assert_null(strstr(m, "Received:"));
	assert_null(strstr(m, "Feedback-ID:"));
	assert_non_null(strstr(m, "\r\nDate: "));
	assert_non_null(strstr(m, "\r\nMessage-ID: <0100"));
	assert_int_equal(spool_cursor(bed.spool, "test"), 7);
	assert_int_equal(sent(), 0);
	/* what can never be a message is refused, not tried again */
	assert_null(post_notice(&a, "nobody", "From: a@b.example\r\n\r\n"));
	assert_int_equal(a.result, RECEIPT_REFUSED);
	assert_null(post_notice(&a, "a@b.example", "no field\r\n\r\n"));
	assert_int_equal(a.result, RECEIPT_REFUSED);
	loop_free(a.loop);
}

static void
damage_relay_key(struct db_txn *t)
{
	bed_damage_key(t, "relay.example", "sel9");
}

/* dkim.md 5.5: what should sign it cannot be read, so it waits. */
static void
test_notice_is_not_sent_unsigned(void **state)
{
	static const char text[] =
	    "From: MAILER-DAEMON@bounces.relay.example\r\nTo: x\r\n\r\nz\r\n";
	struct asker a;
	struct err   e;
	const char  *m;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_relay);
	bed_change(&bed, damage_relay_key);
	a.loop = loop_new("asker", 16, &e);
	assert_null(post_notice(&a, "user@example.net", text));
	assert_int_equal(a.result, RECEIPT_DOWN);
	assert_true(bed_has_logged(&bed, "notice-delayed account="));
	assert_int_equal(stored_count(), 0);
	bed_change(&bed, sign_relay);
	m = stored_message(&bed, post_notice(&a, "user@example.net", text));
	assert_int_equal(oracle_verify_with(bytes_of(m), keys_double_key), 1);
	loop_free(a.loop);
}

static void
on_injection(void *injection, void *unused)
{
	struct desk_injection *i = injection;
	struct asker	      *a = i->context;

	(void)unused;
	a->code = i->code;
	strcpy(a->reply, i->reply);
	buf_wipe(&i->text);
	mem_free(i->to);
	mem_free(i);
	loop_stop(a->loop);
}

static void
inject(struct asker *a, const char *from, const char *to, const char *text)
{
	struct desk_injection *i = mem_alloc(sizeof(*i));

	i->asker = a->loop;
	i->done = on_injection;
	i->context = a;
	strcpy(i->account, world_account);
	strcpy(i->from, from);
	i->to = mem_alloc(sizeof(*i->to));
	strcpy(i->to[0], to);
	i->to_count = 1;
	buf_init(&i->text, 65536);
	buf_add_text(&i->text, text);
	assert_true(desk_inject(bed.desk, i));
	loop_run(a->loop);
}

static void
test_injection(void **state)
{
	struct asker a;
	struct err   e;
	char	     reply[600];

	(void)state;
	bed_open(&bed, "");
	a.loop = loop_new("asker", 16, &e);
	inject(&a, "sender@example.com", "r@example.org", BED_MESSAGE);
	assert_int_equal(a.code, 250);
	snprintf(reply, sizeof(reply), "250 %s", a.reply);
	assert_non_null(strstr(stored_message(&bed, reply), "Hello."));
	assert_true(bed_has_logged(&bed, "user=root"));
	inject(&a, "sender@nowhere.example", "r@example.org", BED_MESSAGE);
	assert_int_equal(a.code, 554);
	assert_int_equal(strncmp(a.reply, "Message rejected: Email", 23), 0);
	inject(&a, "sender@example.com", "nobody", BED_MESSAGE);
	assert_int_equal(a.code, 553);
	assert_string_equal(a.reply, "<nobody> address unknown");
	loop_free(a.loop);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, bed_teardown)
		T(test_refusals_at_end_of_data),
		T(test_overrides_of_the_account),
		T(test_daily_quota),
		T(test_race_for_the_last_place),
		T(test_sending_rate),
		T(test_notice),
		T(test_notice_is_not_sent_unsigned),
		T(test_injection),
	};

	return cmocka_run_group_tests(tests, bed_group_setup,
	    bed_group_teardown);
}

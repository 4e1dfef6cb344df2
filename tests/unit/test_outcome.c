/* SPDX-License-Identifier: ISC */
/*
 * What a result means: delivery#5,6,7,10,13 (decision), simulator#1,3,8,13,17
 * (answers), bounces-and-feedback#4,5.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/outcome.h"

enum { MINUTE = 60000, HOUR = 3600000 };

struct fixture {
	struct conf	      *conf;
	struct classify	      *classify;
	struct outcome_context c;
	struct attempt	      *a;
	struct attempt_envelope en;
	struct outcome	       o;
};
static struct fixture fx;

static int
setup(void **state)
{
	struct err  e;
	struct wall start = { 1714564800000 };

	(void)state;
	memset(&fx, 0, sizeof(fx));
	fx.conf = conf_defaults();
	fx.conf->delivery.retry_jitter_percent = 0;
	fx.classify = classify_new(&e);
	fx.a = attempt_new();
	fx.a->accepted = start;
	msgid_make(start, &fx.a->id);
	fx.en.n = 1;
	fx.en.address = BYTES("jane@sink.example");
	fx.en.expires.ms = start.ms + 72 * HOUR;
	fx.c.conf = fx.conf;
	fx.c.classify = fx.classify;
	fx.c.now = start;
	fx.c.usable_sources = 1;
	fx.c.ehlo = "mail.relay.example";
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	attempt_free(fx.a);
	classify_free(fx.classify);
	conf_unref(fx.conf);
	return 0;
}

static void
reply(enum classify_stage stage, const char *text)
{
	memset(&fx.en.result, 0, sizeof(fx.en.result));
	fx.en.result.kind = RESULT_REPLY;
	fx.en.result.stage = stage;
	sscanf(text, "%3u", &fx.en.result.code);
	snprintf(fx.en.result.text, sizeof(fx.en.result.text), "%s", text);
	if (text[4] >= '2' && text[5] == '.')
		sscanf(text + 4, "%11s", fx.en.result.enhanced);
	snprintf(fx.en.result.remote_ip, 64, "198.51.100.25");
	snprintf(fx.en.result.local_ip, 64, "203.0.113.10");
}

static void
fail_with(enum result_kind kind)
{
	memset(&fx.en.result, 0, sizeof(fx.en.result));
	fx.en.result.kind = kind;
	snprintf(fx.en.result.remote_host, 64, "mx.sink.example");
}

/* Tries until given up; gives the minutes of the attempts. */
static unsigned
run_schedule(int64_t minutes[32])
{
	unsigned n = 0;

	fx.en.attempts = 0;
	for (;;) {
		minutes[n++] = (fx.c.now.ms - fx.a->accepted.ms) / MINUTE;
		outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
		if (fx.o.verdict != OUTCOME_LATER || n == 31)
			return n;
		fx.en.attempts = fx.o.attempts;
		fx.en.expires = fx.o.expires;
		fx.en.flags = fx.o.flags;
		fx.c.now = fx.o.next;
	}
}

static void
delivered(void **state)
{
	(void)state;
	reply(CLASSIFY_DOT, "250 2.6.0 Message received");
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_DELIVERED);
	assert_int_equal(fx.o.attempts, 1);
}

static void
schedule_of_a_temporary_reply(void **state) /* delivery#7 */
{
	static const int64_t want[] = { 0, 5, 15, 30, 60, 120, 240, 480, 720,
		1080, 1440, 1920, 2400, 2880, 3600, 4320 };
	int64_t	 got[32];
	unsigned n, i;

	(void)state;
	reply(CLASSIFY_RCPT, "451 4.3.0 try later");
	n = run_schedule(got);
	assert_int_equal(n, 16);
	for (i = 0; i < n; i++)
		assert_int_equal(got[i], want[i]);
	assert_int_equal(fx.o.verdict, OUTCOME_FAILED);
	assert_int_equal(fx.o.bounce_type, BOUNCE_TRANSIENT);
	assert_int_equal(fx.o.bounce_subtype, BOUNCE_SUB_GENERAL);
	assert_string_equal(fx.o.status, "4.3.0");
}

static void
schedule_of_a_missing_domain(void **state) /* delivery#5 */
{
	static const int64_t want[] = { 0, 5, 15, 30, 60, 120, 240, 480, 720 };
	int64_t	 got[32];
	unsigned n, i;

	(void)state;
	fail_with(RESULT_NXDOMAIN);
	n = run_schedule(got);
	assert_int_equal(n, 9);
	for (i = 0; i < n; i++)
		assert_int_equal(got[i], want[i]);
	assert_int_equal(fx.o.expires.ms, fx.a->accepted.ms + 12 * HOUR);
	assert_int_equal(fx.o.bounce_type, BOUNCE_PERMANENT);
	assert_string_equal(fx.o.status, "5.1.2");
}

static void
servfail_to_the_end(void **state) /* delivery#6 */
{
	int64_t got[32];

	(void)state;
	fail_with(RESULT_DNS);
	assert_int_equal(run_schedule(got), 16);
	assert_int_equal(fx.o.bounce_type, BOUNCE_TRANSIENT);
	assert_string_equal(fx.o.status, "4.4.3");
}

static void
short_lifetimes(void **state)
{
	struct wall next, ended = { 0 }, expires = { 6 * MINUTE };

	(void)state;
	assert_true(outcome_next_attempt(fx.conf, 1, ended, expires, 0, &next));
	assert_int_equal(next.ms, 5 * MINUTE);
	/* the last one at the expiry */
	ended.ms = 0;
	expires.ms = 4 * MINUTE;
	assert_true(outcome_next_attempt(fx.conf, 1, ended, expires, 0, &next));
	assert_int_equal(next.ms, 4 * MINUTE);
	/* less than 4 minutes are not worth one */
	expires.ms = 4 * MINUTE - 1;
	assert_false(
	    outcome_next_attempt(fx.conf, 1, ended, expires, 0, &next));
	ended.ms = expires.ms;
	assert_false(
	    outcome_next_attempt(fx.conf, 1, ended, expires, 0, &next));
}

static void
fixed_results(void **state) /* delivery#10,13 */
{
	static const struct {
		enum result_kind     kind;
		enum outcome_verdict verdict;
		const char	    *status, *diagnostic;
		enum bounce_type     type;
		enum bounce_subtype  subtype;
		enum delay_type	     delay;
	} v[] = {
		{ RESULT_CONNECT, OUTCOME_LATER, "4.4.1",
		    "smtp; 421 4.4.1 Unable to connect to remote host", 0, 0,
		    DELAY_COMMUNICATION_FAILURE },
		{ RESULT_TIMEOUT, OUTCOME_LATER, "4.4.2",
		    "smtp; 421 4.4.2 Connection timed out", 0, 0,
		    DELAY_COMMUNICATION_FAILURE },
		{ RESULT_TLS_MISSING, OUTCOME_FAILED, "5.7.4",
		    "smtp; 554 5.7.4 TLS is required but was not offered by "
		    "mx.sink.example",
		    BOUNCE_TRANSIENT, BOUNCE_SUB_GENERAL, 0 },
		{ RESULT_TLS_FAILED, OUTCOME_LATER, "4.7.5",
		    "smtp; 454 4.7.5 TLS could not be established with "
		    "mx.sink.example",
		    0, 0, DELAY_COMMUNICATION_FAILURE },
		{ RESULT_TOO_LARGE, OUTCOME_FAILED, "5.3.4",
		    "smtp; 552 5.3.4 message is larger than the limit "
		    "announced by mx.sink.example",
		    BOUNCE_TRANSIENT, BOUNCE_SUB_MESSAGE_TOO_LARGE, 0 },
		{ RESULT_NULL_MX, OUTCOME_FAILED, "5.1.10",
		    "smtp; 556 5.1.10 recipient domain does not accept mail",
		    BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL, 0 },
		{ RESULT_LOOP, OUTCOME_FAILED, "5.4.6",
		    "smtp; 554 5.4.6 mail loops back to this server",
		    BOUNCE_PERMANENT, BOUNCE_SUB_GENERAL, 0 },
		{ RESULT_RESOLVER, OUTCOME_LATER, "4.3.0",
		    "smtp; 451 4.3.0 no name server answers", 0, 0,
		    DELAY_INTERNAL_FAILURE },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fail_with(v[i].kind);
		outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
		assert_int_equal(fx.o.verdict, v[i].verdict);
		assert_string_equal(fx.o.status, v[i].status);
		assert_string_equal(fx.o.diagnostic, v[i].diagnostic);
		if (v[i].verdict == OUTCOME_FAILED) {
			assert_int_equal(fx.o.bounce_type, v[i].type);
			assert_int_equal(fx.o.bounce_subtype, v[i].subtype);
		} else {
			assert_int_equal(fx.o.delay_type, v[i].delay);
		}
	}
}

static void
class_of_the_code_counts(void **state) /* bounces-and-feedback#4,5 */
{
	(void)state;
	reply(CLASSIFY_RCPT, "450 5.2.2 mailbox full");
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_LATER);
	assert_string_equal(fx.o.status, "4.2.2");
	assert_int_equal(fx.o.delay_type, DELAY_MAILBOX_FULL);
	fx.c.now = fx.en.expires;
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_FAILED);
	assert_int_equal(fx.o.bounce_type, BOUNCE_TRANSIENT);
	assert_int_equal(fx.o.bounce_subtype, BOUNCE_SUB_MAILBOX_FULL);
	reply(CLASSIFY_RCPT, "450 4.1.1 unverified address");
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.bounce_type, BOUNCE_TRANSIENT);
	assert_int_equal(fx.o.bounce_subtype, BOUNCE_SUB_GENERAL);
}

static void
greeting_5xx_of_one_host(void **state)
{
	(void)state;
	reply(CLASSIFY_GREETING, "554 5.3.2 no");
	fx.en.result.not_final = true;
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_LATER);
	fx.en.result.not_final = false;
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_FAILED);
}

static void
ip_block_tries_other_addresses(void **state) /* delivery#25 (decision) */
{
	unsigned tries = 0;

	(void)state;
	reply(CLASSIFY_RCPT, "554 5.7.1 Service unavailable; Client host "
	    "[203.0.113.10] blocked using zen.example");
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_FAILED); /* one address */
	assert_int_equal(fx.o.bounce_type, BOUNCE_TRANSIENT);
	fx.c.usable_sources = 9;
	for (;;) {
		outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
		if (fx.o.verdict != OUTCOME_LATER)
			break;
		assert_int_equal(fx.o.next.ms, fx.c.now.ms + 15 * MINUTE);
		assert_int_equal(fx.o.delay_type, DELAY_IP_FAILURE);
		fx.en.flags = fx.o.flags;
		fx.c.now = fx.o.next;
		tries++;
	}
	assert_int_equal(tries, 3);
	/* two addresses: one other to try */
	fx.c.usable_sources = 2;
	fx.en.flags = 0;
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_LATER);
	fx.en.flags = fx.o.flags;
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_int_equal(fx.o.verdict, OUTCOME_FAILED);
}

/* The try of another address lies within 4 h of the first such reply, which
 * came when the message was an hour old. */
static void
ip_block_ends_after_four_hours(void **state)
{
	static const struct {
		int64_t		     minutes; /* since that reply */
		enum outcome_verdict verdict;
	} v[] = {
		{ 0, OUTCOME_LATER },
		{ 225, OUTCOME_LATER },
		{ 226, OUTCOME_FAILED },
		{ 240, OUTCOME_FAILED },
		{ 1440, OUTCOME_FAILED },
	};
	struct wall first = { fx.c.now.ms + 60 * MINUTE };
	size_t	    i;

	(void)state;
	reply(CLASSIFY_RCPT, "554 5.7.1 Service unavailable; Client host "
	    "[203.0.113.10] blocked using zen.example");
	fx.c.usable_sources = 9;
	fx.c.now = first;
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	fx.en.flags = fx.o.flags;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		fx.c.now.ms = first.ms + v[i].minutes * MINUTE;
		outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
		assert_int_equal(fx.o.verdict, v[i].verdict);
	}
}

static void
sticky_source_after_4xx_at_rcpt(void **state) /* delivery#8 (decision) */
{
	(void)state;
	reply(CLASSIFY_RCPT, "450 4.7.1 greylisted");
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_true(fx.o.flags & OUTCOME_STICKY_SOURCE);
	reply(CLASSIFY_GREETING, "421 4.7.0 busy");
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_false(fx.o.flags & OUTCOME_STICKY_SOURCE);
}

static void
change_carries_the_event(void **state)
{
	struct arena	  *ar = arena_new(65536);
	struct change_item item;

	(void)state;
	reply(CLASSIFY_RCPT, "550 5.1.1 user unknown");
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_true(outcome_fill(&fx.c, fx.a, &fx.en, &fx.o, ar, &item));
	assert_int_equal(item.kind, CHANGE_DONE);
	assert_int_equal(item.event->type, EVENT_BOUNCE);
	assert_true(bytes_eq_text(item.event->recipients[0].diagnostic,
	    "smtp; 550 5.1.1 user unknown"));
	assert_true(bytes_eq_text(item.event->reporting_mta,
	    "dns; mail.relay.example"));
	assert_true(bytes_eq_text(item.event->remote_ip, "198.51.100.25"));
	fail_with(RESULT_CONNECT);
	outcome_decide(&fx.c, fx.a, &fx.en, &fx.o);
	assert_true(outcome_fill(&fx.c, fx.a, &fx.en, &fx.o, ar, &item));
	assert_int_equal(item.kind, CHANGE_DEFER);
	assert_int_equal(item.event->type, EVENT_DELIVERY_DELAY);
	assert_int_equal(item.event->reporting_mta.n, 0);
	fx.a->message.system = true;
	assert_true(outcome_fill(&fx.c, fx.a, &fx.en, &fx.o, ar, &item));
	assert_null(item.event);
	arena_free(ar);
}

#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
int
main(void)
{
	const struct CMUnitTest tests[] = { T(delivered),
		T(schedule_of_a_temporary_reply),
		T(schedule_of_a_missing_domain), T(servfail_to_the_end),
		T(short_lifetimes), T(fixed_results),
		T(class_of_the_code_counts), T(greeting_5xx_of_one_host),
		T(ip_block_tries_other_addresses),
		T(ip_block_ends_after_four_hours),
		T(sticky_source_after_4xx_at_rcpt),
		T(change_carries_the_event) };

	return cmocka_run_group_tests(tests, NULL, NULL);
}

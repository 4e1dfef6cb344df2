/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "store/db.h"
#include "store/record.h"

static struct msgid
id_of(unsigned char c)
{
	struct msgid id;

	memset(id.b, c, sizeof(id.b));
	return id;
}

static void
assert_bytes(struct bytes a, struct bytes b)
{
	assert_true(bytes_eq(a, b));
}

static void
keys_lie_in_order(void **state)
{
	struct record_key a, b;
	struct due_key	  d = { { 1000 }, id_of(9), 7 }, e = { { 1001 },
		    id_of(1), 1 }, out;
	struct msgid	  id = id_of(3), got;
	uint64_t	  content;
	uint32_t	  n;

	(void)state;
	assert_true(bytes_cmp(record_key_due(&a, &d),
	    record_key_due(&b, &e)) < 0);
	assert_true(record_split_due(record_key_due(&a, &d), &out));
	assert_true(out.due.ms == 1000 && out.n == 7);
	assert_int_equal(msgid_cmp(&out.id, &d.id), 0);
	assert_true(bytes_cmp(record_key_numbered(&a, &id, 255),
	    record_key_numbered(&b, &id, 256)) < 0);
	assert_true(record_split_numbered(record_key_numbered(&a, &id, 256),
	    &got, &n));
	assert_int_equal(n, 256);
	assert_int_equal(msgid_cmp(&got, &id), 0);
	assert_true(bytes_starts(record_key_numbered(&a, &id, 1),
	    record_key_id(&id)));
	assert_true(bytes_cmp(record_key_chunk(&a, 1, 5000),
	    record_key_chunk(&b, 2, 0)) < 0);
	assert_true(record_split_chunk(record_key_chunk(&a, 77, 4097),
	    &content, &n));
	assert_true(content == 77 && n == 4097);
	assert_false(record_split_chunk(BYTES("short"), &content, &n));
	assert_false(record_split_due(BYTES("short"), &out));
	assert_false(record_split_numbered(BYTES("short"), &got, &n));
}

static void
counter_keys_do_not_mix_scopes(void **state)
{
	struct record_key a, b;
	struct bytes	  scope;
	int64_t		  minute;

	(void)state;
	/* one scope is the beginning of the other */
	assert_true(bytes_cmp(record_key_counter(&a, BYTES("a:1"), INT64_MAX),
	    record_key_counter(&b, BYTES("a:12"), 0)) < 0);
	assert_true(record_split_counter(
	    record_key_counter(&a, BYTES("a:12"), 29000000), &scope,
	    &minute));
	assert_true(bytes_eq_text(scope, "a:12"));
	assert_true(minute == 29000000);
	assert_false(record_split_counter(BYTES("a:12"), &scope, &minute));
}

static void
message_comes_back(void **state)
{
	struct message_row r = { .content = 1ull << 40, .head_octets = 900,
		.body_octets = 40000000, .open = 50, .has_8bit = true,
		.tls_policy = 3, .account = "123456789012",
		.mail_from_domain = BYTES("bounces.example.com") };
	struct message_row out;
	struct buf	   b;
	size_t		   n;

	(void)state;
	buf_init(&b, 1000);
	memset(&out, 0xff, sizeof(out));
	assert_true(record_write_message(&r, &b));
	assert_true(record_read_message(buf_bytes(&b), &out));
	assert_true(out.content == r.content && out.open == 50);
	assert_true(out.head_octets == 900 && out.body_octets == 40000000);
	assert_true(out.has_8bit && !out.system && out.tls_policy == 3);
	assert_string_equal(out.account, r.account);
	assert_bytes(out.mail_from_domain, r.mail_from_domain);
	/* as rows of the first release: without a set */
	assert_true(config_set_id_is_none(&out.config_set));
	n = b.n;
	memset(r.config_set.b, 7, sizeof(r.config_set.b));
	buf_clear(&b);
	assert_true(record_write_message(&r, &b));
	assert_int_equal(b.n, n + 16);
	assert_true(record_read_message(buf_bytes(&b), &out));
	assert_true(config_set_id_eq(&out.config_set, &r.config_set));
	/* a set whose id is none is damage */
	memset(b.p + b.n - 16, 0, 16);
	assert_false(record_read_message(buf_bytes(&b), &out));
	buf_wipe(&b);
}

static void
recipient_comes_back(void **state)
{
	static const struct recipient_row cases[] = {
		{ .address = BYTES("a@example.org"), .next = { 1700000000000 },
		    .expires = { 1700000259200 }, .simulator = true },
		{ .address = BYTES("b@example.org"), .next = { 5 },
		    .expires = { 6 }, .state = ENVELOPE_DEFERRED,
		    .attempts = 3, .first_attempt = { 1 },
		    .last_attempt = { 2 },
		    .last_reply = BYTES("451 4.3.0 try later"),
		    .last_remote = BYTES("192.0.2.1"),
		    .last_source_ip = BYTES("203.0.113.10"),
		    .last_stage = BYTES("rcpt"), .flags = 0xffffffff },
		{ .address = BYTES("c@example.org"), .state = ENVELOPE_HELD,
		    .held_by = HELD_ACCOUNT | HELD_OPERATOR, .attempts = 1 },
	};
	struct recipient_row out;
	struct buf	     b;
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		buf_init(&b, 1000);
		memset(&out, 0xff, sizeof(out));
		out.id = id_of(8);
		out.n = 12;
		assert_true(record_write_recipient(&cases[i], &b));
		assert_true(record_read_recipient(buf_bytes(&b), &out));
		assert_int_equal(out.n, 12); /* stands in the key */
		assert_int_equal(out.id.b[0], 8);
		assert_bytes(out.address, cases[i].address);
		assert_int_equal(out.state, cases[i].state);
		assert_int_equal(out.held_by, cases[i].held_by);
		assert_int_equal(out.attempts, cases[i].attempts);
		assert_true(out.next.ms == cases[i].next.ms);
		assert_true(out.expires.ms == cases[i].expires.ms);
		assert_true(out.first_attempt.ms == cases[i].first_attempt.ms);
		assert_true(out.last_attempt.ms == cases[i].last_attempt.ms);
		assert_bytes(out.last_reply, cases[i].last_reply);
		assert_bytes(out.last_remote, cases[i].last_remote);
		assert_bytes(out.last_source_ip, cases[i].last_source_ip);
		assert_bytes(out.last_stage, cases[i].last_stage);
		assert_int_equal(out.flags, cases[i].flags);
		assert_int_equal(out.simulator, cases[i].simulator);
		buf_wipe(&b);
	}
}

static void
mail_comes_back(void **state)
{
	struct bytes	   to[3] = { BYTES("a@x"), BYTES("b@y"), BYTES("") };
	struct message_tag tags[2] = { { BYTES("n"), BYTES("v") },
		{ BYTES("n"), BYTES("w") } };
	struct mail_row	   r = { .accepted = { 1700000000000 },
		   .expires = { 1700259200000 }, .account = "123456789012",
		   .credential = BYTES("app1"), .access_key = BYTES("AKIA"),
		   .client_ip = BYTES("192.0.2.7"), .listener = BYTES("s"),
		   .sid = BYTES("00f1"), .tls_version = BYTES("TLSv1.3"),
		   .sender = BYTES("s@example.com"),
		   .identity = BYTES("example.com"),
		   .identity_account = BYTES("210987654321"),
		   .from_domain = BYTES("example.com"),
		   .forward = BYTES("f@example.com"),
		   .config_set = BYTES("set"),
		   .mail_from_domain = BYTES("m.example.com"),
		   .message_id = BYTES("<1@x>"), .subject = BYTES("Hi"),
		   .system = true, .size = 10240, .recipient_count = 3,
		   .recipients = to, .tag_count = 2, .tags = tags,
		   .config_set_id = { { 1, 2, 3 } }, .pool = BYTES("p1") };
	struct mail_row	   out;
	struct arena	  *a = arena_new(4096);
	struct buf	   b;

	(void)state;
	buf_init(&b, 4000);
	memset(&out, 0, sizeof(out));
	assert_true(record_write_mail(&r, &b));
	assert_true(record_read_mail(buf_bytes(&b), a, &out));
	assert_true(out.accepted.ms == r.accepted.ms);
	assert_true(out.expires.ms == r.expires.ms && out.size == 10240);
	assert_string_equal(out.account, r.account);
	assert_bytes(out.credential, r.credential);
	assert_bytes(out.access_key, r.access_key);
	assert_bytes(out.client_ip, r.client_ip);
	assert_bytes(out.listener, r.listener);
	assert_bytes(out.sid, r.sid);
	assert_bytes(out.tls_version, r.tls_version);
	assert_bytes(out.sender, r.sender);
	assert_bytes(out.identity, r.identity);
	assert_bytes(out.identity_account, r.identity_account);
	assert_bytes(out.from_domain, r.from_domain);
	assert_bytes(out.forward, r.forward);
	assert_bytes(out.config_set, r.config_set);
	assert_true(config_set_id_eq(&out.config_set_id, &r.config_set_id));
	assert_bytes(out.pool, r.pool);
	assert_bytes(out.mail_from_domain, r.mail_from_domain);
	assert_bytes(out.message_id, r.message_id);
	assert_bytes(out.subject, r.subject);
	assert_true(out.system);
	assert_int_equal(out.recipient_count, 3);
	assert_bytes(out.recipients[1], to[1]);
	assert_int_equal(out.recipients[2].n, 0);
	assert_int_equal(out.tag_count, 2);
	assert_bytes(out.tags[1].value, BYTES("w"));
	buf_wipe(&b);
	arena_free(a);
}

static void
due_counter_and_state_come_back(void **state)
{
	struct due_row	   d = { "123456789012", BYTES("example.org"), 1234, 2,
		   HELD_CONFIG_SET, true, true, true, { { 0 } },
		   BYTES("") }, d2;
	struct counter_row c = { 29000000, 29001440, 5000000000 }, c2;
	struct state_row   s = { 1, 2, 3, 4, 1ull << 50, 6, UINT64_MAX,
		   1700000000000, 9, 10 }, s2;
	struct buf	   b;

	(void)state;
	buf_init(&b, 1000);
	assert_true(record_write_due(&d, &b));
	assert_true(record_read_due(buf_bytes(&b), &d2));
	assert_string_equal(d2.account, d.account);
	assert_bytes(d2.domain, d.domain);
	assert_true(d2.size == 1234 && d2.tls_policy == 2);
	assert_true(d2.system && d2.simulator && d2.suppressed);
	assert_int_equal(d2.held_by, HELD_CONFIG_SET);
	assert_true(config_set_id_is_none(&d2.config_set));
	memset(d.config_set.b, 9, sizeof(d.config_set.b));
	d.pool = BYTES("own-pool");
	buf_clear(&b);
	assert_true(record_write_due(&d, &b));
	assert_true(record_read_due(buf_bytes(&b), &d2));
	assert_true(config_set_id_eq(&d2.config_set, &d.config_set));
	assert_bytes(d2.pool, d.pool);
	assert_bytes(d2.domain, d.domain);
	buf_clear(&b);
	assert_true(record_write_counter(&c, &b));
	assert_true(record_read_counter(buf_bytes(&b), &c2));
	assert_memory_equal(&c, &c2, sizeof(c));
	buf_clear(&b);
	assert_true(record_write_state(&s, &b));
	assert_true(record_read_state(buf_bytes(&b), &s2));
	assert_memory_equal(&s, &s2, sizeof(s));
	buf_wipe(&b);
}

/* Numbers that no counting leads to are damage: they would be added up. */
static void
counters_stay_within_their_range(void **state)
{
	static const struct {
		struct counter_row row;
		bool		   is_read;
	} rows[] = {
		{ { 0, 0, 0 }, true },
		{ { 29000000, 29000001, INT64_C(1) << 52 }, true },
		{ { 29000000, 29000001, (INT64_C(1) << 52) + 1 }, false },
		{ { -1, 29000001, 3 }, false },
		{ { INT64_MAX, 29000001, 3 }, false },
		{ { 29000000, -1, 3 }, false },
		{ { 29000000, INT64_MAX, 3 }, false },
		{ { 29000000, 29000001, INT64_MIN }, false },
	};
	struct counter_row r;
	struct buf	   b;
	char		   count[8];
	int64_t		   n;
	size_t		   i;

	(void)state;
	buf_init(&b, 100);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		buf_clear(&b);
		assert_true(record_write_counter(&rows[i].row, &b));
		if (record_read_counter(buf_bytes(&b), &r) !=
		    rows[i].is_read)
			fail_msg("row %zu", i);
	}
	buf_wipe(&b);
	db_put_be64(count, 7);
	assert_true(record_read_count((struct bytes){ count, 8 }, &n));
	assert_int_equal(n, 7);
	assert_false(record_read_count((struct bytes){ count, 7 }, &n));
	db_put_be64(count, (uint64_t)INT64_MAX);
	assert_false(record_read_count((struct bytes){ count, 8 }, &n));
}

static struct event
event_full(void)
{
	static const struct event_recipient to[2] = {
		{ BYTES("a@x"), BYTES("failed"), BYTES("5.1.1"),
		    BYTES("smtp; 550 5.1.1 no") },
		{ BYTES("b@y"), BYTES(""), BYTES(""), BYTES("") } };
	struct event ev = { .type = EVENT_BOUNCE, .at = { 1700000000123 },
		.message = id_of(4), .recipients = to, .recipient_count = 2,
		.reply = BYTES("250 ok"), .reporting_mta = BYTES("dns; m"),
		.remote_ip = BYTES("192.0.2.1"),
		.remote_host = BYTES("mx.example.org"), .rule = BYTES("N1"),
		.outgoing_ip = BYTES("203.0.113.1"),
		.outgoing_tls = BYTES("TLSv1.3"),
		.bounce_type = BOUNCE_TRANSIENT,
		.bounce_subtype = BOUNCE_SUB_ATTACHMENT_REJECTED,
		.feedback_id = BYTES("fid"), .delay_type =
		DELAY_SENDING_DEFERRAL, .expires = { 17 },
		.on_account_list = true, .user_agent = BYTES("agent/1"),
		.feedback_type = BYTES("abuse"), .arrival = { 99 },
		.attempts = 16, .simulator = true };

	memset(ev.id.b, 0xee, sizeof(ev.id.b));
	return ev;
}

/* Whoever adds a member stores it (record_event.c), then counts it here. */
static void
no_member_is_forgotten(void **state)
{
	(void)state;
	if (sizeof(void *) == 8)
		assert_int_equal(sizeof(struct event), 304);
}

static void
event_comes_back(void **state)
{
	struct event  ev = event_full(), out;
	struct arena *a = arena_new(8192);
	struct event_head head;
	struct buf    b;

	(void)state;
	buf_init(&b, 4000);
	assert_true(record_write_event(&ev, (struct wall){ 1700000000999 },
	    &b));
	assert_true(record_read_event_head(buf_bytes(&b), &head));
	assert_true(head.committed.ms == 1700000000999);
	assert_int_equal(head.type, EVENT_BOUNCE);
	assert_int_equal(msgid_cmp(&head.message, &ev.message), 0);
	assert_false(record_read_event_head(bytes_head(buf_bytes(&b), 40),
	    &head));
	assert_true(record_read_event(buf_bytes(&b), a, &out));
	assert_int_equal(out.type, EVENT_BOUNCE);
	assert_true(out.at.ms == ev.at.ms);
	assert_memory_equal(&out.id, &ev.id, sizeof(ev.id));
	assert_memory_equal(&out.message, &ev.message, sizeof(ev.message));
	assert_int_equal(out.recipient_count, 2);
	assert_bytes(out.recipients[0].diagnostic,
	    ev.recipients[0].diagnostic);
	assert_bytes(out.recipients[0].status, BYTES("5.1.1"));
	assert_bytes(out.recipients[0].action, BYTES("failed"));
	assert_bytes(out.recipients[1].address, BYTES("b@y"));
	assert_bytes(out.reply, ev.reply);
	assert_bytes(out.reporting_mta, ev.reporting_mta);
	assert_bytes(out.remote_ip, ev.remote_ip);
	assert_bytes(out.remote_host, ev.remote_host);
	assert_bytes(out.rule, ev.rule);
	assert_bytes(out.outgoing_ip, ev.outgoing_ip);
	assert_bytes(out.outgoing_tls, ev.outgoing_tls);
	assert_int_equal(out.bounce_type, ev.bounce_type);
	assert_int_equal(out.bounce_subtype, ev.bounce_subtype);
	assert_bytes(out.feedback_id, ev.feedback_id);
	assert_int_equal(out.delay_type, ev.delay_type);
	assert_true(out.expires.ms == 17 && out.arrival.ms == 99);
	assert_true(out.on_account_list && out.simulator);
	assert_bytes(out.user_agent, ev.user_agent);
	assert_bytes(out.feedback_type, ev.feedback_type);
	assert_int_equal(out.attempts, 16);
	buf_wipe(&b);
	arena_free(a);
}

static void
rare_events_come_back(void **state)
{
	struct message_tag	  link[1] = { { BYTES("k"), BYTES("v") } };
	struct event_tracking	  tracking = { BYTES("192.0.2.3"),
		      BYTES("Mozilla"), BYTES("https://x/"), link, 1 };
	struct event_failure	  failure = { BYTES("no field"), BYTES("t") };
	struct event_topic	  topics[2] = { { BYTES("news"), true },
		     { BYTES("ads"), false } };
	struct event_subscription sub = { BYTES("list"), BYTES("header"),
		{ true, topics, 2, NULL, 0 }, { false, topics, 1, topics, 2 } };
	struct event		  ev, out;
	struct arena		 *a = arena_new(8192);
	struct buf		  b;

	(void)state;
	buf_init(&b, 4000);
	memset(&ev, 0, sizeof(ev));
	ev.type = EVENT_CLICK;
	ev.tracking = &tracking;
	assert_true(record_write_event(&ev, ev.at, &b));
	assert_true(record_read_event(buf_bytes(&b), a, &out));
	assert_null(out.failure);
	assert_non_null(out.tracking);
	assert_bytes(out.tracking->link, tracking.link);
	assert_int_equal(out.tracking->link_tag_count, 1);
	assert_bytes(out.tracking->link_tags[0].value, BYTES("v"));

	buf_clear(&b);
	ev.type = EVENT_RENDERING_FAILURE;
	ev.tracking = NULL;
	ev.failure = &failure;
	assert_true(record_write_event(&ev, ev.at, &b));
	assert_true(record_read_event(buf_bytes(&b), a, &out));
	assert_bytes(out.failure->error_message, failure.error_message);

	buf_clear(&b);
	ev.type = EVENT_SUBSCRIPTION;
	ev.failure = NULL;
	ev.subscription = &sub;
	assert_true(record_write_event(&ev, ev.at, &b));
	assert_true(record_read_event(buf_bytes(&b), a, &out));
	assert_bytes(out.subscription->contact_list, BYTES("list"));
	assert_true(out.subscription->new_preferences.unsubscribe_all);
	assert_int_equal(out.subscription->new_preferences.status_count, 2);
	assert_false(out.subscription->new_preferences.status[1].opt_in);
	assert_int_equal(out.subscription->old_preferences.default_count, 2);
	assert_bytes(out.subscription->old_preferences.defaults[1].name,
	    BYTES("ads"));

	/* a plain one is small: it is written for every message */
	buf_clear(&b);
	memset(&ev, 0, sizeof(ev));
	ev.at.ms = 1700000000123;
	assert_true(record_write_event(&ev, ev.at, &b));
	assert_true(b.n < 60);
	buf_wipe(&b);
	arena_free(a);
}

/* Each prefix of a value, and each value with an octet more, is damaged. */
static void
cut_values_are_refused(void **state)
{
	struct recipient_row r = { .address = BYTES("a@example.org"),
		.attempts = 2, .last_reply = BYTES("450 later") }, rout;
	struct message_row   m = { .account = "123456789012" }, mout;
	struct event	     ev = event_full(), eout;
	struct buf	     b;
	struct arena	    *a;
	size_t		     n, bad = 0;
	char		    *exact;

	(void)state;
	buf_init(&b, 4000);
	record_write_recipient(&r, &b);
	for (n = 0; n < b.n; n++) {
		exact = malloc(n + 1); /* sanitizers see a read beyond */
		memcpy(exact, b.p, n);
		rout.n = 1;
		assert_false(record_read_recipient((struct bytes){ exact, n },
		    &rout));
		free(exact);
	}
	buf_add_char(&b, 0);
	assert_false(record_read_recipient(buf_bytes(&b), &rout));
	buf_clear(&b);
	record_write_message(&m, &b);
	for (n = 0; n < b.n; n++)
		assert_false(record_read_message(bytes_head(buf_bytes(&b), n),
		    &mout));
	buf_clear(&b);
	record_write_event(&ev, ev.at, &b);
	for (n = 0; n < b.n; n++) {
		a = arena_new(4096);
		if (!record_read_event(bytes_head(buf_bytes(&b), n), a, &eout))
			bad++;
		arena_free(a);
	}
	/* cut between two members it is a smaller event */
	assert_true(bad >= b.n - 24);
	buf_wipe(&b);
}

static void
hostile_counts_are_refused(void **state)
{
	/* a mail row whose recipient count is far beyond its length */
	struct mail_row r = { .account = "1" }, out;
	struct arena   *a = arena_new(1 << 20);
	struct buf	b;
	char	       *p;

	(void)state;
	buf_init(&b, 4000);
	assert_true(record_write_mail(&r, &b));
	b.n -= 2; /* both counts, which are 0 */
	p = buf_room(&b, 6);
	assert_non_null(p);
	memcpy(p, "\xff\xff\xff\xff\x7f\x00", 6);
	buf_commit(&b, 6);
	assert_false(record_read_mail(buf_bytes(&b), a, &out));
	/* a number of more than 64 bits */
	assert_false(record_read_message(
	    BYTES("\xff\xff\xff\xff\xff\xff\xff\xff\xff\x7f"),
	    &(struct message_row){ 0 }));
	/* an event tag of a later version is skipped */
	buf_clear(&b);
	{
		struct event ev = event_full(), eout;

		assert_true(record_write_event(&ev, ev.at, &b));
		buf_add(&b, "\x7a\x03xyz", 5);
		assert_true(record_read_event(buf_bytes(&b), a, &eout));
		assert_int_equal(eout.attempts, 16);
	}
	buf_wipe(&b);
	arena_free(a);
}

static void
full_buffer_is_told(void **state)
{
	struct event ev = event_full();
	struct buf   b;
	size_t	     max, need;

	(void)state;
	buf_init(&b, 4000);
	assert_true(record_write_event(&ev, ev.at, &b));
	need = b.n;
	buf_wipe(&b);
	for (max = 1; max < need; max += 7) {
		buf_init(&b, max);
		assert_false(record_write_event(&ev, ev.at, &b));
		buf_wipe(&b);
	}
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(counters_stay_within_their_range),
		cmocka_unit_test(keys_lie_in_order),
		cmocka_unit_test(counter_keys_do_not_mix_scopes),
		cmocka_unit_test(message_comes_back),
		cmocka_unit_test(recipient_comes_back),
		cmocka_unit_test(mail_comes_back),
		cmocka_unit_test(due_counter_and_state_come_back),
		cmocka_unit_test(no_member_is_forgotten),
		cmocka_unit_test(event_comes_back),
		cmocka_unit_test(rare_events_come_back),
		cmocka_unit_test(cut_values_are_refused),
		cmocka_unit_test(hostile_counts_are_refused),
		cmocka_unit_test(full_buffer_is_told),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

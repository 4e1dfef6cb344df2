/* SPDX-License-Identifier: ISC */
/* Block lists and own addresses (reputation.md 7.1, 7.2); reputation#23 on
 * this level. */
#include "book_world.h"

#include "registry/listing.h"
#include "registry/source.h"

enum { MINUTE = 60 * 1000, HOUR = 60 * MINUTE };

static void
test_record(void **state)
{
	struct listing l, back;
	struct buf     b;
	size_t	       n;

	(void)state;
	memset(&l, 0, sizeof(l));
	strcpy(l.address, "203.0.113.10");
	l.by = LISTING_BY_DNS;
	strcpy(l.list, "zen.example");
	l.listed = true;
	l.verdict = DNSBL_LISTED;
	strcpy(l.answer, "127.0.0.2");
	l.since.ms = world_time;
	l.earlier[1].ms = 5;
	strcpy(l.finding, "0123456789abcdef");
	buf_init(&b, 4096);
	assert_true(listing_write_record(&l, &b));
	assert_true(listing_read_record(buf_bytes(&b), &back));
	assert_memory_equal(&l, &back, sizeof(l));
	for (n = 0; n < b.n; n++)
		assert_false(listing_read_record(
		    bytes_head(buf_bytes(&b), n), &back));
	buf_wipe(&b);
}

static void
add_source(struct db_txn *t, const char *address, bool dedicated)
{
	struct source s;
	struct err    e;

	memset(&s, 0, sizeof(s));
	strcpy(s.address, address);
	assert_true(source_address_normal(address, s.address, &s.family));
	s.enabled = true;
	s.dedicated = dedicated;
	assert_int_equal(source_put(t, &s, &e), 0);
}

static const char *
blocked_by(struct db_txn *t, const char *address)
{
	static struct source s;
	struct err	     e;

	assert_int_equal(source_get(t, address, &s, &e), 1);
	return s.blocked_by;
}

static bool
note(struct db_txn *t, const char *list, int64_t at, struct listing_change *c)
{
	struct listing_reply r = { "203.0.113.10", list,
		"http://list.example/q", "sink.example",
		{ world_time + at } };
	struct err	     e;

	assert_int_equal(listing_note(t, &r, c, &e), 0);
	return c->moved;
}

struct findings {
	unsigned open, closed;
	struct finding last;
};

static bool
on_finding(void *arg, const struct finding *f)
{
	struct findings *x = arg;

	x->open += f->state == FINDING_OPEN;
	x->closed += f->state == FINDING_CLOSED;
	x->last = *f;
	return true;
}

static void
look(struct db_txn *t, unsigned open, unsigned closed, struct findings *x)
{
	struct err e;

	memset(x, 0, sizeof(*x));
	assert_int_equal(finding_each(t, NULL, on_finding, x, &e), 0);
	assert_int_equal(x->open, open);
	assert_int_equal(x->closed, closed);
}

/* delivery#25, its end: three within an hour; cleared 24 hours after the last. */
static void
body_replies(struct db_txn *t)
{
	struct listing_change c, gone[4];
	struct findings	      f;
	struct err	      e;

	add_source(t, "203.0.113.10", false);
	assert_false(note(t, "one.example", 0, &c));
	assert_false(note(t, "one.example", 30 * MINUTE, &c));
	/* the first was an hour ago */
	assert_false(note(t, "one.example", 60 * MINUTE, &c));
	/* another list is another matter */
	assert_false(note(t, "two.example", 61 * MINUTE, &c));
	assert_false(note(t, "", 61 * MINUTE, &c));
	assert_string_equal(c.l.list, "sink.example");
	look(t, 0, 0, &f);
	assert_true(note(t, "one.example", 89 * MINUTE, &c));
	assert_true(c.l.listed);
	assert_string_equal(c.l.url, "http://list.example/q");
	look(t, 1, 0, &f);
	assert_int_equal(f.last.type, FINDING_IP_BLOCKED);
	assert_string_equal(f.last.scope, "ip 203.0.113.10");
	assert_non_null(strstr(f.last.note, "listed by one.example"));
	/* told once */
	assert_false(note(t, "one.example", 2 * HOUR, &c));
	assert_int_equal(c.l.last.ms, world_time + 2 * HOUR);
	/* heard twice */
	assert_false(note(t, "one.example", 2 * HOUR, &c));
	assert_false(note(t, "three.example", 1, &c));
	assert_false(note(t, "three.example", 1, &c));
	assert_false(note(t, "three.example", 1, &c));
	/* a reply takes no address out of use */
	assert_true(listing_settle(t, true, &e) >= 0);
	assert_string_equal(blocked_by(t, "203.0.113.10"), "");
	assert_int_equal(listing_expire(t, (struct wall){ world_time +
	    26 * (int64_t)HOUR - 1 }, gone, 4, &e), 0);
	assert_int_equal(listing_expire(t, (struct wall){ world_time +
	    26 * (int64_t)HOUR }, gone, 4, &e), 1);
	assert_true(gone[0].moved);
	assert_false(gone[0].l.listed);
	look(t, 0, 1, &f);
	assert_int_equal(db_count(t, BOOK_LISTING), 0);
}

/* The zone or the address went: its row goes with the next round, unless it
 * tells of a listing. */
static void
body_stale(struct db_txn *t)
{
	static const enum dnsbl_verdict verdicts[] = { DNSBL_CLEAN,
		DNSBL_REFUSED, DNSBL_UNANSWERED, DNSBL_LISTED };
	struct listing_answer a = { "203.0.113.10", "z", DNSBL_CLEAN, "",
		{ world_time } };
	struct listing_change c, gone[4];
	struct err	      e;
	char		      zone[8];
	unsigned	      i;

	for (i = 0; i < 4; i++) {
		snprintf(zone, sizeof(zone), "z%u", i);
		a.zone = zone;
		a.verdict = verdicts[i];
		assert_true(listing_answer(t, &a, &c, &e) >= 0);
	}
	assert_int_equal(listing_expire(t, (struct wall){ world_time }, gone,
	    4, &e), 0);
	assert_int_equal(db_count(t, BOOK_LISTING), 4);
	assert_int_equal(listing_expire(t, (struct wall){ world_time + 1 },
	    gone, 4, &e), 0);
	assert_int_equal(db_count(t, BOOK_LISTING), 1);
}

/* Names are the receiver's choice. */
static void
body_hostile(struct db_txn *t)
{
	struct listing_change c;
	struct listing_reply  r = { "nonsense", "x", "", "g", { 1 } };
	struct err	      e;
	char		      name[32];
	unsigned	      i;

	assert_false(note(t, "a\n\"b\x01", 0, &c));
	assert_string_equal(c.l.list, "a?\"b?");
	assert_int_equal(listing_note(t, &r, &c, &e), 0);
	for (i = 0; i < LISTINGS_MAX + 10; i++) {
		snprintf(name, sizeof(name), "list%u", i);
		assert_false(note(t, name, 0, &c));
	}
	assert_int_equal(db_count(t, BOOK_LISTING), LISTINGS_MAX);
	/* what is known is known still */
	assert_false(note(t, "list1", 1, &c));
	assert_true(note(t, "list1", 2, &c));
}

static bool
answer(struct db_txn *t, const char *address, enum dnsbl_verdict v,
    int64_t at, struct listing_change *c)
{
	struct listing_answer a = { address, "zen.example", v,
		v == DNSBL_LISTED ? "127.0.0.2" : "", { world_time + at } };
	struct err	      e;

	assert_int_equal(listing_answer(t, &a, c, &e), 0);
	return c->moved;
}

/* reputation#23: taken out of use while another one is there. */
static void
body_dns(struct db_txn *t)
{
	struct listing_change c;
	struct findings	      f;
	struct err	      e;

	add_source(t, "203.0.113.10", false);
	add_source(t, "203.0.113.11", false);
	add_source(t, "203.0.113.12", true);
	add_source(t, "2001:db8::1", false);
	assert_false(answer(t, "203.0.113.11", DNSBL_CLEAN, 0, &c));
	assert_true(answer(t, "203.0.113.10", DNSBL_LISTED, 0, &c));
	assert_false(answer(t, "203.0.113.10", DNSBL_LISTED, 1, &c));
	look(t, 1, 0, &f);
	assert_int_equal(f.last.source, FINDING_BY_DNSBL);
	assert_int_equal(f.last.action, FINDING_NOTE);
	/* dnsbl.action = notify */
	assert_true(listing_settle(t, false, &e) >= 0);
	assert_string_equal(blocked_by(t, "203.0.113.10"), "");
	assert_int_equal(listing_settle(t, true, &e), 1);
	assert_int_equal(listing_settle(t, true, &e), 0);
	assert_string_equal(blocked_by(t, "203.0.113.10"), "zen.example");
	assert_string_equal(blocked_by(t, "203.0.113.11"), "");
	/* the last of its pool, and of its family, stays */
	assert_true(answer(t, "203.0.113.11", DNSBL_LISTED, 2, &c));
	assert_true(answer(t, "203.0.113.12", DNSBL_LISTED, 2, &c));
	assert_true(answer(t, "2001:db8::1", DNSBL_LISTED, 2, &c));
	assert_true(listing_settle(t, true, &e) >= 0);
	assert_string_equal(blocked_by(t, "203.0.113.10"), "zen.example");
	assert_string_equal(blocked_by(t, "203.0.113.11"), "");
	assert_string_equal(blocked_by(t, "203.0.113.12"), "");
	assert_string_equal(blocked_by(t, "2001:db8::1"), "");
	/* no answer, and no willing one, change nothing */
	assert_false(answer(t, "203.0.113.10", DNSBL_REFUSED, 3, &c));
	assert_true(c.l.listed);
	assert_false(answer(t, "203.0.113.10", DNSBL_UNANSWERED, 4, &c));
	assert_true(c.l.listed);
	/* it goes: now the other one is not the last any more */
	assert_true(answer(t, "203.0.113.10", DNSBL_CLEAN, 5, &c));
	assert_false(c.l.listed);
	look(t, 3, 1, &f);
	assert_true(listing_settle(t, true, &e) >= 0);
	assert_string_equal(blocked_by(t, "203.0.113.10"), "");
	assert_string_equal(blocked_by(t, "203.0.113.11"), "zen.example");
	assert_true(listing_settle(t, false, &e) >= 0);
	assert_string_equal(blocked_by(t, "203.0.113.11"), "");
}

/* A refusal at first sight is no listing. */
static void
body_refused(struct db_txn *t)
{
	struct listing_change c;
	struct findings	      f;

	assert_false(answer(t, "203.0.113.10", DNSBL_REFUSED, 0, &c));
	assert_false(c.l.listed);
	look(t, 0, 0, &f);
}

static void
test_replies(void **state)
{
	(void)state;
	world_test(body_replies);
}

static void
test_hostile(void **state)
{
	(void)state;
	world_test(body_stale);
	world_test(body_hostile);
}

static void
test_dns(void **state)
{
	(void)state;
	world_test(body_dns);
	world_test(body_refused);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_replies),
		cmocka_unit_test(test_hostile),
		cmocka_unit_test(test_dns),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

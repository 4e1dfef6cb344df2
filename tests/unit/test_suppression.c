/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include "registry/suppression.h"

static const int64_t day_ms = 24 * 60 * 60 * 1000;

static struct suppression
entry(const char *address, enum suppression_reason r, int64_t at_ms)
{
	struct suppression s = { .last = r, .updated = { at_ms },
		.source = SUPPRESSION_MANUAL };

	strcpy(s.account, world_account);
	strcpy(s.address, address);
	return s;
}

static void
add(struct db_txn *t, const char *address, enum suppression_reason r,
    int64_t at_ms)
{
	struct suppression s = entry(address, r, at_ms);
	struct err	   e;

	assert_int_equal(suppression_add(t, &s, &e), 1);
}

static struct suppression
get(struct db_txn *t, const char *address)
{
	struct suppression s;
	struct err	   e;

	assert_int_equal(suppression_get(t, world_account, bytes_of(address),
			     &s, &e), 1);
	return s;
}

/* -- entries ---------------------------------------------------------------- */

/* suppression#10 in part: what is the same address */
static void
body_same_address(struct db_txn *t)
{
	static const struct {
		const char *asked;
		int	    found;
	} rows[] = {
		{ "John.Doe@Example.com", 1 },
		{ "john.doe@example.com", 1 },
		{ "JOHN.DOE@EXAMPLE.COM", 1 },
		{ "\"john.doe\"@example.com", 1 },
		{ "john.doe+x@example.com", 0 },
		{ "johndoe@example.com", 0 },
		{ "john.doe@example.org", 0 },
		{ "john.doe", 0 },
		{ "", 0 },
	};
	struct suppression s;
	struct err	   e;
	size_t		   i;

	add(t, "John.Doe@Example.com", SUPPRESS_BOUNCE, world_time + 123);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		if (suppression_get(t, world_account,
			bytes_of(rows[i].asked), &s, &e) != rows[i].found)
			fail_msg("%s", rows[i].asked);
	s = get(t, "john.doe@example.com");
	assert_string_equal(s.address, "John.Doe@Example.com");
	assert_int_equal(s.updated.ms, world_time); /* whole seconds */
	assert_int_equal(suppression_get(t, world_other,
			     BYTES("john.doe@example.com"), &s, &e), 0);
}

/* suppression#11 in part: reasons unite, the last one shows */
static void
body_united(struct db_txn *t)
{
	struct suppression s = entry("A@b.example", SUPPRESS_BOUNCE,
	    world_time);
	struct err	   e;

	s.source = SUPPRESSION_AUTO;
	strcpy(s.message_id, "message-1");
	strcpy(s.feedback_id, "feedback-1");
	assert_int_equal(suppression_add(t, &s, &e), 1);
	s = entry("a@B.EXAMPLE", SUPPRESS_COMPLAINT, world_time + 5000);
	assert_int_equal(suppression_add(t, &s, &e), 1);
	s = get(t, "a@b.example");
	assert_string_equal(s.address, "A@b.example");
	assert_int_equal(s.reasons, SUPPRESS_ALL);
	assert_int_equal(s.last, SUPPRESS_COMPLAINT);
	assert_int_equal(s.updated.ms, world_time + 5000);
	assert_int_equal(s.source, SUPPRESSION_MANUAL);
	assert_string_equal(s.message_id, "");
	assert_int_equal(db_count(t, BOOK_SUPPRESSED_TIME), 1);
	assert_int_equal(suppression_remove(t, world_account,
			     BYTES("a@b.example"), &e), 1);
	assert_int_equal(suppression_remove(t, world_account,
			     BYTES("a@b.example"), &e), 0);
	assert_int_equal(db_count(t, BOOK_SUPPRESSED_TIME), 0);
	assert_int_equal(db_count(t, BOOK_SUPPRESSED), 0);
	s = entry("no address", SUPPRESS_BOUNCE, world_time);
	assert_int_equal(suppression_add(t, &s, &e), -1);
	assert_int_equal(e.code, BOOK_BAD_REQUEST);
	assert_string_equal(e.text, "not an address: no address");
}

static void
body_damaged(struct db_txn *t)
{
	static const char *const rows[] = { "", "\2", "\1\1a\0\1\0\0\0\0",
		"\1\1a\3\3\0\0\0\0", "\1\1a\1\2\0\0\0\0", "\1\1a\1\1\0\7\0\0",
		"\1\1a\1\1\0\0\0\0x" };
	static const size_t sizes[] = { 0, 1, 9, 9, 9, 9, 10 };
	struct suppression  s;
	struct err	    e;
	size_t		    i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(db_put(t, BOOK_SUPPRESSED,
				     BYTES("123456789012a@b.example"),
				     (struct bytes){ rows[i], sizes[i] },
				     false, &e), 0);
		if (suppression_get(t, world_account, BYTES("a@b.example"),
			&s, &e) != -1)
			fail_msg("row %zu", i);
		assert_string_equal(e.text, "suppression list of "
		    "123456789012: a record is damaged");
	}
}

/* -- the order of change ---------------------------------------------------- */

struct seen {
	char		  text[400];
	unsigned	  n, max;
	struct suppression_place last;
};

static bool
on_entry(void *arg, const struct suppression *s)
{
	struct seen *seen = arg;
	size_t	     n = strlen(seen->text);

	snprintf(seen->text + n, sizeof(seen->text) - n, "%s%s",
	    n > 0 ? " " : "", s->address);
	suppression_place_of(s, &seen->last);
	return ++seen->n < seen->max;
}

static void
expect_list(struct db_txn *t, struct suppression_place *after, unsigned max,
    const char *expected)
{
	struct seen seen = { .max = max };
	struct err  e;

	assert_int_equal(suppression_each(t, world_account, after, on_entry,
			     &seen, &e), 0);
	assert_string_equal(seen.text, expected);
	if (after != NULL)
		*after = seen.last;
}

/* suppression#18, 19 on this level: pages, and from a time on */
static void
body_order(struct db_txn *t)
{
	struct suppression_place place = { { 0 }, "" };
	struct suppression	 s;
	struct err		 e;

	add(t, "c@x.example", SUPPRESS_BOUNCE, 1604394129000);
	add(t, "b@x.example", SUPPRESS_BOUNCE, 1604394130000);
	add(t, "a@x.example", SUPPRESS_BOUNCE, 1604394130000);
	add(t, "d@x.example", SUPPRESS_BOUNCE, 1611126000000);
	s = entry("other@x.example", SUPPRESS_BOUNCE, 1604394130000);
	strcpy(s.account, world_other);
	assert_int_equal(suppression_add(t, &s, &e), 1);
	expect_list(t, NULL, 9,
	    "c@x.example a@x.example b@x.example d@x.example");
	expect_list(t, &place, 2, "c@x.example a@x.example");
	expect_list(t, &place, 2, "b@x.example d@x.example");
	expect_list(t, &place, 2, "");
	place = (struct suppression_place){ { 1604394130000 }, "" };
	expect_list(t, &place, 1, "a@x.example");
	/* the entry of a place has gone meanwhile */
	assert_int_equal(suppression_remove(t, world_account,
			     BYTES("a@x.example"), &e), 1);
	expect_list(t, &place, 9, "b@x.example d@x.example");
	assert_int_equal(suppression_purge(t, world_account, 2, &e), 2);
	assert_int_equal(suppression_purge(t, world_account, 2, &e), 1);
	assert_int_equal(suppression_purge(t, world_account, 2, &e), 0);
	assert_int_equal(db_count(t, BOOK_SUPPRESSED), 1);
	assert_int_equal(db_count(t, BOOK_SUPPRESSED_TIME), 1);
}

/* -- the installation's list ------------------------------------------------ */

static int
bounce(struct db_txn *t, const char *address, int64_t at_ms, const char *id,
    bool fixed)
{
	struct global_suppression g = { .listed = { at_ms } };
	struct err		  e;

	strcpy(g.address, address);
	strcpy(g.last_account, world_account);
	strcpy(g.last_feedback_id, id);
	return global_suppression_bounce(t, &g, fixed, &e);
}

static void
expect_global(struct db_txn *t, const char *address, unsigned count,
    int64_t expires_ms)
{
	struct global_suppression g;
	struct err		  e;

	assert_int_equal(global_suppression_get(t, bytes_of(address), &g, &e),
	    1);
	assert_int_equal(g.count, count);
	assert_int_equal(g.expires.ms, expires_ms);
	assert_true(global_suppression_is_active(&g,
	    (struct wall){ expires_ms - 1 }));
	assert_false(global_suppression_is_active(&g,
	    (struct wall){ expires_ms }));
}

/* suppression#15: until day 1, 5, 13, 28; the fifth 14 days again */
static void
body_escalation(struct db_txn *t)
{
	static const struct {
		const char *id;
		int	    day, until;
	} rows[] = { { "1", 0, 1 }, { "2", 2, 5 }, { "3", 6, 13 },
		{ "4", 14, 28 }, { "5", 30, 44 } };
	unsigned i;

	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		assert_int_equal(bounce(t, "X@dead.example",
				     rows[i].day * day_ms, rows[i].id, false),
		    1);
		expect_global(t, "x@DEAD.example", i + 1,
		    rows[i].until * day_ms);
		/* brought again after a crash */
		assert_int_equal(bounce(t, "x@dead.example",
				     rows[i].day * day_ms, rows[i].id, false),
		    0);
		expect_global(t, "x@dead.example", i + 1,
		    rows[i].until * day_ms);
	}
}

/* suppression#16 in part */
static void
body_fixed(struct db_txn *t)
{
	struct global_suppression g;
	struct err		  e;

	assert_int_equal(bounce(t, "x@dead.example", 0, "1", true), 1);
	expect_global(t, "x@dead.example", 1, 14 * day_ms);
	/* another policy since: it does not become shorter */
	assert_int_equal(bounce(t, "x@dead.example", day_ms, "2", false), 1);
	expect_global(t, "x@dead.example", 2, 14 * day_ms);
	assert_int_equal(global_suppression_remove(t,
			     BYTES("X@DEAD.example"), &e), 1);
	assert_int_equal(global_suppression_remove(t,
			     BYTES("x@dead.example"), &e), 0);
	assert_int_equal(global_suppression_get(t, BYTES("x@dead.example"),
			     &g, &e), 0);
	assert_int_equal(bounce(t, "no address", 0, "1", false), -1);
}

static bool
on_global(void *arg, const struct global_suppression *g)
{
	strcat(arg, g->address);
	return true;
}

/* remembered for 90 days after the end */
static void
body_sweep(struct db_txn *t)
{
	static const struct wall now = { 100 * 24 * 60 * 60 * 1000LL };
	char	   place[ADDRESS_TEXT_MAX] = "", text[100] = "";
	struct err e;

	bounce(t, "a@x", 9 * day_ms - 1, "1", false); /* ends on day 10 - 1ms */
	bounce(t, "b@x", 9 * day_ms, "1", false);
	bounce(t, "c@x", 8 * day_ms, "1", false);
	bounce(t, "d@x", 10 * day_ms, "1", false);
	assert_int_equal(global_suppression_sweep(t, place, 2, now, &e), 1);
	assert_string_equal(place, "b@x");
	assert_int_equal(global_suppression_sweep(t, place, 2, now, &e), 1);
	assert_string_equal(place, "");
	assert_int_equal(global_suppression_each(t, "", on_global, text, &e),
	    0);
	assert_string_equal(text, "b@xd@x");
	text[0] = '\0';
	assert_int_equal(global_suppression_each(t, "b@x", on_global, text,
			     &e), 0);
	assert_string_equal(text, "d@x");
}

/* -- the decision ----------------------------------------------------------- */

enum { NO_SET = -1 };

/* suppression#2, 3, 5, 13, 14, 17 on this level: the tables of sections 2.2,
 * 2.4 and 3 */
static void
body_decision(struct db_txn *t)
{
	static const struct {
		const char *address; /* what it is listed for */
		unsigned    account;
		int	    set;
		bool	    global, always;
		enum suppression_answer answer;
	} rows[] = {
		/* the account's setting */
		{ "b@x", 1, NO_SET, true, false, SUPPRESSION_BOUNCE },
		{ "c@x", 1, NO_SET, true, false, SUPPRESSION_NONE },
		{ "bc@x", 1, NO_SET, true, false, SUPPRESSION_BOUNCE },
		{ "b@x", 2, NO_SET, true, false, SUPPRESSION_NONE },
		{ "c@x", 2, NO_SET, true, false, SUPPRESSION_COMPLAINT },
		{ "bc@x", 2, NO_SET, true, false, SUPPRESSION_COMPLAINT },
		{ "b@x", 3, NO_SET, true, false, SUPPRESSION_BOUNCE },
		{ "c@x", 3, NO_SET, true, false, SUPPRESSION_COMPLAINT },
		{ "bc@x", 3, NO_SET, true, false, SUPPRESSION_BOUNCE },
		{ "b@x", 0, NO_SET, true, false, SUPPRESSION_NONE },
		{ "none@x", 3, NO_SET, true, false, SUPPRESSION_NONE },
		/* the set's */
		{ "b@x", 3, 0, true, false, SUPPRESSION_NONE },
		{ "c@x", 3, 0, true, false, SUPPRESSION_NONE },
		{ "b@x", 3, 2, true, false, SUPPRESSION_NONE },
		{ "c@x", 3, 2, true, false, SUPPRESSION_COMPLAINT },
		{ "b@x", 0, 1, true, false, SUPPRESSION_BOUNCE },
		/* the installation's list */
		{ "g@x", 0, NO_SET, true, false, SUPPRESSION_GLOBAL },
		{ "g@x", 0, NO_SET, false, false, SUPPRESSION_NONE },
		{ "g@x", 3, NO_SET, true, false, SUPPRESSION_NONE },
		{ "g@x", 3, NO_SET, true, true, SUPPRESSION_GLOBAL },
		{ "g@x", 0, 0, true, false, SUPPRESSION_NONE },
		{ "g@x", 0, 0, true, true, SUPPRESSION_NONE },
		{ "g@x", 0, 2, true, false, SUPPRESSION_GLOBAL },
		{ "old@x", 0, NO_SET, true, true, SUPPRESSION_NONE },
	};
	struct suppression_question q = { .account = world_account,
		.now = { world_time } };
	enum suppression_answer a;
	struct err		e;
	size_t			i;

	add(t, "b@x", SUPPRESS_BOUNCE, 0);
	add(t, "c@x", SUPPRESS_COMPLAINT, 0);
	add(t, "bc@x", SUPPRESS_BOUNCE, 0);
	add(t, "bc@x", SUPPRESS_COMPLAINT, 1000);
	bounce(t, "g@x", world_time - 1000, "1", false);
	bounce(t, "old@x", world_time - day_ms, "1", false);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		q.address = bytes_of(rows[i].address);
		q.account_reasons = rows[i].account;
		q.has_set = rows[i].set != NO_SET;
		q.set_reasons = q.has_set ? (unsigned)rows[i].set : 0;
		q.global = rows[i].global;
		q.global_always = rows[i].always;
		assert_int_equal(suppression_check(t, &q, &a, &e), 0);
		if (a != rows[i].answer)
			fail_msg("row %zu: %d", i, (int)a);
	}
}

static void
test_words(void **state)
{
	enum suppression_reason r;

	(void)state;
	assert_true(suppression_reason_from_text(BYTES("Bounce"), &r));
	assert_int_equal(r, SUPPRESS_BOUNCE);
	assert_true(suppression_reason_from_text(BYTES("COMPLAINT"), &r));
	assert_int_equal(r, SUPPRESS_COMPLAINT);
	assert_false(suppression_reason_from_text(BYTES("bounced"), &r));
	assert_false(suppression_reason_from_text(BYTES(""), &r));
	assert_string_equal(suppression_reason_to_text(r), "COMPLAINT");
	assert_string_equal(suppression_source_to_text(SUPPRESSION_IMPORT),
	    "import");
}

#define BODY(name)                              \
	static void test_##name(void **state)   \
	{                                       \
		(void)state;                    \
		world_test(body_##name);        \
	}
BODY(same_address)
BODY(united)
BODY(damaged)
BODY(order)
BODY(escalation)
BODY(fixed)
BODY(sweep)
BODY(decision)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_words),
		cmocka_unit_test(test_same_address),
		cmocka_unit_test(test_united),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_escalation),
		cmocka_unit_test(test_fixed),
		cmocka_unit_test(test_sweep),
		cmocka_unit_test(test_decision),
	};

	return cmocka_run_group_tests_name("suppression", tests, NULL, NULL);
}

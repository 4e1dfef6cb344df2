/* SPDX-License-Identifier: ISC */
/* What is known of MAIL FROM domains (mail-from-spf-dmarc.md 6);
 * mail-from#15,16 on this level. */
#include "book_world.h"

#include "registry/spf_state.h"

static void
answer(struct spf_state *s, const char *address, enum dkim_outcome o,
    const char *hint)
{
	struct verify_result r;

	memset(&r, 0, sizeof(r));
	r.outcome = o;
	r.spf.record.all = '~';
	r.spf.result = SPF_OUTCOME_SOFTFAIL;
	snprintf(r.hint, sizeof(r.hint), "%s", hint);
	spf_state_add(s, address, &r);
}

static void
test_finding(void **state)
{
	static const struct {
		enum dkim_outcome outcome;
		bool		  names_us;
		char		  all;
		const char	 *finding;
	} rows[] = {
		{ DKIM_MATCH, false, '-', "" },
		{ DKIM_MATCH, false, 0, "" },
		{ DKIM_MATCH, false, '+',
		    "An SPF configuration issue was found." },
		{ DKIM_MATCH, true, '?',
		    "An SPF configuration issue was found." },
		{ DKIM_ABSENT, false, 0, "SPF record was not found." },
		{ DKIM_MISMATCH, false, '-',
		    "SPF record for posthorn was not found." },
		{ DKIM_MISMATCH, true, '-',
		    "An SPF configuration issue was found." },
		{ DKIM_MALFORMED, false, 0,
		    "An SPF configuration issue was found." },
		{ DKIM_DNS_ERROR, false, 0, NULL },
	};
	struct verify_result r;
	const char	    *finding;
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		memset(&r, 0, sizeof(r));
		r.outcome = rows[i].outcome;
		r.spf.names_us = rows[i].names_us;
		r.spf.record.all = rows[i].all;
		finding = spf_state_finding(&r);
		if (rows[i].finding == NULL)
			assert_null(finding);
		else
			assert_string_equal(finding, rows[i].finding);
	}
}

/* One that fails is enough; all that fail are listed. */
static void
test_add(void **state)
{
	struct spf_state s;

	(void)state;
	memset(&s, 0, sizeof(s));
	answer(&s, "203.0.113.1", DKIM_MATCH, "");
	assert_int_equal(s.standing, SPF_PASSES);
	answer(&s, "203.0.113.2", DKIM_DNS_ERROR, "");
	assert_int_equal(s.standing, SPF_PASSES);
	assert_true(s.is_open);
	answer(&s, "203.0.113.3", DKIM_MISMATCH, "");
	answer(&s, "203.0.113.4", DKIM_MATCH, "");
	answer(&s, "203.0.113.5", DKIM_MALFORMED, "2 records");
	assert_int_equal(s.standing, SPF_FAILS);
	assert_string_equal(s.finding,
	    "SPF record for posthorn was not found.");
	assert_string_equal(s.detail,
	    "203.0.113.3 softfail, 203.0.113.5 2 records");
}

/* Outcomes of one address at that minute; is it told? */
static bool
note(struct db_txn *t, const char *domain, enum dkim_outcome o, int minute,
    struct spf_state_change *c)
{
	struct spf_state s;
	struct err	 e;

	memset(&s, 0, sizeof(s));
	strcpy(s.account, world_account);
	snprintf(s.domain, sizeof(s.domain), "%s", domain);
	answer(&s, "203.0.113.1", o, "");
	assert_int_equal(spf_state_note(t, &s,
	    (struct wall){ world_time + minute * 60000 }, c, &e), 0);
	return c->moved;
}

static void
body_states(struct db_txn *t)
{
	struct spf_state_change c;

	/* that all is well from the beginning is no news */
	assert_false(note(t, "mail.example", DKIM_MATCH, 0, &c));
	assert_int_equal(c.s.standing, SPF_PASSES);
	/* no answer moves nothing */
	assert_false(note(t, "mail.example", DKIM_DNS_ERROR, 1, &c));
	assert_int_equal(c.s.standing, SPF_PASSES);
	assert_int_equal(c.s.last.ms, world_time);
	assert_true(note(t, "mail.example", DKIM_MISMATCH, 2, &c));
	assert_int_equal(c.from, SPF_PASSES);
	assert_int_equal(c.s.standing, SPF_FAILS);
	assert_int_equal(c.s.since.ms, world_time + 120000);
	assert_false(note(t, "mail.example", DKIM_MISMATCH, 3, &c));
	assert_int_equal(c.s.since.ms, world_time + 120000);
	assert_false(note(t, "mail.example", DKIM_DNS_ERROR, 4, &c));
	assert_int_equal(c.s.standing, SPF_FAILS);
	assert_string_equal(c.s.detail, "203.0.113.1 softfail");
	/* another finding is news */
	assert_true(note(t, "mail.example", DKIM_ABSENT, 5, &c));
	assert_true(note(t, "mail.example", DKIM_MATCH, 6, &c));
	assert_int_equal(c.from, SPF_FAILS);
	assert_int_equal(c.s.standing, SPF_PASSES);
	/* one that fails from the beginning is told */
	assert_true(note(t, "new.example", DKIM_ABSENT, 6, &c));
	assert_int_equal(c.from, SPF_NOT_KNOWN);
	assert_false(note(t, "third.example", DKIM_DNS_ERROR, 6, &c));
	assert_int_equal(c.s.standing, SPF_NOT_KNOWN);
	assert_int_equal(c.s.last.ms, 0);
}

static void
body_expire(struct db_txn *t)
{
	struct spf_state_change c;
	struct spf_state	s;
	struct err		e;

	note(t, "old.example", DKIM_MATCH, 0, &c);
	note(t, "mail.example", DKIM_MATCH, 1, &c);
	assert_int_equal(spf_state_expire(t,
	    (struct wall){ world_time + 60000 }, &e), 0);
	assert_int_equal(spf_state_get(t, world_account, "old.example", &s,
	    &e), 0);
	assert_int_equal(spf_state_get(t, world_account, "mail.example", &s,
	    &e), 1);
	/* of the account alone */
	assert_int_equal(spf_state_get(t, "", "mail.example", &s, &e), 0);
}

/* A whole record where that of another domain belongs is told, not used. */
static void
body_misplaced(struct db_txn *t)
{
	struct spf_state_change c;
	struct spf_state	s;
	struct buf		b;
	struct err		e;
	char			key[64];

	note(t, "mail.example", DKIM_MATCH, 0, &c);
	buf_init(&b, 4096);
	assert_true(spf_state_write_record(&c.s, &b));
	snprintf(key, sizeof(key), "%sother.example", world_account);
	assert_int_equal(db_put(t, BOOK_SPF, bytes_of(key), buf_bytes(&b),
	    false, &e), 0);
	buf_wipe(&b);
	assert_int_equal(spf_state_get(t, world_account, "other.example", &s,
	    &e), -1);
	assert_string_equal(e.text,
	    "SPF of other.example: the record is damaged");
	assert_int_equal(spf_state_expire(t, (struct wall){ world_time }, &e),
	    -1);
	assert_string_equal(e.text, "an SPF record of the store is damaged");
}

static void
test_states(void **state)
{
	(void)state;
	world_test(body_states);
	world_test(body_expire);
	world_test(body_misplaced);
}

static void
test_record(void **state)
{
	struct spf_state s, back;
	struct buf	 b;
	size_t		 n;

	(void)state;
	memset(&s, 0, sizeof(s));
	strcpy(s.account, "123456789012");
	strcpy(s.domain, "mail.example.com");
	s.standing = SPF_FAILS;
	strcpy(s.finding, "SPF record was not found.");
	strcpy(s.detail, "203.0.113.1 none");
	s.since.ms = 5;
	s.asked.ms = 7;
	buf_init(&b, 4096);
	assert_true(spf_state_write_record(&s, &b));
	assert_true(spf_state_read_record(buf_bytes(&b), &back));
	assert_memory_equal(&s, &back, sizeof(s));
	for (n = 0; n < b.n; n++)
		assert_false(spf_state_read_record(bytes_head(buf_bytes(&b),
		    n), &back));
	buf_wipe(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_finding),
		cmocka_unit_test(test_add),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_record),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

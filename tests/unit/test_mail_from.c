/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include "registry/identity_check.h"
#include "registry/mail_from.h"

#define MINUTE ((int64_t)60000)
#define HOUR (60 * MINUTE)

static struct identity
verified(const char *account, const char *name)
{
	struct identity i;

	identity_init(&i, account, name, (struct wall){ world_time });
	i.link.status = IDENTITY_SUCCESS;
	i.method = METHOD_OVERRIDE;
	return i;
}

static void
put(struct db_txn *t, const struct identity *i)
{
	struct err e;

	assert_int_equal(identity_put(t, i, &e), 0);
}

static void
set(struct db_txn *t, struct identity *i, const char *domain, bool reject)
{
	struct mail_from_wish w = { domain, reject, false };
	struct err	      e;

	assert_int_equal(mail_from_set(t, i, &w, (struct wall){ world_time },
			     &e), 0);
	put(t, i);
}

/* -- the record ------------------------------------------------------------ */

static void
body_record(struct db_txn *t)
{
	struct identity a = verified(world_account, "example.com"), b;
	char		owner[ACCOUNT_ID_SIZE];
	struct err	e;

	put(t, &a);
	set(t, &a, "Mail.Example.COM.", true);
	a.mail_from.last_outcome = DKIM_MULTIPLE;
	a.mail_from.orphaned = true;
	a.mail_from.check.error = IDENTITY_INVALID_VALUE;
	strcpy(a.mail_from.hint, "two");
	put(t, &a);
	assert_int_equal(identity_get(t, world_account, "example.com", &b,
			     &e), 1);
	assert_memory_equal(&a.mail_from, &b.mail_from, sizeof(a.mail_from));
	assert_string_equal(b.mail_from.domain, "mail.example.com");
	assert_true(identity_due(&b).ms == world_time);

	assert_int_equal(mail_from_owner(t, BYTES("mail.example.com"), owner,
			     &e), 1);
	assert_string_equal(owner, world_account);
	assert_int_equal(mail_from_owner(t, BYTES("mail.example.co"), owner,
			     &e), 0);
	assert_int_equal(mail_from_owner(t, BYTES("mail.example.com.au"),
			     owner, &e), 0);
	assert_int_equal(mail_from_owner(t, BYTES(""), owner, &e), 0);
	mail_from_clear(&b);
	put(t, &b);
	assert_int_equal(mail_from_owner(t, BYTES("mail.example.com"), owner,
			     &e), 0);
	assert_true(identity_due(&b).ms == 0);
	set(t, &b, "mail.example.com", false);
	assert_int_equal(identity_delete(t, world_account, "example.com",
			     &e), 1);
	assert_int_equal(mail_from_owner(t, BYTES("mail.example.com"), owner,
			     &e), 0);
}

static void
test_record(void **state)
{
	(void)state;
	world_test(body_record);
}

/* -- the choice ------------------------------------------------------------ */

static void
chosen(struct db_txn *t, const char *from, enum mail_from_use use,
    const char *domain, const char *by)
{
	struct mail_from_choice c;
	struct err		e;

	assert_int_equal(mail_from_choose(t, world_account, bytes_of(from),
			     (struct wall){ world_time }, &c, &e), 0);
	assert_int_equal(c.use, use);
	assert_string_equal(c.domain, domain);
	assert_string_equal(c.identity, by);
}

static void
body_choice(struct db_txn *t)
{
	struct identity top = verified(world_account, "example.com");
	struct identity sub = verified(world_account, "a.example.com");
	struct identity box = verified(world_account, "m@a.example.com");
	static const struct {
		enum identity_status status;
		bool		     reject;
		enum mail_from_use   use;
	} rows[] = {
		{ IDENTITY_PENDING, false, MAIL_FROM_DEFAULT },
		{ IDENTITY_SUCCESS, false, MAIL_FROM_CUSTOM },
		{ IDENTITY_TEMPORARY_FAILURE, false, MAIL_FROM_DEFAULT },
		{ IDENTITY_FAILED, false, MAIL_FROM_DEFAULT },
		{ IDENTITY_PENDING, true, MAIL_FROM_REFUSED },
		{ IDENTITY_SUCCESS, true, MAIL_FROM_CUSTOM },
		{ IDENTITY_TEMPORARY_FAILURE, true, MAIL_FROM_REFUSED },
		{ IDENTITY_FAILED, true, MAIL_FROM_REFUSED },
	};
	size_t n;

	put(t, &top);
	put(t, &sub);
	put(t, &box);
	chosen(t, "m@a.example.com", MAIL_FROM_DEFAULT, "", "");
	set(t, &top, "b.example.com", false);
	for (n = 0; n < sizeof(rows) / sizeof(rows[0]); n++) {
		top.mail_from.check.status = rows[n].status;
		top.mail_from.reject = rows[n].reject;
		put(t, &top);
		chosen(t, "m+x@a.example.com", rows[n].use,
		    rows[n].use == MAIL_FROM_DEFAULT ? "" : "b.example.com",
		    "example.com");
	}
	top.mail_from.check.status = IDENTITY_SUCCESS;
	put(t, &top);
	/* what is more specific decides, also when it waits */
	set(t, &sub, "b.a.example.com", false);
	chosen(t, "m@a.example.com", MAIL_FROM_DEFAULT, "", "a.example.com");
	chosen(t, "m@example.com", MAIL_FROM_CUSTOM, "b.example.com",
	    "example.com");
	mail_from_opt_out(&box);
	put(t, &box);
	chosen(t, "m@a.example.com", MAIL_FROM_DEFAULT, "",
	    "m@a.example.com");
	chosen(t, "n@a.example.com", MAIL_FROM_DEFAULT, "", "a.example.com");
	/* what is not verified decides nothing */
	sub.link.status = IDENTITY_FAILED;
	put(t, &sub);
	chosen(t, "n@a.example.com", MAIL_FROM_CUSTOM, "b.example.com",
	    "example.com");
	chosen(t, "m@a.example.com", MAIL_FROM_DEFAULT, "",
	    "m@a.example.com");
	chosen(t, "m@elsewhere.example", MAIL_FROM_DEFAULT, "", "");
}

static void
test_choice(void **state)
{
	(void)state;
	world_test(body_choice);
}

/* -- set again ------------------------------------------------------------- */

static void
body_again(struct db_txn *t)
{
	struct identity i = verified(world_account, "example.com");

	put(t, &i);
	set(t, &i, "b.example.com", false);
	i.mail_from.check.status = IDENTITY_SUCCESS;
	/* the other behaviour alone does not start it anew */
	set(t, &i, "b.example.com", true);
	assert_int_equal(i.mail_from.check.status, IDENTITY_SUCCESS);
	assert_true(i.mail_from.reject);
	set(t, &i, "c.example.com", false);
	assert_int_equal(i.mail_from.check.status, IDENTITY_PENDING);
	assert_false(i.mail_from.reject);
	i.mail_from.check.status = IDENTITY_FAILED;
	set(t, &i, "c.example.com", false);
	assert_int_equal(i.mail_from.check.status, IDENTITY_PENDING);
}

static void
test_again(void **state)
{
	(void)state;
	world_test(body_again);
}

/* -- many addresses lose the domain above them ----------------------------- */

static void
body_orphans(struct db_txn *t)
{
	struct identity top = verified(world_account, "example.com"), i;
	char		name[64];
	struct err	e;
	unsigned	n;

	put(t, &top);
	for (n = 0; n < 150; n++) {
		snprintf(name, sizeof(name), "u%u@example.com", n);
		i = verified(world_account, name);
		set(t, &i, "b.example.com", false);
	}
	i = verified(world_account, "u@x.example.com");
	put(t, &i);
	assert_int_equal(mail_from_orphan(t, world_account, "example.com",
			     (struct wall){ world_time }, &e), 0);
	assert_int_equal(identity_get(t, world_account, "u149@example.com",
			     &i, &e), 1);
	assert_false(i.mail_from.orphaned); /* it is still there */
	assert_int_equal(identity_delete(t, world_account, "example.com",
			     &e), 1);
	assert_int_equal(mail_from_orphan(t, world_account, "example.com",
			     (struct wall){ world_time + HOUR }, &e), 0);
	for (n = 0; n < 150; n++) {
		snprintf(name, sizeof(name), "u%u@example.com", n);
		assert_int_equal(identity_get(t, world_account, name, &i,
				     &e), 1);
		assert_true(i.mail_from.orphaned);
		assert_true(identity_due(&i).ms == world_time + HOUR);
	}
	chosen(t, "u7@example.com", MAIL_FROM_DEFAULT, "", "u7@example.com");
}

static void
test_orphans(void **state)
{
	(void)state;
	world_test(body_orphans);
}

/* -- the machine ----------------------------------------------------------- */

struct story {
	struct identity		    i;
	struct identity_keys	    ks;
	struct identity_check_input in;
	struct identity_decision    d;
};

static void
begin(struct story *s)
{
	memset(s, 0, sizeof(*s));
	s->in.now.ms = world_time;
	s->in.recheck_ms = HOUR;
	s->in.mail_from_recheck_ms = 6 * HOUR;
	s->i = verified(world_account, "example.com");
	s->i.dkim.status = IDENTITY_SUCCESS;
	s->i.dkim.next_check.ms = world_time + 5 * HOUR;
	strcpy(s->i.mail_from.domain, "b.example.com");
	s->i.mail_from.check.status = IDENTITY_PENDING;
	s->i.mail_from.check.since = s->in.now;
	s->i.mail_from.check.next_check = s->in.now;
	s->i.mail_from.check.deadline.ms = world_time + 72 * HOUR;
}

/* One check when it is due; returns how long after the last one that was. */
static int64_t
check(struct story *s, enum dkim_outcome o)
{
	struct identity_results r;
	int64_t			after = s->i.mail_from.check.next_check.ms -
			 s->in.now.ms;

	s->in.now = s->i.mail_from.check.next_check;
	identity_check_time(&s->i, &s->ks, &s->in, &s->d);
	if (!identity_check_mail_from_due(&s->i, s->in.now))
		return after;
	memset(&r, 0, sizeof(r));
	r.mail_from = o;
	r.mail_from_error = identity_error_of(o, true);
	r.only_mail_from = true;
	identity_check_apply(&s->i, &s->ks, &r, &s->in, &s->d);
	return after;
}

static void
test_pending(void **state)
{
	struct story *s = test_malloc(sizeof(*s));
	int64_t	      after;
	unsigned      checks = 0;

	(void)state;
	begin(s);
	while (s->i.mail_from.check.status == IDENTITY_PENDING) {
		after = check(s, checks % 2 == 0 ? DKIM_MISMATCH :
						   DKIM_DNS_ERROR);
		checks++;
		if (checks == 2)
			assert_true(after == MINUTE);
		if (checks == 20)
			assert_true(after == 5 * MINUTE);
	}
	assert_true(s->in.now.ms == world_time + 72 * HOUR);
	assert_int_equal(s->i.mail_from.check.status, IDENTITY_FAILED);
	assert_int_equal(s->d.notice_count, 1);
	assert_int_equal(s->d.notices[0].machine, MACHINE_MAIL_FROM);
	assert_int_equal(s->d.notices[0].from, IDENTITY_PENDING);
	assert_int_equal(checks, 15 + 21 + 88 + 48 + 1);
	assert_true(s->i.mail_from.check.next_check.ms == 0);
	/* the keys have not been asked about, nor is anything known of them */
	assert_true(s->i.dkim.next_check.ms == world_time + 5 * HOUR);
	assert_true(s->i.dkim.last_check.ms == 0);
	test_free(s);
}

static void
test_success(void **state)
{
	struct story *s = test_malloc(sizeof(*s));

	(void)state;
	begin(s);
	check(s, DKIM_MATCH);
	assert_int_equal(s->i.mail_from.check.status, IDENTITY_SUCCESS);
	assert_int_equal(s->d.notice_count, 1);
	/* its own interval; one miss is none */
	assert_true(check(s, DKIM_ABSENT) == 6 * HOUR);
	assert_int_equal(s->d.notice_count, 0);
	assert_true(identity_check_mail_from_authoritative(&s->i));
	assert_true(check(s, DKIM_MATCH) == 15 * MINUTE);
	assert_int_equal(s->d.notice_count, 0);
	assert_false(identity_check_mail_from_authoritative(&s->i));
	check(s, DKIM_MULTIPLE);
	check(s, DKIM_MULTIPLE);
	assert_int_equal(s->i.mail_from.check.status,
	    IDENTITY_TEMPORARY_FAILURE);
	assert_true(s->d.notices[0].deadline.ms == s->in.now.ms + 72 * HOUR);
	assert_true(check(s, DKIM_ABSENT) == 15 * MINUTE);
	assert_true(check(s, DKIM_MATCH) == 15 * MINUTE);
	assert_int_equal(s->i.mail_from.check.status, IDENTITY_SUCCESS);
	test_free(s);
}

/* Nothing but DNS trouble for a day is a miss, too. */
static void
test_dns_trouble(void **state)
{
	struct story *s = test_malloc(sizeof(*s));
	unsigned      n;

	(void)state;
	begin(s);
	check(s, DKIM_MATCH);
	for (n = 0; n < 4; n++) {
		check(s, DKIM_DNS_ERROR);
		assert_true(s->i.mail_from.check.first_miss.ms == 0);
	}
	check(s, DKIM_DNS_ERROR); /* 24 h after the first one */
	assert_true(s->i.mail_from.check.first_miss.ms != 0);
	check(s, DKIM_DNS_ERROR);
	assert_int_equal(s->i.mail_from.check.status,
	    IDENTITY_TEMPORARY_FAILURE);
	test_free(s);
}

/* All at once: keys and MAIL FROM domain move by themselves. */
static void
test_orphaned(void **state)
{
	struct story *s = test_malloc(sizeof(*s));

	(void)state;
	begin(s);
	check(s, DKIM_MATCH);
	s->i.mail_from.orphaned = true;
	identity_check_time(&s->i, &s->ks, &s->in, &s->d);
	assert_int_equal(s->i.mail_from.check.status, IDENTITY_FAILED);
	assert_int_equal(s->d.notice_count, 1);
	identity_check_time(&s->i, &s->ks, &s->in, &s->d);
	assert_int_equal(s->d.notice_count, 0);
	assert_int_equal(identity_status(&s->i), IDENTITY_SUCCESS);
	test_free(s);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_record),
		cmocka_unit_test(test_choice),
		cmocka_unit_test(test_again),
		cmocka_unit_test(test_orphans),
		cmocka_unit_test(test_pending),
		cmocka_unit_test(test_success),
		cmocka_unit_test(test_dns_trouble),
		cmocka_unit_test(test_orphaned),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * dkim.md 8 to 10, identities-and-policies.md 4: relay's side of the checks,
 * over days of the fake clock, against a verifier that finds what the test
 * says.
 */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "registry/identity_check.h"
#include "reporting/verification.h"

static const char *const contact[] = { "owner@example.com", NULL };
static const int64_t day = 24 * 3600 * 1000;

static int
make(void **state)
{
	struct rw *w = calloc(1, sizeof(*w));

	rw_open(w);
	*state = w;
	return 0;
}

static int
unmake(void **state)
{
	struct rw *w = *state;

	rw_close(w);
	free(w);
	return 0;
}

/* -- identities -------------------------------------------------------- */

struct plan {
	const char *name;
	bool	    cname, external, token, override;
};

static void
settings(struct identity_check_input *in)
{
	memset(in, 0, sizeof(*in));
	in->now = clock_wall();
	in->recheck_ms = 6 * hour;
	in->retire_after_ms = 14 * day;
	in->min_visible_ms = hour;
}

static void
fill_key(struct dkim_key *k, const char *domain, const char *selector)
{
	memset(k, 0, sizeof(*k));
	snprintf(k->account, sizeof(k->account), "%s", rw_account);
	snprintf(k->domain, sizeof(k->domain), "%s", domain);
	snprintf(k->selector, sizeof(k->selector), "%s", selector);
	k->bits = 2048;
	k->created = clock_wall();
	k->public_n = 294;
	memset(k->public_key, 'P', k->public_n);
	k->sealed_n = 32;
	memset(k->sealed, 'S', k->sealed_n);
}

static void
plan_keys(const struct plan *p, struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct err *e)
{
	struct identity_keys *fresh = mem_alloc(sizeof(*fresh));
	char		      selector[SELECTOR_SIZE];
	unsigned	      n;

	fresh->n = p->external ? 1 : identity_managed_count(p->cname);
	for (n = 0; n < fresh->n; n++) {
		snprintf(selector, sizeof(selector), "s%u-%.40s", n + 1,
		    p->name);
		selector[strcspn(selector, ".")] = '\0';
		fill_key(&fresh->v[n], p->name, selector);
	}
	if (p->external)
		assert_int_equal(identity_use_external(i, ks, &fresh->v[0],
				     in, e), 0);
	else
		assert_int_equal(identity_use_managed(i, ks, fresh, in, e),
		    0);
	mem_free(fresh);
}

static void
put_identity(struct db_txn *t, void *plan)
{
	const struct plan	   *p = plan;
	struct identity_check_input in;
	struct identity_keys	   *ks = mem_alloc(sizeof(*ks));
	struct identity		    i;
	struct err		    e;

	e.text[0] = '\0';
	settings(&in);
	identity_init(&i, rw_account, p->name, in.now);
	if (p->override) {
		i.method = METHOD_OVERRIDE;
		i.link.status = IDENTITY_SUCCESS;
	}
	if (p->token) {
		i.method = METHOD_TOKEN;
		assert_int_equal(identity_verify(&i, ks, true, &in, &e), 0);
	} else {
		plan_keys(p, &i, ks, &in, &e);
	}
	if (identity_create(t, &i, &e) != 0 ||
	    identity_keys_store(t, ks, &e) != 0)
		fail_msg("%s", e.text);
	mem_free(ks);
}

static void
add(struct rw *w, const struct plan *p)
{
	rw_write(w, put_identity, (void *)(uintptr_t)p);
	assert_true(reporter_post_check(w->reporter));
	rw_pass(w, 0);
}

/* As it is in the book now. */
static struct identity
look(struct rw *w, const char *name)
{
	struct identity i;
	struct err	e;
	struct db_txn  *t = book_read(w->book, &e);

	assert_non_null(t);
	assert_int_equal(identity_get(t, rw_account, name, &i, &e), 1);
	book_end(t);
	return i;
}

static enum identity_status
status(struct rw *w, const char *name)
{
	struct identity i = look(w, name);

	return identity_status(&i);
}

static bool
may_send(struct rw *w, const char *name)
{
	struct identity i = look(w, name);

	return identity_may_send(&i, clock_wall());
}

static bool
has_key(struct rw *w, const char *domain, const char *selector,
    struct dkim_key *k)
{
	struct err     e;
	struct db_txn *t = book_read(w->book, &e);
	int	       found;

	found = dkim_key_get(t, rw_account, domain, selector, k, &e);
	book_end(t);
	return found == 1;
}

/* A command of the operator: identity or dkim verify, dkim rotate. */
struct command {
	const char *name;
	bool	    rotate;
	unsigned    made; /* keys that are wanted */
};

static void
run_command(struct db_txn *t, void *arg)
{
	struct command		   *c = arg;
	struct identity_check_input in;
	struct identity_decision    d;
	struct identity_keys	   *ks = mem_alloc(sizeof(*ks));
	struct identity		    i;
	struct err		    e;

	settings(&in);
	identity_decision_init(&d);
	assert_int_equal(identity_get(t, rw_account, c->name, &i, &e), 1);
	assert_int_equal(identity_keys_load(t, rw_account, c->name, ks, &e),
	    0);
	if (c->rotate ? identity_rotate(&i, ks, true, &in, &d, &e) :
	    identity_verify(&i, ks, false, &in, &e))
		fail_msg("%s", e.text);
	c->made = d.make_count;
	if (identity_put(t, &i, &e) != 0 ||
	    identity_keys_store(t, ks, &e) != 0)
		fail_msg("%s", e.text);
	mem_free(ks);
}

static void
command(struct rw *w, struct command *c)
{
	rw_write(w, run_command, c);
	assert_true(reporter_post_check(w->reporter));
	rw_pass(w, 0);
}

static void
verify(struct rw *w, const char *name)
{
	struct command c = { .name = name };

	command(w, &c);
}

static bool
has(const struct rw_mail *m, const char *text)
{
	return strstr(m->text, text) != NULL;
}

static const struct plan example = { .name = "example.com" };

static void
begin(struct rw *w)
{
	rw_begin(w);
	rw_write(w, rw_put_account, (void *)(uintptr_t)contact);
}

/* Verified at once, its one notice is out. */
static void
begin_verified(struct rw *w, const struct plan *p)
{
	begin(w);
	w->others = DKIM_MATCH;
	add(w, p);
	assert_int_equal(status(w, p->name), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 1);
}

/* -- the first verification -------------------------------------------- */

static void
a_job_names_all_that_is_needed(void **state)
{
	struct rw *w = *state;

	begin(w);
	add(w, &example);
	assert_int_equal(w->jobs, 2); /* active and standby */
	assert_int_equal(w->last.kind, VERIFY_DKIM);
	assert_string_equal(w->last.domain, "example.com");
	assert_int_equal(w->last.key_kind, DKIM_KEY_RSA);
	assert_int_equal(strlen(w->last.public_key), 392);
	assert_true(w->last.authoritative); /* not verified yet */
	assert_string_equal(w->last.cname_target, "");
}

/* dkim#9: the record appears; the next check finds it */
static void
a_record_appears_dkim_9(void **state)
{
	struct rw *w = *state;

	begin(w);
	add(w, &example);
	rw_pass(w, 10 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_int_equal(w->jobs, 2 * 11); /* every minute */
	rw_record(w, "s1-example", DKIM_MATCH);
	rw_pass(w, minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_true(may_send(w, "example.com"));
	assert_int_equal(w->mail_count, 1);
	assert_string_equal(w->mails[0].to, "owner@example.com");
	assert_true(has(&w->mails[0], "PENDING -> SUCCESS"));
	assert_true(has(&w->mails[0], "All required records were found."));
}

/* dkim#10: lower-cased value */
static void
a_wrong_value_dkim_10(void **state)
{
	struct rw      *w = *state;
	struct dkim_key k;

	begin(w);
	rw_record(w, "s1-example", DKIM_MISMATCH);
	w->records[0].hint = "the value differs only in letter case";
	add(w, &example);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_true(has_key(w, "example.com", "s1-example", &k));
	assert_int_equal(k.last_outcome, DKIM_MISMATCH);
	assert_non_null(strstr(k.hint, "letter case"));
}

/* identities-and-policies#11, dkim#8: nothing is published for 72 h */
static void
a_domain_times_out_identities_11(void **state)
{
	struct rw *w = *state;
	unsigned   jobs;

	begin(w);
	add(w, &example);
	rw_pass(w, 72 * hour - minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_int_equal(w->mail_count, 0);
	rw_pass(w, minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], "PENDING -> FAILED"));
	assert_true(has(&w->mails[0],
	    "s1-example._domainkey.example.com: ABSENT"));
	/* published now: nobody looks */
	jobs = w->jobs;
	w->others = DKIM_MATCH;
	rw_pass_days(w, 10);
	assert_int_equal(w->jobs, jobs);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	verify(w, "example.com");
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 2);
}

/* dkim#8: own key of a domain that the operator has verified */
static void
an_own_key_is_never_seen_dkim_8(void **state)
{
	static const struct plan p = { .name = "example.com",
		.external = true, .override = true };
	struct rw *w = *state;
	struct identity i;

	begin(w);
	add(w, &p);
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_PENDING);
	assert_int_equal(identity_signing_set(&i), SET_NONE);
	assert_true(may_send(w, "example.com"));
	rw_pass(w, 72 * hour);
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
	assert_false(has(&w->mails[0], "is not accepted"));
	assert_true(may_send(w, "example.com"));
	rw_pass_days(w, 10);
	assert_int_equal(w->mail_count, 1);
}

/* identities-and-policies#15 on this level: the token goes out, a match verifies */
static void
a_token_identities_15(void **state)
{
	static const struct plan p = { .name = "example.com", .token = true };
	struct rw      *w = *state;
	struct identity i;

	begin(w);
	add(w, &p);
	i = look(w, "example.com");
	assert_int_equal(w->last.kind, VERIFY_TOKEN);
	assert_string_equal(w->last.token, i.token_text);
	assert_int_equal(identity_status(&i), IDENTITY_PENDING);
	rw_record(w, i.token_text, DKIM_MATCH);
	rw_pass(w, minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], "Subject: Identity status of "
	    "example.com: SUCCESS\r\n"));
}

/* -- the record of the operator's own key (dkim.md 6.2) ------------------ */

static void
look_for_operator(struct rw *w)
{
	static const struct operator_key k = { .domain = "relay.example",
		.selector = "op1", .public_key = "QUJD" };

	assert_true(reporter_post_operator(w->reporter, &k));
	rw_pass(w, 0);
}

static uint64_t
operator_count(struct rw *w, enum dkim_outcome o)
{
	return meter_get(&w->operator_meters.outcomes[o]);
}

static void
operator_record(void **state)
{
	struct rw *w = *state;

	begin(w);
	rw_record(w, "op1", DKIM_MISMATCH);
	w->records[0].hint = "the record holds another key";
	look_for_operator(w);
	assert_string_equal(w->last.domain, "relay.example");
	assert_string_equal(w->last.selector, "op1");
	assert_string_equal(w->last.public_key, "QUJD");
	assert_false(w->last.authoritative);
	assert_true(rw_logged(w, "error posthorn operator-record "
	    "d=relay.example s=op1 outcome=MISMATCH "
	    "hint=\"the record holds another key\""));
	assert_int_equal(operator_count(w, DKIM_MISMATCH), 1);
	rw_record(w, "op1", DKIM_DNS_ERROR);
	look_for_operator(w);
	assert_true(rw_logged(w, "warn posthorn operator-record "
	    "d=relay.example s=op1 outcome=DNS_ERROR"));
	rw_record(w, "op1", DKIM_MATCH);
	look_for_operator(w);
	assert_true(rw_logged(w, "info posthorn operator-record "
	    "d=relay.example s=op1 outcome=MATCH"));
	assert_int_equal(operator_count(w, DKIM_MATCH), 1);
	assert_int_equal(w->mail_count, 0); /* the operator has the log */
}

/* A verifier that dies with the question, or comes later, is no loss. */
static void
operator_record_and_verifiers(void **state)
{
	struct rw      *w = *state;
	struct channel *old;

	rw_begin_with(w, false);
	rw_record(w, "op1", DKIM_MATCH);
	look_for_operator(w);
	assert_int_equal(w->jobs, 0);
	w->silent = true;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 1);
	channel_close(w->verifier);
	w->verifier = NULL;
	rw_pass(w, 0);
	w->silent = false;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 2);
	assert_int_equal(operator_count(w, DKIM_MATCH), 1);
	/* answered: the next verifier is not asked */
	old = w->verifier;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	channel_close(old);
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 2);
}

/* -- loss -------------------------------------------------------------- */

/* identities-and-policies#12, dkim#11: misses, grace, the end, a new beginning */
static void
records_vanish_identities_12_dkim_11(void **state)
{
	struct rw      *w = *state;
	struct identity i;

	begin_verified(w, &example);
	rw_pass(w, day);
	w->others = DKIM_ABSENT;
	rw_pass(w, 7 * hour); /* 6 h and a tenth at most */
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_TEMPORARY_FAILURE);
	assert_true(i.dkim.since.ms - w->mails[0].at.ms > day);
	assert_true(may_send(w, "example.com"));
	assert_int_equal(identity_signing_set(&i), SET_CURRENT);
	assert_int_equal(w->mail_count, 2);
	assert_true(has(&w->mails[1], "SUCCESS -> TEMPORARY_FAILURE"));
	assert_true(has(&w->mails[1], "They have to be found again before "));
	rw_pass(w, 72 * hour);
	i = look(w, "example.com");
	assert_int_equal(i.dkim.status, IDENTITY_FAILED);
	assert_false(may_send(w, "example.com"));
	assert_int_equal(identity_signing_set(&i), SET_NONE);
	assert_int_equal(w->mail_count, 3);
	assert_true(has(&w->mails[2], "TEMPORARY_FAILURE -> FAILED"));
	assert_true(has(&w->mails[2], "Mail of this identity is not "
	    "accepted."));
	w->others = DKIM_MATCH;
	rw_pass_days(w, 3);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	verify(w, "example.com");
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

/* One miss decides nothing; the second one comes 15 min later and asks the
 * zone's own servers. */
static void
one_miss_is_none(void **state)
{
	struct rw      *w = *state;
	struct identity i;
	unsigned	n;

	begin_verified(w, &example);
	w->others = DKIM_ABSENT;
	for (n = 0; n < 7 * 60 && look(w, "example.com").dkim.first_miss.ms ==
	     0; n++)
		rw_pass(w, minute);
	i = look(w, "example.com");
	assert_true(i.dkim.first_miss.ms != 0);
	assert_int_equal(i.dkim.status, IDENTITY_SUCCESS);
	assert_false(w->last.authoritative);
	w->others = DKIM_MATCH;
	rw_pass(w, 15 * minute);
	i = look(w, "example.com");
	assert_true(w->last.authoritative);
	assert_int_equal(i.dkim.status, IDENTITY_SUCCESS);
	assert_true(i.dkim.first_miss.ms == 0);
	assert_int_equal(w->mail_count, 1);
}

static void
records_come_back_in_time(void **state)
{
	struct rw *w = *state;

	begin_verified(w, &example);
	w->others = DKIM_ABSENT;
	rw_pass(w, 8 * hour);
	assert_int_equal(status(w, "example.com"),
	    IDENTITY_TEMPORARY_FAILURE);
	w->others = DKIM_MATCH;
	rw_pass(w, 15 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 3);
	assert_true(has(&w->mails[2], "TEMPORARY_FAILURE -> SUCCESS"));
}

/* identities-and-policies#13, dkim#12: SERVFAIL is no loss; for 24 h it is */
static void
no_answer_is_no_loss_identities_13_dkim_12(void **state)
{
	struct rw *w = *state;

	begin_verified(w, &example);
	w->conf->dkim.recheck_interval_ms = hour / 2;
	rw_pass(w, 7 * hour);
	w->others = DKIM_DNS_ERROR;
	rw_pass(w, 2 * hour);
	assert_true(w->jobs > 10);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	w->others = DKIM_MATCH;
	rw_pass(w, hour);
	w->others = DKIM_DNS_ERROR;
	rw_pass(w, 23 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 1);
	rw_pass(w, 4 * hour);
	assert_int_equal(status(w, "example.com"),
	    IDENTITY_TEMPORARY_FAILURE);
}

/* -- addresses --------------------------------------------------------- */

struct link {
	char	 token[IDENTITY_TOKEN_SIZE];
	int	 found;
	unsigned step;
};

static void
run_link(struct db_txn *t, void *arg)
{
	struct link    *l = arg;
	struct identity i;
	struct err	e;

	e.text[0] = '\0';
	if (l->step == 0) { /* identity add */
		identity_init(&i, rw_account, "user@example.net",
		    clock_wall());
		assert_int_equal(identity_create(t, &i, &e), 0);
	}
	if (l->step <= 1) { /* ... and resend */
		assert_int_equal(identity_get(t, rw_account,
				     "user@example.net", &i, &e), 1);
		assert_int_equal(identity_issue_token(t, &i, clock_wall(),
				     l->token, &e), 0);
	} else {
		l->found = identity_confirm(t, l->token, clock_wall(), &i,
		    &e);
	}
}

static int
confirm(struct rw *w, const char *token)
{
	struct link l = { .step = 2 };

	snprintf(l.token, sizeof(l.token), "%s", token);
	rw_write(w, run_link, &l);
	return l.found;
}

/* identities-and-policies#14: the link of an address */
static void
an_address_is_confirmed_identities_14(void **state)
{
	struct rw  *w = *state;
	struct link first = { .step = 0 }, second = { .step = 1 };

	begin(w);
	rw_write(w, run_link, &first);
	assert_true(reporter_post_check(w->reporter));
	assert_true(reporter_post_verification(w->reporter, rw_account,
	    "user@example.net", first.token));
	rw_pass(w, 24 * hour - 1);
	assert_int_equal(w->mail_count, 1);
	assert_true(has(&w->mails[0], first.token));
	assert_int_equal(status(w, "user@example.net"), IDENTITY_PENDING);
	rw_pass(w, 1);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1); /* no notice of it */
	assert_int_equal(confirm(w, first.token), 0);
	rw_write(w, run_link, &second);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_PENDING);
	assert_int_equal(confirm(w, first.token), 0);
	assert_int_equal(confirm(w, second.token), 1);
	assert_int_equal(confirm(w, second.token), 0);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_SUCCESS);
	rw_pass_days(w, 30);
	assert_int_equal(status(w, "user@example.net"), IDENTITY_SUCCESS);
	assert_int_equal(w->jobs, 0); /* never checked again */
}

/* -- keys -------------------------------------------------------------- */

/* dkim#13 on this level: a new standby is wanted, the old key goes in 14 d */
static void
a_rotation_dkim_13(void **state)
{
	struct rw      *w = *state;
	struct command	c = { .name = "example.com", .rotate = true };
	struct dkim_key k;

	begin_verified(w, &example);
	rw_pass(w, 2 * hour);
	command(w, &c);
	assert_int_equal(c.made, 1);
	rw_pass(w, 6 * minute);
	assert_true(w->order_count >= 1);
	assert_string_equal(w->orders[0].domain, "example.com");
	assert_string_equal(w->orders[0].selector, ""); /* a fresh one */
	assert_int_equal(w->orders[0].bits, 2048);
	assert_true(has_key(w, "example.com", "s1-example", &k));
	assert_int_equal(k.role, DKIM_RETIRING);
	w->order_count = 0;
	rw_pass(w, hour);
	/* whose making is lost is asked for again, not all the time */
	assert_true(w->order_count >= 5 && w->order_count <= 14);
	while (k.retire_at.ms > clock_wall().ms + minute) {
		w->order_count = 0;
		rw_pass(w, hour);
		if (clock_wall().ms < k.retire_at.ms)
			assert_true(has_key(w, "example.com", "s1-example",
			    &k));
	}
	w->order_count = 0;
	rw_pass(w, hour);
	assert_false(has_key(w, "example.com", "s1-example", &k));
	assert_true(has_key(w, "example.com", "s2-example", &k));
}

/* dkim#23 and 7.2: slots keep their selector, the zone is the operator's */
static void
slots_dkim_23(void **state)
{
	static const struct plan p = { .name = "example.com",
		.cname = true };
	struct rw      *w = *state;
	struct command	c = { .name = "example.com", .rotate = true };

	w->conf->dkim.cname_base = "dkim.relay.example";
	begin_verified(w, &p);
	assert_int_equal(w->jobs, 3);
	assert_string_equal(w->last.cname_target,
	    "s3-example.dkim.relay.example");
	rw_record(w, "s2-example", DKIM_OPERATOR_ZONE);
	rw_pass(w, 7 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_true(rw_logged(w, "dkim-zone-stale account=123456789012 "
	    "identity=example.com selector=s2-example"));
	assert_int_equal(w->mail_count, 1);
	rw_record(w, "s2-example", DKIM_MATCH);
	rw_pass(w, 7 * hour);
	command(w, &c);
	rw_pass_days(w, 14);
	rw_pass(w, hour);
	assert_true(w->order_count >= 1);
	assert_string_equal(w->orders[0].selector, "s1-example");
}

/* -- the verifier is slow, dead, lying, not there ---------------------- */

static void
without_a_verifier_time_passes(void **state)
{
	struct rw *w = *state;

	rw_begin_with(w, false);
	rw_write(w, rw_put_account, (void *)(uintptr_t)contact);
	add(w, &example);
	rw_pass(w, 71 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	rw_pass(w, hour + minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
	assert_int_equal(w->jobs, 0);
}

static void
one_that_never_answers(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	assert_int_equal(w->jobs, 2);
	rw_pass(w, VERIFICATION_ANSWER_MS - 1);
	assert_int_equal(w->jobs, 2); /* one check at a time */
	rw_pass(w, 2 * minute);
	assert_int_equal(w->jobs, 4);
	assert_true(rw_logged(w, "verifier-late"));
	rw_pass(w, 72 * hour);
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	assert_int_equal(w->mail_count, 1);
}

static void
one_that_dies_and_its_successor(void **state)
{
	struct rw *w = *state;
	int	   fd;

	begin(w);
	w->silent = true;
	add(w, &example);
	channel_close(w->verifier);
	w->verifier = NULL;
	rw_pass(w, 0);
	assert_true(rw_logged(w, "verifier-gone"));
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	w->silent = false;
	w->others = DKIM_MATCH;
	rw_pass(w, 2 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	fd = rw_verifier_new(w);
	reporter_verifier(w->reporter, fd);
	rw_pass(w, 0);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

/* A second process is attached while the first one is there. */
static void
one_that_is_replaced(void **state)
{
	struct rw      *w = *state;
	struct channel *old;

	begin(w);
	w->silent = true;
	add(w, &example);
	old = w->verifier;
	w->silent = false;
	w->others = DKIM_MATCH;
	reporter_verifier(w->reporter, rw_verifier_new(w));
	channel_close(old);
	rw_pass(w, 2 * minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

static void
send_raw(struct rw *w, const struct verify_result *r)
{
	struct buf b;

	buf_init(&b, VERIFY_MESSAGE_MAX);
	assert_true(verify_result_encode(r, &b));
	assert_true(channel_send(w->verifier, buf_bytes(&b), -1));
	buf_wipe(&b);
}

static void
answers_to_nothing_do_nothing(void **state)
{
	struct rw	    *w = *state;
	struct verify_result r;

	begin(w);
	w->silent = true;
	add(w, &example);
	memset(&r, 0, sizeof(r));
	r.kind = VERIFY_DKIM;
	r.outcome = DKIM_MATCH;
	assert_true(channel_send(w->verifier, BYTES("garbage"), -1));
	r.ticket = w->last.ticket + 1; /* of no key */
	send_raw(w, &r);
	r.ticket = w->last.ticket | (uint64_t)1 << 40; /* of no check */
	send_raw(w, &r);
	r.ticket--;
	send_raw(w, &r);
	r.ticket = w->last.ticket; /* the same one twice, and of another kind */
	r.kind = VERIFY_TOKEN;
	send_raw(w, &r);
	r.kind = VERIFY_DKIM;
	send_raw(w, &r);
	send_raw(w, &r);
	rw_pass(w, 0);
	assert_true(rw_logged(w, "verifier-answer"));
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
	assert_int_equal(look(w, "example.com").dkim.last_check.ms, 0);
}

static void
rekey_slot(struct db_txn *t, void *unused)
{
	struct dkim_key k;
	struct err	e;

	(void)unused;
	assert_int_equal(dkim_key_get(t, rw_account, "example.com",
			     "s1-example", &k, &e), 1);
	k.created.ms++;
	k.public_key[0] = 'Q';
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
}

/* What was found says nothing about a key that came meanwhile. */
static void
an_answer_about_an_older_key(void **state)
{
	struct rw	    *w = *state;
	struct verify_result r;
	struct dkim_key	     k;

	begin(w);
	w->silent = true;
	add(w, &example);
	rw_write(w, rekey_slot, NULL);
	memset(&r, 0, sizeof(r));
	r.kind = VERIFY_DKIM;
	r.outcome = DKIM_MATCH;
	r.ticket = w->last.ticket;
	send_raw(w, &r);
	r.ticket--;
	send_raw(w, &r);
	rw_pass(w, 0);
	assert_true(has_key(w, "example.com", "s1-example", &k));
	assert_false(k.seen);
	assert_true(has_key(w, "example.com", "s2-example", &k));
	assert_true(k.seen);
	assert_int_equal(status(w, "example.com"), IDENTITY_PENDING);
}

/* Nothing was missed where nothing was answered. */
static void
silence_is_no_loss(void **state)
{
	struct rw *w = *state;

	begin_verified(w, &example);
	w->silent = true;
	rw_pass(w, 20 * hour);
	assert_true(w->jobs >= 6);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
	assert_true(look(w, "example.com").dkim.first_miss.ms == 0);
}

static void
a_command_while_a_check_is_under_way(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	w->silent = false;
	w->others = DKIM_MATCH;
	verify(w, "example.com"); /* it is under way: not asked twice */
	assert_int_equal(w->jobs, 2);
	rw_pass(w, VERIFICATION_ANSWER_MS + minute);
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

static void
drop_identity(struct db_txn *t, void *unused)
{
	struct err e;

	(void)unused;
	assert_int_equal(identity_delete(t, rw_account, "example.com", &e),
	    1);
}

static void
one_that_is_deleted_meanwhile(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	rw_write(w, drop_identity, NULL);
	rw_pass(w, 10 * minute);
	assert_int_equal(w->jobs, 2);
	assert_int_equal(w->mail_count, 0);
}

static void
many_are_checked_in_turns(void **state)
{
	struct rw  *w = *state;
	char	    name[32];
	struct plan p = { .name = name };
	unsigned    i;

	begin(w);
	w->silent = true;
	for (i = 0; i < 3 * VERIFICATION_CHECKS_MAX; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		rw_write(w, put_identity, &p);
	}
	assert_true(reporter_post_check(w->reporter));
	rw_pass(w, 0);
	assert_int_equal(w->jobs, 2 * VERIFICATION_CHECKS_MAX);
	w->silent = false;
	w->others = DKIM_MATCH;
	rw_pass(w, VERIFICATION_ANSWER_MS + 2 * minute);
	for (i = 0; i < 3 * VERIFICATION_CHECKS_MAX; i++) {
		snprintf(name, sizeof(name), "d%u.example", i);
		assert_int_equal(status(w, name), IDENTITY_SUCCESS);
	}
	assert_int_equal(w->mail_count, 3 * VERIFICATION_CHECKS_MAX);
}

/* A restart goes on with what was due meanwhile. */
static void
a_restart_looks_at_once(void **state)
{
	struct rw *w = *state;

	begin(w);
	w->silent = true;
	add(w, &example);
	rw_crash(w);
	fake_clock_move(80 * hour);
	w->silent = false;
	w->others = DKIM_MATCH;
	rw_begin(w);
	/* its time was over before anybody looked */
	assert_int_equal(status(w, "example.com"), IDENTITY_FAILED);
	verify(w, "example.com");
	assert_int_equal(status(w, "example.com"), IDENTITY_SUCCESS);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)
		TEST(a_job_names_all_that_is_needed),
		TEST(a_record_appears_dkim_9),
		TEST(a_wrong_value_dkim_10),
		TEST(a_domain_times_out_identities_11),
		TEST(an_own_key_is_never_seen_dkim_8),
		TEST(a_token_identities_15),
		TEST(operator_record),
		TEST(operator_record_and_verifiers),
		TEST(records_vanish_identities_12_dkim_11),
		TEST(one_miss_is_none),
		TEST(records_come_back_in_time),
		TEST(no_answer_is_no_loss_identities_13_dkim_12),
		TEST(an_address_is_confirmed_identities_14),
		TEST(a_rotation_dkim_13),
		TEST(slots_dkim_23),
		TEST(without_a_verifier_time_passes),
		TEST(one_that_never_answers),
		TEST(one_that_dies_and_its_successor),
		TEST(one_that_is_replaced),
		TEST(answers_to_nothing_do_nothing),
		TEST(an_answer_about_an_older_key),
		TEST(silence_is_no_loss),
		TEST(a_command_while_a_check_is_under_way),
		TEST(one_that_is_deleted_meanwhile),
		TEST(many_are_checked_in_turns),
		TEST(a_restart_looks_at_once),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

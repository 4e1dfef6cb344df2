/* SPDX-License-Identifier: ISC */
/*
 * verification_world.h - identities that are checked, over days of the fake
 * clock, against a verifier that finds what the test says.
 * Use:    rw_make, rw_unmake around each test; begin(), add() an identity or
 *         begin_verified(); rw_pass() moves time, status() and look() tell.
 * Owner:  the test; one struct rw.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_VERIFICATION_WORLD_H
#define TESTS_VERIFICATION_WORLD_H

#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "registry/identity_check.h"
#include "reporting/verification.h"

static const char *const contact[] = { "owner@example.com", NULL };
static const int64_t day = 24 * 3600 * 1000;

/* -- identities -------------------------------------------------------- */

struct plan {
	const char *name;
	bool	    cname, external, token, override;
};

static inline void
settings(struct identity_check_input *in)
{
	memset(in, 0, sizeof(*in));
	in->now = clock_wall();
	in->recheck_ms = 6 * hour;
	in->retire_after_ms = 14 * day;
	in->min_visible_ms = hour;
}

static inline void
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

static inline void
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

static inline void
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

static inline void
add(struct rw *w, const struct plan *p)
{
	rw_write(w, put_identity, (void *)(uintptr_t)p);
	assert_true(reporter_post_check(w->reporter));
	rw_pass(w, 0);
}

/* As it is in the book now. */
static inline struct identity
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

static inline enum identity_status
status(struct rw *w, const char *name)
{
	struct identity i = look(w, name);

	return identity_status(&i);
}

static inline bool
may_send(struct rw *w, const char *name)
{
	struct identity i = look(w, name);

	return identity_may_send(&i, clock_wall());
}

static inline bool
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

static inline void
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

static inline void
command(struct rw *w, struct command *c)
{
	rw_write(w, run_command, c);
	assert_true(reporter_post_check(w->reporter));
	rw_pass(w, 0);
}

static inline void
verify(struct rw *w, const char *name)
{
	struct command c = { .name = name };

	command(w, &c);
}

static inline bool
has(const struct rw_mail *m, const char *text)
{
	return strstr(m->text, text) != NULL;
}

static const struct plan example = { .name = "example.com" };

static inline void
begin(struct rw *w)
{
	rw_begin(w);
	rw_write(w, rw_put_account, (void *)(uintptr_t)contact);
}

/* Verified at once, its one notice is out. */
static inline void
begin_verified(struct rw *w, const struct plan *p)
{
	begin(w);
	w->others = DKIM_MATCH;
	add(w, p);
	assert_int_equal(status(w, p->name), IDENTITY_SUCCESS);
	assert_int_equal(w->mail_count, 1);
}

/* -- addresses --------------------------------------------------------- */

struct link {
	char	 token[IDENTITY_TOKEN_SIZE];
	int	 found;
	unsigned step;
};

#endif

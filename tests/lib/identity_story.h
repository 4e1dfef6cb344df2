/* SPDX-License-Identifier: ISC */
/*
 * identity_story.h - one identity, its keys and its time, for tests of
 * identity_check.h.
 * Use:    begin() or begin_managed(); check("one=M two=A"), pass(),
 *         clock_only(); then look at s.
 * Owner:  the test.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_IDENTITY_STORY_H
#define TESTS_IDENTITY_STORY_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <string.h>

#include "registry/identity_check.h"

#define MINUTE ((int64_t)60000)
#define HOUR (60 * MINUTE)
#define DAY (24 * HOUR)
#define START ((int64_t)1714564800000) /* 2024-05-01T12:00:00Z */

/* One identity whose time the test moves. */
struct story {
	struct identity		    i;
	struct identity_keys	    ks;
	struct identity_check_input in;
	struct identity_decision    d;
	struct err		    e;
};

/* one for all: it is large */
static struct story s;

static inline struct dkim_key
fresh(const char *selector, unsigned bits)
{
	struct dkim_key k;

	memset(&k, 0, sizeof(k));
	strcpy(k.account, "123456789012");
	strcpy(k.domain, "example.com");
	strcpy(k.selector, selector);
	k.bits = bits;
	k.public_n = strlen(selector);
	memcpy(k.public_key, selector, k.public_n);
	return k;
}

static inline void
begin(void)
{
	memset(&s, 0, sizeof(s));
	s.in.now.ms = START;
	s.in.recheck_ms = 6 * HOUR;
	s.in.retire_after_ms = 14 * DAY;
	s.in.min_visible_ms = HOUR;
	identity_init(&s.i, "123456789012", "example.com", s.in.now);
}

/* What identity add does: two keys, or three slots. */
static inline void
begin_managed(bool cname)
{
	static const char *const names[] = { "one", "two", "three" };
	static struct identity_keys made;
	unsigned		    n;

	begin();
	memset(&made, 0, sizeof(made));
	for (n = 0; n < identity_managed_count(cname); n++)
		made.v[made.n++] = fresh(names[n], 2048);
	assert_int_equal(identity_use_managed(&s.i, &s.ks, &made, &s.in,
			     &s.e), 0);
	assert_int_equal(s.i.cname, cname);
	assert_int_equal(s.i.dkim.status, IDENTITY_PENDING);
	assert_true(s.i.dkim.deadline.ms == START + 72 * HOUR);
	assert_true(identity_due(&s.i).ms == START);
}

static inline struct dkim_key *
key(const char *selector)
{
	size_t n;

	for (n = 0; n < s.ks.n; n++) {
		if (!s.ks.drop[n] &&
		    strcmp(s.ks.v[n].selector, selector) == 0)
			return &s.ks.v[n];
	}
	return NULL;
}

/* What a store and a load do to the set. */
static inline void
stored(void)
{
	size_t n, m = 0;

	for (n = 0; n < s.ks.n; n++) {
		if (!s.ks.drop[n])
			s.ks.v[m++] = s.ks.v[n];
	}
	s.ks.n = m;
	memset(s.ks.drop, 0, sizeof(s.ks.drop));
}

static const struct {
	char		  c;
	enum dkim_outcome o;
} letters[] = { { 'M', DKIM_MATCH }, { 'A', DKIM_ABSENT },
	{ 'X', DKIM_MISMATCH }, { 'R', DKIM_REVOKED }, { '2', DKIM_MULTIPLE },
	{ 'F', DKIM_MALFORMED }, { 'O', DKIM_OPERATOR_ZONE },
	{ 'E', DKIM_DNS_ERROR } };

static inline enum dkim_outcome
outcome(char c)
{
	size_t n;

	for (n = 0; n < sizeof(letters) / sizeof(letters[0]); n++) {
		if (letters[n].c == c)
			return letters[n].o;
	}
	return DKIM_UNCHECKED;
}

/*
 * A check at this moment.  dns: "one=M two=A token=M"; what is not named is
 * ABSENT.  Only what is wanted is answered.
 */
static inline void
check(const char *dns)
{
	struct identity_results r;
	char			want[SELECTOR_SIZE + 2];
	const char	       *at;
	size_t			n;

	memset(&r, 0, sizeof(r));
	identity_check_time(&s.i, &s.ks, &s.in, &s.d);
	stored();
	for (n = 0; n < s.ks.n; n++) {
		if (!identity_check_wants(&s.i, &s.ks.v[n]))
			continue;
		strcpy(r.v[r.n].selector, s.ks.v[n].selector);
		snprintf(want, sizeof(want), "%s=", s.ks.v[n].selector);
		at = strstr(dns, want);
		r.v[r.n++].outcome = at == NULL ? DKIM_ABSENT :
						  outcome(at[strlen(want)]);
	}
	if (identity_check_wants_token(&s.i)) {
		at = strstr(dns, "token=");
		r.token = at == NULL ? DKIM_ABSENT : outcome(at[6]);
	}
	identity_check_apply(&s.i, &s.ks, &r, &s.in, &s.d);
	stored();
}

static inline void
pass(int64_t ms)
{
	s.in.now.ms += ms;
}

static inline void
clock_only(void)
{
	identity_check_time(&s.i, &s.ks, &s.in, &s.d);
	stored();
}

static inline void
expect_notice(enum identity_machine m, enum identity_status from,
    enum identity_status to)
{
	assert_int_equal(s.d.notice_count, 1);
	assert_int_equal(s.d.notices[0].machine, m);
	assert_int_equal(s.d.notices[0].from, from);
	assert_int_equal(s.d.notices[0].to, to);
}

/* Selector that signs now, as identity_signing() would choose; "" = none. */
static inline const char *
signs(void)
{
	enum identity_set set = identity_signing_set(&s.i);
	size_t		  n;

	for (n = 0; n < s.ks.n; n++) {
		if (set != SET_NONE && s.ks.v[n].role == DKIM_ACTIVE &&
		    s.ks.v[n].previous == (set == SET_PREVIOUS) &&
		    s.ks.v[n].last_outcome != DKIM_REVOKED)
			return s.ks.v[n].selector;
	}
	return "";
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * Part of verifier_check.c: what the preflight report asks for, and of SPF
 * the intake.
 *
 *	SPF	net/spf.h, with questions of its own
 *	DMARC	TXT at _dmarc. of the domain; absent: of the organisation
 *	HOST	A, AAAA
 *	REPLY	MX; none: A, AAAA
 */
#include <stdio.h>
#include <string.h>

#include "daemon/verifier_check_private.h"
#include "net/spf_term.h"

/* -- SPF ------------------------------------------------------------------- */

static enum dkim_outcome
spf_outcome(enum spf_result r)
{
	switch (r) {
	case SPF_OUTCOME_PASS:
		return DKIM_MATCH;
	case SPF_OUTCOME_NONE:
		return DKIM_ABSENT;
	case SPF_OUTCOME_TEMPERROR:
		return DKIM_DNS_ERROR;
	case SPF_OUTCOME_PERMERROR:
		return DKIM_MALFORMED;
	case SPF_OUTCOME_NEUTRAL:
	case SPF_OUTCOME_FAIL:
	case SPF_OUTCOME_SOFTFAIL:
		break;
	}
	return DKIM_MISMATCH;
}

/* What the text of the record says beside the result. */
static void
spf_take_record(struct verifier_check *c, const struct dns_answer *own)
{
	struct verify_spf *s = &c->result.spf;
	struct bytes	   text;

	s->records = (unsigned)spf_find(own->texts, own->count, &text);
	c->result.host_found = own->status == DNS_FOUND ||
	    own->status == DNS_NO_DATA;
	if (s->records == 0)
		return;
	verify_result_set_text(&c->result, text);
	spf_record_read(text, &s->record);
	s->names_us = spf_record_lists(text, c->job.ip) ||
	    (c->job.include[0] != '\0' &&
		spf_record_includes(text, bytes_of(c->job.include)));
}

static void
spf_on_done(void *check, const struct spf_answer *a)
{
	struct verifier_check *c = check;
	const char	      *p;

	c->result.outcome = spf_outcome(a->result);
	c->result.spf.result = a->result;
	c->result.spf.lookups = a->lookups;
	if (a->own != NULL && !answer_is_trouble(a->own))
		spf_take_record(c, a->own);
	if (c->result.spf.records > 1)
		check_hint(c, "%u records", c->result.spf.records);
	else if (a->cause[0] != '\0')
		check_hint(c, "%s", a->cause);
	/* libspf2 quotes the record, which is anybody's */
	for (p = c->result.hint; *p != '\0'; p++)
		if (*p < 0x20 || *p > 0x7e)
			c->result.hint[p - c->result.hint] = '?';
	check_end(c);
}

void
check_start_spf(struct verifier_check *c)
{
	struct spf_question q;

	memset(&q, 0, sizeof(q));
	q.fresh = !c->job.cached;
	bytes_text(bytes_of(c->job.ip), q.ip, sizeof(q.ip));
	bytes_text(bytes_of(c->job.domain), q.domain, sizeof(q.domain));
	bytes_text(bytes_of(c->job.local), q.local, sizeof(q.local));
	bytes_text(bytes_of(c->job.helo), q.helo, sizeof(q.helo));
	c->spf = spf_check_new(c->tools.loop, c->tools.resolver, &q,
	    spf_on_done, c);
}

/* -- DMARC ----------------------------------------------------------------- */

static void dmarc_on_own(struct verifier_check *c, const struct dns_answer *a);

static void
dmarc_on_organisation(struct verifier_check *c, const struct dns_answer *a)
{
	c->result.dmarc.inherited = true;
	dmarc_on_own(c, a);
}

static void
dmarc_on_own(struct verifier_check *c, const struct dns_answer *a)
{
	struct dmarc_record *r = &c->result.dmarc.record;
	enum dmarc_finding   f = DMARC_ABSENT;

	if (check_note(c, a))
		f = dmarc_read(a->texts, a->count, r);
	verify_result_set_text(&c->result, r->text);
	r->text = (struct bytes){ NULL, 0 };
	if (f == DMARC_FOUND)
		c->result.outcome = DKIM_MATCH;
	else if (f == DMARC_MALFORMED)
		c->result.outcome = DKIM_MALFORMED;
	else if (c->result.outcome != DKIM_DNS_ERROR)
		c->result.outcome = DKIM_ABSENT;
	if (c->result.outcome == DKIM_ABSENT && !c->result.dmarc.inherited &&
	    c->job.organisation[0] != '\0' &&
	    strcasecmp(c->job.organisation, c->job.domain) != 0) {
		check_ask(c, RESOLVER_TXT, dmarc_on_organisation, "_dmarc.%s",
		    c->job.organisation);
		return;
	}
	if (c->result.outcome == DKIM_ABSENT)
		c->result.dmarc.inherited = false;
	check_end(c);
}

void
check_start_dmarc(struct verifier_check *c)
{
	check_ask(c, RESOLVER_TXT, dmarc_on_own, "_dmarc.%s", c->job.domain);
}

/* -- HOST ------------------------------------------------------------------ */

static void
host_add(struct verifier_check *c, const struct dns_answer *a)
{
	char   text[64];
	size_t i, n;

	for (i = 0; i < a->count; i++) {
		n = strlen(c->result.text);
		if (n + sizeof(text) >= sizeof(c->result.text))
			return;
		snprintf(c->result.text + n, sizeof(c->result.text) - n,
		    "%s%s", n > 0 ? " " : "",
		    dns_address_text(&a->addresses[i], text));
	}
}

static void
host_on_aaaa(struct verifier_check *c, const struct dns_answer *a)
{
	enum dkim_outcome before = c->result.outcome;
	bool		  found = c->result.host_found;

	if (check_note(c, a) || before == DKIM_MATCH)
		c->result.outcome = DKIM_MATCH;
	else if (before == DKIM_DNS_ERROR)
		c->result.outcome = before;
	c->result.host_found |= found;
	host_add(c, a);
	check_end(c);
}

static void
host_on_a(struct verifier_check *c, const struct dns_answer *a)
{
	if (check_note(c, a))
		c->result.outcome = DKIM_MATCH;
	host_add(c, a);
	check_ask(c, RESOLVER_AAAA, host_on_aaaa, "%s", c->home);
}

void
check_start_host(struct verifier_check *c)
{
	check_ask(c, RESOLVER_A, host_on_a, "%s", c->home);
}

/* -- REPLY ----------------------------------------------------------------- */

static void
reply_on_mx(struct verifier_check *c, const struct dns_answer *a)
{
	if (!check_note(c, a)) {
		if (c->result.outcome == DKIM_DNS_ERROR)
			check_end(c);
		else
			check_start_host(c);
		return;
	}
	c->result.outcome = a->count == 1 && a->mx[0].host[0] == '\0' ?
	    DKIM_MISMATCH : DKIM_MATCH;
	if (c->result.outcome == DKIM_MATCH)
		verify_result_set_text(&c->result, bytes_of(a->mx[0].host));
	check_end(c);
}

void
check_start_reply(struct verifier_check *c)
{
	check_ask(c, RESOLVER_MX, reply_on_mx, "%s", c->home);
}

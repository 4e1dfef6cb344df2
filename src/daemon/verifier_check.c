/* SPDX-License-Identifier: ISC */
/*
 * A check is a chain of questions; each names the function that gets its
 * answer (c->then), which asks the next or ends:
 *
 *	DKIM	[CNAME of the zone's servers ->] TXT; not right: CNAME;
 *		absent: TXT at the doubled name, TXT without the underscore
 *	TOKEN	TXT at _posthorn., _amazonses. and the domain itself; absent:
 *		TXT at the two doubled names
 *	MX	MX; absent: MX at the doubled name
 *	SPF, DMARC, HOST, REPLY: see verifier_policy.c
 *
 * The zone's own servers are asked first when the job says so.  When they
 * fail once, the configured resolver answers all that follows.
 */
#include "daemon/verifier_check_private.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>
#include <strings.h>

enum { MX_PREFERENCE = 10 };

static void check_on_answer(void *arg, const struct dns_answer *a);

/* -- asking and ending ---------------------------------------------------- */

bool
answer_is_trouble(const struct dns_answer *a)
{
	return a->status == DNS_SERVFAIL || a->status == DNS_TIMEOUT ||
	    a->status == DNS_UNREACHABLE;
}

static void
check_ask_again(struct verifier_check *c)
{
	if (c->authority != NULL) {
		c->asked = c->authority;
		c->ticket = resolver_ask(c->asked, c->type, c->name,
		    check_on_answer, c);
	} else {
		c->asked = c->tools.resolver;
		c->ticket = resolver_ask_fresh(c->asked, c->type, c->name,
		    check_on_answer, c);
	}
	must(c->ticket != 0);
}

/* A name that became too long is none: the answer will be NXDOMAIN. */
void
check_ask(struct verifier_check *c, enum resolver_type type,
    void (*then)(struct verifier_check *c, const struct dns_answer *a),
    const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->name, sizeof(c->name), fmt, ap);
	va_end(ap);
	c->type = type;
	c->then = then;
	check_ask_again(c);
}

static void
check_drop_authority(struct verifier_check *c)
{
	resolver_free(c->authority);
	c->authority = NULL;
}

static void
check_on_answer(void *arg, const struct dns_answer *a)
{
	struct verifier_check *c = arg;

	c->ticket = 0;
	if (c->authority != NULL && answer_is_trouble(a)) {
		check_drop_authority(c);
		check_ask_again(c);
		return;
	}
	c->then(c, a);
}

void
check_hint(struct verifier_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->result.hint, sizeof(c->result.hint), fmt, ap);
	va_end(ap);
}

void
check_warn(struct verifier_check *c, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(c->result.warning, sizeof(c->result.warning), fmt, ap);
	va_end(ap);
}

void
check_end(struct verifier_check *c)
{
	timer_clear(&c->deadline);
	c->on_done(c->arg, &c->result);
}

/* Notes what the decisive question has brought; true: there are records. */
bool
check_note(struct verifier_check *c, const struct dns_answer *a)
{
	c->result.authoritative = c->authority != NULL;
	c->result.host_found = a->status == DNS_FOUND ||
	    a->status == DNS_NO_DATA;
	if (answer_is_trouble(a)) {
		c->result.outcome = DKIM_DNS_ERROR;
		check_hint(c, "DNS does not answer for %s (%s); is the zone "
		    "reachable from public DNS?", c->home,
		    dns_status_to_text(a->status));
	} else if (a->status != DNS_FOUND) {
		c->result.outcome = DKIM_ABSENT;
	}
	return a->status == DNS_FOUND;
}

static void
check_hint_doubled(struct verifier_check *c)
{
	check_hint(c, "the record is at %s: the DNS host added the domain "
	    "to the name; end the name with a dot, or leave the domain out",
	    c->name);
}

/* -- DKIM ----------------------------------------------------------------- */

static void
dkim_on_bare(struct verifier_check *c, const struct dns_answer *a)
{
	if (a->status == DNS_FOUND)
		check_hint(c, "the record is at %s: the underscore in "
		    "_domainkey is mandatory", c->name);
	else
		check_hint(c, "there is no %s record at %s; the underscore "
		    "in _domainkey is mandatory, and a final dot marks a "
		    "complete name",
		    c->job.cname_target[0] != '\0' ? "CNAME" : "TXT",
		    c->home);
	check_end(c);
}

static void
dkim_on_doubled(struct verifier_check *c, const struct dns_answer *a)
{
	if (a->status == DNS_FOUND) {
		check_hint_doubled(c);
		check_end(c);
		return;
	}
	check_ask(c, RESOLVER_TXT, dkim_on_bare, "%s.domainkey.%s",
	    c->job.selector, c->job.domain);
}

static void
dkim_look_elsewhere(struct verifier_check *c)
{
	/* the doubled name may be in another zone */
	check_drop_authority(c);
	check_ask(c, RESOLVER_TXT, dkim_on_doubled, "%s.%s", c->home,
	    c->job.domain);
}

/* Not a match: does the name point where it should? */
static void
dkim_on_cname(struct verifier_check *c, const struct dns_answer *a)
{
	const char *target = c->job.cname_target;
	bool	    is_there = a->status == DNS_FOUND;

	if (c->result.outcome == DKIM_DNS_ERROR) {
		if (is_there)
			check_hint(c, "the server answers CNAME for %s but "
			    "fails on TXT", c->home);
	} else if (is_there && target[0] != '\0' &&
	    strcasecmp(a->names[0], target) == 0) {
		check_hint(c, "the CNAME is right, but the TXT record at %s "
		    "is %s", target, c->result.outcome == DKIM_ABSENT ?
		    "missing" : "not that of the key");
		c->result.outcome = DKIM_OPERATOR_ZONE;
	} else if (is_there && target[0] != '\0') {
		check_hint(c, "the CNAME points to %s, not to %s",
		    a->names[0], target);
	} else if (c->result.outcome == DKIM_ABSENT) {
		dkim_look_elsewhere(c);
		return;
	}
	check_end(c);
}

static void
dkim_hint_verdict(struct verifier_check *c,
    const struct dkim_record_verdict *v)
{
	if (v->case_folded)
		check_hint(c, "the value differs only in letter case: the "
		    "DNS host folds it; publish it as it is printed");
	else
		check_hint(c, "%s", v->reason);
}

static void
dkim_on_txt(struct verifier_check *c, const struct dns_answer *a)
{
	struct dkim_record_key	   want;
	struct dkim_record_verdict v;

	memset(&v, 0, sizeof(v));
	if (check_note(c, a)) {
		want.kind = c->job.key_kind;
		want.public_key = bytes_of(c->job.public_key);
		dkim_record_judge(a->texts, a->count, &want, &v);
		c->result.outcome = verify_outcome_of_record(v.outcome);
		dkim_hint_verdict(c, &v);
		if (v.test_mode)
			check_warn(c, "key is in test mode");
	}
	if (c->result.outcome == DKIM_MATCH) {
		if (c->job.cname_target[0] != '\0' &&
		    strcmp(a->canonical, a->name) == 0 &&
		    strcasecmp(c->name, c->home) == 0)
			check_warn(c, "%s is a TXT record; a CNAME to %s "
			    "would follow a change of keys", c->home,
			    c->job.cname_target);
		check_end(c);
		return;
	}
	if (c->job.cname_target[0] == '\0' &&
	    c->result.outcome != DKIM_ABSENT &&
	    c->result.outcome != DKIM_DNS_ERROR) {
		check_end(c);
		return;
	}
	check_ask(c, RESOLVER_CNAME, dkim_on_cname, "%s", c->home);
}

/* What the CNAME points to belongs to others: their servers are not asked. */
static void
dkim_on_own_cname(struct verifier_check *c, const struct dns_answer *a)
{
	if (a->status == DNS_FOUND) {
		check_drop_authority(c);
		check_ask(c, RESOLVER_TXT, dkim_on_txt, "%s", a->names[0]);
	} else {
		check_ask(c, RESOLVER_TXT, dkim_on_txt, "%s", c->home);
	}
}

static void
dkim_start(struct verifier_check *c)
{
	if (c->authority != NULL)
		check_ask(c, RESOLVER_CNAME, dkim_on_own_cname, "%s",
		    c->home);
	else
		check_ask(c, RESOLVER_TXT, dkim_on_txt, "%s", c->home);
}

/* -- TOKEN ---------------------------------------------------------------- */

static const char *const token_places[] = { "_posthorn.", "_amazonses.", "" };
enum { TOKEN_PLACES = 3, TOKEN_OWN_NAMES = 2 };
static const char token_prefix[] = "posthorn-verification=";

static void token_ask(struct verifier_check *c);

static void
token_on_doubled(struct verifier_check *c, const struct dns_answer *a)
{
	if (a->status == DNS_FOUND) {
		check_hint_doubled(c);
		check_end(c);
	} else if (++c->place < TOKEN_OWN_NAMES) {
		check_ask(c, RESOLVER_TXT, token_on_doubled, "%s%s.%s",
		    token_places[c->place], c->job.domain, c->job.domain);
	} else {
		check_hint(c, "there is no TXT record at _posthorn.%s or "
		    "_amazonses.%s; the underscore is mandatory, and a "
		    "final dot marks a complete name", c->job.domain,
		    c->job.domain);
		check_end(c);
	}
}

static void
token_finish(struct verifier_check *c)
{
	if (c->saw_error) {
		c->result.outcome = DKIM_DNS_ERROR;
		check_hint(c, "DNS does not answer for %s; is the zone "
		    "reachable from public DNS?", c->job.domain);
	} else if (c->saw_other) {
		c->result.outcome = DKIM_MISMATCH;
		check_hint(c, "%s", c->saw_folded ?
		    "the value differs only in letter case: the DNS host "
		    "folds it" : "the TXT record has another value");
	} else {
		c->result.outcome = DKIM_ABSENT;
		c->place = 0;
		check_drop_authority(c);
		check_ask(c, RESOLVER_TXT, token_on_doubled, "%s%s.%s",
		    token_places[0], c->job.domain, c->job.domain);
		return;
	}
	check_end(c);
}

/* The value of a record; .p == NULL: a record of somebody else. */
static struct bytes
token_value(const struct verifier_check *c, struct bytes text)
{
	struct bytes prefix = BYTES(token_prefix);

	if (c->place < TOKEN_OWN_NAMES)
		return text;
	if (!bytes_starts(text, prefix))
		return (struct bytes){ NULL, 0 };
	return bytes_from(text, prefix.n);
}

static void
token_on_txt(struct verifier_check *c, const struct dns_answer *a)
{
	struct bytes want = bytes_of(c->job.token), value;
	size_t	     i;

	if (c->authority != NULL)
		c->result.authoritative = true;
	if (answer_is_trouble(a))
		c->saw_error = true;
	else if (a->status != DNS_NXDOMAIN && c->place < TOKEN_OWN_NAMES)
		c->result.host_found = true;
	for (i = 0; i < a->count; i++) {
		value = token_value(c, a->texts[i]);
		if (value.p == NULL)
			continue;
		if (bytes_eq(value, want)) {
			c->result.outcome = DKIM_MATCH;
			c->result.host_found = true;
			check_end(c);
			return;
		}
		c->saw_other = true;
		if (bytes_eq_nocase(value, want))
			c->saw_folded = true;
	}
	c->place++;
	token_ask(c);
}

static void
token_ask(struct verifier_check *c)
{
	if (c->place == TOKEN_PLACES)
		token_finish(c);
	else
		check_ask(c, RESOLVER_TXT, token_on_txt, "%s%s",
		    token_places[c->place], c->job.domain);
}

/* -- MX ------------------------------------------------------------------- */

static void
mx_on_doubled(struct verifier_check *c, const struct dns_answer *a)
{
	if (a->status == DNS_FOUND)
		check_hint_doubled(c);
	else
		check_hint(c, "there is no MX record at %s", c->home);
	check_end(c);
}

static void
mx_on_mx(struct verifier_check *c, const struct dns_answer *a)
{
	const char *parent = strchr(c->job.domain, '.');

	if (!check_note(c, a)) {
		if (c->result.outcome == DKIM_ABSENT && parent != NULL) {
			check_drop_authority(c);
			check_ask(c, RESOLVER_MX, mx_on_doubled, "%s%s",
			    c->home, parent);
			return;
		}
	} else if (a->count > 1) {
		c->result.outcome = DKIM_MULTIPLE;
		check_hint(c, "there must be exactly one MX record; %zu "
		    "were found", a->count);
	} else if (a->mx[0].host[0] == '\0') {
		c->result.outcome = DKIM_ABSENT;
		check_hint(c, "the MX record says that no mail is taken");
	} else if (strcasecmp(a->mx[0].host, c->job.mx_host) != 0) {
		c->result.outcome = DKIM_MISMATCH;
		check_hint(c, "the MX record points to %s, not to %s",
		    a->mx[0].host, c->job.mx_host);
	} else {
		c->result.outcome = DKIM_MATCH;
		if (a->mx[0].preference != MX_PREFERENCE)
			check_warn(c, "the preference of the MX record is "
			    "%u, not %d", a->mx[0].preference,
			    MX_PREFERENCE);
	}
	check_end(c);
}

/* -- life ----------------------------------------------------------------- */

static void
check_start(struct verifier_check *c)
{
	switch (c->job.kind) {
	case VERIFY_DKIM:
		dkim_start(c);
		break;
	case VERIFY_TOKEN:
		token_ask(c);
		break;
	case VERIFY_MX:
		check_ask(c, RESOLVER_MX, mx_on_mx, "%s", c->home);
		break;
	case VERIFY_SPF:
		check_start_spf(c);
		break;
	case VERIFY_DMARC:
		check_start_dmarc(c);
		break;
	case VERIFY_HOST:
		check_start_host(c);
		break;
	case VERIFY_REPLY:
		check_start_reply(c);
		break;
	}
}

static void
check_on_authority(void *arg, struct resolver *r)
{
	struct verifier_check *c = arg;

	c->authority = r;
	check_start(c);
}

/* Nothing has been decided, or only the hint was missing. */
static void
check_on_deadline(void *arg, void *unused)
{
	struct verifier_check *c = arg;

	(void)unused;
	if (c->result.outcome == DKIM_UNCHECKED) {
		c->result.outcome = DKIM_DNS_ERROR;
		check_hint(c, "DNS did not answer for %s in time", c->home);
	} else if (c->result.hint[0] == '\0') {
		check_hint(c, "there is no record at %s; DNS is too slow to "
		    "look for it elsewhere", c->home);
	}
	check_end(c);
}

struct verifier_check *
verifier_check_new(const struct verifier_tools *t,
    const struct verify_job *job, verifier_done *on_done, void *arg)
{
	struct verifier_check *c = mem_alloc(sizeof(*c));

	c->tools = *t;
	c->job = *job;
	c->result.ticket = job->ticket;
	c->result.kind = job->kind;
	c->result.outcome = DKIM_UNCHECKED;
	c->on_done = on_done;
	c->arg = arg;
	if (job->kind == VERIFY_DKIM)
		snprintf(c->home, sizeof(c->home), "%s._domainkey.%s",
		    job->selector, job->domain);
	else
		snprintf(c->home, sizeof(c->home), "%s", job->domain);
	timer_init(&c->deadline, t->loop, check_on_deadline, c);
	timer_set(&c->deadline, VERIFIER_CHECK_MS);
	if (job->authoritative && strchr(c->home, '.') != NULL)
		c->search = authority_search(t, c->home, check_on_authority,
		    c);
	else
		check_start(c);
	return c;
}

void
verifier_check_free(struct verifier_check *c)
{
	if (c == NULL)
		return;
	timer_clear(&c->deadline);
	authority_search_free(c->search);
	spf_check_free(c->spf);
	if (c->ticket != 0)
		resolver_cancel(c->asked, c->ticket);
	check_drop_authority(c);
	mem_free(c);
}

/* SPDX-License-Identifier: ISC */
/* Part of verification.c: one check, from its asks to what follows. */
#include "reporting/verification_private.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "registry/mail_from.h"

static void check_on_late(void *arg, void *unused);

void
check_free(struct check *c)
{
	struct verification *v = c->verification;
	struct check	   **link = &v->checks;

	while (*link != c)
		link = &(*link)->next;
	*link = c->next;
	v->check_count--;
	timer_clear(&c->late);
	mem_free(c);
}

/* -- a check begins -------------------------------------------------------- */

static void
check_job(const struct check *c, const struct identity *i,
    const struct dkim_key *k, struct verify_job *j)
{
	const char *base = c->verification->setup.conf->dkim.cname_base;

	must(base64_encode(k->public_key, k->public_n, j->public_key) <
	    sizeof(j->public_key));
	bytes_text(bytes_of(k->selector), j->selector, sizeof(j->selector));
	j->key_kind = k->ed25519 ? DKIM_KEY_ED25519 : DKIM_KEY_RSA;
	if (i->cname && !k->external && base != NULL)
		snprintf(j->cname_target, sizeof(j->cname_target), "%s.%.180s",
		    k->selector, base);
}

/* What cannot be sent gets no answer, and counts as one. */
static void
check_send(struct check *c, struct verify_job *j)
{
	struct ask *a = &c->asks[c->ask_count];
	struct buf  b;

	j->ticket = c->number << TICKET_SHIFT | c->ask_count++;
	a->kind = j->kind;
	a->outcome = DKIM_DNS_ERROR;
	a->error = IDENTITY_SERVICE_ERROR; /* until it is answered */
	buf_init(&b, VERIFY_MESSAGE_MAX);
	if (!verify_job_encode(j, &b) ||
	    !channel_send(c->verification->channel, buf_bytes(&b), -1))
		c->answer_count++;
	buf_wipe(&b);
}

/* A key, or the token where there is none. */
static void
check_ask(struct check *c, const struct identity *i, const struct dkim_key *k)
{
	struct ask	 *a = &c->asks[c->ask_count];
	struct verify_job j;

	memset(&j, 0, sizeof(j));
	j.authoritative = identity_check_authoritative(i);
	bytes_text(bytes_of(c->name), j.domain, sizeof(j.domain));
	if (k != NULL) {
		j.kind = VERIFY_DKIM;
		a->created = k->created;
		memcpy(a->selector, k->selector, sizeof(a->selector));
		check_job(c, i, k, &j);
	} else {
		j.kind = VERIFY_TOKEN;
		bytes_text(bytes_of(i->token_text), j.token, sizeof(j.token));
	}
	check_send(c, &j);
}

static void
check_ask_mail_from(struct check *c, const struct identity *i)
{
	const char *host = c->verification->setup.conf->mail_from.mx_host;
	struct ask	 *a = &c->asks[c->ask_count];
	struct verify_job j;

	memset(&j, 0, sizeof(j));
	j.kind = VERIFY_MX;
	j.authoritative = identity_check_mail_from_authoritative(i);
	bytes_text(bytes_of(i->mail_from.domain), j.domain, sizeof(j.domain));
	bytes_text(bytes_of(host), j.mx_host, sizeof(j.mx_host));
	/* by that an answer is known to be about this domain still */
	a->created = i->mail_from.check.since;
	check_send(c, &j);
}

bool
identity_wants_check(const struct identity *i, struct wall now)
{
	return identity_check_keys_due(i, now) ||
	    identity_check_mail_from_due(i, now);
}

/* What is due of one identity; answers may be complete at once. */
static void
check_ask_all(struct check *c, const struct identity *i,
    const struct identity_keys *ks, struct wall now)
{
	size_t n;

	c->asks_keys = identity_check_keys_due(i, now);
	if (identity_check_mail_from_due(i, now))
		check_ask_mail_from(c, i);
	if (!c->asks_keys)
		return;
	for (n = 0; n < ks->n; n++)
		if (!ks->drop[n] && identity_check_wants(i, &ks->v[n]))
			check_ask(c, i, &ks->v[n]);
	if (identity_check_wants_token(i))
		check_ask(c, i, NULL);
}

static struct check *
check_new(struct verification *v, const char *account, const char *name)
{
	struct check *c = mem_alloc(sizeof(*c));

	c->verification = v;
	c->number = ++v->numbers;
	bytes_text(bytes_of(account), c->account, sizeof(c->account));
	bytes_text(bytes_of(name), c->name, sizeof(c->name));
	timer_init(&c->late, v->setup.loop, check_on_late, c);
	c->next = v->checks;
	v->checks = c;
	v->check_count++;
	return c;
}

void
check_begin(struct verification *v, const char *account, const char *name)
{
	struct identity_check_input in;
	struct identity_decision    d;
	struct check		   *c;

	verification_input(v, &in);
	identity_check_time(&v->identity, &v->keys, &in, &d);
	c = check_new(v, account, name);
	c->asked = v->channel != NULL &&
	    identity_wants_check(&v->identity, in.now);
	if (c->asked)
		check_ask_all(c, &v->identity, &v->keys, in.now);
	if (c->answer_count == c->ask_count)
		check_write(c);
	else
		timer_set(&c->late, v->setup.answer_ms);
}

static void
check_on_late(void *arg, void *unused)
{
	struct check *c = arg;

	(void)unused;
	log_warn("verifier-late", "identity=%s answers=%u of=%u", c->name,
	    c->answer_count, c->ask_count);
	check_write(c);
}

/* -- the book -------------------------------------------------------------- */

static void
check_take_mail_from(const struct ask *a, const struct identity *i,
    struct identity_results *r)
{
	if (i->mail_from.check.since.ms != a->created.ms)
		return; /* set anew meanwhile */
	r->mail_from = a->outcome;
	r->mail_from_error = a->error;
	memcpy(r->mail_from_hint, a->hint, sizeof(r->mail_from_hint));
}

/* Answers about what is still the same. */
static void
check_results(const struct check *c, const struct identity *i,
    const struct identity_keys *ks, struct identity_results *r)
{
	const struct ask       *a;
	struct identity_result *to;
	unsigned		k;
	size_t			n;

	memset(r, 0, sizeof(*r));
	r->token = r->mail_from = DKIM_UNCHECKED;
	r->only_mail_from = !c->asks_keys;
	for (k = 0; k < c->ask_count; k++) {
		a = &c->asks[k];
		if (a->kind == VERIFY_MX)
			check_take_mail_from(a, i, r);
		if (a->kind == VERIFY_TOKEN) {
			r->token = a->outcome;
			r->token_error = a->error;
		}
		for (n = 0; a->kind == VERIFY_DKIM && n < ks->n; n++) {
			if (strcmp(ks->v[n].selector, a->selector) != 0 ||
			    ks->v[n].created.ms != a->created.ms)
				continue;
			to = &r->v[r->n++];
			memcpy(to->selector, a->selector,
			    sizeof(to->selector));
			memcpy(to->hint, a->hint, sizeof(to->hint));
			to->outcome = a->outcome;
			to->error = a->error;
			break;
		}
	}
}

/* What was missing, for the notice: the first record that was needed. */
static void
check_describe(struct check *c, const struct identity *i)
{
	const struct dkim_key *k;
	size_t		       n;

	for (n = 0; n < c->keys.n; n++) {
		k = &c->keys.v[n];
		if (c->keys.drop[n] ||
		    !identity_check_requires(i, &c->keys, k) ||
		    k->last_outcome == DKIM_MATCH ||
		    k->last_outcome == DKIM_UNCHECKED)
			continue;
		snprintf(c->detail, sizeof(c->detail),
		    "%s._domainkey.%s: %s%s%s", k->selector, k->domain,
		    dkim_outcome_to_text(k->last_outcome),
		    k->hint[0] != '\0' ? ", " : "", k->hint);
		return;
	}
}

/* On the book's writer: both are read again, a command may have come. */
static int
check_run(struct book_job *j, struct db_txn *t)
{
	struct check	       *c = (struct check *)(void *)j;
	struct identity_results r;
	struct identity		i;
	int			rc;

	rc = identity_get(t, c->account, c->name, &i, &j->err);
	c->found = rc == 1;
	if (rc != 1)
		return rc;
	c->keys.n = 0;
	if (!i.is_address &&
	    identity_keys_load(t, c->account, c->name, &c->keys, &j->err) < 0)
		return -1;
	identity_check_time(&i, &c->keys, &c->in, &c->by_time);
	identity_decision_init(&c->by_check);
	if (c->asked && identity_wants_check(&i, c->in.now)) {
		check_results(c, &i, &c->keys, &r);
		identity_check_apply(&i, &c->keys, &r, &c->in, &c->by_check);
	} else {
		c->by_check.make_count = c->by_time.make_count;
		memcpy(c->by_check.make, c->by_time.make,
		    sizeof(c->by_check.make));
	}
	check_describe(c, &i);
	c->mail_from = i.mail_from;
	c->is_stuck = identity_due(&i).ms != 0 &&
	    identity_due(&i).ms <= c->in.now.ms;
	if (!i.is_address && identity_keys_store(t, &c->keys, &j->err) < 0)
		return -1;
	return identity_put(t, &i, &j->err);
}

/* -- what follows ---------------------------------------------------------- */

/* What was found in place of the MX record, and what becomes of mail. */
static void
check_tell_mail_from(const struct check *c, const struct identity_notice *n)
{
	const struct identity_mail_from *m = &c->mail_from;
	struct report_status		 s;
	char				 detail[DETAIL_MAX];

	memset(&s, 0, sizeof(s));
	s.kind = REPORT_STATUS_MAIL_FROM;
	s.account = bytes_of(c->account);
	s.identity = bytes_of(c->name);
	s.before = bytes_of(identity_status_to_text(n->from));
	s.after = bytes_of(identity_status_to_text(n->to));
	s.deadline = n->deadline;
	if (n->to == IDENTITY_SUCCESS)
		snprintf(detail, sizeof(detail), "Mail goes out with %s.",
		    m->domain);
	else
		snprintf(detail, sizeof(detail), "%s%s. MX of %s: %s%s%s",
		    m->reject ? "Mail is refused meanwhile"
			      : "Mail goes out with the default domain",
		    m->orphaned ? "; the domain identity above it was deleted"
				: "",
		    m->domain, mail_from_outcome_to_text(m->last_outcome),
		    m->hint[0] != '\0' ? ", " : "", m->hint);
	s.detail = bytes_of(detail);
	notices_status(c->verification->setup.notices, c->account, &s);
}

static void
check_tell(const struct check *c, const struct identity_notice *n)
{
	struct report_status s;
	const char	    *more = "";
	char		     detail[DETAIL_MAX + 128];

	memset(&s, 0, sizeof(s));
	s.kind = n->machine == MACHINE_TOKEN ? REPORT_STATUS_IDENTITY
					     : REPORT_STATUS_DKIM;
	s.account = bytes_of(c->account);
	s.identity = bytes_of(c->name);
	s.before = bytes_of(identity_status_to_text(n->from));
	s.after = bytes_of(identity_status_to_text(n->to));
	s.deadline = n->deadline;
	if (n->machine == MACHINE_PREVIOUS)
		more = "These are the keys that sign until the new ones are "
		       "seen. ";
	else if (n->previous_signs)
		more = "The previous keys keep signing. ";
	else if (n->whole_to == IDENTITY_FAILED &&
	    n->whole_from != IDENTITY_FAILED)
		more = "Mail of this identity is not accepted. ";
	snprintf(detail, sizeof(detail), "%s%s", more,
	    n->to == IDENTITY_SUCCESS ? "" : c->detail);
	s.detail = bytes_of(detail);
	notices_status(c->verification->setup.notices, c->account, &s);
}

static const char *
machine_to_text(enum identity_machine m)
{
	switch (m) {
	case MACHINE_DKIM:
		return "dkim";
	case MACHINE_PREVIOUS:
		return "previous";
	case MACHINE_TOKEN:
		return "token";
	case MACHINE_MAIL_FROM:
		return "mail-from";
	case MACHINE_LINK:
		break;
	}
	return "link";
}

static void
check_tell_activated(const struct check *c, const char *selector)
{
	if (selector[0] != '\0')
		log_info("dkim-activated", "account=%s identity=%s "
		    "selector=%s", c->account, c->name, selector);
}

static void
check_announce(const struct check *c, const char *type, const char *data)
{
	struct bulletin_news news = { type, c->account, c->name, data };

	notices_announce(c->verification->setup.notices, &news);
}

static void
check_announce_status(const struct check *c, const struct identity_notice *n)
{
	char data[64];

	snprintf(data, sizeof(data), "%s -> %s",
	    identity_status_to_text(n->from), identity_status_to_text(n->to));
	switch (n->machine) {
	case MACHINE_MAIL_FROM:
		check_announce(c, "MAIL FROM Status Change", data);
		break;
	case MACHINE_DKIM:
	case MACHINE_PREVIOUS:
		check_announce(c, "DKIM Status Change", data);
		break;
	case MACHINE_TOKEN:
	case MACHINE_LINK:
		break;
	}
	if (n->whole_from == n->whole_to)
		return;
	snprintf(data, sizeof(data), "%s -> %s",
	    identity_status_to_text(n->whole_from),
	    identity_status_to_text(n->whole_to));
	check_announce(c, "Identity Verification Status Change", data);
}

/* Those of the domain that lie in the zone. */
static void
check_announce_zone(const struct check *c)
{
	char data[DETAIL_MAX];

	check_announce(c, "DKIM Zone Change", identity_zone_names(&c->keys,
	    c->verification->setup.conf->dkim.cname_base, data,
	    sizeof(data)));
}

static void
check_use_mail_from(const struct check *c)
{
	const struct verification_setup *s = &c->verification->setup;

	if (s->on_mail_from != NULL)
		s->on_mail_from(s->on_mail_from_arg);
}

static void
check_follow(const struct check *c, const struct identity_decision *d)
{
	const struct identity_notice *n;
	unsigned		      i;

	for (i = 0; i < d->notice_count; i++) {
		n = &d->notices[i];
		log_warn("identity-status", "account=%s identity=%s by=%s "
		    "from=%s to=%s status=%s", c->account, c->name,
		    machine_to_text(n->machine),
		    identity_status_to_text(n->from),
		    identity_status_to_text(n->to),
		    identity_status_to_text(n->whole_to));
		check_announce_status(c, n);
		if (n->machine == MACHINE_MAIL_FROM) {
			check_tell_mail_from(c, n);
			check_use_mail_from(c);
		} else if (n->machine != MACHINE_LINK)
			check_tell(c, n);
	}
	if (d->operator_alarm)
		log_error("dkim-zone-stale", "account=%s identity=%s "
		    "selector=%s", c->account, c->name, d->operator_selector);
	if (d->zone_changed) {
		log_warn("dkim-zone-change", "account=%s identity=%s",
		    c->account, c->name);
		check_announce_zone(c);
	}
	check_tell_activated(c, d->activated);
	check_tell_activated(c, d->activated_ed25519);
}

static void
check_order_keys(const struct check *c, const struct identity_decision *d)
{
	const struct verification *v = c->verification;
	unsigned		   i;

	/* a refused order is repeated: see identity_check.h */
	for (i = 0; i < d->make_count; i++)
		if (!v->setup.make_key(v->setup.make_key_arg, c->account,
			c->name, d->make[i].selector, d->make[i].bits))
			log_warn("dkim-key-failed", "domain=%s reason=\"the "
			    "order could not be placed\"", c->name);
}

static void
check_on_written(void *job, void *unused)
{
	struct check	    *c = job;
	struct verification *v = c->verification;
	bool		     failed = c->job.failed || c->is_stuck;

	(void)unused;
	if (c->job.failed)
		log_error("book-failed", "identity=%s reason=\"%s\"", c->name,
		    c->job.err.text);
	else if (c->found) {
		if (c->is_stuck && c->asked)
			log_error("identity-stuck", "identity=%s", c->name);
		check_follow(c, &c->by_time);
		check_follow(c, &c->by_check);
		if (!v->stopping)
			check_order_keys(c, &c->by_check);
	}
	check_free(c);
	if (v->stopping)
		verification_look_idle(v);
	else if (failed)
		timer_set(&v->look, LOOK_AGAIN_MS);
	else
		timer_set(&v->look, 0);
}

void
check_write(struct check *c)
{
	struct verification *v = c->verification;

	timer_clear(&c->late);
	verification_input(v, &c->in);
	c->written = true;
	c->job.asker = v->setup.loop;
	c->job.run = check_run;
	c->job.done = check_on_written;
	if (book_write(v->setup.book, &c->job))
		return;
	log_warn("book-busy", "identity=%s", c->name);
	check_free(c);
	if (!v->stopping)
		timer_set(&v->look, LOOK_AGAIN_MS);
}

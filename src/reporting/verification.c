/* SPDX-License-Identifier: ISC */
/*
 * A check: verification_look() > check_begin() > asks to the verifier >
 * check_on_answer(), or check_on_late(), or the verifier is lost >
 * check_write() > check_run() on the book's writer > check_on_written() >
 * notices, orders of keys, look again.
 */
#include "reporting/verification.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "registry/identity_check.h"
#include "registry/verify_job.h"

enum {
	LOOK_MAX_MS = 60 * 1000, /* the wall clock may be set meanwhile */
	LOOK_AGAIN_MS = 1000,
	ASKS_MAX = IDENTITY_KEYS_MAX + 1, /* the token */
	TICKET_SHIFT = 8,
	HINT_SIZE = sizeof(((struct identity_result *)NULL)->hint),
	DETAIL_MAX = 900
};

/* One record that is looked for. */
struct ask {
	enum verify_kind kind;
	char		 selector[SELECTOR_SIZE];
	struct wall	 created; /* of the key: a slot may get another */
	bool		 answered;
	enum dkim_outcome outcome;
	enum identity_error error;
	char		 hint[HINT_SIZE];
};

struct check {
	struct book_job	     job; /* first: what the book hands back */
	struct verification *verification;
	struct check	    *next;
	uint64_t	     number; /* of its tickets */
	char		     account[ACCOUNT_ID_SIZE];
	char		     name[IDENTITY_NAME_SIZE];
	struct ask	     asks[ASKS_MAX];
	unsigned	     ask_count, answer_count;
	struct timer	     late;
	bool		     written; /* the book has it */

	/* for check_run() */
	struct identity_check_input in;
	bool			    asked; /* else only time passes */

	/* from it */
	bool			 found;
	bool			 is_stuck; /* due again at once: our bug */
	struct identity_decision by_time, by_check;
	char			 detail[DETAIL_MAX];
	struct identity_keys	 keys; /* 64 KB, the writer's scratch */
};

struct verification {
	struct verification_setup setup;
	struct channel		 *channel; /* NULL = no verifier */
	struct check		 *checks;
	unsigned		  check_count;
	uint64_t		  numbers;
	struct operator_record	 *operator_record;
	struct timer		  look;
	struct identity		  identity; /* scratch, and keys */
	struct identity_keys	  keys;
	bool			  stopping;
	loop_fn			 *on_idle;
	void			 *on_idle_arg;
};

static void verification_on_look(void *arg, void *unused);
static void verification_on_message(void *arg, struct bytes message, int fd);
static void verification_on_close(void *arg);
static void check_on_late(void *arg, void *unused);
static void check_write(struct check *c);

/* -- life ------------------------------------------------------------------ */

struct verification *
verification_new(const struct verification_setup *s)
{
	struct verification *v = mem_alloc(sizeof(*v));

	v->setup = *s;
	v->setup.conf = conf_ref(s->conf);
	if (v->setup.answer_ms == 0)
		v->setup.answer_ms = VERIFICATION_ANSWER_MS;
	v->operator_record = operator_record_new(s->operator_meters);
	timer_init(&v->look, s->loop, verification_on_look, v);
	return v;
}

static void
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

void
verification_free(struct verification *v)
{
	if (v == NULL)
		return;
	timer_clear(&v->look);
	channel_close(v->channel);
	while (v->checks != NULL)
		check_free(v->checks);
	operator_record_free(v->operator_record);
	conf_unref(v->setup.conf);
	mem_free(v);
}

void
verification_reload(struct verification *v, struct conf *conf)
{
	conf_unref(v->setup.conf);
	v->setup.conf = conf_ref(conf);
}

static void
verification_look_idle(struct verification *v)
{
	loop_fn *on_idle = v->on_idle;

	if (!v->stopping || v->checks != NULL || on_idle == NULL)
		return;
	v->on_idle = NULL;
	on_idle(v->on_idle_arg, NULL);
}

void
verification_stop(struct verification *v, loop_fn *on_idle, void *arg)
{
	struct check *c, *next;

	v->stopping = true;
	v->on_idle = on_idle;
	v->on_idle_arg = arg;
	timer_clear(&v->look);
	channel_close(v->channel);
	v->channel = NULL;
	for (c = v->checks; c != NULL; c = next) {
		next = c->next;
		if (!c->written)
			check_free(c); /* it is due again at the start */
	}
	verification_look_idle(v);
}

static void
verification_input(const struct verification *v,
    struct identity_check_input *in)
{
	uint32_t random;

	mem_random(&random, sizeof(random));
	in->now = loop_wall(v->setup.loop);
	in->recheck_ms = v->setup.conf->dkim.recheck_interval_ms;
	in->retire_after_ms = v->setup.conf->dkim.retire_after_ms;
	in->min_visible_ms = v->setup.conf->dkim.min_visible_ms;
	in->jitter = (double)random / (double)UINT32_MAX * 2 - 1;
}

/* -- the verifier ---------------------------------------------------------- */

static const struct channel_events verification_events = {
	verification_on_message, verification_on_close
};

void
verification_attach(struct verification *v, int fd)
{
	struct err e;

	loop_must_own(v->setup.loop);
	if (v->channel != NULL)
		verification_on_close(v);
	if (v->stopping) {
		close(fd);
		return;
	}
	v->channel = channel_open(v->setup.loop, fd, &verification_events, v,
	    &e);
	if (v->channel == NULL)
		log_error("verifier-lost", "reason=\"%s\"", e.text);
	operator_record_ask(v->operator_record, v->channel);
	verification_look(v);
}

void
verification_look_operator(struct verification *v,
    const struct operator_key *k)
{
	loop_must_own(v->setup.loop);
	operator_record_want(v->operator_record, k);
	operator_record_ask(v->operator_record, v->channel);
}

/* What is out gets no answer any more. */
static void
verification_on_close(void *arg)
{
	struct verification *v = arg;
	struct check	    *c, *next;

	channel_close(v->channel);
	v->channel = NULL;
	log_warn("verifier-gone", "checks=%u", v->check_count);
	for (c = v->checks; c != NULL; c = next) {
		next = c->next;
		if (!c->written)
			check_write(c);
	}
}

static struct check *
verification_find(struct verification *v, uint64_t ticket, struct ask **ask)
{
	uint64_t      index = ticket & ((1u << TICKET_SHIFT) - 1);
	struct check *c;

	for (c = v->checks; c != NULL; c = c->next)
		if (c->number == ticket >> TICKET_SHIFT && !c->written &&
		    index < c->ask_count) {
			*ask = &c->asks[index];
			return c;
		}
	return NULL;
}

static void
verification_on_message(void *arg, struct bytes message, int fd)
{
	struct verification *v = arg;
	struct verify_result r;
	struct check	    *c;
	struct ask	    *a;

	if (fd >= 0)
		close(fd);
	if (!verify_result_decode(message, &r)) {
		log_warn("verifier-answer", "reason=\"it cannot be read\"");
		return;
	}
	if (r.ticket == OPERATOR_RECORD_TICKET) {
		operator_record_take(v->operator_record, &r);
		return;
	}
	c = verification_find(v, r.ticket, &a);
	if (c == NULL || a->answered || a->kind != r.kind)
		return; /* late */
	a->answered = true;
	a->outcome = r.outcome;
	a->error = identity_error_of(r.outcome, r.host_found);
	bytes_text(bytes_of(r.hint[0] != '\0' ? r.hint : r.warning), a->hint,
	    sizeof(a->hint));
	if (++c->answer_count == c->ask_count)
		check_write(c);
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
	j->key_kind = DKIM_KEY_RSA;
	if (i->cname && !k->external && base != NULL)
		snprintf(j->cname_target, sizeof(j->cname_target), "%s.%.180s",
		    k->selector, base);
}

/* false = it could not be sent: no answer will come. */
static bool
check_ask(struct check *c, const struct identity *i, const struct dkim_key *k)
{
	struct ask	 *a = &c->asks[c->ask_count];
	struct verify_job j;
	struct buf	  b;
	bool		  ok;

	memset(&j, 0, sizeof(j));
	j.ticket = c->number << TICKET_SHIFT | c->ask_count++;
	j.authoritative = identity_check_authoritative(i);
	bytes_text(bytes_of(c->name), j.domain, sizeof(j.domain));
	a->outcome = DKIM_DNS_ERROR;
	a->error = IDENTITY_SERVICE_ERROR; /* until it is answered */
	if (k != NULL) {
		j.kind = a->kind = VERIFY_DKIM;
		a->created = k->created;
		memcpy(a->selector, k->selector, sizeof(a->selector));
		check_job(c, i, k, &j);
	} else {
		j.kind = a->kind = VERIFY_TOKEN;
		bytes_text(bytes_of(i->token_text), j.token, sizeof(j.token));
	}
	buf_init(&b, VERIFY_MESSAGE_MAX);
	ok = verify_job_encode(&j, &b) &&
	    channel_send(c->verification->channel, buf_bytes(&b), -1);
	buf_wipe(&b);
	if (!ok)
		c->answer_count++;
	return ok;
}

static bool
state_is_due(const struct identity_check_state *s, struct wall now)
{
	return s->next_check.ms != 0 && s->next_check.ms <= now.ms;
}

static bool
identity_wants_check(const struct identity *i, struct wall now)
{
	return state_is_due(&i->dkim, now) || state_is_due(&i->token, now) ||
	    (i->has_previous && state_is_due(&i->previous, now));
}

/* All records of one domain; answers may be complete at once. */
static void
check_ask_all(struct check *c, const struct identity *i,
    const struct identity_keys *ks)
{
	size_t n;

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

/* Identity and keys lie in the scratch. */
static void
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
		check_ask_all(c, &v->identity, &v->keys);
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

/* -- what is due ----------------------------------------------------------- */

/* Names are copied out: nothing is begun inside the walk. */
struct due_list {
	struct verification *verification;
	struct db_txn	    *txn;
	struct err	    *err;
	bool		     failed;
	struct due_name {
		char account[ACCOUNT_ID_SIZE], name[IDENTITY_NAME_SIZE];
	} v[VERIFICATION_CHECKS_MAX];
	unsigned    n, max;
	struct wall now, next; /* next: the first one that is not due yet */
};

static bool
verification_has(const struct verification *v, const char *account,
    const char *name)
{
	const struct check *c;

	for (c = v->checks; c != NULL; c = c->next)
		if (strcmp(c->name, name) == 0 &&
		    strcmp(c->account, account) == 0)
			return true;
	return false;
}

/* 1 = it lies in the scratch, 0 = it has gone meanwhile, -1 */
static int
verification_load(struct verification *v, struct db_txn *t,
    const struct due_name *d, struct err *e)
{
	int found;

	memset(&v->identity, 0, sizeof(v->identity));
	v->keys.n = 0;
	found = identity_get(t, d->account, d->name, &v->identity, e);
	if (found == 1 && !v->identity.is_address &&
	    identity_keys_load(t, d->account, d->name, &v->keys, e) < 0)
		return -1;
	return found;
}

/* Without a verifier: would time alone change anything? */
static bool
verification_has_passed(struct due_list *l, const struct due_name *d)
{
	struct verification	   *v = l->verification;
	const struct identity_keys *ks = &v->keys;
	struct identity_check_input in;
	struct identity_decision    unused;
	struct identity		    before;
	int			    found;
	size_t			    n;

	found = verification_load(v, l->txn, d, l->err);
	l->failed |= found < 0;
	if (found != 1)
		return false;
	memcpy(&before, &v->identity, sizeof(before));
	verification_input(v, &in);
	identity_check_time(&v->identity, &v->keys, &in, &unused);
	for (n = 0; n < ks->n; n++)
		if (ks->drop[n])
			return true;
	return !identity_wants_check(&v->identity, in.now) ||
	    memcmp(&before, &v->identity, sizeof(before)) != 0;
}

static bool
verification_on_due(void *arg, struct wall due, const char *account,
    const char *name)
{
	struct due_list *l = arg;
	struct due_name *d = &l->v[l->n];

	if (due.ms > l->now.ms) {
		l->next = due;
		return false;
	}
	if (l->n == l->max)
		return false;
	if (verification_has(l->verification, account, name))
		return true;
	bytes_text(bytes_of(account), d->account, sizeof(d->account));
	bytes_text(bytes_of(name), d->name, sizeof(d->name));
	if (l->verification->channel != NULL || verification_has_passed(l, d))
		l->n++;
	return !l->failed;
}

static int
verification_begin_due(struct verification *v, struct due_list *l,
    struct err *e)
{
	struct db_txn *t = book_read(v->setup.book, e);
	unsigned       i;
	int	       rc;

	if (t == NULL)
		return -1;
	l->txn = t;
	l->err = e;
	rc = identity_each_due(t, (struct wall){ INT64_MAX },
	    verification_on_due, l, e);
	if (l->failed)
		rc = -1;
	for (i = 0; rc >= 0 && i < l->n; i++) {
		rc = verification_load(v, t, &l->v[i], e);
		if (rc == 1)
			check_begin(v, l->v[i].account, l->v[i].name);
	}
	book_end(t);
	return rc < 0 ? -1 : 0;
}

void
verification_look(struct verification *v)
{
	struct due_list *l;
	struct err	 e;
	int64_t		 after = LOOK_MAX_MS;

	loop_must_own(v->setup.loop);
	if (v->stopping)
		return;
	l = mem_alloc(sizeof(*l));
	l->verification = v;
	l->now = loop_wall(v->setup.loop);
	l->max = VERIFICATION_CHECKS_MAX - v->check_count;
	if (verification_begin_due(v, l, &e) < 0) {
		log_error("book-failed", "reason=\"%s\"", e.text);
		after = LOOK_AGAIN_MS;
	} else if (l->next.ms != 0 && l->next.ms - l->now.ms < after) {
		after = l->next.ms - l->now.ms;
	}
	mem_free(l);
	timer_set(&v->look, after);
}

static void
verification_on_look(void *arg, void *unused)
{
	(void)unused;
	verification_look(arg);
}

/* -- the book -------------------------------------------------------------- */

/* Answers about keys that are still the same. */
static void
check_results(const struct check *c, const struct identity_keys *ks,
    struct identity_results *r)
{
	const struct ask       *a;
	struct identity_result *to;
	unsigned		i;
	size_t			n;

	memset(r, 0, sizeof(*r));
	r->token = DKIM_UNCHECKED;
	for (i = 0; i < c->ask_count; i++) {
		a = &c->asks[i];
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
		if (c->keys.drop[n] || !identity_check_requires(i, k) ||
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
		check_results(c, &c->keys, &r);
		identity_check_apply(&i, &c->keys, &r, &c->in, &c->by_check);
	} else {
		c->by_check.make_count = c->by_time.make_count;
		memcpy(c->by_check.make, c->by_time.make,
		    sizeof(c->by_check.make));
	}
	check_describe(c, &i);
	c->is_stuck = identity_due(&i).ms != 0 &&
	    identity_due(&i).ms <= c->in.now.ms;
	if (!i.is_address && identity_keys_store(t, &c->keys, &j->err) < 0)
		return -1;
	return identity_put(t, &i, &j->err);
}

/* -- what follows ---------------------------------------------------------- */

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
	case MACHINE_LINK:
		break;
	}
	return "link";
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
		if (n->machine != MACHINE_LINK)
			check_tell(c, n);
	}
	if (d->operator_alarm)
		log_error("dkim-zone-stale", "account=%s identity=%s "
		    "selector=%s", c->account, c->name, d->operator_selector);
	if (d->zone_changed)
		log_warn("dkim-zone-change", "account=%s identity=%s",
		    c->account, c->name);
	if (d->activated[0] != '\0')
		log_info("dkim-activated", "account=%s identity=%s "
		    "selector=%s", c->account, c->name, d->activated);
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

static void
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

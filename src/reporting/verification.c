/* SPDX-License-Identifier: ISC */
/*
 * A check: verification_look() > check_begin() > asks to the verifier >
 * check_on_answer(), or check_on_late(), or the verifier is lost >
 * check_write() > check_run() on the book's writer > check_on_written() >
 * notices, orders of keys, look again.
 */
#include "reporting/verification_private.h"

#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"

static void verification_on_look(void *arg, void *unused);
static void verification_on_message(void *arg, struct bytes message, int fd);
static void verification_on_close(void *arg);

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
	v->inquiries = inquiries_new(s->loop);
	timer_init(&v->look, s->loop, verification_on_look, v);
	return v;
}

void
verification_free(struct verification *v)
{
	if (v == NULL)
		return;
	timer_clear(&v->look);
	inquiries_free(v->inquiries);
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

void
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
	inquiries_attach(v->inquiries, NULL);
	channel_close(v->channel);
	v->channel = NULL;
	for (c = v->checks; c != NULL; c = next) {
		next = c->next;
		if (!c->written)
			check_free(c); /* it is due again at the start */
	}
	verification_look_idle(v);
}

void
verification_input(const struct verification *v,
    struct identity_check_input *in)
{
	identity_check_input_init(in, v->setup.conf, loop_wall(v->setup.loop));
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
	inquiries_attach(v->inquiries, v->channel);
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

void
verification_inquire(struct verification *v, struct inquiry *q)
{
	loop_must_own(v->setup.loop);
	inquiries_begin(v->inquiries, q);
}

/* What is out gets no answer any more. */
static void
verification_on_close(void *arg)
{
	struct verification *v = arg;
	struct check	    *c, *next;

	inquiries_attach(v->inquiries, NULL);
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
	if (r.ticket >= inquiry_ticket) {
		inquiries_take(v->inquiries, &r);
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

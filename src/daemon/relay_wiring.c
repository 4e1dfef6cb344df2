/* SPDX-License-Identifier: ISC */
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/control.h"
#include "daemon/relay.h"
#include "registry/credential.h"
#include "registry/identity_check.h"
#include "reporting/reputation.h"
#include "reporting/withdrawal.h"

/* -- keys made on demand --------------------------------------------------- */

struct key_order {
	struct relay   *relay;
	struct dkim_key key;
	relay_key_fn   *done;
	void	       *ctx;
};

static void
relay_on_key(void *arg, const struct keys_answer *a)
{
	struct key_order *o = arg;

	if (a->result == KEYS_OK && a->public_n <= sizeof(o->key.public_key) &&
	    a->sealed_n <= sizeof(o->key.sealed)) {
		memcpy(o->key.public_key, a->public_key, a->public_n);
		o->key.public_n = a->public_n;
		memcpy(o->key.sealed, a->sealed, a->sealed_n);
		o->key.sealed_n = a->sealed_n;
		o->key.bits = a->bits;
		o->key.ed25519 = a->bits == DKIM_ED25519_BITS;
		o->done(o->ctx, &o->key, "");
	} else {
		o->done(o->ctx, NULL, a->reason);
	}
	mem_free(o);
}

void
relay_make_key(struct relay *r, const struct dkim_key *wanted,
    relay_key_fn *done, void *ctx)
{
	struct key_order *o = mem_alloc(sizeof(*o));
	unsigned char	  random[20];

	loop_must_own(r->main);
	o->relay = r;
	o->key = *wanted;
	o->done = done;
	o->ctx = ctx;
	if (o->key.selector[0] == '\0') {
		mem_random(random, sizeof(random));
		base32_lower(random, sizeof(random), o->key.selector);
	}
	o->key.created = loop_wall(r->main);
	if (r->keys == NULL ||
	    keys_client_make(r->keys, o->key.domain, o->key.selector,
		wanted->bits, relay_on_key, o) == 0) {
		done(ctx, NULL, "the keys process is not running");
		mem_free(o);
	}
}

/* -- the master key must fit the store ------------------------------------- */

struct key_check {
	struct relay   *relay;
	struct dkim_key key;
	bool		found;
};

static bool
relay_on_any_key(void *arg, const struct dkim_key *k)
{
	struct key_check *x = arg;

	x->key = *k;
	x->found = true;
	return false; /* one is enough */
}

static void
relay_on_checked(void *arg, const struct keys_answer *a)
{
	struct key_check *x = arg;
	struct relay	 *r = x->relay;

	if (a->result == KEYS_FAILED && r->conf->store.master_key != NULL) {
		child_send(r->master, CHILD_FATAL, 0,
		    BYTES("store.master_key does not open what is sealed in "
			  "the store"), -1);
	} else {
		if (a->result != KEYS_OK)
			log_error("master-key-unchecked", "reason=\"%s\"",
			    a->reason);
		child_send(r->master, CHILD_READY, 0, BYTES(""), -1);
	}
	mem_free(x);
}

void
relay_announce(struct relay *r)
{
	struct key_check *x = mem_alloc(sizeof(*x));
	struct keys_sign  s;
	struct db_txn	 *t;
	struct err	  e;

	x->relay = r;
	t = book_read(r->book, &e);
	if (t != NULL &&
	    dkim_key_each(t, NULL, NULL, relay_on_any_key, x, &e) < 0)
		log_error("book-failed", "reason=\"%s\"", e.text);
	book_end(t);
	memset(&s, 0, sizeof(s));
	s.domain = x->key.domain;
	s.selector = x->key.selector;
	s.sealed = (struct bytes){ (const char *)x->key.sealed,
		x->key.sealed_n };
	if (x->found &&
	    keys_client_check(r->keys, &s, relay_on_checked, x) != 0)
		return;
	child_send(r->master, CHILD_READY, 0, BYTES(""), -1);
	mem_free(x);
}

/* For reporting: made on main, then added in the book. */
struct standby_order {
	struct book_job job;
	struct relay   *relay;
	struct dkim_key key;
	struct identity_check_input in;
	struct identity_decision    decision;
	struct identity_keys	    keys; /* the writer's scratch */
};

static int
relay_write_standby(struct book_job *j, struct db_txn *t)
{
	struct standby_order *o = (struct standby_order *)(void *)j;
	struct identity	      i;
	int		      found;

	found = identity_get(t, o->key.account, o->key.domain, &i, &j->err);
	if (found <= 0)
		return found; /* deleted meanwhile: nothing to write */
	if (identity_keys_load(t, o->key.account, o->key.domain, &o->keys,
		&j->err) < 0)
		return -1;
	identity_decision_init(&o->decision);
	if (!identity_add_standby(&i, &o->keys, &o->key, &o->in,
		&o->decision))
		return 0; /* it is not wanted any more */
	if (identity_keys_store(t, &o->keys, &j->err) < 0)
		return -1;
	return identity_put(t, &i, &j->err);
}

static void
relay_standby_done(void *job, void *unused)
{
	struct standby_order *o = job;

	(void)unused;
	if (o->job.failed)
		log_error("dkim-key-lost", "domain=%s reason=\"%s\"",
		    o->key.domain, o->job.err.text);
	else
		reporter_post_check(o->relay->reporter);
	if (!o->job.failed && o->decision.zone_changed) {
		log_warn("dkim-zone-change", "account=%s identity=%s",
		    o->key.account, o->key.domain);
		(void)reporter_post_news(o->relay->reporter,
		    &(struct bulletin_news){ "DKIM Zone Change",
		    o->key.account, o->key.domain, o->key.selector });
	}
	mem_free(o);
}

static void
relay_on_standby(void *ctx, const struct dkim_key *k, const char *reason)
{
	struct standby_order *o = ctx;

	if (k != NULL) {
		o->key = *k;
		identity_check_input_init(&o->in, o->relay->conf,
		    loop_wall(o->relay->main));
		o->job.asker = o->relay->main;
		o->job.run = relay_write_standby;
		o->job.done = relay_standby_done;
		if (book_write(o->relay->book, &o->job))
			return;
		reason = "the store is busy";
	}
	log_error("dkim-key-failed", "domain=%s reason=\"%s\"", o->key.domain,
	    reason);
	mem_free(o);
}

static void
relay_order_standby(void *order, void *unused)
{
	struct standby_order *o = order;

	(void)unused;
	relay_make_key(o->relay, &o->key, relay_on_standby, o);
}

static bool
relay_on_make_key(void *arg, const char *account, const char *domain,
    const char *selector, unsigned bits)
{
	struct relay	     *r = arg;
	struct standby_order *o = mem_alloc(sizeof(*o));

	o->relay = r;
	snprintf(o->key.account, sizeof(o->key.account), "%s", account);
	snprintf(o->key.domain, sizeof(o->key.domain), "%s", domain);
	snprintf(o->key.selector, sizeof(o->key.selector), "%s", selector);
	o->key.bits = bits;
	o->key.role = DKIM_STANDBY;
	if (loop_post(r->main, relay_order_standby, o, NULL))
		return true;
	mem_free(o);
	return false;
}

/* -- mail made by reporting ----------------------------------------------- */

struct mail_order {
	struct notice notice;
	void (*done)(void *ctx, enum receipt_result result);
	void *ctx;
	char  cursor[64];
};

static void
relay_mail_done(void *notice, void *unused)
{
	struct mail_order *o = notice;

	(void)unused;
	o->done(o->ctx, o->notice.result);
	buf_wipe(&o->notice.text);
	mem_free(o);
}

static bool
relay_on_send_mail(void *arg, const struct reporter_mail *m)
{
	struct relay	  *r = arg;
	struct mail_order *o = mem_alloc(sizeof(*o));

	o->notice.asker = r->reporting;
	o->notice.done = relay_mail_done;
	memcpy(o->notice.account, m->account, sizeof(o->notice.account));
	memcpy(o->notice.to, m->to, sizeof(o->notice.to));
	o->notice.text = m->text;
	o->notice.errand = m->errand;
	if (m->cursor != NULL) {
		snprintf(o->cursor, sizeof(o->cursor), "%s", m->cursor);
		o->notice.cursor = o->cursor;
		o->notice.cursor_to = m->cursor_to;
	}
	o->done = m->done;
	o->ctx = m->ctx;
	if (relay_post_notice(r, &o->notice))
		return true;
	mem_free(o); /* the text stays the asker's */
	return false;
}

bool
relay_post_notice(struct relay *r, struct notice *n)
{
	unsigned i = atomic_fetch_add(&r->next_notice, 1) % r->desk_count;

	return desk_post_notice(r->desks[i].desk, n);
}

/* -- pauses by reputation -------------------------------------------------- */

static void
relay_switch_account(void *relay, void *done)
{
	struct relay *r = relay;

	if (r->control != NULL && !r->stopping)
		control_on_switch(r->control, done);
	mem_free(done);
}

/* A full feed: rows that are due are held when the scheduler meets them. */
static void
relay_on_switch(void *arg, const struct reputation_switch *s)
{
	struct relay		 *r = arg;
	struct reputation_switch *copy = mem_alloc(sizeof(*copy));

	*copy = *s;
	if (!loop_post(r->main, relay_switch_account, r, copy))
		mem_free(copy);
}

/* -- destinations that were turned off -------------------------------------- */

static void
relay_disabled(void *relay, void *disabled)
{
	struct relay *r = relay;

	if (r->control != NULL && !r->stopping)
		control_on_disabled(r->control, disabled);
	mem_free(disabled);
}

/* A full feed: the log has told of it. */
static void
relay_on_disabled(void *arg, const struct outbox_disabled *d)
{
	struct relay	       *r = arg;
	struct outbox_disabled *copy = mem_alloc(sizeof(*copy));

	*copy = *d;
	if (!loop_post(r->main, relay_disabled, r, copy))
		mem_free(copy);
}

/* -- topics that are dead --------------------------------------------------- */

static void
relay_withdraw(void *relay, void *withdrawn)
{
	struct relay *r = relay;

	if (r->control != NULL && !r->stopping)
		control_on_withdrawn(r->control, withdrawn);
	mem_free(withdrawn);
}

/* A full feed: the log has told of it. */
static void
relay_on_withdrawn(void *arg, const struct withdrawal_case *c)
{
	struct relay	       *r = arg;
	struct withdrawal_case *copy = mem_alloc(sizeof(*copy));

	*copy = *c;
	if (!loop_post(r->main, relay_withdraw, r, copy))
		mem_free(copy);
}

/* -- source addresses ------------------------------------------------------ */

/* A full feed: delivery sees it within a minute. */
static void
relay_on_sources(void *arg)
{
	struct relay *r = arg;

	(void)carrier_post_wake(r->carrier);
}

/* -- commands said to receivers -------------------------------------------- */

static void
relay_each_source(void *arg, statistics_source_fn *fn, void *fn_arg)
{
	struct relay	      *r = arg;
	struct carrier_meters *m = &r->carrier_meters;
	unsigned n = atomic_load_explicit(&m->ip_count,
	    memory_order_acquire), i, k;
	uint64_t rcpts, datas;

	/* one address may be in two pools, one after the other */
	for (i = 0; i < n; i++) {
		rcpts = datas = 0;
		for (k = 0; k < n && strcmp(m->ips[k].ip, m->ips[i].ip) != 0;
		    k++)
			;
		if (k < i)
			continue; /* told with the first */
		for (; k < n; k++)
			if (strcmp(m->ips[k].ip, m->ips[i].ip) == 0) {
				rcpts += meter_get(&m->ips[k].rcpts);
				datas += meter_get(&m->ips[k].datas);
			}
		fn(fn_arg, m->ips[i].ip, rcpts, datas);
	}
}

void
relay_wire_reporter(struct relay *r, struct reporter_setup *s)
{
	s->send_mail = relay_on_send_mail;
	s->send_mail_arg = r;
	s->make_key = relay_on_make_key;
	s->make_key_arg = r;
	s->operator_meters = &r->operator_meters;
	s->ledger = r->ledger;
	s->on_switch = relay_on_switch;
	s->on_switch_arg = r;
	s->on_disabled = relay_on_disabled;
	s->on_disabled_arg = r;
	s->on_withdrawn = relay_on_withdrawn;
	s->on_withdrawn_arg = r;
	s->each_source = relay_each_source;
	s->each_source_arg = r;
	s->on_sources = relay_on_sources;
	s->on_sources_arg = r;
	s->system_address = control_ip_of_system;
	s->workers = r->workers;
	s->outbox_meters = &r->outbox_meters;
	s->series = r->series;
	s->inbox_meters = &r->inbox_meters;
	s->trust = r->trust;
}

/* -- what desks tell ------------------------------------------------------ */

static void
relay_on_warning(void *arg, const char *account, const char *what,
    const char *text)
{
	struct relay *r = arg;

	if (!reporter_post_warning(r->reporter, account, what, text))
		log_warn("notice-lost", "account=%s what=%s", account, what);
}

struct used_job {
	struct book_job job;
	char		key_id[CREDENTIAL_KEY_SIZE];
	char		ip[64], listener[64];
	struct wall	when;
};

static int
relay_write_used(struct book_job *j, struct db_txn *t)
{
	struct used_job	 *u = (struct used_job *)(void *)j;
	struct credential c;
	unsigned	  key;
	int found = credential_find_key(t, u->key_id, &c, &key, &j->err);

	if (found <= 0)
		return found;
	if (!credential_key_note_use(&c.keys[key], u->when, u->ip,
		u->listener))
		return 0;
	return credential_put(t, &c, &j->err);
}

static void
relay_used_done(void *job, void *unused)
{
	(void)unused;
	mem_free(job);
}

static void
relay_on_used(void *arg, const char *key_id, const char *ip,
    const char *listener, struct wall when)
{
	struct relay	*r = arg;
	struct used_job *u = mem_alloc(sizeof(*u));

	u->job.asker = r->main;
	u->job.run = relay_write_used;
	u->job.done = relay_used_done;
	snprintf(u->key_id, sizeof(u->key_id), "%s", key_id);
	snprintf(u->ip, sizeof(u->ip), "%s", ip);
	snprintf(u->listener, sizeof(u->listener), "%s", listener);
	u->when = when;
	if (!book_write(r->book, &u->job))
		mem_free(u); /* the next use says it again */
}

void
relay_wire_desk(struct relay *r, struct desk_setup *s)
{
	s->on_warning = relay_on_warning;
	s->on_warning_arg = r;
	s->on_used = relay_on_used;
	s->on_used_arg = r;
	relay_wire_sender(r, s);
}

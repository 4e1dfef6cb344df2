/* SPDX-License-Identifier: ISC */
#include "submission/desk.h"

#include <stdio.h>
#include <string.h>

#include "base/reserve.h"
#include "registry/ip_filter.h"
#include "registry/permission.h"
#include "submission/desk_private.h"
#include "submission/listener.h"
#include "submission/posting.h"
#include "submission/session.h"

enum { DESK_LINE_MAX = 4096, DESK_STAGES_MAX = 0 /* one a session */ };

static void desk_on_grace(void *desk, void *unused);

/* -- TLS contexts, rules -------------------------------------------------- */

struct desk_tls *
desk_tls_new(size_t count)
{
	struct desk_tls *t = mem_alloc(sizeof(*t));

	atomic_init(&t->refs, 1);
	t->count = count;
	t->v = mem_alloc((count + 1) * sizeof(*t->v));
	return t;
}

struct desk_tls *
desk_tls_ref(struct desk_tls *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void
desk_tls_unref(struct desk_tls *t)
{
	size_t i;

	if (t == NULL || atomic_fetch_sub(&t->refs, 1) > 1)
		return;
	for (i = 0; i < t->count; i++)
		tls_server_unref(t->v[i]);
	mem_free(t->v);
	mem_free(t);
}

static struct desk_rules *
desk_rules_new(struct conf *c, struct desk_tls *t)
{
	struct desk_rules *r = mem_alloc(sizeof(*r));

	must(t->count >= c->listener_count);
	r->refs = 1;
	r->conf = conf_ref(c);
	r->tls = desk_tls_ref(t);
	return r;
}

struct desk_rules *
desk_rules_ref(struct desk_rules *r)
{
	r->refs++;
	return r;
}

void
desk_rules_unref(struct desk_rules *r)
{
	if (r == NULL || --r->refs > 0)
		return;
	conf_unref(r->conf);
	desk_tls_unref(r->tls);
	mem_free(r);
}

/* -- figures -------------------------------------------------------------- */

void
desk_meters_init(struct desk_meters *m)
{
	static const double accept_bounds[] = { 0.001, 0.0025, 0.005, 0.01,
		0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5, 5 };
	static const double sign_bounds[] = { 0.0005, 0.001, 0.0025, 0.005,
		0.01, 0.025, 0.05, 0.1, 0.5, 1, 5 };

	memset(m, 0, sizeof(*m));
	m->accept_seconds.bounds = accept_bounds;
	m->accept_seconds.bound_count = sizeof(accept_bounds) /
	    sizeof(accept_bounds[0]);
	m->sign_seconds.bounds = sign_bounds;
	m->sign_seconds.bound_count = sizeof(sign_bounds) /
	    sizeof(sign_bounds[0]);
}

const char *
desk_command_to_text(unsigned command)
{
	if (command >= DESK_COMMANDS)
		return NULL;
	if (command == DESK_CONNECT)
		return "CONNECT";
	if (command == VERB_UNKNOWN)
		return "OTHER";
	return verb_to_text((enum verb)command);
}

void
desk_count_reply(struct desk *d, unsigned command, struct bytes line)
{
	unsigned code;

	must(line.n > 3);
	code = (unsigned)(line.p[0] - '0') * 100 +
	    (unsigned)(line.p[1] - '0') * 10 + (unsigned)(line.p[2] - '0');
	must(code >= DESK_CODE_MIN && code < DESK_CODE_END);
	meter_add_own(&d->replies[command][code - DESK_CODE_MIN], 1);
}

uint64_t
desk_replies(const struct desk *d, unsigned command, unsigned code)
{
	return meter_get(&d->replies[command][code - DESK_CODE_MIN]);
}

/* -- life ----------------------------------------------------------------- */

static int
desk_read_feedback_key(struct desk *d, struct err *e)
{
	struct db_txn *t = book_read(d->setup.book, e);
	int	       rc;

	if (t == NULL)
		return -1;
	rc = book_feedback_key(t, d->feedback_key, e);
	book_end(t);
	if (rc == 0)
		return err_set(e, "the store has no key for Feedback-ID");
	return rc < 0 ? -1 : 0;
}

struct desk *
desk_new(const struct desk_setup *s, struct err *e)
{
	struct desk *d = mem_alloc(sizeof(*d));

	d->setup = *s;
	timer_init(&d->grace, s->loop, desk_on_grace, d);
	buf_init(&d->line, DESK_LINE_MAX);
	d->stages = table_new(DESK_STAGES_MAX);
	d->turns = turns_new(s->loop);
	d->replies = mem_alloc(DESK_COMMANDS * sizeof(*d->replies));
	d->credential = mem_alloc(sizeof(*d->credential));
	d->account = mem_alloc(sizeof(*d->account));
	d->permissions = permissions_new();
	d->rules = desk_rules_new(s->conf, s->tls);
	d->signer = signer_check_conf(s->conf, e) < 0 ? NULL :
	    signer_new(s->keys, e);
	if (d->signer == NULL || desk_read_feedback_key(d, e) < 0) {
		desk_free(d);
		return NULL;
	}
	return d;
}

void
desk_free(struct desk *d)
{
	if (d == NULL)
		return;
	loop_must_own(d->setup.loop);
	d->on_idle = NULL;
	listener_close_all(d);
	while (d->sessions != NULL)
		session_close(d->sessions, "shutdown");
	posting_free_all(d);
	timer_clear(&d->grace);
	signer_free(d->signer);
	table_free(d->stages);
	turns_free(d->turns);
	ip_filter_list_free(d->filters);
	mem_free(d->replies);
	desk_rules_unref(d->rules);
	mem_wipe(d->feedback_key, sizeof(d->feedback_key));
	mem_free(d->credential);
	mem_free(d->account);
	permissions_free(d->permissions);
	buf_wipe(&d->line);
	mem_free(d);
}

int
desk_listen(struct desk *d, size_t index, int fd, struct err *e)
{
	return listener_open(d, index, fd, e);
}

void
desk_unlisten(struct desk *d, int fd)
{
	listener_close(d, fd);
}

void
desk_reload(struct desk *d, struct conf *conf, struct desk_tls *tls)
{
	struct desk_rules *old = d->rules;

	loop_must_own(d->setup.loop);
	d->rules = desk_rules_new(conf, tls);
	desk_rules_unref(old);
}

/* -- shutdown ------------------------------------------------------------- */

void
desk_look_idle(struct desk *d)
{
	loop_fn *fn = d->on_idle;

	if (!d->is_shutting || fn == NULL || d->session_count > 0 ||
	    d->posting_count > 0 || d->stage_count > 0)
		return;
	d->on_idle = NULL;
	timer_clear(&d->grace);
	/* not from inside what has just ended */
	loop_defer(d->setup.loop, fn, d->on_idle_arg);
}

static void
desk_on_grace(void *desk, void *unused)
{
	struct desk    *d = desk;
	struct session *s, *next;

	(void)unused;
	for (s = d->sessions; s != NULL; s = next) {
		next = s->next;
		session_cut(s);
	}
}

void
desk_shut(struct desk *d, int64_t grace_ms, loop_fn *on_idle, void *arg)
{
	struct session *s, *next;

	loop_must_own(d->setup.loop);
	if (d->is_shutting) {
		d->on_idle = on_idle;
		d->on_idle_arg = arg;
		timer_set(&d->grace, grace_ms);
		desk_look_idle(d);
		return;
	}
	d->is_shutting = true;
	d->on_idle = on_idle;
	d->on_idle_arg = arg;
	listener_close_all(d);
	timer_set(&d->grace, grace_ms);
	for (s = d->sessions; s != NULL; s = next) {
		next = s->next;
		session_shut(s);
	}
	desk_look_idle(d);
}

/* -- what the parts share ------------------------------------------------- */

uint64_t
desk_ticket(struct desk *d)
{
	return ++d->last_ticket;
}

bool
desk_ticket_put(struct table *t, uint64_t ticket, void *asker)
{
	return table_put(t, (struct bytes){ (const char *)&ticket,
	    sizeof(ticket) }, asker);
}

void *
desk_ticket_take(struct table *t, uint64_t ticket)
{
	return table_take(t, (struct bytes){ (const char *)&ticket,
	    sizeof(ticket) });
}

void
desk_warn(struct desk *d, const char *account, const char *what,
    const char *text)
{
	if (d->setup.on_warning != NULL)
		d->setup.on_warning(d->setup.on_warning_arg, account, what,
		    text);
}

void
desk_memory_add(struct desk *d, int64_t octets)
{
	tally_add(d->setup.tally, BYTES("memory"), octets);
}

int64_t
desk_memory(struct desk *d)
{
	return tally_get(d->setup.tally, BYTES("memory"));
}

static bool
desk_has_above(struct desk *d, uint64_t octets)
{
	int64_t n = desk_memory(d);

	return reserve_is_short() || (n > 0 && (uint64_t)n > octets);
}

bool
desk_is_overloaded(struct desk *d, const struct conf *c)
{
	return desk_has_above(d, c->smtp.max_memory_bytes);
}

bool
desk_is_half_loaded(struct desk *d, const struct conf *c)
{
	return desk_has_above(d, c->smtp.max_memory_bytes / 2);
}

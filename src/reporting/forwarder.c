/* SPDX-License-Identifier: ISC */
#include "reporting/forwarder.h"

#include <string.h>

#include "base/log.h"
#include "mail/header.h"

enum {
	ERRAND_ARENA = 256 * 1024,
	SECTION_MAX = 1 << 20,
	COPY_ARENA = 8 << 20,
	ADDED_MAX = 4096,
	PAUSE_FIRST_MS = 250,
	PAUSE_MAX_MS = 60000,
	GIVE_UP_MS = 24 * 60 * 60 * 1000
};

struct forwarder {
	struct forwarder_setup setup;
	struct timer	       timer; /* the next look */
	int64_t		       pause_ms;
	struct arena	      *arena;  /* of the errand at hand; NULL = none */
	struct intake_errand   errand;
	struct change	       change; /* that gives it up */
	bool		       stopping;
	loop_fn		      *on_idle;
	void		      *on_idle_arg;
};

static void forwarder_on_timer(void *forwarder, void *unused);
static void forwarder_on_sent(void *ctx, enum receipt_result result);
static void forwarder_on_dropped(void *forwarder, void *change);

/* -- life ------------------------------------------------------------------ */

struct forwarder *
forwarder_new(const struct forwarder_setup *s)
{
	struct forwarder *f = mem_alloc(sizeof(*f));

	f->setup = *s;
	f->setup.conf = conf_ref(s->conf);
	timer_init(&f->timer, s->loop, forwarder_on_timer, f);
	return f;
}

void
forwarder_free(struct forwarder *f)
{
	if (f == NULL)
		return;
	timer_clear(&f->timer);
	arena_free(f->arena);
	conf_unref(f->setup.conf);
	mem_free(f);
}

void
forwarder_reload(struct forwarder *f, struct conf *conf)
{
	conf_unref(f->setup.conf);
	f->setup.conf = conf_ref(conf);
}

void
forwarder_wake(struct forwarder *f)
{
	loop_must_own(f->setup.loop);
	if (f->arena == NULL && !f->stopping && !timer_is_set(&f->timer))
		timer_set(&f->timer, 0);
}

/* The errand at hand is over, or has to wait. */
static void
forwarder_go_on(struct forwarder *f, bool failed)
{
	loop_fn *on_idle = f->on_idle;

	arena_free(f->arena);
	f->arena = NULL;
	if (f->stopping) {
		f->on_idle = NULL;
		if (on_idle != NULL)
			on_idle(f->on_idle_arg, NULL);
		return;
	}
	if (!failed)
		f->pause_ms = 0;
	else
		f->pause_ms = f->pause_ms == 0 ? PAUSE_FIRST_MS :
		    f->pause_ms < PAUSE_MAX_MS / 2 ? f->pause_ms * 2 :
						     PAUSE_MAX_MS;
	timer_set(&f->timer, f->pause_ms);
}

void
forwarder_stop(struct forwarder *f, loop_fn *on_idle, void *arg)
{
	loop_must_own(f->setup.loop);
	f->stopping = true;
	f->on_idle = on_idle;
	f->on_idle_arg = arg;
	timer_clear(&f->timer);
	if (f->arena == NULL)
		forwarder_go_on(f, false);
}

/* -- the copy -------------------------------------------------------------- */

static bool
put_from(struct header *h, struct arena *a, enum intake_from from,
    const char *domain)
{
	struct field *f = header_find(h, "From");
	bool	      is_complaint = from == INTAKE_FROM_COMPLAINTS;
	struct bytes  value = bytes_of(arena_printf(a, "%s <%s@%s>",
	    is_complaint ? "Complaints" : "Mail Delivery Subsystem",
	    is_complaint ? "complaints" : "MAILER-DAEMON", domain));
	struct bytes  before;

	if (value.n == 0)
		return false;
	if (f == NULL)
		return header_append(h, "From", value);
	if (from == INTAKE_FROM_KEPT)
		return true;
	before = bytes_trim(f->value);
	return header_replace(h, f, "From", value) &&
	    (before.n == 0 || header_append(h, "X-Original-From", before));
}

/* What nobody could read as mail becomes the text of one. */
static bool
write_wrapped(struct bytes raw, const char *domain, struct buf *out)
{
	buf_add_text(out, "From: Mail Delivery Subsystem <MAILER-DAEMON@");
	buf_add_text(out, domain);
	buf_add_text(out, ">\r\nSubject: Mail that could not be read\r\n"
	    "Auto-Submitted: auto-forwarded\r\n\r\n");
	buf_add_bytes(out, raw);
	return !out->failed;
}

static void
replace_nul(struct buf *b, size_t from)
{
	char *p = b->p;

	for (; from < b->n; from++)
		if (p[from] == '\0')
			p[from] = '?';
}

/* "mail.relay.example; spf=pass ...", behind blanks and comments. */
static bool
results_are_of(struct bytes value, const char *host)
{
	size_t n, depth = 0;

	for (; value.n > 0; value = bytes_from(value, 1)) {
		if (value.p[0] == '(')
			depth++;
		else if (value.p[0] == ')' && depth > 0)
			depth--;
		else if (depth == 0 && value.p[0] != ' ' &&
		    value.p[0] != '\t' && value.p[0] != '\r' &&
		    value.p[0] != '\n' && value.p[0] != '"')
			break;
	}
	n = strlen(host);
	return bytes_starts_nocase(value, bytes_of(host)) &&
	    (value.n == n || memchr("; \t\r\n(\"", value.p[n], 7) != NULL);
}

/* RFC 8601 5: nobody else speaks in our name. */
static bool
put_results(struct header *h, const char *host)
{
	static const char name[] = "Authentication-Results";
	struct field	 *f = header_find(h, name), *next;

	if (f != NULL)
		f = header_next(h, f, name);
	for (; f != NULL; f = next) {
		next = header_next(h, f, name);
		if (results_are_of(f->value, host) && !header_replace(h, f,
			"X-Original-Authentication-Results",
			bytes_trim(f->value)))
			return false;
	}
	return true;
}

static bool
put_fields(struct header *h, enum intake_from from, const char *domain)
{
	struct field *f;

	header_remove(h, "Return-Path");
	f = header_find(h, "Auto-Submitted");
	if (!put_from(h, h->arena, from, domain))
		return false;
	return f != NULL || header_append(h, "Auto-Submitted",
	    from == INTAKE_FROM_KEPT ? BYTES("auto-forwarded") :
				       BYTES("auto-replied"));
}

bool
forwarder_write(struct bytes raw, enum intake_from from, const char *domain,
    const char *host, struct buf *out)
{
	static const struct header_rules rules = { SECTION_MAX, true };
	struct arena *a = arena_new(COPY_ARENA);
	struct header h;
	size_t	      start = out->n;
	bool	      ok;

	if (header_parse(raw, &rules, a, &h) == HEADER_OK)
		ok = put_results(&h, host) &&
		    put_fields(&h, from, domain) && header_write(&h, out) &&
		    buf_add_bytes(out, bytes_from(raw, h.body));
	else
		ok = write_wrapped(raw, domain, out);
	if (ok)
		replace_nul(out, start);
	arena_free(a);
	return ok;
}

/* -- an errand ------------------------------------------------------------- */

/* 1 = read, 0 = it has gone, -1 */
static int
forwarder_read(struct forwarder *f, struct buf *raw, struct err *e)
{
	struct intake_row r;
	char		 *to;
	ptrdiff_t	  got;
	size_t		  want;
	int		  rc = spool_read_intake(f->setup.spool,
	    &f->errand.id, f->arena, &r, e);

	if (rc <= 0)
		return rc;
	want = r.head_octets + r.body_octets < FORWARDER_OCTETS_MAX ?
	    (size_t)(r.head_octets + r.body_octets) : FORWARDER_OCTETS_MAX;
	while (raw->n < want) {
		to = buf_room(raw, want - raw->n);
		if (to == NULL)
			return err_set(e, "no memory for a copy");
		got = spool_read_raw(f->setup.spool, &r, raw->n, to,
		    want - raw->n, e);
		if (got <= 0)
			return got < 0 ? -1 : 0;
		buf_commit(raw, (size_t)got);
	}
	return 1;
}

static void
forwarder_drop(struct forwarder *f, const char *why)
{
	struct change *c = &f->change;
	char	       id[MSGID_TEXT + 1];

	msgid_to_text(&f->errand.id, f->setup.conf->server.id_prefix, 0, id);
	log_error("forward-dropped", "rid=%s reason=\"%s\"", id, why);
	memset(c, 0, sizeof(*c));
	c->from = f->setup.loop;
	c->on_receipt = forwarder_on_dropped;
	c->ctx = f;
	c->errand = &f->errand;
	if (!spool_change(f->setup.spool, c))
		forwarder_go_on(f, true);
}

static void
forwarder_on_dropped(void *forwarder, void *change)
{
	struct change *c = change;

	forwarder_go_on(forwarder, c->result != RECEIPT_OK);
}

static bool
forwarder_send(struct forwarder *f, struct bytes raw)
{
	struct reporter_mail m;

	memset(&m, 0, sizeof(m));
	buf_init(&m.text, FORWARDER_OCTETS_MAX + ADDED_MAX);
	bytes_text(f->errand.account, m.account, sizeof(m.account));
	bytes_text(f->errand.to, m.to, sizeof(m.to));
	m.errand = &f->errand;
	m.done = forwarder_on_sent;
	m.ctx = f;
	if (forwarder_write(raw, f->errand.from,
		f->setup.conf->mail_from.default_domain,
		f->setup.conf->server.name, &m.text) &&
	    f->setup.send_mail(f->setup.send_mail_arg, &m))
		return true;
	buf_wipe(&m.text);
	return false;
}

static void
forwarder_run(struct forwarder *f)
{
	struct buf raw;
	struct err e;
	int	   rc;

	if (loop_wall(f->setup.loop).ms - f->errand.since.ms > GIVE_UP_MS) {
		forwarder_drop(f, "not handed over within 24 h");
		return;
	}
	buf_init(&raw, FORWARDER_OCTETS_MAX);
	rc = forwarder_read(f, &raw, &e);
	if (rc < 0) {
		log_error("forward-waits", "reason=\"%s\"", e.text);
		forwarder_go_on(f, true);
	} else if (rc == 0) {
		forwarder_drop(f, "the raw message has gone");
	} else if (!forwarder_send(f, buf_bytes(&raw))) {
		forwarder_go_on(f, true);
	}
	buf_wipe(&raw);
}

static void
forwarder_on_sent(void *ctx, enum receipt_result result)
{
	struct forwarder *f = ctx;
	char		  id[MSGID_TEXT + 1];

	if (result == RECEIPT_OK) {
		msgid_to_text(&f->errand.id, f->setup.conf->server.id_prefix,
		    0, id);
		log_info("forwarded", "rid=%s account=%.*s", id,
		    (int)f->errand.account.n, f->errand.account.p);
		forwarder_go_on(f, false);
	} else if (result == RECEIPT_REFUSED) {
		forwarder_drop(f, "the copy was refused");
	} else {
		forwarder_go_on(f, true);
	}
}

static void
forwarder_on_timer(void *forwarder, void *unused)
{
	struct forwarder *f = forwarder;
	struct err	  e;
	int		  rc;

	(void)unused;
	f->arena = arena_new(ERRAND_ARENA);
	rc = spool_next_intake(f->setup.spool, INTAKE_FORWARD, NULL, f->arena,
	    &f->errand, &e);
	if (rc == 1) {
		forwarder_run(f);
		return;
	}
	if (rc < 0) {
		log_error("forward-waits", "reason=\"%s\"", e.text);
		forwarder_go_on(f, true);
		return;
	}
	arena_free(f->arena);
	f->arena = NULL;
}

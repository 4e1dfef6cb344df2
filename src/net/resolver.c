/* SPDX-License-Identifier: ISC */
/*
 * The way of a question: resolver_ask() looks into the cache, else joins a
 * waiter to the question that is open already, else opens one.  Open
 * questions wait in line, for answers to hundreds at once would not fit a
 * socket; resolver_pump() hands them to c-ares.  resolver_on_answer() follows
 * CNAMEs (back into the line) or settles the question: the answer goes into
 * the cache and its waiters to the ready list, which resolver_deliver() walks
 * when c-ares is not on the stack, so that a callback may do what it likes,
 * resolver_free() too.
 *
 * Each server has a c-ares channel of its own and is asked once at a time:
 * going on to the next server is done here, because c-ares (1.18) reports a
 * question that all servers failed as if none of them had been there.
 */
#include "net/resolver.h"

#include <arpa/nameser.h>
#include <string.h>

#include "base/table.h"
#include "net/resolver_private.h"
#include "net/resolver_servers.h"

enum {
	RESOLVER_WAITERS_MAX = 65536,
	RESOLVER_OUT_MAX = 256, /* questions at the servers at once */
	POSITIVE_MIN_S = 60,
	POSITIVE_MAX_S = 3600,
	NEGATIVE_MIN_S = 30,
	NEGATIVE_MAX_S = 900,
	TROUBLE_S = 5,
	KEY_SIZE = DNS_NAME_SIZE + 1
};

struct waiter {
	struct waiter	  *next;
	uint64_t	   ticket;
	resolver_fn	  *fn; /* NULL: cancelled */
	void		  *arg;
	struct dns_answer *answer; /* one reference, once there */
};

struct waiters {
	struct waiter *first, **end;
};

struct question {
	struct resolver	 *resolver;
	struct question	 *next; /* in line */
	enum resolver_type type;
	char		  name[DNS_NAME_SIZE];
	char		  key[KEY_SIZE];
	struct dns_walk	  walk;
	size_t		  server;   /* asked now */
	size_t		  attempts; /* for walk.name */
	size_t		  failures; /* answers that were none */
	bool		  has_timed_out;
	struct waiters	  waiters;
};

struct resolver {
	struct loop	 *loop;
	struct servers	 *servers;
	size_t		  cache_max;
	size_t		  preferred; /* the server that answered last */
	bool		  is_closed;
	struct timer	  timeout, soon;
	struct table	 *questions; /* by key */
	struct question	 *line, **line_end;
	size_t		  out; /* questions at the servers */
	struct table	 *waiters; /* by ticket, not the cancelled */
	size_t		  waiter_count;
	uint64_t	  last_ticket;
	struct waiters	  ready;
	struct dns_cache *cache;
	struct resolver_figures figures;
};

static void resolver_on_timeout(void *arg, void *unused);
static void resolver_on_soon(void *arg, void *unused);

/* -- life ----------------------------------------------------------------- */

static void
waiters_init(struct waiters *w)
{
	w->first = NULL;
	w->end = &w->first;
}

static void
waiters_append(struct waiters *list, struct waiter *w)
{
	w->next = NULL;
	*list->end = w;
	list->end = &w->next;
}

struct resolver *
resolver_new(struct loop *l, const struct resolver_setup *s, struct err *e)
{
	struct resolver *r = mem_alloc(sizeof(*r));

	r->loop = l;
	timer_init(&r->timeout, l, resolver_on_timeout, r);
	timer_init(&r->soon, l, resolver_on_soon, r);
	r->questions = table_new(0);
	r->waiters = table_new(0);
	r->line_end = &r->line;
	waiters_init(&r->ready);
	r->cache = dns_cache_new(s->cache_max);
	r->cache_max = s->cache_max;
	r->servers = servers_open(r, r->loop, s, e);
	if (r->servers == NULL) {
		resolver_free(r);
		return NULL;
	}
	return r;
}

static void
waiters_free(struct waiters *list)
{
	struct waiter *w;

	while ((w = list->first) != NULL) {
		list->first = w->next;
		dns_answer_unref(w->answer);
		mem_free(w);
	}
	waiters_init(list);
}

static void
question_drop(void *arg, struct bytes key, void *value)
{
	struct question *q = value;

	(void)arg;
	(void)key;
	waiters_free(&q->waiters);
	mem_free(q);
}

void
resolver_free(struct resolver *r)
{
	if (r == NULL || r->is_closed)
		return;
	loop_must_own(r->loop);
	r->is_closed = true;
	/* answers every open question, and closes the sockets */
	servers_close(r->loop, r->servers);
	timer_clear(&r->timeout);
	timer_clear(&r->soon);
	table_each(r->questions, question_drop, NULL);
	table_free(r->questions);
	table_free(r->waiters);
	waiters_free(&r->ready);
	dns_cache_free(r->cache);
	loop_reap(r->loop, mem_free, r);
}

/* -- c-ares and the loop -------------------------------------------------- */

static void resolver_after(struct resolver *r);

static void
server_on_socket(void *arg, int fd, int what)
{
	struct server *v = arg;

	ares_process_fd(v->channel,
	    what & WATCH_READ ? fd : ARES_SOCKET_BAD,
	    what & WATCH_WRITE ? fd : ARES_SOCKET_BAD);
	resolver_after(v->resolver);
}

void
server_on_socket_state(void *arg, ares_socket_t fd, int readable,
    int writable)
{
	struct server	      *v = arg;
	struct server_socket **at = &v->sockets, *s;
	int what = (readable ? WATCH_READ : 0) | (writable ? WATCH_WRITE : 0);

	while (*at != NULL && (*at)->fd != fd)
		at = &(*at)->next;
	s = *at;
	if (what == 0) {
		if (s == NULL)
			return;
		*at = s->next;
		watch_close(s->watch);
		mem_free(s);
	} else if (s != NULL) {
		watch_change(s->watch, what);
	} else {
		s = mem_alloc(sizeof(*s));
		s->fd = fd;
		s->watch = watch_open(v->resolver->loop, fd, what,
		    server_on_socket, v);
		must(s->watch != NULL);
		s->next = v->sockets;
		v->sockets = s;
	}
}

static void
resolver_on_timeout(void *arg, void *unused)
{
	struct resolver *r = arg;
	size_t		 i;

	(void)unused;
	for (i = 0; i < r->servers->count; i++)
		ares_process_fd(r->servers->v[i].channel, ARES_SOCKET_BAD,
		    ARES_SOCKET_BAD);
	resolver_after(r);
}

static void
resolver_set_timeout(struct resolver *r)
{
	struct timeval tv, *next;
	int64_t	       ms, first_ms = INT64_MAX;
	size_t	       i;

	for (i = 0; i < r->servers->count; i++) {
		next = ares_timeout(r->servers->v[i].channel, NULL, &tv);
		if (next == NULL)
			continue;
		ms = (int64_t)next->tv_sec * 1000 + next->tv_usec / 1000 + 1;
		if (ms < first_ms)
			first_ms = ms;
	}
	if (first_ms == INT64_MAX)
		timer_clear(&r->timeout);
	else
		timer_set(&r->timeout, first_ms);
}

/* -- questions ------------------------------------------------------------ */

static int64_t
clamp(int64_t v, int64_t min, int64_t max)
{
	return v < min ? min : v > max ? max : v;
}

static int64_t
answer_life_s(const struct dns_answer *a, const struct dns_draft *d)
{
	switch (a->status) {
	case DNS_FOUND:
		return clamp(a->ttl, POSITIVE_MIN_S, POSITIVE_MAX_S);
	case DNS_NO_DATA:
	case DNS_NXDOMAIN:
		return clamp(d != NULL && d->has_soa ? d->negative_ttl : 0,
		    NEGATIVE_MIN_S, NEGATIVE_MAX_S);
	case DNS_SERVFAIL:
	case DNS_TIMEOUT:
	case DNS_UNREACHABLE:
		break;
	}
	return TROUBLE_S;
}

static void
question_settle(struct question *q, enum dns_status status,
    const struct dns_draft *d)
{
	struct resolver	  *r = q->resolver;
	struct dns_answer *a;
	struct waiter	  *w;

	a = dns_answer_make(status, q->type, q->name, &q->walk, d);
	r->figures.asked[q->type][status]++;
	dns_cache_put(r->cache, bytes_of(q->key), a, answer_life_s(a, d),
	    loop_now(r->loop));
	while ((w = q->waiters.first) != NULL) {
		q->waiters.first = w->next;
		w->answer = dns_answer_ref(a);
		waiters_append(&r->ready, w);
	}
	table_take(r->questions, bytes_of(q->key));
	mem_free(q);
	dns_answer_unref(a);
}

static void
line_append(struct resolver *r, struct question *q)
{
	q->next = NULL;
	*r->line_end = q;
	r->line_end = &q->next;
}

/*
 * A time-out is asked again, in rounds; a server that fails, or is not there,
 * has said so and is asked once.
 */
static void
question_try_next(struct question *q)
{
	struct resolver *r = q->resolver;
	size_t		 max = r->servers->count;

	if (q->has_timed_out)
		max *= r->servers->tries;
	if (++q->attempts < max) {
		q->server = (q->server + 1) % r->servers->count;
		line_append(r, q);
	} else if (q->failures > 0) {
		question_settle(q, DNS_SERVFAIL, NULL);
	} else {
		question_settle(q, q->has_timed_out ? DNS_TIMEOUT :
		    DNS_UNREACHABLE, NULL);
	}
}

/* To those who are the servers now, as if it had not been asked yet. */
static void
question_begin_again(struct question *q)
{
	q->attempts = q->failures = 0;
	q->has_timed_out = false;
	line_append(q->resolver, q);
}

static void
question_read(struct question *q, struct bytes message)
{
	struct dns_draft d;

	dns_draft_init(&d);
	switch (dns_parse(message, q->type, &q->walk, &d)) {
	case DNS_PARSED_FOUND:
		question_settle(q, DNS_FOUND, &d);
		break;
	case DNS_PARSED_NO_DATA:
		question_settle(q, DNS_NO_DATA, &d);
		break;
	case DNS_PARSED_NXDOMAIN:
		question_settle(q, DNS_NXDOMAIN, &d);
		break;
	case DNS_PARSED_FOLLOW:
		question_begin_again(q);
		break;
	case DNS_PARSED_BAD:
		if (q->walk.steps > DNS_STEPS_MAX) {
			question_settle(q, DNS_SERVFAIL, NULL);
			break;
		}
		q->failures++;
		question_try_next(q);
		break;
	}
	dns_draft_wipe(&d);
}

/* From inside c-ares: nobody else is called here. */
static void
resolver_on_answer(void *arg, int status, int timeouts, unsigned char *p,
    int n)
{
	struct question *q = arg;

	(void)timeouts;
	if (q->resolver->is_closed)
		return; /* resolver_free() has it */
	q->resolver->out--;
	switch (status) {
	case ARES_SUCCESS:
	case ARES_ENODATA:
	case ARES_ENOTFOUND:
		q->resolver->preferred = q->server;
		question_read(q, (struct bytes){ (char *)p,
		    p == NULL || n < 0 ? 0 : (size_t)n });
		break;
	case ARES_ETIMEOUT:
		q->has_timed_out = true;
		question_try_next(q);
		break;
	case ARES_ECONNREFUSED:
		question_try_next(q);
		break;
	case ARES_EDESTRUCTION:
		question_begin_again(q);
		break;
	default:
		q->failures++;
		question_try_next(q);
		break;
	}
}

static void
resolver_pump(struct resolver *r)
{
	struct question *q;

	while (r->out < RESOLVER_OUT_MAX && (q = r->line) != NULL) {
		r->line = q->next;
		if (r->line == NULL)
			r->line_end = &r->line;
		r->out++;
		if (q->attempts == 0)
			q->server = r->preferred;
		ares_query(r->servers->v[q->server].channel, q->walk.name, ns_c_in,
		    dns_type_number(q->type), resolver_on_answer, q);
	}
}

static void
ticket_key(uint64_t ticket, char out[sizeof(uint64_t)])
{
	memcpy(out, &ticket, sizeof(ticket));
}

/* Only what is ready now: an asker may ask again and again. */
static void
resolver_deliver(struct resolver *r)
{
	struct waiters list = r->ready;
	struct waiter *w;
	char	       key[sizeof(uint64_t)];

	if (list.first == NULL)
		return;
	waiters_init(&r->ready);
	while ((w = list.first) != NULL) {
		list.first = w->next;
		if (!r->is_closed) {
			r->waiter_count--;
			if (w->fn != NULL) {
				ticket_key(w->ticket, key);
				table_take(r->waiters,
				    (struct bytes){ key, sizeof(key) });
				w->fn(w->arg, w->answer);
			}
		}
		dns_answer_unref(w->answer);
		mem_free(w);
	}
}

/* After c-ares has run. */
static void
resolver_after(struct resolver *r)
{
	resolver_pump(r);
	resolver_deliver(r);
	if (r->is_closed)
		return;
	if (r->ready.first != NULL)
		timer_set(&r->soon, 0);
	resolver_set_timeout(r);
}

static void
resolver_on_soon(void *arg, void *unused)
{
	(void)unused;
	resolver_after(arg);
}

/* -- asking --------------------------------------------------------------- */

static struct question *
question_open(struct resolver *r, enum resolver_type type, const char *name,
    const char *key)
{
	struct question *q = mem_alloc(sizeof(*q));

	q->resolver = r;
	q->type = type;
	strcpy(q->name, name);
	strcpy(q->walk.name, name);
	strcpy(q->key, key);
	q->walk.ttl = UINT32_MAX;
	waiters_init(&q->waiters);
	if (!table_put(r->questions, bytes_of(key), q)) {
		mem_free(q);
		return NULL;
	}
	line_append(r, q);
	return q;
}

static struct waiter *
waiter_new(struct resolver *r, resolver_fn *fn, void *arg)
{
	struct waiter *w;
	char	       key[sizeof(uint64_t)];

	if (r->waiter_count >= RESOLVER_WAITERS_MAX)
		return NULL;
	w = mem_alloc(sizeof(*w));
	w->ticket = r->last_ticket + 1;
	w->fn = fn;
	w->arg = arg;
	ticket_key(w->ticket, key);
	if (!table_put(r->waiters, (struct bytes){ key, sizeof(key) }, w)) {
		mem_free(w);
		return NULL;
	}
	r->last_ticket++;
	r->waiter_count++;
	return w;
}

/* A name that cannot exist does not. */
static void
waiter_refuse(struct resolver *r, struct waiter *w, enum resolver_type type)
{
	struct dns_walk walk;

	memset(&walk, 0, sizeof(walk));
	w->answer = dns_answer_make(DNS_NXDOMAIN, type, "", &walk, NULL);
	waiters_append(&r->ready, w);
}

static uint64_t
resolver_ask_any(struct resolver *r, enum resolver_type type,
    const char *given, struct waiter *w, bool fresh)
{
	const struct dns_answer *cached = NULL;
	struct question		*q;
	char			 name[DNS_NAME_SIZE], key[KEY_SIZE];
	uint64_t		 ticket = w->ticket;

	if (!dns_name_normalize(given, name)) {
		waiter_refuse(r, w, type);
		timer_set(&r->soon, 0);
		return ticket;
	}
	key[0] = (char)('a' + (int)type);
	strcpy(key + 1, name);
	if (!fresh)
		cached = dns_cache_get(r->cache, bytes_of(key),
		    loop_now(r->loop));
	if (cached != NULL) {
		r->figures.cache_hits++;
		w->answer = dns_answer_ref(cached);
		waiters_append(&r->ready, w);
		timer_set(&r->soon, 0);
		return ticket;
	}
	q = table_get(r->questions, bytes_of(key));
	if (q == NULL)
		q = question_open(r, type, name, key);
	if (q == NULL) {
		resolver_cancel(r, ticket);
		waiter_refuse(r, w, type); /* only to be freed there */
		ticket = 0;
	} else {
		waiters_append(&q->waiters, w);
		resolver_pump(r);
		resolver_set_timeout(r);
	}
	if (r->ready.first != NULL)
		timer_set(&r->soon, 0);
	return ticket;
}

uint64_t
resolver_ask(struct resolver *r, enum resolver_type type, const char *name,
    resolver_fn *fn, void *arg)
{
	struct waiter *w;

	loop_must_own(r->loop);
	w = waiter_new(r, fn, arg);
	return w == NULL ? 0 : resolver_ask_any(r, type, name, w, false);
}

uint64_t
resolver_ask_fresh(struct resolver *r, enum resolver_type type,
    const char *name, resolver_fn *fn, void *arg)
{
	struct waiter *w;

	loop_must_own(r->loop);
	w = waiter_new(r, fn, arg);
	return w == NULL ? 0 : resolver_ask_any(r, type, name, w, true);
}

void
resolver_cancel(struct resolver *r, uint64_t ticket)
{
	struct waiter *w;
	char	       key[sizeof(uint64_t)];

	loop_must_own(r->loop);
	ticket_key(ticket, key);
	w = table_take(r->waiters, (struct bytes){ key, sizeof(key) });
	if (w != NULL)
		w->fn = NULL;
}

/* -- reload --------------------------------------------------------------- */

int
resolver_retune(struct resolver *r, const struct resolver_setup *s,
    struct err *e)
{
	struct servers	*fresh = servers_open(r, r->loop, s, e), *old = r->servers;
	struct question *q;

	loop_must_own(r->loop);
	if (fresh == NULL)
		return -1;
	if (!servers_are_equal(old, fresh)) {
		dns_cache_free(r->cache);
		r->cache = dns_cache_new(r->cache_max);
	} else if (old->tries == fresh->tries &&
	    old->timeout_ms == fresh->timeout_ms) {
		servers_close(r->loop, fresh);
		return 0;
	}
	r->servers = fresh;
	r->preferred = 0;
	for (q = r->line; q != NULL; q = q->next) {
		q->attempts = q->failures = 0;
		q->has_timed_out = false;
	}
	servers_close(r->loop, old);
	timer_set(&r->soon, 0);
	return 0;
}

void
resolver_figures(const struct resolver *r, struct resolver_figures *out)
{
	*out = r->figures;
	out->cache_entries = dns_cache_count(r->cache);
}

const char *
resolver_library(void)
{
	return ares_version(NULL);
}

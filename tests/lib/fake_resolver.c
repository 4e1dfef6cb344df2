/* SPDX-License-Identifier: ISC */
#include "fake_resolver.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <strings.h>

#include "net/resolver_private.h"

enum { CNAMES_MAX = 8 };

struct dns_row {
	struct dns_row	  *next;
	char		   name[DNS_NAME_SIZE];
	enum resolver_type type;
	bool		   is_status;
	enum dns_status	   status;
	uint32_t	   ttl;
	char		  *value;
};

static struct {
	struct dns_row	     *rows, **last;
	struct fake_question *asked;
	size_t		      asked_n, asked_cap;
	int64_t		      slow_ms;
} the_dns = { .last = &the_dns.rows };

static const char *const type_names[] = { "MX", "A", "AAAA", "TXT", "PTR",
	"CNAME", "NS" };

/* -- the table -------------------------------------------------------------- */

static bool
dns_type_of(const char *text, enum resolver_type *out)
{
	size_t i;

	for (i = 0; i < sizeof(type_names) / sizeof(type_names[0]); i++)
		if (strcasecmp(type_names[i], text) == 0) {
			*out = (enum resolver_type)i;
			return true;
		}
	return false;
}

static bool
dns_status_of(const char *text, enum dns_status *out)
{
	static const struct {
		const char	*text;
		enum dns_status	 status;
	} all[] = { { "NXDOMAIN", DNS_NXDOMAIN }, { "NODATA", DNS_NO_DATA },
		{ "SERVFAIL", DNS_SERVFAIL }, { "TIMEOUT", DNS_TIMEOUT },
		{ "UNREACHABLE", DNS_UNREACHABLE } };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (strcmp(all[i].text, text) == 0) {
			*out = all[i].status;
			return true;
		}
	return false;
}

static bool
dns_value_is_good(enum resolver_type type, const char *value)
{
	struct in6_addr any;

	switch (type) {
	case RESOLVER_MX:
		return isdigit((unsigned char)value[0]) &&
		    strchr(value, ' ') != NULL;
	case RESOLVER_A:
		return inet_pton(AF_INET, value, &any) == 1;
	case RESOLVER_AAAA:
		return inet_pton(AF_INET6, value, &any) == 1;
	default:
		return value[0] != '\0' || type == RESOLVER_TXT;
	}
}

bool
fake_dns_add(const char *name, const char *type, const char *value,
    uint32_t ttl)
{
	struct dns_row *r = mem_alloc(sizeof(*r));

	r->is_status = dns_status_of(value, &r->status);
	if (!dns_type_of(type, &r->type) ||
	    (strcmp(name, "*") != 0 && !dns_name_normalize(name, r->name)) ||
	    (!r->is_status && !dns_value_is_good(r->type, value))) {
		free(r);
		return false;
	}
	if (strcmp(name, "*") == 0)
		strcpy(r->name, "*");
	r->ttl = ttl;
	r->value = mem_dup(value);
	*the_dns.last = r;
	the_dns.last = &r->next;
	return true;
}

void
fake_dns_remove(const char *name, const char *type)
{
	struct dns_row **p = &the_dns.rows, *r;

	while ((r = *p) != NULL) {
		if ((name != NULL && strcasecmp(r->name, name) != 0) ||
		    (type != NULL &&
			strcasecmp(type_names[r->type], type) != 0)) {
			p = &r->next;
			continue;
		}
		*p = r->next;
		free(r->value);
		free(r);
	}
	the_dns.last = p;
	if (name != NULL)
		return;
	free(the_dns.asked);
	the_dns.asked = NULL;
	the_dns.asked_n = the_dns.asked_cap = 0;
	the_dns.slow_ms = 0;
}

void
fake_dns_slow(int64_t ms)
{
	the_dns.slow_ms = ms;
}

size_t
fake_dns_question_count(void)
{
	return the_dns.asked_n;
}

const struct fake_question *
fake_dns_question(size_t i)
{
	return &the_dns.asked[i];
}

static void
dns_note(enum resolver_type type, const char *name, struct wall now)
{
	struct fake_question *q;

	if (the_dns.asked_n == the_dns.asked_cap) {
		the_dns.asked_cap = the_dns.asked_cap * 2 + 16;
		the_dns.asked = mem_realloc(the_dns.asked,
		    the_dns.asked_cap * sizeof(*the_dns.asked));
	}
	q = &the_dns.asked[the_dns.asked_n++];
	q->at = now;
	q->type = type_names[type];
	snprintf(q->name, sizeof(q->name), "%s", name);
}

/* -- answers ------------------------------------------------------------------ */

static void
dns_draft_add(struct dns_draft *d, const struct dns_row *r)
{
	const char *text = r->value;
	size_t	    i = d->count;

	if (i == DNS_RECORDS_MAX)
		return;
	d->count++;
	if (r->ttl < d->ttl)
		d->ttl = r->ttl;
	d->offset[i] = d->strings.n;
	switch (r->type) {
	case RESOLVER_A:
		d->address[i].family = AF_INET;
		inet_pton(AF_INET, text, &d->address[i].ip.v4);
		return;
	case RESOLVER_AAAA:
		d->address[i].family = AF_INET6;
		inet_pton(AF_INET6, text, &d->address[i].ip.v6);
		return;
	case RESOLVER_MX:
		d->preference[i] = (uint16_t)atoi(text);
		text = strchr(text, ' ') + 1;
		if (strcmp(text, ".") == 0)
			text = "";
		break;
	default:
		break;
	}
	d->length[i] = strlen(text);
	must(buf_add(&d->strings, text, d->length[i] + 1));
}

/* One step: what there is for this name; *cname = where it leads on. */
static enum dns_status
dns_look(const char *name, enum resolver_type type, struct dns_draft *d,
    const char **cname)
{
	const struct dns_row *r;
	bool		      exists = false;

	*cname = NULL;
	for (r = the_dns.rows; r != NULL; r = r->next) {
		if (strcmp(r->name, name) != 0)
			continue;
		exists = true;
		if (r->type == type && r->is_status)
			return r->status;
		if (r->type == type)
			dns_draft_add(d, r);
		else if (r->type == RESOLVER_CNAME)
			*cname = r->value;
	}
	if (d->count > 0)
		return DNS_FOUND;
	if (exists)
		return DNS_NO_DATA;
	for (r = the_dns.rows; r != NULL; r = r->next)
		if (strcmp(r->name, "*") == 0 && r->is_status)
			return r->status;
	return DNS_NXDOMAIN;
}

static struct dns_answer *
dns_answer(const char *name, enum resolver_type type)
{
	struct dns_walk	   walk = { .ttl = UINT32_MAX };
	struct dns_draft   d;
	enum dns_status	   status;
	struct dns_answer *a;
	const char	  *cname;

	dns_draft_init(&d);
	d.ttl = UINT32_MAX;
	snprintf(walk.name, sizeof(walk.name), "%s", name);
	while ((status = dns_look(walk.name, type, &d, &cname)),
	    status == DNS_NO_DATA && cname != NULL) {
		if (++walk.steps > CNAMES_MAX) {
			status = DNS_SERVFAIL;
			break;
		}
		snprintf(walk.name, sizeof(walk.name), "%s", cname);
	}
	a = dns_answer_make(status, type, name, &walk, &d);
	dns_draft_wipe(&d);
	return a;
}

/* -- the resolver ---------------------------------------------------------------- */

struct waiter {
	struct waiter	  *next;
	struct resolver	  *resolver;
	uint64_t	   ticket;
	struct timer	   timer;
	struct dns_answer *answer;
	resolver_fn	  *fn;
	void		  *arg;
};
struct resolver {
	struct loop	       *loop;
	struct waiter	       *waiters;
	uint64_t		last_ticket;
	int64_t			patience_ms;
	struct resolver_figures figures;
};

struct resolver *
resolver_new(struct loop *l, const struct resolver_setup *s, struct err *e)
{
	struct resolver *r = mem_alloc(sizeof(*r));

	(void)e;
	r->loop = l;
	r->patience_ms = s->timeout_ms * s->tries;
	return r;
}

static void
waiter_remove(struct waiter *w)
{
	struct waiter **p = &w->resolver->waiters;

	while (*p != w)
		p = &(*p)->next;
	*p = w->next;
	timer_clear(&w->timer);
}

void
resolver_free(struct resolver *r)
{
	struct waiter *w;

	if (r == NULL)
		return;
	while ((w = r->waiters) != NULL) {
		waiter_remove(w);
		dns_answer_unref(w->answer);
		mem_free(w);
	}
	loop_reap(r->loop, mem_free, r);
}

static void
waiter_on_answer(void *waiter, void *unused)
{
	struct waiter *w = waiter;

	(void)unused;
	waiter_remove(w);
	w->resolver->figures.asked[w->answer->type][w->answer->status]++;
	w->fn(w->arg, w->answer);
	dns_answer_unref(w->answer);
	mem_free(w);
}

uint64_t
resolver_ask(struct resolver *r, enum resolver_type type, const char *name,
    resolver_fn *fn, void *arg)
{
	struct waiter *w = mem_alloc(sizeof(*w));
	char	       normal[DNS_NAME_SIZE];

	loop_must_own(r->loop);
	if (!dns_name_normalize(name, normal))
		snprintf(normal, sizeof(normal), "%.250s", name);
	dns_note(type, normal, loop_wall(r->loop));
	w->resolver = r;
	w->ticket = ++r->last_ticket;
	w->fn = fn;
	w->arg = arg;
	w->answer = dns_answer(normal, type);
	timer_init(&w->timer, r->loop, waiter_on_answer, w);
	must(the_dns.slow_ms < r->patience_ms);
	timer_set(&w->timer, w->answer->status == DNS_TIMEOUT ?
	    r->patience_ms : the_dns.slow_ms);
	w->next = r->waiters;
	r->waiters = w;
	return w->ticket;
}

uint64_t
resolver_ask_fresh(struct resolver *r, enum resolver_type type,
    const char *name, resolver_fn *fn, void *arg)
{
	return resolver_ask(r, type, name, fn, arg);
}

void
resolver_cancel(struct resolver *r, uint64_t ticket)
{
	struct waiter *w = r->waiters;

	while (w != NULL && w->ticket != ticket)
		w = w->next;
	if (w == NULL)
		return;
	waiter_remove(w);
	dns_answer_unref(w->answer);
	mem_free(w);
}

/* There is one table, whoever is asked. */
int
resolver_retune(struct resolver *r, const struct resolver_setup *s,
    struct err *e)
{
	(void)e;
	loop_must_own(r->loop);
	r->patience_ms = s->timeout_ms * s->tries;
	return 0;
}

void
resolver_figures(const struct resolver *r, struct resolver_figures *out)
{
	*out = r->figures;
}

/* SPDX-License-Identifier: ISC */
/* A round: every source address is asked for at every list. */
#include <stdio.h>
#include <string.h>
#include <arpa/inet.h>

#include "base/log.h"
#include "registry/source.h"
#include "reporting/blocklist_private.h"

enum { GONE_MAX = 64 };

struct question {
	struct round	  *round;
	char		   address[64], zone[LISTING_LIST_SIZE];
	uint64_t	   ticket; /* 0 = not out */
	enum dnsbl_verdict verdict;
	char		   text[DNSBL_TEXT_SIZE];
	struct listing_change change;
};
struct round {
	struct book_job	  job; /* first */
	struct blocklist *b;
	struct question	 *v;
	size_t		  n, cap, next;
	unsigned	  open;
	struct mono	  until;
	struct wall	  now;
	bool		  disables, is_writing;
	int		  settled; /* sources out of use now, or back */
	struct listing_change gone[GONE_MAX];
};

/* -- the end --------------------------------------------------------------- */

static void
round_free(struct round *r)
{
	size_t i;

	for (i = 0; i < r->n; i++)
		if (r->v[i].ticket != 0)
			resolver_cancel(r->b->setup.resolver, r->v[i].ticket);
	mem_free(r->v);
	mem_free(r);
}

void
blocklist_free_round(struct blocklist *b)
{
	if (b->round != NULL)
		round_free(b->round);
	b->round = NULL;
}

static void
round_end(struct blocklist *b)
{
	struct blocklist_waiter *w, *list = b->waiters;

	blocklist_free_round(b);
	b->waiters = NULL;
	while ((w = list) != NULL) {
		list = w->next;
		w->fn(w->arg, NULL);
		mem_free(w);
	}
	if (!b->stopping)
		timer_set(&b->tick, BLOCKLIST_EVERY_MS);
	blocklist_look_idle(b);
}

void
blocklist_stop_round(struct blocklist *b)
{
	if (b->round != NULL && !b->round->is_writing)
		round_end(b);
}

/* -- what was answered is written ------------------------------------------ */

static int
round_write(struct book_job *job, struct db_txn *t)
{
	struct round	     *r = (struct round *)(void *)job;
	struct question	     *x;
	struct listing_answer a;
	size_t		      i;

	for (i = 0; i < r->n; i++) {
		x = &r->v[i];
		a = (struct listing_answer){ x->address, x->zone, x->verdict,
			x->text, r->now };
		if (listing_answer(t, &a, &x->change, &job->err) < 0)
			return -1;
	}
	if (listing_expire(t, r->now, r->gone, GONE_MAX, &job->err) < 0)
		return -1;
	r->settled = listing_settle(t, r->disables, &job->err);
	return r->settled < 0 ? -1 : 0;
}

/* A list that does not answer us tells nothing: that is the operator's. */
static void
round_warn(struct round *r)
{
	const char *zone = "";
	char	    text[512];
	size_t	    i;

	for (i = 0; i < r->n; i++) {
		if (r->v[i].verdict != DNSBL_REFUSED ||
		    strcmp(zone, r->v[i].zone) == 0)
			continue;
		zone = r->v[i].zone;
		log_warn("dnsbl-refused", "list=%s answer=%s", zone,
		    r->v[i].text);
		snprintf(text, sizeof(text), "%s does not answer our "
		    "questions (%s): ask through a resolver of your own "
		    "(dns.servers), or leave it out of dnsbl.zones.", zone,
		    r->v[i].text);
		notices_warn(r->b->setup.notices, "", "dnsbl-refused", text);
	}
}

static void
round_on_written(void *job, void *unused)
{
	struct round	 *r = job;
	struct blocklist *b = r->b;
	char		  quoted[LOG_QUOTE_SIZE];
	size_t		  i;

	(void)unused;
	if (r->job.failed) {
		log_error("blocklist-failed", "reason=%s",
		    log_quote(bytes_of(r->job.err.text), quoted));
	} else {
		for (i = 0; i < r->n; i++)
			blocklist_tell(b, &r->v[i].change);
		for (i = 0; i < GONE_MAX; i++)
			blocklist_tell(b, &r->gone[i]);
		round_warn(r);
		if (r->settled > 0 && b->setup.on_sources != NULL)
			b->setup.on_sources(b->setup.on_sources_arg);
	}
	round_end(b);
}

static void
round_finish(struct round *r)
{
	struct blocklist *b = r->b;

	r->now = loop_wall(b->setup.loop);
	r->disables = b->setup.conf->dnsbl.action == CONF_DNSBL_DISABLE;
	r->job.asker = b->setup.loop;
	r->job.run = round_write;
	r->job.done = round_on_written;
	r->is_writing = true;
	if (!book_write(b->setup.book, &r->job))
		round_end(b); /* the next round says it again */
}

/* -- questions ------------------------------------------------------------- */

static void question_on_answer(void *question, const struct dns_answer *a);

static void
round_go_on(struct round *r)
{
	struct blocklist *b = r->b;
	struct question	 *x;
	char		  name[DNSBL_NAME_SIZE];

	while (r->next < r->n && r->open < BLOCKLIST_OPEN) {
		x = &r->v[r->next++];
		x->verdict = dnsbl_judge(NULL, x->text);
		if (loop_now(b->setup.loop).ms > r->until.ms ||
		    !dnsbl_name(x->address, x->zone, name))
			continue;
		x->ticket = resolver_ask_fresh(b->setup.resolver, RESOLVER_A,
		    name, question_on_answer, x);
		r->open += x->ticket != 0;
	}
	if (r->open == 0)
		round_finish(r);
}

static void
question_on_answer(void *question, const struct dns_answer *a)
{
	struct question *x = question;

	x->ticket = 0;
	x->verdict = dnsbl_judge(a, x->text);
	x->round->open--;
	round_go_on(x->round);
}

/* -- the beginning --------------------------------------------------------- */

static void
round_add(struct round *r, const char *address)
{
	const struct conf_list *zones = &r->b->setup.conf->dnsbl.zones;
	struct question	       *x;
	size_t			z;

	for (z = 0; z < zones->n && z < BLOCKLIST_ZONES; z++) {
		if (r->n == r->cap) {
			r->cap = r->cap * 2 + 16;
			r->v = mem_realloc(r->v, r->cap * sizeof(*r->v));
		}
		x = &r->v[r->n++];
		memset(x, 0, sizeof(*x));
		x->round = r;
		snprintf(x->address, sizeof(x->address), "%s", address);
		snprintf(x->zone, sizeof(x->zone), "%s", zones->v[z]);
	}
}

struct adding {
	struct round *r;
	unsigned      n;
};

static bool
adding_on_source(void *arg, const struct source *s)
{
	struct adding *x = arg;

	round_add(x->r, s->address);
	return ++x->n < BLOCKLIST_SOURCES;
}

/* No list knows an address of a private network. */
static void
round_add_system(struct round *r, int family)
{
	struct dns_address a;
	char		   text[64];

	if (r->b->setup.system_address != NULL &&
	    r->b->setup.system_address(family, text) &&
	    dns_address_parse(bytes_of(text), &a) &&
	    !dns_address_is_private(&a))
		round_add(r, text);
}

void
blocklist_begin_round(struct blocklist *b)
{
	struct round *r;
	struct adding x = { NULL, 0 };
	struct db_txn *t;
	struct err     e;

	if (b->round != NULL || b->stopping)
		return;
	timer_clear(&b->tick);
	r = b->round = mem_alloc(sizeof(*r));
	r->b = b;
	r->until.ms = loop_now(b->setup.loop).ms + BLOCKLIST_ROUND_MS;
	x.r = r;
	/* a route for all mail: receivers see its addresses, not ours */
	if (conf_route_find(b->setup.conf, BYTES("dnsbl.invalid")) == NULL) {
		t = book_read(b->setup.book, &e);
		if (t == NULL || source_each(t, adding_on_source, &x, &e) < 0)
			log_error("book-failed", "reason=\"%s\"", e.text);
		book_end(t);
		if (x.n == 0 && t != NULL) {
			round_add_system(r, AF_INET);
			round_add_system(r, AF_INET6);
		}
	}
	round_go_on(r);
}

void
blocklist_on_tick(void *blocklist, void *unused)
{
	(void)unused;
	blocklist_begin_round(blocklist);
}

void
blocklist_check(struct blocklist *b, loop_fn *fn, void *arg)
{
	struct blocklist_waiter *w = mem_alloc(sizeof(*w));

	w->fn = fn;
	w->arg = arg;
	w->next = b->waiters;
	b->waiters = w;
	if (b->stopping)
		round_end(b);
	else
		blocklist_begin_round(b);
}

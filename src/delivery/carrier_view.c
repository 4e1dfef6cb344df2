/* SPDX-License-Identifier: ISC */
/* What a carrier shows to an operator: queue summary. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/carrier_private.h"

struct site_count {
	struct site   *site;
	struct route  *best; /* domain with most waiting recipients */
	unsigned       deferred, best_deferred, domains;
};
struct query_walk {
	struct carrier	     *carrier;
	struct carrier_query *q;
	struct site_count    *sites;
	size_t		      count, cap;
};

static struct site_count *
query_site(struct query_walk *w, struct site *s)
{
	if (s->viewed > 0)
		return &w->sites[s->viewed - 1];
	if (w->count == w->cap)
		return NULL;
	w->sites[w->count].site = s;
	s->viewed = ++w->count;
	return &w->sites[w->count - 1];
}

static void
query_on_due(void *arg, struct bytes key, void *value)
{
	struct query_walk *w = arg;
	struct due	  *d = value;

	(void)key;
	if (d->place != DUE_FLYING)
		return;
	w->q->active++;
	if (w->q->active_count < CARRIER_ACTIVE_MAX) {
		w->q->active_keys[w->q->active_count].id = d->id;
		w->q->active_keys[w->q->active_count].due = d->due;
		w->q->active_keys[w->q->active_count++].n = d->n;
	}
}

static void
query_on_route(void *arg, struct bytes key, void *value)
{
	struct query_walk *w = arg;
	struct route	  *r = value;
	struct site_count *s;

	(void)key;
	if (r->state != ROUTE_SITE || r->dues == 0)
		return;
	s = query_site(w, r->site);
	if (s == NULL)
		return;
	s->domains++;
	s->deferred += r->dues;
	if (r->dues > s->best_deferred) {
		s->best_deferred = r->dues;
		s->best = r;
	}
}

static int
query_cmp(const void *a, const void *b)
{
	const struct site_count *x = a, *y = b;

	return x->deferred > y->deferred ? -1 : x->deferred < y->deferred;
}

static void
query_show_site(struct query_walk *w, const struct site_count *s)
{
	struct carrier_site_view *v = &w->q->sites[w->q->site_count++];
	const struct egress	 *eg;
	const struct connection	 *cn;
	struct mono		  now = loop_now(w->carrier->loop);

	if (s->domains > 1)
		snprintf(v->name, sizeof(v->name), "%s +%u", s->best->domain,
		    s->domains - 1);
	else
		snprintf(v->name, sizeof(v->name), "%s", s->best->domain);
	for (eg = s->site->egresses; eg != NULL; eg = eg->next) {
		v->connections += eg->connection_count;
		v->connections_max += eg->limit;
		for (cn = eg->connections; cn != NULL; cn = cn->next)
			v->active += cn->attempt != NULL ? cn->attempt->count
							 : 0;
		if (eg->hold_until.ms > now.ms)
			v->backoff_until.ms = loop_wall(w->carrier->loop).ms +
			    eg->hold_until.ms - now.ms;
	}
	v->deferred = s->deferred > v->active ? s->deferred - v->active : 0;
	snprintf(v->last_reply, sizeof(v->last_reply), "%s",
	    s->site->last_reply);
}

static void
carrier_on_query(void *carrier, void *query)
{
	struct carrier	     *c = carrier;
	struct carrier_query *q = query;
	struct query_walk     w = { c, q, NULL, 0, 4096 };
	int64_t		      slot = loop_now(c->loop).ms / 10000;
	size_t		      i;

	q->active_keys = mem_alloc(CARRIER_ACTIVE_MAX * sizeof(struct due_key));
	w.sites = mem_alloc(w.cap * sizeof(*w.sites));
	table_each(c->scheduler.known, query_on_due, &w);
	table_each(c->routes, query_on_route, &w);
	for (i = 0; i < w.count; i++)
		w.sites[i].site->viewed = 0;
	qsort(w.sites, w.count, sizeof(*w.sites), query_cmp);
	for (i = 0; i < w.count && i < CARRIER_SITES_MAX; i++)
		query_show_site(&w, &w.sites[i]);
	for (i = 0; i < 30; i++) {
		if (c->recent[i].slot <= slot - 30)
			continue;
		q->delivered_5m += c->recent[i].n[OUTCOME_DELIVERED];
		q->deferred_5m += c->recent[i].n[OUTCOME_LATER];
		q->failed_5m += c->recent[i].n[OUTCOME_FAILED];
	}
	q->attempts_5m = q->delivered_5m + q->deferred_5m + q->failed_5m;
	q->next_retry = scheduler_next(c);
	mem_free(w.sites);
	loop_post_reserved(q->asker, (loop_fn *)q->done, q, NULL);
}

bool
carrier_post_query(struct carrier *c, struct carrier_query *q)
{
	if (!loop_reserve(q->asker))
		return false;
	if (loop_post(c->loop, carrier_on_query, c, q))
		return true;
	loop_unreserve(q->asker);
	return false;
}

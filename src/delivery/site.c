/* SPDX-License-Identifier: ISC */
#include "delivery/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/carrier_private.h"
#include "registry/identity.h"

enum { SITE_KEY_MAX = 8192 };

/* The group that limits apply to (delivery.md 8), and its settings. */
static void
site_set_group(struct carrier *c, struct site *s, struct bytes domain)
{
	const struct conf_provider *p = NULL;
	const struct conf_dest	   *dest;
	struct bytes		    best = bytes_of(s->hosts[0].name);
	struct bytes		    name = domain;

	dest = conf_dest_find(c->conf, domain);
	if (dest == NULL) {
		p = conf_provider_of_domain(c->conf, domain);
		if (p == NULL && !s->hosts[0].is_address)
			p = conf_provider_of_mx(c->conf, best);
		if (p != NULL)
			name = bytes_of(p->name);
		else if (!s->hosts[0].is_address)
			name = identity_registrable(best);
		dest = conf_dest_find(c->conf, name);
	}
	bytes_text(name, s->group_name, sizeof(s->group_name));
	s->max_connections = dest != NULL
	    ? dest->max_connections : c->conf->delivery.dest.max_connections;
	s->rate = dest != NULL ? dest->rate : c->conf->delivery.dest.rate;
	s->reuse_max = dest != NULL ? dest->reuse_max
				    : c->conf->delivery.reuse_max;
}

/*
 * The hosts come in order of preference, equal ones by name: "a<b,c" are two
 * ranks.  Domains that prefer the same hosts in another order do not share,
 * or one would change the other's order.
 */
static void
site_write_key(const struct site *s, struct buf *out)
{
	const struct site_host *h = s->hosts;
	unsigned		i;

	for (i = 0; i < s->host_count; i++) {
		if (i > 0)
			buf_printf(out, "%c",
			    h[i].preference == h[i - 1].preference ? ',' : '<');
		buf_printf(out, "%s", h[i].name);
	}
	buf_printf(out, ":%u tls=%d static=%d group=%s", s->port,
	    (int)s->policy, (int)s->is_static, s->group_name);
}

struct site *
site_find(struct carrier *c, const struct site *wanted, struct bytes domain)
{
	struct site *s = mem_alloc(sizeof(*s));
	struct site *old;
	struct buf   key;

	*s = *wanted;
	s->carrier = c;
	site_set_group(c, s, domain);
	buf_init(&key, SITE_KEY_MAX);
	site_write_key(s, &key);
	old = table_get(c->sites, buf_bytes(&key));
	if (old != NULL) {
		/* settings of today */
		old->max_connections = s->max_connections;
		old->reuse_max = s->reuse_max;
		old->rate = s->rate;
		mem_free(s);
		s = old;
	} else {
		s->key = mem_dup_bytes(buf_bytes(&key));
		must(table_put(c->sites, buf_bytes(&key), s));
	}
	buf_wipe(&key);
	s->used = loop_now(c->loop);
	return s;
}

static struct egress *
site_egress(struct site *s, const struct source *source)
{
	struct egress *eg;
	const char    *text = source != NULL ? source->address : "";

	for (eg = s->egresses; eg != NULL; eg = eg->next)
		if (strcmp(eg->source_text, text) == 0)
			break;
	if (eg == NULL) {
		eg = egress_new(s, source);
		eg->next = s->egresses;
		s->egresses = eg;
	}
	snprintf(eg->pool, sizeof(eg->pool), "%s", source != NULL ?
		source_pool(source) : SOURCE_POOL_SHARED); /* of today */
	return eg;
}

/* -- source addresses: delivery.md 11.3 and 11.4 --------------------------- */

static bool
carrier_has_source_in(const struct carrier *c, const char *account,
    const char *pool)
{
	unsigned i;

	for (i = 0; i < c->source_count; i++)
		if (source_is_in_pool(&c->sources[i], account, pool))
			return true;
	return false;
}

/* Where none is named: the dedicated addresses that are in no other pool, if
 * there is any, else the shared ones. */
static const char *
site_pool(const struct carrier *c, const char *account, const char *named)
{
	if (named != NULL && named[0] != '\0')
		return named;
	return carrier_has_source_in(c, account, SOURCE_POOL_DEDICATED) ?
		SOURCE_POOL_DEDICATED : SOURCE_POOL_SHARED;
}

static bool
source_is_usable(const struct source *src, const char *account,
    const char *pool)
{
	return src->enabled && src->blocked_by[0] == '\0' &&
	    source_is_in_pool(src, account, pool);
}

/* Without any source address the shared pool is the system's choice. */
static bool
site_leaves_to_system(const struct carrier *c, const char *pool)
{
	return c->source_count == 0 && strcmp(pool, SOURCE_POOL_SHARED) == 0;
}

unsigned
site_count_sources(const struct carrier *c, const struct site *s,
    const char *account, const char *named)
{
	const char	    *pool = site_pool(c, account, named);
	const struct egress *eg;
	unsigned	     i, n = site_leaves_to_system(c, pool) ? 1 : 0;

	for (i = 0; i < c->source_count; i++)
		n += source_is_usable(&c->sources[i], account, pool);
	for (eg = s != NULL ? s->egresses : NULL; eg != NULL && n > 1;
	     eg = eg->next)
		n -= egress_is_foreign(eg);
	return n;
}

/* The smaller the better. */
static unsigned
egress_rank(const struct egress *eg)
{
	return egress_is_foreign(eg) ? 2 : egress_is_held(eg) ? 1 : 0;
}

static bool
egress_is_better(const struct egress *eg, const struct egress *than)
{
	if (than == NULL || egress_rank(eg) != egress_rank(than))
		return than == NULL || egress_rank(eg) < egress_rank(than);
	return eg->used < than->used;
}

struct site_candidates {
	struct egress *least, *same, *first, *next; /* next = behind last */
};

static void
site_find_candidates(struct site *s, const struct due *d, const char *last,
    struct site_candidates *out)
{
	const struct carrier *c = s->carrier;
	const char	     *pool = site_pool(c, d->account, d->pool);
	bool		      is_behind = false, is_last;
	struct egress	     *eg;
	unsigned	      i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < c->source_count; i++) {
		is_last = strcmp(c->sources[i].address, last) == 0;
		if (source_is_usable(&c->sources[i], d->account, pool)) {
			eg = site_egress(s, &c->sources[i]);
			if (egress_is_better(eg, out->least))
				out->least = eg;
			if (egress_rank(eg) == 0 && is_last)
				out->same = eg;
			else if (egress_rank(eg) == 0 && out->first == NULL)
				out->first = eg;
			if (egress_rank(eg) == 0 && is_behind &&
			    out->next == NULL)
				out->next = eg;
		}
		is_behind = is_behind || is_last;
	}
}

struct egress *
site_choose_egress(struct site *s, const struct due *d, enum site_wish wish,
    const char *last)
{
	struct site_candidates k;
	struct egress	      *eg;

	if (site_leaves_to_system(s->carrier,
		site_pool(s->carrier, d->account, d->pool)))
		return site_egress(s, NULL);
	site_find_candidates(s, d, last, &k);
	eg = k.least;
	if (wish == SITE_SAME && k.same != NULL)
		eg = k.same;
	else if (wish == SITE_NEXT && (k.next != NULL || k.first != NULL))
		eg = k.next != NULL ? k.next : k.first;
	if (eg != NULL)
		eg->used = ++s->carrier->source_turn;
	return eg;
}

bool
site_has_other_family(struct site *s, const struct due *d)
{
	struct site_candidates k;

	if (s->carrier->source_count == 0)
		return false;
	site_find_candidates(s, d, "", &k);
	return k.least != NULL && !egress_is_foreign(k.least);
}

static void
site_free(struct site *s)
{
	struct egress *eg;

	while ((eg = s->egresses) != NULL) {
		s->egresses = eg->next;
		egress_free(eg);
	}
	mem_free(s->key);
	mem_free(s);
}

static void
site_tidy_one(void *arg, struct bytes key, void *value)
{
	struct carrier *c = arg;
	struct site    *s = value;
	struct egress  *eg;
	bool		idle = s->routes == 0 &&
	    loop_now(c->loop).ms - s->used.ms >= HOUR_MS;

	for (eg = s->egresses; eg != NULL; eg = eg->next)
		idle = egress_tidy(eg) && idle;
	if (!idle)
		return;
	table_take(c->sites, key);
	site_free(s);
}

void
site_tidy(struct carrier *c)
{
	table_each(c->sites, site_tidy_one, c);
}

static void
site_free_one(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	site_free(value);
}

void
site_free_all(struct carrier *c)
{
	table_each(c->sites, site_free_one, NULL);
	table_free(c->sites);
	table_free(c->outlets); /* empty: the egresses have gone */
	table_free(c->groups);
}

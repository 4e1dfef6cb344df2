/* SPDX-License-Identifier: ISC */
#include "delivery/site.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/carrier_private.h"
#include "registry/identity.h"

enum { SITE_KEY_MAX = 8192 };

/* example.org of mx1.mail.example.org */
static struct bytes
site_registrable(struct bytes host)
{
	struct bytes best = host, rest = host;
	ptrdiff_t    dot;
	char	     text[DOMAIN_SIZE];

	for (;;) {
		bytes_text(rest, text, sizeof(text));
		if (identity_is_public_suffix(text))
			return best;
		best = rest;
		dot = bytes_find(rest, 0, '.');
		if (dot < 0)
			return host;
		rest = bytes_from(rest, (size_t)dot + 1);
	}
}

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
			name = site_registrable(best);
		dest = conf_dest_find(c->conf, name);
	}
	bytes_text(name, s->group_name, sizeof(s->group_name));
	s->max_connections = dest != NULL ? dest->max_connections
					  : c->conf->delivery.dest.max_connections;
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
			return eg;
	eg = egress_new(s, source);
	eg->next = s->egresses;
	s->egresses = eg;
	return eg;
}

static bool
site_may_use(const struct source *src, const struct due *d, bool dedicated)
{
	return src->enabled && src->blocked_by[0] == '\0' &&
	    src->dedicated == dedicated &&
	    (src->account[0] == '\0' || strcmp(src->account, d->account) == 0);
}

/*
 * delivery.md 11.3 and 11.4, without pools: dedicated addresses, if there are
 * any, else the shared ones; the least used one, or the sticky one.
 */
struct egress *
site_choose_egress(struct site *s, const struct due *d, const char *sticky)
{
	struct carrier *c = s->carrier;
	struct egress  *eg, *best = NULL;
	bool		dedicated = false;
	unsigned	i;

	if (c->source_count == 0)
		return site_egress(s, NULL);
	for (i = 0; i < c->source_count; i++)
		dedicated = dedicated ||
		    (c->sources[i].dedicated &&
			(c->sources[i].account[0] == '\0' ||
			    strcmp(c->sources[i].account, d->account) == 0));
	for (i = 0; i < c->source_count; i++) {
		if (!site_may_use(&c->sources[i], d, dedicated))
			continue;
		eg = site_egress(s, &c->sources[i]);
		if (sticky[0] != '\0' &&
		    strcmp(c->sources[i].address, sticky) == 0)
			return eg;
		if (best == NULL || (egress_is_held(best) && !egress_is_held(eg)) ||
		    (egress_is_held(best) == egress_is_held(eg) &&
			eg->used < best->used))
			best = eg;
	}
	if (best != NULL)
		best->used = ++c->source_turn;
	return best;
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

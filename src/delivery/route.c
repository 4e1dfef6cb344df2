/* SPDX-License-Identifier: ISC */
/*
 * From a recipient domain to its site (delivery.md 4): static routes first,
 * then MX with its rules.  An answer holds for its TTL; envelopes that come
 * meanwhile wait in the route.
 */
#include "delivery/route.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "delivery/carrier_private.h"
#include "registry/identity.h"

/* For how long an answer holds (delivery.md 4.3). */
enum {
	FAILURE_KEEP_MS = 5000,
	FOUND_MIN_S = 60,
	FOUND_MAX_S = 3600,
	NO_DATA_MIN_S = 30,
	NO_DATA_MAX_S = 900,
	KEEP_MS = HOUR_MS
};

/* What waited for an answer goes on so many at a time. */
enum { DISPATCH_MAX = 200 };

static void route_ask(struct route *r);
static void route_on_more(void *route, void *unused);

static int64_t
route_ttl_ms(uint32_t ttl, uint32_t least, uint32_t most)
{
	return (int64_t)(ttl < least ? least : ttl > most ? most : ttl) * 1000;
}

/* The site stays as long as a route leads to it. */
static void
route_set_site(struct route *r, struct site *s)
{
	if (s != NULL)
		s->routes++;
	if (r->site != NULL)
		r->site->routes--;
	r->site = s;
}

struct route *
route_ref(struct carrier *c, struct bytes domain)
{
	struct route *r = table_get(c->routes, domain);

	if (r == NULL) {
		r = mem_alloc(sizeof(*r));
		r->carrier = c;
		bytes_text(domain, r->domain, sizeof(r->domain));
		due_list_init(&r->waiting);
		timer_init(&r->more, c->loop, route_on_more, r);
		must(table_put(c->routes, domain, r));
	}
	r->dues++;
	return r;
}

void
route_keep(struct route *r)
{
	r->keep_until.ms = loop_now(r->carrier->loop).ms + KEEP_MS;
}

/* Nothing waits here, and no question is out. */
static bool
route_is_unused(const struct route *r)
{
	return r->dues == 0 && r->state != ROUTE_ASKING && !r->left.any;
}

static bool
route_is_over(const struct route *r)
{
	int64_t now = loop_now(r->carrier->loop).ms;

	return now >= r->valid_until.ms && now >= r->keep_until.ms;
}

static void
route_free(struct route *r)
{
	if (r->ticket != 0)
		resolver_cancel(r->carrier->set.resolver, r->ticket);
	timer_clear(&r->more);
	route_set_site(r, NULL);
	table_take(r->carrier->routes, bytes_of(r->domain));
	mem_free(r);
}

void
route_unref(struct route *r)
{
	must(r->dues > 0);
	r->dues--;
	if (route_is_unused(r) && (route_is_over(r) ||
		table_count(r->carrier->routes) > ROUTES_MAX))
		route_free(r);
}

static void
route_tidy_one(void *arg, struct bytes key, void *value)
{
	struct route *r = value;

	(void)arg;
	(void)key;
	if (route_is_unused(r) && route_is_over(r))
		route_free(r);
}

void
route_tidy(struct carrier *c)
{
	table_each(c->routes, route_tidy_one, c);
}

static void
route_forget_one(void *arg, struct bytes key, void *value)
{
	struct route *r = value;

	(void)arg;
	(void)key;
	r->valid_until.ms = 0;
	if (route_is_unused(r))
		route_free(r);
}

void
route_forget_all(struct carrier *c)
{
	table_each(c->routes, route_forget_one, NULL);
}

static void
route_free_one(void *arg, struct bytes key, void *value)
{
	struct route *r = value;

	(void)arg;
	(void)key;
	timer_clear(&r->more);
	mem_free(r);
}

void
route_free_all(struct carrier *c)
{
	table_each(c->routes, route_free_one, NULL);
	table_free(c->routes);
}

/* -- what becomes of an envelope ------------------------------------------- */

static void
route_dispatch(struct route *r, struct due *d)
{
	struct carrier	    *c = r->carrier;
	struct recipient_row row;
	struct arena	    *a;
	struct egress	    *eg;
	struct err	     e;
	char		     last[64] = "";
	enum site_wish	     wish = SITE_LEAST_USED;

	if (r->state == ROUTE_FAILED) {
		carrier_fail(c, d, r->failure);
		return;
	}
	if (c->source_count > 1) {
		a = arena_new(16384);
		if (spool_read_recipient(c->set.spool, &d->id, d->n, a, &row,
			&e) == 1) {
			bytes_text(row.last_source_ip, last, sizeof(last));
			if ((row.flags & OUTCOME_STICKY_SOURCE) != 0)
				wish = SITE_SAME;
			else if ((row.flags & OUTCOME_IP_BLOCK_MASK) != 0)
				wish = SITE_NEXT;
		}
		arena_free(a);
	}
	eg = site_choose_egress(r->site, d, wish, last);
	if (eg == NULL)
		carrier_move(c, NULL, d, (struct wall){
		    loop_wall(c->loop).ms + 5 * MINUTE_MS });
	else
		egress_enqueue(eg, d);
}

void
route_take(struct carrier *c, struct due *d)
{
	struct route *r = d->route;

	if (d->simulator) {
		carrier_simulate(c, d);
		return;
	}
	if (d->suppressed && carrier_suppress(c, d))
		return;
	if ((r->state == ROUTE_SITE || r->state == ROUTE_FAILED) &&
	    r->waiting.first == NULL && loop_now(c->loop).ms < r->valid_until.ms) {
		if (r->left.any)
			scheduler_fetch(c, &r->left);
		route_dispatch(r, d);
		return;
	}
	if (r->waiting_count >= scheduler_room(c)) {
		scheduler_leave(c, d, &r->left);
		return;
	}
	r->waiting_count++;
	due_list_add(&r->waiting, d);
	if (r->state != ROUTE_ASKING && d == r->waiting.first)
		route_ask(r);
}

/* In the order in which they came; more of them in the next pass. */
static void
route_dispatch_some(struct route *r)
{
	struct due *d;
	unsigned    n = 0;

	r->dues++; /* it must stay meanwhile */
	while (n++ < DISPATCH_MAX && r->state != ROUTE_ASKING &&
	    (d = due_list_take(&r->waiting)) != NULL) {
		r->waiting_count--;
		route_dispatch(r, d);
	}
	if (r->waiting.first != NULL && r->state != ROUTE_ASKING)
		timer_set(&r->more, 0);
	else if (r->left.any && r->state != ROUTE_ASKING)
		scheduler_fetch(r->carrier, &r->left);
	route_unref(r);
}

static void
route_on_more(void *route, void *unused)
{
	struct route *r = route;

	(void)unused;
	if (!r->carrier->stopping)
		route_dispatch_some(r);
}

static void
route_settle(struct route *r, int64_t keep_ms)
{
	struct carrier *c = r->carrier;

	r->ticket = 0;
	r->valid_until.ms = loop_now(c->loop).ms + keep_ms;
	r->dns_ms = loop_now(c->loop).ms - r->asked.ms;
	route_dispatch_some(r);
}

static void
route_fail(struct route *r, enum result_kind k)
{
	r->state = ROUTE_FAILED;
	r->failure = k;
	route_set_site(r, NULL);
	route_settle(r, FAILURE_KEEP_MS);
}

/* -- the site -------------------------------------------------------------- */

static enum tls_demand
route_tls_policy(const struct carrier *c, struct bytes domain)
{
	const struct conf_tls_rule *rule = conf_tls_rule_find(c->conf, domain);
	enum conf_tls_policy p = rule != NULL ? rule->policy
					      : c->conf->delivery.tls_default;

	switch (p) {
	case CONF_POLICY_NONE:
		return TLS_NEVER;
	case CONF_POLICY_REQUIRE:
		return TLS_REQUIRE;
	case CONF_POLICY_VERIFY:
		return TLS_VERIFY;
	default:
		return TLS_TRY;
	}
}

static void
route_use(struct route *r, struct site *wanted, int64_t keep_ms)
{
	wanted->policy = route_tls_policy(r->carrier, bytes_of(r->domain));
	route_set_site(r, site_find(r->carrier, wanted, bytes_of(r->domain)));
	r->state = ROUTE_SITE;
	route_settle(r, keep_ms);
}

static int
route_host_cmp(const void *a, const void *b)
{
	const struct site_host *x = a, *y = b;

	if (x->preference != y->preference)
		return x->preference < y->preference ? -1 : 1;
	return strcmp(x->name, y->name);
}

/* The place for a host: that of the same name, a free one, or that of the
 * worst one; NULL = all that are there are as good. */
static struct site_host *
route_place_for(struct site *s, const struct dns_mx *mx)
{
	struct site_host *worst = &s->hosts[0];
	unsigned	  i;

	for (i = 0; i < s->host_count; i++) {
		if (strcmp(s->hosts[i].name, mx->host) == 0)
			return mx->preference < s->hosts[i].preference
			    ? &s->hosts[i] : NULL;
		if (s->hosts[i].preference > worst->preference)
			worst = &s->hosts[i];
	}
	if (s->host_count < MX_HOSTS_MAX)
		return &s->hosts[s->host_count++];
	return mx->preference < worst->preference ? worst : NULL;
}

/* RFC 5321 5.1: this host and all that are no better are left out. */
static bool
route_drop_self(const struct carrier *c, struct site *s)
{
	const char *self = c->conf->server.name;
	unsigned    i, limit = UINT32_MAX, kept = 0;

	for (i = 0; i < s->host_count; i++)
		if (bytes_eq_nocase(bytes_of(s->hosts[i].name),
			bytes_of(self)) &&
		    s->hosts[i].preference < limit)
			limit = s->hosts[i].preference;
	for (i = 0; i < s->host_count; i++)
		if (s->hosts[i].preference < limit)
			s->hosts[kept++] = s->hosts[i];
	s->host_count = kept;
	return kept > 0;
}

static void
route_on_found(struct route *r, const struct dns_answer *a)
{
	struct site	 *s = mem_alloc(sizeof(*s));
	struct site_host *h;
	size_t		  i;

	s->port = r->carrier->conf->delivery.port;
	for (i = 0; i < a->count; i++) {
		if (a->mx[i].host[0] == '\0' ||
		    strlen(a->mx[i].host) >= DOMAIN_SIZE)
			continue; /* "." among others is ignored */
		h = route_place_for(s, &a->mx[i]);
		if (h == NULL)
			continue;
		strcpy(h->name, a->mx[i].host);
		h->preference = a->mx[i].preference;
	}
	qsort(s->hosts, s->host_count, sizeof(s->hosts[0]), route_host_cmp);
	if (s->host_count == 0)
		route_fail(r, RESULT_NULL_MX);
	else if (!route_drop_self(r->carrier, s))
		route_fail(r, RESULT_LOOP);
	else
		route_use(r, s, route_ttl_ms(a->ttl, FOUND_MIN_S, FOUND_MAX_S));
	mem_free(s);
}

/* No MX: the domain itself (implicit MX, RFC 5321 5.1). */
static void
route_on_implicit(struct route *r, uint32_t ttl)
{
	struct site *s = mem_alloc(sizeof(*s));

	s->port = r->carrier->conf->delivery.port;
	s->host_count = 1;
	snprintf(s->hosts[0].name, DOMAIN_SIZE, "%s", r->domain);
	if (!route_drop_self(r->carrier, s))
		route_fail(r, RESULT_LOOP);
	else
		route_use(r, s,
		    route_ttl_ms(ttl, NO_DATA_MIN_S, NO_DATA_MAX_S));
	mem_free(s);
}

static void
route_on_answer(void *arg, const struct dns_answer *a)
{
	struct route *r = arg;

	r->ticket = 0;
	switch (a->status) {
	case DNS_FOUND:
		route_on_found(r, a);
		break;
	case DNS_NO_DATA:
		route_on_implicit(r, a->ttl);
		break;
	case DNS_NXDOMAIN:
		route_fail(r, RESULT_NXDOMAIN);
		break;
	case DNS_UNREACHABLE:
		route_fail(r, RESULT_RESOLVER);
		break;
	default:
		route_fail(r, RESULT_DNS);
		break;
	}
}

static void
route_use_static(struct route *r, const struct conf_route *to)
{
	struct site *s = mem_alloc(sizeof(*s));

	s->is_static = true;
	s->port = to->port;
	s->host_count = 1;
	snprintf(s->hosts[0].name, DOMAIN_SIZE, "%s", to->host);
	s->hosts[0].is_address = to->is_address;
	if (to->is_address)
		memcpy(&s->hosts[0].address, &to->address.u,
		    to->address.length);
	route_use(r, s, FOUND_MAX_S * 1000);
	mem_free(s);
}

/* user@[192.0.2.1], where the configuration allows it */
static bool
route_use_literal(struct route *r)
{
	struct conf_addr addr;
	struct site	*s;
	struct bytes	 d = bytes_of(r->domain);
	bool		 is_v6;
	char		 text[80];

	if (d.n < 3 || d.p[0] != '[' || d.p[d.n - 1] != ']')
		return false;
	d = bytes_head(bytes_from(d, 1), d.n - 2);
	is_v6 = bytes_starts_nocase(d, BYTES("ipv6:"));
	if (is_v6)
		d = bytes_from(d, 5);
	snprintf(text, sizeof(text), is_v6 ? "[%.*s]" : "%.*s", (int)d.n, d.p);
	if (!conf_addr_parse(bytes_of(text), r->carrier->conf->delivery.port,
		&addr) ||
	    addr.family == AF_UNIX) {
		route_fail(r, RESULT_NO_ADDRESS);
		return true;
	}
	s = mem_alloc(sizeof(*s));
	s->port = r->carrier->conf->delivery.port;
	s->host_count = 1;
	snprintf(s->hosts[0].name, DOMAIN_SIZE, "%s", r->domain);
	s->hosts[0].is_address = true;
	memcpy(&s->hosts[0].address, &addr.u, addr.length);
	route_use(r, s, FOUND_MAX_S * 1000);
	mem_free(s);
	return true;
}

static void
route_ask(struct route *r)
{
	const struct conf_route *to;

	r->state = ROUTE_ASKING;
	r->asked = loop_now(r->carrier->loop);
	to = conf_route_find(r->carrier->conf, bytes_of(r->domain));
	if (to != NULL) {
		route_use_static(r, to);
		return;
	}
	if (route_use_literal(r))
		return;
	r->ticket = resolver_ask(r->carrier->set.resolver, RESOLVER_MX,
	    r->domain, route_on_answer, r);
	if (r->ticket == 0)
		route_fail(r, RESULT_RESOLVER);
}

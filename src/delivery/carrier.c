/* SPDX-License-Identifier: ISC */
/*
 * The life of a carrier, what it looks at once a minute, and its end; source
 * addresses.
 */
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "delivery/carrier_private.h"

enum {
	ROW_ARENA = 64 * 1024,
	SHUT_MS = 30000,
	SET_VIEWS_MAX = 20000,
	HELD_PORTION = 256,
	HELD_AGAIN_MS = 20
};

/* -- sources --------------------------------------------------------------- */

struct source_list {
	struct source *v;
	unsigned       n;
};

static bool
carrier_on_source(void *arg, const struct source *s)
{
	struct source_list *l = arg;

	if (l->n == SOURCES_MAX)
		return false;
	l->v[l->n++] = *s;
	return true;
}

static void
carrier_read_sources(struct carrier *c)
{
	struct source_list l = { mem_alloc(SOURCES_MAX * sizeof(*l.v)), 0 };
	struct db_txn	  *t;
	struct err	   e;
	uint64_t	   version = book_version(c->set.book);

	t = book_read(c->set.book, &e);
	if (t == NULL || source_each(t, carrier_on_source, &l, &e) < 0) {
		log_error("sources-unreadable", "reason=\"%s\"", e.text);
		book_end(t);
		mem_free(l.v);
		return;
	}
	book_end(t);
	mem_free(c->sources);
	c->sources = l.v;
	c->source_count = l.n;
	c->sources_version = version;
}

/* Each name once, for as long as the carrier lives: there are as many as
 * commands have made. */
const char *
carrier_pool_name(struct carrier *c, struct bytes name)
{
	char *known;

	if (name.n == 0)
		return "";
	known = table_get(c->pools, name);
	if (known == NULL) {
		known = mem_dup_bytes(name);
		must(table_put(c->pools, bytes_of(known), known));
	}
	return known;
}

/* Is there a way for IPv6 at all?  Nothing is sent by this. */
static bool
carrier_has_ipv6(const struct conf *conf)
{
	struct sockaddr_in6 to = { .sin6_family = AF_INET6,
		.sin6_port = htons(53) };
	int fd, ok;

	if (conf->delivery.allow_private)
		return true;
	to.sin6_addr.s6_addr[0] = 0x20;
	to.sin6_addr.s6_addr[15] = 1;
	fd = socket(AF_INET6, SOCK_DGRAM | SOCK_CLOEXEC, 0);
	if (fd < 0)
		return false;
	ok = connect(fd, (struct sockaddr *)&to, sizeof(to));
	close(fd);
	return ok == 0;
}

/*
 * -- once a minute: what waits under a hold may expire ------------------------
 * A portion, and the next one when the writer has taken it: a million that
 * expire together are gone in minutes.
 */

struct held_scan {
	struct carrier *carrier;
	struct due_key	keys[HELD_PORTION];
	bool		system[HELD_PORTION];
	char		account[HELD_PORTION][ACCOUNT_ID_SIZE];
	unsigned	n;
};

static bool
carrier_on_held(void *arg, const struct arrival *a, uint8_t held_by,
    struct wall expires)
{
	struct held_scan *x = arg;

	(void)held_by;
	if (expires.ms > loop_wall(x->carrier->loop).ms ||
	    x->n == HELD_PORTION)
		return false;
	x->keys[x->n].due = expires;
	x->keys[x->n].id = a->id;
	x->system[x->n] = a->system;
	memcpy(x->account[x->n], a->account, sizeof(a->account));
	x->keys[x->n++].n = a->n;
	return true;
}

static void
carrier_expire_held(struct carrier *c)
{
	struct held_scan    *x = mem_alloc(sizeof(*x));
	struct recipient_row row;
	struct arena	    *arena;
	struct err	     e;
	unsigned	     i;

	x->carrier = c;
	if (spool_scan_held(c->set.spool, NULL, HELD_PORTION, carrier_on_held,
		x, &e) < 0)
		log_error("spool-read", "reason=\"%s\"", e.text);
	for (i = 0; i < x->n; i++) {
		arena = arena_new(ROW_ARENA);
		if (spool_read_recipient(c->set.spool, &x->keys[i].id,
			x->keys[i].n, arena, &row, &e) == 1)
			carrier_expire(c, NULL, x->account[i], &row,
			    x->system[i]);
		arena_free(arena);
	}
	c->expiring = x->n == HELD_PORTION;
	if (c->expiring)
		timer_set(&c->expiry, HELD_AGAIN_MS);
	mem_free(x);
}

static void
carrier_on_expiry(void *carrier, void *unused)
{
	struct carrier *c = carrier;

	(void)unused;
	/* what is not committed yet would be found again */
	if (c->items_out > 0 || c->refused != NULL)
		timer_set(&c->expiry, HELD_AGAIN_MS);
	else if (!c->stopping)
		carrier_expire_held(c);
}

static void
carrier_forget_no_tls(void *arg, struct bytes key, void *value)
{
	struct carrier *c = arg;
	struct mono    *until = value;

	if (loop_now(c->loop).ms >= until->ms) {
		table_take(c->no_tls, key);
		mem_free(until);
	}
}

static void
carrier_look_again(struct carrier *c)
{
	if (c->sources_version != book_version(c->set.book))
		carrier_read_sources(c);
	if (spool_took_missed(c->set.spool))
		scheduler_rescan(c);
	else
		scheduler_refill(c);
}

static void
carrier_on_minute(void *carrier, void *unused)
{
	struct carrier *c = carrier;

	(void)unused;
	if (!c->expiring)
		carrier_expire_held(c);
	table_each(c->no_tls, carrier_forget_no_tls, c);
	route_tidy(c);
	site_tidy(c);
	carrier_look_again(c);
	timer_set(&c->minute, MINUTE_MS);
}

/* -- the contract ---------------------------------------------------------- */

void
carrier_meters_init(struct carrier_meters *m)
{
	static const double bounds[] = { 0.1, 0.3, 1, 3, 10, 30, 60, 300, 1800,
		7200, 43200, 172800 };

	memset(m, 0, sizeof(*m));
	m->delivery_seconds.bounds = bounds;
	m->delivery_seconds.bound_count = sizeof(bounds) / sizeof(bounds[0]);
}

struct carrier *
carrier_new(const struct carrier_setup *s, struct err *e)
{
	struct carrier *c = mem_alloc(sizeof(*c));

	(void)e;
	c->set = *s;
	c->loop = s->loop;
	c->conf = conf_ref(s->conf);
	c->routes = table_new(0);
	c->sites = table_new(0);
	c->groups = table_new(0);
	c->outlets = table_new(0);
	c->accounts = table_new(0);
	c->sets = table_new(SET_VIEWS_MAX);
	c->no_tls = table_new(10000);
	c->pools = table_new(0);
	rota_init(&c->turns);
	rota_init(&c->starved);
	rota_init(&c->more);
	egress_watch_init(c);
	c->has_ipv6 = carrier_has_ipv6(c->conf);
	due_list_init(&c->simulated);
	scheduler_init(c);
	carrier_batch_init(c);
	timer_init(&c->minute, c->loop, carrier_on_minute, c);
	timer_init(&c->expiry, c->loop, carrier_on_expiry, c);
	return c;
}

void
carrier_begin(struct carrier *c)
{
	carrier_read_sources(c);
	scheduler_rescan(c);
	timer_set(&c->minute, MINUTE_MS);
}

void
carrier_on_arrivals(void *carrier, void *arrivals)
{
	struct carrier	*c = carrier;
	struct arrivals *a = arrivals;
	size_t		 i;

	for (i = 0; i < a->count && !c->stopping; i++)
		scheduler_add(c, &a->v[i]);
	mem_free(a);
	if (spool_took_missed(c->set.spool))
		scheduler_rescan(c);
}

void
carrier_reload(struct carrier *c, struct conf *conf)
{
	conf_unref(c->conf);
	c->conf = conf_ref(conf);
	c->has_ipv6 = carrier_has_ipv6(conf);
	route_forget_all(c);
	carrier_read_sources(c);
}

static void
carrier_on_wake(void *carrier, void *unused)
{
	struct carrier *c = carrier;

	(void)unused;
	if (!c->stopping)
		carrier_look_again(c);
}

bool
carrier_post_wake(struct carrier *c)
{
	return loop_post(c->loop, carrier_on_wake, c, NULL);
}

static void
carrier_on_forget(void *carrier, void *gone)
{
	struct carrier	    *c = carrier;
	struct carrier_gone *g = gone;

	if (!c->stopping)
		scheduler_forget(c, g->v, g->count);
	mem_free(g);
}

bool
carrier_post_forget(struct carrier *c, struct carrier_gone *g)
{
	return loop_post(c->loop, carrier_on_forget, c, g);
}

static void
carrier_free_value(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	mem_free(value);
}

void
carrier_free(struct carrier *c)
{
	if (c == NULL)
		return;
	timer_clear(&c->minute);
	timer_clear(&c->expiry);
	timer_clear(&c->shut_limit);
	timer_clear(&c->give_way);
	site_free_all(c);
	rota_wipe(&c->turns);
	rota_wipe(&c->starved);
	rota_wipe(&c->more);
	scheduler_wipe(c);
	route_free_all(c);
	table_each(c->accounts, carrier_free_value, NULL);
	table_free(c->accounts);
	table_each(c->sets, carrier_free_value, NULL);
	table_free(c->sets);
	table_each(c->no_tls, carrier_free_value, NULL);
	table_free(c->no_tls);
	table_each(c->pools, carrier_free_value, NULL);
	table_free(c->pools);
	carrier_batch_wipe(c);
	mem_free(c->sources);
	conf_unref(c->conf);
	mem_free(c);
}

/* -- shut-down ------------------------------------------------------------- */

static void
carrier_shut_site(void *arg, struct bytes key, void *value)
{
	struct site   *s = value;
	struct egress *eg;

	(void)arg;
	(void)key;
	for (eg = s->egresses; eg != NULL; eg = eg->next)
		egress_shut(eg);
}

void
carrier_check_idle(struct carrier *c)
{
	loop_fn *fn = c->on_idle;

	if (!c->stopping || fn == NULL || c->connections > 0 ||
	    c->batches_out > 0 || c->refused != NULL ||
	    (c->batch != NULL && c->batch->count > 0))
		return;
	c->on_idle = NULL;
	timer_clear(&c->shut_limit);
	fn(c->on_idle_arg, NULL);
}

static void
carrier_on_shut_limit(void *carrier, void *unused)
{
	struct carrier *c = carrier;

	(void)unused;
	c->shut_passed = true;
	table_each(c->sites, carrier_shut_site, c);
	carrier_check_idle(c);
}

static void
carrier_on_shut_check(void *carrier, void *unused)
{
	(void)unused;
	carrier_check_idle(carrier);
}

void
carrier_shut(struct carrier *c, loop_fn *on_idle, void *arg)
{
	c->stopping = true;
	c->on_idle = on_idle;
	c->on_idle_arg = arg;
	timer_clear(&c->scheduler.wake);
	timer_clear(&c->scheduler.more);
	timer_clear(&c->minute);
	timer_clear(&c->expiry);
	timer_clear(&c->give_way);
	timer_init(&c->shut_limit, c->loop, carrier_on_shut_limit, c);
	timer_set(&c->shut_limit, SHUT_MS);
	table_each(c->sites, carrier_shut_site, c);
	/* after the change of this pass was handed in */
	if (!loop_post(c->loop, carrier_on_shut_check, c, NULL))
		carrier_check_idle(c);
}

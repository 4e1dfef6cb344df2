/* SPDX-License-Identifier: ISC */
#include "delivery/group.h"

#include <stdio.h>

#include "delivery/carrier_private.h"

static struct group *
group_ref(struct carrier *c, const char *name)
{
	struct group *g = table_get(c->groups, bytes_of(name));

	if (g == NULL) {
		g = mem_alloc(sizeof(*g));
		g->name = mem_dup(name);
		must(table_put(c->groups, bytes_of(name), g));
	}
	g->outlets++;
	return g;
}

static void
group_unref(struct carrier *c, struct group *g)
{
	if (--g->outlets > 0)
		return;
	table_take(c->groups, bytes_of(g->name));
	mem_free(g->name);
	mem_free(g);
}

struct outlet *
outlet_ref(struct carrier *c, const char *group, const char *source)
{
	struct outlet *o;
	char	       key[DOMAIN_SIZE + 80];

	snprintf(key, sizeof(key), "%s %s", group, source);
	o = table_get(c->outlets, bytes_of(key));
	if (o == NULL) {
		o = mem_alloc(sizeof(*o));
		o->key = mem_dup(key);
		o->group = group_ref(c, group);
		must(table_put(c->outlets, bytes_of(key), o));
	}
	o->egresses++;
	return o;
}

void
outlet_unref(struct carrier *c, struct outlet *o)
{
	if (--o->egresses > 0)
		return;
	must(o->connections == 0);
	table_take(c->outlets, bytes_of(o->key));
	group_unref(c, o->group);
	mem_free(o->key);
	mem_free(o);
}

int64_t
group_pause_ms(const struct group *g, double rate, struct mono now)
{
	int64_t us = g->next_us - now.ms * 1000;

	return rate <= 0 || us <= 0 ? 0 : (us + 999) / 1000;
}

void
group_count_message(struct group *g, double rate, struct mono now)
{
	if (rate <= 0)
		return;
	/* the clock has whole milliseconds: less than one is not lateness, or
	 * a rate of 400 would become one of 333 */
	if (g->next_us <= now.ms * 1000 - 1000)
		g->next_us = now.ms * 1000;
	g->next_us += (int64_t)(1e6 / rate + 0.5);
}

int64_t
group_wait_ms(const struct group *g, double rate, unsigned before,
    struct mono now)
{
	unsigned lanes = g->busy > 1 ? g->busy : 1;

	if (rate <= 0)
		return 0;
	return group_pause_ms(g, rate, now) +
	    (int64_t)(1000.0 / rate * (double)before * (double)lanes);
}

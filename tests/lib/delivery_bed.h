/* SPDX-License-Identifier: ISC */
/*
 * delivery_bed.h - what the unit tests of one part of a carrier share: a
 * struct carrier with fake loop and clock and a configuration; the parts
 * around the one that is tested are written by the test.
 * Use:    delivery_bed_open(&c, "delivery.port 2525\n"); ...;
 *         delivery_bed_close(&c).
 */
#ifndef TESTS_DELIVERY_BED_H
#define TESTS_DELIVERY_BED_H

#include <stdlib.h>

#include "delivery/carrier_private.h"
#include "fake_clock.h"
#include "fake_thread.h"

#define BED_NOON INT64_C(1714564800000)

static struct carrier_meters bed_meters;

static inline void
delivery_bed_open(struct carrier *c, const char *text)
{
	struct conf_errors errors;
	struct err	   e;
	char		   all[4096];

	memset(c, 0, sizeof(*c));
	fake_clock_set((struct wall){ BED_NOON });
	snprintf(all, sizeof(all), "server.name mail.relay.example\n%s", text);
	conf_errors_init(&errors);
	c->conf = conf_load_text("test", bytes_of(all), NULL, &errors);
	if (c->conf == NULL)
		fail_msg("%s", errors.v[0].text);
	conf_errors_wipe(&errors);
	c->loop = loop_new("delivery", 4096, &e);
	fake_threads_begin(c->loop);
	c->routes = table_new(0);
	c->sites = table_new(0);
	c->groups = table_new(0);
	c->outlets = table_new(0);
	c->no_tls = table_new(100);
	rota_init(&c->turns);
	rota_init(&c->starved);
	rota_init(&c->more);
	c->set.meters = &bed_meters;
}

static inline void
delivery_bed_free_value(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	mem_free(value);
}

/* The tables that are left are those the test has not freed. */
static inline void
delivery_bed_close(struct carrier *c)
{
	assert_true(fake_threads_settle());
	table_each(c->no_tls, delivery_bed_free_value, NULL);
	table_free(c->no_tls);
	rota_wipe(&c->turns);
	rota_wipe(&c->starved);
	rota_wipe(&c->more);
	fake_threads_end(c->loop);
	loop_free(c->loop);
	conf_unref(c->conf);
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * carrier.h - mail goes out: the delivery of one loop, as the wiring and the
 * operator see it.
 *
 * Use:    c = carrier_new(&setup, &e); spool_on_arrivals(spool, loop,
 *         carrier_on_arrivals, c); the loop starts; carrier_begin() reads
 *         the due table (recovery is nothing else).
 * Owner:  the wiring; carrier_free() after the loop was joined.
 * Thread: the loop's; carrier_post_*() from any.
 * Fails:  carrier_new() with *e; later trouble is an outcome of envelopes.
 * Parts:  scheduler.c knows what is due and whose turn it is, route.c and
 *         site.c find the way, egress.c paces one source address towards one
 *         site, transport.c talks SMTP, outcome.c says what a result means
 *         for each envelope, simulator.c answers without a network.
 */
#ifndef DELIVERY_CARRIER_H
#define DELIVERY_CARRIER_H

#include <stdbool.h>
#include <stdint.h>

#include "base/err.h"
#include "base/meter.h"
#include "base/thread.h"
#include "mail/classify.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "registry/book.h"
#include "registry/conf.h"
#include "registry/ledger.h"
#include "store/spool.h"

struct carrier;

enum {
	CARRIER_TLS_DEMANDS = 4,  /* TLS_NEVER ... TLS_VERIFY (attempt.h) */
	CARRIER_TLS_VERSIONS = 3, /* none, TLSv1.2, TLSv1.3 */
	CARRIER_IPS_MAX = 256	  /* the last one stands for the rest */
};
struct carrier_ip { /* an address that mail has left from */
	char	     ip[64];
	char	     pool[POOL_NAME_SIZE]; /* that the source address was in */
	struct meter sent; /* recipients delivered to */
	struct meter rcpts, datas; /* commands said; DATA or last BDAT */
};
/* All but what an account has for itself (registry/ledger.h). */
struct carrier_meters {
	struct meter delivered, deferred, failed; /* attempts by result */
	struct meter connections, connections_ok, connections_failed;
	struct meter connections_gave_way; /* of those that failed */
	/* connections by demand, version, certificate verified */
	struct meter tls[CARRIER_TLS_DEMANDS][CARRIER_TLS_VERSIONS][2];
	struct carrier_ip ips[CARRIER_IPS_MAX];
	atomic_uint ip_count; /* entries that are filled */
	struct meter rules[CLASSIFY_RULES]; /* failures by rule */
	struct meter_histogram delivery_seconds;
	struct meter in_flight, waiting;
};
void carrier_meters_init(struct carrier_meters *m);

struct carrier_setup {
	struct loop	  *loop;
	struct spool	  *spool;
	struct book	  *book;
	struct resolver	  *resolver; /* of this loop */
	struct tls_client *tls;
	struct classify	  *classify; /* compiled rules, shared */
	struct conf	  *conf;     /* a reference is taken */
	struct workers	  *workers;  /* pages of cold content; may be NULL */
	struct carrier_meters *meters;
	struct ledger	  *ledger;
	/* Addresses this installation listens on are loops (5.4.6). */
};
struct carrier *carrier_new(const struct carrier_setup *s, struct err *e);
void carrier_free(struct carrier *c);
void carrier_begin(struct carrier *c);
void carrier_on_arrivals(void *carrier, void *arrivals); /* loop_fn */
void carrier_reload(struct carrier *c, struct conf *conf);
/* No new attempts; running transactions get 30 s (60 s after the dot). */
void carrier_shut(struct carrier *c, loop_fn *on_idle, void *arg);

/* Any thread: a hold was lifted, a queue command changed rows, an account was
 * paused or resumed, a source address changed: look again. */
bool carrier_post_wake(struct carrier *c);
/*
 * Any thread: these were ended or held by a queue command; what waits of them
 * is forgotten, so that it is neither shown nor kept.  The carrier frees the
 * list with mem_free().  false = the feed is full; they go at their time.
 */
struct carrier_gone {
	size_t	       count;
	struct due_key v[]; /* .due is not looked at */
};
bool carrier_post_forget(struct carrier *c, struct carrier_gone *g);

/*
 * For queue summary and queue show: what the carrier knows in memory.
 * done(q, NULL) on asker; it frees q.
 */
enum { CARRIER_SITES_MAX = 10, CARRIER_ACTIVE_MAX = 1000 };
struct carrier_site_view {
	char	 name[280];   /* "gmail.com +3" */
	unsigned deferred, active, connections, connections_max;
	struct wall backoff_until; /* 0 = none */
	char	 last_reply[200];
};
struct carrier_query {
	struct loop *asker;
	void (*done)(void *query, void *unused);
	void	    *context;
	unsigned     active; /* envelopes in an attempt now */
	struct due_key *active_keys; /* at most CARRIER_ACTIVE_MAX, mem_free */
	size_t	     active_count;
	struct wall  next_retry; /* 0 = none */
	unsigned     attempts_5m, delivered_5m, deferred_5m, failed_5m;
	struct carrier_site_view sites[CARRIER_SITES_MAX];
	unsigned     site_count;
};
bool carrier_post_query(struct carrier *c, struct carrier_query *q);

#endif

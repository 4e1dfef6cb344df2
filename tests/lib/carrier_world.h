/* SPDX-License-Identifier: ISC */
/*
 * carrier_world.h - a carrier alone: the spool, the registers and the parts
 * that move mail are written here.
 * Use:    setup and teardown around each test; w says what the others answer
 *         and what was asked of them; attempt_ends(), receive(), settle().
 * Owner:  the test; one carrier, for all.
 * Thread: one; the fake loop's.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_CARRIER_WORLD_H
#define TESTS_CARRIER_WORLD_H

#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include <cmocka.h>

#include "delivery_bed.h"
#include "registry/account.h"
#include "registry/config_set.h"

enum { HOUR = 3600000, CHANGES = 8 };

static struct carrier	*c;
static struct conf	*conf;
static struct loop	*loop;
static struct classify	*rules;
static struct carrier_meters meters;
static struct ledger *ledger;
static struct due	 dues[60];
static struct {
	/* what the spool has */
	struct recipient_row row;
	bool		     system, no_message;
	int		     row_found, message_found;
	struct due_key	     held; /* expired under a hold */
	unsigned	     held_count;
	/* what the account may; its set */
	bool		     may_send;
	int		     set_found; /* 1, 0 = deleted, -1 */
	bool		     set_paused;
	unsigned	     set_looks;
	enum suppression_answer listed;
	unsigned	     list_looks;
	uint64_t	     version;
	/* what was done */
	struct change	    *changes[CHANGES];
	unsigned	     change_count;
	bool		     is_full;
	unsigned	     dropped, again, retried, refills, rescans, learned;
	unsigned	     idle, wakes, settled, resumed;
	struct wall	     next;
} w;

/* -- in the place of the other parts --------------------------------------- */

bool
spool_change(struct spool *s, struct change *change)
{
	(void)s;
	if (w.is_full)
		return false;
	assert_true(w.change_count < CHANGES);
	w.changes[w.change_count++] = change;
	return true;
}

int
spool_read_recipient(struct spool *s, const struct msgid *id, unsigned n,
    struct arena *a, struct recipient_row *out, struct err *e)
{
	(void)s;
	(void)a;
	err_set(e, "broken");
	*out = w.row;
	out->id = *id;
	out->n = n;
	return w.row_found;
}

int
spool_read_message(struct spool *s, const struct msgid *id, struct arena *a,
    struct message_row *out, struct err *e)
{
	(void)s;
	(void)a;
	err_set(e, "broken");
	memset(out, 0, sizeof(*out));
	out->id = *id;
	out->system = w.system;
	out->mail_from_domain = BYTES("bounces.relay.example");
	strcpy(out->account, "123456789012");
	return w.message_found;
}

int
spool_scan_held(struct spool *s, const struct due_key *after, size_t max,
    bool (*fn)(void *arg, const struct arrival *a, uint8_t held_by,
	struct wall expires),
    void *arg, struct err *e)
{
	struct arrival a;
	unsigned       i;

	(void)s;
	(void)after;
	(void)max;
	(void)e;
	memset(&a, 0, sizeof(a));
	a.id = w.held.id;
	a.n = w.held.n;
	for (i = 0; i < w.held_count; i++) {
		a.n = w.held.n + i;
		if (!fn(arg, &a, HELD_OPERATOR, w.held.due))
			break;
	}
	return (int)i;
}

/* A worker's, and there are none. */
void
spool_warm(struct spool *s, uint64_t content)
{
	(void)s;
	fail_msg("content %llu is read ahead",
	    (unsigned long long)content);
}

bool
spool_took_missed(struct spool *s)
{
	(void)s;
	return false;
}

struct db_txn *
book_read(struct book *b, struct err *e)
{
	(void)b;
	(void)e;
	return (struct db_txn *)&w;
}

void
book_end(struct db_txn *t)
{
	(void)t;
}

uint64_t
book_version(const struct book *b)
{
	(void)b;
	return w.version;
}

int
source_each(struct db_txn *t, bool (*fn)(void *arg, const struct source *s),
    void *arg, struct err *e)
{
	(void)t;
	(void)fn;
	(void)arg;
	(void)e;
	return 0;
}

int
account_get(struct db_txn *t, const char *id, struct account *out,
    struct err *e)
{
	(void)t;
	(void)id;
	(void)e;
	memset(out, 0, sizeof(*out));
	return 1;
}

bool
account_may_send(const struct account *a)
{
	(void)a;
	return w.may_send;
}

int
config_set_find(struct db_txn *t, const struct config_set_id *id,
    struct config_set *out, struct err *e)
{
	(void)t;
	(void)id;
	(void)e;
	memset(out, 0, sizeof(*out));
	out->sending = !w.set_paused;
	w.set_looks++;
	return w.set_found;
}

void
suppression_question_init(struct suppression_question *out,
    const struct conf *settings, struct wall now)
{
	(void)settings;
	memset(out, 0, sizeof(*out));
	out->now = now;
}

void
suppression_take_set(struct suppression_question *q,
    const struct config_set *s)
{
	q->has_set = s->own_suppression;
	q->set_reasons = s->suppress_bounce ? SUPPRESS_BOUNCE : 0;
}

unsigned
suppression_reasons_of(const struct account *a)
{
	return a->suppress_bounce ? SUPPRESS_BOUNCE : 0;
}

uint64_t
suppression_stamp(uint64_t version, const struct conf *settings)
{
	(void)settings;
	return version;
}

int
suppression_check(struct db_txn *t, const struct suppression_question *q,
    enum suppression_answer *out, struct err *e)
{
	(void)t;
	(void)q;
	(void)e;
	*out = w.listed;
	w.list_looks++;
	return 0;
}

const char *
suppression_reason_to_text(enum suppression_reason r)
{
	return r == SUPPRESS_COMPLAINT ? "COMPLAINT" : "BOUNCE";
}

static inline void
on_wake(void *carrier, void *unused)
{
	(void)carrier;
	(void)unused;
	w.wakes++;
}

void
scheduler_init(struct carrier *carrier)
{
	timer_init(&carrier->scheduler.wake, carrier->loop, on_wake, carrier);
	timer_init(&carrier->scheduler.more, carrier->loop, on_wake, carrier);
}

void
scheduler_wipe(struct carrier *carrier)
{
	(void)carrier;
}

void
scheduler_add(struct carrier *carrier, const struct arrival *a)
{
	(void)carrier;
	(void)a;
}

void
scheduler_refill(struct carrier *carrier)
{
	(void)carrier;
	w.refills++;
}

void
scheduler_on_settled(struct carrier *carrier)
{
	assert_ptr_equal(carrier, c);
	w.settled++;
}

void
scheduler_rescan(struct carrier *carrier)
{
	(void)carrier;
	w.rescans++;
}

void
scheduler_drop(struct carrier *carrier, struct due *d)
{
	(void)carrier;
	(void)d;
	w.dropped++;
}

void
scheduler_forget(struct carrier *carrier, const struct due_key *v, size_t n)
{
	(void)carrier;
	(void)v;
	(void)n;
}

void
scheduler_again(struct carrier *carrier, struct due *d, struct wall due)
{
	(void)carrier;
	d->place = DUE_WAITING;
	w.next = due;
	w.again++;
}

void
scheduler_retry(struct carrier *carrier, struct due *d, struct wall due)
{
	(void)carrier;
	(void)d;
	w.next = due;
	w.retried++;
}

struct wall
scheduler_next(const struct carrier *carrier)
{
	(void)carrier;
	return (struct wall){ 0 };
}

void
route_forget_all(struct carrier *carrier)
{
	(void)carrier;
}

void
route_free_all(struct carrier *carrier)
{
	table_free(carrier->routes);
}

void
route_tidy(struct carrier *carrier)
{
	(void)carrier;
}

void
site_free_all(struct carrier *carrier)
{
	table_free(carrier->sites);
	table_free(carrier->groups);
	table_free(carrier->outlets);
}

void
site_tidy(struct carrier *carrier)
{
	(void)carrier;
}

unsigned
site_count_sources(const struct carrier *carrier, const struct site *s,
    const char *account, const char *named)
{
	(void)carrier;
	(void)s;
	(void)account;
	(void)named;
	return 1;
}

void
egress_learn(struct egress *eg, const struct outcome *o,
    const struct result *r)
{
	(void)eg;
	(void)o;
	(void)r;
	w.learned++;
}

void
egress_resume_turns(struct carrier *carrier)
{
	(void)carrier;
	w.resumed++;
}

void
egress_watch_init(struct carrier *carrier)
{
	timer_init(&carrier->give_way, carrier->loop, NULL, NULL);
}

void
egress_shut(struct egress *eg)
{
	(void)eg;
}

/* -- the bed --------------------------------------------------------------- */

static inline int
setup(void **state)
{
	struct carrier_setup s;
	struct err	     e;
	unsigned	     i;

	(void)state;
	memset(&w, 0, sizeof(w));
	fake_clock_set((struct wall){ BED_NOON });
	conf = conf_defaults();
	conf->delivery.retry_jitter_percent = 0;
	rules = classify_new(&e);
	loop = loop_new("delivery", 1024, &e);
	fake_threads_begin(loop);
	carrier_meters_init(&meters);
	ledger = ledger_new();
	memset(&s, 0, sizeof(s));
	s.loop = loop;
	s.conf = conf;
	s.classify = rules;
	s.meters = &meters;
	s.ledger = ledger;
	c = carrier_new(&s, &e);
	assert_non_null(c);
	w.row_found = w.message_found = 1;
	w.version = 1;
	w.may_send = true;
	w.set_found = 1;
	w.row.address = BYTES("jane@sink.example");
	w.row.expires.ms = BED_NOON + 72 * HOUR;
	memset(dues, 0, sizeof(dues));
	for (i = 0; i < 60; i++) {
		dues[i].n = i + 1;
		msgid_make((struct wall){ BED_NOON }, &dues[i].id);
		strcpy(dues[i].account, "123456789012");
	}
	return 0;
}

static inline void
on_pass(void *unused, void *ignored)
{
	(void)unused;
	(void)ignored;
}

/* At least one pass: changes are handed in at its end. */
static inline void
settle(void)
{
	assert_true(loop_post(loop, on_pass, NULL, NULL));
	assert_true(fake_threads_settle());
}

/* The receipts of all changes. */
static inline void
receive(enum receipt_result result, bool found)
{
	struct change *ch;
	unsigned       i, n = w.change_count;
	size_t	       j;

	w.change_count = 0;
	for (i = 0; i < n; i++) {
		ch = w.changes[i];
		ch->result = result;
		for (j = 0; j < ch->count; j++)
			ch->items[j].found = found;
		ch->on_receipt(ch->ctx, ch);
	}
	settle();
}

static inline int
teardown(void **state)
{
	(void)state;
	receive(RECEIPT_OK, false);
	carrier_free(c);
	ledger_free(ledger);
	fake_threads_end(loop);
	loop_free(loop);
	classify_free(rules);
	conf_unref(conf);
	return 0;
}

static inline struct change_item *
item(unsigned i)
{
	assert_int_equal(w.change_count, 1);
	assert_true(i < w.changes[0]->count);
	return &w.changes[0]->items[i];
}

/* An attempt for the first due that ends so. */
static inline void
attempt_ends(unsigned code)
{
	struct due     *d = &dues[0];
	struct attempt *a = carrier_make_attempt(c, &d);

	assert_non_null(a);
	assert_int_equal(d->place, DUE_FLYING);
	a->envelopes[0].result.kind = RESULT_REPLY;
	a->envelopes[0].result.stage = CLASSIFY_DOT;
	a->envelopes[0].result.code = code;
	snprintf(a->envelopes[0].result.text, RESULT_TEXT_MAX, "%u words",
	    code);
	carrier_settle(c, NULL, a, d);
	settle();
}

#endif

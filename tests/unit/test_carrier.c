/* SPDX-License-Identifier: ISC */
/*
 * The books of a carrier: rows to attempts, results to changes, receipts,
 * holds, moves, expiry, the simulator's merging, shut-down; the spool, the
 * registers and the parts that move mail are written here.
 */
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

static void
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
egress_shut(struct egress *eg)
{
	(void)eg;
}

/* -- the bed --------------------------------------------------------------- */

static void
on_idle(void *arg, void *unused)
{
	(void)arg;
	(void)unused;
	w.idle++;
}

static int
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

static void
on_pass(void *unused, void *ignored)
{
	(void)unused;
	(void)ignored;
}

/* At least one pass: changes are handed in at its end. */
static void
settle(void)
{
	assert_true(loop_post(loop, on_pass, NULL, NULL));
	assert_true(fake_threads_settle());
}

/* The receipts of all changes. */
static void
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

static int
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

static struct change_item *
item(unsigned i)
{
	assert_int_equal(w.change_count, 1);
	assert_true(i < w.changes[0]->count);
	return &w.changes[0]->items[i];
}

/* An attempt for the first due that ends so. */
static void
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

/* -- cases ----------------------------------------------------------------- */

static void
results_become_changes(void **state)
{
	(void)state;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
	assert_int_equal(item(0)->event->type, EVENT_DELIVERY);
	assert_int_equal(meter_get(&meters.delivered), 1);
	/* nothing is forgotten before it is on disk */
	assert_int_equal(w.dropped, 0);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1);
	attempt_ends(450);
	assert_int_equal(item(0)->kind, CHANGE_DEFER);
	assert_int_equal(item(0)->attempts, 1);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.again, 1);
	assert_int_equal(w.next.ms, BED_NOON + 300000);
	/* deleted meanwhile by the operator */
	attempt_ends(450);
	receive(RECEIPT_OK, false);
	assert_int_equal(w.again, 1);
	assert_int_equal(w.dropped, 2);
	attempt_ends(550);
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	/* the store is down: what it would have said is not known */
	receive(RECEIPT_DOWN, false);
	assert_int_equal(w.dropped, 2);
	/* no notices about notices */
	w.system = true;
	attempt_ends(550);
	assert_null(item(0)->event);
}

/* suppression.md 3 and 5: no attempt, and what the event says */
static void
suppressed_ones_are_settled(void **state)
{
	static const struct {
		enum suppression_answer answer;
		enum event_type		type;
		enum bounce_subtype	sub;
	} rows[] = {
		{ SUPPRESSION_BOUNCE, EVENT_BOUNCE,
		    BOUNCE_SUB_ON_ACCOUNT_LIST },
		{ SUPPRESSION_GLOBAL, EVENT_BOUNCE, BOUNCE_SUB_SUPPRESSED },
		{ SUPPRESSION_COMPLAINT, EVENT_COMPLAINT, 0 },
	};
	const struct event *ev;
	struct due	   *d;
	size_t		    i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		w.listed = rows[i].answer;
		d = &dues[0];
		assert_null(carrier_make_attempt(c, &d));
		settle();
		assert_int_equal(item(0)->kind, CHANGE_DONE);
		ev = item(0)->event;
		assert_int_equal(ev->type, rows[i].type);
		assert_int_equal(ev->on_account_list,
		    rows[i].type == EVENT_COMPLAINT);
		if (ev->type == EVENT_BOUNCE)
			assert_int_equal(ev->bounce_subtype, rows[i].sub);
		receive(RECEIPT_OK, true);
		assert_int_equal(w.dropped, i + 1);
	}
	/* marked at acceptance, and not listed any more */
	w.listed = SUPPRESSION_NONE;
	dues[0].suppressed = true;
	assert_false(carrier_suppress(c, &dues[0]));
	assert_false(dues[0].suppressed);
	w.listed = SUPPRESSION_BOUNCE;
	assert_true(carrier_suppress(c, &dues[0]));
	settle();
	receive(RECEIPT_OK, true);
	/* mail of posthorn itself asks no list */
	dues[0].system = true;
	assert_false(carrier_suppress(c, &dues[0]));
	dues[0].system = false;
}

/* Acceptance has looked: not again while the book stands still. */
static void
lists_are_asked_once(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	w.listed = SUPPRESSION_BOUNCE; /* would be found, if asked */
	d->lists_seen = 1;
	attempt_ends(250);
	assert_int_equal(item(0)->event->type, EVENT_DELIVERY);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.list_looks, 0);
	/* the book has changed since */
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.list_looks, 1);
	/* what it found listed, and could not be settled before the attempt,
	 * is looked at again */
	d = &dues[0];
	d->lists_seen = w.version;
	d->suppressed = true;
	w.row_found = 0;
	assert_false(carrier_suppress(c, d));
	w.row_found = 1;
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.list_looks, 2);
}

static void
a_full_feed(void **state)
{
	(void)state;
	w.is_full = true;
	attempt_ends(250);
	assert_non_null(c->refused); /* nothing new is begun */
	assert_true(fake_threads_advance(25));
	assert_int_equal(w.change_count, 0);
	w.is_full = false;
	assert_true(fake_threads_advance(10));
	assert_null(c->refused);
	assert_int_equal(w.resumed, 1);
	assert_int_equal(w.change_count, 1);
	assert_int_equal(w.wakes, 1); /* what is due goes on */
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1);
}

static void
rows_that_are_not_tried(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	/* gone; held */
	w.row_found = 0;
	assert_null(carrier_make_attempt(c, &d));
	assert_int_equal(w.dropped, 1);
	w.row_found = 1;
	w.row.state = ENVELOPE_HELD;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	assert_int_equal(w.dropped, 2);
	w.row.state = ENVELOPE_READY;
	/* unreadable: again in a minute, still known */
	w.row_found = -1;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	w.row_found = 1;
	w.message_found = -1;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	assert_int_equal(w.retried, 2);
	assert_int_equal(w.next.ms, BED_NOON + 60000);
	assert_int_equal(w.dropped, 2);
	w.message_found = 1;
	/* the account is paused: held, without an event (delivery#24) */
	w.may_send = false;
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->kind, CHANGE_HOLD);
	assert_int_equal(item(0)->held_by, HELD_ACCOUNT);
	assert_null(item(0)->event);
	receive(RECEIPT_OK, true);
	/* the class system goes out all the same */
	d = &dues[0];
	d->system = true;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
}

/* configuration-sets 6.1: held by its set, by both; a set that was deleted, or
 * cannot be read, holds nothing */
static void
held_by_its_set(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	memset(dues[0].config_set.b, 7, sizeof(dues[0].config_set.b));
	w.set_paused = true;
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->kind, CHANGE_HOLD);
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET);
	assert_null(item(0)->event);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.change_count, 0); /* it is paused still */
	assert_int_equal(w.set_looks, 1); /* once for each state of the book */
	w.may_send = false;
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET | HELD_ACCOUNT);
	receive(RECEIPT_OK, true);
	w.may_send = true;
	w.set_found = 0;
	w.version++;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
	receive(RECEIPT_OK, true);
	w.set_found = -1;
	w.version++;
	attempt_ends(250);
	assert_int_equal(item(0)->kind, CHANGE_DONE);
}

/* A resume that came between the look and the commit: what was held behind
 * the walk of the release is released here. */
static void
hold_that_is_over(void **state)
{
	struct due *d = &dues[0];

	(void)state;
	memset(dues[0].config_set.b, 7, sizeof(dues[0].config_set.b));
	w.set_paused = true;
	w.may_send = false;
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET | HELD_ACCOUNT);
	w.set_paused = false;
	w.version++;
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1);
	assert_int_equal(item(0)->kind, CHANGE_RELEASE);
	assert_int_equal(item(0)->held_by, HELD_CONFIG_SET);
	assert_memory_equal(&item(0)->id, &dues[0].id, sizeof(dues[0].id));
	assert_int_equal(item(0)->n, 1);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 1); /* it has no due any more */
	/* one that was not found needs none */
	w.set_paused = true;
	w.version++;
	d = &dues[0];
	assert_null(carrier_make_attempt(c, &d));
	settle();
	w.set_paused = false;
	w.may_send = true;
	w.version++;
	receive(RECEIPT_OK, false);
	assert_int_equal(w.change_count, 0);
}

static void
expired_while_it_waited(void **state) /* delivery.md 2.2, 7 */
{
	struct due *d = &dues[0];

	(void)state;
	w.row.expires.ms = BED_NOON - 60001;
	w.row.last_reply = BYTES("451 4.3.0 try later");
	assert_null(carrier_make_attempt(c, &d));
	settle();
	assert_int_equal(item(0)->kind, CHANGE_DONE);
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	assert_int_equal(item(0)->event->bounce_type, BOUNCE_TRANSIENT);
	assert_true(bytes_eq_text(item(0)->event->recipients[0].status,
	    "4.4.7"));
	assert_true(bytes_eq_text(item(0)->event->recipients[0].diagnostic,
	    "smtp; 451 4.3.0 try later"));
	receive(RECEIPT_OK, true);
	/* the last attempt at the end of the lifetime is made */
	w.row.expires.ms = BED_NOON - 1000;
	attempt_ends(250);
	assert_int_equal(item(0)->event->type, EVENT_DELIVERY);
	receive(RECEIPT_OK, true);
	/* under a hold: once a minute somebody looks */
	w.held_count = 1;
	w.held.due.ms = BED_NOON + 1;
	w.held.n = 1;
	carrier_begin(c);
	assert_true(fake_threads_advance(60000));
	w.held_count = 0;
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
}

/* Many that expire together under a hold go portion by portion, each when the
 * one before is on disk. */
static void
many_held_expire(void **state)
{
	unsigned left = 600, portions = 0, n;

	(void)state;
	w.row.expires.ms = BED_NOON - 60001;
	w.held.due.ms = BED_NOON + 1;
	w.held.n = 1;
	w.held_count = left;
	carrier_begin(c);
	assert_true(fake_threads_advance(60000));
	while (left > 0) {
		assert_int_equal(w.change_count, 1);
		n = (unsigned)w.changes[0]->count;
		assert_int_equal(n, left < 256 ? left : 256);
		assert_int_equal(item(n - 1)->n, w.held.n + n - 1);
		/* none twice while the writer has them */
		assert_true(fake_threads_advance(100));
		assert_int_equal(w.change_count, 1);
		left -= n;
		w.held.n += n;
		w.held_count = left;
		receive(RECEIPT_OK, true);
		assert_true(fake_threads_advance(20));
		portions++;
	}
	assert_int_equal(portions, 3);
	assert_int_equal(w.change_count, 0);
}

/* SendingDeferral: when it begins, once an hour, never for class system. */
static void
moves_are_told(void **state) /* delivery.md 10.2 */
{
	struct due *d = &dues[0];
	unsigned    told = 0, i;

	(void)state;
	for (i = 0; i < 5; i++) { /* at 0:00, 0:30 ... 2:00 */
		carrier_move(c, NULL, d, (struct wall){
		    loop_wall(loop).ms + HOUR / 2 });
		settle();
		assert_int_equal(item(0)->kind, CHANGE_MOVE);
		assert_int_equal(item(0)->next.ms - loop_wall(loop).ms,
		    HOUR / 2);
		told += item(0)->event != NULL;
		if (item(0)->event != NULL) {
			assert_int_equal(item(0)->event->delay_type,
			    DELAY_SENDING_DEFERRAL);
			assert_int_equal(item(0)->event->expires.ms,
			    w.row.expires.ms);
		}
		receive(RECEIPT_OK, true);
		assert_true(fake_threads_advance(HOUR / 2));
	}
	assert_int_equal(told, 3);
	/* an attempt ends it: the next one is told when it begins */
	attempt_ends(450);
	receive(RECEIPT_OK, true);
	carrier_move(c, NULL, d, loop_wall(loop));
	settle();
	assert_non_null(item(0)->event);
	receive(RECEIPT_OK, true);
	d->told.ms = 0;
	d->system = true;
	carrier_move(c, NULL, d, loop_wall(loop));
	settle();
	assert_null(item(0)->event);
	receive(RECEIPT_OK, true);
	/* never behind the end of its lifetime */
	carrier_move(c, NULL, d, (struct wall){ w.row.expires.ms + 1 });
	settle();
	assert_int_equal(item(0)->next.ms, w.row.expires.ms);
	receive(RECEIPT_OK, true);
	w.row.expires = loop_wall(loop);
	d->system = false;
	carrier_move(c, NULL, d, (struct wall){ w.row.expires.ms + 1 });
	settle();
	assert_int_equal(item(0)->event->type, EVENT_BOUNCE);
	receive(RECEIPT_OK, true);
	w.row_found = -1;
	carrier_move(c, NULL, d, (struct wall){ 0 });
	assert_int_equal(w.retried, 1);
}

/* One event for the bounces of a message, in the order of RCPT. */
static void
simulator_merges(void **state) /* simulator#9 (decision) */
{
	static const unsigned order[] = { 2, 0, 1 };
	const struct event   *ev;
	unsigned	      i;

	(void)state;
	w.row.address = BYTES("bounce@simulator.amazonses.com");
	for (i = 0; i < 3; i++) {
		dues[order[i]].id = dues[0].id;
		carrier_simulate(c, &dues[order[i]]);
	}
	carrier_simulate(c, &dues[5]); /* of another message */
	settle();
	assert_int_equal(w.change_count, 2);
	assert_int_equal(w.changes[0]->count + w.changes[1]->count, 4);
	ev = w.changes[0]->items[0].event;
	assert_int_equal(ev->recipient_count, 3);
	assert_true(ev->simulator);
	assert_int_equal(w.changes[0]->items[0].n, 1);
	assert_int_equal(w.changes[0]->items[2].n, 3);
	assert_null(w.changes[0]->items[1].event);
	assert_null(w.changes[0]->items[2].event);
	/* counted nowhere (simulator.md 4) */
	assert_int_equal(meter_get(&meters.failed), 0);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.dropped, 4);
}

static void
ends_when_all_is_written(void **state) /* delivery.md 13 */
{
	(void)state;
	attempt_ends(250);
	carrier_shut(c, on_idle, NULL);
	settle();
	assert_int_equal(w.idle, 0);
	receive(RECEIPT_OK, true);
	assert_int_equal(w.idle, 1);
	/* told once */
	carrier_check_idle(c);
	assert_int_equal(w.idle, 1);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(results_become_changes),
		TEST(suppressed_ones_are_settled),
		TEST(lists_are_asked_once),
		TEST(a_full_feed),
		TEST(rows_that_are_not_tried),
		TEST(held_by_its_set),
		TEST(hold_that_is_over),
		TEST(expired_while_it_waited),
		TEST(many_held_expire),
		TEST(moves_are_told),
		TEST(simulator_merges),
		TEST(ends_when_all_is_written),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

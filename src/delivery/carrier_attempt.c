/* SPDX-License-Identifier: ISC */
/* From the rows of the spool to attempts; holds, moves and expiry. */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "delivery/carrier_private.h"
#include "registry/account.h"
#include "registry/config_set.h"
#include "registry/suppression.h"

enum {
	ROW_ARENA = 64 * 1024,
	EXPIRY_SLACK_MS = MINUTE_MS,
	STORE_TROUBLE_MS = MINUTE_MS
};

/* -- holds and moves ------------------------------------------------------- */

static void
carrier_hold(struct carrier *c, struct due *d, uint8_t by)
{
	struct change_item *item;
	struct arena	   *arena;

	item = carrier_item(c, d, false, d->due, &arena);
	memset(item, 0, sizeof(*item));
	item->kind = CHANGE_HOLD;
	item->id = d->id;
	item->n = d->n;
	item->held_by = by;
}

static struct event *
carrier_deferral(struct carrier *c, const struct egress *eg, struct due *d,
    const struct recipient_row *row, struct arena *arena)
{
	struct event	       *ev = arena_alloc(arena, sizeof(*ev));
	struct event_recipient *to = arena_alloc(arena, sizeof(*to));

	(void)eg;
	must(ev != NULL && to != NULL);
	ev->type = EVENT_DELIVERY_DELAY;
	event_id_make(loop_wall(c->loop), &ev->id);
	ev->at = loop_wall(c->loop);
	ev->message = d->id;
	ev->delay_type = DELAY_SENDING_DEFERRAL;
	ev->expires = row->expires;
	ev->recipients = to;
	ev->recipient_count = 1;
	ev->attempts = row->attempts;
	to->address = arena_bytes(arena, row->address);
	to->status = BYTES("4.4.1");
	to->diagnostic =
	    BYTES("smtp; 421 4.4.1 Unable to connect to remote host");
	return ev;
}

/* When the deferral begins, and once an hour (delivery.md 10.2). */
static bool
carrier_must_tell(struct due *d, struct wall now)
{
	if (d->told.ms != 0 && now.ms - d->told.ms < HOUR_MS)
		return false;
	d->told = now;
	return true;
}

void
carrier_move(struct carrier *c, struct egress *eg, struct due *d,
    struct wall next)
{
	struct wall	     now = loop_wall(c->loop);
	struct recipient_row row;
	struct change_item  *item;
	struct arena	    *arena, *rows = arena_new(ROW_ARENA);
	struct err	     e;
	int		     found;

	found = spool_read_recipient(c->set.spool, &d->id, d->n, rows, &row,
	    &e);
	if (found != 1) {
		arena_free(rows);
		if (found == 0)
			scheduler_drop(c, d);
		else
			scheduler_retry(c, d, (struct wall){ now.ms +
			    STORE_TROUBLE_MS });
		return;
	}
	if (now.ms >= row.expires.ms) {
		carrier_expire(c, d, d->account, &row, d->system);
		arena_free(rows);
		return;
	}
	if (next.ms > row.expires.ms)
		next = row.expires;
	item = carrier_item(c, d, true, next, &arena);
	memset(item, 0, sizeof(*item));
	item->kind = CHANGE_MOVE;
	item->id = d->id;
	item->n = d->n;
	item->next = next;
	if (!d->system && carrier_must_tell(d, now))
		item->event = carrier_deferral(c, eg, d, &row, arena);
	arena_free(rows);
}

/* Where what is known of it stands; NULL = no room. */
static struct hold_view *
carrier_view(struct table *views, struct bytes id)
{
	struct hold_view *v = table_get(views, id);

	if (v != NULL)
		return v;
	v = mem_alloc(sizeof(*v));
	if (table_put(views, id, v))
		return v;
	mem_free(v);
	return NULL;
}

struct hold_view
carrier_view_account(struct carrier *c, const char *account)
{
	struct hold_view *v = carrier_view(c->accounts, bytes_of(account));
	uint64_t	  version = book_version(c->set.book);
	struct account	  a;
	struct db_txn	 *t;
	struct err	  e;
	int		  found = -1;

	must(v != NULL); /* accounts are few: no bound */
	if (v->version == version)
		return *v;
	t = book_read(c->set.book, &e);
	if (t != NULL)
		found = account_get(t, account, &a, &e);
	book_end(t);
	*v = (struct hold_view){ .version = found < 0 ? 0 : version };
	if (found == 1) {
		v->is_paused = !account_may_send(&a);
		v->reasons = suppression_reasons_of(&a);
	}
	return *v;
}

static void
carrier_read_set(struct carrier *c, const struct config_set_id *id,
    struct hold_view *v)
{
	struct suppression_question q;
	struct config_set	    s;
	struct db_txn		   *t;
	struct err		    e;
	int			    found = -1;

	*v = (struct hold_view){ .version = book_version(c->set.book) };
	t = book_read(c->set.book, &e);
	if (t != NULL)
		found = config_set_find(t, id, &s, &e);
	book_end(t);
	if (found < 0)
		v->version = 0;
	/* a set that was deleted holds nothing any more */
	if (found != 1)
		return;
	suppression_question_init(&q, c->conf, (struct wall){ 0 });
	suppression_take_set(&q, &s);
	v->is_paused = !s.sending;
	v->has_reasons = q.has_set;
	v->reasons = q.set_reasons;
}

struct hold_view
carrier_view_set(struct carrier *c, const struct config_set_id *id)
{
	struct hold_view  unknown = { .version = 0 }, *v;

	v = carrier_view(c->sets, (struct bytes){ (const char *)id->b,
	    sizeof(id->b) });
	if (v == NULL)
		v = &unknown;
	if (v->version == 0 || v->version != book_version(c->set.book))
		carrier_read_set(c, id, v);
	return *v;
}

uint8_t
carrier_holds(struct carrier *c, const char *account,
    const struct config_set_id *set)
{
	uint8_t by = 0;

	if (carrier_view_account(c, account).is_paused)
		by |= HELD_ACCOUNT;
	if (!config_set_id_is_none(set) && carrier_view_set(c, set).is_paused)
		by |= HELD_CONFIG_SET;
	return by;
}

/*
 * Its pause may have ended, and the release may have walked the held rows,
 * between the look at the book and the commit of the hold.
 */
void
carrier_check_hold(struct carrier *c, const struct due *d,
    const struct change_item *held)
{
	uint8_t over = held->held_by &
	    (uint8_t)~carrier_holds(c, d->account, &d->config_set);
	struct change_item *item;
	struct arena	   *arena;

	if (over == 0)
		return;
	item = carrier_item(c, NULL, false, d->due, &arena);
	memset(item, 0, sizeof(*item));
	item->kind = CHANGE_RELEASE;
	item->id = d->id;
	item->n = d->n;
	item->held_by = over;
}

/* -- attempts -------------------------------------------------------------- */

void
carrier_expire(struct carrier *c, struct due *d, const char *account,
    const struct recipient_row *row, bool system)
{
	struct outcome_context	ctx;
	struct attempt	       *a = attempt_new();
	struct pending	       *p;
	struct attempt_envelope en;
	struct change_item     *item;
	struct outcome		o;
	struct arena	       *arena;

	memset(&en, 0, sizeof(en));
	en.n = row->n;
	en.address = row->address;
	en.expires = row->expires;
	en.attempts = row->attempts;
	bytes_text(row->last_remote, en.result.remote_ip,
	    sizeof(en.result.remote_ip));
	a->id = row->id;
	a->accepted = msgid_time(&row->id);
	a->queued = loop_wall(c->loop);
	a->message.system = system;
	carrier_context(c, NULL, "", &ctx); /* no other source */
	outcome_expire(&ctx, row, &o);
	item = carrier_item(c, d, false, o.next, &arena);
	p = &c->batch->pending[c->batch->count - 1];
	p->page = ledger_page(c->set.ledger, account);
	must(outcome_fill(&ctx, a, &en, &o, arena, item));
	carrier_mark_simulated(item, row->simulator);
	carrier_log(c, NULL, a, &en, &o);
	carrier_meter(c, NULL, a, &o, &en.result);
	attempt_free(a);
}

/* 1 = may be tried, row filled; 0 = taken care of */
static int
carrier_read_row(struct carrier *c, struct due *d, struct arena *arena,
    struct recipient_row *row)
{
	struct wall    now = loop_wall(c->loop);
	struct err     e;
	uint8_t	       held_by;
	int found = spool_read_recipient(c->set.spool, &d->id, d->n, arena,
	    row, &e);

	if (found < 0) {
		log_error("spool-read", "reason=\"%s\"", e.text);
		scheduler_retry(c, d, (struct wall){ now.ms +
		    STORE_TROUBLE_MS });
		return 0;
	}
	if (found == 0 || row->state == ENVELOPE_HELD) {
		scheduler_drop(c, d);
		return 0;
	}
	if (now.ms > row->expires.ms + EXPIRY_SLACK_MS) {
		carrier_expire(c, d, d->account, row, d->system);
		return 0;
	}
	held_by = d->system ? 0 :
		carrier_holds(c, d->account, &d->config_set);
	if (held_by != 0) {
		carrier_hold(c, d, held_by);
		return 0;
	}
	return !d->simulator && carrier_refuses(c, d, row) ? 0 : 1;
}

static struct bytes
carrier_sender(struct carrier *c, struct attempt *a, unsigned n)
{
	char	 mid[MSGID_TEXT + 1];
	unsigned index;

	if (a->message.mail_from_domain.n == 0)
		return BYTES("");
	index = c->conf->mail_from.verp == CONF_VERP_MESSAGE ? 0 : n;
	msgid_to_text(&a->id, c->conf->server.id_prefix, index, mid);
	return bytes_of(arena_printf(a->arena, "%s@%.*s", mid,
	    (int)a->message.mail_from_domain.n,
	    a->message.mail_from_domain.p));
}

static void
carrier_add_envelope(struct attempt *a, struct due *d,
    const struct recipient_row *row)
{
	struct attempt_envelope *en = &a->envelopes[a->count++];

	en->n = d->n;
	en->address = row->address;
	en->attempts = row->attempts;
	en->expires = row->expires;
	en->first_attempt = row->first_attempt;
	en->flags = row->flags;
	en->notify = row->notify;
	en->orcpt = row->orcpt;
}

/*
 * What has waited may have left the page cache: a worker touches its pages
 * while MAIL and RCPT go to and fro, so that this loop need not wait for the
 * disk.  Without a free worker it does.
 */
struct warming {
	struct job	job;
	struct carrier *carrier;
	uint64_t	content;
};
enum { WARMINGS_MAX = 16 }; /* operators' jobs wait behind them */

static void
warming_run(struct job *j)
{
	struct warming *w = (struct warming *)(void *)j;

	spool_warm(w->carrier->set.spool, w->content);
}

static void
warming_done(void *job, void *unused)
{
	struct warming *w = job;

	(void)unused;
	w->carrier->warmings--;
	mem_free(w);
}

static void
carrier_warm(struct carrier *c, uint64_t content)
{
	struct warming *w;

	if (c->set.workers == NULL || c->warmings == WARMINGS_MAX)
		return;
	w = mem_alloc(sizeof(*w));
	w->job.asker = c->loop;
	w->job.run = warming_run;
	w->job.done = warming_done;
	w->carrier = c;
	w->content = content;
	if (workers_post(c->set.workers, &w->job))
		c->warmings++;
	else
		mem_free(w);
}

struct attempt *
carrier_make_attempt(struct carrier *c, struct due **dues)
{
	struct recipient_row row;
	struct attempt	    *a = attempt_new();
	struct due	    *d, *next, **last = dues, *head = *dues;
	struct err	     e;
	unsigned	     n = 0;
	bool		     has_waited = false;
	int		     found;

	for (d = head; d != NULL; d = d->next)
		n++;
	a->id = head->id;
	a->accepted = msgid_time(&head->id);
	a->queued = head->due;
	a->begun = loop_now(c->loop);
	a->envelopes = arena_alloc(a->arena, n * sizeof(*a->envelopes));
	must(a->envelopes != NULL);
	found = spool_read_message(c->set.spool, &a->id, a->arena,
	    &a->message, &e);
	*dues = NULL;
	for (d = head; d != NULL; d = next) {
		next = d->next;
		d->next = NULL;
		if (found == 0) {
			scheduler_drop(c, d);
		} else if (found < 0) {
			log_error("spool-read", "reason=\"%s\"", e.text);
			scheduler_retry(c, d, (struct wall){
			    loop_wall(c->loop).ms + STORE_TROUBLE_MS });
		} else if (carrier_read_row(c, d, a->arena, &row) == 1) {
			carrier_add_envelope(a, d, &row);
			has_waited = has_waited || row.attempts > 0;
			d->place = DUE_FLYING;
			d->told.ms = 0;
			*last = d;
			last = &d->next;
		}
	}
	if (a->count == 0) {
		attempt_free(a);
		return NULL;
	}
	if (has_waited)
		carrier_warm(c, a->message.content);
	a->sender = carrier_sender(c, a, a->envelopes[0].n);
	return a;
}


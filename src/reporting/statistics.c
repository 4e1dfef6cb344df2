/* SPDX-License-Identifier: ISC */
#include "reporting/statistics.h"

#include <string.h>

#include "base/ascii.h"
#include "base/log.h"
#include "reporting/statistics_private.h"

enum { MINUTE_MS = 60 * 1000, HOUR_MS = 60 * MINUTE_MS };
enum { MARK_BOUNCE = 'B', MARK_COMPLAINT = 'C', MARK_OPEN = 'O',
	MARK_CLICK = 'K' };

/* Somebody who waits until all is in the store. */
struct waiter {
	struct waiter *next;
	loop_fn	      *fn;
	void	      *arg;
};

static enum publisher_answer statistics_on_event(void *arg, uint64_t sequence,
    const struct event *ev);
static void statistics_on_minute(void *arg, void *unused);
static bool statistics_is_full(void *arg);

/* -- life ------------------------------------------------------------------ */

struct statistics *
statistics_new(const struct statistics_setup *setup)
{
	struct statistics     *s = mem_alloc(sizeof(*s));
	struct publisher_setup p = { .loop = setup->loop,
		.spool = setup->spool, .cursor = STATISTICS_CURSOR,
		.show = statistics_on_event, .moving = statistics_on_moving,
		.also = statistics_also, .moved = statistics_on_moved,
		.lazy_events = STATISTICS_EVENTS, .full = statistics_is_full,
		.arg = s };

	s->setup = *setup;
	s->setup.conf = conf_ref(setup->conf);
	s->senders = table_new(0);
	s->own = table_new(0);
	s->hosts = table_new(0);
	s->counts = table_new(0);
	s->rows = table_new(0);
	s->marked = table_new(0);
	s->throttled = table_new(0);
	s->commands = table_new(0);
	s->changed = table_new(0);
	s->domains = table_new(0);
	s->publisher = publisher_new(&p);
	timer_init(&s->minute, setup->loop, statistics_on_minute, s);
	return s;
}

void
statistics_free(struct statistics *s)
{
	struct waiter *w;

	if (s == NULL)
		return;
	timer_clear(&s->minute);
	publisher_free(s->publisher);
	while ((w = s->waiters) != NULL) {
		s->waiters = w->next;
		mem_free(w);
	}
	statistics_free_rows(s);
	statistics_free_facts(s);
	conf_unref(s->setup.conf);
	mem_free(s);
}

void
statistics_reload(struct statistics *s, struct conf *conf)
{
	uint32_t i;

	for (i = 0; i < s->sender_count; i++)
		s->sender_of[i]->read.ms = 0; /* levels may be on now */
	conf_unref(s->setup.conf);
	s->setup.conf = conf_ref(conf);
	statistics_forget_groups(s); /* they may have other names */
}

void
statistics_wake(struct statistics *s)
{
	if (!timer_is_set(&s->minute))
		timer_set(&s->minute, MINUTE_MS);
	publisher_wake(s->publisher);
}

static void
statistics_on_minute(void *arg, void *unused)
{
	struct statistics *s = arg;

	bool throttled = statistics_has_throttled(s);

	(void)unused;
	timer_set(&s->minute, throttled ? MINUTE_MS : HOUR_MS);
	if (throttled)
		publisher_touch(s->publisher);
}

static bool
statistics_is_full(void *arg)
{
	const struct statistics *s = arg;

	return table_count(s->counts) >= STATISTICS_COUNTS ||
	    s->mark_count >= STATISTICS_COUNTS;
}

void
statistics_stop(struct statistics *s, loop_fn *on_idle, void *arg)
{
	timer_clear(&s->minute);
	publisher_stop(s->publisher, on_idle, arg);
}

/* -- who waits ------------------------------------------------------------- */

static void statistics_on_sync(void *arg, void *unused);

static void
statistics_begin_sync(struct statistics *s)
{
	if (s->is_syncing || s->waiters == NULL)
		return;
	s->is_syncing = true;
	if (statistics_has_throttled(s))
		publisher_touch(s->publisher);
	publisher_sync(s->publisher, statistics_on_sync, s);
}

static void
statistics_on_sync(void *arg, void *unused)
{
	struct statistics *s = arg;
	struct waiter	  *w, *list = s->waiters;

	(void)unused;
	s->waiters = NULL;
	s->is_syncing = false;
	while ((w = list) != NULL) {
		list = w->next;
		w->fn(w->arg, NULL);
		mem_free(w);
	}
	statistics_begin_sync(s); /* those who came meanwhile */
}

void
statistics_sync(struct statistics *s, loop_fn *fn, void *arg)
{
	struct waiter *w = mem_alloc(sizeof(*w));

	w->fn = fn;
	w->arg = arg;
	w->next = s->waiters;
	s->waiters = w;
	statistics_begin_sync(s);
}

/* -- what is counted once -------------------------------------------------- */

/* FNV-1a without regard to case: the same in every process. */
static uint64_t
hash_add(uint64_t h, struct bytes a)
{
	size_t i;

	for (i = 0; i < a.n; i++)
		h = (h ^ (unsigned char)ascii_lower(a.p[i])) *
		    UINT64_C(1099511628211);
	return (h ^ 0xff) * UINT64_C(1099511628211);
}

static uint64_t
hash_recipients(const struct event *ev)
{
	uint64_t sum = 0;
	size_t	 i;

	for (i = 0; i < ev->recipient_count; i++)
		sum += hash_add(UINT64_C(14695981039346656037),
		    ev->recipients[i].address);
	return sum;
}

/* true = not counted yet: it is now. */
static bool
count_once(struct statistics *s, const struct msgid *id, uint8_t what,
    uint64_t whom)
{
	struct statistic_mark m;
	struct bytes	      key = { (const char *)&m, sizeof(m) };
	struct err	      e;
	int		      rc;

	memset(&m, 0, sizeof(m));
	m.id = *id;
	m.what = what;
	m.whom = whom;
	if (table_get(s->marked, key) != NULL)
		return false;
	rc = statistic_has_mark(s->setup.spool, &m, &e);
	if (rc != 0) {
		if (rc < 0)
			log_error("statistics-failed", "reason=\"%s\"",
			    e.text);
		return false;
	}
	if (s->mark_count == s->mark_cap) {
		s->mark_cap = s->mark_cap * 2 + 64;
		s->marks = mem_realloc(s->marks,
		    s->mark_cap * sizeof(*s->marks));
	}
	s->marks[s->mark_count++] = m;
	must(table_put(s->marked, key, s));
	return true;
}

/* -- which event counts for what ------------------------------------------- */

struct booking {
	struct statistics  *s;
	const struct event *ev;
	const struct facts *f;
	struct count_key    key;
};

static struct statistic *
booking_open(struct booking *b, uint32_t provider)
{
	b->key.provider = provider;
	return &statistics_count(b->s, &b->key)->v;
}

static void
book_send(struct booking *b)
{
	const struct facts *f = b->f;
	struct statistic   *v = booking_open(b, NAME_NONE);
	int64_t		    n = (int64_t)(f->recipients - f->simulated);

	v->n[COUNT_SENDS] += n;
	v->n[COUNT_SIMULATOR] += (int64_t)f->simulated;
	v->n[COUNT_BASE] += n - (int64_t)f->own;
}

/* Taken back from the base: it was none of what the rates are of. */
static void
book_excluded(struct booking *b, bool is_own)
{
	if (!is_own)
		booking_open(b, NAME_NONE)->n[COUNT_BASE]--;
}

/* Automatic replies come as Bounces of which only the address is known; a
 * returned mail without a report has the rule that judged its text. */
static bool
is_auto_reply(const struct event *ev, const struct event_recipient *to)
{
	return ev->bounce_type == BOUNCE_TRANSIENT && to->action.n == 0 &&
	    ev->rule.n == 0;
}

static bool
is_spam(const struct event *ev, const struct event_recipient *to)
{
	static const char *const words[] = { "spam", "junk", "unsolicited",
		"bulk mail" };
	size_t i;

	if (ev->rule.n > 0 && ev->rule.p[0] == 'B')
		return true;
	for (i = 0; i < 4 && bytes_eq_text(ev->rule, "C2"); i++)
		if (bytes_find_nocase(to->diagnostic, bytes_of(words[i])) >=
		    0)
			return true;
	return false;
}

static void
book_permanent(const struct event *ev, bool is_own, struct statistic *v)
{
	if (ev->bounce_subtype == BOUNCE_SUB_ON_ACCOUNT_LIST) {
		v->n[COUNT_SUPPRESSED]++;
		return;
	}
	if (ev->bounce_subtype == BOUNCE_SUB_UNSUBSCRIBED) {
		v->n[COUNT_UNSUBSCRIBED]++;
		return;
	}
	if (is_own)
		return;
	v->n[COUNT_BOUNCES]++;
	if (bounce_counts(ev->bounce_type, ev->bounce_subtype))
		v->n[COUNT_HARD]++;
}

static void
book_bounced(struct booking *b, const struct event_recipient *to)
{
	const struct event *ev = b->ev;
	bool is_own = statistics_is_own(b->s, b->f->sender->account,
	    to->address);
	bool is_listed = ev->bounce_type == BOUNCE_PERMANENT &&
	    (ev->bounce_subtype == BOUNCE_SUB_ON_ACCOUNT_LIST ||
		ev->bounce_subtype == BOUNCE_SUB_UNSUBSCRIBED);
	struct statistic *v;

	if (is_auto_reply(ev, to) || !count_once(b->s, &ev->message,
		MARK_BOUNCE, hash_add(0, to->address)))
		return;
	if (is_listed)
		book_excluded(b, is_own);
	v = booking_open(b, statistics_provider(b->s, to->address,
	    ev->remote_host));
	/* a report comes after a delivery, which has ended it */
	if (ev->attempts > 0 && !is_listed)
		v->n[COUNT_ENDED]++;
	if (ev->bounce_type == BOUNCE_PERMANENT)
		book_permanent(ev, is_own, v);
	else if (ev->bounce_type == BOUNCE_TRANSIENT)
		v->n[COUNT_TRANSIENT]++;
	else
		v->n[COUNT_UNDETERMINED]++;
	if (ev->bounce_type == BOUNCE_PERMANENT &&
	    (ev->bounce_subtype == BOUNCE_SUB_GENERAL ||
		ev->bounce_subtype == BOUNCE_SUB_NO_EMAIL))
		v->n[COUNT_INVALID]++;
	if (is_spam(ev, to))
		v->n[COUNT_SPAM]++;
	if (bytes_eq_text(ev->rule, "P1"))
		v->n[COUNT_AUTHENTICATION]++;
}

static void
book_delivered(struct booking *b, const struct event_recipient *to)
{
	struct statistic *v = booking_open(b, statistics_provider(b->s,
	    to->address, b->ev->remote_host));

	v->n[COUNT_DELIVERIES]++;
	v->n[COUNT_ENDED]++;
	if (!statistics_is_own(b->s, b->f->sender->account, to->address))
		v->n[COUNT_REACHED]++;
}

/* One report is one complaint, whoever of its recipients it was. */
static void
book_complaint(struct booking *b)
{
	const struct event *ev = b->ev;
	const struct event_recipient *to = &ev->recipients[0];

	if (ev->on_account_list) {
		if (!count_once(b->s, &ev->message, MARK_BOUNCE,
			hash_add(0, to->address)))
			return;
		book_excluded(b, statistics_is_own(b->s,
		    b->f->sender->account, to->address));
		booking_open(b, statistics_provider(b->s, to->address,
		    BYTES("")))->n[COUNT_SUPPRESSED]++;
	}
	if (!event_complaint_counts(ev) || !count_once(b->s, &ev->message,
		MARK_COMPLAINT, hash_recipients(ev)))
		return;
	booking_open(b, statistics_provider(b->s, to->address, BYTES("")))
	    ->n[COUNT_COMPLAINTS]++;
}

static void
book_seen(struct booking *b, enum statistic_counter all,
    enum statistic_counter once, uint8_t what)
{
	struct bytes to = b->ev->recipient_count > 0
	    ? b->ev->recipients[0].address : BYTES("");
	struct statistic *v = booking_open(b, to.n == 0 ? NAME_NONE :
	    statistics_provider(b->s, to, BYTES("")));

	v->n[all]++;
	if (count_once(b->s, &b->ev->message, what, hash_recipients(b->ev)))
		v->n[once]++;
}

static void
book_each(struct booking *b,
    void (*fn)(struct booking *b, const struct event_recipient *to))
{
	size_t i;

	for (i = 0; i < b->ev->recipient_count; i++)
		if (!statistics_is_simulated(b->s,
			b->ev->recipients[i].address))
			fn(b, &b->ev->recipients[i]);
}

static void
book_delayed(struct booking *b, const struct event_recipient *to)
{
	booking_open(b, statistics_provider(b->s, to->address,
	    BYTES("")))->n[COUNT_DELAYS]++;
}

/* The whole message, but what goes to the simulator. */
static void
book_rejected(struct booking *b)
{
	struct statistic *v = booking_open(b, NAME_NONE);
	int64_t n = (int64_t)(b->f->recipients - b->f->simulated);

	v->n[COUNT_REJECTS] += n;
	v->n[COUNT_BASE] -= n - (int64_t)b->f->own;
}

static void
book_event(struct booking *b)
{
	const struct event *ev = b->ev;

	if (ev->simulator)
		return;
	switch (ev->type) {
	case EVENT_SEND:
		book_send(b);
		break;
	case EVENT_REJECT:
		book_rejected(b);
		break;
	case EVENT_DELIVERY:
		book_each(b, book_delivered);
		break;
	case EVENT_BOUNCE:
		book_each(b, book_bounced);
		break;
	case EVENT_COMPLAINT:
		if (ev->recipient_count > 0 && !statistics_is_simulated(b->s,
			ev->recipients[0].address))
			book_complaint(b);
		break;
	case EVENT_DELIVERY_DELAY:
		book_each(b, book_delayed);
		break;
	case EVENT_OPEN:
		book_seen(b, COUNT_OPENS, COUNT_OPENED, MARK_OPEN);
		break;
	case EVENT_CLICK:
		book_seen(b, COUNT_CLICKS, COUNT_CLICKED, MARK_CLICK);
		break;
	case EVENT_RENDERING_FAILURE:
		booking_open(b, NAME_NONE)->n[COUNT_RENDERING]++;
		break;
	case EVENT_SUBSCRIPTION:
		booking_open(b, NAME_NONE)->n[COUNT_SUBSCRIPTIONS]++;
		break;
	}
}

/* Sent in the hour of a fresh start, and not before it. */
static bool
is_fresh(const struct msgid *id, struct wall start)
{
	int64_t at = msgid_time(id).ms;

	return at >= start.ms &&
	    at / STATISTIC_HOUR_MS == start.ms / STATISTIC_HOUR_MS;
}

static enum publisher_answer
statistics_on_event(void *arg, uint64_t sequence, const struct event *ev)
{
	struct statistics *s = arg;
	struct booking	   b = { .s = s, .ev = ev };
	struct facts	  *f;
	int		   rc;

	(void)sequence;
	rc = statistics_find(s, &ev->message, &f);
	if (rc < 0)
		return PUBLISHER_AGAIN;
	if (rc == 0 || f->is_system)
		return PUBLISHER_NEXT;
	b.f = f;
	b.key.sender = f->sender->number;
	/* of what came back it is not always known */
	b.key.source = names_number(&s->sources, ev->from_report ?
		BYTES("") : ev->outgoing_ip, false);
	b.key.quarter = (uint32_t)(ev->at.ms / STATISTIC_QUARTER_MS);
	b.key.hour = (uint32_t)(msgid_time(&ev->message).ms /
	    STATISTIC_HOUR_MS);
	statistics_look_fresh(s, f->sender);
	b.key.account_fresh = is_fresh(&ev->message, f->sender->account_start);
	b.key.set_fresh = is_fresh(&ev->message, f->sender->set_start);
	b.key.single = f->recipients == 1 && !f->sender->is_delegate;
	book_event(&b);
	return PUBLISHER_NEXT;
}

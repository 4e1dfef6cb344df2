/* SPDX-License-Identifier: ISC */
#include "reporting/outbox.h"

#include <string.h>

#include "base/log.h"
#include "registry/notification.h"
#include "reporting/outbox_private.h"
#include "reporting/series.h"

enum { CUT_MS = 3000 /* for answers of webhooks, at the end */ };

static void outbox_on_timer(void *outbox, void *unused);
static void outbox_on_walk(void *reading, void *unused);
static void outbox_on_own(void *reading, void *unused);

/* -- life ------------------------------------------------------------------ */

struct outbox *
outbox_new(const struct outbox_setup *s)
{
	struct outbox *o = mem_alloc(sizeof(*o));

	o->setup = *s;
	o->setup.conf = conf_ref(s->conf);
	o->by_id = table_new(0);
	o->busy_end = &o->busy;
	timer_init(&o->timer, s->loop, outbox_on_timer, o);
	return o;
}

void
outbox_free(struct outbox *o)
{
	struct outlet *x;

	if (o == NULL)
		return;
	timer_clear(&o->timer);
	outbox_calls_free(o);
	while ((x = o->first) != NULL) {
		o->first = x->next;
		outlet_wipe(x);
		mem_free(x);
	}
	table_free(o->by_id);
	routes_unref(o->routes);
	conf_unref(o->setup.conf);
	mem_free(o);
}

void
outbox_reload(struct outbox *o, struct conf *conf)
{
	conf_unref(o->setup.conf);
	o->setup.conf = conf_ref(conf);
}

/* -- the destinations ------------------------------------------------------ */

static struct bytes
id_key(const struct destination_id *id)
{
	return (struct bytes){ (const char *)id->b, sizeof(id->b) };
}

struct outlet *
outbox_find(struct outbox *o, const struct destination_id *id)
{
	return table_get(o->by_id, id_key(id));
}

void
outbox_wants(struct outbox *o, struct outlet *x)
{
	if (x->is_busy)
		return;
	x->is_busy = true;
	x->next_busy = NULL;
	*o->busy_end = x;
	o->busy_end = &x->next_busy;
	outbox_meet_meter(o, x);
}

static void
outlet_rewind(struct outbox *o, struct outlet *x, struct wall since)
{
	uint64_t first = spool_first_event_since(o->setup.spool, since);
	uint64_t from = first > 0 ? first - 1 : 0;

	if (x->read < o->walked)
		x->read = o->walked;
	if (from >= o->walked)
		return;
	x->read = x->counted = from;
	x->lags = true;
	x->is_counted = false;
	outbox_wants(o, x);
}

/* Some of what they have had since then comes twice. */
void
outbox_rewind_topic(struct outbox *o, const struct topic_ref *topic,
    struct wall since)
{
	struct outlet *x;

	loop_must_own(o->setup.loop);
	for (x = o->first; x != NULL; x = x->next)
		if (destination_is_subscription(&x->d) && x->has_begun &&
		    !x->lags && topic_ref_eq(&x->d.topic, topic))
			outlet_rewind(o, x, since);
}

/* Events since then may have gone by without it. */
static void
outlet_go_back(struct outbox *o, struct outlet *x, struct wall since)
{
	if (x->d.kind == DESTINATION_TOPIC)
		outbox_rewind_topic(o, &x->d.topic, since);
	else
		outlet_rewind(o, x, since);
}

/* Where it was: in an earlier life, or when it was made just now. */
static void
outlet_begin(struct outbox *o, struct outlet *x)
{
	x->has_begun = true;
	x->saved = x->d.kind == DESTINATION_TOPIC ? 0 :
		spool_cursor(o->setup.spool, x->cursor);
	if (x->saved == 0) {
		if (o->looked)
			outlet_go_back(o, x, x->d.created);
		return;
	}
	outbox_wants(o, x);
	x->read = x->counted = x->saved;
	x->lags = true;
	x->is_counted = false;
}

/* What waits for it goes to the topic, which reads it for itself. */
static void
outlet_become_topic(struct outbox *o, struct outlet *x,
    const struct topic_ref *topic)
{
	if (x->first != NULL)
		outbox_rewind_topic(o, topic,
		    event_id_time(&x->first->event));
	else if (x->lags)
		outbox_rewind_topic(o, topic, x->d.created);
	(void)outlet_purge(x, o->walked);
	x->unsynced = 0;
}

static bool
outbox_on_destination(void *outbox, const struct destination *d)
{
	struct outbox *o = outbox;
	struct outlet *x = outbox_find(o, &d->id);
	bool	       was_enabled;

	if (x == NULL) {
		x = mem_alloc(sizeof(*x));
		outlet_init(x, d);
		x->next = o->first;
		o->first = x;
		(void)table_put(o->by_id, id_key(&d->id), x);
		x->found = true;
		return true;
	}
	was_enabled = x->d.enabled;
	x->found = true;
	if (d->kind == DESTINATION_TOPIC && x->d.kind != DESTINATION_TOPIC)
		outlet_become_topic(o, x, &d->topic);
	x->d = *d;
	if (d->kind != DESTINATION_FILE)
		x->unsynced = 0; /* nobody syncs what was its file */
	if (was_enabled || !d->enabled)
		return true;
	/* it was enabled: perhaps the walk has passed events meanwhile */
	x->failures = x->refused = 0;
	x->again.ms = 0;
	if (!x->lags && o->has_begun)
		outlet_go_back(o, x, d->gap_to);
	return true;
}

/* It named a topic, and is gone. */
static void
outbox_forget_via(struct outbox *o, const struct destination_id *via)
{
	struct outlet *x;
	struct entry  *e, *next;

	for (x = o->first; x != NULL; x = x->next) {
		for (e = x->first; e != NULL; e = next) {
			next = e->next;
			if (memcmp(e->key.way.via.b, via->b,
				sizeof(via->b)) == 0)
				outlet_drop(x, e);
		}
		outlet_show(x);
	}
}

/* Those that are gone take their cursors along: nothing waits for them. */
static void
outbox_forget(struct outbox *o)
{
	struct outlet **p = &o->first, *x;

	o->busy = NULL;
	o->busy_end = &o->busy;
	while ((x = *p) != NULL) {
		x->is_busy = false;
		if (x->found) {
			p = &x->next;
			if (!outlet_is_idle(x))
				outbox_wants(o, x);
			continue;
		}
		*p = x->next;
		if (x->saved != 0)
			(void)spool_move_cursor(o->setup.spool, x->cursor,
			    SPOOL_CURSOR_GONE);
		if (x->meter != NULL) {
			meter_set(&x->meter->entries, 0);
			meter_set(&x->meter->oldest_ms, 0);
		}
		if (x->d.kind == DESTINATION_METRICS)
			series_forget(o->setup.series, &x->d);
		if (x->d.kind == DESTINATION_TOPIC)
			outbox_forget_via(o, &x->d.id);
		(void)table_take(o->by_id, id_key(&x->d.id));
		outlet_wipe(x);
		mem_free(x);
	}
}

/* The rows of destinations that were deleted while nobody looked. */
static void
outbox_on_cursor(void *outbox, struct bytes name, uint64_t at)
{
	struct outbox	     *o = outbox;
	struct destination_id id;
	struct bytes	      hex = bytes_from(name, strlen(OUTBOX_CURSOR));
	char		      text[DESTINATION_CURSOR_SIZE];

	(void)at;
	if (hex.n != 2 * sizeof(id.b) ||
	    !hex_decode(hex, id.b, sizeof(id.b)) || outbox_find(o, &id))
		return;
	(void)spool_move_cursor(o->setup.spool,
	    destination_cursor(&id, text), SPOOL_CURSOR_GONE);
}

/* The walk goes on where it was, or begins with the oldest destination. */
static void
outbox_begin(struct outbox *o)
{
	struct wall    oldest = { INT64_MAX };
	struct outlet *x;
	struct err     e;
	uint64_t       first;

	o->saved = o->walked = spool_cursor(o->setup.spool, OUTBOX_CURSOR);
	for (x = o->first; x != NULL; x = x->next)
		if (x->d.created.ms < oldest.ms)
			oldest = x->d.created;
	first = spool_first_event_since(o->setup.spool, oldest);
	if (first > 0 && first - 1 > o->walked)
		o->walked = first - 1;
	for (x = o->first; x != NULL; x = x->next)
		outlet_begin(o, x);
	if (!o->has_begun && spool_each_cursor(o->setup.spool, OUTBOX_CURSOR,
		outbox_on_cursor, o, &e) < 0)
		log_error("cursors-unreadable", "reason=\"%s\"", e.text);
	o->has_begun = true;
}

static bool
outbox_on_topic(void *routes, const struct topic *x)
{
	routes_add_topic(routes, x);
	return true;
}

static bool
outbox_on_notification(void *routes, const struct notification *n)
{
	(void)n;
	routes_set_notifies(routes);
	return false; /* one is enough */
}

static void
outbox_route(struct outbox *o, struct routes *routes)
{
	struct outlet *x;

	routes_unref(o->routes);
	o->routes = routes;
	for (x = o->first; x != NULL; x = x->next)
		routes_add(o->routes, &x->d);
	routes_seal(o->routes);
}

/* New ones: where do they begin? */
static void
outbox_meet(struct outbox *o)
{
	struct outlet *x;

	if (o->first == NULL) {
		/* nobody holds up the sweep */
		if (o->has_begun && o->saved != 0)
			(void)spool_move_cursor(o->setup.spool, OUTBOX_CURSOR,
			    SPOOL_CURSOR_GONE);
		o->saved = 0;
		o->has_begun = o->looked = false;
		return;
	}
	if (!o->has_begun) {
		outbox_begin(o);
		return;
	}
	for (x = o->first; x != NULL; x = x->next)
		if (!x->has_begun)
			outlet_begin(o, x);
}

static int
outbox_read_book(struct outbox *o, struct routes *routes, struct err *e)
{
	struct db_txn *t = book_read(o->setup.book, e);
	int	       rc = -1;

	if (t != NULL)
		rc = destination_each(t, NULL, outbox_on_destination, o, e);
	if (rc == 0)
		rc = topic_each(t, NULL, outbox_on_topic, routes, e);
	if (rc == 0)
		rc = notification_each(t, NULL, outbox_on_notification,
		    routes, e);
	book_end(t);
	return rc;
}

void
outbox_look(struct outbox *o)
{
	uint64_t       version = book_version(o->setup.book);
	struct routes *routes;
	struct outlet *x;
	struct err     e;

	if (o->routes != NULL && version == o->version)
		return;
	for (x = o->first; x != NULL; x = x->next)
		x->found = false;
	routes = routes_new();
	if (outbox_read_book(o, routes, &e) < 0) {
		routes_unref(routes);
		log_error("destinations-unreadable", "reason=\"%s\"", e.text);
		return; /* with those that are known */
	}
	o->version = version;
	outbox_forget(o);
	outbox_meet(o);
	outbox_route(o, routes);
	o->looked = o->first != NULL;
}

/* -- the walk -------------------------------------------------------------- */

static void
outbox_hand_out(struct outbox *o, const struct reading *r)
{
	struct outlet *x;
	size_t	       i;

	for (i = 0; i < r->hit_count; i++) {
		x = outbox_find(o, &r->hits[i].id);
		if (x == NULL)
			continue; /* deleted meanwhile */
		outbox_wants(o, x);
		if (outlet_hear(x, &r->hits[i],
			o->setup.conf->events.outbox_max_bytes) ==
		    OUTLET_DROPPED)
			outbox_dropped(x);
		outlet_show(x);
	}
}

static void
outbox_on_walk(void *reading, void *unused)
{
	struct reading *r = reading;
	struct outbox  *o = r->outbox;
	char		quoted[LOG_QUOTE_SIZE];

	(void)unused;
	o->walk = NULL;
	outbox_hand_out(o, r);
	if (r->at > o->walked) {
		if (o->walked == o->saved)
			o->since = loop_now(o->setup.loop);
		o->walked = r->at;
	}
	o->more = o->more || r->seen > 0;
	if (r->failed)
		log_error("events-unreadable", "cursor=" OUTBOX_CURSOR
		    " reason=%s", log_quote(bytes_of(r->err.text), quoted));
	o->no_worker |= r->failed; /* again in a while */
	o->more |= r->failed;
	reading_free(r);
	outbox_go(o);
}

/* -- one that reads for itself --------------------------------------------- */

static void
outlet_counted(struct outbox *o, struct outlet *x, const struct reading *r)
{
	size_t i;

	if (x->is_counted)
		return; /* purged meanwhile */
	/* what is behind the walk it will hear of */
	for (i = 0; i < r->hit_count; i++)
		if (r->hits[i].sequence <= o->walked)
			outlet_count(x, &r->hits[i]);
	x->counted = r->at < o->walked ? r->at : o->walked;
	x->is_counted = r->seen == 0 || x->counted >= o->walked;
}

static void
outlet_replayed(struct outbox *o, struct outlet *x, const struct reading *r)
{
	size_t i;

	(void)o;
	if (x->replay == 0)
		return; /* purged meanwhile */
	for (i = 0; i < r->hit_count; i++)
		if (r->hits[i].sequence <= x->replay_end)
			outlet_repeat(x, &r->hits[i]);
	x->replay = r->seen == 0 || r->at >= x->replay_end ? 0 : r->at + 1;
}

static void
outbox_on_own(void *reading, void *unused)
{
	struct reading *r = reading;
	struct outbox  *o = r->outbox;
	struct outlet  *x = outbox_find(o, &r->id);
	char		quoted[LOG_QUOTE_SIZE];
	size_t		i;

	(void)unused;
	o->own = NULL;
	if (r->failed)
		log_error("events-unreadable", "destination=%s reason=%s",
		    x != NULL ? x->d.name : "",
		    log_quote(bytes_of(r->err.text), quoted));
	o->no_worker |= r->failed;
	if (x != NULL && !r->failed) {
		if (r->kind == READING_COUNT) {
			outlet_counted(o, x, r);
		} else if (r->kind == READING_REPLAY) {
			outlet_replayed(o, x, r);
		} else {
			for (i = 0; i < r->hit_count; i++)
				(void)outlet_take(x, &r->hits[i]);
			outlet_caught_up(x, r->seen == 0 ? o->walked : r->at,
			    o->walked);
		}
		outlet_show(x);
	}
	reading_free(r);
	outbox_go(o);
}

/* Not for the last few: half of its room at once. */
static bool
outlet_may_read(const struct outlet *x)
{
	return outlet_room(x) >= OUTLET_ENTRIES / 2;
}

static void
outbox_read_own(struct outbox *o, struct outlet *x)
{
	enum reading_kind kind;

	if (o->own != NULL || o->no_worker || (!x->lags && x->replay == 0))
		return;
	if (x->lags && !x->is_counted)
		kind = READING_COUNT;
	else if (!outlet_may_read(x))
		return;
	else
		kind = x->lags ? READING_OWN : READING_REPLAY;
	o->own = reading_start(o, kind, x, outbox_on_own);
}

/* -- cursors --------------------------------------------------------------- */

/* A row of its own while it is behind. */
static void
outlet_save(struct outbox *o, struct outlet *x, uint64_t common)
{
	uint64_t done = outlet_done(x, o->walked);
	bool	 needs = done < common;

	if (needs && done != x->saved && done > 0 &&
	    spool_move_cursor(o->setup.spool, x->cursor, done) == 0)
		x->saved = done;
	if (!needs && x->saved != 0 &&
	    spool_move_cursor(o->setup.spool, x->cursor,
		SPOOL_CURSOR_GONE) == 0)
		x->saved = 0;
}

/*
 * The rows of those that are behind first: the writer takes them in this
 * order, so that after a crash nobody stands behind what was not told.
 */
static void
outbox_save(struct outbox *o)
{
	uint64_t       to = o->walked, done;
	struct outlet *x;

	outbox_look(o); /* a new one may want what the walk has passed */
	if (o->first == NULL)
		return;
	for (x = o->busy; x != NULL; x = x->next_busy) {
		done = outlet_done(x, o->walked);
		/* a row cannot say that nothing at all is done */
		if ((!outlet_is_slow(x) || done == 0) && done < to)
			to = done;
	}
	for (x = o->busy; x != NULL; x = x->next_busy)
		if (outlet_done(x, o->walked) < to)
			outlet_save(o, x, to);
	if (to > o->saved &&
	    spool_move_cursor(o->setup.spool, OUTBOX_CURSOR, to) == 0)
		o->saved = to;
	for (x = o->busy; x != NULL; x = x->next_busy)
		outlet_save(o, x, o->saved);
	o->since = loop_now(o->setup.loop);
	o->save_now = false;
}

static bool
outbox_has_unsaved(const struct outbox *o)
{
	const struct outlet *x;

	if (o->first == NULL)
		return false;
	if (o->walked != o->saved)
		return true;
	for (x = o->busy; x != NULL; x = x->next_busy)
		if (x->saved != 0 && x->saved != outlet_done(x, o->walked))
			return true;
	return false;
}

/* -- turns ----------------------------------------------------------------- */

/* Those with nothing left to do leave the list. */
static void
outbox_prune(struct outbox *o)
{
	struct outlet **p = &o->busy, *x;

	while ((x = *p) != NULL) {
		if (!outlet_is_idle(x)) {
			p = &x->next_busy;
			continue;
		}
		*p = x->next_busy;
		x->is_busy = false;
		outlet_show(x);
	}
	o->busy_end = p;
}

static int
outlet_serve(struct outbox *o, struct outlet *x)
{
	switch (x->d.kind) {
	case DESTINATION_WEBHOOK:
		return outbox_serve_webhook(o, x);
	case DESTINATION_METRICS:
		return outbox_serve_metrics(o, x);
	case DESTINATION_TOPIC: /* its subscriptions have what it takes */
		return 0;
	case DESTINATION_FILE:
		break;
	}
	return outbox_serve_file(o, x);
}

/* To the end of the list: the others come first next time. */
static void
outbox_pass_on(struct outbox *o, struct outlet **at)
{
	struct outlet *x = *at;

	if (x->next_busy == NULL)
		return;
	*at = x->next_busy;
	x->next_busy = NULL;
	*o->busy_end = x;
	o->busy_end = &x->next_busy;
}

static void
outbox_serve(struct outbox *o)
{
	struct outlet **p = &o->busy, *x, *last = NULL;

	for (x = o->busy; x != NULL; x = x->next_busy)
		last = x;
	while ((x = *p) != NULL) {
		if (!o->stopping)
			outbox_read_own(o, x);
		if (outlet_serve(o, x) == 1 && x != last)
			outbox_pass_on(o, p);
		else
			p = &x->next_busy;
		if (x == last)
			break;
	}
}

static void
outbox_walk(struct outbox *o)
{
	if (o->walk != NULL || !o->more || o->stopping || o->no_worker ||
	    o->first == NULL)
		return;
	o->more = false;
	o->walk = reading_start(o, READING_WALK, NULL, outbox_on_walk);
	if (o->walk == NULL)
		o->more = true;
}

static int64_t
outlet_next_ms(const struct outlet *x)
{
	const struct entry *e;
	int64_t		    at = INT64_MAX;

	if (x->unsynced != 0)
		at = x->since.ms + OUTBOX_SYNC_MS;
	if (x->d.kind != DESTINATION_WEBHOOK)
		return x->count > 0 && x->again.ms < at ? x->again.ms : at;
	for (e = x->first; e != NULL; e = e->next)
		if (!e->is_out && e->again.ms < at)
			at = e->again.ms;
	return at;
}

/* When is there something to do, if nothing comes back before? */
static void
outbox_rest(struct outbox *o)
{
	int64_t	       now = loop_now(o->setup.loop).ms, at = INT64_MAX, ms;
	struct outlet *x;

	for (x = o->busy; x != NULL; x = x->next_busy) {
		ms = outlet_next_ms(x);
		if (ms > now && ms < at) /* what is due waits for another */
			at = ms;
	}
	if (outbox_has_unsaved(o) && o->since.ms + OUTBOX_SYNC_MS < at)
		at = o->since.ms + OUTBOX_SYNC_MS;
	if (o->no_worker && now + OUTBOX_BUSY_MS < at)
		at = now + OUTBOX_BUSY_MS;
	timer_clear(&o->timer);
	if (at != INT64_MAX)
		timer_set(&o->timer, at > now ? at - now : 0);
}

static void
outbox_end(struct outbox *o)
{
	loop_fn *on_idle = o->on_idle;

	timer_clear(&o->timer);
	outbox_save(o);
	o->on_idle = NULL;
	if (on_idle != NULL)
		on_idle(o->on_idle_arg, NULL);
}

void
outbox_go(struct outbox *o)
{
	int64_t now = loop_now(o->setup.loop).ms;

	outbox_walk(o);
	outbox_serve(o);
	if (o->stopping && o->on_idle != NULL && o->walk == NULL &&
	    o->own == NULL && o->batch == NULL && o->compression == NULL &&
	    o->counting == NULL &&
	    !outbox_calls_are_out(o)) {
		outbox_end(o);
		return;
	}
	if (o->stopping)
		return;
	if (outbox_has_unsaved(o) &&
	    (o->save_now || now - o->since.ms >= OUTBOX_SYNC_MS))
		outbox_save(o);
	outbox_prune(o);
	outbox_rest(o);
}

static void
outbox_on_timer(void *outbox, void *unused)
{
	struct outbox *o = outbox;

	(void)unused;
	o->no_worker = false;
	if (o->stopping)
		outbox_calls_cut(o);
	outbox_go(o);
}

void
outbox_wake(struct outbox *o)
{
	loop_must_own(o->setup.loop);
	if (o->stopping)
		return;
	outbox_look(o);
	o->more = true;
	outbox_go(o);
}

void
outbox_stop(struct outbox *o, loop_fn *on_idle, void *arg)
{
	loop_must_own(o->setup.loop);
	o->stopping = true;
	o->on_idle = on_idle;
	o->on_idle_arg = arg;
	timer_set(&o->timer, CUT_MS);
	outbox_go(o);
}

/* SPDX-License-Identifier: ISC */
#include "reporting/outbox.h"

#include <string.h>

#include "base/log.h"
#include "reporting/event_file.h"
#include "reporting/event_mail.h"

enum {
	WINDOW_EVENTS = 256,
	EVENT_ARENA = 1 << 20,
	LINE_MAX_OCTETS = 2 * EVENT_RECORD_MAX,
	SYNC_MS = 1000,	 /* SYNC_INTERVAL; the cursor of SYNC_NONE as well */
	BUSY_MS = 250	 /* the workers' queue was full */
};

/* A destination, and how far it is. */
struct outlet {
	struct outlet	  *next;
	struct destination d;
	char		   cursor[DESTINATION_CURSOR_SIZE];
	uint64_t	   at;	   /* written */
	uint64_t	   settled; /* synced, and the cursor is there */
	struct mono	   since;  /* when at left settled */
	bool		   loaded, more, found;
	bool		   unsynced; /* records that no sync has covered */
	unsigned	   failures; /* in a row */
	struct mono	   again;    /* not before */
	struct outbox_meter *meter;
};

/* One window of one destination, on a worker. */
struct window {
	struct job	   job; /* first: cast back from it */
	struct outbox	  *outbox;
	struct spool	  *spool;
	struct conf	  *conf; /* a reference */
	struct destination d;
	struct wall	   now;
	bool		   only_sync, sync;
	struct event_file *file;
	struct buf	   line;
	/* what came of it */
	uint64_t	   at;
	unsigned	   seen, written, expired;
	bool		   synced, failed;
	struct err	   err;
};

struct outbox {
	struct outbox_setup setup;
	struct outlet	   *first, *turn; /* turn: who was served last */
	struct window	   *window;	  /* under way; NULL = none */
	uint64_t	    version; /* of the book */
	bool		    looked, stopping;
	struct timer	    timer;
	loop_fn		   *on_idle;
	void		   *on_idle_arg;
};

static void outbox_on_timer(void *outbox, void *unused);
static void outbox_on_window(void *window, void *unused);
static void outbox_go(struct outbox *o);

/* -- life ------------------------------------------------------------------ */

struct outbox *
outbox_new(const struct outbox_setup *s)
{
	struct outbox *o = mem_alloc(sizeof(*o));

	o->setup = *s;
	o->setup.conf = conf_ref(s->conf);
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
	while ((x = o->first) != NULL) {
		o->first = x->next;
		mem_free(x);
	}
	conf_unref(o->setup.conf);
	mem_free(o);
}

void
outbox_reload(struct outbox *o, struct conf *conf)
{
	conf_unref(o->setup.conf);
	o->setup.conf = conf_ref(conf);
}

int64_t
outbox_wait_ms(unsigned n)
{
	static const int seconds[] = { 5, 30, 120, 600, 1800, 3600, 7200,
		14400, 21600 };
	enum { ROWS = sizeof(seconds) / sizeof(seconds[0]) };

	return INT64_C(1000) * seconds[n == 0 ? 0 : n < ROWS ? n - 1 :
		ROWS - 1];
}

/* -- figures --------------------------------------------------------------- */

static bool
meter_is_of(const struct outbox_meter *m, const struct destination *d)
{
	return strcmp(m->account, d->account) == 0 &&
	    strcmp(m->set_name, d->set_name) == 0 &&
	    strcmp(m->name, d->name) == 0;
}

const struct outbox_meter *
outbox_meter_find(const struct outbox_meters *m, const struct destination *d)
{
	unsigned i, n = atomic_load(
	    &((struct outbox_meters *)(uintptr_t)m)->count);

	for (i = 0; i < n; i++)
		if (meter_is_of(&m->v[i], d))
			return &m->v[i];
	return NULL;
}

static struct outbox_meter *
meter_take(struct outbox_meters *all, const struct destination *d)
{
	unsigned	     n = atomic_load(&all->count), i;
	struct outbox_meter *m;

	for (i = 0; i < n; i++)
		if (meter_is_of(&all->v[i], d))
			return &all->v[i];
	if (n == OUTBOX_METERS)
		return NULL;
	m = &all->v[n];
	memcpy(m->account, d->account, sizeof(m->account));
	memcpy(m->set_name, d->set_name, sizeof(m->set_name));
	memcpy(m->name, d->name, sizeof(m->name));
	atomic_store(&all->count, n + 1); /* the names stand from here on */
	return m;
}

/* -- the destinations ------------------------------------------------------ */

static bool
outbox_on_destination(void *outbox, const struct destination *d)
{
	struct outbox  *o = outbox;
	struct outlet **end = &o->first, *x;

	for (; (x = *end) != NULL; end = &x->next)
		if (memcmp(x->d.id.b, d->id.b, sizeof(d->id.b)) == 0)
			break;
	if (x == NULL) {
		x = *end = mem_alloc(sizeof(*x));
		destination_cursor(&d->id, x->cursor);
	}
	x->d = *d;
	x->found = true;
	return true;
}

/* Those that are gone take their cursors along: nothing waits for them. */
static void
outbox_forget(struct outbox *o)
{
	struct outlet **p = &o->first, *x;

	o->turn = NULL;
	while ((x = *p) != NULL) {
		if (x->found) {
			p = &x->next;
			continue;
		}
		*p = x->next;
		(void)spool_move_cursor(o->setup.spool, x->cursor,
		    SPOOL_CURSOR_GONE);
		mem_free(x);
	}
}

static void
outbox_look(struct outbox *o)
{
	uint64_t       version = book_version(o->setup.book);
	struct outlet *x;
	struct db_txn *t;
	struct err     e;
	int	       rc = -1;

	if (o->looked && version == o->version)
		return;
	for (x = o->first; x != NULL; x = x->next)
		x->found = false;
	t = book_read(o->setup.book, &e);
	if (t != NULL)
		rc = destination_each(t, NULL, outbox_on_destination, o, &e);
	book_end(t);
	if (rc < 0) {
		log_error("destinations-unreadable", "reason=\"%s\"", e.text);
		return; /* with those that are known */
	}
	o->looked = true;
	o->version = version;
	outbox_forget(o);
}

static void
outlet_load(struct outbox *o, struct outlet *x)
{
	uint64_t first;

	if (x->loaded)
		return;
	x->loaded = true;
	x->at = spool_cursor(o->setup.spool, x->cursor);
	if (x->at == 0) {
		first = spool_first_event_since(o->setup.spool, x->d.created);
		x->at = first > 0 ? first - 1 : 0;
	}
	x->settled = x->at;
}

/* -- a window, on a worker ------------------------------------------------- */

static int
window_fail(struct window *w)
{
	w->failed = true;
	return -1;
}

static int
window_open(struct window *w)
{
	if (w->file == NULL)
		w->file = event_file_open(w->conf->events.dir, w->d.account,
		    &w->d.file, w->now, &w->err);
	return w->file != NULL ? 0 : window_fail(w);
}

/* A record that has no room in a line is none that anybody could read. */
static int
window_write(struct window *w, const struct event *ev,
    const struct event_mail *m)
{
	struct event_form form = { .extensions = w->d.extensions };

	buf_clear(&w->line);
	if (!event_write_json_as(ev, m, &form, &w->line) ||
	    !buf_add_char(&w->line, '\n'))
		return err_set(&w->err, "no room for a record"),
		    window_fail(w);
	if (window_open(w) != 0)
		return -1;
	if (event_file_write(w->file, buf_bytes(&w->line), &w->err) != 0)
		return window_fail(w);
	w->written++;
	return 0;
}

static int
window_tell(struct window *w, const struct event *ev)
{
	struct event_mail m;
	struct mail_row	  row;
	struct arena	 *a;
	int		  rc;

	if (!destination_wants(&w->d, ev))
		return 0;
	a = arena_new(EVENT_ARENA);
	rc = event_mail_find(w->spool, w->conf, &ev->message, a, &row, &m,
	    &w->err);
	if (rc < 0)
		rc = window_fail(w);
	else if (rc == 1 && memcmp(row.config_set_id.b, w->d.set.b,
		sizeof(w->d.set.b)) == 0) {
		rc = 0;
		if (w->now.ms - event_id_time(&ev->id).ms >
		    w->conf->events.retry_for_ms)
			w->expired++;
		else
			rc = window_write(w, ev, &m);
	} else {
		rc = 0; /* another's, or not known any more */
	}
	arena_free(a);
	return rc;
}

static bool
window_on_event(void *window, uint64_t sequence, const struct event *ev)
{
	struct window *w = window;

	if (window_tell(w, ev) != 0)
		return false;
	w->at = sequence;
	w->seen++;
	return true;
}

static void
window_run(struct job *job)
{
	struct window *w = (struct window *)(void *)job;

	buf_init(&w->line, LINE_MAX_OCTETS);
	if (!w->only_sync && spool_scan_events(w->spool, w->at,
		WINDOW_EVENTS, window_on_event, w, &w->err) < 0)
		w->failed = true;
	/* what was written before a failure is synced with what follows it */
	if (!w->failed && (w->written > 0 || w->only_sync) && w->sync &&
	    window_open(w) == 0 && event_file_sync(w->file, &w->err) != 0)
		w->failed = true;
	w->synced = !w->failed && w->sync && w->file != NULL;
	event_file_close(w->file);
	buf_wipe(&w->line);
}

/* -- turns ----------------------------------------------------------------- */

/* Does the cursor have to follow now? */
static bool
outlet_is_due(const struct outbox *o, const struct outlet *x)
{
	return x->at != x->settled && (o->stopping ||
	    loop_now(o->setup.loop).ms - x->since.ms >= SYNC_MS);
}

static bool
outbox_start(struct outbox *o, struct outlet *x, bool only_sync)
{
	struct window *w = mem_alloc(sizeof(*w));

	w->outbox = o;
	w->spool = o->setup.spool;
	w->conf = conf_ref(o->setup.conf);
	w->d = x->d;
	w->now = loop_wall(o->setup.loop);
	w->at = x->at;
	w->only_sync = only_sync;
	w->sync = x->d.file.sync == SYNC_EACH ||
	    (x->d.file.sync == SYNC_INTERVAL && only_sync);
	w->job.asker = o->setup.loop;
	w->job.run = window_run;
	w->job.done = outbox_on_window;
	if (!workers_post(o->setup.workers, &w->job)) {
		conf_unref(w->conf);
		mem_free(w);
		return false;
	}
	o->window = w;
	o->turn = x;
	return true;
}

static void
outlet_settle(struct outbox *o, struct outlet *x)
{
	if (spool_move_cursor(o->setup.spool, x->cursor, x->at) == 0)
		x->settled = x->at;
	else
		x->since = loop_now(o->setup.loop); /* in a while */
}

static void
outlet_failed(struct outbox *o, struct outlet *x, const struct window *w)
{
	int64_t wait;
	char	quoted[LOG_QUOTE_SIZE];
	uint8_t random;

	x->failures++;
	mem_random(&random, sizeof(random));
	wait = outbox_wait_ms(x->failures);
	wait += wait * (random % 21 - 10) / 100;
	x->again.ms = loop_now(o->setup.loop).ms + wait;
	x->more = true;
	if (x->meter != NULL) {
		meter_add(&x->meter->failure, 1);
		meter_set(&x->meter->failing, 1);
	}
	log_warn("event-publish-failed", "account=%s set=%s destination=%s "
	    "failures=%u wait_ms=%lld reason=%s", x->d.account,
	    x->d.set_name, x->d.name, x->failures, (long long)wait,
	    log_quote(bytes_of(w->err.text), quoted));
}

static void
outlet_take(struct outbox *o, struct outlet *x, const struct window *w)
{
	if (x->at == x->settled)
		x->since = loop_now(o->setup.loop);
	x->at = w->at;
	x->unsynced |= w->written > 0;
	x->meter = meter_take(o->setup.meters, &x->d);
	if (x->meter != NULL) {
		meter_add(&x->meter->success, w->written);
		meter_add(&x->meter->expired, w->expired);
	}
	if (w->expired > 0)
		log_warn("events-expired", "account=%s set=%s destination=%s "
		    "count=%u", x->d.account, x->d.set_name, x->d.name,
		    w->expired);
	if (w->failed) {
		outlet_failed(o, x, w);
		return;
	}
	x->failures = 0;
	if (x->meter != NULL)
		meter_set(&x->meter->failing, 0);
	if (!w->only_sync)
		x->more = w->seen > 0;
	if (w->synced) {
		x->unsynced = false;
		outlet_settle(o, x);
	}
}

static void
outbox_on_window(void *window, void *unused)
{
	struct window *w = window;
	struct outbox *o = w->outbox;
	struct outlet *x;

	(void)unused;
	o->window = NULL;
	for (x = o->first; x != NULL; x = x->next)
		if (memcmp(x->d.id.b, w->d.id.b, sizeof(w->d.id.b)) == 0)
			break;
	if (x != NULL) /* else it was deleted meanwhile */
		outlet_take(o, x, w);
	conf_unref(w->conf);
	mem_free(w);
	outbox_go(o);
}

/* 1 = it was started, 0 = it has nothing to do now, -1 = no worker. */
static int
outlet_serve(struct outbox *o, struct outlet *x)
{
	bool is_due;

	outlet_load(o, x);
	if (o->stopping ? x->failures > 0 :
		x->again.ms > loop_now(o->setup.loop).ms)
		return 0;
	is_due = outlet_is_due(o, x);
	/* nothing but other sets' events: no file is touched for them */
	if (is_due && (x->d.file.sync == SYNC_NONE || !x->unsynced)) {
		outlet_settle(o, x);
		is_due = false;
	}
	if (is_due)
		return outbox_start(o, x, true) ? 1 : -1;
	if (!x->more || o->stopping)
		return 0;
	return outbox_start(o, x, false) ? 1 : -1;
}

/* When is there something to do? */
static void
outbox_rest(struct outbox *o, int64_t at_most)
{
	int64_t	       now = loop_now(o->setup.loop).ms, after = at_most, ms;
	struct outlet *x;

	for (x = o->first; x != NULL; x = x->next) {
		if (x->again.ms > now)
			ms = x->again.ms - now;
		else if (x->at != x->settled)
			ms = x->since.ms + SYNC_MS - now;
		else
			continue;
		if (ms < 0)
			ms = 0;
		if (after < 0 || ms < after)
			after = ms;
	}
	timer_clear(&o->timer);
	if (after >= 0)
		timer_set(&o->timer, after);
}

static void
outbox_end(struct outbox *o)
{
	loop_fn *on_idle = o->on_idle;

	timer_clear(&o->timer);
	o->on_idle = NULL;
	if (on_idle != NULL)
		on_idle(o->on_idle_arg, NULL);
}

/* The next one whose turn it is. */
static void
outbox_go(struct outbox *o)
{
	struct outlet *x, *begin;
	int	       rc = 0;

	if (o->window != NULL)
		return;
	begin = x = o->turn != NULL && o->turn->next != NULL ? o->turn->next :
		o->first;
	while (x != NULL && (rc = outlet_serve(o, x)) == 0) {
		x = x->next != NULL ? x->next : o->first;
		if (x == begin)
			break;
	}
	if (rc == 1)
		return;
	if (o->stopping)
		outbox_end(o);
	else
		outbox_rest(o, rc < 0 ? BUSY_MS : -1);
}

static void
outbox_on_timer(void *outbox, void *unused)
{
	(void)unused;
	outbox_go(outbox);
}

void
outbox_wake(struct outbox *o)
{
	struct outlet *x;

	loop_must_own(o->setup.loop);
	if (o->stopping)
		return;
	outbox_look(o);
	for (x = o->first; x != NULL; x = x->next)
		x->more = true;
	outbox_go(o);
}

void
outbox_stop(struct outbox *o, loop_fn *on_idle, void *arg)
{
	loop_must_own(o->setup.loop);
	o->stopping = true;
	o->on_idle = on_idle;
	o->on_idle_arg = arg;
	outbox_go(o);
}

/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "reporting/outbox_private.h"
#include "reporting/series.h"

/* Events of one destination, counted on a worker. */
struct count_batch {
	struct job	   job; /* first: cast back from it */
	struct outbox	  *outbox;
	struct record_wanted wanted; /* its spool and configuration */
	struct conf	  *conf; /* a reference */
	struct destination d;
	struct wall	   now;
	unsigned	   count;
	/* what came of it */
	unsigned	   done, counted, bad, full, expired;
	bool		   failed;
	struct err	   err;
	struct {
		struct entry_key key;
		struct event_id	 id;
	} events[OUTLET_ENTRIES];
};

/* -- on a worker ----------------------------------------------------------- */

static bool
count_event(void *batch, const struct event *ev,
    const struct event_mail *mail)
{
	struct count_batch *b = batch;

	switch (series_count(b->outbox->setup.series, &b->d, ev, mail)) {
	case SERIES_COUNTED:
		b->counted++;
		break;
	case SERIES_BAD:
		b->bad++;
		break;
	case SERIES_FULL:
		b->full++;
		break;
	}
	return true;
}

static void
count_one(struct count_batch *b, unsigned i)
{
	if (b->now.ms - event_id_time(&b->events[i].id).ms >
	    b->conf->events.retry_for_ms) {
		b->expired++;
		return;
	}
	b->wanted.sequence = b->events[i].key.sequence;
	switch (record_read(&b->wanted, count_event, b, &b->err)) {
	case RECORD_THERE:
		break;
	case RECORD_GONE: /* its message is not known any more */
		b->expired++;
		break;
	case RECORD_FAILED:
		b->failed = true;
		break;
	}
}

static void
count_run(struct job *job)
{
	struct count_batch *b = (struct count_batch *)(void *)job;

	while (b->done < b->count) {
		count_one(b, b->done);
		if (b->failed)
			return;
		b->done++;
	}
}

/* -- what came of it ------------------------------------------------------- */

static void
outlet_counted_some(struct outbox *o, struct outlet *x,
    const struct count_batch *b)
{
	struct entry *e;
	unsigned      i;

	for (i = 0; i < b->done; i++) {
		e = outlet_find(x, &b->events[i].key);
		if (e != NULL)
			outlet_drop(x, e);
	}
	outbox_expired(o, x, b->expired);
	if (x->meter != NULL) {
		meter_add(&x->meter->bad, b->bad);
		meter_add(&x->meter->full, b->full);
	}
	if (!b->failed) {
		outbox_worked(o, x, b->counted);
		return;
	}
	outbox_failed(o, x, b->err.text);
	x->again.ms = loop_now(o->setup.loop).ms +
	    outbox_wait_random_ms(x->failures);
	if (x->meter != NULL)
		meter_add(&x->meter->success, b->counted);
}

static void
outbox_on_counted(void *batch, void *unused)
{
	struct count_batch *b = batch;
	struct outbox	   *o = b->outbox;
	struct outlet	   *x = outbox_find(o, &b->d.id);

	(void)unused;
	o->counting = NULL;
	if (x != NULL) {
		outlet_counted_some(o, x, b);
		outlet_show(x);
	} else { /* deleted meanwhile */
		series_forget(o->setup.series, &b->d);
	}
	conf_unref(b->conf);
	mem_free(b);
	outbox_go(o);
}

/* -- turns ----------------------------------------------------------------- */

/* A replay tells the past once more, which would be counted twice. */
static void
count_fill(struct count_batch *b, struct outlet *x)
{
	struct entry *e, *next;

	for (e = x->first; e != NULL && b->count < OUTLET_ENTRIES; e = next) {
		next = e->next;
		if (e->key.is_replay) {
			outlet_drop(x, e);
			continue;
		}
		b->events[b->count].key = e->key;
		b->events[b->count++].id = e->event;
	}
}

int
outbox_serve_metrics(struct outbox *o, struct outlet *x)
{
	struct count_batch *b;

	if (o->counting != NULL || x->count == 0 || o->stopping ||
	    x->again.ms > loop_now(o->setup.loop).ms)
		return 0;
	b = mem_alloc(sizeof(*b));
	b->outbox = o;
	b->conf = conf_ref(o->setup.conf);
	b->wanted.spool = o->setup.spool;
	b->wanted.conf = b->conf;
	b->d = x->d;
	b->now = loop_wall(o->setup.loop);
	count_fill(b, x);
	b->job.asker = o->setup.loop;
	b->job.run = count_run;
	b->job.done = outbox_on_counted;
	if (!workers_post(o->setup.workers, &b->job)) {
		conf_unref(b->conf);
		mem_free(b);
		o->no_worker = true;
		return -1;
	}
	o->counting = b;
	return 1;
}

/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "base/log.h"
#include "reporting/event_file.h"
#include "reporting/outbox_private.h"
#include "reporting/sns.h"

/* Records of one destination, on a worker; or only the sync of what is there. */
struct file_batch {
	struct job	   job; /* first: cast back from it */
	struct outbox	  *outbox;
	struct record_wanted wanted; /* its spool and configuration */
	struct conf	  *conf; /* a reference */
	struct destination d;
	struct wall	   now;
	bool		   sync;
	struct event_file *file;
	struct buf	   line, envelope; /* of SNS */
	unsigned	   count;
	/* what came of it */
	unsigned	   done, written, expired;
	uint64_t	   first_written;
	bool		   synced, failed, rotated;
	struct err	   err;
	struct record_id {
		struct entry_key key;
		struct event_id	 id;
	} records[OUTLET_ENTRIES];
};

/* -- on a worker ----------------------------------------------------------- */

static int
batch_open(struct file_batch *b)
{
	if (b->file == NULL)
		b->file = event_file_open(b->conf->events.dir, b->d.account,
		    &b->d.file, b->now, &b->err);
	return b->file != NULL ? 0 : -1;
}

/* The line as it is written: the record, or an envelope with it. */
static int
batch_wrap(struct file_batch *b, const struct record_id *r,
    struct bytes *line)
{
	struct sns_names n;

	if (b->d.sns) {
		sns_names(&b->d, b->conf->server.region, &r->id, &n);
		if (!sns_write(&n, r->key.way.form.notification ? NULL :
			SNS_SUBJECT, event_id_time(&r->id),
			buf_bytes(&b->line), &b->envelope))
			return err_set(&b->err, "no room for a record");
	}
	if (!buf_add_char(b->d.sns ? &b->envelope : &b->line, '\n'))
		return err_set(&b->err, "no room for a record");
	*line = buf_bytes(b->d.sns ? &b->envelope : &b->line);
	return 0;
}

static int
batch_write(struct file_batch *b, const struct record_id *r)
{
	struct bytes line;

	if (b->now.ms - event_id_time(&r->id).ms >
		b->conf->events.retry_for_ms && !r->key.is_replay) {
		b->expired++;
		return 0;
	}
	b->wanted.sequence = r->key.sequence;
	b->wanted.form = r->key.way.form;
	b->wanted.form.extensions |= b->d.extensions;
	switch (record_make(&b->wanted, &b->line, &b->err)) {
	case RECORD_GONE: /* its message is not known any more */
		b->expired++;
		return 0;
	case RECORD_FAILED:
		return -1;
	case RECORD_THERE:
		break;
	}
	if (batch_wrap(b, r, &line) != 0 || batch_open(b) != 0 ||
	    event_file_write(b->file, line, &b->err) != 0)
		return -1;
	if (b->first_written == 0 && !r->key.is_replay)
		b->first_written = r->key.sequence;
	b->written++;
	return 0;
}

static void
batch_run(struct job *job)
{
	struct file_batch *b = (struct file_batch *)(void *)job;

	buf_init(&b->line, OUTBOX_RECORD_MAX);
	buf_init(&b->envelope, 2 * OUTBOX_RECORD_MAX);
	while (!b->failed && b->done < b->count) {
		if (batch_write(b, &b->records[b->done]) != 0)
			b->failed = true;
		else
			b->done++;
	}
	/* what was written before a failure is synced with what follows it */
	if (!b->failed && b->sync && (b->written > 0 || b->count == 0)) {
		b->failed = batch_open(b) != 0 ||
		    event_file_sync(b->file, &b->err) != 0;
		b->synced = !b->failed;
	}
	b->rotated = b->file != NULL && event_file_has_rotated(b->file);
	event_file_close(b->file);
	buf_wipe(&b->line);
	buf_wipe(&b->envelope);
}

/* -- compression, beside the records ---------------------------------------- */

/* One at a time; those who wait are marked. */
struct compression {
	struct job	   job; /* first: cast back from it */
	struct outbox	  *outbox;
	struct conf	  *conf; /* a reference */
	struct destination d;
	bool		   failed;
	struct err	   err;
};

static void
compression_run(struct job *job)
{
	struct compression *c = (struct compression *)(void *)job;

	c->failed = event_file_compress(c->conf->events.dir, c->d.account,
	    &c->d.file, &c->err) != 0;
}

static void compression_next(struct outbox *o);

static void
compression_done(void *compression, void *unused)
{
	struct compression *c = compression;
	struct outbox	   *o = c->outbox;
	char		    quoted[LOG_QUOTE_SIZE];

	(void)unused;
	o->compression = NULL;
	if (c->failed)
		log_warn("event-file-uncompressed", "account=%s file=%s "
		    "reason=%s", c->d.account, c->d.file.name,
		    log_quote(bytes_of(c->err.text), quoted));
	conf_unref(c->conf);
	mem_free(c);
	compression_next(o);
	outbox_go(o);
}

static void
compression_start(struct outbox *o, struct outlet *x)
{
	struct compression *c = mem_alloc(sizeof(*c));

	c->outbox = o;
	c->conf = conf_ref(o->setup.conf);
	c->d = x->d;
	c->job.asker = o->setup.loop;
	c->job.run = compression_run;
	c->job.done = compression_done;
	if (workers_post(o->setup.workers, &c->job)) {
		o->compression = c;
		x->is_uncompressed = false;
		return;
	}
	conf_unref(c->conf); /* with the next renamed file */
	mem_free(c);
}

static void
compression_next(struct outbox *o)
{
	struct outlet *x;

	for (x = o->first; x != NULL && o->compression == NULL &&
	     !o->stopping; x = x->next)
		if (x->is_uncompressed)
			compression_start(o, x);
}

/* -- what came of it ------------------------------------------------------- */

static void
outlet_wrote(struct outbox *o, struct outlet *x, const struct file_batch *b)
{
	struct entry *e;
	unsigned      i;

	for (i = 0; i < b->done; i++) {
		e = outlet_find(x, &b->records[i].key);
		if (e != NULL) /* else it has become a webhook meanwhile */
			outlet_drop(x, e);
	}
	if (b->first_written != 0 && x->unsynced == 0 &&
	    x->d.file.sync != SYNC_NONE) {
		x->unsynced = b->first_written;
		x->since = loop_now(o->setup.loop);
	}
	if (b->synced) {
		x->unsynced = 0;
		o->save_now = true;
	}
	outbox_expired(o, x, b->expired);
	if (b->failed) {
		outbox_failed(o, x, b->err.text);
		x->again.ms = loop_now(o->setup.loop).ms +
		    outbox_wait_random_ms(x->failures);
	} else {
		outbox_worked(o, x, b->written);
	}
	if (b->failed && x->meter != NULL)
		meter_add(&x->meter->success, b->written);
}

static void
outbox_on_batch(void *batch, void *unused)
{
	struct file_batch *b = batch;
	struct outbox	  *o = b->outbox;
	struct outlet	  *x = outbox_find(o, &b->d.id);

	(void)unused;
	o->batch = NULL;
	if (x != NULL) { /* else it was deleted meanwhile */
		outlet_wrote(o, x, b);
		outlet_show(x);
		if (b->rotated && b->d.file.compress)
			x->is_uncompressed = true;
		compression_next(o);
	}
	conf_unref(b->conf);
	mem_free(b);
	outbox_go(o);
}

/* -- turns ----------------------------------------------------------------- */

static void
batch_fill(struct file_batch *b, struct outlet *x)
{
	struct entry *e;

	for (e = x->first; e != NULL && b->count < OUTLET_ENTRIES;
	     e = e->next) {
		b->records[b->count].key = e->key;
		b->records[b->count++].id = e->event;
	}
}

static int
batch_start(struct outbox *o, struct outlet *x, bool only_sync)
{
	struct file_batch *b = mem_alloc(sizeof(*b));

	b->outbox = o;
	b->conf = conf_ref(o->setup.conf);
	b->wanted.spool = o->setup.spool;
	b->wanted.conf = b->conf;
	b->d = x->d;
	b->now = loop_wall(o->setup.loop);
	b->sync = x->d.file.sync == SYNC_EACH || only_sync;
	if (!only_sync)
		batch_fill(b, x);
	b->job.asker = o->setup.loop;
	b->job.run = batch_run;
	b->job.done = outbox_on_batch;
	if (!workers_post(o->setup.workers, &b->job)) {
		conf_unref(b->conf);
		mem_free(b);
		o->no_worker = true;
		return -1;
	}
	o->batch = b;
	return 1;
}

int
outbox_serve_file(struct outbox *o, struct outlet *x)
{
	int64_t now = loop_now(o->setup.loop).ms;

	if (o->batch != NULL || (x->d.reason[0] != '\0' && !x->d.enabled))
		return 0;
	if (o->stopping ? x->failures > 0 : x->again.ms > now)
		return 0;
	if (x->unsynced != 0 &&
	    (o->stopping || now - x->since.ms >= OUTBOX_SYNC_MS))
		return batch_start(o, x, true);
	if (x->count == 0 || o->stopping)
		return 0;
	return batch_start(o, x, false);
}

/* SPDX-License-Identifier: ISC */
#include "reporting/bulletin.h"

#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "mail/event.h"
#include "reporting/event_file.h"

enum {
	RECORD_MAX = 8 * 1024,
	QUIET_MS = 60 * 60 * 1000 /* between two lines about trouble */
};

/* Lines on their way into the file. */
struct page {
	struct job	 job; /* first: cast back from it */
	struct bulletin *b;
	struct conf	*conf; /* a reference */
	struct wall	 now;
	struct buf	 lines;
	unsigned	 count;
	bool		 failed;
	struct err	 err;
};
struct bulletin {
	struct bulletin_setup setup;
	struct buf	 waiting; /* whole lines */
	unsigned	 waiting_count;
	unsigned	 lost;	  /* since the last line about it */
	struct mono	 quiet;	  /* no line before */
	struct page	*page;	  /* at the worker; NULL = none */
	bool		 stopping;
	loop_fn		*on_idle;
	void		*on_idle_arg;
};

/* -- life ------------------------------------------------------------------ */

struct bulletin *
bulletin_new(const struct bulletin_setup *s)
{
	struct bulletin *b = mem_alloc(sizeof(*b));

	b->setup = *s;
	b->setup.conf = conf_ref(s->conf);
	buf_init(&b->waiting, BULLETIN_WAITING);
	return b;
}

static void
page_free(struct page *p)
{
	conf_unref(p->conf);
	buf_wipe(&p->lines);
	mem_free(p);
}

void
bulletin_free(struct bulletin *b)
{
	if (b == NULL)
		return;
	if (b->page != NULL)
		page_free(b->page);
	buf_wipe(&b->waiting);
	conf_unref(b->setup.conf);
	mem_free(b);
}

void
bulletin_reload(struct bulletin *b, struct conf *conf)
{
	conf_unref(b->setup.conf);
	b->setup.conf = conf_ref(conf);
}

static void
bulletin_look_idle(struct bulletin *b)
{
	loop_fn *on_idle = b->on_idle;

	if (!b->stopping || b->page != NULL || on_idle == NULL)
		return;
	b->on_idle = NULL;
	on_idle(b->on_idle_arg, NULL);
}

void
bulletin_stop(struct bulletin *b, loop_fn *on_idle, void *arg)
{
	b->stopping = true;
	b->on_idle = on_idle;
	b->on_idle_arg = arg;
	bulletin_look_idle(b);
}

/* -- the file -------------------------------------------------------------- */

/* It lies beside the folders of the accounts, and is not renamed. */
static void
page_run(struct job *job)
{
	struct page	       *p = (struct page *)(void *)job;
	struct destination_file how = { .sync = SYNC_NONE };
	struct event_file      *f;

	bytes_text(bytes_of(p->conf->events.system_file), how.name,
	    sizeof(how.name));
	f = event_file_open(p->conf->events.dir, ".", &how, p->now, &p->err);
	p->failed = f == NULL ||
	    event_file_write(f, buf_bytes(&p->lines), &p->err) != 0;
	event_file_close(f);
}

static void
bulletin_complain(struct bulletin *b, const char *reason)
{
	struct mono now = loop_now(b->setup.loop);
	char	    quoted[LOG_QUOTE_SIZE];

	if (now.ms < b->quiet.ms)
		return;
	log_warn("system-events-lost", "records=%u reason=%s", b->lost,
	    log_quote(bytes_of(reason), quoted));
	b->lost = 0;
	b->quiet.ms = now.ms + QUIET_MS;
}

static void bulletin_write(struct bulletin *b);

static void
page_done(void *page, void *unused)
{
	struct page	*p = page;
	struct bulletin *b = p->b;

	(void)unused;
	b->page = NULL;
	if (p->failed) {
		b->lost += p->count;
		bulletin_complain(b, p->err.text);
	}
	page_free(p);
	bulletin_write(b);
	bulletin_look_idle(b);
}

static void
bulletin_write(struct bulletin *b)
{
	struct page *p;

	if (b->page != NULL || b->waiting.n == 0)
		return;
	p = mem_alloc(sizeof(*p));
	p->b = b;
	p->conf = conf_ref(b->setup.conf);
	p->now = loop_wall(b->setup.loop);
	p->lines = b->waiting;
	p->count = b->waiting_count;
	b->waiting_count = 0;
	buf_init(&b->waiting, BULLETIN_WAITING);
	p->job.asker = b->setup.loop;
	p->job.run = page_run;
	p->job.done = page_done;
	b->page = p;
	if (workers_post(b->setup.workers, &p->job))
		return;
	b->page = NULL;
	b->lost += p->count;
	bulletin_complain(b, "the workers are busy");
	page_free(p);
}

/* -- a record -------------------------------------------------------------- */

static void
add_member(struct buf *out, const char *name, const char *value)
{
	buf_printf(out, "\"%s\":", name);
	event_write_string(bytes_of(value), out);
	buf_add_char(out, ',');
}

static void
record_write(const struct bulletin *b, const struct bulletin_news *n,
    struct buf *out)
{
	const char *region = b->setup.conf->server.region;
	char	    id[UUID_SIZE], at[CLOCK_TEXT_MAX], arn[512];

	mem_uuid(id);
	buf_add_char(out, '{');
	add_member(out, "version", "0");
	add_member(out, "id", id);
	add_member(out, "detail-type", n->type);
	add_member(out, "source", "aws.ses");
	add_member(out, "account", n->account);
	add_member(out, "time",
	    wall_iso_seconds(loop_wall(b->setup.loop), at));
	add_member(out, "region", region);
	buf_add_text(out, "\"resources\":[");
	if (n->identity != NULL) {
		snprintf(arn, sizeof(arn), "arn:aws:ses:%s:%s:identity/%s",
		    region, n->account, n->identity);
		event_write_string(bytes_of(arn), out);
	}
	buf_add_text(out, "],\"detail\":{\"version\":\"1.0.0\",\"data\":");
	event_write_string(bytes_head(bytes_of(n->data), BULLETIN_DATA_MAX),
	    out);
	buf_add_text(out, "}}\n");
}

void
bulletin_tell(struct bulletin *b, const struct bulletin_news *n)
{
	struct buf line;

	if (b->setup.conf->events.system_file == NULL)
		return;
	buf_init(&line, RECORD_MAX);
	record_write(b, n, &line);
	if (line.failed || b->waiting.n + line.n > BULLETIN_WAITING) {
		b->lost++;
		bulletin_complain(b, "too much waits for the file");
	} else {
		buf_add_bytes(&b->waiting, buf_bytes(&line));
		b->waiting_count++;
		bulletin_write(b);
	}
	buf_wipe(&line);
}

/* SPDX-License-Identifier: ISC */
/* A test record to a destination, and other questions about one that the
 * reporting loop answers. */
#include <stdio.h>

#include "daemon/control_destination.h"
#include "reporting/event_file.h"
#include "reporting/series.h"
#include "reporting/sns.h"

enum { TEST_RECORD_MAX = 128, TEST_LINE_MAX = 4096 };

/* The record, or an envelope with it, and a line end. */
static void
test_write_line(struct request *q, const struct destination *d,
    struct buf *line)
{
	char		 record[TEST_RECORD_MAX];
	struct event_id	 id;
	struct sns_names n;

	snprintf(record, sizeof(record),
	    "{\"eventType\":\"Test\",\"account\":\"%s\"}", d->account);
	buf_init(line, TEST_LINE_MAX);
	if (d->sns) {
		event_id_make(q->now, &id);
		sns_names(d, q->conf->server.region, &id, &n);
		(void)sns_write(&n, SNS_SUBJECT, q->now, bytes_of(record),
		    line);
	} else {
		buf_add_text(line, record);
	}
	buf_add_char(line, '\n');
}

/* A line of its own into the file as it is, never a rotation: the outbox may
 * be at work on it. */
int
destination_test_file(struct request *q, const struct destination *d,
    struct err *e)
{
	struct destination_file how = d->file;
	struct event_file      *f;
	struct buf		line;
	int			rc = -1;

	how.rotate = ROTATE_NONE;
	how.rotate_octets = 0;
	test_write_line(q, d, &line);
	f = event_file_open(q->conf->events.dir, d->account, &how, q->now, e);
	if (f != NULL && event_file_write(f, buf_bytes(&line), e) == 0)
		rc = event_file_sync(f, e);
	event_file_close(f);
	buf_wipe(&line);
	return rc;
}

/* On a worker. */
static int
test_work(struct request *q)
{
	struct destination_work *w = q->state;

	return destination_test_file(q, &w->d, &q->err);
}

static void
test_done(struct request *q)
{
	request_set(q, "Result", json_string("ok"));
	request_end(q);
}

/* From the reporting loop, back on main. */
static void
asked_done(void *ask, void *unused)
{
	struct reporter_ask *a = ask;
	struct request	    *q = a->ctx;
	request_fn	    *next = q->on_next;

	(void)unused;
	mem_wipe(&a->destination, sizeof(a->destination));
	if (a->status != 0)
		request_set(q, "Status", json_integer(a->status));
	if (!a->ok)
		(void)request_refuse(q, BOOK_BAD_REQUEST, "%s", a->text);
	if (a->ok && next != NULL)
		next(q);
	else
		request_end(q);
}

void
destination_ask(struct request *q, enum reporter_ask_kind kind,
    request_fn *done)
{
	struct destination_work *w = q->state;

	w->ask.kind = kind;
	w->ask.asker = q->relay->main;
	w->ask.done = asked_done;
	w->ask.ctx = q;
	w->ask.destination = w->d;
	q->on_next = done;
	if (!reporter_ask(q->relay->reporter, &w->ask))
		request_end_refused(q, BOOK_TOO_MANY, "too much to do");
}

/* Metrics count it under their default values. */
static void
test_metrics(struct request *q)
{
	struct destination_work *w = q->state;

	if (series_count(q->relay->series, &w->d, NULL, NULL) ==
	    SERIES_COUNTED)
		test_done(q);
	else
		request_end_refused(q, BOOK_LIMIT,
		    "there is no room for more series");
}

void
destination_test(struct request *q)
{
	struct destination_work *w = request_state(q, sizeof(*w),
	    destination_wipe);

	if (request_look(q, destination_find) != 0) {
		request_end(q);
		return;
	}
	request_would(q, "send a test record to %s of %s", w->d.name,
	    w->set.name);
	if (w->d.kind == DESTINATION_TOPIC)
		request_end_refused(q, BOOK_BAD_REQUEST, "%s names a topic: "
		    "posthornctl topic test %s", w->d.name, w->d.topic.name);
	else if (q->dry_run)
		request_end(q);
	else if (w->d.kind == DESTINATION_WEBHOOK)
		destination_ask(q, ASK_TEST, test_done);
	else if (w->d.kind == DESTINATION_METRICS)
		test_metrics(q);
	else
		request_work(q, test_work, test_done);
}

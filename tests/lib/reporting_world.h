/* SPDX-License-Identifier: ISC */
/*
 * reporting_world.h - the reporting loop with a real spool and a real book,
 * on the fake clock and fake threads; mail goes into the spool as the desks
 * would put it there, keys are ordered from nobody, and a verifier answers
 * what the test says.
 *
 * Use:    #include "fake_clock.c" and "fake_thread.c" before it;
 *         rw_open(&w); rw_begin(&w); ...; rw_pass(&w, ms); rw_close(&w).
 *         rw_crash(&w) is kill -9, rw_begin() the next life.
 * Owner:  the test.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_REPORTING_WORLD_H
#define TESTS_REPORTING_WORLD_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "fake_clock.h"
#include "fake_thread.h"
#include "registry/account.h"
#include "registry/config_set.h"
#include "registry/identity.h"
#include "registry/verify_job.h"
#include "reporting/reporter.h"
#include "reporting/series.h"
#include "temp_folder.h"

static const char rw_account[] = "123456789012";
static const int64_t minute = 60 * 1000, hour = 3600 * 1000;

enum { RW_MAILS = 128, RW_ORDERS = 32, RW_RECORDS = 64, RW_LOG = 256 * 1024 };
enum rw_crash_at { RW_NO_CRASH, RW_BEFORE_COMMIT, RW_AFTER_COMMIT };

struct rw_mail {
	char	     to[321], account[ACCOUNT_ID_SIZE];
	char	    *text;
	struct msgid id;
	struct wall  at;
};
struct rw_record { /* what the verifier finds */
	char		  selector[SELECTOR_SIZE];
	enum dkim_outcome outcome;
	const char	 *hint;
};
struct rw_order {
	char	 domain[254], selector[SELECTOR_SIZE];
	unsigned bits;
};

struct rw {
	char		 dir[TEMP_FOLDER_SIZE];
	struct loop	*loop;
	struct spool	*spool;
	struct book	*book;
	struct conf	*conf;
	struct reporter *reporter;

	struct rw_mail	    mails[RW_MAILS]; /* that are in the spool */
	unsigned	    mail_count, handed_in;
	enum receipt_result answers[RW_MAILS]; /* of the next ones */
	unsigned	    answer_count;
	unsigned	    full_feeds; /* the next ones find it full */
	enum rw_crash_at    crash_at;

	struct rw_order orders[RW_ORDERS];
	unsigned	order_count;

	struct loop	 *verifier_loop;
	struct channel	 *verifier;
	bool		  silent;
	struct rw_record  records[RW_RECORDS];
	unsigned	  record_count;
	enum dkim_outcome others; /* what has no record */
	unsigned	  jobs;
	struct verify_job last;
	struct operator_meters operator_meters;
	struct outbox_meters   outbox_meters;
	struct series	      *series;
	struct inbox_meters    inbox_meters;
	struct workers	      *workers;
	bool		  idle;
	struct buf	  log;
};

/* -- mail -------------------------------------------------------------- */

struct rw_sending {
	struct submission s;
	struct rw	 *w;
	struct rw_mail	  mail;
	enum receipt_result scripted;
	void (*done)(void *ctx, enum receipt_result result);
	void *ctx;
	char  cursor[64];
};

static inline void
rw_sent(void *ctx, void *unused)
{
	struct rw_sending *x = ctx;
	struct rw	  *w = x->w;

	(void)unused;
	if (x->scripted == RECEIPT_OK && x->s.result == RECEIPT_OK) {
		assert_true(w->mail_count < RW_MAILS);
		w->mails[w->mail_count++] = x->mail;
		if (w->crash_at == RW_AFTER_COMMIT) {
			fake_threads_kill(true);
			message_free(x->s.message);
			mem_free(x);
			return; /* nobody is told any more */
		}
		x->done(x->ctx, RECEIPT_OK);
	} else {
		mem_free(x->mail.text);
		x->done(x->ctx, x->scripted != RECEIPT_OK ? x->scripted :
		    x->s.result);
	}
	message_free(x->s.message);
	mem_free(x);
}

/* What a desk makes of it, without header rules and signing. */
static inline struct message *
rw_notice(const struct reporter_mail *m)
{
	struct message *msg = message_new(1 << 20);
	ptrdiff_t	end;

	msg->accepted = clock_wall();
	msg->expires.ms = msg->accepted.ms + 24 * hour;
	msgid_make(msg->accepted, &msg->id);
	memcpy(msg->account, m->account, sizeof(msg->account));
	msg->class = MESSAGE_SYSTEM;
	assert_non_null(message_add_envelope(msg, bytes_of(m->to)));
	end = bytes_find_nocase(buf_bytes(&m->text), BYTES("\r\n\r\n"));
	assert_true(end > 0);
	assert_true(message_set(msg, &msg->head,
	    bytes_head(buf_bytes(&m->text), (size_t)end + 4)));
	assert_true(message_add_body(msg,
	    bytes_from(buf_bytes(&m->text), (size_t)end + 4)));
	return msg;
}

static inline bool
rw_send_mail(void *arg, const struct reporter_mail *m)
{
	struct rw	  *w = arg;
	struct rw_sending *x;
	struct buf	   text = m->text;

	w->handed_in++;
	if (w->full_feeds > 0) {
		w->full_feeds--;
		return false;
	}
	x = mem_alloc(sizeof(*x));
	x->w = w;
	x->done = m->done;
	x->ctx = m->ctx;
	x->s.message = rw_notice(m);
	snprintf(x->mail.to, sizeof(x->mail.to), "%s", m->to);
	memcpy(x->mail.account, m->account, sizeof(x->mail.account));
	x->mail.text = mem_dup_bytes(buf_bytes(&text));
	x->mail.id = x->s.message->id;
	x->mail.at = x->s.message->accepted;
	buf_wipe(&text);
	if (w->answer_count > 0)
		x->scripted = w->answers[--w->answer_count];
	if (x->scripted != RECEIPT_OK) {
		assert_true(loop_post(w->loop, rw_sent, x, NULL));
		return true;
	}
	x->s.from = w->loop;
	x->s.on_receipt = rw_sent;
	x->s.ctx = x;
	if (m->cursor != NULL) {
		snprintf(x->cursor, sizeof(x->cursor), "%s", m->cursor);
		x->s.cursor = x->cursor;
		x->s.cursor_to = m->cursor_to;
	}
	assert_true(spool_submit(w->spool, &x->s));
	if (w->crash_at == RW_BEFORE_COMMIT) {
		fake_threads_kill(true);
		message_free(x->s.message);
		mem_free(x->mail.text);
		mem_free(x);
	}
	return true;
}

static inline bool
rw_make_key(void *arg, const char *account, const char *domain,
    const char *selector, unsigned bits)
{
	struct rw	*w = arg;
	struct rw_order *o;

	assert_string_equal(account, rw_account);
	assert_true(w->order_count < RW_ORDERS);
	o = &w->orders[w->order_count++];
	snprintf(o->domain, sizeof(o->domain), "%s", domain);
	snprintf(o->selector, sizeof(o->selector), "%s", selector);
	o->bits = bits;
	return true;
}

/* -- the verifier ------------------------------------------------------ */

static inline void
rw_answer(struct rw *w, const struct verify_job *j)
{
	struct verify_result r;
	struct buf	     b;
	unsigned	     i;

	memset(&r, 0, sizeof(r));
	r.ticket = j->ticket;
	r.kind = j->kind;
	r.outcome = w->others;
	for (i = 0; i < w->record_count; i++) {
		if (strcmp(w->records[i].selector,
			j->kind == VERIFY_DKIM ? j->selector : j->token) != 0)
			continue;
		r.outcome = w->records[i].outcome;
		snprintf(r.hint, sizeof(r.hint), "%s",
		    w->records[i].hint != NULL ? w->records[i].hint : "");
	}
	buf_init(&b, VERIFY_MESSAGE_MAX);
	assert_true(verify_result_encode(&r, &b));
	assert_true(channel_send(w->verifier, buf_bytes(&b), -1));
	buf_wipe(&b);
}

static inline void
rw_on_job(void *arg, struct bytes message, int fd)
{
	struct rw *w = arg;

	assert_int_equal(fd, -1);
	assert_true(verify_job_decode(message, &w->last));
	w->jobs++;
	if (!w->silent)
		rw_answer(w, &w->last);
}

static inline void
rw_on_relay_gone(void *arg)
{
	struct rw *w = arg;

	channel_close(w->verifier);
	w->verifier = NULL;
}

static const struct channel_events rw_verifier_events = { rw_on_job,
	rw_on_relay_gone };

/* A new verifier process; its end for relay. */
static inline int
rw_verifier_new(struct rw *w)
{
	struct err e;
	int	   fds[2];

	assert_int_equal(channel_pair(fds, &e), 0);
	w->verifier = channel_open(w->verifier_loop, fds[1],
	    &rw_verifier_events, w, &e);
	assert_non_null(w->verifier);
	return fds[0];
}

static inline void
rw_record(struct rw *w, const char *selector, enum dkim_outcome o)
{
	unsigned i;

	for (i = 0; i < w->record_count; i++)
		if (strcmp(w->records[i].selector, selector) == 0)
			break;
	assert_true(i < RW_RECORDS);
	if (i == w->record_count)
		w->record_count++;
	snprintf(w->records[i].selector, sizeof(w->records[i].selector), "%s",
	    selector);
	w->records[i].outcome = o;
}

/* -- life -------------------------------------------------------------- */

static inline void
rw_on_log(void *arg, const char *line)
{
	struct rw *w = arg;

	buf_add_text(&w->log, line);
	buf_add_char(&w->log, '\n');
}

static inline bool
rw_logged(const struct rw *w, const char *text)
{
	return bytes_find_nocase(buf_bytes(&w->log), bytes_of(text)) >= 0;
}

static inline void
rw_configure(struct rw *w)
{
	struct conf *c = conf_defaults();

	assert_non_null(c);
	c->server.name = "mail.relay.example";
	c->server.domain = "relay.example";
	c->server.region = "us-east-1";
	c->server.id_prefix = "0100";
	c->message.id_domain = "relay.example";
	c->mail_from.default_domain = "bounces.relay.example";
	c->events.dir = w->dir;
	c->intake.postmaster = "operator@relay.example";
	w->conf = c;
}

static inline void
rw_open(struct rw *w)
{
	memset(w, 0, sizeof(*w));
	temp_folder_make(w->dir, "report");
	fake_clock_set((struct wall){ 1714564800000 });
	w->others = DKIM_ABSENT;
	rw_configure(w);
	buf_init(&w->log, RW_LOG);
	log_capture(rw_on_log, w);
}

/* Stores and loops, without the reporter. */
static inline void
rw_start(struct rw *w)
{
	struct spool_setup s = { .dir = w->dir, .map_bytes = 64 << 20,
		.messages_max = 1000000, .index_keep_ms = 60 * 24 * hour,
		.tail_keep_ms = 24 * hour,
		.redo_log = REDO_NEVER /* receipts, then readers */ };
	struct err e;

	e.text[0] = '\0';
	w->book = book_open(w->dir, 64 << 20, &e);
	w->spool = spool_open(&s, &e);
	if (w->book == NULL || w->spool == NULL)
		fail_msg("%s", e.text);
	w->series = series_new();
	w->workers = workers_new(1, 64, &e);
	w->loop = loop_new("reporting", 4096, &e);
	w->verifier_loop = loop_new("verifier", 64, &e);
	assert_int_equal(book_start(w->book, &e), 0);
}

static inline void
rw_start_spool(struct rw *w)
{
	struct err e;

	assert_int_equal(spool_start(w->spool, &e), 0);
	assert_int_equal(loop_start(w->loop, &e), 0);
	assert_int_equal(loop_start(w->verifier_loop, &e), 0);
}

/* with_verifier false: none has come yet. */
static inline void
rw_begin_with(struct rw *w, bool with_verifier)
{
	struct reporter_setup s;
	struct err	      e;

	rw_start(w);
	memset(&s, 0, sizeof(s));
	s.loop = w->loop;
	s.spool = w->spool;
	s.book = w->book;
	s.conf = w->conf;
	s.verifier_fd = with_verifier ? rw_verifier_new(w) : -1;
	s.send_mail = rw_send_mail;
	s.send_mail_arg = w;
	s.make_key = rw_make_key;
	s.make_key_arg = w;
	s.operator_meters = &w->operator_meters;
	s.outbox_meters = &w->outbox_meters;
	s.series = w->series;
	s.inbox_meters = &w->inbox_meters;
	s.workers = w->workers;
	w->reporter = reporter_new(&s, &e);
	assert_non_null(w->reporter);
	spool_on_events(w->spool, w->loop, reporter_on_events, w->reporter);
	reporter_begin(w->reporter);
	rw_start_spool(w);
	assert_true(fake_threads_settle());
}

static inline void
rw_begin(struct rw *w)
{
	rw_begin_with(w, true);
}

/* Time goes by; 0 = until nothing is left to do now. */
static inline void
rw_pass(struct rw *w, int64_t ms)
{
	(void)w;
	assert_true(fake_threads_advance(ms));
	assert_true(fake_threads_settle());
}

/* Timers may be ten minutes late. */
static inline void
rw_pass_days(struct rw *w, int days)
{
	(void)w;
	assert_true(fake_threads_skip(days * INT64_C(86400000)));
}

static inline void
rw_release(struct rw *w)
{
	loop_stop(w->loop);
	loop_join(w->loop);
	loop_stop(w->verifier_loop);
	loop_join(w->verifier_loop);
	spool_stop(w->spool);
	book_stop(w->book);
	reporter_free(w->reporter);
	w->reporter = NULL;
	channel_close(w->verifier);
	w->verifier = NULL;
	spool_close(w->spool);
	book_close(w->book);
	loop_free(w->loop);
	loop_free(w->verifier_loop);
	workers_free(w->workers);
	series_free(w->series);
	w->loop = NULL;
}

static inline void
rw_on_idle(void *arg, void *unused)
{
	(void)unused;
	((struct rw *)arg)->idle = true;
}

static inline void
rw_end(struct rw *w)
{
	if (w->reporter != NULL) {
		w->idle = false;
		reporter_shut(w->reporter, rw_on_idle, w);
		rw_pass(w, 0);
		assert_true(w->idle);
	}
	rw_release(w);
}

/* kill -9, now or where crash_at said. */
static inline void
rw_crash(struct rw *w)
{
	fake_threads_kill(true);
	rw_release(w);
	fake_threads_kill(false);
	w->crash_at = RW_NO_CRASH;
}

static inline void
rw_close(struct rw *w)
{
	if (w->loop != NULL)
		rw_end(w);
	while (w->mail_count > 0)
		mem_free(w->mails[--w->mail_count].text);
	conf_unref(w->conf);
	log_capture(NULL, NULL);
	buf_wipe(&w->log);
	temp_folder_remove(w->dir);
}

/* Around each test: *state is the world, without a reporter yet. */
static inline int
rw_make(void **state)
{
	struct rw *w = calloc(1, sizeof(*w));

	rw_open(w);
	*state = w;
	return 0;
}

/* With one. */
static inline int
rw_make_begun(void **state)
{
	rw_make(state);
	rw_begin(*state);
	return 0;
}

static inline int
rw_unmake(void **state)
{
	struct rw *w = *state;

	rw_close(w);
	free(w);
	return 0;
}

/* -- the book ---------------------------------------------------------- */

struct rw_job {
	struct book_job job;
	void (*body)(struct db_txn *t, void *arg);
	void *arg;
	bool  is_done;
};

static inline int
rw_run_job(struct book_job *j, struct db_txn *t)
{
	struct rw_job *x = (struct rw_job *)(void *)j;

	x->body(t, x->arg);
	return 0;
}

static inline void
rw_job_done(void *job, void *unused)
{
	(void)unused;
	((struct rw_job *)job)->is_done = true;
}

static inline void
rw_write(struct rw *w, void (*body)(struct db_txn *t, void *arg), void *arg)
{
	struct rw_job x = { .job = { .asker = w->loop, .run = rw_run_job,
				.done = rw_job_done }, .body = body,
		.arg = arg };

	assert_true(book_write(w->book, &x.job));
	rw_pass(w, 0);
	assert_true(x.is_done);
	if (x.job.failed)
		fail_msg("%s", x.job.err.text);
}

static inline void
rw_put_account(struct db_txn *t, void *contacts)
{
	struct account *a = mem_alloc(sizeof(*a));
	const char    **v = contacts;
	struct err	e;

	snprintf(a->id, sizeof(a->id), "%s", rw_account);
	snprintf(a->name, sizeof(a->name), "test");
	a->sending_enabled = a->production = true;
	a->max_24h = 200;
	a->rate = -1;
	for (; *v != NULL; v++)
		snprintf(a->contacts[a->contact_count++], ACCOUNT_TEXT_MAX,
		    "%s", *v);
	if (account_create(t, a, &e) != 0)
		fail_msg("%s", e.text);
	mem_free(a);
}

/* -- messages and events ----------------------------------------------- */

struct rw_spec {
	const char *header;	/* as handed in */
	const char *head;	/* as sent; NULL = header */
	const char *forward;
	const char *rcpts[8];
	const char *identity; /* NULL = none */
	bool	    is_system;
	const struct config_set *set; /* NULL = none */
};

static inline void
rw_on_receipt(void *ctx, void *load)
{
	(void)load;
	*(bool *)ctx = true;
}

static inline struct message *
rw_message(const struct rw_spec *s)
{
	struct message *m = message_new(1 << 20);
	struct buf	b;
	unsigned	i;

	m->accepted = clock_wall();
	m->expires.ms = m->accepted.ms + 72 * hour;
	msgid_make(m->accepted, &m->id);
	strcpy(m->account, s->set != NULL ? s->set->account : rw_account);
	m->class = s->is_system ? MESSAGE_SYSTEM : MESSAGE_NORMAL;
	assert_true(message_set(m, &m->sender, BYTES("bob@example.com")));
	assert_true(message_set(m, &m->credential, BYTES("app1")));
	assert_true(message_set(m, &m->forward, bytes_of(s->forward)));
	if (s->identity != NULL) {
		assert_true(message_set(m, &m->identity,
		    bytes_of(s->identity)));
		assert_true(message_set(m, &m->identity_account,
		    bytes_of(rw_account)));
	}
	if (s->set != NULL) {
		assert_true(message_set(m, &m->config_set,
		    bytes_of(s->set->name)));
		m->config_set_id = s->set->id;
	}
	for (i = 0; s->rcpts[i] != NULL; i++)
		assert_non_null(message_add_envelope(m,
		    bytes_of(s->rcpts[i])));
	buf_init(&b, 1 << 20);
	buf_add_text(&b, s->head != NULL ? s->head : s->header);
	buf_add_text(&b, "\r\n");
	assert_true(message_set(m, &m->head, buf_bytes(&b)));
	buf_clear(&b);
	assert_true(event_snapshot_headers(bytes_of(s->header), &b));
	assert_true(message_set(m, &m->snapshot, buf_bytes(&b)));
	buf_wipe(&b);
	assert_true(message_add_body(m, BYTES("Secret body line.\r\n")));
	return m;
}

static inline struct msgid
rw_submit(struct rw *w, const struct rw_spec *s)
{
	struct submission x;
	struct msgid	  id;
	bool		  is_done = false;

	memset(&x, 0, sizeof(x));
	x.message = rw_message(s);
	x.from = w->loop;
	x.on_receipt = rw_on_receipt;
	x.ctx = &is_done;
	id = x.message->id;
	assert_true(spool_submit(w->spool, &x));
	assert_true(fake_threads_settle());
	assert_true(is_done);
	assert_int_equal(x.result, RECEIPT_OK);
	message_free(x.message);
	return id;
}

static inline void
rw_change(struct rw *w, struct change_item *items, size_t count)
{
	struct change c;
	bool	      is_done = false;

	memset(&c, 0, sizeof(c));
	c.from = w->loop;
	c.on_receipt = rw_on_receipt;
	c.ctx = &is_done;
	c.items = items;
	c.count = count;
	assert_true(spool_change(w->spool, &c));
	assert_true(fake_threads_settle());
	assert_true(is_done || w->crash_at != RW_NO_CRASH);
}

/* A hard bounce of envelope n, as delivery writes it. */
static inline void
rw_fill_bounce(struct event *ev, const struct msgid *id,
    const struct event_recipient *to, size_t count)
{
	memset(ev, 0, sizeof(*ev));
	ev->type = EVENT_BOUNCE;
	event_id_make(clock_wall(), &ev->id);
	ev->at = clock_wall();
	ev->message = *id;
	ev->recipients = to;
	ev->recipient_count = count;
	ev->bounce_type = BOUNCE_PERMANENT;
	ev->bounce_subtype = BOUNCE_SUB_GENERAL;
	ev->feedback_id = BYTES("fb-1");
	ev->reporting_mta = BYTES("dns; a0-10.smtp-out.relay.example");
	ev->remote_ip = BYTES("198.51.100.25");
	ev->remote_host = BYTES("mx.sink.example");
}

static inline void
rw_settle_envelope(struct rw *w, const struct msgid *id, unsigned n,
    const struct event *ev)
{
	struct change_item item;

	memset(&item, 0, sizeof(item));
	item.kind = CHANGE_DONE;
	item.id = *id;
	item.n = n;
	item.event = ev;
	rw_change(w, &item, 1);
}

static inline void
rw_bounce(struct rw *w, const struct msgid *id, unsigned n, const char *to)
{
	struct event_recipient r = { .address = bytes_of(to),
		.action = BYTES("failed"), .status = BYTES("5.1.1"),
		.diagnostic = BYTES("smtp; 550 5.1.1 user unknown") };
	struct event	       ev;

	rw_fill_bounce(&ev, id, &r, 1);
	rw_settle_envelope(w, id, n, &ev);
}

#endif

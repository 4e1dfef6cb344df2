/* SPDX-License-Identifier: ISC */
/*
 * States of a message on disk, and what moves it (src/store/README):
 *
 *	A nothing  --stage-->  B staged chunks, no message row
 *	A, B  --spool_write_submission-->  C message and envelope rows
 *	C  --spool_write_change-->  D some envelopes settled
 *	C, D  --spool_write_change, last envelope-->  E content awaits removal
 *	E  --spool_remove_content, at once or by the sweep-->  A
 *	B  --discard, or the sweep after the next start-->  A
 *
 * Each arrow is one commit; only the writer moves.
 */
#include "store/spool.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <errno.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/spool_private.h"

enum { SPOOL_FEED_MAX = 16384, RAW_KEEP_MS = 7 * 86400 * 1000 };

static const char *const table_names[SPOOL_TABLES] = { "message", "mail",
	"snapshot", "chunk", "recipient", "staging", "due", "held", "event",
	"counter", "cursor", "swept", "history", "intake", "step", "mark",
	"statistic", "client_id" };

static const double commit_bounds[] = { 0.0001, 0.00025, 0.0005, 0.001,
	0.0025, 0.005, 0.01, 0.025, 0.05, 0.1, 0.25, 0.5, 1, 2.5 };
static const double item_bounds[] = { 1, 2, 4, 8, 16, 32, 64, 128, 256, 512,
	1024 };

/* -- life ------------------------------------------------------------------ */

static struct db *
spool_open_db(const struct spool_setup *setup, struct err *e)
{
	struct db_setup s;
	struct db      *d;
	char		path[4096];

	if (snprintf(path, sizeof(path), "%s/spool", setup->dir) >=
	    (int)sizeof(path)) {
		err_set(e, "store.dir: name too long");
		return NULL;
	}
	memset(&s, 0, sizeof(s));
	s.dir = path;
	s.map_bytes = setup->map_bytes;
	s.tables = table_names;
	s.table_count = SPOOL_TABLES;
	s.format = SPOOL_FORMAT;
	s.kind = "spool";
	failpoint("start.spool");
	d = db_open(&s, e);
	failpoint("start.opened");
	return d;
}

/* What was staged for messages that never came: theirs to be swept. */
static int
spool_recover_staging(struct spool_txn *t, struct err *e)
{
	struct db_cursor *c = db_cursor(t->db, SPOOL_STAGING, e);
	struct bytes	  key, value;
	int		  rc;

	if (c == NULL)
		return -1;
	rc = db_seek(c, BYTES(""), &key, &value, e);
	while (rc == 1) {
		if (key.n != 8) {
			rc = err_set(e, "spool: damaged staging row");
			break;
		}
		failpoint("start.staged");
		if (spool_leave_to_sweep(t, db_get_be64(key.p), e) < 0 ||
		    db_cursor_delete(c, e) < 0)
			rc = -1;
		else
			rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc;
}

/* A new store has none. */
static int
spool_read_state(struct spool_txn *t, struct err *e)
{
	struct spool *s = t->spool;
	struct bytes  value;
	int	      rc;

	rc = db_meta_get(t->db, "state", &value, e);
	if (rc == 1 && !record_read_state(value, &s->state))
		rc = err_set(e, "spool: damaged state row");
	if (rc == 0 && db_count(t->db, SPOOL_RECIPIENT) > 0)
		rc = err_set(e, "spool: the state row is missing");
	return rc;
}

static int
spool_recover(struct spool *s, struct err *e)
{
	struct spool_txn t;
	int		 rc;

	if (spool_begin(s, &t, e) < 0)
		return -1;
	rc = spool_read_state(&t, e);
	if (rc >= 0)
		rc = spool_redo_again(&t, e);
	if (rc == 1)
		rc = spool_read_state(&t, e);
	if (rc >= 0) {
		s->redo.number = s->state.redo;
		s->draft = s->state;
		rc = spool_recover_staging(&t, e);
	}
	if (rc < 0) {
		spool_abort(&t);
		return -1;
	}
	s->has_swept = db_count(t.db, SPOOL_SWEPT) > 0;
	failpoint("start.recovered");
	return spool_commit(&t, e);
}

static void
spool_init_meters(struct spool *s)
{
	s->meters.commit_seconds.bounds = commit_bounds;
	s->meters.commit_seconds.bound_count =
	    sizeof(commit_bounds) / sizeof(commit_bounds[0]);
	s->meters.commit_items.bounds = item_bounds;
	s->meters.commit_items.bound_count =
	    sizeof(item_bounds) / sizeof(item_bounds[0]);
}

struct spool *
spool_open(const struct spool_setup *setup, struct err *e)
{
	struct spool *s = mem_alloc(sizeof(*s));

	s->map_bytes = setup->map_bytes;
	spool_keep_raw(s, RAW_KEEP_MS);
	spool_retune(s, setup);
	spool_init_meters(s);
	spool_batch_init(s);
	spool_redo_init(s);
	s->loop = loop_new("spool-writer", SPOOL_FEED_MAX, e);
	if (s->loop == NULL)
		goto fail;
	must(loop_reserve(s->loop)); /* for spool_stop() */
	timer_init(&s->again, s->loop, spool_on_again, s);
	timer_init(&s->retry, s->loop, spool_on_retry, s);
	timer_init(&s->notes, s->loop, spool_on_notes, s);
	s->db = spool_open_db(setup, e);
	if (s->db == NULL || spool_redo_open(s, setup->dir, e) < 0 ||
	    spool_recover(s, e) < 0)
		goto fail;
	spool_look_for_room(s);
	return s;
fail:
	spool_close(s);
	return NULL;
}

int
spool_start(struct spool *s, struct err *e)
{
	must(!s->is_started);
	loop_on_pass_end(s->loop, spool_on_pass_end, s);
	timer_set(&s->retry, 0);
	if (spool_redo_start(s, e) < 0 || loop_start(s->loop, e) < 0)
		return -1;
	s->is_started = true;
	return 0;
}

static void
spool_on_stop(void *ctx, void *unused)
{
	struct spool *s = ctx;

	(void)unused;
	s->stop_asked = true;
}

void
spool_stop(struct spool *s)
{
	if (!s->is_started || atomic_exchange(&s->is_closed, true))
		return;
	loop_post_reserved(s->loop, spool_on_stop, s, NULL);
	loop_join(s->loop);
	s->is_started = false;
}

void
spool_close(struct spool *s)
{
	if (s == NULL)
		return;
	must(!s->is_started);
	spool_redo_stop(s);
	if (s->loop != NULL) {
		timer_clear(&s->again);
		timer_clear(&s->retry);
		timer_clear(&s->notes);
		loop_free(s->loop);
	}
	if (s->down_to.to != NULL && !atomic_load(&s->is_down))
		loop_unreserve(s->down_to.to);
	spool_batch_wipe(s);
	spool_redo_wipe(s);
	db_close(s->db);
	free(s);
}

void
spool_retune(struct spool *s, const struct spool_setup *to)
{
	atomic_store(&s->min_free, to->min_free);
	atomic_store(&s->messages_max, to->messages_max);
	atomic_store(&s->index_keep_ms, to->index_keep_ms);
	atomic_store(&s->tail_keep_ms, to->tail_keep_ms);
	atomic_store(&s->redo.mode, (int)to->redo_log);
	/* a full feed: its next batch looks anyway */
	if (s->loop != NULL)
		(void)loop_post(s->loop, spool_on_retry, s, NULL);
}

/* -- wiring ---------------------------------------------------------------- */

static void
listener_set(struct listener *l, struct spool *s, struct loop *to,
    loop_fn *fn, void *ctx)
{
	must(!s->is_started && l->to == NULL);
	l->spool = s;
	l->to = to;
	l->fn = fn;
	l->ctx = ctx;
	l->window.ms = INT64_MIN / 2; /* long ago */
}

void
spool_on_arrivals(struct spool *s, struct loop *to, loop_fn *fn, void *ctx)
{
	listener_set(&s->arrivals_to, s, to, fn, ctx);
}

void
spool_on_events(struct spool *s, struct loop *to, loop_fn *fn, void *ctx)
{
	must(s->event_listener_count < LISTENERS_MAX);
	listener_set(&s->events_to[s->event_listener_count++], s, to, fn, ctx);
}

void
spool_on_down(struct spool *s, struct loop *to, loop_fn *fn, void *ctx)
{
	listener_set(&s->down_to, s, to, fn, ctx);
	must(loop_reserve(to)); /* this note always has room */
}

bool
spool_took_missed(struct spool *s)
{
	return atomic_exchange(&s->has_missed, false);
}

/* -- what other threads hand in -------------------------------------------- */

static void
spool_take_submission(void *ctx, void *load)
{
	struct spool	  *s = ctx;
	struct submission *sub = load;

	sub->next = NULL;
	*s->submissions_end = sub;
	s->submissions_end = &sub->next;
	s->submissions_waiting++;
}

static void
spool_take_change(void *ctx, void *load)
{
	struct spool  *s = ctx;
	struct change *c = load;

	c->next = NULL;
	*s->changes_end = c;
	s->changes_end = &c->next;
}

static void
spool_take_stage(void *ctx, void *load)
{
	struct spool *s = ctx;
	struct stage *st = load;

	st->next = NULL;
	*s->stages_end = st;
	s->stages_end = &st->next;
}

static void
spool_take_move(void *ctx, void *load)
{
	struct spool	   *s = ctx;
	struct cursor_move *m = load;

	m->next = NULL;
	*s->moves_end = m;
	s->moves_end = &m->next;
}

static void
spool_take_sweep(void *ctx, void *load)
{
	struct spool *s = ctx;

	(void)load;
	s->has_swept = true; /* perhaps; a look costs little */
	if (s->sweep == SWEEP_IDLE)
		s->sweep = SWEEP_MAIL;
	else
		s->sweep_again = true;
}

/* With the place for the receipt. */
static bool
spool_lend(struct spool *s, struct loop *from, loop_fn *take, void *load)
{
	if (atomic_load(&s->is_closed) || !loop_reserve(from))
		return false;
	if (loop_post(s->loop, take, s, load))
		return true;
	loop_unreserve(from);
	return false;
}

bool
spool_submit(struct spool *s, struct submission *sub)
{
	must(sub->message != NULL && sub->message->envelope_count > 0);
	sub->refused_by = 0;
	return spool_lend(s, sub->from, spool_take_submission, sub);
}

bool
spool_stage(struct spool *s, struct stage *st)
{
	must(st->chunks != NULL && st->offset % CONTENT_PIECE == 0);
	return spool_lend(s, st->from, spool_take_stage, st);
}

bool
spool_change(struct spool *s, struct change *c)
{
	return spool_lend(s, c->from, spool_take_change, c);
}

/* Goes the way of the chunks, so that it comes after them. */
void
spool_discard(struct spool *s, uint64_t content)
{
	struct stage *st;

	if (content == 0 || atomic_load(&s->is_closed))
		return;
	st = mem_alloc(sizeof(*st));
	st->content = content;
	if (!loop_post(s->loop, spool_take_stage, s, st))
		free(st);
}

int
spool_move_cursor(struct spool *s, const char *name, uint64_t to)
{
	struct cursor_move *m;
	size_t		    n = strlen(name) + 1;

	if (atomic_load(&s->is_closed))
		return -1;
	m = mem_alloc(sizeof(*m) + n);
	m->to = to;
	memcpy(m->name, name, n);
	if (loop_post(s->loop, spool_take_move, s, m))
		return 0;
	free(m);
	return -1;
}

void
spool_sweep(struct spool *s)
{
	db_reader_check(s->db);
	/* a full feed: the next minute comes */
	if (!atomic_load(&s->is_closed))
		(void)loop_post(s->loop, spool_take_sweep, s, NULL);
}

enum receipt_result
spool_has_room(struct spool *s, uint64_t octets)
{
	if (atomic_load(&s->is_down))
		return RECEIPT_DOWN;
	if (octets > atomic_load(&s->room_seen) ||
	    atomic_load(&s->room_seen) == 0)
		return RECEIPT_FULL;
	if (atomic_load(&s->messages_seen) >= atomic_load(&s->messages_max))
		return RECEIPT_BUSY;
	return RECEIPT_OK;
}

/* -- figures --------------------------------------------------------------- */

int
spool_figures(struct spool *s, struct spool_figures *out, struct err *e)
{
	struct db_figures f;
	struct state_row  state;
	struct db_txn	 *t;
	struct bytes	  value;
	int		  rc;

	memset(out, 0, sizeof(*out));
	memset(&state, 0, sizeof(state));
	if (db_figures(s->db, &f, e) < 0)
		return -1;
	t = db_read(s->db, e);
	if (t == NULL)
		return -1;
	rc = db_meta_get(t, "state", &value, e);
	if (rc == 1 && !record_read_state(value, &state))
		rc = err_set(e, "spool: damaged state row");
	db_end(t);
	if (rc < 0)
		return -1;
	out->messages = state.messages;
	out->recipients = state.recipients;
	out->held = state.held;
	out->deferred = state.deferred;
	out->bytes = state.bytes;
	out->map_bytes = f.map_bytes;
	out->used_bytes = f.used_bytes;
	out->free_page_bytes = f.free_page_bytes;
	out->disk_free_bytes = f.disk_free_bytes;
	out->commits = meter_get(&s->commits);
	out->committed_items = meter_get(&s->items);
	return 0;
}

const struct spool_meters *
spool_meters(const struct spool *s)
{
	return &s->meters;
}

int
spool_backup(struct spool *s, int fd, struct err *e)
{
	return db_copy(s->db, fd, e);
}

size_t
spool_pieces(uint64_t octets)
{
	return (size_t)((octets + CONTENT_PIECE - 1) / CONTENT_PIECE);
}

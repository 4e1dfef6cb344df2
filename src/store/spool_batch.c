/* SPDX-License-Identifier: ISC */
/*
 * The writer: what has gathered in a pass is committed at its end in one
 * transaction, changes first, then submissions, then staged chunks; then the
 * receipts go out.  Without space the changes are tried alone and again
 * every second, the rest one by one; any other error is the end.
 */
#include "store/spool_private.h"

#include <stdlib.h>
#include <string.h>

#include "base/failpoint.h"
#include "base/log.h"

enum {
	RETRY_MS = 1000,
	NOTE_RETRY_MS = 100,
	NOTE_WINDOW_MS = 250,
	NOTES_MAX = 24, /* in a window */
	IDLE_LOOK_MS = 10000,
	FULL_LOG_MS = 60000,
	FULL_IN_A_ROW = 3, /* then the rest of a batch is not tried */
	MOVES_MAX = 64,
	ROW_MAX = 4 << 20,
	ARRIVALS_FIRST = 8
};

void
spool_batch_init(struct spool *s)
{
	s->changes_end = &s->changes_first;
	s->submissions_end = &s->submissions_first;
	s->stages_end = &s->stages_first;
	s->moves_end = &s->moves_first;
	s->counters = table_new(0);
	buf_init(&s->row, ROW_MAX);
	buf_init(&s->old, ROW_MAX);
}

static void
spool_free_moves(struct spool *s)
{
	struct cursor_move *m;

	while ((m = s->moves_first) != NULL) {
		s->moves_first = m->next;
		free(m);
	}
	s->moves_end = &s->moves_first;
}

void
spool_batch_wipe(struct spool *s)
{
	spool_free_moves(s);
	spool_counters_wipe(s);
	table_free(s->counters);
	buf_wipe(&s->row);
	buf_wipe(&s->old);
	free(s->arrivals);
}

/* -- the transaction ------------------------------------------------------- */

int
spool_begin(struct spool *s, struct spool_txn *t, struct err *e)
{
	memset(t, 0, sizeof(*t));
	t->spool = s;
	t->now = loop_wall(s->loop);
	t->db = db_write(s->db, e);
	if (t->db == NULL)
		return -1;
	s->draft = s->state;
	if (s->draft.committed < t->now.ms)
		s->draft.committed = t->now.ms;
	if (s->draft.redo < s->redo.number) /* its commit was lost */
		s->draft.redo = s->redo.number;
	return 0;
}

void
spool_abort(struct spool_txn *t)
{
	db_cursor_close(t->chunks);
	t->chunks = NULL;
	spool_redo_drop(t->spool);
	db_end(t->db);
	spool_counters_settle(t->spool, false);
}

static bool
spool_state_differs(const struct spool *s)
{
	struct state_row a = s->draft;

	a.committed = s->state.committed; /* alone not worth a commit */
	return memcmp(&a, &s->state, sizeof(a)) != 0;
}

int
spool_commit(struct spool_txn *t, struct err *e)
{
	struct spool *s = t->spool;
	int64_t	      began;

	failpoint("commit.begin");
	db_cursor_close(t->chunks);
	t->chunks = NULL;
	if (spool_flush_counters(t, e) < 0) {
		spool_abort(t);
		return -1;
	}
	failpoint("commit.counted");
	if (spool_state_differs(s)) {
		buf_clear(&s->row);
		record_write_state(&s->draft, &s->row);
		if (db_meta_put(t->db, "state", buf_bytes(&s->row), e) < 0) {
			spool_abort(t);
			return -1;
		}
	}
	spool_redo_write(s);
	failpoint("commit.before");
	began = clock_mono_us();
	if (db_commit(t->db, e) < 0) {
		spool_counters_settle(s, false);
		return -1;
	}
	spool_redo_note(s, clock_mono_us() - began);
	failpoint("commit.after");
	s->state = s->draft;
	atomic_store(&s->messages_seen, s->state.messages);
	spool_counters_settle(s, true);
	return 0;
}

/* -- taking a batch -------------------------------------------------------- */

static void
spool_take_changes(struct spool *s)
{
	struct change *c;
	size_t	       items = 0;

	s->change_count = 0;
	while (!s->changes_wait && (c = s->changes_first) != NULL &&
	    s->change_count < BATCH_CHANGES && items < BATCH_ITEMS) {
		s->changes_first = c->next;
		if (c->next == NULL)
			s->changes_end = &s->changes_first;
		items += c->count;
		s->changes[s->change_count++] = c;
	}
}

static int
submission_cmp(const void *a, const void *b)
{
	const struct submission *const *x = a, *const *y = b;

	return msgid_cmp(&(*x)->message->id, &(*y)->message->id);
}

/* In the order of their ids, so that their rows append. */
static void
spool_take_submissions(struct spool *s)
{
	struct submission *sub;
	uint64_t	   octets = 0;

	s->submission_count = 0;
	while ((sub = s->submissions_first) != NULL &&
	    s->submission_count < BATCH_SUBMISSIONS &&
	    octets < BATCH_OCTETS) {
		s->submissions_first = sub->next;
		if (sub->next == NULL)
			s->submissions_end = &s->submissions_first;
		octets += sub->message->head.n + message_memory(sub->message);
		s->submissions[s->submission_count++] = sub;
		s->submissions_waiting--;
	}
	if (s->submission_count > 1)
		qsort(s->submissions, s->submission_count,
		    sizeof(s->submissions[0]), submission_cmp);
}

static void
spool_take_stages(struct spool *s)
{
	struct stage	   *st;
	const struct chunk *c;
	uint64_t	    octets = 0;

	s->stage_count = 0;
	while ((st = s->stages_first) != NULL &&
	    s->stage_count < BATCH_STAGES && octets < BATCH_STAGED_OCTETS) {
		s->stages_first = st->next;
		if (st->next == NULL)
			s->stages_end = &s->stages_first;
		for (c = st->chunks; c != NULL; c = c->next)
			octets += c->n;
		s->stages[s->stage_count++] = st;
	}
}

/* The part of a batch that goes into one transaction. */
struct span {
	size_t change, change_end;
	size_t submission, submission_end;
	size_t stage, stage_end;
	size_t moves;
	bool   is_answered; /* its submissions, by the redo log */
};

static size_t
spool_count_moves(const struct spool *s)
{
	const struct cursor_move *m;
	size_t			  n = 0;

	if (s->changes_wait) /* they need space as well */
		return 0;
	for (m = s->moves_first; m != NULL && n < MOVES_MAX; m = m->next)
		n++;
	return n;
}

static bool
span_is_empty(const struct span *p)
{
	return p->change == p->change_end &&
	    p->submission == p->submission_end && p->stage == p->stage_end &&
	    p->moves == 0;
}

static size_t
span_items(const struct spool *s, const struct span *p)
{
	size_t i, n = p->submission_end - p->submission + p->stage_end -
	    p->stage + p->moves;

	for (i = p->change; i < p->change_end; i++)
		n += s->changes[i]->count;
	return n;
}

/* -- one transaction ------------------------------------------------------- */

static int
spool_write_moves(struct spool_txn *t, size_t n, struct err *e)
{
	struct cursor_move *m = t->spool->moves_first;

	for (; n > 0; n--, m = m->next)
		if (spool_write_cursor(t, m->name, m->to, e) < 0)
			return -1;
	return 0;
}

static int
spool_write_span(struct spool_txn *t, const struct span *p, struct err *e)
{
	struct spool *s = t->spool;
	size_t	      i;

	for (i = p->change; i < p->change_end; i++)
		if (spool_write_change(t, s->changes[i], e) < 0)
			return -1;
	for (i = p->submission; i < p->submission_end; i++)
		if (spool_write_submission(t, s->submissions[i],
			&s->is_admitted[i], e) < 0)
			return -1;
	for (i = p->stage; i < p->stage_end; i++) {
		s->staged_as[i] = s->stages[i]->content;
		if (spool_write_stage(t, s->stages[i], &s->staged_as[i],
			e) < 0)
			return -1;
	}
	return spool_write_moves(t, p->moves, e);
}

/* Backwards: what was admitted last is taken back first. */
static void
spool_undo_span(struct spool *s, const struct span *p)
{
	struct submission *sub;
	size_t		   i;

	for (i = p->submission_end; i > p->submission; i--) {
		sub = s->submissions[i - 1];
		if (s->is_admitted[i - 1] && sub->undo != NULL)
			sub->undo(sub);
		s->is_admitted[i - 1] = false;
	}
}

static int
spool_try_span(struct spool *s, struct span *p, struct err *e)
{
	struct spool_txn t;
	int64_t		 began = clock_mono_us(), ended;
	size_t		 i, arrivals, items = span_items(s, p);
	int		 rc;

	arrivals = s->arrivals == NULL ? 0 : s->arrivals->count;
	for (i = p->submission; i < p->submission_end; i++)
		s->is_admitted[i] = false;
	p->is_answered = false;
	if (spool_begin(s, &t, e) < 0)
		return -1;
	rc = spool_redo_begin(&t, s->submissions + p->submission,
	    p->submission_end - p->submission, e);
	if (rc == 0)
		rc = spool_write_span(&t, p, e);
	if (rc < 0)
		spool_abort(&t);
	else
		rc = spool_commit(&t, e);
	p->is_answered = spool_redo_end(s);
	if (rc < 0 && p->is_answered) {
		e->code = DB_DOWN; /* promised: the next start does it */
		return -1;
	}
	if (rc < 0) {
		spool_undo_span(s, p);
		if (s->arrivals != NULL)
			s->arrivals->count = arrivals;
		return -1;
	}
	ended = clock_mono_us();
	gather_note(&s->gather, p->submission_end - p->submission,
	    loop_feed_depth(s->loop), began, ended);
	meter_add(&s->commits, 1);
	meter_add(&s->items, items);
	meter_observe(&s->meters.commit_seconds, (double)(ended - began) / 1e6);
	meter_observe(&s->meters.commit_items, (double)items);
	return 0;
}

/* -- receipts -------------------------------------------------------------- */

static void
change_answer(struct change *c, enum receipt_result result)
{
	c->result = result;
	loop_post_reserved(c->from, c->on_receipt, c->ctx, c);
}

void
submission_answer(struct submission *sub)
{
	loop_post_reserved(sub->from, sub->on_receipt, sub->ctx, sub);
}

static void
stage_answer(struct stage *st, enum receipt_result result)
{
	chunk_free_all(st->chunks);
	st->chunks = NULL;
	st->result = result;
	if (st->from == NULL)
		free(st); /* a discard */
	else
		loop_post_reserved(st->from, st->on_receipt, st->ctx, st);
}

static void
spool_answer_span(struct spool *s, const struct span *p)
{
	struct cursor_move *m;
	struct stage	   *st;
	size_t		    i;

	for (i = p->change; i < p->change_end; i++)
		change_answer(s->changes[i], RECEIPT_OK);
	for (i = p->submission; i < p->submission_end && !p->is_answered; i++)
		submission_answer(s->submissions[i]);
	for (i = p->stage; i < p->stage_end; i++) {
		st = s->stages[i];
		if (st->result == RECEIPT_OK)
			st->content = s->staged_as[i];
		stage_answer(st, st->result);
	}
	for (i = 0; i < p->moves; i++) {
		m = s->moves_first;
		s->moves_first = m->next;
		if (m->next == NULL)
			s->moves_end = &s->moves_first;
		free(m);
	}
}

/* Nothing of it was written. */
static void
spool_refuse_span(struct spool *s, const struct span *p,
    enum receipt_result result)
{
	size_t i;

	for (i = p->change; i < p->change_end; i++)
		change_answer(s->changes[i], result);
	for (i = p->submission; i < p->submission_end && !p->is_answered;
	     i++) {
		s->submissions[i]->result = result;
		submission_answer(s->submissions[i]);
	}
	for (i = p->stage; i < p->stage_end; i++)
		stage_answer(s->stages[i], result);
}

/* -- notes ----------------------------------------------------------------- */

static void
listener_on_note(void *ctx, void *unused)
{
	struct listener *l = ctx;

	/* first: a commit from now on makes a note of its own */
	atomic_store(&l->is_under_way, false);
	l->fn(l->ctx, unused);
}

/* Looks again in ms; an earlier look stays. */
static void
listener_wait(struct listener *l, int64_t ms)
{
	l->is_waiting = true;
	if (!timer_is_set(&l->spool->notes))
		timer_set(&l->spool->notes, ms);
}

/*
 * A few notes go at once; a busy store makes hundreds of commits a second,
 * and who were told of each would read a row or two at a time.
 */
static void
listener_note(struct listener *l)
{
	struct mono now = loop_now(l->spool->loop);

	if (now.ms - l->window.ms >= NOTE_WINDOW_MS) {
		l->window = now;
		l->notes = 0;
	}
	if (l->notes >= NOTES_MAX) {
		listener_wait(l, l->window.ms + NOTE_WINDOW_MS - now.ms);
		return;
	}
	l->is_waiting = false;
	if (atomic_exchange(&l->is_under_way, true))
		return;
	if (loop_post(l->to, listener_on_note, l, NULL)) {
		l->notes++;
		return;
	}
	atomic_store(&l->is_under_way, false);
	listener_wait(l, NOTE_RETRY_MS);
}

void
spool_on_notes(void *ctx, void *unused)
{
	struct spool *s = ctx;
	unsigned      i;

	(void)unused;
	for (i = 0; i < s->event_listener_count; i++)
		if (s->events_to[i].is_waiting)
			listener_note(&s->events_to[i]);
}

static void
spool_post_arrivals(struct spool *s)
{
	struct listener *l = &s->arrivals_to;

	if (s->arrivals == NULL || s->arrivals->count == 0)
		return;
	if (!loop_post(l->to, l->fn, l->ctx, s->arrivals)) {
		mem_free(s->arrivals);
		atomic_store(&s->has_missed, true);
	}
	s->arrivals = NULL;
	s->arrival_cap = 0;
}

void
spool_fill_arrival(struct arrival *a, const struct due_key *k,
    const struct due_row *d)
{
	a->id = k->id;
	a->n = k->n;
	a->due = k->due;
	a->size = d->size;
	memcpy(a->account, d->account, sizeof(a->account));
	a->tls_policy = d->tls_policy;
	a->system = d->system;
	a->simulator = d->simulator;
	a->suppressed = d->suppressed;
	a->lists_seen = 0;
	a->config_set = d->config_set;
	bytes_text(d->pool, a->pool, sizeof(a->pool));
	bytes_text(d->domain, a->domain, sizeof(a->domain));
}

struct arrival *
spool_add_arrival(struct spool *s, const struct due_key *k,
    const struct due_row *d)
{
	size_t n = s->arrivals == NULL ? 0 : s->arrivals->count;

	if (s->arrivals_to.to == NULL)
		return NULL;
	if (n == s->arrival_cap) {
		s->arrival_cap = n == 0 ? ARRIVALS_FIRST : n * 4;
		s->arrivals = mem_realloc(s->arrivals, sizeof(*s->arrivals) +
		    s->arrival_cap * sizeof(s->arrivals->v[0]));
		s->arrivals->count = n;
	}
	spool_fill_arrival(&s->arrivals->v[n], k, d);
	s->arrivals->count = n + 1;
	return &s->arrivals->v[n];
}

/* After a commit.  Receipts come first: somebody waits for his 250. */
static void
spool_tell(struct spool *s, const struct span *p, uint64_t sequence_before)
{
	unsigned i;

	failpoint("tell.begin");
	spool_answer_span(s, p);
	failpoint("tell.answered");
	spool_post_arrivals(s);
	failpoint("tell.arrived");
	if (s->state.sequence == sequence_before && !s->has_intake)
		return;
	s->has_intake = false;
	for (i = 0; i < s->event_listener_count; i++)
		listener_note(&s->events_to[i]);
}

/* -- trouble --------------------------------------------------------------- */

void
spool_go_down(struct spool *s, const struct err *e)
{
	struct listener *l = &s->down_to;
	char		 quoted[LOG_QUOTE_SIZE];

	if (atomic_exchange(&s->is_down, true))
		return;
	log_error("store-down", "store=spool error=%s",
	    log_quote(bytes_of(e->text), quoted));
	if (l->to != NULL)
		loop_post_reserved(l->to, l->fn, l->ctx, NULL);
}

static void
spool_log_full(struct spool *s, const struct err *e)
{
	struct mono now = loop_now(s->loop);
	char	    quoted[LOG_QUOTE_SIZE];

	if (s->full_logged.ms != 0 &&
	    now.ms - s->full_logged.ms < FULL_LOG_MS)
		return;
	s->full_logged = now;
	log_error("store-full", "store=spool error=%s",
	    log_quote(bytes_of(e->text), quoted));
}

/* Back to the front, in their order. */
static void
spool_put_back_changes(struct spool *s, size_t from)
{
	struct change *c;
	size_t	       i;

	for (i = s->change_count; i > from; i--) {
		c = s->changes[i - 1];
		c->next = s->changes_first;
		if (s->changes_first == NULL)
			s->changes_end = &c->next;
		s->changes_first = c;
	}
}

/* One transaction; true = it went well, or the store is down. */
static bool
spool_run_alone(struct spool *s, struct span *p, struct err *e)
{
	uint64_t before = s->state.sequence;

	if (spool_try_span(s, p, e) == 0) {
		spool_tell(s, p, before);
		return true;
	}
	if (e->code == DB_FULL)
		return false;
	spool_go_down(s, e);
	spool_refuse_span(s, p, RECEIPT_DOWN);
	return true;
}

/*
 * A batch found no space.  Changes must get through: what does not will be
 * tried again; until then it is in flight, as after a crash.
 */
static void
spool_run_one_by_one(struct spool *s, struct err *e)
{
	struct span p;
	size_t	    i, full = 0;

	memset(&p, 0, sizeof(p));
	for (i = 0; i < s->change_count; i++) {
		p.change = i;
		p.change_end = i + 1;
		if (spool_run_alone(s, &p, e))
			continue;
		spool_put_back_changes(s, i);
		full = FULL_IN_A_ROW;
		break;
	}
	p.change = p.change_end;
	p.moves = full == 0 ? spool_count_moves(s) : 0;
	if (full > 0 || (p.moves > 0 && !spool_run_alone(s, &p, e))) {
		s->changes_wait = true;
		timer_set(&s->retry, RETRY_MS);
	}
	p.moves = 0;
	for (i = 0; i < s->submission_count; i++) {
		p.submission = i;
		p.submission_end = i + 1;
		if (full < FULL_IN_A_ROW && spool_run_alone(s, &p, e)) {
			full = 0;
			continue;
		}
		full++;
		spool_refuse_span(s, &p, RECEIPT_FULL);
	}
	p.submission = p.submission_end;
	for (i = 0; i < s->stage_count; i++) {
		p.stage = i;
		p.stage_end = i + 1;
		if (full < FULL_IN_A_ROW && spool_run_alone(s, &p, e)) {
			full = 0;
			continue;
		}
		full++;
		spool_refuse_span(s, &p, RECEIPT_FULL);
	}
}

/* -- the pass -------------------------------------------------------------- */

static void
spool_run_batch(struct spool *s)
{
	uint64_t    before = s->state.sequence;
	struct span all;
	struct err  e;

	spool_take_changes(s);
	spool_take_submissions(s);
	spool_take_stages(s);
	all = (struct span){ 0, s->change_count, 0, s->submission_count, 0,
		s->stage_count, spool_count_moves(s), false };
	if (span_is_empty(&all))
		return;
	spool_look_for_room(s);
	if (spool_try_span(s, &all, &e) == 0) {
		spool_tell(s, &all, before);
		return;
	}
	if (e.code != DB_FULL) {
		spool_go_down(s, &e);
		spool_refuse_span(s, &all, RECEIPT_DOWN);
		return;
	}
	spool_log_full(s, &e);
	spool_run_one_by_one(s, &e);
}

/* The store is down, or ends with changes that found no space. */
static void
spool_refuse_all(struct spool *s)
{
	struct span all;

	do {
		s->changes_wait = false;
		spool_take_changes(s);
		spool_take_submissions(s);
		spool_take_stages(s);
		all = (struct span){ 0, s->change_count, 0,
			s->submission_count, 0, s->stage_count, 0, false };
		spool_refuse_span(s, &all, RECEIPT_DOWN);
	} while (!span_is_empty(&all));
	spool_free_moves(s);
}

static bool
spool_has_work(const struct spool *s)
{
	bool has_changes = s->changes_first != NULL || s->moves_first != NULL;

	return (has_changes && !s->changes_wait) ||
	    s->submissions_first != NULL || s->stages_first != NULL;
}

void
spool_on_pass_end(void *ctx, void *unused)
{
	struct spool *s = ctx;
	int64_t	      wait_ms;

	(void)unused;
	if (!s->stop_asked && gather_holds(&s->gather,
		s->submissions_waiting, clock_mono_us(), &wait_ms)) {
		timer_set(&s->again, wait_ms);
		return;
	}
	if (!atomic_load(&s->is_down))
		spool_run_batch(s);
	if (!atomic_load(&s->is_down) && spool_has_sweeping(s) &&
	    !s->stop_asked)
		spool_sweep_portion(s);
	if (atomic_load(&s->is_down))
		spool_refuse_all(s);
	if (spool_has_work(s)) {
		timer_set(&s->again, 0);
	} else if (s->changes_wait && s->stop_asked && !s->is_last_try) {
		s->is_last_try = true;
		s->changes_wait = false;
		timer_set(&s->again, 0);
	} else if (s->stop_asked) {
		spool_refuse_all(s);
		loop_stop(s->loop);
	} else if (spool_has_sweeping(s) && !atomic_load(&s->is_down)) {
		timer_set(&s->again, 0);
	}
}

/* The hook at the end of this pass does the work. */
void
spool_on_again(void *ctx, void *unused)
{
	(void)ctx;
	(void)unused;
}

/* Once a second while something waits, else now and then for has_room(). */
void
spool_on_retry(void *ctx, void *unused)
{
	struct spool *s = ctx;

	(void)unused;
	s->changes_wait = false;
	spool_look_for_room(s);
	timer_set(&s->retry, s->map_looked.ms != 0 || s->room == 0 ?
	    RETRY_MS : IDLE_LOOK_MS);
}

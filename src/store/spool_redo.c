/* SPDX-License-Identifier: ISC */
/*
 * The redo log in use.  On a slow disk a thread of its own lays the rows of a
 * batch into the log while the writer commits them; whoever is done first
 * answers the submissions.  One batch at a time: the next one begins when
 * this one is in the store.  A commit that fails after the log has answered
 * leaves a promise: the store goes down, and the next start does the
 * transaction again.
 *
 * A number that was given to the log goes into the store with the next commit
 * of any kind, so that nothing is done again on top of something newer.
 */
#include <stdio.h>
#include <string.h>
#include <time.h>

#include "base/failpoint.h"
#include "base/log.h"
#include "store/spool_private.h"

enum {
	REDO_SLOW_US = 2000, /* a commit that is slow enough for it */
	REDO_SHARE = 8,	     /* of what is new in the mean of commits */
	REDO_ROWS_MAX = 32 << 20,
	REDO_FAILED_MS = 60000,
	CATCH_UP_S = 1
};

/* -- at start -------------------------------------------------------------- */

void
spool_redo_init(struct spool *s)
{
	s->redo.spool = s;
	must(pthread_mutex_init(&s->redo.lock, NULL) == 0);
	must(pthread_cond_init(&s->redo.caught_up, NULL) == 0);
	buf_init(&s->redo.rows, REDO_ROWS_MAX);
}

int
spool_redo_open(struct spool *s, const char *dir, struct err *e)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/spool/redo", dir) >=
	    (int)sizeof(path))
		return err_set(e, "store.dir: name too long");
	s->redo.log = redo_open(path, e);
	return s->redo.log == NULL ? -1 : 0;
}

void
spool_redo_wipe(struct spool *s)
{
	redo_close(s->redo.log);
	buf_wipe(&s->redo.rows);
	pthread_cond_destroy(&s->redo.caught_up);
	pthread_mutex_destroy(&s->redo.lock);
}

/* Is the store as it was before the transaction?  1, 0, -1. */
static int
spool_redo_fits(struct spool_txn *t, struct bytes *rows, struct err *e)
{
	struct bytes	stored = BYTES("");
	struct redo_row row;

	if (redo_next(rows, &row) != 1 || row.kind != REDO_BASE)
		return err_set(e, "spool: damaged redo log");
	if (db_meta_get(t->db, "state", &stored, e) < 0)
		return -1;
	return bytes_eq(stored, row.value) ? 1 : 0;
}

int
spool_redo_again(struct spool_txn *t, struct err *e)
{
	struct spool *s = t->spool;
	struct bytes  rows;
	uint64_t      number;
	int	      rc;

	rc = redo_read(s->redo.log, &number, &s->redo.rows, e);
	rows = buf_bytes(&s->redo.rows);
	if (rc == 1 && number <= s->state.redo)
		rc = 0; /* its commit was not lost */
	if (rc == 1)
		rc = spool_redo_fits(t, &rows, e);
	if (rc == 1 && db_apply(t->db, rows, e) < 0)
		rc = -1;
	if (rc == 1)
		log_info("store-redone", "store=spool number=%llu octets=%zu",
		    (unsigned long long)number, rows.n);
	buf_clear(&s->redo.rows);
	return rc;
}

int
spool_redo_start(struct spool *s, struct err *e)
{
	s->redo.job.asker = s->loop;
	s->redo.worker = workers_new(1, 1, e);
	return s->redo.worker == NULL ? -1 : 0;
}

void
spool_redo_stop(struct spool *s)
{
	workers_free(s->redo.worker);
	s->redo.worker = NULL;
}

/* -- the thread ------------------------------------------------------------ */

/* true = the submissions are the caller's to answer. */
static bool
spool_redo_claim(struct spool_redo *r)
{
	return !atomic_exchange(&r->is_answered, true);
}

/* Before the first answer, and when the commit has ended. */
static void
spool_redo_set_ahead(struct spool_redo *r, bool is_ahead)
{
	pthread_mutex_lock(&r->lock);
	r->is_ahead = is_ahead;
	if (!is_ahead)
		pthread_cond_broadcast(&r->caught_up);
	pthread_mutex_unlock(&r->lock);
}

void
spool_catch_up(struct spool *s)
{
	struct spool_redo *r = &s->redo;
	struct timespec	   until;
	int		   rc = 0;

	clock_gettime(CLOCK_REALTIME, &until);
	until.tv_sec += CATCH_UP_S;
	pthread_mutex_lock(&r->lock);
	while (r->is_ahead && rc == 0)
		rc = pthread_cond_timedwait(&r->caught_up, &r->lock, &until);
	pthread_mutex_unlock(&r->lock);
}

static void
spool_redo_run(struct job *j)
{
	struct spool_redo *r = (struct spool_redo *)(void *)j;
	size_t		   i;

	r->rc = redo_write(r->log, r->number, buf_bytes(&r->rows), &r->err);
	failpoint("redo.written");
	if (r->rc < 0)
		return;
	/* first: by the time of the claim it is known who has to end it */
	spool_redo_set_ahead(r, true);
	if (!spool_redo_claim(r)) {
		spool_redo_set_ahead(r, false);
		return;
	}
	for (i = 0; i < r->count; i++)
		submission_answer(r->submissions[i]);
	failpoint("redo.answered");
}

static void
spool_redo_done(void *job, void *unused)
{
	struct spool_redo *r = job;
	char		   quoted[LOG_QUOTE_SIZE];

	(void)unused;
	r->is_under_way = false;
	r->failed.ms = 0;
	if (r->rc == 0)
		return;
	r->failed = loop_now(r->spool->loop);
	log_warn("store-redo", "store=spool error=%s",
	    log_quote(bytes_of(r->err.text), quoted));
}

/* -- the writer ------------------------------------------------------------ */

static bool
spool_redo_is_wanted(const struct spool *s)
{
	const struct spool_redo *r = &s->redo;
	int64_t now = loop_now(s->loop).ms;

	if (r->worker == NULL || r->is_under_way ||
	    (r->failed.ms != 0 && now - r->failed.ms < REDO_FAILED_MS))
		return false;
	switch (atomic_load(&r->mode)) {
	case REDO_NEVER:
		return false;
	case REDO_ALWAYS:
		return true;
	default:
		return r->commit_us >= REDO_SLOW_US;
	}
}

int
spool_redo_begin(struct spool_txn *t, struct submission **v, size_t count,
    struct err *e)
{
	struct spool	  *s = t->spool;
	struct spool_redo *r = &s->redo;
	struct bytes	   stored = BYTES("");

	if (count == 0 || !spool_redo_is_wanted(s))
		return 0;
	if (db_meta_get(t->db, "state", &stored, e) < 0)
		return -1;
	memcpy(r->submissions, v, count * sizeof(*v));
	r->count = count;
	buf_clear(&r->rows);
	redo_base(&r->rows, BYTES("state"), stored);
	db_record(s->db, &r->rows);
	r->is_recording = true;
	s->draft.redo = r->number + 1;
	return 0;
}

void
spool_redo_drop(struct spool *s)
{
	db_record(s->db, NULL);
	s->redo.is_recording = false;
}

void
spool_redo_write(struct spool *s)
{
	struct spool_redo *r = &s->redo;

	if (!r->is_recording)
		return;
	spool_redo_drop(s);
	r->number = s->draft.redo;
	if (r->rows.failed)
		return; /* a batch too large for it */
	r->rc = 0;
	r->job.run = spool_redo_run;
	r->job.done = spool_redo_done;
	atomic_store(&r->is_answered, false);
	r->is_given = r->is_under_way = workers_post(r->worker, &r->job);
}

bool
spool_redo_end(struct spool *s)
{
	struct spool_redo *r = &s->redo;
	bool		   was_given = r->is_given;

	r->is_given = false;
	if (!was_given || spool_redo_claim(r))
		return false;
	spool_redo_set_ahead(r, false);
	return true;
}

void
spool_redo_note(struct spool *s, int64_t commit_us)
{
	s->redo.commit_us += (commit_us - s->redo.commit_us) / REDO_SHARE;
}

/* SPDX-License-Identifier: ISC */
/*
 * Counters by scope and minute.  Beside its buckets each scope has one row
 * with their sum from a floor on, so that a sum over a day costs one read and
 * the few buckets that have left the window since.  The writer keeps the
 * scopes it has touched in memory and writes them once a commit.
 *
 * What holds: row.sum is the sum of all buckets of minute >= row.floor; of
 * these the one of .minute may stand in .count alone, not yet in the store,
 * and then .is_dirty is set.  What a transaction has changed is in the list
 * s->dirty, and is forgotten when the transaction is lost.
 */
#include "store/spool_private.h"

#include <stdlib.h>
#include <string.h>

enum { COUNTERS_KEPT_MAX = 50000, SCOPE_MAX = 200, VALUE_SIZE = 8 };
#define MINUTE_NONE INT64_C(-2)

/* -- rows ------------------------------------------------------------------ */

/* 0 when there is no such bucket. */
static int
counter_get(struct db_txn *t, struct bytes scope, int64_t minute, int64_t *n,
    struct err *e)
{
	struct record_key k;
	struct bytes	  value;
	int		  rc;

	*n = 0;
	rc = db_get(t, SPOOL_COUNTER, record_key_counter(&k, scope, minute),
	    &value, e);
	if (rc == 1 && !record_read_count(value, n))
		return err_set(e, "spool: damaged counter");
	return rc < 0 ? -1 : 0;
}

/* The sum row; all 0 when the scope has none: 1, 0, -1. */
static int
counter_get_row(struct db_txn *t, struct bytes scope, struct counter_row *r,
    struct err *e)
{
	struct record_key k;
	struct bytes	  value;
	int		  rc;

	memset(r, 0, sizeof(*r));
	rc = db_get(t, SPOOL_COUNTER,
	    record_key_counter(&k, scope, COUNTER_SUM), &value, e);
	if (rc == 1 && !record_read_counter(value, r))
		return err_set(e, "spool: damaged counter");
	return rc;
}

/* Sum of the buckets from..to as they stand in the store. */
static int
counter_scan(struct db_txn *t, struct bytes scope, int64_t from, int64_t to,
    int64_t *sum, struct err *e)
{
	struct db_cursor *c;
	struct record_key k, last;
	struct bytes	  key, value, end;
	int64_t		  n;
	int		  rc;

	*sum = 0;
	if (from > to)
		return 0;
	c = db_cursor(t, SPOOL_COUNTER, e);
	if (c == NULL)
		return -1;
	end = record_key_counter(&last, scope, to);
	rc = db_seek(c, record_key_counter(&k, scope, from), &key, &value, e);
	while (rc == 1 && bytes_cmp(key, end) <= 0) {
		if (!record_read_count(value, &n)) {
			rc = err_set(e, "spool: damaged counter");
			break;
		}
		*sum += n;
		rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc < 0 ? -1 : 0;
}

/* -- the writer's memory --------------------------------------------------- */

/* A failed read or write: admit() can say only -1, the rest stands here. */
static int
counter_lost(struct spool_txn *t, const struct err *e)
{
	t->is_lost = true;
	t->err = *e;
	return -1;
}

static struct counter *
counter_open(struct spool_txn *t, struct bytes scope, struct err *e)
{
	struct spool   *s = t->spool;
	struct counter *c = table_get(s->counters, scope);
	int		rc;

	if (c != NULL)
		return c;
	must(scope.n > 0 && scope.n <= SCOPE_MAX);
	c = mem_alloc(sizeof(*c) + scope.n);
	memcpy(c + 1, scope.p, scope.n);
	c->scope = (struct bytes){ (const char *)(c + 1), scope.n };
	c->minute = MINUTE_NONE;
	rc = counter_get_row(t->db, scope, &c->row, e);
	if (rc < 0) {
		free(c);
		counter_lost(t, e);
		return NULL;
	}
	must(table_put(s->counters, scope, c));
	return c;
}

static void
counter_list(struct spool *s, struct counter *c)
{
	if (c->is_listed)
		return;
	c->is_listed = true;
	c->next_dirty = s->dirty;
	s->dirty = c;
}

/* Writes what the memory has ahead of the store. */
static int
counter_flush(struct spool_txn *t, struct counter *c, struct err *e)
{
	struct spool	 *s = t->spool;
	struct record_key k;
	char		  value[VALUE_SIZE];

	if (!c->is_dirty)
		return 0;
	db_put_be64(value, (uint64_t)c->count);
	if (c->minute != MINUTE_NONE &&
	    db_put(t->db, SPOOL_COUNTER,
		record_key_counter(&k, c->scope, c->minute),
		(struct bytes){ value, sizeof(value) }, false, e) < 0)
		return -1;
	buf_clear(&s->row);
	record_write_counter(&c->row, &s->row);
	if (db_put(t->db, SPOOL_COUNTER,
		record_key_counter(&k, c->scope, COUNTER_SUM),
		buf_bytes(&s->row), false, e) < 0)
		return -1;
	c->is_dirty = false;
	return 0;
}

int
spool_flush_counters(struct spool_txn *t, struct err *e)
{
	struct counter *c;

	for (c = t->spool->dirty; c != NULL; c = c->next_dirty)
		if (counter_flush(t, c, e) < 0)
			return -1;
	return 0;
}

static void
counter_free(void *arg, struct bytes key, void *value)
{
	(void)arg;
	(void)key;
	free(value);
}

void
spool_counters_wipe(struct spool *s)
{
	table_each(s->counters, counter_free, NULL);
	s->dirty = NULL;
}

/* A lost transaction: what it changed is read again when next asked for. */
void
spool_counters_settle(struct spool *s, bool is_committed)
{
	struct counter *c;

	while ((c = s->dirty) != NULL) {
		s->dirty = c->next_dirty;
		c->is_listed = false;
		if (is_committed)
			continue;
		table_take(s->counters, c->scope);
		free(c);
	}
	if (table_count(s->counters) <= COUNTERS_KEPT_MAX)
		return;
	spool_counters_wipe(s);
	table_free(s->counters);
	s->counters = table_new(0);
}

/* -- inside the transaction ------------------------------------------------ */

int
spool_counter_add(struct spool_txn *t, struct bytes scope, int64_t minute,
    int64_t d, struct err *e)
{
	struct counter *c = counter_open(t, scope, e);
	int64_t		n;

	if (c == NULL)
		return -1;
	must(minute >= 0);
	counter_list(t->spool, c);
	if (c->minute != minute) {
		if (counter_flush(t, c, e) < 0 ||
		    counter_get(t->db, c->scope, minute, &n, e) < 0)
			return counter_lost(t, e);
		c->minute = minute;
		c->count = n;
	}
	c->count += d;
	if (minute >= c->row.floor)
		c->row.sum += d;
	if (minute > c->row.newest)
		c->row.newest = minute;
	c->is_dirty = true;
	return 0;
}

int
spool_counter_sum(struct spool_txn *t, struct bytes scope, int64_t from,
    int64_t to, int64_t *sum, struct err *e)
{
	struct counter *c = counter_open(t, scope, e);
	int64_t		left;

	if (c == NULL)
		return -1;
	if (from < 0)
		from = 0;
	if (to < c->row.newest || from < c->row.floor) {
		if (counter_flush(t, c, e) < 0 ||
		    counter_scan(t->db, c->scope, from, to, sum, e) < 0)
			return counter_lost(t, e);
		return 0;
	}
	if (from > c->row.floor) {
		counter_list(t->spool, c);
		if (counter_flush(t, c, e) < 0 ||
		    counter_scan(t->db, c->scope, c->row.floor, from - 1,
			&left, e) < 0)
			return counter_lost(t, e);
		c->row.floor = from;
		c->row.sum -= left;
	}
	*sum = c->row.sum;
	return 0;
}

int
spool_counter_newest(struct spool_txn *t, struct bytes scope, int64_t *minute,
    struct err *e)
{
	struct counter *c = counter_open(t, scope, e);

	if (c == NULL)
		return -1;
	*minute = c->row.newest;
	return *minute > 0;
}

/* -- any thread ------------------------------------------------------------ */

static int
counter_read_window(struct db_txn *t, struct bytes scope, int64_t from,
    const struct counter_row *r, int64_t *sum, struct err *e)
{
	int64_t left;

	if (from < 0)
		from = 0;
	if (from < r->floor)
		return counter_scan(t, scope, from, r->newest, sum, e);
	if (counter_scan(t, scope, r->floor, from - 1, &left, e) < 0)
		return -1;
	*sum = r->sum - left;
	return 0;
}

int
spool_counter_read(struct spool *s, struct bytes scope, int64_t from,
    int64_t to, int64_t *sum, struct err *e)
{
	struct counter_row r;
	struct db_txn	  *t = db_read(s->db, e);
	int		   rc;

	*sum = 0;
	if (t == NULL)
		return -1;
	rc = counter_get_row(t, scope, &r, e);
	if (rc == 1 && to >= r.newest)
		rc = counter_read_window(t, scope, from, &r, sum, e);
	else if (rc == 1)
		rc = counter_scan(t, scope, from, to, sum, e);
	db_end(t);
	return rc < 0 ? -1 : 0;
}

int
spool_counter_window(struct spool *s, struct bytes scope, int64_t now,
    int64_t width, int64_t *sum, struct err *e)
{
	struct counter_row r;
	struct db_txn	  *t = db_read(s->db, e);
	int		   rc;

	*sum = 0;
	if (t == NULL)
		return -1;
	rc = counter_get_row(t, scope, &r, e);
	if (rc == 1) {
		if (now < r.newest)
			now = r.newest;
		rc = counter_read_window(t, scope, now - width + 1, &r, sum,
		    e);
	}
	db_end(t);
	return rc < 0 ? -1 : 0;
}

/* -- the sweep ------------------------------------------------------------- */

/* Of the scope at the cursor: its sum first, then its old buckets go. */
static int
counter_prune(struct spool_txn *t, struct bytes scope, int64_t minute,
    size_t *budget, struct err *e)
{
	struct counter	 *c = counter_open(t, scope, e);
	struct db_cursor *cursor;
	struct record_key k, end;
	struct bytes	  key, value, stop;
	int64_t		  sum;
	int		  rc;

	if (c == NULL || (c->row.floor < minute &&
		spool_counter_sum(t, c->scope, minute, INT64_MAX, &sum,
		    e) < 0))
		return -1;
	counter_list(t->spool, c);
	if (counter_flush(t, c, e) < 0)
		return -1;
	cursor = db_cursor(t->db, SPOOL_COUNTER, e);
	if (cursor == NULL)
		return -1;
	stop = record_key_counter(&end, c->scope, minute);
	rc = db_seek(cursor, record_key_counter(&k, c->scope, 0), &key,
	    &value, e);
	while (rc == 1 && *budget > 0 && bytes_cmp(key, stop) < 0) {
		--*budget;
		rc = db_cursor_delete(cursor, e);
		if (rc == 0)
			rc = db_next(cursor, &key, &value, e);
	}
	db_cursor_close(cursor);
	if (rc < 0)
		return -1;
	/* the bucket at hand may be one of those that went */
	c->minute = MINUTE_NONE;
	c->is_dirty = true;
	if (c->row.newest >= minute || *budget == 0)
		return 0;
	/* idle for a day: nothing is left to remember */
	c->is_dirty = false;
	memset(&c->row, 0, sizeof(c->row));
	return db_delete(t->db, SPOOL_COUNTER,
	    record_key_counter(&k, c->scope, COUNTER_SUM), e) < 0 ? -1 : 0;
}

/* The first row at or after s->sweep_at; its scope is copied there. */
static int
counter_next_scope(struct spool_txn *t, int64_t *minute, struct err *e)
{
	struct record_key *at = &t->spool->sweep_at;
	struct db_cursor  *c = db_cursor(t->db, SPOOL_COUNTER, e);
	struct bytes	   key, value, scope;
	int		   rc;

	if (c == NULL)
		return -1;
	rc = db_seek(c, (struct bytes){ at->p, at->n }, &key, &value, e);
	if (rc == 1 && (!record_split_counter(key, &scope, minute) ||
		scope.n > SCOPE_MAX))
		rc = err_set(e, "spool: damaged counter");
	if (rc == 1) {
		memcpy(at->p, scope.p, scope.n);
		at->n = scope.n;
	}
	db_cursor_close(c);
	return rc;
}

int
spool_sweep_counters(struct spool_txn *t, int64_t minute, size_t budget,
    struct err *e)
{
	struct record_key *at = &t->spool->sweep_at;
	int64_t		   first;
	int		   rc = 1;

	while (budget > 0) {
		rc = counter_next_scope(t, &first, e);
		if (rc <= 0)
			break;
		budget--;
		if (first < minute && counter_prune(t,
			(struct bytes){ at->p, at->n }, minute, &budget,
			e) < 0)
			return -1;
		/* behind all rows of this scope; unless they were too many */
		if (budget > 0 || first >= minute)
			at->p[at->n++] = 1;
	}
	return rc;
}

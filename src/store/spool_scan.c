/* SPDX-License-Identifier: ISC */
/*
 * Walks over tables: a window of rows is copied out in one short transaction,
 * then shown one after another without one, so that a slow viewer never
 * keeps pages from being used again.
 */
#include "store/spool_private.h"

#include <stdlib.h>
#include <string.h>

enum {
	WINDOW_ROWS = 256,
	WINDOW_OCTETS = 256 * 1024,
	EVENT_ARENA = 1 << 20
};

/* -- windows --------------------------------------------------------------- */

struct window {
	struct buf octets; /* key, value, key, value ... */
	struct {
		size_t key, value;
	} row[WINDOW_ROWS]; /* lengths */
	size_t		  count, max;
	struct record_key last;
	bool		  is_last; /* the table ends here */
};

static int
window_fill(struct spool *s, enum spool_table table, struct window *w,
    bool is_after, struct err *e)
{
	struct db_txn	 *t = db_read(s->db, e);
	struct db_cursor *c = NULL;
	struct bytes	  from = { w->last.p, w->last.n }, key, value;
	int		  rc = -1;

	buf_clear(&w->octets);
	w->count = 0;
	if (t == NULL)
		return -1;
	c = db_cursor(t, table, e);
	if (c != NULL)
		rc = db_seek(c, from, &key, &value, e);
	if (rc == 1 && is_after && bytes_eq(key, from))
		rc = db_next(c, &key, &value, e);
	while (rc == 1 && w->count < w->max &&
	    w->octets.n < WINDOW_OCTETS) {
		if (key.n > KEY_SIZE_MAX || !buf_add_bytes(&w->octets, key) ||
		    !buf_add_bytes(&w->octets, value)) {
			rc = err_set(e, "spool: no memory for a window");
			break;
		}
		memcpy(w->last.p, key.p, key.n);
		w->last.n = key.n;
		w->row[w->count].key = key.n;
		w->row[w->count++].value = value.n;
		rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	db_end(t);
	w->is_last = rc == 0;
	return rc < 0 ? -1 : 0;
}

/* false = the viewer has enough. */
static bool
window_show(const struct window *w, spool_walk_fn *fn, void *arg)
{
	struct bytes rest = buf_bytes(&w->octets), key, value;
	size_t	     i;

	for (i = 0; i < w->count; i++) {
		key = bytes_head(rest, w->row[i].key);
		rest = bytes_from(rest, key.n);
		value = bytes_head(rest, w->row[i].value);
		rest = bytes_from(rest, value.n);
		if (!fn(arg, key, value))
			return false;
	}
	return true;
}

int
spool_walk(struct spool *s, const struct walk *walk, spool_walk_fn *fn,
    void *arg, struct err *e)
{
	bool	       is_after = walk->is_after;
	struct window *w = mem_alloc(sizeof(*w));
	int	       rc;

	w->max = walk->max < WINDOW_ROWS ? walk->max : WINDOW_ROWS;
	w->last = walk->from;
	buf_init(&w->octets, SIZE_MAX / 2);
	do {
		rc = window_fill(s, walk->table, w, is_after, e);
		is_after = true;
	} while (rc == 0 && window_show(w, fn, arg) && !w->is_last);
	buf_wipe(&w->octets);
	free(w);
	return rc;
}

/* -- due and held ---------------------------------------------------------- */

struct due_walk {
	struct wall until;
	size_t	    left, shown;
	bool	    is_damaged;
	bool (*fn)(void *arg, const struct arrival *a);
	bool (*held_fn)(void *arg, const struct arrival *a, uint8_t held_by,
	    struct wall expires);
	void *arg;
};

static bool
due_walk_row(void *arg, struct bytes key, struct bytes value)
{
	struct due_walk *w = arg;
	struct due_key	 k;
	struct due_row	 d;
	struct arrival	 a;
	bool		 goes_on;

	if (!record_split_due(key, &k) || !record_read_due(value, &d)) {
		w->is_damaged = true;
		return false;
	}
	if (w->left == 0 || k.due.ms > w->until.ms)
		return false;
	spool_fill_arrival(&a, &k, &d);
	if (w->fn != NULL)
		goes_on = w->fn(w->arg, &a);
	else
		goes_on = w->held_fn(w->arg, &a, d.held_by, k.due);
	w->shown++;
	return goes_on && --w->left > 0;
}

static int
due_walk(struct spool *s, enum spool_table table, const struct due_key *after,
    struct due_walk *w, struct err *e)
{
	struct walk walk = { .table = table, .max = w->left,
		.is_after = after != NULL };

	if (w->left == 0)
		return 0;
	if (after != NULL)
		record_key_due(&walk.from, after);
	if (spool_walk(s, &walk, due_walk_row, w, e) < 0)
		return -1;
	if (w->is_damaged)
		return err_set(e, "spool: damaged due row");
	return (int)w->shown;
}

int
spool_scan_due(struct spool *s, const struct due_key *after,
    struct wall until, size_t max,
    bool (*fn)(void *arg, const struct arrival *a), void *arg, struct err *e)
{
	struct due_walk w = { .until = until, .left = max, .fn = fn,
		.arg = arg };

	return due_walk(s, SPOOL_DUE, after, &w, e);
}

int
spool_scan_held(struct spool *s, const struct due_key *after, size_t max,
    bool (*fn)(void *arg, const struct arrival *a, uint8_t held_by,
	struct wall expires),
    void *arg, struct err *e)
{
	struct due_walk w = { .until = { INT64_MAX }, .left = max,
		.held_fn = fn, .arg = arg };

	return due_walk(s, SPOOL_HELD, after, &w, e);
}

/* -- recipients ------------------------------------------------------------ */

struct recipient_walk {
	size_t left, shown;
	bool   is_damaged;
	bool (*fn)(void *arg, const struct recipient_row *r);
	void *arg;
};

static bool
recipient_walk_row(void *arg, struct bytes key, struct bytes value)
{
	struct recipient_walk *w = arg;
	struct recipient_row   r;
	uint32_t	       n;

	if (!record_split_numbered(key, &r.id, &n)) {
		w->is_damaged = true;
		return false;
	}
	r.n = n;
	if (!record_read_recipient(value, &r)) {
		w->is_damaged = true;
		return false;
	}
	w->shown++;
	return w->fn(w->arg, &r) && --w->left > 0;
}

int
spool_scan_recipients(struct spool *s, const struct msgid *from,
    unsigned from_n, size_t max,
    bool (*fn)(void *arg, const struct recipient_row *r), void *arg,
    struct err *e)
{
	struct recipient_walk w = { .left = max, .fn = fn, .arg = arg };
	struct walk	      walk = { .table = SPOOL_RECIPIENT, .max = max };

	if (max == 0)
		return 0;
	if (from != NULL)
		record_key_numbered(&walk.from, from, from_n);
	if (spool_walk(s, &walk, recipient_walk_row, &w, e) < 0)
		return -1;
	if (w.is_damaged)
		return err_set(e, "spool: damaged recipient row");
	return (int)w.shown;
}

/* -- messages -------------------------------------------------------------- */

struct mail_walk {
	size_t	     left, shown;
	bool	     is_damaged, has_id;
	struct msgid id;
	struct buf   value; /* its pieces so far */
	bool (*fn)(void *arg, const struct mail_row *m);
	void *arg;
};

/* All pieces of a message are there; false = the viewer has enough. */
static bool
mail_walk_show(struct mail_walk *w)
{
	struct arena   *a = arena_new(EVENT_ARENA);
	struct mail_row m;
	bool		goes_on = false;

	memset(&m, 0, sizeof(m));
	m.id = w->id;
	m.snapshot = BYTES("");
	if (w->value.failed ||
	    !record_read_mail(buf_bytes(&w->value), a, &m)) {
		w->is_damaged = true;
	} else {
		w->shown++;
		goes_on = w->fn(w->arg, &m) && --w->left > 0;
	}
	arena_free(a);
	buf_clear(&w->value);
	w->has_id = false;
	return goes_on;
}

static bool
mail_walk_row(void *arg, struct bytes key, struct bytes value)
{
	struct mail_walk *w = arg;
	struct msgid	  id;
	uint32_t	  piece;

	if (!record_split_numbered(key, &id, &piece)) {
		w->is_damaged = true;
		return false;
	}
	if (w->has_id && msgid_cmp(&id, &w->id) != 0 && !mail_walk_show(w))
		return false;
	w->id = id;
	w->has_id = true;
	buf_add_bytes(&w->value, value);
	return true;
}

int
spool_scan_mail(struct spool *s, const struct msgid *after, size_t max,
    bool (*fn)(void *arg, const struct mail_row *m), void *arg,
    struct err *e)
{
	struct mail_walk w = { .left = max, .fn = fn, .arg = arg };
	struct walk	 walk = { .table = SPOOL_MAIL, .max = max };
	int		 rc;

	if (max == 0)
		return 0;
	if (after != NULL)
		record_key_numbered(&walk.from, after, UINT32_MAX);
	buf_init(&w.value, SIZE_MAX / 2);
	rc = spool_walk(s, &walk, mail_walk_row, &w, e);
	/* the last one of the table has no other behind it */
	if (rc == 0 && w.has_id && w.left > 0 && !w.is_damaged)
		(void)mail_walk_show(&w);
	buf_wipe(&w.value);
	if (rc < 0)
		return -1;
	if (w.is_damaged)
		return err_set(e, "spool: damaged mail row");
	return (int)w.shown;
}

/* -- events ---------------------------------------------------------------- */

struct event_walk {
	size_t left, shown;
	bool   is_damaged;
	bool (*fn)(void *arg, uint64_t sequence, const struct event *ev);
	void *arg;
};

static bool
event_walk_row(void *arg, struct bytes key, struct bytes value)
{
	struct event_walk *w = arg;
	struct arena	  *a = arena_new(EVENT_ARENA);
	struct event	   ev;
	bool		   goes_on = false;

	if (key.n != 8 || !record_read_event(value, a, &ev)) {
		w->is_damaged = true;
	} else {
		w->shown++;
		goes_on = w->fn(w->arg, db_get_be64(key.p), &ev) &&
		    --w->left > 0;
	}
	arena_free(a);
	return goes_on;
}

int
spool_scan_events(struct spool *s, uint64_t after, size_t max,
    bool (*fn)(void *arg, uint64_t sequence, const struct event *ev),
    void *arg, struct err *e)
{
	struct event_walk w = { .left = max, .fn = fn, .arg = arg };
	struct walk	  walk = { .table = SPOOL_EVENT, .max = max,
		     .is_after = true };

	if (max == 0)
		return 0;
	record_key_number(&walk.from, after);
	if (spool_walk(s, &walk, event_walk_row, &w, e) < 0)
		return -1;
	if (w.is_damaged)
		return err_set(e, "spool: damaged event row");
	return (int)w.shown;
}

/* -- history --------------------------------------------------------------- */

struct history_walk {
	size_t left, shown;
	bool   is_damaged;
	bool (*fn)(void *arg, unsigned n, const struct event *ev);
	void *arg;
};

static bool
history_walk_row(void *arg, struct bytes key, struct bytes value)
{
	struct history_walk *w = arg;
	struct arena	    *a = arena_new(EVENT_ARENA);
	struct msgid	     id;
	struct event	     ev;
	uint32_t	     n;
	bool		     goes_on = false;

	if (!record_split_numbered(key, &id, &n) ||
	    !record_read_event(value, a, &ev)) {
		w->is_damaged = true;
	} else {
		w->shown++;
		goes_on = w->fn(w->arg, n, &ev) && --w->left > 0;
	}
	arena_free(a);
	return goes_on;
}

int
spool_scan_history(struct spool *s, const struct msgid *from, unsigned from_n,
    size_t max, bool (*fn)(void *arg, unsigned n, const struct event *ev),
    void *arg, struct err *e)
{
	struct history_walk w = { .left = max, .fn = fn, .arg = arg };
	struct walk	    walk = { .table = SPOOL_HISTORY, .max = max };

	if (max == 0)
		return 0;
	if (from != NULL)
		record_key_numbered(&walk.from, from, from_n);
	if (spool_walk(s, &walk, history_walk_row, &w, e) < 0)
		return -1;
	if (w.is_damaged)
		return err_set(e, "spool: damaged history row");
	return (int)w.shown;
}

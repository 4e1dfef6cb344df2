/* SPDX-License-Identifier: ISC */
#include "store/statistic.h"

#include <string.h>

#include "store/pack.h"
#include "store/spool_private.h"

enum {
	MARK = 0xff, /* in place of a series */
	KEY_HEAD = 2 + ACCOUNT_ID_SIZE - 1,
	KEY_TAIL = 1 + 8, /* NUL, time */
	MARK_SIZE = 1 + KEY_ID_SIZE + 1 + 8
};
/* No time is later: what a row is kept for can be added to it. */
static const int64_t time_max = INT64_MAX / 2;
#define PAIR_MARK '\001' /* no name holds it */

/* -- figures --------------------------------------------------------------- */

const char *
statistic_counter_to_text(enum statistic_counter c)
{
	static const char *const names[STATISTIC_COUNTERS] = {
		[COUNT_SENDS] = "Sends",
		[COUNT_DELIVERIES] = "Deliveries",
		[COUNT_BOUNCES] = "Bounces",
		[COUNT_TRANSIENT] = "TransientBounces",
		[COUNT_UNDETERMINED] = "UndeterminedBounces",
		[COUNT_SUPPRESSED] = "SuppressedBounces",
		[COUNT_UNSUBSCRIBED] = "UnsubscribedBounces",
		[COUNT_COMPLAINTS] = "Complaints",
		[COUNT_REJECTS] = "Rejects",
		[COUNT_RENDERING] = "RenderingFailures",
		[COUNT_DELAYS] = "Delays",
		[COUNT_OPENS] = "Opens",
		[COUNT_CLICKS] = "Clicks",
		[COUNT_SUBSCRIPTIONS] = "Subscriptions",
		[COUNT_SIMULATOR] = "SimulatorSends",
		[COUNT_THROTTLED] = "Throttled",
		[COUNT_ENDED] = "Ended",
		[COUNT_INVALID] = "InvalidAddresses",
		[COUNT_SPAM] = "SpamBounces",
		[COUNT_OPENED] = "OpenedMessages",
		[COUNT_CLICKED] = "ClickedMessages",
		[COUNT_TRACKED] = "TrackedDeliveries",
		[COUNT_AUTHENTICATION] = "AuthenticationBounces",
		[COUNT_RCPTS] = "RCPTCommands",
		[COUNT_DATAS] = "DATACommands",
		[COUNT_BASE] = "CountedSends",
		[COUNT_HARD] = "HardBounces",
		[COUNT_REACHED] = "CountedDeliveries",
	};

	return names[c];
}

/* Figures of a damaged row may be anything. */
static int64_t
counter_sum(int64_t a, int64_t b)
{
	int64_t sum;

	if (!__builtin_add_overflow(a, b, &sum))
		return sum;
	return a < 0 ? INT64_MIN : INT64_MAX;
}

void
statistic_sum(struct statistic *to, const struct statistic *more)
{
	unsigned i;

	for (i = 0; i < STATISTIC_COUNTERS; i++)
		to->n[i] = counter_sum(to->n[i], more->n[i]);
}

bool
statistic_is_zero(const struct statistic *s)
{
	unsigned i;

	for (i = 0; i < STATISTIC_COUNTERS; i++)
		if (s->n[i] != 0)
			return false;
	return true;
}

uint64_t
statistic_get(const struct statistic *s, enum statistic_counter c)
{
	return s->n[c] > 0 ? (uint64_t)s->n[c] : 0;
}

static int64_t
series_step(enum statistic_series s)
{
	switch (s) {
	case STATISTIC_QUARTER:
		return STATISTIC_QUARTER_MS;
	case STATISTIC_HOUR:
	case STATISTIC_SAMPLE:
		return STATISTIC_HOUR_MS;
	case STATISTIC_DAY:
	case STATISTIC_LOOP:
	case STATISTIC_LEVEL:
	case STATISTIC_COMMANDS:
		return STATISTIC_DAY_MS;
	case STATISTIC_TOTAL:
		break;
	}
	return 0;
}

/* 0 = for ever */
static int64_t
series_keep(enum statistic_series s)
{
	static const int64_t day = STATISTIC_DAY_MS;

	switch (s) {
	case STATISTIC_QUARTER:
	case STATISTIC_SAMPLE:
		return 14 * day;
	case STATISTIC_HOUR:
	case STATISTIC_LOOP:
	case STATISTIC_COMMANDS:
		return 90 * day;
	case STATISTIC_DAY:
		return 60 * day;
	case STATISTIC_LEVEL:
		return 15 * day;
	case STATISTIC_TOTAL:
		break;
	}
	return 0;
}

struct wall
statistic_floor(enum statistic_series series, struct wall at)
{
	int64_t step = series_step(series);

	return (struct wall){ step == 0 || at.ms < 0 ? 0
		: at.ms - at.ms % step };
}

struct bytes
statistic_name_pair(struct bytes a, struct bytes b, char *out)
{
	a = bytes_head(a, STATISTIC_NAME_MAX / 2 - 1);
	b = bytes_head(b, STATISTIC_NAME_MAX / 2);
	memcpy(out, a.p, a.n);
	out[a.n] = PAIR_MARK;
	memcpy(out + a.n + 1, b.p, b.n);
	return (struct bytes){ out, a.n + 1 + b.n };
}

bool
statistic_name_split(struct bytes pair, struct bytes *a, struct bytes *b)
{
	ptrdiff_t at = bytes_find(pair, 0, PAIR_MARK);

	if (at < 0)
		return false;
	*a = bytes_head(pair, (size_t)at);
	*b = bytes_from(pair, (size_t)at + 1);
	return true;
}

/* -- the stored form ------------------------------------------------------- */

/* What all rows of a name begin with; any_name: of a scope. */
static void
key_put_prefix(struct record_key *k, const struct statistic_key *s,
    bool any_name)
{
	struct bytes name = bytes_head(s->name, STATISTIC_NAME_MAX);

	k->p[0] = (char)s->series;
	memset(k->p + 1, 0, ACCOUNT_ID_SIZE - 1);
	memcpy(k->p + 1, s->account, strnlen(s->account,
	    ACCOUNT_ID_SIZE - 1));
	k->p[ACCOUNT_ID_SIZE] = (char)s->scope;
	k->n = KEY_HEAD;
	if (any_name)
		return;
	if (name.n > 0)
		memcpy(k->p + k->n, name.p, name.n);
	k->n += name.n;
	k->p[k->n++] = '\0';
}

static struct bytes
key_put(struct record_key *k, const struct statistic_key *s)
{
	key_put_prefix(k, s, false);
	db_put_be64(k->p + k->n, (uint64_t)s->time.ms);
	k->n += 8;
	return (struct bytes){ k->p, k->n };
}

struct bytes
statistic_key_bytes(const struct statistic_key *k,
    char room[STATISTIC_KEY_MAX])
{
	struct record_key key;
	struct bytes	  b = key_put(&key, k);

	must(b.n <= STATISTIC_KEY_MAX);
	memcpy(room, b.p, b.n);
	return (struct bytes){ room, b.n };
}

/* Nothing stands behind the end of the account's text. */
static bool
key_has_account(const struct statistic_key *k)
{
	static const char none[ACCOUNT_ID_SIZE];
	size_t		  n = strlen(k->account);

	return memcmp(k->account + n, none, sizeof(none) - n) == 0;
}

bool
statistic_decode_key(struct bytes in, struct statistic_key *out)
{
	size_t n;

	if (in.n < KEY_HEAD + KEY_TAIL ||
	    in.n > KEY_HEAD + STATISTIC_NAME_MAX + KEY_TAIL)
		return false;
	n = in.n - KEY_HEAD - KEY_TAIL;
	memset(out, 0, sizeof(*out));
	out->series = (enum statistic_series)(unsigned char)in.p[0];
	memcpy(out->account, in.p + 1, ACCOUNT_ID_SIZE - 1);
	out->scope = (enum statistic_scope)(unsigned char)
	    in.p[ACCOUNT_ID_SIZE];
	out->name = (struct bytes){ in.p + KEY_HEAD, n };
	out->time.ms = (int64_t)db_get_be64(in.p + in.n - 8);
	return in.p[KEY_HEAD + n] == '\0' &&
	    out->series >= STATISTIC_QUARTER &&
	    out->series <= STATISTIC_COMMANDS &&
	    out->scope >= STATISTIC_ACCOUNT &&
	    out->scope <= STATISTIC_SOURCE && out->time.ms >= 0 &&
	    out->time.ms <= time_max && key_has_account(out);
}

bool
statistic_encode(const struct statistic *s, struct buf *out)
{
	unsigned i, n = STATISTIC_COUNTERS;

	while (n > 0 && s->n[n - 1] == 0)
		n--;
	for (i = 0; i < n; i++)
		pack_i64(out, s->n[i]);
	return !out->failed;
}

bool
statistic_decode(struct bytes in, struct statistic *out)
{
	struct unpack u = unpack_of(in);
	unsigned      i;

	memset(out, 0, sizeof(*out));
	for (i = 0; i < STATISTIC_COUNTERS && unpack_more(&u); i++)
		out->n[i] = unpack_i64(&u);
	return unpack_done(&u);
}

/* -- on the writer --------------------------------------------------------- */

static int
row_put(struct spool_txn *t, struct bytes key, const struct statistic *v,
    struct err *e)
{
	struct buf *row = &t->spool->row;

	buf_clear(row);
	if (!statistic_encode(v, row))
		return err_set(e, "spool: no memory for a statistic");
	return db_put(t->db, SPOOL_STATISTIC, key, buf_bytes(row), false, e);
}

int
statistic_add(struct spool_txn *t, const struct statistic_key *k,
    const struct statistic *more, struct err *e)
{
	struct record_key key;
	struct bytes	  at = key_put(&key, k), value;
	struct statistic  sum;
	int		  rc = db_get(t->db, SPOOL_STATISTIC, at, &value, e);

	memset(&sum, 0, sizeof(sum));
	if (rc < 0)
		return -1;
	if (rc == 1 && !statistic_decode(value, &sum))
		return err_set(e, "spool: damaged statistic");
	statistic_sum(&sum, more);
	return row_put(t, at, &sum, e);
}

int
statistic_set(struct spool_txn *t, const struct statistic_key *k,
    const struct statistic *to, struct err *e)
{
	struct record_key key;

	return row_put(t, key_put(&key, k), to, e);
}

int
statistic_forget(struct spool_txn *t, const char *account, struct err *e)
{
	struct statistic_key k = { .series = STATISTIC_TOTAL };
	struct db_cursor    *c = db_cursor(t->db, SPOOL_STATISTIC, e);
	struct record_key    first;
	struct bytes	     prefix, key, value;
	int		     rc;

	if (c == NULL)
		return -1;
	memcpy(k.account, account, strnlen(account, ACCOUNT_ID_SIZE - 1));
	key_put_prefix(&first, &k, true);
	prefix = (struct bytes){ first.p, ACCOUNT_ID_SIZE }; /* any scope */
	rc = db_seek(c, prefix, &key, &value, e);
	while (rc == 1 && bytes_starts(key, prefix)) {
		rc = db_cursor_delete(c, e) < 0 ? -1 : 1;
		if (rc == 1)
			rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return rc < 0 ? -1 : 0;
}

static struct bytes
mark_put(struct record_key *k, const struct statistic_mark *m)
{
	k->p[0] = (char)MARK;
	memcpy(k->p + 1, m->id.b, KEY_ID_SIZE);
	k->p[1 + KEY_ID_SIZE] = (char)m->what;
	db_put_be64(k->p + 2 + KEY_ID_SIZE, m->whom);
	k->n = MARK_SIZE;
	return (struct bytes){ k->p, k->n };
}

int
statistic_put_mark(struct spool_txn *t, const struct statistic_mark *m,
    struct err *e)
{
	struct record_key k;

	return db_put(t->db, SPOOL_STATISTIC, mark_put(&k, m), BYTES("1"),
	    false, e);
}

static bool
row_is_old(struct bytes key, struct wall now, int64_t keep_ms)
{
	struct statistic_key k;
	struct msgid	     id;
	int64_t		     keep;

	if (key.n == MARK_SIZE && (unsigned char)key.p[0] == MARK) {
		memcpy(id.b, key.p + 1, sizeof(id.b));
		return msgid_time(&id).ms + keep_ms < now.ms;
	}
	if (!statistic_decode_key(key, &k))
		return true; /* nobody can use it */
	keep = series_keep(k.series);
	return keep > 0 && k.time.ms + keep < now.ms;
}

int
statistic_sweep(struct spool_txn *t, struct statistic_place *place,
    unsigned max, struct wall now, int64_t keep_ms, struct err *e)
{
	struct db_cursor *c = db_cursor(t->db, SPOOL_STATISTIC, e);
	struct bytes	  key, value;
	unsigned	  n;
	int		  rc;

	if (c == NULL)
		return -1;
	rc = db_seek(c, (struct bytes){ place->p, place->n }, &key, &value,
	    e);
	for (n = 0; rc == 1 && n < max; n++) {
		must(key.n <= sizeof(place->p));
		memcpy(place->p, key.p, key.n);
		place->n = key.n;
		if (row_is_old(key, now, keep_ms) &&
		    db_cursor_delete(c, e) < 0) {
			rc = -1;
			break;
		}
		rc = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	if (rc == 0)
		place->n = 0;
	return rc < 0 ? -1 : 0;
}

/* -- from any thread ------------------------------------------------------- */

int
statistic_has_mark(struct spool *s, const struct statistic_mark *m,
    struct err *e)
{
	struct db_txn	 *t = db_read(s->db, e);
	struct record_key k;
	struct bytes	  value;
	int		  rc;

	if (t == NULL)
		return -1;
	rc = db_get(t, SPOOL_STATISTIC, mark_put(&k, m), &value, e);
	db_end(t);
	return rc;
}

struct statistic_walk {
	const struct statistic_question *q;
	struct record_key		 prefix;
	bool				 is_damaged;
	bool (*fn)(void *arg, const struct statistic_key *k,
	    const struct statistic *v);
	void *arg;
};

static bool
walk_on_row(void *arg, struct bytes key, struct bytes value)
{
	struct statistic_walk *w = arg;
	struct statistic_key   k;
	struct statistic       v;

	if (!bytes_starts(key, (struct bytes){ w->prefix.p, w->prefix.n }))
		return false;
	if (!statistic_decode_key(key, &k) || !statistic_decode(value, &v)) {
		w->is_damaged = true;
		return false;
	}
	if (w->q->until.ms != 0 && k.time.ms >= w->q->until.ms)
		return w->q->any_name || w->q->any_account;
	return k.time.ms < w->q->from.ms || w->fn(w->arg, &k, &v);
}

int
statistic_each(struct spool *s, const struct statistic_question *q,
    bool (*fn)(void *arg, const struct statistic_key *k,
	const struct statistic *v),
    void *arg, struct err *e)
{
	struct statistic_walk w = { .q = q, .fn = fn, .arg = arg };
	struct statistic_key  first = q->key;
	struct walk	      walk = { .table = SPOOL_STATISTIC,
		      .max = SIZE_MAX };

	key_put_prefix(&w.prefix, &q->key, q->any_name);
	if (q->any_account)
		w.prefix.n = 1;
	first.time = q->from;
	if (q->any_name || q->any_account)
		walk.from = w.prefix;
	else
		(void)key_put(&walk.from, &first);
	if (spool_walk(s, &walk, walk_on_row, &w, e) < 0)
		return -1;
	return w.is_damaged ? err_set(e, "spool: damaged statistic") : 0;
}

static bool
read_on_row(void *arg, const struct statistic_key *k,
    const struct statistic *v)
{
	(void)k;
	statistic_sum(arg, v);
	return true;
}

int
statistic_read(struct spool *s, const struct statistic_question *q,
    struct statistic *out, struct err *e)
{
	memset(out, 0, sizeof(*out));
	return statistic_each(s, q, read_on_row, out, e);
}

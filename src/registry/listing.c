/* SPDX-License-Identifier: ISC */
#include "registry/listing.h"

#include <stdio.h>
#include <string.h>

#include "registry/source.h"
#include "store/pack.h"

enum {
	LISTING_RECORD = 1,
	RECORD_MAX = 2048,
	KEY_SIZE = 64 + 2 + LISTING_LIST_SIZE,
	SOURCES_MAX = 256
};

const char *
listing_source_to_text(enum listing_source s)
{
	return s == LISTING_BY_REPLY ? "reply" : "dns";
}

/* -- the record ------------------------------------------------------------ */

bool
listing_write_record(const struct listing *l, struct buf *out)
{
	unsigned i;

	pack_u64(out, LISTING_RECORD);
	pack_text(out, l->address);
	pack_u64(out, (uint64_t)l->by);
	pack_text(out, l->list);
	pack_bool(out, l->listed);
	pack_u64(out, (uint64_t)l->verdict);
	pack_text(out, l->answer);
	pack_text(out, l->url);
	pack_text(out, l->group);
	pack_i64(out, l->since.ms);
	pack_i64(out, l->last.ms);
	for (i = 0; i < LISTING_REPLIES - 1; i++)
		pack_i64(out, l->earlier[i].ms);
	pack_text(out, l->finding);
	pack_text(out, l->account);
	return !out->failed;
}

bool
listing_read_record(struct bytes in, struct listing *out)
{
	struct unpack u = unpack_of(in);
	uint64_t      by, verdict;
	unsigned      i;

	memset(out, 0, sizeof(*out));
	u.failed |= unpack_u64(&u) != LISTING_RECORD;
	unpack_text(&u, out->address, sizeof(out->address));
	by = unpack_u64(&u);
	unpack_text(&u, out->list, sizeof(out->list));
	out->listed = unpack_bool(&u);
	verdict = unpack_u64(&u);
	u.failed |= by > LISTING_BY_DNS || verdict > DNSBL_UNANSWERED;
	out->by = u.failed ? 0 : (enum listing_source)by;
	out->verdict = u.failed ? 0 : (enum dnsbl_verdict)verdict;
	unpack_text(&u, out->answer, sizeof(out->answer));
	unpack_text(&u, out->url, sizeof(out->url));
	unpack_text(&u, out->group, sizeof(out->group));
	out->since = unpack_wall(&u);
	out->last = unpack_wall(&u);
	for (i = 0; i < LISTING_REPLIES - 1; i++)
		out->earlier[i] = unpack_wall(&u);
	unpack_text(&u, out->finding, sizeof(out->finding));
	unpack_text(&u, out->account, sizeof(out->account));
	return unpack_done(&u);
}

/* address, 0, who says so, name of the list */
static struct bytes
listing_key(const struct listing *l, char out[KEY_SIZE])
{
	int n = snprintf(out, KEY_SIZE, "%s%c%c%s", l->address, '\0',
	    l->by == LISTING_BY_REPLY ? '0' : '1', l->list);

	must(n > 0 && n < KEY_SIZE);
	return (struct bytes){ out, (size_t)n };
}

/* A row that stands where another belongs is damaged: what is done to it
 * would be done to the other. */
static bool
listing_read_row(struct bytes key, struct bytes value, struct listing *out)
{
	char room[KEY_SIZE];

	return listing_read_record(value, out) &&
	    bytes_eq(listing_key(out, room), key);
}

static int
listing_put(struct db_txn *t, const struct listing *l, struct err *e)
{
	struct buf b;
	char	   key[KEY_SIZE];

	buf_init(&b, RECORD_MAX);
	listing_write_record(l, &b);
	return book_put(t, BOOK_LISTING, listing_key(l, key), &b, e);
}

int
listing_get(struct db_txn *t, const struct listing *key, struct listing *out,
    struct err *e)
{
	char	     room[KEY_SIZE];
	struct bytes at = listing_key(key, room), value;
	int	     rc = db_get(t, BOOK_LISTING, at, &value, e);

	if (rc == 1 && !listing_read_row(at, value, out))
		return err_set(e, "listing of %s: the record is damaged",
		    key->address);
	return rc;
}

int
listing_each(struct db_txn *t, const char *address,
    bool (*fn)(void *arg, const struct listing *l), void *arg, struct err *e)
{
	struct book_rows r;
	struct listing	 l;
	struct bytes	 prefix = BYTES("");

	if (address != NULL) /* with its NUL */
		prefix = (struct bytes){ address, strlen(address) + 1 };
	book_rows_open(&r, t, BOOK_LISTING, prefix, e);
	while (book_rows_next(&r))
		if (!listing_read_row(r.key, r.value, &l))
			r.status = err_set(e, "a listing is damaged");
		else if (!fn(arg, &l))
			break;
	return book_rows_close(&r);
}

/* -- findings -------------------------------------------------------------- */

/* Of the account that the address is dedicated to, or the installation's. */
static int
listing_open_finding(struct db_txn *t, struct listing *l, struct err *e)
{
	struct source  s;
	struct finding f;
	int	       rc = source_get(t, l->address, &s, e);

	if (rc < 0)
		return -1;
	memset(&f, 0, sizeof(f));
	if (rc == 1)
		memcpy(f.account, s.account, sizeof(f.account));
	f.type = FINDING_IP_BLOCKED;
	f.action = finding_default_action(f.type);
	f.source = l->by == LISTING_BY_DNS ? FINDING_BY_DNSBL
					   : FINDING_BY_DETECTOR;
	f.opened = l->since;
	snprintf(f.scope, sizeof(f.scope), "ip %s", l->address);
	snprintf(f.note, sizeof(f.note), "%s is listed by %.200s%s%s%s%.150s",
	    l->address, l->list, l->answer[0] != '\0' ? ": " : "", l->answer,
	    l->url[0] != '\0' ? ", see " : "", l->url);
	if (finding_open(t, &f, e) < 0)
		return -1;
	memcpy(l->finding, f.id, sizeof(l->finding));
	memcpy(l->account, f.account, sizeof(l->account));
	return 0;
}

/* The operator may have closed it, or the account may have gone. */
static int
listing_close_finding(struct db_txn *t, struct listing *l, struct wall now,
    struct err *e)
{
	struct finding f;
	int	       rc;

	if (l->finding[0] == '\0')
		return 0;
	rc = finding_get(t, l->account, l->finding, &f, e);
	l->finding[0] = l->account[0] = '\0';
	if (rc != 1 || f.state == FINDING_CLOSED)
		return rc < 0 ? -1 : 0;
	f.state = FINDING_CLOSED;
	f.closed = now;
	snprintf(f.close_reason, sizeof(f.close_reason),
	    "not listed any more");
	return finding_put(t, &f, e);
}

/* -- listed, or not -------------------------------------------------------- */

static int
listing_move(struct db_txn *t, struct listing *l, bool listed,
    struct listing_change *out, struct err *e)
{
	int rc = 0;

	out->moved = l->listed != listed;
	if (out->moved) {
		l->listed = listed;
		l->since = l->last;
		rc = listed ? listing_open_finding(t, l, e)
			    : listing_close_finding(t, l, l->last, e);
	}
	out->l = *l;
	return rc < 0 ? -1 : listing_put(t, l, e);
}

/* What a receiver wrote goes onto pages and into mail. */
static void
listing_take_text(const char *from, char *to, size_t size)
{
	size_t i;

	for (i = 0; from[i] != '\0' && i + 1 < size; i++)
		to[i] = from[i] > ' ' && from[i] <= '~' ? from[i] : '?';
	to[i] = '\0';
}

int
listing_note(struct db_txn *t, const struct listing_reply *r,
    struct listing_change *out, struct err *e)
{
	struct listing key, l;
	unsigned       i;
	int	       family, rc;

	memset(out, 0, sizeof(*out));
	memset(&key, 0, sizeof(key));
	key.by = LISTING_BY_REPLY;
	if (!source_address_normal(r->address, key.address, &family))
		return 0; /* an address we do not know is none of ours */
	listing_take_text(r->list[0] != '\0' ? r->list : r->group, key.list,
	    sizeof(key.list));
	rc = listing_get(t, &key, &l, e);
	if (rc < 0)
		return -1;
	if (rc == 1 && r->at.ms <= l.last.ms)
		return 0; /* told twice, as after a crash */
	if (rc == 0) {
		if (db_count(t, BOOK_LISTING) >= LISTINGS_MAX)
			return 0;
		l = key;
		l.since = r->at;
	}
	listing_take_text(r->url, l.url, sizeof(l.url));
	listing_take_text(r->group, l.group, sizeof(l.group));
	for (i = LISTING_REPLIES - 2; i > 0; i--)
		l.earlier[i] = l.earlier[i - 1];
	l.earlier[0] = l.last;
	l.last = r->at;
	/* events come in order; a clock that ran back makes no third */
	return listing_move(t, &l, l.listed ||
	    (l.earlier[LISTING_REPLIES - 2].ms > 0 &&
		r->at.ms - l.earlier[LISTING_REPLIES - 2].ms <
		    LISTING_WITHIN_MS), out, e);
}

int
listing_answer(struct db_txn *t, const struct listing_answer *a,
    struct listing_change *out, struct err *e)
{
	struct listing key, l;
	int	       rc;

	memset(out, 0, sizeof(*out));
	memset(&key, 0, sizeof(key));
	key.by = LISTING_BY_DNS;
	snprintf(key.address, sizeof(key.address), "%s", a->address);
	snprintf(key.list, sizeof(key.list), "%s", a->zone);
	rc = listing_get(t, &key, &l, e);
	if (rc < 0)
		return -1;
	if (rc == 0) {
		l = key;
		l.since = a->at;
	}
	l.verdict = a->verdict;
	snprintf(l.answer, sizeof(l.answer), "%s", a->text);
	l.last = a->at;
	return listing_move(t, &l, a->verdict == DNSBL_LISTED ||
	    (l.listed && a->verdict != DNSBL_CLEAN), out, e);
}

struct listing_expiry {
	struct wall	       now;
	struct listing_change *out;
	unsigned	       n, max;
};

static bool
expiry_on_listing(void *arg, const struct listing *l)
{
	struct listing_expiry *x = arg;

	if (x->now.ms - l->last.ms >= LISTING_KEPT_MS ||
	    (l->by == LISTING_BY_DNS && !l->listed &&
		l->last.ms != x->now.ms)) {
		x->out[x->n].l = *l;
		x->out[x->n].moved = l->listed;
		x->n++;
	}
	return x->n < x->max;
}

int
listing_expire(struct db_txn *t, struct wall now, struct listing_change *out,
    unsigned max, struct err *e)
{
	struct listing_expiry x = { now, out, 0, max };
	char		      key[KEY_SIZE];
	unsigned	      i;
	int		      listed = 0;

	if (listing_each(t, NULL, expiry_on_listing, &x, e) < 0)
		return -1;
	for (i = 0; i < x.n; i++) {
		listed += out[i].moved;
		if (listing_close_finding(t, &out[i].l, now, e) < 0 ||
		    db_delete(t, BOOK_LISTING, listing_key(&out[i].l, key),
			e) < 0)
			return -1;
		out[i].l.listed = false;
	}
	for (; i < max; i++)
		out[i].moved = false;
	return listed;
}

/* -- out of use, and back -------------------------------------------------- */

struct settling {
	struct source v[SOURCES_MAX];
	char	      by[SOURCES_MAX][LISTING_LIST_SIZE]; /* "" = by none */
	struct wall   since[SOURCES_MAX];
	unsigned      n;
};

static bool
settling_on_source(void *arg, const struct source *s)
{
	struct settling *x = arg;

	x->v[x->n++] = *s;
	return x->n < SOURCES_MAX;
}

static bool
settling_on_listing(void *arg, const struct listing *l)
{
	struct settling *x = arg;
	unsigned	 i;

	for (i = 0; i < x->n && l->by == LISTING_BY_DNS && l->listed; i++)
		if (strcmp(x->v[i].address, l->address) == 0 &&
		    x->by[i][0] == '\0') {
			memcpy(x->by[i], l->list, sizeof(x->by[i]));
			x->since[i] = l->since;
		}
	return true;
}

/* Mail that leaves from one may leave from the other. */
static bool
source_is_like(const struct source *a, const struct source *b)
{
	return a->family == b->family &&
	    strcmp(a->account, b->account) == 0 &&
	    strcmp(source_pool(a), source_pool(b)) == 0 &&
	    strcmp(a->pool_account, b->pool_account) == 0;
}

/* The one that stays: free of listings, or listed last of all. */
static unsigned
settling_last(const struct settling *x, const struct source *of)
{
	unsigned i, best = SOURCES_MAX;

	for (i = 0; i < x->n; i++) {
		if (!x->v[i].enabled || !source_is_like(&x->v[i], of))
			continue;
		if (best == SOURCES_MAX ||
		    (x->by[i][0] == '\0' && x->by[best][0] != '\0') ||
		    ((x->by[i][0] == '\0') == (x->by[best][0] == '\0') &&
			x->since[i].ms > x->since[best].ms))
			best = i;
	}
	return best;
}

int
listing_settle(struct db_txn *t, bool is_wanted, struct err *e)
{
	struct settling *x = mem_alloc(sizeof(*x));
	char		 by[sizeof(x->v[0].blocked_by)];
	unsigned	 i;
	int n = 0, rc = source_each(t, settling_on_source, x, e);

	if (rc == 0)
		rc = listing_each(t, NULL, settling_on_listing, x, e);
	for (i = 0; i < x->n && rc == 0; i++) {
		by[0] = '\0';
		if (is_wanted && x->by[i][0] != '\0' &&
		    settling_last(x, &x->v[i]) != i)
			bytes_text(bytes_of(x->by[i]), by, sizeof(by));
		if (strcmp(by, x->v[i].blocked_by) == 0)
			continue;
		memcpy(x->v[i].blocked_by, by, sizeof(by));
		rc = source_put(t, &x->v[i], e);
		n++;
	}
	mem_free(x);
	return rc < 0 ? -1 : n;
}

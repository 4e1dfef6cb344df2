/* SPDX-License-Identifier: ISC */
#include "registry/level.h"

#include <stdio.h>
#include <string.h>

#include "store/pack.h"

enum {
	LEVEL_RECORD = 1,
	RECORD_MAX = 512,
	DAY_MS = 24 * 60 * 60 * 1000
};

/* -- the record ------------------------------------------------------------ */

bool
level_write_record(const struct level *l, struct buf *out)
{
	pack_u64(out, LEVEL_RECORD);
	pack_text(out, l->account);
	pack_text(out, l->domain);
	pack_u64(out, l->level);
	pack_u64(out, l->limit);
	pack_i64(out, l->day);
	pack_i64(out, l->held_day);
	pack_i64(out, l->blocked_day);
	pack_i64(out, l->since.ms);
	return !out->failed;
}

bool
level_read_record(struct bytes in, struct level *out)
{
	struct unpack u = unpack_of(in);
	uint64_t      level;

	memset(out, 0, sizeof(*out));
	u.failed |= unpack_u64(&u) != LEVEL_RECORD;
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->domain, sizeof(out->domain));
	level = unpack_u64(&u);
	u.failed |= level < 1 || level > LEVEL_ABOVE;
	out->level = u.failed ? 1 : (unsigned)level;
	out->limit = unpack_u64(&u);
	out->day = unpack_i64(&u);
	out->held_day = unpack_i64(&u);
	out->blocked_day = unpack_i64(&u);
	out->since = unpack_wall(&u);
	return unpack_done(&u);
}

/* A longer domain is cut, everywhere alike. */
static struct bytes
level_key(const char *account, const char *domain, struct book_key *room)
{
	return book_key(room, account, bytes_head(bytes_of(domain),
	    LEVEL_DOMAIN_SIZE - 1));
}

int
level_get(struct db_txn *t, const char *account, const char *domain,
    struct level *out, struct err *e)
{
	struct book_key room, own;
	struct bytes	key = level_key(account, domain, &room), value;
	int		rc = db_get(t, BOOK_LEVEL, key, &value, e);

	/* so is a row that stands where another belongs */
	if (rc == 1 && (!level_read_record(value, out) ||
	    !bytes_eq(level_key(out->account, out->domain,
		&own), key)))
		return err_set(e, "level of %s: the record is damaged",
		    domain);
	if (rc == 0) {
		memset(out, 0, sizeof(*out));
		bytes_text(bytes_of(account), out->account,
		    sizeof(out->account));
		bytes_text(bytes_of(domain), out->domain,
		    sizeof(out->domain));
		out->level = 1;
	}
	return rc;
}

int
level_put(struct db_txn *t, const struct level *l, struct err *e)
{
	struct book_key key;
	struct buf	b;

	buf_init(&b, RECORD_MAX);
	level_write_record(l, &b);
	return book_put(t, BOOK_LEVEL, level_key(l->account, l->domain,
	    &key), &b, e);
}

int
level_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e)
{
	return book_purge(t, BOOK_LEVEL, bytes_of(account), max, e);
}

/* -- limits ---------------------------------------------------------------- */

int64_t
level_day(struct wall at)
{
	return at.ms < 0 ? 0 : at.ms / DAY_MS;
}

uint64_t
level_limit(const struct level *l)
{
	static const uint64_t limits[LEVEL_MAX] = { 500, 1000, 2000, 5000,
		10000, 20000, 40000, 60000, 80000, 100000, 150000, 200000,
		300000, 400000, 500000, 600000, 700000, 800000, 900000,
		1000000 };

	return l->level > LEVEL_MAX ? l->limit : limits[l->level - 1];
}

bool
level_is_blocked(const struct level *l, struct wall now)
{
	return l->blocked_day != 0 && l->blocked_day == level_day(now);
}

/* -- rules (6.3): whole numbers, so that a border is a border -------------- */

/* part / whole >= permille / 1000; of nothing nothing is reached */
static bool
reaches(uint64_t part, uint64_t whole, unsigned permille)
{
	return whole > 0 && part * 1000 >= whole * permille;
}

bool
level_rises(const struct level_figures *f, uint64_t limit)
{
	if (f->sent * 10 < limit * 7 || f->sent == 0 ||
	    reaches(f->complaints, f->delivered, 1))
		return false;
	if (!reaches(f->invalid, f->sent, 50) &&
	    reaches(f->delivered, f->sent, 920) &&
	    !reaches(f->spam, f->sent, 25))
		return true;
	return reaches(f->delivered, f->sent, 900) &&
	    reaches(f->opened, f->tracked, 500);
}

bool
level_falls(const struct level_figures *f)
{
	return f->sent > LEVEL_SENT_MIN &&
	    (reaches(f->invalid, f->sent, 90) ||
		!reaches(f->delivered, f->sent, 650) ||
		reaches(f->spam, f->sent, 50) ||
		reaches(f->complaints, f->delivered, 5));
}

bool
level_blocks(const struct level_figures *f)
{
	return f->sent > LEVEL_SENT_MIN &&
	    (reaches(f->invalid, f->sent, 110) ||
		reaches(f->spam, f->sent, 150));
}

/* -- judging --------------------------------------------------------------- */

/* Days that are over: each lowers by one, but none below level 1. */
static bool
judge_past(struct level *l, const struct level_days *d)
{
	int64_t	 day = d->today - LEVEL_DAYS + 1;
	unsigned before = l->level;

	if (day < l->day)
		day = l->day;
	for (; day < d->today; day++)
		if (l->level > 1 && level_falls(
			&d->v[day - d->today + LEVEL_DAYS - 1]))
			l->level--;
	return l->level != before;
}

void
level_judge(struct level *l, const struct level_days *d, struct wall now,
    struct level_change *out)
{
	const struct level_figures *today = &d->v[LEVEL_DAYS - 1];

	memset(out, 0, sizeof(*out));
	out->from = l->level;
	if (d->today < l->day) { /* the clock ran back */
		out->to = l->level;
		return;
	}
	out->changed = judge_past(l, d);
	if (level_falls(today) && l->held_day != d->today) {
		l->held_day = d->today;
		out->changed = true;
	}
	if (level_blocks(today) && l->blocked_day != d->today) {
		l->blocked_day = d->today;
		out->blocked = out->changed = true;
	}
	if (l->level < LEVEL_MAX && l->held_day != d->today &&
	    level_rises(today, level_limit(l)))
		l->level++;
	out->to = l->level;
	if (out->to != out->from) {
		l->since = now;
		out->changed = true;
	}
	if (out->changed)
		l->day = d->today;
}

int
level_set(struct level *l, uint64_t n, struct wall now, struct err *e)
{
	struct level top = { .level = LEVEL_MAX };

	if (n < 1 || (n > LEVEL_MAX && n <= level_limit(&top)))
		return book_refuse(e, BOOK_BAD_REQUEST, "a level is 1 to %d; "
		    "above it stands a limit of more than %llu a day",
		    LEVEL_MAX, (unsigned long long)level_limit(&top));
	l->level = n <= LEVEL_MAX ? (unsigned)n : LEVEL_ABOVE;
	l->limit = n <= LEVEL_MAX ? 0 : n;
	l->day = level_day(now);
	l->since = now;
	return 0;
}

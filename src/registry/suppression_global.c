/* SPDX-License-Identifier: ISC */
/* The installation's list: entries end by themselves, and are remembered. */
#include <string.h>

#include "registry/suppression.h"
#include "store/pack.h"

enum {
	GLOBAL_RECORD = 1,
	GLOBAL_RECORD_MAX = 1024,
	GLOBAL_FIXED_DAYS = 14
};
static const int64_t  day_ms = 24 * 60 * 60 * 1000;
static const unsigned stay_days[] = { 1, 3, 7, GLOBAL_FIXED_DAYS };
enum { STAYS = sizeof(stay_days) / sizeof(stay_days[0]) };

bool
global_suppression_is_active(const struct global_suppression *g,
    struct wall now)
{
	return now.ms < g->expires.ms;
}

/* -- records ---------------------------------------------------------------- */

static int
global_unpack(struct bytes value, struct global_suppression *g, struct err *e)
{
	struct unpack u = unpack_of(value);

	memset(g, 0, sizeof(*g));
	if (unpack_u64(&u) != GLOBAL_RECORD)
		u.failed = true;
	unpack_text(&u, g->address, sizeof(g->address));
	g->count = (unsigned)unpack_u64(&u);
	g->listed = unpack_wall(&u);
	g->expires = unpack_wall(&u);
	unpack_text(&u, g->last_account, sizeof(g->last_account));
	unpack_text(&u, g->last_message_id, sizeof(g->last_message_id));
	unpack_text(&u, g->last_feedback_id, sizeof(g->last_feedback_id));
	if (!unpack_done(&u))
		return err_set(e,
		    "global suppression list: a record is damaged");
	return 1;
}

static int
global_put(struct db_txn *t, const struct global_suppression *g,
    struct bytes key, struct err *e)
{
	struct buf b;

	buf_init(&b, GLOBAL_RECORD_MAX);
	pack_u64(&b, GLOBAL_RECORD);
	pack_text(&b, g->address);
	pack_u64(&b, g->count);
	pack_i64(&b, g->listed.ms);
	pack_i64(&b, g->expires.ms);
	pack_text(&b, g->last_account);
	pack_text(&b, g->last_message_id);
	pack_text(&b, g->last_feedback_id);
	return book_put(t, BOOK_SUPPRESSED_ALL, key, &b, e) < 0 ? -1 : 1;
}

static int
global_get_by_key(struct db_txn *t, struct bytes key,
    struct global_suppression *out, struct err *e)
{
	struct bytes value;
	int found = db_get(t, BOOK_SUPPRESSED_ALL, key, &value, e);

	return found == 1 ? global_unpack(value, out, e) : found;
}

int
global_suppression_get(struct db_txn *t, struct bytes address,
    struct global_suppression *out, struct err *e)
{
	char	     text[ADDRESS_TEXT_MAX];
	struct bytes key;

	if (!suppression_key(address, text, &key))
		return 0;
	return global_get_by_key(t, key, out, e);
}

/* -- changes ---------------------------------------------------------------- */

int
global_suppression_bounce(struct db_txn *t,
    const struct global_suppression *g, bool fixed, struct err *e)
{
	struct global_suppression made = *g, old;
	char		     text[ADDRESS_TEXT_MAX];
	struct bytes	     key;
	unsigned	     days;
	int		     found;

	if (!suppression_key(bytes_of(g->address), text, &key))
		return book_refuse(e, BOOK_BAD_REQUEST, "not an address: %s",
		    g->address);
	found = global_get_by_key(t, key, &old, e);
	if (found < 0)
		return -1;
	if (found == 1 && g->last_feedback_id[0] != '\0' &&
	    strcmp(old.last_feedback_id, g->last_feedback_id) == 0)
		return 0;
	made.count = found == 1 ? old.count + 1 : 1;
	days = fixed || made.count > STAYS ? GLOBAL_FIXED_DAYS :
					     stay_days[made.count - 1];
	made.expires.ms = g->listed.ms + (int64_t)days * day_ms;
	if (found == 1)
		memcpy(made.address, old.address, sizeof(made.address));
	/* never shorter than it was (a clock that ran back, another policy) */
	if (found == 1 && old.expires.ms > made.expires.ms)
		made.expires = old.expires;
	return global_put(t, &made, key, e);
}

int
global_suppression_remove(struct db_txn *t, struct bytes address,
    struct err *e)
{
	char	     text[ADDRESS_TEXT_MAX];
	struct bytes key;

	if (!suppression_key(address, text, &key))
		return 0;
	return db_delete(t, BOOK_SUPPRESSED_ALL, key, e);
}

/* -- walking ---------------------------------------------------------------- */

/* First row after a key; "" = the first of all. */
static int
global_seek(struct db_cursor *c, const char *after, struct bytes *key,
    struct bytes *value, struct err *e)
{
	int found = db_seek(c, bytes_of(after), key, value, e);

	if (found == 1 && after[0] != '\0' && bytes_eq_text(*key, after))
		found = db_next(c, key, value, e);
	return found;
}

int
global_suppression_each(struct db_txn *t, const char *after,
    bool (*fn)(void *arg, const struct global_suppression *g), void *arg,
    struct err *e)
{
	struct db_cursor	 *c = db_cursor(t, BOOK_SUPPRESSED_ALL, e);
	struct global_suppression g;
	struct bytes		  key, value;
	int			  found;

	if (c == NULL)
		return -1;
	found = global_seek(c, after, &key, &value, e);
	while (found == 1) {
		found = global_unpack(value, &g, e);
		if (found != 1 || !fn(arg, &g))
			break;
		found = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return found < 0 ? -1 : 0;
}

static bool
global_is_forgotten(const struct global_suppression *g, struct wall now)
{
	return now.ms - g->expires.ms > GLOBAL_SUPPRESSION_KEEP_DAYS * day_ms;
}

int
global_suppression_sweep(struct db_txn *t, char place[ADDRESS_TEXT_MAX],
    unsigned max, struct wall now, struct err *e)
{
	struct db_cursor	 *c = db_cursor(t, BOOK_SUPPRESSED_ALL, e);
	struct global_suppression g;
	struct bytes		  key, value;
	unsigned		  n;
	int			  found, removed = 0;

	if (c == NULL)
		return -1;
	found = global_seek(c, place, &key, &value, e);
	for (n = 0; n < max && found == 1; n++) {
		bytes_text(key, place, ADDRESS_TEXT_MAX);
		if (global_unpack(value, &g, e) < 0) {
			found = -1;
			break;
		}
		if (global_is_forgotten(&g, now)) {
			removed++;
			if (db_cursor_delete(c, e) < 0) {
				found = -1;
				break;
			}
			found = global_seek(c, place, &key, &value, e);
			continue;
		}
		found = db_next(c, &key, &value, e);
	}
	if (found == 0)
		place[0] = '\0';
	db_cursor_close(c);
	return found < 0 ? -1 : removed;
}

/* SPDX-License-Identifier: ISC */
#include "registry/destination.h"

#include <stdio.h>
#include <string.h>

#include "registry/account.h"
#include "store/pack.h"

enum {
	DESTINATION_RECORD = 1, /* version */
	DESTINATION_RECORD_MAX = 2048,
	DESTINATION_KIND_FILE = 0
};

const char *const rotate_interval_names[] = { "NONE", "HOURLY", "DAILY",
	NULL };
const char *const file_sync_names[] = { "NONE", "INTERVAL", "EACH", NULL };

/* -- values --------------------------------------------------------------- */

bool
destination_name_is_valid(struct bytes name)
{
	return config_set_name_is_valid(name); /* the same letters */
}

/* One name in the account's own directory: no path, nothing hidden. */
static bool
file_name_is_valid(const char *s)
{
	size_t i, n = strlen(s);

	for (i = 0; i < n; i++)
		if (!((s[i] >= '0' && s[i] <= '9') ||
			(s[i] >= 'A' && s[i] <= 'Z') ||
			(s[i] >= 'a' && s[i] <= 'z') || s[i] == '-' ||
			s[i] == '_' || s[i] == '.'))
			return false;
	return n > 0 && n < DESTINATION_FILE_SIZE && s[0] != '.';
}

void
destination_init(struct destination *d, const struct config_set *s,
    const char *name, struct wall now)
{
	memset(d, 0, sizeof(*d));
	d->set = s->id;
	mem_random(d->id.b, sizeof(d->id.b));
	bytes_text(bytes_of(s->account), d->account, sizeof(d->account));
	bytes_text(bytes_of(s->name), d->set_name, sizeof(d->set_name));
	bytes_text(bytes_of(name), d->name, sizeof(d->name));
	d->enabled = true;
	d->since = d->created = d->updated = now;
	d->file.rotate_octets = 104857600;
	d->file.rotate = ROTATE_DAILY;
	d->file.keep = 14;
	d->file.sync = SYNC_INTERVAL;
}

bool
destination_switch(struct destination *d, bool on, struct wall now)
{
	if (d->enabled == on)
		return false;
	d->enabled = on;
	d->updated = now;
	if (on) {
		d->since = now;
		d->until.ms = 0;
	} else {
		d->until = now;
	}
	return true;
}

/* The time stamp that records show may be a reporter's, long ago: the id's
 * counts. */
bool
destination_wants(const struct destination *d, const struct event *ev)
{
	struct wall at = event_id_time(&ev->id);

	return (d->types & (1u << ev->type)) != 0 && at.ms >= d->since.ms &&
	    (d->until.ms == 0 || at.ms < d->until.ms);
}

char *
destination_cursor(const struct destination_id *id,
    char out[DESTINATION_CURSOR_SIZE])
{
	size_t i;

	memcpy(out, "dest/", 5);
	for (i = 0; i < sizeof(id->b); i++)
		snprintf(out + 5 + 2 * i, 3, "%02x", id->b[i]);
	return out;
}

/* -- the record ----------------------------------------------------------- */

bool
destination_write_record(const struct destination *d, struct buf *out)
{
	pack_u64(out, DESTINATION_RECORD);
	pack_raw(out, d->set.b, sizeof(d->set.b));
	pack_raw(out, d->id.b, sizeof(d->id.b));
	pack_text(out, d->account);
	pack_text(out, d->set_name);
	pack_text(out, d->name);
	pack_u64(out, (d->enabled ? 1 : 0) | (d->extensions ? 2 : 0));
	pack_u64(out, d->types);
	pack_i64(out, d->since.ms);
	pack_i64(out, d->until.ms);
	pack_i64(out, d->created.ms);
	pack_i64(out, d->updated.ms);
	pack_u64(out, DESTINATION_KIND_FILE);
	pack_text(out, d->file.name);
	pack_u64(out, d->file.rotate_octets);
	pack_u64(out, (uint64_t)d->file.rotate);
	pack_u64(out, d->file.keep);
	pack_u64(out, (uint64_t)d->file.sync);
	return !out->failed;
}

static unsigned
unpack_upto(struct unpack *u, unsigned max)
{
	uint64_t v = unpack_u64(u);

	if (v > max)
		u->failed = true;
	return v > max ? 0 : (unsigned)v;
}

bool
destination_read_record(struct bytes in, struct destination *out)
{
	struct unpack u = unpack_of(in);
	unsigned      bits;

	memset(out, 0, sizeof(*out));
	if (unpack_u64(&u) != DESTINATION_RECORD)
		u.failed = true;
	unpack_raw(&u, out->set.b, sizeof(out->set.b));
	unpack_raw(&u, out->id.b, sizeof(out->id.b));
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->set_name, sizeof(out->set_name));
	unpack_text(&u, out->name, sizeof(out->name));
	bits = unpack_upto(&u, 3);
	out->enabled = (bits & 1) != 0;
	out->extensions = (bits & 2) != 0;
	out->types = unpack_upto(&u, DESTINATION_ALL_TYPES);
	out->since.ms = unpack_i64(&u);
	out->until.ms = unpack_i64(&u);
	out->created.ms = unpack_i64(&u);
	out->updated.ms = unpack_i64(&u);
	(void)unpack_upto(&u, DESTINATION_KIND_FILE);
	unpack_text(&u, out->file.name, sizeof(out->file.name));
	out->file.rotate_octets = unpack_u64(&u);
	out->file.rotate = (enum rotate_interval)unpack_upto(&u, ROTATE_DAILY);
	out->file.keep = unpack_upto(&u, DESTINATION_KEEP_MAX);
	out->file.sync = (enum file_sync)unpack_upto(&u, SYNC_EACH);
	/* the name becomes a part of a path */
	return unpack_done(&u) && file_name_is_valid(out->file.name) &&
	    account_id_is_valid(out->account) &&
	    out->file.rotate_octets <= INT64_MAX;
}

/* -- the register --------------------------------------------------------- */

struct destination_key {
	char p[sizeof(struct config_set_id) + DESTINATION_NAME_SIZE];
};

static struct bytes
set_prefix(const struct config_set_id *set)
{
	return (struct bytes){ (const char *)set->b, sizeof(set->b) };
}

static struct bytes
key_of(struct destination_key *room, const struct config_set_id *set,
    struct bytes name)
{
	memcpy(room->p, set->b, sizeof(set->b));
	memcpy(room->p + sizeof(set->b), name.p, name.n);
	return (struct bytes){ room->p, sizeof(set->b) + name.n };
}

int
destination_get(struct db_txn *t, const struct config_set_id *set,
    struct bytes name, struct destination *out, struct err *e)
{
	struct destination_key room;
	struct bytes	       value;
	int		       found;

	if (!destination_name_is_valid(name))
		return 0;
	found = db_get(t, BOOK_DESTINATION, key_of(&room, set, name), &value,
	    e);
	if (found == 1 && !destination_read_record(value, out))
		return err_set(e, "event destination %.*s: the record is "
		    "damaged", (int)name.n, name.p);
	return found;
}

static int
destination_check(const struct destination *d, struct err *e)
{
	must(account_id_is_valid(d->account) &&
	    !config_set_id_is_none(&d->set));
	if (!destination_name_is_valid(bytes_of(d->name)))
		return book_refuse(e, BOOK_BAD_REQUEST, "the name of an event "
		    "destination is 1 to 64 of A-Z a-z 0-9 - _");
	if (d->types == 0 || d->types > DESTINATION_ALL_TYPES)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "an event destination needs types of events");
	if (!file_name_is_valid(d->file.name))
		return book_refuse(e, BOOK_BAD_REQUEST, "the name of a file "
		    "is 1 to %d of A-Z a-z 0-9 - _ . without a dot in front",
		    DESTINATION_FILE_SIZE - 1);
	if (d->file.keep > DESTINATION_KEEP_MAX)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "at most %d rotated files are kept, 0 = all",
		    DESTINATION_KEEP_MAX);
	return 0;
}

int
destination_put(struct db_txn *t, const struct destination *d, struct err *e)
{
	struct destination_key room;
	struct buf	       b;
	int		       rc;

	if (destination_check(d, e) < 0)
		return -1;
	buf_init(&b, DESTINATION_RECORD_MAX);
	rc = destination_write_record(d, &b) ?
		db_put(t, BOOK_DESTINATION, key_of(&room, &d->set,
		    bytes_of(d->name)), buf_bytes(&b), false, e) :
		err_set(e, "event destination %s: out of memory", d->name);
	buf_wipe(&b);
	return rc < 0 ? -1 : 0;
}

int
destination_create(struct db_txn *t, const struct destination *d,
    struct err *e)
{
	struct destination unused;
	int		   found, count;

	if (destination_check(d, e) < 0)
		return -1;
	found = destination_get(t, &d->set, bytes_of(d->name), &unused, e);
	if (found < 0)
		return -1;
	if (found == 1)
		return book_refuse(e, BOOK_EXISTS,
		    "event destination %s exists already", d->name);
	count = config_set_count_destinations(t, &d->set, e);
	if (count < 0)
		return -1;
	if (count >= DESTINATIONS_MAX)
		return book_refuse(e, BOOK_LIMIT, "a configuration set can "
		    "have at most %d event destinations", DESTINATIONS_MAX);
	return destination_put(t, d, e);
}

int
destination_delete(struct db_txn *t, const struct destination *d,
    struct err *e)
{
	struct destination_key room;

	return db_delete(t, BOOK_DESTINATION, key_of(&room, &d->set,
	    bytes_of(d->name)), e);
}

struct destination_walk {
	bool (*fn)(void *arg, const struct destination *d);
	void	   *arg;
	struct err *err;
	bool	    failed;
};

static bool
on_row(void *walk, struct bytes key, struct bytes value)
{
	struct destination_walk *w = walk;
	struct destination	 d;

	(void)key;
	if (!destination_read_record(value, &d)) {
		(void)err_set(w->err, "an event destination is damaged");
		w->failed = true;
		return false;
	}
	return w->fn(w->arg, &d);
}

int
destination_each(struct db_txn *t, const struct config_set_id *set,
    bool (*fn)(void *arg, const struct destination *d), void *arg,
    struct err *e)
{
	struct destination_walk w = { fn, arg, e, false };

	if (book_walk(t, BOOK_DESTINATION, set != NULL ? set_prefix(set) :
		BYTES(""), on_row, &w, e) < 0)
		return -1;
	return w.failed ? -1 : 0;
}

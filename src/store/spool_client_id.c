/* SPDX-License-Identifier: ISC */
/*
 * Messages that went out under the Message-ID their client gave: a report may
 * have nothing else of them.  A row lies under the day of its message and a
 * hash, so that the rows of a day go together, and a look-up is one question
 * for each day that is kept.
 */
#include "store/spool_intake.h"

#include <string.h>

#include "store/spool_private.h"

enum { SAME_MAX = 8, DAY_MS = 86400000, TIME_OCTETS = 6 };

/* FNV-1a; whoever finds a row compares the whole id. */
static uint64_t
client_id_hash(struct bytes text, uint64_t h)
{
	size_t i;

	for (i = 0; i < text.n; i++)
		h = (h ^ (unsigned char)text.p[i]) * UINT64_C(1099511628211);
	return h;
}

/* In place of an id: the day, and the hash. */
static void
client_id_place(struct bytes text, int64_t day, struct msgid *out)
{
	uint64_t ms = (uint64_t)(day * DAY_MS);
	unsigned i;

	for (i = 0; i < TIME_OCTETS; i++)
		out->b[i] = (uint8_t)(ms >> (8 * (TIME_OCTETS - 1 - i)));
	db_put_be64((char *)out->b + TIME_OCTETS, client_id_hash(text,
	    UINT64_C(14695981039346656037)));
	db_put_be64((char *)out->b + TIME_OCTETS + 8, client_id_hash(text,
	    UINT64_C(0x9e3779b97f4a7c15)));
}

int
spool_write_client_id(struct spool_txn *t, const struct msgid *id,
    struct bytes client_id, struct err *e)
{
	struct record_key k;
	struct msgid	  place;
	struct bytes	  value;
	uint32_t	  n;
	int		  rc = 1;

	client_id_place(client_id, msgid_time(id).ms / DAY_MS, &place);
	for (n = 0; rc == 1 && n < SAME_MAX; n++)
		rc = db_get(t->db, SPOOL_CLIENT_ID,
		    record_key_numbered(&k, &place, n), &value, e);
	/* one that is given so often names no message */
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return db_put(t->db, SPOOL_CLIENT_ID,
	    record_key_numbered(&k, &place, n - 1), record_key_id(id), false,
	    e);
}

/* Those of one day; -1 */
static int
client_id_of_day(struct db_txn *t, struct bytes client_id, int64_t day,
    struct msgid ids[SAME_MAX], struct err *e)
{
	struct record_key k;
	struct msgid	  place;
	struct bytes	  value;
	uint32_t	  n;
	int		  rc = 1;

	client_id_place(client_id, day, &place);
	for (n = 0; n < SAME_MAX; n++) {
		rc = db_get(t, SPOOL_CLIENT_ID,
		    record_key_numbered(&k, &place, n), &value, e);
		if (rc <= 0)
			break;
		if (value.n != sizeof(ids[n].b))
			return err_set(e, "spool: damaged client id");
		memcpy(ids[n].b, value.p, value.n);
	}
	return rc < 0 ? -1 : (int)n;
}

int
spool_find_client_id(struct spool *s, struct bytes client_id,
    struct wall now, struct msgid *ids, size_t max, struct err *e)
{
	struct db_txn *t;
	struct msgid   found[SAME_MAX];
	int64_t	       day = now.ms / DAY_MS, last;
	size_t	       n = 0;
	int	       i, rc = 0;

	last = day - 1 - atomic_load(&s->index_keep_ms) / DAY_MS;
	if (client_id.n == 0)
		return 0;
	t = db_read(s->db, e);
	if (t == NULL)
		return -1;
	for (; rc >= 0 && n < max && day >= last && day >= 0; day--) {
		rc = client_id_of_day(t, client_id, day, found, e);
		for (i = 0; i < rc && n < max; i++)
			ids[n++] = found[i];
	}
	db_end(t);
	return rc < 0 ? -1 : (int)n;
}

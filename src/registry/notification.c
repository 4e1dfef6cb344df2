/* SPDX-License-Identifier: ISC */
#include "registry/notification.h"

#include <string.h>

#include "store/pack.h"

enum {
	NOTIFICATION_RECORD = 1, /* version */
	NOTIFICATION_RECORD_MAX = 4096,
	ACCOUNT_OCTETS = ACCOUNT_ID_SIZE - 1
};

const char *const notification_kind_names[] = { "Bounce", "Complaint",
	"Delivery", NULL };

bool
notification_kind_of(enum event_type type, enum notification_kind *out)
{
	if (type == EVENT_BOUNCE)
		*out = NOTIFICATION_BOUNCE;
	else if (type == EVENT_COMPLAINT)
		*out = NOTIFICATION_COMPLAINT;
	else if (type == EVENT_DELIVERY)
		*out = NOTIFICATION_DELIVERY;
	else
		return false;
	return true;
}

/* -- decisions ------------------------------------------------------------- */

void
notification_init(struct notification *n, const char *account,
    const char *identity)
{
	memset(n, 0, sizeof(*n));
	bytes_text(bytes_of(account), n->account, sizeof(n->account));
	bytes_text(bytes_of(identity), n->identity, sizeof(n->identity));
}

bool
notification_set(struct notification *n, enum notification_kind kind,
    const struct topic_ref *topic, struct wall now)
{
	static const struct topic_ref none;
	struct notification_way	     *w = &n->now[kind];

	if (topic == NULL)
		topic = &none;
	if (topic_ref_eq(&w->topic, topic))
		return false;
	if (w->topic.name[0] != '\0') {
		n->former[kind] = *w;
		n->former[kind].until = now;
	}
	memset(w, 0, sizeof(*w));
	w->topic = *topic;
	if (topic->name[0] != '\0')
		w->since = now;
	return true;
}

/* The time stamp that records show may be a reporter's, long ago: the id's
 * counts. */
const struct notification_way *
notification_takes(const struct notification *n, const struct event *ev)
{
	const struct notification_way *w;
	struct wall		       at = event_id_time(&ev->id);
	enum notification_kind	       kind;

	if (!notification_kind_of(ev->type, &kind))
		return NULL;
	w = &n->now[kind];
	if (w->topic.name[0] != '\0' && at.ms >= w->since.ms)
		return w;
	w = &n->former[kind];
	return w->topic.name[0] != '\0' && at.ms >= w->since.ms &&
		at.ms < w->until.ms ? w : NULL;
}

bool
notification_names(const struct notification *n,
    const struct topic_ref *topic)
{
	int k;

	for (k = 0; k < NOTIFICATION_KINDS; k++)
		if (n->now[k].topic.name[0] != '\0' &&
		    topic_ref_eq(&n->now[k].topic, topic))
			return true;
	return false;
}

/* -- the record ------------------------------------------------------------ */

static void
pack_way(struct buf *out, const struct notification_way *w)
{
	pack_text(out, w->topic.name);
	if (w->topic.name[0] == '\0')
		return;
	pack_text(out, w->topic.account);
	pack_bool(out, w->headers);
	pack_i64(out, w->since.ms);
	pack_i64(out, w->until.ms);
}

static void
unpack_way(struct unpack *u, struct notification_way *w)
{
	unpack_text(u, w->topic.name, sizeof(w->topic.name));
	if (u->failed || w->topic.name[0] == '\0')
		return;
	unpack_text(u, w->topic.account, sizeof(w->topic.account));
	w->headers = unpack_bool(u);
	w->since = unpack_wall(u);
	w->until = unpack_wall(u);
	if (!topic_name_is_valid(bytes_of(w->topic.name)) ||
	    !account_id_is_valid(w->topic.account))
		u->failed = true;
}

bool
notification_write_record(const struct notification *n, struct buf *out)
{
	int k;

	pack_u64(out, NOTIFICATION_RECORD);
	pack_text(out, n->account);
	pack_text(out, n->identity);
	for (k = 0; k < NOTIFICATION_KINDS; k++) {
		pack_way(out, &n->now[k]);
		pack_way(out, &n->former[k]);
	}
	return !out->failed;
}

bool
notification_read_record(struct bytes in, struct notification *out)
{
	struct unpack u = unpack_of(in);
	int	      k;

	memset(out, 0, sizeof(*out));
	if (unpack_u64(&u) != NOTIFICATION_RECORD)
		u.failed = true;
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->identity, sizeof(out->identity));
	for (k = 0; k < NOTIFICATION_KINDS; k++) {
		unpack_way(&u, &out->now[k]);
		unpack_way(&u, &out->former[k]);
	}
	return unpack_done(&u) && account_id_is_valid(out->account) &&
	    out->identity[0] != '\0';
}

/* -- the register ---------------------------------------------------------- */

struct notification_key {
	char p[ACCOUNT_OCTETS + IDENTITY_NAME_SIZE];
};

static struct bytes
key_of(struct notification_key *room, const char *account,
    const char *identity)
{
	size_t n = strnlen(account, ACCOUNT_OCTETS);
	size_t m = strnlen(identity, IDENTITY_NAME_SIZE - 1);

	memcpy(room->p, account, n);
	memcpy(room->p + n, identity, m);
	return (struct bytes){ room->p, n + m };
}

/* A row that stands where another belongs is damaged. */
static int
row_read(struct bytes key, struct bytes value, struct notification *out,
    struct err *e)
{
	struct notification_key room;

	if (notification_read_record(value, out) &&
	    bytes_eq(key_of(&room, out->account, out->identity), key))
		return 1;
	return err_set(e, "notifications of %.*s: the record is damaged",
	    (int)(key.n < 350 ? key.n : 350), key.p);
}

int
notification_get(struct db_txn *t, const char *account,
    const char *identity, struct notification *out, struct err *e)
{
	struct notification_key room;
	struct bytes key = key_of(&room, account, identity), value;
	int	     found = key.n == 0 ? 0 :
		db_get(t, BOOK_NOTIFICATION, key, &value, e);

	if (found == 1)
		return row_read(key, value, out, e);
	notification_init(out, account, identity);
	return found;
}

static bool
is_empty(const struct notification *n)
{
	int k;

	for (k = 0; k < NOTIFICATION_KINDS; k++)
		if (n->now[k].topic.name[0] != '\0' ||
		    n->former[k].topic.name[0] != '\0')
			return false;
	return true;
}

int
notification_put(struct db_txn *t, const struct notification *n,
    struct err *e)
{
	struct notification_key room;
	struct buf		b;
	int			rc;

	if (is_empty(n))
		return notification_delete(t, n->account, n->identity, e) < 0
		    ? -1 : 0;
	buf_init(&b, NOTIFICATION_RECORD_MAX);
	rc = notification_write_record(n, &b) ?
		db_put(t, BOOK_NOTIFICATION, key_of(&room, n->account,
		    n->identity), buf_bytes(&b), false, e) :
		err_set(e, "notifications of %s: out of memory", n->identity);
	buf_wipe(&b);
	return rc < 0 ? -1 : 0;
}

int
notification_delete(struct db_txn *t, const char *account,
    const char *identity, struct err *e)
{
	struct notification_key room;

	return db_delete(t, BOOK_NOTIFICATION,
	    key_of(&room, account, identity), e);
}

struct notification_walk {
	bool (*fn)(void *arg, const struct notification *n);
	void	   *arg;
	struct err *err;
	bool	    failed;
};

static bool
on_row(void *walk, struct bytes key, struct bytes value)
{
	struct notification_walk *w = walk;
	struct notification	 *n = mem_alloc(sizeof(*n));
	bool			  more = false;

	if (row_read(key, value, n, w->err) < 0)
		w->failed = true;
	else
		more = w->fn(w->arg, n);
	mem_free(n);
	return more;
}

int
notification_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct notification *n), void *arg,
    struct err *e)
{
	struct notification_walk w = { fn, arg, e, false };

	if (book_walk(t, BOOK_NOTIFICATION, account == NULL ? BYTES("") :
		bytes_of(account), on_row, &w, e) < 0)
		return -1;
	return w.failed ? -1 : 0;
}

/* SPDX-License-Identifier: ISC */
#include "registry/topic.h"

#include <stdio.h>
#include <string.h>

#include "registry/account.h"
#include "registry/destination.h"
#include "store/pack.h"

enum {
	TOPIC_RECORD = 1, /* version */
	TOPIC_RECORD_MAX = 2048,
	ACCOUNT_OCTETS = ACCOUNT_ID_SIZE - 1
};

/* -- names ----------------------------------------------------------------- */

bool
topic_name_is_valid(struct bytes name)
{
	size_t i;

	for (i = 0; i < name.n; i++)
		if (!((name.p[i] >= '0' && name.p[i] <= '9') ||
			(name.p[i] >= 'A' && name.p[i] <= 'Z') ||
			(name.p[i] >= 'a' && name.p[i] <= 'z') ||
			name.p[i] == '-' || name.p[i] == '_'))
			return false;
	return name.n > 0 && name.n < TOPIC_NAME_SIZE;
}

/* What stands before the next colon; false = there is none. */
static bool
arn_next(struct bytes *rest, struct bytes *part)
{
	ptrdiff_t colon = bytes_find(*rest, 0, ':');

	if (colon < 0)
		return false;
	*part = bytes_head(*rest, (size_t)colon);
	*rest = bytes_from(*rest, (size_t)colon + 1);
	return true;
}

bool
topic_ref_read(struct bytes text, const char *account, struct topic_ref *out)
{
	struct bytes rest = text, arn, partition, service, region, owner;

	memset(out, 0, sizeof(*out));
	if (account != NULL && topic_name_is_valid(text)) {
		bytes_text(bytes_of(account), out->account,
		    sizeof(out->account));
		bytes_text(text, out->name, sizeof(out->name));
		return true;
	}
	if (!arn_next(&rest, &arn) || !bytes_eq_text(arn, "arn") ||
	    !arn_next(&rest, &partition) || !arn_next(&rest, &service) ||
	    !bytes_eq_text(service, "sns") || !arn_next(&rest, &region) ||
	    !arn_next(&rest, &owner) || owner.n != ACCOUNT_OCTETS ||
	    !topic_name_is_valid(rest))
		return false;
	bytes_text(owner, out->account, sizeof(out->account));
	bytes_text(rest, out->name, sizeof(out->name));
	return account_id_is_valid(out->account);
}

bool
topic_ref_eq(const struct topic_ref *a, const struct topic_ref *b)
{
	return strcmp(a->account, b->account) == 0 &&
	    strcmp(a->name, b->name) == 0;
}

char *
topic_ref_arn(const struct topic_ref *r, const char *region,
    char out[TOPIC_ARN_SIZE])
{
	snprintf(out, TOPIC_ARN_SIZE, "arn:aws:sns:%.32s:%s:%s", region,
	    r->account, r->name);
	return out;
}

/* -- values ---------------------------------------------------------------- */

void
topic_init(struct topic *x, const char *account, const char *name,
    struct wall now)
{
	memset(x, 0, sizeof(*x));
	bytes_text(bytes_of(account), x->ref.account, sizeof(x->ref.account));
	bytes_text(bytes_of(name), x->ref.name, sizeof(x->ref.name));
	mem_random(x->id.b, sizeof(x->id.b));
	x->created = x->updated = now;
}

static bool
is_publisher(const struct topic *x, const char *account)
{
	unsigned i;

	for (i = 0; i < x->publisher_count; i++)
		if (strcmp(x->publishers[i], account) == 0)
			return true;
	return false;
}

bool
topic_may_publish(const struct topic *x, const char *account)
{
	return strcmp(x->ref.account, account) == 0 ||
	    is_publisher(x, account);
}

bool
topic_add_publisher(struct topic *x, const char *account)
{
	must(account_id_is_valid(account));
	if (is_publisher(x, account))
		return true;
	if (x->publisher_count == TOPIC_PUBLISHERS_MAX)
		return false;
	memcpy(x->publishers[x->publisher_count++], account,
	    ACCOUNT_ID_SIZE);
	return true;
}

/* -- the record ------------------------------------------------------------ */

bool
topic_write_record(const struct topic *x, struct buf *out)
{
	unsigned i;

	pack_u64(out, TOPIC_RECORD);
	pack_text(out, x->ref.account);
	pack_text(out, x->ref.name);
	pack_raw(out, x->id.b, sizeof(x->id.b));
	pack_i64(out, x->created.ms);
	pack_i64(out, x->updated.ms);
	pack_u64(out, x->publisher_count);
	for (i = 0; i < x->publisher_count; i++)
		pack_text(out, x->publishers[i]);
	return !out->failed;
}

static void
unpack_publishers(struct unpack *u, struct topic *out)
{
	uint64_t n = unpack_u64(u), i;

	if (n > TOPIC_PUBLISHERS_MAX)
		u->failed = true;
	for (i = 0; i < n && !u->failed; i++) {
		unpack_text(u, out->publishers[i],
		    sizeof(out->publishers[i]));
		if (!account_id_is_valid(out->publishers[i]))
			u->failed = true;
	}
	out->publisher_count = u->failed ? 0 : (unsigned)n;
}

bool
topic_read_record(struct bytes in, struct topic *out)
{
	struct unpack u = unpack_of(in);

	memset(out, 0, sizeof(*out));
	if (unpack_u64(&u) != TOPIC_RECORD)
		u.failed = true;
	unpack_text(&u, out->ref.account, sizeof(out->ref.account));
	unpack_text(&u, out->ref.name, sizeof(out->ref.name));
	unpack_raw(&u, out->id.b, sizeof(out->id.b));
	out->created = unpack_wall(&u);
	out->updated = unpack_wall(&u);
	unpack_publishers(&u, out);
	return unpack_done(&u) && account_id_is_valid(out->ref.account) &&
	    topic_name_is_valid(bytes_of(out->ref.name)) &&
	    !config_set_id_is_none(&out->id);
}

/* -- the register ---------------------------------------------------------- */

struct topic_key {
	char p[ACCOUNT_OCTETS + TOPIC_NAME_SIZE];
};

static struct bytes
key_of(struct topic_key *room, const struct topic_ref *r)
{
	size_t n = strlen(r->name);

	memcpy(room->p, r->account, ACCOUNT_OCTETS);
	memcpy(room->p + ACCOUNT_OCTETS, r->name, n);
	return (struct bytes){ room->p, ACCOUNT_OCTETS + n };
}

/* A row that stands where another belongs is damaged. */
static int
row_read(struct bytes key, struct bytes value, struct topic *out,
    struct err *e)
{
	struct topic_key room;

	if (topic_read_record(value, out) &&
	    bytes_eq(key_of(&room, &out->ref), key))
		return 1;
	return err_set(e, "topic %.*s: the record is damaged",
	    (int)(key.n < 300 ? key.n : 300), key.p);
}

int
topic_get(struct db_txn *t, const struct topic_ref *r, struct topic *out,
    struct err *e)
{
	struct topic_key room;
	struct bytes	 key, value;
	int		 found;

	if (!account_id_is_valid(r->account) ||
	    !topic_name_is_valid(bytes_of(r->name)))
		return 0;
	key = key_of(&room, r);
	found = db_get(t, BOOK_TOPIC, key, &value, e);
	return found == 1 ? row_read(key, value, out, e) : found;
}

static int
topic_check(const struct topic *x, struct err *e)
{
	must(account_id_is_valid(x->ref.account) &&
	    !config_set_id_is_none(&x->id));
	return topic_name_is_valid(bytes_of(x->ref.name)) ? 0 :
		book_refuse(e, BOOK_BAD_REQUEST, "the name of a topic is 1 to "
		    "256 of A-Z a-z 0-9 - _");
}

int
topic_put(struct db_txn *t, const struct topic *x, struct err *e)
{
	struct topic_key room;
	struct buf	 b;
	int		 rc;

	if (topic_check(x, e) < 0)
		return -1;
	buf_init(&b, TOPIC_RECORD_MAX);
	rc = topic_write_record(x, &b) ?
		db_put(t, BOOK_TOPIC, key_of(&room, &x->ref), buf_bytes(&b),
		    false, e) :
		err_set(e, "topic %s: out of memory", x->ref.name);
	buf_wipe(&b);
	return rc < 0 ? -1 : 0;
}

static bool
on_count(void *count, struct bytes key, struct bytes value)
{
	(void)key;
	(void)value;
	++*(int *)count;
	return true;
}

int
topic_create(struct db_txn *t, const struct topic *x, struct err *e)
{
	struct topic unused;
	int	     found, count = 0;

	if (topic_check(x, e) < 0)
		return -1;
	found = topic_get(t, &x->ref, &unused, e);
	if (found < 0)
		return -1;
	if (found == 1)
		return book_refuse(e, BOOK_EXISTS, "topic %s exists already",
		    x->ref.name);
	if (book_walk(t, BOOK_TOPIC, bytes_of(x->ref.account), on_count,
		&count, e) < 0)
		return -1;
	if (count >= TOPICS_MAX)
		return book_refuse(e, BOOK_LIMIT,
		    "an account can have at most %d topics", TOPICS_MAX);
	return topic_put(t, x, e);
}

int
topic_delete(struct db_txn *t, const struct topic_ref *r, struct err *e)
{
	struct topic_key room;
	struct topic	 x;
	int		 found = topic_get(t, r, &x, e);

	if (found <= 0)
		return found;
	if (destination_delete_all(t, &x.id, e) < 0)
		return -1;
	return db_delete(t, BOOK_TOPIC, key_of(&room, r), e);
}

struct topic_walk {
	bool (*fn)(void *arg, const struct topic *x);
	void	   *arg;
	struct err *err;
	bool	    failed;
};

static bool
on_row(void *walk, struct bytes key, struct bytes value)
{
	struct topic_walk *w = walk;
	struct topic	   x;

	if (row_read(key, value, &x, w->err) < 0) {
		w->failed = true;
		return false;
	}
	return w->fn(w->arg, &x);
}

int
topic_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct topic *x), void *arg, struct err *e)
{
	struct topic_walk w = { fn, arg, e, false };

	if (book_walk(t, BOOK_TOPIC, account == NULL ? BYTES("") :
		bytes_of(account), on_row, &w, e) < 0)
		return -1;
	return w.failed ? -1 : 0;
}

static bool
on_first(void *first, const struct topic *x)
{
	*(struct topic_ref *)first = x->ref;
	return false;
}

int
topic_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e)
{
	struct topic_ref first;
	unsigned	 n;

	for (n = 0; n < max; n++) {
		first.name[0] = '\0';
		if (topic_each(t, account, on_first, &first, e) < 0)
			return -1;
		if (first.name[0] == '\0')
			break;
		if (topic_delete(t, &first, e) < 0)
			return -1;
	}
	return (int)n;
}

/* -- subscriptions --------------------------------------------------------- */

void
topic_subscription_init(const struct topic *x, struct wall now,
    struct destination *out)
{
	struct config_set none;

	memset(&none, 0, sizeof(none));
	none.id = x->id;
	memcpy(none.account, x->ref.account, sizeof(none.account));
	destination_init(out, &none, "", now);
	(void)uuid_encode(out->id.b, out->name);
	out->topic = x->ref;
	out->types = DESTINATION_ALL_TYPES;
	out->sns = true;
}

struct topic_looking {
	const struct event *ev;
	bool		    takes, is_enabled, is_disabled;
};

static bool
looking_on_subscription(void *looking, const struct destination *d)
{
	struct topic_looking *l = looking;

	l->is_enabled |= d->enabled;
	l->is_disabled |= !d->enabled && d->reason[0] != '\0';
	l->takes = d->enabled &&
	    (l->ev == NULL || destination_wants(d, l->ev));
	return !l->takes;
}

int
topic_look(struct db_txn *t, const struct topic_ref *r, const char *account,
    const struct event *ev, enum topic_state *out, struct err *e)
{
	struct topic_looking l = { .ev = ev };
	struct topic	     x;
	int		     found = topic_get(t, r, &x, e);

	*out = TOPIC_DEAD;
	if (found < 0)
		return -1;
	if (found == 0 || !topic_may_publish(&x, account))
		return 0;
	if (destination_each(t, &x.id, looking_on_subscription, &l, e) < 0)
		return -1;
	if (l.takes)
		*out = TOPIC_WORKS;
	else if (l.is_enabled || !l.is_disabled)
		*out = TOPIC_SILENT;
	return 0;
}

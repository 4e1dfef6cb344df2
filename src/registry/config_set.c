/* SPDX-License-Identifier: ISC */
#include "registry/config_set.h"

#include <string.h>

#include "mail/address.h"
#include "registry/account.h"
#include "registry/destination.h"
#include "registry/identity.h"
#include "registry/pool.h"
#include "store/pack.h"

enum {
	CONFIG_SET_RECORD = 1, /* versions of the records */
	CONFIG_SET_RECORD_MAX = 4096
};

/* Bits of a record. */
enum {
	BIT_SENDING = 1,
	BIT_REQUIRE_TLS = 2,
	BIT_REPUTATION = 4,
	BIT_OWN_SUPPRESSION = 8,
	BIT_SUPPRESS_BOUNCE = 16,
	BIT_SUPPRESS_COMPLAINT = 32,
	BIT_ALL = 63
};

static struct bytes
id_bytes(const struct config_set_id *id)
{
	return (struct bytes){ (const char *)id->b, sizeof(id->b) };
}

bool
config_set_name_is_valid(struct bytes name)
{
	return bytes_is_word(name, "-_") && name.n < CONFIG_SET_NAME_SIZE;
}

void
config_set_init(struct config_set *s, const char *account, const char *name,
    struct wall now)
{
	memset(s, 0, sizeof(*s));
	bytes_text(bytes_of(account), s->account, sizeof(s->account));
	bytes_text(bytes_of(name), s->name, sizeof(s->name));
	mem_random(s->id.b, sizeof(s->id.b));
	s->created = s->updated = now;
	s->sending = true;
}

/* -- states --------------------------------------------------------------- */

bool
config_set_pause(struct config_set *s, const char *reason, const char *actor,
    struct wall now)
{
	if (!s->sending)
		return false; /* it stays with who was first */
	s->sending = false;
	bytes_text(bytes_of(reason), s->pause_reason,
	    sizeof(s->pause_reason));
	bytes_text(bytes_of(actor), s->paused_by, sizeof(s->paused_by));
	s->paused_since = s->updated = now;
	return true;
}

bool
config_set_resume(struct config_set *s, struct wall now)
{
	if (s->sending)
		return false;
	s->sending = true;
	s->pause_reason[0] = s->paused_by[0] = '\0';
	s->paused_since.ms = 0;
	s->fresh_start = s->updated = now;
	return true;
}

void
config_set_switch_reputation(struct config_set *s, bool on, struct wall now)
{
	if (on && !s->reputation)
		s->reputation_since = now;
	s->reputation = on;
}

struct wall
config_set_counts_from(const struct config_set *s)
{
	return s->fresh_start.ms >= s->reputation_since.ms ? s->fresh_start
							   : s->reputation_since;
}

/* -- the record ----------------------------------------------------------- */

bool
config_set_write_record(const struct config_set *s, struct buf *out)
{
	pack_u64(out, CONFIG_SET_RECORD);
	pack_raw(out, s->id.b, sizeof(s->id.b));
	pack_text(out, s->account);
	pack_text(out, s->name);
	pack_u64(out, (s->sending ? BIT_SENDING : 0) |
	    (s->require_tls ? BIT_REQUIRE_TLS : 0) |
	    (s->reputation ? BIT_REPUTATION : 0) |
	    (s->own_suppression ? BIT_OWN_SUPPRESSION : 0) |
	    (s->suppress_bounce ? BIT_SUPPRESS_BOUNCE : 0) |
	    (s->suppress_complaint ? BIT_SUPPRESS_COMPLAINT : 0));
	pack_text(out, s->pool);
	pack_u64(out, s->max_delivery_s);
	pack_text(out, s->pause_reason);
	pack_text(out, s->paused_by);
	pack_i64(out, s->paused_since.ms);
	pack_i64(out, s->reputation_since.ms);
	pack_i64(out, s->fresh_start.ms);
	pack_text(out, s->redirect_domain);
	pack_u64(out, (uint64_t)s->https);
	pack_u64(out, (uint64_t)s->engagement);
	pack_u64(out, (uint64_t)s->shared_delivery);
	pack_i64(out, s->created.ms);
	pack_i64(out, s->updated.ms);
	return !out->failed;
}

static unsigned
unpack_small(struct unpack *u, unsigned max)
{
	uint64_t n = unpack_u64(u);

	if (n > max)
		u->failed = true;
	return u->failed ? 0 : (unsigned)n;
}

static void
unpack_bits(struct unpack *u, struct config_set *s)
{
	unsigned bits = unpack_small(u, BIT_ALL);

	s->sending = (bits & BIT_SENDING) != 0;
	s->require_tls = (bits & BIT_REQUIRE_TLS) != 0;
	s->reputation = (bits & BIT_REPUTATION) != 0;
	s->own_suppression = (bits & BIT_OWN_SUPPRESSION) != 0;
	s->suppress_bounce = (bits & BIT_SUPPRESS_BOUNCE) != 0;
	s->suppress_complaint = (bits & BIT_SUPPRESS_COMPLAINT) != 0;
}

bool
config_set_read_record(struct bytes in, struct config_set *out)
{
	struct unpack u = unpack_of(in);

	memset(out, 0, sizeof(*out));
	if (unpack_u64(&u) != CONFIG_SET_RECORD)
		u.failed = true;
	unpack_raw(&u, out->id.b, sizeof(out->id.b));
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->name, sizeof(out->name));
	unpack_bits(&u, out);
	unpack_text(&u, out->pool, sizeof(out->pool));
	out->max_delivery_s = unpack_small(&u, CONFIG_SET_DELIVERY_MAX_S);
	unpack_text(&u, out->pause_reason, sizeof(out->pause_reason));
	unpack_text(&u, out->paused_by, sizeof(out->paused_by));
	out->paused_since = unpack_wall(&u);
	out->reputation_since = unpack_wall(&u);
	out->fresh_start = unpack_wall(&u);
	unpack_text(&u, out->redirect_domain, sizeof(out->redirect_domain));
	out->https = (enum https_policy)unpack_small(&u,
	    HTTPS_REQUIRE_OPEN_ONLY);
	out->engagement = (enum vdm_switch)unpack_small(&u, VDM_DISABLED);
	out->shared_delivery = (enum vdm_switch)unpack_small(&u,
	    VDM_DISABLED);
	out->created = unpack_wall(&u);
	out->updated = unpack_wall(&u);
	return unpack_done(&u) && account_id_is_valid(out->account) &&
	    config_set_name_is_valid(bytes_of(out->name)) &&
	    !config_set_id_is_none(&out->id);
}

/* -- labels --------------------------------------------------------------- */

int
config_set_tags_get(struct db_txn *t, const struct config_set *s,
    struct arena *a, struct resource_tags *out, struct err *e)
{
	return resource_tags_get(t, BOOK_SET_TAGS, id_bytes(&s->id), a, out,
	    e);
}

int
config_set_tags_put(struct db_txn *t, const struct config_set *s,
    const struct resource_tags *tags, struct err *e)
{
	return resource_tags_put(t, BOOK_SET_TAGS, id_bytes(&s->id), tags, e);
}

/* -- the register --------------------------------------------------------- */

/* A row that stands where another belongs is damaged: what is done to it
 * would be done to the other. */
static int
row_read(struct bytes row, struct bytes value, struct config_set *out,
    struct err *e)
{
	struct book_key room;

	if (config_set_read_record(value, out) &&
	    bytes_eq(book_key(&room, out->account, bytes_of(out->name)), row))
		return 1;
	return err_set(e, "configuration set %.*s: the record is damaged",
	    (int)row.n, row.p);
}

static int
row_get(struct db_txn *t, struct bytes row, struct config_set *out,
    struct err *e)
{
	struct bytes value;
	int	     found = db_get(t, BOOK_CONFIG_SET, row, &value, e);

	return found == 1 ? row_read(row, value, out, e) : found;
}

int
config_set_get(struct db_txn *t, const char *account, struct bytes name,
    struct config_set *out, struct err *e)
{
	struct book_key room;

	if (!account_id_is_valid(account) || !config_set_name_is_valid(name))
		return 0;
	return row_get(t, book_key(&room, account, name), out, e);
}

int
config_set_find(struct db_txn *t, const struct config_set_id *id,
    struct config_set *out, struct err *e)
{
	struct book_key room;
	struct bytes	row;
	int		found = db_get(t, BOOK_SET_ID, id_bytes(id), &row, e);

	if (found <= 0)
		return found;
	if (row.n > sizeof(room.p))
		return err_set(e, "a configuration set's id is damaged");
	memcpy(room.p, row.p, row.n);
	found = row_get(t, (struct bytes){ room.p, row.n }, out, e);
	return found != 0 ? found : err_set(e,
	    "configuration set %.*s: the record is missing", (int)row.n,
	    room.p);
}

static int
config_set_check(struct db_txn *t, const struct config_set *s, struct err *e)
{
	int has_pool = 1;

	must(account_id_is_valid(s->account) &&
	    !config_set_id_is_none(&s->id));
	if (!config_set_name_is_valid(bytes_of(s->name)))
		return book_refuse(e, BOOK_BAD_REQUEST, "the name of a "
		    "configuration set is 1 to 64 of A-Z a-z 0-9 - _");
	if (s->pool[0] != '\0')
		has_pool = pool_exists(t, s->account, s->pool, e);
	if (has_pool < 0)
		return -1;
	if (has_pool == 0)
		return book_refuse(e, BOOK_NOT_FOUND, "no such pool: %s",
		    s->pool);
	if (s->max_delivery_s != 0 &&
	    (s->max_delivery_s < CONFIG_SET_DELIVERY_MIN_S ||
		s->max_delivery_s > CONFIG_SET_DELIVERY_MAX_S))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "MaxDeliverySeconds is from %d to %d",
		    CONFIG_SET_DELIVERY_MIN_S, CONFIG_SET_DELIVERY_MAX_S);
	if (s->redirect_domain[0] != '\0' &&
	    !domain_is_valid(bytes_of(s->redirect_domain), 0))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "not a host name: %s", s->redirect_domain);
	return 0;
}

int
config_set_put(struct db_txn *t, const struct config_set *s, struct err *e)
{
	struct book_key room;
	struct buf	b;

	if (config_set_check(t, s, e) < 0)
		return -1;
	buf_init(&b, CONFIG_SET_RECORD_MAX);
	config_set_write_record(s, &b);
	return book_put(t, BOOK_CONFIG_SET, book_key(&room, s->account,
	    bytes_of(s->name)), &b, e);
}

int
config_set_create(struct db_txn *t, const struct config_set *s,
    struct err *e)
{
	struct book_key	  room;
	struct bytes	  row, unused;
	int		  found, count;

	if (config_set_check(t, s, e) < 0)
		return -1;
	row = book_key(&room, s->account, bytes_of(s->name));
	found = db_get(t, BOOK_CONFIG_SET, row, &unused, e);
	if (found < 0)
		return -1;
	if (found == 1)
		return book_refuse(e, BOOK_EXISTS,
		    "configuration set %s exists already", s->name);
	count = book_count(t, BOOK_CONFIG_SET, bytes_of(s->account), e);
	if (count < 0)
		return -1;
	if (count >= CONFIG_SETS_MAX)
		return book_refuse(e, BOOK_LIMIT, "an account can have at "
		    "most %d configuration sets", CONFIG_SETS_MAX);
	if (db_put(t, BOOK_SET_ID, id_bytes(&s->id), row, false, e) < 0)
		return -1;
	return config_set_put(t, s, e);
}

int
config_set_count_destinations(struct db_txn *t,
    const struct config_set_id *id, struct err *e)
{
	return book_count(t, BOOK_DESTINATION, id_bytes(id), e);
}

int
config_set_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e)
{
	struct book_key	  room;
	struct config_set s;
	int found = config_set_get(t, account, bytes_of(name), &s, e);

	if (found <= 0)
		return found;
	if (destination_delete_all(t, &s.id, e) < 0 ||
	    db_delete(t, BOOK_SET_TAGS, id_bytes(&s.id), e) < 0 ||
	    db_delete(t, BOOK_SET_ID, id_bytes(&s.id), e) < 0)
		return -1;
	return db_delete(t, BOOK_CONFIG_SET,
	    book_key(&room, account, bytes_of(name)), e);
}

int
config_set_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct config_set *s), void *arg,
    struct err *e)
{
	struct book_rows r;
	struct config_set s;

	book_rows_open(&r, t, BOOK_CONFIG_SET, bytes_of(account), e);
	while (book_rows_next(&r)) {
		r.status = row_read(r.key, r.value, &s, e);
		if (r.status < 0 || !fn(arg, &s))
			break;
	}
	return book_rows_close(&r);
}

int
config_set_check_redirect(struct db_txn *t, const struct config_set *s,
    struct wall now, struct err *e)
{
	struct bytes	d = bytes_of(s->redirect_domain);
	char		name[sizeof(s->redirect_domain)];
	struct identity i;
	int		found;

	if (d.n == 0)
		return 0;
	do {
		found = identity_get(t, s->account,
		    bytes_text(d, name, sizeof(name)), &i, e);
		if (found < 0)
			return -1;
		if (found == 1 && identity_may_send(&i, now))
			return 0;
	} while (domain_parent(d, &d));
	return book_refuse(e, BOOK_BAD_REQUEST, "%s is neither a verified "
	    "domain of the account nor below one", s->redirect_domain);
}

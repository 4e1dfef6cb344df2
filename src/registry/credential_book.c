/* SPDX-License-Identifier: ISC */
/* Part of registry/credential.h: the stored records and their indexes. */
#include <string.h>

#include "base/ascii.h"
#include "registry/credential.h"
#include "store/pack.h"

enum { CREDENTIAL_RECORD = 1, CREDENTIAL_RECORD_MAX = 128 * 1024 };

/* -- the record ----------------------------------------------------------- */

static void
credential_pack_key(struct buf *b, const struct credential_key *k)
{
	pack_text(b, k->id);
	pack_bool(b, k->active);
	pack_bool(b, k->imported);
	pack_raw(b, k->digest, sizeof(k->digest));
	pack_text(b, k->region);
	pack_i64(b, k->created.ms);
	pack_i64(b, k->expires.ms);
	pack_i64(b, k->last_used.ms);
	pack_text(b, k->last_ip);
	pack_text(b, k->last_listener);
}

static void
credential_unpack_key(struct unpack *u, struct credential_key *k)
{
	unpack_text(u, k->id, sizeof(k->id));
	k->active = unpack_bool(u);
	k->imported = unpack_bool(u);
	unpack_raw(u, k->digest, sizeof(k->digest));
	unpack_text(u, k->region, sizeof(k->region));
	k->created = unpack_wall(u);
	k->expires = unpack_wall(u);
	k->last_used = unpack_wall(u);
	unpack_text(u, k->last_ip, sizeof(k->last_ip));
	unpack_text(u, k->last_listener, sizeof(k->last_listener));
}

static void
credential_pack_limits(struct buf *b, const struct credential_restrictions *r)
{
	unsigned i;

	pack_u64(b, r->cidr_count);
	for (i = 0; i < r->cidr_count; i++) {
		pack_bool(b, r->cidrs[i].family == AF_INET6);
		pack_u64(b, r->cidrs[i].prefix);
		pack_raw(b, r->cidrs[i].octets, sizeof(r->cidrs[i].octets));
	}
	pack_u64(b, r->listener_count);
	for (i = 0; i < r->listener_count; i++)
		pack_text(b, r->listeners[i]);
	pack_u64(b, (uint64_t)r->min_tls);
	pack_u64(b, r->from_count);
	for (i = 0; i < r->from_count; i++)
		pack_text(b, r->from[i]);
	pack_u64(b, r->rcpt_count);
	for (i = 0; i < r->rcpt_count; i++)
		pack_text(b, r->rcpt[i]);
	pack_u64(b, r->max_recipients);
	pack_u64(b, r->max_size);
	pack_double(b, r->max_24h);
	pack_double(b, r->rate);
	pack_u64(b, r->max_sessions);
	pack_text(b, r->config_set);
	pack_bool(b, r->force_config_set);
	pack_i64(b, r->expires.ms);
}

/* A count; more than fit in the array is damage. */
static unsigned
unpack_count(struct unpack *u, size_t max)
{
	uint64_t n = unpack_u64(u);

	if (n > max)
		u->failed = true;
	return u->failed ? 0 : (unsigned)n;
}

static unsigned
unpack_limit(struct unpack *u)
{
	uint64_t n = unpack_u64(u);

	if (n > UINT32_MAX)
		u->failed = true;
	return u->failed ? 0 : (unsigned)n;
}

static void
credential_unpack_cidr(struct unpack *u, struct conf_cidr *c)
{
	uint64_t prefix;

	c->family = unpack_bool(u) ? AF_INET6 : AF_INET;
	prefix = unpack_u64(u);
	if (prefix > (c->family == AF_INET6 ? 128 : 32))
		u->failed = true;
	c->prefix = (uint8_t)prefix;
	unpack_raw(u, c->octets, sizeof(c->octets));
}

static void
credential_unpack_limits(struct unpack *u, struct credential_restrictions *r)
{
	unsigned i;

	r->cidr_count = unpack_count(u, CREDENTIAL_LIST_MAX);
	for (i = 0; i < r->cidr_count; i++)
		credential_unpack_cidr(u, &r->cidrs[i]);
	r->listener_count = unpack_count(u,
	    sizeof(r->listeners) / sizeof(r->listeners[0]));
	for (i = 0; i < r->listener_count; i++)
		unpack_text(u, r->listeners[i], sizeof(r->listeners[i]));
	r->min_tls = (int)unpack_count(u, 13);
	r->from_count = unpack_count(u, CREDENTIAL_LIST_MAX);
	for (i = 0; i < r->from_count; i++)
		unpack_text(u, r->from[i], sizeof(r->from[i]));
	r->rcpt_count = unpack_count(u, CREDENTIAL_LIST_MAX);
	for (i = 0; i < r->rcpt_count; i++)
		unpack_text(u, r->rcpt[i], sizeof(r->rcpt[i]));
	r->max_recipients = unpack_limit(u);
	r->max_size = unpack_u64(u);
	r->max_24h = unpack_double(u);
	r->rate = unpack_double(u);
	r->max_sessions = unpack_limit(u);
	unpack_text(u, r->config_set, sizeof(r->config_set));
	r->force_config_set = unpack_bool(u);
	r->expires = unpack_wall(u);
}

static void
credential_pack(struct buf *b, const struct credential *c)
{
	unsigned i;

	pack_u64(b, CREDENTIAL_RECORD);
	pack_text(b, c->name);
	pack_bool(b, c->enabled);
	pack_u64(b, (uint64_t)c->role);
	pack_i64(b, c->created.ms);
	pack_i64(b, c->updated.ms);
	pack_text(b, c->description);
	pack_u64(b, c->key_count);
	for (i = 0; i < c->key_count; i++)
		credential_pack_key(b, &c->keys[i]);
	credential_pack_limits(b, &c->limits);
	pack_u64(b, (uint64_t)c->overrides.date);
	pack_u64(b, (uint64_t)c->overrides.message_id);
	pack_u64(b, (uint64_t)c->overrides.received);
	pack_u64(b, c->policy_count);
	for (i = 0; i < c->policy_count; i++) {
		pack_text(b, c->policies[i].name);
		pack_text(b, c->policies[i].text);
	}
	/* records of the first release end here */
	if (c->limits.tag_count == 0)
		return;
	pack_u64(b, c->limits.tag_count);
	for (i = 0; i < c->limits.tag_count; i++) {
		pack_text(b, c->limits.tags[i].name);
		pack_text(b, c->limits.tags[i].value);
	}
}

static void
credential_unpack_tags(struct unpack *u, struct credential_restrictions *r)
{
	unsigned i;

	r->tag_count = unpack_more(u) ?
		unpack_count(u, CREDENTIAL_LIST_MAX) : 0;
	for (i = 0; i < r->tag_count; i++) {
		unpack_text(u, r->tags[i].name, sizeof(r->tags[i].name));
		unpack_text(u, r->tags[i].value, sizeof(r->tags[i].value));
	}
}

static void
credential_unpack_fields(struct unpack *u, struct credential *c)
{
	unsigned i;

	unpack_text(u, c->name, sizeof(c->name));
	c->enabled = unpack_bool(u);
	c->role = (enum credential_role)unpack_count(u, ROLE_NONE);
	c->created = unpack_wall(u);
	c->updated = unpack_wall(u);
	unpack_text(u, c->description, sizeof(c->description));
	c->key_count = unpack_count(u, CREDENTIAL_KEYS_MAX);
	for (i = 0; i < c->key_count; i++)
		credential_unpack_key(u, &c->keys[i]);
	credential_unpack_limits(u, &c->limits);
	c->overrides.date = (enum header_rule)unpack_count(u, RULE_PRESERVE);
	c->overrides.message_id =
	    (enum header_rule)unpack_count(u, RULE_PRESERVE);
	c->overrides.received =
	    (enum received_rule)unpack_count(u, RECEIVED_NONE);
	c->policy_count = unpack_count(u, CREDENTIAL_POLICIES_MAX);
	for (i = 0; i < c->policy_count; i++) {
		unpack_text(u, c->policies[i].name,
		    sizeof(c->policies[i].name));
		unpack_text(u, c->policies[i].text,
		    sizeof(c->policies[i].text));
	}
	credential_unpack_tags(u, &c->limits);
}

enum { CREDENTIAL_ROW_KEY_MAX = ACCOUNT_ID_SIZE + CREDENTIAL_NAME_SIZE };

static struct bytes
credential_row_key(const char *account, const char *name,
    char out[CREDENTIAL_ROW_KEY_MAX])
{
	size_t n = 0, i;

	for (i = 0; account[i] != '\0' && n < ACCOUNT_ID_SIZE - 1; i++)
		out[n++] = account[i];
	for (i = 0; name[i] != '\0' && n < CREDENTIAL_ROW_KEY_MAX; i++)
		out[n++] = ascii_lower(name[i]);
	return (struct bytes){ out, n };
}

/*
 * The lists beyond their counts are left as they are: clearing all of the
 * struct would cost more than the rest of a login.
 */
static int
credential_unpack(struct bytes key, struct bytes value, struct credential *c,
    struct err *e)
{
	struct unpack u = unpack_of(value);
	char	      own[CREDENTIAL_ROW_KEY_MAX];

	bytes_text(bytes_head(key, ACCOUNT_ID_SIZE - 1), c->account,
	    sizeof(c->account));
	if (!account_id_is_valid(c->account) ||
	    unpack_u64(&u) != CREDENTIAL_RECORD)
		u.failed = true;
	credential_unpack_fields(&u, c);
	/* so is a row that stands where another belongs */
	if (!unpack_done(&u) || !bytes_eq(credential_row_key(c->account,
		c->name, own), key))
		return err_set(e, "credential %s/%s: the record is damaged",
		    c->account, c->name);
	return 1;
}

/* -- the register --------------------------------------------------------- */

int
credential_get(struct db_txn *t, const char *account, const char *name,
    struct credential *out, struct err *e)
{
	char	     room[CREDENTIAL_ROW_KEY_MAX];
	struct bytes key, value;
	int	     found;

	if (!account_id_is_valid(account) || !credential_name_is_valid(name))
		return 0;
	key = credential_row_key(account, name, room);
	found = db_get(t, BOOK_CREDENTIAL, key, &value, e);
	if (found != 1)
		return found;
	return credential_unpack(key, value, out, e);
}

/* The credential that a row of BOOK_KEY stands for. */
static int
credential_get_owner(struct db_txn *t, const char *key_id, struct bytes row,
    struct credential *out, struct err *e)
{
	char	     room[CREDENTIAL_ROW_KEY_MAX];
	struct bytes value;
	int	     found;

	if (row.n > sizeof(room))
		return err_set(e, "access key %s: the record is damaged",
		    key_id);
	memcpy(room, row.p, row.n);
	row.p = room;
	found = db_get(t, BOOK_CREDENTIAL, row, &value, e);
	if (found == 1)
		found = credential_unpack(row, value, out, e);
	return found;
}

/*
 * The first row that is not before the id; behind the last comes the first,
 * which is looked for in any case: the work says nothing of the id.
 */
static int
credential_seek_key(struct db_txn *t, const char *key_id, struct bytes *id,
    struct bytes *row, struct err *e)
{
	struct db_cursor *c = db_cursor(t, BOOK_KEY, e);
	struct bytes	  first_id = { NULL, 0 }, first_row = { NULL, 0 };
	int		  found;

	if (c == NULL)
		return -1;
	found = db_seek(c, BYTES(""), &first_id, &first_row, e);
	if (found == 1)
		found = db_seek(c, bytes_of(key_id), id, row, e);
	db_cursor_close(c);
	if (found == 0 && first_id.n > 0) {
		*id = first_id;
		*row = first_row;
		found = 1;
	}
	return found;
}

int
credential_find_key(struct db_txn *t, const char *key_id,
    struct credential *out, unsigned *key, struct err *e)
{
	struct bytes id, row;
	bool	     is_known;
	int	     found;
	unsigned     i;

	if (!credential_key_id_is_valid(key_id))
		return 0;
	found = credential_seek_key(t, key_id, &id, &row, e);
	if (found != 1)
		return found;
	is_known = bytes_eq_text(id, key_id);
	found = credential_get_owner(t, key_id, row, out, e);
	if (!is_known)
		return 0;
	if (found < 0)
		return -1;
	for (i = 0; found == 1 && i < out->key_count; i++) {
		if (strcmp(out->keys[i].id, key_id) == 0) {
			*key = i;
			return 1;
		}
	}
	return err_set(e, "access key %s: its credential is missing", key_id);
}

static int
credential_check(const struct credential *c, struct err *e)
{
	unsigned i;

	if (!account_id_is_valid(c->account))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "an account id is 12 digits");
	if (!credential_name_is_valid(c->name))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "a user name is 1 to 64 of A-Z a-z 0-9 + = , . @ _ -");
	for (i = 0; i < c->key_count; i++) {
		if (!credential_key_id_is_valid(c->keys[i].id))
			return book_refuse(e, BOOK_BAD_REQUEST,
			    "an access key id is 16 to 128 of A-Z 0-9");
	}
	if (c->limits.min_tls != 0 && c->limits.min_tls != 12 &&
	    c->limits.min_tls != 13)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the lowest TLS version is 1.2 or 1.3");
	return 0;
}

/* Rows of BOOK_KEY for the keys it has, none for those it had. */
static int
credential_put_key_rows(struct db_txn *t, const struct credential *c,
    struct bytes row, struct err *e)
{
	struct bytes owner;
	unsigned     i;
	int	     found;

	for (i = 0; i < c->key_count; i++) {
		found = db_get(t, BOOK_KEY, bytes_of(c->keys[i].id), &owner,
		    e);
		if (found < 0)
			return -1;
		if (found == 1 && !bytes_eq(owner, row))
			return book_refuse(e, BOOK_EXISTS,
			    "AlreadyExistsException: access key id %s is "
			    "already in use", c->keys[i].id);
		if (found == 0 && db_put(t, BOOK_KEY,
			bytes_of(c->keys[i].id), row, false, e) < 0)
			return -1;
	}
	return 0;
}

static int
credential_drop_key_rows(struct db_txn *t, const struct credential *old,
    const struct credential *now, struct err *e)
{
	unsigned i, j;

	for (i = 0; i < old->key_count; i++) {
		for (j = 0; now != NULL && j < now->key_count; j++) {
			if (strcmp(old->keys[i].id, now->keys[j].id) == 0)
				break;
		}
		if (now != NULL && j < now->key_count)
			continue;
		if (db_delete(t, BOOK_KEY, bytes_of(old->keys[i].id), e) < 0)
			return -1;
	}
	return 0;
}

int
credential_put(struct db_txn *t, const struct credential *c, struct err *e)
{
	char		   room[CREDENTIAL_ROW_KEY_MAX];
	struct bytes	   row = credential_row_key(c->account, c->name, room);
	struct credential *old;
	struct buf	   b;
	int		   rc;

	if (credential_check(c, e) < 0)
		return -1;
	old = mem_alloc(sizeof(*old));
	rc = credential_get(t, c->account, c->name, old, e);
	if (rc == 1)
		rc = credential_drop_key_rows(t, old, c, e);
	mem_free(old);
	if (rc < 0 || credential_put_key_rows(t, c, row, e) < 0)
		return -1;
	buf_init(&b, CREDENTIAL_RECORD_MAX);
	credential_pack(&b, c);
	return book_put(t, BOOK_CREDENTIAL, row, &b, e);
}

int
credential_create(struct db_txn *t, const struct credential *c, unsigned max,
    struct err *e)
{
	char	     room[CREDENTIAL_ROW_KEY_MAX];
	struct bytes unused;
	int	     found;

	if (credential_check(c, e) < 0)
		return -1;
	found = db_get(t, BOOK_CREDENTIAL,
	    credential_row_key(c->account, c->name, room), &unused, e);
	if (found < 0)
		return -1;
	if (found == 1)
		return book_refuse(e, BOOK_EXISTS,
		    "AlreadyExistsException: a credential named %s exists",
		    c->name);
	if (max > 0 && credential_count(t, c->account) >= max)
		return book_refuse(e, BOOK_LIMIT, "LimitExceededException: "
		    "an account can have at most %u credentials", max);
	return credential_put(t, c, e);
}

int
credential_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e)
{
	char		   room[CREDENTIAL_ROW_KEY_MAX];
	struct credential *old = mem_alloc(sizeof(*old));
	int		   found;

	found = credential_get(t, account, name, old, e);
	if (found == 1 && credential_drop_key_rows(t, old, NULL, e) < 0)
		found = -1;
	mem_free(old);
	if (found != 1)
		return found;
	return db_delete(t, BOOK_CREDENTIAL,
	    credential_row_key(account, name, room), e);
}

int
credential_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct credential *c), void *arg,
    struct err *e)
{
	/* one for all rows: it is large */
	struct credential *c = mem_alloc(sizeof(*c));
	struct book_rows   r;

	book_rows_open(&r, t, BOOK_CREDENTIAL, bytes_of(account), e);
	while (book_rows_next(&r)) {
		r.status = credential_unpack(r.key, r.value, c, e);
		if (r.status < 0 || !fn(arg, c))
			break;
	}
	mem_free(c);
	return book_rows_close(&r);
}

unsigned
credential_count(struct db_txn *t, const char *account)
{
	struct err unused;
	int	   n = book_count(t, BOOK_CREDENTIAL, bytes_of(account),
			 &unused);

	return n < 0 ? 0 : (unsigned)n; /* the next put fails, too */
}

/* SPDX-License-Identifier: ISC */
/*
 * The records of identities and keys, and what is found by them.  Names are
 * in identity_name.c, decisions in identity_sign.c and identity_check.c.
 */
#include "registry/identity.h"

#include <string.h>

#include "registry/identity_policy.h"
#include "registry/notification.h"
#include "store/pack.h"

enum {
	IDENTITY_RECORD = 1,
	IDENTITY_RECORD_MAX = 8 * 1024,
	DKIM_KEY_RECORD = 1,
	DKIM_KEY_RECORD_MAX = 8 * 1024,
	ACCOUNT_OCTETS = ACCOUNT_ID_SIZE - 1,
	IDENTITY_ROW_MAX = 254 + ACCOUNT_ID_SIZE + IDENTITY_NAME_SIZE
};

/* -- rows ----------------------------------------------------------------- */

struct row {
	char   p[IDENTITY_ROW_MAX + SELECTOR_SIZE];
	size_t n;
};

static void
row_add(struct row *r, const void *p, size_t n)
{
	must(n <= sizeof(r->p) - r->n);
	memcpy(r->p + r->n, p, n);
	r->n += n;
}

static struct bytes
row_bytes(const struct row *r)
{
	return (struct bytes){ r->p, r->n };
}

static struct bytes
row_identity(struct row *r, const char *account, const char *name)
{
	r->n = 0;
	row_add(r, account, strnlen(account, ACCOUNT_OCTETS));
	row_add(r, name, strnlen(name, IDENTITY_NAME_SIZE - 1));
	return row_bytes(r);
}

/* account, domain, 0, selector; as much of it as is given */
static struct bytes
row_key(struct row *r, const char *account, const char *domain,
    const char *selector)
{
	r->n = 0;
	if (account != NULL)
		row_add(r, account, strnlen(account, ACCOUNT_OCTETS));
	if (domain == NULL)
		return row_bytes(r);
	row_add(r, domain, strnlen(domain, 253));
	row_add(r, "", 1);
	if (selector != NULL)
		row_add(r, selector, strnlen(selector, SELECTOR_SIZE - 1));
	return row_bytes(r);
}

static struct bytes
row_check(struct row *r, struct wall due, const struct identity *i)
{
	char time[8];

	r->n = 0;
	db_put_be64(time, (uint64_t)due.ms);
	row_add(r, time, sizeof(time));
	row_add(r, i->account, ACCOUNT_OCTETS);
	row_add(r, i->name, strlen(i->name));
	return row_bytes(r);
}

/* -- the record of an identity -------------------------------------------- */

static void
pack_state(struct buf *b, const struct identity_check_state *s)
{
	pack_u64(b, (uint64_t)s->status);
	pack_i64(b, s->since.ms);
	pack_i64(b, s->deadline.ms);
	pack_i64(b, s->next_check.ms);
	pack_i64(b, s->last_check.ms);
	pack_i64(b, s->last_success.ms);
	pack_i64(b, s->first_miss.ms);
	pack_i64(b, s->dns_error_since.ms);
	pack_u64(b, (uint64_t)s->error);
}

static uint64_t
unpack_enum(struct unpack *u, uint64_t max)
{
	uint64_t v = unpack_u64(u);

	if (v > max)
		u->failed = true;
	return u->failed ? 0 : v;
}

static void
unpack_state(struct unpack *u, struct identity_check_state *s)
{
	s->status = (enum identity_status)unpack_enum(u, IDENTITY_FAILED);
	s->since = unpack_wall(u);
	s->deadline = unpack_wall(u);
	s->next_check = unpack_wall(u);
	s->last_check = unpack_wall(u);
	s->last_success = unpack_wall(u);
	s->first_miss = unpack_wall(u);
	s->dns_error_since = unpack_wall(u);
	s->error = (enum identity_error)unpack_enum(u,
	    IDENTITY_INVALID_VALUE);
}

static void
pack_mail_from(struct buf *b, const struct identity_mail_from *m)
{
	pack_text(b, m->domain);
	pack_bool(b, m->opted_out);
	pack_bool(b, m->reject);
	pack_bool(b, m->orphaned);
	pack_state(b, &m->check);
	pack_u64(b, (uint64_t)m->last_outcome);
	pack_text(b, m->hint);
}

static void
unpack_mail_from(struct unpack *u, struct identity_mail_from *m)
{
	unpack_text(u, m->domain, sizeof(m->domain));
	m->opted_out = unpack_bool(u);
	m->reject = unpack_bool(u);
	m->orphaned = unpack_bool(u);
	unpack_state(u, &m->check);
	m->last_outcome = (enum dkim_outcome)unpack_enum(u, DKIM_DNS_ERROR);
	unpack_text(u, m->hint, sizeof(m->hint));
}

static void
identity_pack(struct buf *b, const struct identity *i)
{
	pack_u64(b, IDENTITY_RECORD);
	pack_bool(b, i->is_address);
	pack_u64(b, (uint64_t)i->method);
	pack_i64(b, i->created.ms);
	pack_state(b, &i->link);
	pack_state(b, &i->token);
	pack_text(b, i->token_text);
	pack_raw(b, i->link_hash, sizeof(i->link_hash));
	pack_i64(b, i->link_sent.ms);
	pack_u64(b, (uint64_t)i->signing);
	pack_bool(b, i->external);
	pack_bool(b, i->cname);
	pack_state(b, &i->dkim);
	pack_u64(b, i->bits);
	pack_u64(b, i->next_bits);
	pack_i64(b, i->last_length_change.ms);
	pack_state(b, &i->previous);
	pack_bool(b, i->has_previous);
	pack_i64(b, i->next_event.ms);
	pack_bool(b, i->forwarding);
	pack_text(b, i->config_set);
	pack_mail_from(b, &i->mail_from);
	pack_u64(b, (uint64_t)i->dual);
}

static void
identity_unpack_fields(struct unpack *u, struct identity *i)
{
	i->is_address = unpack_bool(u);
	i->method = (enum identity_method)unpack_enum(u, METHOD_OVERRIDE);
	i->created = unpack_wall(u);
	unpack_state(u, &i->link);
	unpack_state(u, &i->token);
	unpack_text(u, i->token_text, sizeof(i->token_text));
	unpack_raw(u, i->link_hash, sizeof(i->link_hash));
	i->link_sent = unpack_wall(u);
	i->signing = (enum dkim_switch)unpack_enum(u, DKIM_OFF);
	i->external = unpack_bool(u);
	i->cname = unpack_bool(u);
	unpack_state(u, &i->dkim);
	i->bits = (unsigned)unpack_enum(u, 65536);
	i->next_bits = (unsigned)unpack_enum(u, 65536);
	i->last_length_change = unpack_wall(u);
	unpack_state(u, &i->previous);
	i->has_previous = unpack_bool(u);
	i->next_event = unpack_wall(u);
	i->forwarding = unpack_bool(u);
	unpack_text(u, i->config_set, sizeof(i->config_set));
	unpack_mail_from(u, &i->mail_from);
	if (unpack_more(u)) /* rows of before have none */
		i->dual = (enum dkim_switch)unpack_enum(u, DKIM_OFF);
}

static int
identity_unpack(struct bytes key, struct bytes value, struct identity *i,
    struct err *e)
{
	struct unpack u = unpack_of(value);

	memset(i, 0, sizeof(*i));
	bytes_text(bytes_head(key, ACCOUNT_OCTETS), i->account,
	    sizeof(i->account));
	key = bytes_from(key, ACCOUNT_OCTETS);
	bytes_text(key, i->name, sizeof(i->name));
	if (!account_id_is_valid(i->account) || i->name[0] == '\0' ||
	    !bytes_eq_text(key, i->name) ||
	    unpack_u64(&u) != IDENTITY_RECORD)
		u.failed = true;
	identity_unpack_fields(&u, i);
	if (!unpack_done(&u))
		return err_set(e, "identity %s of %s: the record is damaged",
		    i->name, i->account);
	return 1;
}

int
identity_get(struct db_txn *t, const char *account, const char *name,
    struct identity *out, struct err *e)
{
	struct row   room;
	struct bytes row, value;
	int	     found;

	if (!account_id_is_valid(account) || name[0] == '\0' ||
	    strlen(name) >= IDENTITY_NAME_SIZE)
		return 0;
	row = row_identity(&room, account, name);
	found = db_get(t, BOOK_IDENTITY, row, &value, e);
	if (found != 1)
		return found;
	return identity_unpack(row, value, out, e);
}

static struct wall
earlier(struct wall a, struct wall b)
{
	if (a.ms == 0)
		return b;
	return b.ms != 0 && b.ms < a.ms ? b : a;
}

struct wall
identity_due(const struct identity *i)
{
	struct wall due = i->next_event;

	due = earlier(due, i->dkim.next_check);
	due = earlier(due, i->token.next_check);
	due = earlier(due, i->mail_from.check.next_check);
	if (i->has_previous)
		due = earlier(due, i->previous.next_check);
	if (i->method == METHOD_LINK && i->link.status == IDENTITY_PENDING)
		due = earlier(due, i->link.deadline);
	return due;
}

static bool
identity_has_link_hash(const struct identity *i)
{
	static const unsigned char none[32];

	return memcmp(i->link_hash, none, sizeof(none)) != 0;
}

static struct bytes
identity_link_row(const struct identity *i)
{
	return (struct bytes){ (const char *)i->link_hash,
		sizeof(i->link_hash) };
}

/* Finds the account of a MAIL FROM domain. */
static struct bytes
row_mail_from(struct row *r, const struct identity *i)
{
	r->n = 0;
	row_add(r, i->mail_from.domain, strlen(i->mail_from.domain) + 1);
	row_add(r, i->account, ACCOUNT_OCTETS);
	row_add(r, i->name, strlen(i->name));
	return row_bytes(r);
}

/* What finds the identity by time, by token and by MAIL FROM domain. */
static int
identity_drop_rows(struct db_txn *t, const struct identity *i, struct err *e)
{
	struct row  room;
	struct wall due = identity_due(i);

	if (due.ms != 0 && db_delete(t, BOOK_CHECK, row_check(&room, due, i),
		e) < 0)
		return -1;
	if (identity_has_link_hash(i) &&
	    db_delete(t, BOOK_TOKEN, identity_link_row(i), e) < 0)
		return -1;
	if (i->mail_from.domain[0] != '\0' &&
	    db_delete(t, BOOK_MAIL_FROM, row_mail_from(&room, i), e) < 0)
		return -1;
	return 0;
}

static int
identity_put_rows(struct db_txn *t, const struct identity *i, struct err *e)
{
	struct row  room;
	struct wall due = identity_due(i);

	if (due.ms != 0 && db_put(t, BOOK_CHECK, row_check(&room, due, i),
		BYTES(""), false, e) < 0)
		return -1;
	if (identity_has_link_hash(i) &&
	    db_put(t, BOOK_TOKEN, identity_link_row(i),
		row_identity(&room, i->account, i->name), false, e) < 0)
		return -1;
	if (i->mail_from.domain[0] != '\0' &&
	    db_put(t, BOOK_MAIL_FROM, row_mail_from(&room, i), BYTES(""),
		false, e) < 0)
		return -1;
	return 0;
}

int
identity_put(struct db_txn *t, const struct identity *i, struct err *e)
{
	struct identity old;
	struct row	room;
	struct buf	b;
	int		rc;

	must(account_id_is_valid(i->account) && i->name[0] != '\0');
	rc = identity_get(t, i->account, i->name, &old, e);
	if (rc < 0 || (rc == 1 && identity_drop_rows(t, &old, e) < 0) ||
	    identity_put_rows(t, i, e) < 0)
		return -1;
	buf_init(&b, IDENTITY_RECORD_MAX);
	identity_pack(&b, i);
	return book_put(t, BOOK_IDENTITY, row_identity(&room, i->account,
	    i->name), &b, e);
}

int
identity_create(struct db_txn *t, const struct identity *i, struct err *e)
{
	struct identity old;
	int		found = identity_get(t, i->account, i->name, &old, e);

	if (found < 0)
		return -1;
	if (found == 1)
		return book_refuse(e, BOOK_EXISTS,
		    "identity %s exists already", i->name);
	if (identity_count(t, i->account) >= IDENTITIES_MAX)
		return book_refuse(e, BOOK_LIMIT,
		    "an account can have at most %d identities",
		    (int)IDENTITIES_MAX);
	return identity_put(t, i, e);
}

int
identity_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e)
{
	struct identity	      i;
	struct identity_keys *ks;
	struct row	      room;
	size_t		      n;
	int		      rc = identity_get(t, account, name, &i, e);

	if (rc != 1)
		return rc;
	ks = mem_alloc(sizeof(*ks));
	rc = i.is_address ? 0 : identity_keys_load(t, account, name, ks, e);
	for (n = 0; n < ks->n; n++)
		ks->drop[n] = true;
	if (rc == 0)
		rc = identity_keys_store(t, ks, e);
	mem_free(ks);
	if (rc < 0 || identity_drop_rows(t, &i, e) < 0 ||
	    identity_policy_delete_all(t, account, name, e) < 0 ||
	    notification_delete(t, account, name, e) < 0 ||
	    db_delete(t, BOOK_IDENTITY_TAGS,
		row_identity(&room, account, name), e) < 0)
		return -1;
	return db_delete(t, BOOK_IDENTITY, row_identity(&room, account, name),
	    e);
}

int
identity_tags_get(struct db_txn *t, const struct identity *i, struct arena *a,
    struct resource_tags *out, struct err *e)
{
	struct row room;

	return resource_tags_get(t, BOOK_IDENTITY_TAGS,
	    row_identity(&room, i->account, i->name), a, out, e);
}

int
identity_tags_put(struct db_txn *t, const struct identity *i,
    const struct resource_tags *tags, struct err *e)
{
	struct row room;

	return resource_tags_put(t, BOOK_IDENTITY_TAGS,
	    row_identity(&room, i->account, i->name), tags, e);
}

int
identity_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct identity *i), void *arg, struct err *e)
{
	struct book_rows r;
	struct identity	 i;

	book_rows_open(&r, t, BOOK_IDENTITY, bytes_of(account), e);
	while (book_rows_next(&r)) {
		r.status = identity_unpack(r.key, r.value, &i, e);
		if (r.status < 0 || !fn(arg, &i))
			break;
	}
	return book_rows_close(&r);
}

unsigned
identity_count(struct db_txn *t, const char *account)
{
	struct err unused;
	int n = book_count(t, BOOK_IDENTITY, bytes_of(account), &unused);

	return n < 0 ? 0 : (unsigned)n; /* the next put fails, too */
}

int
identity_each_due(struct db_txn *t, struct wall by,
    bool (*fn)(void *arg, struct wall due, const char *account,
	const char *name),
    void *arg, struct err *e)
{
	struct book_rows r;
	struct bytes	 row;
	struct wall	 due;
	char account[ACCOUNT_ID_SIZE], name[IDENTITY_NAME_SIZE];

	book_rows_open(&r, t, BOOK_CHECK, BYTES(""), e);
	while (book_rows_next(&r)) {
		if (r.key.n <= 8 + ACCOUNT_OCTETS)
			continue;
		due.ms = (int64_t)db_get_be64(r.key.p);
		if (due.ms > by.ms)
			break;
		row = bytes_from(r.key, 8);
		bytes_text(bytes_head(row, ACCOUNT_OCTETS), account,
		    sizeof(account));
		bytes_text(bytes_from(row, ACCOUNT_OCTETS), name,
		    sizeof(name));
		if (!fn(arg, due, account, name))
			break;
	}
	return book_rows_close(&r);
}

/* -- keys ----------------------------------------------------------------- */

static void
dkim_key_pack(struct buf *b, const struct dkim_key *k)
{
	pack_u64(b, DKIM_KEY_RECORD);
	pack_u64(b, (uint64_t)k->role);
	pack_bool(b, k->external);
	pack_bool(b, k->previous);
	pack_u64(b, k->bits);
	pack_i64(b, k->created.ms);
	pack_i64(b, k->activated.ms);
	pack_i64(b, k->retire_at.ms);
	pack_bool(b, k->seen);
	pack_i64(b, k->seen_since.ms);
	pack_i64(b, k->last_check.ms);
	pack_i64(b, k->last_seen.ms);
	pack_u64(b, (uint64_t)k->last_outcome);
	pack_text(b, k->hint);
	pack_bytes(b, (struct bytes){ (const char *)k->public_key,
	    k->public_n });
	pack_bytes(b, (struct bytes){ (const char *)k->sealed, k->sealed_n });
	pack_bool(b, k->ed25519);
}

static size_t
unpack_octets(struct unpack *u, unsigned char *out, size_t size)
{
	struct bytes s = unpack_bytes(u);

	if (s.n > size)
		u->failed = true;
	if (u->failed || s.n == 0)
		return 0;
	memcpy(out, s.p, s.n);
	return s.n;
}

static void
dkim_key_unpack_fields(struct unpack *u, struct dkim_key *k)
{
	k->role = (enum dkim_role)unpack_enum(u, DKIM_RETIRING);
	k->external = unpack_bool(u);
	k->previous = unpack_bool(u);
	k->bits = (unsigned)unpack_enum(u, 65536);
	k->created = unpack_wall(u);
	k->activated = unpack_wall(u);
	k->retire_at = unpack_wall(u);
	k->seen = unpack_bool(u);
	k->seen_since = unpack_wall(u);
	k->last_check = unpack_wall(u);
	k->last_seen = unpack_wall(u);
	k->last_outcome = (enum dkim_outcome)unpack_enum(u, DKIM_DNS_ERROR);
	unpack_text(u, k->hint, sizeof(k->hint));
	k->public_n = unpack_octets(u, k->public_key, sizeof(k->public_key));
	k->sealed_n = unpack_octets(u, k->sealed, sizeof(k->sealed));
	if (unpack_more(u)) /* rows of before have none */
		k->ed25519 = unpack_bool(u);
}

static int
dkim_key_unpack(struct bytes key, struct bytes value, struct dkim_key *k,
    struct err *e)
{
	struct unpack u = unpack_of(value);
	ptrdiff_t     zero;

	memset(k, 0, offsetof(struct dkim_key, public_key));
	bytes_text(bytes_head(key, ACCOUNT_OCTETS), k->account,
	    sizeof(k->account));
	key = bytes_from(key, ACCOUNT_OCTETS);
	zero = bytes_find(key, 0, '\0');
	if (zero < 0)
		return err_set(e, "DKIM key: the record is damaged");
	bytes_text(bytes_head(key, (size_t)zero), k->domain,
	    sizeof(k->domain));
	key = bytes_from(key, (size_t)zero + 1);
	bytes_text(key, k->selector, sizeof(k->selector));
	if (!account_id_is_valid(k->account) || zero == 0 ||
	    strlen(k->domain) != (size_t)zero ||
	    !bytes_eq_text(key, k->selector) ||
	    unpack_u64(&u) != DKIM_KEY_RECORD)
		u.failed = true;
	dkim_key_unpack_fields(&u, k);
	if (!unpack_done(&u))
		return err_set(e, "DKIM key %s of %s: the record is damaged",
		    k->selector, k->domain);
	return 1;
}

int
dkim_key_get(struct db_txn *t, const char *account, const char *domain,
    const char *selector, struct dkim_key *out, struct err *e)
{
	struct row   room;
	struct bytes row, value;
	int	     found;

	if (!account_id_is_valid(account) || !selector_is_valid(selector))
		return 0;
	row = row_key(&room, account, domain, selector);
	found = db_get(t, BOOK_DKIM_KEY, row, &value, e);
	if (found != 1)
		return found;
	return dkim_key_unpack(row, value, out, e);
}

/* A selector belongs to one account (dkim.md 2.2). */
static int
dkim_key_claim(struct db_txn *t, const struct dkim_key *k, struct err *e)
{
	struct row   room;
	struct bytes row = row_key(&room, NULL, k->domain, k->selector);
	struct bytes owner;
	int	     found = db_get(t, BOOK_SELECTOR, row, &owner, e);

	if (found < 0)
		return -1;
	if (found == 1 && !bytes_eq_text(owner, k->account))
		return book_refuse(e, BOOK_EXISTS,
		    "selector %s is already in use for %s", k->selector,
		    k->domain);
	if (found == 1)
		return 0;
	return db_put(t, BOOK_SELECTOR, row, bytes_of(k->account), false,
	    e) < 0 ? -1 : 0;
}

int
dkim_key_put(struct db_txn *t, const struct dkim_key *k, struct err *e)
{
	struct row room;
	struct buf b;

	must(account_id_is_valid(k->account) && k->domain[0] != '\0');
	if (!selector_is_valid(k->selector))
		return book_refuse(e, BOOK_BAD_REQUEST, "selector must be 1 "
		    "to 63 letters, digits or inner hyphens");
	if (dkim_key_claim(t, k, e) < 0)
		return -1;
	buf_init(&b, DKIM_KEY_RECORD_MAX);
	dkim_key_pack(&b, k);
	return book_put(t, BOOK_DKIM_KEY, row_key(&room, k->account,
	    k->domain, k->selector), &b, e);
}

int
dkim_key_delete(struct db_txn *t, const struct dkim_key *k, struct err *e)
{
	struct row room;
	int	   rc;

	rc = db_delete(t, BOOK_DKIM_KEY,
	    row_key(&room, k->account, k->domain, k->selector), e);
	if (rc != 1)
		return rc;
	return db_delete(t, BOOK_SELECTOR,
	    row_key(&room, NULL, k->domain, k->selector), e) < 0 ? -1 : 1;
}

int
dkim_key_each(struct db_txn *t, const char *account, const char *domain,
    bool (*fn)(void *arg, const struct dkim_key *k), void *arg, struct err *e)
{
	struct book_rows r;
	struct dkim_key	 k;
	struct row	 room;

	must(account != NULL || domain == NULL);
	book_rows_open(&r, t, BOOK_DKIM_KEY, row_key(&room, account, domain,
	    NULL), e);
	while (book_rows_next(&r)) {
		r.status = dkim_key_unpack(r.key, r.value, &k, e);
		if (r.status < 0 || !fn(arg, &k))
			break;
	}
	return book_rows_close(&r);
}

struct signing_search {
	bool		     previous, has_first;
	struct signing_keys *out;
	struct err	    *err;
	bool		     failed;
};

/* Only what signs is unpacked whole: this is asked per message. */
static bool
signing_on_row(void *arg, struct bytes key, struct bytes value)
{
	struct signing_search *s = arg;
	struct unpack	       u = unpack_of(value);
	bool		       previous, ed25519;
	uint64_t	       version, role;

	version = unpack_u64(&u);
	role = unpack_u64(&u);
	(void)unpack_bool(&u);
	previous = unpack_bool(&u);
	ed25519 = unpack_u64(&u) == DKIM_ED25519_BITS;
	if (version == DKIM_KEY_RECORD && !u.failed &&
	    (role != DKIM_ACTIVE || previous != s->previous))
		return true;
	if (dkim_key_unpack(key, value,
		ed25519 ? &s->out->second : &s->out->key, s->err) < 0) {
		s->failed = true;
		return false;
	}
	s->out->has_second |= ed25519;
	s->has_first |= !ed25519;
	return !s->has_first || !s->out->has_second;
}

int
dkim_keys_active(struct db_txn *t, const struct identity *i,
    enum identity_set set, struct signing_keys *out, struct err *e)
{
	struct signing_search s = { .previous = set == SET_PREVIOUS,
		.out = out, .err = e };
	struct row	      room;

	out->has_second = false;
	if (set == SET_NONE)
		return 0;
	if (book_walk(t, BOOK_DKIM_KEY,
		row_key(&room, i->account, i->name, NULL), signing_on_row,
		&s, e) < 0 || s.failed)
		return -1;
	if (s.has_first || !out->has_second)
		return s.has_first;
	out->key = out->second; /* an own Ed25519 key alone */
	out->has_second = false;
	return 1;
}

/* -- sets of keys --------------------------------------------------------- */

static bool
identity_keys_on_key(void *arg, const struct dkim_key *k)
{
	struct identity_keys *ks = arg;

	if (ks->n == IDENTITY_KEYS_MAX)
		return false;
	ks->drop[ks->n] = false;
	ks->v[ks->n++] = *k;
	return true;
}

int
identity_keys_load(struct db_txn *t, const char *account, const char *domain,
    struct identity_keys *out, struct err *e)
{
	out->n = 0;
	return dkim_key_each(t, account, domain, identity_keys_on_key, out,
	    e);
}

/* Deletes first: a selector may come back with another key. */
int
identity_keys_store(struct db_txn *t, const struct identity_keys *ks,
    struct err *e)
{
	size_t n;

	for (n = 0; n < ks->n; n++) {
		if (ks->drop[n] && dkim_key_delete(t, &ks->v[n], e) < 0)
			return -1;
	}
	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n] && dkim_key_put(t, &ks->v[n], e) < 0)
			return -1;
	}
	return 0;
}

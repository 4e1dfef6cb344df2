/* SPDX-License-Identifier: ISC */
#include "registry/pool.h"

#include <string.h>

#include "registry/account.h"
#include "registry/config_set.h"
#include "store/pack.h"

enum { POOL_RECORD = 1, POOL_RECORD_MAX = 512 };

void
pool_init(struct pool *p, const char *account, const char *name,
    struct wall now)
{
	memset(p, 0, sizeof(*p));
	bytes_text(bytes_of(account), p->account, sizeof(p->account));
	bytes_text(bytes_of(name), p->name, sizeof(p->name));
	p->created = p->updated = now;
}

bool
pool_name_is_valid(struct bytes name)
{
	return config_set_name_is_valid(name); /* the same letters */
}

bool
pool_is_builtin(const char *name)
{
	return strcmp(name, SOURCE_POOL_SHARED) == 0 ||
	    strcmp(name, SOURCE_POOL_DEDICATED) == 0;
}

/* -- records --------------------------------------------------------------- */

bool
pool_write_record(const struct pool *p, struct buf *out)
{
	pack_u64(out, POOL_RECORD);
	pack_text(out, p->account);
	pack_text(out, p->name);
	pack_bool(out, p->no_overflow);
	pack_i64(out, p->created.ms);
	pack_i64(out, p->updated.ms);
	return !out->failed;
}

bool
pool_read_record(struct bytes in, struct pool *out)
{
	struct unpack u = unpack_of(in);

	memset(out, 0, sizeof(*out));
	if (unpack_u64(&u) != POOL_RECORD)
		u.failed = true;
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->name, sizeof(out->name));
	out->no_overflow = unpack_bool(&u);
	out->created = unpack_wall(&u);
	out->updated = unpack_wall(&u);
	return unpack_done(&u) && account_id_is_valid(out->account) &&
	    pool_name_is_valid(bytes_of(out->name));
}

/* -- the register ---------------------------------------------------------- */

/* A row that stands where another belongs is damaged. */
static bool
pool_read_row(struct bytes key, struct bytes value, struct pool *out)
{
	struct book_key room;

	return pool_read_record(value, out) &&
	    bytes_eq(book_key(&room, out->account,
		bytes_of(out->name)), key);
}

int
pool_get(struct db_txn *t, const char *account, const char *name,
    struct pool *out, struct err *e)
{
	struct book_key room;
	struct bytes	key, value;
	int		found;

	if (!pool_name_is_valid(bytes_of(name)))
		return 0;
	key = book_key(&room, account, bytes_of(name));
	found = db_get(t, BOOK_POOL, key, &value, e);
	if (found == 1 && !pool_read_row(key, value, out))
		return err_set(e, "pool %s: the record is damaged", name);
	return found;
}

int
pool_exists(struct db_txn *t, const char *account, const char *name,
    struct err *e)
{
	struct pool unused;

	return pool_is_builtin(name) ? 1 :
		pool_get(t, account, name, &unused, e);
}

int
pool_put(struct db_txn *t, const struct pool *p, struct err *e)
{
	struct book_key room;
	struct buf	b;

	if (!pool_name_is_valid(bytes_of(p->name)))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the name of a pool is 1 to 64 of A-Z a-z 0-9 - _");
	if (pool_is_builtin(p->name))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s is built in: it cannot be changed", p->name);
	buf_init(&b, POOL_RECORD_MAX);
	pool_write_record(p, &b);
	return book_put(t, BOOK_POOL, book_key(&room, p->account,
	    bytes_of(p->name)), &b, e);
}

int
pool_each(struct db_txn *t, const char *account,
    bool (*fn)(void *arg, const struct pool *p), void *arg, struct err *e)
{
	struct book_rows r;
	struct pool	 p;

	book_rows_open(&r, t, BOOK_POOL, bytes_of(account), e);
	while (book_rows_next(&r))
		if (!pool_read_row(r.key, r.value, &p))
			r.status = err_set(e, "a pool is damaged");
		else if (!fn(arg, &p))
			break;
	return book_rows_close(&r);
}

int
pool_create(struct db_txn *t, const struct pool *p, struct err *e)
{
	int found = pool_exists(t, p->account, p->name, e);
	int count = book_count(t, BOOK_POOL, bytes_of(p->account), e);

	if (found < 0 || count < 0)
		return -1;
	if (found == 1)
		return book_refuse(e, BOOK_EXISTS, "pool %s exists already",
		    p->name);
	if (count >= POOLS_MAX)
		return book_refuse(e, BOOK_LIMIT,
		    "an account can have at most %d pools", POOLS_MAX);
	return pool_put(t, p, e);
}

/* -- its addresses --------------------------------------------------------- */

static bool
source_is_in(const struct source *s, const struct pool *p)
{
	return strcmp(s->pool, p->name) == 0 &&
	    strcmp(s->pool_account, p->account) == 0;
}

int
pool_add_source(struct db_txn *t, const struct pool *p, struct source *s,
    struct err *e)
{
	if (!s->dedicated)
		return book_refuse(e, BOOK_BAD_REQUEST, "%s is shared: only "
		    "a dedicated address can be in a pool", s->address);
	if (s->account[0] != '\0' && strcmp(s->account, p->account) != 0)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s belongs to another account", s->address);
	memcpy(s->pool, p->name, sizeof(s->pool));
	memcpy(s->pool_account, p->account, sizeof(s->pool_account));
	return source_put(t, s, e);
}

int
pool_remove_source(struct db_txn *t, const struct pool *p, struct source *s,
    struct err *e)
{
	if (!source_is_in(s, p))
		return book_refuse(e, BOOK_NOT_FOUND, "%s is not in pool %s",
		    s->address, p->name);
	s->pool[0] = s->pool_account[0] = '\0';
	return source_put(t, s, e);
}

/* One at a time: a walk may not write. */
struct finding_source {
	const struct pool *pool;
	struct source	   found;
	bool		   is_found;
};

static bool
find_on_source(void *finding, const struct source *s)
{
	struct finding_source *f = finding;

	f->is_found = source_is_in(s, f->pool);
	if (f->is_found)
		f->found = *s;
	return !f->is_found;
}

static int
pool_empty(struct db_txn *t, const struct pool *p, struct err *e)
{
	struct finding_source f = { .pool = p };

	do {
		f.is_found = false;
		if (source_each(t, find_on_source, &f, e) < 0 ||
		    (f.is_found && pool_remove_source(t, p, &f.found, e) < 0))
			return -1;
	} while (f.is_found);
	return 0;
}

/* -- its end --------------------------------------------------------------- */

struct naming {
	const char *pool;
	char	    set[CONFIG_SET_NAME_SIZE]; /* the first that names it */
};

static bool
naming_on_set(void *naming, const struct config_set *s)
{
	struct naming *n = naming;

	if (strcmp(s->pool, n->pool) != 0)
		return true;
	memcpy(n->set, s->name, sizeof(n->set));
	return false;
}

static int
pool_take_away(struct db_txn *t, const struct pool *p, struct err *e)
{
	struct book_key room;

	if (pool_empty(t, p, e) < 0)
		return -1;
	return db_delete(t, BOOK_POOL, book_key(&room, p->account,
	    bytes_of(p->name)), e);
}

int
pool_delete(struct db_txn *t, const char *account, const char *name,
    struct err *e)
{
	struct naming n = { .pool = name };
	struct pool   p;
	int	      found;

	if (pool_is_builtin(name))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s is built in: it cannot be deleted", name);
	found = pool_get(t, account, name, &p, e);
	if (found <= 0)
		return found;
	if (config_set_each(t, account, naming_on_set, &n, e) < 0)
		return -1;
	if (n.set[0] != '\0')
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "configuration set %s names pool %s", n.set, name);
	return pool_take_away(t, &p, e);
}

static bool
purge_on_pool(void *first, const struct pool *p)
{
	*(struct pool *)first = *p;
	return false;
}

int
pool_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e)
{
	struct pool first;
	unsigned    n;

	for (n = 0; n < max; n++) {
		memset(&first, 0, sizeof(first));
		if (pool_each(t, account, purge_on_pool, &first, e) < 0)
			return -1;
		if (first.name[0] == '\0')
			break;
		if (pool_take_away(t, &first, e) < 0)
			return -1;
	}
	return (int)n;
}

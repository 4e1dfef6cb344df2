/* SPDX-License-Identifier: ISC */
#include "store/db.h"

#include <errno.h>
#include <fcntl.h>
#include <lmdb.h>
#include <stdatomic.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/statvfs.h>
#include <unistd.h>

#include "store/db_private.h"

enum {
	DB_READERS_MAX = 510,
	DB_WRITE_MAX = 64 * 4096, /* LMDB's, at once */
	DB_DIR_MODE = 0700,
	DB_FILE_MODE = 0600
};

/* -- errors ---------------------------------------------------------------- */

int
db_error(const struct db *d, int rc, struct err *e, const char *what)
{
	err_set(e, "store %s: %s: %s", d->dir, what, mdb_strerror(rc));
	switch (rc) {
	case MDB_MAP_FULL:
	case MDB_TXN_FULL:
	case ENOSPC:
	case EDQUOT:
	case ENOMEM: /* nothing was written */
		e->code = DB_FULL;
		break;
	case MDB_READERS_FULL:
		e->code = DB_BUSY;
		break;
	default:
		e->code = DB_DOWN;
		break;
	}
	return -1;
}

void
db_fail_next(struct db *d, enum db_fail_at at, unsigned skip,
    unsigned times, int code)
{
	d->fail_at = at;
	d->fail_skip = skip;
	d->fail_times = times;
	d->fail_code = code;
}

/* The error to give instead of doing it; 0 = go on. */
static int
db_fault(struct db *d, enum db_fail_at at)
{
	if (d->fail_at != at)
		return 0;
	if (d->fail_skip > 0) {
		d->fail_skip--;
		return 0;
	}
	if (--d->fail_times == 0)
		d->fail_at = DB_FAIL_NEVER;
	return d->fail_code;
}

/* -- opening --------------------------------------------------------------- */

static int
db_open_env(struct db *d, const struct db_setup *s, struct err *e)
{
	unsigned flags = MDB_NOTLS | MDB_NORDAHEAD;
	MDB_stat st;
	int	 rc;

	if (s->read_only)
		flags |= MDB_RDONLY;
	else if (mkdir(s->dir, DB_DIR_MODE) < 0 && errno != EEXIST)
		return err_sys(e, "store %s", s->dir);
	rc = mdb_env_create(&d->env);
	if (rc != 0)
		return db_error(d, rc, e, "create");
	rc = mdb_env_set_mapsize(d->env, (size_t)s->map_bytes);
	if (rc == 0)
		rc = mdb_env_set_maxreaders(d->env, DB_READERS_MAX);
	if (rc == 0)
		rc = mdb_env_set_maxdbs(d->env, DB_TABLES_MAX + 1);
	if (rc == 0)
		rc = mdb_env_open(d->env, s->dir, flags, DB_FILE_MODE);
	if (rc == 0)
		rc = mdb_env_stat(d->env, &st);
	if (rc != 0)
		return db_error(d, rc, e, "open");
	d->page_size = st.ms_psize;
	return 0;
}

/*
 * The kernel puts what is written through it behind the end of the file, as
 * the end is at that moment: it cannot meet a page that LMDB has written.
 */
static int
db_open_append(struct db *d, struct err *e)
{
	char path[4096];

	if (snprintf(path, sizeof(path), "%s/data.mdb", d->dir) >=
	    (int)sizeof(path))
		return err_set(e, "store %s: name too long", d->dir);
	d->append_fd = open(path, O_WRONLY | O_APPEND | O_CLOEXEC);
	return d->append_fd < 0 ? err_sys(e, "store %s", path) : 0;
}

/* A new store gets its marks; an old one must bear those that we know. */
static int
db_check_marks(struct db_txn *t, const struct db_setup *s, struct err *e)
{
	struct bytes kind = bytes_of(s->kind), found;
	char	     format[4];
	int	     rc;

	rc = db_meta_get(t, "kind", &found, e);
	if (rc < 0)
		return -1;
	if (rc == 0 && t->is_write) {
		db_put_be32(format, s->format);
		if (db_meta_put(t, "kind", kind, e) < 0)
			return -1;
		return db_meta_put(t, "format",
		    (struct bytes){ format, sizeof(format) }, e);
	}
	if (rc == 0 || !bytes_eq(found, kind)) {
		err_set(e, "store %s: not a %s store", s->dir, s->kind);
		e->code = DB_DOWN;
		return -1;
	}
	rc = db_meta_get(t, "format", &found, e);
	if (rc < 0)
		return -1;
	if (rc == 0 || found.n != sizeof(format) ||
	    db_get_be32(found.p) != s->format) {
		err_set(e, "store %s: format %u is not known, only %u is",
		    s->dir, rc == 1 && found.n == sizeof(format)
			? db_get_be32(found.p) : 0, s->format);
		e->code = DB_DOWN;
		return -1;
	}
	return 0;
}

static int
db_open_tables(struct db *d, const struct db_setup *s, struct err *e)
{
	unsigned       flags = s->read_only ? 0 : MDB_CREATE;
	struct db_txn *t;
	size_t	       i;
	int	       rc;

	t = s->read_only ? db_read(d, e) : db_write(d, e);
	if (t == NULL)
		return -1;
	rc = mdb_dbi_open(t->txn, "meta", flags, &d->meta);
	for (i = 0; rc == 0 && i < s->table_count; i++)
		rc = mdb_dbi_open(t->txn, s->tables[i], flags, &d->tables[i]);
	if (rc != 0) {
		db_end(t);
		return db_error(d, rc, e, "tables");
	}
	d->table_count = s->table_count;
	d->names = s->tables;
	if (db_check_marks(t, s, e) < 0) {
		db_end(t);
		return -1;
	}
	if (t->is_write)
		return db_commit(t, e);
	/* handles of tables live on only when their transaction is committed */
	rc = mdb_txn_commit(t->txn);
	free(t);
	return rc == 0 ? 0 : db_error(d, rc, e, "tables");
}

struct db *
db_open(const struct db_setup *s, struct err *e)
{
	struct db *d = mem_alloc(sizeof(*d));

	must(s->table_count <= DB_TABLES_MAX);
	d->dir = mem_dup(s->dir);
	d->read_only = s->read_only;
	d->append_fd = -1;
	if (db_open_env(d, s, e) < 0 || db_open_tables(d, s, e) < 0 ||
	    (!s->read_only && db_open_append(d, e) < 0)) {
		db_close(d);
		return NULL;
	}
	db_reader_check(d);
	return d;
}

void
db_close(struct db *d)
{
	struct db_txn *t;
	size_t	       i;

	if (d == NULL)
		return;
	must(d->writer.txn == NULL);
	for (i = 0; i < DB_IDLE_MAX; i++) {
		t = atomic_exchange(&d->idle[i], NULL);
		if (t == NULL)
			continue;
		mdb_txn_abort(t->txn);
		free(t);
	}
	if (d->append_fd >= 0)
		close(d->append_fd);
	if (d->env != NULL)
		mdb_env_close(d->env);
	free(d->dir);
	free(d);
}

/* -- transactions ---------------------------------------------------------- */

static struct db_txn *
db_take_idle(struct db *d)
{
	struct db_txn *t;
	size_t	       i;

	for (i = 0; i < DB_IDLE_MAX; i++) {
		if (atomic_load_explicit(&d->idle[i],
			memory_order_relaxed) == NULL)
			continue;
		t = atomic_exchange(&d->idle[i], NULL);
		if (t != NULL)
			return t;
	}
	return NULL;
}

struct db_txn *
db_read(struct db *d, struct err *e)
{
	struct db_txn *t = db_take_idle(d);
	int	       rc;

	if (t != NULL) {
		rc = mdb_txn_renew(t->txn);
		if (rc == 0)
			return t;
		mdb_txn_abort(t->txn);
		free(t);
		db_error(d, rc, e, "read");
		return NULL;
	}
	t = mem_alloc(sizeof(*t));
	t->db = d;
	rc = mdb_txn_begin(d->env, NULL, MDB_RDONLY, &t->txn);
	if (rc == 0)
		return t;
	free(t);
	db_error(d, rc, e, "read");
	return NULL;
}

struct db_txn *
db_write(struct db *d, struct err *e)
{
	struct db_txn *t = &d->writer;
	int	       rc;

	must(!d->read_only && t->txn == NULL);
	t->db = d;
	t->is_write = true;
	rc = mdb_txn_begin(d->env, NULL, 0, &t->txn);
	if (rc == 0)
		return t;
	t->txn = NULL;
	db_error(d, rc, e, "write");
	return NULL;
}

static void
db_end_read(struct db_txn *t)
{
	struct db_txn *none;
	size_t	       i;

	mdb_txn_reset(t->txn);
	for (i = 0; i < DB_IDLE_MAX; i++) {
		none = NULL;
		if (atomic_compare_exchange_strong(&t->db->idle[i], &none, t))
			return;
	}
	mdb_txn_abort(t->txn);
	free(t);
}

void
db_end(struct db_txn *t)
{
	if (t == NULL)
		return;
	if (!t->is_write) {
		db_end_read(t);
		return;
	}
	mdb_txn_abort(t->txn);
	t->txn = NULL;
}

/*
 * LMDB calls it EIO when the disk takes the first part of a write only.  What
 * was written is in no tree, and the transaction is over: lack of room.
 */
static int
db_commit_error(struct db *d, int rc)
{
	return rc == EIO && db_disk_free_bytes(d) < DB_WRITE_MAX ? ENOSPC : rc;
}

int
db_commit(struct db_txn *t, struct err *e)
{
	int rc = db_fault(t->db, DB_FAIL_COMMIT);

	must(t->is_write);
	if (rc != 0)
		mdb_txn_abort(t->txn);
	else
		rc = mdb_txn_commit(t->txn); /* frees it in any case */
	t->txn = NULL;
	return rc == 0 ? 0
		       : db_error(t->db, db_commit_error(t->db, rc), e, "commit");
}

/* -- rows ------------------------------------------------------------------ */

static MDB_dbi
db_dbi(const struct db_txn *t, unsigned table)
{
	must(table < t->db->table_count);
	return t->db->tables[table];
}

static int
db_get_dbi(struct db_txn *t, MDB_dbi dbi, struct bytes key,
    struct bytes *value, struct err *e)
{
	MDB_val k = val_of(key), v;
	int	rc = mdb_get(t->txn, dbi, &k, &v);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return db_error(t->db, rc, e, "get");
	*value = bytes_of_val(v);
	return 1;
}

int
db_get(struct db_txn *t, unsigned table, struct bytes key,
    struct bytes *value, struct err *e)
{
	return db_get_dbi(t, db_dbi(t, table), key, value, e);
}

static int
db_put_dbi(struct db_txn *t, MDB_dbi dbi, struct bytes key, MDB_val *v,
    unsigned flags)
{
	MDB_val k = val_of(key);
	int	rc = db_fault(t->db, DB_FAIL_PUT);

	if (rc != 0)
		return rc;
	rc = mdb_put(t->txn, dbi, &k, v, flags);
	/* not the greatest key after all; nothing has happened yet */
	if (rc == MDB_KEYEXIST && (flags & MDB_APPEND) != 0)
		rc = mdb_put(t->txn, dbi, &k, v,
		    flags & ~(unsigned)MDB_APPEND);
	if (rc == 0)
		db_note_put(t->db, dbi, key, *v);
	return rc;
}

int
db_put(struct db_txn *t, unsigned table, struct bytes key,
    struct bytes value, bool append, struct err *e)
{
	MDB_val v = val_of(value);
	int	rc;

	rc = db_put_dbi(t, db_dbi(t, table), key, &v, append ? MDB_APPEND : 0);
	return rc == 0 ? 0 : db_error(t->db, rc, e, "put");
}

int
db_delete(struct db_txn *t, unsigned table, struct bytes key, struct err *e)
{
	MDB_dbi dbi = db_dbi(t, table);
	MDB_val k = val_of(key);
	int	rc = mdb_del(t->txn, dbi, &k, NULL);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc == 0)
		db_note_delete(t->db, dbi, key);
	return rc == 0 ? 1 : db_error(t->db, rc, e, "delete");
}

uint64_t
db_count(struct db_txn *t, unsigned table)
{
	MDB_stat st;

	if (mdb_stat(t->txn, db_dbi(t, table), &st) != 0)
		return 0;
	return st.ms_entries;
}

/* -- cursors --------------------------------------------------------------- */

struct db_cursor *
db_cursor(struct db_txn *t, unsigned table, struct err *e)
{
	struct db_cursor *c = mem_alloc(sizeof(*c));
	int		  rc;

	c->t = t;
	rc = mdb_cursor_open(t->txn, db_dbi(t, table), &c->cursor);
	if (rc == 0)
		return c;
	free(c);
	db_error(t->db, rc, e, "cursor");
	return NULL;
}

void
db_cursor_close(struct db_cursor *c)
{
	if (c == NULL)
		return;
	mdb_cursor_close(c->cursor);
	free(c);
}

static int
db_cursor_get(struct db_cursor *c, MDB_val *k, MDB_cursor_op op,
    struct bytes *key, struct bytes *value, struct err *e)
{
	MDB_val v;
	int	rc = mdb_cursor_get(c->cursor, k, &v, op);

	if (rc == MDB_NOTFOUND)
		return 0;
	if (rc != 0)
		return db_error(c->t->db, rc, e, "walk");
	*key = bytes_of_val(*k);
	*value = bytes_of_val(v);
	return 1;
}

int
db_seek(struct db_cursor *c, struct bytes from, struct bytes *key,
    struct bytes *value, struct err *e)
{
	MDB_val k = val_of(from);

	return db_cursor_get(c, &k, from.n == 0 ? MDB_FIRST : MDB_SET_RANGE,
	    key, value, e);
}

int
db_next(struct db_cursor *c, struct bytes *key, struct bytes *value,
    struct err *e)
{
	MDB_val k;

	return db_cursor_get(c, &k, MDB_NEXT, key, value, e);
}

int
db_last(struct db_cursor *c, struct bytes *key, struct bytes *value,
    struct err *e)
{
	MDB_val k;

	return db_cursor_get(c, &k, MDB_LAST, key, value, e);
}

int
db_cursor_delete(struct db_cursor *c, struct err *e)
{
	struct db   *d = c->t->db;
	struct bytes key, value;
	MDB_val	     k;
	int	     rc;

	if (d->rows != NULL) {
		if (db_cursor_get(c, &k, MDB_GET_CURRENT, &key, &value, e) < 1)
			return -1;
		db_note_delete(d, mdb_cursor_dbi(c->cursor), key);
	}
	rc = mdb_cursor_del(c->cursor, 0);
	return rc == 0 ? 0 : db_error(d, rc, e, "delete");
}

/* -- the environment as a whole -------------------------------------------- */

/* Each row of LMDB's list (table 0) is a count and as many page numbers. */
static int
db_count_free_pages(struct db *d, uint64_t *pages, struct err *e)
{
	struct db_txn *t = db_read(d, e);
	MDB_cursor    *cursor;
	MDB_val	       k, v;
	size_t	       n;
	int	       rc;

	if (t == NULL)
		return -1;
	*pages = 0;
	rc = mdb_cursor_open(t->txn, 0, &cursor);
	if (rc == 0) {
		while ((rc = mdb_cursor_get(cursor, &k, &v, MDB_NEXT)) == 0) {
			if (v.mv_size < sizeof(n))
				continue;
			memcpy(&n, v.mv_data, sizeof(n));
			*pages += n;
		}
		mdb_cursor_close(cursor);
	}
	db_end(t);
	return rc == MDB_NOTFOUND ? 0 : db_error(d, rc, e, "free pages");
}

uint64_t
db_reach_bytes(struct db *d)
{
	MDB_envinfo info;

	if (mdb_env_info(d->env, &info) != 0)
		return 0;
	return (uint64_t)(info.me_last_pgno + 1) * d->page_size;
}

uint64_t
db_disk_free_bytes(struct db *d)
{
	struct statvfs fs;

	if (statvfs(d->dir, &fs) < 0)
		return 0;
	return (uint64_t)fs.f_bavail * fs.f_frsize;
}

uint64_t
db_file_bytes(struct db *d)
{
	struct stat st;

	if (d->append_fd < 0 || fstat(d->append_fd, &st) < 0)
		return 0;
	return (uint64_t)st.st_size;
}

int
db_append_zeros(struct db *d, uint64_t n, struct err *e)
{
	static const char zeros[64 * 1024];
	ssize_t		  k;

	must(d->append_fd >= 0);
	while (n > 0) {
		k = write(d->append_fd, zeros,
		    n < sizeof(zeros) ? (size_t)n : sizeof(zeros));
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return err_sys(e, "store %s: longer file", d->dir);
		n -= (uint64_t)k;
	}
	if (fdatasync(d->append_fd) < 0)
		return err_sys(e, "store %s: longer file", d->dir);
	return 0;
}

int
db_figures(struct db *d, struct db_figures *out, struct err *e)
{
	MDB_envinfo info;
	uint64_t    free_pages, reach;
	int	    rc;

	memset(out, 0, sizeof(*out));
	if (db_count_free_pages(d, &free_pages, e) < 0)
		return -1;
	rc = mdb_env_info(d->env, &info);
	if (rc != 0)
		return db_error(d, rc, e, "figures");
	reach = (uint64_t)(info.me_last_pgno + 1) * d->page_size;
	out->map_bytes = info.me_mapsize;
	out->free_page_bytes = free_pages * d->page_size;
	out->used_bytes =
	    reach > out->free_page_bytes ? reach - out->free_page_bytes : 0;
	out->disk_free_bytes = db_disk_free_bytes(d);
	out->last_txn = info.me_last_txnid;
	out->readers = info.me_numreaders;
	return 0;
}

void
db_reader_check(struct db *d)
{
	int dead;

	mdb_reader_check(d->env, &dead);
}

int
db_copy(struct db *d, int fd, struct err *e)
{
	int rc;

	rc = mdb_env_copyfd2(d->env, fd, MDB_CP_COMPACT);
	return rc == 0 ? 0 : db_error(d, rc, e, "backup");
}

int
db_meta_get(struct db_txn *t, const char *name, struct bytes *value,
    struct err *e)
{
	return db_get_dbi(t, t->db->meta, bytes_of(name), value, e);
}

int
db_meta_put(struct db_txn *t, const char *name, struct bytes value,
    struct err *e)
{
	MDB_val v = val_of(value);
	int	rc = db_put_dbi(t, t->db->meta, bytes_of(name), &v, 0);

	return rc == 0 ? 0 : db_error(t->db, rc, e, "put");
}

/* -- numbers of keys ------------------------------------------------------- */

void
db_put_be64(void *p, uint64_t v)
{
	db_put_be32(p, (uint32_t)(v >> 32));
	db_put_be32((char *)p + 4, (uint32_t)v);
}

uint64_t
db_get_be64(const void *p)
{
	return (uint64_t)db_get_be32(p) << 32 |
	    db_get_be32((const char *)p + 4);
}

void
db_put_be32(void *p, uint32_t v)
{
	unsigned char *b = p;

	b[0] = (unsigned char)(v >> 24);
	b[1] = (unsigned char)(v >> 16);
	b[2] = (unsigned char)(v >> 8);
	b[3] = (unsigned char)v;
}

uint32_t
db_get_be32(const void *p)
{
	const unsigned char *b = p;

	return (uint32_t)b[0] << 24 | (uint32_t)b[1] << 16 |
	    (uint32_t)b[2] << 8 | b[3];
}

const char *
db_library(void)
{
	const char *text = mdb_version(NULL, NULL, NULL);
	const char *blank = strchr(text, ' '); /* "LMDB 0.9.24: (date)" */

	return blank != NULL ? blank + 1 : text;
}

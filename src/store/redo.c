/* SPDX-License-Identifier: ISC */
#include "store/redo.h"

#include <errno.h>
#include <fcntl.h>
#include <openssl/evp.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <sys/uio.h>
#include <unistd.h>

#include "store/db.h"
#include "store/pack.h"

enum {
	REDO_HEAD = 64,
	REDO_NUMBER_AT = 8,
	REDO_LENGTH_AT = 16,
	REDO_SUM_AT = 32,
	REDO_SUM = 32,
	REDO_FILE_MODE = 0600
};
static const char redo_mark[REDO_NUMBER_AT] = "PHREDO1";

struct redo {
	int   fd;
	char *path;
};

/* -- the file -------------------------------------------------------------- */

struct redo *
redo_open(const char *path, struct err *e)
{
	struct redo *r = mem_alloc(sizeof(*r));

	r->path = mem_dup(path);
	r->fd = open(path, O_RDWR | O_CREAT | O_DSYNC | O_CLOEXEC,
	    REDO_FILE_MODE);
	if (r->fd >= 0)
		return r;
	err_sys(e, "%s", path);
	redo_close(r);
	return NULL;
}

void
redo_close(struct redo *r)
{
	if (r == NULL)
		return;
	if (r->fd >= 0)
		close(r->fd);
	free(r->path);
	free(r);
}

/* Over number, length and rows. */
static int
redo_sum(const char *head, struct bytes rows, unsigned char *sum)
{
	EVP_MD_CTX *c = EVP_MD_CTX_new();
	unsigned    n = REDO_SUM;
	bool	    ok;

	ok = c != NULL && EVP_DigestInit_ex(c, EVP_sha256(), NULL) == 1 &&
	    EVP_DigestUpdate(c, head, REDO_SUM_AT) == 1 &&
	    EVP_DigestUpdate(c, rows.p, rows.n) == 1 &&
	    EVP_DigestFinal_ex(c, sum, &n) == 1;
	EVP_MD_CTX_free(c);
	return ok ? 0 : -1;
}

/* The whole, though the kernel may take it in parts. */
static int
redo_write_parts(int fd, struct iovec *v, int count)
{
	off_t	at = 0;
	ssize_t n;

	while (count > 0) {
		n = pwritev(fd, v, count, at);
		if (n < 0 && errno == EINTR)
			continue;
		if (n <= 0)
			return -1;
		at += n;
		while (count > 0 && (size_t)n >= v->iov_len) {
			n -= (ssize_t)v->iov_len;
			v++;
			count--;
		}
		if (count > 0) {
			v->iov_base = (char *)v->iov_base + n;
			v->iov_len -= (size_t)n;
		}
	}
	return 0;
}

int
redo_write(struct redo *r, uint64_t number, struct bytes rows, struct err *e)
{
	char	     head[REDO_HEAD] = { 0 };
	struct iovec v[2] = { { head, sizeof(head) },
		{ (void *)(uintptr_t)rows.p, rows.n } };

	memcpy(head, redo_mark, sizeof(redo_mark));
	db_put_be64(head + REDO_NUMBER_AT, number);
	db_put_be64(head + REDO_LENGTH_AT, rows.n);
	if (redo_sum(head, rows, (unsigned char *)head + REDO_SUM_AT) < 0)
		return err_set(e, "%s: no digest", r->path);
	errno = ENOSPC; /* should the kernel take nothing and say no more */
	if (redo_write_parts(r->fd, v, 2) < 0)
		return err_sys(e, "%s", r->path);
	return 0;
}

/* As much as is there of n octets. */
static ssize_t
redo_read_at(int fd, char *p, size_t n, off_t at)
{
	size_t	got = 0;
	ssize_t k;

	while (got < n) {
		k = pread(fd, p + got, n - got, at + (off_t)got);
		if (k < 0 && errno == EINTR)
			continue;
		if (k < 0)
			return -1;
		if (k == 0)
			break;
		got += (size_t)k;
	}
	return (ssize_t)got;
}

int
redo_read(struct redo *r, uint64_t *number, struct buf *rows, struct err *e)
{
	char	      head[REDO_HEAD];
	unsigned char sum[REDO_SUM];
	struct stat   st;
	uint64_t      length;
	ssize_t	      n;
	char	     *p;

	if (fstat(r->fd, &st) < 0 ||
	    (n = redo_read_at(r->fd, head, sizeof(head), 0)) < 0)
		return err_sys(e, "%s", r->path);
	if (n < REDO_HEAD || memcmp(head, redo_mark, sizeof(redo_mark)) != 0)
		return 0;
	length = db_get_be64(head + REDO_LENGTH_AT);
	if (length > (uint64_t)st.st_size - REDO_HEAD)
		return 0;
	p = buf_room(rows, (size_t)length);
	if (p == NULL)
		return err_set(e, "%s: too long", r->path);
	n = redo_read_at(r->fd, p, (size_t)length, REDO_HEAD);
	if (n < 0)
		return err_sys(e, "%s", r->path);
	if (redo_sum(head, (struct bytes){ p, (size_t)n }, sum) < 0)
		return err_set(e, "%s: no digest", r->path);
	if ((uint64_t)n != length ||
	    memcmp(sum, head + REDO_SUM_AT, sizeof(sum)) != 0)
		return 0;
	buf_commit(rows, (size_t)n);
	*number = db_get_be64(head + REDO_NUMBER_AT);
	return 1;
}

/* -- rows ------------------------------------------------------------------ */

static bool
redo_add(struct buf *rows, const struct redo_row *row)
{
	pack_u64(rows, row->kind);
	pack_bytes(rows, row->table);
	pack_bytes(rows, row->key);
	if (row->kind != REDO_DELETE)
		pack_bytes(rows, row->value);
	return !rows->failed;
}

bool
redo_base(struct buf *rows, struct bytes key, struct bytes value)
{
	struct redo_row row = { REDO_BASE, BYTES(""), key, value };

	return redo_add(rows, &row);
}

bool
redo_put(struct buf *rows, struct bytes table, struct bytes key,
    struct bytes value)
{
	struct redo_row row = { REDO_PUT, table, key, value };

	return redo_add(rows, &row);
}

bool
redo_delete(struct buf *rows, struct bytes table, struct bytes key)
{
	struct redo_row row = { REDO_DELETE, table, key, BYTES("") };

	return redo_add(rows, &row);
}

int
redo_next(struct bytes *rest, struct redo_row *row)
{
	struct unpack u = unpack_of(*rest);
	uint64_t      kind;

	if (rest->n == 0)
		return 0;
	kind = unpack_u64(&u);
	row->table = unpack_bytes(&u);
	row->key = unpack_bytes(&u);
	row->value = kind == REDO_DELETE ? BYTES("") : unpack_bytes(&u);
	if (u.failed || kind < REDO_PUT || kind > REDO_BASE ||
	    row->key.n == 0 || row->key.n > DB_KEY_MAX)
		return -1;
	row->kind = (enum redo_kind)kind;
	*rest = u.rest;
	return 1;
}

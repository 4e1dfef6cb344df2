/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <pthread.h>
#include <fcntl.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "store/db.h"
#include "store/db_private.h"
#include "temp_folder.h"

enum { TABLE_A, TABLE_B, TABLES };
static const char *const names[TABLES] = { "a", "b" };

struct place {
	char dir[TEMP_FOLDER_SIZE];
};

static int
place_make(void **state)
{
	struct place *p = calloc(1, sizeof(*p));

	temp_folder_make(p->dir, "db");
	*state = p;
	return 0;
}

static int
place_remove(void **state)
{
	struct place *p = *state;

	temp_folder_remove(p->dir);
	free(p);
	return 0;
}

static struct db_setup
setup_of(const struct place *p)
{
	struct db_setup s = { p->dir, 1 << 20, names, TABLES, 7, "state",
		false };

	return s;
}

static struct db *
db_must_open(const struct place *p)
{
	struct db_setup s = setup_of(p);
	struct err	e;
	struct db      *d = db_open(&s, &e);

	if (d == NULL)
		fail_msg("%s", e.text);
	return d;
}

static void
put(struct db_txn *t, unsigned table, uint64_t n, const char *value,
    bool append)
{
	char	   key[8];
	struct err e;

	db_put_be64(key, n);
	if (db_put(t, table, (struct bytes){ key, 8 }, bytes_of(value), append,
		&e) < 0)
		fail_msg("%s", e.text);
}

static void
expect(struct db_txn *t, unsigned table, uint64_t n, const char *value)
{
	char	     key[8];
	struct err   e;
	struct bytes v;
	int	     rc;

	db_put_be64(key, n);
	rc = db_get(t, table, (struct bytes){ key, 8 }, &v, &e);
	assert_int_equal(rc, value != NULL);
	if (value != NULL)
		assert_true(bytes_eq_text(v, value));
}

static void
numbers_keep_their_order(void **state)
{
	static const uint64_t v[] = { 0, 1, 255, 256, 0xffffffff,
		0x100000000, UINT64_MAX };
	unsigned char a[8], b[8];
	size_t	      i;

	(void)state;
	for (i = 0; i < sizeof(v) / sizeof(v[0]); i++) {
		db_put_be64(a, v[i]);
		assert_true(db_get_be64(a) == v[i]);
		if (i > 0)
			assert_true(memcmp(b, a, 8) < 0);
		memcpy(b, a, 8);
	}
	db_put_be32(a, 0x01020304);
	assert_memory_equal(a, "\1\2\3\4", 4);
	assert_int_equal(db_get_be32(a), 0x01020304);
}

static void
rows_come_back(void **state)
{
	struct db     *d = db_must_open(*state);
	struct db_txn *t;
	struct err     e;
	char	       key[8];

	t = db_write(d, &e);
	put(t, TABLE_A, 5, "five", true);
	put(t, TABLE_A, 9, "nine", true);
	put(t, TABLE_A, 7, "seven", true); /* no append: falls back */
	put(t, TABLE_A, 9, "NINE", true);  /* replaces */
	put(t, TABLE_B, 5, "other", false);
	put(t, TABLE_A, 11, "xyz", true);
	expect(t, TABLE_A, 9, "NINE");
	assert_int_equal(db_count(t, TABLE_A), 4);
	assert_int_equal(db_commit(t, &e), 0);

	t = db_read(d, &e);
	expect(t, TABLE_A, 5, "five");
	expect(t, TABLE_A, 7, "seven");
	expect(t, TABLE_A, 11, "xyz");
	expect(t, TABLE_A, 6, NULL);
	expect(t, TABLE_B, 5, "other");
	db_end(t);

	t = db_write(d, &e);
	db_put_be64(key, 7);
	assert_int_equal(db_delete(t, TABLE_A, (struct bytes){ key, 8 }, &e),
	    1);
	assert_int_equal(db_delete(t, TABLE_A, (struct bytes){ key, 8 }, &e),
	    0);
	db_end(t); /* aborts */
	t = db_read(d, &e);
	expect(t, TABLE_A, 7, "seven");
	db_end(t);
	db_close(d);

	d = db_must_open(*state);
	t = db_read(d, &e);
	expect(t, TABLE_A, 9, "NINE");
	db_end(t);
	db_close(d);
}

static void
cursors_walk(void **state)
{
	struct db	 *d = db_must_open(*state);
	struct db_txn	 *t;
	struct db_cursor *c;
	struct bytes	  k, v;
	struct err	  e;
	char		  key[8];
	uint64_t	  n;

	t = db_write(d, &e);
	for (n = 0; n < 100; n++)
		put(t, TABLE_A, n * 2, "x", true);
	c = db_cursor(t, TABLE_A, &e);
	db_put_be64(key, 51);
	assert_int_equal(db_seek(c, (struct bytes){ key, 8 }, &k, &v, &e), 1);
	assert_true(db_get_be64(k.p) == 52);
	/* after a deletion the next one follows */
	assert_int_equal(db_cursor_delete(c, &e), 0);
	assert_int_equal(db_next(c, &k, &v, &e), 1);
	assert_true(db_get_be64(k.p) == 54);
	assert_int_equal(db_last(c, &k, &v, &e), 1);
	assert_true(db_get_be64(k.p) == 198);
	assert_int_equal(db_next(c, &k, &v, &e), 0);
	db_cursor_close(c);
	assert_int_equal(db_commit(t, &e), 0);

	t = db_read(d, &e);
	c = db_cursor(t, TABLE_A, &e);
	assert_int_equal(db_seek(c, BYTES(""), &k, &v, &e), 1);
	for (n = 1; db_next(c, &k, &v, &e) == 1; n++)
		assert_true(db_get_be64(k.p) != 52);
	assert_true(n == 99);
	db_cursor_close(c);
	db_cursor_close(NULL);
	db_end(t);
	db_close(d);
}

static void
a_full_map_is_no_disaster(void **state)
{
	struct db     *d = db_must_open(*state);
	struct db_txn *t;
	struct err     e;
	char	       key[8], value[4080];
	uint64_t       n;
	int	       rc = 0;

	memset(value, 'v', sizeof(value));
	t = db_write(d, &e);
	put(t, TABLE_B, 1, "kept", false);
	assert_int_equal(db_commit(t, &e), 0);
	t = db_write(d, &e);
	for (n = 0; rc == 0 && n < 1000; n++) {
		db_put_be64(key, n);
		rc = db_put(t, TABLE_A, (struct bytes){ key, 8 },
		    (struct bytes){ value, sizeof(value) }, true, &e);
	}
	assert_int_equal(rc, -1);
	assert_int_equal(e.code, DB_FULL);
	assert_true(n > 200 && n < 260);
	db_end(t);
	t = db_write(d, &e);
	expect(t, TABLE_B, 1, "kept");
	put(t, TABLE_B, 2, "goes on", false);
	assert_int_equal(db_commit(t, &e), 0);
	db_close(d);
}

static void
freed_pages_are_used_again(void **state)
{
	struct db	 *d = db_must_open(*state);
	struct db_txn	 *t;
	struct db_figures f;
	struct err	  e;
	char		  key[8], value[4080];
	uint64_t	  n, reach = 0;

	memset(value, 'v', sizeof(value));
	for (n = 0; n < 2000; n++) {
		t = db_write(d, &e);
		put(t, TABLE_B, n, "row", true);
		db_put_be64(key, n);
		assert_int_equal(db_put(t, TABLE_A, (struct bytes){ key, 8 },
		    (struct bytes){ value, sizeof(value) }, true, &e), 0);
		if (n >= 10) {
			db_put_be64(key, n - 10);
			assert_int_equal(db_delete(t, TABLE_A,
			    (struct bytes){ key, 8 }, &e), 1);
		}
		assert_int_equal(db_commit(t, &e), 0);
		if (n == 200)
			reach = db_reach_bytes(d);
	}
	assert_true(db_reach_bytes(d) < reach + 200 * 1024);
	assert_int_equal(db_figures(d, &f, &e), 0);
	assert_int_equal(f.map_bytes, 1 << 20);
	assert_true(f.free_page_bytes > 0);
	assert_int_equal(f.used_bytes + f.free_page_bytes, db_reach_bytes(d));
	assert_true(f.disk_free_bytes > 0);
	assert_true(f.last_txn >= 2000);
	db_close(d);
}

static void
faults_are_told_apart(void **state)
{
	static const struct {
		enum db_fail_at at;
		int		code, want;
	} cases[] = {
		{ DB_FAIL_COMMIT, ENOSPC, DB_FULL },
		{ DB_FAIL_COMMIT, EDQUOT, DB_FULL },
		{ DB_FAIL_COMMIT, EIO, DB_DOWN },
		{ DB_FAIL_PUT, ENOSPC, DB_FULL },
		{ DB_FAIL_PUT, EIO, DB_DOWN },
	};
	struct db     *d = db_must_open(*state);
	struct db_txn *t;
	struct err     e;
	size_t	       i;
	int	       rc;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		db_fail_next(d, cases[i].at, 0, 1, cases[i].code);
		t = db_write(d, &e);
		rc = db_put(t, TABLE_A, BYTES("k"), BYTES("v"), false, &e);
		if (cases[i].at == DB_FAIL_PUT)
			db_end(t);
		else
			rc = db_commit(t, &e);
		assert_int_equal(rc, -1);
		assert_int_equal(e.code, cases[i].want);
		t = db_write(d, &e); /* once only; nothing of it stayed */
		assert_int_equal(db_count(t, TABLE_A), 0);
		assert_int_equal(db_commit(t, &e), 0);
	}
	db_close(d);
}

static void
unknown_stores_are_refused(void **state)
{
	struct place   *p = *state;
	struct db      *d = db_must_open(p);
	struct db_setup s = setup_of(p);
	struct err	e;

	db_close(d);
	s.format = 8;
	assert_null(db_open(&s, &e));
	assert_non_null(strstr(e.text, "format 7 is not known, only 8 is"));
	s.format = 7;
	s.kind = "spool";
	assert_null(db_open(&s, &e));
	assert_non_null(strstr(e.text, "not a spool store"));
	s.kind = "state";
	s.read_only = true;
	d = db_open(&s, &e);
	assert_non_null(d);
	db_close(d);
	s.dir = "/nonexistent/place";
	s.read_only = false;
	assert_null(db_open(&s, &e));
	assert_non_null(strstr(e.text, "/nonexistent/place"));
	db_close(NULL);
}

struct reader {
	pthread_t  thread;
	struct db *d;
	unsigned   seen;
};

static void *
reader_run(void *arg)
{
	struct reader *r = arg;
	struct db_txn *t;
	struct bytes   v;
	struct err     e;
	unsigned       i;

	for (i = 0; i < 2000; i++) {
		t = db_read(r->d, &e);
		if (t == NULL)
			break;
		if (db_get(t, TABLE_A, BYTES("k"), &v, &e) == 1 && v.n == 5)
			r->seen++;
		db_end(t);
	}
	return NULL;
}

static void
readers_share_slots(void **state)
{
	struct db	 *d = db_must_open(*state);
	struct db_txn	 *t;
	struct db_figures f;
	struct reader	  r[4];
	struct err	  e;
	size_t		  i;

	t = db_write(d, &e);
	assert_int_equal(db_put(t, TABLE_A, BYTES("k"), BYTES("12345"), false,
	    &e), 0);
	assert_int_equal(db_meta_put(t, "region", BYTES("eu-1"), &e), 0);
	assert_int_equal(db_commit(t, &e), 0);
	for (i = 0; i < 4; i++) {
		r[i].d = d;
		r[i].seen = 0;
		assert_int_equal(pthread_create(&r[i].thread, NULL, reader_run,
		    &r[i]), 0);
	}
	for (i = 0; i < 4; i++) {
		pthread_join(r[i].thread, NULL);
		assert_int_equal(r[i].seen, 2000);
	}
	assert_int_equal(db_figures(d, &f, &e), 0);
	assert_true(f.readers <= 8);
	db_close(d);
}

static void
a_backup_is_a_store(void **state)
{
	struct place  *p = *state;
	struct place   copy;
	struct db     *d = db_must_open(p);
	struct db_txn *t;
	struct bytes   v;
	struct err     e;
	char	       path[160];
	int	       fd;

	t = db_write(d, &e);
	put(t, TABLE_A, 1, "one", true);
	assert_int_equal(db_meta_put(t, "region", BYTES("eu-1"), &e), 0);
	assert_int_equal(db_commit(t, &e), 0);
	snprintf(copy.dir, sizeof(copy.dir), "%.48s/copy", p->dir);
	assert_int_equal(mkdir(copy.dir, 0700), 0);
	snprintf(path, sizeof(path), "%s/data.mdb", copy.dir);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(db_copy(d, fd, &e), 0);
	assert_int_equal(close(fd), 0);
	assert_int_equal(db_copy(d, fd, &e), -1);
	db_close(d);
	d = db_must_open(&copy);
	t = db_read(d, &e);
	expect(t, TABLE_A, 1, "one");
	assert_int_equal(db_meta_get(t, "region", &v, &e), 1);
	assert_true(bytes_eq_text(v, "eu-1"));
	assert_int_equal(db_meta_get(t, "none", &v, &e), 0);
	db_end(t);
	db_close(d);
	snprintf(path, sizeof(path), "%s/data.mdb", copy.dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/lock.mdb", copy.dir);
	unlink(path);
	rmdir(copy.dir);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, place_make, place_remove)
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(numbers_keep_their_order),
		test(rows_come_back),
		test(cursors_walk),
		test(a_full_map_is_no_disaster),
		test(freed_pages_are_used_again),
		test(faults_are_told_apart),
		test(unknown_stores_are_refused),
		test(readers_share_slots),
		test(a_backup_is_a_store),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

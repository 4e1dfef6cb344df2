/* SPDX-License-Identifier: ISC */
/* The redo log: its file, its rows, and a spool whose commit was lost. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <errno.h>
#include <fcntl.h>
#include <sys/stat.h>

#include "base/log.h"
#include "spool_bed.h"
#include "store/redo.h"

enum { HEAD = 64, ROWS_MAX = 1 << 20 };

static unsigned lines_redo;

static void
count_line(void *arg, const char *line)
{
	(void)arg;
	lines_redo += strstr(line, "store-redo ") != NULL;
}

static int
make(void **state)
{
	int	    rc = bed_make(state);
	struct bed *b = *state;

	lines_redo = 0;
	log_capture(count_line, NULL);
	b->setup.redo_log = REDO_ALWAYS;
	return rc;
}

/* -- the file ------------------------------------------------------------- */

static char path[128];

static struct redo *
file_open(const struct bed *b)
{
	struct redo *r;
	struct err   e;

	snprintf(path, sizeof(path), "%s/log", b->dir);
	r = redo_open(path, &e);
	if (r == NULL)
		fail_msg("%s", e.text);
	return r;
}

/* What lies there, of length n; -1 = nothing. */
static int64_t
file_number(struct redo *r, struct bytes wanted)
{
	struct buf rows;
	uint64_t   number;
	struct err e;
	int	   rc;

	buf_init(&rows, ROWS_MAX);
	rc = redo_read(r, &number, &rows, &e);
	assert_in_range(rc, 0, 1);
	if (rc == 1) {
		assert_int_equal(rows.n, wanted.n);
		assert_memory_equal(rows.p, wanted.p, wanted.n);
	}
	buf_wipe(&rows);
	return rc == 0 ? -1 : (int64_t)number;
}

static void
what_is_written_is_read(void **state)
{
	struct redo *r = file_open(*state);
	struct err   e;

	assert_int_equal(file_number(r, BYTES("")), -1);
	assert_int_equal(redo_write(r, 7, BYTES("a longer one"), &e), 0);
	assert_int_equal(file_number(r, BYTES("a longer one")), 7);
	redo_close(r);
	r = file_open(*state);
	assert_int_equal(redo_write(r, 8, BYTES("short"), &e), 0);
	assert_int_equal(file_number(r, BYTES("short")), 8);
	redo_close(r);
	unlink(path);
}

/* One octet of it is another one, wherever; or its end is not there. */
static void
what_is_torn_is_nothing(void **state)
{
	struct redo *r = file_open(*state);
	struct err   e;
	char	     octet, other;
	off_t	     at;
	int	     fd = open(path, O_RDWR);

	assert_true(fd >= 0);
	assert_int_equal(redo_write(r, 9, BYTES("0123456789"), &e), 0);
	for (at = 0; at < HEAD + 10; at++) {
		assert_int_equal(pread(fd, &octet, 1, at), 1);
		other = (char)(octet ^ 0x10);
		assert_int_equal(pwrite(fd, &other, 1, at), 1);
		assert_int_equal(file_number(r, BYTES("")), -1);
		assert_int_equal(pwrite(fd, &octet, 1, at), 1);
	}
	assert_int_equal(file_number(r, BYTES("0123456789")), 9);
	for (at = HEAD + 9; at >= 0; at--) {
		assert_int_equal(ftruncate(fd, at), 0);
		assert_int_equal(file_number(r, BYTES("")), -1);
	}
	close(fd);
	redo_close(r);
	unlink(path);
}

/* -- rows ----------------------------------------------------------------- */

static void
rows_come_back(void **state)
{
	struct redo_row row;
	struct bytes	rest;
	struct buf	rows;

	(void)state;
	buf_init(&rows, 1000);
	assert_true(redo_base(&rows, BYTES("state"), BYTES("")));
	assert_true(redo_put(&rows, BYTES("due"), BYTES("k\0y"), BYTES("v")));
	assert_true(redo_delete(&rows, BYTES("held"), BYTES("gone")));
	rest = buf_bytes(&rows);
	assert_int_equal(redo_next(&rest, &row), 1);
	assert_true(row.kind == REDO_BASE && row.value.n == 0);
	assert_int_equal(redo_next(&rest, &row), 1);
	assert_true(row.kind == REDO_PUT);
	assert_true(bytes_eq(row.table, BYTES("due")));
	assert_true(bytes_eq(row.key, BYTES("k\0y")));
	assert_true(bytes_eq(row.value, BYTES("v")));
	assert_int_equal(redo_next(&rest, &row), 1);
	assert_true(row.kind == REDO_DELETE);
	assert_true(bytes_eq(row.key, BYTES("gone")));
	assert_int_equal(redo_next(&rest, &row), 0);
	while (redo_put(&rows, BYTES("due"), BYTES("k"), BYTES("v")))
		;
	assert_true(rows.failed);
	buf_wipe(&rows);
}

static void
a_damaged_row_is_told(void **state)
{
	static const struct bytes bad[] = { { "\x04\x01t\x01k\x01v", 7 },
		{ "\x01\x01t\x00\x01v", 6 }, { "\x01\x01t\x01k\x09v", 7 },
		{ "\x02\x01t\x7fk", 5 }, { "\x00", 1 } };
	struct redo_row row;
	struct bytes	rest;
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		rest = bad[i];
		assert_int_equal(redo_next(&rest, &row), -1);
	}
}

/* -- a transaction --------------------------------------------------------- */

static struct db *
open_tables(const struct bed *b, const char *name)
{
	static const char *const tables[] = { "one", "two" };
	struct db_setup		 s = { .map_bytes = 1 << 20, .tables = tables,
			 .table_count = 2, .format = 1, .kind = "test" };
	struct db		*d;
	struct err		 e;
	static char		 dir[128];

	snprintf(dir, sizeof(dir), "%s/%s", b->dir, name);
	s.dir = dir;
	d = db_open(&s, &e);
	if (d == NULL)
		fail_msg("%s", e.text);
	return d;
}

static void
put(struct db_txn *t, unsigned table, const char *key, const char *value)
{
	struct err e;

	assert_int_equal(db_put(t, table, bytes_of(key), bytes_of(value),
	    false, &e), 0);
}

/* What both begin with. */
static void
fill(struct db *d)
{
	struct err     e;
	struct db_txn *t = db_write(d, &e);

	put(t, 0, "changed", "old");
	put(t, 0, "deleted", "x");
	put(t, 1, "walked", "x");
	put(t, 1, "walked2", "stays");
	assert_int_equal(db_commit(t, &e), 0);
}

static void
change(struct db *d, struct buf *rows)
{
	struct err	  e;
	struct db_txn	 *t = db_write(d, &e);
	struct db_cursor *c;
	struct bytes	  key, value;

	db_record(d, rows);
	put(t, 0, "changed", "new");
	put(t, 0, "added", "new");
	assert_int_equal(db_delete(t, 0, BYTES("deleted"), &e), 1);
	assert_int_equal(db_delete(t, 0, BYTES("never"), &e), 0);
	c = db_cursor(t, 1, &e);
	assert_int_equal(db_seek(c, BYTES("walked"), &key, &value, &e), 1);
	assert_int_equal(db_cursor_delete(c, &e), 0);
	db_cursor_close(c);
	assert_int_equal(db_meta_put(t, "state", BYTES("s"), &e), 0);
	db_record(d, NULL);
	put(t, 1, "unnoted", "x");
	assert_int_equal(db_commit(t, &e), 0);
}

static void
assert_value(struct db_txn *t, unsigned table, const char *key,
    const char *wanted)
{
	struct bytes value;
	struct err   e;

	assert_int_equal(db_get(t, table, bytes_of(key), &value, &e),
	    wanted == NULL ? 0 : 1);
	if (wanted != NULL)
		assert_true(bytes_eq(value, bytes_of(wanted)));
}

static void
close_and_remove(const struct bed *b, struct db *d, const char *name)
{
	char file[160];

	db_close(d);
	snprintf(file, sizeof(file), "%s/%s/data.mdb", b->dir, name);
	assert_int_equal(unlink(file), 0);
	snprintf(file, sizeof(file), "%s/%s/lock.mdb", b->dir, name);
	assert_int_equal(unlink(file), 0);
	snprintf(file, sizeof(file), "%s/%s", b->dir, name);
	assert_int_equal(rmdir(file), 0);
}

static void
its_rows_do_it_again(void **state)
{
	struct bed    *b = *state;
	struct db     *made = open_tables(b, "made");
	struct db     *other = open_tables(b, "other");
	struct db_txn *t;
	struct buf     rows;
	struct bytes   value;
	struct err     e;

	buf_init(&rows, 4096);
	fill(made);
	fill(other);
	change(made, &rows);
	t = db_write(other, &e);
	assert_int_equal(db_apply(t, buf_bytes(&rows), &e), 0);
	assert_value(t, 0, "changed", "new");
	assert_value(t, 0, "added", "new");
	assert_value(t, 0, "deleted", NULL);
	assert_value(t, 1, "walked", NULL);
	assert_value(t, 1, "walked2", "stays");
	assert_value(t, 1, "unnoted", NULL);
	assert_int_equal(db_meta_get(t, "state", &value, &e), 1);
	/* a row of a table that is not known, and one that was not there */
	buf_clear(&rows);
	redo_put(&rows, BYTES("three"), BYTES("k"), BYTES("v"));
	assert_int_equal(db_apply(t, buf_bytes(&rows), &e), -1);
	assert_int_equal(e.code, DB_DOWN);
	buf_clear(&rows);
	redo_delete(&rows, BYTES("one"), BYTES("deleted"));
	assert_int_equal(db_apply(t, buf_bytes(&rows), &e), -1);
	db_end(t);
	buf_wipe(&rows);
	close_and_remove(b, made, "made");
	close_and_remove(b, other, "other");
}

/* -- the spool ------------------------------------------------------------ */

/* The store as it is now, without its redo log. */
static void
store_keep(struct bed *b, const char *name)
{
	char	   copy[128];
	struct err e;
	int	   fd;

	snprintf(copy, sizeof(copy), "%s/%s", b->dir, name);
	fd = open(copy, O_RDWR | O_CREAT | O_TRUNC, 0600);
	assert_true(fd >= 0);
	assert_int_equal(spool_backup(b->spool, fd, &e), 0);
	close(fd);
}

/* As if all commits since then had been lost. */
static void
store_lose_all_since(struct bed *b, const char *name)
{
	char copy[128], store[128];

	bed_stop(b);
	snprintf(copy, sizeof(copy), "%s/%s", b->dir, name);
	snprintf(store, sizeof(store), "%s/spool/data.mdb", b->dir);
	assert_int_equal(rename(copy, store), 0);
	bed_start(b);
}

static int
add_one(struct submission *s, struct spool_txn *t)
{
	struct err e;

	(void)s;
	return spool_counter_add(t, BYTES("quota"), 29000000, 1, &e);
}

static struct msgid
put_counted(struct bed *b, size_t body)
{
	struct message	 *m = bed_message(2, body, 0);
	struct msgid	  id = m->id;
	struct submission s = { .admit = add_one };

	bed_lend(b, &s, m);
	bed_wait(b);
	assert_int_equal(s.result, RECEIPT_OK);
	spool_catch_up(b->spool);
	/* the next one wants the log, too */
	while (bed_flag(b, &b->spool->redo.is_under_way))
		bed_passes(b, 1);
	message_free(m);
	return id;
}

static void
assert_is_there(struct bed *b, const struct msgid *id, size_t body)
{
	struct arena	  *a = arena_new(65536);
	struct message_row row;
	static char	   buf[65536];
	struct err	   e;
	size_t		   i;

	assert_int_equal(spool_read_message(b->spool, id, a, &row, &e), 1);
	assert_int_equal(row.open, 2);
	assert_int_equal(spool_read_content(b->spool, &row, 0, buf,
	    sizeof(buf), &e), BED_HEAD + body);
	for (i = 0; i < body; i++)
		assert_true(buf[BED_HEAD + i] == bed_octet(i));
	arena_free(a);
}

static int64_t
counted(struct bed *b)
{
	int64_t	   sum;
	struct err e;

	assert_int_equal(spool_counter_read(b->spool, BYTES("quota"),
	    29000000, 29000000, &sum, &e), 0);
	return sum;
}

static void
a_lost_commit_is_done_again(void **state)
{
	struct bed *b = *state;
	struct msgid first, lost;

	bed_start(b);
	first = put_counted(b, 100);
	store_keep(b, "before");
	lost = put_counted(b, 10000);
	store_lose_all_since(b, "before");
	assert_is_there(b, &first, 100);
	assert_is_there(b, &lost, 10000);
	assert_int_equal(counted(b), 2);
	assert_int_equal(bed_figures(b).messages, 2);
	assert_int_equal(bed_figures(b).recipients, 4);
	assert_int_equal(bed_rows(b, SPOOL_DUE), 4);
	/* and not once more */
	bed_stop(b);
	bed_start(b);
	assert_int_equal(counted(b), 2);
	assert_int_equal(bed_rows(b, SPOOL_EVENT), 2);
}

/* The first one of all: there is no state row yet. */
static void
the_first_commit_can_be_lost(void **state)
{
	struct bed *b = *state;
	struct msgid lost;

	bed_start(b);
	store_keep(b, "before");
	lost = put_counted(b, 500);
	store_lose_all_since(b, "before");
	assert_is_there(b, &lost, 500);
	assert_int_equal(counted(b), 1);
}

/* A backup of long ago is put in place: the log is not for it. */
static void
an_older_store_stays_as_it_is(void **state)
{
	struct bed *b = *state;
	struct msgid first;

	bed_start(b);
	first = put_counted(b, 100);
	store_keep(b, "before");
	put_counted(b, 100);
	put_counted(b, 100);
	store_lose_all_since(b, "before");
	assert_is_there(b, &first, 100);
	assert_int_equal(bed_figures(b).messages, 1);
	assert_int_equal(counted(b), 1);
}

/* What comes after it, without the log, makes it old. */
static void
the_log_of_before_is_not_done_on_top(void **state)
{
	struct bed *b = *state;

	bed_start(b);
	put_counted(b, 100);
	b->setup.redo_log = REDO_NEVER;
	spool_retune(b->spool, &b->setup);
	put_counted(b, 100);
	bed_stop(b);
	bed_start(b);
	assert_int_equal(bed_figures(b).messages, 2);
	assert_int_equal(counted(b), 2);
}

/* A log that cannot be written: the commit answers, and one line says so. */
static void
without_the_log_the_commit_answers(void **state)
{
	struct bed *b = *state;
	char	    log[128];

	bed_open(b);
	bed_stop(b);
	snprintf(log, sizeof(log), "%s/spool/redo", b->dir);
	assert_int_equal(unlink(log), 0);
	assert_int_equal(symlink("/dev/full", log), 0);
	bed_start(b);
	put_counted(b, 100);
	bed_passes(b, 2);
	put_counted(b, 100);
	assert_int_equal(lines_redo, 1);
	bed_stop(b);
	bed_start(b);
	assert_int_equal(counted(b), 2);
}

/* Whoever has answered: a message is there once, or was refused. */
static void
a_failed_commit_is_no_broken_promise(void **state)
{
	struct bed	 *b = *state;
	struct message	 *m = bed_message(2, 100, 0);
	struct submission s = { .admit = add_one };
	uint64_t	  there;

	bed_start(b);
	db_fail_next(b->spool->db, DB_FAIL_COMMIT, 0, 1, EIO);
	bed_lend(b, &s, m);
	bed_wait(b);
	spool_stop(b->spool);
	b->downs = 1; /* its loop has ended, nothing more can be asked */
	bed_stop(b);
	b->downs = 0;
	bed_start(b);
	there = bed_figures(b).messages;
	if (s.result == RECEIPT_OK)
		assert_int_equal(there, 1);
	else
		assert_int_equal(s.result, RECEIPT_DOWN);
	assert_int_equal(counted(b), there);
	message_free(m);
}

#define SPOOL_TEST(f) cmocka_unit_test_setup_teardown(f, make, bed_remove)

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		SPOOL_TEST(what_is_written_is_read),
		SPOOL_TEST(what_is_torn_is_nothing),
		SPOOL_TEST(rows_come_back),
		SPOOL_TEST(a_damaged_row_is_told),
		SPOOL_TEST(its_rows_do_it_again),
		SPOOL_TEST(a_lost_commit_is_done_again),
		SPOOL_TEST(the_first_commit_can_be_lost),
		SPOOL_TEST(an_older_store_stays_as_it_is),
		SPOOL_TEST(the_log_of_before_is_not_done_on_top),
		SPOOL_TEST(without_the_log_the_commit_answers),
		SPOOL_TEST(a_failed_commit_is_no_broken_promise),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

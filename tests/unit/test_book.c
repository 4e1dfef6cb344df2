/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include <pthread.h>

static struct bytes
bytes_n(const void *p, size_t n)
{
	return (struct bytes){ p, n };
}

static void
put(struct db_txn *t, const char *key, const char *value)
{
	struct err e;

	assert_int_equal(db_put(t, BOOK_SOURCE, bytes_of(key),
			     bytes_of(value), false, &e), 0);
}

static void
body_fill(struct db_txn *t)
{
	put(t, "a1", "x");
	put(t, "a2", "y");
	put(t, "b1", "z");
}

static bool
on_row(void *arg, struct bytes key, struct bytes value)
{
	struct buf *b = arg;

	buf_printf(b, "%.*s=%.*s ", (int)key.n, key.p, (int)value.n, value.p);
	return !bytes_eq_text(key, "a2") || b->max == 100;
}

static void
check_walk(struct book_world *w, const char *prefix, size_t max,
    const char *want)
{
	struct err     e;
	struct db_txn *t = book_read(w->book, &e);
	struct buf     b;

	assert_non_null(t);
	buf_init(&b, max);
	assert_int_equal(book_walk(t, BOOK_SOURCE, bytes_of(prefix), on_row,
			     &b, &e), 0);
	buf_add_char(&b, '\0');
	assert_string_equal(b.p, want);
	buf_wipe(&b);
	book_end(t);
}

static void
test_walk(void **state)
{
	struct book_world w;

	(void)state;
	world_open(&w);
	world_run(&w, body_fill);
	check_walk(&w, "", 100, "a1=x a2=y b1=z ");
	check_walk(&w, "", 99, "a1=x a2=y "); /* fn said enough */
	check_walk(&w, "a", 100, "a1=x a2=y ");
	check_walk(&w, "b", 100, "b1=z ");
	check_walk(&w, "c", 100, "");
	world_reopen(&w);
	check_walk(&w, "a", 100, "a1=x a2=y ");
	world_close(&w);
}

static int
run_and_refuse(struct book_job *j, struct db_txn *t)
{
	put(t, "gone", "1");
	return book_refuse(&j->err, BOOK_EXISTS, "%s is there", "it");
}

static void
test_refused_job_leaves_nothing(void **state)
{
	struct book_world w;
	struct book_job	  j = { .run = run_and_refuse };
	uint64_t	  version;

	(void)state;
	world_open(&w);
	version = book_version(w.book);
	assert_int_equal(book_write_now(w.book, &j), -1);
	assert_true(j.failed);
	assert_string_equal(j.err.text, "it is there");
	assert_true(book_is_refusal(&j.err));
	assert_string_equal(book_refusal_to_text(&j.err),
	    "AlreadyExistsException");
	assert_true(book_version(w.book) == version);
	check_walk(&w, "", 100, "");
	world_run(&w, body_fill);
	assert_true(book_version(w.book) > version);
	world_close(&w);
}

static void
test_refusals(void **state)
{
	static const struct {
		int	    code;
		const char *text;
		bool	    refusal;
	} rows[] = {
		{ BOOK_BAD_REQUEST, "BadRequestException", true },
		{ BOOK_NOT_FOUND, "NotFoundException", true },
		{ BOOK_EXISTS, "AlreadyExistsException", true },
		{ BOOK_LIMIT, "LimitExceededException", true },
		{ BOOK_TOO_MANY, "TooManyRequestsException", true },
		{ DB_DOWN, "InternalServiceErrorException", false },
		{ DB_FULL, "InternalServiceErrorException", false },
		{ 0, "InternalServiceErrorException", false },
	};
	struct err e;
	size_t	   i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		e.code = rows[i].code;
		assert_string_equal(book_refusal_to_text(&e), rows[i].text);
		assert_int_equal(book_is_refusal(&e), rows[i].refusal);
	}
}

static void
body_no_region(struct db_txn *t)
{
	char	   region[33];
	struct err e;

	assert_int_equal(book_region(t, region, &e), 0);
	assert_string_equal(region, "");
	assert_int_equal(book_set_region(t, "us-east-1", &e), 0);
}

static void
read_key(struct book_world *w, unsigned char key[32], char region[33])
{
	struct err     e;
	struct db_txn *t = book_read(w->book, &e);

	assert_non_null(t);
	assert_int_equal(book_feedback_key(t, key, &e), 1);
	assert_int_equal(book_region(t, region, &e), 1);
	book_end(t);
}

static void
test_region_and_feedback_key(void **state)
{
	struct book_world w;
	unsigned char	  first[32], second[32], none[32] = { 0 };
	char		  region[33];

	(void)state;
	world_open(&w);
	world_run(&w, body_no_region);
	read_key(&w, first, region);
	assert_string_equal(region, "us-east-1");
	assert_memory_not_equal(first, none, 32);
	world_reopen(&w);
	read_key(&w, second, region);
	assert_memory_equal(first, second, 32);
	assert_string_equal(region, "us-east-1");
	world_close(&w);
}

/* -- the writer's thread -------------------------------------------------- */

struct counted {
	struct book_job job;
	struct asker   *of;
	unsigned	n;
};
struct asker {
	struct loop   *loop;
	struct book   *book;
	struct counted jobs[20];
	unsigned       done, failed;
	pthread_t      writer;
};

static int
run_counted(struct book_job *j, struct db_txn *t)
{
	struct counted *c = (struct counted *)(void *)j;
	char		key[16];

	c->of->writer = pthread_self();
	snprintf(key, sizeof(key), "n%02u", c->n);
	if (c->n % 5 == 0)
		return err_set(&j->err, "job %u does not want", c->n);
	return db_put(t, BOOK_SOURCE, bytes_of(key), bytes_n("", 0), false,
	    &j->err);
}

static void
on_done(void *job, void *unused)
{
	struct counted *c = job;

	(void)unused;
	loop_must_own(c->of->loop);
	assert_int_equal(c->n, c->of->done); /* in order */
	c->of->done++;
	c->of->failed += c->job.failed;
	if (c->of->done == 20)
		loop_stop(c->of->loop);
}

static void
post_all(void *ctx, void *unused)
{
	struct asker *a = ctx;
	unsigned      i;

	(void)unused;
	for (i = 0; i < 20; i++) {
		a->jobs[i] = (struct counted){ { a->loop, run_counted,
		    on_done, false, { "", 0 } }, a, i };
		assert_true(book_write(a->book, &a->jobs[i].job));
	}
}

static void
test_writer_answers_on_the_askers_loop(void **state)
{
	struct book_world w;
	struct asker	  a = { .done = 0 };
	struct err	  e;

	(void)state;
	world_open(&w);
	a.loop = loop_new("asker", 64, &e);
	assert_non_null(a.loop);
	a.book = w.book;
	assert_int_equal(book_start(w.book, &e), 0);
	assert_true(loop_post(a.loop, post_all, &a, NULL));
	loop_run(a.loop);
	assert_int_equal(a.done, 20);
	assert_int_equal(a.failed, 4);
	assert_string_equal(a.jobs[5].job.err.text, "job 5 does not want");
	assert_false(pthread_equal(a.writer, pthread_self()));
	book_stop(w.book);
	loop_free(a.loop);
	check_walk(&w, "n0", 1000,
	    "n01= n02= n03= n04= n06= n07= n08= n09= ");
	world_close(&w);
}

/* What was in the feed is written before the writer ends. */
static void
test_stop_writes_what_waits(void **state)
{
	struct book_world w;
	struct asker	  a = { .done = 0 };
	struct err	  e;

	(void)state;
	world_open(&w);
	a.loop = loop_new("asker", 64, &e);
	a.book = w.book;
	assert_int_equal(book_start(w.book, &e), 0);
	post_all(&a, NULL);
	book_stop(w.book);
	check_walk(&w, "n1", 1000,
	    "n11= n12= n13= n14= n16= n17= n18= n19= ");
	loop_run(a.loop); /* their done() */
	assert_int_equal(a.done, 20);
	loop_free(a.loop);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_walk),
		cmocka_unit_test(test_refused_job_leaves_nothing),
		cmocka_unit_test(test_refusals),
		cmocka_unit_test(test_region_and_feedback_key),
		cmocka_unit_test(test_writer_answers_on_the_askers_loop),
		cmocka_unit_test(test_stop_writes_what_waits),
	};

	return cmocka_run_group_tests_name("book", tests, NULL, NULL);
}

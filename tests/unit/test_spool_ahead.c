/* SPDX-License-Identifier: ISC */
/* The file of the spool is made longer before the writer gets to its end. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <sched.h>
#include <signal.h>
#include <sys/resource.h>

#include "base/log.h"
#include "spool_bed.h"

enum { SHARE = (64 << 20) / 512, MESSAGES = 400, LOOKS_MAX = 20000 };

static unsigned lines_ahead;

static void
count_line(void *arg, const char *line)
{
	(void)arg;
	lines_ahead += strstr(line, "store-ahead") != NULL;
}

static int
make(void **state)
{
	lines_ahead = 0;
	log_capture(count_line, NULL);
	return bed_make(state);
}

static void
start_with(struct bed *b, struct workers **w)
{
	struct err e;

	*w = workers_new(1, 4, &e);
	assert_non_null(*w);
	bed_open(b);
	spool_use_workers(b->spool, *w);
	bed_start(b);
}

/* In the order of relay: the workers may still be at work. */
static void
stop_with(struct bed *b, struct workers *w)
{
	spool_stop(b->spool);
	workers_free(w);
	bed_stop(b);
}

/* Looks until the workers have done; each look is a pass of the writer. */
static void
wait_until_laid(struct bed *b)
{
	unsigned i;

	for (i = 0; i < LOOKS_MAX; i++) {
		bed_passes(b, 1);
		if (!bed_flag(b, &b->spool->ahead.is_under_way))
			return;
		sched_yield();
	}
	fail_msg("the workers have not done");
}

static void
assert_body(struct bed *b, const struct msgid *id, size_t octets)
{
	static char	   buf[16384];
	struct arena	  *a = arena_new(65536);
	struct message_row row;
	struct err	   e;
	size_t		   i;

	assert_int_equal(spool_read_message(b->spool, id, a, &row, &e), 1);
	assert_int_equal(row.body_octets, octets);
	assert_int_equal(spool_read_content(b->spool, &row, BED_HEAD, buf,
	    sizeof(buf), &e), octets);
	for (i = 0; i < octets; i++)
		if (buf[i] != bed_octet(i))
			fail_msg("octet %zu has changed", i);
	arena_free(a);
}

static void
lies_ahead_of_the_writer(void **state)
{
	struct bed     *b = *state;
	struct workers *w;
	struct msgid   *ids = calloc(MESSAGES, sizeof(*ids));
	uint64_t	first;
	unsigned	i;

	start_with(b, &w);
	wait_until_laid(b);
	first = db_file_bytes(b->spool->db);
	assert_true(first >= db_reach_bytes(b->spool->db) + SHARE / 4);
	/* while the file grows under them; what is read was once written */
	for (i = 0; i < MESSAGES; i++) {
		ids[i] = bed_put(b, 1, 5000 + i, 0);
		bed_forget_arrivals(b);
	}
	wait_until_laid(b);
	assert_true(db_reach_bytes(b->spool->db) > first);
	assert_true(db_file_bytes(b->spool->db) >=
	    db_reach_bytes(b->spool->db) + SHARE / 4);
	for (i = 0; i < MESSAGES; i++)
		assert_body(b, &ids[i], 5000 + i);
	stop_with(b, w);
	bed_start(b); /* and after the next start */
	for (i = 0; i < MESSAGES; i++)
		assert_body(b, &ids[i], 5000 + i);
	assert_int_equal(lines_ahead, 0);
	free(ids);
}

/* What lies ahead is room, like free pages: it needs no disk. */
static void
counts_as_room(void **state)
{
	struct bed     *b = *state;
	struct workers *w;
	uint64_t	ahead, disk;

	start_with(b, &w);
	wait_until_laid(b);
	bed_passes(b, 1);
	bed_put(b, 1, 10, 0);
	spool_stop(b->spool);
	workers_free(w);
	disk = 10000;
	b->spool->disk_free = disk;
	b->spool->disk_looked = loop_now(b->spool->loop);
	ahead = b->spool->ahead.laid - db_reach_bytes(b->spool->db);
	assert_true(b->spool->ahead.laid > db_reach_bytes(b->spool->db));
	b->spool->ahead.workers = NULL;
	spool_look_for_room(b->spool);
	assert_true(b->spool->room >= disk + ahead);
	bed_stop(b);
}

static void
a_short_disk_is_left_alone(void **state)
{
	struct bed     *b = *state;
	struct workers *w;
	uint64_t	reach;

	bed_open(b);
	/* all there is: others give some of it back meanwhile */
	b->setup.min_free = db_disk_free_bytes(b->spool->db);
	bed_stop(b);
	start_with(b, &w);
	bed_passes(b, 3);
	reach = db_reach_bytes(b->spool->db);
	assert_false(bed_flag(b, &b->spool->ahead.is_under_way));
	assert_true(db_file_bytes(b->spool->db) <= reach);
	stop_with(b, w);
}

static void
a_failure_is_told_once_and_harms_nobody(void **state)
{
	struct bed     *b = *state;
	struct workers *w;
	struct rlimit	old, low;
	struct msgid	id;

	signal(SIGXFSZ, SIG_IGN);
	assert_int_equal(getrlimit(RLIMIT_FSIZE, &old), 0);
	bed_open(b);
	low = old;
	low.rlim_cur = db_file_bytes(b->spool->db) + SHARE / 2;
	bed_stop(b);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &low), 0);
	start_with(b, &w);
	wait_until_laid(b);
	id = bed_put(b, 1, 10, 0);
	bed_passes(b, 2);
	assert_int_equal(lines_ahead, 1);
	assert_int_equal(b->downs, 0);
	assert_body(b, &id, 10);
	stop_with(b, w);
	assert_int_equal(setrlimit(RLIMIT_FSIZE, &old), 0);
}

#define test(f) cmocka_unit_test_setup_teardown(f, make, bed_remove)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		test(lies_ahead_of_the_writer),
		test(counts_as_room),
		test(a_short_disk_is_left_alone),
		test(a_failure_is_told_once_and_harms_nobody)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * What is due, over a due table in memory: order, the window, what is left to
 * the table and comes back.  delivery.md 8 (fairness), architecture.md 1.3.
 */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "delivery/carrier_private.h"
#include "fake_clock.h"
#include "fake_thread.h"

enum { ROWS_MAX = 300000 };
static const int64_t noon = INT64_C(1714564800000);

static struct carrier c;
static struct {
	struct arrival *rows; /* of the table, in order of their keys */
	size_t		n, shown;
	bool		broken;
	struct due    **taken; /* by route_take() */
	size_t		taken_count, most_known;
	/* a receiver that takes nothing of itself */
	bool		is_slow;
	bool		is_settling; /* each one taken becomes a change */
	struct due_list slow;
	size_t		slow_count;
	struct leftover left;
	/* or several of them, none of which moves */
	size_t		lanes, lane_turn, lane_count[8];
	struct leftover lane_left[8];
	struct due_list lane_list[8];
	bool		by_number; /* number % lanes is the lane */
} w;

static unsigned number(const struct due *d);
static void settle(void);

/* -- in the place of the other parts --------------------------------------- */

struct route *
route_ref(struct carrier *carrier, struct bytes domain)
{
	(void)carrier;
	return domain.p[0] == 's' ? (struct route *)&w : NULL;
}

void
route_unref(struct route *r)
{
	(void)r;
}

const char *
carrier_pool_name(struct carrier *carrier, struct bytes name)
{
	(void)carrier;
	return bytes_eq_text(name, "p1") ? "p1" : "";
}

static void
stand_still(struct due *d)
{
	size_t lane = w.lane_turn++ % w.lanes;

	if (w.by_number)
		lane = number(d) % w.lanes;

	if (w.lane_count[lane] >= scheduler_room(&c)) {
		scheduler_leave(&c, d, &w.lane_left[lane]);
		return;
	}
	d->place = DUE_QUEUED;
	w.lane_count[lane]++;
	if (w.by_number)
		due_list_add(&w.lane_list[lane], d);
}

void
route_take(struct carrier *carrier, struct due *d)
{
	if (w.most_known < table_count(carrier->scheduler.known))
		w.most_known = table_count(carrier->scheduler.known);
	if (!w.is_slow || d->route == NULL) {
		w.taken[w.taken_count++] = d;
		c.items_out += w.is_settling;
		return;
	}
	if (w.lanes > 0) {
		stand_still(d);
		return;
	}
	if (w.slow_count >= scheduler_room(carrier)) {
		scheduler_leave(carrier, d, &w.left);
		return;
	}
	d->place = DUE_QUEUED;
	due_list_add(&w.slow, d);
	w.slow_count++;
}

struct leftover *
egress_leftover(struct carrier *carrier, const struct arrival *a,
    bool *is_stray)
{
	(void)carrier;
	*is_stray = a->domain[0] == '?';
	if (w.by_number && a->domain[0] == 's')
		return w.lane_left[a->domain[1] - '0'].wanted
		    ? &w.lane_left[a->domain[1] - '0'] : NULL;
	return a->domain[0] == 's' && w.left.wanted ? &w.left : NULL;
}

static int
arrival_cmp(const void *x, const void *y)
{
	const struct arrival *a = x, *b = y;
	int		      r;

	if (a->due.ms != b->due.ms)
		return a->due.ms < b->due.ms ? -1 : 1;
	r = msgid_cmp(&a->id, &b->id);
	return r != 0 ? r : (int)a->n - (int)b->n;
}

int
spool_scan_due(struct spool *s, const struct due_key *after, struct wall until,
    size_t max, bool (*fn)(void *arg, const struct arrival *a), void *arg,
    struct err *e)
{
	struct arrival k = { .id = after->id, .n = after->n,
		.due = after->due };
	size_t	       lo = 0, hi = w.n, mid, shown = 0;

	(void)s;
	if (w.broken)
		return err_set(e, "broken");
	while (lo < hi) {
		mid = (lo + hi) / 2;
		if (arrival_cmp(&w.rows[mid], &k) <= 0)
			lo = mid + 1;
		else
			hi = mid;
	}
	for (; lo < w.n && shown < max && w.rows[lo].due.ms <= until.ms; lo++) {
		shown++;
		if (!fn(arg, &w.rows[lo]))
			break;
	}
	w.shown += shown;
	return (int)shown;
}

int
spool_read_recipient(struct spool *s, const struct msgid *id, unsigned n,
    struct arena *a, struct recipient_row *out, struct err *e)
{
	(void)s;
	(void)id;
	(void)n;
	(void)a;
	(void)out;
	(void)e;
	return 0; /* it is gone */
}

/* -- the bed --------------------------------------------------------------- */

static int
setup(void **state)
{
	struct err e;

	(void)state;
	memset(&c, 0, sizeof(c));
	memset(&w, 0, sizeof(w));
	fake_clock_set((struct wall){ noon });
	w.rows = calloc(ROWS_MAX, sizeof(*w.rows));
	w.taken = calloc(ROWS_MAX, sizeof(*w.taken));
	due_list_init(&w.slow);
	c.loop = loop_new("delivery", 1024, &e);
	fake_threads_begin(c.loop);
	c.conf = conf_defaults();
	scheduler_init(&c);
	c.scheduler.complete = true;
	return 0;
}

static int
teardown(void **state)
{
	(void)state;
	scheduler_wipe(&c);
	fake_threads_end(c.loop);
	loop_free(c.loop);
	conf_unref(c.conf);
	free(w.rows);
	free(w.taken);
	return 0;
}

static struct arrival
row(unsigned i, int64_t due_ms, const char *domain)
{
	struct arrival a;

	memset(&a, 0, sizeof(a));
	a.id.b[18] = (uint8_t)(i >> 24);
	a.id.b[19] = (uint8_t)(i >> 16);
	a.id.b[20] = (uint8_t)(i >> 8);
	a.id.b[21] = (uint8_t)i;
	a.n = 1;
	a.due.ms = due_ms;
	snprintf(a.domain, sizeof(a.domain), "%s", domain);
	return a;
}

static unsigned
number(const struct due *d)
{
	return (unsigned)d->id.b[18] << 24 | (unsigned)d->id.b[19] << 16 |
	    (unsigned)d->id.b[20] << 8 | d->id.b[21];
}

static void
put(unsigned i, int64_t due_ms, const char *domain)
{
	assert_true(w.n < ROWS_MAX);
	w.rows[w.n++] = row(i, due_ms, domain);
	must(w.n < 2 || arrival_cmp(&w.rows[w.n - 2], &w.rows[w.n - 1]) < 0);
}

static void
settle(void)
{
	assert_true(fake_threads_settle());
}

/* -- cases ----------------------------------------------------------------- */

static void
each_at_its_time(void **state)
{
	struct arrival a[] = { row(3, noon + 500, "x"), row(1, noon, "x"),
		row(2, noon, "x"), row(4, noon + 70000, "x") };
	size_t i;

	(void)state;
	for (i = 0; i < 4; i++)
		scheduler_add(&c, &a[i]);
	settle();
	assert_int_equal(w.taken_count, 2);
	assert_int_equal(number(w.taken[0]), 1);
	assert_int_equal(number(w.taken[1]), 2);
	assert_true(fake_threads_advance(499));
	assert_int_equal(w.taken_count, 2);
	assert_int_equal(scheduler_next(&c).ms, noon + 500);
	assert_true(fake_threads_advance(1));
	assert_int_equal(number(w.taken[2]), 3);
	assert_true(fake_threads_advance(69500));
	assert_int_equal(number(w.taken[3]), 4);
	assert_int_equal(scheduler_next(&c).ms, 0);
}

static void
what_is_known_comes_once(void **state)
{
	struct arrival a = row(1, noon + 60000, "x"), twice = a, sooner = a;

	(void)state;
	sooner.due.ms = noon;
	scheduler_add(&c, &a);
	scheduler_add(&c, &twice);
	settle();
	assert_int_equal(w.taken_count, 0);
	scheduler_add(&c, &sooner); /* queue retry */
	settle();
	assert_int_equal(w.taken_count, 1);
	scheduler_add(&c, &a); /* it is under way */
	assert_true(fake_threads_advance(120000));
	assert_int_equal(w.taken_count, 1);
	/* later again, and gone */
	scheduler_again(&c, w.taken[0], (struct wall){ noon + 180000 });
	settle();
	assert_int_equal(w.taken_count, 1);
	assert_true(fake_threads_advance(60000));
	assert_int_equal(w.taken_count, 2);
	scheduler_drop(&c, w.taken[1]);
	assert_int_equal(table_count(c.scheduler.known), 0);
}

/* What only the table knows goes with it: nobody reads the message for it. */
static void
set_and_pool_come_along(void **state)
{
	struct arrival a = row(1, noon, "x"), none = row(2, noon, "x");

	(void)state;
	memset(a.config_set.b, 7, sizeof(a.config_set.b));
	strcpy(a.pool, "p1");
	scheduler_add(&c, &a);
	scheduler_add(&c, &none);
	settle();
	assert_int_equal(w.taken_count, 2);
	assert_true(config_set_id_eq(&w.taken[0]->config_set, &a.config_set));
	assert_string_equal(w.taken[0]->pool, "p1");
	assert_string_equal(w.taken[1]->pool, "");
}

static void
ended_from_outside(void **state)
{
	struct arrival a = row(1, noon + 60000, "x");
	struct due_key k = { { 0 }, a.id, 1 };

	(void)state;
	scheduler_add(&c, &a);
	scheduler_forget(&c, &k, 1);
	assert_int_equal(table_count(c.scheduler.known), 0);
	assert_true(fake_threads_advance(120000));
	assert_int_equal(w.taken_count, 0);
}

static void
a_wall_clock_that_jumps(void **state)
{
	struct arrival a = row(1, noon + 3600000, "x");

	(void)state;
	scheduler_add(&c, &a);
	settle();
	fake_clock_jump(3600000);
	assert_true(fake_threads_advance(60000));
	assert_int_equal(w.taken_count, 1);
}

/* The window holds 50,000 and is read on when half of it has gone. */
static void
window_of_a_backlog(void **state)
{
	struct arrival late = row(200000, noon + 1000, "x");
	struct arrival early = row(200001, noon - 1000, "x");
	size_t	       i, done = 0;

	(void)state;
	for (i = 0; i < 120000; i++)
		put((unsigned)i, noon, "x");
	scheduler_rescan(&c);
	settle();
	assert_true(w.taken_count >= WINDOW_MAX / 2);
	assert_true(w.most_known <= WINDOW_MAX);
	assert_false(c.scheduler.complete);
	scheduler_add(&c, &late); /* behind the horizon: the table has it */
	put(200000, noon + 1000, "x");
	assert_true(fake_threads_advance(1000));
	assert_true(w.taken_count < 120000);
	scheduler_add(&c, &early); /* before it: at once */
	settle();
	assert_int_equal(number(w.taken[w.taken_count - 1]), 200001);
	while (done < w.taken_count) {
		scheduler_drop(&c, w.taken[done++]);
		if (done % 100 == 0)
			settle();
	}
	settle();
	while (done < w.taken_count)
		scheduler_drop(&c, w.taken[done++]);
	settle();
	assert_int_equal(done, 120002);
	assert_true(c.scheduler.complete);
	assert_true(w.most_known <= WINDOW_MAX + 1); /* the early one */
	assert_true(w.shown <= 120001 + 2000); /* each row is read once */
}

static void
the_one_that_fills_the_window(void **state)
{
	struct arrival a;
	size_t	       i;

	(void)state;
	for (i = 0; i <= WINDOW_MAX; i++) {
		a = row((unsigned)i, noon, "x");
		put((unsigned)i, noon, "x");
		scheduler_add(&c, &a);
	}
	settle();
	assert_false(c.scheduler.complete);
	for (i = 0; i < w.taken_count; i++) {
		scheduler_drop(&c, w.taken[i]);
		w.rows[i].due.ms = -1; /* its row has gone */
	}
	w.n = 1;
	w.rows[0] = row(WINDOW_MAX, noon, "x");
	settle();
	assert_int_equal(number(w.taken[w.taken_count - 1]), WINDOW_MAX);
	assert_int_equal(w.taken_count, WINDOW_MAX + 1);
}

/* A place in the table: who waits for later there is not kept here; who could
 * not be read is. */
static void
behind_the_horizon(void **state)
{
	struct due *moved, *unread;
	unsigned    i;

	(void)state;
	for (i = 0; i < 60000; i++)
		put(i, noon, "x");
	scheduler_rescan(&c);
	settle();
	assert_false(c.scheduler.complete);
	moved = w.taken[0];
	unread = w.taken[1];
	i = number(unread);
	scheduler_again(&c, moved, (struct wall){ noon + 60000 });
	scheduler_retry(&c, unread, (struct wall){ noon + 60000 });
	w.taken_count = 0;
	assert_true(fake_threads_advance(60000));
	/* its place was free for one more of the table, which came first */
	assert_int_equal(w.taken_count, 2);
	assert_int_equal(number(w.taken[1]), i);
}

static void
table_that_cannot_be_read(void **state)
{
	(void)state;
	put(1, noon, "x");
	w.broken = true;
	scheduler_rescan(&c);
	settle();
	assert_int_equal(w.taken_count, 0);
	assert_false(c.scheduler.complete);
	w.broken = false;
	scheduler_refill(&c);
	settle();
	assert_int_equal(w.taken_count, 1);
}

static void
slow_takes(unsigned n)
{
	struct due *d;

	while (n-- > 0 && (d = due_list_take(&w.slow)) != NULL) {
		w.slow_count--;
		if (w.taken_count++ < 2000) /* the oldest first */
			assert_int_equal(number(d), w.taken_count - 1);
		w.rows[number(d)].domain[0] = '-'; /* once only */
		scheduler_drop(&c, d);
		if (w.left.any && w.slow_count <= scheduler_room(&c) / 2)
			scheduler_fetch(&c, &w.left);
	}
	settle();
}

/* 200,000 for a receiver that takes nothing: the others' mail goes all the
 * same; then each of the slow ones comes once, in order. */
static void
one_slow_receiver(void **state)
{
	unsigned i;

	(void)state;
	w.is_slow = true;
	for (i = 0; i < 200000; i++)
		put(i, noon, "slow.example");
	for (i = 0; i < 100; i++)
		put(200000 + i, noon + 1, "quick.example");
	fake_clock_move(1);
	scheduler_rescan(&c);
	settle();
	assert_int_equal(w.taken_count, 100);
	assert_true(c.scheduler.complete);
	assert_true(w.slow_count > 1000);
	assert_true(table_count(c.scheduler.known) < WINDOW_MAX / 2);
	w.taken_count = 0;
	while (w.slow_count > 0)
		slow_takes(500);
	assert_int_equal(w.taken_count, 200000);
	assert_false(w.left.any);
	/* read once, left, and read again */
	if (w.shown > 5 * 200100 / 2)
		fail_msg("%zu rows were read", w.shown);
}

/* Eight of them fill no more than their part of the window. */
static void
slow_receivers(void **state)
{
	unsigned i;

	(void)state;
	w.is_slow = true;
	w.lanes = c.busy_lanes = 8;
	for (i = 0; i < 200000; i++)
		put(i, noon, "slow.example");
	for (i = 0; i < 100; i++)
		put(200000 + i, noon + 1, "quick.example");
	fake_clock_move(1);
	scheduler_rescan(&c);
	settle();
	assert_int_equal(w.taken_count, 100);
	assert_true(c.scheduler.complete);
	assert_true(table_count(c.scheduler.known) < WINDOW_MAX / 2);
	for (i = 0; i < w.lanes; i++)
		assert_true(w.lane_count[i] > 500);
}

/* They take turns, one message each: what is left of all is read for all at
 * once, each comes once and in its order. */
static void
lanes_are_read_together(void **state)
{
	unsigned   i, turn, next[8];
	char	   domain[] = "s0";
	struct due *d;

	(void)state;
	w.is_slow = w.by_number = true;
	w.lanes = c.busy_lanes = 8;
	for (i = 0; i < 8; i++) {
		due_list_init(&w.lane_list[i]);
		next[i] = i;
	}
	for (i = 0; i < 200000; i++) {
		domain[1] = (char)('0' + i % 8);
		put(i, noon, domain);
	}
	scheduler_rescan(&c);
	settle();
	for (turn = 0; turn < 200000; turn++) {
		i = turn % 8;
		d = due_list_take(&w.lane_list[i]);
		assert_non_null(d);
		assert_int_equal(number(d), next[i]);
		next[i] += 8;
		w.lane_count[i]--;
		w.rows[number(d)].domain[0] = '-'; /* its row has gone */
		scheduler_drop(&c, d);
		if (w.lane_left[i].any &&
		    w.lane_count[i] <= scheduler_room(&c) / 2)
			scheduler_fetch(&c, &w.lane_left[i]);
		if (turn % 100 == 0)
			settle();
	}
	for (i = 0; i < 8; i++)
		assert_false(w.lane_left[i].any);
	if (w.shown > 8 * 200000)
		fail_msg("%zu rows were read", w.shown);
}

/* All due at once: nothing is begun while the writer has more than it can
 * commit soon. */
static void
waits_for_the_writer(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 3000; i++)
		put(i, noon, "x");
	w.is_settling = true;
	scheduler_rescan(&c);
	settle();
	/* 1,024, or a few more of the last portion */
	assert_in_range(w.taken_count, 1024, 1300);
	for (i = 0; w.taken_count < 3000; i++) {
		assert_true(i < 3);
		c.items_out = 0;
		scheduler_on_settled(&c);
		settle();
	}
	assert_int_equal(w.taken_count, 3000);
}

/* New mail stands behind a portion of the backlog, not behind all of it. */
static void
new_mail_beside_a_backlog(void **state)
{
	struct arrival a = row(200000, noon + 1, "x");
	struct due    *d;
	size_t	       i;

	(void)state;
	for (i = 0; i < 120000; i++)
		put((unsigned)i, noon, "x");
	fake_clock_move(1);
	c.items_out = 100000;
	scheduler_rescan(&c);
	settle();
	assert_false(c.scheduler.complete);
	put(200000, noon + 1, "x");
	scheduler_add(&c, &a);
	c.items_out = 0;
	scheduler_on_settled(&c);
	settle();
	for (i = 0; i < w.taken_count && number(w.taken[i]) != 200000; i++)
		continue;
	assert_in_range(i, 0, 3000);
	while (w.taken_count > 0 && (d = w.taken[--w.taken_count]) != NULL)
		scheduler_drop(&c, d);
}

/* What has moved meanwhile is found where it is now. */
static void
left_after_it_moved(void **state)
{
	struct due *d;

	(void)state;
	put(1, noon, "slow.example");
	scheduler_rescan(&c);
	settle();
	assert_int_equal(w.taken_count, 1);
	d = w.taken[0];
	w.rows[0].due.ms = noon + 60000;
	scheduler_again(&c, d, w.rows[0].due);
	w.is_slow = true;
	w.slow_count = WINDOW_MAX; /* no room */
	assert_true(fake_threads_advance(60000));
	assert_true(w.left.any);
	w.slow_count = 0;
	scheduler_fetch(&c, &w.left);
	settle();
	assert_int_equal(w.slow_count, 1);
	assert_false(w.left.any);
}

static void
room_is_shared(void **state)
{
	unsigned room = scheduler_room(&c), i;

	(void)state;
	c.busy_lanes = 100;
	assert_true(room >= WINDOW_MAX / 10);
	for (i = 0; i < WINDOW_MAX; i++)
		put(i, noon, "x");
	scheduler_rescan(&c);
	settle();
	assert_true(scheduler_room(&c) < room);
	assert_in_range(scheduler_room(&c), 100, 500); /* for each of them */
	c.busy_lanes = 100000;
	assert_true(scheduler_room(&c) > 0);
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		TEST(each_at_its_time),
		TEST(what_is_known_comes_once),
		TEST(set_and_pool_come_along),
		TEST(ended_from_outside),
		TEST(a_wall_clock_that_jumps),
		TEST(window_of_a_backlog),
		TEST(the_one_that_fills_the_window),
		TEST(behind_the_horizon),
		TEST(table_that_cannot_be_read),
		TEST(one_slow_receiver),
		TEST(new_mail_beside_a_backlog),
		TEST(slow_receivers),
		TEST(lanes_are_read_together),
		TEST(waits_for_the_writer),
		TEST(left_after_it_moved),
		TEST(room_is_shared),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* The walk over the events: order, the cursor, pauses, crashes. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "reporting/publisher.h"

enum { SHOWN_MAX = 4000 };
static const char cursor_name[] = "test";

struct viewer {
	struct rw	  w;
	struct publisher *p;
	uint64_t	  shown[SHOWN_MAX];
	int64_t		  at[SHOWN_MAX];
	unsigned	  count;
	enum publisher_answer answer; /* to those from on */
	uint64_t	  from;
	unsigned	  times; /* that often; 0 = always */
	bool		  idle;
};

static enum publisher_answer
viewer_show(void *arg, uint64_t sequence, const struct event *ev)
{
	struct viewer *v = arg;

	assert_int_equal(ev->type, EVENT_DELIVERY);
	assert_true(v->count < SHOWN_MAX);
	v->at[v->count] = clock_mono().ms;
	v->shown[v->count++] = sequence;
	if (v->answer == PUBLISHER_NEXT || sequence < v->from)
		return PUBLISHER_NEXT;
	if (v->times > 0 && --v->times == 0) {
		enum publisher_answer a = v->answer;

		v->answer = PUBLISHER_NEXT;
		return a;
	}
	return v->answer;
}

static void
viewer_on_events(void *ctx, void *unused)
{
	(void)unused;
	publisher_wake(((struct viewer *)ctx)->p);
}

static void
viewer_begin(struct viewer *v)
{
	struct publisher_setup s = { .cursor = cursor_name,
		.show = viewer_show, .arg = v };

	rw_start(&v->w);
	s.loop = v->w.loop;
	s.spool = v->w.spool;
	v->p = publisher_new(&s);
	spool_on_events(v->w.spool, v->w.loop, viewer_on_events, v);
	publisher_wake(v->p);
	rw_start_spool(&v->w);
	rw_pass(&v->w, 0);
}

static void
viewer_crash(struct viewer *v)
{
	fake_threads_kill(true);
	publisher_free(v->p);
	rw_crash(&v->w);
	v->count = 0;
}

static void
viewer_on_idle(void *arg, void *unused)
{
	(void)unused;
	((struct viewer *)arg)->idle = true;
}

static void
viewer_stop(struct viewer *v)
{
	v->idle = false;
	publisher_stop(v->p, viewer_on_idle, v);
	rw_pass(&v->w, 0);
}

static void
viewer_end(struct viewer *v)
{
	publisher_free(v->p);
	rw_end(&v->w);
	v->count = 0;
}

static int
make(void **state)
{
	struct viewer *v = calloc(1, sizeof(*v));

	rw_open(&v->w);
	*state = v;
	return 0;
}

static int
unmake(void **state)
{
	struct viewer *v = *state;

	rw_close(&v->w);
	free(v);
	return 0;
}

static void
put_events(struct viewer *v, unsigned n)
{
	struct change_item *items = calloc(n, sizeof(*items));
	struct event	   *ev = calloc(n, sizeof(*ev));
	unsigned	    i;

	for (i = 0; i < n; i++) {
		ev[i].type = EVENT_DELIVERY;
		ev[i].at = clock_wall();
		event_id_make(ev[i].at, &ev[i].id);
		msgid_make(ev[i].at, &ev[i].message);
		items[i].kind = CHANGE_EVENT;
		items[i].id = ev[i].message;
		items[i].event = &ev[i];
	}
	rw_change(&v->w, items, n);
	free(items);
	free(ev);
}

static uint64_t
cursor(struct viewer *v)
{
	return spool_cursor(v->w.spool, cursor_name);
}

/* -- */

static void
all_are_shown_once_and_in_order(void **state)
{
	struct viewer *v = *state;
	unsigned       i;

	viewer_begin(v);
	put_events(v, 150);
	put_events(v, 7);
	assert_int_equal(v->count, 157);
	for (i = 0; i < v->count; i++)
		assert_true(v->shown[i] == i + 1);
	/* what was only passed is written down later, all at once */
	assert_true(cursor(v) == 0);
	rw_pass(&v->w, PUBLISHER_LAZY_MS);
	assert_true(cursor(v) == 157);
	viewer_end(v);
}

/* A delay that a receiver reported is for the trace alone. */
static void
notes_are_passed_unseen(void **state)
{
	struct viewer	  *v = *state;
	struct event	   ev;
	struct change_item item;

	viewer_begin(v);
	memset(&ev, 0, sizeof(ev));
	ev.type = EVENT_DELIVERY_DELAY;
	ev.from_report = true;
	ev.at = clock_wall();
	event_id_make(ev.at, &ev.id);
	msgid_make(ev.at, &ev.message);
	memset(&item, 0, sizeof(item));
	item.kind = CHANGE_EVENT;
	item.id = ev.message;
	item.event = &ev;
	rw_change(&v->w, &item, 1);
	put_events(v, 1);
	assert_int_equal(v->count, 1);
	assert_true(v->shown[0] == 2);
	rw_pass(&v->w, PUBLISHER_LAZY_MS);
	assert_true(cursor(v) == 2);
	viewer_end(v);
}

static void
a_new_life_goes_on_behind_the_cursor(void **state)
{
	struct viewer *v = *state;

	viewer_begin(v);
	put_events(v, 5);
	viewer_stop(v);
	assert_true(v->idle);
	assert_true(cursor(v) == 5); /* without waiting for its time */
	viewer_end(v);
	viewer_begin(v);
	assert_int_equal(v->count, 0);
	put_events(v, 2);
	assert_int_equal(v->count, 2);
	assert_true(v->shown[0] == 6);
	viewer_end(v);
}

static void
a_crash_shows_some_again_and_leaves_none_out(void **state)
{
	struct viewer *v = *state;

	viewer_begin(v);
	put_events(v, PUBLISHER_LAZY_EVENTS + 300);
	assert_int_equal(v->count, PUBLISHER_LAZY_EVENTS + 300);
	assert_true(cursor(v) >= PUBLISHER_LAZY_EVENTS);
	viewer_crash(v);
	viewer_begin(v);
	assert_true(v->count > 0 && v->count <= PUBLISHER_LAZY_EVENTS);
	assert_true(v->shown[0] == cursor(v) + 1);
	assert_true(v->shown[v->count - 1] == PUBLISHER_LAZY_EVENTS + 300);
	viewer_end(v);
}

static void
one_is_taken_at_a_time(void **state)
{
	struct viewer *v = *state;

	v->answer = PUBLISHER_TAKEN;
	v->from = 3;
	viewer_begin(v);
	put_events(v, 5);
	assert_int_equal(v->count, 3);
	rw_pass(&v->w, 10 * PUBLISHER_LAZY_MS);
	publisher_wake(v->p);
	rw_pass(&v->w, 0);
	assert_int_equal(v->count, 3);
	/* no write of the cursor that could overtake the consumer's */
	assert_true(cursor(v) == 0);
	publisher_settle(v->p, PUBLISHER_DONE);
	rw_pass(&v->w, 0);
	assert_int_equal(v->count, 4);
	assert_true(v->shown[3] == 4);
	publisher_settle(v->p, PUBLISHER_DONE);
	rw_pass(&v->w, 0);
	publisher_settle(v->p, PUBLISHER_DONE);
	rw_pass(&v->w, PUBLISHER_LAZY_MS);
	assert_true(cursor(v) == 5);
	viewer_end(v);
}

/* The consumer moved the cursor in a transaction of its own. */
static void
what_was_moved_is_not_moved_again(void **state)
{
	struct viewer *v = *state;
	uint64_t       commits;
	struct spool_figures f;
	struct err     e;

	v->answer = PUBLISHER_TAKEN;
	viewer_begin(v);
	put_events(v, 1);
	assert_int_equal(spool_move_cursor(v->w.spool, cursor_name, 1), 0);
	rw_pass(&v->w, 0);
	assert_int_equal(spool_figures(v->w.spool, &f, &e), 0);
	commits = f.commits;
	publisher_settle(v->p, PUBLISHER_MOVED);
	rw_pass(&v->w, 5 * PUBLISHER_LAZY_MS);
	assert_int_equal(spool_figures(v->w.spool, &f, &e), 0);
	assert_true(f.commits == commits);
	assert_true(cursor(v) == 1);
	viewer_end(v);
}

static void
not_now_comes_again_later_and_later(void **state)
{
	struct viewer *v = *state;
	unsigned       i;

	v->answer = PUBLISHER_AGAIN;
	v->times = 12;
	viewer_begin(v);
	put_events(v, 2);
	assert_int_equal(v->count, 1);
	rw_pass(&v->w, hour);
	assert_int_equal(v->count, 14); /* 12 times, once well, the second */
	for (i = 0; i < 13; i++)
		assert_true(v->shown[i] == 1);
	assert_true(v->shown[13] == 2);
	assert_true(v->at[1] - v->at[0] == 250);
	assert_true(v->at[2] - v->at[1] == 500);
	assert_true(v->at[12] - v->at[11] == 60000);
	viewer_end(v);
}

static void
what_failed_is_shown_again(void **state)
{
	struct viewer *v = *state;

	v->answer = PUBLISHER_TAKEN;
	viewer_begin(v);
	put_events(v, 1);
	publisher_settle(v->p, PUBLISHER_FAILED);
	rw_pass(&v->w, 249);
	assert_int_equal(v->count, 1);
	rw_pass(&v->w, 1);
	assert_int_equal(v->count, 2);
	assert_true(v->shown[1] == 1);
	publisher_settle(v->p, PUBLISHER_DONE);
	rw_pass(&v->w, PUBLISHER_LAZY_MS);
	assert_true(cursor(v) == 1);
	viewer_end(v);
}

static void
the_end_waits_for_what_is_taken(void **state)
{
	struct viewer *v = *state;

	v->answer = PUBLISHER_TAKEN;
	v->from = 2;
	viewer_begin(v);
	put_events(v, 3);
	viewer_stop(v);
	assert_false(v->idle);
	publisher_settle(v->p, PUBLISHER_DONE);
	rw_pass(&v->w, 0);
	assert_true(v->idle);
	assert_int_equal(v->count, 2); /* and shows no more */
	assert_true(cursor(v) == 2);
	viewer_end(v);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define TEST(f) cmocka_unit_test_setup_teardown(f, make, unmake)
		TEST(all_are_shown_once_and_in_order),
		TEST(notes_are_passed_unseen),
		TEST(a_new_life_goes_on_behind_the_cursor),
		TEST(a_crash_shows_some_again_and_leaves_none_out),
		TEST(one_is_taken_at_a_time),
		TEST(what_was_moved_is_not_moved_again),
		TEST(not_now_comes_again_later_and_later),
		TEST(what_failed_is_shown_again),
		TEST(the_end_waits_for_what_is_taken),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

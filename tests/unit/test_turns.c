/* SPDX-License-Identifier: ISC */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include <cmocka.h>

#include "base/turns.h"
#include "fake_clock.h"
#include "fake_thread.h"

enum { ASKERS_MAX = 2048 };

struct asker {
	struct turn    turn;
	char	       letter;
	int64_t	       cost_ms, lost_ms; /* what it runs, and is kept from it */
	int	       again; /* asks so often once more */
	enum turn_rank rank;
	char	       source[16];
	struct asker  *rival; /* leaves when this one has its turn */
};

static struct loop  *loop;
static struct turns *turns;
static struct asker  askers[ASKERS_MAX];
static size_t	     asker_count;
static char	     trace[ASKERS_MAX + 1];

static void
asker_on_turn(void *asker, void *unused)
{
	struct asker *a = asker;
	size_t	      n = strlen(trace);

	(void)unused;
	assert_false(turn_is_waiting(&a->turn));
	assert_true(n < ASKERS_MAX);
	trace[n] = a->letter;
	fake_clock_move(a->cost_ms);
	fake_clock_lose(a->lost_ms);
	if (a->rival != NULL)
		turn_leave(&a->rival->turn);
	if (a->again > 0) {
		a->again--;
		turn_ask(turns, &a->turn, a->rank, bytes_of(a->source));
	}
}

static struct asker *
ask(char letter, enum turn_rank rank, const char *source)
{
	struct asker *a = &askers[asker_count++];

	assert_true(asker_count <= ASKERS_MAX);
	turn_init(&a->turn, asker_on_turn, a);
	a->letter = letter;
	a->rank = rank;
	snprintf(a->source, sizeof(a->source), "%s", source);
	turn_ask(turns, &a->turn, rank, bytes_of(a->source));
	assert_true(turn_is_waiting(&a->turn));
	return a;
}

static int
open_turns(void **state)
{
	struct err e;

	(void)state;
	memset(askers, 0, sizeof(askers));
	memset(trace, 0, sizeof(trace));
	asker_count = 0;
	loop = loop_new("turns", 16, &e);
	assert_non_null(loop);
	turns = turns_new(loop);
	fake_threads_begin(loop);
	return 0;
}

static int
close_turns(void **state)
{
	size_t i;

	(void)state;
	fake_threads_end(loop);
	for (i = 0; i < asker_count; i++)
		turn_leave(&askers[i].turn);
	turns_free(turns);
	loop_free(loop);
	return 0;
}

/* A hundred of one address do not stand before the one of another. */
static void
sources_take_turns(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 100; i++)
		ask('a', TURN_STRANGER, "192.0.2.1");
	ask('b', TURN_STRANGER, "192.0.2.2");
	ask('c', TURN_STRANGER, "192.0.2.3");
	ask('c', TURN_STRANGER, "192.0.2.3");
	assert_int_equal(turns_waiting(turns, TURN_STRANGER), 103);
	assert_true(fake_threads_settle());
	assert_int_equal(turns_waiting(turns, TURN_STRANGER), 0);
	assert_int_equal(strlen(trace), 103);
	trace[8] = '\0';
	assert_string_equal(trace, "abcacaaa");
}

static void
first_of_a_source_comes_first(void **state)
{
	const char *p;

	(void)state;
	for (p = "123"; *p != '\0'; p++)
		ask(*p, TURN_KNOWN, "a");
	for (p = "456"; *p != '\0'; p++)
		ask(*p, TURN_KNOWN, "b");
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "142536");
}

/* Four light steps in a pass, one of the known, one of the strangers. */
static void
ranks_share_a_pass(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		ask('s', TURN_STRANGER, "s");
	for (i = 0; i < 3; i++)
		ask('k', TURN_KNOWN, "k");
	for (i = 0; i < 10; i++)
		ask('l', TURN_LIGHT, "l");
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "llllksllllksllks");
}

/* Who asks in its own turn stands behind the others. */
static void
who_asks_again_stands_behind(void **state)
{
	(void)state;
	ask('a', TURN_KNOWN, "a")->again = 2;
	ask('A', TURN_KNOWN, "a");
	ask('b', TURN_KNOWN, "b");
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "abAaa");
}

/* Of one source: who came first, who came last, turn by turn. */
static void
the_last_stranger_has_a_chance(void **state)
{
	const char *p;

	(void)state;
	for (p = "123456"; *p != '\0'; p++)
		ask(*p, TURN_STRANGER, "a");
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "162534");
}

/* Who goes on and on: after all others, one at least in a pass, and no more
 * when it has taken its time; addresses take turns. */
static void
greedy_ones_come_last(void **state)
{
	int i;

	(void)state;
	for (i = 0; i < 3; i++)
		ask('g', TURN_GREEDY, "a")->cost_ms = 1;
	ask('h', TURN_GREEDY, "b")->cost_ms = 1;
	for (i = 0; i < 10; i++)
		ask('l', TURN_LIGHT, "l");
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "llllgllllhllgg");
	ask('l', TURN_LIGHT, "l");
	for (i = 0; i < 3; i++) /* they cost nothing: all of them */
		ask('g', TURN_GREEDY, "a");
	ask('k', TURN_KNOWN, "l")->again = 1;
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "llllgllllhllgglkgggk");
}

static void
who_leaves_is_not_called(void **state)
{
	struct asker *first, *last;

	(void)state;
	first = ask('1', TURN_STRANGER, "a");
	ask('2', TURN_STRANGER, "a");
	last = ask('3', TURN_STRANGER, "b");
	ask('4', TURN_STRANGER, "c")->rival = ask('5', TURN_STRANGER, "c");
	turn_leave(&first->turn);
	turn_leave(&last->turn);
	turn_leave(&last->turn); /* once more does nothing */
	assert_int_equal(turns_waiting(turns, TURN_STRANGER), 3);
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "24");
	assert_int_equal(turns_waiting(turns, TURN_STRANGER), 0);
	/* and asking twice is asking once */
	turn_ask(turns, &last->turn, TURN_KNOWN, BYTES("b"));
	turn_ask(turns, &last->turn, TURN_KNOWN, BYTES("b"));
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "243");
}

/* Strangers have a tenth of the time; the known have what they want. */
static void
strangers_rest(void **state)
{
	struct asker *known;
	size_t	      n;
	int	      i;

	(void)state;
	for (i = 0; i < 1000; i++)
		ask('s', TURN_STRANGER, "s")->cost_ms = 1;
	/* what they have saved: 20 ms of running, and the one that ends it */
	assert_true(fake_threads_settle());
	n = strlen(trace);
	assert_in_range(n, 20, 30);
	assert_true(fake_threads_advance(1000));
	assert_in_range(strlen(trace) - n, 95, 105);
	n = strlen(trace);
	known = ask('k', TURN_KNOWN, "s");
	assert_true(fake_threads_settle());
	assert_false(turn_is_waiting(&known->turn));
	assert_non_null(strchr(trace + n, 'k'));
	assert_true(fake_threads_advance(10000));
	assert_int_equal(turns_waiting(turns, TURN_STRANGER), 0);
}

/* A step in which others had the processor costs what it ran. */
static void
strangers_pay_for_what_they_ran(void **state)
{
	struct asker *next;

	(void)state;
	ask('s', TURN_STRANGER, "s")->lost_ms = 500;
	assert_true(fake_threads_settle());
	assert_string_equal(trace, "s");
	next = ask('n', TURN_STRANGER, "n");
	assert_true(fake_threads_advance(20));
	assert_false(turn_is_waiting(&next->turn));
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, open_turns, close_turns)
	const struct CMUnitTest tests[] = {
		TEST(sources_take_turns),
		TEST(first_of_a_source_comes_first),
		TEST(ranks_share_a_pass),
		TEST(who_asks_again_stands_behind),
		TEST(the_last_stranger_has_a_chance),
		TEST(greedy_ones_come_last),
		TEST(who_leaves_is_not_called),
		TEST(strangers_rest),
		TEST(strangers_pay_for_what_they_ran)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

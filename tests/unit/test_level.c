/* SPDX-License-Identifier: ISC */
/* Levels of sender domains: rules and their borders (reputation.md 6.3);
 * reputation#19 to #21 on this level. */
#include "book_world.h"

#include "registry/level.h"

static const int64_t day_ms = 86400000;

static struct level_figures
figures(uint64_t sent, uint64_t delivered, uint64_t invalid, uint64_t spam)
{
	return (struct level_figures){ sent, delivered, invalid, spam, 0, 0,
		0 };
}

static void
test_rises(void **state)
{
	struct level_figures f;

	(void)state;
	f = figures(350, 350, 0, 0);
	assert_true(level_rises(&f, 500));
	f.sent = f.delivered = 349;
	assert_false(level_rises(&f, 500));
	/* deliverability 92 %, invalid below 5 %, spam below 2.5 % */
	f = figures(1000, 920, 49, 24);
	assert_true(level_rises(&f, 1000));
	f.delivered = 919;
	assert_false(level_rises(&f, 1000));
	f = figures(1000, 920, 50, 24);
	assert_false(level_rises(&f, 1000));
	f = figures(1000, 920, 49, 25);
	assert_false(level_rises(&f, 1000));
	/* complaints below 0.1 % of the deliveries */
	f = figures(2000, 2000, 0, 0);
	f.complaints = 1;
	assert_true(level_rises(&f, 1000));
	f.complaints = 2;
	assert_false(level_rises(&f, 1000));
	/* the second rule: opens, and 90 % delivered */
	f = figures(1000, 900, 99, 99);
	f.tracked = 800;
	f.opened = 400;
	assert_true(level_rises(&f, 1000));
	f.opened = 399;
	assert_false(level_rises(&f, 1000));
	f.opened = 400;
	f.delivered = 899;
	assert_false(level_rises(&f, 1000));
	/* without tracking there is no open rate */
	f.delivered = 900;
	f.tracked = f.opened = 0;
	assert_false(level_rises(&f, 1000));
}

static void
test_falls(void **state)
{
	struct level_figures f = figures(301, 273, 28, 0); /* 9.3 % */

	(void)state;
	assert_true(level_falls(&f));
	f = figures(300, 272, 28, 0);
	assert_false(level_falls(&f));
	f = figures(1000, 910, 90, 0);
	assert_true(level_falls(&f));
	f.invalid = 89;
	assert_false(level_falls(&f));
	f = figures(1000, 650, 0, 0);
	assert_false(level_falls(&f));
	f.delivered = 649;
	assert_true(level_falls(&f));
	f = figures(1000, 950, 0, 50);
	assert_true(level_falls(&f));
	f.spam = 49;
	assert_false(level_falls(&f));
	f = figures(1000, 1000, 0, 0);
	f.complaints = 5;
	assert_true(level_falls(&f));
	f.complaints = 4;
	assert_false(level_falls(&f));
}

static void
test_blocks(void **state)
{
	struct level_figures f = figures(400, 356, 44, 0); /* 11 % */

	(void)state;
	assert_true(level_blocks(&f));
	f.invalid = 43;
	assert_false(level_blocks(&f));
	f = figures(300, 200, 100, 0);
	assert_false(level_blocks(&f));
	f = figures(1000, 850, 0, 150);
	assert_true(level_blocks(&f));
	f.spam = 149;
	assert_false(level_blocks(&f));
}

static void
test_limits(void **state)
{
	struct level l;
	struct wall  now = { world_time };
	struct err   e;
	unsigned     i;
	uint64_t     last = 0;

	(void)state;
	memset(&l, 0, sizeof(l));
	for (i = 1; i <= LEVEL_MAX; i++) {
		assert_int_equal(level_set(&l, i, now, &e), 0);
		assert_int_equal(l.level, i);
		assert_true(level_limit(&l) > last);
		last = level_limit(&l);
	}
	assert_int_equal(last, 1000000);
	assert_int_equal(level_set(&l, 2000000, now, &e), 0);
	assert_int_equal(l.level, LEVEL_ABOVE);
	assert_int_equal(level_limit(&l), 2000000);
	assert_int_equal(level_set(&l, 0, now, &e), -1);
	assert_true(book_is_refusal(&e));
	assert_int_equal(level_set(&l, 21, now, &e), -1);
	assert_int_equal(level_set(&l, 1000000, now, &e), -1);
	assert_int_equal(level_limit(&l), 2000000);
}

static struct level_days
days(struct wall now)
{
	struct level_days d;

	memset(&d, 0, sizeof(d));
	d.today = level_day(now);
	return d;
}

/* Twice with the same figures is once; several times on one day. */
static void
test_judged_up(void **state)
{
	struct wall	     now = { world_time };
	struct level_days    d = days(now);
	struct level_figures *today = &d.v[LEVEL_DAYS - 1];
	struct level	     l = { .level = 1 };
	struct level_change  c;

	(void)state;
	level_judge(&l, &d, now, &c);
	assert_false(c.changed);
	*today = figures(350, 350, 0, 0);
	level_judge(&l, &d, now, &c);
	assert_true(c.changed && c.from == 1 && c.to == 2);
	level_judge(&l, &d, now, &c);
	assert_false(c.changed);
	*today = figures(700, 700, 0, 0);
	level_judge(&l, &d, now, &c);
	assert_int_equal(l.level, 3);
	/* a day on which a lowering rule held is not raised any more */
	*today = figures(1400, 1200, 130, 0);
	level_judge(&l, &d, now, &c);
	assert_true(c.changed && c.from == c.to && !c.blocked);
	*today = figures(10000, 9800, 130, 0);
	level_judge(&l, &d, now, &c);
	assert_false(c.changed);
	assert_int_equal(l.level, 3);
	/* at the end of the day no rule held: it is not lowered either */
	d.v[LEVEL_DAYS - 2] = *today;
	*today = figures(1400, 1400, 0, 0);
	d.today++;
	now.ms += day_ms;
	level_judge(&l, &d, now, &c);
	assert_true(c.changed && c.from == 3 && c.to == 4);
	/* nothing is above 20, or moves what the operator has set above it */
	l.level = LEVEL_MAX;
	*today = figures(1000000, 1000000, 0, 0);
	level_judge(&l, &d, now, &c);
	assert_int_equal(l.level, LEVEL_MAX);
}

static void
test_judged_down(void **state)
{
	struct wall	    now = { world_time };
	struct level_days   d = days(now);
	struct level	    l = { .level = 3, .day = level_day(now) };
	struct level_change c;

	(void)state;
	/* not on the day itself */
	d.v[LEVEL_DAYS - 1] = figures(301, 273, 28, 0);
	level_judge(&l, &d, now, &c);
	assert_int_equal(l.level, 3);
	assert_true(c.changed);
	/* once, however often it is looked at */
	d.today++;
	now.ms += day_ms;
	memmove(d.v, d.v + 1, (LEVEL_DAYS - 1) * sizeof(d.v[0]));
	d.v[LEVEL_DAYS - 1] = figures(0, 0, 0, 0);
	level_judge(&l, &d, now, &c);
	assert_true(c.changed && c.from == 3 && c.to == 2);
	level_judge(&l, &d, now, &c);
	assert_false(c.changed);
	/* a raise on the day after a fall is written as well */
	l.level = 5;
	l.day = d.today - 1;
	d.v[LEVEL_DAYS - 1] = figures(9000, 9000, 0, 0);
	level_judge(&l, &d, now, &c);
	assert_true(c.changed && l.level == 5 && l.day == d.today);
	/* yesterday is not judged once more */
	level_judge(&l, &d, now, &c);
	assert_true(c.from == 5 && c.to == 6);
	/* several days without a look, each lowers; level 1 is the last */
	l.level = 3;
	l.day = d.today - 4;
	d.v[LEVEL_DAYS - 1] = figures(0, 0, 0, 0);
	d.v[LEVEL_DAYS - 3] = d.v[LEVEL_DAYS - 4] = d.v[LEVEL_DAYS - 2];
	level_judge(&l, &d, now, &c);
	assert_int_equal(l.level, 1);
	/* a clock that ran back judges nothing */
	l.day = d.today + 1;
	l.level = 4;
	level_judge(&l, &d, now, &c);
	assert_false(c.changed);
}

static void
test_judged_blocked(void **state)
{
	struct wall	    now = { world_time }, midnight;
	struct level_days   d = days(now);
	struct level	    l = { .level = 1 };
	struct level_change c;

	(void)state;
	assert_false(level_is_blocked(&l, now));
	d.v[LEVEL_DAYS - 1] = figures(400, 356, 44, 0);
	level_judge(&l, &d, now, &c);
	assert_true(c.blocked && c.changed);
	level_judge(&l, &d, now, &c);
	assert_false(c.blocked || c.changed);
	assert_true(level_is_blocked(&l, now));
	midnight.ms = (level_day(now) + 1) * day_ms;
	assert_false(level_is_blocked(&l, midnight));
	midnight.ms--;
	assert_true(level_is_blocked(&l, midnight));
}

static void
body_rows(struct db_txn *t)
{
	struct level l, back;
	struct err   e;
	char	     long_name[300];

	assert_int_equal(level_get(t, world_account, "a.example", &l, &e), 0);
	assert_int_equal(l.level, 1);
	assert_string_equal(l.domain, "a.example");
	l.level = 7;
	l.held_day = 5;
	l.blocked_day = 6;
	l.since.ms = world_time;
	assert_int_equal(level_put(t, &l, &e), 0);
	assert_int_equal(level_get(t, world_account, "a.example", &back, &e),
	    1);
	assert_memory_equal(&l, &back, sizeof(l));
	assert_int_equal(level_get(t, world_other, "a.example", &back, &e),
	    0);
	/* longer names are cut everywhere alike */
	memset(long_name, 'x', sizeof(long_name));
	long_name[253] = '\0';
	assert_int_equal(level_get(t, world_account, long_name, &l, &e), 0);
	assert_int_equal(level_put(t, &l, &e), 0);
	assert_int_equal(level_get(t, world_account, long_name, &l, &e), 1);
	assert_int_equal(level_purge(t, world_account, 1, &e), 1);
	assert_int_equal(level_purge(t, world_account, 5, &e), 1);
	assert_int_equal(level_purge(t, world_account, 5, &e), 0);
}

static void
test_rows(void **state)
{
	struct level l = { .level = LEVEL_ABOVE, .limit = 5 }, back;
	struct buf   b;
	size_t	     n;

	(void)state;
	world_test(body_rows);
	buf_init(&b, 1024);
	assert_true(level_write_record(&l, &b));
	assert_true(level_read_record(buf_bytes(&b), &back));
	for (n = 0; n < b.n; n++)
		assert_false(level_read_record(bytes_head(buf_bytes(&b), n),
		    &back));
	buf_clear(&b);
	l.level = LEVEL_ABOVE + 1;
	assert_true(level_write_record(&l, &b));
	assert_false(level_read_record(buf_bytes(&b), &back));
	buf_wipe(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rises),
		cmocka_unit_test(test_falls),
		cmocka_unit_test(test_blocks),
		cmocka_unit_test(test_limits),
		cmocka_unit_test(test_judged_up),
		cmocka_unit_test(test_judged_down),
		cmocka_unit_test(test_judged_blocked),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

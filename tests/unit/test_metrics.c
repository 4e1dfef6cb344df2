/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "daemon/metrics_page.h"

static void
expect(struct buf *b, const char *text)
{
	buf_add_char(b, '\0');
	assert_false(b->failed);
	assert_string_equal(b->p, text);
	buf_wipe(b);
}

static void
test_text(void **state)
{
	const char *labels[] = { "listener", "a\"b\\c\nd", "result", "ok",
		NULL };
	struct buf	    b;
	struct metrics_page p = { &b, false, NULL };

	(void)state;
	buf_init(&b, 65536);
	metrics_family(&p, "posthorn_x_total", METRICS_COUNTER, "Some help");
	metrics_value(&p, labels, 3);
	metrics_family(&p, "posthorn_y", METRICS_GAUGE, "More");
	metrics_value(&p, NULL, 0.5);
	metrics_value(&p, NULL, -1);
	metrics_value(&p, NULL, 12345678901234.0);
	expect(&b, "# HELP posthorn_x_total Some help\n"
		   "# TYPE posthorn_x_total counter\n"
		   "posthorn_x_total{listener=\"a\\\"b\\\\c\\nd\","
		   "result=\"ok\"} 3\n"
		   "# HELP posthorn_y More\n"
		   "# TYPE posthorn_y gauge\n"
		   "posthorn_y 0.5\n"
		   "posthorn_y -1\n"
		   "posthorn_y 12345678901234\n");
}

/* OpenMetrics names the family of a counter without its ending. */
static void
test_open(void **state)
{
	struct buf	    b;
	struct metrics_page p = { &b, true, NULL };

	(void)state;
	buf_init(&b, 65536);
	metrics_family(&p, "posthorn_x_total", METRICS_COUNTER, "Some help");
	metrics_value(&p, NULL, 3);
	/* two families of one name: the second is of no type */
	metrics_family(&p, "posthorn_y", METRICS_GAUGE, "Now");
	metrics_value(&p, NULL, 1);
	metrics_family(&p, "posthorn_y_total", METRICS_COUNTER, "Ever");
	metrics_value(&p, NULL, 2);
	expect(&b, "# HELP posthorn_x Some help\n"
		   "# TYPE posthorn_x counter\n"
		   "posthorn_x_total 3\n"
		   "# HELP posthorn_y Now\n"
		   "# TYPE posthorn_y gauge\n"
		   "posthorn_y 1\n"
		   "# HELP posthorn_y_total Ever\n"
		   "# TYPE posthorn_y_total unknown\n"
		   "posthorn_y_total 2\n");
}

static void
test_histogram(void **state)
{
	static const double    bounds[] = { 0.1, 1, 10 };
	struct meter_histogram h;
	struct buf	       b;
	struct metrics_page    p = { &b, false, NULL };

	(void)state;
	memset(&h, 0, sizeof(h));
	h.bounds = bounds;
	h.bound_count = 3;
	meter_observe(&h, 0.05);
	meter_observe(&h, 0.5);
	meter_observe(&h, 0.5);
	meter_observe(&h, 60);
	buf_init(&b, 65536);
	metrics_family(&p, "posthorn_z_seconds", METRICS_HISTOGRAM, "Time");
	metrics_histogram(&p, &h);
	expect(&b, "# HELP posthorn_z_seconds Time\n"
		   "# TYPE posthorn_z_seconds histogram\n"
		   "posthorn_z_seconds_bucket{le=\"0.1\"} 1\n"
		   "posthorn_z_seconds_bucket{le=\"1\"} 3\n"
		   "posthorn_z_seconds_bucket{le=\"10\"} 3\n"
		   "posthorn_z_seconds_bucket{le=\"+Inf\"} 4\n"
		   "posthorn_z_seconds_sum 61.050000\n"
		   "posthorn_z_seconds_count 4\n");
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_text),
		cmocka_unit_test(test_open),
		cmocka_unit_test(test_histogram),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

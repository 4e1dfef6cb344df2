/* SPDX-License-Identifier: ISC */
/* Microsoft's data of source addresses (reputation.md 7.3); reputation#25. */
#include "book_world.h"

#include "registry/snds.h"

static const int64_t day_ms = 86400000;
/* the days of the lines below are past on it */
static const struct wall march_2024 = { 19792 * (int64_t)86400000 };

/* reputation#25 */
static void
test_line(void **state)
{
	struct snds_row r;
	char		shown[SNDS_SHOWN_SIZE];

	(void)state;
	assert_null(snds_parse(BYTES("203.0.113.10,12/31/2023 10:00 AM,"
	    "12/31/2023 7:00 PM,1894,1890,1888,GREEN,< 0.1%,,,0,"
	    "a0-10.relay.example,bounce@example.com,"), march_2024, &r));
	assert_string_equal(r.address, "203.0.113.10");
	assert_int_equal(r.day, 19722);
	assert_int_equal(r.rcpts, 1894);
	assert_int_equal(r.datas, 1890);
	assert_int_equal(r.recipients, 1888);
	assert_true(snds_spam_rate(r.filter) == 0);
	assert_int_equal(r.complaints, 0);
	assert_string_equal(snds_complaints_to_text(r.complaints, shown),
	    "< 0.1 %");
	assert_null(snds_parse(BYTES("\"203.0.113.10\",\"2/29/2024 1:00 AM\","
	    ",1,2,3,red,0.3%,2/29/2024 2:00 AM,2/29/2024 3:00 AM,12,\"a, "
	    "\"\"b\"\"\""), march_2024, &r));
	assert_int_equal(r.day, 19782);
	assert_true(snds_spam_rate(r.filter) == 1);
	assert_int_equal(r.complaints, 3000);
	assert_string_equal(snds_complaints_to_text(r.complaints, shown),
	    "0.3 %");
	assert_int_equal(r.traps, 12);
	/* a fraction, and nothing after it; IPv6 */
	assert_null(snds_parse(BYTES("2001:DB8::1,1/1/2024,,1,1,1,Yellow,0"),
	    march_2024, &r));
	assert_string_equal(r.address, "2001:db8::1");
	assert_true(snds_spam_rate(r.filter) == 0.5);
	assert_string_equal(snds_complaints_to_text(r.complaints, shown),
	    "< 0.1 %");
	assert_true(snds_is_heading(BYTES("IP Address,Activity period start")));
	assert_false(snds_is_heading(BYTES("203.0.113.10,")));
}

static void
test_refused(void **state)
{
	static const struct {
		const char *line, *why;
	} rows[] = {
		{ "", "not a line" },
		{ "203.0.113.10", "not a line" },
		{ "203.0.113.10,1/1/2024,,1,1,1,GREEN", "not a line" },
		{ "203.0.113.0/24,1/1/2024,,1,1,1,GREEN,0", "IP address" },
		{ "203.0.113.10,2024-01-01,,1,1,1,GREEN,0", "date" },
		{ "203.0.113.10,13/1/2024,,1,1,1,GREEN,0", "date" },
		{ "203.0.113.10,4/31/2024,,1,1,1,GREEN,0", "date" },
		{ "203.0.113.10,1/1/1999,,1,1,1,GREEN,0", "date" },
		{ "203.0.113.10,1/1/20245,,1,1,1,GREEN,0", "date" },
		{ "203.0.113.10,2/29/2023,,1,1,1,GREEN,0", "date" },
		{ "203.0.113.10,1/1/2024,x,1,1,1,GREEN,0", "date" },
		{ "203.0.113.10,1/2/2024,1/1/2024,1,1,1,GREEN,0",
		  "ends before" },
		{ "203.0.113.10,3/11/2024,,1,1,1,GREEN,0", "to come" },
		{ "203.0.113.10,3/10/2025,,1,1,1,GREEN,0", "to come" },
		{ "203.0.113.10,12/10/2023,,1,1,1,GREEN,0", "long ago" },
		{ "203.0.113.10,1/1/2024,,-1,1,1,GREEN,0", "number" },
		{ "203.0.113.10,1/1/2024,,1,,1,GREEN,0", "number" },
		{ "203.0.113.10,1/1/2024,,1,1,12345678901,GREEN,0",
		  "number" },
		{ "203.0.113.10,1/1/2024,,1,1,1,GREEN,0,,,x", "number" },
		{ "203.0.113.10,1/1/2024,,1,1,1,BLUE,0", "GREEN" },
		{ "203.0.113.10,1/1/2024,,1,1,1,GREEN,101%", "rate" },
		{ "203.0.113.10,1/1/2024,,1,1,1,GREEN,nan", "rate" },
		{ "203.0.113.10,1/1/2024,,1,1,1,GREEN,<", "rate" },
		{ "203.0.113.10,1/1/2024,,1,1,1,GREEN,0.1%%", "rate" },
		{ "\"203.0.113.10", "not a line" },
		{ "\"203.0.113.10\"x,1/1/2024,,1,1,1,GREEN,0", "not a line" },
	};
	struct snds_row r;
	const char     *why;
	char		line[SNDS_LINE_MAX + 2];
	size_t		i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		why = snds_parse(bytes_of(rows[i].line), march_2024, &r);
		assert_non_null(why);
		if (strstr(why, rows[i].why) == NULL)
			fail_msg("%s: %s", rows[i].line, why);
	}
	memset(line, 'x', sizeof(line));
	assert_non_null(snds_parse((struct bytes){ line, sizeof(line) },
	    march_2024, &r));
	assert_non_null(snds_parse((struct bytes){ "203\0,1", 6 }, march_2024,
	    &r));
}

static bool
on_row(void *arg, const struct snds_row *r)
{
	unsigned *n = arg;

	assert_string_equal(r->address, "203.0.113.1");
	++*n;
	return true;
}

static bool
put(struct db_txn *t, const char *address, int64_t day, uint64_t traps)
{
	struct snds_row r;
	struct err	e;
	bool		has_traps;

	memset(&r, 0, sizeof(r));
	strcpy(r.address, address);
	r.day = day;
	r.traps = traps;
	assert_int_equal(snds_put(t, &r, (struct wall){ world_time },
	    &has_traps, &e), 0);
	return has_traps;
}

static void
body_rows(struct db_txn *t)
{
	int64_t	    today = world_time / day_ms;
	unsigned    n = 0;
	struct err  e;

	assert_false(put(t, "203.0.113.1", today - 1, 0));
	/* hits that were not known; the same once more */
	assert_true(put(t, "203.0.113.1", today - 1, 3));
	assert_false(put(t, "203.0.113.1", today - 1, 3));
	assert_true(put(t, "203.0.113.1", today, 1));
	assert_false(put(t, "203.0.113.11", today, 0));
	/* what is too old is not taken */
	assert_false(put(t, "203.0.113.1", today - SNDS_DAYS - 1, 9));
	assert_int_equal(snds_each(t, "203.0.113.1", on_row, &n, &e), 0);
	assert_int_equal(n, 2);
}

static void
body_prune(struct db_txn *t)
{
	int64_t		today = world_time / day_ms;
	struct snds_row r;
	struct err	e;
	bool		has_traps;
	unsigned	n = 0;

	put(t, "203.0.113.1", today - SNDS_DAYS, 0);
	put(t, "203.0.113.1", today, 0);
	memset(&r, 0, sizeof(r));
	strcpy(r.address, "203.0.113.1");
	r.day = today + 1;
	assert_int_equal(snds_put(t, &r,
	    (struct wall){ world_time + day_ms }, &has_traps, &e), 0);
	assert_int_equal(snds_each(t, "203.0.113.1", on_row, &n, &e), 0);
	assert_int_equal(n, 2);
}

static void
test_rows(void **state)
{
	struct snds_row r = { .address = "203.0.113.1", .day = 5,
		.filter = SNDS_RED, .complaints = 7 }, back;
	struct buf	b;
	size_t		n;

	(void)state;
	world_test(body_rows);
	world_test(body_prune);
	buf_init(&b, 1024);
	assert_true(snds_write_record(&r, &b));
	assert_true(snds_read_record(buf_bytes(&b), &back));
	assert_int_equal(back.filter, SNDS_RED);
	for (n = 0; n < b.n; n++)
		assert_false(snds_read_record(bytes_head(buf_bytes(&b), n),
		    &back));
	buf_wipe(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_line),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

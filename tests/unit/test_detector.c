/* SPDX-License-Identifier: ISC */
/* Findings that the figures show by themselves (reputation.md 5). */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "reporting/detector.h"
#include "store/statistic.h"

static const int64_t quarter = STATISTIC_QUARTER_MS;

struct row {
	struct change	     change; /* first */
	struct statistic_key key;
	struct statistic     v;
	bool		     is_done;
};

static int
row_write(struct change *c, struct spool_txn *t, struct err *e)
{
	struct row *r = (struct row *)(void *)c;

	return statistic_add(t, &r->key, &r->v, e);
}

static void
row_done(void *ctx, void *load)
{
	(void)load;
	((struct row *)ctx)->is_done = true;
}

/* The beginning of the hour that is now. */
static int64_t
this_hour(void)
{
	return clock_wall().ms - clock_wall().ms % hour;
}

static void
put(struct rw *w, int64_t at, int64_t sends, int64_t refusals)
{
	struct row r;

	memset(&r, 0, sizeof(r));
	r.key.series = STATISTIC_QUARTER;
	r.key.scope = STATISTIC_ACCOUNT;
	r.key.name = BYTES("");
	memcpy(r.key.account, rw_account, sizeof(r.key.account));
	r.key.time = statistic_floor(STATISTIC_QUARTER, (struct wall){ at });
	r.v.n[COUNT_SENDS] = sends;
	r.v.n[COUNT_AUTHENTICATION] = refusals;
	r.change.from = w->loop;
	r.change.on_receipt = row_done;
	r.change.ctx = &r;
	r.change.also = row_write;
	assert_true(spool_change(w->spool, &r.change));
	assert_true(fake_threads_settle());
	assert_true(r.is_done);
}

static struct detector_found found[DETECTOR_FOUND_MAX];

static int
look(struct rw *w)
{
	struct err e;
	int n = detector_look(w->spool, rw_account, clock_wall(), found, &e);

	if (n < 0)
		fail_msg("%s", e.text);
	return n;
}

/* More than five times the highest hour of seven days, and more than 1,000. */
static void
a_jump_of_the_volume(void **state)
{
	struct rw *w = *state;

	assert_int_equal(look(w), 0);
	/* four quarters are one hour; what is under way is not looked at */
	put(w, this_hour() - hour, 500, 0);
	put(w, this_hour() - quarter, 500, 0);
	put(w, this_hour(), 90000, 0);
	assert_int_equal(look(w), 0);
	put(w, this_hour() - quarter, 1, 0);
	assert_int_equal(look(w), 1);
	assert_int_equal(found[0].type, FINDING_PATTERN);
	assert_string_equal(found[0].note, "1001 recipients in an hour; at "
	    "most 0 in one of the seven days before");
	/* the highest of the days before */
	put(w, this_hour() - 7 * 24 * hour, 200, 0);
	assert_int_equal(look(w), 1);
	put(w, this_hour() - 7 * 24 * hour, 1, 0);
	assert_int_equal(look(w), 0);
}

/* What lies longer back says nothing. */
static void
an_old_hour(void **state)
{
	struct rw *w = *state;

	put(w, this_hour() - hour, 1001, 0);
	put(w, this_hour() - (7 * 24 + 2) * hour, 5000, 0);
	assert_int_equal(look(w), 1);
	put(w, this_hour() - (7 * 24 + 1) * hour, 5000, 0);
	assert_int_equal(look(w), 0);
}

static void
refusals_by_policy(void **state)
{
	struct rw *w = *state;
	int64_t	   now = clock_wall().ms - clock_wall().ms % quarter;

	put(w, now - 5 * quarter, 0, 100);
	put(w, now - 4 * quarter, 0, 10);
	put(w, now, 0, 9);
	assert_int_equal(look(w), 0);
	put(w, now, 0, 1);
	assert_int_equal(look(w), 1);
	assert_int_equal(found[0].type, FINDING_AUTHENTICATION);
	assert_non_null(strstr(found[0].note, "20 refusals"));
	assert_int_equal(finding_default_action(found[0].type), FINDING_NOTE);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, rw_make_begun, rw_unmake)
	const struct CMUnitTest tests[] = {
		test(a_jump_of_the_volume),
		test(an_old_hour),
		test(refusals_by_policy),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* The representative volume and what the rates are over (reputation.md 1). */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include "reporting/rates.h"
#include "store/statistic.h"

static const int64_t day = 24 * 3600 * 1000;

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

/* An hour of so many sends and hard bounces; of a group: deliveries. */
static void
put(struct rw *w, enum statistic_scope scope, const char *name, int64_t ago,
    int64_t sends, int64_t hard)
{
	struct row r;

	memset(&r, 0, sizeof(r));
	r.key.series = scope == STATISTIC_PROVIDER && ago < 0
	    ? STATISTIC_LOOP : STATISTIC_HOUR;
	r.key.scope = scope;
	r.key.name = bytes_of(name);
	if (r.key.series == STATISTIC_HOUR)
		memcpy(r.key.account, rw_account, sizeof(r.key.account));
	r.key.time = statistic_floor(r.key.series, (struct wall){
	    clock_wall().ms - (ago < 0 ? 0 : ago) });
	r.v.n[COUNT_BASE] = sends;
	r.v.n[COUNT_HARD] = hard;
	r.v.n[COUNT_REACHED] = sends - hard;
	r.v.n[COUNT_COMPLAINTS] = ago < 0 ? 1 : 0;
	r.change.from = w->loop;
	r.change.on_receipt = row_done;
	r.change.ctx = &r;
	r.change.also = row_write;
	assert_true(spool_change(w->spool, &r.change));
	assert_true(fake_threads_settle());
	assert_true(r.is_done);
}

static int
forget_write(struct change *c, struct spool_txn *t, struct err *e)
{
	(void)c;
	return statistic_forget(t, rw_account, e);
}

static int64_t
total_of(struct rw *w, const char *account)
{
	struct statistic_question q;
	struct statistic	  v;
	struct err		  e;

	memset(&q, 0, sizeof(q));
	q.key.series = STATISTIC_TOTAL;
	q.key.scope = STATISTIC_CREDENTIAL;
	memcpy(q.key.account, account, sizeof(q.key.account));
	q.any_name = true;
	assert_int_equal(statistic_read(w->spool, &q, &v, &e), 0);
	return v.n[COUNT_SENDS];
}

/* statistics.md 2: what is kept for ever goes with its account alone */
static void
totals_are_forgotten(void **state)
{
	static const char *const accounts[] = { "123456789011", rw_account,
		"123456789013" };
	struct rw *w = *state;
	struct row r;
	size_t	   i;

	for (i = 0; i < 6; i++) {
		memset(&r, 0, sizeof(r));
		r.key.series = STATISTIC_TOTAL;
		r.key.scope = i < 3 ? STATISTIC_CREDENTIAL :
				      STATISTIC_ACCOUNT;
		r.key.name = i < 3 ? BYTES("app1") : BYTES("");
		memcpy(r.key.account, accounts[i % 3], sizeof(r.key.account));
		r.v.n[COUNT_SENDS] = 7;
		r.change.from = w->loop;
		r.change.on_receipt = row_done;
		r.change.ctx = &r;
		r.change.also = row_write;
		assert_true(spool_change(w->spool, &r.change));
		assert_true(fake_threads_settle());
	}
	assert_int_equal(total_of(w, rw_account), 7);
	memset(&r, 0, sizeof(r));
	r.change.from = w->loop;
	r.change.on_receipt = row_done;
	r.change.ctx = &r;
	r.change.also = forget_write;
	assert_true(spool_change(w->spool, &r.change));
	assert_true(fake_threads_settle());
	assert_true(r.is_done);
	assert_int_equal(total_of(w, accounts[0]), 7);
	assert_int_equal(total_of(w, rw_account), 0);
	assert_int_equal(total_of(w, accounts[2]), 7);
}

static struct rates
read_rates(struct rw *w, int64_t fresh)
{
	struct rates_question q;
	struct rates	      v;
	struct err	      e;

	memset(&q, 0, sizeof(q));
	memcpy(q.account, rw_account, sizeof(q.account));
	q.scope = STATISTIC_ACCOUNT;
	q.name = BYTES("");
	q.now = clock_wall();
	q.fresh_start.ms = fresh;
	assert_int_equal(rates_read(w->spool, w->conf, &q, &v, &e), 0);
	return v;
}

static void
nothing_is_no_rate(void **state)
{
	struct rates v = read_rates(*state, 0);

	assert_true(v.bounce == 0 && v.complaint == 0);
	assert_int_equal(v.sends, 0);
	assert_int_equal(v.since.ms, 0);
	assert_int_equal(v.volume, RATES_VOLUME_MIN);
	assert_false(v.bounce_counts || v.complaint_counts);
}

/* Whole buckets, back until there are as many as seven mean days. */
static void
the_volume_ends(void **state)
{
	struct rw   *w = *state;
	struct rates v;
	int	     i;

	for (i = 1; i <= 20; i++)
		put(w, STATISTIC_ACCOUNT, "", i * day, 1000, i > 10 ? 500 : 10);
	v = read_rates(w, 0);
	assert_int_equal(v.volume, 7000);
	assert_int_equal(v.sends, 7000);
	assert_int_equal(v.hard, 70);
	assert_true(v.bounce > 0.0099 && v.bounce < 0.0101);
	assert_true(v.since.ms == clock_wall().ms - 7 * day);
	assert_true(v.bounce_counts);
	/* a fresh start comes before it */
	v = read_rates(w, clock_wall().ms - 2 * day);
	assert_int_equal(v.sends, 2000);
	v = read_rates(w, clock_wall().ms);
	assert_int_equal(v.sends, 0);
}

static void
little_mail_reaches_far_back(void **state)
{
	struct rw   *w = *state;
	struct rates v;

	put(w, STATISTIC_ACCOUNT, "", 89 * day, 40, 4);
	put(w, STATISTIC_ACCOUNT, "", 91 * day, 40, 40);
	put(w, STATISTIC_ACCOUNT, "", 1 * day, 59, 0);
	v = read_rates(w, 0);
	assert_int_equal(v.volume, RATES_VOLUME_MIN);
	assert_int_equal(v.sends, 99);
	assert_int_equal(v.hard, 4);
	/* below reputation.min_volume, and below five */
	assert_false(v.bounce_counts);
	put(w, STATISTIC_ACCOUNT, "", 0, 1, 1);
	v = read_rates(w, 0);
	assert_true(v.bounce_counts);
	assert_true(v.bounce == 0.05);
}

/* reputation#6 on this level, and what was learned from a report */
static void
complaints_are_over_who_tells_of_them(void **state)
{
	struct rw   *w = *state;
	struct rates v;

	put(w, STATISTIC_ACCOUNT, "", 0, 10000, 0);
	put(w, STATISTIC_PROVIDER, "Gmail", 0, 9000, 0);
	put(w, STATISTIC_PROVIDER, "Outlook", 0, 1000, 0);
	v = read_rates(w, 0);
	assert_int_equal(v.deliveries, 10000);
	assert_false(v.has_loops);
	put(w, STATISTIC_PROVIDER, "Outlook", -1, 0, 0);
	v = read_rates(w, 0);
	assert_int_equal(v.deliveries, 1000);
	assert_true(v.has_loops);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(totals_are_forgotten,
		    rw_make_begun, rw_unmake),
		cmocka_unit_test_setup_teardown(nothing_is_no_rate,
		    rw_make_begun, rw_unmake),
		cmocka_unit_test_setup_teardown(the_volume_ends, rw_make_begun,
		    rw_unmake),
		cmocka_unit_test_setup_teardown(little_mail_reaches_far_back,
		    rw_make_begun, rw_unmake),
		cmocka_unit_test_setup_teardown(
		    complaints_are_over_who_tells_of_them, rw_make_begun,
		    rw_unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* Walks over the spool, window by window. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_bed.h"

static bool
count_recipient(void *arg, const struct recipient_row *r)
{
	struct bed_count *c = arg;
	int		  order = msgid_cmp(&c->last, &r->id);

	assert_true(c->n == 0 || order < 0 || (order == 0 &&
	    r->n > c->last_n));
	c->last = r->id;
	c->last_n = r->n;
	return ++c->n != c->enough;
}

/* Windows hold 256 rows. */
static void
walks_cross_windows(void **state)
{
	struct bed	*b = *state;
	struct bed_count c;
	struct msgid	 first;
	struct err	 e;

	bed_start(b);
	first = bed_put(b, 400, 10, 1700000000000);
	bed_put(b, 200, 10, 1700000000500);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_recipients(b->spool, NULL, 0, 1000,
	    count_recipient, &c, &e), 600);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_recipients(b->spool, &first, 391, 1000,
	    count_recipient, &c, &e), 210);
	memset(&c, 0, sizeof(c));
	c.enough = 300;
	assert_int_equal(spool_scan_recipients(b->spool, NULL, 0, 1000,
	    count_recipient, &c, &e), 300);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_due(b->spool, NULL,
	    (struct wall){ 1700000000499 }, 1000, bed_count_due, &c, &e), 400);
	assert_int_equal(spool_scan_due(b->spool, &c.key,
	    (struct wall){ INT64_MAX }, 150, bed_count_due, &c, &e), 150);
	assert_int_equal(spool_scan_due(b->spool, &c.key,
	    (struct wall){ INT64_MAX }, 1000, bed_count_due, &c, &e), 50);
	assert_int_equal(c.n, 600);
	assert_int_equal(spool_scan_due(b->spool, &c.key,
	    (struct wall){ INT64_MAX }, 1000, bed_count_due, &c, &e), 0);
}

static bool
count_mail(void *arg, const struct mail_row *m)
{
	struct bed_count *c = arg;

	assert_true(c->n == 0 || msgid_cmp(&c->last, &m->id) < 0);
	assert_true(m->recipient_count == 1 || m->recipient_count == 400);
	assert_int_equal(m->snapshot.n, 0);
	c->last = m->id;
	return ++c->n != c->enough;
}

/* A record of many recipients lies in several rows, and is shown as one. */
static void
walk_over_records(void **state)
{
	struct bed	*b = *state;
	struct bed_count c;
	struct msgid	 first;
	struct err	 e;
	int		 i;

	bed_start(b);
	assert_int_equal(spool_scan_mail(b->spool, NULL, 10, count_mail, &c,
	    &e), 0);
	first = bed_put(b, 400, 10, 1700000000000);
	for (i = 0; i < 300; i++) {
		bed_put(b, 1, 10, 1700000000001 + i);
		bed_forget_arrivals(b);
	}
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_mail(b->spool, NULL, SIZE_MAX, count_mail,
	    &c, &e), 301);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_mail(b->spool, &first, 1000, count_mail,
	    &c, &e), 300);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_mail(b->spool, NULL, 7, count_mail, &c,
	    &e), 7);
	first = c.last;
	memset(&c, 0, sizeof(c));
	c.enough = 3;
	assert_int_equal(spool_scan_mail(b->spool, &first, 1000, count_mail,
	    &c, &e), 3);
	assert_true(msgid_cmp(&first, &c.last) < 0);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(walks_cross_windows),
		test(walk_over_records),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* The pages of accounts: found again, bounded, made once by many threads. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <pthread.h>
#include <stdio.h>
#include <string.h>

#include "registry/ledger.h"

enum { THREADS = 4, SHARED = 200 };

struct walk {
	unsigned n;
	char	 last[ACCOUNT_ID_SIZE];
	uint64_t sends;
};

static void
on_page(void *arg, const struct ledger_page *p)
{
	struct walk *w = arg;

	if (strcmp(p->account, "_other_") != 0)
		assert_true(strcmp(w->last, p->account) < 0);
	snprintf(w->last, sizeof(w->last), "%s", p->account);
	w->sends += meter_get(&p->sends);
	w->n++;
}

static struct ledger_page *
page_of(struct ledger *l, unsigned n)
{
	char id[ACCOUNT_ID_SIZE];

	snprintf(id, sizeof(id), "%012u", n * 1000003 + 7);
	return ledger_page(l, id);
}

static void
test_found_again(void **state)
{
	struct ledger *l = ledger_new();
	struct walk    w = { .n = 0 };
	unsigned       i;

	(void)state;
	for (i = 0; i < 500; i++)
		meter_add(&page_of(l, i)->sends, i);
	for (i = 0; i < 500; i++)
		assert_int_equal(meter_get(&page_of(l, i)->sends), i);
	ledger_each(l, on_page, &w);
	assert_int_equal(w.n, 500);
	ledger_free(l);
	ledger_free(NULL);
}

/* However many accounts there are, the page of figures stays bounded. */
static void
test_bound(void **state)
{
	struct ledger *l = ledger_new();
	struct walk    w = { .n = 0 };
	unsigned       i;

	(void)state;
	for (i = 0; i < LEDGER_ACCOUNTS_MAX; i++)
		assert_string_not_equal(page_of(l, i)->account, "_other_");
	for (i = LEDGER_ACCOUNTS_MAX; i < LEDGER_ACCOUNTS_MAX + 50; i++)
		meter_add(&page_of(l, i)->sends, 1);
	assert_ptr_equal(page_of(l, 5000), page_of(l, 6000));
	assert_string_not_equal(page_of(l, 0)->account, "_other_");
	ledger_each(l, on_page, &w);
	assert_int_equal(w.n, LEDGER_ACCOUNTS_MAX + 1);
	assert_string_equal(w.last, "_other_");
	assert_int_equal(w.sends, 50);
	ledger_free(l);
}

static void
test_events(void **state)
{
	struct ledger	   *l = ledger_new();
	struct ledger_page *p = page_of(l, 1);
	struct event	    ev = { .type = EVENT_BOUNCE, .recipient_count = 3,
		.bounce_type = BOUNCE_PERMANENT,
		.bounce_subtype = BOUNCE_SUB_GENERAL };

	(void)state;
	ledger_count_event(p, &ev);
	ev.type = EVENT_DELIVERY_DELAY;
	ev.delay_type = DELAY_SENDING_DEFERRAL;
	ev.recipient_count = 1;
	ledger_count_event(p, &ev);
	ev.type = EVENT_DELIVERY;
	ledger_count_event(p, &ev);
	assert_int_equal(meter_get(&p->events[EVENT_BOUNCE]), 3);
	assert_int_equal(meter_get(
	    &p->bounces[BOUNCE_PERMANENT][BOUNCE_SUB_GENERAL]), 3);
	assert_int_equal(meter_get(&p->delays[DELAY_SENDING_DEFERRAL]), 1);
	assert_int_equal(meter_get(&p->events[EVENT_DELIVERY_DELAY]), 1);
	assert_int_equal(meter_get(&p->events[EVENT_DELIVERY]), 1);
	assert_int_equal(meter_get(&page_of(l, 2)->events[EVENT_BOUNCE]), 0);
	ledger_free(l);
}

static void *
count_all(void *ledger)
{
	unsigned i;

	for (i = 0; i < SHARED; i++)
		meter_add(&page_of(ledger, i)->sends, 1);
	return NULL;
}

/* Nobody counts on a page that another thread has thrown away. */
static void
test_threads(void **state)
{
	struct ledger *l = ledger_new();
	pthread_t      t[THREADS];
	unsigned       i;

	(void)state;
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_create(&t[i], NULL, count_all, l), 0);
	for (i = 0; i < THREADS; i++)
		assert_int_equal(pthread_join(t[i], NULL), 0);
	for (i = 0; i < SHARED; i++)
		assert_int_equal(meter_get(&page_of(l, i)->sends), THREADS);
	ledger_free(l);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_found_again),
		cmocka_unit_test(test_bound),
		cmocka_unit_test(test_events),
		cmocka_unit_test(test_threads),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* A dead webhook delays nothing else: of many accounts whose endpoints hang or
 * have failed none takes the place of one that answers. */
#include "reporting_world.h"

#include "fake_http.h"
#include "fake_resolver.h"
#include "reporting/webhook.h"

enum { DEAD = 40 };

struct place {
	struct config_set  set;
	struct destination d;
	struct rw_spec	   spec;
};
struct bed {
	struct rw    w;
	struct place dead[DEAD], well;
	unsigned     count; /* of dead ones */
};

static int
make(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	fake_http_forget();
	fake_dns_remove(NULL, NULL);
	rw_open(&b->w);
	*state = b;
	return 0;
}

static int
unmake(void **state)
{
	struct bed *b = *state;

	rw_crash(&b->w); /* an end in order would wait for those that hang */
	rw_close(&b->w);
	free(b);
	return 0;
}

static void
place_init(struct place *p, const char *account, const char *host,
    unsigned in_flight)
{
	struct wall now = clock_wall();

	config_set_init(&p->set, account, "set", now);
	destination_init(&p->d, &p->set, "hooks", now);
	p->d.kind = DESTINATION_WEBHOOK;
	p->d.types = DESTINATION_ALL_TYPES;
	p->d.webhook.in_flight = in_flight;
	snprintf(p->d.webhook.url, sizeof(p->d.webhook.url), "https://%s/x",
	    host);
	destination_new_key(&p->d.webhook, now);
	p->spec = (struct rw_spec){ .header = "Subject: test\r\n",
		.forward = "", .rcpts = { "jane@sink.example" },
		.set = &p->set };
}

static void
put_place(struct db_txn *t, struct place *p)
{
	struct err e;

	if (config_set_create(t, &p->set, &e) != 0 ||
	    destination_create(t, &p->d, &e) != 0)
		fail_msg("%s", e.text);
}

static void
put_all(struct db_txn *t, void *arg)
{
	static const char *const none[] = { NULL };
	struct bed *b = arg;
	unsigned    i;

	rw_put_account(t, (void *)(uintptr_t)none);
	put_place(t, &b->well);
	for (i = 0; i < b->count; i++)
		put_place(t, &b->dead[i]);
}

/* So many accounts at an endpoint that hangs, one at an endpoint that does
 * what answers says. */
static void
begin(struct bed *b, unsigned dead, unsigned in_flight, const char *answers)
{
	char account[ACCOUNT_ID_SIZE];

	rw_begin(&b->w);
	place_init(&b->well, rw_account, "well.example", 4);
	for (; b->count < dead; b->count++) {
		snprintf(account, sizeof(account), "2000000000%02u", b->count % 100);
		place_init(&b->dead[b->count], account, "dead.example",
		    in_flight);
	}
	rw_write(&b->w, put_all, b);
	assert_true(fake_dns_add("well.example", "A", "81.2.69.142", 60));
	assert_true(fake_dns_add("dead.example", "A", "81.2.69.143", 60));
	fake_http_answers("well.example", answers);
	fake_http_answers("dead.example", "hang");
}

static void
submit(struct bed *b, struct place *p, unsigned n)
{
	for (; n > 0; n--)
		(void)rw_submit(&b->w, &p->spec);
}

/* Notes of events and the queue of the workers are not without bounds. */
static void
settle(struct bed *b)
{
	rw_pass(&b->w, 300);
}

static uint64_t
told(struct bed *b, const struct place *p)
{
	const struct outlet_meter *m = outbox_meter_find(&b->w.outbox_meters,
	    &p->d);

	return m == NULL ? 0 : meter_get(&m->success);
}

/* Each asks for all it may have, as soon as it hangs. */
static void
those_that_begin_to_hang(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	begin(b, 10, 64, "200");
	for (i = 0; i < b->count; i++)
		submit(b, &b->dead[i], 70);
	settle(b);
	assert_in_range(fake_http_open(), 128, 159);
	submit(b, &b->well, 3);
	settle(b);
	assert_int_equal(told(b, &b->well), 3);
	assert_in_range(fake_http_open(), 128, 159); /* they still hang */
}

static void
one_alone(void **state)
{
	struct bed *b = *state;

	begin(b, 1, 64, "200");
	submit(b, &b->dead[0], 70);
	settle(b);
	assert_int_equal(fake_http_open(), 64);
}

/* Forty dead accounts: one call each, and 32 together. */
static void
those_that_have_failed(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	begin(b, DEAD, 4, "200@1");
	for (i = 0; i < b->count; i++)
		submit(b, &b->dead[i], 4);
	rw_pass(&b->w, 40000); /* each has failed, and is due again */
	assert_int_equal(fake_http_open(), 32);
	/* all four at once, as if nobody else were there */
	submit(b, &b->well, 8);
	settle(b);
	assert_int_equal(fake_http_open(), 32 + 4);
	rw_pass(&b->w, 2000);
	assert_int_equal(told(b, &b->well), 8);
}

/* What waited for its turn among the dead is told when they answer. */
static void
they_come_back(void **state)
{
	struct bed *b = *state;
	unsigned    i;

	begin(b, DEAD, 4, "200");
	for (i = 0; i < b->count; i++)
		submit(b, &b->dead[i], 4);
	rw_pass(&b->w, 10 * minute);
	fake_http_answers("dead.example", "200");
	rw_pass(&b->w, hour);
	for (i = 0; i < b->count; i++)
		assert_int_equal(told(b, &b->dead[i]), 4);
}

#define WITH(test) cmocka_unit_test_setup_teardown(test, make, unmake)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		WITH(those_that_begin_to_hang),
		WITH(one_alone),
		WITH(those_that_have_failed),
		WITH(they_come_back),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

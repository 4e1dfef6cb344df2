/* SPDX-License-Identifier: ISC */
#include "net_world.h"

#include <stdio.h>

#include "base/process.h"
#include "reporting/inquiry.h"

enum { JOBS = 40 };

struct bench {
	struct world	  w;
	struct inquiries *all;
	struct channel	 *own, *verifier;
	struct inquiry	  q;
	struct verify_job jobs[JOBS];
	struct verify_result results[JOBS];
	struct verify_job asked[JOBS]; /* not answered yet */
	size_t		  asked_count, asked_most, asked_all;
	unsigned	  done;
};

static void
verifier_on_message(void *arg, struct bytes message, int fd)
{
	struct bench *b = arg;

	assert_int_equal(fd, -1);
	assert_true(b->asked_count < JOBS);
	assert_true(verify_job_decode(message, &b->asked[b->asked_count++]));
	b->asked_all++;
	if (b->asked_count > b->asked_most)
		b->asked_most = b->asked_count;
}

static void
own_on_message(void *arg, struct bytes message, int fd)
{
	struct bench	    *b = arg;
	struct verify_result r;

	(void)fd;
	assert_true(verify_result_decode(message, &r));
	inquiries_take(b->all, &r);
}

static void
on_close(void *arg)
{
	(void)arg;
}

static const struct channel_events verifier_events = { verifier_on_message,
	on_close };
static const struct channel_events own_events = { own_on_message, on_close };

static void
on_done(void *arg, void *inquiry)
{
	struct bench *b = arg;

	assert_ptr_equal(inquiry, &b->q);
	b->done++;
}

static void
bench_open(struct bench *b)
{
	struct err e;
	int	   fds[2];

	memset(b, 0, sizeof(*b));
	world_open(&b->w);
	assert_int_equal(channel_pair(fds, &e), 0);
	b->own = channel_open(b->w.loop, fds[0], &own_events, b, &e);
	b->verifier = channel_open(b->w.loop, fds[1], &verifier_events, b,
	    &e);
	b->all = inquiries_new(b->w.loop);
}

static void
bench_close(struct bench *b)
{
	inquiries_free(b->all);
	channel_close(b->own);
	channel_close(b->verifier);
	world_close(&b->w);
}

static void
begin(struct bench *b)
{
	size_t i;

	for (i = 0; i < JOBS; i++) {
		memset(&b->jobs[i], 0, sizeof(b->jobs[i]));
		b->jobs[i].kind = VERIFY_HOST;
		snprintf(b->jobs[i].domain, sizeof(b->jobs[i].domain),
		    "h%zu.example", i);
	}
	b->q.jobs = b->jobs;
	b->q.results = b->results;
	b->q.n = JOBS;
	b->q.asker = b->w.loop;
	b->q.done = on_done;
	b->q.arg = b;
	assert_true(loop_reserve(b->w.loop));
	inquiries_begin(b->all, &b->q);
}

/* To the job that was asked last; text: its domain. */
static void
answer(struct bench *b, enum verify_kind kind, uint64_t ticket_xor)
{
	const struct verify_job *j = &b->asked[b->asked_count - 1];
	struct verify_result	 r;
	struct buf		 m;

	memset(&r, 0, sizeof(r));
	r.ticket = j->ticket ^ ticket_xor;
	r.kind = kind;
	r.outcome = DKIM_MATCH;
	strcpy(r.text, j->domain);
	buf_init(&m, VERIFY_MESSAGE_MAX);
	assert_true(verify_result_encode(&r, &m));
	assert_true(channel_send(b->verifier, buf_bytes(&m), -1));
	buf_wipe(&m);
}

static bool
is_done(void *arg)
{
	return ((struct bench *)arg)->done > 0;
}

static bool
is_asked(void *arg)
{
	struct bench *b = arg;

	return b->done > 0 || b->asked_count > 0;
}

/* All are answered, a few at a time, in any order; what is late or forged
 * changes nothing. */
static void
all_are_answered(void **state)
{
	struct bench b;
	size_t	     i;

	(void)state;
	bench_open(&b);
	inquiries_attach(b.all, b.own);
	begin(&b);
	while (b.done == 0) {
		world_run(&b.w, is_asked, &b);
		if (b.asked_count == 0)
			break;
		answer(&b, VERIFY_REPLY, 0);
		answer(&b, VERIFY_HOST, UINT64_C(1) << 40);
		answer(&b, VERIFY_HOST, 0xff00);
		answer(&b, VERIFY_HOST, 0);
		answer(&b, VERIFY_HOST, 0); /* once more */
		b.asked_count--;
	}
	assert_int_equal(b.done, 1);
	assert_int_equal(b.asked_all, JOBS);
	assert_true(b.asked_most <= INQUIRY_OPEN_MAX);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(b.results[i].outcome, DKIM_MATCH);
		assert_string_equal(b.results[i].text, b.jobs[i].domain);
	}
	bench_close(&b);
}

/* Without a verifier, and when it goes: the rest is not known. */
static void
a_lost_verifier_ends_it(void **state)
{
	struct bench b;
	size_t	     i;

	(void)state;
	bench_open(&b);
	begin(&b);
	world_run(&b.w, is_done, &b);
	for (i = 0; i < JOBS; i++) {
		assert_int_equal(b.results[i].outcome, DKIM_DNS_ERROR);
		assert_int_equal(b.results[i].kind, VERIFY_HOST);
		assert_string_equal(b.results[i].hint,
		    "the verifier process is not running");
	}
	b.done = 0;
	inquiries_attach(b.all, b.own);
	begin(&b);
	world_run(&b.w, is_asked, &b);
	inquiries_attach(b.all, NULL);
	world_run(&b.w, is_done, &b);
	assert_int_equal(b.done, 1);
	assert_string_equal(b.results[JOBS - 1].hint,
	    "the verifier process has gone");
	/* and at the end of the process */
	b.done = 0;
	b.asked_count = 0;
	inquiries_attach(b.all, b.own);
	begin(&b);
	inquiries_free(b.all);
	b.all = NULL;
	world_run(&b.w, is_done, &b);
	assert_int_equal(b.done, 1);
	bench_close(&b);
}

/* Whoever cannot wait so long is told sooner. */
static void
a_short_time_ends_it(void **state)
{
	struct bench b;

	(void)state;
	bench_open(&b);
	inquiries_attach(b.all, b.own);
	b.q.within_ms = 1;
	begin(&b);
	world_run(&b.w, is_done, &b);
	assert_int_equal(b.done, 1);
	assert_int_equal(b.results[0].outcome, DKIM_DNS_ERROR);
	assert_int_equal(b.results[0].spf.result, SPF_OUTCOME_TEMPERROR);
	assert_string_equal(b.results[0].hint, "no answer in time");
	bench_close(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(all_are_answered),
		cmocka_unit_test(a_lost_verifier_ends_it),
		cmocka_unit_test(a_short_time_ends_it),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

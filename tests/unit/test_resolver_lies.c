/* SPDX-License-Identifier: ISC */
/* A server that lies, or somebody who answers in its place. */
#include "net_world.h"
#include "dns_server.h"

#include "net/resolver.h"

static const struct dns_record zone[] = {
	{ "example.org", ns_t_mx, 300, "10 mx1.example.org" },
	{ "mx1.example.org", ns_t_a, 300, "192.0.2.1" },
	{ "other.example.org", ns_t_a, 300, "!other" },
	{ "big.example.org", ns_t_a, 300, "!truncate" },
	{ "big.example.org", ns_t_a, 300, "192.0.2.1" },
	{ "many.example.org", ns_t_a, 300, "!truncate" },
	{ "many.example.org", ns_t_a, 300, "!many" },
	{ NULL, 0, 0, NULL },
};

struct asking {
	struct world		 w;
	struct dns_server	 d;
	struct resolver		*r;
	const struct dns_answer *a;
};

static void
on_answer(void *arg, const struct dns_answer *a)
{
	struct asking *x = arg;

	assert_null(x->a);
	x->a = dns_answer_ref(a);
}

static bool
is_told(void *arg)
{
	return ((struct asking *)arg)->a != NULL;
}

static int
setup(void **state)
{
	struct asking *x = mem_alloc(sizeof(*x));
	struct err     e;

	world_open(&x->w);
	dns_server_open(&x->d, x->w.loop, zone);
	x->r = resolver_new(x->w.loop, &(struct resolver_setup){
	    .servers = &x->d.addr, .server_count = 1, .timeout_ms = 80,
	    .tries = 1, .cache_max = 100 }, &e);
	assert_non_null(x->r);
	*state = x;
	return 0;
}

static int
teardown(void **state)
{
	struct asking *x = *state;

	dns_answer_unref(x->a);
	resolver_free(x->r);
	dns_server_close(&x->d);
	world_close(&x->w);
	mem_free(x);
	return 0;
}

static const struct dns_answer *
ask(struct asking *x, enum resolver_type type, const char *name)
{
	dns_answer_unref(x->a);
	x->a = NULL;
	assert_true(resolver_ask(x->r, type, name, on_answer, x) != 0);
	world_run(&x->w, is_told, x);
	return x->a;
}

static void
expect_true_address(const struct dns_answer *a)
{
	assert_int_equal(a->status, DNS_FOUND);
	assert_int_equal(a->count, 1);
	assert_int_equal(ntohl(a->addresses[0].ip.v4.s_addr), 0xc0000201);
}

/* The record of another name is none of the name that was asked for. */
static void
test_answer_for_another_name(void **state)
{
	const struct dns_answer *a = ask(*state, RESOLVER_A,
	    "other.example.org");

	assert_int_not_equal(a->status, DNS_FOUND);
	assert_int_equal(a->count, 0);
}

static void
test_another_question(void **state)
{
	struct asking		*x = *state;
	const struct dns_answer *a;

	x->d.lies_question = true;
	a = ask(x, RESOLVER_A, "mx1.example.org");
	assert_int_not_equal(a->status, DNS_FOUND);
	assert_int_equal(a->count, 0);
}

/* Somebody guesses, or the answer to what was given up comes late. */
static void
test_wrong_id_is_passed_over(void **state)
{
	struct asking *x = *state;

	x->d.lies_id = true;
	expect_true_address(ask(x, RESOLVER_A, "mx1.example.org"));
}

/* What nobody has asked for is not kept: the host is asked for itself. */
static void
test_additional_records_are_not_taken(void **state)
{
	struct asking		*x = *state;
	const struct dns_answer *a;
	int			 asked;

	x->d.lies_more = true;
	a = ask(x, RESOLVER_MX, "example.org");
	assert_int_equal(a->status, DNS_FOUND);
	assert_int_equal(a->count, 1);
	asked = x->d.asked;
	x->d.lies_more = false;
	expect_true_address(ask(x, RESOLVER_A, "mx1.example.org"));
	assert_int_equal(x->d.asked, asked + 1);
	a = ask(x, RESOLVER_A, "bank.example");
	assert_int_equal(a->status, DNS_NXDOMAIN);
}

/* Cut short, and nobody there over TCP: not half an answer. */
static void
test_truncated_and_no_tcp(void **state)
{
	struct asking		*x = *state;
	const struct dns_answer *a;

	x->d.lies_tcp = true;
	a = ask(x, RESOLVER_A, "big.example.org");
	assert_true(a->status == DNS_SERVFAIL || a->status == DNS_TIMEOUT ||
	    a->status == DNS_UNREACHABLE);
	assert_int_equal(a->count, 0);
}

/* 64 KB of addresses: the first of them. */
static void
test_more_than_anybody_has(void **state)
{
	const struct dns_answer *a = ask(*state, RESOLVER_A,
	    "many.example.org");

	assert_int_equal(a->status, DNS_FOUND);
	assert_int_equal(a->count, DNS_RECORDS_MAX);
}

int
main(void)
{
#define T(f) cmocka_unit_test_setup_teardown(f, setup, teardown)
	const struct CMUnitTest tests[] = {
		T(test_answer_for_another_name),
		T(test_another_question),
		T(test_wrong_id_is_passed_over),
		T(test_additional_records_are_not_taken),
		T(test_truncated_and_no_tcp),
		T(test_more_than_anybody_has),
	};

	return cmocka_run_group_tests_name("resolver_lies", tests, NULL,
	    NULL);
}

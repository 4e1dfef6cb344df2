/* SPDX-License-Identifier: ISC */
/* Pools of an account, and which addresses are in them (delivery.md 11.2). */
#include "book_world.h"

#include <sys/socket.h>

#include "registry/config_set.h"
#include "registry/pool.h"

static const struct wall now = { world_time };

static void
put_source(struct db_txn *t, const char *address, bool dedicated,
    const char *account)
{
	struct source s = { .family = AF_INET, .dedicated = dedicated,
		.enabled = true };
	struct err    e;

	strcpy(s.address, address);
	strcpy(s.account, account);
	assert_int_equal(source_put(t, &s, &e), 0);
}

static struct pool
make_pool(struct db_txn *t, const char *account, const char *name)
{
	struct pool p;
	struct err  e;

	pool_init(&p, account, name, now);
	assert_int_equal(pool_create(t, &p, &e), 0);
	return p;
}

static struct source
get_source(struct db_txn *t, const char *address)
{
	struct source s;
	struct err    e;

	assert_int_equal(source_get(t, address, &s, &e), 1);
	return s;
}

static void
body_register(struct db_txn *t)
{
	struct pool p = make_pool(t, world_account, "p1"), q;
	struct err  e;
	char	    name[80];
	unsigned    i;

	p.no_overflow = true;
	assert_int_equal(pool_put(t, &p, &e), 0);
	assert_int_equal(pool_get(t, world_account, "p1", &q, &e), 1);
	assert_memory_equal(&p, &q, sizeof(p));
	assert_int_equal(pool_get(t, world_other, "p1", &q, &e), 0);
	assert_int_equal(pool_exists(t, world_account, "p1", &e), 1);
	assert_int_equal(pool_exists(t, world_account, "p2", &e), 0);
	assert_int_equal(pool_exists(t, world_account, "ses-shared-pool", &e),
	    1);
	assert_int_equal(pool_create(t, &p, &e), -1);
	assert_int_equal(e.code, BOOK_EXISTS);
	pool_init(&q, world_account, "ses-default-dedicated-pool", now);
	assert_int_equal(pool_create(t, &q, &e), -1);
	assert_int_equal(e.code, BOOK_EXISTS);
	pool_init(&q, world_account, "a b", now);
	assert_int_equal(pool_create(t, &q, &e), -1);
	assert_int_equal(e.code, BOOK_BAD_REQUEST);
	/* another account has its own names, and its own fifty */
	(void)make_pool(t, world_other, "p1");
	for (i = 2; i <= POOLS_MAX; i++) {
		snprintf(name, sizeof(name), "p%u", i);
		(void)make_pool(t, world_account, name);
	}
	pool_init(&q, world_account, "one-more", now);
	assert_int_equal(pool_create(t, &q, &e), -1);
	assert_int_equal(e.code, BOOK_LIMIT);
	assert_int_equal(pool_purge(t, world_account, 20, &e), 20);
	assert_int_equal(pool_purge(t, world_account, 100, &e), 30);
	assert_int_equal(pool_purge(t, world_account, 100, &e), 0);
	assert_int_equal(pool_exists(t, world_other, "p1", &e), 1);
}

static void
test_register(void **state)
{
	(void)state;
	world_test(body_register);
}

/* An address is in one pool at most; a pool that goes leaves it free. */
static void
body_addresses(struct db_txn *t)
{
	struct pool   a = make_pool(t, world_account, "a");
	struct pool   b = make_pool(t, world_account, "b");
	struct pool   c = make_pool(t, world_other, "a");
	struct source s;
	struct err    e;

	put_source(t, "192.0.2.1", true, "");
	put_source(t, "192.0.2.2", true, world_account);
	put_source(t, "192.0.2.3", false, "");
	s = get_source(t, "192.0.2.1");
	assert_string_equal(source_pool(&s), SOURCE_POOL_DEDICATED);
	assert_true(source_is_in_pool(&s, world_other,
	    SOURCE_POOL_DEDICATED));
	assert_int_equal(pool_add_source(t, &a, &s, &e), 0);
	s = get_source(t, "192.0.2.1");
	assert_string_equal(source_pool(&s), "a");
	assert_true(source_is_in_pool(&s, world_account, "a"));
	assert_false(source_is_in_pool(&s, world_other, "a"));
	assert_false(source_is_in_pool(&s, world_account,
	    SOURCE_POOL_DEDICATED));
	assert_int_equal(pool_add_source(t, &b, &s, &e), 0);
	assert_int_equal(pool_remove_source(t, &a, &s, &e), -1);
	assert_int_equal(e.code, BOOK_NOT_FOUND);
	s = get_source(t, "192.0.2.2");
	assert_false(source_is_in_pool(&s, world_other,
	    SOURCE_POOL_DEDICATED));
	assert_int_equal(pool_add_source(t, &c, &s, &e), -1);
	assert_string_equal(e.text, "192.0.2.2 belongs to another account");
	assert_int_equal(pool_add_source(t, &b, &s, &e), 0);
	s = get_source(t, "192.0.2.3");
	assert_string_equal(source_pool(&s), SOURCE_POOL_SHARED);
	assert_int_equal(pool_add_source(t, &b, &s, &e), -1);
	assert_int_equal(e.code, BOOK_BAD_REQUEST);
	assert_int_equal(pool_delete(t, world_account, "b", &e), 1);
	assert_int_equal(pool_delete(t, world_account, "b", &e), 0);
	s = get_source(t, "192.0.2.1");
	assert_string_equal(source_pool(&s), SOURCE_POOL_DEDICATED);
	s = get_source(t, "192.0.2.2");
	assert_string_equal(source_pool(&s), SOURCE_POOL_DEDICATED);
	assert_string_equal(s.account, world_account);
}

static void
test_addresses(void **state)
{
	(void)state;
	world_test(body_addresses);
}

/* A set names what is there; what it names is not deleted. */
static void
body_sets(struct db_txn *t)
{
	struct config_set s;
	struct err	  e;

	config_set_init(&s, world_account, "S", now);
	strcpy(s.pool, "p");
	assert_int_equal(config_set_create(t, &s, &e), -1);
	assert_int_equal(e.code, BOOK_NOT_FOUND);
	(void)make_pool(t, world_other, "p");
	assert_int_equal(config_set_create(t, &s, &e), -1);
	(void)make_pool(t, world_account, "p");
	assert_int_equal(config_set_create(t, &s, &e), 0);
	assert_int_equal(pool_delete(t, world_account, "p", &e), -1);
	assert_string_equal(e.text, "configuration set S names pool p");
	assert_int_equal(pool_delete(t, world_other, "p", &e), 1);
	s.pool[0] = '\0';
	assert_int_equal(config_set_put(t, &s, &e), 0);
	assert_int_equal(pool_delete(t, world_account, "p", &e), 1);
}

static void
test_sets(void **state)
{
	(void)state;
	world_test(body_sets);
}

/* Rows that were written before there were pools, and damaged ones. */
static void
body_rows(struct db_txn *t)
{
	struct source s;
	struct pool   p;
	struct err    e;

	assert_int_equal(db_put(t, BOOK_SOURCE, BYTES("192.0.2.9"),
			     BYTES("\1\2\0\1\0\1\0\2"), false, &e), 0);
	assert_int_equal(source_get(t, "192.0.2.9", &s, &e), 1);
	assert_true(s.dedicated && s.enabled);
	assert_string_equal(source_pool(&s), SOURCE_POOL_DEDICATED);
	assert_int_equal(db_put(t, BOOK_POOL, BYTES("123456789012p"),
			     BYTES("\1\0"), false, &e), 0);
	assert_int_equal(pool_get(t, world_account, "p", &p, &e), -1);
	assert_string_equal(e.text, "pool p: the record is damaged");
}

static void
test_rows(void **state)
{
	(void)state;
	world_test(body_rows);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_register),
		cmocka_unit_test(test_addresses),
		cmocka_unit_test(test_sets),
		cmocka_unit_test(test_rows),
	};

	return cmocka_run_group_tests_name("pool", tests, NULL, NULL);
}

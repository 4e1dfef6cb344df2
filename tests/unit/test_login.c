/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include <arpa/inet.h>
#include <netinet/in.h>

#include "registry/credential.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define PASSWORD "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"
#define PASSWORD_WEST "BF2PynzbSCAjX08zhZZnP/kW+T9P5zs/1Er0pi5vTEmd"
#define KEY "AKIAIOSFODNN7EXAMPLE"
#define KEY2 "AKIAIOSFODNN7EXAMPL2"
#define ARN "arn:aws:ses:us-east-1:123456789012:identity/example.com"

static const struct wall now = { 1714564800000 };

static void
put_account(struct db_txn *t, bool closed)
{
	struct account a;
	struct err     e;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, world_account);
	strcpy(a.name, "shop");
	a.created = now;
	if (account_create(t, &a, &e) < 0)
		assert_int_equal(account_get(t, world_account, &a, &e), 1);
	a.closed.ms = closed ? now.ms : 0;
	assert_int_equal(account_put(t, &a, &e), 0);
}

static struct credential
sample(void)
{
	struct credential c;
	struct err	  e;

	credential_init(&c);
	strcpy(c.account, world_account);
	strcpy(c.name, "app1");
	c.key_count = 1;
	strcpy(c.keys[0].id, KEY);
	assert_int_equal(credential_import_secret(&c.keys[0], "us-east-1",
			     BYTES(SECRET), &e), 0);
	return c;
}

static void
put(struct db_txn *t, const struct credential *c)
{
	struct err e;

	if (credential_put(t, c, &e) < 0)
		fail_msg("%s", e.text);
}

struct try {
	const char *user, *password, *region, *peer, *listener;
	int	    tls;
	int64_t	    later_ms;
};

static enum login_result
attempt(struct db_txn *t, const struct try *y)
{
	struct sockaddr_in peer = { .sin_family = AF_INET };
	struct login	   l = {
		     .user = bytes_of(y->user != NULL ? y->user : KEY),
		     .password = bytes_of(y->password != NULL ? y->password :
							       PASSWORD),
		     .region = y->region != NULL ? y->region : "us-east-1",
		     .peer = (const struct sockaddr *)(const void *)&peer,
		     .listener = y->listener != NULL ? y->listener :
						       "submission",
		     .tls = y->tls != 0 ? y->tls : 12,
		     .now = { now.ms + y->later_ms },
	};
	struct credential c;
	struct account	  a;
	unsigned	  key = 0;
	enum login_result r;

	inet_pton(AF_INET, y->peer != NULL ? y->peer : "192.0.2.10",
	    &peer.sin_addr);
	r = credential_check_login(t, &l, &c, &a, &key);
	if (r == LOGIN_OK) {
		assert_string_equal(c.keys[key].id,
		    y->user != NULL ? y->user : KEY);
		assert_string_equal(a.id, world_account);
	}
	/* the name of a known key is there for the log in any case */
	if (r == LOGIN_BAD_PASSWORD || r == LOGIN_DISABLED ||
	    r == LOGIN_EXPIRED || r == LOGIN_RESTRICTED)
		assert_memory_equal(c.name, "app", 3);
	if (r == LOGIN_UNKNOWN_KEY)
		assert_string_equal(c.name, "");
	return r;
}

/* -- equal work ----------------------------------------------------------- */

/* What a login does that takes time, counted on the way (ld --wrap). */
static struct work {
	unsigned digests, compares, gets, seeks;
} work;

unsigned char *__real_SHA256(const unsigned char *p, size_t n,
    unsigned char *out);
unsigned char *__wrap_SHA256(const unsigned char *p, size_t n,
    unsigned char *out);
bool __real_mem_same_secret(const void *a, const void *b, size_t n);
bool __wrap_mem_same_secret(const void *a, const void *b, size_t n);
int __real_db_get(struct db_txn *t, unsigned table, struct bytes key,
    struct bytes *value, struct err *e);
int __wrap_db_get(struct db_txn *t, unsigned table, struct bytes key,
    struct bytes *value, struct err *e);
int __real_db_seek(struct db_cursor *c, struct bytes key, struct bytes *found,
    struct bytes *value, struct err *e);
int __wrap_db_seek(struct db_cursor *c, struct bytes key, struct bytes *found,
    struct bytes *value, struct err *e);

unsigned char *
__wrap_SHA256(const unsigned char *p, size_t n, unsigned char *out)
{
	work.digests++;
	return __real_SHA256(p, n, out);
}

bool
__wrap_mem_same_secret(const void *a, const void *b, size_t n)
{
	work.compares++;
	return __real_mem_same_secret(a, b, n);
}

int
__wrap_db_get(struct db_txn *t, unsigned table, struct bytes key,
    struct bytes *value, struct err *e)
{
	work.gets++;
	return __real_db_get(t, table, key, value, e);
}

int
__wrap_db_seek(struct db_cursor *c, struct bytes key, struct bytes *found,
    struct bytes *value, struct err *e)
{
	work.seeks++;
	return __real_db_seek(c, key, found, value, e);
}

static void
put_key(struct db_txn *t, const char *name, const char *id)
{
	struct credential c = sample();

	strcpy(c.name, name);
	strcpy(c.keys[0].id, id);
	put(t, &c);
}

/*
 * credentials#9, the work: whatever is wrong, the same is looked up, digested
 * and compared.  What that takes in time: tests/bench/login.c.
 */
static void
body_equal_work(struct db_txn *t)
{
	static const struct {
		struct try	  y;
		enum login_result want;
	} kinds[] = {
		{ { .password = PASSWORD_WEST }, LOGIN_BAD_PASSWORD },
		{ { .password = "x" }, LOGIN_BAD_FORMAT },
		{ { .password = "" }, LOGIN_BAD_FORMAT },
		{ { .user = "AKIAIOSFODNN7EXAMPLA", .password = PASSWORD_WEST },
		    LOGIN_UNKNOWN_KEY },
		{ { .user = "AKIAIOSFODNN7EXAMPLA" }, LOGIN_UNKNOWN_KEY },
		{ { .user = "AKIAIOSFODNN7EXAMPLA", .password = "x" },
		    LOGIN_UNKNOWN_KEY },
		{ { .user = "AAAAAAAAAAAAAAAAAAAA" }, LOGIN_UNKNOWN_KEY },
		{ { .user = "ZZZZZZZZZZZZZZZZZZZZ", .password = PASSWORD_WEST },
		    LOGIN_UNKNOWN_KEY },
		{ { .user = "akiaiosfodnn7example", .password = PASSWORD_WEST },
		    LOGIN_BAD_FORMAT },
		{ { .user = "" }, LOGIN_BAD_FORMAT },
		{ { .user = "app1" }, LOGIN_BAD_FORMAT },
		{ { .user = "AKIAIOSFODNN7EXAMPL3" }, LOGIN_DISABLED },
		{ { .user = "AKIAIOSFODNN7EXAMPL3", .password = PASSWORD_WEST },
		    LOGIN_BAD_PASSWORD },
		{ { .later_ms = 10, .user = KEY2 }, LOGIN_EXPIRED },
		{ { .listener = "smtp", .user = "AKIAIOSFODNN7EXAMPL4" },
		    LOGIN_RESTRICTED },
	};
	static const struct work want = { 1, 1, 1, 2 };
	struct credential	 c = sample();
	size_t			 k;

	put_account(t, false);
	put_key(t, "app1", KEY);
	strcpy(c.name, "app2");
	strcpy(c.keys[0].id, KEY2);
	c.keys[0].expires.ms = now.ms + 5;
	put(t, &c);
	c = sample();
	strcpy(c.name, "app3");
	strcpy(c.keys[0].id, "AKIAIOSFODNN7EXAMPL3");
	c.enabled = false;
	put(t, &c);
	c = sample();
	strcpy(c.name, "app4");
	strcpy(c.keys[0].id, "AKIAIOSFODNN7EXAMPL4");
	c.limits.listener_count = 1;
	strcpy(c.limits.listeners[0], "submission");
	put(t, &c);
	for (k = 0; k < sizeof(kinds) / sizeof(kinds[0]); k++) {
		memset(&work, 0, sizeof(work));
		assert_int_equal(attempt(t, &kinds[k].y), kinds[k].want);
		if (memcmp(&work, &want, sizeof(want)) != 0)
			fail_msg("kind %zu: digests %u, compares %u, gets %u, "
			    "seeks %u", k, work.digests, work.compares,
			    work.gets, work.seeks);
	}
}

static void
test_equal_work(void **state)
{
	(void)state;
	world_test(body_equal_work);
}

/* credentials#5, #6, #8, #15 */
static void
body_order(struct db_txn *t)
{
	static const struct {
		struct try	  y;
		enum login_result result;
	} rows[] = {
		{ { NULL }, LOGIN_OK },
		{ { .password = SECRET }, LOGIN_BAD_FORMAT },
		{ { .password = PASSWORD_WEST }, LOGIN_BAD_PASSWORD },
		{ { .region = "us-west-2" }, LOGIN_BAD_PASSWORD },
		{ { .password = "" }, LOGIN_BAD_FORMAT },
		{ { .password = " " PASSWORD }, LOGIN_BAD_FORMAT },
		{ { .user = "akiaiosfodnn7example" }, LOGIN_BAD_FORMAT },
		{ { .user = "" }, LOGIN_BAD_FORMAT },
		{ { .user = "app1" }, LOGIN_BAD_FORMAT },
		{ { .user = "AKIAIOSFODNN7EXAMPLX" }, LOGIN_UNKNOWN_KEY },
		{ { .user = "AKIAIOSFODNN7EXAMPLX", .password = "x" },
		    LOGIN_UNKNOWN_KEY },
	};
	static const struct try right = { NULL };
	static const struct try wrong = { .password = PASSWORD_WEST };
	struct credential c = sample();
	size_t		  i;

	put_account(t, false);
	put(t, &c);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (attempt(t, &rows[i].y) != rows[i].result)
			fail_msg("row %zu", i);
	}
	put_account(t, true);
	assert_int_equal(attempt(t, &right), LOGIN_ACCOUNT_CLOSED);
	assert_int_equal(attempt(t, &wrong), LOGIN_BAD_PASSWORD);
}

static void
test_order(void **state)
{
	(void)state;
	world_test(body_order);
}

/* credentials#11, #14 on this level */
static void
body_standing(struct db_txn *t)
{
	static const struct try first = { NULL };
	static const struct try later = { .later_ms = 2000 };
	static const struct try second = { .user = KEY2 };
	struct credential	c = sample();
	struct err		e;

	put_account(t, false);
	c.keys[0].expires.ms = now.ms + 1000;
	put(t, &c);
	assert_int_equal(attempt(t, &first), LOGIN_OK);
	assert_int_equal(attempt(t, &later), LOGIN_EXPIRED);
	c.keys[0].expires.ms = 0;
	c.limits.expires.ms = now.ms + 1000;
	put(t, &c);
	assert_int_equal(attempt(t, &first), LOGIN_OK);
	assert_int_equal(attempt(t, &later), LOGIN_EXPIRED);
	c.limits.expires.ms = 0;
	/* two keys log in; one of them is switched off */
	c.keys[1] = c.keys[0];
	strcpy(c.keys[1].id, KEY2);
	c.key_count = 2;
	put(t, &c);
	assert_int_equal(attempt(t, &first), LOGIN_OK);
	assert_int_equal(attempt(t, &second), LOGIN_OK);
	c.keys[0].active = false;
	put(t, &c);
	assert_int_equal(attempt(t, &first), LOGIN_DISABLED);
	assert_int_equal(attempt(t, &second), LOGIN_OK);
	c.enabled = false;
	put(t, &c);
	assert_int_equal(attempt(t, &second), LOGIN_DISABLED);
	assert_int_equal(credential_delete(t, world_account, "app1", &e), 1);
	assert_int_equal(attempt(t, &second), LOGIN_UNKNOWN_KEY);
}

static void
test_standing(void **state)
{
	(void)state;
	world_test(body_standing);
}

/* credentials#18 */
static void
body_restricted(struct db_txn *t)
{
	static const struct {
		struct try	  y;
		enum login_result result;
	} rows[] = {
		{ { .tls = 13 }, LOGIN_OK },
		{ { .tls = 12 }, LOGIN_RESTRICTED },
		{ { .tls = 13, .peer = "198.51.100.1" }, LOGIN_RESTRICTED },
		{ { .tls = 13, .listener = "other" }, LOGIN_RESTRICTED },
		{ { .tls = 13, .listener = "second" }, LOGIN_OK },
		{ { .tls = 12, .password = PASSWORD_WEST },
		    LOGIN_BAD_PASSWORD },
	};
	struct credential c = sample();
	size_t		  i;

	put_account(t, false);
	assert_true(conf_cidr_parse(BYTES("192.0.2.0/24"),
	    &c.limits.cidrs[0]));
	c.limits.cidr_count = 1;
	strcpy(c.limits.listeners[0], "submission");
	strcpy(c.limits.listeners[1], "second");
	c.limits.listener_count = 2;
	c.limits.min_tls = 13;
	put(t, &c);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (attempt(t, &rows[i].y) != rows[i].result)
			fail_msg("row %zu", i);
	}
}

static void
test_restricted(void **state)
{
	(void)state;
	world_test(body_restricted);
}

/* A store that cannot be understood is no wrong password. */
static void
body_store_error(struct db_txn *t)
{
	static const struct try right = { NULL };
	struct credential	c = sample();
	struct err		e;

	put(t, &c);
	assert_int_equal(attempt(t, &right), LOGIN_ACCOUNT_CLOSED);
	put_account(t, false);
	assert_int_equal(db_put(t, BOOK_CREDENTIAL, BYTES("123456789012app1"),
			     BYTES("\1\1x\7"), false, &e), 0);
	assert_int_equal(attempt(t, &right), LOGIN_STORE_ERROR);
}

static void
test_store_error(void **state)
{
	(void)state;
	world_test(body_store_error);
}

static void
test_validity_in_session(void **state)
{
	struct credential c = sample();

	(void)state;
	assert_true(credential_is_valid(&c, KEY, now));
	assert_true(credential_is_valid(&c, NULL, now));
	assert_false(credential_is_valid(&c, KEY2, now)); /* deleted */
	c.keys[0].expires = now;
	assert_false(credential_is_valid(&c, KEY, now));
	assert_true(credential_is_valid(&c, NULL, now));
	c.keys[0].expires.ms = 0;
	c.keys[0].active = false;
	assert_false(credential_is_valid(&c, KEY, now));
	c.keys[0].active = true;
	c.limits.expires = now;
	assert_false(credential_is_valid(&c, KEY, now));
	assert_false(credential_is_valid(&c, NULL, now));
	c.limits.expires.ms = 0;
	c.enabled = false;
	assert_false(credential_is_valid(&c, NULL, now));
}

static void
test_reasons(void **state)
{
	static const struct {
		enum login_result r;
		const char	 *text;
	} rows[] = {
		{ LOGIN_BAD_FORMAT, "bad-format" },
		{ LOGIN_UNKNOWN_KEY, "unknown-key" },
		{ LOGIN_BAD_PASSWORD, "bad-password" },
		{ LOGIN_DISABLED, "disabled" },
		{ LOGIN_EXPIRED, "expired" },
		{ LOGIN_RESTRICTED, "restricted" },
		{ LOGIN_ACCOUNT_CLOSED, "account-closed" },
	};
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_string_equal(login_result_to_text(rows[i].r),
		    rows[i].text);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_equal_work),
		cmocka_unit_test(test_standing),
		cmocka_unit_test(test_restricted),
		cmocka_unit_test(test_store_error),
		cmocka_unit_test(test_validity_in_session),
		cmocka_unit_test(test_reasons),
	};

	return cmocka_run_group_tests_name("login", tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include "registry/account.h"
#include "registry/config_set.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "registry/suppression.h"

static const int64_t hour_ms = 3600 * 1000;

static const struct wall now = { 1714564800000 };

static struct account
account_sample(const char *id, const char *name)
{
	struct account a;

	memset(&a, 0, sizeof(a));
	snprintf(a.id, sizeof(a.id), "%s", id);
	snprintf(a.name, sizeof(a.name), "%s", name);
	a.created = now;
	a.max_24h = 200;
	a.rate = 1;
	return a;
}

static void
body_both_ways(struct db_txn *t)
{
	struct account a = account_sample("012345678901", "shop"), b;
	struct err     e;

	a.marketing = a.auto_warmup = a.suppress_bounce = true;
	a.rate = 0.5;
	a.burst = 3;
	a.contact_count = 2;
	strcpy(a.contacts[0], "a@example.com");
	strcpy(a.contacts[1], "b@example.com");
	strcpy(a.website, "https://example.com/");
	strcpy(a.use_case, "receipts");
	strcpy(a.attachments, "default +.iso");
	a.overrides.date = RULE_PRESERVE;
	a.overrides.received = RECEIVED_NONE;
	a.mails = 7;
	a.mails_since = now;
	assert_int_equal(account_create(t, &a, &e), 0);
	assert_int_equal(account_get(t, "012345678901", &b, &e), 1);
	assert_true(b.sending_enabled);
	assert_false(b.production);
	assert_int_equal(b.enforcement, ACCOUNT_HEALTHY);
	assert_true(account_may_send(&b));
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(account_get(t, "12345678901", &b, &e), 0);
	assert_int_equal(account_get(t, "999999999999", &b, &e), 0);
}

static void
test_both_ways(void **state)
{
	(void)state;
	world_test(body_both_ways);
}

static bool
count(void *arg, const struct account *a)
{
	assert_true(account_id_is_valid(a->id));
	++*(unsigned *)arg;
	return true;
}

static void
body_names(struct db_txn *t)
{
	struct account a = account_sample("", "One"), b;
	struct account two = account_sample("", "two");
	struct account same = account_sample("", "ONE");
	struct err     e;
	unsigned       n = 0;

	assert_int_equal(account_create(t, &a, &e), 0);
	assert_int_equal(strlen(a.id), 12);
	assert_true(a.id[0] != '0');
	assert_int_equal(account_create(t, &two, &e), 0);
	assert_string_not_equal(a.id, two.id);
	assert_int_equal(account_create(t, &same, &e), -1);
	assert_string_equal(e.text, "an account named ONE exists");
	assert_int_equal(e.code, BOOK_EXISTS);
	assert_int_equal(account_find(t, "oNe", &b, &e), 1);
	assert_string_equal(b.id, a.id);
	assert_int_equal(account_find(t, two.id, &b, &e), 1);
	assert_string_equal(b.name, "two");
	assert_int_equal(account_find(t, "three", &b, &e), 0);
	/* its own name is no obstacle, another's is */
	strcpy(b.name, "Two");
	strcpy(b.id, two.id);
	assert_int_equal(account_put(t, &b, &e), 0);
	strcpy(b.name, "one");
	assert_int_equal(account_put(t, &b, &e), -1);
	assert_int_equal(account_each(t, count, &n, &e), 0);
	assert_int_equal(n, 2);
	assert_int_equal(account_delete(t, a.id, &e), 1);
	assert_int_equal(account_find(t, "one", &b, &e), 0);
}

static void
test_names(void **state)
{
	(void)state;
	world_test(body_names);
}

static void
body_refused(struct db_txn *t)
{
	struct account a = account_sample("1234", "a");
	struct err     e;

	assert_int_equal(account_create(t, &a, &e), -1);
	assert_string_equal(e.text, "an account id is 12 digits");
	a = account_sample(world_account, "");
	assert_int_equal(account_create(t, &a, &e), -1);
	a = account_sample(world_account, "111111111111");
	assert_int_equal(account_create(t, &a, &e), -1);
	a = account_sample(world_account, "a");
	a.contact_count = 1;
	strcpy(a.contacts[0], "no address");
	assert_int_equal(account_create(t, &a, &e), -1);
	assert_string_equal(e.text, "not an address: no address");
	a.contact_count = 0;
	assert_int_equal(account_create(t, &a, &e), 0);
	strcpy(a.name, "b");
	assert_int_equal(account_create(t, &a, &e), -1);
	assert_string_equal(e.text, "account 123456789012 exists");
}

static void
test_refused(void **state)
{
	(void)state;
	world_test(body_refused);
}

static void
body_damaged(struct db_txn *t)
{
	struct account a;
	struct err     e;

	assert_int_equal(db_put(t, BOOK_ACCOUNT, bytes_of(world_account),
			     BYTES("\1\3abc\1"), false, &e), 0);
	assert_int_equal(account_get(t, world_account, &a, &e), -1);
	assert_string_equal(e.text,
	    "account 123456789012: the record is damaged");
	assert_false(book_is_refusal(&e));
	assert_int_equal(account_each(t, count, NULL, &e), -1);
}

/* A whole record at a key that is no id: nobody could write it again. */
static void
body_damaged_key(struct db_txn *t)
{
	struct account a = { .name = "a" };
	struct bytes   value;
	char	       room[1024];
	struct err     e;
	unsigned       n = 0;

	strcpy(a.id, world_account);
	assert_int_equal(account_put(t, &a, &e), 0);
	assert_int_equal(db_get(t, BOOK_ACCOUNT, bytes_of(world_account),
			     &value, &e), 1);
	assert_true(value.n <= sizeof(room));
	value.p = memcpy(room, value.p, value.n);
	assert_int_equal(db_put(t, BOOK_ACCOUNT, BYTES("abc"), value, false,
			     &e), 0);
	assert_int_equal(account_each(t, count, &n, &e), -1);
	assert_string_equal(e.text, "account abc: the record is damaged");
}

static void
test_damaged(void **state)
{
	(void)state;
	world_test(body_damaged);
	world_test(body_damaged_key);
}

/* quotas.md 7; quotas#24: who may end an enforcement */
static void
test_switch(void **state)
{
	struct account a = account_sample(world_account, "a");
	struct wall    later = { now.ms + 1000 };
	struct err     e;

	(void)state;
	a.sending_enabled = true;
	account_pause(&a, "too much", false, later);
	assert_false(account_may_send(&a));
	assert_string_equal(a.pause_reason, "too much");
	assert_true(a.updated.ms == later.ms);
	assert_int_equal(a.enforcement, ACCOUNT_HEALTHY);
	assert_int_equal(account_resume(&a, false, later, hour_ms, &e), 0);
	assert_true(account_may_send(&a));
	assert_string_equal(a.pause_reason, "");

	account_pause(&a, "abuse", true, later);
	assert_int_equal(a.enforcement, ACCOUNT_SHUTDOWN);
	assert_true(a.sending_enabled);
	assert_false(account_may_send(&a));
	a.sending_enabled = false;
	assert_int_equal(account_resume(&a, false, later, hour_ms, &e), -1);
	assert_string_equal(e.text,
	    "the account is under enforcement; ask the operator");
	assert_true(a.sending_enabled);
	assert_false(account_may_send(&a));
	assert_int_equal(account_resume(&a, true, later, hour_ms, &e), 0);
	assert_true(account_may_send(&a));
	assert_int_equal(a.review.state, STATE_UNDER_REVIEW);
	assert_true(a.review.fresh_start.ms == later.ms);
	assert_true(a.review.ends.ms == later.ms + hour_ms);

	a.enforcement = ACCOUNT_PROBATION;
	assert_true(account_may_send(&a));
	a.closed = now;
	assert_false(account_may_send(&a));
	assert_false(account_is_expired(&a, later));
	later.ms = now.ms + 90 * (int64_t)86400000;
	assert_true(account_is_expired(&a, later));
	assert_string_equal(account_enforcement_to_text(ACCOUNT_SHUTDOWN),
	    "SHUTDOWN");
	assert_string_equal(account_enforcement_to_text(ACCOUNT_PROBATION),
	    "PROBATION");
}

/* An account with n of all that belongs to one. */
static void
put_belongings(struct db_txn *t, const char *account, unsigned n)
{
	struct account	   a = account_sample(account, "");
	struct credential *c = mem_alloc(sizeof(*c));
	struct suppression l = { .last = SUPPRESS_BOUNCE };
	struct identity	   i;
	struct dkim_key	  *k = mem_alloc(sizeof(*k));
	struct config_set  s;
	struct resource_tags tags = { 1, { { BYTES("k"), BYTES("v") } } };
	struct err	   e;

	snprintf(a.name, sizeof(a.name), "name %s", account);
	if (account_create(t, &a, &e) != 0)
		fail_msg("%s", e.text);
	credential_init(c);
	memcpy(c->account, a.id, sizeof(a.id));
	memcpy(k->account, a.id, sizeof(a.id));
	c->key_count = 1;
	while (n-- > 0) {
		char name[64];

		snprintf(name, sizeof(name), "d%u.s%s.example", n, account);
		snprintf(c->name, sizeof(c->name), "app%u", n);
		snprintf(c->keys[0].id, sizeof(c->keys[0].id), "AKIA%s%04u",
		    account, n);
		assert_int_equal(credential_create(t, c, 0, &e), 0);
		identity_init(&i, account, name, now);
		assert_int_equal(identity_create(t, &i, &e), 0);
		assert_int_equal(identity_tags_put(t, &i, &tags, &e), 0);
		snprintf(k->domain, sizeof(k->domain), "%s", name);
		snprintf(k->selector, sizeof(k->selector), "s%u", n);
		assert_int_equal(dkim_key_put(t, k, &e), 0);
		snprintf(name, sizeof(name), "set%u", n);
		config_set_init(&s, account, name, now);
		assert_int_equal(config_set_create(t, &s, &e), 0);
		assert_int_equal(config_set_tags_put(t, &s, &tags, &e), 0);
		snprintf(l.account, sizeof(l.account), "%s", account);
		snprintf(l.address, sizeof(l.address), "a@%s", name);
		assert_int_equal(suppression_add(t, &l, &e), 1);
	}
	mem_free(k);
	mem_free(c);
}

static bool
count_row(void *arg, struct bytes key, struct bytes value)
{
	(void)key;
	(void)value;
	++*(unsigned *)arg;
	return true;
}

/* admin-cli.md, account delete: nothing of it is left, and all of others is */
static void
body_purge(struct db_txn *t)
{
	static const enum book_table tables[] = { BOOK_CREDENTIAL, BOOK_KEY,
		BOOK_IDENTITY, BOOK_DKIM_KEY, BOOK_SELECTOR, BOOK_CONFIG_SET,
		BOOK_SET_ID, BOOK_SET_TAGS, BOOK_IDENTITY_TAGS, BOOK_SUPPRESSED,
		BOOK_SUPPRESSED_TIME };
	struct account a;
	struct err     e;
	size_t	       i;
	unsigned       calls = 0;
	int	       rc;

	put_belongings(t, world_account, 7);
	put_belongings(t, world_other, 2);
	while ((rc = account_purge(t, world_account, 5, &e)) == 0)
		calls++;
	assert_int_equal(rc, 1);
	assert_int_equal(calls, 5); /* 28 rows by 5, the last with its own */
	assert_int_equal(account_get(t, world_account, &a, &e), 0);
	assert_int_equal(account_get(t, world_other, &a, &e), 1);
	for (i = 0; i < sizeof(tables) / sizeof(*tables); i++) {
		unsigned rows = 0;

		assert_int_equal(book_walk(t, tables[i], BYTES(""), count_row,
				     &rows, &e), 0);
		assert_int_equal(rows, 2);
	}
}

static void
test_purge(void **state)
{
	(void)state;
	world_test(body_purge);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_switch),
		cmocka_unit_test(test_purge),
	};

	return cmocka_run_group_tests_name("account", tests, NULL, NULL);
}

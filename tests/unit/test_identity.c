/* SPDX-License-Identifier: ISC */
/* Names, records and confirmation tokens of identities. */
#include "identity_world.h"

/* -- names ---------------------------------------------------------------- */

static void
test_normal_form(void **state)
{
	static const struct {
		const char *given, *normal, *why;
	} rows[] = {
		{ "Example.COM", "example.com", NULL },
		{ "example.com.", "example.com", NULL },
		{ "xn--bcher-kva.example", "xn--bcher-kva.example", NULL },
		{ "intern.corp", "intern.corp", NULL },
		{ "User@EXAMPLE.com", "User@example.com", NULL },
		{ "\"user\"@example.com", "user@example.com", NULL },
		{ "\"a b\"@example.com", "\"a b\"@example.com", NULL },
		{ "example", NULL, "not a domain name of at least two labels: "
				   "example" },
		{ "com", NULL, "not a domain name of at least two labels: "
			       "com" },
		{ "co.uk", NULL,
		    "co.uk is a public suffix; nobody can own it" },
		{ "192.0.2.1", NULL, "not a domain name of at least two "
				     "labels: 192.0.2.1" },
		{ "[192.0.2.1]", NULL, "not a domain name of at least two "
				       "labels: [192.0.2.1]" },
		{ "a..example.com", NULL, "not a domain name of at least two "
					  "labels: a..example.com" },
		{ "b\xc3\xbc" "cher.example", NULL, "names with letters "
		    "beyond ASCII have to be given as A-labels (xn--...)" },
		{ "@example.com", NULL, "not an address: @example.com" },
		{ "a@b@example.com", NULL, "not an address: a@b@example.com" },
	};
	char	   out[IDENTITY_NAME_SIZE];
	struct err e;
	size_t	   i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		if (rows[i].normal != NULL) {
			if (!identity_normalize(rows[i].given, out, &e))
				fail_msg("row %zu: %s", i, e.text);
			assert_string_equal(out, rows[i].normal);
		} else {
			assert_false(identity_normalize(rows[i].given, out,
			    &e));
			assert_string_equal(e.text, rows[i].why);
			assert_int_equal(e.code, BOOK_BAD_REQUEST);
		}
	}
}

static void
test_long_names(void **state)
{
	char	   name[260], out[IDENTITY_NAME_SIZE];
	struct err e;
	size_t	   n;

	(void)state;
	for (n = 0; n < 253; n++)
		name[n] = n % 64 == 63 ? '.' : 'a';
	name[253] = '\0';
	assert_true(identity_normalize(name, out, &e));
	assert_string_equal(out, name);
	name[253] = 'a';
	name[254] = '\0';
	assert_false(identity_normalize(name, out, &e));
}

static void
test_suffixes(void **state)
{
	struct err e;

	(void)state;
	assert_int_equal(identity_load_suffixes(
	    BYTES("// test\nexample\nsub.example\n"), &e), 0);
	assert_true(identity_is_public_suffix("sub.example"));
	assert_false(identity_is_public_suffix("co.uk"));
	assert_int_equal(identity_load_suffixes(
	    BYTES("// test\nother\n"), &e), 0); /* in place of it */
	assert_true(identity_is_public_suffix("other"));
	assert_false(identity_is_public_suffix("sub.example"));
	assert_int_equal(identity_load_suffixes(BYTES(""), &e), 0);
	assert_true(identity_is_public_suffix("co.uk"));
	assert_false(identity_is_public_suffix("example.co.uk"));
	/* letter case does not matter */
	assert_true(identity_is_public_suffix("CO.uk"));
	assert_true(bytes_eq_text(identity_registrable(
	    BYTES("mx1.Example.CO.UK")), "Example.CO.UK"));
	identity_forget_suffixes();
	assert_int_equal(identity_load_suffixes(BYTES("other\n"), &e), 0);
	assert_false(identity_is_public_suffix("co.uk"));
	identity_forget_suffixes();
}

/* dkim#16: selectors */
static void
test_selectors(void **state)
{
	static const struct {
		const char *s;
		bool	    valid;
	} rows[] = { { "mail-2024", true }, { "a", true }, { "S2024a", true },
		{ "a.b", false }, { "", false }, { "-a", false },
		{ "a-", false }, { "a_b", false },
		{ "123456789012345678901234567890123456789012345678901234567890"
		  "123", true },
		{ "123456789012345678901234567890123456789012345678901234567890"
		  "1234", false } };
	char   token[IDENTITY_TOKEN_SIZE], out[600];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++)
		assert_int_equal(selector_is_valid(rows[i].s), rows[i].valid);
	identity_make_token(token);
	assert_int_equal(strlen(token), 52);
	assert_int_equal(strspn(token, "abcdefghijklmnopqrstuvwxyz234567"),
	    52);
	assert_string_equal(identity_name_warning("www.example.com", out),
	    "www.example.com: mail is usually sent from example.com");
	assert_string_equal(identity_name_warning("example.com", out), "");
}

/* -- records -------------------------------------------------------------- */

static void
fill_state(struct identity_check_state *s, int64_t n)
{
	s->status = IDENTITY_TEMPORARY_FAILURE;
	s->since.ms = n + 1;
	s->deadline.ms = n + 2;
	s->next_check.ms = n + 3;
	s->last_check.ms = n + 4;
	s->last_success.ms = n + 5;
	s->first_miss.ms = n + 6;
	s->dns_error_since.ms = n + 7;
}

static void
body_both_ways(struct db_txn *t)
{
	struct identity a = domain("example.com", IDENTITY_SUCCESS), b;
	struct dkim_key k = key("example.com", "s1", DKIM_RETIRING), l;
	struct err	e;

	fill_state(&a.link, 100);
	fill_state(&a.token, 200);
	fill_state(&a.dkim, 300);
	fill_state(&a.previous, 400);
	a.has_previous = a.external = a.cname = true;
	strcpy(a.token_text, "tokentext");
	a.link_hash[0] = 7;
	a.link_sent.ms = 5;
	a.method = METHOD_TOKEN;
	a.signing = DKIM_OFF;
	a.bits = 1024;
	a.last_length_change.ms = 6;
	a.next_event.ms = 9000;
	a.forwarding = false;
	strcpy(a.config_set, "prod");
	put(t, &a);
	memset(&b, 0, sizeof(b));
	assert_int_equal(identity_get(t, world_account, "example.com", &b,
			     &e), 1);
	assert_memory_equal(&a, &b, sizeof(a));
	assert_int_equal(identity_get(t, world_other, "example.com", &b, &e),
	    0);

	k.external = k.previous = k.seen = true;
	k.activated.ms = 1;
	k.retire_at.ms = 2;
	k.seen_since.ms = 3;
	k.last_check.ms = 4;
	k.last_outcome = DKIM_REVOKED;
	strcpy(k.hint, "the value differs in letter case only");
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	memset(&l, 0, sizeof(l));
	assert_int_equal(dkim_key_get(t, world_account, "example.com", "s1",
			     &l, &e), 1);
	assert_memory_equal(&k, &l, sizeof(k));
	assert_int_equal(dkim_key_get(t, world_account, "example.com", "s2",
			     &l, &e), 0);
}

static void
test_both_ways(void **state)
{
	(void)state;
	world_test(body_both_ways);
}

static bool
name_into(void *arg, const struct identity *i)
{
	buf_printf(arg, "%s ", i->name);
	return true;
}

static void
expect_list(struct db_txn *t, const char *account, const char *want)
{
	struct buf b;
	struct err e;

	buf_init(&b, 4096);
	assert_int_equal(identity_each(t, account, name_into, &b, &e), 0);
	buf_add_char(&b, '\0');
	assert_string_equal(b.p, want);
	buf_wipe(&b);
}

static void
body_create(struct db_txn *t)
{
	struct identity a = domain("example.com", IDENTITY_SUCCESS);
	struct err	e;

	assert_int_equal(identity_create(t, &a, &e), 0);
	assert_int_equal(identity_create(t, &a, &e), -1);
	assert_string_equal(e.text, "identity example.com exists already");
	assert_int_equal(e.code, BOOK_EXISTS);
	/* the same domain, another account */
	strcpy(a.account, world_other);
	assert_int_equal(identity_create(t, &a, &e), 0);
	a = address("bob@example.com", IDENTITY_PENDING);
	assert_int_equal(identity_create(t, &a, &e), 0);
	assert_int_equal(identity_count(t, world_account), 2);
	expect_list(t, world_account, "bob@example.com example.com ");
	expect_list(t, world_other, "example.com ");
	expect_list(t, NULL, "bob@example.com example.com example.com ");
	assert_int_equal(identity_delete(t, world_account, "example.com", &e),
	    1);
	assert_int_equal(identity_delete(t, world_account, "example.com", &e),
	    0);
	expect_list(t, NULL, "bob@example.com example.com ");
}

static void
test_create(void **state)
{
	(void)state;
	world_test(body_create);
}

/* dkim 2.2: a selector belongs to one account */
static void
body_selectors(struct db_txn *t)
{
	struct identity a = domain("example.com", IDENTITY_SUCCESS);
	struct dkim_key k = key("example.com", "s1", DKIM_ACTIVE);
	struct err	e;

	put(t, &a);
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	strcpy(k.account, world_other);
	assert_int_equal(dkim_key_put(t, &k, &e), -1);
	assert_string_equal(e.text,
	    "selector s1 is already in use for example.com");
	assert_int_equal(e.code, BOOK_EXISTS);
	strcpy(k.domain, "example.org");
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
	strcpy(k.domain, "example.com");
	strcpy(k.selector, "a.b");
	assert_int_equal(dkim_key_put(t, &k, &e), -1);
	assert_string_equal(e.text, "selector must be 1 to 63 letters, digits "
				    "or inner hyphens");
	/* with the identity its keys go, and the selector is free */
	assert_int_equal(identity_delete(t, world_account, "example.com", &e),
	    1);
	assert_int_equal(dkim_key_get(t, world_account, "example.com", "s1",
			     &k, &e), 0);
	k = key("example.com", "s1", DKIM_ACTIVE);
	strcpy(k.account, world_other);
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
}

static void
test_selector_owner(void **state)
{
	(void)state;
	world_test(body_selectors);
}

static void
body_keys(struct db_txn *t)
{
	struct identity_keys *ks = calloc(1, sizeof(*ks));
	struct dkim_key	      k;
	struct err	      e;

	assert_non_null(ks);
	put_key(t, "example.com", "s1", DKIM_ACTIVE);
	put_key(t, "example.com", "s2", DKIM_STANDBY);
	put_key(t, "example.com.au", "s3", DKIM_ACTIVE);
	put_key(t, "a.example.com", "s4", DKIM_ACTIVE);
	assert_int_equal(identity_keys_load(t, world_account, "example.com",
			     ks, &e), 0);
	assert_int_equal(ks->n, 2);
	assert_string_equal(ks->v[0].selector, "s1");
	assert_string_equal(ks->v[1].selector, "s2");
	/* the same selector goes and comes in one store */
	ks->drop[0] = true;
	ks->v[2] = key("example.com", "s1", DKIM_RETIRING);
	ks->drop[2] = false;
	ks->n = 3;
	assert_int_equal(identity_keys_store(t, ks, &e), 0);
	assert_int_equal(dkim_key_get(t, world_account, "example.com", "s1",
			     &k, &e), 1);
	assert_int_equal(k.role, DKIM_RETIRING);
	strcpy(k.account, world_other);
	assert_int_equal(dkim_key_put(t, &k, &e), -1);
	free(ks);
}

static void
test_keys(void **state)
{
	(void)state;
	world_test(body_keys);
}

static bool
due_into(void *arg, struct wall due, const char *account, const char *name)
{
	buf_printf(arg, "%lld:%s:%s ", (long long)due.ms, account, name);
	return true;
}

static void
expect_due(struct db_txn *t, int64_t by, const char *want)
{
	struct buf  b;
	struct err  e;
	struct wall w = { by };

	buf_init(&b, 4096);
	assert_int_equal(identity_each_due(t, w, due_into, &b, &e), 0);
	buf_add_char(&b, '\0');
	assert_string_equal(b.p, want);
	buf_wipe(&b);
}

static void
body_due(struct db_txn *t)
{
	struct identity a = domain("example.com", IDENTITY_PENDING);
	struct identity b = address("bob@example.com", IDENTITY_PENDING);
	struct err	e;

	a.dkim.next_check.ms = 300;
	a.token.next_check.ms = 200;
	a.previous.next_check.ms = 100; /* there is no previous set */
	a.next_event.ms = 250;
	put(t, &a);
	b.link.deadline.ms = 150;
	put(t, &b);
	expect_due(t, 149, "");
	expect_due(t, 199, "150:123456789012:bob@example.com ");
	expect_due(t, 200, "150:123456789012:bob@example.com "
			   "200:123456789012:example.com ");
	a.has_previous = true;
	put(t, &a);
	expect_due(t, 1000, "100:123456789012:example.com "
			    "150:123456789012:bob@example.com ");
	a.has_previous = false;
	a.token.next_check.ms = a.dkim.next_check.ms = a.next_event.ms = 0;
	put(t, &a);
	b.link.status = IDENTITY_SUCCESS;
	put(t, &b);
	expect_due(t, 1000, "");
	a.next_event.ms = 5;
	put(t, &a);
	assert_int_equal(identity_delete(t, world_account, "example.com", &e),
	    1);
	expect_due(t, 1000, "");
}

static void
test_due(void **state)
{
	(void)state;
	world_test(body_due);
}

static void
body_damaged(struct db_txn *t)
{
	struct identity i;
	struct dkim_key k;
	struct err	e;

	assert_int_equal(db_put(t, BOOK_IDENTITY,
			     BYTES("123456789012example.com"),
			     BYTES("\1\0\0"), false, &e), 0);
	assert_int_equal(identity_get(t, world_account, "example.com", &i,
			     &e), -1);
	assert_string_equal(e.text, "identity example.com of 123456789012: "
				    "the record is damaged");
	assert_int_equal(db_put(t, BOOK_DKIM_KEY,
			     BYTES("123456789012example.com\0s1"),
			     BYTES("\1\0\0\0"), false, &e), 0);
	assert_int_equal(dkim_key_get(t, world_account, "example.com", "s1",
			     &k, &e), -1);
	assert_string_equal(e.text,
	    "DKIM key s1 of example.com: the record is damaged");
}

/* As it stands at one key, so at another. */
static void
copy_row(struct db_txn *t, enum book_table table, struct bytes from,
    struct bytes to)
{
	struct bytes value;
	char	     room[4096];
	struct err   e;

	assert_int_equal(db_get(t, table, from, &value, &e), 1);
	assert_true(value.n <= sizeof(room));
	value.p = memcpy(room, value.p, value.n);
	assert_int_equal(db_put(t, table, to, value, false, &e), 0);
}

static bool
nobody(void *arg, const struct identity *i)
{
	(void)arg;
	return i->name[0] == 'e'; /* the whole one */
}

static bool
no_key(void *arg, const struct dkim_key *k)
{
	(void)arg;
	return k->domain[0] == 'e';
}

/* Whole records of nobody: they could not be written again. */
static void
body_damaged_key(struct db_txn *t)
{
	struct identity i = domain("example.com", IDENTITY_SUCCESS);
	struct err	e;

	put(t, &i);
	put_key(t, "example.com", "s1", DKIM_ACTIVE);
	copy_row(t, BOOK_IDENTITY, BYTES("123456789012example.com"),
	    BYTES("888888888888"));
	assert_int_equal(identity_each(t, NULL, nobody, NULL, &e), -1);
	assert_string_equal(e.text,
	    "identity  of 888888888888: the record is damaged");
	copy_row(t, BOOK_DKIM_KEY, BYTES("123456789012example.com\0s1"),
	    BYTES("888888888888\0s1"));
	assert_int_equal(dkim_key_each(t, NULL, NULL, no_key, NULL, &e), -1);
	assert_string_equal(e.text,
	    "DKIM key s1 of : the record is damaged");
}

static void
test_damaged(void **state)
{
	(void)state;
	world_test(body_damaged);
	world_test(body_damaged_key);
}

/* -- tokens --------------------------------------------------------------- */

static void
put_account(struct db_txn *t)
{
	struct account a;
	struct err     e;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, world_account);
	strcpy(a.name, "shop");
	a.created = now;
	assert_int_equal(account_create(t, &a, &e), 0);
}

/* identities-and-policies#14 on this level */
static void
body_tokens(struct db_txn *t)
{
	struct identity i = address("user@example.net", IDENTITY_PENDING), j;
	char		first[IDENTITY_TOKEN_SIZE];
	char		second[IDENTITY_TOKEN_SIZE];
	struct wall	w = now;
	struct bytes	row;
	unsigned char	hash[32];
	struct err	e;

	put_account(t);
	assert_int_equal(identity_issue_token(t, &i, w, first, &e), 0);
	assert_true(i.link.deadline.ms == w.ms + 24 * HOUR_MS);
	/* the store has the hash alone */
	credential_sha256(first, 52, hash);
	assert_int_equal(db_get(t, BOOK_TOKEN,
			     (struct bytes){ (char *)hash, 32 }, &row, &e), 1);
	w.ms += 59999;
	assert_int_equal(identity_issue_token(t, &i, w, second, &e), -1);
	assert_int_equal(e.code, BOOK_TOO_MANY);
	w.ms += 1;
	assert_int_equal(identity_issue_token(t, &i, w, second, &e), 0);
	assert_string_not_equal(first, second);
	assert_int_equal(identity_confirm(t, first, w, &j, &e), 0);
	w.ms = i.link.deadline.ms;
	assert_int_equal(identity_confirm(t, second, w, &j, &e), 0);
	w.ms--;
	assert_int_equal(identity_confirm(t, second, w, &j, &e), 1);
	assert_string_equal(j.name, "user@example.net");
	assert_int_equal(j.link.status, IDENTITY_SUCCESS);
	assert_int_equal(identity_confirm(t, second, w, &j, &e), 0);
	assert_int_equal(identity_get(t, world_account, "user@example.net",
			     &j, &e), 1);
	assert_true(identity_may_send(&j, w));
	assert_int_equal(identity_issue_token(t, &j, w, second, &e), -1);
	assert_string_equal(e.text, "user@example.net is verified already");
	assert_int_equal(identity_confirm(t, "nonsense", w, &j, &e), 0);
}

static void
test_tokens(void **state)
{
	(void)state;
	world_test(body_tokens);
}

static void
body_hour(struct db_txn *t)
{
	struct identity i;
	char		name[32], token[IDENTITY_TOKEN_SIZE];
	struct wall	w = now;
	struct err	e;
	unsigned	n;

	put_account(t);
	for (n = 0; n < 20; n++) {
		snprintf(name, sizeof(name), "u%u@example.net", n);
		i = address(name, IDENTITY_PENDING);
		w.ms = now.ms + n;
		assert_int_equal(identity_issue_token(t, &i, w, token, &e),
		    0);
	}
	i = address("more@example.net", IDENTITY_PENDING);
	assert_int_equal(identity_issue_token(t, &i, w, token, &e), -1);
	assert_string_equal(e.text, "at most 20 verification mails an hour");
	assert_string_equal(book_refusal_to_text(&e),
	    "TooManyRequestsException");
	w.ms = now.ms + HOUR_MS;
	assert_int_equal(identity_issue_token(t, &i, w, token, &e), 0);
}

static void
test_mails_an_hour(void **state)
{
	(void)state;
	world_test(body_hour);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_normal_form),
		cmocka_unit_test(test_long_names),
		cmocka_unit_test(test_suffixes),
		cmocka_unit_test(test_selectors),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_create),
		cmocka_unit_test(test_selector_owner),
		cmocka_unit_test(test_keys),
		cmocka_unit_test(test_due),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_tokens),
		cmocka_unit_test(test_mails_an_hour),
	};

	return cmocka_run_group_tests_name("identity", tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <string.h>

#include "daemon/control_private.h"

/* -- rights (admin-cli#9,10) -------------------------------------------------- */

enum { OWN = 990, ADMIN_GID = 500 };

static struct conf *
rights_conf(struct conf_admin *admins, size_t n)
{
	struct conf *c = conf_defaults();

	c->admins = admins;
	c->admin_count = n;
	c->server.admin_group_known = true;
	c->server.admin_gid = ADMIN_GID;
	return c;
}

static void
test_rights(void **state)
{
	static const struct {
		uint32_t	  uid, gids[2];
		enum control_role role;
		const char	 *account, *name;
	} cases[] = {
		{ 0, { 0, 0 }, CONTROL_FULL, "", "root" },
		{ OWN, { 1, 1 }, CONTROL_FULL, "", "posthorn" },
		{ 1000, { 1, 2 }, CONTROL_READ, "", "reader" },
		{ 1001, { 1, 2 }, CONTROL_FULL, "123456789012", "tenant" },
		{ 1002, { 7, 2 }, CONTROL_SEND, "", NULL },
		{ 1003, { 1, ADMIN_GID }, CONTROL_FULL, "", NULL },
		{ 1004, { 1, 2 }, CONTROL_NOBODY, "", NULL },
		/* the first block that fits decides, also against the group */
		{ 1000, { ADMIN_GID, 7 }, CONTROL_READ, "", "reader" },
	};
	struct conf_admin admins[] = {
		{ { CONF_PRINCIPAL_USER, "unknown", false, 1004 },
		    CONF_ADMIN_FULL, NULL },
		{ { CONF_PRINCIPAL_USER, "reader", true, 1000 },
		    CONF_ADMIN_READ_ONLY, NULL },
		{ { CONF_PRINCIPAL_USER, "tenant", true, 1001 },
		    CONF_ADMIN_FULL, "123456789012" },
		{ { CONF_PRINCIPAL_GROUP, "mailers", true, 7 },
		    CONF_ADMIN_SEND, NULL },
	};
	struct conf	    *c = rights_conf(admins, 4);
	struct control_right r;
	struct control_peer  p;
	uint32_t	     gids[2];
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memcpy(gids, cases[i].gids, sizeof(gids));
		p.uid = cases[i].uid;
		p.gids = gids;
		p.gid_count = 2;
		control_right_of(c, &p, OWN, &r);
		assert_int_equal(r.role, cases[i].role);
		assert_string_equal(r.account, cases[i].account);
		if (cases[i].name != NULL)
			assert_string_equal(r.name, cases[i].name);
		else
			assert_null(r.name);
	}
	c->admins = NULL;
	c->admin_count = 0;
	conf_unref(c);
}

static void
test_everybody_by_a_star(void **state)
{
	struct conf_admin    any = { { CONF_PRINCIPAL_ANY, "*", true, 0 },
		   CONF_ADMIN_READ_ONLY, NULL };
	struct conf	    *c = rights_conf(&any, 1);
	struct control_peer  p = { 4711, NULL, 0 };
	struct control_right r;

	(void)state;
	control_right_of(c, &p, OWN, &r);
	assert_int_equal(r.role, CONTROL_READ);
	c->admins = NULL;
	c->admin_count = 0;
	conf_unref(c);
}

static void
test_may(void **state)
{
	static const struct {
		enum control_role  role;
		const char	  *account;
		enum command_right need;
		enum command_scope scope;
		bool		   may;
	} cases[] = {
		{ CONTROL_FULL, "", NEED_OPERATOR, SCOPE_NONE, true },
		{ CONTROL_FULL, "123456789012", NEED_OPERATOR, SCOPE_ACCOUNT,
		    false },
		{ CONTROL_FULL, "123456789012", NEED_FULL, SCOPE_ACCOUNT,
		    true },
		{ CONTROL_FULL, "123456789012", NEED_READ, SCOPE_NONE,
		    false },
		{ CONTROL_FULL, "123456789012", NEED_READ, SCOPE_ANY, true },
		{ CONTROL_READ, "", NEED_READ, SCOPE_ACCOUNT, true },
		{ CONTROL_READ, "", NEED_FULL, SCOPE_ACCOUNT, false },
		{ CONTROL_READ, "", NEED_SEND, SCOPE_ACCOUNT, false },
		{ CONTROL_SEND, "", NEED_SEND, SCOPE_ACCOUNT, true },
		{ CONTROL_SEND, "", NEED_READ, SCOPE_ACCOUNT, false },
		{ CONTROL_SEND, "", NEED_ANY, SCOPE_ANY, true },
		{ CONTROL_NOBODY, "", NEED_ANY, SCOPE_ANY, false },
	};
	struct control_right r = { 0 };
	struct command	     c = { 0 };
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r.role = cases[i].role;
		strcpy(r.account, cases[i].account);
		c.need = cases[i].need;
		c.scope = cases[i].scope;
		assert_int_equal(control_may(&r, &c), cases[i].may);
	}
}

/* -- arguments ------------------------------------------------------------------ */

static void
request_init(struct request *q, const char *args)
{
	memset(q, 0, sizeof(*q));
	q->root = json_loads(args, 0, NULL);
	assert_non_null(q->root);
	q->args = q->root;
	q->result = json_object();
}

static void
request_wipe(struct request *q)
{
	json_decref(q->root);
	json_decref(q->result);
}

static void
test_checks(void **state)
{
	static const struct {
		const char *args;
		int	    rc;
	} cases[] = {
		{ "{}", 0 },
		{ "{\"name\":\"a\",\"force\":true,\"n\":3,\"l\":[\"x\"]}", 0 },
		{ "{\"name\":\"a\\nb\"}", -1 },
		{ "{\"name\":\"a\\u007f\"}", -1 },
		{ "{\"l\":[\"a\\u0001\"]}", -1 },
		{ "{\"l\":[1]}", -1 },
		{ "{\"l\":[[]]}", -1 },
		{ "{\"o\":{}}", -1 },
		{ "{\"o\":null}", -1 },
		{ "{\"policy\":[\"inline={\\n}\"]}", 0 },
		{ "[]", -1 },
	};
	struct request q;
	size_t	       i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		request_init(&q, cases[i].args);
		assert_int_equal(args_check(&q), cases[i].rc);
		assert_int_equal(q.status, cases[i].rc == 0 ? 0 : 2);
		request_wipe(&q);
	}
}

static void
test_values(void **state)
{
	static const char *const words[] = { "ready", "held", NULL };
	struct request q;
	struct wall    w = { 7 };
	int64_t	       n = 7;
	double	       d = 7;
	bool	       on = false;
	char	       text[4];
	int	       i = 7;

	(void)state;
	request_init(&q, "{\"a\":12,\"b\":\"x\",\"c\":true,\"d\":-1.0,"
	    "\"e\":0.5,\"f\":\"off\",\"g\":\"HELD\",\"h\":\"abcd\","
	    "\"i\":-2,\"j\":\"abc\"}");
	assert_int_equal(arg_int(&q, "none", 0, 9, &n), 0);
	assert_int_equal(n, 7);
	assert_int_equal(arg_int(&q, "a", 0, 12, &n), 1);
	assert_int_equal(n, 12);
	assert_int_equal(arg_int(&q, "a", 0, 11, &n), -1);
	assert_int_equal(arg_int(&q, "b", 0, 11, &n), -1);
	assert_string_equal(q.err.text, "b: not a number from 0 to 11");
	assert_int_equal(q.err.code, BOOK_BAD_REQUEST);
	assert_int_equal(arg_amount(&q, "d", &d), 1);
	assert_true(d == -1);
	assert_int_equal(arg_amount(&q, "e", &d), 1);
	assert_true(d == 0.5);
	assert_int_equal(arg_amount(&q, "i", &d), -1);
	assert_int_equal(arg_switch(&q, "c", &on), 1);
	assert_true(on);
	assert_int_equal(arg_switch(&q, "f", &on), 1);
	assert_false(on);
	assert_int_equal(arg_switch(&q, "b", &on), -1);
	assert_int_equal(arg_word(&q, "g", words, &i), 1);
	assert_int_equal(i, 1);
	assert_int_equal(arg_word(&q, "b", words, &i), -1);
	assert_int_equal(arg_copy(&q, "h", text, sizeof(text)), -1);
	assert_int_equal(arg_copy(&q, "j", text, sizeof(text)), 1);
	assert_string_equal(text, "abc");
	assert_int_equal(arg_time(&q, "i", &w), -1);
	request_wipe(&q);
}

/* -- the audit log (admin-cli#18) ------------------------------------------------- */

static void
test_audit_hides(void **state)
{
	static const struct command c = { "credential import", NEED_FULL,
		SCOPE_ACCOUNT, "CredentialImport", "userName", NULL };
	struct request q;
	json_t	      *out, *want;

	(void)state;
	request_init(&q, "{\"name\":\"app1\",\"smtp-password\":\"BLBM\","
	    "\"secret\":\"wJal\",\"key-file\":0,\"token\":\"abc\","
	    "\"access-key-id\":\"AKIA\",\"max-24h\":3,\"reason\":\"x y\"}");
	q.command = &c;
	out = args_for_audit(&q);
	want = json_loads("{\"userName\":\"app1\",\"smtpPassword\":\"***\","
	    "\"secretAccessKey\":\"***\",\"domainSigningPrivateKey\":\"***\","
	    "\"token\":\"***\",\"accessKeyId\":\"AKIA\",\"max-24h\":3,"
	    "\"reason\":\"x y\"}", 0, NULL);
	json_object_set_new(want, "max24h",
	    json_incref(json_object_get(want, "max-24h")));
	json_object_del(want, "max-24h");
	assert_true(json_equal(out, want));
	json_decref(out);
	json_decref(want);
	request_wipe(&q);
}

/* A switch of a secret's name is no secret: identity verify --token. */
static void
test_audit_shows_switches(void **state)
{
	static const struct command c = { "identity verify", NEED_FULL,
		SCOPE_ACCOUNT, "IdentityVerify", "emailIdentity", NULL };
	struct request q;
	json_t	      *out;

	(void)state;
	request_init(&q, "{\"name\":\"example.com\",\"token\":true}");
	q.command = &c;
	out = args_for_audit(&q);
	assert_true(json_is_true(json_object_get(out, "token")));
	assert_string_equal(json_string_value(json_object_get(out,
				"emailIdentity")), "example.com");
	json_decref(out);
	request_wipe(&q);
}

/* -- answers -------------------------------------------------------------------------- */

static void
test_json_values(void **state)
{
	json_t *j;

	(void)state;
	j = json_of_bytes(BYTES("a\xff\x80z"));
	assert_string_equal(json_string_value(j), "a??z");
	json_decref(j);
	j = json_of_bytes(BYTES("\xc3\xa4"));
	assert_string_equal(json_string_value(j), "\xc3\xa4");
	json_decref(j);
	j = json_of_text("");
	assert_true(json_is_null(j));
	json_decref(j);
	j = json_of_wall((struct wall){ 0 });
	assert_true(json_is_null(j));
	json_decref(j);
	j = json_of_wall((struct wall){ 1714564800120 });
	assert_string_equal(json_string_value(j), "2024-05-01T12:00:00.120Z");
	json_decref(j);
	j = json_of_amount(-2);
	assert_true(json_real_value(j) == -1);
	json_decref(j);
}

static void
test_pages(void **state)
{
	static const char *const keys[] = { "a", "b", "c", "d" };
	struct request q;
	struct page    p;
	size_t	       i;

	(void)state;
	request_init(&q, "{\"limit\":2,\"next-token\":\"a\"}");
	assert_int_equal(page_open(&q, &p), 0);
	for (i = 0; i < 4 && !page_is_full(&p); i++)
		if (page_wants(&p, keys[i]))
			json_array_append_new(p.rows, json_string(keys[i]));
	page_close(&q, &p, "Rows");
	assert_int_equal(json_array_size(json_object_get(q.result, "Rows")),
	    2);
	assert_string_equal(json_string_value(json_object_get(q.result,
				"NextToken")), "c");
	request_wipe(&q);
	request_init(&q, "{\"limit\":0}");
	assert_int_equal(page_open(&q, &p), -1);
	request_wipe(&q);
}

static void
test_items(void **state)
{
	struct request q;
	struct err     e;

	(void)state;
	request_init(&q, "{}");
	book_refuse(&e, BOOK_NOT_FOUND, "no such identity: x");
	request_item_failed(&q, &e);
	request_settle_items(&q, 3);
	assert_int_equal(q.status, 4);
	request_settle_items(&q, 1);
	assert_string_equal(q.err.text, "no such identity: x");
	assert_null(q.errors);
	request_wipe(&q);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_rights),
		cmocka_unit_test(test_everybody_by_a_star),
		cmocka_unit_test(test_may),
		cmocka_unit_test(test_checks),
		cmocka_unit_test(test_values),
		cmocka_unit_test(test_audit_hides),
		cmocka_unit_test(test_audit_shows_switches),
		cmocka_unit_test(test_json_values),
		cmocka_unit_test(test_pages),
		cmocka_unit_test(test_items),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

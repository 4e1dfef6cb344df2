/* SPDX-License-Identifier: ISC */
/* Who may send as whom: documents of credentials and identities together
 * (identities-and-policies.md 7.5), and how they are remembered. */
#include "book_world.h"

#include "registry/identity_policy.h"
#include "registry/permission.h"

static struct permissions *permissions;
static uint64_t version;
static struct credential credential;

#define ARN(name) "arn:aws:ses:us-east-1:123456789012:identity/" name
#define POLICY(effect, principal, resource)                                  \
	"{\"Statement\":{\"Sid\":\"S1\",\"Effect\":\"" effect                 \
	"\",\"Principal\":{\"AWS\":\"" principal "\"},\"Action\":"              \
	"\"ses:SendRawEmail\",\"Resource\":\"" ARN(resource) "\"}}"

static void
add_identity(struct db_txn *t, const char *name, enum identity_status status)
{
	struct identity i;
	struct err	e;

	identity_init(&i, world_account, name, (struct wall){ world_time });
	i.method = METHOD_OVERRIDE;
	i.link.status = status;
	if (identity_put(t, &i, &e) < 0)
		fail_msg("%s", e.text);
}

static void
put(struct db_txn *t, const char *identity, const char *name,
    const char *text)
{
	struct identity_policy *p = mem_alloc(sizeof(*p));
	struct err		e;

	strcpy(p->account, world_account);
	strcpy(p->identity, identity);
	strcpy(p->name, name);
	strcpy(p->text, text);
	if (identity_policy_put(t, p, &e) < 0)
		fail_msg("%s", e.text);
	mem_free(p);
	version++;
}

static void
begin(struct db_txn *t)
{
	permissions = permissions_new();
	version = 1;
	credential_init(&credential);
	strcpy(credential.account, world_account);
	strcpy(credential.name, "app1");
	add_identity(t, "example.com", IDENTITY_SUCCESS);
	add_identity(t, "sender@example.com", IDENTITY_SUCCESS);
	add_identity(t, "shop.example.com", IDENTITY_PENDING);
}

static void
end(void)
{
	permissions_free(permissions);
}

/* What app1 of an account may do as an address of the owner. */
static struct permission_verdict
ask(struct db_txn *t, const char *account, const char *address)
{
	struct policy_request	   r = { .action = "ses:SendRawEmail",
		.account = account, .user = credential.name,
		.region = "us-east-1", .now = { world_time } };
	struct permission_question q = { .txn = t, .version = version,
		.credential = &credential, .owner = world_account,
		.address = bytes_of(address), .request = &r };
	struct permission_verdict  v;
	struct err		   e;

	if (permission_ask(permissions, &q, &v, &e) < 0)
		fail_msg("%s", e.text);
	return v;
}

static bool
may(struct db_txn *t, const char *account, const char *address)
{
	return ask(t, account, address).permitted;
}

/* -- the credential's own -------------------------------------------------- */

/* credentials#16 and #17 on this level */
static void
roles(struct db_txn *t)
{
#define DOC(effect, action, resource)                                        \
	"{\"Statement\":{\"Effect\":\"" effect "\",\"Action\":\"" action     \
	"\",\"Resource\":\"" resource "\"}}"
	static const struct {
		enum credential_role role;
		const char	    *one, *two;
		bool		     may;
	} rows[] = {
		{ ROLE_SMTP, NULL, NULL, true },
		{ ROLE_SEND, NULL, NULL, true },
		{ ROLE_FULL, NULL, NULL, true },
		{ ROLE_READ_ONLY, NULL, NULL, false },
		{ ROLE_NONE, NULL, NULL, false },
		{ ROLE_NONE, DOC("Allow", "ses:SendEmail", "*"), NULL, false },
		{ ROLE_NONE, DOC("Allow", "ses:SendRawEmail", "*"), NULL,
		    true },
		{ ROLE_READ_ONLY, DOC("Allow", "ses:Send*", "*"), NULL, true },
		{ ROLE_SMTP, DOC("Deny", "ses:SendRawEmail", "*"), NULL,
		    false },
		{ ROLE_SMTP, DOC("Allow", "ses:*", "*"),
		    DOC("Deny", "*", "*"), false },
		{ ROLE_SMTP, DOC("Deny", "ses:*",
		      "arn:aws:ses:us-east-1:123456789012:identity/x.example"),
		    NULL, true },
	};
	struct err e;
	size_t	   i;

	begin(t);
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		credential.role = rows[i].role;
		credential.policy_count = 0;
		if (rows[i].one != NULL)
			assert_int_equal(credential_set_policy(&credential,
			    "one", bytes_of(rows[i].one), &e), 0);
		if (rows[i].two != NULL)
			assert_int_equal(credential_set_policy(&credential,
			    "two", bytes_of(rows[i].two), &e), 0);
		if (may(t, world_account, "a@example.com") != rows[i].may)
			fail_msg("row %zu", i);
	}
	end();
}

/* One that was stored long ago and cannot be read now. */
static void
damaged(struct db_txn *t)
{
	begin(t);
	credential.policy_count = 1;
	strcpy(credential.policies[0].name, "p");
	strcpy(credential.policies[0].text, "{\"Statement\":[]}");
	assert_false(may(t, world_account, "a@example.com"));
	end();
}

/* -- of identities --------------------------------------------------------- */

/* identities-and-policies#17,20 */
static void
delegates(struct db_txn *t)
{
	struct permission_verdict v;

	begin(t);
	/* own identities need no policy, foreign ones do */
	assert_true(may(t, world_account, "a@example.com"));
	v = ask(t, world_other, "a@example.com");
	assert_false(v.permitted);
	assert_int_equal(v.by, PERMISSION_OWNER);
	put(t, "example.com", "p", POLICY("Allow", "888888888888",
	    "example.com"));
	v = ask(t, world_other, "a@example.com");
	assert_true(v.permitted);
	assert_int_equal(v.by, PERMISSION_IDENTITY);
	assert_string_equal(v.of, "example.com");
	assert_string_equal(v.policy, "p");
	assert_string_equal(v.finding.sid, "S1");
	assert_int_equal(v.finding.statement, 1);
	assert_false(may(t, "111122223333", "a@example.com"));
	/* the delegate's own documents are asked before */
	credential.role = ROLE_READ_ONLY;
	v = ask(t, world_other, "a@example.com");
	assert_false(v.permitted);
	assert_int_equal(v.by, PERMISSION_ROLE);
	credential.role = ROLE_SMTP;
	/* the owner is denied */
	put(t, "example.com", "q", POLICY("Deny",
	    "arn:aws:iam::123456789012:user/app1", "example.com"));
	v = ask(t, world_account, "a@example.com");
	assert_false(v.permitted);
	assert_string_equal(v.policy, "q");
	strcpy(credential.name, "app2");
	assert_true(may(t, world_account, "a@example.com"));
	end();
}

/* identities-and-policies#19: the more specific one, in both directions */
static void
address_beats_domain(struct db_txn *t)
{
	begin(t);
	put(t, "example.com", "p", POLICY("Deny", "888888888888",
	    "example.com"));
	put(t, "sender@example.com", "p", POLICY("Allow", "888888888888",
	    "sender@example.com"));
	assert_true(may(t, world_other, "sender@example.com"));
	assert_true(may(t, world_other, "sender+x@example.com"));
	assert_false(may(t, world_other, "other@example.com"));
	put(t, "example.com", "p", POLICY("Allow", "888888888888",
	    "example.com"));
	put(t, "sender@example.com", "p", POLICY("Deny", "888888888888",
	    "sender@example.com"));
	assert_false(may(t, world_other, "sender@example.com"));
	assert_true(may(t, world_other, "other@example.com"));
	/* one that is not verified has no say */
	put(t, "shop.example.com", "p", POLICY("Deny", "888888888888",
	    "shop.example.com"));
	assert_true(may(t, world_other, "a@shop.example.com"));
	end();
}

/* -- what is remembered ---------------------------------------------------- */

/* While the book stands still nothing is looked up; a change is seen. */
static void
remembered(struct db_txn *t)
{
	struct err e;
	size_t	   before;

	begin(t);
	put(t, "example.com", "p", POLICY("Allow", "888888888888",
	    "example.com"));
	assert_true(may(t, world_other, "a@example.com"));
	before = permissions_octets(permissions);
	assert_int_equal(identity_policy_delete(t, world_account,
	    "example.com", "p", &e), 1);
	assert_true(may(t, world_other, "a@example.com"));
	assert_int_equal(permissions_octets(permissions), before);
	version++;
	assert_false(may(t, world_other, "a@example.com"));
	/* what is another now is read again, once */
	put(t, "example.com", "p", POLICY("Allow", "888888888888",
	    "example.com"));
	put(t, "example.com", "q", POLICY("Deny", "111122223333",
	    "example.com"));
	assert_true(may(t, world_other, "a@example.com"));
	assert_false(may(t, "111122223333", "a@example.com"));
	assert_true(permissions_octets(permissions) > before);
	assert_int_equal(identity_policy_delete(t, world_account,
	    "example.com", "q", &e), 1);
	version++;
	assert_true(may(t, world_other, "a@example.com"));
	assert_int_equal(permissions_octets(permissions), before);
	/* of credentials: the text that came with it counts */
	assert_int_equal(credential_set_policy(&credential, "p", BYTES(
	    "{\"Statement\":{\"Effect\":\"Deny\",\"Action\":\"*\","
	    "\"Resource\":\"*\"}}"), &e), 0);
	assert_false(may(t, world_account, "a@example.com"));
	assert_int_equal(credential_set_policy(&credential, "p", BYTES(""),
	    &e), 0);
	assert_true(may(t, world_account, "a@example.com"));
	end();
}

static void
bounded(struct db_txn *t)
{
	static const char text[] = "{\"Statement\":{\"Effect\":\"Allow\","
	    "\"Action\":\"*\",\"Resource\":\"*\"}}";
	size_t i, most = 0;

	begin(t);
	credential.policy_count = 1;
	strcpy(credential.policies[0].name, "p");
	memset(credential.policies[0].text, ' ', CREDENTIAL_POLICY_MAX);
	memcpy(credential.policies[0].text, text, sizeof(text) - 1);
	for (i = 0; i < 8000; i++) {
		snprintf(credential.name, sizeof(credential.name), "app%zu",
		    i);
		assert_true(may(t, world_account, "a@example.com"));
		most = permissions_octets(permissions) > most ?
		    permissions_octets(permissions) : most;
	}
	assert_in_range(most, 20 * 1024 * 1024, 33 * 1024 * 1024);
	/* it has forgotten in between, and not at the end alone */
	assert_true(permissions_octets(permissions) < most);
	end();
}

/* -- the register of policies ---------------------------------------------- */

static void
expect_refusal(struct db_txn *t, const struct identity_policy *p,
    enum book_refusal code, const char *text)
{
	struct err e;

	assert_int_equal(identity_policy_put(t, p, &e), -1);
	assert_int_equal(e.code, code);
	assert_string_equal(e.text, text);
}

static bool
on_policy(void *n, const struct identity_policy *p)
{
	char want[16];

	/* in the order of their names */
	snprintf(want, sizeof(want), "p%02u", (*(unsigned *)n)++);
	assert_string_equal(p->name, want);
	assert_string_equal(p->identity, "example.com");
	return true;
}

/* identities-and-policies#26: the 21st, names; what goes with an identity */
static void
registered(struct db_txn *t)
{
	static const char text[] = POLICY("Allow", "123456789012",
	    "example.com") " \n";
	struct identity_policy *p = mem_alloc(sizeof(*p));
	struct err		e;
	char			name[8];
	unsigned		i, n = 0;

	begin(t);
	for (i = 0; i < IDENTITY_POLICIES_MAX; i++) {
		snprintf(name, sizeof(name), "p%02u", i);
		put(t, "example.com", name, text);
	}
	put(t, "sender@example.com", "z", POLICY("Allow", "123456789012",
	    "sender@example.com"));
	assert_int_equal(identity_policy_each(t, world_account, "example.com",
	    on_policy, &n, &e), 0);
	assert_int_equal(n, 20);
	assert_int_equal(identity_policy_get(t, world_account, "example.com",
	    "p07", p, &e), 1);
	assert_string_equal(p->text, text);
	/* one that is there may be replaced, a 21st is too many */
	put(t, "example.com", "p07", text);
	strcpy(p->name, "p20");
	expect_refusal(t, p, BOOK_BAD_REQUEST,
	    "an identity can have at most 20 policies");
	strcpy(p->name, "a.b");
	expect_refusal(t, p, BOOK_BAD_REQUEST,
	    "a policy name is 1 to 64 letters, digits, - or _");
	strcpy(p->name, "p");
	strcpy(p->identity, "nobody.example");
	expect_refusal(t, p, BOOK_NOT_FOUND,
	    "no such identity: nobody.example");
	/* nothing was stored, and all goes with the identity */
	assert_int_equal(identity_policy_get(t, world_account, "example.com",
	    "p20", p, &e), 0);
	assert_int_equal(identity_delete(t, world_account, "example.com", &e),
	    1);
	n = 0;
	assert_int_equal(identity_policy_each(t, world_account, "example.com",
	    on_policy, &n, &e), 0);
	assert_int_equal(n, 0);
	assert_int_equal(identity_policy_any(t, world_account, &e), 1);
	assert_int_equal(identity_delete(t, world_account,
	    "sender@example.com", &e), 1);
	assert_int_equal(identity_policy_any(t, world_account, &e), 0);
	mem_free(p);
	end();
}

/* identities-and-policies#28: a default set, and a policy for others */
static void
clash(struct db_txn *t)
{
	struct identity_policy *p = mem_alloc(sizeof(*p));
	struct identity		i;
	struct err		e;

	begin(t);
	assert_int_equal(identity_get(t, world_account, "example.com", &i,
	    &e), 1);
	strcpy(i.config_set, "S");
	assert_int_equal(identity_put(t, &i, &e), 0);
	strcpy(p->account, world_account);
	strcpy(p->identity, "example.com");
	strcpy(p->name, "p");
	strcpy(p->text, POLICY("Allow", "888888888888", "example.com"));
	expect_refusal(t, p, BOOK_BAD_REQUEST, "example.com has a default "
	    "configuration set; a policy that lets another account send is "
	    "not possible beside it");
	assert_int_equal(identity_policy_delegates(t, world_account,
	    "example.com", &e), 0);
	/* of the own account: no clash */
	put(t, "example.com", "p", POLICY("Allow", "123456789012",
	    "example.com"));
	assert_int_equal(identity_policy_delegates(t, world_account,
	    "example.com", &e), 0);
	i.config_set[0] = '\0';
	assert_int_equal(identity_put(t, &i, &e), 0);
	put(t, "example.com", "q", POLICY("Allow", "888888888888",
	    "example.com"));
	assert_int_equal(identity_policy_delegates(t, world_account,
	    "example.com", &e), 1);
	mem_free(p);
	end();
}

#define WORLD(f) \
	static void test_##f(void **state) \
	{ \
		(void)state; \
		world_test(f); \
	}
WORLD(roles)
WORLD(damaged)
WORLD(delegates)
WORLD(address_beats_domain)
WORLD(remembered)
WORLD(bounded)
WORLD(registered)
WORLD(clash)

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_roles),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_delegates),
		cmocka_unit_test(test_address_beats_domain),
		cmocka_unit_test(test_remembered),
		cmocka_unit_test(test_bounded),
		cmocka_unit_test(test_registered),
		cmocka_unit_test(test_clash),
	};

	return cmocka_run_group_tests_name("permission", tests, NULL, NULL);
}

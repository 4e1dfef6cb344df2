/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include "registry/credential.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define PASSWORD "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9"
#define DIGEST                                                               \
	"c888ef9b7f02e7348de013ce620f42abf200f127498355d20f5096bf5c0ea26e"
#define DAY_MS ((int64_t)86400000)

static const struct wall now = { 1714564800000 };

/* credentials#1 */
static void
test_vectors(void **state)
{
	static const struct {
		const char *secret, *region, *password;
	} rows[] = {
		{ SECRET, "us-east-1",
		    "BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9" },
		{ SECRET, "us-west-2",
		    "BF2PynzbSCAjX08zhZZnP/kW+T9P5zs/1Er0pi5vTEmd" },
		{ SECRET, "eu-west-1",
		    "BMW5RDrXmmVs0lV7GpI4oLkHXpZ4stDsk6q91z1g38Pk" },
		{ SECRET, "ap-northeast-2",
		    "BFrwSu3BsGr8nvY2bDCyObUpnNCGFtmAY0j+5nSYn0ZQ" },
		{ SECRET, "local",
		    "BCPiDCcWtEfrAGeLF/0lxxX3gmO5OES+V3bZFxmF2VE9" },
		{ SECRET, "site-1",
		    "BL5QmNSlQBRFZ1708+feyVDLRhTU6aUyJ2NOUV0K5BWh" },
		{ "0123456789abcdefghijklmnopqrstuvwxyzABCD", "us-east-1",
		    "BEaa/bz6u2XkwlTrFWs1+8u0BW9cCx0mjlSm14HKJw5P" },
	};
	char   password[CREDENTIAL_PASSWORD_SIZE];
	size_t i;

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		credential_derive(bytes_of(rows[i].secret),
		    bytes_of(rows[i].region), password);
		assert_string_equal(password, rows[i].password);
	}
}

/* credentials#1: intermediate values */
static void
test_steps(void **state)
{
	static const char *const steps[2][5] = {
		{ "5e88ec44617a177b45690a3e5fcf20c1"
		  "7099739a24aef34200b96801db651ecc",
		    "c95c7aa304a661ec5d63ccbc07779085"
		    "09ea72b822e93ee199375cddf812cecf",
		    "d1f402dbfb2b8c87077bb6317e9826e0"
		    "fd295adf7ab615598398b6ed0f3cb2a4",
		    "c8b82257b805c29d363837fe9832fe15"
		    "a41a1f1ec65823dac54486d4774f5315",
		    "b04cffd8525042dfabc1b0fab53561c0"
		    "6390ec466e14f65c6efadf154b1962fd" },
		{ "5e88ec44617a177b45690a3e5fcf20c1"
		  "7099739a24aef34200b96801db651ecc",
		    "e3be853c6f4ee472aeb2359ddaf57e5c"
		    "bc61a0f4db44e2c42823287add50b9bc",
		    "91b139219f32fe8130bdc69822dd9f5e"
		    "0544eb8d1cb9f418e0dba0e8cbeeb63c",
		    "bf59367a4a1b06675ddf565d4b9e58ea"
		    "03d985920daf4ef143277bcc77a19bc3",
		    "5d8fca7cdb4820235f4f338596673ff9"
		    "16f93f4fe73b3fd44af4a62e6f4c499d" },
	};
	static const char *const regions[2] = { "us-east-1", "us-west-2" };
	unsigned char		 out[5][32];
	char			 hex[65];
	size_t			 r, i;

	(void)state;
	for (r = 0; r < 2; r++) {
		credential_derive_steps(BYTES(SECRET), bytes_of(regions[r]),
		    out);
		for (i = 0; i < 5; i++) {
			hex_encode(out[i], 32, hex);
			assert_string_equal(hex, steps[r][i]);
		}
	}
}

/* credentials#3 */
static void
test_form_of_passwords(void **state)
{
	char	      secret[CREDENTIAL_SECRET_SIZE];
	char	      password[CREDENTIAL_PASSWORD_SIZE];
	unsigned char raw[33], digest[32];
	size_t	      i, n;

	(void)state;
	for (i = 0; i < 10000; i++) {
		credential_make_secret(secret);
		assert_int_equal(strlen(secret), 40);
		credential_derive(bytes_of(secret), BYTES("us-east-1"),
		    password);
		assert_int_equal(strlen(password), 44);
		assert_int_equal(password[0], 'B');
		assert_in_range(password[1], 'A', 'P');
		assert_true(base64_decode(bytes_of(password), raw, 33, &n));
		assert_int_equal(n, 33);
		assert_int_equal(raw[0], 4);
		assert_true(credential_verifier(bytes_of(password), digest));
	}
}

/* credentials 6; half of credentials#10 */
static void
test_verifier(void **state)
{
	static const char *const bad[] = { "", SECRET, PASSWORD "A",
		"ALBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL9", /* 0x00 */
		"BPBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGWL=",
		"BLBM/9hSUELfq8Gw+rU1YcBjkOxGbhT2XG763xVLGW!9" };
	unsigned char digest[32];
	char	      hex[65];
	size_t	      i;

	(void)state;
	assert_true(credential_verifier(BYTES(PASSWORD), digest));
	hex_encode(digest, 32, hex);
	assert_string_equal(hex, DIGEST);
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		assert_false(credential_verifier(bytes_of(bad[i]), digest));
	/* FIPS 180-4, "abc" */
	credential_sha256("abc", 3, digest);
	hex_encode(digest, 32, hex);
	assert_string_equal(hex, "ba7816bf8f01cfea414140de5dae2223"
	    "b00361a396177a9cb410ff61f20015ad");
}

static void
test_names(void **state)
{
	static const struct {
		const char *name;
		bool	    valid;
	} names[] = { { "app1", true }, { "A+=,.@_-z", true }, { "", false },
		{ "a b", false }, { "a/b", false }, { "\xc3\xa4", false },
		{ "123456789012345678901234567890123456789012345678901234567890"
		  "1234", true },
		{ "123456789012345678901234567890123456789012345678901234567890"
		  "12345", false } };
	static const struct {
		const char *id;
		bool	    valid;
	} ids[] = { { "AKIAIOSFODNN7EXAMPLE", true },
		{ "akiaiosfodnn7example", false }, { "AKIA", false },
		{ "AKIAIOSFODNN7EX ", false }, { "0123456789012345", true } };
	static const struct {
		const char *region;
		bool	    valid;
	} regions[] = { { "us-east-1", true }, { "local", true }, { "", false },
		{ "US-EAST-1", false }, { "a b", false },
		{ "12345678901234567890123456789012", true },
		{ "123456789012345678901234567890123", false } };
	enum credential_role role;
	char		     name[CREDENTIAL_NAME_SIZE];
	size_t		     i;

	(void)state;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		assert_int_equal(credential_name_is_valid(names[i].name),
		    names[i].valid);
	for (i = 0; i < sizeof(ids) / sizeof(ids[0]); i++)
		assert_int_equal(credential_key_id_is_valid(ids[i].id),
		    ids[i].valid);
	for (i = 0; i < sizeof(regions) / sizeof(regions[0]); i++)
		assert_int_equal(credential_region_is_valid(
				     bytes_of(regions[i].region)),
		    regions[i].valid);
	credential_default_name(now, name);
	assert_string_equal(name, "ses-smtp-user.20240501-120000");
	assert_true(credential_role_from_text("read-only", &role));
	assert_int_equal(role, ROLE_READ_ONLY);
	assert_string_equal(credential_role_to_text(role), "read-only");
	assert_false(credential_role_from_text("root", &role));
}

/* credentials#4: form of what is made */
static void
test_made_key(void **state)
{
	struct credential_key k;
	char		      password[CREDENTIAL_PASSWORD_SIZE];
	unsigned char	      digest[32];
	size_t		      i;

	(void)state;
	for (i = 0; i < 100; i++) {
		credential_make_key(&k, "us-east-1", now, password);
		assert_int_equal(strlen(k.id), 20);
		assert_memory_equal(k.id, "AKIA", 4);
		assert_int_equal(strspn(k.id + 4,
				     "ABCDEFGHIJKLMNOPQRSTUVWXYZ234567"), 16);
		assert_true(credential_verifier(bytes_of(password), digest));
		assert_memory_equal(k.digest, digest, 32);
		assert_string_equal(k.region, "us-east-1");
		assert_true(k.active);
		assert_false(k.imported);
	}
}

/* credentials#6 and the import of credentials#5 */
static void
test_import(void **state)
{
	struct credential_key k;
	char		      hex[65];
	struct err	      e;

	(void)state;
	memset(&k, 0, sizeof(k));
	assert_int_equal(credential_import_password(&k, "us-east-1",
			     BYTES(PASSWORD), &e), 0);
	hex_encode(k.digest, 32, hex);
	assert_string_equal(hex, DIGEST);
	assert_true(k.imported && k.active);
	assert_int_equal(credential_import_password(&k, "us-east-1",
			     BYTES(SECRET), &e), -1);
	assert_string_equal(e.text, "not an SMTP password of derivation "
	    "version 4; this looks like a secret access key; use "
	    "--secret-stdin");
	assert_int_equal(credential_import_password(&k, "us-east-1",
			     BYTES("short"), &e), -1);
	assert_string_equal(e.text,
	    "not an SMTP password of derivation version 4");
	memset(&k, 0, sizeof(k));
	assert_int_equal(credential_import_secret(&k, "us-east-1",
			     BYTES(SECRET), &e), 0);
	hex_encode(k.digest, 32, hex);
	assert_string_equal(hex, DIGEST);
	assert_int_equal(credential_import_secret(&k, "us-east-1",
			     BYTES(""), &e), -1);
}

static void
add_key(struct credential *c, const char *id)
{
	struct credential_key *k = &c->keys[c->key_count++];

	memset(k, 0, sizeof(*k));
	strcpy(k->id, id);
	strcpy(k->region, "us-east-1");
	k->active = true;
	k->created = now;
}

/* credentials#11 and #14 on this level */
static void
test_rotation(void **state)
{
	struct credential     c;
	struct credential_key fresh = { .active = true };
	struct wall	      t = now;
	struct err	      e;

	(void)state;
	credential_init(&c);
	add_key(&c, "AKIAAAAAAAAAAAAAAAA1");
	strcpy(fresh.id, "AKIAAAAAAAAAAAAAAAA2");
	assert_int_equal(credential_rotate(&c, &fresh, DAY_MS, t, &e), 0);
	assert_int_equal(c.key_count, 2);
	assert_true(c.keys[0].expires.ms == t.ms + DAY_MS);
	assert_true(c.keys[1].expires.ms == 0);
	assert_string_equal(credential_key_state(&c.keys[0], t), "ACTIVE");
	strcpy(fresh.id, "AKIAAAAAAAAAAAAAAAA3");
	assert_int_equal(credential_rotate(&c, &fresh, DAY_MS, t, &e), -1);
	assert_string_equal(e.text, "LimitExceededException: a credential can "
	    "have at most 2 access keys");
	assert_int_equal(e.code, BOOK_LIMIT);
	/* an inactive one makes room */
	c.keys[0].active = false;
	assert_string_equal(credential_key_state(&c.keys[0], t), "INACTIVE");
	assert_int_equal(credential_rotate(&c, &fresh, DAY_MS, t, &e), 0);
	assert_int_equal(c.key_count, 2);
	assert_string_equal(c.keys[0].id, "AKIAAAAAAAAAAAAAAAA2");
	assert_string_equal(c.keys[1].id, "AKIAAAAAAAAAAAAAAAA3");
	/* so does an expired one; --keep 0 expires at once */
	t.ms += DAY_MS;
	assert_string_equal(credential_key_state(&c.keys[0], t), "EXPIRED");
	strcpy(fresh.id, "AKIAAAAAAAAAAAAAAAA4");
	assert_int_equal(credential_rotate(&c, &fresh, 0, t, &e), 0);
	assert_string_equal(c.keys[0].id, "AKIAAAAAAAAAAAAAAAA3");
	assert_string_equal(credential_key_state(&c.keys[0], t), "EXPIRED");
	assert_string_equal(credential_key_state(&c.keys[1], t), "ACTIVE");
}

static void
test_last_use(void **state)
{
	struct credential_key k = { .active = true };
	struct wall	      t = now;

	(void)state;
	assert_true(credential_key_note_use(&k, t, "192.0.2.1", "submission"));
	t.ms += 59999;
	assert_false(credential_key_note_use(&k, t, "192.0.2.2", "x"));
	assert_string_equal(k.last_ip, "192.0.2.1");
	t.ms += 1;
	assert_true(credential_key_note_use(&k, t, "192.0.2.2", "x"));
	assert_string_equal(k.last_ip, "192.0.2.2");
	assert_true(k.last_used.ms == t.ms);
}

static void
test_policies(void **state)
{
	static const char allow[] = "{\"Statement\":{\"Effect\":\"Allow\","
				    "\"Action\":\"ses:*\",\"Resource\":\"*\"}}";
	struct credential c;
	char		  name[8];
	struct err	  e;
	unsigned	  i;

	(void)state;
	credential_init(&c);
	for (i = 10; i > 0; i--) {
		snprintf(name, sizeof(name), "p%02u", i);
		assert_int_equal(credential_set_policy(&c, name, BYTES(allow),
				     &e), 0);
	}
	assert_int_equal(c.policy_count, 10);
	for (i = 0; i < 10; i++) {
		snprintf(name, sizeof(name), "p%02u", i + 1);
		assert_string_equal(c.policies[i].name, name);
		assert_string_equal(c.policies[i].text, allow);
	}
	assert_int_equal(credential_set_policy(&c, "p11", BYTES(allow), &e),
	    -1);
	assert_int_equal(e.code, BOOK_LIMIT);
	assert_int_equal(credential_set_policy(&c, "p05", BYTES(allow), &e),
	    0);
	assert_int_equal(c.policy_count, 10);
	assert_int_equal(credential_set_policy(&c, "p05", BYTES(""), &e), 0);
	assert_int_equal(c.policy_count, 9);
	assert_string_equal(c.policies[4].name, "p06");
	assert_int_equal(credential_set_policy(&c, "p05", BYTES(""), &e), -1);
	assert_string_equal(e.text, "no such policy: p05");
	assert_int_equal(credential_set_policy(&c, "a.b", BYTES(allow), &e),
	    -1);
	assert_int_equal(credential_set_policy(&c, "x", BYTES("{}"), &e), -1);
	assert_string_equal(e.text,
	    "MalformedPolicyDocument: document: no statement");
	assert_int_equal(c.policy_count, 9);
}

/* -- the register --------------------------------------------------------- */

static struct credential
credential_sample(const char *name, const char *key)
{
	struct credential c;

	credential_init(&c);
	strcpy(c.account, world_account);
	strcpy(c.name, name);
	c.created = c.updated = now;
	if (key != NULL)
		add_key(&c, key);
	return c;
}

static void
fill_limits(struct credential_restrictions *r)
{
	assert_true(conf_cidr_parse(BYTES("192.0.2.0/24"), &r->cidrs[0]));
	assert_true(conf_cidr_parse(BYTES("2001:db8::/32"), &r->cidrs[1]));
	r->cidr_count = 2;
	strcpy(r->listeners[0], "submission");
	r->listener_count = 1;
	r->min_tls = 13;
	strcpy(r->from[0], "*@shop.example.com");
	strcpy(r->from[1], "*@example.net");
	r->from_count = 2;
	strcpy(r->rcpt[0], "*@example.org");
	r->rcpt_count = 1;
	r->max_recipients = 10;
	r->max_size = 1 << 20;
	r->max_24h = 1000;
	r->rate = 2.5;
	r->max_sessions = 4;
	strcpy(r->config_set, "prod");
	r->force_config_set = true;
	r->expires.ms = now.ms + DAY_MS;
	strcpy(r->tags[0].name, "app");
	strcpy(r->tags[0].value, "shop");
	memset(r->tags[1].name, 'n', MESSAGE_TAG_MAX);
	memset(r->tags[1].value, 'v', MESSAGE_TAG_MAX);
	r->tag_count = 2;
}

static void
body_both_ways(struct db_txn *t)
{
	struct credential c = credential_sample("App.1", NULL), d;
	char		  password[CREDENTIAL_PASSWORD_SIZE];
	struct err	  e;
	unsigned	  key = 9;

	fill_limits(&c.limits);
	c.role = ROLE_SEND;
	c.enabled = false;
	strcpy(c.description, "the \xc3\xa4pp");
	c.overrides.message_id = RULE_PRESERVE;
	c.overrides.received = RECEIVED_FULL;
	credential_make_key(&c.keys[0], "us-east-1", now, password);
	credential_make_key(&c.keys[1], "us-east-1", now, password);
	strcpy(c.keys[1].last_ip, "192.0.2.1");
	c.key_count = 2;
	assert_int_equal(credential_set_policy(&c, "inline",
			     BYTES("{\"Statement\":{\"Effect\":\"Deny\","
				   "\"Action\":\"*\",\"Resource\":\"*\"}}"),
			     &e), 0);
	assert_int_equal(credential_create(t, &c, 0, &e), 0);
	memset(&d, 0, sizeof(d));
	/* without regard to case, shown as given */
	assert_int_equal(credential_get(t, world_account, "aPP.1", &d, &e), 1);
	assert_memory_equal(&c, &d, sizeof(c));
	memset(&d, 0, sizeof(d));
	assert_int_equal(credential_find_key(t, c.keys[1].id, &d, &key, &e),
	    1);
	assert_int_equal(key, 1);
	assert_memory_equal(&c, &d, sizeof(c));
	assert_int_equal(credential_get(t, world_other, "App.1", &d, &e), 0);
	assert_int_equal(credential_get(t, world_account, "App.2", &d, &e), 0);
	assert_int_equal(credential_find_key(t, "AKIAAAAAAAAAAAAAAAAA", &d,
			     &key, &e), 0);
	/* without tags the record is that of the first release */
	c.limits.tag_count = 0;
	assert_int_equal(credential_put(t, &c, &e), 0);
	d.limits.tag_count = 5;
	assert_int_equal(credential_get(t, world_account, "App.1", &d, &e), 1);
	assert_int_equal(d.limits.tag_count, 0);
}

static void
test_both_ways(void **state)
{
	(void)state;
	world_test(body_both_ways);
}

static bool
count(void *arg, const struct credential *c)
{
	assert_true(credential_name_is_valid(c->name));
	++*(unsigned *)arg;
	return true;
}

static void
body_unique(struct db_txn *t)
{
	struct credential a = credential_sample("a", "AKIAAAAAAAAAAAAAAAA1");
	struct credential b = credential_sample("b", "AKIAAAAAAAAAAAAAAAA1");
	struct credential big = credential_sample("A", NULL);
	unsigned	  n = 0, key;
	struct err	  e;

	assert_int_equal(credential_create(t, &a, 2, &e), 0);
	assert_int_equal(credential_create(t, &big, 2, &e), -1);
	assert_string_equal(e.text,
	    "AlreadyExistsException: a credential named A exists");
	/* ids are unique over all accounts */
	strcpy(b.account, world_other);
	assert_int_equal(credential_create(t, &b, 2, &e), -1);
	assert_string_equal(e.text, "AlreadyExistsException: access key id "
	    "AKIAAAAAAAAAAAAAAAA1 is already in use");
	strcpy(b.account, world_account);
	strcpy(b.keys[0].id, "AKIAAAAAAAAAAAAAAAA2");
	assert_int_equal(credential_create(t, &b, 2, &e), 0);
	b = credential_sample("c", NULL);
	assert_int_equal(credential_create(t, &b, 2, &e), -1);
	assert_string_equal(e.text, "LimitExceededException: an account can "
	    "have at most 2 credentials");
	assert_int_equal(credential_count(t, world_account), 2);
	assert_int_equal(credential_count(t, world_other), 0);
	assert_int_equal(credential_each(t, NULL, count, &n, &e), 0);
	assert_int_equal(n, 2);
	/* a key that is gone is found no more; a new one is */
	strcpy(a.keys[0].id, "AKIAAAAAAAAAAAAAAAA3");
	assert_int_equal(credential_put(t, &a, &e), 0);
	assert_int_equal(credential_find_key(t, "AKIAAAAAAAAAAAAAAAA1", &b,
			     &key, &e), 0);
	assert_int_equal(credential_find_key(t, "AKIAAAAAAAAAAAAAAAA3", &b,
			     &key, &e), 1);
	assert_int_equal(credential_delete(t, world_account, "A", &e), 1);
	assert_int_equal(credential_delete(t, world_account, "A", &e), 0);
	assert_int_equal(credential_find_key(t, "AKIAAAAAAAAAAAAAAAA3", &b,
			     &key, &e), 0);
	assert_int_equal(credential_count(t, world_account), 1);
}

static void
test_unique(void **state)
{
	(void)state;
	world_test(body_unique);
}

static void
body_refused(struct db_txn *t)
{
	struct credential c = credential_sample("a b", NULL);
	struct err	  e;

	assert_int_equal(credential_create(t, &c, 0, &e), -1);
	c = credential_sample("a", "short");
	assert_int_equal(credential_create(t, &c, 0, &e), -1);
	c = credential_sample("a", NULL);
	c.limits.min_tls = 11;
	assert_int_equal(credential_create(t, &c, 0, &e), -1);
	assert_string_equal(e.text, "the lowest TLS version is 1.2 or 1.3");
	assert_int_equal(db_put(t, BOOK_CREDENTIAL, BYTES("123456789012x"),
			     BYTES("\1\1x\7"), false, &e), 0);
	assert_int_equal(credential_get(t, world_account, "x", &c, &e), -1);
	assert_string_equal(e.text,
	    "credential 123456789012/x: the record is damaged");
}

static void
test_refused(void **state)
{
	(void)state;
	world_test(body_refused);
}

static void
body_store(struct db_txn *t)
{
	struct credential c = credential_sample("old", NULL);
	struct err	  e;

	add_key(&c, "AKIAIOSFODNN7EXAMPLE");
	assert_int_equal(credential_import_secret(&c.keys[0], "us-east-1",
			     BYTES(SECRET), &e), 0);
	assert_int_equal(credential_create(t, &c, 0, &e), 0);
}

/* credentials#10: neither secret nor password in the store */
static void
test_store_has_no_secret(void **state)
{
	struct book_world w;
	struct buf	  file;
	char		  path[128];
	unsigned char	  digest[32];
	FILE		 *f;
	char		  raw[4096];
	size_t		  n;

	(void)state;
	world_open(&w);
	world_run(&w, body_store);
	snprintf(path, sizeof(path), "%s/state/data.mdb", w.dir);
	f = fopen(path, "r");
	assert_non_null(f);
	buf_init(&file, 64 << 20);
	while ((n = fread(raw, 1, sizeof(raw), f)) > 0)
		assert_true(buf_add(&file, raw, n));
	fclose(f);
	assert_true(hex_decode(BYTES(DIGEST), digest, 32));
	assert_non_null(memmem(file.p, file.n, digest, 32));
	assert_null(memmem(file.p, file.n, SECRET, 40));
	assert_null(memmem(file.p, file.n, PASSWORD, 44));
	assert_true(base64_decode(BYTES(PASSWORD), raw, 33, &n));
	assert_null(memmem(file.p, file.n, raw + 1, 32));
	buf_wipe(&file);
	world_close(&w);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vectors),
		cmocka_unit_test(test_steps),
		cmocka_unit_test(test_form_of_passwords),
		cmocka_unit_test(test_verifier),
		cmocka_unit_test(test_names),
		cmocka_unit_test(test_made_key),
		cmocka_unit_test(test_import),
		cmocka_unit_test(test_rotation),
		cmocka_unit_test(test_last_use),
		cmocka_unit_test(test_policies),
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_unique),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_store_has_no_secret),
	};

	return cmocka_run_group_tests_name("credential", tests, NULL, NULL);
}

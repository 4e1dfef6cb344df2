/* SPDX-License-Identifier: ISC */
#include "book_world.h"

#include "registry/config_set.h"
#include "registry/identity.h"

static const struct wall noon = { 1714564800000 };

static struct config_set
set_of(const char *name)
{
	struct config_set s;

	config_set_init(&s, world_account, name, noon);
	return s;
}

static void
expect_refused(int rc, const struct err *e, int code, const char *part)
{
	assert_int_equal(rc, -1);
	if (strstr(e->text, part) == NULL)
		fail_msg("%s", e->text);
	assert_int_equal(e->code, code);
}

/* -- records -------------------------------------------------------------- */

static struct config_set
full_set(void)
{
	struct config_set s = set_of("sample-configuration-set");

	s.sending = false;
	strcpy(s.pause_reason, "manual");
	strcpy(s.paused_by, "root");
	s.paused_since.ms = noon.ms + 1;
	s.require_tls = true;
	strcpy(s.pool, "ses-shared-pool");
	s.max_delivery_s = 3600;
	s.reputation = true;
	s.reputation_since.ms = noon.ms + 2;
	s.fresh_start.ms = noon.ms + 3;
	s.own_suppression = s.suppress_complaint = true;
	strcpy(s.redirect_domain, "click.example.com");
	s.https = HTTPS_REQUIRE_OPEN_ONLY;
	s.engagement = VDM_ENABLED;
	s.shared_delivery = VDM_DISABLED;
	s.updated.ms = noon.ms + 4;
	return s;
}

static void
body_both_ways(struct db_txn *t)
{
	struct config_set a = full_set(), b;
	struct err	  e;

	assert_int_equal(config_set_create(t, &a, &e), 0);
	assert_int_equal(config_set_get(t, world_account, bytes_of(a.name),
	    &b, &e), 1);
	assert_memory_equal(&a, &b, sizeof(a));
	memset(&b, 0, sizeof(b));
	assert_int_equal(config_set_find(t, &a.id, &b, &e), 1);
	assert_memory_equal(&a, &b, sizeof(a));
	/* names are those of one account, in the case they were given */
	assert_int_equal(config_set_get(t, world_other, bytes_of(a.name), &b,
	    &e), 0);
	assert_int_equal(config_set_get(t, world_account,
	    BYTES("Sample-configuration-set"), &b, &e), 0);
	assert_int_equal(config_set_get(t, world_account, BYTES("a b"), &b,
	    &e), 0);
	a.require_tls = false;
	assert_int_equal(config_set_put(t, &a, &e), 0);
	assert_int_equal(config_set_find(t, &a.id, &b, &e), 1);
	assert_false(b.require_tls);
}

static void
test_both_ways(void **state)
{
	(void)state;
	world_test(body_both_ways);
}

/* configuration-sets#20: the new one is not the old one. */
static void
body_made_again(struct db_txn *t)
{
	struct config_set a = set_of("S"), b = set_of("S"), c;
	struct err	  e;

	assert_int_equal(config_set_create(t, &a, &e), 0);
	expect_refused(config_set_create(t, &b, &e), &e, BOOK_EXISTS,
	    "S exists already");
	assert_int_equal(config_set_delete(t, world_account, "S", &e), 1);
	assert_int_equal(config_set_delete(t, world_account, "S", &e), 0);
	assert_int_equal(config_set_create(t, &b, &e), 0);
	assert_int_equal(config_set_find(t, &a.id, &c, &e), 0);
	assert_int_equal(config_set_find(t, &b.id, &c, &e), 1);
	assert_memory_equal(&b, &c, sizeof(b));
}

static void
test_made_again(void **state)
{
	(void)state;
	world_test(body_made_again);
}

/* configuration-sets#21 */
static void
body_refused(struct db_txn *t)
{
	static const char letters[] = "abcdefghijklmnopqrstuvwxyz-_0123456789"
				      "ABCDEFGHIJKLMNOPQRSTUVWXYZa";
	static const char *const bad[] = { "a b", ("gr\xc3\xb6\xc3\x9f"
		"e"), "", "a.b", "a/b" };
	struct config_set s = set_of(letters);
	struct err	  e;
	size_t		  i;

	assert_int_equal(strlen(letters), 65);
	/* init has cut it to 64, which are allowed */
	assert_int_equal(strlen(s.name), 64);
	assert_int_equal(config_set_create(t, &s, &e), 0);
	assert_false(config_set_name_is_valid(bytes_of(letters)));
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++) {
		s = set_of(bad[i]);
		expect_refused(config_set_create(t, &s, &e), &e,
		    BOOK_BAD_REQUEST, "1 to 64 of A-Z a-z 0-9 - _");
	}
	s = set_of("x");
	strcpy(s.pool, "transactional");
	expect_refused(config_set_create(t, &s, &e), &e, BOOK_NOT_FOUND,
	    "no such pool: transactional");
	strcpy(s.pool, "ses-default-dedicated-pool");
	s.max_delivery_s = 299;
	expect_refused(config_set_create(t, &s, &e), &e, BOOK_BAD_REQUEST,
	    "from 300 to 50400");
	s.max_delivery_s = 50401;
	expect_refused(config_set_create(t, &s, &e), &e, BOOK_BAD_REQUEST,
	    "from 300 to 50400");
	s.max_delivery_s = 300;
	strcpy(s.redirect_domain, "-.example");
	expect_refused(config_set_create(t, &s, &e), &e, BOOK_BAD_REQUEST,
	    "not a host name");
	s.redirect_domain[0] = '\0';
	assert_int_equal(config_set_create(t, &s, &e), 0);
}

static void
test_refused(void **state)
{
	(void)state;
	world_test(body_refused);
}

static bool
on_name(void *list, const struct config_set *s)
{
	buf_printf(list, "%s ", s->name);
	return strcmp(s->name, "b") != 0;
}

static void
body_order(struct db_txn *t)
{
	static const char *const names[] = { "b", "_", "A", "a", "c", "0" };
	struct config_set s;
	struct buf	  list;
	struct err	  e;
	size_t		  i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		s = set_of(names[i]);
		assert_int_equal(config_set_create(t, &s, &e), 0);
	}
	config_set_init(&s, world_other, "B", noon);
	assert_int_equal(config_set_create(t, &s, &e), 0);
	buf_init(&list, 100);
	assert_int_equal(config_set_each(t, world_account, on_name, &list,
	    &e), 0);
	buf_add_char(&list, '\0');
	assert_string_equal(list.p, "0 A _ a b ");
	buf_wipe(&list);
}

static void
test_order(void **state)
{
	(void)state;
	world_test(body_order);
}

static void
body_limit(struct db_txn *t)
{
	struct config_set s;
	struct err	  e;
	char		  name[16];
	int		  i;

	for (i = 0; i < CONFIG_SETS_MAX; i++) {
		snprintf(name, sizeof(name), "n%05d", i);
		s = set_of(name);
		if (i % 1000 == 0 || i == CONFIG_SETS_MAX - 1) {
			assert_int_equal(config_set_create(t, &s, &e), 0);
			continue;
		}
		/* the count is by rows: those between are laid down */
		assert_int_equal(config_set_put(t, &s, &e), 0);
	}
	s = set_of("one-more");
	expect_refused(config_set_create(t, &s, &e), &e, BOOK_LIMIT,
	    "at most 10000");
	config_set_init(&s, world_other, "one-more", noon);
	assert_int_equal(config_set_create(t, &s, &e), 0);
}

static void
test_limit(void **state)
{
	(void)state;
	world_test(body_limit);
}

static void
body_damaged(struct db_txn *t)
{
	struct config_set s = set_of("S"), out;
	struct err	  e;
	struct buf	  b;
	size_t		  n;

	assert_int_equal(config_set_create(t, &s, &e), 0);
	buf_init(&b, 4096);
	s = full_set();
	assert_true(config_set_write_record(&s, &b));
	for (n = 0; n < b.n; n++)
		assert_false(config_set_read_record((struct bytes){ b.p, n },
		    &out));
	b.p[0] = 99; /* a version of later */
	assert_false(config_set_read_record(buf_bytes(&b), &out));
	assert_int_equal(db_put(t, BOOK_CONFIG_SET, BYTES("123456789012S"),
	    buf_bytes(&b), false, &e), 0);
	buf_wipe(&b);
	assert_int_equal(config_set_get(t, world_account, BYTES("S"), &out,
	    &e), -1);
	assert_false(book_is_refusal(&e));
}

static void
test_damaged(void **state)
{
	(void)state;
	world_test(body_damaged);
}

/* -- deletion ------------------------------------------------------------- */

static void
put_destination(struct db_txn *t, const struct config_set *s,
    const char *name)
{
	char	   key[64];
	size_t	   n = strlen(name);
	struct err e;

	memcpy(key, s->id.b, sizeof(s->id.b));
	memcpy(key + sizeof(s->id.b), name, n);
	assert_int_equal(db_put(t, BOOK_DESTINATION,
	    (struct bytes){ key, sizeof(s->id.b) + n }, BYTES("x"), false,
	    &e), 0);
}

static void
body_delete(struct db_txn *t)
{
	struct config_set      a = set_of("A"), b = set_of("B");
	struct resource_tags tags = { 0 };
	struct arena	      *arena = arena_new(65536);
	struct err	       e;

	assert_int_equal(config_set_create(t, &a, &e), 0);
	assert_int_equal(config_set_create(t, &b, &e), 0);
	put_destination(t, &a, "audit");
	put_destination(t, &a, "hooks");
	put_destination(t, &b, "audit");
	assert_int_equal(resource_tags_add(&tags, BYTES("team"),
	    BYTES("x"), &e), 0);
	assert_int_equal(config_set_tags_put(t, &a, &tags, &e), 0);
	assert_int_equal(config_set_count_destinations(t, &a.id, &e), 2);
	assert_int_equal(config_set_delete(t, world_account, "A", &e), 1);
	assert_int_equal(config_set_count_destinations(t, &a.id, &e), 0);
	assert_int_equal(config_set_count_destinations(t, &b.id, &e), 1);
	assert_int_equal(config_set_tags_get(t, &a, arena, &tags, &e), 0);
	assert_int_equal(tags.n, 0);
	assert_int_equal(db_count(t, BOOK_SET_ID), 1);
	arena_free(arena);
}

static void
test_delete(void **state)
{
	(void)state;
	world_test(body_delete);
}

/* -- states --------------------------------------------------------------- */

static void
test_states(void **state)
{
	struct config_set s = set_of("S");

	(void)state;
	assert_true(s.sending);
	assert_false(config_set_resume(&s, noon)); /* no fresh start */
	assert_int_equal(s.fresh_start.ms, 0);
	assert_true(config_set_pause(&s, "alarm:bounce", "alarm",
	    (struct wall){ noon.ms + 1000 }));
	/* whoever comes later does not take it over */
	assert_false(config_set_pause(&s, "manual", "root",
	    (struct wall){ noon.ms + 2000 }));
	assert_false(s.sending);
	assert_string_equal(s.pause_reason, "alarm:bounce");
	assert_string_equal(s.paused_by, "alarm");
	assert_int_equal(s.paused_since.ms, noon.ms + 1000);
	assert_true(config_set_resume(&s, (struct wall){ noon.ms + 3000 }));
	assert_true(s.sending);
	assert_string_equal(s.pause_reason, "");
	assert_int_equal(s.paused_since.ms, 0);
	assert_int_equal(s.fresh_start.ms, noon.ms + 3000);
	config_set_switch_reputation(&s, true, noon);
	config_set_switch_reputation(&s, true,
	    (struct wall){ noon.ms + 1 });
	assert_int_equal(s.reputation_since.ms, noon.ms);
	config_set_switch_reputation(&s, false, noon);
	assert_int_equal(s.reputation_since.ms, noon.ms); /* history */
	config_set_switch_reputation(&s, true,
	    (struct wall){ noon.ms + 2 });
	assert_int_equal(s.reputation_since.ms, noon.ms + 2);
}

/* -- labels --------------------------------------------------------------- */

static void
test_tags(void **state)
{
	struct resource_tags tags = { 0 };
	char		       text[1100];
	struct err	       e;
	int		       i;

	(void)state;
	memset(text, 'k', sizeof(text));
	for (i = 0; i < 128; i++) /* 128 characters, 256 octets */
		memcpy(text + 2 * i, "\xc3\xb6", 2);
	assert_int_equal(resource_tags_add(&tags,
	    (struct bytes){ text, 256 }, BYTES(""), &e), 0);
	expect_refused(resource_tags_add(&tags,
	    (struct bytes){ text, 257 }, BYTES(""), &e), &e,
	    BOOK_BAD_REQUEST, "1 to 128 characters");
	expect_refused(resource_tags_add(&tags, BYTES(""), BYTES(""), &e),
	    &e, BOOK_BAD_REQUEST, "1 to 128 characters");
	expect_refused(resource_tags_add(&tags, BYTES("k"),
	    (struct bytes){ text + 300, 257 }, &e), &e, BOOK_BAD_REQUEST,
	    "at most 256 characters");
	expect_refused(resource_tags_add(&tags, BYTES("\xc3"), BYTES(""),
	    &e), &e, BOOK_BAD_REQUEST, "1 to 128 characters");
	expect_refused(resource_tags_add(&tags, BYTES("AWS:x"), BYTES(""),
	    &e), &e, BOOK_BAD_REQUEST, "begin with aws:");
	expect_refused(resource_tags_add(&tags,
	    (struct bytes){ text, 256 }, BYTES("x"), &e), &e,
	    BOOK_BAD_REQUEST, "given twice");
	for (i = 1; i < RESOURCE_TAGS_MAX; i++)
		assert_int_equal(resource_tags_add(&tags,
		    (struct bytes){ text + 300, (size_t)i },
		    BYTES("x"), &e), 0);
	expect_refused(resource_tags_add(&tags, BYTES("more"), BYTES(""),
	    &e), &e, BOOK_BAD_REQUEST, "at most 50");
}

static void
body_tags_stored(struct db_txn *t)
{
	struct config_set      s = set_of("S");
	struct resource_tags tags = { 0 }, out;
	struct arena	      *a = arena_new(65536);
	struct err	       e;

	assert_int_equal(config_set_create(t, &s, &e), 0);
	assert_int_equal(resource_tags_add(&tags, BYTES("team"),
	    BYTES("billing"), &e), 0);
	assert_int_equal(resource_tags_add(&tags, BYTES("b"), BYTES(""),
	    &e), 0);
	assert_int_equal(config_set_tags_put(t, &s, &tags, &e), 0);
	assert_int_equal(config_set_tags_get(t, &s, a, &out, &e), 0);
	assert_int_equal(out.n, 2);
	assert_true(bytes_eq_text(out.v[0].key, "team"));
	assert_true(bytes_eq_text(out.v[0].value, "billing"));
	assert_true(bytes_eq_text(out.v[1].key, "b"));
	tags.n = 0;
	assert_int_equal(config_set_tags_put(t, &s, &tags, &e), 0);
	assert_int_equal(config_set_tags_put(t, &s, &tags, &e), 0);
	assert_int_equal(config_set_tags_get(t, &s, a, &out, &e), 0);
	assert_int_equal(out.n, 0);
	arena_free(a);
}

static void
test_tags_stored(void **state)
{
	(void)state;
	world_test(body_tags_stored);
}

/* -- redirect domain ------------------------------------------------------ */

static void
add_identity(struct db_txn *t, const char *name, enum identity_status status)
{
	struct identity i;
	struct err	e;

	identity_init(&i, world_account, name, noon);
	i.method = METHOD_OVERRIDE;
	i.link.status = status;
	assert_int_equal(identity_put(t, &i, &e), 0);
}

static void
body_redirect(struct db_txn *t)
{
	struct config_set s = set_of("S");
	struct err	  e;

	add_identity(t, "example.com", IDENTITY_SUCCESS);
	add_identity(t, "pending.example", IDENTITY_PENDING);
	assert_int_equal(config_set_check_redirect(t, &s, noon, &e), 0);
	strcpy(s.redirect_domain, "a.click.example.com");
	assert_int_equal(config_set_check_redirect(t, &s, noon, &e), 0);
	strcpy(s.redirect_domain, "example.com");
	assert_int_equal(config_set_check_redirect(t, &s, noon, &e), 0);
	strcpy(s.redirect_domain, "click.pending.example");
	expect_refused(config_set_check_redirect(t, &s, noon, &e), &e,
	    BOOK_BAD_REQUEST, "neither a verified domain");
	strcpy(s.redirect_domain, "badexample.com");
	expect_refused(config_set_check_redirect(t, &s, noon, &e), &e,
	    BOOK_BAD_REQUEST, "neither a verified domain");
}

static void
test_redirect(void **state)
{
	(void)state;
	world_test(body_redirect);
}

/* -- JSON ----------------------------------------------------------------- */

static int
read_json(const char *text, struct config_set_input *in, struct err *e)
{
	struct arena *a = arena_new(256 * 1024);
	int	      rc = config_set_read_json(bytes_of(text), a, in, e);

	in->tags.n = 0; /* their texts go */
	arena_free(a);
	return rc;
}

/* The example of section 1, out and in again. */
static void
test_json_full(void **state)
{
	static const char text[] =
	    "{\"ConfigurationSetName\":\"sample-configuration-set\","
	    "\"TrackingOptions\":{"
	    "\"CustomRedirectDomain\":\"click.example.com\","
	    "\"HttpsPolicy\":\"REQUIRE_OPEN_ONLY\"},"
	    "\"DeliveryOptions\":{\"TlsPolicy\":\"REQUIRE\","
	    "\"SendingPoolName\":\"ses-shared-pool\","
	    "\"MaxDeliverySeconds\":3600},"
	    "\"ReputationOptions\":{\"ReputationMetricsEnabled\":true,"
	    "\"LastFreshStart\":\"2024-05-01T12:00:00.003Z\"},"
	    "\"SendingOptions\":{\"SendingEnabled\":false},"
	    "\"Tags\":[{\"Key\":\"team\",\"Value\":\"b\xc3\xbcro\"}],"
	    "\"SuppressionOptions\":{\"SuppressedReasons\":[\"COMPLAINT\"]},"
	    "\"VdmOptions\":{\"DashboardOptions\":{"
	    "\"EngagementMetrics\":\"ENABLED\"},\"GuardianOptions\":{"
	    "\"OptimizedSharedDelivery\":\"DISABLED\"}},"
	    "\"PauseReason\":\"manual\","
	    "\"PausedSince\":\"2024-05-01T12:00:00.001Z\","
	    "\"PausedBy\":\"root\","
	    "\"CreatedTimestamp\":\"2024-05-01T12:00:00.000Z\","
	    "\"LastUpdatedTimestamp\":\"2024-05-01T12:00:00.004Z\"}";
	struct config_set	s = full_set(), made;
	struct resource_tags	tags = { 0 };
	struct config_set_input in;
	struct arena	       *a = arena_new(65536);
	struct buf		out;
	struct err		e;

	(void)state;
	assert_int_equal(resource_tags_add(&tags, BYTES("team"),
	    BYTES("b\xc3\xbcro"), &e), 0);
	buf_init(&out, 65536);
	assert_true(config_set_write_json(&s, &tags, &out));
	buf_add_char(&out, '\0');
	assert_string_equal(out.p, text);
	if (config_set_read_json(bytes_of(text), a, &in, &e) != 0)
		fail_msg("%s", e.text);
	assert_true(in.has_tracking && in.has_delivery &&
	    in.has_reputation && in.has_sending && in.has_tags &&
	    in.has_suppression && in.has_vdm);
	assert_string_equal(in.name, s.name);
	assert_false(in.given.sending);
	assert_int_equal(in.tags.n, 1);
	assert_true(bytes_eq_text(in.tags.v[0].value, "b\xc3\xbcro"));
	config_set_init(&made, world_account, in.name, noon);
	config_set_apply(&made, &in, (struct wall){ noon.ms + 2 });
	/* what nobody can set by it */
	made.id = s.id;
	made.sending = false;
	strcpy(made.pause_reason, "manual");
	strcpy(made.paused_by, "root");
	made.paused_since = s.paused_since;
	made.fresh_start = s.fresh_start;
	made.updated = s.updated;
	assert_memory_equal(&made, &s, sizeof(s));
	buf_wipe(&out);
	arena_free(a);
}

static void
test_json_defaults(void **state)
{
	struct config_set	s = set_of("S");
	struct resource_tags	tags = { 0 };
	struct config_set_input in;
	struct buf		out;
	struct err		e;

	(void)state;
	buf_init(&out, 65536);
	assert_true(config_set_write_json(&s, &tags, &out));
	buf_add_char(&out, '\0');
	assert_string_equal(out.p, "{\"ConfigurationSetName\":\"S\","
	    "\"DeliveryOptions\":{\"TlsPolicy\":\"OPTIONAL\"},"
	    "\"ReputationOptions\":{\"ReputationMetricsEnabled\":false,"
	    "\"LastFreshStart\":null},"
	    "\"SendingOptions\":{\"SendingEnabled\":true},\"Tags\":[],"
	    "\"CreatedTimestamp\":\"2024-05-01T12:00:00.000Z\","
	    "\"LastUpdatedTimestamp\":\"2024-05-01T12:00:00.000Z\"}");
	buf_wipe(&out);
	/* an empty skeleton gives nothing */
	assert_int_equal(read_json(config_set_skeleton, &in, &e), 0);
	assert_false(in.has_tracking || in.has_delivery ||
	    in.has_reputation || in.has_sending || in.has_tags ||
	    in.has_suppression || in.has_vdm || in.name[0] != '\0');
	/* an empty group puts it back */
	assert_int_equal(read_json("{\"DeliveryOptions\":{},"
	    "\"SuppressionOptions\":{}}", &in, &e), 0);
	s = full_set();
	config_set_apply(&s, &in, noon);
	assert_false(s.require_tls || s.own_suppression);
	assert_string_equal(s.pool, "");
	assert_int_equal(s.max_delivery_s, 0);
	assert_int_equal(s.engagement, VDM_ENABLED); /* not named */
	/* "none" is another thing than "account" */
	assert_int_equal(read_json("{\"SuppressionOptions\":"
	    "{\"SuppressedReasons\":[]}}", &in, &e), 0);
	config_set_apply(&s, &in, noon);
	assert_true(s.own_suppression && !s.suppress_bounce &&
	    !s.suppress_complaint);
}

/* configuration-sets#24, and whatever else is no set */
static void
test_json_refused(void **state)
{
	static const struct {
		const char *text, *why;
	} bad[] = {
		{ "{\"DeliveryOptions\":{\"TlsPolcy\":\"REQUIRE\"}}",
		    "DeliveryOptions.TlsPolcy: unknown member" },
		{ "{\"Tls\":1}", "Tls: unknown member" },
		{ "{\"VdmOptions\":{\"DashboardOptions\":{\"X\":null}}}",
		    "VdmOptions.DashboardOptions.X: unknown member" },
		{ "{\"DeliveryOptions\":{\"TlsPolicy\":\"NEVER\"}}",
		    "DeliveryOptions.TlsPolicy: NEVER is not one" },
		{ "{\"DeliveryOptions\":{\"TlsPolicy\":\"\"}}",
		    "DeliveryOptions.TlsPolicy:  is not one" },
		{ "{\"DeliveryOptions\":{\"TlsPolicy\":1}}",
		    "DeliveryOptions.TlsPolicy: is not a text" },
		{ "{\"DeliveryOptions\":[]}",
		    "DeliveryOptions: is not an object" },
		{ "{\"DeliveryOptions\":{\"MaxDeliverySeconds\":1}}",
		    "MaxDeliverySeconds: is not a number from 300" },
		{ "{\"DeliveryOptions\":{\"MaxDeliverySeconds\":\"300\"}}",
		    "MaxDeliverySeconds: is not a number from 300" },
		{ "{\"SendingOptions\":{\"SendingEnabled\":\"true\"}}",
		    "SendingOptions.SendingEnabled: is not true or false" },
		{ "{\"SuppressionOptions\":{\"SuppressedReasons\":"
		  "[\"BOUNCE\",\"SPAM\"]}}",
		    "SuppressedReasons[1]: SPAM is not one" },
		{ "{\"SuppressionOptions\":{\"SuppressedReasons\":\"x\"}}",
		    "SuppressedReasons: is not a list" },
		{ "{\"Tags\":[{\"Key\":\"a\"},{\"Key\":\"a\"}]}",
		    "Tags[1]: the tag a is given twice" },
		{ "{\"Tags\":[{\"Value\":\"a\"}]}", "Tags[0]: is no tag" },
		{ "{\"Tags\":[{\"Key\":\"a\",\"V\":1}]}",
		    "Tags[0]: unknown member" },
		{ "{\"ConfigurationSetName\":\"a b\"}",
		    "ConfigurationSetName: is not 1 to 64" },
		{ "{\"TrackingOptions\":{\"CustomRedirectDomain\":\"a b\"}}",
		    "TrackingOptions.CustomRedirectDomain: is not a host" },
		{ "[]", "the document: is not an object" },
		{ "{\"Tags\":[],\"Tags\":[]}", "line 1, column" },
		{ "{\n\"Tags\":[,]}", "line 2, column" },
		{ "", "line 1, column" },
	};
	struct config_set_input in;
	struct err		e;
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(bad) / sizeof(bad[0]); i++)
		expect_refused(read_json(bad[i].text, &in, &e), &e,
		    BOOK_BAD_REQUEST, bad[i].why);
	assert_int_equal(read_json("{\"DeliveryOptions\":"
	    "{\"TlsPolicy\":\"Require\"}}", &in, &e), 0);
	assert_true(in.given.require_tls);
}

int
main(void)
{
	static const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_both_ways),
		cmocka_unit_test(test_made_again),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_order),
		cmocka_unit_test(test_limit),
		cmocka_unit_test(test_damaged),
		cmocka_unit_test(test_delete),
		cmocka_unit_test(test_states),
		cmocka_unit_test(test_tags),
		cmocka_unit_test(test_tags_stored),
		cmocka_unit_test(test_redirect),
		cmocka_unit_test(test_json_full),
		cmocka_unit_test(test_json_defaults),
		cmocka_unit_test(test_json_refused),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/*
 * Signatures of what is posted, and dkim.md 5.5: whatever happens to keys,
 * records and processes, a message that should be signed is never sent
 * unsigned by accident.  Over real sockets.
 */
#include "desk_bed.h"

#include "dkim_oracle.h"

static int
teardown(void **state)
{
	(void)state;
	keys_double_refuse = keys_double_hold = 0;
	keys_double_result = KEYS_OK;
	bed_close(&bed);
	return 0;
}

/* Number of signatures, all of which verify; -1 = one does not. */
static int
signatures(const char *message)
{
	return oracle_verify_with(bytes_of(message), keys_double_key);
}

/* -- signatures ----------------------------------------------------------- */

static void
sign_example(struct db_txn *t)
{
	bed_add_key(t, "example.com", "sel1");
}

/* dkim#1,4; 6.3 */
static void
test_signed_message(void **state)
{
	struct client *c;
	const char    *m;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	post_text(c, "sender@example.com", "r@example.org",
	    "From: Bob <bob@a.example.com>\r\nSubject: test\r\n\r\n"
	    "Hello, world.");
	m = stored_message(&bed, c->last);
	assert_int_equal(strncmp(m, "DKIM-Signature: v=1; a=rsa-sha256;", 34),
	    0);
	assert_non_null(strstr(m, "d=example.com;"));
	assert_non_null(strstr(m,
	    "bh=cYt+oiQVrRxPZobI0aHq9G01XoWfS96s0wd+I/mdOgU=;"));
	assert_int_equal(signatures(m), 1);
	/* the client's with the same d= and s= stands for ours */
	post_text(c, "sender@example.com", "r@example.org",
	    "DKIM-Signature: v=1; d=EXAMPLE.com; s=sel1; h=from\r\n"
	    "From: bob@example.com\r\n\r\nx");
	assert_int_equal(strncmp(stored_message(&bed, c->last), "Received:",
	    9), 0);
	assert_int_equal(meter_get(&bed.meters.dkim_client), 1);
	/* dkim#18: another one is left as it is, ours comes on top */
	post_text(c, "sender@example.com", "r@example.org",
	    "DKIM-Signature: v=1; d=client.example; s=x; h=from\r\n"
	    "From: bob@example.com\r\n\r\nx");
	m = stored_message(&bed, c->last);
	assert_int_equal(strncmp(m, "DKIM-Signature: v=1; a=rsa", 26), 0);
	assert_non_null(strstr(m, "\r\nDKIM-Signature: v=1; d=client.example; "
	    "s=x; h=from\r\nFrom: "));
	assert_int_equal(meter_get(&bed.meters.dkim_ok[SIGN_RSA]), 2);
	client_close(c);
}

/* Staged content is signed as well. */
static void
test_big_message_is_signed(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, "From: sender@example.com\r\n\r\n");
	send_body(c, 700000);
	send_text(c, ".\r\n");
	expect_line(c, "250 Ok 0100*");
	assert_int_equal(signatures(stored_message(&bed, c->last)), 1);
	client_close(c);
}

/* dkim 5.5: never unsigned by accident */
static void
test_keys_process_refuses(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	keys_double_refuse = 1;
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	keys_double_refuse = 0;
	assert_string_equal(c->last, "451 Temporary service failure");
	assert_true(bed_has_logged(&bed, "dkim: cannot sign sid="));
	assert_int_equal(meter_get(&bed.meters.dkim_error[SIGN_RSA]), 1);
	assert_int_equal(stored_count(), 0);
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	assert_int_equal(strncmp(c->last, "250 Ok ", 7), 0);
	client_close(c);
}

static void
tweak_operator(struct conf *c)
{
	c->dkim.operator_domain = "relay.example";
	c->dkim.operator_selector = "op";
	c->dkim.operator_key = "/test/key";
}

/* dkim#21 */
static void
test_operator_signature(void **state)
{
	struct client *c;
	const char    *m;

	(void)state;
	bed_open_with(&bed, "", tweak_operator);
	c = client_in(&bed);
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	m = stored_message(&bed, c->last);
	assert_non_null(strstr(m, "d=relay.example;"));
	assert_int_equal(signatures(m), 1);
	bed_change(&bed, sign_example);
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	m = stored_message(&bed, c->last);
	assert_true(strstr(m, "d=relay.example;") <
	    strstr(m, "d=example.com;"));
	assert_int_equal(signatures(m), 2);
	client_close(c);
}

/* The same over BDAT, in chunks that end anywhere. */
static void
test_chunks_are_signed(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	send_envelope(c);
	send_text(c, "BDAT 24\r\nFrom: sender@example.com");
	expect_line(c, "250 *");
	send_text(c, "BDAT 19\r\n\r\nSubject: x\r\n\r\na \r");
	expect_line(c, "250 *");
	send_text(c, "BDAT 6 LAST\r\n\n\r\n\r\nb");
	expect_line(c, "250 Ok 0100*");
	assert_int_equal(signatures(stored_message(&bed, c->last)), 1);
	client_close(c);
}

static void
sign_dual(struct db_txn *t)
{
	bed_add_key(t, "example.com", "sel1");
	bed_add_ed25519(t, "example.com", "ed1");
}

/* Both verify, each with the key of its selector. */
static int
signatures_of_two(const char *message)
{
	char *rsa = oracle_record_of(keys_double_key);
	char *ed = oracle_record_of(keys_double_ed25519);
	int   count;

	oracle_second_selector = "ed1";
	oracle_second_record = ed;
	count = oracle_verify(bytes_of(message), rsa);
	oracle_second_selector = NULL;
	free(rsa);
	free(ed);
	return count;
}

/* dkim#20; 6.3 for each of the two */
static void
test_dual(void **state)
{
	struct client *c;
	const char    *m;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_dual);
	c = client_in(&bed);
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	m = stored_message(&bed, c->last);
	assert_int_equal(strncmp(m, "DKIM-Signature: v=1; a=rsa-sha256;", 34),
	    0);
	assert_non_null(strstr(m, "\r\nDKIM-Signature: v=1; "
	    "a=ed25519-sha256;"));
	assert_int_equal(signatures_of_two(m), 2);
	assert_int_equal(meter_get(&bed.meters.dkim_ok[SIGN_RSA]), 1);
	assert_int_equal(meter_get(&bed.meters.dkim_ok[SIGN_ED25519]), 1);
	/* the client's with one of the selectors stands for that one */
	post_text(c, "sender@example.com", "r@example.org",
	    "DKIM-Signature: v=1; d=example.com; s=ed1; h=from\r\n"
	    "From: bob@example.com\r\n\r\nx");
	m = stored_message(&bed, c->last);
	assert_int_equal(strncmp(m, "DKIM-Signature: v=1; a=rsa-sha256;", 34),
	    0);
	assert_null(strstr(m, "a=ed25519-sha256"));
	assert_int_equal(meter_get(&bed.meters.dkim_client), 1);
	client_close(c);
}

static void
tweak_require_operator(struct conf *c)
{
	tweak_operator(c);
	c->dkim.require_signature = true;
}

/* dkim 5.5: a verified identity without a key that signs; the operator's
 * signature is none of the domain's */
static void
test_required_signature(void **state)
{
	struct client *c;

	(void)state;
	bed_open_with(&bed, "", tweak_require_operator);
	c = client_in(&bed);
	post_text(c, "sender@example.com", "r@example.org",
	    "From: bob@example.com\r\n\r\nx");
	assert_string_equal(c->last, "554 Message rejected: DKIM signing is "
				     "not available for example.com");
	assert_int_equal(stored_count(), 0);
	bed_change(&bed, sign_example);
	post_text(c, "sender@example.com", "r@example.org",
	    "From: bob@example.com\r\n\r\nx");
	assert_int_equal(signatures(stored_message(&bed, c->last)), 2);
	client_close(c);
}

/* -- never unsigned by accident ------------------------------------------- */

/* 451, nothing queued, one line for the operator. */
static void
expect_not_taken(struct client *c, const char *logged)
{
	uint64_t before = stored_count();

	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	assert_string_equal(c->last, "451 Temporary service failure");
	assert_int_equal(stored_count(), before);
	assert_true(bed_has_logged(&bed, logged));
}

static void
expect_signed(struct client *c)
{
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	assert_int_equal(signatures(stored_message(&bed, c->last)), 1);
}

/* Down, silent for 5 s, overloaded: one answer of the client for all. */
static void
test_keys_process_is_down(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	keys_double_result = KEYS_DOWN;
	expect_not_taken(c, "d=example.com s=sel1 reason=\"the test says no\"");
	assert_int_equal(meter_get(&bed.meters.dkim_error[SIGN_RSA]), 1);
	keys_double_result = KEYS_OK;
	expect_signed(c);
	client_close(c);
}

static void
delete_key(struct db_txn *t)
{
	struct dkim_key k;
	struct err	e;

	assert_int_equal(dkim_key_get(t, world_account, "example.com", "sel1",
			     &k, &e), 1);
	assert_int_equal(dkim_key_delete(t, &k, &e), 1);
}

static void
damage_key(struct db_txn *t)
{
	bed_damage_key(t, "example.com", "sel1");
}

/* The identity signs, its key is lost or damaged in the store. */
static void
test_key_is_not_in_the_store(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	bed_change(&bed, delete_key);
	expect_not_taken(c, "example.com is to sign, but its active DKIM key "
			    "is not in the store");
	assert_true(bed_has_logged(&bed, "dkim: cannot sign sid="));
	assert_int_equal(meter_get(&bed.meters.dkim_error[SIGN_RSA]), 1);
	bed_change(&bed, sign_example);
	bed_change(&bed, damage_key);
	expect_not_taken(c, "the record is damaged");
	bed_change(&bed, sign_example);
	expect_signed(c);
	client_close(c);
}

static void
lose_records(struct db_txn *t)
{
	struct identity i;
	struct err	e;

	assert_int_equal(identity_get(t, world_account, "example.com", &i,
			     &e), 1);
	i.dkim.status = IDENTITY_TEMPORARY_FAILURE;
	i.dkim.deadline.ms = 4102444800000; /* 2100 */
	assert_true(identity_put(t, &i, &e) >= 0);
}

static void
revoke_key(struct db_txn *t)
{
	struct dkim_key k;
	struct err	e;

	assert_int_equal(dkim_key_get(t, world_account, "example.com", "sel1",
			     &k, &e), 1);
	k.last_outcome = DKIM_REVOKED;
	assert_int_equal(dkim_key_put(t, &k, &e), 0);
}

/* dkim.md 9: in the time of grace mail is signed, but not with a key whose
 * record says that it is revoked: that is meant, and counted. */
static void
test_time_of_grace(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	bed_change(&bed, lose_records);
	c = client_in(&bed);
	expect_signed(c);
	assert_int_equal(meter_get(&bed.meters.dkim_not_verified), 0);
	bed_change(&bed, revoke_key);
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	assert_int_equal(signatures(stored_message(&bed, c->last)), 0);
	assert_int_equal(meter_get(&bed.meters.dkim_not_verified), 1);
	client_close(c);
}

/* Content up to the dot; the keys process has the request. */
static void
post_held(struct client *c)
{
	int64_t until = clock_mono_us() + BED_WAIT_MS * 1000;
	int	before = keys_double_count;

	keys_double_hold = 1;
	send_envelope(c);
	say(c, "DATA", "354 End data with <CR><LF>.<CR><LF>");
	send_text(c, BED_MESSAGE "\r\n.\r\n");
	while (keys_double_count == before) {
		if (clock_mono_us() > until)
			fail_msg("nothing was to be signed");
		poll(NULL, 0, 1);
	}
}

static void
delete_identity(struct db_txn *t)
{
	struct err e;

	assert_int_equal(identity_delete(t, world_account, "example.com",
			     &e), 1);
}

/* What was decided at acceptance holds: the key goes while the request is
 * out, the message is signed with it. */
static void
test_key_goes_meanwhile(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	post_held(c);
	bed_change(&bed, delete_identity);
	keys_double_release(&bed.keys);
	expect_line(c, "250 Ok 0100*");
	assert_int_equal(signatures(stored_message(&bed, c->last)), 1);
	post_text(c, "sender@example.com", "r@example.org", BED_MESSAGE);
	assert_int_equal(strncmp(c->last, "554 Message rejected", 20), 0);
	client_close(c);
}

static void
reload_on_desk(void *desk, void *conf)
{
	desk_reload(desk, conf, bed.tls);
	conf_unref(conf);
}

/* A reload while the request is out: signed as it began; the next message as
 * the new configuration says. */
static void
test_reload_meanwhile(void **state)
{
	struct client *c, *later;
	struct conf   *conf;
	const char    *m;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	post_held(c);
	conf = bed_load_conf("dkim.canonicalization relaxed/relaxed\n");
	assert_true(loop_post(bed.loop, reload_on_desk, bed.desk, conf));
	keys_double_release(&bed.keys);
	expect_line(c, "250 Ok 0100*");
	m = stored_message(&bed, c->last);
	assert_non_null(strstr(m, "c=relaxed/simple;"));
	assert_int_equal(signatures(m), 1);
	client_close(c);
	later = client_in(&bed);
	post_text(later, "sender@example.com", "r@example.org", BED_MESSAGE);
	m = stored_message(&bed, later->last);
	assert_non_null(strstr(m, "c=relaxed/relaxed;"));
	assert_int_equal(signatures(m), 1);
	client_close(later);
}

/* The client does not wait for its 250: signed all the same. */
static void
test_client_goes_meanwhile(void **state)
{
	struct client *c;

	(void)state;
	bed_open(&bed, "");
	bed_change(&bed, sign_example);
	c = client_in(&bed);
	post_held(c);
	client_close(c);
	keys_double_release(&bed.keys);
	bed_await_log(&bed, "accepted sid=");
	assert_true(bed_has_logged(&bed, "signed=example.com"));
	assert_int_equal(stored_count(), 1);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
#define T(f) cmocka_unit_test_teardown(f, teardown)
		T(test_signed_message),
		T(test_big_message_is_signed),
		T(test_chunks_are_signed),
		T(test_keys_process_refuses),
		T(test_operator_signature),
		T(test_dual),
		T(test_required_signature),
		T(test_keys_process_is_down),
		T(test_key_is_not_in_the_store),
		T(test_time_of_grace),
		T(test_key_goes_meanwhile),
		T(test_reload_meanwhile),
		T(test_client_goes_meanwhile),
	};

	return cmocka_run_group_tests(tests, bed_group_setup,
	    bed_group_teardown);
}

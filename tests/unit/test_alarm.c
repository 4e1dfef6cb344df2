/* SPDX-License-Identifier: ISC */
/* Alarms and their transitions (reputation.md 4), on the register's level. */
#include "book_world.h"

#include "registry/account.h"
#include "registry/alarm.h"

static struct book_world w;
static const struct wall now = { 1714564800000 };

static int
make(void **state)
{
	(void)state;
	world_open(&w);
	return 0;
}

static int
unmake(void **state)
{
	(void)state;
	world_close(&w);
	return 0;
}

static struct alarm
alarm_of(const char *name, const char *set, bool pauses)
{
	struct alarm a;

	memset(&a, 0, sizeof(a));
	strcpy(a.account, world_account);
	snprintf(a.name, sizeof(a.name), "%s", name);
	snprintf(a.set, sizeof(a.set), "%s", set);
	a.threshold = 0.05;
	a.notifies = true;
	a.pauses = pauses;
	return a;
}

static void
put_world(struct db_txn *t)
{
	struct account	  a;
	struct config_set s;
	struct err	  e;

	memset(&a, 0, sizeof(a));
	strcpy(a.id, world_account);
	strcpy(a.name, "test");
	a.created = now;
	assert_int_equal(account_create(t, &a, &e), 0);
	config_set_init(&s, world_account, "S", now);
	assert_int_equal(config_set_create(t, &s, &e), 0);
}

static void
names_and_records(void **state)
{
	struct alarm a = alarm_of("A-1_b", "S", true), back;
	struct buf   b;
	size_t	     n;

	(void)state;
	assert_true(alarm_name_is_valid(BYTES("MyAlarm-1_x")));
	assert_false(alarm_name_is_valid(BYTES("")));
	assert_false(alarm_name_is_valid(BYTES("a b")));
	assert_false(alarm_name_is_valid(BYTES("\xc3\xa4")));
	strcpy(a.reason, "because");
	a.state = ALARM_ALARM;
	a.metric = ALARM_COMPLAINT_RATE;
	buf_init(&b, 4096);
	assert_true(alarm_write_record(&a, &b));
	assert_true(alarm_read_record(buf_bytes(&b), &back));
	assert_string_equal(back.name, "A-1_b");
	assert_string_equal(back.reason, "because");
	assert_int_equal(back.state, ALARM_ALARM);
	assert_true(back.pauses && back.threshold == 0.05);
	for (n = 0; n < b.n; n++)
		assert_false(alarm_read_record(bytes_head(buf_bytes(&b), n),
		    &back));
	buf_wipe(&b);
}

static void
create_refuses(struct db_txn *t)
{
	struct alarm a = alarm_of("A", "", true);
	struct err   e;

	assert_int_equal(alarm_create(t, &a, &e), 0);
	assert_int_equal(alarm_create(t, &a, &e), -1);
	assert_int_equal(e.code, BOOK_EXISTS);
	a = alarm_of("B", "Nope", false);
	assert_int_equal(alarm_create(t, &a, &e), -1);
	assert_int_equal(e.code, BOOK_NOT_FOUND);
	a = alarm_of("B", "S", true); /* has no figures of its own */
	assert_int_equal(alarm_create(t, &a, &e), -1);
	assert_int_equal(e.code, BOOK_BAD_REQUEST);
	a = alarm_of("B", "", true);
	a.threshold = 0;
	assert_int_equal(alarm_create(t, &a, &e), -1);
}

static bool
on_history(void *arg, struct wall at, enum alarm_state to, const char *reason)
{
	(void)at;
	(void)to;
	(void)reason;
	return ++*(unsigned *)arg < 1000;
}

static void
moves(struct db_txn *t)
{
	struct alarm	    a;
	struct alarm_effect f;
	struct account	    acct;
	struct config_set   s;
	struct err	    e;
	char		    told[ALARM_NOTICE_SIZE];
	unsigned	    i, n = 0;

	assert_int_equal(alarm_get(t, world_account, "A", &a, &e), 1);
	assert_int_equal(alarm_move(t, &a, ALARM_OK, "x", now, &f, &e), 0);
	assert_false(f.moved);
	assert_int_equal(alarm_move(t, &a, ALARM_ALARM, "x", now, &f, &e), 0);
	assert_true(f.moved && f.paused_account && f.must_notify);
	/* latched */
	assert_int_equal(alarm_move(t, &a, ALARM_OK, "y", now, &f, &e), 0);
	assert_true(f.moved && !f.must_notify && !f.paused_account);
	assert_int_equal(account_get(t, world_account, &acct, &e), 1);
	assert_false(acct.sending_enabled);
	assert_string_equal(acct.pause_reason, "alarm:A");
	assert_true(acct.paused_since.ms == now.ms);
	assert_false(account_is_paused_for(&acct, 1, now));
	assert_true(account_is_paused_for(&acct, 1,
	    (struct wall){ now.ms + 86400000 }));
	/* the newest hundred */
	for (i = 0; i < 60; i++) {
		assert_int_equal(alarm_move(t, &a, ALARM_ALARM, "x", now, &f,
		    &e), 0);
		assert_int_equal(alarm_move(t, &a, ALARM_OK, "y", now, &f,
		    &e), 0);
	}
	assert_int_equal(alarm_history(t, &a, on_history, &n, &e), 0);
	assert_int_equal(n, ALARM_HISTORY);
	/* of a set */
	assert_int_equal(config_set_get(t, world_account, BYTES("S"), &s, &e),
	    1);
	config_set_switch_reputation(&s, true, now);
	assert_int_equal(config_set_put(t, &s, &e), 0);
	a = alarm_of("S", "S", true);
	assert_int_equal(alarm_create(t, &a, &e), 0);
	assert_int_equal(alarm_move(t, &a, ALARM_ALARM, "x", now, &f, &e), 0);
	assert_true(f.paused_set);
	assert_string_equal(alarm_notice(&a, &f, told),
	    "Alarm S: x. The configuration set S is paused.");
	f.paused_set = false;
	assert_string_equal(alarm_notice(&a, &f, told), "Alarm S: x.");
	f.paused_account = true;
	assert_string_equal(alarm_notice(&a, &f, told),
	    "Alarm S: x. Sending of the account is paused.");
	assert_int_equal(config_set_get(t, world_account, BYTES("S"), &s, &e),
	    1);
	assert_false(s.sending);
	assert_string_equal(s.pause_reason, "alarm:S");
	/* with the account */
	assert_int_equal(alarm_purge(t, world_account, 10, &e), 2);
	assert_int_equal(alarm_get(t, world_account, "A", &a, &e), 0);
}

static void
the_register(void **state)
{
	(void)state;
	world_run(&w, put_world);
	world_run(&w, create_refuses);
	world_run(&w, moves);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(names_and_records),
		cmocka_unit_test_setup_teardown(the_register, make, unmake),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

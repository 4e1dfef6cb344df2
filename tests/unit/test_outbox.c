/* SPDX-License-Identifier: ISC */
/* events.md 8 and 10: which records come to a file, and when. */
#include "fake_clock.c"
#include "fake_thread.c"
#include "reporting_world.h"

#include <sys/stat.h>

#include "registry/destination.h"

struct bed {
	struct rw	   w;
	struct config_set  set, other;
	struct destination d;
	struct rw_spec	   spec;
};

static int
make(void **state)
{
	struct bed *b = calloc(1, sizeof(*b));

	rw_open(&b->w);
	*state = b;
	return 0;
}

static int
unmake(void **state)
{
	struct bed *b = *state;

	rw_close(&b->w);
	free(b);
	return 0;
}

static void
put_all(struct db_txn *t, void *arg)
{
	static const char *const none[] = { NULL };
	struct bed *b = arg;
	struct err  e;

	rw_put_account(t, (void *)(uintptr_t)none);
	assert_int_equal(config_set_create(t, &b->set, &e), 0);
	assert_int_equal(config_set_create(t, &b->other, &e), 0);
	assert_int_equal(destination_create(t, &b->d, &e), 0);
}

static void
put_destination(struct db_txn *t, void *d)
{
	struct err e;

	assert_int_equal(destination_put(t, d, &e), 0);
}

static void
remove_destination(struct db_txn *t, void *d)
{
	struct err e;

	assert_int_equal(destination_delete(t, d, &e), 1);
}

static void
begin(struct bed *b, enum file_sync sync)
{
	struct wall now;

	rw_begin(&b->w);
	now = clock_wall();
	config_set_init(&b->set, rw_account, "ConfigSet", now);
	config_set_init(&b->other, rw_account, "other", now);
	destination_init(&b->d, &b->set, "all", now);
	b->d.types = DESTINATION_ALL_TYPES;
	strcpy(b->d.file.name, "all.jsonl");
	b->d.file.sync = sync;
	rw_write(&b->w, put_all, b);
	b->spec = (struct rw_spec){ .header = "Subject: test\r\n",
		.forward = "", .rcpts = { "jane@sink.example" },
		.set = &b->set };
}

/* Lines of the file; *text is the test's until the next call. */
static unsigned
lines(struct bed *b, const char *name, const char **text)
{
	static char room[65536];
	char	    path[256];
	unsigned    n = 0;
	size_t	    i, size;
	FILE	   *f;

	*text = room;
	room[0] = '\0';
	snprintf(path, sizeof(path), "%s/%s/%s", b->w.dir, rw_account, name);
	f = fopen(path, "r");
	if (f == NULL)
		return 0;
	size = fread(room, 1, sizeof(room) - 1, f);
	fclose(f);
	room[size] = '\0';
	for (i = 0; i < size; i++)
		n += room[i] == '\n';
	return n;
}

static uint64_t
saved(struct bed *b)
{
	char cursor[DESTINATION_CURSOR_SIZE];

	return spool_cursor(b->w.spool, destination_cursor(&b->d.id, cursor));
}

/* events#1 on this level */
static void
events_of_its_set_come(void **state)
{
	struct bed  *b = *state;
	struct msgid id;
	const char  *text;

	begin(b, SYNC_EACH);
	id = rw_submit(&b->w, &b->spec);
	rw_bounce(&b->w, &id, 1, "jane@sink.example");
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
	assert_memory_equal(text, "{\"eventType\":\"Send\",", 20);
	assert_non_null(strstr(text, "\n{\"eventType\":\"Bounce\","));
	assert_non_null(strstr(text, "\"ses:configuration-set\":[\"Config"));
	assert_null(strstr(text, "\"posthorn\":"));
	assert_int_equal(saved(b), 2);
	/* of another set, of none */
	b->spec.set = &b->other;
	(void)rw_submit(&b->w, &b->spec);
	b->spec.set = NULL;
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
	assert_int_equal(meter_get(&b->w.outbox_meters.v[0].success), 2);
	assert_string_equal(b->w.outbox_meters.v[0].set_name, "ConfigSet");
}

static void
types_and_extensions(void **state)
{
	struct bed  *b = *state;
	struct msgid id;
	const char  *text;

	begin(b, SYNC_EACH);
	b->d.types = 1u << EVENT_BOUNCE;
	b->d.extensions = true;
	rw_write(&b->w, put_destination, &b->d);
	id = rw_submit(&b->w, &b->spec);
	rw_bounce(&b->w, &id, 1, "jane@sink.example");
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
	assert_non_null(strstr(text, "\"eventType\":\"Bounce\""));
	assert_non_null(strstr(text, "\"posthorn\":{\"eventId\":\"evt_"));
}

/* The cursor follows the sync, a second later. */
static void
synced_now_and_then(void **state)
{
	struct bed *b = *state;
	const char *text;

	begin(b, SYNC_INTERVAL);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
	assert_int_equal(saved(b), 0);
	rw_pass(&b->w, 1000);
	assert_int_equal(saved(b), 1);
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
}

/* events#20 on this level: what was not synced is written again. */
static void
a_crash_loses_nothing(void **state)
{
	struct bed *b = *state;
	const char *text;

	begin(b, SYNC_INTERVAL);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
	rw_crash(&b->w);
	rw_begin(&b->w);
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
	/* an end in order leaves nothing to be repeated */
	rw_end(&b->w);
	rw_begin(&b->w);
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
	assert_int_equal(saved(b), 1);
}

static void
what_was_before_is_not_told(void **state)
{
	struct bed	  *b = *state;
	struct destination late;
	const char	  *text;

	begin(b, SYNC_EACH);
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 10);
	late = b->d;
	destination_init(&late, &b->set, "late", clock_wall());
	late.types = DESTINATION_ALL_TYPES;
	strcpy(late.file.name, "late.jsonl");
	rw_write(&b->w, put_destination, &late);
	rw_pass(&b->w, 10);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "late.jsonl", &text), 1);
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
}

static void
disabled_and_deleted(void **state)
{
	struct bed *b = *state;
	const char *text;

	begin(b, SYNC_EACH);
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 10);
	assert_true(destination_switch(&b->d, false, clock_wall()));
	rw_write(&b->w, put_destination, &b->d);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
	rw_pass(&b->w, 1000);
	assert_true(destination_switch(&b->d, true, clock_wall()));
	rw_write(&b->w, put_destination, &b->d);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
	assert_int_equal(saved(b), 3);
	/* its cursor goes with it: it holds up no sweep */
	rw_write(&b->w, remove_destination, &b->d);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(saved(b), 0);
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
}

/* Two of one account share a file; each record stands there once for each. */
static void
two_share_a_file(void **state)
{
	struct bed	  *b = *state;
	struct destination two;
	const char	  *text;

	begin(b, SYNC_EACH);
	destination_init(&two, &b->set, "two", clock_wall());
	two.types = DESTINATION_ALL_TYPES;
	strcpy(two.file.name, "all.jsonl");
	rw_write(&b->w, put_destination, &two);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "all.jsonl", &text), 2);
}

/* The folder is in the way: the destination waits, the others go on. */
static void
trouble_of_one_delays_no_other(void **state)
{
	struct bed	  *b = *state;
	struct destination bad;
	char		   path[256];
	const char	  *text;

	begin(b, SYNC_EACH);
	snprintf(path, sizeof(path), "%s/%s", b->w.dir, rw_account);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/bad", b->w.dir, rw_account);
	assert_int_equal(mkdir(path, 0700), 0);
	destination_init(&bad, &b->set, "bad", clock_wall());
	bad.types = DESTINATION_ALL_TYPES;
	strcpy(bad.file.name, "bad");
	rw_write(&b->w, put_destination, &bad);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
	assert_true(rw_logged(&b->w, "event-publish-failed"));
	assert_int_equal(meter_get(&outbox_meter_find(&b->w.outbox_meters,
	    &bad)->failure), 1);
	(void)rw_submit(&b->w, &b->spec); /* does not hammer */
	assert_int_equal(meter_get(&outbox_meter_find(&b->w.outbox_meters,
	    &bad)->failure), 1);
	assert_int_equal(rmdir(path), 0);
	rw_pass(&b->w, 5500);
	assert_int_equal(lines(b, "bad", &text), 2);
	assert_int_equal(meter_get(&outbox_meter_find(&b->w.outbox_meters,
	    &bad)->failing), 0);
}

static void
too_old_is_counted(void **state)
{
	struct bed *b = *state;
	char	    path[256];
	const char *text;

	begin(b, SYNC_EACH);
	snprintf(path, sizeof(path), "%s/%s", b->w.dir, rw_account);
	assert_int_equal(mkdir(path, 0700), 0);
	snprintf(path, sizeof(path), "%s/%s/all.jsonl", b->w.dir, rw_account);
	assert_int_equal(mkdir(path, 0700), 0);
	b->w.conf->events.retry_for_ms = hour;
	(void)rw_submit(&b->w, &b->spec);
	/* the sixth attempt comes after 92 to 113 minutes */
	rw_pass(&b->w, 60 * minute);
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(rmdir(path), 0);
	rw_pass(&b->w, 60 * minute);
	assert_int_equal(meter_get(&b->w.outbox_meters.v[0].expired), 1);
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
}

/* events.md 10.4 */
static void
waits_grow(void **state)
{
	static const int64_t seconds[] = { 5, 30, 120, 600, 1800, 3600, 7200,
		14400, 21600, 21600 };
	unsigned i;

	(void)state;
	for (i = 0; i < 10; i++)
		assert_int_equal(outbox_wait_ms(i + 1), seconds[i] * 1000);
	assert_int_equal(outbox_wait_ms(1000), 21600000);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(events_of_its_set_come, make,
		    unmake),
		cmocka_unit_test_setup_teardown(types_and_extensions, make,
		    unmake),
		cmocka_unit_test_setup_teardown(synced_now_and_then, make,
		    unmake),
		cmocka_unit_test_setup_teardown(a_crash_loses_nothing, make,
		    unmake),
		cmocka_unit_test_setup_teardown(what_was_before_is_not_told,
		    make, unmake),
		cmocka_unit_test_setup_teardown(disabled_and_deleted, make,
		    unmake),
		cmocka_unit_test_setup_teardown(two_share_a_file, make,
		    unmake),
		cmocka_unit_test_setup_teardown(
		    trouble_of_one_delays_no_other, make, unmake),
		cmocka_unit_test_setup_teardown(too_old_is_counted, make,
		    unmake),
		cmocka_unit_test(waits_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

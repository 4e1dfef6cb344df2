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
	static char room[1 << 20];
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

/* Its own row while it is behind, else what stands for all. */
static uint64_t
row(struct bed *b, const struct destination *d)
{
	char cursor[DESTINATION_CURSOR_SIZE];

	return spool_cursor(b->w.spool, destination_cursor(&d->id, cursor));
}

static uint64_t
saved(struct bed *b)
{
	uint64_t own = row(b, &b->d);

	return own != 0 ? own : spool_cursor(b->w.spool, OUTBOX_CURSOR);
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
	rw_pass(&b->w, 1000);
	assert_int_equal(saved(b), 2);
	assert_int_equal(row(b, &b->d), 0); /* it keeps pace */
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
	rw_pass(&b->w, 1000);
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

/* -- one walk for all ------------------------------------------------------ */

struct many {
	struct bed	  *b;
	struct destination v[300];
	unsigned	   n;
};

static void
put_many(struct db_txn *t, void *many)
{
	struct many *m = many;
	struct err   e;
	unsigned     i;

	for (i = 0; i < m->n; i++)
		assert_int_equal(destination_put(t, &m->v[i], &e), 0);
}

/* A destination that wants nothing costs nothing: no row, no entry. */
static void
the_quiet_ones_rest(void **state)
{
	struct bed  *b = *state;
	struct many *m = calloc(1, sizeof(*m));
	char	     name[16];
	const char  *text;

	begin(b, SYNC_EACH);
	for (; m->n < 300; m->n++) {
		snprintf(name, sizeof(name), "d%u", m->n);
		destination_init(&m->v[m->n], &b->other, name, clock_wall());
		m->v[m->n].types = DESTINATION_ALL_TYPES;
		strcpy(m->v[m->n].file.name, "other.jsonl");
	}
	rw_write(&b->w, put_many, m);
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 2000);
	assert_int_equal(lines(b, "all.jsonl", &text), 1);
	assert_int_equal(lines(b, "other.jsonl", &text), 0);
	assert_int_equal(saved(b), 1);
	assert_int_equal(row(b, &m->v[7]), 0);
	assert_int_equal(atomic_load(&b->w.outbox_meters.count), 1);
	/* each of a set hears of its event */
	b->spec.set = &b->other;
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 2000);
	assert_int_equal(lines(b, "other.jsonl", &text), 300);
	free(m);
}

static void
block(struct bed *b, const char *name, bool on)
{
	char path[256];

	snprintf(path, sizeof(path), "%s/%s", b->w.dir, rw_account);
	(void)mkdir(path, 0700);
	snprintf(path, sizeof(path), "%s/%s/%s", b->w.dir, rw_account, name);
	if (on)
		assert_int_equal(mkdir(path, 0700), 0);
	else
		assert_int_equal(rmdir(path), 0);
}

static struct destination
blocked(struct bed *b)
{
	struct destination bad;

	block(b, "bad", true);
	destination_init(&bad, &b->set, "bad", clock_wall());
	bad.types = DESTINATION_ALL_TYPES;
	bad.file.sync = SYNC_EACH;
	strcpy(bad.file.name, "bad");
	rw_write(&b->w, put_destination, &bad);
	return bad;
}

static const struct outlet_meter *
meter(struct bed *b, const struct destination *d)
{
	const struct outlet_meter *m = outbox_meter_find(
	    &b->w.outbox_meters, d);

	assert_non_null(m);
	return m;
}

/* More than it may hold in memory: it reads the rest for itself, each record
 * once, also across a crash. */
static void
one_that_lags_catches_up(void **state)
{
	struct bed	  *b = *state;
	struct destination bad;
	const char	  *text;
	unsigned	   i;

	begin(b, SYNC_EACH);
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 10);
	bad = blocked(b);
	rw_pass(&b->w, 10);
	for (i = 0; i < OUTLET_ENTRIES + 40; i++)
		(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 300); /* notes of events are not without bounds */
	assert_int_equal(meter_get(&meter(b, &bad)->entries),
	    OUTLET_ENTRIES + 40);
	assert_true(meter_get(&meter(b, &bad)->oldest_ms) > 0);
	rw_pass(&b->w, 1000);
	/* the others are ahead of it, and it has a row that says so */
	assert_int_equal(spool_cursor(b->w.spool, OUTBOX_CURSOR),
	    OUTLET_ENTRIES + 41);
	assert_int_equal(row(b, &bad), 1);
	assert_int_equal(meter_get(&meter(b, &bad)->success), 0);
	rw_crash(&b->w);
	memset(&b->w.outbox_meters, 0, sizeof(b->w.outbox_meters));
	rw_begin(&b->w);
	block(b, "bad", false);
	rw_pass(&b->w, 200000);
	assert_int_equal(meter_get(&meter(b, &bad)->success),
	    OUTLET_ENTRIES + 40);
	assert_int_equal(meter_get(&meter(b, &bad)->entries), 0);
	assert_int_equal(row(b, &bad), 0);
	/* nothing twice for the one that kept pace, and a new event */
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(meter_get(&meter(b, &bad)->success),
	    OUTLET_ENTRIES + 41);
	assert_int_equal(meter_get(&meter(b, &b->d)->success), 1);
	assert_int_equal(lines(b, "bad", &text) > 0, 1);
}

/* What was deleted while nobody looked leaves no row that holds up a sweep. */
static void
orphans_go(void **state)
{
	struct bed	  *b = *state;
	struct destination bad;

	begin(b, SYNC_EACH);
	bad = blocked(b);
	(void)rw_submit(&b->w, &b->spec);
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 1000);
	rw_end(&b->w);
	rw_start(&b->w); /* without the reporter */
	rw_start_spool(&b->w);
	assert_int_equal(spool_move_cursor(b->w.spool,
	    "dest/00112233445566778899aabbccddeeff", 1), 0);
	rw_pass(&b->w, 0);
	rw_write(&b->w, remove_destination, &bad);
	rw_end(&b->w);
	rw_begin(&b->w);
	rw_pass(&b->w, 1000);
	assert_int_equal(spool_cursor(b->w.spool,
	    "dest/00112233445566778899aabbccddeeff"), 0);
	assert_int_equal(row(b, &bad), 0);
	assert_int_equal(saved(b), 2);
}

/* events.outbox_max: the ordinary ones go first. */
static void
a_full_outbox_drops(void **state)
{
	struct bed	  *b = *state;
	struct destination bad;
	struct outbox_sum  sum;
	struct msgid	   id;
	unsigned	   i;

	begin(b, SYNC_EACH);
	bad = blocked(b);
	b->w.conf->events.outbox_max_bytes = 4096;
	for (i = 0; i < 10; i++)
		id = rw_submit(&b->w, &b->spec);
	assert_in_range(meter_get(&meter(b, &bad)->entries), 3, 4);
	assert_int_equal(meter_get(&meter(b, &bad)->entries) +
	    meter_get(&meter(b, &bad)->dropped), 10);
	assert_true(rw_logged(&b->w, "events-dropped"));
	i = (unsigned)meter_get(&meter(b, &bad)->dropped);
	/* a bounce has twice the room */
	rw_bounce(&b->w, &id, 1, "jane@sink.example");
	assert_int_equal(meter_get(&meter(b, &bad)->dropped), i);
	assert_int_equal(meter_get(&meter(b, &b->d)->dropped), 0);
	assert_int_equal(meter_get(&meter(b, &b->d)->success), 11);
	/* what an operator sees first */
	sum = outbox_meters_sum(&b->w.outbox_meters);
	assert_int_equal(sum.records, meter_get(&meter(b, &bad)->entries));
	assert_int_equal(sum.destinations, 1);
	assert_int_equal(sum.failing, 1);
	assert_in_range(sum.oldest.ms, 1, clock_wall().ms);
	/* what waits for it goes with it */
	rw_write(&b->w, remove_destination, &bad);
	(void)rw_submit(&b->w, &b->spec);
	sum = outbox_meters_sum(&b->w.outbox_meters);
	assert_int_equal(sum.records + sum.destinations, 0);
}

static void
on_asked(void *ask, void *unused)
{
	struct reporter_ask *a = ask;

	(void)unused;
	a->ctx = a;
}

static bool
outbox_asks(struct bed *b, struct reporter_ask *ask)
{
	ask->asker = b->w.loop;
	ask->done = on_asked;
	ask->ctx = NULL;
	assert_true(reporter_ask(b->w.reporter, ask));
	rw_pass(&b->w, 0);
	assert_ptr_equal(ask->ctx, ask);
	return ask->ok;
}

/* The past once more: what is kept, also from before it was made. */
static void
a_replay(void **state)
{
	struct bed	    *b = *state;
	struct reporter_ask ask = { .kind = ASK_REPLAY };
	struct destination  late;
	struct msgid	    id;
	struct wall	    since;
	const char	   *text;

	begin(b, SYNC_EACH);
	(void)rw_submit(&b->w, &b->spec);
	rw_pass(&b->w, 1000);
	since = clock_wall();
	id = rw_submit(&b->w, &b->spec);
	rw_bounce(&b->w, &id, 1, "jane@sink.example");
	rw_pass(&b->w, 1000);
	destination_init(&late, &b->set, "late", clock_wall());
	late.types = DESTINATION_ALL_TYPES;
	strcpy(late.file.name, "late.jsonl");
	rw_write(&b->w, put_destination, &late);
	memcpy(ask.choice.account, late.account, sizeof(late.account));
	strcpy(ask.choice.set, late.set_name);
	strcpy(ask.choice.name, "none");
	assert_false(outbox_asks(b, &ask));
	strcpy(ask.choice.name, late.name);
	ask.since = since;
	ask.types = 1u << EVENT_BOUNCE;
	assert_true(outbox_asks(b, &ask));
	assert_int_equal(lines(b, "late.jsonl", &text), 1);
	assert_non_null(strstr(text, "\"eventType\":\"Bounce\""));
	ask.types = DESTINATION_ALL_TYPES;
	ask.since.ms = 0;
	assert_true(outbox_asks(b, &ask));
	assert_int_equal(lines(b, "late.jsonl", &text), 4);
	assert_int_equal(lines(b, "all.jsonl", &text), 3);
	/* and what comes comes once */
	(void)rw_submit(&b->w, &b->spec);
	assert_int_equal(lines(b, "late.jsonl", &text), 5);
}

/* More destinations than have figures of their own share one line. */
static void
those_too_many_are_counted_together(void **state)
{
	struct bed	     *b = *state;
	struct destination    two, three;
	struct outbox_meters *all = &b->w.outbox_meters;

	begin(b, SYNC_EACH);
	destination_init(&two, &b->set, "two", clock_wall());
	two.types = DESTINATION_ALL_TYPES;
	strcpy(two.file.name, "two.jsonl");
	destination_init(&three, &b->other, "three", clock_wall());
	three.types = DESTINATION_ALL_TYPES;
	strcpy(three.file.name, "three.jsonl");
	rw_write(&b->w, put_destination, &two);
	rw_write(&b->w, put_destination, &three);
	atomic_store(&all->count, OUTBOX_METERS - 1);
	assert_false(outbox_meters_are_full(all));
	(void)rw_submit(&b->w, &b->spec);
	b->spec.set = &b->other;
	(void)rw_submit(&b->w, &b->spec);
	assert_true(outbox_meters_are_full(all));
	assert_string_equal(all->v[OUTBOX_METERS - 1].set_name, "ConfigSet");
	assert_int_equal(meter_get(&all->v[OUTBOX_METERS - 1].success), 1);
	assert_null(outbox_meter_find(all, &three));
	assert_int_equal(meter_get(&all->other.success), 2);
	assert_string_equal(all->other.name, "_other_");
	assert_string_equal(all->other.account, "");
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
		cmocka_unit_test_setup_teardown(the_quiet_ones_rest, make,
		    unmake),
		cmocka_unit_test_setup_teardown(one_that_lags_catches_up,
		    make, unmake),
		cmocka_unit_test_setup_teardown(orphans_go, make, unmake),
		cmocka_unit_test_setup_teardown(a_full_outbox_drops, make,
		    unmake),
		cmocka_unit_test_setup_teardown(a_replay, make, unmake),
		cmocka_unit_test_setup_teardown(
		    those_too_many_are_counted_together, make, unmake),
		cmocka_unit_test(waits_grow),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

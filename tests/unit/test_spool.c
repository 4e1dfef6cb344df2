/* SPDX-License-Identifier: ISC */
/*
 * Submission to the spool: what is laid down, batches, content, cursors; what a
 * crash leaves, and a backup.
 */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <sys/stat.h>
#include <sys/wait.h>

#include "spool_bed.h"

/* -- submission ---------------------------------------------------------- */

static void
check_mail_row(struct bed *b, const struct message *m)
{
	struct arena   *a = arena_new(1 << 20);
	struct mail_row r;
	struct bytes	name, value;
	struct err	e;
	size_t		at = 0;

	assert_int_equal(spool_read_mail(b->spool, &m->id, a, &r, &e), 1);
	assert_true(r.accepted.ms == m->accepted.ms);
	assert_string_equal(r.account, "123456789012");
	bed_assert_text(r.credential, "app1");
	bed_assert_text(r.sender, "s@example.com");
	bed_assert_text(r.message_id, "<1@example.com>");
	bed_assert_text(r.subject, "Hello  there");
	assert_int_equal(r.recipient_count, 3);
	bed_assert_text(r.recipients[2], "user2@d2.example");
	assert_int_equal(r.tag_count, 1);
	bed_assert_text(r.tags[0].value, "book");
	assert_true(r.size == message_octets(m));
	assert_true(event_snapshot_next(r.snapshot, &at, &name, &value));
	bed_assert_text(name, "From");
	arena_free(a);
}

static void
check_message_row(struct bed *b, const struct message *m)
{
	struct arena	    *a = arena_new(1 << 20);
	struct message_row   r;
	struct recipient_row to;
	struct err	     e;

	assert_int_equal(spool_read_message(b->spool, &m->id, a, &r, &e), 1);
	assert_int_equal(r.open, 3);
	assert_true(r.head_octets == BED_HEAD);
	assert_true(r.body_octets == m->body_octets);
	bed_assert_text(r.mail_from_domain, "bounces.example.com");
	assert_int_equal(spool_read_recipient(b->spool, &m->id, 2, a, &to,
	    &e), 1);
	bed_assert_text(to.address, "user1@d1.example");
	assert_int_equal(to.state, ENVELOPE_READY);
	assert_true(to.next.ms == m->accepted.ms);
	assert_true(to.expires.ms == m->expires.ms);
	assert_int_equal(spool_read_recipient(b->spool, &m->id, 4, a, &to,
	    &e), 0);
	arena_free(a);
}

/* delivery#23 in part: what was answered OK is all there */
static void
a_message_is_laid_down(void **state)
{
	struct bed	    *b = *state;
	struct message	    *m = bed_message(3, 10240, 0);
	struct spool_figures f;
	struct bed_events    l;
	struct arrival	    *a;

	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	bed_drain(b);
	check_mail_row(b, m);
	check_message_row(b, m);
	assert_int_equal(b->arrival_batches, 1);
	assert_int_equal(b->arrivals[0]->count, 3);
	a = &b->arrivals[0]->v[1];
	assert_int_equal(a->n, 2);
	assert_string_equal(a->domain, "d1.example");
	assert_string_equal(a->account, "123456789012");
	assert_true(a->due.ms == m->accepted.ms);
	assert_true(a->size == message_octets(m));
	assert_false(a->system);
	l = bed_events_after(b, 0);
	assert_int_equal(l.n, 1);
	assert_int_equal(l.type[0], EVENT_SEND);
	assert_int_equal(msgid_cmp(&l.message[0], &m->id), 0);
	assert_true(b->notes >= 1);
	f = bed_figures(b);
	assert_true(f.messages == 1 && f.recipients == 3 && f.held == 0);
	assert_true(f.bytes == message_octets(m));
	message_free(m);
}

/*
 * Of many commits not each is told: at most 24 notes in 250 ms, but the
 * last commit never goes untold.
 */
static void
busy_store_tells_in_windows(void **state)
{
	enum { COMMITS = 100 };
	struct bed     *b = *state;
	struct mono	began = clock_mono();
	struct message *m;
	unsigned	i, before = 0;

	bed_start(b);
	for (i = 0; i < COMMITS; i++) {
		before = b->notes;
		m = bed_message(1, 10, 0);
		assert_int_equal(bed_submit(b, m), RECEIPT_OK);
		bed_drain(b);
		bed_forget_arrivals(b);
		message_free(m);
	}
	i = (unsigned)((clock_mono().ms - began.ms) / 250) + 2;
	assert_true(b->notes <= i * 24);
	if (b->notes == before) {
		b->stops_at_note = true;
		loop_run(b->asker);
	}
	assert_true(b->notes > before);
}

static void
mail_of_posthorn_makes_no_event(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 10, 0);

	m->class = MESSAGE_SYSTEM;
	b->setup.messages_max = 0; /* and is not held up by a full queue */
	bed_start(b);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	bed_drain(b);
	assert_int_equal(bed_events_after(b, 0).n, 0);
	assert_int_equal(b->notes, 0);
	assert_true(b->arrivals[0]->v[0].system);
	message_free(m);
}

static void
content_is_read_from_any_offset(void **state)
{
	static const size_t bodies[] = { 0, 1, 4080, 4081, 10240, 300000 };
	static const size_t slices[] = { 1, 899, 900, 901, 4080, 65536 };
	struct bed	   *b = *state;
	struct arena	   *a = arena_new(1 << 20);
	struct message_row  r;
	struct msgid	    id;
	struct err	    e;
	char		    buf[65536];
	uint64_t	    at, whole;
	ptrdiff_t	    n, k;
	size_t		    i, j;

	bed_start(b);
	for (i = 0; i < sizeof(bodies) / sizeof(bodies[0]); i++) {
		id = bed_put(b, 1, bodies[i], 0);
		assert_int_equal(spool_read_message(b->spool, &id, a, &r,
		    &e), 1);
		whole = BED_HEAD + bodies[i];
		for (j = 0; j < sizeof(slices) / sizeof(slices[0]); j++) {
			if (whole / slices[j] > 2000)
				continue;
			for (at = 0; (n = spool_read_content(b->spool, &r, at,
			    buf, slices[j], &e)) > 0; at += (uint64_t)n)
				for (k = 0; k < n; k++)
					if (buf[k] != (at + (uint64_t)k <
					    BED_HEAD ? 'H' : bed_octet(at +
					    (uint64_t)k - BED_HEAD)))
						fail_msg("octet %lu",
						    (unsigned long)at);
			assert_int_equal(n, 0);
			assert_true(at == whole);
		}
		spool_warm(b->spool, r.content);
	}
	/* a content that has gone is an error, never a short message */
	r.content = 999;
	assert_int_equal(spool_read_content(b->spool, &r, 0, buf, 10, &e), -1);
	arena_free(a);
}

/* Gathered before the writer runs: one commit, receipts for all. */
static void
a_batch_is_one_commit(void **state)
{
	enum { MANY = 300 };
	struct bed	    *b = *state;
	struct submission   *s = calloc(MANY, sizeof(*s));
	struct spool_figures f;
	unsigned	     i;

	bed_open(b);
	for (i = 0; i < MANY; i++)
		bed_lend(b, &s[i], bed_message(1, 2000, 0));
	bed_start(b);
	bed_wait(b);
	for (i = 0; i < MANY; i++) {
		assert_int_equal(s[i].result, RECEIPT_OK);
		message_free(s[i].message);
	}
	f = bed_figures(b);
	assert_true(f.messages == MANY);
	assert_int_equal(f.commits, 1);
	assert_int_equal(f.committed_items, MANY);
	assert_true(spool_meters(b->spool)->commit_items.sum_micro.n > 0);
	bed_drain(b);
	assert_int_equal(b->arrival_batches, 1);
	assert_int_equal(b->arrivals[0]->count, MANY);
	free(s);
}

/* More than 512 need more passes, and none is forgotten. */
static void
a_long_queue_takes_several_commits(void **state)
{
	enum { MANY = 1200 };
	struct bed	    *b = *state;
	struct submission   *s = calloc(MANY, sizeof(*s));
	struct spool_figures f;
	unsigned	     i;

	bed_open(b);
	for (i = 0; i < MANY; i++)
		bed_lend(b, &s[i], bed_message(1, 10, 0));
	bed_start(b);
	bed_wait(b);
	for (i = 0; i < MANY; i++)
		message_free(s[i].message);
	f = bed_figures(b);
	assert_true(f.messages == MANY);
	assert_int_equal(f.commits, 3);
	free(s);
}

/* -- events and cursors -------------------------------------------------- */

static void
sequences_go_on_after_a_restart(void **state)
{
	struct bed	 *b = *state;
	struct bed_events l;
	struct wall	  before;
	unsigned	  i;

	bed_start(b);
	for (i = 0; i < 5; i++)
		bed_put(b, 1, 10, 0);
	bed_stop(b);
	bed_start(b);
	before = clock_wall();
	for (i = 0; i < 5; i++)
		bed_put(b, 1, 10, 0);
	l = bed_events_after(b, 0);
	assert_int_equal(l.n, 10);
	for (i = 0; i < 10; i++)
		assert_int_equal(l.sequence[i], i + 1);
	for (i = 1; i < 10; i++)
		assert_memory_not_equal(&l.id[0], &l.id[i], sizeof(l.id[0]));
	l = bed_events_after(b, 7);
	assert_int_equal(l.n, 3);
	assert_int_equal(l.sequence[0], 8);
	assert_true(spool_first_event_since(b->spool, (struct wall){ 0 }) ==
	    1);
	assert_true(spool_first_event_since(b->spool, before) <= 6);
	assert_true(spool_first_event_since(b->spool,
	    (struct wall){ before.ms + 3600000 }) == 11);
}

static void
cursors_move_with_their_transaction(void **state)
{
	struct bed	 *b = *state;
	struct message	 *m = bed_message(1, 10, 0);
	struct submission s;
	struct change	  c;

	bed_start(b);
	assert_true(spool_cursor(b->spool, "notices") == 0);
	memset(&s, 0, sizeof(s));
	s.cursor = "notices";
	s.cursor_to = 17;
	bed_lend(b, &s, m);
	bed_wait(b);
	assert_true(spool_cursor(b->spool, "notices") == 17);
	memset(&c, 0, sizeof(c));
	c.from = b->asker;
	c.on_receipt = bed_on_receipt;
	c.ctx = b;
	c.cursor = "file-1";
	c.cursor_to = 3;
	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	bed_wait(b);
	assert_int_equal(c.result, RECEIPT_OK);
	assert_true(spool_cursor(b->spool, "file-1") == 3);
	assert_int_equal(spool_move_cursor(b->spool, "file-1", 4), 0);
	bed_stop(b);
	bed_start(b);
	assert_true(spool_cursor(b->spool, "file-1") == 4);
	assert_true(spool_cursor(b->spool, "notices") == 17);
	message_free(m);
}

/* -- crash --------------------------------------------------------------- */

/* In the child: answered messages, then death without any farewell. */
static void
crash_child(struct bed *b)
{
	struct message *m = bed_message(1, 100000, 0);
	struct stage	st;
	unsigned	i;

	bed_start(b);
	for (i = 0; i < 100; i++) {
		bed_put(b, 1, 2000, 0);
		bed_forget_arrivals(b);
	}
	memset(&st, 0, sizeof(st));
	st.from = b->asker;
	st.on_receipt = bed_on_receipt;
	st.ctx = b;
	st.chunks = message_take_full(m);
	b->waiting++;
	if (!spool_stage(b->spool, &st))
		_exit(1);
	bed_wait(b);
	_exit(st.result == RECEIPT_OK && b->waiting == 0 ? 9 : 1);
}

/* delivery#23 in part, quotas#7 in part: kill -9 loses nothing answered */
static void
a_crash_loses_nothing(void **state)
{
	struct bed	    *b = *state;
	struct bed_count     c;
	struct spool_figures f;
	struct err	     e;
	pid_t		     child = fork();
	int		     status;

	assert_true(child >= 0);
	if (child == 0)
		crash_child(b);
	assert_int_equal(waitpid(child, &status, 0), child);
	assert_true(WIFEXITED(status));
	assert_int_equal(WEXITSTATUS(status), 9);
	bed_start(b);
	memset(&c, 0, sizeof(c));
	assert_int_equal(spool_scan_due(b->spool, NULL, clock_wall(), 1000,
	    bed_count_due, &c, &e), 100);
	f = bed_figures(b);
	assert_true(f.messages == 100 && f.recipients == 100);
	/* what was staged and never submitted is swept */
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 0);
	bed_passes(b, 3);
	assert_int_equal(bed_rows(b, SPOOL_SWEPT), 0);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 200);
	assert_int_equal(bed_events_after(b, 90).n, 10);
}

static void
a_backup_can_be_opened(void **state)
{
	struct bed *b = *state;
	char	    copy[128], path[160];
	struct err  e;
	int	    fd;

	bed_start(b);
	bed_put(b, 2, 5000, 0);
	snprintf(copy, sizeof(copy), "%s/spool2", b->dir);
	assert_int_equal(mkdir(copy, 0700), 0);
	snprintf(path, sizeof(path), "%s/data.mdb", copy);
	fd = open(path, O_WRONLY | O_CREAT | O_EXCL, 0600);
	assert_int_equal(spool_backup(b->spool, fd, &e), 0);
	assert_int_equal(close(fd), 0);
	bed_stop(b);
	snprintf(path, sizeof(path), "%s/spool/data.mdb", b->dir);
	assert_int_equal(unlink(path), 0);
	snprintf(path, sizeof(path), "%s/spool/lock.mdb", b->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/spool/redo", b->dir);
	unlink(path);
	snprintf(path, sizeof(path), "%s/spool", b->dir);
	assert_int_equal(rmdir(path), 0);
	assert_int_equal(rename(copy, path), 0);
	bed_start(b);
	assert_true(bed_figures(b).recipients == 2);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(a_message_is_laid_down),
		test(busy_store_tells_in_windows),
		test(mail_of_posthorn_makes_no_event),
		test(content_is_read_from_any_offset),
		test(a_batch_is_one_commit),
		test(a_long_queue_takes_several_commits),
		test(sequences_go_on_after_a_restart),
		test(cursors_move_with_their_transaction),
		test(a_crash_loses_nothing),
		test(a_backup_can_be_opened),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* Mail that came back, in the spool: spool_intake.h. */
#include <setjmp.h>
#include <stdarg.h>
#include <stddef.h>
#include <stdint.h>

#include <cmocka.h>

#include "spool_bed.h"

static struct message *
raw_message(const char *to, size_t octets)
{
	static int64_t	last; /* each is younger than the one before */
	struct message *m = message_new(1 << 20);
	char	       *body = mem_alloc(octets);

	memset(body, 'x', octets);
	m->class = MESSAGE_INTAKE;
	m->accepted = clock_wall();
	if (m->accepted.ms <= last)
		m->accepted.ms = last + 1;
	last = m->accepted.ms;
	msgid_make(m->accepted, &m->id);
	assert_true(message_set(m, &m->head, BYTES("Subject: x\r\n\r\n")));
	assert_true(message_set(m, &m->sender, BYTES("a@b.example")));
	assert_non_null(message_add_envelope(m, bytes_of(to)));
	assert_true(message_add_body(m, (struct bytes){ body, octets }));
	mem_free(body);
	return m;
}

static struct msgid
bed_take(struct bed *b, size_t octets, enum receipt_result wanted)
{
	struct message *m = raw_message("postmaster@relay.example", octets);
	struct msgid	id = m->id;

	assert_int_equal(bed_submit(b, m), wanted);
	message_free(m);
	return id;
}

static void
bed_end(struct bed *b, const struct intake_end *v)
{
	struct change c = { .from = b->asker, .on_receipt = bed_on_receipt,
		.ctx = b, .intake = v };

	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	bed_wait(b);
	assert_int_equal(c.result, RECEIPT_OK);
}

static int
bed_next(struct bed *b, enum intake_step step, struct arena *a,
    struct intake_errand *x)
{
	struct err e;

	return spool_next_intake(b->spool, step, NULL, a, x, &e);
}

/* Laid down, judged once, forwarded once; still there after a restart. */
static void
life(void **state)
{
	struct bed	    *b = *state;
	struct arena	    *a = arena_new(1 << 20);
	struct intake_errand x, errands[2];
	struct intake_row    r;
	struct intake_mark   marks[1];
	struct intake_end    end;
	struct message	    *copy;
	struct submission    sub;
	struct spool_figures f;
	struct wall	     last;
	struct err	     e;
	unsigned	     count = 0, notes;
	char		     text[64];
	struct msgid	     id;

	bed_start(b);
	notes = b->notes;
	assert_int_equal(bed_next(b, INTAKE_JUDGE, a, &x), 0);
	id = bed_take(b, 5000, RECEIPT_OK);
	bed_drain(b);
	assert_true(b->notes > notes);
	assert_int_equal(b->arrival_batches, 0); /* nothing is due */
	assert_int_equal(spool_figures(b->spool, &f, &e), 0);
	assert_int_equal(f.messages, 0);
	bed_stop(b);
	bed_start(b);
	assert_int_equal(bed_next(b, INTAKE_JUDGE, a, &x), 1);
	assert_memory_equal(&x.id, &id, sizeof(id));
	assert_int_equal(spool_read_intake(b->spool, &id, a, &r, &e), 1);
	assert_int_equal(r.result, INTAKE_WAITS);
	assert_int_equal(r.recipient_count, 1);
	assert_true(bytes_eq_text(r.recipients[0],
	    "postmaster@relay.example"));
	assert_int_equal(r.body_octets, 5000);
	assert_int_equal(spool_read_raw(b->spool, &r, 0, text, 16, &e), 16);
	assert_memory_equal(text, "Subject: x\r\n\r\nxx", 16);
	assert_int_equal(spool_read_raw(b->spool, &r, 5014, text, 16, &e),
	    0);

	memset(errands, 0, sizeof(errands));
	errands[0] = (struct intake_errand){ id, 0, INTAKE_FROM_MAILER,
		{ 1714564800000 }, BYTES("123456789012"), BYTES("bob@example.com") };
	errands[1] = (struct intake_errand){ id, 1, INTAKE_FROM_KEPT,
		{ 1714564800001 }, BYTES(""), BYTES("ann@example.com") };
	marks[0].id = id;
	marks[0].what = intake_mark_recipient(3, INTAKE_ARF);
	end = (struct intake_end){ id, INTAKE_ARF, INTAKE_EVENT, marks, 1,
		errands, 2 };
	assert_int_equal(spool_read_mark(b->spool, marks, &count, &last, &e),
	    0);
	bed_end(b, &end);
	assert_int_equal(bed_next(b, INTAKE_JUDGE, a, &x), 0);
	assert_int_equal(spool_read_intake(b->spool, &id, a, &r, &e), 1);
	assert_int_equal(r.kind, INTAKE_ARF);
	assert_int_equal(r.result, INTAKE_EVENT);
	assert_int_equal(r.body_octets, 5000);
	assert_int_equal(spool_read_mark(b->spool, marks, &count, &last, &e),
	    1);
	assert_int_equal(count, 1);

	/* the copy takes its errand along, and no other */
	assert_int_equal(bed_next(b, INTAKE_FORWARD, a, &x), 1);
	assert_int_equal(x.n, 0);
	assert_int_equal(x.from, INTAKE_FROM_MAILER);
	assert_int_equal(x.since.ms, 1714564800000);
	assert_true(bytes_eq_text(x.to, "bob@example.com"));
	memset(&sub, 0, sizeof(sub));
	sub.errand = &x;
	copy = raw_message("bob@example.com", 10);
	copy->class = MESSAGE_SYSTEM;
	bed_lend(b, &sub, copy);
	bed_wait(b);
	message_free(copy);
	assert_int_equal(bed_next(b, INTAKE_FORWARD, a, &x), 1);
	assert_int_equal(x.n, 1);
	arena_free(a);
}

struct again {
	struct change change; /* first */
	struct msgid  id;
	int	      rc;
};

static int
again_also(struct change *c, struct spool_txn *t, struct err *e)
{
	struct again *x = (struct again *)c;

	x->rc = spool_judge_again(t, &x->id, e);
	return x->rc < 0 ? -1 : 0;
}

static int
bed_judge_again(struct bed *b, const struct msgid *id)
{
	struct again x = { .change = { .from = b->asker,
		.on_receipt = bed_on_receipt, .ctx = b,
		.also = again_also }, .id = *id, .rc = -2 };

	b->waiting++;
	assert_true(spool_change(b->spool, &x.change));
	bed_wait(b);
	assert_int_equal(x.change.result, RECEIPT_OK);
	return x.rc;
}

/* Once more: only what is done, and what was counted stays. */
static void
again(void **state)
{
	struct bed	    *b = *state;
	struct arena	    *a = arena_new(1 << 20);
	struct intake_errand x, errand;
	struct intake_row    r;
	struct intake_mark   mark = { .what = intake_mark_recipient(1,
		INTAKE_DSN) };
	struct intake_end    end;
	struct change	     c;
	struct wall	     last;
	struct err	     e;
	unsigned	     count, notes;
	struct msgid	     id, other;

	bed_start(b);
	id = bed_take(b, 100, RECEIPT_OK);
	assert_int_equal(bed_judge_again(b, &id), 0); /* waits already */
	mark.id = id;
	memset(&errand, 0, sizeof(errand));
	errand.id = id;
	errand.account = BYTES("");
	errand.to = BYTES("ann@example.com");
	end = (struct intake_end){ id, INTAKE_DSN, INTAKE_EVENT, &mark, 1,
		&errand, 1 };
	bed_end(b, &end);
	assert_int_equal(bed_judge_again(b, &id), 0); /* its copy waits */
	c = (struct change){ .from = b->asker, .on_receipt = bed_on_receipt,
		.ctx = b, .errand = &errand };
	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	bed_wait(b);
	bed_drain(b);
	notes = b->notes;
	assert_int_equal(bed_judge_again(b, &id), 1);
	bed_drain(b);
	assert_true(b->notes > notes);
	assert_int_equal(bed_next(b, INTAKE_JUDGE, a, &x), 1);
	assert_memory_equal(&x.id, &id, sizeof(id));
	assert_int_equal(spool_read_intake(b->spool, &id, a, &r, &e), 1);
	assert_int_equal(r.result, INTAKE_WAITS);
	assert_int_equal(r.kind, INTAKE_UNKNOWN);
	assert_int_equal(r.body_octets, 100);
	assert_int_equal(spool_read_mark(b->spool, &mark, &count, &last, &e),
	    1);
	assert_int_equal(count, 1);
	msgid_make(clock_wall(), &other);
	assert_int_equal(bed_judge_again(b, &other), 0); /* is not there */
	arena_free(a);
}

/* Raw mail has a share of the store: beyond half of it the oldest that is
 * done goes, beyond the whole nothing more is taken. */
static void
share(void **state)
{
	enum { OCTETS = 200 * 1024 };
	struct bed	 *b = *state;
	uint64_t	  max = b->setup.map_bytes / 8;
	struct arena	 *a = arena_new(1 << 20);
	struct intake_row r;
	struct intake_end end;
	struct msgid	  first, id;
	struct err	  e;
	unsigned	  n, taken = 0;

	bed_start(b);
	first = bed_take(b, OCTETS, RECEIPT_OK);
	memset(&end, 0, sizeof(end));
	end.id = first;
	end.kind = INTAKE_UNKNOWN;
	end.result = INTAKE_IGNORED;
	bed_end(b, &end);
	for (n = 0; n < max / OCTETS - 1; n++)
		id = bed_take(b, OCTETS, RECEIPT_OK);
	/* the first was done, those after it are not */
	assert_int_equal(spool_read_intake(b->spool, &first, a, &r, &e), 0);
	assert_int_equal(spool_read_intake(b->spool, &id, a, &r, &e), 1);
	for (n = 0; n < 3; n++) {
		struct message *m = raw_message("x@relay.example", OCTETS);

		taken += bed_submit(b, m) == RECEIPT_OK;
		message_free(m);
	}
	assert_true(taken < 3);
	assert_true(b->spool->state.intake_bytes <= max);
	arena_free(a);
}

/* What is done goes after its time, what waits stays. */
static void
keeping(void **state)
{
	struct bed	 *b = *state;
	struct arena	 *a = arena_new(1 << 20);
	struct intake_row r;
	struct intake_end end;
	struct msgid	  done, waits;
	struct err	  e;

	bed_start(b);
	spool_keep_raw(b->spool, -1000); /* as if it were tomorrow */
	/* one that waits holds up those behind it: the earlier one is done */
	done = bed_take(b, 100, RECEIPT_OK);
	waits = bed_take(b, 100, RECEIPT_OK);
	if (memcmp(waits.b, done.b, sizeof(done.b)) < 0) {
		struct msgid later = done;

		done = waits;
		waits = later;
	}
	spool_sweep(b->spool);
	bed_passes(b, 20);
	assert_int_equal(spool_read_intake(b->spool, &done, a, &r, &e), 1);
	memset(&end, 0, sizeof(end));
	end.id = done;
	end.result = INTAKE_IGNORED;
	bed_end(b, &end);
	spool_sweep(b->spool);
	bed_passes(b, 20);
	assert_int_equal(spool_read_intake(b->spool, &done, a, &r, &e), 0);
	assert_int_equal(spool_read_intake(b->spool, &waits, a, &r, &e), 1);
	arena_free(a);
}

static int
put_empty(struct change *c, struct spool_txn *t, struct err *e)
{
	struct msgid	  id;
	struct record_key k;

	(void)c;
	msgid_make(clock_wall(), &id);
	return db_put(t->db, SPOOL_INTAKE, record_key_numbered(&k, &id, 0),
	    BYTES(""), false, e);
}

/* A row without a record stops the sweep, which would meet it for ever. */
static void
a_row_without_a_record(void **state)
{
	struct bed   *b = *state;
	struct change c = { .from = b->asker, .on_receipt = bed_on_receipt,
		.ctx = b, .also = put_empty };

	bed_start(b);
	spool_keep_raw(b->spool, -1000);
	b->waiting++;
	assert_true(spool_change(b->spool, &c));
	bed_wait(b);
	assert_int_equal(c.result, RECEIPT_OK);
	spool_sweep(b->spool);
	if (b->downs == 0)
		loop_run(b->asker);
	assert_int_equal(b->downs, 1);
}

static void
marks(void **state)
{
	(void)state;
	assert_int_equal(intake_mark_recipient(999999, INTAKE_DSN), 999999);
	assert_true(intake_mark_recipient(1, INTAKE_DSN) !=
	    intake_mark_recipient(1, INTAKE_ARF));
	assert_true(intake_mark_report(BYTES("<a@b>")) >> 31 == 1);
	assert_true(intake_mark_report(BYTES("<a@b>")) !=
	    intake_mark_report(BYTES("<a@c>")));
	assert_true(intake_mark_recipient(999999, INTAKE_UNKNOWN) >> 31 ==
	    0);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(life, bed_make, bed_remove),
		cmocka_unit_test_setup_teardown(again, bed_make, bed_remove),
		cmocka_unit_test_setup_teardown(share, bed_make, bed_remove),
		cmocka_unit_test_setup_teardown(keeping, bed_make,
		    bed_remove),
		cmocka_unit_test_setup_teardown(a_row_without_a_record,
		    bed_make_quiet, bed_remove),
		cmocka_unit_test(marks),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

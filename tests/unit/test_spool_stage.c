/* SPDX-License-Identifier: ISC */
/* Content that is laid down ahead of its message. */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include "spool_bed.h"

/* Hands in what is full; the receipt's result. */
static enum receipt_result
stage_full(struct bed *b, struct message *m)
{
	struct stage st;
	uint64_t     octets = m->body_octets;

	memset(&st, 0, sizeof(st));
	st.from = b->asker;
	st.on_receipt = bed_on_receipt;
	st.ctx = b;
	st.content = m->content;
	st.offset = m->body_staged;
	st.chunks = message_take_full(m);
	assert_non_null(st.chunks);
	b->waiting++;
	assert_true(spool_stage(b->spool, &st));
	bed_wait(b);
	if (st.result == RECEIPT_OK) {
		m->content = st.content;
		m->body_staged = octets - octets % CHUNK_OCTETS;
	}
	return st.result;
}

static void
assert_content(struct bed *b, const struct message *m)
{
	struct arena	  *a = arena_new(65536);
	struct message_row r;
	struct err	   e;
	char		   buf[30000];
	uint64_t	   at;
	ptrdiff_t	   n, k;

	assert_int_equal(spool_read_message(b->spool, &m->id, a, &r, &e), 1);
	for (at = 0; (n = spool_read_content(b->spool, &r, at, buf,
	    sizeof(buf), &e)) > 0; at += (uint64_t)n)
		for (k = 0; k < n; k++)
			assert_true(buf[k] == (at + (uint64_t)k < BED_HEAD ?
			    'H' : bed_octet(at + (uint64_t)k - BED_HEAD)));
	assert_int_equal(n, 0);
	assert_true(at == message_octets(m));
	arena_free(a);
}

static void
staged_content_is_one_with_the_rest(void **state)
{
	struct bed	*b = *state;
	struct message	*m = bed_message(1, 300000, 0);
	struct message	*other = bed_message(1, 300000, 0);

	bed_start(b);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(stage_full(b, other), RECEIPT_OK);
	assert_int_not_equal(m->content, other->content);
	bed_put(b, 1, 5000, 0); /* in between */
	bed_fill_body(m, 200000);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 2);
	bed_fill_body(m, 77);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	assert_int_equal(bed_submit(b, other), RECEIPT_OK);
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 0);
	assert_content(b, m);
	assert_content(b, other);
	message_free(m);
	message_free(other);
}

static void
a_discard_takes_it_back(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 300000, 0);

	bed_start(b);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 64);
	spool_discard(b->spool, m->content);
	spool_discard(b->spool, m->content); /* twice does no harm */
	spool_discard(b->spool, 0);
	bed_passes(b, 1);
	assert_int_equal(bed_rows(b, SPOOL_STAGING), 0);
	assert_int_equal(bed_rows(b, SPOOL_CHUNK), 0);
	message_free(m);
}

/* More than 256 pieces go little by little. */
static void
a_big_content_goes_by_the_sweep(void **state)
{
	struct bed     *b = *state;
	struct message *m = bed_message(1, 5000000, 0);
	uint64_t	rows, before;
	unsigned	passes = 0;

	bed_start(b);
	assert_int_equal(stage_full(b, m), RECEIPT_OK);
	assert_int_equal(bed_submit(b, m), RECEIPT_OK);
	rows = bed_rows(b, SPOOL_CHUNK);
	assert_int_equal(rows, 1 + 1226);
	assert_true(bed_change_one(b, CHANGE_DONE, m, 1, m->accepted));
	assert_true(bed_figures(b).messages == 0);
	for (before = rows; (rows = bed_rows(b, SPOOL_CHUNK)) > 0;
	    before = rows) {
		assert_true(before - rows <= 2000);
		bed_passes(b, 1);
		assert_true(++passes < 10);
	}
	bed_passes(b, 2);
	assert_int_equal(bed_rows(b, SPOOL_SWEPT), 0);
	message_free(m);
}

int
main(void)
{
#define test(f) cmocka_unit_test_setup_teardown(f, bed_make_quiet, bed_remove)
	static const struct CMUnitTest tests[] = {
		test(staged_content_is_one_with_the_rest),
		test(a_discard_takes_it_back),
		test(a_big_content_goes_by_the_sweep),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

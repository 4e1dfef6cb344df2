/* SPDX-License-Identifier: ISC */
/* Findings, and complaints that become one (reputation.md 5). */
#include "book_world.h"

#include "registry/finding.h"

static const int64_t day = 86400000;

static void
records(void **state)
{
	struct finding f, back;
	struct buf     b;
	size_t	       n;
	unsigned       i;
	enum finding_type type;

	(void)state;
	memset(&f, 0, sizeof(f));
	strcpy(f.account, world_account);
	strcpy(f.id, "0123456789abcdef");
	f.type = FINDING_SPAM_TRAP;
	f.action = FINDING_REVIEW;
	strcpy(f.note, "three traps");
	f.opened.ms = world_time;
	f.count = 3;
	buf_init(&b, 4096);
	assert_true(finding_write_record(&f, &b));
	assert_true(finding_read_record(buf_bytes(&b), &back));
	assert_int_equal(back.type, FINDING_SPAM_TRAP);
	assert_string_equal(back.note, "three traps");
	assert_int_equal(back.count, 3);
	for (n = 0; n < b.n; n++)
		assert_false(finding_read_record(bytes_head(buf_bytes(&b), n),
		    &back));
	buf_wipe(&b);
	for (i = 0; i < FINDING_TYPES; i++) {
		assert_true(finding_type_from_text(bytes_of(
		    finding_type_to_text((enum finding_type)i)), &type));
		assert_int_equal(type, i);
		assert_non_null(finding_remedy(type));
	}
	assert_false(finding_type_from_text(BYTES("nonsense"), &type));
}

/* reputation#24 on this level: ten in a week. */
static void
counting(struct db_txn *t)
{
	struct finding f, again;
	struct wall    now = { world_time };
	struct err     e;
	unsigned       i;
	bool	       review, pause;

	for (i = 1; i < FINDING_DIRECT_FROM; i++) {
		assert_int_equal(finding_count(t, world_account,
		    FINDING_DIRECT_FEEDBACK, now, &f, &e), 0);
		assert_int_equal(f.count, i);
		assert_int_equal(f.state, FINDING_COUNTING);
	}
	/* a week later they are counted anew */
	now.ms += FINDING_DIRECT_DAYS * day;
	for (i = 1; i <= FINDING_DIRECT_FROM; i++)
		assert_int_equal(finding_count(t, world_account,
		    FINDING_DIRECT_FEEDBACK, now, &f, &e), 0);
	assert_int_equal(f.count, FINDING_DIRECT_FROM);
	assert_int_equal(f.state, FINDING_OPEN);
	assert_int_equal(f.action, FINDING_NOTE);
	assert_int_equal(finding_look(t, world_account, &review, &pause, &e),
	    0);
	assert_false(review || pause);
	/* what a provider says is one at once, and a review */
	assert_int_equal(finding_count(t, world_account,
	    FINDING_RECIPIENT_FEEDBACK, now, &again, &e), 0);
	assert_int_equal(again.state, FINDING_OPEN);
	assert_int_equal(finding_look(t, world_account, &review, &pause, &e),
	    0);
	assert_true(review && !pause);
	assert_int_equal(finding_look(t, world_other, &review, &pause, &e),
	    0);
	assert_false(review);
	/* one that was closed is not counted further */
	assert_int_equal(finding_get(t, world_account, f.id, &f, &e), 1);
	f.state = FINDING_CLOSED;
	assert_int_equal(finding_put(t, &f, &e), 0);
	assert_int_equal(finding_count(t, world_account,
	    FINDING_DIRECT_FEEDBACK, now, &again, &e), 0);
	assert_int_equal(again.count, 1);
	assert_string_not_equal(again.id, f.id);
	assert_int_equal(finding_purge(t, world_account, 10, &e), 3);
	assert_int_equal(finding_purge(t, world_account, 10, &e), 0);
}

static void
the_register(void **state)
{
	(void)state;
	world_test(counting);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(records),
		cmocka_unit_test(the_register),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

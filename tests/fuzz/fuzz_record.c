/* SPDX-License-Identifier: ISC */
/*
 * One octet chooses the kind of row, the rest is its stored value.  What can
 * be read must come out the same after writing and reading it again.
 */
#include <stddef.h>
#include <stdint.h>
#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "store/record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuzz_replay_end(void);

enum { KINDS = 11 };

/* What the inputs have shown of each kind. */
static struct {
	bool whole, damaged;
} seen[KINDS];

/* Reads a row of the kind and writes it to out; false = damaged. */
static bool
pass(unsigned kind, struct bytes in, struct arena *a, struct buf *out)
{
	struct message_row   message;
	struct recipient_row recipient;
	struct mail_row	     mail;
	struct due_row	     due;
	struct event	     ev;
	struct counter_row   counter;
	struct state_row     state;
	struct event_head head;
	struct intake_row    intake;
	struct intake_errand errand;
	struct mark_row	     mark;
	struct departure     departure;

	memset(&recipient, 0, sizeof(recipient));
	memset(&mail, 0, sizeof(mail));
	switch (kind) {
	case 0:
		return record_read_message(in, &message) &&
		    record_write_message(&message, out);
	case 1:
		return record_read_recipient(in, &recipient) &&
		    record_write_recipient(&recipient, out);
	case 2:
		return record_read_mail(in, a, &mail) &&
		    record_write_mail(&mail, out);
	case 3:
		return record_read_due(in, &due) &&
		    record_write_due(&due, out);
	case 4:
		return record_read_event(in, a, &ev) &&
		    record_read_event_head(in, &head) &&
		    record_write_event(&ev, head.committed, out);
	case 5:
		return record_read_counter(in, &counter) &&
		    record_write_counter(&counter, out);
	case 7:
		memset(&intake, 0, sizeof(intake));
		return record_read_intake(in, a, &intake) &&
		    record_write_intake(&intake, out);
	case 8:
		return record_read_errand(in, &errand) &&
		    record_write_errand(&errand, out);
	case 9:
		return record_read_mark(in, &mark) &&
		    record_write_mark(&mark, out);
	case 10:
		return record_read_departure(in, &departure) &&
		    record_write_departure(&departure, out);
	default:
		return record_read_state(in, &state) &&
		    record_write_state(&state, out);
	}
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct arena *a = arena_new(1 << 20);
	struct buf    first, second;
	unsigned      kind;

	if (size > 0 && size < 65536) {
		kind = data[0] % KINDS;
		buf_init(&first, 1 << 20);
		buf_init(&second, 1 << 20);
		if (!pass(kind, (struct bytes){ (const char *)data + 1,
			size - 1 }, a, &first)) {
			seen[kind].damaged = true;
		} else {
			seen[kind].whole = true;
			must(pass(kind, buf_bytes(&first), a, &second));
			must(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
		}
		buf_wipe(&first);
		buf_wipe(&second);
	}
	arena_free(a);
	return 0;
}

/* Seeds grow stale when a record changes. */
int
fuzz_replay_end(void)
{
	unsigned i;
	int	 status = 0;

	for (i = 0; i < KINDS; i++)
		if (!seen[i].whole || !seen[i].damaged) {
			fprintf(stderr, "record %u: no %s one among the "
			    "seeds\n", i, seen[i].whole ? "damaged" :
			    "whole");
			status = 1;
		}
	return status;
}

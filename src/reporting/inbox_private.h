/* SPDX-License-Identifier: ISC */
/*
 * inbox_private.h - one raw message in the making of its verdict.
 *
 *	inbox.c		what waits, reading it, the commit
 *	inbox_judge.c	what it is, of which message it speaks, who gets a copy
 *	inbox_events.c	bounces, complaints and automatic replies as events
 *
 * Use:    for src/reporting/inbox*.c only.
 * Owner:  everything lies in the arena of the judging.
 * Thread: the reporting loop.
 * Fails:  .trouble: the store could not be read: nothing is written, the
 *         message waits.  Or the arena is full: it is given up.
 */
#ifndef REPORTING_INBOX_PRIVATE_H
#define REPORTING_INBOX_PRIVATE_H

#include "mail/returned.h"
#include "reporting/inbox.h"

enum {
	JUDGING_EVENTS = 400,
	JUDGING_MARKS = 1200,
	JUDGING_ERRANDS = INTAKE_KINDS + 120
};

struct judging {
	struct inbox	       *inbox;
	const struct inbox_setup *setup;
	const struct classify  *classify;
	struct arena	       *arena;
	struct wall		now;
	struct intake_row	row;
	struct returned		r;
	bool			trouble;

	/* the verdict */
	enum intake_kind     kind;
	enum intake_result   result; /* WAITS = nothing was found yet */
	struct event	    *events;
	struct change_item  *items; /* as many; for the commit */
	char		   (*accounts)[ACCOUNT_ID_SIZE]; /* of the events */
	size_t		     event_count;
	struct intake_mark  *marks;
	size_t		     mark_count;
	struct intake_errand *errands;
	size_t		     errand_count;
};

/* A message of ours, and which recipient of it: 0 = not said. */
struct target {
	struct mail_row mail;
	unsigned	n;
};

/* -- inbox_judge.c */
void judging_run(struct judging *j);
/* Found, sent by somebody, and not too old. */
bool judging_find(struct judging *j, const struct msgid *id, unsigned n,
    struct target *t);
/* The best of what was found stands. */
void judging_result(struct judging *j, enum intake_result r);
void judging_forward(struct judging *j, const char *account, struct bytes to,
    enum intake_from from);
/* false = the same report was read before, about the same message */
bool judging_is_new(struct judging *j, const struct target *t);

/* -- inbox_events.c */
/* Number of the recipient; 0 = it was not sent there. */
unsigned target_find(const struct target *t, struct bytes address);
void judging_bounce(struct judging *j, const struct target *t);
void judging_autoreply(struct judging *j, const struct target *t);
void judging_complaint(struct judging *j, const struct target *t);

#endif

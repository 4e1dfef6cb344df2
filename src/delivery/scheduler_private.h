/* SPDX-License-Identifier: ISC */
/*
 * scheduler_private.h - what the files of the scheduler share: scheduler.c
 * (what waits, and when it is due) and scheduler_read.c (what is read from the
 * due table).
 * Use:    by these two only.
 * Owner, thread: see scheduler.h.
 * Fails:  as there.
 */
#ifndef DELIVERY_SCHEDULER_PRIVATE_H
#define DELIVERY_SCHEDULER_PRIVATE_H

#include "delivery/scheduler.h"

enum { REFILL_ROWS = 1000 /* read in one pass */ };

int due_key_cmp(const struct due_key *a, const struct due_key *b);
/* The key before this one: a walk goes on behind a key. */
struct due_key due_key_before(struct wall due, const struct msgid *id,
    unsigned n);
struct due *scheduler_first(const struct scheduler *s); /* NULL = none waits */
void scheduler_set_timer(struct carrier *c);
/* New: it has just arrived.  false = it was known already. */
bool scheduler_take_in(struct carrier *c, const struct arrival *a,
    bool is_new);
void scheduler_on_more(void *carrier, void *unused);

#endif

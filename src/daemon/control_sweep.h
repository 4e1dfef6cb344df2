/* SPDX-License-Identifier: ISC */
/*
 * control_sweep.h - many rows of the queue, looked at or changed in windows.
 *
 *	worker: collects a window of rows that fit the filter
 *	main:   shows it, or hands it to the spool as a change
 *	receipt on main: the next window, until the table ends
 *
 * Use:    s = sweep_new(control, &filter); set kind, held_by, done; then
 *         sweep_start(s).
 * Owner:  the sweep belongs to its request (sweep_free() as state_free), or
 *         to the control when q is NULL; it frees itself then.
 * Thread: main; collecting on a worker.
 * Fails:  s->err has a text when done() runs.
 */
#ifndef DAEMON_CONTROL_SWEEP_H
#define DAEMON_CONTROL_SWEEP_H

#include "daemon/control_private.h"

enum queue_state {
	QUEUE_ANY,
	QUEUE_READY,
	QUEUE_ACTIVE,
	QUEUE_DEFERRED,
	QUEUE_HELD,
	QUEUE_SCHEDULED
};
const char *queue_state_to_text(enum queue_state s);
/* As delivery.md 2.2 has it: who waits for a time that has come is READY. */
enum queue_state queue_state_of(const struct recipient_row *r, bool active,
    struct wall now);
/* What the carrier has in its hands: sorted once, asked for each row. */
void queue_sort_active(struct due_key *v, size_t n);
bool queue_is_active(const struct due_key *v, size_t n,
    const struct recipient_row *r);

/* Texts lie in the filter's owner; empty = all. */
struct queue_filter {
	char	     account[ACCOUNT_ID_SIZE];
	enum queue_state state;
	struct bytes to, from; /* an address, or a domain */
	struct bytes credential; /* its name, or one of its keys */
	struct bytes config_set;
	struct config_set_id set; /* held rows of it; none = of all */
	struct bytes rcpt; /* one address, exactly */
	struct wall  older_than; /* 0 = any age */
	/* attempts under way, from the carrier; sorted */
	const struct due_key *active;
	size_t		      active_count;
	bool		      is_due; /* retry: what waits, not what is held */
	bool		      is_resting; /* nothing that is under way */
	struct wall	      now;
};
/* A message that was named. */
struct sweep_id {
	struct msgid id;
	uint64_t     found; /* rows, of this account */
	uint64_t     fit;   /* of these, fit the filter */
	uint64_t     busy;  /* would, but are under way */
};
struct sweep_row {
	struct recipient_row r; /* texts in the window's arena */
	bool		     active, system;
	char		     account[ACCOUNT_ID_SIZE];
	struct config_set_id set;
};
enum { SWEEP_ROWS = 256, SWEEP_LINES = 128 * 1024 /* octets, about */ };

struct sweep {
	struct job     work; /* first */
	struct change  change;
	struct sweep  *next, *prev;
	struct control *control;
	struct conf   *conf;
	struct request *q; /* NULL: of no request */
	struct queue_filter filter;

	/* what to walk: the messages named, or the whole queue, or what is
	 * held */
	struct sweep_id *ids;
	size_t	      id_count, id_at;
	bool	      held;	/* the table of holds; filter: account, set */
	uint8_t	      held_by;	/* held: by this cause */

	/*
	 * On the worker, for each row that fits, in place of keeping it: lays
	 * it out in lines, which show() sends; false = the page is full, or
	 * err says why.  The texts of the row end with the call.
	 */
	bool (*lay_out)(struct sweep *s, const struct sweep_row *w);
	struct buf lines;
	/* what to do with a window; NULL = the change of kind */
	void (*show)(struct sweep *s);
	enum change_kind kind;
	const char *reason; /* CHANGE_DONE with a Bounce event; NULL = none */
	void (*done)(struct sweep *s);

	/* of show(): a list with its pages */
	uint64_t	 limit, shown; /* limit 0 = all */
	bool		 paused, more; /* more: beyond the page */
	struct due_key	 last; /* row of the page */
	struct due_key	*active_keys; /* of the filter, freed with it */

	/* the window */
	struct arena	*arena;
	struct sweep_row row[SWEEP_ROWS];
	struct change_item item[SWEEP_ROWS];
	size_t		 row_count;
	struct due_key	 at; /* the last row looked at */
	bool		 begun, ended, stop;
	bool		 then_release; /* of a hold: it is over already */
	struct timer	 again;
	uint64_t	 seen, changed;
	struct err	 err;
};
struct sweep *sweep_new(struct control *k, struct request *q);
void sweep_start(struct sweep *s);
/* show() has done its work: the next window. */
void sweep_next(struct sweep *s);
void sweep_free(void *sweep);

/* The account was paused: what it has in the queue is held. */
void control_hold_account(struct control *k, const char *account);
/* Rows that the pause of an account holds go on; account NULL: of all that
 * may send. */
void control_release_account(struct control *k, const char *account);
/* The one or the other, as the account is now; the carrier looks at it. */
void control_follow_account(struct control *k, const struct account *a);
/*
 * Rows that the pause of a configuration set holds go on; set NULL: of all
 * that are not paused.  Its holds are the scheduler's, row by row, as it meets
 * them: there is no sweep for them.
 */
void control_release_set(struct control *k, const struct config_set_id *set);
/* Any thread: does a pause hold the mail of this set?  While that cannot be
 * told, it does. */
bool control_set_is_paused(struct control *k, const struct config_set_id *id);
/* Any thread: the row as the scheduler will leave it when it meets it. */
void queue_see_pause(struct control *k, const struct config_set_id *set,
    struct recipient_row *r);

#endif

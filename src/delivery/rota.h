/* SPDX-License-Identifier: ISC */
/*
 * rota.h - whose turn it is among egresses that wait for the same thing: to
 * begin an attempt, or a place among delivery.max_connections.
 *
 * Use:    rota_init(&r) and rota_add(&r, &x->entry, account, rank);
 *         x = rota_take(&r)->of, which waits no more.  Once in, adding again
 *         does nothing; rota_leave() before it goes.
 * Order:  accounts take turns.  Of one account new mail goes before what has
 *         waited for another attempt, and before both new mail that finds
 *         nothing of its own before it (fresh); but each not twice in a row.
 *         So a message for a destination of its own goes out at once beside
 *         mail for a thousand others, the first attempts of all get on beside
 *         a backlog, and the backlog has a quarter of the turns whatever
 *         comes.  In a rank who came first is the next.
 * Owner:  entries are embedded in what waits; the rota owns its lines.
 * Thread: the delivery loop's.
 * Fails:  never.  Cost: constant.
 */
#ifndef DELIVERY_ROTA_H
#define DELIVERY_ROTA_H

#include <stdbool.h>
#include <stddef.h>

enum rota_rank { ROTA_FRESH, ROTA_NEW, ROTA_OLD, ROTA_RANKS };

struct table;
struct rota_line;
struct rota_entry {
	struct rota_entry *next, *before;
	struct rota_line  *line; /* NULL = does not wait */
	enum rota_rank	   rank;
	void		  *of; /* whose it is; set by the owner */
};
struct rota {
	struct table	 *lines; /* by account */
	struct rota_line *first, *last; /* ring: the first is next */
	size_t		  waiting;
};
void rota_init(struct rota *r);
void rota_wipe(struct rota *r); /* nobody waits any more */
void rota_add(struct rota *r, struct rota_entry *e, const char *account,
    enum rota_rank rank);
void rota_leave(struct rota *r, struct rota_entry *e);
bool rota_has(const struct rota_entry *e);
struct rota_entry *rota_take(struct rota *r); /* NULL = nobody waits */
/* Whoever comes first of those whose turn it is next; does not take it. */
const struct rota_entry *rota_next(const struct rota *r);

#endif

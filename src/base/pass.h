/* SPDX-License-Identifier: ISC */
/*
 * pass.h - what waits for the end of a loop's pass: deferred calls, hooks,
 * and the reaper with what has been closed; for base/thread.c only.
 * Use:    pass_defer(), pass_hook(), pass_reap() while the pass goes on, one
 *         pass_end() at its end.  All zero is empty.
 * Owner:  the loop; a corpse belongs to the reaper until it is freed.
 * Thread: the loop's.
 * Fails:  aborts without memory, and with more hooks than there is room for.
 */
#ifndef BASE_PASS_H
#define BASE_PASS_H

#include <stddef.h>

#include "base/thread.h"

enum { PASS_HOOKS_MAX = 8 };

struct call {
	loop_fn *fn;
	void	*ctx, *load;
};
struct calls {
	struct call *v;
	size_t	     n, cap;
};
void calls_add(struct calls *c, struct call call);
/* What is added meanwhile is left; spare lends its room and gets the other. */
void calls_run(struct calls *c, struct calls *spare);

struct corpse;
struct pass {
	struct calls   deferred, running;
	struct call    hooks[PASS_HOOKS_MAX];
	size_t	       hook_count;
	struct corpse *corpses;
	size_t	       corpse_count, corpse_cap;
};
void pass_defer(struct pass *p, loop_fn *fn, void *ctx); /* fn(ctx, NULL) */
void pass_hook(struct pass *p, loop_fn *fn, void *ctx); /* at each end */
void pass_reap(struct pass *p, void (*free_fn)(void *), void *corpse);
/* The deferred calls, the hooks, the reaper, in this order. */
void pass_end(struct pass *p);
/* The reaper alone: before a loop that does not run any more is wiped. */
void pass_bury(struct pass *p);
void pass_wipe(struct pass *p); /* what is deferred is forgotten */

#endif

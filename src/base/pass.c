/* SPDX-License-Identifier: ISC */
#include "base/pass.h"

#include <stdlib.h>

#include "base/err.h"
#include "base/mem.h"

struct corpse {
	void (*free_fn)(void *);
	void *p;
};

enum { PASS_ROOM = 16 };

void
calls_add(struct calls *c, struct call call)
{
	if (c->n == c->cap) {
		c->cap = c->cap == 0 ? PASS_ROOM : c->cap * 2;
		c->v = mem_realloc(c->v, c->cap * sizeof(*c->v));
	}
	c->v[c->n++] = call;
}

void
calls_run(struct calls *c, struct calls *spare)
{
	struct calls run = *c;
	size_t	     i;

	*c = *spare;
	for (i = 0; i < run.n; i++)
		run.v[i].fn(run.v[i].ctx, run.v[i].load);
	run.n = 0;
	*spare = run;
}

void
pass_defer(struct pass *p, loop_fn *fn, void *ctx)
{
	calls_add(&p->deferred, (struct call){ fn, ctx, NULL });
}

void
pass_hook(struct pass *p, loop_fn *fn, void *ctx)
{
	must(p->hook_count < PASS_HOOKS_MAX);
	p->hooks[p->hook_count++] = (struct call){ fn, ctx, NULL };
}

void
pass_reap(struct pass *p, void (*free_fn)(void *), void *corpse)
{
	if (p->corpse_count == p->corpse_cap) {
		p->corpse_cap =
		    p->corpse_cap == 0 ? PASS_ROOM : p->corpse_cap * 2;
		p->corpses = mem_realloc(p->corpses,
		    p->corpse_cap * sizeof(*p->corpses));
	}
	p->corpses[p->corpse_count++] = (struct corpse){ free_fn, corpse };
}

void
pass_bury(struct pass *p)
{
	struct corpse c;
	size_t	      i;

	/* what is freed may lay down more */
	for (i = 0; i < p->corpse_count; i++) {
		c = p->corpses[i];
		c.free_fn(c.p);
	}
	p->corpse_count = 0;
}

void
pass_end(struct pass *p)
{
	size_t i;

	calls_run(&p->deferred, &p->running);
	for (i = 0; i < p->hook_count; i++)
		p->hooks[i].fn(p->hooks[i].ctx, NULL);
	pass_bury(p);
}

void
pass_wipe(struct pass *p)
{
	pass_bury(p);
	free(p->deferred.v);
	free(p->running.v);
	free(p->corpses);
	*p = (struct pass){ .corpses = NULL };
}

/* SPDX-License-Identifier: ISC */
#include "reporting/routes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

struct routes {
	_Atomic unsigned    refs;
	bool		    is_sealed;
	unsigned	    types; /* of all of them */
	size_t		    n, room;
	struct destination *v; /* by set */
};

struct routes *
routes_new(void)
{
	struct routes *r = mem_alloc(sizeof(*r));

	atomic_store(&r->refs, 1);
	return r;
}

void
routes_add(struct routes *r, const struct destination *d)
{
	must(!r->is_sealed);
	if (r->n == r->room) {
		r->room = r->room == 0 ? 16 : 2 * r->room;
		r->v = mem_realloc(r->v, r->room * sizeof(r->v[0]));
	}
	r->v[r->n] = *d;
	/* where it goes is not asked here */
	memset(&r->v[r->n++].webhook, 0, sizeof(d->webhook));
	r->types |= d->types;
}

static int
set_cmp(const struct config_set_id *a, const struct config_set_id *b)
{
	return memcmp(a->b, b->b, sizeof(a->b));
}

static int
route_cmp(const void *a, const void *b)
{
	return set_cmp(&((const struct destination *)a)->set,
	    &((const struct destination *)b)->set);
}

void
routes_seal(struct routes *r)
{
	if (r->n > 1)
		qsort(r->v, r->n, sizeof(r->v[0]), route_cmp);
	r->is_sealed = true;
}

struct routes *
routes_ref(struct routes *r)
{
	atomic_fetch_add(&r->refs, 1);
	return r;
}

void
routes_unref(struct routes *r)
{
	if (r == NULL || atomic_fetch_sub(&r->refs, 1) != 1)
		return;
	mem_free(r->v);
	mem_free(r);
}

bool
routes_want(const struct routes *r, enum event_type type)
{
	return (r->types & (1u << type)) != 0;
}

const struct destination *
routes_of(const struct routes *r, const struct config_set_id *set, size_t *n)
{
	size_t low = 0, high = r->n, middle;

	must(r->is_sealed);
	while (low < high) {
		middle = low + (high - low) / 2;
		if (set_cmp(&r->v[middle].set, set) < 0)
			low = middle + 1;
		else
			high = middle;
	}
	for (*n = 0; low + *n < r->n; ++*n)
		if (set_cmp(&r->v[low + *n].set, set) != 0)
			break;
	return *n > 0 ? &r->v[low] : NULL;
}

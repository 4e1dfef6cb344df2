/* SPDX-License-Identifier: ISC */
#include "base/alarm.h"

#include <stdbool.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"

/* A timer that is set: in the heap, or in the list of those that are due. */
struct alarm {
	struct heap_node node;
	struct timer	*timer;
	struct alarm	*next, *prev; /* due list; next: spare list too */
	bool		 is_due;
};

void
timer_init(struct timer *t, struct loop *l, loop_fn *fn, void *arg)
{
	t->loop = l;
	t->fn = fn;
	t->arg = arg;
	t->impl = NULL;
}

bool
timer_is_set(const struct timer *t)
{
	return t->impl != NULL;
}

void
alarms_init(struct alarms *as)
{
	memset(as, 0, sizeof(*as));
	heap_init(&as->heap);
}

void
alarms_wipe(struct alarms *as)
{
	struct alarm *a;
	size_t	      i;

	for (i = 0; i < as->heap.n; i++)
		free(heap_entry(as->heap.v[i], struct alarm, node));
	heap_wipe(&as->heap);
	while ((a = as->due_first) != NULL) {
		as->due_first = a->next;
		free(a);
	}
	while ((a = as->spare) != NULL) {
		as->spare = a->next;
		free(a);
	}
}

static void
due_add(struct alarms *as, struct alarm *a)
{
	a->is_due = true;
	a->next = NULL;
	a->prev = as->due_last;
	if (as->due_last != NULL)
		as->due_last->next = a;
	else
		as->due_first = a;
	as->due_last = a;
}

static void
due_remove(struct alarms *as, struct alarm *a)
{
	if (a->prev != NULL)
		a->prev->next = a->next;
	else
		as->due_first = a->next;
	if (a->next != NULL)
		a->next->prev = a->prev;
	else
		as->due_last = a->prev;
	a->is_due = false;
}

void
alarms_set(struct alarms *as, struct timer *t, int64_t at_ms)
{
	struct alarm *a = t->impl;

	if (a != NULL && !a->is_due) {
		heap_move(&as->heap, &a->node, at_ms);
		return;
	}
	if (a != NULL) {
		due_remove(as, a);
	} else if ((a = as->spare) != NULL) {
		as->spare = a->next;
	} else {
		a = mem_alloc(sizeof(*a));
	}
	a->timer = t;
	t->impl = a;
	must(heap_push(&as->heap, &a->node, at_ms));
}

void
alarms_clear(struct alarms *as, struct timer *t)
{
	struct alarm *a = t->impl;

	if (a->is_due)
		due_remove(as, a);
	else
		heap_remove(&as->heap, &a->node);
	t->impl = NULL;
	a->next = as->spare;
	as->spare = a;
}

int64_t
alarms_next(const struct alarms *as)
{
	const struct heap_node *n = heap_first(&as->heap);

	if (as->due_first != NULL)
		return INT64_MIN;
	return n == NULL ? INT64_MAX : n->key;
}

void
alarms_run(struct alarms *as, int64_t now_ms, bool (*is_over)(void *arg),
    void *arg)
{
	struct heap_node *n;
	struct alarm	 *a;
	struct timer	 *t;

	while ((n = heap_first(&as->heap)) != NULL && n->key <= now_ms) {
		heap_remove(&as->heap, n);
		due_add(as, heap_entry(n, struct alarm, node));
	}
	while ((a = as->due_first) != NULL) {
		t = a->timer;
		alarms_clear(as, t);
		t->fn(t->arg, NULL);
		if (is_over != NULL && is_over(arg))
			break;
	}
}

/* SPDX-License-Identifier: ISC */
#include "delivery/due.h"

#include <stddef.h>

void
due_list_init(struct due_list *l)
{
	l->first = NULL;
	l->last = &l->first;
}

void
due_list_add(struct due_list *l, struct due *d)
{
	d->next = NULL;
	*l->last = d;
	l->last = &d->next;
}

void
due_list_put_back(struct due_list *l, struct due *d)
{
	d->next = l->first;
	if (l->first == NULL)
		l->last = &d->next;
	l->first = d;
}

struct due *
due_list_take(struct due_list *l)
{
	struct due *d = l->first;

	if (d == NULL)
		return NULL;
	l->first = d->next;
	if (l->first == NULL)
		l->last = &l->first;
	d->next = NULL;
	return d;
}

/* SPDX-License-Identifier: ISC */
#include "delivery/patience.h"

#include <stddef.h>

#include "base/err.h"

void
patience_end(struct patience *p, struct patience_entry *e)
{
	if (e->site == NULL)
		return;
	if (e->before != NULL)
		e->before->next = e->next;
	else
		p->first = e->next;
	if (e->next != NULL)
		e->next->before = e->before;
	else
		p->last = e->before;
	e->next = e->before = NULL;
	e->site = NULL;
}

void
patience_begin(struct patience *p, struct patience_entry *e, const void *site,
    struct mono now)
{
	must(site != NULL);
	patience_end(p, e);
	must(p->last == NULL || p->last->since.ms <= now.ms);
	e->site = site;
	e->since = now;
	e->before = p->last;
	if (p->last != NULL)
		p->last->next = e;
	else
		p->first = e;
	p->last = e;
}

struct patience_entry *
patience_longest(const struct patience *p, const void *site)
{
	struct patience_entry *e = p->first;

	while (e != NULL && e->site == site)
		e = e->next;
	return e;
}

int64_t
patience_left_ms(const struct patience_entry *e, struct mono now)
{
	int64_t left = e->since.ms + PATIENCE_MS - now.ms;

	return left > 0 ? left : 0;
}

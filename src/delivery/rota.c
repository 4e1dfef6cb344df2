/* SPDX-License-Identifier: ISC */
#include "delivery/rota.h"

#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "base/mem.h"
#include "base/table.h"

struct rota_list {
	struct rota_entry *first, *last;
};

/* An account; it is there while something of it waits. */
struct rota_line {
	struct rota_line *next, *before;
	struct rota_list  ranks[ROTA_RANKS];
	bool		  is_favoured[ROTA_RANKS]; /* it had the last turn that
						      it or a later one had */
	size_t		  n;
	char		  account[];
};

void
rota_init(struct rota *r)
{
	memset(r, 0, sizeof(*r));
	r->lines = table_new(0); /* as many as accounts */
}

void
rota_wipe(struct rota *r)
{
	must(r->waiting == 0);
	table_free(r->lines);
	memset(r, 0, sizeof(*r));
}

static void
rota_append(struct rota *r, struct rota_line *l)
{
	l->next = NULL;
	l->before = r->last;
	if (r->last != NULL)
		r->last->next = l;
	else
		r->first = l;
	r->last = l;
}

static void
rota_unlink(struct rota *r, struct rota_line *l)
{
	if (l->before != NULL)
		l->before->next = l->next;
	else
		r->first = l->next;
	if (l->next != NULL)
		l->next->before = l->before;
	else
		r->last = l->before;
}

static struct rota_line *
rota_line_of(struct rota *r, const char *account)
{
	struct bytes	  key = bytes_of(account);
	struct rota_line *l = table_get(r->lines, key);

	if (l != NULL)
		return l;
	l = mem_alloc(sizeof(*l) + key.n + 1);
	memcpy(l->account, account, key.n + 1);
	must(table_put(r->lines, key, l));
	rota_append(r, l);
	return l;
}

bool
rota_has(const struct rota_entry *e)
{
	return e->line != NULL;
}

void
rota_add(struct rota *r, struct rota_entry *e, const char *account,
    enum rota_rank rank)
{
	struct rota_list *list;

	if (e->line != NULL)
		return;
	e->line = rota_line_of(r, account);
	e->rank = rank;
	list = &e->line->ranks[rank];
	e->next = NULL;
	e->before = list->last;
	if (list->last != NULL)
		list->last->next = e;
	else
		list->first = e;
	list->last = e;
	e->line->n++;
	r->waiting++;
}

void
rota_leave(struct rota *r, struct rota_entry *e)
{
	struct rota_line *l = e->line;
	struct rota_list *list;

	if (l == NULL)
		return;
	list = &l->ranks[e->rank];
	if (e->before != NULL)
		e->before->next = e->next;
	else
		list->first = e->next;
	if (e->next != NULL)
		e->next->before = e->before;
	else
		list->last = e->before;
	e->line = NULL;
	r->waiting--;
	if (--l->n > 0)
		return;
	rota_unlink(r, l);
	table_take(r->lines, bytes_of(l->account));
	mem_free(l);
}

/* The first rank that waits, unless it was favoured and others wait, too. */
const struct rota_entry *
rota_next(const struct rota *r)
{
	const struct rota_line	*l = r->first;
	const struct rota_entry *e = NULL;
	int			 i;

	for (i = 0; l != NULL && i < ROTA_RANKS; i++) {
		if (l->ranks[i].first == NULL)
			continue;
		if (!l->is_favoured[i])
			return l->ranks[i].first;
		if (e == NULL)
			e = l->ranks[i].first;
	}
	return e;
}

struct rota_entry *
rota_take(struct rota *r)
{
	struct rota_entry *e = (struct rota_entry *)(uintptr_t)rota_next(r);
	struct rota_line  *l = r->first;
	unsigned	   i;

	if (e == NULL)
		return NULL;
	for (i = 0; i < (unsigned)e->rank; i++)
		l->is_favoured[i] = false;
	l->is_favoured[e->rank] = e->rank != ROTA_OLD;
	rota_unlink(r, l);
	rota_append(r, l);
	rota_leave(r, e);
	return e;
}

/* SPDX-License-Identifier: ISC */
#include "delivery/lane.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"

void
lanes_init(struct lanes *s, struct egress *eg)
{
	memset(s, 0, sizeof(*s));
	s->egress = eg;
	s->by_account = table_new(0);
}

static void
lanes_free_one(void *arg, struct bytes key, void *lane)
{
	(void)arg;
	(void)key;
	mem_free(lane);
}

void
lanes_wipe(struct lanes *s)
{
	table_each(s->by_account, lanes_free_one, NULL);
	table_free(s->by_account);
	memset(s, 0, sizeof(*s));
}

struct lane *
lanes_find(const struct lanes *s, const char *account)
{
	return table_get(s->by_account, bytes_of(account));
}

struct lane *
lanes_of(struct lanes *s, const char *account)
{
	struct lane *l = lanes_find(s, account);

	if (l != NULL)
		return l;
	l = mem_alloc(sizeof(*l));
	l->egress = s->egress;
	snprintf(l->account, sizeof(l->account), "%s", account);
	due_list_init(&l->small);
	due_list_init(&l->big);
	must(table_put(s->by_account, bytes_of(account), l));
	return l;
}

/* Behind all others of this round. */
static void
lanes_link(struct lanes *s, struct lane *l)
{
	if (s->turn == NULL) {
		s->turn = l->next = l->before = l;
	} else {
		l->next = s->turn;
		l->before = s->turn->before;
		l->before->next = l;
		l->next->before = l;
	}
	s->busy++;
}

static void
lanes_unlink(struct lanes *s, struct lane *l)
{
	if (l->next == l) {
		s->turn = NULL;
	} else {
		l->before->next = l->next;
		l->next->before = l->before;
		if (s->turn == l)
			s->turn = l->next;
	}
	s->busy--;
}

static struct due_list *
lane_list(struct lane *l, const struct due *d)
{
	return d->size <= LANE_SMALL ? &l->small : &l->big;
}

static struct lane *
lanes_count_in(struct lanes *s, const struct due *d)
{
	struct lane *l = lanes_of(s, d->account);

	if (l->queued++ == 0)
		lanes_link(s, l);
	s->queued++;
	return l;
}

static void
lanes_count_out(struct lanes *s, struct lane *l)
{
	s->queued--;
	l->is_served = true;
	if (--l->queued > 0)
		return;
	lanes_unlink(s, l);
	l->is_served = l->left.any;
	if (l->left.any || l->promised.ms != 0)
		return;
	table_take(s->by_account, bytes_of(l->account));
	mem_free(l);
}

void
lanes_add(struct lanes *s, struct due *d)
{
	due_list_add(lane_list(lanes_count_in(s, d), d), d);
}

bool
lane_is_new(const struct lane *l)
{
	const struct due *d = l->small.first != NULL ? l->small.first
						     : l->big.first;

	return d != NULL && d->is_new;
}

/* Is this one's turn that of new mail which nothing was before? */
static bool
lane_is_fresh(const struct lane *l)
{
	return !l->is_served && lane_is_new(l);
}

bool
lanes_favour(struct lanes *s, const char *account)
{
	struct lane *l = lanes_find(s, account);

	if (s->is_favoured || l == NULL || l->queued != 1 ||
	    !lane_is_fresh(l) || lane_is_fresh(s->turn))
		return false;
	s->is_favoured = true;
	s->turn = l; /* it was linked before the turn: nobody is passed over */
	return true;
}

void
lanes_put_back(struct lanes *s, struct due *d)
{
	due_list_put_back(lane_list(lanes_count_in(s, d), d), d);
}

struct due *
lanes_take(struct lanes *s)
{
	struct lane *l = s->turn;
	struct due  *d;

	if (l == NULL)
		return NULL;
	if (l->small.first == NULL ||
	    (l->big.first != NULL && ++l->big_turn % LANE_BIG_TURN == 0))
		d = due_list_take(&l->big);
	else
		d = due_list_take(&l->small);
	if (l->is_served || !d->is_new)
		s->is_favoured = false;
	s->turn = l->next;
	lanes_count_out(s, l);
	return d;
}

struct due *
lanes_take_together(struct lanes *s, struct due *first, unsigned most)
{
	struct lane	*l = lanes_find(s, first->account);
	struct due_list *list;
	struct due	*last = first;
	unsigned	 n, left;

	if (l == NULL)
		return first;
	list = lane_list(l, first);
	left = l->queued;
	for (n = 1; n < most && left > 0 && list->first != NULL &&
	     msgid_cmp(&list->first->id, &first->id) == 0; n++, left--) {
		last->next = due_list_take(list);
		last = last->next;
		lanes_count_out(s, l); /* may free it: then left is 0 */
	}
	return first;
}

struct tidying {
	struct lanes *lanes;
	struct wall   now;
};

static void
lanes_tidy_one(void *arg, struct bytes key, void *lane)
{
	struct tidying *x = arg;
	struct lane    *l = lane;

	if (l->promised.ms <= x->now.ms)
		l->promised.ms = 0;
	if (l->queued > 0 || l->left.any || l->promised.ms != 0)
		return;
	table_take(x->lanes->by_account, key);
	mem_free(l);
}

bool
lanes_tidy(struct lanes *s, struct wall now)
{
	struct tidying x = { s, now };

	table_each(s->by_account, lanes_tidy_one, &x);
	return table_count(s->by_account) == 0;
}

/* SPDX-License-Identifier: ISC */
#include "reporting/routes.h"

#include <stdatomic.h>
#include <stdlib.h>
#include <string.h>

#include "registry/notification.h"

struct routes {
	_Atomic unsigned    refs;
	bool		    is_sealed, has_subscription, notifies;
	unsigned	    types; /* of all of them, without subscriptions */
	size_t		    n, room;
	struct destination *v; /* by set, or topic */
	size_t		    topic_count, topic_room;
	struct topic	   *topics; /* by account and name */
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
	if (destination_is_subscription(d))
		r->has_subscription = true;
	else
		r->types |= d->types;
}

void
routes_add_topic(struct routes *r, const struct topic *x)
{
	must(!r->is_sealed);
	if (r->topic_count == r->topic_room) {
		r->topic_room = r->topic_room == 0 ? 16 : 2 * r->topic_room;
		r->topics = mem_realloc(r->topics,
		    r->topic_room * sizeof(r->topics[0]));
	}
	r->topics[r->topic_count++] = *x;
}

void
routes_set_notifies(struct routes *r)
{
	r->notifies = true;
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

static int
ref_cmp(const struct topic_ref *a, const struct topic_ref *b)
{
	int diff = strcmp(a->account, b->account);

	return diff != 0 ? diff : strcmp(a->name, b->name);
}

static int
topic_cmp(const void *a, const void *b)
{
	return ref_cmp(&((const struct topic *)a)->ref,
	    &((const struct topic *)b)->ref);
}

void
routes_seal(struct routes *r)
{
	if (r->topic_count > 1)
		qsort(r->topics, r->topic_count, sizeof(r->topics[0]),
		    topic_cmp);
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
	mem_free(r->topics);
	mem_free(r);
}

bool
routes_want(const struct routes *r, enum event_type type)
{
	return (r->types & (1u << type)) != 0 || routes_notify(r, type);
}

bool
routes_notify(const struct routes *r, enum event_type type)
{
	enum notification_kind unused;

	return r->notifies && r->has_subscription &&
	    notification_kind_of(type, &unused);
}

const struct destination *
routes_of_topic(const struct routes *r, const struct topic_ref *topic,
    const char *account, size_t *n)
{
	struct topic	   *found;
	const struct topic  wanted = { .ref = *topic };

	*n = 0;
	must(r->is_sealed);
	found = r->topic_count == 0 ? NULL :
		bsearch(&wanted, r->topics, r->topic_count,
		    sizeof(r->topics[0]), topic_cmp);
	if (found == NULL || !topic_may_publish(found, account))
		return NULL;
	return routes_of(r, &found->id, n);
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

/* SPDX-License-Identifier: ISC */
#include "registry/ledger.h"

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/err.h"

enum { SLOTS = 2048 }; /* a power of two, twice the pages and more */
#define LEDGER_OTHER "_other_"

struct ledger {
	_Atomic(struct ledger_page *) slot[SLOTS];
	atomic_uint		      count;
	atomic_bool		      is_full;
	struct ledger_page	      other;
};

/* -- names ----------------------------------------------------------------- */

const char *
ledger_interface_to_text(enum ledger_interface i)
{
	static const char *const names[] = { "smtp", "local" };

	return names[i];
}

const char *
ledger_result_to_text(enum ledger_result r)
{
	static const char *const names[] = { "accepted", "refused",
		"throttled" };

	return names[r];
}

const char *
ledger_limit_to_text(enum ledger_limit l)
{
	static const char *const names[] = { "rate", "daily", "overload" };

	return names[l];
}

const char *
ledger_complaint_to_text(unsigned i)
{
	static const char *const names[LEDGER_COMPLAINTS] = { "abuse",
		"auth-failure", "fraud", "not-spam", "other", "virus", "",
		"unknown" };

	return names[i];
}

/* -- pages ----------------------------------------------------------------- */

static struct ledger_page *
page_new(const char *account)
{
	struct ledger_page *p;

	p = aligned_alloc(_Alignof(struct ledger_page), sizeof(*p));
	must(p != NULL);
	memset(p, 0, sizeof(*p));
	snprintf(p->account, sizeof(p->account), "%s", account);
	return p;
}

struct ledger *
ledger_new(void)
{
	struct ledger *l;

	l = aligned_alloc(_Alignof(struct ledger), sizeof(*l));
	must(l != NULL);
	memset(l, 0, sizeof(*l));
	snprintf(l->other.account, sizeof(l->other.account), LEDGER_OTHER);
	return l;
}

void
ledger_free(struct ledger *l)
{
	size_t i;

	if (l == NULL)
		return;
	for (i = 0; i < SLOTS; i++)
		free(atomic_load(&l->slot[i]));
	free(l);
}

/* Fibonacci hashing of the number: ids are made at random, or by hand. */
static size_t
ledger_slot(const char *account)
{
	uint64_t n = 0;

	while (*account != '\0')
		n = n * 10 + (unsigned char)(*account++ - '0');
	return (size_t)(n * 0x9e3779b97f4a7c15u >> 53) & (SLOTS - 1);
}

/* One more page in this slot, unless somebody was faster; NULL = no more. */
static struct ledger_page *
ledger_add(struct ledger *l, size_t i, const char *account)
{
	struct ledger_page *p, *there = NULL;

	if (atomic_fetch_add(&l->count, 1) >= LEDGER_ACCOUNTS_MAX) {
		atomic_fetch_sub(&l->count, 1);
		atomic_store(&l->is_full, true);
		return NULL;
	}
	p = page_new(account);
	if (atomic_compare_exchange_strong(&l->slot[i], &there, p))
		return p;
	atomic_fetch_sub(&l->count, 1);
	free(p);
	return there;
}

struct ledger_page *
ledger_page(struct ledger *l, const char *account)
{
	struct ledger_page *p;
	size_t		    i = ledger_slot(account);

	for (;; i = (i + 1) & (SLOTS - 1)) {
		p = atomic_load_explicit(&l->slot[i], memory_order_acquire);
		if (p == NULL)
			p = ledger_add(l, i, account);
		if (p == NULL)
			return &l->other;
		if (strcmp(p->account, account) == 0)
			return p;
	}
}

/* Recipients that were not tried, for they are on a list. */
static void
ledger_count_suppressed(struct ledger_page *p, const struct event *ev)
{
	uint64_t n = ev->recipient_count;

	if (ev->simulator)
		return;
	if (ev->type == EVENT_COMPLAINT && ev->on_account_list)
		meter_add(&p->suppressed[LEDGER_OWN_COMPLAINT], n);
	else if (ev->type != EVENT_BOUNCE)
		return;
	else if (ev->bounce_subtype == BOUNCE_SUB_ON_ACCOUNT_LIST)
		meter_add(&p->suppressed[LEDGER_OWN_BOUNCE], n);
	else if (ev->bounce_subtype == BOUNCE_SUB_SUPPRESSED)
		meter_add(&p->suppressed[LEDGER_GLOBAL], n);
}

/* One report is one complaint. */
static void
ledger_count_complaint(struct ledger_page *p, const struct event *ev)
{
	unsigned i;

	if (ev->on_account_list)
		return;
	for (i = 0; i + 1 < LEDGER_COMPLAINTS; i++)
		if (bytes_eq_nocase(ev->feedback_type,
			bytes_of(ledger_complaint_to_text(i))))
			break;
	meter_add(&p->complaints[i], 1);
}

void
ledger_count_event(struct ledger_page *p, const struct event *ev)
{
	uint64_t n = ev->recipient_count;

	meter_add(&p->events[ev->type], n);
	ledger_count_suppressed(p, ev);
	if (ev->type == EVENT_COMPLAINT)
		ledger_count_complaint(p, ev);
	if (ev->type == EVENT_BOUNCE)
		meter_add(&p->bounces[ev->bounce_type][ev->bounce_subtype], n);
	else if (ev->type == EVENT_DELIVERY_DELAY)
		meter_add(&p->delays[ev->delay_type], n);
}

static int
page_order(const void *a, const void *b)
{
	return strcmp((*(struct ledger_page *const *)a)->account,
	    (*(struct ledger_page *const *)b)->account);
}

void
ledger_each(struct ledger *l,
    void (*fn)(void *arg, const struct ledger_page *p), void *arg)
{
	struct ledger_page *v[LEDGER_ACCOUNTS_MAX], *p;
	size_t		    i, n = 0;

	for (i = 0; i < SLOTS && n < LEDGER_ACCOUNTS_MAX; i++) {
		p = atomic_load_explicit(&l->slot[i], memory_order_acquire);
		if (p != NULL)
			v[n++] = p;
	}
	qsort(v, n, sizeof(v[0]), page_order);
	for (i = 0; i < n; i++)
		fn(arg, v[i]);
	if (atomic_load(&l->is_full))
		fn(arg, &l->other);
}

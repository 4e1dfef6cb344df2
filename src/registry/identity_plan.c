/* SPDX-License-Identifier: ISC */
/*
 * Part of registry/identity_check.h: what comes next for the keys of an
 * identity: which are still to be made, and when they are looked at again.
 */
#include <string.h>

#include "registry/conf.h"
#include "registry/identity_check.h"
#include "registry/identity_check_private.h"

enum { MAKE_AGAIN_MINUTES = 5, ED25519_SLOTS = 2 };

static const int64_t minute_ms = 60 * 1000;

void
identity_check_input_init(struct identity_check_input *in,
    const struct conf *c, struct wall now)
{
	uint32_t random;

	mem_random(&random, sizeof(random));
	in->now = now;
	in->recheck_ms = c->dkim.recheck_interval_ms;
	in->mail_from_recheck_ms = c->mail_from.recheck_interval_ms;
	in->retire_after_ms = c->dkim.retire_after_ms;
	in->min_visible_ms = c->dkim.min_visible_ms;
	in->rotate_every_ms = c->dkim.rotate_every_ms;
	in->dual_sign = c->dkim.dual_sign;
	in->jitter = (double)random / (double)UINT32_MAX * 2 - 1;
}

static void
plan_make(struct identity_decision *d, const char *selector, unsigned bits)
{
	struct identity_make *m;

	if (d->make_count == IDENTITY_MAKE_MAX)
		return;
	m = &d->make[d->make_count++];
	memset(m, 0, sizeof(*m));
	bytes_text(bytes_of(selector), m->selector, sizeof(m->selector));
	m->bits = bits;
}

static void
plan_at(struct identity *i, int64_t at)
{
	if (i->next_event.ms == 0 || at < i->next_event.ms)
		i->next_event.ms = at;
}

/* A check by then, at the latest: what follows wants to see the record. */
static void
plan_check(struct identity *i, int64_t at,
    const struct identity_check_input *in)
{
	if (at < in->now.ms + minute_ms)
		at = in->now.ms + minute_ms;
	if (at < i->dkim.next_check.ms)
		i->dkim.next_check.ms = at;
}

/* Places for keys that are to be made: what is dropped has gone by then. */
static size_t
keyset_places(const struct identity_keys *ks)
{
	size_t n, left = IDENTITY_KEYS_MAX;

	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n])
			left--;
	}
	return left;
}

/* -- turns (dkim.rotate_every) -------------------------------------------- */

/* When k may take over; 0 = not by time. */
static int64_t
identity_turn_at(const struct identity *i, struct identity_keys *ks,
    const struct dkim_key *k, const struct identity_check_input *in)
{
	const struct dkim_key *a = keyset_find(ks, false, DKIM_ACTIVE, false);
	int64_t		       visible, turn;

	if (in->rotate_every_ms == 0 || i->external || k->ed25519 ||
	    i->dkim.status != IDENTITY_SUCCESS || a == NULL || !k->seen ||
	    k->bits != i->next_bits)
		return 0;
	/* the next standby of published TXT records needs a place */
	if (!i->cname && keyset_places(ks) == 0)
		return 0;
	visible = k->seen_since.ms + in->min_visible_ms;
	turn = a->activated.ms + in->rotate_every_ms;
	return turn > visible ? turn : visible;
}

bool
identity_turn_is_due(const struct identity *i, struct identity_keys *ks,
    const struct dkim_key *k, const struct identity_check_input *in)
{
	int64_t at = identity_turn_at(i, ks, k, in);

	return at != 0 && at <= in->now.ms;
}

/* -- Ed25519 beside managed keys (dkim.md 6.1) ----------------------------- */

static bool
identity_wants_ed25519(const struct identity *i,
    const struct identity_keys *ks, const struct identity_check_input *in)
{
	return !i->external && identity_is_dual(i, in->dual_sign) &&
	    keyset_has(ks, false, DKIM_ACTIVE, false);
}

/* Dual signing was switched off: they go as after a rotation. */
static void
plan_end_ed25519(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d)
{
	struct dkim_key *k;
	size_t		 n;

	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		if (ks->drop[n] || k->previous || k->external || !k->ed25519)
			continue;
		if (k->role == DKIM_ACTIVE)
			keyset_retire(ks, k, in);
		else if (k->role == DKIM_STANDBY)
			keyset_drop(ks, k);
		d->zone_changed |= ks->drop[n] && i->cname;
	}
}

/* Two of them: one that signs, one that waits; slots are two for ever. */
static void
plan_ed25519(struct identity *i, struct identity_keys *ks,
    struct identity_decision *d)
{
	size_t	 room = keyset_places(ks), n;
	unsigned have = 0, k;

	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n] && !ks->v[n].previous &&
		    !ks->v[n].external && ks->v[n].ed25519 &&
		    (i->cname || ks->v[n].role != DKIM_RETIRING))
			have++;
	}
	for (k = 0; k < d->make_count; k++) {
		if (room > 0 && d->make[k].selector[0] == '\0')
			room--;
	}
	for (; have < ED25519_SLOTS && room > 0; have++, room--)
		plan_make(d, "", DKIM_ED25519_BITS);
}

/* -- the plan ------------------------------------------------------------- */

static void
plan_slot(struct identity *i, const struct dkim_key *k,
    const struct identity_check_input *in, struct identity_decision *d)
{
	unsigned bits = k->ed25519 ? DKIM_ED25519_BITS : i->next_bits;

	if (k->ed25519 && !identity_is_dual(i, in->dual_sign))
		return;
	if ((k->role == DKIM_RETIRING && k->retire_at.ms <= in->now.ms) ||
	    (k->role == DKIM_STANDBY && k->bits != bits))
		plan_make(d, k->selector, bits);
}

static void
plan_key(struct identity *i, struct identity_keys *ks,
    const struct dkim_key *k, const struct identity_check_input *in,
    struct identity_decision *d)
{
	int64_t turn;

	if (k->role == DKIM_RETIRING && k->retire_at.ms > in->now.ms)
		plan_at(i, k->retire_at.ms);
	if (k->previous || i->external)
		return;
	if (i->cname)
		plan_slot(i, k, in, d);
	if (k->role != DKIM_STANDBY || k->ed25519 || !k->seen ||
	    !status_is_checked(i->dkim.status))
		return;
	if (i->bits != i->next_bits && k->bits == i->next_bits)
		plan_check(i, k->seen_since.ms + in->min_visible_ms, in);
	turn = identity_turn_at(i, ks, k, in);
	if (turn != 0)
		plan_check(i, turn, in);
}

void
identity_plan(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d)
{
	size_t n;

	d->make_count = 0;
	i->next_event.ms = 0;
	if (!i->external && !identity_wants_ed25519(i, ks, in))
		plan_end_ed25519(i, ks, in, d);
	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n])
			plan_key(i, ks, &ks->v[n], in, d);
	}
	if (!i->external && !i->cname &&
	    keyset_has(ks, false, DKIM_ACTIVE, false) &&
	    !keyset_has(ks, false, DKIM_STANDBY, false))
		plan_make(d, "", i->next_bits);
	if (identity_wants_ed25519(i, ks, in))
		plan_ed25519(i, ks, d);
	if (d->make_count > 0)
		plan_at(i, in->now.ms + MAKE_AGAIN_MINUTES * minute_ms);
}

/* SPDX-License-Identifier: ISC */
/* Part of registry/identity_check.h: what operators decide about keys. */
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "registry/identity_check.h"
#include "registry/identity_check_private.h"

enum { DURATION_TEXT_MAX = 64, SHORT_BITS = 1024, LONG_BITS = 2048 };

static const int64_t day_ms = 24 * 60 * 60 * 1000;

const char *
identity_length_to_text(unsigned bits)
{
	return bits == SHORT_BITS ? "RSA_1024_BIT" : "RSA_2048_BIT";
}

/* 45s, 12m, 1h, 1h30m, 2d: at most two units, the rest is cut off. */
static const char *
duration_text(int64_t ms, char out[DURATION_TEXT_MAX])
{
	static const struct {
		int64_t s;
		char	unit;
	} units[] = { { 86400, 'd' }, { 3600, 'h' }, { 60, 'm' }, { 1, 's' } };
	int64_t s = ms > 0 ? ms / 1000 : 0;
	size_t	n;

	for (n = 0; n < 3 && s < units[n].s; n++)
		;
	if (n >= 2 || s % units[n].s < units[n + 1].s)
		snprintf(out, DURATION_TEXT_MAX, "%lld%c",
		    (long long)(s / units[n].s), units[n].unit);
	else
		snprintf(out, DURATION_TEXT_MAX, "%lld%c%lld%c",
		    (long long)(s / units[n].s), units[n].unit,
		    (long long)(s % units[n].s / units[n + 1].s),
		    units[n + 1].unit);
	return out;
}

static int
identity_has_no_room(const struct identity_keys *ks, struct err *e)
{
	char	    time[CLOCK_TEXT_MAX];
	struct wall first = { 0 };
	size_t	    n;

	for (n = 0; n < ks->n; n++) {
		if (ks->v[n].role == DKIM_RETIRING &&
		    (first.ms == 0 || ks->v[n].retire_at.ms < first.ms))
			first = ks->v[n].retire_at;
	}
	return book_refuse(e, BOOK_LIMIT,
	    "too many selectors are kept until they may be deleted; the next "
	    "one may at %s", wall_iso_seconds(first, time));
}

/* -- verify --------------------------------------------------------------- */

void
state_again(struct identity_check_state *s, struct wall now)
{
	if (s->status == IDENTITY_NOT_STARTED || s->status == IDENTITY_FAILED)
		state_start(s, now);
	else
		s->next_check = now;
}

int
identity_verify(struct identity *i, struct identity_keys *ks, bool token,
    const struct identity_check_input *in, struct err *e)
{
	if (i->is_address)
		return book_refuse(e, BOOK_BAD_REQUEST, "%s is an address; "
		    "use posthornctl identity resend", i->name);
	if (token) {
		if (i->token_text[0] == '\0')
			identity_make_token(i->token_text);
		state_again(&i->token, in->now);
		return 0;
	}
	if (keyset_active(ks, false) == NULL) {
		if (i->token_text[0] == '\0')
			return book_refuse(e, BOOK_BAD_REQUEST,
			    "%s has no DKIM key", i->name);
		state_again(&i->token, in->now);
		return 0;
	}
	state_again(&i->dkim, in->now);
	if (i->token.status != IDENTITY_NOT_STARTED)
		state_again(&i->token, in->now);
	return 0;
}

/* -- managed and own keys (dkim.md 10.4) ---------------------------------- */

unsigned
identity_managed_count(bool cname)
{
	return cname ? 3 : 2;
}

/* The keys in force step back: they sign until the new ones are seen. */
static void
identity_step_back(struct identity *i, struct identity_keys *ks)
{
	size_t n;

	for (n = 0; n < ks->n; n++) {
		if (ks->drop[n] || ks->v[n].previous)
			continue;
		ks->v[n].previous = true;
		if (i->external && ks->v[n].role == DKIM_STANDBY)
			ks->drop[n] = true;
	}
	i->previous = i->dkim;
	i->has_previous = true;
}

/* Keys that never were verified, or are not any more, have signed nothing
 * that is still on its way. */
static void
identity_drop_current(struct identity_keys *ks)
{
	size_t n;

	for (n = 0; n < ks->n; n++) {
		if (!ks->v[n].previous && ks->v[n].role != DKIM_RETIRING)
			ks->drop[n] = true;
	}
}

static void
identity_clear_way(struct identity *i, struct identity_keys *ks)
{
	if (state_is_verified(&i->dkim) && !i->has_previous)
		identity_step_back(i, ks);
	else
		identity_drop_current(ks);
}

bool
identity_can_return(const struct identity *i, bool external)
{
	/* the previous keys are always of the other kind */
	return i->has_previous && i->external != external;
}

static void
identity_return(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in)
{
	size_t n;

	identity_drop_current(ks);
	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n] && ks->v[n].external != i->external)
			ks->v[n].previous = false;
	}
	i->external = !i->external;
	i->dkim = i->previous;
	i->dkim.next_check = in->now;
	i->has_previous = false;
	memset(&i->previous, 0, sizeof(i->previous));
}

int
identity_use_managed(struct identity *i, struct identity_keys *ks,
    const struct identity_keys *fresh, const struct identity_check_input *in,
    struct err *e)
{
	struct dkim_key k;
	size_t		n;

	if (i->is_address)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s is an address; its domain has the DKIM keys", i->name);
	if (!i->external && keyset_active(ks, false) != NULL)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s has managed DKIM keys already", i->name);
	if (identity_can_return(i, false)) {
		identity_return(i, ks, in);
		return 0;
	}
	if (keyset_room(ks) < fresh->n)
		return identity_has_no_room(ks, e);
	must(fresh->n >= 2);
	identity_clear_way(i, ks);
	for (n = 0; n < fresh->n; n++) {
		k = fresh->v[n];
		k.external = k.previous = false;
		key_forget_checks(&k);
		k.created = in->now;
		k.role = DKIM_STANDBY;
		if (n == 0)
			key_activate(&k, in);
		keyset_add(ks, &k);
	}
	i->external = false;
	i->cname = fresh->n == identity_managed_count(true);
	i->bits = i->next_bits = fresh->v[0].bits;
	state_start(&i->dkim, in->now);
	return 0;
}

static bool
key_is_same(const struct dkim_key *a, const struct dkim_key *b)
{
	return a->public_n == b->public_n &&
	    memcmp(a->public_key, b->public_key, a->public_n) == 0;
}

/* Those of one kind that are in force, or wait. */
static void
identity_drop_kind(struct identity_keys *ks, bool ed25519)
{
	size_t n;

	for (n = 0; n < ks->n; n++) {
		if (!ks->v[n].previous && ks->v[n].ed25519 == ed25519 &&
		    ks->v[n].role != DKIM_RETIRING)
			ks->drop[n] = true;
	}
}

/*
 * An own key beside one that signs takes over once it is seen; the first
 * Ed25519 key beside RSA has nothing to take over.
 */
static void
identity_add_own_beside(struct identity *i, struct identity_keys *ks,
    struct dkim_key *k, const struct identity_check_input *in)
{
	keyset_drop(ks, keyset_find(ks, false, DKIM_STANDBY, k->ed25519));
	k->role = DKIM_STANDBY;
	if (k->ed25519 && !keyset_has(ks, false, DKIM_ACTIVE, true))
		key_activate(k, in);
	i->dkim.next_check = in->now;
}

static void
identity_add_own(struct identity *i, struct identity_keys *ks,
    const struct dkim_key *fresh, const struct identity_check_input *in)
{
	struct dkim_key k = *fresh;
	bool		is_second;

	if (i->external && keyset_has(ks, false, DKIM_ACTIVE, !k.ed25519))
		i->dual = DKIM_ON; /* that is what the second one is for */
	is_second = k.ed25519 && i->external &&
	    keyset_has(ks, false, DKIM_ACTIVE, false);
	if (i->external && state_is_verified(&i->dkim)) {
		identity_add_own_beside(i, ks, &k, in);
	} else {
		if (i->external)
			identity_drop_kind(ks, k.ed25519);
		else
			identity_clear_way(i, ks);
		key_activate(&k, in);
		i->external = true;
		/* the status is that of the RSA key's record */
		if (is_second && i->dkim.status == IDENTITY_PENDING)
			i->dkim.next_check = in->now;
		else
			state_start(&i->dkim, in->now);
	}
	keyset_add(ks, &k);
}

int
identity_use_external(struct identity *i, struct identity_keys *ks,
    const struct dkim_key *fresh, const struct identity_check_input *in,
    struct err *e)
{
	struct dkim_key	 k = *fresh;
	struct dkim_key *there;

	if (i->is_address)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s is an address; its domain has the DKIM keys", i->name);
	ascii_lower_text(k.selector);
	if (!selector_is_valid(k.selector))
		return book_refuse(e, BOOK_BAD_REQUEST, "selector must be 1 "
		    "to 63 letters, digits or inner hyphens");
	there = keyset_selector(ks, k.selector);
	if (there != NULL && (!key_is_same(there, &k) || !there->external ||
	    (!there->previous && there->role != DKIM_RETIRING)))
		return book_refuse(e, BOOK_EXISTS,
		    "selector %s is already in use for %s", k.selector,
		    i->name);
	if (keyset_room(ks) == 0)
		return identity_has_no_room(ks, e);
	k.external = true;
	k.previous = false;
	k.created = in->now;
	k.retire_at.ms = 0;
	key_forget_checks(&k);
	if (identity_can_return(i, true)) {
		identity_return(i, ks, in);
		there = keyset_selector(ks, k.selector);
		if (there != NULL && there->role == DKIM_ACTIVE)
			return 0;
	}
	keyset_drop(ks, there);
	identity_add_own(i, ks, &k, in);
	return 0;
}

/* -- length (10.3) -------------------------------------------------------- */

static int
identity_check_length(const struct identity *i, unsigned bits, struct wall now,
    struct err *e)
{
	static const char prefix[] = "the input you provided is invalid";
	int64_t		  age = now.ms - i->last_length_change.ms;

	if (i->external)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s: %s uses an own DKIM key", prefix, i->name);
	if (bits != SHORT_BITS && bits != LONG_BITS)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s: the DKIM signing key length is 1024 or 2048", prefix);
	if (bits == i->next_bits)
		return book_refuse(e, BOOK_BAD_REQUEST, "%s: the DKIM signing "
		    "key length is already %s", prefix,
		    identity_length_to_text(bits));
	/* a downgrade can be but the first one: to go up again takes a day */
	if (i->last_length_change.ms != 0 && age < day_ms &&
	    bits != SHORT_BITS)
		return book_refuse(e, BOOK_BAD_REQUEST, "%s: the DKIM signing "
		    "key length can be changed only once in 24 hours", prefix);
	return 0;
}

int
identity_set_length(struct identity *i, struct identity_keys *ks,
    unsigned bits, const struct identity_check_input *in,
    struct identity_decision *d, struct err *e)
{
	if (identity_check_length(i, bits, in->now, e) < 0)
		return -1;
	identity_decision_init(d);
	i->last_length_change = in->now;
	i->next_bits = bits;
	/* slots get their new keys in place */
	if (!i->cname)
		keyset_drop(ks, keyset_find(ks, false, DKIM_STANDBY, false));
	identity_plan(i, ks, in, d);
	return 0;
}

/* -- Ed25519 as well (6.1) ------------------------------------------------ */

int
identity_set_dual(struct identity *i, struct identity_keys *ks,
    enum dkim_switch to, const struct identity_check_input *in,
    struct identity_decision *d, struct err *e)
{
	if (i->is_address)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s is an address; its domain has the DKIM keys", i->name);
	identity_decision_init(d);
	i->dual = to;
	identity_plan(i, ks, in, d);
	return 0;
}

void
identity_want_keys(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d)
{
	identity_decision_init(d);
	identity_plan(i, ks, in, d);
}

/* -- rotation (10.1, 10.2) ------------------------------------------------ */

static int
identity_check_visible(const struct dkim_key *k,
    const struct identity_check_input *in, struct err *e)
{
	char	visible[DURATION_TEXT_MAX], wanted[DURATION_TEXT_MAX];
	int64_t since = in->now.ms - k->seen_since.ms;

	if (!k->seen)
		return book_refuse(e, BOOK_BAD_REQUEST, "standby selector %s "
		    "is not visible in DNS; publish it first or use --force",
		    k->selector);
	if (since < in->min_visible_ms)
		return book_refuse(e, BOOK_BAD_REQUEST, "standby selector %s "
		    "has been visible for %s only; wait until %s or use "
		    "--force", k->selector, duration_text(since, visible),
		    duration_text(in->min_visible_ms, wanted));
	return 0;
}

int
identity_rotate(struct identity *i, struct identity_keys *ks, bool force,
    const struct identity_check_input *in, struct identity_decision *d,
    struct err *e)
{
	struct dkim_key *standby = keyset_standby(ks, false);

	/* an own Ed25519 key alone */
	if (standby == NULL && !keyset_has(ks, false, DKIM_ACTIVE, false))
		standby = keyset_standby(ks, true);
	if (standby == NULL)
		return book_refuse(e, BOOK_BAD_REQUEST, "no standby key; run "
		    "posthornctl dkim new-key %s", i->name);
	if (!force && identity_check_visible(standby, in, e) < 0)
		return -1;
	/* the next standby of published TXT records needs a place */
	if (!i->external && !i->cname && keyset_room(ks) == 0)
		return identity_has_no_room(ks, e);
	identity_decision_init(d);
	identity_advance(i, ks, standby, in, d);
	if (!standby->ed25519)
		identity_advance_second(i, ks, force, in, d);
	identity_plan(i, ks, in, d);
	return 0;
}

/* The next one: a slot keeps its selector, in TXT records it has another. */
static void
identity_renew_standby(const struct identity *i, struct identity_keys *ks,
    struct dkim_key *standby)
{
	if (!i->cname)
		keyset_drop(ks, standby);
	else if (standby != NULL)
		standby->bits = 0; /* no length that is wanted: made anew */
}

int
identity_new_standby(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d,
    struct err *e)
{
	struct dkim_key *standby = keyset_standby(ks, false);

	if (i->external)
		return book_refuse(e, BOOK_BAD_REQUEST, "%s uses an own DKIM "
		    "key; run posthornctl dkim set-key", i->name);
	if (keyset_active(ks, false) == NULL)
		return book_refuse(e, BOOK_BAD_REQUEST, "%s has no DKIM key",
		    i->name);
	if (i->cname && standby == NULL)
		return book_refuse(e, BOOK_BAD_REQUEST, "all slots of %s are "
		    "in use; the next becomes free when its key has retired",
		    i->name);
	if (!i->cname && keyset_room(ks) == 0)
		return identity_has_no_room(ks, e);
	identity_decision_init(d);
	identity_renew_standby(i, ks, standby);
	identity_renew_standby(i, ks, keyset_standby(ks, true));
	identity_plan(i, ks, in, d);
	return 0;
}

bool
identity_add_standby(struct identity *i, struct identity_keys *ks,
    const struct dkim_key *fresh, const struct identity_check_input *in,
    struct identity_decision *d)
{
	struct dkim_key	 k = *fresh;
	struct dkim_key *slot = NULL;
	bool		 wanted = false;
	unsigned	 n;

	identity_decision_init(d);
	identity_plan(i, ks, in, d);
	for (n = 0; n < d->make_count && !wanted; n++) {
		wanted = d->make[n].bits == k.bits &&
		    (d->make[n].selector[0] == '\0' ||
			strcmp(d->make[n].selector, k.selector) == 0);
		if (wanted && d->make[n].selector[0] != '\0')
			slot = keyset_selector(ks, k.selector);
	}
	if (!wanted || (slot == NULL && (keyset_room(ks) == 0 ||
	    keyset_selector(ks, k.selector) != NULL)))
		return false;
	k.role = DKIM_STANDBY;
	k.external = k.previous = false;
	k.created = in->now;
	k.activated.ms = k.retire_at.ms = 0;
	key_forget_checks(&k);
	/* the first Ed25519 key has nothing to wait for but its record */
	if (k.ed25519 && !keyset_has(ks, false, DKIM_ACTIVE, true))
		key_activate(&k, in);
	if (slot != NULL)
		*slot = k;
	else
		keyset_add(ks, &k);
	if (i->dkim.next_check.ms > in->now.ms)
		i->dkim.next_check = in->now;
	identity_plan(i, ks, in, d);
	d->zone_changed = i->cname;
	return true;
}

/* -- the operator's zone -------------------------------------------------- */

char *
identity_zone_names(const struct identity_keys *ks, const char *base,
    char *out, size_t size)
{
	size_t i, n = 0;

	out[0] = '\0';
	for (i = 0; i < ks->n && n + 1 < size; i++)
		if (!ks->v[i].external && base != NULL)
			n += (size_t)snprintf(out + n, size - n, "%s%s.%.180s",
			    n > 0 ? ", " : "", ks->v[i].selector, base);
	return out;
}

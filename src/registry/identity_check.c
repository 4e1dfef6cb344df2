/* SPDX-License-Identifier: ISC */
/*
 * Three machines of one kind for a domain: the keys in force, the previous
 * keys as long as they sign meanwhile, the TXT token; a fourth one for any
 * identity: the MX of its MAIL FROM domain.
 *
 *   NOT_STARTED, FAILED --verify--> PENDING --all found--> SUCCESS
 *   PENDING --72 h--> FAILED
 *   SUCCESS --miss, and miss again 15 min later--> TEMPORARY_FAILURE
 *   TEMPORARY_FAILURE --all found--> SUCCESS,  --72 h--> FAILED
 *
 * from identity_check_time(): what the clock does; machine_take(): what a
 * check does; state_start(): verify, new keys.
 */
#include "registry/identity_check.h"

#include <string.h>

#include "registry/identity_check_private.h"

static const int64_t minute_ms = 60 * 1000;
static const int64_t hour_ms = 60 * 60 * 1000;
static const int64_t dns_error_ms = 24 * 60 * 60 * 1000;
enum { RECHECK_JITTER_PERCENT = 10 };

enum finding { FINDING_OPEN, FINDING_FOUND, FINDING_MISS };
/* What a check says to one machine. */
struct finding_sum {
	enum finding	    finding;
	bool		    dns_error;
	enum identity_error error; /* the first one */
};

void
identity_decision_init(struct identity_decision *d)
{
	memset(d, 0, sizeof(*d));
}

enum identity_error
identity_error_of(enum dkim_outcome o, bool host_found)
{
	switch (o) {
	case DKIM_UNCHECKED:
	case DKIM_MATCH:
		return IDENTITY_NO_ERROR;
	case DKIM_ABSENT:
		return host_found ? IDENTITY_TYPE_NOT_FOUND :
				    IDENTITY_HOST_NOT_FOUND;
	case DKIM_OPERATOR_ZONE:
		return IDENTITY_SERVICE_ERROR;
	case DKIM_DNS_ERROR:
		return IDENTITY_DNS_SERVER_ERROR;
	case DKIM_MISMATCH:
	case DKIM_REVOKED:
	case DKIM_MULTIPLE:
	case DKIM_MALFORMED:
		break;
	}
	return IDENTITY_INVALID_VALUE;
}

/* -- keys ----------------------------------------------------------------- */

struct dkim_key *
keyset_find(struct identity_keys *ks, bool previous, enum dkim_role role,
    bool ed25519)
{
	size_t n;

	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n] && ks->v[n].previous == previous &&
		    ks->v[n].role == role && ks->v[n].ed25519 == ed25519)
			return &ks->v[n];
	}
	return NULL;
}

bool
keyset_has(const struct identity_keys *ks, bool previous, enum dkim_role role,
    bool ed25519)
{
	size_t n;

	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n] && ks->v[n].previous == previous &&
		    ks->v[n].role == role && ks->v[n].ed25519 == ed25519)
			return true;
	}
	return false;
}

struct dkim_key *
keyset_active(struct identity_keys *ks, bool previous)
{
	struct dkim_key *k = keyset_find(ks, previous, DKIM_ACTIVE, false);

	return k != NULL ? k : keyset_find(ks, previous, DKIM_ACTIVE, true);
}

struct dkim_key *
keyset_standby(struct identity_keys *ks, bool ed25519)
{
	struct dkim_key *best = NULL, *k;
	size_t		 n;

	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		if (ks->drop[n] || k->previous || k->role != DKIM_STANDBY ||
		    k->ed25519 != ed25519)
			continue;
		if (best == NULL || (k->seen && (!best->seen ||
		    k->seen_since.ms < best->seen_since.ms)))
			best = k;
	}
	return best;
}

struct dkim_key *
keyset_selector(struct identity_keys *ks, const char *selector)
{
	size_t n;

	for (n = 0; n < ks->n; n++) {
		if (!ks->drop[n] && strcmp(ks->v[n].selector, selector) == 0)
			return &ks->v[n];
	}
	return NULL;
}

void
keyset_drop(struct identity_keys *ks, const struct dkim_key *k)
{
	if (k != NULL)
		ks->drop[k - ks->v] = true;
}

size_t
keyset_room(const struct identity_keys *ks)
{
	return IDENTITY_KEYS_MAX - ks->n;
}

void
keyset_add(struct identity_keys *ks, const struct dkim_key *k)
{
	must(ks->n < IDENTITY_KEYS_MAX);
	ks->drop[ks->n] = false;
	ks->v[ks->n++] = *k;
}

void
key_retire(struct dkim_key *k, const struct identity_check_input *in)
{
	k->role = DKIM_RETIRING;
	k->retire_at.ms = in->now.ms + in->retire_after_ms;
}

void
keyset_retire(struct identity_keys *ks, struct dkim_key *k,
    const struct identity_check_input *in)
{
	/* what was never seen has signed nothing */
	if (k->ed25519 && k->last_seen.ms == 0)
		keyset_drop(ks, k);
	else
		key_retire(k, in);
}

bool
key_is_visible(const struct dkim_key *k, const struct identity_check_input *in)
{
	return k->seen &&
	    in->now.ms - k->seen_since.ms >= in->min_visible_ms;
}

void
key_activate(struct dkim_key *k, const struct identity_check_input *in)
{
	k->role = DKIM_ACTIVE;
	k->activated = in->now;
	k->retire_at.ms = 0;
}

void
key_forget_checks(struct dkim_key *k)
{
	k->seen = false;
	k->seen_since.ms = k->last_check.ms = k->last_seen.ms = 0;
	k->last_outcome = DKIM_UNCHECKED;
	k->hint[0] = '\0';
}

static bool
outcome_is_open(enum dkim_outcome o)
{
	return o == DKIM_UNCHECKED || o == DKIM_OPERATOR_ZONE ||
	    o == DKIM_DNS_ERROR;
}

static void
key_take(struct dkim_key *k, const struct identity_result *r, struct wall now)
{
	k->last_check = now;
	/* a key that was revoked stays so until it is seen in order */
	if (!outcome_is_open(r->outcome) || k->last_outcome != DKIM_REVOKED)
		k->last_outcome = r->outcome;
	memcpy(k->hint, r->hint, sizeof(k->hint));
	k->hint[sizeof(k->hint) - 1] = '\0';
	if (r->outcome == DKIM_MATCH) {
		if (!k->seen)
			k->seen_since = now;
		k->seen = true;
		k->last_seen = now;
	} else if (!outcome_is_open(r->outcome)) {
		k->seen = false;
		k->seen_since.ms = 0;
	}
}

void
identity_advance(struct identity *i, struct identity_keys *ks,
    struct dkim_key *standby, const struct identity_check_input *in,
    struct identity_decision *d)
{
	struct dkim_key *active = keyset_find(ks, false, DKIM_ACTIVE,
		    standby->ed25519);

	if (active != NULL)
		keyset_retire(ks, active, in);
	key_activate(standby, in);
	if (standby->ed25519) {
		memcpy(d->activated_ed25519, standby->selector,
		    sizeof(d->activated_ed25519));
		return;
	}
	if (!i->external && standby->bits != 0)
		i->bits = standby->bits;
	memcpy(d->activated, standby->selector, sizeof(d->activated));
}

void
identity_advance_second(struct identity *i, struct identity_keys *ks,
    bool force, const struct identity_check_input *in,
    struct identity_decision *d)
{
	struct dkim_key *k = keyset_standby(ks, true);

	/* one that is not seen would leave mail with RSA alone */
	if (k != NULL && (force || key_is_visible(k, in)))
		identity_advance(i, ks, k, in, d);
}

/* -- what is asked -------------------------------------------------------- */

bool
status_is_checked(enum identity_status s)
{
	return s == IDENTITY_PENDING || s == IDENTITY_SUCCESS ||
	    s == IDENTITY_TEMPORARY_FAILURE;
}

bool
identity_has_slots(const struct identity *i)
{
	return i->cname && !i->external;
}

bool
identity_check_requires(const struct identity *i,
    const struct identity_keys *ks, const struct dkim_key *k)
{
	bool slot = !k->previous && identity_has_slots(i);

	if (k->ed25519 && (slot ||
	    keyset_has(ks, k->previous, DKIM_ACTIVE, false)))
		return false;
	if (slot)
		return true;
	return k->role == DKIM_ACTIVE;
}

bool
identity_check_wants(const struct identity *i, const struct dkim_key *k)
{
	if (k->previous)
		return i->has_previous && k->role == DKIM_ACTIVE &&
		    status_is_checked(i->previous.status);
	if (!status_is_checked(i->dkim.status))
		return false;
	return k->role != DKIM_RETIRING || identity_has_slots(i);
}

bool
identity_check_wants_token(const struct identity *i)
{
	return status_is_checked(i->token.status);
}

bool
identity_check_authoritative(const struct identity *i)
{
	return i->dkim.status == IDENTITY_PENDING ||
	    i->token.status == IDENTITY_PENDING ||
	    i->dkim.first_miss.ms != 0 || i->token.first_miss.ms != 0 ||
	    (i->has_previous && i->previous.first_miss.ms != 0);
}

static bool
state_is_due(const struct identity_check_state *s, struct wall now)
{
	return s->next_check.ms != 0 && s->next_check.ms <= now.ms;
}

bool
identity_check_keys_due(const struct identity *i, struct wall now)
{
	return state_is_due(&i->dkim, now) || state_is_due(&i->token, now) ||
	    (i->has_previous && state_is_due(&i->previous, now));
}

bool
identity_check_mail_from_due(const struct identity *i, struct wall now)
{
	return i->mail_from.domain[0] != '\0' &&
	    state_is_due(&i->mail_from.check, now);
}

bool
identity_check_mail_from_authoritative(const struct identity *i)
{
	return i->mail_from.check.status == IDENTITY_PENDING ||
	    i->mail_from.check.first_miss.ms != 0;
}

/* -- one machine ---------------------------------------------------------- */

bool
state_is_verified(const struct identity_check_state *s)
{
	return s->status == IDENTITY_SUCCESS ||
	    s->status == IDENTITY_TEMPORARY_FAILURE;
}

void
state_start(struct identity_check_state *s, struct wall now)
{
	struct wall success = s->last_success;

	memset(s, 0, sizeof(*s));
	s->status = IDENTITY_PENDING;
	s->since = now;
	s->deadline.ms = now.ms + IDENTITY_GRACE_MS;
	s->next_check = now;
	s->last_success = success;
}

/* dkim.md 9, the schedule of waiting for records */
static int64_t
interval_of_age(int64_t age_ms)
{
	if (age_ms < 15 * minute_ms)
		return minute_ms;
	if (age_ms < 2 * hour_ms)
		return 5 * minute_ms;
	if (age_ms < 24 * hour_ms)
		return 15 * minute_ms;
	return hour_ms;
}

int64_t
identity_check_interval(const struct identity_check_state *s,
    const struct identity_check_input *in)
{
	double part;

	switch (s->status) {
	case IDENTITY_PENDING:
		return interval_of_age(in->now.ms - s->since.ms);
	case IDENTITY_SUCCESS:
		part = 1 + in->jitter * RECHECK_JITTER_PERCENT / 100;
		return (int64_t)((double)in->recheck_ms * part);
	case IDENTITY_TEMPORARY_FAILURE:
		return 15 * minute_ms;
	case IDENTITY_NOT_STARTED:
	case IDENTITY_FAILED:
		break;
	}
	return 0;
}

static struct identity_check_state *
machine_state(struct identity *i, enum identity_machine m)
{
	switch (m) {
	case MACHINE_DKIM:
		return &i->dkim;
	case MACHINE_PREVIOUS:
		return &i->previous;
	case MACHINE_TOKEN:
		return &i->token;
	case MACHINE_MAIL_FROM:
		return &i->mail_from.check;
	case MACHINE_LINK:
		break;
	}
	return &i->link;
}

/* Every move passes here; the notice is complete but for whole_to. */
static void
machine_enter(struct identity *i, enum identity_machine m,
    enum identity_status to, const struct identity_check_input *in,
    struct identity_decision *d)
{
	struct identity_check_state *s = machine_state(i, m);
	struct identity_notice	    *n;

	must(d->notice_count < IDENTITY_NOTICES_MAX);
	n = &d->notices[d->notice_count++];
	memset(n, 0, sizeof(*n));
	n->machine = m;
	n->from = s->status;
	n->to = to;
	n->whole_from = identity_status(i);
	s->status = to;
	s->since = in->now;
	s->first_miss.ms = s->dns_error_since.ms = 0;
	s->deadline.ms = to == IDENTITY_TEMPORARY_FAILURE ?
	    in->now.ms + IDENTITY_GRACE_MS : 0;
	n->deadline = s->deadline;
	n->previous_signs = m == MACHINE_DKIM && to == IDENTITY_FAILED &&
	    identity_signing_set(i) == SET_PREVIOUS;
	n->whole_to = identity_status(i);
	if (to == IDENTITY_FAILED)
		s->next_check.ms = 0;
}

static void
machine_miss(struct identity *i, enum identity_machine m,
    const struct identity_check_input *in, struct identity_decision *d)
{
	struct identity_check_state *s = machine_state(i, m);

	if (s->status != IDENTITY_SUCCESS)
		return;
	if (s->first_miss.ms == 0)
		s->first_miss = in->now;
	if (in->now.ms - s->first_miss.ms >= IDENTITY_CONFIRM_MS)
		machine_enter(i, m, IDENTITY_TEMPORARY_FAILURE, in, d);
	else
		d->confirm = true;
}

/*
 * Answers that say nothing count as a miss when for 24 h there was no other
 * (dkim.md 8).
 */
static enum finding
machine_judge(struct identity_check_state *s, const struct finding_sum *sum,
    struct wall now)
{
	if (sum->finding != FINDING_OPEN || !sum->dns_error) {
		s->dns_error_since.ms = 0;
		return sum->finding;
	}
	if (s->dns_error_since.ms == 0)
		s->dns_error_since = now;
	return now.ms - s->dns_error_since.ms >= dns_error_ms ?
	    FINDING_MISS : FINDING_OPEN;
}

static void
machine_schedule(struct identity_check_state *s,
    const struct identity_check_input *in)
{
	struct wall next;

	if (!status_is_checked(s->status))
		return;
	next.ms = in->now.ms + identity_check_interval(s, in);
	if (s->first_miss.ms != 0) {
		next.ms = s->first_miss.ms + IDENTITY_CONFIRM_MS;
		if (next.ms <= in->now.ms)
			next.ms = in->now.ms + IDENTITY_CONFIRM_MS;
	}
	if (s->deadline.ms != 0 && s->deadline.ms < next.ms)
		next = s->deadline;
	s->next_check = next;
}

static void
machine_take(struct identity *i, enum identity_machine m,
    const struct finding_sum *sum, const struct identity_check_input *in,
    struct identity_decision *d)
{
	struct identity_check_state *s = machine_state(i, m);
	enum finding		     f;

	if (!status_is_checked(s->status))
		return;
	s->last_check = in->now;
	s->error = sum->error;
	f = machine_judge(s, sum, in->now);
	if (f == FINDING_FOUND) {
		s->last_success = in->now;
		s->first_miss.ms = 0;
		if (s->status != IDENTITY_SUCCESS)
			machine_enter(i, m, IDENTITY_SUCCESS, in, d);
	} else if (f == FINDING_MISS) {
		machine_miss(i, m, in, d);
	}
	machine_schedule(s, in);
}

/* -- results of a check --------------------------------------------------- */

static const struct identity_result *
result_of(const struct identity_results *r, const char *selector)
{
	unsigned n;

	for (n = 0; n < r->n; n++) {
		if (strcmp(r->v[n].selector, selector) == 0)
			return &r->v[n];
	}
	return NULL;
}

/* All that a machine requires, taken together. */
static void
identity_sum_up(const struct identity *i, const struct identity_keys *ks,
    bool previous, const struct identity_results *r, struct finding_sum *sum)
{
	const struct identity_result *one;
	unsigned		      asked = 0;
	size_t			      n;

	memset(sum, 0, sizeof(*sum));
	sum->finding = FINDING_FOUND;
	for (n = 0; n < ks->n; n++) {
		if (ks->drop[n] || ks->v[n].previous != previous ||
		    !identity_check_requires(i, ks, &ks->v[n]))
			continue;
		asked++;
		one = result_of(r, ks->v[n].selector);
		if (one != NULL && sum->error == IDENTITY_NO_ERROR)
			sum->error = one->error;
		if (one == NULL || outcome_is_open(one->outcome)) {
			sum->dns_error |= one != NULL &&
			    one->outcome == DKIM_DNS_ERROR;
			if (sum->finding == FINDING_FOUND)
				sum->finding = FINDING_OPEN;
		} else if (one->outcome != DKIM_MATCH) {
			sum->finding = FINDING_MISS;
		}
	}
	if (asked == 0)
		sum->finding = FINDING_OPEN;
}

static void
identity_take_keys(struct identity_keys *ks, const struct identity_results *r,
    const struct identity_check_input *in, struct identity_decision *d)
{
	const struct identity_result *one;
	size_t			      n;

	for (n = 0; n < ks->n; n++) {
		one = ks->drop[n] ? NULL : result_of(r, ks->v[n].selector);
		if (one == NULL || one->outcome == DKIM_UNCHECKED)
			continue;
		key_take(&ks->v[n], one, in->now);
		if (one->outcome != DKIM_OPERATOR_ZONE)
			continue;
		d->operator_alarm = true;
		memcpy(d->operator_selector, ks->v[n].selector,
		    sizeof(d->operator_selector));
	}
}

/*
 * Own keys take over once they are seen; managed ones of another length, and
 * those whose turn it is, when they have been visible long enough (dkim.md
 * 10.1, 10.3).
 */
static bool
identity_is_ready(const struct identity *i, struct identity_keys *ks,
    const struct dkim_key *k, const struct identity_check_input *in)
{
	if (i->external)
		return k->seen;
	if (k->ed25519 || !key_is_visible(k, in))
		return false;
	return (i->bits != i->next_bits && k->bits == i->next_bits) ||
	    identity_turn_is_due(i, ks, k, in);
}

static void
identity_advance_ready(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d)
{
	struct dkim_key *k;
	size_t		 n;

	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		if (ks->drop[n] || k->previous || k->role != DKIM_STANDBY ||
		    !identity_is_ready(i, ks, k, in))
			continue;
		identity_advance(i, ks, k, in, d);
		if (!i->external)
			identity_advance_second(i, ks, false, in, d);
	}
}

/* The new set is verified: the old one has done its work (10.4). */
static void
identity_end_previous(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in)
{
	struct dkim_key *k;
	size_t		 n;

	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		if (ks->drop[n] || !k->previous)
			continue;
		if (k->role == DKIM_ACTIVE)
			keyset_retire(ks, k, in);
		else if (k->role == DKIM_STANDBY)
			keyset_drop(ks, k);
	}
	i->has_previous = false;
	memset(&i->previous, 0, sizeof(i->previous));
}

/* What nobody has seen yet is looked for like a first key. */
static void
identity_hurry(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in)
{
	struct dkim_key *k;
	int64_t		 age, next;
	size_t		 n;

	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		age = in->now.ms - k->created.ms;
		if (ks->drop[n] || k->previous || k->seen ||
		    (k->role != DKIM_STANDBY &&
			(k->role != DKIM_ACTIVE || !k->ed25519)) ||
		    age >= IDENTITY_GRACE_MS ||
		    !status_is_checked(i->dkim.status))
			continue;
		next = in->now.ms + interval_of_age(age);
		if (next < i->dkim.next_check.ms)
			i->dkim.next_check.ms = next;
	}
}

static void
identity_take_dkim(struct identity *i, struct identity_keys *ks,
    const struct identity_results *r, const struct identity_check_input *in,
    struct identity_decision *d)
{
	struct finding_sum sum;

	if (i->has_previous) {
		identity_sum_up(i, ks, true, r, &sum);
		machine_take(i, MACHINE_PREVIOUS, &sum, in, d);
	}
	identity_sum_up(i, ks, false, r, &sum);
	machine_take(i, MACHINE_DKIM, &sum, in, d);
	if (i->has_previous && i->dkim.status == IDENTITY_SUCCESS)
		identity_end_previous(i, ks, in);
}

static void
identity_take_token(struct identity *i, const struct identity_results *r,
    const struct identity_check_input *in, struct identity_decision *d)
{
	struct finding_sum sum = { FINDING_MISS, r->token == DKIM_DNS_ERROR,
		r->token_error };

	if (r->token == DKIM_UNCHECKED)
		return;
	if (r->token == DKIM_MATCH)
		sum.finding = FINDING_FOUND;
	else if (outcome_is_open(r->token))
		sum.finding = FINDING_OPEN;
	machine_take(i, MACHINE_TOKEN, &sum, in, d);
}

static void
identity_take_mail_from(struct identity *i, const struct identity_results *r,
    const struct identity_check_input *in, struct identity_decision *d)
{
	struct identity_check_input own = *in;
	struct finding_sum sum = { FINDING_MISS,
		r->mail_from == DKIM_DNS_ERROR, r->mail_from_error };

	if (r->mail_from == DKIM_UNCHECKED || i->mail_from.domain[0] == '\0')
		return;
	i->mail_from.last_outcome = r->mail_from;
	bytes_text(bytes_of(r->mail_from_hint), i->mail_from.hint,
	    sizeof(i->mail_from.hint));
	if (r->mail_from == DKIM_MATCH)
		sum.finding = FINDING_FOUND;
	else if (outcome_is_open(r->mail_from))
		sum.finding = FINDING_OPEN;
	own.recheck_ms = in->mail_from_recheck_ms;
	machine_take(i, MACHINE_MAIL_FROM, &sum, &own, d);
}

void
identity_check_apply(struct identity *i, struct identity_keys *ks,
    const struct identity_results *r, const struct identity_check_input *in,
    struct identity_decision *d)
{
	identity_decision_init(d);
	if (!r->only_mail_from) {
		identity_take_keys(ks, r, in, d);
		if (status_is_checked(i->dkim.status))
			identity_advance_ready(i, ks, in, d);
		identity_take_dkim(i, ks, r, in, d);
		identity_take_token(i, r, in, d);
	}
	identity_take_mail_from(i, r, in, d);
	identity_plan(i, ks, in, d);
	identity_hurry(i, ks, in);
}

/* -- time ----------------------------------------------------------------- */

static void
machine_expire(struct identity *i, enum identity_machine m,
    const struct identity_check_input *in, struct identity_decision *d)
{
	const struct identity_check_state *s = machine_state(i, m);

	if (s->deadline.ms != 0 && in->now.ms >= s->deadline.ms &&
	    (s->status == IDENTITY_PENDING ||
		s->status == IDENTITY_TEMPORARY_FAILURE))
		machine_enter(i, m, IDENTITY_FAILED, in, d);
}

static void
identity_expire_previous(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d)
{
	size_t n;

	if (!i->has_previous)
		return;
	machine_expire(i, MACHINE_PREVIOUS, in, d);
	if (i->previous.status != IDENTITY_FAILED)
		return;
	i->has_previous = false;
	for (n = 0; n < ks->n; n++) {
		if (ks->v[n].previous && ks->v[n].role != DKIM_RETIRING)
			ks->drop[n] = true;
	}
}

void
identity_check_time(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d)
{
	struct dkim_key *k;
	size_t		 n;

	identity_decision_init(d);
	/* first: what is said about the new keys depends on the old ones */
	identity_expire_previous(i, ks, in, d);
	machine_expire(i, MACHINE_DKIM, in, d);
	machine_expire(i, MACHINE_TOKEN, in, d);
	machine_expire(i, MACHINE_LINK, in, d);
	machine_expire(i, MACHINE_MAIL_FROM, in, d);
	if (i->mail_from.orphaned &&
	    status_is_checked(i->mail_from.check.status))
		machine_enter(i, MACHINE_MAIL_FROM, IDENTITY_FAILED, in, d);
	if (i->is_address && i->link.status != IDENTITY_PENDING)
		memset(i->link_hash, 0, sizeof(i->link_hash));
	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		if (ks->drop[n] || k->role != DKIM_RETIRING ||
		    k->retire_at.ms > in->now.ms)
			continue;
		/* a slot keeps its key until the next one is made */
		if (k->previous || k->external || !identity_has_slots(i) ||
		    (k->ed25519 && !identity_is_dual(i, in->dual_sign))) {
			ks->drop[n] = true;
			d->zone_changed |= !k->external && i->cname;
		}
	}
	identity_plan(i, ks, in, d);
}

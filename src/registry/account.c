/* SPDX-License-Identifier: ISC */
#include "registry/account.h"

#include <string.h>

#include "mail/address.h"
#include "store/pack.h"

enum {
	ACCOUNT_RECORD = 1, /* version of the record */
	ACCOUNT_RECORD_MAX = 16 * 1024,
	ACCOUNT_DIGITS = ACCOUNT_ID_SIZE - 1
};

const char *
account_enforcement_to_text(enum account_enforcement x)
{
	switch (x) {
	case ACCOUNT_HEALTHY:
		return "HEALTHY";
	case ACCOUNT_PROBATION:
		return "PROBATION";
	case ACCOUNT_SHUTDOWN:
		return "SHUTDOWN";
	}
	return "HEALTHY";
}

bool
account_may_send(const struct account *a)
{
	return a->sending_enabled && a->enforcement != ACCOUNT_SHUTDOWN &&
	    a->closed.ms == 0;
}

bool
account_is_expired(const struct account *a, struct wall now)
{
	static const int64_t day_ms = 24 * 60 * 60 * 1000;

	return a->closed.ms != 0 &&
	    now.ms - a->closed.ms >= ACCOUNT_CLOSED_DAYS * day_ms;
}

bool
account_is_paused_for(const struct account *a, unsigned days, struct wall now)
{
	static const int64_t day_ms = 24 * 60 * 60 * 1000;

	return a->paused_since.ms != 0 &&
	    now.ms - a->paused_since.ms >= (int64_t)days * day_ms;
}

void
account_pause(struct account *a, const char *reason, bool enforce,
    struct wall now)
{
	if (enforce && a->review.state != STATE_PERMANENTLY_PAUSED)
		account_review_enter(a, STATE_SENDING_PAUSED, now);
	else if (!enforce)
		a->sending_enabled = false;
	bytes_text(bytes_of(reason), a->pause_reason,
	    sizeof(a->pause_reason));
	a->updated = now;
}

/* quotas.md 7: whoever is not the operator cannot end an enforcement */
int
account_resume(struct account *a, bool by_operator, struct wall now,
    int64_t period_ms, struct err *e)
{
	a->sending_enabled = true;
	a->updated = now;
	if (a->enforcement == ACCOUNT_SHUTDOWN && !by_operator)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the account is under enforcement; ask the operator");
	if (a->review.state == STATE_PERMANENTLY_PAUSED)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the account is paused for good");
	if (a->enforcement == ACCOUNT_SHUTDOWN) {
		account_review_enter(a, STATE_UNDER_REVIEW, now);
		a->review.ends.ms = now.ms + period_ms;
		account_review_rebase(a, now);
	}
	a->pause_reason[0] = '\0';
	return 0;
}

/* -- the record ----------------------------------------------------------- */

static void
review_pack(struct buf *b, const struct account_review *r)
{
	unsigned i;

	pack_u64(b, (uint64_t)r->state);
	pack_i64(b, r->since.ms);
	pack_i64(b, r->ends.ms);
	pack_i64(b, r->fresh_start.ms);
	pack_i64(b, r->reminded.ms);
	pack_u64(b, r->causes);
	pack_u64(b, (uint64_t)r->bounce);
	pack_u64(b, (uint64_t)r->complaint);
	pack_u64(b, r->past_count);
	for (i = 0; i < r->past_count; i++) {
		pack_u64(b, r->past[i].causes);
		pack_i64(b, r->past[i].began.ms);
	}
}

static unsigned
unpack_below(struct unpack *u, unsigned end)
{
	uint64_t n = unpack_u64(u);

	u->failed |= n >= end;
	return u->failed ? 0 : (unsigned)n;
}

static void
review_unpack(struct unpack *u, struct account_review *r)
{
	unsigned i;

	r->state = (enum account_state)unpack_below(u, ACCOUNT_STATES);
	r->since = unpack_wall(u);
	r->ends = unpack_wall(u);
	r->fresh_start = unpack_wall(u);
	r->reminded = unpack_wall(u);
	r->causes = unpack_below(u, 2 * CAUSE_OPERATOR);
	r->bounce = (enum rate_status)unpack_below(u, RATE_SENDING_PAUSED + 1);
	r->complaint = (enum rate_status)unpack_below(u,
	    RATE_SENDING_PAUSED + 1);
	r->past_count = unpack_below(u, REVIEW_PAST_MAX + 1);
	for (i = 0; i < r->past_count; i++) {
		r->past[i].causes = unpack_below(u, 2 * CAUSE_OPERATOR);
		r->past[i].began = unpack_wall(u);
	}
}

static void
account_pack(struct buf *b, const struct account *a)
{
	unsigned i;

	pack_u64(b, ACCOUNT_RECORD);
	pack_text(b, a->name);
	pack_bool(b, a->production);
	pack_bool(b, a->sending_enabled);
	pack_text(b, a->pause_reason);
	pack_i64(b, a->paused_since.ms);
	pack_u64(b, (uint64_t)a->enforcement);
	pack_i64(b, a->created.ms);
	pack_i64(b, a->updated.ms);
	pack_i64(b, a->closed.ms);
	pack_double(b, a->max_24h);
	pack_double(b, a->rate);
	pack_double(b, a->burst);
	pack_bool(b, a->marketing);
	pack_bool(b, a->auto_warmup);
	pack_bool(b, a->language_ja);
	pack_text(b, a->website);
	pack_text(b, a->use_case);
	pack_u64(b, a->contact_count);
	for (i = 0; i < a->contact_count; i++)
		pack_text(b, a->contacts[i]);
	pack_bool(b, a->suppress_bounce);
	pack_bool(b, a->suppress_complaint);
	pack_u64(b, (uint64_t)a->overrides.date);
	pack_u64(b, (uint64_t)a->overrides.message_id);
	pack_u64(b, (uint64_t)a->overrides.received);
	pack_text(b, a->attachments);
	review_pack(b, &a->review);
	pack_i64(b, a->mails_since.ms);
	pack_u64(b, a->mails);
}

static void
account_unpack_fields(struct unpack *u, struct account *a)
{
	uint64_t n, i;

	unpack_text(u, a->name, sizeof(a->name));
	a->production = unpack_bool(u);
	a->sending_enabled = unpack_bool(u);
	unpack_text(u, a->pause_reason, sizeof(a->pause_reason));
	a->paused_since = unpack_wall(u);
	n = unpack_u64(u);
	u->failed |= n > ACCOUNT_SHUTDOWN;
	a->enforcement = (enum account_enforcement)n;
	a->created = unpack_wall(u);
	a->updated = unpack_wall(u);
	a->closed = unpack_wall(u);
	a->max_24h = unpack_double(u);
	a->rate = unpack_double(u);
	a->burst = unpack_double(u);
	a->marketing = unpack_bool(u);
	a->auto_warmup = unpack_bool(u);
	a->language_ja = unpack_bool(u);
	unpack_text(u, a->website, sizeof(a->website));
	unpack_text(u, a->use_case, sizeof(a->use_case));
	n = unpack_u64(u);
	u->failed |= n > ACCOUNT_CONTACTS_MAX;
	for (i = 0; i < n && !u->failed; i++)
		unpack_text(u, a->contacts[i], sizeof(a->contacts[i]));
	a->contact_count = u->failed ? 0 : (unsigned)n;
	a->suppress_bounce = unpack_bool(u);
	a->suppress_complaint = unpack_bool(u);
	a->overrides.date = (enum header_rule)unpack_u64(u);
	a->overrides.message_id = (enum header_rule)unpack_u64(u);
	a->overrides.received = (enum received_rule)unpack_u64(u);
	u->failed |= a->overrides.date > RULE_PRESERVE ||
	    a->overrides.message_id > RULE_PRESERVE ||
	    a->overrides.received > RECEIVED_NONE;
	unpack_text(u, a->attachments, sizeof(a->attachments));
	review_unpack(u, &a->review);
	a->mails_since = unpack_wall(u);
	a->mails = (unsigned)unpack_u64(u);
}

static int
account_unpack(struct bytes key, struct bytes value, struct account *a,
    struct err *e)
{
	struct unpack u = unpack_of(value);

	memset(a, 0, sizeof(*a));
	bytes_text(key, a->id, sizeof(a->id));
	/* a name that is all of its key, here and elsewhere */
	if (!account_id_is_valid(a->id) || !bytes_eq_text(key, a->id) ||
	    unpack_u64(&u) != ACCOUNT_RECORD)
		u.failed = true;
	account_unpack_fields(&u, a);
	if (!unpack_done(&u))
		return err_set(e, "account %s: the record is damaged", a->id);
	return 1;
}

/* -- the register --------------------------------------------------------- */

bool
account_rewrites(enum header_rule of_credential, enum header_rule of_account,
    enum conf_rewrite of_conf)
{
	enum header_rule rule = of_credential != RULE_DEFAULT ? of_credential :
	    of_account;

	if (rule == RULE_DEFAULT)
		return of_conf == CONF_REWRITE;
	return rule == RULE_REWRITE;
}

int
account_get(struct db_txn *t, const char *id, struct account *out,
    struct err *e)
{
	struct bytes value;
	int	     found;

	if (!account_id_is_valid(id))
		return 0;
	found = db_get(t, BOOK_ACCOUNT, bytes_of(id), &value, e);
	if (found != 1)
		return found;
	return account_unpack(bytes_of(id), value, out, e);
}

int
account_each(struct db_txn *t, bool (*fn)(void *arg, const struct account *a),
    void *arg, struct err *e)
{
	struct book_rows r;
	struct account	 a;

	book_rows_open(&r, t, BOOK_ACCOUNT, BYTES(""), e);
	while (book_rows_next(&r)) {
		r.status = account_unpack(r.key, r.value, &a, e);
		if (r.status < 0 || !fn(arg, &a))
			break;
	}
	return book_rows_close(&r);
}

struct account_search {
	const char     *name;
	struct account *out;
	bool		found;
};

static bool
account_match_name(void *arg, const struct account *a)
{
	struct account_search *s = arg;

	s->found = bytes_eq_nocase(bytes_of(a->name), bytes_of(s->name));
	if (s->found)
		*s->out = *a;
	return !s->found;
}

/* There are few accounts and this is asked by operators only: no index. */
static int
account_find_name(struct db_txn *t, const char *name, struct account *out,
    struct err *e)
{
	struct account_search s = { .name = name, .out = out };

	if (account_each(t, account_match_name, &s, e) < 0)
		return -1;
	return s.found;
}

int
account_find(struct db_txn *t, const char *id_or_name, struct account *out,
    struct err *e)
{
	int found = account_get(t, id_or_name, out, e);

	return found != 0 ? found : account_find_name(t, id_or_name, out, e);
}

static int
account_check(struct db_txn *t, const struct account *a, struct err *e)
{
	struct account other;
	struct address parsed;
	int	       found;
	unsigned       i;

	must(account_id_is_valid(a->id));
	if (a->name[0] == '\0')
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "an account needs a name");
	if (account_id_is_valid(a->name))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "the name of an account cannot be 12 digits");
	must(a->contact_count <= ACCOUNT_CONTACTS_MAX);
	for (i = 0; i < a->contact_count; i++) {
		if (!address_parse(bytes_of(a->contacts[i]),
			ADDRESS_ALLOW_SINGLE_LABEL, &parsed))
			return book_refuse(e, BOOK_BAD_REQUEST,
			    "not an address: %s", a->contacts[i]);
	}
	found = account_find_name(t, a->name, &other, e);
	if (found < 0)
		return -1;
	if (found == 1 && strcmp(other.id, a->id) != 0)
		return book_refuse(e, BOOK_EXISTS,
		    "an account named %s exists", a->name);
	return 0;
}

/* Whoever changed the switch, or the state: the time is kept here. */
static void
account_note_pause(struct account *a)
{
	bool paused = !a->sending_enabled ||
	    a->enforcement == ACCOUNT_SHUTDOWN;

	if (!paused)
		a->paused_since.ms = 0;
	else if (a->paused_since.ms == 0)
		a->paused_since = a->updated;
}

int
account_put(struct db_txn *t, const struct account *a, struct err *e)
{
	struct account noted = *a;
	struct buf     b;

	if (account_check(t, a, e) < 0)
		return -1;
	account_note_pause(&noted);
	buf_init(&b, ACCOUNT_RECORD_MAX);
	account_pack(&b, &noted);
	return book_put(t, BOOK_ACCOUNT, bytes_of(a->id), &b, e);
}

static void
account_make_id(char id[ACCOUNT_ID_SIZE])
{
	uint64_t n;
	int	 i;

	mem_random(&n, sizeof(n));
	for (i = 0; i < ACCOUNT_DIGITS; i++) {
		id[i] = (char)('0' + n % 10);
		n /= 10;
	}
	/* readable as a number by those who drop leading zeros */
	if (id[0] == '0')
		id[0] = '1';
	id[ACCOUNT_DIGITS] = '\0';
}

int
account_create(struct db_txn *t, struct account *a, struct err *e)
{
	bool	     chosen = a->id[0] != '\0';
	struct bytes unused;
	int	     found;

	if (chosen && !account_id_is_valid(a->id))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "an account id is 12 digits");
	do {
		if (!chosen)
			account_make_id(a->id);
		found = db_get(t, BOOK_ACCOUNT, bytes_of(a->id), &unused, e);
		if (found < 0)
			return -1;
		if (found == 1 && chosen)
			return book_refuse(e, BOOK_EXISTS,
			    "account %s exists", a->id);
	} while (found == 1);
	a->sending_enabled = true;
	a->enforcement = ACCOUNT_HEALTHY;
	a->closed.ms = 0;
	a->updated = a->created;
	return account_put(t, a, e);
}

int
account_delete(struct db_txn *t, const char *id, struct err *e)
{
	return db_delete(t, BOOK_ACCOUNT, bytes_of(id), e);
}

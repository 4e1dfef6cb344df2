/* SPDX-License-Identifier: ISC */
/*
 * Two tables: the entries by account and address, and their order of change:
 * a row without value for each, written and removed with the entry.
 */
#include "registry/suppression.h"

#include <string.h>
#include <strings.h>

#include "base/ascii.h"
#include "store/pack.h"

enum {
	SUPPRESSION_RECORD = 1,
	SUPPRESSION_RECORD_MAX = 1024,
	ACCOUNT_OCTETS = ACCOUNT_ID_SIZE - 1,
	TIME_OCTETS = 8,
	KEY_SIZE = ACCOUNT_OCTETS + TIME_OCTETS + ADDRESS_TEXT_MAX
};

const char *
suppression_reason_to_text(enum suppression_reason r)
{
	return r == SUPPRESS_COMPLAINT ? "COMPLAINT" : "BOUNCE";
}

bool
suppression_reason_from_text(struct bytes s, enum suppression_reason *out)
{
	if (bytes_eq_nocase(s, BYTES("BOUNCE")))
		*out = SUPPRESS_BOUNCE;
	else if (bytes_eq_nocase(s, BYTES("COMPLAINT")))
		*out = SUPPRESS_COMPLAINT;
	else
		return false;
	return true;
}

const char *
suppression_source_to_text(enum suppression_source s)
{
	static const char *const names[] = { "auto", "manual", "import" };

	return names[s];
}

unsigned
suppression_reasons_of(const struct account *a)
{
	return (a->suppress_bounce ? SUPPRESS_BOUNCE : 0U) |
	    (a->suppress_complaint ? SUPPRESS_COMPLAINT : 0U);
}

bool
suppression_key(struct bytes address, char *dst, struct bytes *out)
{
	size_t i;

	if (!address_normal_text(address, ADDRESS_ALLOW_LITERAL |
		ADDRESS_ALLOW_SINGLE_LABEL | ADDRESS_ALLOW_UNDERSCORE, dst,
		out))
		return false;
	for (i = 0; i < out->n; i++)
		dst[i] = ascii_lower(dst[i]);
	return true;
}

/* -- keys ------------------------------------------------------------------ */

struct key {
	char   p[KEY_SIZE];
	size_t n;
};

static struct bytes
key_add(struct key *k, const void *p, size_t n)
{
	must(n <= sizeof(k->p) - k->n);
	memcpy(k->p + k->n, p, n);
	k->n += n;
	return (struct bytes){ k->p, k->n };
}

static struct bytes
key_entry(struct key *k, const char *account, struct bytes address)
{
	k->n = 0;
	key_add(k, account, ACCOUNT_OCTETS);
	return key_add(k, address.p, address.n);
}

static struct bytes
key_time(struct key *k, const char *account, struct wall updated,
    struct bytes address)
{
	char octets[TIME_OCTETS];

	k->n = 0;
	key_add(k, account, ACCOUNT_OCTETS);
	db_put_be64(octets, (uint64_t)updated.ms);
	key_add(k, octets, sizeof(octets));
	return key_add(k, address.p, address.n);
}

/* -- records --------------------------------------------------------------- */

static void
suppression_pack(struct buf *b, const struct suppression *s)
{
	pack_u64(b, SUPPRESSION_RECORD);
	pack_text(b, s->address);
	pack_u64(b, s->reasons);
	pack_u64(b, (uint64_t)s->last);
	pack_i64(b, s->updated.ms);
	pack_u64(b, (uint64_t)s->source);
	pack_text(b, s->message_id);
	pack_text(b, s->feedback_id);
}

static int
suppression_unpack(const char *account, struct bytes value,
    struct suppression *s, struct err *e)
{
	struct unpack u = unpack_of(value);
	uint64_t      reasons, last, source;

	memset(s, 0, sizeof(*s));
	memcpy(s->account, account, ACCOUNT_OCTETS);
	if (unpack_u64(&u) != SUPPRESSION_RECORD)
		u.failed = true;
	unpack_text(&u, s->address, sizeof(s->address));
	reasons = unpack_u64(&u);
	last = unpack_u64(&u);
	s->updated = unpack_wall(&u);
	source = unpack_u64(&u);
	unpack_text(&u, s->message_id, sizeof(s->message_id));
	unpack_text(&u, s->feedback_id, sizeof(s->feedback_id));
	if (!unpack_done(&u) || reasons == 0 || reasons > SUPPRESS_ALL ||
	    last == 0 || last == SUPPRESS_ALL || (reasons & last) != last ||
	    source > SUPPRESSION_IMPORT)
		return err_set(e, "suppression list of %s: "
		    "a record is damaged", s->account);
	s->reasons = (unsigned)reasons;
	s->last = (enum suppression_reason)last;
	s->source = (enum suppression_source)source;
	return 1;
}

static int
suppression_get_by_key(struct db_txn *t, const char *account,
    struct bytes address, struct suppression *out, struct err *e)
{
	struct key   k;
	struct bytes value, own;
	char	     text[ADDRESS_TEXT_MAX];
	int found = db_get(t, BOOK_SUPPRESSED, key_entry(&k, account, address),
	    &value, e);

	if (found == 1)
		found = suppression_unpack(account, value, out, e);
	/* what is done to it would be done to another */
	if (found == 1 && (!suppression_key(bytes_of(out->address), text,
		&own) || !bytes_eq(own, address)))
		return err_set(e, "suppression list of %s: a record stands "
		    "where another belongs", account);
	return found;
}

int
suppression_get(struct db_txn *t, const char *account, struct bytes address,
    struct suppression *out, struct err *e)
{
	char	     text[ADDRESS_TEXT_MAX];
	struct bytes a;

	if (!suppression_key(address, text, &a))
		return 0;
	return suppression_get_by_key(t, account, a, out, e);
}

/* -- changes ---------------------------------------------------------------- */

static int
suppression_put(struct db_txn *t, const struct suppression *s,
    struct bytes address, struct err *e)
{
	struct key k;
	struct buf b;

	buf_init(&b, SUPPRESSION_RECORD_MAX);
	suppression_pack(&b, s);
	if (book_put(t, BOOK_SUPPRESSED, key_entry(&k, s->account, address),
		&b, e) < 0)
		return -1;
	return db_put(t, BOOK_SUPPRESSED_TIME, key_time(&k, s->account,
		s->updated, address), BYTES(""), false, e) < 0 ? -1 : 1;
}

int
suppression_add(struct db_txn *t, const struct suppression *s, struct err *e)
{
	struct suppression made = *s, old;
	struct key	   k;
	char		   text[ADDRESS_TEXT_MAX];
	struct bytes	   a;
	int		   found;

	if (!suppression_key(bytes_of(s->address), text, &a))
		return book_refuse(e, BOOK_BAD_REQUEST, "not an address: %s",
		    s->address);
	made.reasons = (unsigned)s->last;
	made.updated.ms -= made.updated.ms % 1000;
	found = suppression_get_by_key(t, s->account, a, &old, e);
	if (found < 0)
		return -1;
	if (found == 1) {
		memcpy(made.address, old.address, sizeof(made.address));
		made.reasons |= old.reasons;
		if (db_delete(t, BOOK_SUPPRESSED_TIME, key_time(&k,
			s->account, old.updated, a), e) < 0)
			return -1;
	}
	return suppression_put(t, &made, a, e);
}

static int
suppression_remove_by_key(struct db_txn *t, const char *account,
    struct bytes address, struct err *e)
{
	struct suppression old;
	struct key	   k;
	int found = suppression_get_by_key(t, account, address, &old, e);

	if (found != 1)
		return found;
	if (db_delete(t, BOOK_SUPPRESSED_TIME, key_time(&k, account,
		old.updated, address), e) < 0)
		return -1;
	return db_delete(t, BOOK_SUPPRESSED, key_entry(&k, account, address),
	    e);
}

int
suppression_remove(struct db_txn *t, const char *account,
    struct bytes address, struct err *e)
{
	char	     text[ADDRESS_TEXT_MAX];
	struct bytes a;

	if (!suppression_key(address, text, &a))
		return 0;
	return suppression_remove_by_key(t, account, a, e);
}

/* -- walking ---------------------------------------------------------------- */

void
suppression_place_of(const struct suppression *s,
    struct suppression_place *out)
{
	struct bytes a;

	memset(out, 0, sizeof(*out));
	out->updated = s->updated;
	if (!suppression_key(bytes_of(s->address), out->key, &a))
		out->key[0] = '\0';
}

/* An entry of the order of change; 1, 0 = another account's, -1. */
static int
suppression_at(struct db_txn *t, const char *account, struct bytes key,
    struct suppression *out, struct err *e)
{
	static const size_t before = ACCOUNT_OCTETS + TIME_OCTETS;
	struct bytes	    a;
	int		    found;

	if (key.n <= before || memcmp(key.p, account, ACCOUNT_OCTETS) != 0)
		return 0;
	a = (struct bytes){ key.p + before, key.n - before };
	if (a.n >= ADDRESS_TEXT_MAX)
		return err_set(e, "suppression list of %s: a key is damaged",
		    account);
	found = suppression_get_by_key(t, account, a, out, e);
	if (found == 0)
		return err_set(e, "suppression list of %s: an entry is "
		    "missing", account);
	return found;
}

int
suppression_each(struct db_txn *t, const char *account,
    const struct suppression_place *after,
    bool (*fn)(void *arg, const struct suppression *s), void *arg,
    struct err *e)
{
	static const struct suppression_place begin = { { 0 }, "" };
	struct db_cursor  *c = db_cursor(t, BOOK_SUPPRESSED_TIME, e);
	struct suppression s;
	struct key	   k;
	struct bytes	   from, key, value;
	int		   found;

	if (c == NULL)
		return -1;
	if (after == NULL)
		after = &begin;
	from = key_time(&k, account, after->updated, bytes_of(after->key));
	found = db_seek(c, from, &key, &value, e);
	if (found == 1 && after->key[0] != '\0' && bytes_eq(key, from))
		found = db_next(c, &key, &value, e);
	while (found == 1) {
		found = suppression_at(t, account, key, &s, e);
		if (found != 1 || !fn(arg, &s))
			break;
		found = db_next(c, &key, &value, e);
	}
	db_cursor_close(c);
	return found < 0 ? -1 : 0;
}

static bool
suppression_on_first(void *arg, const struct suppression *s)
{
	struct suppression *first = arg;

	*first = *s;
	return false;
}

int
suppression_purge(struct db_txn *t, const char *account, unsigned max,
    struct err *e)
{
	struct suppression first;
	unsigned	   n;

	for (n = 0; n < max; n++) {
		first.address[0] = '\0';
		if (suppression_each(t, account, NULL, suppression_on_first,
			&first, e) < 0)
			return -1;
		if (first.address[0] == '\0')
			break;
		if (suppression_remove(t, account, bytes_of(first.address),
			e) < 0)
			return -1;
	}
	return (int)n;
}

/* -- the decision ----------------------------------------------------------- */

void
suppression_question_init(struct suppression_question *out,
    const struct conf *c, struct wall now)
{
	memset(out, 0, sizeof(*out));
	out->global = c->suppression.global.enabled;
	out->global_always =
	    c->suppression.global.mode == CONF_GLOBAL_ALWAYS;
	out->now = now;
}

void
suppression_take_set(struct suppression_question *q,
    const struct config_set *s)
{
	if (!s->own_suppression)
		return;
	q->has_set = true;
	q->set_reasons = (s->suppress_bounce ? SUPPRESS_BOUNCE : 0U) |
	    (s->suppress_complaint ? SUPPRESS_COMPLAINT : 0U);
}

uint64_t
suppression_stamp(uint64_t version, const struct conf *c)
{
	struct suppression_question q;

	suppression_question_init(&q, c, (struct wall){ 0 });
	return version << 2 | (q.global ? 2U : 0U) |
	    (q.global_always ? 1U : 0U);
}

int
suppression_ask(struct db_txn *t, const char *account,
    const struct config_set_id *set, const struct conf *c, struct wall now,
    struct suppression_question *out, struct err *e)
{
	struct account	  a;
	struct config_set s;
	int		  found;

	suppression_question_init(out, c, now);
	out->account = account;
	found = account_get(t, account, &a, e);
	if (found == 1)
		out->account_reasons = suppression_reasons_of(&a);
	if (found < 0 || config_set_id_is_none(set))
		return found < 0 ? -1 : 0;
	found = config_set_find(t, set, &s, e);
	if (found == 1)
		suppression_take_set(out, &s);
	return found < 0 ? -1 : 0;
}

unsigned
suppression_effective(const struct suppression_question *q)
{
	return q->has_set ? q->set_reasons : q->account_reasons;
}

int
suppression_check(struct db_txn *t, const struct suppression_question *q,
    enum suppression_answer *out, struct err *e)
{
	struct global_suppression g;
	struct suppression	  s;
	unsigned		  matching;
	int			  found;

	*out = SUPPRESSION_NONE;
	found = suppression_get(t, q->account, q->address, &s, e);
	if (found < 0)
		return -1;
	matching = found == 1 ? s.reasons & suppression_effective(q) : 0;
	if (matching != 0) {
		*out = (matching & SUPPRESS_BOUNCE) != 0 ?
		    SUPPRESSION_BOUNCE : SUPPRESSION_COMPLAINT;
		return 0;
	}
	if ((q->has_set && q->set_reasons == 0) || !q->global ||
	    (!q->global_always && q->account_reasons != 0))
		return 0;
	found = global_suppression_get(t, q->address, &g, e);
	if (found == 1 && global_suppression_is_active(&g, q->now))
		*out = SUPPRESSION_GLOBAL;
	return found < 0 ? -1 : 0;
}

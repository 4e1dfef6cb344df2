/* SPDX-License-Identifier: ISC */
#include "registry/spf_state.h"

#include <stdio.h>
#include <string.h>

#include "store/pack.h"

enum { SPF_RECORD = 1, RECORD_MAX = 2048, KEY_SIZE = ACCOUNT_ID_SIZE + 254,
	EXPIRED_AT_ONCE = 64 };

const char *
spf_standing_to_text(enum spf_standing s)
{
	static const char *const names[] = { "UNKNOWN", "PASS", "FAIL" };

	return names[s];
}

/* -- what an answer means -------------------------------------------------- */

const char *
spf_state_finding(const struct verify_result *r)
{
	char all = r->spf.record.all;

	switch (r->outcome) {
	case DKIM_MATCH:
		return all == '+' || all == '?'
		    ? "An SPF configuration issue was found." : "";
	case DKIM_ABSENT:
		return "SPF record was not found.";
	case DKIM_MISMATCH:
		return r->spf.names_us
		    ? "An SPF configuration issue was found."
		    : "SPF record for posthorn was not found.";
	case DKIM_MALFORMED:
		return "An SPF configuration issue was found.";
	default:
		return NULL;
	}
}

static const char *
answer_reason(const struct verify_result *r)
{
	if (r->outcome == DKIM_MATCH)
		return "all permits everybody";
	return r->hint[0] != '\0' ? r->hint :
	    spf_result_to_text(r->spf.result);
}

void
spf_state_add(struct spf_state *s, const char *address,
    const struct verify_result *r)
{
	const char *finding = spf_state_finding(r);
	size_t	    n = strlen(s->detail);

	if (finding == NULL) {
		s->is_open = true;
		return;
	}
	if (finding[0] == '\0') {
		if (s->standing == SPF_NOT_KNOWN)
			s->standing = SPF_PASSES;
		return;
	}
	/* the first one names it, all are listed */
	if (s->standing != SPF_FAILS)
		snprintf(s->finding, sizeof(s->finding), "%s", finding);
	s->standing = SPF_FAILS;
	snprintf(s->detail + n, sizeof(s->detail) - n, "%s%s %.100s",
	    n > 0 ? ", " : "", address, answer_reason(r));
}

/* -- the record ------------------------------------------------------------ */

bool
spf_state_write_record(const struct spf_state *s, struct buf *out)
{
	pack_u64(out, SPF_RECORD);
	pack_text(out, s->account);
	pack_text(out, s->domain);
	pack_u64(out, (uint64_t)s->standing);
	pack_text(out, s->finding);
	pack_text(out, s->detail);
	pack_i64(out, s->since.ms);
	pack_i64(out, s->last.ms);
	pack_i64(out, s->asked.ms);
	return !out->failed;
}

bool
spf_state_read_record(struct bytes in, struct spf_state *out)
{
	struct unpack u = unpack_of(in);
	uint64_t      standing;

	memset(out, 0, sizeof(*out));
	u.failed |= unpack_u64(&u) != SPF_RECORD;
	unpack_text(&u, out->account, sizeof(out->account));
	unpack_text(&u, out->domain, sizeof(out->domain));
	standing = unpack_u64(&u);
	u.failed |= standing > SPF_FAILS;
	out->standing = u.failed ? 0 : (enum spf_standing)standing;
	unpack_text(&u, out->finding, sizeof(out->finding));
	unpack_text(&u, out->detail, sizeof(out->detail));
	out->since.ms = unpack_i64(&u);
	out->last.ms = unpack_i64(&u);
	out->asked.ms = unpack_i64(&u);
	return unpack_done(&u);
}

/* account, or zeros, and the domain */
static struct bytes
state_key(const char *account, const char *domain, char out[KEY_SIZE])
{
	int n = snprintf(out, KEY_SIZE, "%s%s",
	    account[0] != '\0' ? account : "000000000000", domain);

	must(n > 0 && n < KEY_SIZE);
	return (struct bytes){ out, (size_t)n };
}

/* A row that stands where another belongs is damaged. */
static bool
state_read_row(struct bytes key, struct bytes value, struct spf_state *out)
{
	char room[KEY_SIZE];

	return spf_state_read_record(value, out) &&
	    bytes_eq(state_key(out->account, out->domain, room), key);
}

int
spf_state_get(struct db_txn *t, const char *account, const char *domain,
    struct spf_state *out, struct err *e)
{
	char	     room[KEY_SIZE];
	struct bytes key = state_key(account, domain, room), value;
	int	     rc = db_get(t, BOOK_SPF, key, &value, e);

	if (rc == 1 && !state_read_row(key, value, out))
		return err_set(e, "SPF of %s: the record is damaged", domain);
	return rc;
}

static int
state_put(struct db_txn *t, const struct spf_state *s, struct err *e)
{
	struct buf b;
	char	   key[KEY_SIZE];
	int	   rc;

	buf_init(&b, RECORD_MAX);
	rc = spf_state_write_record(s, &b) ? db_put(t, BOOK_SPF,
	    state_key(s->account, s->domain, key), buf_bytes(&b), false, e)
					   : err_set(e, "SPF: no memory");
	buf_wipe(&b);
	return rc < 0 ? -1 : 0;
}

int
spf_state_note(struct db_txn *t, const struct spf_state *s, struct wall now,
    struct spf_state_change *out, struct err *e)
{
	struct spf_state before;
	int rc = spf_state_get(t, s->account, s->domain, &before, e);
	bool settles = s->standing == SPF_FAILS ||
	    (s->standing == SPF_PASSES && !s->is_open);

	memset(out, 0, sizeof(*out));
	if (rc < 0)
		return -1;
	out->s = *s;
	if (rc == 0) {
		memset(&before, 0, sizeof(before));
		before.since = now;
	}
	out->from = before.standing;
	memcpy(out->finding, before.finding, sizeof(out->finding));
	out->s.since = before.since;
	out->s.last = before.last;
	if (!settles) {
		out->s.standing = before.standing;
		memcpy(out->s.finding, before.finding, sizeof(before.finding));
		memcpy(out->s.detail, before.detail, sizeof(before.detail));
	} else {
		out->s.last = now;
		/* that all is well from the beginning is no news */
		out->moved = strcmp(before.finding, s->finding) != 0;
		if (before.standing != s->standing || out->moved)
			out->s.since = now;
	}
	out->s.asked = now;
	return state_put(t, &out->s, e);
}

/* -- those in use no more -------------------------------------------------- */

struct expiry {
	struct wall begun;
	struct spf_state v[EXPIRED_AT_ONCE];
	unsigned    n;
	bool	    is_damaged;
};

static bool
expiry_on_row(void *arg, struct bytes key, struct bytes value)
{
	struct expiry *x = arg;

	x->is_damaged = !state_read_row(key, value, &x->v[x->n]);
	x->n += !x->is_damaged && x->v[x->n].asked.ms != x->begun.ms;
	return !x->is_damaged && x->n < EXPIRED_AT_ONCE;
}

int
spf_state_expire(struct db_txn *t, struct wall begun, struct err *e)
{
	struct expiry *x = mem_alloc(sizeof(*x));
	char	       key[KEY_SIZE];
	unsigned       i;
	int	       rc;

	x->begun = begun;
	rc = book_walk(t, BOOK_SPF, BYTES(""), expiry_on_row, x, e);
	if (x->is_damaged)
		rc = err_set(e, "an SPF record of the store is damaged");
	for (i = 0; rc >= 0 && i < x->n; i++)
		rc = db_delete(t, BOOK_SPF, state_key(x->v[i].account,
		    x->v[i].domain, key), e);
	mem_free(x);
	return rc < 0 ? -1 : 0;
}

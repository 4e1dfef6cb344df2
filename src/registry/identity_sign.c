/* SPDX-License-Identifier: ISC */
/*
 * Part of registry/identity.h: what an account may send as, what signs, and
 * who says so; tokens of addresses.
 */
#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "mail/address.h"
#include "registry/credential.h"
#include "registry/identity.h"

enum {
	LINK_INTERVAL_MS = 60 * 1000, /* between two mails to one address */
	LINK_HOUR_MS = 60 * 60 * 1000,
	LINK_MAILS_MAX = 20, /* of an account in an hour */
	EXPLAIN_LINE_MAX = 640
};

/* -- status --------------------------------------------------------------- */

/* identities 4.2: the better of several */
static int
status_rank(enum identity_status s)
{
	switch (s) {
	case IDENTITY_SUCCESS:
		return 4;
	case IDENTITY_TEMPORARY_FAILURE:
		return 3;
	case IDENTITY_PENDING:
		return 2;
	case IDENTITY_FAILED:
		return 1;
	case IDENTITY_NOT_STARTED:
		break;
	}
	return 0;
}

static enum identity_status
status_better(enum identity_status a, enum identity_status b)
{
	return status_rank(a) >= status_rank(b) ? a : b;
}

enum identity_status
identity_status(const struct identity *i)
{
	enum identity_status s = i->link.status;

	s = status_better(s, i->token.status);
	s = status_better(s, i->dkim.status);
	if (i->has_previous)
		s = status_better(s, i->previous.status);
	return s;
}

static bool
state_may_send(const struct identity_check_state *s, struct wall now)
{
	return s->status == IDENTITY_SUCCESS ||
	    (s->status == IDENTITY_TEMPORARY_FAILURE &&
		now.ms < s->deadline.ms);
}

bool
identity_may_send(const struct identity *i, struct wall now)
{
	return state_may_send(&i->link, now) ||
	    state_may_send(&i->token, now) || state_may_send(&i->dkim, now) ||
	    (i->has_previous && state_may_send(&i->previous, now));
}

static bool
state_signs(const struct identity_check_state *s)
{
	return s->status == IDENTITY_SUCCESS ||
	    s->status == IDENTITY_TEMPORARY_FAILURE;
}

bool
identity_is_dual(const struct identity *i, bool dual_sign)
{
	return i->dual == DKIM_INHERIT ? dual_sign : i->dual == DKIM_ON;
}

enum identity_set
identity_signing_set(const struct identity *i)
{
	if (state_signs(&i->dkim))
		return SET_CURRENT;
	if (i->has_previous && state_signs(&i->previous))
		return SET_PREVIOUS;
	return SET_NONE;
}

/* -- walking -------------------------------------------------------------- */

/* An address taken apart for look-ups; texts end with NUL. */
struct sender {
	char	     normal[ADDRESS_TEXT_MAX];
	char	     base[ADDRESS_TEXT_MAX]; /* without +label; "" = none */
	char	     domain[DOMAIN_TEXT_MAX];
};

static bool
sender_read(struct bytes text, struct sender *s)
{
	struct address a;
	struct bytes   normal, base;
	int	       n;

	s->base[0] = '\0';
	if (!address_normal_text(text,
		ADDRESS_ALLOW_SINGLE_LABEL | ADDRESS_ALLOW_UNDERSCORE,
		s->normal, &normal) || !address_split(normal, &a))
		return false;
	bytes_text(a.domain, s->domain, sizeof(s->domain));
	if (!address_base(&a, &base))
		return true;
	n = snprintf(s->base, sizeof(s->base), "%.*s@%s", (int)base.n, base.p,
	    s->domain);
	return n > 0 && (size_t)n < sizeof(s->base);
}

/* The domain above, unless it has one label or is a public suffix. */
static bool
sender_climb(char domain[DOMAIN_TEXT_MAX])
{
	struct bytes up;
	size_t	     n;

	if (!domain_parent(bytes_of(domain), &up))
		return false;
	n = up.n;
	memmove(domain, up.p, n);
	domain[n] = '\0';
	return !identity_is_public_suffix(domain);
}

/* 1 = found and verified */
static int
resolve_one(struct db_txn *t, const char *account, const char *name,
    struct wall now, struct identity *out, struct err *e)
{
	int found = identity_get(t, account, name, out, e);

	return found == 1 && !identity_may_send(out, now) ? 0 : found;
}

/* One after the other, as long as fn wants more. */
struct cover_walk {
	struct db_txn	*t;
	const char	*account;
	struct wall	 now;
	struct identity *room;
	bool (*fn)(void *arg, const struct identity *i);
	void	   *arg;
	struct err *err;
};

/* 1 = fn said false, 0 = on, -1 */
static int
cover_ask(const struct cover_walk *w, const char *name)
{
	int found = resolve_one(w->t, w->account, name, w->now, w->room,
	    w->err);

	if (found != 1)
		return found;
	return w->fn(w->arg, w->room) ? 0 : 1;
}

int
identity_each_covering(struct db_txn *t, const char *account,
    struct bytes address, struct wall now, struct identity *room,
    bool (*fn)(void *arg, const struct identity *i), void *arg, struct err *e)
{
	struct cover_walk w = { t, account, now, room, fn, arg, e };
	struct sender	  s;
	int		  found;

	if (!sender_read(address, &s))
		return 0;
	found = cover_ask(&w, s.normal);
	if (found == 0 && s.base[0] != '\0')
		found = cover_ask(&w, s.base);
	if (identity_is_public_suffix(s.domain))
		return found;
	while (found == 0) {
		found = cover_ask(&w, s.domain);
		if (found == 0 && !sender_climb(s.domain))
			break;
	}
	return found;
}

static bool
resolve_on_first(void *arg, const struct identity *i)
{
	(void)arg;
	(void)i;
	return false;
}

int
identity_resolve(struct db_txn *t, const char *account, struct bytes address,
    struct wall now, struct identity *out, struct err *e)
{
	return identity_each_covering(t, account, address, now, out,
	    resolve_on_first, NULL, e);
}

/* -- what signs ----------------------------------------------------------- */

struct signing_walk {
	const struct signing_question *q;
	void (*fn)(void *arg, const char *line); /* NULL: nobody listens */
	void	      *arg;
	struct signing_choice *out;
	struct err    *err;
};

static void signing_tell(struct signing_walk *w, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));

static void
signing_tell(struct signing_walk *w, const char *fmt, ...)
{
	char	line[EXPLAIN_LINE_MAX];
	va_list ap;

	if (w->fn == NULL)
		return;
	va_start(ap, fmt);
	vsnprintf(line, sizeof(line), fmt, ap);
	va_end(ap);
	w->fn(w->arg, line);
}

static void
signing_decide(struct signing_walk *w, enum signing_result r,
    const char *name)
{
	w->out->result = r;
	bytes_text(bytes_of(name), w->out->decided_by,
	    sizeof(w->out->decided_by));
}

static int
signing_find(struct signing_walk *w, const char *name, struct identity *i)
{
	int found = identity_get(w->q->txn, w->q->account, name, i, w->err);

	if (found == 0)
		signing_tell(w, "%-20s identity: no", name);
	return found;
}

/* 1 = settled (signing is off), 2 = there, nothing against it, 0 = no */
static int
signing_ask_address(struct signing_walk *w, const char *name)
{
	static const char *const words[] = { "inherit", "on", "off" };
	struct identity		 i;
	int			 found;

	found = signing_find(w, name, &i);
	if (found != 1)
		return found;
	signing_tell(w, "%-20s identity: yes   signing: %s", name,
	    words[i.signing]);
	if (i.signing != DKIM_OFF)
		return 2;
	signing_decide(w, SIGNING_DISABLED, name);
	return 1;
}

/* The address itself, or else the one without its label. */
static int
signing_ask_addresses(struct signing_walk *w, const struct sender *s)
{
	int found = signing_ask_address(w, s->normal);

	if (found == 0 && s->base[0] != '\0')
		found = signing_ask_address(w, s->base);
	return found == 2 ? 0 : found;
}

static void
signing_tell_domain(struct signing_walk *w, const struct identity *i,
    enum identity_set set)
{
	bool		     shows_previous = set == SET_PREVIOUS;
	enum identity_status status = shows_previous ? i->previous.status :
						       i->dkim.status;

	signing_tell(w, "%-20s identity: yes   signing: %-5s status: %s%s",
	    i->name, i->signing == DKIM_OFF ? "off" : "on",
	    identity_status_to_text(status),
	    shows_previous ? " (previous keys)" : "");
}

/* Ed25519 signs only beside RSA, and only when its record is seen (6.1). */
static void
signing_judge_second(struct signing_walk *w, const struct identity *i)
{
	struct signing_keys *k = &w->out->keys;

	if (!k->has_second || !identity_is_dual(i, w->q->dual_sign)) {
		k->has_second = false;
	} else if (!k->second.seen) {
		k->has_second = false;
		signing_tell(w, "%-20s Ed25519 selector %s is not seen in "
		    "DNS; only RSA signs", i->name, k->second.selector);
	}
}

static int
signing_ask_domain(struct signing_walk *w, const char *name)
{
	struct identity	     i;
	struct signing_keys *k = &w->out->keys;
	enum identity_set    set;
	int		     found;

	found = signing_find(w, name, &i);
	if (found != 1)
		return found;
	set = identity_signing_set(&i);
	signing_tell_domain(w, &i, set);
	if (i.signing == DKIM_OFF) {
		signing_decide(w, SIGNING_DISABLED, name);
		return 1;
	}
	/* of several that are not, the most specific */
	if (w->out->result != SIGNING_NOT_VERIFIED)
		signing_decide(w, SIGNING_NOT_VERIFIED, name);
	if (set == SET_NONE)
		return 0;
	found = dkim_keys_active(w->q->txn, &i, set, k, w->err);
	/* its mail is to be signed: a lost key must not make it unsigned */
	if (found == 0)
		return err_set(w->err, "%s is to sign, but its active DKIM "
		    "key is not in the store", name);
	if (found < 0)
		return -1;
	/* dkim.md 8: a revoked key is not used from then on */
	if (k->key.last_outcome == DKIM_REVOKED) {
		k->has_second = false;
		return 0;
	}
	signing_decide(w, SIGNING_KEY, name);
	signing_judge_second(w, &i);
	return 1;
}

/* dkim.md 4.1 */
static int
signing_walk(struct signing_walk *w)
{
	struct sender s;
	int	      found;

	w->out->result = SIGNING_NO_IDENTITY;
	w->out->decided_by[0] = '\0';
	w->out->keys.has_second = false;
	if (!sender_read(w->q->from, &s))
		return 0;
	found = signing_ask_addresses(w, &s);
	if (found != 0)
		return found < 0 ? -1 : 0;
	if (identity_is_public_suffix(s.domain))
		return 0;
	do {
		found = signing_ask_domain(w, s.domain);
	} while (found == 0 && sender_climb(s.domain));
	return found < 0 ? -1 : 0;
}

int
identity_signing(const struct signing_question *q, struct signing_choice *out,
    struct err *e)
{
	struct signing_walk w = { .q = q, .out = out, .err = e };

	return signing_walk(&w);
}

static void
signing_tell_key(struct signing_walk *w, const struct dkim_key *k)
{
	bool fine = k->last_outcome == DKIM_MATCH ||
	    k->last_outcome == DKIM_UNCHECKED;
	char time[CLOCK_TEXT_MAX], seen[80];

	if (k->last_seen.ms == 0)
		snprintf(seen, sizeof(seen), "never seen");
	else
		snprintf(seen, sizeof(seen), "last seen %s",
		    wall_iso_seconds(k->last_seen, time));
	signing_tell(w, "=> d=%s s=%s a=%s %u bit, %s%s%s", k->domain,
	    k->selector, k->ed25519 ? "ed25519-sha256" : "rsa-sha256",
	    k->bits, seen, fine ? "" : ", last check: ",
	    fine ? "" : dkim_outcome_to_text(k->last_outcome));
}

static void
signing_tell_result(struct signing_walk *w)
{
	const struct signing_keys *k = &w->out->keys;

	switch (w->out->result) {
	case SIGNING_KEY:
		signing_tell_key(w, &k->key);
		if (k->has_second)
			signing_tell_key(w, &k->second);
		break;
	case SIGNING_DISABLED:
		signing_tell(w, "=> none: signing is disabled for %s",
		    w->out->decided_by);
		break;
	case SIGNING_NO_IDENTITY:
		signing_tell(w, "=> none: no domain of it is an identity of "
		    "this account");
		break;
	case SIGNING_NOT_VERIFIED:
		signing_tell(w, "=> none: no domain of it has a verified "
		    "key");
		break;
	}
}

int
identity_explain(const struct signing_question *q,
    void (*fn)(void *arg, const char *line), void *arg, struct err *e)
{
	struct signing_choice *choice = mem_alloc(sizeof(*choice));
	struct signing_walk    w = { .q = q, .fn = fn, .arg = arg,
		   .out = choice, .err = e };
	int rc = signing_walk(&w);

	if (rc == 0)
		signing_tell_result(&w);
	mem_free(choice);
	return rc;
}

/* -- the switch of signing ------------------------------------------------ */

/* The domain identity an address hangs on: 1, 0 (none), -1. */
static int
signing_find_domain(struct db_txn *t, const char *account, const char *domain,
    struct identity *out, struct err *e)
{
	char name[DOMAIN_TEXT_MAX];
	int  found;

	bytes_text(bytes_of(domain), name, sizeof(name));
	do {
		found = identity_get(t, account, name, out, e);
	} while (found == 0 && sender_climb(name));
	return found;
}

/* dkim.md 4.2: its domain has to be verified and signing */
static int
signing_check_address(struct db_txn *t, const char *account, const char *name,
    struct wall now, struct err *e)
{
	const char     *domain = strrchr(name, '@') + 1;
	struct identity d;
	char		why[400];
	int		found = signing_find_domain(t, account, domain, &d, e);

	if (found < 0)
		return -1;
	if (found == 0)
		snprintf(why, sizeof(why),
		    "%s is not an identity of this account", domain);
	else if (!identity_may_send(&d, now))
		snprintf(why, sizeof(why), "%s is not verified", d.name);
	else if (d.signing == DKIM_OFF)
		snprintf(why, sizeof(why), "DKIM signing is disabled for %s",
		    d.name);
	else
		return 0;
	return book_refuse(e, BOOK_BAD_REQUEST,
	    "DKIM signing cannot be changed for %s: %s", name, why);
}

int
identity_set_signing(struct db_txn *t, const char *account, const char *name,
    bool on, struct wall now, struct err *e)
{
	struct identity i;
	int		found;

	if (strchr(name, '@') != NULL &&
	    signing_check_address(t, account, name, now, e) < 0)
		return -1;
	found = identity_get(t, account, name, &i, e);
	if (found < 0)
		return -1;
	if (found == 0)
		return book_refuse(e, BOOK_NOT_FOUND, "no such identity: %s",
		    name);
	i.signing = on ? DKIM_ON : DKIM_OFF;
	return identity_put(t, &i, e);
}

/* -- tokens --------------------------------------------------------------- */

/* 20 mails an hour for an account (identities 4.3). */
static int
token_charge(struct db_txn *t, const char *account, struct wall now,
    struct err *e)
{
	struct account a;
	int	       found = account_get(t, account, &a, e);

	if (found < 0)
		return -1;
	if (found == 0)
		return book_refuse(e, BOOK_NOT_FOUND, "no such account: %s",
		    account);
	if (now.ms - a.mails_since.ms >= LINK_HOUR_MS ||
	    now.ms < a.mails_since.ms) {
		a.mails_since = now;
		a.mails = 0;
	}
	if (a.mails >= LINK_MAILS_MAX)
		return book_refuse(e, BOOK_TOO_MANY, "at most %d verification "
		    "mails an hour", (int)LINK_MAILS_MAX);
	a.mails++;
	return account_put(t, &a, e);
}

int
identity_issue_token(struct db_txn *t, struct identity *i, struct wall now,
    char token[IDENTITY_TOKEN_SIZE], struct err *e)
{
	must(i->is_address);
	if (i->link.status == IDENTITY_SUCCESS)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s is verified already", i->name);
	if (i->link_sent.ms != 0 && now.ms >= i->link_sent.ms &&
	    now.ms - i->link_sent.ms < LINK_INTERVAL_MS)
		return book_refuse(e, BOOK_TOO_MANY,
		    "at most one verification mail to %s a minute", i->name);
	if (token_charge(t, i->account, now, e) < 0)
		return -1;
	identity_make_token(token);
	/* the old hash goes with the put: it is read from the store there */
	credential_sha256(token, strlen(token), i->link_hash);
	i->link_sent = now;
	i->link.status = IDENTITY_PENDING;
	i->link.since = now;
	i->link.deadline.ms = now.ms + IDENTITY_LINK_MS;
	return identity_put(t, i, e);
}

int
identity_confirm(struct db_txn *t, const char *token, struct wall now,
    struct identity *out, struct err *e)
{
	unsigned char hash[32];
	char	      account[ACCOUNT_ID_SIZE], name[IDENTITY_NAME_SIZE];
	struct bytes  row;
	int	      found;

	credential_sha256(token, strlen(token), hash);
	found = db_get(t, BOOK_TOKEN,
	    (struct bytes){ (const char *)hash, sizeof(hash) }, &row, e);
	if (found != 1)
		return found;
	bytes_text(bytes_head(row, ACCOUNT_ID_SIZE - 1), account,
	    sizeof(account));
	bytes_text(bytes_from(row, ACCOUNT_ID_SIZE - 1), name, sizeof(name));
	found = identity_get(t, account, name, out, e);
	if (found != 1)
		return found;
	if (out->link.status != IDENTITY_PENDING ||
	    now.ms >= out->link.deadline.ms ||
	    memcmp(out->link_hash, hash, sizeof(hash)) != 0)
		return 0;
	memset(out->link_hash, 0, sizeof(out->link_hash));
	out->link.status = IDENTITY_SUCCESS;
	out->link.since = out->link.last_success = now;
	out->link.deadline.ms = 0;
	return identity_put(t, out, e) < 0 ? -1 : 1;
}

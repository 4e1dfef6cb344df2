/* SPDX-License-Identifier: ISC */
#include "registry/mail_from.h"

#include <string.h>

#include "mail/address.h"
#include "registry/identity_check_private.h"

enum { ORPHANS_AT_ONCE = 64 };

const char *
mail_from_outcome_to_text(enum dkim_outcome o)
{
	return o == DKIM_MISMATCH ? "WRONG" : dkim_outcome_to_text(o);
}

const char *
mail_from_behavior_to_text(bool reject)
{
	return reject ? "REJECT_MESSAGE" : "USE_DEFAULT_VALUE";
}

/* -- the choice (section 2) ------------------------------------------------ */

/* false = decided */
static bool
choose_on_identity(void *arg, const struct identity *i)
{
	const struct identity_mail_from *m = &i->mail_from;
	struct mail_from_choice		*out = arg;

	if (m->domain[0] == '\0' && !m->opted_out)
		return true;
	bytes_text(bytes_of(i->name), out->identity, sizeof(out->identity));
	if (m->opted_out)
		return false;
	if (m->check.status == IDENTITY_SUCCESS && !m->orphaned)
		out->use = MAIL_FROM_CUSTOM;
	else if (m->reject)
		out->use = MAIL_FROM_REFUSED;
	if (out->use != MAIL_FROM_DEFAULT)
		bytes_text(bytes_of(m->domain), out->domain,
		    sizeof(out->domain));
	return false;
}

int
mail_from_choose(struct db_txn *t, const char *account, struct bytes from,
    struct wall now, struct mail_from_choice *out, struct err *e)
{
	struct identity room;

	memset(out, 0, sizeof(*out));
	return identity_each_covering(t, account, from, now, &room,
		   choose_on_identity, out, e) < 0 ? -1 : 0;
}

/* -- by domain ------------------------------------------------------------- */

struct owner_search {
	char *account;
	bool  found;
};

static bool
owner_on_row(void *arg, struct bytes key, struct bytes value)
{
	struct owner_search *s = arg;
	ptrdiff_t	     zero = bytes_find(key, 0, '\0');

	(void)value;
	if (zero < 0)
		return false;
	bytes_text(bytes_head(bytes_from(key, (size_t)zero + 1),
	    ACCOUNT_ID_SIZE - 1), s->account, ACCOUNT_ID_SIZE);
	s->found = true;
	return false;
}

int
mail_from_owner(struct db_txn *t, struct bytes domain,
    char account[ACCOUNT_ID_SIZE], struct err *e)
{
	struct owner_search s = { account, false };
	char		    prefix[DOMAIN_TEXT_MAX + 1];

	if (domain.n == 0 || domain.n >= DOMAIN_TEXT_MAX)
		return 0;
	/* with the NUL: the whole domain */
	bytes_text(domain, prefix, DOMAIN_TEXT_MAX);
	if (book_walk(t, BOOK_MAIL_FROM,
		(struct bytes){ prefix, domain.n + 1 }, owner_on_row, &s, e) < 0)
		return -1;
	return s.found ? 1 : 0;
}

struct each_walk {
	struct db_txn *t;
	bool (*fn)(void *arg, const struct identity *i);
	void	   *arg;
	struct err *e;
	bool	    failed;
};

/* domain, 0, account, identity */
static bool
each_on_row(void *arg, struct bytes key, struct bytes value)
{
	struct each_walk *w = arg;
	ptrdiff_t	  zero = bytes_find(key, 0, '\0');
	struct bytes	  rest = bytes_from(key, (size_t)(zero + 1));
	char		  account[ACCOUNT_ID_SIZE], name[IDENTITY_NAME_SIZE];
	struct identity	  i;
	int		  found;

	(void)value;
	bytes_text(bytes_head(rest, ACCOUNT_ID_SIZE - 1), account,
	    sizeof(account));
	bytes_text(bytes_from(rest, ACCOUNT_ID_SIZE - 1), name, sizeof(name));
	found = identity_get(w->t, account, name, &i, w->e);
	w->failed = found < 0;
	return !w->failed && (found == 0 || w->fn(w->arg, &i));
}

int
mail_from_each(struct db_txn *t,
    bool (*fn)(void *arg, const struct identity *i), void *arg, struct err *e)
{
	struct each_walk w = { t, fn, arg, e, false };

	if (book_walk(t, BOOK_MAIL_FROM, BYTES(""), each_on_row, &w, e) < 0)
		return -1;
	return w.failed ? -1 : 0;
}

/* -- set (section 4) ------------------------------------------------------- */

static struct bytes
identity_domain(const struct identity *i)
{
	struct bytes name = bytes_of(i->name);
	const char  *at = strrchr(i->name, '@');

	return at == NULL ? name : bytes_from(name,
	    (size_t)(at + 1 - i->name));
}

/* Is there a verified domain identity at or above it?  1, 0, -1 */
static int
domain_is_covered(struct db_txn *t, const char *account, struct bytes domain,
    struct wall now, struct err *e)
{
	struct identity i;
	char		name[DOMAIN_TEXT_MAX];
	int		found;

	for (;;) {
		bytes_text(domain, name, sizeof(name));
		found = identity_get(t, account, name, &i, e);
		if (found < 0)
			return -1;
		if (found == 1 && identity_may_send(&i, now))
			return 1;
		if (!domain_parent(domain, &domain))
			return 0;
	}
}

struct use_search {
	struct bytes domain;
	bool	     found;
};

static bool
use_on_row(void *arg, struct bytes key, struct bytes value)
{
	struct use_search *s = arg;
	struct bytes	   name = bytes_from(key, ACCOUNT_ID_SIZE - 1);
	struct address	   a;

	(void)value;
	if (address_split(name, &a))
		name = a.domain;
	s->found = domain_is_within(name, s->domain);
	return !s->found;
}

/* Mail is sent from it, by whomever, or it is another account's. */
static int
domain_is_free(struct db_txn *t, const struct identity *i, const char *domain,
    struct err *e)
{
	struct use_search s = { bytes_of(domain), false };
	char		  owner[ACCOUNT_ID_SIZE];
	int		  found;

	if (book_walk(t, BOOK_IDENTITY, BYTES(""), use_on_row, &s, e) < 0)
		return -1;
	if (s.found)
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "MAIL FROM domain is used as a sending identity");
	found = mail_from_owner(t, s.domain, owner, e);
	if (found == 1 && strcmp(owner, i->account) != 0)
		return book_refuse(e, BOOK_EXISTS,
		    "MAIL FROM domain %s belongs to another account", domain);
	return found < 0 ? -1 : 0;
}

static int
domain_may_be_set(struct db_txn *t, const struct identity *i,
    const char *domain, bool force, struct wall now, struct err *e)
{
	struct bytes parent = identity_domain(i), own = bytes_of(domain);
	int	     covered = 1;

	if (!domain_is_within(own, parent) || own.n == parent.n)
		return book_refuse(e, BOOK_BAD_REQUEST, "MAIL FROM domain "
		    "must be a subdomain of %.*s", (int)parent.n, parent.p);
	if (!identity_may_send(i, now))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "identity %s is not verified", i->name);
	if (i->is_address && !force)
		covered = domain_is_covered(t, i->account, parent, now, e);
	if (covered == 0)
		return book_refuse(e, BOOK_BAD_REQUEST, "MAIL FROM domain "
		    "must be a subdomain of a verified domain");
	return covered < 0 ? -1 : domain_is_free(t, i, domain, e);
}

int
mail_from_set(struct db_txn *t, struct identity *i,
    const struct mail_from_wish *w, struct wall now, struct err *e)
{
	struct identity_mail_from *m = &i->mail_from;
	char			   room[DOMAIN_TEXT_MAX];
	char			   domain[DOMAIN_TEXT_MAX];
	struct bytes		   normal;
	bool			   is_same;

	if (domain_is_dotted_quad(bytes_of(w->domain)) ||
	    !domain_normal(bytes_of(w->domain), 0, room, &normal) ||
	    normal.n >= sizeof(m->domain))
		return book_refuse(e, BOOK_BAD_REQUEST, "not a domain name "
		    "of at least two labels: %.254s", w->domain);
	bytes_text(normal, domain, sizeof(domain));
	if (domain_may_be_set(t, i, domain, w->force, now, e) < 0)
		return -1;
	is_same = strcmp(m->domain, domain) == 0 && !m->orphaned &&
	    m->check.status == IDENTITY_SUCCESS;
	if (!is_same) {
		memset(m, 0, sizeof(*m));
		bytes_text(normal, m->domain, sizeof(m->domain));
		state_start(&m->check, now);
	}
	m->reject = w->reject;
	return 0;
}

void
mail_from_clear(struct identity *i)
{
	memset(&i->mail_from, 0, sizeof(i->mail_from));
}

void
mail_from_opt_out(struct identity *i)
{
	mail_from_clear(i);
	i->mail_from.opted_out = true;
}

int
mail_from_verify(struct db_txn *t, struct identity *i, struct wall now,
    struct err *e)
{
	int covered = 1;

	if (i->mail_from.domain[0] == '\0')
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "%s has no MAIL FROM domain of its own", i->name);
	if (i->mail_from.orphaned)
		covered = domain_is_covered(t, i->account,
		    identity_domain(i), now, e);
	if (covered == 0)
		return book_refuse(e, BOOK_BAD_REQUEST, "MAIL FROM domain "
		    "must be a subdomain of a verified domain");
	if (covered < 0)
		return -1;
	i->mail_from.orphaned = false;
	state_again(&i->mail_from.check, now);
	return 0;
}

/* -- what the end of a domain identity brings (section 10) ----------------- */

struct orphan_list {
	struct db_txn *t;
	const char    *account;
	struct bytes   domain;
	struct wall    now;
	struct err    *err;
	bool	       failed;
	unsigned       n;
	char	       names[ORPHANS_AT_ONCE][IDENTITY_NAME_SIZE];
};

static bool
orphan_on_identity(void *arg, const struct identity *i)
{
	struct orphan_list *l = arg;
	int		    covered;

	if (!i->is_address || i->mail_from.domain[0] == '\0' ||
	    i->mail_from.orphaned ||
	    !domain_is_within(identity_domain(i), l->domain))
		return true;
	covered = domain_is_covered(l->t, l->account, identity_domain(i),
	    l->now, l->err);
	l->failed = covered < 0;
	if (covered == 0)
		memcpy(l->names[l->n++], i->name, sizeof(i->name));
	return !l->failed && l->n < ORPHANS_AT_ONCE;
}

/* The move and its notice come from the check that is due now. */
static int
orphan_one(struct orphan_list *l, const char *name)
{
	struct identity i;
	int		found = identity_get(l->t, l->account, name, &i,
			    l->err);

	if (found != 1)
		return found;
	i.mail_from.orphaned = true;
	if (i.mail_from.check.next_check.ms != 0)
		i.mail_from.check.next_check = l->now;
	return identity_put(l->t, &i, l->err);
}

int
mail_from_orphan(struct db_txn *t, const char *account, const char *domain,
    struct wall now, struct err *e)
{
	struct orphan_list *l = mem_alloc(sizeof(*l));
	unsigned	    k;
	int		    rc;

	l->t = t;
	l->account = account;
	l->domain = bytes_of(domain);
	l->now = now;
	l->err = e;
	do {
		l->n = 0;
		rc = identity_each(t, account, orphan_on_identity, l, e);
		if (l->failed)
			rc = -1;
		for (k = 0; rc >= 0 && k < l->n; k++)
			rc = orphan_one(l, l->names[k]);
	} while (rc >= 0 && l->n == ORPHANS_AT_ONCE);
	mem_free(l);
	return rc < 0 ? -1 : 0;
}

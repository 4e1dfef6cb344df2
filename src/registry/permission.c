/* SPDX-License-Identifier: ISC */
#include "registry/permission.h"

#include <string.h>

#include "base/table.h"
#include "registry/glob.h"
#include "registry/identity_policy.h"

enum {
	/* of documents kept; beyond it all are forgotten */
	PERMISSIONS_MAX = 32 * 1024 * 1024,
	DOCUMENTS_MAX = IDENTITY_POLICIES_MAX, /* credentials have fewer */
	COVER_MAX = 132, /* names of an address: two, and 127 labels */
	KEY_MAX = 1 + ACCOUNT_ID_SIZE + IDENTITY_NAME_SIZE
};

/* -- what was read -------------------------------------------------------- */

struct document {
	char	       name[POLICY_NAME_MAX + 1];
	char	      *text;
	size_t	       n;
	struct policy *policy; /* NULL: cannot be read, forbids */
};
/* All documents of a credential or of an identity; or of an account: only
 * whether its identities have any. */
struct documents {
	uint64_t	version; /* of the book when it was looked at */
	bool		any;
	struct document *v;
	unsigned	n;
	size_t		octets;
};
/* Names of the identities that cover an address. */
struct cover {
	struct policy_resource v[COVER_MAX];
	char		       names[COVER_MAX][IDENTITY_NAME_SIZE];
	const char	      *owner;
	size_t		       n;
};
struct permissions {
	struct table *known; /* kind, account, name -> struct documents */
	size_t	      octets;
	struct cover  cover; /* of the question at hand: large */
};

struct permissions *
permissions_new(void)
{
	struct permissions *c = mem_alloc(sizeof(*c));

	c->known = table_new(0);
	return c;
}

static size_t
document_octets(const struct document *d)
{
	return sizeof(*d) + d->n +
	    (d->policy != NULL ? policy_octets(d->policy) : 0);
}

static void
document_wipe(struct document *d)
{
	policy_free(d->policy);
	mem_free(d->text);
	memset(d, 0, sizeof(*d));
}

static void
documents_free(void *permissions, struct bytes key, void *documents)
{
	struct permissions *c = permissions;
	struct documents   *s = documents;
	unsigned	    i;

	table_take(c->known, key);
	for (i = 0; i < s->n; i++)
		document_wipe(&s->v[i]);
	mem_free(s->v);
	mem_free(s);
}

static void
permissions_forget(struct permissions *c)
{
	table_each(c->known, documents_free, c);
	c->octets = 0;
}

void
permissions_free(struct permissions *c)
{
	if (c == NULL)
		return;
	permissions_forget(c);
	table_free(c->known);
	mem_free(c);
}

size_t
permissions_octets(const struct permissions *c)
{
	return c->octets;
}

static struct bytes
key_of(char out[KEY_MAX], char kind, const char *account, const char *name)
{
	size_t n = 0;

	out[n++] = kind;
	for (; *account != '\0' && n < ACCOUNT_ID_SIZE; account++)
		out[n++] = *account;
	for (; *name != '\0' && n < KEY_MAX; name++)
		out[n++] = *name;
	return (struct bytes){ out, n };
}

/* Those that are known, or new ones that know nothing. */
static struct documents *
documents_of(struct permissions *c, struct bytes key)
{
	struct documents *s = table_get(c->known, key);

	if (s != NULL)
		return s;
	s = mem_alloc(sizeof(*s));
	s->octets = sizeof(*s);
	must(table_put(c->known, key, s));
	c->octets += s->octets;
	return s;
}

/* The n-th one as it stands in the book: read again only if it is another. */
static void
documents_take(struct documents *s, unsigned n, const char *name,
    struct bytes text, const struct policy_place *at)
{
	struct document *d = n < s->n ? &s->v[n] : NULL; /* not yet there */
	struct err	 unused;

	if (d != NULL && d->n == text.n && strcmp(d->name, name) == 0 &&
	    memcmp(d->text, text.p, text.n) == 0)
		return;
	if (d != NULL) {
		s->octets -= document_octets(d);
		document_wipe(d);
	} else {
		s->v = mem_realloc(s->v, (n + 1) * sizeof(*s->v));
		d = &s->v[n];
		memset(d, 0, sizeof(*d));
		s->n = n + 1;
	}
	bytes_text(bytes_of(name), d->name, sizeof(d->name));
	d->text = mem_dup_bytes(text);
	d->n = text.n;
	d->policy = policy_new(at, text, &unused);
	s->octets += document_octets(d);
}

static void
documents_cut(struct documents *s, unsigned n)
{
	while (s->n > n) {
		s->n--;
		s->octets -= document_octets(&s->v[s->n]);
		document_wipe(&s->v[s->n]);
	}
}

/* -- the documents of a credential ---------------------------------------- */

/* They came with the credential: a look at the texts is all it takes.  NULL:
 * it has none, as most have. */
static struct documents *
documents_of_credential(struct permissions *c, const struct credential *of)
{
	static const struct policy_place here = { NULL, NULL };
	char		  room[KEY_MAX];
	struct documents *s;
	size_t		  before;
	unsigned	  i;

	if (of->policy_count == 0)
		return NULL;
	s = documents_of(c, key_of(room, 'C', of->account, of->name));
	before = s->octets;
	for (i = 0; i < of->policy_count; i++)
		documents_take(s, i, of->policies[i].name,
		    bytes_of(of->policies[i].text), &here);
	documents_cut(s, of->policy_count);
	c->octets += s->octets - before;
	return s;
}

/* -- the documents of an identity ----------------------------------------- */

struct gathering {
	struct documents *s;
	unsigned	  n;
};

static bool
documents_on_policy(void *gathering, const struct identity_policy *p)
{
	struct gathering   *g = gathering;
	struct policy_place at = { p->account, p->identity };

	documents_take(g->s, g->n++, p->name, bytes_of(p->text), &at);
	return g->n < DOCUMENTS_MAX;
}

static struct documents *
documents_of_identity(struct permissions *c, const struct permission_question *q,
    const char *name, struct err *e)
{
	char		  room[KEY_MAX];
	struct documents *s = documents_of(c, key_of(room, 'I', q->owner,
	    name));
	struct gathering  g = { s, 0 };
	size_t		  before = s->octets;

	if (s->version == q->version)
		return s;
	if (identity_policy_each(q->txn, q->owner, name, documents_on_policy,
		&g, e) < 0)
		return NULL;
	documents_cut(s, g.n);
	s->version = q->version;
	c->octets += s->octets - before;
	return s;
}

/* Most accounts have no such document: 1, 0, -1. */
static int
owner_has_documents(struct permissions *c, const struct permission_question *q,
    struct err *e)
{
	char		  room[KEY_MAX];
	struct documents *s = documents_of(c, key_of(room, 'A', q->owner, ""));
	int		  any;

	if (s->version == q->version)
		return s->any;
	any = identity_policy_any(q->txn, q->owner, e);
	if (any < 0)
		return -1;
	s->any = any == 1;
	s->version = q->version;
	return any;
}

/* -- the question --------------------------------------------------------- */

int
permission_needs_values(struct permissions *c,
    const struct permission_question *q, struct err *e)
{
	must(q->version > 0); /* that of what is not known yet is 0 */
	if (c->octets > PERMISSIONS_MAX)
		permissions_forget(c);
	if (q->credential != NULL && q->credential->policy_count > 0)
		return 1;
	return owner_has_documents(c, q, e);
}

/* The documents of the roles (credentials.md 9.1), behind "ses:". */
static bool
role_allows(enum credential_role r, const char *action)
{
	static const char *const smtp[] = { "SendRawEmail", NULL };
	static const char *const send[] = { "SendEmail", "SendRawEmail",
		"SendTemplatedEmail", "SendBulkTemplatedEmail", NULL };
	static const char *const read_only[] = { "Get*", "List*", "BatchGet*",
		"Describe*", NULL };
	static const char *const full[] = { "*", NULL };
	static const char *const none[] = { NULL };
	static const char *const *const of[] = { [ROLE_SMTP] = smtp,
		[ROLE_SEND] = send, [ROLE_READ_ONLY] = read_only,
		[ROLE_FULL] = full, [ROLE_NONE] = none };
	const char *const *v = of[r];
	struct bytes	   name = bytes_from(bytes_of(action), 4);

	while (*v != NULL && !glob_matches(bytes_of(*v), name, 0))
		v++;
	return *v != NULL;
}

/* What the documents (NULL: none) say together: a Deny wins. */
static void
documents_judge(const struct documents *s, const struct policy_request *r,
    struct permission_verdict *out)
{
	struct policy_finding f;
	unsigned	      i;

	for (i = 0; s != NULL && i < s->n; i++) {
		f = (struct policy_finding){ .effect = POLICY_DENY };
		if (s->v[i].policy != NULL)
			policy_judge(s->v[i].policy, r, &f);
		if (f.effect == POLICY_DENY || (f.effect == POLICY_ALLOW &&
			out->finding.effect == POLICY_NONE)) {
			out->finding = f;
			out->policy = s->v[i].name;
		}
		if (f.effect == POLICY_DENY)
			return;
	}
}

static bool
cover_on_identity(void *cover, const struct identity *i)
{
	struct cover *l = cover;

	bytes_text(bytes_of(i->name), l->names[l->n], IDENTITY_NAME_SIZE);
	l->v[l->n] = (struct policy_resource){ l->owner,
		bytes_of(l->names[l->n]) };
	return ++l->n < COVER_MAX;
}

/* Step 1 of 7.5: the principal's own documents. */
static bool
ask_credential(struct permissions *c, const struct permission_question *q,
    const struct policy_request *r, struct permission_verdict *out)
{
	if (q->credential == NULL)
		return true;
	bytes_text(bytes_of(q->credential->name), out->of, sizeof(out->of));
	out->by = PERMISSION_ROLE;
	documents_judge(documents_of_credential(c, q->credential), r, out);
	if (out->policy != NULL)
		out->by = PERMISSION_CREDENTIAL;
	return out->finding.effect == POLICY_ALLOW ||
	    (out->finding.effect == POLICY_NONE &&
		role_allows(q->credential->role, r->action));
}

/* Step 2: the most specific identity that has something to say. */
static int
ask_identities(struct permissions *c, const struct permission_question *q,
    const struct policy_request *r, const struct cover *l,
    struct permission_verdict *out, struct err *e)
{
	const struct documents *s;
	size_t			i;

	for (i = 0; i < l->n; i++) {
		s = documents_of_identity(c, q, l->names[i], e);
		if (s == NULL)
			return -1;
		documents_judge(s, r, out);
		if (out->finding.effect == POLICY_NONE)
			continue;
		out->by = PERMISSION_IDENTITY;
		memcpy(out->of, l->names[i], sizeof(out->of));
		out->permitted = out->finding.effect == POLICY_ALLOW;
		return 1;
	}
	return 0;
}

static int
ask_documents(struct permissions *c, const struct permission_question *q,
    struct permission_verdict *out, struct err *e)
{
	struct cover	     *l = &c->cover;
	struct policy_request r = *q->request;
	struct identity	      room;
	int		      rc;

	l->owner = q->owner;
	l->n = 0;
	rc = identity_each_covering(q->txn, q->owner, q->address,
	    q->request->now, &room, cover_on_identity, l, e) < 0 ? -1 : 0;
	r.resources = l->v;
	r.resource_count = l->n;
	if (rc == 0 && ask_credential(c, q, &r, out)) {
		memset(out, 0, sizeof(*out));
		rc = ask_identities(c, q, &r, l, out, e);
		if (rc == 0) {
			out->by = PERMISSION_OWNER;
			out->permitted = strcmp(q->owner,
			    q->request->account) == 0;
		}
	}
	return rc < 0 ? -1 : 0;
}

int
permission_ask(struct permissions *c, const struct permission_question *q,
    struct permission_verdict *out, struct err *e)
{
	bool own = strcmp(q->owner, q->request->account) == 0;
	int  asked = permission_needs_values(c, q, e);

	memset(out, 0, sizeof(*out));
	if (asked != 0)
		return asked < 0 ? -1 : ask_documents(c, q, out, e);
	if (q->credential != NULL && !role_allows(q->credential->role,
	    q->request->action)) {
		bytes_text(bytes_of(q->credential->name), out->of,
		    sizeof(out->of));
		out->by = PERMISSION_ROLE;
		return 0;
	}
	out->by = PERMISSION_OWNER;
	out->permitted = own;
	return 0;
}

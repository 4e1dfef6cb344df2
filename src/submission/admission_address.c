/* SPDX-License-Identifier: ISC */
/* The addresses of a message that are checked, and the identities that let
 * them send (identities-and-policies.md 6, 8). */
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "mail/address.h"
#include "registry/policy.h"
#include "submission/admission_private.h"

/* -- step 5: the address fields ------------------------------------------- */

static int
ask_add_role(struct asking *k, enum admission_part part, struct bytes address,
    struct bytes name)
{
	struct admission      *a = k->out;
	struct admission_role *v;

	if (a->role_count == k->roles_room) {
		k->roles_room = k->roles_room == 0 ? 4 : k->roles_room * 2;
		v = arena_alloc(k->q->arena, k->roles_room * sizeof(*v));
		if (v == NULL)
			return ask_no_memory(k);
		if (a->role_count > 0)
			memcpy(v, a->roles, a->role_count * sizeof(*v));
		a->roles = v;
	}
	a->roles[a->role_count++] = (struct admission_role){ .part = part,
		.address = address, .name = name, .identity = BYTES("") };
	return ASK_ON;
}

/* The mailboxes of one field as roles; at most max of them. */
static int
ask_read_field(struct asking *k, const char *name, enum admission_part part,
    size_t max, unsigned flags)
{
	struct field	   *f = header_find(k->q->header, name);
	struct mailbox_list list;
	struct bytes	    normal;
	char		    text[ADDRESS_TEXT_MAX];
	size_t		    i;

	if (f == NULL)
		return ASK_ON;
	switch (mailbox_list_parse(f->value, flags, k->q->arena, &list)) {
	case MAILBOX_OK:
		break;
	case MAILBOX_NO_MEMORY:
		return ask_no_memory(k);
	case MAILBOX_SYNTAX:
	case MAILBOX_TOO_MANY:
		return ask_invalid(k, name);
	}
	if (list.n > max)
		return ask_invalid(k, name);
	for (i = 0; i < list.n; i++) {
		normal = arena_bytes(k->q->arena,
		    address_normal(&list.v[i].address, text));
		if (normal.p == NULL)
			return ask_no_memory(k);
		if (ask_add_role(k, part, normal, list.v[i].name) < 0)
			return ASK_FAILED;
	}
	return ASK_ON;
}

static const struct admission_role *
ask_first(const struct asking *k, enum admission_part part)
{
	size_t i;

	for (i = 0; i < k->out->role_count; i++)
		if (k->out->roles[i].part == part)
			return &k->out->roles[i];
	return NULL;
}

static int
ask_read_from(struct asking *k, unsigned flags)
{
	const struct conf *c = k->q->conf;
	struct bytes	   sender = k->q->message->sender;

	if (header_find(k->q->header, "From") != NULL)
		return ask_read_field(k, "From", PART_FROM, MAILBOX_LIST_MAX,
		    flags);
	if (c->message.missing_from == CONF_MISSING_FROM_REJECT ||
	    sender.n == 0)
		return ask_refuse(k, 554, "5.6.0",
		    "Transaction failed: Missing required header 'From'.");
	/* it will be added */
	return ask_add_role(k, PART_FROM, sender, BYTES(""));
}

int
ask_read_addresses(struct asking *k)
{
	unsigned flags = conf_address_flags(k->q->conf);
	int	 rc = ASK_ON;

	if (k->q->message->sender.n > 0)
		rc = ask_add_role(k, PART_SOURCE, k->q->message->sender,
		    BYTES(""));
	k->from_first = k->out->role_count;
	if (rc == ASK_ON)
		rc = ask_read_from(k, flags);
	k->from_count = k->out->role_count - k->from_first;
	if (rc == ASK_ON)
		k->out->from = k->out->roles[k->from_first].address;
	if (rc == ASK_ON)
		rc = ask_read_field(k, "Sender", PART_FROM, 1, flags);
	if (rc == ASK_ON)
		rc = ask_read_field(k, "Return-Path", PART_RETURN_PATH, 1,
		    flags | MAILBOX_ALLOW_NULL);
	if (rc != ASK_ON)
		return rc;
	k->out->forward = ask_first(k, PART_RETURN_PATH) != NULL ?
	    ask_first(k, PART_RETURN_PATH)->address : k->q->message->sender;
	return ASK_ON;
}

/* -- step 7: ARNs -------------------------------------------------------- */

int
ask_read_arns(struct asking *k)
{
	static const char *const names[ADMISSION_PARTS] = {
		[PART_SOURCE] = "X-SES-SOURCE-ARN",
		[PART_FROM] = "X-SES-FROM-ARN",
		[PART_RETURN_PATH] = "X-SES-RETURN-PATH-ARN" };
	struct bytes account, name;
	int	     i;

	for (i = 0; i < ADMISSION_PARTS; i++) {
		if (ask_header_value(k, names[i], &k->arn[i]) != ASK_ON)
			return ASK_FAILED;
		if (header_find(k->q->header, names[i]) != NULL &&
		    !policy_identity_from_arn(k->arn[i], &account,
			&name))
			return ask_invalid(k, names[i]);
	}
	if (k->arn[PART_FROM].n == 0)
		k->arn[PART_FROM] = k->arn[PART_SOURCE];
	if (k->arn[PART_RETURN_PATH].n == 0)
		k->arn[PART_RETURN_PATH] = k->arn[PART_SOURCE];
	return ASK_ON;
}

/* -- step 8: identities --------------------------------------------------- */

/* Does this very identity cover the address? */
static bool
identity_covers(const struct identity *i, struct bytes address)
{
	struct address a;
	struct bytes   name = bytes_of(i->name), base;

	if (!address_split(address, &a))
		return false;
	if (!i->is_address)
		return domain_is_within(a.domain, name);
	if (bytes_eq(name, address))
		return true;
	/* base@domain for base+label@domain */
	return address_base(&a, &base) && name.n == base.n + 1 + a.domain.n &&
	    bytes_eq(bytes_head(name, base.n), base) &&
	    name.p[base.n] == '@' &&
	    bytes_eq(bytes_from(name, base.n + 1), a.domain);
}

/* The account is one of those whose identities are used: 1; 0 = there is no
 * such account, or it is closed; -1. */
static int
ask_add_owner(struct asking *k, const char *id)
{
	struct admission_owner *o;
	struct account		a;
	size_t			i;
	int			found;

	for (i = 0; i < k->owner_count; i++)
		if (strcmp(k->owners[i].id, id) == 0)
			return 1;
	found = account_get(k->q->txn, id, &a, k->e);
	if (found <= 0 || a.closed.ms != 0)
		return found < 0 ? -1 : 0;
	must(k->owner_count < sizeof(k->owners) / sizeof(k->owners[0]));
	o = &k->owners[k->owner_count++];
	bytes_text(bytes_of(id), o->id, sizeof(o->id));
	o->production = a.production;
	return 1;
}

/* 1 = the identity named by the ARN lets the address send, 0 = it does not.
 * Whether one of another account may be used says its policy. */
static int
ask_by_arn(struct asking *k, struct bytes arn, struct bytes address,
    struct identity *id)
{
	struct bytes account, name;
	char	     owner[ACCOUNT_ID_SIZE], text[IDENTITY_NAME_SIZE];
	struct err   why;
	int	     rc;

	if (!policy_identity_from_arn(arn, &account, &name) ||
	    name.n >= sizeof(text) ||
	    !identity_normalize(bytes_text(name, text, sizeof(text)), text,
		&why))
		return 0;
	bytes_text(account, owner, sizeof(owner));
	rc = identity_get(k->q->txn, owner, text, id, k->e);
	if (rc <= 0)
		return rc;
	if (!identity_may_send(id, k->q->now) || !identity_covers(id, address))
		return 0;
	return ask_add_owner(k, owner);
}

/* One address, and the same ARN is asked for it. */
static bool
is_same_role(const struct asking *k, const struct admission_role *a,
    const struct admission_role *b)
{
	return bytes_eq(a->address, b->address) &&
	    bytes_eq(k->arn[a->part], k->arn[b->part]);
}

const struct admission_role *
ask_same_role(const struct asking *k, const struct admission_role *role)
{
	const struct admission_role *r;

	for (r = k->out->roles; r < role; r++)
		if (is_same_role(k, r, role))
			return r;
	return NULL;
}

static int
ask_role(struct asking *k, struct admission_role *role)
{
	const struct admission_question *q = k->q;
	const struct admission_role	*same = ask_same_role(k, role);
	struct bytes			 arn = k->arn[role->part];
	struct identity			 id;
	int				 rc;

	if (same != NULL) {
		memcpy(role->owner, same->owner, sizeof(role->owner));
		role->identity = same->identity;
		return role->identity.n > 0;
	}
	if (arn.n > 0)
		rc = ask_by_arn(k, arn, role->address, &id);
	else
		rc = identity_resolve(q->txn, q->account->id, role->address,
		    q->now, &id, k->e);
	if (rc <= 0)
		return rc;
	if (is_same_role(k, role, &k->out->roles[k->from_first]))
		k->out->identity = id; /* its settings hold (3.3) */
	memcpy(role->owner, id.account, sizeof(role->owner));
	role->identity = arena_bytes(q->arena, bytes_of(id.name));
	return role->identity.p == NULL ? ask_no_memory(k) : 1;
}

/* The names that failed, as many as the reply line holds, each once. */
struct failed_list {
	char   text[REPLY_TEXT_MAX + 1];
	size_t n, room;
	size_t names; /* where they begin in text */
	/* fits only if it is the last one, else room for ", ..." is needed */
	char   last[ADDRESS_TEXT_MAX];
	size_t last_n;
	bool   cut;
};

static bool
failed_has(const struct failed_list *l, struct bytes name)
{
	struct bytes rest = { l->text + l->names, l->n - l->names };
	ptrdiff_t    at;

	while (rest.n > 0) {
		at = bytes_find(rest, 0, ' ');
		if (bytes_eq(bytes_head(rest,
			at < 0 ? rest.n : (size_t)at - 1), name))
			return true;
		rest = at < 0 ? BYTES("") : bytes_from(rest, (size_t)at + 1);
	}
	return false;
}

static void
failed_append(struct failed_list *l, struct bytes name)
{
	size_t comma = l->n > l->names ? 2 : 0;

	memcpy(l->text + l->n, ", ", comma);
	memcpy(l->text + l->n + comma, name.p, name.n);
	l->n += comma + name.n;
}

static void
failed_add(struct failed_list *l, struct bytes address)
{
	char	     shown[ADDRESS_TEXT_MAX];
	struct bytes name;
	size_t	     i, end;

	for (i = 0; i < address.n && i < sizeof(shown); i++)
		shown[i] = address.p[i] > 0x20 && address.p[i] < 0x7f ?
		    address.p[i] : '?';
	name = (struct bytes){ shown, i };
	if (l->cut || failed_has(l, name) ||
	    (l->last_n > 0 &&
		bytes_eq((struct bytes){ l->last, l->last_n }, name)))
		return;
	end = l->n + (l->n > l->names ? 2 : 0) + name.n;
	if (l->last_n > 0 || end > l->room) {
		l->cut = true;
	} else if (end + 5 > l->room) {
		memcpy(l->last, shown, i);
		l->last_n = i;
	} else {
		failed_append(l, name);
	}
}

/* Completes the text; false = nothing failed. */
static bool
failed_end(struct failed_list *l)
{
	if (l->cut) {
		memcpy(l->text + l->n, ", ...", 5);
		l->n += 5;
	} else if (l->last_n > 0) {
		failed_append(l, (struct bytes){ l->last, l->last_n });
	}
	l->text[l->n] = '\0';
	return l->n > l->names;
}

static void
failed_init(struct failed_list *l, const struct conf *c)
{
	char   region[34];
	size_t i;

	memset(l, 0, sizeof(*l));
	l->room = c->smtp.enhanced_status_codes ? REPLY_TEXT_FIT :
	    REPLY_TEXT_MAX;
	for (i = 0; c->server.region[i] != '\0' && i + 1 < sizeof(region); i++)
		region[i] = ascii_upper(c->server.region[i]);
	region[i] = '\0';
	l->n = l->names = (size_t)snprintf(l->text, sizeof(l->text),
	    "Message rejected: Email address is not verified. The following "
	    "identities failed the check in region %s: ", region);
}

/* Does an identity of one of the accounts cover it? */
static int
ask_covered(struct asking *k, struct bytes address)
{
	struct identity id;
	size_t		i;
	int		rc = 0;

	for (i = 0; i < k->owner_count && rc == 0; i++)
		rc = identity_resolve(k->q->txn, k->owners[i].id, address,
		    k->q->now, &id, k->e);
	return rc;
}

/* All of them, when the sender or an owner is in the sandbox (8.5). */
static int
ask_recipients(struct asking *k, struct failed_list *failed)
{
	const struct envelope *v;
	bool		       sandbox = false;
	unsigned	       i;
	int		       rc;

	for (i = 0; i < k->owner_count; i++)
		sandbox |= !k->owners[i].production;
	for (i = 0; sandbox && i < k->q->message->envelope_count; i++) {
		v = &k->q->message->envelopes[i];
		if (v->simulator || failed->cut)
			continue;
		rc = ask_covered(k, v->address);
		if (rc < 0)
			return ASK_FAILED;
		if (rc == 0)
			failed_add(failed, v->address);
	}
	return ASK_ON;
}

int
ask_identities(struct asking *k)
{
	struct failed_list failed;
	size_t		   i;
	int		   rc;

	failed_init(&failed, k->q->conf);
	bytes_text(bytes_of(k->q->account->id), k->owners[0].id,
	    sizeof(k->owners[0].id));
	k->owners[0].production = k->q->account->production;
	k->owner_count = 1;
	for (i = 0; i < k->out->role_count; i++) {
		rc = ask_role(k, &k->out->roles[i]);
		if (rc < 0)
			return ASK_FAILED;
		if (rc == 0)
			failed_add(&failed, k->out->roles[i].address);
	}
	if (ask_recipients(k, &failed) != ASK_ON)
		return ASK_FAILED;
	return failed_end(&failed) ?
	    ask_refuse(k, 554, "5.7.1", failed.text) : ASK_ON;
}

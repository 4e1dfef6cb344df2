/* SPDX-License-Identifier: ISC */
#include "submission/admission.h"

#include <stdio.h>
#include <string.h>

#include "mail/address.h"
#include "registry/suppression.h"

enum {
	SET_NAME_MAX = 64,
	COVER_MAX = 40 /* identities of one address that a policy is asked
			   about: it, its base, its domain and parents */
};

/* One question on its way. */
struct asking {
	const struct admission_question *q;
	struct admission		*out;
	struct err			*e;
	struct bytes arn[ADMISSION_PARTS]; /* values; "" = none given */
	size_t	     roles_room;
};

/* Steps say 1 = go on, 0 = refused, -1 = no answer. */
enum { ASK_ON = 1, ASK_REFUSED = 0, ASK_FAILED = -1 };

static int
ask_refuse(struct asking *k, unsigned code, const char *enhanced,
    const char *text)
{
	reply_set(&k->out->reply, code, enhanced, "%s", text);
	return ASK_REFUSED;
}

static int
ask_no_memory(struct asking *k)
{
	return err_set(k->e, "a message needs more memory than it may have");
}

/* -- step 5: the address fields ------------------------------------------- */

static int
ask_add_role(struct asking *k, enum admission_part part, struct bytes address)
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
		.address = address, .identity = BYTES("") };
	return ASK_ON;
}

static int
ask_invalid(struct asking *k, const char *name)
{
	reply_set(&k->out->reply, 554, "5.6.0",
	    "Transaction failed: Invalid header '%s'.", name);
	return ASK_REFUSED;
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
		if (ask_add_role(k, part, normal) < 0)
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
	return ask_add_role(k, PART_FROM, sender); /* it will be added */
}

static int
ask_read_addresses(struct asking *k)
{
	unsigned flags = conf_address_flags(k->q->conf);
	int	 rc = ASK_ON;

	if (k->q->message->sender.n > 0)
		rc = ask_add_role(k, PART_SOURCE, k->q->message->sender);
	if (rc == ASK_ON)
		rc = ask_read_from(k, flags);
	if (rc == ASK_ON)
		k->out->from = ask_first(k, PART_FROM)->address;
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

/* -- step 7: control headers ---------------------------------------------- */

static int
ask_header_value(struct asking *k, const char *name, struct bytes *out)
{
	const struct field *f = header_find(k->q->header, name);

	*out = BYTES("");
	if (f == NULL)
		return ASK_ON;
	*out = bytes_trim(header_unfold(f->value, k->q->arena));
	return out->p == NULL ? ask_no_memory(k) : ASK_ON;
}

/* arn:ANY:ses:ANY:ACCOUNT:identity/NAME */
static bool
arn_read(struct bytes arn, struct bytes *account, struct bytes *name)
{
	struct bytes part[5];
	ptrdiff_t    colon;
	size_t	     i;

	for (i = 0; i < 5; i++) {
		colon = bytes_find(arn, 0, ':');
		if (colon < 0)
			return false;
		part[i] = bytes_head(arn, (size_t)colon);
		arn = bytes_from(arn, (size_t)colon + 1);
	}
	*account = part[4];
	for (i = 0; i < account->n; i++)
		if (account->p[i] < '0' || account->p[i] > '9')
			return false;
	if (!bytes_eq_text(part[0], "arn") || !bytes_eq_text(part[2], "ses") ||
	    account->n != ACCOUNT_ID_SIZE - 1 ||
	    !bytes_starts(arn, BYTES("identity/")))
		return false;
	*name = bytes_from(arn, sizeof("identity/") - 1);
	return name->n > 0;
}

static int
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
		    !arn_read(k->arn[i], &account, &name))
			return ask_invalid(k, names[i]);
	}
	if (k->arn[PART_FROM].n == 0)
		k->arn[PART_FROM] = k->arn[PART_SOURCE];
	if (k->arn[PART_RETURN_PATH].n == 0)
		k->arn[PART_RETURN_PATH] = k->arn[PART_SOURCE];
	return ASK_ON;
}

static int
ask_refuse_set(struct asking *k, const char *why, struct bytes name)
{
	char   shown[SET_NAME_MAX + 1];
	size_t i;

	for (i = 0; i < name.n && i < SET_NAME_MAX; i++)
		shown[i] = name.p[i] > 0x20 && name.p[i] < 0x7f ? name.p[i] :
		    '?';
	shown[i] = '\0';
	reply_set(&k->out->reply, 554, "5.7.1", "Message rejected: %s: %s",
	    why, shown);
	return ASK_REFUSED;
}

/* Among the sets of the submitting account. */
static int
ask_find_set(struct asking *k, struct bytes name)
{
	int found = config_set_get(k->q->txn, k->q->account->id, name,
	    &k->out->set, k->e);

	if (found < 0)
		return ASK_FAILED;
	if (found == 0)
		return ask_refuse_set(k, "Configuration set does not exist",
		    name);
	k->out->has_set = true;
	return ASK_ON;
}

/*
 * The set that is named for this message: forced by the credential, by the
 * header, by the credential (configuration-sets 2.1).
 */
static int
ask_read_set(struct asking *k)
{
	const struct credential *c = k->q->credential;
	struct bytes		 of_credential = BYTES(""), named;

	if (c != NULL)
		of_credential = bytes_of(c->limits.config_set);
	if (ask_header_value(k, "X-SES-CONFIGURATION-SET", &named) != ASK_ON)
		return ASK_FAILED;
	if (of_credential.n > 0 &&
	    (c->limits.force_config_set || named.n == 0))
		named = of_credential;
	return named.n > 0 ? ask_find_set(k, named) : ASK_ON;
}

static int
ask_account_switch(struct asking *k)
{
	if (account_may_send(k->q->account))
		return ASK_ON;
	return ask_refuse(k, 554, "5.7.1",
	    "Message rejected: Sending paused for this account.");
}

static int
ask_set_switch(struct asking *k)
{
	if (!k->out->has_set || k->out->set.sending)
		return ASK_ON;
	return ask_refuse_set(k, "Sending paused for this configuration set",
	    bytes_of(k->out->set.name));
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

/* 1 = the identity named by the ARN lets the address send, 0 = it does not */
static int
ask_by_arn(struct asking *k, struct bytes arn, struct bytes address,
    struct identity *id)
{
	struct bytes account, name;
	char	     text[IDENTITY_NAME_SIZE];
	struct err   why;
	int	     rc;

	if (!arn_read(arn, &account, &name) || name.n >= sizeof(text))
		return 0;
	/* of another account: needs its policy, which this release has not */
	if (!bytes_eq_text(account, k->q->account->id))
		return 0;
	if (!identity_normalize(bytes_text(name, text, sizeof(text)), text,
		&why))
		return 0;
	rc = identity_get(k->q->txn, k->q->account->id, text, id, k->e);
	if (rc <= 0)
		return rc;
	return identity_may_send(id, k->q->now) && identity_covers(id, address);
}

static int
ask_role(struct asking *k, struct admission_role *role)
{
	const struct admission_question *q = k->q;
	struct bytes			 arn = k->arn[role->part];
	struct identity			 id;
	int				 rc;

	if (arn.n > 0)
		rc = ask_by_arn(k, arn, role->address, &id);
	else
		rc = identity_resolve(q->txn, q->account->id, role->address,
		    q->now, &id, k->e);
	if (rc <= 0)
		return rc;
	role->identity = arena_bytes(q->arena, bytes_of(id.name));
	return role->identity.p == NULL ? ask_no_memory(k) : 1;
}

bool
admission_is_simulator(const struct conf *c, struct bytes domain)
{
	return bytes_eq_nocase(domain, bytes_of(c->simulator.domain)) ||
	    (c->simulator.ses_domain &&
		bytes_eq_nocase(domain, BYTES("simulator.amazonses.com")));
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
		region[i] = c->server.region[i] >= 'a' &&
		    c->server.region[i] <= 'z' ?
		    (char)(c->server.region[i] - 32) : c->server.region[i];
	region[i] = '\0';
	l->n = l->names = (size_t)snprintf(l->text, sizeof(l->text),
	    "Message rejected: Email address is not verified. The following "
	    "identities failed the check in region %s: ", region);
}

static int
ask_recipients(struct asking *k, struct failed_list *failed)
{
	const struct admission_question *q = k->q;
	const struct envelope		*v;
	struct identity			 id;
	unsigned			 i;
	int				 rc;

	if (q->account->production)
		return ASK_ON;
	for (i = 0; i < q->message->envelope_count; i++) {
		v = &q->message->envelopes[i];
		if (v->simulator || failed->cut)
			continue;
		rc = identity_resolve(q->txn, q->account->id, v->address,
		    q->now, &id, k->e);
		if (rc < 0)
			return ASK_FAILED;
		if (rc == 0)
			failed_add(failed, v->address);
	}
	return ASK_ON;
}

static int
ask_identities(struct asking *k)
{
	struct failed_list failed;
	size_t		   i;
	int		   rc;

	failed_init(&failed, k->q->conf);
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

/* -- step 9: permission --------------------------------------------------- */

char *
admission_user_arn(const struct account *a, const struct credential *c,
    char out[ADMISSION_ARN_MAX])
{
	if (c == NULL)
		snprintf(out, ADMISSION_ARN_MAX, "arn:aws:iam::%s:root", a->id);
	else
		snprintf(out, ADMISSION_ARN_MAX, "arn:aws:iam::%s:user/%s",
		    a->id, c->name);
	return out;
}

char *
admission_identity_arn(const char *region, const char *account,
    struct bytes name, char out[ADMISSION_ARN_MAX])
{
	snprintf(out, ADMISSION_ARN_MAX, "arn:aws:ses:%s:%s:identity/%.*s",
	    region, account, (int)(name.n < 321 ? name.n : 321), name.p);
	return out;
}

static int
ask_deny(struct asking *k, struct bytes identity)
{
	char user[ADMISSION_ARN_MAX], resource[ADMISSION_ARN_MAX];

	admission_user_arn(k->q->account, k->q->credential, user);
	admission_identity_arn(k->q->conf->server.region, k->q->account->id,
	    identity, resource);
	reply_set(&k->out->reply, 554, "5.7.1", "Access denied: User %s is "
	    "not authorized to perform ses:SendRawEmail on resource %s", user,
	    resource);
	return ASK_REFUSED;
}

/* ARNs of all identities that cover an address, as policies are asked. */
struct cover_list {
	char	   *v[COVER_MAX];
	size_t	    n;
};

/* 1 = in the list or no such identity, -1 = no answer */
static int
cover_add(struct asking *k, struct cover_list *l, struct bytes name)
{
	char		text[IDENTITY_NAME_SIZE], arn[ADMISSION_ARN_MAX];
	struct identity id;
	int		rc;

	if (l->n == COVER_MAX || name.n >= sizeof(text))
		return 1;
	bytes_text(name, text, sizeof(text));
	rc = identity_get(k->q->txn, k->q->account->id, text, &id, k->e);
	if (rc < 0)
		return -1;
	if (rc == 0 || !identity_may_send(&id, k->q->now))
		return 1;
	l->v[l->n] = arena_text(k->q->arena,
	    bytes_of(admission_identity_arn(k->q->conf->server.region,
		k->q->account->id, name, arn)));
	if (l->v[l->n] == NULL)
		return ask_no_memory(k);
	l->n++;
	return 1;
}

static int
cover_read(struct asking *k, struct bytes address, struct cover_list *l)
{
	struct address a;
	struct bytes   base, d;
	char	       text[ADDRESS_TEXT_MAX * 2];
	int	       n;

	l->n = 0;
	if (!address_split(address, &a))
		return 1;
	if (cover_add(k, l, address) < 0)
		return -1;
	if (address_base(&a, &base)) {
		n = snprintf(text, sizeof(text), "%.*s@%.*s", (int)base.n,
		    base.p, (int)a.domain.n, a.domain.p);
		if (cover_add(k, l, (struct bytes){ text, (size_t)n }) < 0)
			return -1;
	}
	for (d = a.domain;; ) {
		if (cover_add(k, l, d) < 0)
			return -1;
		if (!domain_parent(d, &d))
			return 1;
	}
}

/* The role's document alone needs one question; own policies may name any of
 * the identities that cover the address. */
static int
ask_policy(struct asking *k, const struct admission_role *role)
{
	const struct credential *c = k->q->credential;
	struct cover_list	 l;
	char			 arn[ADMISSION_ARN_MAX];
	bool			 may;

	if (c->policy_count == 0) {
		may = credential_may_send(c, admission_identity_arn(
		    k->q->conf->server.region, k->q->account->id,
		    role->identity, arn));
		return may ? ASK_ON : ask_deny(k, role->identity);
	}
	if (cover_read(k, role->address, &l) < 0)
		return ASK_FAILED;
	may = credential_may_send_any(c, (const char *const *)l.v, l.n);
	return may ? ASK_ON : ask_deny(k, role->identity);
}

static bool
globs_match(const char (*globs)[256], unsigned n, struct bytes address)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (credential_glob_matches(bytes_of(globs[i]), address))
			return true;
	return n == 0;
}

static int
ask_restrictions(struct asking *k, const struct admission_role *role)
{
	const struct credential_restrictions *r = &k->q->credential->limits;
	const struct message		     *m = k->q->message;
	unsigned			      i;

	if (role->part != PART_RETURN_PATH &&
	    !globs_match(r->from, r->from_count, role->address))
		return ask_deny(k, role->identity);
	for (i = 0; r->rcpt_count > 0 && i < m->envelope_count; i++)
		if (!globs_match(r->rcpt, r->rcpt_count,
			m->envelopes[i].address))
			return ask_deny(k, role->identity);
	return ASK_ON;
}

static int
ask_permission(struct asking *k)
{
	size_t i;
	int    rc = ASK_ON;

	if (k->q->credential == NULL)
		return ASK_ON; /* root may do everything */
	for (i = 0; i < k->out->role_count && rc == ASK_ON; i++) {
		rc = ask_policy(k, &k->out->roles[i]);
		if (rc == ASK_ON)
			rc = ask_restrictions(k, &k->out->roles[i]);
	}
	return rc;
}

/* -- step 10: what the settings identity says ----------------------------- */

/* The default of the identity, unless a set was named (2.3).  Another
 * account's identity lends its default to nobody. */
static int
ask_default_set(struct asking *k)
{
	const struct identity *i = &k->out->identity;
	int		       rc;

	if (k->out->has_set || i->config_set[0] == '\0' ||
	    strcmp(i->account, k->q->account->id) != 0)
		return ASK_ON;
	rc = ask_find_set(k, bytes_of(i->config_set));
	return rc == ASK_ON ? ask_set_switch(k) : rc;
}

/* Who is on a suppression list is accepted, and marked for delivery, which
 * looks again. */
static int
ask_lists(struct asking *k)
{
	const struct admission_question *q = k->q;
	struct suppression_question	 s;
	enum suppression_answer		 answer;
	struct envelope			*v;
	unsigned			 i;

	/* without a set its id is that of none */
	if (suppression_ask(q->txn, q->account->id, &k->out->set.id, q->conf,
		q->now, &s, k->e) < 0)
		return ASK_FAILED;
	for (i = 0; i < q->message->envelope_count; i++) {
		v = &q->message->envelopes[i];
		s.address = v->address;
		if (v->simulator)
			continue;
		if (suppression_check(q->txn, &s, &answer, k->e) < 0)
			return ASK_FAILED;
		v->suppressed = answer != SUPPRESSION_NONE;
	}
	return ASK_ON;
}

static int
ask_settings(struct asking *k)
{
	const struct admission_question *q = k->q;
	struct admission		*a = k->out;
	int				 rc;

	rc = identity_resolve(q->txn, q->account->id, a->from, q->now,
	    &a->identity, k->e);
	if (rc < 0)
		return ASK_FAILED;
	if (rc == 0)
		return err_set(k->e, "an identity went during its check");
	rc = ask_default_set(k);
	if (rc != ASK_ON)
		return rc;
	if (ask_lists(k) != ASK_ON)
		return ASK_FAILED;
	a->cannot_sign = identity_signing(q->txn, q->account->id, a->from,
	    &a->signing, &a->key, k->e) < 0;
	return a->cannot_sign ? ASK_FAILED : ASK_ON;
}

int
admission_ask(const struct admission_question *q, struct admission *out,
    struct err *e)
{
	static int (*const steps[])(struct asking *) = {
		ask_read_addresses, ask_read_arns, ask_read_set,
		ask_account_switch, ask_set_switch, ask_identities,
		ask_permission, ask_settings };
	struct asking k = { .q = q, .out = out, .e = e };
	size_t	      i;
	int	      rc = ASK_ON;

	memset(out, 0, sizeof(*out));
	for (i = 0; rc == ASK_ON && i < sizeof(steps) / sizeof(steps[0]); i++)
		rc = steps[i](&k);
	return rc == ASK_FAILED ? -1 : 0;
}

/* What a queued message keeps of its set (configuration-sets 2.5). */
static bool
apply_set(const struct config_set *s, struct message *m)
{
	m->config_set_id = s->id;
	m->tls_policy = s->require_tls ? MESSAGE_TLS_REQUIRE
				       : MESSAGE_TLS_CONFIGURED;
	m->max_delivery_ms = (int64_t)s->max_delivery_s * 1000;
	return message_set(m, &m->config_set, bytes_of(s->name)) &&
	    message_set(m, &m->pool, bytes_of(s->pool));
}

bool
admission_apply(const struct admission_question *q, const struct admission *a,
    struct message *m)
{
	struct address from;
	/* a null sender goes out as one: nothing may come back */
	const char *mail_from = m->sender.n == 0 ? "" :
	    q->conf->mail_from.default_domain;

	must(a->reply.code == 0 && address_split(a->from, &from));
	return message_set(m, &m->identity, bytes_of(a->identity.name)) &&
	    message_set(m, &m->identity_account,
		bytes_of(a->identity.account)) &&
	    message_set(m, &m->from_domain, from.domain) &&
	    message_set(m, &m->forward, a->forward) &&
	    (!a->has_set || apply_set(&a->set, m)) &&
	    message_set(m, &m->mail_from_domain, bytes_of(mail_from));
}

/* -- limits --------------------------------------------------------------- */

void
admission_limits(const struct account *a, const struct credential *c,
    struct quota_limits *out)
{
	quota_limits_init(out);
	bytes_text(bytes_of(a->id), out->account, sizeof(out->account));
	out->account_values = (struct quota_values){ a->max_24h, a->rate,
		a->burst };
	if (c == NULL)
		return;
	bytes_text(bytes_of(c->name), out->credential,
	    sizeof(out->credential));
	out->credential_values = (struct quota_values){ c->limits.max_24h,
		c->limits.rate, 0 };
}

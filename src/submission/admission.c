/* SPDX-License-Identifier: ISC */
#include <string.h>

#include "mail/address.h"
#include "registry/suppression.h"
#include "submission/admission_private.h"

enum { SET_NAME_MAX = 64 };

int
ask_refuse(struct asking *k, unsigned code, const char *enhanced,
    const char *text)
{
	reply_set(&k->out->reply, code, enhanced, "%s", text);
	return ASK_REFUSED;
}

int
ask_no_memory(struct asking *k)
{
	return err_set(k->e, "a message needs more memory than it may have");
}

int
ask_invalid(struct asking *k, const char *header)
{
	reply_set(&k->out->reply, 554, "5.6.0",
	    "Transaction failed: Invalid header '%s'.", header);
	return ASK_REFUSED;
}

int
ask_header_value(struct asking *k, const char *name, struct bytes *out)
{
	const struct field *f = header_find(k->q->header, name);

	*out = BYTES("");
	if (f == NULL)
		return ASK_ON;
	*out = bytes_trim(header_unfold(f->value, k->q->arena));
	return out->p == NULL ? ask_no_memory(k) : ASK_ON;
}

/* -- step 7: configuration sets -------------------------------------------- */

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

/* Where its own domain is wanted or nothing (mail-from 5.4).  A null sender
 * stays one: no domain is needed. */
static int
ask_mail_from(struct asking *k)
{
	struct admission *a = k->out;

	if (k->q->message->sender.n == 0)
		return ASK_ON;
	if (mail_from_choose(k->q->txn, a->identity.account, a->from,
		k->q->now, &a->mail_from, k->e) < 0)
		return ASK_FAILED;
	if (a->mail_from.use != MAIL_FROM_REFUSED)
		return ASK_ON;
	reply_set(&a->reply, 554, "5.7.1", "Message rejected: MAIL FROM "
	    "domain %s is not verified", a->mail_from.domain);
	return ASK_REFUSED;
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

	suppression_question_init(&s, q->conf, q->now);
	s.account = q->account->id;
	s.account_reasons = suppression_reasons_of(q->account);
	if (k->out->has_set)
		suppression_take_set(&s, &k->out->set);
	k->out->lists_seen = suppression_stamp(q->version, q->conf);
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

/* dkim.md 4.1, 5.5 */
static int
ask_signing(struct asking *k)
{
	const struct conf	      *c = k->q->conf;
	struct admission	      *a = k->out;
	const struct signing_question s = { k->q->txn, a->identity.account,
		a->from, c->dkim.dual_sign };
	struct address from;

	if (identity_signing(&s, &a->signing, k->e) < 0) {
		a->cannot_sign = true;
		return ASK_FAILED;
	}
	if (a->signing.result == SIGNING_KEY || !c->dkim.require_signature)
		return ASK_ON;
	must(address_split(a->from, &from));
	reply_set(&a->reply, 554, "5.7.1", "Message rejected: DKIM signing is "
	    "not available for %.*s", (int)from.domain.n, from.domain.p);
	return ASK_REFUSED;
}

static int
ask_settings(struct asking *k)
{
	int rc;

	rc = ask_default_set(k);
	if (rc == ASK_ON)
		rc = ask_mail_from(k);
	if (rc != ASK_ON)
		return rc;
	if (ask_lists(k) != ASK_ON)
		return ASK_FAILED;
	return ask_signing(k);
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

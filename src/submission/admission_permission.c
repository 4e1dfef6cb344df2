/* SPDX-License-Identifier: ISC */
/* May the credential send as these addresses: policies
 * (identities-and-policies.md 7.5), restrictions (credentials.md 9.2). */
#include <stdio.h>

#include "registry/glob.h"
#include "registry/permission.h"
#include "submission/admission_private.h"

/* -- names ---------------------------------------------------------------- */

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

/* -- what policies may ask about ------------------------------------------ */

static bool
values_of_from(const struct asking *k, struct policy_request *r)
{
	size_t	      n = k->from_count, i;
	struct bytes *from = arena_alloc(k->q->arena, n * sizeof(*from));
	struct bytes *names = arena_alloc(k->q->arena, n * sizeof(*names));
	const struct admission_role *role = &k->out->roles[k->from_first];
	struct buf		     text;
	bool ok = from != NULL && names != NULL;

	for (i = 0; ok && i < n; i++) {
		from[i] = role[i].address;
		/* an octet becomes three at most */
		buf_init(&text, role[i].name.n * 3);
		ok = header_read_phrase(role[i].name, &text);
		names[i] = arena_bytes(k->q->arena, bytes_trim(
		    buf_bytes(&text)));
		ok = ok && names[i].p != NULL;
		buf_wipe(&text);
	}
	r->from = (struct policy_list){ from, n };
	r->names = (struct policy_list){ names, n };
	return ok;
}

static bool
values_of_recipients(const struct asking *k, struct policy_request *r)
{
	const struct message *m = k->q->message;
	struct bytes	     *v = arena_alloc(k->q->arena,
		m->envelope_count * sizeof(*v));
	unsigned	      i;

	for (i = 0; v != NULL && i < m->envelope_count; i++)
		v[i] = m->envelopes[i].address;
	r->recipients = (struct policy_list){ v, m->envelope_count };
	return v != NULL;
}

/* The values of the keys, once a message and only if a document may ask. */
static int
ask_values(struct asking *k, struct policy_request *r)
{
	if (r->recipients.n > 0)
		return ASK_ON;
	r->feedback = k->out->forward;
	r->secure = k->q->is_local || k->q->message->tls_version.n > 0;
	r->has_source = conf_cidr_parse(k->q->message->client_ip, &r->source);
	return values_of_from(k, r) && values_of_recipients(k, r) ? ASK_ON :
	    ask_no_memory(k);
}

/* -- step 9 --------------------------------------------------------------- */

static int
ask_deny(struct asking *k, const struct admission_role *role)
{
	char user[ADMISSION_ARN_MAX], resource[ADMISSION_ARN_MAX];

	admission_user_arn(k->q->account, k->q->credential, user);
	admission_identity_arn(k->q->conf->server.region, role->owner,
	    role->identity, resource);
	reply_set(&k->out->reply, 554, "5.7.1", "Access denied: User %s is "
	    "not authorized to perform ses:SendRawEmail on resource %s", user,
	    resource);
	return ASK_REFUSED;
}

static int
ask_policies(struct asking *k, const struct admission_role *role,
    struct policy_request *r)
{
	struct permission_question q = { .txn = k->q->txn,
		.version = k->q->version, .credential = k->q->credential,
		.owner = role->owner, .address = role->address,
		.request = r };
	struct permission_verdict  v;
	int needs = permission_needs_values(k->q->permissions, &q, k->e);

	if (needs < 0 || (needs > 0 && ask_values(k, r) != ASK_ON) ||
	    permission_ask(k->q->permissions, &q, &v, k->e) < 0)
		return ASK_FAILED;
	return v.permitted ? ASK_ON : ask_deny(k, role);
}

static bool
globs_match(const char (*globs)[256], unsigned n, struct bytes address)
{
	unsigned i;

	for (i = 0; i < n; i++)
		if (glob_matches_address(bytes_of(globs[i]), address))
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
		return ask_deny(k, role);
	for (i = 0; r->rcpt_count > 0 && i < m->envelope_count; i++)
		if (!globs_match(r->rcpt, r->rcpt_count,
			m->envelopes[i].address))
			return ask_deny(k, role);
	return ASK_ON;
}

int
ask_permission(struct asking *k)
{
	const struct credential *c = k->q->credential;
	struct policy_request	 r = { .action = "ses:SendRawEmail",
		.account = k->q->account->id,
		.user = c != NULL ? c->name : NULL,
		.region = k->q->conf->server.region, .now = k->q->now };
	size_t i;
	int    rc = ASK_ON;

	for (i = 0; i < k->out->role_count && rc == ASK_ON; i++) {
		if (ask_same_role(k, &k->out->roles[i]) == NULL)
			rc = ask_policies(k, &k->out->roles[i], &r);
		if (rc == ASK_ON && c != NULL)
			rc = ask_restrictions(k, &k->out->roles[i]);
	}
	return rc;
}

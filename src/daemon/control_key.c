/* SPDX-License-Identifier: ISC */
/* Identities and keys: what all of their commands need. */
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/log.h"
#include "daemon/control_identity.h"

static void identity_make_one(struct request *q);
static void identity_make_next(struct request *q);

/* -- the work -------------------------------------------------------------- */

static void
identity_work_wipe(void *work)
{
	mem_wipe(work, sizeof(struct identity_work));
}

struct identity_work *
identity_work_new(struct request *q)
{
	struct identity_work *w;
	const char	     *name = arg_text(q, "name");

	if (name == NULL) {
		(void)request_misuse(q, "which identity?");
		return NULL;
	}
	w = request_state(q, sizeof(*w), identity_work_wipe);
	if (identity_normalize(name, w->name, &q->err))
		return w;
	q->err.code = BOOK_BAD_REQUEST;
	return NULL;
}

int
identity_work_load(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	int found = identity_get(t, q->account.id, w->name, &w->i, &q->err);

	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such identity: %s", w->name);
	if (found < 0)
		return -1;
	memset(&w->ks, 0, sizeof(w->ks));
	if (w->i.is_address)
		return 0;
	return identity_keys_load(t, q->account.id, w->name, &w->ks, &q->err) <
		0 ? -1 : 0;
}

int
identity_work_store(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;

	if (identity_put(t, &w->i, &q->err) < 0 ||
	    identity_keys_store(t, &w->ks, &q->err) < 0)
		return -1;
	return 0;
}

void
identity_input(const struct request *q, struct identity_check_input *in)
{
	identity_check_input_init(in, q->conf, q->now);
}

int
arg_bits(struct request *q, unsigned *bits)
{
	int64_t n = 0;
	int	rc = arg_int(q, "bits", 1024, 2048, &n);

	*bits = q->conf->dkim.default_bits;
	if (rc == 1 && n != 1024 && n != 2048)
		return request_refuse(q, BOOK_BAD_REQUEST, "the input you "
		    "provided is invalid: the DKIM signing key length is 1024 "
		    "or 2048");
	if (rc == 1)
		*bits = (unsigned)n;
	return rc;
}

/* -- keys that the command begins with ------------------------------------- */

static void
identity_end_keyless(struct request *q, const char *reason)
{
	if (q->conf->store.master_key == NULL)
		reason = "no master key configured (store.master_key)";
	request_end_refused(q, BOOK_BAD_REQUEST, "%s",
	    reason != NULL && reason[0] != '\0' ? reason
						: "no key could be made");
}

static void
identity_on_fresh(void *request, const struct dkim_key *k,
    const char *reason)
{
	struct request	     *q = request;
	struct identity_work *w = q->state;

	if (k == NULL) {
		identity_end_keyless(q, reason);
		return;
	}
	w->fresh.v[w->fresh.n++] = *k;
	identity_make_one(q);
}

static void
identity_make_one(struct request *q)
{
	struct identity_work *w = q->state;
	struct dkim_key	      wanted;

	if (w->fresh.n == w->wanted) {
		w->next(q);
		return;
	}
	memset(&wanted, 0, sizeof(wanted));
	memcpy(wanted.account, q->account.id, sizeof(wanted.account));
	snprintf(wanted.domain, sizeof(wanted.domain), "%.253s", w->name);
	wanted.bits = w->bits;
	relay_make_key(q->relay, &wanted, identity_on_fresh, q);
}

void
identity_make_fresh(struct request *q, unsigned count, unsigned bits,
    request_fn *next)
{
	struct identity_work *w = q->state;

	if (q->conf->store.master_key == NULL) {
		identity_end_keyless(q, NULL);
		return;
	}
	w->fresh.n = 0;
	w->wanted = count;
	w->bits = bits;
	w->next = next;
	identity_make_one(q);
}

static void
identity_on_imported(void *request, const struct keys_answer *a)
{
	struct request	     *q = request;
	struct identity_work *w = q->state;
	struct dkim_key	     *k = &w->fresh.v[0];

	if (a->result != KEYS_OK || a->public_n > sizeof(k->public_key) ||
	    a->sealed_n > sizeof(k->sealed)) {
		identity_end_keyless(q, a->reason);
		return;
	}
	memcpy(k->public_key, a->public_key, a->public_n);
	k->public_n = a->public_n;
	memcpy(k->sealed, a->sealed, a->sealed_n);
	k->sealed_n = a->sealed_n;
	k->bits = a->bits;
	k->ed25519 = a->bits == DKIM_ED25519_BITS;
	k->created = q->now;
	w->fresh.n = 1;
	if (k->ed25519 && !signer_has_ed25519()) {
		identity_end_keyless(q, "the linked libopendkim has no "
		    "Ed25519 (RFC 8463)");
		return;
	}
	w->next(q);
}

/* The selector in the form that is kept: the key is sealed for it. */
static int
identity_take_selector(struct request *q, struct dkim_key *k)
{
	const char *selector = arg_text(q, "selector");
	size_t	    n;

	if (selector == NULL || !selector_is_valid(selector))
		return request_refuse(q, BOOK_BAD_REQUEST, "selector must be "
		    "1 to 63 letters, digits or inner hyphens");
	for (n = 0; selector[n] != '\0'; n++)
		k->selector[n] = ascii_lower(selector[n]);
	k->selector[n] = '\0';
	return 0;
}

void
identity_import_fresh(struct request *q, request_fn *next)
{
	struct identity_work *w = q->state;
	struct dkim_key	     *k = &w->fresh.v[0];
	struct keys_import    import;
	int64_t		      index = -1;

	memset(k, 0, sizeof(*k));
	memcpy(k->account, q->account.id, sizeof(k->account));
	snprintf(k->domain, sizeof(k->domain), "%.253s", w->name);
	k->external = true;
	if (identity_take_selector(q, k) != 0) {
		request_end(q);
		return;
	}
	if (arg_int(q, "key-file", 0, CONTROL_FDS_MAX - 1, &index) < 0 ||
	    (import.fd = request_take_fd(q, index)) < 0) {
		(void)request_misuse(q, "--key-file is needed");
		request_end(q);
		return;
	}
	import.domain = k->domain;
	import.selector = k->selector;
	import.min_bits = q->conf->dkim.min_rsa_bits;
	import.max_bits = q->conf->dkim.max_rsa_bits;
	w->next = next;
	if (q->relay->keys == NULL || keys_client_import(q->relay->keys,
		&import, identity_on_imported, q) == 0)
		identity_end_keyless(q, "the keys process is not running");
}

/* -- keys that a command asks for: a new standby --------------------------- */

static void
identity_finish_answer(struct request *q)
{
	struct identity_work *w = q->state;
	char		      names[BULLETIN_DATA_MAX];

	if (w->d.zone_changed) {
		log_warn("dkim-zone-change", "account=%s domain=%s",
		    q->account.id, w->name);
		(void)reporter_post_news(q->relay->reporter,
		    &(struct bulletin_news){ "DKIM Zone Change",
		    q->account.id, w->name, identity_zone_names(&w->ks,
		    q->conf->dkim.cname_base, names, sizeof(names)) });
	}
	(void)reporter_post_check(q->relay->reporter);
	if (w->show && w->i.external)
		identity_warn_alone(q, &w->ks);
	if (w->show)
		request_set(q, "Records",
		    identity_records_json(q, &w->i, &w->ks));
	request_end(q);
}

static int
identity_standby_write(struct request *q, struct db_txn *t)
{
	struct identity_work	   *w = q->state;
	struct identity_check_input in;
	struct identity_decision    d;

	identity_input(q, &in);
	if (identity_work_load(q, t) != 0)
		return -1;
	if (!identity_add_standby(&w->i, &w->ks, &w->fresh.v[0], &in, &d))
		return 0; /* not wanted any more */
	w->d.zone_changed |= d.zone_changed;
	return identity_work_store(q, t);
}

static void
identity_on_standby(void *request, const struct dkim_key *k,
    const char *reason)
{
	struct request	     *q = request;
	struct identity_work *w = q->state;

	w->made++;
	if (k == NULL) {
		request_warn(q, "the next key could not be made now, it will "
		    "be tried again: %s", reason);
		identity_make_next(q);
		return;
	}
	w->fresh.v[0] = *k;
	request_write(q, identity_standby_write, identity_make_next);
}

static void
identity_make_next(struct request *q)
{
	struct identity_work *w = q->state;
	struct dkim_key	      wanted;

	if (w->made >= w->d.make_count) {
		identity_finish_answer(q);
		return;
	}
	memset(&wanted, 0, sizeof(wanted));
	memcpy(wanted.account, q->account.id, sizeof(wanted.account));
	snprintf(wanted.domain, sizeof(wanted.domain), "%.253s", w->name);
	memcpy(wanted.selector, w->d.make[w->made].selector,
	    sizeof(wanted.selector));
	wanted.bits = w->d.make[w->made].bits;
	relay_make_key(q->relay, &wanted, identity_on_standby, q);
}

void
identity_work_finish(struct request *q)
{
	struct identity_work *w = q->state;

	w->made = 0;
	identity_make_next(q);
}

/* -- as JSON --------------------------------------------------------------- */

const char *
dkim_key_kind(const struct dkim_key *k)
{
	return dkim_key_kind_to_text(k->ed25519 ? DKIM_KEY_ED25519 :
						  DKIM_KEY_RSA);
}

json_t *
dkim_record_json(const struct dkim_key *k)
{
	char   text[32 + 4 * ((sizeof(k->public_key) + 2) / 3) + 1];
	size_t n;

	if (k->public_n == 0)
		return json_string("p=customerProvidedPublicKey");
	n = (size_t)snprintf(text, 32, "v=DKIM1; k=%s; p=", dkim_key_kind(k));
	base64_encode(k->public_key, k->public_n, text + n);
	return json_string(text);
}

/* Of the keys in force. */
bool
identity_has_rsa(const struct identity_keys *ks)
{
	size_t n;

	for (n = 0; n < ks->n; n++)
		if (!ks->drop[n] && !ks->v[n].ed25519 && !ks->v[n].previous &&
		    ks->v[n].role == DKIM_ACTIVE)
			return true;
	return false;
}

void
identity_warn_alone(struct request *q, const struct identity_keys *ks)
{
	if (ks->n > 0 && !identity_has_rsa(ks))
		request_warn(q, "receivers without RFC 8463 support will "
		    "treat this mail as unsigned");
}

static void
dkim_key_status(const struct identity *i, const struct dkim_key *k,
    struct wall now, char out[80])
{
	char day[CLOCK_TEXT_MAX];

	if (k->previous)
		snprintf(out, 80, "keep until the new key is verified");
	else if (k->role != DKIM_RETIRING || (i->cname && !k->external))
		snprintf(out, 80, "publish");
	else if (k->retire_at.ms > now.ms)
		snprintf(out, 80, "keep until %.10s",
		    wall_iso_seconds(k->retire_at, day));
	else
		snprintf(out, 80, "may be deleted");
}

static json_t *
identity_key_record(const struct request *q, const struct identity *i,
    const struct dkim_key *k, bool optional)
{
	char	name[512], target[512], status[80];
	json_t *out;
	bool	cname = i->cname && !k->external &&
	       q->conf->dkim.cname_base != NULL;

	snprintf(name, sizeof(name), "%s._domainkey.%s", k->selector,
	    k->domain);
	dkim_key_status(i, k, q->now, status);
	snprintf(target, sizeof(target), "%s.%s", k->selector,
	    cname ? q->conf->dkim.cname_base : "");
	out = json_pack("{s:s, s:s, s:o, s:s, s:s, s:s}", "Type",
	    cname ? "CNAME" : "TXT", "Name", name, "Value",
	    cname ? json_string(target) : dkim_record_json(k), "Status",
	    status, "Role", dkim_role_to_text(k->role), "LastOutcome",
	    dkim_outcome_to_text(k->last_outcome));
	if (optional)
		json_object_set_new(out, "Optional", json_true());
	if (optional && strcmp(status, "publish") == 0)
		json_object_set_new(out, "Status",
		    json_string("publish, optional"));
	return out;
}

/* In the order in which they are read: ACTIVE, STANDBY, RETIRING. */
static void
identity_add_keys(const struct request *q, const struct identity *i,
    const struct identity_keys *ks, bool ed25519, json_t *list)
{
	bool   optional;
	size_t n;
	int    role;

	for (role = DKIM_ACTIVE; role <= DKIM_RETIRING; role++)
		for (n = 0; n < ks->n; n++) {
			if ((int)ks->v[n].role != role || ks->drop[n] ||
			    ks->v[n].ed25519 != ed25519)
				continue;
			optional = ed25519 && identity_has_rsa(ks);
			json_array_append_new(list, identity_key_record(q, i,
			    &ks->v[n], optional));
		}
}

/* RSA first; Ed25519 is printed as optional (dkim.md 7.4). */
json_t *
identity_records_json(struct request *q, const struct identity *i,
    const struct identity_keys *ks)
{
	json_t *list = json_array();
	char	name[IDENTITY_NAME_SIZE + 16];

	if (i->token_text[0] != '\0') {
		snprintf(name, sizeof(name), "_posthorn.%s", i->name);
		json_array_append_new(list, json_pack("{s:s, s:s, s:s, s:s}",
		    "Type", "TXT", "Name", name, "Value", i->token_text,
		    "Status", "publish"));
	}
	identity_add_keys(q, i, ks, false, list);
	identity_add_keys(q, i, ks, true, list);
	mail_from_add_records(q, i, list);
	return list;
}

json_t *
identity_dkim_json(const struct request *q, const struct identity *i,
    const struct identity_keys *ks)
{
	json_t	   *out, *tokens = json_array();
	struct wall made = { 0 };
	size_t	    n;

	for (n = 0; n < ks->n; n++) {
		if (ks->drop[n])
			continue;
		if (ks->v[n].created.ms > made.ms)
			made = ks->v[n].created;
		if (!ks->v[n].external && !ks->v[n].previous &&
		    !ks->v[n].ed25519 &&
		    (i->cname || ks->v[n].role != DKIM_RETIRING))
			json_array_append_new(tokens,
			    json_string(ks->v[n].selector));
	}
	out = json_pack("{s:b, s:s, s:o, s:s}", "SigningEnabled",
	    i->signing != DKIM_OFF, "Status",
	    identity_status_to_text(i->dkim.status), "Tokens", tokens,
	    "SigningAttributesOrigin", i->external ? "EXTERNAL" : "AWS_SES");
	if (i->cname && q->conf->dkim.cname_base != NULL)
		json_object_set_new(out, "SigningHostedZone",
		    json_string(q->conf->dkim.cname_base));
	if (!i->external && i->bits != 0) {
		json_object_set_new(out, "NextSigningKeyLength",
		    json_string(identity_length_to_text(i->next_bits)));
		json_object_set_new(out, "CurrentSigningKeyLength",
		    json_string(identity_length_to_text(i->bits)));
	}
	if (made.ms != 0)
		json_object_set_new(out, "LastKeyGenerationTimestamp",
		    json_of_wall(made));
	return out;
}

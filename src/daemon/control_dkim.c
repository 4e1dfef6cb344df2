/* SPDX-License-Identifier: ISC */
/* DKIM: who signs, with which key (dkim.md 10 to 13). */
#include <stdio.h>
#include <string.h>

#include "daemon/control_identity.h"

/* -- show, explain, zone --------------------------------------------------- */

static json_t *
dkim_key_json(const struct dkim_key *k)
{
	return json_pack("{s:s, s:s, s:s, s:i, s:b, s:s, s:o, s:o, s:o, s:o, "
	    "s:o}", "Selector", k->selector, "Role",
	    dkim_role_to_text(k->role), "Algorithm", dkim_key_kind(k), "Bits",
	    (int)k->bits, "Previous", k->previous, "LastOutcome",
	    dkim_outcome_to_text(k->last_outcome), "Hint",
	    json_of_text(k->hint), "Created", json_of_wall(k->created),
	    "LastChecked", json_of_wall(k->last_check), "LastSeen",
	    json_of_wall(k->last_seen), "RetireAt",
	    json_of_wall(k->retire_at));
}

/* INHERIT is shown as what results from it (dkim.md 2.1). */
static int
dkim_show_address(struct request *q, struct db_txn *t)
{
	struct identity_work   *w = q->state;
	struct signing_question s = { t, q->account.id, bytes_of(w->name),
		q->conf->dkim.dual_sign };
	bool on = w->i.signing == DKIM_ON;

	if (w->i.signing == DKIM_INHERIT) {
		if (identity_signing(&s, &w->choice, &q->err) < 0)
			return -1;
		on = w->choice.result == SIGNING_KEY ||
		    w->choice.result == SIGNING_NOT_VERIFIED;
	}
	request_set(q, "SigningEnabled", json_boolean(on));
	return 0;
}

/* Was it looked for, and not found? */
static bool
dkim_is_missing(const struct dkim_key *k)
{
	return !k->previous && !k->seen && k->last_check.ms != 0 &&
	    k->last_outcome != DKIM_DNS_ERROR;
}

/* Only the active selector is needed for SUCCESS (dkim.md 7.1, 6.1). */
static void
dkim_warn_missing(struct request *q, const struct identity *i,
    const struct identity_keys *ks)
{
	const struct dkim_key *k;
	size_t		       n;

	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		if (!i->external && !i->cname && !k->ed25519 &&
		    k->role == DKIM_STANDBY && dkim_is_missing(k))
			request_warn(q, "standby selector %s is not "
			    "published; rotation is not possible",
			    k->selector);
	}
	for (n = 0; n < ks->n; n++) {
		k = &ks->v[n];
		if (k->ed25519 && k->role == DKIM_ACTIVE &&
		    identity_has_rsa(ks) && dkim_is_missing(k))
			request_warn(q, "Ed25519 selector %s is not "
			    "published; only RSA signs", k->selector);
	}
}

static int
dkim_show_read(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	const struct dkim_key *meanwhile = NULL;
	json_t		     *keys;
	size_t		      n;

	if (identity_work_load(q, t) != 0)
		return -1;
	request_set(q, "Identity", json_string(w->name));
	if (w->i.is_address)
		return dkim_show_address(q, t);
	dkim_warn_missing(q, &w->i, &w->ks);
	if (w->i.external)
		identity_warn_alone(q, &w->ks);
	request_set(q, "DualSigning", json_boolean(identity_is_dual(&w->i,
	    q->conf->dkim.dual_sign)));
	json_object_update_new(q->result,
	    identity_dkim_json(q, &w->i, &w->ks));
	keys = json_array();
	for (n = 0; n < w->ks.n; n++)
		json_array_append_new(keys, dkim_key_json(&w->ks.v[n]));
	request_set(q, "Keys", keys);
	for (n = 0; w->i.has_previous && n < w->ks.n; n++)
		if (w->ks.v[n].previous && w->ks.v[n].role == DKIM_ACTIVE &&
		    (meanwhile == NULL || !w->ks.v[n].ed25519))
			meanwhile = &w->ks.v[n];
	if (meanwhile != NULL)
		request_set(q, "SigningMeanwhile", json_pack("{s:s, s:s}",
		    "Selector", meanwhile->selector, "Status",
		    identity_status_to_text(w->i.previous.status)));
	return 0;
}

static void
dkim_show(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_read(q, dkim_show_read);
}

static void
dkim_on_explained(void *arg, const char *line)
{
	json_array_append_new(arg, json_of_bytes(bytes_of(line)));
}

static int
dkim_explain_read(struct request *q, struct db_txn *t)
{
	const char	       *name = arg_text(q, "name");
	json_t		       *lines = json_array();
	struct signing_question s = { t, q->account.id, BYTES(""),
		q->conf->dkim.dual_sign };

	request_set(q, "Lines", lines);
	if (name == NULL || strchr(name, '@') == NULL)
		return request_misuse(q, "an address is wanted");
	s.from = bytes_of(name);
	return identity_explain(&s, dkim_on_explained, lines, &q->err);
}

static void
dkim_explain(struct request *q)
{
	request_read(q, dkim_explain_read);
}

struct dkim_zone {
	struct request *q;
	struct db_txn  *t;
	json_t	       *rows;
	struct wall	since;
	struct identity i; /* the last one asked */
	bool		cname;
};

static bool
dkim_on_zone(void *arg, const struct dkim_key *k)
{
	struct dkim_zone *z = arg;
	struct err	  e;
	char		  name[512];

	if (strcmp(z->i.account, k->account) != 0 ||
	    strcmp(z->i.name, k->domain) != 0)
		z->cname = identity_get(z->t, k->account, k->domain, &z->i,
			       &e) == 1 && z->i.cname;
	if (!z->cname || k->external || k->created.ms < z->since.ms)
		return true;
	snprintf(name, sizeof(name), "%s.%s", k->selector,
	    z->q->conf->dkim.cname_base);
	json_array_append_new(z->rows, json_pack("{s:s, s:s, s:o, s:s, s:o}",
	    "Type", "TXT", "Name", name, "Value", dkim_record_json(k),
	    "Identity", k->domain, "Changed", json_of_wall(k->created)));
	return true;
}

static int
dkim_zone_read(struct request *q, struct db_txn *t)
{
	struct dkim_zone *z;
	int		  rc = 0;

	if (q->conf->dkim.cname_base == NULL)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "dkim.cname_base is not set");
	z = mem_alloc(sizeof(*z));
	z->q = q;
	z->t = t;
	z->rows = json_array();
	request_set(q, "Zone", json_string(q->conf->dkim.cname_base));
	request_set(q, "Records", z->rows);
	if (arg_time(q, "changed-since", &z->since) < 0)
		rc = -1;
	if (rc == 0)
		rc = dkim_key_each(t, NULL, NULL, dkim_on_zone, z, &q->err);
	mem_free(z);
	return rc < 0 ? -1 : 0;
}

static void
dkim_zone(struct request *q)
{
	request_read(q, dkim_zone_read);
}

/* -- the switch, checks ---------------------------------------------------- */

static int
dkim_switch_write(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	bool on = strcmp(q->command->verb, "dkim enable") == 0;

	request_would(q, "switch signing %s for %s", on ? "on" : "off",
	    w->name);
	return identity_set_signing(t, q->account.id, w->name, on, q->now,
	    &q->err);
}

static void
dkim_switch(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, dkim_switch_write, NULL);
}

static int
dkim_verify_write(struct request *q, struct db_txn *t)
{
	struct identity_work	   *w = q->state;
	struct identity_check_input in;

	identity_input(q, &in);
	if (identity_work_load(q, t) != 0 ||
	    identity_verify(&w->i, &w->ks, false, &in, &q->err) != 0)
		return -1;
	request_would(q, "check the DKIM records of %s", w->name);
	return identity_work_store(q, t);
}

static void
dkim_verify(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, dkim_verify_write, identity_work_finish);
}

/* -- changes of keys ------------------------------------------------------- */

/* Those that need no key before they are decided. */
static int
dkim_decide(struct request *q, struct identity_work *w,
    const struct identity_check_input *in)
{
	const char *verb = q->command->verb;

	if (strcmp(verb, "dkim rotate") == 0)
		return identity_rotate(&w->i, &w->ks, arg_is_true(q, "force"),
		    in, &w->d, &q->err);
	if (strcmp(verb, "dkim new-key") == 0)
		return identity_new_standby(&w->i, &w->ks, in, &w->d,
		    &q->err);
	if (strcmp(verb, "dkim dual") == 0)
		return identity_set_dual(&w->i, &w->ks, w->dual, in, &w->d,
		    &q->err);
	return identity_set_length(&w->i, &w->ks, w->bits, in, &w->d,
	    &q->err);
}

/* What the switch leads to: without a key of the kind nothing is signed. */
static void
dkim_would_dual(struct request *q, const struct identity_work *w, bool was)
{
	bool   on = identity_is_dual(&w->i, q->conf->dkim.dual_sign);
	bool   has_key = false;
	size_t n;

	for (n = 0; n < w->ks.n; n++)
		has_key |= !w->ks.drop[n] && !w->ks.v[n].previous &&
		    w->ks.v[n].ed25519;
	if (on == was)
		request_would(q, "leave Ed25519 for %s as it is: %s",
		    w->name, on ? "on" : "off");
	else if (!on)
		request_would(q, "no longer sign for %s with Ed25519",
		    w->name);
	else
		request_would(q, "sign for %s with Ed25519 as well%s",
		    w->name, has_key ? "" : w->d.make_count > 0 ?
		    ", once a new key is seen in DNS" :
		    ", once it has such a key");
}

static int
dkim_decide_write(struct request *q, struct db_txn *t)
{
	struct identity_work	   *w = q->state;
	struct identity_check_input in;
	bool			    was;

	identity_input(q, &in);
	if (identity_work_load(q, t) != 0)
		return -1;
	was = identity_is_dual(&w->i, in.dual_sign);
	if (dkim_decide(q, w, &in) != 0)
		return -1;
	if (strcmp(q->command->verb, "dkim dual") == 0)
		dkim_would_dual(q, w, was);
	else
		request_would(q, "%s %s", q->command->verb, w->name);
	return identity_work_store(q, t);
}

static void
dkim_rotate(struct request *q)
{
	struct identity_work *w = identity_work_new(q);

	if (w == NULL) {
		request_end(q);
		return;
	}
	w->show = true;
	request_write(q, dkim_decide_write, identity_work_finish);
}

/* -- Ed25519 as well ------------------------------------------------------- */

static void
dkim_dual(struct request *q)
{
	static const char *const words[] = { "on", "off", "default", NULL };
	static const enum dkim_switch to[] = { DKIM_ON, DKIM_OFF,
		DKIM_INHERIT };
	struct identity_work *w = identity_work_new(q);
	int		      word = -1;

	if (w == NULL || arg_word(q, "switch", words, &word) < 0 || word < 0) {
		if (w != NULL && word < 0)
			(void)request_misuse(q, "on, off or default?");
		request_end(q);
		return;
	}
	if (word == 0 && !signer_has_ed25519()) {
		request_end_refused(q, BOOK_BAD_REQUEST, "the linked "
		    "libopendkim has no Ed25519 (RFC 8463)");
		return;
	}
	w->dual = to[word];
	w->show = true;
	request_write(q, dkim_decide_write, identity_work_finish);
}

static int
dkim_managed_write(struct request *q, struct db_txn *t)
{
	struct identity_work	   *w = q->state;
	struct identity_check_input in;

	identity_input(q, &in);
	if (identity_work_load(q, t) != 0 ||
	    identity_use_managed(&w->i, &w->ks, &w->fresh, &in, &q->err) != 0)
		return -1;
	identity_want_keys(&w->i, &w->ks, &in, &w->d);
	request_would(q, "use managed keys for %s", w->name);
	return identity_work_store(q, t);
}

static void
dkim_managed_last(struct request *q)
{
	request_write(q, dkim_managed_write, identity_work_finish);
}

/* An identity that has managed keys gets another length; one with an own key
 * gets managed ones, or those back that still sign. */
static void
dkim_managed(struct request *q)
{
	struct identity_work *w = identity_work_new(q);
	unsigned	      bits;
	int		      given;

	if (w == NULL || request_look(q, identity_work_load) != 0 ||
	    (given = arg_bits(q, &bits)) < 0) {
		request_end(q);
		return;
	}
	w->show = true;
	w->bits = bits;
	if (!w->i.is_address && !w->i.external && w->ks.n > 0 && given == 1)
		request_write(q, dkim_decide_write, identity_work_finish);
	else if (w->i.is_address || identity_can_return(&w->i, false) ||
	    (!w->i.external && w->ks.n > 0))
		dkim_managed_last(q); /* refuses, or needs no key */
	else if (q->dry_run) {
		request_would(q, "use managed keys for %s", w->name);
		request_end(q);
	} else
		identity_make_fresh(q, identity_managed_count(
		    q->conf->dkim.cname_base != NULL), bits,
		    dkim_managed_last);
}

static int
dkim_own_write(struct request *q, struct db_txn *t)
{
	struct identity_work	   *w = q->state;
	struct identity_check_input in;

	identity_input(q, &in);
	if (identity_work_load(q, t) != 0 ||
	    identity_use_external(&w->i, &w->ks, &w->fresh.v[0], &in,
		&q->err) != 0)
		return -1;
	request_would(q, "sign for %s with selector %s", w->name,
	    w->fresh.v[0].selector);
	return identity_work_store(q, t);
}

static void
dkim_own_last(struct request *q)
{
	request_write(q, dkim_own_write, identity_work_finish);
}

static void
dkim_set_key(struct request *q)
{
	struct identity_work *w = identity_work_new(q);

	if (w == NULL || request_look(q, identity_work_load) != 0) {
		request_end(q);
		return;
	}
	if (w->i.is_address) {
		request_end_refused(q, BOOK_BAD_REQUEST, "%s is an address; "
		    "its domain has the DKIM keys", w->name);
		return;
	}
	w->show = true;
	identity_import_fresh(q, dkim_own_last);
}

/* -- export ---------------------------------------------------------------- */

static int
dkim_export_read(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	const char	     *selector = arg_text(q, "selector");
	int		      found;

	if (identity_work_load(q, t) != 0)
		return -1;
	if (selector != NULL)
		found = dkim_key_get(t, q->account.id, w->name, selector,
		    &w->choice.keys.key, &q->err);
	else
		found = dkim_keys_active(t, &w->i, SET_CURRENT,
		    &w->choice.keys, &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND, "%s has no DKIM "
		    "key%s%.63s", w->name, selector != NULL ?
		    " of selector " : "", selector != NULL ? selector : "");
	return found < 0 ? -1 : 0;
}

static void
dkim_on_exported(void *request, const struct keys_answer *a)
{
	struct request	     *q = request;
	struct identity_work *w = q->state;

	if (a->result != KEYS_OK) {
		request_end_refused(q, BOOK_BAD_REQUEST, "%s", a->reason);
		return;
	}
	request_set(q, "Selector", json_string(w->choice.keys.key.selector));
	request_end(q);
}

/* The key goes from the keys process into the caller's pipe. */
static void
dkim_export(struct request *q)
{
	struct identity_work *w = identity_work_new(q);
	const struct dkim_key *k;
	struct keys_sign       s;
	int64_t		       index = -1;
	int		       fd;

	if (w == NULL || request_look(q, dkim_export_read) != 0) {
		request_end(q);
		return;
	}
	request_would(q, "hand out the private key of selector %s",
	    w->choice.keys.key.selector);
	if (q->dry_run || !arg_is_true(q, "private") ||
	    arg_int(q, "key-file", 0, CONTROL_FDS_MAX - 1, &index) < 0 ||
	    (fd = request_take_fd(q, index)) < 0) {
		if (!q->dry_run)
			(void)request_misuse(q, "--private is needed");
		request_end(q);
		return;
	}
	k = &w->choice.keys.key;
	memset(&s, 0, sizeof(s));
	s.domain = k->domain;
	s.selector = k->selector;
	s.sealed = (struct bytes){ (const char *)k->sealed, k->sealed_n };
	if (q->relay->keys == NULL || keys_client_export(q->relay->keys, &s,
		fd, dkim_on_exported, q) == 0)
		request_end_refused(q, BOOK_BAD_REQUEST,
		    "the keys process is not running");
}

const struct command control_dkim_commands[] = {
	{ "dkim show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, dkim_show },
	{ "dkim explain", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    dkim_explain },
	{ "dkim zone", NEED_OPERATOR, SCOPE_NONE, NULL, NULL, dkim_zone },
	{ "dkim enable", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityDkimAttributes", "emailIdentity", dkim_switch },
	{ "dkim disable", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityDkimAttributes", "emailIdentity", dkim_switch },
	{ "dkim verify", NEED_FULL, SCOPE_ACCOUNT, "DkimVerify",
	    "emailIdentity", dkim_verify },
	{ "dkim managed", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityDkimSigningAttributes", "emailIdentity",
	    dkim_managed },
	{ "dkim set-key", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityDkimSigningAttributes", "emailIdentity",
	    dkim_set_key },
	{ "dkim dual", NEED_FULL, SCOPE_ACCOUNT, "DkimDual", "emailIdentity",
	    dkim_dual },
	{ "dkim new-key", NEED_FULL, SCOPE_ACCOUNT, "DkimNewKey",
	    "emailIdentity", dkim_rotate },
	{ "dkim rotate", NEED_FULL, SCOPE_ACCOUNT, "DkimRotate",
	    "emailIdentity", dkim_rotate },
	{ "dkim export", NEED_OPERATOR, SCOPE_ACCOUNT, "DkimExport",
	    "emailIdentity", dkim_export },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};

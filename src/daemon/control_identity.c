/* SPDX-License-Identifier: ISC */
/* Identities: what an account may send as. */
#include <stdio.h>
#include <string.h>

#include "daemon/control_identity.h"
#include "registry/config_set.h"
#include "registry/identity_policy.h"
#include "registry/mail_from.h"

enum {
	NAMES_MAX = 1000,
	MAIL_ARENA = 1024 * 1024,
	TAGS_ARENA = 128 * 1024
};

/* -- list and show --------------------------------------------------------- */

static const char *const type_words[] = { "email", "domain", NULL };

struct identity_list {
	struct request *q;
	struct page	page;
	int		type; /* of type_words; -1 = both */
	const char     *status;
};

static bool
identity_on_list(void *arg, const struct identity *i)
{
	struct identity_list *l = arg;
	const char	     *status;
	json_t		     *row;

	status = identity_status_to_text(identity_status(i));
	if ((l->type >= 0 && i->is_address != (l->type == 0)) ||
	    (l->status != NULL &&
		!bytes_eq_nocase(bytes_of(status), bytes_of(l->status))) ||
	    !page_wants(&l->page, i->name))
		return !page_is_full(&l->page);
	row = json_pack("{s:s, s:o, s:b, s:s}", "IdentityType",
	    i->is_address ? "EMAIL_ADDRESS" : "DOMAIN", "IdentityName",
	    json_of_bytes(bytes_of(i->name)), "SendingEnabled",
	    identity_may_send(i, l->q->now), "VerificationStatus", status);
	if (!i->is_address)
		json_object_set_new(row, "DkimStatus", json_string(
		    i->signing == DKIM_OFF ? "OFF" :
			identity_status_to_text(i->dkim.status)));
	if (i->mail_from.domain[0] != '\0')
		json_object_set_new(row, "MailFromDomain",
		    json_string(i->mail_from.domain));
	if (i->config_set[0] != '\0')
		json_object_set_new(row, "ConfigurationSetName",
		    json_string(i->config_set));
	json_array_append_new(l->page.rows, row);
	return true;
}

static int
identity_list_read(struct request *q, struct db_txn *t)
{
	static const char *const statuses[] = { "NOT_STARTED", "PENDING",
		"SUCCESS", "TEMPORARY_FAILURE", "FAILED", NULL };
	struct identity_list l = { q, { 0 }, -1, arg_text(q, "status") };
	int		     rc, status;

	if (arg_word(q, "type", type_words, &l.type) < 0 ||
	    arg_word(q, "status", statuses, &status) < 0 ||
	    page_open(q, &l.page) != 0)
		return -1;
	rc = identity_each(t, q->account.id, identity_on_list, &l, &q->err);
	page_close(q, &l.page, "EmailIdentities");
	return rc;
}

static void
identity_list(struct request *q)
{
	request_read(q, identity_list_read);
}

/* The machine whose deadline counts. */
static const struct identity_check_state *
identity_machine(const struct identity *i)
{
	if (i->is_address || i->method == METHOD_OVERRIDE)
		return &i->link;
	return i->method == METHOD_TOKEN ? &i->token : &i->dkim;
}

/* Which key signs mail of it. */
static int
identity_show_signer(struct request *q, struct db_txn *t, const char *name,
    bool is_address)
{
	static const char *const words[] = { "", "signing is off",
		"no identity with a key", "not verified" };
	struct identity_work *w = q->state;
	char		      from[IDENTITY_NAME_SIZE + 16];
	struct signing_question s = { t, q->account.id, BYTES(""),
		q->conf->dkim.dual_sign };
	const struct signing_keys *k = &w->choice.keys;
	json_t			  *by;

	snprintf(from, sizeof(from), "%s%s", is_address ? "" : "postmaster@",
	    name);
	s.from = bytes_of(from);
	if (identity_signing(&s, &w->choice, &q->err) < 0)
		return -1;
	if (w->choice.result != SIGNING_KEY) {
		request_set(q, "Unsigned",
		    json_string(words[w->choice.result]));
		return 0;
	}
	by = json_pack("{s:s, s:s}", "Domain", k->key.domain, "Selector",
	    k->key.selector);
	if (k->has_second)
		json_object_set_new(by, "Ed25519Selector",
		    json_string(k->second.selector));
	request_set(q, "SignedBy", by);
	return 0;
}

/* identities 3.2: an address without a record, below a verified domain. */
static int
identity_show_covered(struct request *q, struct db_txn *t, const char *name)
{
	struct identity by;
	int		found;

	found = strchr(name, '@') == NULL ? 0 :
		identity_resolve(t, q->account.id, bytes_of(name), q->now,
		    &by, &q->err);
	if (found < 0)
		return -1;
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such identity: %s", name);
	request_set(q, "IdentityType", json_string("EMAIL_ADDRESS"));
	request_set(q, "IdentityName", json_of_bytes(bytes_of(name)));
	request_set(q, "VerifiedForSendingStatus", json_true());
	request_set(q, "VerificationStatus", json_string("NOT_STARTED"));
	request_set(q, "CoveredBy", json_of_bytes(bytes_of(by.name)));
	return identity_show_signer(q, t, name, true);
}

static json_t *
identity_info_json(const struct identity_check_state *m)
{
	json_t *out = json_pack("{s:o, s:o}", "LastCheckedTimestamp",
	    json_of_wall(m->last_check), "LastSuccessTimestamp",
	    json_of_wall(m->last_success));

	if (m->error != IDENTITY_NO_ERROR)
		json_object_set_new(out, "ErrorType",
		    json_string(identity_error_to_text(m->error)));
	return out;
}

static int
identity_show_tags(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	struct resource_tags  tags;
	struct arena	     *a = arena_new(TAGS_ARENA);
	int rc = identity_tags_get(t, &w->i, a, &tags, &q->err);

	if (rc == 0)
		request_set(q, "Tags", resource_tags_json(&tags));
	arena_free(a);
	return rc;
}

static int
identity_show_read(struct request *q, struct db_txn *t)
{
	struct identity_work		  *w = q->state;
	const struct identity		  *i = &w->i;
	const struct identity_check_state *m;

	if (identity_work_load(q, t) != 0) {
		if (q->err.code != BOOK_NOT_FOUND)
			return -1;
		memset(&q->err, 0, sizeof(q->err));
		return identity_show_covered(q, t, w->name);
	}
	m = identity_machine(i);
	request_set(q, "IdentityType",
	    json_string(i->is_address ? "EMAIL_ADDRESS" : "DOMAIN"));
	request_set(q, "IdentityName", json_of_bytes(bytes_of(i->name)));
	request_set(q, "FeedbackForwardingStatus",
	    json_boolean(i->forwarding));
	if (identity_show_notifications(q, t, i) != 0)
		return -1;
	request_set(q, "VerifiedForSendingStatus",
	    json_boolean(identity_may_send(i, q->now)));
	request_set(q, "VerificationStatus",
	    json_string(identity_status_to_text(identity_status(i))));
	request_set(q, "Method",
	    json_string(identity_method_to_text(i->method)));
	if (m->deadline.ms != 0)
		request_set(q, "Deadline", json_of_wall(m->deadline));
	if (!i->is_address)
		request_set(q, "DkimAttributes",
		    identity_dkim_json(q, i, &w->ks));
	if (json_of_policies(q, t, i->name) != 0)
		return -1;
	if (i->mail_from.domain[0] != '\0' || i->mail_from.opted_out)
		request_set(q, "MailFromAttributes", mail_from_json(i));
	if (identity_show_tags(q, t) != 0)
		return -1;
	if (i->config_set[0] != '\0')
		request_set(q, "ConfigurationSetName",
		    json_string(i->config_set));
	request_set(q, "VerificationInfo", identity_info_json(m));
	request_set(q, "Created", json_of_wall(i->created));
	if (!i->is_address && control_show_level(q, t, i->name) != 0)
		return -1;
	return identity_show_signer(q, t, i->name, i->is_address);
}

static void
identity_show_start(struct request *q)
{
	request_read(q, identity_show_read);
}

/* The figures of its level are those of this moment. */
static void
identity_show(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else if (q->conf->reputation.levels)
		request_sync(q, identity_show_start);
	else
		identity_show_start(q);
}

static int
identity_records_read(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;

	if (identity_work_load(q, t) != 0)
		return -1;
	if (w->i.is_address && w->i.mail_from.domain[0] == '\0')
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s is an address; it has no DNS records", w->name);
	request_set(q, "Identity", json_string(w->name));
	request_set(q, "Records", identity_records_json(q, &w->i, &w->ks));
	return 0;
}

static void
identity_records(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_read(q, identity_records_read);
}

/* -- verification ---------------------------------------------------------- */

static void
identity_after_verify(struct request *q)
{
	(void)reporter_post_check(q->relay->reporter);
	request_end(q);
}

static int
identity_verify_write(struct request *q, struct db_txn *t)
{
	struct identity_work	   *w = q->state;
	struct identity_check_input in;
	bool			    token = arg_is_true(q, "token");

	identity_input(q, &in);
	if (identity_work_load(q, t) != 0 ||
	    identity_verify(&w->i, &w->ks, token, &in, &q->err) != 0)
		return -1;
	request_would(q, "check %s anew", w->name);
	if (token && !q->dry_run)
		request_set(q, "VerificationToken",
		    json_string(w->i.token_text));
	return identity_work_store(q, t);
}

static void
identity_verify_run(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, identity_verify_write, identity_after_verify);
}

static void
identity_send_token(struct request *q)
{
	struct identity_work *w = q->state;

	if (!reporter_post_verification(q->relay->reporter, q->account.id,
		w->name, w->token)) {
		request_end_refused(q, BOOK_TOO_MANY, "the verification mail "
		    "could not be sent; try identity resend later");
		return;
	}
	request_set(q, "VerificationMailSentTo",
	    json_of_bytes(bytes_of(w->name)));
	(void)reporter_post_check(q->relay->reporter);
	request_end(q);
}

static int
identity_resend_write(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;

	if (identity_work_load(q, t) != 0)
		return -1;
	if (!w->i.is_address)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s is a domain; use posthornctl identity verify",
		    w->name);
	if (w->i.link.status == IDENTITY_SUCCESS)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s is verified already", w->name);
	request_would(q, "send a verification mail to %s", w->name);
	return identity_issue_token(t, &w->i, q->now, w->token, &q->err);
}

static void
identity_resend(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, identity_resend_write, identity_send_token);
}

static int
identity_confirm_write(struct request *q, struct db_txn *t)
{
	const char	*token = arg_text(q, "token");
	struct identity *i = mem_alloc(sizeof(*i));
	int found = token == NULL ? 0 :
		identity_confirm(t, token, q->now, i, &q->err);

	if (found == 1 && q->right.account[0] != '\0' &&
	    strcmp(i->account, q->right.account) != 0)
		found = 0;
	if (found == 1) {
		request_set(q, "IdentityName",
		    json_of_bytes(bytes_of(i->name)));
		request_would(q, "verify %s", i->name);
	}
	mem_free(i);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "the token is unknown, used or expired");
	return found < 0 ? -1 : 0;
}

static void
identity_confirm_run(struct request *q)
{
	request_write(q, identity_confirm_write, identity_after_verify);
}

/* -- the default configuration set ----------------------------------------- */

/* Sets it, or removes it when there is no name; 0 / -1. */
static int
identity_take_set(struct request *q, struct db_txn *t, const char *name,
    struct identity *i)
{
	struct config_set s;
	int		  found = 1;

	if (name == NULL)
		name = "";
	if (name[0] != '\0')
		found = config_set_get(t, q->account.id, bytes_of(name), &s,
		    &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such configuration set: %.64s", name);
	if (found < 0)
		return -1;
	if (name[0] != '\0' && (found = identity_policy_delegates(t,
	    i->account, i->name, &q->err)) != 0)
		return found < 0 ? -1 : request_refuse(q, BOOK_BAD_REQUEST,
		    "a policy of %s lets another account send; a default "
		    "configuration set is not possible beside it", i->name);
	bytes_text(bytes_of(name), i->config_set, sizeof(i->config_set));
	return 0;
}

static int
identity_set_write(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;

	if (identity_work_load(q, t) != 0 ||
	    identity_take_set(q, t, arg_text(q, "set"), &w->i) != 0)
		return -1;
	if (w->i.config_set[0] != '\0')
		request_would(q, "make %s the default configuration set of "
		    "%s", w->i.config_set, w->name);
	else
		request_would(q, "remove the default configuration set of %s",
		    w->name);
	return identity_work_store(q, t);
}

static void
identity_set_config_set(struct request *q)
{
	if (identity_work_new(q) == NULL)
		request_end(q);
	else
		request_write(q, identity_set_write, NULL);
}

/* -- delete ---------------------------------------------------------------- */

struct identity_removal {
	size_t n;
	char (*names)[IDENTITY_NAME_SIZE]; /* "" = refused already */
	bool  *busy;
	/* the walk over the queue */
	struct request *q;
	struct msgid	id;
	bool		any;
};

static void
identity_removal_wipe(void *removal)
{
	struct identity_removal *r = removal;

	mem_free(r->names);
	mem_free(r->busy);
}

/* Each message is looked at once. */
static bool
identity_on_queued(void *arg, const struct recipient_row *row)
{
	struct identity_removal *r = arg;
	struct arena		*a;
	struct mail_row		 m;
	struct err		 e;
	size_t			 i;

	if (r->any && msgid_cmp(&r->id, &row->id) == 0)
		return true;
	r->any = true;
	r->id = row->id;
	a = arena_new(MAIL_ARENA);
	if (spool_read_mail(r->q->relay->spool, &row->id, a, &m, &e) == 1 &&
	    bytes_eq_text(m.identity_account, r->q->account.id))
		for (i = 0; i < r->n; i++)
			r->busy[i] |= bytes_eq_text(m.identity, r->names[i]);
	arena_free(a);
	return true;
}

static int
identity_look_for_mail(struct request *q)
{
	struct identity_removal *r = q->state;

	return spool_scan_recipients(q->relay->spool, NULL, 0, SIZE_MAX,
		   identity_on_queued, r, &q->err) < 0 ? -1 : 0;
}

static int
identity_delete_write(struct request *q, struct db_txn *t)
{
	struct identity_removal *r = q->state;
	struct err		 e;
	size_t			 i;
	int			 found;

	for (i = 0; i < r->n; i++) {
		if (r->names[i][0] == '\0')
			continue;
		if (r->busy[i]) {
			(void)book_refuse(&e, BOOK_BAD_REQUEST, "queued mail "
			    "of %s exists; use --force", r->names[i]);
			request_item_failed(q, &e);
			continue;
		}
		found = identity_delete(t, q->account.id, r->names[i],
		    &q->err);
		if (found < 0)
			return -1;
		if (found == 0) {
			(void)book_refuse(&e, BOOK_NOT_FOUND,
			    "no such identity: %s", r->names[i]);
			request_item_failed(q, &e);
		} else if (mail_from_orphan(t, q->account.id, r->names[i],
			       q->now, &q->err) < 0)
			return -1;
		else
			request_would(q, "delete identity %s", r->names[i]);
	}
	request_settle_items(q, r->n);
	return 0;
}

static void
identity_delete_now(struct request *q)
{
	/* an address below may have lost its MAIL FROM domain */
	request_write(q, identity_delete_write, identity_after_verify);
}

static void
identity_delete_run(struct request *q)
{
	struct identity_removal *r;
	json_t			*names = arg_list(q, "name"), *v;
	struct err		 e;
	size_t			 i;

	if (json_array_size(names) == 0 || json_array_size(names) > NAMES_MAX) {
		(void)request_misuse(q, "which identities?");
		request_end(q);
		return;
	}
	r = request_state(q, sizeof(*r), identity_removal_wipe);
	r->q = q;
	r->n = json_array_size(names);
	r->names = mem_alloc(r->n * sizeof(r->names[0]));
	r->busy = mem_alloc(r->n * sizeof(r->busy[0]));
	json_array_foreach(names, i, v)
		if (!identity_normalize(json_string_value(v), r->names[i],
			&e)) {
			r->names[i][0] = '\0';
			e.code = BOOK_BAD_REQUEST;
			request_item_failed(q, &e);
		}
	if (arg_is_true(q, "force"))
		identity_delete_now(q);
	else
		request_work(q, identity_look_for_mail, identity_delete_now);
}

/* -- add ------------------------------------------------------------------- */

static const char *const dkim_words[] = { "managed", "none", NULL };

static int
identity_add_check(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	int found = identity_get(t, q->account.id, w->name, &w->i, &q->err);

	if (found == 1)
		return request_refuse(q, BOOK_EXISTS, "%s exists already",
		    w->name);
	return found;
}

/* The method, and what is known about it from the start. */
static int
identity_add_begin(struct request *q, struct db_txn *t)
{
	struct identity_work *w = q->state;
	struct resource_tags  tags = { 0 };
	struct identity	     *i = &w->i;

	identity_init(i, q->account.id, w->name, q->now);
	if (arg_is_true(q, "verified")) {
		i->method = METHOD_OVERRIDE;
		i->link.status = IDENTITY_SUCCESS;
		i->link.since = i->link.last_success = q->now;
	} else if (!i->is_address && w->fresh.n == 0)
		i->method = METHOD_TOKEN;
	if (identity_take_set(q, t, arg_text(q, "config-set"), i) != 0)
		return -1;
	if (arg_tags(q, &tags, &q->err) != 0)
		return -1;
	request_would(q, "add identity %s", w->name);
	return identity_create(t, i, &q->err) < 0 ? -1 :
		identity_tags_put(t, i, &tags, &q->err);
}

static int
identity_add_write(struct request *q, struct db_txn *t)
{
	struct identity_work	   *w = q->state;
	struct identity_check_input in;

	identity_input(q, &in);
	if (identity_add_begin(q, t) != 0)
		return -1;
	if (w->i.is_address)
		return w->i.method == METHOD_OVERRIDE ? 0 :
			identity_issue_token(t, &w->i, q->now, w->token,
			    &q->err);
	if (w->fresh.n == 1 && identity_use_external(&w->i, &w->ks,
		&w->fresh.v[0], &in, &q->err) != 0)
		return -1;
	if (w->fresh.n > 1 && identity_use_managed(&w->i, &w->ks, &w->fresh,
		&in, &q->err) != 0)
		return -1;
	identity_want_keys(&w->i, &w->ks, &in, &w->d);
	if (w->i.method == METHOD_TOKEN &&
	    identity_verify(&w->i, &w->ks, true, &in, &q->err) != 0)
		return -1;
	return identity_work_store(q, t);
}

static void
identity_after_add(struct request *q)
{
	struct identity_work *w = q->state;

	request_set(q, "IdentityType",
	    json_string(w->i.is_address ? "EMAIL_ADDRESS" : "DOMAIN"));
	request_set(q, "VerifiedForSendingStatus",
	    json_boolean(identity_may_send(&w->i, q->now)));
	if (w->token[0] != '\0') {
		identity_send_token(q);
		return;
	}
	if (!w->i.is_address) {
		request_set(q, "DkimAttributes",
		    identity_dkim_json(q, &w->i, &w->ks));
		w->show = true;
	}
	identity_work_finish(q);
}

static void
identity_add_last(struct request *q)
{
	request_write(q, identity_add_write, identity_after_add);
}

static int
identity_add_options(struct request *q, int *dkim, bool *own)
{
	struct identity_work *w = q->state;
	char		      warning[600];

	*own = arg_has(q, "selector") || arg_has(q, "key-file");
	if (arg_is_true(q, "verified") && !q->operator) {
		q->error_code = "AccessDeniedException";
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "permission denied");
	}
	if (arg_word(q, "dkim", dkim_words, dkim) < 0)
		return -1;
	if (*own && *dkim == 1)
		return request_misuse(q,
		    "--dkim none and an own key exclude each other");
	if (strchr(w->name, '@') != NULL && (*own || arg_has(q, "dkim") ||
	    arg_has(q, "bits")))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "%s is an address; its domain has the DKIM keys",
		    w->name);
	if (identity_name_warning(w->name, warning)[0] != '\0')
		request_warn(q, "%s", warning);
	return request_look(q, identity_add_check);
}

static void
identity_add(struct request *q)
{
	struct identity_work *w = identity_work_new(q);
	unsigned	      bits;
	int		      dkim = 0;
	bool		      own;

	if (w == NULL || identity_add_options(q, &dkim, &own) != 0 ||
	    arg_bits(q, &bits) < 0) {
		request_end(q);
		return;
	}
	if (own)
		identity_import_fresh(q, identity_add_last);
	else if (dkim == 1 || strchr(w->name, '@') != NULL)
		identity_add_last(q);
	else if (q->dry_run) {
		request_would(q, "add identity %s, with managed DKIM keys",
		    w->name);
		request_end(q);
	} else
		identity_make_fresh(q, identity_managed_count(
		    q->conf->dkim.cname_base != NULL), bits,
		    identity_add_last);
}

const struct command control_identity_commands[] = {
	{ "identity add", NEED_FULL, SCOPE_ACCOUNT, "CreateEmailIdentity",
	    "emailIdentity", identity_add },
	{ "identity list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    identity_list },
	{ "identity show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    identity_show },
	{ "identity dns-records", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    identity_records },
	{ "identity verify", NEED_FULL, SCOPE_ACCOUNT, "IdentityVerify",
	    "emailIdentity", identity_verify_run },
	{ "identity resend", NEED_FULL, SCOPE_ACCOUNT, "IdentityResend",
	    "emailIdentity", identity_resend },
	{ "identity confirm", NEED_FULL, SCOPE_OPTIONAL, "IdentityConfirm",
	    NULL, identity_confirm_run },
	{ "identity set-config-set", NEED_FULL, SCOPE_ACCOUNT,
	    "PutEmailIdentityConfigurationSetAttributes", "emailIdentity",
	    identity_set_config_set },
	{ "identity delete", NEED_FULL, SCOPE_ACCOUNT, "DeleteEmailIdentity",
	    "emailIdentity", identity_delete_run },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};

/* SPDX-License-Identifier: ISC */
/* Policies of identities: who may use them, and how. */
#include <stdio.h>
#include <string.h>

#include "daemon/control_private.h"
#include "mail/address.h"
#include "registry/identity_policy.h"
#include "registry/permission.h"

enum { STATEMENT_SHOWN = 200 }; /* of a Sid */

struct policy_work {
	struct identity_policy p; /* at hand */
	struct identity	       i;
	json_t		      *list; /* of show or list: lent */
	/* of a test */
	struct permissions *permissions;
	struct credential  *credential;
};

static void
policy_work_wipe(void *work)
{
	struct policy_work *w = work;

	permissions_free(w->permissions);
	mem_free(w->credential);
}

/* NULL = refused: the argument "name" is no identity. */
static struct policy_work *
policy_work_new(struct request *q)
{
	struct policy_work *w = request_state(q, sizeof(*w),
	    policy_work_wipe);
	const char	   *name = arg_text(q, "name");
	struct err	    e;

	if (name == NULL) {
		(void)request_misuse(q, "which identity?");
		return NULL;
	}
	if (!identity_normalize(name, w->p.identity, &e)) {
		(void)request_refuse(q, BOOK_BAD_REQUEST, "%s", e.text);
		return NULL;
	}
	memcpy(w->p.account, q->account.id, sizeof(w->p.account));
	return w;
}

static int
policy_find_identity(struct request *q, struct db_txn *t)
{
	struct policy_work *w = q->state;
	int found = identity_get(t, w->p.account, w->p.identity, &w->i,
	    &q->err);

	return found != 0 ? (found < 0 ? -1 : 0) :
	    request_refuse(q, BOOK_NOT_FOUND, "no such identity: %s",
		w->p.identity);
}

/* The argument "policy"; a name too long must not become one that is not. */
static int
policy_name(struct request *q)
{
	struct policy_work *w = q->state;
	const char	   *name = arg_text(q, "policy");

	if (name == NULL)
		return request_misuse(q, "which policy?");
	if (!policy_name_is_valid(name))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "a policy name is 1 to 64 letters, digits, - or _");
	bytes_text(bytes_of(name), w->p.name, sizeof(w->p.name));
	return 0;
}

/* -- put, delete ----------------------------------------------------------- */

static int
policy_put_write(struct request *q, struct db_txn *t)
{
	struct policy_work *w = q->state;
	struct policy_place at = { w->p.account, w->p.identity };
	struct policy	   *policy;
	const char	   *warning;
	size_t		    i;

	if (identity_policy_put(t, &w->p, &q->err) != 0)
		return -1;
	policy = policy_new(&at, bytes_of(w->p.text), &q->err);
	for (i = 0; policy != NULL && (warning = policy_warning(policy,
	    i)) != NULL; i++)
		request_warn(q, "%s", warning);
	policy_free(policy);
	request_would(q, "store policy %s of %s", w->p.name, w->p.identity);
	return 0;
}

static void
policy_put(struct request *q)
{
	struct policy_work *w = policy_work_new(q);
	const char	   *text = arg_text(q, "document");

	if (w == NULL || policy_name(q) != 0)
		request_end(q);
	else if (text == NULL)
		request_end_refused(q, BOOK_BAD_REQUEST, "no document");
	else if (strlen(text) > POLICY_TEXT_MAX)
		request_end_refused(q, BOOK_BAD_REQUEST,
		    "MalformedPolicyDocument: document: more than %d octets",
		    POLICY_TEXT_MAX);
	else {
		bytes_text(bytes_of(text), w->p.text, sizeof(w->p.text));
		request_write(q, policy_put_write, NULL);
	}
}

static int
policy_refuse_unknown(struct request *q, const struct identity_policy *p)
{
	return request_refuse(q, BOOK_NOT_FOUND, "no such policy of %s: %s",
	    p->identity, p->name);
}

static int
policy_delete_write(struct request *q, struct db_txn *t)
{
	struct policy_work *w = q->state;
	int		    found;

	found = identity_policy_delete(t, w->p.account, w->p.identity,
	    w->p.name, &q->err);
	if (found == 0)
		return policy_refuse_unknown(q, &w->p);
	request_would(q, "delete policy %s of %s", w->p.name, w->p.identity);
	return found < 0 ? -1 : 0;
}

static void
policy_delete(struct request *q)
{
	if (policy_work_new(q) == NULL || policy_name(q) != 0)
		request_end(q);
	else
		request_write(q, policy_delete_write, NULL);
}

/* -- list, show ------------------------------------------------------------ */

static bool
policy_on_list(void *work, const struct identity_policy *p)
{
	struct policy_work *w = work;

	json_array_append_new(w->list, json_string(p->name));
	return true;
}

static int
policy_list_read(struct request *q, struct db_txn *t)
{
	struct policy_work *w = q->state;

	if (policy_find_identity(q, t) != 0)
		return -1;
	w->list = json_array();
	request_set(q, "PolicyNames", w->list);
	return identity_policy_each(t, w->p.account, w->p.identity,
	    policy_on_list, w, &q->err);
}

static void
policy_list(struct request *q)
{
	if (policy_work_new(q) == NULL)
		request_end(q);
	else
		request_read(q, policy_list_read);
}

static bool
policy_on_show(void *list, const struct identity_policy *p)
{
	json_object_set_new(list, p->name, json_string(p->text));
	return true;
}

int
json_of_policies(struct request *q, struct db_txn *t, const char *identity)
{
	json_t *list = json_object();

	request_set(q, "Policies", list);
	return identity_policy_each(t, q->account.id, identity,
	    policy_on_show, list, &q->err);
}

static int
policy_show_read(struct request *q, struct db_txn *t)
{
	struct policy_work *w = q->state;
	int		    found;

	if (policy_find_identity(q, t) != 0)
		return -1;
	if (w->p.name[0] == '\0')
		return json_of_policies(q, t, w->p.identity);
	found = identity_policy_get(t, w->p.account, w->p.identity, w->p.name,
	    &w->p, &q->err);
	if (found == 0)
		return policy_refuse_unknown(q, &w->p);
	if (found == 1)
		request_set(q, "Policies", json_pack("{s:s}", w->p.name,
		    w->p.text));
	return found < 0 ? -1 : 0;
}

static void
policy_show(struct request *q)
{
	if (policy_work_new(q) == NULL ||
	    (arg_has(q, "policy") && policy_name(q) != 0))
		request_end(q);
	else
		request_read(q, policy_show_read);
}

/* -- whom they name -------------------------------------------------------- */

struct naming {
	struct request *q;
	const char     *user;
	struct buf     *out;
	int		n, elsewhere;
};

static bool
policy_on_naming(void *naming, const struct identity_policy *p)
{
	struct naming	   *n = naming;
	struct policy_place at = { p->account, p->identity };
	struct err	    unused;
	struct policy	   *policy = policy_new(&at, bytes_of(p->text),
		  &unused);
	bool names = policy != NULL && policy_names_user(policy,
	    n->q->account.id, n->user);

	policy_free(policy);
	if (!names)
		return true;
	n->n++;
	if (!n->q->operator && strcmp(p->account, n->q->account.id) != 0)
		n->elsewhere++;
	else
		buf_printf(n->out, "%s%s of %s", n->out->n > 0 ? ", " : "",
		    p->name, p->identity);
	return true;
}

int
control_policies_naming(struct request *q, struct db_txn *t,
    const char *user, struct buf *out)
{
	struct naming n = { .q = q, .user = user, .out = out };

	if (identity_policy_each(t, NULL, NULL, policy_on_naming, &n,
		&q->err) < 0)
		return -1;
	if (n.elsewhere > 0)
		buf_printf(out, "%s%d of other accounts",
		    out->n > 0 ? ", " : "", n.elsewhere);
	return n.n;
}

/* -- test ------------------------------------------------------------------ */

/* Addresses and the rest of a request, in the arena that goes with it. */
struct policy_trial {
	struct request	     *q;
	struct arena	     *arena;
	struct policy_request r;
	char		      account[ACCOUNT_ID_SIZE];
	struct bytes	      from, *rcpts;
};

static int
trial_address(struct policy_trial *x, const char *option, const char *given,
    struct bytes *out)
{
	char normal[ADDRESS_TEXT_MAX];

	if (!address_normal_text(bytes_of(given), ADDRESS_ALLOW_UNDERSCORE |
		ADDRESS_ALLOW_LITERAL, normal, out))
		return request_refuse(x->q, BOOK_BAD_REQUEST,
		    "%s: not an address: %.254s", option, given);
	*out = arena_bytes(x->arena, *out);
	return 0;
}

static int
trial_addresses(struct policy_trial *x)
{
	json_t	   *list = arg_list(x->q, "rcpt"), *v;
	const char *from = arg_text(x->q, "from");
	const char *feedback = arg_text(x->q, "feedback");
	size_t	    i;

	if (from == NULL)
		return request_misuse(x->q, "--from is needed");
	if (trial_address(x, "from", from, &x->from) != 0 ||
	    trial_address(x, "feedback", feedback != NULL ? feedback : from,
		&x->r.feedback) != 0)
		return -1;
	x->r.from = (struct policy_list){ &x->from, 1 };
	x->rcpts = arena_alloc(x->arena, (json_array_size(list) + 1) *
	    sizeof(*x->rcpts));
	json_array_foreach(list, i, v) {
		if (trial_address(x, "rcpt", json_string_value(v),
			&x->rcpts[i]) != 0)
			return -1;
	}
	x->r.recipients = (struct policy_list){ x->rcpts,
		json_array_size(list) };
	return 0;
}

/* The principal; "" as user is the root. */
static int
trial_principal(struct policy_trial *x)
{
	const char  *given = arg_text(x->q, "user");
	struct bytes user;

	if (given == NULL)
		return request_misuse(x->q, "--user is needed");
	if (!policy_principal_from_text(bytes_of(given), x->account, &user))
		return request_refuse(x->q, BOOK_BAD_REQUEST, "user: not an "
		    "account or an ARN of a user: %.100s", given);
	x->r.account = x->account;
	x->r.user = user.n > 0 ? arena_text(x->arena, user) : NULL;
	return 0;
}

static int
trial_rest(struct policy_trial *x)
{
	static const struct bytes no_name = { "", 0 };
	const char *action = arg_text(x->q, "action");
	const char *ip = arg_text(x->q, "ip");

	x->r.action = action != NULL ? action : "ses:SendRawEmail";
	x->r.region = x->q->conf->server.region;
	x->r.names = (struct policy_list){ &no_name, 1 };
	x->r.secure = true;
	x->r.now = x->q->now;
	if (!bytes_starts(bytes_of(x->r.action), BYTES("ses:")))
		return request_refuse(x->q, BOOK_BAD_REQUEST,
		    "action: %.60s is none (ses:SendRawEmail)", x->r.action);
	if (ip != NULL && !conf_cidr_parse(bytes_of(ip), &x->r.source))
		return request_refuse(x->q, BOOK_BAD_REQUEST,
		    "ip: not an address: %.60s", ip);
	x->r.has_source = ip != NULL;
	return arg_time(x->q, "time", &x->r.now) < 0 ? -1 : 0;
}

struct trial_cover {
	const char *name;
	bool	    found;
};

static bool
trial_on_cover(void *cover, const struct identity *i)
{
	struct trial_cover *c = cover;

	c->found |= strcmp(i->name, c->name) == 0;
	return !c->found;
}

/* Documents of a credential are shown to its own account alone. */
static int
trial_credential(struct policy_trial *x, struct db_txn *t,
    struct credential **out)
{
	struct policy_work *w = x->q->state;
	int		    found;

	*out = NULL;
	if (x->r.user == NULL || strcmp(x->r.account, w->p.account) != 0)
		return 0;
	w->credential = mem_alloc(sizeof(*w->credential));
	found = credential_get(t, x->r.account, x->r.user, w->credential,
	    &x->q->err);
	if (found == 1)
		*out = w->credential;
	return found < 0 ? -1 : 0;
}

static void
trial_tell(struct policy_trial *x, const struct permission_verdict *v)
{
	struct policy_work *w = x->q->state;
	char		    why[900], statement[STATEMENT_SHOWN];
	const char	   *where = strcmp(v->of, w->p.identity) == 0 ? "" :
		      v->of;

	if (v->finding.sid != NULL && v->finding.sid[0] != '\0')
		bytes_text(bytes_of(v->finding.sid), statement,
		    sizeof(statement));
	else
		snprintf(statement, sizeof(statement), "%u",
		    v->finding.statement);
	if (v->policy != NULL)
		snprintf(why, sizeof(why), "statement %s of policy %s%s%s",
		    statement, v->policy, where[0] != '\0' ? " of " : "",
		    where);
	else if (v->by == PERMISSION_ROLE)
		snprintf(why, sizeof(why), "role %s of %s",
		    credential_role_to_text(w->credential->role), v->of);
	else
		snprintf(why, sizeof(why), "%s", v->permitted ?
		    "no statement, it is the owner" : "no statement allows it");
	request_set(x->q, "Decision", json_string(v->permitted ? "ALLOW" :
	    "DENY"));
	request_set(x->q, "Reason", json_of_bytes(bytes_of(why)));
	x->q->status = v->permitted ? 0 : 1;
}

static int
trial_run(struct policy_trial *x, struct db_txn *t)
{
	struct policy_work	  *w = x->q->state;
	struct permission_question p = { .txn = t, .version = 1,
		.owner = w->p.account, .address = x->from, .request = &x->r };
	struct trial_cover	   cover = { w->p.identity, false };
	struct credential	  *c;
	struct permission_verdict  v;
	struct identity		   room;

	if (identity_each_covering(t, w->p.account, x->from, x->r.now, &room,
		trial_on_cover, &cover, &x->q->err) < 0 ||
	    trial_credential(x, t, &c) < 0)
		return -1;
	if (!cover.found)
		return request_refuse(x->q, BOOK_BAD_REQUEST, "%s does not "
		    "let %.*s send: it is not verified, or does not cover it",
		    w->p.identity, (int)x->from.n, x->from.p);
	p.credential = c;
	if (permission_ask(w->permissions, &p, &v, &x->q->err) < 0)
		return -1;
	trial_tell(x, &v);
	return 0;
}

static int
policy_test_read(struct request *q, struct db_txn *t)
{
	struct policy_work *w = q->state;
	struct policy_trial x = { .q = q,
		.arena = arena_new(CONTROL_REQUEST_MAX) };
	int		    rc = policy_find_identity(q, t);

	w->permissions = permissions_new();
	if (rc == 0 && (trial_addresses(&x) != 0 || trial_principal(&x) != 0 ||
	    trial_rest(&x) != 0))
		rc = -1;
	if (rc == 0)
		rc = trial_run(&x, t);
	arena_free(x.arena);
	return rc;
}

static void
policy_test(struct request *q)
{
	if (policy_work_new(q) == NULL)
		request_end(q);
	else
		request_read(q, policy_test_read);
}

const struct command control_policy_commands[] = {
	{ "policy put", NEED_FULL, SCOPE_ACCOUNT, "PutIdentityPolicy",
	    "identity", policy_put },
	{ "policy list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, policy_list },
	{ "policy show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, policy_show },
	{ "policy delete", NEED_FULL, SCOPE_ACCOUNT, "DeleteIdentityPolicy",
	    "identity", policy_delete },
	{ "policy test", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, policy_test },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};

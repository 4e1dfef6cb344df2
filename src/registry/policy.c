/* SPDX-License-Identifier: ISC */
/*
 * The form of a document: what is refused, and what becomes of the rest.
 * Conditions are in policy_condition.c, the meaning in policy_judge.c.
 */
#include "registry/policy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "registry/policy_private.h"

enum {
	POLICY_MEMORY = 1024 * 1024, /* far above what 4 KB can become */
	POLICY_WARNINGS_FIRST = 4
};

bool
policy_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= POLICY_NAME_MAX &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

int
policy_malformed(struct policy_reader *r, const char *fmt, ...)
{
	char	why[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return book_refuse(r->e, BOOK_BAD_REQUEST,
	    "MalformedPolicyDocument: %s: %s", r->where, why);
}

void *
policy_room(struct policy_reader *r, size_t n, size_t size)
{
	void *p = arena_alloc(r->p->arena, n * size);

	if (p == NULL)
		(void)policy_malformed(r, "it needs too much memory");
	return p;
}

int
policy_warn(struct policy_reader *r, const char *fmt, ...)
{
	struct policy *p = r->p;
	const char   **more;
	char	       text[ERR_TEXT_MAX];
	va_list	       ap;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	if (p->warning_count == p->warning_room) {
		p->warning_room = p->warning_room == 0 ?
		    POLICY_WARNINGS_FIRST : p->warning_room * 2;
		more = policy_room(r, p->warning_room, sizeof(*more));
		if (more == NULL)
			return -1;
		if (p->warning_count > 0)
			memcpy(more, p->warnings,
			    p->warning_count * sizeof(*more));
		p->warnings = more;
	}
	p->warnings[p->warning_count] = arena_printf(p->arena, "%s: %s",
	    r->where, text);
	return p->warnings[p->warning_count++] == NULL ?
	    policy_malformed(r, "it needs too much memory") : 0;
}

/* A text, or a list of at least one, all text; *n of them, or -1. */
static int
policy_list_size(struct policy_reader *r, const json_t *v, const char *member,
    size_t *n)
{
	size_t i;

	*n = json_is_array(v) ? json_array_size(v) : 1;
	if (!json_is_string(v) && !json_is_array(v))
		return policy_malformed(r, "\"%s\" must be text or a list",
		    member);
	if (*n == 0)
		return policy_malformed(r, "\"%s\" is empty", member);
	for (i = 0; json_is_array(v) && i < *n; i++)
		if (!json_is_string(json_array_get(v, i)))
			return policy_malformed(r,
			    "\"%s\" must hold text only", member);
	return 0;
}

static struct bytes
policy_list_text(struct policy_reader *r, const json_t *v, size_t i)
{
	const json_t *one = json_is_array(v) ? json_array_get(v, i) : v;

	return arena_bytes(r->p->arena, (struct bytes){
	    json_string_value(one), json_string_length(one) });
}

/* -- principals ----------------------------------------------------------- */

static bool
take_part(struct bytes *text, struct bytes *part)
{
	ptrdiff_t colon = bytes_find(*text, 0, ':');

	if (colon < 0)
		return false;
	*part = bytes_head(*text, (size_t)colon);
	*text = bytes_from(*text, (size_t)colon + 1);
	return true;
}

static bool
is_account(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!ascii_is_digit(s.p[i]))
			return false;
	return s.n == ACCOUNT_ID_SIZE - 1;
}

static bool
is_user_name(struct bytes s)
{
	char name[CREDENTIAL_NAME_SIZE];

	return s.n > 0 && s.n < sizeof(name) &&
	    memchr(s.p, '\0', s.n) == NULL &&
	    credential_name_is_valid(bytes_text(s, name, sizeof(name)));
}

bool
policy_principal_from_text(struct bytes text, char account[13],
    struct bytes *user)
{
	struct bytes part[5] = { { NULL, 0 } };
	size_t	     i;

	*user = BYTES("");
	if (is_account(text)) {
		bytes_text(text, account, ACCOUNT_ID_SIZE);
		return true;
	}
	for (i = 0; i < 5; i++)
		if (!take_part(&text, &part[i]))
			return false;
	if (!bytes_eq_text(part[0], "arn") || part[1].n == 0 ||
	    !bytes_eq_text(part[2], "iam") || part[3].n != 0 ||
	    !is_account(part[4]))
		return false;
	bytes_text(part[4], account, ACCOUNT_ID_SIZE);
	if (bytes_eq_text(text, "root"))
		return true;
	if (!bytes_starts(text, BYTES("user/")))
		return false;
	*user = bytes_from(text, 5);
	return is_user_name(*user);
}

static int
policy_read_name(struct policy_reader *r, struct bytes name,
    struct policy_principal *out)
{
	out->who = WHO_EVERYBODY;
	if (bytes_eq_text(name, "*"))
		return 0;
	if (!policy_principal_from_text(name, out->account, &out->user))
		return policy_malformed(r, "unknown principal \"%.*s\"",
		    (int)(name.n < 100 ? name.n : 100), name.p);
	out->who = out->user.n > 0 ? WHO_USER : WHO_ACCOUNT;
	return 0;
}

static int
policy_read_names(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	size_t n, i;

	if (policy_list_size(r, v, "AWS", &n) < 0)
		return -1;
	s->principals = policy_room(r, n, sizeof(*s->principals));
	if (s->principals == NULL)
		return -1;
	for (i = 0; i < n; i++, s->principal_count++)
		if (policy_read_name(r, policy_list_text(r, v, i),
			&s->principals[i]) < 0)
			return -1;
	return 0;
}

static int
policy_read_principal(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	const char *name;
	json_t	   *member;
	size_t	    n;

	if (r->at->account == NULL)
		return policy_malformed(r, "\"Principal\" is not allowed in "
		    "a credential policy");
	if (json_is_string(v) && strcmp(json_string_value(v), "*") == 0)
		return policy_read_names(r, v, s);
	if (!json_is_object(v) || json_object_size(v) == 0)
		return policy_malformed(r, "\"Principal\" must be \"*\" or "
		    "an object with \"AWS\" or \"Service\"");
	json_object_foreach((json_t *)(uintptr_t)v, name, member) {
		if (strcmp(name, "AWS") == 0) {
			if (policy_read_names(r, member, s) < 0)
				return -1;
		} else if (strcmp(name, "Service") != 0) {
			return policy_malformed(r, "\"Principal\": unknown "
			    "member \"%.60s\"", name);
		} else if (policy_list_size(r, member, name, &n) < 0) {
			return -1; /* else: matches nobody */
		}
	}
	return 0;
}

/* -- actions -------------------------------------------------------------- */

static bool
is_pattern_word(struct bytes s)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz*?";
	size_t i;

	for (i = 0; i < s.n; i++)
		if (strchr(letters, s.p[i]) == NULL || s.p[i] == '\0')
			return false;
	return s.n > 0;
}

/* identities: known names only; credentials: any. */
static int
policy_read_action(struct policy_reader *r, struct bytes text,
    struct bytes *out)
{
	bool of_credential = r->at->account == NULL;

	*out = text;
	if (of_credential && bytes_eq_text(text, "*"))
		return 0;
	*out = bytes_from(text, text.n < 4 ? text.n : 4);
	if (!bytes_starts(text, BYTES("ses:")) || !is_pattern_word(*out) ||
	    (!of_credential && !policy_action_is_known(*out)))
		return policy_malformed(r, "unknown action \"%.*s\"",
		    (int)(text.n < 60 ? text.n : 60), text.p);
	return 0;
}

static int
policy_read_actions(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	size_t n, i;

	if (policy_list_size(r, v, "Action", &n) < 0)
		return -1;
	s->actions = policy_room(r, n, sizeof(*s->actions));
	if (s->actions == NULL)
		return -1;
	for (i = 0; i < n; i++, s->action_count++)
		if (policy_read_action(r, policy_list_text(r, v, i),
			&s->actions[i]) < 0)
			return -1;
	return 0;
}

/* -- resources ------------------------------------------------------------ */

bool
policy_arn_split(struct bytes arn, struct bytes part[POLICY_ARN_PARTS])
{
	size_t i;

	for (i = 0; i < POLICY_ARN_PARTS - 1; i++)
		if (!take_part(&arn, &part[i]))
			return false;
	part[i] = arn;
	return true;
}

bool
policy_identity_from_arn(struct bytes arn, struct bytes *account,
    struct bytes *name)
{
	struct bytes part[POLICY_ARN_PARTS];

	if (!policy_arn_split(arn, part) || !bytes_eq_text(part[0], "arn") ||
	    !bytes_eq_text(part[2], "ses") || !is_account(part[4]) ||
	    !bytes_starts(part[5], BYTES("identity/")))
		return false;
	*account = part[4];
	*name = bytes_from(part[5], sizeof("identity/") - 1);
	return name->n > 0;
}

/* The one resource of an identity's document is this identity. */
static bool
policy_is_own_resource(const struct policy_reader *r, struct bytes text)
{
	struct bytes account, name;
	char	     given[IDENTITY_NAME_SIZE], normal[IDENTITY_NAME_SIZE];
	struct err   unused;

	return policy_identity_from_arn(text, &account, &name) &&
	    bytes_eq_text(account, r->at->account) && name.n < sizeof(given) &&
	    memchr(name.p, '\0', name.n) == NULL &&
	    identity_normalize(bytes_text(name, given, sizeof(given)), normal,
		&unused) && strcmp(normal, r->at->identity) == 0;
}

static int
policy_read_resource(struct policy_reader *r, struct bytes text,
    struct policy_resource_pattern *out)
{
	int n = (int)(text.n < 100 ? text.n : 100);

	out->text = text;
	if (r->at->account != NULL)
		return policy_is_own_resource(r, text) ? 0 :
		    policy_malformed(r, "the resource must be the identity "
			"%s, not \"%.*s\"", r->at->identity, n, text.p);
	if (!bytes_eq_text(text, "*") && !bytes_starts(text, BYTES("arn:")))
		return policy_malformed(r, "unknown resource \"%.*s\"", n,
		    text.p);
	out->is_split = policy_arn_split(text, out->part);
	return 0;
}

static int
policy_read_resources(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	size_t n, i;

	if (policy_list_size(r, v, "Resource", &n) < 0)
		return -1;
	if (r->at->account != NULL && n != 1)
		return policy_malformed(r, "exactly one resource is wanted");
	s->resources = policy_room(r, n, sizeof(*s->resources));
	if (s->resources == NULL)
		return -1;
	for (i = 0; i < n; i++, s->resource_count++)
		if (policy_read_resource(r, policy_list_text(r, v, i),
			&s->resources[i]) < 0)
			return -1;
	return 0;
}

/* -- statements ----------------------------------------------------------- */

static int
policy_read_sid(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	if (!json_is_string(v))
		return policy_malformed(r, "\"Sid\" must be text");
	s->sid = arena_text(r->p->arena, bytes_of(json_string_value(v)));
	return s->sid != NULL ? 0 : policy_malformed(r, "too long");
}

static int
policy_read_effect(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	const char *effect = json_string_value(v);

	if (effect != NULL && strcmp(effect, "Allow") == 0)
		s->effect = POLICY_ALLOW;
	else if (effect != NULL && strcmp(effect, "Deny") == 0)
		s->effect = POLICY_DENY;
	else
		return policy_malformed(r,
		    "\"Effect\" must be \"Allow\" or \"Deny\"");
	return 0;
}

static int
policy_read_member(struct policy_reader *r, const char *name, const json_t *v,
    struct policy_statement *s)
{
	static const struct {
		const char *name;
		int (*read)(struct policy_reader *r, const json_t *v,
		    struct policy_statement *s);
	} members[] = {
		{ "Sid", policy_read_sid },
		{ "Effect", policy_read_effect },
		{ "Principal", policy_read_principal },
		{ "Action", policy_read_actions },
		{ "Resource", policy_read_resources },
		{ "Condition", policy_read_conditions },
	};
	size_t i;

	for (i = 0; i < sizeof(members) / sizeof(members[0]); i++)
		if (strcmp(name, members[i].name) == 0)
			return members[i].read(r, v, s);
	if (strcmp(name, "NotAction") == 0 ||
	    strcmp(name, "NotResource") == 0 ||
	    strcmp(name, "NotPrincipal") == 0)
		return policy_malformed(r, "\"%s\" is not available", name);
	return policy_malformed(r, "unknown member \"%.60s\"", name);
}

static bool
statement_is_for_everybody(const struct policy_statement *s)
{
	size_t i;

	for (i = 0; i < s->principal_count; i++)
		if (s->principals[i].who == WHO_EVERYBODY)
			return true;
	return false;
}

static int
policy_read_statement(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	static const char *const wanted[] = { "Effect", "Action", "Resource",
		"Principal" };
	size_t	    count = r->at->account == NULL ? 3 : 4, i;
	const char *name;
	json_t	   *member;

	if (!json_is_object(v))
		return policy_malformed(r, "must be an object");
	json_object_foreach((json_t *)(uintptr_t)v, name, member) {
		if (policy_read_member(r, name, member, s) < 0)
			return -1;
	}
	for (i = 0; i < count; i++)
		if (json_object_get(v, wanted[i]) == NULL)
			return policy_malformed(r, "\"%s\" is missing",
			    wanted[i]);
	if (s->effect == POLICY_ALLOW && s->condition_count == 0 &&
	    statement_is_for_everybody(s))
		return policy_warn(r, "everybody may do this, without any "
		    "condition");
	return 0;
}

static int
policy_read_root(struct policy_reader *r, const json_t *root)
{
	struct policy *p = r->p;
	const json_t  *list;
	const char    *name;
	json_t	      *v;
	size_t	       n, i;

	if (!json_is_object(root))
		return policy_malformed(r, "must be an object");
	json_object_foreach((json_t *)(uintptr_t)root, name, v) {
		if (strcmp(name, "Statement") == 0)
			continue;
		if (strcmp(name, "Version") != 0 && strcmp(name, "Id") != 0)
			return policy_malformed(r,
			    "unknown member \"%.60s\"", name);
		if (!json_is_string(v))
			return policy_malformed(r, "\"%s\" must be text",
			    name);
	}
	list = json_object_get(root, "Statement");
	if (list == NULL || (json_is_array(list) && json_array_size(list) == 0))
		return policy_malformed(r, "no statement");
	n = json_is_array(list) ? json_array_size(list) : 1;
	p->statements = policy_room(r, n, sizeof(*p->statements));
	for (i = 0; p->statements != NULL && i < n; i++) {
		snprintf(r->where, sizeof(r->where), "statement %zu", i + 1);
		if (policy_read_statement(r, json_is_array(list) ?
			json_array_get(list, i) : list, &p->statements[i]) < 0)
			return -1;
		p->statement_count++;
	}
	return p->statements != NULL ? 0 : -1;
}

/* -- the document --------------------------------------------------------- */

static json_t *
policy_load(struct policy_reader *r, struct bytes text)
{
	json_error_t je;
	json_t	    *root;

	if (text.n > POLICY_TEXT_MAX) {
		(void)policy_malformed(r, "more than %d octets",
		    POLICY_TEXT_MAX);
		return NULL;
	}
	root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &je);
	if (root == NULL) {
		snprintf(r->where, sizeof(r->where), "line %d", je.line);
		(void)policy_malformed(r, "%s", je.text);
	}
	return root;
}

struct policy *
policy_new(const struct policy_place *at, struct bytes text, struct err *e)
{
	struct policy_reader r = { .at = at, .where = "document", .e = e };
	json_t		    *root = policy_load(&r, text);
	int		     rc;

	if (root == NULL)
		return NULL;
	r.p = mem_alloc(sizeof(*r.p));
	r.p->arena = arena_new(POLICY_MEMORY);
	r.p->of_identity = at->account != NULL;
	rc = policy_read_root(&r, root);
	json_decref(root);
	if (rc == 0)
		return r.p;
	policy_free(r.p);
	return NULL;
}

void
policy_free(struct policy *p)
{
	if (p == NULL)
		return;
	arena_free(p->arena);
	mem_free(p);
}

size_t
policy_octets(const struct policy *p)
{
	return sizeof(*p) + arena_used(p->arena);
}

const char *
policy_warning(const struct policy *p, size_t i)
{
	return i < p->warning_count ? p->warnings[i] : NULL;
}

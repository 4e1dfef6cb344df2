/* SPDX-License-Identifier: ISC */
#include "registry/policy.h"

#include <jansson.h>
#include <stdarg.h>
#include <stdbool.h>
#include <stdio.h>
#include <string.h>

#include "registry/book.h"
#include "registry/credential.h"

enum { WHERE_SIZE = 80, ARN_PARTS = 6 };

bool
policy_name_is_valid(const char *name)
{
	size_t n = strlen(name);

	return n >= 1 && n <= POLICY_NAME_MAX &&
	    strspn(name, "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
			 "abcdefghijklmnopqrstuvwxyz0123456789-_") == n;
}

static int malformed(struct err *e, const char *where, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));

static int
malformed(struct err *e, const char *where, const char *fmt, ...)
{
	char	why[ERR_TEXT_MAX];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(why, sizeof(why), fmt, ap);
	va_end(ap);
	return book_refuse(e, BOOK_BAD_REQUEST,
	    "MalformedPolicyDocument: %s: %s", where, why);
}

/* -- form ----------------------------------------------------------------- */

static bool
action_is_valid(const char *a)
{
	static const char letters[] = "ABCDEFGHIJKLMNOPQRSTUVWXYZ"
				      "abcdefghijklmnopqrstuvwxyz*?";

	if (strcmp(a, "*") == 0)
		return true;
	if (strncmp(a, "ses:", 4) != 0 || a[4] == '\0')
		return false;
	return strspn(a + 4, letters) == strlen(a + 4);
}

static bool
resource_is_valid(const char *r)
{
	return strcmp(r, "*") == 0 || strncmp(r, "arn:", 4) == 0;
}

/* A string, or a list of at least one. */
static int
policy_check_strings(const json_t *v, const char *where, const char *member,
    bool (*is_valid)(const char *), struct err *e)
{
	const json_t *one;
	size_t	      i, n = json_is_array(v) ? json_array_size(v) : 1;

	if (!json_is_string(v) && !json_is_array(v))
		return malformed(e, where, "\"%s\" must be text or a list",
		    member);
	if (n == 0)
		return malformed(e, where, "\"%s\" is empty", member);
	for (i = 0; i < n; i++) {
		one = json_is_array(v) ? json_array_get(v, i) : v;
		if (!json_is_string(one))
			return malformed(e, where,
			    "\"%s\" must hold text only", member);
		if (!is_valid(json_string_value(one)))
			return malformed(e, where, "unknown %s \"%.60s\"",
			    strcmp(member, "Action") == 0 ? "action" :
							    "resource",
			    json_string_value(one));
	}
	return 0;
}

static int
policy_check_member(const char *where, const char *name, const json_t *v,
    struct err *e)
{
	const char *effect;

	if (strcmp(name, "Sid") == 0) {
		if (!json_is_string(v))
			return malformed(e, where, "\"Sid\" must be text");
		return 0;
	}
	if (strcmp(name, "Effect") == 0) {
		effect = json_string_value(v);
		if (effect == NULL || (strcmp(effect, "Allow") != 0 &&
		    strcmp(effect, "Deny") != 0))
			return malformed(e, where,
			    "\"Effect\" must be \"Allow\" or \"Deny\"");
		return 0;
	}
	if (strcmp(name, "Action") == 0)
		return policy_check_strings(v, where, name, action_is_valid,
		    e);
	if (strcmp(name, "Resource") == 0)
		return policy_check_strings(v, where, name, resource_is_valid,
		    e);
	if (strcmp(name, "Condition") == 0)
		return malformed(e, where,
		    "conditions are not available in this release");
	if (strcmp(name, "Principal") == 0)
		return malformed(e, where,
		    "\"Principal\" is not allowed in a credential policy");
	if (strcmp(name, "NotAction") == 0 ||
	    strcmp(name, "NotResource") == 0 ||
	    strcmp(name, "NotPrincipal") == 0)
		return malformed(e, where, "\"%s\" is not available", name);
	return malformed(e, where, "unknown member \"%.60s\"", name);
}

static int
policy_check_statement(const json_t *s, const char *where, struct err *e)
{
	static const char *const wanted[] = { "Effect", "Action", "Resource" };
	const char		*name;
	json_t			*v;
	size_t			 i;

	if (!json_is_object(s))
		return malformed(e, where, "must be an object");
	json_object_foreach((json_t *)(uintptr_t)s, name, v) {
		if (policy_check_member(where, name, v, e) < 0)
			return -1;
	}
	for (i = 0; i < sizeof(wanted) / sizeof(wanted[0]); i++) {
		if (json_object_get(s, wanted[i]) == NULL)
			return malformed(e, where, "\"%s\" is missing",
			    wanted[i]);
	}
	return 0;
}

static int
policy_check_root(const json_t *root, struct err *e)
{
	char	      where[WHERE_SIZE];
	const json_t *list;
	const char   *name;
	json_t	     *v;
	size_t	      i;

	if (!json_is_object(root))
		return malformed(e, "document", "must be an object");
	json_object_foreach((json_t *)(uintptr_t)root, name, v) {
		if (strcmp(name, "Statement") == 0)
			continue;
		if (strcmp(name, "Version") != 0 && strcmp(name, "Id") != 0)
			return malformed(e, "document",
			    "unknown member \"%.60s\"", name);
		if (!json_is_string(v))
			return malformed(e, "document",
			    "\"%s\" must be text", name);
	}
	list = json_object_get(root, "Statement");
	if (list == NULL || (json_is_array(list) && json_array_size(list) == 0))
		return malformed(e, "document", "no statement");
	if (!json_is_array(list))
		return policy_check_statement(list, "statement 1", e);
	for (i = 0; i < json_array_size(list); i++) {
		snprintf(where, sizeof(where), "statement %zu", i + 1);
		if (policy_check_statement(json_array_get(list, i), where,
			e) < 0)
			return -1;
	}
	return 0;
}

static json_t *
policy_parse(struct bytes text, struct err *e)
{
	char	     where[WHERE_SIZE];
	json_error_t je;
	json_t	    *root;

	if (text.n > POLICY_TEXT_MAX) {
		malformed(e, "document", "more than %d octets",
		    POLICY_TEXT_MAX);
		return NULL;
	}
	root = json_loadb(text.p, text.n, JSON_REJECT_DUPLICATES, &je);
	if (root == NULL) {
		snprintf(where, sizeof(where), "line %d", je.line);
		malformed(e, where, "%s", je.text);
		return NULL;
	}
	if (policy_check_root(root, e) < 0) {
		json_decref(root);
		return NULL;
	}
	return root;
}

int
policy_check(struct bytes text, struct err *e)
{
	json_t *root = policy_parse(text, e);

	if (root == NULL)
		return -1;
	json_decref(root);
	return 0;
}

/* -- meaning -------------------------------------------------------------- */

static bool
action_matches(const char *pattern, const char *action)
{
	if (strcmp(pattern, "*") == 0)
		return true;
	/* behind the prefix without case: a domain is globbed that way */
	return credential_glob_matches(bytes_of(pattern + 4),
	    bytes_of(action + 4));
}

/* arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME; false = has fewer parts. */
static bool
arn_split(struct bytes arn, struct bytes parts[ARN_PARTS])
{
	ptrdiff_t colon;
	int	  i;

	for (i = 0; i < ARN_PARTS - 1; i++) {
		colon = bytes_find(arn, 0, ':');
		if (colon < 0)
			return false;
		parts[i] = bytes_head(arn, (size_t)colon);
		arn = bytes_from(arn, (size_t)colon + 1);
	}
	parts[i] = arn;
	return true;
}

/* Partition and region are not compared (identities 1). */
static bool
resource_matches(const char *pattern, const char *resource)
{
	struct bytes want[ARN_PARTS], have[ARN_PARTS];

	if (strcmp(pattern, "*") == 0)
		return true;
	if (!arn_split(bytes_of(resource), have))
		return false;
	if (!arn_split(bytes_of(pattern), want))
		return credential_glob_matches(bytes_of(pattern),
		    bytes_of(resource));
	return credential_glob_matches(want[2], have[2]) &&
	    credential_glob_matches(want[4], have[4]) &&
	    credential_glob_matches(want[5], have[5]);
}

static bool
policy_list_matches(const json_t *list, const char *value,
    bool (*matches)(const char *, const char *))
{
	size_t i;

	if (json_is_string(list))
		return matches(json_string_value(list), value);
	for (i = 0; i < json_array_size(list); i++) {
		if (matches(json_string_value(json_array_get(list, i)),
			value))
			return true;
	}
	return false;
}

static bool
policy_statement_applies(const json_t *s, const char *action,
    const char *const *resources, size_t n)
{
	const json_t *list = json_object_get(s, "Resource");
	size_t	      i;

	if (!policy_list_matches(json_object_get(s, "Action"), action,
		action_matches))
		return false;
	for (i = 0; i < n; i++) {
		if (policy_list_matches(list, resources[i], resource_matches))
			return true;
	}
	return false;
}

enum policy_effect
policy_judge(struct bytes text, const char *action,
    const char *const *resources, size_t n)
{
	struct err	   unused;
	json_t		  *root = policy_parse(text, &unused);
	const json_t	  *list, *s;
	enum policy_effect effect = POLICY_NONE;
	size_t		   i, count;

	if (root == NULL)
		return POLICY_DENY;
	list = json_object_get(root, "Statement");
	count = json_is_array(list) ? json_array_size(list) : 1;
	for (i = 0; i < count && effect != POLICY_DENY; i++) {
		s = json_is_array(list) ? json_array_get(list, i) : list;
		if (!policy_statement_applies(s, action, resources, n))
			continue;
		effect = strcmp(json_string_value(json_object_get(s,
				    "Effect")), "Allow") == 0 ?
		    POLICY_ALLOW : POLICY_DENY;
	}
	json_decref(root);
	return effect;
}

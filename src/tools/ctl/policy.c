/* SPDX-License-Identifier: ISC */
/* Policies of identities. */
#include <stdlib.h>
#include <string.h>

#include "registry/policy.h"
#include "tools/ctl/ctl.h"

enum { DOCUMENT_MAX = 1024 * 1024 }; /* the daemon says what is too long */

/* The document itself is sent. */
static int
policy_prepare_put(struct ctl *c)
{
	struct buf text;
	json_t	  *v = NULL;

	buf_init(&text, DOCUMENT_MAX);
	if (ctl_read_input(c, ctl_arg(c, "document"), &text)) {
		v = json_stringn(text.p != NULL ? text.p : "", text.n);
		if (v == NULL)
			ctl_say_misuse(c, "%s: not UTF-8",
			    ctl_arg(c, "document"));
	}
	buf_wipe(&text);
	if (v == NULL)
		return CTL_REFUSED;
	json_object_set_new(c->args, "document", v);
	return 0;
}

/* One document is printed byte for byte, of several each with its name. */
static void
policy_print_shown(struct ctl *c, json_t *result)
{
	bool	    one = ctl_arg(c, "policy") != NULL;
	const char *name;
	json_t	   *text;

	json_object_foreach(json_object_get(result, "Policies"), name, text) {
		if (!one)
			printf("%s\n", name);
		if (json_is_string(text))
			fwrite(json_string_value(text), 1,
			    json_string_length(text), stdout);
		if (!one)
			putchar('\n');
	}
}

static void
policy_print_names(struct ctl *c, json_t *result)
{
	if (c->form == CTL_CSV && !c->no_header)
		puts("name");
	ctl_print_texts(json_object_get(result, "PolicyNames"));
}

static void
policy_print_decision(struct ctl *c, json_t *result)
{
	(void)c;
	printf("%s %s\n",
	    json_string_value(json_object_get(result, "Decision")),
	    json_string_value(json_object_get(result, "Reason")));
}

/* -- policy template: a document to begin with ---------------------------- */

/* One as it is, several as a list. */
static json_t *
template_words(json_t *list)
{
	return json_array_size(list) == 1 ? json_incref(json_array_get(list,
	    0)) : json_incref(list);
}

/* Where the key begins in OPERATOR:KEY; NULL = there is none. */
static const char *
template_key(const char *text)
{
	const char *ses = strstr(text, ":ses:"), *aws = strstr(text, ":aws:");
	const char *at = ses == NULL || (aws != NULL && aws < ses) ? aws : ses;

	return at == NULL || at == text ? NULL : at + 1;
}

/* OPERATOR:KEY=VALUE; the same operator and key again: one more value. */
static bool
template_add_condition(struct ctl *c, json_t *all, const char *text)
{
	const char *key = template_key(text);
	const char *value = key == NULL ? NULL : strchr(key, '=');
	json_t	   *keys, *values;
	char	    op[80], name[80];

	if (value == NULL || (size_t)(key - text) > sizeof(op) ||
	    (size_t)(value - key) >= sizeof(name)) {
		ctl_say_misuse(c, "--condition: %s is not OPERATOR:KEY=VALUE",
		    text);
		return false;
	}
	bytes_text((struct bytes){ text, (size_t)(key - text) - 1 }, op,
	    sizeof(op));
	bytes_text((struct bytes){ key, (size_t)(value - key) }, name,
	    sizeof(name));
	keys = json_object_get(all, op);
	if (keys == NULL) {
		keys = json_object();
		json_object_set_new(all, op, keys);
	}
	values = json_object_get(keys, name);
	if (values == NULL) {
		values = json_array();
		json_object_set_new(keys, name, values);
	}
	if (json_array_append_new(values, json_string(value + 1)) == 0)
		return true;
	ctl_say_misuse(c, "--condition: %s: not UTF-8", text);
	return false;
}

/* The statement without its resource; NULL = said why. */
static json_t *
template_statement(struct ctl *c)
{
	json_t	   *who = json_object_get(c->args, "principal");
	json_t	   *what = json_object_get(c->args, "action");
	json_t	   *when = json_object(), *out = json_object(), *v;
	const char *effect = ctl_arg(c, "effect");
	size_t	    i;

	json_object_set_new(out, "Effect",
	    json_string(effect != NULL ? effect : "Allow"));
	if (who != NULL)
		json_object_set_new(out, "Principal",
		    json_pack("{s:o}", "AWS", template_words(who)));
	json_object_set_new(out, "Action", what != NULL ? template_words(what)
		: json_pack("[s, s]", "ses:SendEmail", "ses:SendRawEmail"));
	json_object_set_new(out, "Resource", json_string("*"));
	json_array_foreach(json_object_get(c->args, "condition"), i, v)
		if (!template_add_condition(c, when, json_string_value(v))) {
			json_decref(when);
			json_decref(out);
			return NULL;
		}
	if (json_object_size(when) > 0)
		json_object_set(out, "Condition", when);
	json_decref(when);
	return out;
}

/* As the daemon will read it once the resource is filled in. */
static bool
template_is_sound(struct ctl *c, json_t *document, bool of_identity)
{
	static const struct policy_place at = { "123456789012",
		"example.com" };
	static const struct policy_place on_credential = { NULL, "" };
	char	      *text = json_dumps(document, JSON_COMPACT);
	struct policy *p = NULL;
	struct err     e;
	const char    *warning;
	size_t	       i;

	if (text == NULL)
		(void)err_set(&e, "out of memory");
	else
		p = policy_new(of_identity ? &at : &on_credential,
		    bytes_of(text), &e);
	free(text);
	if (p == NULL) {
		ctl_say_misuse(c, "%s", e.text);
		return false;
	}
	for (i = 0; (warning = policy_warning(p, i)) != NULL; i++)
		fprintf(stderr, "warning: %s\n", warning);
	policy_free(p);
	return true;
}

/* With a principal it is one of an identity, whose ARN is still to be put in;
 * without one, of a credential. */
static int
policy_template(struct ctl *c)
{
	bool	of_identity = json_object_get(c->args, "principal") != NULL;
	json_t *statement = template_statement(c), *document;
	int	status = CTL_REFUSED;

	if (statement == NULL)
		return CTL_USAGE;
	document = json_pack("{s:s, s:[O]}", "Version", "2012-10-17",
	    "Statement", statement);
	if (of_identity)
		json_object_set_new(statement, "Resource", json_string(
		    "arn:aws:ses:us-east-1:123456789012:identity/"
		    "example.com"));
	if (template_is_sound(c, document, of_identity)) {
		if (of_identity)
			json_object_set_new(statement, "Resource",
			    json_string("arn:aws:ses:REGION:ACCOUNT:identity/"
				"IDENTITY"));
		ctl_print_json(document);
		status = CTL_DONE;
	}
	json_decref(statement);
	json_decref(document);
	return status;
}

const struct ctl_command ctl_policy_commands[] = {
	{ .verb = "policy put", .arguments = "name policy document",
	    .usage = "IDENTITY NAME FILE", .prepare = policy_prepare_put,
	    .show = ctl_print_nothing },
	{ .verb = "policy list", .csv = "",
	    .arguments = "name", .usage = "IDENTITY",
	    .show = policy_print_names },
	{ .verb = "policy show", .arguments = "name policy?",
	    .usage = "IDENTITY [NAME]", .show = policy_print_shown },
	{ .verb = "policy delete", .arguments = "name policy",
	    .usage = "IDENTITY NAME", .show = ctl_print_nothing },
	{ .verb = "policy test", .arguments = "name", .usage = "IDENTITY",
	    .options = "user:text from:text feedback:text rcpt:many "
		       "action:text time:time ip:text",
	    .show = policy_print_decision },
	{ .verb = "policy template",
	    .options = "effect:text principal:many action:many "
		       "condition:many",
	    .local = policy_template },
	{ .verb = NULL }
};

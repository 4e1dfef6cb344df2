/* SPDX-License-Identifier: ISC */
/* Policies of identities. */
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
		fwrite(json_string_value(text), 1, json_string_length(text),
		    stdout);
		if (!one)
			putchar('\n');
	}
}

static void
policy_print_names(struct ctl *c, json_t *result)
{
	(void)c;
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

const struct ctl_command ctl_policy_commands[] = {
	{ .verb = "policy put", .arguments = "name policy document",
	    .usage = "IDENTITY NAME FILE", .prepare = policy_prepare_put,
	    .show = ctl_print_nothing },
	{ .verb = "policy list", .arguments = "name", .usage = "IDENTITY",
	    .show = policy_print_names },
	{ .verb = "policy show", .arguments = "name policy?",
	    .usage = "IDENTITY [NAME]", .show = policy_print_shown },
	{ .verb = "policy delete", .arguments = "name policy",
	    .usage = "IDENTITY NAME", .show = ctl_print_nothing },
	{ .verb = "policy test", .arguments = "name", .usage = "IDENTITY",
	    .options = "user:text from:text feedback:text rcpt:many "
		       "action:text time:time ip:text",
	    .show = policy_print_decision },
	{ .verb = NULL }
};

/* SPDX-License-Identifier: ISC */
/* Topics. */
#include <stdio.h>

#include "tools/ctl/ctl.h"

#define SUBSCRIPTIONS "webhook:many file:many format:text"

static const char *
text_of(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "-";
}

/* The ARN of what was made, then each subscription with its secret. */
static void
topic_print_made(struct ctl *c, json_t *r)
{
	json_t *row;
	size_t	i;
	bool	has_secret = false;

	(void)c;
	if (json_object_get(r, "TopicArn") != NULL)
		printf("%s\n", text_of(r, "TopicArn"));
	json_array_foreach(json_object_get(r, "Subscriptions"), i, row) {
		printf("%s  %s", text_of(row, "SubscriptionId"),
		    text_of(row, "Endpoint"));
		if (json_object_get(row, "Secret") != NULL) {
			printf("  %s", text_of(row, "Secret"));
			has_secret = true;
		}
		putchar('\n');
	}
	if (has_secret)
		puts("A secret is not shown again.");
}

static void
topic_print_secret(struct ctl *c, json_t *r)
{
	(void)c;
	if (json_object_get(r, "Secret") != NULL)
		printf("secret  %s\nThis secret is not shown again.\n",
		    text_of(r, "Secret"));
}

static void
topic_print_tested(struct ctl *c, json_t *r)
{
	ctl_print_table(c, json_object_get(r, "Subscriptions"),
	    "id=SubscriptionId endpoint=Endpoint result=Result");
}

/* One subscription after the other may let it wait for its 15 seconds. */
static int
topic_prepare_test(struct ctl *c)
{
	enum { PATIENCE_MS = 240 * 1000 };

	ctl_be_patient(c, PATIENCE_MS);
	return CTL_DONE;
}

const struct ctl_command ctl_topic_commands[] = {
	{ .verb = "topic create", .arguments = "name", .usage = "NAME",
	    .options = SUBSCRIPTIONS " publisher:words",
	    .show = topic_print_made },
	{ .verb = "topic list", .list = "Topics",
	    .columns = "name=Name subscriptions=Subscriptions "
		       "enabled=Enabled backlog=Backlog "
		       "last-result=LastResult" },
	{ .verb = "topic show", .arguments = "name", .usage = "NAME" },
	{ .verb = "topic set", .arguments = "name", .usage = "NAME",
	    .options = "publisher:words enable:words disable:words",
	    .show = ctl_print_nothing },
	{ .verb = "topic delete", .arguments = "name", .usage = "NAME",
	    .options = "force:flag", .show = ctl_print_nothing },
	{ .verb = "topic test", .arguments = "name", .usage = "NAME",
	    .prepare = topic_prepare_test, .show = topic_print_tested },
	{ .verb = "topic subscribe", .arguments = "name", .usage = "NAME",
	    .options = SUBSCRIPTIONS, .show = topic_print_made },
	{ .verb = "topic unsubscribe", .arguments = "name id",
	    .usage = "NAME ID", .show = ctl_print_nothing },
	{ .verb = "topic rotate-secret", .arguments = "name id",
	    .usage = "NAME ID", .show = topic_print_secret },
	{ .verb = NULL }
};

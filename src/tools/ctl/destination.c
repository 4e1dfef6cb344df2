/* SPDX-License-Identifier: ISC */
/* Event destinations of configuration sets. */
#include <stdio.h>

#include "registry/destination.h"
#include "tools/ctl/ctl.h"

#define OPTIONS \
	"types:words file:text rotate-size:size rotate:text keep:int " \
	"sync:text webhook:text format:text timeout:int in-flight:int " \
	"header:many metrics:many topic:text filter:text "

static void
secret_print(struct ctl *c, json_t *r)
{
	const char *secret = json_string_value(json_object_get(r, "Secret"));

	(void)c;
	if (secret != NULL)
		printf("secret  %s\nThis secret is not shown again.\n",
		    secret);
}

/* Its --timeout is up to a minute, and DNS takes its own time. */
static int
destination_prepare_test(struct ctl *c)
{
	enum { PATIENCE_MS = 90 * 1000 };

	ctl_be_patient(c, PATIENCE_MS);
	return CTL_DONE;
}

const struct ctl_command ctl_destination_commands[] = {
	{ .verb = "config-set dest add", .arguments = "set name",
	    .usage = "SET NAME",
	    .options = OPTIONS "compress:flag extensions:flag disabled:flag",
	    .json = "", .document = "document",
	    .skeleton = destination_skeleton,
	    .show = secret_print },
	{ .verb = "config-set dest list", .arguments = "set", .usage = "SET",
	    .list = "EventDestinations",
	    .columns = "name=Name enabled=Enabled kind=Kind target=Target "
		       "types=MatchingEventTypes backlog=Backlog "
		       "last-result=LastResult" },
	{ .verb = "config-set dest show", .arguments = "set name",
	    .usage = "SET NAME" },
	{ .verb = "config-set dest set", .arguments = "set name",
	    .usage = "SET NAME", .options = OPTIONS "compress:text extensions:text",
	    .json = "", .document = "document",
	    .skeleton = destination_skeleton,
	    .show = secret_print },
	{ .verb = "config-set dest enable", .arguments = "set name",
	    .usage = "SET NAME", .show = ctl_print_nothing },
	{ .verb = "config-set dest disable", .arguments = "set name",
	    .usage = "SET NAME", .show = ctl_print_nothing },
	{ .verb = "config-set dest delete", .arguments = "set name",
	    .usage = "SET NAME", .confirm = "name",
	    .show = ctl_print_nothing },
	{ .verb = "config-set dest test", .arguments = "set name",
	    .usage = "SET NAME", .prepare = destination_prepare_test },
	{ .verb = "config-set dest rotate-secret", .arguments = "set name",
	    .usage = "SET NAME", .show = secret_print },
	{ .verb = "event pending", .options = "config-set:text dest:text",
	    .list = "PendingEvents",
	    .columns = "id=EventId type=Type destination=Destination "
		       "attempts=Attempts next=Next last-result=LastResult" },
	{ .verb = "event retry", .options = "config-set:text dest:text",
	    .show = ctl_print_nothing },
	{ .verb = "event purge", .options = "dest:text", .confirm = "dest",
	    .show = ctl_print_nothing },
	{ .verb = "event reopen", .show = ctl_print_nothing },
	{ .verb = "event replay",
	    .options = "dest:text since:time types:words",
	    .show = ctl_print_nothing },
	{ .verb = NULL }
};

/* SPDX-License-Identifier: ISC */
/* The installation: status, reload, stop, figures, audit, blocks. */
#include <string.h>

#include "tools/ctl/ctl.h"

/* Nothing on success, as for all commands that change. */
static void
system_print_nothing(struct ctl *c, json_t *result)
{
	(void)c;
	(void)result;
}

/* A member that is a text with lines of its own. */
static void
system_print_text(struct ctl *c, json_t *result)
{
	const char *name;
	json_t	   *v, *item;
	size_t	    i;

	(void)c;
	json_object_foreach(result, name, v) {
		if (json_is_string(v))
			fputs(json_string_value(v), stdout);
		json_array_foreach(v, i, item)
			puts(json_string_value(item));
	}
}

static void
system_on_line(struct ctl *c, json_t *line)
{
	(void)c;
	json_dumpf(line, stdout, JSON_COMPACT | JSON_REAL_PRECISION(15));
	putchar('\n');
	fflush(stdout);
}

static int
system_stream(struct ctl *c)
{
	json_t *result = NULL, *rows, *v;
	size_t	i;
	int	status;

	if (strcmp(c->command->verb, "audit tail") == 0)
		json_object_set_new(c->args, "follow", json_true());
	status = ctl_call(c, c->command->verb, system_on_line, &result);
	rows = json_object_get(result, "Records");
	json_array_foreach(rows, i, v)
		system_on_line(c, v);
	json_decref(result);
	return status;
}

const struct ctl_command ctl_system_commands[] = {
	{ .verb = "status" },
	{ .verb = "reload", .show = system_print_nothing },
	{ .verb = "stop", .options = "now:flag",
	    .show = system_print_nothing },
	{ .verb = "metrics", .arguments = "pattern?",
	    .show = system_print_text },
	{ .verb = "smtp-settings" },
	{ .verb = "store stat" },
	{ .verb = "store backup", .arguments = "dir", .usage = "DIR",
	    .show = system_print_nothing },
	{ .verb = "spf print", .show = system_print_text },
	{ .verb = "auth blocks", .list = "Blocks",
	    .columns = "address=Address failures=Failures "
		       "blocked-until=BlockedUntil" },
	{ .verb = "auth unblock", .arguments = "address", .usage = "ADDRESS",
	    .show = system_print_nothing },
	{ .verb = "audit list",
	    .options = "since:time actor:text event:text limit:int",
	    .local = system_stream },
	{ .verb = "audit tail", .options = "actor:text event:text",
	    .local = system_stream },
	{ .verb = NULL }
};

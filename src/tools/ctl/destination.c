/* SPDX-License-Identifier: ISC */
/* Event destinations of configuration sets. */
#include "registry/destination.h"
#include "tools/ctl/ctl.h"

#define FILE_OPTIONS \
	"types:words file:text rotate-size:size rotate:text keep:int " \
	"sync:text "

const struct ctl_command ctl_destination_commands[] = {
	{ .verb = "config-set dest add", .arguments = "set name",
	    .usage = "SET NAME",
	    .options = FILE_OPTIONS "extensions:flag disabled:flag",
	    .json = "", .document = "document",
	    .skeleton = destination_skeleton,
	    .show = ctl_print_nothing },
	{ .verb = "config-set dest list", .arguments = "set", .usage = "SET",
	    .list = "EventDestinations",
	    .columns = "name=Name enabled=Enabled kind=Kind target=Target "
		       "types=MatchingEventTypes backlog=Backlog "
		       "last-result=LastResult" },
	{ .verb = "config-set dest show", .arguments = "set name",
	    .usage = "SET NAME" },
	{ .verb = "config-set dest set", .arguments = "set name",
	    .usage = "SET NAME", .options = FILE_OPTIONS "extensions:text",
	    .json = "", .document = "document",
	    .skeleton = destination_skeleton,
	    .show = ctl_print_nothing },
	{ .verb = "config-set dest enable", .arguments = "set name",
	    .usage = "SET NAME", .show = ctl_print_nothing },
	{ .verb = "config-set dest disable", .arguments = "set name",
	    .usage = "SET NAME", .show = ctl_print_nothing },
	{ .verb = "config-set dest delete", .arguments = "set name",
	    .usage = "SET NAME", .show = ctl_print_nothing },
	{ .verb = "config-set dest test", .arguments = "set name",
	    .usage = "SET NAME" },
	{ .verb = NULL }
};

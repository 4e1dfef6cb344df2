/* SPDX-License-Identifier: ISC */
/* Configuration sets. */
#include <string.h>

#include "registry/config_set.h"
#include "tools/ctl/ctl.h"

#define SET_OPTIONS \
	"tls:text pool:text max-delivery:text reputation:text " \
	"suppress:words redirect-domain:text https-policy:text " \
	"engagement:text tag:many"

/* A duration; an empty text, which removes it, is 0. */
static int
set_prepare(struct ctl *c)
{
	const char *text = ctl_arg(c, "max-delivery");
	int64_t	    ms = 0;

	if (text == NULL)
		return 0;
	if (text[0] != '\0' && !ctl_parse_duration(text, &ms)) {
		ctl_say_misuse(c, "--max-delivery: %s is no duration (10m, "
		    "6h)", text);
		return CTL_USAGE;
	}
	json_object_set_new(c->args, "max-delivery", json_integer(ms));
	return 0;
}

const struct ctl_command ctl_config_set_commands[] = {
	{ .verb = "config-set create", .arguments = "name?", .usage = "NAME",
	    .options = SET_OPTIONS, .prepare = set_prepare,
	    .json = "", .document = "document",
	    .skeleton = config_set_skeleton, .show = ctl_print_nothing },
	{ .verb = "config-set list", .options = "limit:int next-token:text",
	    .list = "ConfigurationSetSummaries",
	    .columns = "name=ConfigurationSetName sending=SendingEnabled "
		       "tls=TlsPolicy pool=SendingPoolName "
		       "reputation=ReputationMetricsEnabled "
		       "suppression=Suppression "
		       "destinations=EventDestinations "
		       "default-of=DefaultOf" },
	{ .verb = "config-set show", .arguments = "name", .usage = "NAME" },
	{ .verb = "config-set set", .arguments = "name?", .usage = "NAME",
	    .options = SET_OPTIONS, .prepare = set_prepare,
	    .json = "", .document = "document",
	    .skeleton = config_set_skeleton, .show = ctl_print_nothing },
	{ .verb = "config-set pause", .arguments = "name", .usage = "NAME",
	    .options = "reason:text", .show = ctl_print_nothing },
	{ .verb = "config-set resume", .arguments = "name", .usage = "NAME",
	    .options = "reason:text", .show = ctl_print_nothing },
	{ .verb = "config-set delete", .arguments = "name", .usage = "NAME",
	    .options = "force:flag", .show = ctl_print_nothing },
	{ .verb = NULL }
};

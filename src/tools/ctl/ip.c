/* SPDX-License-Identifier: ISC */
/*
 * Addresses: those mail leaves from, their pools, what block lists and
 * receivers say of them; those that may not connect.
 */
#include "tools/ctl/ctl.h"

/* The daemon reads the file; only we may open it. */
static int
snds_open(struct ctl *c)
{
	int fd = ctl_open_file(c, ctl_arg(c, "path"));

	if (fd < 0)
		return CTL_USAGE;
	json_object_del(c->args, "path");
	json_object_set_new(c->args, "file", json_integer(ctl_add_fd(c, fd)));
	return 0;
}

#define SNDS_COLUMNS                                                         \
	"address=Ip day=Day rcpt=RCPTCommands own-rcpt=OwnRCPTCommands "     \
	"data=DATACommands own-data=OwnDATACommands "                        \
	"recipients=MessageRecipients spam=SpamRate "                        \
	"complaints=ComplaintRateShown traps=TrapHits"
#define LISTING_COLUMNS                                                      \
	"address=Ip list=List source=Source status=Status answer=Answer " \
	"since=Since last=Last group=Group url=Url"
const struct ctl_command ctl_ip_commands[] = {
	{ .verb = "ip list", .list = "DedicatedIps",
	    .columns = "address=Ip ehlo=EhloName kind=Kind pool=PoolName "
		       "status=Status warm-up=WarmupStatus "
		       "sent-24h=SentLast24Hours blocklists=Blocklists" },
	{ .verb = "ip add", .arguments = "name", .usage = "ADDRESS",
	    .options = "ehlo:text kind:text pool:text account:text",
	    .json = "Ip=name EhloName=ehlo",
	    .show = ctl_print_nothing },
	{ .verb = "ip show", .arguments = "name", .usage = "ADDRESS" },
	{ .verb = "ip enable", .arguments = "name", .usage = "ADDRESS",
	    .show = ctl_print_nothing },
	{ .verb = "ip disable", .arguments = "name", .usage = "ADDRESS",
	    .show = ctl_print_nothing },
	{ .verb = "ip remove", .arguments = "name", .usage = "ADDRESS",
	    .show = ctl_print_nothing },
	{ .verb = "pool list", .list = "DedicatedIpPools",
	    .columns = "name=PoolName mode=ScalingMode overflow=Overflow "
		       "addresses=Addresses sets=ConfigurationSets" },
	{ .verb = "pool show", .arguments = "name", .usage = "NAME" },
	{ .verb = "pool create", .arguments = "name", .usage = "NAME",
	    .options = "mode:text overflow:text",
	    .json = "PoolName=name ScalingMode=mode Overflow=overflow",
	    .show = ctl_print_nothing },
	{ .verb = "pool set", .arguments = "name", .usage = "NAME",
	    .options = "mode:text overflow:text",
	    .json = "PoolName=name ScalingMode=mode Overflow=overflow",
	    .show = ctl_print_nothing },
	{ .verb = "pool delete", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = "pool add-ip", .arguments = "name address",
	    .usage = "NAME ADDRESS", .show = ctl_print_nothing },
	{ .verb = "pool remove-ip", .arguments = "name address",
	    .usage = "NAME ADDRESS", .show = ctl_print_nothing },
	{ .verb = "blocklist list", .list = "Listings",
	    .columns = LISTING_COLUMNS },
	{ .verb = "blocklist check", .arguments = "name?",
	    .usage = "[ADDRESS]", .list = "Listings",
	    .columns = LISTING_COLUMNS },
	{ .verb = "snds import", .arguments = "path", .usage = "FILE",
	    .prepare = snds_open, .list = "Snds",
	    .columns = SNDS_COLUMNS },
	{ .verb = "ip-filter list", .list = "Filters",
	    .columns = "name=Name cidr=Cidr policy=Policy "
		       "listener=Listener" },
	{ .verb = "ip-filter add", .arguments = "name cidr policy",
	    .usage = "NAME CIDR allow|block", .options = "listener:text",
	    .json = "Name=name Cidr=cidr Policy=policy Listener=listener",
	    .show = ctl_print_nothing },
	{ .verb = "ip-filter delete", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = NULL }
};

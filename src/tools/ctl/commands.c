/* SPDX-License-Identifier: ISC */
/* The tables of commands, in the order in which they are looked through. */
#include "tools/ctl/ctl.h"

const struct ctl_command *const ctl_tables[] = { ctl_offline_commands,
	ctl_system_commands, ctl_account_commands, ctl_identity_commands,
	ctl_policy_commands, ctl_config_set_commands, ctl_destination_commands,
	ctl_topic_commands, ctl_queue_commands, ctl_trace_commands,
	ctl_ip_commands, ctl_suppression_commands, ctl_send_commands,
	ctl_stats_commands, ctl_reputation_commands, NULL };

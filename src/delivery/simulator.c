/* SPDX-License-Identifier: ISC */
#include "delivery/simulator.h"

#include <stdio.h>
#include <string.h>

/* Those that take the message.  What ooto@ and complaint@ send back comes with
 * the intake of a later release; everybody else is unknown. */
static bool
simulator_takes(struct bytes local)
{
	static const char *const names[] = { "success", "ooto", "complaint" };
	size_t			 i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		if (bytes_eq_nocase(local, bytes_of(names[i])))
			return true;
	return false;
}

void
simulator_answer(struct bytes address, struct result *out)
{
	struct bytes local = address;
	ptrdiff_t    at;

	at = bytes_find(local, 0, '@');
	if (at >= 0)
		local = bytes_head(local, (size_t)at);
	at = bytes_find(local, 0, '+'); /* a label does not choose */
	if (at >= 0)
		local = bytes_head(local, (size_t)at);
	memset(out, 0, sizeof(*out));
	out->kind = RESULT_REPLY;
	snprintf(out->remote_ip, sizeof(out->remote_ip), "127.0.0.1");
	snprintf(out->remote_host, sizeof(out->remote_host), "simulator");
	if (simulator_takes(local)) {
		out->stage = CLASSIFY_DOT;
		out->code = 250;
		snprintf(out->enhanced, sizeof(out->enhanced), "2.6.0");
		snprintf(out->text, sizeof(out->text),
		    "250 2.6.0 Message received");
		return;
	}
	out->stage = CLASSIFY_RCPT;
	out->code = 550;
	snprintf(out->enhanced, sizeof(out->enhanced), "5.1.1");
	snprintf(out->text, sizeof(out->text), "550 5.1.1 user unknown");
}

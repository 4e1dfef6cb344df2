/* SPDX-License-Identifier: ISC */
#include "delivery/simulator.h"

#include <stdio.h>
#include <string.h>

enum {
	RETRY_MS = 10 * 1000,
	SOFT_LIFETIME_MS = 30 * 1000,
	SLOW_MS = 30 * 1000,
	DELAYS_MAX = 5
};

/* Those that always say the same. */
struct scenario {
	const char	   *name;
	enum classify_stage stage;
	const char	   *reply; /* with an enhanced code */
};
static const char received[] = "250 2.6.0 Message received";
static const struct scenario scenarios[] = {
	{ "success", CLASSIFY_DOT, received },
	{ "ooto", CLASSIFY_DOT, received },
	{ "complaint", CLASSIFY_DOT, received },
	{ "asyncbounce", CLASSIFY_DOT, received },
	{ "notspam", CLASSIFY_DOT, received },
	{ "slow", CLASSIFY_DOT, received },
	{ "notls", CLASSIFY_DOT, received },
	{ "mailboxfull", CLASSIFY_RCPT, "552 5.2.2 mailbox full" },
	{ "toolarge", CLASSIFY_DOT, "552 5.3.4 message too big" },
	{ "contentrejected", CLASSIFY_DOT, "500 5.6.1 content rejected" },
	{ "attachmentrejected", CLASSIFY_DOT,
	    "552 5.7.0 attachment type not allowed" },
	{ "undetermined", CLASSIFY_RCPT, "554 5.0.0 unknown failure" },
	{ "softbounce", CLASSIFY_RCPT, "450 4.0.0 temporary failure" },
	{ "bounce", CLASSIFY_RCPT, "550 5.1.1 user unknown" },
};
static const struct {
	const char	       *name;
	enum suppression_answer list;
} lists[] = {
	{ "suppressionlist", SUPPRESSION_GLOBAL },
	{ "accountlist", SUPPRESSION_BOUNCE },
	{ "unsubscribed", SUPPRESSION_UNSUBSCRIBED },
};

/* "250 2.6.0 text": the code and the enhanced code stand in their places. */
static void
say(struct simulator_answer *out, enum classify_stage stage,
    const char *reply)
{
	struct result *r = &out->result;

	r->kind = RESULT_REPLY;
	r->stage = stage;
	r->code = (unsigned)(reply[0] - '0') * 100 +
	    (unsigned)(reply[1] - '0') * 10 + (unsigned)(reply[2] - '0');
	snprintf(r->enhanced, sizeof(r->enhanced), "%.5s", reply + 4);
	snprintf(r->text, sizeof(r->text), "%s", reply);
}

/* Temporary failures first, then it is taken. */
static void
say_later(struct simulator_answer *out, unsigned attempts, unsigned times,
    const char *reply)
{
	if (attempts < times)
		say(out, CLASSIFY_RCPT, reply);
	else
		say(out, CLASSIFY_DOT, received);
}

static unsigned
delays_of(struct bytes label)
{
	uint64_t n;

	if (!bytes_to_u64(label, &n))
		return 1;
	return n > DELAYS_MAX ? DELAYS_MAX : (unsigned)n;
}

/* true = it is one of those that say more than one thing */
static bool
say_special(const struct simulator_ask *ask, struct bytes local,
    struct bytes label, struct simulator_answer *out)
{
	char text[80];

	if (bytes_eq_nocase(local, BYTES("delay"))) {
		say_later(out, ask->attempts, delays_of(label),
		    "450 4.0.0 temporary failure");
	} else if (bytes_eq_nocase(local, BYTES("greylist"))) {
		say_later(out, ask->attempts, 1, "450 4.7.1 greylisted");
	} else if (bytes_eq_nocase(local, BYTES("success")) &&
	    bytes_eq_nocase(label, BYTES("size"))) {
		snprintf(text, sizeof(text), "%s, %llu octets", received,
		    (unsigned long long)ask->octets);
		say(out, CLASSIFY_DOT, text);
	} else if (bytes_eq_nocase(local, BYTES("notls")) &&
	    ask->needs_tls) {
		out->result.kind = RESULT_TLS_MISSING;
	} else {
		return false;
	}
	return true;
}

static void
say_scenario(struct bytes local, struct simulator_answer *out)
{
	size_t i, last = sizeof(scenarios) / sizeof(scenarios[0]) - 1;

	/* the last one is everybody else, too */
	for (i = 0; i < last; i++)
		if (bytes_eq_nocase(local, bytes_of(scenarios[i].name)))
			break;
	say(out, scenarios[i].stage, scenarios[i].reply);
}

void
simulator_answer(const struct simulator_ask *ask,
    struct simulator_answer *out)
{
	struct bytes local = ask->address, label = BYTES("");
	ptrdiff_t    at = bytes_find(local, 0, '@');
	size_t	     i;

	if (at >= 0)
		local = bytes_head(local, (size_t)at);
	at = bytes_find(local, 0, '+');
	if (at >= 0) {
		label = bytes_from(local, (size_t)at + 1);
		local = bytes_head(local, (size_t)at);
	}
	memset(out, 0, sizeof(*out));
	out->retry_ms = RETRY_MS;
	snprintf(out->result.remote_ip, sizeof(out->result.remote_ip),
	    "127.0.0.1");
	snprintf(out->result.remote_host, sizeof(out->result.remote_host),
	    "simulator");
	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		if (bytes_eq_nocase(local, bytes_of(lists[i].name)))
			out->list = lists[i].list;
	if (bytes_eq_nocase(local, BYTES("softbounce")))
		out->lifetime_ms = SOFT_LIFETIME_MS;
	if (bytes_eq_nocase(local, BYTES("slow")) && ask->age_ms < SLOW_MS)
		out->wait_ms = SLOW_MS - ask->age_ms;
	if (!say_special(ask, local, label, out))
		say_scenario(local, out);
}

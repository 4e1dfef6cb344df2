/* SPDX-License-Identifier: ISC */
/*
 * The record of the operator's own key (dkim.md 6.2): at the start, after a
 * reload and every 6 h its public half is asked of the keys process, and the
 * reporting loop has the verifier look for it.
 */
#include <stdio.h>
#include <string.h>

#include "base/log.h"
#include "daemon/relay.h"

enum {
	OPERATOR_EVERY_MS = 6 * 60 * 60 * 1000,
	OPERATOR_AGAIN_MS = 60 * 1000,
	OPERATOR_RELOAD_MS = 5 * 1000 /* the keys process reloads after us */
};

static void relay_on_operator_time(void *relay, void *unused);

static bool
relay_has_operator(const struct relay *r)
{
	return r->conf->dkim.operator_key != NULL;
}

static void
relay_on_operator_key(void *relay, const struct keys_answer *a)
{
	struct relay	   *r = relay;
	struct operator_key k;

	if (r->stopping || !relay_has_operator(r))
		return;
	memset(&k, 0, sizeof(k));
	snprintf(k.domain, sizeof(k.domain), "%s",
	    r->conf->dkim.operator_domain);
	snprintf(k.selector, sizeof(k.selector), "%s",
	    r->conf->dkim.operator_selector);
	if (a->result == KEYS_OK &&
	    4 * ((a->public_n + 2) / 3) < sizeof(k.public_key)) {
		base64_encode(a->public_key, a->public_n, k.public_key);
		if (reporter_post_operator(r->reporter, &k))
			return;
	}
	log_warn("operator-record", "d=%s s=%s reason=\"%s\"", k.domain,
	    k.selector, a->result != KEYS_OK ? a->reason :
	    "the reporting loop does not keep up");
	timer_set(&r->operator_time, OPERATOR_AGAIN_MS);
}

static void
relay_on_operator_time(void *relay, void *unused)
{
	struct relay *r = relay;

	(void)unused;
	if (r->stopping || !relay_has_operator(r))
		return;
	timer_set(&r->operator_time, OPERATOR_EVERY_MS);
	(void)keys_client_operator(r->keys, relay_on_operator_key, r);
}

void
relay_begin_operator(struct relay *r)
{
	timer_init(&r->operator_time, r->main, relay_on_operator_time, r);
	timer_set(&r->operator_time, 0);
}

void
relay_reload_operator(struct relay *r)
{
	timer_set(&r->operator_time, OPERATOR_RELOAD_MS);
}

/* SPDX-License-Identifier: ISC */
#include "submission/standing.h"

#include <stdio.h>

#include "submission/desk_private.h"
#include "submission/session.h"

enum {
	KNOWN_MS = 60 * 60 * 1000,
	TOKENS_MAX = 20,
	TOKENS_OF_LOGIN = 2,
	NAME_MAX_OCTETS = 100, /* of EHLO, that count */
	HANDSHAKE_WINDOW_MS = 60 * 1000
};
static const double tokens_a_second = 1;

static struct bytes
standing_key(char out[DESK_KEY_MAX], const struct session_place *p,
    struct bytes ehlo)
{
	int n;

	n = snprintf(out, DESK_KEY_MAX, "known/%s/%.*s", p->ip_key,
	    (int)(ehlo.n < NAME_MAX_OCTETS ? ehlo.n : NAME_MAX_OCTETS),
	    ehlo.n > 0 ? ehlo.p : "");
	must(n > 0 && n < DESK_KEY_MAX);
	return (struct bytes){ out, (size_t)n };
}

enum turn_rank
standing_rank(const struct session_place *p, struct bytes ehlo)
{
	struct tally *t = p->desk->setup.tally;
	struct mono   now = loop_now(p->desk->setup.loop);
	char	      key[DESK_KEY_MAX];
	struct bytes  k;

	if (p->is_unix)
		return TURN_KNOWN;
	k = standing_key(key, p, ehlo);
	if (tally_window_add(t, k, 0, now, KNOWN_MS) > 0 &&
	    tally_bucket_take(t, k, 1, tokens_a_second, TOKENS_MAX, now))
		return TURN_KNOWN;
	return TURN_STRANGER;
}

static void
standing_earn_as(const struct session_place *p, struct bytes ehlo)
{
	struct tally *t = p->desk->setup.tally;
	char	      key[DESK_KEY_MAX];
	struct bytes  k = standing_key(key, p, ehlo);

	tally_window_add(t, k, 1, loop_now(p->desk->setup.loop), KNOWN_MS);
	tally_bucket_give(t, k, TOKENS_OF_LOGIN, tokens_a_second, TOKENS_MAX);
}

void
standing_earn(const struct session_place *p, struct bytes ehlo)
{
	if (p->is_unix)
		return;
	standing_earn_as(p, ehlo);
	if (ehlo.n > 0) /* for what begins before EHLO */
		standing_earn_as(p, BYTES(""));
}

bool
standing_may_handshake(const struct session_place *p, enum turn_rank rank)
{
	const struct conf *c = p->desk->rules->conf;
	char		   key[DESK_KEY_MAX];
	int		   n;

	if (p->is_trusted || rank == TURN_KNOWN)
		return true;
	n = snprintf(key, sizeof(key), "handshake/%s", p->ip_key);
	return tally_window_add(p->desk->setup.tally,
	    (struct bytes){ key, (size_t)n }, 1,
	    loop_now(p->desk->setup.loop), HANDSHAKE_WINDOW_MS) <=
	    c->smtp.max_handshake_rate_per_ip;
}

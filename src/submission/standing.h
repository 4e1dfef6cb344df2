/* SPDX-License-Identifier: ISC */
/*
 * standing.h - what a client has earned by its logins: to be served before
 * strangers.
 *
 * Use:    rank = standing_rank(&place, ehlo) when something costly begins for
 *         a client that has not logged in yet; standing_earn(&place, ehlo)
 *         at each login; standing_may_handshake() before a handshake.
 * Owner:  nothing is owned; the counts lie in the tally of all desks.
 * Thread: the desk's loop.
 * Fails:  with a full tally everybody is a stranger, and no limit bites.
 *
 * A client is known by its address and the name of its EHLO for an hour after
 * a login.  Known is who has a token: 20 at most, one more each second, two
 * more for each login.  So a client that logs in again and again is always
 * known, and whoever shares its address and name, and never logs in, has used
 * up the tokens soon; both are strangers then, and nobody else is hurt.
 * Keys: known/ADDRESS/NAME (logins, tokens), handshake/ADDRESS (handshakes of
 * strangers in a minute); no NAME before the first EHLO.
 */
#ifndef SUBMISSION_STANDING_H
#define SUBMISSION_STANDING_H

#include <stdbool.h>

#include "base/mem.h"
#include "base/turns.h"

struct session_place;

/* Takes a token of who is known. */
enum turn_rank standing_rank(const struct session_place *p,
    struct bytes ehlo);
void standing_earn(const struct session_place *p, struct bytes ehlo);
/*
 * Counts a handshake that begins; false: it is one too many of strangers of
 * this address (smtp.max_handshake_rate_per_ip).
 */
bool standing_may_handshake(const struct session_place *p,
    enum turn_rank rank);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * identity_check_private.h - shared by identity_check.c (checks and time),
 * identity_plan.c (what comes next), identity_command.c and mail_from.c (what
 * operators decide).
 * Use:    only there.
 * Owner:  see identity_check.h.
 * Thread: any, pure.
 * Fails:  keyset_add() false = the set is full.
 */
#ifndef REGISTRY_IDENTITY_CHECK_PRIVATE_H
#define REGISTRY_IDENTITY_CHECK_PRIVATE_H

#include "registry/identity_check.h"

/* RSA and Ed25519 keys are two rows of roles in one set.  The first key with
 * that role, not dropped; NULL = none. */
struct dkim_key *keyset_find(struct identity_keys *ks, bool previous,
    enum dkim_role role, bool ed25519);
bool keyset_has(const struct identity_keys *ks, bool previous,
    enum dkim_role role, bool ed25519);
/* RSA, else Ed25519 */
struct dkim_key *keyset_active(struct identity_keys *ks, bool previous);
/* The standby that is visible the longest; else any. */
struct dkim_key *keyset_standby(struct identity_keys *ks, bool ed25519);
struct dkim_key *keyset_selector(struct identity_keys *ks,
    const char *selector);
void keyset_drop(struct identity_keys *ks, const struct dkim_key *k);
size_t keyset_room(const struct identity_keys *ks);
void keyset_add(struct identity_keys *ks, const struct dkim_key *k);
void key_retire(struct dkim_key *k, const struct identity_check_input *in);
void key_activate(struct dkim_key *k, const struct identity_check_input *in);
void key_forget_checks(struct dkim_key *k);
/* Seen for as long as dkim.min_visible? */
bool key_is_visible(const struct dkim_key *k,
    const struct identity_check_input *in);
/* Out of force; at once when nothing can carry its signature. */
void keyset_retire(struct identity_keys *ks, struct dkim_key *k,
    const struct identity_check_input *in);

void state_start(struct identity_check_state *s, struct wall now);
/* verify: PENDING again, or a check at once where there are checks. */
void state_again(struct identity_check_state *s, struct wall now);
bool state_is_verified(const struct identity_check_state *s);
/* Is there anything to be checked in that state? */
bool status_is_checked(enum identity_status s);
/* Three selectors whose keys change, and two for Ed25519. */
bool identity_has_slots(const struct identity *i);
/* The standby takes over, the active key of its kind retires. */
void identity_advance(struct identity *i, struct identity_keys *ks,
    struct dkim_key *standby, const struct identity_check_input *in,
    struct identity_decision *d);
/* The Ed25519 standby as well, if there is one that may; after a rotation. */
void identity_advance_second(struct identity *i, struct identity_keys *ks,
    bool force, const struct identity_check_input *in,
    struct identity_decision *d);
/* dkim.rotate_every: is it time that k takes over? */
bool identity_turn_is_due(const struct identity *i,
    struct identity_keys *ks, const struct dkim_key *k,
    const struct identity_check_input *in);
/* What is still to be made, and when the keys are to be looked at. */
void identity_plan(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d);

#endif

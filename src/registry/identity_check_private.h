/* SPDX-License-Identifier: ISC */
/*
 * identity_check_private.h - shared by identity_check.c (checks and time),
 * identity_command.c and mail_from.c (what operators decide).
 * Use:    only there.
 * Owner:  see identity_check.h.
 * Thread: any, pure.
 * Fails:  keyset_add() false = the set is full.
 */
#ifndef REGISTRY_IDENTITY_CHECK_PRIVATE_H
#define REGISTRY_IDENTITY_CHECK_PRIVATE_H

#include "registry/identity_check.h"

/* The first key with that role, not dropped; NULL = none. */
struct dkim_key *keyset_find(struct identity_keys *ks, bool previous,
    enum dkim_role role);
struct dkim_key *keyset_selector(struct identity_keys *ks,
    const char *selector);
void keyset_drop(struct identity_keys *ks, const struct dkim_key *k);
size_t keyset_room(const struct identity_keys *ks);
void keyset_add(struct identity_keys *ks, const struct dkim_key *k);
void key_retire(struct dkim_key *k, const struct identity_check_input *in);
void key_activate(struct dkim_key *k, const struct identity_check_input *in);
void key_forget_checks(struct dkim_key *k);

void state_start(struct identity_check_state *s, struct wall now);
/* verify: PENDING again, or a check at once where there are checks. */
void state_again(struct identity_check_state *s, struct wall now);
bool state_is_verified(const struct identity_check_state *s);
/* The standby takes over, the active key retires. */
void identity_advance(struct identity *i, struct identity_keys *ks,
    struct dkim_key *standby, const struct identity_check_input *in,
    struct identity_decision *d);
/* What is still to be made, and when the keys are to be looked at. */
void identity_plan(struct identity *i, struct identity_keys *ks,
    const struct identity_check_input *in, struct identity_decision *d);

#endif

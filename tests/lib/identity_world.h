/* SPDX-License-Identifier: ISC */
/*
 * identity_world.h - identities and keys for a test, in one line each.
 * Use:    world_test(body) of book_world.h; then domain(), address(), key(),
 *         put(), put_key().
 * Owner:  plain data.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_IDENTITY_WORLD_H
#define TESTS_IDENTITY_WORLD_H

#include "book_world.h"

#include "registry/credential.h"
#include "registry/identity.h"

#define A_SELECTOR "azfm6qz3v2dkc5yhobh4fjaxzzdo25tr"
#define HOUR_MS ((int64_t)3600000)

static const struct wall now = { 1714564800000 }; /* 2024-05-01T12:00:00Z */

static inline void
put(struct db_txn *t, const struct identity *i)
{
	struct err e;

	if (identity_put(t, i, &e) < 0)
		fail_msg("%s", e.text);
}

static inline struct identity
domain(const char *name, enum identity_status dkim)
{
	struct identity i;

	identity_init(&i, world_account, name, now);
	i.dkim.status = dkim;
	i.dkim.deadline.ms = dkim == IDENTITY_TEMPORARY_FAILURE ||
		dkim == IDENTITY_PENDING ? now.ms + 72 * HOUR_MS : 0;
	i.bits = i.next_bits = 2048;
	return i;
}

static inline struct identity
address(const char *name, enum identity_status link)
{
	struct identity i;

	identity_init(&i, world_account, name, now);
	i.link.status = link;
	return i;
}

static inline struct dkim_key
key(const char *name, const char *selector, enum dkim_role role)
{
	struct dkim_key k;

	memset(&k, 0, sizeof(k));
	strcpy(k.account, world_account);
	strcpy(k.domain, name);
	strcpy(k.selector, selector);
	k.bits = 2048;
	k.role = role;
	k.created = k.last_seen = now;
	k.last_outcome = DKIM_MATCH;
	k.public_n = 4;
	memcpy(k.public_key, "\1\2\0\3", 4);
	k.sealed_n = 3;
	memcpy(k.sealed, "\1ab", 3);
	return k;
}

/* Its record is seen. */
static inline struct dkim_key
ed25519_key(const char *name, const char *selector, enum dkim_role role)
{
	struct dkim_key k = key(name, selector, role);

	k.ed25519 = true;
	k.bits = DKIM_ED25519_BITS;
	k.seen = true;
	k.seen_since = now;
	return k;
}

static inline void
put_key(struct db_txn *t, const char *name, const char *selector,
    enum dkim_role role)
{
	struct dkim_key k = key(name, selector, role);
	struct err	e;

	if (dkim_key_put(t, &k, &e) < 0)
		fail_msg("%s", e.text);
}

#endif

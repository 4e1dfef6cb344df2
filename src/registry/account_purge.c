/* SPDX-License-Identifier: ISC */
/* What an account leaves behind, taken away a few rows at a time. */
#include <stdio.h>

#include "registry/account.h"
#include "registry/alarm.h"
#include "registry/config_set.h"
#include "registry/finding.h"
#include "registry/credential.h"
#include "registry/identity.h"
#include "registry/level.h"
#include "registry/pool.h"
#include "registry/suppression.h"
#include "registry/topic.h"

enum { FIRST_SIZE = IDENTITY_NAME_SIZE }; /* the longer one */

static bool
purge_on_credential(void *first, const struct credential *c)
{
	snprintf(first, FIRST_SIZE, "%s", c->name);
	return false;
}

static bool
purge_on_identity(void *first, const struct identity *i)
{
	snprintf(first, FIRST_SIZE, "%s", i->name);
	return false;
}

static bool
purge_on_set(void *first, const struct config_set *s)
{
	snprintf(first, FIRST_SIZE, "%s", s->name);
	return false;
}

/* 1 = one was removed, 0 = there is none */
static int
purge_one(struct db_txn *t, const char *id, struct err *e)
{
	char first[FIRST_SIZE] = "";
	int  rc;

	if (credential_each(t, id, purge_on_credential, first, e) < 0)
		return -1;
	if (first[0] != '\0')
		return credential_delete(t, id, first, e);
	if (identity_each(t, id, purge_on_identity, first, e) < 0)
		return -1;
	if (first[0] != '\0')
		return identity_delete(t, id, first, e);
	if (config_set_each(t, id, purge_on_set, first, e) < 0)
		return -1;
	if (first[0] != '\0')
		return config_set_delete(t, id, first, e);
	rc = suppression_purge(t, id, 1, e);
	if (rc == 0)
		rc = pool_purge(t, id, 1, e);
	if (rc == 0)
		rc = alarm_purge(t, id, 1, e);
	if (rc == 0)
		rc = level_purge(t, id, 1, e);
	if (rc == 0)
		rc = topic_purge(t, id, 1, e);
	return rc != 0 ? rc : finding_purge(t, id, 1, e);
}

int
account_purge(struct db_txn *t, const char *id, unsigned max, struct err *e)
{
	unsigned n;
	int	 rc = 1;

	for (n = 0; n < max && rc == 1; n++)
		rc = purge_one(t, id, e);
	if (rc != 0)
		return rc < 0 ? -1 : 0;
	return account_delete(t, id, e) < 0 ? -1 : 1;
}

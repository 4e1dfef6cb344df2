/* SPDX-License-Identifier: ISC */
/* The second half of registry/credential.h: who may log in. */
#include <string.h>

#include "registry/credential.h"

const char *
login_result_to_text(enum login_result r)
{
	switch (r) {
	case LOGIN_OK:
		return "ok";
	case LOGIN_BAD_FORMAT:
		return "bad-format";
	case LOGIN_UNKNOWN_KEY:
		return "unknown-key";
	case LOGIN_BAD_PASSWORD:
		return "bad-password";
	case LOGIN_DISABLED:
		return "disabled";
	case LOGIN_EXPIRED:
		return "expired";
	case LOGIN_RESTRICTED:
		return "restricted";
	case LOGIN_ACCOUNT_CLOSED:
		return "account-closed";
	case LOGIN_STORE_ERROR:
		return "store-error";
	}
	return "bad-format";
}

/* -- login ---------------------------------------------------------------- */

static bool
login_may_come(const struct credential_restrictions *r, const struct login *l)
{
	struct conf_cidrs list = { r->cidrs, r->cidr_count };
	unsigned	  i;

	if (r->cidr_count > 0 && !conf_cidrs_contain(&list, l->peer))
		return false;
	if (l->tls < r->min_tls)
		return false;
	for (i = 0; i < r->listener_count; i++) {
		if (strcmp(r->listeners[i], l->listener) == 0)
			return true;
	}
	return r->listener_count == 0;
}

static bool
is_over(struct wall expires, struct wall now)
{
	return expires.ms != 0 && expires.ms <= now.ms;
}

/* Steps 5 to 7 of credentials.md 5. */
static enum login_result
login_judge_standing(const struct credential *c,
    const struct credential_key *k, const struct login *l)
{
	if (!k->active)
		return LOGIN_DISABLED;
	if (is_over(k->expires, l->now))
		return LOGIN_EXPIRED;
	if (!c->enabled)
		return LOGIN_DISABLED;
	if (is_over(c->limits.expires, l->now))
		return LOGIN_EXPIRED;
	if (!login_may_come(&c->limits, l))
		return LOGIN_RESTRICTED;
	return LOGIN_OK;
}

/* Ids that are none are looked up like others: the work is the same. */
static int
login_find(struct db_txn *t, const struct login *l, bool has_form,
    struct credential *c, unsigned *key, struct err *e)
{
	static const char nobody[] = "AAAAAAAAAAAAAAAAAAAA";
	char		  id[CREDENTIAL_KEY_SIZE];
	int		  found;

	bytes_text(has_form ? l->user : BYTES(nobody), id, sizeof(id));
	found = credential_find_key(t, id, c, key, e);
	if (found == 1 && !has_form)
		found = 0;
	if (found != 1)
		c->name[0] = c->account[0] = '\0';
	return found;
}

enum login_result
credential_check_login(struct db_txn *t, const struct login *l,
    struct credential *c, struct account *a, unsigned *key)
{
	static const unsigned char never[32];
	struct credential_key	   dummy;
	const struct credential_key *k = &dummy;
	char			   id[CREDENTIAL_KEY_SIZE];
	unsigned char		   digest[32];
	enum login_result	   result;
	struct err		   e;
	bool			   has_form, is_password, same;
	int			   found;

	has_form = l->user.n < sizeof(id) &&
	    memchr(l->user.p, '\0', l->user.n) == NULL &&
	    credential_key_id_is_valid(bytes_text(l->user, id, sizeof(id)));
	found = login_find(t, l, has_form, c, key, &e);
	if (found < 0)
		return LOGIN_STORE_ERROR;
	memset(&dummy, 0, sizeof(dummy));
	if (found == 1)
		k = &c->keys[*key];
	is_password = credential_verifier(l->password, digest);
	same = mem_same_secret(digest, found == 1 ? k->digest : never,
	    sizeof(digest));
	same = (strcmp(k->region, l->region) == 0) & same;
	mem_wipe(digest, sizeof(digest));
	if (!has_form)
		return LOGIN_BAD_FORMAT;
	if (found == 0)
		return LOGIN_UNKNOWN_KEY;
	if (!is_password)
		return LOGIN_BAD_FORMAT;
	if (!same)
		return LOGIN_BAD_PASSWORD;
	result = login_judge_standing(c, k, l);
	if (result != LOGIN_OK)
		return result;
	found = account_get(t, c->account, a, &e);
	if (found < 0)
		return LOGIN_STORE_ERROR;
	if (found == 0 || a->closed.ms != 0)
		return LOGIN_ACCOUNT_CLOSED;
	return LOGIN_OK;
}

bool
credential_is_valid(const struct credential *c, const char *key_id,
    struct wall now)
{
	const struct credential_key *k;
	unsigned		     i;

	if (!c->enabled || is_over(c->limits.expires, now))
		return false;
	if (key_id == NULL)
		return true;
	for (i = 0; i < c->key_count; i++) {
		k = &c->keys[i];
		if (strcmp(k->id, key_id) == 0)
			return k->active && !is_over(k->expires, now);
	}
	return false;
}

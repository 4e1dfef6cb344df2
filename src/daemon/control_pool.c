/* SPDX-License-Identifier: ISC */
/* Pools of source addresses (delivery.md 11.2). */
#include <string.h>

#include "daemon/control_private.h"
#include "registry/config_set.h"
#include "registry/pool.h"

static void
pool_changed(struct request *q)
{
	(void)carrier_post_wake(q->relay->carrier);
	(void)reporter_post_senders(q->relay->reporter);
	request_end(q);
}

/* -- list and show --------------------------------------------------------- */

/* A pool as it is shown, while its addresses and sets are gathered. */
struct pool_view {
	const char *account, *name;
	json_t	   *addresses, *sets;
};

static bool
view_on_source(void *view, const struct source *s)
{
	struct pool_view *v = view;

	if (source_is_in_pool(s, v->account, v->name))
		json_array_append_new(v->addresses, json_string(s->address));
	return true;
}

static bool
view_on_set(void *view, const struct config_set *s)
{
	struct pool_view *v = view;

	if (strcmp(s->pool, v->name) == 0)
		json_array_append_new(v->sets, json_string(s->name));
	return true;
}

/* p NULL: a built-in one. */
static int
pool_json(struct request *q, struct db_txn *t, const char *name,
    const struct pool *p, json_t **out)
{
	struct pool_view v = { q->account.id, name, json_array(),
		json_array() };
	int rc = source_each(t, view_on_source, &v, &q->err);

	if (rc == 0)
		rc = config_set_each(t, q->account.id, view_on_set, &v,
		    &q->err);
	*out = json_pack("{s:s, s:s, s:s, s:o, s:o, s:o}", "PoolName", name,
	    "ScalingMode", "STANDARD", "Overflow",
	    p != NULL && p->no_overflow ? "none" : "shared", "Addresses",
	    v.addresses, "ConfigurationSets", v.sets, "CreatedTimestamp",
	    p != NULL ? json_of_wall(p->created) : json_null());
	return rc;
}

struct pool_names {
	unsigned    n;
	struct pool v[POOLS_MAX];
};

static bool
pool_on_list(void *names, const struct pool *p)
{
	struct pool_names *l = names;

	l->v[l->n++] = *p;
	return l->n < POOLS_MAX;
}

static int
pool_list_read(struct request *q, struct db_txn *t)
{
	static const char *const builtin[] = { SOURCE_POOL_DEDICATED,
		SOURCE_POOL_SHARED };
	struct pool_names *l = q->state;
	json_t		  *rows = json_array(), *row;
	unsigned	   i;
	int		   rc;

	request_set(q, "DedicatedIpPools", rows);
	rc = pool_each(t, q->account.id, pool_on_list, l, &q->err);
	for (i = 0; rc == 0 && i < l->n; i++) {
		rc = pool_json(q, t, l->v[i].name, &l->v[i], &row);
		json_array_append_new(rows, row);
	}
	for (i = 0; rc == 0 && i < 2; i++) {
		rc = pool_json(q, t, builtin[i], NULL, &row);
		json_array_append_new(rows, row);
	}
	return rc;
}

static void
pool_list(struct request *q)
{
	(void)request_state(q, sizeof(struct pool_names), NULL);
	request_read(q, pool_list_read);
}

static int
pool_find(struct request *q, struct db_txn *t, struct pool *p)
{
	const char *name = arg_text(q, "name");
	int	    found;

	if (name == NULL)
		return request_misuse(q, "which pool?");
	found = pool_get(t, q->account.id, name, p, &q->err);
	return found != 0 ? found < 0 ? -1 : 0 :
		request_refuse(q, BOOK_NOT_FOUND, "no such pool: %.64s", name);
}

static int
pool_show_read(struct request *q, struct db_txn *t)
{
	const char *name = arg_text(q, "name");
	struct pool p;
	json_t	   *row;
	bool	    is_builtin = name != NULL && pool_is_builtin(name);
	int	    rc;

	if (!is_builtin && pool_find(q, t, &p) != 0)
		return -1;
	rc = pool_json(q, t, name, is_builtin ? NULL : &p, &row);
	json_object_update_new(q->result, row);
	return rc;
}

static void
pool_show(struct request *q)
{
	request_read(q, pool_show_read);
}

/* -- create, set, delete --------------------------------------------------- */

static int
pool_take(struct request *q, struct pool *p)
{
	static const char *const modes[] = { "standard", NULL };
	static const char *const overflows[] = { "shared", "none", NULL };
	int unused, i, rc;

	if (arg_word(q, "mode", modes, &unused) < 0)
		return -1;
	rc = arg_word(q, "overflow", overflows, &i);
	if (rc == 1)
		p->no_overflow = i == 1;
	p->updated = q->now;
	return rc < 0 ? -1 : 0;
}

static int
pool_create_write(struct request *q, struct db_txn *t)
{
	const char *name = arg_text(q, "name");
	struct pool p;

	if (name == NULL || !pool_name_is_valid(bytes_of(name)))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "the name of a pool is 1 to 64 of A-Z a-z 0-9 - _");
	pool_init(&p, q->account.id, name, q->now);
	request_would(q, "create pool %s", name);
	return pool_take(q, &p) != 0 ? -1 : pool_create(t, &p, &q->err);
}

static void
pool_make(struct request *q)
{
	request_write(q, pool_create_write, NULL);
}

static int
pool_set_write(struct request *q, struct db_txn *t)
{
	struct pool p;

	if (pool_find(q, t, &p) != 0 || pool_take(q, &p) != 0)
		return -1;
	request_would(q, "change pool %s", p.name);
	return pool_put(t, &p, &q->err);
}

static void
pool_set(struct request *q)
{
	if (!arg_has(q, "mode") && !arg_has(q, "overflow")) {
		(void)request_misuse(q, "nothing to set");
		request_end(q);
		return;
	}
	request_write(q, pool_set_write, NULL);
}

static int
pool_delete_write(struct request *q, struct db_txn *t)
{
	const char *name = arg_text(q, "name");
	int	    rc;

	if (name == NULL)
		return request_misuse(q, "which pool?");
	request_would(q, "delete pool %s", name);
	rc = pool_delete(t, q->account.id, name, &q->err);
	return rc != 0 ? control_ip_settle(q, t, rc) :
		request_refuse(q, BOOK_NOT_FOUND, "no such pool: %.64s", name);
}

static void
pool_drop(struct request *q)
{
	request_write(q, pool_delete_write, pool_changed);
}

/* -- its addresses --------------------------------------------------------- */

/* An address of the installation is the operator's to give away. */
static int
pool_find_source(struct request *q, struct db_txn *t, struct source *s)
{
	const char *address = arg_text(q, "address");
	int	    found;

	if (address == NULL)
		return request_misuse(q, "which source address?");
	found = source_get(t, address, s, &q->err);
	if (found < 0)
		return -1;
	if (found == 0 || (!q->operator &&
		strcmp(s->account, q->account.id) != 0))
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such source address: %.64s", address);
	return 0;
}

static int
pool_move_write(struct request *q, struct db_txn *t)
{
	bool	      adds = strcmp(q->command->verb, "pool add-ip") == 0;
	struct pool   p;
	struct source s;

	if (pool_find(q, t, &p) != 0 || pool_find_source(q, t, &s) != 0)
		return -1;
	request_would(q, "%s %s %s pool %s", adds ? "put" : "take", s.address,
	    adds ? "into" : "out of", p.name);
	return control_ip_settle(q, t, adds ?
		pool_add_source(t, &p, &s, &q->err) :
		pool_remove_source(t, &p, &s, &q->err));
}

static void
pool_move(struct request *q)
{
	request_write(q, pool_move_write, pool_changed);
}

const struct command control_pool_commands[] = {
	{ "pool create", NEED_FULL, SCOPE_ACCOUNT, "CreateDedicatedIpPool",
	    "poolName", pool_make },
	{ "pool list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, pool_list },
	{ "pool show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL, pool_show },
	{ "pool set", NEED_FULL, SCOPE_ACCOUNT,
	    "PutDedicatedIpPoolScalingAttributes", "poolName", pool_set },
	{ "pool delete", NEED_FULL, SCOPE_ACCOUNT, "DeleteDedicatedIpPool",
	    "poolName", pool_drop },
	{ "pool add-ip", NEED_FULL, SCOPE_ACCOUNT, "PutDedicatedIpInPool",
	    "destinationPoolName", pool_move },
	{ "pool remove-ip", NEED_FULL, SCOPE_ACCOUNT, "PutDedicatedIpInPool",
	    "sourcePoolName", pool_move },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};

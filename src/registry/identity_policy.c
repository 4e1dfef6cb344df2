/* SPDX-License-Identifier: ISC */
#include "registry/identity_policy.h"

#include <string.h>

/* -- rows: account, identity, 0, name -> the document --------------------- */

enum {
	ACCOUNT_OCTETS = ACCOUNT_ID_SIZE - 1,
	POLICY_ROW_MAX = ACCOUNT_ID_SIZE + IDENTITY_NAME_SIZE +
	    POLICY_NAME_MAX + 1
};
struct policy_row {
	char   p[POLICY_ROW_MAX];
	size_t n;
};

static void
row_add(struct policy_row *r, const char *p, size_t n)
{
	must(n <= sizeof(r->p) - r->n);
	memcpy(r->p + r->n, p, n);
	r->n += n;
}

/* As much of it as is given. */
static struct bytes
row_of(struct policy_row *r, const char *account, const char *identity,
    const char *name)
{
	r->n = 0;
	if (account != NULL)
		row_add(r, account, strnlen(account, ACCOUNT_OCTETS));
	if (identity != NULL) {
		row_add(r, identity, strnlen(identity,
		    IDENTITY_NAME_SIZE - 1));
		row_add(r, "", 1);
	}
	if (name != NULL)
		row_add(r, name, strnlen(name, POLICY_NAME_MAX));
	return (struct bytes){ r->p, r->n };
}

static int
row_read(struct bytes key, struct bytes value, struct identity_policy *out,
    struct err *e)
{
	ptrdiff_t zero = bytes_find(key, 0, '\0');

	if (zero <= ACCOUNT_OCTETS || value.n > POLICY_TEXT_MAX ||
	    key.n - (size_t)zero - 1 > POLICY_NAME_MAX ||
	    (size_t)zero - ACCOUNT_OCTETS >= IDENTITY_NAME_SIZE)
		return err_set(e, "a policy of an identity is damaged");
	bytes_text(bytes_head(key, ACCOUNT_OCTETS), out->account,
	    sizeof(out->account));
	bytes_text(bytes_from(bytes_head(key, (size_t)zero), ACCOUNT_OCTETS),
	    out->identity, sizeof(out->identity));
	bytes_text(bytes_from(key, (size_t)zero + 1), out->name,
	    sizeof(out->name));
	bytes_text(value, out->text, sizeof(out->text));
	if (!bytes_eq_text(value, out->text) ||
	    !bytes_eq_text(bytes_from(key, (size_t)zero + 1), out->name))
		return err_set(e, "a policy of an identity is damaged");
	return 1;
}

/* -- reading -------------------------------------------------------------- */

int
identity_policy_get(struct db_txn *t, const char *account,
    const char *identity, const char *name, struct identity_policy *out,
    struct err *e)
{
	struct policy_row room;
	struct bytes	  row, value;
	int		  found;

	if (!policy_name_is_valid(name))
		return 0;
	row = row_of(&room, account, identity, name);
	found = db_get(t, BOOK_POLICY, row, &value, e);
	return found == 1 ? row_read(row, value, out, e) : found;
}

int
identity_policy_each(struct db_txn *t, const char *account,
    const char *identity,
    bool (*fn)(void *arg, const struct identity_policy *p), void *arg,
    struct err *e)
{
	struct identity_policy at;
	struct book_rows       r;
	struct policy_row      room;

	book_rows_open(&r, t, BOOK_POLICY, row_of(&room, account, identity,
	    NULL), e);
	while (book_rows_next(&r)) {
		r.status = row_read(r.key, r.value, &at, e);
		if (r.status < 0 || !fn(arg, &at))
			break;
	}
	return book_rows_close(&r);
}

static bool
policy_on_any(void *any, struct bytes key, struct bytes value)
{
	(void)key;
	(void)value;
	*(int *)any = 1;
	return false;
}

int
identity_policy_any(struct db_txn *t, const char *account, struct err *e)
{
	int any = 0;

	if (book_walk(t, BOOK_POLICY, bytes_of(account), policy_on_any, &any,
		e) < 0)
		return -1;
	return any;
}

static bool
policy_on_delegate(void *found, const struct identity_policy *p)
{
	struct policy_place at = { p->account, p->identity };
	struct err	    unused;
	struct policy	   *policy = policy_new(&at, bytes_of(p->text),
		  &unused);

	if (policy != NULL && policy_delegates(policy, p->account))
		*(int *)found = 1;
	policy_free(policy);
	return *(int *)found == 0;
}

int
identity_policy_delegates(struct db_txn *t, const char *account,
    const char *identity, struct err *e)
{
	int found = 0;

	if (identity_policy_each(t, account, identity, policy_on_delegate,
		&found, e) < 0)
		return -1;
	return found;
}

/* -- changes -------------------------------------------------------------- */

static bool
policy_on_count(void *count, const struct identity_policy *p)
{
	(void)p;
	++*(unsigned *)count;
	return true;
}

/* There has to be an identity, and room for one more; 0 / -1. */
static int
policy_check_place(struct db_txn *t, const struct identity_policy *p,
    struct identity *i, struct err *e)
{
	struct identity_policy *old;
	unsigned		count = 0;
	int found = identity_get(t, p->account, p->identity, i, e);

	if (found <= 0)
		return found < 0 ? -1 : book_refuse(e, BOOK_NOT_FOUND,
		    "no such identity: %s", p->identity);
	old = mem_alloc(sizeof(*old));
	found = identity_policy_get(t, p->account, p->identity, p->name, old,
	    e);
	mem_free(old);
	if (found != 0)
		return found < 0 ? -1 : 0;
	if (identity_policy_each(t, p->account, p->identity, policy_on_count,
		&count, e) < 0)
		return -1;
	return count < IDENTITY_POLICIES_MAX ? 0 :
	    book_refuse(e, BOOK_BAD_REQUEST,
		"an identity can have at most %d policies",
		IDENTITY_POLICIES_MAX);
}

static int
policy_check_text(const struct identity_policy *p, const struct identity *i,
    struct err *e)
{
	struct policy_place at = { p->account, p->identity };
	struct policy	   *policy = policy_new(&at, bytes_of(p->text), e);
	int		    rc = 0;

	if (policy == NULL)
		return -1;
	if (i->config_set[0] != '\0' && policy_delegates(policy, p->account))
		rc = book_refuse(e, BOOK_BAD_REQUEST, "%s has a default "
		    "configuration set; a policy that lets another account "
		    "send is not possible beside it", p->identity);
	policy_free(policy);
	return rc;
}

int
identity_policy_put(struct db_txn *t, const struct identity_policy *p,
    struct err *e)
{
	struct policy_row room;
	struct identity	  i;

	if (!policy_name_is_valid(p->name))
		return book_refuse(e, BOOK_BAD_REQUEST,
		    "a policy name is 1 to 64 letters, digits, - or _");
	if (policy_check_place(t, p, &i, e) < 0 ||
	    policy_check_text(p, &i, e) < 0)
		return -1;
	return db_put(t, BOOK_POLICY, row_of(&room, p->account, p->identity,
	    p->name), bytes_of(p->text), false, e) < 0 ? -1 : 0;
}

int
identity_policy_delete(struct db_txn *t, const char *account,
    const char *identity, const char *name, struct err *e)
{
	struct policy_row room;

	if (!policy_name_is_valid(name))
		return 0;
	return db_delete(t, BOOK_POLICY, row_of(&room, account, identity,
	    name), e);
}

static bool
policy_on_first(void *first, const struct identity_policy *p)
{
	memcpy(first, p->name, sizeof(p->name));
	return false;
}

int
identity_policy_delete_all(struct db_txn *t, const char *account,
    const char *identity, struct err *e)
{
	char name[POLICY_NAME_MAX + 1];

	for (;;) {
		name[0] = '\0';
		if (identity_policy_each(t, account, identity,
			policy_on_first, name, e) < 0)
			return -1;
		if (name[0] == '\0')
			return 0;
		if (identity_policy_delete(t, account, identity, name, e) < 0)
			return -1;
	}
}

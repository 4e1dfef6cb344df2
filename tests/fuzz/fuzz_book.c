/* SPDX-License-Identifier: ISC */
/*
 * state/ of somebody else, as a backup may bring it: the first octet chooses
 * the table, the second the key, which may be one from the input; the rest is
 * the row.  Whatever stands there, the registers read it or say that it is
 * damaged; what was read can be asked for and judged, written, and is the
 * same from then on.
 */
#include <ftw.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "registry/account.h"
#include "registry/alarm.h"
#include "registry/book.h"
#include "registry/credential.h"
#include "registry/finding.h"
#include "registry/identity.h"
#include "registry/identity_policy.h"
#include "registry/import_job.h"
#include "registry/ip_filter.h"
#include "registry/level.h"
#include "registry/listing.h"
#include "registry/pool.h"
#include "registry/suppression.h"
#include "store/db.h"

#define ACCOUNT "123456789012"

enum { KEY_OWN = 0 };

struct try {
	struct book_job job; /* first */
	enum book_table table;
	struct bytes	key, value;
};

static const struct wall now = { INT64_C(1714564800000) };

/* What was read first of each kind; they are large. */
static struct account	    account;
static struct credential    credential;
static struct identity	    identity;
static struct dkim_key	    dkim_key;
static struct identity_keys keys;
static struct source	    source;
static struct pool	    pool;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- reading ---------------------------------------------------------------- */

static bool
on_account(void *has, const struct account *a)
{
	account = *a;
	*(bool *)has = true;
	must(memchr(a->name, '\0', sizeof(a->name)) != NULL);
	must(a->contact_count <= ACCOUNT_CONTACTS_MAX);
	must(account_enforcement_to_text(a->enforcement)[0] != '\0');
	(void)account_may_send(a);
	(void)account_is_expired(a, now);
	return true;
}

static bool
on_credential(void *has, const struct credential *c)
{
	credential = *c;
	*(bool *)has = true;
	must(c->key_count <= CREDENTIAL_KEYS_MAX);
	must(c->policy_count <= CREDENTIAL_POLICIES_MAX);
	must(c->limits.cidr_count <= CREDENTIAL_LIST_MAX);
	must(c->limits.from_count <= CREDENTIAL_LIST_MAX);
	must(c->limits.rcpt_count <= CREDENTIAL_LIST_MAX);
	must(c->role <= ROLE_NONE);
	return true;
}

static bool
on_identity(void *has, const struct identity *i)
{
	identity = *i;
	*(bool *)has = true;
	must(strcmp(identity_status_to_text(identity_status(i)), "") != 0);
	must(identity_error_to_text(i->token.error) != NULL);
	must(identity_method_to_text(i->method) != NULL);
	(void)identity_signing_set(i);
	(void)identity_may_send(i, now);
	(void)identity_due(i);
	return true;
}

static bool
on_key(void *has, const struct dkim_key *k)
{
	dkim_key = *k;
	*(bool *)has = true;
	must(k->public_n <= sizeof(k->public_key));
	must(k->sealed_n <= sizeof(k->sealed));
	must(dkim_role_to_text(k->role) != NULL);
	must(dkim_outcome_to_text(k->last_outcome) != NULL);
	return true;
}

static bool
on_source(void *has, const struct source *s)
{
	source = *s;
	*(bool *)has = true;
	must(s->family == AF_INET || s->family == AF_INET6);
	return true;
}

static bool
on_pool(void *has, const struct pool *p)
{
	pool = *p;
	*(bool *)has = true;
	must(pool_name_is_valid(bytes_of(p->name)));
	must(strlen(p->account) == ACCOUNT_ID_SIZE - 1);
	return true;
}

static bool
on_due(void *unused, struct wall due, const char *owner, const char *name)
{
	(void)unused;
	(void)due;
	must(strlen(owner) < ACCOUNT_ID_SIZE);
	must(strlen(name) < IDENTITY_NAME_SIZE);
	return true;
}

static void
on_line(void *unused, const char *line)
{
	(void)unused;
	must(line[0] != '\0');
}

static bool
on_alarm(void *unused, const struct alarm *a)
{
	(void)unused;
	must(memchr(a->name, '\0', sizeof(a->name)) != NULL);
	return true;
}

static bool
on_finding(void *unused, const struct finding *f)
{
	(void)unused;
	must(memchr(f->id, '\0', sizeof(f->id)) != NULL);
	return true;
}

static bool
on_filter(void *unused, const struct ip_filter *f)
{
	(void)unused;
	must(memchr(f->name, '\0', sizeof(f->name)) != NULL);
	return true;
}

static bool
on_suppression(void *unused, const struct suppression *x)
{
	(void)unused;
	must(memchr(x->address, '\0', sizeof(x->address)) != NULL);
	return true;
}

static bool
on_global_suppression(void *unused, const struct global_suppression *g)
{
	(void)unused;
	must(memchr(g->address, '\0', sizeof(g->address)) != NULL);
	return true;
}

static bool
on_policy(void *unused, const struct identity_policy *x)
{
	(void)unused;
	must(memchr(x->name, '\0', sizeof(x->name)) != NULL);
	return true;
}

static bool
on_import(void *unused, const struct import_job *j)
{
	(void)unused;
	must(memchr(j->id, '\0', sizeof(j->id)) != NULL);
	return true;
}

/* The lists that commands show. */
static void
list(struct db_txn *t)
{
	struct err e;

	(void)alarm_each(t, ACCOUNT, on_alarm, NULL, &e);
	(void)finding_each(t, NULL, on_finding, NULL, &e);
	(void)ip_filter_each(t, on_filter, NULL, &e);
	(void)suppression_each(t, ACCOUNT, NULL, on_suppression, NULL, &e);
	(void)global_suppression_each(t, "", on_global_suppression, NULL,
	    &e);
	(void)identity_policy_each(t, ACCOUNT, "example.com", on_policy, NULL,
	    &e);
	(void)import_job_each(t, on_import, NULL, &e);
}

/* Questions as relay asks them of whatever there is. */
static void
ask(struct db_txn *t)
{
	static struct signing_choice choice;
	struct signing_question	     q = { t, ACCOUNT,
			  BYTES("bob@mail.example.com"), true };
	struct err e;
	unsigned   n;

	(void)account_find(t, "name", &account, &e);
	(void)account_get(t, ACCOUNT, &account, &e);
	(void)credential_get(t, ACCOUNT, "app1", &credential, &e);
	if (credential_find_key(t, "AKIAIOSFODNN7EXAMPLE", &credential, &n,
		&e) == 1)
		must(n < credential.key_count);
	(void)identity_get(t, ACCOUNT, "example.com", &identity, &e);
	(void)identity_resolve(t, ACCOUNT, q.from, now, &identity, &e);
	if (identity_signing(&q, &choice, &e) == 0 &&
	    choice.result == SIGNING_KEY)
		must(choice.keys.key.role == DKIM_ACTIVE);
	(void)identity_explain(&q, on_line, NULL, &e);
	(void)identity_each_due(t, now, on_due, NULL, &e);
	if (identity_keys_load(t, ACCOUNT, "example.com", &keys, &e) == 0)
		must(keys.n <= IDENTITY_KEYS_MAX);
	if (source_get(t, "192.0.2.1", &source, &e) == 1)
		(void)source_is_in_pool(&source, ACCOUNT,
		    source_pool(&source));
	(void)pool_exists(t, ACCOUNT, "p", &e);
}

/* -- writing again ---------------------------------------------------------- */

/* The row that stands in the table, the only one. */
static void
only_row(struct db_txn *t, enum book_table table, struct buf *out)
{
	struct bytes	  key, value;
	struct err	  e;
	struct db_cursor *c = db_cursor(t, table, &e);

	must(c != NULL);
	buf_clear(out);
	if (db_last(c, &key, &value, &e) == 1)
		must(buf_add_bytes(out, key) && buf_add_bytes(out, value));
	db_cursor_close(c);
}

/* true: there was one, it was whole, and was put back as it is. */
static bool
pass(struct db_txn *t, enum book_table table)
{
	struct err e;
	bool	   has = false;

	switch (table) {
	case BOOK_ACCOUNT:
		return account_each(t, on_account, &has, &e) == 0 && has &&
		    account_put(t, &account, &e) == 0;
	case BOOK_CREDENTIAL:
		return credential_each(t, NULL, on_credential, &has, &e) == 0
		    && has && credential_put(t, &credential, &e) == 0;
	case BOOK_IDENTITY:
		return identity_each(t, NULL, on_identity, &has, &e) == 0 &&
		    has && identity_put(t, &identity, &e) == 0;
	case BOOK_DKIM_KEY:
		return dkim_key_each(t, NULL, NULL, on_key, &has, &e) == 0 &&
		    has && dkim_key_put(t, &dkim_key, &e) == 0;
	case BOOK_SOURCE:
		return source_each(t, on_source, &has, &e) == 0 && has &&
		    source_put(t, &source, &e) == 0;
	case BOOK_POOL:
		return pool_each(t, ACCOUNT, on_pool, &has, &e) == 0 && has &&
		    pool_put(t, &pool, &e) == 0;
	default:
		return false;
	}
}

static int
run(struct book_job *job, struct db_txn *t)
{
	struct try *y = (struct try *)(void *)job;
	struct buf  first, second;
	struct err  e;

	if (db_put(t, y->table, y->key, y->value, false, &e) < 0)
		return -1; /* not a key for LMDB */
	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	ask(t);
	list(t);
	if (pass(t, y->table)) {
		only_row(t, y->table, &first);
		must(pass(t, y->table));
		only_row(t, y->table, &second);
		must(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
		ask(t);
	}
	buf_wipe(&first);
	buf_wipe(&second);
	return -1; /* nothing is kept */
}

/* -- the store -------------------------------------------------------------- */

static int
on_file(const char *path, const struct stat *st, int kind, struct FTW *f)
{
	(void)st;
	(void)kind;
	(void)f;
	return remove(path);
}

static struct book *
the_book(void)
{
	static struct book *b;
	const char	   *tmp = getenv("TMPDIR");
	char		    dir[128];
	struct err	    e;

	if (b != NULL)
		return b;
	snprintf(dir, sizeof(dir), "%.90s/posthorn-fuzz-XXXXXX",
	    tmp != NULL ? tmp : "/tmp");
	must(mkdtemp(dir) != NULL);
	b = book_open(dir, 16 << 20, &e);
	must(b != NULL);
	must(nftw(dir, on_file, 8, FTW_DEPTH | FTW_PHYS) == 0);
	return b;
}

static struct bytes
usual_key(enum book_table table)
{
	static const struct {
		enum book_table table;
		struct bytes	key;
	} all[] = { { BOOK_ACCOUNT, BYTES(ACCOUNT) },
		{ BOOK_CREDENTIAL, BYTES(ACCOUNT "app1") },
		{ BOOK_KEY, BYTES("AKIAIOSFODNN7EXAMPLE") },
		{ BOOK_IDENTITY, BYTES(ACCOUNT "example.com") },
		{ BOOK_DKIM_KEY, BYTES(ACCOUNT "example.com\0s1") },
		{ BOOK_SELECTOR, BYTES("example.com\0s1") },
		{ BOOK_SOURCE, BYTES("192.0.2.1") },
		{ BOOK_POOL, BYTES(ACCOUNT "p") },
		{ BOOK_ALARM, BYTES(ACCOUNT "a") },
		{ BOOK_FINDING, BYTES(ACCOUNT "0123456789abcdef") },
		{ BOOK_IP_FILTER, BYTES("f") },
		{ BOOK_SUPPRESSED, BYTES(ACCOUNT "jane@sink.example") },
		{ BOOK_SUPPRESSED_ALL, BYTES("jane@sink.example") },
		{ BOOK_POLICY, BYTES(ACCOUNT "example.com\0p") } };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].table == table)
			return all[i].key;
	return BYTES("x");
}

/* Rows that nothing else looks at: what was read is the same when it was
 * written and read. */
static void
records(enum book_table table, struct bytes in)
{
	static struct listing listing, listing_back;
	static struct level   level, level_back;
	struct buf	      b;

	buf_init(&b, 1 << 16);
	if (table == BOOK_LISTING && listing_read_record(in, &listing)) {
		must(listing_write_record(&listing, &b));
		must(listing_read_record(buf_bytes(&b), &listing_back));
		must(memcmp(&listing, &listing_back, sizeof(listing)) == 0);
		(void)dnsbl_verdict_to_text(listing.verdict);
	} else if (table == BOOK_LEVEL && level_read_record(in, &level)) {
		must(level_write_record(&level, &b));
		must(level_read_record(buf_bytes(&b), &level_back));
		must(memcmp(&level, &level_back, sizeof(level)) == 0);
		(void)level_limit(&level);
	}
	buf_wipe(&b);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data, size };
	struct try   y = { .job.run = run };
	size_t	     n;

	if (size < 3)
		return 0;
	y.table = (enum book_table)(data[0] % BOOK_TABLES);
	y.key = usual_key(y.table);
	in = bytes_from(in, 2);
	if (data[1] == KEY_OWN) {
		n = (unsigned char)in.p[0];
		y.key = bytes_head(bytes_from(in, 1), n);
		in = bytes_from(in, n + 1);
	}
	y.value = in;
	records(y.table, in);
	must(book_write_now(the_book(), &y.job) < 0);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * state/ of somebody else, as a backup may bring it: the first octet chooses
 * the table, the second the key, which may be one from the input, its length
 * before it; the rest is the row.  Whatever stands there, the registers read
 * it or say that it is damaged; what was read can be asked for and judged, is written where it
 * stood, and is the same from then on; and the account it belongs to can be
 * deleted.
 */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/err.h"
#include "registry/account.h"
#include "registry/alarm.h"
#include "registry/book.h"
#include "registry/config_set.h"
#include "registry/credential.h"
#include "registry/destination.h"
#include "registry/finding.h"
#include "registry/identity.h"
#include "registry/identity_policy.h"
#include "registry/import_job.h"
#include "registry/ip_filter.h"
#include "registry/level.h"
#include "registry/listing.h"
#include "registry/mail_from.h"
#include "registry/notification.h"
#include "registry/pool.h"
#include "registry/snds.h"
#include "registry/spf_state.h"
#include "registry/suppression.h"
#include "registry/topic.h"
#include "store/db.h"
#include "temp_folder.h"

#define ACCOUNT "123456789012"
#define SET_ID "\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1\1"

enum { KEY_OWN = 0, KEY_LONG = 2, PURGES_MAX = 8 };

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
static struct alarm	    alarm_row;
static struct finding	    finding;
static struct ip_filter	    filter;
static struct import_job    import;
static struct config_set    set;
static struct destination   destination;
static struct topic	    topic;
static struct notification  notification;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);
int fuzz_replay_end(void);

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
on_alarm(void *has, const struct alarm *a)
{
	alarm_row = *a;
	*(bool *)has = true;
	must(memchr(a->name, '\0', sizeof(a->name)) != NULL);
	must(alarm_state_to_text(a->state) != NULL);
	must(alarm_metric_to_text(a->metric) != NULL);
	return true;
}

static bool
on_move(void *has, struct wall at, enum alarm_state to, const char *reason)
{
	(void)at;
	*(bool *)has = true;
	must(alarm_state_to_text(to) != NULL);
	must(strlen(reason) < ALARM_REASON_SIZE);
	return true;
}

static bool
on_finding(void *has, const struct finding *f)
{
	finding = *f;
	*(bool *)has = true;
	must(memchr(f->id, '\0', sizeof(f->id)) != NULL);
	must(finding_type_to_text(f->type) != NULL);
	must(finding_state_to_text(f->state) != NULL);
	return true;
}

static bool
on_filter(void *has, const struct ip_filter *f)
{
	filter = *f;
	*(bool *)has = true;
	must(memchr(f->name, '\0', sizeof(f->name)) != NULL);
	return true;
}

static bool
on_global_suppression(void *has, const struct global_suppression *g)
{
	*(bool *)has = true;
	must(memchr(g->address, '\0', sizeof(g->address)) != NULL);
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
on_policy(void *has, const struct identity_policy *x)
{
	*(bool *)has = true;
	must(memchr(x->name, '\0', sizeof(x->name)) != NULL);
	return true;
}

static bool
on_import(void *has, const struct import_job *j)
{
	import = *j;
	*(bool *)has = true;
	must(memchr(j->id, '\0', sizeof(j->id)) != NULL);
	must(import_status_to_text(j->status) != NULL);
	return true;
}

static bool
on_set(void *has, const struct config_set *s)
{
	set = *s;
	*(bool *)has = true;
	must(config_set_name_is_valid(bytes_of(s->name)));
	return true;
}

static bool
on_destination(void *has, const struct destination *d)
{
	destination = *d;
	*(bool *)has = true;
	must(strlen(d->account) == ACCOUNT_ID_SIZE - 1);
	return true;
}

static bool
on_topic(void *has, const struct topic *x)
{
	topic = *x;
	*(bool *)has = true;
	must(topic_name_is_valid(bytes_of(x->ref.name)));
	must(x->publisher_count <= TOPIC_PUBLISHERS_MAX);
	must(topic_may_publish(x, x->ref.account));
	return true;
}

static bool
on_notification(void *has, const struct notification *n)
{
	struct event ev = { .type = EVENT_BOUNCE };

	notification = *n;
	*(bool *)has = true;
	must(n->identity[0] != '\0');
	(void)notification_takes(n, &ev);
	return true;
}

static bool
on_listing(void *has, const struct listing *l)
{
	*(bool *)has = true;
	must(dnsbl_verdict_to_text(l->verdict) != NULL);
	return true;
}

static bool
on_snds(void *has, const struct snds_row *r)
{
	*(bool *)has = true;
	must(strcmp(r->address, "192.0.2.1") == 0);
	return true;
}

/* The rest of them. */
static void
ask_more(struct db_txn *t)
{
	static const struct config_set_id id = { SET_ID };
	struct suppression_question q = { .account = ACCOUNT,
		.address = BYTES("jane@sink.example"),
		.account_reasons = SUPPRESS_ALL, .global = true, .now = now };
	static const struct topic_ref ref = { ACCOUNT, "T" };
	enum topic_state	state;
	enum suppression_answer	answer;
	struct mail_from_choice choice;
	char		        owner[ACCOUNT_ID_SIZE];
	struct err	        e;
	bool		        review, pause;

	if (suppression_check(t, &q, &answer, &e) == 0)
		must(answer <= SUPPRESSION_UNSUBSCRIBED);
	(void)suppression_each(t, ACCOUNT, NULL, on_suppression, NULL, &e);
	(void)config_set_find(t, &id, &set, &e);
	(void)config_set_count_destinations(t, &id, &e);
	(void)destination_get(t, &id, BYTES("d"), &destination, &e);
	(void)topic_look(t, &ref, ACCOUNT, NULL, &state, &e);
	(void)notification_get(t, ACCOUNT, "example.com", &notification, &e);
	if (mail_from_owner(t, BYTES("bounce.example.com"), owner, &e) == 1)
		must(strlen(owner) < ACCOUNT_ID_SIZE);
	(void)mail_from_choose(t, ACCOUNT, BYTES("bob@example.com"), now,
	    &choice, &e);
	(void)identity_policy_any(t, ACCOUNT, &e);
	(void)identity_policy_delegates(t, ACCOUNT, "example.com", &e);
	(void)finding_look(t, ACCOUNT, &review, &pause, &e);
	(void)finding_is_open(t, ACCOUNT, FINDING_OTHER, "account", &e);
	ip_filter_list_free(ip_filter_list_new(t, &e));
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
	ask_more(t);
}

/* -- each table: 1 = a whole row was met, 0 = none, -1 = a damaged one -------- */

#define LOOK(name, call)					\
	static int						\
	look_##name(struct db_txn *t)				\
	{							\
		bool	   has = false;				\
		struct err e;					\
		int	   rc = (call);				\
								\
		return rc < 0 ? -1 : rc == 1 || has;		\
	}
LOOK(account, account_each(t, on_account, &has, &e))
LOOK(credential, credential_each(t, NULL, on_credential, &has, &e))
LOOK(identity, identity_each(t, NULL, on_identity, &has, &e))
LOOK(policy, identity_policy_each(t, NULL, NULL, on_policy, &has, &e))
LOOK(dkim_key, dkim_key_each(t, NULL, NULL, on_key, &has, &e))
LOOK(source, source_each(t, on_source, &has, &e))
LOOK(set, config_set_each(t, ACCOUNT, on_set, &has, &e))
LOOK(destination, destination_each(t, NULL, on_destination, &has, &e))
LOOK(topic, topic_each(t, NULL, on_topic, &has, &e))
LOOK(notification, notification_each(t, NULL, on_notification, &has, &e))
LOOK(global, global_suppression_each(t, "", on_global_suppression, &has, &e))
LOOK(import, import_job_each(t, on_import, &has, &e))
LOOK(filter, ip_filter_each(t, on_filter, &has, &e))
LOOK(alarm, alarm_each(t, NULL, on_alarm, &has, &e))
LOOK(finding, finding_each(t, NULL, on_finding, &has, &e))
LOOK(pool, pool_each(t, ACCOUNT, on_pool, &has, &e))
LOOK(listing, listing_each(t, NULL, on_listing, &has, &e))
LOOK(snds, snds_each(t, "192.0.2.1", on_snds, &has, &e))

static int
look_spf(struct db_txn *t)
{
	struct spf_state s;
	struct err	 e;

	return spf_state_get(t, ACCOUNT, "mail.example.com", &s, &e);
}

static int
look_suppressed(struct db_txn *t)
{
	struct suppression s;
	struct err	   e;

	return suppression_get(t, ACCOUNT, BYTES("jane@sink.example"), &s,
	    &e);
}

static int
look_level(struct db_txn *t)
{
	struct level l;
	struct err   e;

	return level_get(t, ACCOUNT, "example.com", &l, &e);
}

/* A damaged transition is forgotten with those behind it. */
static int
look_past(struct db_txn *t)
{
	static const struct alarm a = { .account = ACCOUNT, .name = "a" };
	struct err e;
	bool	   has = false;

	must(alarm_history(t, &a, on_move, &has, &e) == 0);
	return has;
}

static int
look_tags(struct db_txn *t, enum book_table table, struct bytes key)
{
	struct resource_tags tags;
	struct arena	    *a = arena_new(1 << 20);
	struct err	     e;
	int rc = resource_tags_get(t, table, key, a, &tags, &e);

	arena_free(a);
	return rc < 0 ? -1 : tags.n > 0;
}

static int
look_set_tags(struct db_txn *t)
{
	return look_tags(t, BOOK_SET_TAGS, BYTES(SET_ID));
}

static int
look_identity_tags(struct db_txn *t)
{
	return look_tags(t, BOOK_IDENTITY_TAGS, BYTES(ACCOUNT "example.com"));
}

/* What was met goes back as it is: 0, -1. */
#define PUT(name, row)						\
	static int						\
	put_##name(struct db_txn *t)				\
	{							\
		struct err e;					\
								\
		return name##_put(t, &row, &e) < 0 ? -1 : 0;	\
	}
PUT(account, account)
PUT(credential, credential)
PUT(identity, identity)
PUT(dkim_key, dkim_key)
PUT(source, source)
PUT(config_set, set)
PUT(destination, destination)
PUT(topic, topic)
PUT(notification, notification)
PUT(import_job, import)
PUT(ip_filter, filter)
PUT(alarm, alarm_row)
PUT(finding, finding)
PUT(pool, pool)

static const struct table {
	int (*look)(struct db_txn *t); /* NULL: has no records of its own */
	int (*put)(struct db_txn *t);  /* NULL: only with something else */
} tables[BOOK_TABLES] = {
	[BOOK_ACCOUNT] = { look_account, put_account },
	[BOOK_CREDENTIAL] = { look_credential, put_credential },
	[BOOK_IDENTITY] = { look_identity, put_identity },
	[BOOK_POLICY] = { look_policy, NULL },
	[BOOK_DKIM_KEY] = { look_dkim_key, put_dkim_key },
	[BOOK_SOURCE] = { look_source, put_source },
	[BOOK_CONFIG_SET] = { look_set, put_config_set },
	[BOOK_SET_TAGS] = { look_set_tags, NULL },
	[BOOK_DESTINATION] = { look_destination, put_destination },
	[BOOK_SUPPRESSED] = { look_suppressed, NULL },
	[BOOK_SUPPRESSED_ALL] = { look_global, NULL },
	[BOOK_IMPORT] = { look_import, put_import_job },
	[BOOK_IP_FILTER] = { look_filter, put_ip_filter },
	[BOOK_ALARM] = { look_alarm, put_alarm },
	[BOOK_ALARM_PAST] = { look_past, NULL },
	[BOOK_FINDING] = { look_finding, put_finding },
	[BOOK_POOL] = { look_pool, put_pool },
	[BOOK_LEVEL] = { look_level, NULL },
	[BOOK_LISTING] = { look_listing, NULL },
	[BOOK_SNDS] = { look_snds, NULL },
	[BOOK_IDENTITY_TAGS] = { look_identity_tags, NULL },
	[BOOK_SPF] = { look_spf, NULL },
	[BOOK_TOPIC] = { look_topic, put_topic },
	[BOOK_NOTIFICATION] = { look_notification, put_notification },
};

/* -- writing again ---------------------------------------------------------- */

/* The row of the table: it has that one. */
static void
only_row(struct db_txn *t, enum book_table table, struct buf *out)
{
	struct bytes	  key, value;
	struct err	  e;
	struct db_cursor *c = db_cursor(t, table, &e);

	must(c != NULL);
	buf_clear(out);
	must(db_seek(c, BYTES(""), &key, &value, &e) == 1);
	must(buf_add_bytes(out, key) && buf_add_bytes(out, value));
	must(db_next(c, &key, &value, &e) == 0);
	db_cursor_close(c);
}

static void
write_again(struct db_txn *t, enum book_table table)
{
	struct buf first, second;

	if (tables[table].put(t) < 0)
		return; /* it needs what is not there */
	buf_init(&first, 1 << 20);
	buf_init(&second, 1 << 20);
	only_row(t, table, &first);
	must(tables[table].look(t) == 1);
	must(tables[table].put(t) == 0);
	only_row(t, table, &second);
	must(bytes_eq(buf_bytes(&first), buf_bytes(&second)));
	buf_wipe(&first);
	buf_wipe(&second);
	ask(t);
}

/* What happens as time passes. */
static void
change(struct db_txn *t)
{
	static const struct snds_row data = { .address = "192.0.2.1",
		.day = 19844 };
	static const struct listing_reply reply = { "192.0.2.1", "list.example",
		"", "group", { INT64_C(1714564800000) } };
	static struct listing_change changes[4];
	struct level_days days = { .today = level_day(now) };
	struct level_change moved;
	struct alarm_effect effect;
	struct level	  l;
	struct err	  e;
	bool		  has;
	char		  place[ADDRESS_TEXT_MAX] = "";

	(void)snds_put(t, &data, now, &has, &e);
	(void)listing_note(t, &reply, changes, &e);
	(void)listing_settle(t, true, &e);
	(void)spf_state_expire(t, now, &e);
	(void)listing_expire(t, now, changes, 4, &e);
	(void)global_suppression_sweep(t, place, 10, now, &e);
	(void)finding_count(t, ACCOUNT, FINDING_DIRECT_FEEDBACK, now,
	    &finding, &e);
	if (level_get(t, ACCOUNT, "example.com", &l, &e) == 1) {
		level_judge(&l, &days, now, &moved);
		must(level_put(t, &l, &e) == 0);
	}
	if (alarm_get(t, ACCOUNT, "a", &alarm_row, &e) == 1)
		(void)alarm_move(t, &alarm_row, ALARM_ALARM, "x", now, &effect,
		    &e);
}

/* It comes to an end, or says what is damaged. */
static void
purge(struct db_txn *t)
{
	struct err e;
	unsigned   n = 0;

	while (account_purge(t, ACCOUNT, 100, &e) == 0)
		must(++n < PURGES_MAX);
}

/* What the inputs have shown of each table. */
static struct {
	bool whole, damaged;
} seen[BOOK_TABLES];

static int
run(struct book_job *job, struct db_txn *t)
{
	struct try *y = (struct try *)(void *)job;
	struct err  e;
	int	    met;

	if (db_put(t, y->table, y->key, y->value, false, &e) < 0)
		return -1; /* not a key for LMDB */
	ask(t);
	if (tables[y->table].look != NULL) {
		met = tables[y->table].look(t);
		seen[y->table].whole |= met == 1;
		seen[y->table].damaged |= met < 0 ||
		    (met == 0 && y->table == BOOK_ALARM_PAST);
		if (met == 1 && tables[y->table].put != NULL)
			write_again(t, y->table);
	}
	change(t);
	purge(t);
	return -1; /* nothing is kept */
}

/* -- the store -------------------------------------------------------------- */

static struct book *
the_book(void)
{
	static struct book *b;
	char		    dir[TEMP_FOLDER_SIZE];
	struct err	    e;

	if (b != NULL)
		return b;
	temp_folder_make(dir, "fuzz");
	b = book_open(dir, 16 << 20, &e);
	must(b != NULL);
	temp_folder_remove(dir);
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
		{ BOOK_POLICY, BYTES(ACCOUNT "example.com\0p") },
		{ BOOK_CONFIG_SET, BYTES(ACCOUNT "s") },
		{ BOOK_SET_ID, BYTES(SET_ID) },
		{ BOOK_SET_TAGS, BYTES(SET_ID) },
		{ BOOK_DESTINATION, BYTES(SET_ID "d") },
		{ BOOK_ALARM_PAST, BYTES(ACCOUNT "a") },
		{ BOOK_LEVEL, BYTES(ACCOUNT "example.com") },
		{ BOOK_LISTING, BYTES("192.0.2.1\0" "0list.example") },
		{ BOOK_SNDS, BYTES("192.0.2.1\0\0\0\0\0\0\0\0\1") },
		{ BOOK_IDENTITY_TAGS, BYTES(ACCOUNT "example.com") },
		{ BOOK_SPF, BYTES(ACCOUNT "mail.example.com") },
		{ BOOK_TOPIC, BYTES(ACCOUNT "T") },
		{ BOOK_NOTIFICATION, BYTES(ACCOUNT "example.com") } };
	size_t i;

	for (i = 0; i < sizeof(all) / sizeof(all[0]); i++)
		if (all[i].table == table)
			return all[i].key;
	return BYTES("x");
}

/* Of records that are written with others: what was read is the same when it
 * was written and read. */
static void
records(enum book_table table, struct bytes in)
{
	static struct listing listing, listing_back;
	static struct level   level, level_back;
	static struct snds_row snds, snds_back;
	static struct spf_state spf, spf_back;
	struct buf	      b;

	buf_init(&b, 1 << 16);
	if (table == BOOK_LISTING && listing_read_record(in, &listing)) {
		must(listing_write_record(&listing, &b));
		must(listing_read_record(buf_bytes(&b), &listing_back));
		must(memcmp(&listing, &listing_back, sizeof(listing)) == 0);
	} else if (table == BOOK_LEVEL && level_read_record(in, &level)) {
		must(level_write_record(&level, &b));
		must(level_read_record(buf_bytes(&b), &level_back));
		must(memcmp(&level, &level_back, sizeof(level)) == 0);
		(void)level_limit(&level);
	} else if (table == BOOK_SNDS && snds_read_record(in, &snds)) {
		must(snds_write_record(&snds, &b));
		must(snds_read_record(buf_bytes(&b), &snds_back));
		must(memcmp(&snds, &snds_back, sizeof(snds)) == 0);
	} else if (table == BOOK_SPF && spf_state_read_record(in, &spf)) {
		must(spf_state_write_record(&spf, &b));
		must(spf_state_read_record(buf_bytes(&b), &spf_back));
		must(memcmp(&spf, &spf_back, sizeof(spf)) == 0);
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
	if (data[1] == KEY_OWN || data[1] == KEY_LONG) {
		n = (unsigned char)in.p[0] + (data[1] == KEY_LONG ? 256U : 0);
		y.key = bytes_head(bytes_from(in, 1), n);
		in = bytes_from(in, n + 1);
	}
	y.value = in;
	records(y.table, in);
	must(book_write_now(the_book(), &y.job) < 0);
	return 0;
}

/* Seeds grow stale when a record changes. */
int
fuzz_replay_end(void)
{
	unsigned i;
	int	 status = 0;

	for (i = 0; i < BOOK_TABLES; i++) {
		if (tables[i].look == NULL ||
		    (seen[i].whole && seen[i].damaged))
			continue;
		fprintf(stderr, "table %u: no %s row among the seeds; "
		    "run make fuzz-seeds\n", i,
		    seen[i].whole ? "damaged" : "whole");
		status = 1;
	}
	return status;
}

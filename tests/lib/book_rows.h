/* SPDX-License-Identifier: ISC */
/*
 * book_rows.h - a row of every table of state/, made by the registers: always
 * the same.  Include it in one file.
 *
 * Use:    in a write transaction rows_put(t).
 * Owner:  the book.
 * Thread: that of the transaction.
 * Fails:  ends the program with the reason.
 */
#ifndef TESTS_BOOK_ROWS_H
#define TESTS_BOOK_ROWS_H

#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/alarm.h"
#include "registry/credential.h"
#include "registry/destination.h"
#include "registry/finding.h"
#include "registry/identity_policy.h"
#include "registry/import_job.h"
#include "registry/ip_filter.h"
#include "registry/level.h"
#include "registry/listing.h"
#include "registry/notification.h"
#include "registry/pool.h"
#include "registry/snds.h"
#include "registry/spf_state.h"
#include "registry/topic.h"
#include "store/db.h"

#define ROWS_ACCOUNT "123456789012"
#define ROWS_DOCUMENT "{\"Version\":\"2012-10-17\",\"Statement\":[{" \
	"\"Effect\":\"Allow\",\"Principal\":{\"AWS\":\"888888888888\"}," \
	"\"Action\":\"ses:SendRawEmail\",\"Resource\":\"arn:aws:ses:" \
	"us-east-1:" ROWS_ACCOUNT ":identity/example.com\"}]}"
#define ROWS_OWN_DOCUMENT "{\"Version\":\"2012-10-17\",\"Statement\":[{" \
	"\"Effect\":\"Allow\",\"Action\":\"ses:SendRawEmail\"," \
	"\"Resource\":\"*\"}]}"

static const struct wall rows_now = { INT64_C(1714564800000) };
static struct err rows_err;

static inline void
rows_good(int rc)
{
	if (rc >= 0)
		return;
	fprintf(stderr, "book_rows: %s\n", rows_err.text);
	exit(1);
}

/* -- a row of each ---------------------------------------------------------- */

static inline void
rows_put_account(struct db_txn *t)
{
	struct account a = { .id = ROWS_ACCOUNT, .name = "name",
		.production = true, .sending_enabled = true,
		.created = rows_now, .updated = rows_now, .max_24h = 200, .rate = 1,
		.website = "https://example.com/", .contact_count = 1,
		.contacts = { "ops@example.com" }, .suppress_bounce = true };
	struct ip_filter f = { .name = "f", .allow = true,
		.listener = "submission", .created = rows_now };

	rows_good(account_create(t, &a, &rows_err));
	rows_good(conf_cidr_parse(BYTES("192.0.2.0/24"), &f.cidr) ? 0 : -1);
	rows_good(ip_filter_put(t, &f, &rows_err));
}

static inline void
rows_put_credential(struct db_txn *t)
{
	static struct credential c;
	struct credential_key	*k = &c.keys[0];

	credential_init(&c);
	strcpy(c.account, ROWS_ACCOUNT);
	strcpy(c.name, "app1");
	c.created = c.updated = rows_now;
	c.key_count = 1;
	strcpy(k->id, "AKIAIOSFODNN7EXAMPLE");
	k->active = true;
	strcpy(k->region, "us-east-1");
	k->created = k->last_used = rows_now;
	strcpy(k->last_ip, "192.0.2.9");
	c.limits.cidr_count = 1;
	rows_good(conf_cidr_parse(BYTES("192.0.2.0/24"), &c.limits.cidrs[0]) ? 0
								      : -1);
	c.limits.from_count = 1;
	strcpy(c.limits.from[0], "*@example.com");
	c.limits.tag_count = 1;
	strcpy(c.limits.tags[0].name, "team");
	strcpy(c.limits.tags[0].value, "a");
	rows_good(credential_set_policy(&c, "p", BYTES(ROWS_OWN_DOCUMENT),
	    &rows_err));
	rows_good(credential_create(t, &c, 0, &rows_err));
}

static inline void
rows_put_identity(struct db_txn *t)
{
	static struct identity_policy p = { .account = ROWS_ACCOUNT,
		.identity = "example.com", .name = "p", .text = ROWS_DOCUMENT };
	static struct dkim_key k = { .account = ROWS_ACCOUNT,
		.domain = "example.com", .selector = "s1", .bits = 2048,
		.role = DKIM_ACTIVE, .last_outcome = DKIM_MATCH, .seen = true,
		.public_key = { 1, 2, 3, 4 }, .public_n = 4,
		.sealed = { 1, 'a', 'b' }, .sealed_n = 3 };
	static struct identity i;
	struct resource_tags   tags = { 0 };

	identity_init(&i, ROWS_ACCOUNT, "example.com", rows_now);
	i.dkim.status = IDENTITY_SUCCESS;
	i.dkim.next_check = rows_now;
	i.bits = i.next_bits = 2048;
	strcpy(i.mail_from.domain, "bounce.example.com");
	i.mail_from.check.status = IDENTITY_PENDING;
	i.mail_from.check.next_check = rows_now;
	rows_good(identity_create(t, &i, &rows_err));
	k.created = k.activated = k.seen_since = k.last_seen = rows_now;
	rows_good(dkim_key_put(t, &k, &rows_err));
	rows_good(identity_policy_put(t, &p, &rows_err));
	rows_good(resource_tags_add(&tags, BYTES("team"), BYTES("a"),
	    &rows_err));
	rows_good(identity_tags_put(t, &i, &tags, &rows_err));
	/* its token is random: a row like the one of identity_issue_token() */
	rows_good(db_put(t, BOOK_TOKEN,
	    BYTES("0123456789abcdef0123456789abcdef"),
	    BYTES(ROWS_ACCOUNT "bob@example.com"), false, &rows_err));
}

static inline void
rows_put_source(struct db_txn *t)
{
	struct source s = { .address = "192.0.2.1", .family = AF_INET,
		.ehlo = "h.example", .dedicated = true, .account = ROWS_ACCOUNT,
		.enabled = true, .created = rows_now };
	struct listing_reply r = { "192.0.2.1", "list.example",
		"https://list.example/", "group", rows_now };
	struct listing_change change;
	struct snds_row snds = { .address = "192.0.2.1", .day = 19843,
		.rcpts = 10, .datas = 9, .recipients = 8, .traps = 1,
		.filter = SNDS_YELLOW, .complaints = 3000 };
	static const struct spf_state spf = { .account = ROWS_ACCOUNT,
		.domain = "mail.example.com", .standing = SPF_FAILS,
		.finding = "SPF record was not found.",
		.detail = "192.0.2.1 none" };
	struct spf_state_change spf_change;
	struct pool p;
	bool	    has_traps;

	pool_init(&p, ROWS_ACCOUNT, "p", rows_now);
	rows_good(pool_create(t, &p, &rows_err));
	rows_good(source_put(t, &s, &rows_err));
	rows_good(pool_add_source(t, &p, &s, &rows_err));
	rows_good(listing_note(t, &r, &change, &rows_err));
	rows_good(snds_put(t, &snds, rows_now, &has_traps, &rows_err));
	rows_good(spf_state_note(t, &spf, rows_now, &spf_change, &rows_err));
}

static inline void
rows_put_set(struct db_txn *t)
{
	static struct config_set  s;
	static struct destination d;
	struct resource_tags	  tags = { 0 };

	config_set_init(&s, ROWS_ACCOUNT, "s", rows_now);
	memset(s.id.b, 1, sizeof(s.id.b));
	strcpy(s.pool, "p");
	s.max_delivery_s = 3600;
	rows_good(config_set_create(t, &s, &rows_err));
	rows_good(resource_tags_add(&tags, BYTES("team"), BYTES("a"),
	    &rows_err));
	rows_good(config_set_tags_put(t, &s, &tags, &rows_err));
	destination_init(&d, &s, "d", rows_now);
	memset(d.id.b, 2, sizeof(d.id.b));
	d.types = DESTINATION_ALL_TYPES;
	d.kind = DESTINATION_WEBHOOK;
	strcpy(d.webhook.url, "https://example.com/hook");
	strcpy(d.webhook.headers, "X-Key: v\n");
	memset(d.webhook.key, 3, sizeof(d.webhook.key));
	strcpy(d.filter.domains, "sink.example\n");
	rows_good(destination_create(t, &d, &rows_err));
}

static inline void
rows_put_topic(struct db_txn *t)
{
	static struct topic	   x;
	static struct notification n;
	struct topic_ref	   other = { "888888888888", "U" };

	topic_init(&x, ROWS_ACCOUNT, "T", rows_now);
	memset(x.id.b, 4, sizeof(x.id.b));
	(void)topic_add_publisher(&x, "888888888888");
	rows_good(topic_create(t, &x, &rows_err));
	notification_init(&n, ROWS_ACCOUNT, "example.com");
	(void)notification_set(&n, NOTIFICATION_BOUNCE, &other, rows_now);
	(void)notification_set(&n, NOTIFICATION_BOUNCE, &x.ref, rows_now);
	(void)notification_set(&n, NOTIFICATION_DELIVERY, &x.ref, rows_now);
	n.now[NOTIFICATION_BOUNCE].headers = true;
	rows_good(notification_put(t, &n, &rows_err));
}

static inline void
rows_put_suppression(struct db_txn *t)
{
	struct suppression s = { .account = ROWS_ACCOUNT,
		.address = "Jane@sink.example", .last = SUPPRESS_BOUNCE,
		.updated = rows_now, .source = SUPPRESSION_AUTO,
		.message_id = "0102", .feedback_id = "0103" };
	struct global_suppression g = { .address = "Jane@sink.example",
		.listed = rows_now, .last_account = ROWS_ACCOUNT,
		.last_message_id = "0102", .last_feedback_id = "0103" };
	struct import_job j = { .id = "11111111-2222-4333-8444-555555555555",
		.account = ROWS_ACCOUNT, .format = IMPORT_JSON,
		.status = IMPORT_FAILED, .created = rows_now,
		.completed = rows_now, .processed = 2, .failed = 1, .line = 2, .offset = 60,
		.rejected = 20, .error = "unreadable" };

	rows_good(suppression_add(t, &s, &rows_err));
	rows_good(global_suppression_bounce(t, &g, false, &rows_err));
	rows_good(import_job_put(t, &j, &rows_err));
}

static inline void
rows_put_reputation(struct db_txn *t)
{
	struct alarm a = { .account = ROWS_ACCOUNT, .name = "a",
		.description = "text", .metric = ALARM_BOUNCE_RATE,
		.threshold = 0.05, .notifies = true };
	struct finding f = { .account = ROWS_ACCOUNT, .id = "0123456789abcdef",
		.type = FINDING_SPAM_TRAP, .action = FINDING_REVIEW,
		.source = FINDING_BY_IMPORT, .state = FINDING_CLOSED,
		.scope = "ip 192.0.2.1", .note = "note",
		.private_note = "own", .opened = rows_now, .closed = rows_now,
		.close_reason = "mended" };
	struct level l = { .account = ROWS_ACCOUNT, .domain = "example.com" };
	struct alarm_effect effect;

	rows_good(alarm_create(t, &a, &rows_err));
	rows_good(alarm_move(t, &a, ALARM_ALARM, "0.06 > 0.05", rows_now,
	    &effect, &rows_err));
	rows_good(finding_put(t, &f, &rows_err));
	rows_good(level_set(&l, 7, rows_now, &rows_err));
	rows_good(level_put(t, &l, &rows_err));
}

static inline void
rows_put(struct db_txn *t)
{
	rows_put_account(t);
	rows_put_credential(t);
	rows_put_identity(t);
	rows_put_source(t);
	rows_put_set(t);
	rows_put_topic(t);
	rows_put_suppression(t);
	rows_put_reputation(t);
}

#endif

/* SPDX-License-Identifier: ISC */
/* Suppression lists: of an account, and the installation's. */
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "daemon/control_private.h"
#include "registry/glob.h"
#include "registry/suppression.h"

enum { PAGE_MAX = 1000, TOKEN_SIZE = ADDRESS_TEXT_MAX + 32 };

/* -- arguments --------------------------------------------------------------- */

/* A set of reasons from a list: 1 = given (perhaps empty), 0 = not, -1. */
static int
arg_reason_set(struct request *q, const char *name, unsigned *out)
{
	json_t		       *list = arg_list(q, name), *v;
	enum suppression_reason r;
	size_t			i;

	if (list == NULL)
		return 0;
	*out = 0;
	json_array_foreach(list, i, v) {
		if (!suppression_reason_from_text(
			bytes_of(json_string_value(v)), &r))
			return request_refuse(q, BOOK_BAD_REQUEST,
			    "%s: not bounce or complaint: %s", name,
			    json_string_value(v));
		*out |= (unsigned)r;
	}
	return 1;
}

static int
arg_reason(struct request *q, enum suppression_reason *out)
{
	unsigned set = 0;
	int	 given = arg_reason_set(q, "reason", &set);

	if (given < 0)
		return -1;
	if (set != SUPPRESS_BOUNCE && set != SUPPRESS_COMPLAINT)
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "--reason: bounce or complaint");
	*out = (enum suppression_reason)set;
	return 0;
}

static const char *
arg_address(struct request *q)
{
	const char *address = arg_text(q, "address");

	if (address == NULL)
		(void)request_misuse(q, "address: is missing");
	return address;
}

/* -- as JSON ------------------------------------------------------------------ */

json_t *
json_of_reasons(unsigned set)
{
	json_t *list = json_array();

	if ((set & SUPPRESS_BOUNCE) != 0)
		json_array_append_new(list, json_string("BOUNCE"));
	if ((set & SUPPRESS_COMPLAINT) != 0)
		json_array_append_new(list, json_string("COMPLAINT"));
	return list;
}

static json_t *
suppression_json(const struct suppression *s)
{
	return json_pack("{s:s, s:s, s:o}", "EmailAddress", s->address,
	    "Reason", suppression_reason_to_text(s->last), "LastUpdateTime",
	    json_of_wall(s->updated));
}

static json_t *
suppression_json_whole(const struct suppression *s)
{
	json_t *o = suppression_json(s), *a = json_object();

	if (s->message_id[0] != '\0')
		json_object_set_new(a, "MessageId",
		    json_string(s->message_id));
	if (s->feedback_id[0] != '\0')
		json_object_set_new(a, "FeedbackId",
		    json_string(s->feedback_id));
	json_object_set_new(o, "Reasons", json_of_reasons(s->reasons));
	json_object_set_new(o, "Source",
	    json_string(suppression_source_to_text(s->source)));
	json_object_set_new(o, "Attributes", a);
	return o;
}

static json_t *
global_json(const struct request *q, const struct global_suppression *g)
{
	return json_pack("{s:s, s:i, s:o, s:o, s:b, s:o, s:o}",
	    "EmailAddress", g->address, "Count", (int)g->count, "ListedAt",
	    json_of_wall(g->listed), "ExpiresAt", json_of_wall(g->expires),
	    "Active", global_suppression_is_active(g, q->now), "LastAccount",
	    json_of_text(g->last_account), "LastMessageId",
	    json_of_text(g->last_message_id));
}

json_t *
json_of_listing(const struct request *q, const struct suppression *s)
{
	return json_pack("{s:s, s:s, s:s, s:o, s:I, s:s, s:o, s:o}", "List",
	    "account", "State", "LISTED", "Reason",
	    suppression_reason_to_text(s->last), "Since",
	    json_of_wall(s->updated), "AgeSeconds",
	    (json_int_t)((q->now.ms - s->updated.ms) / 1000), "Source",
	    suppression_source_to_text(s->source), "MessageId",
	    json_of_text(s->message_id), "FeedbackId",
	    json_of_text(s->feedback_id));
}

json_t *
json_of_global_listing(const struct request *q,
    const struct global_suppression *g)
{
	json_t *o = json_pack("{s:s, s:s, s:s, s:o, s:I, s:o}", "List",
	    "global", "State", global_suppression_is_active(g, q->now)
		? "LISTED" : "EXPIRED", "Reason", "BOUNCE", "Since",
	    json_of_wall(g->listed), "AgeSeconds",
	    (json_int_t)((q->now.ms - g->listed.ms) / 1000), "Expires",
	    json_of_wall(g->expires));

	if (q->operator)
		json_object_set_new(o, "MessageId",
		    json_of_text(g->last_message_id));
	return o;
}

/* -- settings ------------------------------------------------------------------ */

static int
settings_write(struct request *q, struct db_txn *t)
{
	struct account a;
	unsigned       reasons = 0;
	int	       found;

	if (arg_reason_set(q, "reasons", &reasons) < 0)
		return -1;
	found = account_get(t, q->account.id, &a, &q->err);
	if (found != 1)
		return found < 0 ? -1 : request_refuse(q, BOOK_NOT_FOUND,
		    "no such account: %s", q->account.id);
	a.suppress_bounce = (reasons & SUPPRESS_BOUNCE) != 0;
	a.suppress_complaint = (reasons & SUPPRESS_COMPLAINT) != 0;
	a.updated = q->now;
	request_would(q, "set the suppressed reasons of account %s", a.id);
	return account_put(t, &a, &q->err);
}

static void
suppression_settings(struct request *q)
{
	request_set(q, "SuppressedReasons",
	    json_of_reasons(suppression_reasons_of(&q->account)));
	request_end(q);
}

static void
suppression_set(struct request *q)
{
	request_write(q, settings_write, NULL);
}

/* -- entries -------------------------------------------------------------------- */

/* Each of them by itself: what is wrong with one stops no other. */
static int
each_address(struct request *q, struct db_txn *t,
    int (*one)(struct request *q, struct db_txn *t, const char *address))
{
	json_t *list = arg_list(q, "address"), *v;
	size_t	i;

	json_array_foreach(list, i, v) {
		if (one(q, t, json_string_value(v)) >= 0)
			continue;
		if (!book_is_refusal(&q->err))
			return -1;
		request_item_failed(q, &q->err);
		q->err.text[0] = '\0';
	}
	request_settle_items(q, json_array_size(list));
	return 0;
}

int
control_check_production(struct request *q)
{
	if (q->operator || q->account.production)
		return 0;
	return request_refuse(q, BOOK_BAD_REQUEST,
	    "Account is in the sandbox");
}

static int
add_one(struct request *q, struct db_txn *t, const char *address)
{
	struct suppression s = { .updated = q->now,
		.source = SUPPRESSION_MANUAL };

	if (arg_reason(q, &s.last) < 0)
		return -1;
	if (strlen(address) >= sizeof(s.address))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not an address: %s", address);
	strcpy(s.address, address);
	memcpy(s.account, q->account.id, sizeof(s.account));
	if (suppression_add(t, &s, &q->err) < 0)
		return -1;
	request_would(q, "suppress %s", address);
	return 0;
}

static int
add_write(struct request *q, struct db_txn *t)
{
	return each_address(q, t, add_one);
}

static void
suppression_add_many(struct request *q)
{
	enum suppression_reason r;

	if (arg_reason(q, &r) < 0 || control_check_production(q) != 0)
		request_end(q);
	else
		request_write(q, add_write, NULL);
}

static int
remove_one(struct request *q, struct db_txn *t, const char *address)
{
	int rc = suppression_remove(t, q->account.id, bytes_of(address),
	    &q->err);

	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "%s is not on the suppression list", address);
	if (rc > 0)
		request_would(q, "no longer suppress %s", address);
	return rc;
}

static int
remove_write(struct request *q, struct db_txn *t)
{
	return each_address(q, t, remove_one);
}

static void
suppression_remove_many(struct request *q)
{
	request_write(q, remove_write, NULL);
}

static int
show_read(struct request *q, struct db_txn *t)
{
	const char	  *address = arg_address(q);
	struct suppression s;
	int		   found;

	if (address == NULL)
		return -1;
	found = suppression_get(t, q->account.id, bytes_of(address), &s,
	    &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "%s is not on the suppression list", address);
	if (found > 0)
		json_object_update_new(q->result, suppression_json_whole(&s));
	return found < 0 ? -1 : 0;
}

static void
suppression_show(struct request *q)
{
	request_read(q, show_read);
}

/* -- list ------------------------------------------------------------------------ */

struct listing {
	json_t	   *rows;
	unsigned    reasons; /* 0 = all */
	struct wall end;     /* 0 = none */
	struct bytes domain, glob;
	size_t	    limit;
	struct suppression_place place, last;
	bool	    whole, more;
};

static bool
listing_fits(const struct listing *l, const struct suppression *s)
{
	struct bytes a = bytes_of(s->address);
	ptrdiff_t    at = bytes_find(a, 0, '@');
	ptrdiff_t    next;

	for (next = at; next >= 0; next = bytes_find(a, (size_t)next + 1,
	    '@'))
		at = next;
	return (l->reasons == 0 || (l->reasons & s->reasons) != 0) &&
	    (l->domain.n == 0 || bytes_eq_nocase(l->domain,
		bytes_from(a, (size_t)(at + 1)))) &&
	    (l->glob.n == 0 || glob_matches_address(l->glob, a));
}

static bool
listing_on_entry(void *arg, const struct suppression *s)
{
	struct listing *l = arg;

	if (l->end.ms != 0 && s->updated.ms >= l->end.ms)
		return false;
	if (!listing_fits(l, s))
		return true;
	if (json_array_size(l->rows) == l->limit) {
		l->more = true;
		return false;
	}
	suppression_place_of(s, &l->last);
	json_array_append_new(l->rows, l->whole ? suppression_json_whole(s) :
	    suppression_json(s));
	return true;
}

/* "1604394130000:jane@sink.example" */
static int
listing_take_token(struct request *q, struct listing *l)
{
	const char *token = arg_text(q, "next-token");
	char	   *end;

	if (token == NULL)
		return 0;
	l->place.updated.ms = strtoll(token, &end, 10);
	if (*end != ':' || strlen(end + 1) >= sizeof(l->place.key))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "--next-token: not one of this list");
	strcpy(l->place.key, end + 1);
	return 0;
}

static int
listing_open(struct request *q, struct listing *l)
{
	int64_t limit = PAGE_MAX;

	memset(l, 0, sizeof(*l));
	l->domain = bytes_of(arg_text(q, "domain"));
	l->glob = bytes_of(arg_text(q, "address"));
	l->whole = arg_is_true(q, "full");
	if (arg_reason_set(q, "reason", &l->reasons) < 0 ||
	    arg_time(q, "start-date", &l->place.updated) < 0 ||
	    arg_time(q, "end-date", &l->end) < 0 ||
	    arg_int(q, "limit", 1, PAGE_MAX, &limit) < 0 ||
	    listing_take_token(q, l) < 0)
		return -1;
	l->limit = (size_t)limit;
	l->rows = json_array();
	return 0;
}

static int
list_read(struct request *q, struct db_txn *t)
{
	struct listing l;
	char	       token[TOKEN_SIZE];
	int	       rc;

	if (listing_open(q, &l) < 0)
		return -1;
	rc = suppression_each(t, q->account.id, &l.place, listing_on_entry,
	    &l, &q->err);
	request_set(q, "SuppressedDestinationSummaries", l.rows);
	if (l.more) {
		snprintf(token, sizeof(token), "%lld:%s",
		    (long long)l.last.updated.ms, l.last.key);
		request_set(q, "NextToken", json_string(token));
	}
	return rc;
}

static void
suppression_list(struct request *q)
{
	request_read(q, list_read);
}

/* -- check ------------------------------------------------------------------------ */

/* --config-set; without it the id of none */
static int
check_take_set(struct request *q, struct db_txn *t, struct config_set *out)
{
	const char *name = arg_text(q, "config-set");
	int	    found;

	memset(out, 0, sizeof(*out));
	if (name == NULL)
		return 0;
	found = config_set_get(t, q->account.id, bytes_of(name), out,
	    &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "no such configuration set: %s", name);
	return found < 0 ? -1 : 0;
}

/* What stands on the lists, whether it counts or not. */
struct check {
	struct suppression_question x;
	struct suppression	    own;
	struct global_suppression   global;
	bool			    is_own, is_global; /* listed there */
};

static int
check_look(struct request *q, struct db_txn *t, struct check *c)
{
	int own = suppression_get(t, q->account.id, c->x.address, &c->own,
	    &q->err);
	int global = own < 0 ? -1 : global_suppression_get(t, c->x.address,
	    &c->global, &q->err);

	c->is_own = own == 1;
	c->is_global = global == 1 &&
	    global_suppression_is_active(&c->global, q->now);
	return global < 0 ? -1 : 0;
}

/* Why it is sent: in the order of section 3, the first that lets it pass. */
static const char *
check_pass(const struct check *c)
{
	if (c->x.has_set && c->x.set_reasons == 0)
		return "the configuration set turns all suppression off";
	if (c->is_global && !c->x.global)
		return "on the installation's list, which is off "
		       "(suppression.global.enabled)";
	if (c->is_global)
		return "on the installation's list, which is not for accounts "
		       "with a list of their own (suppression.global.mode)";
	if (c->is_own)
		return "on the account list, for a reason that does not "
		       "count here";
	return "on no list";
}

static void
check_tell(struct request *q, const struct check *c,
    enum suppression_answer a)
{
	static const char *const rules[] = {
		[SUPPRESSION_BOUNCE] = "on the account list for a bounce",
		[SUPPRESSION_COMPLAINT] =
			"on the account list for a complaint",
		[SUPPRESSION_GLOBAL] = "on the installation's list",
	};
	json_t *listings = json_array();

	if (c->is_own)
		json_array_append_new(listings, json_of_listing(q, &c->own));
	if (c->is_global)
		json_array_append_new(listings,
		    json_of_global_listing(q, &c->global));
	request_set(q, "Result", json_string(a == SUPPRESSION_NONE ? "SEND"
		: "SUPPRESSED"));
	request_set(q, "Rule", json_string(a == SUPPRESSION_NONE
		? check_pass(c) : rules[a]));
	request_set(q, "SuppressedReasons",
	    json_of_reasons(suppression_effective(&c->x)));
	if (json_array_size(listings) > 0)
		request_set(q, "Listings", listings);
	else
		json_decref(listings);
}

static int
check_read(struct request *q, struct db_txn *t)
{
	const char *address = arg_address(q);
	char	    key[ADDRESS_TEXT_MAX];
	struct check		c;
	enum suppression_answer a;
	struct config_set	set;
	struct bytes		ignored;

	if (address == NULL)
		return -1;
	if (!suppression_key(bytes_of(address), key, &ignored))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not an address: %s", address);
	if (check_take_set(q, t, &set) < 0 ||
	    suppression_ask(t, q->account.id, &set.id, q->conf, q->now, &c.x,
		&q->err) < 0)
		return -1;
	request_set(q, "EmailAddress", json_of_bytes(bytes_of(address)));
	if (conf_is_simulator(q->conf, address_domain(bytes_of(address)))) {
		request_set(q, "Result", json_string("SIMULATOR"));
		request_set(q, "Rule", json_string("an address of the "
		    "simulator: the lists are not asked"));
		return 0;
	}
	c.x.address = bytes_of(address);
	if (suppression_check(t, &c.x, &a, &q->err) < 0 ||
	    check_look(q, t, &c) < 0)
		return -1;
	check_tell(q, &c, a);
	return 0;
}

static void
suppression_check_address(struct request *q)
{
	request_read(q, check_read);
}

/* -- the installation's list ------------------------------------------------------- */

struct global_listing {
	struct request *q;
	json_t	       *rows;
	size_t		limit;
	char		last[ADDRESS_TEXT_MAX];
	bool		more;
};

static bool
global_on_entry(void *arg, const struct global_suppression *g)
{
	struct global_listing *l = arg;
	struct bytes	       key;

	if (json_array_size(l->rows) == l->limit) {
		l->more = true;
		return false;
	}
	(void)suppression_key(bytes_of(g->address), l->last, &key);
	json_array_append_new(l->rows, global_json(l->q, g));
	return true;
}

static int
global_list_read(struct request *q, struct db_txn *t)
{
	struct global_listing l = { .q = q };
	const char	     *after = arg_text(q, "next-token");
	int64_t		      limit = PAGE_MAX;
	int		      rc;

	if (arg_int(q, "limit", 1, PAGE_MAX, &limit) < 0)
		return -1;
	l.limit = (size_t)limit;
	l.rows = json_array();
	rc = global_suppression_each(t, after != NULL ? after : "",
	    global_on_entry, &l, &q->err);
	request_set(q, "Suppressed", l.rows);
	if (l.more)
		request_set(q, "NextToken", json_string(l.last));
	return rc;
}

static void
global_list(struct request *q)
{
	request_read(q, global_list_read);
}

static int
global_show_read(struct request *q, struct db_txn *t)
{
	const char		 *address = arg_address(q);
	struct global_suppression g;
	int			  found;

	if (address == NULL)
		return -1;
	found = global_suppression_get(t, bytes_of(address), &g, &q->err);
	if (found == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "%s is not on the suppression list", address);
	if (found > 0)
		json_object_update_new(q->result, global_json(q, &g));
	return found < 0 ? -1 : 0;
}

static void
global_show(struct request *q)
{
	request_read(q, global_show_read);
}

static int
global_add_one(struct request *q, struct db_txn *t, const char *address)
{
	struct global_suppression g = { .listed = q->now };

	if (strlen(address) >= sizeof(g.address))
		return request_refuse(q, BOOK_BAD_REQUEST,
		    "not an address: %s", address);
	strcpy(g.address, address);
	if (global_suppression_bounce(t, &g, q->conf->suppression.global.policy
		== CONF_GLOBAL_FIXED, &q->err) < 0)
		return -1;
	request_would(q, "suppress %s for all accounts", address);
	return 0;
}

static int
global_remove_one(struct request *q, struct db_txn *t, const char *address)
{
	int rc = global_suppression_remove(t, bytes_of(address), &q->err);

	if (rc == 0)
		return request_refuse(q, BOOK_NOT_FOUND,
		    "%s is not on the suppression list", address);
	request_would(q, "no longer suppress %s for all accounts", address);
	return rc;
}

static int
global_add_write(struct request *q, struct db_txn *t)
{
	return each_address(q, t, global_add_one);
}

static int
global_remove_write(struct request *q, struct db_txn *t)
{
	return each_address(q, t, global_remove_one);
}

static void
global_add(struct request *q)
{
	request_write(q, global_add_write, NULL);
}

static void
global_remove(struct request *q)
{
	request_write(q, global_remove_write, NULL);
}

/* All of it in portions: a caller waits for the last one. */
static int
global_clear_write(struct request *q, struct db_txn *t)
{
	unsigned removed = 0;
	int	 rc;

	do {
		char place[ADDRESS_TEXT_MAX] = "";

		rc = global_suppression_sweep(t, place, PAGE_MAX,
		    (struct wall){ INT64_MAX }, &q->err);
		removed += rc > 0 ? (unsigned)rc : 0;
	} while (rc == PAGE_MAX);
	request_would(q, "remove %u addresses from the installation's "
	    "suppression list", removed);
	request_set(q, "Removed", json_integer(removed));
	return rc < 0 ? -1 : 0;
}

static void
global_clear(struct request *q)
{
	request_write(q, global_clear_write, NULL);
}

const struct command control_suppression_commands[] = {
	{ "suppression settings", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    suppression_settings },
	{ "suppression set", NEED_FULL, SCOPE_ACCOUNT,
	    "PutAccountSuppressionAttributes", NULL, suppression_set },
	{ "suppression add", NEED_FULL, SCOPE_ACCOUNT,
	    "PutSuppressedDestination", "address", suppression_add_many },
	{ "suppression remove", NEED_FULL, SCOPE_ACCOUNT,
	    "DeleteSuppressedDestination", "address",
	    suppression_remove_many },
	{ "suppression show", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    suppression_show },
	{ "suppression list", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    suppression_list },
	{ "suppression check", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    suppression_check_address },
	{ "suppression why", NEED_READ, SCOPE_ACCOUNT, NULL, NULL,
	    suppression_check_address },
	{ "suppression global list", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    global_list },
	{ "suppression global show", NEED_OPERATOR, SCOPE_NONE, NULL, NULL,
	    global_show },
	{ "suppression global add", NEED_OPERATOR, SCOPE_NONE,
	    "GlobalSuppressionAdd", "address", global_add },
	{ "suppression global remove", NEED_OPERATOR, SCOPE_NONE,
	    "GlobalSuppressionRemove", "address", global_remove },
	{ "suppression global clear", NEED_OPERATOR, SCOPE_NONE,
	    "GlobalSuppressionClear", NULL, global_clear },
	{ NULL, NEED_ANY, SCOPE_ANY, NULL, NULL, NULL }
};

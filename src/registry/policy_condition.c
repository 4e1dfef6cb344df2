/* SPDX-License-Identifier: ISC */
/* Conditions of a statement: how they are written, and whether they hold. */
#include <math.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "registry/glob.h"
#include "registry/policy_private.h"

enum { NUMBER_TEXT_MAX = 64 };

/* -- operators ------------------------------------------------------------ */

struct operator_row {
	const char	 *name;
	enum policy_test  test;
	enum policy_order order;
	bool		  negated;
};
static const struct operator_row operator_rows[] = {
	{ "StringEquals", TEST_EQUALS, ORDER_EQUAL, false },
	{ "StringNotEquals", TEST_EQUALS, ORDER_EQUAL, true },
	{ "StringEqualsIgnoreCase", TEST_EQUALS_NOCASE, ORDER_EQUAL, false },
	{ "StringNotEqualsIgnoreCase", TEST_EQUALS_NOCASE, ORDER_EQUAL, true },
	{ "StringLike", TEST_LIKE, ORDER_EQUAL, false },
	{ "StringNotLike", TEST_LIKE, ORDER_EQUAL, true },
	{ "DateEquals", TEST_DATE, ORDER_EQUAL, false },
	{ "DateNotEquals", TEST_DATE, ORDER_EQUAL, true },
	{ "DateLessThan", TEST_DATE, ORDER_LESS, false },
	{ "DateLessThanEquals", TEST_DATE, ORDER_LESS_EQUAL, false },
	{ "DateGreaterThan", TEST_DATE, ORDER_GREATER, false },
	{ "DateGreaterThanEquals", TEST_DATE, ORDER_GREATER_EQUAL, false },
	{ "NumericEquals", TEST_NUMBER, ORDER_EQUAL, false },
	{ "NumericNotEquals", TEST_NUMBER, ORDER_EQUAL, true },
	{ "NumericLessThan", TEST_NUMBER, ORDER_LESS, false },
	{ "NumericLessThanEquals", TEST_NUMBER, ORDER_LESS_EQUAL, false },
	{ "NumericGreaterThan", TEST_NUMBER, ORDER_GREATER, false },
	{ "NumericGreaterThanEquals", TEST_NUMBER, ORDER_GREATER_EQUAL,
	    false },
	{ "IpAddress", TEST_ADDRESS, ORDER_EQUAL, false },
	{ "NotIpAddress", TEST_ADDRESS, ORDER_EQUAL, true },
	{ "Bool", TEST_BOOL, ORDER_EQUAL, false },
	{ "Null", TEST_NULL, ORDER_EQUAL, false },
	{ "ArnEquals", TEST_ARN, ORDER_EQUAL, false },
	{ "ArnLike", TEST_ARN, ORDER_EQUAL, false },
	{ "ArnNotEquals", TEST_ARN, ORDER_EQUAL, true },
	{ "ArnNotLike", TEST_ARN, ORDER_EQUAL, true },
};

/* Prefix, name, suffix. */
static bool
operator_read(const char *text, struct policy_condition *c)
{
	struct bytes t = bytes_of(text);
	size_t	     i;

	if (bytes_starts(t, BYTES("ForAllValues:")))
		c->quantity = QUANTITY_ALL;
	else if (bytes_starts(t, BYTES("ForAnyValue:")))
		c->quantity = QUANTITY_ANY;
	if (c->quantity != QUANTITY_PLAIN)
		t = bytes_from(t, (size_t)bytes_find(t, 0, ':') + 1);
	if (t.n > 8 && memcmp(t.p + t.n - 8, "IfExists", 8) == 0) {
		c->if_exists = true;
		t.n -= 8;
	}
	for (i = 0; i < sizeof(operator_rows) / sizeof(operator_rows[0]); i++)
		if (bytes_eq_text(t, operator_rows[i].name)) {
			c->test = operator_rows[i].test;
			c->order = operator_rows[i].order;
			c->negated = operator_rows[i].negated;
			return c->test != TEST_NULL || !c->if_exists;
		}
	return false;
}

/* -- keys ----------------------------------------------------------------- */

enum { /* tests that a key knows besides those of text */
	AS_TEXT = 0,
	AS_DATE = 1,
	AS_ADDRESS = 2,
	AS_BOOL = 4,
	AS_ARN = 8,
	AS_ANY = AS_DATE | AS_ADDRESS | AS_BOOL | AS_ARN
};
static const struct key_row {
	const char     *name;
	enum policy_key key;
	unsigned	as;
} key_rows[] = {
	{ "ses:FromAddress", KEY_FROM_ADDRESS, AS_TEXT },
	{ "ses:FromDisplayName", KEY_FROM_NAME, AS_TEXT },
	{ "ses:FeedbackAddress", KEY_FEEDBACK, AS_TEXT },
	{ "ses:Recipients", KEY_RECIPIENTS, AS_TEXT },
	{ "ses:ApiVersion", KEY_API_VERSION, AS_TEXT },
	{ "aws:CurrentTime", KEY_CURRENT_TIME, AS_DATE },
	{ "aws:EpochTime", KEY_EPOCH_TIME, AS_DATE },
	{ "aws:SecureTransport", KEY_SECURE, AS_BOOL },
	{ "aws:SourceIp", KEY_SOURCE_IP, AS_ADDRESS },
	{ "aws:UserAgent", KEY_USER_AGENT, AS_TEXT },
	{ "aws:username", KEY_USER_NAME, AS_TEXT },
	{ "aws:PrincipalAccount", KEY_ACCOUNT, AS_TEXT },
	{ "aws:SourceVpc", KEY_NEVER, AS_ANY },
	{ "aws:SourceVpce", KEY_NEVER, AS_ANY },
	{ "aws:VpcSourceIp", KEY_NEVER, AS_ANY },
	{ "aws:PrincipalOrgID", KEY_NEVER, AS_ANY },
	{ "aws:SourceAccount", KEY_NEVER, AS_ANY },
	{ "aws:SourceArn", KEY_NEVER, AS_ANY },
};

static const struct key_row *
key_find(const char *name)
{
	size_t i;

	for (i = 0; i < sizeof(key_rows) / sizeof(key_rows[0]); i++)
		if (bytes_eq_nocase(bytes_of(name),
			bytes_of(key_rows[i].name)))
			return &key_rows[i];
	return NULL;
}

static bool
key_fits(const struct key_row *k, enum policy_test t)
{
	switch (t) {
	case TEST_EQUALS:
	case TEST_EQUALS_NOCASE:
	case TEST_LIKE:
	case TEST_NULL:
		return true;
	case TEST_ARN:
		return (k->as & AS_ARN) != 0;
	case TEST_DATE:
		return (k->as & AS_DATE) != 0;
	case TEST_NUMBER:
		return k->key == KEY_EPOCH_TIME || k->key == KEY_NEVER;
	case TEST_ADDRESS:
		return (k->as & AS_ADDRESS) != 0;
	case TEST_BOOL:
		return (k->as & AS_BOOL) != 0;
	}
	return false;
}

static bool
key_is_address(enum policy_key k)
{
	return k == KEY_FROM_ADDRESS || k == KEY_FEEDBACK ||
	    k == KEY_RECIPIENTS;
}

/* -- values --------------------------------------------------------------- */

static bool
number_read(const char *text, double *out)
{
	char *end;

	if (strspn(text, "+-.0123456789eE") != strlen(text))
		return false;
	*out = strtod(text, &end);
	return end != text && *end == '\0' && isfinite(*out);
}

/* A time, or seconds since 1970. */
static bool
date_read(const char *text, struct wall *out)
{
	double seconds;

	if (wall_from_iso(text, out))
		return true;
	if (!number_read(text, &seconds) || fabs(seconds) > 253402300799.0)
		return false;
	out->ms = (int64_t)(seconds * 1000);
	return true;
}

static bool
truth_read(const char *text, bool *out)
{
	*out = strcmp(text, "true") == 0;
	return *out || strcmp(text, "false") == 0;
}

static const char *
value_text(struct policy_reader *r, const json_t *v)
{
	char number[NUMBER_TEXT_MAX];

	if (json_is_boolean(v))
		return json_is_true(v) ? "true" : "false";
	if (json_is_string(v))
		return arena_text(r->p->arena,
		    bytes_of(json_string_value(v)));
	if (json_is_integer(v))
		snprintf(number, sizeof(number), "%" JSON_INTEGER_FORMAT,
		    json_integer_value(v));
	else
		snprintf(number, sizeof(number), "%.17g", json_real_value(v));
	return arena_text(r->p->arena, bytes_of(number));
}

static int
value_read(struct policy_reader *r, const struct policy_condition *c,
    const char *key, const json_t *v, struct policy_value *out)
{
	const char *text;
	bool	    good = true;

	if (!json_is_string(v) && !json_is_number(v) && !json_is_boolean(v))
		return policy_malformed(r, "\"%.60s\": a value must be text, "
		    "a number, true or false", key);
	text = value_text(r, v);
	if (text == NULL)
		return policy_malformed(r, "it needs too much memory");
	out->text = bytes_of(text);
	switch (c->test) {
	case TEST_DATE:
		good = date_read(text, &out->as.time);
		break;
	case TEST_NUMBER:
		good = number_read(text, &out->as.number);
		break;
	case TEST_ADDRESS:
		good = conf_cidr_parse(out->text, &out->as.range);
		break;
	case TEST_BOOL:
	case TEST_NULL:
		good = truth_read(text, &out->as.truth);
		break;
	case TEST_EQUALS:
	case TEST_EQUALS_NOCASE:
	case TEST_LIKE:
	case TEST_ARN:
		break;
	}
	return good ? 0 : policy_malformed(r, "\"%.60s\": the value \"%.60s\" "
	    "does not fit the operator", key, text);
}

/* -- reading -------------------------------------------------------------- */

static int
condition_read(struct policy_reader *r, const char *name, const char *key,
    const json_t *v, struct policy_condition *c)
{
	const struct key_row *row = key_find(key);
	size_t		      n = json_is_array(v) ? json_array_size(v) : 1, i;

	if (!operator_read(name, c))
		return policy_malformed(r, "unknown operator \"%.60s\"", name);
	if (row == NULL)
		return policy_malformed(r, "unknown condition key \"%.60s\"",
		    key);
	if (!key_fits(row, c->test))
		return policy_malformed(r, "operator \"%.60s\" does not fit "
		    "the key \"%.60s\"", name, row->name);
	if (n == 0)
		return policy_malformed(r, "\"%.60s\" has no value", key);
	c->key = row->key;
	c->values = policy_room(r, n, sizeof(*c->values));
	if (c->values == NULL)
		return -1;
	for (i = 0; i < n; i++, c->value_count++)
		if (value_read(r, c, row->name, json_is_array(v) ?
			json_array_get(v, i) : v, &c->values[i]) < 0)
			return -1;
	return row->key != KEY_NEVER ? 0 : policy_warn(r, "%s never has a "
	    "value here: an Allow with it does not apply, a Deny does",
	    row->name);
}

int
policy_read_conditions(struct policy_reader *r, const json_t *v,
    struct policy_statement *s)
{
	const char *name, *key;
	json_t	   *keys, *values;
	size_t	    n = 0;

	if (!json_is_object(v) || json_object_size(v) == 0)
		return policy_malformed(r,
		    "\"Condition\" must be an object that is not empty");
	json_object_foreach((json_t *)(uintptr_t)v, name, keys) {
		if (!json_is_object(keys) || json_object_size(keys) == 0)
			return policy_malformed(r, "\"%.60s\" must be an "
			    "object that is not empty", name);
		n += json_object_size(keys);
	}
	s->conditions = policy_room(r, n, sizeof(*s->conditions));
	if (s->conditions == NULL)
		return -1;
	json_object_foreach((json_t *)(uintptr_t)v, name, keys) {
		json_object_foreach(keys, key, values) {
			if (condition_read(r, name, key, values,
				&s->conditions[s->condition_count]) < 0)
				return -1;
			s->condition_count++;
		}
	}
	return 0;
}

/* -- values of a request -------------------------------------------------- */

static bool
one_of_list(struct policy_list l, size_t i, struct bytes *out)
{
	if (i < l.n)
		*out = l.v[i];
	return i < l.n;
}

static bool
one(struct bytes value, size_t i, struct bytes *out)
{
	*out = value;
	return i == 0 && value.n > 0;
}

/* The i-th value of a key as text; room is for those that have none of their
 * own; false = no more. */
static bool
request_value(const struct policy_request *q, enum policy_key key, size_t i,
    char room[CIDR_TEXT_MAX], struct bytes *out)
{
	switch (key) {
	case KEY_FROM_ADDRESS:
		return one_of_list(q->from, i, out);
	case KEY_FROM_NAME:
		return one_of_list(q->names, i, out);
	case KEY_RECIPIENTS:
		return one_of_list(q->recipients, i, out);
	case KEY_FEEDBACK:
		return one(q->feedback, i, out);
	case KEY_API_VERSION:
		return one(BYTES("2"), i, out);
	case KEY_CURRENT_TIME:
		return one(bytes_of(wall_iso_seconds(q->now, room)), i, out);
	case KEY_EPOCH_TIME:
		snprintf(room, CIDR_TEXT_MAX, "%lld",
		    (long long)(q->now.ms / 1000));
		return one(bytes_of(room), i, out);
	case KEY_SECURE:
		return one(bytes_of(q->secure ? "true" : "false"), i, out);
	case KEY_SOURCE_IP:
		return q->has_source && one(bytes_of(
		    conf_cidr_to_text(&q->source, room)), i, out);
	case KEY_USER_NAME:
		return one(bytes_of(q->user), i, out);
	case KEY_ACCOUNT:
		return one(bytes_of(q->account), i, out);
	case KEY_USER_AGENT:
	case KEY_NEVER:
		break;
	}
	return false;
}

/* -- tests ---------------------------------------------------------------- */

static size_t
domain_of(struct bytes s)
{
	size_t i = s.n;

	while (i > 0 && s.p[i - 1] != '@')
		i--;
	return i > 0 ? i : s.n;
}

/* Local parts as they are, domains without case. */
static bool
address_is_equal(struct bytes have, struct bytes want)
{
	size_t at = domain_of(have);

	return have.n == want.n && at == domain_of(want) &&
	    bytes_eq(bytes_head(have, at), bytes_head(want, at)) &&
	    bytes_eq_nocase(bytes_from(have, at), bytes_from(want, at));
}

static bool
arn_is_like(struct bytes have, struct bytes want)
{
	struct bytes h[POLICY_ARN_PARTS], w[POLICY_ARN_PARTS];
	size_t	     i;

	if (!policy_arn_split(have, h) || !policy_arn_split(want, w))
		return false;
	for (i = 0; i < POLICY_ARN_PARTS; i++)
		if (!glob_matches(w[i], h[i], h[i].n))
			return false;
	return true;
}

static bool
order_holds(enum policy_order o, double have, double want)
{
	switch (o) {
	case ORDER_EQUAL:
		return !(have < want) && !(have > want);
	case ORDER_LESS:
		return have < want;
	case ORDER_LESS_EQUAL:
		return have <= want;
	case ORDER_GREATER:
		return have > want;
	case ORDER_GREATER_EQUAL:
		return have >= want;
	}
	return false;
}

/* Equal: the same second. */
static bool
date_holds(enum policy_order o, struct wall now, struct wall want)
{
	int64_t have = o != ORDER_EQUAL || want.ms % 1000 != 0 ? now.ms :
	    now.ms - now.ms % 1000;

	return order_holds(o, (double)have, (double)want.ms);
}

static bool
value_matches(const struct policy_condition *c, const struct policy_request *q,
    struct bytes have, const struct policy_value *want)
{
	switch (c->test) {
	case TEST_EQUALS:
		return key_is_address(c->key) ?
		    address_is_equal(have, want->text) :
		    bytes_eq(have, want->text);
	case TEST_EQUALS_NOCASE:
		return bytes_eq_nocase(have, want->text);
	case TEST_LIKE:
		return glob_matches(want->text, have,
		    key_is_address(c->key) ? domain_of(have) : have.n);
	case TEST_ARN:
		return arn_is_like(have, want->text);
	case TEST_DATE:
		return date_holds(c->order, q->now, want->as.time);
	case TEST_NUMBER:
		return order_holds(c->order, (double)(q->now.ms / 1000),
		    want->as.number);
	case TEST_ADDRESS:
		return conf_cidr_covers(&want->as.range, &q->source);
	case TEST_BOOL:
		return q->secure == want->as.truth;
	case TEST_NULL:
		break;
	}
	return false;
}

/* One value of the request: one of the listed is enough, or none may match. */
static bool
value_holds(const struct policy_condition *c, const struct policy_request *q,
    struct bytes have)
{
	size_t i;

	for (i = 0; i < c->value_count; i++)
		if (value_matches(c, q, have, &c->values[i]))
			return !c->negated;
	return c->negated;
}

static bool
null_holds(const struct policy_condition *c, bool has_value)
{
	size_t i;

	for (i = 0; i < c->value_count; i++)
		if (c->values[i].as.truth == !has_value)
			return true;
	return false;
}

bool
policy_condition_holds(const struct policy_condition *c,
    const struct policy_request *q, enum policy_effect effect)
{
	char	     room[CIDR_TEXT_MAX];
	struct bytes have = BYTES("");
	size_t	     n;
	/* of a list under a negated operator all have to be unlike */
	bool all = c->quantity == QUANTITY_ALL ||
	    (c->quantity == QUANTITY_PLAIN && c->negated);

	if (c->key == KEY_NEVER)
		return effect == POLICY_DENY;
	for (n = 0; request_value(q, c->key, n, room, &have); n++) {
		if (c->test == TEST_NULL)
			return null_holds(c, true);
		if (value_holds(c, q, have) != all)
			return !all;
	}
	if (n > 0)
		return all;
	if (c->test == TEST_NULL)
		return null_holds(c, false);
	return c->if_exists || all;
}

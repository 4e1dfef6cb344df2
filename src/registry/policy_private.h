/* SPDX-License-Identifier: ISC */
/*
 * policy_private.h - a policy document as it is kept in memory; for policy.c
 * (form), policy_condition.c (conditions) and policy_judge.c (meaning).
 * Owner:  all of a policy lies in its arena.
 * Thread: as policy.h.
 */
#ifndef REGISTRY_POLICY_PRIVATE_H
#define REGISTRY_POLICY_PRIVATE_H

#include <jansson.h>

#include "registry/policy.h"

enum { POLICY_ARN_PARTS = 6 };

/* -- conditions ----------------------------------------------------------- */

enum policy_key {
	KEY_FROM_ADDRESS,
	KEY_FROM_NAME,
	KEY_FEEDBACK,
	KEY_RECIPIENTS,
	KEY_API_VERSION,
	KEY_CURRENT_TIME,
	KEY_EPOCH_TIME,
	KEY_SECURE,
	KEY_SOURCE_IP,
	KEY_USER_AGENT,
	KEY_USER_NAME,
	KEY_ACCOUNT,
	KEY_NEVER /* known, and never has a value: fails closed */
};
enum policy_test {
	TEST_EQUALS,
	TEST_EQUALS_NOCASE,
	TEST_LIKE,
	TEST_ARN,
	TEST_DATE,
	TEST_NUMBER,
	TEST_ADDRESS,
	TEST_BOOL,
	TEST_NULL
};
enum policy_order { /* of dates and numbers: value of the request, then that
		       of the document */
	ORDER_EQUAL,
	ORDER_LESS,
	ORDER_LESS_EQUAL,
	ORDER_GREATER,
	ORDER_GREATER_EQUAL
};
enum policy_quantity { QUANTITY_PLAIN, QUANTITY_ALL, QUANTITY_ANY };

struct policy_value {
	struct bytes text;
	union {
		struct wall	 time;
		double		 number;
		bool		 truth;
		struct conf_cidr range;
	} as;
};
struct policy_condition {
	enum policy_key	     key;
	enum policy_test     test;
	enum policy_order    order;
	enum policy_quantity quantity;
	bool		     negated, if_exists;
	struct policy_value *values;
	size_t		     value_count;
};

/* -- statements ----------------------------------------------------------- */

enum policy_who { WHO_EVERYBODY, WHO_ACCOUNT, WHO_USER, WHO_NOBODY };
struct policy_principal {
	enum policy_who who;
	char		account[13];
	struct bytes	user;
};
struct policy_resource_pattern {
	struct bytes text;
	bool	     is_split; /* into the parts of an ARN */
	struct bytes part[POLICY_ARN_PARTS];
};
struct policy_statement {
	enum policy_effect		effect;
	const char		       *sid; /* or NULL */
	struct policy_principal	       *principals;
	size_t				principal_count;
	struct bytes		       *actions; /* "*", or behind "ses:" */
	size_t				action_count;
	struct policy_resource_pattern *resources;
	size_t				resource_count;
	struct policy_condition	       *conditions;
	size_t				condition_count;
};
struct policy {
	struct arena		*arena;
	bool			 of_identity;
	struct policy_statement *statements;
	size_t			 statement_count;
	const char	       **warnings;
	size_t			 warning_count, warning_room;
};

/* Reading: of one document, and of one statement in it. */
struct policy_reader {
	struct policy		  *p;
	const struct policy_place *at; /* account NULL: a credential's */
	char			   where[40]; /* "statement 2" */
	struct err		  *e;
};
/* -1; where, then why. */
int policy_malformed(struct policy_reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
int policy_warn(struct policy_reader *r, const char *fmt, ...)
    __attribute__((format(printf, 2, 3))); /* 0 / -1 */
void *policy_room(struct policy_reader *r, size_t n, size_t size);

/* The member "Condition"; 0 / -1. */
int policy_read_conditions(struct policy_reader *r, const json_t *v,
    struct policy_statement *s);
/* What the condition says of the request; what never has a value says what
 * is safe with this effect. */
bool policy_condition_holds(const struct policy_condition *c,
    const struct policy_request *q, enum policy_effect effect);

/* arn:PARTITION:SERVICE:REGION:ACCOUNT:NAME; false = has fewer parts */
bool policy_arn_split(struct bytes arn, struct bytes part[POLICY_ARN_PARTS]);
/* Behind "ses:", of sending. */
bool policy_action_is_known(struct bytes pattern);
bool policy_action_sends(struct bytes pattern);

#endif

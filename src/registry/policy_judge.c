/* SPDX-License-Identifier: ISC */
/* What a document says of a request: who, what, where, and under which
 * conditions. */
#include <stdio.h>
#include <string.h>

#include "registry/account.h"
#include "registry/glob.h"
#include "registry/policy_private.h"

enum { RESOURCE_TEXT_MAX = 500 };

/* -- actions -------------------------------------------------------------- */

static const char *const sending_actions[] = { "SendEmail", "SendRawEmail",
	"SendTemplatedEmail", "SendBulkTemplatedEmail" };
static const char *const other_actions[] = { "BatchGetMetricData",
	"CancelExportJob", "CreateDeliverabilityTestReport",
	"CreateEmailIdentityPolicy", "CreateExportJob", "DeleteEmailIdentity",
	"DeleteEmailIdentityPolicy", "GetDomainStatisticsReport",
	"GetEmailIdentity", "GetEmailIdentityPolicies", "GetExportJob",
	"ListExportJobs", "ListRecommendations",
	"PutEmailIdentityConfigurationSetAttributes",
	"PutEmailIdentityDkimAttributes",
	"PutEmailIdentityDkimSigningAttributes",
	"PutEmailIdentityFeedbackAttributes",
	"PutEmailIdentityMailFromAttributes", "TagResource", "UntagResource",
	"UpdateEmailIdentityPolicy" };

static bool
action_matches_one(struct bytes pattern, const char *const *names, size_t n)
{
	size_t i;

	for (i = 0; i < n; i++)
		if (glob_matches(pattern, bytes_of(names[i]), 0))
			return true;
	return false;
}

bool
policy_action_sends(struct bytes pattern)
{
	return action_matches_one(pattern, sending_actions,
	    sizeof(sending_actions) / sizeof(sending_actions[0]));
}

bool
policy_action_is_known(struct bytes pattern)
{
	return policy_action_sends(pattern) ||
	    action_matches_one(pattern, other_actions,
		sizeof(other_actions) / sizeof(other_actions[0]));
}

static bool
statement_has_action(const struct policy_statement *s, struct bytes action)
{
	size_t i;

	action = bytes_from(action, sizeof("ses:") - 1);
	for (i = 0; i < s->action_count; i++)
		if (glob_matches(s->actions[i], action, 0))
			return true;
	return false;
}

/* -- principals ----------------------------------------------------------- */

/* A name of a user is one without regard to case (credentials.md 2). */
static bool
principal_matches(const struct policy_principal *p, const char *account,
    const char *user)
{
	switch (p->who) {
	case WHO_EVERYBODY:
		return true;
	case WHO_ACCOUNT:
		return strcmp(p->account, account) == 0;
	case WHO_USER:
		return strcmp(p->account, account) == 0 && user != NULL &&
		    bytes_eq_nocase(p->user, bytes_of(user));
	case WHO_NOBODY:
		break;
	}
	return false;
}

static bool
statement_has_principal(const struct policy_statement *s,
    const struct policy_request *q)
{
	size_t i;

	for (i = 0; i < s->principal_count; i++)
		if (principal_matches(&s->principals[i], q->account, q->user))
			return true;
	return false;
}

bool
policy_names_user(const struct policy *p, const char *account,
    const char *user)
{
	const struct policy_statement *s;
	size_t			       i, k;

	for (i = 0; i < p->statement_count; i++) {
		s = &p->statements[i];
		for (k = 0; k < s->principal_count; k++)
			if (s->principals[k].who == WHO_USER &&
			    principal_matches(&s->principals[k], account,
				user))
				return true;
	}
	return false;
}

static bool
statement_sends(const struct policy_statement *s)
{
	size_t i;

	for (i = 0; i < s->action_count; i++)
		if (policy_action_sends(s->actions[i]))
			return true;
	return false;
}

bool
policy_delegates(const struct policy *p, const char *account)
{
	const struct policy_statement *s;
	const struct policy_principal *v;
	size_t			       i, k;

	for (i = 0; i < p->statement_count; i++) {
		s = &p->statements[i];
		if (s->effect != POLICY_ALLOW || !statement_sends(s))
			continue;
		for (k = 0; k < s->principal_count; k++) {
			v = &s->principals[k];
			if (v->who == WHO_EVERYBODY ||
			    (v->who != WHO_NOBODY &&
				strcmp(v->account, account) != 0))
				return true;
		}
	}
	return false;
}

/* -- resources ------------------------------------------------------------ */

/* Partition and region are not compared (identities 1). */
static bool
resource_matches(const struct policy_resource_pattern *p,
    const struct policy_request *q, const struct policy_resource *r)
{
	char	     text[RESOURCE_TEXT_MAX];
	struct bytes part[POLICY_ARN_PARTS], arn;

	if (bytes_eq_text(p->text, "*"))
		return true;
	snprintf(text, sizeof(text), "arn:aws:ses:%s:%s:identity/%.*s",
	    q->region, r->account,
	    (int)(r->identity.n < 321 ? r->identity.n : 321), r->identity.p);
	arn = bytes_of(text);
	if (!p->is_split || !policy_arn_split(arn, part))
		return glob_matches_address(p->text, arn);
	return glob_matches_address(p->part[2], part[2]) &&
	    glob_matches_address(p->part[4], part[4]) &&
	    glob_matches_address(p->part[5], part[5]);
}

static bool
statement_has_resource(const struct policy_statement *s,
    const struct policy_request *q)
{
	size_t i, k;

	for (i = 0; i < s->resource_count; i++)
		for (k = 0; k < q->resource_count; k++)
			if (resource_matches(&s->resources[i], q,
				&q->resources[k]))
				return true;
	return false;
}

/* -- the document --------------------------------------------------------- */

static bool
statement_applies(const struct policy *p, const struct policy_statement *s,
    const struct policy_request *q)
{
	size_t i;

	if (!statement_has_action(s, bytes_of(q->action)) ||
	    (p->of_identity ? !statement_has_principal(s, q) :
			      !statement_has_resource(s, q)))
		return false;
	for (i = 0; i < s->condition_count; i++)
		if (!policy_condition_holds(&s->conditions[i], q, s->effect))
			return false;
	return true;
}

void
policy_judge(const struct policy *p, const struct policy_request *q,
    struct policy_finding *out)
{
	const struct policy_statement *s;
	size_t			       i;

	*out = (struct policy_finding){ .effect = POLICY_NONE };
	for (i = 0; i < p->statement_count; i++) {
		s = &p->statements[i];
		/* of several Allow the first is told */
		if ((s->effect == POLICY_ALLOW &&
			out->effect == POLICY_ALLOW) ||
		    !statement_applies(p, s, q))
			continue;
		*out = (struct policy_finding){ .effect = s->effect,
			.sid = s->sid, .statement = (unsigned)i + 1 };
		if (s->effect == POLICY_DENY)
			return;
	}
}

/* SPDX-License-Identifier: ISC */
/* Reputation, findings, alarms, complaints (reputation.md 8). */
#include <string.h>

#include "tools/ctl/ctl.h"

/* 24 310 */
static void
rep_thousands(long long n, char out[48])
{
	char   digits[32];
	size_t i, k = 0, len;

	snprintf(digits, sizeof(digits), "%lld", n);
	len = strlen(digits);
	for (i = 0; i < len; i++) {
		if (i > 0 && (len - i) % 3 == 0)
			out[k++] = ' ';
		out[k++] = digits[i];
	}
	out[k] = '\0';
}

static void
rep_print_rate(json_t *r, const char *label, bool is_bounce)
{
	char limits[80], base[48];
	double review = json_number_value(json_object_get(r, "Review"));
	double pause = json_number_value(json_object_get(r, "Pause"));

	rep_thousands(json_integer_value(json_object_get(r, "Base")), base);
	if (is_bounce)
		snprintf(limits, sizeof(limits), "note %g  review %.2f  "
		    "pause %.2f", json_number_value(json_object_get(r,
			"Note")), review, pause);
	else
		snprintf(limits, sizeof(limits), "review %g  pause %g",
		    review, pause);
	printf("%-16s %.4f   %-12s %-40s base %s %s", label,
	    json_number_value(json_object_get(r, "Value")),
	    ctl_text(r, "Shown"), limits, base,
	    is_bounce ? "sends" : "deliveries");
	if (is_bounce && json_is_string(json_object_get(r, "Since")))
		printf(" since %s", ctl_text(r, "Since"));
	if (json_is_true(json_object_get(r, "FeedbackLoopsOnly")))
		printf(" to groups that send reports");
	putchar('\n');
}

static void
rep_print_review(json_t *review)
{
	if (json_is_object(review))
		printf("%-16s since %s, ends %s, cause %s\n", "review",
		    ctl_text(review, "Since"), ctl_text(review, "Ends"),
		    ctl_text(review, "Causes"));
}

static void
rep_print_show(struct ctl *c, json_t *r)
{
	json_t *list = json_object_get(r, "Findings"), *f;
	json_t *by = json_object_get(r, "Rates");
	size_t	i;

	if (by != NULL) {
		ctl_print_table(c, by, "name=Name bounce-rate=BounceRate "
		    "sends=Sends hard-bounces=HardBounces "
		    "complaint-rate=ComplaintRate deliveries=Deliveries "
		    "complaints=Complaints");
		return;
	}
	printf("account %s   %s     sending %s\n", ctl_text(r, "Account"),
	    ctl_text(r, "StateShown"), json_is_true(json_object_get(r,
		"SendingEnabled")) ? "enabled" : "disabled");
	rep_print_rate(json_object_get(r, "BounceRate"), "bounce rate", true);
	rep_print_rate(json_object_get(r, "ComplaintRate"), "complaint rate",
	    false);
	printf("%-16s %s\n", "fresh start", ctl_text(r, "LastFreshStart"));
	rep_print_review(json_object_get(r, "Review"));
	if (json_array_size(list) == 0)
		printf("%-16s none open\n", "findings");
	json_array_foreach(list, i, f)
		printf("%-16s %s  %s  %s  since %s  %s\n",
		    i == 0 ? "findings" : "", ctl_text(f, "Type"),
		    ctl_text(f, "Action"), ctl_text(f, "Scope"),
		    ctl_text(f, "Opened"), ctl_text(f, "Note"));
}

static void
rep_print_id(struct ctl *c, json_t *r)
{
	(void)c;
	if (json_object_get(r, "FindingId") != NULL)
		puts(ctl_text(r, "FindingId"));
}

static int
review_prepare(struct ctl *c)
{
	const char *id = ctl_arg(c, "id");

	if (id != NULL)
		c->account = id;
	json_object_del(c->args, "id");
	return 0;
}

#define ALARM_OPTIONS "metric:text threshold:amount config-set:text " \
	"action:words description:text"
const struct ctl_command ctl_reputation_commands[] = {
	{ .verb = "reputation show", .csv = "by",
	    .options = "config-set:text by:text",
	    .show = rep_print_show },
	{ .verb = "reputation rebase",
	    .options = "config-set:text since:time reason:text",
	    .show = ctl_print_nothing },
	{ .verb = "reputation finding list", .options = "all:flag",
	    .list = "Findings",
	    .columns = "id=FindingId account=AccountId type=Type "
		       "action=Action state=State scope=Scope opened=Opened "
		       "count=Count note=Note remedy=Remedy" },
	{ .verb = "reputation finding add",
	    .options = "type:text note:text private-note:text action:text "
		       "identity:text credential:text ip:text",
	    .show = rep_print_id },
	{ .verb = "reputation finding close", .arguments = "id",
	    .usage = "ID", .options = "reason:text",
	    .show = ctl_print_nothing },
	{ .verb = "account review start", .arguments = "id?",
	    .usage = "[ID]", .options = "reason:text",
	    .prepare = review_prepare, .show = ctl_print_nothing },
	{ .verb = "account review extend", .arguments = "id?",
	    .usage = "[ID]", .options = "reason:text",
	    .prepare = review_prepare, .show = ctl_print_nothing },
	{ .verb = "account review end", .arguments = "id?",
	    .usage = "[ID]", .options = "reason:text result:text",
	    .prepare = review_prepare, .show = ctl_print_nothing },
	{ .verb = "alarm list", .list = "Alarms",
	    .columns = "name=AlarmName scope=ConfigurationSet "
		       "metric=MetricName threshold=Threshold state=State "
		       "action=Actions" },
	{ .verb = "alarm show", .arguments = "name", .usage = "NAME" },
	{ .verb = "alarm history", .arguments = "name", .usage = "NAME",
	    .list = "History",
	    .columns = "time=Timestamp state=State reason=Reason" },
	{ .verb = "alarm create", .arguments = "name", .usage = "NAME",
	    .options = ALARM_OPTIONS, .show = ctl_print_nothing },
	{ .verb = "alarm set", .arguments = "name", .usage = "NAME",
	    .options = ALARM_OPTIONS, .show = ctl_print_nothing },
	{ .verb = "alarm delete", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = "alarm set-state", .arguments = "name state",
	    .usage = "NAME ALARM|OK", .options = "reason:text",
	    .show = ctl_print_nothing },
	{ .verb = "complaint add", .arguments = "address",
	    .usage = "ADDRESS",
	    .options = "message-id:text source:text suppress:flag note:text",
	    .show = rep_print_id },
	{ .verb = NULL }
};

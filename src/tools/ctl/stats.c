/* SPDX-License-Identifier: ISC */
/* Figures: statistics.md 3 to 6, and trace search. */
#include <string.h>

#include "tools/ctl/ctl.h"

static const char *
stats_yes(json_t *o, const char *name)
{
	return json_is_true(json_object_get(o, name)) ? "yes" : "no";
}

/* "25.0 %", "+1.2 %"; "-" without a value */
static void
stats_percent(json_t *v, bool with_sign, char out[32])
{
	if (json_is_number(v))
		snprintf(out, 32, with_sign ? "%+.1f %%" : "%.1f %%",
		    json_number_value(v) * 100);
	else
		strcpy(out, "-");
}

/* The same, of a rate that needs more places. */
static void
stats_fine_percent(json_t *v, int places, char out[32])
{
	if (json_is_number(v))
		snprintf(out, 32, "%.*f %%", places,
		    json_number_value(v) * 100);
	else
		strcpy(out, "-");
}

/* -- datapoints ------------------------------------------------------------ */

static void
stats_print_points(struct ctl *c, json_t *result)
{
	ctl_print_table(c, json_object_get(result, "SendDataPoints"),
	    "timestamp=Timestamp delivery-attempts=DeliveryAttempts "
	    "bounces=Bounces complaints=Complaints rejects=Rejects");
}

/* -- the dashboard --------------------------------------------------------- */

static void
stats_print_quota(json_t *r)
{
	json_t *quota = json_object_get(r, "SendQuota");
	double	max = json_number_value(json_object_get(quota,
	    "Max24HourSend"));
	double	sent = json_number_value(json_object_get(quota,
	    "SentLast24Hours"));
	double	rate = json_number_value(json_object_get(quota,
	    "MaxSendRate"));
	char	text[4][32];

	snprintf(text[0], 32, max < 0 ? "unlimited" : "%.0f / 24 h", max);
	snprintf(text[1], 32, rate < 0 ? "unlimited" : "%.1f / s", rate);
	snprintf(text[2], 32, max < 0 ? "unlimited" : "%.0f",
	    max > sent ? max - sent : 0);
	snprintf(text[3], 32, max <= 0 ? "-" : "%.1f %%", sent / max * 100);
	printf("quota             %-18s rate              %s\n"
	       "sent last 24 h    %-18.0f remaining         %-9s used         "
	       "       %s\n", text[0], text[1], sent, text[2], text[3]);
}

static void
stats_print_row(json_t *r, const char *label, const char *name,
    const char *of)
{
	json_t *counts = json_object_get(r, "Counts");
	char	percent[32];

	printf("%-18s%10lld", label, ctl_number(counts, name));
	if (of != NULL) {
		stats_percent(json_object_get(json_object_get(r, "Rates"),
		    name), false, percent);
		printf("%10s  of %s", percent, of);
	}
	putchar('\n');
}

static void
stats_print_opens(json_t *r)
{
	json_t *counts = json_object_get(r, "Counts");
	json_t *opens = json_object_get(counts, "Opens");
	json_t *clicks = json_object_get(counts, "Clicks");
	char	text[2][32] = { "-", "-" };

	if (opens != NULL)
		snprintf(text[0], 32, "%lld", ctl_number(counts, "Opens"));
	if (clicks != NULL)
		snprintf(text[1], 32, "%lld", ctl_number(counts,
		    "Clicks"));
	printf("%-18s%10s  /  %s\n", "opens / clicks", text[0], text[1]);
}

static void
stats_print_end(json_t *r)
{
	json_t *queue = json_object_get(r, "Queue");
	json_t *oldest = json_object_get(queue, "OldestSeconds");
	json_t *rep = json_object_get(r, "Reputation");
	char	span[32] = "-", bounce[32], complaint[32];

	stats_fine_percent(json_object_get(rep, "BounceRate"), 2, bounce);
	stats_fine_percent(json_object_get(rep, "ComplaintRate"), 3,
	    complaint);
	if (json_is_integer(oldest))
		ctl_span_text(json_integer_value(oldest), span);
	printf("%-18s%10lld     oldest %s\n\n", "in queue",
	    ctl_number(queue, "Recipients"), span);
	printf("reputation        bounce %s  %s      complaint %s  %s\n",
	    bounce, ctl_text(rep, "BounceShown"), complaint,
	    ctl_text(rep, "ComplaintShown"));
}

static void
stats_print_dashboard(struct ctl *c, json_t *r)
{
	const char *days = NULL;
	json_int_t  n = json_integer_value(json_object_get(c->args, "days"));

	if (c->form == CTL_JSON) {
		ctl_print_json(r);
		return;
	}
	days = n > 1 ? "days" : "day";
	printf("account %s (%s)   region %s   %s\n", ctl_text(r,
	    "AccountId"), ctl_text(r, "AccountName"), ctl_text(r,
	    "Region"), ctl_text(r, "Time"));
	printf("status            %-18s sending enabled   %-9s production "
	    "access   %s\n", ctl_text(r, "Status"), stats_yes(r,
	    "SendingEnabled"), stats_yes(r, "ProductionAccessEnabled"));
	stats_print_quota(r);
	printf("\nlast %lld %-11s%10s%10s\n", (long long)(n > 0 ? n : 1),
	    days, "count", "rate");
	stats_print_row(r, "sends", "Sends", NULL);
	stats_print_row(r, "deliveries", "Deliveries", "sends");
	stats_print_row(r, "permanent bounces", "Bounces", "sends");
	stats_print_row(r, "transient bounces", "TransientBounces", "sends");
	stats_print_row(r, "complaints", "Complaints", "deliveries");
	stats_print_row(r, "rejects", "Rejects", "sends");
	stats_print_row(r, "suppressed", "SuppressedBounces", NULL);
	stats_print_row(r, "delays", "Delays", NULL);
	stats_print_opens(r);
	stats_print_end(r);
}

static int
stats_show(struct ctl *c)
{
	json_t	   *result = NULL;
	bool	    all = ctl_arg_true(c, "all-accounts");
	int	    status;

	json_object_del(c->args, "all-accounts");
	status = ctl_call(c, all ? "stats accounts" : "stats", NULL, &result);
	if (result == NULL)
		return status;
	ctl_clean(result);
	if (!all)
		stats_print_dashboard(c, result);
	else if (c->form == CTL_JSON)
		ctl_print_json(result);
	else
		ctl_print_table(c, json_object_get(result, "Accounts"),
		    "id=AccountId name=AccountName status=Status "
		    "sending=SendingEnabled sends=Sends "
		    "deliveries=Deliveries bounces=Bounces "
		    "complaints=Complaints bounce-rate=BounceRate "
		    "complaint-rate=ComplaintRate");
	json_decref(result);
	return status;
}

/* -- deliverability -------------------------------------------------------- */

/* Shares as per cent, in place. */
static void
stats_row_percents(json_t *row)
{
	static const char *const names[] = { "Delivered", "Complaints",
		"TransientBounces", "PermanentBounces", "Opens", "Clicks" };
	char   name[64], text[32];
	size_t i;

	stats_percent(json_object_get(row, "VolumeDifference"), true, text);
	json_object_set_new(row, "VolumeDifference", json_string(text));
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		snprintf(name, sizeof(name), "%sRate", names[i]);
		stats_percent(json_object_get(row, name), false, text);
		json_object_set_new(row, name, json_string(text));
		snprintf(name, sizeof(name), "%sDifference", names[i]);
		stats_percent(json_object_get(row, name), true, text);
		json_object_set_new(row, name, json_string(text));
	}
}

static void
stats_print_table(struct ctl *c, json_t *result)
{
	json_t *rows = json_object_get(result, "Rows"), *row;
	size_t	i;

	json_array_foreach(rows, i, row)
		stats_row_percents(row);
	ctl_print_table(c, rows, "name=Name volume=Volume "
	    "diff=VolumeDifference delivered=Delivered rate=DeliveredRate "
	    "diff=DeliveredDifference complaints=Complaints "
	    "rate=ComplaintsRate diff=ComplaintsDifference "
	    "transient=TransientBounces rate=TransientBouncesRate "
	    "permanent=PermanentBounces rate=PermanentBouncesRate "
	    "opens=Opens rate=OpensRate clicks=Clicks");
}

static void
stats_print_funnel(struct ctl *c, json_t *result)
{
	static const char *const names[][2] = { { "requested", "Requested" },
		{ "sent", "Sent" }, { "delivered", "Delivered" },
		{ "opened", "Opened" }, { "clicked", "Clicked" },
		{ "unsubscribed", "Unsubscribed" },
		{ "complained", "Complained" }, { "bounced", "Bounced" } };
	static const char *const rates[][2] = {
		{ "invalid address rate", "InvalidAddresses" },
		{ "deliverability", "Deliverability" },
		{ "spam bounce rate", "SpamBounces" },
		{ "complaint rate", "Complaints" }, { "open rate", "Opens" } };
	char   text[32];
	size_t i;

	(void)c;
	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++)
		printf("%-22s%10lld\n", names[i][0], ctl_number(
		    json_object_get(result, "Funnel"), names[i][1]));
	for (i = 0; i < sizeof(rates) / sizeof(rates[0]); i++) {
		stats_percent(json_object_get(json_object_get(result,
		    "Rates"), rates[i][1]), false, text);
		printf("%-22s%10s\n", rates[i][0], text);
	}
}

/* -- trace search ---------------------------------------------------------- */

static void
stats_print_search(struct ctl *c, json_t *result)
{
	json_t	 *rows = json_object_get(result, "Messages");
	long long total = ctl_number(result, "Total");

	ctl_print_table(c, rows, "time=Timestamp id=MessageId "
	    "from=FromEmailAddress to=Destination isp=Isp "
	    "last=LastDeliveryEvent engagement=LastEngagementEvent "
	    "subject=Subject");
	if (total > (long long)json_array_size(rows) &&
	    c->form == CTL_TEXT)
		printf("showing %zu of %lld%s\n", json_array_size(rows),
		    total, json_is_true(json_object_get(result, "Complete"))
			? "" : " or more");
}

#define TABLE_OPTIONS "range:text from:time to:time identity:text " \
	"config-set:text"
#define SEARCH_OPTIONS \
	"from:many to:many subject:many isp:many delivery-event:many " \
	"engagement-event:many exclude-from:many exclude-to:many " \
	"exclude-subject:many exclude-isp:many exclude-delivery-event:many " \
	"exclude-engagement-event:many message-id:text since:time " \
	"until:time limit:int"
const struct ctl_command ctl_stats_commands[] = {
	{ .verb = "stats", .csv = "all-accounts",
	    .options = "days:int all-accounts:flag",
	    .local = stats_show },
	{ .verb = "stats datapoints", .csv = "",
	    .options = "since:time until:time all:flag identity:text "
		       "config-set:text isp:text",
	    .show = stats_print_points },
	{ .verb = "stats isp", .csv = "", .options = TABLE_OPTIONS,
	    .show = stats_print_table },
	{ .verb = "stats identity", .csv = "", .options = TABLE_OPTIONS,
	    .show = stats_print_table },
	{ .verb = "stats config-set", .csv = "", .options = TABLE_OPTIONS,
	    .show = stats_print_table },
	{ .verb = "stats funnel", .options = "range:text from:time to:time",
	    .show = stats_print_funnel },
	{ .verb = "trace search", .csv = "", .options = SEARCH_OPTIONS,
	    .show = stats_print_search },
	{ .verb = NULL }
};

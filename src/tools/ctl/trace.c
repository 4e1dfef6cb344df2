/* SPDX-License-Identifier: ISC */
/* The way of a message: trace show (statistics.md 6.1). */
#include <string.h>

#include "tools/ctl/ctl.h"

/* What posthorn made of it: "  [Permanent/General, rule N1]" */
static void
trace_print_class(json_t *ev)
{
	json_t *bounce = json_object_get(json_object_get(ev, "Details"),
	    "Bounce");
	json_t *rule = json_object_get(ev, "Rule");

	if (bounce != NULL)
		printf("  [%s/%s", ctl_text(bounce, "BounceType"),
		    ctl_text(bounce, "BounceSubType"));
	else if (json_object_get(ev, "DelayType") != NULL)
		printf("  [%s", ctl_text(ev, "DelayType"));
	else
		return;
	printf("%s%s]", rule != NULL ? ", rule " : "",
	    rule != NULL ? json_string_value(rule) : "");
}

/* "  listed: account, BOUNCE since 2024-05-01T12:00:00.000Z, auto" */
static void
trace_print_listing(json_t *l)
{
	if (l == NULL)
		return;
	printf("  listed: %s", ctl_text(l, "List"));
	if (json_object_get(l, "Since") == NULL) {
		printf(", not any more\n");
		return;
	}
	printf(", %s since %s", ctl_text(l, "Reason"),
	    ctl_text(l, "Since"));
	if (json_object_get(l, "Source") != NULL)
		printf(", %s", ctl_text(l, "Source"));
	if (json_object_get(l, "Expires") != NULL)
		printf(", until %s", ctl_text(l, "Expires"));
	if (json_is_string(json_object_get(l, "MessageId")))
		printf(", by message %s", ctl_text(l, "MessageId"));
	putchar('\n');
}

static void
trace_print_recipient(json_t *r)
{
	json_t	   *v, *w = json_object_get(r, "Waiting");
	const char *isp = json_string_value(json_object_get(r, "Isp"));
	size_t	    i;

	printf("%s%s%s%s\n", ctl_text(r, "Destination"),
	    isp != NULL ? "  (" : "", isp != NULL ? isp : "",
	    isp != NULL ? ")" : "");
	if (w != NULL)
		printf("  waiting: %s, attempts %lld, next %s\n",
		    ctl_text(w, "State"), ctl_number(w, "Attempts"),
		    ctl_text(w, "NextAttempt"));
	trace_print_listing(json_object_get(r, "Listing"));
	json_array_foreach(json_object_get(r, "Events"), i, v) {
		printf("  %s  %-*s", ctl_text(v, "Timestamp"),
		    json_object_size(v) > 2 ? 15 : 0, ctl_text(v, "Type"));
		if (json_object_get(v, "RemoteIp") != NULL)
			printf(" %s", ctl_text(v, "RemoteIp"));
		if (json_object_get(v, "OutgoingIp") != NULL)
			printf(" from %s", ctl_text(v, "OutgoingIp"));
		if (json_object_get(v, "Tls") != NULL)
			printf("  %s", ctl_text(v, "Tls"));
		if (json_object_get(v, "Reply") != NULL)
			printf("  %s", ctl_text(v, "Reply"));
		trace_print_class(v);
		putchar('\n');
	}
}

/* "campaign=book,kind=offer" */
static void
trace_tags_text(json_t *tags, struct buf *out)
{
	json_t *v;
	size_t	i;

	json_array_foreach(tags, i, v)
		buf_printf(out, "%s%s=%s", i > 0 ? "," : "",
		    ctl_text(v, "Name"), ctl_text(v, "Value"));
	if (out->n == 0)
		buf_add_char(out, '-');
}

/* Two lines whose values stand below each other. */
static void
trace_print_pair(const char *const a[4], const char *const b[4])
{
	const char *const *line;
	size_t		   i, row, pad, wide[2];

	for (row = 0; row < 2; row++) {
		line = row == 0 ? a : b;
		for (i = 0; i < 4; i++) {
			wide[0] = ctl_letters(bytes_of(a[i]));
			wide[1] = ctl_letters(bytes_of(b[i]));
			pad = i == 3 ? 0 : 3 - wide[row] +
			    (wide[0] > wide[1] ? wide[0] : wide[1]);
			printf("%s%*s", line[i], (int)pad, "");
		}
		putchar('\n');
	}
}

static void
trace_print_facts(json_t *m)
{
	json_t	   *dkim = json_object_get(m, "Dkim");
	const char *pool = ctl_text(m, "SendingPoolName");
	struct buf  text[8], tags;
	size_t	    i;

	for (i = 0; i < 8; i++)
		buf_init(&text[i], 65536);
	buf_init(&tags, 65536);
	trace_tags_text(json_object_get(m, "EmailTags"), &tags);
	buf_printf(&text[0], "from      %s", ctl_text(m,
	    "FromEmailAddress"));
	buf_printf(&text[1], "envelope %s", ctl_text(m, "EnvelopeSender"));
	buf_printf(&text[2], "subject %s", ctl_text(m, "Subject"));
	buf_printf(&text[3], "size %lld", ctl_number(m, "Size"));
	buf_printf(&text[4], "set       %s", ctl_text(m,
	    "ConfigurationSetName"));
	buf_printf(&text[5], "tags %.*s", (int)tags.n, tags.p);
	if (json_is_object(dkim))
		buf_printf(&text[6], "dkim %s (s=%s)",
		    ctl_text(dkim, "Domain"), ctl_text(dkim, "Selector"));
	else
		buf_add_text(&text[6], "dkim -");
	/* without a name: those that nobody has asked for */
	buf_printf(&text[7], "pool %s", strcmp(pool, "-") == 0 ?
	    "default" : pool);
	for (i = 0; i < 8; i++)
		buf_add_char(&text[i], '\0');
	trace_print_pair((const char *const[]){ text[0].p, text[1].p,
	    text[2].p, text[3].p }, (const char *const[]){ text[4].p,
	    text[5].p, text[7].p, text[6].p });
	for (i = 0; i < 8; i++)
		buf_wipe(&text[i]);
	buf_wipe(&tags);
}

static void
trace_print_one(json_t *m)
{
	const char *tls = ctl_text(m, "TlsVersion");
	json_t	   *v;
	size_t	    i;

	printf("message   %s\nclient id %s      accepted %s from %s "
	    "(%s, %s%s%s)\n", ctl_text(m, "MessageId"),
	    ctl_text(m, "ClientMessageId"), ctl_text(m, "Accepted"),
	    ctl_text(m, "ClientIp"), ctl_text(m, "Credential"),
	    ctl_text(m, "Protocol"), strcmp(tls, "-") != 0 ? ", " : "",
	    strcmp(tls, "-") != 0 ? tls : "");
	trace_print_facts(m);
	json_array_foreach(json_object_get(m, "Insights"), i, v)
		trace_print_recipient(v);
}

/* One message is the answer itself, several are a list in it. */
static void
trace_print(struct ctl *c, json_t *result)
{
	json_t *list = json_object_get(result, "Messages"), *m;
	size_t	i;

	(void)c;
	if (list == NULL)
		trace_print_one(result);
	json_array_foreach(list, i, m) {
		if (i > 0)
			putchar('\n');
		trace_print_one(m);
	}
}

const struct ctl_command ctl_trace_commands[] = {
	{ .verb = "trace show", .arguments = "id", .usage = "ID",
	    .show = trace_print },
	{ .verb = NULL }
};

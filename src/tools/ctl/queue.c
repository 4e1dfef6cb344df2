/* SPDX-License-Identifier: ISC */
/* The queue, mail that came back, events, traces, source addresses. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ascii.h"
#include "tools/ctl/ctl.h"

enum {
	SHOWN_MAX = 256 * 1024 * 1024,
	SUMMARY_NAME = 32 /* with the number of recipients */
};

static long long
queue_number(json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

static const char *
queue_text(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL && *s != '\0' ? s : "-";
}

/* -- queue summary (statistics.md 7) --------------------------------------- */

/* "held: account paused" of HELD and account */
static void
summary_name(json_t *r, char out[64])
{
	const char *by = json_string_value(json_object_get(r, "HeldBy"));

	snprintf(out, 64, "%s%s%s%s", queue_text(r, "State"),
	    by != NULL ? ": " : "", by != NULL ? by : "",
	    by != NULL && strcmp(by, "operator") != 0 ? " paused" : "");
	ascii_lower_text(out);
}

static void
summary_row(json_t *r)
{
	char	octets[32] = "0", span[32] = "-", name[64];
	json_t *oldest = json_object_get(r, "OldestSeconds");
	int	left;

	summary_name(r, name);
	if (queue_number(r, "Bytes") > 0)
		ctl_octets_text((uint64_t)queue_number(r, "Bytes"), octets);
	if (json_is_integer(oldest))
		ctl_span_text(json_integer_value(oldest), span);
	/* a long name takes its room from the figure behind it */
	left = SUMMARY_NAME - (int)strlen(name);
	printf("%s%*lld%10lld%10s   %s\n", name, left,
	    queue_number(r, "Recipients"), queue_number(r, "Messages"),
	    octets, span);
}

static void
summary_sites(struct ctl *c, json_t *sites)
{
	struct buf reply;
	json_t	  *s;
	size_t	   i;
	char	   connections[48];

	printf("\n%-28s %8s  %6s  %11s  %-20s   last reply\n",
	    "site (top 10 by deferred)", "deferred", "active", "connections",
	    "backoff until");
	json_array_foreach(sites, i, s) {
		snprintf(connections, sizeof(connections), "%lld/%lld",
		    queue_number(s, "Connections"),
		    queue_number(s, "MaxConnections"));
		buf_init(&reply, 4096);
		ctl_value_text(c, json_object_get(s, "BackoffUntil"), &reply);
		printf("%-28s %8lld  %6lld  %11s  %-20.*s   %s\n",
		    queue_text(s, "Site"), queue_number(s, "Deferred"),
		    queue_number(s, "Active"), connections, (int)reply.n,
		    reply.p, queue_text(s, "LastReply"));
		buf_wipe(&reply);
	}
}

static void
queue_print_summary(struct ctl *c, json_t *r)
{
	json_t *v, *next = json_object_get(r, "NextRetrySeconds");
	json_t *a = json_object_get(r, "AttemptsLast5Minutes");
	char	span[32] = "-";
	size_t	i;

	printf("%-22s%10s%10s%10s   %s\n", "state", "recipients", "messages",
	    "bytes", "oldest");
	json_array_foreach(json_object_get(r, "States"), i, v)
		summary_row(v);
	if (a == NULL)
		return;
	if (json_is_integer(next))
		ctl_span_text(json_integer_value(next), span);
	printf("\nnext retry in %s    attempts last 5 min %lld (delivered "
	    "%lld, deferred %lld, failed %lld)\n", span,
	    queue_number(a, "Attempts"), queue_number(a, "Delivered"),
	    queue_number(a, "Deferred"), queue_number(a, "Failed"));
	if (json_array_size(json_object_get(r, "Sites")) > 0)
		summary_sites(c, json_object_get(r, "Sites"));
}

static int
queue_list(struct ctl *c)
{
	return ctl_call_list(c, "Jobs", "id=MessageId rcpt=Recipient "
	    "state=State attempts=Attempts next-attempt=NextAttempt "
	    "age=AgeSeconds last-reply=LastReply");
}

/* -- content --------------------------------------------------------------- */

static bool
queue_read_all(int fd, struct buf *out)
{
	lseek(fd, 0, SEEK_SET);
	return ctl_read_fd(fd, out);
}

/* What is not UTF-8 is shown as far as it is ASCII. */
static json_t *
queue_json_text(struct buf *b)
{
	json_t *v = json_stringn(b->p != NULL ? b->p : "", b->n);
	size_t	i;

	if (v != NULL)
		return v;
	for (i = 0; i < b->n; i++)
		if ((unsigned char)b->p[i] > 126)
			b->p[i] = '?';
	return json_stringn(b->p, b->n);
}

/* A stranger wrote it: what drives a terminal does not get there. */
static void
queue_copy(int fd)
{
	struct buf text;

	lseek(fd, 0, SEEK_SET);
	if (!isatty(STDOUT_FILENO)) {
		(void)ctl_copy_fd(fd, STDOUT_FILENO);
		return;
	}
	buf_init(&text, SHOWN_MAX);
	if (queue_read_all(fd, &text)) {
		ctl_clean_text(text.p, text.n);
		fwrite(text.p, 1, text.n, stdout);
	}
	buf_wipe(&text);
}

/* -- queue show, feedback show --------------------------------------------- */

/* The content comes in files of memory: it may be anything. */
static int
queue_show_parts(struct ctl *c, const bool wanted[2])
{
	static const char *const parts[] = { "headers", "body" };
	static const char *const members[] = { "Headers", "Body" };
	json_t *result = NULL;
	struct buf text;
	int	fds[2] = { -1, -1 }, i, status;

	for (i = 0; i < 2; i++)
		if (wanted[i] && ctl_add_memory(c, parts[i], &fds[i]) < 0)
			return CTL_REFUSED;
	status = ctl_call(c, c->command->verb, NULL, &result);
	if (result == NULL)
		return status;
	for (i = 0; i < 2; i++) {
		if (fds[i] < 0 || c->form != CTL_JSON)
			continue;
		buf_init(&text, SHOWN_MAX);
		if (queue_read_all(fds[i], &text))
			json_object_set_new(result, members[i],
			    queue_json_text(&text));
		buf_wipe(&text);
	}
	ctl_show(c, result);
	fflush(stdout);
	for (i = 0; i < 2; i++) {
		if (fds[i] < 0 || c->form == CTL_JSON)
			continue;
		if (i == 0 || fds[0] < 0)
			putchar('\n');
		fflush(stdout);
		queue_copy(fds[i]);
	}
	json_decref(result);
	return status;
}

static int
queue_show(struct ctl *c)
{
	const bool wanted[] = { ctl_arg_true(c, "headers"),
		ctl_arg_true(c, "body") };

	return queue_show_parts(c, wanted);
}

/* Raw mail is shown whole, unless only its header section is asked for. */
static int
feedback_show(struct ctl *c)
{
	const bool wanted[] = { true, !ctl_arg_true(c, "headers") };

	return queue_show_parts(c, wanted);
}

static int
feedback_list(struct ctl *c)
{
	return ctl_call_list(c, "Feedback", "id=Id received=Received "
	    "kind=Kind result=Result spf=Spf size=Size sender=Sender "
	    "rcpt=Recipients");
}

/* -- event tail ------------------------------------------------------------ */

static void
event_on_line(struct ctl *c, json_t *line)
{
	(void)c;
	if (json_is_string(line)) {
		ctl_clean(line);
		puts(json_string_value(line));
	} else {
		ctl_dump_json(line, stdout, JSON_COMPACT);
	}
	fflush(stdout);
}

static int
event_stream(struct ctl *c)
{
	json_t *result = NULL;
	int	status = ctl_call(c, c->command->verb, event_on_line, &result);

	json_decref(result);
	return status;
}

/* -- trace show (statistics.md 6.1) ---------------------------------------- */

/* What posthorn made of it: "  [Permanent/General, rule N1]" */
static void
trace_print_class(json_t *ev)
{
	json_t *bounce = json_object_get(json_object_get(ev, "Details"),
	    "Bounce");
	json_t *rule = json_object_get(ev, "Rule");

	if (bounce != NULL)
		printf("  [%s/%s", queue_text(bounce, "BounceType"),
		    queue_text(bounce, "BounceSubType"));
	else if (json_object_get(ev, "DelayType") != NULL)
		printf("  [%s", queue_text(ev, "DelayType"));
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
	printf("  listed: %s", queue_text(l, "List"));
	if (json_object_get(l, "Since") == NULL) {
		printf(", not any more\n");
		return;
	}
	printf(", %s since %s", queue_text(l, "Reason"),
	    queue_text(l, "Since"));
	if (json_object_get(l, "Source") != NULL)
		printf(", %s", queue_text(l, "Source"));
	if (json_object_get(l, "Expires") != NULL)
		printf(", until %s", queue_text(l, "Expires"));
	if (json_is_string(json_object_get(l, "MessageId")))
		printf(", by message %s", queue_text(l, "MessageId"));
	putchar('\n');
}

static void
trace_print_recipient(json_t *r)
{
	json_t	   *v, *w = json_object_get(r, "Waiting");
	const char *isp = json_string_value(json_object_get(r, "Isp"));
	size_t	    i;

	printf("%s%s%s%s\n", queue_text(r, "Destination"),
	    isp != NULL ? "  (" : "", isp != NULL ? isp : "",
	    isp != NULL ? ")" : "");
	if (w != NULL)
		printf("  waiting: %s, attempts %lld, next %s\n",
		    queue_text(w, "State"), queue_number(w, "Attempts"),
		    queue_text(w, "NextAttempt"));
	trace_print_listing(json_object_get(r, "Listing"));
	json_array_foreach(json_object_get(r, "Events"), i, v) {
		printf("  %s  %-*s", queue_text(v, "Timestamp"),
		    json_object_size(v) > 2 ? 15 : 0, queue_text(v, "Type"));
		if (json_object_get(v, "RemoteIp") != NULL)
			printf(" %s", queue_text(v, "RemoteIp"));
		if (json_object_get(v, "OutgoingIp") != NULL)
			printf(" from %s", queue_text(v, "OutgoingIp"));
		if (json_object_get(v, "Tls") != NULL)
			printf("  %s", queue_text(v, "Tls"));
		if (json_object_get(v, "Reply") != NULL)
			printf("  %s", queue_text(v, "Reply"));
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
		    queue_text(v, "Name"), queue_text(v, "Value"));
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
	const char *pool = queue_text(m, "SendingPoolName");
	struct buf  text[8], tags;
	size_t	    i;

	for (i = 0; i < 8; i++)
		buf_init(&text[i], 65536);
	buf_init(&tags, 65536);
	trace_tags_text(json_object_get(m, "EmailTags"), &tags);
	buf_printf(&text[0], "from      %s", queue_text(m,
	    "FromEmailAddress"));
	buf_printf(&text[1], "envelope %s", queue_text(m, "EnvelopeSender"));
	buf_printf(&text[2], "subject %s", queue_text(m, "Subject"));
	buf_printf(&text[3], "size %lld", queue_number(m, "Size"));
	buf_printf(&text[4], "set       %s", queue_text(m,
	    "ConfigurationSetName"));
	buf_printf(&text[5], "tags %.*s", (int)tags.n, tags.p);
	if (json_is_object(dkim))
		buf_printf(&text[6], "dkim %s (s=%s)",
		    queue_text(dkim, "Domain"), queue_text(dkim, "Selector"));
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
	const char *tls = queue_text(m, "TlsVersion");
	json_t	   *v;
	size_t	    i;

	printf("message   %s\nclient id %s      accepted %s from %s "
	    "(%s, %s%s%s)\n", queue_text(m, "MessageId"),
	    queue_text(m, "ClientMessageId"), queue_text(m, "Accepted"),
	    queue_text(m, "ClientIp"), queue_text(m, "Credential"),
	    queue_text(m, "Protocol"), strcmp(tls, "-") != 0 ? ", " : "",
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

#define QUEUE_CHOICE "to:text from:text credential:text"
/* The daemon reads the file; only we may open it. */
static int
snds_open(struct ctl *c)
{
	int fd = ctl_open_file(c, ctl_arg(c, "path"));

	if (fd < 0)
		return CTL_USAGE;
	json_object_del(c->args, "path");
	json_object_set_new(c->args, "file", json_integer(ctl_add_fd(c, fd)));
	return 0;
}

#define SNDS_COLUMNS                                                         \
	"address=Ip day=Day rcpt=RCPTCommands own-rcpt=OwnRCPTCommands "     \
	"data=DATACommands own-data=OwnDATACommands "                        \
	"recipients=MessageRecipients spam=SpamRate "                        \
	"complaints=ComplaintRateShown traps=TrapHits"
#define LISTING_COLUMNS                                                      \
	"address=Ip list=List source=Source status=Status answer=Answer " \
	"since=Since last=Last group=Group url=Url"
const struct ctl_command ctl_queue_commands[] = {
	{ .verb = "queue summary", .show = queue_print_summary },
	{ .verb = "queue list", .csv = "",
	    .options = "state:text from:text to:text config-set:text "
		       "credential:text older-than:duration limit:int "
		       "next-token:text",
	    .local = queue_list },
	{ .verb = "queue show", .arguments = "id", .usage = "ID",
	    .options = "headers:flag body:flag", .local = queue_show },
	{ .verb = "queue retry", .arguments = "id...?",
	    .usage = "[ID...]",
	    .options = "to:text all:flag", .show = ctl_print_nothing },
	{ .verb = "queue hold", .arguments = "id...?",
	    .usage = "[ID...]",
	    .options = QUEUE_CHOICE, .show = ctl_print_nothing },
	{ .verb = "queue release", .arguments = "id...?",
	    .usage = "[ID...]",
	    .options = QUEUE_CHOICE, .show = ctl_print_nothing },
	{ .verb = "queue bounce", .arguments = "id...",
	    .usage = "ID...",
	    .options = "rcpt:text reason:text", .show = ctl_print_nothing },
	{ .verb = "queue delete", .arguments = "id...",
	    .usage = "ID...",
	    .options = "rcpt:text", .confirm = "id",
	    .show = ctl_print_nothing },
	{ .verb = "feedback list", .csv = "",
	    .options = "limit:int next-token:text",
	    .local = feedback_list },
	{ .verb = "feedback show", .arguments = "id", .usage = "ID",
	    .options = "headers:flag", .local = feedback_show },
	{ .verb = "feedback replay", .arguments = "id", .usage = "ID",
	    .show = ctl_print_nothing },
	{ .verb = "event tail",
	    .options = "types:words config-set:text to:text message-id:text "
		       "since:time follow:flag text:flag",
	    .local = event_stream },
	{ .verb = "trace show", .arguments = "id", .usage = "ID",
	    .show = trace_print },
	{ .verb = "ip list", .list = "DedicatedIps",
	    .columns = "address=Ip ehlo=EhloName kind=Kind pool=PoolName "
		       "status=Status warm-up=WarmupStatus "
		       "sent-24h=SentLast24Hours blocklists=Blocklists" },
	{ .verb = "ip add", .arguments = "name", .usage = "ADDRESS",
	    .options = "ehlo:text kind:text pool:text account:text",
	    .json = "Ip=name EhloName=ehlo",
	    .show = ctl_print_nothing },
	{ .verb = "ip show", .arguments = "name", .usage = "ADDRESS" },
	{ .verb = "ip enable", .arguments = "name", .usage = "ADDRESS",
	    .show = ctl_print_nothing },
	{ .verb = "ip disable", .arguments = "name", .usage = "ADDRESS",
	    .show = ctl_print_nothing },
	{ .verb = "ip remove", .arguments = "name", .usage = "ADDRESS",
	    .show = ctl_print_nothing },
	{ .verb = "pool list", .list = "DedicatedIpPools",
	    .columns = "name=PoolName mode=ScalingMode overflow=Overflow "
		       "addresses=Addresses sets=ConfigurationSets" },
	{ .verb = "pool show", .arguments = "name", .usage = "NAME" },
	{ .verb = "pool create", .arguments = "name", .usage = "NAME",
	    .options = "mode:text overflow:text",
	    .json = "PoolName=name ScalingMode=mode Overflow=overflow",
	    .show = ctl_print_nothing },
	{ .verb = "pool set", .arguments = "name", .usage = "NAME",
	    .options = "mode:text overflow:text",
	    .json = "PoolName=name ScalingMode=mode Overflow=overflow",
	    .show = ctl_print_nothing },
	{ .verb = "pool delete", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = "pool add-ip", .arguments = "name address",
	    .usage = "NAME ADDRESS", .show = ctl_print_nothing },
	{ .verb = "pool remove-ip", .arguments = "name address",
	    .usage = "NAME ADDRESS", .show = ctl_print_nothing },
	{ .verb = "blocklist list", .list = "Listings",
	    .columns = LISTING_COLUMNS },
	{ .verb = "blocklist check", .arguments = "name?",
	    .usage = "[ADDRESS]", .list = "Listings",
	    .columns = LISTING_COLUMNS },
	{ .verb = "snds import", .arguments = "path", .usage = "FILE",
	    .prepare = snds_open, .list = "Snds",
	    .columns = SNDS_COLUMNS },
	{ .verb = "ip-filter list", .list = "Filters",
	    .columns = "name=Name cidr=Cidr policy=Policy "
		       "listener=Listener" },
	{ .verb = "ip-filter add", .arguments = "name cidr policy",
	    .usage = "NAME CIDR allow|block", .options = "listener:text",
	    .json = "Name=name Cidr=cidr Policy=policy Listener=listener",
	    .show = ctl_print_nothing },
	{ .verb = "ip-filter delete", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = NULL }
};

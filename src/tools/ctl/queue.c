/* SPDX-License-Identifier: ISC */
/* The queue, events, traces, source addresses, and posthornctl send. */
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

static long long
queue_number(json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

static const char *
queue_text(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "-";
}

/* -- queue summary (statistics.md 7) ------------------------------------------- */

static void
summary_row(json_t *r)
{
	char   octets[32], span[32] = "-";
	json_t *oldest = json_object_get(r, "OldestSeconds");

	ctl_octets_text((uint64_t)queue_number(r, "Bytes"), octets);
	if (json_is_integer(oldest))
		ctl_span_text(json_integer_value(oldest), span);
	printf("%-21s %10lld %9lld %9s   %s\n", queue_text(r, "State"),
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

	printf("%-21s %10s %9s %9s   %s\n", "state", "recipients", "messages",
	    "bytes", "oldest");
	json_array_foreach(json_object_get(r, "States"), i, v)
		summary_row(v);
	if (json_is_integer(next))
		ctl_span_text(json_integer_value(next), span);
	printf("\nnext retry in %s    attempts last 5 min %lld (delivered "
	    "%lld, deferred %lld, failed %lld)\n", span,
	    queue_number(a, "Attempts"), queue_number(a, "Delivered"),
	    queue_number(a, "Deferred"), queue_number(a, "Failed"));
	if (json_array_size(json_object_get(r, "Sites")) > 0)
		summary_sites(c, json_object_get(r, "Sites"));
}

static void
queue_print_list(struct ctl *c, json_t *result)
{
	json_t *rows = json_object_get(result, "Jobs"), *row;
	char	span[32];
	size_t	i;

	json_array_foreach(rows, i, row) {
		ctl_span_text(queue_number(row, "AgeSeconds"), span);
		json_object_set_new(row, "Age", json_string(span));
	}
	ctl_print_table(c, rows, "id=MessageId rcpt=Recipient state=State "
	    "attempts=Attempts next-attempt=NextAttempt age=Age "
	    "last-reply=LastReply");
}

/* Parts that are text as they are stand behind the rest. */
static void
queue_print_shown(struct ctl *c, json_t *result)
{
	static const char *const texts[] = { "Headers", "Body" };
	json_t			*kept[2];
	size_t			 i;

	for (i = 0; i < 2; i++) {
		kept[i] = json_incref(json_object_get(result, texts[i]));
		json_object_del(result, texts[i]);
	}
	ctl_print_values(c, result);
	for (i = 0; i < 2; i++) {
		if (json_is_string(kept[i]))
			printf("\n%s", json_string_value(kept[i]));
		json_decref(kept[i]);
	}
}

static void
queue_print_nothing(struct ctl *c, json_t *result)
{
	(void)c;
	(void)result;
}

/* -- event tail ------------------------------------------------------------------ */

static void
event_on_line(struct ctl *c, json_t *line)
{
	(void)c;
	if (json_is_string(line))
		puts(json_string_value(line));
	else {
		json_dumpf(line, stdout, JSON_COMPACT |
		    JSON_REAL_PRECISION(15));
		putchar('\n');
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

/* -- posthornctl send ---------------------------------------------------------------- */

static void
send_header(FILE *f, const char *name, json_t *list)
{
	json_t *v;
	size_t	i;

	if (json_array_size(list) == 0)
		return;
	fprintf(f, "%s: ", name);
	json_array_foreach(list, i, v)
		fprintf(f, "%s%s", i > 0 ? ",\r\n " : "",
		    json_string_value(v));
	fputs("\r\n", f);
}

/* A message of the options, as text/plain. */
static void
send_compose(struct ctl *c, FILE *f)
{
	const char *text = ctl_arg(c, "text"), *p;
	json_t	   *v;
	size_t	    i;

	fprintf(f, "From: %s\r\n", ctl_arg(c, "from"));
	send_header(f, "To", json_object_get(c->args, "to"));
	send_header(f, "Cc", json_object_get(c->args, "cc"));
	if (ctl_arg(c, "subject") != NULL)
		fprintf(f, "Subject: %s\r\n", ctl_arg(c, "subject"));
	json_array_foreach(json_object_get(c->args, "header"), i, v)
		fprintf(f, "%s\r\n", json_string_value(v));
	fputs("MIME-Version: 1.0\r\nContent-Type: text/plain; "
	    "charset=utf-8\r\nContent-Transfer-Encoding: 8bit\r\n\r\n", f);
	for (p = text != NULL ? text : ""; *p != '\0'; p++) {
		if (*p == '\n' && (p == text || p[-1] != '\r'))
			fputc('\r', f);
		fputc(*p, f);
	}
}

static int
send_prepare(struct ctl *c)
{
	static const char *const more[] = { "cc", "bcc" };
	static const char *const own[] = { "cc", "bcc", "subject", "text",
		"header", "raw" };
	json_t *raw = json_object_get(c->args, "raw"), *list, *v;
	FILE   *f;
	size_t	i, k;
	int	fd;

	if (ctl_arg(c, "from") == NULL ||
	    json_object_get(c->args, "to") == NULL) {
		fprintf(stderr, "error: --from and --to are needed\n");
		return CTL_USAGE;
	}
	if (raw == NULL) {
		fd = memfd_create("message", MFD_CLOEXEC);
		f = fd < 0 ? NULL : fdopen(dup(fd), "w");
		if (f == NULL)
			return CTL_REFUSED;
		send_compose(c, f);
		fclose(f);
		lseek(fd, 0, SEEK_SET);
		raw = json_integer(ctl_add_fd(c, fd));
		json_object_set_new(c->args, "message", raw);
	} else {
		json_object_set(c->args, "message", raw);
	}
	list = json_object_get(c->args, "to");
	for (k = 0; k < 2; k++)
		json_array_foreach(json_object_get(c->args, more[k]), i, v)
			json_array_append(list, v);
	for (k = 0; k < sizeof(own) / sizeof(own[0]); k++)
		json_object_del(c->args, own[k]);
	return 0;
}

static void
send_print(struct ctl *c, json_t *result)
{
	(void)c;
	puts(queue_text(result, "MessageId"));
}

#define QUEUE_CHOICE \
	"to:words from:text credential:text all:flag rcpt:text"
const struct ctl_command ctl_queue_commands[] = {
	{ .verb = "queue summary", .show = queue_print_summary },
	{ .verb = "queue list",
	    .options = "state:text from:text to:text config-set:text "
		       "credential:text older-than:duration limit:int "
		       "next-token:text",
	    .show = queue_print_list },
	{ .verb = "queue show", .arguments = "id",
	    .options = "headers:flag body:flag",
	    .show = queue_print_shown },
	{ .verb = "queue retry", .arguments = "id...?",
	    .options = QUEUE_CHOICE, .show = queue_print_nothing },
	{ .verb = "queue hold", .arguments = "id...?",
	    .options = QUEUE_CHOICE, .show = queue_print_nothing },
	{ .verb = "queue release", .arguments = "id...?",
	    .options = QUEUE_CHOICE, .show = queue_print_nothing },
	{ .verb = "queue bounce", .arguments = "id...",
	    .options = "rcpt:text reason:text", .show = queue_print_nothing },
	{ .verb = "queue delete", .arguments = "id...",
	    .options = "rcpt:text", .confirm = "id",
	    .show = queue_print_nothing },
	{ .verb = "event tail",
	    .options = "types:words config-set:text to:text message-id:text "
		       "since:time follow:flag text:flag",
	    .local = event_stream },
	{ .verb = "trace show", .arguments = "id" },
	{ .verb = "ip list", .list = "DedicatedIps",
	    .columns = "address=Ip ehlo=EhloName kind=Kind pool=PoolName "
		       "status=Status warm-up=WarmupStatus "
		       "blocklists=BlockedBy" },
	{ .verb = "ip add", .arguments = "name", .usage = "ADDRESS",
	    .options = "ehlo:text kind:text account:text",
	    .show = queue_print_nothing },
	{ .verb = "ip show", .arguments = "name", .usage = "ADDRESS" },
	{ .verb = "ip enable", .arguments = "name", .usage = "ADDRESS" },
	{ .verb = "ip disable", .arguments = "name", .usage = "ADDRESS" },
	{ .verb = "ip remove", .arguments = "name", .usage = "ADDRESS",
	    .confirm = "name" },
	{ .verb = "send",
	    .options = "from:text to:words cc:words bcc:words subject:text "
		       "text:input header:many raw:file",
	    .prepare = send_prepare, .show = send_print },
	{ .verb = NULL }
};

/* SPDX-License-Identifier: ISC */
/* The queue, mail that came back, events. */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/ascii.h"
#include "tools/ctl/ctl.h"

enum {
	SHOWN_MAX = 256 * 1024 * 1024,
	SUMMARY_NAME = 32 /* with the number of recipients */
};

/* -- queue summary (statistics.md 7) --------------------------------------- */

/* "held: account paused" of HELD and account */
static void
summary_name(json_t *r, char out[64])
{
	const char *by = json_string_value(json_object_get(r, "HeldBy"));

	snprintf(out, 64, "%s%s%s%s", ctl_text(r, "State"),
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
	if (ctl_number(r, "Bytes") > 0)
		ctl_octets_text((uint64_t)ctl_number(r, "Bytes"), octets);
	if (json_is_integer(oldest))
		ctl_span_text(json_integer_value(oldest), span);
	/* a long name takes its room from the figure behind it */
	left = SUMMARY_NAME - (int)strlen(name);
	printf("%s%*lld%10lld%10s   %s\n", name, left,
	    ctl_number(r, "Recipients"), ctl_number(r, "Messages"),
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
		    ctl_number(s, "Connections"),
		    ctl_number(s, "MaxConnections"));
		buf_init(&reply, 4096);
		ctl_value_text(c, json_object_get(s, "BackoffUntil"), &reply);
		printf("%-28s %8lld  %6lld  %11s  %-20.*s   %s\n",
		    ctl_text(s, "Site"), ctl_number(s, "Deferred"),
		    ctl_number(s, "Active"), connections, (int)reply.n,
		    reply.p, ctl_text(s, "LastReply"));
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
	    ctl_number(a, "Attempts"), ctl_number(a, "Delivered"),
	    ctl_number(a, "Deferred"), ctl_number(a, "Failed"));
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

#define QUEUE_CHOICE "to:text from:text credential:text"
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
	{ .verb = NULL }
};

/* SPDX-License-Identifier: ISC */
/* Suppression lists. */
#include <errno.h>
#include <fcntl.h>
#include <stdlib.h>
#include <string.h>
#include <sys/mman.h>
#include <unistd.h>

#include "tools/ctl/ctl.h"

enum { CHUNK_ADD = 100000, CHUNK_REMOVE = 10000, PASTE_MAX = 64 * 1024 };

static const char *
text_of(json_t *o, const char *name)
{
	const char *s = json_string_value(json_object_get(o, name));

	return s != NULL ? s : "";
}

static long long
number_of(json_t *o, const char *name)
{
	return (long long)json_integer_value(json_object_get(o, name));
}

/* -- add, remove: "-" stands for a pasted list ---------------------------------- */

static int
suppression_paste(struct ctl *c)
{
	json_t	  *list = json_object_get(c->args, "address");
	struct buf in;
	char	  *p, *rest;

	if (json_array_size(list) != 1 ||
	    strcmp(json_string_value(json_array_get(list, 0)), "-") != 0)
		return CTL_DONE;
	buf_init(&in, CHUNK_ADD * 64);
	if (!ctl_read_input(c, "-", &in))
		return CTL_USAGE;
	buf_add_char(&in, '\0');
	json_array_clear(list);
	for (p = strtok_r(in.p, " \t\r\n,", &rest); p != NULL;
	     p = strtok_r(NULL, " \t\r\n,", &rest))
		json_array_append_new(list, json_string_nocheck(p));
	buf_wipe(&in);
	if (json_array_size(list) > 0)
		return CTL_DONE;
	ctl_say_misuse(c, "no address on standard input");
	return CTL_USAGE;
}

/* There is no name to be typed again. */
static int
clear_confirm(struct ctl *c)
{
	if (c->yes || c->dry_run)
		return CTL_DONE;
	ctl_say_misuse(c, "this empties the installation's list: say --yes");
	return CTL_USAGE;
}

/* -- settings --------------------------------------------------------------------- */

static int
suppression_settings(struct ctl *c)
{
	json_t *result = NULL;
	int	status = ctl_call(c,
		json_object_get(c->args, "reasons") != NULL ?
		    "suppression set" : "suppression settings",
		NULL, &result);

	if (status == CTL_DONE && json_object_size(result) > 0)
		ctl_show(c, result);
	json_decref(result);
	return status;
}

/* -- list --------------------------------------------------------------------------- */

/* JSON also without --json: the recipes that users of SES know read it. */
static void
suppression_print_list(struct ctl *c, json_t *result)
{
	json_t *rows = json_object_get(result,
	    "SuppressedDestinationSummaries");

	if (c->form == CTL_TEXT && !ctl_arg_true(c, "table")) {
		ctl_print_json(result);
		return;
	}
	ctl_print_table(c, rows,
	    "address=EmailAddress reason=Reason since=LastUpdateTime "
	    "source=Source");
}

/* The table shows where an entry came from. */
static int
suppression_prepare_list(struct ctl *c)
{
	if (c->form == CTL_CSV || ctl_arg_true(c, "table"))
		json_object_set_new(c->args, "full", json_true());
	return CTL_DONE;
}

/* -- import ---------------------------------------------------------------------------- */

/* A file that the daemon may read from its beginning to its end. */
static int
import_add_file(struct ctl *c, const char *name, const char *path, int flags)
{
	int fd = open(path, flags | O_CLOEXEC, 0600), index;

	if (fd < 0) {
		ctl_say_misuse(c, "%s: %s", path, strerror(errno));
		return CTL_USAGE;
	}
	index = ctl_add_fd(c, fd);
	json_object_set_new(c->args, name, json_integer(index));
	return CTL_DONE;
}

static void
import_say(struct ctl *c, json_t *r, const char *rejects)
{
	const char *file = text_of(r, "FailedRecordsFile");

	if (c->form == CTL_JSON) {
		ctl_print_json(r);
		return;
	}
	printf("%s\nprocessed %lld, failed %lld", text_of(r, "JobId"),
	    number_of(r, "ProcessedRecordsCount"),
	    number_of(r, "FailedRecordsCount"));
	if (number_of(r, "FailedRecordsCount") > 0)
		printf(", rejects in %s", rejects != NULL ? rejects : file);
	putchar('\n');
}

static int
import_one(struct ctl *c, int fd, const char *rejects, bool first)
{
	json_t *result = NULL;
	int	status, index;

	c->fd_count = 0;
	index = ctl_add_fd(c, fd);
	json_object_set_new(c->args, "file", json_integer(index));
	if (rejects != NULL && import_add_file(c, "rejects", rejects,
		O_RDWR | O_CREAT | (first ? O_TRUNC : O_APPEND)) != CTL_DONE)
		return CTL_USAGE;
	status = ctl_call(c, "suppression import", NULL, &result);
	if (json_object_get(result, "JobId") != NULL)
		import_say(c, result, rejects);
	json_decref(result);
	return status;
}

/* The next lines, up to max records, as a file of their own; -1 = no more. */
static int
import_chunk(FILE *in, size_t max)
{
	char   *line = NULL;
	size_t	cap = 0, records = 0;
	ssize_t n;
	int	fd = memfd_create("records", MFD_CLOEXEC);

	while (fd >= 0 && records < max &&
	    (n = getline(&line, &cap, in)) > 0) {
		if (write(fd, line, (size_t)n) != n) {
			records = 0;
			break;
		}
		records += line[strspn(line, " \t\r\n")] != '\0';
	}
	free(line);
	if (fd >= 0 && (records == 0 || lseek(fd, 0, SEEK_SET) != 0)) {
		close(fd);
		return -1;
	}
	return fd;
}

static int
import_chunks(struct ctl *c, const char *path, const char *rejects)
{
	bool  removes = strcmp(text_of(c->args, "action"), "delete") == 0;
	FILE *in = strcmp(path, "-") == 0 ? stdin : fopen(path, "re");
	bool  first = true;
	int   fd, one, status = CTL_DONE;

	if (in == NULL) {
		ctl_say_misuse(c, "%s: %s", path, strerror(errno));
		return CTL_USAGE;
	}
	while ((status == CTL_DONE || status == CTL_PARTLY) &&
	    (fd = import_chunk(in, removes ? CHUNK_REMOVE : CHUNK_ADD)) >=
		0) {
		one = import_one(c, fd, rejects, first);
		close(fd);
		if (one != CTL_DONE)
			status = one;
		first = false;
	}
	if (ferror(in)) {
		ctl_say_misuse(c, "%s: cannot be read", path);
		status = CTL_USAGE;
	}
	fclose(in);
	return status;
}

static int
suppression_import(struct ctl *c)
{
	const char *path = mem_dup(ctl_arg(c, "path"));
	const char *to = ctl_arg(c, "rejects");
	char	   *rejects = to == NULL ? NULL : mem_dup(to);
	bool	    chunks = ctl_arg_true(c, "chunk");
	int	    fd, status;

	json_object_del(c->args, "path");
	json_object_del(c->args, "rejects");
	json_object_del(c->args, "chunk");
	if (chunks) {
		status = import_chunks(c, path, rejects);
	} else {
		fd = ctl_open_file(c, path);
		status = fd < 0 ? CTL_USAGE
				: import_one(c, fd, rejects, true);
		if (fd >= 0)
			close(fd);
	}
	mem_free((void *)(uintptr_t)path);
	mem_free(rejects);
	return status;
}

/* -- export ------------------------------------------------------------------------------ */

static void
export_csv(json_t *e, bool whole)
{
	json_t	   *reasons = json_object_get(e, "Reasons"), *r, *a;
	const char *address = text_of(e, "EmailAddress");
	size_t	    i;

	json_array_foreach(reasons, i, r) {
		ctl_print_csv(address, strlen(address));
		printf(",%s", json_string_value(r));
		a = json_object_get(e, "Attributes");
		if (whole)
			printf(",%s,%s,%s,%s", text_of(e, "LastUpdateTime"),
			    text_of(e, "Source"), text_of(a, "MessageId"),
			    text_of(a, "FeedbackId"));
		putchar('\n');
	}
}

static void
export_json(json_t *e)
{
	json_t *reasons = json_object_get(e, "Reasons"), *r, *o;
	size_t	i;

	json_array_foreach(reasons, i, r) {
		o = json_pack("{s:O, s:O, s:O}", "emailAddress",
		    json_object_get(e, "EmailAddress"), "reason", r,
		    "lastUpdateTime", json_object_get(e, "LastUpdateTime"));
		ctl_dump_json(o, stdout, JSON_COMPACT);
		json_decref(o);
	}
}

static int
export_page(struct ctl *c, bool json, bool whole)
{
	json_t *result = NULL, *e, *next;
	int	status = ctl_call(c, "suppression list", NULL, &result);
	size_t	i;

	json_array_foreach(json_object_get(result,
	    "SuppressedDestinationSummaries"), i, e) {
		if (json)
			export_json(e);
		else
			export_csv(e, whole);
	}
	next = json_object_get(result, "NextToken");
	if (next != NULL)
		json_object_set(c->args, "next-token", next);
	else
		json_object_del(c->args, "next-token");
	json_decref(result);
	return status;
}

static int
suppression_export(struct ctl *c)
{
	const char *format = ctl_arg(c, "format");
	bool	    json = format != NULL && strcmp(format, "json") == 0;
	bool	    whole = ctl_arg_true(c, "full");
	int	    status;

	if (format != NULL && !json && strcmp(format, "csv") != 0) {
		ctl_say_misuse(c, "--format: csv or json");
		return CTL_USAGE;
	}
	json_object_del(c->args, "format");
	json_object_set_new(c->args, "full", json_true());
	if (whole && !json)
		puts("emailAddress,reason,lastUpdateTime,source,messageId,"
		     "feedbackId");
	do
		status = export_page(c, json, whole);
	while (status == CTL_DONE && ctl_arg(c, "next-token") != NULL);
	return status;
}

/* Nothing on standard output, as with all commands that change. */
static void
suppression_advise(struct ctl *c, json_t *result)
{
	(void)result;
	if (c->verbosity >= 0)
		fprintf(stderr, "note: remove what is suppressed from your "
		    "own lists as well\n");
}

#define LISTED_COLUMNS                                                       \
	"address=EmailAddress count=Count listed=ListedAt expires=ExpiresAt " \
	"active=Active account=LastAccount message=LastMessageId"
const struct ctl_command ctl_suppression_commands[] = {
	{ .verb = "suppression settings", .options = "reasons:words",
	    .json = "SuppressedReasons=reasons",
	    .local = suppression_settings },
	{ .verb = "suppression add", .arguments = "address...",
	    .usage = "ADDRESS...", .options = "reason:words",
	    .prepare = suppression_paste, .show = suppression_advise },
	{ .verb = "suppression remove", .arguments = "address...",
	    .usage = "ADDRESS...", .prepare = suppression_paste,
	    .show = ctl_print_nothing },
	{ .verb = "suppression show", .arguments = "address",
	    .usage = "ADDRESS" },
	{ .verb = "suppression list", .csv = "",
	    .options = "reason:words start-date:time end-date:time "
		       "domain:text address:text limit:int next-token:text "
		       "table:flag",
	    .prepare = suppression_prepare_list,
	    .show = suppression_print_list },
	{ .verb = "suppression check", .arguments = "address",
	    .usage = "ADDRESS", .options = "config-set:text" },
	{ .verb = "suppression why", .arguments = "address",
	    .usage = "ADDRESS", .options = "config-set:text" },
	{ .verb = "suppression import", .arguments = "path", .usage = "FILE",
	    .options = "action:text format:text chunk:flag rejects:text",
	    .local = suppression_import },
	{ .verb = "suppression export", .csv = "",
	    .options = "format:text full:flag",
	    .local = suppression_export },
	{ .verb = "suppression global list",
	    .options = "limit:int next-token:text", .list = "Suppressed",
	    .columns = LISTED_COLUMNS },
	{ .verb = "suppression global show", .arguments = "address",
	    .usage = "ADDRESS" },
	{ .verb = "suppression global add", .arguments = "address...",
	    .usage = "ADDRESS...", .prepare = suppression_paste,
	    .show = ctl_print_nothing },
	{ .verb = "suppression global remove", .arguments = "address...",
	    .usage = "ADDRESS...", .prepare = suppression_paste,
	    .show = ctl_print_nothing },
	{ .verb = "suppression global clear", .prepare = clear_confirm,
	    .show = ctl_print_nothing },
	{ .verb = "import-job list", .list = "ImportJobs",
	    .columns = "job=JobId destination=ImportDestination."
		       "SuppressionListDestination."
		       "SuppressionListImportAction status=JobStatus "
		       "processed=ProcessedRecordsCount "
		       "failed=FailedRecordsCount created=CreatedTimestamp "
		       "completed=CompletedTimestamp" },
	{ .verb = "import-job show", .arguments = "id", .usage = "ID" },
	{ .verb = NULL }
};

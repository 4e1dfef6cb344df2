/* SPDX-License-Identifier: ISC */
/*
 * ctl.h - posthornctl inside: the table of commands, one call to the daemon,
 * its output.
 *
 * Use:    a row of a table says the verb, its arguments in a small language
 *         and how the answer is shown; what does not fit has a function.
 * Words:  arguments: "name" needed, "name?" may be left out, "name..." one or
 *         more, "name...?" any number.
 *         options: "name:kind ..." with the kinds flag, text, words (a set:
 *         comma lists and repetition, empty = empty set), many (repetition),
 *         int, amount (or "unlimited"), size, duration, time, expires (time
 *         or "never"), file (a descriptor that travels along), input (the
 *         text of a file); "-" is standard input.
 *         columns: "heading=Member heading=Member.Inner ...".
 * Owner:  struct ctl lives in main(); JSON values belong to it.
 * Thread: one.
 * Fails:  exit statuses of admin-cli.md 2; errors on standard error.
 */
#ifndef TOOLS_CTL_H
#define TOOLS_CTL_H

#include <jansson.h>
#include <stdbool.h>
#include <stdint.h>
#include <stdio.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/mem.h"

enum {
	CTL_DONE = 0,
	CTL_REFUSED = 1,
	CTL_USAGE = 2,
	CTL_UNREACHABLE = 3,
	CTL_PARTLY = 4,
	CTL_FDS_MAX = 4
};
enum ctl_form { CTL_TEXT, CTL_JSON, CTL_CSV };

struct ctl;
struct ctl_command {
	const char *verb; /* "identity add"; one to three words */
	const char *arguments;
	const char *options;
	const char *list;    /* member of the answer that is a table */
	const char *columns; /* NULL: shown as name and value */
	/* In place of the table; NULL = by list and columns. */
	void (*show)(struct ctl *c, json_t *result);
	/* In place of one call and its display: works without the daemon, or
	 * makes its calls itself; its value is the exit status. */
	int (*local)(struct ctl *c);
	/* Looks at the arguments before they are sent; 0 or a status. */
	int (*prepare)(struct ctl *c);
	const char *confirm; /* argument to be typed again; NULL = none */
	const char *usage;   /* arguments as the help shows them */
	/* show and local: there is a table for --csv, "" = always, else with
	 * this option; NULL = none.  A list of columns always is one. */
	const char *csv;
	/* Members of --json-file (json.c); NULL = has none. */
	const char *json;
	/* In place of them: the argument under which the daemon gets the text
	 * as it is, and what --skeleton prints. */
	const char *document, *skeleton;
};

struct ctl {
	const char *program;
	const struct ctl_command *command;
	const char *socket_path, *conf_path, *account;
	enum ctl_form form;
	bool	    no_header, local_time, yes, dry_run, help, version;
	bool	    http_json; /* JSON with times as numbers */
	bool	    skeleton;  /* the arguments as JSON, empty */
	int	    verbosity;
	int64_t	    timeout_ms;
	bool	    has_timeout; /* --timeout was given */
	json_t	   *args;
	struct ctl_list *list; /* that is coming in; NULL = none is */
	int	    fds[CTL_FDS_MAX];
	unsigned    fd_count;
	int	    status;
};

extern const struct ctl_command ctl_account_commands[];
extern const struct ctl_command ctl_identity_commands[];
extern const struct ctl_command ctl_policy_commands[];
extern const struct ctl_command ctl_config_set_commands[];
extern const struct ctl_command ctl_destination_commands[];
extern const struct ctl_command ctl_topic_commands[];
extern const struct ctl_command ctl_queue_commands[];
extern const struct ctl_command ctl_trace_commands[];
extern const struct ctl_command ctl_ip_commands[];
extern const struct ctl_command ctl_suppression_commands[];
extern const struct ctl_command ctl_send_commands[];
extern const struct ctl_command ctl_stats_commands[];
extern const struct ctl_command ctl_reputation_commands[];
extern const struct ctl_command ctl_system_commands[];
extern const struct ctl_command ctl_offline_commands[];
/* all of them; NULL ends it */
extern const struct ctl_command *const ctl_tables[];

int ctl_version(struct ctl *c); /* system.c */

/* args.c: false = usage error, said. */
bool ctl_read_arguments(struct ctl *c, int argc, char **argv, int *used);
bool ctl_has_option(const struct ctl_command *k, const char *word);
int ctl_add_fd(struct ctl *c, int fd); /* index, or -1 */
const char *ctl_arg(const struct ctl *c, const char *name); /* or NULL */
bool ctl_arg_true(const struct ctl *c, const char *name);
bool ctl_add_option(struct ctl *c, const char *kind, const char *name,
    const char *text);

/* json.c: the arguments from a file ("-" = standard input); false = usage
 * error, said. */
bool ctl_read_json(struct ctl *c, const char *path);
void ctl_print_skeleton(struct ctl *c);
/* Times of an answer become seconds since the epoch (--http-json). */
void ctl_times_to_numbers(json_t *v);

/* value.c: what operators type */
bool ctl_parse_duration(const char *s, int64_t *ms);
bool ctl_parse_size(const char *s, uint64_t *octets);
/* ISO 8601, date, seconds, "-15m", "now" */
bool ctl_parse_time(const char *s, struct wall now, struct wall *out);
bool ctl_parse_amount(const char *s, double *out);

/* call.c: sends the command; each {"line":...} goes to on_line.  Gives the
 * exit status; *result is the answer's, to be released, or NULL. */
typedef void ctl_line_fn(struct ctl *c, json_t *line);
int ctl_call(struct ctl *c, const char *verb, ctl_line_fn *on_line,
    json_t **result);
/* What takes longer is waited for, unless --timeout says how long. */
void ctl_be_patient(struct ctl *c, int64_t ms);

/*
 * stream.c: a list that may be very long is printed as it comes: the columns
 * are as wide as the first rows need.  As JSON: an object with the list as
 * NAME.  A member whose name ends in "Seconds" is shown as a span.
 */
int ctl_call_list(struct ctl *c, const char *name, const char *columns);
/* A line of it, not yet read; false = it is none, but the answer. */
bool ctl_list_take(struct ctl *c, struct bytes line);
/* A file of memory for content: its index in args, -1 = said. */
int ctl_add_memory(struct ctl *c, const char *argument, int *fd);
/* One that holds this text, for the daemon to read; false = said. */
bool ctl_add_text(struct ctl *c, const char *argument, struct bytes text);
/*
 * A file that the daemon may read from its beginning to its end: what comes
 * by a pipe is one of memory then, of 64 MB at most.  -1 = said.
 */
int ctl_open_file(struct ctl *c, const char *path);
bool ctl_read_input(struct ctl *c, const char *path, struct buf *out);
/* All that is left of it; false and errno (EFBIG: more than out holds). */
bool ctl_read_fd(int fd, struct buf *out);
bool ctl_copy_fd(int from, int to);

/* output.c */
void ctl_say_error(struct ctl *c, const char *code, const char *fmt, ...)
    __attribute__((format(printf, 3, 4)));
/* Of what was typed: code BadRequestException. */
void ctl_say_misuse(struct ctl *c, const char *fmt, ...)
    __attribute__((format(printf, 2, 3)));
/* Replies and records of strangers stand in the answers: control characters
 * (C1 too) become "?", as they are not for the operator's terminal. */
void ctl_clean(json_t *v);
void ctl_clean_text(char *text, size_t n);
void ctl_print_json(json_t *v);
/* And a line end; in JSON they are escaped. */
void ctl_dump_json(json_t *v, FILE *to, size_t flags);
/* JSON as text: a json_dump_callback_t, to is a FILE. */
int ctl_write_json(const char *text, size_t n, void *to);
void ctl_print_table(struct ctl *c, json_t *rows, const char *columns);
/* Its parts, for tables that come row by row. */
enum { CTL_COLUMNS_MAX = 16, CTL_MEMBER_MAX = 120 };
struct ctl_column {
	char   heading[40], member[CTL_MEMBER_MAX];
	size_t width; /* letters */
	bool   right;
};
size_t ctl_columns(const char *text, struct ctl_column v[CTL_COLUMNS_MAX]);
void ctl_print_cell(struct ctl *c, const struct ctl_column *col,
    struct bytes text, bool first, bool last);
size_t ctl_letters(struct bytes s);
/* A cell, quoted where RFC 4180 wants it. */
void ctl_print_csv(const char *text, size_t n);
/* 2024-05-01T12:00:00.000Z as a table shows it; false = it is no time. */
bool ctl_time_text(struct ctl *c, const char *s, struct buf *out);
void ctl_print_values(struct ctl *c, json_t *object);
void ctl_print_texts(json_t *texts); /* a line each; NULL = none */
/* Most commands that change print nothing when they succeed. */
void ctl_print_nothing(struct ctl *c, json_t *result);
/* A member that is a text, "-" where it is none or empty; a number, 0. */
const char *ctl_text(json_t *object, const char *name);
long long ctl_number(json_t *object, const char *name);
/* A value as text: "-" for null, lists joined by commas. */
void ctl_value_text(struct ctl *c, json_t *v, struct buf *out);
void ctl_show(struct ctl *c, json_t *result);
/* "12 kB", "1d 02:10", "07:12:44" */
void ctl_octets_text(uint64_t n, char out[32]);
void ctl_span_text(int64_t seconds, char out[32]);

#endif

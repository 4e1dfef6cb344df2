/* SPDX-License-Identifier: ISC */
/*
 * posthornctl - the operator's tool: reads a command line, asks posthornd
 * over the control socket, shows the answer.  The commands are the tables of
 * tools/ctl/ (commands.c lists them); a few work without the daemon.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/conf.h"
#include "tools/ctl/ctl.h"

static void
ctl_usage(FILE *to)
{
	fprintf(to, "usage: posthornctl [options] NOUN VERB [arguments] "
	    "[options]\n       posthornctl help [NOUN [VERB]]\n");
}

/* -- help ------------------------------------------------------------------ */

static void
ctl_help_one(FILE *to, const struct ctl_command *k)
{
	const char *p = k->options == NULL ? "" : k->options;
	size_t	    name, n;

	fprintf(to, "posthornctl %s%s%s", k->verb,
	    k->usage != NULL || k->arguments != NULL ? " " : "",
	    k->usage != NULL ? k->usage
		: k->arguments != NULL ? k->arguments : "");
	for (; *p != '\0'; p += n + strspn(p + n, " ")) {
		n = strcspn(p, " ");
		name = strcspn(p, ":");
		fprintf(to, " [--%.*s%s]", (int)name, p,
		    strncmp(p + name, ":flag", 5) == 0 ? "" : " ...");
	}
	if (k->json != NULL)
		fprintf(to, " [--json-file FILE] [--skeleton]");
	fputc('\n', to);
}

/* For the manual and its check: every setting of posthorn.conf. */
static void
ctl_help_setting(void *arg, const struct conf_setting *s)
{
	(void)arg;
	if (!s->is_later)
		printf("%s  %s  %s  %s%s\n", s->name, s->type,
		    s->default_text, s->help,
		    s->needs_restart ? " (restart)" : "");
}

/* The rows of a noun, or of all; false = there is no such. */
static bool
ctl_help_rows(FILE *to, const char *prefix)
{
	const struct ctl_command *k;
	size_t			  t, n = strlen(prefix);
	bool			  any = false;

	for (t = 0; ctl_tables[t] != NULL; t++)
		for (k = ctl_tables[t]; k->verb != NULL; k++)
			if (strncmp(k->verb, prefix, n) == 0 &&
			    (n == 0 || k->verb[n] == '\0' ||
				k->verb[n] == ' ')) {
				ctl_help_one(to, k);
				any = true;
			}
	return any;
}

enum { NEAR_MAX = 24 };

/* Letters to be changed, left out or added to make one of the other. */
static size_t
ctl_distance(const char *a, const char *b)
{
	size_t row[NEAR_MAX + 1], i, j, left, up, n = strlen(b);

	for (j = 0; j <= n; j++)
		row[j] = j;
	for (i = 1; a[i - 1] != '\0'; i++) {
		left = row[0];
		row[0] = i;
		for (j = 1; j <= n; j++) {
			up = row[j];
			row[j] = left + (a[i - 1] != b[j - 1]);
			if (row[j] > up + 1)
				row[j] = up + 1;
			if (row[j] > row[j - 1] + 1)
				row[j] = row[j - 1] + 1;
			left = up;
		}
	}
	return row[n];
}

/* The command nearest to what was typed, if it is near. */
static const char *
ctl_near(const char *typed)
{
	const struct ctl_command *k;
	const char		 *best = NULL;
	char			  noun[NEAR_MAX + 1];
	size_t			  t, d, least = 3;
	bool			  two = strchr(typed, ' ') != NULL;

	if (strlen(typed) > NEAR_MAX)
		return NULL;
	for (t = 0; ctl_tables[t] != NULL; t++)
		for (k = ctl_tables[t]; k->verb != NULL; k++) {
			snprintf(noun, sizeof(noun), "%.*s",
			    two ? NEAR_MAX : (int)strcspn(k->verb, " "),
			    k->verb);
			d = ctl_distance(typed, noun);
			if (d < least) {
				least = d;
				best = k->verb;
			}
		}
	return best;
}

static int
ctl_unknown(struct ctl *c, const char *noun, const char *verb)
{
	char	    typed[160];
	const char *near;

	snprintf(typed, sizeof(typed), "%s%s%s", noun,
	    verb != NULL && verb[0] != '-' ? " " : "",
	    verb != NULL && verb[0] != '-' ? verb : "");
	near = ctl_near(typed);
	if (near != NULL)
		ctl_say_misuse(c, "unknown command: %s; did you mean %.*s?",
		    typed, strchr(typed, ' ') != NULL ? NEAR_MAX
			: (int)strcspn(near, " "), near);
	else
		ctl_say_misuse(c, "unknown command: %s", typed);
	if (c->form != CTL_JSON && !ctl_help_rows(stderr, noun))
		ctl_usage(stderr);
	return CTL_USAGE;
}

static int
ctl_help(struct ctl *c, int argc, char **argv)
{
	char prefix[80] = "";

	if (argc == 1 && strcmp(argv[0], "settings") == 0) {
		conf_known_settings(ctl_help_setting, NULL);
		return CTL_DONE;
	}
	if (argc > 0)
		snprintf(prefix, sizeof(prefix), "%s%s%s", argv[0],
		    argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	if (ctl_help_rows(stdout, prefix))
		return CTL_DONE;
	return ctl_unknown(c, argv[0], argc > 1 ? argv[1] : NULL);
}

/* -- the verb -------------------------------------------------------------- */

/* How many words of a verb stand at the beginning of argv; 0 = another. */
static int
ctl_match(const char *verb, int argc, char **argv)
{
	size_t n;
	int    i;

	for (i = 0; *verb != '\0'; i++, verb += n + strspn(verb + n, " ")) {
		n = strcspn(verb, " ");
		if (i == argc || strlen(argv[i]) != n ||
		    strncmp(argv[i], verb, n) != 0)
			return 0;
	}
	return i;
}

/* The longest verb that fits: "suppression list", "suppression global list" */
static const struct ctl_command *
ctl_find(int argc, char **argv, int *used)
{
	const struct ctl_command *k, *best = NULL;
	size_t			  t;
	int			  n;

	*used = 0;
	for (t = 0; ctl_tables[t] != NULL; t++)
		for (k = ctl_tables[t]; k->verb != NULL; k++) {
			n = ctl_match(k->verb, argc, argv);
			if (n > *used) {
				*used = n;
				best = k;
			}
		}
	return best;
}

/* -- global options -------------------------------------------------------- */

struct words {
	int    argc, i;
	char **argv;
	bool   misused; /* said */
};

static bool
ctl_take_value(struct ctl *c, struct words *w, const char *name,
    const char *shorter, const char **out)
{
	char **argv = w->argv;
	int   *i = &w->i;
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) == 0 && argv[*i][n] == '=') {
		*out = argv[*i] + n + 1;
		return true;
	}
	if (strcmp(argv[*i], name) != 0 &&
	    (shorter == NULL || strcmp(argv[*i], shorter) != 0))
		return false;
	if (*i + 1 >= w->argc) {
		ctl_say_misuse(c, "%s needs a value", argv[*i]);
		w->misused = true;
	} else {
		*out = argv[++*i];
	}
	return true;
}

static bool
ctl_take_flag(struct ctl *c, const char *a)
{
	if (strcmp(a, "--json") == 0)
		c->form = CTL_JSON;
	else if (strcmp(a, "--http-json") == 0) {
		c->form = CTL_JSON;
		c->http_json = true;
	} else if (strcmp(a, "--csv") == 0)
		c->form = CTL_CSV;
	else if (strcmp(a, "--no-header") == 0)
		c->no_header = true;
	else if (strcmp(a, "--utc") == 0)
		c->local_time = false;
	else if (strcmp(a, "--local") == 0)
		c->local_time = true;
	else if (strcmp(a, "-y") == 0 || strcmp(a, "--yes") == 0)
		c->yes = true;
	else if (strcmp(a, "--dry-run") == 0)
		c->dry_run = true;
	else if (strcmp(a, "-q") == 0)
		c->verbosity--;
	else if (strcmp(a, "-v") == 0)
		c->verbosity++;
	else if (strcmp(a, "-h") == 0 || strcmp(a, "--help") == 0)
		c->help = true;
	else if (strcmp(a, "--version") == 0)
		c->version = true;
	else
		return false;
	return true;
}

/* --timeout and --account are also options of some commands: behind the verb of
 * such a one, of which n words have been kept so far, they are the command's. */
static bool
ctl_is_own(int n, char **argv, const char *word)
{
	int			  used;
	const struct ctl_command *k = ctl_find(n, argv, &used);

	return k != NULL && ctl_has_option(k, word);
}

/* Takes the global options out of argv, wherever they stand; how many words
 * are left, or -1: misuse, said. */
static int
ctl_take_globals(struct ctl *c, int argc, char **argv)
{
	const char  *timeout = NULL;
	struct words w = { argc, 0, argv, false };
	int	     n = 0;

	for (; w.i < argc; w.i++) {
		if (strcmp(argv[w.i], "--") == 0) {
			while (w.i < argc)
				argv[n++] = argv[w.i++];
			break;
		}
		if (!ctl_is_own(n, argv, argv[w.i]) &&
		    (ctl_take_flag(c, argv[w.i]) ||
		    ctl_take_value(c, &w, "--socket", "-s",
			&c->socket_path) ||
		    ctl_take_value(c, &w, "--config", "-c",
			&c->conf_path) ||
		    ctl_take_value(c, &w, "--account", "-a", &c->account) ||
		    ctl_take_value(c, &w, "--timeout", NULL, &timeout)))
			continue;
		argv[n++] = argv[w.i];
	}
	if (w.misused)
		return -1;
	c->has_timeout = timeout != NULL;
	if (timeout != NULL && (!ctl_parse_duration(timeout, &c->timeout_ms) ||
	    c->timeout_ms > INT32_MAX)) {
		ctl_say_misuse(c, "--timeout: %s is no duration",
		    timeout);
		return -1;
	}
	return n;
}

/* -- running --------------------------------------------------------------- */

/* What cannot be made again is confirmed: typed, or by --yes. */
static int
ctl_confirm(struct ctl *c)
{
	json_t	   *v = json_object_get(c->args, c->command->confirm);
	const char *name = json_string_value(v);
	char	    line[400];

	if (c->yes || c->dry_run)
		return CTL_DONE;
	if (json_is_array(v))
		name = json_string_value(json_array_get(v, 0));
	if (name == NULL)
		name = c->account != NULL ? c->account : "yes";
	if (!isatty(0)) {
		ctl_say_misuse(c, "this cannot be undone; give --yes");
		return CTL_USAGE;
	}
	fprintf(stderr, "Type %s to confirm: ", name);
	if (fgets(line, sizeof(line), stdin) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	if (strcmp(line, name) == 0)
		return CTL_DONE;
	ctl_say_misuse(c, "not confirmed");
	return CTL_REFUSED;
}

/* Else it would be taken for text, or the other way round. */
static int
ctl_check_csv(struct ctl *c)
{
	const struct ctl_command *k = c->command;
	bool is_plain = k->show == NULL && k->local == NULL;

	if (c->form != CTL_CSV || k->show == ctl_print_nothing ||
	    (is_plain && k->columns != NULL) ||
	    (k->csv != NULL && (*k->csv == '\0' ||
		json_object_get(c->args, k->csv) != NULL)))
		return CTL_DONE;
	ctl_say_misuse(c, "--csv: %s prints no table%s%s", k->verb,
	    k->csv != NULL ? " without --" : "",
	    k->csv != NULL ? k->csv : "");
	return CTL_USAGE;
}

static int
ctl_run(struct ctl *c)
{
	json_t *result = NULL;
	int	status = ctl_check_csv(c);

	if (status != CTL_DONE)
		return status;
	if (c->command->prepare != NULL &&
	    (status = c->command->prepare(c)) != 0)
		return status;
	if (c->command->confirm != NULL && (status = ctl_confirm(c)) != 0)
		return status;
	if (c->command->local != NULL)
		return c->command->local(c);
	status = ctl_call(c, c->command->verb, NULL, &result);
	if (result != NULL)
		ctl_show(c, result);
	json_decref(result);
	return status;
}

int
main(int argc, char **argv)
{
	struct ctl  c = { .program = argv[0], .timeout_ms = 30000,
		 .conf_path = "/etc/posthorn/posthorn.conf" };
	const char *env = getenv("POSTHORN_SOCKET");
	int	    used = 0, status;

	c.socket_path = env != NULL ? env : "/run/posthorn/control.sock";
	c.account = getenv("POSTHORN_ACCOUNT");
	argc = ctl_take_globals(&c, argc - 1, argv + 1);
	if (argc < 0)
		return CTL_USAGE;
	argv++;
	if (argc > 0 && strcmp(argv[0], "help") == 0) {
		c.help = true;
		argc--;
		argv++;
	}
	if (c.version)
		return ctl_version(&c);
	if (c.help) {
		if (argc == 0)
			ctl_usage(stdout);
		return ctl_help(&c, argc > 2 ? 2 : argc, argv);
	}
	if (argc == 0) {
		ctl_usage(stderr);
		return CTL_USAGE;
	}
	c.command = ctl_find(argc, argv, &used);
	if (c.command == NULL)
		return ctl_unknown(&c, argv[0], argc > 1 ? argv[1] : NULL);
	c.args = json_object();
	if (!ctl_read_arguments(&c, argc, argv, &used)) {
		if (c.form != CTL_JSON)
			ctl_help_one(stderr, c.command);
		json_decref(c.args);
		return CTL_USAGE;
	}
	if (c.skeleton) {
		ctl_print_skeleton(&c);
		status = CTL_DONE;
	} else
		status = ctl_run(&c);
	json_decref(c.args);
	if (fflush(stdout) != 0)
		return CTL_REFUSED;
	return status;
}

/* SPDX-License-Identifier: ISC */
/*
 * posthornctl - the operator's tool: reads a command line, asks posthornd
 * over the control socket, shows the answer.  The commands are the tables of
 * tools/ctl/; a few work without the daemon.
 */
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "registry/conf.h"
#include "tools/ctl/ctl.h"

static const struct ctl_command *const ctl_tables[] = { ctl_offline_commands,
	ctl_system_commands, ctl_account_commands, ctl_identity_commands,
	ctl_queue_commands, ctl_send_commands };
enum { TABLES = sizeof(ctl_tables) / sizeof(ctl_tables[0]) };

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

static int
ctl_help(int argc, char **argv)
{
	const struct ctl_command *k;
	char			  prefix[80] = "";
	size_t			  t, n;
	bool			  any = false;

	if (argc == 1 && strcmp(argv[0], "settings") == 0) {
		conf_known_settings(ctl_help_setting, NULL);
		return CTL_DONE;
	}
	if (argc > 0)
		snprintf(prefix, sizeof(prefix), "%s%s%s", argv[0],
		    argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
	n = strlen(prefix);
	for (t = 0; t < TABLES; t++)
		for (k = ctl_tables[t]; k->verb != NULL; k++)
			if (strncmp(k->verb, prefix, n) == 0 &&
			    (n == 0 || k->verb[n] == '\0' ||
				k->verb[n] == ' ')) {
				ctl_help_one(stdout, k);
				any = true;
			}
	if (!any) {
		fprintf(stderr, "error: unknown command: %s\n", prefix);
		ctl_usage(stderr);
	}
	return any ? CTL_DONE : CTL_USAGE;
}

/* -- global options -------------------------------------------------------- */

static bool
ctl_take_value(int argc, char **argv, int *i, const char *name,
    const char *shorter, const char **out)
{
	size_t n = strlen(name);

	if (strncmp(argv[*i], name, n) == 0 && argv[*i][n] == '=') {
		*out = argv[*i] + n + 1;
		return true;
	}
	if (strcmp(argv[*i], name) != 0 &&
	    (shorter == NULL || strcmp(argv[*i], shorter) != 0))
		return false;
	if (*i + 1 >= argc) {
		fprintf(stderr, "error: %s needs a value\n", argv[*i]);
		exit(CTL_USAGE);
	}
	*out = argv[++*i];
	return true;
}

static bool
ctl_take_flag(struct ctl *c, const char *a)
{
	if (strcmp(a, "--json") == 0)
		c->form = CTL_JSON;
	else if (strcmp(a, "--csv") == 0)
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

/* Takes the global options out of argv, wherever they stand. */
static int
ctl_take_globals(struct ctl *c, int argc, char **argv)
{
	const char *timeout = NULL;
	int	    i, n = 0;

	for (i = 0; i < argc; i++) {
		if (strcmp(argv[i], "--") == 0) {
			while (i < argc)
				argv[n++] = argv[i++];
			break;
		}
		if (ctl_take_flag(c, argv[i]) ||
		    ctl_take_value(argc, argv, &i, "--socket", "-s",
			&c->socket_path) ||
		    ctl_take_value(argc, argv, &i, "--config", "-c",
			&c->conf_path) ||
		    ctl_take_value(argc, argv, &i, "--account", "-a",
			&c->account) ||
		    ctl_take_value(argc, argv, &i, "--timeout", NULL,
			&timeout))
			continue;
		argv[n++] = argv[i];
	}
	c->has_timeout = timeout != NULL;
	if (timeout != NULL && (!ctl_parse_duration(timeout, &c->timeout_ms) ||
	    c->timeout_ms > INT32_MAX)) {
		fprintf(stderr, "error: --timeout: %s is no duration\n",
		    timeout);
		exit(CTL_USAGE);
	}
	return n;
}

/* -- running --------------------------------------------------------------- */

static const struct ctl_command *
ctl_find(int argc, char **argv, int *used)
{
	const struct ctl_command *k;
	char			  two[160];
	size_t			  t;

	snprintf(two, sizeof(two), "%s %s", argv[0], argc > 1 ? argv[1] : "");
	for (t = 0; t < TABLES; t++)
		for (k = ctl_tables[t]; k->verb != NULL; k++) {
			if (strcmp(k->verb, two) == 0) {
				*used = 2;
				return k;
			}
			if (strcmp(k->verb, argv[0]) == 0) {
				*used = 1;
				return k;
			}
		}
	return NULL;
}

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
		fprintf(stderr, "error: this cannot be undone; give --yes\n");
		return CTL_USAGE;
	}
	fprintf(stderr, "Type %s to confirm: ", name);
	if (fgets(line, sizeof(line), stdin) == NULL)
		line[0] = '\0';
	line[strcspn(line, "\r\n")] = '\0';
	if (strcmp(line, name) == 0)
		return CTL_DONE;
	fprintf(stderr, "error: not confirmed\n");
	return CTL_REFUSED;
}

static int
ctl_run(struct ctl *c)
{
	json_t *result = NULL;
	int	status;

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
		return ctl_help(argc > 2 ? 2 : argc, argv);
	}
	if (argc == 0) {
		ctl_usage(stderr);
		return CTL_USAGE;
	}
	c.command = ctl_find(argc, argv, &used);
	if (c.command == NULL) {
		fprintf(stderr, "error: unknown command: %s%s%s\n", argv[0],
		    argc > 1 ? " " : "", argc > 1 ? argv[1] : "");
		ctl_usage(stderr);
		return CTL_USAGE;
	}
	c.args = json_object();
	if (!ctl_read_arguments(&c, argc, argv, &used)) {
		ctl_help_one(stderr, c.command);
		json_decref(c.args);
		return CTL_USAGE;
	}
	status = ctl_run(&c);
	json_decref(c.args);
	if (fflush(stdout) != 0)
		return CTL_REFUSED;
	return status;
}

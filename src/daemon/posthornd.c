/* SPDX-License-Identifier: ISC */
/*
 * posthornd - the daemon: options, then the master or one of its children.
 */
#include <getopt.h>
#include <limits.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "base/log.h"
#include "base/process.h"
#include "config.h"
#include "daemon/child.h"
#include "daemon/master.h"
#include "registry/conf.h"

enum { OPT_CHILD = 256, OPT_VOLATILE, OPT_REGION, OPT_VERSION };

static const struct option posthornd_options[] = {
	{ "config", required_argument, NULL, 'c' },
	{ "check", no_argument, NULL, 'n' },
	{ "help", no_argument, NULL, 'h' },
	{ "version", no_argument, NULL, OPT_VERSION },
	{ "allow-volatile", no_argument, NULL, OPT_VOLATILE },
	{ "accept-region-change", no_argument, NULL, OPT_REGION },
	{ "child", required_argument, NULL, OPT_CHILD },
	{ NULL, 0, NULL, 0 }
};

static void
posthornd_usage(FILE *to)
{
	fprintf(to, "usage: posthornd [-n] [-c FILE] [--allow-volatile] "
	    "[--accept-region-change]\n"
	    "       posthornd --version\n");
}

/* -n: the errors of the file, then the status. */
static int
posthornd_check(const char *path)
{
	struct conf_errors errors;
	struct conf	  *c;
	size_t		   i;

	conf_errors_init(&errors);
	c = conf_load(path, NULL, &errors);
	for (i = 0; i < errors.n; i++)
		fprintf(stderr, "%s%s\n",
		    errors.v[i].is_warning ? "warning: " : "",
		    errors.v[i].text);
	if (c != NULL)
		printf("%s: ok\n", path);
	conf_errors_wipe(&errors);
	conf_unref(c);
	return c == NULL ? 1 : 0;
}

/* The file this process was started from, for its children. */
static const char *
posthornd_program(char *out, size_t size)
{
	ssize_t n = readlink("/proc/self/exe", out, size - 1);

	if (n <= 0)
		return NULL;
	out[n] = '\0';
	return out;
}

int
main(int argc, char **argv)
{
	struct master_options o = {
		.conf_path = "/etc/posthorn/posthorn.conf" };
	char		      program[PATH_MAX];
	bool		      check = false;
	int		      opt;

	process_title_init(argc, argv);
	while ((opt = getopt_long(argc, argv, "c:nh", posthornd_options,
		    NULL)) != -1)
		switch (opt) {
		case 'c':
			o.conf_path = optarg;
			break;
		case 'n':
			check = true;
			break;
		case 'h':
			posthornd_usage(stdout);
			return 0;
		case OPT_VERSION:
			printf("posthorn %s\n", PACKAGE_VERSION);
			return 0;
		case OPT_VOLATILE:
			o.allow_volatile = true;
			break;
		case OPT_REGION:
			o.accept_region_change = true;
			break;
		case OPT_CHILD:
			return child_run(optarg);
		default:
			posthornd_usage(stderr);
			return 2;
		}
	if (optind != argc) {
		fprintf(stderr, "posthornd: unexpected argument %s\n",
		    argv[optind]);
		posthornd_usage(stderr);
		return 2;
	}
	if (check)
		return posthornd_check(o.conf_path);
	o.program = posthornd_program(program, sizeof(program));
	if (o.program == NULL) {
		fprintf(stderr, "posthornd: /proc is not mounted\n");
		return 1;
	}
	return master_run(&o);
}

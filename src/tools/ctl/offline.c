/* SPDX-License-Identifier: ISC */
/* What works without the daemon: configuration, derive, help for both. */
#include <errno.h>
#include <string.h>
#include <unistd.h>

#include "registry/conf.h"
#include "registry/credential.h"
#include "tools/ctl/ctl.h"
#include "tools/ctl/offline.h"

enum { SHOW_MAX = 4 * 1024 * 1024 };

/* -- configuration --------------------------------------------------------- */

/* Only the daemon's start opens them; whoever checks wants to know before. */
static void
config_on_file(void *arg, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	(void)arg;
	(void)kind;
	if (access(path, F_OK) != 0 && errno != EACCES)
		fprintf(stderr, "warning: %s: %s: %s\n", setting, path,
		    strerror(errno));
}

static void
config_check_json(const char *path, bool valid,
    const struct conf_errors *errors)
{
	json_t *e = json_array(), *w = json_array(), *o;
	size_t	i;

	for (i = 0; i < errors->n; i++)
		json_array_append_new(errors->v[i].is_warning ? w : e,
		    json_string_nocheck(errors->v[i].text));
	o = json_pack("{s:s, s:b, s:o, s:o}", "File", path, "Valid", valid,
	    "Errors", e, "Warnings", w);
	ctl_print_json(o);
	json_decref(o);
}

static int
config_check(struct ctl *c)
{
	const char	  *path = ctl_arg(c, "file");
	struct conf_errors errors;
	struct conf	  *conf;
	size_t		   i;

	if (path == NULL)
		path = c->conf_path;
	conf_errors_init(&errors);
	conf = conf_load(path, NULL, &errors);
	if (c->form == CTL_JSON)
		config_check_json(path, conf != NULL, &errors);
	for (i = 0; c->form != CTL_JSON && i < errors.n; i++)
		if (errors.v[i].is_warning)
			fprintf(stderr, "warning: %s\n", errors.v[i].text);
		else
			puts(errors.v[i].text);
	if (conf != NULL) {
		conf_each_file(conf, config_on_file, NULL);
		if (c->form != CTL_JSON)
			printf("%s: ok\n", path);
	}
	conf_errors_wipe(&errors);
	conf_unref(conf);
	return conf != NULL ? CTL_DONE : CTL_REFUSED;
}

struct conf *
offline_conf(struct ctl *c, bool quiet)
{
	struct conf_errors errors;
	struct conf	  *conf;
	size_t		   i;

	conf_errors_init(&errors);
	conf = conf_load(c->conf_path, NULL, &errors);
	for (i = 0; conf == NULL && !quiet && i < errors.n; i++)
		if (!errors.v[i].is_warning)
			ctl_say_error(c, "BadRequestException", "%s",
			    errors.v[i].text);
	conf_errors_wipe(&errors);
	return conf;
}

/* "delivery.port 25  # c.conf:3" */
static json_t *
config_show_row(struct bytes line)
{
	static const char behind[] = "  # ";
	ptrdiff_t	  name = bytes_find(line, 0, ' ');
	size_t		  end = line.n;

	while (end > 0 && (line.n - end < 4 ||
		strncmp(line.p + end, behind, 4) != 0))
		end--;
	must(name > 0 && end >= (size_t)name);
	return json_pack("{s:o, s:o, s:o}", "Name",
	    json_stringn_nocheck(line.p, (size_t)name), "Value",
	    json_stringn_nocheck(line.p + name + 1,
		end > (size_t)name ? end - (size_t)name - 1 : 0), "Source",
	    json_stringn_nocheck(line.p + end + 4, line.n - end - 4));
}

static void
config_show_json(const struct buf *text)
{
	struct bytes rest = buf_bytes(text);
	json_t	    *rows = json_array(), *o;
	ptrdiff_t    eol;

	while ((eol = bytes_find(rest, 0, '\n')) >= 0) {
		json_array_append_new(rows,
		    config_show_row(bytes_head(rest, (size_t)eol)));
		rest = bytes_from(rest, (size_t)eol + 1);
	}
	o = json_pack("{s:o}", "Settings", rows);
	ctl_print_json(o);
	json_decref(o);
}

static int
config_show(struct ctl *c)
{
	enum conf_show_mode mode = CONF_SHOW_ALL;
	struct conf	   *conf = offline_conf(c, false);
	struct buf	    out;
	int		    status = CTL_DONE;

	if (conf == NULL)
		return CTL_REFUSED;
	if (ctl_arg_true(c, "defaults"))
		mode = CONF_SHOW_DEFAULTS;
	else if (ctl_arg_true(c, "changed"))
		mode = CONF_SHOW_CHANGED;
	buf_init(&out, SHOW_MAX);
	if (conf_show(conf, ctl_arg(c, "section"), mode, &out)) {
		if (c->form == CTL_JSON)
			config_show_json(&out);
		else
			fwrite(out.p, 1, out.n, stdout);
	} else {
		ctl_say_error(c, "NotFoundException",
		    "no such section or setting: %s",
		    ctl_arg(c, "section"));
		status = CTL_REFUSED;
	}
	buf_wipe(&out);
	conf_unref(conf);
	return status;
}

/* -- credential derive ----------------------------------------------------- */

/* 0, or a status; warns when the region is not the configured one. */
static int
derive_check_region(struct ctl *c, const char *region)
{
	struct conf *conf = offline_conf(c, true);
	bool	     strict = ctl_arg_true(c, "strict");
	int	     status = 0;

	if (conf == NULL)
		return 0; /* nothing to compare with */
	if (strcmp(conf->server.region, region) != 0 && strict) {
		ctl_say_error(c, "BadRequestException",
		    "The %s Region doesn't have an SMTP endpoint.", region);
		status = CTL_REFUSED;
	} else if (strcmp(conf->server.region, region) != 0)
		fprintf(stderr, "warning: The %s Region doesn't have an SMTP "
		    "endpoint.\n", region);
	conf_unref(conf);
	return status;
}

static int
credential_derive_run(struct ctl *c)
{
	const char *secret = ctl_arg(c, "secret");
	const char *region = ctl_arg(c, "region");
	char	    line[512], password[CREDENTIAL_PASSWORD_SIZE];
	int	    status;
	json_t	   *o;

	if (!credential_region_is_valid(bytes_of(region))) {
		ctl_say_error(c, "BadRequestException",
		    "not a region name: %s", region);
		return CTL_REFUSED;
	}
	if (strcmp(secret, "-") == 0) {
		if (fgets(line, sizeof(line), stdin) == NULL)
			return CTL_REFUSED;
		line[strcspn(line, "\r\n")] = '\0';
		secret = line;
	} else if (isatty(2)) {
		fprintf(stderr, "warning: the secret stands in the list of "
		    "processes and in your history; give - instead\n");
	}
	status = derive_check_region(c, region);
	if (status != 0)
		return status;
	credential_derive(bytes_of(secret), bytes_of(region), password);
	if (c->form == CTL_JSON) {
		o = json_pack("{s:s, s:s}", "SmtpPassword", password,
		    "Region", region);
		ctl_print_json(o);
		json_decref(o);
	} else {
		puts(password);
	}
	mem_wipe(password, sizeof(password));
	mem_wipe(line, sizeof(line));
	return CTL_DONE;
}

const struct ctl_command ctl_offline_commands[] = {
	{ .verb = "init",
	    .options = "hostname:text domain:text region:text "
		       "postmaster:text account-name:text",
	    .local = offline_init },
	{ .verb = "config check", .arguments = "file?", .usage = "[FILE]",
	    .local = config_check },
	{ .verb = "config show", .arguments = "section?",
	    .usage = "[SECTION]", .options = "defaults:flag changed:flag",
	    .local = config_show },
	{ .verb = "credential derive", .arguments = "secret region",
	    .usage = "SECRET REGION", .options = "strict:flag",
	    .local = credential_derive_run },
	{ .verb = "store check", .local = offline_store_check },
	{ .verb = "store compact", .local = offline_store_compact },
	{ .verb = "store restore", .arguments = "dir", .usage = "DIR",
	    .local = offline_store_restore, .confirm = "dir" },
	{ .verb = NULL }
};

/* SPDX-License-Identifier: ISC */
/* Identities and their DKIM keys. */
#include <fcntl.h>
#include <string.h>
#include <time.h>
#include <unistd.h>

#include "tools/ctl/check.h"
#include "tools/ctl/ctl.h"

enum { STRING_MAX_ = 255, WAIT_STEP_MS = 500 };

/* -- DNS records (dkim.md 7.4) --------------------------------------------- */

/* Strings of at most 255 octets inside one TXT record. */
static void
records_print_value(json_t *r)
{
	const char *v = ctl_text(r, "Value");
	size_t	    n = strlen(v), k;

	if (strcmp(ctl_text(r, "Type"), "TXT") != 0) {
		printf("%s.", v);
		return;
	}
	do {
		k = n > STRING_MAX_ ? STRING_MAX_ : n;
		printf("\"%.*s\"%s", (int)k, v, n > k ? " " : "");
		v += k;
		n -= k;
	} while (n > 0);
}

static void
records_print_zone(json_t *rows, bool nsupdate)
{
	json_t *r;
	size_t	i;

	json_array_foreach(rows, i, r) {
		printf("%s%s. 1800 %s%s ", nsupdate ? "update add " : "",
		    ctl_text(r, "Name"), nsupdate ? "" : "IN ",
		    ctl_text(r, "Type"));
		records_print_value(r);
		puts(!nsupdate && json_is_true(json_object_get(r,
		    "Optional")) ? " ; optional" : "");
	}
	if (nsupdate)
		puts("send");
}

static void
records_print_csv(json_t *rows)
{
	json_t *r;
	size_t	i;

	puts("Type,Name,Value");
	json_array_foreach(rows, i, r)
		printf("%s,%s,\"%s\"\n", ctl_text(r, "Type"),
		    ctl_text(r, "Name"), ctl_text(r, "Value"));
}

static void
records_print(struct ctl *c, json_t *result)
{
	json_t	   *rows = json_object_get(result, "Records");
	const char *format = ctl_arg(c, "format");

	if (rows == NULL)
		return;
	if (c->form == CTL_CSV ||
	    (format != NULL && strcmp(format, "csv") == 0))
		records_print_csv(rows);
	else if (format != NULL && strcmp(format, "json") == 0)
		ctl_print_json(result);
	else if (format != NULL && (strcmp(format, "zone") == 0 ||
		     strcmp(format, "nsupdate") == 0))
		records_print_zone(rows, strcmp(format, "nsupdate") == 0);
	else
		ctl_print_table(c, rows, "type=Type name=Name value=Value "
		    "status=Status");
}

static void
zone_print(struct ctl *c, json_t *result)
{
	records_print_zone(json_object_get(result, "Records") != NULL
		? json_object_get(result, "Records")
		: json_object_get(result, "Zone"),
	    ctl_arg_true(c, "nsupdate"));
}

static void
identity_print_added(struct ctl *c, json_t *result)
{
	const char *to = json_string_value(json_object_get(result,
	    "VerificationMailSentTo"));

	if (to != NULL)
		printf("verification mail sent to %s\n", to);
	else
		records_print(c, result);
}

static void
identity_print_token(struct ctl *c, json_t *result)
{
	const char *token = json_string_value(json_object_get(result,
	    "VerificationToken"));

	(void)c;
	if (token != NULL)
		puts(token);
}

static void
identity_print_shown(struct ctl *c, json_t *result)
{
	const char *by = json_string_value(json_object_get(result,
	    "CoveredBy"));

	if (by != NULL)
		printf("not verified itself; may send as part of %s\n", by);
	else
		ctl_print_values(c, result);
}

static void
identity_print_lines(struct ctl *c, json_t *result)
{
	(void)c;
	ctl_print_texts(json_object_get(result, "Lines"));
}

/* -- identity wait: asks until it is decided ------------------------------- */

static int
identity_wait_once(struct ctl *c)
{
	json_t	   *result = NULL;
	const char *status;
	int	    r = ctl_call(c, "identity show", NULL, &result);

	if (r != CTL_DONE) {
		json_decref(result);
		return r;
	}
	status = ctl_text(result, "VerificationStatus");
	r = strcmp(status, "SUCCESS") == 0  ? CTL_DONE
	    : strcmp(status, "FAILED") == 0 ? CTL_REFUSED
					    : -1;
	if (r == CTL_REFUSED)
		ctl_say_error(c, "ConflictException", "verification failed");
	json_decref(result);
	return r;
}

static int
identity_wait(struct ctl *c)
{
	struct timespec pause = { 0, WAIT_STEP_MS * 1000000 };
	int64_t		limit = c->has_timeout ? c->timeout_ms : 3600000;
	struct mono	begun = clock_mono();
	int		r;

	c->timeout_ms = 30000;
	while ((r = identity_wait_once(c)) == -1) {
		if (clock_mono().ms - begun.ms >= limit) {
			ctl_say_error(c, "ServiceUnavailableException",
			    "Verification timeout exceeded");
			return CTL_UNREACHABLE;
		}
		clock_nanosleep(CLOCK_MONOTONIC, 0, &pause, NULL);
	}
	return r;
}

/* The private key comes through a pipe that the keys process writes to. */
static int
dkim_export(struct ctl *c)
{
	json_t *result = NULL;
	char	pem[16384];
	ssize_t n = 0;
	int	pipes[2], status;

	if (!ctl_arg_true(c, "private")) {
		ctl_say_misuse(c, "dkim export needs --private");
		return CTL_USAGE;
	}
	if (pipe2(pipes, O_CLOEXEC) != 0)
		return CTL_REFUSED;
	json_object_set_new(c->args, "key-file",
	    json_integer(ctl_add_fd(c, pipes[1])));
	status = ctl_call(c, c->command->verb, NULL, &result);
	close(pipes[1]);
	if (status == CTL_DONE && !c->dry_run)
		n = read(pipes[0], pem, sizeof(pem) - 1);
	close(pipes[0]);
	pem[n > 0 ? n : 0] = '\0';
	if (c->form != CTL_JSON)
		fputs(pem, stdout);
	else if (result != NULL) {
		if (n > 0)
			json_object_set_new(result, "PrivateKey",
			    json_string(pem));
		ctl_print_json(result);
	}
	mem_wipe(pem, sizeof(pem));
	json_decref(result);
	return status;
}

/* Only what has keys cannot be made again. */
static int
identity_prepare_delete(struct ctl *c)
{
	json_t *v;
	size_t	i;
	bool	keys = false;

	json_array_foreach(json_object_get(c->args, "name"), i, v)
		keys |= strchr(json_string_value(v), '@') == NULL;
	c->yes |= !keys;
	return 0;
}

static void
dkim_print_shown(struct ctl *c, json_t *result)
{
	json_t *meanwhile = json_incref(json_object_get(result,
	    "SigningMeanwhile"));

	json_object_del(result, "SigningMeanwhile");
	ctl_print_values(c, result);
	if (meanwhile != NULL)
		printf("signing meanwhile with selector %s (%s)\n",
		    ctl_text(meanwhile, "Selector"),
		    ctl_text(meanwhile, "Status"));
	json_decref(meanwhile);
}

const struct ctl_command ctl_identity_commands[] = {
	{ .verb = "identity add", .csv = "",
	    .arguments = "name", .usage = "NAME",
	    .options = "dkim:text bits:int selector:text key-file:file "
		       "verified:flag config-set:text tag:many",
	    .json = "EmailIdentity=name ConfigurationSetName=config-set "
		"DkimSigningAttributes.DomainSigningSelector=selector "
		"DkimSigningAttributes.DomainSigningPrivateKey=key-file "
		"DkimSigningAttributes.NextSigningKeyLength=bits",
	    .show = identity_print_added },
	{ .verb = "identity list",
	    .options = "type:text status:text limit:int next-token:text",
	    .list = "EmailIdentities",
	    .columns = "identity=IdentityName type=IdentityType "
		       "status=VerificationStatus dkim=DkimStatus "
		       "mail-from=MailFromDomain "
		       "config-set=ConfigurationSetName" },
	{ .verb = "identity show", .arguments = "name", .usage = "NAME",
	    .show = identity_print_shown },
	{ .verb = "identity dns-records", .csv = "",
	    .arguments = "name", .usage = "NAME",
	    .options = "format:text", .show = records_print },
	{ .verb = "identity verify", .arguments = "name", .usage = "NAME",
	    .options = "token:flag", .show = identity_print_token },
	{ .verb = "identity check", .arguments = "name", .usage = "NAME",
	    .options = "from:text pool:text no-probe:flag",
	    .local = check_run },
	{ .verb = "identity wait", .arguments = "name",
	    .usage = "NAME [--timeout 60m]", .local = identity_wait },
	{ .verb = "identity resend", .arguments = "name",
	    .usage = "ADDRESS", .show = identity_print_added },
	{ .verb = "identity confirm", .arguments = "token", .usage = "TOKEN",
	    .show = ctl_print_nothing },
	{ .verb = "identity notify", .arguments = "name", .usage = "NAME",
	    .options = "bounce-topic:text complaint-topic:text "
		       "delivery-topic:text headers:words forwarding:text",
	    .show = ctl_print_values },
	{ .verb = "identity set-config-set", .arguments = "name set?",
	    .usage = "NAME [SET]", .show = ctl_print_nothing,
	    .json = "EmailIdentity=name ConfigurationSetName=set" },
	{ .verb = "identity level set", .arguments = "name level",
	    .usage = "DOMAIN N", .show = ctl_print_nothing },
	{ .verb = "identity mail-from set", .csv = "",
	    .arguments = "name domain",
	    .usage = "NAME DOMAIN",
	    .options = "on-mx-failure:text force:flag",
	    .json = "EmailIdentity=name MailFromDomain=domain "
		"BehaviorOnMxFailure=on-mx-failure", .show = records_print },
	{ .verb = "identity mail-from clear", .arguments = "name",
	    .usage = "NAME", .show = ctl_print_nothing },
	{ .verb = "identity mail-from none", .arguments = "name",
	    .usage = "NAME", .show = ctl_print_nothing },
	{ .verb = "identity mail-from verify", .arguments = "name",
	    .usage = "NAME", .show = ctl_print_nothing },
	{ .verb = "identity mail-from show", .arguments = "name",
	    .usage = "NAME", .show = ctl_print_values },
	{ .verb = "identity delete", .arguments = "name...",
	    .usage = "NAME...", .options = "force:flag",
	    .prepare = identity_prepare_delete, .confirm = "name",
	    .show = ctl_print_nothing },
	{ .verb = "dkim show", .arguments = "name", .usage = "NAME",
	    .show = dkim_print_shown },
	{ .verb = "dkim explain", .arguments = "name", .usage = "ADDRESS",
	    .show = identity_print_lines },
	{ .verb = "dkim enable", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = "dkim disable", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = "dkim verify", .arguments = "name", .usage = "NAME",
	    .show = ctl_print_nothing },
	{ .verb = "dkim managed", .csv = "",
	    .arguments = "name", .usage = "NAME",
	    .options = "bits:int", .show = records_print },
	{ .verb = "dkim set-key", .csv = "",
	    .arguments = "name", .usage = "NAME",
	    .options = "selector:text key-file:file",
	    .json = "EmailIdentity=name "
		"SigningAttributes.DomainSigningSelector=selector "
		"SigningAttributes.DomainSigningPrivateKey=key-file",
	    .show = records_print },
	{ .verb = "dkim dual", .csv = "", .arguments = "name switch",
	    .usage = "NAME on|off|default", .show = records_print },
	{ .verb = "dkim new-key", .csv = "",
	    .arguments = "name", .usage = "NAME",
	    .show = records_print },
	{ .verb = "dkim rotate", .csv = "",
	    .arguments = "name", .usage = "NAME",
	    .options = "force:flag", .show = records_print },
	{ .verb = "dkim zone",
	    .options = "nsupdate:flag changed-since:time",
	    .show = zone_print },
	{ .verb = "dkim export", .arguments = "name", .usage = "NAME",
	    .options = "private:flag selector:text", .local = dkim_export },
	{ .verb = NULL }
};

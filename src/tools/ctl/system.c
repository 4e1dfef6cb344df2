/* SPDX-License-Identifier: ISC */
/* The installation: status, reload, stop, figures, audit, blocks. */
#include <string.h>
#include <unistd.h>

#include "base/thread.h"
#include "config.h"
#include "net/resolver.h"
#include "net/tls.h"
#include "store/db.h"
#include "tools/ctl/backup.h"
#include "tools/ctl/ctl.h"
#include "tools/ctl/doctor.h"

/* -- status ---------------------------------------------------------------- */

static void
status_print_stores(struct ctl *c, json_t *stores)
{
	static const char *const sizes[] = { "UsedBytes", "MapBytes",
		"FreePageBytes", "DiskFreeBytes" };
	char	text[32];
	json_t *v;
	size_t	i, k;

	json_array_foreach(stores, i, v)
		for (k = 0; k < 4; k++) {
			ctl_octets_text((uint64_t)ctl_number(v, sizes[k]),
			    text);
			json_object_set_new(v, sizes[k], json_string(text));
		}
	ctl_print_table(c, stores, "store=Store used=UsedBytes map=MapBytes "
	    "free-pages=FreePageBytes disk-free=DiskFreeBytes");
}

/* What waits for event destinations, and events that bounce mail has still to
 * be made from: both are gone in moments, unless something is in the way. */
static void
status_print_outbox(json_t *r)
{
	json_t	 *outbox = json_object_get(r, "Outbox");
	long long events = ctl_number(r, "OutboxEvents");
	char	  span[32];

	printf("outbox    ");
	if (ctl_number(outbox, "Records") == 0) {
		printf("no record waits");
	} else {
		ctl_span_text(ctl_number(outbox, "OldestSeconds"), span);
		printf("%lld records (%lld destinations, %lld failing), the "
		    "oldest waits for %s", ctl_number(outbox, "Records"),
		    ctl_number(outbox, "Destinations"),
		    ctl_number(outbox, "Failing"), span);
	}
	if (events > 0)
		printf("; %lld events not mailed yet", events);
	printf("\n\n");
}

static void
status_print(struct ctl *c, json_t *r)
{
	json_t *queue = json_object_get(r, "Queue");
	char	span[32], octets[32];

	ctl_span_text(ctl_number(r, "UptimeSeconds"), span);
	ctl_octets_text((uint64_t)ctl_number(queue, "Bytes"), octets);
	printf("posthorn %s on %s, region %s, up %s\n"
	    "accounts  %lld\n"
	    "queue     %lld messages, %lld recipients (%lld active, %lld "
	    "deferred, %lld held), %s\n",
	    ctl_text(r, "Version"), ctl_text(r, "ServerName"),
	    ctl_text(r, "Region"), span, ctl_number(r, "Accounts"),
	    ctl_number(queue, "Messages"),
	    ctl_number(queue, "Recipients"),
	    ctl_number(queue, "Active"), ctl_number(queue, "Deferred"),
	    ctl_number(queue, "Held"), octets);
	status_print_outbox(r);
	ctl_print_table(c, json_object_get(r, "Listeners"),
	    "listener=Listener addresses=Addresses connections=Connections "
	    "accepted=Accepted");
	putchar('\n');
	status_print_stores(c, json_object_get(r, "Stores"));
}

static void
stat_print(struct ctl *c, json_t *r)
{
	json_t *stores = json_incref(json_object_get(r, "Stores"));

	json_object_del(r, "Stores");
	if (c->form != CTL_CSV) {
		ctl_print_values(c, r);
		putchar('\n');
	}
	status_print_stores(c, stores);
	json_decref(stores);
}

/* -- texts ----------------------------------------------------------------- */

static void
reload_print(struct ctl *c, json_t *r)
{
	(void)c;
	ctl_print_texts(json_object_get(r, "Notes"));
}

static void
metrics_print(struct ctl *c, json_t *r)
{
	const char *page = json_string_value(json_object_get(r, "Text"));

	(void)c;
	fputs(page != NULL ? page : "", stdout);
}

static void
spf_print(struct ctl *c, json_t *r)
{
	json_t *v;
	size_t	i;

	(void)c;
	json_array_foreach(json_object_get(r, "Records"), i, v)
		printf("%s. 1800 IN TXT \"%s\"\n", ctl_text(v, "Name"),
		    ctl_text(v, "Value"));
}

/* statistics.md 4.4 */
static void
settings_print(struct ctl *c, json_t *r)
{
	static const char *const names[][2] = {
		{ "STARTTLS ports", "StarttlsPorts" },
		{ "TLS wrapper ports", "TlsWrapperPorts" } };
	json_t *v;
	size_t	i, k;

	(void)c;
	printf("SMTP endpoint      %s\n", ctl_text(r, "SmtpEndpoint"));
	for (k = 0; k < 2; k++) {
		printf("%-19s", names[k][0]);
		json_array_foreach(json_object_get(r, names[k][1]), i, v)
			printf("%s%lld", i > 0 ? ", " : "",
			    (long long)json_integer_value(v));
		puts(json_array_size(json_object_get(r, names[k][1])) == 0
			? "-" : "");
	}
	printf("TLS                required, %s or newer\n"
	    "region             %s\n"
	    "credentials        posthornctl credential create USER\n",
	    ctl_text(r, "MinTlsVersion"), ctl_text(r, "Region"));
}

int
ctl_version(struct ctl *c)
{
	const struct {
		const char *name, *version;
	} libraries[] = { { "libevent", loop_library() },
		{ "OpenSSL", tls_library() }, { "c-ares", resolver_library() },
		{ "LMDB", db_library() },
		{ "jansson", jansson_version_str() } };
	json_t *o;
	size_t	i;

	if (c->form == CTL_JSON) {
		o = json_pack("{s:s}", "Version", PACKAGE_VERSION);
		for (i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
			json_object_set_new(o, libraries[i].name,
			    json_string(libraries[i].version));
		ctl_print_json(o);
		json_decref(o);
		return CTL_DONE;
	}
	printf("posthorn %s\n", PACKAGE_VERSION);
	for (i = 0; i < sizeof(libraries) / sizeof(libraries[0]); i++)
		printf("%s %s\n", libraries[i].name, libraries[i].version);
	return CTL_DONE;
}

/* -- the audit log --------------------------------------------------------- */

static void
system_on_line(struct ctl *c, json_t *line)
{
	(void)c;
	ctl_dump_json(line, stdout, JSON_COMPACT);
	fflush(stdout);
}

static int
system_stream(struct ctl *c)
{
	json_t *result = NULL;
	int	status;

	if (strcmp(c->command->verb, "audit tail") == 0)
		json_object_set_new(c->args, "follow", json_true());
	status = ctl_call(c, c->command->verb, system_on_line, &result);
	json_decref(result);
	return status;
}

const struct ctl_command ctl_system_commands[] = {
	{ .verb = "status", .show = status_print },
	{ .verb = "version", .local = ctl_version },
	{ .verb = "doctor", .options = "no-probe:flag",
	    .local = doctor_run },
	{ .verb = "reload", .show = reload_print },
	{ .verb = "stop", .options = "now:flag", .show = ctl_print_nothing },
	{ .verb = "metrics", .arguments = "pattern?", .usage = "[PATTERN]",
	    .show = metrics_print },
	{ .verb = "smtp-settings", .show = settings_print },
	{ .verb = "store stat", .csv = "", .show = stat_print },
	{ .verb = "store backup", .arguments = "dir", .usage = "DIR",
	    .local = backup_run, .show = ctl_print_nothing },
	{ .verb = "spf print", .show = spf_print },
	{ .verb = "auth blocks", .list = "Blocks",
	    .columns = "address=Address failures=Failures "
		       "blocked-until=BlockedUntil" },
	{ .verb = "auth unblock", .arguments = "address", .usage = "ADDRESS",
	    .show = ctl_print_nothing },
	{ .verb = "audit list",
	    .options = "since:time actor:text event:text limit:int",
	    .local = system_stream },
	{ .verb = "audit tail",
	    .options = "since:time actor:text event:text",
	    .local = system_stream },
	{ .verb = NULL }
};

/* SPDX-License-Identifier: ISC */
/* Accounts, credentials, quotas. */
#include <errno.h>
#include <string.h>

#include "tools/ctl/ctl.h"

#define ACCOUNT_OPTIONS \
	"name:text production:flag sandbox:flag mail-type:text website:text " \
	"use-case:text contact:many language:text suppress-reasons:words " \
	"auto-warmup:text date:text message-id:text received:text " \
	"attachments:words"
/* members of PutAccountDetails and PutAccountSuppressionAttributes; as
 * account show has them */
#define ACCOUNT_JSON \
	"MailType=mail-type Overrides.Date=date " \
	"Overrides.MessageId=message-id Overrides.Received=received " \
	"BlockedAttachments=attachments " \
	"WebsiteURL=website UseCaseDescription=use-case " \
	"AdditionalContactEmailAddresses=contact ContactLanguage=language " \
	"SuppressedReasons=suppress-reasons Max24HourSend=max-24h " \
	"MaxSendRate=rate"
/* as credential show has them */
#define CREDENTIAL_JSON \
	"UserName=name Restrictions.SourceCidrs=allow-cidr " \
	"Restrictions.Listeners=listener Restrictions.MinTls=min-tls " \
	"Restrictions.FromAddresses=from Restrictions.Recipients=rcpt " \
	"Restrictions.MaxRecipients=max-recipients " \
	"Restrictions.MaxMessageSize=max-size " \
	"Restrictions.Max24HourSend=max-24h Restrictions.MaxSendRate=rate " \
	"Restrictions.MaxSessions=max-sessions " \
	"Restrictions.ConfigurationSet=config-set " \
	"Restrictions.ForceConfigurationSet=force-config-set " \
	"Restrictions.Tags=tag " \
	"Restrictions.ExpiresAt=expires " \
	"Overrides.Date=date Overrides.MessageId=message-id " \
	"Overrides.Received=received PolicyFiles=policy"
#define CREDENTIAL_OPTIONS \
	"role:text policy:many allow-cidr:many listener:many min-tls:text " \
	"from:many rcpt:many max-recipients:int max-size:size max-24h:amount " \
	"rate:amount max-sessions:int expires:expires date:text " \
	"message-id:text received:text description:text config-set:text " \
	"force-config-set:flag tag:many"

static void
account_show_id(struct ctl *c, json_t *result)
{
	(void)c;
	puts(ctl_text(result, "AccountId"));
}

/* account show ID is --account ID. */
static int
account_prepare(struct ctl *c)
{
	const char *id = ctl_arg(c, "id");

	if (id != NULL)
		c->account = id;
	return 0;
}

/* With --json -v the limits of credentials, too. */
static int
quota_prepare(struct ctl *c)
{
	if (c->verbosity > 0)
		json_object_set_new(c->args, "all", json_true());
	return 0;
}

/* One JSON line, as its readers expect it (quotas.md 8). */
static void
quota_print(struct ctl *c, json_t *result)
{
	json_t *o = json_object();
	static const char *const names[] = { "Max24HourSend",
		"SentLast24Hours", "MaxSendRate" };
	size_t i;

	(void)c;
	for (i = 0; i < 3; i++)
		json_object_set(o, names[i],
		    json_object_get(result, names[i]));
	ctl_dump_json(o, stdout, JSON_COMPACT);
	json_decref(o);
}

static void
credential_print_secret(struct ctl *c, json_t *r)
{
	if (json_object_get(r, "SmtpPassword") == NULL)
		return;
	if (c->form == CTL_CSV) {
		printf("User name,SMTP user name,SMTP password\n%s,%s,%s\n",
		    ctl_text(r, "UserName"),
		    ctl_text(r, "AccessKeyId"),
		    ctl_text(r, "SmtpPassword"));
		return;
	}
	printf("user            %s\n", ctl_text(r, "UserName"));
	printf("access key id   %s\n", ctl_text(r, "AccessKeyId"));
	printf("smtp password   %s\n", ctl_text(r, "SmtpPassword"));
	printf("region          %s\n", ctl_text(r, "Region"));
	printf("This password is not shown again.\n");
}

/* One line for each key. */
static void
credential_print_list(struct ctl *c, json_t *result)
{
	json_t *rows = json_array(), *credential, *keys, *key, *row;
	size_t	i, k;

	json_array_foreach(json_object_get(result, "Credentials"), i,
	    credential) {
		keys = json_object_get(credential, "Keys");
		json_array_foreach(keys, k, key) {
			row = json_deep_copy(key);
			json_object_set(row, "UserName",
			    json_object_get(credential, "UserName"));
			if (strcmp(ctl_text(credential, "Status"),
				"DISABLED") == 0)
				json_object_set_new(row, "Status",
				    json_string("DISABLED"));
			json_array_append_new(rows, row);
		}
		if (json_array_size(keys) == 0)
			json_array_append(rows, credential);
	}
	ctl_print_table(c, rows, "user=UserName access-key-id=AccessKeyId "
	    "status=Status created=Created expires=ExpiresAt "
	    "last-used=LastUsed.Time last-ip=LastUsed.Ip");
	json_decref(rows);
}

/* The secret or password comes on standard input, never as an argument. */
static int
credential_prepare_import(struct ctl *c)
{
	bool	    password = ctl_arg_true(c, "smtp-password-stdin");
	bool	    secret = ctl_arg_true(c, "secret-stdin");
	char	    line[512];

	if (password == secret) {
		ctl_say_misuse(c, "give --smtp-password-stdin or "
		    "--secret-stdin");
		return CTL_USAGE;
	}
	if (fgets(line, sizeof(line), stdin) == NULL) {
		ctl_say_misuse(c, "nothing on standard input");
		return CTL_REFUSED;
	}
	line[strcspn(line, "\r\n")] = '\0';
	json_object_del(c->args, "smtp-password-stdin");
	json_object_del(c->args, "secret-stdin");
	json_object_set_new(c->args, password ? "smtp-password" : "secret",
	    json_string_nocheck(line));
	mem_wipe(line, sizeof(line));
	return 0;
}

/* --policy [NAME=]FILE: the document itself is sent. */
static int
credential_prepare_policy(struct ctl *c)
{
	json_t	   *list = json_object_get(c->args, "policy"), *v, *out;
	const char *text, *equals;
	struct buf  document, item;
	size_t	    i;
	FILE	   *f;
	char	    part[512];
	size_t	    n;

	if (list == NULL)
		return 0;
	out = json_array();
	json_array_foreach(list, i, v) {
		text = json_string_value(v);
		equals = strchr(text, '=');
		buf_init(&document, 65536);
		buf_init(&item, 131072);
		buf_printf(&item, "%.*s=",
		    equals != NULL ? (int)(equals - text) : 6,
		    equals != NULL ? text : "inline");
		f = fopen(equals != NULL ? equals + 1 : text, "re");
		if (f == NULL) {
			ctl_say_error(c, "BadRequestException",
			    "%s: %s", equals != NULL ? equals + 1 : text,
			    strerror(errno));
			json_decref(out);
			return CTL_REFUSED;
		}
		while ((n = fread(part, 1, sizeof(part), f)) > 0)
			buf_add(&item, part, n);
		fclose(f);
		json_array_append_new(out,
		    json_stringn_nocheck(item.p, item.n));
		buf_wipe(&document);
		buf_wipe(&item);
	}
	json_object_set_new(c->args, "policy", out);
	return 0;
}

/* The daemon knows whether there is something to confirm. */
static int
credential_prepare_delete(struct ctl *c)
{
	if (c->yes)
		json_object_set_new(c->args, "yes", json_true());
	return 0;
}

const struct ctl_command ctl_account_commands[] = {
	{ .verb = "account create", .arguments = "name",
	    .options = "id:text production:flag contact:many max-24h:amount "
		       "rate:amount",
	    .json = "AccountName=name AccountId=id "
		"ProductionAccessEnabled=production " ACCOUNT_JSON,
	    .show = account_show_id },
	{ .verb = "account list", .options = "limit:int next-token:text",
	    .list = "Accounts",
	    .columns = "id=AccountId name=AccountName status=Status "
		       "production=ProductionAccessEnabled "
		       "sending=SendingEnabled max-24h=Max24HourSend "
		       "sent-24h=SentLast24Hours rate=MaxSendRate" },
	{ .verb = "account show", .arguments = "id?", .usage = "[ID]",
	    .prepare = account_prepare },
	{ .verb = "account set", .arguments = "id?", .usage = "[ID]",
	    .prepare = account_prepare, .json = "AccountId=id "
		"AccountName=name ProductionAccessEnabled=production/sandbox "
		ACCOUNT_JSON,
	    .options = ACCOUNT_OPTIONS },
	{ .verb = "account pause", .arguments = "id?", .usage = "[ID]",
	    .prepare = account_prepare,
	    .options = "reason:text enforce:flag" },
	{ .verb = "account resume", .arguments = "id?", .usage = "[ID]",
	    .prepare = account_prepare,
	    .options = "reason:text" },
	{ .verb = "account delete", .arguments = "id", .usage = "ID",
	    .prepare = account_prepare, .confirm = "id" },
	{ .verb = "account undelete", .arguments = "id", .usage = "ID",
	    .prepare = account_prepare },
	{ .verb = "credential create", .csv = "", .arguments = "name?",
	    .usage = "[USER]", .options = CREDENTIAL_OPTIONS,
	    .json = CREDENTIAL_JSON,
	    .prepare = credential_prepare_policy,
	    .show = credential_print_secret },
	{ .verb = "credential import", .csv = "",
	    .arguments = "name", .usage = "USER",
	    .options = "access-key-id:text smtp-password-stdin:flag "
		       "secret-stdin:flag",
	    .json = "UserName=name",
	    .prepare = credential_prepare_import,
	    .show = credential_print_secret },
	{ .verb = "credential list", .csv = "",
	    .options = "limit:int next-token:text",
	    .show = credential_print_list },
	{ .verb = "credential show", .arguments = "name",
	    .usage = "USER|KEY" },
	{ .verb = "credential set", .arguments = "name", .usage = "USER|KEY",
	    .options = CREDENTIAL_OPTIONS, .json = CREDENTIAL_JSON,
	    .prepare = credential_prepare_policy },
	{ .verb = "credential enable", .arguments = "name",
	    .usage = "USER|KEY", .show = ctl_print_nothing },
	{ .verb = "credential disable", .arguments = "name",
	    .usage = "USER|KEY", .options = "hold-queue:flag",
	    .show = ctl_print_nothing },
	{ .verb = "credential delete", .arguments = "name",
	    .prepare = credential_prepare_delete, .usage = "USER|KEY",
	    .show = ctl_print_nothing },
	{ .verb = "credential rotate", .csv = "",
	    .arguments = "name", .usage = "USER",
	    .options = "keep:duration", .show = credential_print_secret },
	{ .verb = "quota show", .prepare = quota_prepare,
	    .show = quota_print },
	{ .verb = "stats quota", .prepare = quota_prepare,
	    .show = quota_print },
	{ .verb = "quota set",
	    .options = "max-24h:amount rate:amount burst:amount",
	    .json = "Max24HourSend=max-24h MaxSendRate=rate" },
	{ .verb = NULL }
};

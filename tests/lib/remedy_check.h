/* SPDX-License-Identifier: ISC */
/*
 * remedy_check.h - does every finding of a report that did not pass say what
 * mends it: a record as a zone has it, a command that is there, a line that
 * the configuration knows?  And have all kinds of findings been seen?
 *
 * Use:    remedy_check(report, seen, n) for each report, then
 *         remedy_check_seen(seen, n): those never met fail the test.
 * Owner:  the caller's.
 * Thread: one.
 * Fails:  by cmocka.
 */
#ifndef TESTS_REMEDY_CHECK_H
#define TESTS_REMEDY_CHECK_H

#include <regex.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <unistd.h>

#include "daemon/control_private.h"

struct remedy_seen {
	const char *id, *result;
	bool	    was;
};

/* As much chance as a fixed beginning has. */
static uint32_t chance_state = 2463534242u;
static unsigned
chance(unsigned n)
{
	chance_state ^= chance_state << 13;
	chance_state ^= chance_state >> 17;
	chance_state ^= chance_state << 5;
	return (unsigned)(chance_state % n);
}

struct remedy_pattern {
	const char *text;
	bool	    is_compiled;
	regex_t	    r;
};

static bool
remedy_fits(const char *text, struct remedy_pattern *p)
{
	if (!p->is_compiled) {
		assert_int_equal(regcomp(&p->r, p->text,
		    REG_EXTENDED | REG_NOSUB), 0);
		p->is_compiled = true;
	}
	return regexec(&p->r, text, 0, NULL, 0) == 0;
}

/* The rest of the line begins with a command of the control socket, and what
 * follows it is given. */
static bool
remedy_is_verb(const char *rest)
{
	static const struct command *const lists[] = {
		control_identity_commands, control_dkim_commands,
		control_mail_from_commands, control_check_commands,
		control_ip_commands, control_pool_commands,
		control_doctor_commands, control_system_commands };
	const struct command *c;
	size_t		      i, n;

	for (i = 0; i < sizeof(lists) / sizeof(lists[0]); i++)
		for (c = lists[i]; c->verb != NULL; c++) {
			n = strlen(c->verb);
			if (strncmp(rest, c->verb, n) == 0 &&
			    (rest[n] == '\0' ||
				(rest[n] == ' ' && rest[n + 1] != '\0')))
				return true;
		}
	return false;
}

static bool
remedy_is_command(const char *text)
{
	static const char	     own[] = "posthornctl ";
	static struct remedy_pattern others = { .text =
		"^dig \\+short (A|AAAA|MX|TXT|PTR) [^ ]+$|"
		"^dig \\+short -x ADDRESS$|^df -h [^ ]+$|"
		"^timedatectl (status|set-ntp true)$|"
		"^openssl pkey -noout -text_pub -in [^ ]+$|"
		"^systemctl restart posthorn$" };

	if (strncmp(text, own, sizeof(own) - 1) == 0)
		return remedy_is_verb(text + sizeof(own) - 1);
	return remedy_fits(text, &others);
}

/* Strings of 255 octets at most, in quotes. */
static bool
remedy_is_record(const char *text)
{
	static struct remedy_pattern record = { .text =
		"^[^ ]+\\.[^ ]+ (MX [0-9]+ [^ ]+|"
		"(A|AAAA|CNAME|PTR) [^ ]+|"
		"TXT (\"([^\"\\]|\\\\.){1,255}\" ?)+)$" };

	return remedy_fits(text, &record);
}

/* Where a value is the reader's, one that could be. */
static void
remedy_write_line(const char *text, char path[32])
{
	static const struct {
		const char *word, *value;
	} ours[] = { { "HOST", "mx.example.org" }, { "FILE", "/x.pem" },
		{ "ADDRESS", "192.0.2.1" } };
	const char *at;
	size_t	    i;
	FILE	   *f;
	int	    fd;

	strcpy(path, "/tmp/remedy.XXXXXX");
	fd = mkstemp(path);
	assert_true(fd >= 0);
	f = fdopen(fd, "w");
	assert_non_null(f);
	fputs(strncmp(text, "intake.", 7) == 0 ? "" :
		"intake.postmaster a@example.com\n", f);
	for (i = 0; i < 3; i++)
		if ((at = strstr(text, ours[i].word)) != NULL)
			break;
	if (at == NULL)
		fprintf(f, "%s\n", text);
	else
		fprintf(f, "%.*s%s%s\n", (int)(at - text), text,
		    strncmp(text, "intake.", 7) == 0 ? "a@example.com" :
			ours[i].value, at + strlen(ours[i].word));
	fclose(f);
}

static bool
remedy_is_setting(const char *text)
{
	enum { KNOWN = 32 };
	static char	   known[KNOWN][128]; /* good ones: it takes long */
	static size_t	   n;
	struct conf_errors errors;
	struct conf	  *c;
	char		   path[32];
	bool		   good = true;
	size_t		   i;

	for (i = 0; i < n; i++)
		if (strcmp(text, known[i]) == 0)
			return true;
	remedy_write_line(text, path);
	conf_errors_init(&errors);
	c = conf_load(path, NULL, &errors);
	unlink(path);
	/* what else stands in the file is not our affair */
	for (i = 0; i < errors.n; i++)
		if (!errors.v[i].is_warning &&
		    strstr(errors.v[i].text, " without ") == NULL &&
		    strstr(errors.v[i].text, " is missing") == NULL) {
			print_error("%s: %s\n", text, errors.v[i].text);
			good = false;
		}
	conf_errors_wipe(&errors);
	if (c != NULL)
		conf_unref(c);
	if (good && n < KNOWN)
		snprintf(known[n++], sizeof(known[0]), "%s", text);
	return good;
}

static const char *
remedy_member(const json_t *finding, const char *name)
{
	const char *s = json_string_value(json_object_get(finding, name));

	return s != NULL ? s : "";
}

static bool
remedy_is_good(const json_t *finding)
{
	const char *action = remedy_member(finding, "Action");
	const char *hint = remedy_member(finding, "Hint");
	const char *then = remedy_member(finding, "Then");

	if (then[0] != '\0' && !remedy_is_command(then))
		return false;
	if (strcmp(remedy_member(finding, "Result"), "PASS") == 0)
		return hint[0] == '\0' && action[0] == '\0';
	if (strcmp(action, "PUBLISH") == 0)
		return remedy_is_record(hint);
	if (strcmp(action, "RUN") == 0)
		return remedy_is_command(hint);
	return strcmp(action, "SET") == 0 && remedy_is_setting(hint);
}

static void
remedy_check(const json_t *checks, struct remedy_seen *seen, size_t n)
{
	json_t *finding;
	char   *text;
	size_t	i, k;

	json_array_foreach(checks, i, finding) {
		if (!remedy_is_good(finding)) {
			text = json_dumps(finding, JSON_INDENT(1));
			fail_msg("no remedy: %s", text);
		}
		for (k = 0; k < n; k++)
			seen[k].was |= strcmp(seen[k].id,
			    remedy_member(finding, "Id")) == 0 &&
			    strcmp(seen[k].result,
				remedy_member(finding, "Result")) == 0;
	}
}

static void
remedy_check_seen(const struct remedy_seen *seen, size_t n)
{
	size_t	 k;
	unsigned missing = 0;

	for (k = 0; k < n; k++)
		if (!seen[k].was) {
			print_error("never met: %s %s\n", seen[k].id,
			    seen[k].result);
			missing++;
		}
	assert_int_equal(missing, 0);
}

#endif

/* SPDX-License-Identifier: ISC */
#include "tools/ctl/doctor.h"

#include <errno.h>
#include <stdarg.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "base/process.h"
#include "registry/conf.h"
#include "tools/ctl/ctl.h"
#include "tools/ctl/finding.h"
#include "tools/ctl/offline.h"

static json_t *
doctor_add(json_t *checks, const char *id, const char *result,
    const char *fmt, ...) __attribute__((format(printf, 4, 5)));
static json_t *
doctor_add(json_t *checks, const char *id, const char *result,
    const char *fmt, ...)
{
	char	text[1400];
	va_list ap;
	json_t *check;

	va_start(ap, fmt);
	vsnprintf(text, sizeof(text), fmt, ap);
	va_end(ap);
	check = json_pack("{s:s, s:s, s:s, s:s}", "Id", id, "Result", result,
	    "Impact", strcmp(result, "FAIL") == 0 ? "HIGH" : "LOW",
	    "Description", text);
	json_array_append_new(checks, check);
	return check;
}

/* What mends it: a command, with the file as its last word. */
static void
doctor_run_on(json_t *check, const char *command, const char *path)
{
	const char *quote = bytes_is_word(bytes_of(path), "/._-") ? "" : "'";
	const char *p;
	struct buf  b;

	buf_init(&b, 8192);
	buf_printf(&b, "%s %s", command, quote);
	for (p = path; *p != '\0'; p++)
		if (*p == '\'')
			buf_add_text(&b, "'\\''");
		else
			buf_add_char(&b, *p);
	buf_add_text(&b, quote);
	json_object_set_new(check, "Action", json_string("RUN"));
	json_object_set_new(check, "Hint", json_stringn(b.p, b.n));
	buf_wipe(&b);
}

/* It cannot be looked at, by this user or at all. */
static void
doctor_unreadable(json_t *checks, const char *path)
{
	bool	denied = errno == EACCES;
	json_t *check = doctor_add(checks, "FILE_MODE",
	    denied ? "UNKNOWN" : "FAIL", "%s: %s", path, strerror(errno));

	doctor_run_on(check, denied ? "sudo ls -l" : "ls -l", path);
}

/* A file that holds a secret is for its owner alone. */
static void
doctor_secret(json_t *checks, const char *path, const char *owner)
{
	struct process_user u;
	struct stat	    st;
	struct err	    e;
	char		    command[300];

	if (stat(path, &st) != 0)
		doctor_unreadable(checks, path);
	else if ((st.st_mode & (S_IRWXG | S_IRWXO)) != 0)
		doctor_run_on(doctor_add(checks, "FILE_MODE", "FAIL",
		    "%s: mode %04o, others than its owner may read it", path,
		    (unsigned)(st.st_mode & 07777)), "chmod go=", path);
	else if (owner != NULL && geteuid() == 0 &&
	    process_user_find(owner, NULL, &u, &e) == 0 &&
	    st.st_uid != u.uid && st.st_uid != 0) {
		snprintf(command, sizeof(command), "chown %.200s", owner);
		doctor_run_on(doctor_add(checks, "FILE_MODE", "FAIL",
		    "%s: its owner is neither root nor %s", path, owner),
		    command, path);
	} else
		doctor_add(checks, "FILE_MODE", "PASS", "%s: mode %04o", path,
		    (unsigned)(st.st_mode & 07777));
}

static void
doctor_on_file(void *checks, enum conf_file_kind kind, const char *setting,
    const char *path)
{
	struct stat st;

	(void)setting;
	if (kind == CONF_FILE_MASTER_KEY || kind == CONF_FILE_OPERATOR_KEY)
		return; /* with their owner */
	if (kind == CONF_FILE_KEY && stat(path, &st) == 0 &&
	    (st.st_mode & S_IRWXO) != 0)
		doctor_run_on(doctor_add(checks, "FILE_MODE", "FAIL",
		    "%s: mode %04o, everybody may read the private key", path,
		    (unsigned)(st.st_mode & 07777)), "chmod o=", path);
	else if (access(path, R_OK) != 0)
		doctor_unreadable(checks, path);
}

static void
doctor_files(struct ctl *c, json_t *checks)
{
	struct conf_errors errors;
	struct conf	  *conf;
	size_t		   i;

	conf_errors_init(&errors);
	conf = conf_load(c->conf_path, NULL, &errors);
	for (i = 0; i < errors.n; i++)
		doctor_run_on(doctor_add(checks, "CONFIGURATION",
		    errors.v[i].is_warning ? "WARN" : "FAIL", "%s",
		    errors.v[i].text), "posthornctl config check",
		    c->conf_path);
	conf_errors_wipe(&errors);
	if (conf == NULL)
		return;
	doctor_secret(checks, conf->store.dir, conf->server.user);
	if (conf->store.master_key != NULL)
		doctor_secret(checks, conf->store.master_key,
		    conf->server.keys_user);
	if (conf->dkim.operator_key != NULL)
		doctor_secret(checks, conf->dkim.operator_key,
		    conf->server.keys_user);
	conf_each_file(conf, doctor_on_file, checks);
	conf_unref(conf);
}

/* 0 all passed, 1 low findings only, 2 a high one, 3 not judged */
int
doctor_worst(json_t *checks)
{
	const char *text;
	json_t	   *v;
	size_t	    i;
	int	    worst = 0, s;

	json_array_foreach(checks, i, v) {
		text = json_string_value(json_object_get(v, "Result"));
		if (text == NULL || strcmp(text, "FAIL") == 0)
			return 2;
		s = strcmp(text, "PASS") == 0 ? 0 :
			strcmp(text, "WARN") == 0 ? 1 : 3;
		worst = s > worst ? s : worst;
	}
	return worst;
}

const char *
doctor_result(int status)
{
	static const char *const results[] = { "PASS", "WARN", "FAIL",
		"UNKNOWN" };

	return results[status];
}

static void
doctor_print(struct ctl *c, json_t *result)
{
	static const struct finding_form form = { 7, 17 };
	json_t *checks = json_object_get(result, "Checks");
	size_t	i;

	ctl_clean(result);
	for (i = 0; i < json_array_size(checks); i++)
		finding_print(c, checks, i, &form);
	printf("result: %s\n",
	    json_string_value(json_object_get(result, "Result")));
}

int
doctor_run(struct ctl *c)
{
	enum { PATIENCE_MS = 180 * 1000 }; /* two rounds and connections */
	json_t *result = NULL, *checks;
	int	status;

	ctl_be_patient(c, PATIENCE_MS);
	status = ctl_call(c, c->command->verb, NULL, &result);
	if (result == NULL)
		return status;
	checks = json_object_get(result, "Checks");
	doctor_files(c, checks);
	status = doctor_worst(checks);
	json_object_set_new(result, "Result", json_string(doctor_result(status)));
	if (c->form == CTL_JSON)
		ctl_print_json(result);
	else
		doctor_print(c, result);
	json_decref(result);
	return status;
}

/* SPDX-License-Identifier: ISC */
#include "tools/ctl/check.h"

#include <stdio.h>
#include <string.h>

#include "tools/ctl/ctl.h"
#include "tools/ctl/doctor.h"

enum { CHECK_LINE_MAX = 16384, CHECK_INDENT = 23 };

static void
check_add(struct ctl *c, struct buf *line, const char *before, json_t *v)
{
	if (v == NULL || json_is_null(v))
		return;
	buf_printf(line, "\n%*s%s", CHECK_INDENT, "", before);
	ctl_value_text(c, v, line);
}

/* "203.0.113.10 softfail   203.0.113.11 softfail   look-ups used: 1 of 10" */
static void
check_add_results(struct ctl *c, struct buf *line, json_t *detail)
{
	json_t	   *results = json_object_get(detail, "Results"), *v;
	const char *ip;

	if (results == NULL)
		return;
	buf_printf(line, "\n%*s", CHECK_INDENT, "");
	json_object_foreach(results, ip, v) {
		buf_printf(line, "%s ", ip);
		ctl_value_text(c, v, line);
		buf_add_text(line, "   ");
	}
	buf_printf(line, "look-ups used: %d of 10",
	    (int)json_integer_value(json_object_get(detail, "Lookups")));
}

static void
check_print_one(struct ctl *c, json_t *check)
{
	const char *text = json_string_value(json_object_get(check,
			 "Result"));
	const char *id = json_string_value(json_object_get(check, "Id"));
	json_t	   *detail = json_object_get(check, "Detail");
	struct buf  line;

	if (text == NULL || id == NULL)
		return;
	buf_init(&line, CHECK_LINE_MAX);
	buf_printf(&line, "%-5s %-16s ", strcmp(text, "PASS") == 0 ? "ok" :
		strcmp(text, "WARN") == 0 ? "warn" : text, id);
	ctl_value_text(c, json_object_get(check, "Description"), &line);
	check_add(c, &line, "", json_object_get(detail, "Reason"));
	if (strcmp(text, "PASS") != 0)
		check_add_results(c, &line, detail);
	check_add(c, &line, "publish: ", json_object_get(check, "Hint"));
	printf("%.*s\n", (int)line.n, line.p);
	buf_wipe(&line);
}

static void
check_print(struct ctl *c, json_t *result)
{
	const char *when = json_string_value(json_object_get(result,
	    "CheckedAt"));
	json_t	   *v;
	size_t	    i;

	ctl_clean(result);
	printf("identity check %s  (From: %s, %zu source IPs)  %.19sZ\n",
	    json_string_value(json_object_get(result, "Identity")),
	    json_string_value(json_object_get(result, "From")),
	    json_array_size(json_object_get(result, "SourceIps")),
	    when != NULL ? when : "");
	json_array_foreach(json_object_get(result, "Checks"), i, v)
		check_print_one(c, v);
	printf("result: %s\n",
	    json_string_value(json_object_get(result, "Result")));
}

int
check_run(struct ctl *c)
{
	enum { PATIENCE_MS = 130 * 1000 }; /* DNS and a connection */
	json_t *result = NULL, *checks;
	int	status;

	ctl_be_patient(c, PATIENCE_MS);
	status = ctl_call(c, c->command->verb, NULL, &result);
	checks = json_object_get(result, "Checks");
	if (checks == NULL) {
		json_decref(result);
		return status;
	}
	status = doctor_judge(checks);
	json_object_set_new(result, "Result",
	    json_string(doctor_result(status)));
	if (c->form == CTL_JSON)
		ctl_print_json(result);
	else
		check_print(c, result);
	json_decref(result);
	return status;
}

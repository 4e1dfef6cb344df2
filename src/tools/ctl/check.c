/* SPDX-License-Identifier: ISC */
#include "tools/ctl/check.h"

#include <stdio.h>

#include "tools/ctl/ctl.h"
#include "tools/ctl/doctor.h"
#include "tools/ctl/finding.h"

static void
check_print(struct ctl *c, json_t *result)
{
	static const struct finding_form form = { 5, 16 };
	json_t	   *checks = json_object_get(result, "Checks");
	const char *when = json_string_value(json_object_get(result,
	    "CheckedAt"));
	size_t	    i;

	ctl_clean(result);
	printf("identity check %s  (From: %s, %zu source IPs)  %.19sZ\n",
	    json_string_value(json_object_get(result, "Identity")),
	    json_string_value(json_object_get(result, "From")),
	    json_array_size(json_object_get(result, "SourceIps")),
	    when != NULL ? when : "");
	for (i = 0; i < json_array_size(checks); i++)
		finding_print(c, checks, i, &form);
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
	status = doctor_worst(checks);
	json_object_set_new(result, "Result",
	    json_string(doctor_result(status)));
	if (c->form == CTL_JSON)
		ctl_print_json(result);
	else
		check_print(c, result);
	json_decref(result);
	return status;
}

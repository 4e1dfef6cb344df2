/* SPDX-License-Identifier: ISC */
/* A line of a suppression import: format and action in the first octet. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "registry/import_job.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* What was taken is an address, and is taken again as it was written. */
static void
check(const struct import_record *r, bool removes)
{
	struct import_record again;
	struct bytes	     key;
	char		     line[ADDRESS_TEXT_MAX + 32];
	char		     text[ADDRESS_TEXT_MAX];

	must(memchr(r->address, '\0', sizeof(r->address)) != NULL);
	must(suppression_key(bytes_of(r->address), text, &key));
	must(removes || r->reason == SUPPRESS_BOUNCE ||
	    r->reason == SUPPRESS_COMPLAINT);
	/* quotes and commas of a local part would need CSV quotes */
	if (strpbrk(r->address, "\",\\ \t") != NULL)
		return;
	snprintf(line, sizeof(line), "%s,%s", r->address,
	    r->reason == SUPPRESS_COMPLAINT ? "COMPLAINT" : "BOUNCE");
	must(import_line_parse(bytes_of(line), IMPORT_CSV, removes, &again) ==
	    NULL);
	must(strcmp(again.address, r->address) == 0);
	must(removes || again.reason == r->reason);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct import_record r;
	struct bytes	     line;
	bool		     removes;
	const char	    *error;

	if (size == 0)
		return 0;
	line = (struct bytes){ (const char *)data + 1, size - 1 };
	removes = (data[0] & 2) != 0;
	error = import_line_parse(line, (data[0] & 1) != 0 ? IMPORT_JSON
		: IMPORT_CSV, removes, &r);
	if (error == NULL)
		check(&r, removes);
	else
		must(error[0] != '\0');
	return 0;
}

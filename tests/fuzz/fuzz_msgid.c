/* SPDX-License-Identifier: ISC */
/* What is read as an id is written as the same text in lower case. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/msgid.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data, size };
	struct msgid id;
	unsigned     recipient;
	char	     text[MSGID_TEXT + 1];

	if (!msgid_from_text(in, &id, &recipient))
		return 0;
	msgid_to_text(&id, "0000", recipient, text);
	must(bytes_eq_nocase(bytes_from(in, 4), bytes_of(text + 4)));
	return 0;
}

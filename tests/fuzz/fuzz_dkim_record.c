/* SPDX-License-Identifier: ISC */
/* TXT records of a selector, a zero octet between two. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/dkim_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	const struct dkim_record_key want = { DKIM_KEY_RSA,
		BYTES("dGhlIHJpZ2h0IGtleQ==") };
	struct dkim_record_verdict   v;
	struct bytes		     texts[8], rest;
	ptrdiff_t		     end;
	size_t			     n = 0;

	rest = (struct bytes){ (const char *)data, size };
	while (size > 0 && n < 8) {
		end = bytes_find(rest, 0, '\0');
		texts[n++] = end < 0 ? rest : bytes_head(rest, (size_t)end);
		if (end < 0)
			break;
		rest = bytes_from(rest, (size_t)end + 1);
	}
	dkim_record_judge(texts, n, &want, &v);
	must(v.reason != NULL);
	must((v.outcome == DKIM_RECORD_MATCH) == (v.reason[0] == '\0'));
	must(n > 0 || v.outcome == DKIM_RECORD_ABSENT);
	return 0;
}

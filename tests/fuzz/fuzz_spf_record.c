/* SPDX-License-Identifier: ISC */
/* TXT records of a domain, a zero octet between two. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/spf_record.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct spf_record r;
	struct bytes	  texts[8], rest, text;
	ptrdiff_t	  end;
	size_t		  n = 0, found;

	rest = (struct bytes){ (const char *)data, size };
	while (size > 0 && n < 8) {
		end = bytes_find(rest, 0, '\0');
		texts[n++] = end < 0 ? rest : bytes_head(rest, (size_t)end);
		if (end < 0)
			break;
		rest = bytes_from(rest, (size_t)end + 1);
	}
	found = spf_record_find(texts, n, &text);
	must(found <= n && (found == 0) == (text.n == 0));
	if (found == 0)
		return 0;
	spf_record_read(text, &r);
	must(r.all == 0 || strchr("+-~?", r.all) != NULL);
	must(r.is_long == (text.n > SPF_RECORD_OCTETS));
	(void)spf_record_includes(text, BYTES("spf.relay.example"));
	(void)spf_record_lists(text, "203.0.113.10");
	(void)spf_record_lists(text, "2001:db8::10");
	must(!spf_record_lists(text, "nonsense"));
	return 0;
}

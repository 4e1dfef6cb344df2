/* SPDX-License-Identifier: ISC */
/* TXT records at _dmarc, a zero octet between two. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "mail/dmarc.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dmarc_record r;
	struct bytes	    texts[8], rest;
	enum dmarc_finding  f;
	ptrdiff_t	    end;
	size_t		    n = 0;

	rest = (struct bytes){ (const char *)data, size };
	while (size > 0 && n < 8) {
		end = bytes_find(rest, 0, '\0');
		texts[n++] = end < 0 ? rest : bytes_head(rest, (size_t)end);
		if (end < 0)
			break;
		rest = bytes_from(rest, (size_t)end + 1);
	}
	f = dmarc_read(texts, n, &r);
	must((f == DMARC_ABSENT) == (r.text.n == 0));
	must(r.percent <= 100);
	must(f != DMARC_FOUND || r.policy <= DMARC_REJECT);
	must(dmarc_policy_of(&r, false) == r.policy);
	must(dmarc_policy_to_text(dmarc_policy_of(&r, true)) != NULL);
	/* what was read is read the same by itself */
	if (f == DMARC_FOUND) {
		struct bytes	    one = r.text;
		struct dmarc_record again;

		must(dmarc_read(&one, 1, &again) == DMARC_FOUND);
		must(again.policy == r.policy && again.percent == r.percent &&
		    again.strict_spf == r.strict_spf);
	}
	return 0;
}

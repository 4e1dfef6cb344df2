/* SPDX-License-Identifier: ISC */
/* Raw DNS answers: the first octet chooses the type asked for. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "net/resolver_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
check(const struct dns_answer *a)
{
	size_t i, sum = 0;

	must(a->count > 0 && a->count <= DNS_RECORDS_MAX);
	for (i = 0; i < a->count; i++) {
		if (a->type == RESOLVER_MX)
			sum += strlen(a->mx[i].host);
		else if (a->type == RESOLVER_TXT)
			must(a->texts[i].p[a->texts[i].n] == '\0');
		else if (a->type == RESOLVER_A || a->type == RESOLVER_AAAA)
			sum += dns_address_is_private(&a->addresses[i]);
		else
			sum += strlen(a->names[i]);
	}
	must(sum <= DNS_STRINGS_MAX);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct dns_walk	   walk = { "a.example", 0, UINT32_MAX };
	struct dns_draft   d;
	struct dns_answer *a;
	enum resolver_type type;

	if (size < 1)
		return 0;
	type = (enum resolver_type)(data[0] % 7);
	dns_draft_init(&d);
	if (dns_parse((struct bytes){ (const char *)data + 1, size - 1 },
		type, &walk, &d) == DNS_PARSED_FOUND) {
		a = dns_answer_make(DNS_FOUND, type, "a.example", &walk, &d);
		check(a);
		dns_answer_unref(a);
	}
	dns_draft_wipe(&d);
	return 0;
}

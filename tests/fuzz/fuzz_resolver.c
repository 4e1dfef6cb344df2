/* SPDX-License-Identifier: ISC */
/* Raw DNS answers: the first octet chooses the type asked for.  An answer of
 * addresses is that of a block list as well. */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "base/err.h"
#include "net/dnsbl.h"
#include "net/resolver_private.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* Only 127.0.0.0/8 speaks of the address that was asked for. */
static void
judge(const struct dns_answer *a)
{
	char	text[DNSBL_TEXT_SIZE];
	enum dnsbl_verdict v = dnsbl_judge(a, text);

	must(v != DNSBL_CLEAN && text[0] != '\0');
	must(dnsbl_verdict_to_text(v)[0] != '\0');
	must((v == DNSBL_LISTED || v == DNSBL_REFUSED) ==
	    (strncmp(text, "127.", 4) == 0));
}

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
	if (a->type == RESOLVER_A || a->type == RESOLVER_AAAA)
		judge(a);
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

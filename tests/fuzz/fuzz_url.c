/* SPDX-License-Identifier: ISC */
/*
 * A URL of a webhook: what can be read has a host that is a name or an
 * address, and nothing of a user, a fragment or a line end.
 */
#include <stddef.h>
#include <stdint.h>
#include <string.h>

#include "net/url.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes in = { (const char *)data, size };
	const char  *why = NULL;
	struct url   u;
	char	     text[64];

	if (!url_read(in, &u, &why)) {
		must(why != NULL && why[0] != '\0');
		return 0;
	}
	must(in.n <= URL_TEXT_MAX && u.port != 0 && u.host[0] != '\0');
	must(memchr(in.p, '#', in.n) == NULL && memchr(in.p, '\n', in.n) ==
	    NULL);
	must(strpbrk(u.host, "@/?[]%") == NULL);
	if (u.is_address)
		must(dns_address_text(&u.address, text)[0] != '\0');
	else
		must(strchr(u.host, ':') == NULL);
	(void)url_is_local(&u);
	return 0;
}

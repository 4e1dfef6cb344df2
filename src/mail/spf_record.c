/* SPDX-License-Identifier: ISC */
#include "mail/spf_record.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/spf_term.h"

void
spf_record_read(struct bytes text, struct spf_record *out)
{
	struct spf_reader r;
	struct spf_term	  t;

	memset(out, 0, sizeof(*out));
	out->is_long = text.n > SPF_RECORD_OCTETS;
	spf_reader_init(&r, text);
	while (spf_reader_next(&r, &t)) {
		/* what stands behind "all" is never reached */
		if (t.kind == SPF_TERM_ALL && out->all == 0)
			out->all = t.qualifier;
		out->redirect |= t.kind == SPF_TERM_REDIRECT;
		out->ptr |= t.kind == SPF_TERM_PTR;
	}
}

bool
spf_record_includes(struct bytes text, struct bytes domain)
{
	struct spf_reader r;
	struct spf_term	  t;
	struct bytes	  of;

	spf_reader_init(&r, text);
	while (spf_reader_next(&r, &t)) {
		if (t.kind != SPF_TERM_INCLUDE)
			continue;
		of = t.domain;
		if (of.p[of.n - 1] == '.')
			of = bytes_head(of, of.n - 1);
		if (bytes_eq_nocase(of, domain))
			return true;
	}
	return false;
}

bool
spf_record_lists(struct bytes text, const char *ip)
{
	struct spf_reader r;
	struct spf_term	  t;
	unsigned char	  raw[16];
	int		  family = strchr(ip, ':') != NULL ? AF_INET6 : AF_INET;

	if (inet_pton(family, ip, raw) != 1)
		return false;
	spf_reader_init(&r, text);
	while (spf_reader_next(&r, &t))
		if (spf_term_has(&t, family, raw))
			return true;
	return false;
}

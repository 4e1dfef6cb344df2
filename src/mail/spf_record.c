/* SPDX-License-Identifier: ISC */
#include "mail/spf_record.h"

#include <arpa/inet.h>
#include <string.h>

#include "net/spf_term.h"

/* One term behind the version: qualifier, name, what follows it with its
 * separator (":example.com", "/24", "=example.com"). */
struct term {
	char	     qualifier;
	struct bytes name, rest;
};

static bool
term_next(struct bytes *text, struct term *t)
{
	ptrdiff_t    end;
	struct bytes one;
	size_t	     n = 0;

	while (text->n > 0 && text->p[0] == ' ')
		*text = bytes_from(*text, 1);
	if (text->n == 0)
		return false;
	end = bytes_find(*text, 0, ' ');
	one = end < 0 ? *text : bytes_head(*text, (size_t)end);
	*text = bytes_from(*text, one.n);
	t->qualifier = '+';
	if (one.p[0] != '\0' && strchr("+-~?", one.p[0]) != NULL) {
		t->qualifier = one.p[0];
		one = bytes_from(one, 1);
	}
	while (n < one.n && one.p[n] != ':' && one.p[n] != '/' &&
	    one.p[n] != '=')
		n++;
	t->name = bytes_head(one, n);
	t->rest = bytes_from(one, n);
	return true;
}

static bool
term_is(const struct term *t, const char *name)
{
	return bytes_eq_nocase(t->name, bytes_of(name));
}

void
spf_record_read(struct bytes text, struct spf_record *out)
{
	struct term  t;
	struct bytes terms = spf_terms(text);

	memset(out, 0, sizeof(*out));
	out->is_long = text.n > SPF_RECORD_OCTETS;
	while (term_next(&terms, &t)) {
		/* what stands behind "all" is never reached */
		if (term_is(&t, "all") && t.rest.n == 0 && out->all == 0)
			out->all = t.qualifier;
		else if (term_is(&t, "redirect") && t.rest.n > 0 &&
		    t.rest.p[0] == '=')
			out->redirect = true;
		else if (term_is(&t, "ptr"))
			out->ptr = true;
	}
}

bool
spf_record_includes(struct bytes text, struct bytes domain)
{
	struct term  t;
	struct bytes terms = spf_terms(text), of;

	while (term_next(&terms, &t)) {
		if (!term_is(&t, "include") || t.rest.n == 0 ||
		    t.rest.p[0] != ':')
			continue;
		of = bytes_from(t.rest, 1);
		if (of.n > 0 && of.p[of.n - 1] == '.')
			of = bytes_head(of, of.n - 1);
		if (bytes_eq_nocase(of, domain))
			return true;
	}
	return false;
}

/* "192.0.2.0/24" or without a length; false = it is none, or not in it. */
static bool
range_has(int family, struct bytes range, const unsigned char *ip)
{
	unsigned char net[16];
	char	      text[INET6_ADDRSTRLEN];
	uint64_t      bits = family == AF_INET ? 32 : 128;
	ptrdiff_t     slash = bytes_find(range, 0, '/');
	struct bytes  address = slash < 0 ? range :
	     bytes_head(range, (size_t)slash);
	size_t	      whole;
	unsigned      mask;

	if (address.n >= sizeof(text) ||
	    memchr(address.p, '\0', address.n) != NULL ||
	    inet_pton(family, bytes_text(address, text, sizeof(text)),
		net) != 1)
		return false;
	if (slash >= 0) {
		uint64_t given;

		if (!bytes_to_u64(bytes_from(range, (size_t)slash + 1),
			&given) || given > bits)
			return false;
		bits = given;
	}
	whole = (size_t)bits / 8;
	mask = 0xff00u >> bits % 8 & 0xff;
	return memcmp(net, ip, whole) == 0 &&
	    (mask == 0 || ((net[whole] ^ ip[whole]) & mask) == 0);
}

bool
spf_record_lists(struct bytes text, const char *ip)
{
	struct term   t;
	struct bytes  terms = spf_terms(text);
	unsigned char raw[16];
	int	      family = strchr(ip, ':') != NULL ? AF_INET6 : AF_INET;

	if (inet_pton(family, ip, raw) != 1)
		return false;
	while (term_next(&terms, &t))
		if (term_is(&t, family == AF_INET ? "ip4" : "ip6") &&
		    t.rest.n > 0 && t.rest.p[0] == ':' &&
		    range_has(family, bytes_from(t.rest, 1), raw))
			return true;
	return false;
}

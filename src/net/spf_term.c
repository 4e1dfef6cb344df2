/* SPDX-License-Identifier: ISC */
#include "net/spf_term.h"

#include <arpa/inet.h>
#include <ctype.h>
#include <string.h>

#include "net/spf_macro.h"

static const char version[] = "v=spf1";

enum { BITS_IP4 = 32, BITS_IP6 = 128 };

static const struct mechanism {
	const char	  *name;
	enum spf_term_kind kind;
	enum { NO_DOMAIN, MAY_DOMAIN, NEEDS_DOMAIN } domain;
	bool has_prefix;
} mechanisms[] = {
	{ "all", SPF_TERM_ALL, NO_DOMAIN, false },
	{ "include", SPF_TERM_INCLUDE, NEEDS_DOMAIN, false },
	{ "a", SPF_TERM_A, MAY_DOMAIN, true },
	{ "mx", SPF_TERM_MX, MAY_DOMAIN, true },
	{ "ptr", SPF_TERM_PTR, MAY_DOMAIN, false },
	{ "ip4", SPF_TERM_IP4, NEEDS_DOMAIN, true },
	{ "ip6", SPF_TERM_IP6, NEEDS_DOMAIN, true },
	{ "exists", SPF_TERM_EXISTS, NEEDS_DOMAIN, false },
};

size_t
spf_find(const struct bytes *texts, size_t count, struct bytes *out)
{
	size_t i, found = 0, n = sizeof(version) - 1;

	*out = BYTES("");
	for (i = 0; i < count; i++)
		if (bytes_starts_nocase(texts[i], BYTES(version)) &&
		    (texts[i].n == n || texts[i].p[n] == ' ')) {
			*out = texts[i];
			found++;
		}
	return found;
}

void
spf_reader_init(struct spf_reader *r, struct bytes text)
{
	memset(r, 0, sizeof(*r));
	r->rest = bytes_from(text, sizeof(version) - 1);
}

static bool
wrong(struct spf_reader *r, const char *what)
{
	r->wrong = what;
	return false;
}

/* -- prefix lengths -------------------------------------------------------- */

/* Digits at the end of *spec, a slash before them: both are taken off. */
static bool
prefix_take(struct bytes *spec, struct bytes *digits)
{
	size_t n = spec->n;

	while (n > 0 && isdigit((unsigned char)spec->p[n - 1]))
		n--;
	if (n == spec->n || n == 0 || spec->p[n - 1] != '/')
		return false;
	*digits = bytes_from(*spec, n);
	*spec = bytes_head(*spec, n - 1);
	return true;
}

/* No zeros before it; at most max. */
static bool
prefix_read(struct bytes digits, unsigned max, unsigned *out)
{
	uint64_t v;

	if (digits.n > 3 || (digits.n > 1 && digits.p[0] == '0') ||
	    !bytes_to_u64(digits, &v) || v > max)
		return false;
	*out = (unsigned)v;
	return true;
}

/* "/24", "//64", "/24//64" at the end of a and mx */
static bool
prefix_read_dual(struct spf_reader *r, struct bytes *spec, struct spf_term *t)
{
	struct bytes digits;

	if (!prefix_take(spec, &digits))
		return true;
	if (spec->n > 0 && spec->p[spec->n - 1] == '/') {
		*spec = bytes_head(*spec, spec->n - 1);
		if (!prefix_read(digits, BITS_IP6, &t->bits6))
			return wrong(r, "bad IPv6 prefix length");
		if (!prefix_take(spec, &digits))
			return true;
	}
	return prefix_read(digits, BITS_IP4, &t->bits4) ||
	    wrong(r, "bad IPv4 prefix length");
}

/* -- mechanisms ------------------------------------------------------------ */

static bool
read_network(struct spf_reader *r, struct bytes spec, struct spf_term *t)
{
	bool	     is_ip4 = t->kind == SPF_TERM_IP4;
	char	     text[INET6_ADDRSTRLEN];
	struct bytes digits;

	if (prefix_take(&spec, &digits) &&
	    !prefix_read(digits, is_ip4 ? BITS_IP4 : BITS_IP6,
		is_ip4 ? &t->bits4 : &t->bits6))
		return wrong(r, is_ip4 ? "bad IPv4 prefix length" :
		    "bad IPv6 prefix length");
	if (spec.n >= sizeof(text) ||
	    inet_pton(is_ip4 ? AF_INET : AF_INET6,
		bytes_text(spec, text, sizeof(text)), t->network) != 1)
		return wrong(r, is_ip4 ? "bad IPv4 address" :
		    "bad IPv6 address");
	return true;
}

/* What stands behind the name, which is one of the table. */
static bool
read_argument(struct spf_reader *r, const struct mechanism *m,
    struct bytes rest, struct spf_term *t)
{
	bool is_given = rest.n > 0 && rest.p[0] == ':';

	if (rest.n > 0 && m->domain == NO_DOMAIN)
		return wrong(r, "nothing may follow the name");
	if (!is_given && m->domain == NEEDS_DOMAIN)
		return wrong(r, "the value is missing");
	if (is_given)
		rest = bytes_from(rest, 1);
	if (t->kind == SPF_TERM_IP4 || t->kind == SPF_TERM_IP6)
		return read_network(r, rest, t);
	if (m->has_prefix && !prefix_read_dual(r, &rest, t))
		return false;
	if (!is_given)
		return rest.n == 0 || wrong(r, "bad prefix length");
	t->domain = rest;
	r->wrong = spf_macro_check_domain(rest);
	return r->wrong == NULL;
}

static bool
read_mechanism(struct spf_reader *r, struct bytes one, struct spf_term *t)
{
	struct bytes name;
	size_t	     i, n = 0;

	if (strchr("+-~?", one.p[0]) != NULL) {
		t->qualifier = one.p[0];
		one = bytes_from(one, 1);
	}
	while (n < one.n && one.p[n] != ':' && one.p[n] != '/')
		n++;
	name = bytes_head(one, n);
	for (i = 0; i < sizeof(mechanisms) / sizeof(mechanisms[0]); i++)
		if (bytes_eq_nocase(name, bytes_of(mechanisms[i].name))) {
			t->kind = mechanisms[i].kind;
			return read_argument(r, &mechanisms[i],
			    bytes_from(one, n), t);
		}
	return wrong(r, "unknown mechanism");
}

/* -- modifiers ------------------------------------------------------------- */

/* Octets of a name with "=" behind it; 0 = it is no modifier. */
static size_t
modifier_name(struct bytes one)
{
	size_t n = 0;

	if (!isalpha((unsigned char)one.p[0]))
		return 0;
	while (n < one.n && (isalnum((unsigned char)one.p[n]) ||
				strchr("-_.", one.p[n]) != NULL))
		n++;
	return n < one.n && one.p[n] == '=' ? n : 0;
}

static bool
read_modifier(struct spf_reader *r, struct bytes one, size_t n,
    struct spf_term *t)
{
	struct bytes name = bytes_head(one, n);
	bool	    *seen;

	t->domain = bytes_from(one, n + 1);
	if (bytes_eq_nocase(name, BYTES("redirect"))) {
		t->kind = SPF_TERM_REDIRECT;
		seen = &r->has_redirect;
	} else if (bytes_eq_nocase(name, BYTES("exp"))) {
		t->kind = SPF_TERM_EXP;
		seen = &r->has_exp;
	} else {
		t->kind = SPF_TERM_OTHER;
		r->wrong = spf_macro_check(t->domain);
		return r->wrong == NULL;
	}
	if (*seen)
		return wrong(r, "given twice");
	*seen = true;
	r->wrong = spf_macro_check_domain(t->domain);
	return r->wrong == NULL;
}

/* -- terms ----------------------------------------------------------------- */

bool
spf_reader_next(struct spf_reader *r, struct spf_term *out)
{
	ptrdiff_t end;
	size_t	  i, n;

	memset(out, 0, sizeof(*out));
	out->qualifier = '+';
	out->bits4 = BITS_IP4;
	out->bits6 = BITS_IP6;
	while (r->rest.n > 0 && r->rest.p[0] == ' ')
		r->rest = bytes_from(r->rest, 1);
	if (r->rest.n == 0 || r->wrong != NULL)
		return false;
	end = bytes_find(r->rest, 0, ' ');
	r->where = end < 0 ? r->rest : bytes_head(r->rest, (size_t)end);
	r->rest = bytes_from(r->rest, r->where.n);
	for (i = 0; i < r->where.n; i++)
		if (r->where.p[i] < 0x21 || r->where.p[i] > 0x7e)
			return wrong(r, "an octet that is not printable ASCII");
	n = modifier_name(r->where);
	return n > 0 ? read_modifier(r, r->where, n, out) :
	    read_mechanism(r, r->where, out);
}

bool
spf_term_has(const struct spf_term *t, int family, const unsigned char *ip)
{
	unsigned bits = family == AF_INET ? t->bits4 : t->bits6;
	unsigned mask = 0xff00u >> bits % 8 & 0xff;
	size_t	 whole = bits / 8;

	if (t->kind != (family == AF_INET ? SPF_TERM_IP4 : SPF_TERM_IP6))
		return false;
	return memcmp(t->network, ip, whole) == 0 &&
	    (mask == 0 || ((t->network[whole] ^ ip[whole]) & mask) == 0);
}

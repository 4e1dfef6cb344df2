/* SPDX-License-Identifier: ISC */
#include <arpa/inet.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/ascii.h"
#include "base/err.h"
#include "net/resolver_private.h"

struct answer_box {
	struct dns_answer a; /* first: the pointer given out */
	atomic_uint	  refs;
	size_t		  size;
};

const char *
dns_status_to_text(enum dns_status s)
{
	switch (s) {
	case DNS_FOUND:
		return "found";
	case DNS_NO_DATA:
		return "no-data";
	case DNS_NXDOMAIN:
		return "nxdomain";
	case DNS_SERVFAIL:
		return "servfail";
	case DNS_TIMEOUT:
		return "timeout";
	case DNS_UNREACHABLE:
		return "unreachable";
	}
	return "unknown";
}

/* -- names ---------------------------------------------------------------- */

static bool
name_may_have(char c)
{
	/* '/' is in names of classless reverse zones (RFC 2317) */
	return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '-' ||
	    c == '_' || c == '/';
}

bool
dns_name_normalize(const char *given, char out[DNS_NAME_SIZE])
{
	size_t i, label = 0, n = strlen(given);
	char   c;

	if (n > 0 && given[n - 1] == '.')
		n--;
	if (n == 0 || n > 253)
		return false;
	for (i = 0; i < n; i++) {
		out[i] = c = ascii_lower(given[i]);
		if (c == '.' && label == 0)
			return false;
		if (c != '.' && (!name_may_have(c) || label == 63))
			return false;
		label = c == '.' ? 0 : label + 1;
	}
	out[n] = '\0';
	return label > 0;
}

/* -- answers -------------------------------------------------------------- */

/* One piece of memory: the struct, the arrays, then all strings. */
struct answer_layout {
	size_t records, strings, size;
};

static size_t
answer_record_size(enum resolver_type type)
{
	switch (type) {
	case RESOLVER_MX:
		return sizeof(struct dns_mx);
	case RESOLVER_A:
	case RESOLVER_AAAA:
		return sizeof(struct dns_address);
	case RESOLVER_TXT:
		return sizeof(struct bytes);
	case RESOLVER_PTR:
	case RESOLVER_CNAME:
	case RESOLVER_NS:
		break;
	}
	return sizeof(const char *);
}

static void
answer_fill(struct dns_answer *a, const struct dns_draft *d, void *records,
    const char *strings)
{
	struct dns_mx	   *mx = records;
	struct dns_address *address = records;
	struct bytes	   *text = records;
	const char	  **name = records;
	size_t		    i;

	for (i = 0; i < a->count; i++) {
		switch (a->type) {
		case RESOLVER_MX:
			mx[i].preference = d->preference[i];
			mx[i].host = strings + d->offset[i];
			a->mx = mx;
			break;
		case RESOLVER_A:
		case RESOLVER_AAAA:
			address[i] = d->address[i];
			a->addresses = address;
			break;
		case RESOLVER_TXT:
			text[i].p = strings + d->offset[i];
			text[i].n = d->length[i];
			a->texts = text;
			break;
		case RESOLVER_PTR:
		case RESOLVER_CNAME:
		case RESOLVER_NS:
			name[i] = strings + d->offset[i];
			a->names = name;
			break;
		}
	}
}

struct dns_answer *
dns_answer_make(enum dns_status status, enum resolver_type type,
    const char *name, const struct dns_walk *walk, const struct dns_draft *d)
{
	size_t		   count = status == DNS_FOUND ? d->count : 0;
	size_t		   records = count * answer_record_size(type);
	size_t		   name_n = strlen(name) + 1;
	size_t		   canon_n = strlen(walk->name) + 1;
	size_t		   strings = count > 0 ? d->strings.n : 0;
	size_t		   size;
	struct answer_box *b;
	char		  *p;

	size = sizeof(*b) + records + name_n + canon_n + strings;
	b = mem_alloc(size);
	b->size = size;
	atomic_init(&b->refs, 1);
	b->a.status = status;
	b->a.type = type;
	b->a.count = count;
	b->a.secure = d != NULL && d->secure;
	if (count > 0)
		b->a.ttl = d->ttl < walk->ttl ? d->ttl : walk->ttl;
	p = (char *)(b + 1) + records;
	b->a.name = memcpy(p, name, name_n);
	b->a.canonical = memcpy(p + name_n, walk->name, canon_n);
	if (strings > 0)
		memcpy(p + name_n + canon_n, d->strings.p, strings);
	answer_fill(&b->a, d, b + 1, p + name_n + canon_n);
	return &b->a;
}

size_t
dns_answer_size(const struct dns_answer *a)
{
	return ((const struct answer_box *)(const void *)a)->size;
}

struct dns_answer *
dns_answer_ref(const struct dns_answer *a)
{
	struct answer_box *b = (struct answer_box *)(uintptr_t)a;

	atomic_fetch_add(&b->refs, 1);
	return &b->a;
}

void
dns_answer_unref(const struct dns_answer *a)
{
	struct answer_box *b = (struct answer_box *)(uintptr_t)a;

	if (b != NULL && atomic_fetch_sub(&b->refs, 1) == 1)
		mem_free(b);
}

/* -- addresses ------------------------------------------------------------ */

static bool
v4_is_private(uint32_t ip)
{
	static const struct {
		uint32_t net;
		unsigned bits;
	} nets[] = {
		{ 0x00000000, 8 },  /* 0/8 this network */
		{ 0x0a000000, 8 },  /* 10/8 */
		{ 0x64400000, 10 }, /* 100.64/10 shared by a carrier */
		{ 0x7f000000, 8 },  /* loopback */
		{ 0xa9fe0000, 16 }, /* link-local */
		{ 0xac100000, 12 }, /* 172.16/12 */
		{ 0xc0000000, 24 }, /* 192.0.0/24 protocols */
		{ 0xc0000200, 24 }, /* documentation */
		{ 0xc0a80000, 16 }, /* 192.168/16 */
		{ 0xc6120000, 15 }, /* benchmarks */
		{ 0xc6336400, 24 }, /* documentation */
		{ 0xcb007100, 24 }, /* documentation */
		{ 0xe0000000, 4 },  /* multicast */
		{ 0xf0000000, 4 },  /* reserved, broadcast */
	};
	size_t i;

	for (i = 0; i < sizeof(nets) / sizeof(nets[0]); i++)
		if ((ip ^ nets[i].net) >> (32 - nets[i].bits) == 0)
			return true;
	return false;
}

static uint32_t
v4_at(const uint8_t *p)
{
	return (uint32_t)p[0] << 24 | (uint32_t)p[1] << 16 |
	    (uint32_t)p[2] << 8 | p[3];
}

static bool
v6_is_private(const uint8_t *p)
{
	static const uint8_t zero[16] = { 0 };
	static const uint8_t nat64[12] = { 0x00, 0x64, 0xff, 0x9b };

	if (memcmp(p, zero, 10) == 0 && p[10] == 0xff && p[11] == 0xff)
		return v4_is_private(v4_at(p + 12)); /* ::ffff:0:0/96 */
	if (memcmp(p, zero, 12) == 0)
		return true; /* ::, ::1, and the dead ::a.b.c.d */
	if (memcmp(p, nat64, 12) == 0)
		return v4_is_private(v4_at(p + 12));
	if (p[0] == 0x20 && p[1] == 0x02)
		return v4_is_private(v4_at(p + 2)); /* 6to4 */
	return (p[0] & 0xfe) == 0xfc ||		       /* fc00::/7 */
	    (p[0] == 0xfe && p[1] >= 0x80) ||	       /* fe80::, fec0:: */
	    p[0] == 0xff ||			       /* multicast */
	    (p[0] == 0x01 && memcmp(p + 1, zero, 7) == 0) || /* 100::/64 */
	    (p[0] == 0x20 && p[1] == 0x01 && p[2] == 0x0d &&
		p[3] == 0xb8) ||		       /* documentation */
	    (p[0] == 0x3f && p[1] == 0xff && p[2] < 0x10); /* likewise */
}

bool
dns_address_is_private(const struct dns_address *a)
{
	if (a->family == AF_INET)
		return v4_is_private(ntohl(a->ip.v4.s_addr));
	if (a->family == AF_INET6)
		return v6_is_private(a->ip.v6.s6_addr);
	return true;
}

bool
dns_address_parse(struct bytes text, struct dns_address *out)
{
	char buf[INET6_ADDRSTRLEN + 1];

	memset(out, 0, sizeof(*out));
	if (text.n == 0 || text.n >= sizeof(buf) ||
	    memchr(text.p, '\0', text.n) != NULL)
		return false;
	bytes_text(text, buf, sizeof(buf));
	out->family = strchr(buf, ':') == NULL ? AF_INET : AF_INET6;
	return inet_pton(out->family, buf, &out->ip) == 1;
}

const char *
dns_address_text(const struct dns_address *a, char out[64])
{
	if (inet_ntop(a->family, &a->ip, out, 64) == NULL)
		snprintf(out, 64, "?");
	return out;
}

void
dns_reverse_name(const struct dns_address *a, char out[80])
{
	static const char digits[] = "0123456789abcdef";
	const uint8_t	 *p = (const uint8_t *)&a->ip;
	size_t		  i, n = 0;

	if (a->family == AF_INET) {
		snprintf(out, 80, "%u.%u.%u.%u.in-addr.arpa", p[3], p[2],
		    p[1], p[0]);
		return;
	}
	must(a->family == AF_INET6);
	for (i = 16; i-- > 0;) {
		out[n++] = digits[p[i] & 15];
		out[n++] = '.';
		out[n++] = digits[p[i] >> 4];
		out[n++] = '.';
	}
	snprintf(out + n, 80 - n, "ip6.arpa");
}

/* SPDX-License-Identifier: ISC */
#include "net/url.h"

#include <sys/socket.h>
#include <string.h>

#include "base/ascii.h"

static bool
url_fail(const char **why, const char *text)
{
	*why = text;
	return false;
}

static bool
is_host_char(char c)
{
	return (c >= 'a' && c <= 'z') || ascii_is_digit(c) || c == '-' ||
	    c == '.' || c == '_';
}

static void
url_lower(struct bytes host, char *out)
{
	size_t i;

	for (i = 0; i < host.n; i++)
		out[i] = ascii_lower(host.p[i]);
	out[host.n] = '\0';
}

/* Labels of 1 to 63, the last of them not of digits only. */
static bool
host_is_name(const char *s)
{
	size_t i, label = 0;
	bool   has_letter = false;

	for (i = 0; s[i] != '\0'; i++) {
		if (!is_host_char(s[i]))
			return false;
		if (s[i] == '.') {
			if (label == 0)
				return false;
			label = 0;
			has_letter = false;
			continue;
		}
		has_letter |= !ascii_is_digit(s[i]);
		if (++label > 63)
			return false;
	}
	return label > 0 && has_letter;
}

static bool
url_read_host(struct bytes host, struct url *out, const char **why)
{
	bool is_v6 = host.n > 1 && host.p[0] == '[';

	if (is_v6)
		host = (struct bytes){ host.p + 1, host.n - 2 };
	if (host.n == 0 || host.n >= sizeof(out->host))
		return url_fail(why, "has no host");
	url_lower(host, out->host);
	out->is_address = dns_address_parse(bytes_of(out->host),
	    &out->address) && (out->address.family == AF_INET6) == is_v6;
	if (is_v6)
		return out->is_address ||
		    url_fail(why, "has no IPv6 address in its brackets");
	return out->is_address || host_is_name(out->host) ||
	    url_fail(why, "has no host name or address");
}

static bool
url_read_port(struct bytes digits, struct url *out, const char **why)
{
	uint64_t port;

	if (digits.n > 5 || !bytes_to_u64(digits, &port) || port == 0 ||
	    port > 65535)
		return url_fail(why, "has no port from 1 to 65535");
	out->port = (uint16_t)port;
	return true;
}

/* The end of a host: behind the brackets, or at the colon. */
static ptrdiff_t
host_end(struct bytes authority)
{
	ptrdiff_t end;

	if (authority.n > 0 && authority.p[0] == '[') {
		end = bytes_find(authority, 0, ']');
		return end < 0 ? -1 : end + 1;
	}
	end = bytes_find(authority, 0, ':');
	return end < 0 ? (ptrdiff_t)authority.n : end;
}

static bool
url_read_authority(struct bytes a, struct url *out, const char **why)
{
	ptrdiff_t end = host_end(a);

	if (bytes_find(a, 0, '@') >= 0)
		return url_fail(why, "has a user or a password in it");
	if (end < 0)
		return url_fail(why, "has no IPv6 address in its brackets");
	if (!url_read_host(bytes_head(a, (size_t)end), out, why))
		return false;
	a = bytes_from(a, (size_t)end);
	if (a.n == 0)
		return true;
	if (a.p[0] != ':')
		return url_fail(why, "has something behind its address");
	return url_read_port(bytes_from(a, 1), out, why);
}

bool
url_read(struct bytes text, struct url *out, const char **why)
{
	struct bytes rest;
	size_t	     i;

	memset(out, 0, sizeof(*out));
	if (text.n == 0 || text.n > URL_TEXT_MAX)
		return url_fail(why, "is empty or longer than 1024 octets");
	for (i = 0; i < text.n; i++)
		if (text.p[i] <= ' ' || text.p[i] > '~' ||
		    text.p[i] == '\\' || text.p[i] == '"')
			return url_fail(why,
			    "has characters that have to be encoded");
	out->is_https = bytes_starts_nocase(text, BYTES("https://"));
	if (!out->is_https && !bytes_starts_nocase(text, BYTES("http://")))
		return url_fail(why, "is no absolute https URL");
	out->port = out->is_https ? 443 : 80;
	rest = bytes_from(text, out->is_https ? 8 : 7);
	if (bytes_find(rest, 0, '#') >= 0)
		return url_fail(why, "has a fragment");
	for (i = 0; i < rest.n && rest.p[i] != '/' && rest.p[i] != '?'; i++)
		continue;
	return url_read_authority(bytes_head(rest, i), out, why);
}

bool
url_is_local(const struct url *u)
{
	size_t n = strlen(u->host);

	if (u->is_address)
		return u->address.family == AF_INET ?
		    ntohl(u->address.ip.v4.s_addr) >> 24 == 127 :
		    IN6_IS_ADDR_LOOPBACK(&u->address.ip.v6) != 0;
	return strcmp(u->host, "localhost") == 0 ||
	    (n > 10 && strcmp(u->host + n - 10, ".localhost") == 0);
}

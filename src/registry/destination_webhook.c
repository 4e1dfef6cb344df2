/* SPDX-License-Identifier: ISC */
/* Part of registry/destination.h: webhooks (events.md 10.3). */
#include <string.h>

#include "base/ascii.h"
#include "net/url.h"
#include "registry/destination.h"

void
destination_new_key(struct destination_webhook *w, struct wall now)
{
	static const uint8_t none[WEBHOOK_KEY_OCTETS];

	if (memcmp(w->key, none, sizeof(none)) != 0) {
		memcpy(w->old_key, w->key, sizeof(w->old_key));
		w->rotated = now;
	}
	mem_random(w->key, sizeof(w->key));
}

char *
destination_secret(const struct destination_webhook *w,
    char out[WEBHOOK_SECRET_SIZE])
{
	memcpy(out, "whsec_", 6);
	base64_encode(w->key, sizeof(w->key), out + 6);
	return out;
}

int
destination_check_url(const char *text, bool allow_http, bool allow_private,
    struct err *e)
{
	const char *why;
	struct url  u;

	if (!url_read(bytes_of(text), &u, &why))
		return book_refuse(e, BOOK_BAD_REQUEST, "Url: %s", why);
	if (!u.is_https && !allow_http && !url_is_local(&u))
		return book_refuse(e, BOOK_BAD_REQUEST, "Url: is not https "
		    "(events.webhook_allow_http)");
	if (!allow_private && (url_is_local(&u) ||
		(u.is_address && dns_address_is_private(&u.address))))
		return book_refuse(e, BOOK_BAD_REQUEST, "Url: %.100s is a "
		    "private address (events.webhook_allow_private)",
		    u.host);
	return 0;
}

/* What the request has by itself, or what would change where it ends. */
static bool
header_is_ours(struct bytes name)
{
	static const char *const names[] = { "host", "content-length",
		"content-type", "content-encoding", "transfer-encoding",
		"connection", "keep-alive", "upgrade", "te", "trailer",
		"expect", "user-agent", NULL };
	size_t i;

	for (i = 0; names[i] != NULL; i++)
		if (bytes_eq_nocase(name, bytes_of(names[i])))
			return true;
	return bytes_starts_nocase(name, BYTES("webhook-")) ||
	    bytes_starts_nocase(name, BYTES("x-posthorn-")) ||
	    bytes_starts_nocase(name, BYTES("proxy-"));
}

/* RFC 9110 5.1 and 5.5, ASCII only. */
static bool
header_is_valid(struct bytes line)
{
	static const char marks[] = "!#$%&'*+-.^_`|~";
	ptrdiff_t colon = bytes_find(line, 0, ':');
	size_t	  i;
	char	  c;

	if (colon < 1)
		return false;
	for (i = 0; i < line.n; i++) {
		c = line.p[i];
		if (i < (size_t)colon ? !(ascii_is_alnum(c) ||
			strchr(marks, c) != NULL) : c < ' ' || c > '~')
			return false;
	}
	return !header_is_ours(bytes_head(line, (size_t)colon));
}

bool
destination_headers_are_valid(const char *headers)
{
	const char *end;
	unsigned    n = 0;

	for (; *headers != '\0'; headers = end + 1, n++) {
		end = strchr(headers, '\n');
		if (end == NULL || !header_is_valid((struct bytes){ headers,
				       (size_t)(end - headers) }))
			return false;
	}
	return n <= DESTINATION_HEADERS_MAX;
}

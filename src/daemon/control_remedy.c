/* SPDX-License-Identifier: ISC */
#include "daemon/control_remedy.h"

#include <stdarg.h>
#include <stdio.h>
#include <string.h>

#include "daemon/control_identity.h"
#include "net/resolver.h"
#include "net/stream.h"

enum { REMEDY_TEXT_SIZE = 4096, TXT_STRING_MAX = 255 };

/* -- members --------------------------------------------------------------- */

static json_t *
remedy_text(const char *fmt, va_list ap)
    __attribute__((format(printf, 1, 0)));
static json_t *
remedy_text(const char *fmt, va_list ap)
{
	char text[REMEDY_TEXT_SIZE];

	vsnprintf(text, sizeof(text), fmt, ap);
	return json_of_bytes(bytes_of(text));
}

static void
remedy_put(json_t *finding, const char *action, json_t *hint)
{
	json_object_set_new(finding, "Action", json_string(action));
	json_object_set_new(finding, "Hint", hint);
}

void
remedy_reason(json_t *finding, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_object_set_new(json_object_get(finding, "Detail"), "Reason",
	    remedy_text(fmt, ap));
	va_end(ap);
}

void
remedy_run(json_t *finding, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	remedy_put(finding, "RUN", remedy_text(fmt, ap));
	va_end(ap);
}

void
remedy_set(json_t *finding, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	remedy_put(finding, "SET", remedy_text(fmt, ap));
	va_end(ap);
}

void
remedy_note(json_t *finding, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_object_set_new(finding, "Note", remedy_text(fmt, ap));
	va_end(ap);
}

void
remedy_then(json_t *finding, const char *fmt, ...)
{
	va_list ap;

	va_start(ap, fmt);
	json_object_set_new(finding, "Then", remedy_text(fmt, ap));
	va_end(ap);
}

void
remedy_publish(json_t *finding, const char *name, const char *type,
    const char *fmt, ...)
{
	char	value[1024], text[REMEDY_TEXT_SIZE];
	va_list ap;

	va_start(ap, fmt);
	vsnprintf(value, sizeof(value), fmt, ap);
	va_end(ap);
	snprintf(text, sizeof(text), "%s %s %s", name, type, value);
	remedy_put(finding, "PUBLISH", json_of_bytes(bytes_of(text)));
}

void
remedy_publish_txt(json_t *finding, const char *name, struct bytes value)
{
	struct buf text;
	size_t	   i;

	buf_init(&text, 4 * REMEDY_TEXT_SIZE);
	buf_printf(&text, "%s TXT \"", name);
	for (i = 0; i < value.n; i++) {
		if (i > 0 && i % TXT_STRING_MAX == 0)
			buf_add_text(&text, "\" \"");
		if (value.p[i] == '"' || value.p[i] == '\\')
			buf_add_char(&text, '\\');
		buf_add_char(&text, value.p[i]);
	}
	buf_add_char(&text, '"');
	remedy_put(finding, "PUBLISH", json_of_bytes(buf_bytes(&text)));
	buf_wipe(&text);
}

const char *
remedy_word(const char *text, char out[REMEDY_WORD_SIZE])
{
	size_t n = 0;

	if (text[0] != '\0' && text[0] != '-' &&
	    bytes_is_word(bytes_of(text), "@%+=:,./_-"))
		return text;
	out[n++] = '\'';
	for (; *text != '\0' && n + 6 < REMEDY_WORD_SIZE; text++) {
		if (*text == '\'') {
			memcpy(out + n, "'\\''", 4);
			n += 4;
		} else
			out[n++] = *text;
	}
	out[n++] = '\'';
	out[n] = '\0';
	return out;
}

void
remedy_ask(json_t *finding, const char *type, const char *name)
{
	char word[REMEDY_WORD_SIZE];

	remedy_run(finding, "dig +short %s %s", type,
	    remedy_word(name, word));
}

/* -- SPF ------------------------------------------------------------------- */

void
remedy_publish_spf(json_t *finding, struct request *q, const char *domain)
{
	json_t *value = mail_from_spf_json(q);

	remedy_publish_txt(finding, domain,
	    bytes_of(json_string_value(value)));
	json_decref(value);
}

void
remedy_then_print_spf(json_t *finding, const char *name)
{
	remedy_note(finding, "and what posthornctl spf print shows: the "
	    "record of %s", name);
	remedy_then(finding, "posthornctl spf print");
}

void
remedy_publish_sources(json_t *finding, struct request *q,
    const json_t *rows, const char *domain)
{
	const json_t *first = json_array_get(rows, 0);

	if (q->conf->mail_from.spf_include == NULL || first == NULL) {
		remedy_publish_spf(finding, q, domain);
		return;
	}
	remedy_publish_txt(finding,
	    json_string_value(json_object_get(first, "Name")),
	    bytes_of(json_string_value(json_object_get(first, "Value"))));
	if (json_array_size(rows) > 1)
		remedy_then_print_spf(finding, "what it includes");
}

/* -- the host that bounces come to ----------------------------------------- */

/* The world sees it, as far as can be told. */
static bool
address_is_public(const char *text)
{
	struct dns_address a;

	return strcmp(text, "0.0.0.0") != 0 && strcmp(text, "::") != 0 &&
	    dns_address_parse(bytes_of(text), &a) &&
	    !dns_address_is_private(&a);
}

static bool
listener_is_intake(const struct conf_listener *l)
{
	return l->enabled && (l->roles & CONF_ROLE_INTAKE) != 0;
}

/* One that an intake listener names, or that the system would take. */
static int
feedback_address(const struct conf *c, char out[64])
{
	static const int	families[] = { AF_INET, AF_INET6 };
	const struct conf_addr *a;
	char			text[STREAM_ADDR_MAX + 48];
	size_t			i, k;

	for (i = 0; i < c->listener_count; i++)
		for (k = 0; listener_is_intake(&c->listeners[i]) &&
		     k < c->listeners[i].addresses.n; k++) {
			a = &c->listeners[i].addresses.v[k];
			if (a->family != AF_INET && a->family != AF_INET6)
				continue;
			sockaddr_text(&a->u.sa, false, text);
			if (!address_is_public(text))
				continue;
			snprintf(out, 64, "%.63s", text);
			return a->family;
		}
	for (i = 0; i < sizeof(families) / sizeof(families[0]); i++)
		if (control_ip_of_system(families[i], out) &&
		    address_is_public(out))
			return families[i];
	return AF_UNSPEC;
}

void
remedy_publish_feedback(json_t *finding, const struct conf *c)
{
	char address[64];
	int  family = feedback_address(c, address);

	if (family == AF_UNSPEC) {
		remedy_publish(finding, c->mail_from.mx_host, "A", "ADDRESS");
		remedy_note(finding, "ADDRESS: that of this host which the "
		    "world sees, with port 25");
	} else
		remedy_publish(finding, c->mail_from.mx_host,
		    family == AF_INET ? "A" : "AAAA", "%s", address);
}

void
remedy_set_intake(json_t *finding, const struct conf *c)
{
	const struct conf_listener *l = conf_listener_find(c,
		   BYTES("smtp"));

	if (l != NULL && !l->enabled)
		remedy_set(finding, "listener.smtp.enabled yes");
	else
		remedy_set(finding, "listener.smtp.role submission, intake");
	remedy_then(finding, "systemctl restart posthorn");
}

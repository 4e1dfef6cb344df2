/* SPDX-License-Identifier: ISC */
#include "mail/smtp.h"

#include <stdio.h>
#include <string.h>

#include "base/err.h"
#include "mail/smtp_private.h"

enum {
	EHLO_NAME_MAX = 255,
	SIZE_DIGITS_MAX = 20,
	PATH_SHOWN_MAX = 256
};

static const char *const verb_names[VERB_COUNT] = {
	[VERB_UNKNOWN] = "?", [VERB_EHLO] = "EHLO", [VERB_HELO] = "HELO",
	[VERB_STARTTLS] = "STARTTLS", [VERB_AUTH] = "AUTH",
	[VERB_MAIL] = "MAIL", [VERB_RCPT] = "RCPT", [VERB_DATA] = "DATA",
	[VERB_BDAT] = "BDAT", [VERB_RSET] = "RSET", [VERB_NOOP] = "NOOP",
	[VERB_VRFY] = "VRFY", [VERB_HELP] = "HELP", [VERB_QUIT] = "QUIT",
	[VERB_KNOWN] = "KNOWN", [VERB_HTTP] = "HTTP",
};
static const char *const known_verbs[] = {
	"EXPN", "ETRN", "TURN", "ATRN", "SEND", "SOML", "SAML", "BURL",
};
static const char *const http_methods[] = {
	"GET ", "POST ", "PUT ", "HEAD ", "CONNECT ", "OPTIONS ",
};

const char *
verb_to_text(enum verb v)
{
	must(v < VERB_COUNT);
	return verb_names[v];
}

static enum verb
verb_find(struct bytes line, struct bytes word)
{
	unsigned v;
	size_t	 i;

	for (v = VERB_EHLO; v < VERB_KNOWN; v++)
		if (bytes_eq_nocase(word, bytes_of(verb_names[v])))
			return (enum verb)v;
	for (i = 0; i < sizeof(known_verbs) / sizeof(known_verbs[0]); i++)
		if (bytes_eq_nocase(word, bytes_of(known_verbs[i])))
			return VERB_KNOWN;
	for (i = 0; i < sizeof(http_methods) / sizeof(http_methods[0]); i++)
		if (bytes_starts(line, bytes_of(http_methods[i])))
			return VERB_HTTP;
	return VERB_UNKNOWN;
}

/* -- paths ---------------------------------------------------------------- */

/* Index of the ">" that ends the path begun at 0; 0 = there is none. */
static size_t
path_end(struct bytes s)
{
	size_t i;
	bool   quoted = false;

	for (i = 1; i < s.n; i++) {
		if (quoted && s.p[i] == '\\')
			i++;
		else if (s.p[i] == '"')
			quoted = !quoted;
		else if (!quoted && s.p[i] == '>')
			return i;
	}
	return 0;
}

/* "@a,@b:" in front of the mailbox; read and dropped. */
static struct bytes
drop_source_route(struct bytes path)
{
	ptrdiff_t colon;

	if (path.n == 0 || path.p[0] != '@')
		return path;
	colon = bytes_find(path, 0, ':');
	if (colon < 0)
		return path;
	return bytes_from(path, (size_t)colon + 1);
}

static bool
route_is_valid(struct bytes path, struct bytes mailbox)
{
	struct bytes route = bytes_head(path, path.n - mailbox.n);
	ptrdiff_t    comma;

	if (route.n == 0)
		return true;
	route.n--; /* the colon */
	do {
		struct bytes hop;

		comma = bytes_find(route, 0, ',');
		hop = comma < 0 ? route : bytes_head(route, (size_t)comma);
		if (hop.n < 2 || hop.p[0] != '@')
			return false;
		hop = bytes_from(hop, 1);
		if (hop.p[0] != '[' && !domain_is_valid(hop,
		    ADDRESS_ALLOW_SINGLE_LABEL | ADDRESS_ALLOW_UNDERSCORE))
			return false;
		if (comma >= 0)
			route = bytes_from(route, (size_t)comma + 1);
	} while (comma >= 0);
	return true;
}

/* Reads the path off the front of *rest and judges it. */
static void
take_path(struct command *c, struct bytes *rest, unsigned flags)
{
	size_t end = rest->n > 0 && rest->p[0] == '<' ? path_end(*rest) : 0;

	if (end == 0) {
		c->syntax = COMMAND_BAD_PATH;
		c->path = take_word(rest);
		if (c->path.n > 0 && c->path.p[0] == '<')
			c->path = bytes_from(c->path, 1);
		return;
	}
	c->path = bytes_head(bytes_from(*rest, 1), end - 1);
	*rest = bytes_from(*rest, end + 1);
	c->mailbox = drop_source_route(c->path);
	if (c->verb == VERB_MAIL && c->path.n == 0)
		c->null = true;
	else if (c->verb == VERB_RCPT &&
	    bytes_eq_nocase(c->path, BYTES("postmaster")))
		c->postmaster = true;
	else if (!route_is_valid(c->path, c->mailbox) ||
	    !address_parse(c->mailbox, flags, &c->address))
		c->syntax = COMMAND_BAD_PATH;
	if (c->postmaster)
		c->address.local = c->mailbox;
	if (c->syntax == COMMAND_OK && rest->n > 0 &&
	    !ascii_is_blank(rest->p[0]))
		c->syntax = COMMAND_BAD_PARAMS;
	*rest = trim_blanks(*rest);
}

/* -- parameters ----------------------------------------------------------- */

enum {
	SEEN_SIZE = 1,
	SEEN_BODY = 2,
	SEEN_AUTH = 4,
	SEEN_RET = 8,
	SEEN_ENVID = 16,
	SEEN_NOTIFY = 32,
	SEEN_ORCPT = 64
};

static bool
is_keyword(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (!ascii_is_alnum(s.p[i]) && (i == 0 || s.p[i] != '-'))
			return false;
	return s.n > 0;
}

/* esmtp-value: printable without blank; "=" is let through for AUTH. */
static bool
is_param_value(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		if (s.p[i] < 0x21 || s.p[i] > 0x7e)
			return false;
	return s.n > 0;
}

static bool
is_xtext(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '=')
			return false;
		if (s.p[i] != '+')
			continue;
		if (i + 2 >= s.n || !ascii_is_hex(s.p[i + 1]) ||
		    !ascii_is_hex(s.p[i + 2]))
			return false;
		i += 2;
	}
	return s.n > 0;
}

static bool
take_size(struct command *c, struct bytes value)
{
	size_t i;

	if (value.n == 0 || value.n > SIZE_DIGITS_MAX)
		return false;
	for (i = 0; i < value.n; i++)
		if (!ascii_is_digit(value.p[i]))
			return false;
	if (!bytes_to_u64(value, &c->size))
		c->size = UINT64_MAX;
	c->has_size = true;
	return true;
}

/* A parameter of MAIL that posthorn knows; 0 = none of these. */
static unsigned
param_find(struct bytes name)
{
	if (bytes_eq_nocase(name, BYTES("SIZE")))
		return SEEN_SIZE;
	if (bytes_eq_nocase(name, BYTES("BODY")))
		return SEEN_BODY;
	if (bytes_eq_nocase(name, BYTES("AUTH")))
		return SEEN_AUTH;
	if (bytes_eq_nocase(name, BYTES("RET")))
		return SEEN_RET;
	if (bytes_eq_nocase(name, BYTES("ENVID")))
		return SEEN_ENVID;
	return 0;
}

/* The same of RCPT. */
static unsigned
param_find_rcpt(struct bytes name)
{
	if (bytes_eq_nocase(name, BYTES("NOTIFY")))
		return SEEN_NOTIFY;
	if (bytes_eq_nocase(name, BYTES("ORCPT")))
		return SEEN_ORCPT;
	return 0;
}

/* -- RFC 3461: what a client wants to hear -------------------------------- */

bool
smtp_xtext_decode(struct bytes xtext, struct buf *out)
{
	size_t i;
	int    c;

	if (!is_xtext(xtext))
		return false;
	for (i = 0; i < xtext.n; i++) {
		c = (unsigned char)xtext.p[i];
		if (c == '+') {
			c = ascii_hex_value(xtext.p[i + 1]) * 16 +
			    ascii_hex_value(xtext.p[i + 2]);
			i += 2;
		}
		/* it goes into a line of a report */
		if (c < 0x20 || c > 0x7e)
			return false;
		buf_add_char(out, (char)c);
	}
	return !out->failed;
}

static bool
is_good_xtext(struct bytes s, size_t max)
{
	struct buf b;
	bool	   good;

	buf_init(&b, max + 1);
	good = s.n <= max && smtp_xtext_decode(s, &b);
	buf_wipe(&b);
	return good;
}

static const struct {
	const char     *word;
	enum dsn_notify bit;
} notify_words[] = { { "NEVER", DSN_NEVER }, { "SUCCESS", DSN_SUCCESS },
	{ "FAILURE", DSN_FAILURE }, { "DELAY", DSN_DELAY } };
enum { NOTIFY_WORDS = sizeof(notify_words) / sizeof(notify_words[0]) };

char *
dsn_notify_to_text(unsigned notify, char out[DSN_NOTIFY_SIZE])
{
	size_t n = 0;
	int    i;

	out[0] = '\0';
	for (i = 0; i < NOTIFY_WORDS; i++)
		if ((notify & notify_words[i].bit) != 0)
			n += (size_t)snprintf(out + n, DSN_NOTIFY_SIZE - n,
			    "%s%s", n > 0 ? "," : "", notify_words[i].word);
	return out;
}

/* NEVER alone, or a list of the others. */
static bool
take_notify(struct command *c, struct bytes value)
{
	struct bytes rest = value, word;
	ptrdiff_t    comma;
	int	     i;

	do {
		comma = bytes_find(rest, 0, ',');
		word = comma < 0 ? rest : bytes_head(rest, (size_t)comma);
		rest = comma < 0 ? BYTES("") :
				   bytes_from(rest, (size_t)comma + 1);
		for (i = 0; i < NOTIFY_WORDS; i++)
			if (bytes_eq_nocase(word,
				bytes_of(notify_words[i].word)))
				break;
		if (i == NOTIFY_WORDS)
			return false;
		c->notify |= notify_words[i].bit;
	} while (comma >= 0);
	return (c->notify & DSN_NEVER) == 0 || c->notify == DSN_NEVER;
}

static bool
take_orcpt(struct command *c, struct bytes value)
{
	ptrdiff_t semicolon = bytes_find(value, 0, ';');

	c->orcpt = value;
	return semicolon > 0 && value.n <= DSN_ORCPT_MAX &&
	    is_keyword(bytes_head(value, (size_t)semicolon)) &&
	    is_good_xtext(bytes_from(value, (size_t)semicolon + 1),
		DSN_ORCPT_MAX);
}

/* true = the value is one */
static bool
take_dsn(struct command *c, unsigned which, struct bytes value)
{
	switch (which) {
	case SEEN_RET:
		c->ret = bytes_eq_nocase(value, BYTES("FULL")) ?
		    DSN_RETURN_FULL : DSN_RETURN_HEADERS;
		return c->ret == DSN_RETURN_FULL ||
		    bytes_eq_nocase(value, BYTES("HDRS"));
	case SEEN_ENVID:
		c->envid = value;
		return is_good_xtext(value, DSN_ENVID_MAX);
	case SEEN_NOTIFY:
		return take_notify(c, value);
	default:
		return take_orcpt(c, value);
	}
}

static enum command_syntax
take_body(struct command *c, struct bytes word, struct bytes value)
{
	if (bytes_eq_nocase(value, BYTES("7BIT"))) {
		c->body = BODY_7BIT;
	} else if (bytes_eq_nocase(value, BYTES("8BITMIME"))) {
		c->body = BODY_8BITMIME;
	} else {
		c->unsupported = word;
		return COMMAND_UNSUPPORTED;
	}
	return COMMAND_OK;
}

static enum command_syntax
take_param(struct command *c, struct bytes word, unsigned *seen)
{
	ptrdiff_t    eq = bytes_find(word, 0, '=');
	struct bytes name = eq < 0 ? word : bytes_head(word, (size_t)eq);
	struct bytes value = { NULL, 0 };
	unsigned     which;

	if (eq >= 0)
		value = bytes_from(word, (size_t)eq + 1);
	if (!is_keyword(name) || (eq >= 0 && !is_param_value(value)))
		return COMMAND_BAD_PARAMS;
	which = c->verb == VERB_MAIL ? param_find(name) :
				       param_find_rcpt(name);
	if (which == 0) {
		c->unsupported = name;
		return COMMAND_UNSUPPORTED;
	}
	if (eq < 0 || (*seen & which))
		return COMMAND_BAD_PARAMS;
	*seen |= which;
	if (which == SEEN_BODY)
		return take_body(c, word, value);
	if (which == SEEN_SIZE)
		return take_size(c, value) ? COMMAND_OK : COMMAND_BAD_PARAMS;
	if (which != SEEN_AUTH)
		return take_dsn(c, which, value) ? COMMAND_OK :
						   COMMAND_BAD_PARAMS;
	c->has_auth = true;
	return bytes_eq_text(value, "<>") || is_xtext(value) ? COMMAND_OK :
							       COMMAND_BAD_PARAMS;
}

static void
parse_path_command(struct command *c, unsigned flags)
{
	struct bytes rest = c->argument;
	struct bytes key = BYTES("FROM:");
	unsigned     seen = 0;

	if (c->verb == VERB_RCPT) {
		key = BYTES("TO:");
		flags |= ADDRESS_ALLOW_UNDERSCORE;
	}
	if (!bytes_starts_nocase(rest, key)) {
		c->syntax = COMMAND_BAD_PARAMS;
		return;
	}
	rest = trim_blanks(bytes_from(rest, key.n));
	take_path(c, &rest, flags);
	while (c->syntax == COMMAND_OK && rest.n > 0)
		c->syntax = take_param(c, take_word(&rest), &seen);
}

/* -- the other commands --------------------------------------------------- */

static bool
is_host_argument(struct bytes s)
{
	return s.n <= EHLO_NAME_MAX && is_param_value(s);
}

static bool
parse_bdat(struct command *c)
{
	struct bytes rest = c->argument;
	struct bytes size = take_word(&rest);

	if (!bytes_to_u64(size, &c->chunk) || c->chunk > UINT32_MAX)
		return false;
	c->last = bytes_eq_nocase(rest, BYTES("LAST"));
	return c->last || rest.n == 0;
}

static bool
parse_auth(struct command *c)
{
	struct bytes rest = c->argument;

	c->mechanism = take_word(&rest);
	c->has_initial = rest.n > 0;
	c->initial = take_word(&rest);
	return c->mechanism.n > 0 && rest.n == 0;
}

static bool
parse_argument(struct command *c)
{
	switch (c->verb) {
	case VERB_EHLO:
	case VERB_HELO:
		return is_host_argument(c->argument);
	case VERB_STARTTLS:
	case VERB_DATA:
	case VERB_RSET:
	case VERB_QUIT:
		return c->argument.n == 0;
	case VERB_VRFY:
		return c->argument.n > 0;
	case VERB_BDAT:
		return parse_bdat(c);
	case VERB_AUTH:
		return parse_auth(c);
	default:
		return true;
	}
}

void
smtp_command_parse(struct bytes line, unsigned flags, struct command *out)
{
	struct bytes rest = line;
	struct bytes word;

	memset(out, 0, sizeof(*out));
	if (line.n > 0 && memchr(line.p, '\0', line.n) != NULL)
		return;
	word = take_word(&rest);
	out->verb = verb_find(line, word);
	out->argument = rest;
	/* a bare CR belongs to the line and may not be part of any text */
	if (bytes_find(rest, 0, '\r') >= 0)
		out->syntax = COMMAND_BAD_PARAMS;
	else if (out->verb == VERB_MAIL || out->verb == VERB_RCPT)
		parse_path_command(out, flags);
	else if (!parse_argument(out))
		out->syntax = COMMAND_BAD_PARAMS;
}

void
smtp_command_refuse(const struct command *c, struct reply *re)
{
	char	    quoted[SMTP_QUOTED_MAX];
	const char *hint = "", *enhanced;

	must(c->syntax != COMMAND_OK);
	if (c->syntax == COMMAND_BAD_PATH) {
		bool rcpt = c->verb == VERB_RCPT;

		enhanced = rcpt ? "5.1.3" : "5.1.7";
		if (bytes_has_eight_bit(c->path))
			enhanced = "5.6.7";
		reply_set(re, 553, enhanced, "%s %s",
		    smtp_quote_path(c->path, quoted),
		    rcpt ? "address unknown" : "Invalid email address");
	} else if (c->syntax == COMMAND_UNSUPPORTED) {
		reply_set(re, 555, "5.5.4", "Unsupported parameter: %.*s",
		    (int)bytes_head(c->unsupported, REPLY_TEXT_MAX).n,
		    c->unsupported.p);
	} else {
		if (c->verb == VERB_EHLO || c->verb == VERB_HELO)
			hint = ": EHLO needs a host name";
		else if (c->verb == VERB_STARTTLS)
			hint = ": STARTTLS takes no argument";
		reply_set(re, 501, "5.5.4", "Syntax error in parameters%s",
		    hint);
	}
}

char *
smtp_quote_path(struct bytes path, char *dst)
{
	size_t i, n = 0;

	path = bytes_head(path, PATH_SHOWN_MAX);
	dst[n++] = '<';
	for (i = 0; i < path.n; i++)
		dst[n++] = path.p[i] >= 0x20 && path.p[i] <= 0x7e ?
		    path.p[i] : '?';
	dst[n++] = '>';
	dst[n] = '\0';
	return dst;
}

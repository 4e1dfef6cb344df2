/* SPDX-License-Identifier: ISC */
/* The types of values: their names, units, and members as text. */
#include <inttypes.h>
#include <stdio.h>
#include <string.h>

#include "net/stream.h"
#include "registry/conf_private.h"

const struct conf_type_info conf_types[] = {
	[CONF_BOOL] = { sizeof(bool), 0, "bool", "yes or no" },
	[CONF_INT] = { sizeof(uint32_t), 0, "int", "a whole number" },
	[CONF_PORT] = { sizeof(uint16_t), 0, "int", "a port number" },
	[CONF_FLOAT] = { sizeof(double), 0, "float", "a number" },
	[CONF_DURATION] = { sizeof(int64_t), 0, "duration",
	    "a duration (10s, 5m, 6h, 14d)" },
	[CONF_SIZE] = { sizeof(uint64_t), 0, "size",
	    "a size (1024, 64k, 40m, 1g)" },
	[CONF_STRING] = { sizeof(char *), 0, "string", "printable text" },
	[CONF_LABEL] = { sizeof(char *), 0, "string",
	    "a name of letters, digits, dots, - and _" },
	[CONF_HOST] = { sizeof(char *), 0, "host", "a host name" },
	[CONF_PATH] = { sizeof(char *), 0, "path", "an absolute path" },
	[CONF_SOCKET_PATH] = { sizeof(char *), 0, "path",
	    "an absolute path of at most 107 octets" },
	[CONF_ADDRESS] = { sizeof(char *), 0, "address", "a mail address" },
	[CONF_ACCOUNT_ID] = { sizeof(char *), 0, "string",
	    "an account id of 12 digits" },
	[CONF_LOGIN] = { 2 * sizeof(char *), 0, "string",
	    "ACCOUNT/CREDENTIAL, ACCOUNT being 12 digits" },
	[CONF_ADDR] = { sizeof(struct conf_addr), 0, "addr",
	    "an address with port (IP:port, [IPv6]:port, unix:/path)" },
	[CONF_IP] = { sizeof(struct conf_addr), 0, "addr",
	    "an IP address without port" },
	[CONF_TARGET] = { 0, 0, "host[:port]",
	    "a host or [address], with or without :port" },
	[CONF_ENUM] = { sizeof(int), 0, NULL, NULL },
	[CONF_WORDS_SET] = { sizeof(unsigned), 0, NULL, NULL },
	[CONF_STRINGS] = { sizeof(struct conf_any_list), sizeof(char *), "list",
	    "printable text" },
	[CONF_HOSTS] = { sizeof(struct conf_any_list), sizeof(char *),
	    "list of host", "a host name" },
	[CONF_CIDRS] = { sizeof(struct conf_any_list), sizeof(struct conf_cidr),
	    "list of cidr", "an address or a range (10.0.0.0/8)" },
	[CONF_ADDRS] = { sizeof(struct conf_any_list), sizeof(struct conf_addr),
	    "list of addr",
	    "an address with port (IP:port, [IPv6]:port, unix:/path)" },
	[CONF_SERVERS] = { sizeof(struct conf_any_list),
	    sizeof(struct conf_addr), "list of addr",
	    "an IP address, with or without port" },
	[CONF_DURATIONS] = { sizeof(struct conf_any_list), sizeof(int64_t),
	    "list of duration", "a duration (10s, 5m, 6h, 14d)" },
	[CONF_PRINCIPALS] = { sizeof(struct conf_any_list),
	    sizeof(struct conf_principal), "list",
	    "a user name, a @group, a number or *" },
};

bool
conf_is_list(enum conf_type type)
{
	return conf_types[type].element != 0;
}

/* Largest first: rendering takes the first that divides, so never weeks. */
const struct conf_unit conf_duration_units[] = { { "d", 86400000 },
	{ "h", 3600000 }, { "m", 60000 }, { "s", 1000 }, { "ms", 1 },
	{ "w", 604800000 }, { NULL, 0 } };
const struct conf_unit conf_size_units[] = { { "g", 1u << 30 },
	{ "m", 1u << 20 }, { "k", 1u << 10 }, { "", 1 }, { NULL, 0 } };


/* "none" of a bare word would be read as "not set" again. */
static bool
render_needs_quotes(struct bytes s, bool in_list)
{
	size_t i;

	if (s.n == 0 || bytes_eq_text(s, "none"))
		return true;
	for (i = 0; i < s.n; i++)
		if ((unsigned char)s.p[i] <= ' ' ||
		    strchr("{}#\"'\\", s.p[i]) != NULL ||
		    (in_list && s.p[i] == ','))
			return true;
	return false;
}

void
conf_add_quoted(struct buf *out, struct bytes s, bool in_list)
{
	size_t i;

	if (!render_needs_quotes(s, in_list)) {
		buf_add_bytes(out, s);
		return;
	}
	buf_add_char(out, '"');
	for (i = 0; i < s.n; i++) {
		if (s.p[i] == '"' || s.p[i] == '\\')
			buf_add_char(out, '\\');
		buf_add_char(out, s.p[i]);
	}
	buf_add_char(out, '"');
}

void
conf_add_units(struct buf *out, uint64_t v, const struct conf_unit *units)
{
	if (v == 0) {
		buf_add_text(out, "0");
		return;
	}
	while (v % units->factor != 0)
		units++;
	buf_printf(out, "%" PRIu64 "%s", v / units->factor, units->name);
}

static void
render_float(struct buf *out, double v)
{
	char   text[64];
	size_t n;

	snprintf(text, sizeof(text), "%.9f", v);
	n = strlen(text);
	while (text[n - 1] == '0')
		n--;
	if (text[n - 1] == '.')
		n--;
	buf_add(out, text, n);
}

static void
render_text(struct buf *out, const char *text, bool in_list)
{
	if (text == NULL)
		buf_add_text(out, "none");
	else
		conf_add_quoted(out, bytes_of(text), in_list);
}

static void
render_addr(const struct conf_option *o, const struct conf_addr *a,
    struct buf *out)
{
	char text[CONF_ADDR_TEXT_MAX] = "";

	if (o->type != CONF_IP || a->family == AF_UNSPEC)
		conf_addr_to_text(a, text);
	else
		sockaddr_text(&a->u.sa, false, text);
	conf_add_quoted(out, bytes_of(text), true);
}

static void
render_target(const struct conf_route *r, struct buf *out)
{
	char text[CONF_ADDR_TEXT_MAX];

	if (r->is_address)
		buf_add_text(out, conf_addr_to_text(&r->address, text));
	else
		buf_printf(out, "%s:%u", r->host, (unsigned)r->port);
}

static void
render_principal(const struct conf_principal *p, struct buf *out)
{
	if (p->kind == CONF_PRINCIPAL_GROUP)
		buf_add_char(out, '@');
	conf_add_quoted(out, bytes_of(p->name), true);
}

static void
render_element(const struct conf_option *o, const void *v, size_t i,
    struct buf *out)
{
	char text[CIDR_TEXT_MAX];

	switch (o->type) {
	case CONF_CIDRS:
		buf_add_text(out, conf_cidr_to_text(
		    (const struct conf_cidr *)v + i, text));
		break;
	case CONF_ADDRS:
	case CONF_SERVERS:
		render_addr(o, (const struct conf_addr *)v + i, out);
		break;
	case CONF_DURATIONS:
		conf_add_units(out, (uint64_t)((const int64_t *)v)[i],
		    conf_duration_units);
		break;
	case CONF_PRINCIPALS:
		render_principal((const struct conf_principal *)v + i, out);
		break;
	default:
		render_text(out, ((const char *const *)v)[i], true);
		break;
	}
}

static void
render_list(const struct conf_option *o, const void *member, struct buf *out)
{
	struct conf_any_list list;
	const char	    *between = o->type == CONF_DURATIONS ? "," : ", ";
	size_t		     i;

	memcpy(&list, member, sizeof(list));
	if (list.n == 0)
		buf_add_text(out, "none");
	for (i = 0; i < list.n; i++) {
		if (i > 0)
			buf_add_text(out, between);
		render_element(o, list.v, i, out);
	}
}

static void
render_words(const struct conf_option *o, const void *member,
    struct buf *out)
{
	unsigned bits;
	int	 choice, i;
	bool	 any = false;

	if (o->type == CONF_ENUM) {
		memcpy(&choice, member, sizeof(choice));
		buf_add_text(out, o->words[choice - (int)o->min]);
		return;
	}
	memcpy(&bits, member, sizeof(bits));
	for (i = 0; o->words[i] != NULL; i++) {
		if ((bits & (1u << i)) == 0)
			continue;
		buf_printf(out, "%s%s", any ? ", " : "", o->words[i]);
		any = true;
	}
	if (!any)
		buf_add_text(out, "none");
}

static void
render_number(const struct conf_option *o, const void *member,
    struct buf *out)
{
	switch (o->type) {
	case CONF_BOOL:
		buf_add_text(out, *(const bool *)member ? "yes" : "no");
		break;
	case CONF_INT:
		buf_printf(out, "%" PRIu32, *(const uint32_t *)member);
		break;
	case CONF_PORT:
		buf_printf(out, "%u", (unsigned)*(const uint16_t *)member);
		break;
	case CONF_FLOAT:
		render_float(out, *(const double *)member);
		break;
	case CONF_DURATION:
		conf_add_units(out, (uint64_t)*(const int64_t *)member,
		    conf_duration_units);
		break;
	default:
		conf_add_units(out, *(const uint64_t *)member,
		    conf_size_units);
		break;
	}
}

void
conf_value_render(const struct conf_option *o, const void *member,
    struct buf *out)
{
	const char *const *login = member;

	switch (o->type) {
	case CONF_BOOL:
	case CONF_INT:
	case CONF_PORT:
	case CONF_FLOAT:
	case CONF_DURATION:
	case CONF_SIZE:
		render_number(o, member, out);
		break;
	case CONF_ENUM:
	case CONF_WORDS_SET:
		render_words(o, member, out);
		break;
	case CONF_ADDR:
	case CONF_IP:
		render_addr(o, member, out);
		break;
	case CONF_TARGET:
		render_target((const struct conf_route *)(const void *)(
		    (const char *)member - offsetof(struct conf_route, host)),
		    out);
		break;
	case CONF_LOGIN:
		buf_printf(out, "%s/%s", login[0], login[1]);
		break;
	default:
		if (conf_is_list(o->type))
			render_list(o, member, out);
		else
			render_text(out, *login, false);
		break;
	}
}

void
conf_type_text(const struct conf_option *o, struct buf *out)
{
	size_t i;

	if (conf_types[o->type].name != NULL) {
		buf_add_text(out, conf_types[o->type].name);
		return;
	}
	if (o->type == CONF_WORDS_SET)
		buf_add_text(out, "list of ");
	for (i = 0; o->words[i] != NULL; i++)
		buf_printf(out, "%s%s", i > 0 ? "|" : "", o->words[i]);
}

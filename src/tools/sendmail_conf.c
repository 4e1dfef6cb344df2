/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_conf.h"

#include <errno.h>
#include <fcntl.h>
#include <string.h>
#include <unistd.h>

#include "base/ascii.h"
#include "mail/address.h"

#define SENDMAIL_SOCKET "/run/posthorn/submit.sock"

enum { CONF_BYTES_MAX = 65536 };

enum conf_key {
	KEY_SOCKET,
	KEY_SERVER,
	KEY_TLS,
	KEY_CA,
	KEY_USER,
	KEY_PASSWORD_FILE,
	KEY_CONFIGURATION_SET,
	KEY_SENDER,
	KEY_COUNT
};
static const char *const key_names[KEY_COUNT] = { "socket", "server", "tls",
	"ca", "user", "password_file", "configuration_set", "sender" };

struct reader {
	const char	     *name;
	struct bytes	      text;
	size_t		      at;
	unsigned	      line;
	struct sendmail_conf *conf;
	struct buf	     *errors;
	unsigned	      given[KEY_COUNT]; /* line, 0 = not given */
	bool		      good;
};

static bool
reader_fail(struct reader *r, const char *what, const char *detail)
{
	r->good = false;
	buf_printf(r->errors, "%s:%u: %s%s\n", r->name, r->line, what, detail);
	return false;
}

/* -- characters ------------------------------------------------------------ */

static int
reader_peek(const struct reader *r)
{
	return r->at < r->text.n ? (unsigned char)r->text.p[r->at] : -1;
}

/* Length of a line end at this place: LF, CR LF; 0 = none. */
static size_t
reader_line_end(const struct reader *r, size_t at)
{
	if (at < r->text.n && r->text.p[at] == '\n')
		return 1;
	if (at + 1 < r->text.n && r->text.p[at] == '\r' &&
	    r->text.p[at + 1] == '\n')
		return 2;
	return 0;
}

static bool
reader_at_end(const struct reader *r)
{
	return r->at >= r->text.n || reader_line_end(r, r->at) > 0;
}

/* Blanks and continued lines. */
static void
reader_blanks(struct reader *r)
{
	size_t n;
	int    c;

	for (;;) {
		c = reader_peek(r);
		if (ascii_is_blank(c)) {
			r->at++;
		} else if (c == '\\' &&
		    (n = reader_line_end(r, r->at + 1)) > 0) {
			r->at += 1 + n;
			r->line++;
		} else {
			return;
		}
	}
}

static void
reader_skip_line(struct reader *r)
{
	while (!reader_at_end(r))
		r->at++;
}

/* -- words ----------------------------------------------------------------- */

static bool
reader_name(struct reader *r, struct bytes *out)
{
	size_t start = r->at;
	int    c;

	while ((c = reader_peek(r)) != -1 &&
	    (ascii_is_letter(c) || (r->at > start &&
		(ascii_is_digit(c) || c == '_' || c == '-'))))
		r->at++;
	*out = bytes_head(bytes_from(r->text, start), r->at - start);
	return out->n > 0 ||
	    reader_fail(r, "a line begins with a setting's name", "");
}

static bool
reader_quoted(struct reader *r, struct buf *out)
{
	int c;

	r->at++;
	while (!reader_at_end(r) && (c = reader_peek(r)) != '"') {
		r->at++;
		if (c == '\\') {
			c = reader_peek(r);
			r->at++;
			if (c == 'n')
				c = '\n';
			else if (c == 't')
				c = '\t';
			else if (c != '"' && c != '\\')
				return reader_fail(r, "only \\\", \\\\, \\n "
				    "and \\t are known in quotes", "");
		}
		buf_add_char(out, (char)c);
	}
	if (reader_peek(r) != '"')
		return reader_fail(r, "the quote is not closed", "");
	r->at++;
	return true;
}

/* One value; false without an error said = there is none. */
static bool
reader_value(struct reader *r, struct buf *out)
{
	int c = reader_peek(r);

	buf_clear(out);
	if (c == '"')
		return reader_quoted(r, out);
	while (!reader_at_end(r) && (c = reader_peek(r)) > ' ' && c != 0x7f &&
	    strchr("{}#\"'", c) == NULL &&
	    (c != '\\' || reader_line_end(r, r->at + 1) == 0)) {
		buf_add_char(out, (char)c);
		r->at++;
	}
	return out->n > 0;
}

/* -- settings -------------------------------------------------------------- */

/* HOST:PORT or [IPv6]:PORT */
static bool
conf_split_server(struct bytes v, struct sendmail_conf *c)
{
	struct bytes host, port;
	ptrdiff_t    end;
	uint64_t     number;
	size_t	     i;

	if (v.n > 0 && v.p[0] == '[') {
		end = bytes_find(v, 0, ']');
		if (end < 0 || (size_t)end + 1 >= v.n || v.p[end + 1] != ':')
			return false;
		host = bytes_head(bytes_from(v, 1), (size_t)end - 1);
		port = bytes_from(v, (size_t)end + 2);
	} else {
		end = bytes_find(v, 0, ':');
		if (end < 0)
			return false;
		host = bytes_head(v, (size_t)end);
		port = bytes_from(v, (size_t)end + 1);
	}
	for (i = 0; i < host.n; i++)
		if (host.p[i] <= ' ' || host.p[i] > '~')
			return false;
	if (host.n == 0 || host.n > DOMAIN_MAX || port.n > 5 ||
	    !bytes_to_u64(port, &number) || number == 0 || number > 65535)
		return false;
	c->server_host = mem_dup_bytes(host);
	c->server_port = mem_dup_bytes(port);
	return true;
}

static char **
conf_member(struct sendmail_conf *c, enum conf_key key)
{
	switch (key) {
	case KEY_SOCKET:
		return &c->socket;
	case KEY_CA:
		return &c->ca;
	case KEY_USER:
		return &c->user;
	case KEY_PASSWORD_FILE:
		return &c->password_file;
	case KEY_CONFIGURATION_SET:
		return &c->configuration_set;
	case KEY_SENDER:
		return &c->sender;
	default:
		return NULL;
	}
}

static bool
conf_is_text(struct bytes v)
{
	size_t i;

	for (i = 0; i < v.n; i++)
		if ((unsigned char)v.p[i] < ' ' || v.p[i] == 0x7f)
			return false;
	return v.n > 0;
}

static bool
conf_set(struct reader *r, enum conf_key key, struct bytes v)
{
	char **member = conf_member(r->conf, key);
	bool   is_path = key == KEY_SOCKET || key == KEY_CA ||
	    key == KEY_PASSWORD_FILE;

	if (!conf_is_text(v))
		return reader_fail(r, key_names[key], ": the value is empty "
		    "or holds control characters");
	if (key == KEY_SERVER)
		return conf_split_server(v, r->conf) ||
		    reader_fail(r, "server", " is HOST:PORT");
	if (key == KEY_TLS) {
		r->conf->wrapper = bytes_eq_text(v, "wrapper");
		return r->conf->wrapper || bytes_eq_text(v, "starttls") ||
		    reader_fail(r, "tls", " is starttls or wrapper");
	}
	if (key == KEY_SOCKET && bytes_starts(v, BYTES("unix:")))
		v = bytes_from(v, 5);
	if (is_path && v.p[0] != '/')
		return reader_fail(r, key_names[key],
		    " is a path that begins with /");
	*member = mem_dup_bytes(v);
	return true;
}

/* -- lines ----------------------------------------------------------------- */

static bool
reader_key(struct reader *r, struct bytes name, enum conf_key *out)
{
	char text[64];
	int  i;

	for (i = 0; i < KEY_COUNT; i++)
		if (bytes_eq_text(name, key_names[i]))
			break;
	if (i == KEY_COUNT)
		return reader_fail(r, "unknown setting ",
		    bytes_text(name, text, sizeof(text)));
	*out = (enum conf_key)i;
	if (r->given[i] != 0)
		return reader_fail(r, key_names[i], " is given twice");
	r->given[i] = r->line;
	return true;
}

static bool
reader_directive(struct reader *r, struct buf *value)
{
	struct bytes  name;
	enum conf_key key;
	int	      c;

	if (!reader_name(r, &name) || !reader_key(r, name, &key))
		return false;
	reader_blanks(r);
	if (reader_peek(r) == '=')
		r->at++;
	reader_blanks(r);
	if (!reader_value(r, value)) {
		if (r->good)
			reader_fail(r, key_names[key], " has no value");
		return false;
	}
	reader_blanks(r);
	c = reader_peek(r);
	if (!reader_at_end(r) && c != '#')
		return reader_fail(r, key_names[key],
		    c == '{' || c == '}' ? ": this file has no blocks"
					 : " takes one value");
	return conf_set(r, key, buf_bytes(value));
}

bool
sendmail_conf_parse(const char *name, struct bytes text,
    struct sendmail_conf *out, struct buf *errors)
{
	struct reader r = { .name = name, .text = text, .line = 1 };
	struct buf    value;

	memset(out, 0, sizeof(*out));
	r.conf = out;
	r.errors = errors;
	r.good = true;
	buf_init(&value, CONF_BYTES_MAX);
	while (r.at < r.text.n) {
		bool good = r.good;

		reader_blanks(&r);
		r.good = true;
		if (!reader_at_end(&r) && reader_peek(&r) != '#')
			reader_directive(&r, &value);
		r.good = r.good && good;
		reader_skip_line(&r);
		r.at += reader_line_end(&r, r.at);
		r.line++;
	}
	buf_wipe(&value);
	if (out->socket == NULL)
		out->socket = mem_dup(SENDMAIL_SOCKET);
	return r.good;
}

void
sendmail_conf_wipe(struct sendmail_conf *c)
{
	mem_free(c->socket);
	mem_free(c->server_host);
	mem_free(c->server_port);
	mem_free(c->ca);
	mem_free(c->user);
	mem_free(c->password_file);
	mem_free(c->configuration_set);
	mem_free(c->sender);
	memset(c, 0, sizeof(*c));
}

static bool
conf_read(int fd, struct buf *out)
{
	char   *room;
	ssize_t n;

	do {
		room = buf_room(out, 4096);
		if (room == NULL) {
			errno = EFBIG;
			return false;
		}
		n = read(fd, room, 4096);
		if (n > 0)
			buf_commit(out, (size_t)n);
	} while (n > 0 || (n < 0 && errno == EINTR));
	return n == 0;
}

bool
sendmail_conf_load(const char *path, bool must_exist,
    struct sendmail_conf *out, struct buf *errors)
{
	struct buf text;
	bool	   good;
	int	   fd;

	memset(out, 0, sizeof(*out));
	fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);
	if (fd < 0 && errno == ENOENT && !must_exist)
		return sendmail_conf_parse(path, BYTES(""), out, errors);
	buf_init(&text, CONF_BYTES_MAX);
	good = fd >= 0 && conf_read(fd, &text);
	if (!good)
		buf_printf(errors, "%s: %s\n", path, strerror(errno));
	if (fd >= 0)
		close(fd);
	if (good)
		good = sendmail_conf_parse(path, buf_bytes(&text), out,
		    errors);
	buf_wipe(&text);
	return good;
}

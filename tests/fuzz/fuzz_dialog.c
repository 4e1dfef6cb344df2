/* SPDX-License-Identifier: ISC */
/*
 * What a server says to sendmail(1): the first octet chooses connection and
 * letter, the second the size of the pieces, the rest is what is read.
 * Whatever it is, there is an exit status; "sent" is only said when the
 * message has been written whole, and what the server says reaches neither
 * error text nor terminal with a control character in it.
 */
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/mman.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/err.h"
#include "tools/sendmail_body.h"
#include "tools/sendmail_conf.h"
#include "tools/sendmail_link.h"
#include "tools/sendmail_message.h"
#include "tools/sendmail_smtp.h"

enum dialog_flags {
	DIALOG_HOST = 1, /* else the local socket */
	DIALOG_WRAPPER = 2,
	DIALOG_VERBOSE = 4,
	DIALOG_EIGHT = 8, /* octets beyond ASCII in the body */
	DIALOG_MANY = 16, /* recipients */
	DIALOG_LOGIN = 32,
	DIALOG_DEAF = 64 /* a server that reads nothing */
};
enum { SENT_MAX = 1 << 20, MANY = 130 };

static struct {
	struct bytes rest;
	size_t	     step;
	struct buf   sent, shown;
	bool	     is_deaf, is_tls;
	unsigned     open;
} the_server;

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

/* -- in place of tools/sendmail_link.c -------------------------------------- */

struct sendmail_link *
sendmail_link_unix(const char *path, struct err *e)
{
	(void)path;
	(void)e;
	the_server.open++;
	return (struct sendmail_link *)(void *)&the_server;
}

struct sendmail_link *
sendmail_link_host(const char *host, const char *port, struct err *e)
{
	must(strcmp(host, "mail.relay.example") == 0);
	return sendmail_link_unix(port, e);
}

int
sendmail_link_tls(struct sendmail_link *l, const char *host, const char *ca,
    struct err *e)
{
	(void)l;
	(void)host;
	(void)ca;
	(void)e;
	must(!the_server.is_tls);
	the_server.is_tls = true;
	return 0;
}

int
sendmail_link_write(struct sendmail_link *l, struct bytes s, struct err *e)
{
	(void)l;
	/* the password */
	must(!bytes_starts(s, BYTES("AUTH")) || the_server.is_tls);
	if (the_server.is_deaf && the_server.rest.n == 0)
		return err_set(e, "gone");
	must(buf_add_bytes(&the_server.sent, s));
	return 0;
}

int
sendmail_link_read(struct sendmail_link *l, char *out, size_t size,
    struct err *e)
{
	struct bytes piece = bytes_head(the_server.rest, the_server.step);

	(void)l;
	(void)e;
	piece = bytes_head(piece, size);
	if (piece.n > 0)
		memcpy(out, piece.p, piece.n);
	the_server.rest = bytes_from(the_server.rest, piece.n);
	return (int)piece.n;
}

void
sendmail_link_close(struct sendmail_link *l)
{
	if (l != NULL)
		the_server.open--;
}

/* -- what is shown ---------------------------------------------------------- */

/* must() still has its say. */
static ssize_t
terminal_write(void *unused, const char *text, size_t n)
{
	(void)unused;
	if (n >= 9 && memcmp(text, "posthorn:", 9) == 0)
		(void)!write(2, text, n);
	must(buf_add(&the_server.shown, text, n));
	return (ssize_t)n;
}

static void
terminal_open(void)
{
	cookie_io_functions_t io = { .write = terminal_write };

	stderr = fopencookie(NULL, "w", io);
	must(stderr != NULL);
	setvbuf(stderr, NULL, _IONBF, 0);
}

static void
must_be_clean(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++) {
		unsigned char c = (unsigned char)s.p[i];

		must((c >= 0x20 && c != 0x7f) || c == '\n' || c == '\r');
		/* C1 in UTF-8 */
		must(c != 0xc2 || i + 1 == s.n || (s.p[i + 1] & 0xe0) != 0x80);
	}
}

/* -- one dialogue ----------------------------------------------------------- */

static char *
password_file(void)
{
	static char path[64];
	int	    fd;

	if (path[0] != '\0')
		return path;
	fd = memfd_create("password", MFD_CLOEXEC);
	must(fd >= 0 && fchmod(fd, 0600) == 0 && write(fd, "secret\n", 7) == 7);
	snprintf(path, sizeof(path), "/proc/self/fd/%d", fd);
	return path;
}

static int
talk(struct sendmail_dialog *d, unsigned flags, struct sendmail_list *to)
{
	static char host[] = "mail.relay.example", port[] = "587",
		    socket_path[] = "/s", user[] = "u";
	struct sendmail_conf   c = { .socket = socket_path,
		  .wrapper = (flags & DIALOG_WRAPPER) != 0 };
	struct sendmail_body   body;
	struct sendmail_letter letter = { "a@example.com", to,
		SENDMAIL_BODY_AUTO, BYTES("Subject: x\r\n\r\n"), &body };
	int		       status;

	if ((flags & DIALOG_HOST) != 0) {
		c.server_host = host;
		c.server_port = port;
	}
	if ((flags & DIALOG_LOGIN) != 0) {
		c.user = user;
		c.password_file = password_file();
	}
	sendmail_body_init(&body);
	sendmail_body_add(&body, flags & DIALOG_EIGHT ? BYTES(".\xc3\xa9\r\n")
						      : BYTES(".x\r\n"));
	status = sendmail_dialog_open(d, &c, (flags & DIALOG_VERBOSE) != 0);
	must((flags & DIALOG_HOST) == 0 || status != 0 || the_server.is_tls);
	if (status == 0)
		status = sendmail_dialog_send(d, &letter);
	sendmail_body_wipe(&body);
	return status;
}

static void
add_recipients(struct sendmail_list *to, unsigned count)
{
	char	 text[64];
	unsigned i;

	sendmail_list_init(to);
	for (i = 0; i < count; i++) {
		snprintf(text, sizeof(text), "r%u@example.com", i);
		sendmail_list_add(to, bytes_of(text));
	}
}

static void
check(const struct sendmail_dialog *d, int status)
{
	struct bytes sent = buf_bytes(&the_server.sent);

	must(status == 0 || (status >= EX__BASE && status <= EX__MAX));
	must((status == 0) == (d->error.text[0] == '\0'));
	must_be_clean(bytes_of(d->error.text));
	must_be_clean(buf_bytes(&the_server.shown));
	must(the_server.open == 0);
	if (status != 0)
		return;
	must(bytes_find_nocase(sent, BYTES("\r\nDATA\r\nSubject: x\r\n\r\n"))
	    >= 0);
	must(bytes_find_nocase(sent, BYTES("\r\n.\r\n")) >= 0);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	static bool	       is_open;
	struct sendmail_dialog d;
	struct sendmail_list   to;
	int		       status;

	if (size < 2)
		return 0;
	if (!is_open)
		terminal_open();
	is_open = true;
	memset(&the_server, 0, sizeof(the_server));
	the_server.rest = (struct bytes){ (const char *)data + 2, size - 2 };
	the_server.step = data[1] == 0 ? 4096 : data[1];
	the_server.is_deaf = (data[0] & DIALOG_DEAF) != 0;
	buf_init(&the_server.sent, SENT_MAX);
	buf_init(&the_server.shown, SENT_MAX);
	add_recipients(&to, data[0] & DIALOG_MANY ? MANY : 2);
	status = talk(&d, data[0], &to);
	sendmail_dialog_close(&d);
	check(&d, status);
	sendmail_list_wipe(&to);
	buf_wipe(&the_server.sent);
	buf_wipe(&the_server.shown);
	return 0;
}

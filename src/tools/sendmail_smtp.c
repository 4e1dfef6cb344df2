/* SPDX-License-Identifier: ISC */
#include "tools/sendmail_smtp.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <string.h>
#include <sys/stat.h>
#include <sysexits.h>
#include <unistd.h>

#include "base/ascii.h"
#include "mail/framing.h"
#include "tools/sendmail_body.h"
#include "tools/sendmail_conf.h"
#include "tools/sendmail_link.h"
#include "tools/sendmail_message.h"

enum {
	DIALOG_SLICE = 65536,
	/* commands under way: both directions fit the sockets' buffers */
	DIALOG_WINDOW = 64,
	PASSWORD_MAX = 1024,
	LOGIN_MAX = 256
};

/* -- what a reply means ---------------------------------------------------- */

static struct bytes
status_skip_enhanced(struct bytes text)
{
	size_t i = 0, dots = 0;

	while (i < text.n && (ascii_is_digit(text.p[i]) ||
		(i > 0 && text.p[i] == '.'))) {
		dots += text.p[i] == '.';
		i++;
	}
	return dots == 2 && i < text.n && text.p[i] == ' '
	    ? bytes_from(text, i + 1) : text;
}

static const struct {
	const char *begins;
	int	    status;
} status_texts[] = {
	{ "Access denied", EX_NOPERM },
	{ "Message rejected: Email address is not verified", EX_NOPERM },
	{ "Message rejected: Sending paused", EX_UNAVAILABLE },
	{ "Message rejected: Configuration set does not exist",
	    EX_UNAVAILABLE },
	{ "Message rejected: Contact list does not exist", EX_UNAVAILABLE },
	{ "Message rejected: Topic does not exist", EX_UNAVAILABLE },
};

int
sendmail_exit_status(unsigned code, struct bytes text,
    enum sendmail_stage stage)
{
	size_t i;

	text = status_skip_enhanced(text);
	if (code < 500 || code > 599)
		return EX_TEMPFAIL;
	if (code == 530 || code == 535)
		return EX_NOPERM;
	for (i = 0; code == 554 &&
	     i < sizeof(status_texts) / sizeof(status_texts[0]); i++)
		if (bytes_starts(text, bytes_of(status_texts[i].begins)))
			return status_texts[i].status;
	if (code == 553 || stage == SENDMAIL_AT_RCPT)
		return EX_NOUSER;
	if (stage == SENDMAIL_AT_END || code == 552)
		return EX_DATAERR;
	return stage == SENDMAIL_AT_GREETING ? EX_UNAVAILABLE : EX_SOFTWARE;
}

/* -- lines ----------------------------------------------------------------- */

static int
dialog_write(struct sendmail_dialog *d, struct bytes s)
{
	return sendmail_link_write(d->link, s, &d->error) == 0 ? 0
							       : EX_TEMPFAIL;
}

/* Texts of the server: no control characters for the terminal (C1 too). */
static void
dialog_clean(char *text, size_t n)
{
	unsigned char *u = (unsigned char *)text;
	size_t	       i;

	for (i = 0; i < n; i++) {
		if (u[i] == 0xc2 && i + 1 < n && (u[i + 1] & 0xe0) == 0x80)
			u[i] = u[i + 1] = '?';
		if (u[i] < 0x20 || u[i] == 0x7f)
			u[i] = '?';
	}
}

static void
dialog_show(const struct sendmail_dialog *d)
{
	struct bytes line;
	char	     text[READER_LINE_MAX];
	size_t	     i;

	for (i = 0; d->verbose && i < d->reader.line_count; i++) {
		line = bytes_head(reply_reader_line(&d->reader, i),
		    sizeof(text));
		if (line.n > 0)
			line.p = memcpy(text, line.p, line.n);
		dialog_clean(text, line.n);
		fprintf(stderr, "<<< %u%c%.*s\n", d->reader.code,
		    i + 1 < d->reader.line_count ? '-' : ' ', (int)line.n,
		    line.p);
	}
}

/* One whole reply, whatever it says. */
static int
dialog_read(struct sendmail_dialog *d)
{
	enum reader_result result;
	size_t		   used;
	char		  *room;
	int		   n;

	for (;;) {
		result = reply_reader_feed(&d->reader, buf_bytes(&d->in),
		    &used);
		buf_drop(&d->in, used);
		if (result == READER_DONE)
			break;
		room = buf_room(&d->in, 4096);
		if (result == READER_BROKEN || room == NULL) {
			err_set(&d->error, "the server does not speak SMTP");
			return EX_TEMPFAIL;
		}
		n = sendmail_link_read(d->link, room, 4096, &d->error);
		if (n == 0)
			err_set(&d->error, "the server closed the connection");
		if (n <= 0)
			return EX_TEMPFAIL;
		buf_commit(&d->in, (size_t)n);
	}
	dialog_show(d);
	return 0;
}

/* The reply becomes the error text. */
static int
dialog_refuse(struct sendmail_dialog *d, enum sendmail_stage stage)
{
	struct buf   text;
	struct bytes rest;
	int	     status;

	buf_init(&text, READER_TEXT_MAX);
	reply_reader_text(&d->reader, &text);
	dialog_clean(text.p, text.n);
	err_set(&d->error, "%.*s", (int)text.n, text.p);
	rest = bytes_from(buf_bytes(&text), text.n < 4 ? text.n : 4);
	status = sendmail_exit_status(d->reader.code, rest, stage);
	buf_wipe(&text);
	return status;
}

static int
dialog_expect(struct sendmail_dialog *d, unsigned code,
    enum sendmail_stage stage)
{
	int status = dialog_read(d);

	if (status == 0 && d->reader.code != code)
		status = dialog_refuse(d, stage);
	return status;
}

/* line with its CR LF; shown says what -v prints in its place. */
static int
dialog_say(struct sendmail_dialog *d, const char *line, const char *shown)
{
	if (d->verbose)
		fprintf(stderr, ">>> %s\n", shown);
	return dialog_write(d, bytes_of(line));
}

static int
dialog_ask(struct sendmail_dialog *d, const char *verb, unsigned code,
    enum sendmail_stage stage)
{
	char line[64];
	int  status;

	snprintf(line, sizeof(line), "%s\r\n", verb);
	status = dialog_say(d, line, verb);
	return status != 0 ? status : dialog_expect(d, code, stage);
}

/* -- opening --------------------------------------------------------------- */

/* The name that stands first in a greeting or in the reply to EHLO. */
static void
dialog_note_host(struct sendmail_dialog *d)
{
	struct bytes name = reply_reader_line(&d->reader, 0);
	ptrdiff_t    blank = bytes_find(name, 0, ' ');

	if (blank >= 0)
		name = bytes_head(name, (size_t)blank);
	if (domain_is_valid(name, ADDRESS_ALLOW_SINGLE_LABEL))
		bytes_text(name, d->host, sizeof(d->host));
}

static int
dialog_hello(struct sendmail_dialog *d)
{
	char name[DOMAIN_TEXT_MAX], line[DOMAIN_TEXT_MAX + 16], *end;
	int  status;

	if (gethostname(name, sizeof(name)) != 0 ||
	    memchr(name, '\0', sizeof(name)) == NULL ||
	    !domain_is_valid(bytes_of(name), ADDRESS_ALLOW_SINGLE_LABEL))
		strcpy(name, "localhost");
	snprintf(line, sizeof(line), "EHLO %s\r\n", name);
	end = strchr(line, '\r');
	if (d->verbose)
		fprintf(stderr, ">>> %.*s\n", (int)(end - line), line);
	status = dialog_write(d, bytes_of(line));
	if (status == 0)
		status = dialog_expect(d, 250, SENDMAIL_AT_HELLO);
	if (status != 0)
		return status;
	dialog_note_host(d);
	capabilities_parse(&d->reader, &d->peer);
	return 0;
}

static int
dialog_start_tls(struct sendmail_dialog *d, const struct sendmail_conf *c)
{
	if (sendmail_link_tls(d->link, c->server_host, c->ca,
		&d->error) != 0)
		return EX_TEMPFAIL;
	if (d->verbose)
		fprintf(stderr, "=== TLS\n");
	return 0;
}

static int
dialog_upgrade(struct sendmail_dialog *d, const struct sendmail_conf *c)
{
	int status;

	if (!d->peer.starttls) {
		err_set(&d->error, "%s does not offer STARTTLS",
		    c->server_host);
		return EX_TEMPFAIL;
	}
	status = dialog_ask(d, "STARTTLS", 220, SENDMAIL_AT_HELLO);
	if (status != 0)
		return status;
	/* what was said in clear before the handshake is nobody's word */
	if (d->in.n > 0) {
		err_set(&d->error, "data behind the reply to STARTTLS");
		return EX_TEMPFAIL;
	}
	status = dialog_start_tls(d, c);
	return status != 0 ? status : dialog_hello(d);
}

/* The first line of a file that only its owner reads; false = no password,
 * said.  out has PASSWORD_MAX. */
static bool
dialog_read_password(const char *path, char *out)
{
	struct stat st;
	ssize_t	    n = -1;
	int	    fd = open(path, O_RDONLY | O_CLOEXEC | O_NOCTTY);

	if (fd < 0 || fstat(fd, &st) != 0) {
		fprintf(stderr, "sendmail: warning: %s: %s\n", path,
		    strerror(errno));
	} else if ((st.st_mode & S_IROTH) != 0) {
		fprintf(stderr, "sendmail: warning: %s can be read by others "
		    "and is ignored\n", path);
	} else {
		do
			n = read(fd, out, PASSWORD_MAX - 1);
		while (n < 0 && errno == EINTR);
		if (n < 0)
			fprintf(stderr, "sendmail: warning: %s: %s\n", path,
			    strerror(errno));
	}
	if (fd >= 0)
		close(fd);
	if (n < 0)
		return false;
	out[n] = '\0';
	out[strcspn(out, "\r\n")] = '\0';
	return out[0] != '\0';
}

static int
dialog_login(struct sendmail_dialog *d, const struct sendmail_conf *c)
{
	char   password[PASSWORD_MAX];
	char   plain[PASSWORD_MAX + LOGIN_MAX + 4];
	char   line[4 * ((sizeof(plain) + 2) / 3) + 32];
	size_t n;
	int    status = 0;

	if (c->user == NULL || c->password_file == NULL ||
	    strlen(c->user) > LOGIN_MAX ||
	    !dialog_read_password(c->password_file, password))
		return 0; /* MAIL will be refused */
	n = (size_t)snprintf(plain, sizeof(plain), "%c%s%c%s", '\0', c->user,
	    '\0', password);
	strcpy(line, "AUTH PLAIN ");
	base64_encode(plain, n, line + strlen(line));
	strcat(line, "\r\n");
	status = dialog_say(d, line, "AUTH PLAIN [hidden]");
	mem_wipe(password, sizeof(password));
	mem_wipe(plain, sizeof(plain));
	mem_wipe(line, sizeof(line));
	if (status == 0)
		status = dialog_expect(d, 235, SENDMAIL_AT_AUTH);
	return status != 0 ? status : dialog_hello(d);
}

int
sendmail_dialog_open(struct sendmail_dialog *d, const struct sendmail_conf *c,
    bool verbose)
{
	int status = 0;

	memset(d, 0, sizeof(*d));
	d->verbose = verbose;
	reply_reader_init(&d->reader);
	buf_init(&d->in, READER_TEXT_MAX);
	d->link = c->server_host == NULL
	    ? sendmail_link_unix(c->socket, &d->error)
	    : sendmail_link_host(c->server_host, c->server_port, &d->error);
	if (d->link == NULL)
		return EX_TEMPFAIL;
	if (c->server_host != NULL && c->wrapper)
		status = dialog_start_tls(d, c);
	if (status == 0)
		status = dialog_expect(d, 220, SENDMAIL_AT_GREETING);
	if (status == 0) {
		dialog_note_host(d);
		status = dialog_hello(d);
	}
	if (status == 0 && c->server_host != NULL && !c->wrapper)
		status = dialog_upgrade(d, c);
	if (status == 0 && c->server_host != NULL)
		status = dialog_login(d, c);
	if (status == 0 && d->host[0] == '\0') {
		err_set(&d->error, "the server does not tell its name");
		status = EX_SOFTWARE;
	}
	return status;
}

void
sendmail_dialog_close(struct sendmail_dialog *d)
{
	struct err e = d->error;

	/* a message refused is not sent: QUIT drops the transaction */
	if (d->link != NULL && dialog_say(d, "QUIT\r\n", "QUIT") == 0)
		dialog_read(d);
	d->error = e;
	sendmail_link_close(d->link);
	d->link = NULL;
	reply_reader_wipe(&d->reader);
	buf_wipe(&d->in);
}

/* -- a transaction --------------------------------------------------------- */

static void
envelope_add_mail(const struct sendmail_dialog *d,
    const struct sendmail_letter *letter, struct buf *out)
{
	bool eight = letter->body_type == SENDMAIL_BODY_8BIT ||
	    (letter->body_type == SENDMAIL_BODY_AUTO &&
		letter->body->has_eight_bit);

	buf_printf(out, "MAIL FROM:<%s>", letter->sender);
	if (d->peer.has_size)
		buf_printf(out, " SIZE=%llu", (unsigned long long)
		    (letter->head.n + letter->body->size));
	if (d->peer.eightbit && eight)
		buf_add_text(out, " BODY=8BITMIME");
	else if (d->peer.eightbit && letter->body_type == SENDMAIL_BODY_7BIT)
		buf_add_text(out, " BODY=7BIT");
	buf_add_text(out, "\r\n");
}

/* Writes what is gathered and reads as many replies; the first refusal is
 * kept, and the other replies are read all the same. */
static int
envelope_flush(struct sendmail_dialog *d, struct buf *out, size_t count,
    enum sendmail_stage first)
{
	struct err kept = d->error;
	int	   status = 0, rc;

	if (d->verbose)
		fprintf(stderr, ">>> %.*s", (int)out->n, out->p);
	rc = dialog_write(d, buf_bytes(out));
	for (; rc == 0 && count > 0; count--) {
		rc = dialog_read(d);
		if (rc == 0 && status == 0 && d->reader.code / 100 != 2) {
			status = dialog_refuse(d, first);
			kept = d->error;
		}
		first = SENDMAIL_AT_RCPT;
	}
	buf_clear(out);
	/* refused before the connection broke: that is the answer */
	if (status != 0)
		d->error = kept;
	return status != 0 ? status : rc;
}

static int
dialog_envelope(struct sendmail_dialog *d,
    const struct sendmail_letter *letter)
{
	const struct sendmail_list *l = letter->recipients;
	enum sendmail_stage	    first = SENDMAIL_AT_MAIL;
	struct buf		    out;
	size_t			    i, waiting = 1;
	size_t			    window = d->peer.pipelining
			  ? DIALOG_WINDOW : 1;
	int			    status = 0;

	buf_init(&out, DIALOG_SLICE);
	envelope_add_mail(d, letter, &out);
	for (i = 0; i < l->n && status == 0; i++) {
		if (waiting >= window) {
			status = envelope_flush(d, &out, waiting, first);
			first = SENDMAIL_AT_RCPT;
			waiting = 0;
		}
		buf_printf(&out, "RCPT TO:<%s>\r\n", l->v[i]);
		waiting++;
	}
	if (status == 0)
		status = envelope_flush(d, &out, waiting, first);
	buf_wipe(&out);
	return status;
}

struct dialog_pipe {
	struct sendmail_dialog *d;
	struct buf		out;
	int			status;
};

static void
pipe_flush(struct dialog_pipe *p)
{
	if (p->status == 0 && p->out.n > 0)
		p->status = dialog_write(p->d, buf_bytes(&p->out));
	buf_clear(&p->out);
}

/* A framing_sink: gathers pieces and writes slices. */
static void
pipe_take(void *arg, struct bytes s)
{
	struct dialog_pipe *p = arg;
	size_t		    room;

	while (s.n > 0) {
		if (p->out.n == p->out.max)
			pipe_flush(p);
		room = p->out.max - p->out.n;
		if (room > s.n)
			room = s.n;
		if (!buf_add(&p->out, s.p, room)) {
			err_set(&p->d->error, "no memory");
			p->status = EX_OSERR;
			return;
		}
		s = bytes_from(s, room);
	}
}

static int
dialog_content(struct sendmail_dialog *d,
    const struct sendmail_letter *letter)
{
	struct dialog_pipe p = { .d = d };
	struct stuffing	   stuffing;
	char		   slice[16384];
	int		   n = 1;

	buf_init(&p.out, DIALOG_SLICE);
	stuffing_init(&stuffing);
	stuffing_feed(&stuffing, letter->head, pipe_take, &p);
	sendmail_body_rewind(letter->body);
	while (p.status == 0 && n > 0) {
		n = sendmail_body_read(letter->body, slice, sizeof(slice),
		    &d->error);
		if (n > 0)
			stuffing_feed(&stuffing,
			    (struct bytes){ slice, (size_t)n }, pipe_take, &p);
	}
	/* without its end the message is not taken in */
	if (n < 0) {
		p.status = EX_IOERR;
	} else {
		stuffing_end(&stuffing, pipe_take, &p);
		pipe_flush(&p);
	}
	buf_wipe(&p.out);
	return p.status;
}

int
sendmail_dialog_send(struct sendmail_dialog *d,
    const struct sendmail_letter *letter)
{
	struct err e;
	int	   status;

	status = dialog_envelope(d, letter);
	if (status == 0)
		status = dialog_ask(d, "DATA", 354, SENDMAIL_AT_DATA);
	if (status != 0)
		return status;
	status = dialog_content(d, letter);
	if (d->verbose)
		fprintf(stderr, ">>> (%llu octets)\n", (unsigned long long)
		    (letter->head.n + letter->body->size));
	if (status == 0)
		return dialog_expect(d, 250, SENDMAIL_AT_END);
	if (status != EX_TEMPFAIL) {
		/* half a message is out: only hanging up takes it back */
		sendmail_link_close(d->link);
		d->link = NULL;
		return status;
	}
	/* a server that has had enough may have said why before it closed */
	e = d->error;
	if (dialog_read(d) == 0)
		return dialog_refuse(d, SENDMAIL_AT_END);
	d->error = e;
	return status;
}

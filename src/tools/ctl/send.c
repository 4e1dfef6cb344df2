/* SPDX-License-Identifier: ISC */
/* posthornctl send: a message made of options, or handed over as it is. */
#include <stdlib.h>
#include <string.h>

#include "base/utf8.h"
#include "tools/ctl/ctl.h"

enum {
	MESSAGE_MAX = 64 * 1024 * 1024,
	LINE_MAX_ = 998,   /* octets of a line as it is */
	FIELD_MAX = 900,   /* of a value that is not encoded */
	QP_LINE = 76,	   /* RFC 2045 6.7 */
	WORD_OCTETS = 42   /* of text in one encoded word */
};

/* -- encodings ------------------------------------------------------------- */

static bool
send_is_plain(struct bytes b)
{
	size_t i, line = 0;

	for (i = 0; i < b.n; i++) {
		if ((unsigned char)b.p[i] > 126 || b.p[i] == '\0')
			return false;
		line = b.p[i] == '\n' ? 0 : line + 1;
		if (line > LINE_MAX_)
			return false;
	}
	return true;
}

/* Line ends of files become CR LF. */
static void
send_add_lines(struct buf *out, struct bytes b)
{
	size_t i;

	for (i = 0; i < b.n; i++) {
		if (b.p[i] == '\n' && (i == 0 || b.p[i - 1] != '\r'))
			buf_add_char(out, '\r');
		buf_add_char(out, b.p[i]);
	}
}

/* Quoted-printable; a line end of any kind is one. */
static void
send_add_qp(struct buf *out, struct bytes b)
{
	size_t i, n, line = 0;
	char   text[4];
	bool   last;

	for (i = 0; i < b.n; i++) {
		if (b.p[i] == '\n' ||
		    (b.p[i] == '\r' && i + 1 < b.n && b.p[i + 1] == '\n')) {
			i += b.p[i] == '\r';
			buf_add_text(out, "\r\n");
			line = 0;
			continue;
		}
		last = i + 1 == b.n || b.p[i + 1] == '\r' ||
		    b.p[i + 1] == '\n';
		text[0] = b.p[i];
		n = 1;
		if (b.p[i] == '=' || (unsigned char)b.p[i] < 32 ||
		    (unsigned char)b.p[i] > 126 || (b.p[i] == ' ' && last))
			n = (size_t)snprintf(text, sizeof(text), "=%02X",
			    (unsigned char)b.p[i]);
		if (line + n >= QP_LINE) {
			buf_add_text(out, "=\r\n");
			line = 0;
		}
		buf_add(out, text, n);
		line += n;
	}
}

/* Encoded words where the text is not ASCII; cut between characters. */
static void
send_add_words(struct buf *out, struct bytes text)
{
	char	    word[2 * WORD_OCTETS];
	const char *space = "";
	size_t	    n;

	if (text.n < FIELD_MAX && send_is_plain(text)) {
		buf_add_bytes(out, text);
		return;
	}
	for (; text.n > 0; text = bytes_from(text, n)) {
		n = text.n < WORD_OCTETS ? text.n : WORD_OCTETS;
		while (n < text.n && n > 1 && utf8_is_inner(text.p[n]))
			n--;
		base64_encode(text.p, n, word);
		buf_printf(out, "%s=?utf-8?B?%s?=", space, word);
		space = "\r\n ";
	}
}

/* -- the message ----------------------------------------------------------- */

static void
send_add_list(struct buf *out, const char *name, json_t *list)
{
	json_t *v;
	size_t	i;

	if (json_array_size(list) == 0)
		return;
	buf_printf(out, "%s: ", name);
	json_array_foreach(list, i, v)
		buf_printf(out, "%s%s", i > 0 ? ",\r\n " : "",
		    json_string_value(v));
	buf_add_text(out, "\r\n");
}

static bool
send_is_line(json_t *v)
{
	const char *text = json_string_value(v);

	return text == NULL || strpbrk(text, "\r\n") == NULL;
}

/* What becomes part of a field: a line end in it would begin another one. */
static bool
send_check_lines(struct ctl *c)
{
	static const char *const names[] = { "from", "to", "cc", "subject",
		"config-set", "tag" };
	json_t *value, *v;
	size_t	i, k;
	bool	ok = true;

	for (k = 0; ok && k < sizeof(names) / sizeof(names[0]); k++) {
		value = json_object_get(c->args, names[k]);
		ok = send_is_line(value);
		json_array_foreach(value, i, v)
			ok = ok && send_is_line(v);
		if (!ok)
			ctl_say_misuse(c, "--%s: not one line", names[k]);
	}
	return ok;
}

/* --header "Name: value"; what would break the section is a usage error. */
static bool
send_add_field(struct ctl *c, struct buf *out, const char *text)
{
	const char *colon = strchr(text, ':'), *p;

	for (p = text; colon != NULL && p < colon; p++)
		if (*p <= ' ' || (unsigned char)*p > 126)
			break;
	if (colon == NULL || colon == text || p < colon ||
	    strpbrk(text, "\r\n") != NULL) {
		ctl_say_misuse(c, "--header: %s is not NAME: VALUE",
		    text);
		return false;
	}
	buf_printf(out, "%.*s: ", (int)(colon - text), text);
	send_add_words(out, bytes_trim(bytes_of(colon + 1)));
	buf_add_text(out, "\r\n");
	return true;
}

/* Fields that ask posthorn, and those of the operator. */
static bool
send_add_fields(struct ctl *c, struct buf *out)
{
	const char *set = ctl_arg(c, "config-set");
	json_t	   *v;
	size_t	    i;

	json_array_foreach(json_object_get(c->args, "header"), i, v)
		if (!send_add_field(c, out, json_string_value(v)))
			return false;
	if (set != NULL)
		buf_printf(out, "X-SES-CONFIGURATION-SET: %s\r\n", set);
	send_add_list(out, "X-SES-MESSAGE-TAGS",
	    json_object_get(c->args, "tag"));
	return true;
}

static bool
send_compose(struct ctl *c, struct buf *out)
{
	json_t	    *v = json_object_get(c->args, "text");
	struct bytes text = { json_string_value(v), json_string_length(v) };
	const char  *subject = ctl_arg(c, "subject");
	bool	     plain = send_is_plain(text);

	buf_printf(out, "From: %s\r\n", ctl_arg(c, "from"));
	send_add_list(out, "To", json_object_get(c->args, "to"));
	send_add_list(out, "Cc", json_object_get(c->args, "cc"));
	if (subject != NULL) {
		buf_add_text(out, "Subject: ");
		send_add_words(out, bytes_of(subject));
		buf_add_text(out, "\r\n");
	}
	if (!send_add_fields(c, out))
		return false;
	buf_printf(out, "MIME-Version: 1.0\r\n"
	    "Content-Type: text/plain; charset=utf-8\r\n"
	    "Content-Transfer-Encoding: %s\r\n\r\n",
	    plain ? "7bit" : "quoted-printable");
	if (plain)
		send_add_lines(out, text);
	else
		send_add_qp(out, text);
	return true;
}

/* Its lines become those of a message. */
static bool
send_take_raw(struct ctl *c, struct buf *out)
{
	int	fd = c->fds[json_integer_value(
		    json_object_get(c->args, "raw"))];
	struct buf in;
	bool	   done;

	buf_init(&in, MESSAGE_MAX);
	done = ctl_read_fd(fd, &in);
	if (done)
		send_add_lines(out, buf_bytes(&in));
	else
		ctl_say_error(c, "BadRequestException",
		    "the message cannot be read");
	buf_wipe(&in);
	return done;
}

static int
send_hand_over(struct ctl *c, struct buf *text)
{
	if (text->failed) {
		ctl_say_error(c, "BadRequestException",
		    "the message is too large");
		return CTL_REFUSED;
	}
	return ctl_add_text(c, "message", buf_bytes(text)) ? CTL_DONE
							   : CTL_REFUSED;
}

/* All are recipients; how they are shown the message says itself. */
static void
send_gather_recipients(struct ctl *c)
{
	static const char *const more[] = { "cc", "bcc" };
	static const char *const own[] = { "cc", "bcc", "subject", "text",
		"header", "raw", "config-set", "tag" };
	json_t *to = json_object_get(c->args, "to"), *v;
	size_t	i, k;

	for (k = 0; k < sizeof(more) / sizeof(more[0]); k++)
		json_array_foreach(json_object_get(c->args, more[k]), i, v)
			json_array_append(to, v);
	for (k = 0; k < sizeof(own) / sizeof(own[0]); k++)
		json_object_del(c->args, own[k]);
}

static int
send_help_simulator(void)
{
	static const char *const lines[] = {
		"success@          delivered",
		"bounce@           hard bounce: 550 5.1.1 user unknown",
		"ooto@             delivered, then an automatic reply",
		"complaint@        delivered, then a complaint",
		"suppressionlist@  on the installation's list: no attempt",
		"accountlist@      on the account's list: no attempt",
		"unsubscribed@     unsubscribed: no attempt",
		"asyncbounce@      delivered, then a hard bounce by mail",
		"notspam@          delivered, then a report: not spam",
		("mailboxfull@, toolarge@, contentrejected@, "
		"attachmentrejected@"),
		"                  soft bounces of that kind",
		"undetermined@     554 5.0.0 unknown failure",
		"delay+N@          N temporary failures, 10 s apart (1 to 5)",
		"greylist@         one of them, then delivered",
		"softbounce@       given up after 30 s",
		"slow@             delivered after 30 s",
		"notls@            offers no TLS",
		"success+size@     delivered; the answer has the octets",
		"any other name    as bounce@",
	};
	size_t i;

	printf("Addresses of simulator.domain and simulator.amazonses.com; "
	    "a label as in\nbounce+7@ is kept in events:\n\n");
	for (i = 0; i < sizeof(lines) / sizeof(lines[0]); i++)
		puts(lines[i]);
	return CTL_DONE;
}

static int
send_run(struct ctl *c)
{
	bool	    raw = json_object_get(c->args, "raw") != NULL;
	struct buf  text;
	json_t	   *result = NULL;
	int	    status = CTL_USAGE;

	if (ctl_arg_true(c, "help-simulator"))
		return send_help_simulator();
	if (ctl_arg(c, "from") == NULL ||
	    json_array_size(json_object_get(c->args, "to")) == 0 ||
	    (raw && (json_object_get(c->args, "text") != NULL ||
		ctl_arg(c, "subject") != NULL))) {
		ctl_say_misuse(c, "--from, --to and either --raw or "
		    "--subject and --text are needed");
		return CTL_USAGE;
	}
	if (!send_check_lines(c))
		return CTL_USAGE;
	buf_init(&text, MESSAGE_MAX);
	if (raw ? send_add_fields(c, &text) && send_take_raw(c, &text)
		: send_compose(c, &text))
		status = send_hand_over(c, &text);
	buf_wipe(&text);
	if (status != CTL_DONE)
		return status;
	send_gather_recipients(c);
	status = ctl_call(c, c->command->verb, NULL, &result);
	if (result != NULL)
		ctl_show(c, result);
	json_decref(result);
	return status;
}

static void
send_print(struct ctl *c, json_t *result)
{
	const char *id =
	    json_string_value(json_object_get(result, "MessageId"));

	(void)c;
	if (id != NULL) /* a dry run has none */
		puts(id);
}

const struct ctl_command ctl_send_commands[] = {
	{ .verb = "send",
	    .options = "from:text to:words cc:words bcc:words subject:text "
		       "text:input raw:file config-set:text tag:many "
		       "header:many help-simulator:flag",
	    .local = send_run, .show = send_print },
	{ .verb = NULL }
};

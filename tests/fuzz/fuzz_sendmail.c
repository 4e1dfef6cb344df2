/* SPDX-License-Identifier: ISC */
/*
 * What sendmail(1) reads: the first octet chooses configuration, address
 * list or message.  A message leaves with clean line ends, whatever pieces it
 * came in.
 */
#include <string.h>

#include "base/err.h"
#include "tools/sendmail_address.h"
#include "tools/sendmail_conf.h"
#include "tools/sendmail_message.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

static void
try_conf(struct bytes s)
{
	struct sendmail_conf c;
	struct buf	     errors;
	bool		     good;

	buf_init(&errors, 1 << 20);
	good = sendmail_conf_parse("f", s, &c, &errors);
	must(good == (errors.n == 0));
	must(c.socket != NULL);
	must((c.server_host == NULL) == (c.server_port == NULL));
	sendmail_conf_wipe(&c);
	buf_wipe(&errors);
}

static void
count_address(void *arg, struct bytes address)
{
	size_t *n = arg;

	must(address.n > 0);
	(*n)++;
}

/* A line of a header goes on behind a fold only. */
static void
must_be_folded(struct bytes s)
{
	size_t i;

	for (i = 0; i < s.n; i++)
		must((s.p[i] != '\n' && s.p[i] != '\r') ||
		    (s.p[i] == '\r' && i + 1 < s.n && s.p[i + 1] == '\n') ||
		    (s.p[i] == '\n' && i > 0 && s.p[i - 1] == '\r' &&
			i + 1 < s.n && s.p[i + 1] == ' '));
}

/* The login, a line end, and the field as passwd(5) has it. */
static void
try_gecos(struct bytes s)
{
	ptrdiff_t  end = bytes_find(s, 0, '\n');
	char	   login[64], *gecos;
	struct buf name, text;

	bytes_text(bytes_head(s, end < 0 ? 0 : (size_t)end), login,
	    sizeof(login));
	gecos = mem_dup_bytes(bytes_from(s, (size_t)(end + 1)));
	buf_init(&name, 1 << 22);
	buf_init(&text, 1 << 24);
	if (sendmail_gecos_name(gecos, login, &name)) {
		must(bytes_find(buf_bytes(&name), 0, '&') < 0 ||
		    strchr(login, '&') != NULL);
		sendmail_add_display_name(buf_bytes(&name), &text);
		must_be_folded(buf_bytes(&text));
	}
	mem_free(gecos);
	buf_wipe(&name);
	buf_wipe(&text);
}

static void
try_list(struct bytes s)
{
	struct buf text;
	size_t	   n = 0;

	buf_init(&text, 16 << 20);
	must(sendmail_list_complete(s, BYTES("h.example"), &text,
	    count_address, &n));
	must(text.n >= s.n && text.n <= s.n + n * 10);
	buf_clear(&text);
	sendmail_add_display_name(s, &text);
	must(text.n == 0 || text.p[text.n - 1] == ' ');
	buf_wipe(&text);
}

static void
add_body(void *arg, struct bytes s)
{
	buf_add_bytes(arg, s);
}

static void
must_be_lines(struct bytes s)
{
	size_t i;

	must(s.n == 0 || s.p[s.n - 1] == '\n');
	for (i = 0; i < s.n; i++) {
		must(s.p[i] != '\r' || (i + 1 < s.n && s.p[i + 1] == '\n'));
		must(s.p[i] != '\n' || (i > 0 && s.p[i - 1] == '\r'));
	}
}

static void
read_input(struct bytes s, size_t step, bool dots, struct buf *head,
    struct buf *body)
{
	struct sendmail_input in;
	size_t		      i;

	sendmail_input_init(&in, dots, add_body, body);
	for (i = 0; i < s.n; i += step)
		sendmail_input_feed(&in, bytes_head(bytes_from(s, i), step));
	sendmail_input_end(&in);
	must(!in.too_long);
	buf_add_bytes(head, buf_bytes(&in.head));
	sendmail_input_wipe(&in);
}

static void
try_message(struct bytes s, unsigned how)
{
	struct sendmail_plan plan = { .host = BYTES("h.example"),
		.from = BYTES("a@b"), .full_name = BYTES("A, B"),
		.configuration_set = BYTES("set") };
	struct sendmail_list list;
	struct buf	     head, body, head2, body2, out;

	buf_init(&head, 1 << 20);
	buf_init(&body, 1 << 20);
	buf_init(&head2, 1 << 20);
	buf_init(&body2, 1 << 20);
	buf_init(&out, 8 << 20);
	read_input(s, s.n + 1, how & 1, &head, &body);
	read_input(s, 1 + (how >> 2), how & 1, &head2, &body2);
	must(bytes_eq(buf_bytes(&head), buf_bytes(&head2)));
	must(bytes_eq(buf_bytes(&body), buf_bytes(&body2)));
	must_be_lines(buf_bytes(&head));
	must_be_lines(buf_bytes(&body));
	plan.reads_recipients = how & 2;
	sendmail_list_init(&list);
	if (sendmail_head_build(buf_bytes(&head), &plan, &out, &list) ==
	    SENDMAIL_HEAD_OK) {
		must_be_lines(buf_bytes(&out));
		must(out.n >= 4 &&
		    memcmp(out.p + out.n - 4, "\r\n\r\n", 4) == 0);
		must(plan.reads_recipients || list.n == 0);
	}
	sendmail_list_wipe(&list);
	buf_wipe(&head);
	buf_wipe(&body);
	buf_wipe(&head2);
	buf_wipe(&body2);
	buf_wipe(&out);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes s;

	if (size == 0 || size > 65536)
		return 0;
	s = (struct bytes){ (const char *)data + 1, size - 1 };
	if (data[0] == 'c')
		try_conf(s);
	else if (data[0] == 'l')
		try_list(s);
	else if (data[0] == 'g')
		try_gecos(s);
	else
		try_message(s, data[0]);
	return 0;
}

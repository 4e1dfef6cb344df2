/* SPDX-License-Identifier: ISC */
/*
 * Content of a message from DATA to the signature: framing, header section,
 * MIME, rewriting, and what libopendkim is given of it.  The first octet of
 * the input chooses rules and the size of the pieces.
 */
#include <stdint.h>
#include <stdlib.h>
#include <string.h>

#include "submission/desk_private.h"
#include "submission/receive.h"

struct fuzz_world {
	struct desk  desk;
	struct conf *conf;
};

static void
require(int ok)
{
	if (!ok)
		abort();
}

static struct fuzz_world *
fuzz_world(void)
{
	static struct fuzz_world *w; /* made once: libopendkim is slow to */
	struct err		  e;

	if (w != NULL)
		return w;
	w = mem_alloc(sizeof(*w));
	w->desk.setup.loop = loop_new("fuzz", 8, &e);
	w->desk.setup.tally = tally_new(16);
	w->desk.stages = table_new(0);
	w->desk.signer = signer_new(NULL, &e);
	w->conf = conf_defaults();
	w->conf->server.name = "mail.relay.example";
	require(w->desk.signer != NULL);
	return w;
}

static void
choose(struct fuzz_world *w, unsigned flags)
{
	struct conf *c = w->conf;

	c->dkim.canonicalization = flags & 2 ? CONF_RELAXED_RELAXED :
	    CONF_RELAXED_SIMPLE;
	c->smtp.bare_lf = flags & 4 ? CONF_BARE_LF_REJECT :
	    CONF_BARE_LF_NORMALIZE;
	c->smtp.bare_cr = flags & 8 ? CONF_BARE_CR_SPACE : CONF_BARE_CR_REJECT;
	c->message.long_lines = flags & 16 ? CONF_LONG_LINES_PASS :
	    CONF_LONG_LINES_REJECT;
	c->message.received = flags & 32 ? CONF_RECEIVED_FULL :
	    CONF_RECEIVED_ANONYMOUS;
}

/* What leaves holds no bare CR, bare LF or NUL, and ends with a line end. */
static void
check_clean(struct bytes b, char *last)
{
	size_t i;

	for (i = 0; i < b.n; i++) {
		require(b.p[i] != '\0');
		require((b.p[i] == '\n') == (*last == '\r'));
		*last = b.p[i];
	}
}

static void
check_closed(struct fuzz_world *w, struct receive *r, struct message *m)
{
	struct receive_close rules = { .conf = w->conf, .with = "ESMTPSA",
		.feedback_id = BYTES("1.r.t:posthorn") };
	unsigned char	    digest[32], hash[32];
	struct signer_field f = { .conf = w->conf, .domain = "example.com",
		.selector = "s", .when = { 1714564800000 },
		.body_hash = hash };
	struct chunk *c;
	struct err    e;
	struct buf    head, field;
	char	      last = '\n';

	buf_init(&head, 8 << 20);
	buf_init(&field, 8192);
	require(receive_close(r, &rules, &head));
	last = ' ';
	check_clean(buf_bytes(&head), &last);
	require(head.n >= 4 && memcmp(head.p + head.n - 2, "\r\n", 2) == 0);
	last = ' ';
	for (c = m->body_first; c != NULL; c = c->next)
		check_clean((struct bytes){ c->data, c->n }, &last);
	require(m->body_first == NULL || last == '\n');
	require(receive_body_hash(r, hash, &e) == 0);
	f.head = buf_bytes(&head);
	if (signer_digest(w->desk.signer, &f, &field, digest, &e) == 0) {
		require(signer_finish(&field, digest, sizeof(digest)));
		last = ' ';
		check_clean(buf_bytes(&field), &last);
	}
	buf_wipe(&head);
	buf_wipe(&field);
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct fuzz_world   *w = fuzz_world();
	struct receive_setup rs = { .desk = &w->desk, .conf = w->conf,
		.kind = FRAMING_DATA, .size_max = 100000, .blocked = "" };
	struct bytes	in;
	struct receive *r;
	struct reply	re;
	struct err	e;
	size_t		step;

	if (size == 0)
		return 0;
	choose(w, data[0]);
	step = data[0] & 64 ? 1u + data[0] % 7u : SIZE_MAX;
	rs.lenient = (data[0] & 1) != 0;
	rs.message = message_new(1 << 20);
	require(message_set(rs.message, &rs.message->sender,
	    BYTES("sender@example.com")));
	require(message_set(rs.message, &rs.message->ehlo, BYTES("x\"<y>")));
	r = receive_new(&rs, &e);
	require(r != NULL);
	in = (struct bytes){ (const char *)data + 1, size - 1 };
	while (in.n > 0 && !receive_has_ended(r))
		in = bytes_from(in, receive_feed(r, bytes_head(in, step)));
	if (!receive_has_ended(r))
		receive_feed(r, BYTES("\r\n.\r\n"));
	if (!receive_has_ended(r)) /* the end of a line was half-way there */
		receive_feed(r, BYTES("\r\n.\r\n"));
	require(receive_has_ended(r));
	if (receive_check_content(r, &re) && receive_check_header(r, &re)) {
		require(receive_snapshot(r));
		receive_check_parts(r, &re);
		check_closed(w, r, rs.message);
	} else {
		require(re.code >= 400 && re.code < 600);
	}
	receive_free(r);
	message_free(rs.message);
	return 0;
}

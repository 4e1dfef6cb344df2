/* SPDX-License-Identifier: ISC */
/*
 * Whole sessions: the first octet chooses the listener, the second the rules
 * and what the spool answers; the rest is what the client says, with 0xff and
 * an octet for what is no text: where a segment ends, TLS, time, the way it
 * goes.  session_world.h has what must hold.
 */
#include "session_world.h"

enum session_op {
	OP_SPLIT, /* a segment ends */
	OP_TLS,
	OP_TLS_BROKEN,
	OP_SECOND,
	OP_IDLE, /* longer than before login */
	OP_MINUTE,
	OP_LONG, /* longer than in data */
	OP_PAUSE,
	OP_RESUME,
	OP_RESET,
	OP_LOGIN, /* the right one */
	OP_END_DATA,
	OP_FILL, /* much content */
	OP_LITERAL,
	OP_COUNT
};

static void
choose(struct session_world *w, unsigned flags)
{
	static const enum receipt_result results[] = { RECEIPT_OK, RECEIPT_OK,
		RECEIPT_DOWN, RECEIPT_FULL };
	struct conf *c = w->conf;

	c->smtp.bare_lf = flags & 1 ? CONF_BARE_LF_REJECT :
	    CONF_BARE_LF_NORMALIZE;
	c->smtp.bare_cr = flags & 2 ? CONF_BARE_CR_SPACE : CONF_BARE_CR_REJECT;
	c->smtp.enhanced_status_codes = (flags & 4) != 0;
	c->smtp.recipient_limit_mode = flags & 8 ? CONF_LIMIT_REJECT :
	    CONF_LIMIT_DEFER;
	c->smtp.max_recipients = flags & 8 ? 2 : 50;
	c->smtp.max_messages_per_connection = flags & 16 ? 1 : 1000;
	c->message.max_size_bytes = flags & 32 ? 2000 : 41943040;
	c->auth.fail_delay_ms = flags & 16 ? 0 : 2000;
	memset(&the_spool, 0, sizeof(the_spool));
	the_spool.staged = results[flags >> 6];
	the_spool.submitted = results[flags >> 6];
	the_spool.room = flags & 32 ? results[flags >> 6] : RECEIPT_OK;
	keys_double_refuse = (flags & 0x50) == 0x50;
}

/* Lines of content, more than a chunk of them. */
static void
fill(struct talk *t)
{
	static char text[128 * 1024];
	size_t	    i;

	for (i = 0; text[sizeof(text) - 1] == '\0'; i++)
		text[i] = i % 64 == 62 ? '\r' : i % 64 == 63 ? '\n' : 'x';
	talk_write(t, (struct bytes){ text, sizeof(text) });
}

static void
obey(struct talk *t, enum session_op op)
{
	static const int64_t ms[] = { [OP_SECOND] = 1000, [OP_IDLE] = 11000,
		[OP_MINUTE] = 61000, [OP_LONG] = 200000 };

	switch (op) {
	case OP_TLS:
		talk_tls(t, "TLSv1.3");
		break;
	case OP_TLS_BROKEN:
		talk_tls(t, NULL);
		break;
	case OP_SECOND:
	case OP_IDLE:
	case OP_MINUTE:
	case OP_LONG:
		must(fake_threads_advance(ms[op]));
		break;
	case OP_PAUSE:
	case OP_RESUME:
		if (!t->has_ended)
			fake_link_pause(t->link, op == OP_PAUSE);
		t->was_paused = true;
		talk_settle();
		break;
	case OP_LOGIN:
		talk_write(t, BYTES(SESSION_AUTH));
		break;
	case OP_END_DATA:
		talk_write(t, BYTES("\r\n.\r\n"));
		break;
	case OP_FILL:
		if (t->sent.n < TALK_MAX / 2)
			fill(t);
		break;
	case OP_LITERAL:
		talk_write(t, BYTES("\xff"));
		break;
	default:
		break;
	}
}

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct session_world *w = session_world();
	struct bytes	      in;
	struct talk	      t;
	bool		      reset = false;
	ptrdiff_t	      at;
	unsigned	      op;

	if (size < 2)
		return 0;
	choose(w, data[1]);
	talk_open(&t, w, (enum session_listener)(data[0] % SESSION_LISTENERS));
	in = (struct bytes){ (const char *)data + 2, size - 2 };
	while (in.n > 0 && !reset) {
		at = bytes_find(in, 0, '\xff');
		talk_write(&t, at < 0 ? in : bytes_head(in, (size_t)at));
		in = bytes_from(in, at < 0 ? in.n : (size_t)at + 1);
		if (at < 0 || in.n == 0)
			break;
		op = (unsigned char)in.p[0] % OP_COUNT;
		in = bytes_from(in, 1);
		reset = op == OP_RESET;
		obey(&t, (enum session_op)op);
	}
	talk_close(&t, reset);
	return 0;
}

/* SPDX-License-Identifier: ISC */
/* sink_private.h - shared by sink.c (servers and rules) and sink_talk.c. */
#ifndef REPLAY_SINK_PRIVATE_H
#define REPLAY_SINK_PRIVATE_H

#include "base/thread.h"
#include "sink.h"

enum sink_act {
	ACT_REPLY,
	ACT_DROP,  /* closes without a word */
	ACT_RESET,
	ACT_HANG,  /* never answers */
	ACT_DEAF,  /* reads no more */
	ACT_RAW,   /* these octets */
	ACT_REFUSE,
	ACT_UNREACHABLE,
	ACT_SHORT,
	ACT_BROKEN, /* TLS: the handshake fails */
	ACT_UNTRUSTED /* TLS: the certificate is not to be trusted */
};
struct sink_rule {
	struct sink_rule *next;
	enum sink_stage	  stage;
	unsigned	  from, to; /* times the stage was reached; 0 = any */
	unsigned	  conn_from, conn_to; /* number of the connection */
	char		 *address; /* glob, of RCPT and MAIL */
	enum sink_act	  act;
	int64_t		  after_ms;
	char		 *text;
	size_t		  octets; /* of text, which may have a NUL */
	bool		  hangs_up; /* after the reply */
};
/* How the server is friendly. */
const struct sink_rule *sink_rule_for(struct sink *s, enum sink_stage stage,
    unsigned connection, const char *address);

struct sink_talk { /* one connection */
	struct sink_talk *next, **link;
	struct sink	 *sink;
	struct fake_link *net;
	unsigned	  number;
	char		  source[64];
	struct buf	  in;
	bool		  tls, gone, deaf, in_data, in_chunk, chunk_is_last;
	size_t		  chunk_left;
	bool		  has_mail, chunk_refused;
	char		 *sender, *rcpts;
	char		 *path; /* of the RCPT to be answered */
	struct buf	  content;
	struct timer	  later; /* a delayed answer */
	const struct sink_rule *later_rule;
	enum sink_stage	  later_stage;
};
void sink_talk_begin(struct sink *s, struct fake_link *net,
    const char *source);
void sink_talk_free(struct sink_talk *t);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * framing.h - line ends and the end of data: strict CRLF, dots, counts.
 * Use:    framing_init(&f, FRAMING_DATA);
 *         used = framing_feed(&f, input, sink, arg);  until f.ended
 *         What is behind used are commands pipelined behind the end of data.
 *         BDAT: framing_init(&f, FRAMING_CHUNK) once for all chunks of a
 *         message, feed each chunk, framing_end() after the last.
 *         Sending: stuffing_init(), stuffing_feed() ..., stuffing_end().
 * Owner:  plain structs; pieces given to the sink are borrowed for the call.
 * Thread: any; pure.
 * Fails:  never; what was wrong is told by flags when the content has ended.
 * Only CR LF "." CR LF ends data.  A bare LF leaves as CR LF, a bare CR as a
 * blank; both are flagged, and the caller decides whether that is refused.
 */
#ifndef MAIL_FRAMING_H
#define MAIL_FRAMING_H

#include <stdbool.h>
#include <stddef.h>
#include <stdint.h>

#include "base/mem.h"

typedef void framing_sink(void *arg, struct bytes piece);

enum framing_kind {
	FRAMING_DATA, /* dot-stuffed, ends by itself */
	FRAMING_CHUNK /* BDAT, files: no dots, ends by framing_end() */
};

enum framing_state {
	FRAMING_LINE,	/* at the start of a line, behind CR LF */
	FRAMING_TEXT,
	FRAMING_CR,	/* a CR is held back */
	FRAMING_DOT,	/* CR LF "." */
	FRAMING_DOT_CR, /* CR LF "." CR */
	FRAMING_OVER
};

struct framing {
	enum framing_kind  kind;
	enum framing_state state;
	bool	 ended;
	bool	 has_bare_lf, has_bare_cr, has_nul;
	bool	 has_eight_bit; /* an octet above 127 */
	uint64_t size;	  /* octets given to the sink, CR LF as two */
	uint64_t longest; /* longest line without CR LF */
	uint64_t line;	  /* length of the running line; inner */
	bool	 at_line_start; /* nothing behind the last CR LF; inner */
};

void framing_init(struct framing *f, enum framing_kind kind);
/* Returns how many octets of in were used; all, unless data ended. */
size_t framing_feed(struct framing *f, struct bytes in, framing_sink *sink,
    void *arg);
/* FRAMING_CHUNK: no more comes; adds a final CR LF when it is missing. */
void framing_end(struct framing *f, framing_sink *sink, void *arg);

/* Dot-stuffing of clean content, cut into pieces anywhere. */
struct stuffing {
	bool at_line_start;
};
void stuffing_init(struct stuffing *s);
void stuffing_feed(struct stuffing *s, struct bytes in, framing_sink *sink,
    void *arg);
/* Gives "." CR LF, with CR LF before it when the last line had no end. */
void stuffing_end(struct stuffing *s, framing_sink *sink, void *arg);

#endif

/* SPDX-License-Identifier: ISC */
/*
 * sendmail_message.h - what sendmail(1) makes of the message on its standard
 * input (credentials.md 8.2).
 *
 * Use:    sendmail_input_init(&in, keeps_dots, &sink);
 *         sendmail_input_feed() until in.ended, sendmail_input_end();
 *         in.head is the header section then, the body went to the sink.
 *         sendmail_head_build(&in, &plan, arena, &out, &list).
 * Owner:  input owns the header section; _wipe.  The list of recipients
 *         owns its texts; _wipe.
 * Thread: any; pure.
 * Fails:  in.too_long: the header section is larger than what is kept.
 * Line ends: LF and CR LF are one, a CR elsewhere goes, the last line gets
 * one.  A first line "From user date" and ">From " behind it go.
 */
#ifndef TOOLS_SENDMAIL_MESSAGE_H
#define TOOLS_SENDMAIL_MESSAGE_H

#include <stdbool.h>

#include "base/mem.h"
#include "mail/framing.h"

enum {
	SENDMAIL_HEAD_MAX = 1 << 20, /* octets of a header section */
	SENDMAIL_RECIPIENTS_MAX = 10000
};

enum sendmail_line {
	SENDMAIL_LINE_START,
	SENDMAIL_LINE_TEXT,
	SENDMAIL_LINE_DOT /* only "." so far, held back */
};

struct sendmail_input {
	/* result */
	struct buf head; /* fields, each with CR LF; no empty line */
	bool	   ended; /* by a single dot */
	bool	   too_long;
	/* inner */
	framing_sink	  *sink; /* of the body */
	void		  *arg;
	bool		   keeps_dots;
	enum sendmail_line line;
	unsigned	   leading; /* "From " lines looked for: 2, 1, 0 */
	bool		   in_body;
	size_t		   looked; /* of head, by header_end() */
};

void sendmail_input_init(struct sendmail_input *in, bool keeps_dots,
    framing_sink *sink, void *arg);
void sendmail_input_feed(struct sendmail_input *in, struct bytes s);
void sendmail_input_end(struct sendmail_input *in);
void sendmail_input_wipe(struct sendmail_input *in);

struct table;
struct sendmail_list {
	char	    **v;
	size_t	      n;
	bool	      too_many;
	struct table *seen;
};
void sendmail_list_init(struct sendmail_list *l);
void sendmail_list_wipe(struct sendmail_list *l);
/* A sendmail_on_address: arg is the list; one that is there stays alone. */
void sendmail_list_add(void *arg, struct bytes address);

struct sendmail_plan {
	struct bytes host; /* server.name, completes addresses */
	bool	     reads_recipients; /* -t */
	struct bytes from; /* for a missing From, "" = left to the server */
	struct bytes full_name; /* before it, "" = none */
	struct bytes configuration_set; /* "" = none */
};

enum sendmail_head_result {
	SENDMAIL_HEAD_OK,
	SENDMAIL_HEAD_TOO_LONG, /* also: one field of it */
	SENDMAIL_HEAD_NO_MEMORY
};
/* out: the header section and its empty line. */
enum sendmail_head_result sendmail_head_build(struct bytes head,
    const struct sendmail_plan *plan, struct buf *out,
    struct sendmail_list *recipients);

#endif

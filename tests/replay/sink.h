/* SPDX-License-Identifier: ISC */
/*
 * sink.h - a receiving mail server that does what a play says.
 *
 * Use:    sink_read(p, words): the block "receiver NAME ADDRESS[:PORT] {";
 *         sink_change(): one more rule while the play goes on.
 *         sinks_open(p) hangs them into the fake net.
 * Owner:  the play.
 * Thread: the loop of the net.
 * Fails:  by play_fail().
 * Rules are looked at from the newest to the oldest; the first that fits
 * decides, else the server is friendly.
 */
#ifndef REPLAY_SINK_H
#define REPLAY_SINK_H

#include <stdbool.h>
#include <sys/socket.h>

#include "fake_stream.h"
#include "play.h"

enum sink_stage {
	SINK_CONNECT,
	SINK_GREETING,
	SINK_EHLO,
	SINK_HELO,
	SINK_STARTTLS,
	SINK_TLS, /* the handshake */
	SINK_MAIL,
	SINK_RCPT,
	SINK_DATA,
	SINK_CHUNK, /* BDAT that is not the last */
	SINK_DOT,   /* end of data, last BDAT */
	SINK_RSET,
	SINK_NOOP,
	SINK_QUIT
};
enum { SINK_STAGES = SINK_QUIT + 1 };

struct sink_rule;

struct sink_copy { /* a message that was taken */
	struct wall at;
	char	   *sender, *rcpts; /* rcpts joined by "," */
	struct buf  content;
	bool	    tls;
	unsigned    connection; /* from 1 on */
	char	    source[64];
};
struct sink_line { /* what the daemon has said */
	struct wall at;
	unsigned    connection;
	char	   *text;
};
struct sink {
	struct sink	       *next;
	struct play	       *play;
	char		       *name;
	struct sockaddr_storage addr;
	char		       *capabilities; /* "PIPELINING, SIZE 1000" */
	unsigned		limit;	      /* parallel connections, 0 = any */
	char		       *limit_reply;
	struct sink_rule       *rules;
	unsigned		reached[SINK_STAGES];
	unsigned		connections, open, peak;
	struct wall	       *connected_at; /* of each */
	char		      (*connected_from)[64];
	struct sink_copy       *copies;
	size_t			copy_count;
	struct sink_line       *said;
	size_t			said_count;
	struct sink_talk       *talks; /* connections that are open */
};

struct sinks_figures {
	unsigned tried; /* connections to anywhere */
	char	 last[128];
};

void sinks_open(struct play *p);
void sinks_close(struct play *p);
void sink_read(struct play *p, const struct words *w);
void sink_change(struct play *p, const struct words *w);
struct sink *sink_find(struct play *p, const char *name); /* or fails */
const struct sinks_figures *sinks_figures(void);

#endif

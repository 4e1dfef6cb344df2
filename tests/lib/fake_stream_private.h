/* SPDX-License-Identifier: ISC */
/*
 * fake_stream_private.h - what fake_stream.c (the daemon's side) and
 * fake_link.c (the net, and the test's side) share.
 *
 * A stream and its peer are joined by a link, which outlives both.  What one
 * side does is noted in the link and looked at by the other side's loop:
 *
 *	stream_on_soon()	the daemon's side: input, handshake, output
 *	link_on_peer()		the test's side
 *
 * States of a stream: CONNECTING -> OPEN -> (HANDSHAKE -> OPEN) -> ENDED, or
 * FINISHING; CLOSED waits for the reaper.
 */
#ifndef TESTS_FAKE_STREAM_PRIVATE_H
#define TESTS_FAKE_STREAM_PRIVATE_H

#include "fake_stream.h"
#include "net/sockaddr.h"
#include "net/tls.h"

enum {
	STREAM_INPUT_MAX = 64 * 1024,
	STREAM_OUTPUT_MAX = 1024 * 1024,
	LINK_MAX = 256 * 1024 * 1024
};

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_HANDSHAKE,
	STREAM_FINISHING,
	STREAM_ENDED,
	STREAM_CLOSED
};

struct stream {
	struct loop	    *loop;
	struct stream_events ev;
	void		    *arg;
	enum stream_state    state;
	struct fake_link    *link;
	struct timer	     soon, deadline, stall;
	struct buf	     in, out;
	size_t		     input_max, output_max;
	int64_t		     write_timeout_ms;
	bool		     has_deadline, is_paused, is_input_due;
	struct mono	     deadline_at;
	int64_t		     deadline_left_ms;
	bool		     has_end_due, tls_asked, tls_is_client, tls_verify;
	enum stream_end	     end_why;
	struct turns	    *turns;
	struct turn	     turn;
	enum turn_rank	     turn_rank;
	const char	    *turn_source;
	bool		     has_turn;
	struct tls_server   *tls_server;
	struct tls_client   *tls_client;
	char		    *tls_name;
	struct stream_tls    tls;
	uint64_t	     octets_in, octets_out;
	char		     error[256];
	struct sockaddr_storage peer, local;
	char peer_text[STREAM_ADDR_MAX], local_text[STREAM_ADDR_MAX];
};

struct fake_link {
	struct fake_link *next;
	struct stream	 *stream; /* NULL: not yet, or no more */
	struct loop	 *loop;	  /* of the stream */
	bool		  was_accepted; /* by the daemon */
	struct fake_client who;
	int		  fd, other_fd; /* of a client: what accept() gives */
	struct watch	 *watch;
	/* to the test */
	struct fake_peer_events ev;
	void	  *arg;
	bool	   has_peer, peer_closed, peer_noted, peer_told_end;
	bool	   is_paused, says_end, says_hello, says_tls;
	struct buf to_peer;
	/* to the daemon */
	bool	   stream_noted, has_eof, is_reset, has_answer;
	int	   refused; /* errno */
	struct buf to_stream;
	size_t	   to_stream_from; /* what is before is taken already */
	char	   version[12], cipher[48];
	bool	   tls_ok, is_trusted;
};

void stream_schedule(struct stream *s); /* stream_on_soon() */
struct fake_link *link_new(struct loop *l);
struct fake_link *link_of_fd(int fd); /* not accepted yet */
void link_note_peer(struct fake_link *k);
/* The daemon connects: the test is asked. */
void link_connect(struct fake_link *k);

#endif

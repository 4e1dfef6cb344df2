/* SPDX-License-Identifier: ISC */
/*
 * stream_private.h - what the files of the stream share: stream.c (life, and
 * what the owner asks), stream_io.c (what the loop calls), stream_socket.c.
 *
 * The states, and what leads on:
 *
 *	CONNECTING	stream_connect();     stream_on_connected() -> OPEN
 *	OPEN		octets move;          stream_tls_*() -> TLS_WAIT
 *	TLS_WAIT	what was queued before leaves in clear text;
 *			stream_start_handshake() -> HANDSHAKE
 *	HANDSHAKE	stream_handshake() -> OPEN; on the server's side each
 *			step waits for its turn first, stream_on_turn()
 *	FINISHING	stream_finish(): output leaves; stream_linger() -> LINGER
 *	LINGER		our side is shut; what still comes is thrown away, for
 *			closing with unread input would destroy our last words
 *	ENDED		on_end was called; the owner will close
 *	CLOSED		waits for the reaper
 *
 * All reading, writing and calling back happens in three places, which are
 * called by the loop and never by the owner: stream_on_event(),
 * stream_on_soon() and the two timers.  What the owner asks for is noted and
 * done in stream_on_soon(), once all descriptors of the pass have been seen:
 * so the replies of a pass leave in one piece.  After each call back the
 * state is looked at again: the owner may have closed.
 */
#ifndef NET_STREAM_PRIVATE_H
#define NET_STREAM_PRIVATE_H

#include "net/sockaddr.h"
#include "net/stream.h"
#include "net/stream_block.h"

struct tls_session;

enum stream_state {
	STREAM_CONNECTING,
	STREAM_OPEN,
	STREAM_TLS_WAIT,
	STREAM_HANDSHAKE,
	STREAM_FINISHING,
	STREAM_LINGER,
	STREAM_ENDED,
	STREAM_CLOSED
};

/* When on_end is still to be called. */
enum stream_end_due { END_NONE, END_AFTER_INPUT, END_NOW };

struct stream {
	struct loop	    *loop;
	struct stream_events ev;
	void		    *arg;
	enum stream_state    state;
	int		     fd;
	struct watch	    *watch;
	int		     watched; /* what the kernel was asked for */
	struct timer	     soon, deadline, stall;
	struct guest	     guest; /* of the loop, once there is no owner */
	struct block	     in, out;
	size_t		     input_max, output_max;
	size_t		     plain_left; /* of out, before TLS */
	int64_t		     write_timeout_ms;
	/* deadline_at while running, deadline_left while paused */
	bool	      has_deadline;
	struct mono   deadline_at, armed_at;
	int64_t	      deadline_left_ms;
	bool	      is_paused;
	bool	      is_pressed; /* input came in spite of the pause */
	bool	      is_blocked; /* the socket takes no more output */
	bool	      is_input_due, is_more_due; /* for stream_on_soon() */
	bool	      has_seen_eof;
	bool	      read_wants_write, write_wants_read; /* TLS */
	int	      handshake_wants;
	struct turns *turns; /* of handshakes; NULL: each step is done at once */
	struct turn   turn;
	enum turn_rank turn_rank;
	const char    *turn_source; /* borrowed */
	enum stream_end_due end_due;
	enum stream_end	    end_why;
	struct tls_session *tls;
	struct tls_server  *tls_server;
	struct tls_client  *tls_client;
	char		   *tls_name;
	bool		    tls_verify;
	uint64_t	    octets_in, octets_out;
	size_t		    lingered;
	char		   *error;
	struct sockaddr_storage peer, local;
	char peer_text[STREAM_ADDR_MAX], local_text[STREAM_ADDR_MAX];
};

bool stream_is_over(const struct stream *s);
/* Finishing: nobody is called any more. */
bool stream_is_orphan(const struct stream *s);
void stream_set_error(struct stream *s, const char *what, const char *why);
/* Asks the kernel for what can be used now, if that has changed. */
void stream_watch(struct stream *s);
void stream_schedule(struct stream *s); /* stream_on_soon() */
/* on_end(why) in the next turn, not from inside the owner's call. */
void stream_end_soon(struct stream *s, enum stream_end why);
/* Only from the loop's calls. */
void stream_end(struct stream *s, enum stream_end why);
void stream_name_local(struct stream *s);

/* stream_io.c */
void stream_on_event(void *arg, int fd, int what);
void stream_on_soon(void *arg, void *unused);
void stream_on_loop_end(void *arg, void *unused); /* orphans only */
void stream_on_turn(void *arg, void *unused);

/* stream_socket.c */
bool socket_credentials(int fd, struct stream_cred *out);
void socket_set_up(int fd, int family);

#endif

/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <string.h>
#include <sys/socket.h>

#include "net/stream_private.h"
#include "net/tls_private.h"

enum {
	STREAM_TURN_MAX = 64 * 1024, /* octets read in one turn */
	STREAM_SHARE_MAX = 32 * 1024, /* the same, of those that take turns */
	STREAM_READ_FIRST = 2048, /* behind input that waits */
	STREAM_ROUNDS_MAX = 8,	     /* of on_drained in one turn */
	STREAM_LINGER_MS = 2000,
	STREAM_LINGER_MAX = 1024 * 1024
};

static void stream_handshake(struct stream *s);

/* -- input ---------------------------------------------------------------- */

static enum tls_io
stream_read_socket(struct stream *s, void *p, size_t n, size_t *got)
{
	ssize_t k;

	*got = 0;
	do
		k = recv(s->fd, p, n, 0);
	while (k < 0 && errno == EINTR);
	if (k > 0) {
		*got = (size_t)k;
		/* less than there was room for: all is read */
		return *got < n ? TLS_IO_WANT_READ : TLS_IO_DONE;
	}
	if (k == 0)
		return TLS_IO_EOF;
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return TLS_IO_WANT_READ;
	stream_set_error(s, "read", strerror(errno));
	return TLS_IO_FAILED;
}

static size_t
stream_turn_max(const struct stream *s)
{
	if (s->turns == NULL)
		return STREAM_TURN_MAX;
	return s->input_max < STREAM_SHARE_MAX ? s->input_max
					       : STREAM_SHARE_MAX;
}

/*
 * Reads up to a turn's worth into s->in; how reading ended.  Where nothing
 * waits the octets lie in memory that the loop lends, for most are used at
 * once; the rest moves in stream_settle().
 */
static enum tls_io
stream_fill(struct stream *s, size_t *total)
{
	enum tls_io io;
	size_t	    room, got;
	char	   *p;

	*total = 0;
	if (s->in.n == 0) {
		p = loop_scratch(s->loop, &room);
		block_lend(&s->in, p, room);
	}
	do {
		room = s->in.n < s->input_max ? s->input_max - s->in.n : 0;
		if (room == 0 || *total >= stream_turn_max(s))
			return TLS_IO_DONE;
		if (room > stream_turn_max(s) - *total)
			room = stream_turn_max(s) - *total;
		p = block_room(&s->in, STREAM_READ_FIRST, &room);
		if (p == NULL) {
			stream_set_error(s, "read", strerror(ENOMEM));
			return TLS_IO_FAILED;
		}
		if (s->tls == NULL) {
			io = stream_read_socket(s, p, room, &got);
		} else {
			io = tls_session_read(s->tls, p, room, &got);
			if (io == TLS_IO_FAILED)
				stream_set_error(s, "",
				    tls_session_error(s->tls));
		}
		block_commit(&s->in, got);
		*total += got;
	} while (io == TLS_IO_DONE);
	return io;
}

/* The owner has seen the input; AUTH lines were among it, perhaps. */
static void
stream_settle(struct stream *s, size_t total)
{
	size_t room;
	char  *p = loop_scratch(s->loop, &room);
	bool   is_kept = block_settle(&s->in);

	block_forget(p, total < room ? total : room);
	block_relax(&s->in);
	if (!is_kept && !stream_is_over(s)) {
		stream_set_error(s, "read", strerror(ENOMEM));
		stream_end_soon(s, STREAM_LOST);
	}
}

static void
stream_read(struct stream *s)
{
	size_t	    total;
	enum tls_io io;

	if (s->has_seen_eof)
		return;
	io = stream_fill(s, &total);
	s->octets_in += total;
	s->read_wants_write = io == TLS_IO_WANT_WRITE;
	/* a full turn: the rest may be inside OpenSSL; a full buffer is the
	 * matter of stream_take() */
	if (io == TLS_IO_DONE && s->turns != NULL &&
	    total >= stream_turn_max(s))
		turn_ask(s->turns, &s->turn, TURN_GREEDY,
		    bytes_of(s->turn_source));
	else if (io == TLS_IO_DONE && s->tls != NULL && s->in.n < s->input_max &&
	    tls_session_has_pending(s->tls)) {
		s->is_more_due = true;
		stream_schedule(s);
	}
	if (io == TLS_IO_EOF)
		s->has_seen_eof = true;
	if (total > 0) {
		s->is_input_due = false;
		s->ev.on_input(s->arg);
	}
	stream_settle(s, total);
	if (s->state == STREAM_CLOSED)
		return;
	if (io == TLS_IO_FAILED) {
		stream_end(s, STREAM_LOST);
		return;
	}
	if (io == TLS_IO_EOF && s->end_due == END_NONE) {
		/* the owner may be paused, and its replies are to leave */
		s->end_due = END_AFTER_INPUT;
		s->end_why = STREAM_EOF;
		stream_schedule(s);
	}
	stream_watch(s);
}

/* -- output --------------------------------------------------------------- */

static enum tls_io
stream_send_socket(struct stream *s, size_t n, size_t *put)
{
	ssize_t k;

	*put = 0;
	do
		k = send(s->fd, block_bytes(&s->out).p, n, MSG_NOSIGNAL);
	while (k < 0 && errno == EINTR);
	if (k >= 0) {
		*put = (size_t)k;
		return *put < n ? TLS_IO_WANT_WRITE : TLS_IO_DONE;
	}
	if (errno == EAGAIN || errno == EWOULDBLOCK)
		return TLS_IO_WANT_WRITE;
	stream_set_error(s, "write", strerror(errno));
	return TLS_IO_FAILED;
}

/* Sends what the socket takes; how writing ended. */
static enum tls_io
stream_drain(struct stream *s)
{
	enum tls_io io = TLS_IO_DONE;
	size_t	    put, total = 0;

	while (io == TLS_IO_DONE && s->out.n > 0) {
		if (s->state == STREAM_TLS_WAIT && s->plain_left == 0)
			break;
		if (s->state == STREAM_TLS_WAIT)
			io = stream_send_socket(s, s->plain_left, &put);
		else if (s->tls == NULL)
			io = stream_send_socket(s, s->out.n, &put);
		else
			io = tls_session_write(s->tls,
			    block_bytes(&s->out).p, s->out.n, &put);
		if (io == TLS_IO_FAILED && s->tls != NULL)
			stream_set_error(s, "", tls_session_error(s->tls));
		block_drop(&s->out, put);
		if (s->state == STREAM_TLS_WAIT)
			s->plain_left -= put;
		total += put;
	}
	s->octets_out += total;
	if (total > 0)
		timer_clear(&s->stall);
	return io;
}

/* Everything is said: close_notify, shut our side, wait for the peer's. */
static void
stream_linger(struct stream *s)
{
	if (s->tls != NULL)
		tls_session_shutdown(s->tls);
	if (s->has_seen_eof || shutdown(s->fd, SHUT_WR) < 0) {
		stream_close(s);
		return;
	}
	s->state = STREAM_LINGER;
	timer_set(&s->deadline, STREAM_LINGER_MS);
	stream_watch(s);
}

/* What the socket takes still leaves; nobody waits for the peer any more. */
void
stream_on_loop_end(void *arg, void *unused)
{
	struct stream *s = arg;

	(void)unused;
	if (s->state == STREAM_FINISHING) {
		(void)stream_drain(s);
		if (s->tls != NULL && s->out.n == 0)
			tls_session_shutdown(s->tls);
	}
	stream_close(s);
}

static void
stream_swallow(struct stream *s)
{
	char	waste[16 * 1024];
	ssize_t n;

	do {
		n = recv(s->fd, waste, sizeof(waste), 0);
		if (n > 0)
			s->lingered += (size_t)n;
	} while (n > 0 && s->lingered < STREAM_LINGER_MAX);
	if (n >= 0 || (errno != EAGAIN && errno != EINTR))
		stream_close(s);
}

/* false: it has ended */
static bool
stream_make_session(struct stream *s)
{
	if (s->tls_server != NULL)
		s->tls = tls_session_server(s->tls_server, s->fd,
		    loop_now(s->loop));
	else
		s->tls = tls_session_client(s->tls_client, s->fd,
		    s->tls_name, s->tls_verify);
	if (s->tls == NULL) {
		stream_set_error(s, "TLS", "cannot be set up");
		stream_end(s, STREAM_TLS_FAILED);
	}
	return s->tls != NULL;
}

static void
stream_start_handshake(struct stream *s)
{
	s->state = STREAM_HANDSHAKE;
	turn_leave(&s->turn); /* that was one for reading */
	if (s->turns != NULL) {
		/* nothing is spent on a client before it has said something */
		s->handshake_wants = WATCH_READ;
		stream_watch(s);
	} else if (stream_make_session(s)) {
		stream_handshake(s);
	}
}

static void
stream_flush_wait(struct stream *s, enum tls_io io)
{
	s->is_blocked = true;
	s->write_wants_read = io == TLS_IO_WANT_READ;
	if (s->write_timeout_ms > 0 && !timer_is_set(&s->stall) &&
	    !stream_is_orphan(s))
		timer_set(&s->stall, s->write_timeout_ms);
	stream_watch(s);
}

/*
 * A server that refuses says so and closes, while we are still writing: what
 * it said is still to be read.
 */
static void
stream_end_write(struct stream *s)
{
	char  *error = s->error;
	size_t total = 0;

	s->error = NULL;
	if (s->state == STREAM_OPEN && s->tls == NULL && !s->is_paused)
		stream_fill(s, &total);
	mem_free(s->error);
	s->error = error;
	s->octets_in += total;
	if (total > 0)
		s->ev.on_input(s->arg);
	stream_settle(s, total);
	if (!stream_is_over(s))
		stream_end(s, STREAM_LOST);
}

static void
stream_flush(struct stream *s)
{
	enum tls_io io;
	bool	    had_output;
	int	    round;

	for (round = 0; round < STREAM_ROUNDS_MAX; round++) {
		had_output = s->out.n > 0;
		io = stream_drain(s);
		if (io == TLS_IO_FAILED || io == TLS_IO_EOF) {
			stream_end_write(s);
			return;
		}
		if (s->state == STREAM_TLS_WAIT && s->plain_left == 0) {
			s->is_blocked = false;
			stream_start_handshake(s);
			return;
		}
		if (s->out.n > 0) {
			stream_flush_wait(s, io);
			return;
		}
		s->is_blocked = s->write_wants_read = false;
		block_relax(&s->out);
		if (s->state == STREAM_FINISHING) {
			stream_linger(s);
			return;
		}
		if (had_output && s->ev.on_drained != NULL)
			s->ev.on_drained(s->arg);
		if (s->state != STREAM_OPEN || s->out.n == 0)
			break;
	}
	/* a fast reader with a fast owner: the others have their turn now */
	if (s->state == STREAM_OPEN && s->out.n > 0)
		s->is_blocked = true;
	stream_watch(s);
}

/* -- what the loop calls -------------------------------------------------- */

static void
stream_on_connected(struct stream *s)
{
	int	  error = 0;
	socklen_t len = sizeof(error);

	if (getsockopt(s->fd, SOL_SOCKET, SO_ERROR, &error, &len) < 0)
		error = errno;
	if (error != 0) {
		stream_set_error(s, "connect", strerror(error));
		stream_end(s, STREAM_LOST);
		return;
	}
	s->state = STREAM_OPEN;
	stream_name_local(s);
	s->ev.on_ready(s->arg);
	if (s->state == STREAM_OPEN && s->out.n > 0)
		stream_schedule(s);
	if (s->state != STREAM_CLOSED)
		stream_watch(s);
}

static void
stream_handshake(struct stream *s)
{
	switch (tls_session_handshake(s->tls)) {
	case TLS_IO_WANT_READ:
		s->handshake_wants = WATCH_READ;
		break;
	case TLS_IO_WANT_WRITE:
		s->handshake_wants = WATCH_WRITE;
		break;
	case TLS_IO_DONE:
		s->state = STREAM_OPEN;
		/* the first request may have come with the last flight */
		s->is_more_due = true;
		stream_schedule(s);
		s->ev.on_ready(s->arg);
		if (s->state == STREAM_CLOSED)
			return;
		break;
	case TLS_IO_EOF:
	case TLS_IO_FAILED:
		stream_set_error(s, "", tls_session_error(s->tls));
		stream_end(s, STREAM_TLS_FAILED);
		return;
	}
	stream_watch(s);
}

/*
 * The kernel is asked to be silent only when it tells of the same input twice:
 * most turns come in the same pass.
 */
static void
stream_ask_turn(struct stream *s)
{
	if (turn_is_waiting(&s->turn)) {
		s->handshake_wants = 0;
		stream_watch(s);
		return;
	}
	turn_ask(s->turns, &s->turn, s->turn_rank, bytes_of(s->turn_source));
}

void
stream_on_turn(void *arg, void *unused)
{
	struct stream *s = arg;

	(void)unused;
	if (s->state == STREAM_OPEN) { /* what was left in its socket */
		if (!s->is_paused)
			stream_read(s);
		return;
	}
	if (s->state != STREAM_HANDSHAKE ||
	    (s->tls == NULL && !stream_make_session(s)))
		return;
	stream_handshake(s);
	if (s->state == STREAM_HANDSHAKE && tls_session_has_begun(s->tls))
		s->turn_rank = TURN_LIGHT;
}

void
stream_on_event(void *arg, int fd, int what)
{
	struct stream *s = arg;

	(void)fd;
	switch (s->state) {
	case STREAM_CONNECTING:
		stream_on_connected(s);
		return;
	case STREAM_HANDSHAKE:
		if (s->turns != NULL)
			stream_ask_turn(s);
		else
			stream_handshake(s);
		return;
	case STREAM_LINGER:
		stream_swallow(s);
		return;
	case STREAM_TLS_WAIT:
	case STREAM_FINISHING:
		stream_flush(s);
		return;
	case STREAM_OPEN:
		break;
	case STREAM_ENDED:
	case STREAM_CLOSED:
		return;
	}
	if (s->is_blocked &&
	    (what & (s->write_wants_read ? WATCH_READ : WATCH_WRITE)))
		stream_flush(s);
	if (turn_is_waiting(&s->turn)) {
		return; /* it has read its share: the others first */
	} else if (s->state == STREAM_OPEN && !s->is_paused &&
	    ((what & WATCH_READ) || s->read_wants_write)) {
		stream_read(s);
	} else if (s->state == STREAM_OPEN) {
		if (s->is_paused && (what & WATCH_READ) != 0)
			s->is_pressed = true;
		stream_watch(s);
	}
}

/* What the owner has asked for, and what OpenSSL still holds. */
void
stream_on_soon(void *arg, void *unused)
{
	struct stream *s = arg;

	(void)unused;
	if (s->end_due == END_NOW) {
		stream_end(s, s->end_why);
		return;
	}
	if (s->is_input_due && s->state == STREAM_OPEN && !s->is_paused) {
		s->is_input_due = false;
		if (s->in.n > 0)
			s->ev.on_input(s->arg);
		block_relax(&s->in);
	}
	if (s->is_more_due && s->state == STREAM_OPEN && !s->is_paused &&
	    !turn_is_waiting(&s->turn)) {
		s->is_more_due = false;
		if (s->tls != NULL)
			stream_read(s);
		else
			stream_watch(s);
	}
	if (stream_is_over(s))
		return;
	if (s->state == STREAM_FINISHING || s->state == STREAM_TLS_WAIT ||
	    (s->state == STREAM_OPEN && s->out.n > 0 && !s->is_blocked))
		stream_flush(s);
	if (s->state == STREAM_OPEN && s->end_due != END_NONE &&
	    (s->end_due == END_NOW || !s->is_paused))
		stream_end(s, s->end_why);
}

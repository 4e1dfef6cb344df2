/* SPDX-License-Identifier: ISC */
#include "net/stream.h"

#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <sys/un.h>
#include <unistd.h>

#include "net/stream_private.h"
#include "net/tls.h"
#include "net/tls_private.h"

enum { STREAM_INPUT_MAX = 64 * 1024, STREAM_OUTPUT_MAX = 1024 * 1024 };

static void stream_on_deadline(void *arg, void *unused);
static void stream_on_stall(void *arg, void *unused);

/* -- life ----------------------------------------------------------------- */

void
stream_set_error(struct stream *s, const char *what, const char *why)
{
	char text[256];

	snprintf(text, sizeof(text), "%s%s%s", what, *what ? ": " : "", why);
	mem_free(s->error);
	s->error = mem_dup(text);
}

bool
stream_is_over(const struct stream *s)
{
	return s->state == STREAM_ENDED || s->state == STREAM_CLOSED;
}

bool
stream_is_orphan(const struct stream *s)
{
	return s->state == STREAM_FINISHING || s->state == STREAM_LINGER;
}

static struct stream *
stream_new(struct loop *l, int fd, const struct stream_events *ev, void *arg)
{
	struct stream *s = mem_alloc(sizeof(*s));

	loop_must_own(l);
	s->loop = l;
	s->fd = fd;
	s->ev = *ev;
	s->arg = arg;
	s->input_max = STREAM_INPUT_MAX;
	s->output_max = STREAM_OUTPUT_MAX;
	timer_init(&s->soon, l, stream_on_soon, s);
	timer_init(&s->deadline, l, stream_on_deadline, s);
	timer_init(&s->stall, l, stream_on_stall, s);
	turn_init(&s->turn, stream_on_turn, s);
	return s;
}

void
stream_name_local(struct stream *s)
{
	socklen_t len = sizeof(s->local);
	char	  text[STREAM_ADDR_MAX + 48];

	if (getsockname(s->fd, (struct sockaddr *)&s->local, &len) < 0)
		memset(&s->local, 0, sizeof(s->local));
	sockaddr_text((struct sockaddr *)&s->local, false, text);
	bytes_text(bytes_of(s->local.ss_family == AF_UNIX ? "unix" : text),
	    s->local_text, sizeof(s->local_text));
}

static void
stream_name_peer(struct stream *s)
{
	char text[STREAM_ADDR_MAX + 48];

	sockaddr_text((struct sockaddr *)&s->peer, false, text);
	bytes_text(bytes_of(s->peer.ss_family == AF_UNIX ? "unix" : text),
	    s->peer_text, sizeof(s->peer_text));
}

/*
 * The kernel hears of a pause only when input comes in spite of it: most are
 * over before, and to ask again would cost two calls for each message.
 */
static bool
stream_wants_input(const struct stream *s)
{
	if (s->in.n >= s->input_max || s->has_seen_eof)
		return false;
	return !s->is_paused ||
	    (!s->is_pressed && (s->watched & WATCH_READ) != 0);
}

static int
stream_blocked_on(const struct stream *s)
{
	return s->write_wants_read ? WATCH_READ : WATCH_WRITE;
}

void
stream_watch(struct stream *s)
{
	int what = 0;

	switch (s->state) {
	case STREAM_CONNECTING:
		what = WATCH_WRITE;
		break;
	case STREAM_OPEN:
		if (stream_wants_input(s))
			what |= WATCH_READ;
		if (s->read_wants_write)
			what |= WATCH_WRITE;
		if (s->is_blocked)
			what |= stream_blocked_on(s);
		break;
	case STREAM_TLS_WAIT:
	case STREAM_FINISHING:
		if (!s->is_blocked)
			return; /* over in this pass, as a rule */
		what = stream_blocked_on(s);
		break;
	case STREAM_HANDSHAKE:
		what = s->handshake_wants;
		break;
	case STREAM_LINGER:
		what = WATCH_READ;
		break;
	case STREAM_ENDED:
	case STREAM_CLOSED:
		break;
	}
	if (what == s->watched || s->watch == NULL)
		return;
	s->watched = what;
	watch_change(s->watch, what);
}

static bool
stream_open_watch(struct stream *s, int what)
{
	s->watch = watch_open(s->loop, s->fd, what, stream_on_event, s);
	s->watched = what;
	return s->watch != NULL;
}

void
stream_schedule(struct stream *s)
{
	if (!timer_is_set(&s->soon) && !stream_is_over(s))
		timer_set(&s->soon, 0);
}

void
stream_end_soon(struct stream *s, enum stream_end why)
{
	if (s->end_due == END_NOW)
		return;
	s->end_due = END_NOW;
	s->end_why = why;
	stream_schedule(s);
}

struct stream *
stream_accept(struct loop *l, int fd, const struct stream_events *ev,
    void *arg)
{
	struct stream *s = stream_new(l, fd, ev, arg);
	socklen_t      len = sizeof(s->peer);

	s->state = STREAM_OPEN;
	if (getpeername(fd, (struct sockaddr *)&s->peer, &len) < 0)
		memset(&s->peer, 0, sizeof(s->peer));
	stream_name_local(s);
	if (s->peer.ss_family == AF_UNSPEC)
		s->peer.ss_family = s->local.ss_family;
	stream_name_peer(s);
	socket_set_up(fd, s->local.ss_family);
	if (!stream_open_watch(s, WATCH_READ)) {
		stream_set_error(s, "watch", strerror(errno));
		stream_end_soon(s, STREAM_LOST);
	}
	return s;
}

/* 0, or -1: *why says whose trouble it is. */
static int
stream_begin_connect(struct stream *s, const struct sockaddr *to,
    const struct sockaddr *from, enum stream_end *why)
{
	int one = 1;

	*why = STREAM_LOST;
	s->fd = socket(to->sa_family,
	    SOCK_STREAM | SOCK_NONBLOCK | SOCK_CLOEXEC, 0);
	if (s->fd < 0) {
		if (errno == EMFILE || errno == ENFILE || errno == ENOBUFS ||
		    errno == ENOMEM)
			*why = STREAM_SHORT;
		stream_set_error(s, "socket", strerror(errno));
		return -1;
	}
	socket_set_up(s->fd, to->sa_family);
	if (from != NULL) {
		/* the port is chosen at connect, when the peer is known */
		setsockopt(s->fd, IPPROTO_IP, IP_BIND_ADDRESS_NO_PORT, &one,
		    sizeof(one));
		if (bind(s->fd, from, sockaddr_len(from)) < 0) {
			stream_set_error(s, "bind", strerror(errno));
			return -1;
		}
	}
	if (connect(s->fd, to, sockaddr_len(to)) < 0 &&
	    errno != EINPROGRESS) {
		stream_set_error(s, "connect", strerror(errno));
		return -1;
	}
	if (!stream_open_watch(s, WATCH_WRITE)) {
		stream_set_error(s, "watch", strerror(errno));
		return -1;
	}
	return 0;
}

struct stream *
stream_connect(struct loop *l, const struct sockaddr *to,
    const struct sockaddr *from, const struct stream_events *ev, void *arg)
{
	struct stream  *s = stream_new(l, -1, ev, arg);
	enum stream_end why;

	s->state = STREAM_CONNECTING;
	memcpy(&s->peer, to, sockaddr_len(to));
	stream_name_peer(s);
	if (stream_begin_connect(s, to, from, &why) < 0)
		stream_end_soon(s, why);
	return s;
}

static void
stream_free(void *p)
{
	struct stream *s = p;

	mem_free(s->error);
	mem_free(s);
}

void
stream_close(struct stream *s)
{
	if (s == NULL || s->state == STREAM_CLOSED)
		return;
	loop_must_own(s->loop);
	s->state = STREAM_CLOSED;
	timer_clear(&s->soon);
	timer_clear(&s->deadline);
	timer_clear(&s->stall);
	turn_leave(&s->turn);
	loop_remove_guest(&s->guest);
	watch_close(s->watch);
	tls_session_free(s->tls);
	s->tls = NULL;
	if (s->fd >= 0)
		close(s->fd);
	block_wipe(&s->in);
	block_wipe(&s->out);
	tls_server_unref(s->tls_server);
	tls_client_unref(s->tls_client);
	mem_free(s->tls_name);
	loop_reap(s->loop, stream_free, s);
}

void
stream_finish(struct stream *s, int64_t ms)
{
	loop_must_own(s->loop);
	if (s->state != STREAM_OPEN || s->end_due == END_NOW) {
		stream_close(s);
		return;
	}
	s->state = STREAM_FINISHING;
	loop_add_guest(s->loop, &s->guest, stream_on_loop_end, s);
	s->is_paused = false;
	turn_leave(&s->turn);
	block_wipe(&s->in);
	timer_set(&s->deadline, ms);
	timer_clear(&s->stall);
	stream_schedule(s);
}

/* -- ends ----------------------------------------------------------------- */

void
stream_end(struct stream *s, enum stream_end why)
{
	if (stream_is_orphan(s)) {
		stream_close(s);
		return;
	}
	s->state = STREAM_ENDED;
	timer_clear(&s->soon);
	timer_clear(&s->deadline);
	timer_clear(&s->stall);
	turn_leave(&s->turn);
	stream_watch(s);
	s->ev.on_end(s->arg, why);
}

static void
stream_on_deadline(void *arg, void *unused)
{
	struct stream *s = arg;
	struct mono    now = loop_now(s->loop);

	(void)unused;
	if (stream_is_orphan(s)) {
		stream_close(s);
	} else if (s->has_deadline && !s->is_paused) {
		/* the timer is not moved each time the deadline moves on */
		if (now.ms >= s->deadline_at.ms) {
			stream_end(s, STREAM_TIMEOUT);
			return;
		}
		s->armed_at = s->deadline_at;
		timer_set(&s->deadline, s->deadline_at.ms - now.ms);
	}
}

static void
stream_on_stall(void *arg, void *unused)
{
	(void)unused;
	stream_end(arg, STREAM_STUCK);
}

/* -- input ---------------------------------------------------------------- */

struct bytes
stream_peek(struct stream *s)
{
	return block_bytes(&s->in);
}

void
stream_take(struct stream *s, size_t n)
{
	bool was_full = s->in.n >= s->input_max;

	block_drop(&s->in, n);
	if (!was_full || s->state != STREAM_OPEN)
		return;
	/* what OpenSSL holds already is not announced by the kernel */
	s->is_more_due = true;
	stream_schedule(s);
}

void
stream_set_input_max(struct stream *s, size_t n)
{
	s->input_max = n;
	s->is_more_due = true;
	stream_schedule(s);
}

void
stream_pause(struct stream *s)
{
	if (s->is_paused)
		return;
	s->is_paused = true;
	s->deadline_left_ms = s->deadline_at.ms - loop_now(s->loop).ms;
}

void
stream_resume(struct stream *s)
{
	if (!s->is_paused)
		return;
	s->is_paused = s->is_pressed = false;
	if (stream_is_over(s))
		return;
	if (s->has_deadline)
		stream_deadline(s,
		    s->deadline_left_ms > 0 ? s->deadline_left_ms : 1);
	s->is_input_due = s->in.n > 0;
	s->is_more_due = s->tls != NULL && tls_session_has_pending(s->tls);
	if (s->is_input_due || s->is_more_due || s->end_due != END_NONE)
		stream_schedule(s);
	stream_watch(s);
}

bool
stream_is_paused(const struct stream *s)
{
	return s->is_paused;
}

/* -- output --------------------------------------------------------------- */

bool
stream_write(struct stream *s, struct bytes b)
{
	if (stream_is_over(s) || s->end_due == END_NOW)
		return false;
	if (b.n > s->output_max || s->out.n > s->output_max - b.n ||
	    !block_add(&s->out, b)) {
		stream_set_error(s, "", "the peer does not read");
		stream_end_soon(s, STREAM_STUCK);
		return false;
	}
	if (b.n > 0 && !s->is_blocked && s->state == STREAM_OPEN)
		stream_schedule(s);
	return true;
}

size_t
stream_queued(const struct stream *s)
{
	return s->out.n;
}

void
stream_set_output_max(struct stream *s, size_t n)
{
	s->output_max = n;
}

void
stream_set_write_timeout(struct stream *s, int64_t ms)
{
	s->write_timeout_ms = ms;
	if (ms == 0)
		timer_clear(&s->stall);
	else if (s->is_blocked && s->state == STREAM_OPEN)
		timer_set(&s->stall, ms);
}

/* -- deadline, TLS, what the owner may ask -------------------------------- */

void
stream_deadline(struct stream *s, int64_t ms)
{
	struct mono now = loop_now(s->loop);

	if (stream_is_over(s))
		return;
	s->has_deadline = ms > 0;
	if (!s->has_deadline) {
		timer_clear(&s->deadline);
		return;
	}
	s->deadline_left_ms = ms;
	s->deadline_at.ms = now.ms + ms;
	if (s->is_paused || (timer_is_set(&s->deadline) &&
	    s->armed_at.ms <= s->deadline_at.ms))
		return;
	s->armed_at = s->deadline_at;
	timer_set(&s->deadline, ms);
}

static void
stream_begin_tls(struct stream *s)
{
	must(s->tls == NULL);
	if (stream_is_over(s))
		return;
	must(s->state == STREAM_OPEN);
	s->state = STREAM_TLS_WAIT;
	s->plain_left = s->out.n;
	s->is_input_due = false;
	stream_schedule(s);
}

void
stream_tls_server(struct stream *s, struct tls_server *ctx)
{
	must(s->in.n == 0);
	s->tls_server = tls_server_ref(ctx);
	stream_begin_tls(s);
}

void
stream_take_turns(struct stream *s, struct turns *ts, enum turn_rank rank,
    const char *source)
{
	s->turns = ts;
	s->turn_rank = rank;
	s->turn_source = source;
}

/*
 * What a server says in clear text after its "go ahead" could be the words
 * of somebody in between: it must not be taken for protected.
 */
void
stream_tls_client(struct stream *s, struct tls_client *ctx, const char *name,
    bool verify)
{
	s->tls_client = tls_client_ref(ctx);
	s->tls_name = mem_dup(name == NULL ? "" : name);
	s->tls_verify = verify;
	stream_begin_tls(s);
	if (s->in.n > 0) {
		stream_set_error(s, "TLS", "clear text before the handshake");
		stream_end_soon(s, STREAM_TLS_FAILED);
	}
}

void
stream_tls_describe(const struct stream *s, struct stream_tls *out)
{
	memset(out, 0, sizeof(*out));
	if (s->tls != NULL)
		tls_session_describe(s->tls, out);
}

const char *
stream_peer_text(const struct stream *s)
{
	return s->peer_text;
}

const char *
stream_local_text(const struct stream *s)
{
	return s->local_text;
}

uint16_t
stream_peer_port(const struct stream *s)
{
	return sockaddr_port(&s->peer);
}

uint16_t
stream_local_port(const struct stream *s)
{
	return sockaddr_port(&s->local);
}

const struct sockaddr *
stream_peer(const struct stream *s)
{
	return (const struct sockaddr *)&s->peer;
}

bool
stream_credentials(const struct stream *s, struct stream_cred *out)
{
	return s->fd >= 0 && s->local.ss_family == AF_UNIX &&
	    socket_credentials(s->fd, out);
}

const char *
stream_error_text(const struct stream *s)
{
	return s->error == NULL ? "" : s->error;
}

uint64_t
stream_octets_in(const struct stream *s)
{
	return s->octets_in;
}

uint64_t
stream_octets_out(const struct stream *s)
{
	return s->octets_out;
}

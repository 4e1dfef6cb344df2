/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <netinet/in.h>
#include <stdio.h>
#include <string.h>
#include <unistd.h>

#include "fake_stream_private.h"

enum { DRAINED_ROUNDS = 8 }; /* of on_drained in one turn */

static void stream_on_soon(void *arg, void *unused);
static void stream_on_turn(void *arg, void *unused);

void
stream_schedule(struct stream *s)
{
	if (!timer_is_set(&s->soon) && s->state < STREAM_ENDED)
		timer_set(&s->soon, 0);
}

/* -- life of a stream --------------------------------------------------------- */

static void
stream_end(struct stream *s, enum stream_end why)
{
	if (s->state == STREAM_FINISHING) {
		stream_close(s);
		return;
	}
	s->state = STREAM_ENDED;
	turn_leave(&s->turn);
	timer_clear(&s->soon);
	timer_clear(&s->deadline);
	timer_clear(&s->stall);
	s->ev.on_end(s->arg, why);
}

static void
stream_on_deadline(void *arg, void *unused)
{
	struct stream *s = arg;

	(void)unused;
	if (s->state == STREAM_FINISHING)
		stream_close(s);
	else
		stream_end(s, STREAM_TIMEOUT);
}

static void
stream_on_stall(void *arg, void *unused)
{
	(void)unused;
	stream_end(arg, STREAM_STUCK);
}

static struct stream *
stream_new(struct loop *l, const struct stream_events *ev, void *arg)
{
	struct stream *s = mem_alloc(sizeof(*s));

	loop_must_own(l);
	s->loop = l;
	s->ev = *ev;
	s->arg = arg;
	s->input_max = STREAM_INPUT_MAX;
	s->output_max = STREAM_OUTPUT_MAX;
	buf_init(&s->in, LINK_MAX);
	buf_init(&s->out, LINK_MAX);
	timer_init(&s->soon, l, stream_on_soon, s);
	timer_init(&s->deadline, l, stream_on_deadline, s);
	timer_init(&s->stall, l, stream_on_stall, s);
	turn_init(&s->turn, stream_on_turn, s);
	return s;
}

static void
stream_name(const struct sockaddr_storage *ss, char out[STREAM_ADDR_MAX])
{
	char text[STREAM_ADDR_MAX + 48];

	sockaddr_text((const struct sockaddr *)ss, false, text);
	snprintf(out, STREAM_ADDR_MAX, "%.*s", STREAM_ADDR_MAX - 1,
	    ss->ss_family == AF_UNIX ? "unix" : text);
}

static void
stream_name_both(struct stream *s)
{
	stream_name(&s->peer, s->peer_text);
	stream_name(&s->local, s->local_text);
}

struct stream *
stream_accept(struct loop *l, int fd, const struct stream_events *ev,
    void *arg)
{
	struct stream	 *s = stream_new(l, ev, arg);
	struct fake_link *k = link_of_fd(fd);

	must(k != NULL);
	k->was_accepted = true;
	k->stream = s;
	k->loop = l;
	close(fd);
	s->link = k;
	s->state = STREAM_OPEN;
	s->peer = k->who.from;
	s->local = k->who.to;
	stream_name_both(s);
	stream_schedule(s);
	return s;
}

/* What the system would choose. */
static void
stream_choose_local(struct stream *s)
{
	struct sockaddr_in  in = { .sin_family = AF_INET,
		 .sin_addr.s_addr = htonl(0xc0000201) }; /* 192.0.2.1 */
	struct sockaddr_in6 in6 = { .sin6_family = AF_INET6,
		.sin6_addr.s6_addr = { 0x20, 0x01, 0x0d, 0xb8, [15] = 1 } };

	if (s->peer.ss_family == AF_INET6)
		memcpy(&s->local, &in6, sizeof(in6));
	else
		memcpy(&s->local, &in, sizeof(in));
}

struct stream *
stream_connect(struct loop *l, const struct sockaddr *to,
    const struct sockaddr *from, const struct stream_events *ev, void *arg)
{
	struct stream *s = stream_new(l, ev, arg);

	s->state = STREAM_CONNECTING;
	memcpy(&s->peer, to, sockaddr_len(to));
	if (from != NULL)
		memcpy(&s->local, from, sockaddr_len(from));
	else
		stream_choose_local(s);
	stream_name_both(s);
	s->link = link_new(l);
	s->link->stream = s;
	s->link->was_accepted = true;
	link_connect(s->link);
	return s;
}

void
stream_close(struct stream *s)
{
	struct fake_link *k;

	if (s == NULL || s->state == STREAM_CLOSED)
		return;
	loop_must_own(s->loop);
	s->state = STREAM_CLOSED;
	turn_leave(&s->turn);
	timer_clear(&s->soon);
	timer_clear(&s->deadline);
	timer_clear(&s->stall);
	k = s->link;
	k->stream = NULL;
	k->says_end = true;
	buf_wipe(&k->to_stream);
	link_note_peer(k);
	buf_wipe(&s->in);
	buf_wipe(&s->out);
	tls_server_unref(s->tls_server);
	tls_client_unref(s->tls_client);
	mem_free(s->tls_name);
	loop_reap(s->loop, mem_free, s);
}

void
stream_finish(struct stream *s, int64_t ms)
{
	loop_must_own(s->loop);
	if (s->state != STREAM_OPEN || s->has_end_due) {
		stream_close(s);
		return;
	}
	s->state = STREAM_FINISHING;
	s->is_paused = false;
	timer_clear(&s->stall);
	timer_set(&s->deadline, ms);
	stream_schedule(s);
}

/* -- what happens soon --------------------------------------------------------- */

static void
stream_step_connect(struct stream *s)
{
	if (s->link->refused != 0) {
		snprintf(s->error, sizeof(s->error), "connect: %s",
		    strerror(s->link->refused));
		stream_end(s, s->link->refused == EMFILE ? STREAM_SHORT :
		    STREAM_LOST);
	} else if (s->link->has_peer) {
		s->state = STREAM_OPEN;
		s->ev.on_ready(s->arg);
	}
}

static void
stream_fail_tls(struct stream *s, const char *why)
{
	snprintf(s->error, sizeof(s->error), "%s", why);
	stream_end(s, STREAM_TLS_FAILED);
}

static void
stream_step_handshake(struct stream *s)
{
	struct fake_link *k = s->link;

	if (!k->has_answer) {
		if (k->to_stream.n > 0)
			stream_fail_tls(s, "wrong version number");
		else if (k->has_eof || k->is_reset)
			stream_fail_tls(s, "unexpected eof while reading");
		return;
	}
	if (s->turns != NULL && !s->has_turn) {
		turn_ask(s->turns, &s->turn, s->turn_rank,
		    bytes_of(s->turn_source));
		return;
	}
	k->has_answer = false;
	if (k->tls_ok && s->tls_verify && !k->is_trusted) {
		stream_fail_tls(s, "certificate verify failed");
		return;
	}
	if (!k->tls_ok) {
		stream_fail_tls(s, k->cipher);
		return;
	}
	s->tls.active = true;
	s->tls.verified = s->tls_verify;
	snprintf(s->tls.version, sizeof(s->tls.version), "%s", k->version);
	snprintf(s->tls.cipher, sizeof(s->tls.cipher), "%s", k->cipher);
	s->state = STREAM_OPEN;
	s->tls_asked = false;
	if (!s->tls_is_client) {
		k->says_tls = true;
		link_note_peer(k);
	}
	s->ev.on_ready(s->arg);
}

static void
stream_on_turn(void *arg, void *unused)
{
	struct stream *s = arg;

	(void)unused;
	s->has_turn = true;
	stream_schedule(s);
}

static void
stream_step_input(struct stream *s)
{
	struct fake_link *k = s->link;
	size_t		  n = k->to_stream.n - k->to_stream_from, room;

	room = s->in.n < s->input_max ? s->input_max - s->in.n : 0;
	if (n > room)
		n = room;
	if (n > 0) {
		must(buf_add(&s->in, k->to_stream.p + k->to_stream_from, n));
		k->to_stream_from += n;
		if (k->to_stream_from == k->to_stream.n) {
			buf_clear(&k->to_stream);
			k->to_stream_from = 0;
		}
		s->octets_in += n;
	}
	if (n > 0 || (s->is_input_due && s->in.n > 0)) {
		s->is_input_due = false;
		s->ev.on_input(s->arg);
	}
}

static void
stream_begin_handshake(struct stream *s)
{
	s->state = STREAM_HANDSHAKE;
	if (s->tls_is_client) {
		s->link->says_hello = true;
		link_note_peer(s->link);
	}
	stream_schedule(s);
}

static void
stream_flush(struct stream *s)
{
	struct fake_link *k = s->link;
	int		  round;

	for (round = 0; s->out.n > 0 && round < DRAINED_ROUNDS; round++) {
		if (k->is_paused) {
			if (s->write_timeout_ms > 0 &&
			    !timer_is_set(&s->stall) &&
			    s->state == STREAM_OPEN)
				timer_set(&s->stall, s->write_timeout_ms);
			return;
		}
		timer_clear(&s->stall);
		s->octets_out += s->out.n;
		if (!k->peer_closed)
			must(buf_add_bytes(&k->to_peer, buf_bytes(&s->out)));
		buf_clear(&s->out);
		link_note_peer(k);
		if (s->state == STREAM_OPEN && !s->tls_asked &&
		    s->ev.on_drained != NULL)
			s->ev.on_drained(s->arg);
	}
	if (s->state == STREAM_FINISHING)
		stream_close(s);
	else if (s->state == STREAM_OPEN && s->tls_asked)
		stream_begin_handshake(s);
	else if (s->state == STREAM_OPEN && s->out.n > 0)
		stream_schedule(s);
}

static void
stream_step_end(struct stream *s)
{
	struct fake_link *k = s->link;

	if (s->has_end_due) {
		stream_end(s, s->end_why);
	} else if (k->is_reset) {
		snprintf(s->error, sizeof(s->error), "read: %s",
		    strerror(ECONNRESET));
		stream_end(s, STREAM_LOST);
	} else if (k->has_eof && k->to_stream.n == 0 && !s->is_paused) {
		stream_end(s, STREAM_EOF);
	}
}

static void
stream_on_soon(void *arg, void *unused)
{
	struct stream *s = arg;

	(void)unused;
	if (s->has_end_due || (s->link->is_reset && s->state < STREAM_ENDED)) {
		stream_step_end(s);
		return;
	}
	if (s->state == STREAM_CONNECTING)
		stream_step_connect(s);
	if (s->state == STREAM_HANDSHAKE)
		stream_step_handshake(s);
	if (s->state == STREAM_OPEN && !s->is_paused && !s->tls_asked)
		stream_step_input(s);
	if (s->state == STREAM_OPEN || s->state == STREAM_FINISHING)
		stream_flush(s);
	if (s->state == STREAM_OPEN && !s->tls_asked)
		stream_step_end(s);
}

/* -- what the owner asks for ----------------------------------------------------- */

struct bytes
stream_peek(struct stream *s)
{
	return buf_bytes(&s->in);
}

void
stream_take(struct stream *s, size_t n)
{
	bool was_full = s->in.n >= s->input_max;

	buf_drop(&s->in, n);
	if (was_full && s->state == STREAM_OPEN)
		stream_schedule(s);
}

void
stream_set_input_max(struct stream *s, size_t n)
{
	s->input_max = n;
	stream_schedule(s);
}

void
stream_pause(struct stream *s)
{
	if (s->is_paused)
		return;
	s->is_paused = true;
	s->deadline_left_ms = s->deadline_at.ms - loop_now(s->loop).ms;
	timer_clear(&s->deadline);
}

void
stream_resume(struct stream *s)
{
	if (!s->is_paused)
		return;
	s->is_paused = false;
	if (s->state >= STREAM_ENDED)
		return;
	if (s->has_deadline)
		stream_deadline(s,
		    s->deadline_left_ms > 0 ? s->deadline_left_ms : 1);
	s->is_input_due = s->in.n > 0;
	stream_schedule(s);
}

bool
stream_is_paused(const struct stream *s)
{
	return s->is_paused;
}

bool
stream_write(struct stream *s, struct bytes b)
{
	if (s->state >= STREAM_ENDED || s->has_end_due)
		return false;
	if (b.n > s->output_max || s->out.n > s->output_max - b.n) {
		snprintf(s->error, sizeof(s->error), "the peer does not read");
		s->has_end_due = true;
		s->end_why = STREAM_STUCK;
		stream_schedule(s);
		return false;
	}
	must(buf_add_bytes(&s->out, b));
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
}

void
stream_deadline(struct stream *s, int64_t ms)
{
	if (s->state >= STREAM_ENDED)
		return;
	s->has_deadline = ms > 0;
	timer_clear(&s->deadline);
	if (!s->has_deadline)
		return;
	s->deadline_left_ms = ms;
	s->deadline_at.ms = loop_now(s->loop).ms + ms;
	if (!s->is_paused)
		timer_set(&s->deadline, ms);
}

void
stream_take_turns(struct stream *s, struct turns *ts, enum turn_rank rank,
    const char *source)
{
	s->turns = ts;
	s->turn_rank = rank;
	s->turn_source = source;
}

void
stream_tls_server(struct stream *s, struct tls_server *ctx)
{
	must(s->in.n == 0 && !s->tls.active && !s->tls_asked);
	if (s->state >= STREAM_ENDED)
		return;
	s->tls_server = tls_server_ref(ctx);
	s->tls_asked = true;
	s->is_input_due = false;
	stream_schedule(s);
}

void
stream_tls_client(struct stream *s, struct tls_client *ctx, const char *name,
    bool verify)
{
	must(!s->tls.active && !s->tls_asked);
	if (s->state >= STREAM_ENDED)
		return;
	s->tls_client = tls_client_ref(ctx);
	s->tls_name = mem_dup(name == NULL ? "" : name);
	s->tls_asked = s->tls_is_client = true;
	s->tls_verify = verify;
	stream_schedule(s);
	if (s->in.n == 0)
		return;
	snprintf(s->error, sizeof(s->error),
	    "TLS: clear text before the handshake");
	s->has_end_due = true;
	s->end_why = STREAM_TLS_FAILED;
}

/* -- what the owner may ask -------------------------------------------------------- */

void
stream_tls_describe(const struct stream *s, struct stream_tls *out)
{
	*out = s->tls;
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
	*out = s->link->who.cred;
	return s->peer.ss_family == AF_UNIX;
}

const char *
stream_error_text(const struct stream *s)
{
	return s->error;
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

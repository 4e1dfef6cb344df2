/* SPDX-License-Identifier: ISC */
#include "net_world.h"
#include "temp_folder.h"

#include <errno.h>
#include <fcntl.h>
#include <stdio.h>
#include <sys/un.h>

/* One end is a stream with a probe, the other a plain descriptor. */
struct pair {
	struct world w;
	struct probe p;
	int	     fd;
};

static void
pair_open(struct pair *x, int type)
{
	int fds[2];

	world_open(&x->w);
	probe_init(&x->p);
	assert_int_equal(socketpair(AF_UNIX, type | SOCK_NONBLOCK, 0, fds), 0);
	x->p.s = stream_accept(x->w.loop, fds[0], &probe_events, &x->p);
	assert_non_null(x->p.s);
	x->fd = fds[1];
}

static void
pair_close(struct pair *x)
{
	if (x->fd >= 0)
		close(x->fd);
	probe_close(&x->p);
	world_close(&x->w);
}

static void
send_text(int fd, const char *text)
{
	assert_int_equal(send(fd, text, strlen(text), 0), strlen(text));
}

static void
input_is_shown_until_taken(void **state)
{
	struct pair x;

	(void)state;
	pair_open(&x, SOCK_STREAM);
	x.p.keep = true;
	send_text(x.fd, "EHLO a");
	world_run(&x.w, probe_has_input, &x.p);
	assert_int_equal(x.p.inputs, 1);
	assert_true(bytes_eq_text(stream_peek(x.p.s), "EHLO a"));
	stream_take(x.p.s, 5);
	world_rest(&x.w, 5);
	assert_int_equal(x.p.inputs, 1); /* nothing new, no call */
	x.p.inputs = 0;
	send_text(x.fd, "bc");
	world_run(&x.w, probe_has_input, &x.p);
	assert_true(bytes_eq_text(stream_peek(x.p.s), "abc"));
	assert_int_equal(stream_octets_in(x.p.s), 8);
	assert_string_equal(stream_peer_text(x.p.s), "unix");
	assert_int_equal(x.p.ready, 0);
	pair_close(&x);
}

static void
write_three(struct probe *p)
{
	assert_true(stream_write(p->s, BYTES("250-a\r\n")));
	assert_true(stream_write(p->s, BYTES("250-b\r\n")));
	assert_true(stream_write(p->s, BYTES("250 c\r\n")));
	assert_int_equal(stream_queued(p->s), 21);
}

/* On a SEQPACKET socket each write is a packet: there is only one. */
static void
replies_of_a_pass_are_one_write(void **state)
{
	struct pair x;
	char	    got[256];

	(void)state;
	pair_open(&x, SOCK_SEQPACKET);
	x.p.on_input = write_three;
	send_text(x.fd, "EHLO a\r\n");
	world_run(&x.w, probe_has_input, &x.p);
	/* in the same pass: nothing more has to happen */
	assert_int_equal(recv(x.fd, got, sizeof(got), 0), 21);
	assert_memory_equal(got, "250-a\r\n250-b\r\n250 c\r\n", 21);
	assert_int_equal(recv(x.fd, got, sizeof(got), 0), -1);
	assert_int_equal(x.p.drained, 1);
	assert_int_equal(stream_octets_out(x.p.s), 21);
	pair_close(&x);
}

static void
take_but_five(struct probe *p)
{
	size_t n = stream_peek(p->s).n;

	assert_true(n >= 5);
	stream_take(p->s, n - 5);
}

/* Two streams of one loop read into the same memory: rests stay whole. */
static void
rest_of_input_outlives_the_next_reader(void **state)
{
	struct pair  x;
	struct probe other;
	int	     fds[2];

	(void)state;
	pair_open(&x, SOCK_STREAM);
	probe_init(&other);
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
			     fds), 0);
	other.s = stream_accept(x.w.loop, fds[0], &probe_events, &other);
	x.p.keep = other.keep = true;
	x.p.on_input = other.on_input = take_but_five;
	send_text(x.fd, "one,first");
	world_run(&x.w, probe_has_input, &x.p);
	send_text(fds[1], "two,second");
	world_run(&x.w, probe_has_input, &other);
	assert_true(bytes_eq_text(stream_peek(x.p.s), "first"));
	assert_true(bytes_eq_text(stream_peek(other.s), "econd"));
	x.p.on_input = other.on_input = NULL;
	x.p.inputs = 0;
	send_text(x.fd, "-and-last");
	world_run(&x.w, probe_has_input, &x.p);
	assert_true(bytes_eq_text(stream_peek(x.p.s), "first-and-last"));
	assert_true(bytes_eq_text(stream_peek(other.s), "econd"));
	close(fds[1]);
	probe_close(&other);
	pair_close(&x);
}

static bool
pair_is_full(void *arg)
{
	struct probe *p = arg;

	return stream_peek(p->s).n == 1000;
}

static void
reading_stops_at_input_max(void **state)
{
	struct pair x;
	char	    big[5000];

	(void)state;
	memset(big, 'x', sizeof(big));
	pair_open(&x, SOCK_STREAM);
	x.p.keep = true;
	stream_set_input_max(x.p.s, 1000);
	assert_int_equal(send(x.fd, big, sizeof(big), 0), sizeof(big));
	world_run(&x.w, pair_is_full, &x.p);
	world_rest(&x.w, 5);
	assert_int_equal(stream_peek(x.p.s).n, 1000);
	x.p.keep = false;
	probe_on_input(&x.p); /* takes all */
	x.p.inputs = 0;
	close(x.fd);
	x.fd = -1;
	world_run(&x.w, probe_has_ended, &x.p);
	assert_int_equal(x.p.got.n, 5000);
	assert_int_equal(x.p.why, STREAM_EOF);
	pair_close(&x);
}

static void
pause_now(struct probe *p)
{
	stream_pause(p->s);
}

static void
paused_stream_keeps_still(void **state)
{
	struct pair x;

	(void)state;
	pair_open(&x, SOCK_STREAM);
	x.p.keep = true;
	x.p.on_input = pause_now;
	send_text(x.fd, "DATA");
	world_run(&x.w, probe_has_input, &x.p);
	assert_true(stream_is_paused(x.p.s));
	send_text(x.fd, "more");
	close(x.fd); /* the end, too, waits */
	x.fd = -1;
	world_rest(&x.w, 5);
	assert_int_equal(x.p.inputs, 1);
	assert_int_equal(x.p.ended, 0);
	x.p.on_input = NULL;
	x.p.keep = false;
	stream_resume(x.p.s);
	assert_int_equal(x.p.inputs, 1); /* not from inside the call */
	world_run(&x.w, probe_has_ended, &x.p);
	probe_assert_got(&x.p, "DATAmore");
	assert_int_equal(x.p.why, STREAM_EOF);
	pair_close(&x);
}

static void
deadline_ends_and_stands_still_while_paused(void **state)
{
	struct pair x;
	struct mono before;

	(void)state;
	pair_open(&x, SOCK_STREAM);
	stream_deadline(x.p.s, 20);
	stream_pause(x.p.s);
	world_rest(&x.w, 60);
	assert_int_equal(x.p.ended, 0);
	before = clock_mono();
	stream_resume(x.p.s);
	world_run(&x.w, probe_has_ended, &x.p);
	assert_int_equal(x.p.why, STREAM_TIMEOUT);
	assert_true(clock_mono().ms - before.ms >= 10);
	pair_close(&x);

	pair_open(&x, SOCK_STREAM);
	stream_deadline(x.p.s, 10);
	stream_deadline(x.p.s, 60000); /* later: the timer is not moved */
	world_rest(&x.w, 30);
	assert_int_equal(x.p.ended, 0);
	stream_deadline(x.p.s, 10); /* and earlier again */
	world_run(&x.w, probe_has_ended, &x.p);
	assert_int_equal(x.p.why, STREAM_TIMEOUT);
	pair_close(&x);

	pair_open(&x, SOCK_STREAM);
	stream_deadline(x.p.s, 10);
	stream_deadline(x.p.s, 0);
	world_rest(&x.w, 30);
	assert_int_equal(x.p.ended, 0);
	pair_close(&x);
}

static void
peer_that_does_not_read_is_stuck(void **state)
{
	struct pair x;
	char	    big[4096];
	int	    n = 0;

	(void)state;
	memset(big, 'x', sizeof(big));
	pair_open(&x, SOCK_STREAM);
	stream_set_output_max(x.p.s, 10000);
	while (stream_write(x.p.s, (struct bytes){ big, sizeof(big) }))
		n++;
	assert_int_equal(n, 2);
	assert_int_equal(x.p.ended, 0); /* not from inside the call */
	assert_false(stream_write(x.p.s, BYTES("x")));
	world_run(&x.w, probe_has_ended, &x.p);
	assert_int_equal(x.p.ended, 1);
	assert_int_equal(x.p.why, STREAM_STUCK);
	pair_close(&x);

	pair_open(&x, SOCK_STREAM);
	stream_set_write_timeout(x.p.s, 20);
	for (n = 0; n < 250; n++)
		assert_true(stream_write(x.p.s,
		    (struct bytes){ big, sizeof(big) }));
	world_run(&x.w, probe_has_ended, &x.p);
	assert_int_equal(x.p.why, STREAM_STUCK);
	assert_true(stream_queued(x.p.s) > 0);
	pair_close(&x);
}

/* -- TCP ------------------------------------------------------------------ */

struct tcp {
	struct world		w;
	struct probe		client, server;
	struct sockaddr_storage addr;
	int			listen_fd;
	struct stream_listener *listener;
	int			accepted;
};

static void
tcp_on_accept(void *arg, int fd, const struct sockaddr *peer, socklen_t len)
{
	struct tcp *t = arg;

	assert_true(len > 0);
	assert_int_equal(peer->sa_family, t->addr.ss_family);
	t->accepted++;
	assert_null(t->server.s);
	t->server.s = stream_accept(t->w.loop, fd, &probe_events, &t->server);
}

static bool
tcp_is_up(void *arg)
{
	struct tcp *t = arg;

	return t->client.ready > 0 && t->accepted > 0;
}

static void
tcp_open(struct tcp *t, bool is_v6)
{
	struct err e;

	memset(t, 0, sizeof(*t));
	world_open(&t->w);
	probe_init(&t->client);
	probe_init(&t->server);
	t->listen_fd = world_listen(&t->addr, is_v6);
	t->listener = stream_listen(t->w.loop, t->listen_fd, tcp_on_accept, t,
	    &e);
	assert_non_null(t->listener);
	t->client.s = stream_connect(t->w.loop, (struct sockaddr *)&t->addr,
	    NULL, &probe_events, &t->client);
	assert_non_null(t->client.s);
	world_run(&t->w, tcp_is_up, t);
}

static void
tcp_close(struct tcp *t)
{
	stream_listener_close(t->listener);
	close(t->listen_fd);
	probe_close(&t->client);
	probe_close(&t->server);
	world_close(&t->w);
}

static void
connect_and_accept_know_their_names(void **state)
{
	struct tcp t;

	(void)state;
	tcp_open(&t, false);
	assert_string_equal(stream_peer_text(t.client.s), "127.0.0.1");
	assert_string_equal(stream_local_text(t.client.s), "127.0.0.1");
	assert_string_equal(stream_peer_text(t.server.s), "127.0.0.1");
	assert_int_equal(stream_peer_port(t.client.s),
	    ntohs(((struct sockaddr_in *)&t.addr)->sin_port));
	assert_int_equal(stream_local_port(t.client.s),
	    stream_peer_port(t.server.s));
	assert_int_equal(stream_peer(t.server.s)->sa_family, AF_INET);
	assert_int_equal(t.server.ready, 0);
	assert_false(stream_credentials(t.server.s,
	    &(struct stream_cred){ 0 }));
	tcp_close(&t);
	tcp_open(&t, true);
	assert_string_equal(stream_peer_text(t.client.s), "::1");
	tcp_close(&t);
}

static void
connect_uses_the_source_address(void **state)
{
	struct tcp	   t;
	struct sockaddr_in from;

	(void)state;
	tcp_open(&t, false);
	stream_close(t.client.s);
	stream_close(t.server.s);
	t.server.s = NULL;
	t.client.ready = t.accepted = 0;
	memset(&from, 0, sizeof(from));
	from.sin_family = AF_INET;
	from.sin_addr.s_addr = htonl(INADDR_LOOPBACK + 1); /* 127.0.0.2 */
	t.client.s = stream_connect(t.w.loop, (struct sockaddr *)&t.addr,
	    (struct sockaddr *)&from, &probe_events, &t.client);
	world_run(&t.w, tcp_is_up, &t);
	assert_string_equal(stream_peer_text(t.server.s), "127.0.0.2");
	tcp_close(&t);
}

static void
failed_connect_is_told_later(void **state)
{
	struct world		w;
	struct probe		p;
	struct sockaddr_storage addr;
	struct sockaddr_in	from;

	(void)state;
	world_open(&w);
	probe_init(&p);
	close(world_listen(&addr, false)); /* a port where nobody is */
	p.s = stream_connect(w.loop, (struct sockaddr *)&addr, NULL,
	    &probe_events, &p);
	assert_int_equal(p.ended, 0);
	world_run(&w, probe_has_ended, &p);
	assert_int_equal(p.why, STREAM_LOST);
	assert_int_equal(p.ready, 0);
	assert_string_equal(stream_error_text(p.s),
	    "connect: Connection refused");
	probe_close(&p);

	probe_init(&p); /* no such source address here */
	memset(&from, 0, sizeof(from));
	from.sin_family = AF_INET;
	from.sin_addr.s_addr = inet_addr("192.0.2.1");
	p.s = stream_connect(w.loop, (struct sockaddr *)&addr,
	    (struct sockaddr *)&from, &probe_events, &p);
	assert_int_equal(p.ended, 0);
	world_run(&w, probe_has_ended, &p);
	assert_int_equal(p.why, STREAM_LOST);
	assert_non_null(strstr(stream_error_text(p.s), "bind: "));
	probe_close(&p);

	probe_init(&p); /* closed before it could be told */
	p.s = stream_connect(w.loop, (struct sockaddr *)&addr, NULL,
	    &probe_events, &p);
	stream_close(p.s);
	world_rest(&w, 5);
	assert_int_equal(p.ended, 0);
	p.s = NULL;
	world_close(&w);
}

static void
reset_is_lost(void **state)
{
	struct tcp    t;
	struct linger now = { 1, 0 };
	int	      fd;

	(void)state;
	tcp_open(&t, false);
	probe_close(&t.client);
	fd = socket(AF_INET, SOCK_STREAM, 0);
	t.accepted = 0;
	probe_close(&t.server);
	probe_init(&t.server);
	assert_int_equal(connect(fd, (struct sockaddr *)&t.addr,
	    sizeof(struct sockaddr_in)), 0);
	t.client.ready = 1;
	world_run(&t.w, tcp_is_up, &t);
	setsockopt(fd, SOL_SOCKET, SO_LINGER, &now, sizeof(now));
	close(fd);
	world_run(&t.w, probe_has_ended, &t.server);
	assert_int_equal(t.server.why, STREAM_LOST);
	assert_string_equal(stream_error_text(t.server.s),
	    "read: Connection reset by peer");
	tcp_close(&t);
}

/* The server refuses while the client still writes: the words arrive. */
static void
last_words_are_read_after_a_failed_write(void **state)
{
	struct tcp  t;
	char	    big[4096];
	int	    i;

	(void)state;
	memset(big, 'x', sizeof(big));
	tcp_open(&t, false);
	stream_pause(t.client.s);
	assert_true(stream_write(t.server.s, BYTES("554 no\r\n")));
	world_rest(&t.w, 5);
	for (i = 0; i < 10; i++)
		stream_write(t.client.s, (struct bytes){ big, sizeof(big) });
	stream_pause(t.server.s);
	world_rest(&t.w, 5);
	stream_close(t.server.s); /* with unread input: a reset */
	t.server.s = NULL;
	world_rest(&t.w, 5);
	stream_write(t.client.s, (struct bytes){ big, sizeof(big) });
	stream_resume(t.client.s);
	world_run(&t.w, probe_has_ended, &t.client);
	assert_int_equal(t.client.why, STREAM_LOST);
	probe_assert_got(&t.client, "554 no\r\n");
	tcp_close(&t);
}

enum { FLOOD = 6 * 1024 * 1024 };

static void
flood_more(struct probe *p)
{
	char   piece[50000];
	size_t i, n = p->left < sizeof(piece) ? (size_t)p->left :
		       sizeof(piece);

	for (i = 0; i < n; i++)
		piece[i] = (char)('a' + (FLOOD - p->left + i) % 23);
	p->left -= n;
	if (n > 0)
		assert_true(stream_write(p->s, (struct bytes){ piece, n }));
	else
		stream_finish(p->s, 5000);
}

static void
much_is_carried_by_on_drained_and_finish(void **state)
{
	struct tcp t;
	size_t	   i;

	(void)state;
	tcp_open(&t, false);
	t.client.left = FLOOD;
	t.client.on_drained = flood_more;
	flood_more(&t.client);
	world_run(&t.w, probe_has_ended, &t.server);
	t.client.s = NULL; /* it was finished */
	assert_int_equal(t.server.why, STREAM_EOF);
	assert_int_equal(t.server.got.n, FLOOD);
	for (i = 0; i < FLOOD; i++)
		if (t.server.got.p[i] != (char)('a' + i % 23))
			fail_msg("octet %zu is wrong", i);
	assert_int_equal(t.client.ended, 0);
	tcp_close(&t);
}

/* Input that nobody read must not destroy the last reply. */
static void
finish_keeps_the_last_words(void **state)
{
	struct tcp t;

	(void)state;
	tcp_open(&t, false);
	stream_pause(t.server.s);
	stream_write(t.client.s, BYTES("much\r\nunread\r\ninput\r\n"));
	world_rest(&t.w, 5);
	stream_write(t.server.s, BYTES("421 bye\r\n"));
	stream_finish(t.server.s, 1000);
	t.server.s = NULL;
	world_run(&t.w, probe_has_ended, &t.client);
	probe_assert_got(&t.client, "421 bye\r\n");
	assert_int_equal(t.client.why, STREAM_EOF);
	assert_int_equal(t.server.ended, 0);
	tcp_close(&t);
}

/* A loop that ends first: its last words leave, and nothing is left over (the
 * leak checker says). */
static void
finish_ends_with_the_loop(void **state)
{
	struct pair x;
	char	    got[32];
	int	    passes;

	(void)state;
	for (passes = 0; passes < 2; passes++) {
		pair_open(&x, SOCK_STREAM);
		stream_write(x.p.s, BYTES("421 bye\r\n"));
		stream_finish(x.p.s, 60000);
		x.p.s = NULL;
		if (passes > 0) /* now it waits for the peer */
			world_rest(&x.w, 5);
		world_close(&x.w);
		assert_int_equal(recv(x.fd, got, sizeof(got), 0), 9);
		assert_memory_equal(got, "421 bye\r\n", 9);
		assert_int_equal(recv(x.fd, got, sizeof(got), 0), 0);
		assert_int_equal(x.p.ended, 0);
		close(x.fd);
		buf_wipe(&x.p.got);
	}
}

static void
finish_gives_up_in_time(void **state)
{
	struct pair x;
	char	    big[4096];
	int	    i;

	(void)state;
	memset(big, 'x', sizeof(big));
	pair_open(&x, SOCK_STREAM);
	for (i = 0; i < 200; i++)
		stream_write(x.p.s, (struct bytes){ big, sizeof(big) });
	stream_finish(x.p.s, 20);
	x.p.s = NULL;
	world_rest(&x.w, 60);
	while (recv(x.fd, big, sizeof(big), 0) > 0)
		;
	/* closed, not blocked: the descriptor is gone on the other side */
	assert_int_equal(recv(x.fd, big, sizeof(big), 0), 0);
	assert_int_equal(x.p.ended, 0);
	pair_close(&x);
}

static void
close_now(struct probe *p)
{
	stream_write(p->s, BYTES("never sent"));
	stream_close(p->s);
	p->s = NULL;
}

static void
closing_inside_a_callback_is_allowed(void **state)
{
	struct pair x;
	struct tcp  t;

	(void)state;
	pair_open(&x, SOCK_STREAM);
	x.p.on_input = close_now;
	send_text(x.fd, "QUIT\r\n");
	world_run(&x.w, probe_has_input, &x.p);
	world_rest(&x.w, 5);
	assert_int_equal(x.p.ended, 0);
	pair_close(&x);

	pair_open(&x, SOCK_STREAM);
	x.p.on_drained = close_now;
	stream_write(x.p.s, BYTES("x"));
	world_rest(&x.w, 5);
	assert_int_equal(x.p.drained, 1);
	assert_null(x.p.s);
	pair_close(&x);

	tcp_open(&t, false);
	probe_close(&t.client);
	probe_close(&t.server);
	probe_init(&t.server);
	probe_init(&t.client);
	t.accepted = 0;
	t.client.on_ready = close_now;
	t.client.s = stream_connect(t.w.loop, (struct sockaddr *)&t.addr,
	    NULL, &probe_events, &t.client);
	world_run(&t.w, tcp_is_up, &t);
	assert_null(t.client.s);
	tcp_close(&t);
}

static void
unix_peer_shows_its_credentials(void **state)
{
	struct pair	   x;
	struct stream_cred c;

	(void)state;
	pair_open(&x, SOCK_STREAM);
	assert_true(stream_credentials(x.p.s, &c));
	assert_int_equal(c.uid, getuid());
	assert_int_equal(c.gid, getgid());
	assert_int_equal(c.pid, getpid());
	pair_close(&x);
}

static void
second_listener_of_an_address_is_an_error(void **state)
{
	struct sockaddr_storage addr, again;
	struct err		e;
	int			first, second;

	(void)state;
	memset(&addr, 0, sizeof(addr));
	((struct sockaddr_in *)&addr)->sin_family = AF_INET;
	((struct sockaddr_in *)&addr)->sin_addr.s_addr =
	    htonl(INADDR_LOOPBACK);
	first = stream_bind(&addr, sizeof(struct sockaddr_in), true, true, &e);
	assert_true(first >= 0);
	assert_int_not_equal(((struct sockaddr_in *)&addr)->sin_port, 0);
	again = addr;
	/* the next loop of the same daemon shares it ... */
	second = stream_bind(&again, sizeof(struct sockaddr_in), true, false,
	    &e);
	assert_true(second >= 0);
	/* ... a second daemon does not */
	assert_int_equal(stream_bind(&again, sizeof(struct sockaddr_in), true,
	    true, &e), -1);
	assert_int_equal(e.code, EADDRINUSE);
	assert_non_null(strstr(e.text, "bind 127.0.0.1:"));
	close(first);
	close(second);
}

static void
stale_unix_socket_is_replaced(void **state)
{
	struct sockaddr_storage addr;
	struct sockaddr_un     *un = (struct sockaddr_un *)&addr;
	struct err		e;
	char			dir[TEMP_FOLDER_SIZE];
	int			fd;

	(void)state;
	temp_folder_make(dir, "stream");
	memset(&addr, 0, sizeof(addr));
	un->sun_family = AF_UNIX;
	snprintf(un->sun_path, sizeof(un->sun_path), "%s/s", dir);
	fd = stream_bind(&addr, sizeof(*un), false, true, &e);
	assert_true(fd >= 0);
	assert_int_equal(stream_bind(&addr, sizeof(*un), false, true, &e), -1);
	close(fd); /* the file stays, nobody listens */
	fd = stream_bind(&addr, sizeof(*un), false, true, &e);
	assert_true(fd >= 0);
	close(fd);
	temp_folder_remove(dir);
}

static void
addresses_have_texts(void **state)
{
	static const struct {
		int	    family;
		const char *ip;
		const char *plain, *with_port;
	} cases[] = {
		{ AF_INET, "203.0.113.7", "203.0.113.7", "203.0.113.7:25" },
		{ AF_INET6, "2001:db8::1", "2001:db8::1",
		    "[2001:db8::1]:25" },
		{ AF_UNIX, "/run/s", "/run/s", "/run/s" },
		{ AF_UNSPEC, "", "?", "?" },
	};
	struct sockaddr_storage ss;
	char			out[STREAM_ADDR_MAX + 48];
	size_t			i;

	(void)state;
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		memset(&ss, 0, sizeof(ss));
		ss.ss_family = (sa_family_t)cases[i].family;
		if (ss.ss_family == AF_INET) {
			((struct sockaddr_in *)&ss)->sin_port = htons(25);
			inet_pton(AF_INET, cases[i].ip,
			    &((struct sockaddr_in *)&ss)->sin_addr);
		} else if (ss.ss_family == AF_INET6) {
			((struct sockaddr_in6 *)&ss)->sin6_port = htons(25);
			inet_pton(AF_INET6, cases[i].ip,
			    &((struct sockaddr_in6 *)&ss)->sin6_addr);
		} else if (ss.ss_family == AF_UNIX) {
			strcpy(((struct sockaddr_un *)&ss)->sun_path,
			    cases[i].ip);
		}
		assert_string_equal(sockaddr_text((struct sockaddr *)&ss,
		    false, out), cases[i].plain);
		assert_string_equal(sockaddr_text((struct sockaddr *)&ss,
		    true, out), cases[i].with_port);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(input_is_shown_until_taken),
		cmocka_unit_test(replies_of_a_pass_are_one_write),
		cmocka_unit_test(reading_stops_at_input_max),
		cmocka_unit_test(rest_of_input_outlives_the_next_reader),
		cmocka_unit_test(paused_stream_keeps_still),
		cmocka_unit_test(deadline_ends_and_stands_still_while_paused),
		cmocka_unit_test(peer_that_does_not_read_is_stuck),
		cmocka_unit_test(connect_and_accept_know_their_names),
		cmocka_unit_test(connect_uses_the_source_address),
		cmocka_unit_test(failed_connect_is_told_later),
		cmocka_unit_test(reset_is_lost),
		cmocka_unit_test(last_words_are_read_after_a_failed_write),
		cmocka_unit_test(much_is_carried_by_on_drained_and_finish),
		cmocka_unit_test(finish_keeps_the_last_words),
		cmocka_unit_test(finish_ends_with_the_loop),
		cmocka_unit_test(finish_gives_up_in_time),
		cmocka_unit_test(closing_inside_a_callback_is_allowed),
		cmocka_unit_test(unix_peer_shows_its_credentials),
		cmocka_unit_test(second_listener_of_an_address_is_an_error),
		cmocka_unit_test(stale_unix_socket_is_replaced),
		cmocka_unit_test(addresses_have_texts),
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

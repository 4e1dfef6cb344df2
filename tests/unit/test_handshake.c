/* SPDX-License-Identifier: ISC */
/* Handshakes of streams that take turns (base/turns.h). */
#include "net_world.h"
#include "test_certs.h"

#include <fcntl.h>
#include <openssl/ssl.h>
#include <stdio.h>

#include "net/stream_private.h"
#include "net/tls.h"
#include "net/tls_private.h"

enum { PEERS_MAX = 4 };

struct peer {
	struct probe p;
	int	     fd;
	SSL	    *ssl;
};
static struct {
	struct world	   w;
	struct turns	  *turns;
	struct tls_server *server;
	SSL_CTX		  *client;
	struct peer	   v[PEERS_MAX];
	unsigned	   n, served; /* whose first step is done */
} bed;

static int
bed_open(void **state)
{
	struct test_cert cert;
	struct tls_pem	 pem;
	struct err	 e;

	(void)state;
	memset(&bed, 0, sizeof(bed));
	test_cert_make(&cert, &(struct test_cert_spec){
	    .names = "DNS:a.example", .is_ecdsa = true });
	pem = (struct tls_pem){ bytes_of(cert.cert_pem),
		bytes_of(cert.key_pem), "cert.pem" };
	bed.server = tls_server_new(&(struct tls_server_setup){ .pems = &pem,
	    .pem_count = 1 }, &e);
	assert_non_null(bed.server);
	test_cert_wipe(&cert);
	bed.client = SSL_CTX_new(TLS_client_method());
	world_open(&bed.w);
	bed.turns = turns_new(bed.w.loop);
	return 0;
}

static int
bed_close(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < bed.n; i++) {
		SSL_free(bed.v[i].ssl);
		close(bed.v[i].fd);
		probe_close(&bed.v[i].p);
	}
	turns_free(bed.turns);
	world_close(&bed.w);
	SSL_CTX_free(bed.client);
	tls_server_unref(bed.server);
	return 0;
}

/* A stream that waits for a handshake, and the client that may begin it. */
static struct peer *
peer_open(enum turn_rank rank, const char *source)
{
	struct peer *x = &bed.v[bed.n++];
	int	     fds[2];

	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM | SOCK_NONBLOCK, 0,
	    fds), 0);
	probe_init(&x->p);
	x->p.s = stream_accept(bed.w.loop, fds[0], &probe_events, &x->p);
	stream_take_turns(x->p.s, bed.turns, rank, source);
	stream_tls_server(x->p.s, bed.server);
	x->fd = fds[1];
	x->ssl = SSL_new(bed.client);
	assert_int_equal(SSL_set_fd(x->ssl, x->fd), 1);
	SSL_set_connect_state(x->ssl);
	return x;
}

static void
peer_speak(struct peer *x)
{
	SSL_do_handshake(x->ssl); /* as far as it comes */
}

static bool
peer_is_through(void *peer)
{
	struct peer *x = peer;

	peer_speak(x);
	return x->p.ready == 1 || x->p.ended == 1;
}

static bool
all_are_through(void *unused)
{
	unsigned i, through = 0;

	(void)unused;
	for (i = 0; i < bed.n; i++) {
		peer_speak(&bed.v[i]);
		through += bed.v[i].p.ready == 1;
	}
	return through == bed.n;
}

static unsigned
count_served(void)
{
	unsigned i, served = 0;

	for (i = 0; i < bed.n; i++)
		served += bed.v[i].p.s->tls != NULL;
	return served;
}

/* Called at the end of each pass: one costly step at most was done in it. */
static bool
all_are_served(void *unused)
{
	unsigned served = count_served();

	(void)unused;
	assert_in_range(served, bed.served, bed.served + 1);
	bed.served = served;
	return served == bed.n;
}

static bool
one_is_served(void *unused)
{
	all_are_served(unused);
	return bed.served == 1;
}

/* Of two that are served one is this. */
static bool
is_second(void *peer)
{
	const struct peer *x = peer;

	all_are_served(NULL);
	if (bed.served < 2)
		return false;
	assert_non_null(x->p.s->tls);
	return true;
}

static void
silent_clients_cost_nothing(void **state)
{
	struct peer *x = peer_open(TURN_STRANGER, "a");

	(void)state;
	world_rest(&bed.w, 5);
	assert_null(x->p.s->tls);
	assert_int_equal(turns_waiting(bed.turns, TURN_STRANGER), 0);
	peer_speak(x);
	world_run(&bed.w, peer_is_through, x);
	assert_int_equal(x->p.ready, 1);
	assert_int_equal(SSL_is_init_finished(x->ssl), 1);
	/* and what is said then arrives */
	assert_int_equal(SSL_write(x->ssl, "NOOP\r\n", 6), 6);
	world_run(&bed.w, probe_has_input, &x->p);
	assert_true(bytes_eq_text(buf_bytes(&x->p.got), "NOOP\r\n"));
}

static void
one_step_in_a_pass_by_source(void **state)
{
	struct peer *other;
	unsigned     i;

	(void)state;
	for (i = 0; i < 3; i++)
		peer_open(TURN_STRANGER, "a");
	other = peer_open(TURN_STRANGER, "b");
	world_rest(&bed.w, 0);
	for (i = 0; i < bed.n; i++)
		peer_speak(&bed.v[i]);
	world_run(&bed.w, is_second, other);
	bed.served = count_served(); /* the loop stops a pass later */
	world_run(&bed.w, all_are_served, NULL);
	for (i = 0; i < bed.n; i++)
		peer_speak(&bed.v[i]);
	world_run(&bed.w, all_are_through, NULL);
}

static void
closed_while_it_waits(void **state)
{
	unsigned i;

	(void)state;
	for (i = 0; i < 4; i++)
		peer_open(TURN_STRANGER, "a");
	world_rest(&bed.w, 0);
	for (i = 0; i < bed.n; i++)
		peer_speak(&bed.v[i]);
	world_run(&bed.w, one_is_served, NULL);
	assert_in_range(turns_waiting(bed.turns, TURN_STRANGER), 1, 3);
	for (i = 0; i < bed.n; i++)
		stream_close(bed.v[i].p.s);
	for (i = 0; i < bed.n; i++)
		bed.v[i].p.s = NULL;
	assert_int_equal(turns_waiting(bed.turns, TURN_STRANGER), 0);
	world_rest(&bed.w, 5);
}

static void
time_runs_while_it_waits(void **state)
{
	struct peer *x = peer_open(TURN_STRANGER, "a");

	(void)state;
	stream_deadline(x->p.s, 1);
	world_run(&bed.w, probe_has_ended, &x->p);
	assert_int_equal(x->p.why, STREAM_TIMEOUT);
	assert_null(x->p.s->tls);
}

static void
no_tls_at_all(void **state)
{
	struct peer *x = peer_open(TURN_STRANGER, "a");

	(void)state;
	assert_int_equal(write(x->fd, "EHLO a\r\n", 8), 8);
	world_run(&bed.w, probe_has_ended, &x->p);
	assert_int_equal(x->p.why, STREAM_TLS_FAILED);
	assert_string_not_equal(stream_error_text(x->p.s), "");
}

/* TLS 1.3: our flight is the costly part.  TLS 1.2: both of ours are. */
static void
what_is_behind_us(void **state)
{
	static const int versions[] = { TLS1_3_VERSION, TLS1_2_VERSION };
	struct tls_session *s;
	SSL		   *ssl;
	int		    fds[2], i, steps;

	(void)state;
	for (i = 0; i < 2; i++) {
		assert_int_equal(socketpair(AF_UNIX,
		    SOCK_STREAM | SOCK_NONBLOCK, 0, fds), 0);
		s = tls_session_server(bed.server, fds[0],
		    (struct mono){ 0 });
		ssl = SSL_new(bed.client);
		SSL_set_fd(ssl, fds[1]);
		SSL_set_max_proto_version(ssl, versions[i]);
		SSL_set_connect_state(ssl);
		for (steps = 0; steps < 2; steps++) {
			assert_false(tls_session_has_begun(s));
			SSL_do_handshake(ssl);
			if (tls_session_handshake(s) == TLS_IO_DONE)
				break;
			if (versions[i] == TLS1_3_VERSION)
				break;
		}
		assert_int_equal(steps, versions[i] == TLS1_3_VERSION ? 0 : 1);
		assert_true(tls_session_has_begun(s));
		SSL_free(ssl);
		tls_session_free(s);
		close(fds[0]);
		close(fds[1]);
	}
}

int
main(void)
{
#define TEST(f) cmocka_unit_test_setup_teardown(f, bed_open, bed_close)
	const struct CMUnitTest tests[] = {
		TEST(silent_clients_cost_nothing),
		TEST(one_step_in_a_pass_by_source),
		TEST(closed_while_it_waits),
		TEST(time_runs_while_it_waits),
		TEST(no_tls_at_all),
		TEST(what_is_behind_us)
	};

	return cmocka_run_group_tests(tests, NULL, NULL);
}

/* SPDX-License-Identifier: ISC */
/* What servers offer to clients of all kinds: a plain OpenSSL client asks. */
#include "tls_world.h"

#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

/* -- a plain OpenSSL client on a thread of its own ------------------------ */

struct raw {
	int	    fd;
	int	    max_version;
	const char *ciphers, *sigalgs;
	const char *sni, *alpn; /* NULL = b.example; none */
	bool	    renegotiate, cut;
	int	    burst; /* records of 1,000 octets, at once */
	atomic_bool is_sent;
	/* results */
	bool	    is_up, renegotiated;
	int	    key_type;
	char	    cipher[64];
	int	    last_error;
	bool	    compressed, early;
	unsigned    alpn_n; /* octets of the protocol chosen */
	bool	    is_asked; /* for a certificate of its own */
};

static int
raw_on_certificate_request(SSL *ssl, X509 **cert, EVP_PKEY **key)
{
	struct raw *r = SSL_get_app_data(ssl);

	(void)cert;
	(void)key;
	r->is_asked = true;
	return 0;
}

static void *
raw_run(void *arg)
{
	struct raw *r = arg;
	SSL_CTX	   *ctx = SSL_CTX_new(TLS_client_method());
	SSL	   *ssl;
	X509	   *peer;
	const unsigned char *chosen;
	char	    text[300], big[1000];
	int	    i, rc = 0;

	SSL_CTX_set_security_level(ctx, 0);
	SSL_CTX_set_min_proto_version(ctx, TLS1_VERSION);
	if (r->max_version != 0)
		SSL_CTX_set_max_proto_version(ctx, r->max_version);
	if (r->ciphers != NULL)
		SSL_CTX_set_cipher_list(ctx, r->ciphers);
	if (r->sigalgs != NULL)
		SSL_CTX_set1_sigalgs_list(ctx, r->sigalgs);
	SSL_CTX_set_client_cert_cb(ctx, raw_on_certificate_request);
	ssl = SSL_new(ctx);
	SSL_set_app_data(ssl, r);
	SSL_set_fd(ssl, r->fd);
	snprintf(text, sizeof(text), "%s",
	    r->sni != NULL ? r->sni : "b.example");
	SSL_set_tlsext_host_name(ssl, text);
	if (r->alpn != NULL)
		SSL_set_alpn_protos(ssl, (const unsigned char *)r->alpn,
		    (unsigned)strlen(r->alpn));
	r->is_up = SSL_connect(ssl) == 1;
	if (r->is_up) {
		snprintf(r->cipher, sizeof(r->cipher), "%s",
		    SSL_get_cipher_name(ssl));
		peer = SSL_get1_peer_certificate(ssl);
		r->key_type = EVP_PKEY_get_base_id(X509_get0_pubkey(peer));
		X509_free(peer);
		r->compressed = SSL_get_current_compression(ssl) != NULL;
		SSL_get0_alpn_selected(ssl, &chosen, &r->alpn_n);
		if (r->renegotiate)
			r->renegotiated = SSL_renegotiate(ssl) == 1 &&
			    SSL_do_handshake(ssl) == 1;
		memset(big, 'x', sizeof(big));
		if (r->burst > 0)
			SSL_read(ssl, text, sizeof(text));
		for (i = 0; i < r->burst; i++)
			SSL_write(ssl, big, sizeof(big));
		atomic_store(&r->is_sent, true);
		if (!r->renegotiate && !r->cut) {
			if (r->burst == 0)
				SSL_write(ssl, "QUIT\r\n", 6);
			while ((rc = SSL_read(ssl, text, sizeof(text))) > 0)
				r->early = false;
			r->last_error = SSL_get_error(ssl, rc);
		}
	}
	SSL_free(ssl);
	SSL_CTX_free(ctx);
	close(r->fd);
	return NULL;
}

static void
say_bye(struct probe *p)
{
	stream_write(p->s, BYTES("221 Bye\r\n"));
	stream_finish(p->s, 1000);
	p->s = NULL;
	p->ended = 1;
	p->why = STREAM_EOF;
}

static enum stream_end
raw_talk(struct fixture *f, struct raw *r)
{
	struct world	w;
	struct probe	p;
	pthread_t	thread;
	enum stream_end why;
	int		fds[2];

	world_open(&w);
	probe_init(&p);
	p.on_input = say_bye;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	r->fd = fds[1];
	p.s = stream_accept(w.loop, fds[0], &probe_events, &p);
	stream_tls_server(p.s, f->server);
	assert_int_equal(pthread_create(&thread, NULL, raw_run, r), 0);
	world_run(&w, probe_has_ended, &p);
	why = p.why;
	stream_close(p.s);
	p.s = NULL;
	world_rest(&w, 20); /* the last words leave */
	pthread_join(thread, NULL);
	probe_close(&p);
	world_close(&w);
	return why;
}

static bool
burst_is_sent(void *arg)
{
	struct raw *r = arg;

	return atomic_load(&r->is_sent);
}

static bool
burst_is_here(void *arg)
{
	struct probe *p = arg;

	return p->got.n == p->left;
}

static void
tick(void *arg, void *unused)
{
	(void)unused;
	timer_set(arg, 1);
}

/* More than a turn's worth: the end of it waits inside OpenSSL. */
static void
burst_comes_whole(struct fixture *f, int records)
{
	struct raw   r = { .burst = records };
	struct world w;
	struct probe p;
	struct timer t;
	pthread_t    thread;
	int	     fds[2];

	world_open(&w);
	probe_init(&p);
	p.left = (uint64_t)records * 1000;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	r.fd = fds[1];
	p.s = stream_accept(w.loop, fds[0], &probe_events, &p);
	stream_set_input_max(p.s, 1000000);
	stream_tls_server(p.s, f->server);
	assert_int_equal(pthread_create(&thread, NULL, raw_run, &r), 0);
	world_run(&w, probe_is_ready, &p);
	stream_write(p.s, BYTES("220 go\r\n"));
	world_rest(&w, 1);
	stream_pause(p.s);
	timer_init(&t, w.loop, tick, &t);
	timer_set(&t, 1);
	world_run(&w, burst_is_sent, &r);
	timer_clear(&t);
	stream_resume(p.s);
	world_run(&w, burst_is_here, &p);
	stream_finish(p.s, 1000);
	p.s = NULL;
	world_rest(&w, 20);
	pthread_join(thread, NULL);
	probe_close(&p);
	world_close(&w);
}

static void
many_small_records_come_whole(void **state)
{
	int records;

	for (records = 66; records < 84; records += 3)
		burst_comes_whole(*state, records);
}

static void
policy_holds_for_other_clients(void **state)
{
	static const struct {
		struct raw  r;
		bool	    is_up;
		int	    key_type;
		const char *cipher;
	} cases[] = {
		{ { .max_version = 0 }, true, EVP_PKEY_EC, NULL },
		{ { .sigalgs = "RSA-PSS+SHA256:RSA+SHA256" }, true,
		    EVP_PKEY_RSA, NULL },
		{ { .max_version = TLS1_2_VERSION }, true, EVP_PKEY_EC,
		    "ECDHE-ECDSA-AES256-GCM-SHA384" },
		{ { .max_version = TLS1_2_VERSION,
		      .ciphers = "ECDHE-RSA-CHACHA20-POLY1305" },
		    true, EVP_PKEY_RSA, "ECDHE-RSA-CHACHA20-POLY1305" },
		{ { .max_version = TLS1_2_VERSION,
		      .ciphers = "DHE-RSA-AES128-GCM-SHA256" },
		    false, 0, NULL },
		{ { .max_version = TLS1_1_VERSION }, false, 0, NULL },
		{ { .max_version = TLS1_2_VERSION, .ciphers = "AES128-SHA" },
		    false, 0, NULL },
		{ { .max_version = TLS1_2_VERSION,
		      .ciphers = "AES256-GCM-SHA384" },
		    false, 0, NULL },
		{ { .max_version = TLS1_2_VERSION,
		      .ciphers = "ECDHE-RSA-AES128-SHA256" },
		    false, 0, NULL },
	};
	struct raw r;
	size_t	   i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		r = cases[i].r;
		assert_int_equal(raw_talk(*state, &r),
		    cases[i].is_up ? STREAM_EOF : STREAM_TLS_FAILED);
		assert_int_equal(r.is_up, cases[i].is_up);
		assert_int_equal(r.key_type, cases[i].key_type);
		if (cases[i].cipher != NULL)
			assert_string_equal(r.cipher, cases[i].cipher);
		assert_false(r.compressed);
		assert_false(r.is_asked); /* RFC 8314 4.2 */
		if (r.is_up) /* the server says close_notify */
			assert_int_equal(r.last_error, SSL_ERROR_ZERO_RETURN);
	}
}

static void
renegotiation_is_refused(void **state)
{
	struct raw r = { .max_version = TLS1_2_VERSION, .renegotiate = true };

	raw_talk(*state, &r);
	assert_true(r.is_up);
	assert_false(r.renegotiated);
}

static void
cut_connection_is_an_end(void **state)
{
	struct raw r = { .max_version = TLS1_2_VERSION, .cut = true };

	assert_int_equal(raw_talk(*state, &r), STREAM_EOF);
	assert_true(r.is_up);
}

static void
tls13_only_refuses_tls12(void **state)
{
	struct fixture *f = *state;
	struct tls_pem	pem = pem_of(&f->certs[CERT_A], "a.pem");
	struct raw	r = { .max_version = TLS1_2_VERSION };
	struct err	e;

	tls_server_unref(f->server);
	f->server = tls_server_new(&(struct tls_server_setup){ .pems = &pem,
	    .pem_count = 1, .tls13_only = true }, &e);
	assert_non_null(f->server);
	assert_int_equal(raw_talk(f, &r), STREAM_TLS_FAILED);
	assert_false(r.is_up);
}

/* RFC 9325 4.1 says no by default; who needs DHE names it. */
static void
finite_fields_are_for_those_who_name_them(void **state)
{
	struct fixture *f = *state;
	struct tls_pem	pem = pem_of(&f->certs[CERT_A], "a.pem");
	struct raw	r = { .max_version = TLS1_2_VERSION };
	struct err	e;

	tls_server_unref(f->server);
	f->server = tls_server_new(&(struct tls_server_setup){ .pems = &pem,
	    .pem_count = 1, .ciphers = "DHE-RSA-AES128-GCM-SHA256" }, &e);
	assert_non_null(f->server);
	assert_int_equal(raw_talk(f, &r), STREAM_EOF);
	assert_string_equal(r.cipher, "DHE-RSA-AES128-GCM-SHA256");
}

/* Whatever a client asks for, it meets the default certificate (RSA). */
static void
rubbish_in_the_hello_is_passed_over(void **state)
{
	static const char *const names[] = { "a.example", "nobody.example",
		"B.EXAMPLE ", "b.example\r\nx: y", "*.example", "*",
		".b.example", "b..example", "192.0.2.1", "::1", "-",
		"\x1b[2J", "\xc0\xae\xc0\xae", "%s%n%s%n",
		"b.example/../../etc/passwd",
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa."
		"aaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaaa" };
	struct raw r;
	size_t	   i;

	for (i = 0; i < sizeof(names) / sizeof(names[0]); i++) {
		r = (struct raw){ .sni = names[i], .alpn = "\x08http/1.1" };
		assert_int_equal(raw_talk(*state, &r), STREAM_EOF);
		assert_true(r.is_up);
		assert_int_equal(r.key_type, EVP_PKEY_RSA);
		assert_int_equal(r.alpn_n, 0);
	}
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    many_small_records_come_whole, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    policy_holds_for_other_clients, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    renegotiation_is_refused, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    cut_connection_is_an_end, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    tls13_only_refuses_tls12, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    finite_fields_are_for_those_who_name_them, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    rubbish_in_the_hello_is_passed_over, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

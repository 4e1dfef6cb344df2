/* SPDX-License-Identifier: ISC */
#include "tls_world.h"

#include <fcntl.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>

#include "net/tls.h"
#include "net/tls_private.h"

/* -- two streams that talk, with STARTTLS --------------------------------- */

struct talk {
	struct world	   w;
	struct probe	   client, server;
	struct tls_server *server_ctx;
	struct tls_client *client_ctx;
	const char	  *name;
	bool		   verify;
};

static void
server_on_starttls(struct probe *p)
{
	struct talk *t = p->arg;

	if (bytes_ends_nocase(buf_bytes(&p->got), BYTES("STARTTLS\r\n"))) {
		stream_write(p->s, BYTES("220 go\r\n"));
		stream_tls_server(p->s, t->server_ctx);
		buf_clear(&p->got);
	}
}

static void
client_on_reply(struct probe *p)
{
	struct talk *t = p->arg;

	if (bytes_eq_text(buf_bytes(&p->got), "220 go\r\n")) {
		buf_clear(&p->got);
		stream_tls_client(p->s, t->client_ctx, t->name, t->verify);
	}
}

static bool
talk_is_secure(void *arg)
{
	struct talk *t = arg;

	return (t->client.ready && t->server.ready) ||
	    (t->client.ended && t->server.ended);
}

static void
talk_open(struct talk *t, struct fixture *f, const char *name, bool verify)
{
	int fds[2];

	memset(t, 0, sizeof(*t));
	world_open(&t->w);
	t->server_ctx = f->server;
	t->client_ctx = f->client;
	t->name = name;
	t->verify = verify;
	probe_init(&t->client);
	probe_init(&t->server);
	t->client.arg = t->server.arg = t;
	t->client.on_input = client_on_reply;
	t->server.on_input = server_on_starttls;
	assert_int_equal(socketpair(AF_UNIX, SOCK_STREAM, 0, fds), 0);
	t->client.s = stream_accept(t->w.loop, fds[0], &probe_events,
	    &t->client);
	t->server.s = stream_accept(t->w.loop, fds[1], &probe_events,
	    &t->server);
	stream_write(t->client.s, BYTES("STARTTLS\r\n"));
}

/* The client reads once, so that a ticket that came is taken. */
static void
talk_greet(struct talk *t)
{
	stream_write(t->server.s, BYTES("250 ok\r\n"));
	t->client.inputs = 0;
	world_run(&t->w, probe_has_input, &t->client);
	probe_assert_got(&t->client, "250 ok\r\n");
}

static void
talk_close(struct talk *t)
{
	probe_close(&t->client);
	probe_close(&t->server);
	world_close(&t->w);
}

static void
starttls_protects_what_follows(void **state)
{
	struct talk	  t;
	struct stream_tls d;

	(void)state;
	talk_open(&t, *state, "a.example", true);
	stream_tls_describe(t.client.s, &d);
	assert_false(d.active);
	world_run(&t.w, talk_is_secure, &t);
	assert_int_equal(t.client.ready, 1);
	talk_greet(&t);
	stream_tls_describe(t.client.s, &d);
	assert_true(d.active);
	assert_true(d.verified);
	assert_string_equal(d.version, "TLSv1.3");
	assert_string_equal(d.sni, "a.example");
	stream_tls_describe(t.server.s, &d);
	assert_string_equal(d.version, "TLSv1.3");
	assert_string_equal(d.sni, "a.example");
	assert_false(d.verified);
	assert_true(strlen(d.cipher) > 0);
	stream_write(t.client.s, BYTES("QUIT\r\n"));
	stream_finish(t.client.s, 1000);
	t.client.s = NULL;
	world_run(&t.w, probe_has_ended, &t.server);
	probe_assert_got(&t.server, "QUIT\r\n");
	assert_int_equal(t.server.why, STREAM_EOF);
	talk_close(&t);
}

static void
certificate_is_chosen_by_name(void **state)
{
	static const struct {
		const char *name;
		bool	    verify;
		const char *error; /* NULL = ready */
	} cases[] = {
		{ "a.example", true, NULL },
		{ "b.example", true, NULL },
		{ "B.Example", true, NULL },
		{ "x.c.example", true, NULL },
		{ "x.y.c.example", true, "hostname mismatch" },
		{ "unknown.example", true, "hostname mismatch" },
		{ "unknown.example", false, NULL },
		{ "", false, NULL },
		{ "127.0.0.1", false, NULL },
		{ "127.0.0.1", true, "IP address mismatch" },
	};
	struct talk	  t;
	struct stream_tls d;
	size_t		  i;

	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		talk_open(&t, *state, cases[i].name, cases[i].verify);
		if (cases[i].error == NULL) {
			world_run(&t.w, talk_is_secure, &t);
			stream_tls_describe(t.client.s, &d);
			assert_true(d.active);
			assert_int_equal(d.verified, cases[i].verify);
		} else {
			world_run(&t.w, probe_has_ended, &t.client);
			assert_int_equal(t.client.why, STREAM_TLS_FAILED);
			assert_int_equal(t.client.ready, 0);
			if (strstr(stream_error_text(t.client.s),
				cases[i].error) == NULL)
				fail_msg("%s: %s", cases[i].name,
				    stream_error_text(t.client.s));
		}
		talk_close(&t);
	}
}

static void
sessions_are_resumed_by_name_and_mode(void **state)
{
	static const struct {
		const char *name;
		bool	    verify, resumed;
		int64_t	    days; /* the server's clock goes on */
	} cases[] = {
		{ "b.example", true, false, 0 },
		{ "b.example", true, true, 0 },
		{ "b.example", false, false, 0 },
		{ "b.example", false, true, 0 },
		{ "a.example", false, false, 0 },
		{ "a.example", false, true, 0 },
		/* one change of keys: the old one still opens ... */
		{ "a.example", false, true, 1 },
		/* ... which gave a new ticket; after two changes it is over */
		{ "a.example", false, false, 2 },
		{ "a.example", false, true, 0 },
		{ "a.example", false, false, 5 },
	};
	struct fixture	 *f = *state;
	struct talk	  t;
	struct stream_tls d;
	struct mono	  now = clock_mono();
	struct tls_pem	  pems[2];
	struct err	  e;
	size_t		  i;
	int64_t		  day;

	tls_server_unref(f->server);
	pems[0] = pem_of(&f->certs[CERT_A], "a.pem");
	pems[1] = pem_of(&f->certs[CERT_B], "b.pem");
	f->server = tls_server_new(&(struct tls_server_setup){ .pems = pems,
	    .pem_count = 2 }, &e);
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		if (cases[i].days == 5) {
			now.ms += (int64_t)5 * DAY_MS;
			tls_server_context(f->server, now);
		}
		for (day = 0; cases[i].days < 5 && day < cases[i].days;
		    day++) {
			now.ms += DAY_MS + 60000;
			tls_server_context(f->server, now);
		}
		talk_open(&t, f, cases[i].name, cases[i].verify);
		world_run(&t.w, talk_is_secure, &t);
		talk_greet(&t);
		stream_tls_describe(t.client.s, &d);
		if (d.resumed != cases[i].resumed)
			fail_msg("case %zu: resumed %d", i, d.resumed);
		assert_int_equal(d.verified, cases[i].verify);
		talk_close(&t);
	}
}

static void
untrusted_and_expired_are_refused_when_checked(void **state)
{
	struct fixture	 *f = *state;
	struct talk	  t;
	struct test_cert  own;
	struct tls_pem	  pem;
	struct err	  e;
	size_t		  i;
	static const struct {
		const char *name, *error;
	} cases[] = {
		{ "own.example", "self-signed certificate" },
		{ "own.example", "unable to get local issuer certificate" },
		{ "old.example", "certificate has expired" },
	};

	for (i = 0; i < 3; i++) {
		memset(&own, 0, sizeof(own));
		if (i < 2) {
			test_cert_make(&own, &(struct test_cert_spec){
			    .names = "DNS:own.example",
			    .issuer = i == 1 ? &f->other_ca : NULL });
			pem = pem_of(&own, "own.pem");
		} else {
			pem = pem_of(&f->certs[CERT_OLD], "old.pem");
		}
		tls_server_unref(f->server);
		f->server = tls_server_new(&(struct tls_server_setup){
		    .pems = &pem, .pem_count = 1 }, &e);
		assert_non_null(f->server);
		talk_open(&t, f, cases[i].name, true);
		world_run(&t.w, probe_has_ended, &t.client);
		assert_int_equal(t.client.why, STREAM_TLS_FAILED);
		assert_non_null(strstr(stream_error_text(t.client.s),
		    cases[i].error));
		talk_close(&t);
		/* opportunistic: anything encrypts (delivery 6.1) */
		talk_open(&t, f, cases[i].name, false);
		world_run(&t.w, talk_is_secure, &t);
		assert_int_equal(t.client.ready, 1);
		talk_close(&t);
		test_cert_wipe(&own);
	}
}

/* -- trouble on the way --------------------------------------------------- */

static void
write_nonsense(struct probe *p)
{
	struct talk *t = p->arg;

	if (bytes_eq_text(buf_bytes(&p->got), "220 go\r\n")) {
		stream_write(t->client.s, BYTES("MAIL FROM:<a@b>\r\n"));
		buf_clear(&p->got);
	}
}

static void
nonsense_fails_the_handshake(void **state)
{
	struct talk t;

	talk_open(&t, *state, "a.example", false);
	t.client.on_input = write_nonsense;
	world_run(&t.w, probe_has_ended, &t.server);
	assert_int_equal(t.server.why, STREAM_TLS_FAILED);
	assert_int_equal(t.server.ready, 0);
	assert_non_null(strstr(stream_error_text(t.server.s), "TLS: "));
	talk_close(&t);
}

static void
close_at_go(struct probe *p)
{
	stream_close(p->s);
	p->s = NULL;
}

static void
peer_gone_fails_the_handshake(void **state)
{
	struct talk t;

	talk_open(&t, *state, "a.example", false);
	t.client.on_input = close_at_go;
	world_run(&t.w, probe_has_ended, &t.server);
	assert_int_equal(t.server.why, STREAM_TLS_FAILED);
	assert_string_equal(stream_error_text(t.server.s),
	    "TLS: connection closed by the peer");
	talk_close(&t);
}

static void
silent_handshake_meets_the_deadline(void **state)
{
	struct talk t;

	talk_open(&t, *state, "a.example", false);
	t.client.on_input = NULL;
	stream_deadline(t.server.s, 30);
	world_run(&t.w, probe_has_ended, &t.server);
	assert_int_equal(t.server.why, STREAM_TIMEOUT);
	talk_close(&t);
}

static void
inject(struct probe *p)
{
	struct talk *t = p->arg;

	/* what came behind the go-ahead stays in the stream */
	t->client.keep = true;
	if (p->last.n > 8) {
		stream_take(p->s, 8);
		stream_tls_client(p->s, t->client_ctx, t->name, false);
	}
}

static void
go_and_more(struct probe *p)
{
	stream_write(p->s, BYTES("220 go\r\n250-INJECTED\r\n"));
}

static void
clear_text_behind_the_go_ahead_is_refused(void **state)
{
	struct talk t;

	talk_open(&t, *state, "a.example", false);
	t.client.keep = true;
	t.client.on_input = inject;
	t.server.on_input = go_and_more;
	world_run(&t.w, probe_has_ended, &t.client);
	assert_int_equal(t.client.why, STREAM_TLS_FAILED);
	assert_string_equal(stream_error_text(t.client.s),
	    "TLS: clear text before the handshake");
	talk_close(&t);
}

enum { FLOOD = 3 * 1024 * 1024 };

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
take_slowly(struct probe *p)
{
	struct talk *t = p->arg;

	stream_pause(p->s);
	stream_resume(p->s);
	if (t->server.inputs % 7 == 0)
		stream_set_input_max(p->s, 700);
	else if (t->server.inputs % 7 == 3)
		stream_set_input_max(p->s, 64 * 1024);
}

/* What OpenSSL holds is not forgotten at a full buffer or a pause. */
static void
much_is_carried_with_pauses(void **state)
{
	struct talk t;
	size_t	    i;

	talk_open(&t, *state, "a.example", false);
	world_run(&t.w, talk_is_secure, &t);
	t.client.left = FLOOD;
	t.client.on_drained = flood_more;
	t.server.on_input = take_slowly;
	stream_set_input_max(t.server.s, 1000);
	flood_more(&t.client);
	world_run(&t.w, probe_has_ended, &t.server);
	t.client.s = NULL;
	assert_int_equal(t.server.why, STREAM_EOF);
	assert_int_equal(t.server.got.n, FLOOD);
	for (i = 0; i < FLOOD; i++)
		if (t.server.got.p[i] != (char)('a' + i % 23))
			fail_msg("octet %zu is wrong", i);
	talk_close(&t);
}

static bool
has_ten(void *arg)
{
	return stream_peek(((struct probe *)arg)->s).n == 10;
}

static bool
has_thousand(void *arg)
{
	return ((struct probe *)arg)->got.n == 1000;
}

/* The record is read, the kernel has nothing more to say. */
static void
rest_of_a_record_comes_after_taking(void **state)
{
	struct talk t;
	char	    big[1000];

	memset(big, 'x', sizeof(big));
	talk_open(&t, *state, "a.example", false);
	world_run(&t.w, talk_is_secure, &t);
	t.client.on_input = NULL;
	t.client.keep = true;
	stream_set_input_max(t.client.s, 10);
	stream_write(t.server.s, (struct bytes){ big, sizeof(big) });
	world_run(&t.w, has_ten, &t.client);
	world_rest(&t.w, 5);
	assert_int_equal(stream_peek(t.client.s).n, 10);
	t.client.keep = false;
	assert_true(buf_add(&t.client.got, big, 10));
	stream_take(t.client.s, 10);
	world_run(&t.w, has_thousand, &t.client);
	assert_int_equal(t.client.ended, 0);
	talk_close(&t);
}

/* -- building ------------------------------------------------------------- */

static char *
encrypted_key(const struct test_cert *c)
{
	BIO *b = BIO_new(BIO_s_mem());
	char secret[] = "secret";

	PEM_write_bio_PKCS8PrivateKey(b, c->key, EVP_aes_128_cbc(), secret, 6,
	    NULL, NULL);
	return test_cert_text(b);
}

static void
bad_setups_are_refused_with_the_path(void **state)
{
	struct fixture *f = *state;
	struct err	e;
	struct tls_pem	pem;
	char	       *locked = encrypted_key(&f->certs[CERT_A]);
	char	       *cut = mem_dup(f->certs[CERT_A].cert_pem);
	char	       *broken;
	size_t		i;
	const struct {
		const char *cert, *key, *ciphers, *suites, *error;
	} cases[] = {
		{ f->certs[CERT_A].cert_pem, f->certs[CERT_B].key_pem, NULL,
		    NULL, "x.pem: the private key is not that of the "
			  "certificate" },
		{ "", f->certs[CERT_B].key_pem, NULL, NULL,
		    "x.pem: no certificate" },
		{ "nonsense", f->certs[CERT_B].key_pem, NULL, NULL,
		    "x.pem: no certificate" },
		{ cut, f->certs[CERT_A].key_pem, NULL, NULL, "x.pem: " },
		{ f->certs[CERT_A].cert_pem, "", NULL, NULL,
		    "x.pem: private key" },
		{ f->certs[CERT_A].cert_pem, locked, NULL, NULL,
		    "x.pem: private key" },
		{ f->certs[CERT_A].cert_pem, f->certs[CERT_A].key_pem,
		    "AES128-SHA:ECDHE+AESGCM", NULL,
		    "TLS ciphers \"AES128-SHA:ECDHE+AESGCM\": " },
		{ f->certs[CERT_A].cert_pem, f->certs[CERT_A].key_pem,
		    "NOSUCH", NULL, "TLS ciphers \"NOSUCH\": " },
		{ f->certs[CERT_A].cert_pem, f->certs[CERT_A].key_pem, NULL,
		    "NOSUCH", "TLS ciphersuites \"NOSUCH\": " },
	};

	cut[strlen(cut) / 2] = '\0';
	for (i = 0; i < sizeof(cases) / sizeof(cases[0]); i++) {
		pem = (struct tls_pem){ bytes_of(cases[i].cert),
			bytes_of(cases[i].key), "x.pem" };
		assert_null(tls_server_new(&(struct tls_server_setup){
		    .pems = &pem, .pem_count = 1,
		    .ciphers = cases[i].ciphers,
		    .ciphersuites = cases[i].suites }, &e));
		if (strncmp(e.text, cases[i].error,
			strlen(cases[i].error)) != 0)
			fail_msg("case %zu: %s", i, e.text);
		assert_int_equal(ERR_peek_error(), 0);
	}
	assert_null(tls_server_new(&(struct tls_server_setup){ 0 }, &e));
	/* a whole leaf and a chain that is cut */
	broken = mem_alloc(strlen(f->ca.cert_pem) +
	    strlen(f->certs[CERT_A].cert_pem) + 1);
	strcpy(broken, f->certs[CERT_A].cert_pem);
	strcat(broken, f->ca.cert_pem);
	broken[strlen(broken) - 40] = '\0';
	pem = (struct tls_pem){ bytes_of(broken),
		bytes_of(f->certs[CERT_A].key_pem), "x.pem" };
	assert_null(tls_server_new(&(struct tls_server_setup){ .pems = &pem,
	    .pem_count = 1 }, &e));
	assert_null(tls_client_new("/nonexistent/ca.pem", &e));
	assert_non_null(strstr(e.text, "/nonexistent/ca.pem: "));
	mem_free(broken);
	mem_free(cut);
	mem_free(locked);
}

static void
default_certificate_is_known(void **state)
{
	struct fixture *f = *state;
	struct wall	end = tls_server_not_after(f->server);
	int64_t		now = clock_wall().ms;

	assert_true(tls_server_covers(f->server, "a.example"));
	assert_false(tls_server_covers(f->server, "b.example"));
	assert_true(end.ms > now + DAY_MS - 300000);
	assert_true(end.ms < now + DAY_MS + 300000);
	tls_server_unref(tls_server_ref(f->server));
	tls_client_unref(tls_client_ref(f->client));
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test_setup_teardown(
		    starttls_protects_what_follows, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    certificate_is_chosen_by_name, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    sessions_are_resumed_by_name_and_mode, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    untrusted_and_expired_are_refused_when_checked, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    nonsense_fails_the_handshake, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    peer_gone_fails_the_handshake, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    silent_handshake_meets_the_deadline, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    clear_text_behind_the_go_ahead_is_refused, setup,
		    teardown),
		cmocka_unit_test_setup_teardown(
		    much_is_carried_with_pauses, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    rest_of_a_record_comes_after_taking, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    bad_setups_are_refused_with_the_path, setup, teardown),
		cmocka_unit_test_setup_teardown(
		    default_certificate_is_known, setup, teardown),
	};

	return cmocka_run_group_tests(tests, group_setup, group_teardown);
}

/* SPDX-License-Identifier: ISC */
#include <errno.h>
#include <openssl/err.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <stdio.h>
#include <string.h>

#include "base/table.h"
#include "net/resolver.h"
#include "net/stream.h"
#include "net/tls.h"
#include "net/tls_private.h"

enum {
	TLS_SESSIONS_MAX = 512, /* of peers; each holds its chain, some KB */
	TLS_KEY_SIZE = 264,
	TLS_ERROR_SIZE = 200
};

struct tls_resume {
	struct tls_resume *next, *prev; /* oldest first */
	SSL_SESSION	  *session;
	char		   key[TLS_KEY_SIZE];
};

struct tls_client {
	atomic_uint	   refs;
	SSL_CTX		  *ctx;
	pthread_mutex_t	   lock; /* for what follows */
	struct table	  *sessions;
	struct tls_resume *oldest, *newest;
};

struct tls_session {
	SSL		  *ssl;
	struct tls_server *server; /* one of the two */
	struct tls_client *client;
	bool		   verify;
	bool		   is_broken;
	bool		   has_begun;
	char		   key[TLS_KEY_SIZE]; /* of the session cache */
	char		   error[TLS_ERROR_SIZE];
};

/* -- client context and its sessions -------------------------------------- */

static void
resume_free(struct tls_client *t, struct tls_resume *r)
{
	if (r->prev != NULL)
		r->prev->next = r->next;
	else
		t->oldest = r->next;
	if (r->next != NULL)
		r->next->prev = r->prev;
	else
		t->newest = r->prev;
	table_take(t->sessions, bytes_of(r->key));
	SSL_SESSION_free(r->session);
	mem_free(r);
}

/* Takes the session over; with the lock held. */
static void
resume_put(struct tls_client *t, const char *key, SSL_SESSION *session)
{
	struct tls_resume *r = table_get(t->sessions, bytes_of(key));

	if (r != NULL)
		resume_free(t, r);
	else if (table_count(t->sessions) >= TLS_SESSIONS_MAX)
		resume_free(t, t->oldest);
	r = mem_alloc(sizeof(*r));
	bytes_text(bytes_of(key), r->key, sizeof(r->key));
	if (!table_put(t->sessions, bytes_of(r->key), r)) {
		SSL_SESSION_free(session);
		mem_free(r);
		return;
	}
	r->session = session;
	r->prev = t->newest;
	if (t->newest != NULL)
		t->newest->next = r;
	else
		t->oldest = r;
	t->newest = r;
}

static int
tls_client_on_session(SSL *ssl, SSL_SESSION *session)
{
	struct tls_session *s = SSL_get_app_data(ssl);

	if (s == NULL || s->client == NULL || s->key[0] == '\0')
		return 0;
	pthread_mutex_lock(&s->client->lock);
	resume_put(s->client, s->key, session);
	pthread_mutex_unlock(&s->client->lock);
	return 1;
}

static SSL_CTX *
tls_client_context(const char *ca_path, struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_client_method());
	int	 rc;

	ERR_clear_error();
	if (ctx == NULL) {
		err_set(e, "TLS context: %s", tls_reason());
		return NULL;
	}
	if (ca_path != NULL && ca_path[0] != '\0')
		rc = SSL_CTX_load_verify_file(ctx, ca_path);
	else
		rc = SSL_CTX_set_default_verify_paths(ctx);
	if (rc != 1) {
		err_set(e, "%s: cannot be read: %s", ca_path == NULL ?
		    "trust store" : ca_path, tls_reason());
		ERR_clear_error();
		SSL_CTX_free(ctx);
		return NULL;
	}
	SSL_CTX_set_min_proto_version(ctx, TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_IGNORE_UNEXPECTED_EOF);
	tls_set_modes(ctx);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_CLIENT |
	    SSL_SESS_CACHE_NO_INTERNAL);
	SSL_CTX_sess_set_new_cb(ctx, tls_client_on_session);
	return ctx;
}

struct tls_client *
tls_client_new(const char *ca_path, struct err *e)
{
	struct tls_client *t;
	SSL_CTX		  *ctx = tls_client_context(ca_path, e);

	if (ctx == NULL)
		return NULL;
	t = mem_alloc(sizeof(*t));
	atomic_init(&t->refs, 1);
	t->ctx = ctx;
	must(pthread_mutex_init(&t->lock, NULL) == 0);
	t->sessions = table_new(TLS_SESSIONS_MAX);
	return t;
}

struct tls_client *
tls_client_ref(struct tls_client *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void
tls_client_unref(struct tls_client *t)
{
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	while (t->oldest != NULL)
		resume_free(t, t->oldest);
	table_free(t->sessions);
	SSL_CTX_free(t->ctx);
	pthread_mutex_destroy(&t->lock);
	mem_free(t);
}

/* -- one connection ------------------------------------------------------- */

static struct tls_session *
session_new(SSL_CTX *ctx, int fd)
{
	struct tls_session *s = mem_alloc(sizeof(*s));

	ERR_clear_error();
	s->ssl = SSL_new(ctx);
	if (s->ssl == NULL || SSL_set_fd(s->ssl, fd) != 1) {
		SSL_free(s->ssl);
		mem_free(s);
		return NULL;
	}
	SSL_set_app_data(s->ssl, s);
	return s;
}

/*
 * Our Finished: the key exchange and the signature are behind us.  After a
 * HelloRetryRequest they are not, nor after the first flight of TLS 1.2.
 */
static void
session_on_message(int is_sent, int version, int type, const void *p, size_t n,
    SSL *ssl, void *unused)
{
	struct tls_session  *s = SSL_get_app_data(ssl);
	const unsigned char *message = p;

	(void)version;
	(void)unused;
	if (is_sent && type == SSL3_RT_HANDSHAKE && n > 0 && s != NULL &&
	    message[0] == SSL3_MT_FINISHED)
		s->has_begun = true;
}

struct tls_session *
tls_session_server(struct tls_server *t, int fd, struct mono now)
{
	struct tls_session *s;

	s = session_new(tls_server_context(t, now), fd);
	if (s == NULL)
		return NULL;
	s->server = tls_server_ref(t);
	SSL_set_msg_callback(s->ssl, session_on_message);
	SSL_set_accept_state(s->ssl);
	return s;
}

/*
 * Without a check anything that encrypts is better than clear text: old
 * servers, short keys and weak digests are let pass (delivery.md 6.1).
 */
static bool
session_set_verify(struct tls_session *s, const char *name, bool is_address)
{
	X509_VERIFY_PARAM *param = SSL_get0_param(s->ssl);

	if (!s->verify) {
		SSL_set_verify(s->ssl, SSL_VERIFY_NONE, NULL);
		SSL_set_security_level(s->ssl, 0);
		SSL_set_options(s->ssl, SSL_OP_LEGACY_SERVER_CONNECT);
		return true;
	}
	SSL_set_verify(s->ssl, SSL_VERIFY_PEER, NULL);
	if (is_address)
		return X509_VERIFY_PARAM_set1_ip_asc(param, name) == 1;
	X509_VERIFY_PARAM_set_hostflags(param,
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS);
	return name[0] != '\0' &&
	    X509_VERIFY_PARAM_set1_host(param, name, 0) == 1;
}

struct tls_session *
tls_session_client(struct tls_client *t, int fd, const char *name,
    bool verify)
{
	struct tls_session *s = session_new(t->ctx, fd);
	struct tls_resume  *r;
	struct dns_address  ip;
	bool		    is_address;

	if (s == NULL)
		return NULL;
	s->client = tls_client_ref(t);
	s->verify = verify;
	is_address = dns_address_parse(bytes_of(name), &ip);
	if (!session_set_verify(s, name, is_address) || (!is_address &&
	    name[0] != '\0' && SSL_set_tlsext_host_name(s->ssl, name) != 1)) {
		tls_session_free(s);
		return NULL;
	}
	if (name[0] != '\0')
		snprintf(s->key, sizeof(s->key), "%c%s", verify ? 'v' : 'o',
		    name);
	pthread_mutex_lock(&t->lock);
	r = table_get(t->sessions, bytes_of(s->key));
	if (r != NULL && SSL_SESSION_is_resumable(r->session))
		SSL_set_session(s->ssl, r->session);
	pthread_mutex_unlock(&t->lock);
	SSL_set_connect_state(s->ssl);
	return s;
}

void
tls_session_free(struct tls_session *s)
{
	if (s == NULL)
		return;
	/* a connection cut without close_notify may still be resumed */
	if (!s->is_broken && SSL_is_init_finished(s->ssl))
		SSL_set_shutdown(s->ssl,
		    SSL_SENT_SHUTDOWN | SSL_RECEIVED_SHUTDOWN);
	SSL_free(s->ssl);
	tls_server_unref(s->server);
	tls_client_unref(s->client);
	mem_free(s);
}

static void
session_note_error(struct tls_session *s, int saved_errno)
{
	unsigned long code = ERR_peek_error();
	const char   *text;

	if (code == 0)
		text = saved_errno == 0 ? "connection closed by the peer" :
		    strerror(saved_errno);
	else if (ERR_GET_LIB(code) == ERR_LIB_SSL &&
	    ERR_GET_REASON(code) == SSL_R_CERTIFICATE_VERIFY_FAILED)
		text = X509_verify_cert_error_string(
		    SSL_get_verify_result(s->ssl));
	else
		text = tls_reason();
	snprintf(s->error, sizeof(s->error), "TLS: %s", text);
	ERR_clear_error();
}

static enum tls_io
session_result(struct tls_session *s, int rc)
{
	int saved_errno = errno;

	switch (SSL_get_error(s->ssl, rc)) {
	case SSL_ERROR_NONE:
		return TLS_IO_DONE;
	case SSL_ERROR_WANT_READ:
		return TLS_IO_WANT_READ;
	case SSL_ERROR_WANT_WRITE:
		return TLS_IO_WANT_WRITE;
	case SSL_ERROR_ZERO_RETURN:
		return TLS_IO_EOF;
	case SSL_ERROR_SYSCALL:
		s->is_broken = true;
		if (saved_errno == 0 && ERR_peek_error() == 0)
			return TLS_IO_EOF;
		break;
	default:
		s->is_broken = true;
		break;
	}
	session_note_error(s, saved_errno);
	return TLS_IO_FAILED;
}

enum tls_io
tls_session_handshake(struct tls_session *s)
{
	enum tls_io io;

	ERR_clear_error();
	errno = 0;
	io = session_result(s, SSL_do_handshake(s->ssl));
	if (io == TLS_IO_EOF) {
		s->is_broken = true;
		session_note_error(s, 0);
		io = TLS_IO_FAILED;
	}
	if (io == TLS_IO_DONE)
		SSL_set_msg_callback(s->ssl, NULL);
	return io;
}

bool
tls_session_has_begun(const struct tls_session *s)
{
	return s->has_begun;
}

enum tls_io
tls_session_read(struct tls_session *s, void *p, size_t n, size_t *got)
{
	enum tls_io io;

	ERR_clear_error();
	errno = 0;
	*got = 0;
	io = session_result(s, SSL_read_ex(s->ssl, p, n, got));
	/* all that had come is here: the kernel will tell of more */
	if (io == TLS_IO_DONE && *got < n && SSL_has_pending(s->ssl) == 0)
		io = TLS_IO_WANT_READ;
	return io;
}

enum tls_io
tls_session_write(struct tls_session *s, const void *p, size_t n,
    size_t *put)
{
	ERR_clear_error();
	errno = 0;
	*put = 0;
	return session_result(s, SSL_write_ex(s->ssl, p, n, put));
}

bool
tls_session_has_pending(const struct tls_session *s)
{
	return SSL_has_pending(s->ssl) == 1;
}

void
tls_session_shutdown(struct tls_session *s)
{
	if (s->is_broken || !SSL_is_init_finished(s->ssl))
		return;
	ERR_clear_error();
	SSL_shutdown(s->ssl); /* it is the last we say; no answer is awaited */
	ERR_clear_error();
}

void
tls_session_describe(const struct tls_session *s, struct stream_tls *out)
{
	const char *sni;

	out->active = SSL_is_init_finished(s->ssl);
	if (!out->active)
		return;
	out->resumed = SSL_session_reused(s->ssl) == 1;
	out->verified = s->verify &&
	    SSL_get_verify_result(s->ssl) == X509_V_OK;
	bytes_text(bytes_of(SSL_get_version(s->ssl)), out->version,
	    sizeof(out->version));
	bytes_text(bytes_of(SSL_get_cipher_name(s->ssl)), out->cipher,
	    sizeof(out->cipher));
	sni = SSL_get_servername(s->ssl, TLSEXT_NAMETYPE_host_name);
	bytes_text(bytes_of(sni), out->sni, sizeof(out->sni));
}

const char *
tls_session_error(const struct tls_session *s)
{
	return s->error;
}

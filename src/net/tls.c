/* SPDX-License-Identifier: ISC */
#include "net/tls.h"

#include <limits.h>
#include <openssl/core_names.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/ssl.h>
#include <openssl/x509v3.h>
#include <pthread.h>
#include <stdatomic.h>
#include <string.h>
#include <time.h>

#include "net/tls_private.h"

enum {
	TLS_TICKET_NAME = 16, /* octets, given by OpenSSL */
	TLS_TICKET_KEY = 32,
	TLS_TICKET_LIFE_MS = 24 * 3600 * 1000,
	SERVER_RECORD_MAX = 4096 /* octets of a record that is written */
};

static const char tls_default_ciphers[] = "ECDHE+AESGCM:ECDHE+CHACHA20";
static const unsigned char tls_session_context[] = "posthorn";

/* Tickets are sealed with the first key and opened with both. */
struct tls_ticket_key {
	unsigned char name[TLS_TICKET_NAME];
	unsigned char cipher[TLS_TICKET_KEY];
	unsigned char mac[TLS_TICKET_KEY];
	bool	      is_set;
};

struct tls_cert {
	X509	       *leaf;
	STACK_OF(X509) *chain;
	EVP_PKEY       *key;
	size_t		site;
};

/*
 * A site is what a client can ask for by name: one SSL_CTX, with an RSA and
 * an ECDSA certificate when both are there.  Site 0 is the default.
 */
struct tls_server {
	atomic_uint	 refs;
	struct tls_cert *certs;
	size_t		 cert_count;
	SSL_CTX	       **sites;
	size_t		 site_count;
	struct wall	 not_after;
	pthread_mutex_t	 lock; /* for what follows */
	struct tls_ticket_key tickets[2];
	struct mono	 tickets_since;
};

/* -- errors --------------------------------------------------------------- */

const char *
tls_reason(void)
{
	unsigned long code = ERR_peek_error();
	const char   *reason = NULL;

	if (ERR_SYSTEM_ERROR(code))
		reason = strerror(ERR_GET_REASON(code));
	else if (code != 0)
		reason = ERR_reason_error_string(code);
	return reason == NULL ? "TLS library error" : reason;
}

static int
tls_fail(struct err *e, const char *path, const char *what)
{
	err_set(e, "%s: %s: %s", path, what, tls_reason());
	ERR_clear_error();
	return -1;
}

/* -- certificates --------------------------------------------------------- */

static void
cert_wipe(struct tls_cert *c)
{
	X509_free(c->leaf);
	sk_X509_pop_free(c->chain, X509_free);
	EVP_PKEY_free(c->key);
	memset(c, 0, sizeof(*c));
}

/* A key that needs a password is refused: nobody is there to type it. */
static int
cert_no_password(char *p, int size, int is_writing, void *arg)
{
	(void)p;
	(void)size;
	(void)is_writing;
	(void)arg;
	return -1;
}

static BIO *
cert_open(struct bytes pem)
{
	if (pem.n > INT_MAX)
		pem.n = INT_MAX;
	return BIO_new_mem_buf(pem.n == 0 ? "" : pem.p, (int)pem.n);
}

static int
cert_read_chain(struct tls_cert *c, BIO *in, const char *path, struct err *e)
{
	X509 *x;

	c->leaf = PEM_read_bio_X509_AUX(in, NULL, cert_no_password, NULL);
	if (c->leaf == NULL)
		return tls_fail(e, path, "no certificate");
	c->chain = sk_X509_new_null();
	while (c->chain != NULL &&
	    (x = PEM_read_bio_X509(in, NULL, cert_no_password, NULL)) != NULL)
		if (sk_X509_push(c->chain, x) == 0)
			X509_free(x);
	if (ERR_GET_REASON(ERR_peek_last_error()) != PEM_R_NO_START_LINE)
		return tls_fail(e, path, "certificate chain");
	ERR_clear_error();
	return 0;
}

static int
cert_read(struct tls_cert *c, const struct tls_pem *pem, struct err *e)
{
	const char *path = pem->cert_path == NULL ? "-" : pem->cert_path;
	BIO	   *in;
	int	    rc;

	ERR_clear_error();
	in = cert_open(pem->cert);
	if (in == NULL)
		return tls_fail(e, path, "certificate");
	rc = cert_read_chain(c, in, path, e);
	BIO_free(in);
	if (rc < 0)
		return -1;
	in = cert_open(pem->key);
	if (in == NULL)
		return tls_fail(e, path, "private key");
	c->key = PEM_read_bio_PrivateKey(in, NULL, cert_no_password, NULL);
	BIO_free(in);
	if (c->key == NULL)
		return tls_fail(e, path, "private key");
	if (X509_check_private_key(c->leaf, c->key) != 1)
		return tls_fail(e, path,
		    "the private key is not that of the certificate");
	return 0;
}

static bool
cert_covers(const struct tls_cert *c, const char *name)
{
	return X509_check_host(c->leaf, name, strlen(name),
	    X509_CHECK_FLAG_NO_PARTIAL_WILDCARDS, NULL) == 1;
}

/* The first DNS name, else the common name: what groups RSA and ECDSA. */
static void
cert_first_name(const struct tls_cert *c, char *out, size_t size)
{
	GENERAL_NAMES	   *names;
	const GENERAL_NAME *n;
	int		    i;

	out[0] = '\0';
	names = X509_get_ext_d2i(c->leaf, NID_subject_alt_name, NULL, NULL);
	for (i = 0; out[0] == '\0' && i < sk_GENERAL_NAME_num(names); i++) {
		n = sk_GENERAL_NAME_value(names, i);
		if (n->type == GEN_DNS)
			bytes_text((struct bytes){
				(const char *)ASN1_STRING_get0_data(
				    n->d.dNSName),
				(size_t)ASN1_STRING_length(n->d.dNSName) },
			    out, size);
	}
	GENERAL_NAMES_free(names);
	if (out[0] == '\0' && X509_NAME_get_text_by_NID(X509_get_subject_name(
	    c->leaf), NID_commonName, out, (int)size) < 0)
		out[0] = '\0';
}

static struct wall
cert_not_after(const struct tls_cert *c)
{
	struct tm tm;

	memset(&tm, 0, sizeof(tm));
	if (ASN1_TIME_to_tm(X509_get0_notAfter(c->leaf), &tm) != 1)
		return (struct wall){ 0 };
	return (struct wall){ (int64_t)timegm(&tm) * 1000 };
}

/* -- tickets -------------------------------------------------------------- */

static void
ticket_key_make(struct tls_ticket_key *k)
{
	mem_random(k->name, sizeof(k->name));
	mem_random(k->cipher, sizeof(k->cipher));
	mem_random(k->mac, sizeof(k->mac));
	k->is_set = true;
}

static void
tls_server_rotate(struct tls_server *t, struct mono now)
{
	int64_t age;

	pthread_mutex_lock(&t->lock);
	age = now.ms - t->tickets_since.ms;
	if (!t->tickets[0].is_set || age >= TLS_TICKET_LIFE_MS) {
		t->tickets[1] = t->tickets[0];
		if (age >= 2 * (int64_t)TLS_TICKET_LIFE_MS)
			mem_wipe(&t->tickets[1], sizeof(t->tickets[1]));
		ticket_key_make(&t->tickets[0]);
		t->tickets_since = now;
	}
	pthread_mutex_unlock(&t->lock);
}

static int
ticket_find(struct tls_server *t, const unsigned char *name,
    struct tls_ticket_key *out)
{
	int i;

	pthread_mutex_lock(&t->lock);
	for (i = 0; i < 2; i++)
		if (t->tickets[i].is_set && memcmp(t->tickets[i].name, name,
		    TLS_TICKET_NAME) == 0)
			break;
	if (i < 2)
		*out = t->tickets[i];
	pthread_mutex_unlock(&t->lock);
	return i;
}

static bool
ticket_set_mac(EVP_MAC_CTX *mac, struct tls_ticket_key *k)
{
	char	   digest[] = "SHA256";
	OSSL_PARAM params[3];

	params[0] = OSSL_PARAM_construct_octet_string(OSSL_MAC_PARAM_KEY,
	    k->mac, sizeof(k->mac));
	params[1] = OSSL_PARAM_construct_utf8_string(OSSL_MAC_PARAM_DIGEST,
	    digest, 0);
	params[2] = OSSL_PARAM_construct_end();
	return EVP_MAC_CTX_set_params(mac, params) == 1;
}

/*
 * Result as SSL_CTX_set_tlsext_ticket_key_evp_cb(3) wants it.  2 gives a new
 * ticket: when the key is the old one, and always with TLS 1.3, whose clients
 * use a ticket once (RFC 8446 C.4).
 */
static int
ticket_on_key(SSL *ssl, unsigned char *name, unsigned char *iv,
    EVP_CIPHER_CTX *cipher, EVP_MAC_CTX *mac, int is_sealing)
{
	struct tls_server    *t = SSL_CTX_get_app_data(SSL_get_SSL_CTX(ssl));
	const EVP_CIPHER     *aes = EVP_aes_256_cbc();
	struct tls_ticket_key k;
	int		      rc = -1, i = 0;

	if (is_sealing) {
		pthread_mutex_lock(&t->lock);
		k = t->tickets[0];
		pthread_mutex_unlock(&t->lock);
		memcpy(name, k.name, sizeof(k.name));
		if (RAND_bytes(iv, EVP_CIPHER_get_iv_length(aes)) == 1 &&
		    EVP_EncryptInit_ex(cipher, aes, NULL, k.cipher, iv) == 1 &&
		    ticket_set_mac(mac, &k))
			rc = 1;
	} else {
		i = ticket_find(t, name, &k);
		if (i == 2)
			return 0;
		if (ticket_set_mac(mac, &k) &&
		    EVP_DecryptInit_ex(cipher, aes, NULL, k.cipher, iv) == 1)
			rc = i == 0 && SSL_version(ssl) < TLS1_3_VERSION ? 1 :
			    2;
	}
	mem_wipe(&k, sizeof(k));
	return rc;
}

/* -- server contexts ------------------------------------------------------ */

static int
tls_server_on_name(SSL *ssl, int *alert, void *arg)
{
	struct tls_server *t = arg;
	const char	  *name;
	size_t		   i;

	(void)alert;
	name = SSL_get_servername(ssl, TLSEXT_NAMETYPE_host_name);
	if (name == NULL)
		return SSL_TLSEXT_ERR_OK;
	for (i = 0; i < t->cert_count; i++)
		if (cert_covers(&t->certs[i], name)) {
			SSL_set_SSL_CTX(ssl, t->sites[t->certs[i].site]);
			break;
		}
	ERR_clear_error();
	return SSL_TLSEXT_ERR_OK;
}

/* OpenSSL takes any list in which one name is known; we are stricter. */
static int
site_check_ciphers(SSL_CTX *ctx, const char *list, struct err *e)
{
	STACK_OF(SSL_CIPHER) *all = SSL_CTX_get_ciphers(ctx);
	const SSL_CIPHER     *c;
	int		      i, kx;

	for (i = 0; i < sk_SSL_CIPHER_num(all); i++) {
		c = sk_SSL_CIPHER_value(all, i);
		kx = SSL_CIPHER_get_kx_nid(c);
		if ((kx != NID_kx_ecdhe && kx != NID_kx_dhe &&
			kx != NID_kx_any) || !SSL_CIPHER_is_aead(c) ||
		    SSL_CIPHER_get_auth_nid(c) == NID_auth_null)
			return err_set(e, "TLS ciphers \"%s\": %s is not "
			    "(EC)DHE with AEAD", list,
			    SSL_CIPHER_get_name(c));
	}
	return 0;
}

static int
site_set_policy(SSL_CTX *ctx, const struct tls_server_setup *s,
    struct err *e)
{
	const char *list = s->ciphers;

	if (list == NULL)
		list = tls_default_ciphers;
	SSL_CTX_set_min_proto_version(ctx,
	    s->tls13_only ? TLS1_3_VERSION : TLS1_2_VERSION);
	SSL_CTX_set_options(ctx, SSL_OP_NO_RENEGOTIATION |
	    SSL_OP_NO_COMPRESSION | SSL_OP_CIPHER_SERVER_PREFERENCE |
	    SSL_OP_PRIORITIZE_CHACHA | SSL_OP_IGNORE_UNEXPECTED_EOF);
	if (SSL_CTX_set_cipher_list(ctx, list) != 1) {
		err_set(e, "TLS ciphers \"%s\": %s", list, tls_reason());
		return -1;
	}
	if (s->ciphersuites != NULL &&
	    SSL_CTX_set_ciphersuites(ctx, s->ciphersuites) != 1) {
		err_set(e, "TLS ciphersuites \"%s\": %s", s->ciphersuites,
		    tls_reason());
		return -1;
	}
	if (site_check_ciphers(ctx, list, e) < 0)
		return -1;
	SSL_CTX_set_dh_auto(ctx, 1);
	SSL_CTX_set_max_early_data(ctx, 0);
	return 0;
}

void
tls_set_modes(SSL_CTX *ctx)
{
	SSL_CTX_set_mode(ctx, SSL_MODE_RELEASE_BUFFERS |
	    SSL_MODE_ENABLE_PARTIAL_WRITE |
	    SSL_MODE_ACCEPT_MOVING_WRITE_BUFFER);
	SSL_CTX_set_read_ahead(ctx, 1); /* one read(2) a record, not two */
}

static SSL_CTX *
site_new(struct tls_server *t, const struct tls_server_setup *s,
    struct err *e)
{
	SSL_CTX *ctx = SSL_CTX_new(TLS_server_method());

	if (ctx == NULL) {
		err_set(e, "TLS context: %s", tls_reason());
		return NULL;
	}
	if (site_set_policy(ctx, s, e) < 0) {
		SSL_CTX_free(ctx);
		return NULL;
	}
	tls_set_modes(ctx);
	/* replies are short: the buffer of a handshake need not be long */
	SSL_CTX_set_max_send_fragment(ctx, SERVER_RECORD_MAX);
	SSL_CTX_set_app_data(ctx, t);
	SSL_CTX_set_session_cache_mode(ctx, SSL_SESS_CACHE_OFF);
	SSL_CTX_set_session_id_context(ctx, tls_session_context,
	    sizeof(tls_session_context) - 1);
	SSL_CTX_set_num_tickets(ctx, 1);
	SSL_CTX_set_tlsext_ticket_key_evp_cb(ctx, ticket_on_key);
	SSL_CTX_set_tlsext_servername_callback(ctx, tls_server_on_name);
	SSL_CTX_set_tlsext_servername_arg(ctx, t);
	return ctx;
}

/* A site of the same name without a certificate of this key type. */
static size_t
tls_server_find_site(const struct tls_server *t, const struct tls_cert *c)
{
	char		       name[256], other[256];
	const struct tls_cert *o;
	size_t		       i, site;
	bool		       is_free;

	cert_first_name(c, name, sizeof(name));
	for (site = 0; site < t->site_count; site++) {
		is_free = name[0] != '\0';
		for (i = 0; i < t->cert_count; i++) {
			o = &t->certs[i];
			if (o == c || o->site != site)
				continue;
			cert_first_name(o, other, sizeof(other));
			if (strcasecmp(name, other) != 0 ||
			    EVP_PKEY_get_base_id(o->key) ==
				EVP_PKEY_get_base_id(c->key))
				is_free = false;
		}
		if (is_free)
			break;
	}
	return site;
}

static int
tls_server_add(struct tls_server *t, const struct tls_server_setup *s,
    const struct tls_pem *pem, struct err *e)
{
	struct tls_cert *c = &t->certs[t->cert_count];
	struct wall	 end;

	if (cert_read(c, pem, e) < 0) {
		cert_wipe(c);
		return -1;
	}
	c->site = tls_server_find_site(t, c);
	t->cert_count++;
	if (c->site == t->site_count) {
		t->sites[c->site] = site_new(t, s, e);
		if (t->sites[c->site] == NULL)
			return -1;
		t->site_count++;
	}
	end = cert_not_after(c);
	if (c->site == 0 && (t->not_after.ms == 0 ||
	    end.ms < t->not_after.ms))
		t->not_after = end;
	if (SSL_CTX_use_cert_and_key(t->sites[c->site], c->leaf, c->key,
		c->chain, 1) != 1)
		return tls_fail(e, pem->cert_path, "certificate");
	return 0;
}

struct tls_server *
tls_server_new(const struct tls_server_setup *s, struct err *e)
{
	struct tls_server *t;
	size_t		   i;

	if (s->pem_count == 0) {
		err_set(e, "TLS: no certificate");
		return NULL;
	}
	t = mem_alloc(sizeof(*t));
	atomic_init(&t->refs, 1);
	must(pthread_mutex_init(&t->lock, NULL) == 0);
	t->certs = mem_alloc(s->pem_count * sizeof(*t->certs));
	t->sites = mem_alloc(s->pem_count * sizeof(SSL_CTX *));
	for (i = 0; i < s->pem_count; i++)
		if (tls_server_add(t, s, &s->pems[i], e) < 0) {
			ERR_clear_error();
			tls_server_unref(t);
			return NULL;
		}
	return t;
}

struct tls_server *
tls_server_ref(struct tls_server *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void
tls_server_unref(struct tls_server *t)
{
	size_t i;

	if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	for (i = 0; i < t->site_count; i++)
		SSL_CTX_free(t->sites[i]);
	for (i = 0; i < t->cert_count; i++)
		cert_wipe(&t->certs[i]);
	mem_free(t->sites);
	mem_free(t->certs);
	pthread_mutex_destroy(&t->lock);
	mem_wipe(t->tickets, sizeof(t->tickets));
	mem_free(t);
}

bool
tls_server_covers(const struct tls_server *t, const char *name)
{
	size_t i;

	for (i = 0; i < t->cert_count; i++)
		if (t->certs[i].site == 0 && cert_covers(&t->certs[i], name))
			return true;
	return false;
}

struct wall
tls_server_not_after(const struct tls_server *t)
{
	return t->not_after;
}

struct ssl_ctx_st *
tls_server_context(struct tls_server *t, struct mono now)
{
	tls_server_rotate(t, now);
	return t->sites[0];
}

const char *
tls_library(void)
{
	return OpenSSL_version(OPENSSL_VERSION_STRING);
}

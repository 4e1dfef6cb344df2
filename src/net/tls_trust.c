/* SPDX-License-Identifier: ISC */
/* Part of net/tls.h: trust stores. */
#include <openssl/bio.h>
#include <openssl/err.h>
#include <openssl/pem.h>
#include <openssl/ssl.h>
#include <openssl/x509.h>
#include <limits.h>
#include <stdatomic.h>
#include <stdio.h>

#include "net/tls.h"

enum { BUNDLE_MAX = 16 * 1024 * 1024 };

struct tls_trust {
	_Atomic unsigned refs;
	X509_STORE	*store; /* NULL: not parsed yet */
	size_t		 count;
	struct buf	 text;
};

/* Where the bundles of certificates are, the first one that can be read. */
static const char *const bundles[] = { "/etc/ssl/certs/ca-certificates.crt",
	"/etc/pki/tls/certs/ca-bundle.crt", "/etc/ssl/cert.pem", NULL };

static int
bundle_read(const char *path, struct buf *out)
{
	FILE  *f = fopen(path, "re");
	char  *room;
	size_t n;

	if (f == NULL)
		return -1;
	do {
		room = buf_room(out, 65536);
		n = room == NULL ? 0 : fread(room, 1, 65536, f);
		buf_commit(out, n);
	} while (n > 0);
	n = ferror(f) != 0 || out->failed;
	fclose(f);
	return n != 0 ? -1 : 0;
}

/* What cannot be read as a certificate ends the text. */
static size_t
store_fill(X509_STORE *store, struct bytes pem)
{
	BIO   *b = pem.n > INT_MAX ? NULL :
	    BIO_new_mem_buf(pem.p, (int)pem.n);
	X509  *x;
	size_t n = 0;

	if (b == NULL)
		return 0;
	while ((x = PEM_read_bio_X509_AUX(b, NULL, NULL, NULL)) != NULL) {
		n += X509_STORE_add_cert(store, x) == 1;
		X509_free(x);
	}
	BIO_free(b);
	ERR_clear_error();
	return n;
}

static struct tls_trust *
trust_new(void)
{
	struct tls_trust *t = mem_alloc(sizeof(*t));

	atomic_init(&t->refs, 1);
	buf_init(&t->text, BUNDLE_MAX);
	return t;
}

static void
trust_parse(struct tls_trust *t, struct bytes pem)
{
	t->store = X509_STORE_new();
	must(t->store != NULL);
	t->count = store_fill(t->store, pem);
}

struct tls_trust *
tls_trust_new(struct bytes pem, struct err *e)
{
	struct tls_trust *t = trust_new();

	trust_parse(t, pem);
	if (t->count > 0)
		return t;
	tls_trust_unref(t);
	err_set(e, "no certificates of authorities (PEM) in it");
	return NULL;
}

struct tls_trust *
tls_trust_system(struct err *e)
{
	struct tls_trust  *t = trust_new();
	const char *const *path;

	for (path = bundles; *path != NULL; path++) {
		buf_clear(&t->text);
		if (bundle_read(*path, &t->text) == 0)
			return t;
	}
	tls_trust_unref(t);
	err_set(e, "%s cannot be read", bundles[0]);
	return NULL;
}

struct tls_trust *
tls_trust_ref(struct tls_trust *t)
{
	atomic_fetch_add(&t->refs, 1);
	return t;
}

void
tls_trust_unref(struct tls_trust *t)
{
	if (t == NULL || atomic_fetch_sub(&t->refs, 1) != 1)
		return;
	X509_STORE_free(t->store);
	buf_wipe(&t->text);
	mem_free(t);
}

bool
tls_trust_lend(struct tls_trust *t, void *ssl_ctx)
{
	if (t->store == NULL) {
		trust_parse(t, buf_bytes(&t->text));
		buf_wipe(&t->text);
	}
	if (t->count > 0)
		SSL_CTX_set1_cert_store(ssl_ctx, t->store);
	return t->count > 0;
}

/* SPDX-License-Identifier: ISC */
/*
 * test_certs.h - certificates made for a test, in memory.
 * Use:    struct test_cert ca, leaf;
 *         test_cert_make(&ca, &(struct test_cert_spec){ .cn = "CA",
 *             .is_ca = true });
 *         test_cert_make(&leaf, &(struct test_cert_spec){
 *             .names = "DNS:mx.example", .issuer = &ca });
 *         test_cert_wipe(&leaf); test_cert_wipe(&ca);
 */
#ifndef TESTS_TEST_CERTS_H
#define TESTS_TEST_CERTS_H

#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509v3.h>
#include <string.h>
#include <time.h>

#include "base/err.h"
#include "base/mem.h"

struct test_cert {
	X509	    *x509;
	EVP_PKEY    *key;
	char	    *cert_pem, *key_pem;
};
struct test_cert_spec {
	const char	       *cn;
	const char	       *names;	/* "DNS:a.example,DNS:*.b.example" */
	const struct test_cert *issuer; /* NULL = self-signed */
	bool			is_ca, is_ecdsa;
	long			not_after_s; /* from now; 0 = a day */
};

static inline char *
test_cert_text(BIO *b)
{
	char *p, *copy;
	long  n = BIO_get_mem_data(b, &p);

	copy = mem_dup_bytes((struct bytes){ p, (size_t)n });
	BIO_free(b);
	return copy;
}

static inline void
test_cert_extend(X509 *x, int nid, const char *value)
{
	X509_EXTENSION *ext;

	ext = X509V3_EXT_conf_nid(NULL, NULL, nid, value);
	must(ext != NULL);
	must(X509_add_ext(x, ext, -1) == 1);
	X509_EXTENSION_free(ext);
}

static inline void
test_cert_make(struct test_cert *c, const struct test_cert_spec *s)
{
	const char *cn = s->cn == NULL ? "test" : s->cn;
	X509_NAME  *name;
	BIO	   *b;
	uint32_t    serial;
	long	    life = s->not_after_s == 0 ? 86400 : s->not_after_s;

	c->key = s->is_ecdsa ? EVP_EC_gen("P-256") : EVP_RSA_gen(2048);
	c->x509 = X509_new();
	must(c->key != NULL && c->x509 != NULL);
	X509_set_version(c->x509, 2);
	mem_random(&serial, sizeof(serial));
	ASN1_INTEGER_set_uint64(X509_get_serialNumber(c->x509), serial);
	X509_gmtime_adj(X509_getm_notBefore(c->x509), life < 0 ? life - 60 :
	    -60);
	X509_gmtime_adj(X509_getm_notAfter(c->x509), life);
	X509_set_pubkey(c->x509, c->key);
	name = X509_get_subject_name(c->x509);
	X509_NAME_add_entry_by_txt(name, "CN", MBSTRING_ASC,
	    (const unsigned char *)cn, -1, -1, 0);
	X509_set_issuer_name(c->x509, s->issuer == NULL ? name :
	    X509_get_subject_name(s->issuer->x509));
	if (s->is_ca)
		test_cert_extend(c->x509, NID_basic_constraints,
		    "critical,CA:TRUE");
	if (s->names != NULL)
		test_cert_extend(c->x509, NID_subject_alt_name, s->names);
	must(X509_sign(c->x509, s->issuer == NULL ? c->key : s->issuer->key,
		 EVP_sha256()) > 0);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_X509(b, c->x509);
	c->cert_pem = test_cert_text(b);
	b = BIO_new(BIO_s_mem());
	PEM_write_bio_PrivateKey(b, c->key, NULL, NULL, 0, NULL, NULL);
	c->key_pem = test_cert_text(b);
}

static inline void
test_cert_wipe(struct test_cert *c)
{
	X509_free(c->x509);
	EVP_PKEY_free(c->key);
	mem_free(c->cert_pem);
	mem_free(c->key_pem);
	memset(c, 0, sizeof(*c));
}

#endif

/* SPDX-License-Identifier: ISC */
/*
 * dkim_oracle.h - libopendkim as oracle: its verify mode for whole messages,
 * and its own signing mode, which posthorn does not use.
 *
 * Use:    n = oracle_verify(message, record): how many signatures a message
 *         has, all of which verify with that key record; -1 = one does not.
 *         oracle_sign(&ask, message, &field): the value of the field that the
 *         signing mode makes, without blanks.
 *         Include it behind registry/identity.h: macros of the library have
 *         names of enumerators there.
 * Owner:  the test.
 * Thread: one.
 * Fails:  by the test's assertions.
 */
#ifndef TESTS_DKIM_ORACLE_H
#define TESTS_DKIM_ORACLE_H

#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <opendkim/dkim.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>

#include "base/mem.h"

/* The record of a key, to be freed. */
static inline char *
oracle_record_of(EVP_PKEY *key)
{
	bool	       ed25519 = EVP_PKEY_get_base_id(key) == EVP_PKEY_ED25519;
	unsigned char *der = NULL;
	int	       n = i2d_PUBKEY(key, &der), skip;
	size_t	       at;
	char	      *text;

	assert_true(n > 0);
	text = malloc((size_t)n * 2 + 64);
	at = (size_t)sprintf(text, "v=DKIM1; k=%s; p=",
	    ed25519 ? "ed25519" : "rsa");
	/* RFC 8463 4.2: the 32 octets alone, the end of the structure */
	skip = ed25519 ? n - 32 : 0;
	base64_encode(der + skip, (size_t)(n - skip), text + at);
	OPENSSL_free(der);
	return text;
}

static const char *oracle_record;
/* of another selector, where there are two keys; NULL = none */
static const char *oracle_second_selector, *oracle_second_record;

static inline DKIM_CBSTAT
oracle_on_lookup(DKIM *d, DKIM_SIGINFO *sig, unsigned char *out, size_t size)
{
	const char *selector = (const char *)dkim_sig_getselector(sig);
	const char *record = oracle_record;

	(void)d;
	if (oracle_second_selector != NULL &&
	    strcmp(selector, oracle_second_selector) == 0)
		record = oracle_second_record;
	assert_true((size_t)snprintf((char *)out, size, "%s", record) <
	    size);
	return DKIM_CBSTAT_CONTINUE;
}

/* The next field with its folds, without the line end; false at the end. */
static inline bool
oracle_next_field(struct bytes *rest, struct bytes *field)
{
	size_t end = 0;

	if (rest->n < 2 || rest->p[0] == '\r')
		return false;
	do {
		end = (size_t)bytes_find(*rest, end, '\n') + 1;
	} while (end < rest->n &&
	    (rest->p[end] == ' ' || rest->p[end] == '\t'));
	*field = bytes_head(*rest, end - 2);
	*rest = bytes_from(*rest, end);
	return true;
}

/* false = there is no signature to be verified */
static inline bool
oracle_feed(DKIM *d, struct bytes message)
{
	struct bytes field;
	DKIM_STAT    status;

	while (oracle_next_field(&message, &field))
		assert_int_equal(dkim_header(d, (u_char *)(uintptr_t)field.p,
		    field.n), DKIM_STAT_OK);
	message = bytes_from(message, 2);
	status = dkim_eoh(d);
	if (status == DKIM_STAT_NOSIG)
		return false;
	assert_int_equal(status, DKIM_STAT_OK);
	if (message.n > 0)
		assert_int_equal(dkim_body(d, (u_char *)(uintptr_t)message.p,
		    message.n), DKIM_STAT_OK);
	return true;
}

static inline int
oracle_verify(struct bytes message, const char *record)
{
	DKIM_LIB      *lib = dkim_init(NULL, NULL);
	DKIM_SIGINFO **sigs;
	DKIM_STAT      status;
	DKIM	      *d;
	int	       i, count = 0, good;

	oracle_record = record;
	dkim_set_key_lookup(lib, oracle_on_lookup);
	d = dkim_verify(lib, (const unsigned char *)"oracle", NULL, &status);
	assert_non_null(d);
	if (oracle_feed(d, message)) {
		(void)dkim_eom(d, NULL);
		assert_int_equal(dkim_getsiglist(d, &sigs, &count),
		    DKIM_STAT_OK);
	}
	good = count;
	for (i = 0; i < count; i++)
		if ((dkim_sig_getflags(sigs[i]) & DKIM_SIGFLAG_PASSED) == 0 ||
		    dkim_sig_getbh(sigs[i]) != DKIM_SIGBH_MATCH)
			good = -1;
	dkim_free(d);
	dkim_close(lib);
	return good;
}

/* The same, with the public half of a key that is at hand. */
static inline int
oracle_verify_with(struct bytes message, EVP_PKEY *key)
{
	char *record = oracle_record_of(key);
	int   count = oracle_verify(message, record);

	free(record);
	return count;
}

struct oracle_ask {
	EVP_PKEY    *key;
	bool	     relaxed_body;
	const char **headers, **oversign; /* NULL-ended */
};

static inline DKIM_LIB *
oracle_sign_open(const struct oracle_ask *a)
{
	DKIM_LIB *lib = dkim_init(NULL, NULL);

	assert_int_equal(dkim_options(lib, DKIM_OP_SETOPT, DKIM_OPTS_SIGNHDRS,
	    a->headers, sizeof(a->headers)), DKIM_STAT_OK);
	assert_int_equal(dkim_options(lib, DKIM_OP_SETOPT,
	    DKIM_OPTS_OVERSIGNHDRS, a->oversign, sizeof(a->oversign)),
	    DKIM_STAT_OK);
	return lib;
}

static inline void
oracle_sign(const struct oracle_ask *a, struct bytes message,
    struct buf *field)
{
	DKIM_LIB     *lib = oracle_sign_open(a);
	BIO	     *pem = BIO_new(BIO_s_mem());
	unsigned char out[16384], *p;
	DKIM_STAT     status;
	DKIM	     *d;

	assert_int_equal(PEM_write_bio_PrivateKey(pem, a->key, NULL, NULL, 0,
	    NULL, NULL), 1);
	BIO_write(pem, "", 1); /* a text for the library */
	BIO_get_mem_data(pem, (char **)&p);
	d = dkim_sign(lib, (const unsigned char *)"oracle", NULL, p,
	    (const unsigned char *)"s", (const unsigned char *)"example.com",
	    DKIM_CANON_RELAXED, a->relaxed_body ? DKIM_CANON_RELAXED :
	    DKIM_CANON_SIMPLE, DKIM_SIGN_RSASHA256, -1, &status);
	assert_non_null(d);
	assert_true(oracle_feed(d, message));
	assert_int_equal(dkim_eom(d, NULL), DKIM_STAT_OK);
	assert_int_equal(dkim_getsighdr(d, out, sizeof(out), 0),
	    DKIM_STAT_OK);
	buf_clear(field);
	for (p = out; *p != '\0'; p++)
		if (strchr(" \t\r\n", *p) == NULL)
			buf_add_char(field, (char)*p);
	buf_add_char(field, '\0');
	field->n--;
	dkim_free(d);
	dkim_close(lib);
	BIO_free(pem);
}

#endif

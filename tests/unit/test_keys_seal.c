/* SPDX-License-Identifier: ISC */
#include <stdarg.h>
#include <stddef.h>
#include <setjmp.h>
#include <stdint.h>
#include <cmocka.h>

#include <fcntl.h>
#include <openssl/evp.h>
#include <openssl/pem.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <stdio.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

#include "daemon/keys_seal.h"

#define SECRET "wJalrXUtnFEMI/K7MDENG/bPxRfiCYEXAMPLEKEY"
#define REFUSED "private key must be PKCS#1 or PKCS#8, RSA, 1024 to 2048 bits"

/* -- sealing -------------------------------------------------------------- */

/* credentials 6: vector of a sealed secret */
static void
test_vector(void **state)
{
	static const char derived[] =
	    "051a16a511e3b6793f92bc56f916da72486310bb20acb0e01bdeb7c6711696df";
	static const char stored[] =
	    "016465666768696a6b6c6d6e6fd09464f566250347ab20fb2d6583acdcf70f09"
	    "e9485e1eae65082e2de976f0a925180d8ffecb693add9c5e2c2e0a3ed1e547cc"
	    "131d53aa54";
	unsigned char master[32], key[32], nonce[12], out[69], plain[40];
	char	      hex[139];
	unsigned char i;

	(void)state;
	for (i = 0; i < 32; i++)
		master[i] = i;
	assert_true(hex_decode(BYTES("6465666768696a6b6c6d6e6f"), nonce, 12));
	seal_derive(master, "posthorn secret access key v1", key);
	hex_encode(key, 32, hex);
	assert_string_equal(hex, derived);
	seal_close(key, nonce, BYTES("AKIAIOSFODNN7EXAMPLE"), BYTES(SECRET),
	    out);
	hex_encode(out, 69, hex);
	assert_string_equal(hex, stored);
	assert_true(seal_open(key, BYTES("AKIAIOSFODNN7EXAMPLE"),
	    (struct bytes){ (char *)out, 69 }, plain));
	assert_memory_equal(plain, SECRET, 40);
}

/* One changed octet anywhere, another name, another key: nothing opens. */
static void
test_what_is_changed_does_not_open(void **state)
{
	unsigned char key[32] = { 1 }, other[32] = { 2 }, nonce[12] = { 3 };
	unsigned char out[5 + SEAL_OVERHEAD], plain[5];
	struct bytes  sealed = { (char *)out, sizeof(out) };
	size_t	      i;

	(void)state;
	seal_close(key, nonce, BYTES("d\0s"), BYTES("plain"), out);
	for (i = 0; i < sizeof(out); i++) {
		out[i] ^= 1;
		assert_false(seal_open(key, BYTES("d\0s"), sealed, plain));
		out[i] ^= 1;
	}
	assert_false(seal_open(key, BYTES("d\0t"), sealed, plain));
	assert_false(seal_open(other, BYTES("d\0s"), sealed, plain));
	for (i = 0; i < sizeof(out); i++)
		assert_false(seal_open(key, BYTES("d\0s"),
		    bytes_head(sealed, i), plain));
	assert_true(seal_open(key, BYTES("d\0s"), sealed, plain));
	assert_memory_equal(plain, "plain", 5);
}

/* -- reading (dkim#16) ---------------------------------------------------- */

static struct bytes
bio_text(BIO *b)
{
	char *p;
	long  n = BIO_get_mem_data(b, &p);

	return (struct bytes){ p, (size_t)n };
}

static void
check_reads(struct bytes text, const unsigned char *want, size_t want_n)
{
	unsigned char	    der[600];
	struct err	    e;
	struct signing_key *k = signing_key_read(text, 1024, 2048, &e);
	size_t		    n;

	if (k == NULL)
		fail_msg("%s", e.text);
	n = signing_key_public(k, der, sizeof(der));
	assert_int_equal(n, want_n);
	assert_memory_equal(der, want, n);
	assert_int_equal(signing_key_public(k, der, n - 1), 0);
	signing_key_free(k);
}

static void
check_refused(struct bytes text)
{
	struct err e;

	assert_null(signing_key_read(text, 1024, 2048, &e));
	assert_string_equal(e.text, REFUSED);
}

static void
bare(struct bytes pem, char *out, const char *between)
{
	size_t	     n = 0;
	ptrdiff_t    end;
	struct bytes line;

	while (pem.n > 0) {
		end = bytes_find(pem, 0, '\n');
		line = bytes_head(pem, (size_t)end);
		pem = bytes_from(pem, (size_t)end + 1);
		if (line.p[0] == '-')
			continue;
		memcpy(out + n, line.p, line.n);
		n += line.n;
		memcpy(out + n, between, strlen(between));
		n += strlen(between);
	}
	out[n] = '\0';
}

static void
test_forms(void **state)
{
	EVP_PKEY      *k = EVP_RSA_gen(2048);
	BIO	      *one = BIO_new(BIO_s_mem());
	BIO	      *eight = BIO_new(BIO_s_mem());
	unsigned char *want = NULL;
	char	       text[8192], raw[4096] = { 0 };
	size_t	       raw_n;
	int	       n;

	(void)state;
	assert_non_null(k);
	n = i2d_PUBKEY(k, &want);
	assert_true(n > 0);
	assert_int_equal(PEM_write_bio_PrivateKey_traditional(one, k, NULL,
			     NULL, 0, NULL, NULL), 1);
	assert_non_null(strstr(bio_text(one).p, "BEGIN RSA PRIVATE KEY"));
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(eight, k, NULL, NULL,
			     0, NULL, NULL), 1);
	check_reads(bio_text(one), want, (size_t)n);
	check_reads(bio_text(eight), want, (size_t)n);
	bare(bio_text(one), text, "");
	check_reads(bytes_of(text), want, (size_t)n);
	bare(bio_text(eight), text, "");
	check_reads(bytes_of(text), want, (size_t)n);
	bare(bio_text(eight), text, " \t\r\n");
	check_reads(bytes_of(text), want, (size_t)n);
	/* something behind it, or a piece missing */
	bare(bio_text(eight), text, "");
	assert_true(base64_decode(bytes_of(text), raw, sizeof(raw), &raw_n));
	base64_encode(raw, raw_n + 1, text);
	check_refused(bytes_of(text));
	base64_encode(raw, raw_n, text);
	check_reads(bytes_of(text), want, (size_t)n);
	text[400] = '\0';
	check_refused(bytes_of(text));
	OPENSSL_free(want);
	BIO_free(one);
	BIO_free(eight);
	EVP_PKEY_free(k);
}

static void
test_refused(void **state)
{
	BIO	   *b = BIO_new(BIO_s_mem());
	EVP_PKEY   *k = EVP_RSA_gen(2048), *ec = EVP_EC_gen("P-256");
	EVP_PKEY   *small = EVP_RSA_gen(512), *ed;
	char	   *large = calloc(1, SIGNING_FILE_MAX + 2);
	char	   *pem, *last;
	struct err  e;

	(void)state;
	check_refused(BYTES(""));
	check_refused(BYTES("hello"));
	check_refused(BYTES("-----BEGIN PRIVATE KEY-----\n"));
	check_refused(BYTES("QUJD\0QUJD"));
	memset(large, 'A', SIGNING_FILE_MAX + 1);
	check_refused((struct bytes){ large, SIGNING_FILE_MAX + 1 });
	free(large);
	/* encrypted, either way */
	assert_int_equal(PEM_write_bio_PKCS8PrivateKey(b, k,
			     EVP_aes_128_cbc(), "x", 1, NULL, NULL), 1);
	check_refused(bio_text(b));
	assert_int_equal(BIO_reset(b), 1);
	assert_int_equal(PEM_write_bio_PrivateKey_traditional(b, k,
			     EVP_aes_128_cbc(), (unsigned char *)"x", 1, NULL,
			     NULL), 1);
	check_refused(bio_text(b));
	/* no RSA, too short, too long */
	assert_int_equal(BIO_reset(b), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(b, ec, NULL, NULL, 0, NULL,
			     NULL), 1);
	check_refused(bio_text(b));
	/* the curve of key exchange is not the one of signatures */
	ed = EVP_PKEY_Q_keygen(NULL, NULL, "X25519");
	assert_int_equal(BIO_reset(b), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(b, ed, NULL, NULL, 0, NULL,
			     NULL), 1);
	check_refused(bio_text(b));
	assert_int_equal(BIO_reset(b), 1);
	if (small != NULL) {
		assert_int_equal(PEM_write_bio_PrivateKey(b, small, NULL,
				     NULL, 0, NULL, NULL), 1);
		check_refused(bio_text(b));
		/* not by other limits either (RFC 8301) */
		assert_null(signing_key_read(bio_text(b), 256, 2048, &e));
		assert_string_equal(e.text, REFUSED);
	}
	assert_int_equal(BIO_reset(b), 1);
	assert_int_equal(PEM_write_bio_PrivateKey(b, k, NULL, NULL, 0, NULL,
			     NULL), 1);
	assert_null(signing_key_read(bio_text(b), 1024, 1536, &e));
	assert_string_equal(e.text, "private key must be PKCS#1 or PKCS#8, "
				    "RSA, 1024 to 1536 bits");
	/* numbers that do not belong together */
	pem = strndup(bio_text(b).p, bio_text(b).n);
	last = strstr(pem, "-----END");
	assert_non_null(last);
	last[-100] = last[-100] == 'A' ? 'B' : 'A';
	check_refused(bytes_of(pem));
	free(pem);
	EVP_PKEY_free(k);
	EVP_PKEY_free(ec);
	EVP_PKEY_free(ed);
	EVP_PKEY_free(small);
	BIO_free(b);
}

/* -- signing -------------------------------------------------------------- */

static void
check_signature(const unsigned char *der, size_t n,
    const unsigned char digest[32], const unsigned char *sig, size_t sig_n)
{
	EVP_PKEY     *pub = d2i_PUBKEY(NULL, &der, (long)n);
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pub, NULL);

	assert_int_equal(EVP_PKEY_verify_init(c), 1);
	assert_int_equal(EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING),
	    1);
	assert_int_equal(EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()), 1);
	assert_int_equal(EVP_PKEY_verify(c, sig, sig_n, digest, 32), 1);
	EVP_PKEY_CTX_free(c);
	EVP_PKEY_free(pub);
}

static void
test_make_and_sign(void **state)
{
	static const unsigned char digest[32] = { 'd', 1, 2, 3 };
	unsigned char		   der[600], sig[512];
	struct err		   e;
	struct signing_key	  *k = signing_key_make(1024, &e);
	EVP_PKEY		  *pub;
	const unsigned char	  *at = der;
	BIGNUM			  *exponent = NULL;
	size_t			   n;
	int			   sig_n;

	(void)state;
	assert_non_null(k);
	assert_int_equal(signing_key_bits(k), 1024);
	n = signing_key_public(k, der, sizeof(der));
	assert_true(n > 0);
	sig_n = signing_key_sign(k, digest, sig, sizeof(sig), &e);
	assert_int_equal(sig_n, 128);
	check_signature(der, n, digest, sig, 128);
	assert_int_equal(signing_key_sign(k, digest, sig, 127, &e), -1);
	pub = d2i_PUBKEY(NULL, &at, (long)n);
	assert_int_equal(EVP_PKEY_get_bn_param(pub, "e", &exponent), 1);
	assert_true(BN_is_word(exponent, 65537));
	BN_free(exponent);
	EVP_PKEY_free(pub);
	signing_key_free(k);
	assert_null(signing_key_make(512, &e));
	assert_string_equal(e.text, "a key of 512 bits is not made");
	assert_null(signing_key_make(8192, &e));
}

/* RFC 8463 A.2: the key of the RFC, PEM as in RFC 8410 and bare, gives the
 * p= value of the RFC; dkim 3 */
static void
test_read_ed25519(void **state)
{
	static const char body[] =
	    "MC4CAQAwBQYDK2VwBCIEIJ1hsZ3v/VpguoRK9JLsLMREScVpezJpGXA7rAMcrn9g";
	unsigned char want[32];
	char	      pem[256];
	size_t	      n;

	(void)state;
	assert_true(base64_decode(
	    BYTES("11qYAYKxCrfVS/7TyWQHOg7hcvPapiMlrwIaaPcHURo="),
	    (char *)want, sizeof(want), &n));
	assert_int_equal(n, 32);
	snprintf(pem, sizeof(pem), "-----BEGIN PRIVATE KEY-----\n%s\n"
	    "-----END PRIVATE KEY-----\n", body);
	check_reads(bytes_of(pem), want, 32);
	check_reads(bytes_of(body), want, 32);
}

/* dkim 6.1: a managed key; what it signs is the digest (RFC 8463 3) */
static void
test_make_and_sign_ed25519(void **state)
{
	static const unsigned char digest[32] = { 'd', 1, 2, 3 };
	unsigned char		   raw[32], sig[64];
	struct err		   e;
	struct signing_key *k = signing_key_make(SIGNING_BITS_ED25519, &e);
	EVP_PKEY	   *pub;
	EVP_MD_CTX	   *m = EVP_MD_CTX_new();

	(void)state;
	assert_non_null(k);
	assert_int_equal(signing_key_bits(k), 256);
	assert_int_equal(signing_key_public(k, raw, sizeof(raw)), 32);
	assert_int_equal(signing_key_public(k, raw, 31), 0);
	assert_int_equal(signing_key_sign(k, digest, sig, 64, &e), 64);
	pub = EVP_PKEY_new_raw_public_key(EVP_PKEY_ED25519, NULL, raw, 32);
	assert_non_null(pub);
	assert_int_equal(EVP_DigestVerifyInit(m, NULL, NULL, NULL, pub), 1);
	assert_int_equal(EVP_DigestVerify(m, sig, 64, digest, 32), 1);
	assert_int_equal(signing_key_sign(k, digest, sig, 63, &e), -1);
	EVP_MD_CTX_free(m);
	EVP_PKEY_free(pub);
	signing_key_free(k);
}

/* -- the master key ------------------------------------------------------- */

static int
master_file(mode_t mode, size_t n)
{
	char	      path[] = "/tmp/posthorn-master-XXXXXX";
	unsigned char raw[64];
	int	      fd = mkstemp(path);

	memset(raw, 7, sizeof(raw));
	assert_true(fd >= 0);
	assert_int_equal(write(fd, raw, n), n);
	assert_int_equal(fchmod(fd, mode), 0);
	assert_int_equal(unlink(path), 0);
	return fd;
}

/* credentials#25 and credentials 6 */
static void
test_master_key_files(void **state)
{
	static const struct {
		mode_t	    mode;
		size_t	    n;
		const char *error;
	} rows[] = {
		{ 0400, 32, NULL },
		{ 0600, 32, NULL },
		{ 0644, 32, "store.master_key: the file must not be open to "
			    "group or others (mode 0644)" },
		{ 0440, 32, "store.master_key: the file must not be open to "
			    "group or others (mode 0440)" },
		{ 0602, 32, "store.master_key: the file must not be open to "
			    "group or others (mode 0602)" },
		{ 0400, 31, "store.master_key: the file has 31 octets instead "
			    "of 32" },
		{ 0400, 33, "store.master_key: the file has 33 octets instead "
			    "of 32" },
		{ 0400, 0, "store.master_key: the file has 0 octets instead "
			   "of 32" },
	};
	struct sealer *s;
	struct err     e;
	size_t	       i;
	int	       fd, pipes[2];

	(void)state;
	for (i = 0; i < sizeof(rows) / sizeof(rows[0]); i++) {
		fd = master_file(rows[i].mode, rows[i].n);
		s = sealer_open(fd, &e);
		assert_int_equal(s != NULL, rows[i].error == NULL);
		if (rows[i].error != NULL)
			assert_string_equal(e.text, rows[i].error);
		sealer_free(s);
		close(fd);
	}
	assert_int_equal(pipe(pipes), 0);
	assert_null(sealer_open(pipes[0], &e));
	assert_string_equal(e.text, "store.master_key: not a file");
	close(pipes[0]);
	close(pipes[1]);
}

static void
test_sealed_keys(void **state)
{
	static const unsigned char digest[32] = { 9 };
	int		    fd = master_file(0400, 32);
	struct err	    e;
	struct sealer	   *s = sealer_open(fd, &e);
	struct signing_key *k = signing_key_make(1024, &e), *again;
	unsigned char	    sealed[2600], other[2600], der[600], sig[512];
	size_t		    n;
	int		    len, sig_n;

	(void)state;
	close(fd);
	assert_non_null(s);
	len = sealer_seal(s, BYTES("example.com\0s1"), k, sealed,
	    sizeof(sealed), &e);
	assert_true(len > 600);
	assert_int_equal(sealed[0], 1);
	/* a nonce of its own each time */
	assert_int_equal(sealer_seal(s, BYTES("example.com\0s1"), k, other,
			     sizeof(other), &e), len);
	assert_memory_not_equal(sealed + 1, other + 1, 12);
	assert_int_equal(sealer_seal(s, BYTES("example.com\0s1"), k, other,
			     (size_t)len - 1, &e), -1);
	again = sealer_unseal(s, BYTES("example.com\0s1"),
	    (struct bytes){ (char *)sealed, (size_t)len }, &e);
	assert_non_null(again);
	n = signing_key_public(k, der, sizeof(der));
	sig_n = signing_key_sign(again, digest, sig, sizeof(sig), &e);
	check_signature(der, n, digest, sig, (size_t)sig_n);
	signing_key_free(again);
	assert_null(sealer_unseal(s, BYTES("example.com\0s2"),
	    (struct bytes){ (char *)sealed, (size_t)len }, &e));
	assert_string_equal(e.text, "the master key does not open this key");
	signing_key_free(k);
	sealer_free(s);
}

/* The longest key fits what is stored. */
static void
test_longest_key(void **state)
{
	int		    fd = master_file(0400, 32);
	struct err	    e;
	struct sealer	   *s = sealer_open(fd, &e);
	struct signing_key *k = signing_key_make(4096, &e);
	unsigned char	    sealed[2600], der[600];

	(void)state;
	close(fd);
	assert_non_null(k);
	assert_true(sealer_seal(s, BYTES("d\0s"), k, sealed, sizeof(sealed),
			&e) > 0);
	assert_true(signing_key_public(k, der, sizeof(der)) > 0);
	signing_key_free(k);
	sealer_free(s);
}

static void
test_pem_out(void **state)
{
	struct err	    e;
	struct signing_key *k = signing_key_make(1024, &e), *again;
	unsigned char	    one[600], two[600];
	struct buf	    b;
	size_t		    n;

	(void)state;
	buf_init(&b, 8192);
	assert_int_equal(signing_key_to_pem(k, &b, &e), 0);
	assert_true(bytes_starts(buf_bytes(&b),
	    BYTES("-----BEGIN PRIVATE KEY-----\n")));
	again = signing_key_read(buf_bytes(&b), 1024, 1024, &e);
	assert_non_null(again);
	n = signing_key_public(k, one, sizeof(one));
	assert_int_equal(signing_key_public(again, two, sizeof(two)), n);
	assert_memory_equal(one, two, n);
	signing_key_free(k);
	signing_key_free(again);
	buf_wipe(&b);
}

int
main(void)
{
	const struct CMUnitTest tests[] = {
		cmocka_unit_test(test_vector),
		cmocka_unit_test(test_what_is_changed_does_not_open),
		cmocka_unit_test(test_forms),
		cmocka_unit_test(test_refused),
		cmocka_unit_test(test_make_and_sign),
		cmocka_unit_test(test_make_and_sign_ed25519),
		cmocka_unit_test(test_read_ed25519),
		cmocka_unit_test(test_master_key_files),
		cmocka_unit_test(test_sealed_keys),
		cmocka_unit_test(test_longest_key),
		cmocka_unit_test(test_pem_out),
	};

	return cmocka_run_group_tests_name("keys_seal", tests, NULL, NULL);
}

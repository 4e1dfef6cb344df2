/* SPDX-License-Identifier: ISC */
#include "daemon/keys_seal.h"

#include <openssl/crypto.h>
#include <openssl/err.h>
#include <openssl/evp.h>
#include <openssl/kdf.h>
#include <openssl/pem.h>
#include <openssl/rand.h>
#include <openssl/rsa.h>
#include <openssl/x509.h>
#include <malloc.h>
#include <stdlib.h>
#include <string.h>
#include <sys/stat.h>
#include <unistd.h>

enum { DER_MAX = 2600 - SEAL_OVERHEAD, SEAL_VERSION = 1, GCM_TAG = 16 };

static const char seal_info_dkim[] = "posthorn dkim private key v1";

struct signing_key {
	EVP_PKEY *pkey;
};
struct sealer {
	unsigned char key[SEAL_KEY_SIZE];
};

static const unsigned char *
octets(struct bytes b)
{
	return (const unsigned char *)b.p;
}

/*
 * Memory of OpenSSL.  Reading a key it frees copies of the numbers that it
 * does not wipe (the octet string of PKCS#8, the sequence of PKCS#1, what was
 * between the lines of PEM).
 */
static void
wiping_free(void *p, const char *file, int line)
{
	(void)file;
	(void)line;
	if (p == NULL)
		return;
	mem_wipe(p, malloc_usable_size(p));
	free(p);
}

static void *
plain_malloc(size_t n, const char *file, int line)
{
	(void)file;
	(void)line;
	return malloc(n);
}

/* realloc() may leave a copy behind. */
static void *
wiping_realloc(void *p, size_t n, const char *file, int line)
{
	size_t before = p == NULL ? 0 : malloc_usable_size(p);
	void  *to;

	if (p != NULL && n == 0) {
		wiping_free(p, file, line);
		return NULL;
	}
	to = malloc(n);
	if (to == NULL)
		return NULL;
	if (before > 0)
		memcpy(to, p, before < n ? before : n);
	wiping_free(p, file, line);
	return to;
}

bool
seal_init(void)
{
	unsigned char seed[1];
	EVP_MD	     *md;
	bool	      wipes;

	wipes = CRYPTO_set_mem_functions(plain_malloc, wiping_realloc,
		    wiping_free) == 1;
	OPENSSL_init_crypto(OPENSSL_INIT_LOAD_CONFIG |
		OPENSSL_INIT_ADD_ALL_CIPHERS | OPENSSL_INIT_ADD_ALL_DIGESTS |
		OPENSSL_INIT_LOAD_CRYPTO_STRINGS, NULL);
	/* providers and the random source are loaded at the first use */
	md = EVP_MD_fetch(NULL, "SHA256", NULL);
	EVP_MD_free(md);
	must(RAND_bytes(seed, sizeof(seed)) == 1);
	return wipes;
}

/* -- sealing -------------------------------------------------------------- */

void
seal_derive(const unsigned char master[SEAL_KEY_SIZE], const char *info,
    unsigned char key[SEAL_KEY_SIZE])
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new_id(EVP_PKEY_HKDF, NULL);
	size_t	      n = SEAL_KEY_SIZE;

	must(c != NULL && EVP_PKEY_derive_init(c) == 1 &&
	    EVP_PKEY_CTX_set_hkdf_md(c, EVP_sha256()) == 1 &&
	    EVP_PKEY_CTX_set1_hkdf_key(c, master, SEAL_KEY_SIZE) == 1 &&
	    EVP_PKEY_CTX_add1_hkdf_info(c, (const unsigned char *)info,
		(int)strlen(info)) == 1 &&
	    EVP_PKEY_derive(c, key, &n) == 1 && n == SEAL_KEY_SIZE);
	EVP_PKEY_CTX_free(c);
}

void
seal_close(const unsigned char key[SEAL_KEY_SIZE],
    const unsigned char nonce[SEAL_NONCE_SIZE], struct bytes name,
    struct bytes plain, unsigned char *out)
{
	EVP_CIPHER_CTX *c = EVP_CIPHER_CTX_new();
	unsigned char  *text = out + 1 + SEAL_NONCE_SIZE;
	int		n;

	must(plain.n <= INT32_MAX && name.n <= SEAL_NAME_MAX);
	out[0] = SEAL_VERSION;
	memcpy(out + 1, nonce, SEAL_NONCE_SIZE);
	must(c != NULL && EVP_EncryptInit_ex(c, EVP_aes_256_gcm(), NULL, key,
			      nonce) == 1 &&
	    EVP_EncryptUpdate(c, NULL, &n, octets(name), (int)name.n) == 1 &&
	    EVP_EncryptUpdate(c, text, &n, octets(plain), (int)plain.n) ==
		1 &&
	    EVP_EncryptFinal_ex(c, text + n, &n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_GET_TAG, GCM_TAG,
		text + plain.n) == 1);
	EVP_CIPHER_CTX_free(c);
}

bool
seal_open(const unsigned char key[SEAL_KEY_SIZE], struct bytes name,
    struct bytes sealed, unsigned char *out)
{
	EVP_CIPHER_CTX	    *c;
	const unsigned char *in = octets(sealed);
	unsigned char	     tag[GCM_TAG];
	size_t		     text_n;
	int		     n;
	bool		     ok;

	if (sealed.n < SEAL_OVERHEAD || sealed.n > INT32_MAX ||
	    in[0] != SEAL_VERSION || name.n > SEAL_NAME_MAX)
		return false;
	text_n = sealed.n - SEAL_OVERHEAD;
	memcpy(tag, in + sealed.n - GCM_TAG, GCM_TAG);
	c = EVP_CIPHER_CTX_new();
	ok = c != NULL &&
	    EVP_DecryptInit_ex(c, EVP_aes_256_gcm(), NULL, key, in + 1) ==
		1 &&
	    EVP_DecryptUpdate(c, NULL, &n, octets(name), (int)name.n) == 1 &&
	    EVP_DecryptUpdate(c, out, &n, in + 1 + SEAL_NONCE_SIZE,
		(int)text_n) == 1 &&
	    EVP_CIPHER_CTX_ctrl(c, EVP_CTRL_GCM_SET_TAG, GCM_TAG, tag) == 1 &&
	    EVP_DecryptFinal_ex(c, out + n, &n) == 1;
	EVP_CIPHER_CTX_free(c);
	if (!ok)
		mem_wipe(out, text_n);
	return ok;
}

/* -- keys ----------------------------------------------------------------- */

static struct signing_key *
signing_key_new(EVP_PKEY *pkey)
{
	struct signing_key *k = mem_alloc(sizeof(*k));

	k->pkey = pkey;
	return k;
}

void
signing_key_free(struct signing_key *k)
{
	if (k == NULL)
		return;
	EVP_PKEY_free(k->pkey); /* wipes the numbers */
	mem_free(k);
}

struct signing_key *
signing_key_make(unsigned bits, struct err *e)
{
	EVP_PKEY *pkey;

	if (bits != SIGNING_BITS_ED25519 &&
	    (bits < SIGNING_BITS_MIN || bits > SIGNING_BITS_MAX)) {
		err_set(e, "a key of %u bits is not made", bits);
		return NULL;
	}
	/* RSA: exponent 65537 */
	pkey = bits == SIGNING_BITS_ED25519 ?
	    EVP_PKEY_Q_keygen(NULL, NULL, "ED25519") : EVP_RSA_gen(bits);
	if (pkey == NULL) {
		err_set(e, "cannot make a key: %s",
		    ERR_reason_error_string(ERR_get_error()));
		ERR_clear_error();
		return NULL;
	}
	return signing_key_new(pkey);
}

static bool
pkey_is_ed25519(const EVP_PKEY *pkey)
{
	return EVP_PKEY_get_base_id(pkey) == EVP_PKEY_ED25519;
}

unsigned
signing_key_bits(const struct signing_key *k)
{
	/* OpenSSL says 253: the order of the group */
	if (pkey_is_ed25519(k->pkey))
		return SIGNING_BITS_ED25519;
	return (unsigned)EVP_PKEY_get_bits(k->pkey);
}

size_t
signing_key_public(const struct signing_key *k, unsigned char *out,
    size_t size)
{
	unsigned char *der = NULL;
	size_t	       raw = size;
	int	       n;

	if (pkey_is_ed25519(k->pkey))
		return EVP_PKEY_get_raw_public_key(k->pkey, out, &raw) == 1 ?
		    raw : 0;
	n = i2d_PUBKEY(k->pkey, &der);
	if (n > 0 && (size_t)n <= size)
		memcpy(out, der, (size_t)n);
	else
		n = 0;
	OPENSSL_free(der);
	return (size_t)n;
}

int
signing_key_sign(const struct signing_key *k, const unsigned char digest[32],
    unsigned char *out, size_t size, struct err *e)
{
	EVP_PKEY_CTX *c;
	EVP_MD_CTX   *m;
	size_t	      n = size;
	bool	      ok;

	if (pkey_is_ed25519(k->pkey)) {
		m = EVP_MD_CTX_new();
		ok = m != NULL &&
		    EVP_DigestSignInit(m, NULL, NULL, NULL, k->pkey) == 1 &&
		    EVP_DigestSign(m, out, &n, digest, 32) == 1;
		EVP_MD_CTX_free(m);
	} else {
		c = EVP_PKEY_CTX_new(k->pkey, NULL);
		ok = c != NULL && EVP_PKEY_sign_init(c) == 1 &&
		    EVP_PKEY_CTX_set_rsa_padding(c, RSA_PKCS1_PADDING) == 1 &&
		    EVP_PKEY_CTX_set_signature_md(c, EVP_sha256()) == 1 &&
		    EVP_PKEY_sign(c, out, &n, digest, 32) == 1;
		EVP_PKEY_CTX_free(c);
	}
	if (ok)
		return (int)n;
	err_set(e, "cannot sign: %s",
	    ERR_reason_error_string(ERR_get_error()));
	ERR_clear_error();
	return -1;
}

/* -- reading what an operator hands over ---------------------------------- */

/* Nobody can be asked for a passphrase. */
static int
signing_no_passphrase(char *out, int size, int writing, void *arg)
{
	(void)out;
	(void)size;
	(void)writing;
	(void)arg;
	return -1;
}

static EVP_PKEY *
signing_read_pem(struct bytes text)
{
	BIO	 *b = BIO_new_mem_buf(text.p, (int)text.n);
	EVP_PKEY *pkey = NULL;

	if (b != NULL)
		pkey = PEM_read_bio_PrivateKey(b, NULL, signing_no_passphrase,
		    NULL);
	BIO_free(b);
	return pkey;
}

static EVP_PKEY *
signing_read_der(struct bytes der)
{
	const unsigned char *at = octets(der);
	EVP_PKEY	    *pkey;

	pkey = d2i_AutoPrivateKey(NULL, &at, (long)der.n);
	if (pkey != NULL && at != octets(der) + der.n) {
		EVP_PKEY_free(pkey);
		return NULL;
	}
	return pkey;
}

/* Without header, footer and line breaks; white space does not count. */
static EVP_PKEY *
signing_read_base64(struct bytes text)
{
	char	 *tight = mem_alloc(text.n + 1), *der;
	EVP_PKEY *pkey = NULL;
	size_t	  i, n = 0, der_n = 0;

	for (i = 0; i < text.n; i++) {
		if (strchr(" \t\r\n", text.p[i]) == NULL)
			tight[n++] = text.p[i];
	}
	der = mem_alloc(n + 1);
	if (base64_decode((struct bytes){ tight, n }, der, n, &der_n) &&
	    der_n > 0)
		pkey = signing_read_der((struct bytes){ der, der_n });
	mem_wipe(tight, text.n + 1);
	mem_wipe(der, n + 1);
	mem_free(tight);
	mem_free(der);
	return pkey;
}

static bool
signing_is_sound(EVP_PKEY *pkey)
{
	EVP_PKEY_CTX *c = EVP_PKEY_CTX_new(pkey, NULL);
	bool	      ok = c != NULL && EVP_PKEY_check(c) == 1;

	EVP_PKEY_CTX_free(c);
	return ok;
}

struct signing_key *
signing_key_read(struct bytes text, unsigned min_bits, unsigned max_bits,
    struct err *e)
{
	EVP_PKEY *pkey = NULL;
	unsigned  bits = 0;
	bool	  fits;

	if (min_bits < SIGNING_BITS_MIN)
		min_bits = SIGNING_BITS_MIN; /* RFC 8301 3.2 */
	if (max_bits > SIGNING_BITS_MAX)
		max_bits = SIGNING_BITS_MAX;
	if (text.n > 0 && text.n <= SIGNING_FILE_MAX &&
	    memchr(text.p, '\0', text.n) == NULL)
		pkey = bytes_find_nocase(text, BYTES("-----BEGIN")) >= 0 ?
		    signing_read_pem(text) : signing_read_base64(text);
	if (pkey != NULL && EVP_PKEY_get_base_id(pkey) == EVP_PKEY_RSA)
		bits = (unsigned)EVP_PKEY_get_bits(pkey);
	/* the size first: checking a huge key takes long */
	fits = (bits >= min_bits && bits <= max_bits) ||
	    (pkey != NULL && pkey_is_ed25519(pkey));
	if (fits && signing_is_sound(pkey))
		return signing_key_new(pkey);
	EVP_PKEY_free(pkey);
	ERR_clear_error();
	err_set(e, "private key must be PKCS#1 or PKCS#8, RSA, %u to %u bits",
	    min_bits, max_bits);
	return NULL;
}

/* -- PKCS#8 --------------------------------------------------------------- */

/* Octets in der; -1 = no room. */
static int
signing_to_der(const struct signing_key *k, unsigned char *der, size_t size)
{
	PKCS8_PRIV_KEY_INFO *info = EVP_PKEY2PKCS8(k->pkey);
	unsigned char	    *raw = NULL;
	int		     n;

	n = info == NULL ? -1 : i2d_PKCS8_PRIV_KEY_INFO(info, &raw);
	PKCS8_PRIV_KEY_INFO_free(info);
	if (n > 0 && (size_t)n <= size)
		memcpy(der, raw, (size_t)n);
	if (n > 0)
		OPENSSL_clear_free(raw, (size_t)n);
	return n > 0 && (size_t)n <= size ? n : -1;
}

int
signing_key_to_pem(const struct signing_key *k, struct buf *out,
    struct err *e)
{
	BIO   *b = BIO_new(BIO_s_secmem());
	char  *text;
	long   n;
	bool   ok;

	ok = b != NULL && PEM_write_bio_PKCS8PrivateKey(b, k->pkey, NULL, NULL,
			      0, NULL, NULL) == 1;
	n = ok ? BIO_get_mem_data(b, &text) : 0;
	ok = ok && n > 0 && buf_add(out, text, (size_t)n);
	BIO_free(b);
	return ok ? 0 : err_set(e, "cannot write the key");
}

/* -- sealed keys ---------------------------------------------------------- */

static int
sealer_check_file(int fd, struct err *e)
{
	struct stat st;

	if (fstat(fd, &st) < 0)
		return err_sys(e, "store.master_key");
	if (!S_ISREG(st.st_mode))
		return err_set(e, "store.master_key: not a file");
	if ((st.st_mode & 077) != 0)
		return err_set(e, "store.master_key: the file must not be "
		    "open to group or others (mode %04o)",
		    (unsigned)(st.st_mode & 07777));
	if (st.st_size != SEAL_KEY_SIZE)
		return err_set(e, "store.master_key: the file has %lld octets "
		    "instead of %d", (long long)st.st_size, SEAL_KEY_SIZE);
	return 0;
}

struct sealer *
sealer_open(int fd, struct err *e)
{
	unsigned char  master[SEAL_KEY_SIZE];
	struct sealer *s;

	if (sealer_check_file(fd, e) < 0)
		return NULL;
	if (pread(fd, master, sizeof(master), 0) != sizeof(master)) {
		err_sys(e, "store.master_key: read");
		return NULL;
	}
	s = mem_alloc(sizeof(*s));
	seal_derive(master, seal_info_dkim, s->key);
	mem_wipe(master, sizeof(master));
	return s;
}

void
sealer_free(struct sealer *s)
{
	if (s == NULL)
		return;
	mem_wipe(s, sizeof(*s));
	mem_free(s);
}

int
sealer_seal(const struct sealer *s, struct bytes name,
    const struct signing_key *k, unsigned char *out, size_t size,
    struct err *e)
{
	unsigned char der[DER_MAX], nonce[SEAL_NONCE_SIZE];
	int	      n = signing_to_der(k, der, sizeof(der));

	if (n < 0 || (size_t)n + SEAL_OVERHEAD > size) {
		mem_wipe(der, sizeof(der));
		return err_set(e, "the key is too long to be stored");
	}
	mem_random(nonce, sizeof(nonce));
	seal_close(s->key, nonce, name,
	    (struct bytes){ (const char *)der, (size_t)n }, out);
	mem_wipe(der, sizeof(der));
	return n + SEAL_OVERHEAD;
}

struct signing_key *
sealer_unseal(const struct sealer *s, struct bytes name, struct bytes sealed,
    struct err *e)
{
	unsigned char	    der[DER_MAX];
	EVP_PKEY	   *pkey = NULL;

	if (sealed.n > sizeof(der) + SEAL_OVERHEAD ||
	    !seal_open(s->key, name, sealed, der)) {
		err_set(e, "the master key does not open this key");
		return NULL;
	}
	pkey = signing_read_der((struct bytes){ (const char *)der,
	    sealed.n - SEAL_OVERHEAD });
	mem_wipe(der, sizeof(der));
	ERR_clear_error();
	if (pkey == NULL) {
		err_set(e, "what is sealed is not a private key");
		return NULL;
	}
	return signing_key_new(pkey);
}

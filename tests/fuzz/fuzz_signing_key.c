/* SPDX-License-Identifier: ISC */
/*
 * An own DKIM key as an operator hands it in, PEM or bare base64: what is
 * taken is an RSA key within the limits or an Ed25519 key, and comes back from
 * its own PEM.
 */
#include <string.h>

#include "base/err.h"
#include "daemon/keys_seal.h"

int LLVMFuzzerTestOneInput(const uint8_t *data, size_t size);

enum { BITS_MIN = 1024, BITS_MAX = 2048 };

static void
check_key(const struct signing_key *k)
{
	unsigned char	    public[1024], again[1024];
	struct signing_key *back;
	struct buf	    pem;
	struct err	    e;
	size_t		    n = signing_key_public(k, public, sizeof(public));

	must(signing_key_bits(k) == SIGNING_BITS_ED25519 ||
	    (signing_key_bits(k) >= BITS_MIN &&
		signing_key_bits(k) <= BITS_MAX));
	must(n > 0);
	buf_init(&pem, 1 << 16);
	must(signing_key_to_pem(k, &pem, &e) == 0);
	back = signing_key_read(buf_bytes(&pem), BITS_MIN, BITS_MAX, &e);
	must(back != NULL);
	must(signing_key_public(back, again, sizeof(again)) == n);
	must(memcmp(public, again, n) == 0);
	signing_key_free(back);
	buf_wipe(&pem);
}

int
LLVMFuzzerTestOneInput(const uint8_t *data, size_t size)
{
	struct bytes	    text = { (const char *)data, size };
	struct signing_key *k;
	struct err	    e = { 0 };

	k = signing_key_read(text, BITS_MIN, BITS_MAX, &e);
	must((k == NULL) == (e.text[0] != '\0'));
	if (k != NULL)
		check_key(k);
	signing_key_free(k);
	return 0;
}

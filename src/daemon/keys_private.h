/* SPDX-License-Identifier: ISC */
/*
 * keys_private.h - a request on its way: shared by keys.c (the loop) and
 * keys_job.c (the workers).
 * Use:    only there.
 * Owner:  the loop; while a worker runs keys_job_run() the job is its.
 * Thread: see keys.h.
 * Fails:  keys_job_run() sets failed and err.
 */
#ifndef DAEMON_KEYS_PRIVATE_H
#define DAEMON_KEYS_PRIVATE_H

#include <stdbool.h>
#include <stdint.h>

#include "base/clock.h"
#include "base/err.h"
#include "base/thread.h"
#include "daemon/keys.h"
#include "daemon/keys_seal.h"
#include "registry/keys_proto.h"

enum { KEYS_SIGNATURE_SIZE = 512, KEYS_PUBLIC_SIZE = 600 };

struct keys_peer;

/* An unsealed key, in the table and in the order of use. */
struct kept_key {
	struct kept_key	   *newer, *older;
	struct signing_key *key;
	struct mono	    used;
	unsigned	    uses; /* jobs; the table counts for one more */
	size_t		    name_n;
	char		    name[SEAL_NAME_MAX];
	unsigned char	    tag[KEYS_TAG_SIZE];
};

struct keys_job {
	struct job	    job; /* first */
	struct keys_job	   *next, *previous; /* spare, or busy */
	struct keys	   *keys;
	struct keys_peer   *peer;
	const struct sealer *sealer;
	enum keys_ask	    ask;
	uint64_t	    ticket;
	struct kept_key	   *kept;   /* of SIGN; counted */
	struct signing_key *opened; /* by SIGN_SEALED, for the table */
	size_t		    name_n;
	char		    name[SEAL_NAME_MAX];
	unsigned char	    tag[KEYS_TAG_SIZE], digest[KEYS_DIGEST_SIZE];
	unsigned	    bits, min_bits, max_bits;
	int		    fd;
	/* what came, or is sent back */
	size_t		    sealed_n, signature_n, public_n;
	unsigned char	    sealed[KEYS_BLOB_MAX];
	unsigned char	    signature[KEYS_SIGNATURE_SIZE];
	unsigned char	    public_key[KEYS_PUBLIC_SIZE];
	bool		    failed;
	struct err	    err;
};

void keys_job_run(struct job *job);
/* A key file of an operator: bounded in size and time. */
struct signing_key *keys_read_key(int fd, unsigned min_bits,
    unsigned max_bits, struct err *e);

#endif

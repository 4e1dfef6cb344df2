/* SPDX-License-Identifier: ISC */
/*
 * receive_private.h - struct receive, for receive.c and receive_close.c.
 *
 * Use:    -
 * Owner:  see receive.h.
 * Thread: the desk's loop.
 * Fails:  -
 */
#ifndef SUBMISSION_RECEIVE_PRIVATE_H
#define SUBMISSION_RECEIVE_PRIVATE_H

#include "base/thread.h"
#include "store/spool.h"
#include "submission/receive.h"
#include "submission/signer.h"

struct mime;
struct mime_blocked;

struct receive {
	struct receive_setup setup;
	struct framing	     framing;

	/* header section: text, then parsed; fields are slices of head */
	struct buf	   head;
	size_t		   scanned; /* of header_end() */
	bool		   has_header;
	enum header_result header_result;
	struct arena	  *arena;
	struct header	   header;

	/* body */
	struct mime		  *mime;
	const struct mime_blocked *blocked;
	struct mime_blocked	  *own_blocked; /* of the account; or NULL */
	struct signer_hash	  *hash;
	uint64_t		   hashed;   /* octets of the body */
	struct err		   hash_err; /* why there is none */
	bool dropping;	/* something is wrong: only the framing goes on */
	bool no_memory;
	bool released;

	/* staging: at most one batch waits for the writer */
	struct stage	   *stage_waiting; /* not taken by the feed yet */
	uint64_t	    stage_ticket;  /* out; 0 = none */
	uint64_t	    stage_octets;
	enum receipt_result stage_result;
	struct timer	    retry;
	int64_t		    counted; /* memory in the shared tally */
};

#endif
